#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Converts a pickled scikit-learn, XGBoost or LightGBM model to a file that hythe serves natively.

    python3 examples/convert_sklearn.py MODEL.joblib OUT.onnx [--features N | --names a,b,c] [--double]

Run it in the environment the model was trained in, with `pip install skl2onnx` added. XGBoost models are written in their
own JSON, LightGBM ones in their own text, which hythe reads as they are. A pickle runs code when it is loaded: convert only
files that you trust.
"""
import argparse
import json
import sys


def load(path):
    try:
        import joblib

        return joblib.load(path)
    except ImportError:
        import pickle

        with open(path, "rb") as file:
            return pickle.load(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--features", type=int, help="number of columns, when the model does not tell")
    parser.add_argument("--names", help="names of the columns, comma-separated, when the model does not tell")
    parser.add_argument("--double", action="store_true", help="compute in double precision (slower, closer to scikit-learn)")
    args = parser.parse_args()
    model = load(args.model)
    module = type(model).__module__.split(".")[0]
    if module == "xgboost":
        (model.get_booster() if hasattr(model, "get_booster") else model).save_model(args.out)
        return
    if module == "lightgbm":
        getattr(model, "booster_", model).save_model(args.out)
        return

    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    names = args.names.split(",") if args.names else [str(n) for n in getattr(model, "feature_names_in_", [])]
    count = args.features or getattr(model, "n_features_in_", None) or len(names)
    if not count:
        sys.exit("the model does not tell how many columns it takes: pass --features N")
    tensor = DoubleTensorType if args.double else FloatTensorType
    classifier = hasattr(model, "classes_")
    onnx = to_onnx(model, initial_types=[("X", tensor([None, count]))], options={id(model): {"zipmap": False}} if classifier else None)
    if names:
        entry = onnx.metadata_props.add()
        entry.key, entry.value = "feature_names", json.dumps(names)
    with open(args.out, "wb") as file:
        file.write(onnx.SerializeToString())


if __name__ == "__main__":
    main()
