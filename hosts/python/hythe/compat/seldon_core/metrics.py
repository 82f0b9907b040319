# SPDX-License-Identifier: Apache-2.0
"""Metrics as metrics() and SeldonResponse carry them."""
from typing import Any, Dict

COUNTER = "COUNTER"
GAUGE = "GAUGE"
TIMER = "TIMER"


def _metric(kind: str, key: str, value: float) -> Dict:
    value + 1  # TypeError where it is made, rather than where it is sent
    return {"key": key, "type": kind, "value": value}


def create_counter(key: str, value: float) -> Dict:
    """A number to be added."""
    return _metric(COUNTER, key, value)


def create_gauge(key: str, value: float) -> Dict:
    """A number as it is now."""
    return _metric(GAUGE, key, value)


def create_timer(key: str, value: float) -> Dict:
    """Milliseconds that something took."""
    return _metric(TIMER, key, value)


def validate_metrics(metrics: Any) -> bool:
    """Whether this is a list of metrics with key, type and a numeric value each."""
    from hythe.usermetrics import is_valid

    return is_valid(metrics)
