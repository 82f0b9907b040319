# SPDX-License-Identifier: Apache-2.0
"""CustomResourceDefinitions: those of public projects, taken from their Go modules, and what happens to objects while definitions change, end and come back."""
import json
import os
import pathlib
import random
import shutil
import string
import subprocess
import threading

import pytest
import yaml
from cluster import Up
from fixtures import kube, kubeconfig  # noqa: F401
from waiting import DEADLINE, until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MODULES = {
    "sigs.k8s.io/gateway-api@v1.2.1": ["config/crd/experimental/gateway.networking.k8s.io_*.yaml"],
    "github.com/kserve/kserve@v0.15.0": ["config/crd/full/serving.kserve.io_*.yaml"],
    "github.com/tektoncd/pipeline@v0.68.0": ["config/300-crds/300-*.yaml"],
}
COUNTS = {"sigs.k8s.io/gateway-api@v1.2.1": 10, "github.com/kserve/kserve@v0.15.0": 9, "github.com/tektoncd/pipeline@v0.68.0": 9}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = {"Content-Type": "application/merge-patch+json"}


def letters():
    return "".join(random.choices(string.ascii_lowercase, k=6))


def module_folder(module):
    if not shutil.which("go"):
        pytest.skip("there is no Go on this machine")
    try:
        done = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, timeout=300, cwd="/", env={**os.environ, "GOFLAGS": "-mod=mod"})
    except subprocess.TimeoutExpired as e:
        pytest.skip(f"{module} cannot be had here: {e}")
    if done.returncode:
        pytest.skip(f"{module} cannot be had here: {(done.stdout + done.stderr)[-300:]}")
    return pathlib.Path(json.loads(done.stdout)["Dir"])


def documents(folder, patterns):
    return [d for pattern in patterns for path in sorted(folder.glob(pattern)) for d in yaml.load_all(path.read_text(), LOADER) if d]


def condition(definition, kind):
    return next((c for c in definition.get("status", {}).get("conditions") or [] if c["type"] == kind), {})


def define(kube, body):
    """Makes a definition and waits until it is served; the path of its group's first served version."""
    name = body["metadata"]["name"]
    made = kube.ask("POST", DEFINITIONS, body)
    assert made.status == 201, made.text
    until(f"{name} established", lambda: condition(kube.ask("GET", f"{DEFINITIONS}/{name}").json, "Established").get("status") == "True")
    served = [v["name"] for v in body["spec"]["versions"] if v["served"]]
    return [f"/apis/{body['spec']['group']}/{v}" for v in served]


def remove(kube, name):
    kube.ask("DELETE", f"{DEFINITIONS}/{name}")
    until(f"{name} gone", lambda: kube.ask("GET", f"{DEFINITIONS}/{name}").status == 404)


def simple(kind, group, properties, **version):
    plural = kind.lower() + "s"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind}, "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}]}}


def update(kube, name, change):
    """Changes a definition by `change(body)`, over conflicts."""
    def once():
        body = kube.ask("GET", f"{DEFINITIONS}/{name}").json
        change(body)
        answer = kube.ask("PUT", f"{DEFINITIONS}/{name}", body)
        assert answer.status in (200, 409), answer.text
        return answer.status == 200

    until(f"{name} changed", once)


