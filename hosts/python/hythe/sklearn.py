# SPDX-License-Identifier: Apache-2.0
"""A pickled scikit-learn estimator as a component.

Loading a pickle runs the code inside it. So a file is only loaded when it belongs to the user who serves it, or to root, or to
one that --trust names.
"""
import importlib.util
import logging
import os
import pwd
import stat
import warnings
from typing import Any, Dict, List, Optional

from .seldon import ComponentError

_log = logging.getLogger(__name__)

METHODS = ("predict_proba", "predict", "decision_function")


class UntrustedError(Exception):
    """The file belongs to somebody whose code is not to be run."""

    is_for_people = True


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _user_ids(trust: Optional[str]) -> List[int]:
    ids = []
    for name in (trust or "").replace(",", " ").split():
        if name.isdigit():
            ids.append(int(name))
            continue
        try:
            ids.append(pwd.getpwnam(name).pw_uid)
        except KeyError:
            raise UntrustedError("--trust: there is no user '%s' here" % name) from None
    return ids


def check_owner(path: str, status: os.stat_result, trust: Optional[str] = None) -> None:
    """Raises UntrustedError unless the file is the caller's, root's, or of a user that `trust` names."""
    trusted = _user_ids(trust)
    if status.st_uid not in (os.geteuid(), 0) and status.st_uid not in trusted:
        owner = _user_name(status.st_uid)
        raise UntrustedError(
            "'%s' belongs to user %s: loading a pickle runs the code in it. If you trust %s, pass --trust %s" % (path, owner, owner, owner)
        )
    if status.st_mode & stat.S_IWOTH and not trusted:
        raise UntrustedError("'%s' can be written by every user: loading a pickle runs the code in it. chmod o-w, or name its owner by --trust" % path)


def load_pickle(path: str, trust: Optional[str] = None) -> Any:
    """The object in a file of joblib's or pickle's, once its owner is trusted."""
    with open(path, "rb") as file:
        check_owner(path, os.fstat(file.fileno()), trust)
        _log.info("loading '%s' of user %s: loading a pickle runs the code in it", path, _user_name(os.fstat(file.fileno()).st_uid))
        try:
            import joblib  # type: ignore
        except ImportError:
            import pickle

            return pickle.load(file)
        return joblib.load(file)


def open_model(path: str, trust: Optional[str] = None, model_uri: Optional[str] = None, **parameters: Any) -> "Model":
    """The estimator in a file, as a component; parameters are those of Model, and model_uri, which Seldon's servers are given, says nothing new."""
    estimator = load_pickle(path, trust)
    model = Model(estimator, **parameters)
    model.text += " (%s)" % os.path.basename(path)
    if importlib.util.find_spec("skl2onnx") is not None:
        _log.info("`hythe convert %s` makes a native model of it, which is served without Python", path)
    return model


def _steps(estimator: Any) -> List[Any]:
    """The estimator and all inside it, as far as pipelines and searches tell."""
    found = [estimator]
    for name in ("steps", "transformers_", "transformer_list", "estimators"):
        for step in getattr(estimator, name, None) or []:
            if isinstance(step, tuple) and len(step) > 1:
                found += _steps(step[1])
    for name in ("best_estimator_", "estimator"):
        inner = getattr(estimator, name, None)
        if inner is not None and not isinstance(inner, type):
            found += _steps(inner)
    return found


