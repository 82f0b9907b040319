/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps and durations: their texts (RFC 3339; Go's time.ParseDuration) and what they are made of (langdef.md, "Timestamps").
 *
 * Time zones are read from the system's database (TZif, RFC 8536).
 */
#include "base/number.h"
#include "kube/crd/cel_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { ZONE_FILE_MAX = 64 * 1024 };

/* ---- the calendar: Howard Hinnant, "chrono-compatible low-level date algorithms" ---- */

static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned yoe, doy, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned)(y - era * 400);
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void date_of(int64_t days, int64_t *ret_y, unsigned *ret_m, unsigned *ret_d)
{
	int64_t era;
	unsigned doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = (unsigned)(days - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*ret_d = doy - (153 * mp + 2) / 5 + 1;
	*ret_m = mp < 10 ? mp + 3 : mp - 9;
	*ret_y = (int64_t)yoe + era * 400 + (*ret_m <= 2);
}

static bool is_leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static bool take_number(struct span *s, size_t digits, unsigned *ret)
{
	unsigned v = 0;

	if (s->len < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s->ptr[i] - '0');
	}
	*s = span_skip(*s, digits);
	*ret = v;
	return true;
}

static bool take_char(struct span *s, char c)
{
	if (!s->len || s->ptr[0] != c)
		return false;
	*s = span_skip(*s, 1);
	return true;
}

static bool take_date(struct span *s, int64_t *ret_days)
{
	static const unsigned lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned y, m, d;

	if (!take_number(s, 4, &y) || !take_char(s, '-') || !take_number(s, 2, &m) || !take_char(s, '-') ||
	    !take_number(s, 2, &d) || m < 1 || m > 12 || d < 1 || d > lengths[m - 1] + (m == 2 && is_leap(y)))
		return false;
	*ret_days = days_of(y, m, d);
	return true;
}

bool cel_date_parse(struct span s, int64_t *ret_seconds)
{
	int64_t days;

	if (!take_date(&s, &days) || s.len)
		return false;
	*ret_seconds = days * 86400;
	return true;
}

static bool take_fraction(struct span *s, int32_t *ret)
{
	int32_t v = 0, unit = 100000000;

	*ret = 0;
	if (!s->len || (s->ptr[0] != '.' && s->ptr[0] != ','))
		return true;
	*s = span_skip(*s, 1);
	if (!s->len || s->ptr[0] < '0' || s->ptr[0] > '9')
		return false;
	for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = span_skip(*s, 1)) {
		v += (s->ptr[0] - '0') * unit;
		unit /= 10;
	}
	*ret = v;
	return true;
}

bool cel_timestamp_parse(struct span s, int64_t *ret_seconds, int32_t *ret_nanoseconds)
{
	unsigned h, m, sec, zone_h = 0, zone_m = 0;
	int64_t days, offset = 0;
	int32_t nanoseconds;
	bool is_west;

	if (!take_date(&s, &days) || !take_char(&s, 'T') || !take_number(&s, 2, &h) || !take_char(&s, ':') ||
	    !take_number(&s, 2, &m) || !take_char(&s, ':') || !take_number(&s, 2, &sec) || h > 23 || m > 59 ||
	    sec > 59 || !take_fraction(&s, &nanoseconds))
		return false;
	if (!take_char(&s, 'Z')) {
		is_west = s.len && s.ptr[0] == '-';
		if ((!take_char(&s, '+') && !take_char(&s, '-')) || !take_number(&s, 2, &zone_h) ||
		    !take_char(&s, ':') || !take_number(&s, 2, &zone_m) || zone_h > 24 || zone_m > 60)
			return false;
		offset = ((int64_t)zone_h * 60 + zone_m) * 60 * (is_west ? -1 : 1);
	}
	if (s.len)
		return false;
	*ret_seconds = days * 86400 + h * 3600 + m * 60 + sec - offset;
	*ret_nanoseconds = nanoseconds;
	return true;
}

struct span cel_timestamp_print(int64_t seconds, int32_t nanoseconds, struct arena *arena, struct error *err)
{
	int64_t days = seconds / 86400, rest = seconds % 86400, y;
	unsigned m, d;
	char fraction[16] = "";
	size_t n;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	date_of(days, &y, &m, &d);
	if (nanoseconds) {
		(void)snprintf(fraction, sizeof(fraction), ".%09d", (int)nanoseconds);
		for (n = 10; n > 1 && fraction[n - 1] == '0'; n--)
			fraction[n - 1] = '\0';
	}
	return arena_print(arena, err, "%04lld-%02u-%02uT%02d:%02d:%02d%sZ", (long long)y, m, d, (int)(rest / 3600),
			   (int)(rest / 60 % 60), (int)(rest % 60), fraction);
}

