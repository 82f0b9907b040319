#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench [NAME...]: hythe and its rivals side by side in one run. See bench/README.md."""
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
NAMES = ["serving", "grpc", "echo", "trees", "csvfile", "footprint", "python", "workers", "kube"]


def main():
    names = sys.argv[1:] or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"unknown benchmark: {' '.join(unknown)}; known: {' '.join(NAMES)}")
    for name in names:
        importlib.import_module(name).main()


if __name__ == "__main__":
    main()
