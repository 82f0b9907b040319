# SPDX-License-Identifier: Apache-2.0
"""One object from create to delete: the verbs, and what is refused."""
from scenarios import scenario
from session import PARTIAL


def config(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"a": "1"}}


@scenario()
def life_of_a_config_map(s):
    made = s.post("create", s.core("configmaps"), config("one"))
    s.get("get", s.core("configmaps", "one"))
    s.post("create again", s.core("configmaps"), config("one"))
    body = made.json
    body["data"] = {"a": "2"}
    changed = s.put("replace", s.core("configmaps", "one"), body)
    s.fact("a replace raises the revision", int(changed.version) > int(made.version))
    body["data"] = {"a": "3"}
    s.put("replace from an old revision", s.core("configmaps", "one"), body)
    same = s.put("replace by the same", s.core("configmaps", "one"), changed.json)
    s.fact("a write that changes nothing keeps the revision", same.version == changed.version)
    s.put("replace without a revision", s.core("configmaps", "one"), config("one", b="1"))
    s.put("replace under another name", s.core("configmaps", "one"), config("two"))
    s.put("replace one that is not there", s.core("configmaps", "none"), config("none"))
    body = config("none2")
    body["metadata"]["resourceVersion"] = "1"
    s.put("replace one that is not there, with a revision", s.core("configmaps", "none2"), body)
    body["metadata"]["uid"] = made.uid
    s.put("replace one that is not there, with a uid", s.core("configmaps", "none2"), body)
    wrong = config("one")
    wrong["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    s.put("replace with another uid", s.core("configmaps", "one"), wrong)
    s.delete("delete", s.core("configmaps", "one"))
    s.delete("delete again", s.core("configmaps", "one"))
    s.get("get what is gone", s.core("configmaps", "one"))


@scenario()
def create_refused(s):
    path = s.core("configmaps")
    s.post("no name", path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})
    s.post("bad name", path, config("Bad_Name"))
    s.post("long name", path, config("a" * 254))
    s.post("other kind", path, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})
    s.post("other version", path, {"apiVersion": "apps/v1", "kind": "ConfigMap", "metadata": {"name": "x"}})
    s.post("unknown version", path, {"apiVersion": "v9", "kind": "ConfigMap", "metadata": {"name": "x"}})
    s.post("no kind", path, {"metadata": {"name": "nokind"}, "data": {"a": "1"}})
    s.post("other namespace", path, {**config("x"), "metadata": {"name": "x", "namespace": "default"}})
    s.post("a revision", path, {**config("x"), "metadata": {"name": "x", "resourceVersion": "5"}})
    s.post("broken JSON", path, '{"apiVersion": "v1", ')
    s.post("an empty body", path, "")
    s.post("a list for an object", path, "[]")
    s.post("a number for a text", path, {**config("x"), "data": {"a": 1}})
    s.post("a text for an object", path, {**config("x"), "data": "text"})
    s.post("a text for metadata", path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "x"})
    s.post("unknown media type", path, "x", type="text/plain")
    s.post("bad keys", path, config("x", **{"bad key!": "1", "ok": "2"}))
    s.post("bad labels", path, {**config("x"), "metadata": {"name": "x", "labels": {"-bad": "1", "a": "not ok!", "b/c/d": "1"}}})
    s.post("bad annotations", path, {**config("x"), "metadata": {"name": "x", "annotations": {"bad key": "1"}}})
    s.post("bad finalizer", path, {**config("x"), "metadata": {"name": "x", "finalizers": ["bad finalizer"]}})
    s.post("finalizer without a domain", path, {**config("x"), "metadata": {"name": "x", "finalizers": ["plain"]}})
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}
    s.post("bad owner", path, {**config("x"), "metadata": {"name": "x", "ownerReferences": [owner]}})
    two = [{"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in "ab"]
    s.post("two controllers", path, {**config("x"), "metadata": {"name": "x", "ownerReferences": two}})
    s.post("too large", path, config("x", big="x" * (1024 * 1024 + 1)))
    s.post("namespace that is not there", s.core("configmaps", ns="not-there"), config("x"))
    s.post("on a path with a name", s.core("configmaps", "x"), config("x"))


@scenario(generates=["gen-", "Bad_"])
def generated_names(s):
    path = s.core("configmaps")
    made = s.post("generateName", path, {"metadata": {"generateName": "gen-"}})
    s.fact("five letters are added", len(made.json["metadata"]["name"]) == 9)
    s.post("both names", path, {"metadata": {"generateName": "gen-", "name": "given"}})
    s.post("bad prefix", path, {"metadata": {"generateName": "Bad_"}})
    s.post("a dry run", path + "?dryRun=All", {"metadata": {"generateName": "gen-"}})


@scenario()
def bodies_in_yaml(s):
    path = s.core("configmaps")
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {%s}\n"
    s.post("create", path, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yam\ndata:\n  a: '1'\n  b: |\n    two\n    lines\n", type="application/yaml")
    s.put("replace", path + "/yam", text % ("yam", "c: x"), type="application/yaml")
    s.post("a name that is a truth value", path, text % ("y", "c: x"), type="application/yaml")
    s.post("broken", path, "apiVersion: v1\n  kind: [", type="application/yaml")
    s.post("a number for a text", path, text % ("z", "c: 1"), type="application/yaml")
    s.post("anchors", path, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: anchors}\ndata: {a: &x hello, b: *x}\n", type="application/yaml")
    s.post("two documents", path, text % ("first", "a: x") + "---\n" + text % ("second", "a: x"), type="application/yaml")
    s.get("an answer in YAML", path + "/yam", accept="application/yaml", shape=lambda body: sorted(line.split(":")[0] for line in body.split("\n")))


@scenario()
def dry_runs(s):
    path = s.core("configmaps")
    made = s.post("create", path + "?dryRun=All", config("dry"))
    s.fact("a uid but no revision", ["uid" in made.json["metadata"], "resourceVersion" in made.json["metadata"]])
    s.get("nothing was made", path + "/dry")
    s.post("of an unknown kind", path + "?dryRun=Some", config("dry"))
    s.prepare("POST", path, config("kept"))
    s.post("of a name that is taken", path + "?dryRun=All", config("kept"))
    s.put("replace", path + "/kept?dryRun=All", config("kept", z="9"))
    s.patch("patch", path + "/kept?dryRun=All", {"data": {"y": "1"}})
    s.delete("delete", path + "/kept?dryRun=All")
    s.delete("delete by options", path + "/kept", {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})
    s.get("still as it was", path + "/kept")


@scenario()
def field_validation(s):
    path = s.core("configmaps")
    body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s","junk":1},"dat":{"a":"1"},"data":{"a":"1","a":"2"},"data":{"b":"3"}}'
    s.post("strict", path + "?fieldValidation=Strict", body % "strict")
    s.post("warn", path + "?fieldValidation=Warn", body % "warn")
    s.post("by itself", path, body % "none")
    s.post("ignore", path + "?fieldValidation=Ignore", body % "ignore")
    s.post("unknown mode", path + "?fieldValidation=Maybe", body % "maybe")
    deployments = s.at("apps/v1", "deployments")
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "imag": "x", "ports": [{"containerPort": 80, "port": 1}]}]}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod, "replica": 2}}
    s.post("strict, deep", deployments + "?fieldValidation=Strict", deployment)
    s.post("warn, deep", deployments + "?fieldValidation=Warn", deployment)
    s.post("strict YAML", path + "?fieldValidation=Strict", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yam}\ndat: {}\ndata: {a: x, a: z}\n", type="application/yaml")
    s.prepare("POST", path, config("p"))
    s.patch("strict merge patch", path + "/p?fieldValidation=Strict", {"dat": {"a": "1"}})
    s.patch("warn merge patch", path + "/p?fieldValidation=Warn", {"dat": {"a": "1"}})
    s.put("strict replace", path + "/p?fieldValidation=Strict", {**config("p"), "dat": 1})
    s.post("case counts", path + "?fieldValidation=Strict", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "case"}, "Data": {"a": "1"}})
    s.post("a wrong type, strict", deployments + "?fieldValidation=Strict", {**deployment, "spec": {**deployment["spec"], "replicas": "three"}})


