# SPDX-License-Identifier: Apache-2.0
"""Worker processes that crash, hang, grow, and are reloaded while clients ask: only the requests that did it fail, and are told why."""
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import requests

from conftest import DEADLINE, PACKAGE, PROGRAM, SANITIZED, Server
from waiting import until

EXTENSION = PACKAGE / "hythe" / "_hythe.abi3.so"
pytestmark = pytest.mark.skipif(not EXTENSION.exists(), reason="the extension module is not built")

MODEL = """
    import ctypes, os, sys, threading, time

    VERSION = 1
    kept = []

    def bounded_fork_bomb():
        for _ in range(20):
            if os.fork() == 0:
                time.sleep(0.2)
                os._exit(0)

    def spin():
        while True:
            pass

    together = threading.Barrier(3, timeout=60)

    def wait():
        open("waiting", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)

    DEEDS = {
        "meet": lambda: together.wait() * 0,
        "wait": wait,
        "raise": lambda: 1 / 0,
        "exit": lambda: os._exit(3),
        "quit": lambda: sys.exit(4),
        "kill": lambda: os.kill(os.getpid(), 9),
        "segfault": lambda: ctypes.string_at(0),
        "abort": lambda: os.abort(),
        "sleep": lambda: time.sleep(3600),
        "spin": spin,
        "locked": lambda: ctypes.PyDLL(None).sleep(3600),  # in C, with the interpreter's lock held
        "fork": bounded_fork_bomb,
        "grow": lambda: kept.append(bytearray(os.urandom(1) * (200 << 20))),
        "hold": lambda: time.sleep(0.3),
        "pid": lambda: str(os.getpid()),
        "version": lambda: str(VERSION),
    }

    class Model:
        def predict(self, X, names):
            if isinstance(X, str):
                return DEEDS[X]() or "done"
            return X * 2
    """


@pytest.fixture
def front(tmp_path):
    """front(*flags): `hythe serve Model.py` with these flags, in a folder with that file; stopped at the end, and must end well."""
    (tmp_path / "Model.py").write_text(textwrap.dedent(MODEL))
    servers = []

    def start(*flags, target="Model.py", **env):
        servers.append(Server([target, "--python", sys.executable, *flags], cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1", **env}))
        return servers[-1]

    yield start
    for server in servers:
        assert server.stop() == 0, server.read()[-4000:]


def do(server, deed):
    answer = requests.post(server.url + "/predict", json={"strData": deed}, timeout=DEADLINE * 2)
    body = answer.json()
    return answer.status_code, body.get("strData", body.get("status", {}).get("info", answer.text))


class Load:
    """Clients that ask for predictions all the time, each on its own connection, until the block ends; what was not right is in .wrong."""

    def __init__(self, server, clients=4):
        self.server, self.wrong, self.answered, self.enough = server, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(clients)]

    def ask(self, client):
        with requests.Session() as session:
            session.trust_env = False
            count = 0
            while not self.enough.is_set():
                count += 1
                number = client * 1000000 + count
                try:
                    answer = session.post(self.server.url + "/predict", json={"data": {"ndarray": [[number]]}}, timeout=DEADLINE * 2)
                    right = answer.status_code == 200 and answer.json()["data"]["ndarray"] == [[2 * number]]
                    text = f"{answer.status_code} {answer.text}"
                except requests.RequestException as error:
                    right, text = False, repr(error)
                if not right:
                    self.wrong.append(text)
                self.answered += 1

    def more(self, count=20):
        """Waits until that many more answers have come."""
        goal = self.answered + count
        until("answers go on coming", lambda: self.answered >= goal)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_):
        self.enough.set()
        for thread in self.threads:
            thread.join()


# ---- what goes wrong in a worker ----

CRASHES = [("exit", 502, r"exit.*\b3\b"), ("kill", 502, r"signal 9"), ("segfault", 502, r"signal 11"), ("abort", 502, r"signal 6")]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("deed, status, words", CRASHES, ids=[crash[0] for crash in CRASHES])
def test_a_crash_under_load_costs_only_the_request_that_crashed(front, deed, status, words, workers):
    server = front("--workers", str(workers))
    with Load(server) as load:
        for _ in range(3):
            code, text = do(server, deed)
            assert code == status and re.search(words, text), (code, text)
            load.more()
    assert load.wrong == []


