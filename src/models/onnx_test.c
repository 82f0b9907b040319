/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ONNX format on small models written as text, a statement a line:
 *
 *	in NAME TYPE DIMS, out NAME TYPE DIMS    TYPE: f d i s b (FP32 FP64 INT64 BYTES BOOL); DIMS: ?,2 or -
 *	init NAME TYPE DIMS VALUES
 *	raw NAME TYPE DIMS BYTES                 so many zero bytes
 *	external NAME
 *	opset DOMAIN VERSION, ir VERSION, meta KEY VALUE
 *	node OP[@DOMAIN] IN,IN > OUT,OUT NAME=T:VALUES ...    T: i f s (one), I F S (lists)
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "models/model.h"
#include "models/onnx.h"
#include "wire/protobuf.h"

/* ---- models from text ---- */

static uint64_t type_number(struct span letter)
{
	switch (letter.ptr[0]) {
	case 'f':
		return 1;
	case 'd':
		return 11;
	case 'i':
		return 7;
	case 's':
		return 8;
	case 'b':
		return 9;
	default:
		return (uint64_t)strtoul(letter.ptr, NULL, 10);
	}
}

static double number(struct span s)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)s.len, s.ptr);
	return strtod(text, NULL);
}

static void put_value_info(struct buffer *out, uint32_t field, struct span words)
{
	size_t info = protobuf_open(out, field), type, tensor, shape, dim;
	struct span name = span_cut(&words, ' '), kind = span_cut(&words, ' ');

	protobuf_write_bytes(out, 1, name);
	type = protobuf_open(out, 2);
	tensor = protobuf_open(out, 1);
	protobuf_write_uint64(out, 1, type_number(kind));
	if (!span_equal(words, SPAN("-"))) {
		shape = protobuf_open(out, 2);
		while (words.len) {
			struct span d = span_cut(&words, ',');

			dim = protobuf_open(out, 1);
			if (d.ptr[0] == '?')
				protobuf_write_bytes(out, 2, SPAN("N"));
			else
				protobuf_write_uint64(out, 1, (uint64_t)number(d));
			protobuf_close(out, dim);
		}
		protobuf_close(out, shape);
	}
	protobuf_close(out, tensor);
	protobuf_close(out, type);
	protobuf_close(out, info);
}

static void put_tensor(struct buffer *out, struct span words, bool raw)
{
	size_t tensor = protobuf_open(out, 5);
	struct span name = span_cut(&words, ' '), kind = span_cut(&words, ' '), dims = span_cut(&words, ' ');
	uint64_t type = type_number(kind);

	while (dims.len)
		protobuf_write_uint64(out, 1, (uint64_t)(int64_t)number(span_cut(&dims, ',')));
	protobuf_write_uint64(out, 2, type);
	protobuf_write_bytes(out, 8, name);
	if (raw) {
		size_t count = (size_t)number(words);
		char *zeros = calloc(count + 1, 1);

		protobuf_write_bytes(out, 9, span_from(zeros, count));
		free(zeros);
	}
	while (!raw && words.len) {
		struct span v = span_cut(&words, ',');

		if (type == 1)
			protobuf_write_float(out, 4, (float)number(v));
		else if (type == 11)
			protobuf_write_double(out, 10, number(v));
		else if (type == 8)
			protobuf_write_bytes(out, 6, v);
		else
			protobuf_write_uint64(out, type == 7 ? 7 : 5, (uint64_t)(int64_t)number(v));
	}
	protobuf_close(out, tensor);
}

static void put_external(struct buffer *out, struct span name)
{
	size_t tensor = protobuf_open(out, 5), entry;

	protobuf_write_uint64(out, 1, 1);
	protobuf_write_uint64(out, 2, 1);
	protobuf_write_bytes(out, 8, name);
	entry = protobuf_open(out, 13);
	protobuf_write_bytes(out, 1, SPAN("location"));
	protobuf_write_bytes(out, 2, SPAN("/etc/passwd"));
	protobuf_close(out, entry);
	protobuf_write_uint64(out, 14, 1);
	protobuf_close(out, tensor);
}

static void put_attribute(struct buffer *out, struct span text)
{
	size_t attribute = protobuf_open(out, 5);
	struct span name = span_cut(&text, '='), kind = span_cut(&text, ':');

	protobuf_write_bytes(out, 1, name);
	switch (kind.ptr[0]) {
	case 'i':
		protobuf_write_uint64(out, 3, (uint64_t)(int64_t)number(text));
		protobuf_write_uint64(out, 20, 2);
		break;
	case 'f':
		protobuf_write_float(out, 2, (float)number(text));
		protobuf_write_uint64(out, 20, 1);
		break;
	case 's':
		protobuf_write_bytes(out, 4, text);
		protobuf_write_uint64(out, 20, 3);
		break;
	default:
		while (text.len) {
			struct span v = span_cut(&text, ',');

			if (kind.ptr[0] == 'I')
				protobuf_write_uint64(out, 8, (uint64_t)(int64_t)number(v));
			else if (kind.ptr[0] == 'F')
				protobuf_write_float(out, 7, (float)number(v));
			else
				protobuf_write_bytes(out, 9, v);
		}
		protobuf_write_uint64(out, 20, kind.ptr[0] == 'I' ? 7 : kind.ptr[0] == 'F' ? 6 : 8);
		break;
	}
	protobuf_close(out, attribute);
}