@pytest.mark.parametrize("module", MODULES)
def test_definitions_of_a_public_project_are_established_served_and_published(kube, module):
    bodies = [d for d in documents(module_folder(module), MODULES[module]) if d.get("kind") == "CustomResourceDefinition"]
    assert len(bodies) == COUNTS[module]
    try:
        for body in bodies:
            body["metadata"].pop("creationTimestamp", None)
            body["spec"].get("conversion", {}).pop("webhook", None)
            if body["spec"].get("conversion"):
                body["spec"]["conversion"] = {"strategy": "None"}
            for base in define(kube, body):
                plural, kind = body["spec"]["names"]["plural"], body["spec"]["names"]["kind"]
                assert kube.ask("GET", f"{base}/{plural}").json["kind"] == kind + "List"
                assert kube.ask("GET", f"{base}/{plural}", headers={"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}).json["kind"] == "Table"
                group_version = base.removeprefix("/apis/")
                schemas = kube.ask("GET", f"/openapi/v3/apis/{group_version}").json["components"]["schemas"]
                kinds = [g["kind"] for s in schemas.values() for g in s.get("x-kubernetes-group-version-kind", []) if g["version"] == group_version.split("/")[1]]
                assert kind in kinds and kind + "List" in kinds
                row = next(r for r in kube.ask("GET", base).json["resources"] if r["name"] == plural)
                assert row["kind"] == kind and row["namespaced"] == (body["spec"]["scope"] == "Namespaced")
    finally:
        for body in bodies:
            remove(kube, body["metadata"]["name"])


def test_objects_of_the_gateway_api_are_taken(kube):
    folder = module_folder("sigs.k8s.io/gateway-api@v1.2.1")
    bodies = documents(folder, ["config/crd/experimental/gateway.networking.k8s.io_*.yaml"])
    plurals = {b["spec"]["names"]["kind"]: b["spec"]["names"]["plural"] for b in bodies}
    namespaced = {b["spec"]["names"]["kind"] for b in bodies if b["spec"]["scope"] == "Namespaced"}
    objects = [d for d in documents(folder, ["examples/standard/**/*.yaml", "examples/experimental/**/*.yaml"]) if d.get("kind") in plurals and d["apiVersion"].startswith("gateway.networking")]
    namespace, taken = "gw-" + letters(), 0
    try:
        for body in bodies:
            body["metadata"].pop("creationTimestamp", None)
            define(kube, body)
        assert kube.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).status == 201
        for number, thing in enumerate(objects):
            kind = thing["kind"]
            thing["metadata"]["name"] = f"{thing['metadata']['name']}-{number}"
            thing["metadata"].pop("namespace", None)
            where = f"/apis/{thing['apiVersion']}/" + (f"namespaces/{namespace}/" if kind in namespaced else "") + plurals[kind]
            answer = kube.ask("POST", where + "?fieldValidation=Strict", thing)
            assert answer.status == 201, (thing, answer.text)
            taken += 1
        assert taken > 60
        bad = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "bad"}, "spec": {"gatewayClassName": "", "listeners": []}}
        causes = kube.ask("POST", f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways", bad).json["details"]["causes"]
        assert {(c["field"], c["reason"]) for c in causes} >= {("spec.gatewayClassName", "FieldValueInvalid"), ("spec.listeners", "FieldValueInvalid")}
    finally:
        for body in bodies:
            remove(kube, body["metadata"]["name"])
        kube.ask("DELETE", f"/api/v1/namespaces/{namespace}")


def test_older_objects_follow_the_schema_as_it_is_now(kube):
    group = letters() + ".example.com"
    body = simple("Box", group, {"a": {"type": "string"}, "b": {"type": "string"}})
    name = body["metadata"]["name"]
    base = define(kube, body)[0] + "/namespaces/default/boxs"
    made = kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "x"}, "spec": {"a": "1", "b": "2"}})
    assert made.status == 201
    update(kube, name, lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].update(properties={"a": {"type": "string"}, "c": {"type": "string", "default": "new"}}))
    until("the new schema", lambda: kube.ask("GET", base + "/x").json["spec"] == {"a": "1", "c": "new"})
    assert kube.ask("GET", base).json["items"][0]["spec"] == {"a": "1", "c": "new"}
    assert kube.ask("GET", base + "/x").version == made.version
    remove(kube, name)
    assert kube.ask("GET", base).status == 404


def test_what_was_faulty_before_the_schema_changed_may_stay(kube):
    group = letters() + ".example.com"
    body = simple("Box", group, {"a": {"type": "string"}, "b": {"type": "string"}})
    base = define(kube, body)[0] + "/namespaces/default/boxs"
    thing = {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "x"}, "spec": {"a": "long", "b": "1"}}
    assert kube.ask("POST", base, thing).status == 201
    update(kube, body["metadata"]["name"], lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["a"].update(maxLength=2))
    until("the new schema", lambda: kube.ask("POST", base, {**thing, "metadata": {"name": "y"}}).status == 422)
    assert kube.ask("PATCH", base + "/x", {"spec": {"b": "2"}}, headers=MERGE).status == 200
    assert kube.ask("PATCH", base + "/x", {"spec": {"a": "longer"}}, headers=MERGE).status == 422
    remove(kube, body["metadata"]["name"])


