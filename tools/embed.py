#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes files into a C source as spans: embed.py OUT.c NAME=FILE..."""
import pathlib
import sys


def rows(data):
    for start in range(0, len(data), 32):
        yield "\t" + "".join(f"{byte}," for byte in data[start : start + 32])


def main():
    out = ["/* SPDX-License-Identifier: Apache-2.0 */", "/* Made by tools/embed.py. */", '#include "base/span.h"']
    for argument in sys.argv[2:]:
        name, path = argument.split("=", 1)
        data = pathlib.Path(path).read_bytes()
        out += [
            f"extern const struct span {name};",
            f"static const unsigned char {name}_bytes[] = {{",
            *rows(data + b"\0"),
            "};",
            f"const struct span {name} = {{ (const char *){name}_bytes, {len(data)} }};",
        ]
    pathlib.Path(sys.argv[1]).write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
