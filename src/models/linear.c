/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear - linear and logistic regression in hythe's own small forms.
 *
 * JSON:
 *	{
 *		"format": "hythe-linear", "version": 1,
 *		"task": "binary",                  or "multiclass" or "regression"
 *		"features": ["age", "income"],     optional names
 *		"classes": ["no", "yes"],          optional: whole numbers or strings
 *		"coef": [[0.1, -2.5]],             a row for each output; binary has one, of the second class
 *		"intercept": [0.25],               optional
 *		"mean": [40, 3.2], "scale": [9, 1] optional: the input becomes (x - mean) / scale first
 *	}
 * binary is a sigmoid of the one sum, multiclass a softmax over the sums, regression the sums. Rows of one may be
 * written without the outer brackets. Without "format" (a bare {"coef": ..., "intercept": ...}) the task is binary with
 * one row of coefficients and multiclass with more.
 *
 * safetensors: tensors coef [F] or [K, F] and intercept, optionally mean and scale, F64 or F32; "__metadata__" may hold
 * task, and features and classes as JSON arrays in a string.
 *
 * All is computed in double. Missing values are not taken.
 */
#include <math.h>
#include <stdlib.h>

#include "models/doc.h"
#include "models/score.h"
#include "models/table.h"

#define READ_FACTOR 64 /* as in xgboost.c */

struct linear {
	struct model model;
	struct score score;
	size_t features;
	double *coef;         /* targets x features */
	double *intercept;    /* targets */
	double *mean, *scale; /* features, or both NULL */
	struct span *label_texts;
	int64_t *labels;
};

/* A model as read, before it is checked. Rows x columns; NULL when absent. */
struct matrix {
	const double *data;
	size_t rows, columns;
};

struct parts {
	struct matrix coef, intercept, mean, scale;
	struct span task;
	const struct doc *features, *classes;
};

static const char *const no_keys[] = { NULL };

/* ---- checking and building ---- */

static double *copy_numbers(struct linear *l, const char *name, const struct matrix *from, struct error *err)
{
	size_t count = from->rows * from->columns;
	double *to = ARENA_ARRAY(&l->model.arena, double, count, err);

	for (size_t i = 0; to && i < count; i++) {
		if (!isfinite(from->data[i])) {
			error_set(err, ERROR_INVALID, "'%s' holds %g at index %zu, expected a finite number", name,
				  from->data[i], i);
			return NULL;
		}
		to[i] = from->data[i];
	}
	return to;
}

/* One number for each column, in whatever direction it was written. */
static bool take_vector(struct linear *l, const char *name, const struct matrix *from, size_t count, double **ret,
			struct error *err)
{
	if (!from->data)
		return true;
	if (from->rows * from->columns != count || (from->rows != 1 && from->columns != 1))
		return error_set(err, ERROR_INVALID, "'%s' has %zu numbers, expected %zu", name,
				 from->rows * from->columns, count);
	*ret = copy_numbers(l, name, from, err);
	return *ret;
}

static bool take_task(struct linear *l, const struct parts *p, struct error *err)
{
	struct score *s = &l->score;

	*s = (struct score){ .is_double = true, .scale = 1, .targets = p->coef.rows };
	if (span_equal(p->task, SPAN("regression")))
		return true;
	s->is_classifier = true;
	if (span_equal(p->task, SPAN("binary")) || (p->task.len == 0 && s->targets == 1)) {
		s->transform = SCORE_SIGMOID;
		return s->targets == 1 ||
		       error_set(err, ERROR_INVALID, "'coef' has %zu rows, expected 1 for task binary", s->targets);
	}
	if (!span_equal(p->task, SPAN("multiclass")) && p->task.len)
		return error_set(err, ERROR_INVALID,
				 "task is '" SPAN_FMT "', expected binary, multiclass or regression",
				 SPAN_ARG(p->task));
	s->transform = SCORE_SOFTMAX;
	return s->targets > 1 || error_set(err, ERROR_INVALID, "'coef' has 1 row, expected one for each class");
}

static bool take_strings(struct linear *l, const char *name, const struct doc *from, size_t count, struct span **ret,
			 struct error *err)
{
	size_t i = 0;

