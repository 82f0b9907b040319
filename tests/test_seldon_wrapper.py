# SPDX-License-Identifier: Apache-2.0
"""The same classes and the same requests, served by hythe and by Seldon's own wrapper: status and body agree, but for what is listed here."""
import json
import os
import pathlib
import re
import signal
import subprocess
import textwrap

import pytest
import requests

from conftest import DEADLINE, PROGRAM, ROOT, Server
from ports import Ports
from waiting import until

WRAPPER = ROOT / ".venv-seldon" / "bin" / "seldon-core-microservice"
EXTENSION = PROGRAM.parent / "hosts" / "python" / "hythe" / "_hythe.abi3.so"
pytestmark = [pytest.mark.skipif(not WRAPPER.exists(), reason="seldon-core is not installed in .venv-seldon"),
              pytest.mark.skipif(not EXTENSION.exists(), reason="the extension module is not built")]

CLASSES = """
    import numpy as np
    from seldon_core.flask_utils import SeldonMicroserviceException
    from seldon_core.user_model import SeldonComponent, SeldonResponse

    RESULTS = {
        "none": lambda: None, "list": lambda: [1, 2.5, 3], "strings": lambda: ["a", "b"], "mixed": lambda: [[1, "a"], [2.5, None]], "empty": lambda: [],
        "booleans": lambda: np.array([[True, False]]), "objects": lambda: np.array([[1, "x"]], dtype=object), "nan": lambda: np.array([[np.nan, np.inf, 1.0]]),
        "float32": lambda: np.array([[0.1, 2]], dtype=np.float32), "scalar": lambda: np.array(5), "cube": lambda: np.arange(8).reshape(2, 2, 2),
        "tuple": lambda: (1, 2), "int": lambda: 5, "uint8": lambda: np.array([[1, 255]], dtype=np.uint8), "columns": lambda: np.array([[1, 2], [3, 4]]).T,
        "response": lambda: SeldonResponse(np.array([[1.5]]), tags={"r": 1}, metrics=[{"type": "GAUGE", "key": "g", "value": 2, "tags": {"x": "y"}}]),
        "bad metric": lambda: SeldonResponse([1], metrics=[{"type": "X"}]), "bytes": lambda: b"\\x00\\xff", "unicode": lambda: "h\\u00e4 \\U0001f600 <&>",
    }

    class Full:
        def predict(self, X, names, meta=None):
            if isinstance(X, str):
                if X == "raise":
                    raise ValueError("kaput")
                if X == "refuse":
                    raise SeldonMicroserviceException("mine", status_code=418, reason="R")
                return RESULTS[X]() if X in RESULTS else X + "!"
            if isinstance(X, bytes):
                return X[::-1]
            if not isinstance(X, np.ndarray):
                return {"got": X, "b": [1, 2.0]}
            if meta and meta.get("show"):
                return {"dtype": str(X.dtype), "shape": list(X.shape), "names": list(names), "puid": meta.get("puid")}
            return X

        def transform_input(self, X, names):
            return X

        def transform_output(self, X, names, meta=None):
            return [[1, 2, 3]]

        def route(self, X, names):
            return 1

        def aggregate(self, Xs, names):
            return np.concatenate([np.atleast_2d(x) for x in Xs])

        def send_feedback(self, X, names, reward, truth, routing=None):
            return [reward, float(np.size(X)), float(np.size(truth)), -1.0 if routing is None else float(routing)]

        def tags(self):
            return {"own": "tag"}

        def metrics(self):
            return [{"type": "COUNTER", "key": "c", "value": 1}, {"type": "TIMER", "key": "t", "value": 20.5}]

    class Plain(SeldonComponent):
        def predict(self, X, names, meta=None):
            return X

    class Named:
        def predict(self, X, names):
            return X

        def class_names(self):
            return ["one", "two"]

        def health_status(self):
            return {"fine": True}

        def init_metadata(self):
            return {"name": "n", "versions": ["v"], "platform": "p", "inputs": [{"messagetype": "tensor", "schema": {"names": ["a"], "shape": [1]}}], "outputs": []}

    class Raw:
        def predict_raw(self, msg):
            return {"strData": "raw", "meta": msg.get("meta", {})}

        def transform_input_raw(self, msg):
            return {"status": {"code": 418}, "z": 1}

        def health_status_raw(self):
            return {"strData": "raw health"}

    class Nothing:
        pass
    """


def nd(rows, **more):
    return {"data": {"names": ["a", "b"], "ndarray": rows}, **more}


