/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inference/records.h"

/* ---- models ---- */

static struct tensor_spec matrix[] = { { SPAN_INIT("x"), DTYPE_FP32, 2, { -1, 3 } } };
static struct tensor_spec typed[] = {
	{ SPAN_INIT("age"), DTYPE_FP32, 2, { -1, 1 } },
	{ SPAN_INIT("town"), DTYPE_BYTES, 2, { -1, 1 } },
	{ SPAN_INIT("count"), DTYPE_INT64, 1, { -1 } },
};
static struct tensor_spec image[] = { { SPAN_INIT("pixels"), DTYPE_UINT8, 4, { -1, 2, 2, 3 } } };
static struct tensor_spec anything[] = { { SPAN_INIT("input"), DTYPE_FP64, 1, { -1 } } };
static struct span abc[] = { SPAN_INIT("a"), SPAN_INIT("b"), SPAN_INIT("c") };
static struct span typed_names[] = { SPAN_INIT("age"), SPAN_INIT("town"), SPAN_INIT("count") };

static const struct model_info matrix_info = { .inputs = matrix, .input_count = 1, .feature_count = 3 };
static const struct model_info missing_info = {
	.inputs = matrix, .input_count = 1, .feature_count = 3, .takes_missing = true
};
static const struct model_info typed_info = { .inputs = typed, .input_count = 3, .feature_count = 3 };
static const struct model_info image_info = { .inputs = image, .input_count = 1 };
static const struct model_info echo_info = { .inputs = anything, .input_count = 1, .any_input = true };
static const struct model_info empty_info = { .input_count = 0 };

static const struct served named = { .name = SPAN_INIT("m"), .info = &matrix_info, .columns = abc, .column_count = 3 };
static const struct served nameless = { .name = SPAN_INIT("m"), .info = &matrix_info };
static const struct served missing = {
	.name = SPAN_INIT("m"), .info = &missing_info, .columns = abc, .column_count = 3
};
static const struct served columns = {
	.name = SPAN_INIT("m"), .info = &typed_info, .columns = typed_names, .column_count = 3
};
static const struct served picture = { .name = SPAN_INIT("m"), .info = &image_info };
static const struct served echoing = { .name = SPAN_INIT("m"), .info = &echo_info };
static const struct served inputless = { .name = SPAN_INIT("m"), .info = &empty_info };

enum source { JSON, CSV, FORM };

static bool read_rows(struct records *r, const struct served *s, enum source source, const char *text,
		      struct arena *arena, struct error *err)
{
	bool is_list;

	if (!records_init(r, s, arena, err))
		return false;
	if (source == JSON)
		return records_read_json(r, span_of(text), &is_list, err);
	return source == CSV ? records_read_csv(r, span_of(text), err) : records_read_form(r, span_of(text), err);
}

