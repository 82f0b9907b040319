# SPDX-License-Identifier: Apache-2.0
"""A namespace in which controllers are watched: who asks plays the nodes, and sees what has come of it when all is quiet."""
import json
import random
import re
import string
import time

KINDS = {
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "cronjobs": "/apis/batch/v1",
    "pods": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
}
OF_KIND = {"Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "Job": "jobs", "CronJob": "cronjobs",
           "HorizontalPodAutoscaler": "horizontalpodautoscalers", "PodDisruptionBudget": "poddisruptionbudgets", "Service": "services", "Pod": "pods"}
MERGE = "application/merge-patch+json"
QUIET = 0.8  # seconds without a change: the controllers have done what there was to do
LATE = 10  # the same where something is visibly still to be done
PATIENCE = 90
LOOK = 0.15  # between two looks at all kinds: more often would keep the API server from its work
STEP = 0.5  # what passes between two looks counts as quiet up to this: whoever holds up who looks may hold up what is looked at
NODES = ("stage-a", "stage-b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
RACES = ("ScalingReplicaSet", "SuccessfulCreate", "SuccessfulDelete")
RANDOM = "[bcdfghjklmnpqrstvwxz2456789]{5}"


class Stage:
    def __init__(self, cluster, quiet=QUIET):
        self.cluster, self.quiet = cluster, quiet
        self.ns = "play-" + "".join(random.choices(string.ascii_lowercase, k=6))
        self.steps, self.names, self.told = [], {}, {}
        self.has_raced = False  # since the last step: how many writes it took depends on who was faster
        self.is_awaited = None  # (number of a step, its state): is it what was to come? What is not has longer to become it
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": self.ns}})
        self._until(f"/api/v1/namespaces/{self.ns}/serviceaccounts/default")

    # ---- asking ----
    def ask(self, method, path, body=None, type=None, may_fail=False):
        answer = self.cluster.ask(method, path, body, {"Content-Type": type} if type else None)
        if answer.status >= 300 and not may_fail:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.text[:800]}")
        return answer

    def _until(self, path):
        end = time.monotonic() + PATIENCE
        while self.ask("GET", path, may_fail=True).status != 200:
            assert time.monotonic() < end, f"{path} does not come"
            time.sleep(0.05)

    def path(self, plural, name=None, sub=None):
        base = "/api/v1" if plural == "services" else KINDS[plural]
        return "/".join(p for p in (base, "namespaces", self.ns, plural, name, sub) if p)

    def create(self, object):
        return self.ask("POST", self.path(OF_KIND[object["kind"]]), object).json

    def patch(self, plural, name, body, sub=None):
        return self.ask("PATCH", self.path(plural, name, sub), body, type=MERGE).json

    def delete(self, plural, name, **options):
        return self.ask("DELETE", self.path(plural, name), {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None)

    def get(self, plural, name):
        return self.ask("GET", self.path(plural, name)).json

    def list(self, plural):
        return self.ask("GET", self.path(plural)).json.get("items") or []

    def until(self, plural, name, is_true):
        """Waits for one object, and a moment for what follows from it."""
        end = time.monotonic() + PATIENCE
        while not is_true(self.get(plural, name)):
            assert time.monotonic() < end, f"{self.ns}: {plural}/{name}: {json.dumps(self.get(plural, name))[:2000]}"
            time.sleep(0.05)
        time.sleep(self.quiet)

    def gone(self, plural, name):
        end = time.monotonic() + PATIENCE
        while self.ask("GET", self.path(plural, name), may_fail=True).status != 404:
            assert time.monotonic() < end, f"{self.ns}: {plural}/{name} does not go"
            time.sleep(0.05)

    def away_from_the_minute(self, seconds):
        """Waits if a minute is full within so many seconds."""
        left = 60 - time.time() % 60
        if left < seconds:
            time.sleep(left + 1)

    # ---- the nodes' part ----
    def nodes(self):
        """Two nodes that are ready; there for all stages."""
        for name in NODES:
            node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}}
            self.ask("POST", "/api/v1/nodes", node, may_fail=True)
            self.ask("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}}, type=MERGE)
            status = {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "500"}, "capacity": {"cpu": "8", "memory": "16Gi", "pods": "500"}, "conditions": [{"type": "Ready", "status": "True"}]}
            self.ask("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, type=MERGE)

    def pods(self, is_wanted=lambda p: True):
        return [p for p in sorted(self.list("pods"), key=lambda p: p["metadata"]["name"]) if is_wanted(p)]

    def bind(self):
        for i, pod in enumerate(self.pods(lambda p: not p["spec"].get("nodeName") and "deletionTimestamp" not in p["metadata"])):
            node = _wanted_node(pod) or NODES[i % len(NODES)]
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}
            self.ask("POST", self.path("pods", pod["metadata"]["name"], "binding"), binding)

    def status(self, pod, **status):
        self.patch("pods", pod["metadata"]["name"], {"status": status}, "status")

    def ready(self, count=None, of=""):
        """So many pods (all) that do not run yet run and are ready."""
        self.bind()
        done = 0
        for pod in self.pods(lambda p: p["status"].get("phase") == "Pending" and "deletionTimestamp" not in p["metadata"] and p["metadata"]["name"].startswith(of)):
            if done == count:
                break
            done += 1
            self.status(pod, **running(pod, f"10.9.0.{done}"))
        return done

    def unready(self, pod):
        self.status(pod, conditions=[{"type": t, "status": "False" if t in ("Ready", "ContainersReady") else "True", "lastTransitionTime": now()} for t in CONDITIONS])

    def finish(self, count=None, phase="Succeeded", code=0):
        """So many pods (all) that somebody controls end; those that do not run yet first: names are drawn by lot."""
        self.bind()
        there = self.pods(lambda p: p["status"].get("phase") in ("Pending", "Running") and "deletionTimestamp" not in p["metadata"] and p["metadata"].get("ownerReferences"))
        for pod in sorted(there, key=lambda p: p["status"]["phase"])[:count]:
            state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": now(), "finishedAt": now()}}
            names = [c["name"] for c in pod["spec"]["containers"]]
            self.status(pod, phase=phase, startTime=now(), containerStatuses=[container(n, state) for n in names], conditions=[{"type": t, "status": "True" if t in ("PodScheduled", "Initialized") else "False", "reason": "PodCompleted", "lastTransitionTime": now()} for t in CONDITIONS])

    def bury(self):
        """What is being deleted is gone; a pod that something else holds by a finalizer ends and stays."""
        for pod in self.pods(lambda p: "deletionTimestamp" in p["metadata"]):
            if pod["status"].get("phase") in ("Pending", "Running") and pod["metadata"].get("finalizers"):
                self.status(pod, phase="Failed")
            self.ask("DELETE", self.path("pods", pod["metadata"]["name"]), {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}, may_fail=True)

    def play(self, rounds=60):
        """The nodes do all there is to do, until nothing changes any more."""
        self.has_raced = True
        for _ in range(rounds):
            before = self.settle()
            self.ready()
            self.bury()
            if self.settle() == before:
                return
        raise AssertionError(f"{self.ns}: no end after {rounds} rounds")

    # ---- seeing ----
    def _all(self):
        return {plural: {o["metadata"]["name"]: o for o in self.list(plural)} for plural in KINDS}

    def settle(self, quiet=None):
        """Waits until nothing changes; all versions."""
        quiet, end = quiet or self.quiet, time.monotonic() + PATIENCE
        last, told, calm, before = None, None, 0, time.monotonic()
        while True:
            seen = self._all()
            self._sizes(seen["replicasets"])
            versions = {(plural, name): o["metadata"]["resourceVersion"] for plural, objects in seen.items() for name, o in objects.items()}
            events = {e["metadata"]["resourceVersion"] for e in self._events()}  # they come later than what they tell of
            now = time.monotonic()
            calm = calm + min(now - before, STEP) if (versions, events) == (last, told) else 0
            last, told, before = versions, events, now
            if calm >= quiet and (calm >= LATE or not is_owed(seen)):
                return last
            assert now < end, f"{self.ns} does not come to rest"
            time.sleep(LOOK)

    def _sizes(self, sets):
        for name in sorted(sets, key=lambda n: (sets[n]["metadata"]["creationTimestamp"], int(sets[n]["metadata"]["annotations"].get("deployment.kubernetes.io/revision", "0") if sets[n]["metadata"].get("annotations") else 0))):
            self._name(name, sets[name])

    def _name(self, name, object):
        """What ends with a hash is named by the order in which it came."""
        owner = next((o["name"] for o in object["metadata"].get("ownerReferences", []) if o.get("controller")), None)
        if owner and name not in self.names and name.startswith(owner + "-"):
            count = sum(1 for known in self.names.values() if known.startswith(f"{owner}<"))
            self.names[name] = f"{owner}<{count + 1}>"
        return self.names.get(name, name)

    def neutral(self, text):
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.names[name])
            hash = name.rsplit("-", 1)[1]
            if len(hash) > 6:
                text = text.replace(hash, "HASH" + self.names[name].rsplit("<", 1)[1].rstrip(">"))
        text = text.replace(self.ns, "NS")
        text = TIME.sub("TIME", UID.sub("UID", text))
        text = re.sub(r"\b(\w+)-\d{8}\b", r"\1-MINUTE", text)
        return re.sub(rf"([>\w])-{RANDOM}\b", r"\1-RANDOM", text)

    def note(self, title, is_quiet=True):
        """Keeps what is there when all is quiet, as a step."""
        events, end = set(), time.monotonic() + LATE
        while True:
            if is_quiet:
                self.settle()
            state = self._state(events)
            if not self.is_awaited or self.is_awaited(len(self.steps), state):
                break
            if time.monotonic() > end:
                self.is_awaited = None  # what follows is another story
                break
            time.sleep(LOOK)
        self.has_raced = False
        self.steps.append((title, state))
        return state

    def _state(self, events):
        """What there is; events since the last step are added to those that are known."""
        seen = self._all()
        for revision in sorted(seen["controllerrevisions"].values(), key=lambda r: r["revision"]):
            self._name(revision["metadata"]["name"], revision)
        state = {plural: sorted((shown(plural, o) for o in objects.values()), key=lambda s: json.dumps(s, sort_keys=True)) for plural, objects in seen.items() if objects}
        state = json.loads(self.neutral(json.dumps(state, sort_keys=True)))
        state = {plural: _counted(objects) for plural, objects in state.items()}
        events.update(self._new_events())
        state["events"] = sorted(events)
        return state

    def _events(self):
        return self.ask("GET", f"/api/v1/namespaces/{self.ns}/events").json.get("items") or []

    def _new_events(self):
        """Those that came since the last step. Kubernetes' clients tell ten of a sort and then one that stands for the rest."""
        found = []
        for event in sorted(self._events(), key=lambda e: int(e["metadata"]["resourceVersion"])):
            about = event["involvedObject"]
            sort = self.told.setdefault((about["kind"], about["name"], event["type"], event["reason"]), set())
            if event["metadata"]["name"] in sort:
                continue
            sort.add(event["metadata"]["name"])
            message = event.get("message", "")
            if len(sort) < 10 and not message.startswith("(combined") and not (self.has_raced and event["reason"] in RACES):
                found.append(self.neutral(f"{about['kind']} {about['name']} {event['type']} {event['reason']}: {message}"))
        return found

    def close(self):
        for plural in ("deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "replicasets", "pods"):
            self.ask("DELETE", self.path(plural) + "?propagationPolicy=Background&gracePeriodSeconds=0", may_fail=True)
        self.ask("DELETE", f"/api/v1/namespaces/{self.ns}", may_fail=True)


CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def container(name, state):
    return {"name": name, "image": "i", "imageID": "", "ready": "running" in state, "restartCount": 0, "state": state}


def running(pod, ip):
    names = [c["name"] for c in pod["spec"]["containers"]]
    return {"phase": "Running", "startTime": now(), "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [container(n, {"running": {"startedAt": now()}}) for n in names],
            "conditions": [{"type": t, "status": "True", "lastTransitionTime": now()} for t in CONDITIONS]}


def _wanted_node(pod):
    terms = pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    for term in terms:
        for field in term.get("matchFields", []):
            if field["key"] == "metadata.name":
                return field["values"][0]
    return None


# ---- whether somebody has something to do ----


def _is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])


