#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""link_package SOURCE STAMP: links the package's files into the stamp's folder, and removes links to files that are gone."""
import pathlib
import sys

KINDS = (".py", ".pyi", ".typed")


def main(source, stamp):
    target = stamp.parent
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.suffix in KINDS or path.name == "py.typed"}
    for name in sorted(wanted):
        link = target / name
        if link.is_symlink() and link.readlink() == source / name:
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(source / name)
    for link in target.rglob("*"):
        if link.is_symlink() and link.relative_to(target) not in wanted:
            link.unlink()
    stamp.touch()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
