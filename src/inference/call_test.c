/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inference/inference.h"

/* The one word of the server that call.c asks for. */
bool request_is_offloaded(const struct request *req)
{
	(void)req;
	return false;
}

/* ---- models that remember what they were given ---- */

static struct tensor given[4];
static size_t runs;
static uint64_t given_wanted;

static bool fake_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		     struct arena *arena, struct error *err)
{
	int64_t rows = inputs[0].rank ? inputs[0].shape[0] : 1;

	runs++;
	given_wanted = wanted;
	memcpy(given, inputs, m->info.input_count * sizeof(given[0]));
	for (size_t i = 0; i < m->info.output_count; i++) {
		const struct tensor_spec *spec = &m->info.outputs[i];

		if (!(wanted >> i & 1))
			continue;
		if (!tensor_new(&results[i], spec->name, spec->dtype, spec->rank, (int64_t[2]){ rows, 2 }, arena, err))
			return false;
		memset(results[i].data, (int)i, results[i].count * dtype_size(spec->dtype));
	}
	return true;
}

static const struct model_format fake_format = { .name = "fake", .run = fake_run };

static struct tensor_spec matrix3[] = { { SPAN_INIT("x"), DTYPE_FP32, 2, { -1, 3 } } };
static struct tensor_spec vector1[] = { { SPAN_INIT("x"), DTYPE_FP64, 2, { -1, 1 } } };
static struct tensor_spec flat[] = { { SPAN_INIT("x"), DTYPE_FP64, 1, { -1 } } };
static struct tensor_spec image[] = { { SPAN_INIT("pixels"), DTYPE_UINT8, 4, { -1, 2, 2, 3 } } };
static struct tensor_spec columns3[] = {
	{ SPAN_INIT("age"), DTYPE_FP32, 2, { -1, 1 } },
	{ SPAN_INIT("income"), DTYPE_INT64, 2, { -1, 1 } },
	{ SPAN_INIT("score"), DTYPE_FP64, 1, { -1 } },
};
static struct tensor_spec mixed2[] = {
	{ SPAN_INIT("age"), DTYPE_FP32, 2, { -1, 1 } },
	{ SPAN_INIT("town"), DTYPE_BYTES, 2, { -1, 1 } },
};
static struct tensor_spec classifier[] = {
	{ SPAN_INIT("label"), DTYPE_INT64, 1, { -1 } },
	{ SPAN_INIT("probabilities"), DTYPE_FP32, 2, { -1, 2 } },
};
static struct span names3[] = { SPAN_INIT("age"), SPAN_INIT("income"), SPAN_INIT("score") };

struct fixture {
	struct request *req;
	struct metrics *metrics;
	struct model *model;
	struct served served;
};

static void fixture_open(struct fixture *f, struct tensor_spec *inputs, size_t count)
{
	struct span labels[2] = { SPAN("m"), SPAN("1") };

	f->req = calloc(1, sizeof(*f->req));
	arena_init(&f->req->arena, MIB(64));
	f->metrics = metrics_new();
	f->model = model_new(&fake_format, sizeof(struct model));
	f->model->info = (struct model_info){
		.task = MODEL_TASK_BINARY,
		.inputs = inputs,
		.outputs = classifier,
		.input_count = count,
		.output_count = 2,
		.feature_count = 3,
		.score_output = 1,
		.label_output = 0,
	};
	f->served = (struct served){
		.name = SPAN("m"),
		.version = SPAN("1"),
		.model = f->model,
		.info = model_info(f->model),
		.load = served_load_new(),
		.inferences = metrics_series(f->metrics, METRIC_MODEL_INFERENCES_TOTAL, labels, 2),
		.failures = metrics_series(f->metrics, METRIC_MODEL_FAILURES_TOTAL, labels, 2),
		.rows = metrics_series(f->metrics, METRIC_MODEL_ROWS_TOTAL, labels, 2),
		.seconds = metrics_series(f->metrics, METRIC_MODEL_SECONDS, labels, 2),
	};
	runs = 0;
}

static void fixture_close(struct fixture *f)
{
	free(f->served.load);
	model_unref(f->model);
	metrics_free(f->metrics);
	arena_done(&f->req->arena);
	free(f->req);
}

