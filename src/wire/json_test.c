/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

/* Walks any value with the reader and writes it again. */
static bool echo(struct json *j, struct json_writer *w, struct error *err)
{
	struct span text;
	struct number n;
	bool boolean;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		if (!json_enter_object(j, err))
			return false;
		json_open_object(w);
		while (json_next_key(j, &text, err)) {
			json_key(w, text);
			if (!echo(j, w, err))
				return false;
		}
		json_close_object(w);
		return !j->failed;
	case JSON_ARRAY:
		if (!json_enter_array(j, err))
			return false;
		json_open_array(w);
		while (json_next_element(j, err))
			if (!echo(j, w, err))
				return false;
		json_close_array(w);
		return !j->failed;
	case JSON_STRING:
		if (!json_read_string(j, &text, err))
			return false;
		json_string(w, text);
		return true;
	case JSON_BOOL:
		if (!json_read_bool(j, &boolean, err))
			return false;
		json_bool(w, boolean);
		return true;
	case JSON_NULL:
		json_null(w);
		return json_read_null(j, err);
	case JSON_INVALID:
		return json_skip(j, err);
	case JSON_NUMBER:
		break;
	}
	if (!json_read_number(j, &n, err))
		return false;
	if (n.kind == NUMBER_INT)
		json_int64(w, n.i);
	else if (n.kind == NUMBER_UINT)
		json_uint64(w, n.u);
	else
		json_double(w, n.d);
	return true;
}

/* Reads a text by walking and by skipping, in memory of its exact size; both must agree. */
static bool accepts(struct span text, struct buffer *out, struct error *err)
{
	char *copy = base_alloc(text.len);
	struct json_writer w = json_writer(out);
	struct error skip_err = { 0 };
	struct json j;
	bool walked, skipped;

	if (text.len)
		memcpy(copy, text.ptr, text.len);
	json_init(&j, span_from(copy, text.len), &arena);
	walked = echo(&j, &w, err) && json_finish(&j, err);
	json_init(&j, span_from(copy, text.len), &arena);
	skipped = json_skip(&j, &skip_err) && json_finish(&j, &skip_err);
	if (walked != skipped)
		fail_msg("'" SPAN_FMT "': walking and skipping disagree: %s / %s", SPAN_ARG(text), err->message,
			 skip_err.message);
	if (!walked)
		assert_string_equal(err->message, skip_err.message);
	free(copy);
	return walked;
}

