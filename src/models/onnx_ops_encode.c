/* SPDX-License-Identifier: Apache-2.0 */
/* ai.onnx.ml on categories: LabelEncoder, OneHotEncoder, CategoryMapper. */
#include "models/onnx.h"

#include <math.h>
#include <stdio.h>

/* ---- a table of keys ---- */

struct lookup {
	enum dtype type; /* BYTES, INT64, FP32, FP64 */
	const void *keys;
	size_t count;
	uint32_t *slots; /* index + 1, or 0 */
	size_t mask;
};

static uint64_t number_hash(uint64_t bits)
{
	bits *= UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / the golden ratio (Knuth, TAOCP 3, 6.4) */
	return bits ^ (bits >> 32);
}

/* Equal numbers hash alike: -0 as 0, every NaN as one. */
static uint64_t double_hash(double v)
{
	uint64_t bits;

	v = v == 0 ? 0 : isnan(v) ? (double)NAN : v;
	memcpy(&bits, &v, sizeof(bits));
	return number_hash(bits);
}

static uint64_t key_hash(enum dtype type, const void *key)
{
	switch (type) {
	case DTYPE_BYTES:
		return span_hash(*(const struct span *)key);
	case DTYPE_INT64:
		return number_hash((uint64_t) * (const int64_t *)key);
	case DTYPE_FP32:
		return double_hash((double)*(const float *)key);
	default:
		return double_hash(*(const double *)key);
	}
}

static bool same_double(double a, double b)
{
	return a == b || (a != a && b != b);
}

static bool key_equal(enum dtype type, const void *a, const void *b)
{
	switch (type) {
	case DTYPE_BYTES:
		return span_equal(*(const struct span *)a, *(const struct span *)b);
	case DTYPE_INT64:
		return *(const int64_t *)a == *(const int64_t *)b;
	case DTYPE_FP32:
		return same_double((double)*(const float *)a, (double)*(const float *)b);
	default:
		return same_double(*(const double *)a, *(const double *)b);
	}
}

/* The index of a key, or l->count. */
static size_t lookup_find(const struct lookup *l, const void *key)
{
	size_t size = dtype_size(l->type), at = (size_t)key_hash(l->type, key) & l->mask;

	for (; l->slots[at]; at = (at + 1) & l->mask)
		if (key_equal(l->type, (const char *)l->keys + (l->slots[at] - 1) * size, key))
			return l->slots[at] - 1;
	return l->count;
}

/* The first of equal keys counts. */
static bool lookup_init(struct lookup *l, enum dtype type, const void *keys, size_t count, struct arena *arena,
			struct error *err)
{
	size_t size = 4;

	if (count > (size_t)1 << 28)
		return error_set(err, ERROR_TOO_LARGE, "%zu categories", count);
	while (size < count * 2)
		size *= 2;
	*l = (struct lookup){ type, keys, count, arena_calloc(arena, size, sizeof(uint32_t), err), size - 1 };
	if (!l->slots)
		return false;
	for (size_t i = 0; i < count; i++) {
		const void *key = (const char *)keys + i * dtype_size(type);
		size_t at = (size_t)key_hash(type, key) & l->mask;

		if (lookup_find(l, key) != count)
			continue;
		while (l->slots[at])
			at = (at + 1) & l->mask;
		l->slots[at] = (uint32_t)i + 1;
	}
	return true;
}

/* ---- LabelEncoder ---- */

struct encoder {
	struct lookup keys;
	enum dtype type; /* of values */
	const void *values;
	const void *otherwise;
	bool both; /* version 1: whichever way the input's type asks */
	struct lookup back;
	const void *back_values, *back_otherwise;
};

/* The keys or the values: in one of three lists, or in a tensor. */
static bool encoder_list(struct onnx_prepare *p, const char *what, enum dtype *ret_type, const void **ret,
			 size_t *ret_count, struct error *err)
{
	static const char *const kinds[] = { "strings", "int64s", "floats", "tensor" };
	const struct span *strings;
	const struct tensor *t;
	const int64_t *ints;
	const float *floats;
	char name[4][24];
	int found = 0;

	for (int i = 0; i < 4; i++) {
		snprintf(name[i], sizeof(name[i]), "%s_%s", what, kinds[i]);
		found += onnx_has(p, name[i]);
	}
	if (found != 1)
		return error_set(err, ERROR_INVALID, "%d lists of %s were given, not one", found, what);
	if (onnx_has(p, name[0])) {
		*ret_type = DTYPE_BYTES;
		if (!onnx_strings(p, name[0], &strings, ret_count, err))
			return false;
		*ret = strings;
	} else if (onnx_has(p, name[1])) {
		*ret_type = DTYPE_INT64;
		if (!onnx_ints(p, name[1], &ints, ret_count, err))
			return false;
		*ret = ints;
	} else if (onnx_has(p, name[2])) {
		*ret_type = DTYPE_FP32;
		if (!onnx_floats(p, name[2], &floats, ret_count, err))
			return false;
		*ret = floats;
	} else {
		if (!onnx_tensor(p, name[3], &t, err))
			return false;
		*ret_type = t->dtype;
		*ret = t->data;
		*ret_count = t->count;
	}
	return true;
}

