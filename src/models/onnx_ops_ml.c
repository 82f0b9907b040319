/* SPDX-License-Identifier: Apache-2.0 */
/* ai.onnx.ml on numbers: Scaler, Imputer, Normalizer, Binarizer, ArrayFeatureExtractor, FeatureVectorizer, ZipMap. */
#include "models/onnx.h"

#include <math.h>

/* Columns of rows: for rank 1 all of it, else the last dimension. */
static size_t column_count(const struct tensor *t)
{
	return t->rank ? (size_t)t->shape[t->rank - 1] : 1;
}

/* ---- Scaler: (x - offset) * scale ---- */

struct scaler {
	const float *offset, *scale;
	size_t count; /* 1: the same for all columns */
};

static bool scaler_prepare(struct onnx_prepare *p, struct error *err)
{
	struct scaler *s = ARENA_NEW(p->arena, struct scaler, err);
	size_t offsets;

	if (!s || !onnx_floats(p, "offset", &s->offset, &offsets, err) ||
	    !onnx_floats(p, "scale", &s->scale, &s->count, err))
		return false;
	if (s->count == 0 || offsets != s->count)
		return error_set(err, ERROR_INVALID, "%zu offsets and %zu scales", offsets, s->count);
	p->step->state = s;
	return true;
}

ONNX_CLONES static void scale_rows(const struct scaler *s, const float *restrict x, size_t rows, size_t columns,
				   float *restrict y)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < columns; j++)
			y[i * columns + j] = (x[i * columns + j] - s->offset[j]) * s->scale[j];
}

static bool scaler_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct scaler *s = step->state;
	size_t columns = column_count(x);
	const float *from;
	float *to;

	if (s->count != 1 && s->count != columns)
		return error_set(err, ERROR_INVALID, "%zu columns were given, %zu were expected", columns, s->count);
	if (!onnx_floats_of(r, x, &from, err) || !onnx_new(r, out, DTYPE_FP32, x->rank, x->shape, err))
		return false;
	to = out->data;
	if (s->count == columns && columns)
		scale_rows(s, from, x->count / columns, columns, to);
	else
		for (size_t i = 0; i < x->count; i++)
			to[i] = (from[i] - s->offset[0]) * s->scale[0];
	return true;
}

/* ---- Imputer ---- */

struct imputer {
	const float *floats;
	const int64_t *ints;
	size_t count;
	bool is_float;
	float old_float;
	int64_t old_int;
};

static bool imputer_prepare(struct onnx_prepare *p, struct error *err)
{
	struct imputer *s = ARENA_NEW(p->arena, struct imputer, err);
	size_t floats, ints;

	if (!s || !onnx_floats(p, "imputed_value_floats", &s->floats, &floats, err) ||
	    !onnx_ints(p, "imputed_value_int64s", &s->ints, &ints, err) ||
	    !onnx_float(p, "replaced_value_float", 0, &s->old_float, err) ||
	    !onnx_int(p, "replaced_value_int64", 0, &s->old_int, err))
		return false;
	if ((floats == 0) == (ints == 0))
		return error_set(err, ERROR_INVALID,
				 "one of imputed_value_floats and imputed_value_int64s must be there");
	s->is_float = floats > 0;
	s->count = floats + ints;
	p->step->state = s;
	return true;
}

#define IMPUTE(type, test, list)                                                                                       \
	for (size_t i = 0; i < x->count; i += columns)                                                                 \
		for (size_t j = 0; j < columns; j++) {                                                                 \
			type v = ((const type *)x->data)[i + j];                                                       \
			((type *)out->data)[i + j] = (test) ? (type)(list)[s->count == 1 ? 0 : j] : v;                 \
		}

static bool imputer_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct imputer *s = step->state;
	size_t columns = column_count(x);
	bool nan = isnan(s->old_float);
	float old = s->old_float;

	if (s->count != 1 && s->count != columns)
		return error_set(err, ERROR_INVALID, "%zu columns were given, %zu were expected", columns, s->count);
	if (!onnx_new(r, out, x->dtype, x->rank, x->shape, err))
		return false;
	if (x->dtype == DTYPE_FP32 && s->is_float) {
		IMPUTE(float, nan ? v != v : v == old, s->floats)
	} else if (x->dtype == DTYPE_FP64 && s->is_float) {
		IMPUTE(double, nan ? v != v : v == (double)old, s->floats)
	} else if (x->dtype == DTYPE_INT64 && !s->is_float) {
		IMPUTE(int64_t, v == s->old_int, s->ints)
	} else {
		return onnx_type_refused(x, err);
	}
	return true;
}

