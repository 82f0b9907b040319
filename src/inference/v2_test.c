/* SPDX-License-Identifier: Apache-2.0 */
/* The V2 protocol, REST and gRPC, with hostile requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inference/fake_server.h"
#include "inference/v2.h"
#include "wire/protobuf.h"

static struct metrics *registry;
static struct inference *inf;

static int open_inference(void **state)
{
	static const char *const models[][2] = {
		{ "lr", "test:lr" },        { "reg", "test:reg" },   { "columns", "test:columns" },
		{ "echo", "builtin:echo" }, { "slow", "test:slow" },
	};
	struct inference_config config = { 0 };
	struct error err = { 0 };

	(void)state;
	registry = metrics_new();
	config.metrics = registry;
	inf = inference_new(&config);
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (!inference_add(inf, models[i][0], models[i][1], &err))
			return -1;
	return 0;
}

static int close_inference(void **state)
{
	(void)state;
	inference_free(inf);
	metrics_free(registry);
	buffer_done(&answer.body);
	buffer_done(&answer.parts);
	memset(&answer, 0, sizeof(answer));
	return models_alive == 0 ? 0 : -1;
}

static bool contains(struct span text, const char *part)
{
	return memmem(text.ptr ? text.ptr : "", text.len, part, strlen(part)) != NULL;
}

static void check_answer(size_t row, int status, const char *part)
{
	struct span body = buffer_span(&answer.body);

	if (answer.status != status || !contains(body, part))
		fail_msg("row %zu: expected %d with '%s', came %d with '%.*s'", row, status, part, answer.status,
			 (int)body.len, body.ptr);
}

/* ---- JSON ---- */

static void infer_requests_in_json_are_answered(void **state)
{
	static const struct {
		const char *model, *body, *part;
	} rows[] = {
		{ "lr",
		  "{\"id\":\"a\",\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP64\",\"data\":[1,2,3]}]}",
		  "{\"model_name\":\"lr\",\"model_version\":\"1\",\"id\":\"a\",\"outputs\":[{\"name\":\"label\","
		  "\"shape\":[1],\"datatype\":"
		  "\"INT64\",\"data\":[0]},{\"name\":\"probabilities\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":["
		  "0.9,0.1]}]}" },
		/* data first; nested; other names; other types */
		{ "lr",
		  "{\"inputs\":[{\"data\":[[6,2,3],[7,1,1]],\"datatype\":\"FP32\",\"shape\":[2,3],\"name\":\"q\"}]}",
		  "\"data\":[1,1]" },
		{ "lr", "{\"inputs\":[{\"name\":\"x\",\"shape\":[3],\"datatype\":\"UINT8\",\"data\":[1,2,3]}]}",
		  "\"data\":[0]" },
		{ "lr",
		  "{\"outputs\":[{\"name\":\"predict_proba\"}],\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],"
		  "\"datatype\":\"FP64\",\"data\":[1,2,3]}]}",
		  "\"outputs\":[{\"name\":\"predict_proba\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[0.9,0.1]}"
		  "]" },
		{ "lr",
		  "{\"outputs\":[{\"name\":\"predict\",\"parameters\":{\"x\":1}},{\"name\":\"probabilities\"}],"
		  "\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],"
		  "\"datatype\":\"FP64\",\"data\":[1,2,3],\"parameters\":{\"content_type\":\"np\",\"b\":true}}],"
		  "\"parameters\":{\"c\":{}}}",
		  "\"outputs\":[{\"name\":\"predict\",\"shape\":[1],\"datatype\":\"INT64\",\"data\":[0]},{\"name\":"
		  "\"probabilities\"" },
		/* one tensor a column for a matrix with names */
		{ "lr",
		  "{\"inputs\":[{\"name\":\"score\",\"shape\":[1],\"datatype\":\"FP64\",\"data\":[9]},{\"name\":"
		  "\"age\",\"shape\":[1,1],\"datatype\":"
		  "\"INT64\",\"data\":[2]},{\"name\":\"income\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
		  "\"data\":[0.8,0.2]" },
		{ "columns",
		  "{\"inputs\":[{\"name\":\"age\",\"shape\":[2],\"datatype\":\"FP64\",\"data\":[1,2]},{\"name\":"
		  "\"town\",\"shape\":[2],\"datatype\":"
		  "\"BYTES\",\"data\":[\"\\u00e9a\",\"b\\\"\"]}]}",
		  "\"shape\":[2,1],\"datatype\":\"BYTES\",\"data\":[\"\xc3\xa9"
		  "a\",\"b\\\"\"]" },
		/* the echo: every type, exactly */
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[3],\"datatype\":\"BOOL\",\"data\":[true,false,true]}]}",
		  "[true,false,true]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"BOOL\",\"data\":[1,0]}]}",
		  "[true,false]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"UINT64\",\"data\":[18446744073709551615,0]"
		  "}]}",
		  "[18446744073709551615,0]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[3],\"datatype\":\"INT64\",\"data\":[9223372036854775807,-"
		  "9223372036854775808,9007199254740993]}]}",
		  "[9223372036854775807,-9223372036854775808,9007199254740993]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"INT8\",\"data\":[-128,127]}]}",
		  "\"INT8\",\"data\":[-128,127]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"UINT16\",\"data\":[0,65535]}]}",
		  "[0,65535]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"INT32\",\"data\":[1.0,-2e0]}]}",
		  "[1,-2]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[4],\"datatype\":\"FP16\",\"data\":[1.5,-0.25,65504,null]}]}",
		  "[1.5,-0.25,65504.0,null]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"BF16\",\"data\":[1.5,3]}]}",
		  "\"BF16\",\"data\":[1.5,3.0]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[5],\"datatype\":\"FP64\",\"data\":[0.1,null,\"NaN\","
		  "\"Infinity\",\"-Infinity\"]}]}",
		  "[0.1,null,null,null,null]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":[\"NaN\",\"NaN\","
		  "\"Infinity\"]}]}",
		  "[null,null,null]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2,2],\"datatype\":\"FP32\",\"data\":[[[0.1,2],[3,4]]]}]}",
		  "\"shape\":[1,2,2],\"datatype\":\"FP32\",\"data\":[0.1,2.0,3.0,4.0]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[0],\"datatype\":\"FP32\",\"data\":[]}]}",
		  "\"shape\":[0],\"datatype\":\"FP32\",\"data\":[]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[0,2],\"datatype\":\"BYTES\",\"data\":[]}]}",
		  "\"shape\":[0,2],\"datatype\":\"BYTES\",\"data\":[]" },
		{ "echo", "{\"inputs\":[{\"name\":\"x\",\"shape\":[],\"datatype\":\"INT32\",\"data\":7}]}",
		  "\"shape\":[],\"datatype\":\"INT32\",\"data\":[7]" },
		{ "echo",
		  "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"aGk=\",\"no!\"],"
		  "\"parameters\":{\"content_type\":\"base64\"}}]}",
		  "[\"hi\",\"no!\"]" },
		{ "echo",
		  "{\"id\":null,\"parameters\":null,\"outputs\":null,\"inputs\":[{\"name\":\"x\",\"shape\":[1],"
		  "\"datatype\":\"FP32\",\"data\":[1]}]}",
		  "\"data\":[1.0]" },
		/* classification */
		{ "lr",
		  "{\"outputs\":[{\"name\":\"probabilities\",\"parameters\":{\"classification\":2}}],\"inputs\":[{"
		  "\"name\":\"x\",\"shape\":[2,3],\"datatype\":"
		  "\"FP64\",\"data\":[1,2,3,8,1,1]}]}",
		  "\"shape\":[2,2],\"datatype\":\"BYTES\",\"data\":[\"0.9:0:no\",\"0.1:1:yes\",\"0.8:1:yes\",\"0."
		  "19999999:0:no\"]" },
		{ "lr",
		  "{\"outputs\":[{\"name\":\"probabilities\",\"parameters\":{\"classification\":99}}],\"inputs\":[{"
		  "\"name\":\"x\",\"shape\":[1,3],\"datatype\":"
		  "\"FP64\",\"data\":[1,2,3]}]}",
		  "\"shape\":[1,2],\"datatype\":\"BYTES\"" },
		{ "reg",
		  "{\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":1}}],\"inputs\":[{\"name\":\"x\","
		  "\"shape\":[2,2],\"datatype\":\"FP64\",\"data\":[1,2,3,4]}]}",
		  "[\"3.0:0\",\"7.0:0\"]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/v2/models/%s%s/infer", rows[i].model, i % 2 ? "/versions/1" : "");
		assert_true(
		    ask(inf, &(struct question){ .method = METHOD_POST, .path = path, .body = span_of(rows[i].body) }));
		check_answer(i, 200, rows[i].part);
	}
}

