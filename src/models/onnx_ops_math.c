/* SPDX-License-Identifier: Apache-2.0 */
/* Element by element: one input, two inputs broadcast against each other, comparisons, choices. */
#include "models/onnx.h"

#include <math.h>

/* ---- one input ---- */

typedef void unary_loop(size_t n, const void *x, void *y);

struct unary {
	unary_loop *f32, *f64, *i64, *i32;
};

#define UNARY(name, type, expr)                                                                                        \
	ONNX_CLONES static void name(size_t n, const void *px, void *py)                                               \
	{                                                                                                              \
		const type *restrict x = px;                                                                           \
		type *restrict y = py;                                                                                 \
                                                                                                                       \
		for (size_t i = 0; i < n; i++) {                                                                       \
			type v = x[i];                                                                                 \
                                                                                                                       \
			y[i] = (expr);                                                                                 \
		}                                                                                                      \
	}

UNARY(neg_f32, float, -v)
UNARY(neg_f64, double, -v)
UNARY(neg_i64, int64_t, (int64_t)(0 - (uint64_t)v))
UNARY(neg_i32, int32_t, (int32_t)(0 - (uint32_t)v))
UNARY(abs_f32, float, fabsf(v))
UNARY(abs_f64, double, fabs(v))
UNARY(abs_i64, int64_t, v < 0 ? (int64_t)(0 - (uint64_t)v) : v)
UNARY(abs_i32, int32_t, v < 0 ? (int32_t)(0 - (uint32_t)v) : v)
UNARY(sign_f32, float, v > 0 ? 1.0f : v < 0 ? -1.0f : v == v ? 0.0f : v)
UNARY(sign_f64, double, v > 0 ? 1.0 : v < 0 ? -1.0 : v == v ? 0.0 : v)
UNARY(sign_i64, int64_t, (v > 0) - (v < 0))
UNARY(sign_i32, int32_t, (v > 0) - (v < 0))
UNARY(sqrt_f32, float, sqrtf(v))
UNARY(sqrt_f64, double, sqrt(v))
UNARY(exp_f32, float, onnx_exp(v))
UNARY(exp_f64, double, exp(v))
UNARY(log_f32, float, logf(v))
UNARY(log_f64, double, log(v))
UNARY(sigmoid_f32, float, onnx_sigmoid(v))
UNARY(sigmoid_f64, double, v < 0 ? exp(v) / (1 + exp(v)) : 1 / (1 + exp(-v)))
UNARY(tanh_f32, float, tanhf(v))
UNARY(tanh_f64, double, tanh(v))
UNARY(relu_f32, float, v > 0 ? v : v == v ? 0.0f : v)
UNARY(relu_f64, double, v > 0 ? v : v == v ? 0.0 : v)
UNARY(relu_i64, int64_t, v > 0 ? v : 0)
UNARY(relu_i32, int32_t, v > 0 ? v : 0)
UNARY(floor_f32, float, floorf(v))
UNARY(floor_f64, double, floor(v))
UNARY(ceil_f32, float, ceilf(v))
UNARY(ceil_f64, double, ceil(v))
UNARY(round_f32, float, rintf(v)) /* halves to even */
UNARY(round_f64, double, rint(v))
UNARY(erf_f32, float, erff(v))
UNARY(erf_f64, double, erf(v))
UNARY(reciprocal_f32, float, 1 / v)
UNARY(reciprocal_f64, double, 1 / v)
UNARY(sin_f32, float, sinf(v))
UNARY(sin_f64, double, sin(v))
UNARY(cos_f32, float, cosf(v))
UNARY(cos_f64, double, cos(v))
UNARY(softplus_f32, float, v > 0 ? v + log1pf(expf(-v)) : log1pf(expf(v)))
UNARY(softplus_f64, double, v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)))

