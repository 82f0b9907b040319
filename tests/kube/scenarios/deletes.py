# SPDX-License-Identifier: Apache-2.0
"""Deleting: options, preconditions, finalizers, owners in the three propagation modes, collections, pods with their grace."""
from scenarios import scenario
from scenarios.objects import config


def owned(name, owner, **more):
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner.json["metadata"]["name"], "uid": owner.uid, **more}
    body = config(name)
    body["metadata"]["ownerReferences"] = [reference]
    return body


def pod(name, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


@scenario()
def options(s):
    path = s.core("configmaps")
    made = s.prepare("POST", path, config("a"))
    s.delete("another uid", path + "/a", {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}})
    s.delete("another revision", path + "/a", {"preconditions": {"resourceVersion": "1"}})
    s.delete("a bad policy", path + "/a", {"propagationPolicy": "Sometimes"})
    s.delete("two ways at once", path + "/a", {"propagationPolicy": "Orphan", "orphanDependents": True})
    s.delete("a body of another kind", path + "/a", {"kind": "ConfigMap", "apiVersion": "v1"})
    s.delete("broken JSON", path + "/a", "{")
    s.delete("a bad dry run", path + "/a?dryRun=Maybe")
    s.delete("a bad grace period", path + "/a?gracePeriodSeconds=soon")
    s.delete("the right uid and revision", path + "/a", {"preconditions": {"uid": made.uid, "resourceVersion": made.version}})
    s.prepare("POST", path, config("b"))
    s.delete("by the query", path + "/b?propagationPolicy=Background&gracePeriodSeconds=0")
    s.prepare("POST", path, config("c"))
    s.delete("options in YAML", path + "/c", "kind: DeleteOptions\napiVersion: v1\npropagationPolicy: Background\n", type="application/yaml")
    deployments = s.at("apps/v1", "deployments")
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
    s.prepare("POST", deployments, {"metadata": {"name": "d"}, "spec": spec})
    s.delete("one with a group", deployments + "/d", {"kind": "DeleteOptions", "apiVersion": "apps/v1"})
    s.delete("one with a group that is not there", deployments + "/d")


@scenario()
def finalizers(s):
    path = s.core("configmaps")
    body = config("f")
    body["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    s.post("create", path, body)
    s.delete("delete", path + "/f")
    s.delete("delete again", path + "/f")
    s.patch("data may still change", path + "/f", {"data": {"z": "1"}})
    s.patch("a finalizer may not come", path + "/f", {"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}})
    s.post("create under its name", path, config("f"))
    s.patch("one goes", path + "/f", {"metadata": {"finalizers": ["example.com/a"]}})
    s.patch("the last goes", path + "/f", {"metadata": {"finalizers": None}})
    s.get("gone", path + "/f")


@scenario()
def owners_in_the_background(s):
    path = s.core("configmaps")
    owner = s.prepare("POST", path, config("owner"))
    s.post("owned", path, owned("owned", owner))
    s.delete("delete the owner", path + "/owner", {"propagationPolicy": "Background"})
    s.gone(path + "/owned")
    s.get("the owned is gone", path + "/owned")
    ghost = owned("ghost", owner)
    s.post("owned by one that is gone", path, ghost)
    s.gone(path + "/ghost")
    s.get("is gone too", path + "/ghost")


@scenario()
def owners_in_the_foreground(s):
    path = s.core("configmaps")
    owner = s.prepare("POST", path, config("owner"))
    body = owned("blocks", owner, blockOwnerDeletion=True)
    body["metadata"]["finalizers"] = ["example.com/hold"]
    s.prepare("POST", path, body)
    s.prepare("POST", path, owned("free", owner))
    s.until(path + "/blocks", lambda a: a.status == 200)
    s.delete("delete the owner", path + "/owner", {"propagationPolicy": "Foreground"})
    s.until(path + "/blocks", lambda a: "deletionTimestamp" in a.json["metadata"])
    s.get("the owner waits", path + "/owner")
    s.patch("the dependent goes", path + "/blocks", {"metadata": {"finalizers": None}})
    s.gone(path + "/owner")
    s.get("the owner is gone", path + "/owner")
    s.gone(path + "/free")


@scenario()
def owners_that_orphan(s):
    path = s.core("configmaps")
    owner = s.prepare("POST", path, config("owner"))
    s.prepare("POST", path, owned("kept", owner))
    s.delete("delete the owner", path + "/owner", {"propagationPolicy": "Orphan"})
    s.gone(path + "/owner")
    s.get("the dependent stays, with no owner", path + "/kept")
    other = s.prepare("POST", path, config("other"))
    s.prepare("POST", path, owned("kept2", other))
    s.delete("the old way", path + "/other", {"orphanDependents": True})
    s.gone(path + "/other")
    s.get("the dependent stays too", path + "/kept2")


@scenario()
def collections(s):
    path = s.core("configmaps")
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        body = config(name)
        body["metadata"]["labels"] = {"l": label}
        s.prepare("POST", path, body)
    s.delete("by label, dry run", path + "?labelSelector=l%3Dx&dryRun=All", shape=lambda b: [b["kind"], sorted(i["metadata"]["name"] for i in b["items"])])
    s.delete("by label", path + "?labelSelector=l%3Dx")
    s.get("one is left", path + "?labelSelector=l")
    s.delete("by field", path + "?fieldSelector=metadata.name%3Dc", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
    s.delete("none", path + "?labelSelector=l")
    s.delete("bad selector", path + "?labelSelector=l%3D%3D%3D")
    body = config("f")
    body["metadata"].update(finalizers=["example.com/a"], labels={"l": "z"})
    s.prepare("POST", path, body)
    s.delete("one with a finalizer", path + "?labelSelector=l%3Dz")
    s.get("it waits", path + "/f")
    s.prepare("PATCH", path + "/f", {"metadata": {"finalizers": None}}, type="application/merge-patch+json")
    s.delete("a collection of services", s.core("services") + "?labelSelector=none")


@scenario()
def pods_with_grace(s):
    path = s.core("pods")
    s.prepare("POST", path, pod("unbound"))
    s.delete("one with no node goes at once", path + "/unbound")
    s.get("gone", path + "/unbound")
    s.prepare("POST", path, pod("bound", nodeName="node-" + s.u))
    s.delete("one with a node waits", path + "/bound")
    s.get("it ends", path + "/bound")
    s.delete("a shorter grace", path + "/bound", {"gracePeriodSeconds": 5})
    s.delete("a longer grace", path + "/bound", {"gracePeriodSeconds": 60})
    s.delete("now", path + "/bound", {"gracePeriodSeconds": 0})
    s.get("gone too", path + "/bound")
    s.prepare("POST", path, pod("quick", nodeName="node-" + s.u, terminationGracePeriodSeconds=3))
    s.delete("its own grace", path + "/quick")
    s.delete("a negative grace", path + "/quick?gracePeriodSeconds=-1")
    s.prepare("DELETE", path + "/quick?gracePeriodSeconds=0", may_fail=True)
