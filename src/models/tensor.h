/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tensor - a typed, row-major, dense array; what requests decode to and models take and give.
 *
 * Ownership: none. Data lives in an arena, or in the request's own bytes (zero-copy), or in the model (constants).
 * Data types are the Open Inference Protocol's; one table (dtypes.def) gives name, bytes and ONNX number.
 * FP16 and BF16 are IEEE binary16 and the upper half of binary32, in uint16_t. BOOL is uint8_t 0 or 1. BYTES elements
 * are struct span. Alignment: data may be unaligned when it points into a request; tensor_aligned() copies if need be.
 */
#include "base/base.h"

#define TENSOR_RANK_MAX 8

enum dtype {
#define DTYPE_ROW(name, bytes, onnx, ctype) DTYPE_##name,
#include "models/dtypes.def"
#undef DTYPE_ROW
	DTYPE_COUNT
};

struct tensor {
	struct span name;
	enum dtype dtype;
	int rank;
	int64_t shape[TENSOR_RANK_MAX];
	size_t count; /* elements: the product of the shape, 1 for rank 0 */
	void *data;
};

size_t dtype_size(enum dtype type);      /* bytes of an element in memory; sizeof(struct span) for BYTES */
const char *dtype_name(enum dtype type); /* "FP32" */
bool dtype_find(struct span name, enum dtype *ret);
bool dtype_from_onnx(uint64_t number, enum dtype *ret); /* onnx.proto's TensorProto.DataType, and ONNX Runtime's */
bool dtype_is_integer(enum dtype type);
bool dtype_is_float(enum dtype type); /* FP16, BF16, FP32, FP64 */

/* The product of a shape, checked: INVALID for a negative dimension, TOO_LARGE past SIZE_MAX / 16. */
bool tensor_count(int rank, const int64_t *shape, size_t *ret, struct error *err);

/* Fresh data in the arena for the shape given; not cleared. 64-byte aligned. */
bool tensor_new(struct tensor *ret, struct span name, enum dtype type, int rank, const int64_t *shape,
		struct arena *arena, struct error *err);

/*
 * The same values as another type. Integers to narrower integers are checked (INVALID names the first value that does
 * not fit, and its index); fractions to integers must be whole; floats to narrower floats round to nearest even. BYTES
 * convert to nothing and nothing to BYTES. The same type gives the same data back, without a copy.
 */
bool tensor_convert(const struct tensor *from, enum dtype type, struct arena *arena, struct tensor *ret,
		    struct error *err);

/* Data whose address is a multiple of the element's size; copies only when it is not. */
bool tensor_aligned(struct tensor *t, struct arena *arena, struct error *err);

/* Element i as a double (BYTES: NaN). For printing and small jobs. */
double tensor_get(const struct tensor *t, size_t i);

/* "[2,3]" and "[-1,10]". Returns `out`. */
#define TENSOR_SHAPE_TEXT 192
const char *tensor_shape_text(int rank, const int64_t *shape, char *out);

float float_from_half(uint16_t half);
uint16_t half_from_float(float value);
float float_from_bfloat(uint16_t b);
uint16_t bfloat_from_float(float value);
