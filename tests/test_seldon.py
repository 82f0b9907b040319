# SPDX-License-Identifier: Apache-2.0
"""The Seldon protocol over REST and gRPC, asked by plain clients."""
import base64
import concurrent.futures
import json
import math

import numpy as np
import pytest
import requests

from waiting import DEADLINE

FEATURES = [f"G{i}" for i in range(1, 11)]
PATHS = ["/predict", "/api/v0.1/predictions", "/api/v1.0/predictions", "/models/{m}/predict", "/models/{m}/api/v0.1/predictions",
         "/models/{m}/api/v1.0/predictions", "/seldon/any/{m}/api/v1.0/predictions"]


def ask(server, body, path="/api/v1.0/predictions", status=200, **more):
    answer = requests.post(server.url + path, json=body, timeout=DEADLINE, **more)
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    return answer.json()


@pytest.fixture
def lr(serve, models_dir):
    server = serve("lr=lr.onnx")
    server.x = np.load(models_dir / "lr-x.npy")
    server.expected = np.load(models_dir / "lr-proba.npy")
    return server


@pytest.fixture
def echo(serve):
    return serve("builtin:echo")


# ---- predictions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_with_probabilities(lr, path):
    path = path.format(m="lr")
    found = ask(lr, {"data": {"ndarray": lr.x.tolist()}}, path)
    assert np.abs(np.array(found["data"]["ndarray"]) - lr.expected).max() < 1e-6
    assert found["meta"] == {} and list(found) == ["data", "meta"]
    assert found["data"]["names"] in (["0", "1"], ["t:0", "t:1"])


def test_the_answer_has_the_form_of_the_question(lr):
    x, flat = lr.x[:3], lr.x[:3].ravel()
    tensor = ask(lr, {"data": {"tensor": {"shape": [3, 10], "values": flat.tolist()}}})["data"]["tensor"]
    assert tensor["shape"] == [3, 2]
    assert np.abs(np.array(tensor["values"]) - lr.expected[:3].ravel()).max() < 1e-6
    shape = {"dim": [{"size": "3"}, {"size": "10"}]}
    packed = {"dtype": "DT_DOUBLE", "tensorShape": shape, "tensorContent": base64.b64encode(x.astype("<f8").tobytes()).decode()}
    found = ask(lr, {"data": {"tftensor": packed}})["data"]["tftensor"]
    assert found["dtype"] == "DT_FLOAT" and [int(d["size"]) for d in found["tensorShape"]["dim"]] == [3, 2]
    got = np.frombuffer(base64.b64decode(found["tensorContent"]), "<f4")
    assert np.abs(got - lr.expected[:3].ravel()).max() < 1e-6
    listed = ask(lr, {"data": {"tftensor": {"dtype": "DT_FLOAT", "tensorShape": shape, "floatVal": flat.tolist()}}})["data"]["tftensor"]
    assert np.abs(np.array(listed["floatVal"]) - lr.expected[:3].ravel()).max() < 1e-6
    rows = ask(lr, {"jsonData": x.tolist()})["data"]["tensor"]
    assert np.abs(np.array(rows["values"]) - lr.expected[:3].ravel()).max() < 1e-6


def test_named_columns_are_put_in_the_models_order(lr):
    order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    shuffled = ask(lr, {"data": {"names": [FEATURES[i] for i in order], "ndarray": lr.x[:50, order].tolist()}})
    assert np.abs(np.array(shuffled["data"]["ndarray"]) - lr.expected[:50]).max() < 1e-6
    numbered = ask(lr, {"data": {"names": [f"t:{i}" for i in range(10)], "ndarray": lr.x[:2].tolist()}})
    assert np.abs(np.array(numbered["data"]["ndarray"]) - lr.expected[:2]).max() < 1e-6
    for names, word in ((FEATURES[:9] + ["nope"], "nope"), (FEATURES[:9] + ["G1"], "G1"), (FEATURES[:9], "9 names")):
        wrong = ask(lr, {"data": {"names": names, "ndarray": lr.x[:1].tolist()}}, status=400)
        assert word in wrong["status"]["info"]


