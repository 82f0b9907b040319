# SPDX-License-Identifier: Apache-2.0
"""`./dev bench kube`: hythe's Kubernetes API beside etcd and kube-apiserver, durable writes on both; see bench/README.md."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import common

sys.path.insert(0, str(common.ROOT / "tests" / "kube"))
LOAD = pathlib.Path(__file__).parent / "kubeload"
OBJECTS = int(os.environ.get("KUBE_OBJECTS", "10000"))
WORKS = [("create 1", "create, 1 client, /s"), ("create 16", "create, 16 clients, /s"), ("get 1", "get, 1 client, /s"), ("get 16", "get, 16 clients, /s"), ("patch 1", "merge patch, 1 client, /s"),
         ("list", "list all, ms"), ("list pages", "list by pages of 500, ms"), ("list none", "label list that matches none, ms"), ("deletecollection", "deletecollection of all, ms"),
         ("watch", "watch: POST sent to event read, p50/p99 ms"), ("watch crowded", "the same, 1,000 watchers, 500 writes/s, p50/p99 ms")]


def load_program():
    path = common.WORK / "kubeload"
    common.WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", str(path), "."], cwd=LOAD, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return str(path)


class Hythe:
    name = "hythe"

    def __init__(self, folder):
        os.environ.setdefault("HYTHE", common.HYTHE)
        from cluster import Up

        self.up = Up(folder, wrap=["taskset", "-c", common.SERVER_CORE])
        self.cluster, self.kubeconfig, self.ready_after = self.up.cluster, str(self.up.kubeconfig), self.up.ready_after
        self.pids = [self.up.process.pid]

    def stop(self):
        self.up.stop()


class Real:
    name = "kube-apiserver + etcd"

    def __init__(self, folder):
        import real

        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        self.real = real.Real(folder, durable=True, controllers=False, wrap=["taskset", "-c", common.SERVER_CORE])
        self.cluster, self.kubeconfig, self.ready_after = self.real.cluster, str(self.real.kubeconfig), self.real.ready_after
        self.pids = [p.pid for p in self.real.parts.values()]

    def stop(self):
        self.real.stop()


def memory_mb(server, kind="Rss"):
    return sum(common.memory_mb(pid, kind) for pid in server.pids)


def certificate(server, folder):
    """The administrator's certificate and key as files, for the load program."""
    import client
    import yaml

    user = yaml.safe_load(pathlib.Path(server.kubeconfig).read_text())["users"][0]["user"]
    return [client._file(user, part, folder, os.path.dirname(server.kubeconfig)) for part in ("client-certificate", "client-key")]


def load(program, server, *flags):
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(server, folder)
        command = ["taskset", "-c", common.LOAD_CORE, program, "-server", server.cluster.server, "-cert", cert, "-key", key, "-objects", str(OBJECTS), *flags]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def kubectl_ms(server, *arguments):
    """The middle of eleven runs of a whole command."""
    times = []
    for _ in range(11):
        start = time.monotonic()
        subprocess.run(["taskset", "-c", common.LOAD_CORE, "kubectl", *arguments], env={**os.environ, "KUBECONFIG": server.kubeconfig}, check=True, capture_output=True)
        times.append((time.monotonic() - start) * 1e3)
    return statistics.median(times)


def measure(kind, program):
    figures = {}
    starts = []
    for _ in range(common.ROUNDS):
        with tempfile.TemporaryDirectory(prefix="kube-") as folder:
            server = kind(folder)
            starts.append(server.ready_after * 1e3)
            server.stop()
    figures["start to ready, empty, ms"] = statistics.median(starts)
    folder = tempfile.mkdtemp(prefix="kube-")
    try:
        server = kind(folder)
        time.sleep(3)
        figures["memory idle, MB (private part)"] = [memory_mb(server), memory_mb(server, "Pss")]
        rounds = [json.loads(load(program, server)) for _ in range(common.ROUNDS)]
        for work, title in WORKS:
            def middle(key):
                return statistics.median(r[work][key] for r in rounds)

            if title.endswith("/s") and "watch" not in work:
                figures[title] = middle("per_second")
            elif "p50/p99" in title:
                figures[title] = [middle("p50_ms"), middle("p99_ms")]
            else:
                figures[title] = middle("p50_ms")
        if shutil.which("kubectl"):
            figures["kubectl get pods, ms more than kubectl version --client"] = kubectl_ms(server, "get", "pods") - kubectl_ms(server, "version", "--client")
        load(program, server, "-keep")
        server.stop()
        again = []
        for _ in range(common.ROUNDS):
            server = kind(folder)
            again.append(server.ready_after * 1e3)
            server.stop()
        figures[f"start to ready, {OBJECTS} objects, ms"] = statistics.median(again)
        server = kind(folder)
        for _ in range(max(0, 100_000 // OBJECTS - 1)):
            load(program, server, "-keep")
        time.sleep(2)
        figures["memory with 100,000 objects, MB (private part)"] = [memory_mb(server), memory_mb(server, "Pss")]
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def show(value):
    if value is None:
        return "–"
    if isinstance(value, list):
        return " / ".join(show(v) for v in value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main():
    program = load_program()
    kinds = [Hythe, Real] if shutil.which("go") else [Hythe]
    found = {}
    for kind in kinds:
        common.say(f"== {kind.name}")
        found[kind.name] = measure(kind, program)
    names = list(found)
    print(f"\n| work ({OBJECTS:,} ConfigMaps of 620 bytes; TLS, HTTP/1.1; server on one core, load on the other) | {' | '.join(names)} |")
    print("|---|" + "---:|" * len(names))
    for title in found["hythe"]:
        print(f"| {title} | {' | '.join(show(found[n].get(title)) for n in names)} |")


if __name__ == "__main__":
    main()
