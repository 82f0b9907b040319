# SPDX-License-Identifier: Apache-2.0
"""Requests as programs and people by hand send them: methods, paths, types, forms of answers, options that do not fit."""
from urllib.parse import urlencode

from scenarios import scenario
from scenarios.objects import config
from session import JSON_PATCH, MERGE, PARTIAL_LIST, STRATEGIC, TABLE


def query(**options):
    return "?" + urlencode(options)


@scenario()
def methods(s):
    path = s.core("configmaps")
    s.prepare("POST", path, config("m"))
    s.ask("HEAD of an object", "HEAD", path + "/m")
    s.ask("HEAD of a list", "HEAD", path)
    s.ask("HEAD of nothing", "HEAD", path + "/none")
    for method in ("OPTIONS", "TRACE", "PROPFIND", "get"):
        s.ask("method " + method, method, path + "/m")
    s.put("PUT of a collection", path, config("m"))
    s.patch("PATCH of a collection", path, {})
    s.post("POST of an object", path + "/m", config("m"))
    s.delete("DELETE of a version", "/api/v1")
    s.post("POST of a version", "/apis/apps/v1", {})
    s.post("POST to health", "/healthz", {})
    s.delete("DELETE of all namespaces", "/api/v1/namespaces")
    s.post("POST of pods everywhere", "/api/v1/pods", {"metadata": {"name": "p"}})
    s.put("PUT of a scale that is none", path + "/m/scale", {})
    s.delete("DELETE of a status", s.at("apps/v1", "deployments", "d", "status"))
    s.post("POST of a status", s.at("apps/v1", "deployments", "d", "status"), {})


@scenario()
def paths(s):
    path = s.core("configmaps")
    s.prepare("POST", path, config("p"))
    for title, tried in {
        "a slash at the end": path + "/p/",
        "two slashes": path + "//p",
        "a dot": path + "/./p",
        "two dots": path + "/x/../p",
        "an escape": path + "/%70",
        "an escaped slash": path + "/p%2fstatus",
        "a bad escape": path + "/%zz",
        "a subresource that is not there": path + "/p/status",
        "too deep": path + "/p/a/b/c",
        "capitals": "/API/v1/namespaces",
        "a kind for a resource": f"/api/v1/namespaces/{s.ns}/ConfigMap",
        "no resource": f"/api/v1/namespaces/{s.ns}/",
        "a group without a version": "/apis/apps/deployments",
        "a cluster-wide kind in a namespace": f"/api/v1/namespaces/{s.ns}/nodes",
        "a namespace's subresource": f"/api/v1/namespaces/{s.ns}/status",
        "a namespace that is not there": "/api/v1/namespaces/none-here/configmaps",
        "an object there": "/api/v1/namespaces/none-here/configmaps/x",
        "a name with a space": path + "/a%20b",
        "a very long name": path + "/" + "x" * 900,
        "the old watch": "/api/v1/watch/namespaces/none-here/configmaps?timeoutSeconds=1",
        "a proxy": f"/api/v1/namespaces/{s.ns}/services/none/proxy/",
    }.items():
        s.get(title, tried)
    s.get("a query that is long", path + query(labelSelector="a in (" + ",".join(f"v{i}" for i in range(2000)) + ")"), shape=lambda b: len(b["items"]))


@scenario()
def forms(s):
    path = s.core("configmaps")
    s.prepare("POST", path, config("f"))
    for title, accept in {
        "anything": "*/*",
        "protobuf only": "application/vnd.kubernetes.protobuf",
        "protobuf, else JSON": "application/vnd.kubernetes.protobuf,application/json",
        "CBOR only": "application/cbor",
        "text": "text/html",
        "as a browser": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "JSON with a charset": "application/json; charset=utf-8",
        "JSON in capitals": "Application/JSON",
        "qualities": "application/yaml;q=0.5,application/json;q=0.9",
        "a broken range": ";;,",
        "a stream": "application/json;stream=watch",
    }.items():
        s.get(title, path + "/f", accept=accept, shape=lambda b: [b.get("kind"), b.get("message")] if isinstance(b, dict) else "text" if accept == "*/*" else b[:20])
    s.get("a table of another version", path, accept="application/json;as=Table;v=v1beta1;g=meta.k8s.io")
    s.get("a table of another group", path, accept="application/json;as=Table;v=v1;g=other.io")
    s.get("a list as partial metadata, as YAML", path, accept=PARTIAL_LIST.replace("application/json", "application/yaml", 1), shape=lambda b: b if isinstance(b, dict) else "yaml")
    s.get("pretty", path + "/f?pretty=true")
    s.get("a fault, pretty", path + "/none?pretty=1")
    s.post("a body of no type", path, config("t1"), type=None)
    s.post("a body as text", path, config("t2"), type="text/plain")
    s.post("a body of JSON with a charset", path, config("t3"), type="application/json; charset=utf-8")
    s.post("a body of a broken type", path, config("t4"), type="application/")
    s.post("a body that says it is protobuf", path, config("t5"), type="application/vnd.kubernetes.protobuf")
    s.post("a body of CBOR", path, b"\xa0".decode("latin-1"), type="application/cbor")
    s.patch("a patch with a charset", path + "/f", {"data": {"a": "2"}}, type=MERGE + "; charset=utf-8")


