# SPDX-License-Identifier: Apache-2.0
"""`./dev bench gateway`: hythe's gateway beside nginx and HAProxy as reverse proxies in front of one fast backend; see bench/README.md.

Alone: python3 bench/gateway.py [--only PART,...]. Each proxy has one thread on SERVER_CORE, the others stand still meanwhile (SIGSTOP); the backend, an nginx
that answers constants, and the load share LOAD_CORE. Connections are kept on both sides.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import common

BACKEND = "127.97.200.1"  # of the range that pods have; nobody's but the benchmark's
BIG = 1024 * 1024
PARTS = {
    "small": ("/small", "a GET answered with 48 bytes"),
    "post": ("/small", "a POST of 128 bytes, answered with 48"),
    "big": ("/big", "a GET answered with 1 MiB"),
}


def needed(program, package):
    if not shutil.which(program):
        common.say(f"installing {package}")
        subprocess.run(["apt-get", "install", "-y", "-q", package], check=True, stdout=subprocess.DEVNULL)


def nginx_conf(folder, http):
    (folder / "temp").mkdir(parents=True, exist_ok=True)
    temp = " ".join(f"{kind}_temp_path {folder}/temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "conf").write_text(textwrap.dedent(f"""\
        daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
        events {{ worker_connections 4096; }}
        http {{ access_log off; keepalive_requests 1000000000; {temp} {http} }}
        """))
    return ["nginx", "-c", str(folder / "conf"), "-e", str(folder / "error")]


def answers(host, port, path):
    c = http.client.HTTPConnection(host, port, timeout=10)
    with contextlib.closing(c):
        c.request("GET", path)
        return c.getresponse().status == 200


class Proxy:
    def __init__(self, name, process, port):
        self.name, self.process, self.port, self.pid = name, process, port, process.pid

    def signal(self, number):
        for one in common.tree(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    def stop(self):
        self.signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(60)


def backend(folder):
    port = common.free_port()
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "big").write_bytes(b"0123456789abcdef" * (BIG // 16))
    command = nginx_conf(folder, f"""
        server {{ listen {BACKEND}:{port}; default_type application/json;
          location = /small {{ return 200 '{{"response":0.06730000000000001,"success":true}}'; }}
          location = /big {{ root {folder}/files; sendfile on; }} }}""")
    process = common.start("backend", command, common.LOAD_CORE)
    common.until("the backend", lambda: answers(BACKEND, port, "/small"))
    return process, port


def nginx(folder, port):
    own = common.free_port()
    command = nginx_conf(folder, f"""
        upstream back {{ server {BACKEND}:{port}; keepalive 64; keepalive_requests 1000000000; }}
        server {{ listen 127.0.0.1:{own};
          location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; proxy_buffers 16 64k; }} }}""")
    return Proxy("nginx", common.start("nginx", command, common.SERVER_CORE), own)


def haproxy(folder, port):
    own = common.free_port()
    folder.mkdir(parents=True)
    (folder / "conf").write_text(textwrap.dedent(f"""\
        global
          nbthread 1
          maxconn 4096
        defaults
          mode http
          timeout connect 5s
          timeout client 60s
          timeout server 60s
          option forwardfor
          http-reuse always
        frontend front
          bind 127.0.0.1:{own}
          http-request set-header X-Forwarded-Proto http
          default_backend back
        backend back
          balance leastconn
          server one {BACKEND}:{port}
        """))
    return Proxy("HAProxy", common.start("haproxy", ["haproxy", "-f", str(folder / "conf")], common.SERVER_CORE), own)


def objects(port):
    yield "/api/v1/namespaces/default/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "back"}, "spec": {"ports": [{"port": 8080}]}}
    yield "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "back-1", "labels": {"kubernetes.io/service-name": "back"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": [BACKEND], "conditions": {"ready": True}}], "ports": [{"port": port, "protocol": "TCP"}]}
    yield "/apis/networking.k8s.io/v1/namespaces/default/ingresses", {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "back"},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "back", "port": {"number": 8080}}}}]}}]}}


def hythe(folder, port):
    process, cluster, own = common.up(folder, "--node=off")
    for path, body in objects(port):
        common.created(cluster, path, body)
    return Proxy("hythe", process, own)


def settled(proxy):
    """What a server does after its start (hythe makes keys that it may need) is no cost of requests."""
    before = common.cpu_seconds(proxy.pid)
    time.sleep(1)
    return common.cpu_seconds(proxy.pid) - before < 0.05


def load(port, part):
    path = PARTS[part][0]
    body = b"x" * 128 if part == "post" else None
    return lambda seconds: common.wrk(port, path, body, seconds=seconds)


def in_turn(proxies, part):
    found = {p.name: [] for p in proxies}
    for _ in range(2 * common.ROUNDS + 1):
        for p in proxies:
            p.signal(signal.SIGCONT)
            load(p.port, part)(1)
            found[p.name].append(common.one_round(p, load(p.port, part)))
            p.signal(signal.SIGSTOP)
    return {name: common.summary(rounds) for name, rounds in found.items()}


def report(part, found):
    best = max((one for name, one in found.items() if name != "hythe"), key=lambda one: one["rate"])
    rows = []
    for name, one in found.items():
        rows.append([name, common.number(one["rate"]), f"{common.ratio(one, best):.2f}", common.number(one["cpu_us"]), common.number(one["p50"] * 1000), common.number(one["p99"] * 1000),
                     f"{min(one['spread']):,} to {max(one['spread']):,}", one["bad"] or one["errors"] or ""])
    common.table(f"Gateway: {PARTS[part][1]}, {common.CONNECTIONS} connections", ["", "requests/s", "of the better rival", "CPU us a request", "p50 us", "p99 us", "range", "failed"], rows)


def main(options=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(PARTS))
    parts = parser.parse_args(options).only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part: {' '.join(unknown)}; known: {' '.join(PARTS)}")
    needed("nginx", "nginx")
    needed("haproxy", "haproxy")
    needed("wrk", "wrk")
    common.WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # nginx's worker reads it as another user
        behind, port = backend(folder / "backend")
        ends.callback(behind.wait, 60)
        ends.callback(behind.terminate)
        proxies = []
        for make in (hythe, nginx, haproxy):
            proxies.append(make(folder / make.__name__, port))
            ends.callback(proxies[-1].stop)
            common.until(proxies[-1].name, lambda p=proxies[-1]: all(answers("127.0.0.1", p.port, path) for path, _ in PARTS.values()))
        for p in proxies:
            common.until(f"{p.name} is quiet", lambda: settled(p), 120)
            p.signal(signal.SIGSTOP)
        for part in parts:
            report(part, in_turn(proxies, part))
        versions = [subprocess.run(c, capture_output=True, text=True) for c in (["nginx", "-v"], ["haproxy", "-v"])]
        print(json.dumps([re.search(r"[\d.]{4,}", v.stdout + v.stderr)[0] for v in versions]))


if __name__ == "__main__":
    main(sys.argv[1:])
