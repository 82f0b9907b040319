# SPDX-License-Identifier: Apache-2.0
"""`./dev bench node`: from an object to a running process, and back: latencies, hundreds of pods, memory; see bench/README.md.

Alone: python3 bench/node.py [--only PART,...]. There is no rival in it: containerd by direct calls takes 110 to 140 ms from a sandbox to a started container on such a machine, kubelet
and an API server not counted.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import common

PODS = int(os.environ.get("NODE_PODS", "100"))
REPLICAS = int(os.environ.get("NODE_REPLICAS", "200"))
SETTLED_S = 4
DEPLOYMENTS = int(os.environ.get("NODE_DEPLOYMENTS", "2000"))
DEADLINE = 300
PODS_PATH = "/api/v1/namespaces/default/pods"
SLICES_PATH = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
DEPLOYMENTS_PATH = "/apis/apps/v1/namespaces/default/deployments"


class Up:
    def __init__(self, folder, *flags):
        from client import Cluster

        self.data = pathlib.Path(folder) / "data"
        port = common.free_port()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with open(self.data.parent / "up.log", "ab") as log:
            self.process = subprocess.Popen([common.HYTHE, "up", "--data-dir", str(self.data), "--listen-api", f"127.0.0.1:{port}", "--pods-most", "1000", "--gateway=off", *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(Exception):
                self.cluster = Cluster(self.data / "kubeconfig")
                if self.cluster.port == port and self.cluster.ask("GET", "/readyz").status == 200 and ("--node=off" in flags or self.nodes_ready()):
                    break
            time.sleep(0.005)
        self.connection = self.cluster.connect(timeout=DEADLINE)

    def nodes_ready(self):
        items = json.loads(self.cluster.ask("GET", "/api/v1/nodes").body)["items"]
        return any(c["type"] == "Ready" and c["status"] == "True" for n in items for c in n["status"].get("conditions", []))

    def ask(self, method, path, body=None):
        self.cluster.send(self.connection, method, path, body)
        response = self.connection.getresponse()
        raw = response.read()
        if response.status >= 300 and response.status != 404:
            raise RuntimeError(f"{method} {path}: {response.status} {raw[:400]}")
        return json.loads(raw)

    def rss(self):
        """Megabytes of hythe alone, without its pods' supervisors, which are its children's."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text()).group(1)) / 1024

    def end(self):
        self.process.send_signal(signal.SIGINT)  # its pods end too
        self.process.wait(120)


class Watch(threading.Thread):
    """Notes when an object was first as `sees` wants it: {name: seconds of the monotonic clock}."""

    def __init__(self, up, path, sees):
        super().__init__(daemon=True)
        self.sees, self.seen, self.changed = sees, {}, threading.Condition()
        self.connection = up.cluster.connect(timeout=DEADLINE)
        up.cluster.send(self.connection, "GET", f"{path}?watch=true&resourceVersion=0")
        self.response = self.connection.getresponse()
        self.start()

    def run(self):
        with contextlib.suppress(Exception):
            while line := self.response.readline():
                now = time.monotonic()
                event = json.loads(line)
                with self.changed:
                    for name in self.sees(event):
                        self.seen.setdefault(name, now)
                    self.changed.notify_all()

    def wait(self, name):
        with self.changed:
            if not self.changed.wait_for(lambda: name in self.seen, DEADLINE):
                raise RuntimeError(f"{name} was not seen in {DEADLINE} s")
            return self.seen[name]

    def wait_count(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.seen) >= count, DEADLINE):
                raise RuntimeError(f"{len(self.seen)} of {count} were seen in {DEADLINE} s")
            return max(self.seen.values())


def ready_pods(event):
    o = event["object"]
    if any(c["type"] == "Ready" and c["status"] == "True" for c in o.get("status", {}).get("conditions", [])):
        yield o["metadata"]["name"] + "/" + str(o["status"]["containerStatuses"][0]["restartCount"])


def ready_endpoints(event):
    for e in event["object"].get("endpoints") or []:
        if e["conditions"].get("ready"):
            yield e["targetRef"]["name"]


def available(event):
    s, want = event["object"].get("status", {}), event["object"]["spec"]["replicas"]
    if s.get("availableReplicas", 0) >= want and s.get("updatedReplicas", 0) >= want:
        yield event["object"]["metadata"]["name"]


def pod_spec(command, **more):
    return {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [{"name": "main", "image": "process", "command": command, **more}]}


def deployment(name, replicas, spec):
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": spec}}}


def ms(values):
    values = sorted(values)
    return f"{statistics.median(values) * 1e3:,.1f} / {values[int(len(values) * 0.99) - 1 if len(values) > 1 else 0] * 1e3:,.1f}"


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


# ---- parts ----

