#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Serves the example model (or the ones given), asks it one question, prints both, and stays until Ctrl-C."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "propensity.json"
CUSTOMER = {"G1": 1, "G2": 0, "G3": 0, "G4": 1, "G5": 0, "G6": 0, "G7": 1, "G8": 0, "G9": 0, "G10": 0}


def main():
    program, args = sys.argv[1], sys.argv[2:]
    own = bool(args) and not args[0].startswith("-")
    command = [program, "serve"] + (args if own else [str(EXAMPLE)] + args)
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.send_signal(signal.SIGTERM))
    url = None
    for line in server.stdout:
        print(line, end="", flush=True)
        found = re.search(r"https?://[^\s/'\"]+", line)
        url = url or (found and found.group(0))
        if not own and line.lstrip().startswith("curl "):  # the last line it prints
            question = json.dumps(CUSTOMER)
            request = urllib.request.Request(url + "/predict", question.encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read().decode()
            print(f"\nquestion  POST {url}/predict\n          {question}\nanswer    {text}\n\nCtrl-C ends it.\n", flush=True)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
