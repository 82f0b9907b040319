/* SPDX-License-Identifier: Apache-2.0 */
#include "base/units.h"

#include <ctype.h>
#include <math.h>

#include "base/base.h"
#include "base/number.h"

struct unit {
	struct span name;
	double factor;
};

/* Splits "1.5g" in its number and its unit, which is one of the table (its first row stands for no unit). */
static bool scaled_parse(struct span text, const struct unit *units, size_t unit_count, double *ret)
{
	size_t digits = 0;
	double value;

	while (digits < text.len && (isdigit((unsigned char)text.ptr[digits]) || text.ptr[digits] == '.'))
		digits++;
	if (!number_parse_double(span_first(text, digits), &value))
		return false;
	for (size_t i = 0; i < unit_count; i++) {
		if (span_equal_ignore_case(span_skip(text, digits), units[i].name)) {
			*ret = value * units[i].factor;
			return true;
		}
	}
	return false;
}

bool size_parse(struct span text, size_t *ret, struct error *err)
{
	static const struct unit units[] = {
		{ SPAN_INIT(""), 1 },        { SPAN_INIT("b"), 1 },        { SPAN_INIT("k"), 0x1p10 },
		{ SPAN_INIT("kb"), 0x1p10 }, { SPAN_INIT("kib"), 0x1p10 }, { SPAN_INIT("m"), 0x1p20 },
		{ SPAN_INIT("mb"), 0x1p20 }, { SPAN_INIT("mib"), 0x1p20 }, { SPAN_INIT("g"), 0x1p30 },
		{ SPAN_INIT("gb"), 0x1p30 }, { SPAN_INIT("gib"), 0x1p30 }, { SPAN_INIT("t"), 0x1p40 },
		{ SPAN_INIT("tb"), 0x1p40 }, { SPAN_INIT("tib"), 0x1p40 },
	};
	uint64_t whole;
	double value;

	if (number_parse_uint64(text, &whole)) { /* exact, also over 2^53 */
		*ret = whole;
		return true;
	}
	if (!scaled_parse(text, units, ARRAY_LEN(units), &value) || value != floor(value))
		return error_set(err, ERROR_INVALID,
				 "'" SPAN_FMT
				 "' is not a size: expected a number, or one with k, m, g or t, such as 64k or 1.5g",
				 SPAN_ARG(text));
	if (value >= 0x1p63)
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is too large", SPAN_ARG(text));
	*ret = (size_t)value;
	return true;
}

bool duration_parse(struct span text, int64_t *ret_ms, struct error *err)
{
	static const struct unit units[] = {
		{ SPAN_INIT(""), 1000 },      { SPAN_INIT("ms"), 1 },      { SPAN_INIT("s"), 1000 },
		{ SPAN_INIT("m"), 60000 },    { SPAN_INIT("min"), 60000 }, { SPAN_INIT("h"), 3600000 },
		{ SPAN_INIT("d"), 86400000 },
	};
	double value;

	if (!scaled_parse(text, units, ARRAY_LEN(units), &value))
		return error_set(err, ERROR_INVALID,
				 "'" SPAN_FMT
				 "' is not a duration: expected a number with ms, s, m, h or d, such as 500ms or 30s",
				 SPAN_ARG(text));
	/* A century is far past any use, and far from overflow when turned to nanoseconds. */
	if (value > 100 * 365.25 * 86400000)
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is too long: at most a century", SPAN_ARG(text));
	*ret_ms = (int64_t)llround(value);
	return true;
}

/* ---- as Go writes them ---- */

static bool take_unit(struct span *s, uint64_t *ret)
{
	static const struct {
		const char *name;
		uint64_t nanoseconds;
	} units[] = {
		{ "ns", 1 },       { "us", 1000 },      { "\xc2\xb5s", 1000 },          { "\xce\xbcs", 1000 },
		{ "ms", 1000000 }, { "s", 1000000000 }, { "m", UINT64_C(60000000000) }, { "h", UINT64_C(3600000000000) }
	};
	size_t n = 0;

	while (n < s->len && s->ptr[n] != '.' && (s->ptr[n] < '0' || s->ptr[n] > '9'))
		n++;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (span_equal(span_first(*s, n), span_of(units[i].name))) {
			*s = span_skip(*s, n);
			*ret = units[i].nanoseconds;
			return true;
		}
	}
	*s = span_first(*s, n); /* the unit that nobody knows */
	return false;
}

/* "1.5h". When its unit is at fault, that is what is left in `s`, and *ret_has_unit is false. */
static bool take_part(struct span *s, uint64_t *ret, bool *ret_has_unit)
{
	uint64_t whole = 0, unit, sum;
	double fraction = 0, scale = 1;
	bool has_digit = false;

	*ret_has_unit = true;
	for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = span_skip(*s, 1)) {
		has_digit = true;
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(s->ptr[0] - '0'), &whole))
			return false;
	}
	if (s->len && s->ptr[0] == '.') {
		*s = span_skip(*s, 1);
		for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = span_skip(*s, 1)) {
			has_digit = true;
			if (scale < 1e18) {
				fraction = fraction * 10 + (s->ptr[0] - '0');
				scale *= 10;
			}
		}
	}
	if (!has_digit)
		return false;
	*ret_has_unit = take_unit(s, &unit);
	if (!*ret_has_unit || __builtin_mul_overflow(whole, unit, &sum))
		return false;
	*ret = sum + (uint64_t)(fraction * ((double)unit / scale));
	return true;
}

bool go_duration_parse(struct span text, int64_t *ret_ns, struct error *err)
{
	struct span s = text;
	bool is_negative = s.len && s.ptr[0] == '-', has_unit = true, good;
	uint64_t sum = 0, part;

	if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
		s = span_skip(s, 1);
	if (span_equal(s, SPAN("0"))) {
		*ret_ns = 0;
		return true;
	}
	good = s.len > 0;
	while (good && s.len)
		good = take_part(&s, &part, &has_unit) && !__builtin_add_overflow(sum, part, &sum) &&
		       sum <= (uint64_t)INT64_MAX + 1;
	if (!has_unit && !s.len)
		return error_set(err, ERROR_INVALID, "time: missing unit in duration \"" SPAN_FMT "\"", SPAN_ARG(text));
	if (!has_unit)
		return error_set(err, ERROR_INVALID, "time: unknown unit \"" SPAN_FMT "\" in duration \"" SPAN_FMT "\"",
				 SPAN_ARG(s), SPAN_ARG(text));
	if (!good || (!is_negative && sum > INT64_MAX))
		return error_set(err, ERROR_INVALID, "time: invalid duration \"" SPAN_FMT "\"", SPAN_ARG(text));
	*ret_ns = is_negative ? (int64_t)(0 - sum) : (int64_t)sum;
	return true;
}
