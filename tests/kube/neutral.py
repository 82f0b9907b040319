# SPDX-License-Identifier: Apache-2.0
"""Makes answers neutral: times, uids, revisions, addresses, generated names and tokens become words, so that two servers' answers can be equal."""
import json
import re

HEADERS = ["content-type", "cache-control", "retry-after", "vary", "warning", "www-authenticate", "allow", "location", "accept-patch"]
PRESENT = ["etag", "last-modified"]  # only whether they are there

PATTERNS = [
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?\+0000 UTC|Z)( m=\+[\d.]+)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "<token>"),
    (re.compile(r"too old resource version: \d+ \(\d+\)"), "too old resource version: <rv> (<rv>)"),
    (re.compile(r"Too large resource version: \d+, current: \d+"), "Too large resource version: <rv>, current: <rv>"),
    (re.compile(r"\b(10|127)\.96\.\d+\.\d+\b"), "<cluster-ip>"),
    (re.compile(r"\b127\.0\.0\.1:\d{4,5}\b"), "<server>"),
    (re.compile(r"(ResourceVersion in (the precondition|record)) \(\d+\)"), r"\1 (<rv>)"),
    (re.compile(r"(resourceVersion\\*\":\\*\")\d+"), r"\1<rv>"),
    (re.compile(r"\(\*(\w+)\)\(0x[0-9a-f]+\)"), r"(*\1)(<pointer>)"),
    (re.compile(r"Invalid value: ((\[\]|map\[\w+\])?\*?[a-z]\w*\.\w+|map\[string\]interface \{\})?\{.*\}(?=: )", re.S), "Invalid value: <value>"),
    (re.compile(r"\n[\s\u00a0]*core\..*", re.S), ""),  # what differs, as Go prints values
    (re.compile(r"kube-api-access-[a-z0-9]{5}\b"), "kube-api-access-<random>"),
    (re.compile(r"\b(\d+):3[0-2]\d{3}/(TCP|UDP|SCTP)"), r"\1:<node-port>/\2"),
    (re.compile(r"-----BEGIN CERTIFICATE-----[\w+/=\s-]+-----END CERTIFICATE-----\n?"), "<certificate>"),
    (re.compile(r"\?hash=[0-9A-F]+"), "?hash=<hash>"),
    (re.compile(r"(the provided start key|from server \(Expired\)).*", re.S), r"\1 <…>"),
]
BY_KEY = {
    "uid": "<uid>",
    "resourceVersion": "<rv>",
    "continue": "<continue>",
    "nodePort": "<node-port>",
    "healthCheckNodePort": "<node-port>",
    "caBundle": "<bundle>",
}
BACKGROUND = {"kube-controller-manager", "kube-apiserver", "hythe"}  # writers that come by themselves, at any time
AGE = re.compile(r"^(\d+[smhdy]){1,2}$")


class Neutral:
    """Words for what belongs to one run: `own` maps the run's own names (namespace, suffix of cluster-wide names) to words."""

    def __init__(self, own):
        self.own = sorted(own.items(), key=lambda pair: -len(pair[0]))
        self.generated = []

    def generate(self, prefix):
        """Names that begin with this prefix end in random letters."""
        self.generated.append((re.compile(re.escape(prefix) + r"[a-z0-9]{5}\b"), prefix + "<random>"))

    def text(self, text):
        for name, word in self.own:
            text = text.replace(name, word)
        for pattern, word in PATTERNS + self.generated:
            text = pattern.sub(word, text)
        return text

    def tree(self, value, key=None):
        if isinstance(value, dict):
            return sort_causes({self.text(k): self.tree(v, k) for k, v in value.items()})
        if key == "managedFields" and isinstance(value, list):
            # Entries of one second stand in the order of their writes, others in that of their times: which, is chance.
            value = sorted((v for v in value if not (isinstance(v, dict) and v.get("manager") in BACKGROUND)), key=_writer)
        if isinstance(value, list):
            return [self.tree(v, key) for v in value]
        if key in BY_KEY and value not in ("", None, 0):
            return BY_KEY[key]
        if isinstance(value, str):
            return "<age>" if key == "cells" and AGE.match(value) else self.text(value)
        return value

    def answer(self, status, headers, raw):
        chosen = {name: self.text(headers[name]) for name in HEADERS if name in headers}
        if told := chosen.pop("warning", ""):  # suggestions are hythe's own: differences.py
            told = "\n".join(line for line in told.split("\n") if "did you mean" not in line)
            chosen |= {"warning": told} if told else {}
        chosen.update({name: "<present>" for name in PRESENT if name in headers})
        if not raw:
            return {"status": status, "headers": chosen}
        try:
            body = self.tree(json.loads(raw))
        except ValueError:
            body = self.text(raw.decode(errors="replace"))
        return {"status": status, "headers": chosen, "body": body}


def _writer(entry):
    return [str(entry.get(key, "")) for key in ("manager", "operation", "subresource", "apiVersion")] if isinstance(entry, dict) else [str(entry)]


def sort_causes(tree):
    """Faults of maps come in any order, in the list of causes and in the message that repeats them."""
    if tree.get("kind") != "Status" or len((tree.get("details") or {}).get("causes", [])) < 2:
        return tree
    causes = sorted(tree["details"]["causes"], key=lambda c: (c.get("field", ""), c.get("message", "")))
    message = tree["message"]
    for cause in causes:
        message = message.replace(f"{cause.get('field')}: {cause.get('message')}", "<cause>")
    return {**tree, "details": {**tree["details"], "causes": causes}, "message": message}


def differences(real, ours, path=""):
    """Yields (path, what the real server has, what ours has) for every place where two neutral answers differ."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in sorted(real.keys() | ours.keys()):
            yield from differences(real.get(key, ABSENT), ours.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(real, list) and isinstance(ours, list):
        for i in range(max(len(real), len(ours))):
            yield from differences(real[i] if i < len(real) else ABSENT, ours[i] if i < len(ours) else ABSENT, f"{path}[{i}]")
    elif real != ours or isinstance(real, bool) != isinstance(ours, bool):
        yield path, real, ours


class _Absent:
    def __repr__(self):
        return "(absent)"


ABSENT = _Absent()
