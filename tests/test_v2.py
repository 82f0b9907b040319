"""The Open Inference Protocol (V2), REST and gRPC, TensorFlow Serving's and KServe's V1: with clients that nobody here wrote."""
import json
import threading
import time

import grpc
import numpy as np
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from conftest import DEADLINE
from tritonclient.utils import InferenceServerException
from waiting import until


def http_client(server):
    return triton_http.InferenceServerClient(f"{server.host}:{server.port}", connection_timeout=DEADLINE, network_timeout=DEADLINE)


def grpc_client(server):
    return triton_grpc.InferenceServerClient(f"{server.host}:{server.port}")


def infer_url(server, model):
    return f"{server.url}/v2/models/{model}/infer"


def post(server, model, inputs, **more):
    answer = requests.post(infer_url(server, model), json={"inputs": inputs, **more}, timeout=DEADLINE)
    return answer.status_code, answer.json()


def tensor(module, name, data, datatype, binary=True):
    value = module.InferInput(name, data.shape, datatype)
    if module is triton_http:
        value.set_data_from_numpy(data, binary_data=binary)
    else:
        value.set_data_from_numpy(data)
    return value


@pytest.fixture
def rows(models_dir):
    return np.load(models_dir / "lr-x.npy"), np.load(models_dir / "lr-proba.npy")


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("dtype,name", [(np.float64, "FP64"), (np.float32, "FP32")])
def test_tritonclient_http_scores_as_scikit_learn(serve, rows, binary, dtype, name):
    x, proba = rows
    client = http_client(serve("lr.onnx"))
    outputs = [triton_http.InferRequestedOutput("predict_proba", binary_data=binary)]
    result = client.infer("lr", [tensor(triton_http, "X", x.astype(dtype), name, binary)], outputs=outputs, request_id="seven")
    assert result.get_response()["id"] == "seven"
    np.testing.assert_allclose(result.as_numpy("predict_proba"), proba, atol=1e-6)


def test_tritonclient_grpc_scores_as_scikit_learn(serve, rows):
    x, proba = rows
    client = grpc_client(serve("lr.onnx"))
    result = client.infer("lr", [tensor(triton_grpc, "X", x.astype(np.float32), "FP32")], request_id="eight")
    assert result.get_response().id == "eight"
    np.testing.assert_allclose(result.as_numpy("probabilities"), proba, atol=1e-6)
    np.testing.assert_array_equal(result.as_numpy("label"), proba.argmax(axis=1))


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_bodies_go_both_ways(serve, rows, compression):
    x, proba = rows
    client = http_client(serve("lr.onnx"))
    result = client.infer("lr", [tensor(triton_http, "X", x, "FP64")], request_compression_algorithm=compression,
                          response_compression_algorithm="gzip")
    np.testing.assert_allclose(result.as_numpy("probabilities"), proba, atol=1e-6)


TYPES = {"BOOL": bool, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "INT8": np.int8,
         "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
         "BYTES": np.object_}


def sample(datatype):
    if datatype == "BYTES":
        return np.array([[b"a", b""], ["h\u00e9".encode(), b"quote\""]], dtype=np.object_)
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    dtype = TYPES[datatype]
    info = np.finfo(dtype) if np.issubdtype(dtype, np.floating) else np.iinfo(dtype)
    return np.array([[info.min, info.max], [0, 1]], dtype=dtype)


@pytest.mark.parametrize("datatype", TYPES)
def test_every_type_comes_back_exactly_over_http_and_grpc(serve, datatype):
    server = serve("builtin:echo")
    data = sample(datatype)
    for binary_in in (True, False):
        for binary_out in (True, False):
            if datatype == "FP16" and not binary_in:
                continue  # tritonclient has no JSON form of it
            result = http_client(server).infer("echo", [tensor(triton_http, "x", data, datatype, binary_in)],
                                               outputs=[triton_http.InferRequestedOutput("output", binary_data=binary_out)])
            got = result.as_numpy("output")
            if datatype == "BYTES" and not binary_out:
                got = np.array([s if isinstance(s, bytes) else s.encode() for s in got.ravel()], dtype=np.object_).reshape(got.shape)
            np.testing.assert_array_equal(got, data)
    result = grpc_client(server).infer("echo", [tensor(triton_grpc, "x", data, datatype)])
    np.testing.assert_array_equal(result.as_numpy("output"), data)


