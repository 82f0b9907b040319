/* SPDX-License-Identifier: Apache-2.0 */
/* Elements moved: joined, cut, picked by index, turned over. */
#include "models/onnx.h"

/* Elements before, along and behind an axis. */
static void around(const struct tensor *t, int axis, size_t *ret_outer, size_t *ret_inner)
{
	*ret_outer = *ret_inner = 1;
	for (int d = 0; d < t->rank; d++)
		if (d != axis)
			*(d < axis ? ret_outer : ret_inner) *= (size_t)t->shape[d];
}

static bool axis_prepare(struct onnx_prepare *p, struct error *err)
{
	int64_t *axis = ARENA_NEW(p->arena, int64_t, err);

	p->step->state = axis;
	/* Concat of opset 1 meant 1 when it said nothing; later ones must say. Gather's default is 0. */
	return axis && onnx_int(p, "axis", span_equal(p->node->op, SPAN("Concat")) ? 1 : 0, axis, err);
}

/* Short runs are most of what pipelines copy; a call of memcpy for each would be the larger part of the work. */
static inline void copy_run(char *to, const char *from, size_t bytes)
{
	if (bytes == 4)
		memcpy(to, from, 4);
	else if (bytes == 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, bytes);
}

static bool concat_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *first = onnx_in(r, step, 0);
	size_t outer, inner, size = dtype_size(first->dtype), row, at = 0;
	int64_t shape[TENSOR_RANK_MAX], total = 0;
	int axis;

	if (!onnx_axis(*(const int64_t *)step->state, first->rank, &axis, err))
		return false;
	memcpy(shape, first->shape, sizeof(shape));
	for (uint32_t i = 0; i < step->in_count; i++) {
		const struct tensor *x = onnx_in(r, step, i);

		if (!x || x->dtype != first->dtype || x->rank != first->rank)
			return error_set(err, ERROR_INVALID, "input %u has another type or rank than the first", i);
		for (int d = 0; d < x->rank; d++)
			if (d != axis && x->shape[d] != first->shape[d])
				return error_set(err, ERROR_INVALID,
						 "input %u has %lld in dimension %d, the first has %lld", i,
						 (long long)x->shape[d], d, (long long)first->shape[d]);
		if (__builtin_add_overflow(total, x->shape[axis], &total))
			return error_set(err, ERROR_TOO_LARGE, "the result would be too large");
	}
	shape[axis] = total;
	if (!onnx_new(r, out, first->dtype, first->rank, shape, err))
		return false;
	around(out, axis, &outer, &inner);
	row = (size_t)total * inner * size;
	for (uint32_t i = 0; i < step->in_count; i++) {
		const struct tensor *x = onnx_in(r, step, i);
		size_t part = (size_t)x->shape[axis] * inner * size;
		const char *from = x->data;
		char *to = (char *)out->data + at;

		for (size_t o = 0; o < outer; o++, to += row, from += part)
			copy_run(to, from, part);
		at += part;
	}
	return true;
}

/* ---- Split ---- */

struct split {
	int64_t axis, parts;
	const int64_t *sizes;
	size_t size_count;
};

static bool split_prepare(struct onnx_prepare *p, struct error *err)
{
	struct split *s = ARENA_NEW(p->arena, struct split, err);

	p->step->state = s;
	return s && onnx_int(p, "axis", 0, &s->axis, err) &&
	       onnx_int(p, "num_outputs", (int64_t)p->node->output_count, &s->parts, err) &&
	       onnx_ints(p, "split", &s->sizes, &s->size_count, err);
}

