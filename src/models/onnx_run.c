/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a plan, and what operators need while running: memory, shapes, types, broadcasting. */
#include "models/onnx.h"

#include "base/clock.h"

enum { BLOCK_LEAST = 512 }; /* smaller ones are not worth the search */

bool onnx_run_init(struct onnx_run *r, const struct onnx_plan *plan, struct arena *arena, struct error *err)
{
	size_t slots = plan->slot_count, computed = slots - plan->computed;

	r->plan = plan;
	r->arena = arena;
	r->deadline_ns = 0;
	r->free_count = 0;
	r->values = ARENA_ARRAY(arena, const struct tensor *, slots, err);
	r->computed = ARENA_ARRAY(arena, struct tensor, computed, err);
	if (!r->values || !r->computed)
		return false;
	memcpy(r->values, plan->constants, slots * sizeof(const struct tensor *));
	return true;
}

static void give_back(struct onnx_run *r, const struct tensor *t)
{
	size_t size = t->count * dtype_size(t->dtype), least = 0;

	if (size < BLOCK_LEAST)
		return;
	if (r->free_count < ONNX_FREE_BLOCKS) {
		r->free[r->free_count].data = t->data;
		r->free[r->free_count++].size = size;
		return;
	}
	for (size_t i = 1; i < ONNX_FREE_BLOCKS; i++)
		if (r->free[i].size < r->free[least].size)
			least = i;
	if (r->free[least].size < size) {
		r->free[least].data = t->data;
		r->free[least].size = size;
	}
}

static void *take_free(struct onnx_run *r, size_t size)
{
	unsigned best = ONNX_FREE_BLOCKS;
	void *data;

	for (unsigned i = 0; i < r->free_count; i++)
		if (r->free[i].size >= size && (best == ONNX_FREE_BLOCKS || r->free[i].size < r->free[best].size))
			best = i;
	if (best == ONNX_FREE_BLOCKS || r->free[best].size > 4 * size)
		return NULL;
	data = r->free[best].data;
	r->free[best] = r->free[--r->free_count];
	return data;
}

bool onnx_execute(struct onnx_run *r, uint64_t wanted, struct error *err)
{
	const struct onnx_plan *plan = r->plan;

	for (size_t i = 0; i < plan->step_count; i++) {
		const struct onnx_step *s = &plan->steps[i];
		struct tensor *out = &r->computed[s->out - plan->computed];

		if (!(s->feeds & wanted))
			continue;
		if (UNLIKELY(!s->op->run(r, s, out, err)))
			return error_wrap(err, "node '" SPAN_FMT "' (%s)", SPAN_ARG(s->name), s->op->name);
		for (uint32_t j = 0; j < s->out_count; j++)
			r->values[s->out + j] = &out[j];
		for (uint32_t j = 0; j < s->dead_count; j++)
			if (r->values[s->dead[j]])
				give_back(r, r->values[s->dead[j]]);
		if (UNLIKELY(r->deadline_ns) && clock_monotonic_ns() > r->deadline_ns)
			return error_set(err, ERROR_TIMEOUT, "the model takes long");
	}
	return true;
}

bool onnx_new(struct onnx_run *r, struct tensor *ret, enum dtype type, int rank, const int64_t *shape,
	      struct error *err)
{
	size_t count = 1, size;

	for (int i = 0; i < rank; i++) {
		if (UNLIKELY(shape[i] < 0 || !checked_mul(count, (size_t)shape[i], &count)))
			return tensor_count(rank, shape, &count, err) &&
			       error_set(err, ERROR_TOO_LARGE, "a tensor would be too large");
		ret->shape[i] = shape[i];
	}
	if (UNLIKELY(!checked_mul(count, dtype_size(type), &size)))
		return error_set(err, ERROR_TOO_LARGE, "a tensor would be too large");
	ret->name = SPAN("");
	ret->dtype = type;
	ret->rank = rank;
	ret->count = count;
	ret->data = size >= BLOCK_LEAST && r->free_count ? take_free(r, size) : NULL;
	if (!ret->data)
		ret->data = arena_alloc(r->arena, size, err);
	return ret->data != NULL;
}

void onnx_alias(struct tensor *ret, const struct tensor *from, int rank, const int64_t *shape)
{
	*ret = *from;
	ret->name = SPAN("");
	ret->rank = rank;
	if (rank)
		memmove(ret->shape, shape, (size_t)rank * sizeof(shape[0]));
}

bool onnx_type_refused(const struct tensor *t, struct error *err)
{
	return error_set(err, ERROR_UNIMPLEMENTED, "%s is not supported here", dtype_name(t->dtype));
}

