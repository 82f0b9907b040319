# SPDX-License-Identifier: Apache-2.0
"""Several predictors of a SeldonDeployment: chosen by a header, told in the shadow, and given more and more of the traffic until one is alone, while clients ask all the time."""
import collections
import itertools
import json
import shutil
import urllib.request

import pytest
from gates import OFTEN, PYTHON, everywhere, machine_of
from load import Load
from nodes import folder_for_all
from waiting import SANITIZED, until

# A component in plain Python: it tells who it is, and each question is a line of its log. One that is told to fails.
CODE = """
import http.server, json, os, signal, socketserver, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self): self.answer(200, {})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get('content-length') or 0)))
        print(f"asked {asked.get('strData')}\\n", end='', flush=True)  # in one piece: several are asked at once
        self.answer(500 if 'FAILS' in os.environ else 200, {'strData': os.environ['WHO'], 'meta': {}})
    def answer(self, status, what):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(('0.0.0.0', int(os.environ['PREDICTIVE_UNIT_HTTP_SERVICE_PORT'])), Handler).serve_forever()
"""
CLIENTS, RATE = (2, 20) if SANITIZED else (4, 60)


@pytest.fixture(scope="module")
def m():
    folder = folder_for_all()
    machine = machine_of(folder)
    yield machine
    machine.run("delete", "sdep", "--all", ok=False)  # what a failed test left would be made again and again
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def predictor(name, who=None, env=(), **more):
    variables = [{"name": "WHO", "value": who or name}, *({"name": e, "value": "1"} for e in env)]
    container = {"name": "unit", "image": "process", "command": [PYTHON, "-u", "-c", CODE], "env": variables}
    return {"name": name, "replicas": 1, "graph": {"name": "unit", "type": "MODEL"}, "componentSpecs": [{"spec": {"containers": [container]}}], **more}


