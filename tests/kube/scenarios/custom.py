# SPDX-License-Identifier: Apache-2.0
"""Custom resource definitions and their objects."""
import copy

from scenarios import scenario
from scenarios.lists import query
from session import APPLY, JSON_PATCH, MERGE, STRATEGIC, TABLE

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 100}, "name": {"type": "string", "minLength": 2, "maxLength": 8, "pattern": "^[a-z]+$"}, "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "ratio": {"type": "number", "exclusiveMinimum": True, "minimum": 0, "multipleOf": 0.5}, "on": {"type": "boolean", "default": True}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "x-kubernetes-list-type": "set"},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"], "items": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}, "name": {"type": "string", "default": "p"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2}, "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, "either": {"x-kubernetes-int-or-string": True},
        "when": {"type": "string", "format": "date-time"}, "maybe": {"type": "string", "nullable": True}, "replicas": {"type": "integer"}, "low": {"type": "integer"}, "high": {"type": "integer"}, "secret": {"type": "string"},
        "template": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    },
    "x-kubernetes-validations": [{"rule": "!has(self.low) || !has(self.high) || self.low <= self.high", "message": "low must not be over high"}],
}


def definition(s, kind, scope="Namespaced", spec=SPEC, **version):
    """A definition of a group of its own, that ends with the scenario."""
    group = f"{kind.lower()}.{s.u}.example.com"
    plural = kind.lower() + "s"
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": copy.deepcopy(spec), "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}, "selector": {"type": "string"}}}}}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"}, "spec": {
        "group": group, "scope": scope, "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": [kind.lower()[:2]], "categories": ["all"]},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema, **version}]}}


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def established(answer):
    return answer.status == 200 and any(c["type"] == "Established" and c["status"] == "True" for c in answer.json.get("status", {}).get("conditions") or [])


def define(s, body, title=None):
    """Makes a definition and waits until its objects are served; the path of its objects."""
    name, spec = body["metadata"]["name"], body["spec"]
    s.later("DELETE", f"{DEFINITIONS}/{name}")
    if title:
        s.post(title, DEFINITIONS, body)
    else:
        s.prepare("POST", DEFINITIONS, body)
    s.until(f"{DEFINITIONS}/{name}", established)
    version = next(v["name"] for v in spec["versions"] if v["served"])
    group_version = f"{spec['group']}/{version}"
    base = f"/apis/{group_version}/" + (f"namespaces/{s.ns}/" if spec["scope"] == "Namespaced" else "") + spec["names"]["plural"]
    s.until(base, lambda a: a.status == 200)
    return group_version, base


def thing(group_version, kind, name, /, **spec):
    return {"apiVersion": group_version, "kind": kind, "metadata": {"name": name}, "spec": {"size": 1, **spec}}


def conditions_sorted(body):
    if body.get("kind") != "CustomResourceDefinition" or "status" not in body:
        return body
    status = {**body["status"], "conditions": sorted((c["type"], c["status"], c["reason"], c["message"]) for c in body["status"].get("conditions") or [])}
    return {**body, "status": status, "metadata": {k: v for k, v in body["metadata"].items() if k != "managedFields"}}


@scenario()
def a_definition(s):
    body = definition(s, "Thing")
    name = body["metadata"]["name"]
    define(s, body, "create")
    s.get("get", f"{DEFINITIONS}/{name}", shape=conditions_sorted)
    s.get("a table", f"{DEFINITIONS}/{name}", accept=TABLE, shape=lambda b: [b["columnDefinitions"], b["rows"][0]["cells"][0]])
    group = body["spec"]["group"]
    s.get("its group", f"/apis/{group}")
    s.get("its resources", f"/apis/{group}/v1", shape=lambda b: {**b, "resources": [{k: v for k, v in r.items() if k != "storageVersionHash"} for r in b["resources"]]})
    s.until("/openapi/v3", lambda a: f"apis/{group}/v1" in a.json["paths"])
    s.get("its OpenAPI", f"/openapi/v3/apis/{group}/v1", shape=lambda b: [sorted(b["paths"]), sorted(b["components"]["schemas"])])
    s.post("create again", DEFINITIONS, body)
    taken = definition(s, "Thing")
    taken["metadata"]["name"] = taken["metadata"]["name"].replace("things.", "others.")
    taken["spec"]["names"].update(plural="others", singular="other", shortNames=["ot"])
    s.prepare("POST", DEFINITIONS, taken)
    s.later("DELETE", f"{DEFINITIONS}/{taken['metadata']['name']}")
    s.until(f"{DEFINITIONS}/{taken['metadata']['name']}", lambda a: any(c["type"] == "NamesAccepted" for c in a.json.get("status", {}).get("conditions") or []))
    s.get("a kind that is taken", f"{DEFINITIONS}/{taken['metadata']['name']}", shape=conditions_sorted)
    s.patch("its group may not change", f"{DEFINITIONS}/{name}", {"spec": {"group": "other.example.com"}}, shape=conditions_sorted)
    s.patch("its scope may not change", f"{DEFINITIONS}/{name}", {"spec": {"scope": "Cluster"}}, shape=conditions_sorted)
    s.delete("delete", f"{DEFINITIONS}/{name}", shape=conditions_sorted)
    s.gone(f"{DEFINITIONS}/{name}")
    s.get("its group is gone", f"/apis/{group}/v1/things")


