/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/schedule.h"

#include "base/calendar.h"
#include "base/clock.h"
#include "base/number.h"
#include "base/units.h"

#define STAR        (UINT64_C(1) << 63)
#define FIELD_COUNT 5
#define YEARS_MOST  5     /* that a time is looked for */
#define STEPS_MOST  10000 /* day by day it takes 1,900 */

/* ---- reading ---- */

struct field {
	int64_t least, most;
	const char *const *names; /* from `least` on; NULL-terminated, or NULL */
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
					   "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct field fields[FIELD_COUNT] = {
	{ 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, month_names }, { 0, 6, day_names }
};

static bool number_read(struct span s, const struct field *f, int64_t *ret, struct error *err)
{
	struct span digits = s.len > 1 && s.ptr[0] == '+' && s.ptr[1] != '-' ? span_skip(s, 1) : s;
	bool are_digits = digits.len > 0;

	for (size_t i = 0; f && f->names && f->names[i]; i++) {
		if (span_equal_ignore_case(s, span_of(f->names[i]))) {
			*ret = f->least + (int64_t)i;
			return true;
		}
	}
	if (number_parse_int64(digits, ret)) {
		if (*ret >= 0)
			return true;
		return error_set(err, ERROR_INVALID, "negative number (%lld) not allowed: " SPAN_FMT, (long long)*ret,
				 SPAN_ARG(s));
	}
	for (size_t i = 0; i < digits.len; i++)
		are_digits &=
		    (digits.ptr[i] >= '0' && digits.ptr[i] <= '9') || (!i && digits.len > 1 && s.ptr[0] == '-');
	return error_set(err, ERROR_INVALID,
			 "failed to parse int from " SPAN_FMT ": strconv.Atoi: parsing \"" SPAN_FMT "\": %s",
			 SPAN_ARG(s), SPAN_ARG(s), are_digits ? "value out of range" : "invalid syntax");
}

/* The part before the step: "*", "5", "1-5". */
static bool bounds_read(struct span s, struct span whole, const struct field *f, int64_t *start, int64_t *end,
			bool *ret_is_star, struct error *err)
{
	struct span high = s, low = span_cut(&high, '-');
	bool has_high = low.len < s.len;

	*ret_is_star = span_equal(low, SPAN("*")) || span_equal(low, SPAN("?"));
	*start = f->least;
	*end = f->most;
	if (*ret_is_star) /* what stands behind a hyphen then is not looked at */
		return true;
	if (!number_read(low, f, start, err))
		return false;
	if (has_high && span_index(high, '-') < high.len)
		return error_set(err, ERROR_INVALID, "too many hyphens: " SPAN_FMT, SPAN_ARG(whole));
	*end = *start;
	return !has_high || number_read(high, f, end, err);
}

static bool range_read(struct span s, const struct field *f, uint64_t *bits, struct error *err)
{
	struct span rest = s, range = span_cut(&rest, '/');
	bool has_step = range.len < s.len, is_star;
	int64_t start, end, step = 1;

	if (!bounds_read(range, s, f, &start, &end, &is_star, err))
		return false;
	if (has_step && span_index(rest, '/') < rest.len)
		return error_set(err, ERROR_INVALID, "too many slashes: " SPAN_FMT, SPAN_ARG(s));
	if (has_step && !number_read(rest, NULL, &step, err))
		return false;
	if (has_step && span_index(range, '-') == range.len)
		end = f->most;
	if (start < f->least)
		return error_set(err, ERROR_INVALID, "beginning of range (%lld) below minimum (%lld): " SPAN_FMT,
				 (long long)start, (long long)f->least, SPAN_ARG(s));
	if (end > f->most)
		return error_set(err, ERROR_INVALID, "end of range (%lld) above maximum (%lld): " SPAN_FMT,
				 (long long)end, (long long)f->most, SPAN_ARG(s));
	if (start > end)
		return error_set(err, ERROR_INVALID, "beginning of range (%lld) beyond end of range (%lld): " SPAN_FMT,
				 (long long)start, (long long)end, SPAN_ARG(s));
	if (step == 0)
		return error_set(err, ERROR_INVALID, "step of range should be a positive number: " SPAN_FMT,
				 SPAN_ARG(s));
	for (int64_t i = start; i <= end; i += MIN(step, f->most + 1))
		*bits |= UINT64_C(1) << i;
	if (is_star && step == 1)
		*bits |= STAR;
	return true;
}

static bool field_read(struct span s, const struct field *f, uint64_t *bits, struct error *err)
{
	while (s.len) {
		struct span part = span_cut(&s, ',');

		if (part.len && !range_read(part, f, bits, err))
			return false;
	}
	return true;
}