static void valid_texts_come_back_compact(void **state)
{
	static const struct {
		struct span text;
		const char *compact; /* NULL: the same */
	} rows[] = {
#define ROW(text, compact) { SPAN_INIT(text), compact }
		ROW("null", NULL),
		ROW("true", NULL),
		ROW("false", NULL),
		ROW("0", NULL),
		ROW("-0", "-0.0"),
		ROW("-1", NULL),
		ROW("12", NULL),
		ROW("1.0", NULL),
		ROW("1e2", "100.0"),
		ROW("1E+2", "100.0"),
		ROW("1e-2", "0.01"),
		ROW("123456789012345678", NULL),
		ROW("9223372036854775807", NULL),
		ROW("-9223372036854775808", NULL),
		ROW("18446744073709551615", NULL),
		ROW("18446744073709551616", "1.8446744073709552e+19"),
		ROW("0.06730000000000001", NULL),
		ROW("1e-07", NULL),
		ROW("5e-324", NULL),
		ROW("\"\"", NULL),
		ROW("\"a\"", NULL),
		ROW("\"a longer string than one block of sixteen bytes\"", NULL),
		ROW("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""),
		ROW("\"\\u0041\\u00e9\\u20ac\"", "\"A\xc3\xa9\xe2\x82\xac\""),
		ROW("\"\\u00E9\\u20AC\"", "\"\xc3\xa9\xe2\x82\xac\""),
		ROW("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""),
		ROW("\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
		ROW("\"\\u0000\\u001f\"", "\"\\u0000\\u001f\""),
		ROW("\"\x7f\"", NULL),
		ROW("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", NULL),
		ROW("\"0123456789abcde\xc3\xa9 over the edge of a block\"", NULL),
		ROW("\"0123456789abcd\\n\xc3\xa9\"", NULL),
		ROW("[]", NULL),
		ROW("[ ]", "[]"),
		ROW("[1]", NULL),
		ROW("[1,2]", NULL),
		ROW(" [ 1 , 2 ] ", "[1,2]"),
		ROW("[[],[[]],{}]", NULL),
		ROW("{}", NULL),
		ROW("{ }", "{}"),
		ROW("{\"a\":1}", NULL),
		ROW("{\"a\":1,\"a\":2}", NULL),
		ROW("{\"\":{}}", NULL),
		ROW("{\"\\u0061\":1}", "{\"a\":1}"),
		ROW("\t\r\n {\"a\" : [ true , null ] }\n", "{\"a\":[true,null]}"),
		ROW("{\"a\":{\"b\":{\"c\":[1,{\"d\":2}]}},\"e\":\"f\"}", NULL),
		ROW("[0.1,-2.5e10,3]", "[0.1,-25000000000.0,3]"),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct buffer out;

		buffer_init(&out, KIB(4));
		if (!accepts(rows[i].text, &out, &err))
			fail_msg("'" SPAN_FMT "' was refused: %s", SPAN_ARG(rows[i].text), err.message);
		if (!span_equal(buffer_span(&out), rows[i].compact ? span_of(rows[i].compact) : rows[i].text))
			fail_msg("'" SPAN_FMT "' came back as '" SPAN_FMT "'", SPAN_ARG(rows[i].text),
				 SPAN_ARG(buffer_span(&out)));
		buffer_done(&out);
	}
}

static void texts_outside_the_grammar_are_refused(void **state)
{
	static const struct span rows[] = {
#define ROW(text) SPAN_INIT(text)
		ROW(""),
		ROW(" "),
		ROW("\n\t "),
		ROW("nul"),
		ROW("nulll"),
		ROW("Null"),
		ROW("True"),
		ROW("tru"),
		ROW("fals"),
		ROW("truefalse"),
		ROW("NaN"),
		ROW("Infinity"),
		ROW("-Infinity"),
		ROW("nan"),
		ROW("undefined"),
		ROW("'a'"),
		ROW("a"),
		ROW("\x00"),
		ROW("\xef\xbb\xbf{}"), /* a byte order mark */
		ROW("+1"),
		ROW("-"),
		ROW("--1"),
		ROW("-a"),
		ROW("01"),
		ROW("-01"),
		ROW("00"),
		ROW("1."),
		ROW(".5"),
		ROW("1.e5"),
		ROW("1e"),
		ROW("1e+"),
		ROW("1e5.5"),
		ROW("1.5.5"),
		ROW("0x10"),
		ROW("1_000"),
		ROW("1 2"),
		ROW("1,2"),
		ROW("1,"),
		ROW("\""),
		ROW("\"a"),
		ROW("a\""),
		ROW("\"a\"b"),
		ROW("\"\\"),
		ROW("\"\\\""),
		ROW("\"\\x41\""),
		ROW("\"\\a\""),
		ROW("\"\\0\""),
		ROW("\"\\'\""),
		ROW("\"\\\n\""),
		ROW("\"\\u\""),
		ROW("\"\\u12\""),
		ROW("\"\\u123\""),
		ROW("\"\\u123g\""),
		ROW("\"\\U0041\""),
		ROW("\"\\u00 1\""),
		ROW("\"\\ud800\""),
		ROW("\"\\ud800a\""),
		ROW("\"\\ud800\\n\""),
		ROW("\"\\ud800\\u0041\""),
		ROW("\"\\ud800\\ud800\""),
		ROW("\"\\udc00\""),
		ROW("\"\\udc00\\ud800\""),
		ROW("\"\\ud83d\\ude0\""),
		ROW("\"a\nb\""),
		ROW("\"a\tb\""),
		ROW("\"\x00\""),
		ROW("\"\x1f\""),
		ROW("\"0123456789abcdefgh\x01\""),
		ROW("\"\x80\""),
		ROW("\"\xff\""),
		ROW("\"\xc3\""),
		ROW("\"\xc3(\""),
		ROW("\"\xc0\xaf\""), /* overlong */
		ROW("\"\xe0\x80\xaf\""),
		ROW("\"\xed\xa0\x80\""),     /* a surrogate */
		ROW("\"\xf4\x90\x80\x80\""), /* over U+10FFFF */
		ROW("\"\xf8\x88\x80\x80\x80\""),
		ROW("\"\xe2\x82\""),
		ROW("\"\\n\xff\""),
		ROW("\"\xc3\\u00a9\""),
		ROW("["),
		ROW("]"),
		ROW("[1"),
		ROW("[1,"),
		ROW("[1,]"),
		ROW("[,1]"),
		ROW("[,]"),
		ROW("[1,,2]"),
		ROW("[1 2]"),
		ROW("[1;2]"),
		ROW("[1}"),
		ROW("[1]]"),
		ROW("[[1]"),
		ROW("[1],"),
		ROW("[\"a\":1]"),
		ROW("[01]"),
		ROW("[1.]"),
		ROW("[-]"),
		ROW("[nul]"),
		ROW("{"),
		ROW("}"),
		ROW("{\"a\""),
		ROW("{\"a\":"),
		ROW("{\"a\":}"),
		ROW("{\"a\":1"),
		ROW("{\"a\":1,"),
		ROW("{\"a\":1,}"),
		ROW("{,}"),
		ROW("{,\"a\":1}"),
		ROW("{\"a\":1,,\"b\":2}"),
		ROW("{\"a\" 1}"),
		ROW("{\"a\"::1}"),
		ROW("{\"a\":1 \"b\":2}"),
		ROW("{\"a\":1;\"b\":2}"),
		ROW("{\"a\",1}"),
		ROW("{\"a\"}"),
		ROW("{a:1}"),
		ROW("{'a':1}"),
		ROW("{1:1}"),
		ROW("{null:1}"),
		ROW("{[]:1}"),
		ROW("{\"a\":1]"),
		ROW("{\"a\":1}}"),
		ROW("{\"a\":1}{"),
		ROW("{\"\\ud800\":1}"),
		ROW("{\"a\nb\":1}"),
		ROW("{\"\xff\":1}"),
		ROW("{} {}"),
		ROW("[] x"),
		ROW("// a comment\n1"),
		ROW("[1 /* */]"),
		ROW("#1"),
		ROW("1\f"),
		ROW("\v1"),
		ROW("[1\xc2\xa0]"), /* a no-break space */
		ROW("[1]\x00"),
#undef ROW
	};

	(void)state;
	assert_true(ARRAY_LEN(rows) >= 120);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct buffer out;

		buffer_init(&out, KIB(4));
		if (accepts(rows[i], &out, &err))
			fail_msg("'" SPAN_FMT "' was accepted", SPAN_ARG(rows[i]));
		assert_int_equal(err.code, ERROR_INVALID);
		if (!span_starts(error_span(&err), SPAN("line ")))
			fail_msg("'" SPAN_FMT "': %s", SPAN_ARG(rows[i]), err.message);
		buffer_done(&out);
	}
}

static void messages_name_the_place_and_what_was_expected(void **state)
{
	static const char *const rows[][2] = {
		{ "{\"a\":1x}", "line 1, column 7: expected ',' or '}', found 'x'" },
		{ "", "line 1, column 1: expected a value, found the end of the text" },
		{ "{\n \"a\": 01}", "line 2, column 7: '01' is no number in JSON's form" },
		{ "[1,\n2,\n]", "line 3, column 1: expected a value, found ']'" },
		{ "[1", "line 1, column 3: expected ',' or ']', found the end of the text" },
		{ "\"a\tb\"", "line 1, column 3: expected no bare control character in a string, found byte 0x09" },
		{ "\"\\q\"", "line 1, column 3: expected one of \"\\/bfnrtu after a backslash, found 'q'" },
		{ "{\"a\" 1}", "line 1, column 6: expected ':', found '1'" },
		{ "{1}", "line 1, column 2: expected a member's name or '}', found '1'" },
		{ "1 2", "line 1, column 3: expected the end of the text, found '2'" },
		{ "\"\\ud800\"", "line 1, column 2: half of a surrogate pair stands alone" },
		{ "\"\xff\"", "line 1, column 1: the string is not UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct json_writer w;
		struct buffer out;
		struct json j;

		buffer_init(&out, KIB(4));
		w = json_writer(&out);
		json_init(&j, span_of(rows[i][0]), &arena);
		assert_false(echo(&j, &w, &err) && json_finish(&j, &err));
		assert_string_equal(err.message, rows[i][1]);
		buffer_done(&out);
	}
}

static void depth_is_limited(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1)];
	struct error err = { 0 };
	struct json j;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	json_init(&j, span_from(text, (size_t)2 * JSON_DEPTH_MAX), &arena);
	assert_true(json_skip(&j, &err) && json_finish(&j, &err));
	memset(text, '[', JSON_DEPTH_MAX + 1);
	json_init(&j, span_from(text, sizeof(text)), &arena);
	assert_false(json_skip(&j, &err));
	assert_non_null(strstr(err.message, "deeper than 128"));
	err.message[0] = 0;
	assert_false(json_finish(&j, &err)); /* sticky, and err stays */
	assert_string_equal(err.message, "");
}

static void typed_reads_convert_or_say_why_not(void **state)
{
	struct error err = { 0 };
	struct span raw = { 0 };
	struct json j;
	int64_t i = 0;
	double d = 0;

	(void)state;
	json_init(&j, SPAN("[3, 3.0, 1e2, -0, 5, {\"a\" : [1, \"]\"]} , 9223372036854775807]"), &arena);
	assert_true(json_enter_array(&j, &err));
	assert_true(json_next_element(&j, &err) && json_read_int64(&j, &i, &err) && i == 3);
	assert_true(json_next_element(&j, &err) && json_read_int64(&j, &i, &err) && i == 3);
	assert_true(json_next_element(&j, &err) && json_read_int64(&j, &i, &err) && i == 100);
	assert_true(json_next_element(&j, &err) && json_read_int64(&j, &i, &err) && i == 0);
	assert_true(json_next_element(&j, &err) && json_read_double(&j, &d, &err) && d == 5);
	assert_true(json_next_element(&j, &err) && json_read_raw(&j, &raw, &err));
	assert_true(span_equal(raw, SPAN("{\"a\" : [1, \"]\"]}")));
	assert_true(json_next_element(&j, &err) && json_read_int64(&j, &i, &err) && i == INT64_MAX);
	assert_false(json_next_element(&j, &err));
	assert_true(json_finish(&j, &err));

	json_init(&j, SPAN(" 1.5"), &arena);
	assert_false(json_read_int64(&j, &i, &err));
	assert_string_equal(err.message, "line 1, column 2: expected a whole number, found a fraction");
	json_init(&j, SPAN("9223372036854775808"), &arena);
	assert_false(json_read_int64(&j, &i, &err));
	json_init(&j, SPAN("1e19"), &arena);
	assert_false(json_read_int64(&j, &i, &err));
	json_init(&j, SPAN("null"), &arena);
	assert_false(json_read_double(&j, &d, &err));
	json_init(&j, SPAN("\"1\""), &arena);
	assert_false(json_read_double(&j, &d, &err));
	assert_true(i == INT64_MAX && d == 5);
}

static void bare_tokens_are_read_only_where_they_are_allowed(void **state)
{
	struct error err = { 0 };
	struct json_array a;
	struct json j;

	(void)state;
	json_init(&j, SPAN("[NaN, Infinity, -Infinity, 1]"), &arena);
	j.allow_nonfinite = true;
	assert_true(json_read_array(&j, 0, &a, &err) && json_finish(&j, &err));
	assert_int_equal(a.kind, JSON_ARRAY_DOUBLE);
	assert_true(isnan(((double *)a.data)[0]) && isinf(((double *)a.data)[1]) && ((double *)a.data)[2] < 0);
	json_init(&j, SPAN("[1, NaN]"), &arena);
	assert_false(json_read_array(&j, 0, &a, &err));
	json_init(&j, SPAN("Infinity"), &arena);
	j.allow_nonfinite = true;
	assert_true(json_skip(&j, &err) && json_finish(&j, &err));
}

/* ---- arrays ---- */

static const char *const kind_names[] = {
	[JSON_ARRAY_EMPTY] = "empty",     [JSON_ARRAY_INT64] = "int64", [JSON_ARRAY_UINT64] = "uint64",
	[JSON_ARRAY_DOUBLE] = "double",   [JSON_ARRAY_BOOL] = "bool",   [JSON_ARRAY_STRING] = "string",
	[JSON_ARRAY_SCALARS] = "scalars",
};

/* "int64 [2,3] 1 2 3 4 5 6" */
static void describe(const struct json_array *a, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "%s [", kind_names[a->kind]);

	for (int i = 0; i < a->rank; i++)
		len += (size_t)snprintf(out + len, size - len, i ? ",%lld" : "%lld", (long long)a->shape[i]);
	len += (size_t)snprintf(out + len, size - len, a->has_null ? "] null" : "]");
	for (size_t i = 0; i < a->count; i++) {
		const struct json_scalar *s = (const struct json_scalar *)a->data + i;

		switch (a->kind) {
		case JSON_ARRAY_INT64:
			len += (size_t)snprintf(out + len, size - len, " %lld", (long long)((int64_t *)a->data)[i]);
			break;
		case JSON_ARRAY_UINT64:
			len += (size_t)snprintf(out + len, size - len, " %llu",
						(unsigned long long)((uint64_t *)a->data)[i]);
			break;
		case JSON_ARRAY_DOUBLE:
			len += (size_t)snprintf(out + len, size - len, " %g", ((double *)a->data)[i]);
			break;
		case JSON_ARRAY_BOOL:
			len += (size_t)snprintf(out + len, size - len, " %d", ((uint8_t *)a->data)[i]);
			break;
		case JSON_ARRAY_STRING:
			len += (size_t)snprintf(out + len, size - len, " " SPAN_FMT,
						SPAN_ARG(((struct span *)a->data)[i]));
			break;
		case JSON_ARRAY_SCALARS:
			if (s->type == JSON_NUMBER && s->number.kind == NUMBER_INT)
				len += (size_t)snprintf(out + len, size - len, " i%lld", (long long)s->number.i);
			else if (s->type == JSON_NUMBER)
				len += (size_t)snprintf(out + len, size - len, " d%g", s->number.d);
			else if (s->type == JSON_BOOL)
				len += (size_t)snprintf(out + len, size - len, " b%d", s->boolean);
			else if (s->type == JSON_NULL)
				len += (size_t)snprintf(out + len, size - len, " n");
			else
				len += (size_t)snprintf(out + len, size - len, " s" SPAN_FMT, SPAN_ARG(s->text));
			break;
		case JSON_ARRAY_EMPTY:
			break;
		}
	}
}

