# SPDX-License-Identifier: Apache-2.0
"""hythe is asked every request of scenarios/; its answers are those that the real Kubernetes API server gave (recorded/), but for differences.py."""
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import differences
import record
import scenarios
from neutral import differences as compare

RECORDED = record.load_recorded()
ONLY = os.environ.get("KUBE_SCENARIOS", "")  # a prefix: for who works on one of them
STEPS = [(name, title) for name, steps in RECORDED.items() if name.startswith(ONLY) for title, _ in steps]
SHOWN = 12  # places of one answer that are told


class Answers:
    """Runs the scenarios side by side, each once; .of() waits for one."""

    def __init__(self, cluster, names):
        every = scenarios.load()
        self.pool = ThreadPoolExecutor(record.THREADS)
        self.runs = {name: self.pool.submit(record.run, cluster, name, every[name]) for name in names}

    def of(self, name):
        steps, why = self.runs[name].result()
        return json.loads(json.dumps(dict(steps))), why


@pytest.fixture(scope="module")
def answers(kube, request):
    names = {item.callspec.params["name"] for item in request.session.items if item.fspath == request.fspath and hasattr(item, "callspec")}
    answers = Answers(kube, sorted(names))
    yield answers
    answers.pool.shutdown(cancel_futures=True)


def test_every_scenario_is_recorded():
    assert sorted(scenarios.load()) == sorted(RECORDED), "run tests/kube/record.py"


def test_every_intended_difference_is_of_a_recorded_answer():
    unused = [row for row in differences.ROWS if not any(differences.applies(row, name, title) for name, steps in RECORDED.items() for title, _ in steps)]
    assert not unused


def test_the_page_of_differences_is_the_table():
    assert differences.PAGE.read_text() == differences.page(), "run python3 tests/kube/differences.py"


@pytest.mark.parametrize("name,title", STEPS, ids=[f"{name}: {title}" for name, title in STEPS])
def test_answer_is_that_of_the_real_server(answers, name, title):
    real = dict(map(tuple, RECORDED[name]))[title]
    steps, why = answers.of(name)
    assert title in steps, f"not asked: {why}"
    found = [d for d in compare(real, steps[title]) if not differences.is_intended(name, title, *d)]
    assert not found, "\n" + "\n".join(f"{path}: {str(theirs)[:300]}  <- real; hythe -> {str(ours)[:300]}" for path, theirs, ours in found[:SHOWN])
