#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the libFuzzer programs of build-fuzz for a bounded time each. Finds go to fuzz/finds/; the corpora are not changed."""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(program, seconds, seed):
    name = program.name.removesuffix("_fuzz")
    finds = ROOT / "fuzz" / "finds" / name
    finds.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1:max_allocation_size_mb=3000",
               UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
    with tempfile.TemporaryDirectory() as work:
        done = subprocess.run([program, work, ROOT / "fuzz" / "corpus" / name, f"-max_total_time={seconds}", f"-seed={seed}", "-rss_limit_mb=3000",
                               "-timeout=20", f"-artifact_prefix={finds}/", "-print_final_stats=1", "-max_len=65536"],
                              capture_output=True, text=True, errors="replace", env=env, timeout=seconds + 300)
    runs = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "0")
    return name, done.returncode, runs, done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    programs = sorted((ROOT / "build-fuzz" / "fuzz").glob("*_fuzz"))
    if args.names:
        programs = [p for p in programs if p.name.removesuffix("_fuzz") in args.names]
    if not programs:
        sys.exit("fuzz: no such target")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, code, runs, log in pool.map(lambda p: run(p, args.seconds, args.seed), programs):
            print(f"fuzz {name}: {'ok' if code == 0 else 'FAILED'}, {runs} runs", flush=True)
            if code:
                failed += 1
                print("\n".join(log.splitlines()[-40:]))
    print(f"fuzz: {len(programs) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