static void arrays_find_their_kind_and_shape(void **state)
{
	static const char *const rows[][2] = {
		{ "[]", "empty [0]" },
		{ "[[],[]]", "empty [2,0]" },
		{ "[[[]]]", "empty [1,1,0]" },
		{ "5", "int64 [] 5" },
		{ " 2.5 ", "double [] 2.5" },
		{ "\"a\"", "string [] a" },
		{ "true", "bool [] 1" },
		{ "null", "double [] null nan" },
		{ "[1]", "int64 [1] 1" },
		{ "[1,2,3]", "int64 [3] 1 2 3" },
		{ "[ 1 , 2 , 3 ]", "int64 [3] 1 2 3" },
		{ "[[1,2,3],[4,5,6]]", "int64 [2,3] 1 2 3 4 5 6" },
		{ "[[1],[2],[3]]", "int64 [3,1] 1 2 3" },
		{ "[[[1,2],[3,4]],[[5,6],[7,8]]]", "int64 [2,2,2] 1 2 3 4 5 6 7 8" },
		{ "[-1,0,12345678901]", "int64 [3] -1 0 12345678901" },
		{ "[1,2.5]", "double [2] 1 2.5" },
		{ "[2.5,1]", "double [2] 2.5 1" },
		{ "[1,2,1e1,3]", "double [4] 1 2 10 3" },
		{ "[1,-0]", "double [2] 1 -0" },
		{ "[1,null,3]", "double [3] null 1 nan 3" },
		{ "[null,3]", "double [2] null nan 3" },
		{ "[1,18446744073709551615]", "uint64 [2] 1 18446744073709551615" },
		{ "[18446744073709551615,1]", "uint64 [2] 18446744073709551615 1" },
		{ "[-1,18446744073709551615]", "double [2] -1 1.84467e+19" },
		{ "[18446744073709551615,-1]", "double [2] 1.84467e+19 -1" },
		{ "[18446744073709551615,0.5]", "double [2] 1.84467e+19 0.5" },
		{ "[1,18446744073709551616]", "double [2] 1 1.84467e+19" },
		{ "[true,false]", "bool [2] 1 0" },
		{ "[[true],[false]]", "bool [2,1] 1 0" },
		{ "[\"a\",\"b\\u0063\"]", "string [2] a bc" },
		{ "[1,\"a\"]", "scalars [2] i1 sa" },
		{ "[1,2.5,\"a\"]", "scalars [3] i1 d2.5 sa" },
		{ "[\"a\",null,true,1.5]", "scalars [4] null sa n b1 d1.5" },
		{ "[true,1]", "scalars [2] b1 i1" },
		{ "[null,\"a\"]", "scalars [2] null n sa" },
		{ "[[1,\"x\"],[2,\"y\"]]", "scalars [2,2] i1 sx i2 sy" },
		{ "[{\"a\": [1]},2]", "scalars [2] s{\"a\": [1]} i2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct json_array a;
		char text[512];
		struct json j;

		json_init(&j, span_of(rows[i][0]), &arena);
		if (!json_read_array(&j, 0, &a, &err) || !json_finish(&j, &err))
			fail_msg("'%s' was refused: %s", rows[i][0], err.message);
		describe(&a, text, sizeof(text));
		assert_string_equal(text, rows[i][1]);
	}
}

static void ragged_or_broken_arrays_are_refused(void **state)
{
	static const char *const rows[][2] = {
		{ "[[1,2],[3]]", "1 elements, where others have 2, in list [1]" },
		{ "[[1,2],[3,4,5]]", "3 elements, where others have 2, in list [1]" },
		{ "[[[1],[2]],[[3]]]", "in list [1]" },
		{ "[[[1],[2]],[[3],[4,5]]]", "in list [1][1]" },
		{ "[1,[2]]", "a list stands where others have a scalar in list at the top" },
		{ "[[1],2]", "a scalar stands where others have a list in list at the top" },
		{ "[[],[1]]", "ragged" },
		{ "[[1],[]]", "ragged" },
		{ "[[],1]", "ragged" },
		{ "[[[]],[]]", "ragged" },
		{ "[1,]", "expected a value, found ']'" },
		{ "[1 2]", "expected ',' or ']', found '2'" },
		{ "[1,2", "found the end" },
		{ "[1,2,", "found the end" },
		{ "[", "found the end" },
		{ "[[1],", "found the end" },
		{ "[01]", "'01' is no number" },
		{ "[1,02]", "'02' is no number" },
		{ "[1.5,2.]", "'2.' is no number" },
		{ "[1,-]", "'-' is no number" },
		{ "[nul]", "expected null" },
		{ "[1,nul]", "expected null" },
		{ "[1,\"a]", "closing" },
		{ "[1,x]", "expected a value, found 'x'" },
		{ "", "expected a value" },
		{ "[1}", "expected ',' or ']', found '}'" },
		{ "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "deeper than 16" },
		{ "{}", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct json_array a = { .count = 77 };
		struct json j;

		json_init(&j, span_of(rows[i][0]), &arena);
		if (json_read_array(&j, 0, &a, &err) && json_finish(&j, &err)) {
			assert_string_equal(rows[i][0], "{}"); /* an object is a scalar of its own */
			continue;
		}
		assert_int_equal(err.code, ERROR_INVALID);
		if (strcmp(rows[i][1], "closing") != 0 && !strstr(err.message, rows[i][1]))
			fail_msg("'%s': %s", rows[i][0], err.message);
		assert_int_equal(a.count, 77);
	}
}

/* Long enough for the blocks of the fast paths, in every layout of space and with a spoiler at every place. */
static void long_arrays_read_the_same_in_every_layout(void **state)
{
	static const char *const commas[] = { ",", ", ", " , ", ",\n    " };
	static const struct {
		const char *format;
		unsigned modulus;
	} numbers[] = { { "%d", 256 },   { "%d", 100000 }, { "%d", 999999999 },
			{ "%d.5", 100 }, { "-%d", 1000 },  { "%de-3", 50 } };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
		for (size_t c = 0; c < ARRAY_LEN(commas); c++) {
			for (int inner = 1; inner <= 5; inner++) {
				struct error err = { 0 };
				struct json_array a;
				struct buffer text;
				struct json j;
				double expected[600];
				size_t count = 0;

				buffer_init(&text, KIB(64));
				buffer_byte(&text, '[');
				for (int row = 0; row < 100; row++) {
					buffer_print(&text, "%s[", row ? commas[c] : "");
					for (int i = 0; i < inner; i++) {
						char number[32];

						snprintf(
						    number, sizeof(number), numbers[k].format,
						    1 + (int)((count * 7919U + 13) * 2654435761U % numbers[k].modulus));
						expected[count++] = strtod(number, NULL);
						buffer_print(&text, "%s%s", i ? commas[c] : "", number);
					}
					buffer_byte(&text, ']');
				}
				buffer_byte(&text, ']');
				json_init(&j, buffer_span(&text), &arena);
				if (!json_read_array(&j, count % 3 ? count : 0, &a, &err) || !json_finish(&j, &err))
					fail_msg("refused: %s in " SPAN_FMT, err.message, SPAN_ARG(buffer_span(&text)));
				assert_int_equal(a.count, count);
				assert_true(a.rank == 2 && a.shape[0] == 100 && a.shape[1] == inner);
				for (size_t i = 0; i < count; i++) {
					double got = a.kind == JSON_ARRAY_DOUBLE ? ((double *)a.data)[i]
										 : (double)((int64_t *)a.data)[i];

					assert_true(got == expected[i]);
				}
				buffer_done(&text);
				arena_clear(&arena);
			}
		}
	}
}

static void a_spoiler_anywhere_in_a_long_array_is_found(void **state)
{
	static const char spoilers[] = "[]{},:x\" .e-\x01";
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB(8));
	buffer_byte(&text, '[');
	for (int row = 0; row < 60; row++)
		buffer_print(&text, "%s[%d,%d,%d]", row ? "," : "", row * 4, row, 255 - row);
	buffer_byte(&text, ']');
	for (size_t i = 0; i < text.len; i++) {
		for (size_t k = 0; k + 1 < sizeof(spoilers); k++) {
			char *copy = base_alloc(text.len);
			struct error array_err = { 0 }, skip_err = { 0 };
			struct json_array a;
			bool is_array, is_json;
			struct json j;

			memcpy(copy, text.ptr, text.len);
			copy[i] = spoilers[k];
			json_init(&j, span_from(copy, text.len), &arena);
			is_array = json_read_array(&j, 0, &a, &array_err) && json_finish(&j, &array_err);
			json_init(&j, span_from(copy, text.len), &arena);
			is_json = json_skip(&j, &skip_err) && json_finish(&j, &skip_err);
			/* What is no JSON is no array; what is JSON may still be ragged. */
			if (is_array && !is_json)
				fail_msg("'%c' at %zu: %s", spoilers[k], i, skip_err.message);
			if (!is_array && is_json)
				assert_non_null(strstr(array_err.message, "ragged"));
			free(copy);
			arena_clear(&arena);
		}
	}
	buffer_done(&text);
}

/* accepts() compares walking with skipping; here for what stops a long run of numbers. */
static void whatever_ends_a_run_of_numbers_is_skipped_or_refused(void **state)
{
	static const struct {
		const char *middle;
		bool is_json;
	} rows[] = {
		{ "1", true },         { "[]", true },         { "[1],[]", true },  { "[1],[2]", true },
		{ "[1],[-2]", true },  { "[1],[ 2 ]", true },  { "[1], []", true }, { "1],[2", true },
		{ "1],[],[2", true },  { "-1.5e-7", true },    { "\"a\"", true },   { "{\"a\":[1,2]}", true },
		{ "null", true },      { "0.125,-0.5", true }, { "1 ,\n2", true },  { "0", true },
		{ "[[1],[2]]", true }, { "1e5", true },        { "", false },       { "01", false },
		{ "1.", false },       { "1.2.3", false },     { "--1", false },    { "-", false },
		{ "-01", false },      { "1,,2", false },      { "1],[,2", false }, { "1],2", false },
		{ "1,]", false },      { "1],[2],[3", true },  { ".5", false },     { "1]],[[2", false },
		{ "1-2", false },      { "1 2", false },       { "1}", false },     { "1}],[{2", false },
		{ "1:2", false },      { "0.5,00.5", false },  { "NaN", false },    { "1.-5", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		/* At every offset in the blocks of 64 bytes, in a list of lists. */
		for (int before = 0; before < 70; before++) {
			struct error err = { 0 };
			struct buffer text, out;

			buffer_init(&text, KIB(4));
			buffer_init(&out, KIB(4));
			buffer_append(&text, SPAN("[[7,"));
			for (int k = 0; k < before; k++)
				buffer_append(&text, k % 3 ? SPAN("10,") : SPAN("2,"));
			buffer_append(&text, span_of(rows[i].middle));
			for (int k = 0; k < 40; k++)
				buffer_append(&text, SPAN(",255"));
			buffer_append(&text, SPAN("]]"));
			if (accepts(buffer_span(&text), &out, &err) != rows[i].is_json)
				fail_msg("%s: %s", text.ptr, err.message);
			buffer_done(&text);
			buffer_done(&out);
		}
		arena_clear(&arena);
	}
}

static void a_wrong_count_hint_does_no_harm(void **state)
{
	static const size_t hints[] = { 1, 2, 6, 7, 1000, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
		struct error err = { 0 };
		struct json_array a;
		struct json j;

		json_init(&j, SPAN("[[1,2,3],[4,5,6.5]]"), &arena);
		assert_true(json_read_array(&j, hints[i], &a, &err));
		assert_true(a.count == 6 && ((double *)a.data)[5] == 6.5 && ((double *)a.data)[0] == 1);
	}
}

static void the_arena_limit_is_an_ordinary_error(void **state)
{
	struct error err = { 0 };
	struct arena small;
	struct json_array a;
	struct buffer text;
	struct json j;

	(void)state;
	arena_init(&small, KIB(32));
	buffer_init(&text, MIB(1));
	buffer_byte(&text, '[');
	for (int i = 0; i < 50000; i++)
		buffer_append(&text, SPAN("1,"));
	buffer_append(&text, SPAN("1]"));
	json_init(&j, buffer_span(&text), &small);
	assert_false(json_read_array(&j, 0, &a, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_false(json_finish(&j, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buffer_done(&text);
	arena_done(&small);
}

/* ---- writer ---- */

static void answers_are_written_compactly(void **state)
{
	struct json_writer w;
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB(4));
	w = json_writer(&out);
	json_open_object(&w);
	json_key(&w, SPAN("response"));
	json_double(&w, 0.06730000000000001);
	json_key(&w, SPAN("success"));
	json_bool(&w, true);
	json_key(&w, SPAN("list"));
	json_open_array(&w);
	json_int64(&w, -5);
	json_uint64(&w, UINT64_MAX);
	json_float(&w, 0.1F);
	json_null(&w);
	json_raw(&w, SPAN("{\"x\":[]}"));
	json_open_object(&w);
	json_close_object(&w);
	json_close_array(&w);
	json_key(&w, SPAN("a\"b"));
	json_string(&w, SPAN("\x01\x1f \" \\ \n \xc3\xa9 \xff\xfe \xe2\x82 /"));
	json_key(&w, SPAN(""));
	json_string(&w, SPAN(""));
	json_close_object(&w);
	assert_true(
	    span_equal(buffer_span(&out),
		       SPAN("{\"response\":0.06730000000000001,\"success\":true,\"list\":[-5,18446744073709551615,0.1,"
			    "null,{\"x\":[]},{}],\"a\\\"b\":\"\\u0001\\u001f \\\" \\\\ \\n \xc3\xa9 "
			    "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd /\",\"\":\"\"}")));
	buffer_done(&out);
}

static void what_is_not_finite_follows_the_protocol(void **state)
{
	static const double values[] = { NAN, INFINITY, -INFINITY, 1 };
	static const float floats[] = { NAN, 2 };
	struct json_writer w;
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB(4));
	w = json_writer(&out);
	json_numbers(&w, JSON_F64, values, 1, (int64_t[]){ 4 });
	json_float(&w, NAN);
	w.nonfinite = JSON_NONFINITE_TOKEN;
	json_numbers(&w, JSON_F64, values, 2, (int64_t[]){ 2, 2 });
	json_numbers(&w, JSON_F32, floats, 1, (int64_t[]){ 2 });
	json_double(&w, -INFINITY);
	assert_true(span_equal(buffer_span(&out), SPAN("[null,null,null,1.0],null,[[NaN,Infinity],[-Infinity,1.0]],"
						       "[NaN,2.0],-Infinity")));
	buffer_done(&out);
}

static void numbers_of_every_type_and_shape_are_written(void **state)
{
	static const int8_t i8[] = { -128, 0, 127 };
	static const uint8_t u8[] = { 0, 9, 255 };
	static const int16_t i16[] = { -32768, 1000, 32767 };
	static const uint16_t u16[] = { 0, 999, 65535 };
	static const int32_t i32[] = { INT32_MIN, 7, INT32_MAX };
	static const uint32_t u32[] = { 0, 100, UINT32_MAX };
	static const int64_t i64[] = { INT64_MIN, 10, INT64_MAX, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	static const uint64_t u64[] = { 0, 99, UINT64_MAX };
	static const float f32[] = { 0.1F, -0.0F, 12 };
	static const double f64[] = { -0.0, 999, 1000, 12.5, 1e16, -3 };
	static const struct {
		enum json_number_type type;
		const void *data;
		int rank;
		int64_t shape[3];
		const char *text;
	} rows[] = {
		{ JSON_I8, i8, 1, { 3 }, "[-128,0,127]" },
		{ JSON_U8, u8, 1, { 3 }, "[0,9,255]" },
		{ JSON_I16, i16, 1, { 3 }, "[-32768,1000,32767]" },
		{ JSON_U16, u16, 1, { 3 }, "[0,999,65535]" },
		{ JSON_I32, i32, 1, { 3 }, "[-2147483648,7,2147483647]" },
		{ JSON_U32, u32, 1, { 3 }, "[0,100,4294967295]" },
		{ JSON_I64, i64, 1, { 3 }, "[-9223372036854775808,10,9223372036854775807]" },
		{ JSON_U64, u64, 1, { 3 }, "[0,99,18446744073709551615]" },
		{ JSON_F32, f32, 1, { 3 }, "[0.1,-0.0,12.0]" },
		{ JSON_F64, f64, 1, { 6 }, "[-0.0,999.0,1000.0,12.5,1e+16,-3.0]" },
		{ JSON_U8, u8 + 1, 0, { 0 }, "9" },
		{ JSON_U8, u8, 2, { 3, 1 }, "[[0],[9],[255]]" },
		{ JSON_U8, u8, 2, { 1, 3 }, "[[0,9,255]]" },
		{ JSON_I64, i64 + 1, 3, { 2, 1, 2 }, "[[[10,9223372036854775807]],[[1,2]]]" },
		{ JSON_I64, i64 + 4, 3, { 2, 2, 2 }, "[[[2,3],[4,5]],[[6,7],[8,9]]]" },
		{ JSON_I64, i64, 1, { 0 }, "[]" },
		{ JSON_I64, i64, 2, { 2, 0 }, "[[],[]]" },
		{ JSON_I64, i64, 2, { 0, 2 }, "[]" },
		{ JSON_I64, i64, 3, { 1, 2, 0 }, "[[[],[]]]" },
		{ JSON_I64, i64, 3, { 2, 0, 3 }, "[[],[]]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json_writer w;
		struct buffer out;

		buffer_init(&out, KIB(4));
		w = json_writer(&out);
		json_numbers(&w, rows[i].type, rows[i].data, rows[i].rank, rows[i].shape);
		if (!span_equal(buffer_span(&out), span_of(rows[i].text)))
			fail_msg("expected %s, got " SPAN_FMT, rows[i].text, SPAN_ARG(buffer_span(&out)));
		buffer_done(&out);
	}
}

static void long_arrays_survive_being_written_and_read(void **state)
{
	(void)state;
	for (int64_t inner = 1; inner <= 1000; inner = inner * 3 + 1) {
		int64_t shape[] = { 2, 1 + 2000 / inner, inner };
		size_t count = (size_t)(shape[0] * shape[1] * shape[2]);
		double *values = base_alloc(count * sizeof(*values));
		struct error err = { 0 };
		struct json_array a;
		struct json_writer w;
		struct buffer out;
		struct json j;

		for (size_t i = 0; i < count; i++)
			values[i] = (double)((i * 2654435761U) % 4000) / (i % 3 ? 1 : 7);
		buffer_init(&out, MIB(1));
		w = json_writer(&out);
		json_numbers(&w, JSON_F64, values, 3, shape);
		json_init(&j, buffer_span(&out), &arena);
		assert_true(json_read_array(&j, 0, &a, &err) && json_finish(&j, &err));
		assert_int_equal(a.count, count);
		assert_memory_equal(a.shape, shape, sizeof(shape));
		assert_memory_equal(a.data, values, count * sizeof(*values));
		buffer_done(&out);
		free(values);
	}
}

static void a_full_buffer_overflows_and_stays_so(void **state)
{
	int64_t shape[] = { 1000, 10 };
	int64_t *zeros = base_calloc(10000, sizeof(*zeros));
	struct json_writer w;
	struct buffer out;

	(void)state;
	buffer_init(&out, 300);
	w = json_writer(&out);
	json_open_array(&w);
	json_numbers(&w, JSON_I64, zeros, 2, shape);
	json_string(&w, SPAN("text that comes later"));
	json_double(&w, 1);
	json_close_array(&w);
	assert_true(out.overflow);
	assert_true(out.len <= 300);
	buffer_done(&out);
	free(zeros);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(valid_texts_come_back_compact, setup, teardown),
		cmocka_unit_test_setup_teardown(texts_outside_the_grammar_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_name_the_place_and_what_was_expected, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_is_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(typed_reads_convert_or_say_why_not, setup, teardown),
		cmocka_unit_test_setup_teardown(bare_tokens_are_read_only_where_they_are_allowed, setup, teardown),
		cmocka_unit_test_setup_teardown(arrays_find_their_kind_and_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(ragged_or_broken_arrays_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(long_arrays_read_the_same_in_every_layout, setup, teardown),
		cmocka_unit_test_setup_teardown(a_spoiler_anywhere_in_a_long_array_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(whatever_ends_a_run_of_numbers_is_skipped_or_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_count_hint_does_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(the_arena_limit_is_an_ordinary_error, setup, teardown),
		cmocka_unit_test(answers_are_written_compactly),
		cmocka_unit_test(what_is_not_finite_follows_the_protocol),
		cmocka_unit_test(numbers_of_every_type_and_shape_are_written),
		cmocka_unit_test_setup_teardown(long_arrays_survive_being_written_and_read, setup, teardown),
		cmocka_unit_test(a_full_buffer_overflows_and_stays_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