#define X(rest) "{\"inputs\":[{\"name\":\"x\"," rest "}]}"

static void hostile_json_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *body, *part;
	} rows[] = {
		{ "", "line 1" },
		{ " ", "line" },
		{ "{", "line 1" },
		{ "[]", "line 1" },
		{ "null", "line 1" },
		{ "nonsense", "line 1" },
		{ "{}", "no inputs" },
		{ "{}x", "line 1" },
		{ "{\"inputs\":{}}", "line 1" },
		{ "{\"inputs\":null}", "line 1" },
		{ "{\"inputs\":[]}", "no inputs" },
		{ "{\"inputs\":[1]}", "line 1" },
		{ "{\"inputs\":[{}]}", "an input has no name" },
		{ "{\"inputs\":[{\"name\":1}]}", "line 1" },
		{ "{\"inputs\":[{\"name\":\"x\"}]}", "has no datatype" },
		{ X("\"datatype\":\"FP32\""), "has no shape" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3]"), "has no data" },
		{ X("\"datatype\":\"FP33\",\"shape\":[1,3],\"data\":[1,2,3]"), "datatype 'FP33' is not known" },
		{ X("\"datatype\":\"fp32\",\"shape\":[1,3],\"data\":[1,2,3]"), "datatype 'fp32' is not known" },
		{ X("\"datatype\":32,\"shape\":[1,3],\"data\":[1,2,3]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":3,\"data\":[1,2,3]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,\"3\"],\"data\":[1,2,3]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3.5],\"data\":[1,2,3]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[-1,3],\"data\":[1,2,3]"), "negative dimension" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,-3],\"data\":[1,2,3]"), "negative dimension" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,1,1,1,1,1,1,1,3],\"data\":[1,2,3]"), "more than 8 dimensions" },
		{ X("\"datatype\":\"FP32\",\"shape\":[9223372036854775807,3],\"data\":[1,2,3]"), "too many elements" },
		{ X("\"datatype\":\"FP32\",\"shape\":[9223372036854775808],\"data\":[1,2,3]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[4294967296,4294967296,3],\"data\":[1,2,3]"),
		  "too many elements" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2]"), "shape [1,3] has 3 elements, data has 2" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3,4]"), "data has 4" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[]"), "data has 0" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":7"), "data has 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":null"), "data has 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":{}"), "" },
		{ X("\"datatype\":\"FP32\",\"shape\":[3,1],\"data\":[[1,2,3]]"),
		  "shape is [3,1], data is nested as [1,3]" },
		{ X("\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":[[1,2,3],[1,2]]"), "" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,[2],3]"), "" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,\"three\"]"), "takes numbers as data" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[\"1\",\"2\",\"3\"]"),
		  "takes numbers as data, came strings" },
		{ X("\"datatype\":\"INT32\",\"shape\":[1,3],\"data\":[\"1\",\"2\",\"3\"]"),
		  "takes numbers as data, came strings" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[true,false,true]"), "came booleans" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[true,1,2]"), "mixed types" },
		{ X("\"datatype\":\"INT32\",\"shape\":[1,3],\"data\":[1,2,3.5]"),
		  "3.5 at index 2, which INT32 cannot hold" },
		{ X("\"datatype\":\"INT32\",\"shape\":[1,3],\"data\":[1,2,null]"),
		  "null stands for NaN, which INT32 cannot hold" },
		{ X("\"datatype\":\"INT8\",\"shape\":[1,3],\"data\":[1,2,128]"),
		  "128 at index 2, which INT8 cannot hold" },
		{ X("\"datatype\":\"UINT8\",\"shape\":[1,3],\"data\":[1,-2,3]"), "-2 at index 1" },
		{ X("\"datatype\":\"UINT64\",\"shape\":[1,3],\"data\":[1,2,18446744073709551616]"),
		  "which UINT64 cannot hold" },
		{ X("\"datatype\":\"INT64\",\"shape\":[1,3],\"data\":[1,2,9223372036854775808]"),
		  "which INT64 cannot hold" },
		{ X("\"datatype\":\"BOOL\",\"shape\":[1,3],\"data\":[0,1,2]"), "which BOOL cannot hold" },
		{ X("\"datatype\":\"BOOL\",\"shape\":[1,3],\"data\":[\"true\",\"true\",\"true\"]"),
		  "takes booleans as data, came strings" },
		{ X("\"datatype\":\"BYTES\",\"shape\":[1,3],\"data\":[1,2,3]"),
		  "takes strings as data, came integers" },
		{ X("\"datatype\":\"BYTES\",\"shape\":[1,3],\"data\":[\"a\",\"b\",\"c\"]"),
		  "expected FP32 (numbers), came BYTES" },
		{ X("\"datatype\":\"BYTES\",\"shape\":[1,3],\"data\":[\"\\ud800\",\"b\",\"c\"]"), "" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,03]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3,]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]"),
		  "expected FP32 with shape [-1,3], came FP32 with shape [1,2]" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3,1,1],\"data\":[1,2,3]"), "came FP32 with shape [1,3,1,1]" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3],\"parameters\":[]"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":12}"),
		  "0 bytes are left behind" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":-1}"),
		  "binary_data_size is negative" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":\"12\"}"), "line 1" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3],\"parameters\":{\"binary_data_size\":0}"),
		  "has both data" },
		{ X("\"datatype\":\"FP32\",\"shape\":[1,3],\"parameters\":{\"shared_memory_region\":\"r\"}"),
		  "shared memory" },
		{ "{\"id\":7,"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "line 1" },
		{ "{\"parameters\":[],"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "line 1" },
		{ "{\"outputs\":{},"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "line 1" },
		{ "{\"outputs\":[{}],"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "has no name" },
		{ "{\"outputs\":[{\"name\":\"nope\"}],"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "has no output 'nope' (its outputs: label, probabilities)" },
		{ "{\"outputs\":[{\"name\":\"label\",\"parameters\":{\"binary_data\":1}}],"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "line 1" },
		{ "{\"outputs\":[{\"name\":\"label\",\"parameters\":{\"classification\":-1}}],"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  "classification is -1" },
		{ "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]}],\"inputs\":[]"
		  "}",
		  "came twice" },
		{ "{\"inputs\":[{\"name\":\"age\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]},{\"name\":\"shoe\","
		  "\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]}]}",
		  "no input 'shoe' (it takes age, income, score)" },
		{ "{\"inputs\":[{\"name\":\"age\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]},{\"name\":"
		  "\"score\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]}]}",
		  "missing inputs: income" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		  "line 1" },
		{ "{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		  "line 1" },
		{ "{\"inputs\":[{\"name\":\"\xff\xfe\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]}]}", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
							 .path = "/v2/models/lr/infer",
							 .body = span_of(rows[i].body) }));
		if (answer.status == 413 || answer.status == 501) /* too many elements; shared memory */
			answer.status = 400;
		check_answer(i, 400, rows[i].part);
	}
}

