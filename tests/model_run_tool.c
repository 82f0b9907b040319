/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_run_tool - runs a model on tensors from stdin, for tests: "model_run_tool MODEL < inputs > outputs".
 *
 * A tensor is a line "NAME TYPE RANK DIMENSIONS..." and its elements as they are in memory; a text is its length in 32
 * bits and its bytes. --info prints what the model tells instead; --bench N runs it N times and prints ns a call.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "models/model.h"

enum { INPUTS_MAX = 64 };

static void fail(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->message);
	exit(1);
}

static bool read_exactly(void *to, size_t size)
{
	return size == 0 || fread(to, 1, size, stdin) == size;
}

static bool read_text(struct span *ret, struct arena *arena, struct error *err)
{
	uint32_t len;
	char *text;

	if (!read_exactly(&len, sizeof(len)))
		return error_set(err, ERROR_INVALID, "a text is cut off");
	text = arena_alloc(arena, len, err);
	if (!text || !read_exactly(text, len))
		return error_set(err, ERROR_INVALID, "a text is cut off");
	*ret = span_from(text, len);
	return true;
}

static bool read_tensor(struct tensor *t, struct arena *arena, struct error *err)
{
	int64_t shape[TENSOR_RANK_MAX];
	char line[512], *rest;
	struct span words, name;
	enum dtype type;
	int64_t rank;

	if (!fgets(line, sizeof(line), stdin))
		return error_set(err, ERROR_INVALID, "an input is missing");
	words = span_trim(span_of(line));
	name = arena_copy(arena, span_cut(&words, ' '), err);
	if (!dtype_find(span_cut(&words, ' '), &type))
		return error_set(err, ERROR_INVALID, "unknown type in '%s'", line);
	rank = strtol(words.ptr, &rest, 10);
	if (rank < 0 || rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "rank %lld", (long long)rank);
	for (int d = 0; d < rank; d++)
		shape[d] = strtol(rest, &rest, 10);
	if (!tensor_new(t, name, type, (int)rank, shape, arena, err))
		return false;
	if (type != DTYPE_BYTES)
		return read_exactly(t->data, t->count * dtype_size(type)) ||
		       error_set(err, ERROR_INVALID, "'%s' is cut off", name.ptr);
	for (size_t i = 0; i < t->count; i++)
		if (!read_text((struct span *)t->data + i, arena, err))
			return false;
	return true;
}

static void write_tensor(const struct tensor *t)
{
	printf(SPAN_FMT " %s %d", SPAN_ARG(t->name), dtype_name(t->dtype), t->rank);
	for (int d = 0; d < t->rank; d++)
		printf(" %lld", (long long)t->shape[d]);
	putchar('\n');
	if (t->dtype != DTYPE_BYTES) {
		fwrite(t->data, dtype_size(t->dtype), t->count, stdout);
		return;
	}
	for (size_t i = 0; i < t->count; i++) {
		struct span text = ((const struct span *)t->data)[i];
		uint32_t len = (uint32_t)text.len;

		fwrite(&len, sizeof(len), 1, stdout);
		fwrite(text.ptr, 1, text.len, stdout);
	}
}

static void print_specs(const char *what, const struct tensor_spec *specs, size_t count)
{
	char shape[TENSOR_SHAPE_TEXT];

	for (size_t i = 0; i < count; i++)
		printf("%s " SPAN_FMT " %s %s\n", what, SPAN_ARG(specs[i].name), dtype_name(specs[i].dtype),
		       tensor_shape_text(specs[i].rank, specs[i].shape, shape));
}

static void print_info(const struct model_info *info)
{
	static const char *const tasks[] = { "other", "regression", "binary", "multiclass" };

	printf("kind " SPAN_FMT "\nplatform " SPAN_FMT "\ntask %s\n", SPAN_ARG(info->kind), SPAN_ARG(info->platform),
	       tasks[info->task]);
	print_specs("input", info->inputs, info->input_count);
	print_specs("output", info->outputs, info->output_count);
	printf("features %zu\nmissing %d\nscore %d\nlabel %d\n", info->feature_count, info->takes_missing,
	       info->score_output, info->label_output);
	for (size_t i = 0; info->feature_names && i < info->feature_count; i++)
		printf("feature " SPAN_FMT "\n", SPAN_ARG(info->feature_names[i]));
	for (size_t i = 0; info->class_names && i < info->class_count; i++)
		printf("class " SPAN_FMT "\n", SPAN_ARG(info->class_names[i]));
	printf("bytes %zu\nns_call %.0f\nns_row %.1f\n", info->bytes, info->cost_ns_call, info->cost_ns_row);
}

/* The best of five series, as ns a call. */
static void bench(const struct model *m, const struct tensor *inputs, struct tensor *results, long times,
		  struct error *err)
{
	struct arena arena;
	double best = 0;

	arena_init(&arena, MIB(1024));
	arena.keep = MIB(64);
	for (int series = 0; series < 5; series++) {
		int64_t start = clock_monotonic_ns();
		double each;

		for (long i = 0; i < times; i++) {
			arena_clear(&arena);
			if (!model_run(m, inputs, UINT64_MAX, results, &arena, err))
				fail("run", err);
		}
		each = (double)(clock_monotonic_ns() - start) / (double)times;
		best = series == 0 || each < best ? each : best;
	}
	arena_done(&arena);
	printf("%.1f\n", best);
}

int main(int argc, char **argv)
{
	struct tensor inputs[INPUTS_MAX], results[64] = { 0 };
	struct model_options options = { 0 };
	struct error err = { 0 };
	const char *path = NULL;
	const struct model_info *info;
	bool wants_info = false;
	struct arena arena;
	struct model *m;
	long times = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--info") == 0)
			wants_info = true;
		else if (strcmp(argv[i], "--bench") == 0 && i + 1 < argc)
			times = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--onnxruntime") == 0 && i + 1 < argc)
			options.onnxruntime = argv[++i];
		else
			path = argv[i];
	}
	if (!path) {
		fprintf(stderr, "usage: %s [--info] [--bench N] [--onnxruntime PATH] MODEL < inputs > outputs\n",
			argv[0]);
		return 2;
	}
	m = model_load(path, &options, &err);
	if (!m)
		fail("load", &err);
	info = model_info(m);
	if (wants_info) {
		print_info(info);
		model_unref(m);
		return 0;
	}
	arena_init(&arena, MIB(1024));
	if (info->input_count > INPUTS_MAX)
		return 2;
	for (size_t i = 0; i < info->input_count; i++)
		if (!read_tensor(&inputs[i], &arena, &err))
			fail("input", &err);
	if (times) {
		bench(m, inputs, results, times, &err);
	} else {
		if (!model_run(m, inputs, UINT64_MAX, results, &arena, &err))
			fail("run", &err);
		for (size_t i = 0; i < info->output_count; i++)
			write_tensor(&results[i]);
	}
	arena_done(&arena);
	model_unref(m);
	return 0;
}
