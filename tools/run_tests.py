#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the suites and adds up what the test runners say: the last line is 'N passed, N failed, N skipped'."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TSAN_TESTS = [
    "aside_test",
    "loop_test",
    "pool_test",
    "keep_test",
    "store_test",
    "watch_test",
    "client_test",
    "open_test",
    "open_http2_test",
    "upgrade_test",
    "direct_test",
    "proxy_test",
    "reload_test",
    "component_test",
    "host_test",
    "host_test_driven",
    "app_test",
    "app_test_driven",
    "app_events_test",
    "app_events_test_driven",
    "server_test",
    "server_limits_test",
    "server_drain_test",
    "tls_test",
    "metrics_test",
    "repository_test",
    "entry_test",
    "gateway_entries_test",
    "gateway_faults_test",
    "gateway_http2_test",
    "gateway_native_test",
    "gateway_proxy_test",
    "gateway_relay_test",
]


TIMEOUT_MULTIPLIER = 5  # a test waits as long as it says; the runner ends what hangs, on a machine that does other things beside
FAILURE_SAID_MOST = 6000  # characters of one failing program, its last


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lines = []
        self.failures = []  # what failing tests said: told where it happened, and again at the end, where a cut log still has it

    def add(self, name, passed, failed, skipped=0, seconds=0.0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        self.lines.append(f"{name:28s} {passed:6d} passed {failed:4d} failed {skipped:4d} skipped {seconds:7.1f} s")

    def said(self, name, text):
        text = f"-- {name}:\n{text.strip()[-FAILURE_SAID_MOST:]}"
        print(text, flush=True)
        self.failures.append(text)


def run(command, **options):
    print("+", " ".join(map(str, command)), flush=True)
    return subprocess.run([str(c) for c in command], cwd=ROOT, **options)


def ninja(totals, folder, jobs, *targets):
    done = run(["ninja", "-C", folder, "-j", jobs, *targets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        totals.said(folder, done.stdout)
    return done.returncode == 0


def configure(folder, env=None, *options):
    if not (ROOT / folder / "build.ninja").exists():
        run(["meson", "setup", folder, *options], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **(env or {})})


def meson_tests(totals, title, folder, jobs, suites=(), names=(), env=None):
    """Counts cmocka's own tests inside each program, so that the sum says how many things were checked."""
    start = time.monotonic()
    log = ROOT / folder / "meson-logs" / "testlog.txt"
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--timeout-multiplier", TIMEOUT_MULTIPLIER, "--num-processes", jobs, *[f"--suite={s}" for s in suites], *names]
    done = run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})})
    text = log.read_text(errors="replace") if log.exists() else ""
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text)) + len(re.findall(r"inputs replayed", text))
    broken = sum(int(n) for n in re.findall(r"^(?:Fail|Timeout|Unexpected Pass): +(\d+)", done.stdout, re.M))
    failed = max(broken, sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", text)))
    if done.returncode and not failed:
        failed = 1
    if failed:
        totals.said(title, done.stdout[-3000:])
        for block in re.split(r"^=+ \d+/\d+ =+$", text, flags=re.M):
            if re.search(r"^result: ", block, re.M) and not re.search(r"^result: +exit status 0$", block, re.M):
                totals.said(title, block)
    totals.add(title, passed, failed, 0, time.monotonic() - start)


def pytest(totals, title, env=None, select=()):
    start = time.monotonic()
    done = run([ROOT / ".venv-test" / "bin" / "python", "-m", "pytest", "-q", "-rfEs", "--tb=short", "--disable-warnings", "tests",
                *select],
               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})})
    print(done.stdout[-40000:])
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    count = lambda word: int((re.search(rf"(\d+) {word}", last) or [0, 0])[1])
    failed = count("failed") + count("errors?")
    if done.returncode not in (0, 1) and not failed:
        failed = 1
    if failed:
        found = re.search(r"^=+ (?:FAILURES|ERRORS) =+$", done.stdout, re.M)
        for test in re.split(r"^(?=_{3,} \S.*_{3,}$)|^=+ short test summary info =+$", done.stdout[found.end():] if found else "", flags=re.M)[1:]:
            if test.startswith("_"):
                totals.failures.append(f"-- {title}:\n{test.strip()[-FAILURE_SAID_MOST:]}")
    totals.add(title, count("passed"), failed, count("skipped"), time.monotonic() - start)


def lint(totals, args):
    start = time.monotonic()
    failed = sum(run([sys.executable, f"tools/{name}.py"]).returncode != 0 for name in ("check_rooms", "check_words"))
    totals.add("lint: rooms, words", 2 - failed, failed, 0, time.monotonic() - start)


SAN_ENV = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=1",
           "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=98", "HYTHE_SANITIZED": "1"}


def unit_suite(totals, args):
    meson_tests(totals, "unit", "build", args.jobs, ["unit", "fuzz"])