static void every_cut_of_a_request_is_refused(void **state)
{
	static const char whole[] = "{\"id\":\"a\",\"outputs\":[{\"name\":\"label\",\"parameters\":{\"binary_data\":"
				    "false}}],\"inputs\":[{\"name\":\"x\","
				    "\"shape\":[1,3],\"datatype\":\"FP64\",\"data\":[1.5,2,3]}]}";

	(void)state;
	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
							 .path = "/v2/models/lr/infer",
							 .body = { whole, len } }));
		assert_int_equal(answer.status, 400);
	}
}

static void a_missing_id_is_made_up(void **state)
{
	static const char body[] = X("\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1,2,3]");
	const char *id;

	(void)state;
	assert_true(ask(
	    inf, &(struct question){ .method = METHOD_POST, .path = "/v2/models/lr/infer", .body = span_of(body) }));
	id = memmem(answer.body.ptr, answer.body.len, "\"id\":\"", 6);
	assert_non_null(id);
	assert_int_equal(id[6 + 36], '"');
	assert_int_equal(id[6 + 14], '4');
}

/* ---- binary ---- */

static struct span binary_body(char *to, const char *json, const void *bytes, size_t len, char *length)
{
	size_t json_len = strlen(json);

	memcpy(to, json, json_len);
	if (len)
		memcpy(to + json_len, bytes, len);
	(void)snprintf(length, 24, "%zu", json_len);
	return (struct span){ to, json_len + len };
}

