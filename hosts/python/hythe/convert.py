# SPDX-License-Identifier: Apache-2.0
"""`python -m hythe.convert MODEL [-o OUT]`: a pickled model to a file that hythe serves natively, checked against the original.

scikit-learn becomes ONNX by skl2onnx; XGBoost and LightGBM are written in their own formats. Then both answer the same random rows, and
the largest difference is printed; over --tolerance nothing is left behind and the exit code is 1.
"""
import argparse
import csv
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
from typing import Any, List, Optional, Tuple

from .program import find_program
from .sklearn import UntrustedError, load_pickle


class ConversionError(Exception):
    """It cannot be converted, or what came out answers otherwise than the original."""


# ---- the three libraries ----


def _library(model: Any) -> str:
    return type(model).__module__.partition(".")[0]


def _column_names(model: Any, given: Optional[str]) -> List[str]:
    if given:
        return given.split(",")
    return [str(n) for n in getattr(model, "feature_names_in_", ())]


def _column_count(model: Any, names: List[str], given: Optional[int]) -> int:
    count = given or getattr(model, "n_features_in_", None) or len(names)
    if not count:
        raise ConversionError("the model does not tell how many columns it takes: pass --features N")
    return int(count)


def _write_onnx(model: Any, path: str, names: List[str], count: int, is_double: bool) -> None:
    try:
        from skl2onnx import to_onnx  # type: ignore
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType  # type: ignore
    except ImportError as error:
        raise ConversionError("skl2onnx makes ONNX of it, and cannot be imported (%s): pip install skl2onnx" % error) from error
    tensor = DoubleTensorType if is_double else FloatTensorType
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    onnx = to_onnx(model, initial_types=[("X", tensor([None, count]))], options=options)
    if names:
        entry = onnx.metadata_props.add()
        entry.key, entry.value = "feature_names", json.dumps(names)
    with open(path, "wb") as file:
        file.write(onnx.SerializeToString())


def _default_output(path: str, library: str) -> str:
    ending = {"xgboost": ".json", "lightgbm": ".txt"}.get(library, ".onnx")
    return os.path.splitext(path)[0] + ending


def write(model: Any, path: str, names: List[str], count: int, is_double: bool) -> None:
    """The model in the form that hythe reads."""
    library = _library(model)
    if library == "xgboost":
        (model.get_booster() if hasattr(model, "get_booster") else model).save_model(path)
    elif library == "lightgbm":
        getattr(model, "booster_", model).save_model(path)
    else:
        _write_onnx(model, path, names, count, is_double)


# ---- both asked the same ----


def _random_rows(model: Any, rows: int, count: int) -> Any:
    """Rows around where the model's own numbers are, as far as it tells, so that they reach its different parts."""
    import numpy

    random = numpy.random.RandomState(0)
    X = random.randn(rows, count)
    for step in [model] + [s[1] for s in getattr(model, "steps", [])]:
        mean, scale = getattr(step, "mean_", None), getattr(step, "scale_", None)
        if mean is not None and scale is not None and numpy.shape(mean) == (count,) and numpy.shape(scale) == (count,):
            X = X * 2 * scale + mean
            break
    else:
        X[rows // 3 : 2 * rows // 3] = random.rand(2 * rows // 3 - rows // 3, count) * 10
        X[2 * rows // 3 :] = random.randint(0, 3, (rows - 2 * rows // 3, count))
    return X.astype(numpy.float32)


def _ask_original(model: Any, X: Any) -> Any:
    import warnings

    import numpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(model, "predict_proba"):
            return numpy.asarray(model.predict_proba(X))
        if hasattr(model, "classes_") and hasattr(model, "decision_function"):
            return numpy.asarray(model.predict(X))
        return numpy.asarray(model.predict(X) if hasattr(model, "predict") else model.transform(X))


def _ask_onnxruntime(path: str, X: Any, is_double: bool, expected: Any) -> Any:
    import numpy
    import onnxruntime  # type: ignore

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: X.astype(numpy.float64 if is_double else numpy.float32)})
    return answers[-1] if expected.ndim == 2 and len(answers) > 1 else answers[0]