static bool split_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *given = onnx_in(r, step, 1);
	size_t outer, inner, size = dtype_size(x->dtype), at = 0, row;
	const struct split *s = step->state;
	int64_t shape[TENSOR_RANK_MAX], each, left;
	int axis;

	if (!onnx_axis(s->axis, x->rank, &axis, err))
		return false;
	if ((given && (given->dtype != DTYPE_INT64 || given->count != step->out_count)) ||
	    (s->size_count && s->size_count != step->out_count))
		return error_set(err, ERROR_INVALID, "there must be one size for each of %u outputs", step->out_count);
	around(x, axis, &outer, &inner);
	memcpy(shape, x->shape, sizeof(shape));
	row = (size_t)x->shape[axis] * inner * size;
	left = x->shape[axis];
	each = (left + (int64_t)step->out_count - 1) / (int64_t)step->out_count; /* the last may be smaller */
	for (uint32_t i = 0; i < step->out_count; i++) {
		const char *from = (const char *)x->data + at;
		size_t part;
		char *to;

		shape[axis] = given ? ((const int64_t *)given->data)[i] : s->size_count ? s->sizes[i] : MIN(each, left);
		if (shape[axis] < 0 || shape[axis] > left)
			return error_set(err, ERROR_INVALID, "parts do not add up to the dimension of %lld",
					 (long long)x->shape[axis]);
		left -= shape[axis];
		if (!onnx_new(r, &out[i], x->dtype, x->rank, shape, err))
			return false;
		part = (size_t)shape[axis] * inner * size;
		to = out[i].data;
		for (size_t o = 0; o < outer; o++, from += row, to += part)
			copy_run(to, from, part);
		at += part;
	}
	return left == 0 ||
	       error_set(err, ERROR_INVALID, "parts do not add up to the dimension of %lld", (long long)x->shape[axis]);
}

/* ---- Gather, GatherElements, Compress, NonZero ---- */

/* Index i of a tensor of indices, negative ones counted from the end. */
static inline bool index_at(const struct tensor *t, size_t i, int64_t size, size_t *ret, struct error *err)
{
	int64_t at = t->dtype == DTYPE_INT64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];

	if (UNLIKELY(at < -size || at >= size))
		return error_set(err, ERROR_INVALID, "index %lld is outside %lld elements", (long long)at,
				 (long long)size);
	*ret = (size_t)(at < 0 ? at + size : at);
	return true;
}

static bool gather_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *indices = onnx_in(r, step, 1);
	size_t outer, inner, size = dtype_size(x->dtype), n;
	int64_t shape[TENSOR_RANK_MAX];
	int axis, rank = 0;

	if (indices->dtype != DTYPE_INT64 && indices->dtype != DTYPE_INT32)
		return onnx_type_refused(indices, err);
	if (!onnx_axis(*(const int64_t *)step->state, x->rank, &axis, err))
		return false;
	if (x->rank + indices->rank - 1 > TENSOR_RANK_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d dimensions", TENSOR_RANK_MAX);
	for (int d = 0; d < axis; d++)
		shape[rank++] = x->shape[d];
	for (int d = 0; d < indices->rank; d++)
		shape[rank++] = indices->shape[d];
	for (int d = axis + 1; d < x->rank; d++)
		shape[rank++] = x->shape[d];
	if (!onnx_new(r, out, x->dtype, rank, shape, err))
		return false;
	around(x, axis, &outer, &inner);
	n = (size_t)x->shape[axis];
	for (size_t i = 0; i < indices->count; i++) {
		size_t at = 0, part = inner * size;

		if (!index_at(indices, i, x->shape[axis], &at, err))
			return false;
		for (size_t o = 0; o < outer; o++)
			copy_run((char *)out->data + (o * indices->count + i) * part,
				 (const char *)x->data + (o * n + at) * part, part);
	}
	return true;
}

static bool gather_elements_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *indices = onnx_in(r, step, 1);
	size_t size = dtype_size(x->dtype), stride[TENSOR_RANK_MAX], at[TENSOR_RANK_MAX] = { 0 };
	int axis;

	if (indices->dtype != DTYPE_INT64 && indices->dtype != DTYPE_INT32)
		return onnx_type_refused(indices, err);
	if (indices->rank != x->rank)
		return error_set(err, ERROR_INVALID, "indices of rank %d for a tensor of rank %d", indices->rank,
				 x->rank);
	if (!onnx_axis(*(const int64_t *)step->state, x->rank, &axis, err))
		return false;
	for (int d = x->rank - 1; d >= 0; d--) {
		stride[d] = d == x->rank - 1 ? 1 : stride[d + 1] * (size_t)x->shape[d + 1];
		if (d != axis && indices->shape[d] > x->shape[d])
			return error_set(err, ERROR_INVALID, "indices are longer than the tensor in dimension %d", d);
	}
	if (!onnx_new(r, out, x->dtype, x->rank, indices->shape, err))
		return false;
	for (size_t i = 0; i < indices->count; i++) {
		size_t from = 0, index = 0;

		if (!index_at(indices, i, x->shape[axis], &index, err))
			return false;
		for (int d = 0; d < x->rank; d++)
			from += (d == axis ? index : at[d]) * stride[d];
		copy_run((char *)out->data + i * size, (const char *)x->data + from * size, size);
		for (int d = x->rank - 1; d >= 0; d--) {
			if (++at[d] < (size_t)indices->shape[d])
				break;
			at[d] = 0;
		}
	}
	return true;
}

