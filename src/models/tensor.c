/* SPDX-License-Identifier: Apache-2.0 */
/* tensor - shapes, data types and conversions between them. */
#include "models/tensor.h"

#include <math.h>

#include "base/number.h"

/* Elements are converted by way of one of three wide types, a stretch at a time. */
#define STRETCH 256

enum wide { WIDE_I64, WIDE_U64, WIDE_F64 };

struct dtype_row {
	const char *name;
	size_t size; /* in memory */
};

static const struct dtype_row dtypes[DTYPE_COUNT] = {
#define DTYPE_ROW(name, bytes, onnx, ctype) [DTYPE_##name] = { #name, sizeof(ctype) },
#include "models/dtypes.def"
#undef DTYPE_ROW
};

/* How each type is widened, and what integers it holds. */
static const struct {
	enum wide wide;
	bool is_float, is_integer;
	int64_t least;
	uint64_t most;
} traits[DTYPE_COUNT] = {
	[DTYPE_BOOL] = { WIDE_I64, false, false, 0, 1 },
	[DTYPE_UINT8] = { WIDE_I64, false, true, 0, UINT8_MAX },
	[DTYPE_UINT16] = { WIDE_I64, false, true, 0, UINT16_MAX },
	[DTYPE_UINT32] = { WIDE_I64, false, true, 0, UINT32_MAX },
	[DTYPE_UINT64] = { WIDE_U64, false, true, 0, UINT64_MAX },
	[DTYPE_INT8] = { WIDE_I64, false, true, INT8_MIN, INT8_MAX },
	[DTYPE_INT16] = { WIDE_I64, false, true, INT16_MIN, INT16_MAX },
	[DTYPE_INT32] = { WIDE_I64, false, true, INT32_MIN, INT32_MAX },
	[DTYPE_INT64] = { WIDE_I64, false, true, INT64_MIN, INT64_MAX },
	[DTYPE_FP16] = { WIDE_F64, true, false, 0, 0 },
	[DTYPE_BF16] = { WIDE_F64, true, false, 0, 0 },
	[DTYPE_FP32] = { WIDE_F64, true, false, 0, 0 },
	[DTYPE_FP64] = { WIDE_F64, true, false, 0, 0 },
	[DTYPE_BYTES] = { WIDE_F64, false, false, 0, 0 },
};

size_t dtype_size(enum dtype type)
{
	return dtypes[type].size;
}

const char *dtype_name(enum dtype type)
{
	return dtypes[type].name;
}

bool dtype_find(struct span name, enum dtype *ret)
{
	for (int i = 0; i < DTYPE_COUNT; i++) {
		if (span_equal(name, span_of(dtypes[i].name))) {
			*ret = (enum dtype)i;
			return true;
		}
	}
	return false;
}

bool dtype_from_onnx(uint64_t number, enum dtype *ret)
{
	switch (number) {
#define DTYPE_ROW(name, bytes, onnx, ctype)                                                                            \
	case onnx:                                                                                                     \
		*ret = DTYPE_##name;                                                                                   \
		return true;
#include "models/dtypes.def"
#undef DTYPE_ROW
	default:
		return false;
	}
}

bool dtype_is_integer(enum dtype type)
{
	return traits[type].is_integer;
}

bool dtype_is_float(enum dtype type)
{
	return traits[type].is_float;
}

bool tensor_count(int rank, const int64_t *shape, size_t *ret, struct error *err)
{
	char text[TENSOR_SHAPE_TEXT];
	size_t count = 1;
	bool has_zero = false;

	if (rank < 0 || rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "a tensor has %d dimensions; at most %d are allowed", rank,
				 TENSOR_RANK_MAX);
	for (int i = 0; i < rank; i++) {
		if (shape[i] < 0)
			return error_set(err, ERROR_INVALID, "shape %s has a negative dimension",
					 tensor_shape_text(rank, shape, text));
		has_zero |= shape[i] == 0;
	}
	for (int i = 0; i < rank && !has_zero; i++) {
		if (!checked_mul(count, (size_t)shape[i], &count) || count > SIZE_MAX / 16)
			return error_set(err, ERROR_TOO_LARGE, "shape %s holds too many elements",
					 tensor_shape_text(rank, shape, text));
	}
	*ret = has_zero ? 0 : count;
	return true;
}

