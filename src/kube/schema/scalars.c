/* SPDX-License-Identifier: Apache-2.0 */
/* scalars - texts that mean a time, a duration, a quantity or bytes. Words and forms: Go's time, encoding/base64; apimachinery. */
#include <stdio.h>

#include "base/calendar.h"
#include "kube/kind.h"
#include "kube/schema/schema_private.h"
#include "wire/base64.h"

/* ---- times ---- */

/* One step of the layout: either digits of a number, or a byte. */
struct time_step {
	const char *layout; /* what messages call the rest of the layout by */
	int digits;         /* 0: the byte itself */
	int low, high;
	const char *range; /* what is out of range */
};

static const struct time_step steps[] = {
	{ "2006", 4, 0, 9999, NULL }, { "-", 0, 0, 0, NULL }, { "01", 2, 1, 12, "month" },  { "-", 0, 0, 0, NULL },
	{ "02", 2, 1, 31, "day" },    { "T", 0, 0, 0, NULL }, { "15", 2, 0, 23, "hour" },   { ":", 0, 0, 0, NULL },
	{ "04", 2, 0, 59, "minute" }, { ":", 0, 0, 0, NULL }, { "05", 2, 0, 59, "second" },
};

enum { YEAR, MONTH = 2, DAY = 4, HOUR = 6, MINUTE = 8, SECOND = 10 };

static bool digits_read(struct span s, int count, int *ret)
{
	int value = 0;

	if (s.len < (size_t)count)
		return false;
	for (int i = 0; i < count; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		value = value * 10 + (s.ptr[i] - '0');
	}
	*ret = value;
	return true;
}

static const char *time_layout(bool is_micro)
{
	return is_micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";
}

static bool time_bad(struct span text, struct span rest, const char *layout, bool is_micro, struct error *err)
{
	return error_set(err, ERROR_INVALID,
			 "parsing time \"" SPAN_FMT "\" as \"%s\": cannot parse \"" SPAN_FMT "\" as \"%s\"",
			 SPAN_ARG(text), time_layout(is_micro), SPAN_ARG(rest), layout);
}

static bool time_out_of_range(struct span text, const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID, "parsing time \"" SPAN_FMT "\": %s out of range", SPAN_ARG(text), what);
}

/* ".123456": what the layout leaves open after the seconds. */
static int64_t fraction_read(struct span *rest)
{
	int64_t nanoseconds = 0, unit = 100000000;
	size_t n = 1;

	if (rest->len < 2 || (rest->ptr[0] != '.' && rest->ptr[0] != ',') || rest->ptr[1] < '0' || rest->ptr[1] > '9')
		return 0;
	for (; n < rest->len && rest->ptr[n] >= '0' && rest->ptr[n] <= '9'; n++, unit /= 10)
		nanoseconds += (rest->ptr[n] - '0') * unit;
	*rest = span_skip(*rest, n);
	return nanoseconds;
}

/* "Z" or "+02:00": seconds east of Greenwich. */
static bool zone_read(struct span *rest, int64_t *ret)
{
	int hours, minutes;

	if (rest->len && rest->ptr[0] == 'Z') {
		*rest = span_skip(*rest, 1);
		*ret = 0;
		return true;
	}
	if (rest->len < 6 || (rest->ptr[0] != '+' && rest->ptr[0] != '-') || rest->ptr[3] != ':' ||
	    !digits_read(span_skip(*rest, 1), 2, &hours) || !digits_read(span_skip(*rest, 4), 2, &minutes) ||
	    hours > 24 || minutes > 60)
		return false;
	*ret = (int64_t)(hours * 3600 + minutes * 60) * (rest->ptr[0] == '-' ? -1 : 1);
	*rest = span_skip(*rest, 6);
	return true;
}

static bool time_canonical(struct span text, bool is_micro, struct arena *arena, struct span *ret, struct error *err)
{
	struct span rest = text;
	int parts[ARRAY_LEN(steps)] = { 0 }, micro;
	int64_t nanoseconds, zone, seconds;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct time_step *s = &steps[i];
		size_t len = s->digits ? (size_t)s->digits : 1;

		if (s->digits ? !digits_read(rest, s->digits, &parts[i]) : (!rest.len || rest.ptr[0] != s->layout[0]))
			return time_bad(text, rest, s->layout, is_micro, err);
		if (s->range && (parts[i] < s->low || parts[i] > s->high))
			return time_out_of_range(text, s->range, err);
		rest = span_skip(rest, len);
	}
	if (is_micro && !(rest.len > 7 && rest.ptr[0] == '.' && digits_read(span_skip(rest, 1), 6, &micro)))
		return time_bad(text, rest, ".000000", is_micro, err);
	nanoseconds = fraction_read(&rest);
	if (!zone_read(&rest, &zone))
		return time_bad(text, rest, "Z07:00", is_micro, err);
	if (rest.len)
		return error_set(err, ERROR_INVALID, "parsing time \"" SPAN_FMT "\": extra text: \"" SPAN_FMT "\"",
				 SPAN_ARG(text), SPAN_ARG(rest));
	if (parts[DAY] > (int)calendar_month_days(parts[YEAR], (unsigned)parts[MONTH]))
		return time_out_of_range(text, "day", err);
	seconds = calendar_days(parts[YEAR], (unsigned)parts[MONTH], parts[DAY]) * 86400 + (int64_t)parts[HOUR] * 3600 +
		  (int64_t)parts[MINUTE] * 60 + parts[SECOND] - zone;
	*ret = scalar_time(seconds, nanoseconds, is_micro, arena, err);
	return ret->ptr != NULL;
}

