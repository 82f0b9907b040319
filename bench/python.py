# SPDX-License-Identifier: Apache-2.0
"""The user's own Python: a Seldon class, Flask and FastAPI applications, beside the servers they run under today."""
import base64
import json
import os
import statistics
import subprocess
import time

from common import HYTHE, LOAD_CORE, ROOT, WORK, Server, cpu_seconds, free_port, h2load, measure_in_turn, number, post, say, table, venv, wrk
from models import grpc_message, record, seldon_json

PREDICTIONS = "/api/v1.0/predictions"
PREDICT = "/seldon.protos.Model/Predict"

ROW_CLASS = """
class RowSum:
    def predict(self, X, names, meta=None):
        return X[:, :1]
"""

FLASK_HELLO = """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def hello():
    return "Hello, World!"
"""

FASTAPI_HELLO = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
async def hello():
    return {"message": "Hello, World!"}
"""

PICTURE = """
import sys, numpy
from PIL import Image
y, x = numpy.mgrid[0:960, 0:1280]
noise = numpy.random.RandomState(5).randint(0, 24, (960, 1280, 3))
pixels = numpy.stack([x % 256, y % 256, (x + y) // 9 % 256], -1) // 2 + 60 + noise
Image.fromarray(pixels.astype("uint8")).save(sys.argv[1], quality=85)
"""


def python(target, environment, *flags, path="/health/ping", body=None, cwd=WORK):
    """`hythe serve TARGET` with one worker of this environment."""
    port = free_port()
    return Server("hythe-python", [HYTHE, "serve", target, "--python", venv(environment) / "bin" / "python", "--listen", f"127.0.0.1:{port}", *flags], port,
                  path, body, cwd=cwd)


def microservice(name, path=PREDICTIONS, body=None):
    """The real wrapper with one REST and one gRPC worker."""
    folder = venv("seldon") / "bin"
    port, grpc, metrics = free_port(), free_port(), free_port()
    server = Server("seldon-core", [folder / "seldon-core-microservice", name, "--service-type", "MODEL", "--http-port", port, "--grpc-port", grpc,
                                    "--metrics-port", metrics, "--workers", "1"], port, path, body,
                    {"PATH": f"{folder}:{os.environ['PATH']}", "SELDON_LOG_LEVEL": "WARNING", "PYTHONPATH": str(WORK)}, WORK)
    server.grpc_port = grpc
    return server


def rows_of(work, found):
    """Rows of a table from [(name, figures), ...], the first of them hythe's."""
    ours = found[0][1]
    return [[work, name, number(r["rate"]), number(r["p50"]), number(r["p99"]), number(r["cpu_us"]), number(r["memory"]), r["bad"],
             f"{ours['rate'] / r['rate']:.2f} x" if r is not ours else "", f"{r['spread']}"] for name, r in found]


HEADER = ["work", "server", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "memory MiB", "bad", "hythe's rate / its", "rounds"]


def seldon_class():
    (WORK / "RowSum.py").write_text(ROW_CLASS)
    body, message = seldon_json(1), grpc_message("seldon", 1)
    rows, alone = [], []
    port = free_port()
    with python("RowSum.py", "seldon") as ours, microservice("RowSum", PREDICTIONS, body) as theirs, Server(
            "native", [HYTHE, "serve", "builtin:echo", "--workers", "1", "--listen", f"127.0.0.1:{port}"], port, "/health/ping") as native:
        rest = measure_in_turn([(s, lambda seconds, s=s: wrk(s.port, PREDICTIONS, body, seconds=seconds)) for s in (ours, theirs)])
        rows += rows_of("class, REST", list(zip(("hythe", "seldon-core"), rest)))
        grpc = measure_in_turn([(s, lambda seconds, s=s, port=port: h2load(port, PREDICT, message, seconds=seconds))
                                for s, port in ((ours, ours.port), (theirs, theirs.grpc_port))])
        rows += rows_of("class, gRPC", list(zip(("hythe", "seldon-core"), grpc)))
        one = measure_in_turn([(s, lambda seconds, s=s: wrk(s.port, PREDICTIONS, body, connections=1, seconds=seconds)) for s in (ours, native, theirs)])
        alone = [[name, number(r["p50"] * 1000), number(r["p99"] * 1000)] for name, r in zip(("hythe, class", "hythe, native echo", "seldon-core, class"), one)]
    table("A Seldon class, one row of ten", HEADER, rows)
    table("The same over REST by one client", ["server", "p50 µs", "p99 µs"], alone)


def wsgi():
    (WORK / "flaskhello.py").write_text(FLASK_HELLO)
    propensity = ROOT / "examples" / "python"
    folder = venv("apps") / "bin"
    rows = []
    for title, cwd, module, path, body in (("Flask hello", WORK, "flaskhello", "/", None), ("propensity", propensity, "serving", "/predict", record())):
        def rival(name, command, port, cwd=cwd, path=path, body=body):
            return name, Server(f"{name}", command, port, path, body, cwd=cwd)

        servers = [("hythe", python(f"{module}:app", "apps", path=path, body=body, cwd=cwd))]
        port = free_port()
        servers.append(rival("gunicorn sync", [folder / "gunicorn", "-w", "1", "-b", f"127.0.0.1:{port}", f"{module}:app"], port))
        port = free_port()
        servers.append(rival("gunicorn gthread", [folder / "gunicorn", "-w", "1", "-k", "gthread", "--threads", "16", "-b", f"127.0.0.1:{port}", f"{module}:app"], port))
        port = free_port()
        servers.append(rival("uwsgi", [folder / "uwsgi", "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "1", "--disable-logging",
                                       "--module", f"{module}:app", "--virtualenv", venv("apps")], port))
        port = free_port()
        servers.append(rival("bjoern", [folder / "python", "-c", f"import bjoern, {module}; bjoern.run({module}.app, '127.0.0.1', {port})"], port))
        try:
            found = measure_in_turn([(s, lambda seconds, s=s: wrk(s.port, path, body, seconds=seconds)) for _, s in servers])
        finally:
            for _, server in servers:
                server.stop()
        rows += rows_of(title, [(name, r) for (name, _), r in zip(servers, found)])
        say(title, *rows[-5:])
    return rows


def asgi():
    (WORK / "fasthello.py").write_text(FASTAPI_HELLO)
    port = free_port()
    with python("fasthello:app", "apps", path="/") as ours, Server(
            "uvicorn", [venv("apps") / "bin" / "uvicorn", "--host", "127.0.0.1", "--port", port, "--loop", "uvloop", "--http", "httptools", "--no-access-log",
                        "--log-level", "warning", "fasthello:app"], port, "/", cwd=WORK) as theirs:
        found = measure_in_turn([(s, lambda seconds, s=s: wrk(s.port, "/", None, seconds=seconds)) for s in (ours, theirs)])
    return rows_of("FastAPI hello", list(zip(("hythe", "uvicorn, uvloop, httptools"), found)))


def image():
    picture = WORK / "picture.jpg"
    subprocess.run([venv("seldon") / "bin" / "python", "-c", PICTURE, picture], check=True)
    (WORK / "image.py").write_text((ROOT / "examples" / "python" / "image.py").read_text())
    (WORK / "MyModel.py").write_text((ROOT / "examples" / "python" / "image.py").read_text())
    body = json.dumps({"binData": base64.b64encode(picture.read_bytes()).decode()}).encode()
    own = float(subprocess.run(["taskset", "-c", LOAD_CORE, venv("seldon") / "bin" / "python", "-c",
                                "import MyModel, timeit; m = MyModel.MyModel(); b = open('picture.jpg', 'rb').read()\n"
                                "print(min(timeit.repeat(lambda: m.predict(b, []), number=5, repeat=5)) / 5 * 1000)"], cwd=WORK, capture_output=True, text=True,
                               check=True).stdout)
    rows = [["the class alone, called from Python", number(own), "", "", ""]]
    with python("image.py", "seldon") as ours, microservice("MyModel", "/health/ping") as theirs:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        for name, server, calls in (("hythe", ours, 15), ("seldon-core", theirs, 5)):
            spent, cpu = [], cpu_seconds(server.pid)
            for _ in range(calls):
                began = time.monotonic()
                status, answer = post(server.port, PREDICTIONS, body)
                spent.append((time.monotonic() - began) * 1000)
                if status != 200:
                    raise RuntimeError(f"{name}: {status} {answer[:300]!r}")
            if json.loads(answer)["data"]["tensor"]["shape"] != [960, 1280, 3]:
                raise RuntimeError(f"{name}: not a picture")
            rows.append([name, number(statistics.median(spent[1:])), number(max(spent[1:])), number((cpu_seconds(server.pid) - cpu) / calls * 1000),
                         f"{len(answer) / 1e6:.1f}"])
    os.sched_setaffinity(0, range(os.cpu_count()))
    table("A picture of 1280 x 960 in, its pixels as a JSON tensor out", ["server", "ms a call (median)", "worst ms", "server CPU ms a call", "answer MB"], rows)


def main():
    seldon_class()
    table("Flask and FastAPI", HEADER, wsgi() + asgi())
    image()
