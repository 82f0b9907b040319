# SPDX-License-Identifier: Apache-2.0
"""`hythe engine` in front of a real Python component, as in a predictor's pod: REST and gRPC, what it adds, what it passes on."""
import base64
import concurrent.futures
import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from conftest import DEADLINE, PACKAGE, PROGRAM, Server  # noqa: E402
from ports import Ports  # noqa: E402
from waiting import until  # noqa: E402

CLASS = """
import os, time
class Model:
    def predict(self, X, names, meta=None):
        if isinstance(X, str) and X == 'boom':
            raise RuntimeError('kaput')
        if isinstance(X, str) and X == 'slow':
            while not os.path.exists('go'):
                time.sleep(0.01)
        return X if isinstance(X, (str, bytes, dict)) else X * 2
    def tags(self):
        return {'t2': 2}
    def send_feedback(self, X, names, reward, truth, routing=None):
        return [reward]
"""


def predictor(http_port, grpc_port, **annotations):
    return {"name": "main", "annotations": annotations,
            "graph": {"name": "a", "type": "MODEL", "children": [],
                      "endpoint": {"service_host": "127.0.0.1", "httpPort": http_port, "grpcPort": grpc_port}},
            "componentSpecs": [{"spec": {"containers": [{"name": "a", "image": "img-a:1"}]}}]}


