/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/zone.h"
#include "wire/zone_rule.h"

struct bench {
	struct arena arena;
	struct error err;
};

static void bench_open(struct bench *b)
{
	*b = (struct bench){ .err = { .code = ERROR_NONE } };
	arena_init(&b->arena, MIB(1));
}

static const struct zone *loaded(struct bench *b, const char *name)
{
	const struct zone *z = zone_load(span_of(name), &b->arena, &b->err);

	if (!z)
		fail_msg("%s", b->err.message);
	return z;
}

static void offsets_are_those_of_the_database(void **state)
{
	static const struct {
		const char *zone;
		int64_t at, offset;
	} rows[] = {
		{ "UTC", 0, 0 },
		{ "", 1800000000, 0 },
		{ "Europe/Paris", -3000000000, 561 }, /* local mean time */
		{ "Europe/Paris", 1743296399, 3600 }, /* the second before summer */
		{ "Europe/Paris", 1743296400, 7200 },
		{ "Europe/Paris", 4087000000, 7200 }, /* by the rule */
		{ "America/New_York", 1800000000, -18000 },
		{ "America/New_York", 4087000000, -14400 },
		{ "Asia/Kolkata", 4087000000, 19800 },
		{ "Australia/Lord_Howe", 1800000000, 39600 },
		{ "Australia/Lord_Howe", 4086000000, 37800 },
		{ "Etc/GMT+5", 0, -18000 },
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone_period p = zone_at(loaded(&b, rows[i].zone), rows[i].at);

		if (p.offset != rows[i].offset)
			fail_msg("%s at %lld: %lld", rows[i].zone, (long long)rows[i].at, (long long)p.offset);
		assert_true(p.from <= rows[i].at && rows[i].at < p.to);
	}
	arena_done(&b.arena);
}

static void a_period_ends_where_the_next_begins(void **state)
{
	static const char *const zones[] = { "Europe/Paris", "America/Sao_Paulo", "Africa/Casablanca",
					     "Europe/Dublin" };
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		const struct zone *z = loaded(&b, zones[i]);
		struct zone_period p = zone_at(z, INT64_MIN / 2);

		for (int k = 0; p.to != INT64_MAX && k < 400; k++) {
			struct zone_period next = zone_at(z, p.to);

			assert_int_equal(next.from, p.to);
			assert_true(next.to > next.from);
			p = next;
		}
	}
	arena_done(&b.arena);
}

/* What Go's time.Date() says. */
static void clocks_that_skip_or_repeat_give_one_of_two_moments(void **state)
{
	const struct zone *z;
	struct bench b;

	(void)state;
	bench_open(&b);
	z = loaded(&b, "America/New_York");
	assert_int_equal(zone_moment(z, 1741487400), 1741501800); /* 2025-03-09 02:30 is skipped: 01:30 EST */
	assert_int_equal(zone_moment(z, 1762047000), 1762061400); /* 2025-11-02 01:30 comes twice: in summer time */
	assert_int_equal(zone_moment(z, 1750000000), 1750014400);
	assert_int_equal(zone_moment(loaded(&b, "UTC"), 1750000000), 1750000000);
	arena_done(&b.arena);
}

static void names_do_not_lead_out_of_the_database(void **state)
{
	static const char *const bad[] = {
		"..",
		"../passwd",
		"Europe/../../passwd",
		"/etc/passwd",
		"Europe/",
		"Europe//Paris",
		"-x",
		"./UTC1",
		"Europe/.",
		"a b",
		"Europe/Abcdefghijklmno",
		"Nowhere",
		"Europe",
		"Europe/Paris\n",
		"zone.tab" /* there, but no zone */,
		"Local",
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		b.err = (struct error){ 0 };
		if (zone_load(span_of(bad[i]), &b.arena, &b.err))
			fail_msg("'%s' is taken", bad[i]);
		assert_true(b.err.code == ERROR_NOT_FOUND || b.err.code == ERROR_INVALID);
	}
	assert_null(zone_load(span_from("UTC\0x", 5), &b.arena, &b.err));
	arena_done(&b.arena);
}

