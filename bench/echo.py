# SPDX-License-Identifier: Apache-2.0
"""An image of 1280 x 960 x 3 as JSON through an echo model: every number parsed and printed."""
import json
import os
import random
import statistics
import time

import rivals
from common import LOAD_CORE, cpu_seconds, hythe, number, post, say, table

CALLS = 9


def images():
    r = random.Random(3)
    v = [r.randrange(256) for _ in range(1280 * 960 * 3)]
    rows = [[v[(y * 1280 + x) * 3 : (y * 1280 + x) * 3 + 3] for x in range(1280)] for y in range(960)]
    dump = lambda o: json.dumps(o, separators=(",", ":")).encode()
    return {"ndarray": dump({"data": {"ndarray": rows}}), "tensor": dump({"data": {"tensor": {"shape": [960, 1280, 3], "values": v}}})}


def main():
    bodies = images()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    path = "/api/v1.0/predictions"
    rows = []
    plan = [("hythe", lambda: hythe(["builtin:echo"], "--workers", "1", "--compute-threads", "1"), ["ndarray", "tensor"]),
            ("nginx moving the bytes", rivals.nginx, ["ndarray"]), ("FastAPI + orjson", rivals.fastapi, ["ndarray"]),
            ("seldon-core", lambda: rivals.seldon("SeldonEcho"), ["ndarray", "tensor"])]
    for name, start, kinds in plan:
        with start() as server:
            for kind in kinds:
                spent, cpu = [], cpu_seconds(server.pid)
                for _ in range(CALLS):
                    began = time.monotonic()
                    status, answer = post(server.port, path, bodies[kind])
                    spent.append((time.monotonic() - began) * 1000)
                    if status != 200:
                        raise RuntimeError(f"{name}: {status} {answer[:300]!r}")
                if name == "hythe" and json.loads(answer)["data"][kind] != json.loads(bodies[kind])["data"][kind]:
                    raise RuntimeError("hythe did not give the image back")
                cpu = (cpu_seconds(server.pid) - cpu) / CALLS * 1000
                rows.append([kind, name, number(statistics.median(spent[1:])), number(max(spent[1:])), number(cpu), f"{len(bodies[kind]) / 1e6:.1f}",
                             f"{len(answer) / 1e6:.1f}"])
                say(*rows[-1])
    os.sched_setaffinity(0, range(os.cpu_count()))
    rows.sort(key=lambda row: row[0])
    table("Image echo as JSON", ["payload", "server", "ms a call (median)", "worst ms", "server CPU ms a call", "request MB", "answer MB"], rows)
