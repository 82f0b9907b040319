# SPDX-License-Identifier: Apache-2.0
"""Watches: from a revision, from now, with selectors, as tables; what ends them."""
from scenarios import scenario
from scenarios.lists import labelled, query
from scenarios.objects import config
from session import MERGE, PARTIAL, TABLE


def changes(s):
    """One object made, changed, relabelled and deleted, another made: from the revision that is returned on."""
    path = s.core("configmaps")
    before = s.prepare("POST", path, config("before")).version
    s.prepare("POST", path, labelled("a", l="x"))
    s.prepare("PATCH", path + "/a", {"data": {"a": "2"}}, type=MERGE)
    s.prepare("PATCH", path + "/a", {"metadata": {"labels": {"l": "y"}}}, type=MERGE)
    s.prepare("POST", path, labelled("b", l="x"))
    s.prepare("DELETE", path + "/a")
    return path, before


@scenario()
def from_a_revision(s):
    path, rv = changes(s)
    s.watch("all", path + query(watch="true", resourceVersion=rv), 5)
    s.watch("watch=1", path + query(watch="1", resourceVersion=rv), 5, shape=lambda e: e["type"])
    s.watch("by label: those that stop matching are deleted", path + query(watch="true", resourceVersion=rv, labelSelector="l=x"), 4)
    s.watch("by label: those that begin to match are added", path + query(watch="true", resourceVersion=rv, labelSelector="l=y"), 2)
    s.watch("by name", path + query(watch="true", resourceVersion=rv, fieldSelector="metadata.name=b"), 1)
    s.watch("as tables", path + query(watch="true", resourceVersion=rv), 5, accept=TABLE)
    s.watch("as partial metadata", path + query(watch="true", resourceVersion=rv), 5, accept=PARTIAL)
    s.watch("of one object by its path", path + "/b" + query(watch="true", resourceVersion=rv), 1)
    s.watch("by the old path", f"/api/v1/watch/namespaces/{s.ns}/configmaps" + query(resourceVersion=rv), 5, shape=lambda e: e["type"])
    s.watch("with a time limit", path + query(watch="true", resourceVersion=rv, timeoutSeconds=1), 99)


@scenario()
def from_now(s):
    path, _ = changes(s)
    s.watch("without a revision what there is comes first", path + query(watch="true", labelSelector="l"), 1)
    s.watch("revision 0 too", path + query(watch="true", resourceVersion="0", labelSelector="l"), 1)
    listed = s.prepare("GET", path).version
    w = s.watching("live", path + query(watch="true", resourceVersion=listed), 3)
    s.prepare("POST", path, config("live"))
    s.prepare("PATCH", path + "/live", {"data": {"z": "z"}}, type=MERGE)
    s.prepare("DELETE", path + "/live")
    events = w.join()
    s.fact("three events", [e["type"] for e in events])
    w = s.watching("a dry run shows nothing", path + query(watch="true", resourceVersion=listed, fieldSelector="metadata.name=dry", timeoutSeconds=1), 1)
    s.prepare("POST", path + "?dryRun=All", config("dry"))
    w.join()


@scenario()
def refused(s):
    path = s.core("configmaps")
    now = int(s.prepare("GET", path).version)
    s.watch("a revision that is none", path + query(watch="true", resourceVersion="abc"), 1, seconds=3)
    s.watch("a revision of the future", path + query(watch="true", resourceVersion=now + 1000000, timeoutSeconds=4), 1, seconds=8)
    s.get("a bad label selector", path + query(watch="true", labelSelector="==="))
    s.get("a bad field selector", path + query(watch="true", fieldSelector="spec.x=y"))
    s.get("initial events", path + query(watch="true", sendInitialEvents="true", allowWatchBookmarks="true", resourceVersionMatch="NotOlderThan", timeoutSeconds=1))
    s.get("a match", path + query(watch="true", resourceVersion=now, resourceVersionMatch="Exact", timeoutSeconds=1))
    s.get("a negative time", path + query(watch="true", timeoutSeconds="x", resourceVersion=now))
    s.get("a continue token", path + query(watch="true", timeoutSeconds="1", **{"continue": "x"}))
    s.get("of a namespace that is not there", s.core("configmaps", ns="not-there") + query(watch="true", timeoutSeconds=1))
    s.get("of a kind that is not there", s.core("poems") + query(watch="true"))
    s.get("of a review", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" + query(watch="true"))
    s.get("a watch that is false", path + query(watch="false", labelSelector="none"))


@scenario()
def of_ended_objects(s):
    path = s.core("configmaps")
    body = config("f")
    body["metadata"]["finalizers"] = ["example.com/x"]
    rv = s.prepare("POST", path, body).version
    s.prepare("DELETE", path + "/f")
    s.prepare("PATCH", path + "/f", {"metadata": {"finalizers": None}}, type=MERGE)
    s.watch("an object with a finalizer", path + query(watch="true", resourceVersion=rv), 2)
    rv = s.prepare("POST", path, labelled("c1", d="1")).version
    s.prepare("POST", path, labelled("c2", d="1"))
    s.prepare("DELETE", path + "?labelSelector=d")
    s.watch("a collection", path + query(watch="true", resourceVersion=rv), 3, shape=lambda e: [e["type"], e["object"]["metadata"]["name"]])


@scenario()
def of_a_namespace_as_kubectl(s):
    rv = s.prepare("GET", "/api/v1/namespaces/" + s.ns).version
    path = "/api/v1/namespaces" + query(watch="true", fieldSelector="metadata.name=" + s.ns, resourceVersion=rv)
    w = s.watching("its end", path, 99, seconds=6, shape=lambda e: [e["type"], e["object"].get("status", {}).get("phase")])
    s.prepare("DELETE", "/api/v1/namespaces/" + s.ns)
    s.gone("/api/v1/namespaces/" + s.ns)
    w.connection.sock and w.connection.sock.shutdown(2)
    events = w.join()
    # How many steps of its end are told is the namespace controller's business; that it ends is not.
    events[:] = [events[0], events[-1]]