static void binary_tensors_go_in_and_out(void **state)
{
	static const double x[] = { 1, 2, 3, 8, 1, 1 };
	static const struct {
		const char *model, *json;
		const void *bytes;
		size_t len;
		const char *part; /* of the answer's JSON */
		size_t binary;    /* bytes behind it */
	} rows[] = {
		{ "lr", X("\"datatype\":\"FP64\",\"shape\":[2,3],\"parameters\":{\"binary_data_size\":48}"), x, 48,
		  "\"data\":[0,1]", 0 },
		{ "lr",
		  "{\"parameters\":{\"binary_data_output\":true},\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\","
		  "\"shape\":[2,3],\"parameters\":{\"binary_data_size\":48}}]}",
		  x, 48, "\"label\",\"shape\":[2],\"datatype\":\"INT64\",\"parameters\":{\"binary_data_size\":16}}",
		  32 },
		{ "lr",
		  "{\"parameters\":{\"binary_data_output\":true},\"outputs\":[{\"name\":\"label\",\"parameters\":{"
		  "\"binary_data\":false}},{\"name\":\"probabilities\"}],"
		  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":[2,3],\"parameters\":{\"binary_data_"
		  "size\":48}}]}",
		  x, 48,
		  "\"data\":[0,1]},{\"name\":\"probabilities\",\"shape\":[2,2],\"datatype\":\"FP32\",\"parameters\":{"
		  "\"binary_data_size\":16}}",
		  16 },
		{ "lr",
		  "{\"outputs\":[{\"name\":\"label\",\"parameters\":{\"binary_data\":true}}],\"inputs\":[{\"name\":"
		  "\"x\",\"datatype\":\"FP64\",\"shape\":[1,3],\"data\":[1,2,3]}]}",
		  NULL, 0, "binary_data_size\":8", 8 },
		{ "echo",
		  "{\"outputs\":[{\"name\":\"output\",\"parameters\":{\"binary_data\":true}}],\"inputs\":[{\"name\":"
		  "\"x\",\"datatype\":\"BYTES\",\"shape\":[2],\"parameters\":{\"binary_data_size\":11}}]}",
		  "\3\0\0\0\xff\0a\0\0\0\0", 11, "\"BYTES\",\"parameters\":{\"binary_data_size\":11}", 11 },
		{ "echo", X("\"datatype\":\"FP16\",\"shape\":[2],\"parameters\":{\"binary_data_size\":4}"),
		  "\x00\x3c\x00\x7e", 4, "\"data\":[1.0,null]", 0 },
		{ "echo", X("\"datatype\":\"BOOL\",\"shape\":[2],\"parameters\":{\"binary_data_size\":2}"), "\1\0", 2,
		  "\"data\":[true,false]", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[64], body[512], length[24];
		struct span whole = binary_body(body, rows[i].json, rows[i].bytes, rows[i].len, length);

		(void)snprintf(path, sizeof(path), "/v2/models/%s/infer", rows[i].model);
		assert_true(ask(inf, &(struct question){
					 .method = METHOD_POST, .path = path, .body = whole, .json_length = length }));
		check_answer(i, 200, rows[i].part);
		if (rows[i].binary) {
			assert_int_equal(strtol(answer.json_length, NULL, 10), answer.body.len - rows[i].binary);
			assert_string_equal(answer.content_type, "application/octet-stream");
		} else {
			assert_string_equal(answer.json_length, "");
		}
		if (i == 4)
			assert_memory_equal(answer.body.ptr + answer.body.len - 11, rows[i].bytes, 11);
	}
}

static void raw_requests_are_the_bytes_of_the_input(void **state)
{
	static const float x[] = { 1, 2, 3, 8, 1, 1 };

	(void)state;
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = "/v2/models/lr/infer",
						 .body = { (const char *)x, 24 },
						 .json_length = "0" }));
	check_answer(0, 200, "\"shape\":[2],\"datatype\":\"INT64\",\"parameters\":{\"binary_data_size\":16}");
	assert_int_equal(strtol(answer.json_length, NULL, 10) + 32, answer.body.len);
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = "/v2/models/lr/infer",
						 .body = { (const char *)x, 23 },
						 .json_length = "0" }));
	check_answer(1, 400, "FP32 with shape [1,3] is 12 bytes, came 23");
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = "/v2/models/columns/infer",
						 .body = { (const char *)x, 24 },
						 .json_length = "0" }));
	check_answer(2, 400, "models with one input; 'columns' has 2");
}

static void hostile_binary_is_refused(void **state)
{
#define B(type, shape, size)                                                                                           \
	X("\"datatype\":\"" type "\",\"shape\":" shape ",\"parameters\":{\"binary_data_size\":" size "}")
	static const struct {
		const char *json, *bytes;
		size_t len;
		const char *length, *part;
	} rows[] = {
		{ B("FP32", "[1,3]", "12"), "12345678901", 11, NULL, "11 bytes are left" },
		{ B("FP32", "[1,3]", "12"), "1234567890123", 13, NULL, "1 bytes are left behind the last" },
		{ B("FP32", "[1,3]", "11"), "12345678901", 11, NULL, "is 12 bytes, came 11" },
		{ B("FP32", "[1,3]", "99999999999999999999"), "", 0, NULL, "line 1" },
		{ B("FP32", "[1,3]", "9223372036854775807"), "", 0, NULL, "0 bytes are left" },
		{ B("BOOL", "[1,3]", "3"), "\1\2\0", 3, NULL, "neither 0 nor 1" },
		{ B("BYTES", "[1]", "4"), "\5\0\0\0", 4, NULL, "element 0 says 5 bytes, 0 are left" },
		{ B("BYTES", "[1]", "3"), "\0\0\0", 3, NULL, "came 3 bytes in all" },
		{ B("BYTES", "[1]", "4"), "\xff\xff\xff\xff", 4, NULL, "says 4294967295 bytes" },
		{ B("BYTES", "[1000000000,1000000]", "4"), "\0\0\0\0", 4, NULL, "" },
		{ B("BYTES", "[1]", "9"), "\0\0\0\0\0\0\0\0\0", 9, NULL, "5 bytes are left behind its 1" },
		{ B("BYTES", "[2]", "9"), "\5\0\0\0abcde", 9, NULL, "expected 2 BYTES elements, came 1" },
		{ B("FP32", "[1,3]", "12"), "123456789012", 12, "-1", "Inference-Header-Content-Length is '-1'" },
		{ B("FP32", "[1,3]", "12"), "123456789012", 12, "1x", "Inference-Header-Content-Length is '1x'" },
		{ B("FP32", "[1,3]", "12"), "123456789012", 12, "", "Inference-Header-Content-Length is ''" },
		{ B("FP32", "[1,3]", "12"), "123456789012", 12, "100000", "expected at most" },
		{ B("FP32", "[1,3]", "12"), "123456789012", 12, "1", "line 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char body[512], length[24];
		struct span whole = binary_body(body, rows[i].json, rows[i].bytes, rows[i].len, length);

		assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
							 .path = "/v2/models/lr/infer",
							 .body = whole,
							 .json_length = rows[i].length ? rows[i].length : length }));
		check_answer(i, 400, rows[i].part);
	}
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = "/v2/models/lr/infer",
						 .body = SPAN("x"),
						 .content_type = "application/octet-stream" }));
	check_answer(99, 400, "needs the header Inference-Header-Content-Length");
}