def test_forms_queries_and_text_bodies_are_read(lr):
    message = json.dumps({"data": {"ndarray": lr.x[:1].tolist()}})
    url = lr.url + "/api/v1.0/predictions"
    answers = [
        requests.post(url, data={"json": message}, timeout=DEADLINE),
        requests.post(lr.url + "/predict", data={"json": message}, timeout=DEADLINE),
        requests.get(url, params={"json": message}, timeout=DEADLINE),
        requests.get(lr.url + "/predict", params={"json": message}, timeout=DEADLINE),
        requests.post(url, data=message, headers={"Content-Type": "text/plain"}, timeout=DEADLINE),
        requests.post(url, data=message, headers={"Content-Type": ""}, timeout=DEADLINE),
        requests.post(lr.url + "/predict", data=message, headers={"Content-Type": "application/x-www-form-urlencoded"}, timeout=DEADLINE),
        requests.post(url, files={"data": (None, json.dumps({"ndarray": lr.x[:1].tolist()}))}, timeout=DEADLINE),
        requests.post(lr.url + "/predict", files={"data": ("data.json", json.dumps({"ndarray": lr.x[:1].tolist()}))}, timeout=DEADLINE),
    ]
    for number, answer in enumerate(answers):
        assert answer.status_code == 200, (number, answer.text)
        assert np.abs(np.array(answer.json()["data"]["ndarray"]) - lr.expected[:1]).max() < 1e-6


def test_multipart_files_are_bytes_and_text(echo):
    picture = bytes(range(256)) * 10
    answer = requests.post(echo.url + "/predict", files={"binData": ("a.jpg", picture)}, data={"meta": '{"puid":"p"}'}, timeout=DEADLINE).json()
    assert base64.b64decode(answer["binData"]) == picture and answer["meta"] == {"puid": "p"}
    assert requests.post(echo.url + "/predict", files={"strData": (None, "caf\u00e9 {")}, timeout=DEADLINE).json()["strData"] == "caf\u00e9 {"


def test_payloads_come_back_as_they_went(echo):
    for message in (
        {"strData": "h\u00e9 \"x\"\n\u2028"},
        {"binData": base64.b64encode(bytes(range(256))).decode()},
        {"jsonData": {"b": [1, 2.5, None, True, "x"], "a": {"z": {}, "y": []}}},
        {"jsonData": None}, {"jsonData": 7}, {"jsonData": "text"},
        {"data": {"ndarray": [[1, 2], [3, 4]]}},
        {"data": {"ndarray": [[1.5, 2e300], [-0.0, 1e-300]]}},
        {"data": {"ndarray": [["a", "b"], ["c", "d"]]}},
        {"data": {"ndarray": [[True, False]]}},
        {"data": {"ndarray": [9007199254740993, -9223372036854775808]}},
        {"data": {"tensor": {"shape": [2, 1, 2], "values": [1, 2, 3, 4]}}},
    ):
        found = ask(echo, message)
        assert found.pop("meta") == {}
        found.get("data", {}).pop("names", None)
        assert found == message
    assert ask(echo, {"data": {"ndarray": [[1, 2]]}})["data"]["names"] == ["t:0", "t:1"]


def test_integers_stay_integers_and_keys_are_sorted(echo):
    text = requests.post(echo.url + "/predict", data='{"meta":{"tags":{"z":1,"a":2}},"data":{"ndarray":[[1,2.0]]}}', timeout=DEADLINE).text
    assert text == '{"data":{"names":["t:0","t:1"],"ndarray":[[1.0,2.0]]},"meta":{"tags":{"a":2,"z":1}}}'
    assert '"ndarray":[[1,2]]' in requests.post(echo.url + "/predict", data='{"data":{"ndarray":[[1,2]]}}', timeout=DEADLINE).text


