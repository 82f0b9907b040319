#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Functions and words that do not belong in the sources, with what to use instead."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = [
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|alloca)\s*\(", "use struct buffer, snprintf or base/number.h"),
    (r"\b(scanf|sscanf|fscanf)\s*\(", "use the parsers in base/number.h and wire/"),
    # base/number.c itself asks libc for the rare numbers that its own way cannot round surely; tests compare with libc.
    (r"\b(strtod|strtof|strtol|strtoul|strtoll|strtoull)\s*\(", "use base/number.h (locale-free, whole-input, checked)"),
    (r"\b(TODO|FIXME|XXX)\b", "finish it, or say in the docs what is missing"),
]


def main():
    names = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "src", "fuzz"], cwd=ROOT, text=True).split()
    problems = 0
    for name in names:
        path = ROOT / name
        if path.suffix not in (".c", ".h") or not path.exists():
            continue
        text = path.read_text()
        if "SPDX-License-Identifier" not in text.split("\n", 2)[0]:
            print(f"{name}:1: no SPDX line")
            problems += 1
        for number, line in enumerate(text.split("\n"), 1):
            code = re.sub(r'"(?:[^"\\]|\\.)*"|/\*.*?\*/|//.*', '""', line)
            for pattern, advice in RULES:
                if "base/number.h" in advice and (name.endswith(("_test.c", "_kit.c", "_fuzz.c")) or name == "src/base/number.c"):
                    continue
                if re.search(pattern, code) and "lint: allowed" not in line:
                    print(f"{name}:{number}: {line.strip()[:80]}: {advice}")
                    problems += 1
    print(f"words: {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
