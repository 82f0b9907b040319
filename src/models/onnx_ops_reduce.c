/* SPDX-License-Identifier: Apache-2.0 */
/* Along an axis: sums, extremes and where they are, softmax, running sums, the k largest. */
#include "models/onnx.h"

#include <math.h>
#include <stdlib.h>

/* A tensor seen as [outer, n, inner], n being what is reduced. */
struct view {
	size_t outer, n, inner;
};

static struct view view_of(const struct tensor *t, int first, int behind)
{
	struct view v = { 1, 1, 1 };

	for (int d = 0; d < t->rank; d++)
		*(d < first ? &v.outer : d < behind ? &v.n : &v.inner) *= (size_t)t->shape[d];
	return v;
}

/* ---- Reduce* ---- */

typedef void reduce_loop(const struct view *v, const void *x, void *y);

/*
 * `start`, `add` (of sum `s` and element `e`) and `end` (of `s`, n) in the accumulator's type. Rows of adjacent numbers
 * go straight; otherwise up to 64 sums beside each other.
 */
#define REDUCE(name, type, sum_type, start, add, end)                                                                  \
	ONNX_CLONES static void name(const struct view *v, const void *px, void *py)                                   \
	{                                                                                                              \
		const type *restrict x = px;                                                                           \
		type *restrict y = py;                                                                                 \
		sum_type n = (sum_type)v->n;                                                                           \
                                                                                                                       \
		(void)n;                                                                                               \
		for (size_t o = 0; o < v->outer; o++, x += v->n * v->inner, y += v->inner) {                           \
			if (v->inner == 1) {                                                                           \
				sum_type s = (start);                                                                  \
                                                                                                                       \
				for (size_t k = 0; k < v->n; k++) {                                                    \
					sum_type e = (sum_type)x[k];                                                   \
					s = (add);                                                                     \
				}                                                                                      \
				y[0] = (type)(end);                                                                    \
				continue;                                                                              \
			}                                                                                              \
			for (size_t at = 0; at < v->inner; at += 64) {                                                 \
				size_t width = MIN(v->inner - at, (size_t)64);                                         \
				sum_type sums[64];                                                                     \
                                                                                                                       \
				for (size_t i = 0; i < width; i++)                                                     \
					sums[i] = (start);                                                             \
				for (size_t k = 0; k < v->n; k++)                                                      \
					for (size_t i = 0; i < width; i++) {                                           \
						sum_type s = sums[i], e = (sum_type)x[k * v->inner + at + i];          \
						sums[i] = (add);                                                       \
					}                                                                              \
				for (size_t i = 0; i < width; i++) {                                                   \
					sum_type s = sums[i];                                                          \
					y[at + i] = (type)(end);                                                       \
				}                                                                                      \
			}                                                                                              \
		}                                                                                                      \
	}

