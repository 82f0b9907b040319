# SPDX-License-Identifier: Apache-2.0
"""Which kubectl programs there are: the machine's, and those built from the Go modules k8s.io/kubectl into the cache."""
import os
import pathlib
import re
import shutil
import subprocess

from building import alone

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "hythe-kubectl"
MINORS = range(27, 34)
BUILT = 33  # whatever else there is
MAIN = """// SPDX-License-Identifier: Apache-2.0
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(cli.Run(cmd.NewDefaultKubectlCommand())) }
"""
# The newest patch release of each that the module registry has for every module it needs.
PATCHES = {27: 16, 28: 15, 29: 14, 30: 14, 31: 14, 32: 13, 33: 13}


def minor_of(program):
    try:
        done = subprocess.run([program, "version", "--client"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'v?1\.(\d+)', done.stdout)
    return int(found.group(1)) if found else None


def on_this_machine():
    """{minor: path} of the programs in $PATH, and beside the one that `kubectl` leads to."""
    found = {}
    folders = [pathlib.Path(p) for p in os.environ.get("PATH", "").split(":") if p]
    if main := shutil.which("kubectl"):
        folders.append(pathlib.Path(main).resolve().parent)
    for folder in folders:
        for path in sorted(folder.glob("kubectl*")) if folder.is_dir() else []:
            if re.fullmatch(r"kubectl([.-]?v?1\.\d+(\.\d+)?)?", path.name) and os.access(path, os.X_OK) and (minor := minor_of(str(path))):
                found.setdefault(minor, str(path))
    return found


def build(minor):
    """Builds one from its Go module into the cache, once; its path. Errors are RuntimeErrors with what Go said."""
    if not shutil.which("go"):
        raise RuntimeError("no Go")
    folder = CACHE / f"1.{minor}.{PATCHES[minor]}"
    program = folder / "kubectl"
    with alone(folder):
        if program.exists():
            return str(program)
        version = f"v0.{minor}.{PATCHES[minor]}"
        (folder / "main.go").write_text(MAIN)
        (folder / "go.mod").write_text(f"module kubectl\n\ngo 1.21\n\nrequire (\n\tk8s.io/component-base {version}\n\tk8s.io/kubectl {version}\n)\n")
        (folder / "go.sum").unlink(missing_ok=True)
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        named = f"-X k8s.io/component-base/version.gitVersion=v1.{minor}.{PATCHES[minor]} -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor={minor}"
        done = subprocess.run(["go", "build", "-p", "2", "-trimpath", "-ldflags", "-s -w " + named, "-o", "kubectl.new", "."], cwd=folder, env=env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"go build kubectl {version}: {done.stderr[-600:]}")
        (folder / "kubectl.new").rename(program)
    return str(program)