	if (from->count != count)
		return error_set(err, ERROR_INVALID, "'%s' has %zu values, expected %zu", name, from->count, count);
	*ret = ARENA_ARRAY(&l->model.arena, struct span, count, err);
	if (!*ret)
		return false;
	if (from->type != DOC_ARRAY)
		return error_set(err, ERROR_INVALID, "'%s' must be an array of strings", name);
	for (const struct doc *d = from->first; d; d = d->next, i++) {
		if (d->type != DOC_STRING)
			return error_set(err, ERROR_INVALID, "%s[%zu] is not a string", name, i);
		(*ret)[i] = arena_copy(&l->model.arena, d->text, err);
		if (!(*ret)[i].ptr)
			return false;
	}
	return true;
}

/* Whole numbers or strings; names (for people) are filled for both. */
static bool take_classes(struct linear *l, const struct doc *from, struct span **ret_names, struct error *err)
{
	size_t count = l->score.targets == 1 ? 2 : l->score.targets;

	if (!from || !l->score.is_classifier)
		return true;
	if (from->type != DOC_NUMBERS) {
		if (!take_strings(l, "classes", from, count, &l->label_texts, err))
			return false;
		l->score.label_texts = *ret_names = l->label_texts;
		return true;
	}
	if (from->count != count)
		return error_set(err, ERROR_INVALID, "'classes' has %zu values, expected %zu", from->count, count);
	l->labels = ARENA_ARRAY(&l->model.arena, int64_t, count, err);
	*ret_names = l->labels ? ARENA_ARRAY(&l->model.arena, struct span, count, err) : NULL;
	if (!*ret_names)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!doc_int64_at(from, i, &l->labels[i]))
			return error_set(err, ERROR_INVALID, "classes[%zu] is %g, expected a whole number or a string",
					 i, doc_number_at(from, i));
		(*ret_names)[i] = arena_print(&l->model.arena, err, "%lld", (long long)l->labels[i]);
		if (!(*ret_names)[i].ptr)
			return false;
	}
	l->score.labels = l->labels;
	return true;
}

static bool take_scaling(struct linear *l, const struct parts *p, struct error *err)
{
	if (!take_vector(l, "mean", &p->mean, l->features, &l->mean, err) ||
	    !take_vector(l, "scale", &p->scale, l->features, &l->scale, err))
		return false;
	if (!l->mean && !l->scale)
		return true;
	if (!l->mean)
		l->mean = arena_calloc(&l->model.arena, l->features, sizeof(double), err);
	if (!l->scale) {
		l->scale = ARENA_ARRAY(&l->model.arena, double, l->features, err);
		for (size_t i = 0; l->scale && i < l->features; i++)
			l->scale[i] = 1;
	}
	if (!l->mean || !l->scale)
		return false;
	for (size_t i = 0; i < l->features; i++) {
		if (l->scale[i] == 0)
			return error_set(err, ERROR_INVALID, "'scale' holds 0 at index %zu", i);
	}
	return true;
}

static bool describe(struct linear *l, const struct span *class_names, struct error *err)
{
	struct model_info *info = &l->model.info;
	const char *what = !l->score.is_classifier               ? "linear regression"
			   : l->score.transform == SCORE_SIGMOID ? "logistic regression"
								 : "multinomial logistic regression";
	size_t work = l->features * l->score.targets;

	if (!score_describe(&l->score, &l->model, DTYPE_FP64, l->features, class_names, err))
		return false;
	info->platform = SPAN("linear");
	info->bytes = sizeof(*l) + work * sizeof(double);
	info->cost_ns_row = 10 + (double)work + 20 * (double)l->score.targets;
	info->cost_ns_call = info->cost_ns_row + 30;
	info->kind = arena_print(&l->model.arena, err, "%s, %zu features", what, l->features);
	return info->kind.ptr;
}

