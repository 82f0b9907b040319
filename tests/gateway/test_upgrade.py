# SPDX-License-Identifier: Apache-2.0
"""A hythe takes over from one that runs, while clients ask all the time: no request fails, no connection is refused, no pod is started again."""
import array
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from gates import address_of, machine_of, service, web
from load import Load
from nodes import folder_for_all
from waiting import DEADLINE, SANITIZED, until

UPGRADES = 2 if SANITIZED else 5
CLIENTS = 4 if SANITIZED else 8
NAME = "upgraded"


@pytest.fixture(scope="module")
def m():
    folder = folder_for_all()
    machine = machine_of(folder)
    machine.apply(web(NAME), service(f"{NAME}-lb", "LoadBalancer", app=NAME), service(f"{NAME}-ip", app=NAME))
    machine.rolled_out(NAME)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def addresses(m):
    found = [address_of(m, f"{NAME}-lb"), address_of(m, f"{NAME}-ip")]
    for a in found:
        until(f"{a} answers", lambda: ask(a) == 200)
    return found


def ask(address):
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        return Load._answer(connection)[0]


def busy(load, more=200):
    wanted = load.count + more
    until("requests are answered", lambda: load.count >= wanted)


def pods(m):
    """{uid: restarts}"""
    return {p["metadata"]["uid"]: p["status"]["containerStatuses"][0]["restartCount"] for p in m.items("pods", "-l", f"app={NAME}")}


def no_failure(load):
    load.stop()
    assert not load.failures, load.told()
    assert load.answered > 0


class Reader:
    """Reads an object of the API again and again, by a new connection each time, and by one that is kept."""

    def __init__(self, m):
        self.m, self.failures, self.count, self.stopping = m, [], 0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            try:
                answer = self.m.up.cluster.ask("GET", f"/api/v1/namespaces/default/services/{NAME}-lb")
                if answer.status != 200:
                    self.failures.append(answer.status)
            except OSError as e:
                self.failures.append(repr(e))
            self.count += 1

    def stop(self):
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self


def upgrade(m):
    """A new process takes over; returns the old one's, which has ended."""
    old = m.up.process
    m.start()
    assert f"took over from process {old.pid}" in m.up.said(), m.up.said()[-4000:]
    assert old.wait(DEADLINE) == 0
    return old


# ---- one takes over ----

def test_upgrades_under_load_lose_nothing(m, addresses):
    before, reader, load = pods(m), Reader(m), Load(addresses, CLIENTS)
    for _ in range(UPGRADES):
        busy(load)
        upgrade(m)
    busy(load)
    reader.stop()
    no_failure(load)
    assert pods(m) == before
    assert [address_of(m, f"{NAME}-lb"), address_of(m, f"{NAME}-ip")] == addresses
    # A connection that is kept is the client's risk (RFC 9112 9.3): this one has a new one each time.
    assert reader.count > 0 and not reader.failures, reader.failures[:5]


def test_posts_under_way_are_answered_by_the_old_one(m, addresses):
    """What takes a second, and may not be asked a second time."""
    load = Load(addresses, CLIENTS, method="POST", path="/slow/1000", body=b"x" * 1000)
    until("requests are under way", lambda: load.count >= CLIENTS)
    upgrade(m)
    no_failure(load)


def test_what_is_changed_during_an_upgrade_is_taken_up(m, addresses):
    load = Load(addresses, CLIENTS)
    m.apply(web(NAME, version="v2"))
    upgrade(m)
    m.rolled_out(NAME)
    until("only the new version answers", lambda: all(ask(a) == 200 for a in addresses) and len(pods(m)) == 3)
    no_failure(load)
    assert set(load.versions()) <= {"v1", "v2"}


