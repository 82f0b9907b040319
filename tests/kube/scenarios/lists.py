# SPDX-License-Identifier: Apache-2.0
"""Lists: selectors by label and field, pages, revisions; tables and partial metadata."""
import urllib.parse

from scenarios import scenario
from scenarios.deletes import pod
from scenarios.objects import config
from session import PARTIAL_LIST, TABLE


def query(**parts):
    return "?" + urllib.parse.urlencode({k: v for k, v in parts.items() if v is not None})


def names(body):
    """Names of a list; a Status as it is."""
    if "items" not in body:
        return body
    return {"kind": body["kind"], "names": [i["metadata"]["name"] for i in body["items"]], "metadata": body["metadata"]}


def labelled(name, **labels):
    body = config(name)
    body["metadata"]["labels"] = {k.replace("_", "-"): v for k, v in labels.items()}
    return body


@scenario()
def whole(s):
    path = s.core("secrets")
    s.get("empty", path)
    s.prepare("POST", path, {"metadata": {"name": "a"}, "stringData": {"k": "v"}})
    s.prepare("POST", path, {"metadata": {"name": "b"}, "type": "example.com/own", "data": {"k": "dg=="}})
    s.get("two", path)
    s.get("of a namespace that is not there", s.core("secrets", ns="not-there"))
    s.get("of a kind that is not there", s.core("poems"))
    s.get("of a group that is not there", s.at("poems.example.com/v1", "poems"))
    s.get("of a version that is not there", s.at("apps/v9", "deployments"))
    s.get("cluster-wide path of a namespaced kind", "/api/v1/secrets" + query(fieldSelector=f"metadata.namespace={s.ns}"))
    s.get("namespaced path of a cluster-wide kind", s.core("nodes"))
    s.get("by name", path + query(fieldSelector="metadata.name=a"))


LABELS = ["app=web", "app==web", "app!=web", "app in (web,db)", "app notin (web)", "app", "!app", "app=web,tier=a", "tier in (a, b),app", "n>5", "n<5", "app in ()", "app=",
          " app = web ", "app!=web,tier", "app notin (web,db),tier=a", "a,,b", "=x", "app in web", "app=web)", "a.example.com/x=y", "-bad=x", "app=-bad-", "n>x", "!", "app===web",
          "app in (web", "in in (in)", "app,app=web", "x" * 64 + "=y"]


@scenario()
def label_selectors(s):
    path = s.core("configmaps")
    for body in (labelled("one", app="web", tier="a", n="3"), labelled("two", app="db", tier="b", n="7"), labelled("three", tier="a"), labelled("four", app=""), config("five")):
        s.prepare("POST", path, body)
    for selector in LABELS:
        s.get(selector, path + query(labelSelector=selector), shape=names)


FIELDS = ["metadata.name=one", "metadata.name==one", "metadata.name!=one", "metadata.namespace=other", "metadata.name=one,metadata.name=two", "spec.foo=x", "metadata.name", "=x",
          "metadata.labels.a=b", "metadata.name in (one)", "metadata.name=", "data.a=1", "metadata.uid=x", "", ","]


@scenario()
def field_selectors(s):
    path = s.core("configmaps")
    s.prepare("POST", path, config("one"))
    s.prepare("POST", path, config("two"))
    for selector in FIELDS:
        s.get("configmaps: " + selector, path + query(fieldSelector=selector), shape=names)
    pods = s.core("pods")
    s.prepare("POST", pods, pod("a", nodeName="n1", restartPolicy="Never"))
    s.prepare("POST", pods, pod("b"))
    for selector in ("spec.nodeName=n1", "spec.nodeName=", "spec.nodeName!=n1", "status.phase=Pending", "status.phase!=Pending", "spec.restartPolicy=Never", "spec.schedulerName=default-scheduler",
                     "spec.serviceAccountName=default", "status.podIP=", "spec.hostNetwork=false", "status.nominatedNodeName=", "spec.containers=x", "status.podIPs=x"):
        s.get("pods: " + selector, pods + query(fieldSelector=selector), shape=names)
    for kind, path, selector in (("secrets", s.core("secrets"), "type=Opaque"), ("services", s.core("services"), "spec.type=ClusterIP"), ("services", s.core("services"), "spec.clusterIP=None"),
                                 ("nodes", "/api/v1/nodes", "spec.unschedulable=false"), ("namespaces", "/api/v1/namespaces", "status.phase=Terminating,metadata.name=none"),
                                 ("events", s.core("events"), "involvedObject.kind=Pod,reason=x,type=Normal,involvedObject.uid=1,reportingComponent=a,source=b"),
                                 ("deployments", s.at("apps/v1", "deployments"), "spec.replicas=1"), ("deployments", s.at("apps/v1", "deployments"), "metadata.name=x"),
                                 ("jobs", s.at("batch/v1", "jobs"), "status.successful=1"), ("replicationcontrollers", s.core("replicationcontrollers"), "status.replicas=0"),
                                 ("replicasets", s.at("apps/v1", "replicasets"), "status.replicas=0"), ("leases", s.at("coordination.k8s.io/v1", "leases"), "spec.x=1"),
                                 ("crds", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "spec.group=x"), ("roles", s.at("rbac.authorization.k8s.io/v1", "roles"), "x=1")):
        s.get(f"{kind}: {selector}", path + query(fieldSelector=selector), shape=names)