static void bytes_that_are_not_text_need_the_binary_form(void **state)
{
	char body[512], length[24];
	struct span whole =
	    binary_body(body, X("\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":5}"),
			"\1\0\0\0\xff", 5, length);

	(void)state;
	assert_true(ask(
	    inf, &(struct question){
		     .method = METHOD_POST, .path = "/v2/models/echo/infer", .body = whole, .json_length = length }));
	check_answer(0, 400, "not UTF-8");
}

/* ---- other paths ---- */

static void the_paths_answer(void **state)
{
	static const struct {
		enum method method;
		const char *path, *body;
		int status;
		const char *part;
	} rows[] = {
		{ METHOD_GET, "/v2", "", 200, "\"binary_tensor_data\"" },
		{ METHOD_GET, "/v2/health/live", "", 200, "" },
		{ METHOD_GET, "/v2/health/ready", "", 200, "" },
		{ METHOD_GET, "/v2/models", "", 200, "[\"lr\",\"reg\",\"columns\",\"echo\",\"slow\"]" },
		{ METHOD_GET, "/v2/models/lr", "", 200,
		  "{\"name\":\"lr\",\"versions\":[\"1\"],\"platform\":\"test\",\"inputs\":[{\"name\":\"x\","
		  "\"datatype\":\"FP32\",\"shape\":[-1,3]}],\"outputs\":[{\"name\":"
		  "\"label\",\"datatype\":\"INT64\",\"shape\":[-1]}," },
		{ METHOD_GET, "/v2/models/lr/versions/1", "", 200, "\"lr\"" },
		{ METHOD_GET, "/v2/models/lr/versions/9", "", 404, "Model lr with version 9 not found" },
		{ METHOD_GET, "/v2/models/nope", "", 404,
		  "Model nope not found (served here: lr, reg, columns, echo, slow)" },
		{ METHOD_GET, "/v2/models/nope/ready", "", 404, "nope" },
		{ METHOD_GET, "/v2/models/lr/ready", "", 200, "true" },
		{ METHOD_GET, "/v2/models/lr/config", "", 200, "\"data_type\":\"TYPE_FP32\",\"dims\":[-1,3]" },
		{ METHOD_GET, "/v2/models/columns/config", "", 200, "\"TYPE_STRING\"" },
		{ METHOD_GET, "/v2/models/lr/stats", "", 200, "\"inference_stats\"" },
		{ METHOD_GET, "/v2/models/stats", "", 200, "\"name\":\"echo\"" },
		{ METHOD_POST, "/v2/models/nope/infer", "{}", 404, "nope" },
		{ METHOD_POST, "/v2/models/nope/versions/1/infer", "{}", 404, "nope" },
		{ METHOD_POST, "/v2/repository/index", "", 200,
		  "{\"name\":\"reg\",\"version\":\"1\",\"state\":\"READY\",\"reason\":\"\"}" },
		{ METHOD_POST, "/v2/repository/index", "{\"ready\":true}", 200, "lr" },
		{ METHOD_POST, "/v2/repository/index", "{\"ready\":1}", 400, "line 1" },
		{ METHOD_POST, "/v2/repository/index", "[", 400, "line 1" },
		{ METHOD_POST, "/v2/repository/models/nope/load", "", 404, "nope" },
		{ METHOD_POST, "/v2/repository/models/nope/unload", "", 404, "nope" },
		{ METHOD_POST, "/v2/repository/models/reg/load", "{\"parameters\":{\"config\":\"{\"}}", 400, "config" },
		{ METHOD_POST, "/v2/repository/models/reg/load", "{\"parameters\":{\"config\":{}}}", 400, "line 1" },
		{ METHOD_POST, "/v2/repository/models/reg/load", "{\"parameters\":{\"file:1/m.onnx\":\"AAAA\"}}", 501,
		  "own files" },
		{ METHOD_POST, "/v2/repository/models/reg/load",
		  "{\"parameters\":{\"config\":\"{\\\"max_batch_size\\\":8}\"}}", 200, "" },
		{ METHOD_POST, "/v2/repository/models/reg/load", "", 200, "" },
		{ METHOD_POST, "/v2/repository/models/reg/unload", "{\"parameters\":{\"unload_dependents\":true}}", 200,
		  "" },
		{ METHOD_POST, "/v2/repository/index", "", 200,
		  "{\"name\":\"reg\",\"version\":\"1\",\"state\":\"UNAVAILABLE\",\"reason\":\"unloaded\"}" },
		{ METHOD_GET, "/v2/models/reg/ready", "", 503, "not available" },
		{ METHOD_GET, "/v2/models/reg", "", 503, "not available" },
		{ METHOD_GET, "/v2/models/reg/stats", "", 200, "reg" },
		{ METHOD_POST, "/v2/models/reg/infer", "{}", 503, "not available" },
		{ METHOD_POST, "/v2/repository/models/reg/load", "", 200, "" },
		{ METHOD_GET, "/v2/models/reg/ready", "", 200, "true" },
		{ METHOD_GET, "/", "", 200, "\"status\":\"alive\"" },
		{ METHOD_GET, "/", "", 200, "/v1/models/lr:predict" },
		{ METHOD_GET, "/live", "", 200, "alive" },
		{ METHOD_GET, "/readyz", "", 200, "ready" },
		{ METHOD_GET, "/metrics", "", 200, "hythe_model_inferences_total{model=\"lr\",version=\"1\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(ask(inf, &(struct question){ .method = rows[i].method,
							 .path = rows[i].path,
							 .body = span_of(rows[i].body) }));
		check_answer(i, rows[i].status, rows[i].part);
	}
}

