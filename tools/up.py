#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts the platform, deploys the example model in two replicas and a canary beside it, asks it, prints both, and stays until Ctrl-C."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "propensity.json"
QUESTION = {"data": {"names": [f"G{i}" for i in range(1, 11)], "ndarray": [[1, 0, 0, 1, 0, 0, 1, 0, 0, 0]]}}
NEXT = """Go on with kubectl:
  eval "$({program} env{where})"
  kubectl get seldondeployments,deployments,pods,services
  kubectl port-forward service/propensity-default 8000:8000
  {program} promote propensity{where}          the canary gets all requests
  {program} status{where}

Ctrl-C ends it, with its pods.
"""


def show(lines):
    for line in lines:
        print(line, end="", flush=True)


def deploy(program, kubeconfig, *flags):
    command = [program, "deploy", str(EXAMPLE), "--name", "propensity", *flags]
    print("\n$", " ".join(command), flush=True)
    return subprocess.run([*command, "--kubeconfig", kubeconfig], stdout=subprocess.PIPE, text=True)


def main():
    program, args = sys.argv[1], sys.argv[2:]
    platform = subprocess.Popen([program, "up", *args], stdout=subprocess.PIPE, text=True, bufsize=1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: platform.send_signal(signal.SIGINT))
    said = ""
    for line in platform.stdout:
        said += line
        print(line, end="", flush=True)
        if line.startswith("  KUBECONFIG="):  # the last line it prints
            break
    found = re.search(r"^  kubeconfig  (\S+)$", said, re.M)
    threading.Thread(target=show, args=(platform.stdout,), daemon=True).start()
    if platform.poll() is not None or not found:
        return platform.wait()
    kubeconfig = found.group(1)
    for flags in (["--replicas", "2"], ["--canary", "10%"]):
        done = deploy(program, kubeconfig, *flags)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            platform.send_signal(signal.SIGINT)
            platform.wait()
            return done.returncode
        address = re.search(r"^  address  (http\S+)", done.stdout, re.M)
    if address:
        body = json.dumps(QUESTION)
        request = urllib.request.Request(address.group(1), body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        print(f"\nquestion  POST {address.group(1)}\n          {body}\nanswer    {text}\n", flush=True)
    where = re.search(r"--data-dir[ =](\S+)", " ".join(args))
    print(NEXT.format(program=program, where=f" --data-dir {where.group(1)}" if where else ""), flush=True)
    return platform.wait()


if __name__ == "__main__":
    sys.exit(main())