def test_nan_and_infinity_are_bare_tokens_both_ways(echo):
    answer = requests.post(echo.url + "/api/v1.0/predictions", data='{"data":{"ndarray":[NaN,Infinity,-Infinity]}}', timeout=DEADLINE)
    assert '"ndarray":[NaN,Infinity,-Infinity]' in answer.text
    values = json.loads(answer.text)["data"]["ndarray"]
    assert math.isnan(values[0]) and values[1:] == [math.inf, -math.inf]


def test_meta_is_passed_on(echo):
    meta = {"puid": "p-1", "tags": {"t": [1, {"k": "v"}]}, "metrics": [{"key": "m", "type": "GAUGE", "value": 1.5}],
            "routing": {"r": 1}, "requestPath": {"a": "b"}}
    answer = requests.post(echo.url + "/predict", json={"meta": meta, "strData": "s"}, timeout=DEADLINE)
    assert answer.json()["meta"] == {k: meta[k] for k in ("puid", "tags", "metrics")}
    assert answer.headers["Seldon-Puid"] == "p-1"


def test_a_component_puts_itself_on_the_path(serve):
    server = serve("builtin:echo", env={"PREDICTIVE_UNIT_ID": "clf", "PREDICTIVE_UNIT_IMAGE": "img:1"})
    assert ask(server, {"strData": "s"})["meta"]["requestPath"] == {"clf": "img:1"}
    assert ask(server, {"strData": "s", "meta": {"requestPath": {"a": "i:2"}}})["meta"]["requestPath"] == {"a": "i:2", "clf": "img:1"}


def test_every_answer_has_a_puid_header(echo):
    def puid(**headers):
        answer = requests.post(echo.url + "/predict", json={"strData": "s"}, headers=headers, timeout=DEADLINE)
        assert "puid" not in answer.json()["meta"]
        return answer.headers["Seldon-Puid"]

    assert puid(**{"Seldon-Puid": "mine"}) == "mine"
    made = [puid() for _ in range(3)]
    assert len(set(made)) == 3 and all(len(p) == 36 for p in made)
    hostile = requests.post(echo.url + "/predict", json={"meta": {"puid": "a\r\nX-Evil: 1"}, "strData": "s"}, timeout=DEADLINE)
    assert "X-Evil" not in hostile.headers and len(hostile.headers["Seldon-Puid"]) == 36


# ---- the other endpoints -----------------------------------------------------------------------------------------------


def test_health_metadata_and_feedback(lr):
    get = lambda path: requests.get(lr.url + path, timeout=DEADLINE)
    assert get("/health/ping").text == "pong"
    for path in ("/health/status", "/api/v1.0/health/status", "/models/lr/health/status", "/api/v1.0/status/lr"):
        assert get(path).json() == {"meta": {}, "strData": "healthy"}
    assert get("/api/v1.0/status").status_code == 200 and get("/api/v1.0/status").content == b""
    assert get("/api/v1.0/status/nope").status_code == 404
    for path in ("/metadata", "/api/v1.0/metadata", "/models/lr/metadata", "/api/v1.0/metadata/lr"):
        found = get(path).json()
        assert found["name"] == "lr" and found["versions"] == ["1"] and found["platform"] == "onnx_onnxv1"
        assert found["inputs"][0]["schema"]["names"] == FEATURES and found["inputs"][0]["shape"] == [-1, 10]
        assert {o["name"] for o in found["outputs"]} == {"label", "probabilities"}
    for number, path in enumerate(("/send-feedback", "/api/v0.1/feedback", "/api/v1.0/feedback", "/models/lr/api/v1.0/feedback")):
        assert ask(lr, {"reward": 0.5, "request": {"data": {"ndarray": [[1]]}}}, path) == {"data": {"ndarray": []}, "meta": {}}
    assert requests.post(lr.url + "/send-feedback", data={"json": '{"reward":1}'}, timeout=DEADLINE).status_code == 200
    metrics = get("/metrics").text
    assert 'hythe_model_feedback_total{model="lr"} 5' in metrics and 'hythe_model_feedback_reward_total{model="lr"} 3' in metrics