static bool build_parts(struct linear *l, const struct parts *p, struct error *err)
{
	struct span *class_names = NULL, *features = NULL;

	if (p->coef.rows == 0 || p->coef.columns == 0)
		return error_set(err, ERROR_INVALID, "'coef' is empty");
	if (p->coef.columns > MODEL_FEATURES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "'coef' has %zu columns, over the limit of %zu", p->coef.columns,
				 MODEL_FEATURES_MAX);
	l->features = p->coef.columns;
	if (!take_task(l, p, err))
		return false;
	l->coef = copy_numbers(l, "coef", &p->coef, err);
	if (!l->coef || !take_vector(l, "intercept", &p->intercept, l->score.targets, &l->intercept, err) ||
	    !take_scaling(l, p, err) || !take_classes(l, p->classes, &class_names, err))
		return false;
	if (!l->intercept)
		l->intercept = arena_calloc(&l->model.arena, l->score.targets, sizeof(double), err);
	if (p->features && !take_strings(l, "features", p->features, l->features, &features, err))
		return false;
	if (!l->intercept || !describe(l, class_names, err))
		return false;
	l->model.info.feature_names = features;
	return true;
}

static struct model *build(const struct model_format *format, const struct parts *p, struct error *err)
{
	struct model *m = model_new(format, sizeof(struct linear));

	if (build_parts((struct linear *)m, p, err))
		return m;
	error_wrap(err, "linear model");
	model_unref(m);
	return NULL;
}

/* ---- JSON ---- */

/* A number, a row, or rows of equal length. */
static bool read_matrix(const struct doc *root, const char *name, struct matrix *ret, struct arena *arena,
			struct error *err)
{
	const struct doc *d = doc_get(root, name);
	size_t columns, i = 0;
	double *to;

	if (!d)
		return true;
	if (d->type == DOC_ARRAY) {
		columns = d->first->count;
		to = ARENA_ARRAY(arena, double, d->count *columns, err);
		for (const struct doc *row = d->first; to && row; row = row->next) {
			if (row->type != DOC_NUMBERS || row->count != columns)
				return error_set(err, ERROR_INVALID, "%s[%zu]: expected a row of %zu numbers", name,
						 i / MAX(columns, (size_t)1), columns);
			for (size_t k = 0; k < columns; k++)
				to[i++] = doc_number_at(row, k);
		}
		*ret = (struct matrix){ to, d->count, columns };
		return to;
	}
	columns = d->type == DOC_NUMBERS ? d->count : 1;
	to = ARENA_ARRAY(arena, double, columns, err);
	for (size_t k = 0; to && d->type == DOC_NUMBERS && k < columns; k++)
		to[k] = doc_number_at(d, k);
	*ret = (struct matrix){ to, 1, columns };
	return to && (d->type == DOC_NUMBERS || doc_double(root, name, to, err));
}

static bool read_head(const struct doc *root, struct parts *p, struct error *err)
{
	const struct doc *task = doc_get(root, "task"), *format = doc_get(root, "format");
	int64_t version = 1;

	if (root->type != DOC_OBJECT)
		return error_set(err, ERROR_INVALID, "expected an object");
	if (format && (format->type != DOC_STRING || !span_equal(format->text, SPAN("hythe-linear"))))
		return error_set(err, ERROR_INVALID, "'format' is not \"hythe-linear\"");
	if (doc_get(root, "version") && !doc_int64(root, "version", &version, err))
		return false;
	if (version != 1)
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "version %lld of hythe-linear is not supported; this program reads 1",
				 (long long)version);
	if (format && !doc_need(root, "task", DOC_STRING, err))
		return false;
	if (task && task->type != DOC_STRING)
		return error_set(err, ERROR_INVALID, "'task' is not a string");
	p->task = task ? task->text : SPAN("");
	p->features = doc_get(root, "features");
	p->classes = doc_get(root, "classes");
	return true;
}

static bool read_json_parts(struct span bytes, struct parts *p, struct arena *arena, struct error *err)
{
	const struct doc *root = doc_read_json(bytes, no_keys, arena, err);

	if (!root || !read_head(root, p, err))
		return false;
	if (!doc_get(root, "coef"))
		return error_set(err, ERROR_INVALID, "'coef' is missing");
	return read_matrix(root, "coef", &p->coef, arena, err) &&
	       read_matrix(root, "intercept", &p->intercept, arena, err) &&
	       read_matrix(root, "mean", &p->mean, arena, err) && read_matrix(root, "scale", &p->scale, arena, err);
}

