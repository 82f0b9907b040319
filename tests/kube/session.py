# SPDX-License-Identifier: Apache-2.0
"""One run of one scenario against one server: asks, and keeps the neutral answers in order."""
import json
import random
import threading
import time

from neutral import Neutral

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
WAIT = 60


class GaveUp(Exception):
    """A request that only prepares failed: the rest of the scenario would tell nothing."""


class Session:
    def __init__(self, cluster, scenario, protobuf=None):
        self.cluster = cluster
        self.scenario = scenario
        self.protobuf = protobuf or {}
        self.u = "".join(random.choices("bcdfghjklmnpqrstvwxz", k=6))  # no part of a word: it is looked for in answers
        self.ns = f"cmp-{self.u}"
        self.neutral = Neutral({self.ns: "NS", self.u: "UNIQ"})
        self.steps = []
        self.namespaces = []
        self.cleanup = []

    # ---- paths ----
    def core(self, *rest, ns=None):
        return "/".join(["/api/v1/namespaces", ns or self.ns, *rest])

    def at(self, group_version, *rest, ns=None):
        return "/".join(["/apis", group_version, "namespaces", ns or self.ns, *rest])

    # ---- asking ----
    def _note(self, title, entry):
        if any(title == t for t, _ in self.steps):
            raise ValueError(f"{self.scenario}: two steps are called {title!r}")
        self.steps.append((title, entry))

    def ask(self, title, method, path, body=None, type=None, user="admin", accept=None, shape=None, **headers):
        """A request whose answer is compared. `shape` may cut the body down to what is compared."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if type:
            sent["Content-Type"] = type
        if accept:
            sent["Accept"] = accept
        answer = self.cluster.ask(method, path, body, sent, user)
        entry = self.neutral.answer(answer.status, answer.headers, answer.raw)
        if shape and "body" in entry:
            try:
                entry["body"] = shape(entry["body"])
            except (AttributeError, IndexError, KeyError, TypeError) as e:  # not the form that was expected: a difference, not an end
                entry["unshaped"] = str(e)
        self._note(title, entry)
        return answer

    def get(self, title, path, **options):
        return self.ask(title, "GET", path, **options)

    def post(self, title, path, body, **options):
        return self.ask(title, "POST", path, body, **options)

    def put(self, title, path, body, **options):
        return self.ask(title, "PUT", path, body, **options)

    def patch(self, title, path, body, type=MERGE, **options):
        return self.ask(title, "PATCH", path, body, type=type, **options)

    def delete(self, title, path, body=None, **options):
        return self.ask(title, "DELETE", path, body, **options)

    def fact(self, title, value):
        """Something that is true or false of the answers before: compared as a step of its own."""
        self._note(title, {"fact": value})

    def prepare(self, method, path, body=None, type=None, user="admin", may_fail=False):
        """A request that is not compared."""
        answer = self.cluster.ask(method, path, body, {"Content-Type": type} if type else None, user)
        if answer.status >= 300 and not may_fail:
            raise GaveUp(f"{method} {path}: {answer.status} {answer.text[:900]}")
        return answer

    def make_namespace(self, name=None, labels=None):
        name = name or self.ns
        self.prepare("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels or {}}})
        self.namespaces.append(name)
        # What a namespace gets by itself is part of lists and quotas: wait for it.
        self.until(f"/api/v1/namespaces/{name}/serviceaccounts/default", lambda a: a.status == 200)
        self.until(f"/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt", lambda a: a.status == 200)
        return name

    def until(self, path, is_true, accept=None):
        """Asks until the answer is as wished; what the server does in the background is waited for like this."""
        end = time.monotonic() + WAIT
        while True:
            answer = self.cluster.ask("GET", path, headers={"Accept": accept} if accept else None)
            if is_true(answer):
                return answer
            if time.monotonic() > end:
                raise GaveUp(f"GET {path}: not as expected after {WAIT} s: {answer.status} {answer.text[:900]}")
            time.sleep(0.02)

    def gone(self, path):
        return self.until(path, lambda a: a.status == 404)

    # ---- watches ----
    def watch(self, title, path, count, seconds=10, shape=None, user="admin", accept=None):
        """Opens a watch and keeps its first `count` events (fewer if it ends)."""
        self.watching(title, path, count, seconds, shape, user, accept).join()

    def watching(self, title, path, count, seconds=10, shape=None, user="admin", accept=None):
        """The same in the background; .join() waits for the events. Returns once the server has answered."""
        entry = {"status": None, "events": []}
        self._note(title, entry)
        return _Watch(self, entry, path, count, seconds, shape, user, accept)

    def close(self):
        for method, path, body in reversed(self.cleanup):
            self.prepare(method, path, body, may_fail=True)
        for name in self.namespaces:
            # Pods that wait for a node and objects with finalizers would keep the namespace for ever.
            self.prepare("DELETE", f"/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0", may_fail=True)
            for kind in ("configmaps", "services"):
                for item in self.prepare("GET", f"/api/v1/namespaces/{name}/{kind}", may_fail=True).json.get("items", []):
                    if item["metadata"].get("finalizers"):
                        path = f"/api/v1/namespaces/{name}/{kind}/{item['metadata']['name']}"
                        self.prepare("PATCH", path, {"metadata": {"finalizers": None}}, type=MERGE, may_fail=True)
            self.prepare("DELETE", f"/api/v1/namespaces/{name}", may_fail=True)

    def later(self, method, path, body=None):
        """What is done at the end, however the scenario goes."""
        self.cleanup.append((method, path, body))


class _Watch:
    def __init__(self, session, entry, path, count, seconds, shape, user, accept):
        self.session, self.entry, self.count, self.shape = session, entry, count, shape
        self.end = time.monotonic() + max(seconds, WAIT)
        self.connection = session.cluster.connect(user, timeout=max(seconds, WAIT))
        session.cluster.send(self.connection, "GET", path, headers={"Accept": accept} if accept else None, user=user)
        self.response = self.connection.getresponse()
        entry["status"] = self.response.status
        entry["headers"] = {"content-type": self.response.getheader("Content-Type")}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        events = self.entry["events"]
        try:
            while len(events) < self.count and time.monotonic() < self.end:
                line = self.response.readline()
                if not line:
                    self.entry["ended"] = True
                    break
                try:
                    event = self.session.neutral.tree(json.loads(line))
                except ValueError:
                    event = self.session.neutral.text(line.decode(errors="replace"))
                events.append(self.shape(event) if self.shape else event)
        except OSError:
            pass
        finally:
            self.connection.close()

    def join(self):
        self.thread.join(max(0.0, self.end - time.monotonic()) + 2)
        return self.entry["events"]
