# SPDX-License-Identifier: Apache-2.0
"""Writes number_tables.h to standard output: powers of five in 128 bits, and the texts of 0 to 999."""

LEAST, MOST = -342, 324  # what Eisel-Lemire (-342 .. 308) and Schubfach (-292 .. 324) need between them


def power_of_five(e):
    """The top 128 bits of 5**e, normalised: cut for e >= 0 and e < -27, rounded up for -27 <= e < 0, where the
    reciprocal takes part in exact halves (Mushtak and Lemire 2023, "Fast number parsing without fallback")."""
    if e >= 0:
        value = 5**e
        size = value.bit_length()
        return value << (128 - size) if size <= 128 else value >> (size - 128)
    divisor = 5**-e
    quotient = 2 ** (divisor.bit_length() + 127) // divisor
    assert quotient.bit_length() == 128
    return quotient + 1 if e >= -27 else quotient


def main():
    print("/* Made by number_tables.py. */")
    print(f"enum {{ POWER_LEAST = {LEAST}, POWER_MOST = {MOST} }};")
    print(f"static const uint64_t powers_of_five[{MOST - LEAST + 1}][2] = {{ /* high, low */")
    for e in range(LEAST, MOST + 1):
        value = power_of_five(e)
        high, low = value >> 64, value & (2**64 - 1)
        assert low != 2**64 - 1  # the printer adds one to the low half
        print(f"\t{{ 0x{high:016x}, 0x{low:016x} }}, /* {e} */")
    print("};")
    print("const char number_small_text[1000][4] = { /* up to three digits, then their count */")
    for n in range(1000):
        text = str(n)
        cells = [f"'{c}'" for c in text] + ["0"] * (3 - len(text)) + [str(len(text))]
        print("\t{ " + ", ".join(cells) + " },")
    print("};")


main()