def test_a_component_without_the_method_changes_nothing(lr):
    for path in ("/transform-input", "/transform-output"):
        found = ask(lr, {"data": {"names": ["a", "b"], "ndarray": [[1, 2]]}, "meta": {"puid": "p"}}, path)
        assert found == {"data": {"names": ["t:0", "t:1"], "ndarray": [[1, 2]]}, "meta": {"puid": "p"}}
    assert ask(lr, {"data": {"ndarray": [[1]]}}, "/route", 400)["status"]["info"] == "Route not defined"
    assert ask(lr, [{"data": {"ndarray": [[1]]}}], "/aggregate", 400)["status"]["info"] == "Aggregate not defined"


def test_errors_have_seldons_form(lr):
    for body, status, word in (
        (b"", 400, "Can't find JSON in data"),
        (b"{", 400, "Can't find JSON in data"),
        (b"[1]", 400, "Invalid request data type"),
        (b"{}", 400, "Invalid request data type"),
        (b'{"data":{"ndarray":[[1,2],[3]]}}', 400, "data.ndarray"),
        (b'{"data":{"ndarray":[[1,2]]}}', 400, "[-1,10]"),
        (b'{"strData":"x"}', 400, "strData"),
        (b'{"binData":"!"}', 400, "binData"),
    ):
        answer = requests.post(lr.url + "/api/v1.0/predictions", data=body, headers={"Content-Type": "application/json"}, timeout=DEADLINE)
        assert answer.status_code == status, body
        found = answer.json()["status"]
        assert set(found) == {"code", "info", "reason", "status"} and found["code"] == -1 and found["status"] == 1
        assert found["reason"] == "MICROSERVICE_BAD_DATA" and word in found["info"], (body, found)
    unknown = requests.post(lr.url + "/models/nope/api/v1.0/predictions", json={"data": {"ndarray": [[1]]}}, timeout=DEADLINE)
    assert unknown.status_code == 404 and "nope" in unknown.json()["status"]["info"]


def test_the_api_is_described(lr):
    for path in ("/seldon.json", "/api/v1.0/doc/seldon.json", "/api/v0.1/doc/seldon.json"):
        document = requests.get(lr.url + path, timeout=DEADLINE).json()
        assert document["openapi"].startswith("3.")
    page = requests.get(lr.url + "/api/v1.0/doc", timeout=DEADLINE)
    assert page.status_code == 200 and page.url.endswith("/api/v1.0/doc/") and "<html" in page.text
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            if method == "get":
                answer = requests.get(lr.url + path, timeout=DEADLINE)
            else:
                answer = requests.post(lr.url + path, json=about["requestBody"]["content"]["application/json"]["example"], timeout=DEADLINE)
            assert answer.status_code == 200, (path, answer.text)


def test_large_messages_are_answered_exactly(echo):
    picture = np.random.RandomState(0).randint(0, 256, (480, 320, 3))
    found = ask(echo, {"data": {"ndarray": picture.tolist()}})
    assert (np.array(found["data"]["ndarray"]) == picture).all() and len(found["data"]["names"]) == 320
    values = np.random.RandomState(1).randn(200000)
    found = ask(echo, {"data": {"tensor": {"shape": [1000, 200], "values": values.tolist()}}})
    assert found["data"]["tensor"]["values"] == values.tolist()


def test_many_clients_at_once_get_their_own_answers(echo):
    def one(number):
        with requests.Session() as session:
            for k in range(20):
                size = 1 if k % 5 else 60000
                body = {"data": {"ndarray": [[number * 1000 + k] * size]}}
                answer = session.post(echo.url + "/predict", json=body, timeout=DEADLINE).json()
                assert answer["data"]["ndarray"] == body["data"]["ndarray"]
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(8)))