META = {"puid": "p", "tags": {"q": 1, "own": "x"}, "routing": {"r": 1}, "requestPath": {"z": "i"}, "metrics": [{"key": "old", "type": "GAUGE", "value": 1}]}
TEXTS = ["raise", "refuse", "none", "list", "strings", "mixed", "empty", "booleans", "objects", "nan", "float32", "scalar", "cube", "tuple", "int", "uint8", "columns",
         "response", "bad metric", "bytes", "unicode", "hello", ""]
ROWS = [[[1, 2]], [[1.5, 2]], [[1, "a"]], [["a", "b"]], [[True, False]], [[1, None]], [1, 2], [], [[]], [[1], [2, 3]], [[[1]]], [{"a": 1}], [[-0.0, 1e300]],
        [[9007199254740993, -1]]]
TENSORS = [{"shape": [1, 2], "values": [1, 2]}, {"shape": [2], "values": [1.5, 2]}, {"shape": [3, 2], "values": [1, 2]}, {"shape": [0], "values": []}, {"values": [1]}]
REQUESTS = (
    [("/predict", {"strData": text}) for text in TEXTS]
    + [("/predict", nd(rows, **more)) for rows in ROWS for more in ({}, {"meta": {"show": True, "puid": "x"}})]
    + [("/predict", {"data": {"tensor": tensor}}) for tensor in TENSORS]
    + [("/predict", body) for body in ({"data": {}}, {"data": {"names": ["a"]}}, {"jsonData": {"a": [1, 2.5, None]}}, {"jsonData": [1]}, {"jsonData": 3},
                                       {"binData": "aGVsbG8="}, {"binData": "!!"}, {}, [], b"nope", {"meta": {"puid": "p"}}, nd([[1, 2]], meta=META))]
    + [(path, body) for path in ("/transform-input", "/transform-output", "/route") for body in (nd([[1, 2]]), nd([[1, 2]], meta=META), {"strData": "x"})]
    + [("/aggregate", body) for body in ({"seldonMessages": [nd([[1, 2]], meta=META), nd([[3, 4]], meta={"puid": "q", "tags": {"q": 2, "b": 1}})]},
                                         [nd([[1, 2]]), nd([[3.5, 4]])], {}, [], {"seldonMessages": [{}]})]
    + [("/send-feedback", body) for body in ({"request": nd([[1, 2]]), "reward": 0.5, "truth": nd([[1]])}, {"reward": "x"}, {},
                                             {"request": nd([[1, 2]]), "response": {"meta": {"routing": {"0": 3}}}, "reward": 1})]
    + [("/health/status", None), ("/health/ping", None), ("/metadata", None), ("/api/v1.0/predictions", nd([[1, 2]])), ("/api/v0.1/predictions", {"strData": "hi"}),
       ("/api/v1.0/feedback", {"reward": 2}), ("/nowhere", None)]
)

# What a client is told of a bad question is hythe's own text.
OWN_WORDS = ("Invalid request data type", "Can't find JSON", "Invalid JSON", "cannot reshape", "'shape'", "setting an array element", "list index out of range",
             "'list' object has no attribute", "need at least one array")


def intended(path, body, theirs, ours):
    """Whether a difference is one of those that are meant (docs/how-to/serve-a-python-class.md)."""
    if path == "/nowhere":
        return (theirs[0], ours[0]) == (500, 404)  # the wrapper tells its 404 in a 500
    if body == {"binData": "!!"}:
        return ours[0] == 400  # Python's base64 passes over what is no base64
    info = theirs[1].get("status", {}).get("info", "") if isinstance(theirs[1], dict) else ""
    if ours[0] == 400 and theirs[0] in (400, 500) and info.startswith(OWN_WORDS):
        return True  # a bad question is never the server's fault
    if isinstance(body, dict) and body.get("data", {}).get("tensor") in TENSORS[2:] or body in ([], b"nope"):
        return ours[0] == 400  # what cannot be decoded does not reach a raw method
    if "feedback" in path and theirs[0] == ours[0] == 200:
        return canonical_feedback(theirs[1]) == canonical_feedback(ours[1])
    return False


def canonical_feedback(body):
    """The wrapper's answer goes through protobuf, which leaves empty lists and the first of an enumeration out."""
    body = json.loads(json.dumps(body))
    data = body.get("data", {})
    data.setdefault("names", [])
    if "tensor" in data:
        data["tensor"].setdefault("values", [])
    for metric in body.get("meta", {}).get("metrics", []):
        metric.setdefault("type", "COUNTER")
    return body