static bool encoder_default(struct onnx_prepare *p, enum dtype type, const void **ret, struct error *err)
{
	struct span *s = ARENA_NEW(p->arena, struct span, err);
	int64_t *i = ARENA_NEW(p->arena, int64_t, err);
	float *f = ARENA_NEW(p->arena, float, err);
	const struct tensor *t;
	double *zero;

	if (!s || !i || !f || !onnx_string(p, "default_string", "_Unused", s, err) ||
	    !onnx_int(p, "default_int64", -1, i, err) || !onnx_float(p, "default_float", -0.0f, f, err) ||
	    !onnx_tensor(p, "default_tensor", &t, err))
		return false;
	if (t) {
		if (t->dtype != type || t->count != 1)
			return error_set(err, ERROR_INVALID, "default_tensor does not fit the values");
		*ret = t->data;
		return true;
	}
	zero = ARENA_NEW(p->arena, double, err);
	*ret = type == DTYPE_BYTES   ? (const void *)s
	       : type == DTYPE_INT64 ? i
	       : type == DTYPE_FP32  ? (const void *)f
				     : zero;
	return zero != NULL;
}

/* Version 1: strings and their positions, either way. */
static bool encoder_v1(struct onnx_prepare *p, struct encoder *e, struct error *err)
{
	const struct span *strings;
	int64_t *positions;
	size_t count;

	if (!onnx_strings(p, "classes_strings", &strings, &count, err))
		return false;
	positions = ARENA_ARRAY(p->arena, int64_t, count, err);
	if (!positions)
		return false;
	for (size_t i = 0; i < count; i++)
		positions[i] = (int64_t)i;
	e->both = true;
	e->type = DTYPE_INT64;
	e->values = positions;
	e->back_values = strings;
	return lookup_init(&e->keys, DTYPE_BYTES, strings, count, p->arena, err) &&
	       lookup_init(&e->back, DTYPE_INT64, positions, count, p->arena, err) &&
	       encoder_default(p, DTYPE_INT64, &e->otherwise, err) &&
	       encoder_default(p, DTYPE_BYTES, &e->back_otherwise, err);
}

static bool encoder_prepare(struct onnx_prepare *p, struct error *err)
{
	struct encoder *e = ARENA_NEW(p->arena, struct encoder, err);
	size_t count, values;
	enum dtype type;
	const void *keys;

	if (!e)
		return false;
	p->step->state = e;
	if (onnx_has(p, "classes_strings"))
		return encoder_v1(p, e, err);
	if (!encoder_list(p, "keys", &type, &keys, &count, err) ||
	    !encoder_list(p, "values", &e->type, &e->values, &values, err))
		return false;
	if (count != values)
		return error_set(err, ERROR_INVALID, "%zu keys and %zu values", count, values);
	if (type != DTYPE_BYTES && type != DTYPE_INT64 && type != DTYPE_FP32 && type != DTYPE_FP64)
		return error_set(err, ERROR_UNIMPLEMENTED, "keys of type %s are not supported", dtype_name(type));
	return lookup_init(&e->keys, type, keys, count, p->arena, err) &&
	       encoder_default(p, e->type, &e->otherwise, err);
}

static bool encode(struct onnx_run *r, const struct tensor *x, const struct lookup *keys, enum dtype type,
		   const void *values, const void *otherwise, struct tensor *out, struct error *err)
{
	size_t size = dtype_size(type), key_size = dtype_size(x->dtype);

	if (x->dtype != keys->type)
		return error_set(err, ERROR_INVALID, "the input is %s, the keys are %s", dtype_name(x->dtype),
				 dtype_name(keys->type));
	if (!onnx_new(r, out, type, x->rank, x->shape, err))
		return false;
	for (size_t i = 0; i < x->count; i++) {
		size_t at = lookup_find(keys, (const char *)x->data + i * key_size);

		memcpy((char *)out->data + i * size, at < keys->count ? (const char *)values + at * size : otherwise,
		       size);
	}
	return true;
}

static bool encoder_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct encoder *e = step->state;

	if (e->both && x->dtype == DTYPE_INT64)
		return encode(r, x, &e->back, DTYPE_BYTES, e->back_values, e->back_otherwise, out, err);
	return encode(r, x, &e->keys, e->type, e->values, e->otherwise, out, err);
}