struct span scalar_time(int64_t seconds, int64_t nanoseconds, bool is_micro, struct arena *arena, struct error *err)
{
	/* Go writes no year of more than four digits; neither can one be read. */
	static const int64_t first = -INT64_C(62167219200), last = INT64_C(253402300799);
	int64_t days, of_day, year;
	unsigned month, day;
	char fraction[8] = "";

	if (seconds < first || seconds > last || nanoseconds < 0 || nanoseconds > 999999999) {
		error_set(err, ERROR_INVALID, "Time.MarshalJSON: year outside of range [0,9999]");
		return (struct span){ NULL, 0 };
	}
	days = (seconds - first) / 86400 + first / 86400;
	of_day = seconds - days * 86400;
	calendar_date(days, &year, &month, &day);
	if (is_micro)
		snprintf(fraction, sizeof(fraction), ".%06d", (int)(nanoseconds / 1000));
	return arena_print(arena, err, "%04d-%02u-%02uT%02d:%02d:%02d%sZ", (int)year, month, day, (int)(of_day / 3600),
			   (int)(of_day / 60 % 60), (int)(of_day % 60), fraction);
}

/* ---- durations ---- */

static const struct {
	const char *name;
	int64_t ns;
} units[] = { { "ns", 1 },       { "us", 1000 },      { "\xc2\xb5s", 1000 },         { "\xce\xbcs", 1000 },
	      { "ms", 1000000 }, { "s", 1000000000 }, { "m", INT64_C(60000000000) }, { "h", INT64_C(3600000000000) } };

/* The whole and fractional digits in front of a unit; false when there are none or they are too many. */
static bool duration_number(struct span *rest, int64_t *ret_whole, double *ret_fraction)
{
	size_t digits = 0;
	double scale = 1;

	*ret_whole = 0;
	*ret_fraction = 0;
	for (; rest->len && rest->ptr[0] >= '0' && rest->ptr[0] <= '9'; *rest = span_skip(*rest, 1), digits++) {
		if (__builtin_mul_overflow(*ret_whole, 10, ret_whole) ||
		    __builtin_add_overflow(*ret_whole, rest->ptr[0] - '0', ret_whole))
			return false;
	}
	if (rest->len && rest->ptr[0] == '.') {
		*rest = span_skip(*rest, 1);
		for (; rest->len && rest->ptr[0] >= '0' && rest->ptr[0] <= '9'; *rest = span_skip(*rest, 1), digits++) {
			scale /= 10;
			*ret_fraction += (rest->ptr[0] - '0') * scale;
		}
	}
	return digits > 0;
}

static bool duration_unit(struct span *rest, int64_t *ret_ns)
{
	size_t len = 0;

	while (len < rest->len && rest->ptr[len] != '.' && !(rest->ptr[len] >= '0' && rest->ptr[len] <= '9'))
		len++;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (span_equal(span_first(*rest, len), span_of(units[i].name))) {
			*ret_ns = units[i].ns;
			*rest = span_skip(*rest, len);
			return true;
		}
	}
	return false;
}

static bool duration_parse(struct span text, int64_t *ret)
{
	struct span rest = text;
	bool is_negative = rest.len && rest.ptr[0] == '-';
	int64_t sum = 0;

	if (rest.len && (rest.ptr[0] == '-' || rest.ptr[0] == '+'))
		rest = span_skip(rest, 1);
	if (span_equal(rest, SPAN("0"))) {
		*ret = 0;
		return true;
	}
	if (!rest.len)
		return false;
	while (rest.len) {
		int64_t whole, unit;
		double fraction;

		if (!duration_number(&rest, &whole, &fraction) || !duration_unit(&rest, &unit) ||
		    __builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(sum, whole, &sum) ||
		    __builtin_add_overflow(sum, (int64_t)(fraction * (double)unit), &sum))
			return false;
	}
	*ret = is_negative ? -sum : sum;
	return true;
}

/* A number of nanoseconds in units of 10^power, without trailing zeros. */
static size_t fraction_print(char *out, size_t size, uint64_t ns, int power)
{
	uint64_t unit = 1, whole, rest;
	size_t len;

	for (int i = 0; i < power; i++)
		unit *= 10;
	whole = ns / unit;
	rest = ns % unit;
	if (rest == 0)
		return (size_t)snprintf(out, size, "%llu", (unsigned long long)whole);
	len = (size_t)snprintf(out, size, "%llu.%0*llu", (unsigned long long)whole, power, (unsigned long long)rest);
	while (out[len - 1] == '0')
		out[--len] = '\0';
	return len;
}