typedef bool parts_reader(struct span bytes, struct parts *p, struct arena *arena, struct error *err);

static struct model *load(const struct model_format *format, parts_reader *read, struct span bytes, struct error *err)
{
	struct model *m = NULL;
	struct parts parts = { 0 };
	struct arena arena;

	arena_init(&arena, bytes.len > (SIZE_MAX - MIB(1)) / READ_FACTOR ? SIZE_MAX : bytes.len * READ_FACTOR + MIB(1));
	if (read(bytes, &parts, &arena, err))
		m = build(format, &parts, err);
	else
		error_wrap(err, "linear model");
	arena_done(&arena);
	return m;
}

static struct model *load_json(struct span bytes, const struct model_options *options, struct error *err)
{
	(void)options;
	return load(&format_linear_json, read_json_parts, bytes, err);
}

static int probe_json(struct span head)
{
	struct span text = span_trim(head);

	if (text.len == 0 || text.ptr[0] != '{')
		return 0;
	if (memmem(text.ptr, text.len, "\"hythe-linear\"", 14))
		return 95;
	return memmem(text.ptr, text.len, "\"coef\"", 6) ? 40 : 0;
}

/* ---- safetensors ---- */

static uint64_t little_endian(const char *p, size_t size)
{
	uint64_t value = 0;

	for (size_t i = size; i-- > 0;)
		value = value << 8 | (uint8_t)p[i];
	return value;
}

static void unpack(const char *from, size_t size, size_t count, double *to)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t bits = little_endian(from + i * size, size);
		uint32_t half = (uint32_t)bits;
		float value;

		memcpy(&value, &half, sizeof(value));
		if (size == 8)
			memcpy(&to[i], &bits, sizeof(bits));
		else
			to[i] = (double)value;
	}
}

/* Shape [], [n] or [m, n]. */
static bool read_shape(const struct doc *tensor, struct matrix *ret, struct error *err)
{
	const struct doc *shape = doc_need(tensor, "shape", DOC_NUMBERS, err);
	int64_t sizes[2] = { 1, 1 };

	if (!shape)
		return false;
	if (shape->count > 2)
		return error_set(err, ERROR_INVALID, "'shape' has %zu dimensions, expected at most 2", shape->count);
	for (size_t i = 0; i < shape->count; i++) {
		if (!doc_int64_at(shape, i, &sizes[2 - shape->count + i]))
			return error_set(err, ERROR_INVALID, "'shape' holds %g", doc_number_at(shape, i));
	}
	for (size_t i = 0; i < 2; i++) {
		if (sizes[i] < 0 || sizes[i] > (int64_t)MODEL_FEATURES_MAX)
			return error_set(err, ERROR_INVALID, "'shape' holds %lld", (long long)sizes[i]);
	}
	ret->rows = (size_t)sizes[0];
	ret->columns = (size_t)sizes[1];
	return true;
}

static bool read_tensor(const struct doc *root, const char *name, struct span data, struct matrix *ret,
			struct arena *arena, struct error *err)
{
	const struct doc *tensor = doc_get(root, name), *type, *offsets;
	int64_t begin = -1, end = -1;
	size_t size, count;
	double *to;

	if (!tensor)
		return true;
	type = doc_need(tensor, "dtype", DOC_STRING, err);
	offsets = type ? doc_need(tensor, "data_offsets", DOC_NUMBERS, err) : NULL;
	if (!offsets || !read_shape(tensor, ret, err))
		return error_wrap(err, "tensor '%s'", name);
	if (!span_equal(type->text, SPAN("F64")) && !span_equal(type->text, SPAN("F32")))
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "tensor '%s': dtype '" SPAN_FMT "' is not supported, expected F64 or F32", name,
				 SPAN_ARG(type->text));
	size = span_equal(type->text, SPAN("F64")) ? 8 : 4;
	count = ret->rows * ret->columns;
	if (offsets->count != 2 || !doc_int64_at(offsets, 0, &begin) || !doc_int64_at(offsets, 1, &end) || begin < 0 ||
	    end < begin || (uint64_t)end > data.len)
		return error_set(err, ERROR_INVALID, "tensor '%s': 'data_offsets' is outside 0..%zu", name, data.len);
	if ((uint64_t)(end - begin) != count * size)
		return error_set(err, ERROR_INVALID, "tensor '%s': %lld bytes of data, expected %zu", name,
				 (long long)(end - begin), count * size);
	to = ARENA_ARRAY(arena, double, count, err);
	if (!to)
		return false;
	unpack(data.ptr + begin, size, count, to);
	ret->data = to;
	return true;
}

