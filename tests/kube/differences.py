#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The differences between hythe and the real Kubernetes API server that are meant, each with its reason; run it to write the reference page.

A row: steps it is of ("<scenario>: <title>", a regular expression), places in the answer (a regular expression over the path), and optionally values.
"""
import dataclasses
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference" / "kubernetes-differences.md"


@dataclasses.dataclass(frozen=True)
class Row:
    real: str  # what the real server does
    hythe: str
    why: str
    step: str = ".*"
    path: str = ".*"
    theirs: str = ".*"
    ours: str = ".*"


ROWS = [
    Row(
        "who takes protobuf and JSON is answered in protobuf",
        "in JSON",
        "clients that take both read either; protobuf is read and not written",
        step=r"kinds/protobuf_bodies: an answer in JSON, for who takes both",
        path=r"headers\.content-type",
    ),
    Row(
        "the `data` of a ControllerRevision is compared byte by byte: other spaces in its JSON are a change, which is refused",
        "as JSON",
        "a patch of other fields writes the same data in other spaces",
        step=r"kinds/(changes_of_controllerrevision: 2 .*|life_of_controllerrevision: labels)",
    ),
    Row(
        "an empty capacity of a PersistentVolume is quoted as `core.ResourceList{}`, an absent one as `core.ResourceList(nil)`",
        "both as the latter",
        "empty and absent are the same when faults are told",
        step=r"kinds/refused_pv: spec\.capacity=\{\}",
        theirs=r".*core\.ResourceList\{\}.*",
    ),
    Row(
        "column descriptions of tables are sentences of the Kubernetes API's own documentation",
        "its own words",
        "that text is another project's work; kubectl does not print it",
        path=r"((body|events\[\d+\]\.object)\.columnDefinitions|body\[0\])\[\d+\]\.description",
    ),
    Row(
        "the annotation `kubernetes.io/description` of the ConfigMap kube-root-ca.crt is a sentence of its own",
        "another sentence",
        "that text is another project's work; nothing reads it",
        path=r".*\.annotations\.kubernetes\.io/description",
        theirs=r"Contains a CA bundle that can be used to verify the kube-apiserver.*",
        ours=r"The certificates that hythe's API server can be checked with.*",
    ),
    Row(
        "objects are answered as protobuf where Accept asks for it first",
        "as JSON where it is accepted too, else 406",
        "every known client accepts JSON beside it; protobuf is read, not written",
        step=r"requests/forms: protobuf.*",
        path=r"status|body|headers\.content-type",
        theirs=r"200|k8s.*|application/vnd\.kubernetes\.protobuf",
    ),
    Row(
        "the header Vary of OpenAPI v3 documents does not name Accept-Encoding",
        "names it too",
        "both servers compress the document when Accept-Encoding asks for it: caches have to know (RFC 9110 12.5.5)",
        step=r"discovery/.*",
        path=r"headers\.vary",
        theirs=r"Accept",
        ours=r"Accept\nAccept-Encoding",
    ),
    Row(
        "whether a document of OpenAPI v3 asked for with a hash may be kept, or has another hash by now",
        "the same, at another moment",
        "custom kinds come and go while the suite runs",
        step=r"discovery/openapi: apis/.*",
        path=r"headers\.cache-control",
        theirs=r"no-cache, private|public, immutable",
        ours=r"no-cache, private|public, immutable",
    ),
    Row(
        "unknown fields and kinds are named",
        "and a warning says which known one was meant, when one is near",
        "the messages stay as clients parse them; kubectl prints warnings",
        path=r"suggestions",  # neutral.py leaves them out
    ),
    Row(
        "reviews are answered with `metadata.managedFields`",
        "without",
        "reviews are not stored: there are no fields to manage",
        step=r"(rights|kinds)/.*",
        path=r"body\.metadata\.managedFields",
        theirs=r".*'apiVersion': '(authorization|authentication)\.k8s\.io/v1'.*",
        ours=r"\(absent\)",
    ),
]

# What is not meant, and is not mended yet: lines of unlike.txt (a regular expression), what differs, and what comes of it.
KNOWN = [
    (
        r"discovery/.*",
        "kinds that are not served: CSIDriver, CSINode, CSIStorageCapacity, VolumeAttachment, VolumeAttributesClass, IPAddress, ServiceCIDR, ValidatingAdmissionPolicy and its binding, "
        "ComponentStatus",
        "they tell of storage drivers, address ranges and policies that hythe does not have; discovery and OpenAPI do not list them",
    ),
    (r"apply/of_lists_and_defaults: scale.*", "server-side apply to the subresource `scale`", "415: patch it, or apply to the object"),
    (
        r"kinds/autoscalers_in_two_versions: .*",
        "`managedFields` of a HorizontalPodAutoscaler written in autoscaling/v1 and read in autoscaling/v2, or the other way",
        "fields that have another name in the other version are owned by the name they are stored under",
    ),
    (
        r"kinds/more_(changes_of_(ingress|pvc)|refused_(job|statefulset|small_deployment)): .*",
        "the value that a message quotes: empty and absent lists, pointers, and what a comparison prints, as Go has them",
        "the same faults at the same places",
    ),
    (
        r"kinds/more_refused_small_pod: spec\.(containers\.0\.)?resources=.*",
        "`resources.claims` of containers, and `resources` of pods, are dropped with their feature gates off",
        "kept as they are; nothing reads them",
    ),
    (r"kinds/more_refused_pvc: .*", "a `dataSource` of an unknown kind is dropped", "kept; nothing reads it"),
    (
        r"kinds/more_refused_small_pod: spec\.(volumes|dnsConfig|containers\.0\.securityContext)=.*",
        "the name of a CSI driver and duplicate paths of a projected volume are checked; a path that begins with `..` is told twice; other words for a DNS search name, and what a "
        "seccomp profile is quoted as",
        "pods with the first two are taken; the others are refused all the same",
    ),
    (r"kinds/more_refused_service: .*", "a node port given twice is one that is allocated already", "it is told as a duplicate"),
    (r"requests/collections: .*", "a precondition that a deletecollection does not meet is a Conflict that names the object; its answer can be a Table", "409 AlreadyExists; always a list"),
    (r"requests/directives: a null in a list", "a strategic merge patch with null beside the elements of a list of objects", "refused as there, in fewer words"),
    (r"requests/forms: a table of another version", "tables in the form meta.k8s.io/v1beta1 hold partial objects of that version", "of v1: kubectl has not asked for that form since 1.16"),
    (r"requests/forms: a body that says it is protobuf", "a broken protobuf body is quoted by its first thirty bytes", "all of it is"),
    (r"watches/of_a_namespace_as_kubectl: its end", "the last event of a namespace that ends", "its order relative to the end of the watch is by chance"),
]


def applies(row, name, title):
    return re.fullmatch(row.step, f"{name}: {title}", re.S)


def is_intended(name, title, path, theirs, ours):
    return any(
        applies(row, name, title) and re.fullmatch(row.path, path) and re.fullmatch(row.theirs, str(theirs), re.S) and re.fullmatch(row.ours, str(ours), re.S) for row in ROWS
    )


def page():
    lines = [
        "# What differs from a Kubernetes API server",
        "",
        "`tests/kube/test_kube_compare.py` sends hythe the requests whose answers by kube-apiserver 1.33 are recorded beside it, and holds status, headers and",
        "bodies equal but for this. Times, uids, revisions, addresses and random letters are not compared, nor are the words of field descriptions,",
        "whole objects that messages quote as Go prints them, and the order of faults that come from maps.",
        "",
        "| kube-apiserver | hythe | why |",
        "|---|---|---|",
    ]
    lines += [f"| {row.real} | {row.hythe} | {row.why} |" for row in ROWS]
    lines += [
        "",
        "Besides: addresses of 127.97.0.0/16 are taken in Endpoints and EndpointSlices, where the real server refuses all of 127.0.0.0/8: pods that run as processes",
        "have them ([process-pods.md](process-pods.md)).",
        "",
        "The paths `services/NAME/proxy` and `pods/NAME/proxy` ask by http alone (`https:` before the name: 501), upgrade to WebSockets alone, leave escapes in the path as they were sent, and do not rewrite links within HTML",
        "pages: a page with links that begin with `/` needs `kubectl port-forward` or the gateway. A pod's port may also be the name that its container gives it. `nodes/NAME/proxy` answers 503.",
        "",
        "Autoscalers may have `minReplicas: 0` with a metric of type Object or External, as with the feature gate HPAScaleToZero, which is off by default there.",
        "",
        "## Known, and not meant",
        "",
        "`tests/kube/unlike.txt` lists the requests that show these; each is tried in every run of the suite.",
        "",
        "| what | what comes of it |",
        "|---|---|",
    ]
    lines += [f"| {what} | {comes} |" for _, what, comes in KNOWN]
    lines += [
        "",
        "## Kinds that it brings",
        "",
        "`hythe up` makes CustomResourceDefinitions of its own, unless `--shipped-kinds off` says otherwise: SeldonDeployment, InferenceService and those of Gateway API. They have",
        "the label `app.kubernetes.io/managed-by=hythe`, and are brought up to date when hythe starts. One whose spec somebody has changed, or that somebody else made (it has no",
        "annotation `hythe.dev/shipped`), is left as it is. One that was deleted comes back at the next start. What webhooks check on a cluster of their own hythe checks itself.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{len(ROWS)} differences in {PAGE.name}")
