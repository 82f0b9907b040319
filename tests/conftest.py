# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the program, servers on free ports, models made once by seeded scripts, real data when it is beside the checkout."""
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from waiting import DEADLINE, SANITIZED

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("HYTHE", ROOT / "build" / "hythe"))
# The Python package with its extension module: of the same build, or (an interpreter loads no sanitized module) of the release build.
PACKAGE = PROGRAM.parent / "hosts" / "python" if not SANITIZED else ROOT / "build" / "hosts" / "python"
sys.path.insert(0, str(PACKAGE))
os.environ["PATH"] = f"{sys.prefix}/bin:" + os.environ["PATH"]  # whose Python `hythe serve` takes
os.environ.pop("VIRTUAL_ENV", None)  # where ONNX Runtime would be found
if SANITIZED:
    os.environ["PYTHONPATH"] = str(PACKAGE)


class Server:
    """`hythe serve` on a free port of 127.0.0.1. What it prints is in .output; a thread reads it, so that the pipe never fills."""

    def __init__(self, arguments, listen="127.0.0.1:0", env=None, cwd=None):
        command = [str(PROGRAM), "serve", *map(str, arguments)]
        if listen:
            command += ["--listen", listen]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, env={**os.environ, **(env or {})})
        self.output = b""
        self.printed = threading.Condition()
        self.reader = threading.Thread(target=self._read_all, daemon=True)
        self.reader.start()
        self.url = self._wait_for(rb"(https?://[^\s/'\"]+|unix:[^\s'\"]+)(?=[\s/'\"])").decode()  # whole: what is behind it has been read, too
        found = re.search(r"://([^:/\[]+|\[[^\]]+\]):(\d+)", self.url)
        self.host = found.group(1) if found else None
        self.port = int(found.group(2)) if found else None

    def _read_all(self):
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            with self.printed:
                self.output += chunk
                self.printed.notify_all()
        with self.printed:
            self.printed.notify_all()

    def read(self):
        """What has been printed so far, as text."""
        with self.printed:
            return self.output.decode(errors="replace")

    def _wait_for(self, pattern, deadline=DEADLINE):
        end = time.monotonic() + deadline
        with self.printed:
            while not (found := re.search(pattern, self.output)):
                left = end - time.monotonic()
                if left <= 0 or not self.reader.is_alive() and self.process.poll() is not None:
                    raise RuntimeError(f"hythe serve printed no {pattern!r}; it said:\n{self.output.decode(errors='replace')}")
                self.printed.wait(min(left, 0.2))
            return found.group(0)

    def wait_for(self, text, deadline=DEADLINE):
        return self._wait_for(re.escape(text.encode()), deadline).decode()

    def read_with_line(self, text):
        """All that has been printed, once a whole line with this text is among it."""
        self._wait_for(re.escape(text.encode()) + rb"[^\n]*\n")
        return self.read()

    @property
    def pid(self):
        return self.process.pid

    def stop(self, number=signal.SIGTERM):
        """Ends the server and returns its exit code; a sanitizer's report or a crash shows in the code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        self.reader.join(DEADLINE)
        return self.process.returncode


@pytest.fixture(scope="session")
def hythe():
    """Path of the program under test."""
    return str(PROGRAM)


def _resolve(models, folder):
    models = [models] if isinstance(models, (str, pathlib.Path)) else list(models)
    out = []
    for model in models:
        if str(model).startswith("-"):
            out.append(str(model))
            continue
        name, equals, path = str(model).rpartition("=")
        made = folder / path
        out.append(name + equals + (str(made) if made.exists() else path))
    return out


@pytest.fixture
def serve(models_dir):
    """serve(models, *flags): a running server; `models` are names of models_dir, paths, or NAME=PATH; stopped at the end."""
    servers = []

    def start(models, *flags, **options):
        server = Server(_resolve(models, models_dir) + _resolve(flags, models_dir), **options)
        servers.append(server)
        return server

    yield start
    codes = [(server.stop(), server) for server in servers]
    for code, server in codes:
        assert code in (0, -signal.SIGKILL), f"hythe ended with {code}:\n{server.output.decode(errors='replace')[-4000:]}"


@pytest.fixture(scope="session")
def models_dir():
    """Models for tests, made by tests/make_models.py once per content of that script; runs side by side wait for the first."""
    import hashlib

    script = pathlib.Path(__file__).with_name("make_models.py")
    key = hashlib.sha256(script.read_bytes()).hexdigest()[:16]
    folder = ROOT / ".cache" / f"models-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, str(script), str(folder)], check=True)
            (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def shared_data():
    """Real data that is not part of the project: present in its developers' checkouts only."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "games-expand.csv").exists():
        pytest.skip("games-expand.csv: real data that cannot be shipped (no licence stated); not beside this checkout")
    return folder
