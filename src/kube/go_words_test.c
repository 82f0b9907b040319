/* SPDX-License-Identifier: Apache-2.0 */
/* What Go's libraries said of the same texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/go_words.h"

static void faults_are_told_as_encoding_json_tells_them(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "", "unexpected end of JSON input" },
		{ "{", "unexpected end of JSON input" },
		{ "\"a", "unexpected end of JSON input" },
		{ "tru", "unexpected end of JSON input" },
		{ "-", "unexpected end of JSON input" },
		{ "x", "invalid character 'x' looking for beginning of value" },
		{ "{a", "invalid character 'a' looking for beginning of object key string" },
		{ "{\"a\" 1", "invalid character '1' after object key" },
		{ "{\"a\":1 \"b\"", "invalid character '\"' after object key:value pair" },
		{ "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
		{ "[1 2]", "invalid character '2' after array element" },
		{ "[1,]", "invalid character ']' looking for beginning of value" },
		{ "{} x", "invalid character 'x' after top-level value" },
		{ "trye", "invalid character 'y' in literal true (expecting 'u')" },
		{ "n\xba", "invalid character '\xc2\xba' in literal null (expecting 'u')" },
		{ "\"\\x\"", "invalid character 'x' in string escape code" },
		{ "\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape" },
		{ "\"a\nb\"", "invalid character '\\n' in string literal" },
		{ "01", "invalid character '1' after top-level value" },
		{ "1.x", "invalid character 'x' after decimal point in numeric literal" },
		{ "1ex", "invalid character 'x' in exponent of numeric literal" },
		{ "-a", "invalid character 'a' in numeric literal" },
		{ "'a'", "invalid character '\\'' looking for beginning of value" },
		{ "\x01", "invalid character '\\x01' looking for beginning of value" },
	};
	char words[GO_WORDS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(go_json_fault(span_of(rows[i].text), words));
		assert_string_equal(words, rows[i].words);
	}
}

static void good_texts_have_no_fault(void **state)
{
	static const char *const rows[] = {
		"0", "-1.5e+3", " {} ", "[]", "[1,{\"a\":[null,true,false]}]", "\"\\u00e4\""
	};
	char words[GO_WORDS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_false(go_json_fault(span_of(rows[i]), words));
}

static void trees_are_printed_as_fmt_prints_them(void **state)
{
	struct error err = { 0 };
	struct arena arena;
	struct value v;
	struct span text;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(value_parse(SPAN("{\"b\":[\"x\",1,{}],\"a\":null,\"c\":true,\"d\":1.5}"), NULL, &arena, &v, &err));
	text = go_print(&v, &arena, &err);
	assert_true(span_equal(text, SPAN("map[a:<nil> b:[x 1 map[]] c:true d:1.5]")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_are_told_as_encoding_json_tells_them),
		cmocka_unit_test(good_texts_have_no_fault),
		cmocka_unit_test(trees_are_printed_as_fmt_prints_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
