# SPDX-License-Identifier: Apache-2.0
"""Tree ensembles, one thread: a one-row call and 1,024 rows, beside XGBoost, LightGBM, ONNX Runtime and tl2cgen's compiled C."""
import json
import os
import pathlib
import statistics
import subprocess

from common import ROOT, ROUNDS, SERVER_CORE, WORK, number, say, table, venv

PROGRAM = os.environ.get("BENCH_TREES", str(ROOT / "build" / "bench" / "bench_trees"))
RIVALS = pathlib.Path(__file__).parent / "trees_rivals.py"


def pinned(*command):
    return subprocess.run(["taskset", "-c", SERVER_CORE, *map(str, command)], check=True, capture_output=True, text=True).stdout


def one_round(python, folder, name, suffix):
    """{engine: [us, rows a second]}, hythe first."""
    words = pinned(PROGRAM, folder / f"{name}.{suffix}", folder / "rows.f32").split()
    return {"hythe": [float(words[1]), float(words[4])], **json.loads(pinned(python, RIVALS, folder, "time", name).splitlines()[-1])}


def main():
    python, folder = venv("trees") / "bin" / "python", WORK / "trees"
    if not (folder / "lightgbm-regression-500x8.onnx").exists():
        folder.mkdir(parents=True, exist_ok=True)
        say("training tree ensembles")
        subprocess.run([python, RIVALS, folder, "train"], check=True)
    rows = []
    for size in ("100x6", "500x8"):
        for kind in ("binary", "multiclass", "regression"):
            for library, suffix in (("xgboost", "json"), ("lightgbm", "txt")):
                name = f"{library}-{kind}-{size}"
                rounds = [one_round(python, folder, name, suffix) for _ in range(ROUNDS)]
                middle = {engine: [statistics.median(r[engine][k] for r in rounds) for k in (0, 1)] for engine in rounds[0]}
                own = middle.pop("hythe")
                us, batch = min(middle, key=lambda e: middle[e][0]), max(middle, key=lambda e: middle[e][1])
                rows.append([name, number(own[0], 2), f"{number(middle[us][0], 2)} ({us})", f"{middle[us][0] / own[0]:.1f}",
                             number(own[1]), f"{number(middle[batch][1])} ({batch})", f"{own[1] / middle[batch][1]:.1f}"])
                say(*rows[-1])
    table("Tree ensembles, one thread", ["model", "one row, us", "best rival", "times", "1,024 rows, rows/s", "best rival", "times"], rows)