/* ---- durations ---- */

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
	return false;
}

static bool take_part(struct span *s, uint64_t *ret)
{
	uint64_t whole = 0, unit, sum;
	double fraction = 0, scale = 1;
	bool has_digit = false;

	for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = span_skip(*s, 1)) {
		has_digit = true;
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(s->ptr[0] - '0'), &whole))
			return false;
	}
	if (take_char(s, '.')) {
		for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = span_skip(*s, 1)) {
			has_digit = true;
			if (scale < 1e18) {
				fraction = fraction * 10 + (s->ptr[0] - '0');
				scale *= 10;
			}
		}
	}
	if (!has_digit || !take_unit(s, &unit) || __builtin_mul_overflow(whole, unit, &sum))
		return false;
	*ret = sum + (uint64_t)(fraction * ((double)unit / scale));
	return true;
}

bool cel_duration_parse(struct span s, int64_t *ret)
{
	bool is_negative = s.len && s.ptr[0] == '-';
	uint64_t sum = 0, part;

	if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
		s = span_skip(s, 1);
	if (!s.len)
		return false;
	if (span_equal(s, SPAN("0"))) {
		*ret = 0;
		return true;
	}
	while (s.len) {
		if (!take_part(&s, &part) || __builtin_add_overflow(sum, part, &sum) || sum > (uint64_t)INT64_MAX + 1)
			return false;
	}
	if (!is_negative && sum > INT64_MAX)
		return false;
	*ret = is_negative ? (int64_t)(0 - sum) : (int64_t)sum;
	return true;
}

struct span cel_duration_print(int64_t nanoseconds, struct arena *arena, struct error *err)
{
	uint64_t n = nanoseconds < 0 ? 0 - (uint64_t)nanoseconds : (uint64_t)nanoseconds;
	const char *sign = nanoseconds < 0 ? "-" : "";
	char fraction[16] = "";
	size_t len;

	if (n % 1000000000) {
		(void)snprintf(fraction, sizeof(fraction), ".%09u", (unsigned)(n % 1000000000));
		for (len = 10; len > 1 && fraction[len - 1] == '0'; len--)
			fraction[len - 1] = '\0';
	}
	return arena_print(arena, err, "%s%llu%ss", sign, (unsigned long long)(n / 1000000000), fraction);
}

/* ---- time zones ---- */

