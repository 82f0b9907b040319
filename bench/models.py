# SPDX-License-Identifier: Apache-2.0
"""The logistic regression that all servers serve, trained on seeded data inside each rival's own environment."""
import json
import pathlib
import subprocess
import textwrap

from common import WORK, venv

FEATURES = [f"G{i}" for i in range(1, 11)]
TRAIN = textwrap.dedent("""
    import sys, json, warnings; warnings.filterwarnings("ignore")
    import numpy as np, joblib
    from sklearn.linear_model import LogisticRegression
    out = sys.argv[1]
    r = np.random.RandomState(7)
    X = (r.rand(4000, 10) < 0.5).astype(float)
    w = np.array([1.5, -2, .7, 0, 1.1, -.4, -1.3, .2, .9, -.6])
    y = (r.rand(4000) < 1 / (1 + np.exp(-(X @ w - 0.8)))).astype(int)
    m = LogisticRegression().fit(X, y)
    joblib.dump(m, out + ".joblib")
    if len(sys.argv) > 2:
        from skl2onnx import to_onnx
        onnx = to_onnx(m, X[:1].astype(np.float32), options={"zipmap": False})
        entry = onnx.metadata_props.add(); entry.key = "feature_names"; entry.value = json.dumps(["G%d" % i for i in range(1, 11)])
        open(out + ".onnx", "wb").write(onnx.SerializeToString())
""")


def logistic(environment):
    """Path of the model trained in this environment, without suffix (.joblib; .onnx as well for 'py')."""
    base = WORK / f"lr-{environment}"
    if not pathlib.Path(f"{base}.joblib").exists():
        python = venv(environment) / "bin" / "python"
        subprocess.run([python, "-c", TRAIN, base, *(["onnx"] if environment == "py" else [])], check=True)
    return str(base)


def record():
    return json.dumps({name: i % 2 for i, name in enumerate(FEATURES, 1)}).encode()


def rows(count):
    import random

    r = random.Random(3)
    return [[float(r.random() < 0.5) for _ in FEATURES] for _ in range(count)]


def v2_json(count):
    return json.dumps({"inputs": [{"name": "x", "shape": [count, 10], "datatype": "FP64", "data": [v for row in rows(count) for v in row]}],
                       "outputs": [{"name": "predict_proba"}]}).encode()


def seldon_json(count):
    return json.dumps({"data": {"names": FEATURES, "ndarray": rows(count)}}).encode()


def _varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def grpc_message(kind, count):
    """A framed gRPC message with `count` rows of ten doubles: kind v2 (ModelInferRequest) or seldon (SeldonMessage)."""
    import struct

    data = struct.pack(f"<{10 * count}d", *(v for row in rows(count) for v in row))
    shape = _varint(count) + _varint(10)
    if kind == "v2":
        message = (_field(1, b"lr") + _field(5, _field(1, b"x") + _field(2, b"FP64") + _field(3, shape) + _field(5, _field(7, data))) +
                   _field(6, _field(1, b"predict_proba")))
    else:
        message = _field(3, _field(2, _field(1, shape) + _field(2, data)))
    return b"\0" + struct.pack(">I", len(message)) + message
