# SPDX-License-Identifier: Apache-2.0
"""SeldonDeployments and InferenceServices with kubectl as it is: what their files become, who answers, what is refused, why one is not there yet."""
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from gates import OFTEN, address_of, condition, machine_of, woken
from cluster import ROOT
from nodes import folder_for_all
from waiting import until

MODEL = ROOT / "examples" / "propensity.json"
ROW = [[1, 0, 1, 0, 1, 0, 1, 0, 1, 0]]
# Needs nothing but Python.
CODE = """
class MyModel:
    def predict_raw(self, msg):
        return {"strData": "seen " + msg.get("strData", "nothing")}
"""
ARTICLE = """
apiVersion: machinelearning.seldon.io/v1alpha2
kind: SeldonDeployment
metadata:
  name: my-model
spec:
  name: my-deployment
  predictors:
  - name: my-graph
    replicas: 1
    annotations: { predictor_version: "0.1", seldon.io/svc-name: my-model-svc }
    componentSpecs:
    - spec:
        containers:
        - name: my-model-graph
          image: registry.example.com/my-model:0.1
          command: [seldon-core-microservice, MyModel, --service-type, MODEL]
          workingDir: /code
          volumeMounts: [ { name: code, mountPath: /code } ]
        volumes: [ { name: code, hostPath: { path: FOLDER } } ]
    graph: { name: classifier, type: MODEL, endpoint: { type: REST }, children: [] }
"""


@pytest.fixture(scope="module")
def m():
    folder = folder_for_all()
    machine = machine_of(folder)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def post(m, path, body, *flags):
    """(status, JSON) of a request through the gateway."""
    host, port = m.gateway_address()
    done = subprocess.run(["curl", "-sS", "-m", "60", "-w", "\n%{http_code}", "-H", "Content-Type: application/json", *flags, "-d", json.dumps(body), f"http://{host}:{port}{path}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text)


def available(m, name):
    def is_so():
        status = m.get("sdep", name).get("status", {})
        assert status.get("state") == "Available", status.get("description")
        return status

    return until(f"{name} is available", is_so)


def seldon(name, *predictors, **spec):
    return {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": name}, "spec": {"predictors": list(predictors), **spec}}


def served(name, **more):
    return {"name": name, "graph": {"name": "propensity", "implementation": "HYTHE_SERVER", "modelUri": f"file://{MODEL}"}, **more}


@pytest.mark.skipif("HYTHE_SANITIZED" in os.environ, reason="no extension module in this build")
def test_the_articles_file_is_created_answers_and_is_deleted(m):
    code = pathlib.Path(folder_for_all())
    try:
        (code / "MyModel.py").write_text(CODE)
        file = code / "model.yaml"
        file.write_text(ARTICLE.replace("FOLDER", str(code)))
        m.run("create", "-f", str(file))
        status = available(m, "my-model")
        assert "my-model" in m.run("get", "seldondeployments")
        everything = m.run("get", "all")
        for line in ("service/my-model-svc", "service/my-model-my-graph-my-model-graph", "deployment.apps/my-model-my-graph-0-my-model-graph", "2/2"):
            assert line in everything
        assert status["address"]["url"] == "http://my-model-svc.default.svc.cluster.local:8000/api/v1.0/predictions"
        assert status["deploymentStatus"] == {"my-model-my-graph-0-my-model-graph": {"replicas": 1, "availableReplicas": 1}}
        code_, answer = until("an answer", lambda: (r := post(m, "/seldon/default/my-model/api/v0.1/predictions", {"strData": "it"}))[0] == 200 and r)
        assert (code_, answer["strData"]) == (200, "seen it")
        assert answer["meta"]["requestPath"] == {"classifier": "registry.example.com/my-model:0.1"} and answer["meta"]["puid"]
        m.run("delete", "-f", str(file))
        until("nothing is left", lambda: "my-model" not in m.run("get", "all,httproutes,grpcroutes"))
    finally:
        shutil.rmtree(code, ignore_errors=True)


def test_a_server_that_comes_ready_answers_for_two_predictors(m):
    m.apply(seldon("both", served("main", traffic=80), served("canary", traffic=20)))
    available(m, "both")
    def asked():
        status, answer = post(m, "/seldon/default/both/api/v1.0/predictions", {"data": {"ndarray": ROW}})
        return status == 200 and answer
    answer = until("an answer", asked)
    assert 0 < answer["data"]["ndarray"][0][1] < 1 and answer["meta"]["routing"] == {"propensity": -1}
    m.run("delete", "sdep", "both")


def test_v2_is_spoken_under_the_same_prefix(m):
    m.apply(seldon("two", served("default"), protocol="v2"))
    assert available(m, "two")["address"]["url"].endswith("/v2/models/propensity/infer")
    body = {"inputs": [{"name": "x", "shape": [1, 10], "datatype": "FP32", "data": ROW[0]}]}
    answer = until("an answer", lambda: (r := post(m, "/seldon/default/two/v2/models/propensity/infer", body))[0] == 200 and r[1])
    assert answer["model_name"] == "propensity" and answer["outputs"]
    m.run("delete", "sdep", "two")


@pytest.mark.parametrize("spec, words", [
    ({"predictors": []}, "at least one predictor is needed"),
    ({"predictors": [{"name": "a", "graph": {"name": "a", "implementation": "NO_SERVER", "modelUri": "gs://b"}}]}, "there is no such server"),
    ({"predictors": [{"name": "a", "componentSpecs": [{"spec": {"containers": [{"name": "x", "image": "i"}, {"name": "y", "image": "i"}]}}],
                      "graph": {"name": "x", "type": "MODEL", "children": [{"name": "y", "type": "MODEL"}]}}]}, "graphs of more than one node are not there yet"),
])
def test_what_is_wrong_is_refused_in_words(m, spec, words):
    body = {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": "bad"}, "spec": spec}
    code, said = m.run("create", "-f", "-", stdin=yaml.safe_dump(body), ok=False)
    assert code == 1 and words in said


def test_the_state_says_why_it_is_not_available(m):
    predictor = {"name": "a", "componentSpecs": [{"spec": {"containers": [{"name": "clf", "image": "process", "command": ["sh", "-c", "echo no model here >&2; exit 3"]}]}}],
                 "graph": {"name": "clf", "type": "MODEL"}}
    m.apply(seldon("broken", predictor))
    until("the reason", lambda: "ended with 3: no model here" in m.get("sdep", "broken")["status"]["description"])
    assert m.get("sdep", "broken")["status"]["state"] == "Creating"
    m.run("delete", "sdep", "broken")


def inference_service(name, **predictor):
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "linear"}, "storageUri": f"file://{MODEL}"}, **predictor}}}


