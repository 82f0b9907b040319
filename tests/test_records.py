# SPDX-License-Identifier: Apache-2.0
"""Records: rows of named columns as JSON, queries, forms and CSV."""
import io
import json

import numpy as np
import pandas as pd
import pytest
import requests

from waiting import DEADLINE

FEATURES = [f"G{i}" for i in range(1, 11)]


@pytest.fixture
def lr(serve, models_dir):
    server = serve("lr=lr.onnx")
    server.x = np.load(models_dir / "lr-x.npy")
    server.expected = np.load(models_dir / "lr-proba.npy")[:, 1]
    return server


def ask(server, body, path="/predict", status=200):
    answer = requests.post(server.url + path, json=body, timeout=DEADLINE)
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    found = answer.json()
    assert found["success"] is (status == 200) and set(found) == {"success", "response" if status == 200 else "error"}
    return found["response"] if status == 200 else found["error"]


def record(row, names=FEATURES):
    return {name: value for name, value in zip(names, row.tolist())}


def test_one_object_gets_the_probability_as_a_number(lr):
    for i in range(20):
        for path in ("/predict", "/models/lr/predict"):
            assert abs(ask(lr, record(lr.x[i]), path) - lr.expected[i]) < 1e-6
    assert abs(ask(lr, dict(reversed(record(lr.x[0]).items()))) - lr.expected[0]) < 1e-6
    flags = {name: bool(value) for name, value in record(lr.x[0]).items()}
    assert abs(ask(lr, flags) - lr.expected[0]) < 1e-6


def test_lists_get_lists(lr):
    found = ask(lr, [record(row) for row in lr.x])
    assert np.abs(np.array(found) - lr.expected).max() < 1e-6
    assert np.abs(np.array(ask(lr, lr.x.tolist())) - lr.expected).max() < 1e-6
    assert ask(lr, [record(lr.x[0])]) == [ask(lr, record(lr.x[0]))]
    assert ask(lr, []) == []


def test_another_output_can_be_asked_for(lr):
    labels = (lr.expected > 0.5).astype(int).tolist()
    assert ask(lr, lr.x[:20].tolist(), "/predict?output=label") == labels[:20]
    both = ask(lr, record(lr.x[0]), "/predict?output=probabilities")
    assert abs(both - lr.expected[0]) < 1e-6
    assert "nope" in ask(lr, record(lr.x[0]), "/predict?output=nope", 400)


def test_queries_and_forms_are_rows(lr):
    for i in range(5):
        values = {name: str(value) for name, value in record(lr.x[i]).items()}
        for answer in (requests.get(lr.url + "/predict", params=values, timeout=DEADLINE),
                       requests.get(lr.url + "/models/lr/predict", params=values, timeout=DEADLINE),
                       requests.post(lr.url + "/predict", data=values, timeout=DEADLINE),
                       requests.get(lr.url + "/predict", params={"json": json.dumps(record(lr.x[i]))}, timeout=DEADLINE),
                       requests.post(lr.url + "/predict", data={"json": json.dumps(record(lr.x[i]))}, timeout=DEADLINE)):
            assert answer.status_code == 200, answer.text
            assert abs(answer.json()["response"] - lr.expected[i]) < 1e-6
    wrong = requests.get(lr.url + "/predict", params={"G1": "1", "G11": "0"}, timeout=DEADLINE)
    assert wrong.status_code == 400
    assert "unknown columns: 'G11'; missing columns: 'G2', 'G3'" in wrong.json()["error"]