@pytest.mark.parametrize("deed", ["raise", "quit"])
def test_an_exception_under_load_is_that_requests_and_the_worker_lives(front, deed):
    server = front("--workers", "1")
    before = do(server, "pid")
    with Load(server) as load:
        for _ in range(5):
            code, text = do(server, deed)
            assert code == 500 and (text == "division by zero" if deed == "raise" else "4" in text), (code, text)
            load.more()
    assert load.wrong == [] and do(server, "pid") == before


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("deed", ["sleep", "spin", "locked"])
def test_a_request_that_hangs_is_ended_and_only_it(front, deed, workers):
    server = front("--workers", str(workers), "--timeout", "10s", "--graceful-timeout", "1h")  # long enough for the others on a machine that is held up
    with Load(server, clients=2) as load:
        code, text = do(server, deed)
        assert code == 504 and "10000 ms" in text, (code, text)
        load.more()
    assert load.wrong == []
    server.read_with_line("Model.py")  # where Python stood is in the log


def test_a_worker_that_grew_is_replaced_and_nobody_notices(front):
    server = front("--workers", "1", "--max-rss", "256M")
    before = do(server, "pid")[1]
    with Load(server, clients=2) as load:
        assert do(server, "grow") == (200, "done")
        assert do(server, "grow")[0] == 200
        until("the worker replaced", lambda: do(server, "pid")[1] != before)
        load.more()
    assert load.wrong == []


def test_children_of_a_worker_do_not_harm_it(front):
    server = front("--workers", "2")
    with Load(server) as load:
        for _ in range(2):
            assert do(server, "fork") == (200, "done")
        load.more(50)
    assert load.wrong == []


def test_a_kill_from_outside_costs_at_most_the_request_in_hand(front):
    server = front("--workers", "3")
    kills = 4
    with Load(server) as load:
        for _ in range(kills):
            pid = do(server, "pid")[1]
            os.kill(int(pid), signal.SIGKILL)
            server.read_with_line(f"worker {pid} was killed by signal 9")  # from then on nobody is sent to it
            load.more()
    assert len(load.wrong) <= kills and all(text.startswith("502 ") and "signal 9" in text for text in load.wrong), load.wrong


# ---- reload ----


def write_version(server_folder, number, text=MODEL):
    new = server_folder / "Model.new"
    new.write_text(textwrap.dedent(text).replace("VERSION = 1", f"VERSION = {number}"))
    new.rename(server_folder / "Model.py")


@pytest.mark.parametrize("flags", [["--workers", "1"], ["--workers", "2"], ["--workers", "2", "--preload"]], ids=["one", "two", "preload"])
def test_reloads_under_load_lose_nothing(front, tmp_path, flags):
    server = front(*flags)
    with Load(server, clients=3) as load:
        for number in range(2, 7 if SANITIZED else 14):
            write_version(tmp_path, number)
            os.kill(server.pid, signal.SIGHUP)
            until(f"version {number}", lambda: do(server, "version") == (200, str(number)))
            load.more(5)
    assert load.wrong == []


@pytest.mark.parametrize("text, words", [("def broken(:\n", "SyntaxError"), ("import nothing_of_this_name\n", "nothing_of_this_name"),
                                         ("class Model:\n    def load(self):\n        raise OSError('no such model')\n    def predict(self, X): pass\n", "no such model")],
                         ids=["syntax", "import", "load"])
@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["", "preload"])
def test_bad_code_at_reload_leaves_the_old_code_in_service(front, tmp_path, text, words, flags):
    server = front("--workers", "2", *flags)
    with Load(server, clients=2) as load:
        write_version(tmp_path, 2, text)
        os.kill(server.pid, signal.SIGHUP)
        server.read_with_line(words)
        assert do(server, "version") == (200, "1")
        load.more()
        write_version(tmp_path, 3)
        os.kill(server.pid, signal.SIGHUP)
        until("the repaired code", lambda: do(server, "version") == (200, "3"))
    assert load.wrong == []


@pytest.mark.parametrize("text, words", [("def broken(:\n", "SyntaxError"), ("import nothing_of_this_name\n", "nothing_of_this_name"),
                                         ("class Model:\n    def __init__(self):\n        raise OSError('no such model')\n    def predict(self, X): pass\n", "no such model"),
                                         ("import os\nos._exit(9)\n", "9")], ids=["syntax", "import", "init", "exit"])
