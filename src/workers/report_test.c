/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/workers_private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/log.h"

static bool read_line(const char *line, struct worker_report *ret, struct arena *arena)
{
	struct error err = { 0 };

	if (worker_report_read(span_of(line), ret, arena, &err))
		return true;
	assert_int_not_equal(err.code, ERROR_NONE);
	return false;
}

static void lines_of_workers_and_nurseries_are_read(void **state)
{
	struct worker_report r;
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(
	    read_line("{\"state\":\"ready\",\"kind\":\"asgi\",\"slots\":64,\"text\":\"ASGI caf\\u00e9\",\"more\":[1]}",
		      &r, &arena));
	assert_string_equal(r.state, "ready");
	assert_string_equal(r.kind, "asgi");
	assert_string_equal(r.text, "ASGI caf\xc3\xa9");
	assert_int_equal(r.slots, 64);
	assert_int_equal(r.pid, -1);
	assert_true(read_line("{\"ended\":1234,\"status\":9}", &r, &arena));
	assert_int_equal(r.ended, 1234);
	assert_int_equal(r.status, 9);
	assert_true(read_line("{\"pid\":1234}", &r, &arena));
	assert_int_equal(r.pid, 1234);
	arena_done(&arena);
}

static void other_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"ready",
		"[]",
		"{\"pid\":-1}",
		"{\"pid\":99999999999}",
		"{\"slots\":1.5}",
		"{\"state\":\"ready\"",
		"{}x",
	};
	struct worker_report r;
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (read_line(lines[i], &r, &arena))
			fail_msg("accepted: %s", lines[i]);
	arena_done(&arena);
}

static void long_words_are_cut_between_characters(void **state)
{
	struct worker_report r;
	struct arena arena;
	struct buffer line;

	(void)state;
	arena_init(&arena, MIB(1));
	buffer_init(&line, KIB(4));
	buffer_append(&line, SPAN("{\"text\":\"x"));
	for (int i = 0; i < 200; i++)
		buffer_append(&line, SPAN("\xc3\xa9"));
	buffer_append(&line, SPAN("\"}"));
	buffer_byte(&line, 0);
	assert_true(read_line(line.ptr, &r, &arena));
	assert_true(strlen(r.text) >= sizeof(r.text) - 3);
	assert_true(span_is_utf8(span_of(r.text)));
	buffer_done(&line);
	arena_done(&arena);
}

static void a_failure_tells_its_line_and_the_traceback_only_when_exposed(void **state)
{
	struct worker_report r;
	struct error err = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(read_line("{\"state\":\"failed\",\"error\":\"ImportError: x\",\"traceback\":\"File \\\"a.py\\\"\"}",
			      &r, &arena));
	worker_report_failure(&r, false, &err);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_string_equal(err.message, "ImportError: x");
	worker_report_failure(&r, true, &err);
	assert_string_equal(err.message, "ImportError: x\nFile \"a.py\"");
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_workers_and_nurseries_are_read),
		cmocka_unit_test(other_lines_are_refused),
		cmocka_unit_test(long_words_are_cut_between_characters),
		cmocka_unit_test(a_failure_tells_its_line_and_the_traceback_only_when_exposed),
	};

	log_setup(LOG_ERROR, LOG_AS_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
