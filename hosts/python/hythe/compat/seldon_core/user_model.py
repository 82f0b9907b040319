# SPDX-License-Identifier: Apache-2.0
"""What a model's class may derive from, and what its methods may return."""
from typing import Any, Dict, Iterable, List, Optional, Union

from .flask_utils import SeldonMicroserviceException

Payload = Union[Any, List, Dict, str, bytes]  # Any: a numpy array


class SeldonNotImplementedError(SeldonMicroserviceException):
    """Raised by a method to be treated as if it were not there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=400)


class SeldonResponse:
    """A result together with tags and metrics of this one request."""

    def __init__(self, data: Payload, tags: Optional[Dict] = None, metrics: Optional[List[Dict]] = None) -> None:
        self.data = data
        self.tags = {} if tags is None else tags
        self.metrics = [] if metrics is None else metrics

    @classmethod
    def create(cls, data: Union[Payload, "SeldonResponse"]) -> "SeldonResponse":
        """`data` itself when it is a response, else a response with it."""
        return data if isinstance(data, cls) else cls(data)


def _absent(name: str) -> SeldonNotImplementedError:
    return SeldonNotImplementedError(name + " is not implemented")


class SeldonComponent:
    """A base class whose methods are all there and all not implemented: a model overrides those that it has."""

    def __init__(self, **kwargs: Any) -> None:
        pass

    def load(self) -> None:
        """Once in each process before the first request."""

    def tags(self) -> Dict:
        raise _absent("tags")

    def class_names(self) -> Iterable[str]:
        raise _absent("class_names")

    def feature_names(self) -> Iterable[str]:
        raise _absent("feature_names")

    def metrics(self) -> List[Dict]:
        raise _absent("metrics")

    def metadata(self) -> Dict:
        raise _absent("metadata")

    def init_metadata(self) -> Dict:
        raise _absent("init_metadata")

    def predict(self, X: Any, names: Iterable[str], meta: Optional[Dict] = None) -> Union[Payload, SeldonResponse]:
        raise _absent("predict")

    def predict_raw(self, msg: Any) -> Any:
        raise _absent("predict_raw")

    def transform_input(self, X: Any, names: Iterable[str], meta: Optional[Dict] = None) -> Union[Payload, SeldonResponse]:
        raise _absent("transform_input")

    def transform_input_raw(self, msg: Any) -> Any:
        raise _absent("transform_input_raw")

    def transform_output(self, X: Any, names: Iterable[str], meta: Optional[Dict] = None) -> Union[Payload, SeldonResponse]:
        raise _absent("transform_output")

    def transform_output_raw(self, msg: Any) -> Any:
        raise _absent("transform_output_raw")

    def route(self, features: Any, feature_names: Iterable[str]) -> Union[int, SeldonResponse]:
        raise _absent("route")

    def route_raw(self, msg: Any) -> Any:
        raise _absent("route_raw")

    def aggregate(self, features_list: List, feature_names_list: List) -> Union[Payload, SeldonResponse]:
        raise _absent("aggregate")

    def aggregate_raw(self, msgs: Any) -> Any:
        raise _absent("aggregate_raw")

    def send_feedback(self, features: Any, feature_names: Iterable[str], reward: float, truth: Any, routing: Optional[int]) -> Any:
        raise _absent("send_feedback")

    def send_feedback_raw(self, feedback: Any) -> Any:
        raise _absent("send_feedback_raw")

    def health_status(self) -> Payload:
        raise _absent("health")

    def health_status_raw(self) -> Any:
        raise _absent("health_raw")