@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["", "preload"])
def test_bad_code_at_the_start_is_told_in_words_and_by_the_exit_code(tmp_path, text, words, flags):
    (tmp_path / "Model.py").write_text(text)
    done = subprocess.run([PROGRAM, "serve", "Model.py", "--listen", "127.0.0.1:0", "--python", sys.executable, *flags], cwd=tmp_path, capture_output=True, text=True,
                          timeout=DEADLINE * 2)
    assert done.returncode == 1 and words in done.stderr, done.stderr


# ---- lives of workers ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [[], ["--preload"]])
def test_a_start_that_takes_long_can_be_ended(tmp_path, flags, number):
    (tmp_path / "Slow.py").write_text("import time\nopen('loading', 'w').close()\ntime.sleep(3600)\n")
    server = subprocess.Popen([str(PROGRAM), "serve", "Slow.py", "--listen", "127.0.0.1:0", *flags], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until("the code is being loaded", (tmp_path / "loading").exists)
        server.send_signal(number)
        said, _ = server.communicate(timeout=DEADLINE)
    finally:
        server.kill()
        server.wait()
    assert server.returncode == 0 and "ended before a worker was ready" in said


def test_workers_are_replaced_after_their_requests_and_nobody_notices(front):
    server = front("--workers", "2", "--max-requests", "15", "--max-requests-jitter", "5")
    seen = set()
    with Load(server, clients=3) as load:
        def another():
            seen.add(do(server, "pid")[1])
            return len(seen) > 5
        until("workers replaced", another)
    assert load.wrong == []


def test_preloaded_workers_share_what_was_loaded(front):
    server = front("--workers", "3", "--preload")
    pids = set()

    def every():
        threads = [threading.Thread(target=lambda: do(server, "hold")) for _ in range(2)]
        for thread in threads:
            thread.start()
        pids.add(do(server, "pid")[1])
        for thread in threads:
            thread.join()
        return len(pids) > 1

    until("each worker answers", every)
    parents = {re.search(r"^PPid:\s+(\d+)", open(f"/proc/{pid}/status").read(), re.M)[1] for pid in pids}
    assert len(parents) == 1 and parents != {str(server.pid)}, "the workers are forked from one process that loaded the code"


def test_threads_of_a_worker_answer_at_once(front):
    server = front("--workers", "1", "--threads", "4")
    answers = []
    meeting = [threading.Thread(target=lambda: answers.append(do(server, "meet"))) for _ in range(3)]
    for thread in meeting:
        thread.start()
    for thread in meeting:
        thread.join()
    assert answers == [(200, "done")] * 3


def test_parameters_are_given_to_the_class(front, tmp_path):
    (tmp_path / "Scale.py").write_text("class Scale:\n    def __init__(self, by, why=''):\n        self.by = by\n    def predict(self, X, names):\n        return X * self.by\n")
    server = front("--parameters", '[{"name":"by","type":"FLOAT","value":"2.5"}]', target="Scale.py")
    answer = requests.post(server.url + "/predict", json={"data": {"ndarray": [[2]]}}, timeout=DEADLINE)
    assert answer.json()["data"]["ndarray"] == [[5.0]]


def test_causes_go_to_the_log_and_tracebacks_to_clients_only_when_told_so(front):
    for flags, is_told in ([], False), (["--expose-errors"], True):
        server = front(*flags)
        answer = requests.post(server.url + "/predict", json={"strData": "raise"}, headers={"X-Request-Id": "find-me"}, timeout=DEADLINE)
        assert answer.status_code == 500 and "division by zero" in answer.text and ("Model.py" in answer.text) is is_told
        log = server.read_with_line("ZeroDivisionError")
        assert "find-me" in log and "Model.py" in log


def test_grpc_is_told_of_a_crash_too(front):
    import grpc

    server = front("--workers", "2")
    with grpc.insecure_channel(f"{server.host}:{server.port}") as channel:
        predict = channel.unary_unary("/seldon.protos.Model/Predict")
        with pytest.raises(grpc.RpcError) as error:
            predict(b"\x2a\x08segfault", timeout=DEADLINE)  # SeldonMessage.strData is field 5
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE and "signal 11" in error.value.details()
        assert predict(b"\x2a\x07version", timeout=DEADLINE)


def test_what_was_accepted_is_answered_before_the_end(front, tmp_path):
    server = front("--workers", "2")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(do(server, "wait")))
    asking.start()
    until("the request at the worker", (tmp_path / "waiting").exists)
    os.kill(server.pid, signal.SIGTERM)
    server.wait_for("draining")
    (tmp_path / "go").touch()
    asking.join()
    assert answers == [(200, "done")] and server.process.wait(DEADLINE) == 0