# ---- gRPC --------------------------------------------------------------------------------------------------------------


class Grpc:
    """Calls and messages made from the server's own descriptors."""

    def __init__(self, server):
        import grpc
        from google.protobuf.descriptor_pool import DescriptorPool
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

        self.channel = grpc.insecure_channel(f"{server.host}:{server.port}", options=[("grpc.max_receive_message_length", 64 << 20)])
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def message(self, name):
        from google.protobuf.message_factory import GetMessageClass

        return GetMessageClass(self.pool.FindMessageTypeByName(name))

    def call(self, method, request, metadata=()):
        service, _, name = method.partition("/")
        about = self.pool.FindServiceByName(f"seldon.protos.{service}").FindMethodByName(name)
        answer = self.message(about.output_type.full_name)
        stub = self.channel.unary_unary(f"/seldon.protos.{method}", lambda m: m.SerializeToString(), answer.FromString)
        found, call = stub.with_call(request, timeout=DEADLINE, metadata=metadata)
        self.metadata = dict(call.initial_metadata())
        return found

    def seldon_message(self, text):
        from google.protobuf.json_format import Parse

        return Parse(json.dumps(text), self.message("seldon.protos.SeldonMessage")(), descriptor_pool=self.pool)


@pytest.fixture
def lr_grpc(lr):
    g = Grpc(lr)
    yield g
    g.channel.close()


@pytest.fixture
def echo_grpc(echo):
    g = Grpc(echo)
    yield g
    g.channel.close()


def test_grpc_predictions_equal_rest(lr, lr_grpc):
    for method in ("Model/Predict", "Seldon/Predict"):
        tensor = lr_grpc.call(method, lr_grpc.seldon_message({"data": {"tensor": {"shape": [200, 10], "values": lr.x.ravel().tolist()}}}))
        assert list(tensor.data.tensor.shape) == [200, 2]
        assert np.abs(np.array(tensor.data.tensor.values) - lr.expected.ravel()).max() < 1e-6
        rows = lr_grpc.call(method, lr_grpc.seldon_message({"data": {"ndarray": lr.x[:5].tolist()}}), metadata=[("seldon-puid", "mine")])
        got = [[v.number_value for v in row.list_value.values] for row in rows.data.ndarray.values]
        assert np.abs(np.array(got) - lr.expected[:5]).max() < 1e-6
        assert lr_grpc.metadata["seldon-puid"] == "mine"
    packed = lr_grpc.seldon_message({"data": {"tftensor": {"dtype": "DT_DOUBLE", "tensorShape": {"dim": [{"size": 2}, {"size": 10}]}}}})
    packed.data.tftensor.tensor_content = lr.x[:2].astype("<f8").tobytes()
    found = lr_grpc.call("Model/Predict", packed).data.tftensor
    assert found.dtype == 1 and np.abs(np.frombuffer(found.tensor_content, "<f4") - lr.expected[:2].ravel()).max() < 1e-6


def test_grpc_payloads_come_back_as_they_went(echo_grpc):
    for text in ({"strData": "h\u00e9"}, {"binData": "AAEC"}, {"jsonData": {"a": [1, None, "x"]}},
                 {"customData": {"@type": "type.googleapis.com/seldon.protos.Tensor", "shape": [1]}},
                 {"data": {"ndarray": [["a", "b"]]}}, {"data": {"ndarray": [True]}}, {"data": {"ndarray": [[[1.5]]]}}):
        message = echo_grpc.seldon_message({**text, "meta": {"puid": "p", "tags": {"t": {"k": 1}}}})
        found = echo_grpc.call("Model/Predict", message)
        assert echo_grpc.metadata["seldon-puid"] == "p"
        if found.HasField("data"):
            del found.data.names[:]
        assert found.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


