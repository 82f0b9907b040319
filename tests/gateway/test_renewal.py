# SPDX-License-Identifier: Apache-2.0
"""What listeners and routes are told anew while clients ask all the time: certificates, weights, paths that come and go, the signal to read again. No request fails."""
import base64
import collections
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest
from gates import Gates, USER, everywhere, free_port, service, web
from load import ANSWER_MOST_S, Load
from nodes import folder_for_all
from waiting import SANITIZED, until

CLIENTS = 2
RATE = 60  # requests a second of one load: several run at once
HOST = "web"
RENEWALS = 3 if SANITIZED else 5
CHANGES = 4 if SANITIZED else 8


@pytest.fixture(scope="module")
def m():
    folder = folder_for_all()
    entry = "127.0.0.1", free_port()
    machine = Gates(folder, USER, "--gateway=on", "--listen-gateway=127.0.0.1:0", f"--listen-gateway-tls={entry[0]}:{entry[1]}")
    machine.entry = entry
    machine.apply(web("one", replicas=1, version="one"), service("one", app="one"), web("two", replicas=1, version="two"), service("two", app="two"))
    for name in ("one", "two"):
        machine.rolled_out(name)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


PATHS = {"HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes", "Ingress": "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
         "Secret": "/api/v1/namespaces/default/secrets", "ConfigMap": "/api/v1/namespaces/default/configmaps"}


def put(m, *objects):
    """As kubectl apply --server-side, and without its start."""
    for o in objects:
        answer = m.up.cluster.ask("PATCH", f"{PATHS[o['kind']]}/{o['metadata']['name']}?fieldManager=test&force=true", o, {"Content-Type": "application/apply-patch+yaml"})
        assert answer.status in (200, 201), answer.text


def delete(m, *objects):
    for o in objects:
        answer = m.up.cluster.ask("DELETE", f"{PATHS[o['kind']]}/{o['metadata']['name']}")
        assert answer.status in (200, 202), answer.text


def ask(address, path="/"):
    """(status, body)"""
    with socket.create_connection(address, timeout=ANSWER_MOST_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        return Load._answer(connection)[:2]


def busy(*loads, more=30):
    for load in loads:
        wanted = load.count + more
        until("requests are answered", lambda: load.count >= wanted)


def no_failure(*loads):
    for load in loads:
        load.stop()
        assert not load.failures, load.told()
        assert load.answered > 0


# ---- certificates ----

class Certificate:
    def __init__(self, folder, number):
        key, file = folder / f"{number}.key", folder / f"{number}.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", file, "-subj", f"/CN={HOST}",
                        "-addext", f"subjectAltName=DNS:{HOST}", "-days", "2"], check=True, capture_output=True)
        self.der = ssl.PEM_cert_to_DER_cert(file.read_text())
        self.secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shown"}, "type": "kubernetes.io/tls",
                       "data": {"tls.crt": base64.b64encode(file.read_bytes()).decode(), "tls.key": base64.b64encode(key.read_bytes()).decode()}}


BELIEVES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the authorities of the system, which take long to read
BELIEVES.check_hostname, BELIEVES.verify_mode = False, ssl.CERT_NONE


def tls(address):
    """Believes whom it meets: which certificate it was is looked at afterwards."""
    return BELIEVES.wrap_socket(socket.create_connection(address, timeout=ANSWER_MOST_S), server_hostname=HOST)


def shown(address):
    with tls(address) as connection:
        return connection.getpeercert(binary_form=True)


class TlsLoad(Load):
    def __init__(self, *arguments, **more):
        self.seen = collections.Counter()
        super().__init__(*arguments, **more)

    def connect(self, address):
        connection = tls(address)
        with self.lock:
            self.seen[connection.getpeercert(binary_form=True)] += 1
        return connection


