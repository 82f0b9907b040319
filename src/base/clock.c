/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

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