DEFINITIONS_REFUSED = {
    "name": lambda d: d["metadata"].update(name="wrong.example.com"),
    "group": lambda d: d["spec"].update(group="Bad Group"),
    "group without a dot": lambda d: (d["spec"].update(group="nodot"), d["metadata"].update(name="refuseds.nodot")),
    "scope": lambda d: d["spec"].update(scope="Everywhere"),
    "no versions": lambda d: d["spec"].update(versions=[]),
    "no storage version": lambda d: d["spec"]["versions"][0].update(storage=False),
    "two storage versions": lambda d: d["spec"]["versions"].append({**d["spec"]["versions"][0], "name": "v2"}),
    "two versions of one name": lambda d: d["spec"]["versions"].append({**d["spec"]["versions"][0], "storage": False}),
    "version name": lambda d: d["spec"]["versions"][0].update(name="V_1"),
    "no schema": lambda d: d["spec"]["versions"][0].pop("schema"),
    "plural": lambda d: d["spec"]["names"].update(plural="Bad_"),
    "no kind": lambda d: d["spec"]["names"].pop("kind"),
    "protected group": lambda d: (d["spec"].update(group="x.k8s.io"), d["metadata"].update(name="refuseds.x.k8s.io")),
    "schema without type": lambda d: d["spec"]["versions"][0]["schema"].update(openAPIV3Schema={"properties": {"a": {"type": "string"}}}),
    "property without type": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"description": "x"}),
    "unknown type": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "float"}),
    "array without items": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "array"}),
    "bad pattern": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "string", "pattern": "("}),
    "bad default": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "string", "default": 5}),
    "a reference": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"$ref": "#/x"}),
    "uniqueItems": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
    "additional and properties": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
    "type within anyOf": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "object", "anyOf": [{"type": "object", "properties": {"b": {"type": "string"}}}]}),
    "list map without keys": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
    "unknown list type": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(bad={"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "heap"}),
    "rule that does not parse": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].update({"x-kubernetes-validations": [{"rule": "self.size >"}]}),
    "rule of another type": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].update({"x-kubernetes-validations": [{"rule": "self.size + 1"}]}),
    "rule of what is not there": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].update({"x-kubernetes-validations": [{"rule": "self.nothing > 1"}]}),
    "empty rule": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].update({"x-kubernetes-validations": [{"rule": ""}]}),
    "column path": lambda d: d["spec"]["versions"][0].update(additionalPrinterColumns=[{"name": "", "type": "x", "jsonPath": "bad"}]),
    "scale paths": lambda d: d["spec"]["versions"][0].update(subresources={"scale": {"specReplicasPath": "x", "statusReplicasPath": ".spec.y"}}),
    "preserveUnknownFields": lambda d: d["spec"].update(preserveUnknownFields=True),
    "conversion without a client": lambda d: d["spec"].update(conversion={"strategy": "Webhook"}),
    "conversion strategy": lambda d: d["spec"].update(conversion={"strategy": "X"}),
    "metadata with a schema": lambda d: d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(metadata={"type": "object", "properties": {"labels": {"type": "object"}}}),
}


@scenario(make_namespace=False)
def definitions_refused(s):
    for title, change in DEFINITIONS_REFUSED.items():
        body = definition(s, "Refused")
        change(body)
        s.post(title, DEFINITIONS + "?dryRun=All", body, shape=conditions_sorted)


