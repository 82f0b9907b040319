/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/random.h"

static void an_arena_refuses_to_pass_its_limit(void **state)
{
	struct error err = { 0 };
	struct arena a;
	size_t got = 0;

	(void)state;
	arena_init(&a, KIB(256));
	while (arena_alloc(&a, 1000, &err))
		got += 1000;
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_in_range(got, KIB(200), KIB(256));
	err = (struct error){ 0 };
	assert_null(arena_alloc(&a, SIZE_MAX - 8, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	err = (struct error){ 0 };
	assert_null(ARENA_ARRAY(&a, uint64_t, SIZE_MAX / 4, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	arena_done(&a);
}

static void a_cleared_arena_gives_its_memory_again(void **state)
{
	struct error err = { 0 };
	struct arena a;
	char *first;

	(void)state;
	arena_init(&a, MIB(8));
	first = arena_alloc(&a, 100, &err);
	assert_non_null(arena_alloc(&a, MIB(4), &err));
	assert_int_equal((uintptr_t)arena_alloc(&a, MIB(1), &err) % 64, 0);
	arena_clear(&a);
	assert_ptr_equal(arena_alloc(&a, 100, &err), first);
	for (int i = 0; i < 1000; i++)
		memset(arena_alloc(&a, 4096, &err), i & 255, 4096); /* sanitizers see blocks that overlap */
	arena_done(&a);
}

static void a_block_taken_from_an_arena_outlives_it(void **state)
{
	struct arena_chunk *taken[3];
	struct error err = { 0 };
	char *first, *second, *small;
	struct arena a;

	(void)state;
	arena_init(&a, MIB(8));
	first = arena_alloc(&a, KIB(100), &err); /* the arena's first chunk */
	small = arena_alloc(&a, 100, &err);
	second = arena_alloc(&a, MIB(3), &err);
	memset(first, 1, KIB(100));
	memset(second, 2, MIB(3));
	assert_null(arena_take(&a, small));
	assert_null(arena_take(&a, second + 64));
	taken[0] = arena_take(&a, second);
	taken[1] = arena_take(&a, first);
	assert_non_null(taken[0]);
	assert_non_null(taken[1]);
	assert_null(arena_take(&a, first)); /* once */
	memset(arena_alloc(&a, 4096, &err), 3, 4096);
	arena_clear(&a);
	taken[2] = arena_take(&a, arena_alloc(&a, KIB(64), &err));
	arena_done(&a);
	assert_int_equal(first[KIB(100) - 1], 1);
	assert_int_equal(second[MIB(3) - 1], 2);
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		arena_taken_free(taken[i]);

	/* Alone in its arena, which goes on afterwards. */
	arena_init(&a, MIB(8));
	taken[0] = arena_take(&a, arena_alloc(&a, KIB(64), &err));
	memset(arena_alloc(&a, 10, &err), 0, 10);
	arena_done(&a);
	arena_taken_free(taken[0]);
}

static void arena_text_ends_with_a_nul(void **state)
{
	struct error err = { 0 };
	struct arena a;
	struct span s;

	(void)state;
	arena_init(&a, KIB(64));
	s = arena_print(&a, &err, "%d-%s", 7, "seven");
	assert_string_equal(s.ptr, "7-seven");
	assert_int_equal(s.len, 7);
	s = arena_copy(&a, SPAN("abc"), &err);
	assert_string_equal(s.ptr, "abc");
	arena_done(&a);
}

static void a_full_buffer_drops_and_says_so_at_the_end(void **state)
{
	struct error err = { 0 };
	struct buffer b;

	(void)state;
	buffer_init(&b, 10);
	buffer_append(&b, SPAN("12345678"));
	assert_true(buffer_ok(&b, "the answer", &err));
	buffer_append(&b, SPAN("abc"));
	buffer_append(&b, SPAN("d")); /* would fit, but what came before is missing */
	assert_int_equal(b.len, 8);
	assert_false(buffer_ok(&b, "the answer", &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_string_equal(err.message, "the answer is over the limit of 10 bytes");
	buffer_clear(&b);
	buffer_append(&b, SPAN("abcdefghij"));
	assert_true(buffer_ok(&b, "x", &err) && b.len == 10);
	buffer_drop(&b, 4);
	assert_memory_equal(b.ptr, "efghij", 6);
	buffer_done(&b);
}

static void an_error_keeps_where_and_why(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_false(error_set(&err, ERROR_INVALID, "line %d: %s", 3, "bad"));
	assert_false(error_wrap(&err, "model %s", "income"));
	assert_string_equal(err.message, "model income: line 3: bad");
	assert_int_equal(error_http(err.code), 400);
	assert_int_equal(error_grpc(err.code), 3);
	(void)error_errno(&err, ENOENT, "%s", "/no/such");
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.message, "/no/such: No such file or directory");
}

static void a_cut_message_ends_at_a_character(void **state)
{
	struct error err = { 0 };
	char text[1024];

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		(void)error_set(&err, ERROR_INVALID, "%s", text);
		assert_true(span_is_utf8(error_span(&err)));
	}
}

static void spans_cut_trim_and_compare(void **state)
{
	struct span rest = SPAN("a,b,,c");

	(void)state;
	assert_true(span_equal(span_cut(&rest, ','), SPAN("a")));
	assert_true(span_equal(span_cut(&rest, ','), SPAN("b")));
	assert_int_equal(span_cut(&rest, ',').len, 0);
	assert_true(span_equal(span_cut(&rest, ','), SPAN("c")));
	assert_int_equal(rest.len, 0);
	assert_true(span_equal(span_trim(SPAN(" \t a b\r\n")), SPAN("a b")));
	assert_int_equal(span_order(SPAN("a"), SPAN("b")), -1);
	assert_int_equal(span_order(SPAN("b"), SPAN("ab")), 1);
	assert_int_equal(span_order(SPAN("a"), SPAN("ab")), -1);
	assert_int_equal(span_order(SPAN("\xc3"), SPAN("z")), 1);
	assert_int_equal(span_order(SPAN("ab"), SPAN("ab")), 0);
	assert_int_equal(span_order((struct span){ 0 }, SPAN("")), 0);
	assert_int_equal(span_order((struct span){ 0 }, SPAN("a")), -1);
	assert_true(span_equal_ignore_case(SPAN("Content-TYPE"), SPAN("content-type")));
	assert_false(span_equal_ignore_case(SPAN("[z"), SPAN("{z")));
	assert_true(span_starts(SPAN("/v2/x"), SPAN("/v2")) && span_ends(SPAN("m.onnx"), SPAN(".onnx")));
	assert_false(span_starts(SPAN("/"), SPAN("/v2")));
}

static void utf8_follows_rfc_3629(void **state)
{
	static const struct {
		const char *text;
		bool is_valid;
	} rows[] = {
		{ "", true },
		{ "plain ascii text, long enough for words", true },
		{ "\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true },
		{ "\xc0\x80", false }, /* overlong */
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xed\xa0\x80", false }, /* surrogate */
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf4\x90\x80\x80", false }, /* over U+10FFFF */
		{ "\xf5\x80\x80\x80", false },
		{ "12345678\x80", false },
		{ "\xe2\x82", false }, /* cut */
		{ "\xff", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(span_is_utf8(span_of(rows[i].text)), rows[i].is_valid);
}

static void dates_are_those_of_the_rfcs(void **state)
{
	char text[CLOCK_TEXT_SIZE], http[CLOCK_HTTP_SIZE];

	(void)state;
	assert_int_equal(clock_print_rfc3339(INT64_C(784111777) * NS_PER_S + 5678000, text), 27);
	assert_string_equal(text, "1994-11-06T08:49:37.005678Z");
	assert_int_equal(clock_print_http(INT64_C(784111777) * NS_PER_S, http), 29);
	assert_string_equal(http, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 5.6.7's own example */
}

static void a_time_of_rfc_3339_is_read_and_what_is_none_is_not(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: it is none */
	} rows[] = {
		{ "1994-11-06T08:49:37Z", 784111777 },
		{ "1994-11-06t08:49:37.005678z", 784111777 },
		{ "1994-11-06T10:49:37+02:00", 784111777 },
		{ "1994-11-05T23:19:37.5-09:30", 784111777 },
		{ "2000-02-29T00:00:00Z", 951782400 },
		{ "2100-03-01T00:00:00Z", INT64_C(4107542400) },
		{ "", -1 },
		{ "1994-11-06T08:49:37", -1 },
		{ "1994-11-06 08:49:37Z", -1 },
		{ "1994-13-06T08:49:37Z", -1 },
		{ "1994-11-06T24:49:37Z", -1 },
		{ "1994-11-06T08:49:37+2:00", -1 },
		{ "1994-11-06T08:49:37Zx", -1 },
		{ "199a-11-06T08:49:37Z", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t seconds = -1;

		assert_int_equal(clock_parse_rfc3339(span_of(rows[i].text), &seconds), rows[i].seconds != -1);
		assert_int_equal(seconds, rows[i].seconds);
	}
}

static void uuids_have_version_4_and_differ(void **state)
{
	char a[RANDOM_UUID_SIZE], b[RANDOM_UUID_SIZE];

	(void)state;
	for (int i = 0; i < 100; i++) {
		random_uuid(a);
		random_uuid(b);
		assert_int_equal(strlen(a), 36);
		assert_int_equal(a[14], '4');
		assert_non_null(strchr("89ab", a[19]));
		assert_string_not_equal(a, b);
		assert_true(random_unit() < 1.0);
	}
}

static void a_pointer_taken_is_not_freed(void **state)
{
	char *kept;

	(void)state;
	{
		AUTO_FREE char *text = span_to_text(SPAN("kept"));

		kept = TAKE(text);
		assert_null(text);
	}
	assert_string_equal(kept, "kept");
	free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arena_refuses_to_pass_its_limit),
		cmocka_unit_test(a_cleared_arena_gives_its_memory_again),
		cmocka_unit_test(a_block_taken_from_an_arena_outlives_it),
		cmocka_unit_test(arena_text_ends_with_a_nul),
		cmocka_unit_test(a_full_buffer_drops_and_says_so_at_the_end),
		cmocka_unit_test(an_error_keeps_where_and_why),
		cmocka_unit_test(a_cut_message_ends_at_a_character),
		cmocka_unit_test(spans_cut_trim_and_compare),
		cmocka_unit_test(utf8_follows_rfc_3629),
		cmocka_unit_test(dates_are_those_of_the_rfcs),
		cmocka_unit_test(a_time_of_rfc_3339_is_read_and_what_is_none_is_not),
		cmocka_unit_test(uuids_have_version_4_and_differ),
		cmocka_unit_test(a_pointer_taken_is_not_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