struct compress {
	bool has_axis;
	int64_t axis;
};

static bool compress_prepare(struct onnx_prepare *p, struct error *err)
{
	struct compress *s = ARENA_NEW(p->arena, struct compress, err);

	p->step->state = s;
	if (!s || !onnx_int(p, "axis", 0, &s->axis, err))
		return false;
	s->has_axis = onnx_has(p, "axis");
	return true;
}

static bool compress_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *given = onnx_in(r, step, 0), *keep = onnx_in(r, step, 1);
	const struct compress *s = step->state;
	size_t outer, inner, size = dtype_size(given->dtype), kept = 0, n, to = 0;
	int64_t shape[TENSOR_RANK_MAX];
	struct tensor x;
	int axis;

	if (keep->dtype != DTYPE_BOOL || keep->rank != 1)
		return error_set(err, ERROR_INVALID, "the condition must be a list of BOOL");
	onnx_alias(&x, given, given->rank, given->shape);
	if (!s->has_axis)
		onnx_alias(&x, given, 1, (int64_t[]){ (int64_t)given->count });
	if (!onnx_axis(s->axis, x.rank, &axis, err))
		return false;
	n = (size_t)x.shape[axis];
	if (keep->count > n)
		return error_set(err, ERROR_INVALID, "the condition is longer than the dimension");
	for (size_t i = 0; i < keep->count; i++)
		kept += ((const uint8_t *)keep->data)[i];
	memcpy(shape, x.shape, sizeof(shape));
	shape[axis] = (int64_t)kept;
	if (!onnx_new(r, out, x.dtype, x.rank, shape, err))
		return false;
	around(&x, axis, &outer, &inner);
	for (size_t i = 0; i < keep->count; i++) {
		if (!((const uint8_t *)keep->data)[i])
			continue;
		for (size_t o = 0; o < outer; o++)
			memcpy((char *)out->data + (o * kept + to) * inner * size,
			       (const char *)x.data + (o * n + i) * inner * size, inner * size);
		to++;
	}
	return true;
}

static bool non_zero_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	size_t found = 0, at = 0, rest;

	if (x->dtype == DTYPE_BYTES || x->rank == 0)
		return onnx_type_refused(x, err);
	for (size_t i = 0; i < x->count; i++)
		found += tensor_get(x, i) != 0;
	if (!onnx_new(r, out, DTYPE_INT64, 2, (int64_t[]){ x->rank, (int64_t)found }, err))
		return false;
	for (size_t i = 0; i < x->count; i++) {
		if (!(tensor_get(x, i) != 0))
			continue;
		rest = i;
		for (int d = x->rank - 1; d >= 0; d--) {
			((int64_t *)out->data)[(size_t)d * found + at] = (int64_t)(rest % (size_t)x->shape[d]);
			rest /= (size_t)x->shape[d];
		}
		at++;
	}
	return true;
}

/* ---- Slice ---- */

struct slice {
	size_t count; /* of the lists in attributes, before opset 10 */
	int64_t starts[TENSOR_RANK_MAX], ends[TENSOR_RANK_MAX], axes[TENSOR_RANK_MAX];
	bool has_axes;
};