static void rules_are_read_as_posix_writes_them(void **state)
{
	static const struct {
		const char *text;
		int64_t winter, summer;
	} fine[] = {
		{ "UTC0", 0, -1 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200 },
		{ "<+0330>-3:30", 12600, -1 },
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600 },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", 3600, 0 },
		{ "EST5EDT", -18000, -14400 },
		{ "XXX3EDT4,0/0,J365/23", -10800, -14400 },
		{ "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37800, 39600 },
	};
	static const char *const bad[] = { "",
					   "C1",
					   "CET",
					   "CET-1x",
					   "CET-168",
					   "CET-1CEST,",
					   "CET-1CEST,M3.5.0",
					   "CET-1CEST,M13.5.0,M10.5.0",
					   "<CET-1",
					   "CET-1CEST,J0,J1",
					   "CET-1CEST,366,1",
					   "CET-1CEST,M3.5.0,M10.5.0/3 ",
					   "CET-1:60",
					   "CET-1CEST,M3.6.0,M10.5.0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		struct zone_rule rule = { 0 };
		struct error err = { 0 };

		if (!zone_rule_parse(span_of(fine[i].text), &rule, &err))
			fail_msg("%s", err.message);
		assert_int_equal(rule.winter, fine[i].winter);
		if (rule.has_summer)
			assert_int_equal(rule.summer, fine[i].summer);
		else
			assert_int_equal(fine[i].summer, -1);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct zone_rule rule;
		struct error err = { 0 };

		if (zone_rule_parse(span_of(bad[i]), &rule, &err))
			fail_msg("'%s' is taken", bad[i]);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void summer_may_last_all_the_year(void **state)
{
	struct zone_rule rule;
	struct error err = { 0 };

	(void)state;
	assert_true(zone_rule_parse(SPAN("XXX3EDT4,0/0,J365/23"), &rule, &err));
	for (int64_t at = 1700000000; at < 1800000000; at += 1800)
		assert_int_equal(zone_rule_at(&rule, at).offset, -14400);
}

/* Version 2 with one type, no time at which it changes, and a footer. */
#define COUNTS(moments, types, letters) "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" moments "\0\0\0" types "\0\0\0" letters
#define HEADER(version, counts)         "TZif" version "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" counts
#define TYPE_UTC                                                                                                       \
	"\0\0\0\0\0\0"                                                                                                 \
	"UTC\0"

static void damaged_files_are_refused(void **state)
{
	static const struct {
		struct span file;
		bool is_fine;
	} rows[] = {
		{ SPAN_INIT(HEADER("2", COUNTS("\0", "\1", "\4")) TYPE_UTC HEADER("2", COUNTS("\0", "\1", "\4"))
				TYPE_UTC "\nUTC0\n"),
		  true },
		{ SPAN_INIT(HEADER("2", COUNTS("\0", "\1", "\4")) TYPE_UTC HEADER("2", COUNTS("\0", "\1", "\4"))
				TYPE_UTC "\n\n"),
		  true },
		{ SPAN_INIT(HEADER("\0", COUNTS("\0", "\1", "\4")) TYPE_UTC), true }, /* version 1 has no footer */
		{ SPAN_INIT(HEADER("2", COUNTS("\0", "\1", "\4")) TYPE_UTC HEADER("2", COUNTS("\0", "\1", "\4"))
				TYPE_UTC),
		  false },
		{ SPAN_INIT(HEADER("2", COUNTS("\0", "\1", "\4")) TYPE_UTC HEADER("2", COUNTS("\0", "\1", "\4"))
				TYPE_UTC "\nUTC0"),
		  false },
		{ SPAN_INIT(HEADER("2", COUNTS("\0", "\1", "\4")) TYPE_UTC HEADER("2", COUNTS("\0", "\1", "\4"))
				TYPE_UTC "\nUTC\n"),
		  false },
		{ SPAN_INIT(HEADER("2", COUNTS("\0", "\1", "\4")) TYPE_UTC), false },
		{ SPAN_INIT(HEADER("\0", COUNTS("\0", "\0", "\0"))), false }, /* no type */
		{ SPAN_INIT(HEADER("\0", COUNTS("\1", "\1", "\4")) "\0\0\0\0\1" TYPE_UTC),
		  false }, /* a type that is not there */
		{ SPAN_INIT(HEADER("\0", COUNTS("\2", "\1", "\4")) "\0\0\0\1\0\0\0\1\0\0" TYPE_UTC),
		  false }, /* no later */
		{ SPAN_INIT(HEADER("\0", COUNTS("\0", "\1", "\4")) "\x7f\0\0\0\0\0"
								   "UTC\0"),
		  false }, /* far off */
		{ SPAN_INIT("TZif"), false },
		{ SPAN_INIT(""), false },
		{ SPAN_INIT("#!/bin/sh\nexit 0\n# and so on until it is as long as a header is\n"), false },
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		b.err = (struct error){ 0 };
		if ((zone_parse(rows[i].file, &b.arena, &b.err) != NULL) != rows[i].is_fine)
			fail_msg("row %zu: %s", i, rows[i].is_fine ? b.err.message : "taken");
		assert_int_equal(b.err.code, rows[i].is_fine ? ERROR_NONE : ERROR_INVALID);
	}
	arena_done(&b.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets_are_those_of_the_database),
		cmocka_unit_test(a_period_ends_where_the_next_begins),
		cmocka_unit_test(clocks_that_skip_or_repeat_give_one_of_two_moments),
		cmocka_unit_test(names_do_not_lead_out_of_the_database),
		cmocka_unit_test(rules_are_read_as_posix_writes_them),
		cmocka_unit_test(summer_may_last_all_the_year),
		cmocka_unit_test(damaged_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