/* Floats add up in double: the order then does not show. */
#define REDUCE_FLOATS(name, start, add, end)                                                                           \
	REDUCE(name##_f32, float, double, start, add, end)                                                             \
	REDUCE(name##_f64, double, double, start, add, end)
#define REDUCE_INTS(name, start, add, end)                                                                             \
	REDUCE(name##_i64, int64_t, uint64_t, start, add, end)                                                         \
	REDUCE(name##_i32, int32_t, uint64_t, start, add, end)

REDUCE_FLOATS(sum, 0, s + e, s)
REDUCE_INTS(sum, 0, s + e, s)
REDUCE_FLOATS(mean, 0, s + e, s / n)
REDUCE_INTS(mean, 0, s + e, n ? (int64_t)s / (int64_t)n : 0)
REDUCE_FLOATS(product, 1, s *e, s)
REDUCE_INTS(product, 1, s *e, s)
REDUCE_FLOATS(square, 0, s + e * e, s)
REDUCE_INTS(square, 0, s + e * e, s)
REDUCE_FLOATS(l1, 0, s + fabs(e), s)
REDUCE_FLOATS(l2, 0, s + e * e, sqrt(s))
REDUCE_FLOATS(log_sum, 0, s + e, log(s))
REDUCE(max_f32, float, float, -INFINITY, e > s || e != e ? e : s, s)
REDUCE(max_f64, double, double, -INFINITY, e > s || e != e ? e : s, s)
REDUCE(max_i64, int64_t, int64_t, INT64_MIN, e > s ? e : s, s)
REDUCE(max_i32, int32_t, int32_t, INT32_MIN, e > s ? e : s, s)
REDUCE(min_f32, float, float, INFINITY, e < s || e != e ? e : s, s)
REDUCE(min_f64, double, double, INFINITY, e < s || e != e ? e : s, s)
REDUCE(min_i64, int64_t, int64_t, INT64_MAX, e < s ? e : s, s)
REDUCE(min_i32, int32_t, int32_t, INT32_MAX, e < s ? e : s, s)

/* log(sum(exp(x))) around the largest, so that nothing overflows. */
#define LOG_SUM_EXP(name, type)                                                                                        \
	static void name(const struct view *v, const void *px, void *py)                                               \
	{                                                                                                              \
		const type *x = px;                                                                                    \
		type *y = py;                                                                                          \
                                                                                                                       \
		for (size_t o = 0; o < v->outer; o++)                                                                  \
			for (size_t i = 0; i < v->inner; i++) {                                                        \
				const type *row = x + o * v->n * v->inner + i;                                         \
				double most = -INFINITY, s = 0;                                                        \
                                                                                                                       \
				for (size_t k = 0; k < v->n; k++)                                                      \
					most = row[k * v->inner] > most ? (double)row[k * v->inner] : most;            \
				if (isinf(most)) {                                                                     \
					y[o * v->inner + i] = (type)most;                                              \
					continue;                                                                      \
				}                                                                                      \
				for (size_t k = 0; k < v->n; k++)                                                      \
					s += exp((double)row[k * v->inner] - most);                                    \
				y[o * v->inner + i] = (type)(log(s) + most);                                           \
			}                                                                                              \
	}

LOG_SUM_EXP(log_sum_exp_f32, float)
LOG_SUM_EXP(log_sum_exp_f64, double)

struct reduction {
	reduce_loop *f32, *f64, *i64, *i32;
};

static const struct reduction reduce_sum = { sum_f32, sum_f64, sum_i64, sum_i32 };
static const struct reduction reduce_mean = { mean_f32, mean_f64, mean_i64, mean_i32 };
static const struct reduction reduce_product = { product_f32, product_f64, product_i64, product_i32 };
static const struct reduction reduce_square = { square_f32, square_f64, square_i64, square_i32 };
static const struct reduction reduce_l1 = { l1_f32, l1_f64, NULL, NULL };
static const struct reduction reduce_l2 = { l2_f32, l2_f64, NULL, NULL };
static const struct reduction reduce_log_sum = { log_sum_f32, log_sum_f64, NULL, NULL };
static const struct reduction reduce_log_sum_exp = { log_sum_exp_f32, log_sum_exp_f64, NULL, NULL };
static const struct reduction reduce_max = { max_f32, max_f64, max_i64, max_i32 };
static const struct reduction reduce_min = { min_f32, min_f64, min_i64, min_i32 };

struct reduce {
	int64_t keep, empty_is_nothing;
	int64_t axes[TENSOR_RANK_MAX];
	size_t axis_count;
};

static bool reduce_prepare(struct onnx_prepare *p, struct error *err)
{
	struct reduce *s = ARENA_NEW(p->arena, struct reduce, err);
	const int64_t *axes;

	if (!s || !onnx_int(p, "keepdims", 1, &s->keep, err) ||
	    !onnx_int(p, "noop_with_empty_axes", 0, &s->empty_is_nothing, err) ||
	    !onnx_ints(p, "axes", &axes, &s->axis_count, err))
		return false;
	if (s->axis_count > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "%zu axes are too many", s->axis_count);
	memcpy(s->axes, axes, s->axis_count * sizeof(axes[0]));
	p->step->state = s;
	return true;
}

/* Which dimensions go, as bits. */
static bool reduce_mask(struct onnx_run *r, const struct onnx_step *step, const struct tensor *x, unsigned *ret,
			struct error *err)
{
	const struct reduce *s = step->state;
	const struct tensor *input = onnx_in(r, step, 1);
	int64_t axes[TENSOR_RANK_MAX];
	size_t count = s->axis_count;
	int axis;

	memcpy(axes, s->axes, sizeof(axes));
	if (input && !onnx_small_ints(input, TENSOR_RANK_MAX, axes, &count, err))
		return false;
	*ret = 0;
	if (count == 0 && !s->empty_is_nothing)
		*ret = (1U << x->rank) - 1;
	for (size_t i = 0; i < count; i++) {
		if (!onnx_axis(axes[i], x->rank, &axis, err))
			return false;
		*ret |= 1U << axis;
	}
	return true;
}

/* Brings scattered dimensions to the end: a copy with kept dimensions first. */
static bool gather_axes(struct onnx_run *r, struct tensor *x, unsigned mask, struct error *err)
{
	size_t stride[TENSOR_RANK_MAX], at[TENSOR_RANK_MAX] = { 0 }, step[TENSOR_RANK_MAX], size = dtype_size(x->dtype);
	struct tensor old = *x;
	int order[TENSOR_RANK_MAX], n = 0;
	const char *from = old.data;
	char *to;

	for (int d = old.rank - 1; d >= 0; d--)
		stride[d] = d == old.rank - 1 ? 1 : stride[d + 1] * (size_t)old.shape[d + 1];
	for (int pass = 0; pass < 2; pass++)
		for (int d = 0; d < old.rank; d++)
			if (((mask >> d) & 1) == (unsigned)pass)
				order[n++] = d;
	for (int d = 0; d < n; d++) {
		x->shape[d] = old.shape[order[d]];
		step[d] = stride[order[d]];
	}
	x->data = to = arena_array_(r->arena, x->count, size, err);
	if (!to)
		return false;
	for (size_t i = 0; i < x->count; i++) {
		memcpy(to + i * size, from, size);
		for (int d = n - 1; d >= 0; d--) {
			from += step[d] * size;
			if (++at[d] < (size_t)x->shape[d])
				break;
			from -= step[d] * size * at[d];
			at[d] = 0;
		}
	}
	return true;
}

static bool reduce_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct reduction *how = step->op->more;
	const struct reduce *s = step->state;
	struct tensor x = *onnx_in(r, step, 0);
	int64_t shape[TENSOR_RANK_MAX];
	reduce_loop *loop = x.dtype == DTYPE_FP32    ? how->f32
			    : x.dtype == DTYPE_FP64  ? how->f64
			    : x.dtype == DTYPE_INT64 ? how->i64
			    : x.dtype == DTYPE_INT32 ? how->i32
						     : NULL;
	int rank = 0, first = 0, last;
	struct view v;
	unsigned mask;

	if (!loop)
		return onnx_type_refused(&x, err);
	if (!reduce_mask(r, step, &x, &mask, err))
		return false;
	for (int d = 0; d < x.rank; d++)
		if (!((mask >> d) & 1))
			shape[rank++] = x.shape[d];
		else if (s->keep)
			shape[rank++] = 1;
	if (!onnx_new(r, out, x.dtype, rank, shape, err))
		return false;
	while (first < x.rank && !((mask >> first) & 1))
		first++;
	last = first;
	while (last < x.rank && ((mask >> last) & 1))
		last++;
	if (mask >> last) { /* not beside each other */
		int kept = x.rank - __builtin_popcount(mask);

		if (!gather_axes(r, &x, mask, err))
			return false;
		first = kept;
		last = x.rank;
	}
	v = view_of(&x, first, last);
	loop(&v, x.data, out->data);
	return true;
}

/* ---- ArgMax, ArgMin ---- */

struct along {
	int64_t axis;
	int64_t keep; /* keepdims; of LpNormalization: p */
	int64_t last;
	bool flattens; /* softmax before opset 13: all dimensions from the axis on are one */
};

static bool arg_prepare(struct onnx_prepare *p, struct error *err)
{
	struct along *s = ARENA_NEW(p->arena, struct along, err);

	if (!s || !onnx_int(p, "axis", 0, &s->axis, err) || !onnx_int(p, "keepdims", 1, &s->keep, err) ||
	    !onnx_int(p, "select_last_index", 0, &s->last, err))
		return false;
	p->step->state = s;
	return true;
}

#define ARG_LOOP(type)                                                                                                 \
	for (size_t o = 0; o < v.outer; o++)                                                                           \
		for (size_t i = 0; i < v.inner; i++) {                                                                 \
			const type *row = (const type *)x->data + o * v.n * v.inner + i;                               \
			type best = row[0];                                                                            \
			size_t at = 0;                                                                                 \
                                                                                                                       \
			for (size_t k = 1; k < v.n; k++) {                                                             \
				type e = row[k * v.inner];                                                             \
				if ((most ? e > best : e < best) || (s->last && e == best)) {                          \
					best = e;                                                                      \
					at = k;                                                                        \
				}                                                                                      \
			}                                                                                              \
			((int64_t *)out->data)[o * v.inner + i] = (int64_t)at;                                         \
		}

static bool arg_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct along *s = step->state;
	bool most = step->op->more != NULL;
	int64_t shape[TENSOR_RANK_MAX];
	int axis, rank = 0;
	struct view v;

	if (!onnx_axis(s->axis, x->rank, &axis, err))
		return false;
	for (int d = 0; d < x->rank; d++)
		if (d != axis)
			shape[rank++] = x->shape[d];
		else if (s->keep)
			shape[rank++] = 1;
	v = view_of(x, axis, axis + 1);
	if (v.n == 0)
		return error_set(err, ERROR_INVALID, "nothing has no largest element");
	if (!onnx_new(r, out, DTYPE_INT64, rank, shape, err))
		return false;
	switch (x->dtype) {
	case DTYPE_FP32:
		ARG_LOOP(float)
		return true;
	case DTYPE_FP64:
		ARG_LOOP(double)
		return true;
	case DTYPE_INT64:
		ARG_LOOP(int64_t)
		return true;
	case DTYPE_INT32:
		ARG_LOOP(int32_t)
		return true;
	case DTYPE_UINT8:
	case DTYPE_BOOL:
		ARG_LOOP(uint8_t)
		return true;
	default:
		return onnx_type_refused(x, err);
	}
}

/* ---- Softmax, LogSoftmax ---- */

static bool softmax_prepare(struct onnx_prepare *p, struct error *err)
{
	struct along *s = ARENA_NEW(p->arena, struct along, err);

	if (!s || !onnx_int(p, "axis", p->opset && p->opset < 13 ? 1 : -1, &s->axis, err))
		return false;
	s->flattens = p->opset && p->opset < 13;
	p->step->state = s;
	return true;
}

#define SOFTMAX_LOOP(type, exponential, logarithm)                                                                     \
	for (size_t o = 0; o < v.outer; o++)                                                                           \
		for (size_t i = 0; i < v.inner; i++) {                                                                 \
			const type *from = (const type *)x->data + o * v.n * v.inner + i;                              \
			type *to = (type *)out->data + o * v.n * v.inner + i;                                          \
			type most = -INFINITY, sum = 0;                                                                \
                                                                                                                       \
			for (size_t k = 0; k < v.n; k++)                                                               \
				most = from[k * v.inner] > most ? from[k * v.inner] : most;                            \
			for (size_t k = 0; k < v.n; k++) {                                                             \
				type e = exponential(from[k * v.inner] - most);                                        \
				to[k * v.inner] = logs ? from[k * v.inner] - most : e;                                 \
				sum += e;                                                                              \
			}                                                                                              \
			if (logs)                                                                                      \
				for (size_t k = 0; k < v.n; k++)                                                       \
					to[k * v.inner] -= logarithm(sum);                                             \
			else                                                                                           \
				for (size_t k = 0; k < v.n; k++)                                                       \
					to[k * v.inner] /= sum;                                                        \
		}

static bool softmax_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct along *s = step->state;
	bool logs = step->op->more != NULL;
	struct view v;
	int axis;

	if (x->dtype != DTYPE_FP32 && x->dtype != DTYPE_FP64)
		return onnx_type_refused(x, err);
	if (!onnx_axis(s->axis, x->rank, &axis, err) || !onnx_new(r, out, x->dtype, x->rank, x->shape, err))
		return false;
	v = view_of(x, axis, s->flattens ? x->rank : axis + 1);
	if (x->dtype == DTYPE_FP32 && v.inner == 1 && !logs) {
		memcpy(out->data, x->data, x->count * sizeof(float));
		onnx_softmax_rows(out->data, v.outer, v.n);
	} else if (x->dtype == DTYPE_FP32) {
		SOFTMAX_LOOP(float, onnx_exp, logf)
	} else {
		SOFTMAX_LOOP(double, exp, log)
	}
	return true;
}

/* ---- LpNormalization: divided by the norm along an axis; nothing where that is 0 ---- */

static bool lp_prepare(struct onnx_prepare *p, struct error *err)
{
	struct along *s = ARENA_NEW(p->arena, struct along, err);

	if (!s || !onnx_int(p, "axis", -1, &s->axis, err) || !onnx_int(p, "p", 2, &s->keep, err))
		return false;
	if (s->keep != 1 && s->keep != 2)
		return error_set(err, ERROR_INVALID, "attribute 'p' is %lld, neither 1 nor 2", (long long)s->keep);
	p->step->state = s;
	return true;
}

#define LP_LOOP(type)                                                                                                  \
	for (size_t o = 0; o < v.outer; o++)                                                                           \
		for (size_t i = 0; i < v.inner; i++) {                                                                 \
			const type *from = (const type *)x->data + o * v.n * v.inner + i;                              \
			type *to = (type *)out->data + o * v.n * v.inner + i;                                          \
			double norm = 0;                                                                               \
                                                                                                                       \
			for (size_t k = 0; k < v.n; k++) {                                                             \
				double e = fabs((double)from[k * v.inner]);                                            \
				norm += s->keep == 1 ? e : e * e;                                                      \
			}                                                                                              \
			norm = s->keep == 1 ? norm : sqrt(norm);                                                       \
			for (size_t k = 0; k < v.n; k++)                                                               \
				to[k * v.inner] = norm != 0 ? (type)((double)from[k * v.inner] / norm) : 0;            \
		}

static bool lp_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct along *s = step->state;
	struct view v;
	int axis;

	if (x->dtype != DTYPE_FP32 && x->dtype != DTYPE_FP64)
		return onnx_type_refused(x, err);
	if (!onnx_axis(s->axis, x->rank, &axis, err) || !onnx_new(r, out, x->dtype, x->rank, x->shape, err))
		return false;
	v = view_of(x, axis, axis + 1);
	if (x->dtype == DTYPE_FP32) {
		LP_LOOP(float)
	} else {
		LP_LOOP(double)
	}
	return true;
}