static void put_node(struct buffer *out, struct span words)
{
	size_t node = protobuf_open(out, 1);
	struct span op = span_cut(&words, ' '), domain, in, outs;

	domain = op;
	op = span_cut(&domain, '@');
	in = span_cut(&words, ' ');
	if (!span_equal(in, SPAN(">")))
		(void)span_cut(&words, ' ');
	else
		in = SPAN("");
	outs = span_cut(&words, ' ');
	while (in.len) {
		struct span name = span_cut(&in, ',');

		protobuf_write_bytes(out, 1, span_equal(name, SPAN("_")) ? SPAN("") : name);
	}
	while (outs.len)
		protobuf_write_bytes(out, 2, span_cut(&outs, ','));
	protobuf_write_bytes(out, 4, op);
	while (words.len)
		put_attribute(out, span_cut(&words, ' '));
	if (domain.len)
		protobuf_write_bytes(out, 7,
				     span_equal(domain, SPAN("ml"))   ? SPAN("ai.onnx.ml")
				     : span_equal(domain, SPAN("ms")) ? SPAN("com.microsoft")
								      : domain);
	protobuf_close(out, node);
}

static void put_pair(struct buffer *out, uint32_t field, struct span words, bool opset)
{
	size_t pair = protobuf_open(out, field);
	struct span key = span_cut(&words, ' ');

	protobuf_write_bytes(out, 1, span_equal(key, SPAN("_")) ? SPAN("") : key);
	if (opset)
		protobuf_write_uint64(out, 2, (uint64_t)(int64_t)number(words));
	else
		protobuf_write_bytes(out, 2, words);
	protobuf_close(out, pair);
}

/* Statements of the graph, or those around it. */
static void put_statements(struct buffer *out, const char *text, bool in_graph, bool *has_opset)
{
	struct span rest = span_of(text);

	while (rest.len) {
		struct span words = span_trim(span_cut(&rest, '\n')), what = span_cut(&words, ' ');

		if (span_equal(what, SPAN("in")) && in_graph)
			put_value_info(out, 11, words);
		else if (span_equal(what, SPAN("out")) && in_graph)
			put_value_info(out, 12, words);
		else if (span_equal(what, SPAN("init")) && in_graph)
			put_tensor(out, words, false);
		else if (span_equal(what, SPAN("raw")) && in_graph)
			put_tensor(out, words, true);
		else if (span_equal(what, SPAN("external")) && in_graph)
			put_external(out, words);
		else if (span_equal(what, SPAN("node")) && in_graph)
			put_node(out, words);
		else if (span_equal(what, SPAN("opset")) && !in_graph)
			put_pair(out, 8, words, *has_opset = true);
		else if (span_equal(what, SPAN("meta")) && !in_graph)
			put_pair(out, 14, words, false);
		else if (span_equal(what, SPAN("ir")) && !in_graph)
			protobuf_write_uint64(out, 1, (uint64_t)number(words));
	}
}

static void write_model(struct buffer *out, const char *text)
{
	bool has_opset = false;
	size_t graph;

	if (!strstr(text, "ir "))
		protobuf_write_uint64(out, 1, 8);
	put_statements(out, text, false, &has_opset);
	if (!has_opset)
		put_pair(out, 8, SPAN("_ 17"), true);
	graph = protobuf_open(out, 7);
	put_statements(out, text, true, &has_opset);
	protobuf_close(out, graph);
}

static struct model *load_text(const char *text, struct error *err)
{
	static const struct model_options options = { .onnxruntime = "/nonexistent/libonnxruntime.so" };
	struct buffer bytes;
	struct model *m;

	buffer_init(&bytes, MIB(1));
	write_model(&bytes, text);
	m = model_load_bytes(buffer_span(&bytes), &options, err);
	buffer_done(&bytes);
	return m;
}

static struct model *loaded(const char *text)
{
	struct error err = { 0 };
	struct model *m = load_text(text, &err);

	if (!m)
		fail_msg("%s", err.message);
	return m;
}

/* ---- running ---- */

static struct tensor matrix(float *data, int64_t rows, int64_t columns)
{
	return (struct tensor){ .dtype = DTYPE_FP32,
				.rank = 2,
				.shape = { rows, columns },
				.count = (size_t)(rows * columns),
				.data = data };
}

