/* SPDX-License-Identifier: Apache-2.0 */
/* Cast: between all number types, and to and from text. */
#include "models/onnx.h"

#include "base/number.h"

#include <math.h>
#include <stdio.h>

enum { CHUNK = 256 }; /* elements that go through an intermediate type at a time */

static void load_double(const struct tensor *t, size_t at, size_t n, double *to)
{
	switch (t->dtype) {
#define LOAD(type, ctype, expr)                                                                                        \
	case DTYPE_##type:                                                                                             \
		for (size_t i = 0; i < n; i++) {                                                                       \
			ctype v = ((const ctype *)t->data)[at + i];                                                    \
			to[i] = (double)(expr);                                                                        \
		}                                                                                                      \
		break
		LOAD(BOOL, uint8_t, v);
		LOAD(UINT8, uint8_t, v);
		LOAD(UINT16, uint16_t, v);
		LOAD(UINT32, uint32_t, v);
		LOAD(UINT64, uint64_t, v);
		LOAD(INT8, int8_t, v);
		LOAD(INT16, int16_t, v);
		LOAD(INT32, int32_t, v);
		LOAD(INT64, int64_t, v);
		LOAD(FP16, uint16_t, float_from_half(v));
		LOAD(BF16, uint16_t, float_from_bfloat(v));
		LOAD(FP32, float, v);
		LOAD(FP64, double, v);
#undef LOAD
	default:
		memset(to, 0, n * sizeof(*to)); /* text does not come here */
		break;
	}
}

static void load_int(const struct tensor *t, size_t at, size_t n, int64_t *to)
{
	switch (t->dtype) {
#define LOAD(type, ctype)                                                                                              \
	case DTYPE_##type:                                                                                             \
		for (size_t i = 0; i < n; i++)                                                                         \
			to[i] = (int64_t)((const ctype *)t->data)[at + i];                                             \
		break
		LOAD(BOOL, uint8_t);
		LOAD(UINT8, uint8_t);
		LOAD(UINT16, uint16_t);
		LOAD(UINT32, uint32_t);
		LOAD(UINT64, uint64_t);
		LOAD(INT8, int8_t);
		LOAD(INT16, int16_t);
		LOAD(INT32, int32_t);
		LOAD(INT64, int64_t);
#undef LOAD
	default:
		memset(to, 0, n * sizeof(*to)); /* floats and text do not come here */
		break;
	}
}

/* Towards zero; what does not fit becomes the nearest that does, NaN 0. */
static int64_t whole(double v, double low, double high)
{
	return isnan(v)    ? 0
	       : v <= low  ? (int64_t)low
	       : v >= high ? (high > 9e18 ? INT64_MAX : (int64_t)high)
			   : (int64_t)v;
}

static void store_double(struct tensor *t, size_t at, size_t n, const double *from)
{
	switch (t->dtype) {
#define STORE(type, ctype, expr)                                                                                       \
	case DTYPE_##type:                                                                                             \
		for (size_t i = 0; i < n; i++) {                                                                       \
			double v = from[i];                                                                            \
			((ctype *)t->data)[at + i] = (ctype)(expr);                                                    \
		}                                                                                                      \
		break
		STORE(BOOL, uint8_t, v != 0);
		STORE(UINT8, uint8_t, whole(v, 0, UINT8_MAX));
		STORE(UINT16, uint16_t, whole(v, 0, UINT16_MAX));
		STORE(UINT32, uint32_t, whole(v, 0, UINT32_MAX));
		STORE(UINT64, uint64_t, isnan(v) || v <= 0 ? 0 : v >= 0x1p64 ? UINT64_MAX : (uint64_t)v);
		STORE(INT8, int8_t, whole(v, INT8_MIN, INT8_MAX));
		STORE(INT16, int16_t, whole(v, INT16_MIN, INT16_MAX));
		STORE(INT32, int32_t, whole(v, INT32_MIN, INT32_MAX));
		STORE(INT64, int64_t, whole(v, -0x1p63, 0x1p63));
		STORE(FP16, uint16_t, half_from_float((float)v));
		STORE(BF16, uint16_t, bfloat_from_float((float)v));
		STORE(FP32, float, v);
		STORE(FP64, double, v);
#undef STORE
	default:
		break;
	}
}

/* Integers to integers wrap, as C casts do. */
static void store_int(struct tensor *t, size_t at, size_t n, const int64_t *from)
{
	switch (t->dtype) {
#define STORE(type, ctype, expr)                                                                                       \
	case DTYPE_##type:                                                                                             \
		for (size_t i = 0; i < n; i++) {                                                                       \
			int64_t v = from[i];                                                                           \
			((ctype *)t->data)[at + i] = (ctype)(expr);                                                    \
		}                                                                                                      \
		break
		STORE(BOOL, uint8_t, v != 0);
		STORE(UINT8, uint8_t, v);
		STORE(UINT16, uint16_t, v);
		STORE(UINT32, uint32_t, v);
		STORE(UINT64, uint64_t, v);
		STORE(INT8, int8_t, v);
		STORE(INT16, int16_t, v);
		STORE(INT32, int32_t, v);
		STORE(INT64, int64_t, v);
#undef STORE
	default:
		break;
	}
}