static const struct unary neg = { neg_f32, neg_f64, neg_i64, neg_i32 };
static const struct unary absolute = { abs_f32, abs_f64, abs_i64, abs_i32 };
static const struct unary sign = { sign_f32, sign_f64, sign_i64, sign_i32 };
static const struct unary square_root = { sqrt_f32, sqrt_f64, NULL, NULL };
static const struct unary exponential = { exp_f32, exp_f64, NULL, NULL };
static const struct unary logarithm = { log_f32, log_f64, NULL, NULL };
static const struct unary sigmoid = { sigmoid_f32, sigmoid_f64, NULL, NULL };
static const struct unary hyperbolic_tangent = { tanh_f32, tanh_f64, NULL, NULL };
static const struct unary relu = { relu_f32, relu_f64, relu_i64, relu_i32 };
static const struct unary floor_down = { floor_f32, floor_f64, NULL, NULL };
static const struct unary ceil_up = { ceil_f32, ceil_f64, NULL, NULL };
static const struct unary round_even = { round_f32, round_f64, NULL, NULL };
static const struct unary error_function = { erf_f32, erf_f64, NULL, NULL };
static const struct unary reciprocal = { reciprocal_f32, reciprocal_f64, NULL, NULL };
static const struct unary sine = { sin_f32, sin_f64, NULL, NULL };
static const struct unary cosine = { cos_f32, cos_f64, NULL, NULL };
static const struct unary softplus = { softplus_f32, softplus_f64, NULL, NULL };

static bool unary_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct unary *u = step->op->more;
	unary_loop *loop = x->dtype == DTYPE_FP32    ? u->f32
			   : x->dtype == DTYPE_FP64  ? u->f64
			   : x->dtype == DTYPE_INT64 ? u->i64
			   : x->dtype == DTYPE_INT32 ? u->i32
						     : NULL;

	if (!loop)
		return onnx_type_refused(x, err);
	if (!onnx_new(r, out, x->dtype, x->rank, x->shape, err))
		return false;
	loop(x->count, x->data, out->data);
	return true;
}

static bool not_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const uint8_t *from = x->data;
	uint8_t *to;

	if (x->dtype != DTYPE_BOOL)
		return onnx_type_refused(x, err);
	if (!onnx_new(r, out, DTYPE_BOOL, x->rank, x->shape, err))
		return false;
	to = out->data;
	for (size_t i = 0; i < x->count; i++)
		to[i] = !from[i];
	return true;
}

static bool nan_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	uint8_t *to;

	if (x->dtype != DTYPE_FP32 && x->dtype != DTYPE_FP64)
		return onnx_type_refused(x, err);
	if (!onnx_new(r, out, DTYPE_BOOL, x->rank, x->shape, err))
		return false;
	to = out->data;
	for (size_t i = 0; i < x->count; i++) {
		double v = x->dtype == DTYPE_FP32 ? (double)((const float *)x->data)[i] : ((const double *)x->data)[i];

		to[i] = v != v;
	}
	return true;
}

/* ---- two inputs ---- */

/* `sx` and `sy` are 1, or 0 for the same element again and again. */
typedef void binary_loop(size_t n, const void *x, size_t sx, const void *y, size_t sy, void *z);

#define BINARY(name, type, result, expr)                                                                               \
	ONNX_CLONES static void name(size_t n, const void *px, size_t sx, const void *py, size_t sy, void *pz)         \
	{                                                                                                              \
		const type *restrict x = px, *restrict y = py;                                                         \
		result *restrict z = pz;                                                                               \
                                                                                                                       \
		if (sx && sy) {                                                                                        \
			for (size_t i = 0; i < n; i++) {                                                               \
				type a = x[i], b = y[i];                                                               \
				z[i] = (result)(expr);                                                                 \
			}                                                                                              \
		} else if (sx) {                                                                                       \
			type b = y[0];                                                                                 \
			for (size_t i = 0; i < n; i++) {                                                               \
				type a = x[i];                                                                         \
				z[i] = (result)(expr);                                                                 \
			}                                                                                              \
		} else {                                                                                               \
			type a = x[0];                                                                                 \
			for (size_t i = 0; i < n; i++) {                                                               \
				type b = y[i * sy];                                                                    \
				z[i] = (result)(expr);                                                                 \
			}                                                                                              \
		}                                                                                                      \
	}