static void run_floats(const char *text, struct tensor *inputs, const double *want, size_t count, int output)
{
	struct model *m = loaded(text);
	struct tensor results[8] = { 0 };
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(16));
	if (!model_run(m, inputs, UINT64_MAX, results, &arena, &err))
		fail_msg("%s", err.message);
	assert_int_equal(results[output].count, count);
	for (size_t i = 0; i < count; i++) {
		double got = tensor_get(&results[output], i);

		if (!(fabs(got - want[i]) < 1e-6) && !(isnan(got) && isnan(want[i])))
			fail_msg("element %zu is %.9g, not %.9g", i, got, want[i]);
	}
	arena_done(&arena);
	model_unref(m);
}

static void a_logistic_regression_gives_labels_and_probabilities(void **state)
{
	static const char *const text =
	    "in X f ?,2\n"
	    "node LinearClassifier@ml X > label,scores classlabels_ints=I:0,1 coefficients=F:-1,-2,1,2 "
	    "intercepts=F:-0.5,0.5 post_transform=s:LOGISTIC multi_class=i:0\n"
	    "node ZipMap@ml scores > maps classlabels_int64s=I:0,1\n"
	    "out label i ?\nout maps f ?,2\n";
	float rows[] = { 1, 1, -1, 0 };
	struct tensor x = matrix(rows, 2, 2);
	double p0 = 1 / (1 + exp(-3.5)), p1 = 1 / (1 + exp(0.5));

	(void)state;
	run_floats(text, &x, (double[]){ 1 - p0, p0, 1 - p1, p1 }, 4, 1);
	run_floats(text, &x, (double[]){ 1, 0 }, 2, 0);
}

static void info_tells_task_classes_and_columns(void **state)
{
	struct model *m = loaded("in age f ?,1\nin income f ?,1\n"
				 "node Concat age,income > X axis=i:1\n"
				 "node Imputer@ml X > I imputed_value_floats=F:1,2 replaced_value_float=f:nan\n"
				 "node LinearClassifier@ml I > label,scores classlabels_strings=S:low,mid,high "
				 "coefficients=F:1,2,3,4,5,6 intercepts=F:0,0,0 post_transform=s:SOFTMAX\n"
				 "out label s ?\nout scores f ?,3\n");
	const struct model_info *info = model_info(m);

	(void)state;
	assert_int_equal(info->task, MODEL_TASK_MULTICLASS);
	assert_int_equal(info->label_output, 0);
	assert_int_equal(info->score_output, 1);
	assert_int_equal(info->class_count, 3);
	assert_true(span_equal(info->class_names[2], SPAN("high")));
	assert_int_equal(info->feature_count, 2);
	assert_true(span_equal(info->feature_names[1], SPAN("income")));
	assert_true(info->takes_missing);
	assert_true(span_equal(info->platform, SPAN("onnx_onnxv1")));
	assert_true(info->cost_ns_call > 0);
	model_unref(m);
}

static void feature_names_come_from_the_metadata(void **state)
{
	struct model *m = loaded("meta feature_names [\"a\",\"b\"]\nin X f ?,2\n"
				 "node LinearRegressor@ml X > Y coefficients=F:1,2 intercepts=F:3\nout Y f ?,1\n");

	(void)state;
	assert_true(span_equal(model_info(m)->feature_names[1], SPAN("b")));
	assert_int_equal(model_info(m)->task, MODEL_TASK_REGRESSION);
	assert_false(model_info(m)->takes_missing);
	model_unref(m);
}

static void a_tree_sends_missing_values_where_it_says(void **state)
{
	static const char *const text =
	    "in X f ?,2\n"
	    "node TreeEnsembleRegressor@ml X > Y n_targets=i:1 nodes_treeids=I:0,0,0 nodes_nodeids=I:0,1,2 "
	    "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
	    "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 nodes_missing_value_tracks_true=I:1,0,0 "
	    "target_treeids=I:0,0 target_nodeids=I:1,2 target_ids=I:0,0 target_weights=F:10,20 base_values=F:1\n"
	    "out Y f ?,1\n";
	float rows[] = { 0, 0.5f, 0, 0.6f, 0, NAN };
	struct tensor x = matrix(rows, 3, 2);

	(void)state;
	run_floats(text, &x, (double[]){ 11, 21, 11 }, 3, 0);
}

