# SPDX-License-Identifier: Apache-2.0
"""`hythe deploy`, `promote` and `rollback`: what is refused before anything is written, what stays when it is deployed again, what is said of one that does not begin."""
import json
import pathlib
import re
import shutil
import subprocess
import urllib.request

import pytest
from gates import machine_of  # which says where the next ones are
from nodes import folder_for_all
from waiting import until
from cluster import PROGRAM, ROOT

MODEL = ROOT / "examples" / "propensity.json"
BAD = "class Bad:\n    def __init__(self):\n        raise ValueError('no weights')\n\n    def predict(self, X, names=None):\n        return X\n"


@pytest.fixture(scope="module")
def m():
    folder = folder_for_all()
    machine = machine_of(folder)
    yield machine
    machine.run("delete", "sdep", "--all", ok=False)
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def hythe(m, *words, cwd="/"):
    """(its exit code, its output, what it said)"""
    run = subprocess.run([PROGRAM, *map(str, words), "--kubeconfig", m.up.kubeconfig], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, cwd=cwd)
    return run.returncode, run.stdout, run.stderr


def predictors(m, name):
    """{predictor: (traffic, replicas)}"""
    return {p["name"]: (p.get("traffic"), p.get("replicas")) for p in m.get("sdep", name)["spec"]["predictors"]}


@pytest.mark.parametrize("words,why", [
    (["no-file.json", "--name=x"], "'no-file.json': No such file or directory"),
    (["Missing.py", "--name=x"], "Missing.py': No such file or directory"),
    ([MODEL], "--name is needed"),
    ([MODEL, "--name=Not_A_Name"], "--name Not_A_Name: a name has"),
    ([MODEL, "--name=" + "x" * 51], "a name has at most 50"),
    ([MODEL, "--name=x", "--canary=0%"], "a percentage from 1 to 99"),
    ([MODEL, "--name=x", "--canary=100%"], "a percentage from 1 to 99"),
    ([MODEL, "--name=x", "--canary=a tenth"], "a percentage from 1 to 99"),
    ([MODEL, "--name=x", "--canary=10%"], "there is no 'x' yet that a canary could stand beside"),
    ([MODEL, "--name=x", "--namespace=nowhere"], 'namespaces "nowhere" not found'),
])
def test_what_is_wrong_is_said_and_nothing_is_written(m, words, why):
    code, out, said = hythe(m, "deploy", *words)
    assert code != 0 and not out and why in said, said
    assert m.run("get", "sdep,deployments", "-o", "name") == ""


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_nothing_is_promoted_where_nothing_is(m, command):
    code, _, said = hythe(m, command, "nobody")
    assert code != 0 and "nothing is deployed as 'nobody' in the namespace default" in said


def test_a_dry_run_is_the_file_that_kubectl_takes(m):
    code, text, said = hythe(m, "deploy", MODEL, "--name=written", "--replicas=2", "--dry-run", "-o", "yaml")
    assert code == 0, said
    assert m.run("get", "sdep", "-o", "name") == ""
    file = pathlib.Path(m.folder) / "written.yaml"
    file.write_text(text)
    m.run("apply", "-f", str(file))
    until("it is available", lambda: m.get("sdep", "written")["status"]["state"] == "Available")
    m.run("delete", "-f", str(file))


def test_deployed_again_promoted_and_taken_back(m):
    code, out, said = hythe(m, "deploy", MODEL, "--name=again", "--replicas=2")
    assert code == 0 and "seldondeployment/again is available" in out, said
    address = next(line.split()[1] for line in out.splitlines() if line.strip().startswith("address"))
    request = urllib.request.Request(address, json.dumps({"data": {"ndarray": [[0] * 10]}}).encode(), {"Content-Type": "application/json"})

    def answered():
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    assert len(until("it answers", answered)["data"]["ndarray"][0]) == 2

    def told():
        status = hythe(m, "status")[1]
        assert re.search(r"^default +seldondeployment/again +2/2 +runs", status, re.M), status
        return status

    assert "deployment/again-default" not in until("status tells it", told)  # it is told with what keeps it

    # Replicas that somebody else set stay where none are asked for.
    # Each is written while the controller still writes the status of the one before.
    for replicas in (3, 1, 4, 2):
        m.run("patch", "sdep", "again", "--type=json", "-p", json.dumps([{"op": "replace", "path": "/spec/predictors/0/replicas", "value": replicas}]))
        code, _, said = hythe(m, "deploy", MODEL, "--name=again", "--timeout=0s")
        assert code == 0 and predictors(m, "again") == {"default": (None, replicas)}, said

    code, out, said = hythe(m, "deploy", MODEL, "--name=again", "--canary=25%")
    assert code == 0 and "is available, with a canary" in out, said
    assert {name: traffic for name, (traffic, _) in predictors(m, "again").items()} == {"default": 75, "canary": 25}
    code, out, said = hythe(m, "rollback", "again")
    assert code == 0 and set(predictors(m, "again")) == {"default"}, said

    assert hythe(m, "deploy", MODEL, "--name=again", "--canary=25%")[0] == 0
    code, out, said = hythe(m, "promote", "again")
    assert code == 0 and "its canary has all the traffic" in out, said
    assert set(predictors(m, "again")) == {"default"}
    code, _, said = hythe(m, "promote", "again")
    assert code != 0 and "canary" in said


def test_what_does_not_begin_is_told_while_it_is_waited_for(m):
    folder = pathlib.Path(m.folder) / "bad"
    folder.mkdir()
    (folder / "Bad.py").write_text(BAD)
    code, out, said = hythe(m, "deploy", "Bad.py", "--name=bad", "--timeout=8s", cwd=folder)
    assert code != 0 and not out
    lines = said.splitlines()
    assert "it is not available after 8 s, and goes on without being waited for" in lines[-1] and "hythe why seldondeployment/bad -n default" in lines[-1], said
    assert len(lines) >= 2 and all(line.startswith("bad: ") for line in lines[:-1]), said  # into a file: a line for what is new
    row = r"^default +seldondeployment/bad +0/1 +fails .*exit code 1"
    until("status names it", lambda: re.search(row, hythe(m, "status")[1], re.M))
    assert hythe(m, "deploy", "Bad.py", "--name=quiet", "--timeout=1s", "--quiet", cwd=folder)[2].count("\n") == 1