static void long_calls_and_large_bodies_run_on_compute_threads(void **state)
{
	static const char small[] = X("\"datatype\":\"FP64\",\"shape\":[1,2],\"data\":[1,2]");
	struct buffer large;

	(void)state;
	assert_true(ask(
	    inf, &(struct question){ .method = METHOD_POST, .path = "/v2/models/reg/infer", .body = span_of(small) }));
	assert_false(answer.was_offloaded);
	assert_true(ask(
	    inf, &(struct question){ .method = METHOD_POST, .path = "/v2/models/slow/infer", .body = span_of(small) }));
	assert_true(answer.was_offloaded);
	check_answer(0, 200, "\"data\":[3.0]");

	buffer_init(&large, MIB(1));
	buffer_append(&large,
		      SPAN("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":[32768,2],\"data\":[1"));
	for (int i = 1; i < 65536; i++)
		buffer_append(&large, SPAN(",1"));
	buffer_append(&large, SPAN("]}]}"));
	assert_true(ask(inf, &(struct question){
				 .method = METHOD_POST, .path = "/v2/models/reg/infer", .body = buffer_span(&large) }));
	assert_true(answer.was_offloaded);
	check_answer(1, 200, "\"shape\":[32768]");
	buffer_done(&large);
}

/* ---- gRPC ---- */

#define SERVICE "/inference.GRPCInferenceService/"

struct grpc_input {
	const char *name, *type;
	int64_t shape[3];
	int rank;
	uint32_t field;     /* of contents, or 0 */
	struct span packed; /* its bytes */
	struct span raw;    /* ptr NULL: none */
};

static struct span infer_message(struct buffer *b, const char *model, const struct grpc_input *in, const char *output)
{
	size_t input, contents;

	buffer_clear(b);
	protobuf_write_bytes(b, 1, span_of(model));
	protobuf_write_bytes(b, 3, SPAN("id7"));
	input = protobuf_open(b, 5);
	protobuf_write_bytes(b, 1, span_of(in->name));
	protobuf_write_bytes(b, 2, span_of(in->type));
	protobuf_write_packed_int64(b, 3, in->shape, (size_t)in->rank);
	if (in->field) {
		contents = protobuf_open(b, 5);
		protobuf_write_bytes(b, in->field, in->packed);
		protobuf_close(b, contents);
	}
	protobuf_close(b, input);
	if (output) {
		size_t mark = protobuf_open(b, 6);

		protobuf_write_bytes(b, 1, span_of(output));
		protobuf_close(b, mark);
	}
	if (in->raw.ptr)
		protobuf_write_bytes(b, 7, in->raw);
	return buffer_span(b);
}

static const double row3[] = { 1, 2, 3 };
#define ROW3                                                                                                           \
	{                                                                                                              \
		(const char *)row3, 24                                                                                 \
	}

static void grpc_answers_in_the_form_it_was_asked(void **state)
{
	static const float proba[] = { 0.9f, 0.1f };
	static const struct grpc_input typed = { "x", "FP64", { 1, 3 }, 2, 7, ROW3, { 0 } },
				       raw = { "x", "FP64", { 1, 3 }, 2, 0, { 0 }, ROW3 };
	struct buffer b, want;
	size_t output, contents;

	(void)state;
	buffer_init(&b, KIB(64));
	buffer_init(&want, KIB(64));
	for (int is_raw = 0; is_raw < 2; is_raw++) {
		struct span body = infer_message(&b, "lr", is_raw ? &raw : &typed, "predict_proba");

		assert_true(
		    ask(inf, &(struct question){ .method = METHOD_POST, .path = SERVICE "ModelInfer", .body = body }));
		assert_int_equal(answer.status, 200);
		buffer_clear(&want);
		protobuf_write_bytes(&want, 1, SPAN("lr"));
		protobuf_write_bytes(&want, 2, SPAN("1"));
		protobuf_write_bytes(&want, 3, SPAN("id7"));
		output = protobuf_open(&want, 5);
		protobuf_write_bytes(&want, 1, SPAN("predict_proba"));
		protobuf_write_bytes(&want, 2, SPAN("FP32"));
		protobuf_write_packed_int64(&want, 3, (int64_t[2]){ 1, 2 }, 2);
		if (!is_raw) {
			contents = protobuf_open(&want, 5);
			protobuf_write_bytes(&want, 6, span_from(proba, sizeof(proba)));
			protobuf_close(&want, contents);
		}
		protobuf_close(&want, output);
		if (is_raw)
			protobuf_write_bytes(&want, 6, span_from(proba, sizeof(proba)));
		assert_int_equal(answer.body.len, want.len);
		assert_memory_equal(answer.body.ptr, want.ptr, want.len);
	}
	buffer_done(&b);
	buffer_done(&want);
}

