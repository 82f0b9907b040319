# SPDX-License-Identifier: Apache-2.0
"""Version, health, discovery in both forms, OpenAPI."""
from scenarios import scenario

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
GROUPS = {
    "": "v1", "apps": "v1", "batch": "v1", "autoscaling": "v2", "networking.k8s.io": "v1", "discovery.k8s.io": "v1", "policy": "v1", "rbac.authorization.k8s.io": "v1",
    "coordination.k8s.io": "v1", "storage.k8s.io": "v1", "apiextensions.k8s.io": "v1", "authentication.k8s.io": "v1", "authorization.k8s.io": "v1", "events.k8s.io": "v1",
    "admissionregistration.k8s.io": "v1", "scheduling.k8s.io": "v1",
}


def by_name(rows, key="name"):
    return {row[key]: row for row in rows}


def group_list(body):
    return {**body, "groups": {g["name"]: g for g in body["groups"] if g["name"] in GROUPS}}


def resources(body):
    return {**body, "resources": by_name(body["resources"])} if "resources" in body else body


def aggregated(body):
    def version(v):
        return {**v, "resources": {r["resource"]: {**r, "subresources": by_name(r.get("subresources", []), "subresource")} for r in v["resources"]}}

    groups = {i["metadata"].get("name", ""): {**i, "versions": [version(v) for v in i["versions"]]} for i in body["items"]}
    return {**body, "items": {name: item for name, item in groups.items() if name in GROUPS}}


@scenario(make_namespace=False)
def version_and_health(s):
    s.get("version", "/version", shape=lambda b: sorted(b))
    s.get("version without credentials", "/version", user="none", shape=lambda b: sorted(b))
    for path in ("/healthz", "/livez", "/readyz", "/healthz/ping"):
        s.get(path, path)
        s.get(path + " without credentials", path, user="none")
    s.get("verbose", "/readyz?verbose", shape=lambda b: b.split("\n")[-2:])
    s.get("nothing", "/nothing-here")
    s.get("nothing, without credentials", "/nothing-here", user="none")
    s.get("the root", "/", shape=lambda b: [p for p in b["paths"] if p in ("/api", "/api/v1", "/apis", "/apis/apps/v1", "/healthz", "/openapi/v2", "/openapi/v3", "/version")])
    s.post("a POST to version", "/version", {})


@scenario(make_namespace=False)
def plain(s):
    s.get("/api", "/api")
    s.get("/apis", "/apis", shape=group_list)
    s.get("/api/v1", "/api/v1", shape=resources)
    for group, version in GROUPS.items():
        if group:
            s.get("/apis/" + group, "/apis/" + group)
            s.get(f"/apis/{group}/{version}", f"/apis/{group}/{version}", shape=resources)
    s.get("/apis/autoscaling/v1", "/apis/autoscaling/v1", shape=resources)
    s.get("a group that is not there", "/apis/poems.example.com")
    s.get("a version that is not there", "/apis/apps/v7")
    s.get("a core version that is not there", "/api/v2")
    s.get("with a slash at the end", "/api/")
    s.post("a POST", "/apis", {}, shape=group_list)
    s.get("without credentials", "/api", user="none")
    s.get("plain-token", "/api", user="plain-token")


@scenario(make_namespace=False)
def in_one(s):
    core = s.get("core", "/api", accept=AGGREGATED, shape=aggregated)
    s.get("groups", "/apis", accept=AGGREGATED, shape=aggregated)
    s.get("the form that kubectl asks for", "/api", accept=AGGREGATED.replace(",application/json", ",application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"),
          shape=lambda b: b["kind"])
    s.get("an old form only", "/api", accept="application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", shape=lambda b: b["kind"])
    s.get("not changed", "/api", accept=AGGREGATED, If_None_Match=core.headers.get("etag"))


def descriptions_away(value):
    if isinstance(value, dict):
        return {k: descriptions_away(v) for k, v in value.items() if not (k == "description" and isinstance(v, str))}
    return [descriptions_away(v) for v in value] if isinstance(value, list) else value


def schemas(body):
    """Schemas without descriptions; of the paths only which there are and what can be done there."""
    paths = {path: {verb: {k: v.get(k) for k in ("x-kubernetes-action", "x-kubernetes-group-version-kind")} for verb, v in methods.items() if isinstance(v, dict)}
             for path, methods in body["paths"].items()}
    return {"openapi": body["openapi"], "schemas": descriptions_away(body["components"]["schemas"]), "paths": paths}


@scenario(make_namespace=False)
def openapi(s):
    wanted = {f"apis/{g}/{v}" if g else f"api/{v}" for g, v in GROUPS.items()} | {"apis/autoscaling/v1", "version", "api", "apis"}
    s.get("index", "/openapi/v3", shape=lambda b: {"paths": {k: v for k, v in b["paths"].items() if k in wanted}})
    for group, version in GROUPS.items():
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        s.get(path, "/openapi/v3/" + path, shape=schemas)
    s.get("a group that is not there", "/openapi/v3/apis/poems.example.com/v1")
    s.get("v2", "/openapi/v2", shape=lambda b: [b["swagger"], sorted(b)])
    s.get("v2 as old kubectl asks", "/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf", shape=lambda b: b[:1] != "{")
    s.get("without credentials", "/openapi/v3", user="none")