bool tensor_new(struct tensor *ret, struct span name, enum dtype type, int rank, const int64_t *shape,
		struct arena *arena, struct error *err)
{
	size_t count;
	char *data;

	if (!tensor_count(rank, shape, &count, err))
		return false;
	data = arena_alloc(arena, count * dtypes[type].size + 48, err); /* blocks come aligned to 16 */
	if (!data)
		return false;
	*ret = (struct tensor){ .name = name, .dtype = type, .rank = rank, .count = count };
	for (int i = 0; i < rank; i++)
		ret->shape[i] = shape[i];
	ret->data = data + (-(uintptr_t)data & 63);
	return true;
}

/* ---- small floats ---- */

/* IEEE 754 with `exponent_bits` and `fraction_bits`, rounded once to nearest even from the bits of a double. */
static uint16_t small_float(double value, int exponent_bits, int fraction_bits)
{
	int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
	uint64_t bits, fraction, sign, kept, rest, half;
	int exponent, shift;

	memcpy(&bits, &value, sizeof(bits));
	sign = bits >> 63 << (exponent_bits + fraction_bits);
	exponent = (int)(bits >> 52 & 0x7ff);
	fraction = bits & (((uint64_t)1 << 52) - 1);
	if (exponent == 0x7ff) {
		uint64_t quiet = fraction ? (uint64_t)1 << (fraction_bits - 1) | fraction >> (52 - fraction_bits) : 0;

		return (uint16_t)(sign | (uint64_t)top << fraction_bits | quiet);
	}
	if (exponent == 0)
		return (uint16_t)sign; /* a double's subnormal is far below any of the small formats */
	exponent += bias - 1023;
	fraction |= (uint64_t)1 << 52;
	shift = 52 - fraction_bits;
	if (exponent <= 0) {
		shift += 1 - exponent;
		exponent = 0;
	}
	if (shift > 60)
		return (uint16_t)sign;
	kept = fraction >> shift;
	rest = fraction & (((uint64_t)1 << shift) - 1);
	half = (uint64_t)1 << (shift - 1);
	kept += rest > half || (rest == half && (kept & 1));
	/* The hidden bit adds one to the exponent; a carry out of the fraction does what it should. */
	kept += (uint64_t)(exponent > 0 ? exponent - 1 : 0) << fraction_bits;
	if (kept >> fraction_bits >= (uint64_t)top)
		kept = (uint64_t)top << fraction_bits;
	return (uint16_t)(sign | kept);
}

