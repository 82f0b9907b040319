/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inference/multipart.h"
#include "inference/seldon_message.h"
#include "wire/protobuf.h"

/* ---- what an echo answers ---- */

static const struct seldon_unit no_unit;

static bool is_data(const struct seldon_message *m)
{
	return m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR;
}

static bool echo(const struct seldon_message *m, struct arena *arena, struct buffer *out, struct error *err)
{
	struct seldon_message answer = *m;

	if (is_data(m) && !seldon_answer(&answer, m, &m->tensor, NULL, 0, arena, err))
		return false;
	return seldon_write(out, &answer, &no_unit, arena, err);
}

static void json_messages_are_read_and_written(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "{\"data\":{\"ndarray\":[[1,2],[3,4]]}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"ndarray\":[[1,2],[3,4]]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[[1,2.5]]}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"ndarray\":[[1.0,2.5]]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[1,2]}}", "{\"data\":{\"names\":[],\"ndarray\":[1,2]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[]}}", "{\"data\":{\"names\":[],\"ndarray\":[]},\"meta\":{}}" },
		{ "{\"data\":{\"names\":[\"a\"]}}", "{\"data\":{\"names\":[],\"ndarray\":[]},\"meta\":{}}" },
		{ "{\"data\":{}}", "{\"data\":{\"names\":[],\"ndarray\":[]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[[\"a\",1],[2.5,true]]}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"ndarray\":[[\"a\",\"1\"],[\"2.5\",\"True\"]]},\"meta\":{}"
		  "}" },
		{ "{\"data\":{\"ndarray\":[true,false]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[true,false]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[true,2]}}", "{\"data\":{\"names\":[],\"ndarray\":[1,2]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[NaN,Infinity,-Infinity,1]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[NaN,Infinity,-Infinity,1.0]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[9007199254740993,18446744073709551615]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[9007199254740993,18446744073709551615]},\"meta\":{}}" },
		{ "{\"data\":{\"tensor\":{\"shape\":[2,1],\"values\":[1,2]}}}",
		  "{\"data\":{\"names\":[\"t:0\"],\"tensor\":{\"shape\":[2,1],\"values\":[1,2]}},\"meta\":{}}" },
		{ "{\"data\":{\"tensor\":{\"values\":[1.5,2],\"shape\":[2]}}}",
		  "{\"data\":{\"names\":[],\"tensor\":{\"shape\":[2],\"values\":[1.5,2.0]}},\"meta\":{}}" },
		{ "{\"data\":{\"tensor\":{\"values\":[1,2,3,4],\"shape\":[2,-1]}}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"tensor\":{\"shape\":[2,2],\"values\":[1,2,3,4]}},\"meta\":{"
		  "}}" },
		{ "{\"data\":{\"tensor\":{\"values\":[],\"shape\":[0,3]}}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\",\"t:2\"],\"tensor\":{\"shape\":[0,3],\"values\":[]}},\"meta\":"
		  "{}}" },
		{ "{\"data\":{\"tensor\":{\"values\":[\"a\"],\"shape\":[1]}}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[\"a\"]},\"meta\":{}}" },
		{ "{\"data\":{\"ndarray\":[7],\"tensor\":{\"shape\":[1],\"values\":[1]}}}",
		  "{\"data\":{\"names\":[],\"tensor\":{\"shape\":[1],\"values\":[1]}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_FLOAT\",\"tensorShape\":{\"dim\":[{\"size\":\"2\"}]},"
		  "\"floatVal\":[1,0.1]}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"dtype\":\"DT_FLOAT\",\"floatVal\":[1.0,0.1],\"tensorShape\":"
		  "{\"dim\":["
		  "{\"size\":\"2\"}]}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":2,\"tensor_shape\":{\"dim\":[{\"size\":3}]},\"double_val\":[7]}}"
		  "}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"doubleVal\":[7.0,7.0,7.0],\"dtype\":\"DT_DOUBLE\","
		  "\"tensorShape\":{\"dim\":["
		  "{\"size\":\"3\"}]}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_INT64\",\"tensorShape\":{\"dim\":[{\"size\":\"2\"}]},"
		  "\"int64Val\":[\"9007199254740993\",5]}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"dtype\":\"DT_INT64\",\"int64Val\":[\"9007199254740993\","
		  "\"5\"],"
		  "\"tensorShape\":{\"dim\":[{\"size\":\"2\"}]}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_DOUBLE\",\"tensorShape\":{},\"doubleVal\":[\"NaN\"]}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"doubleVal\":[\"NaN\"],\"dtype\":\"DT_DOUBLE\","
		  "\"tensorShape\":{}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_INT32\",\"tensorShape\":{\"dim\":[{\"size\":\"1\"}]},"
		  "\"tensorContent\":\"AQAAAA==\"}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"dtype\":\"DT_INT32\",\"tensorContent\":\"AQAAAA==\","
		  "\"tensorShape\":{\"dim\":["
		  "{\"size\":\"1\"}]}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_STRING\",\"tensorShape\":{\"dim\":[{\"size\":\"1\"}]},"
		  "\"stringVal\":[\"aGk=\"]}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"dtype\":\"DT_STRING\",\"stringVal\":[\"aGk=\"],"
		  "\"tensorShape\":{\"dim\":["
		  "{\"size\":\"1\"}]}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_BOOL\",\"tensorShape\":{\"dim\":[{\"size\":\"1\"}]},"
		  "\"boolVal\":[true]}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"boolVal\":[true],\"dtype\":\"DT_BOOL\",\"tensorShape\":{"
		  "\"dim\":["
		  "{\"size\":\"1\"}]}}},\"meta\":{}}" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_HALF\",\"tensorShape\":{\"dim\":[{\"size\":\"1\"}]},"
		  "\"halfVal\":[15360]}}}",
		  "{\"data\":{\"names\":[],\"tftensor\":{\"dtype\":\"DT_HALF\",\"halfVal\":[15360],\"tensorShape\":{"
		  "\"dim\":["
		  "{\"size\":\"1\"}]}}},\"meta\":{}}" },
		{ "{\"strData\":\"caf\\u00e9\"}", "{\"meta\":{},\"strData\":\"caf\xc3\xa9\"}" },
		{ "{\"binData\":\"aGVsbG8=\"}", "{\"binData\":\"aGVsbG8=\",\"meta\":{}}" },
		{ "{\"binData\":\"\"}", "{\"binData\":\"\",\"meta\":{}}" },
		{ "{\"jsonData\":{\"b\":[1,{\"z\":0,\"a\":1}],\"a\":null}}",
		  "{\"jsonData\":{\"a\":null,\"b\":[1,{\"a\":1,\"z\":0}]},\"meta\":{}}" },
		{ "{\"jsonData\": [ 1 , 2 ]}", "{\"jsonData\":[ 1 , 2 ],\"meta\":{}}" },
		{ "{\"jsonData\":null}", "{\"jsonData\":null,\"meta\":{}}" },
		{ "{\"jsonData\":{\"a\":1,\"a\":2}}", "{\"jsonData\":{\"a\":2},\"meta\":{}}" },
		{ "{\"strData\":\"s\",\"binData\":\"aA==\"}", "{\"meta\":{},\"strData\":\"s\"}" },
		{ "{\"binData\":\"aA==\",\"strData\":\"s\"}", "{\"meta\":{},\"strData\":\"s\"}" },
		{ "{\"jsonData\":1,\"strData\":\"s\"}", "{\"jsonData\":1,\"meta\":{}}" },
		{ "{\"strData\":\"s\",\"data\":{\"ndarray\":[1]},\"jsonData\":2}",
		  "{\"data\":{\"names\":[],\"ndarray\":[1]},\"meta\":{}}" },
		{ "{\"meta\":{\"puid\":\"p1\",\"tags\":{\"z\":1,\"a\":{\"y\":2,\"b\":3}},\"routing\":{\"r\":1},"
		  "\"requestPath\":{\"n\":\"i\"},"
		  "\"metrics\":[{\"value\":1,\"key\":\"k\"}]},\"strData\":\"s\"}",
		  "{\"meta\":{\"metrics\":[{\"key\":\"k\",\"value\":1}],\"puid\":\"p1\",\"tags\":{\"a\":{\"b\":3,\"y\":"
		  "2},\"z\":1}},"
		  "\"strData\":\"s\"}" },
		{ "{\"meta\":null,\"strData\":\"s\",\"status\":{\"code\":1}}", "{\"meta\":{},\"strData\":\"s\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seldon_message m;
		struct error err = { 0 };
		struct arena arena;
		struct buffer out;

		arena_init(&arena, MIB(4));
		buffer_init(&out, MIB(1));
		if (!seldon_read_json(&m, span_of(rows[i].in), &arena, &err) || !echo(&m, &arena, &out, &err))
			fail_msg("row %zu %s: %s", i, rows[i].in, err.message);
		if (!span_equal(buffer_span(&out), span_of(rows[i].out)))
			fail_msg("row %zu:\n%.*s\nexpected\n%s", i, (int)out.len, out.ptr, rows[i].out);
		buffer_done(&out);
		arena_done(&arena);
	}
}