static bool name_read(struct span s, struct schedule *ret, struct error *err)
{
	static const struct {
		const char *name;
		uint64_t hours, days, months, weekdays;
	} names[] = {
		{ "@yearly", 1, 2, 2, STAR | 0x7f },
		{ "@annually", 1, 2, 2, STAR | 0x7f },
		{ "@monthly", 1, 2, STAR | 0x1ffe, STAR | 0x7f },
		{ "@weekly", 1, STAR | 0xfffffffe, STAR | 0x1ffe, 1 },
		{ "@daily", 1, STAR | 0xfffffffe, STAR | 0x1ffe, STAR | 0x7f },
		{ "@midnight", 1, STAR | 0xfffffffe, STAR | 0x1ffe, STAR | 0x7f },
		{ "@hourly", STAR | 0xffffff, STAR | 0xfffffffe, STAR | 0x1ffe, STAR | 0x7f },
	};
	struct span every = SPAN("@every ");
	int64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (span_equal(s, span_of(names[i].name))) {
			ret->minutes = 1;
			ret->hours = names[i].hours;
			ret->days = names[i].days;
			ret->months = names[i].months;
			ret->weekdays = names[i].weekdays;
			return true;
		}
	}
	if (!span_starts(s, every))
		return error_set(err, ERROR_INVALID, "unrecognized descriptor: " SPAN_FMT, SPAN_ARG(s));
	if (!go_duration_parse(span_skip(s, every.len), &ns, err))
		return error_wrap(err, "failed to parse duration " SPAN_FMT, SPAN_ARG(s));
	ret->every = MAX(ns / NS_PER_S, (int64_t)1);
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span word_cut(struct span *s)
{
	struct span word;
	size_t n = 0;

	while (s->len && is_space(s->ptr[0]))
		*s = span_skip(*s, 1);
	while (n < s->len && !is_space(s->ptr[n]))
		n++;
	word = span_first(*s, n);
	*s = span_skip(*s, n);
	return word;
}

static bool fields_refuse(struct span s, size_t count, struct error *err)
{
	struct span word;
	struct buffer b;
	bool is_first = true;

	buffer_init(&b, KIB(1));
	for (; (word = word_cut(&s)).len && !b.overflow; is_first = false) {
		if (!is_first)
			buffer_byte(&b, ' ');
		buffer_append(&b, word);
	}
	error_set(err, ERROR_INVALID, "expected exactly %d fields, found %zu: [" SPAN_FMT "]", FIELD_COUNT, count,
		  SPAN_ARG(buffer_span(&b)));
	buffer_done(&b);
	return false;
}

static bool fields_read(struct span s, struct schedule *ret, struct error *err)
{
	uint64_t *const bits[FIELD_COUNT] = { &ret->minutes, &ret->hours, &ret->days, &ret->months, &ret->weekdays };
	struct span rest = s, words[FIELD_COUNT], word;
	size_t count = 0;

	for (; (word = word_cut(&rest)).len; count++)
		if (count < FIELD_COUNT)
			words[count] = word;
	if (count != FIELD_COUNT)
		return fields_refuse(s, count, err);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (!field_read(words[i], &fields[i], bits[i], err))
			return false;
	return true;
}

bool schedule_parse(struct span text, struct schedule *ret, struct error *err)
{
	struct schedule s = { .every = 0 };
	struct span rest = text;

	if (!text.len)
		return error_set(err, ERROR_INVALID, "empty spec string");
	if (span_starts(text, SPAN("TZ=")) || span_starts(text, SPAN("CRON_TZ="))) {
		s.zone = span_cut(&rest, ' ');
		(void)span_cut(&s.zone, '=');
		rest = span_trim(rest);
	}
	if (span_starts(rest, SPAN("@")) ? !name_read(rest, &s, err) : !fields_read(rest, &s, err))
		return false;
	*ret = s;
	return true;
}

/* ---- times ---- */

/* A moment, and what clocks show then. */
struct moment {
	const struct zone *zone;
	struct zone_period period;
	int64_t seconds, year;
	uint32_t steps; /* how often it was moved */
	unsigned month, day, weekday, hour, minute, second;
};

static int64_t floor_to(int64_t n, int64_t unit)
{
	return n - ((n % unit) + unit) % unit;
}

static void moment_set(struct moment *m, int64_t seconds)
{
	int64_t local, days;

	m->steps++;
	m->seconds = seconds;
	if (seconds < m->period.from || seconds >= m->period.to)
		m->period = zone_at(m->zone, seconds);
	local = seconds + m->period.offset;
	days = floor_to(local, 86400) / 86400;
	local -= days * 86400;
	calendar_date(days, &m->year, &m->month, &m->day);
	m->weekday = calendar_weekday(days);
	m->hour = (unsigned)(local / 3600);
	m->minute = (unsigned)(local / 60 % 60);
	m->second = (unsigned)(local % 60);
}