def seldon(name, *predictors):
    return {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": name}, "spec": {"predictors": list(predictors)}}


def path_of(name):
    return f"/seldon/default/{name}/api/v1.0/predictions"


def who(m, name, text="it", **headers):
    """Who answers."""
    host, port = m.gateway_address()
    request = urllib.request.Request(f"http://{host}:{port}{path_of(name)}", json.dumps({"strData": text}).encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["strData"]


def there(m, name):
    """All its predictors are available, at the generation that is wanted."""
    def is_so():
        o = m.get("sdep", name)
        status = o.get("status", {})
        assert status.get("state") == "Available" and status["observedGeneration"] == o["metadata"]["generation"], status.get("description")
        return status

    until(f"{name} is available", is_so)


def asked(m, name, predictor):
    """What this predictor was asked."""
    lines = m.run("logs", f"deployment/{name}-{predictor}-0-unit", "-c", "unit").splitlines()
    return collections.Counter(line.removeprefix("asked ") for line in lines if line.startswith("asked "))


def test_a_header_leads_to_its_predictor_and_nothing_else_does(m):
    m.apply(seldon("chosen", predictor("main", traffic=100),
                   predictor("beta", traffic=0, annotations={"seldon.io/ambassador-header": "location: london"}),
                   predictor("gamma", traffic=0, annotations={"seldon.io/ambassador-regex-header": "group: g[0-9]+"})))
    there(m, "chosen")
    for headers, wanted in (({}, "main"), ({"Location": "london"}, "beta"), ({"Group": "g17"}, "gamma")):
        everywhere(f"{wanted} answers", lambda: who(m, "chosen", **headers) == wanted)
    for headers, wanted in (({}, "main"), ({"location": "london"}, "beta"), ({"LOCATION": "london"}, "beta"), ({"location": "paris"}, "main"), ({"location": "londonderry"}, "main"),
                            ({"group": "g1"}, "gamma"), ({"group": "g"}, "main"), ({"group": "london"}, "main")):
        assert {who(m, "chosen", **headers) for _ in range(10)} == {wanted}, headers
    m.run("delete", "sdep", "chosen")


def test_a_shadow_is_told_all_and_never_heard(m):
    """Also one that answers with errors."""
    m.apply(seldon("shaded", predictor("main"), predictor("shadow", shadow=True, env=["FAILS"])))
    there(m, "shaded")
    everywhere("main answers", lambda: who(m, "shaded") == "main")
    warm = itertools.count()

    def is_told():
        more = [f"warm-{next(warm)}" for _ in range(OFTEN)]
        assert {who(m, "shaded", text) for text in more} == {"main"}
        until("the shadow is told", lambda: not set(more) - set(asked(m, "shaded", "shadow")), 10)
        return True

    until("the shadow is told by each worker of the gateway", is_told)
    texts = [f"number-{i}" for i in range(40)]
    assert {who(m, "shaded", text) for text in texts} == {"main"}
    for predictor_ in ("main", "shadow"):
        until(f"{predictor_} has been told all", lambda: not set(texts) - set(asked(m, "shaded", predictor_)))
    for told in (asked(m, "shaded", "main"), asked(m, "shaded", "shadow")):
        assert all(told[text] == 1 for text in texts), told
    m.run("delete", "sdep", "shaded")


class Predictions(Load):
    def __init__(self, m, name):
        super().__init__([m.gateway_address()], CLIENTS, RATE, "POST", path_of(name), [("Content-Type", "application/json")], json.dumps({"strData": "it"}).encode())

    def who(self):
        found = collections.Counter()
        with self.lock:
            for body, count in self.bodies.items():
                found[json.loads(body)["strData"]] += count
        return found


def busy(load, more=60):
    wanted = load.count + more
    until("requests are answered", lambda: load.count >= wanted)


def test_a_canary_is_given_more_and_more_until_it_is_alone(m):
    name = "promoted"
    m.apply(seldon(name, predictor("old")))
    there(m, name)
    until("the old one answers", lambda: who(m, name) == "old")
    load = Predictions(m, name)
    busy(load)
    for old, new in ((90, 10), (50, 50), (0, 100)):
        m.apply(seldon(name, predictor("old", traffic=old), predictor("new", traffic=new)))
        there(m, name)
        before = load.who()["new"]
        until("the new one answers", lambda: load.who()["new"] > before)
        busy(load)
    until("the old one answers no more", lambda: {who(m, name) for _ in range(10)} == {"new"})
    m.apply(seldon(name, predictor("new")))
    until("the old one is gone", lambda: not m.items("deployments,services", "-l", f"seldon-deployment-id={name},version=old"))
    there(m, name)
    busy(load)
    # Its next version, in its place.
    m.apply(seldon(name, predictor("new", who="newer")))
    until("the next version answers alone", lambda: {who(m, name) for _ in range(10)} == {"newer"})
    busy(load)
    load.stop()
    assert not load.failures, load.told()
    assert set(load.who()) == {"old", "new", "newer"}
    m.run("delete", "sdep", name)


def test_a_canary_that_never_comes_up_gets_nothing(m):
    """It is wanted to have half of the traffic, and cannot answer: the one that can goes on."""
    name = "stuck"
    m.apply(seldon(name, predictor("old")))
    there(m, name)
    until("the old one answers", lambda: who(m, name) == "old")
    load = Predictions(m, name)
    broken = predictor("new", traffic=50)
    broken["componentSpecs"][0]["spec"]["containers"][0]["command"] = ["sh", "-c", "echo no model here >&2; exit 3"]
    m.apply(seldon(name, predictor("old", traffic=50), broken))
    until("the state says why", lambda: "no model here" in m.get("sdep", name)["status"]["description"])
    busy(load)
    m.apply(seldon(name, predictor("old", traffic=50), predictor("new", traffic=50)))
    there(m, name)
    until("the mended one answers", lambda: load.who()["new"] > 0)
    load.stop()
    assert not load.failures, load.told()
    m.run("delete", "sdep", name)