/* CategoryMapper: pairs of a string and an integer, either way. */
static bool mapper_prepare(struct onnx_prepare *p, struct error *err)
{
	struct encoder *e = ARENA_NEW(p->arena, struct encoder, err);
	const struct span *strings;
	const int64_t *ints;
	size_t count, others;

	if (!e || !onnx_strings(p, "cats_strings", &strings, &count, err) ||
	    !onnx_ints(p, "cats_int64s", &ints, &others, err))
		return false;
	if (count != others)
		return error_set(err, ERROR_INVALID, "%zu cats_strings and %zu cats_int64s", count, others);
	e->both = true;
	e->type = DTYPE_INT64;
	e->values = ints;
	e->back_values = strings;
	p->step->state = e;
	return lookup_init(&e->keys, DTYPE_BYTES, strings, count, p->arena, err) &&
	       lookup_init(&e->back, DTYPE_INT64, ints, count, p->arena, err) &&
	       encoder_default(p, DTYPE_INT64, &e->otherwise, err) &&
	       encoder_default(p, DTYPE_BYTES, &e->back_otherwise, err);
}

/* ---- OneHotEncoder ---- */

struct one_hot {
	struct lookup categories; /* BYTES or INT64 */
	bool zeros;               /* for a category that is not known; else an error */
};

static bool one_hot_prepare(struct onnx_prepare *p, struct error *err)
{
	struct one_hot *s = ARENA_NEW(p->arena, struct one_hot, err);
	const struct span *strings;
	size_t int_count, string_count;
	const int64_t *ints;
	int64_t zeros;

	if (!s || !onnx_ints(p, "cats_int64s", &ints, &int_count, err) ||
	    !onnx_strings(p, "cats_strings", &strings, &string_count, err) || !onnx_int(p, "zeros", 1, &zeros, err))
		return false;
	if ((int_count == 0) == (string_count == 0))
		return error_set(err, ERROR_INVALID, "one of cats_int64s and cats_strings must be there");
	s->zeros = zeros != 0;
	p->step->state = s;
	return int_count ? lookup_init(&s->categories, DTYPE_INT64, ints, int_count, p->arena, err)
			 : lookup_init(&s->categories, DTYPE_BYTES, strings, string_count, p->arena, err);
}

static bool one_hot_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct one_hot *s = step->state;
	int64_t shape[TENSOR_RANK_MAX];

	if ((x->dtype == DTYPE_BYTES) != (s->categories.type == DTYPE_BYTES))
		return error_set(err, ERROR_INVALID, "the input is %s, the categories are %s", dtype_name(x->dtype),
				 dtype_name(s->categories.type));
	if (x->rank == TENSOR_RANK_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d dimensions", TENSOR_RANK_MAX);
	memcpy(shape, x->shape, (size_t)x->rank * sizeof(shape[0]));
	shape[x->rank] = (int64_t)s->categories.count;
	if (!onnx_new(r, out, DTYPE_FP32, x->rank + 1, shape, err))
		return false;
	memset(out->data, 0, out->count * sizeof(float));
	for (size_t i = 0; i < x->count; i++) {
		int64_t number = 0;
		size_t at;

		if (x->dtype == DTYPE_INT64) {
			number = ((const int64_t *)x->data)[i];
		} else if (x->dtype != DTYPE_BYTES) {
			double v = tensor_get(x, i);

			/* Fractions are cut off; what is no integer at all is no category. */
			number = fabs(v) < 0x1p63 ? (int64_t)v : INT64_MIN;
		}
		at = lookup_find(&s->categories,
				 x->dtype == DTYPE_BYTES ? (const void *)((const struct span *)x->data + i) : &number);
		if (at < s->categories.count)
			((float *)out->data)[i * s->categories.count + at] = 1;
		else if (!s->zeros)
			return x->dtype == DTYPE_BYTES
				   ? error_set(err, ERROR_INVALID, "category '" SPAN_FMT "' was not there in training",
					       SPAN_ARG(((const struct span *)x->data)[i]))
				   : error_set(err, ERROR_INVALID, "category %lld was not there in training",
					       (long long)number);
	}
	return true;
}

const struct onnx_operator onnx_ops_encode[] = {
	{ "LabelEncoder", "ai.onnx.ml", 1, 1, 1, 1, 0, encoder_prepare, encoder_run, NULL },
	{ "CategoryMapper", "ai.onnx.ml", 1, 1, 1, 1, 0, mapper_prepare, encoder_run, NULL },
	{ "OneHotEncoder", "ai.onnx.ml", 1, 1, 1, 1, 0, one_hot_prepare, one_hot_run, NULL },
	{ 0 },
};