static void grpc_contents_of_every_type_come_back_as_they_went(void **state)
{
	static const struct {
		const char *type;
		uint32_t field;
		struct span packed;
		int64_t count;
	} rows[] = {
		{ "BOOL", 1, SPAN_INIT("\1\0"), 2 },
		{ "INT8", 2, SPAN_INIT("\x7f\x80\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 2 },
		{ "INT16", 2, SPAN_INIT("\xff\x01\1"), 2 },
		{ "INT32", 2, SPAN_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"), 2 },
		{ "INT64", 3, SPAN_INIT("\x05"), 1 },
		{ "UINT8", 4, SPAN_INIT("\xff\x01\1"), 2 },
		{ "UINT16", 4, SPAN_INIT("\xff\xff\x03\1"), 2 },
		{ "UINT32", 4, SPAN_INIT("\xff\xff\xff\xff\x0f"), 1 },
		{ "UINT64", 5, SPAN_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1 },
		{ "FP32", 6, SPAN_INIT("\0\0\x80\x3f"), 1 },
		{ "FP64", 7, SPAN_INIT("\0\0\0\0\0\0\xf0\x3f"), 1 },
		{ "BYTES", 8, SPAN_INIT("any\xff"), 1 },
	};
	struct buffer b;

	(void)state;
	buffer_init(&b, KIB(64));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct grpc_input in = {
			"x", rows[i].type, { rows[i].count }, 1, rows[i].field, rows[i].packed, { 0 }
		};
		struct buffer want;
		size_t mark;

		assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
							 .path = SERVICE "ModelInfer",
							 .body = infer_message(&b, "echo", &in, NULL) }));
		if (answer.status != 200)
			fail_msg("row %zu: %s", i, answer.error.message);
		buffer_init(&want, KIB(64));
		mark = protobuf_open(&want, 5);
		protobuf_write_bytes(&want, rows[i].field, rows[i].packed);
		protobuf_close(&want, mark);
		if (!memmem(answer.body.ptr, answer.body.len, want.ptr, want.len))
			fail_msg("row %zu: the contents came back changed", i);
		buffer_done(&want);
	}
	buffer_done(&b);
}

static void hostile_messages_are_refused(void **state)
{
	static const struct {
		struct grpc_input in;
		const char *part;
	} rows[] = {
		{ { "x", "FP99", { 1, 3 }, 2, 7, ROW3, { 0 } }, "datatype 'FP99' is not known" },
		{ { "x", "", { 1, 3 }, 2, 7, ROW3, { 0 } }, "datatype '' is not known" },
		{ { "x", "FP64", { 1, 4 }, 2, 7, ROW3, { 0 } }, "shape [1,4] has 4 elements, fp64_contents has 3" },
		{ { "x", "FP64", { 1, 3 }, 2, 0, { 0 }, { 0 } }, "fp64_contents has 0" },
		{ { "x", "FP64", { -1, 3 }, 2, 7, ROW3, { 0 } }, "negative dimension" },
		{ { "x", "FP64", { INT64_MAX, 3 }, 2, 7, ROW3, { 0 } }, "too many elements" },
		{ { "x", "FP32", { 1, 3 }, 2, 7, ROW3, { 0 } }, "FP32 data goes in fp32_contents, came fp64_contents" },
		{ { "x", "FP64", { 1, 3 }, 2, 7, { (const char *)row3, 23 }, { 0 } }, "" },
		{ { "x", "FP64", { 1, 3 }, 2, 7, ROW3, ROW3 }, "all tensors are raw, or none" },
		{ { "x", "FP64", { 1, 3 }, 2, 0, { 0 }, { (const char *)row3, 23 } }, "is 24 bytes, came 23" },
		{ { "x", "FP16", { 1, 3 }, 2, 6, { (const char *)row3, 12 }, { 0 } },
		  "FP16 travels in raw_input_contents only" },
		{ { "x", "INT8", { 1, 3 }, 2, 2, SPAN_INIT("\1\2\xff\x01"), { 0 } },
		  "255 at index 2, which INT8 cannot hold" },
		{ { "x", "BYTES", { 1, 3 }, 2, 0, { 0 }, SPAN_INIT("\1\0\0\0a") }, "" },
		{ { "x", "INT64", { 1, 3 }, 2, 3, SPAN_INIT("\1\2\xff"), { 0 } }, "" },
		{ { "x", "FP64", { 1, 3, 1 }, 3, 7, ROW3, { 0 } }, "" },
	};
	struct buffer b;

	(void)state;
	buffer_init(&b, KIB(64));
	for (size_t i = 0; i < ARRAY_LEN(rows) - 1; i++) {
		assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
							 .path = SERVICE "ModelInfer",
							 .body = infer_message(&b, "lr", &rows[i].in, NULL) }));
		if (answer.error.code != ERROR_INVALID && answer.error.code != ERROR_TOO_LARGE)
			fail_msg("row %zu: came %d, %s", i, answer.status, answer.error.message);
		if (!strstr(answer.error.message, rows[i].part))
			fail_msg("row %zu: '%s' does not say '%s'", i, answer.error.message, rows[i].part);
	}
	/* A message cut between two fields may be a sound one; any other cut is damage, and none reads behind its end.
	 */
	(void)infer_message(&b, "lr", &rows[8].in, "label");
	for (size_t len = 0; len < b.len; len++)
		assert_true(ask(
		    inf,
		    &(struct question){ .method = METHOD_POST, .path = SERVICE "ModelInfer", .body = { b.ptr, len } }));
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = SERVICE "ModelInfer",
						 .body = infer_message(&b, "nope", &rows[3].in, NULL) }));
	assert_int_equal(answer.error.code, ERROR_INVALID);
	(void)infer_message(&b, "nope", &(struct grpc_input){ "x", "FP64", { 1, 3 }, 2, 7, ROW3, { 0 } }, NULL);
	assert_true(ask(
	    inf, &(struct question){ .method = METHOD_POST, .path = SERVICE "ModelInfer", .body = buffer_span(&b) }));
	assert_int_equal(answer.error.code, ERROR_NOT_FOUND);
	buffer_done(&b);
}