OBJECTS = {
    "least": {}, "no size": {"size": None}, "too small": {"size": 0}, "too large": {"size": 101}, "a text for a number": {"size": "5"}, "a fraction for a number": {"size": 1.5}, "short name": {"name": "a"}, "long name": {"name": "abcdefghi"},
    "name against its pattern": {"name": "ABC"}, "not one of the enum": {"kind": "c"}, "ratio": {"ratio": 0.3}, "ratio of zero": {"ratio": 0}, "a good ratio": {"ratio": 1.5}, "too many tags": {"tags": ["a", "b", "c", "d"]}, "a tag twice": {"tags": ["a", "a"]},
    "ports": {"ports": [{"port": 1}, {"port": 2, "name": "x"}]}, "a port twice": {"ports": [{"port": 1}, {"port": 1}]}, "a port without its key": {"ports": [{"name": "x"}]}, "map": {"map": {"a": 1}}, "a map of texts": {"map": {"a": "x"}},
    "a large map": {"map": {"a": 1, "b": 2, "c": 3}}, "free": {"free": {"any": {"thing": [1]}}}, "a number for either": {"either": 5}, "a text for either": {"either": "5%"}, "neither": {"either": True}, "a time": {"when": "2020-01-01T00:00:00Z"},
    "no time": {"when": "yesterday"}, "null that may be": {"maybe": None}, "null that may not be": {"name": None}, "null with a default": {"kind": None}, "unknown fields": {"junk": 1, "ports": [{"port": 1, "junk": 2}]}, "a rule that holds": {"low": 1, "high": 2},
    "a rule that fails": {"low": 3, "high": 2}, "a rule and a fault": {"low": 3, "high": 2, "size": 0}, "a text for a map": {"map": "x"}, "several faults": {"size": 0, "name": "A", "kind": "z", "tags": 5}, "embedded": {"template": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}, "z": 1}},
    "embedded without a kind": {"template": {"z": 1}}, "null for all": {"free": None, "tags": None},
}


@scenario()
def objects(s):
    gv, path = define(s, definition(s, "Thing"))
    for title, spec in OBJECTS.items():
        body = thing(gv, "Thing", "o", **spec)
        if spec.get("size", 1) is None:
            del body["spec"]["size"]
        s.post(title, path + "?dryRun=All", body)
    s.post("no spec", path + "?dryRun=All", {"apiVersion": gv, "kind": "Thing", "metadata": {"name": "x"}})
    s.post("another kind", path, {"apiVersion": gv, "kind": "Other", "metadata": {"name": "x"}})
    s.post("another version", path, {"apiVersion": gv.replace("v1", "v2"), "kind": "Thing", "metadata": {"name": "x"}})
    s.post("no kind", path, {"metadata": {"name": "x"}})
    s.post("strict", path + "?fieldValidation=Strict", thing(gv, "Thing", "x", junk=1))
    s.post("warn", path + "?fieldValidation=Warn&dryRun=All", thing(gv, "Thing", "x", junk=1))
    s.post("a bad name", path, thing(gv, "Thing", "Bad_"))
    s.post("a spec that is a text", path, {"apiVersion": gv, "kind": "Thing", "metadata": {"name": "x"}, "spec": "x"})
    s.post("YAML", path, f"apiVersion: {gv}\nkind: Thing\nmetadata: {{name: yam}}\nspec: {{size: 3}}\n", type="application/yaml")


@scenario()
def life_of_an_object(s):
    body = definition(s, "Thing", subresources={"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                      additionalPrinterColumns=[{"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "how large"}, {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "priority": 1},
                                                {"name": "Made", "type": "date", "jsonPath": ".metadata.creationTimestamp"}, {"name": "Tags", "type": "string", "jsonPath": ".spec.tags[*]"}])
    gv, path = define(s, body)
    made = s.post("create with a status", path, {**thing(gv, "Thing", "a", replicas=2, tags=["x", "y"]), "status": {"phase": "no"}})
    s.get("get", path + "/a")
    s.get("a list", path)
    s.get("a table", path, accept=TABLE)
    s.put("replace without a revision", path + "/a", thing(gv, "Thing", "a", size=2))
    current = made.json
    current["spec"]["size"] = 3
    replaced = s.put("replace", path + "/a", current)
    s.put("replace from an old revision", path + "/a", made.json)
    s.patch("merge", path + "/a", {"spec": {"name": "ab"}})
    s.patch("JSON patch", path + "/a", [{"op": "add", "path": "/spec/low", "value": 1}], type=JSON_PATCH)
    s.patch("strategic", path + "/a", {"spec": {"name": "ac"}}, type=STRATEGIC)
    s.patch("apply", path + "/a?fieldManager=m", thing(gv, "Thing", "a", size=3, ports=[{"port": 1}], tags=["z"]), type=APPLY)
    s.patch("apply with a conflict", path + "/a?fieldManager=n", thing(gv, "Thing", "a", size=9), type=APPLY)
    s.patch("apply of another element", path + "/a?fieldManager=n", {"apiVersion": gv, "kind": "Thing", "metadata": {"name": "a"}, "spec": {"size": 3, "ports": [{"port": 2}], "tags": ["w"]}}, type=APPLY)
    s.patch("a bad value", path + "/a", {"spec": {"size": -4}})
    s.patch("an unknown field, strict", path + "/a?fieldValidation=Strict", {"spec": {"junk": 4}})
    s.patch("an unknown field", path + "/a", {"spec": {"junk": 4}})
    s.patch("status on the main path", path + "/a", {"status": {"phase": "no"}})
    s.patch("status on its own", path + "/a/status", {"status": {"phase": "Up", "replicas": 1, "selector": "a=b"}, "spec": {"size": 50}})
    s.get("status", path + "/a/status")
    s.get("scale", path + "/a/scale")
    s.patch("scale up", path + "/a/scale", {"spec": {"replicas": 5}})
    s.get("scaled", path + "/a")
    s.fact("spec raises the generation, status does not", [made.json["metadata"]["generation"], replaced.json["metadata"]["generation"]])
    rv = made.version
    s.watch("watch", path + query(watch="true", resourceVersion=rv), 2, shape=lambda e: [e["type"], e["object"]["spec"]["size"]])
    s.get("by name", path + "?fieldSelector=metadata.name%3Da", shape=lambda b: len(b["items"]))
    s.get("by another field", path + "?fieldSelector=spec.size%3D3")
    s.delete("delete", path + "/a")
    s.delete("delete again", path + "/a")


