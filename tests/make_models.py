#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the models that the tests serve, from seeded synthetic data: make_models.py FOLDER."""
import json
import pathlib
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
FEATURES = [f"G{i}" for i in range(1, 11)]


def customers(rows=4000, seed=7):
    r = np.random.RandomState(seed)
    x = (r.rand(rows, 10) < 0.5).astype(float)
    w = np.array([1.5, -2, 0.7, 0, 1.1, -0.4, -1.3, 0.2, 0.9, -0.6])
    y = (r.rand(rows) < 1 / (1 + np.exp(-(x @ w - 0.8)))).astype(int)
    return x, y


def numbers(rows=1500, features=8, kind="binary", missing=0.05, seed=3):
    r = np.random.RandomState(seed)
    x = r.randn(rows, features).astype(np.float32)
    s = x[:, 0] * x[:, 1] + 2 * (x[:, 2] > 0.3) * x[:, 3] + np.sin(3 * x[:, 4]) + r.randn(rows) * 0.3
    if missing:
        x[r.rand(rows, features) < missing] = np.nan
    y = (s > 0).astype(int) if kind == "binary" else np.digitize(s, [-1, 1]) if kind == "multi" else s
    return x, y


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)

    import joblib
    import lightgbm
    import xgboost
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def onnx(name, model, sample=None, types=None, zipmap=False, features=None):
        options = {id(model): {"zipmap": zipmap}} if hasattr(model, "classes_") else None
        if sample is not None:
            made = to_onnx(model, sample, options=options)
        else:
            made = to_onnx(model, initial_types=types, options=options)
        if features:
            entry = made.metadata_props.add()
            entry.key, entry.value = "feature_names", json.dumps(features)
        (folder / name).write_bytes(made.SerializeToString())

    x, y = customers()
    lr = LogisticRegression().fit(x, y)
    joblib.dump(lr, folder / "lr.joblib")
    onnx("lr.onnx", lr, x[:1].astype(np.float32), features=FEATURES)  # columns known
    onnx("lr-nameless.onnx", lr, x[:1].astype(np.float32))
    onnx("lr-zipmap.onnx", lr, x[:1].astype(np.float32), zipmap=True)
    (folder / "lr.json").write_text(json.dumps({
        "format": "hythe-linear", "version": 1, "task": "binary", "features": FEATURES, "classes": [0, 1],
        "coef": lr.coef_.tolist(), "intercept": lr.intercept_.tolist()}))
    np.save(folder / "lr-x.npy", x[:200])
    np.save(folder / "lr-proba.npy", lr.predict_proba(x[:200]))

    x, y = numbers(kind="multi", missing=0)
    onnx("lr3.onnx", LogisticRegression().fit(x, np.array(["low", "mid", "high"])[y]), x[:1])
    x, y = numbers(kind="regression", missing=0)
    onnx("linreg.onnx", LinearRegression().fit(x, y), x[:1])

    import pandas as pd

    r = np.random.RandomState(5)
    frame = pd.DataFrame({"age": r.randint(18, 80, 400).astype(np.float32), "income": r.rand(400).astype(np.float32),
                          "city": r.choice(["Rye", "Hythe", "Deal"], 400)})
    label = ((frame.age > 40) & (frame.city != "Rye")).astype(int)
    pipeline = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["age", "income"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["city"])]),
        LogisticRegression()).fit(frame, label)
    onnx("pipeline.onnx", pipeline, types=[("age", FloatTensorType([None, 1])), ("income", FloatTensorType([None, 1])),
                                           ("city", StringTensorType([None, 1]))])
    frame.head(50).to_csv(folder / "pipeline.csv", index=False)
    np.save(folder / "pipeline-proba.npy", pipeline.predict_proba(frame.head(50)))

    for kind in ("binary", "multi", "regression"):
        x, y = numbers(kind=kind)
        np.save(folder / f"trees-{kind}-x.npy", x[:200])
        maker = xgboost.XGBRegressor if kind == "regression" else xgboost.XGBClassifier
        model = maker(n_estimators=20, max_depth=4, n_jobs=1).fit(x, y)
        model.get_booster().save_model(folder / f"xgb-{kind}.json")
        model.get_booster().save_model(folder / f"xgb-{kind}.ubj")
        expected = model.predict(x[:200]) if kind == "regression" else model.predict_proba(x[:200])
        np.save(folder / f"xgb-{kind}-y.npy", expected)
        maker = lightgbm.LGBMRegressor if kind == "regression" else lightgbm.LGBMClassifier
        model = maker(n_estimators=20, num_leaves=15, n_jobs=1, verbose=-1).fit(x, y)
        model.booster_.save_model(folder / f"lgb-{kind}.txt")
        expected = model.predict(x[:200]) if kind == "regression" else model.predict_proba(x[:200])
        np.save(folder / f"lgb-{kind}-y.npy", expected)


if __name__ == "__main__":
    main()