bool onnx_axis(int64_t axis, int rank, int *ret, struct error *err)
{
	if (axis < -rank || axis >= rank)
		return error_set(err, ERROR_INVALID, "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
	*ret = (int)(axis < 0 ? axis + rank : axis);
	return true;
}

bool onnx_small_ints(const struct tensor *t, size_t max, int64_t *ret, size_t *ret_count, struct error *err)
{
	if (t->rank > 1)
		return error_set(err, ERROR_INVALID, "a list of integers was expected, not a tensor of rank %d",
				 t->rank);
	if (t->count > max)
		return error_set(err, ERROR_INVALID, "%zu integers are more than the %zu that fit", t->count, max);
	for (size_t i = 0; i < t->count; i++) {
		if (t->dtype == DTYPE_INT64)
			ret[i] = ((const int64_t *)t->data)[i];
		else if (t->dtype == DTYPE_INT32)
			ret[i] = ((const int32_t *)t->data)[i];
		else
			return onnx_type_refused(t, err);
	}
	*ret_count = t->count;
	return true;
}

bool onnx_floats_of(struct onnx_run *r, const struct tensor *t, const float **ret, struct error *err)
{
	float *to;

	if (LIKELY(t->dtype == DTYPE_FP32)) {
		*ret = t->data;
		return true;
	}
	to = ARENA_ARRAY(r->arena, float, t->count, err);
	if (!to)
		return false;
#define FROM(type)                                                                                                     \
	for (size_t i = 0; i < t->count; i++)                                                                          \
	to[i] = (float)((const type *)t->data)[i]
	switch (t->dtype) {
	case DTYPE_FP64:
		FROM(double);
		break;
	case DTYPE_INT64:
		FROM(int64_t);
		break;
	case DTYPE_INT32:
		FROM(int32_t);
		break;
	case DTYPE_UINT8:
	case DTYPE_BOOL:
		FROM(uint8_t);
		break;
	default:
		return onnx_type_refused(t, err);
	}
#undef FROM
	*ret = to;
	return true;
}

bool onnx_rows(const struct tensor *t, size_t *ret_rows, size_t *ret_columns, struct error *err)
{
	if (t->rank == 2) {
		*ret_rows = (size_t)t->shape[0];
		*ret_columns = (size_t)t->shape[1];
	} else if (t->rank == 1) {
		*ret_rows = 1;
		*ret_columns = (size_t)t->shape[0];
	} else {
		return error_set(err, ERROR_INVALID, "rows of a matrix were expected, not a tensor of rank %d",
				 t->rank);
	}
	return true;
}

/* ---- broadcasting ---- */

static bool full_shape(const struct tensor *const *in, int count, struct onnx_broadcast *b, struct error *err)
{
	b->full_rank = 0;
	for (int k = 0; k < count; k++)
		b->full_rank = MAX(b->full_rank, in[k]->rank);
	for (int d = 0; d < b->full_rank; d++) {
		b->full[d] = 1;
		for (int k = 0; k < count; k++) {
			int at = d - (b->full_rank - in[k]->rank);
			int64_t size = at < 0 ? 1 : in[k]->shape[at];

			if (size == 1 || size == b->full[d])
				continue;
			if (b->full[d] != 1)
				return error_set(err, ERROR_INVALID,
						 "shapes do not fit each other: %lld against %lld in dimension %d",
						 (long long)b->full[d], (long long)size, d);
			b->full[d] = size;
		}
	}
	return true;
}

bool onnx_broadcast(const struct tensor *const *in, int count, struct onnx_broadcast *b, struct error *err)
{
	size_t step[3] = { 1, 1, 1 };
	int at = TENSOR_RANK_MAX; /* merged dimensions are filled from the back */

	ASSERT(count <= (int)ARRAY_LEN(step));
	if (!full_shape(in, count, b, err) || !tensor_count(b->full_rank, b->full, &b->count, err))
		return false;
	for (int d = b->full_rank - 1; d >= 0; d--) {
		size_t size = (size_t)b->full[d], stride[3] = { 0 };
		bool merge = at < TENSOR_RANK_MAX;

		for (int k = 0; k < count; k++) {
			int own = d - (b->full_rank - in[k]->rank);

			if (own >= 0 && in[k]->shape[own] != 1) {
				stride[k] = step[k];
				step[k] *= (size_t)in[k]->shape[own];
			}
		}
		if (size == 1)
			continue;
		for (int k = 0; merge && k < count; k++)
			merge = stride[k] == b->stride[k][at] * b->shape[at];
		if (merge) {
			b->shape[at] *= size;
			continue;
		}
		at--;
		b->shape[at] = size;
		for (int k = 0; k < count; k++)
			b->stride[k][at] = stride[k];
	}
	if (at == TENSOR_RANK_MAX) { /* one element (or none, which no loop reaches) */
		at--;
		b->shape[at] = 1;
		for (int k = 0; k < count; k++)
			b->stride[k][at] = 0;
	}
	b->rank = TENSOR_RANK_MAX - at;
	memmove(b->shape, b->shape + at, (size_t)b->rank * sizeof(b->shape[0]));
	for (int k = 0; k < count; k++)
		memmove(b->stride[k], b->stride[k] + at, (size_t)b->rank * sizeof(b->stride[k][0]));
	return true;
}
