# SPDX-License-Identifier: Apache-2.0
"""`hythe up` is killed at any instant under load: what was acknowledged is there after the next start, nothing is there by halves. And bad folders."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from cluster import Up
from waiting import DEADLINE, until

KILLS = int(os.environ.get("KUBE_KILLS", "12"))
WRITERS = 6
NAMES = 8  # of each writer
PATH = "/api/v1/namespaces/default/configmaps"


class Writer(threading.Thread):
    """Makes, changes and deletes its own objects; knows for each what was acknowledged last and what was sent after that."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.number = number
        self.random = random.Random(number)
        self.known = {}  # name: (acknowledged value or None, value that was sent and not answered, or False)
        self.count = self.revision = self.acknowledged = 0
        self.problem = None

    def start_on(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.start()

    def run(self):
        connection = self.cluster.connect()
        try:
            while True:
                self._one(connection)
        except (OSError, ConnectionError):
            pass  # the server was killed
        except Exception as e:  # http.client's errors of answers cut short are as good as none
            if type(e).__module__ != "http.client":
                self.problem = e
        finally:
            connection.close()

    def _one(self, connection):
        name = f"w{self.number}-{self.random.randrange(NAMES)}"
        there = self.known.get(name, (None, False))[0]
        self.count += 1
        value = None if there and self.random.random() < 0.3 else f"{self.count}"
        body = {"metadata": {"name": name}, "data": {"first": value, "padding": "x" * self.random.randrange(3000), "last": value}}
        if value is None:
            method, path, body, headers = "DELETE", f"{PATH}/{name}", None, {}
        elif there is None:
            method, path, headers = "POST", PATH, {}
        elif self.random.random() < 0.5:
            method, path, headers = "PUT", f"{PATH}/{name}", {}
        else:
            method, path, headers = "PATCH", f"{PATH}/{name}", {"Content-Type": "application/merge-patch+json"}
        self.known[name] = (there, value)
        self.cluster.send(connection, method, path, body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status not in (200, 201):
            self.problem = f"{method} {path}: {response.status} {answer}"
            raise ConnectionError
        self.known[name] = (value, False)
        self.acknowledged += 1
        if value is not None:
            self.revision = max(self.revision, int(answer["metadata"]["resourceVersion"]))

    def check(self, stored):
        """Problems with what is stored, after a restart; what was sent and not answered may be or not."""
        for name, (acknowledged, sent) in self.known.items():
            found = stored.get(name)
            if found and found["data"]["first"] != found["data"]["last"]:
                yield f"{name}: half a write: {found['data']['first']} and {found['data']['last']}"
            value = found["data"]["first"] if found else None
            if value != acknowledged and not (sent is not False and value == sent):
                yield f"{name}: {value} is stored, {acknowledged} was acknowledged, {sent} was sent after it"
            self.known[name] = (value, False)


def kill_under_load(folder, kills, seed=1):
    chance = random.Random(seed)
    writers = [Writer(i) for i in range(WRITERS)]
    problems, floor = [], 0

    def load():
        return sum(w.acknowledged for w in writers)

    for kill in range(kills):
        up = Up(folder)
        try:
            listed = up.cluster.ask("GET", PATH).json
            stored = {item["metadata"]["name"]: item for item in listed["items"]}
            for writer in writers:
                problems += [f"after kill {kill}: {p}" for p in writer.check(stored)]
            if int(listed["metadata"]["resourceVersion"]) < floor:
                problems.append(f"after kill {kill}: revision {listed['metadata']['resourceVersion']} is before {floor}")
            for writer in writers:
                writer.start_on(up.cluster)
            if kill % 2 == 0:  # there is load, however slow the machine is; the others come at any instant
                least = load() + 3
                until("some writes", lambda least=least: load() >= least or any(w.problem for w in writers))
            time.sleep(chance.uniform(0.0, 0.25))
        finally:
            up.stop(signal.SIGKILL)
        for writer in writers:
            writer.join(DEADLINE)
            assert not writer.is_alive()
            if writer.problem:
                problems.append(str(writer.problem))
        floor = max([floor] + [w.revision for w in writers])
    return problems, load()


def test_a_kill_loses_no_acknowledged_write(tmp_path):
    problems, acknowledged = kill_under_load(tmp_path, KILLS)
    assert not problems, "\n".join(problems[:20])
    assert acknowledged > KILLS  # there was load


def test_a_watch_goes_on_from_its_revision_over_a_kill(tmp_path):
    up = Up(tmp_path)
    before = up.cluster.ask("POST", PATH, {"metadata": {"name": "before"}}).version
    for i in range(5):
        up.cluster.ask("POST", PATH, {"metadata": {"name": f"n{i}"}})
    up.stop(signal.SIGKILL)
    up = Up(tmp_path)
    try:
        answer = up.cluster.ask("GET", f"{PATH}?watch=true&resourceVersion={before}&timeoutSeconds=1")
        events = [json.loads(line) for line in answer.text.splitlines()]
        events = [e for e in events if e["object"]["metadata"]["name"] != "kube-root-ca.crt"]  # of a controller, some time
        assert [(e["type"], e["object"]["metadata"]["name"]) for e in events][:5] == [("ADDED", f"n{i}") for i in range(5)]
        made = up.cluster.ask("POST", PATH, {"metadata": {"name": "after"}})
        assert int(made.version) > int(events[4]["object"]["metadata"]["resourceVersion"])
    finally:
        up.stop()


def test_what_was_made_at_the_first_start_stays(tmp_path):
    up = Up(tmp_path)
    token = up.cluster.ask("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}}).json["status"]["token"]
    namespace = up.cluster.ask("GET", "/api/v1/namespaces/default").uid
    certificate = up.cluster.ask("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt").json["data"]["ca.crt"]
    assert up.stop() == 0
    up = Up(tmp_path)
    try:
        assert up.cluster.ask("GET", "/api/v1/namespaces/default").uid == namespace
        assert up.cluster.ask("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt").json["data"]["ca.crt"] == certificate
        assert up.cluster.ask("GET", PATH, user=token).status == 403  # known, without rights
    finally:
        assert up.stop() == 0


def test_deletion_goes_on_after_a_kill(tmp_path):
    """A namespace with many objects and a chain of owners are on their way out when the server is killed."""
    up = Up(tmp_path)
    up.cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "gone"}})
    for i in range(30):
        assert up.cluster.ask("POST", "/api/v1/namespaces/gone/configmaps", {"metadata": {"name": f"m{i}"}}).status == 201
    owner = up.cluster.ask("POST", PATH, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid}
    for i in range(30):
        assert up.cluster.ask("POST", PATH, {"metadata": {"name": f"owned{i}", "ownerReferences": [reference]}}).status == 201
    assert up.cluster.ask("DELETE", "/api/v1/namespaces/gone").status == 200
    assert up.cluster.ask("DELETE", PATH + "/owner", {"propagationPolicy": "Background"}).status == 200
    up.stop(signal.SIGKILL)
    up = Up(tmp_path)
    try:
        def over():
            left = [i["metadata"]["name"] for i in up.cluster.ask("GET", PATH).json["items"] if i["metadata"]["name"].startswith("owned")]
            status = up.cluster.ask("GET", "/api/v1/namespaces/gone").status
            assert not left and status == 404, (left, status)
            return True

        until("what was on its way out is gone", over)
    finally:
        up.stop()