/* ---- Normalizer: each row divided by its norm ---- */

enum norm { NORM_MAX, NORM_L1, NORM_L2 };

static bool normalizer_prepare(struct onnx_prepare *p, struct error *err)
{
	static const char *const names[] = { "MAX", "L1", "L2", NULL };
	int *norm = ARENA_NEW(p->arena, int, err);

	p->step->state = norm;
	return norm && onnx_choice(p, "norm", names, norm, err);
}

static void normalize_row(enum norm norm, const float *x, size_t n, float *y)
{
	float most = -INFINITY, sum = 0;

	switch (norm) {
	case NORM_MAX: /* the largest, signed as other engines have it */
		for (size_t i = 0; i < n; i++)
			most = x[i] > most ? x[i] : most;
		sum = most;
		break;
	case NORM_L1:
		for (size_t i = 0; i < n; i++)
			sum += fabsf(x[i]);
		break;
	case NORM_L2:
		for (size_t i = 0; i < n; i++)
			sum += x[i] * x[i];
		sum = sqrtf(sum);
		break;
	}
	for (size_t i = 0; i < n; i++)
		y[i] = sum != 0 ? x[i] / sum : x[i];
}

static bool normalizer_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	size_t rows, columns;
	const float *from;

	if (!onnx_rows(x, &rows, &columns, err) || !onnx_floats_of(r, x, &from, err) ||
	    !onnx_new(r, out, DTYPE_FP32, x->rank, x->shape, err))
		return false;
	for (size_t i = 0; i < rows; i++)
		normalize_row((enum norm) * (const int *)step->state, from + i * columns, columns,
			      (float *)out->data + i * columns);
	return true;
}

/* ---- Binarizer ---- */

static bool binarizer_prepare(struct onnx_prepare *p, struct error *err)
{
	float *threshold = ARENA_NEW(p->arena, float, err);

	p->step->state = threshold;
	return threshold && onnx_float(p, "threshold", 0, threshold, err);
}

static bool binarizer_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	float threshold = *(const float *)step->state;

	if (x->dtype != DTYPE_FP32)
		return onnx_type_refused(x, err);
	if (!onnx_new(r, out, DTYPE_FP32, x->rank, x->shape, err))
		return false;
	for (size_t i = 0; i < x->count; i++)
		((float *)out->data)[i] = ((const float *)x->data)[i] > threshold ? 1.0f : 0.0f;
	return true;
}

/* ---- ArrayFeatureExtractor: columns picked by index, of the last dimension ---- */

static inline void pick(char *to, const char *from, size_t size)
{
	if (size == 4)
		memcpy(to, from, 4);
	else if (size == 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, size);
}

static bool extractor_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *y = onnx_in(r, step, 1);
	size_t size = dtype_size(x->dtype), columns = column_count(x), rows;
	int64_t shape[TENSOR_RANK_MAX];
	int rank = x->rank < 2 ? 2 : x->rank;
	const char *from = x->data;
	size_t *picks;
	char *to;

	if (y->dtype != DTYPE_INT64)
		return onnx_type_refused(y, err);
	if (x->rank < 1)
		return error_set(err, ERROR_INVALID, "a single number has no columns");
	picks = ARENA_ARRAY(r->arena, size_t, y->count, err);
	if (!picks)
		return false;
	for (size_t j = 0; j < y->count; j++) {
		int64_t at = ((const int64_t *)y->data)[j];

		if (UNLIKELY(at < -(int64_t)columns || at >= (int64_t)columns))
			return error_set(err, ERROR_INVALID, "column %lld is outside %zu", (long long)at, columns);
		picks[j] =
		    (size_t)(at < 0 ? at + (int64_t)columns : at); /* radius neighbours have -1 where a mask hides it */
	}
	shape[0] = 1;
	if (x->rank > 1)
		memcpy(shape, x->shape, sizeof(shape));
	shape[rank - 1] = (int64_t)y->count;
	if (!onnx_new(r, out, x->dtype, rank, shape, err))
		return false;
	rows = columns ? x->count / columns : 0;
	to = out->data;
	for (size_t i = 0; i < rows; i++, from += columns * size)
		for (size_t j = 0; j < y->count; j++, to += size)
			pick(to, from + picks[j] * size, size);
	return true;
}

