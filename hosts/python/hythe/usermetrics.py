# SPDX-License-Identifier: Apache-2.0
"""Metrics of the user's own code: what metrics() and SeldonResponse carry, and feedback, in Prometheus' text form.

Each worker process has its own, told apart by the label worker_id, and forgets them when it ends.
"""
import bisect
import json
import math
import os
import re
import threading
from typing import Any, Dict, Iterable, List, Tuple

COUNTER, GAUGE, TIMER = "COUNTER", "GAUGE", "TIMER"
FEEDBACK = "seldon_api_model_feedback"
FEEDBACK_REWARD = "seldon_api_model_feedback_reward"
UNSET = "NOT_IMPLEMENTED"

# Seconds: 50 bounds from 1 ms to 30 s, evenly spread over the logarithm.
_FIRST, _LAST, _COUNT = math.log10(0.001), math.log10(30), 50
BOUNDS = [10.0 ** (_FIRST + i * ((_LAST - _FIRST) / (_COUNT - 1))) for i in range(_COUNT - 1)] + [10.0**_LAST]

_BAD_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_BAD_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def is_valid(metrics: Any) -> bool:
    """Whether this is a list of metrics: key, a known type, and a value that is a number."""
    if not isinstance(metrics, list):
        return False
    for metric in metrics:
        try:
            if metric["type"] not in (COUNTER, GAUGE, TIMER) or "key" not in metric:
                return False
            metric["value"] + 1
        except (KeyError, TypeError):
            return False
    return True


def image_and_version(image: str) -> Tuple[str, str]:
    """`registry:5000/model:0.1` -> (`registry:5000/model`, `0.1`); the version is empty where there is none."""
    name, colon, version = image.rpartition(":")
    if not colon or "/" in version:
        return image, ""
    return name, version


def default_labels() -> Dict[str, str]:
    """Labels that say where this component runs, from the environment that Seldon's operator sets."""
    image, version = image_and_version(os.environ.get("PREDICTIVE_UNIT_IMAGE", UNSET + ":" + UNSET))
    deployment = os.environ.get("SELDON_DEPLOYMENT_ID", UNSET)
    try:
        predictor_version = json.loads(os.environ.get("PREDICTOR_LABELS", "{}")).get("version", UNSET)
    except (ValueError, AttributeError):
        predictor_version = UNSET
    return {
        "deployment_name": deployment,
        "model_name": os.environ.get("PREDICTIVE_UNIT_ID", UNSET),
        "model_image": image,
        "model_version": version,
        "predictor_name": os.environ.get("PREDICTOR_ID", UNSET),
        "predictor_version": str(predictor_version),
        "seldon_deployment_name": deployment,
        "image_name": image,
        "image_version": version,
    }


def _number(value: float) -> str:
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class _Timer:
    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Registry:
    """What this process has counted. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # (type, key) -> labels -> value; the order of first use is the order of the text
        self._families: Dict[Tuple[str, str], Dict[Tuple[Tuple[str, str], ...], Any]] = {}
        self._labels = default_labels()
        self._counts_rewards = os.environ.get("SELDON_EXECUTOR_ENABLED", "true").lower() != "false"

    def update(self, metrics: Iterable[Dict], method: str) -> None:
        """Counts valid metrics that came out of a method: predict, inputtransform, outputtransform, router, ..."""
        for metric in metrics:
            labels = {_BAD_IN_LABEL.sub("_", str(name)): str(value) for name, value in (metric.get("tags") or {}).items()}
            labels["method"] = method
            kind, value = metric.get("type", COUNTER), float(metric["value"])
            key = (kind, _BAD_IN_NAME.sub("_", str(metric["key"])))
            series = tuple(sorted(labels.items()))
            with self._lock:
                family = self._families.setdefault(key, {})
                if kind == GAUGE:
                    family[series] = value
                elif kind == TIMER:
                    family.setdefault(series, _Timer()).add(value / 1000)  # milliseconds
                else:
                    family[series] = family.get(series, 0.0) + value

    def add_reward(self, reward: float) -> None:
        """Counts a feedback. One without a reward is none."""
        if reward and self._counts_rewards:
            self.update([{"key": FEEDBACK, "type": COUNTER, "value": 1},
                         {"key": FEEDBACK_REWARD, "type": COUNTER, "value": reward}], "feedback")

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self._families.clear()

    def text(self) -> str:
        """All of it, in Prometheus' text form."""
        lines: List[str] = []
        common = {**self._labels, "worker_id": str(os.getpid())}
        with self._lock:
            for (kind, key), family in self._families.items():
                name = key if kind != COUNTER or key.endswith("_total") else key + "_total"
                lines.append("# HELP %s Of the model's own code.\n" % name)
                lines.append("# TYPE %s %s\n" % (name, {COUNTER: "counter", GAUGE: "gauge"}.get(kind, "histogram")))
                for series, value in family.items():
                    labels = ",".join('%s="%s"' % (n, _escape(v)) for n, v in {**dict(series), **common}.items())
                    if isinstance(value, _Timer):
                        self._put_timer(lines, name, labels, value)
                    else:
                        lines.append("%s{%s} %s\n" % (name, labels, _number(value)))
        return "".join(lines)

    @staticmethod
    def _put_timer(lines: List[str], name: str, labels: str, timer: _Timer) -> None:
        total = 0
        for bound, count in zip(BOUNDS + [math.inf], timer.counts):
            total += count
            lines.append('%s_bucket{%s,le="%s"} %s\n' % (name, labels, _number(bound), _number(total)))
        lines.append("%s_count{%s} %s\n" % (name, labels, _number(total)))
        lines.append("%s_sum{%s} %s\n" % (name, labels, _number(timer.sum)))
