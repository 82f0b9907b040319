# SPDX-License-Identifier: Apache-2.0
"""A logistic regression of ten features over HTTP/1.1: one row a request, 16 keep-alive connections, one core each side."""
import rivals
from common import hythe, measure, measure_in_turn, number, post, say, table, wrk
from models import logistic, record, seldon_json, v2_json

RECORDS = ("records JSON", "/predict", record())
V2 = ("V2 JSON", "/v2/models/lr/infer", v2_json(1))
SELDON = ("Seldon JSON", "/api/v1.0/predictions", seldon_json(1))


def load_of(server, path, body):
    status, answer = post(server.port, path, body)
    if status != 200:
        raise RuntimeError(f"{server.name} {path}: {status} {answer[:300]!r}")
    return lambda seconds: wrk(server.port, path, body, seconds=seconds)


def main():
    found = {}
    with hythe([f"lr={logistic('py')}.onnx"], "--workers", "1") as ours, rivals.nginx() as nginx:
        for title, path, body in (RECORDS, V2):
            both = measure_in_turn([(ours, load_of(ours, path, body)), (nginx, load_of(nginx, path, body))])
            found["hythe", title], found["nginx", title] = both
            say(title, "hythe", both[0], "nginx", both[1])
        title, path, body = SELDON
        found["hythe", title] = measure(ours, load_of(ours, path, body))
    plan = [
        ("FastAPI", rivals.fastapi, [RECORDS, V2]),
        ("Flask + gunicorn", rivals.flask, [RECORDS]),
        ("MLServer", rivals.mlserver, [V2]),
        ("seldon-core", rivals.seldon, [SELDON]),
    ]
    for name, start, work in plan:
        with start() as server:
            for title, path, body in work:
                found[name, title] = measure(server, load_of(server, path, body))
                say(name, title, found[name, title])
    rows = []
    for (name, title), r in found.items():
        ours = found["hythe", title]
        rows.append([title, name, number(r["rate"]), number(r["p50"]), number(r["p99"]), number(r["cpu_us"]), number(r["memory"]), r["bad"],
                     f"{ours['rate'] / r['rate']:.2f} x" if name != "hythe" else "", f"{r['spread']}"])
    rows.sort(key=lambda row: row[0])
    table("Logistic regression over HTTP", ["work", "server", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "memory MiB", "bad",
                                           "hythe's rate / its", "rounds"], rows)