static bool slice_prepare(struct onnx_prepare *p, struct error *err)
{
	struct slice *s = ARENA_NEW(p->arena, struct slice, err);
	const int64_t *starts, *ends, *axes;
	size_t n_ends, n_axes;

	if (!s || !onnx_ints(p, "starts", &starts, &s->count, err) || !onnx_ints(p, "ends", &ends, &n_ends, err) ||
	    !onnx_ints(p, "axes", &axes, &n_axes, err))
		return false;
	if (s->count > TENSOR_RANK_MAX || n_ends != s->count || (n_axes && n_axes != s->count))
		return error_set(err, ERROR_INVALID, "starts, ends and axes have different lengths");
	memcpy(s->starts, starts, s->count * sizeof(starts[0]));
	memcpy(s->ends, ends, s->count * sizeof(ends[0]));
	memcpy(s->axes, axes, n_axes * sizeof(axes[0]));
	s->has_axes = n_axes > 0;
	if (p->node->input_count < 3 && s->count == 0)
		return error_set(err, ERROR_INVALID, "starts and ends are missing");
	p->step->state = s;
	return true;
}

struct cut {
	int64_t start, step, count;
};

/* numpy's rule for a[start:end:step]. */
static bool cut_of(int64_t size, int64_t start, int64_t end, int64_t by, struct cut *ret, struct error *err)
{
	int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;

	if (by == 0)
		return error_set(err, ERROR_INVALID, "a step is 0");
	start = start < 0 && start >= -size ? start + size : start < 0 ? low : start;
	start = MIN(MAX(start, low), high);
	end = end < 0 && end >= -size ? end + size : end < 0 ? low : end;
	end = MIN(MAX(end, low), high);
	ret->start = start;
	ret->step = by;
	ret->count = 0;
	if (by > 0 && end > start)
		ret->count = (end - start - 1) / by + 1;
	if (by < 0 && end < start)
		ret->count = by == INT64_MIN ? 1 : (start - end - 1) / -by + 1;
	return true;
}

static bool cuts_of(struct onnx_run *r, const struct onnx_step *step, const struct tensor *x, struct cut *cuts,
		    struct error *err)
{
	const struct slice *s = step->state;
	int64_t starts[TENSOR_RANK_MAX], ends[TENSOR_RANK_MAX], axes[TENSOR_RANK_MAX], steps[TENSOR_RANK_MAX];
	const struct tensor *given[4];
	size_t count = s->count, others;
	int axis;

	memcpy(starts, s->starts, sizeof(starts));
	memcpy(ends, s->ends, sizeof(ends));
	for (uint32_t i = 0; i < 4; i++)
		given[i] = onnx_in(r, step, i + 1);
	if (given[0] && !onnx_small_ints(given[0], TENSOR_RANK_MAX, starts, &count, err))
		return false;
	others = count;
	if (given[1] && (!onnx_small_ints(given[1], TENSOR_RANK_MAX, ends, &others, err) || others != count))
		return error_set(err, ERROR_INVALID, "starts and ends have different lengths");
	for (size_t i = 0; i < count; i++) {
		axes[i] = s->has_axes ? s->axes[i] : (int64_t)i;
		steps[i] = 1;
	}
	if (given[2] && (!onnx_small_ints(given[2], TENSOR_RANK_MAX, axes, &others, err) || others != count))
		return error_set(err, ERROR_INVALID, "starts and axes have different lengths");
	if (given[3] && (!onnx_small_ints(given[3], TENSOR_RANK_MAX, steps, &others, err) || others != count))
		return error_set(err, ERROR_INVALID, "starts and steps have different lengths");
	for (int d = 0; d < x->rank; d++)
		cuts[d] = (struct cut){ 0, 1, x->shape[d] };
	for (size_t i = 0; i < count; i++)
		if (!onnx_axis(axes[i], x->rank, &axis, err) ||
		    !cut_of(x->shape[axis], starts[i], ends[i], steps[i], &cuts[axis], err))
			return false;
	return true;
}

