# SPDX-License-Identifier: Apache-2.0
"""JSON patch, merge patch, strategic merge patch."""
from scenarios import scenario
from scenarios.objects import config
from session import APPLY, JSON_PATCH, MERGE, STRATEGIC


def deployment(name, **spec):
    container = {"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "ports": [{"containerPort": 80}, {"containerPort": 81, "name": "x"}],
                 "args": ["a", "b"], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "k", "operator": "Exists"}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}}


def template(body):
    """What a pod template's patch shows, or a Status as it is."""
    return {"spec": body["spec"], "metadata": {k: body["metadata"].get(k) for k in ("generation", "annotations", "labels")}} if "spec" in body else body


JSON_PATCHES = {
    "add": [{"op": "add", "path": "/data/new", "value": "x"}],
    "add over": [{"op": "add", "path": "/data/a", "value": "over"}],
    "replace": [{"op": "replace", "path": "/data/a", "value": "r"}],
    "replace what is not there": [{"op": "replace", "path": "/data/none", "value": "r"}],
    "remove": [{"op": "remove", "path": "/data/b"}],
    "remove what is not there": [{"op": "remove", "path": "/data/none"}],
    "move": [{"op": "move", "from": "/data/a", "path": "/data/moved"}],
    "move what is not there": [{"op": "move", "from": "/data/none", "path": "/data/moved"}],
    "copy": [{"op": "copy", "from": "/data/a", "path": "/data/copied"}],
    "test that holds": [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/tested", "value": "y"}],
    "test that fails": [{"op": "test", "path": "/data/a", "value": "no"}, {"op": "add", "path": "/data/tested", "value": "y"}],
    "test of what is not there": [{"op": "test", "path": "/data/none", "value": "no"}],
    "unknown operation": [{"op": "mix", "path": "/data/a"}],
    "no path": [{"op": "add", "value": "x"}],
    "no value": [{"op": "add", "path": "/data/x"}],
    "escapes": [{"op": "add", "path": "/metadata/annotations", "value": {"a/b": "1", "c~d": "2"}}, {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "3"},
                {"op": "remove", "path": "/metadata/annotations/c~0d"}],
    "into what is not there": [{"op": "add", "path": "/metadata/annotations/x", "value": "1"}],
    "to the end of an array": [{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/a"]}, {"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/b"},
                               {"op": "add", "path": "/metadata/finalizers/0", "value": "example.com/0"}, {"op": "remove", "path": "/metadata/finalizers"}],
    "over the end of an array": [{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/a"]}, {"op": "add", "path": "/metadata/finalizers/5", "value": "example.com/b"}],
    "a wrong type": [{"op": "replace", "path": "/data/a", "value": 5}],
    "another name": [{"op": "replace", "path": "/metadata/name", "value": "other"}],
    "another namespace": [{"op": "replace", "path": "/metadata/namespace", "value": "other"}],
    "an old revision": [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}],
    "another kind": [{"op": "replace", "path": "/kind", "value": "Secret"}],
    "an unknown field": [{"op": "add", "path": "/junk", "value": "x"}],
    "the whole": [{"op": "replace", "path": "", "value": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"whole": "1"}}}],
    "no operation": [],
    "an object": {"op": "add"},
    "no change": [{"op": "replace", "path": "/data/a", "value": "1"}],
}


@scenario()
def json_patch(s):
    path = s.core("configmaps")
    for title, patch in JSON_PATCHES.items():
        s.prepare("DELETE", path + "/p", may_fail=True)
        s.prepare("POST", path, config("p", a="1", b="2"))
        s.patch(title, path + "/p", patch, type=JSON_PATCH)
    s.patch("broken JSON", path + "/p", "[{", type=JSON_PATCH)
    s.patch("too many operations", path + "/p", [{"op": "test", "path": "/data/a", "value": "1"}] * 10001, type=JSON_PATCH)
    s.patch("of what is not there", path + "/none", [], type=JSON_PATCH)


MERGES = {
    "add and change": {"data": {"a": "x", "new": "y"}},
    "remove": {"data": {"a": None}},
    "remove all": {"data": None},
    "remove what is not there": {"data": {"none": None}},
    "no change": {"data": {"a": "1"}},
    "nothing": {},
    "labels": {"metadata": {"labels": {"l": "1"}, "annotations": {"n": "2"}}},
    "a wrong type": {"data": {"a": 5}},
    "a text for an object": {"data": "text"},
    "an unknown field": {"junk": {"a": 1}},
    "another name": {"metadata": {"name": "other"}},
    "another uid": {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}},
    "an old revision": {"metadata": {"resourceVersion": "1"}},
    "no name": {"metadata": {"name": None}},
    "an array": [1],
    "immutable": {"immutable": True},
    "a bad label": {"metadata": {"labels": {"a": "not ok!"}}},
}