def _count(object, field):
    return object.get("status", {}).get(field, 0)


def is_owed(seen):
    """Whether a controller has visibly not done its part: it has not seen the last generation, or counts other pods than there are."""
    for plural in ("deployments", "replicasets", "statefulsets", "daemonsets", "poddisruptionbudgets"):
        if any("deletionTimestamp" not in o["metadata"] and _count(o, "observedGeneration") != o["metadata"]["generation"] for o in seen[plural].values()):
            return True
    owned, sets = {}, {}
    for plural, found in (("pods", owned), ("replicasets", sets)):
        for object in seen[plural].values():
            for owner in object["metadata"].get("ownerReferences", []):
                found.setdefault(owner["uid"], []).append(object)
    for name in ("replicasets", "jobs"):
        for object in seen[name].values():
            pods = owned.get(object["metadata"]["uid"], [])
            there = [p for p in pods if "deletionTimestamp" not in p["metadata"] and p["status"].get("phase") in ("Pending", "Running")]
            if name == "replicasets" and (object["spec"]["replicas"], sum(map(_is_ready, there))) != (len(there), _count(object, "readyReplicas")):
                return True
            if name == "jobs" and _count(object, "active") != len(there):
                return True
    for object in seen["deployments"].values():
        own = sets.get(object["metadata"]["uid"], [])
        if any(_count(object, field) != sum(_count(s, field) for s in own) for field in ("replicas", "readyReplicas", "availableReplicas")):
            return True
    return False