def wait_for_wrapper(process, url, log):
    """Until its REST server answers; what it printed is told when it has ended instead."""

    def answers():
        return process.poll() is not None or requests.get(url + "/health/ping", timeout=5).status_code

    until("the wrapper answers", answers)
    assert process.poll() is None, pathlib.Path(log.name).read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("classes")
    (place / "classes.py").write_text(textwrap.dedent(CLASSES))
    return place


@pytest.fixture
def wrapper(folder):
    """URL of Seldon's wrapper around a class."""
    processes, held = [], []

    def start(name, env):
        held.append(Ports(3))
        rest, grpc, metrics = held[-1]
        command = [str(WRAPPER), "classes." + name, "--http-port", str(rest), "--grpc-port", str(grpc), "--metrics-port", str(metrics)]
        log = open(folder / ("wrapper-%s.log" % name), "w")
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        processes.append(process)
        url = "http://127.0.0.1:%d" % rest
        wait_for_wrapper(process, url, log)
        return url

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for ports in held:
        ports.close()


def ask(session, url, path, body):
    if body is None:
        answer = session.get(url + path, timeout=DEADLINE)
    else:
        answer = session.post(url + path, data=body if isinstance(body, bytes) else json.dumps(body), headers={"Content-Type": "application/json"}, timeout=DEADLINE)
    try:
        return answer.status_code, json.loads(answer.text)
    except ValueError:
        return answer.status_code, answer.text


def same(a, b):
    return a[0] == b[0] and json.dumps(a[1], sort_keys=True) == json.dumps(b[1], sort_keys=True)


@pytest.mark.parametrize("name", ["Full", "Plain", "Named", "Raw", "Nothing"])
def test_hythe_answers_as_the_wrapper(name, folder, wrapper):
    unit = {"PREDICTIVE_UNIT_ID": "unit", "PREDICTIVE_UNIT_IMAGE": "image:1"} if name == "Named" else {}
    env = {**{k: v for k, v in os.environ.items() if not k.startswith(("PREDICTIVE_", "HYTHE_"))}, **unit}
    theirs = wrapper(name, env)
    python = str(ROOT / ".venv-test" / "bin" / "python")
    server = Server(["classes:" + name, "--python", python], env=unit, cwd=folder)
    try:
        with requests.Session() as session:
            session.trust_env = False
            different = []
            for path, body in REQUESTS:
                a, b = ask(session, theirs, path, body), ask(session, server.url, path, body)
                if not same(a, b) and not intended(path, body, a, b):
                    different.append("%s %s\n  wrapper %s\n  hythe   %s" % (path, body, a, b))
        assert not different, "%d of %d\n%s" % (len(different), len(REQUESTS), "\n".join(different))
    finally:
        assert server.stop() == 0, server.read()


def test_metrics_have_the_wrappers_names_and_labels(folder):
    env = {"PREDICTIVE_UNIT_ID": "unit", "PREDICTIVE_UNIT_IMAGE": "image:1", "SELDON_DEPLOYMENT_ID": "dep", "PREDICTOR_ID": "pred", "PREDICTOR_LABELS": '{"version":"v7"}'}
    server = Server(["classes:Full", "--python", str(ROOT / ".venv-test" / "bin" / "python")], env=env, cwd=folder)
    try:
        for _ in range(2):
            assert requests.post(server.url + "/predict", json={"strData": "response"}, timeout=DEADLINE).status_code == 200
        assert requests.post(server.url + "/send-feedback", json={"reward": 0.5}, timeout=DEADLINE).status_code == 200


        def metrics():  # those of a worker that is slow to tell them are left out
            text = requests.get(server.url + "/metrics", timeout=DEADLINE).text
            return "c_total" in text and text

        text = until("the worker's metrics", metrics)
    finally:
        assert server.stop() == 0
    labels = re.search(r'^c_total\{(.*method="predict".*)\} 2(\.0)?$', text, re.M).group(1)
    for label in ('deployment_name="dep"', 'model_name="unit"', 'model_image="image"', 'model_version="1"', 'predictor_name="pred"', 'predictor_version="v7"',
                  'seldon_deployment_name="dep"', 'image_name="image"', 'image_version="1"', 'worker_id="'):
        assert label in labels
    assert re.search(r'^g\{.*x="y".*\} 2(\.0)?$', text, re.M)
    assert re.search(r'^t_bucket\{.*method="predict".*le="\+Inf".*\} 2(\.0)?$', text, re.M)
    assert re.search(r'^seldon_api_model_feedback_reward_total\{.*\} 0\.5$', text, re.M)
