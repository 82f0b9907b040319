/* SPDX-License-Identifier: Apache-2.0 */
/* score - from raw sums to probabilities, labels, predictions. */
#include "models/score.h"

#include <math.h>

#include "base/number.h"

static bool is_binary(const struct score *s)
{
	return s->is_classifier && s->targets == 1;
}

static size_t class_count(const struct score *s)
{
	return is_binary(s) ? 2 : s->targets;
}

static bool describe_classes(const struct score *s, struct model *m, const struct span *names, struct error *err)
{
	size_t count = class_count(s);
	struct span *to = ARENA_ARRAY(&m->arena, struct span, count, err);
	char text[NUMBER_TEXT_MAX];

	if (!to)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct span name = { text, (size_t)(number_print_uint64(text, i) - text) };

		to[i] = arena_copy(&m->arena, names ? names[i] : name, err);
		if (!to[i].ptr)
			return false;
	}
	m->info.class_names = to;
	m->info.class_count = count;
	m->info.label_output = 1;
	m->info.task = is_binary(s) ? MODEL_TASK_BINARY : MODEL_TASK_MULTICLASS;
	return true;
}

static size_t describe_outputs(const struct score *s, struct tensor_spec *to)
{
	enum dtype type = s->is_double ? DTYPE_FP64 : DTYPE_FP32;
	size_t count = 0;

	if (s->is_classifier) {
		to[count++] = (struct tensor_spec){ .name = SPAN("probabilities"),
						    .dtype = type,
						    .rank = 2,
						    .shape = { -1, (int64_t)class_count(s) } };
		to[count++] = (struct tensor_spec){ .name = SPAN("label"),
						    .dtype = s->label_texts ? DTYPE_BYTES : DTYPE_INT64,
						    .rank = 1,
						    .shape = { -1 } };
	}
	if (!s->is_classifier || is_binary(s)) {
		to[count++] = (struct tensor_spec){ .name = SPAN("predict"),
						    .dtype = type,
						    .rank = s->targets > 1 ? 2 : 1,
						    .shape = { -1, (int64_t)s->targets } };
	}
	return count;
}

bool score_describe(const struct score *s, struct model *m, enum dtype input, size_t features,
		    const struct span *class_names, struct error *err)
{
	struct tensor_spec *specs = ARENA_ARRAY(&m->arena, struct tensor_spec, 4, err);

	if (!specs)
		return false;
	specs[0] = (struct tensor_spec){
		.name = SPAN("input"), .dtype = input, .rank = 2, .shape = { -1, (int64_t)features }
	};
	m->info.inputs = specs;
	m->info.input_count = 1;
	m->info.outputs = specs + 1;
	m->info.output_count = describe_outputs(s, specs + 1);
	m->info.feature_count = features;
	m->info.score_output = 0;
	m->info.label_output = -1;
	m->info.task = MODEL_TASK_REGRESSION;
	return !s->is_classifier || describe_classes(s, m, class_names, err);
}

static inline size_t number_size(const struct score *s)
{
	return s->is_double ? sizeof(double) : sizeof(float);
}

void *score_sums(const struct score *s, const struct tensor *input, struct arena *arena, struct error *err)
{
	size_t size;

	if (!checked_mul((size_t)input->shape[0], s->targets * number_size(s), &size)) {
		error_set(err, ERROR_TOO_LARGE, "the request has too many rows for the model's outputs");
		return NULL;
	}
	return arena_alloc(arena, size, err);
}

static inline double sum_at(const struct score *s, const void *sums, size_t i)
{
	return s->is_double ? ((const double *)sums)[i] : (double)((const float *)sums)[i];
}

static inline void put(const struct score *s, void *out, size_t i, double value)
{
	if (s->is_double)
		((double *)out)[i] = value;
	else
		((float *)out)[i] = (float)value;
}

