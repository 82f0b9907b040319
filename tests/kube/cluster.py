# SPDX-License-Identifier: Apache-2.0
"""`hythe up` for tests: on free ports, with its data in a folder of its own."""
import os
import pathlib
import re
import signal
import subprocess
import time

from client import Cluster
from waiting import DEADLINE

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("HYTHE", ROOT / "build" / "hythe"))
# The users that scenarios know beside the administrator; the real server's token file has the same two lines.
TOKENS = 'admin-token,token-admin,1,"system:masters"\nplain-token,plain-user,2\n'
# The last of what the namespace `default` gets by itself, a moment after the start: it is part of lists, and pods need what comes before it.
GIVEN = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"


class Up:
    """One running `hythe up`. Its log is in folder/up.log. Without its controllers, its node, its gateway and the custom kinds that it ships unless
    they are asked for: what the suites of the API server compare with was recorded without."""

    def __init__(self, folder, *flags, port=0, wrap=(), controllers="-*"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        tokens = self.folder / "tokens.csv"
        tokens.write_text(TOKENS)
        self.data = self.folder / "data"
        self.log = self.folder / "up.log"
        command = [*wrap, str(PROGRAM), "up", "--data-dir", str(self.data), "--listen-api", f"127.0.0.1:{port}", "--token-file", str(tokens), f"--controllers={controllers}", *flags]
        if not any(flag.startswith("--node=") for flag in flags):
            command.append("--node=off")
        if not any(flag.startswith("--gateway=") for flag in flags):
            command.append("--gateway=off")
        if controllers == "-*" and not any(flag.startswith("--shipped-kinds=") for flag in flags):
            command.append("--shipped-kinds=off")
        self.started = time.monotonic()
        with self.log.open("ab") as log:
            self.at = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            self.kubeconfig = self._kubeconfig()
            self.cluster = Cluster(self.kubeconfig)
            self._wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def said(self):
        """What this run has printed so far."""
        return self.log.read_bytes()[self.at:].decode(errors="replace")

    def _wait(self, what, is_done):
        end = self.started + DEADLINE
        while not (found := is_done()):
            if self.process.poll() is not None:
                raise RuntimeError(f"hythe up ended with {self.process.returncode}:\n{self.said()}")
            if time.monotonic() > end:
                raise RuntimeError(f"hythe up: no {what} within {DEADLINE} s:\n{self.said()}")
            time.sleep(0.005)
        return found

    def _kubeconfig(self):
        # The file is there before the port is bound when the folder was used before: the address must be this run's.
        port = self._wait("address", lambda: re.search(r"https://127\.0\.0\.1:(\d+)\D", self.said())).group(1)
        path = self.data / "kubeconfig"
        self._wait("kubeconfig", lambda: path.exists() and re.search(rf":{port}\b", path.read_text()))
        return path

    def _wait_until_ready(self):
        def ready():
            try:
                return all(self.cluster.ask("GET", path).status == 200 for path in ("/readyz", GIVEN))
            except OSError:
                return False

        self._wait("ready server", ready)
        self.ready_after = time.monotonic() - self.started

    def stop(self, number=signal.SIGTERM):
        """Ends the server and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode
