# SPDX-License-Identifier: Apache-2.0
"""Folders that MLflow wrote (with a file MLmodel), by its pyfunc interface."""
from typing import Any, Dict, List, Optional

XTYPES = ("ndarray", "dataframe")


class Model:
    """A pyfunc model, as Seldon's MLFLOW_SERVER serves it.

    xtype: what it is given, an array or a data frame with the request's names as columns.
    """

    def __init__(self, model_uri: str = "/mnt/models", xtype: str = "ndarray") -> None:
        if xtype not in XTYPES:
            raise ValueError("xtype '%s' is none of %s" % (xtype, ", ".join(XTYPES)))
        self.model_uri = model_uri
        self.xtype = xtype
        self.model: Any = None

    def load(self) -> None:
        """Loads the folder."""
        from mlflow import pyfunc  # type: ignore

        self.model = pyfunc.load_model(self.model_uri)

    def predict(self, X: Any, names: Optional[List[str]] = None, meta: Optional[Dict[str, Any]] = None) -> Any:
        """The model's answer; a data frame's columns are the answer's names."""
        if self.model is None:
            self.load()
        if self.xtype == "dataframe":
            import pandas  # type: ignore

            X = pandas.DataFrame(X, columns=list(names)) if names is not None and len(names) else pandas.DataFrame(X)
        return self.model.predict(X)

    def init_metadata(self) -> Dict[str, Any]:
        """For /metadata."""
        return {"platform": "mlflow"}
