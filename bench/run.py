#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench [NAME...] [--only PART,...]: hythe and its rivals side by side in one run. See bench/README.md."""
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
NAMES = ["serving", "grpc", "echo", "trees", "csvfile", "footprint", "python", "workers", "kube", "node", "gateway", "rollouts", "seldon"]


def main():
    names, options = sys.argv[1:] or NAMES, []
    if "--only" in names:  # parts of one that has them
        at = names.index("--only")
        names, options = names[:at], names[at:]
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"unknown benchmark: {' '.join(unknown)}; known: {' '.join(NAMES)}")
    for name in names:
        main_of = importlib.import_module(name).main
        main_of(options) if options else main_of()


if __name__ == "__main__":
    main()
