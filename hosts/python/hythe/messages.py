# SPDX-License-Identifier: Apache-2.0
"""Seldon's messages as raw methods see them: dicts, JSON text and protobuf, and what is in them."""
import base64
import json
from typing import Any, Dict, List, Tuple

# enum hythe_kind
NOTHING, TENSOR, NDARRAY, TFTENSOR, BINARY, TEXT, JSON, CUSTOM = range(8)

BAD_DATA = "MICROSERVICE_BAD_DATA"
INTERNAL_ERROR = "MICROSERVICE_INTERNAL_ERROR"


class ComponentError(Exception):
    """An error with the words that a Seldon client is told: HTTP status, reason, and the text."""

    def __init__(self, message: str, status_code: int = 400, reason: str = BAD_DATA) -> None:
        super().__init__(message)
        self.message, self.status_code, self.reason = message, status_code, reason


def _plain(value: Any) -> Any:
    """For json.dumps: numpy's arrays and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    raise TypeError("%s is not JSON serializable" % type(value).__name__)


def to_json(message: Any) -> bytes:
    """As the wrapper writes it: keys in order, one line."""
    return json.dumps(message, sort_keys=True, separators=(",", ":"), default=_plain).encode() + b"\n"


def protobuf_messages() -> Any:
    """The module of protobuf messages: the real package's, or the one beside this file."""
    try:
        from seldon_core.proto import prediction_pb2
    except ImportError as error:
        raise ComponentError(
            "a raw method needs protobuf messages, and the package protobuf cannot be imported (%s): pip install protobuf" % error, 501, INTERNAL_ERROR
        ) from error
    return prediction_pb2


def to_dict(message: Any) -> Dict:
    """Of a protobuf message."""
    from google.protobuf import json_format

    return json_format.MessageToDict(message)


def to_protobuf(message: Any, custom: Any = None) -> Any:
    """A SeldonMessage of a dict; `custom` is its customData."""
    if hasattr(message, "SerializeToString"):
        return message
    if not isinstance(message, dict):
        raise ComponentError("a raw method must return a message, not %s" % type(message).__name__, 500, INTERNAL_ERROR)
    from google.protobuf import json_format

    out = json_format.ParseDict(json.loads(to_json(message)), protobuf_messages().SeldonMessage())
    if custom is not None:
        out.customData.CopyFrom(custom)
    return out


def of_payload(c: Any) -> Dict:
    """A message for a raw method when the request came by a protocol that has none."""
    _, value, names, _ = c.payload(0)
    if isinstance(value, str):
        return {"strData": value}
    if isinstance(value, (bytes, bytearray)):
        return {"binData": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"jsonData": value}
    return {"data": {"names": list(names), "ndarray": value.tolist() if hasattr(value, "tolist") else value or []}}


def payload_of(message: Dict) -> Tuple[Any, int, List[str]]:
    """Value, kind and names of a message's data."""
    data = message.get("data")
    if isinstance(data, dict):
        names = [str(n) for n in data.get("names") or []]
        if "tensor" in data:
            import numpy

            tensor = data["tensor"]
            return numpy.array(tensor.get("values", [])).reshape(tensor.get("shape", [-1])), TENSOR, names
        return data.get("ndarray", []), NDARRAY, names
    if "strData" in message:
        return message["strData"], TEXT, []
    if "binData" in message:
        value = message["binData"]
        return base64.b64decode(value) if isinstance(value, str) else bytes(value), BINARY, []
    if "jsonData" in message:
        return message["jsonData"], JSON, []
    raise ComponentError("the raw method returned a message without data", 500, INTERNAL_ERROR)
