# SPDX-License-Identifier: Apache-2.0
"""`./dev bench seldon`: what a SeldonDeployment's public path costs, for a model that hythe reads and for a Python class.

Alone: python3 bench/seldon.py [--only native,class]. `native` stands beside `hythe serve` of the same model and, where SELDON_EXECUTOR names a program built from
seldon-core's executor folder (no registry has it), that executor in front of seldon-core's Python. `class` is a pod asked through the gateway and the engine, and
through the gateway alone. Servers are on SERVER_CORE, one worker each.
"""
import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import common
import rivals
from common import number, wrk
from models import logistic, seldon_json
from python import PREDICTIONS, ROW_CLASS

EXECUTOR = os.environ.get("SELDON_EXECUTOR")
PARTS = ("native", "class")
TITLE = "one row of ten, {} connections"


class Path:
    """A way to a server: `pid` is measured, `host`, `port` and `path` are asked."""

    def __init__(self, pid, host, port, path):
        self.pid, self.host, self.port, self.path = pid, host, port, path

    def load(self, body, connections):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", self.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        if answer.status != 200 or "ndarray" not in json.loads(said)["data"]:
            raise RuntimeError(f"{self.host}:{self.port}{self.path}: {answer.status} {said[:300]!r}")
        return lambda seconds: wrk(self.port, self.path, body, connections=connections, seconds=seconds, host=self.host)


def deployed(cluster, name, predictor):
    body = {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": name}, "spec": {"predictors": [predictor]}}
    where = "/apis/machinelearning.seldon.io/v1/namespaces/default/seldondeployments"
    common.created(cluster, where, body)
    common.until(name, lambda: cluster.ask("GET", f"{where}/{name}").json["status"]["state"] == "Available", 120)
    return f"/seldon/default/{name}{PREDICTIONS}"


def executor(ends):
    """The real executor in front of the real wrapper, as one pod has them."""
    behind = rivals.seldon()
    ends.callback(behind.stop)
    graph = {"name": "SeldonLr", "type": "MODEL", "endpoint": {"service_host": "127.0.0.1", "httpPort": behind.port, "grpcPort": behind.grpc_port, "type": "REST"}}
    predictor = base64.b64encode(json.dumps({"name": "default", "graph": graph}).encode()).decode()
    port, grpc = common.free_port(), common.free_port()
    process = common.Server("executor", [EXECUTOR, "--sdep", "lr", "--namespace", "default", "--predictor", "default", "--http_port", port, "--grpc_port", grpc, "--hostname", "127.0.0.1"],
                            port, PREDICTIONS, seldon_json(1), {"ENGINE_PREDICTOR": predictor})
    ends.callback(process.stop)
    return Path(process.pid, "127.0.0.1", port, PREDICTIONS)


def native(platform, ends):
    process, cluster, own = platform
    model, body = logistic("py") + ".onnx", seldon_json(1)
    path = deployed(cluster, "lr", {"name": "default", "replicas": 1, "graph": {"name": "lr", "type": "MODEL", "implementation": "HYTHE_SERVER", "modelUri": f"file://{model}"}})
    serve = common.hythe([f"lr={model}"], "--workers", "1")
    ends.callback(serve.stop)
    ways = {"SeldonDeployment": Path(process.pid, "127.0.0.1", own, path), "hythe serve": Path(serve.pid, "127.0.0.1", serve.port, PREDICTIONS)}
    if EXECUTOR:
        ways["Seldon executor + Python"] = executor(ends)
    else:
        common.say("SELDON_EXECUTOR is not set: no executor beside it")
    for connections in (common.CONNECTIONS, 1):
        found = common.measure_in_turn([(way, way.load(body, connections)) for way in ways.values()])
        rows = [[name, number(r["rate"]), number(r["p50"] * 1000), number(r["p99"] * 1000), number(r["cpu_us"]), r["bad"], f"{common.ratio(found[0], r):.2f}", f"{r['spread']}"]
                for name, r in zip(ways, found)]
        common.table(f"Native model behind a SeldonDeployment, {TITLE.format(connections)}", ["server", "requests/s", "p50 us", "p99 us", "CPU us/request", "bad", "SeldonDeployment's rate / its", "rounds"], rows)


def the_class(platform, ends):
    process, cluster, own = platform
    (common.WORK / "RowSum.py").write_text(ROW_CLASS)
    file, python, body = common.WORK / "RowSum.py", common.venv("seldon") / "bin", seldon_json(1)
    environment = {**os.environ, "PATH": f"{python}:{os.environ['PATH']}"}
    flags = ["--name", "rows", "--kubeconfig", cluster.kubeconfig]
    subprocess.run([common.HYTHE, "deploy", file.name, *flags], cwd=file.parent, env=environment, check=True, stdout=sys.stderr)
    service = cluster.ask("GET", "/api/v1/namespaces/default/services/rows-default-rows").json["spec"]
    ways = {
        "gateway, engine, class": Path(process.pid, "127.0.0.1", own, f"/seldon/default/rows{PREDICTIONS}"),
        "gateway, class": Path(process.pid, service["clusterIP"], service["ports"][0]["port"], PREDICTIONS),
    }
    found = common.measure_in_turn([(way, way.load(body, 1)) for way in ways.values()])
    common.table("A Python class in a pod, one row of ten, 1 connection", ["way", "p50 us", "p99 us", "requests/s", "bad"],
                 [[name, number(r["p50"] * 1000), number(r["p99"] * 1000), number(r["rate"]), r["bad"]] for name, r in zip(ways, found)])
    common.say(f"the engine adds {(found[0]['p50'] - found[1]['p50']) * 1000:.0f} us at the median")


def main(options=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(PARTS))
    parts = parser.parse_args(options).only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"unknown part: {' '.join(unknown)}; known: {' '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        platform = common.up(folder / "up")
        ends.callback(platform[0].wait, 60)
        ends.callback(platform[0].terminate)
        for part in parts:
            (native if part == "native" else the_class)(platform, ends)


if __name__ == "__main__":
    main(sys.argv[1:])
