# SPDX-License-Identifier: Apache-2.0
"""Memory idle and under load, time from start to the first answer, size of the binary."""
import os
import statistics
import time

import rivals
from common import HYTHE, hythe, memory_mb, number, say, table, wrk
from models import logistic, record, v2_json


def main():
    rows = []
    model = [f"lr={logistic('py')}.onnx"]
    for name, start, path, body in (("hythe", lambda: hythe(model, path="/predict?G1=1&" + "&".join(f"G{i}=0" for i in range(2, 11))), "/predict", record()),
                                    ("nginx", rivals.nginx, "/predict", record()), ("FastAPI", rivals.fastapi, "/predict", record()),
                                    ("MLServer", rivals.mlserver, "/v2/models/lr/infer", v2_json(1))):
        starts, idle, loaded = [], [], []
        for _ in range(3):
            with start() as server:
                starts.append(server.start_s * 1000)
                time.sleep(0.5)
                idle.append(memory_mb(server.pid))
                wrk(server.port, path, body, seconds=2)
                loaded.append(memory_mb(server.pid))
        rows.append([name, number(statistics.median(starts)), number(statistics.median(idle)), number(statistics.median(loaded)),
                     f"{os.path.getsize(HYTHE) / 1e6:.2f}" if name == "hythe" else ""])
        say(*rows[-1])
    table("Footprint", ["server", "start to first answer, ms", "memory idle, MiB", "under load, MiB", "binary, MB"], rows)
