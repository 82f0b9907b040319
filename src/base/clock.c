/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/calendar.h"

#include <stdio.h>
#include <time.h>

static int64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
	return now(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
	return now(CLOCK_REALTIME);
}

int64_t clock_thread_ns(void)
{
	return now(CLOCK_THREAD_CPUTIME_ID);
}

static void split(int64_t wall_ns, struct tm *tm, long *micros)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);

	gmtime_r(&seconds, tm);
	*micros = (long)(wall_ns % NS_PER_S / NS_PER_US);
}

size_t clock_print_rfc3339(int64_t wall_ns, char *out)
{
	char text[96];
	struct tm tm;
	long micros;
	int len;

	split(wall_ns, &tm, &micros);
	len = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
		       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micros);
	return (size_t)snprintf(out, CLOCK_TEXT_SIZE, "%.*s", len < CLOCK_TEXT_SIZE ? len : CLOCK_TEXT_SIZE - 1, text);
}

/* Names by hand: strftime's follow the locale. */
size_t clock_print_http(int64_t wall_ns, char *out)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	char text[96];
	struct tm tm;
	long micros;
	int len;

	split(wall_ns, &tm, &micros);
	len = snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
		       months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return (size_t)snprintf(out, CLOCK_HTTP_SIZE, "%.*s", len < CLOCK_HTTP_SIZE ? len : CLOCK_HTTP_SIZE - 1, text);
}

/* ---- reading ---- */

static bool digits(struct span s, size_t at, size_t count, int *ret)
{
	int n = 0;

	if (at + count > s.len)
		return false;
	for (size_t i = at; i < at + count; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		n = n * 10 + (s.ptr[i] - '0');
	}
	*ret = n;
	return true;
}

/* "Z" or "+02:00" in seconds. */
static bool zone_parse(struct span s, int *ret)
{
	int hours, minutes;

	*ret = 0;
	if (s.len == 1 && (s.ptr[0] == 'Z' || s.ptr[0] == 'z'))
		return true;
	if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') || s.ptr[3] != ':' || !digits(s, 1, 2, &hours) ||
	    !digits(s, 4, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret = (hours * 3600 + minutes * 60) * (s.ptr[0] == '-' ? -1 : 1);
	return true;
}

bool clock_parse_rfc3339(struct span s, int64_t *ret_seconds)
{
	int year, month, day, hour, minute, second, zone;
	size_t end = 19;

	if (s.len < 20 || s.ptr[4] != '-' || s.ptr[7] != '-' || (s.ptr[10] != 'T' && s.ptr[10] != 't') ||
	    s.ptr[13] != ':' || s.ptr[16] != ':')
		return false;
	if (!digits(s, 0, 4, &year) || !digits(s, 5, 2, &month) || !digits(s, 8, 2, &day) || !digits(s, 11, 2, &hour) ||
	    !digits(s, 14, 2, &minute) || !digits(s, 17, 2, &second))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59)
		return false;
	if (s.ptr[end] == '.') {
		for (end++; end < s.len && s.ptr[end] >= '0' && s.ptr[end] <= '9'; end++)
			;
	}
	if (!zone_parse(span_skip(s, end), &zone))
		return false;
	*ret_seconds = ((calendar_days(year, (unsigned)month, day) * 24 + hour) * 60 + minute) * 60 + second - zone;
	return true;
}
