# SPDX-License-Identifier: Apache-2.0
"""Clients that nobody here wrote: MLServer's, seldon-core's, tritonclient, requests, curl, gRPC reflection and health."""
import json
import pathlib
import shutil
import subprocess
import textwrap

import numpy as np
import pytest
import requests

from waiting import DEADLINE, until

ROOT = pathlib.Path(__file__).resolve().parent.parent
FEATURES = [f"G{i}" for i in range(1, 11)]


def in_environment(name, script, *arguments, **options):
    """Runs a script with the Python of .venv-NAME and gives what it printed as JSON on its last line."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        pytest.fail(f"{python} is missing: ./dev test makes it")
    done = subprocess.run([python, "-c", textwrap.dedent(script), *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def answers(models_dir):
    return np.load(models_dir / "lr-x.npy"), np.load(models_dir / "lr-proba.npy")


def test_tritonclient_over_http_in_json_and_binary(serve, answers):
    import tritonclient.http as http

    x, expected = answers
    server = serve("lr=lr.onnx")
    client = http.InferenceServerClient(f"{server.host}:{server.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("lr")
    assert client.get_model_metadata("lr")["inputs"][0]["shape"] == [-1, 10]
    assert client.get_model_repository_index()[0]["name"] == "lr"
    for binary_in in (False, True):
        for binary_out in (False, True):
            tensor = http.InferInput("X", list(x.shape), "FP32")
            tensor.set_data_from_numpy(x.astype(np.float32), binary_data=binary_in)
            wanted = http.InferRequestedOutput("probabilities", binary_data=binary_out)
            result = client.infer("lr", [tensor], outputs=[wanted], request_id="seven")
            assert result.get_response()["id"] == "seven"
            assert np.abs(result.as_numpy("probabilities") - expected).max() < 1e-6
    for coding in ("gzip", "deflate"):
        result = client.infer("lr", [tensor], request_compression_algorithm=coding, response_compression_algorithm=coding)
        assert np.abs(result.as_numpy("probabilities") - expected).max() < 1e-6
    with pytest.raises(http.InferenceServerException if hasattr(http, "InferenceServerException") else Exception, match="nope"):
        client.infer("nope", [tensor])
    client.unload_model("lr")
    assert not client.is_model_ready("lr")
    client.load_model("lr")
    assert client.is_model_ready("lr")
    stats = client.get_inference_statistics("lr")
    assert stats["model_stats"][0]["inference_count"] >= 1
    client.close()


def test_tritonclient_over_grpc(serve, answers):
    import tritonclient.grpc as grpc

    x, expected = answers
    server = serve("lr=lr.onnx")
    client = grpc.InferenceServerClient(f"{server.host}:{server.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("lr")
    assert client.get_server_metadata().name == "hythe"
    assert client.get_model_metadata("lr").platform == "onnx_onnxv1"
    assert client.get_model_config("lr").config.name == "lr"
    assert [m.name for m in client.get_model_repository_index().models] == ["lr"]
    tensor = grpc.InferInput("X", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x.astype(np.float32))
    for options in ({}, {"compression_algorithm": "gzip"}):
        result = client.infer("lr", [tensor], request_id="eight", outputs=[grpc.InferRequestedOutput("probabilities")], **options)
        assert result.get_response().id == "eight"
        assert np.abs(result.as_numpy("probabilities") - expected).max() < 1e-6
    with pytest.raises(Exception, match="nope"):
        client.infer("nope", [tensor])
    with pytest.raises(Exception, match="10"):
        wrong = grpc.InferInput("X", [1, 3], "FP32")
        wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
        client.infer("lr", [wrong])
    stream = []
    client.start_stream(callback=lambda result, error: stream.append((result, error)))
    for number in range(5):
        client.async_stream_infer("lr", [tensor], request_id=str(number))
    client.stop_stream()
    assert [result.get_response().id for result, error in stream] == list("01234")
    client.unload_model("lr")
    assert not client.is_model_ready("lr")
    client.load_model("lr")
    assert client.is_model_ready("lr")
    client.close()


def test_mlservers_batch_client_and_codecs(serve, answers, tmp_path):
    x, expected = answers
    server = serve("lr=lr.onnx")
    found = in_environment("mlserver", """
        import json, subprocess, sys, pathlib
        import numpy as np, urllib.request
        from mlserver.codecs import NumpyCodec, NumpyRequestCodec
        from mlserver.types import InferenceRequest, InferenceResponse
        url, folder, x = sys.argv[1], pathlib.Path(sys.argv[2]), np.array(json.loads(sys.argv[3]))
        request = InferenceRequest(inputs=[NumpyCodec.encode_input(name="input", payload=x)])
        question = urllib.request.Request(f"http://{url}/v2/models/lr/infer", request.model_dump_json().encode(), {"Content-Type": "application/json"})
        answer = json.loads(urllib.request.urlopen(question, timeout=60).read())
        outputs = {o.name: NumpyCodec.decode_output(o).tolist() for o in InferenceResponse(**answer).outputs}
        lines = [InferenceRequest(inputs=[NumpyCodec.encode_input(name="input", payload=row.reshape(1, -1))]).model_dump_json(exclude_none=True) for row in x]
        (folder / "in.jsonl").write_text("\\n".join(lines) + "\\n")
        tool = pathlib.Path(sys.executable).parent / "mlserver"
        subprocess.run([tool, "infer", "-u", url, "-m", "lr", "-i", folder / "in.jsonl", "-o", folder / "out.jsonl", "-s", "5"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        batch = [InferenceResponse(**json.loads(line)) for line in open(folder / "out.jsonl")]
        rows = {r.parameters.model_extra["batch_index"] if r.parameters and r.parameters.model_extra else i:
                [o for o in r.outputs if o.name == "probabilities"][0].data.root for i, r in enumerate(batch)}
        print(json.dumps({"outputs": outputs, "batch": [rows[i] for i in sorted(rows)]}))
        """, f"{server.host}:{server.port}", tmp_path, json.dumps(x[:20].tolist()))
    assert np.abs(np.array(found["outputs"]["probabilities"]) - expected[:20]).max() < 1e-6
    assert np.abs(np.array(found["batch"]).reshape(-1, 2) - expected[:20]).max() < 1e-6


def test_seldon_cores_client_over_rest_and_grpc(serve, answers):
    x, expected = answers
    server = serve("lr=lr.onnx")
    found = in_environment("seldon", """
        import json, sys
        import numpy as np
        from seldon_core.seldon_client import SeldonClient
        from seldon_core.utils import get_data_from_proto
        host, port, x = sys.argv[1], int(sys.argv[2]), np.array(json.loads(sys.argv[3]))
        client = SeldonClient(microservice_endpoint=f"{host}:{port}")
        names = [f"G{i}" for i in range(1, 11)]
        out = {}
        for transport in ("rest", "grpc"):
            for payload in ("tensor", "ndarray"):
                r = client.microservice(data=x, method="predict", transport=transport, payload_type=payload, names=names)
                assert r.success, r.msg
                assert r.response.data.WhichOneof("data_oneof") == payload, r.response
                out[f"{transport}-{payload}"] = get_data_from_proto(r.response).tolist()
        asked = client.microservice(data=x, method="predict", transport="grpc")
        r = client.microservice_feedback(prediction_request=asked.request, prediction_response=asked.response, reward=1.0, transport="grpc")
        assert r.success, r.msg
        print(json.dumps(out))
        """, server.host, server.port, json.dumps(x[:20].tolist()))
    assert set(found) == {"rest-tensor", "rest-ndarray", "grpc-tensor", "grpc-ndarray"}
    for kind, values in found.items():
        assert np.abs(np.array(values).reshape(-1, 2) - expected[:20]).max() < 1e-6, kind


def test_curl_speaks_every_version_of_http(serve):
    server = serve("lr=lr.onnx")
    row = json.dumps({name: 1 for name in FEATURES})
    for flags in ([], ["--http1.0"], ["--http2-prior-knowledge"], ["--compressed"], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
        out = subprocess.run(["curl", "-sS", "--fail", *flags, f"{server.url}/predict", "-d", row], capture_output=True, text=True, timeout=60)
        assert out.returncode == 0, (flags, out.stderr)
        assert json.loads(out.stdout)["success"] is True, flags


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl: the command is not installed")
def test_tls_with_http2_by_alpn_and_a_new_certificate_on_hangup(serve, tmp_path):
    import signal

    def certificate(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
                        "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)

    certificate("first")
    server = serve("lr=lr.onnx", "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    url = f"https://127.0.0.1:{server.port}/v2/health/ready"
    for version, flag in (("2", "--http2"), ("1.1", "--http1.1")):
        out = subprocess.run(["curl", "-sS", "--fail", flag, "--cacert", tmp_path / "cert.pem", "-w", "%{http_version}", "-o", "/dev/null", url],
                             capture_output=True, text=True, timeout=60)
        assert out.returncode == 0, out.stderr
        assert out.stdout == version
    plain = subprocess.run(["curl", "-sS", "--tls-max", "1.1", "-k", url], capture_output=True, text=True, timeout=60)
    assert plain.returncode != 0, "TLS 1.1 is refused"
    certificate("second")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("certificate read again")
    until("the new certificate", lambda: "CN=second" in subprocess.run(["curl", "-sS", "-v", "-k", "-o", "/dev/null", url], capture_output=True, text=True, timeout=60).stderr)


def test_requests_keep_one_connection(serve):
    server = serve("lr=lr.onnx")
    with requests.Session() as session:
        for _ in range(50):
            answer = session.post(f"{server.url}/predict", json={name: 0 for name in FEATURES}, timeout=DEADLINE)
            assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")
        metrics = session.get(f"{server.url}/metrics", timeout=DEADLINE).text
    assert "\nhythe_connections_accepted_total 1\n" in metrics


def test_grpc_reflection_and_health(serve):
    import grpc
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    server = serve("lr=lr.onnx")
    with grpc.insecure_channel(f"{server.host}:{server.port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        assert {"inference.GRPCInferenceService", "seldon.protos.Model", "seldon.protos.Seldon", "grpc.health.v1.Health"} <= names
        service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
        assert service.FindMethodByName("ModelInfer").input_type.fields_by_name["raw_input_contents"].number == 7
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE).status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