def test_certificates_are_renewed_under_load(m, tmp_path):
    """One Secret, shown by the shared entry for an Ingress and by a listener of a Gateway."""
    certificates = [Certificate(tmp_path, i) for i in range(RENEWALS + 1)]
    addresses = entry, own = m.entry, ("127.0.0.1", free_port())
    backend = {"service": {"name": "one", "port": {"number": 8080}}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shown"},
               "spec": {"tls": [{"hosts": [HOST], "secretName": "shown"}], "rules": [{"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}}
    listener = {"name": "tls", "port": own[1], "protocol": "HTTPS", "hostname": HOST, "tls": {"certificateRefs": [{"name": "shown"}]}}
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "shown"}, "spec": {"gatewayClassName": "hythe", "listeners": [listener]}}
    m.apply(certificates[0].secret, ingress, gateway, route("shown", {"backendRefs": to(("one", 1))}, parents=[{"name": "shown"}]))
    for address in addresses:
        everywhere(f"{address} shows the first", lambda: shown(address) == certificates[0].der)
        everywhere(f"{address} answers", lambda: answers_by_tls(address))
    fresh = TlsLoad(addresses, 2 * CLIENTS, RATE, is_kept=False)
    kept = TlsLoad(addresses, 2 * CLIENTS, RATE)
    busy(fresh, kept)
    until("all are connected", lambda: kept.seen.total() == 2 * CLIENTS)
    for c in certificates[1:]:
        put(m, c.secret)
        for address in addresses:
            everywhere(f"{address} shows the new one", lambda: shown(address) == c.der)
        busy(fresh, kept)
        assert {shown(entry), shown(own)} == {c.der}, "an old one came back"
    no_failure(fresh, kept)
    assert set(fresh.seen) == {c.der for c in certificates}
    assert kept.seen == {certificates[0].der: 2 * CLIENTS}, "connections that are kept stay as they are"
    m.run("delete", "gateway/shown", "ingress/shown", "httproute/shown", "secret/shown")


def answers_by_tls(address):
    with tls(address) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        return Load._answer(connection)[0] == 200


# ---- routes ----

def route(name, *rules, parents=None, hostnames=(HOST,)):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
            "spec": {"parentRefs": parents or [{"name": "hythe", "namespace": "kube-system"}], "hostnames": list(hostnames), "rules": list(rules)}}


def to(*weights):
    return [{"name": name, "port": 8080, "weight": weight} for name, weight in weights]


def below(path, *weights):
    return {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": to(*weights)}


def ingress(name, *paths):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"rules": [{"host": HOST, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": {"service": {"name": to, "port": {"number": 8080}}}} for path, to in paths]}}]}}


def test_routes_change_under_load(m):
    """The paths /always, of an HTTPRoute, and /steady, of an Ingress, are answered whatever happens beside them, and to them."""
    at = m.gateway_address()
    put(m, route("always", below("/always", ("one", 50), ("two", 50))), ingress("steady", ("/steady", "one")))
    for path in ("/always", "/steady"):
        until(f"{path} is answered", lambda: ask(at, path)[0] == 200)
    always, steady = Load([at], CLIENTS, RATE, path="/always"), Load([at], CLIENTS, RATE, path="/steady")
    fresh = Load([at], CLIENTS, RATE / 2, path="/always/x", is_kept=False)
    for i in range(CHANGES):
        weight = (0, 100, 10, 90)[i % 4]
        # Rules before and behind it, other weights, another path below it, a route and an Ingress of other names for the same host.
        beside = (route(f"beside-{i % 2}", below(f"/beside-{i}", ("two", 1))), ingress(f"more-{i % 3}", (f"/more-{i}", "one")))
        put(m, route("always", below(f"/early-{i}", ("two", 1)), below("/always", ("one", weight), ("two", 100 - weight)), below(f"/always-{i}", ("one", 1))),
            ingress("steady", ("/steady", "two" if i % 2 else "one"), (f"/steady/{i}", "one"), (f"/new-{i}", "two")), *beside)
        for path in (f"/early-{i}", f"/always-{i}", f"/beside-{i}", f"/steady/{i}", f"/new-{i}", f"/more-{i}"):
            everywhere(f"{path} is answered", lambda: ask(at, path)[0] == 200)
        if weight in (0, 100):
            only = b"one" if weight else b"two"
            assert all(ask(at, "/always")[1].split()[0] == only for _ in range(10))
        delete(m, *beside)
        for path in (f"/beside-{i}", f"/more-{i}"):
            until(f"{path} is gone", lambda: ask(at, path)[0] == 404)
        busy(always, steady, fresh)
    no_failure(always, steady, fresh)
    assert set(always.versions()) == set(steady.versions()) == {"one", "two"}
    m.run("delete", "httproute/always", "ingress/steady")


def test_a_route_is_made_anew_under_load(m):
    """Deleted and made again while a second one has the same path: one of the two always answers."""
    at = m.gateway_address()
    pair = [route(name, below("/pair", (to_, 1))) for name, to_ in (("first", "one"), ("second", "two"))]
    put(m, *pair)
    until("it is answered", lambda: ask(at, "/pair")[0] == 200)
    load = Load([at], CLIENTS, RATE, path="/pair")
    for i in range(CHANGES):
        gone, left = (("first", b"two"), ("second", b"one"))[i % 2]
        delete(m, pair[i % 2])
        until(f"only {left} answers", lambda: all(ask(at, "/pair")[1].split()[0] == left for _ in range(5)))
        put(m, pair[i % 2])
        until("it is accepted", lambda: m.get("httproute", gone)["status"]["parents"][0]["conditions"])
        busy(load)
    no_failure(load)
    assert set(load.versions()) == {"one", "two"}
    m.run("delete", "httproute/first", "httproute/second")


# ---- the signal to read again ----

class Watcher:
    """Watches an object of the API by one connection: it must live."""

    def __init__(self, m):
        cluster = m.up.cluster
        self.connection, self.seen, self.ended = cluster.connect(timeout=600), [], threading.Event()
        cluster.send(self.connection, "GET", "/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name%3Dcounted")
        self.answer = self.connection.getresponse()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for line in self.answer:
            self.seen.append(json.loads(line)["object"].get("data", {}).get("count"))
        self.ended.set()


def test_the_signal_to_read_again_ends_nothing(m):
    at, pid = m.gateway_address(), m.up.process.pid
    put(m, route("always", below("/always", ("one", 1), ("two", 1))))
    until("it is answered", lambda: ask(at, "/always")[0] == 200)
    load, watcher = Load([at], CLIENTS, RATE, path="/always"), Watcher(m)
    for i in range(CHANGES):
        m.up.process.send_signal(signal.SIGHUP)
        put(m, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "counted"}, "data": {"count": str(i)}})
        until("the watch tells", lambda: str(i) in watcher.seen)
        busy(load)
    no_failure(load)
    assert m.up.process.poll() is None and m.up.process.pid == pid and not watcher.ended.is_set()
    m.run("delete", "httproute/always", "configmap/counted")
