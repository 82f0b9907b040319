/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "wire/base64.h"

static void reads_as(const char *text, const char *bytes, size_t len)
{
	struct error err = { 0 };
	struct arena arena;
	struct span got;

	arena_init(&arena, KIB(64));
	if (!base64_read(span_of(text), &arena, &got, &err))
		fail_msg("'%s' was refused: %s", text, err.message);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.ptr, bytes, len);
	arena_done(&arena);
}

static void the_rfc_vectors_hold_both_ways(void **state)
{
	static const char *const rows[][2] = { { "", "" },
					       { "f", "Zg==" },
					       { "fo", "Zm8=" },
					       { "foo", "Zm9v" },
					       { "foob", "Zm9vYg==" },
					       { "fooba", "Zm9vYmE=" },
					       { "foobar", "Zm9vYmFy" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buffer out;

		buffer_init(&out, 100);
		base64_write(&out, span_of(rows[i][0]));
		assert_true(span_equal(buffer_span(&out), span_of(rows[i][1])));
		buffer_done(&out);
		reads_as(rows[i][1], rows[i][0], strlen(rows[i][0]));
	}
}

static void both_alphabets_and_missing_padding_are_read(void **state)
{
	(void)state;
	reads_as("-_-_", "\xfb\xff\xbf", 3);
	reads_as("+/+/", "\xfb\xff\xbf", 3);
	reads_as("Zg", "f", 1);
	reads_as("Zm8", "fo", 2);
	reads_as("AAAA", "\0\0\0", 3);
}

static void damaged_texts_are_refused_with_the_place(void **state)
{
	static const char *const rows[][2] = {
		{ "Zm9v!g==", "offset 4" },    { "Z===", "offset 1" }, { "Zm9vZ", "offset 4" },
		{ "=", "offset 0" },           { "Zg=", "offset 2" },  { "Zm9v Yg==", "offset 4" },
		{ "Zh==", "offset 1" },        { "Zm9=", "offset 2" }, { "Zg==Zg==", "offset 2" },
		{ "Zm9v\n", "offset 4" },      { "====", "offset 0" }, { "Zm8=Z", "offset 3" },
		{ "Zm9vZm9\xff", "offset 7" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span got = SPAN("untouched");
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena, KIB(64));
		if (base64_read(span_of(rows[i][0]), &arena, &got, &err))
			fail_msg("'%s' was accepted", rows[i][0]);
		assert_int_equal(err.code, ERROR_INVALID);
		if (!strstr(err.message, rows[i][1]))
			fail_msg("'%s': %s", rows[i][0], err.message);
		assert_int_equal(got.len, 9);
		arena_done(&arena);
	}
}

static void any_bytes_come_back(void **state)
{
	unsigned char bytes[300];
	struct error err = { 0 };
	struct buffer text;
	struct arena arena;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	buffer_init(&text, KIB(4));
	arena_init(&arena, KIB(256));
	for (size_t len = 0; len < sizeof(bytes); len++) {
		struct span got;

		buffer_clear(&text);
		base64_write(&text, span_from(bytes, len));
		assert_int_equal(text.len, (len + 2) / 3 * 4);
		assert_true(base64_read(buffer_span(&text), &arena, &got, &err));
		assert_int_equal(got.len, len);
		assert_memory_equal(got.ptr, bytes, len);
	}
	buffer_done(&text);
	arena_done(&arena);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfc_vectors_hold_both_ways),
		cmocka_unit_test(both_alphabets_and_missing_padding_are_read),
		cmocka_unit_test(damaged_texts_are_refused_with_the_place),
		cmocka_unit_test(any_bytes_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