def start_that_fails(folder, *wrap):
    """What `hythe up` prints when it cannot start; it must end by itself."""
    with pytest.raises(RuntimeError, match="hythe up ended with [1-9]") as e:
        Up(folder, wrap=wrap)
    return str(e.value)


def databases(folder):
    return [p for p in pathlib.Path(folder, "data").rglob("*") if p.is_file() and p.read_bytes()[:15] == b"SQLite format 3"]


def test_a_damaged_database_is_left_as_it_is(tmp_path):
    up = Up(tmp_path)
    for i in range(200):
        up.cluster.ask("POST", PATH, {"metadata": {"name": f"n{i}"}, "data": {"x": "y" * 500}})
    up.stop()
    found = databases(tmp_path)
    assert found
    path = found[0]
    with path.open("r+b") as f:
        f.seek(100)
        f.write(os.urandom(min(path.stat().st_size - 100, 20000)))
    damaged = path.read_bytes()
    said = start_that_fails(tmp_path)
    assert path.name in said or "database" in said or "store" in said, said
    assert path.read_bytes() == damaged


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    up = Up(tmp_path)
    up.stop()
    path = databases(tmp_path)[0]
    for beside in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        beside.unlink(missing_ok=True)
    path.write_bytes(b"this is my diary\n" * 1000)
    start_that_fails(tmp_path)
    assert path.read_bytes() == b"this is my diary\n" * 1000


def test_a_second_server_on_the_same_folder_takes_over(tmp_path):
    first, second = Up(tmp_path), None
    try:
        before = first.cluster.ask("POST", PATH, {"metadata": {"name": "mine"}}).status
        second = Up(tmp_path)
        assert before == 201 and f"took over from process {first.process.pid}" in second.said()
        assert first.process.wait(60) == 0
        assert second.cluster.ask("GET", PATH + "/mine").status == 200
    finally:
        (second or first).stop()
        first.process.kill()


def test_a_port_that_is_taken_is_told(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with pytest.raises(RuntimeError, match="hythe up ended with [1-9]") as e:
            Up(tmp_path, port=s.getsockname()[1])
    assert "taken" in str(e.value) or "in use" in str(e.value)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="a folder that may not be written needs another user, so root and setpriv")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005 and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "data").mkdir(mode=0o555)
    said = start_that_fails(tmp_path, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert "ermission" in said and "data" in said, said


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_full_disk_is_told_and_writes_go_on_with_room_in_this_run_and_the_next(tmp_path):
    disk = tmp_path / "data"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        up = Up(tmp_path)
        try:
            refused, kept = None, []
            for i in range(200):
                answer = up.cluster.ask("POST", PATH, {"metadata": {"name": f"big{i}"}, "data": {"x": "y" * 500_000}})
                if answer.status != 201:
                    refused = answer
                    break
                kept.append(f"big{i}")
            assert refused is not None and refused.status in (500, 503, 507), refused
            assert refused.json["kind"] == "Status" and refused.json["message"]
            assert up.cluster.ask("GET", f"{PATH}/{kept[0]}").status == 200  # reads go on
            assert up.cluster.ask("GET", f"{PATH}/big{len(kept)}").status == 404
            later = up.cluster.ask("POST", PATH, {"metadata": {"name": "small"}})
            # What is small may find room in the log again a second later.
            assert later.status == 201 or (later.status == 500 and "it is full" in later.json["message"])
            subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            end = time.monotonic() + DEADLINE
            while (again := up.cluster.ask("POST", PATH, {"metadata": {"name": "again"}, "data": {"x": "y" * 500_000}})).status != 201:
                assert again.status == 500 and "it is full" in again.json["message"] and time.monotonic() < end
                time.sleep(0.05)
        finally:
            up.stop(signal.SIGKILL)
        up = Up(tmp_path)
        try:
            names = {i["metadata"]["name"] for i in up.cluster.ask("GET", PATH).json["items"]}
            assert {*kept, "again"} <= names and ("small" in names) == (later.status == 201)
            assert up.cluster.ask("POST", PATH, {"metadata": {"name": "later"}}).status == 201
        finally:
            up.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