def test_a_definition_goes_when_its_objects_have_gone(kube):
    group = letters() + ".example.com"
    body = simple("Box", group, {})
    name = body["metadata"]["name"]
    base = define(kube, body)[0] + "/namespaces/default/boxs"
    for i in range(3):
        finalizers = ["example.com/keep"] if i == 0 else []
        assert kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": f"x{i}", "finalizers": finalizers}}).status == 201
    kube.ask("DELETE", f"{DEFINITIONS}/{name}")
    until("two of them gone", lambda: len(kube.ask("GET", base).json["items"]) == 1)
    definition = kube.ask("GET", f"{DEFINITIONS}/{name}").json
    assert condition(definition, "Terminating")["status"] == "True" and definition["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    refused = kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "late"}})
    assert refused.status == 405 and "create not allowed while custom resource definition is terminating" in refused.text
    assert kube.ask("PATCH", base + "/x0", {"metadata": {"finalizers": None}}, headers=MERGE).status == 200
    until("the definition gone", lambda: kube.ask("GET", f"{DEFINITIONS}/{name}").status == 404)
    assert kube.ask("GET", base).status == 404


def test_names_that_are_freed_are_taken_by_the_next(kube):
    group = letters() + ".example.com"
    first, second = simple("Box", group, {}), simple("Box", group, {})
    second["metadata"]["name"], second["spec"]["names"]["plural"], second["spec"]["names"]["singular"] = f"crates.{group}", "crates", "crate"
    define(kube, first)
    assert kube.ask("POST", DEFINITIONS, second).status == 201
    path = f"{DEFINITIONS}/crates.{group}"
    refused = until("a conflict", lambda: condition(kube.ask("GET", path).json, "NamesAccepted"))
    assert refused["status"] == "False" and refused["reason"] == "ListKindConflict"
    assert kube.ask("GET", f"/apis/{group}/v1/crates").status == 404
    remove(kube, first["metadata"]["name"])
    until("established", lambda: condition(kube.ask("GET", path).json, "Established").get("status") == "True")
    assert kube.ask("GET", f"/apis/{group}/v1/crates").status == 200
    remove(kube, f"crates.{group}")


def test_objects_go_with_their_namespace_and_their_owner(kube):
    group, namespace = letters() + ".example.com", "crd-" + letters()
    body = simple("Box", group, {})
    base = define(kube, body)[0] + f"/namespaces/{namespace}/boxs"
    assert kube.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).status == 201

    def make(name, owners=()):
        return kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": name, "ownerReferences": list(owners)}})

    owner = make("owner")
    make("owned", [{"apiVersion": f"{group}/v1", "kind": "Box", "name": "owner", "uid": owner.uid}])
    make("free")
    assert kube.ask("DELETE", base + "/owner").status == 200
    until("the owned one gone", lambda: [i["metadata"]["name"] for i in kube.ask("GET", base).json["items"]] == ["free"])
    kube.ask("DELETE", f"/api/v1/namespaces/{namespace}")
    until("the namespace gone", lambda: kube.ask("GET", f"/api/v1/namespaces/{namespace}").status == 404)
    assert kube.ask("GET", f"/apis/{group}/v1/boxs").json["items"] == []
    remove(kube, body["metadata"]["name"])


def test_definitions_change_while_writes_go_on(kube):
    group = letters() + ".example.com"
    body = simple("Box", group, {"n": {"type": "integer"}})
    name = body["metadata"]["name"]
    base = define(kube, body)[0] + "/namespaces/default/boxs"
    over, statuses = threading.Event(), []

    def write(who):
        number = 0
        while not over.is_set():
            number += 1
            answer = kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": f"w{who}-{number}"}, "spec": {"n": number}})
            statuses.append(answer.status)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for w in writers:
        w.start()
    for i in range(20):
        update(kube, name, lambda d, i=i: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].update({f"p{i}": {"type": "string", "default": str(i)}}))
        until("a write since", lambda least=len(statuses) + 2: len(statuses) >= least)
    over.set()
    for w in writers:
        w.join()
    assert set(statuses) == {201} and len(statuses) > 20
    items = kube.ask("GET", base).json["items"]
    assert len(items) == len(statuses) and all(i["spec"]["p19"] == "19" for i in items)
    remove(kube, name)


def test_definitions_and_objects_are_there_after_a_restart(tmp_path):
    up = Up(tmp_path)
    group = letters() + ".example.com"
    body = simple("Box", group, {"a": {"type": "string", "default": "d"}})
    second = {**body["spec"]["versions"][0], "name": "v2", "storage": False}
    body["spec"]["versions"].append(second)
    try:
        base = define(up.cluster, body)[0] + "/namespaces/default/boxs"
        made = up.cluster.ask("POST", base.replace("/v1/", "/v2/"), {"apiVersion": f"{group}/v2", "kind": "Box", "metadata": {"name": "x"}, "spec": {}})
        assert made.status == 201 and made.json["apiVersion"] == f"{group}/v2"
        up.stop()
        up = Up(tmp_path)
        again = up.cluster.ask("GET", base + "/x").json
        assert again["spec"] == {"a": "d"} and again["apiVersion"] == f"{group}/v1" and again["metadata"]["uid"] == made.uid
        remove(up.cluster, body["metadata"]["name"])
    finally:
        assert up.stop() in (0, -15)


