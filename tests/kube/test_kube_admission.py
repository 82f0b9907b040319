# SPDX-License-Identifier: Apache-2.0
"""Admission with the whole program: webhooks over HTTPS, quotas under concurrent writes. KUBE_SUITE_KUBECONFIG runs it against the real server."""
import json
import os
import threading
import uuid

import pytest
from fixtures import kube, kubeconfig  # noqa: F401
from hookserver import Authority, HookServer, patch
from waiting import until

HOOKS = "/apis/admissionregistration.k8s.io/v1/"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority):
    made = HookServer(authority.context(("127.0.0.1", "hook.hooks.svc")))
    yield made
    made.close()


class Space:
    """A namespace of a test's own, its configurations of webhooks, and requests below it."""

    def __init__(self, cluster, server, authority):
        self.cluster, self.server, self.authority, self.made = cluster, server, authority, []
        self.name = "k3-" + uuid.uuid4().hex[:10]
        assert cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}}).status == 201
        self.base = f"/api/v1/namespaces/{self.name}/"
        for given in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):  # webhooks would see them, and quotas count them
            until(given, lambda given=given: cluster.ask("GET", self.base + given).status == 200)

    def hook(self, path, mutating=False, answer=None, **more):
        """Configures one webhook for this namespace; its path on the server is its own."""
        path = f"/{self.name}{path}"
        if answer:
            self.server.answers[path] = answer
        name = f"{self.name}-{len(self.made)}"
        spec = {"name": "a.hook.test", "clientConfig": {"url": self.server.url(path), "caBundle": self.authority.bundle}, "rules": [RULE], "sideEffects": "None", "admissionReviewVersions": ["v1"], "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.name}}, "timeoutSeconds": 30, **more}
        kind = "mutatingwebhookconfigurations" if mutating else "validatingwebhookconfigurations"
        answered = self.cluster.ask("POST", HOOKS + kind, {"metadata": {"name": name}, "webhooks": [spec]})
        assert answered.status == 201, answered
        self.made.append(HOOKS + f"{kind}/{name}")
        if self.cluster.real:
            threading.Event().wait(1.5)  # the real server sees configurations by a watch
        return path

    def create(self, name, **more):
        return self.cluster.ask("POST", self.base + "configmaps", {"metadata": {"name": name}, "data": {"a": "b"}, **more})

    def close(self):
        for path in self.made:
            self.cluster.ask("DELETE", path)
        self.cluster.ask("DELETE", f"/api/v1/namespaces/{self.name}")


@pytest.fixture
def space(kube, server, authority, kubeconfig):  # noqa: F811
    kube.real = bool(os.environ.get("KUBE_SUITE_KUBECONFIG"))
    made = Space(kube, server, authority)
    yield made
    made.close()


def allow(_):
    return {"allowed": True}


def test_a_webhook_is_asked_about_a_new_object(space):
    path = space.hook("/see", answer=allow)
    assert space.create("a").status == 201
    seen, headers, review = next(entry for entry in space.server.seen if entry[0].split("?")[0] == path)
    request = review["request"]
    assert seen == path + "?timeout=30s" and headers["Content-Type"] == "application/json"
    assert (review["kind"], review["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    assert request["operation"] == "CREATE" and request["name"] == "a" and request["namespace"] == space.name
    assert request["kind"] == request["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["resource"] == request["requestResource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert request["object"]["data"] == {"a": "b"} and request["oldObject"] is None and request["dryRun"] is False
    assert request["options"]["kind"] == "CreateOptions" and "system:masters" in request["userInfo"]["groups"]


def test_updates_and_deletes_show_what_was(space):
    path = space.hook("/all", answer=allow)
    space.create("a")
    assert space.cluster.ask("PATCH", space.base + "configmaps/a", {"data": {"a": "c"}}, headers={"Content-Type": "application/merge-patch+json"}).status == 200
    assert space.cluster.ask("DELETE", space.base + "configmaps/a").status == 200
    update, delete = [r["request"] for r in space.server.reviews(path)[1:3]]
    assert (update["operation"], update["oldObject"]["data"]["a"], update["object"]["data"]["a"]) == ("UPDATE", "b", "c")
    assert (delete["operation"], delete["oldObject"]["data"]["a"], delete["object"]) == ("DELETE", "c", None)
    assert (update["options"]["kind"], delete["options"]["kind"]) == ("UpdateOptions", "DeleteOptions")


def test_a_webhook_changes_an_object(space):
    space.hook("/change", True, lambda _: {"allowed": True, "patchType": "JSONPatch", "patch": patch({"op": "add", "path": "/data/x", "value": "y"}), "warnings": ["take care"]})
    made = space.create("a")
    assert made.status == 201 and made.json["data"] == {"a": "b", "x": "y"}
    assert made.headers["warning"] == '299 - "take care"'


def test_a_refusal_is_told_in_its_words(space):
    space.hook("/no", answer=lambda _: {"allowed": False, "status": {"code": 418, "reason": "Teapot", "message": "no coffee"}})
    made = space.create("a")
    assert (made.status, made.json["reason"], made.json["message"]) == (418, "Teapot", 'admission webhook "a.hook.test" denied the request: no coffee')
    assert space.cluster.ask("GET", space.base + "configmaps/a").status == 404


def test_a_refusal_without_words_is_a_400(space):
    space.hook("/no", answer=lambda _: {"allowed": False})
    made = space.create("a")
    assert (made.status, made.json["message"]) == (400, 'admission webhook "a.hook.test" denied the request without explanation')


FAILURES = [
    ("no JSON", lambda _: b"{", "failed to call webhook: couldn't get version/kind; json parse error: "),
    ("nothing", lambda _: b"", "failed to call webhook: 0-length response with status code: 200 and content type: application/json"),
    ("closed", lambda _: None, ": EOF"),
    ("no response", lambda r: {"response": None, "apiVersion": r["apiVersion"], "kind": r["kind"]}, "received invalid webhook response: webhook response was absent"),
    ("another uid", lambda r: {"response": {"uid": "x", "allowed": True}, "apiVersion": r["apiVersion"], "kind": r["kind"]}, ', got "x"'),
    ("no kind", lambda r: {"response": {"uid": r["request"]["uid"], "allowed": True}}, "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind="),
    ("a patch", lambda _: {"allowed": True, "patch": patch(), "patchType": "JSONPatch"}, "received invalid webhook response: validating webhook may not return response.patch"),
    ("500", lambda _: (500, "text/plain", b"on fire"), 'failed to call webhook: an error on the server ("on fire") has prevented the request from succeeding'),
    ("404", lambda _: (404, "text/plain", b"x"), "failed to call webhook: the server could not find the requested resource"),
    ("503", lambda _: (503, "text/plain", b"x"), "failed to call webhook: the server is currently unable to handle the request"),
]


@pytest.mark.parametrize("answer,words", [pytest.param(a, w, id=n) for n, a, w in FAILURES])
def test_a_webhook_that_answers_nonsense_fails_closed(space, answer, words):
    space.hook("/bad", answer=answer)
    made = space.create("a")
    assert made.status == 500 and made.json["reason"] == "InternalError"
    assert made.json["message"].startswith('Internal error occurred: failed calling webhook "a.hook.test": ') and words in made.json["message"], made.json["message"]


def test_a_huge_answer_is_given_up(space):
    if space.cluster.real:
        pytest.skip("the real server has no limit")
    space.hook("/huge", answer=lambda _: b'{"x":"' + b"x" * (9 << 20) + b'"}')
    made = space.create("a")
    assert made.status == 500 and "larger than" in made.json["message"]


@pytest.mark.parametrize("policy,status", [("Fail", 500), ("Ignore", 201)])
def test_a_webhook_that_is_not_there(space, policy, status):
    space.hook("/gone", failurePolicy=policy, clientConfig={"url": "https://127.0.0.1:1/x", "caBundle": space.authority.bundle})
    made = space.create("a")
    assert made.status == status
    if status == 500:
        assert made.json["message"].endswith('failed to call webhook: Post "https://127.0.0.1:1/x?timeout=30s": dial tcp 127.0.0.1:1: connect: connection refused')


def test_a_webhook_that_stalls_is_given_up_after_its_time(space):
    path = space.hook("/slow", answer=space.server.stall, timeoutSeconds=1)
    made = space.create("a")
    assert made.status == 500 and made.json["message"].endswith(f'failed to call webhook: Post "{space.server.url(path)}?timeout=1s": context deadline exceeded')


def test_a_certificate_of_another_authority_is_refused(space, tmp_path):
    path = space.hook("/x", answer=allow, clientConfig={"url": space.server.url("/x"), "caBundle": Authority(tmp_path).bundle})
    made = space.create("a")
    assert made.status == 500 and "tls: failed to verify certificate: x509: certificate signed by unknown authority" in made.json["message"]
    assert not space.server.reviews(path)


def test_a_dry_run_asks_only_webhooks_without_side_effects(space):
    path = space.hook("/dry", answer=allow)
    assert space.cluster.ask("POST", space.base + "configmaps?dryRun=All", {"metadata": {"name": "a"}}).status == 201
    assert [r["request"]["dryRun"] for r in space.server.reviews(path)] == [True]


def test_objects_are_selected_by_their_labels(space):
    path = space.hook("/some", answer=allow, objectSelector={"matchExpressions": [{"key": "ask", "operator": "In", "values": ["yes"]}]})
    space.create("a")
    space.cluster.ask("POST", space.base + "configmaps", {"metadata": {"name": "b", "labels": {"ask": "yes"}}})
    assert [r["request"]["name"] for r in space.server.reviews(path)] == ["b"]


def test_other_operations_and_resources_are_left_alone(space):
    path = space.hook("/updates", answer=allow, rules=[{**RULE, "operations": ["UPDATE"], "resources": ["configmaps", "pods/*"]}])
    space.create("a")
    space.cluster.ask("POST", space.base + "secrets", {"metadata": {"name": "a"}})
    assert not space.server.reviews(path)


def test_an_equivalent_version_is_sent_in_the_form_that_was_asked_for(space):
    path = space.hook("/old", answer=allow, rules=[{"apiGroups": ["autoscaling"], "apiVersions": ["v2"], "operations": ["CREATE"], "resources": ["horizontalpodautoscalers"]}])
    made = space.cluster.ask("POST", f"/apis/autoscaling/v1/namespaces/{space.name}/horizontalpodautoscalers", {"metadata": {"name": "a"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}})
    if made.status == 404:
        pytest.skip("autoscaling/v1 is not served")
    assert made.status == 201, made
    request = space.server.reviews(path)[0]["request"]
    assert request["kind"]["version"] == "v2" and request["requestKind"]["version"] == "v1"
    assert request["object"]["apiVersion"] == "autoscaling/v2" and request["object"]["spec"]["metrics"][0]["resource"]["name"] == "cpu"


def test_webhooks_are_asked_again_when_another_changes_the_object(space):
    def second(review):
        return {"allowed": True, "patchType": "JSONPatch", "patch": patch({"op": "add", "path": "/data/second", "value": "here"})}

    first = space.hook("/first", True, allow, reinvocationPolicy="IfNeeded")
    space.hook("/second", True, second)
    assert space.create("a").json["data"]["second"] == "here"
    assert ["second" in r["request"]["object"]["data"] for r in space.server.reviews(first)] == [False, True]


def test_a_service_is_reached_by_its_endpoints(space):
    if space.cluster.real:
        pytest.skip("the real server asks the cluster's network")
    cluster = space.cluster
    cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "hooks"}})
    services = "/api/v1/namespaces/hooks/"
    cluster.ask("POST", services + "services", {"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443, "targetPort": space.server.port}]}})
    config = {"service": {"name": "hook", "namespace": "hooks", "path": f"/{space.name}/service"}, "caBundle": space.authority.bundle}
    path = space.hook("/service", answer=allow, clientConfig=config)
    cluster.ask("POST", services + "endpoints", {"metadata": {"name": "hook"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": space.server.port}]}]})
    slices = "/apis/discovery.k8s.io/v1/namespaces/hooks/endpointslices"
    cluster.ask("DELETE", services + "endpoints/hook")
    made = cluster.ask("POST", slices, {"metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "FQDN", "endpoints": [{"addresses": ["localhost"]}], "ports": [{"port": space.server.port, "name": ""}]})
    assert made.status == 201, made
    answer = space.create("a")
    assert answer.status == 201, answer
    assert len(space.server.reviews(path)) == 1
    cluster.ask("DELETE", slices + "/hook-1")
    cluster.ask("DELETE", services + "services/hook")
    assert space.create("b").json["message"].endswith(f'Post "https://hook.hooks.svc:443{path}?timeout=30s": service "hook" not found')


# ---- quotas ----


def quota(space, hard, name="q", **more):
    assert space.cluster.ask("POST", space.base + "resourcequotas", {"metadata": {"name": name}, "spec": {"hard": hard, **more}}).status == 201
    until("the quota's status", lambda: space.cluster.ask("GET", space.base + f"resourcequotas/{name}").json["status"].get("hard") == hard)


def used(space, name="q"):
    return space.cluster.ask("GET", space.base + f"resourcequotas/{name}").json["status"]["used"]


def test_clients_that_race_never_go_over_a_quota(space):
    quota(space, {"count/secrets": "20"})
    statuses, lock = [], threading.Lock()

    def client(number):
        for i in range(10):
            answer = space.cluster.ask("POST", space.base + "secrets", {"metadata": {"name": f"s-{number}-{i}"}})
            with lock:
                statuses.append(answer.status)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(statuses)) == [201, 403] and statuses.count(201) == 20
    assert used(space) == {"count/secrets": "20"}
    assert len(space.cluster.ask("GET", space.base + "secrets").json["items"]) == 20


def test_creates_and_deletes_that_race_leave_the_count_right(space):
    quota(space, {"count/configmaps": "12"})
    there = len(space.cluster.ask("GET", space.base + "configmaps").json["items"])
    most, stop = [], threading.Event()

    def churn(number):
        for i in range(15):
            if space.create(f"c-{number}-{i}").status == 201:
                space.cluster.ask("DELETE", space.base + f"configmaps/c-{number}-{i}")

    def watch():
        while not stop.is_set():
            most.append(len(space.cluster.ask("GET", space.base + "configmaps").json["items"]))

    threads = [threading.Thread(target=churn, args=(n,)) for n in range(6)]
    watcher = threading.Thread(target=watch)
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert max(most) <= 12
    until("what is used, counted", lambda: used(space) == {"count/configmaps": str(there)})


def test_a_write_that_fails_gives_back_what_it_took(space):
    quota(space, {"count/secrets": "2"})
    big = {"metadata": {"name": "big"}, "stringData": {"a": "x" * (1100 << 10)}}
    assert space.cluster.ask("POST", space.base + "secrets", big).status in (413, 422)
    until("what is used, counted", lambda: used(space) == {"count/secrets": "0"})


def test_scopes_take_some_pods(space):
    quota(space, {"pods": "1"}, "lasting", scopes=["NotTerminating"])
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert space.cluster.ask("POST", space.base + "pods", pod).status == 201
    refused = space.cluster.ask("POST", space.base + "pods", {**pod, "metadata": {"name": "b"}})
    assert (refused.status, refused.json["message"]) == (403, 'pods "b" is forbidden: exceeded quota: lasting, requested: pods=1, used: pods=1, limited: pods=1')
    ending = json.loads(json.dumps(pod))
    ending["metadata"]["name"], ending["spec"]["activeDeadlineSeconds"] = "c", 10
    assert space.cluster.ask("POST", space.base + "pods", ending).status == 201
    space.cluster.ask("DELETE", space.base + "pods/a")
    until("what is used, counted", lambda: used(space, "lasting") == {"pods": "0"})


def test_what_services_and_claims_ask_for_is_counted(space):
    quota(space, {"services": "5", "services.nodeports": "2", "requests.storage": "10Gi", "persistentvolumeclaims": "3"})
    service = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}}
    assert space.cluster.ask("POST", space.base + "services", service).status == 201
    claim = {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Gi"}}}}
    assert space.cluster.ask("POST", space.base + "persistentvolumeclaims", claim).status == 201
    assert used(space) == {"services": "1", "services.nodeports": "2", "requests.storage": "4Gi", "persistentvolumeclaims": "1"}
    plain = {"metadata": {"name": "t"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    assert space.cluster.ask("POST", space.base + "services", plain).status == 403
    claim["metadata"]["name"], claim["spec"]["resources"]["requests"]["storage"] = "d", "7Gi"
    refused = space.cluster.ask("POST", space.base + "persistentvolumeclaims", claim)
    assert refused.json["message"] == 'persistentvolumeclaims "d" is forbidden: exceeded quota: q, requested: requests.storage=7Gi, used: requests.storage=4Gi, limited: requests.storage=10Gi'


# ---- conversion webhooks ----

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def convert(review):
    """v1 has spec.address "host:port", v2 has spec.host and spec.port."""
    request, made = review["request"], []
    for item in request["objects"]:
        item = json.loads(json.dumps(item))
        spec = item.setdefault("spec", {})
        if item["apiVersion"] != request["desiredAPIVersion"]:
            if request["desiredAPIVersion"].endswith("/v2"):
                spec["host"], spec["port"] = spec.pop("address").split(":")
            else:
                spec["address"] = spec.pop("host") + ":" + spec.pop("port")
        item["apiVersion"] = request["desiredAPIVersion"]
        made.append(item)
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": made}}


class Kinds:
    """A definition of a test's own, with a conversion webhook; its objects are stored as v1."""

    def __init__(self, space, answer=convert, **more):
        self.space, self.group = space, f"{space.name}.test"
        self.path = f"/{space.name}/convert"
        space.server.answers[self.path] = answer

        def version(name, **fields):
            schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {f: {"type": "string"} for f in fields["of"]}}}}
            return {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}}

        conversion = {"strategy": "Webhook", "webhook": {"clientConfig": {"url": space.server.url(self.path), "caBundle": space.authority.bundle}, "conversionReviewVersions": ["v1"], **more}}
        names = {"plural": "places", "singular": "place", "kind": "Place"}
        definition = {"metadata": {"name": f"places.{self.group}"}, "spec": {"group": self.group, "scope": "Namespaced", "names": names, "versions": [version("v1", of=["address"]), version("v2", of=["host", "port"])], "conversion": conversion}}
        made = space.cluster.ask("POST", CRDS, definition)
        assert made.status == 201, made
        space.made.append(f"{CRDS}/places.{self.group}")
        for name in ("v1", "v2"):
            until(f"version {name} served", lambda name=name: space.cluster.ask("GET", self.at(name)).status == 200)
        if space.cluster.real:
            threading.Event().wait(2)

    def at(self, version, name=""):
        return f"/apis/{self.group}/{version}/namespaces/{self.space.name}/places" + ("/" + name if name else "")

    def create(self, version, name, **more):
        spec = {"address": f"{name}:80"} if version == "v1" else {"host": name, "port": "80"}
        return self.space.cluster.ask("POST", self.at(version), {"apiVersion": f"{self.group}/{version}", "kind": "Place", "metadata": {"name": name, **more}, "spec": spec})

    def ask(self, method, version, name="", body=None, headers=None):
        return self.space.cluster.ask(method, self.at(version, name), body, headers)


def test_an_object_is_read_and_written_in_both_versions(space):
    kinds = Kinds(space)
    assert kinds.create("v1", "a").status == 201
    made = kinds.create("v2", "b")
    assert made.status == 201 and made.json["spec"] == {"host": "b", "port": "80"} and made.json["apiVersion"].endswith("/v2")
    assert kinds.ask("GET", "v2", "a").json["spec"] == {"host": "a", "port": "80"}
    assert kinds.ask("GET", "v1", "b").json["spec"] == {"address": "b:80"}
    patched = kinds.ask("PATCH", "v2", "a", {"spec": {"port": "81"}}, {"Content-Type": "application/merge-patch+json"})
    assert patched.status == 200 and patched.json["spec"] == {"host": "a", "port": "81"}
    assert kinds.ask("GET", "v1", "a").json["spec"] == {"address": "a:81"}
    whole = kinds.ask("GET", "v2", "b").json
    whole["spec"]["host"] = "c"
    assert kinds.ask("PUT", "v2", "b", whole).status == 200
    assert kinds.ask("GET", "v1", "b").json["spec"] == {"address": "c:80"}
    assert kinds.ask("DELETE", "v2", "b").status == 200
    assert kinds.ask("GET", "v1", "b").status == 404


def test_what_a_webhook_converts_is_collected(space):
    """As a dependent, and as an owner that waits for its own dependents: the first version that is served is not the one that is stored."""
    kinds = Kinds(space)
    maps = f"/api/v1/namespaces/{space.name}/configmaps"

    def owned_by(made):
        return {"ownerReferences": [{"apiVersion": made["apiVersion"], "kind": made["kind"], "name": made["metadata"]["name"], "uid": made["metadata"]["uid"], "blockOwnerDeletion": True}]}

    owner = space.cluster.ask("POST", maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
    place = kinds.create("v1", "place", **owned_by(owner.json))
    leaf = space.cluster.ask("POST", maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "leaf", **owned_by(place.json)}})
    assert (owner.status, place.status, leaf.status) == (201, 201, 201)
    other = kinds.create("v1", "other")
    leaf = space.cluster.ask("POST", maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", **owned_by(other.json)}})
    assert space.cluster.ask("DELETE", f"{maps}/owner").status == 200
    assert kinds.ask("DELETE", "v1", "other", {"propagationPolicy": "Foreground"}).status == 200
    for path in (kinds.at("v1", "place"), f"{maps}/leaf", f"{maps}/other", kinds.at("v1", "other")):
        until(f"{path} gone", lambda path=path: space.cluster.ask("GET", path).status == 404)


def test_a_list_is_converted_in_one_review(space):
    kinds = Kinds(space)
    for i in range(30):
        kinds.create("v1", f"p{i:02}")
    space.server.seen.clear()
    listed = kinds.ask("GET", "v2").json
    assert listed["apiVersion"].endswith("/v2") and [item["spec"]["host"] for item in listed["items"]] == [f"p{i:02}" for i in range(30)]
    reviews = space.server.reviews(kinds.path)
    if not space.cluster.real:  # which keeps a cache of each version
        assert [len(r["request"]["objects"]) for r in reviews] == [30]


def test_a_watch_tells_the_version_that_was_asked_for_in_order(space):
    kinds = Kinds(space)
    kinds.create("v1", "first")
    connection = space.cluster.connect()
    space.cluster.send(connection, "GET", kinds.at("v2") + "?watch=true&timeoutSeconds=60&resourceVersion=0")
    lines = connection.getresponse()

    def event():
        told = json.loads(lines.readline())
        return told["type"], told["object"]["apiVersion"].rpartition("/")[2], told["object"]["spec"]

    assert event() == ("ADDED", "v2", {"host": "first", "port": "80"})
    for i in range(5):
        kinds.create("v1", f"n{i}")
    for i in range(5):
        assert event() == ("ADDED", "v2", {"host": f"n{i}", "port": "80"})
    kinds.ask("DELETE", "v1", "n0")
    assert event() == ("DELETED", "v2", {"host": "n0", "port": "80"})
    connection.close()


def failing(words):
    return lambda review: {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": {"uid": review["request"]["uid"], "result": {"status": "Failure", "message": words}}}


def renamed(review):
    made = convert(review)
    made["response"]["convertedObjects"][0]["metadata"]["name"] = "other"
    return made


def half(review):
    made = convert(review)
    made["response"]["convertedObjects"] = []
    return made


@pytest.mark.parametrize("answer,words", [
    (failing("no way"), "failed: no way"),
    (renamed, "returned invalid object: must have the same name: a != other"),
    (half, "returned 0 objects, expected 1"),
    (lambda _: (500, "text/plain", b"on fire"), 'failed: an error on the server ("on fire") has prevented the request from succeeding'),
    (lambda _: b"nonsense", "failed: couldn't get version/kind; json parse error: "),
], ids=["failure", "renamed", "half", "500", "no JSON"])
def test_a_conversion_that_fails_is_told(space, answer, words):
    kinds = Kinds(space)
    assert kinds.create("v1", "a").status == 201
    space.server.answers[kinds.path] = answer
    got = kinds.ask("GET", "v2", "a")
    assert got.status == 500 and got.json["message"].startswith(f"conversion webhook for {kinds.group}/v1, Kind=Place {words}"), got.json
    assert kinds.ask("GET", "v1", "a").status == 200
    space.server.answers[kinds.path] = convert
    assert kinds.ask("GET", "v2", "a").status == 200


def test_what_a_conversion_may_not_change_stays(space):
    def meddling(review):
        made = convert(review)
        for item in made["response"]["convertedObjects"]:
            item["metadata"]["labels"] = {"x": "y"}
            item["metadata"]["finalizers"] = ["a/b"]
        return made

    kinds = Kinds(space, meddling)
    kinds.create("v1", "a")
    metadata = kinds.ask("GET", "v2", "a").json["metadata"]
    assert metadata["labels"] == {"x": "y"} and "finalizers" not in metadata


# ---- match conditions ----


def test_match_conditions_say_which_requests_are_asked_about(space):
    conditions = [{"name": "not-b", "expression": "object.metadata.name != 'b'"}, {"name": "create", "expression": "request.operation == 'CREATE'"}]
    path = space.hook("/conditions", answer=allow, matchConditions=conditions)
    space.create("a")
    space.create("b")
    assert [r["request"]["name"] for r in space.server.reviews(path)] == ["a"]


@pytest.mark.parametrize("policy,status", [("Fail", 403), ("Ignore", 201)])
def test_a_condition_that_cannot_be_computed_follows_the_failure_policy(space, policy, status):
    path = space.hook("/conditions", answer=allow, failurePolicy=policy, matchConditions=[{"name": "x", "expression": "object.data.nothing == 'x'"}])
    made = space.create("a")
    assert made.status == status and not space.server.reviews(path)
    if status == 403:
        assert made.json["message"] == 'configmaps "a" is forbidden: expression \'object.data.nothing == \'x\'\' resulted in error: no such key: nothing'