def fuzz_suite(totals, args):
    start = time.monotonic()
    configure("build-fuzz", {"CC": "clang-14"}, "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
              "-Dbuildtype=debugoptimized")
    if not ninja(totals, "build-fuzz", args.jobs):
        totals.add("build: clang -Werror", 0, 1)
        return
    totals.add("build: clang -Werror", 1, 0, 0, time.monotonic() - start)
    start = time.monotonic()
    done = run([sys.executable, "tools/fuzz.py", "--seconds", args.fuzz_seconds, "--seed", 1, "--jobs", args.jobs], stdout=subprocess.PIPE, text=True)
    found = re.search(r"fuzz: (\d+) passed, (\d+) failed", done.stdout)
    if done.returncode:
        totals.said("fuzz", done.stdout)
    else:
        print(done.stdout, flush=True)
    totals.add(f"fuzz, {args.fuzz_seconds} s each", int(found[1]) if found else 0, int(found[2]) if found else 1, 0, time.monotonic() - start)


def whole_suite(totals, args):
    pytest(totals, "whole program")


def san_suite(totals, args):
    # gcc warns falsely about code that the sanitizers have rewritten; the other builds hold warnings to be errors.
    configure("build-san", None, "-Dpython=disabled", "-Db_sanitize=address,undefined", "-Dbuildtype=debugoptimized", "-Dwerror=false")
    if not ninja(totals, "build-san", args.jobs):
        totals.add("build: ASan + UBSan", 0, 1)
        return
    meson_tests(totals, "unit, ASan + UBSan", "build-san", args.jobs, ["unit", "fuzz"], env=SAN_ENV)
    pytest(totals, "whole, ASan + UBSan", {**SAN_ENV, "HYTHE": str(ROOT / "build-san" / "hythe")})


def unlucky_suite(totals, args):
    """The program of `build` as tests/unlucky.c has it, in a folder that looks like a build."""
    folder = ROOT / "build" / "unlucky"
    folder.mkdir(exist_ok=True)
    run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", folder / "unlucky.so", "tests/unlucky.c"], check=True)
    program = folder / "hythe"
    program.write_text(f'#!/bin/sh\nLD_PRELOAD={folder}/unlucky.so exec {ROOT}/build/hythe "$@"\n')
    program.chmod(0o755)
    for name in ("hosts", "src"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"../{name}")
    pytest(totals, "whole, unlucky kernel", {"HYTHE": str(program)})


def tsan_suite(totals, args):
    configure("build-tsan", None, "-Dpython=disabled", "-Db_sanitize=thread", "-Dbuildtype=debugoptimized", "-Dwerror=false")
    known = json.loads(subprocess.run(["meson", "introspect", "--tests", "--targets", "build-tsan"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    files = {t["id"]: [os.path.relpath(f, ROOT / "build-tsan") for f in t["filename"]] for t in known["targets"]}
    wanted = [t for t in known["tests"] if t["name"] in TSAN_TESTS]
    names = sorted({t["name"] for t in wanted})
    if missing := set(TSAN_TESTS) - set(names):
        raise RuntimeError(f"tests of threads that are not there: {' '.join(sorted(missing))}")
    if ninja(totals, "build-tsan", args.jobs, *sorted({file for t in wanted for target in t["depends"] for file in files[target]})):
        meson_tests(totals, "threads, TSan", "build-tsan", args.jobs, [], names, {"TSAN_OPTIONS": "halt_on_error=1:exitcode=97"})
    else:
        totals.add("build: TSan", 0, 1)


SUITES = {"lint": lint, "unit": unit_suite, "fuzz": fuzz_suite, "whole": whole_suite, "san": san_suite, "tsan": tsan_suite, "unlucky": unlucky_suite}
OFTEN = [name for name in SUITES if name != "unlucky"]  # that one is for who looks for what happens once in a million calls: another fault each time
# What runs beside what: whole-program tests mostly wait, and two of them at once keep two cores busy.
LANES = [["lint", "unit", "fuzz", "whole"], ["san", "tsan", "unlucky"]]


def lane_run(names, totals, args):
    for name in names:
        try:
            SUITES[name](totals, args)
        except Exception as e:  # the other lane's results are still told
            print(f"{name}: {type(e).__name__}: {e}", flush=True)
            totals.add(name, 0, 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suites", nargs="*", help=" ".join(SUITES))
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--fuzz-seconds", type=int, default=10)
    args = parser.parse_args()
    asked = args.suites or OFTEN
    if unknown := set(asked) - set(SUITES):
        sys.exit(f"unknown suite: {' '.join(unknown)}; known: {' '.join(SUITES)}")
    totals = Totals()
    lanes = [threading.Thread(target=lane_run, args=([name for name in lane if name in asked], totals, args)) for lane in LANES]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    print()
    for text in totals.failures:
        print(text + "\n")
    for line in totals.lines:
        print(line)
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
