/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/exposition.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct span hidden[] = { SPAN_INIT("inner") };

/* Adds both texts, the first as that of the process in front, and compares. */
static void expect(const char *own, const char *a, const char *b, bool is_openmetrics, const char *expected)
{
	struct exposition e;
	struct buffer out;

	exposition_init(&e, is_openmetrics);
	buffer_init(&out, MIB(1));
	exposition_add(&e, span_of(own), (struct span){ 0 }, NULL, 0);
	exposition_add(&e, span_of(a), SPAN("0"), hidden, ARRAY_LEN(hidden));
	exposition_add(&e, span_of(b), SPAN("1"), hidden, ARRAY_LEN(hidden));
	exposition_write(&e, &out);
	if (!span_equal(buffer_span(&out), span_of(expected)))
		fail_msg("got:\n%.*s\nexpected:\n%s", (int)out.len, out.ptr, expected);
	buffer_done(&out);
	exposition_done(&e);
}

static void a_family_stands_together_and_is_described_once(void **state)
{
	(void)state;
	expect("# HELP a Own.\n# TYPE a counter\na 1\n# HELP z Last.\n# TYPE z gauge\nz 2\n",
	       "# HELP a Theirs.\n# TYPE a counter\na{x=\"y\"} 3\n",
	       "# HELP a Theirs.\n# TYPE a counter\na{x=\"y\"} 4\n", false,
	       "# HELP a Own.\n# TYPE a counter\na 1\na{x=\"y\",worker=\"0\"} 3\na{x=\"y\",worker=\"1\"} 4\n"
	       "# HELP z Last.\n# TYPE z gauge\nz 2\n");
}

static void the_lines_of_a_histogram_stay_with_it(void **state)
{
	(void)state;
	expect("", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n",
	       "# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_sum 0\nh_count 0\n", false,
	       "# TYPE h histogram\nh_bucket{le=\"1\",worker=\"0\"} 1\nh_bucket{le=\"+Inf\",worker=\"0\"} 2\n"
	       "h_sum{worker=\"0\"} 3.5\nh_count{worker=\"0\"} 2\nh_bucket{le=\"1\",worker=\"1\"} 0\n"
	       "h_sum{worker=\"1\"} 0\nh_count{worker=\"1\"} 0\n");
}

static void openmetrics_ends_once(void **state)
{
	(void)state;
	expect("# TYPE a counter\na_total 1\n# EOF\n", "# TYPE a counter\n# UNIT a x\na_total 2 # {t=\"1\"} 1\n# EOF\n",
	       "# EOF\na_total 9\n", true,
	       "# TYPE a counter\n# UNIT a x\na_total 1\na_total{worker=\"0\"} 2 # {t=\"1\"} 1\n# EOF\n");
}

static void a_label_of_that_name_is_left_alone(void **state)
{
	(void)state;
	expect("", "a{worker=\"x\"} 1\na{b=\"},worker=\",c=\"\\\"\"} 2\na{} 3\n", "", false,
	       "a{worker=\"x\"} 1\na{b=\"},worker=\",c=\"\\\"\",worker=\"0\"} 2\na{worker=\"0\"} 3\n");
}

static void families_left_out_and_lines_that_are_none_do_not_appear(void **state)
{
	(void)state;
	expect("inner 1\n", "# HELP inner Of the channel.\n# TYPE inner gauge\ninner 2\ngood 1\n# comment\n",
	       "9bad 1\nbad\nbad{a=\"b\n\n{}\nbad{a=\"b\"}1\n good 1\na NaN\na +Inf\na x\nbad 1 \x01\nbad \xff\ngood 2 "
	       "1234\r\n",
	       false,
	       "inner 1\ngood{worker=\"0\"} 1\ngood{worker=\"1\"} 2 1234\na{worker=\"1\"} NaN\na{worker=\"1\"} +Inf\n");
}

static void families_may_come_in_any_number_and_order(void **state)
{
	struct exposition e;
	struct buffer text, out;
	size_t lines = 0;

	(void)state;
	exposition_init(&e, false);
	buffer_init(&text, MIB(8));
	buffer_init(&out, MIB(8));
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < EXPOSITION_FAMILIES_MAX + 10; i++)
			buffer_print(&text, "m%d{n=\"%d\"} 1\n", i, round);
	exposition_add(&e, buffer_span(&text), SPAN("0"), NULL, 0);
	exposition_write(&e, &out);
	for (size_t i = 0; i < out.len; i++)
		lines += out.ptr[i] == '\n';
	assert_int_equal(lines, 2 * EXPOSITION_FAMILIES_MAX);
	assert_true(
	    span_starts(buffer_span(&out), SPAN("m0{n=\"0\",worker=\"0\"} 1\nm0{n=\"1\",worker=\"0\"} 1\nm1{")));
	exposition_done(&e);
	buffer_done(&text);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_family_stands_together_and_is_described_once),
		cmocka_unit_test(the_lines_of_a_histogram_stay_with_it),
		cmocka_unit_test(openmetrics_ends_once),
		cmocka_unit_test(a_label_of_that_name_is_left_alone),
		cmocka_unit_test(families_left_out_and_lines_that_are_none_do_not_appear),
		cmocka_unit_test(families_may_come_in_any_number_and_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
