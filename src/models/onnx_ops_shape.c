/* SPDX-License-Identifier: Apache-2.0 */
/* The same elements under another shape, shapes as values, and tensors made from shapes. */
#include "models/onnx.h"

#include <math.h>

/* ---- views of the same data ---- */

static bool identity_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);

	(void)err;
	onnx_alias(out, x, x->rank, x->shape);
	return true;
}

/* Inference leaves the data as it is; a mask, if asked for, keeps all. */
static bool dropout_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *training = onnx_in(r, step, 2);

	if (training && (training->dtype != DTYPE_BOOL || training->count != 1 || *(const uint8_t *)training->data))
		return error_set(err, ERROR_UNIMPLEMENTED, "training is not supported");
	onnx_alias(out, x, x->rank, x->shape);
	if (step->out_count > 1) {
		if (!onnx_new(r, &out[1], DTYPE_BOOL, x->rank, x->shape, err))
			return false;
		memset(out[1].data, 1, x->count);
	}
	return true;
}

static bool dropout_prepare(struct onnx_prepare *p, struct error *err)
{
	int64_t is_test;

	onnx_ignore(p, "ratio");
	onnx_ignore(p, "seed");
	if (!onnx_int(p, "is_test", 1, &is_test, err))
		return false;
	if (p->opset && p->opset < 7 && !is_test)
		return error_set(err, ERROR_UNIMPLEMENTED, "training is not supported");
	return true;
}

struct integers {
	int64_t flag;
	size_t count;
	int64_t values[TENSOR_RANK_MAX];
	bool given; /* as an attribute */
};

/* A list in an attribute (old opsets) of at most as many as there are dimensions. */
static struct integers *integers_new(struct onnx_prepare *p, const char *name, struct error *err)
{
	struct integers *s = ARENA_NEW(p->arena, struct integers, err);
	const int64_t *values;

	if (!s || !onnx_ints(p, name, &values, &s->count, err))
		return NULL;
	s->given = onnx_has(p, name);
	if (s->count > TENSOR_RANK_MAX) {
		error_set(err, ERROR_INVALID, "attribute '%s' has %zu values, %d at most", name, s->count,
			  TENSOR_RANK_MAX);
		return NULL;
	}
	memcpy(s->values, values, s->count * sizeof(values[0]));
	p->step->state = s;
	return s;
}

static bool reshape_prepare(struct onnx_prepare *p, struct error *err)
{
	struct integers *s = integers_new(p, "shape", err);

	onnx_ignore(p, "consumed_inputs");
	return s && onnx_int(p, "allowzero", 0, &s->flag, err);
}

static bool reshape_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *given = onnx_in(r, step, 1);
	const struct integers *s = step->state;
	int64_t shape[TENSOR_RANK_MAX];
	size_t rank = s->count, known = 1;
	int any = -1;

	memcpy(shape, s->values, sizeof(shape));
	if (given && !onnx_small_ints(given, TENSOR_RANK_MAX, shape, &rank, err))
		return false;
	for (size_t d = 0; d < rank; d++) {
		if (shape[d] == 0 && !s->flag) {
			if (d >= (size_t)x->rank)
				return error_set(err, ERROR_INVALID, "dimension %zu to copy is not there", d);
			shape[d] = x->shape[d];
		}
		if (shape[d] == -1 && any < 0)
			any = (int)d;
		else if (shape[d] < 0 || !checked_mul(known, (size_t)shape[d], &known))
			return error_set(err, ERROR_INVALID, "%lld is no dimension", (long long)shape[d]);
	}
	if (any >= 0) {
		if (known == 0 || x->count % known)
			return error_set(err, ERROR_INVALID, "%zu elements do not divide into %zu", x->count, known);
		shape[any] = (int64_t)(x->count / known);
	} else if (known != x->count) {
		return error_set(err, ERROR_INVALID, "%zu elements do not fit a shape of %zu", x->count, known);
	}
	onnx_alias(out, x, (int)rank, shape);
	return true;
}

static bool flatten_prepare(struct onnx_prepare *p, struct error *err)
{
	int64_t *axis = ARENA_NEW(p->arena, int64_t, err);

	p->step->state = axis;
	return axis && onnx_int(p, "axis", 1, axis, err);
}

