# SPDX-License-Identifier: Apache-2.0
"""hythe is asked every request of scenarios/; its answers are those that the real Kubernetes API server gave (recorded/), but for differences.py."""
import json
import os
import pathlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import differences
import record
import scenarios
from client import Cluster
from cluster import Up
from neutral import differences as compare

RECORDED = record.load_recorded()
ONLY = os.environ.get("KUBE_SCENARIOS", "")  # a prefix: for who works on one of them
STEPS = [(name, title) for name, steps in RECORDED.items() if name.startswith(ONLY) for title, _ in steps]
SHOWN = 12  # places of one answer that are told
# Answers that are not the real server's yet, "name: title" in each line. UNLIKE=write pytest tests/kube/test_kube_compare.py writes the list anew.
UNLIKE = pathlib.Path(__file__).with_name("unlike.txt")
KNOWN = set(UNLIKE.read_text().splitlines()) if os.environ.get("UNLIKE") != "write" and UNLIKE.exists() else set()


class Answers:
    """Runs the scenarios side by side, each once; .of() waits for one. A server that has ended is started again, and remembered."""

    def __init__(self, names, folder):
        every = scenarios.load()
        given = os.environ.get("KUBE_SUITE_KUBECONFIG")
        self.folder, self.lock, self.ends = folder, threading.Lock(), []
        self.up = None if given else Up(folder / "0")
        self.given = Cluster(given) if given else None
        self.pool = ThreadPoolExecutor(record.THREADS)
        self.runs = {name: self.pool.submit(self.run, name, every[name]) for name in names}

    def cluster(self, name):
        if self.given:
            return self.given
        with self.lock:
            if self.up.process.poll() is not None:
                self.ends.append(f"{name}: {self.up.process.returncode}\n{self.up.said()[-3000:]}")
                self.up = Up(self.folder / str(len(self.ends)))
            return self.up.cluster

    def run(self, name, function):
        steps, why = record.run(self.cluster(name), name, function)
        if why and self.up and self.up.process.poll() is not None:  # by this scenario, or by another beside it
            steps, why = record.run(self.cluster(name), name, function)
        return json.loads(json.dumps(dict(steps))), why

    def of(self, name):
        return self.runs[name].result()

    def close(self):
        self.pool.shutdown(cancel_futures=True)
        return self.up.stop() if self.up else 0


@pytest.fixture(scope="module")
def answers(request, tmp_path_factory):
    names = {item.callspec.params["name"] for item in request.session.items if item.fspath == request.fspath and hasattr(item, "callspec")}
    answers = Answers(sorted(names), tmp_path_factory.mktemp("compare"))
    yield answers
    answers.close()


def test_every_scenario_is_recorded():
    assert sorted(scenarios.load()) == sorted(RECORDED), "run tests/kube/record.py"


def test_every_intended_difference_is_of_a_recorded_answer():
    unused = [row for row in differences.ROWS if not any(differences.applies(row, name, title) for name, steps in RECORDED.items() for title, _ in steps)]
    assert not unused


def test_the_page_of_differences_is_the_table():
    assert differences.PAGE.read_text() == differences.page(), "run python3 tests/kube/differences.py"


def step(name, title):
    text = f"{name}: {title}"
    return pytest.param(name, title, id=text, marks=[pytest.mark.xfail(reason="not as the real server yet", strict=False)] if text in KNOWN else [])


@pytest.fixture(scope="module")
def unlike():
    found = []
    yield found
    if os.environ.get("UNLIKE") == "write":
        UNLIKE.write_text("".join(f"{text}\n" for text in sorted(found)))


@pytest.mark.parametrize("name,title", [step(*one) for one in STEPS])
def test_answer_is_that_of_the_real_server(answers, unlike, name, title):
    real = dict(map(tuple, RECORDED[name]))[title]
    steps, why = answers.of(name)
    if title not in steps:
        unlike.append(f"{name}: {title}")
    assert title in steps, f"not asked: {why}"
    found = [d for d in compare(real, steps[title]) if not differences.is_intended(name, title, *d)]
    if found:
        unlike.append(f"{name}: {title}")
    assert not found, "\n" + "\n".join(f"{path}: {str(theirs)[:300]}  <- real; hythe -> {str(ours)[:300]}" for path, theirs, ours in found[:SHOWN])


def test_the_server_has_not_ended(answers):
    for name in answers.runs:
        answers.of(name)
    assert not answers.ends, "\n".join(answers.ends)
    assert answers.close() == 0


def test_what_is_unlike_is_told_with_its_consequence():
    for line in sorted(KNOWN):
        assert any(re.fullmatch(pattern, line, re.S) for pattern, *_ in differences.KNOWN), f"differences.py does not explain: {line}"
    for pattern, what, _ in differences.KNOWN:
        assert any(re.fullmatch(pattern, line, re.S) for line in KNOWN) or not KNOWN, f"it is as the real server has it: {what}"


def test_the_page_of_differences_is_made_from_them():
    assert differences.PAGE.read_text() == differences.page()