@scenario()
def merge_patch(s):
    path = s.core("configmaps")
    for title, patch in MERGES.items():
        s.prepare("DELETE", path + "/p", may_fail=True)
        s.prepare("POST", path, config("p", a="1", b="2"))
        s.patch(title, path + "/p", patch, type=MERGE)
    s.prepare("DELETE", path + "/p", may_fail=True)
    s.prepare("POST", path, {**config("p", a="1"), "immutable": True})
    s.patch("data of an immutable one", path + "/p", {"data": {"b": "2"}}, type=MERGE)
    s.patch("an immutable one made mutable", path + "/p", {"immutable": None}, type=MERGE)
    s.patch("labels of an immutable one", path + "/p", {"metadata": {"labels": {"a": "b"}}}, type=MERGE)
    s.patch("broken JSON", path + "/p", "{", type=MERGE)
    s.patch("of what is not there", path + "/none", {}, type=MERGE)
    s.patch("a media type that nobody knows", path + "/p", {}, type="application/json")
    s.patch("YAML", path + "/p", "metadata: {labels: {a: c}}", type="application/yaml")
    deployments = s.at("apps/v1", "deployments")
    s.prepare("POST", deployments, deployment("d"))
    s.patch("lists are replaced", deployments + "/d", {"spec": {"template": {"spec": {"containers": [{"name": "only", "image": "i"}]}}}}, type=MERGE, shape=template)
    s.patch("the selector is immutable", deployments + "/d", {"spec": {"selector": {"matchLabels": {"x": "y"}}}}, type=MERGE)
    s.patch("a field manager of its own", deployments + "/d?fieldManager=hand", {"spec": {"replicas": 3}}, type=MERGE)
    s.patch("a field manager with bad letters", deployments + "/d?fieldManager=ha%07nd", {"spec": {"replicas": 4}}, type=MERGE)
    s.patch("a field manager that is too long", deployments + "/d?fieldManager=" + "x" * 129, {"spec": {"replicas": 4}}, type=MERGE)
    s.patch("force without apply", deployments + "/d?force=true", {"spec": {"replicas": 4}}, type=MERGE)


def pod_spec(**spec):
    return {"spec": {"template": {"spec": spec}}}