# ---- what of an object is compared ----


def _counted(objects):
    """Those that look alike, once, with their number."""
    texts = sorted(json.dumps(o, sort_keys=True) for o in objects)
    return [{**json.loads(t), **({"times": texts.count(t)} if texts.count(t) > 1 else {})} for i, t in enumerate(texts) if i == 0 or texts[i - 1] != t]


META = ("deployment.kubernetes.io/", "deprecated.daemonset", "batch.kubernetes.io/", "endpoints.kubernetes.io/", "pod-template-hash", "controller-revision-hash", "apps.kubernetes.io/",
        "statefulset.kubernetes.io/", "pod-template-generation", "kubernetes.io/service-name", "endpointslice.kubernetes.io/", "job-name", "controller-uid", "service.kubernetes.io/")


def _meta(object):
    found = {"name": object["metadata"]["name"]}
    for part in ("labels", "annotations"):
        kept = {k: v for k, v in (object["metadata"].get(part) or {}).items() if k.startswith(META)}
        if kept:
            found[part] = kept
    for part in ("finalizers",):
        if object["metadata"].get(part):
            found[part] = object["metadata"][part]
    owners = [f"{o['kind']} {o['name']}{' controller' if o.get('controller') else ''}{' blocks' if o.get('blockOwnerDeletion') else ''}" for o in object["metadata"].get("ownerReferences", [])]
    return {**found, **({"owners": owners} if owners else {})}


