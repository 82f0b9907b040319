/* SPDX-License-Identifier: Apache-2.0 */
/* schedule_test - what robfig/cron 3.0.1 answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/schedule.h"

#define FROM INT64_C(1800000000) /* 2027-01-15T08:00:00Z */

/* The fault, or the next time after FROM in UTC; -1: none. */
static const struct {
	const char *text, *fault;
	int64_t next;
} rows[] = {
	{ "", "empty spec string", 0 },
	{ "* * * *", "expected exactly 5 fields, found 4: [* * * *]", 0 },
	{ "* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]", 0 },
	{ "a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax", 0 },
	{ "60 * * * *", "end of range (60) above maximum (59): 60", 0 },
	{ "* 24 * * *", "end of range (24) above maximum (23): 24", 0 },
	{ "* * 0 * *", "beginning of range (0) below minimum (1): 0", 0 },
	{ "* * 32 * *", "end of range (32) above maximum (31): 32", 0 },
	{ "* * * 0 *", "beginning of range (0) below minimum (1): 0", 0 },
	{ "* * * 13 *", "end of range (13) above maximum (12): 13", 0 },
	{ "* * * * 7", "end of range (7) above maximum (6): 7", 0 },
	{ "5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1", 0 },
	{ "*/0 * * * *", "step of range should be a positive number: */0", 0 },
	{ "1/2/3 * * * *", "too many slashes: 1/2/3", 0 },
	{ "1-2-3 * * * *", "too many hyphens: 1-2-3", 0 },
	{ "-1 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax", 0 },
	{ "1/-1 * * * *", "negative number (-1) not allowed: -1", 0 },
	{ "*-5 * * * *", NULL, 1800000060 },
	{ "*-5-7/3 * * * *", NULL, 1800000180 },
	{ "+5 * * * *", NULL, 1800000300 },
	{ "+-5 * * * *", "failed to parse int from +: strconv.Atoi: parsing \"+\": invalid syntax", 0 },
	{ "99999999999999999999 * * * *",
	  "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of "
	  "range",
	  0 },
	{ "-99999999999999999999 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax", 0 },
	{ "1- * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax", 0 },
	{ "*/99999999999999999999 * * * *",
	  "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of "
	  "range",
	  0 },
	{ ", * * * *", NULL, -1 },
	{ "@reboot", "unrecognized descriptor: @reboot", 0 },
	{ "@every", "unrecognized descriptor: @every", 0 },
	{ "@every ", "failed to parse duration @every : time: invalid duration \"\"", 0 },
	{ "@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\"", 0 },
	{ "@every 1x", "failed to parse duration @every 1x: time: unknown unit \"x\" in duration \"1x\"", 0 },
	{ "@every h", "failed to parse duration @every h: time: invalid duration \"h\"", 0 },
	{ "@every 1h30m", NULL, 1800005400 },
	{ "@every 500ms", NULL, 1800000001 },
	{ "@every -5s", NULL, 1800000001 },
	{ "@every 1.5s", NULL, 1800000001 },
	{ "@daily ", "unrecognized descriptor: @daily ", 0 },
	{ " @daily", "expected exactly 5 fields, found 1: [@daily]", 0 },
	{ "* * * JAN SUN", NULL, 1800144000 },
	{ "* * * jan-mar mon-fri/2", NULL, 1800000060 },
	{ "* * * foo *", "failed to parse int from foo: strconv.Atoi: parsing \"foo\": invalid syntax", 0 },
	{ "?/2 ? * ? ?", NULL, 1800000120 },
	{ "1,,2 * * * *", NULL, 1800000060 },
	{ "  5\t4  * * *  ", NULL, 1800072300 },
	{ "1--2 * * * *", "too many hyphens: 1--2", 0 },
	{ "*/+5 * * * *", NULL, 1800000300 },
	{ "*/-5 * * * *", "negative number (-5) not allowed: -5", 0 },
	{ "1/ * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax", 0 },
	{ "/5 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax", 0 },
	{ "* * 31 2 *", NULL, -1 },
	{ "0 0 29 2 *", NULL, 1835395200 },
	{ "5/10 * * * *", NULL, 1800000300 },
	{ "5-/10 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax", 0 },
	{ "@every 99999999999h",
	  "failed to parse duration @every 99999999999h: time: invalid duration \"99999999999h\"", 0 },
	{ "@every 1h 5m", "failed to parse duration @every 1h 5m: time: unknown unit \"h \" in duration \"1h 5m\"", 0 },
	{ "@every 1.h", NULL, 1800003600 },
	{ "@every .h", "failed to parse duration @every .h: time: invalid duration \".h\"", 0 },
	{ "@every 1h+5m", "failed to parse duration @every 1h+5m: time: unknown unit \"h+\" in duration \"1h+5m\"", 0 },
	{ "@every +1h", NULL, 1800003600 },
};

static const struct zone *zone_of(const char *name, struct arena *arena)
{
	struct error err = { 0 };
	const struct zone *z = zone_load(span_of(name), arena, &err);

	if (!z)
		fail_msg("%s", err.message);
	return z;
}

