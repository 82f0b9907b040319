# SPDX-License-Identifier: Apache-2.0
"""Models trained on real customers (22,905 rows): every probability equals the library's own."""
import json

import numpy as np
import pytest
import requests

FEATURES = [f"G{i}" for i in range(1, 11)]


@pytest.fixture(scope="module")
def customers(shared_data):
    import pandas as pd

    frame = pd.read_csv(shared_data / "games-expand.csv")
    assert len(frame) == 22905
    return frame[FEATURES], frame["label"].to_numpy()


def train(kind, x, y, path):
    """Trains, writes the model as hythe reads it, and returns the library's own probabilities of the second class."""
    if kind == "logistic":
        from skl2onnx import to_onnx
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression().fit(x.to_numpy(float), y)
        onnx = to_onnx(model, x.to_numpy(np.float32)[:1], options={"zipmap": False})
        entry = onnx.metadata_props.add()
        entry.key, entry.value = "feature_names", json.dumps(FEATURES)
        path = path.with_suffix(".onnx")
        path.write_bytes(onnx.SerializeToString())
        return path, model.predict_proba(x.to_numpy(float))[:, 1]
    if kind == "xgboost":
        import xgboost

        model = xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=2).fit(x, y)
        path = path.with_suffix(".json")
        model.get_booster().save_model(path)
        return path, model.predict_proba(x)[:, 1]
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=100, n_jobs=2, verbose=-1).fit(x, y)
    path = path.with_suffix(".txt")
    model.booster_.save_model(path)
    return path, model.predict_proba(x)[:, 1]


@pytest.mark.parametrize("kind", ["logistic", "xgboost", "lightgbm"])
def test_probabilities_over_all_rows_equal_the_librarys(kind, customers, serve, tmp_path):
    x, y = customers
    path, expected = train(kind, x, y, tmp_path / "model")
    server = serve(f"model={path}")

    csv = x.to_csv(index=False)
    answer = requests.post(f"{server.url}/predict", csv, headers={"Content-Type": "text/csv"}, timeout=120)
    assert answer.status_code == 200, answer.text[:500]
    lines = answer.text.strip().splitlines()
    assert lines[0] == "response" and len(lines) == 22906
    assert np.abs(np.array(lines[1:], float) - expected).max() < 1e-6

    answer = requests.post(f"{server.url}/predict", json=x.head(2000).to_dict("records"), timeout=120).json()
    assert answer["success"] is True
    assert np.abs(np.array(answer["response"]) - expected[:2000]).max() < 1e-6

    body = {"inputs": [{"name": "input", "shape": [len(x), 10], "datatype": "INT64", "data": x.to_numpy().ravel().tolist()}],
            "outputs": [{"name": "predict_proba"}]}
    answer = requests.post(f"{server.url}/v2/models/model/infer", json=body, timeout=120).json()
    (out,) = answer["outputs"]
    assert out["shape"] == [22905, 2]
    assert np.abs(np.array(out["data"]).reshape(-1, 2)[:, 1] - expected).max() < 1e-6


def test_scoring_the_file_gives_the_same(customers, hythe, shared_data, tmp_path):
    import subprocess

    x, y = customers
    path, expected = train("logistic", x, y, tmp_path / "model")
    out = tmp_path / "out.csv"
    subprocess.run([hythe, "predict", path, "-i", shared_data / "games-expand.csv", "-o", out], check=True, timeout=120)
    lines = out.read_text().strip().splitlines()
    assert lines[0] == "response" and len(lines) == 22906
    assert np.abs(np.array(lines[1:], float) - expected).max() < 1e-6
