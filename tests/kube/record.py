#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks a real Kubernetes API server every request of scenarios/ and keeps its neutral answers in recorded/.

  python3 tests/kube/record.py                         builds and starts the server of real/ (Go 1.24 or later), asks it, stops it
  python3 tests/kube/record.py --kubeconfig FILE       asks one that runs already
  python3 tests/kube/record.py objects/ patches/merge  only the scenarios whose names begin so

The server must run only the controllers listed in real.py: others would change objects in between.
"""
import argparse
import gzip
import json
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import scenarios  # noqa: E402
from client import Cluster  # noqa: E402
from session import GaveUp, Session  # noqa: E402

HERE = pathlib.Path(__file__).parent
RECORDED = HERE / "recorded"
THREADS = 4


def run(cluster, name, function):
    """The steps of one scenario, and why it gave up (None: it did not)."""
    session = Session(cluster, name, protobuf_bodies())
    why = None
    try:
        function(session)
    except GaveUp as e:
        why = str(e)
    except (AttributeError, KeyError, TypeError, IndexError, ValueError, OSError, HTTPException) as e:  # an answer had not the form that later steps build on
        why = f"{type(e).__name__}: {e}"
    finally:
        try:
            session.close()
        except (AttributeError, TypeError, OSError):  # what is left behind does not change what was answered
            pass
    return session.steps, why


def protobuf_bodies():
    """Bodies in the protobuf form, made of the JSON ones of scenarios/examples.py by client/encode."""
    path = RECORDED / "protobuf.json.gz"
    return json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}


def file_of(name):
    return RECORDED / (name.split("/")[0] + ".jsonl.gz")


def load_recorded():
    """{scenario: [(title, entry)]}"""
    found = {}
    for path in sorted(RECORDED.glob("*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            row = json.loads(line)
            found[row["scenario"]] = row["steps"]
    return found


def save(recorded):
    by_file = {}
    for name in sorted(recorded):
        by_file.setdefault(file_of(name), []).append(json.dumps({"scenario": name, "steps": recorded[name]}, separators=(",", ":"), sort_keys=True))
    for path in RECORDED.glob("*.jsonl.gz"):
        if path not in by_file:
            path.unlink()
    for path, lines in by_file.items():
        data = gzip.compress("\n".join(lines).encode() + b"\n", 9, mtime=0)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig")
    parser.add_argument("--show", action="store_true", help="print what is recorded, ask nobody")
    parser.add_argument("prefixes", nargs="*", default=[""])
    options = parser.parse_args()
    if options.show:
        show(options.prefixes)
        return
    if options.kubeconfig:
        record(Cluster(options.kubeconfig), options.prefixes)
        return
    import real

    with real.started() as kubeconfig:
        record(Cluster(kubeconfig), options.prefixes)


def show(prefixes):
    for name, steps in load_recorded().items():
        for title, entry in steps:
            if any(f"{name}: {title}".startswith(p) for p in prefixes):
                print(f"== {name}: {title}\n{json.dumps(entry, indent=1)}")


def record(cluster, prefixes):
    every = scenarios.load()
    chosen = {name: function for name, function in every.items() if any(name.startswith(p) for p in prefixes)}
    recorded = {name: steps for name, steps in load_recorded().items() if name in every}
    failed = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for (name, _), (steps, why) in zip(chosen.items(), pool.map(lambda pair: run(cluster, *pair), chosen.items())):
            recorded[name] = steps
            why = why or next((f"{title}: {entry['unshaped']}" for title, entry in steps if "unshaped" in entry), None)
            failed += why is not None
            print(f"{name}: {len(steps)} steps" + (f"; gave up: {why}" if why else ""), file=sys.stderr)
    if failed:
        sys.exit(f"{failed} scenarios gave up: nothing is kept")
    save(recorded)
    print(f"{sum(map(len, recorded.values()))} answers in {len(recorded)} scenarios")


if __name__ == "__main__":
    main()