/* ---- CumSum ---- */

struct running {
	int64_t exclusive, reverse;
};

static bool cumsum_prepare(struct onnx_prepare *p, struct error *err)
{
	struct running *s = ARENA_NEW(p->arena, struct running, err);

	if (!s || !onnx_int(p, "exclusive", 0, &s->exclusive, err) || !onnx_int(p, "reverse", 0, &s->reverse, err))
		return false;
	p->step->state = s;
	return true;
}

#define CUMSUM_LOOP(type, sum_type)                                                                                    \
	for (size_t o = 0; o < v.outer; o++)                                                                           \
		for (size_t i = 0; i < v.inner; i++) {                                                                 \
			sum_type sum = 0;                                                                              \
                                                                                                                       \
			for (size_t k = 0; k < v.n; k++) {                                                             \
				size_t at = (o * v.n + (s->reverse ? v.n - 1 - k : k)) * v.inner + i;                  \
				sum_type before = sum;                                                                 \
                                                                                                                       \
				sum += (sum_type)((const type *)x->data)[at];                                          \
				((type *)out->data)[at] = (type)(s->exclusive ? before : sum);                         \
			}                                                                                              \
		}

static bool cumsum_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct running *s = step->state;
	struct view v;
	int64_t given;
	size_t count;
	int axis;

	if (!onnx_small_ints(onnx_in(r, step, 1), 1, &given, &count, err))
		return false;
	if (count != 1)
		return error_set(err, ERROR_INVALID, "the axis is missing");
	if (!onnx_axis(given, x->rank, &axis, err) || !onnx_new(r, out, x->dtype, x->rank, x->shape, err))
		return false;
	v = view_of(x, axis, axis + 1);
	switch (x->dtype) {
	case DTYPE_FP32:
		CUMSUM_LOOP(float, float)
		return true;
	case DTYPE_FP64:
		CUMSUM_LOOP(double, double)
		return true;
	case DTYPE_INT64:
		CUMSUM_LOOP(int64_t, uint64_t)
		return true;
	case DTYPE_INT32:
		CUMSUM_LOOP(int32_t, uint64_t)
		return true;
	default:
		return onnx_type_refused(x, err);
	}
}