static const double doubles[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const int64_t integers[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const double fractions[] = { 1.5, 2, 3, 4, 5, 6 };
static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const struct span texts[] = { SPAN_INIT("a"), SPAN_INIT("b"), SPAN_INIT("c"), SPAN_INIT("d") };

static struct tensor tensor_of(const char *name, enum dtype type, const void *data, int rank, int64_t a, int64_t b)
{
	struct tensor t = {
		.name = span_of(name), .dtype = type, .rank = rank, .shape = { a, b }, .data = (void *)(uintptr_t)data
	};

	t.count = rank == 0 ? 1 : (size_t)a * (rank == 2 ? (size_t)b : 1);
	return t;
}

/* ---- binding ---- */

struct binding {
	struct tensor_spec *inputs;
	size_t count;
	struct {
		const char *name;
		enum dtype type;
		const void *data;
		int rank;
		int64_t a, b;
	} sent[3];
	size_t sent_count;
	bool has_names;    /* the matrix's columns have names */
	const char *error; /* a part of the message, or NULL: it runs */
	int rank;          /* of the first input the model gets */
	int64_t a, b;
	double first, last; /* its first and last element */
};

static const struct binding bindings[] = {
	/* one matrix */
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 2, 2, 3 } }, 1, false, NULL, 2, 2, 3, 1, 6 },
	{ matrix3, 1, { { "whatever", DTYPE_FP64, doubles, 2, 2, 3 } }, 1, false, NULL, 2, 2, 3, 1, 6 },
	{ matrix3, 1, { { "", DTYPE_INT64, integers, 2, 2, 3 } }, 1, false, NULL, 2, 2, 3, 1, 6 },
	{ matrix3, 1, { { "x", DTYPE_UINT8, bytes, 2, 4, 3 } }, 1, false, NULL, 2, 4, 3, 1, 12 },
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 1, 3, 0 } }, 1, false, NULL, 2, 1, 3, 1, 3 },
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 2, 0, 3 } }, 1, false, NULL, 2, 0, 3, 0, 0 },
	{ matrix3,
	  1,
	  { { "x", DTYPE_FP64, doubles, 1, 4, 0 } },
	  1,
	  false,
	  .error = "expected FP32 with shape [-1,3], came FP64 with shape [4]" },
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 2, 3, 2 } }, 1, false, .error = "came FP64 with shape [3,2]" },
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 0, 0, 0 } }, 1, false, .error = "came FP64 with shape []" },
	{ matrix3,
	  1,
	  { { "x", DTYPE_BYTES, texts, 2, 1, 3 } },
	  1,
	  false,
	  .error = "expected FP32 (numbers), came BYTES" },
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 2, 1, 3 } }, 0, false, .error = "no input came" },
	/* a column, a list */
	{ vector1, 1, { { "x", DTYPE_INT64, integers, 1, 4, 0 } }, 1, false, NULL, 2, 4, 1, 1, 4 },
	{ vector1, 1, { { "x", DTYPE_INT64, integers, 0, 0, 0 } }, 1, false, .error = "came INT64 with shape []" },
	{ flat, 1, { { "x", DTYPE_INT64, integers, 1, 4, 0 } }, 1, false, NULL, 1, 4, 0, 1, 4 },
	{ flat, 1, { { "x", DTYPE_INT64, integers, 2, 4, 1 } }, 1, false, NULL, 1, 4, 0, 1, 4 },
	{ flat, 1, { { "x", DTYPE_INT64, integers, 0, 0, 0 } }, 1, false, NULL, 1, 1, 0, 1, 1 },
	{ flat, 1, { { "x", DTYPE_INT64, integers, 2, 2, 2 } }, 1, false, .error = "came INT64 with shape [2,2]" },
	{ image,
	  1,
	  { { "x", DTYPE_INT64, integers, 2, 2, 6 } },
	  1,
	  false,
	  .error = "expected UINT8 with shape [-1,2,2,3]" },
	/* several tensors for one matrix, by name and in order */
	{ matrix3,
	  1,
	  { { "score", DTYPE_FP64, doubles + 4, 1, 2, 0 },
	    { "age", DTYPE_FP64, doubles, 2, 2, 1 },
	    { "income", DTYPE_INT64, integers, 1, 2, 0 } },
	  3,
	  true,
	  NULL,
	  2,
	  2,
	  3,
	  1,
	  6 },
	{ matrix3,
	  1,
	  { { "p", DTYPE_FP64, doubles, 1, 2, 0 }, { "q", DTYPE_FP64, doubles + 2, 2, 2, 2 } },
	  2,
	  false,
	  NULL,
	  2,
	  2,
	  3,
	  1,
	  6 },
	{ matrix3,
	  1,
	  { { "p", DTYPE_FP64, doubles, 1, 2, 0 }, { "q", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  false,
	  .error = "expected 3 columns in all" },
	{ matrix3,
	  1,
	  { { "p", DTYPE_FP64, doubles, 2, 2, 2 }, { "q", DTYPE_FP64, doubles, 2, 2, 2 } },
	  2,
	  false,
	  .error = "came more" },
	{ matrix3, 1, { { "age", DTYPE_FP64, doubles, 1, 3, 0 } }, 1, true, .error = "missing inputs: income, score" },
	{ matrix3, 1, { { "x", DTYPE_FP64, doubles, 1, 3, 0 } }, 1, true, NULL, 2, 1, 3, 1, 3 },
	{ matrix3,
	  1,
	  { { "age", DTYPE_FP64, doubles, 1, 2, 0 }, { "score", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  true,
	  .error = "missing inputs: income" },
	{ matrix3,
	  1,
	  { { "age", DTYPE_FP64, doubles, 1, 2, 0 }, { "shoe", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  true,
	  .error = "no input 'shoe' (it takes age, income, score)" },
	{ matrix3,
	  1,
	  { { "age", DTYPE_FP64, doubles, 1, 2, 0 }, { "age", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  true,
	  .error = "'age' came twice" },
	{ matrix3,
	  1,
	  { { "age", DTYPE_FP64, doubles, 1, 2, 0 }, { "income", DTYPE_FP64, doubles, 1, 3, 0 } },
	  2,
	  true,
	  .error = "each of 2 rows, came shape [3]" },
	{ matrix3,
	  1,
	  { { "age", DTYPE_FP64, doubles, 1, 2, 0 }, { "income", DTYPE_BYTES, texts, 1, 2, 0 } },
	  2,
	  true,
	  .error = "expected FP32, came BYTES" },
	{ matrix3,
	  1,
	  { { "age", DTYPE_FP64, doubles, 0, 0, 0 }, { "income", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  true,
	  .error = "takes one input, 'x'" },
	/* one input a column */
	{ columns3,
	  3,
	  { { "income", DTYPE_FP64, doubles, 1, 2, 0 },
	    { "age", DTYPE_FP64, doubles, 1, 2, 0 },
	    { "score", DTYPE_FP64, doubles, 2, 2, 1 } },
	  3,
	  false,
	  NULL,
	  2,
	  2,
	  1,
	  1,
	  2 },
	{ columns3, 3, { { "all", DTYPE_FP64, doubles, 2, 2, 3 } }, 1, false, NULL, 2, 2, 1, 1, 4 },
	{ columns3, 3, { { "all", DTYPE_FP64, doubles, 1, 3, 0 } }, 1, false, NULL, 2, 1, 1, 1, 1 },
	{ columns3, 3, { { "all", DTYPE_FP64, fractions, 2, 2, 3 } }, 1, false, NULL, 2, 2, 1, 1.5, 4 },
	{ columns3, 3, { { "age", DTYPE_FP64, doubles, 1, 3, 0 } }, 1, false, .error = "input 'income' is missing" },
	{ columns3,
	  3,
	  { { "all", DTYPE_FP64, doubles, 2, 3, 2 } },
	  1,
	  false,
	  .error = "has no input 'all' (its inputs: age, income, score)" },
	{ columns3,
	  3,
	  { { "income", DTYPE_FP64, fractions, 1, 2, 0 },
	    { "age", DTYPE_FP64, doubles, 1, 2, 0 },
	    { "score", DTYPE_FP64, doubles, 2, 2, 1 } },
	  3,
	  false,
	  .error = "which INT64 cannot hold" },
	{ columns3,
	  3,
	  { { "income", DTYPE_FP64, doubles, 1, 2, 0 },
	    { "age", DTYPE_FP64, doubles, 1, 3, 0 },
	    { "score", DTYPE_FP64, doubles, 2, 2, 1 } },
	  3,
	  false,
	  .error = "rows, the others have 3" },
	{ mixed2,
	  2,
	  { { "town", DTYPE_BYTES, texts, 1, 2, 0 }, { "age", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  false,
	  NULL,
	  2,
	  2,
	  1,
	  1,
	  2 },
	{ mixed2,
	  2,
	  { { "town", DTYPE_FP64, doubles, 1, 2, 0 }, { "age", DTYPE_FP64, doubles, 1, 2, 0 } },
	  2,
	  false,
	  .error = "expected BYTES (strings), came FP64" },
	{ mixed2,
	  2,
	  { { "all", DTYPE_FP64, doubles, 2, 2, 2 } },
	  1,
	  false,
	  .error = "expected BYTES (strings), came FP64" },
	{ mixed2,
	  2,
	  { { "town", DTYPE_BYTES, texts, 1, 2, 0 },
	    { "age", DTYPE_FP64, doubles, 1, 2, 0 },
	    { "age", DTYPE_FP64, doubles, 1, 2, 0 } },
	  3,
	  false,
	  .error = "an input came twice" },
};

static void check_binding(const struct binding *b)
{
	struct fixture f;
	struct tensor sent[3];
	struct call call = { .inputs = sent, .input_count = b->sent_count };
	struct error err = { 0 };
	bool ok;

	fixture_open(&f, b->inputs, b->count);
	if (b->has_names) {
		f.served.columns = names3;
		f.served.column_count = 3;
	}
	call.served = &f.served;
	for (size_t i = 0; i < b->sent_count; i++)
		sent[i] = tensor_of(b->sent[i].name, b->sent[i].type, b->sent[i].data, b->sent[i].rank, b->sent[i].a,
				    b->sent[i].b);
	ok = call_run(f.req, &call, &err);
	if (b->error) {
		assert_false(ok);
		assert_int_equal(err.code, ERROR_INVALID);
		if (!strstr(err.message, b->error))
			fail_msg("'%s' does not say '%s'", err.message, b->error);
		assert_int_equal(runs, 0);
		assert_int_equal(metric_value(f.served.failures), 1);
	} else {
		if (!ok)
			fail_msg("%s", err.message);
		assert_int_equal(runs, 1);
		assert_int_equal(given[0].dtype, b->inputs[0].dtype);
		assert_int_equal(given[0].rank, b->rank);
		assert_int_equal(given[0].shape[0], b->a);
		if (b->rank == 2)
			assert_int_equal(given[0].shape[1], b->b);
		if (given[0].count) {
			assert_true(tensor_get(&given[0], 0) == b->first);
			assert_true(tensor_get(&given[0], given[0].count - 1) == b->last);
		}
		assert_int_equal(metric_value(f.served.inferences), 1);
		assert_int_equal(metric_value(f.served.rows), b->a);
		assert_int_equal(metric_value(f.served.seconds), 1);
		assert_int_equal(call.result_count, 2);
	}
	fixture_close(&f);
}

static void inputs_are_bound_by_name_shape_and_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bindings); i++)
		check_binding(&bindings[i]);
}

static void a_missing_column_is_nan_where_the_model_takes_missing_values(void **state)
{
	struct fixture f;
	struct tensor sent[] = { tensor_of("income", DTYPE_INT64, integers, 1, 2, 0),
				 tensor_of("score", DTYPE_FP64, doubles + 4, 1, 2, 0) };
	struct call call = { .inputs = sent, .input_count = 2 };
	struct error err = { 0 };

	(void)state;
	fixture_open(&f, matrix3, 1);
	f.model->info.takes_missing = true;
	f.served.columns = names3;
	f.served.column_count = 3;
	call.served = &f.served;
	assert_true(call_run(f.req, &call, &err));
	for (size_t r = 0; r < 2; r++) {
		double age = tensor_get(&given[0], r * 3);

		assert_true(age != age);
		assert_true(tensor_get(&given[0], r * 3 + 1) == (double)(r + 1));
		assert_true(tensor_get(&given[0], r * 3 + 2) == (double)(r + 5));
	}
	fixture_close(&f);
}

static void a_model_of_any_input_gets_it_as_it_came_but_aligned(void **state)
{
	struct fixture f;
	_Alignas(8) char raw[64] = { 0 };
	char *odd = raw + 1;
	struct tensor sent = tensor_of("q", DTYPE_INT64, odd, 1, 3, 0);
	struct call call = { .inputs = &sent, .input_count = 1 };
	struct error err = { 0 };

	(void)state;
	memcpy(odd, integers, 24);
	fixture_open(&f, matrix3, 1);
	f.model->info.any_input = true;
	call.served = &f.served;
	assert_true(call_run(f.req, &call, &err));
	assert_int_equal(given[0].dtype, DTYPE_INT64);
	assert_int_equal((uintptr_t)given[0].data % 8, 0);
	assert_true(tensor_get(&given[0], 2) == 3);
	fixture_close(&f);
}

static void an_unaligned_input_is_converted_or_aligned(void **state)
{
	struct fixture f;
	_Alignas(8) char raw[64] = { 0 };
	char *odd = raw + 1;
	struct tensor sent = tensor_of("x", DTYPE_FP64, odd, 2, 2, 3);
	struct call call = { .inputs = &sent, .input_count = 1 };
	struct error err = { 0 };

	(void)state;
	memcpy(odd, doubles, 48);
	fixture_open(&f, matrix3, 1);
	call.served = &f.served;
	assert_true(call_run(f.req, &call, &err));
	assert_true(tensor_get(&given[0], 5) == 6);
	fixture_close(&f);
}

/* ---- outputs ---- */

static void outputs_are_found_by_name_and_by_scikit_learns_names(void **state)
{
	static const struct {
		const char *name;
		enum model_task task;
		int label;
		int index; /* -1: an error */
	} rows[] = {
		{ "label", MODEL_TASK_BINARY, 0, 0 },
		{ "probabilities", MODEL_TASK_BINARY, 0, 1 },
		{ "predict", MODEL_TASK_BINARY, 0, 0 },
		{ "predict_proba", MODEL_TASK_BINARY, 0, 1 },
		{ "predict", MODEL_TASK_MULTICLASS, -1, 1 },
		{ "predict", MODEL_TASK_REGRESSION, -1, 1 },
		{ "predict_proba", MODEL_TASK_REGRESSION, -1, -1 },
		{ "nope", MODEL_TASK_BINARY, 0, -1 },
		{ "", MODEL_TASK_BINARY, 0, -1 },
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tensor sent = tensor_of("x", DTYPE_FP64, doubles, 2, 2, 3);
		struct span wanted = span_of(rows[i].name);
		struct call call = { .inputs = &sent, .input_count = 1, .wanted = &wanted, .wanted_count = 1 };
		struct error err = { 0 };

		fixture_open(&f, matrix3, 1);
		f.model->info.task = rows[i].task;
		f.model->info.label_output = rows[i].label;
		call.served = &f.served;
		if (rows[i].index < 0) {
			assert_false(call_run(f.req, &call, &err));
			assert_non_null(strstr(err.message, "(its outputs: label, probabilities)"));
		} else {
			assert_true(call_run(f.req, &call, &err));
			assert_int_equal(call.result_count, 1);
			assert_true(span_equal(call.results[0].name, wanted));
			assert_int_equal(call.results[0].dtype, classifier[rows[i].index].dtype);
			assert_int_equal(given_wanted, 1u << rows[i].index);
		}
		fixture_close(&f);
	}
}

/* ---- cost ---- */

static void the_estimate_begins_with_the_models_word_and_learns(void **state)
{
	struct fixture f;
	struct tensor sent = tensor_of("x", DTYPE_FP64, doubles, 2, 2, 3);
	struct call call = { .inputs = &sent, .input_count = 1 };
	struct error err = { 0 };
	int64_t half;

	(void)state;
	fixture_open(&f, matrix3, 1);
	call.served = &f.served;
	assert_int_equal(call_estimate_ns(&call), 0); /* nothing is known */
	f.model->info.cost_ns_call = 1000;
	f.model->info.cost_ns_row = 1e9;
	assert_int_equal(call_estimate_ns(&call), 1000001000);
	assert_true(call_run(f.req, &call, &err));
	half = (1000001000 + call.model_ns) / 2; /* half way to what was measured */
	assert_in_range(call_estimate_ns(&call), half - 2, half + 2);
	for (int i = 0; i < 30 || (i < 100000 && call_estimate_ns(&call) > 10000000); i++) /* some are interrupted */
		assert_true(call_run(f.req, &call, &err));
	assert_in_range(call_estimate_ns(&call), 1, 10000000);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inputs_are_bound_by_name_shape_and_type),
		cmocka_unit_test(a_missing_column_is_nan_where_the_model_takes_missing_values),
		cmocka_unit_test(a_model_of_any_input_gets_it_as_it_came_but_aligned),
		cmocka_unit_test(an_unaligned_input_is_converted_or_aligned),
		cmocka_unit_test(outputs_are_found_by_name_and_by_scikit_learns_names),
		cmocka_unit_test(the_estimate_begins_with_the_models_word_and_learns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