@scenario()
def fields_of_the_server(s):
    path = s.core("configmaps")
    meta = {"name": "own", "uid": "11111111-1111-1111-1111-111111111111", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "/x",
            "deletionTimestamp": "2001-01-01T00:00:00Z", "deletionGracePeriodSeconds": 5}
    made = s.post("given at create", path, {"metadata": meta, "data": {"a": "1"}})
    s.fact("are the server's own", [made.uid[:8] == "11111111", made.json["metadata"]["creationTimestamp"][:4] == "2001"])
    body = made.json
    body["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    body["metadata"]["generation"] = 5
    s.put("given at replace", path + "/own", body)
    deployments = s.at("apps/v1", "deployments")
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
    s.post("status at create", deployments, {"metadata": {"name": "d"}, "spec": spec, "status": {"replicas": 5, "observedGeneration": 3}})
    s.patch("status on the main path", deployments + "/d", {"status": {"replicas": 4}})
    s.patch("generation rises with spec", deployments + "/d", {"spec": {"replicas": 2}})
    s.patch("generation does not rise with labels", deployments + "/d", {"metadata": {"labels": {"x": "y"}}})
    s.patch("generation rises with annotations", deployments + "/d", {"metadata": {"annotations": {"x": "y"}}})
    s.patch("status on its own path", deployments + "/d/status", {"status": {"replicas": 4, "observedGeneration": 1}, "spec": {"replicas": 9}, "metadata": {"labels": {"z": "1"}}})
    s.get("status path", deployments + "/d/status")
    full = s.get("the whole", deployments + "/d").json
    full["status"]["readyReplicas"] = 3
    full["spec"]["replicas"] = 11
    s.put("replace the status", deployments + "/d/status", full)
    full["status"]["readyReplicas"] = -3
    full["metadata"]["resourceVersion"] = ""
    s.put("replace the status by a bad one", deployments + "/d/status", full)
    s.post("create a status", deployments + "/d/status", full)
    s.delete("delete a status", deployments + "/d/status")


@scenario()
def scale_of_a_deployment(s):
    path = s.at("apps/v1", "deployments")
    spec = {"selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "t", "operator": "In", "values": ["x", "y"]}]},
            "template": {"metadata": {"labels": {"a": "b", "t": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
    s.prepare("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    first = s.get("get", path + "/d/scale")
    s.patch("merge", path + "/d/scale", {"spec": {"replicas": 4}})
    s.put("replace from an old revision", path + "/d/scale", first.json)
    body = s.get("get again", path + "/d/scale").json
    body["spec"]["replicas"] = 2
    s.put("replace", path + "/d/scale", body)
    body["spec"]["replicas"] = -1
    del body["metadata"]["resourceVersion"]
    s.put("replace by a negative number", path + "/d/scale", body)
    s.put("replace by another kind", path + "/d/scale", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}})
    s.get("the object", path + "/d")
    s.get("of one that is not there", path + "/none/scale")
    s.get("of a kind without", s.core("configmaps", "x", "scale"))
    s.patch("JSON patch", path + "/d/scale", [{"op": "replace", "path": "/spec/replicas", "value": 7}], type="application/json-patch+json")
    s.get("as a table", path + "/d/scale", accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json")


@scenario()
def forms_of_one_object(s):
    path = s.core("configmaps")
    s.prepare("POST", path, config("form"))
    s.get("only metadata", path + "/form", accept=PARTIAL)
    s.get("a list of only metadata", path + "?fieldSelector=metadata.name%3Dform", accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
    s.get("a form that nobody knows", path + "/form", accept="application/json;as=Poem;v=v1;g=meta.k8s.io")
    s.get("a media type that nobody knows", path + "/form", accept="image/png")
    s.get("any media type", path + "/form", accept="*/*")
    s.get("several media types", path + "/form", accept="image/png, application/json;q=0.5")
    s.get("pretty", path + "/form?pretty=true")
    s.get("HEAD is a get", path + "/form")
    s.ask("a method that nobody knows", "BREW", path + "/form")
    s.ask("PUT on a list", "PUT", path, config("x"))
    s.ask("PATCH on a list", "PATCH", path, {}, type="application/merge-patch+json")
    s.ask("OPTIONS", "OPTIONS", path)


@scenario(make_namespace=False)
def namespaces(s):
    path = "/api/v1/namespaces"
    s.post("create", path, {"metadata": {"name": s.ns}})
    s.namespaces.append(s.ns)
    s.post("bad name", path, {"metadata": {"name": "a.b"}})
    s.post("create again", path, {"metadata": {"name": s.ns}})
    s.get("get", f"{path}/{s.ns}")
    s.until(f"{path}/{s.ns}/serviceaccounts/default", lambda a: a.status == 200)
    s.until(f"{path}/{s.ns}/configmaps/kube-root-ca.crt", lambda a: a.status == 200)
    s.get("its service account", f"{path}/{s.ns}/serviceaccounts/default")
    s.get("its configuration", f"{path}/{s.ns}/configmaps/kube-root-ca.crt")
    s.patch("labels", f"{path}/{s.ns}", {"metadata": {"labels": {"a": "b"}}})
    s.patch("its own label stays", f"{path}/{s.ns}", {"metadata": {"labels": {"kubernetes.io/metadata.name": None}}})
    s.prepare("POST", s.core("configmaps"), {**config("held"), "metadata": {"name": "held", "finalizers": ["example.com/held"]}})
    s.prepare("POST", s.core("secrets"), {"metadata": {"name": "gone"}})
    s.delete("delete", f"{path}/{s.ns}")
    s.until(f"{path}/{s.ns}", lambda a: any(c["type"] == "NamespaceFinalizersRemaining" and c["status"] == "True" for c in a.json.get("status", {}).get("conditions", [])))
    s.get("while it ends", f"{path}/{s.ns}", shape=lambda b: {**b, "status": {"phase": b["status"]["phase"], "conditions": sorted(
        (c["type"], c["status"], c["reason"], c["message"]) for c in b["status"]["conditions"])}})
    s.post("create in one that ends", s.core("configmaps"), config("late"))
    s.get("what it held", s.core("secrets", "gone"))
    s.delete("delete again while it ends", f"{path}/{s.ns}")
    s.patch("its last object goes", s.core("configmaps", "held"), {"metadata": {"finalizers": None}})
    s.gone(f"{path}/{s.ns}")
    s.get("gone", f"{path}/{s.ns}")
    for name in ("default", "kube-system", "kube-public"):
        s.delete("delete " + name, f"{path}/{name}")
    s.get("kube-system", f"{path}/kube-system", shape=lambda b: {**b, "metadata": {k: v for k, v in b["metadata"].items() if k != "managedFields"}})
    s.delete("delete a collection", path + "?labelSelector=none%3Dsuch")
    s.put("finalize one that is not there", f"{path}/{s.ns}/finalize", {"metadata": {"name": s.ns}, "spec": {"finalizers": []}})
