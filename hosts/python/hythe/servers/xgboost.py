# SPDX-License-Identifier: Apache-2.0
"""XGBoost's older binary files (model.bst), which hythe does not read itself."""
import glob
import os
from typing import Any, Dict, List, Optional


class Model:
    """A Booster, as Seldon's XGBOOST_SERVER serves it: one number a row, or a column for each class."""

    def __init__(self, model_uri: str = "/mnt/models") -> None:
        self.model_uri = model_uri
        self.booster: Any = None

    def load(self) -> None:
        """Reads the file."""
        import xgboost  # type: ignore

        self.booster = xgboost.Booster(model_file=self._path())

    def _path(self) -> str:
        found = [os.path.join(self.model_uri, "model.bst")] + sorted(glob.glob(os.path.join(glob.escape(self.model_uri), "*.bst")))
        for path in found:
            if os.path.isfile(path):
                return path
        raise FileNotFoundError("there is no model.bst in %s" % self.model_uri)

    def predict(self, X: Any, names: Optional[List[str]] = None, meta: Optional[Dict[str, Any]] = None) -> Any:
        """The booster's answer."""
        import numpy
        import xgboost  # type: ignore

        if self.booster is None:
            self.load()
        columns = self.booster.feature_names
        return self.booster.predict(xgboost.DMatrix(numpy.asarray(X, dtype=numpy.float32), feature_names=columns))

    def init_metadata(self) -> Dict[str, Any]:
        """For /metadata."""
        return {"platform": "xgboost"}
