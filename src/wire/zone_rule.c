/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/zone_rule.h"

#include "base/calendar.h"

#define DAY_S      INT64_C(86400)
#define HOURS_MOST 167 /* RFC 8536 3.3.1; POSIX itself has 24 */
#define NAME_LEAST 3
#define YEARS_MOST INT64_C(100000000) /* farther away the rule is taken as of here */

/* ---- reading ---- */

static bool take(struct span *s, char c)
{
	if (!s->len || s->ptr[0] != c)
		return false;
	*s = span_skip(*s, 1);
	return true;
}

static bool take_number(struct span *s, int64_t least, int64_t most, int64_t *ret)
{
	int64_t n = 0;
	size_t i = 0;

	for (; i < s->len && i < 4 && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++)
		n = n * 10 + (s->ptr[i] - '0');
	if (!i || n < least || n > most)
		return false;
	*s = span_skip(*s, i);
	*ret = n;
	return true;
}

/* "CET", "<+0330>" */
static bool take_name(struct span *s)
{
	bool is_quoted = take(s, '<');
	size_t i = 0;

	for (; i < s->len; i++) {
		char c = s->ptr[i];
		bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!is_letter && !(is_quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-')))
			break;
	}
	if (i < NAME_LEAST)
		return false;
	*s = span_skip(*s, i);
	return !is_quoted || take(s, '>');
}

/* "-1", "3:30", "+02:00:00" */
static bool take_time(struct span *s, int64_t *ret)
{
	bool is_negative = take(s, '-');
	int64_t hours, minutes = 0, seconds = 0;

	if (!is_negative)
		(void)take(s, '+');
	if (!take_number(s, 0, HOURS_MOST, &hours) || (take(s, ':') && !take_number(s, 0, 59, &minutes)) ||
	    (take(s, ':') && !take_number(s, 0, 59, &seconds)))
		return false;
	*ret = hours * 3600 + minutes * 60 + seconds;
	if (is_negative)
		*ret = -*ret;
	return true;
}

/* "M3.5.0/2", "J60", "59/-2" */
static bool take_day(struct span *s, struct zone_day *ret)
{
	ret->seconds = INT64_C(7200); /* two o'clock */
	if (take(s, 'M')) {
		ret->form = DAY_OF_MONTH_WEEK;
		if (!take_number(s, 1, 12, &ret->month) || !take(s, '.') || !take_number(s, 1, 5, &ret->week) ||
		    !take(s, '.') || !take_number(s, 0, 6, &ret->day))
			return false;
	} else if (take(s, 'J')) {
		ret->form = DAY_WITHOUT_LEAP;
		if (!take_number(s, 1, 365, &ret->day))
			return false;
	} else {
		ret->form = DAY_OF_YEAR;
		if (!take_number(s, 0, 365, &ret->day))
			return false;
	}
	return !take(s, '/') || take_time(s, &ret->seconds);
}

static bool rule_take(struct span s, struct zone_rule *ret)
{
	*ret = (struct zone_rule){ 0 };
	if (!take_name(&s) || !take_time(&s, &ret->winter))
		return false;
	ret->winter = -ret->winter; /* written as what is added to come to UTC */
	if (!s.len)
		return true;
	ret->has_summer = true;
	ret->summer = ret->winter + 3600;
	if (!take_name(&s))
		return false;
	if (s.len && s.ptr[0] != ',') {
		if (!take_time(&s, &ret->summer))
			return false;
		ret->summer = -ret->summer;
	}
	if (!s.len)
		s = SPAN(",M3.2.0,M11.1.0"); /* as tzcode has it */
	return take(&s, ',') && take_day(&s, &ret->begin) && take(&s, ',') && take_day(&s, &ret->end) && !s.len;
}

bool zone_rule_parse(struct span text, struct zone_rule *ret, struct error *err)
{
	struct zone_rule rule;

	if (!rule_take(text, &rule))
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no rule as POSIX has it", SPAN_ARG(text));
	*ret = rule;
	return true;
}

/* ---- times ---- */

/* Seconds from 1970 on, by the clocks of the time that ends. */
static int64_t day_in(const struct zone_day *d, int64_t year)
{
	int64_t first = calendar_days(year, 1, 1), day;

	if (d->form == DAY_OF_YEAR) {
		day = first + d->day;
	} else if (d->form == DAY_WITHOUT_LEAP) {
		day = first + d->day - 1 + (calendar_is_leap(year) && d->day >= 60);
	} else {
		first = calendar_days(year, (unsigned)d->month, 1);
		day = first + (d->day - calendar_weekday(first) + 7) % 7 + (d->week - 1) * 7;
		while (day >= first + calendar_month_days(year, (unsigned)d->month))
			day -= 7; /* week 5 is the last one */
	}
	return day * DAY_S + d->seconds;
}

static int64_t year_of(int64_t seconds)
{
	unsigned month, day;
	int64_t year;

	calendar_date(seconds / DAY_S - (seconds % DAY_S < 0), &year, &month, &day);
	return year;
}

struct zone_period zone_rule_at(const struct zone_rule *rule, int64_t seconds)
{
	struct zone_period p = { INT64_MIN, INT64_MAX, rule->winter, false };
	int64_t year;

	if (!rule->has_summer || seconds > YEARS_MOST * 365 * DAY_S || seconds < -YEARS_MOST * 365 * DAY_S)
		return p;
	year = year_of(seconds + rule->winter);
	/* The last change before, the first one after. Summer that begins when one ends goes on. */
	for (int64_t y = year - 2; y <= year + 2; y++) {
		for (int is_summer = 0; is_summer < 2; is_summer++) {
			int64_t at =
			    is_summer ? day_in(&rule->begin, y) - rule->winter : day_in(&rule->end, y) - rule->summer;

			if (at <= seconds && (at > p.from || (at == p.from && is_summer))) {
				p.from = at;
				p.is_summer = is_summer;
			} else if (at > seconds && at < p.to) {
				p.to = at;
			}
		}
	}
	p.offset = p.is_summer ? rule->summer : rule->winter;
	return p;
}