@scenario()
def options_that_do_not_fit(s):
    path = s.core("configmaps")
    names = lambda b: sorted(i["metadata"]["name"] for i in b["items"]) if "items" in b else b
    s.prepare("POST", path, config("o"))
    rv = s.prepare("GET", path).json["metadata"]["resourceVersion"]
    first = s.prepare("GET", path + "?limit=1").json["metadata"]["continue"]
    for title, options in {
        "a token with a revision": {"continue": first, "resourceVersion": rv},
        "a token with revision 0": {"continue": first, "resourceVersion": "0"},
        "a token with a match": {"continue": first, "resourceVersionMatch": "Exact"},
        "a match alone": {"resourceVersionMatch": "NotOlderThan"},
        "exactly 0": {"resourceVersion": "0", "resourceVersionMatch": "Exact"},
        "exactly": {"resourceVersion": rv, "resourceVersionMatch": "Exact"},
        "exactly with a limit": {"resourceVersion": rv, "resourceVersionMatch": "Exact", "limit": 500},
        "not older": {"resourceVersion": rv, "resourceVersionMatch": "NotOlderThan"},
        "an unknown match": {"resourceVersion": rv, "resourceVersionMatch": "Maybe"},
        "initial events of a list": {"sendInitialEvents": "true"},
        "a negative limit": {"limit": -1},
        "a limit of letters": {"limit": "many"},
        "a timeout of letters": {"timeoutSeconds": "long"},
        "an unknown option": {"junk": "1"},
        "a broken label selector": {"labelSelector": "a in b"},
        "an unknown field": {"fieldSelector": "data.a=1"},
        "a broken field selector": {"fieldSelector": "metadata.name"},
        "a name by two fields": {"fieldSelector": "metadata.name=o,metadata.namespace=" + s.ns},
    }.items():
        s.get(title, path + query(**options), shape=names)
    for title, options in {
        "dry run of something": {"dryRun": "Some"},
        "two dry runs": {"dryRun": "All"},
        "a validation that is none": {"fieldValidation": "strict"},
        "a manager with a line end": {"fieldManager": "a\nb"},
        "a force": {"force": "true"},
    }.items():
        s.post("create: " + title, path + query(**options), config("made-" + str(len(title))))
        s.patch("patch: " + title, path + "/o" + query(**options), {"data": {"n": title}})
    for title, body in {
        "an unknown policy": {"propagationPolicy": "Never"},
        "a policy and orphans": {"propagationPolicy": "Background", "orphanDependents": True},
        "a wrong uid": {"preconditions": {"uid": "x"}},
        "an old revision": {"preconditions": {"resourceVersion": "1"}},
        "a negative time": {"gracePeriodSeconds": -1},
        "another kind": {"kind": "Pod", "apiVersion": "v1"},
        "an unknown field": {"junk": 1},
        "a wrong type": {"gracePeriodSeconds": "x"},
        "no object": [],
    }.items():
        s.delete("delete: " + title, path + "/o", body)
        s.prepare("POST", path, config("o"), may_fail=True)
    s.delete("delete: by the query", path + "/o?propagationPolicy=Orphan&gracePeriodSeconds=0")