static void hostile_json_is_refused_with_what_is_wrong(void **state)
{
	static const struct {
		const char *in, *message;
	} rows[] = {
		{ "", "Can't find JSON" },
		{ " ", "Can't find JSON" },
		{ "x", "Can't find JSON" },
		{ "{", "" },
		{ "}", "" },
		{ "{]", "" },
		{ "{\"data\"}", "" },
		{ "{\"data\":}", "" },
		{ "{\"data\":{\"ndarray\":[1]}", "" },
		{ "{\"data\":{\"ndarray\":[1]}}}", "" },
		{ "{\"data\":{\"ndarray\":[1]}} x", "" },
		{ "{\"data\":{\"ndarray\":[1]},}", "" },
		{ "[]", "Invalid request data type: a list" },
		{ "[{\"data\":{}}]", "Invalid request data type: a list" },
		{ "1", "Invalid request data type" },
		{ "\"data\"", "Invalid request data type" },
		{ "null", "Invalid request data type" },
		{ "{\"data\":null}", "data must be an object" },
		{ "{\"data\":[]}", "data must be an object" },
		{ "{\"data\":\"x\"}", "data must be an object" },
		{ "{\"data\":5}", "data must be an object" },
		{ "{\"data\":{\"ndarray\":null}}", "data.ndarray must be a list" },
		{ "{\"data\":{\"ndarray\":5}}", "data.ndarray must be a list" },
		{ "{\"data\":{\"ndarray\":{}}}", "data.ndarray must be a list" },
		{ "{\"data\":{\"ndarray\":[[1,2],[3]]}}", "data.ndarray" },
		{ "{\"data\":{\"ndarray\":[[1,2],3]}}", "data.ndarray" },
		{ "{\"data\":{\"ndarray\":[1,[2]]}}", "data.ndarray" },
		{ "{\"data\":{\"ndarray\":[[[1]],[[1],[2]]]}}", "data.ndarray" },
		{ "{\"data\":{\"ndarray\":[[],[1]]}}", "data.ndarray" },
		{ "{\"data\":{\"ndarray\":[{\"a\":1}]}}", "holds an object" },
		{ "{\"data\":{\"ndarray\":[1,{}]}}", "holds an object" },
		{ "{\"data\":{\"ndarray\":[[[[[[[[[1]]]]]]]]]}}", "nested 9 deep" },
		{ "{\"data\":{\"ndarray\":[1 2]}}", "" },
		{ "{\"data\":{\"ndarray\":[01]}}", "" },
		{ "{\"data\":{\"ndarray\":[1.]}}", "" },
		{ "{\"data\":{\"ndarray\":[+1]}}", "" },
		{ "{\"data\":{\"ndarray\":[0x10]}}", "" },
		{ "{\"data\":{\"ndarray\":[nan]}}", "" },
		{ "{\"data\":{\"ndarray\":[\"a\\ud800\"]}}", "" },
		{ "{\"data\":{\"tensor\":[]}}", "data.tensor must be an object" },
		{ "{\"data\":{\"tensor\":{}}}", "data.tensor has no shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1]}}}", "data.tensor has no values" },
		{ "{\"data\":{\"tensor\":{\"values\":[1]}}}", "data.tensor has no shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[2,3],\"values\":[1,2,3,4,5]}}}", "[2,3] needs 6 values, not 5" },
		{ "{\"data\":{\"tensor\":{\"shape\":[2],\"values\":[]}}}", "needs 2 values, not 0" },
		{ "{\"data\":{\"tensor\":{\"shape\":[],\"values\":[1,2]}}}", "needs 1 values, not 2" },
		{ "{\"data\":{\"tensor\":{\"shape\":[-2],\"values\":[1,2]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[-1,-1],\"values\":[1,2]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[-1,3],\"values\":[1,2]}}}", "needs" },
		{ "{\"data\":{\"tensor\":{\"shape\":[-1,0],\"values\":[1]}}}", "needs" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1.5],\"values\":[1]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[\"1\"],\"values\":[1]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[null],\"values\":[1]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":1,\"values\":[1]}}}", "data.tensor.shape must be a list" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1],\"values\":1}}}", "data.tensor.values must be a list" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1],\"values\":{}}}}", "data.tensor.values must be a list" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1],\"values\":[{}]}}}", "holds an object" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1,1,1,1,1,1,1,1,1],\"values\":[1]}}}", "more than 8 dimensions" },
		{ "{\"data\":{\"tensor\":{\"shape\":[4611686018427387904,4],\"values\":[1]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[9223372036854775807],\"values\":[1]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[99999999999999999999],\"values\":[1]}}}", "data.tensor.shape" },
		{ "{\"data\":{\"tensor\":{\"shape\":[1000000000,1000000000],\"values\":[]}}}", "needs" },
		{ "{\"data\":{\"names\":\"a\",\"ndarray\":[1]}}", "data.names must be a list of texts" },
		{ "{\"data\":{\"names\":[1],\"ndarray\":[1]}}", "data.names must be a list of texts" },
		{ "{\"data\":{\"names\":[[\"a\"]],\"ndarray\":[1]}}", "data.names must be a list of texts" },
		{ "{\"data\":{\"names\":{},\"ndarray\":[1]}}", "data.names must be a list of texts" },
		{ "{\"data\":{\"tftensor\":[]}}", "data.tftensor must be an object" },
		{ "{\"data\":{\"tftensor\":{}}}", "data.tftensor has no dtype" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":\"DT_COMPLEX64\"}}}", "DT_COMPLEX64" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":99}}}", "99" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":-1}}}", "-1" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":[]}}}", "data.tftensor.dtype" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":[]}}}", "tensorShape must be an object" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[1]}}}}", "tensorShape" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":-1}]}}}}",
		  "dimension of -1" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":\"x\"}]}}}}",
		  "whole number" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":4611686018427387904},{"
		  "\"size\":9}]}}}}",
		  "tftensor" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":1000000000}]},\"floatVal\":"
		  "[1]}}}",
		  "repeats" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":2}]}}}}",
		  "needs 2 values in floatVal, not 0" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":1}]},\"floatVal\":[1,2]}}}",
		  "not 2" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"floatVal\":[[1]]}}}", "flat list" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"floatVal\":[null]}}}", "null" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"floatVal\":[\"a\"]}}}", "not a number" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"floatVal\":5}}}", "must be a list" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":4,\"intVal\":[300]}}}", "intVal" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":3,\"intVal\":[1.5]}}}", "intVal" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":9,\"int64Val\":[\"1.5\"]}}}", "not a number of its type" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorShape\":{\"dim\":[{\"size\":1}]},\"tensorContent\":"
		  "\"AQ==\"}}}",
		  "needs 4 bytes" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorContent\":\"***\"}}}", "tensorContent" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":1,\"tensorContent\":5}}}", "base64" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":10,\"tensorContent\":\"Ag==\"}}}", "neither 0 nor 1" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":7,\"tensorContent\":\"Ag==\"}}}", "stringVal" },
		{ "{\"data\":{\"tftensor\":{\"dtype\":7,\"stringVal\":[\"*\"]}}}", "stringVal[0]" },
		{ "{\"binData\":\"a\"}", "binData" },
		{ "{\"binData\":\"a*==\"}", "binData" },
		{ "{\"binData\":\"aGk=\\n\"}", "binData" },
		{ "{\"binData\":5}", "binData must be base64 text" },
		{ "{\"binData\":null}", "binData must be base64 text" },
		{ "{\"strData\":5}", "strData must be text" },
		{ "{\"strData\":null}", "strData must be text" },
		{ "{\"strData\":\"\\x\"}", "strData" },
		{ "{\"strData\":\"a\tb\"}", "strData" },
		{ "{\"jsonData\":}", "" },
		{ "{\"jsonData\":{\"a\":}}", "" },
		{ "{\"meta\":5,\"strData\":\"s\"}", "meta must be an object" },
		{ "{\"meta\":[],\"strData\":\"s\"}", "meta must be an object" },
		{ "{\"meta\":{\"puid\":5},\"strData\":\"s\"}", "meta.puid must be text" },
		{ "{\"meta\":{\"tags\":[]},\"strData\":\"s\"}", "meta.tags must be an object" },
		{ "{\"meta\":{\"metrics\":{}},\"strData\":\"s\"}", "meta.metrics must be a list" },
		{ "{\"meta\":{\"requestPath\":\"x\"},\"strData\":\"s\"}", "meta.requestPath must be an object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seldon_message m = { .name_count = 77 };
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena, MIB(1)); /* no row may cost more */
		if (seldon_read_json(&m, span_of(rows[i].in), &arena, &err))
			fail_msg("row %zu is accepted: %s", i, rows[i].in);
		if (err.code != ERROR_INVALID && !(err.code == ERROR_TOO_LARGE && (strstr(rows[i].in, "1000000000") ||
										   strstr(rows[i].in, "46116860184"))))
			if (!strstr(rows[i].in, "99999999") && !strstr(rows[i].in, "9223372036854775807"))
				fail_msg("row %zu: code %d: %s", i, err.code, err.message);
		if (!strstr(err.message, rows[i].message) || !err.message[0])
			fail_msg("row %zu %s: '%s' lacks '%s'", i, rows[i].in, err.message, rows[i].message);
		assert_int_equal(m.name_count, 77);
		arena_done(&arena);
	}
}