def test_csv_in_any_order_of_columns(lr):
    frame = pd.DataFrame(lr.x, columns=FEATURES)
    for columns in (FEATURES, FEATURES[::-1]):
        answer = requests.post(lr.url + "/predict", data=frame[columns].to_csv(index=False), headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/csv")
        found = pd.read_csv(io.StringIO(answer.text))
        assert list(found.columns) == ["response"]
        assert np.abs(found.response.to_numpy() - lr.expected).max() < 1e-6
    bare = requests.post(lr.url + "/predict", data=frame.to_csv(index=False, header=False), headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
    assert np.abs(pd.read_csv(io.StringIO(bare.text)).response.to_numpy() - lr.expected).max() < 1e-6
    labels = requests.post(lr.url + "/predict?output=label", data=frame.to_csv(index=False), headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
    assert pd.read_csv(io.StringIO(labels.text)).response.tolist() == (lr.expected > 0.5).astype(int).tolist()


@pytest.mark.parametrize("body, word", [
    ("a,b\n1,2\n", "unknown columns: 'a', 'b'; missing columns: 'G1'"),
    (",".join(FEATURES) + "\n1,2\n", "line 2: 2 fields, expected 10"),
    (",".join(FEATURES) + "\n" + ",".join("1" * 10) + "\n" + ",".join("1" * 9) + ",x\n", "line 3: column 'G10': expected a number"),
    ("", "empty"),
    ("1,2,3\n", "3 fields"),
])
def test_csv_errors_name_line_and_column(lr, body, word):
    answer = requests.post(lr.url + "/predict", data=body, headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
    assert answer.status_code == 400 and word in answer.json()["error"]


def test_wrong_columns_are_named(lr):
    row = record(lr.x[0])
    row["age"] = row.pop("G3")
    assert ask(lr, row, status=400) == "unknown columns: 'age'; missing columns: 'G3' (model 'lr' has 10 columns)"
    assert ask(lr, {}, status=400).startswith("missing columns: 'G1', 'G2'")
    assert "row 1: missing columns: 'G10'" in ask(lr, [record(lr.x[0]), record(lr.x[0][:9])], status=400)
    assert "column 'G1'" in ask(lr, {**record(lr.x[0]), "G1": "yes"}, status=400)
    assert "missing values" in ask(lr, {**record(lr.x[0]), "G1": None}, status=400)


def test_a_model_without_names_asks_for_them(serve, models_dir):
    x, expected = np.load(models_dir / "lr-x.npy"), np.load(models_dir / "lr-proba.npy")[:, 1]
    server = serve("lr-nameless.onnx")
    assert "--features" in ask(server, record(x[0]), status=400)
    assert np.abs(np.array(ask(server, x[:5].tolist())) - expected[:5]).max() < 1e-6
    named = serve("lr-nameless.onnx", "--features", ",".join(FEATURES))
    assert abs(ask(named, record(x[0])) - expected[0]) < 1e-6


def test_classes_and_missing_values(serve, models_dir):
    x = np.load(models_dir / "trees-multi-x.npy")
    names = [f"f{i}" for i in range(x.shape[1])]
    server = serve("xgb-multi.json", "--features", ",".join(names))
    whole = np.array(ask(server, [record(row, names) for row in np.nan_to_num(x[:20])]))
    assert whole.shape == (20, 3) and np.abs(whole.sum(axis=1) - 1).max() < 1e-5
    as_null = [{k: None if np.isnan(v) else v for k, v in record(row, names).items()} for row in x[:50]]
    left_out = [{k: v for k, v in row.items() if v is not None} for row in as_null]
    assert any(len(row) < len(names) for row in left_out)
    assert ask(server, as_null) == ask(server, left_out)
    csv = pd.DataFrame(x[:50], columns=names).to_csv(index=False)
    answer = requests.post(server.url + "/predict", data=csv, headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
    table = pd.read_csv(io.StringIO(answer.text))
    assert table.shape == (50, 3) and np.abs(table.to_numpy() - np.array(ask(server, as_null))).max() < 1e-6


def test_columns_of_text_and_numbers(serve, models_dir):
    frame = pd.read_csv(models_dir / "pipeline.csv")
    expected = np.load(models_dir / "pipeline-proba.npy")[:, 1]
    frame = frame[[c for c in ("age", "income", "city") if c in frame]]
    server = serve("pipeline.onnx")
    rows = json.loads(frame.to_json(orient="records"))[: len(expected)]
    assert np.abs(np.array(ask(server, rows)) - expected).max() < 1e-5
    csv = requests.post(server.url + "/predict", data=frame.to_csv(index=False), headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
    assert np.abs(pd.read_csv(io.StringIO(csv.text)).response.to_numpy()[: len(expected)] - expected).max() < 1e-5
    assert "column 'city': expected text" in ask(server, {**rows[0], "city": 5}, status=400)
    mixed = requests.post(server.url + "/predict", json={"data": {"names": list(frame), "ndarray": frame[:4].values.tolist()}}, timeout=DEADLINE)
    assert np.abs(np.array(mixed.json()["data"]["ndarray"])[:, 1] - expected[:4]).max() < 1e-5


def test_a_large_list_is_scored_off_the_loop_and_exactly(lr):
    rows = np.tile(lr.x, (50, 1))
    found = np.array(ask(lr, [record(row) for row in rows]))
    assert np.abs(found - np.tile(lr.expected, 50)).max() < 1e-6
    csv = pd.DataFrame(rows, columns=FEATURES).to_csv(index=False)
    answer = requests.post(lr.url + "/predict", data=csv, headers={"Content-Type": "text/csv"}, timeout=DEADLINE)
    assert np.abs(pd.read_csv(io.StringIO(answer.text)).response.to_numpy() - found).max() == 0