static int64_t big_endian(const char *p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | (uint8_t)p[i];
	return bytes == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

/* Seconds east of UTC at a time, by a TZif file's second part; its rule for later times is not read. */
static bool offset_in(struct span file, int64_t seconds, int64_t *ret)
{
	uint64_t counts[6], first, n, type_at;
	const char *p;
	size_t at = 0;

	for (int part = 0; part < 2; part++) {
		if (file.len < at + 44 || memcmp(file.ptr + at, "TZif", 4) != 0)
			return false;
		for (int i = 0; i < 6; i++)
			counts[i] = (uint64_t)(uint32_t)big_endian(file.ptr + at + 20 + 4 * i, 4);
		for (int i = 0; i < 6; i++)
			if (counts[i] > ZONE_FILE_MAX)
				return false;
		at += 44;
		if (!part)
			at += counts[3] * 5 + counts[4] * 6 + counts[5] + counts[2] * 8 + counts[1] + counts[0];
	}
	n = counts[3];
	if (file.len < at + n * 9 + counts[4] * 6 || !counts[4])
		return false;
	p = file.ptr + at;
	for (first = 0; first < n && big_endian(p + first * 8, 8) <= seconds; first++)
		;
	type_at = first ? (uint8_t)p[n * 8 + first - 1] : 0;
	if (type_at >= counts[4])
		return false;
	*ret = big_endian(p + n * 9 + type_at * 6, 4);
	return true;
}

static bool zone_offset(struct cel_call *c, struct span name, int64_t seconds, int64_t *ret)
{
	struct buffer file;
	struct error ignored = { 0 };
	struct span path;
	bool ok = false;

	for (size_t i = 0; i < name.len; i++)
		if (!((name.ptr[i] | 0x20) >= 'a' && (name.ptr[i] | 0x20) <= 'z') &&
		    !strchr("/_-+0123456789", name.ptr[i]))
			return false;
	if (!name.len || name.ptr[0] == '/' || name.len > 64)
		return false;
	path = arena_print(c->arena, c->err, "/usr/share/zoneinfo/" SPAN_FMT, SPAN_ARG(name));
	buffer_init(&file, ZONE_FILE_MAX);
	if (path.ptr && buffer_read_file(&file, path.ptr, &ignored))
		ok = offset_in(buffer_span(&file), seconds, ret);
	buffer_done(&file);
	return ok;
}

/* "UTC", "+02:00", "-08:00", "02:00", "Europe/Paris". */
static bool offset_of(struct cel_call *c, struct span zone, int64_t seconds, int64_t *ret)
{
	size_t colon = span_index(zone, ':');
	bool is_west = zone.len && zone.ptr[0] == '-';
	int64_t h, m;

	*ret = 0;
	if (!zone.len || span_equal(zone, SPAN("UTC")))
		return true;
	if (colon == zone.len)
		return zone_offset(c, zone, seconds, ret);
	if (!number_parse_int64(span_first(span_starts(zone, SPAN("+")) ? span_skip(zone, 1) : zone,
					   colon - span_starts(zone, SPAN("+"))),
				&h) ||
	    !number_parse_int64(span_skip(zone, colon + 1), &m) || h < -1000 || h > 1000 || m < -1000 || m > 1000)
		return false;
	*ret = (is_west ? h * 60 - m : h * 60 + m) * 60;
	return true;
}

struct parts {
	int64_t year;
	unsigned month, day, day_of_year, weekday, hour, minute, second;
};

static bool parts_of(struct cel_call *c, const struct cel_value *a, bool has_zone, struct parts *ret)
{
	int64_t offset = 0, seconds, days, rest;

	if (has_zone && !offset_of(c, a[1].text, a[0].time.seconds, &offset))
		return false;
	seconds = a[0].time.seconds + offset;
	days = seconds / 86400;
	rest = seconds % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	date_of(days, &ret->year, &ret->month, &ret->day);
	ret->day_of_year = (unsigned)(days - days_of(ret->year, 1, 1));
	ret->weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
	ret->hour = (unsigned)(rest / 3600);
	ret->minute = (unsigned)(rest / 60 % 60);
	ret->second = (unsigned)(rest % 60);
	return true;
}

static struct cel_value no_zone(struct cel_call *c, const struct cel_value *a)
{
	return cel_fail_print(c, "unknown time zone " SPAN_FMT, SPAN_ARG(a[1].text));
}

#define PART(name, value)                                                                                              \
	static struct cel_value name(struct cel_call *c, const struct cel_value *a)                                    \
	{                                                                                                              \
		struct parts p;                                                                                        \
                                                                                                                       \
		return parts_of(c, a, false, &p) ? cel_of_int((int64_t)(value)) : no_zone(c, a);                       \
	}                                                                                                              \
	static struct cel_value name##_in(struct cel_call *c, const struct cel_value *a)                               \
	{                                                                                                              \
		struct parts p;                                                                                        \
                                                                                                                       \
		return parts_of(c, a, true, &p) ? cel_of_int((int64_t)(value)) : no_zone(c, a);                        \
	}

PART(year, p.year)
PART(month, p.month - 1)
PART(day_of_year, p.day_of_year)
PART(day_of_month, p.day - 1)
PART(date, p.day)
PART(weekday, p.weekday)
PART(hours, p.hour)
PART(minutes, p.minute)
PART(seconds, p.second)
PART(milliseconds, a[0].time.nanoseconds / 1000000)

static struct cel_value duration_hours(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->integer / INT64_C(3600000000000));
}

static struct cel_value duration_minutes(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->integer / INT64_C(60000000000));
}

static struct cel_value duration_seconds(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->integer / 1000000000);
}

static struct cel_value duration_milliseconds(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->integer / 1000000);
}

#define TIME(name, id, f)                                                                                              \
	CEL_MEMBER(name, "timestamp_to_" id, "t", "i", f),                                                             \
	{                                                                                                              \
		name, "timestamp_to_" id "_with_tz", "ts", "i", f##_in, .is_member = true                              \
	}

const struct cel_overload cel_time_overloads[] = {
	TIME("getFullYear", "year", year),
	TIME("getMonth", "month", month),
	TIME("getDayOfYear", "day_of_year", day_of_year),
	TIME("getDayOfMonth", "day_of_month", day_of_month),
	TIME("getDate", "day_of_month_1_based", date),
	TIME("getDayOfWeek", "day_of_week", weekday),
	TIME("getHours", "hours", hours),
	TIME("getMinutes", "minutes", minutes),
	TIME("getSeconds", "seconds", seconds),
	TIME("getMilliseconds", "milliseconds", milliseconds),
	CEL_MEMBER("getHours", "duration_to_hours", "r", "i", duration_hours),
	CEL_MEMBER("getMinutes", "duration_to_minutes", "r", "i", duration_minutes),
	CEL_MEMBER("getSeconds", "duration_to_seconds", "r", "i", duration_seconds),
	CEL_MEMBER("getMilliseconds", "duration_to_milliseconds", "r", "i", duration_milliseconds),
	{ 0 },
};