/* ---- TopK ---- */

struct top {
	int64_t axis, largest, k; /* k < 0: the second input says */
};

static bool topk_prepare(struct onnx_prepare *p, struct error *err)
{
	struct top *s = ARENA_NEW(p->arena, struct top, err);

	onnx_ignore(p, "sorted"); /* always are */
	if (!s || !onnx_int(p, "axis", -1, &s->axis, err) || !onnx_int(p, "largest", 1, &s->largest, err) ||
	    !onnx_int(p, "k", -1, &s->k, err))
		return false;
	p->step->state = s;
	return true;
}

struct ranked {
	double key; /* the smaller the better */
	int64_t index;
	size_t at;
};

static int ranked_compare(const void *pa, const void *pb)
{
	const struct ranked *a = pa, *b = pb;

	if (a->key < b->key || a->key > b->key)
		return a->key < b->key ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static double ranked_key(const struct tensor *x, size_t at, bool largest)
{
	double v = x->dtype == DTYPE_FP32    ? (double)((const float *)x->data)[at]
		   : x->dtype == DTYPE_FP64  ? ((const double *)x->data)[at]
		   : x->dtype == DTYPE_INT64 ? (double)((const int64_t *)x->data)[at]
					     : ((const int32_t *)x->data)[at];

	/* NaN counts as the largest number there is; its place among infinities does not matter. */
	v = isnan(v) ? INFINITY : v;
	return largest ? -v : v;
}

/* The k best of the row in front, sorted: by insertion while k is small, else by sorting all. */
static void rank_row(struct ranked *row, size_t n, size_t k)
{
	size_t filled = 0;

	if (k > 32) {
		qsort(row, n, sizeof(*row), ranked_compare);
		return;
	}
	for (size_t i = 0; i < n && k > 0; i++) {
		struct ranked e = row[i];
		size_t at = k - 1;

		if (filled < k)
			at = filled++;
		else if (ranked_compare(&e, &row[at]) >= 0)
			continue;
		for (; at > 0 && ranked_compare(&e, &row[at - 1]) < 0; at--)
			row[at] = row[at - 1];
		row[at] = e;
	}
}

static bool topk_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *given = onnx_in(r, step, 1);
	const struct top *s = step->state;
	int64_t k = s->k, shape[TENSOR_RANK_MAX];
	struct tensor spare;
	struct tensor *indices = step->out_count > 1 ? &out[1] : &spare;
	struct ranked *row;
	size_t count, size = dtype_size(x->dtype);
	struct view v;
	int axis;

	if (x->dtype != DTYPE_FP32 && x->dtype != DTYPE_FP64 && x->dtype != DTYPE_INT64 && x->dtype != DTYPE_INT32)
		return onnx_type_refused(x, err);
	if (given && (!onnx_small_ints(given, 1, &k, &count, err) || count != 1))
		return error_set(err, ERROR_INVALID, "k must be one integer");
	if (!onnx_axis(s->axis, x->rank, &axis, err))
		return false;
	if (k < 0 || k > x->shape[axis])
		return error_set(err, ERROR_INVALID, "the %lld best of %lld were asked for", (long long)k,
				 (long long)x->shape[axis]);
	memcpy(shape, x->shape, sizeof(shape));
	shape[axis] = k;
	v = view_of(x, axis, axis + 1);
	row = ARENA_ARRAY(r->arena, struct ranked, v.n, err);
	if (!row || !onnx_new(r, out, x->dtype, x->rank, shape, err) ||
	    !onnx_new(r, indices, DTYPE_INT64, x->rank, shape, err))
		return false;
	for (size_t o = 0; o < v.outer; o++)
		for (size_t i = 0; i < v.inner; i++) {
			for (size_t e = 0; e < v.n; e++) {
				size_t at = (o * v.n + e) * v.inner + i;

				row[e] = (struct ranked){ ranked_key(x, at, s->largest != 0), (int64_t)e, at };
			}
			rank_row(row, v.n, (size_t)k);
			for (size_t e = 0; e < (size_t)k; e++) {
				size_t to = (o * (size_t)k + e) * v.inner + i;

				memcpy((char *)out->data + to * size, (const char *)x->data + row[e].at * size, size);
				((int64_t *)indices->data)[to] = row[e].index;
			}
		}
	return true;
}