def test_typed_grpc_contents_are_answered_as_typed(serve, rows):
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    x, proba = rows
    server = serve("lr.onnx")
    with grpc.insecure_channel(f"{server.host}:{server.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="lr")
        one = request.inputs.add(name="X", datatype="FP64", shape=x.shape)
        one.contents.fp64_contents.extend(x.ravel().tolist())
        answer = stub.ModelInfer(request)
        assert not answer.raw_output_contents
        np.testing.assert_allclose(np.array(answer.outputs[1].contents.fp32_contents).reshape(-1, 2), proba, atol=1e-6)
        assert list(answer.outputs[0].contents.int64_contents) == proba.argmax(axis=1).tolist()
        assert len(answer.id) == 36

        request.raw_input_contents.append(b"1")
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(request)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as error:
            stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest())
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_errors_name_what_was_expected_and_what_came(serve):
    server = serve("lr.onnx")
    status, body = post(server, "lr", [{"name": "X", "shape": [1, 9], "datatype": "FP32", "data": [0] * 9}])
    assert status == 400 and "expected FP32 with shape [-1,10], came FP32 with shape [1,9]" in body["error"]
    status, body = post(server, "nope", [])
    assert status == 404 and "served here: lr" in body["error"]
    with pytest.raises(InferenceServerException, match="has no output 'nope'"):
        http_client(server).infer("lr", [tensor(triton_http, "X", np.zeros((1, 10)), "FP64")],
                                  outputs=[triton_http.InferRequestedOutput("nope")])
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        grpc_client(server).get_model_metadata("nope")


def test_metadata_config_and_statistics_agree_over_both(serve, rows):
    server = serve("lr.onnx")
    http, rpc = http_client(server), grpc_client(server)
    assert http.is_server_live() and http.is_server_ready() and http.is_model_ready("lr")
    assert rpc.is_server_live() and rpc.is_server_ready() and rpc.is_model_ready("lr", "1")
    assert http.get_server_metadata()["name"] == rpc.get_server_metadata().name == "hythe"
    metadata, message = http.get_model_metadata("lr"), rpc.get_model_metadata("lr")
    assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 10]}]
    assert [(o["name"], o["datatype"], o["shape"]) for o in metadata["outputs"]] == \
        [(o.name, o.datatype, list(o.shape)) for o in message.outputs]
    assert http.get_model_config("lr")["input"][0]["dims"] == list(rpc.get_model_config("lr").config.input[0].dims) == [-1, 10]
    for _ in range(3):
        http.infer("lr", [tensor(triton_http, "X", rows[0], "FP64")])
    stats = http.get_inference_statistics("lr")["model_stats"][0]
    assert stats["inference_count"] == 600 and stats["execution_count"] == 3
    assert stats["inference_stats"]["success"]["count"] == 3 and stats["inference_stats"]["compute_infer"]["ns"] > 0
    assert abs(stats["last_inference"] - time.time() * 1000) < 60000
    assert rpc.get_inference_statistics("lr").model_stats[0].inference_count == 600
    assert 'hythe_model_rows_total{model="lr",version="1"} 600' in requests.get(server.url + "/metrics", timeout=DEADLINE).text


def test_models_are_unloaded_and_loaded_by_clients(serve):
    server = serve(["lr.onnx", "linreg.onnx"])
    for client in (http_client(server), grpc_client(server)):
        client.unload_model("linreg")
        assert not client.is_model_ready("linreg") and client.is_model_ready("lr")
        index = client.get_model_repository_index()
        states = {m["name"]: m["state"] for m in index} if isinstance(index, list) else {m.name: m.state for m in index.models}
        assert states == {"lr": "READY", "linreg": "UNAVAILABLE"}
        client.load_model("linreg")
        assert client.is_model_ready("linreg")
        client.load_model("linreg", config=json.dumps({"max_batch_size": 4}))
        with pytest.raises(InferenceServerException):
            client.load_model("nope")


def test_classification_names_the_best_classes(serve):
    server = serve("lr3.onnx")
    for module, client in ((triton_http, http_client(server)), (triton_grpc, grpc_client(server))):
        outputs = [module.InferRequestedOutput("probabilities", class_count=2)]
        got = client.infer("lr3", [tensor(module, "X", np.ones((3, 8), np.float32), "FP32")], outputs=outputs).as_numpy("probabilities")
        assert got.shape == (3, 2)
        value, index, label = got[0][0].decode().split(":")
        assert float(value) > 0.33 and 0 <= int(index) < 3 and label in ("low", "mid", "high")


