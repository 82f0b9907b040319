/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/repeats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void a_line_that_was_put_is_found(void **state)
{
	struct repeats *r = repeats_new();
	struct span text = { 0 };

	(void)state;
	assert_false(repeats_find(r, SPAN("1,0\n"), &text));
	repeats_put(r, SPAN("1,0\n"), SPAN("0.25\n"));
	assert_true(repeats_find(r, SPAN("1,0\n"), &text));
	assert_true(span_equal(text, SPAN("0.25\n")));
	assert_false(repeats_find(r, SPAN("1,1\n"), &text));
	assert_false(repeats_find(r, SPAN("1,0"), &text));
	repeats_free(r);
}

static void long_lines_and_texts_are_not_kept(void **state)
{
	char bytes[REPEATS_LINE_MAX + 1] = { 0 };
	struct repeats *r = repeats_new();
	struct span text, longest = { bytes, REPEATS_LINE_MAX }, longer = { bytes, sizeof(bytes) };

	(void)state;
	repeats_put(r, longest, (struct span){ bytes, REPEATS_TEXT_MAX });
	assert_true(repeats_find(r, longest, &text));
	assert_int_equal(text.len, REPEATS_TEXT_MAX);
	repeats_put(r, longer, SPAN("1\n"));
	assert_false(repeats_find(r, longer, &text));
	repeats_put(r, SPAN("x"), (struct span){ bytes, REPEATS_TEXT_MAX + 1 });
	assert_false(repeats_find(r, SPAN("x"), &text));
	repeats_put(r, SPAN(""), SPAN("1\n"));
	assert_false(repeats_find(r, SPAN(""), &text));
	repeats_free(r);
}

static void a_line_is_never_answered_with_anothers_text(void **state)
{
	struct repeats *r = repeats_new();
	unsigned found = 0;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 20000; i++) {
			char line[16];
			struct span key = { line, (size_t)snprintf(line, sizeof(line), "%u", i) }, text;

			if (round == 0) {
				repeats_put(r, key, key);
			} else if (repeats_find(r, key, &text)) {
				assert_true(span_equal(text, key));
				found++;
			}
		}
	}
	assert_true(found > 0);
	repeats_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_that_was_put_is_found),
		cmocka_unit_test(long_lines_and_texts_are_not_kept),
		cmocka_unit_test(a_line_is_never_answered_with_anothers_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
