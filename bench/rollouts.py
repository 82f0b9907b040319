# SPDX-License-Identifier: Apache-2.0
"""`./dev bench rollouts`: requests that fail while replicas are replaced or killed and hythe is upgraded, and how true the weights of a canary are: counts, no times.

Alone: python3 bench/rollouts.py [--only rollouts,upgrades,kills,canary]. ROLLOUTS, UPGRADES, REQUESTS (at least so many under each of the two), RATE, KILL_SECONDS and
CANARY_REQUESTS make it shorter.
"""
import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import common

sys.path[:0] = [str(common.ROOT / "tests" / "gateway"), str(common.ROOT / "tests" / "node"), str(common.ROOT / "tests" / "kube")]
ROLLOUTS = int(os.environ.get("ROLLOUTS", "20"))
RATE = int(os.environ.get("RATE", "5000"))
UPGRADES = int(os.environ.get("UPGRADES", "20"))
REQUESTS = int(os.environ.get("REQUESTS", "1000000"))
KILL_SECONDS = int(os.environ.get("KILL_SECONDS", "60"))
CANARY_REQUESTS = int(os.environ.get("CANARY_REQUESTS", "100000"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "64"))
REPLICAS = 3
KILL_REPLICAS = 12  # a container that dies again waits 10 s, 20 s, ...: of three that are killed in turns none would be left


# ---- the client, a process of its own: python3 bench/rollouts.py --client HOST:PORT METHOD PATH HOST-HEADER RATE ----

class Client(asyncio.Protocol):
    """One connection. What was asked and not answered when it ends has failed."""

    def __init__(self, load):
        self.load, self.got, self.is_busy = load, b"", False

    def connection_made(self, transport):
        self.transport = transport
        self.load.idle.append(self)

    def ask(self):
        self.is_busy = True
        self.transport.write(self.load.request)

    def data_received(self, data):
        self.got += data
        at = self.got.find(b"\r\n\r\n")
        if at < 0:
            return
        head = self.got[:at].lower()
        where = head.find(b"content-length:")
        length = int(head[where + 15:].split(b"\r\n", 1)[0]) if where >= 0 else 0
        body = self.got[at + 4:]
        if len(body) < length:
            return
        self.got = body[length:]
        self.is_busy = False
        self.load.answered(int(head[9:12]), body[:length])
        if b"connection: close" not in head:
            self.load.idle.append(self)

    def connection_lost(self, exc):
        with contextlib.suppress(ValueError):
            self.load.idle.remove(self)
        if self.is_busy:
            self.load.failed(f"ended before its answer: {exc}")
        self.load.connect_again()


class Load:
    def __init__(self, host, port, request, rate):
        self.host, self.port, self.request, self.rate = host, port, request, rate
        self.idle, self.words, self.failures = collections.deque(), collections.Counter(), collections.Counter()
        self.sent = self.done = 0
        self.is_ending = False

    def answered(self, status, body):
        self.done += 1
        if status == 200:
            self.words[body.split(b" ", 1)[0].decode()] += 1
        else:
            self.failures[f"{status}: {body[:120].decode(errors='replace')}"] += 1

    def failed(self, why):
        self.done += 1
        self.failures[why] += 1

    def connect_again(self):
        if not self.is_ending:
            asyncio.ensure_future(self.connect())

    async def connect(self):
        while not self.is_ending:
            try:
                await asyncio.get_running_loop().create_connection(lambda: Client(self), self.host, self.port)
                return
            except OSError as e:
                self.failures[f"no connection: {e}"] += 1
                await asyncio.sleep(0.1)

    async def run(self):
        await asyncio.gather(*(self.connect() for _ in range(CONNECTIONS)))
        end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        began = time.monotonic()
        while not end.done():
            due = int((time.monotonic() - began) * self.rate) - self.sent
            while due > 0 and self.idle:
                self.idle.popleft().ask()
                self.sent += 1
                due -= 1
            await asyncio.sleep(0.001)
        seconds = time.monotonic() - began
        self.is_ending = True
        while self.done < self.sent and time.monotonic() < began + seconds + 60:
            await asyncio.sleep(0.01)
        unanswered = self.sent - self.done
        if unanswered:
            self.failures["no answer"] += unanswered
        print(json.dumps({"sent": self.sent, "seconds": seconds, "words": self.words, "failures": self.failures}), flush=True)
        os._exit(0)