def test_columns_make_a_matrix_and_a_matrix_makes_columns(serve, models_dir, rows):
    x, proba = rows
    server = serve(["lr.onnx", "pipeline.onnx"])
    names = [f"G{i}" for i in range(1, 11)]
    columns = [{"name": n, "shape": [len(x), 1], "datatype": "FP64", "data": x[:, i].tolist()} for i, n in enumerate(names)]
    status, body = post(server, "lr", columns[::-1], outputs=[{"name": "predict_proba"}])
    assert status == 200
    np.testing.assert_allclose(np.reshape(body["outputs"][0]["data"], (-1, 2)), proba, atol=1e-6)
    status, body = post(server, "lr", columns[1:])
    assert status == 400 and "missing inputs: G1" in body["error"]

    import pandas
    frame = pandas.read_csv(models_dir / "pipeline.csv").head(50)
    expected = np.load(models_dir / "pipeline-proba.npy")
    columns = [{"name": c, "shape": [50, 1], "datatype": "BYTES" if c == "city" else "FP32", "data": frame[c].tolist()}
               for c in ("age", "income", "city")]
    status, body = post(server, "pipeline", columns, outputs=[{"name": "probabilities"}])
    assert status == 200
    np.testing.assert_allclose(np.reshape(body["outputs"][0]["data"], (-1, 2)), expected, atol=1e-6)


def test_raw_requests_and_binary_answers(serve, rows):
    x, proba = rows
    server = serve("lr.onnx")
    answer = requests.post(infer_url(server, "lr"), data=x[:4].astype(np.float32).tobytes(), timeout=DEADLINE,
                           headers={"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"})
    assert answer.status_code == 200
    length = int(answer.headers["Inference-Header-Content-Length"])
    head = json.loads(answer.content[:length])
    assert [o["parameters"]["binary_data_size"] for o in head["outputs"]] == [32, 32]
    np.testing.assert_allclose(np.frombuffer(answer.content[length + 32:], np.float32).reshape(4, 2), proba[:4], atol=1e-6)
    answer = requests.post(infer_url(server, "lr"), data=b"1234", headers={"Content-Type": "application/octet-stream"}, timeout=DEADLINE)
    assert answer.status_code == 400 and "Inference-Header-Content-Length" in answer.json()["error"]


def test_nonfinite_numbers_and_large_integers_in_json(serve):
    server = serve("builtin:echo")
    text = '{"inputs":[{"name":"x","shape":[5],"datatype":"FP64","data":[null,"NaN","Infinity",NaN,0.1]}]}'
    answer = requests.post(infer_url(server, "echo"), data=text, timeout=DEADLINE)
    assert answer.json()["outputs"][0]["data"] == [None, None, None, None, 0.1]
    text = '{"inputs":[{"name":"x","shape":[2],"datatype":"UINT64","data":[18446744073709551615,9007199254740993]}]}'
    assert "[18446744073709551615,9007199254740993]" in requests.post(infer_url(server, "echo"), data=text, timeout=DEADLINE).text


def test_a_stream_of_requests_is_answered_one_by_one(serve, rows):
    x, proba = rows
    client = grpc_client(serve("lr.onnx"))
    got, done = [], threading.Event()

    def callback(result, error):
        got.append(error if error else result)
        if len(got) == 21:
            done.set()

    client.start_stream(callback)
    for i in range(20):
        client.async_stream_infer("lr", [tensor(triton_grpc, "X", x[i:i + 1].astype(np.float32), "FP32")], request_id=str(i))
    client.async_stream_infer("lr", [tensor(triton_grpc, "X", np.zeros((1, 3), np.float32), "FP32")])
    assert done.wait(DEADLINE)
    client.stop_stream()
    for i in range(20):
        assert got[i].get_response().id == str(i)
        np.testing.assert_allclose(got[i].as_numpy("probabilities")[0], proba[i], atol=1e-6)
    assert "expected FP32 with shape [-1,10]" in str(got[20])