static void schedules_are_read_as_cron_reads_them(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, KIB(64));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct schedule s;
		int64_t next = -1;

		if (!schedule_parse(span_of(rows[i].text), &s, &err)) {
			assert_non_null(rows[i].fault);
			assert_string_equal(err.message, rows[i].fault);
			continue;
		}
		if (rows[i].fault)
			fail_msg("'%s' is taken", rows[i].text);
		if (!schedule_next(&s, zone_of("UTC", &arena), FROM, &next))
			next = -1;
		if (next != rows[i].next)
			fail_msg("'%s': %lld, not %lld", rows[i].text, (long long)next, (long long)rows[i].next);
	}
	arena_done(&arena);
}

static void summer_time_is_kept_as_cron_keeps_it(void **state)
{
	static const struct {
		const char *zone, *text;
		int64_t times[5]; /* each is the next after the one before */
	} steps[] = {
		{ "Europe/Paris", "10 1 * * *", { 1414265284, 1414278600, 1414368600, 1414455000, 1414541400 } },
		/* Twice in the night in which clocks go back. */
		{ "America/New_York", "2 1 * * *", { 1099147664, 1099198920, 1099202520, 1099288920, 1099375320 } },
		/* By half an hour. */
		{ "Australia/Lord_Howe", "37 1 * * *", { 1917399231, 1917443220, 1917445020, 1917527820, 1917614220 } },
		{ "Australia/Lord_Howe", "24 1 * * *", { 1443839822, 1443884040, 1443968640, 1444055040, 1444141440 } },
		/* Midnight is skipped. */
		{ "America/Sao_Paulo", "14 2 * * *", { 1541062254, 1541135640, 1541222040, 1541304840, 1541391240 } },
		{ "Europe/Dublin", "32 0 * * *", { 1477706671, 1477783920, 1477873920, 1477960320, 1478046720 } },
		/* By the rule for years to come. */
		{ "America/New_York", "53 0 * * *", { 2372858993, 2372910780, 2372993580, 2373079980, 2373166380 } },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct zone *z = zone_of(steps[i].zone, &arena);
		struct error err = { 0 };
		struct schedule s;

		assert_true(schedule_parse(span_of(steps[i].text), &s, &err));
		for (size_t k = 0; k + 1 < ARRAY_LEN(steps[i].times); k++) {
			int64_t next = 0;

			assert_true(schedule_next(&s, z, steps[i].times[k], &next));
			if (next != steps[i].times[k + 1])
				fail_msg("%s %s: %lld", steps[i].zone, steps[i].text, (long long)next);
		}
	}
	arena_done(&arena);
}

/* In Apia the 30th of December 2011 was left out: cron itself never answers. */
static void a_day_that_is_left_out_does_not_hold_the_search_up(void **state)
{
	struct error err = { 0 };
	struct schedule s;
	struct arena arena;
	int64_t next;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(schedule_parse(SPAN("27/15 */11,* 1-27/20 * */1"), &s, &err));
	assert_false(schedule_next(&s, zone_of("Pacific/Apia", &arena), 1325178547, &next));
	arena_done(&arena);
}

static void the_last_time_is_the_one_before_now(void **state)
{
	static const char *const texts[] = { "*/7 * * * *", "0 8 * * 1-5", "@hourly", "59 23 31 12 *", "* * 29 2 *" };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct zone *z = zone_of("Europe/Berlin", &arena);
		struct error err = { 0 };
		struct schedule s;
		int64_t last, next;

		assert_true(schedule_parse(span_of(texts[i]), &s, &err));
		assert_true(schedule_last(&s, z, FROM - 5 * 365 * 86400, FROM, &last));
		assert_true(last <= FROM);
		assert_true(schedule_next(&s, z, last - 1, &next));
		assert_int_equal(next, last);
		assert_true(schedule_next(&s, z, last, &next));
		assert_true(next > FROM);
		assert_false(schedule_last(&s, z, last, FROM, &next));
	}
	arena_done(&arena);
}

static void what_happens_every_so_often_is_counted_from_the_start(void **state)
{
	struct error err = { 0 };
	struct schedule s;
	int64_t last;

	(void)state;
	assert_true(schedule_parse(SPAN("@every 90s"), &s, &err));
	assert_true(schedule_last(&s, NULL, FROM, FROM + 100, &last));
	assert_int_equal(last, FROM + 90);
	assert_true(schedule_last(&s, NULL, FROM, FROM + 900, &last));
	assert_int_equal(last, FROM + 900);
	assert_false(schedule_last(&s, NULL, FROM, FROM + 89, &last));
}

static void a_zone_may_be_named_in_front(void **state)
{
	struct error err = { 0 };
	struct schedule s;

	(void)state;
	assert_true(schedule_parse(SPAN("CRON_TZ=Asia/Tokyo  5 4 * * *"), &s, &err));
	assert_true(span_equal(s.zone, SPAN("Asia/Tokyo")));
	assert_int_equal(s.minutes, 1 << 5);
	assert_false(schedule_parse(SPAN("TZ=Asia/Tokyo"), &s, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedules_are_read_as_cron_reads_them),
		cmocka_unit_test(summer_time_is_kept_as_cron_keeps_it),
		cmocka_unit_test(a_day_that_is_left_out_does_not_hold_the_search_up),
		cmocka_unit_test(the_last_time_is_the_one_before_now),
		cmocka_unit_test(what_happens_every_so_often_is_counted_from_the_start),
		cmocka_unit_test(a_zone_may_be_named_in_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
