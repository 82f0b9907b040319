# SPDX-License-Identifier: Apache-2.0
"""Python workers: their memory, and a thousand reloads under load."""
import os
import re
import signal
import subprocess
import time

from common import LOAD_CORE, WORK, Server, free_port, memory_mb, number, post, say, table, tree, venv
from models import seldon_json
from python import PREDICTIONS, microservice, python

RELOADS = int(os.environ.get("RELOADS", "1000"))
MODEL_MB = 500

EMPTY = """
class Empty:
    def predict(self, X, names, meta=None):
        return X
"""

BIG = f"""
class Big:
    def __init__(self):
        import numpy
        self.weights = numpy.ones({MODEL_MB} << 17)
    def predict(self, X, names, meta=None):
        return X * self.weights[::1000].sum()
"""

BIG_FLASK = f"""
import numpy
from flask import Flask
app = Flask(__name__)
weights = numpy.ones({MODEL_MB} << 17)
@app.get("/")
def hello():
    return str(weights[::1000].sum())
"""


def memory():
    for name, text in (("Empty", EMPTY), ("Big", BIG), ("bigflask", BIG_FLASK)):
        (WORK / f"{name}.py").write_text(text)
    body = seldon_json(1)
    rows = []

    def show(what, name, server, path, body):
        for _ in range(40):
            post(server.port, path, body)
        rows.append([what, name, len(tree(server.pid)), number(memory_mb(server.pid, "Pss")), number(memory_mb(server.pid))])
        say(*rows[-1])

    one, four = "empty class, one worker", f"four workers, a model of {MODEL_MB} MiB"
    with python("Empty.py", "seldon") as server:
        show(one, "hythe", server, PREDICTIONS, body)
    with microservice("Empty", PREDICTIONS, body) as server:
        show(one, "seldon-core", server, PREDICTIONS, body)
    with python("Big.py", "seldon", "--workers", "4", "--preload") as server:
        show(four, "hythe --preload", server, PREDICTIONS, body)
    for flags, name in (([], "gunicorn"), (["--preload"], "gunicorn --preload")):
        port = free_port()
        with Server("gunicorn", [venv("apps") / "bin" / "gunicorn", "-w", "4", "-b", f"127.0.0.1:{port}", *flags, "bigflask:app"], port, "/", cwd=WORK) as server:
            time.sleep(3)
            show(four, name, server, "/", None)
    table("Memory of Python workers", ["work", "server", "processes", "PSS, MiB", "RSS, MiB"], rows)


def reloads():
    """SIGHUP as soon as the last one is done, under wrk's load: answers that are not 200, connections lost, and the memory at both ends."""
    target = WORK / "Reloaded.py"
    target.write_text("class Reloaded:\n    def predict(self, X, names, meta=None):\n        return X\n    def tags(self):\n        return {'version': 0}\n")
    body = seldon_json(1)
    escaped = "".join(f"\\{b:03d}" for b in body)
    (WORK / "reload.lua").write_text(f'wrk.method="POST"\nwrk.body="{escaped}"\nwrk.headers["Content-Type"]="application/json"\n')
    with python("Reloaded.py", "seldon", "--workers", "1") as server:
        load = subprocess.Popen(["taskset", "-c", LOAD_CORE, "wrk", "-t1", "-c4", "-d36000s", "--latency", "--timeout", "30s", "-s", WORK / "reload.lua",
                                 f"http://127.0.0.1:{server.port}{PREDICTIONS}"], stdout=subprocess.PIPE, text=True)
        front, marks, began = server.pid, [], time.monotonic()
        for number_of in range(1, RELOADS + 1):
            target.write_text(re.sub(r"'version': \d+", f"'version': {number_of}", target.read_text()))
            os.kill(front, signal.SIGHUP)
            asked = time.monotonic()
            while f'"version":{number_of}}}'.encode() not in post(server.port, PREDICTIONS, body)[1].replace(b" ", b""):
                time.sleep(0.005)
                if time.monotonic() - asked > 60:
                    raise RuntimeError(f"reload {number_of} does not come up: see {WORK / 'hythe-python.log'}")
            if number_of in (10, RELOADS // 4, RELOADS // 2, RELOADS):
                time.sleep(1)
                marks.append((number_of, memory_mb(front, "Pss"), len(tree(front))))
                say("reload", *marks[-1])
        spent = time.monotonic() - began
        load.send_signal(signal.SIGINT)
        out = load.communicate()[0]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    total = re.search(r"(\d+) requests in", out)[1]
    rows = [[RELOADS, f"{spent:.0f}", total, bad[1] if bad else 0, errors[1] if errors else "none",
             ", ".join(f"{memory:.0f} after {count}" for count, memory, _ in marks), ", ".join(str(processes) for _, _, processes in marks)]]
    table("Reloads under load", ["reloads", "seconds", "requests", "not 200", "socket errors", "PSS, MiB", "processes"], rows)


def main():
    memory()
    reloads()
