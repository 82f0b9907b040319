# SPDX-License-Identifier: Apache-2.0
"""kubectl's commands that need a node, with pods that run as processes: as root and as an ordinary user, with the oldest and the newest kubectl there is."""
import fcntl
import http.client
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest
from nodes import PYTHON, Machine, condition, container, deployment, folder_for_all, need, pod, server, shell  # first: it sets the path of the next
from waiting import DEADLINE, until

import kubectls

MACHINE = kubectls.on_this_machine()
# Old ones speak SPDY, new ones WebSocket; 1.29 to 1.31 are where it changed.
MINORS = sorted({min(MACHINE, default=0), 29, 30, max(MACHINE, default=0)} & set(MACHINE)) or [kubectls.BUILT]


@pytest.fixture(scope="module", params=["root", "user"])
def there(request):
    need(request.param)
    folder = folder_for_all()
    m = Machine(folder, request.param)
    yield m
    m.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=MINORS, ids=lambda m: f"1.{m}")
def m(request, there):
    there.program = MACHINE.get(request.param) or kubectls.build(request.param)
    yield there
    there.program = "kubectl"


@pytest.fixture(scope="module")
def web(there):
    """Three replicas that all listen on port 8000."""
    there.apply(deployment("web", 3, server()), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                                                 "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}})
    there.rolled_out("web")
    pods = there.items("pods", "-l", "app=web")
    until("endpoints", lambda: there.addresses("web") == sorted(p["status"]["podIP"] for p in pods))
    yield pods
    there.run("delete", "deployment/web", "service/web")


@pytest.fixture(scope="module")
def talker(there):
    """Writes a line a second to both outputs, and reads its input."""
    script = "i=0; while true; do i=$((i+1)); echo out $i; echo err $i >&2; sleep 0.2; done"
    there.apply(pod("talker", container("main", shell(script)), container("second", shell("echo second says; sleep 1000000"))))
    there.wait_running("talker")
    until("both talk", lambda: there.run("logs", "talker", "-c", "main") and there.run("logs", "talker", "-c", "second"))
    yield "talker"
    there.remove("talker")


# ---- replicas ----

def test_three_replicas_have_addresses_and_networks_of_their_own(m, web):
    assert len({p["status"]["podIP"] for p in web}) == 3
    assert all(condition(p, "Ready") == "True" and p["status"]["phase"] == "Running" for p in web)
    assert m.addresses("web") == sorted(p["status"]["podIP"] for p in web)


def test_get_and_describe_tell_what_runs(m, web):
    text = m.run("get", "pods", "-o", "wide", "-l", "app=web")
    assert text.count("1/1     Running") == 3
    name = web[0]["metadata"]["name"]
    told = until("its events", lambda: (t := m.run("describe", "pod", name)) and re.search(r"^  Normal +Started ", t, re.M) and t)
    assert re.findall(r"^  Normal +(Scheduled|Created|Started) ", told, re.M) == ["Scheduled", "Created", "Started"]  # as they came, within a second
    assert re.search(r"Status:\s+Running", told) and re.search(r"Ready:\s+True", told) and re.search(r"Container ID:\s+process://\w+", told)
    assert re.search(r"Normal\s+Scheduled\s.*Successfully assigned default/" + name, told)
    node = m.items("nodes")[0]["metadata"]["name"]
    told = m.run("describe", "node", node)
    assert re.search(r"Ready\s+True\s.*KubeletReady", told) and "MemoryPressure" in told and name in told
    assert "process://" in told


def test_a_killed_container_is_started_again(m, there):
    # The first process of a container is killed from inside by signals it handles alone, as init is.
    m.apply(pod("dies", container("main", shell("trap 'exit 143' TERM; echo alive; sleep 1000000 & wait"))))
    until("it handles the signal", lambda: m.run("logs", "dies") == "alive\n")
    assert m.run("exec", "dies", "--", "sh", "-c", "echo $PPID") == "0\n", "its parent is outside of its namespace"
    code, said = m.run("exec", "dies", "--", "kill", "-TERM", "1", ok=False)
    assert code in (0, 137), said  # it may be dead with the container before it has ended
    told = until("a second life", lambda: (p := m.pod("dies")) and p["status"]["containerStatuses"][0]["restartCount"] >= 1 and p)
    last = told["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 143 and last["reason"] == "Error"
    m.wait_running("dies")
    m.remove("dies")


# ---- logs ----

def stamp(seconds):
    """As logs have it; such texts are in the order of time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f"{seconds % 1:.6f}"[1:].rstrip("0.")


def stamp_of(line):
    return line.partition("Z ")[0]


def test_logs_are_cut_as_asked(m, talker):
    until("twenty lines", lambda: len(m.run("logs", talker, "-c", "main").splitlines()) > 20)
    assert m.run("logs", talker, "-c", "second") == "second says\n"
    assert len(m.run("logs", talker, "-c", "main", "--tail=5").splitlines()) == 5
    stamped = m.run("logs", talker, "-c", "main", "--tail=3", "--timestamps").splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (out|err) \d+", line) for line in stamped)
    until("what is older than a second", lambda: stamp_of(m.run("logs", talker, "-c", "main", "--timestamps", "--limit-bytes=100")) < stamp(time.time() - 1))
    last = until("lines of the last second", lambda: (asked := stamp(time.time() - 1)) and (t := m.run("logs", talker, "-c", "main", "--timestamps", "--since=1s")) and (asked, t))
    assert all(stamp_of(line) >= last[0] for line in last[1].splitlines()), last
    assert len(m.run("logs", talker, "-c", "main", "--limit-bytes=10")) == 10
    everything = m.run("logs", "-l", "app=talker", "--all-containers", "--prefix", "--tail=-1")
    assert "second says" in everything and "/main] out 1\n" in everything
    code, said = m.run("logs", talker, "-c", "nobody", ok=False)
    assert code == 1 and "container nobody is not valid for pod talker" in said
    code, said = m.run("logs", talker, "-c", "main", "--previous", ok=False)
    assert code == 1 and 'previous terminated container "main" in pod "talker" not found' in said


def test_logs_follow_until_the_end(m):
    m.apply(pod("short", container("main", shell("for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done")), restartPolicy="Never"))
    until("a first line", lambda: m.run("logs", "short").startswith("line 1"))
    assert m.run("logs", "-f", "short") == "".join(f"line {i}\n" for i in range(1, 6))
    assert m.wait_phase("short", "Succeeded")["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    m.remove("short")


# ---- exec, attach, cp ----

def test_exec_gives_output_input_and_exit_codes(m, talker):
    assert m.run("exec", talker, "-c", "main", "--", "echo", "a b", "c") == "a b c\n"
    code, said = m.run("exec", talker, "-c", "main", "--", "sh", "-c", "echo no >&2; exit 3", ok=False)
    assert code == 3 and "no\n" in said and "exit code 3" in said
    assert m.run("exec", "-i", talker, "-c", "main", "--", "cat", stdin="from here\n") == "from here\n"
    big = "x" * 3_000_000
    assert m.run("exec", "-i", talker, "-c", "main", "--", "cat", stdin=big) == big
    code, said = m.run("exec", talker, "-c", "main", "--", "/no/such/program", ok=False)
    assert code != 0 and "/no/such/program" in said


FILL = """
import os, time
os.set_blocking(1, False)
wrote = full = 0
while full < 20:  # a second: nobody takes anything more
    try:
        wrote, full = wrote + os.write(1, b'x' * 4096), 0
    except BlockingIOError:
        full += 1
        time.sleep(0.05)
open('/tmp/wrote.new', 'w').write(str(wrote))
os.rename('/tmp/wrote.new', '/tmp/wrote')
"""


def test_exec_loses_nothing_to_who_reads_late(there, talker):
    there.run("exec", talker, "-c", "main", "--", "rm", "-f", "/tmp/wrote")
    slow = subprocess.Popen(there.command("exec", talker, "-c", "main", "--", PYTHON, "-c", FILL), stdout=subprocess.PIPE, env=there.env)
    try:
        wrote = int(until("it has written what fits", lambda: there.run("exec", talker, "-c", "main", "--", "cat", "/tmp/wrote")))
        time.sleep(3)  # longer than is waited for what others hold open after the exit
        assert len(slow.communicate(timeout=DEADLINE)[0]) == wrote
    finally:
        slow.kill()
        slow.wait()


class Terminal:
    """kubectl at a terminal of ours, which is told what is typed and what is said."""

    def __init__(self, m, *args, rows=33, columns=77):
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(m.command(*args), stdin=theirs, stdout=theirs, stderr=theirs, env=m.env, start_new_session=True)
        os.close(theirs)
        self.said = b""

    def type(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def hear(self, what):
        while what.encode() not in self.said:
            assert select.select([self.fd], [], [], DEADLINE)[0], self.said
            self.said += os.read(self.fd, 4096)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


# What programs ask that open their terminal again (screen, tmux, sudo): its name, in three ways.
NAMED = f"tty; readlink /proc/self/fd/0; {PYTHON} -c 'import os; print(\"named\", os.ttyname(0), os.ttyname(2))'; echo by-$((40 + 2)) > $(tty)"


def test_exec_with_a_terminal(m, talker):
    with Terminal(m, "exec", "-it", talker, "-c", "main", "--", "sh") as t:
        t.type(f"until [ \"$(stty size)\" = '33 77' ]; do sleep 0.05; done; {NAMED}; echo done-$((40 + 2))")
        t.hear("done-42")
        name = re.search(rb"named (/dev/pts/\d+) (/dev/pts/\d+)", t.said)
        assert name and name[1] == name[2] and t.said.count(name[1] + b"\r\n") >= 2 and b"by-42" in t.said, t.said
        fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
        os.killpg(t.process.pid, signal.SIGWINCH)
        t.type("until [ \"$(stty size)\" = '44 99' ]; do sleep 0.05; done; echo resized-$((40 + 2)); exit 5")
        t.hear("resized-42")
        assert t.process.wait(DEADLINE) == 5


def test_the_terminal_of_a_container_has_a_name(m):
    m.apply(pod("seated", container("main", shell(f"{NAMED}; stty size; exec sh"), stdin=True, tty=True)))
    try:
        m.wait_running("seated")
        until("it has said its name", lambda: "by-42" in m.run("logs", "seated"))
        assert m.run("logs", "seated").replace("\r", "").startswith("/dev/pts/0\n/dev/pts/0\nnamed /dev/pts/0 /dev/pts/0\nby-42\n")
        with Terminal(m, "attach", "-it", "seated") as t:
            t.type("until [ \"$(stty size)\" = '33 77' ]; do sleep 0.05; done; echo resized-$((40 + 2)); tty")
            t.hear("resized-42")
            t.hear("/dev/pts/0")
    finally:
        m.remove("seated")


def test_attach_hears_what_is_said_from_now_on(m, talker):
    process = subprocess.Popen(m.command("attach", talker, "-c", "main"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=m.env, text=True)
    lines = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGINT)
    process.wait(DEADLINE)
    process.stdout.close()
    assert all(re.fullmatch(r"(out|err) \d+\n", line) for line in lines), lines


def test_cp_goes_both_ways(m, talker, tmp_path):
    content = os.urandom(300_000)
    (tmp_path / "there.bin").write_bytes(content)
    m.run("cp", tmp_path / "there.bin", f"{talker}:/tmp/there.bin", "-c", "main")
    m.run("cp", f"{talker}:/tmp/there.bin", tmp_path / "back.bin", "-c", "main")
    assert (tmp_path / "back.bin").read_bytes() == content


# ---- ports ----

class Forward:
    def __init__(self, m, what, port):
        self.process = subprocess.Popen(m.command("port-forward", what, f":{port}", "--address=127.0.0.1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=m.env, text=True)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+) ->", self.process.stdout.readline()).group(1))
        self.said = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.said += line

    def get(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            c.request("GET", "/")
            return c.getresponse().read().decode()
        finally:
            c.close()

    def close(self):
        self.process.terminate()
        self.process.wait(DEADLINE)


def test_port_forward_reaches_the_pod(m, web):
    name = web[0]["metadata"]["name"]
    f = Forward(m, f"pod/{name}", 8000)
    try:
        for _ in range(20):
            assert f.get() == f"hello from {name}"
        many = []
        threads = [threading.Thread(target=lambda: many.append(f.get())) for _ in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert many == [f"hello from {name}"] * 10
    finally:
        f.close()
    f = Forward(m, "svc/web", 80)
    try:
        assert f.get().startswith("hello from web-")
    finally:
        f.close()


def test_port_forward_says_that_nothing_listens(m, web):
    f = Forward(m, f"pod/{web[0]['metadata']['name']}", 9999)
    try:
        with pytest.raises((OSError, http.client.HTTPException)):
            f.get()
        until("its words", lambda: "nothing listens on port 9999" in f.said)
    finally:
        f.close()


# ---- the rest ----

def test_top_shows_what_is_used(m, web):
    until("the node's figures", lambda: re.search(r"\d+m\s+\d+%\s+\d+Mi\s+\d+%", m.run("top", "nodes")))
    told = until("figures", lambda: (t := m.run("top", "pods", "-l", "app=web")).count("\n") == 4 and t)
    assert re.search(r"web-\S+\s+\d+m\s+\d+Mi", told)


def test_delete_waits_for_the_grace_period(m):
    m.apply(pod("stubborn", container("main", shell("trap '' TERM; echo ready; while true; do sleep 1; done"))))
    until("it listens to no signal", lambda: "ready" in m.run("logs", "stubborn"))
    m.run("delete", "pod", "stubborn", "--grace-period=1", f"--timeout={DEADLINE}s")
    assert m.run("get", "pod", "stubborn", "--ignore-not-found") == ""


def test_cordon_drain_and_uncordon(m, there):
    node = m.items("nodes")[0]["metadata"]["name"]
    m.apply(deployment("moves", 1, container()))
    m.rolled_out("moves")
    m.run("cordon", node)
    m.run("drain", node, "--pod-selector=app=moves", "--force", f"--timeout={DEADLINE}s")
    waits = until("a pod that waits", lambda: next((p for p in m.items("pods", "-l", "app=moves") if condition(p, "PodScheduled") == "False"), None))
    said = next(c["message"] for c in waits["status"]["conditions"] if c["type"] == "PodScheduled")
    assert said.startswith("0/1 nodes are available: 1 node(s) were unschedulable.")
    m.run("uncordon", node)
    m.rolled_out("moves")
    m.run("delete", "deployment", "moves", "--cascade=foreground")  # the next one's have the same names


def test_what_does_not_fit_waits_with_the_schedulers_words(m):
    m.apply(pod("huge", container(resources={"requests": {"cpu": "1000"}})))
    until("its words", lambda: m.events("huge", "FailedScheduling"))
    assert m.events("huge", "FailedScheduling")[0].startswith("0/1 nodes are available: 1 Insufficient cpu.")
    m.remove("huge")