class Engine:
    """One `hythe engine` on free ports."""

    def __init__(self, told, *flags, protocol="seldon"):
        encoded = base64.b64encode(json.dumps(told).encode()).decode()
        command = [str(PROGRAM), "engine", "--sdep", "iris", "--namespace", "ns", "--predictor", "main", "--host", "127.0.0.1", "--http_port", "0",
                   "--grpc_port", "0", "--protocol", protocol, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "ENGINE_PREDICTOR": encoded})
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://([0-9.]+:\d+) and grpc://([0-9.]+:\d+)", line)
        assert found, line + self.process.stdout.read().decode()
        self.url, self.grpc = "http://" + found.group(1), found.group(2)

    def ask(self, path, body=None, headers=None, method=None):
        """Status, headers and body."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.decode()


@pytest.fixture(scope="module")
def component(tmp_path_factory):
    folder = tmp_path_factory.mktemp("component")
    (folder / "Model.py").write_text(CLASS)
    server = Server(["Model.py"], cwd=folder, env={"PREDICTIVE_UNIT_ID": "a", "PREDICTIVE_UNIT_IMAGE": "img-a:1", "PYTHONPATH": str(PACKAGE)})
    server.folder = folder
    yield server
    assert server.stop() == 0


@contextlib.contextmanager
def running(told, *flags, **more):
    engine = Engine(told, *flags, **more)
    try:
        yield engine
    finally:
        code, out = engine.stop()
        assert code == 0, out


@pytest.fixture(scope="module")
def engine(component):
    with running(predictor(component.port, component.port)) as e:
        yield e


def test_the_observed_answer_of_a_model_with_its_meta(engine):
    told = {"meta": {"puid": "P", "tags": {"in": 1}}, "data": {"names": ["x", "y"], "ndarray": [[1, 2]]}}
    for path in ("/api/v0.1/predictions", "/api/v1.0/predictions"):
        status, headers, body = engine.ask(path, told)
        assert status == 200, body
        assert json.loads(body) == {"data": {"names": ["t:0", "t:1"], "ndarray": [[2, 4]]},
                                    "meta": {"puid": "P", "tags": {"in": 1, "t2": 2}, "requestPath": {"a": "img-a:1"}, "routing": {"a": -1}}}
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Access-Control-Allow-Origin"] == "*" and headers["Seldon-Puid"]


def test_a_puid_is_made_where_none_is_given(engine):
    _, headers, body = engine.ask("/api/v1.0/predictions", {"strData": "x"})
    assert json.loads(body)["meta"]["puid"] == headers["Seldon-Puid"]
    _, headers, body = engine.ask("/api/v1.0/predictions", {"strData": "x"}, {"Seldon-Puid": "mine"})
    assert headers["Seldon-Puid"] == "mine" and json.loads(body)["meta"]["puid"] == "mine"


@pytest.mark.parametrize("payload", [{"strData": "<a&b>"}, {"binData": "aGVsbG8="}, {"jsonData": {"k": [1, None, "x"]}}])
def test_every_kind_of_payload_passes(engine, payload):
    status, _, body = engine.ask("/api/v1.0/predictions", payload)
    assert status == 200
    answer = json.loads(body)
    assert {k: answer[k] for k in payload} == payload
    assert b"<" not in body and b"&" not in body  # as Go's encoder has it


def test_forms_and_large_bodies_pass(engine):
    boundary = "xyz"
    form = f'--{boundary}\r\nContent-Disposition: form-data; name="binData"; filename="f"\r\n\r\nhello\r\n--{boundary}--\r\n'.encode()
    status, _, body = engine.ask("/api/v1.0/predictions", form, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert status == 200 and json.loads(body)["binData"] == "aGVsbG8="
    large = {"data": {"ndarray": [[0.5] * 1000] * 1000}}
    status, _, body = engine.ask("/api/v1.0/predictions", large)
    assert status == 200 and json.loads(body)["data"]["ndarray"] == [[1.0] * 1000] * 1000


def test_a_component_s_errors_are_passed_on_as_they_are(engine):
    status, _, body = engine.ask("/api/v1.0/predictions", {"strData": "boom"})
    assert status == 500 and json.loads(body) == {"status": {"code": -1, "info": "kaput", "reason": "MICROSERVICE_INTERNAL_ERROR", "status": 1}}
    status, _, body = engine.ask("/api/v1.0/predictions", b"nothing")
    assert status == 400 and json.loads(body)["status"]["reason"] == "MICROSERVICE_BAD_DATA"


def test_other_paths_and_methods_answer_as_the_executor_does(engine):
    assert engine.ask("/nowhere")[::2] == (404, b"404 page not found\n")
    assert engine.ask("/api/v1.0/predictions")[::2] == (405, b"")
    assert engine.ask("/api/v1.0/predictions", method="OPTIONS")[::2] == (200, b"")
    assert engine.ask("/live")[::2] == (200, b"")
    assert engine.ask("/ready")[::2] == (200, b"")
    assert engine.ask("/api/v1.0/health/status")[::2] == (200, b"")
    status, _, body = engine.ask("/api/v1.0/status/zz")
    assert status == 500 and json.loads(body) == {"status": {"code": 500, "info": "Failed to find model zz", "status": "FAILURE"}}
    assert json.loads(engine.ask("/api/v1.0/status/a")[2])["strData"] == "healthy"


def test_metadata_feedback_and_documentation(engine):
    graph = json.loads(engine.ask("/api/v1.0/metadata")[2])
    assert graph["name"] == "main" and list(graph["models"]) == ["a"] and graph["graphinputs"] == []
    assert json.loads(engine.ask("/api/v1.0/metadata/a")[2]) == graph["models"]["a"]
    told = {"request": {"data": {"ndarray": [[1]]}}, "response": {"meta": {"routing": {"a": -1}}}, "reward": 0.5}
    status, _, body = engine.ask("/api/v1.0/feedback", told)
    assert status == 200 and json.loads(body)["data"]["ndarray"] == [0.5]
    assert json.loads(engine.ask("/api/v1.0/doc/seldon.json")[2])["servers"] == [{"url": "/seldon/ns/iris"}]
    assert b"<html" in engine.ask("/api/v1.0/doc/")[2]


def test_cloud_events_are_answered_as_such(engine):
    _, headers, _ = engine.ask("/api/v1.0/predictions", {"strData": "x"}, {"Ce-Specversion": "1.0", "Seldon-Puid": "p"})
    assert headers["Ce-Id"] == "p" and headers["Ce-Type"] == "seldon.iris.ns.response" and headers["Ce-Source"] == "seldon.iris"


def test_numbers_are_where_dashboards_look(engine):
    engine.ask("/api/v1.0/predictions", {"strData": "x"})
    for wanted in (r'seldon_api_executor_server_requests_seconds_count\{code="200",deployment_name="iris",method="post",predictor_name="main",'
                   r'predictor_version="",service="predictions"\} [1-9]',
                   r'seldon_api_executor_client_requests_seconds_bucket\{code="200",[^}]*model_image="img-a",model_name="a",model_version="1",[^}]*'
                   r'service="/predict",le="0.005"\} \d',
                   r'seldon_api_executor_server_requests_seconds_summary\{[^}]*quantile="0.5"\} 0'):
        until(wanted, lambda: re.search(wanted, engine.ask("/prometheus")[2].decode()))


def test_many_clients_at_once(engine):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        def one(i):
            return json.loads(engine.ask("/api/v1.0/predictions", {"data": {"ndarray": [[i]]}})[2])["data"]["ndarray"]
        assert list(pool.map(one, range(400))) == [[[2 * i]] for i in range(400)]


@pytest.fixture
def closed():
    """A port that refuses, and that nobody else can take meanwhile."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