static void deep_json_is_refused_and_not_a_crash(void **state)
{
	size_t depth = 100000;
	char *text = malloc(depth + 32);
	struct seldon_message m;
	struct error err = { 0 };
	struct arena arena;
	int head = snprintf(text, 32, "{\"jsonData\":");

	(void)state;
	memset(text + head, '[', depth);
	arena_init(&arena, MIB(64));
	assert_false(seldon_read_json(&m, span_from(text, (size_t)head + depth), &arena, &err));
	head = snprintf(text, 32, "{\"data\":{\"ndarray\":");
	memset(text + head, '[', depth);
	err = (struct error){ 0 };
	assert_false(seldon_read_json(&m, span_from(text, (size_t)head + depth), &arena, &err));
	arena_done(&arena);
	free(text);
}

static void feedback_is_read(void **state)
{
	static const struct {
		const char *in;
		double reward;
		const char *puid;
	} rows[] = {
		{ "{}", 0, "" },
		{ "{\"reward\":1}", 1, "" },
		{ "{\"reward\":0.5,\"request\":{\"meta\":{\"puid\":\"a\"}}}", 0.5, "a" },
		{ "{\"reward\":\"0.25\",\"request\":{\"meta\":{\"puid\":\"a\"}},\"response\":{\"meta\":{\"puid\":\"b\"}"
		  "},\"truth\":null}",
		  0.25, "b" },
		{ "{\"request\":{\"data\":{\"ndarray\":[[1]]}},\"truth\":{\"data\":{\"ndarray\":[1]}},\"reward\":-2}",
		  -2, "" },
	};
	static const char *const bad[] = {
		"",
		"[]",
		"5",
		"{\"reward\":\"a\"}",
		"{\"reward\":null}",
		"{\"reward\":[]}",
		"{\"reward\":{}}",
		"{\"request\":5}",
		"{\"response\":[]}",
		"{\"truth\":\"t\"}",
		"{\"request\":{\"meta\":5}}",
		"{\"request\":{\"meta\":{\"puid\":1}}}",
		"{\"reward\":1",
		"{\"reward\":1}}",
	};
	struct seldon_feedback f;
	struct error err = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!seldon_read_feedback_json(&f, span_of(rows[i].in), &arena, &err))
			fail_msg("%s: %s", rows[i].in, err.message);
		assert_true(f.reward == rows[i].reward);
		assert_true(span_equal(f.puid, span_of(rows[i].puid)));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err = (struct error){ 0 };
		if (seldon_read_feedback_json(&f, span_of(bad[i]), &arena, &err))
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(err.code, ERROR_INVALID);
	}
	arena_done(&arena);
}

