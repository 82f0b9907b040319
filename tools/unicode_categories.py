#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the runs of Unicode's general categories as rows of a C table: {first character, "Lu"}."""
import sys
import unicodedata


def main():
    rows, before = [], None
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category != before:
            rows.append(f"{{ {code:#x}, {{ '{category[0]}', '{category[1]}' }} }},")
            before = category
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