def test_grpc_feedback_metadata_and_identity(lr, lr_grpc):
    feedback = lr_grpc.message("seldon.protos.Feedback")(reward=2.5)
    for method in ("Model/SendFeedback", "Seldon/SendFeedback", "Generic/SendFeedback", "Router/SendFeedback"):
        found = lr_grpc.call(method, feedback)
        assert found.data.HasField("ndarray") and found.HasField("meta")
    assert 'hythe_model_feedback_reward_total{model="lr"} 10' in requests.get(lr.url + "/metrics", timeout=DEADLINE).text
    empty = lr_grpc.message("google.protobuf.Empty")()
    named = lr_grpc.message("seldon.protos.SeldonModelMetadataRequest")(name="lr")
    for found in (lr_grpc.call("Model/Metadata", empty), lr_grpc.call("Seldon/ModelMetadata", named)):
        assert found.name == "lr" and list(found.inputs[0].shape) == [-1, 10]
        assert [v.string_value for v in found.inputs[0].schema.struct_value.fields["names"].list_value.values] == FEATURES
    assert set(lr_grpc.call("Seldon/GraphMetadata", empty).models) == {"lr"}
    for method in ("Transformer/TransformInput", "OutputTransformer/TransformOutput", "Generic/TransformInput", "Generic/TransformOutput"):
        assert lr_grpc.call(method, lr_grpc.seldon_message({"strData": "s"})).strData == "s"


def test_grpc_errors_have_a_code_and_a_text(lr, lr_grpc):
    import grpc

    def refused(method, request, code, word):
        with pytest.raises(grpc.RpcError) as caught:
            lr_grpc.call(method, request)
        assert caught.value.code() == code and word in caught.value.details(), caught.value.details()

    invalid = grpc.StatusCode.INVALID_ARGUMENT
    message = lr_grpc.seldon_message
    refused("Model/Predict", message({}), invalid, "none of data")
    refused("Model/Predict", message({"strData": "x"}), invalid, "strData")
    refused("Model/Predict", message({"data": {"ndarray": [[1, 2], [3]]}}), invalid, "ragged")
    refused("Model/Predict", message({"data": {"tensor": {"shape": [2, 10], "values": [1]}}}), invalid, "needs 20 values")
    refused("Model/Predict", message({"data": {"ndarray": [[1, 2]]}}), invalid, "[-1,10]")
    refused("Router/Route", message({"strData": "x"}), invalid, "Route not defined")
    refused("Combiner/Aggregate", lr_grpc.message("seldon.protos.SeldonMessageList")(), invalid, "Aggregate not defined")
    refused("Seldon/ModelMetadata", lr_grpc.message("seldon.protos.SeldonModelMetadataRequest")(name="nope"),
            grpc.StatusCode.NOT_FOUND, "nope")
    stub = lr_grpc.channel.unary_unary("/seldon.protos.Model/Predict", lambda b: b, lambda b: b)
    with pytest.raises(grpc.RpcError) as caught:
        stub(b"\xff\xff", timeout=DEADLINE)
    assert caught.value.code() == invalid


def test_grpc_metadata_names_the_model(serve):
    server = serve(["lr=lr.onnx", "builtin:echo"])
    g = Grpc(server)
    message = g.seldon_message({"strData": "s"})
    assert g.call("Model/Predict", message, metadata=[("seldon", "echo")]).strData == "s"
    with pytest.raises(Exception, match="strData"):
        g.call("Model/Predict", message)
    with pytest.raises(Exception, match="nope"):
        g.call("Model/Predict", message, metadata=[("seldon", "nope")])
    g.channel.close()


def test_a_large_tensor_travels_exactly_over_grpc(echo_grpc):
    values = np.random.RandomState(2).randn(300000)
    message = echo_grpc.message("seldon.protos.SeldonMessage")()
    message.data.tensor.shape.extend([1000, 300])
    message.data.tensor.values.extend(values.tolist())
    assert list(echo_grpc.call("Model/Predict", message).data.tensor.values) == values.tolist()