@scenario()
def watches_that_do_not_fit(s):
    path = s.core("secrets")
    rv = s.prepare("GET", path).json["metadata"]["resourceVersion"]
    kind = lambda e: [e["type"], *(e["object"].get(k) for k in ("kind", "code", "reason", "message"))] if "type" in e else e
    for title, options in {
        "initial events without a match": {"sendInitialEvents": "true", "allowWatchBookmarks": "true"},
        "initial events without bookmarks": {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"},
        "initial events": {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true", "timeoutSeconds": "2"},
        "a match without initial events": {"resourceVersion": rv, "resourceVersionMatch": "NotOlderThan"},
        "a limit": {"limit": "1", "timeoutSeconds": "1"},
        "an end": {"resourceVersion": rv, "timeoutSeconds": "1"},
        "a revision of letters": {"resourceVersion": "x"},
    }.items():
        s.watch(title, path + query(watch="1", **options), 1, seconds=4, shape=kind)


@scenario(generates=("gen-", "Bad_", "a."))
def names_that_are_made(s):
    path = s.core("configmaps")
    for title, prefix in {"a prefix": "gen-", "a long prefix": "x" * 100, "a bad prefix": "Bad_", "a prefix with a dot": "a."}.items():
        s.post(title, path, {"metadata": {"generateName": prefix}}, shape=lambda b: {**b, "metadata": {**b["metadata"], "name": b["metadata"].get("name", "")[:-5]}} if b["kind"] != "Status" else b)
    s.post("a name and a prefix", path, {"metadata": {"name": "n", "generateName": "gen-"}})
    s.post("the name is taken", path, {"metadata": {"name": "n", "generateName": "gen-"}})
    s.post("neither", path, {"metadata": {}})
    s.post("a dry run", path + "?dryRun=All", {"metadata": {"generateName": "gen-"}}, shape=lambda b: sorted(b["metadata"]))


@scenario()
def directives(s):
    path = s.at("apps/v1", "deployments")
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}, {"name": "d", "image": "i"}],
                                                      "volumes": [{"name": "v", "emptyDir": {}}]}}
    s.prepare("POST", path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "finalizers": ["example.com/a", "example.com/b"]},
                             "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod}})
    shape = lambda b: {"spec": b["spec"], "finalizers": b["metadata"].get("finalizers")} if "spec" in b else b
    inside = lambda spec: {"spec": {"template": {"spec": spec}}}
    for title, patch in {
        "order of containers": inside({"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}]}),
        "order with a new one": inside({"$setElementOrder/containers": [{"name": "e"}, {"name": "d"}, {"name": "c"}], "containers": [{"name": "e", "image": "x"}]}),
        "order that leaves one out": inside({"$setElementOrder/containers": [{"name": "d"}], "containers": [{"name": "c", "image": "y"}]}),
        "delete an element": inside({"containers": [{"$patch": "delete", "name": "e"}]}),
        "delete what is not there": inside({"containers": [{"$patch": "delete", "name": "none"}]}),
        "replace a list": inside({"volumes": [{"$patch": "replace"}, {"name": "w", "emptyDir": {}}]}),
        "replace a map": {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}},
        "keys kept": {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        "keys kept, one more given": {"spec": {"strategy": {"$retainKeys": ["type"], "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        "a volume of another kind": inside({"volumes": [{"$retainKeys": ["name", "hostPath"], "name": "w", "hostPath": {"path": "/x"}}]}),
        "a primitive list": {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}},
        "a primitive list, merged": {"metadata": {"finalizers": ["example.com/c"], "$setElementOrder/finalizers": ["example.com/c", "example.com/b"]}},
        "delete a map": {"spec": {"template": {"metadata": {"annotations": {"$patch": "delete"}}}}},
        "an element's list": inside({"containers": [{"name": "c", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]}]}),
        "a null in a list": inside({"containers": [None]}),
        "a directive that is no text": inside({"$patch": 1}),
    }.items():
        s.patch(title, path + "/d", patch, type=STRATEGIC, shape=shape)
    for title, patch in {
        "copy into itself": [{"op": "copy", "from": "/spec", "path": "/spec/template/spec/x"}],
        "move into itself": [{"op": "move", "from": "/spec", "path": "/spec/template"}],
        "test of a list": [{"op": "test", "path": "/metadata/finalizers", "value": ["example.com/c", "example.com/b"]}],
        "test of null": [{"op": "test", "path": "/metadata/none", "value": None}],
        "an index behind the end": [{"op": "add", "path": "/metadata/finalizers/9", "value": "example.com/z"}],
        "an index from the end": [{"op": "replace", "path": "/metadata/finalizers/-1", "value": "example.com/z"}],
        "an escape in a path": [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {}}, {"op": "add", "path": "/spec/template/metadata/annotations/a~1b~0c", "value": "x"}],
        "no path": [{"op": "add", "value": 1}],
        "an unknown operation": [{"op": "swap", "path": "/a"}],
    }.items():
        s.patch("JSON: " + title, path + "/d", patch, type=JSON_PATCH, shape=shape)
    s.prepare("PATCH", path + "/d", {"metadata": {"finalizers": None}}, type=MERGE)


@scenario()
def collections(s):
    path = s.core("configmaps")
    for name, labels in {"a": {"x": "1"}, "b": {"x": "1"}, "c": {"x": "2"}, "held": {"x": "1"}}.items():
        s.prepare("POST", path, {"metadata": {"name": name, "labels": labels, **({"finalizers": ["example.com/hold"]} if name == "held" else {})}})
    names = lambda b: sorted(i["metadata"]["name"] for i in b["items"] if i["metadata"]["name"] != "kube-root-ca.crt") if "items" in b else b
    s.delete("a dry run", path + "?labelSelector=x%3D1&dryRun=All", shape=names)
    s.get("all are there", path, shape=names)
    s.delete("by label", path + "?labelSelector=x%3D1", shape=names)
    s.get("the rest", path, shape=names)
    s.delete("by field", path + "?fieldSelector=metadata.name%3Dc", shape=names)
    s.delete("of none", path + "?labelSelector=x%3D9", shape=names)
    s.delete("with a precondition", path + "?labelSelector=x%3D1", {"preconditions": {"uid": "x"}}, shape=names)
    s.delete("as a table", path + "?labelSelector=x%3D9", accept=TABLE, shape=lambda b: b["kind"])
    s.patch("the held one is let go", path + "/held", {"metadata": {"finalizers": None}})
    s.get("nothing is left", path, shape=names)