static bool flatten_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	int64_t axis = *(const int64_t *)step->state, shape[2] = { 1, 1 };

	if (axis < -x->rank || axis > x->rank)
		return error_set(err, ERROR_INVALID, "axis %lld is outside a tensor of rank %d", (long long)axis,
				 x->rank);
	axis = axis < 0 ? axis + x->rank : axis;
	for (int d = 0; d < x->rank; d++)
		shape[d < axis ? 0 : 1] *= x->shape[d];
	onnx_alias(out, x, 2, shape);
	return true;
}

static bool axes_prepare(struct onnx_prepare *p, struct error *err)
{
	return integers_new(p, "axes", err) != NULL;
}

static bool axes_get(struct onnx_run *r, const struct onnx_step *step, int64_t *axes, size_t *count, struct error *err)
{
	const struct tensor *given = onnx_in(r, step, 1);
	const struct integers *s = step->state;

	memcpy(axes, s->values, sizeof(s->values));
	*count = s->count;
	return !given || onnx_small_ints(given, TENSOR_RANK_MAX, axes, count, err);
}

static bool squeeze_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	int64_t axes[TENSOR_RANK_MAX], shape[TENSOR_RANK_MAX];
	unsigned mask = 0;
	size_t count;
	int rank = 0, axis;

	if (!axes_get(r, step, axes, &count, err))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!onnx_axis(axes[i], x->rank, &axis, err))
			return false;
		if (x->shape[axis] != 1)
			return error_set(err, ERROR_INVALID, "dimension %d has %lld elements, not 1", axis,
					 (long long)x->shape[axis]);
		mask |= 1U << axis;
	}
	for (int d = 0; d < x->rank; d++)
		if (count ? !((mask >> d) & 1) : x->shape[d] != 1)
			shape[rank++] = x->shape[d];
	onnx_alias(out, x, rank, shape);
	return true;
}

static bool unsqueeze_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	int64_t axes[TENSOR_RANK_MAX], shape[TENSOR_RANK_MAX];
	unsigned mask = 0;
	int rank, axis, from = 0;
	size_t count;

	if (!axes_get(r, step, axes, &count, err))
		return false;
	rank = x->rank + (int)count;
	if (rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d dimensions", TENSOR_RANK_MAX);
	for (size_t i = 0; i < count; i++) {
		if (!onnx_axis(axes[i], rank, &axis, err))
			return false;
		if ((mask >> axis) & 1)
			return error_set(err, ERROR_INVALID, "axis %d is there twice", axis);
		mask |= 1U << axis;
	}
	for (int d = 0; d < rank; d++)
		shape[d] = (mask >> d) & 1 ? 1 : x->shape[from++];
	onnx_alias(out, x, rank, shape);
	return true;
}

/* ---- shapes as values ---- */

struct range_of {
	int64_t start, end;
};

static bool shape_prepare(struct onnx_prepare *p, struct error *err)
{
	struct range_of *s = ARENA_NEW(p->arena, struct range_of, err);

	p->step->state = s;
	return s && onnx_int(p, "start", 0, &s->start, err) && onnx_int(p, "end", INT64_MAX, &s->end, err);
}

static bool shape_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct range_of *s = step->state;
	int64_t start = s->start < 0 ? MAX(s->start + x->rank, (int64_t)0) : MIN(s->start, (int64_t)x->rank);
	int64_t end = s->end < 0 ? MAX(s->end + x->rank, (int64_t)0) : MIN(s->end, (int64_t)x->rank);
	int64_t count = MAX(end - start, (int64_t)0);

	if (!onnx_new(r, out, DTYPE_INT64, 1, &count, err))
		return false;
	memcpy(out->data, x->shape + start, (size_t)count * sizeof(int64_t));
	return true;
}

static bool size_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	if (!onnx_new(r, out, DTYPE_INT64, 0, NULL, err))
		return false;
	*(int64_t *)out->data = (int64_t)onnx_in(r, step, 0)->count;
	return true;
}

/* ---- tensors from shapes ---- */

static bool constant_of_shape_prepare(struct onnx_prepare *p, struct error *err)
{
	static float zero;
	static const struct tensor zeros = {
		.dtype = DTYPE_FP32, .rank = 1, .shape = { 1 }, .count = 1, .data = &zero
	};
	const struct tensor *value;

	if (!onnx_tensor(p, "value", &value, err))
		return false;
	if (value && value->count != 1)
		return error_set(err, ERROR_INVALID, "attribute 'value' has %zu elements, not 1", value->count);
	p->step->state = value ? value : &zeros;
	return true;
}

static void fill(struct tensor *t, const void *value)
{
	size_t size = dtype_size(t->dtype);

	for (size_t i = 0; i < t->count; i++)
		memcpy((char *)t->data + i * size, value, size);
}

