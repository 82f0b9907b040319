# SPDX-License-Identifier: Apache-2.0
"""Server-side apply in depth: shared fields, given-up fields, subresources, sets and maps, managed fields that a client edits."""
from scenarios import scenario
from session import APPLY, JSON_PATCH, MERGE


def by(manager, **more):
    return "?fieldManager=" + manager + "".join(f"&{k}={v}" for k, v in more.items())


def config(name, data=None, **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, **({"data": data} if data is not None else {})}


@scenario()
def shared_fields(s):
    path = s.core("configmaps", "c")
    s.patch("one makes it", path + by("one"), config("c", {"a": "1", "b": "1"}), type=APPLY)
    s.patch("two has the same value", path + by("two"), config("c", {"a": "1", "x": "2"}), type=APPLY)
    s.patch("two has another value", path + by("two"), config("c", {"a": "2", "x": "2"}), type=APPLY)
    s.patch("one gives up what is shared", path + by("one"), config("c", {"b": "1"}), type=APPLY)
    s.patch("two takes the rest by force", path + by("two", force="true"), config("c", {"a": "2", "b": "2"}), type=APPLY)
    s.patch("one comes back empty", path + by("one"), config("c"), type=APPLY)
    s.patch("a third patches what two has", path + by("three"), {"data": {"a": "3"}}, type=MERGE)
    s.patch("two meets the third", path + by("two"), config("c", {"a": "2", "b": "2"}), type=APPLY)
    s.patch("two takes it back", path + by("two", force="true"), config("c", {"a": "2", "b": "2"}), type=APPLY)
    s.patch("nothing changes", path + by("two"), config("c", {"a": "2", "b": "2"}), type=APPLY)
    s.patch("a dry run", path + by("four", dryRun="All", force="true"), config("c", {"a": "9"}), type=APPLY)
    s.get("after the dry run", path)
    s.patch("two gives all up", path + by("two"), config("c"), type=APPLY)
    s.put("replaced by an update", path + by("five"), config("c", {"n": "1"}))
    s.patch("an update's field is taken without a word when it is equal", path + by("two"), config("c", {"n": "1"}), type=APPLY)
    s.patch("another value meets the update", path + by("two"), config("c", {"n": "2"}), type=APPLY)


@scenario()
def of_metadata(s):
    path = s.core("configmaps", "m")
    s.patch("labels and annotations", path + by("one"), config("m", labels={"a": "1", "b": "1"}, annotations={"x": "1"}), type=APPLY)
    s.patch("another's labels", path + by("two"), config("m", labels={"c": "1"}), type=APPLY)
    s.patch("a label is given up", path + by("one"), config("m", labels={"a": "1"}), type=APPLY)
    s.patch("finalizers of two", path + by("one"), config("m", finalizers=["example.com/a", "example.com/b"]), type=APPLY)
    s.patch("the set is shared", path + by("two"), config("m", finalizers=["example.com/b", "example.com/c"]), type=APPLY)
    s.patch("one leaves the set", path + by("one"), config("m"), type=APPLY)
    owner = s.prepare("POST", s.core("configmaps"), config("owner")).json["metadata"]["uid"]
    s.patch("an owner", path + by("one"), config("m", ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}]), type=APPLY)
    s.patch("the owner goes", path + by("one"), config("m"), type=APPLY)
    s.patch("another name", path + by("one"), config("other"), type=APPLY)
    s.patch("no name", path + by("one"), {"apiVersion": "v1", "kind": "ConfigMap"}, type=APPLY)
    s.patch("another namespace", path + by("one"), config("m", namespace="default"), type=APPLY)
    s.patch("an old revision", path + by("one"), config("m", {"a": "1"}, resourceVersion="1"), type=APPLY)
    s.patch("another uid", path + by("one"), config("m", uid="00000000-0000-0000-0000-000000000000"), type=APPLY)
    s.patch("a uid for what is not there", s.core("configmaps", "none") + by("one"), config("none", uid="00000000-0000-0000-0000-000000000000"), type=APPLY)
    s.patch("managed fields", path + by("one"), config("m", managedFields=[{"manager": "x"}]), type=APPLY)
    s.patch("a null", path + by("one"), config("m", labels=None), type=APPLY)
    s.patch("an unknown field", path + by("one"), {**config("m"), "junk": 1}, type=APPLY)
    s.patch("a wrong type", path + by("one"), {**config("m"), "data": ["x"]}, type=APPLY)
    s.patch("no YAML", path + by("one"), "a: [", type=APPLY)
    s.patch("empty", path + by("one"), "", type=APPLY)
    s.prepare("PATCH", path, {"metadata": {"finalizers": None}}, type=MERGE)


