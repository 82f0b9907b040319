# SPDX-License-Identifier: Apache-2.0
"""Builds the Go programs of this folder once for each state of their sources; where there is no Go, tests of them are skipped by name."""
import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest
from building import alone

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "hythe-go-clients"


def program(module, package="."):
    """Path of the program of a package of a module (a folder here)."""
    folder = HERE / module
    if not shutil.which("go"):
        pytest.skip(f"{module}: there is no Go on this machine")
    sources = sorted(p for p in folder.rglob("*") if p.suffix in (".go", ".mod", ".sum"))
    key = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:12]
    path = CACHE / f"{module}-{package.strip('./') or 'main'}-{key}"
    with alone(CACHE):
        if not path.exists():
            env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
            new = path.with_suffix(".new")
            done = subprocess.run(["go", "build", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-o", str(new), package], cwd=folder, env=env, capture_output=True, text=True)
            if done.returncode and ("dial tcp" in done.stderr or "requires go >=" in done.stderr or "i/o timeout" in done.stderr):
                pytest.skip(f"{module}: its Go modules cannot be had here: {done.stderr[-300:]}")
            assert done.returncode == 0, done.stderr[-3000:]
            new.rename(path)
    return str(path)