def test_a_closed_port_is_told_in_go_s_words(closed):
    port = closed
    with running(predictor(port, port)) as e:
        status, _, body = e.ask("/api/v1.0/predictions", {"strData": "x"})
        assert status == 500 and json.loads(body) == {"status": {"code": 500, "status": "FAILURE", "info":
            f'Post "http://127.0.0.1:{port}/predict": dial tcp 127.0.0.1:{port}: connect: connection refused'}}
        assert e.ask("/ready")[::2] == (503, b"")
        assert e.ask("/live")[0] == 200


def test_full_health_checks_ask_the_component(component, scripted, closed):
    with running(predictor(closed, closed), "--full_health_checks") as e:
        assert e.ask("/ready")[::2] == (503, b"")
    with running(predictor(component.port, component.port), "--full_health_checks") as e:
        assert e.ask("/ready")[::2] == (200, b"")
    with running(predictor(scripted, scripted), "--full_health_checks", protocol="v2") as e:
        assert e.ask("/ready")[::2] == (200, b"")
    assert paths() == [("GET", "/v2/health/ready")]


def test_a_component_that_starts_again_is_found_again(component, tmp_path):
    (tmp_path / "Model.py").write_text(CLASS)
    with Ports(1) as ports:
        port, = ports
        first = Server(["Model.py"], cwd=tmp_path, listen=f"127.0.0.1:{port}", env={"PYTHONPATH": str(PACKAGE)})
        with running(predictor(port, port)) as e:
            assert e.ask("/api/v1.0/predictions", {"strData": "x"})[0] == 200
            assert first.stop() == 0
            assert e.ask("/api/v1.0/predictions", {"strData": "x"})[0] == 500
            again = Server(["Model.py"], cwd=tmp_path, listen=f"127.0.0.1:{port}", env={"PYTHONPATH": str(PACKAGE)})
            until("it is found again", lambda: e.ask("/api/v1.0/predictions", {"strData": "x"})[0] == 200)
            assert again.stop() == 0


def test_time_runs_out_by_the_annotation(component):
    with running(predictor(component.port, component.port, **{"seldon.io/rest-timeout": "300"})) as e:
        try:
            status, _, body = e.ask("/api/v1.0/predictions", {"strData": "slow"})
        finally:
            (component.folder / "go").touch()  # only now has the component an answer
        assert status == 500 and "context deadline exceeded" in json.loads(body)["status"]["info"]


class Scripted(http.server.BaseHTTPRequestHandler):
    """A component that tells what it was asked."""
    protocol_version = "HTTP/1.1"
    asked = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Scripted.asked.append((self.command, self.path, dict(self.headers), body))
        answer = b'{"predictions":[1]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self):
        self.headers["Content-Length"] = "0"
        self.do_POST()

    def log_message(self, *_):
        pass


@pytest.fixture
def scripted():
    Scripted.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def paths():
    return [(method, path) for method, path, _, _ in Scripted.asked]


def test_protocol_v2_by_its_paths(scripted):
    with running(predictor(scripted, scripted), protocol="v2") as e:
        assert e.ask("/v2/models/infer", {})[2] == b'{"predictions":[1]}'
        e.ask("/v2/models/other/infer", {})
        e.ask("/v2/models/other/ready")
        e.ask("/v2/models/other")
        e.ask("/v2/health/ready")
        assert e.ask("/api/v1.0/predictions", {})[0] == 404
    assert paths() == [("POST", "/v2/models/a/infer"), ("POST", "/v2/models/other/infer"), ("GET", "/v2/models/other/ready"),
                       ("GET", "/v2/models/other"), ("GET", "/v2/health/ready")]


