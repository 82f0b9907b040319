# SPDX-License-Identifier: Apache-2.0
"""`hythe up --kubeconfig` for tests: the controllers alone, on an API server that runs already."""
import pathlib
import subprocess
import time

from cluster import PROGRAM
from waiting import DEADLINE


class Controllers:
    """hythe's controllers on somebody else's API server."""

    def __init__(self, folder, kubeconfig, *flags):
        self.log = pathlib.Path(folder) / "controllers.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(PROGRAM), "up", "--kubeconfig", str(kubeconfig), *flags], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.wait("controllers only")

    def said(self):
        return self.log.read_text(errors="replace")

    def wait(self, text, count=1):
        end = time.monotonic() + DEADLINE
        while self.said().count(text) < count:
            assert self.process.poll() is None and time.monotonic() < end, f"no {text!r}:\n{self.said()}"
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        return self.process.wait(DEADLINE)