def test_large_requests_run_beside_small_ones(serve):
    server = serve("builtin:echo", "--workers", "1")
    big = np.arange(2_000_000, dtype=np.float64).reshape(1000, 2000)
    result = http_client(server).infer("echo", [tensor(triton_http, "x", big, "FP64", False)])
    np.testing.assert_array_equal(result.as_numpy("output"), big)
    result = grpc_client(server).infer("echo", [tensor(triton_grpc, "x", big, "FP64")])
    np.testing.assert_array_equal(result.as_numpy("output"), big)


def test_health_checks(serve):
    server = serve("lr.onnx", "--drain-timeout", "1h")
    with grpc.insecure_channel(f"{server.host}:{server.port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"") == b"\x08\x01"
        name = b"inference.GRPCInferenceService"
        assert check(b"\x0a" + bytes([len(name)]) + name) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as error:
            check(b"\x0a\x04nope")
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
    with grpc.insecure_channel(f"{server.host}:{server.port}") as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        known, unknown = watch(b""), watch(b"\x0a\x04nope")
        assert next(known) == b"\x08\x01" and next(unknown) == b"\x08\x03"
        unknown.cancel()
        time.sleep(0.2)
        assert known.is_active()  # it stays open until the server goes
        assert server.stop() == 0, "it does not wait for those who watch"
        assert known.code() == grpc.StatusCode.UNAVAILABLE


def test_probes_and_metrics(serve):
    server = serve("lr.onnx")
    for path in ("/live", "/ready", "/healthz", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/"):
        assert requests.get(server.url + path, timeout=DEADLINE).status_code == 200
    assert requests.get(server.url + "/", timeout=DEADLINE).json()["status"] == "alive"
    text = requests.get(server.url + "/metrics", headers={"Accept": "application/openmetrics-text"}, timeout=DEADLINE)
    assert text.text.endswith("# EOF\n")


def test_a_changed_file_is_served_without_losing_a_request(serve, models_dir, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes((models_dir / "lr.onnx").read_bytes())
    server = serve(path, "--watch-files", "50ms")
    stop, failed, count = threading.Event(), [], [0]

    def ask():
        with requests.Session() as session:
            while not stop.is_set():
                answer = session.get(f"{server.url}/v2/models/m/ready", timeout=DEADLINE)
                count[0] += 1
                if answer.status_code != 200:
                    failed.append(answer.text)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        (tmp_path / "new").write_bytes((models_dir / "linreg.onnx").read_bytes())
        (tmp_path / "new").rename(path)
        until("the new file served", lambda: requests.get(f"{server.url}/v2/models/m", timeout=DEADLINE).json()["inputs"][0]["shape"] == [-1, 8])
    finally:
        stop.set()
        thread.join()
    assert count[0] > 0 and not failed


# ---- V1 ----------------------------------------------------------------------------------------------------------------

def v1(server, model, verb, body):
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    answer = requests.post(f"{server.url}/v1/models/{model}:{verb}", data=data, timeout=DEADLINE)
    return answer.status_code, answer.text


def test_v1_predicts_in_rows_and_columns(serve, rows):
    x, proba = rows
    server = serve(["lr.onnx", "linreg.onnx", "builtin:echo"])
    status, text = v1(server, "lr", "predict", {"instances": x.tolist()})
    assert status == 200
    np.testing.assert_allclose(json.loads(text)["predictions"], proba, atol=1e-6)
    status, text = v1(server, "lr/versions/1", "predict", {"inputs": x.tolist(), "signature_name": "predict"})
    assert json.loads(text) == {"outputs": proba.argmax(axis=1).tolist()}
    named = [{f"G{i + 1}": v for i, v in enumerate(row)} for row in x[:5].tolist()]
    status, text = v1(server, "lr", "predict", {"signature_name": "serving_default", "instances": named})
    np.testing.assert_allclose(json.loads(text)["predictions"], proba[:5], atol=1e-6)
    columns = {f"G{i + 1}": x[:5, i].tolist() for i in range(10)}
    status, text = v1(server, "lr", "predict", {"inputs": columns})
    np.testing.assert_allclose(json.loads(text)["outputs"], proba[:5], atol=1e-6)
    assert v1(server, "echo", "predict", '{"instances":[NaN,-Infinity,1e400,0.5]}') == (200, '{"predictions":[NaN,-Infinity,Infinity,0.5]}')
    assert v1(server, "echo", "predict", {"instances": [{"b64": "/w=="}, "t"]}) == (200, '{"predictions":[{"b64":"/w=="},"t"]}')
    assert v1(server, "echo", "predict", {"instances": [True, False]}) == (200, '{"predictions":[true,false]}')


@pytest.mark.parametrize("body,part", [
    ("", "line 1"), ("[]", "line 1"), ({}, "neither 'instances'"), ({"instances": 5}, "not a list"), ({"instances": {}}, "not a list"),
    ({"instances": [[1]], "inputs": [[1]]}, "both 'instances' and 'inputs'"), ({"instances": [[1] * 9]}, "expected FP32 with shape [-1,10]"),
    ({"instances": [["a"] * 10]}, "came BYTES"), ({"instances": [[1] * 10, [1] * 9]}, ""), ({"instances": [{"G1": 1}]}, "missing inputs"),
    ({"instances": [{"G1": 1, "G2": 2}, {"G1": 1}]}, "row 1 has no 'G2'"), ({"instances": [{"shoe": 1, "G1": 1}]}, "no input 'shoe'"),
    ({"instances": [[1] * 10], "signature_name": "nope"}, "has no output 'nope'"), ({"instances": [{"b64": "!"}]}, ""),
    ({"instances": [{"b64": "/w==", "x": 1}]}, "beside b64"), ({"instances": [1, "a"]}, "mixed types"),
    ({"inputs": {"G1": [1], "G1b": [2]}}, "no input 'G1b'"), ({"instances": [[1] * 10], "signature_name": 7}, "line 1"),
    ('{"instances":[[1,2,3,4,5,6,7,8,9,10]]', "line 1"), ({"instances": []}, ""),
])
def test_v1_refuses_with_a_reason(serve, body, part):
    status, text = v1(serve("lr.onnx"), "lr", "predict", body)
    assert status == 400 and part in json.loads(text)["error"]


def test_v1_classifies_and_regresses_examples(serve, rows):
    x, proba = rows
    server = serve(["lr.onnx", "linreg.onnx", "lr3.onnx"])
    examples = [{f"G{i + 1}": v for i, v in enumerate(row[:9])} for row in x[:3].tolist()]
    status, text = v1(server, "lr", "classify", {"context": {"G10": [float(x[0, 9])]}, "examples": examples})
    assert status == 200
    results = json.loads(text)["results"]
    assert [label for label, _ in results[0]] == ["0", "1"]
    np.testing.assert_allclose([score for _, score in results[0]], proba[0], atol=1e-6)
    status, text = v1(server, "lr", "classify", {"examples": examples})
    assert status == 400 and "missing inputs: G10" in text
    status, text = v1(server, "lr", "regress", {"examples": examples})
    assert status == 400 and "not a regression" in text
    status, text = v1(server, "linreg", "regress", {"examples": [{"X": [1.0] * 8}, {"X": [2.0] * 8}]})
    assert status == 200 and len(json.loads(text)["results"]) == 2 and isinstance(json.loads(text)["results"][0], float)
    status, text = v1(server, "lr3", "classify", {"examples": [{"X": [1.0] * 8}]})
    assert sorted(label for label, _ in json.loads(text)["results"][0]) == ["high", "low", "mid"]
    status, text = v1(server, "linreg", "classify", {"examples": [{"X": [1.0] * 8}]})
    assert status == 400 and "not a classifier" in text


def test_v1_status_and_metadata(serve):
    server = serve(["lr.onnx"])
    assert requests.get(f"{server.url}/v1/models", timeout=DEADLINE).json() == {"models": ["lr"]}
    status = requests.get(f"{server.url}/v1/models/lr", timeout=DEADLINE).json()
    assert status["name"] == "lr" and status["ready"] is True and status["model_version_status"][0]["state"] == "AVAILABLE"
    metadata = requests.get(f"{server.url}/v1/models/lr/metadata", timeout=DEADLINE).json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["X"]["dtype"] == "DT_FLOAT"
    assert requests.get(f"{server.url}/v1/models/nope", timeout=DEADLINE).status_code == 404
    assert requests.get(f"{server.url}/v1/models/lr/versions/7", timeout=DEADLINE).status_code == 404
    requests.post(f"{server.url}/v2/repository/models/lr/unload", timeout=DEADLINE).raise_for_status()
    assert requests.get(f"{server.url}/v1/models/lr", timeout=DEADLINE).status_code == 503