def _ask_hythe(program: str, path: str, X: Any, names: List[str]) -> Any:
    import numpy

    text = io.StringIO()
    writer = csv.writer(text)
    if names:
        writer.writerow(names)
    writer.writerows([[repr(float(v)) for v in row] for row in X])
    done = subprocess.run([program, "predict", path, "-i", "-", "-o", "-", "--quiet"], input=text.getvalue(), capture_output=True, text=True)
    if done.returncode != 0:
        raise ConversionError("hythe predict %s: %s" % (path, done.stderr.strip()))
    rows = list(csv.reader(io.StringIO(done.stdout)))[1:]
    return numpy.array(rows, dtype=float)


def largest_difference(expected: Any, got: Any) -> float:
    """Over all numbers; of two classes one column may stand for both. Labels are the same or not."""
    import numpy

    expected, got = numpy.asarray(expected), numpy.asarray(got)
    if got.ndim == 2 and got.shape[1] == 1 and expected.ndim == 2 and expected.shape[1] == 2:
        expected = expected[:, 1:]
    if expected.size != got.size:
        raise ConversionError("answers of shape %s and %s" % (expected.shape, got.shape))
    got = got.reshape(expected.shape)
    if expected.dtype.kind not in "fiu" or got.dtype.kind not in "fiu":
        return float((expected.astype(str) != got.astype(str)).any())
    return float(numpy.max(numpy.abs(expected.astype(float) - got.astype(float)), initial=0.0))


def compare(model: Any, path: str, names: List[str], count: int, is_double: bool, rows: int) -> List[Tuple[str, float]]:
    """(who answered, largest difference) for ONNX Runtime, if it is installed and the file is ONNX, and for hythe."""
    X = _random_rows(model, rows, count)
    expected = _ask_original(model, X)
    found = []
    if path.endswith(".onnx"):
        try:
            got = _ask_onnxruntime(path, X, is_double, expected)
            found.append(("ONNX Runtime", largest_difference(expected, got)))
        except ImportError:
            pass
    program = find_program()
    if program:
        found.append(("hythe", largest_difference(expected, _ask_hythe(program, path, X, names))))
    if not found:
        raise ConversionError("nothing is here to check it with: no hythe program (set HYTHE_PROGRAM), no onnxruntime. --no-check leaves the check out")
    return found


# ---- the command ----


def _convert(args: argparse.Namespace) -> None:
    model = load_pickle(args.model, args.trust)
    names = _column_names(model, args.names)
    count = _column_count(model, names, args.features)
    out = args.output or _default_output(args.model, _library(model))
    folder = os.path.dirname(os.path.abspath(out))
    with tempfile.TemporaryDirectory(prefix=".hythe-convert-", dir=folder) as place:
        # Under a name of its own until it is checked, with the ending that tells its format.
        made = os.path.join(place, "model" + os.path.splitext(out)[1])
        write(model, made, names, count, args.double)
        if args.check:
            for who, difference in compare(model, made, names, count, args.double, args.rows):
                print("%s on %d random rows: largest difference %.3g" % (who, args.rows, difference))
                if not difference <= args.tolerance:
                    raise ConversionError("it is over the tolerance of %g: '%s' is not written. --double computes closer" % (args.tolerance, out))
        os.replace(made, out)
    print("%s -> %s" % (args.model, out))
    print("  hythe serve %s" % out)


def main(arguments: Optional[List[str]] = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="hythe convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="file of joblib or pickle; loading it runs the code in it")
    parser.add_argument("-o", "--output", metavar="OUT", help="default: the model's name with .onnx (.json of XGBoost, .txt of LightGBM)")
    parser.add_argument("--features", type=int, metavar="N", help="number of columns, when the model does not tell")
    parser.add_argument("--names", metavar="A,B,C", help="names of the columns, when the model does not tell")
    parser.add_argument("--double", action="store_true", help="compute in double precision: slower, closer to the original")
    parser.add_argument("--rows", type=int, default=200, metavar="N", help="random rows to check with (default 200)")
    parser.add_argument("--tolerance", type=float, default=1e-4, metavar="X", help="largest difference allowed (default 1e-4)")
    parser.add_argument("--no-check", dest="check", action="store_false", help="write it unchecked")
    parser.add_argument("--trust", metavar="USER", help="load files of this user's too")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        _convert(args)
    except (ConversionError, UntrustedError, OSError) as error:
        print("hythe convert: %s" % error, file=sys.stderr)
        return 1
    except Exception as error:  # of the libraries: an estimator that has no ONNX form, a damaged file
        print("hythe convert: %s: %s: %s" % (args.model, type(error).__name__, error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