static void rows_become_the_matrix(void **state)
{
	static const struct {
		const struct served *served;
		enum source source;
		const char *text;
		size_t rows;
		float first[6];
	} rows[] = {
		{ &named, JSON, "{\"a\":1,\"b\":2.5,\"c\":-3}", 1, { 1, 2.5F, -3 } },
		{ &named, JSON, " { \"c\" : 3 , \"a\" : 1e0 , \"b\" : true } ", 1, { 1, 1, 3 } },
		{ &named, JSON, "[{\"a\":1,\"b\":2,\"c\":3},{\"b\":5,\"c\":6,\"a\":4}]", 2, { 1, 2, 3, 4, 5, 6 } },
		{ &named, JSON, "[[1,2,3],[4,5,6]]", 2, { 1, 2, 3, 4, 5, 6 } },
		{ &named, JSON, "[]", 0, { 0 } },
		{ &nameless, JSON, "[[1,2,3]]", 1, { 1, 2, 3 } },
		{ &named, CSV, "a,b,c\n1,2,3\n4,5,6\n", 2, { 1, 2, 3, 4, 5, 6 } },
		{ &named,
		  CSV,
		  "\xef\xbb\xbf"
		  "c,\"a\",b\r\n3,1,\"2\"\r\n",
		  1,
		  { 1, 2, 3 } },
		{ &named, CSV, "c, a ,b\n3, 1 ,true", 1, { 1, 1, 3 } },
		{ &named, CSV, "1,2,3\n4,5,6", 2, { 1, 2, 3, 4, 5, 6 } },
		{ &named, CSV, "a,b,c\n", 0, { 0 } },
		{ &nameless, CSV, "1,2,3\n", 1, { 1, 2, 3 } },
		{ &named, FORM, "a=1&c=3&b=%32", 1, { 1, 2, 3 } },
		{ &named, FORM, "a=1&c=3&b=false&output=label", 1, { 1, 0, 3 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct arena arena;
		struct records r;
		bool ok;

		arena_init(&arena, MIB(1));
		ok = read_rows(&r, rows[i].served, rows[i].source, rows[i].text, &arena, &err);
		if (!ok)
			fail_msg("row %zu: %s", i, err.message);
		assert_int_equal(r.rows, rows[i].rows);
		assert_int_equal(r.inputs[0].shape[0], rows[i].rows);
		assert_int_equal(r.inputs[0].shape[1], 3);
		assert_int_equal(r.inputs[0].count, 3 * rows[i].rows);
		if (memcmp(r.inputs[0].data, rows[i].first, r.inputs[0].count * sizeof(float)) != 0)
			fail_msg("row %zu: other numbers", i);
		arena_done(&arena);
	}
}

static void many_rows_grow_the_matrix(void **state)
{
	enum { ROWS = 5000 };
	struct error err = { 0 };
	struct buffer text;
	struct arena arena;
	struct records r;

	(void)state;
	arena_init(&arena, MIB(16));
	buffer_init(&text, MIB(1));
	buffer_print(&text,
		     "[{\"a\":0,\"b\":0,\"c\":0,    \"c\":0}"); /* replaced below: a long first row, then short ones */
	buffer_clear(&text);
	buffer_print(&text, "[{                                      \"a\":0,\"b\":0,\"c\":0}");
	for (int i = 1; i < ROWS; i++)
		buffer_print(&text, ",[%d,1,2]", i);
	buffer_byte(&text, ']');
	buffer_byte(&text, '\0');
	if (!read_rows(&r, &named, JSON, text.ptr, &arena, &err))
		fail_msg("%s", err.message);
	assert_int_equal(r.rows, ROWS);
	for (size_t i = 0; i < ROWS; i++)
		assert_true(((float *)r.inputs[0].data)[3 * i] == (float)i);
	buffer_done(&text);
	arena_done(&arena);
}

static void wide_rows_find_their_columns_in_any_order(void **state)
{
	enum { WIDTH = 500 };
	static char names[WIDTH][8];
	static struct span spans[WIDTH];
	struct tensor_spec spec = { SPAN_INIT("x"), DTYPE_FP64, 2, { -1, WIDTH } };
	struct model_info info = { .inputs = &spec, .input_count = 1, .feature_count = WIDTH };
	struct served served = { .name = SPAN_INIT("wide"), .info = &info, .columns = spans, .column_count = WIDTH };
	struct error err = { 0 };
	struct buffer text;
	struct arena arena;
	struct records r;

	(void)state;
	arena_init(&arena, MIB(1));
	buffer_init(&text, MIB(1));
	for (int i = 0; i < WIDTH; i++) {
		snprintf(names[i], sizeof(names[i]), "c%d", i);
		spans[i] = span_of(names[i]);
	}
	buffer_byte(&text, '{');
	for (int i = 0; i < WIDTH; i++)
		buffer_print(&text, "%s\"c%d\":%d", i ? "," : "", i * 7 % WIDTH, i * 7 % WIDTH);
	buffer_byte(&text, '}');
	buffer_byte(&text, '\0');
	if (!read_rows(&r, &served, JSON, text.ptr, &arena, &err))
		fail_msg("%s", err.message);
	for (int i = 0; i < WIDTH; i++)
		assert_true(((double *)r.inputs[0].data)[i] == i);
	buffer_done(&text);
	arena_done(&arena);
}

static void what_is_missing_is_nan_where_the_model_takes_it(void **state)
{
	static const struct {
		enum source source;
		const char *text;
	} rows[] = {
		{ JSON, "{\"a\":1,\"c\":3}" }, { JSON, "{\"a\":1,\"b\":null,\"c\":3}" },
		{ JSON, "[[1,null,3]]" },      { JSON, "{\"a\":1,\"b\":NaN,\"c\":3}" },
		{ CSV, "a,b,c\n1,,3\n" },      { CSV, "c,a\n3,1\n" },
		{ CSV, "1,NA,3\n" },           { CSV, "a,b,c\n1,nan,3" },
		{ FORM, "a=1&c=3" },           { FORM, "a=1&c=3&b=" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct arena arena;
		struct records r;
		float *row;

		arena_init(&arena, MIB(1));
		if (!read_rows(&r, &missing, rows[i].source, rows[i].text, &arena, &err))
			fail_msg("row %zu: %s", i, err.message);
		row = r.inputs[0].data;
		if (!(row[0] == 1 && isnan(row[1]) && row[2] == 3))
			fail_msg("row %zu: %g %g %g", i, (double)row[0], (double)row[1], (double)row[2]);
		arena_done(&arena);
	}
}

static void columns_keep_their_types(void **state)
{
	static const struct {
		enum source source;
		const char *text;
	} rows[] = {
		{ JSON, "{\"age\":1.5,\"town\":\"Bath\",\"count\":9007199254740993}" },
		{ JSON, "[[1.5,\"Bath\",9007199254740993]]" },
		{ CSV, "town,count,age\nBath,9007199254740993,1.5\n" },
		{ FORM, "town=Bath&count=9007199254740993&age=1.5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct arena arena;
		struct records r;

		arena_init(&arena, MIB(1));
		if (!read_rows(&r, &columns, rows[i].source, rows[i].text, &arena, &err))
			fail_msg("row %zu: %s", i, err.message);
		assert_int_equal(r.input_count, 3);
		assert_true(*(float *)r.inputs[0].data == 1.5F);
		assert_true(span_equal(*(struct span *)r.inputs[1].data, SPAN("Bath")));
		assert_int_equal(*(int64_t *)r.inputs[2].data, INT64_C(9007199254740993));
		assert_int_equal(r.inputs[1].rank, 2);
		assert_int_equal(r.inputs[2].rank, 1);
		arena_done(&arena);
	}
}

static void hostile_rows_are_refused_with_what_is_wrong(void **state)
{
	static const struct {
		const struct served *served;
		enum source source;
		const char *text, *message;
	} rows[] = {
		{ &named, JSON, "", "" },
		{ &named, JSON, "x", "" },
		{ &named, JSON, "1", "a row is an object" },
		{ &named, JSON, "null", "a row is an object" },
		{ &named, JSON, "\"a\"", "a row is an object" },
		{ &named, JSON, "{", "" },
		{ &named, JSON, "{}", "missing columns: 'a', 'b', 'c'" },
		{ &named, JSON, "{\"a\":1,\"b\":2}", "missing columns: 'c' (model 'm' has 3 columns)" },
		{ &named, JSON, "{\"a\":1,\"b\":2,\"d\":3}", "unknown columns: 'd'; missing columns: 'c'" },
		{ &named, JSON, "{\"x\":{\"y\":[1]},\"a\":1,\"y\":2,\"b\":1,\"c\":3}", "unknown columns: 'x', 'y' (" },
		{ &named, JSON, "{\"A\":1,\"b\":2,\"c\":3}", "unknown columns: 'A'; missing columns: 'a'" },
		{ &named, JSON, "{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1}",
		  "'7', '8' and 2 more; missing" },
		{ &missing, JSON, "{\"a\":1,\"d\":3}", "unknown columns: 'd' (" },
		{ &named, JSON, "{\"a\":1,\"a\":1,\"b\":2,\"c\":3}", "column 'a' is given twice" },
		{ &named, JSON, "{\"a\":null,\"b\":2,\"c\":3}", "column 'a': expected a number, FP32, came nothing" },
		{ &named, JSON, "{\"a\":\"1\",\"b\":2,\"c\":3}", "column 'a': expected a number, FP32, came text" },
		{ &named, JSON, "{\"a\":[1],\"b\":2,\"c\":3}", "came a list" },
		{ &named, JSON, "{\"a\":{},\"b\":2,\"c\":3}", "came an object" },
		{ &named, JSON, "{\"a\":1,\"b\":2,\"c\":3}}", "" },
		{ &named, JSON, "{\"a\":1,\"b\":2,\"c\":3} {}", "" },
		{ &named, JSON, "{\"a\":1,\"b\":2,\"c\":3,}", "" },
		{ &named, JSON, "{\"a\":1 \"b\":2,\"c\":3}", "" },
		{ &named, JSON, "{\"a\":,\"b\":2,\"c\":3}", "" },
		{ &named, JSON, "{a:1,\"b\":2,\"c\":3}", "" },
		{ &named, JSON, "[{\"a\":1,\"b\":2,\"c\":3},{}]", "row 1: missing columns" },
		{ &named, JSON, "[{\"a\":1,\"b\":2,\"c\":3},5]", "row 1: a row is an object" },
		{ &named, JSON, "[[1,2]]", "row 0: 2 values; model 'm' has 3 columns" },
		{ &named, JSON, "[[1,2,3,4]]", "row 0: more than 3 values" },
		{ &named, JSON, "[[1,2,[3]]]", "row 0: column 'c': expected a number" },
		{ &nameless, JSON, "[[1,2,[3]]]", "row 0: column 2: expected a number" },
		{ &named, JSON, "[1,2,3]", "row 0: a row is an object" },
		{ &nameless, JSON, "{\"a\":1}", "--features" },
		{ &nameless, FORM, "a=1", "--features" },
		{ &nameless, CSV, "a,b,c\n1,2,3\n", "--features" },
		{ &picture, JSON, "{\"a\":1}", "takes no rows of columns" },
		{ &inputless, JSON, "{\"a\":1}", "takes no input" },
		{ &columns, JSON, "{\"age\":1,\"town\":2,\"count\":3}",
		  "column 'town': expected text, BYTES, came a number" },
		{ &columns, JSON, "{\"age\":1,\"town\":true,\"count\":3}",
		  "column 'town': expected text, BYTES, came a boolean" },
		{ &columns, JSON, "{\"age\":1,\"town\":\"x\",\"count\":1.5}", "a fraction, or one too large" },
		{ &columns, JSON, "{\"age\":1,\"town\":\"x\",\"count\":1e30}", "a fraction, or one too large" },
		{ &columns, JSON, "{\"age\":1,\"town\":\"x\",\"count\":NaN}", "a fraction, or one too large" },
		{ &columns, JSON, "{\"age\":1,\"town\":\"x\",\"count\":18446744073709551615}", "a larger one" },
		{ &columns, JSON, "{\"age\":1,\"town\":null,\"count\":1}", "column 'town'" },
		{ &named, CSV, "", "empty" },
		{ &named, CSV, "\n\n", "no line" },
		{ &named, CSV, "a,b\n1,2\n", "line 1: missing columns: 'c'" },
		{ &named, CSV, "a,b,c,d\n1,2,3,4\n", "line 1: unknown columns: 'd'" },
		{ &named, CSV, "a,b,a\n1,2,3\n", "line 1: column 'a' is given twice" },
		{ &named, CSV, "a,b,c\n1,2\n", "line 2: 2 fields, expected 3" },
		{ &named, CSV, "a,b,c\n1,2,3\n1,2,3,4\n", "" },
		{ &named, CSV, "a,b,c\n1,x,3\n", "line 2: column 'b': expected a number, FP32, came 'x'" },
		{ &named, CSV, "a,b,c\n1,,3\n", "line 2: column 'b': expected a number, FP32, came nothing" },
		{ &named, CSV, "a,b,c\n1,1.2.3,3\n", "'1.2.3'" },
		{ &named, CSV, "a,b,c\n1,\"2,3\n", "" },
		{ &named, CSV, "1,2\n", "line 1: 2 fields and no header" },
		{ &missing, CSV, "a,z\n1,2\n", "unknown columns: 'z' (" },
		{ &columns, CSV, "age,town,count\n1,x,1.5\n", "line 2: column 'count'" },
		{ &named, FORM, "", "missing columns: 'a', 'b', 'c'" },
		{ &named, FORM, "a=1&b=2", "missing columns: 'c'" },
		{ &named, FORM, "a=1&b=2&c=3&d=4", "unknown columns: 'd' (" },
		{ &named, FORM, "a=1&b=2&c=3&a=4", "column 'a' is given twice" },
		{ &named, FORM, "a=1&b=2&c=abc", "came 'abc'" },
		{ &named, FORM, "a=1&b=2&c=", "came nothing" },
		{ &named, FORM, "a&b&c", "came nothing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct arena arena;
		struct records r;

		arena_init(&arena, MIB(1));
		if (read_rows(&r, rows[i].served, rows[i].source, rows[i].text, &arena, &err))
			fail_msg("row %zu is accepted: %s", i, rows[i].text);
		assert_int_equal(err.code, ERROR_INVALID);
		if (!err.message[0] || !strstr(err.message, rows[i].message))
			fail_msg("row %zu %s: '%s' lacks '%s'", i, rows[i].text, err.message, rows[i].message);
		arena_done(&arena);
	}
}

static void a_model_that_takes_anything_takes_lists_of_any_width(void **state)
{
	struct error err = { 0 };
	struct arena arena;
	struct records r;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(read_rows(&r, &echoing, JSON, "[[1,2,3,4],[5,6,7,8]]", &arena, &err));
	assert_int_equal(r.inputs[0].shape[1], 4);
	assert_true(((double *)r.inputs[0].data)[7] == 8);
	assert_true(read_rows(&r, &echoing, CSV, "1,2\n3,4\n", &arena, &err));
	assert_int_equal(r.inputs[0].shape[1], 2);
	arena_done(&arena);
}

/* ---- answers ---- */

static void answers_have_the_form_of_the_task(void **state)
{
	static float two[] = { 0.25F, 0.75F, 1, 0 }, three[] = { 0.25F, 0.25F, 0.5F }, odd[] = { NAN, INFINITY };
	static double one[] = { 1.5, 2 };
	static int64_t labels[] = { 7, -1 };
	static uint8_t flags[] = { 1, 0 };
	static struct span texts[] = { SPAN_INIT("a\"b"), SPAN_INIT("c,d") };
	static struct span classes[] = { SPAN_INIT("x"), SPAN_INIT("y,z"), SPAN_INIT("w") };
	static const struct {
		enum model_task task;
		bool is_score, is_list;
		struct tensor t;
		const char *json, *csv;
	} rows[] = {
		{ MODEL_TASK_BINARY,
		  true,
		  false,
		  { .dtype = DTYPE_FP32, .rank = 2, .shape = { 1, 2 }, .count = 2, .data = two },
		  "0.75",
		  "response\n0.75\n" },
		{ MODEL_TASK_BINARY,
		  true,
		  true,
		  { .dtype = DTYPE_FP32, .rank = 2, .shape = { 2, 2 }, .count = 4, .data = two },
		  "[0.75,0.0]",
		  "response\n0.75\n0.0\n" },
		{ MODEL_TASK_BINARY,
		  false,
		  false,
		  { .dtype = DTYPE_FP32, .rank = 2, .shape = { 1, 2 }, .count = 2, .data = two },
		  "[0.25,0.75]",
		  "response_0,response_1\n0.25,0.75\n" },
		{ MODEL_TASK_BINARY,
		  true,
		  false,
		  { .dtype = DTYPE_FP64, .rank = 1, .shape = { 1 }, .count = 1, .data = one },
		  "1.5",
		  "response\n1.5\n" },
		{ MODEL_TASK_BINARY,
		  true,
		  false,
		  { .dtype = DTYPE_FP64, .rank = 2, .shape = { 1, 1 }, .count = 1, .data = one },
		  "1.5",
		  "response\n1.5\n" },
		{ MODEL_TASK_MULTICLASS,
		  true,
		  false,
		  { .dtype = DTYPE_FP32, .rank = 2, .shape = { 1, 3 }, .count = 3, .data = three },
		  "[0.25,0.25,0.5]",
		  "x,\"y,z\",w\n0.25,0.25,0.5\n" },
		{ MODEL_TASK_MULTICLASS,
		  true,
		  true,
		  { .dtype = DTYPE_FP32, .rank = 2, .shape = { 1, 3 }, .count = 3, .data = three },
		  "[[0.25,0.25,0.5]]",
		  "x,\"y,z\",w\n0.25,0.25,0.5\n" },
		{ MODEL_TASK_REGRESSION,
		  true,
		  true,
		  { .dtype = DTYPE_FP64, .rank = 2, .shape = { 2, 1 }, .count = 2, .data = one },
		  "[1.5,2.0]",
		  "response\n1.5\n2.0\n" },
		{ MODEL_TASK_REGRESSION,
		  true,
		  true,
		  { .dtype = DTYPE_FP32, .rank = 1, .shape = { 2 }, .count = 2, .data = odd },
		  "[null,null]",
		  "response\nnan\ninf\n" },
		{ MODEL_TASK_OTHER,
		  false,
		  true,
		  { .dtype = DTYPE_INT64, .rank = 1, .shape = { 2 }, .count = 2, .data = labels },
		  "[7,-1]",
		  "response\n7\n-1\n" },
		{ MODEL_TASK_OTHER,
		  false,
		  false,
		  { .dtype = DTYPE_BOOL, .rank = 1, .shape = { 1 }, .count = 1, .data = flags },
		  "true",
		  "response\n1\n" },
		{ MODEL_TASK_OTHER,
		  false,
		  true,
		  { .dtype = DTYPE_BYTES, .rank = 1, .shape = { 2 }, .count = 2, .data = texts },
		  "[\"a\\\"b\",\"c,d\"]",
		  "response\n\"a\"\"b\"\n\"c,d\"\n" },
		{ MODEL_TASK_OTHER,
		  true,
		  true,
		  { .dtype = DTYPE_FP32, .rank = 1, .shape = { 0 }, .count = 0, .data = two },
		  "[]",
		  "response\n" },
		{ MODEL_TASK_OTHER,
		  true,
		  false,
		  { .dtype = DTYPE_FP64, .rank = 0, .count = 1, .data = one },
		  "1.5",
		  NULL },
		{ MODEL_TASK_OTHER,
		  true,
		  true,
		  { .dtype = DTYPE_FP32, .rank = 3, .shape = { 1, 2, 2 }, .count = 4, .data = two },
		  "[[[0.25,0.75],[1.0,0.0]]]",
		  "response_0,response_1,response_2,response_3\n0.25,0.75,1.0,0.0\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct model_info info = { .task = rows[i].task, .class_names = classes, .class_count = 3 };
		struct served served = { .name = SPAN_INIT("m"), .info = &info };
		struct error err = { 0 };
		struct arena arena;
		struct buffer out;
		char want[200];

		arena_init(&arena, MIB(1));
		buffer_init(&out, MIB(1));
		snprintf(want, sizeof(want), "{\"success\":true,\"response\":%s}", rows[i].json);
		assert_true(
		    records_write_json(&out, &served, &rows[i].t, rows[i].is_score, rows[i].is_list, &arena, &err));
		if (!span_equal(buffer_span(&out), span_of(want)))
			fail_msg("row %zu: %.*s, expected %s", i, (int)out.len, out.ptr, want);
		buffer_clear(&out);
		if (!rows[i].csv)
			assert_false(records_write_csv(&out, &served, &rows[i].t, rows[i].is_score, &arena, &err));
		else
			assert_true(records_write_csv(&out, &served, &rows[i].t, rows[i].is_score, &arena, &err));
		if (rows[i].csv && !span_equal(buffer_span(&out), span_of(rows[i].csv)))
			fail_msg("row %zu: %.*s, expected %s", i, (int)out.len, out.ptr, rows[i].csv);
		buffer_done(&out);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_become_the_matrix),
		cmocka_unit_test(many_rows_grow_the_matrix),
		cmocka_unit_test(wide_rows_find_their_columns_in_any_order),
		cmocka_unit_test(what_is_missing_is_nan_where_the_model_takes_it),
		cmocka_unit_test(columns_keep_their_types),
		cmocka_unit_test(hostile_rows_are_refused_with_what_is_wrong),
		cmocka_unit_test(a_model_that_takes_anything_takes_lists_of_any_width),
		cmocka_unit_test(answers_have_the_form_of_the_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