static void a_stream_answers_each_message_and_goes_on_after_errors(void **state)
{
	static const struct grpc_input good = { "x", "FP64", { 1, 3 }, 2, 7, ROW3, { 0 } },
				       bad = { "x", "FP64", { 1, 2 }, 2, 7, ROW3, { 0 } };
	struct buffer b;

	(void)state;
	buffer_init(&b, KIB(64));
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = SERVICE "ModelStreamInfer",
						 .body = infer_message(&b, "lr", &good, NULL) }));
	assert_false(answer.is_sent);
	assert_int_equal(answer.part_count, 1);
	assert_int_equal(answer.parts.ptr[0], 2 << 3 | 2); /* infer_response */
	assert_true(ask(inf, &(struct question){ .method = METHOD_POST,
						 .path = SERVICE "ModelStreamInfer",
						 .body = infer_message(&b, "lr", &bad, NULL) }));
	assert_false(answer.is_sent);
	assert_int_equal(answer.part_count, 1);
	assert_int_equal(answer.parts.ptr[0], 1 << 3 | 2); /* error_message */
	assert_true(contains(buffer_span(&answer.parts), "id7"));
	assert_true(
	    ask(inf, &(struct question){ .method = METHOD_POST, .path = SERVICE "ModelStreamInfer", .is_end = true }));
	assert_true(answer.is_sent);
	assert_int_equal(answer.body.len, 0);
	buffer_done(&b);
}

static void the_other_methods_answer(void **state)
{
	static const struct {
		const char *path, *body;
		enum error_code code;
		const char *part;
	} rows[] = {
		{ SERVICE "ServerLive", "", ERROR_NONE, "\x08\x01" },
		{ SERVICE "ServerReady", "", ERROR_NONE, "\x08\x01" },
		{ SERVICE "ModelReady", "\x0a\x02lr", ERROR_NONE, "\x08\x01" },
		{ SERVICE "ModelReady",
		  "\x0a\x02lr\x12\x01"
		  "1",
		  ERROR_NONE, "\x08\x01" },
		{ SERVICE "ModelReady",
		  "\x0a\x02lr\x12\x01"
		  "2",
		  ERROR_NOT_FOUND, "" },
		{ SERVICE "ModelReady", "\x0a\x02lx", ERROR_NOT_FOUND, "" },
		{ SERVICE "ModelReady", "\x0a\x09lx", ERROR_INVALID, "" },
		{ SERVICE "ServerMetadata", "", ERROR_NONE, "hythe" },
		{ SERVICE "ModelMetadata", "\x0a\x02lr", ERROR_NONE, "probabilities" },
		{ SERVICE "ModelConfig", "\x0a\x02lr", ERROR_NONE, "hythe" },
		{ SERVICE "ModelStatistics", "", ERROR_NONE, "echo" },
		{ SERVICE "ModelStatistics", "\x0a\x02lr", ERROR_NONE, "CPU" },
		{ SERVICE "RepositoryIndex", "", ERROR_NONE, "READY" },
		{ SERVICE "RepositoryModelUnload", "\x12\x03reg", ERROR_NONE, "" },
		{ SERVICE "ModelMetadata", "\x0a\x03reg", ERROR_UNAVAILABLE, "" },
		{ SERVICE "RepositoryIndex", "", ERROR_NONE, "unloaded" },
		{ SERVICE "RepositoryModelLoad", "\x12\x03reg", ERROR_NONE, "" },
		{ SERVICE "RepositoryModelLoad", "\x12\x04nope", ERROR_NOT_FOUND, "" },
		{ SERVICE "RepositoryModelLoad",
		  "\x12\x03reg\x1a\x0e\x0a\x06"
		  "config\x12\x04\x1a\x02{}",
		  ERROR_NONE, "" },
		{ SERVICE "RepositoryModelLoad",
		  "\x12\x03reg\x1a\x0e\x0a\x06"
		  "config\x12\x04\x1a\x02{x",
		  ERROR_INVALID, "" },
		{ SERVICE "RepositoryModelLoad",
		  "\x12\x03reg\x1a\x0e\x0a\x06"
		  "file:a\x12\x04\x1a\x02{}",
		  ERROR_UNIMPLEMENTED, "" },
		{ "/grpc.health.v1.Health/Watch", "\x0a\x09lx", ERROR_INVALID, "" },
		{ "/grpc.health.v1.Health/Check", "", ERROR_NONE, "\x08\x01" },
		{ "/grpc.health.v1.Health/Check", "\x0a\x1einference.GRPCInferenceService", ERROR_NONE, "\x08\x01" },
		{ "/grpc.health.v1.Health/Check", "\x0a\x04nope", ERROR_NOT_FOUND, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(ask(inf, &(struct question){
					 .method = METHOD_POST, .path = rows[i].path, .body = span_of(rows[i].body) }));
		if (answer.error.code != rows[i].code || !contains(buffer_span(&answer.body), rows[i].part))
			fail_msg("row %zu: came %s '%s'", i, error_name(answer.error.code), answer.error.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(infer_requests_in_json_are_answered),
		cmocka_unit_test(hostile_json_is_refused_with_a_reason),
		cmocka_unit_test(every_cut_of_a_request_is_refused),
		cmocka_unit_test(a_missing_id_is_made_up),
		cmocka_unit_test(binary_tensors_go_in_and_out),
		cmocka_unit_test(raw_requests_are_the_bytes_of_the_input),
		cmocka_unit_test(hostile_binary_is_refused),
		cmocka_unit_test(bytes_that_are_not_text_need_the_binary_form),
		cmocka_unit_test(the_paths_answer),
		cmocka_unit_test(long_calls_and_large_bodies_run_on_compute_threads),
		cmocka_unit_test(grpc_answers_in_the_form_it_was_asked),
		cmocka_unit_test(grpc_contents_of_every_type_come_back_as_they_went),
		cmocka_unit_test(hostile_messages_are_refused),
		cmocka_unit_test(a_stream_answers_each_message_and_goes_on_after_errors),
		cmocka_unit_test(the_other_methods_answer),
	};

	return cmocka_run_group_tests(tests, open_inference, close_inference);
}