def test_a_command_that_runs_is_followed_over_an_upgrade(m, tmp_path):
    """Its log is cut off by the old one, and its exit code is the new one's to tell."""
    code = 'echo begun; until [ -e go ]; do sleep 0.05; done; echo over; exit 3'
    command = [m.up.process.args[0], "run", "--kubeconfig", m.kubeconfig, "--", "sh", "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout.readline() == "begun\n"
            upgrade(m)
            (tmp_path / "go").touch()
            said, complaints = run.communicate(timeout=DEADLINE)
        finally:
            run.kill()
    assert (run.returncode, said) == (3, "over\n"), complaints


def test_one_that_ends_by_itself_answers_what_it_has_before_the_next_one_serves(m, addresses):
    old, drains = m.up.process, m.up.said().count("draining")
    with socket.create_connection(addresses[0], timeout=DEADLINE) as connection:
        connection.sendall(b"POST /slow/3000 HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx")
        old.send_signal(signal.SIGTERM)
        until("it drains", lambda: m.up.said().count("draining") > drains)
        m.start()
        assert Load._answer(connection)[0] == 200
    assert old.wait(DEADLINE) == 0
    answers(m, addresses)


# ---- it goes wrong ----

class Taker:
    """Speaks to the one who runs as one that takes over."""

    def __init__(self, m):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(60)
        self.socket.connect(str(m.up.data / "upgrade"))
        self.socket.send(b"hythe-upgrade 1")
        said = self.socket.recv(1000).split()
        assert said[:2] == [b"hythe-upgrade", b"1"]
        self.pid, self.count, self.sockets = int(said[2]), int(said[3]), {}
        descriptors = []
        while len(descriptors) < self.count:
            text, control, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(64 * 4))
            found = array.array("i")
            for level, kind, data in control:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                found.frombytes(data)
            for key, fd in zip(text.decode().splitlines(), found, strict=True):
                self.sockets.setdefault(key, []).append(fd)
            descriptors += found
        self.descriptors = [socket.socket(fileno=fd) for fd in descriptors]

    def end(self):
        for s in self.descriptors:
            s.close()
        self.socket.close()


def serves(m, addresses):
    return all(ask(a) == 200 for a in addresses) and m.up.cluster.ask("GET", "/readyz").status == 200


def answers(m, addresses):
    until("all addresses and the API answer", lambda: serves(m, addresses))


def test_one_that_ends_before_it_asks_for_the_store_changes_nothing(m, addresses):
    load = Load(addresses, CLIENTS)
    for _ in range(3):
        busy(load)
        taker = Taker(m)
        assert taker.pid == m.up.process.pid
        assert any(key.startswith("api ") for key in taker.sockets) and any(key.startswith("entry ") for key in taker.sockets), list(taker.sockets)
        taker.end()
    busy(load)
    answers(m, addresses)
    no_failure(load)
    upgrade(m)  # and it still hands over


def test_one_that_ends_when_it_has_the_store_is_followed_by_the_old_one(m, addresses):
    before, load = pods(m), Load(addresses, CLIENTS)
    busy(load)
    taker = Taker(m)
    taker.socket.send(b"give")
    assert taker.socket.recv(100) == b"free"
    taker.end()
    until("it starts again", lambda: "starts again" in m.up.said())
    until("it serves again", lambda: m.up.process.poll() is None and m.up.said().count(" is up after ") >= 2)
    busy(load)
    answers(m, addresses)
    no_failure(load)
    assert pods(m) == before
    upgrade(m)


def test_one_that_cannot_start_ends_and_nothing_has_happened(m, addresses):
    load = Load(addresses, CLIENTS)
    command = m.up.process.args + ["--load-balancer-first=9000", "--load-balancer-last=8000"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert failed.returncode != 0 and "load-balancer" in failed.stderr, failed
    busy(load)
    no_failure(load)
    answers(m, addresses)
    upgrade(m)


@pytest.mark.parametrize("round", range(2 if SANITIZED else 3))
def test_the_old_one_is_killed_at_any_time(m, addresses, round):
    before, old = pods(m), m.up.process
    wait = random.Random(round).uniform(0, 0.5)
    killer = threading.Timer(wait, old.kill)
    killer.start()
    m.start()
    killer.join()
    assert old.wait(DEADLINE) in (0, -signal.SIGKILL)
    answers(m, addresses)
    until("its pods are what they were", lambda: pods(m) == before)


@pytest.mark.parametrize("round", range(2 if SANITIZED else 3))
def test_the_new_one_is_killed_at_any_time(m, addresses, round):
    """Who is left serves; when the old one has handed over all, the next start does."""
    before, old = pods(m), m.up.process
    command = old.args
    with m.up.log.open("ab") as log:
        new = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    time.sleep(random.Random(round).uniform(0, 0.5))
    new.kill()
    new.wait()
    # One that has handed over all does not answer any more; it may take a while to end.
    until("the old one serves or has ended", lambda: old.poll() is not None or serves(m, addresses))
    if old.poll() is not None:
        assert old.returncode == 0
        m.start()
    answers(m, addresses)
    until("its pods are what they were", lambda: pods(m) == before)