static bool constant_of_shape_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out,
				  struct error *err)
{
	const struct tensor *value = step->state;
	int64_t shape[TENSOR_RANK_MAX];
	size_t rank;

	if (!onnx_small_ints(onnx_in(r, step, 0), TENSOR_RANK_MAX, shape, &rank, err) ||
	    !onnx_new(r, out, value->dtype, (int)rank, shape, err))
		return false;
	fill(out, value->data);
	return true;
}

/* A tensor of one of Constant's typed attributes. */
static struct tensor *constant_of(struct onnx_prepare *p, enum dtype type, int rank, size_t count, const void *data,
				  struct error *err)
{
	struct tensor *t = ARENA_NEW(p->arena, struct tensor, err);
	void *copy = arena_array_(p->arena, count, dtype_size(type), err);

	if (!t || !copy)
		return NULL;
	if (count)
		memcpy(copy, data, count * dtype_size(type));
	*t = (struct tensor){ .dtype = type, .rank = rank, .shape = { (int64_t)count }, .count = count, .data = copy };
	return t;
}

static bool constant_prepare(struct onnx_prepare *p, struct error *err)
{
	const struct tensor *value = NULL;
	const struct span *strings;
	const int64_t *ints;
	const float *floats;
	struct span s;
	size_t count;
	int64_t i;
	float f;

	if (onnx_has(p, "value_float")) {
		if (!onnx_float(p, "value_float", 0, &f, err))
			return false;
		value = constant_of(p, DTYPE_FP32, 0, 1, &f, err);
	} else if (onnx_has(p, "value_int")) {
		if (!onnx_int(p, "value_int", 0, &i, err))
			return false;
		value = constant_of(p, DTYPE_INT64, 0, 1, &i, err);
	} else if (onnx_has(p, "value_string")) {
		if (!onnx_string(p, "value_string", "", &s, err))
			return false;
		value = constant_of(p, DTYPE_BYTES, 0, 1, &s, err);
	} else if (onnx_has(p, "value_floats")) {
		if (!onnx_floats(p, "value_floats", &floats, &count, err))
			return false;
		value = constant_of(p, DTYPE_FP32, 1, count, floats, err);
	} else if (onnx_has(p, "value_ints")) {
		if (!onnx_ints(p, "value_ints", &ints, &count, err))
			return false;
		value = constant_of(p, DTYPE_INT64, 1, count, ints, err);
	} else if (onnx_has(p, "value_strings")) {
		if (!onnx_strings(p, "value_strings", &strings, &count, err))
			return false;
		value = constant_of(p, DTYPE_BYTES, 1, count, strings, err);
	} else {
		if (!onnx_tensor(p, "value", &value, err))
			return false;
		if (!value)
			return error_set(err, ERROR_INVALID, "it has no value");
	}
	p->step->state = value;
	return value != NULL;
}

static bool constant_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *value = step->state;

	(void)r;
	(void)err;
	onnx_alias(out, value, value->rank, value->shape);
	return true;
}

static bool expand_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	struct tensor wish = { .dtype = x->dtype };
	const struct tensor *in[2] = { x, &wish };
	size_t rank, size = dtype_size(x->dtype), at[TENSOR_RANK_MAX] = { 0 };
	struct onnx_broadcast bc;
	const char *from = x->data;

	if (!onnx_small_ints(onnx_in(r, step, 1), TENSOR_RANK_MAX, wish.shape, &rank, err))
		return false;
	wish.rank = (int)rank;
	if (!tensor_count(wish.rank, wish.shape, &wish.count, err) || !onnx_broadcast(in, 2, &bc, err) ||
	    !onnx_new(r, out, x->dtype, bc.full_rank, bc.full, err))
		return false;
	for (size_t i = 0; i < bc.count; i++) {
		memcpy((char *)out->data + i * size, from, size);
		for (int d = bc.rank - 1; d >= 0; d--) {
			from += bc.stride[0][d] * size;
			if (++at[d] < bc.shape[d])
				break;
			from -= bc.stride[0][d] * size * at[d];
			at[d] = 0;
		}
	}
	return true;
}