def test_watches_of_a_changed_definition_go_on_from_where_they_were(kube):
    group = letters() + ".example.com"
    body = simple("Box", group, {"a": {"type": "string"}})
    name = body["metadata"]["name"]
    base = define(kube, body)[0] + "/namespaces/default/boxs"
    start = kube.ask("GET", base).version
    seen = []

    def follow():
        version = start
        while len(seen) < 2:
            connection = kube.connect()
            kube.send(connection, "GET", f"{base}?watch=true&resourceVersion={version}")
            response = connection.getresponse()
            while len(seen) < 2 and (line := response.readline()):
                event = json.loads(line)
                seen.append((event["type"], event["object"]["metadata"]["name"]))
                version = event["object"]["metadata"]["resourceVersion"]
            connection.close()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "one"}}).status == 201
    until("the first event", lambda: len(seen) == 1)
    update(kube, name, lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].update(b={"type": "string"}))
    assert kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "two"}}).status == 201
    thread.join(DEADLINE)
    assert seen == [("ADDED", "one"), ("ADDED", "two")]
    remove(kube, name)


def test_objects_are_found_by_the_fields_that_the_definition_names(kube):
    group = letters() + ".example.com"
    body = simple("Box", group, {"color": {"type": "string"}, "n": {"type": "integer"}}, selectableFields=[{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.n"}])
    base = define(kube, body)[0] + "/namespaces/default/boxs"
    for i, color in enumerate(("red", "blue", "red")):
        assert kube.ask("POST", base, {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": f"x{i}"}, "spec": {"color": color, "n": i}}).status == 201

    def names(selector):
        return [i["metadata"]["name"] for i in kube.ask("GET", f"{base}?fieldSelector={selector}").json["items"]]

    assert names("spec.color%3Dred") == ["x0", "x2"] and names("spec.color!%3Dred") == ["x1"] and names("spec.n%3D2") == ["x2"]
    remove(kube, body["metadata"]["name"])


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl on this machine")
def test_kubectl_explains_gets_applies_and_scales_custom_objects(kube, kubeconfig, tmp_path):
    group = letters() + ".example.com"
    body = simple("Box", group, {"size": {"type": "integer", "description": "How large the box is.", "minimum": 1}, "replicas": {"type": "integer"}},
                  subresources={"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                  additionalPrinterColumns=[{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}])
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"] = {"type": "object", "properties": {"replicas": {"type": "integer"}}}
    body["spec"]["names"].update(shortNames=["bx"])
    file = tmp_path / "definition.yaml"
    file.write_text(yaml.safe_dump(body))

    def kubectl(*arguments, input=None, ok=True):
        done = subprocess.run(["kubectl", "--kubeconfig", kubeconfig, *arguments], input=input, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)})
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    kubectl("apply", "-f", str(file))
    kubectl("wait", "--for=condition=established", "--timeout=60s", f"crd/boxs.{group}")
    assert "How large the box is." in kubectl("explain", f"boxs.{group}.spec.size")
    thing = yaml.safe_dump({"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "x"}, "spec": {"size": 4, "replicas": 1}})
    kubectl("apply", "-f", "-", input=thing)
    assert kubectl("get", "bx", "x").split() == ["NAME", "SIZE", "x", "4"]
    kubectl("scale", "--replicas=3", f"boxs.{group}/x")
    assert kubectl("get", f"boxs.{group}", "x", "-o", "jsonpath={.spec.replicas}") == "3"
    assert "should be greater than or equal to 1" in kubectl("apply", "-f", "-", input=thing.replace("size: 4", "size: 0"), ok=False)
    assert 'unknown field "spec.sise"' in kubectl("apply", "-f", "-", input=thing.replace("size: 4", "sise: 4"), ok=False)
    assert kubectl("apply", "--server-side", "-f", "-", input=thing.replace("replicas: 1", "replicas: 3"), ok=True)
    kubectl("delete", "-f", str(file))
    assert kube.ask("GET", f"/apis/{group}/v1/boxs").status == 404
