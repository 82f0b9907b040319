# SPDX-License-Identifier: Apache-2.0
"""hythe is killed (kill -9) at random moments of rollouts: what is wanted comes, nothing runs twice, nothing is left over; what ran goes on meanwhile."""
import os
import pathlib
import random
import shutil
import time

import pytest
from nodes import Machine, condition, container, deployment, folder_for_all, need, pod, server
from waiting import SANITIZED, until

KILLS = int(os.environ.get("NODE_KILLS", "6" if SANITIZED else "25"))


def processes(mark):
    """{pid: pod's name} of the machine's processes with this variable."""
    found = {}
    for p in pathlib.Path("/proc").iterdir():
        if not p.name.isdigit():
            continue
        try:
            variables = dict(v.split(b"=", 1) for v in (p / "environ").read_bytes().split(b"\0") if b"=" in v)
        except OSError:
            continue
        if variables.get(b"MARK") == mark.encode():
            found[int(p.name)] = variables.get(b"HOSTNAME", b"").decode()
    return found


@pytest.fixture(params=["root", "user"])
def m(request):
    need(request.param)
    if os.geteuid() != 0:
        pytest.skip("counts processes of all users: not root")
    folder = folder_for_all()
    machine = Machine(folder, request.param)
    yield machine
    shutil.rmtree(folder, ignore_errors=True)


def web(replicas, version, mark):
    c = server(text=f"version {version}")
    c["env"] = [{"name": "MARK", "value": mark}, {"name": "VERSION", "value": str(version)}]
    return deployment("web", replicas, c)


def test_rollouts_survive_kills(m):
    mark, r = f"crash-{m.user}-{os.getpid()}", random.Random(7)
    replicas = 3
    m.apply(web(replicas, 0, mark))
    for kill in range(1, KILLS + 1):
        if r.random() < 0.5:
            replicas = r.randrange(1, 6)
        try:
            m.apply(web(replicas, kill, mark))
        except AssertionError:
            pass  # killed below it
        time.sleep(r.random() * 0.4)  # the moment of the kill is by chance
        m.restart()
        if kill % 5 == 0 or kill == KILLS:
            m.apply(web(replicas, kill, mark))
            m.rolled_out("web")
            until("old pods gone", lambda: len(m.items("pods")) == replicas)
            until("one process for each pod, and no other", lambda: sorted(processes(mark).values()) == sorted(p["metadata"]["name"] for p in m.items("pods")))
    m.end()
    until("no process left", lambda: not processes(mark))
    left = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(m.folder) in line]
    assert not left, left


def test_pods_serve_on_and_are_adopted(m):
    mark = f"adopt-{m.user}-{os.getpid()}"
    m.apply(web(2, 1, mark), pod("once", {**container("main", ("sleep", "1000000")), "env": [{"name": "MARK", "value": mark}]}))
    m.rolled_out("web")
    m.wait_running("once")
    before = until("three processes", lambda: len(found := processes(mark)) == 3 and found)
    uids = {p["metadata"]["uid"] for p in m.items("pods")}
    # What is looked for at the end is seen while it is there.
    until("what is of these pods", lambda: (there := m.left(uids))["processes"] and (m.user == "user" or there["groups"]))
    for stop in (True, False):
        m.kill() if stop else m.up.stop()
        assert processes(mark) == before, "what runs goes on without hythe"
        m.start()
        m.rolled_out("web")
        assert all(condition(p, "Ready") == "True" and p["status"]["containerStatuses"][0]["restartCount"] == 0 for p in m.items("pods"))
        until("their node knows them", lambda: all(m.run("exec", p["metadata"]["name"], "--", "echo", "here") == "here\n" for p in m.items("pods")))
        assert processes(mark) == before, "and is adopted as it is"
    m.end()


def test_a_pod_that_died_meanwhile_begins_again(m):
    mark = f"died-{m.user}-{os.getpid()}"
    m.apply(web(1, 1, mark))
    m.rolled_out("web")
    m.kill()
    for pid in processes(mark):
        os.kill(pid, 9)
    until("it is dead", lambda: not processes(mark))
    m.start()
    until("it runs again", lambda: (p := m.items("pods")[0]) and condition(p, "Ready") == "True" and p["status"]["containerStatuses"][0]["restartCount"] == 1)
    m.end()


def test_as_after_a_reboot_all_is_started_again(m):
    """Every process of the node's is killed, supervisors too: as when the machine was restarted."""
    mark = f"boot-{m.user}-{os.getpid()}"
    m.apply(web(2, 1, mark))
    m.rolled_out("web")
    m.kill()
    for p in pathlib.Path("/proc").iterdir():
        try:
            title = (p / "cmdline").read_bytes() if p.name.isdigit() else b""
            if title.startswith(b"hythe: pod ") and str(m.folder) in os.readlink(p / "cwd") + (p / "environ").read_text():
                os.kill(int(p.name), 9)
        except (OSError, UnicodeDecodeError):
            continue
    for pid in processes(mark):
        try:
            os.kill(pid, 9)
        except OSError:
            pass
    m.start()
    until("all runs again", lambda: len(ready := [p for p in m.items("pods") if condition(p, "Ready") == "True"]) == 2 and len(processes(mark)) == 2 and ready)
    m.end()