def test_protocol_tensorflow_by_its_paths(scripted):
    with running(predictor(scripted, scripted), protocol="tensorflow") as e:
        for path in ("/v1/models/:predict", "/v1/models:predict", "/v1/models/m:predict", "/v1/models/m/:predict"):
            assert e.ask(path, {"instances": [1]})[::2] == (200, b'{"predictions":[1]}')
        e.ask("/v1/models/m")
        e.ask("/v1/models/m/metadata")
        assert e.ask("/api/v1.0/feedback", {"reward": 1})[2] == b'{"reward": 1}'
    assert paths() == [("POST", "/v1/models/a:predict"), ("POST", "/v1/models/a:predict"), ("POST", "/v1/models/m:predict"),
                       ("POST", "/v1/models/m:predict"), ("GET", "/v1/models/m"), ("GET", "/v1/models/m/metadata")]


def test_headers_of_the_caller_go_along(scripted):
    with running(predictor(scripted, scripted)) as e:
        e.ask("/api/v1.0/predictions", {"a": 1}, {"X-Own": "1", "Authorization": "Bearer t", "Content-Type": "text/x"})
    _, path, headers, body = Scripted.asked[0]
    headers = {k.lower(): v for k, v in headers.items()}
    assert path == "/predict" and json.loads(body) == {"a": 1}
    assert headers["x-own"] == "1" and headers["authorization"] == "Bearer t" and headers["content-type"] == "text/x" and headers["seldon-puid"]


@pytest.mark.parametrize("graph,words", [
    ({"name": "r", "type": "ROUTER"}, "graph node 'r' is of type ROUTER"),
    ({"name": "m", "type": "MODEL", "children": [{"name": "n"}]}, "graph node 'm' has children"),
    ({"name": "m", "logger": {"mode": "all"}}, "logger"),
])
def test_graphs_that_are_not_there_yet_are_refused_at_the_start(graph, words):
    encoded = base64.b64encode(json.dumps({"name": "main", "graph": graph}).encode()).decode()
    done = subprocess.run([str(PROGRAM), "engine"], env={**os.environ, "ENGINE_PREDICTOR": encoded}, capture_output=True, timeout=DEADLINE)
    assert done.returncode == 2 and words in done.stderr.decode()


def test_grpc_answers_have_their_meta(engine):
    grpc = pytest.importorskip("grpc")
    sys.path.insert(0, str(PACKAGE / "hythe" / "compat"))
    with grpc.insecure_channel(engine.grpc) as channel:
        def call(method, body, **more):
            return channel.unary_unary(method, lambda b: b, lambda b: b).with_call(body, timeout=DEADLINE, **more)
        answer, told = call("/seldon.protos.Seldon/Predict", b"\x2a\x02hi", metadata=[("seldon-puid", "mine")])
        assert answer.startswith(b"\x12") and b"\x2a\x02hi" in answer
        assert b"\x0a\x04mine" in answer and b"\x0a\x01a\x12\x07img-a:1" in answer and b"\x0a\x01a\x10" + b"\xff" * 9 + b"\x01" in answer
        assert dict(told.initial_metadata())["seldon-puid"] == "mine"
        large = b"\x2a\x80\x80\x80\x01" + b"x" * (2 << 20)
        assert b"x" * (2 << 20) in call("/seldon.protos.Seldon/Predict", large)[0]
        assert b"\x0a\x01a" in call("/seldon.protos.Seldon/GraphMetadata", b"")[0]
        assert call("/grpc.health.v1.Health/Check", b"")[0] == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as failed:
            call("/seldon.protos.Seldon/Predict", b"\x2a\x04boom")
        assert "kaput" in failed.value.details()
    until("it is counted", lambda: 'service="/seldon.protos.Seldon/Predict"' in engine.ask("/prometheus")[2].decode())


def test_grpc_without_a_component_is_unavailable(closed):
    grpc = pytest.importorskip("grpc")
    with running(predictor(closed, closed)) as e, grpc.insecure_channel(e.grpc) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/seldon.protos.Seldon/Predict", lambda b: b, lambda b: b)(b"", timeout=DEADLINE)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE and "connection refused" in failed.value.details()