static inline double transform_one(const struct score *s, double x)
{
	switch (s->transform) {
	case SCORE_SIGMOID:
		return 1 / (1 + exp(-s->scale * x));
	case SCORE_EXP:
		return exp(x);
	case SCORE_LOG1P_EXP:
		return log1p(exp(x));
	case SCORE_SIGNED_SQUARE:
		return x * fabs(x);
	case SCORE_STEP:
		return x > 0 ? 1 : 0;
	case SCORE_IDENTITY:
	case SCORE_SOFTMAX:
		break;
	}
	return x;
}

static void softmax_row(const struct score *s, const void *sums, size_t at, void *out)
{
	double most = sum_at(s, sums, at), total = 0;

	for (size_t k = 1; k < s->targets; k++)
		most = fmax(most, sum_at(s, sums, at + k));
	for (size_t k = 0; k < s->targets; k++)
		total += exp(sum_at(s, sums, at + k) - most);
	for (size_t k = 0; k < s->targets; k++)
		put(s, out, at + k, exp(sum_at(s, sums, at + k) - most) / total);
}

/* All of a row's numbers, transformed. */
static void transform_rows(const struct score *s, const void *sums, size_t rows, void *out)
{
	if (s->transform == SCORE_SOFTMAX) {
		for (size_t i = 0; i < rows; i++)
			softmax_row(s, sums, i * s->targets, out);
		return;
	}
	for (size_t i = 0; i < rows * s->targets; i++)
		put(s, out, i, transform_one(s, sum_at(s, sums, i)));
}

static void spread_binary(const struct score *s, const void *predict, size_t rows, void *out)
{
	for (size_t i = 0; i < rows; i++) {
		double p = sum_at(s, predict, i);

		put(s, out, 2 * i, 1 - p);
		put(s, out, 2 * i + 1, p);
	}
}

static size_t best_class(const struct score *s, const void *values, size_t row)
{
	size_t best = 0;

	if (is_binary(s))
		return sum_at(s, values, row) > 0.5;
	for (size_t k = 1; k < s->targets; k++) {
		if (sum_at(s, values, row * s->targets + k) > sum_at(s, values, row * s->targets + best))
			best = k;
	}
	return best;
}

static void label_rows(const struct score *s, const void *values, size_t rows, void *out)
{
	for (size_t i = 0; i < rows; i++) {
		size_t best = best_class(s, values, i);

		if (s->label_texts)
			((struct span *)out)[i] = s->label_texts[best];
		else
			((int64_t *)out)[i] = s->labels ? s->labels[best] : (int64_t)best;
	}
}

static bool new_result(const struct model *m, size_t output, size_t rows, struct tensor *ret, struct arena *arena,
		       struct error *err)
{
	const struct tensor_spec *spec = &m->info.outputs[output];
	int64_t shape[2] = { (int64_t)rows, spec->shape[1] };

	return tensor_new(ret, spec->name, spec->dtype, spec->rank, shape, arena, err);
}

bool score_finish(const struct score *s, const struct model *m, const void *sums, size_t rows, uint64_t wanted,
		  struct tensor *results, struct arena *arena, struct error *err)
{
	size_t predict_output = is_binary(s) ? 2 : 0; /* the one with the transformed sums, as they are */
	struct tensor predict;

	if (!new_result(m, predict_output, rows, &predict, arena, err))
		return false;
	transform_rows(s, sums, rows, predict.data);
	if (wanted >> predict_output & 1)
		results[predict_output] = predict;
	if (!s->is_classifier)
		return true;
	if (is_binary(s) && (wanted & 1)) {
		if (!new_result(m, 0, rows, &results[0], arena, err))
			return false;
		spread_binary(s, predict.data, rows, results[0].data);
	}
	if (wanted & 2) {
		if (!new_result(m, 1, rows, &results[1], arena, err))
			return false;
		label_rows(s, predict.data, rows, results[1].data);
	}
	return true;
}