/* ---- protobuf ---- */

/* Bytes of a message, written as hex with spaces. */
static struct span bytes_of(const char *hex, char *out)
{
	size_t n = 0;

	for (; *hex; hex++) {
		unsigned value;

		if (*hex == ' ')
			continue;
		value = (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10) << 4;
		hex++;
		value |= (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
		out[n++] = (char)value;
	}
	return span_from(out, n);
}

static void protobuf_messages_come_back_as_they_went(void **state)
{
	/* meta always comes first and is always there; names are made. */
	static const struct {
		const char *in, *out;
	} rows[] = {
		/* strData "hi" */
		{ "2a 02 6869", "12 00 2a 02 6869" },
		{ "22 02 6869", "12 00 22 02 6869" },
		/* jsonData null */
		{ "32 02 0800", "12 00 32 02 0800" },
		/* customData */
		{ "3a 03 0a0161", "12 00 3a 03 0a0161" },
		/* data.tensor shape [1], values [1.0] packed, and the same not packed */
		{ "1a 0f 120d 0a0101 1208 000000000000f03f", "12 00 1a 0f 120d 0a0101 1208 000000000000f03f" },
		{ "1a 0d 120b 0801 11 000000000000f03f", "12 00 1a 0f 120d 0a0101 1208 000000000000f03f" },
		/* data.tensor shape [1,1]: a name */
		{ "1a 10 120e 0a020101 1208 000000000000f03f",
		  "12 00 1a 15 0a03743a30 120e 0a020101 1208 000000000000f03f" },
		/* data.ndarray [1.0] */
		{ "1a 0d 1a0b 0a09 11000000000000f03f", "12 00 1a 0d 1a0b 0a09 11000000000000f03f" },
		/* data.ndarray [[1.0]] */
		{ "1a 11 1a0f 0a0d 320b 0a09 11000000000000f03f",
		  "12 00 1a 16 0a03743a30 1a0f 0a0d 320b 0a09 11000000000000f03f" },
		/* data.ndarray ["a"], [true], [] */
		{ "1a 07 1a05 0a03 1a0161", "12 00 1a 07 1a05 0a03 1a0161" },
		{ "1a 06 1a04 0a02 2001", "12 00 1a 06 1a04 0a02 2001" },
		{ "1a 02 1a00", "12 00 1a 02 1a00" },
		/* data with a name only */
		{ "1a 03 0a0161", "12 00 1a 02 1a00" },
		/* data.tftensor of one int32 in intVal: comes back as bytes */
		{ "1a 0d 220b 0803 1204 1202 0801 3a0105", "12 00 1a 10 220e 0803 1204 1202 0801 2204 05000000" },
		/* meta: puid p, tags {t: null}, routing dropped, requestPath dropped, metrics kept */
		{ "12 20 0a0170 1207 0a0174 1202 0800 1a05 0a0172 1001 2206 0a0161 120162 2a03 0a016b 2a 0161",
		  "12 11 0a0170 1207 0a0174 1202 0800 2a03 0a016b 2a 0161" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seldon_message m;
		struct error err = { 0 };
		struct arena arena;
		struct buffer out;
		char in[256], expected[256];
		struct span want = bytes_of(rows[i].out, expected);

		arena_init(&arena, MIB(1));
		buffer_init(&out, MIB(1));
		if (!seldon_read_protobuf(&m, bytes_of(rows[i].in, in), &arena, &err) || !echo(&m, &arena, &out, &err))
			fail_msg("row %zu: %s", i, err.message);
		if (!span_equal(buffer_span(&out), want)) {
			for (size_t k = 0; k < out.len; k++)
				printf("%02x", (unsigned char)out.ptr[k]);
			fail_msg(" came, row %zu expected %s", i, rows[i].out);
		}
		buffer_done(&out);
		arena_done(&arena);
	}
}

static void hostile_protobuf_is_refused(void **state)
{
	static const char *const rows[] = {
		"ff",                                                          /* a cut tag */
		"00",                                                          /* field 0 */
		"1b",                                                          /* a group */
		"1a 05 12",                                                    /* longer than the message */
		"10 01 12",                                                    /* meta cut off behind another field */
		"18 01",                                                       /* data as a varint */
		"28 01",                                                       /* strData as a varint */
		"2a 01 ff",                                                    /* strData that is not UTF-8 */
		"20 01",                                                       /* binData as a varint */
		"12 03 0a01ff",                                                /* puid that is not UTF-8 */
		"12 02 0a05",                                                  /* a cut puid */
		"1a 02 1005",                                                  /* tensor as a varint */
		"1a 04 1202 0a05",                                             /* a cut shape */
		"1a 05 1203 120101",                                           /* values of one byte */
		"1a 0f 120d 0a0102 1208 000000000000f03f",                     /* shape [2], one value */
		"1a 0a 1208 1206 010101010101",                                /* six bytes of doubles */
		"1a 18 1216 0a0a ffffffffffffffffff01 1208 000000000000f03f ", /* shape [-1] is fine; [-2] is not */
		"1a 18 1216 0a0a feffffffffffffffff01 1208 000000000000f03f",
		"1a 0d 120b 0a09 010101010101010101",                 /* nine dimensions */
		"1a 11 120f 0a05 ffffffff07 1208 000000000000f03f",   /* two thousand million */
		"1a 0b 1a09 0a07 3205 0a03 1a0161 ff",                /* trailing rubbish */
		"1a 08 1a06 0a02 0800 0a02 3200 ",                    /* a null, then a list */
		"1a 12 1a10 0a06 3204 0a02 2001 0a04 3202 0a00 0a00", /* [[true],[null],null]: a bare null after lists
								       */
		"1a 0a 1a08 0a06 2a04 0a02 0a00",                     /* a struct in an ndarray */
		"1a 04 1a02 0a05",                                    /* a cut value */
		"1a 04 1a02 0801",                                    /* a value as a varint */
		"1a 03 0a01ff",                                       /* a name that is not UTF-8 */
		"1a 02 2200 ",                                        /* tftensor without a type */
		"1a 04 2202 0863",                                    /* type 99 */
		"1a 0c 220a 0801 1206 1204 08ffff03 ",                /* float [65535] without values */
		"1a 0d 220b 0801 1207 1205 08ffffff7f",               /* much larger */
		"1a 08 2206 0801 1202 1801",                          /* unknown rank */
		"1a 08 2206 0801 2202 0101",                          /* two bytes for a float */
		"1a 08 2206 0804 3a02 ac02",                          /* 300 as UINT8 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seldon_message m;
		struct error err = { 0 };
		struct arena arena;
		char in[256];
		bool is_fine = i == 16;

		arena_init(&arena, MIB(1));
		if (seldon_read_protobuf(&m, bytes_of(rows[i], in), &arena, &err) != is_fine)
			fail_msg("row %zu (%s): %s", i, rows[i], err.message);
		if (!is_fine && err.code != ERROR_INVALID && err.code != ERROR_TOO_LARGE)
			fail_msg("row %zu (%s): code %d", i, rows[i], err.code);
		arena_done(&arena);
	}
}

static void a_component_adds_itself_to_the_path(void **state)
{
	static const struct seldon_unit unit = { SPAN_INIT("node"), SPAN_INIT("image:1"), false, { 0 } };
	static const struct seldon_unit edge = { SPAN_INIT("node"), SPAN_INIT("image:1"), true, { 0 } };
	static const struct span questions[] = { SPAN_INIT("{\"strData\":\"s\"}"),
						 SPAN_INIT("{\"meta\":{\"requestPath\":{},\"tags\":{\"t\":1}}}"),
						 SPAN_INIT("{\"meta\":{\"requestPath\":{ }}}"),
						 SPAN_INIT("{\"meta\":{\"requestPath\":{\"a\":\"b\"}}}") };
	struct seldon_unit with_said = edge;
	struct seldon_message m;
	struct error err = { 0 };
	struct arena arena;
	struct buffer out, said, same;
	char in[128], want[128];

	(void)state;
	arena_init(&arena, MIB(1));
	buffer_init(&out, MIB(1));
	buffer_init(&said, KIB(1));
	buffer_init(&same, MIB(1));
	assert_true(
	    seldon_read_json(&m, SPAN("{\"meta\":{\"requestPath\":{\"a\":\"b\"}},\"strData\":\"s\"}"), &arena, &err));
	assert_true(seldon_write(&out, &m, &unit, &arena, &err));
	assert_true(
	    span_equal(buffer_span(&out),
		       SPAN("{\"meta\":{\"requestPath\":{\"a\":\"b\",\"node\":\"image:1\"}},\"strData\":\"s\"}")));
	buffer_clear(&out);
	assert_true(seldon_read_json(&m, SPAN("{\"meta\":{\"requestPath\":{ }},\"strData\":\"s\"}"), &arena, &err));
	assert_true(seldon_write(&out, &m, &unit, &arena, &err));
	assert_true(span_equal(buffer_span(&out),
			       SPAN("{\"meta\":{\"requestPath\":{\"node\":\"image:1\"}},\"strData\":\"s\"}")));
	buffer_clear(&out);
	assert_true(seldon_read_protobuf(&m, bytes_of("2a0173", in), &arena, &err));
	assert_true(seldon_write(&out, &m, &unit, &arena, &err));
	assert_true(span_starts(buffer_span(&out), bytes_of("12 11 22 0f 0a 04", want)));
	/* The orchestrator of a graph of one node: its routing, and a puid that is its own where the question had none. */
	buffer_clear(&out);
	m.puid = SPAN("p");
	assert_true(seldon_write(&out, &m, &edge, &arena, &err));
	assert_true(span_starts(buffer_span(&out), bytes_of("12 27 22 0f 0a 04", want)));
	assert_true(
	    span_ends(buffer_span(&out), bytes_of("0a0170 1a11 0a04 6e6f6465 10 ffffffffffffffffff01 2a0173", want)));
	buffer_clear(&out);
	assert_true(seldon_read_json(&m, SPAN("{\"strData\":\"s\"}"), &arena, &err));
	m.puid = SPAN("p");
	assert_true(seldon_write(&out, &m, &edge, &arena, &err));
	assert_true(
	    span_equal(buffer_span(&out), SPAN("{\"meta\":{\"puid\":\"p\",\"requestPath\":{\"node\":\"image:1\"},"
					       "\"routing\":{\"node\":-1}},\"strData\":\"s\"}")));
	/* What it says of every answer, written beforehand, changes nothing. */
	seldon_write_said(&said, edge.name, edge.image);
	with_said.said = buffer_span(&said);
	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		buffer_clear(&out);
		buffer_clear(&same);
		assert_true(seldon_read_json(&m, questions[i], &arena, &err));
		m.puid = SPAN("p");
		assert_true(seldon_write(&out, &m, &edge, &arena, &err));
		assert_true(seldon_write(&same, &m, &with_said, &arena, &err));
		assert_true(out.len > 0 && span_equal(buffer_span(&out), buffer_span(&same)));
	}
	buffer_done(&same);
	buffer_done(&said);
	buffer_done(&out);
	arena_done(&arena);
}

static void a_large_ndarray_keeps_its_numbers_in_protobuf(void **state)
{
	enum { ROWS = 300, COLUMNS = 40, COUNT = ROWS * COLUMNS };
	static double values[COUNT];
	struct seldon_message m = { .kind = SELDON_NDARRAY, .is_protobuf = true }, back;
	struct error err = { 0 };
	struct arena arena;
	struct buffer out;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		values[i] = (double)i / 7;
	m.tensor = (struct tensor){
		.dtype = DTYPE_FP64, .rank = 3, .shape = { ROWS, 8, COLUMNS / 8 }, .count = COUNT, .data = values
	};
	arena_init(&arena, MIB(16));
	buffer_init(&out, MIB(16));
	assert_true(echo(&m, &arena, &out, &err));
	assert_true(seldon_read_protobuf(&back, buffer_span(&out), &arena, &err));
	assert_int_equal(back.kind, SELDON_NDARRAY);
	assert_int_equal(back.tensor.rank, 3);
	assert_int_equal(back.tensor.shape[1], 8);
	assert_int_equal(back.name_count, 8);
	assert_memory_equal(back.tensor.data, values, sizeof(values));
	buffer_done(&out);
	arena_done(&arena);
}

/* ---- forms ---- */

static void multipart_bodies_are_split(void **state)
{
	static const char body[] =
	    "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{}\r\n--B  \r\n"
	    "content-type: x\r\ncontent-disposition: form-data; filename=\"a;b\"; name=binData\r\n\r\n\r\n\r\n"
	    "--B--\r\n";
	struct multipart_part part;
	struct multipart m;
	struct error err = { 0 };

	(void)state;
	assert_true(multipart_init(&m, SPAN("multipart/form-data; charset=x; boundary=\"B\""), span_of(body), &err));
	assert_true(multipart_next(&m, &part, &err));
	assert_true(span_equal(part.name, SPAN("data")) && span_equal(part.content, SPAN("{}")) && !part.is_file);
	assert_true(multipart_next(&m, &part, &err));
	assert_true(span_equal(part.name, SPAN("binData")) && span_equal(part.content, SPAN("\r\n")) && part.is_file);
	assert_false(multipart_next(&m, &part, &err));
	assert_false(m.failed);
}

static void hostile_multipart_is_refused(void **state)
{
	static const struct {
		const char *type, *body;
	} rows[] = {
		{ "multipart/form-data", "--B--" },
		{ "multipart/form-data; boundary=", "--B--" },
		{ "multipart/form-data; boundary=B", "" },
		{ "multipart/form-data; boundary=B", "x" },
		{ "multipart/form-data; boundary=B", "--B" },
		{ "multipart/form-data; boundary=B", "--Bx\r\n\r\n--B--" },
		{ "multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx" },
		{ "multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--" },
		{ "multipart/form-data; boundary=B", "--B\r\nno head\r\n--B--" },
		{ "multipart/form-data; boundary=B", "--B\r\n\r\n\r\n--B--" },
		{ "multipart/form-data; "
		  "boundary=0123456789012345678901234567890123456789012345678901234567890123456789x",
		  "--B--" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct multipart_part part;
		struct multipart m;
		struct error err = { 0 };

		if (multipart_init(&m, span_of(rows[i].type), span_of(rows[i].body), &err))
			while (multipart_next(&m, &part, &err))
				;
		if (!m.failed || err.code != ERROR_INVALID)
			fail_msg("row %zu is accepted", i);
	}
}

static void only_visible_text_is_a_puid_in_a_header(void **state)
{
	(void)state;
	assert_true(seldon_puid_is_sane(SPAN("6b0bf5f2-1f0a-4c2e-9c5e-1f2e3d4c5b6a")));
	assert_false(seldon_puid_is_sane(SPAN("")));
	assert_false(seldon_puid_is_sane(SPAN("a\r\nset-cookie: x")));
	assert_false(seldon_puid_is_sane(SPAN("a b")));
	assert_false(seldon_puid_is_sane(SPAN("caf\xc3\xa9")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_messages_are_read_and_written),
		cmocka_unit_test(hostile_json_is_refused_with_what_is_wrong),
		cmocka_unit_test(deep_json_is_refused_and_not_a_crash),
		cmocka_unit_test(feedback_is_read),
		cmocka_unit_test(protobuf_messages_come_back_as_they_went),
		cmocka_unit_test(hostile_protobuf_is_refused),
		cmocka_unit_test(a_component_adds_itself_to_the_path),
		cmocka_unit_test(a_large_ndarray_keeps_its_numbers_in_protobuf),
		cmocka_unit_test(multipart_bodies_are_split),
		cmocka_unit_test(hostile_multipart_is_refused),
		cmocka_unit_test(only_visible_text_is_a_puid_in_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