/* Each dimension repeated: the innermost first, in place, in what is to be. */
static bool tile_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	int64_t repeats[TENSOR_RANK_MAX], shape[TENSOR_RANK_MAX];
	size_t count, size = dtype_size(x->dtype), at[TENSOR_RANK_MAX] = { 0 }, stride[TENSOR_RANK_MAX];

	if (!onnx_small_ints(onnx_in(r, step, 1), TENSOR_RANK_MAX, repeats, &count, err))
		return false;
	if (count != (size_t)x->rank)
		return error_set(err, ERROR_INVALID, "%zu repeats for a tensor of rank %d", count, x->rank);
	for (int d = x->rank - 1; d >= 0; d--) {
		stride[d] = d == x->rank - 1 ? 1 : stride[d + 1] * (size_t)x->shape[d + 1];
		if (repeats[d] < 0 || __builtin_mul_overflow(x->shape[d], repeats[d], &shape[d]))
			return error_set(err, ERROR_INVALID, "%lld repeats", (long long)repeats[d]);
	}
	if (!onnx_new(r, out, x->dtype, x->rank, shape, err))
		return false;
	for (size_t i = 0; i < out->count; i++) {
		size_t from = 0;

		for (int d = 0; d < x->rank; d++)
			from += at[d] % (size_t)x->shape[d] * stride[d];
		memcpy((char *)out->data + i * size, (const char *)x->data + from * size, size);
		for (int d = x->rank - 1; d >= 0; d--) {
			if (++at[d] < (size_t)shape[d])
				break;
			at[d] = 0;
		}
	}
	return true;
}

#define RANGE_LOOP(type, wide)                                                                                         \
	for (size_t i = 0; i < out->count; i++)                                                                        \
	((type *)out->data)[i] =                                                                                       \
	    (type)((wide) * (const type *)start->data + (wide)i * (wide) * (const type *)delta->data)

static bool range_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *start = onnx_in(r, step, 0), *limit = onnx_in(r, step, 1), *delta = onnx_in(r, step, 2);
	double first, count;
	int64_t shape;

	if (start->count != 1 || limit->count != 1 || delta->count != 1 || start->dtype != limit->dtype ||
	    start->dtype != delta->dtype)
		return error_set(err, ERROR_INVALID, "start, limit and delta must be single numbers of one type");
	first = tensor_get(start, 0);
	count = ceil((tensor_get(limit, 0) - first) / tensor_get(delta, 0));
	if (!(fabs(first) < 0x1p52) || !(fabs(tensor_get(delta, 0)) < 0x1p52) || !(count < 0x1p40))
		return error_set(err, ERROR_INVALID, "the range is not finite");
	shape = count > 0 ? (int64_t)count : 0;
	if (!onnx_new(r, out, start->dtype, 1, &shape, err))
		return false;
	switch (start->dtype) {
	case DTYPE_FP32:
		RANGE_LOOP(float, float);
		return true;
	case DTYPE_FP64:
		RANGE_LOOP(double, double);
		return true;
	case DTYPE_INT64:
		RANGE_LOOP(int64_t, int64_t);
		return true;
	case DTYPE_INT32:
		RANGE_LOOP(int32_t, int64_t);
		return true;
	default:
		return onnx_type_refused(start, err);
	}
}

const struct onnx_operator onnx_ops_shape[] = {
	{ "Identity", "", 1, 1, 1, 1, ONNX_ALIAS, NULL, identity_run, NULL },
	{ "Dropout", "", 1, 3, 1, 2, ONNX_ALIAS, dropout_prepare, dropout_run, NULL },
	{ "Reshape", "", 1, 2, 1, 1, ONNX_ALIAS, reshape_prepare, reshape_run, NULL },
	{ "Flatten", "", 1, 1, 1, 1, ONNX_ALIAS, flatten_prepare, flatten_run, NULL },
	{ "Squeeze", "", 1, 2, 1, 1, ONNX_ALIAS, axes_prepare, squeeze_run, NULL },
	{ "Unsqueeze", "", 1, 2, 1, 1, ONNX_ALIAS, axes_prepare, unsqueeze_run, NULL },
	{ "Shape", "", 1, 1, 1, 1, 0, shape_prepare, shape_run, NULL },
	{ "Size", "", 1, 1, 1, 1, 0, NULL, size_run, NULL },
	{ "ConstantOfShape", "", 1, 1, 1, 1, 0, constant_of_shape_prepare, constant_of_shape_run, NULL },
	{ "Constant", "", 0, 0, 1, 1, 0, constant_prepare, constant_run, NULL },
	{ "Expand", "", 2, 2, 1, 1, 0, NULL, expand_run, NULL },
	{ "Tile", "", 2, 2, 1, 1, 0, NULL, tile_run, NULL },
	{ "Range", "", 3, 3, 1, 1, 0, NULL, range_run, NULL },
	{ 0 },
};
