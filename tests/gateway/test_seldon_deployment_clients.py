# SPDX-License-Identifier: Apache-2.0
"""Clients that nobody here wrote, through the gateway to SeldonDeployments: seldon-core's, tritonclient, gRPC's health check. And the weights of two predictors."""
import collections
import http.client
import json
import pathlib
import subprocess
import textwrap

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from gates import address_of, everywhere
from test_seldon_deployments import MODEL, ROW, available, inference_service, m, post, seldon, served  # noqa: F401
from waiting import DEADLINE, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
REQUESTS = 10000


@pytest.fixture(scope="module")
def asked(m):  # noqa: F811
    m.apply(seldon("asked", served("default", replicas=1)))
    m.apply(seldon("triton", served("default", replicas=1), protocol="v2"))
    available(m, "asked")
    available(m, "triton")
    for path in ("asked/api/v1.0/predictions", "triton/v2/models/propensity/infer"):
        everywhere(f"{path} is routed", lambda: post(m, f"/seldon/default/{path}", {})[0] not in (404, 503))
    yield m.gateway_address()
    m.run("delete", "sdep", "asked", "triton")


def test_seldon_cores_client_by_name_over_rest_and_grpc(asked):
    python = ROOT / ".venv-seldon" / "bin" / "python"
    assert python.exists(), f"{python} is missing: ./dev test makes it"
    script = """
        import json, sys
        import numpy as np
        from seldon_core.seldon_client import SeldonClient
        from seldon_core.utils import get_data_from_proto
        client = SeldonClient(deployment_name="asked", namespace="default", gateway="ambassador", gateway_endpoint=sys.argv[1])
        out = {}
        for transport in ("rest", "grpc"):
            for payload in ("tensor", "ndarray"):
                r = client.predict(data=np.array(json.loads(sys.argv[2])), transport=transport, payload_type=payload)
                assert r.success, r.msg
                response = r.response
                data = response["data"] if isinstance(response, dict) else None
                out[transport + payload] = (data["ndarray"] if "ndarray" in data else data["tensor"]["values"]) if data else get_data_from_proto(response).tolist()
        print(json.dumps(out))
        """
    done = subprocess.run([python, "-c", textwrap.dedent(script), "%s:%d" % asked, json.dumps(ROW)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {kind: np.array(values).reshape(-1).tolist() for kind, values in json.loads(done.stdout.strip().splitlines()[-1]).items()}
    assert len(found) == 4 and len({tuple(np.round(values, 9)) for values in found.values()}) == 1, found
    assert abs(sum(next(iter(found.values()))) - 1) < 1e-9


def test_tritonclient_over_http_and_grpc(asked):
    import tritonclient.grpc
    import tritonclient.http

    rows = np.array(ROW, dtype=np.float32)
    found = []
    for kind, client, more in ((tritonclient.http, tritonclient.http.InferenceServerClient("%s:%d/seldon/default/triton" % asked), {}),
                               (tritonclient.grpc, tritonclient.grpc.InferenceServerClient("%s:%d" % asked), {"headers": {"seldon": "triton", "namespace": "default"}})):
        given = kind.InferInput("x", list(rows.shape), "FP32")
        given.set_data_from_numpy(rows)
        answer = client.infer("propensity", [given], **more)
        name = answer.get_response()["outputs"][0]["name"] if kind is tritonclient.http else answer.get_response().outputs[0].name
        found.append(answer.as_numpy(name))
        client.close()
    assert np.abs(found[0] - found[1]).max() < 1e-6


def test_tritonclient_asks_an_inference_service_by_its_host(m):  # noqa: F811
    import tritonclient.grpc
    from tritonclient.utils import InferenceServerException

    m.apply(inference_service("kserved"))
    try:
        m.run("wait", "--for=condition=Ready", "isvc/kserved", "--timeout=120s")
        rows = np.array(ROW, dtype=np.float32)
        given = tritonclient.grpc.InferInput("x", list(rows.shape), "FP32")
        given.set_data_from_numpy(rows)

        def client(host):
            return tritonclient.grpc.InferenceServerClient("%s:%d" % m.gateway_address(), channel_args=[("grpc.default_authority", host)])

        with client("kserved-default.example.com") as c:
            answer = until("an answer", lambda: c.infer("kserved", [given]))
            name = answer.get_response().outputs[0].name
            assert c.is_model_ready("kserved") and c.get_model_metadata("kserved").name == "kserved"
        with client("nobodys-default.example.com") as c:
            with pytest.raises(InferenceServerException):
                c.infer("kserved", [given])
        # What the gateway answers, and what the pod does.
        with tritonclient.grpc.InferenceServerClient("%s:8081" % address_of(m, "kserved-predictor")[0]) as c:
            there = until("an answer of the pod", lambda: c.infer("kserved", [given]))
        assert answer.as_numpy(name).tobytes() == there.as_numpy(name).tobytes()
        with grpc.insecure_channel("%s:%d" % m.gateway_address(), options=[("grpc.default_authority", "kserved-default.example.com")]) as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE).status == health_pb2.HealthCheckResponse.SERVING
    finally:
        m.run("delete", "isvc", "kserved")


def test_the_health_check_of_grpc(asked):
    with grpc.insecure_channel("%s:%d" % asked) as channel:
        with pytest.raises(grpc.RpcError) as e:  # it is nobody's without the headers that name a deployment
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
        assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_weights_hold_over_ten_thousand_requests(m):  # noqa: F811
    m.apply(seldon("split", served("old", traffic=90), dict(served("new", traffic=10), graph={"name": "newer", "implementation": "HYTHE_SERVER", "modelUri": f"file://{MODEL}"})))
    available(m, "split")
    everywhere("it is routed", lambda: post(m, "/seldon/default/split/api/v1.0/predictions", {"data": {"ndarray": ROW}})[0] == 200)
    body, counts = json.dumps({"data": {"ndarray": ROW}}), collections.Counter()
    client = http.client.HTTPConnection(*m.gateway_address(), timeout=60)
    for _ in range(REQUESTS):
        client.request("POST", "/seldon/default/split/api/v1.0/predictions", body, {"Content-Type": "application/json"})
        answer = client.getresponse()
        counts[next(iter(json.loads(answer.read())["meta"]["requestPath"]))] += 1
        assert answer.status == 200
    assert abs(counts["newer"] / REQUESTS - 0.10) < 0.01, counts
    m.run("delete", "sdep", "split")