STRATEGICS = {
    "a container's field": pod_spec(containers=[{"name": "c", "image": "i:2"}]),
    "another container": pod_spec(containers=[{"name": "d", "image": "d"}]),
    "a container goes": pod_spec(containers=[{"name": "d", "image": "d"}, {"name": "c", "$patch": "delete"}]),
    "containers are replaced": pod_spec(containers=[{"$patch": "replace"}, {"name": "e", "image": "e"}]),
    "a container is replaced": pod_spec(containers=[{"name": "c", "image": "new", "$patch": "replace"}]),
    "environment by name": pod_spec(containers=[{"name": "c", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}]),
    "environment goes": pod_spec(containers=[{"name": "c", "env": [{"name": "A", "$patch": "delete"}]}]),
    "environment is null": pod_spec(containers=[{"name": "c", "env": None}]),
    "order of the elements": pod_spec(**{"$setElementOrder/containers": [{"name": "z"}, {"name": "c"}], "containers": [{"name": "z", "image": "z"}]}),
    "order of the environment": pod_spec(containers=[{"name": "c", "$setElementOrder/env": [{"name": "B"}, {"name": "A"}], "env": [{"name": "A", "value": "7"}]}]),
    "ports by number": pod_spec(containers=[{"name": "c", "ports": [{"containerPort": 81, "name": "changed"}, {"containerPort": 82}]}]),
    "arguments are replaced": pod_spec(containers=[{"name": "c", "args": ["z"]}]),
    "tolerations are replaced": pod_spec(tolerations=[{"key": "other", "operator": "Exists"}]),
    "volumes": pod_spec(volumes=[{"name": "w", "emptyDir": {}}]),
    "a volume's source is retained by key": pod_spec(volumes=[{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]),
    "the strategy, with retained keys": {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
    "the strategy, without": {"spec": {"strategy": {"type": "Recreate"}}},
    "a map is replaced": {"spec": {"template": {"metadata": {"labels": {"$patch": "replace", "a": "b", "n": "1"}}}}},
    "a map goes": {"spec": {"template": {"spec": {"nodeSelector": {"$patch": "delete"}}}}},
    "null takes away": {"spec": {"replicas": None}},
    "labels": {"metadata": {"labels": {"x": "y"}}},
    "no change": {"spec": {"replicas": 1}},
    "nothing": {},
    "an unknown directive": pod_spec(containers=[{"name": "c", "$patch": "mix"}]),
    "an element without its key": pod_spec(containers=[{"image": "x"}]),
    "a list for a map": {"spec": []},
    "a wrong type": {"spec": {"replicas": "x"}},
    "an unknown field": {"spec": {"junk": 1}},
    "owner references by uid": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u1"}]}},
    "finalizers are merged": {"metadata": {"finalizers": ["example.com/b"]}},
    "finalizers go": {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}},
    "finalizers in order": {"metadata": {"finalizers": ["example.com/z"], "$setElementOrder/finalizers": ["example.com/z", "example.com/a"]}},
}


@scenario()
def strategic_merge_patch(s):
    path = s.at("apps/v1", "deployments")

    def remove(name):
        s.prepare("PATCH", f"{path}/{name}", {"metadata": {"finalizers": None}}, type=MERGE, may_fail=True)
        s.prepare("DELETE", f"{path}/{name}", may_fail=True)

    for title, patch in STRATEGICS.items():
        remove("d")
        body = deployment("d")
        if "finalizers" in title:
            body["metadata"]["finalizers"] = ["example.com/a"]
        s.prepare("POST", path, body)
        s.patch(title, path + "/d", patch, type=STRATEGIC, shape=lambda b: {**template(b), "finalizers": b.get("metadata", {}).get("finalizers")})
    remove("d")
    services = s.core("services")
    s.prepare("POST", services, {"metadata": {"name": "v"}, "spec": {"selector": {"a": "b"}, "ports": [{"name": "x", "port": 80}, {"name": "y", "port": 81}]}})
    s.patch("service ports by port", services + "/v", {"spec": {"ports": [{"port": 81, "targetPort": 8081}, {"port": 82, "name": "z"}]}}, type=STRATEGIC)
    maps = s.core("configmaps")
    s.prepare("POST", maps, config("m", a="1"))
    s.patch("a config map", maps + "/m", {"data": {"b": "2", "a": None}}, type=STRATEGIC)
    s.patch("broken JSON", maps + "/m", "{", type=STRATEGIC)
    s.patch("an old revision", maps + "/m", {"metadata": {"resourceVersion": "1"}, "data": {"c": "1"}}, type=STRATEGIC)
    accounts = s.core("serviceaccounts")
    s.prepare("POST", accounts, {"metadata": {"name": "sa"}, "imagePullSecrets": [{"name": "one"}]})
    s.patch("pull secrets by name", accounts + "/sa", {"imagePullSecrets": [{"name": "two"}], "secrets": [{"name": "s"}]}, type=STRATEGIC)
    pods = s.core("pods")
    s.prepare("POST", pods, {"metadata": {"name": "pod"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    s.patch("conditions by type", pods + "/pod/status", {"status": {"conditions": [condition]}}, type=STRATEGIC, shape=lambda b: b.get("status", b))
    s.patch("conditions by type, again", pods + "/pod/status", {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}, {"type": "Other", "status": "True"}]}},
            type=STRATEGIC, shape=lambda b: b.get("status", b))
    s.patch("a pod's image may change", pods + "/pod", {"spec": {"containers": [{"name": "c", "image": "i:3"}]}}, type=STRATEGIC, shape=lambda b: b.get("spec", b))
    s.patch("a pod's other fields may not", pods + "/pod", {"spec": {"containers": [{"name": "c", "command": ["x"]}]}}, type=STRATEGIC,
            shape=lambda b: {k: b.get(k) for k in ("reason", "code", "details")} if "details" not in b else {"reason": b["reason"], "field": b["details"]["causes"][0]["field"]})


def apply_body(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@scenario()
def server_side_apply(s):
    path = s.core("configmaps")
    one, two = "?fieldManager=one", "?fieldManager=two"
    s.patch("creates", path + "/a" + one, apply_body("a", x="1", y="1"), type=APPLY)
    s.patch("again the same", path + "/a" + one, apply_body("a", x="1", y="1"), type=APPLY)
    s.patch("another manager shares a value", path + "/a" + two, apply_body("a", x="1"), type=APPLY)
    s.patch("a conflict", path + "/a" + two, apply_body("a", x="2", y="2"), type=APPLY)
    s.patch("by force", path + "/a" + two + "&force=true", apply_body("a", x="2"), type=APPLY)
    s.patch("what is left out goes", path + "/a" + one, apply_body("a", y="1", z="3"), type=APPLY)
    s.patch("what another has stays", path + "/a" + one, apply_body("a"), type=APPLY)
    s.patch("an update is a manager too", path + "/a?fieldManager=hand", {"data": {"x": "9", "h": "1"}}, type=MERGE)
    s.patch("a conflict with an update", path + "/a" + two, apply_body("a", x="2"), type=APPLY)
    s.patch("no manager", path + "/a", apply_body("a", x="2"), type=APPLY)
    s.patch("no kind", path + "/a" + one, {"metadata": {"name": "a"}}, type=APPLY)
    s.patch("another name", path + "/a" + one, apply_body("b"), type=APPLY)
    s.patch("no name", path + "/a" + one, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"q": "1"}}, type=APPLY)
    s.patch("an unknown field", path + "/a" + one, {**apply_body("a"), "junk": 1}, type=APPLY)
    s.patch("a wrong type", path + "/a" + one, {**apply_body("a"), "data": {"n": 1}}, type=APPLY)
    s.patch("managed fields in the body", path + "/a" + one, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}}, type=APPLY)
    s.patch("an old revision", path + "/a" + one, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}}, type=APPLY)
    s.patch("a uid for one that is not there", path + "/u" + one, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "u", "uid": "x"}}, type=APPLY)
    s.patch("a dry run", path + "/dry" + one + "&dryRun=All", apply_body("dry", x="1"), type=APPLY)
    s.patch("YAML", path + "/y2" + one, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y2}\ndata: {q: x}\n", type=APPLY)
    s.patch("strict", path + "/y3" + one + "&fieldValidation=Strict", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y3}\ndat: {q: x}\n", type=APPLY)
    s.patch("broken", path + "/a" + one, "{", type=APPLY)
    s.patch("clears managed fields", path + "/a", {"metadata": {"managedFields": [{}]}}, type=MERGE)
    s.patch("after they were cleared", path + "/a" + one, apply_body("a", x="9"), type=APPLY)
    s.patch("bad managed fields", path + "/a", {"metadata": {"managedFields": [{"manager": "m", "operation": "Guess"}]}}, type=MERGE)


