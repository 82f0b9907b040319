# SPDX-License-Identifier: Apache-2.0
"""The servers that hythe is measured beside, each as its users run it."""
import json
import textwrap

from common import WORK, Server, free_port, venv
from models import logistic, record, seldon_json, v2_json

FLASK = """
import os, joblib
from flask import Flask, request, jsonify
app = Flask(__name__)
model = joblib.load(os.environ["LR"])
F = ["G%d" % i for i in range(1, 11)]
@app.route("/predict", methods=["POST"])
def predict():
    d = request.get_json()
    return jsonify(response=str(model.predict_proba([[d[f] for f in F]])[0, 1]), success=True)
"""

FASTAPI = """
import os, numpy as np, orjson, onnxruntime as ort
from fastapi import FastAPI, Request, Response
app = FastAPI()
o = ort.SessionOptions(); o.intra_op_num_threads = 1; o.inter_op_num_threads = 1
s = ort.InferenceSession(os.environ["ONNX"], o, providers=["CPUExecutionProvider"])
I = s.get_inputs()[0].name
F = ["G%d" % i for i in range(1, 11)]
J = "application/json"
@app.post("/predict")
async def predict(r: Request):
    d = orjson.loads(await r.body())
    p = s.run(["probabilities"], {I: np.array([[d[f] for f in F]], dtype=np.float32)})[0]
    return Response(orjson.dumps({"response": str(p[0, 1]), "success": True}), media_type=J)
@app.post("/v2/models/lr/infer")
async def infer(r: Request):
    d = orjson.loads(await r.body())["inputs"][0]
    x = np.array(d["data"], dtype=np.float32).reshape(d["shape"])
    p = s.run(["probabilities"], {I: x})[0]
    return Response(orjson.dumps({"model_name": "lr", "outputs": [{"name": "predict_proba", "shape": list(p.shape),
        "datatype": "FP32", "data": p.ravel().tolist()}]}), media_type=J)
@app.post("/api/v1.0/predictions")
async def echo(r: Request):
    x = np.array(orjson.loads(await r.body())["data"]["ndarray"])
    return Response(orjson.dumps({"data": {"names": [], "ndarray": x}, "meta": {}}, option=orjson.OPT_SERIALIZE_NUMPY), media_type=J)
"""

SELDON = """
import os, joblib
class SeldonLr:
    def __init__(self): self.m = joblib.load(os.environ["LR"])
    def predict(self, X, names, meta=None): return self.m.predict_proba(X)
class SeldonEcho:
    def predict(self, X, names, meta=None): return X
"""


def nginx():
    """One worker answering constants of the size of the real answers: over HTTP/1.1, and on the next port over h2c."""
    folder = WORK / "nginx"
    (folder / "temp").mkdir(parents=True, exist_ok=True)
    port, h2 = free_port(), free_port()
    temp = " ".join(f"{kind}_temp_path {folder}/temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "conf").write_text(textwrap.dedent(f"""\
        daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
        include /etc/nginx/modules-enabled/*echo*.conf;
        events {{ worker_connections 1024; }}
        http {{ access_log off; keepalive_requests 1000000000; http2_max_concurrent_streams 256; {temp}
          client_max_body_size 64m; client_body_buffer_size 64m;
          server {{ listen 127.0.0.1:{h2} http2; default_type application/grpc;
            location / {{ return 200 '{"0123456789" * 8}'; }} }}
          server {{ listen 127.0.0.1:{port}; default_type application/json;
            location /predict {{ return 200 '{{"response":0.06730000000000001,"success":true}}'; }}
            location /v2/models/lr/infer {{ return 200 '{{"model_name":"lr","outputs":[{{"name":"predict_proba","shape":[1,2],"datatype":"FP64","data":[0.9327,0.0673]}}]}}'; }}
            location /api/v1.0/predictions {{ echo_read_request_body; echo_request_body; }} }} }}
        """))
    server = Server("nginx", ["nginx", "-c", folder / "conf", "-e", folder / "error"], port, "/predict", record())
    server.h2_port = h2
    return server


def flask():
    (WORK / "flaskapp.py").write_text(FLASK)
    port = free_port()
    return Server("flask", [venv("py") / "bin" / "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "flaskapp:app"], port, "/predict", record(),
                  {"LR": logistic("py") + ".joblib"}, WORK)


def fastapi():
    (WORK / "fastapp.py").write_text(FASTAPI)
    port = free_port()
    return Server("fastapi", [venv("py") / "bin" / "uvicorn", "--host", "127.0.0.1", "--port", port, "--no-access-log", "--log-level", "warning",
                              "fastapp:app"], port, "/predict", record(), {"ONNX": logistic("py") + ".onnx"}, WORK)


def mlserver():
    folder = WORK / "mlserver"
    (folder / "lr").mkdir(parents=True, exist_ok=True)
    port, grpc, metrics = free_port(), free_port(), free_port()
    (folder / "settings.json").write_text(json.dumps({"debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": grpc,
                                                      "metrics_port": metrics, "parallel_workers": 0}))
    (folder / "lr" / "model-settings.json").write_text(json.dumps({
        "name": "lr", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": logistic("mlserver") + ".joblib", "version": "v1"}}))
    server = Server("mlserver", [venv("mlserver") / "bin" / "mlserver", "start", folder], port, "/v2/models/lr/infer", v2_json(1), cwd=folder)
    server.grpc_port = grpc
    return server


def seldon(name="SeldonLr"):
    for one in ("SeldonLr", "SeldonEcho"):
        (WORK / f"{one}.py").write_text(SELDON)
    port, grpc, metrics = free_port(), free_port(), free_port()
    folder = venv("seldon") / "bin"
    import os

    server = Server("seldon", [folder / "seldon-core-microservice", name, "--service-type", "MODEL", "--http-port", port, "--grpc-port", grpc,
                               "--metrics-port", metrics, "--workers", "2"], port, "/api/v1.0/predictions", seldon_json(1),
                    {"LR": logistic("seldon") + ".joblib", "PATH": f"{folder}:{os.environ['PATH']}", "SELDON_LOG_LEVEL": "WARNING",
                     "PYTHONPATH": str(WORK)}, WORK)
    server.grpc_port = grpc
    return server