#define REDUCE_ROW(name, loops)                                                                                        \
	{                                                                                                              \
		name, "", 1, 2, 1, 1, 0, reduce_prepare, reduce_run, &loops                                            \
	}

const struct onnx_operator onnx_ops_reduce[] = {
	REDUCE_ROW("ReduceSum", reduce_sum),
	REDUCE_ROW("ReduceMean", reduce_mean),
	REDUCE_ROW("ReduceProd", reduce_product),
	REDUCE_ROW("ReduceSumSquare", reduce_square),
	REDUCE_ROW("ReduceL1", reduce_l1),
	REDUCE_ROW("ReduceL2", reduce_l2),
	REDUCE_ROW("ReduceLogSum", reduce_log_sum),
	REDUCE_ROW("ReduceLogSumExp", reduce_log_sum_exp),
	REDUCE_ROW("ReduceMax", reduce_max),
	REDUCE_ROW("ReduceMin", reduce_min),
	{ "ArgMax", "", 1, 1, 1, 1, 0, arg_prepare, arg_run, "most" },
	{ "ArgMin", "", 1, 1, 1, 1, 0, arg_prepare, arg_run, NULL },
	{ "Softmax", "", 1, 1, 1, 1, 0, softmax_prepare, softmax_run, NULL },
	{ "LogSoftmax", "", 1, 1, 1, 1, 0, softmax_prepare, softmax_run, "logs" },
	{ "LpNormalization", "", 1, 1, 1, 1, 0, lp_prepare, lp_run, NULL },
	{ "CumSum", "", 2, 2, 1, 1, 0, cumsum_prepare, cumsum_run, NULL },
	{ "TopK", "", 1, 2, 1, 2, 0, topk_prepare, topk_run, NULL },
	{ 0 },
};
