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