@scenario()
def pages(s):
    path = s.core("configmaps")
    for i in range(7):
        s.prepare("POST", path, labelled(f"p{i}", page="x"))
    first = s.get("first", path + query(limit=3), shape=names)
    token = first.json["metadata"]["continue"]
    s.prepare("POST", path, labelled("p1b", page="x"))
    s.prepare("POST", path, labelled("p4b", page="x"))
    second = s.get("second, of the first's revision", path + query(limit=3, **{"continue": token}), shape=names)
    s.fact("pages have one revision", second.version == first.version)
    third = s.get("third", path + query(limit=3, **{"continue": second.json["metadata"]["continue"]}), shape=names)
    s.fact("the last has no token", "continue" not in third.json["metadata"])
    labels = s.get("by label", path + query(limit=3, labelSelector="page=x"), shape=names)
    s.get("by label, second", path + query(limit=30, labelSelector="page=x", **{"continue": labels.json["metadata"]["continue"]}), shape=names)
    s.get("exactly all", path + query(limit=10), shape=names)
    s.get("more than there are", path + query(limit=100), shape=names)
    s.get("a token with a revision", path + query(limit=3, resourceVersion=first.version, **{"continue": token}), shape=names)
    s.get("a token with revision 0", path + query(limit=3, resourceVersion="0", **{"continue": token}), shape=names)
    s.get("a broken token", path + query(limit=3, **{"continue": "broken"}), shape=names)
    s.get("a token without a limit", path + query(**{"continue": token}), shape=names)
    s.get("a negative limit", path + query(limit=-1), shape=names)
    s.get("a limit that is no number", path + query(limit="few"), shape=names)
    s.get("a table", path + query(limit=2), accept=TABLE)
    s.get("none", path + query(limit=2, labelSelector="no=such"), shape=names)


@scenario()
def revisions(s):
    path = s.core("configmaps")
    first = s.prepare("POST", path, config("a"))
    second = s.prepare("POST", path, config("b"))
    s.get("any", path + query(resourceVersion="0"), shape=lambda b: b["kind"])
    s.get("not older than", path + query(resourceVersion=second.version), shape=names)
    s.get("not older than, said", path + query(resourceVersion=second.version, resourceVersionMatch="NotOlderThan"), shape=names)
    s.get("exactly", path + query(resourceVersion=first.version, resourceVersionMatch="Exact", limit=10), shape=names)
    s.get("exactly, all", path + query(resourceVersion=second.version, resourceVersionMatch="Exact"), shape=names)
    s.get("exactly 0", path + query(resourceVersion="0", resourceVersionMatch="Exact"), shape=names)
    s.get("a match without a revision", path + query(resourceVersionMatch="Exact"), shape=names)
    s.get("an unknown match", path + query(resourceVersion="1", resourceVersionMatch="Nearly"), shape=names)
    s.get("a revision that is none", path + query(resourceVersion="abc"), shape=names)
    s.get("a revision of the future", path + query(resourceVersion=str(int(second.version) + 1000000)), shape=names)
    s.get("one object, not older than", path + "/a" + query(resourceVersion=first.version))
    s.get("one object, of the future", path + "/a" + query(resourceVersion=str(int(second.version) + 1000000)))
    s.get("one object, any", path + "/b" + query(resourceVersion="0"), shape=lambda b: b["kind"])
    s.get("initial events in a list", path + query(sendInitialEvents="true"), shape=names)


@scenario()
def forms(s):
    path = s.core("configmaps")
    s.prepare("POST", path, labelled("a", x="y"))
    s.get("partial metadata", path + query(labelSelector="x"), accept=PARTIAL_LIST)
    s.get("a table", path + query(labelSelector="x"), accept=TABLE)
    s.get("a table with whole objects", path + query(labelSelector="x", includeObject="Object"), accept=TABLE)
    s.get("a table with no objects", path + query(labelSelector="x", includeObject="None"), accept=TABLE)
    s.get("a table with an unknown include", path + query(labelSelector="x", includeObject="Some"), accept=TABLE)
    s.get("a table of one object", path + "/a", accept=TABLE)
    s.get("an empty table", path + query(labelSelector="none"), accept=TABLE)
    s.get("a table without column definitions", path + query(labelSelector="x", pretty="true"), accept=TABLE)
    s.get("a table in an old version only", path, accept="application/json;as=Table;v=v1alpha1;g=meta.k8s.io")
    s.get("a list as partial metadata of one", path, accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
    s.get("a table of what is not there", path + "/none", accept=TABLE)
    s.post("a table from a create", path, config("made"), accept=TABLE)
    s.delete("a table from a delete", path + "/made", accept=TABLE)