def client(address, method, path, host, rate):
    at, port = address.rsplit(":", 1)
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    asyncio.run(Load(at, int(port), f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n".encode(), int(rate)).run())


class Running:
    """The client's process; .end() gives what it counted."""

    def __init__(self, address, method="GET", host="web", rate=RATE):
        command = [sys.executable, __file__, "--client", f"{address[0]}:{address[1]}", method, "/", host, str(rate)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        out, _ = self.process.communicate("", timeout=180)
        return json.loads(out)


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def tell(what, found):
    failed = sum(found["failures"].values())
    row(what, f"{found['sent']:,}", f"{found['sent'] / found['seconds']:,.0f}", failed, "; ".join(f"{n} x {why}" for why, n in sorted(found["failures"].items())) or "-")


# ---- the parts ----

def settle(m, name, replicas):
    from waiting import until

    m.run("rollout", "status", f"deployment/{name}", "--timeout=300s", timeout=320)
    until("old pods have gone", lambda: len(m.items("pods", "-l", f"app={name}")) == replicas, 300)


def begin(m, name, replicas=REPLICAS):
    import gates

    m.apply(gates.web(name, replicas, "v0"), gates.service(name, app=name))
    settle(m, name, replicas)
    return gates.address_of(m, name)


def under_load(load, least, one):
    """one(1), one(2), ... until there were `least` of them and REQUESTS were asked for; how many there were."""
    time.sleep(2)
    began, count = time.monotonic(), 0
    while count < least or (time.monotonic() - began) * RATE < REQUESTS:
        count += 1
        one(count)
    time.sleep(1)
    return count


def rollouts(m):
    import gates

    def one(i):
        m.apply(gates.web("web", REPLICAS, f"v{i}"))
        settle(m, "web", REPLICAS)

    load = Running(begin(m, "web"))
    count = under_load(load, ROLLOUTS, one)
    tell(f"{count} rolling updates, GET", load.end())


def upgrades(m):
    def one(_):
        old = m.up.process
        m.start()
        if old.wait(60):
            sys.exit(f"the old hythe ended with {old.returncode}")
        time.sleep(REQUESTS / RATE / UPGRADES / 2)

    load = Running(begin(m, "upgraded"))
    count = under_load(load, UPGRADES, one)
    tell(f"{count} upgrades of hythe, GET", load.end())


def kills(m):
    import gates

    for method in ("GET", "POST"):
        name = f"kill-{method.lower()}"
        load, r, killed = Running(begin(m, name, KILL_REPLICAS), method), random.Random(3), 0
        end = time.monotonic() + KILL_SECONDS
        while time.monotonic() < end:
            time.sleep(2)
            running = gates.processes(name)
            if running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running[r.choice(sorted(running))], signal.SIGKILL)
                    killed += 1
        tell(f"kill -9 of a random one of {KILL_REPLICAS} replicas every 2 s, {method}: {killed} kills" + (", each of which may cost what was under way in it" if method == "POST" else ""), load.end())


def canary(m):
    import gates

    for name, version in (("stable", "v1"), ("canary", "v2")):
        m.apply(gates.web(name, 1, version), gates.service(name, app=name))
        m.run("rollout", "status", f"deployment/{name}", "--timeout=120s")
    m.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "canary"},
             "spec": {"parentRefs": [{"name": "hythe", "namespace": "kube-system"}], "hostnames": ["canary.example"],
                      "rules": [{"backendRefs": [{"name": "stable", "port": 8080, "weight": 90}, {"name": "canary", "port": 8080, "weight": 10}]}]}})
    gate = m.gateway_address()
    gates.until("the route is there", lambda: asks(gate, "canary.example"))
    load = Running(gate, host="canary.example")
    time.sleep(CANARY_REQUESTS / RATE + 1)
    found = load.end()
    tell("canary of 10 %", found)
    share = found["words"].get("v2", 0) / max(1, sum(found["words"].values()))
    row("canary's share", f"{share * 100:.3f} %", f"error {abs(share - 0.1) * 100:.3f} %", "", "")


def asks(address, host):
    import socket

    with socket.create_connection(address, timeout=20) as s:
        s.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return s.recv(100).startswith(b"HTTP/1.1 200")


PARTS = {"rollouts": rollouts, "upgrades": upgrades, "kills": kills, "canary": canary}


def main(arguments=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(PARTS))
    parts = parser.parse_args(list(arguments)).only.split(",")
    os.environ.setdefault("HYTHE", str(common.HYTHE))
    from gates import machine_of
    from nodes import folder_for_all

    folder = folder_for_all()
    m = machine_of(folder)
    try:
        row("work", "requests", "a second", "failed", "why")
        row(*["---"] * 5)
        for part in parts:
            PARTS[part](m)
    finally:
        m.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(*sys.argv[2:])
    else:
        main(sys.argv[1:])