/* To what clocks show as this, months and days past their ends carried over. */
static void moment_show(struct moment *m, int64_t year, unsigned month, unsigned day, int64_t of_day)
{
	if (month > 12) {
		month -= 12;
		year++;
	}
	moment_set(m, zone_moment(m->zone, calendar_days(year, month, day) * 86400 + of_day));
}

static int64_t of_day(const struct moment *m)
{
	return m->hour * 3600 + m->minute * 60 + m->second;
}

static bool day_is_right(const struct schedule *s, const struct moment *m)
{
	bool by_month = s->days >> m->day & 1, by_week = s->weekdays >> m->weekday & 1;

	return (s->days | s->weekdays) & STAR ? by_month && by_week : by_month || by_week;
}

/* Each of these goes on until its part is right. False: a larger part has changed, and is to be looked at anew. `is_cut`: what is smaller
 * than the part that was moved last is zero. */

static bool month_seek(const struct schedule *s, struct moment *m, bool *is_cut)
{
	while (!(s->months >> m->month & 1) && m->steps < STEPS_MOST) {
		if (!*is_cut)
			moment_show(m, m->year, m->month, 1, 0);
		*is_cut = true;
		moment_show(m, m->year, m->month + 1, m->day, of_day(m));
		if (m->month == 1)
			return false;
	}
	return true;
}

static bool day_seek(const struct schedule *s, struct moment *m, bool *is_cut)
{
	while (!day_is_right(s, m) && m->steps < STEPS_MOST) {
		if (!*is_cut)
			moment_show(m, m->year, m->month, m->day, 0);
		*is_cut = true;
		moment_show(m, m->year, m->month, m->day + 1, of_day(m));
		/* Summer time begins or ends at midnight. */
		if (m->hour > 12)
			moment_set(m, m->seconds + (int64_t)(24 - m->hour) * 3600);
		else if (m->hour)
			moment_set(m, m->seconds - (int64_t)m->hour * 3600);
		if (m->day == 1)
			return false;
	}
	return true;
}

static bool hour_seek(const struct schedule *s, struct moment *m, bool *is_cut)
{
	while (!(s->hours >> m->hour & 1) && m->steps < STEPS_MOST) {
		if (!*is_cut)
			moment_show(m, m->year, m->month, m->day, (int64_t)m->hour * 3600);
		*is_cut = true;
		moment_set(m, m->seconds + 3600);
		if (m->hour == 0)
			return false;
	}
	return true;
}

static bool minute_seek(const struct schedule *s, struct moment *m, bool *is_cut)
{
	while (!(s->minutes >> m->minute & 1) && m->steps < STEPS_MOST) {
		if (!*is_cut)
			moment_set(m, floor_to(m->seconds, 60));
		*is_cut = true;
		moment_set(m, m->seconds + 60);
		if (m->minute == 0)
			return false;
	}
	return true;
}

static bool second_seek(struct moment *m, bool *is_cut)
{
	if (m->second == 0)
		return true;
	*is_cut = true;
	moment_set(m, m->seconds + 60 - m->second);
	return false;
}

bool schedule_next(const struct schedule *s, const struct zone *z, int64_t seconds, int64_t *ret)
{
	struct moment m = { .zone = z, .period = { 0, 0, 0, false } };
	bool is_cut = false;
	int64_t last_year;

	if (s->every)
		return !__builtin_add_overflow(seconds, s->every, ret);
	if (!s->minutes || !s->hours || !s->months) /* a list of nothing: "," */
		return false;
	moment_set(&m, seconds + 1);
	last_year = m.year + YEARS_MOST;
	while (m.year <= last_year && m.steps < STEPS_MOST) {
		if (!month_seek(s, &m, &is_cut) || !day_seek(s, &m, &is_cut) || !hour_seek(s, &m, &is_cut) ||
		    !minute_seek(s, &m, &is_cut) || !second_seek(&m, &is_cut))
			continue;
		*ret = m.seconds;
		return m.steps < STEPS_MOST;
	}
	return false;
}

bool schedule_last(const struct schedule *s, const struct zone *z, int64_t from, int64_t to, int64_t *ret)
{
	int64_t low = from, high = to, at;

	if (s->every && to - from >= s->every) {
		*ret = to - (to - from) % s->every;
		return true;
	}
	if (!schedule_next(s, z, from, &at) || at > to)
		return false;
	/* The latest moment after which there is still one. */
	while (low < high) {
		int64_t middle = low + (high - low + 1) / 2, found;

		if (schedule_next(s, z, middle, &found) && found <= to) {
			low = middle;
			at = found;
		} else {
			high = middle - 1;
		}
	}
	*ret = at;
	return true;
}