/* ---- FeatureVectorizer: columns of several inputs beside each other, as float ---- */

struct vectorizer {
	const int64_t *widths;
	size_t count;
};

static bool vectorizer_prepare(struct onnx_prepare *p, struct error *err)
{
	struct vectorizer *s = ARENA_NEW(p->arena, struct vectorizer, err);

	if (!s || !onnx_ints(p, "inputdimensions", &s->widths, &s->count, err))
		return false;
	if (s->count != p->node->input_count)
		return error_set(err, ERROR_INVALID, "%zu inputdimensions for %zu inputs", s->count,
				 p->node->input_count);
	for (size_t i = 0; i < s->count; i++)
		if (s->widths[i] < 1 || s->widths[i] > (int64_t)MODEL_FEATURES_MAX)
			return error_set(err, ERROR_INVALID, "inputdimensions[%zu] is %lld", i,
					 (long long)s->widths[i]);
	p->step->state = s;
	return true;
}

static bool vectorizer_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct vectorizer *s = step->state;
	size_t rows, first_rows = 0, columns, at = 0;
	int64_t total = 0;
	const float *from;

	for (size_t i = 0; i < s->count; i++)
		total += s->widths[i];
	for (uint32_t i = 0; i < s->count; i++) {
		const struct tensor *x = onnx_in(r, step, i);

		if (!x || !onnx_rows(x, &rows, &columns, err))
			return x != NULL || error_set(err, ERROR_INVALID, "input %u is left out", i);
		if (columns != (size_t)s->widths[i] || (i > 0 && rows != first_rows))
			return error_set(err, ERROR_INVALID, "input %u is %zu x %zu, %zu x %lld was expected", i, rows,
					 columns, first_rows, (long long)s->widths[i]);
		first_rows = rows;
		if (i == 0 && !onnx_new(r, out, DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, total }, err))
			return false;
		if (!onnx_floats_of(r, x, &from, err))
			return false;
		for (size_t k = 0; k < rows; k++)
			memcpy((float *)out->data + k * (size_t)total + at, from + k * columns,
			       columns * sizeof(float));
		at += columns;
	}
	return true;
}

/* ---- ZipMap: a map from class to score for each row; here the scores as they are, the classes in model_info ---- */

static bool zipmap_prepare(struct onnx_prepare *p, struct error *err)
{
	struct onnx_labels *labels = ARENA_NEW(p->arena, struct onnx_labels, err);

	if (!labels || !onnx_labels_get(p, "classlabels_int64s", "classlabels_strings", labels, err))
		return false;
	p->step->state = labels;
	return onnx_note_classes(p, labels, err);
}

static bool zipmap_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct onnx_labels *labels = step->state;
	size_t rows, columns;

	if (x->dtype != DTYPE_FP32)
		return onnx_type_refused(x, err);
	if (!onnx_rows(x, &rows, &columns, err))
		return false;
	if (columns != labels->count)
		return error_set(err, ERROR_INVALID, "%zu scores for %zu classes", columns, labels->count);
	onnx_alias(out, x, 2, (int64_t[]){ (int64_t)rows, (int64_t)columns });
	return true;
}

const struct onnx_operator onnx_ops_ml[] = {
	{ "Scaler", "ai.onnx.ml", 1, 1, 1, 1, 0, scaler_prepare, scaler_run, NULL },
	{ "Imputer", "ai.onnx.ml", 1, 1, 1, 1, 0, imputer_prepare, imputer_run, NULL },
	{ "Normalizer", "ai.onnx.ml", 1, 1, 1, 1, 0, normalizer_prepare, normalizer_run, NULL },
	{ "Binarizer", "ai.onnx.ml", 1, 1, 1, 1, 0, binarizer_prepare, binarizer_run, NULL },
	{ "ArrayFeatureExtractor", "ai.onnx.ml", 2, 2, 1, 1, 0, NULL, extractor_run, NULL },
	{ "FeatureVectorizer", "ai.onnx.ml", 1, 255, 1, 1, 0, vectorizer_prepare, vectorizer_run, NULL },
	{ "ZipMap", "ai.onnx.ml", 1, 1, 1, 1, ONNX_ALIAS, zipmap_prepare, zipmap_run, NULL },
	{ 0 },
};