/* Integers wrap around; division by zero gives 0, where other engines give whatever the machine does. */
#define BINARY_NUMBERS(name, float_expr, u_expr)                                                                       \
	BINARY(name##_f32, float, float, float_expr)                                                                   \
	BINARY(name##_f64, double, double, float_expr)                                                                 \
	BINARY(name##_i64, int64_t, int64_t, u_expr)                                                                   \
	BINARY(name##_i32, int32_t, int32_t, u_expr)

static inline int64_t int_divide(int64_t a, int64_t b)
{
	return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static inline int64_t int_mod(int64_t a, int64_t b) /* the sign of the divisor, as Python's % */
{
	int64_t m = b == 0 || b == -1 ? 0 : a % b;

	return m && (m < 0) != (b < 0) ? m + b : m;
}

static inline int64_t int_fmod(int64_t a, int64_t b) /* the sign of the dividend, as C's % */
{
	return b == 0 || b == -1 ? 0 : a % b;
}

static inline double larger(double a, double b) /* NaN wins, as in numpy.maximum */
{
	return a > b || a != a ? a : b;
}

static inline double smaller(double a, double b)
{
	return a < b || a != a ? a : b;
}

BINARY_NUMBERS(add, a + b, (uint64_t)a + (uint64_t)b)
BINARY_NUMBERS(sub, a - b, (uint64_t)a - (uint64_t)b)
BINARY_NUMBERS(mul, a *b, (uint64_t)a *(uint64_t)b)
BINARY_NUMBERS(divide, a / b, int_divide(a, b))
BINARY(max_f32, float, float, a > b || a != a ? a : b)
BINARY(max_f64, double, double, larger(a, b))
BINARY(max_i64, int64_t, int64_t, a > b ? a : b)
BINARY(max_i32, int32_t, int32_t, a > b ? a : b)
BINARY(min_f32, float, float, a < b || a != a ? a : b)
BINARY(min_f64, double, double, smaller(a, b))
BINARY(min_i64, int64_t, int64_t, a < b ? a : b)
BINARY(min_i32, int32_t, int32_t, a < b ? a : b)
BINARY(pow_f32, float, float, b == 2 ? a * a : powf(a, b))
BINARY(pow_f64, double, double, b == 2 ? a * a : pow(a, b))
BINARY(mod_i64, int64_t, int64_t, int_mod(a, b))
BINARY(mod_i32, int32_t, int32_t, int_mod(a, b))
BINARY(fmod_f32, float, float, fmodf(a, b))
BINARY(fmod_f64, double, double, fmod(a, b))
BINARY(fmod_i64, int64_t, int64_t, int_fmod(a, b))
BINARY(fmod_i32, int32_t, int32_t, int_fmod(a, b))

#define COMPARE(name, expr)                                                                                            \
	BINARY(name##_f32, float, uint8_t, expr)                                                                       \
	BINARY(name##_f64, double, uint8_t, expr)                                                                      \
	BINARY(name##_i64, int64_t, uint8_t, expr)                                                                     \
	BINARY(name##_i32, int32_t, uint8_t, expr)

COMPARE(equal, a == b)
COMPARE(less, a < b)
COMPARE(less_equal, a <= b)
COMPARE(greater, a > b)
COMPARE(greater_equal, a >= b)
BINARY(equal_u8, uint8_t, uint8_t, a == b)
BINARY(equal_text, struct span, uint8_t, span_equal(a, b))
BINARY(and_u8, uint8_t, uint8_t, a &b)
BINARY(or_u8, uint8_t, uint8_t, a | b)
BINARY(xor_u8, uint8_t, uint8_t, a ^ b)

struct binary {
	binary_loop *f32, *f64, *i64, *i32, *u8, *text;
	bool compares; /* gives BOOL */
};

static const struct binary add = { add_f32, add_f64, add_i64, add_i32, NULL, NULL, false };
static const struct binary subtract = { sub_f32, sub_f64, sub_i64, sub_i32, NULL, NULL, false };
static const struct binary multiply = { mul_f32, mul_f64, mul_i64, mul_i32, NULL, NULL, false };
static const struct binary divides = { divide_f32, divide_f64, divide_i64, divide_i32, NULL, NULL, false };
static const struct binary power = { pow_f32, pow_f64, NULL, NULL, NULL, NULL, false };
static const struct binary modulo = { NULL, NULL, mod_i64, mod_i32, NULL, NULL, false };
static const struct binary fmodulo = { fmod_f32, fmod_f64, fmod_i64, fmod_i32, NULL, NULL, false };
static const struct binary most = { max_f32, max_f64, max_i64, max_i32, NULL, NULL, false };
static const struct binary least = { min_f32, min_f64, min_i64, min_i32, NULL, NULL, false };
static const struct binary equal = { equal_f32, equal_f64, equal_i64, equal_i32, equal_u8, equal_text, true };
static const struct binary less = { less_f32, less_f64, less_i64, less_i32, NULL, NULL, true };
static const struct binary less_equal = {
	less_equal_f32, less_equal_f64, less_equal_i64, less_equal_i32, NULL, NULL, true
};
static const struct binary greater = { greater_f32, greater_f64, greater_i64, greater_i32, NULL, NULL, true };
static const struct binary greater_equal = {
	greater_equal_f32, greater_equal_f64, greater_equal_i64, greater_equal_i32, NULL, NULL, true
};
static const struct binary and_both = { NULL, NULL, NULL, NULL, and_u8, NULL, true };
static const struct binary or_both = { NULL, NULL, NULL, NULL, or_u8, NULL, true };
static const struct binary xor_both = { NULL, NULL, NULL, NULL, xor_u8, NULL, true };

static binary_loop *loop_for(const struct binary *b, enum dtype type)
{
	switch (type) {
	case DTYPE_FP32:
		return b->f32;
	case DTYPE_FP64:
		return b->f64;
	case DTYPE_INT64:
		return b->i64;
	case DTYPE_INT32:
		return b->i32;
	case DTYPE_BOOL:
	case DTYPE_UINT8:
		return b->u8;
	case DTYPE_BYTES:
		return b->text;
	default:
		return NULL;
	}
}

static bool binary_pair(struct onnx_run *r, const struct binary *b, const struct tensor *x, const struct tensor *y,
			struct tensor *out, struct error *err)
{
	const struct tensor *in[2] = { x, y };
	binary_loop *loop = loop_for(b, x->dtype);
	size_t size = dtype_size(x->dtype), outer, inner, at[TENSOR_RANK_MAX] = { 0 };
	enum dtype type = b->compares ? DTYPE_BOOL : x->dtype;
	const char *px = x->data, *py = y->data;
	struct onnx_broadcast bc;
	char *to;

	if (x->dtype != y->dtype)
		return error_set(err, ERROR_INVALID, "%s against %s", dtype_name(x->dtype), dtype_name(y->dtype));
	if (!loop)
		return onnx_type_refused(x, err);
	if (x->rank == y->rank && memcmp(x->shape, y->shape, (size_t)x->rank * sizeof(x->shape[0])) == 0) {
		if (!onnx_new(r, out, type, x->rank, x->shape, err))
			return false;
		loop(x->count, x->data, 1, y->data, 1, out->data);
		return true;
	}
	if (!onnx_broadcast(in, 2, &bc, err) || !onnx_new(r, out, type, bc.full_rank, bc.full, err))
		return false;
	if (bc.count == 0)
		return true;
	inner = bc.shape[bc.rank - 1];
	outer = bc.count / inner;
	to = out->data;
	for (size_t i = 0; i < outer; i++) {
		loop(inner, px, bc.stride[0][bc.rank - 1], py, bc.stride[1][bc.rank - 1], to);
		to += inner * dtype_size(type);
		for (int d = bc.rank - 2; d >= 0; d--) { /* the next outer index, as an odometer */
			px += bc.stride[0][d] * size;
			py += bc.stride[1][d] * size;
			if (++at[d] < bc.shape[d])
				break;
			px -= bc.stride[0][d] * size * at[d];
			py -= bc.stride[1][d] * size * at[d];
			at[d] = 0;
		}
	}
	return true;
}

static bool binary_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	return binary_pair(r, step->op->more, onnx_in(r, step, 0), onnx_in(r, step, 1), out, err);
}

/* Before opset 7, broadcasting was one-way and asked for by attributes that few files have. */
static bool binary_prepare(struct onnx_prepare *p, struct error *err)
{
	if (p->opset && p->opset < 7 && p->node->attribute_count)
		return error_set(err, ERROR_UNIMPLEMENTED, "broadcasting of opset %lld is not supported",
				 (long long)p->opset);
	return true;
}

static bool mod_prepare(struct onnx_prepare *p, struct error *err)
{
	int64_t truncates;

	if (!onnx_int(p, "fmod", 0, &truncates, err))
		return false;
	p->step->state = truncates ? &fmodulo : &modulo;
	return true;
}

static bool mod_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	return binary_pair(r, step->state, onnx_in(r, step, 0), onnx_in(r, step, 1), out, err);
}

/* The exponent may have another type than the base, which decides. */
static bool pow_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *y = onnx_in(r, step, 1);
	struct tensor same;

	if (y->dtype != x->dtype) {
		if (!tensor_convert(y, x->dtype, r->arena, &same, err))
			return false;
		y = &same;
	}
	return binary_pair(r, &power, x, y, out, err);
}

/* Sum, Mean, Max, Min of any number of inputs. */
static bool variadic_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	struct tensor so_far = *x;

	if (step->in_count == 1) {
		onnx_alias(out, x, x->rank, x->shape);
		return true;
	}
	for (uint32_t i = 1; i < step->in_count; i++) {
		const struct tensor *y = onnx_in(r, step, i);

		if (!y)
			return error_set(err, ERROR_INVALID, "input %u is left out", i);
		if (!binary_pair(r, step->op->more, &so_far, y, out, err))
			return false;
		so_far = *out;
	}
	return true;
}

static bool mean_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	struct tensor sum, count = { .dtype = DTYPE_FP32, .count = 1 };
	float count_f32 = (float)step->in_count;
	double count_f64 = step->in_count;

	if (!variadic_run(r, step, &sum, err))
		return false;
	if (sum.dtype != DTYPE_FP32 && sum.dtype != DTYPE_FP64)
		return onnx_type_refused(&sum, err);
	count.dtype = sum.dtype;
	count.data = sum.dtype == DTYPE_FP32 ? (void *)&count_f32 : &count_f64;
	return binary_pair(r, &divides, &sum, &count, out, err);
}

/* ---- choices ---- */

struct clip {
	bool from_attributes;
	struct tensor low, high;
	float values[2];
};

static bool clip_prepare(struct onnx_prepare *p, struct error *err)
{
	struct clip *c = ARENA_NEW(p->arena, struct clip, err);

	if (!c || !onnx_float(p, "min", -INFINITY, &c->values[0], err) ||
	    !onnx_float(p, "max", INFINITY, &c->values[1], err))
		return false;
	c->from_attributes = p->opset && p->opset < 11;
	c->low = (struct tensor){ .dtype = DTYPE_FP32, .count = 1, .data = &c->values[0] };
	c->high = (struct tensor){ .dtype = DTYPE_FP32, .count = 1, .data = &c->values[1] };
	p->step->state = c;
	return true;
}

static bool clip_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0), *low = onnx_in(r, step, 1), *high = onnx_in(r, step, 2);
	const struct clip *c = step->state;
	struct tensor raised;

	if (c->from_attributes) {
		low = &c->low;
		high = &c->high;
	}
	if ((low && low->count != 1) || (high && high->count != 1))
		return error_set(err, ERROR_INVALID, "min and max must be single numbers");
	raised = *x;
	if (low && !binary_pair(r, &most, x, &(struct tensor){ .dtype = low->dtype, .count = 1, .data = low->data },
				&raised, err))
		return false;
	if (high)
		return binary_pair(r, &least, &raised,
				   &(struct tensor){ .dtype = high->dtype, .count = 1, .data = high->data }, out, err);
	onnx_alias(out, &raised, raised.rank, raised.shape);
	return true;
}

#define WHERE_LOOP(type)                                                                                               \
	for (size_t i = 0; i < inner; i++)                                                                             \
	((type *)to)[i] = cond[i * bc.stride[0][last]] ? ((const type *)px)[i * bc.stride[1][last]]                    \
						       : ((const type *)py)[i * bc.stride[2][last]]

static bool where_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *in[3] = { onnx_in(r, step, 0), onnx_in(r, step, 1), onnx_in(r, step, 2) };
	size_t size, inner, outer, at[TENSOR_RANK_MAX] = { 0 };
	const uint8_t *cond;
	const char *px, *py;
	struct onnx_broadcast bc;
	char *to;
	int last;

	ASSERT(in[0] && in[1] && in[2]); /* the table of operators says so */
	size = dtype_size(in[1]->dtype);
	cond = in[0]->data;
	px = in[1]->data;
	py = in[2]->data;
	if (in[0]->dtype != DTYPE_BOOL || in[1]->dtype != in[2]->dtype)
		return error_set(err, ERROR_INVALID, "types are %s, %s, %s", dtype_name(in[0]->dtype),
				 dtype_name(in[1]->dtype), dtype_name(in[2]->dtype));
	if (!onnx_broadcast(in, 3, &bc, err) || !onnx_new(r, out, in[1]->dtype, bc.full_rank, bc.full, err))
		return false;
	if (bc.count == 0)
		return true;
	last = bc.rank - 1;
	inner = bc.shape[last];
	outer = bc.count / inner;
	to = out->data;
	for (size_t k = 0; k < outer; k++) {
		switch (size) {
		case 1:
			WHERE_LOOP(uint8_t);
			break;
		case 2:
			WHERE_LOOP(uint16_t);
			break;
		case 4:
			WHERE_LOOP(uint32_t);
			break;
		case 8:
			WHERE_LOOP(uint64_t);
			break;
		default:
			WHERE_LOOP(struct span);
			break;
		}
		to += inner * size;
		for (int d = last - 1; d >= 0; d--) {
			cond += bc.stride[0][d];
			px += bc.stride[1][d] * size;
			py += bc.stride[2][d] * size;
			if (++at[d] < bc.shape[d])
				break;
			cond -= bc.stride[0][d] * at[d];
			px -= bc.stride[1][d] * size * at[d];
			py -= bc.stride[2][d] * size * at[d];
			at[d] = 0;
		}
	}
	return true;
}

#define UNARY_ROW(name, loops)                                                                                         \
	{                                                                                                              \
		name, "", 1, 1, 1, 1, 0, NULL, unary_run, &loops                                                       \
	}
#define BINARY_ROW(name, loops)                                                                                        \
	{                                                                                                              \
		name, "", 2, 2, 1, 1, 0, binary_prepare, binary_run, &loops                                            \
	}

const struct onnx_operator onnx_ops_math[] = {
	UNARY_ROW("Neg", neg),
	UNARY_ROW("Abs", absolute),
	UNARY_ROW("Sign", sign),
	UNARY_ROW("Sqrt", square_root),
	UNARY_ROW("Exp", exponential),
	UNARY_ROW("Log", logarithm),
	UNARY_ROW("Sigmoid", sigmoid),
	UNARY_ROW("Tanh", hyperbolic_tangent),
	UNARY_ROW("Relu", relu),
	UNARY_ROW("Floor", floor_down),
	UNARY_ROW("Ceil", ceil_up),
	UNARY_ROW("Round", round_even),
	UNARY_ROW("Erf", error_function),
	UNARY_ROW("Reciprocal", reciprocal),
	UNARY_ROW("Sin", sine),
	UNARY_ROW("Cos", cosine),
	UNARY_ROW("Softplus", softplus),
	{ "Not", "", 1, 1, 1, 1, 0, NULL, not_run, NULL },
	{ "IsNaN", "", 1, 1, 1, 1, 0, NULL, nan_run, NULL },
	BINARY_ROW("Add", add),
	BINARY_ROW("Sub", subtract),
	BINARY_ROW("Mul", multiply),
	BINARY_ROW("Div", divides),
	{ "Pow", "", 2, 2, 1, 1, 0, binary_prepare, pow_run, NULL },
	{ "Mod", "", 2, 2, 1, 1, 0, mod_prepare, mod_run, NULL },
	BINARY_ROW("Equal", equal),
	BINARY_ROW("Less", less),
	BINARY_ROW("LessOrEqual", less_equal),
	BINARY_ROW("Greater", greater),
	BINARY_ROW("GreaterOrEqual", greater_equal),
	BINARY_ROW("And", and_both),
	BINARY_ROW("Or", or_both),
	BINARY_ROW("Xor", xor_both),
	{ "Sum", "", 1, 255, 1, 1, ONNX_ALIAS, NULL, variadic_run, &add },
	{ "Mean", "", 1, 255, 1, 1, 0, NULL, mean_run, &add },
	{ "Max", "", 1, 255, 1, 1, ONNX_ALIAS, NULL, variadic_run, &most },
	{ "Min", "", 1, 255, 1, 1, ONNX_ALIAS, NULL, variadic_run, &least },
	{ "Clip", "", 1, 3, 1, 1, ONNX_ALIAS, clip_prepare, clip_run, NULL },
	{ "Where", "", 3, 3, 1, 1, 0, NULL, where_run, NULL },
	{ 0 },
};