@scenario()
def managed_fields_edited(s):
    path = s.core("configmaps", "e")
    s.prepare("POST", s.core("configmaps") + by("maker"), config("e", {"a": "1"}))
    s.patch("emptied", path + by("cleaner"), {"metadata": {"managedFields": [{}]}}, type=MERGE)
    s.get("is empty", path)
    s.patch("an update after that", path + by("later"), {"data": {"b": "1"}}, type=MERGE)
    s.patch("an apply after that", path + by("applier"), config("e", {"c": "1"}), type=APPLY)
    s.patch("an update then", path + by("later"), {"data": {"d": "1"}}, type=MERGE)
    s.patch("emptied by an empty list", path + by("cleaner"), {"metadata": {"managedFields": []}}, type=MERGE)
    s.patch("emptied by JSON patch", path + by("cleaner"), [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}], type=JSON_PATCH)
    s.patch("an entry without an operation", path + by("x"), {"metadata": {"managedFields": [{"manager": "m", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}]}}, type=MERGE)
    s.patch("an entry of another type", path + by("x"), {"metadata": {"managedFields": [{"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "V9", "fieldsV1": {}}]}},
            type=MERGE)
    s.patch("given to another", path + by("x"), {"metadata": {"managedFields": [{"manager": "given", "operation": "Apply", "apiVersion": "v1", "time": "2020-01-01T00:00:00Z",
                                                                                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}]}}, type=MERGE)
    s.patch("the heir gives it up", path + by("given"), config("e", {}), type=APPLY)


@scenario()
def from_client_side(s):
    """kubectl apply --server-side over what kubectl apply has made."""
    path = s.core("configmaps", "k")
    last = '{"apiVersion":"v1","data":{"a":"1","b":"1"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"k"}}\n'
    s.prepare("POST", s.core("configmaps") + by("kubectl-client-side-apply"), config("k", {"a": "1", "b": "1"}, annotations={"kubectl.kubernetes.io/last-applied-configuration": last}))
    s.patch("the first", path + by("kubectl"), config("k", {"a": "1"}), type=APPLY)
    s.patch("with another value", path + by("kubectl"), config("k", {"a": "2"}), type=APPLY)
    s.patch("by force", path + by("kubectl", force="true"), config("k", {"a": "2"}), type=APPLY)
    s.patch("again", path + by("kubectl"), config("k", {"a": "3"}), type=APPLY)


def deployment(name, containers, **spec):
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod, **spec}}


@scenario()
def of_lists_and_defaults(s):
    path = s.at("apps/v1", "deployments", "d")
    c = {"name": "c", "image": "i:1"}
    s.patch("a port without its protocol", path + by("one"), deployment("d", [{**c, "ports": [{"containerPort": 80}]}]), type=APPLY)
    s.patch("the same with it", path + by("one"), deployment("d", [{**c, "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]}]), type=APPLY)
    s.patch("an atomic list", path + by("one"), deployment("d", [{**c, "args": ["a", "b"]}]), type=APPLY)
    s.patch("an atomic list of another", path + by("two"), {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [
        {"name": "c", "args": ["a"]}]}}}}, type=APPLY)
    s.patch("an atomic map changes whole", path + by("one"), deployment("d", [c], template={"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [c], "nodeSelector": {"x": "y"}}}), type=APPLY)
    s.patch("resources", path + by("one"), deployment("d", [{**c, "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}]), type=APPLY)
    s.patch("the same amount written otherwise", path + by("one"), deployment("d", [{**c, "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]), type=APPLY)
    s.patch("the order of elements", path + by("one"), deployment("d", [{"name": "b", "image": "i:2"}, c]), type=APPLY)
    s.patch("the other order", path + by("one"), deployment("d", [c, {"name": "b", "image": "i:2"}]), type=APPLY)
    s.patch("the last element goes", path + by("one"), deployment("d", [c]), type=APPLY)
    s.patch("a required field is given up", path + by("one"), {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}, type=APPLY)
    s.patch("status with the object", path + by("one"), {**deployment("d", [c]), "status": {"replicas": 9}}, type=APPLY)
    s.patch("the status alone", path + "/status" + by("ctl"), {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "status": {"observedGeneration": 1}}, type=APPLY)
    s.patch("the status of what is not there", s.at("apps/v1", "deployments", "none", "status") + by("ctl"),
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "none"}, "status": {"observedGeneration": 1}}, type=APPLY)
    s.patch("scale", path + "/scale" + by("ctl"), {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 2}}, type=APPLY)
    s.get("after scale", path)
    s.patch("scale again", path + "/scale" + by("other"), {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 3}}, type=APPLY)