float float_from_half(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff, bits;
	float value;

	if (exponent == 0) {
		value = (float)fraction * 0x1p-24f;
		memcpy(&bits, &value, sizeof(bits));
		bits |= sign;
	} else if (exponent == 31) {
		bits = sign | 0x7f800000 | fraction << 13;
	} else {
		bits = sign | (exponent + 112) << 23 | fraction << 13;
	}
	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint16_t half_from_float(float value)
{
	return small_float((double)value, 5, 10);
}

float float_from_bfloat(uint16_t b)
{
	uint32_t bits = (uint32_t)b << 16;
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint16_t bfloat_from_float(float value)
{
	return small_float((double)value, 8, 7);
}

/* ---- conversion ---- */

union stretch {
	int64_t i[STRETCH];
	uint64_t u[STRETCH];
	double d[STRETCH];
};

/* memcpy: the data may stand at any address. */
#define WIDEN(ctype, member, expression)                                                                               \
	for (size_t k = 0; k < n; k++) {                                                                               \
		ctype v;                                                                                               \
		memcpy(&v, (const char *)data + k * sizeof(v), sizeof(v));                                             \
		to->member[k] = (expression);                                                                          \
	}                                                                                                              \
	break

static void widen(enum dtype type, const void *data, size_t n, union stretch *to)
{
	switch (type) {
	case DTYPE_BOOL:
		WIDEN(uint8_t, i, v != 0);
	case DTYPE_UINT8:
		WIDEN(uint8_t, i, v);
	case DTYPE_UINT16:
		WIDEN(uint16_t, i, v);
	case DTYPE_UINT32:
		WIDEN(uint32_t, i, v);
	case DTYPE_UINT64:
		WIDEN(uint64_t, u, v);
	case DTYPE_INT8:
		WIDEN(int8_t, i, v);
	case DTYPE_INT16:
		WIDEN(int16_t, i, v);
	case DTYPE_INT32:
		WIDEN(int32_t, i, v);
	case DTYPE_INT64:
		WIDEN(int64_t, i, v);
	case DTYPE_FP16:
		WIDEN(uint16_t, d, (double)float_from_half(v));
	case DTYPE_BF16:
		WIDEN(uint16_t, d, (double)float_from_bfloat(v));
	case DTYPE_FP32:
		WIDEN(float, d, (double)v);
	case DTYPE_FP64:
		WIDEN(double, d, v);
	case DTYPE_BYTES:
	case DTYPE_COUNT:
		memset(to, 0, sizeof(*to));
		break;
	}
}

#define NARROW(ctype, expression)                                                                                      \
	for (size_t k = 0; k < n; k++)                                                                                 \
		((ctype *)data)[k] = (ctype)(expression);                                                              \
	break

/* Values are known to fit. */
static void narrow_integers(enum dtype type, const int64_t *from, size_t n, void *data)
{
	switch (type) {
	case DTYPE_BOOL:
	case DTYPE_UINT8:
	case DTYPE_INT8:
		NARROW(uint8_t, from[k]);
	case DTYPE_UINT16:
	case DTYPE_INT16:
		NARROW(uint16_t, from[k]);
	case DTYPE_UINT32:
	case DTYPE_INT32:
		NARROW(uint32_t, from[k]);
	case DTYPE_UINT64:
	case DTYPE_INT64:
		NARROW(uint64_t, from[k]);
	default:
		break;
	}
}

/*
 * A double near an integer that rounds to a small float as the integer itself would: the eleven bits that might not fit
 * are folded into one that says whether any was set (round to odd).
 */
static double sticky_u64(uint64_t u)
{
	return u >> 53 ? (double)(u >> 11 | ((u & 0x7ff) != 0)) * 2048 : (double)u;
}

static double sticky_i64(int64_t i)
{
	return i < 0 ? -sticky_u64(-(uint64_t)i) : sticky_u64((uint64_t)i);
}

/* An integer to a float rounds once, so it must not pass through a rounded double. */
#define NARROW_INTEGERS_TO_FLOATS(suffix, member)                                                                      \
	static void narrow_##suffix(enum dtype type, const union stretch *from, size_t n, void *data)                  \
	{                                                                                                              \
		switch (type) {                                                                                        \
		case DTYPE_FP64:                                                                                       \
			NARROW(double, from->member[k]);                                                               \
		case DTYPE_FP32:                                                                                       \
			NARROW(float, from->member[k]);                                                                \
		case DTYPE_FP16:                                                                                       \
			NARROW(uint16_t, small_float(sticky_##suffix(from->member[k]), 5, 10));                        \
		default:                                                                                               \
			NARROW(uint16_t, small_float(sticky_##suffix(from->member[k]), 8, 7));                         \
		}                                                                                                      \
	}

NARROW_INTEGERS_TO_FLOATS(i64, i)
NARROW_INTEGERS_TO_FLOATS(u64, u)

static void narrow_f64(enum dtype type, const union stretch *from, size_t n, void *data)
{
	switch (type) {
	case DTYPE_FP64:
		memcpy(data, from->d, n * sizeof(double));
		break;
	case DTYPE_FP32:
		NARROW(float, from->d[k]);
	case DTYPE_FP16:
		NARROW(uint16_t, small_float(from->d[k], 5, 10));
	default:
		NARROW(uint16_t, small_float(from->d[k], 8, 7));
	}
}

static bool misfit(const struct tensor *from, size_t index, const char *value, enum dtype type, struct error *err)
{
	return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' holds %s at index %zu, which %s cannot hold",
			 SPAN_ARG(from->name), value, index, dtypes[type].name);
}

static bool misfit_double(const struct tensor *from, size_t index, double value, enum dtype type, struct error *err)
{
	char text[NUMBER_TEXT_MAX + 1];

	*number_print_double(text, value) = '\0';
	return misfit(from, index, text, type, err);
}

/* Turns a stretch into integers, in place; checks that they fit the type. */
static bool to_integers(const struct tensor *from, size_t at, size_t n, enum dtype type, union stretch *s,
			struct error *err)
{
	int64_t least = traits[type].least;
	uint64_t most = traits[type].most;
	char text[NUMBER_TEXT_MAX + 1];

	for (size_t k = 0; k < n; k++) {
		switch (traits[from->dtype].wide) {
		case WIDE_I64:
			if (s->i[k] < least || (s->i[k] > 0 && (uint64_t)s->i[k] > most)) {
				*number_print_int64(text, s->i[k]) = '\0';
				return misfit(from, at + k, text, type, err);
			}
			break;
		case WIDE_U64:
			if (s->u[k] > most) {
				*number_print_uint64(text, s->u[k]) = '\0';
				return misfit(from, at + k, text, type, err);
			}
			break;
		case WIDE_F64:
			/* most + 1 is a power of two, or 2 for BOOL; both are exact as doubles */
			if (!(s->d[k] >= (double)least && s->d[k] < (double)((most >> 1) + 1) * 2 &&
			      s->d[k] <= (double)most && s->d[k] == trunc(s->d[k])))
				return misfit_double(from, at + k, s->d[k], type, err);
			if (s->d[k] < 0)
				s->i[k] = (int64_t)s->d[k];
			else
				s->u[k] = (uint64_t)s->d[k];
			break;
		}
	}
	return true;
}

static bool convert_stretch(const struct tensor *from, size_t at, size_t n, struct tensor *to, struct error *err)
{
	const char *in = (const char *)from->data + at * dtypes[from->dtype].size;
	char *out = (char *)to->data + at * dtypes[to->dtype].size;
	union stretch s;

	widen(from->dtype, in, n, &s);
	if (!traits[to->dtype].is_float) {
		if (!to_integers(from, at, n, to->dtype, &s, err))
			return false;
		narrow_integers(to->dtype, s.i, n, out);
		return true;
	}
	switch (traits[from->dtype].wide) {
	case WIDE_I64:
		narrow_i64(to->dtype, &s, n, out);
		break;
	case WIDE_U64:
		narrow_u64(to->dtype, &s, n, out);
		break;
	case WIDE_F64:
		narrow_f64(to->dtype, &s, n, out);
		break;
	}
	return true;
}

bool tensor_convert(const struct tensor *from, enum dtype type, struct arena *arena, struct tensor *ret,
		    struct error *err)
{
	struct tensor to;

	if (from->dtype == type) {
		*ret = *from;
		return true;
	}
	if (from->dtype == DTYPE_BYTES || type == DTYPE_BYTES)
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is %s, expected %s", SPAN_ARG(from->name),
				 dtypes[from->dtype].name, dtypes[type].name);
	if (!tensor_new(&to, from->name, type, from->rank, from->shape, arena, err))
		return false;
	to.count = from->count;
	for (size_t at = 0; at < from->count; at += STRETCH) {
		if (!convert_stretch(from, at, MIN(from->count - at, (size_t)STRETCH), &to, err))
			return false;
	}
	*ret = to;
	return true;
}

bool tensor_aligned(struct tensor *t, struct arena *arena, struct error *err)
{
	size_t size = t->dtype == DTYPE_BYTES ? _Alignof(struct span) : dtypes[t->dtype].size;
	struct tensor copy;

	if (((uintptr_t)t->data & (size - 1)) == 0)
		return true;
	if (!tensor_new(&copy, t->name, t->dtype, t->rank, t->shape, arena, err))
		return false;
	memcpy(copy.data, t->data, t->count * dtypes[t->dtype].size);
	*t = copy;
	return true;
}

double tensor_get(const struct tensor *t, size_t i)
{
	union stretch s;

	if (t->dtype == DTYPE_BYTES)
		return NAN;
	s.u[0] = 0; /* gcc at -O3 does not see that widen() fills it */
	widen(t->dtype, (const char *)t->data + i * dtypes[t->dtype].size, 1, &s);
	switch (traits[t->dtype].wide) {
	case WIDE_I64:
		return (double)s.i[0];
	case WIDE_U64:
		return (double)s.u[0];
	case WIDE_F64:
		break;
	}
	return s.d[0];
}

const char *tensor_shape_text(int rank, const int64_t *shape, char *out)
{
	char *p = out;

	*p++ = '[';
	for (int i = 0; i < rank && i < TENSOR_RANK_MAX; i++) {
		if (i)
			*p++ = ',';
		p = number_print_int64(p, shape[i]);
	}
	*p++ = ']';
	*p = '\0';
	return out;
}
