# SPDX-License-Identifier: Apache-2.0
"""The same model over gRPC (V2 ModelInfer; seldon-core: Model/Predict): one row and 1,024 rows, 16 connections, h2load."""
import rivals
from common import h2load, hythe, measure, number, say, table
from models import grpc_message, logistic

INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/seldon.protos.Model/Predict"


def main():
    found = {}
    plan = [
        ("hythe", lambda: hythe([f"lr={logistic('py')}.onnx"], "--workers", "1"), [("v2", INFER, 1), ("v2", INFER, 1024), ("seldon", PREDICT, 1),
                                                                                   ("seldon", PREDICT, 1024)]),
        ("nginx constant, h2c", rivals.nginx, [("v2", INFER, 1)]),
        ("MLServer", rivals.mlserver, [("v2", INFER, 1), ("v2", INFER, 1024)]),
        ("seldon-core", rivals.seldon, [("seldon", PREDICT, 1), ("seldon", PREDICT, 1024)]),
    ]
    for name, start, work in plan:
        with start() as server:
            port = getattr(server, "h2_port", getattr(server, "grpc_port", server.port))
            for kind, path, count in work:
                body = grpc_message(kind, count)
                found[name, kind, count] = measure(server, lambda seconds: h2load(port, path, body, seconds=seconds))
                say(name, kind, count, found[name, kind, count])
    rows = []
    for (name, kind, count), r in found.items():
        ours = found["hythe", kind, count]
        rows.append([kind, count, name, number(r["rate"]), number(r["p50"]), number(r["p99"]), number(r["cpu_us"]), number(r["memory"]), r["bad"],
                     f"{ours['rate'] / r['rate']:.2f} x" if name != "hythe" else "", f"{r['spread']}"])
    rows.sort(key=lambda row: (row[0], row[1]))
    table("Logistic regression over gRPC", ["protocol", "rows", "server", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "memory MiB", "bad",
                                           "hythe's rate / its", "rounds"], rows)