def pods(folder):
    """One pod after the other: POST sent → process started (it makes a file) → Ready seen → in the EndpointSlice."""
    up = Up(folder)
    out = pathlib.Path(folder) / "out"
    out.mkdir()
    up.ask("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "all"}, "spec": {"selector": {"all": "yes"}, "ports": [{"port": 80}]}})
    ready, slices = Watch(up, PODS_PATH, ready_pods), Watch(up, SLICES_PATH, ready_endpoints)
    started, readied, listed, again = [], [], [], []
    for i in range(PODS):
        name = f"p{i}"
        spec = pod_spec(["/bin/sh", "-c", f": > /out/{name}; exec sleep 1000000"], volumeMounts=[{"name": "out", "mountPath": "/out"}])
        spec["volumes"] = [{"name": "out", "hostPath": {"path": str(out)}}]
        wall, at = time.time(), time.monotonic()
        up.ask("POST", PODS_PATH, {"metadata": {"name": name, "labels": {"all": "yes"}}, "spec": spec})
        listed.append(slices.wait(name) - at)
        readied.append(ready.wait(f"{name}/0") - at)
        while not (out / name).exists():  # it is ready when its command has begun, and has not come to this yet
            time.sleep(0.001)
        started.append((out / name).stat().st_mtime_ns / 1e9 - wall)
        if i < 20:
            pid = process_of(name)
            at = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            again.append(ready.wait(f"{name}/1") - at)
        up.ask("DELETE", f"{PODS_PATH}/{name}?gracePeriodSeconds=0")
    row("pod created → process started, p50 / p99 ms", ms(started))
    row("→ seen Ready by a watch", ms(readied))
    row("→ seen in the EndpointSlice by a watch", ms(listed))
    row("a killed container → ready again (first restart)", ms(again))
    up.end()


def command_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def process_of(pod):
    """The first process of a pod's container: by its host name, which is in its environment."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for p in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if p.isdigit() and f"HOSTNAME={pod}".encode() in pathlib.Path(f"/proc/{p}/environ").read_bytes().split(b"\0"):
                    return int(p)
    raise RuntimeError(f"no process of {pod}")


def deployments(folder):
    up = Up(folder)
    seen = Watch(up, DEPLOYMENTS_PATH, available)
    times = []
    for i in range(10):
        at = time.monotonic()
        up.ask("POST", DEPLOYMENTS_PATH, deployment(f"d{i}", 3, pod_spec(["sleep", "1000000"])))
        times.append(seen.wait(f"d{i}") - at)
        up.ask("DELETE", f"{DEPLOYMENTS_PATH}/d{i}")
        while up.ask("GET", PODS_PATH)["items"]:
            time.sleep(0.01)
    row("Deployment of 3 applied → available, p50 / worst ms", ms(times))
    before, private = up.rss(), []
    at = time.monotonic()
    up.ask("POST", DEPLOYMENTS_PATH, deployment("many", REPLICAS, pod_spec(["sleep", "1000000"])))
    row(f"Deployment of {REPLICAS} applied → available, s", f"{seen.wait('many') - at:.2f}")
    time.sleep(10)  # what is only needed at the start has been given back
    for p in os.listdir("/proc"):
        if p.isdigit() and command_of(p).startswith("hythe: pod default/many-"):
            private.append(sum(common.memory_mb(int(p), k) for k in ("Private_Dirty", "Private_Clean")))
    row("memory of an idle pod in hythe, KB", f"{(up.rss() - before) * 1024 / REPLICAS:.0f}")
    row("private memory of its supervisor and what it started to hold the namespaces, KB", f"{statistics.median(private) * 1024:.0f}")
    at = time.monotonic()
    up.ask("DELETE", f"{DEPLOYMENTS_PATH}/many")
    while up.ask("GET", f"{PODS_PATH}?limit=1")["items"]:
        time.sleep(0.01)
    row("the same deleted → the API has none, s", f"{time.monotonic() - at:.2f}")
    up.end()


def cold(folder):
    """Deployments are there when the controllers begin; pods have no node, and a thread plays one that makes them ready."""
    up = Up(folder, "--node=off", "--controllers=-*")
    for i in range(DEPLOYMENTS):
        up.ask("POST", DEPLOYMENTS_PATH, deployment(f"d{i}", 1, pod_spec(["sleep", "1000000"])))
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(60)
    at = time.monotonic()
    up = Up(folder, "--node=off", "--controllers=deployment-controller,replicaset-controller,endpointslice-controller,endpoints-controller,disruption-controller")
    local, made = threading.local(), set()

    def play(name):  # what a node does with a pod that is bound to it
        if not hasattr(local, "connection"):
            local.connection = up.cluster.connect(timeout=DEADLINE)
        up.cluster.send(local.connection, "PATCH", f"{PODS_PATH}/{name}/status", {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}},
                        headers={"Content-Type": "application/merge-patch+json"})
        local.connection.getresponse().read()

    done = Watch(up, DEPLOYMENTS_PATH, available)
    pods_seen = Watch(up, PODS_PATH, lambda e: [e["object"]["metadata"]["name"]])
    with concurrent.futures.ThreadPoolExecutor(16) as players:
        while len(made) < DEPLOYMENTS:
            with pods_seen.changed:
                pods_seen.changed.wait_for(lambda: len(pods_seen.seen) > len(made), DEADLINE)
                fresh = [n for n in pods_seen.seen if n not in made]
            made.update(fresh)
            for name in fresh:
                players.submit(play, name)
    all_made = max(pods_seen.seen.values())
    end = done.wait_count(DEPLOYMENTS)
    row(f"{DEPLOYMENTS:,} Deployments × 1 pod from cold: start → all pods made / all available, s", f"{all_made - at:.2f} / {end - at:.2f}")
    then = up.rss()  # with what this program has not read of its watches yet
    time.sleep(SETTLED_S)
    row(f"memory of hythe then / {SETTLED_S} s later, MB", f"{then:.0f} / {up.rss():.0f}")
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(60)


PARTS = {"pods": pods, "deployments": deployments, "cold": cold}


def main(options=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(PARTS))
    args = parser.parse_args(list(options))
    row("work", "measured")
    row("---", "---")
    for name in args.only.split(","):
        folder = tempfile.mkdtemp(prefix="hythe-bench-")
        try:
            PARTS[name](folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
