/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * number - numbers to and from text: exact, locale-free, overflow-checked.
 *
 * Doubles are read with correct rounding (Eisel-Lemire, Lemire 2021, "Number parsing at a gigabyte per second", with a
 * big-decimal fallback) and written as the shortest text that reads back equal (Schubfach, Giulietti 2020).
 * Integers are never passed through a double.
 *
 * Threads: any; no state.
 */
#include "base/span.h"

/* How a scanned number was written. */
enum number_kind {
	NUMBER_INT,    /* fits int64_t; in .i */
	NUMBER_UINT,   /* over INT64_MAX, fits uint64_t; in .u */
	NUMBER_DOUBLE, /* has a fraction or an exponent, or is too large for the two above; in .d */
};

struct number {
	enum number_kind kind;
	union {
		int64_t i;
		uint64_t u;
		double d;
	};
};

/*
 * Scans one number in JSON's grammar (RFC 8259 6) at `p`, reading no byte at or behind `end`. Returns the end of it, or
 * NULL when no number stands there (nothing is written then). "-0" is a double, so that its sign lives.
 */
const char *number_scan(const char *p, const char *end, struct number *ret);

/* The same as one double, whatever the form; "1e999" gives infinity. */
const char *number_scan_double(const char *p, const char *end, double *ret);

/* Like number_scan_double, in the wider grammar of CSV and model files: leading '+', ".5", "5.", "nan", "inf",
 * "infinity" in any case, with sign. */
const char *number_scan_lenient(const char *p, const char *end, double *ret);

/* The same, rounded once to float. */
const char *number_scan_float(const char *p, const char *end, float *ret);

/* Whole-input forms: false unless all of `s` is one number (lenient grammar for double). Outputs untouched on failure.
 */
bool number_parse_double(struct span s, double *ret);
bool number_parse_int64(struct span s, int64_t *ret);
bool number_parse_uint64(struct span s, uint64_t *ret);

/*
 * Writers: put the text at `out`, return the end; no NUL. The most bytes they write is NUMBER_TEXT_MAX.
 * Doubles look as Python's repr writes them: "1.0", "0.1", "1e-07", "1.5e+300", "nan", "inf", "-inf" (the caller who
 * writes JSON decides about the last three first). number_print_float gives the shortest text for a float.
 */
#define NUMBER_TEXT_MAX 32
char *number_print_double(char *out, double value);
char *number_print_float(char *out, float value);
char *number_print_int64(char *out, int64_t value);
char *number_print_uint64(char *out, uint64_t value);

/* The texts of 0 to 999: up to three digits, and in the last byte how many. For loops that print many small integers.
 */
extern const char number_small_text[1000][4];
