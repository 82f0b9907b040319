/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "cli/describe.h"

static void assert_text(const struct buffer *out, const char *expected)
{
	if (!span_equal(buffer_span(out), span_of(expected)))
		fail_msg("got      %.*s\nexpected %s", (int)out->len, out->ptr, expected);
}

static void bytes_and_times_have_fitting_units(void **state)
{
	static const struct {
		size_t bytes;
		const char *text;
	} sizes[] = { { 0, "0 B" },         { 999, "999 B" },         { 1000, "1.0 kB" },
		      { 99949, "99.9 kB" }, { 99950, "100 kB" },      { 999499, "999 kB" },
		      { 999500, "1.0 MB" }, { 5000000000, "5.0 GB" }, { 5000000000000, "5000 GB" } };
	static const struct {
		double ns;
		const char *text;
	} times[] = { { 12, "12.0 ns" }, { 1500, "1.5 us" }, { 2.5e6, "2.5 ms" }, { 3e9, "3.0 s" } };
	struct buffer out;

	(void)state;
	buffer_init(&out, 4096);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		buffer_clear(&out);
		describe_bytes(sizes[i].bytes, &out);
		assert_text(&out, sizes[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		buffer_clear(&out);
		describe_ns(times[i].ns, &out);
		assert_text(&out, times[i].text);
	}
	buffer_done(&out);
}

static void the_curl_line_speaks_of_columns_when_they_are_known(void **state)
{
	struct tensor_spec matrix = { .name = SPAN("X"), .dtype = DTYPE_FP32, .rank = 2, .shape = { -1, 2 } };
	struct span columns[] = { SPAN("it's"), SPAN("b\"") };
	struct model_info info = { .inputs = &matrix, .input_count = 1, .feature_count = 2 };
	struct describe_target target = {
		.url = SPAN("http://127.0.0.1:8080"), .name = SPAN("m"), .columns = columns, .column_count = 2
	};
	struct buffer out;

	(void)state;
	buffer_init(&out, 4096);
	describe_curl(&info, &target, &out);
	assert_text(&out, "curl -s http://127.0.0.1:8080/predict -H 'Content-Type: application/json' "
			  "-d '{\"it'\\''s\":1.0,\"b\\\"\":1.0}'");

	buffer_clear(&out);
	target.column_count = 0;
	target.is_tls = true;
	describe_curl(&info, &target, &out);
	assert_text(&out,
		    "curl -s -k http://127.0.0.1:8080/v2/models/m/infer -H 'Content-Type: application/json' "
		    "-d '{\"inputs\":[{\"name\":\"X\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1.0,1.0]}]}'");
	buffer_done(&out);
}

static void mixed_columns_and_large_inputs_have_lines_of_their_own(void **state)
{
	struct tensor_spec columns[] = {
		{ .name = SPAN("age"), .dtype = DTYPE_INT64, .rank = 2, .shape = { -1, 1 } },
		{ .name = SPAN("city"), .dtype = DTYPE_BYTES, .rank = 2, .shape = { -1, 1 } }
	};
	struct tensor_spec image = { .name = SPAN("x"), .dtype = DTYPE_FP32, .rank = 4, .shape = { -1, 3, 224, 224 } };
	struct span names[] = { SPAN("age"), SPAN("city") };
	struct model_info info = { .inputs = columns, .input_count = 2, .feature_count = 2 };
	struct describe_target target = { .url = SPAN("http://localhost"),
					  .unix_socket = SPAN("/run/x"),
					  .name = SPAN("m"),
					  .columns = names,
					  .column_count = 2 };
	struct buffer out;

	(void)state;
	buffer_init(&out, 4096);
	describe_curl(&info, &target, &out);
	assert_text(&out, "curl -s --unix-socket '/run/x' http://localhost/predict -H 'Content-Type: application/json' "
			  "-d '{\"age\":1,\"city\":\"a\"}'");

	buffer_clear(&out);
	info = (struct model_info){ .inputs = &image, .input_count = 1 };
	target.column_count = 0;
	describe_curl(&info, &target, &out);
	assert_text(
	    &out,
	    "{ printf %s '{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3,224,224],\"datatype\":\"FP32\",\"data\":['; "
	    "yes 1 | head -n 150528 | paste -sd, -; echo ']}]}'; } | curl -s --unix-socket '/run/x' "
	    "http://localhost/v2/models/m/infer -H 'Content-Type: application/json' --data-binary @-");
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_times_have_fitting_units),
		cmocka_unit_test(the_curl_line_speaks_of_columns_when_they_are_known),
		cmocka_unit_test(mixed_columns_and_large_inputs_have_lines_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
