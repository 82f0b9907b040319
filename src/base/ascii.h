/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* ascii - classes of characters, whatever the locale. What is not ASCII is in none of them. */
#include <stdbool.h>

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Space, tab, CR, LF. */
static inline bool ascii_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* 0 to 15; -1: it is no hexadecimal digit. */
static inline int ascii_hex_value(char c)
{
	int lower = c | 0x20;

	if (ascii_is_digit(c))
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
