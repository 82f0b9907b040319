# SPDX-License-Identifier: Apache-2.0
"""`./dev bench kube`: hythe's Kubernetes API beside etcd and kube-apiserver, durable writes on both; see bench/README.md.

Alone: python3 bench/kube.py [--only PART,...] [--without-rival]. Both servers run on one core, the load on the other. Every part is measured in rounds, each
server in turn; the one that has no turn is stopped (SIGSTOP), so that it takes no time from the other.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import common

LOAD = pathlib.Path(__file__).parent / "kubeload"
OBJECTS = int(os.environ.get("KUBE_OBJECTS", "10000"))
HELD = int(os.environ.get("KUBE_HELD", "100000"))
READY_SECONDS = 120
PIN = ["taskset", "-c", common.SERVER_CORE]
LOAD_PIN = ["taskset", "-c", common.LOAD_CORE]

# Part of kubeload: what it prints, title, which figures.
WORKS = {
    "writes": [("create 1", "create, 1 client, /s", ["per_second"]), ("create 16", "create, 16 clients, /s", ["per_second"]), ("get 1", "get, 1 client, /s", ["per_second"]),
               ("get 16", "get, 16 clients, /s", ["per_second"]), ("patch 1", "merge patch, 1 client, /s", ["per_second"])],
    "watch": [("watch", "watch: POST sent to event read, p50 / p99 ms", ["p50_ms", "p99_ms"])],
    "lists": [("list", f"list of {OBJECTS:,}, ms", ["p50_ms"]), ("list pages", "the same by pages of 500, ms", ["p50_ms"]), ("list none", "label list that matches none, ms", ["p50_ms"]),
              ("deletecollection", f"deletecollection of {OBJECTS:,}, ms", ["p50_ms"])],
    "crowded": [("watch crowded", "watch: the same, 1,000 watchers of 100 namespaces, 500 writes/s, p50 / p99 ms", ["p50_ms", "p99_ms"])],
    "fanout": [("watch fanout", "watch: the same, 1,000 watchers of one namespace, 20 writes/s (20,000 events/s), p50 / p99 ms", ["p50_ms", "p99_ms"])],
}


def load_program():
    path = common.WORK / "kubeload"
    common.WORK.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", str(path), "."], cwd=LOAD, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return str(path)


def until_ready(port, started, process):
    """Seconds from `started` until /readyz answers 200: asked again and again, as soon as the port is there."""
    import http.client

    context = ssl._create_unverified_context()
    while time.monotonic() < started + READY_SECONDS:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return time.monotonic() - started
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        time.sleep(0.001)
    raise RuntimeError("the server is not ready")


class Server:
    def signal(self, number):
        for pid in self.pids:
            os.kill(pid, number)

    def memory(self):
        return [sum(common.memory_mb(pid, kind) for pid in self.pids) for kind in ("Rss", "Pss")]


class Hythe(Server):
    name = "hythe"

    def __init__(self, folder):
        self.data = pathlib.Path(folder) / "data"
        self.data.parent.mkdir(parents=True, exist_ok=True)
        port = common.free_port()
        self.url, self.kubeconfig = f"https://127.0.0.1:{port}", str(self.data / "kubeconfig")
        self.certificate = [str(self.data / "pki" / f"admin.{part}") for part in ("crt", "key")]
        started = time.monotonic()
        with open(self.data.parent / "up.log", "ab") as log:
            self.process = subprocess.Popen([*PIN, common.HYTHE, "up", "--data-dir", str(self.data), "--listen-api", f"127.0.0.1:{port}", "--node=off", "--gateway=off"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.ready_after = until_ready(port, started, self.process)
        self.pids = [self.process.pid]

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Real(Server):
    name = "kube-apiserver + etcd"

    def __init__(self, folder):
        import real

        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        self.real = real.Real(folder, durable=True, controllers=False, wrap=PIN)
        self.url, self.kubeconfig, self.ready_after = self.real.cluster.server, str(self.real.kubeconfig), self.real.ready_after
        self.certificate = [str(self.real.folder / "pki" / f"admin.{part}") for part in ("crt", "key")]
        self.pids = [p.pid for p in self.real.parts.values()]

    def stop(self):
        self.real.stop()


def load(program, server, *flags):
    cert, key = server.certificate
    command = [*LOAD_PIN, program, "-server", server.url, "-cert", cert, "-key", key, "-pids", ",".join(map(str, server.pids)), "-objects", str(OBJECTS), *flags]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out) if out.strip() else {}


def in_turn(servers, measure):
    """ROUNDS rounds of measure(server), each server in turn while the others stand still. By server: the results."""
    found = {s.name: [] for s in servers}
    for s in servers:
        s.signal(signal.SIGSTOP)
    try:
        for _ in range(common.ROUNDS):
            for s in servers:
                s.signal(signal.SIGCONT)
                time.sleep(0.5)  # what fell due meanwhile
                common.say(f"-- {s.name}")
                found[s.name].append(measure(s))
                s.signal(signal.SIGSTOP)
    finally:
        for s in servers:
            s.signal(signal.SIGCONT)
    return found


@contextlib.contextmanager
def running(kinds, folders):
    servers = []
    try:
        for kind in kinds:
            servers.append(kind(folders[kind.name]))
        yield servers
    finally:
        for s in servers:
            s.stop()


@contextlib.contextmanager
def folders_for(kinds):
    folders = {kind.name: tempfile.mkdtemp(prefix="kube-") for kind in kinds}
    try:
        yield folders
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def start_times(kinds, folders):
    """A start of each in turn; `folders` None: an empty one each time."""
    times = {kind.name: [] for kind in kinds}
    for _ in range(max(common.ROUNDS, 5)):
        for kind in kinds:
            with contextlib.ExitStack() as stack:
                folder = folders[kind.name] if folders else stack.enter_context(folders_for([kind]))[kind.name]
                server = kind(folder)
                times[kind.name].append(server.ready_after * 1e3)
                server.stop()
    return {name: statistics.median(t) for name, t in times.items()}


def start(kinds, program):
    yield "start to ready, empty, ms", start_times(kinds, None)
    with folders_for(kinds) as folders:
        with running(kinds, folders) as servers:
            for s in servers:
                load(program, s, "-keep")
        yield f"start to ready, {OBJECTS:,} objects, ms", start_times(kinds, folders)


def memory(kinds, program):
    with folders_for(kinds) as folders:
        with running(kinds, folders) as servers:
            time.sleep(3)
            yield "memory idle, resident / private, MB", {s.name: s.memory() for s in servers}
            for s in servers:
                load(program, s, "-keep", "-objects", str(HELD))
            time.sleep(3)
            yield f"memory with {HELD:,} objects just made, MB", {s.name: s.memory() for s in servers}
        with running(kinds, folders) as servers:
            time.sleep(3)
            yield "memory with them after a new start, MB", {s.name: s.memory() for s in servers}


def kubectl_times(server):
    """Whole commands: `get pods`, and one that asks no server."""
    times = {"get": [], "version": [], "asking": []}
    with tempfile.TemporaryDirectory() as cache:
        commands = {"get": ["get", "pods", "--cache-dir", cache], "version": ["version", "--client"]}
        for i in range(12):
            for name, arguments in commands.items():
                begin = time.monotonic()
                subprocess.run([*LOAD_PIN, "kubectl", *arguments], env={**os.environ, "KUBECONFIG": server.kubeconfig}, check=True, capture_output=True)
                if i:  # the first fills the cache of discovery
                    times[name].append((time.monotonic() - begin) * 1e3)
            # What kubectl itself says its requests took, connections and handshakes with them: the rest is its own.
            said = subprocess.run([*LOAD_PIN, "kubectl", *commands["get"], "-v=8"], env={**os.environ, "KUBECONFIG": server.kubeconfig}, check=True, capture_output=True, text=True).stderr
            times["asking"].append(sum(int(a or b) for a, b in re.findall(r"milliseconds=(\d+)|in (\d+) milliseconds", said)))
    return [statistics.median(times[name]) for name in ("get", "version", "asking")]


def kubectl(kinds, _):
    if not shutil.which("kubectl"):
        return
    with folders_for(kinds) as folders, running(kinds, folders) as servers:
        found = in_turn(servers, kubectl_times)
        middle = {name: [statistics.median(r[i] for r in rounds) for i in range(3)] for name, rounds in found.items()}
        yield "kubectl get pods, the whole command, ms", {name: got for name, (got, _, _) in middle.items()}
        yield "kubectl get pods, ms more than kubectl version --client", {name: got - own for name, (got, own, _) in middle.items()}
        yield "kubectl get pods, ms that it waits for the server", {name: asking for name, (_, _, asking) in middle.items()}


def worked(part):
    """A part that kubeload does."""

    def run(kinds, program):
        with folders_for(kinds) as folders, running(kinds, folders) as servers:
            found = in_turn(servers, lambda server: load(program, server, "-only", part))
            for work, title, keys in WORKS[part]:
                middle = {name: [statistics.median(r[work][key] for r in rounds) for key in keys] for name, rounds in found.items()}
                yield title, {name: m if len(m) > 1 else m[0] for name, m in middle.items()}
                missing = {name: max(r[work].get("missing", 0) for r in rounds) for name, rounds in found.items()}
                if any(missing.values()):
                    yield f"{title}: events that had not come after 30 s", missing
                yield f"{work}: CPU time of the server for each, µs", {
                    name: statistics.median(r[work]["cpu_us"] for r in rounds) for name, rounds in found.items()}

    return run


PARTS = {"start": start, "memory": memory, **{part: worked(part) for part in WORKS}, "kubectl": kubectl}


def show(value):
    if value is None:
        return "–"
    if isinstance(value, list):
        return " / ".join(show(v) for v in value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(title, values, names):
    """How many times better the first is."""
    if len(names) < 2:
        return "–"
    pairs = zip(*[v if isinstance(v, list) else [v] for v in (values[n] for n in names[:2])])
    return " / ".join(f"{(a / b if title.endswith('/s') else b / a):.1f} ×" if a > 0 and b > 0 else "–" for a, b in pairs)


def main(arguments=()):
    parser = argparse.ArgumentParser(prog="kube.py", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default=os.environ.get("KUBE_ONLY", ",".join(PARTS)), help="parts by commas: " + " ".join(PARTS))
    parser.add_argument("--without-rival", action="store_true")
    options = parser.parse_args(arguments)
    wanted = options.only.split(",")
    if set(wanted) - set(PARTS):
        parser.error(f"unknown part: {' '.join(set(wanted) - set(PARTS))}; known: {' '.join(PARTS)}")
    program = load_program()
    kinds = [Hythe] if options.without_rival else [Hythe, Real]
    names = [kind.name for kind in kinds]
    rows = []
    for part in wanted:
        common.say(f"== {part}")
        for title, values in PARTS[part](kinds, program):
            rows.append((title, values))
            common.say(title, *(f"{n}: {show(values[n])}" for n in names))
    print("\nConfigMaps of 620 bytes; TLS, HTTP/1.1; server on one core, load on the other.\n")
    print(f"| work | {' | '.join(names)} | ratio |")
    print("|---|" + "---:|" * (len(names) + 1))
    for title, values in rows:
        print(f"| {title} | {' | '.join(show(values.get(n)) for n in names)} | {ratio(title, values, names)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