static void plain_operators_compute(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		double want[8];
	} rows[] = {
		{ "node Add X,R > Y\ninit R f 2 10,20\nout Y f ?,2\n", 4, { 11, 22, 13, 24 } },
		{ "node Sub X,C > Y\ninit C f 2,1 1,2\nout Y f ?,2\n", 4, { 0, 1, 1, 2 } },
		{ "node MatMul X,W > Y\ninit W f 2,3 1,0,2,0,1,2\nout Y f ?,3\n", 6, { 1, 2, 6, 3, 4, 14 } },
		{ "node Gemm X,W,C > Y transB=i:1 alpha=f:2\ninit W f 1,2 1,1\ninit C f 1 1\nout Y f ?,1\n",
		  2,
		  { 7, 15 } },
		{ "node Transpose X > Y perm=I:1,0\nout Y f -\n", 4, { 1, 3, 2, 4 } },
		{ "node ReduceSum X,a > Y keepdims=i:0\ninit a i 1 1\nout Y f ?\n", 2, { 3, 7 } },
		{ "node ReduceMean X > Y axes=I:0\nout Y f -\n", 2, { 2, 3 } },
		{ "node ReduceLogSumExp X > Y axes=I:1 keepdims=i:0\nout Y f ?\n", 2, { 2.313261688, 4.313261688 } },
		{ "node ArgMax X > Y axis=i:1 keepdims=i:0\nout Y i ?\n", 2, { 1, 1 } },
		{ "node Softmax X > Y\nout Y f ?,2\n", 4, { 0.268941421, 0.731058579, 0.268941421, 0.731058579 } },
		{ "node Slice X,s,e,a > Y\ninit s i 1 1\ninit e i 1 2\ninit a i 1 1\nout Y f ?,1\n", 2, { 2, 4 } },
		{ "node Slice X,s,e,a,t > Y\ninit s i 1 -1\ninit e i 1 -9\ninit a i 1 1\ninit t i 1 -1\nout Y f ?,2\n",
		  4,
		  { 2, 1, 4, 3 } },
		{ "node Gather X,g > Y axis=i:1\ninit g i 1 -1\nout Y f ?,1\n", 2, { 2, 4 } },
		{ "node Concat X,X > Y axis=i:-1\nout Y f ?,4\n", 8, { 1, 2, 1, 2, 3, 4, 3, 4 } },
		{ "node Split X > Z,Y axis=i:1\nout Y f ?,1\n", 2, { 2, 4 } },
		{ "node TopK X,k > Y,I axis=i:0 largest=i:1\ninit k i 1 1\nout Y f -\n", 2, { 3, 4 } },
		{ "node CumSum X,a > Y reverse=i:1\ninit a i 1 0\nout Y f ?,2\n", 4, { 4, 6, 3, 4 } },
		{ "node Clip X,l,h > Y\ninit l f 1 2\ninit h f 1 3\nout Y f ?,2\n", 4, { 2, 2, 3, 3 } },
		{ "node Less X,l > M\nnode Where M,l,X > Y\ninit l f 1 2.5\nout Y f ?,2\n", 4, { 2.5, 2.5, 3, 4 } },
		{ "node Cast X > I to=i:7\nnode Mod I,two > Y\ninit two i 1 2\nout Y i ?,2\n", 4, { 1, 0, 1, 0 } },
		{ "node Expand X,s > Y\ninit s i 3 2,1,1\nout Y f -\n", 8, { 1, 2, 3, 4, 1, 2, 3, 4 } },
		{ "node Tile X,s > Y\ninit s i 2 1,2\nout Y f ?,4\n", 8, { 1, 2, 1, 2, 3, 4, 3, 4 } },
		{ "node Pow X,two > Y\ninit two i 1 3\nout Y f ?,2\n", 4, { 1, 8, 27, 64 } },
		{ "node Shape X > Y\nout Y i 2\n", 2, { 2, 2 } },
		{ "node Normalizer@ml X > Y norm=s:L1\nout Y f ?,2\n", 4, { 1 / 3., 2 / 3., 3 / 7., 4 / 7. } },
		{ "node Scaler@ml X > Y offset=F:1,1 scale=F:2,3\nout Y f ?,2\n", 4, { 0, 3, 4, 9 } },
		{ "node OneHotEncoder@ml X > Y cats_int64s=I:4,1\nout Y f -\n", 8, { 0, 1, 0, 0, 0, 0, 1, 0 } },
		{ "node LabelEncoder@ml X > Y keys_floats=F:1,4 values_int64s=I:7,8 default_int64=i:-3\nout Y i ?,2\n",
		  4,
		  { 7, -3, -3, 8 } },
		{ "node Sum X,X,X > Y\nout Y f ?,2\n", 4, { 3, 6, 9, 12 } },
		{ "node Exp X > A\nnode Log A > Y\nout Y f ?,2\n", 4, { 1, 2, 3, 4 } },
	};
	float values[] = { 1, 2, 3, 4 };
	struct tensor x = matrix(values, 2, 2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];

		snprintf(text, sizeof(text), "opset _ 13\nopset ai.onnx.ml 2\nin X f ?,2\n%s", rows[i].text);
		run_floats(text, &x, rows[i].want, rows[i].count, 0);
	}
}

static void text_is_cut_and_counted(void **state)
{
	static const char *const text =
	    "in X s ?,1\ninit minus i 1 -1\n"
	    "node Reshape X,minus > A\n"
	    "node StringNormalizer A > B case_change_action=s:LOWER is_case_sensitive=i:0\n"
	    "node Tokenizer@ms B > C mark=i:0 mincharnum=i:2 pad_value=s:# tokenexp=s:[a-z\xC3\xBC]+\n"
	    "node TfIdfVectorizer C > Y mode=s:TF min_gram_length=i:1 max_gram_length=i:2 max_skip_count=i:0 "
	    "ngram_counts=I:0,2 ngram_indexes=I:0,2,1 pool_strings=S:good,\xC3\xBC"
	    "ber,very,good\nout Y f ?,3\n";
	struct span texts[] = { SPAN_INIT("Very good, very GOOD!"), SPAN_INIT("\xC3\x9C"
									      "BER a good one") };
	struct tensor x = { .dtype = DTYPE_BYTES, .rank = 2, .shape = { 2, 1 }, .count = 2, .data = texts };

	(void)state;
	run_floats(text, &x, (double[]){ 2, 2, 0, 1, 0, 1 }, 6, 0);
}

