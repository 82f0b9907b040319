# SPDX-License-Identifier: Apache-2.0
"""Typed parameters: what the graph of a deployment gives to a component's __init__."""
import json
from typing import Any, Dict

_TYPES = {"INT": int, "FLOAT": float, "DOUBLE": float, "STRING": str}
_TRUE = ("y", "yes", "t", "true", "on", "1")
_FALSE = ("n", "no", "f", "false", "off", "0")


class ParameterError(ValueError):
    """A parameter is not what its type says."""

    reason = "MICROSERVICE_BAD_PARAMETER"
    is_for_people = True


def _value(name: str, kind: str, text: str) -> Any:
    if kind == "BOOL":
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
    elif kind in _TYPES:
        try:
            return _TYPES[kind](text)
        except ValueError:
            pass
    else:
        raise ParameterError("Bad model parameter type: %s valid are INT, FLOAT, DOUBLE, STRING, BOOL" % kind)
    raise ParameterError("Bad model parameter: %s with value %s can't be parsed as a %s" % (name, text, kind))


def parse(text: str) -> Dict[str, Any]:
    """The arguments by name, of `[{"name":"scale","type":"FLOAT","value":"2.5"}]` or of a plain object `{"scale":2.5}`."""
    try:
        told = json.loads(text or "[]")
    except ValueError as error:
        raise ParameterError("Bad model parameters: not JSON: %s" % error) from None
    if isinstance(told, dict):
        return told
    if not isinstance(told, list) or not all(isinstance(p, dict) and isinstance(p.get("name"), str) for p in told):
        raise ParameterError("Bad model parameters: expected a list of objects with name, type and value, got %s" % text)
    return {p["name"]: _value(p["name"], str(p.get("type")), str(p.get("value"))) for p in told}