static bool slice_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	size_t size = dtype_size(x->dtype), stride[TENSOR_RANK_MAX], at[TENSOR_RANK_MAX] = { 0 }, run, n = 1;
	struct cut cuts[TENSOR_RANK_MAX];
	int64_t shape[TENSOR_RANK_MAX];
	int outer = x->rank;

	if (!cuts_of(r, step, x, cuts, err))
		return false;
	for (int d = x->rank - 1; d >= 0; d--) {
		stride[d] = d == x->rank - 1 ? 1 : stride[d + 1] * (size_t)x->shape[d + 1];
		shape[d] = cuts[d].count;
	}
	if (!onnx_new(r, out, x->dtype, x->rank, shape, err))
		return false;
	if (out->count == 0)
		return true;
	/* Inner dimensions taken whole, and the one around them if its step is 1, are one run of bytes. */
	while (outer > 0 && cuts[outer - 1].step == 1) {
		outer--;
		n *= (size_t)shape[outer];
		if (shape[outer] != x->shape[outer])
			break;
	}
	run = n * size;
	for (size_t o = 0; o < out->count / n; o++) {
		int64_t from = 0;

		for (int d = 0; d < x->rank; d++)
			from += (cuts[d].start + (d < outer ? (int64_t)at[d] * cuts[d].step : 0)) * (int64_t)stride[d];
		copy_run((char *)out->data + o * run, (const char *)x->data + (size_t)from * size, run);
		for (int d = outer - 1; d >= 0; d--) {
			if (++at[d] < (size_t)shape[d])
				break;
			at[d] = 0;
		}
	}
	return true;
}

/* ---- Transpose ---- */

struct permutation {
	int64_t axes[TENSOR_RANK_MAX];
	size_t count;
};

static bool transpose_prepare(struct onnx_prepare *p, struct error *err)
{
	struct permutation *s = ARENA_NEW(p->arena, struct permutation, err);
	const int64_t *axes;
	unsigned seen = 0;

	if (!s || !onnx_ints(p, "perm", &axes, &s->count, err))
		return false;
	if (s->count > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "attribute 'perm' has %zu values", s->count);
	for (size_t i = 0; i < s->count; i++) {
		if (axes[i] < 0 || axes[i] >= (int64_t)s->count || (seen >> axes[i]) & 1)
			return error_set(err, ERROR_INVALID, "attribute 'perm' is no permutation");
		seen |= 1U << axes[i];
		s->axes[i] = axes[i];
	}
	p->step->state = s;
	return true;
}

static bool transpose_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct permutation *s = step->state;
	size_t size = dtype_size(x->dtype), stride[TENSOR_RANK_MAX], by[TENSOR_RANK_MAX], at[TENSOR_RANK_MAX] = { 0 };
	int64_t shape[TENSOR_RANK_MAX];
	const char *from = x->data;
	char *to;

	if (s->count && s->count != (size_t)x->rank)
		return error_set(err, ERROR_INVALID, "'perm' is for rank %zu, the tensor has %d", s->count, x->rank);
	for (int d = x->rank - 1; d >= 0; d--)
		stride[d] = d == x->rank - 1 ? 1 : stride[d + 1] * (size_t)x->shape[d + 1];
	for (int d = 0; d < x->rank; d++) {
		int source = s->count ? (int)s->axes[d] : x->rank - 1 - d;

		shape[d] = x->shape[source];
		by[d] = stride[source] * size;
	}
	if (!onnx_new(r, out, x->dtype, x->rank, shape, err))
		return false;
	to = out->data;
	for (size_t i = 0; i < x->count; i++) {
		copy_run(to, from, size);
		to += size;
		for (int d = x->rank - 1; d >= 0; d--) {
			from += by[d];
			if (++at[d] < (size_t)shape[d])
				break;
			from -= by[d] * at[d];
			at[d] = 0;
		}
	}
	return true;
}

const struct onnx_operator onnx_ops_pick[] = {
	{ "Concat", "", 1, 255, 1, 1, 0, axis_prepare, concat_run, NULL },
	{ "Split", "", 1, 2, 1, 255, 0, split_prepare, split_run, NULL },
	{ "Gather", "", 2, 2, 1, 1, 0, axis_prepare, gather_run, NULL },
	{ "GatherElements", "", 2, 2, 1, 1, 0, axis_prepare, gather_elements_run, NULL },
	{ "Compress", "", 2, 2, 1, 1, 0, compress_prepare, compress_run, NULL },
	{ "NonZero", "", 1, 1, 1, 1, 0, NULL, non_zero_run, NULL },
	{ "Slice", "", 1, 5, 1, 1, 0, slice_prepare, slice_run, NULL },
	{ "Transpose", "", 1, 1, 1, 1, 0, transpose_prepare, transpose_run, NULL },
	{ 0 },
};
