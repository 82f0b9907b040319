/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps and durations: their texts (RFC 3339; Go's time.ParseDuration) and what they are made of (langdef.md, "Timestamps").
 */
#include "base/calendar.h"
#include "base/number.h"
#include "base/units.h"
#include "kube/crd/cel_private.h"
#include "wire/zone.h"

#include <stdio.h>
#include <stdlib.h>

#define ZONE_MEMORY KIB(256)

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
	unsigned y, m, d;

	if (!take_number(s, 4, &y) || !take_char(s, '-') || !take_number(s, 2, &m) || !take_char(s, '-') ||
	    !take_number(s, 2, &d) || m < 1 || m > 12 || d < 1 || d > calendar_month_days(y, m))
		return false;
	*ret_days = calendar_days(y, m, d);
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
	*ret_seconds = days * 86400 + (int64_t)(h * 3600 + m * 60 + sec) - offset;
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
	calendar_date(days, &y, &m, &d);
	if (nanoseconds) {
		(void)snprintf(fraction, sizeof(fraction), ".%09d", (int)nanoseconds);
		for (n = 10; n > 1 && fraction[n - 1] == '0'; n--)
			fraction[n - 1] = '\0';
	}
	return arena_print(arena, err, "%04lld-%02u-%02uT%02d:%02d:%02d%sZ", (long long)y, m, d, (int)(rest / 3600),
			   (int)(rest / 60 % 60), (int)(rest % 60), fraction);
}

/* ---- durations ---- */

bool cel_duration_parse(struct span s, int64_t *ret)
{
	struct error ignored = { 0 };

	return go_duration_parse(s, ret, &ignored);
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

static bool zone_offset(struct span name, int64_t seconds, int64_t *ret)
{
	struct error ignored = { 0 };
	const struct zone *z;
	struct arena arena;

	arena_init(&arena, ZONE_MEMORY);
	z = zone_load(name, &arena, &ignored);
	if (z)
		*ret = zone_at(z, seconds).offset;
	arena_done(&arena);
	return z != NULL;
}

/* "UTC", "+02:00", "-08:00", "02:00", "Europe/Paris". */
static bool offset_of(struct span zone, int64_t seconds, int64_t *ret)
{
	size_t colon = span_index(zone, ':');
	bool is_west = zone.len && zone.ptr[0] == '-';
	int64_t h, m;

	*ret = 0;
	if (!zone.len || span_equal(zone, SPAN("UTC")))
		return true;
	if (colon == zone.len)
		return zone_offset(zone, seconds, ret);
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

static bool parts_of(const struct cel_value *a, bool has_zone, struct parts *ret)
{
	int64_t offset = 0, seconds, days, rest;

	if (has_zone && !offset_of(a[1].text, a[0].time.seconds, &offset))
		return false;
	seconds = a[0].time.seconds + offset;
	days = seconds / 86400;
	rest = seconds % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	calendar_date(days, &ret->year, &ret->month, &ret->day);
	ret->day_of_year = (unsigned)(days - calendar_days(ret->year, 1, 1));
	ret->weekday = calendar_weekday(days);
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
		return parts_of(a, false, &p) ? cel_of_int((int64_t)(value)) : no_zone(c, a);                          \
	}                                                                                                              \
	static struct cel_value name##_in(struct cel_call *c, const struct cel_value *a)                               \
	{                                                                                                              \
		struct parts p;                                                                                        \
                                                                                                                       \
		return parts_of(a, true, &p) ? cel_of_int((int64_t)(value)) : no_zone(c, a);                           \
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
