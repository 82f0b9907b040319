/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kinds/schedule.h"

#include "base/number.h"

struct cron_field {
	int64_t least, most;
	const char *const *names; /* for months and days of the week, from `least` on; NULL-terminated */
};

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
				      "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct cron_field fields[] = {
	{ 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, months }, { 0, 6, days }
};

static const char *told(struct arena *arena, const char *format, struct span s)
{
	struct error err = { 0 };
	struct span text = arena_print(arena, &err, "%s: " SPAN_FMT, format, SPAN_ARG(s));

	return text.ptr ? text.ptr : format;
}

static const char *number_of(struct span s, const struct cron_field *f, struct arena *arena, int64_t *ret)
{
	struct error err = { 0 };
	struct span text;

	for (size_t i = 0; f->names && f->names[i]; i++) {
		if (span_equal_ignore_case(s, span_of(f->names[i]))) {
			*ret = f->least + (int64_t)i;
			return NULL;
		}
	}
	if (number_parse_int64(s, ret)) {
		if (*ret >= 0)
			return NULL;
		text = arena_print(arena, &err, "negative number (%lld) not allowed: " SPAN_FMT, (long long)*ret,
				   SPAN_ARG(s));
	} else {
		text = arena_print(arena, &err,
				   "failed to parse int from " SPAN_FMT ": strconv.Atoi: parsing \"" SPAN_FMT
				   "\": invalid syntax",
				   SPAN_ARG(s), SPAN_ARG(s));
	}
	return text.ptr ? text.ptr : "failed to parse int";
}

/* "*", "5", "1-5", "*" "/15", "1-30/2". */
static const char *range_check(struct span s, const struct cron_field *f, struct arena *arena)
{
	struct span rest = s, range = span_cut(&rest, '/'), high = range, low;
	bool has_step = range.len < s.len, has_high;
	int64_t start = f->least, end = f->most, step = 1;
	struct error err = { 0 };
	struct span text = { 0 };
	const char *wrong;

	low = span_cut(&high, '-');
	has_high = low.len < range.len;
	if (has_step && span_index(rest, '/') < rest.len)
		return told(arena, "too many slashes", s);
	if (span_equal(low, SPAN("*")) || span_equal(low, SPAN("?"))) {
		if (has_high)
			return told(arena, "too many hyphens", s);
	} else {
		wrong = number_of(low, f, arena, &start);
		if (wrong)
			return wrong;
		end = has_step ? f->most : start;
		if (has_high && span_index(high, '-') < high.len)
			return told(arena, "too many hyphens", s);
		wrong = has_high ? number_of(high, f, arena, &end) : NULL;
		if (wrong)
			return wrong;
	}
	wrong = has_step ? number_of(rest, &(const struct cron_field){ 0, 0, NULL }, arena, &step) : NULL;
	if (wrong)
		return wrong;
	if (start < f->least)
		text = arena_print(arena, &err, "beginning of range (%lld) below minimum (%lld): " SPAN_FMT,
				   (long long)start, (long long)f->least, SPAN_ARG(s));
	else if (end > f->most)
		text = arena_print(arena, &err, "end of range (%lld) above maximum (%lld): " SPAN_FMT, (long long)end,
				   (long long)f->most, SPAN_ARG(s));
	else if (start > end)
		text = arena_print(arena, &err, "beginning of range (%lld) beyond end of range (%lld): " SPAN_FMT,
				   (long long)start, (long long)end, SPAN_ARG(s));
	else if (step == 0)
		return told(arena, "step of range should be a positive number", s);
	return text.ptr;
}

static const char *field_check(struct span s, const struct cron_field *f, struct arena *arena)
{
	while (s.len) {
		struct span part = span_cut(&s, ',');
		const char *wrong = part.len ? range_check(part, f, arena) : NULL;

		if (wrong)
			return wrong;
	}
	return NULL;
}

static const char *name_check(struct span s, struct arena *arena)
{
	static const char *const names[] = { "@yearly", "@annually", "@monthly", "@weekly",
					     "@daily",  "@midnight", "@hourly" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (span_equal(s, span_of(names[i])))
			return NULL;
	}
	if (span_starts(s, SPAN("@every ")))
		return NULL;
	return told(arena, "unrecognized descriptor", s);
}

const char *schedule_check(struct span s, struct arena *arena)
{
	struct span rest = s, parts[8], text;
	struct error err = { 0 };
	size_t count = 0;

	if (span_starts(s, SPAN("TZ=")) || span_starts(s, SPAN("CRON_TZ="))) {
		(void)span_cut(&rest, ' ');
		rest = span_trim(rest);
	}
	if (span_starts(rest, SPAN("@")))
		return name_check(rest, arena);
	while (rest.len && count < ARRAY_LEN(parts)) {
		struct span part = span_cut(&rest, ' ');

		if (part.len)
			parts[count++] = part;
	}
	if (count != ARRAY_LEN(fields)) {
		text = arena_print(arena, &err, "expected exactly 5 fields, found %zu: [" SPAN_FMT "]", count,
				   SPAN_ARG(s));
		return text.ptr ? text.ptr : "expected exactly 5 fields";
	}
	for (size_t i = 0; i < count; i++) {
		const char *wrong = field_check(parts[i], &fields[i], arena);

		if (wrong)
			return wrong;
	}
	return NULL;
}