/* A JSON array inside a string of the metadata. */
static bool read_list(const struct doc *metadata, const char *key, const struct doc **ret, struct arena *arena,
		      struct error *err)
{
	const struct doc *text = doc_get(metadata, key);

	if (!text)
		return true;
	if (text->type != DOC_STRING)
		return error_set(err, ERROR_INVALID, "__metadata__: '%s' is not a string", key);
	*ret = doc_read_json(text->text, no_keys, arena, err);
	return *ret || error_wrap(err, "__metadata__: '%s'", key);
}

static bool read_safetensors_parts(struct span bytes, struct parts *p, struct arena *arena, struct error *err)
{
	uint64_t header = bytes.len >= 8 ? little_endian(bytes.ptr, 8) : 0;
	const struct doc *root, *metadata, *task;
	struct span data;

	if (bytes.len < 8 || header > bytes.len - 8)
		return error_set(err, ERROR_INVALID, "safetensors: the header is %llu bytes long, the file %zu",
				 (unsigned long long)header, bytes.len);
	root = doc_read_json((struct span){ bytes.ptr + 8, (size_t)header }, no_keys, arena, err);
	if (!root)
		return error_wrap(err, "safetensors: header");
	data = span_skip(bytes, 8 + (size_t)header);
	metadata = doc_get(root, "__metadata__");
	task = doc_get(metadata, "task");
	p->task = task && task->type == DOC_STRING ? task->text : SPAN("");
	if (!doc_get(root, "coef"))
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "safetensors: only linear models (with a tensor 'coef') are supported; "
				 "export networks to ONNX");
	return (read_tensor(root, "coef", data, &p->coef, arena, err) &&
		read_tensor(root, "intercept", data, &p->intercept, arena, err) &&
		read_tensor(root, "mean", data, &p->mean, arena, err) &&
		read_tensor(root, "scale", data, &p->scale, arena, err) &&
		read_list(metadata, "features", &p->features, arena, err) &&
		read_list(metadata, "classes", &p->classes, arena, err)) ||
	       error_wrap(err, "safetensors");
}

static struct model *load_safetensors(struct span bytes, const struct model_options *options, struct error *err)
{
	(void)options;
	return load(&format_linear_safetensors, read_safetensors_parts, bytes, err);
}

static int probe_safetensors(struct span head)
{
	return head.len > 8 && little_endian(head.ptr, 8) < MIB(100) && head.ptr[8] == '{' ? 80 : 0;
}

/* ---- running ---- */

static double sum_row(const struct linear *l, const double *x, const double *coef, double intercept)
{
	double sum = 0;

	if (l->mean) {
		for (size_t i = 0; i < l->features; i++)
			sum += (x[i] - l->mean[i]) / l->scale[i] * coef[i];
	} else {
		for (size_t i = 0; i < l->features; i++)
			sum += x[i] * coef[i];
	}
	return sum + intercept;
}

static bool run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		struct arena *arena, struct error *err)
{
	const struct linear *l = (const struct linear *)m;
	size_t rows = (size_t)inputs[0].shape[0], targets = l->score.targets;
	double *sums = score_sums(&l->score, &inputs[0], arena, err);
	const double *x = inputs[0].data;

	if (!sums)
		return false;
	for (size_t i = 0; i < rows; i++) {
		for (size_t k = 0; k < targets; k++)
			sums[i * targets + k] =
			    sum_row(l, x + i * l->features, l->coef + k * l->features, l->intercept[k]);
	}
	return score_finish(&l->score, m, sums, rows, wanted, results, arena, err);
}

const struct model_format format_linear_json = {
	.name = "linear-json", .probe = probe_json, .load = load_json, .run = run
};

const struct model_format format_linear_safetensors = {
	.name = "linear-safetensors", .probe = probe_safetensors, .load = load_safetensors, .run = run
};