static void constants_are_folded_at_load(void **state)
{
	struct error err = { 0 };
	struct model *m = load_text(
	    "in X f ?,1\ninit a f 1 2\nnode Exp a > b\nnode Mul b,b > c\nnode Add X,c > Y\nout Y f ?,1\n", &err);
	float one = 1;
	struct tensor x = matrix(&one, 1, 1);

	(void)state;
	assert_non_null(m);
	model_unref(m);
	run_floats("in X f ?,1\ninit a f 1 2\nnode Exp a > b\nnode Sqrt b > c\nnode Add X,c > Y\nout Y f ?,1\n", &x,
		   (double[]){ 1 + exp(1) }, 1, 0);
}

static void initializers_among_the_inputs_are_constants(void **state)
{
	struct model *m = loaded("ir 3\nin X f ?,1\nin W f 1,1\ninit W f 1,1 3\nnode MatMul X,W > Y\nout Y f ?,1\n");

	(void)state;
	assert_int_equal(model_info(m)->input_count, 1);
	model_unref(m);
}

static void buffers_are_used_again(void **state)
{
	char text[8192] = "in v0 f ?,64\n";
	struct error err = { 0 };
	struct tensor results[1];
	static float values[1024 * 64];
	struct tensor x = matrix(values, 1024, 64);
	struct arena arena;
	struct model *m;

	(void)state;
	for (int i = 0; i < 100; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "node Neg v%d > v%d\n", i, i + 1);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "out v100 f ?,64\n");
	m = loaded(text);
	arena_init(&arena, MIB(1)); /* a result is 256 KiB; 100 of them would need 25 MiB */
	if (!model_run(m, &x, 1, results, &arena, &err))
		fail_msg("%s", err.message);
	arena_done(&arena);
	model_unref(m);
}

/* ---- damage ---- */

#define TREE_HEAD "in X f ?,2\nnode TreeEnsembleRegressor@ml X > Y nodes_treeids=I:0,0,0 nodes_nodeids=I:0,1,2 "
#define TREE_TAIL "target_treeids=I:0,0 target_nodeids=I:1,2 target_ids=I:0,0 target_weights=F:10,20\nout Y f ?,1\n"