def _status(object):
    status = {k: v for k, v in object.get("status", {}).items() if not k.endswith("Time")}
    if status.get("observedGeneration") == object["metadata"].get("generation"):
        status["observedGeneration"] = "the last"
    if "conditions" in status:
        status["conditions"] = sorted(f"{c['type']}={c['status']} {c.get('reason', '')}: {c.get('message', '')}" for c in status["conditions"] or [])
    return status


def _slice(object):
    endpoints = sorted(json.dumps({k: v for k, v in e.items() if k in ("conditions", "nodeName") or k == "targetRef" and v.pop("uid", 1)}, sort_keys=True) for e in object.get("endpoints") or [])
    return {"addressType": object["addressType"], "ports": object.get("ports"), "endpoints": endpoints, "generateName": object["metadata"].get("generateName")}


def shown(plural, object):
    found = _meta(object)
    if plural == "pods":
        found["phase"] = object["status"].get("phase")
        found["ready"] = _is_ready(object)
        found["ending"] = "deletionTimestamp" in object["metadata"]
        found["generateName"] = object["metadata"].get("generateName")
        for part in ("hostname", "subdomain"):
            if object["spec"].get(part):
                found[part] = object["spec"][part]
        return found
    if plural == "endpointslices":
        return {**found, **_slice(object)}
    if plural == "controllerrevisions":
        return {**found, "revision": object["revision"]}
    if plural == "persistentvolumeclaims":
        return found
    if plural == "cronjobs":
        return {**found, "active": len(object.get("status", {}).get("active", []))}
    for part in ("replicas", "parallelism", "suspend"):
        if part in object.get("spec", {}):
            found[part] = object["spec"][part]
    return {**found, "status": _status(object)}