@scenario()
def apply_of_lists(s):
    path = s.at("apps/v1", "deployments", "d")
    one, two = "?fieldManager=one", "?fieldManager=two"

    def body(containers, **spec):
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod, **spec}}

    c = {"name": "c", "image": "i:1", "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "A", "value": "1"}]}
    s.patch("creates", path + one, body([c], replicas=2), type=APPLY)
    s.patch("another container by another manager", path + two, {**body([{"name": "d", "image": "d:1"}]), "spec": {"template": {"spec": {"containers": [{"name": "d", "image": "d:1"}]}}}}, type=APPLY)
    s.patch("a conflict in an element", path + two, {**body([]), "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:9"}]}}}}, type=APPLY)
    s.patch("several conflicts", path + two, {**body([]), "spec": {"replicas": 5, "template": {"spec": {"containers": [{"name": "c", "image": "i:9", "env": [{"name": "A", "value": "2"}]}]}}}},
            type=APPLY)
    s.patch("an element's list shrinks", path + one, body([{**c, "env": []}], replicas=2), type=APPLY)
    s.patch("ports by number and protocol", path + one, body([{**c, "ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80}]}], replicas=2), type=APPLY)
    s.patch("an element twice", path + one, body([c, c], replicas=2), type=APPLY)
    s.patch("replicas are given up", path + one, body([c]), type=APPLY)
    s.patch("scale is a manager with a subresource", path + "/scale?fieldManager=scaler", {"spec": {"replicas": 7}}, type=MERGE)
    s.patch("a conflict with scale", path + two, {**body([]), "spec": {"replicas": 3}}, type=APPLY)
    s.patch("status by apply", path + "/status?fieldManager=ctl", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "status": {"conditions": [
        {"type": "Available", "status": "True", "lastUpdateTime": "2020-01-01T00:00:00Z", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}, type=APPLY)
    s.patch("an element without its key", path + one, body([{"image": "x"}]), type=APPLY)
    services = s.core("services", "v")
    ports = [{"port": 80, "name": "x", "protocol": "TCP"}, {"port": 81, "name": "y"}]
    s.patch("a service", services + one, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "v", "finalizers": ["example.com/a"]}, "spec": {"ports": ports, "selector": {"a": "b"}}},
            type=APPLY)
    s.patch("a service by another: sets are shared", services + two, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "v", "finalizers": ["example.com/b"]}, "spec": {
        "ports": [{"port": 82, "name": "z"}]}}, type=APPLY)
    s.patch("the set shrinks", services + one, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "v"}, "spec": {"ports": ports[:1], "selector": {"a": "c"}}}, type=APPLY)
    s.prepare("PATCH", services, {"metadata": {"finalizers": None}}, type=MERGE)
