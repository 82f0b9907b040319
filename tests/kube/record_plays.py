#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the plays with Kubernetes' own controllers and keeps what came of each step in recorded_plays.json.

  python3 tests/kube/record_plays.py                  all of them
  python3 tests/kube/record_plays.py deployment/ job  those whose names begin so
"""
import json
import pathlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from plays import PLAYS  # noqa: E402
from stage import QUIET, Stage  # noqa: E402

RECORDED = pathlib.Path(__file__).with_name("recorded_plays.json")
THREADS = 4


def run(cluster, name):
    """The steps of a play: [[title, state]]."""
    stage = Stage(cluster, PLAYS[name].quiet or QUIET)
    try:
        PLAYS[name](stage)
    finally:
        stage.close()
    return stage.steps


def attempt(cluster, name):
    try:
        return run(cluster, name)
    except AssertionError as e:
        print(f"{name}: {e}", file=sys.stderr)
        return []


def load():
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


def main():
    import real

    prefixes = tuple(sys.argv[1:]) or ("",)
    recorded = {name: steps for name, steps in load().items() if name in PLAYS}
    chosen = [name for name in PLAYS if name.startswith(prefixes)]
    with tempfile.TemporaryDirectory(prefix="real-") as folder:
        server = real.Real(folder, controllers=real.CONTROLLERS + real.WORKLOADS)
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                for name, steps in zip(chosen, pool.map(lambda n: attempt(server.cluster, n), chosen)):
                    if steps:
                        recorded[name] = steps
                    print(f"{name}: {len(steps)} steps", flush=True)
        finally:
            server.stop()
    RECORDED.write_text(json.dumps({name: recorded[name] for name in PLAYS if name in recorded}, indent=0, sort_keys=False) + "\n")


if __name__ == "__main__":
    main()