class Model:
    """An estimator's predict_proba, predict or decision_function, with what it knows of names and columns.

    method: which of these; without it predict_proba where the estimator has it, else predict.
    """

    def __init__(self, estimator: Any, method: Optional[str] = None) -> None:
        if method is None:
            method = next((m for m in METHODS[:2] if hasattr(estimator, m)), None)
            if method is None:
                raise ValueError("an object of type %s has neither predict_proba nor predict" % type(estimator).__name__)
        if method not in METHODS:
            raise ValueError("method '%s' is none of %s" % (method, ", ".join(METHODS)))
        if not hasattr(estimator, method):
            raise ValueError("%s has no method %s" % (type(estimator).__name__, method))
        self.estimator = estimator
        self.method = method
        self._ask = getattr(estimator, method)
        self._features = [str(n) for n in getattr(estimator, "feature_names_in_", ())]
        self._count: Optional[int] = getattr(estimator, "n_features_in_", None)
        self._classes = self._class_list() if method != "predict" else None
        if method == "decision_function" and len(self._classes or ()) == 2:
            self._classes = None  # one number a row
        if self._classes:
            self.class_names = lambda: self._classes  # names of the columns of the answer
        self._needs_frame = bool(self._features) and any(type(s).__name__ == "ColumnTransformer" for s in _steps(estimator))
        library = type(estimator).__module__.partition(".")[0]
        self._library = "scikit-learn" if library == "sklearn" else library
        last = estimator.steps[-1][1] if getattr(estimator, "steps", None) else estimator
        inside = "" if last is estimator else " with " + type(last).__name__
        self.text = "%s %s%s" % (self._library, type(estimator).__name__, inside)

    def _class_list(self) -> Optional[List[str]]:
        classes = getattr(self.estimator, "classes_", None)
        if classes is None:
            return None
        if isinstance(classes, list):  # of several outputs, one list each
            return ["%d:%s" % (i, name) for i, names in enumerate(classes) for name in names]
        return [str(name) for name in classes]

    # ---- the component's methods ----

    def predict(self, X: Any, names: Any) -> Any:
        """What the estimator says of these rows."""
        import numpy

        if not isinstance(X, numpy.ndarray):
            raise ComponentError("%s takes an array, not %s" % (self.text, type(X).__name__))
        X = X.reshape(1, -1) if X.ndim == 1 and X.size else X
        if self._count is not None and (X.ndim != 2 or X.shape[1] != self._count):
            columns = " (%s)" % ", ".join(self._features) if 0 < len(self._features) <= 20 else ""
            raise ComponentError("%s takes rows of %d columns%s, not an array of shape %s" % (self.text, self._count, columns, X.shape))
        X = self._in_order(X, list(names))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*feature names.*")
            result = self._ask(self._frame(X) if self._needs_frame else X)
        if isinstance(result, list):  # of several outputs
            return numpy.hstack([numpy.asarray(part) for part in result])
        return result.toarray() if hasattr(result, "toarray") else numpy.asarray(result)

    def _in_order(self, X: Any, names: List[str]) -> Any:
        """Columns in the order that the estimator was trained with, when the request names the same ones."""
        if names and self._features and names != self._features and sorted(names) == sorted(self._features):
            return X[:, [names.index(name) for name in self._features]]
        return X

    def _frame(self, X: Any) -> Any:
        """For estimators that pick columns by name, and types by column."""
        import pandas  # type: ignore

        frame = pandas.DataFrame(X, columns=self._features)
        if X.dtype.kind in "OU":
            for name in self._features:
                try:
                    frame[name] = pandas.to_numeric(frame[name])
                except (ValueError, TypeError):
                    pass
        return frame

    def feature_names(self) -> Optional[List[str]]:
        """Names of the columns of the question, as it was trained with."""
        return self._features or None

    def init_metadata(self) -> Dict[str, Any]:
        """For /metadata."""
        question: Dict[str, Any] = {"names": self._features} if self._features else {}
        answer: Dict[str, Any] = {"names": self._classes} if self._classes else {}
        if self._count is not None:
            question["shape"] = [int(self._count)]
        if self._classes:
            answer["shape"] = [len(self._classes)]
        return {
            "platform": self._library,
            "inputs": [{"messagetype": "ndarray", "schema": question}],
            "outputs": [{"messagetype": "ndarray", "schema": answer}],
            "custom": {"estimator": type(self.estimator).__name__, "method": self.method},
        }