def test_an_inference_service_answers_by_host_and_by_path(m):
    m.apply(inference_service("prop"))
    m.run("wait", "--for=condition=Ready", "isvc/prop", "--timeout=120s")
    assert m.get("isvc", "prop")["status"]["url"] == "http://prop-default.example.com"
    until("status tells it", lambda: re.search(r"^default +inferenceservice/prop +1/1 +runs", m.hythe("status", ok=False)[1], re.M))
    body = {"instances": ROW}
    by_host = until("an answer by host", lambda: (r := post(m, "/v1/models/prop:predict", body, "-H", "Host: prop-default.example.com"))[0] == 200 and r[1])
    by_path = until("an answer by path", lambda: (r := post(m, "/serving/default/prop/v1/models/prop:predict", body))[0] == 200 and r[1])
    assert by_host == by_path and len(by_host["predictions"]) == 1
    m.run("delete", "isvc", "prop")


def whole(address, path, body, host="x"):
    """(status, headers, bytes) of an answer, without what each request has of its own."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request("POST", path, body, {"Host": host, "Content-Type": "application/json", "X-Request-Id": "same"})
        answer = connection.getresponse()
        return answer.status, sorted((k.lower(), v) for k, v in answer.getheaders() if k.lower() != "date"), answer.read()
    finally:
        connection.close()


def test_a_model_of_an_inference_service_is_answered_by_the_gateway_as_by_its_pod(m):
    m.apply(inference_service("fast"))
    m.run("wait", "--for=condition=Ready", "isvc/fast", "--timeout=120s")
    until("the gateway has the model", lambda: re.search(r"a model is answered here.*fast", m.up.said()))
    gateway, pod = m.gateway_address(), address_of(m, "fast-predictor")
    until("the pod's service answers", lambda: whole(pod, "/v1/models/fast:predict", json.dumps({"instances": ROW}))[0] == 200)

    def asked_of_pods():
        """How many predictions the one pod has answered: its own metrics, which are never the gateway's."""
        connection = http.client.HTTPConnection(*pod, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return sorted(re.findall(r'^hythe_requests_total\{surface="v[12]".*', text, re.M))

    def answers_itself():
        before = asked_of_pods()
        for _ in range(OFTEN):
            assert whole(gateway, "/v1/models/fast:predict", json.dumps({"instances": ROW}), "fast-default.example.com")[0] == 200
        return before and asked_of_pods() == before

    until("each worker of the gateway answers by itself", answers_itself)
    before = asked_of_pods()
    tensor = {"name": "x", "shape": [1, 10], "datatype": "FP32", "data": ROW[0]}
    questions = [("/v1/models/fast:predict", json.dumps({"instances": ROW * 3})), ("/v1/models/fast:predict", json.dumps({"instances": 3})),
                 ("/v1/models/fast:predict", "no JSON"), ("/v1/models/other:predict", json.dumps({"instances": ROW})),
                 ("/v2/models/fast/infer", json.dumps({"id": "7", "inputs": [tensor]})), ("/v2/models/fast/infer", json.dumps({"id": "7", "inputs": [{**tensor, "shape": [1, 9]}]})),
                 ("/v2/models/fast/versions/9/infer", json.dumps({"id": "7", "inputs": [tensor]})), ("/v2/models/other/infer", json.dumps({"id": "7", "inputs": [tensor]}))]
    here = [(whole(gateway, path, body, "fast-default.example.com"), whole(gateway, "/serving/default/fast" + path, body)) for path, body in questions]
    assert asked_of_pods() == before
    for (path, body), (by_host, by_path) in zip(questions, here):
        there = whole(pod, path, body)
        assert by_host == by_path == there, (path, body)
    assert [by_host[0] for by_host, _ in here] == [200, 400, 400, 404, 200, 400, 404, 404]
    until("the pod has counted", lambda: asked_of_pods() != before)
    m.run("delete", "isvc", "fast")


def test_an_inference_service_sleeps_when_nobody_asks_and_wakes_for_the_first_who_does(m):
    m.apply(inference_service("dozer", minReplicas=0, maxReplicas=2, scaleMetric="rps", scaleTarget=50, autoScaling={"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}))
    m.run("wait", "--for=condition=Ready", "isvc/dozer", "--timeout=120s")
    until("it sleeps", lambda: m.get("deployment", "dozer-predictor-00001")["spec"]["replicas"] == 0 and "dozer-predictor" not in m.run("get", "pods"), 180)
    until("it is ready all the same", lambda: condition(m.get("isvc", "dozer"), "Ready") == "True")
    status, answer = woken(lambda: post(m, "/v1/models/dozer:predict", {"instances": ROW}, "-H", "Host: dozer-default.example.com"))
    assert (status, len(answer["predictions"])) == (200, 1)
    spec = m.get("hpa", "dozer-predictor-00001")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (0, 2)
    assert [s["object"]["describedObject"]["name"] for s in spec["metrics"]] == ["dozer-predictor-00001", "dozer-predictor"]
    m.run("delete", "isvc", "dozer")


@pytest.mark.parametrize("predictor, words", [
    ({"minReplicas": 0, "scaleMetric": "cpu"}, "0 needs scaleMetric rps or concurrency"),
    ({"maxReplicas": 3, "scaleMetric": "rps", "scaleMetricType": "Utilization"}, "requests have no utilization"),
    ({"maxReplicas": 3, "autoScaling": {"metrics": [{"type": "External"}]}}, "only Resource is there"),
])
def test_what_an_inference_service_cannot_scale_by_is_refused_in_words(m, predictor, words):
    code, said = m.run("create", "-f", "-", stdin=yaml.safe_dump(inference_service("bad", **predictor)), ok=False)
    assert code == 1 and words in said
