# SPDX-License-Identifier: Apache-2.0
"""Folders that stand in for container images: a class with the Dockerfile of its article runs as a pod, beside the orchestrator."""
import base64
import json
import os
import re
import shutil
import subprocess
import urllib.request

import pytest
from nodes import Machine, condition, container, folder_for_all, need, pod, ready_by
from waiting import DEADLINE, until

SANITIZED = pytest.mark.skipif("HYTHE_SANITIZED" in os.environ, reason="no extension module in this build")
CLASS = """
class MyModel:
    def predict(self, X, features_names):
        return X if isinstance(X, str) else X.decode()
"""
DOCKERFILE = """
FROM python:3.7-slim
COPY . /app
WORKDIR /app
RUN pip install -r requirements.txt
EXPOSE 5000
# Define environment variable
ENV MODEL_NAME MyModel
ENV API_TYPE REST
ENV SERVICE_TYPE MODEL
ENV PERSISTENCE 0
CMD exec seldon-core-microservice $MODEL_NAME $API_TYPE --service-type $SERVICE_TYPE --persistence $PERSISTENCE
"""


@pytest.fixture(scope="module", params=["root", "user"])
def m(request):
    need(request.param)
    folder = folder_for_all()
    machine = Machine(folder, request.param)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def folder_of(m, name, **files):
    folder = m.folder / name
    folder.mkdir()
    for file, text in files.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text)
    for path in [folder, *folder.rglob("*")]:
        os.chmod(path, 0o755)
    return folder


def imaged(name="main", image="my-model:0.1", **more):
    c = container(name, **more)
    c["image"] = image
    if "command" not in more:
        del c["command"]
    return c


class Forward:
    """A port of a pod on this machine."""

    def __init__(self, m, name, port):
        self.process = subprocess.Popen(m.command("port-forward", f"pod/{name}", f":{port}"), stdout=subprocess.PIPE, env=m.env)
        self.url = "http://127.0.0.1:" + re.search(rb":(\d+) ->", self.process.stdout.readline()).group(1).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(DEADLINE)
        self.process.stdout.close()

    def ask(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.loads(answer.read())


@SANITIZED
def test_a_class_runs_as_its_dockerfile_says_beside_the_orchestrator(m):
    said = m.hythe("image", "add", "registry.example/my-model:0.1", folder_of(m, "model", **{"MyModel.py": CLASS, "Dockerfile": DOCKERFILE}))
    assert "mounted at /app" in said and "not done: RUN pip install -r requirements.txt" in said
    assert "registry.example/my-model:0.1" in m.hythe("image", "list")
    predictor = {"name": "my-graph", "graph": {"name": "classifier", "type": "MODEL", "endpoint": {"type": "REST"}, "children": []},
                 "componentSpecs": [{"spec": {"containers": [{"name": "my-model-graph", "image": "registry.example/my-model:0.1"}]}}]}
    env = {"PREDICTIVE_UNIT_ID": "classifier", "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9500",
           "PREDICTIVE_UNIT_IMAGE": "registry.example/my-model:0.1"}
    engine = container("seldon-container-engine", ("hythe", "engine", "--sdep", "my-deployment"),
                       env=[{"name": "ENGINE_PREDICTOR", "value": base64.b64encode(json.dumps(predictor).encode()).decode()}],
                       readinessProbe=ready_by("/ready", 8000))
    m.apply(pod("graph", imaged("my-model-graph", "registry.example/my-model:0.1", env=[{"name": k, "value": v} for k, v in env.items()]), engine))
    m.wait_running("graph")
    with Forward(m, "graph", 8000) as f:
        answer = until("an answer", lambda: f.ask("/api/v0.1/predictions", {"binData": base64.b64encode(b"hello").decode()}))
    assert answer["strData"] == "hello"
    assert answer["meta"]["requestPath"] == {"classifier": "registry.example/my-model:0.1"}
    assert answer["meta"]["routing"] == {"classifier": -1} and answer["meta"]["puid"]
    m.remove("graph")


def test_what_a_pod_says_is_over_what_the_dockerfile_says(m):
    m.hythe("image", "add", "tool", folder_of(m, "tool", **{
        "Dockerfile": "FROM a\nWORKDIR /srv/tool\nENV A=image B=image\nENTRYPOINT [\"sh\", \"-c\"]\nCMD [\"pwd; echo $A $B; cat data; touch x 2> /dev/null || echo read-only\"]\n",
        "data": "from the folder\n"}))
    m.apply(pod("own", imaged(image="tool:3", env=[{"name": "B", "value": "pod"}]), restartPolicy="Never"))
    m.wait_phase("own", "Succeeded")
    lines = m.run("logs", "own").splitlines()
    assert lines == ["/srv/tool", "image pod", "from the folder", "read-only"]
    m.apply(pod("args", imaged(image="docker.io/library/tool@sha256:" + "0" * 64, args=["echo args of $B"]), restartPolicy="Never"))
    m.wait_phase("args", "Succeeded")
    assert m.run("logs", "args") == "args of image\n"
    m.remove("own", "args")


@SANITIZED
def test_a_folder_for_s2i_needs_no_dockerfile(m):
    m.hythe("image", "add", "s2i:1", folder_of(m, "s2i", **{"MyModel.py": CLASS, ".s2i/environment": "MODEL_NAME=MyModel\nAPI_TYPE=REST\nSERVICE_TYPE=MODEL\nPERSISTENCE=0\n"}))
    m.apply(pod("s2i", imaged(image="s2i:1", readinessProbe=ready_by("/health/status", 9000))))
    m.wait_running("s2i")
    with Forward(m, "s2i", 9000) as f:
        assert f.ask("/predict", {"strData": "x"})["strData"] == "x"
    m.remove("s2i")


def test_without_a_folder_and_a_command_the_reason_names_what_to_do(m):
    folder = folder_of(m, "bad", Dockerfile="FROM a\nRUM x\n")
    code, said = m.hythe("image", "add", "bad:1", folder, ok=False)
    assert code == 1 and "line 2: there is no instruction 'RUM'" in said
    (folder / "Dockerfile").write_text("FROM a\n")
    m.hythe("image", "add", "bad:1", folder)
    (folder / "Dockerfile").write_text("FROM a\nRUM x\n")
    m.apply(pod("unknown", imaged(image="nobody/knows:1")), pod("bad", imaged(image="bad:1")))
    until("the reason", lambda: "hythe image add nobody/knows:1" in m.pod("unknown")["status"]["containerStatuses"][0]["state"]["waiting"]["message"])
    until("the reason", lambda: "line 2: there is no instruction 'RUM'" in m.pod("bad")["status"]["containerStatuses"][0]["state"]["waiting"]["message"])
    m.remove("unknown", "bad")
    m.hythe("image", "remove", "bad:1")
    assert "bad:1" not in m.hythe("image", "list")
    code, said = m.hythe("image", "remove", "bad:1", ok=False)
    assert code == 1 and "there is no image 'bad:1'" in said
    assert condition(m.ready_nodes()[0], "Ready") == "True"
