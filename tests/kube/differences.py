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
        "unknown fields and kinds are named",
        "and a warning says which known one was meant, when one is near",
        "the messages stay as clients parse them; kubectl prints warnings",
        step="",
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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{len(ROWS)} differences in {PAGE.name}")