@scenario()
def several_versions(s):
    body = definition(s, "Thing")
    old = copy.deepcopy(body["spec"]["versions"][0])
    old.update(name="v1beta1", storage=False, deprecated=True, deprecationWarning="use v1")
    gone = copy.deepcopy(old)
    gone.update(name="v1alpha1", served=False)
    for v in (old, gone):
        v.pop("deprecationWarning", None) if v is gone else None
    body["spec"]["versions"] += [old, gone]
    gv, path = define(s, body)
    beta, alpha = path.replace("/v1/", "/v1beta1/"), path.replace("/v1/", "/v1alpha1/")
    s.post("made in one", path, thing(gv, "Thing", "a"))
    s.get("read in another", beta + "/a")
    s.get("one that is not served", alpha + "/a")
    s.post("made in the other", beta, thing(gv.replace("/v1", "/v1beta1"), "Thing", "b"))
    s.get("a list in one", path, shape=lambda b: [[i["apiVersion"], i["kind"], i["metadata"]["name"]] for i in b["items"]])
    s.get("the group", "/apis/" + body["spec"]["group"])


@scenario()
def rules_over_old_objects(s):
    spec = {"type": "object", "properties": {
        "fixed": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}]},
        "count": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf", "messageExpression": "'count must not ' + 'fall'", "reason": "FieldValueForbidden"}]},
        "names": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 10}, "x-kubernetes-validations": [{"rule": "self.all(n, n.startsWith('x'))"}, {"rule": "self.exists(n, n.size() > 1)", "fieldPath": ""}]},
        "quantity": {"type": "string", "maxLength": 10, "x-kubernetes-validations": [{"rule": "isQuantity(self) && quantity(self).isLessThan(quantity('5Gi'))", "message": "too much"}]},
        "size": {"type": "integer"}, "url": {"type": "string", "maxLength": 50, "x-kubernetes-validations": [{"rule": "isURL(self) && url(self).getScheme() == 'https'", "message": "https only"}]},
        "word": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [{"rule": "self.matches('^[a-c]+$')"}, {"rule": "self.size() < 5 ? true : self.contains('cc')", "message": "long words have cc"}]},
    }}
    spec["properties"]["names"]["x-kubernetes-validations"][1].pop("fieldPath")
    gv, path = define(s, definition(s, "Thing", spec=spec))
    s.post("create", path, thing(gv, "Thing", "a", fixed="f", count=5, names=["x", "xx"], quantity="1Gi", url="https://x.example.com", word="abc"))
    s.patch("what may not change", path + "/a", {"spec": {"fixed": "g"}})
    s.patch("what may not fall", path + "/a", {"spec": {"count": 4}})
    s.patch("what may rise", path + "/a", {"spec": {"count": 6}}, shape=lambda b: b["kind"])
    for title, value in (("all", {"names": ["x", "yy"]}), ("exists", {"names": ["x"]}), ("quantity", {"quantity": "6Gi"}), ("no quantity", {"quantity": "z"}), ("url", {"url": "http://x.example.com"}), ("matches", {"word": "abz"}), ("condition", {"word": "abababab"}), ("several", {"word": "zzzzzzz", "url": "x", "fixed": "q"})):
        s.patch(title, path + "/a", {"spec": value})


@scenario()
def cluster_wide(s):
    gv, path = define(s, definition(s, "World", scope="Cluster"))
    s.post("create", path, thing(gv, "World", "w"))
    s.post("create in a namespace", f"/apis/{gv}/namespaces/{s.ns}/worlds", thing(gv, "World", "w2"))
    s.get("a table with no columns of its own", path, accept=TABLE)
    s.get("no status path", path + "/w/status")
    s.get("no scale path", path + "/w/scale")
    s.delete("all", path)