/* The forms that other engines write: 8 digits of a float, 17 of a double. */
static bool to_text(struct onnx_run *r, const struct tensor *x, struct tensor *out, struct error *err)
{
	for (size_t i = 0; i < x->count; i++) {
		struct span *to = (struct span *)out->data + i;
		char text[64];
		int64_t whole_number = 0;
		double v = 0;

		if (dtype_is_integer(x->dtype) || x->dtype == DTYPE_BOOL) {
			load_int(x, i, 1, &whole_number);
			snprintf(text, sizeof(text), "%lld", (long long)whole_number);
			if (x->dtype == DTYPE_UINT64)
				snprintf(text, sizeof(text), "%llu", (unsigned long long)whole_number);
		} else {
			load_double(x, i, 1, &v);
			if (isnan(v))
				snprintf(text, sizeof(text), "NaN");
			else if (isinf(v))
				snprintf(text, sizeof(text), "%sINF", v < 0 ? "-" : "");
			else
				snprintf(text, sizeof(text), "%.*g", x->dtype == DTYPE_FP64 ? 17 : 8, v);
		}
		*to = arena_copy(r->arena, span_of(text), err);
		if (!to->ptr)
			return false;
	}
	return true;
}

static bool from_text(const struct tensor *x, struct tensor *out, struct error *err)
{
	bool integer = dtype_is_integer(out->dtype);

	for (size_t i = 0; i < x->count; i++) {
		struct span s = span_trim(((const struct span *)x->data)[i]);
		int64_t whole_number = 0;
		double v = 0;

		if (integer && number_parse_int64(s, &whole_number)) {
			store_int(out, i, 1, &whole_number);
			continue;
		}
		if (!number_parse_double(s, &v))
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is not a number", SPAN_ARG(s));
		store_double(out, i, 1, &v);
	}
	return true;
}

static bool cast(struct onnx_run *r, const struct tensor *x, enum dtype to, struct tensor *out, struct error *err)
{
	bool integers = !dtype_is_float(x->dtype) && !dtype_is_float(to);

	if (x->dtype == to) {
		onnx_alias(out, x, x->rank, x->shape);
		return true;
	}
	if (!onnx_new(r, out, to, x->rank, x->shape, err))
		return false;
	if (to == DTYPE_BYTES)
		return to_text(r, x, out, err);
	if (x->dtype == DTYPE_BYTES)
		return from_text(x, out, err);
	for (size_t at = 0; at < x->count; at += CHUNK) {
		size_t n = MIN(x->count - at, (size_t)CHUNK);
		union {
			double d[CHUNK];
			int64_t i[CHUNK];
		} chunk;

		if (integers) {
			load_int(x, at, n, chunk.i);
			store_int(out, at, n, chunk.i);
		} else {
			load_double(x, at, n, chunk.d);
			store_double(out, at, n, chunk.d);
		}
	}
	return true;
}

static const enum dtype dtypes[DTYPE_COUNT] = {
#define DTYPE_ROW(name, bytes, onnx, ctype) [DTYPE_##name] = DTYPE_##name,
#include "models/dtypes.def"
#undef DTYPE_ROW
};

static bool cast_prepare(struct onnx_prepare *p, struct error *err)
{
	int64_t to;

	onnx_ignore(p, "saturate"); /* for 8-bit floats */
	onnx_ignore(p, "round_mode");
	if (!onnx_int(p, "to", 0, &to, err))
		return false;
	switch (to) {
#define DTYPE_ROW(name, bytes, onnx, ctype)                                                                            \
	case onnx:                                                                                                     \
		p->step->state = &dtypes[DTYPE_##name];                                                                \
		return true;
#include "models/dtypes.def"
#undef DTYPE_ROW
	default:
		return error_set(err, ERROR_UNIMPLEMENTED, "attribute 'to' is %lld, a type that is not supported",
				 (long long)to);
	}
}

static bool cast_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	return cast(r, onnx_in(r, step, 0), *(const enum dtype *)step->state, out, err);
}

static bool cast_like_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	return cast(r, onnx_in(r, step, 0), onnx_in(r, step, 1)->dtype, out, err);
}

static bool cast_like_prepare(struct onnx_prepare *p, struct error *err)
{
	(void)err;
	onnx_ignore(p, "saturate");
	onnx_ignore(p, "round_mode");
	return true;
}

const struct onnx_operator onnx_ops_cast[] = {
	{ "Cast", "", 1, 1, 1, 1, ONNX_ALIAS, cast_prepare, cast_run, NULL },
	{ "CastLike", "", 2, 2, 1, 1, ONNX_ALIAS, cast_like_prepare, cast_like_run, NULL },
	{ 0 },
};
