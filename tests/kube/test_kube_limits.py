# SPDX-License-Identifier: Apache-2.0
"""What the API server holds to under pressure: turns among clients, slow watchers, bookmarks, versions that are gone, the most watches."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import time

import pytest
from cluster import Up
from waiting import until

PATH = "/api/v1/namespaces/default/configmaps"
NOISY = 150  # requests of one user, a connection each


@contextlib.contextmanager
def running(folder, *flags):
    up = Up(folder, *flags)
    try:
        yield up
    finally:
        code = up.stop()
    assert code in (0, -signal.SIGTERM), up.said()[-2000:]


class Raw:
    """A connection whose bytes are read only when the test says so."""

    def __init__(self, up, token=None, small=False):
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(60)
        s.connect(("127.0.0.1", up.cluster.port))
        context = up.cluster.plain if token else up.cluster.admin
        self.tls = context.wrap_socket(s, server_hostname="localhost")
        self.token, self.kept = token, b""

    def send(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.tls.sendall(head.encode() + b"\r\n" + data)

    def until(self, mark):
        """Everything up to and with `mark`."""
        while mark not in self.kept:
            piece = self.tls.recv(65536)
            assert piece, f"the connection ended before {mark!r}: {self.kept[-500:]!r}"
            self.kept += piece
        at = self.kept.index(mark) + len(mark)
        found, self.kept = self.kept[:at], self.kept[at:]
        return found

    def answer(self):
        return self.body(self.until(b"\r\n\r\n"))

    def body(self, head):
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        while len(self.kept) < length:
            piece = self.tls.recv(65536)
            assert piece, f"the connection ended in a body: {self.kept[-500:]!r}"
            self.kept += piece
        body, self.kept = self.kept[:length], self.kept[length:]
        return int(head.split()[1]), json.loads(body)

    def rest(self):
        """To the end of a chunked answer."""
        return self.until(b"\r\n0\r\n\r\n")

    def close(self):
        with contextlib.suppress(OSError, ssl.SSLError):
            self.tls.close()


def events(chunked):
    """The lines in the chunks of a watch."""
    text, at = b"", 0
    while at < len(chunked):
        end = chunked.index(b"\r\n", at)
        size = int(chunked[at:end], 16)
        text += chunked[end + 2:end + 2 + size]
        at = end + 4 + size
    return [json.loads(line) for line in text.splitlines()]


def config_map(name, size=10):
    return {"metadata": {"name": name}, "data": {"x": "x" * size}}


def version(up):
    return up.cluster.ask("GET", PATH + "?limit=1").version


def watches_of(up):
    return int(re.search(r'^apiserver_longrunning_requests\{verb="WATCH"\} (\d+)', up.cluster.ask("GET", "/metrics").text, re.M)[1])


def resident_mb(up):
    with open(f"/proc/{up.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024


def write_again(up, name, count, size, path=PATH):
    """Makes an object and replaces it, over one connection."""
    raw = Raw(up)
    raw.send("POST", path, config_map(name, size))
    assert raw.answer()[0] == 201
    for _ in range(count):
        raw.send("PUT", f"{path}/{name}", config_map(name, size))
        assert raw.answer()[0] == 200
        size ^= 1  # a replacement that changes nothing is not written
    raw.close()


@contextlib.contextmanager
def held(up):
    """The server stands still, all its threads: what is sent meanwhile is there at once when it goes on."""
    tasks = pathlib.Path(f"/proc/{up.process.pid}/task")
    os.kill(up.process.pid, signal.SIGSTOP)
    try:
        until("all threads stopped", lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()))
        yield
    finally:
        os.kill(up.process.pid, signal.SIGCONT)


def test_a_client_with_many_requests_does_not_hold_up_another(tmp_path):
    with running(tmp_path) as up:
        binding = {"metadata": {"name": "plain"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                   "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "plain-user"}]}
        assert up.cluster.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).status == 201
        noisy = [Raw(up) for _ in range(NOISY)]
        quiet = Raw(up, "plain-token")
        for raw in [*noisy, quiet]:  # the handshake and the right are behind them
            raw.send("GET", PATH)
            assert raw.answer()[0] == 200
        with held(up):
            for i, raw in enumerate(noisy):
                raw.send("POST", PATH, config_map(f"noisy-{i}"))
            quiet.send("POST", PATH, config_map("quiet"))  # it comes last
        versions = []
        for raw in [*noisy, quiet]:
            status, made = raw.answer()
            assert status == 201, made
            versions.append(int(made["metadata"]["resourceVersion"]))
        before = sum(v < versions[-1] for v in versions)
        assert before < NOISY / 2, f"{before} of {NOISY} were served before the quiet client"
        for raw in [*noisy, quiet]:
            raw.close()


def test_too_many_waiting_requests_of_one_user_are_refused(tmp_path):
    with running(tmp_path, "--max-requests-waiting", "20") as up:
        noisy = [Raw(up) for _ in range(NOISY)]
        for raw in noisy:
            raw.send("GET", PATH)
            assert raw.answer()[0] == 200
        with held(up):
            for i, raw in enumerate(noisy):
                raw.send("POST", PATH, config_map(f"noisy-{i}"))
        answers = [raw.answer() for raw in noisy]
        refused = [body for status, body in answers if status == 429]
        assert {status for status, _ in answers} == {201, 429}
        assert refused[0]["reason"] == "TooManyRequests" and refused[0]["details"]["retryAfterSeconds"] == 1
        assert up.cluster.ask("POST", PATH, config_map("later")).status == 201
        for raw in noisy:
            raw.close()


def test_a_slow_watcher_is_cut_off_and_others_go_on(tmp_path):
    with running(tmp_path, "--max-watch-backlog", "256k", "--history", "256k") as up:
        write_again(up, "first", 40, 100_000)  # what the server needs for objects of this size
        from_version, before = version(up), resident_mb(up)
        slow, stuck, good = Raw(up, small=True), Raw(up, small=True), Raw(up)
        for raw in (slow, stuck, good):
            raw.send("GET", f"{PATH}?watch=1&resourceVersion={from_version}")
            raw.until(b"\r\n\r\n")
        writer, told = Raw(up), None
        for i in range(300):  # 30 MB: far more than the sockets' buffers
            writer.send("POST" if not i else "PUT", PATH + ("" if not i else "/big"), config_map("big", 100_000 + i))
            assert writer.answer()[0] in (200, 201)
            got = good.until(b'"resourceVersion"')  # it reads along
            assert b'"ERROR"' not in got
            if not told and i % 10 == 9 and watches_of(up) == 1:  # read now: a connection that takes nothing for half a minute is cut
                told = events(slow.rest()[:-5])
        good.until(b"x" * 100_299)
        grown = resident_mb(up) - before
        if not os.environ.get("HYTHE_SANITIZED"):  # whose allocator keeps what was freed
            assert grown < 16, f"{grown:.0f} MB more: what a slow watcher was to be told is kept"
        assert told, "the slow ones go on"
        assert told[-1]["type"] == "ERROR" and told[-1]["object"]["code"] == 410 and told[-1]["object"]["reason"] == "Expired"
        versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in told[:-1]]
        assert versions == sorted(set(versions)) and len(versions) < 300
        for raw in (slow, stuck, good, writer):
            raw.close()


def test_bookmarks_tell_how_far_a_watch_has_come(tmp_path):
    with running(tmp_path) as up:
        for seconds in (4, 40):
            watch, begun = Raw(up), time.monotonic()
            watch.send("GET", f"{PATH}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version(up)}")
            watch.until(b"\r\n\r\n")
            # A change that the watch does not see moves it on all the same.
            made = up.cluster.ask("POST", "/api/v1/namespaces/kube-public/configmaps", config_map(f"elsewhere-{seconds}"))
            if time.monotonic() - begun < seconds - 2:  # it was made before the bookmark, which comes two seconds before the end
                break
            watch.close()
        told = events(watch.rest()[:-5])
        assert [e["type"] for e in told] == ["BOOKMARK"]
        assert int(told[0]["object"]["metadata"]["resourceVersion"]) >= int(made.version)
        assert told[0]["object"]["kind"] == "ConfigMap"
        watch.close()


def test_versions_that_are_no_longer_kept_are_gone(tmp_path):
    with running(tmp_path, "--history", "16k") as up:
        for i in range(3):
            assert up.cluster.ask("POST", PATH, config_map(f"item-{i}")).status == 201
        page = up.cluster.ask("GET", PATH + "?limit=1").json["metadata"]
        old = page["resourceVersion"]
        write_again(up, "changed", 60, 10_000)
        watch = Raw(up)
        watch.send("GET", f"{PATH}?watch=1&resourceVersion={old}")
        head = watch.until(b"\r\n\r\n")
        assert b" 200 " in head
        (error,) = events(watch.rest()[:-5])
        assert error["type"] == "ERROR" and error["object"]["code"] == 410 and error["object"]["reason"] == "Expired"
        assert re.search(r"too old resource version: \d+ \(\d+\)", error["object"]["message"])
        for query in (f"limit=1&continue={page['continue']}", f"resourceVersion={old}&resourceVersionMatch=Exact"):
            answer = up.cluster.ask("GET", f"{PATH}?{query}")
            assert (answer.status, answer.json["reason"]) == (410, "Expired")
        watch.close()


def test_a_watch_shows_its_own_object_where_another_one_was_kept(tmp_path):
    """A line that was made once goes to all who watch: not to who comes when its version is gone, and a new object is in its place in memory."""
    with running(tmp_path, "--history", "1", "--history-time", "0s") as up:
        for i in range(3):
            old, new = config_map(f"old-{i}"), config_map(f"new-{i}")
            assert up.cluster.ask("POST", PATH, old).status == 201
            assert old["metadata"]["name"] in up.cluster.ask("GET", f"{PATH}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dold-{i}").text
            for size in (3000, 4000):  # nobody watches: the version that was told goes
                assert up.cluster.ask("PUT", f"{PATH}/old-{i}", {**old, "data": {"a": "b" * size}}).status == 200
            assert up.cluster.ask("POST", PATH, new).status == 201
            watch = Raw(up)
            watch.send("GET", f"{PATH}?watch=1&fieldSelector=metadata.name%3Dnew-{i}")
            watch.until(b"\r\n\r\n")
            assert f'"name":"new-{i}"'.encode() in watch.until(b'"metadata":{"name":"') + watch.until(b'"namespace"')
            watch.close()


def test_a_watch_goes_on_where_it_ended(tmp_path):
    with running(tmp_path) as up:
        made = [up.cluster.ask("POST", PATH, config_map(f"item-{i}")) for i in range(5)]
        up.stop()
        with_restart = Up(tmp_path)
        try:
            watch = Raw(with_restart)
            watch.send("GET", f"{PATH}?watch=1&timeoutSeconds=1&resourceVersion={made[1].version}")
            watch.until(b"\r\n\r\n")
            told = events(watch.rest()[:-5])
            assert [e["object"]["metadata"]["name"] for e in told] == ["item-2", "item-3", "item-4"]
            watch.close()
        finally:
            with_restart.stop()


@pytest.mark.parametrize("most", [3])
def test_more_watches_than_the_limit_are_refused(tmp_path, most):
    with running(tmp_path, "--max-watches", str(most)) as up:
        watches = [Raw(up) for _ in range(most)]
        for raw in watches:
            raw.send("GET", PATH + "?watch=1&resourceVersion=0")
            raw.until(b"\r\n\r\n")
        one_more = Raw(up)
        one_more.send("GET", PATH + "?watch=1")
        status, body = one_more.answer()
        assert (status, body["reason"]) == (429, "TooManyRequests") and str(most) in body["message"]
        watches.pop().close()

        def is_given():
            one_more.send("GET", PATH + "?watch=1&timeoutSeconds=1")
            head = one_more.until(b"\r\n\r\n")
            if b" 200 " in head:
                return True
            one_more.body(head)
            return False

        until("a place that became free is given", is_given)
        for raw in [*watches, one_more]:
            raw.close()
