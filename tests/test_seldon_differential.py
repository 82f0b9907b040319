# SPDX-License-Identifier: Apache-2.0
"""hythe beside Seldon's own wrapper over gRPC, with seldon-core's stubs and SeldonClient, and over REST in every form of body.

Both are asked in the same session. What differs on purpose is in intended_grpc(), BAD_FORM and docs/reference/seldon-differences.md; what differs and
should not is in OPEN, and must be taken out of it when it is mended.
"""
import json
import os
import pathlib
import signal
import subprocess
import textwrap

import pytest
import requests

from conftest import DEADLINE, ROOT, Server
from ports import Ports
from test_seldon_wrapper import CLASSES, WRAPPER, pytestmark, wait_for_wrapper  # noqa: F401: the marks of that file hold here too

TOOL = pathlib.Path(__file__).with_name("seldon_client_tool.py")
ENV = {"PREDICTIVE_UNIT_ID": "unit"}


TYPED = """
    class Typed:
        def __init__(self, **parameters):
            self.parameters = parameters

        def predict(self, X, names):
            return {name: [value, type(value).__name__] for name, value in self.parameters.items()}
    """


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """both(class, parameters): ((REST URL, gRPC address) of the wrapper, of hythe)."""
    folder = tmp_path_factory.mktemp("differential")
    (folder / "classes.py").write_text(textwrap.dedent(CLASSES + TYPED))
    env = {**{k: v for k, v in os.environ.items() if not k.startswith(("PREDICTIVE_", "HYTHE_"))}, **ENV}
    processes, servers, held = [], [], []

    def start(name, parameters="[]"):
        held.append(Ports(3))
        rest, grpc, metrics = held[-1]
        log = open(folder / f"{name}.log", "w")
        command = [WRAPPER, "classes." + name, "--http-port", rest, "--grpc-port", grpc, "--metrics-port", metrics, "--parameters", parameters]
        process = subprocess.Popen(list(map(str, command)), cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        processes.append(process)
        servers.append(Server(["classes:" + name, "--python", str(ROOT / ".venv-test" / "bin" / "python"), "--parameters", parameters], env=ENV, cwd=folder))
        wait_for_wrapper(process, f"http://127.0.0.1:{rest}", log)
        return (f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc}"), (servers[-1].url, f"{servers[-1].host}:{servers[-1].port}")

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for ports in held:
        ports.close()
    for server in servers:
        assert server.stop() == 0, server.read()


def canonical(answer):
    """Empty lists and objects that one of the two leaves out of a message are no difference in protobuf."""
    if isinstance(answer, dict):
        return {key: made for key, value in answer.items() if (made := canonical(value)) not in ({}, [], "", None)}
    return [canonical(value) for value in answer] if isinstance(answer, list) else answer


WORDS = "Exception calling application: "
OPEN = {"Seldon/ModelMetadata "}  # the wrapper answers whatever name is asked for; hythe only to the name it serves
BAD_FORM = {"data": {"json": "{"}}  # the wrapper answers 500


def intended_grpc(theirs, ours):
    """The wrapper's errors are all UNKNOWN, most without words. hythe's tell whose fault it was, and why; the model's words are kept."""
    if theirs[:2] != ["error", "UNKNOWN"] or ours[0] != "error" or not ours[2]:
        return False
    return ours[1] == "INVALID_ARGUMENT" or ours[1] == "INTERNAL" and theirs[2].removeprefix(WORDS) in ours[2]


@pytest.mark.parametrize("name", ["Full", "Plain", "Named", "Nothing"])
def test_grpc_answers_as_the_wrapper(both, name):
    (_, theirs), (_, ours) = both(name)
    done = subprocess.run([str(WRAPPER.with_name("python")), str(TOOL), theirs, ours], capture_output=True, text=True, timeout=DEADLINE * 10)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert len(found) > 100
    found = [(what, canonical(a), canonical(b)) for what, a, b in found]
    assert {what for what, a, b in found if what in OPEN and a != b} == OPEN, "mended: take it out of OPEN"
    different = [f"{what}\n  wrapper {a}\n  hythe   {b}" for what, a, b in found if a != b and what not in OPEN and not intended_grpc(a, b)]
    assert not different, "%d of %d\n%s" % (len(different), len(found), "\n".join(different))


FORMS = [
    BAD_FORM,
    {"data": {"json": '{"data":{"ndarray":[[1,2]]}}'}},
    {"params": {"json": '{"data":{"ndarray":[[1,2]]}}'}},
    {"params": {"json": '{"strData":"query"}'}, "json": {"strData": "body"}},
    {"files": {"strData": (None, "hello")}},
    {"files": {"data": (None, '{"ndarray":[[1,2.5]]}'), "meta": (None, '{"puid":"p"}')}},
    {"files": {"binData": ("a.bin", b"\x00\xffabc")}},
    {"files": {"strData": ("a.txt", b"from a file")}},
    {"files": {"jsonData": (None, '{"a":[1,null]}')}},
    {"data": b'{"strData":"typed"}', "headers": {"Content-Type": "application/json; charset=utf-8"}},
]


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
@pytest.mark.parametrize("path", ["/predict", "/api/v1.0/predictions", "/transform-input"])
def test_every_form_of_a_body_is_read_as_the_wrapper_reads_it(form_servers, form, path):
    answers = []
    for url in form_servers:
        answer = requests.post(url + path, timeout=DEADLINE, **form)
        answers.append((answer.status_code, canonical(answer.json())))
    theirs, ours = answers
    if form is BAD_FORM:
        assert (theirs[0], ours[0]) == (500, 400)  # a bad question is not the server's fault
    elif theirs[0] == ours[0] == 400:
        assert theirs[1]["status"]["reason"] == ours[1]["status"]["reason"]  # the words are hythe's own
    else:
        assert theirs == ours


@pytest.fixture(scope="module")
def form_servers(both):
    (theirs, _), (ours, _) = both("Plain")
    return theirs, ours


def test_typed_parameters_are_made_as_by_the_wrapper(both):
    typed = [("i", "INT", "3"), ("f", "FLOAT", "2.5"), ("d", "DOUBLE", "1e3"), ("s", "STRING", "5"), ("yes", "BOOL", "true"), ("no", "BOOL", "False")]
    (theirs, _), (ours, _) = both("Typed", json.dumps([{"name": name, "type": kind, "value": value} for name, kind, value in typed]))
    answers = [requests.post(url + "/predict", json={"strData": ""}, timeout=DEADLINE).json() for url in (theirs, ours)]
    assert answers[0] == answers[1] and len(answers[0]["jsonData"]) == len(typed)
