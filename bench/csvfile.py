# SPDX-License-Identifier: Apache-2.0
"""Scoring a CSV file of 1 GB with a logistic regression: `hythe predict` on one core beside wc -l and pandas + scikit-learn."""
import os
import random
import statistics
import subprocess
import time

from common import HYTHE, SERVER_CORE, WORK, number, say, table, venv
from models import FEATURES, logistic

SIZE = int(os.environ.get("CSV_BYTES", 1_000_000_000))
PANDAS = """
import sys, joblib, pandas as pd
m = joblib.load(sys.argv[1])
first = True
for part in pd.read_csv(sys.argv[2], chunksize=200_000):
    pd.DataFrame({"response": m.predict_proba(part.values)[:, 1]}).to_csv(sys.argv[3], mode="w" if first else "a", header=first, index=False)
    first = False
"""


def data():
    path = WORK / f"customers-{SIZE}.csv"
    if not path.exists():
        r = random.Random(11)
        block = "".join(",".join(f"{r.random():.6f}" for _ in FEATURES) + "\n" for _ in range(100_000))
        with open(path, "w") as file:
            file.write(",".join(FEATURES) + "\n")
            while file.tell() + len(block) <= SIZE:
                file.write(block)
    return path


def timed(command, rounds):
    spent = []
    for _ in range(rounds):
        began = time.monotonic()
        subprocess.run(["taskset", "-c", SERVER_CORE, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
        spent.append(time.monotonic() - began)
    return statistics.median(spent)


def main():
    path, model = data(), logistic("py")
    subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)
    megabytes = os.path.getsize(path) / 1e6
    out = WORK / "scores.csv"
    rows = []
    for name, command, rounds in (
            ("wc -l", ["wc", "-l", path], 3),
            ("hythe predict, one core", [HYTHE, "predict", f"{model}.onnx", "-i", path, "-o", out, "--threads", "1"], 3),
            ("pandas + scikit-learn", [venv("py") / "bin" / "python", "-c", PANDAS, f"{model}.joblib", path, WORK / "pandas.csv"], 1)):
        seconds = timed(command, rounds)
        rows.append([name, number(seconds, 2), number(megabytes / seconds)])
        say(*rows[-1])
    table("Scoring a CSV file", ["program", "seconds", "MB/s"], rows)
