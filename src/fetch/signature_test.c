/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch_private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct aws_keys keys = {
	.id = SPAN_INIT("AKIAIOSFODNN7EXAMPLE"),
	.secret = SPAN_INIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
	.region = SPAN_INIT("us-east-1"),
};

/* The examples of "Signature Calculations for the Authorization Header" in Amazon's documentation of S3. */
static void examples_of_the_documentation_hold(void **state)
{
	static const struct {
		const char *query, *signature;
	} rows[] = {
		{ "lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
		{ "max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span headers[SIGNATURE_HEADERS_MOST];
		struct error err = { 0 };
		size_t count;

		assert_true(signature_make(&keys, SPAN("examplebucket.s3.amazonaws.com"), SPAN("/"),
					   span_of(rows[i].query), SPAN("20130524T000000Z"), &arena, headers, &count,
					   &err));
		assert_int_equal(count, 3);
		assert_non_null(
		    strstr(headers[0].ptr, "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"));
		if (!span_ends(headers[0], span_of(rows[i].signature)))
			fail_msg("%s: %s", rows[i].query, headers[0].ptr);
		assert_string_equal(headers[2].ptr, "x-amz-date: 20130524T000000Z");
	}
	arena_done(&arena);
}

static void a_token_is_signed_too(void **state)
{
	struct aws_keys with = keys;
	struct span headers[SIGNATURE_HEADERS_MOST];
	struct error err = { 0 };
	struct arena arena;
	size_t count;

	(void)state;
	arena_init(&arena, MIB(1));
	with.token = SPAN("TOKEN");
	assert_true(signature_make(&with, SPAN("h"), SPAN("/b/k"), SPAN(""), SPAN("20130524T000000Z"), &arena, headers,
				   &count, &err));
	assert_int_equal(count, 4);
	assert_non_null(
	    strstr(headers[0].ptr, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
	assert_string_equal(headers[3].ptr, "x-amz-security-token: TOKEN");
	arena_done(&arena);
}

static void without_keys_nothing_is_signed(void **state)
{
	struct aws_keys none = { .region = SPAN_INIT("us-east-1") };
	struct span headers[SIGNATURE_HEADERS_MOST];
	struct error err = { 0 };
	struct arena arena;
	size_t count = 7;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(signature_make(&none, SPAN("h"), SPAN("/"), SPAN(""), SPAN("20130524T000000Z"), &arena, headers,
				   &count, &err));
	assert_int_equal(count, 0);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_of_the_documentation_hold),
		cmocka_unit_test(a_token_is_signed_too),
		cmocka_unit_test(without_keys_nothing_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
