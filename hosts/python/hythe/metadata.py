# SPDX-License-Identifier: Apache-2.0
"""What a model says of itself: init_metadata() of its class, and the environment variable MODEL_METADATA over it."""
import json
import logging
import os
from typing import Any, Dict, Optional

from .usermetrics import image_and_version

_log = logging.getLogger(__name__)

DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")
ARRAYS = ("tensor", "ndarray", "tftensor")


class MetadataError(ValueError):
    """The metadata is not of the form that clients expect."""


def _check(is_right: bool, where: str, expected: str) -> None:
    if not is_right:
        raise MetadataError("%s: expected %s" % (where, expected))


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _is_integer_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in value)


def _check_only(item: Dict, allowed: str, where: str) -> None:
    for key in item:
        _check(key in allowed.split(), where + "." + str(key), "one of " + allowed)


def _check_message(item: Any, where: str) -> None:
    _check(isinstance(item, dict), where, "an object")
    if "messagetype" not in item:  # the Open Inference Protocol's form
        _check_only(item, "name datatype shape", where)
        _check(isinstance(item.get("name", ""), str), where + ".name", "a string")
        _check(item.get("datatype", "FP32") in DATATYPES, where + ".datatype", "one of " + ", ".join(DATATYPES))
        _check(_is_integer_list(item.get("shape", [])), where + ".shape", "a list of integers")
        return
    kind, schema = item["messagetype"], item.get("schema", {})
    _check(isinstance(kind, str), where + ".messagetype", "a string")
    _check_only(item, "messagetype" if kind in ("strData", "binData") else "messagetype schema", where)
    _check(isinstance(schema, dict), where + ".schema", "an object")
    if kind in ARRAYS:
        _check_only(schema, "names shape", where + ".schema")
        _check(_is_text_list(schema.get("names", [])), where + ".schema.names", "a list of strings")
        _check(_is_integer_list(schema.get("shape", [])), where + ".schema.shape", "a list of integers")


def check(metadata: Dict[str, Any]) -> Dict[str, Any]:
    """The metadata with defaults for what is absent; raises MetadataError, which says the field."""
    image = os.environ.get("PREDICTIVE_UNIT_IMAGE")
    name, version = image_and_version(image) if image is not None else ("", "")
    full = {"name": name, "versions": [version], "platform": "", "inputs": [], "outputs": [], "custom": {}, **metadata}
    _check_only(full, "name versions platform inputs outputs custom", "metadata")
    for key in ("name", "platform"):
        _check(isinstance(full[key], str), key, "a string")
    _check(_is_text_list(full["versions"]), "versions", "a list of strings")
    for key in ("inputs", "outputs"):
        _check(isinstance(full[key], list), key, "a list")
        for i, item in enumerate(full[key]):
            _check_message(item, "%s[%d]" % (key, i))
    custom = full["custom"]
    _check(isinstance(custom, dict) and all(isinstance(v, str) for v in custom.values()), "custom", "an object of strings")
    return full


def read_text(text: str, source: str) -> Dict[str, Any]:
    """An object in JSON, or in YAML where PyYAML is installed; {} and a line in the log when it is neither."""
    try:
        value = json.loads(text)
    except ValueError as not_json:
        try:
            import yaml  # type: ignore

            value = yaml.safe_load(text)
        except ImportError:
            _log.error("%s: %s (only JSON is read here: install PyYAML for YAML)", source, not_json)
            return {}
        except yaml.YAMLError as error:
            _log.error("%s: %s", source, error)
            return {}
    if not isinstance(value or {}, dict):
        _log.error("%s: expected an object, got %s", source, type(value).__name__)
        return {}
    return value or {}


def of_component(declared: Any) -> Optional[Dict[str, Any]]:
    """What /metadata answers, from what init_metadata() returned (None: there is none). None when it is not valid."""
    if declared is not None and not isinstance(declared, dict):
        _log.error("init_metadata must return dict")
        declared = None
    merged = {**(declared or {}), **read_text(os.environ.get("MODEL_METADATA", "") or "{}", "MODEL_METADATA")}
    try:
        return check(merged)
    except MetadataError as error:
        _log.error("metadata: %s", error)
        return None
