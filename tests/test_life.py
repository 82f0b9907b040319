# SPDX-License-Identifier: Apache-2.0
"""A server's life: files swapped, models loaded and unloaded, ends and overloads, without losing what was accepted."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import threading

import pytest
import requests

from conftest import DEADLINE, SANITIZED
from waiting import until

FEATURES = [f"G{i}" for i in range(1, 11)]
ROW = {name: i % 2 for i, name in enumerate(FEATURES)}


def begin_request(s, body_length, first):
    """A request whose body goes on later: returns once the server has seen its head, and `first` of its body is on its way."""
    s.sendall(f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {body_length}\r\n\r\n".encode())
    said = b""
    while not said.endswith(b"\r\n\r\n"):
        chunk = s.recv(4096)
        assert chunk, said
        said += chunk
    assert said.startswith(b"HTTP/1.1 100 "), said
    s.sendall(first)


def read_all(s):
    with s.makefile("rb") as file:
        return file.read()


def memory_kb(pid):
    return int(re.search(r"^Rss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


class Load:
    """Clients that ask all the time and keep what went wrong."""

    def __init__(self, server, clients=4):
        self.server, self.wrong, self.count, self.answers, self.is_over = server, [], 0, set(), False
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=DEADLINE)
        body = json.dumps(ROW)
        while not self.is_over:
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    self.wrong.append((answer.status, text))
                else:
                    self.answers.add(json.loads(text)["response"])
                self.count += 1
            except Exception as e:  # noqa: BLE001 - whatever it is, it is a lost request
                self.wrong.append(repr(e))
                return

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(DEADLINE)
        return self


def linear(intercept):
    return json.dumps({"format": "hythe-linear", "version": 1, "task": "binary", "features": FEATURES, "classes": [0, 1],
                       "coef": [[0.1] * 10], "intercept": [intercept]})


def test_a_file_is_swapped_without_losing_a_request(serve, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(linear(0))
    server = serve(path, "--watch-files", "50ms")
    load = Load(server)
    ask = lambda: requests.post(f"{server.url}/predict", json=ROW, timeout=DEADLINE).json()["response"]
    seen = [ask()]
    for version in range(1, 6):
        new = tmp_path / "new.json"
        new.write_text(linear(version))
        os.replace(new, path)
        until("another answer", lambda: ask() not in seen)
        seen.append(ask())
    load.stop()
    assert not load.wrong
    assert load.count > 0 and load.answers <= set(seen) and len(seen) == 6


def test_a_broken_file_leaves_the_old_model_serving(serve, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(linear(0))
    server = serve(path, "--watch-files", "50ms")
    before = requests.post(f"{server.url}/predict", json=ROW, timeout=DEADLINE).json()
    new = tmp_path / "new"
    new.write_text("{ this is no model")
    os.replace(new, path)
    server.wait_for("cannot be loaded")
    assert requests.post(f"{server.url}/predict", json=ROW, timeout=DEADLINE).json() == before
    assert requests.get(f"{server.url}/v2/models/model/ready", timeout=DEADLINE).status_code == 200
    assert server.output.count(b"cannot be loaded") == 1, "said once, not at each look"


def test_a_thousand_loads_and_unloads_give_the_memory_back(serve):
    server = serve("first=lr.onnx", "trees=xgb-multi.json")
    session = requests.Session()

    def cycle(count):
        for _ in range(count):
            assert session.post(f"{server.url}/v2/repository/models/trees/unload", timeout=DEADLINE).status_code == 200
            assert session.post(f"{server.url}/v2/repository/models/trees/load", timeout=DEADLINE).status_code == 200

    cycle(100)
    before = memory_kb(server.pid)
    cycle(200 if SANITIZED else 900)
    assert session.post(f"{server.url}/v2/repository/models/trees/unload", timeout=DEADLINE).status_code == 200
    if not SANITIZED:
        assert memory_kb(server.pid) < before + 2048, "kilobytes more than after the first hundred"
    index = {m["name"]: m["state"] for m in session.post(f"{server.url}/v2/repository/index", timeout=DEADLINE).json()}
    assert index == {"first": "READY", "trees": "UNAVAILABLE"}
    assert session.get(f"{server.url}/v2/models/trees/ready", timeout=DEADLINE).status_code in (400, 503)
    answer = session.post(f"{server.url}/v2/models/trees/infer", json={"inputs": []}, timeout=DEADLINE)
    assert answer.status_code == 503 and "trees" in answer.json()["error"]


def test_loads_and_unloads_under_fire_lose_nothing_of_the_others(serve):
    server = serve("lr=lr.onnx", "trees=xgb-binary.json")
    load = Load(server)
    for _ in range(50):
        assert requests.post(f"{server.url}/v2/repository/models/trees/unload", timeout=DEADLINE).status_code == 200
        assert requests.post(f"{server.url}/v2/repository/models/trees/load", timeout=DEADLINE).status_code == 200
    assert not load.stop().wrong


def test_ending_answers_what_was_accepted(serve):
    server = serve("lr=lr.onnx")
    body = json.dumps(ROW).encode()
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as slow:
        begin_request(slow, len(body), body[:10])
        server.process.send_signal(signal.SIGTERM)

        def is_closed():
            try:
                socket.create_connection((server.host, server.port), timeout=DEADLINE).close()
                return False
            except OSError:
                return True

        until("the connection closed", is_closed)
        assert server.process.poll() is None, "it waits for the request it accepted"
        slow.sendall(body[10:])
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 200") and b'"success":true' in answer
    assert server.process.wait(DEADLINE) == 0


def test_the_end_does_not_wait_longer_than_the_drain_timeout(serve):
    server = serve("lr=lr.onnx", "--drain-timeout", "200ms")
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as stuck:
        begin_request(stuck, 100, b"{")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE) == 0


def test_slow_clients_are_told_or_cut(serve):
    server = serve("lr=lr.onnx", "--read-timeout", "300ms")
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as s:
        s.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert read_all(s).startswith(b"HTTP/1.1 408")
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as s:
        s.sendall(b"POST /predict HTTP/1.1\r\nHo")
        assert read_all(s)[:12] in (b"HTTP/1.1 408", b"")
    server = serve("lr=lr.onnx", "--idle-timeout", "300ms")
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as s:
        assert read_all(s) == b"", "an idle connection is closed without a word"


def test_connections_over_the_limit_get_503(serve):
    server = serve("lr=lr.onnx", "--max-connections", "8", "--workers", "1")
    held = []
    try:
        answers = []
        for _ in range(12):
            s = socket.create_connection((server.host, server.port), timeout=DEADLINE)
            s.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            answers.append(s.recv(12, socket.MSG_WAITALL))
            held.append(s)
        assert answers[:8] == [b"HTTP/1.1 200"] * 8
        assert set(answers[8:]) == {b"HTTP/1.1 503"}
    finally:
        for s in held:
            s.close()
    until("it lives", lambda: requests.get(f"{server.url}/live", timeout=DEADLINE).status_code == 200)


def test_a_full_queue_answers_429_and_short_requests_go_on(serve):
    server = serve("builtin:echo", "lr=lr.onnx", "--workers", "1", "--compute-threads", "1", "--max-queue", "1")
    big = json.dumps({"data": {"ndarray": [[i % 256 for i in range(1000)] for _ in range(1000)]}}).encode()

    def ask(_):
        return requests.post(f"{server.url}/models/echo/api/v1.0/predictions", big, headers={"Content-Type": "application/json"}, timeout=120)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(36)))
    codes = {a.status_code for a in answers}
    assert codes <= {200, 429} and 200 in codes
    for a in answers:
        if a.status_code == 429:
            assert int(a.headers["Retry-After"]) >= 1
    assert "\nhythe_compute_queue 0\n" in requests.get(f"{server.url}/metrics", timeout=DEADLINE).text, "nobody waits any more"
    answer = requests.post(f"{server.url}/models/lr/predict", json=ROW, timeout=DEADLINE)
    assert answer.status_code == 200


def test_request_ids_and_traces_are_kept_or_made(serve):
    server = serve("lr=lr.onnx", "--access-log", "json")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = requests.post(f"{server.url}/predict", json=ROW, headers={"X-Request-Id": "mine-1", "traceparent": trace}, timeout=DEADLINE)
    assert answer.headers["X-Request-Id"] == "mine-1"
    other = requests.post(f"{server.url}/predict", json=ROW, headers={"X-Request-Id": 'bad"id\\'}, timeout=DEADLINE)
    assert other.headers.get("X-Request-Id", "made") != 'bad"id\\'
    printed = server.read_with_line("mine-1")
    line = next(json.loads(line) for line in printed.splitlines() if "mine-1" in line and line.startswith("{"))
    assert "0af7651916cd43dd8448eb211c80319c" in json.dumps(line)


def test_a_unix_socket_serves_and_is_removed(serve, tmp_path):
    path = tmp_path / "s.sock"
    server = serve("lr=lr.onnx", listen=f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
    assert server.stop() == 0
    assert not path.exists()


def test_cors_answers_a_preflight_when_it_is_on(serve):
    server = serve("lr=lr.onnx", "--cors-origin", "https://example.org")
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = requests.options(f"{server.url}/predict", headers=headers, timeout=DEADLINE)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    answer = requests.post(f"{server.url}/predict", json=ROW, headers=headers, timeout=DEADLINE)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_answers_are_compressed_when_asked(serve, coding):
    server = serve("builtin:echo")
    body = json.dumps({"data": {"ndarray": [[1]] * 5000}})
    connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE)
    connection.request("POST", "/api/v1.0/predictions", body, {"Content-Type": "application/json", "Accept-Encoding": coding})
    answer = connection.getresponse()
    data = answer.read()
    assert answer.getheader("Content-Encoding") == coding and len(data) < 2000
    assert "accept-encoding" in answer.getheader("Vary").lower()
    if coding == "gzip":
        import gzip

        assert json.loads(gzip.decompress(data))["data"]["ndarray"] == [[1]] * 5000


def test_two_servers_cannot_share_a_unix_socket_or_a_name(serve, hythe, models_dir, tmp_path):
    import subprocess

    path = tmp_path / "s.sock"
    serve("lr=lr.onnx", listen=f"unix:{path}")
    again = subprocess.run([hythe, "serve", models_dir / "lr.onnx", "--listen", f"unix:{path}"], capture_output=True, text=True, timeout=DEADLINE)
    assert again.returncode == 1 and str(path) in again.stderr
    twice = subprocess.run([hythe, "serve", models_dir / "lr.onnx", models_dir / "lr.onnx"], capture_output=True, text=True, timeout=DEADLINE)
    assert twice.returncode in (1, 2) and "lr" in twice.stderr
    copy = tmp_path / "gone.onnx"
    shutil.copy(models_dir / "lr.onnx", copy)
    gone = subprocess.run([hythe, "serve", tmp_path / "none.onnx"], capture_output=True, text=True, timeout=DEADLINE)
    assert gone.returncode == 1 and "none.onnx" in gone.stderr
