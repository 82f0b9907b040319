# SPDX-License-Identifier: Apache-2.0
"""What tests of the gateway share: pods that answer fast and end at once when they are told to, and the addresses of their service."""
import contextlib
import json
import os
import pathlib
import random
import re
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "node"))
from nodes import PYTHON, Machine, condition, container, deployment, ready_by  # noqa: E402, F401
from waiting import until  # noqa: E402, F401

PORT = 8000
RUN = os.getpid()  # other runs of these tests may be beside this one
OFTEN = 10  # that each of the gateway's workers is asked
# It ends at once at SIGTERM: a request that it has then is lost, unless nobody asks it any more.
CODE = """
import asyncio, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class P(asyncio.Protocol):
    bad = False
    def connection_made(self, t):
        self.t, self.got = t, b''
    def data_received(self, d):
        self.got += d
        while b'\\r\\n\\r\\n' in self.got:
            head, rest = self.got.split(b'\\r\\n\\r\\n', 1)
            length = next((int(l.split(b':')[1]) for l in head.split(b'\\r\\n') if l.lower().startswith(b'content-length:')), 0)
            if len(rest) < length:
                return
            self.got = rest[length:]
            self.one(head.split(b' ')[1].decode())
    def one(self, path):
        if path == '/flip':
            P.bad = not P.bad
        status = '503 Service Unavailable' if path == '/ready' and P.bad else '200 OK'
        body = (os.environ.get('VERSION', '') + ' ' + os.environ['HOSTNAME']).encode()
        text = b'HTTP/1.1 ' + status.encode() + b'\\r\\nContent-Length: ' + str(len(body)).encode() + b'\\r\\n\\r\\n' + body
        if path.startswith('/slow/'):
            asyncio.get_running_loop().call_later(float(path.split('/')[2]) / 1000, self.t.write, text)
        else:
            self.t.write(text)
async def main():
    server = await asyncio.get_running_loop().create_server(P, '0.0.0.0', PORT, backlog=4096)
    await server.serve_forever()
asyncio.run(main())
""".replace("PORT", str(PORT))


def free_port():
    """One that nobody has, nor is given before it is used: the kernel gives higher ones to who wants any, and node ports begin at 30000."""
    while True:
        port = random.randint(10000, 29999)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def everywhere(what, is_so):
    """Waits until it is so of each worker of the gateway: each takes up a plan by itself, between two of its turns."""
    return until(what, lambda: all(is_so() for _ in range(OFTEN)))


USER = "root" if os.geteuid() == 0 else "user"


class Gates(Machine):
    def gateway_address(self):
        """(host, port) where routes are answered."""
        found = until("the gateway says where it listens", lambda: re.search(r"gateway\D* (?:http://)?([\d.]+):(\d+)\s", self.up.said()))
        return found.group(1), int(found.group(2))


def machine_of(folder):
    """A hythe with its node and a gateway on a free port."""
    return Gates(folder, USER, "--gateway=on", "--listen-gateway=127.0.0.1:0")


def web(name="web", replicas=3, version="v1", grace=30, **more):
    """A Deployment whose pods answer "v1 NAME-OF-POD"; /slow/MS takes so long; /flip turns its readiness."""
    c = container("main", (PYTHON, "-u", "-c", CODE), env=[{"name": "VERSION", "value": version}, {"name": "OF", "value": f"{RUN}/{name}"}], ports=[{"containerPort": PORT}],
                  readinessProbe={**ready_by("/ready", PORT), "failureThreshold": 1})
    d = deployment(name, replicas, c, **more)
    d["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = grace
    return d


def service(name="web", kind="ClusterIP", app="web"):
    # A load balancer listens on the port of its own where that is free: another run's must not have it while this hythe is killed and begun anew.
    port = free_port() if kind == "LoadBalancer" else 8080
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": kind, "selector": {"app": app}, "ports": [{"port": port, "targetPort": PORT}]}}


def address_of(m, name):
    """(host, port) where the service answers on this machine."""
    s = m.get("service", name)
    if s["spec"]["type"] != "LoadBalancer":
        return s["spec"]["clusterIP"], s["spec"]["ports"][0]["port"]
    ingress = until(f"service {name} has an address", lambda: m.get("service", name)["status"]["loadBalancer"]["ingress"][0])
    return ingress["ip"], ingress["ports"][0]["port"]


def processes(name):
    """{name of the pod: pid} of the pods of this Deployment, by what their processes have in their environment."""
    found = {}
    for p in pathlib.Path("/proc").iterdir():
        if not p.name.isdigit():
            continue
        try:
            variables = dict(v.split(b"=", 1) for v in (p / "environ").read_bytes().split(b"\0") if b"=" in v)
        except OSError:
            continue
        if variables.get(b"OF") == f"{RUN}/{name}".encode() and b"VERSION" in variables:
            found[variables.get(b"HOSTNAME", b"").decode()] = int(p.name)
    return found


def woken(ask):
    """(status, answer) of a request to what has no replica: it begins one and waits for it, but no longer than ten seconds, in which a slow machine may not have it ready."""
    status, answer = ask()
    if status == 503 and "(waited " in str(answer):
        status, answer = until("its replica answers", lambda: (again := ask())[0] != 503 and again)
    return status, answer


def raw(m, path):
    return json.loads(m.run("get", "--raw", path))
