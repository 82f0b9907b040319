#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds every #include in src/ to the rooms' declared dependencies (src/<room>/meson.build), and every header to stand alone."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z0-9_]+)/([a-z0-9_./]+)"', re.M)
# What the tests of a room may use beyond its own dependencies.
PRIVATE = {"net/connection.h", "net/routes.h", "net/coding.h", "net/grpc.h", "models/trees.h", "models/onnx.h"}


def order():
    return re.findall(r"^subdir\('(\w+)'\)", (SRC / "meson.build").read_text(), re.M)


def declared(room):
    text = (SRC / room / "meson.build").read_text()
    match = re.search(rf"^{room} = declare_dependency\(.*?dependencies: \[(.*?)\]", text, re.M | re.S)
    return set(re.findall(r"\w+", match.group(1))) if match else set()


def main():
    rooms = order()
    problems = []
    for level, room in enumerate(rooms):
        may = (declared(room) & set(rooms)) | {room}
        for other in may - {room}:
            if rooms.index(other) >= level:
                problems.append(f"src/{room}/meson.build: depends on {other}, which is not below it")
        for path in sorted((SRC / room).rglob("*.[ch]")):
            for target, rest in INCLUDE.findall(path.read_text()):
                where = path.relative_to(ROOT)
                if target in rooms and target not in may:
                    problems.append(f"{where}: includes {target}/{rest}, but room {room} does not declare {target}")
                if target != room and f"{target}/{rest}" in PRIVATE:
                    problems.append(f"{where}: includes {target}/{rest}, which is private to {target}")
    for header in sorted(SRC.rglob("*.h")):
        check = subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", f"-I{SRC}", "-x", "c", "-include", str(header), "/dev/null"],
                               capture_output=True, text=True)
        if check.returncode:
            problems.append(f"{header.relative_to(ROOT)}: does not stand alone: {check.stderr.splitlines()[0] if check.stderr else ''}")
    for line in problems:
        print(line)
    print(f"rooms: {len(rooms)} checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