static void damaged_models_are_refused_with_the_place(void **state)
{
	static const struct {
		const char *text, *want;
		enum error_code code;
	} rows[] = {
		{ "in X f ?,2\n", "no output", ERROR_INVALID },
		{ "in X f ?,2\nout Y f ?,2\n", "'Y' is not computed", ERROR_INVALID },
		{ "in X f ?,2\nnode Neg Z > Y\nout Y f ?,2\n", "'Z' is not defined before", ERROR_INVALID },
		{ "in X f ?,2\nnode Neg A > Y\nnode Neg X > A\nout Y f ?,2\n", "topological", ERROR_INVALID },
		{ "in X f ?,2\nnode Neg Y > Y\nout Y f ?,2\n", "'Y' is not defined", ERROR_INVALID },
		{ "in X f ?,2\nnode Neg X > Y\nnode Abs X > Y\nout Y f ?,2\n", "'Y' is defined twice", ERROR_INVALID },
		{ "in X f ?,2\nin X f ?,2\nnode Neg X > Y\nout Y f ?,2\n", "'X' is defined twice", ERROR_INVALID },
		{ "in X f ?,2\nnode Neg X,X > Y\nout Y f ?,2\n", "2 inputs", ERROR_INVALID },
		{ "in X f ?,2\nnode Neg > Y\nout Y f ?,2\n", "0 inputs", ERROR_INVALID },
		{ "in X f ?,2\nnode Add X,_ > Y\nout Y f ?,2\n", "input 1 is left out", ERROR_INVALID },
		{ "in X f ?,2\nnode Conv X > Y\nnode Lstm X > Z\nout Y f ?,2\n", "Conv, Lstm", ERROR_UNIMPLEMENTED },
		{ "in X f ?,2\nnode Gelu@ms X > Y\nout Y f ?,2\n", "com.microsoft:Gelu", ERROR_UNIMPLEMENTED },
		{ "in X f ?,2\nnode Neg X > Y color=i:3\nout Y f ?,2\n", "'color' is not supported",
		  ERROR_UNIMPLEMENTED },
		{ "in X f ?,2\nnode Softmax X > Y axis=f:1\nout Y f ?,2\n", "'axis' is a float, an integer",
		  ERROR_INVALID },
		{ "in X f ?,2\nnode Softmax X > Y axis=i:1 axis=i:1\nout Y f ?,2\n", "'axis' is there twice",
		  ERROR_INVALID },
		{ "in X f ?,2\ninit W f 2,2 1,2,3\nnode MatMul X,W > Y\nout Y f ?,2\n", "3 elements are given",
		  ERROR_INVALID },
		{ "in X f ?,2\nraw W f 2,2 15\nnode MatMul X,W > Y\nout Y f ?,2\n", "15 bytes, the shape needs 16",
		  ERROR_INVALID },
		{ "in X f ?,2\nraw W f 2,-2 16\nnode MatMul X,W > Y\nout Y f ?,2\n", "initializer 0", ERROR_INVALID },
		{ "in X f ?,2\nraw W f 4000000000,4000000000,4000000000 4\nnode MatMul X,W > Y\nout Y f ?,2\n",
		  "initializer 0", ERROR_TOO_LARGE },
		{ "in X f ?,2\nraw W f 1,1,1,1,1,1,1,1,1 4\nnode MatMul X,W > Y\nout Y f ?,2\n",
		  "more than 8 dimensions", ERROR_TOO_LARGE },
		{ "in X f ?,2\nraw W 99 1 4\nnode MatMul X,W > Y\nout Y f ?,2\n", "element type 99", ERROR_INVALID },
		{ "in X f ?,2\nexternal W\nnode Add X,W > Y\nout Y f ?,2\n", "external data", ERROR_UNIMPLEMENTED },
		{ "opset _ 99\nin X f ?,2\nnode Neg X > Y\nout Y f ?,2\n", "opset 99", ERROR_UNIMPLEMENTED },
		{ "in X f ?,2\ninit W f 3,2 1,2,3,4,5,6\nnode MatMul X,W > Y\nout Y f ?,2\n", NULL, ERROR_NONE },
		{ "in X f ?,2\nnode LinearClassifier@ml X > L,P classlabels_ints=I:0,1 coefficients=F:1,2,3 "
		  "intercepts=F:1,2\n"
		  "out L i ?\nout P f ?,2\n",
		  "3 coefficients do not divide", ERROR_INVALID },
		{ "in X f ?,2\nnode LinearClassifier@ml X > L,P classlabels_ints=I:0,1,2 coefficients=F:1,2,3,4 "
		  "intercepts=F:1,2\nout L i ?\nout P f ?,2\n",
		  "3 labels for 2 outputs", ERROR_INVALID },
		{ "in X f ?,2\nnode LinearClassifier@ml X > L,P coefficients=F:1,2 intercepts=F:1\nout L i ?\nout P f "
		  "?,2\n",
		  "classlabels_ints", ERROR_INVALID },
		{ "in X f ?,2\nnode LinearRegressor@ml X > Y coefficients=F:1,2 targets=i:-1\nout Y f ?,1\n",
		  "'targets' is -1", ERROR_INVALID },
		{ "in X f ?,2\nnode Scaler@ml X > Y offset=F:1 scale=F:1,2\nout Y f ?,2\n", "1 offsets and 2 scales",
		  ERROR_INVALID },
		{ "in X f ?,2\nnode Normalizer@ml X > Y norm=s:L7\nout Y f ?,2\n", "'norm' is 'L7'", ERROR_INVALID },
		{ "in X f ?,2\nnode Transpose X > Y perm=I:1,1\nout Y f ?,2\n", "no permutation", ERROR_INVALID },
		{ "in X f ?,2\nnode Transpose X > Y perm=I:0,9\nout Y f ?,2\n", "no permutation", ERROR_INVALID },
		{ "in X f ?,2\nnode Cast X > Y to=i:77\nout Y f ?,2\n", "'to' is 77", ERROR_UNIMPLEMENTED },
		{ "in X f ?,2\ninit a i 2 1,0\ninit b i 2 3,3\nnode Reshape a,b > s\nnode Neg X > Y\nout Y f ?,2\n",
		  "2 elements do not fit a shape of 9", ERROR_INVALID },
		{ TREE_HEAD "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
			    "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:9,0,0 " TREE_TAIL,
		  "child 9", ERROR_INVALID },
		{ TREE_HEAD "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
			    "nodes_truenodeids=I:0,0,0 nodes_falsenodeids=I:2,0,0 " TREE_TAIL,
		  "tree 0", ERROR_INVALID },
		{ TREE_HEAD
		  "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_LEQ,BRANCH_LEQ,BRANCH_LEQ nodes_values=F:0.5,0,0 "
		  "nodes_truenodeids=I:1,2,0 nodes_falsenodeids=I:2,0,1 " TREE_TAIL,
		  "no root", ERROR_INVALID },
		{ TREE_HEAD "nodes_featureids=I:-1,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
			    "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 " TREE_TAIL,
		  "feature -1", ERROR_INVALID },
		{ TREE_HEAD "nodes_featureids=I:99999999,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
			    "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 " TREE_TAIL,
		  "feature 99999999", ERROR_TOO_LARGE },
		{ TREE_HEAD "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_UP,LEAF,LEAF nodes_values=F:0.5,0,0 "
			    "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 " TREE_TAIL,
		  "'BRANCH_UP' is unknown", ERROR_INVALID },
		{ TREE_HEAD "nodes_featureids=I:1,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
			    "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 " TREE_TAIL,
		  "different lengths", ERROR_INVALID },
		{ TREE_HEAD
		  "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
		  "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 target_treeids=I:0 target_nodeids=I:1 "
		  "target_ids=I:5 target_weights=F:1\nout Y f ?,1\n",
		  "target 5 of 1", ERROR_INVALID },
		{ "in X s ?,1\nnode Tokenizer@ms X > Y mark=i:0 mincharnum=i:1 pad_value=s:# tokenexp=s:(a\nout Y s "
		  "-\n",
		  "the pattern '(a'", ERROR_UNIMPLEMENTED },
		{ "in X s ?,1\nnode TfIdfVectorizer X > Y mode=s:TF min_gram_length=i:1 max_gram_length=i:1 "
		  "max_skip_count=i:0 "
		  "ngram_counts=I:0 ngram_indexes=I:-4 pool_strings=S:a\nout Y f -\n",
		  "ngram_indexes[0] is -4", ERROR_INVALID },
		{ "in X s ?,1\nnode TfIdfVectorizer X > Y mode=s:TF min_gram_length=i:1 max_gram_length=i:1 "
		  "max_skip_count=i:0 "
		  "ngram_counts=I:7 ngram_indexes=I:0 pool_strings=S:a\nout Y f -\n",
		  "ngram_counts[0] is 7", ERROR_INVALID },
		{ "in X f ?,2\nnode SVMRegressor@ml X > Y n_supports=i:3 support_vectors=F:1,2 coefficients=F:1,1,1 "
		  "rho=F:0 "
		  "kernel_type=s:RBF\nout Y f ?,1\n",
		  "2 numbers do not divide into 3", ERROR_INVALID },
		{ "in X f ?,2\nnode SVMClassifier@ml X > L,P classlabels_ints=I:0,1 vectors_per_class=I:1,-1 "
		  "support_vectors=F:1,2 coefficients=F:1,1 rho=F:0\nout L i ?\nout P f ?,2\n",
		  "vectors_per_class[1] is -1", ERROR_INVALID },
		{ "in X f ?,2\nnode LabelEncoder@ml X > Y keys_floats=F:1,2 values_floats=F:1\nout Y f ?,2\n",
		  "2 keys and 1 values", ERROR_INVALID },
		{ "in X f ?,2\nnode Scan X > Y num_scan_inputs=i:1\nout Y f ?,2\n", "'body' is missing",
		  ERROR_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct model *m = load_text(rows[i].text, &err);

		if (!rows[i].want) {
			assert_non_null(m);
			model_unref(m);
			continue;
		}
		if (m || err.code != rows[i].code || !strstr(err.message, rows[i].want))
			fail_msg("row %zu (%s): %s: %s", i, rows[i].want, error_name(err.code), err.message);
	}
}

static void every_cut_of_a_file_is_refused_or_sound(void **state)
{
	struct buffer bytes;

	(void)state;
	buffer_init(&bytes, MIB(1));
	write_model(&bytes,
		    TREE_HEAD "nodes_featureids=I:1,0,0 nodes_modes=S:BRANCH_LEQ,LEAF,LEAF nodes_values=F:0.5,0,0 "
			      "nodes_truenodeids=I:1,0,0 nodes_falsenodeids=I:2,0,0 " TREE_TAIL);
	for (size_t len = 1; len < bytes.len; len++) {
		char *exact = malloc(len); /* so that sanitizers see a byte too many */
		struct error err = { 0 };
		struct model *m;

		memcpy(exact, bytes.ptr, len);
		m = model_load_bytes(span_from(exact, len), NULL, &err);
		if (m)
			fail_msg("%zu of %zu bytes load", len, bytes.len);
		assert_int_not_equal(err.code, ERROR_NONE);
		free(exact);
	}
	buffer_done(&bytes);
}

static void graphs_nested_too_deeply_are_refused(void **state)
{
	size_t marks[3][64], depth = 0;
	struct error err = { 0 };
	struct buffer out;

	(void)state;
	buffer_init(&out, MIB(1));
	protobuf_write_uint64(&out, 1, 8);
	put_pair(&out, 8, SPAN("_ 17"), true);
	marks[0][0] = protobuf_open(&out, 7);
	for (; depth < 40; depth++) {
		marks[1][depth] = protobuf_open(&out, 1);
		protobuf_write_bytes(&out, 4, SPAN("Scan"));
		marks[2][depth] = protobuf_open(&out, 5);
		protobuf_write_bytes(&out, 1, SPAN("body"));
		marks[0][depth + 1] = protobuf_open(&out, 6);
	}
	for (; depth > 0; depth--) {
		protobuf_close(&out, marks[0][depth]);
		protobuf_close(&out, marks[2][depth - 1]);
		protobuf_close(&out, marks[1][depth - 1]);
	}
	protobuf_close(&out, marks[0][0]);
	assert_null(model_load_bytes(buffer_span(&out), NULL, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_non_null(strstr(err.message, "nested deeper than"));
	buffer_done(&out);
}

static void inputs_that_do_not_fit_are_refused_when_running(void **state)
{
	struct model *m = loaded("in X f ?,?\nnode LinearRegressor@ml X > Y coefficients=F:1,2\nout Y f ?,1\n");
	float values[] = { 1, 2, 3 };
	struct tensor x = matrix(values, 1, 3), result;
	struct error err = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_false(model_run(m, &x, 1, &result, &arena, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.message, "3 columns were given, 2 were expected"));
	arena_done(&arena);
	model_unref(m);
}

/* ---- regular expressions ---- */

static void patterns_match_as_re2_does(void **state)
{
	static const struct {
		const char *pattern, *text, *want; /* matches, each in <> */
	} rows[] = {
		{ "[a-z]+", "ab1cd", "<ab><cd>" },
		{ ".", "a\xC3\xBC\n", "<a><\xC3\xBC>" },
		{ "\\b\\w\\w+\\b", "a bc def", "<bc><def>" },
		{ "a|ab", "abab", "<a><a>" },
		{ "ab|a", "aab", "<a><ab>" },
		{ "(ab)+c?", "ababc ab", "<ababc><ab>" },
		{ "x{2,3}", "xxxxx", "<xxx><xx>" },
		{ "x{2}", "xxxxx", "<xx><xx>" },
		{ "x{2,}", "x xxxx", "<xxxx>" },
		{ "x{0,2}y", "xxxy y", "<xxy><y>" },
		{ "a+?", "aaa", "<a><a><a>" },
		{ "[^ ,]+", "a, b", "<a><b>" },
		{ "^a", "aa", "<a>" },
		{ "a$", "aa", "<a>" },
		{ "\\d+\\.\\d+", "1.5 2 3.25", "<1.5><3.25>" },
		{ "(?:a|b)*c", "abac c", "<abac><c>" },
		{ "[\\]a-]+", "a]-b", "<a]->" },
		{ "(a*)*b", "aaab", "<aaab>" },
		{ "\\W", "a b", "< >" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span text = span_of(rows[i].text);
		struct onnx_regex_room room;
		struct error err = { 0 };
		struct onnx_regex *re;
		size_t at = 0, start, end;
		char got[256] = "";
		struct arena arena;

		arena_init(&arena, MIB(4));
		re = onnx_regex_new(span_of(rows[i].pattern), &arena, &err);
		if (!re)
			fail_msg("%s: %s", rows[i].pattern, err.message);
		assert_true(onnx_regex_room_new(re, &room, &arena, &err));
		while (at < text.len && onnx_regex_next(re, &room, text, at, &start, &end) && end > start) {
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "<%.*s>", (int)(end - start),
				 text.ptr + start);
			at = end;
		}
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s on %s: %s", rows[i].pattern, rows[i].text, got);
		arena_done(&arena);
	}
}

static void the_exponential_is_as_exact_as_floats_are(void **state)
{
	(void)state;
	for (int step = 0; step < 13993; step++) { /* to 88.7, just under the logarithm of FLT_MAX */
		double x = -103 + 0.0137 * step, want = exp((double)(float)x), got = (double)onnx_exp((float)x);

		if (want > 1.2e-38 ? fabs(got - want) > 1.5e-7 * want : fabs(got - want) > 2.9e-45)
			fail_msg("exp(%.9g) is %.9g, not %.9g", x, got, want);
	}
	assert_true(isinf(onnx_exp(89)));
	assert_true(isinf(onnx_exp(INFINITY)));
	assert_true(onnx_exp(-INFINITY) == 0);
	assert_true(isnan(onnx_exp(NAN)));
	assert_true(onnx_sigmoid(-INFINITY) == 0 && onnx_sigmoid(INFINITY) == 1 && onnx_sigmoid(0) == 0.5f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_logistic_regression_gives_labels_and_probabilities),
		cmocka_unit_test(info_tells_task_classes_and_columns),
		cmocka_unit_test(feature_names_come_from_the_metadata),
		cmocka_unit_test(a_tree_sends_missing_values_where_it_says),
		cmocka_unit_test(plain_operators_compute),
		cmocka_unit_test(text_is_cut_and_counted),
		cmocka_unit_test(constants_are_folded_at_load),
		cmocka_unit_test(initializers_among_the_inputs_are_constants),
		cmocka_unit_test(buffers_are_used_again),
		cmocka_unit_test(damaged_models_are_refused_with_the_place),
		cmocka_unit_test(every_cut_of_a_file_is_refused_or_sound),
		cmocka_unit_test(graphs_nested_too_deeply_are_refused),
		cmocka_unit_test(inputs_that_do_not_fit_are_refused_when_running),
		cmocka_unit_test(patterns_match_as_re2_does),
		cmocka_unit_test(the_exponential_is_as_exact_as_floats_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
