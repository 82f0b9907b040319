# SPDX-License-Identifier: Apache-2.0
"""Many clients at once: all of them are answered, also those who send a byte at a time, and nothing of them is left behind."""
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import time

import pytest
from gates import USER, Gates, address_of, service, web
from cluster import Up
from load import ANSWER_MOST_S, Load
from nodes import folder_for_all
from waiting import SANITIZED, until

WANTED = 2000 if SANITIZED else 10000
SILENT = 1000 if SANITIZED else 6000  # who are given a connection to a pod before they say anything: two descriptors each
SLOW = 300  # of them send byte by byte
REQUEST = b"GET /many HTTP/1.1\r\nHost: web\r\n\r\n"
KEPT_MOST = 300  # connections to pods that are kept for later requests
SPARE = 2000  # descriptors for everything else, here and in hythe
# An address has some 28,000 ports, of which others have a part.
SOURCES = [f"127.0.0.{i}" for i in range(1, 6)]
AT_ONCE = 500
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; the port is chosen when it connects
IDLE_S = 60  # a client that says nothing for longer may be hung up on: what a slow machine needs is nobody's fault
HEAD_S = 25  # and one that needs longer to say what it wants
ROUND_S = 300  # for something to happen at all


@pytest.fixture(scope="module")
def count():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A client, and a request of it on its way to a pod.
    if hard != resource.RLIM_INFINITY and hard < 3 * WANTED // 2 + SPARE:
        pytest.skip(f"the hard limit of open files is {hard}: {WANTED} clients need {3 * WANTED // 2 + SPARE}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield WANTED
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def m(count):
    folder = folder_for_all()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As shells start it: it takes what it needs itself.
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        machine = Gates(folder, USER, "--gateway=on", "--listen-gateway=127.0.0.1:0")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Said to be HTTP: of other ports a client that says nothing for a moment is given an endpoint of its own, for bytes.
    machine.apply(web("many", replicas=2), named(service("many", app="many")))
    machine.rolled_out("many")
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def named(service):
    service["spec"]["ports"][0]["name"] = "http"
    return service


def descriptors(m):
    """Those of connections that are kept to pods are among them, which are fewer when nobody asks for a while."""
    return len(os.listdir(f"/proc/{m.up.process.pid}/fd"))


def gauge(m, series):
    """What /metrics says of it now; 0 as long as there is nothing to say."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", m.run("get", "--raw", "/metrics"), re.M)
    return float(found.group(1)) if found else 0


class Client:
    """Sends `step` bytes of a request at a time, and reads the answer."""

    def __init__(self, address, source, step):
        self.step, self.sent, self.got, self.since, self.begun, self.said = step, 0, b"", time.monotonic(), None, None
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)  # to look for a free one among thousands takes the kernel seconds
        self.socket.bind((source, 0))
        self.socket.connect_ex(address)


class Crowd:
    """All of them, in one thread; what goes wrong is in .failures. All are connected, so many at a time ask: more at once may be too many for the pods."""

    def __init__(self, address, count, slow):
        self.selector, self.failures = selectors.DefaultSelector(), []
        self.address, self.count, self.slow, self.clients = address, count, slow, []
        self.answered = self.excused = 0

    def connect(self):
        """All are there before the first asks; no more at once than fit into the queue of those who are not accepted yet."""
        end = time.monotonic() + ROUND_S
        while len(self.clients) < self.count:
            for _ in range(min(AT_ONCE, self.count - len(self.clients))):
                i = len(self.clients)
                self.clients.append(Client(self.address, SOURCES[i % len(SOURCES)], 1 if i < self.slow else len(REQUEST)))
                self.selector.register(self.clients[-1].socket, selectors.EVENT_WRITE)
            while self.selector.get_map():
                assert time.monotonic() < end, f"{len(self.selector.get_map())} are not connected"
                for key, _ in self.selector.select(1):
                    error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    assert error == 0, os.strerror(error)
                    self.selector.unregister(key.fileobj)

    def ask(self, each_turn=lambda: None):
        """A request of each. The slow ones are under way all the time; each_turn() is called now and then."""
        left, end, turn = list(reversed(self.clients)), time.monotonic() + ROUND_S, time.monotonic()
        while left or self.selector.get_map():
            while left and len(self.selector.get_map()) < AT_ONCE + self.slow:
                c = left.pop()
                c.sent, c.got, c.begun, c.said = 0, b"", time.monotonic(), None
                self.selector.register(c.socket, selectors.EVENT_WRITE, c)
            assert time.monotonic() < end, f"{len(left)} have not asked, {len(self.selector.get_map())} have no answer"
            for key, _ in self.selector.select(1):
                self._one(key.data)
            if time.monotonic() - turn > 0.1:
                each_turn()
                turn = time.monotonic()

    def _one(self, c):
        chunk = b""
        try:
            if c.sent < len(REQUEST):
                c.sent += c.socket.send(REQUEST[c.sent:c.sent + c.step])
                if c.sent == len(REQUEST):
                    c.said = time.monotonic()
                    self.selector.modify(c.socket, selectors.EVENT_READ, c)
                return
            chunk = c.socket.recv(65536)
        except OSError as e:
            c.got += repr(e).encode()
        c.got += chunk
        head, _, body = c.got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if chunk and not (length and len(body) >= int(length[1])):
            return
        self.selector.unregister(c.socket)
        if head.startswith(b"HTTP/1.1 200 ") and body.startswith(b"v1 "):
            c.since, self.answered = time.monotonic(), self.answered + 1
        elif time.monotonic() - c.since < IDLE_S and (c.said or time.monotonic()) - c.begun < HEAD_S:
            self.failures.append(c.got[:300] or b"it was closed")
        else:
            c.since, self.excused = float("-inf"), self.excused + 1

    def close(self):
        for c in self.clients:
            c.socket.close()
        self.selector.close()


def ask_on(connection):
    connection.sendall(REQUEST)
    return Load._answer(connection)[0]


def ask(address):
    """A client that comes anew."""
    with socket.create_connection(address, timeout=ANSWER_MOST_S) as connection:
        return ask_on(connection)


@pytest.mark.parametrize("of", ["cluster-ip", "gateway"])
def test_ten_thousand_clients_are_answered(m, count, of):
    if of == "gateway":
        m.apply({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "many"}, "spec": {"defaultBackend": {"service": {"name": "many", "port": {"number": 8080}}}}})
    address = address_of(m, "many") if of == "cluster-ip" else m.gateway_address()
    until("it answers", lambda: ask(address) == 200)
    before, fresh = descriptors(m), []
    crowd = Crowd(address, count, SLOW)
    try:
        crowd.connect()
        until("hythe has them all", lambda: gauge(m, "hythe_connections") >= count)
        fresh.append(ask(address))
        crowd.ask(lambda: fresh.append(ask(address)))
        assert not crowd.failures, f"{len(crowd.failures)} of {count} failed: {set(crowd.failures[:20])}"
        crowd.ask()  # each connection is still good for a second one
        assert not crowd.failures, f"{len(crowd.failures)} of {count} failed: {set(crowd.failures[:20])}"
        assert set(fresh) == {200} and crowd.answered + crowd.excused == 2 * count
    finally:
        crowd.close()
    until("their descriptors are free again", lambda: descriptors(m) < before + KEPT_MOST, ROUND_S)


def test_thousands_who_say_nothing_yet_have_a_connection_each(m, count):
    """Of a port of no known protocol: databases' clients are silent for hours. They are no requests in flight."""
    m.apply(service("silent", app="many"))
    address = address_of(m, "silent")
    until("it answers", lambda: ask(address) == 200)
    before, relays = descriptors(m), 'hythe_gateway_relays_open{namespace="default",service="silent"}'
    crowd = Crowd(address, SILENT, 0)
    try:
        crowd.connect()
        until("each has its connection to a pod", lambda: gauge(m, relays) == SILENT)
        assert ask(address_of(m, "many")) == 200  # and requests have room
        crowd.ask()
        assert not crowd.failures, f"{len(crowd.failures)} of {SILENT} failed: {set(crowd.failures[:20])}"
    finally:
        crowd.close()
    until("their descriptors are free again", lambda: gauge(m, relays) == 0 and descriptors(m) < before + KEPT_MOST, ROUND_S)


def test_one_more_than_may_be_is_told_so(tmp_path):
    up = Up(tmp_path, "--gateway=on", "--listen-gateway=127.0.0.1:0", "--max-connections=20", controllers="*")
    try:
        host, port = re.search(r"gateway\s+http://([\d.]+):(\d+)", up.said()).groups()
        held = [socket.create_connection((host, int(port)), timeout=ANSWER_MOST_S) for _ in range(20)]
        for c in held:  # each has been taken
            until("the gateway has its routes", lambda: ask_on(c) == 404)
        with socket.create_connection((host, int(port)), timeout=ANSWER_MOST_S) as one_more:
            status, body, is_last = Load._answer(one_more)
            assert status == 503 and is_last and b"as many connections as it may (--max-connections)" in body
        held.pop().close()
        until("there is room again", lambda: ask((host, int(port))) == 404)
        for c in held:
            c.close()
    finally:
        assert up.stop() in (0, -signal.SIGTERM)