struct span scalar_duration(int64_t nanoseconds, struct arena *arena, struct error *err)
{
	uint64_t ns = nanoseconds < 0 ? -(uint64_t)nanoseconds : (uint64_t)nanoseconds, seconds = ns / 1000000000;
	const char *sign = nanoseconds < 0 ? "-" : "";
	char number[48] = "";

	if (ns == 0)
		return arena_print(arena, err, "0s");
	if (ns < 1000000000) {
		bool is_ms = ns >= 1000000, is_us = ns >= 1000;

		fraction_print(number, sizeof(number), ns, is_ms ? 6 : is_us ? 3 : 0);
		return arena_print(arena, err, "%s%s%s", sign, number, is_ms ? "ms" : is_us ? "\xc2\xb5s" : "ns");
	}
	fraction_print(number, sizeof(number), ns - seconds / 60 * 60 * 1000000000, 9);
	if (seconds >= 3600)
		return arena_print(arena, err, "%s%lluh%llum%ss", sign, (unsigned long long)(seconds / 3600),
				   (unsigned long long)(seconds / 60 % 60), number);
	if (seconds >= 60)
		return arena_print(arena, err, "%s%llum%ss", sign, (unsigned long long)(seconds / 60), number);
	return arena_print(arena, err, "%s%ss", sign, number);
}

static bool duration_canonical(struct span text, struct arena *arena, struct span *ret, struct error *err)
{
	int64_t ns;

	if (!duration_parse(text, &ns))
		return error_set(err, ERROR_INVALID, "time: invalid duration \"" SPAN_FMT "\"", SPAN_ARG(text));
	*ret = scalar_duration(ns, arena, err);
	return ret->ptr != NULL;
}

/* ---- bytes ---- */

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static bool bytes_bad(size_t at, struct error *err)
{
	return error_set(err, ERROR_INVALID, "illegal base64 data at input byte %zu", at);
}

static void line_ends_skip(struct span text, size_t *at)
{
	while (*at < text.len && (text.ptr[*at] == '\n' || text.ptr[*at] == '\r'))
		(*at)++;
}

/* As Go's encoding/base64: line ends count for nothing; a group that is cut short is told by where it began. */
static bool bytes_canonical(struct span text, struct arena *arena, struct span *ret, struct error *err)
{
	char *out = arena_alloc(arena, text.len + 1, err);
	size_t at = 0, len = 0;
	int digits = 0;

	if (!out)
		return false;
	for (line_ends_skip(text, &at); at < text.len; line_ends_skip(text, &at)) {
		char c = text.ptr[at++];

		if (is_base64(c)) {
			digits = (digits + 1) % 4;
			out[len++] = c;
			continue;
		}
		if (c != '=' || digits < 2)
			return bytes_bad(at - 1, err);
		out[len++] = '=';
		if (digits == 2) {
			line_ends_skip(text, &at);
			if (at == text.len)
				return bytes_bad(at, err);
			if (text.ptr[at] != '=')
				return bytes_bad(at - 1, err);
			at++;
			out[len++] = '=';
		}
		digits = 0;
		line_ends_skip(text, &at);
		if (at < text.len)
			return bytes_bad(at, err);
	}
	if (digits)
		return bytes_bad(text.len - (size_t)digits, err);
	out[len] = '\0';
	*ret = span_from(out, len);
	return true;
}

/* ---- quantities ---- */

/* Which of the parser's two complaints fits: a text that has no such form at all, or one whose suffix means nothing. */
static bool quantity_bad(struct span text, struct error *err)
{
	size_t at = text.len && (text.ptr[0] == '+' || text.ptr[0] == '-'), digits = at;

	while (at < text.len && ((text.ptr[at] >= '0' && text.ptr[at] <= '9') || text.ptr[at] == '.'))
		at++;
	if (at > digits) {
		while (at < text.len && strchr("eEinumkKMGTP", text.ptr[at]))
			at++;
		if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-'))
			at++;
		while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
			at++;
		if (at == text.len)
			return error_set(err, ERROR_INVALID, "unable to parse quantity's suffix");
	}
	return error_set(err, ERROR_INVALID,
			 "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

bool scalar_canonical(enum field_kind kind, struct span text, struct arena *arena, struct span *ret, struct error *err)
{
	switch (kind) {
	case FIELD_TIME:
	case FIELD_MICRO_TIME:
		return time_canonical(text, kind == FIELD_MICRO_TIME, arena, ret, err);
	case FIELD_DURATION:
		return duration_canonical(text, arena, ret, err);
	case FIELD_BYTES:
		return bytes_canonical(text, arena, ret, err);
	case FIELD_QUANTITY:
		return quantity_canonical(text, arena, ret) || quantity_bad(text, err);
	default:
		*ret = text;
		return true;
	}
}
