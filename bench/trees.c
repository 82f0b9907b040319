/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees - time of model_run() for one row and for many, one thread.
 *
 * usage: trees MODEL X.f32
 *
 * X.f32 holds rows of 32-bit floats (as numpy's tofile writes them). One-row calls take another row each time. Prints
 * the medians: "call_us 1.234 rows_per_s 1234567".
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "models/model.h"

#define FEATURES   50
#define TREES      100
#define DEPTH      6
#define CALLS      20000
#define BATCHES    31
#define BATCH_ROWS 1024

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool measure(const struct model *m, struct tensor *x, int64_t rows_each, size_t calls, double *ret_ns,
		    struct arena *arena, struct error *err)
{
	const struct model_info *info = model_info(m);
	int64_t rows = x->shape[0], row = 0, *times = base_alloc(calls * sizeof(*times));
	size_t row_bytes = x->count / (size_t)rows * dtype_size(x->dtype);
	struct tensor input = *x, *results = base_calloc(info->output_count, sizeof(*results));
	bool ok = true;

	input.shape[0] = rows_each;
	input.count = x->count / (size_t)rows * (size_t)rows_each;
	for (size_t i = 0; ok && i < calls; i++) {
		int64_t start;

		input.data = (char *)x->data + (size_t)row * row_bytes;
		row = row + 2 * rows_each > rows ? 0 : row + rows_each;
		start = clock_monotonic_ns();
		arena_clear(arena);
		ok = model_run(m, &input, (uint64_t)1 << info->score_output, results, arena, err);
		times[i] = clock_monotonic_ns() - start;
	}
	qsort(times, calls, sizeof(*times), compare);
	ret_ns[0] = (double)times[calls / 2];
	ret_ns[1] = (double)times[0];
	free(times);
	free(results);
	return ok;
}

/* Rows of floats as the model wants them; then the figures. */
static bool bench_rows(const struct model *m, struct span rows, struct error *err)
{
	int64_t features = model_info(m)->inputs[0].shape[1];
	struct tensor from = { .dtype = DTYPE_FP32, .rank = 2, .data = (void *)rows.ptr }, x;
	struct arena arena, scratch;
	double call[2], batch[2];
	bool ok;

	if (features <= 0)
		features = FEATURES; /* some converters do not say */
	from.shape[0] = (int64_t)(rows.len / sizeof(float) / (size_t)features);
	from.shape[1] = features;
	from.count = (size_t)from.shape[0] * (size_t)features;
	if (from.shape[0] < BATCH_ROWS)
		return error_set(err, ERROR_INVALID, "%lld rows of %lld features, expected at least %d rows",
				 (long long)from.shape[0], (long long)features, BATCH_ROWS);
	arena_init(&arena, MIB(256));
	arena_init(&scratch, MIB(256));
	/* the first round warms up */
	ok = tensor_convert(&from, model_info(m)->inputs[0].dtype, &arena, &x, err) &&
	     measure(m, &x, 1, CALLS, call, &scratch, err) && measure(m, &x, 1, CALLS, call, &scratch, err) &&
	     measure(m, &x, BATCH_ROWS, BATCHES, batch, &scratch, err);
	if (ok)
		printf("call_us %.3f %.3f rows_per_s %.0f %.0f\n", call[0] / 1000, call[1] / 1000,
		       BATCH_ROWS / batch[0] * 1e9, BATCH_ROWS / batch[1] * 1e9);
	arena_done(&arena);
	arena_done(&scratch);
	return ok;
}

static bool bench_file(const char *model, const char *data, struct error *err)
{
	struct model *m = model_load(model, NULL, err);
	struct buffer bytes;
	bool ok;

	if (!m)
		return false;
	buffer_init(&bytes, MIB(256));
	ok = buffer_read_file(&bytes, data, err) && bench_rows(m, buffer_span(&bytes), err);
	buffer_done(&bytes);
	model_unref(m);
	return ok;
}

/* Knuth's MMIX generator; roughly normal by the sum of four. */
static double random_normal(uint64_t *seed)
{
	double sum = 0;

	for (int i = 0; i < 4; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		sum += (double)(*seed >> 40) * 0x1p-24 - 0.5;
	}
	return sum * 1.7;
}

/* A full tree in LightGBM's text: inner node i has the children 2i + 1 and 2i + 2. */
static void print_tree(struct buffer *b, int index, uint64_t *seed)
{
	int splits = (1 << DEPTH) - 1;

	buffer_print(b, "Tree=%d\nnum_leaves=%d\nnum_cat=0\nsplit_feature=", index, splits + 1);
	for (int i = 0; i < splits; i++)
		buffer_print(b, "%d ", (int)(fabs(random_normal(seed)) * 1000) % FEATURES);
	buffer_print(b, "\nthreshold=");
	for (int i = 0; i < splits; i++)
		buffer_print(b, "%g ", round(random_normal(seed) * 16) / 16); /* 64 or so for each feature */
	buffer_print(b, "\ndecision_type=");
	for (int i = 0; i < splits; i++)
		buffer_print(b, "%d ", random_normal(seed) > 0 ? 10 : 8);
	for (int side = 1; side <= 2; side++) {
		buffer_print(b, side == 1 ? "\nleft_child=" : "\nright_child=");
		for (int i = 0; i < splits; i++)
			buffer_print(b, "%d ", 2 * i + side < splits ? 2 * i + side : ~(2 * i + side - splits));
	}
	buffer_print(b, "\nleaf_value=");
	for (int i = 0; i <= splits; i++)
		buffer_print(b, "%g ", random_normal(seed));
	buffer_print(b, "\n\n");
}

static bool bench_seeded(struct error *err)
{
	struct buffer text, rows;
	uint64_t seed = 9;
	struct model *m;
	bool ok;

	buffer_init(&text, MIB(64));
	buffer_init(&rows, MIB(64));
	buffer_print(
	    &text,
	    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=%d\nobjective=regression\n\n",
	    FEATURES - 1);
	for (int i = 0; i < TREES; i++)
		print_tree(&text, i, &seed);
	buffer_print(&text, "end of trees\n");
	for (int i = 0; i < BATCH_ROWS * FEATURES; i++) {
		float value = i % 20 ? (float)random_normal(&seed) : NAN;

		buffer_append(&rows, span_from(&value, sizeof(value)));
	}
	m = model_load_bytes(buffer_span(&text), NULL, err);
	ok = m && bench_rows(m, buffer_span(&rows), err);
	model_unref(m);
	buffer_done(&text);
	buffer_done(&rows);
	return ok;
}

int main(int argc, char **argv)
{
	struct error err = { 0 };

	if (argc != 1 && argc != 3) {
		fprintf(stderr, "usage: %s [MODEL X.f32]\n", argv[0]);
		return 2;
	}
	if (argc == 1 ? bench_seeded(&err) : bench_file(argv[1], argv[2], &err))
		return 0;
	fprintf(stderr, "%s: %s\n", argc == 1 ? "seeded trees" : argv[1], err.message);
	return 1;
}
