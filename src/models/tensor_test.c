/* SPDX-License-Identifier: Apache-2.0 */
#include "models/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool convert_one(double value, enum dtype type, double *ret, struct error *err)
{
	struct tensor from = { .name = SPAN_INIT("x"), .dtype = DTYPE_FP64, .rank = 1, .shape = { 1 }, .count = 1 }, to;
	struct arena arena;
	bool ok;

	from.data = &value;
	arena_init(&arena, MIB(1));
	ok = tensor_convert(&from, type, &arena, &to, err);
	if (ok)
		*ret = tensor_get(&to, 0);
	arena_done(&arena);
	return ok;
}

static void values_that_fit_convert_exactly(void **state)
{
	static const struct {
		double value;
		enum dtype type;
		double result;
	} rows[] = {
		{ 255, DTYPE_UINT8, 255 },
		{ -128, DTYPE_INT8, -128 },
		{ 1, DTYPE_BOOL, 1 },
		{ -9223372036854775808.0, DTYPE_INT64, -9223372036854775808.0 },
		{ 18446744073709549568.0, DTYPE_UINT64, 18446744073709549568.0 },
		{ 4294967295.0, DTYPE_UINT32, 4294967295.0 },
		{ 0.1, DTYPE_FP32, (double)0.1f },
		{ 65504, DTYPE_FP16, 65504 },
		{ 65519.99, DTYPE_FP16, 65504 },
		{ 65520, DTYPE_FP16, INFINITY },
		{ 0x1p-24, DTYPE_FP16, 0x1p-24 },
		{ 0x1p-25, DTYPE_FP16, 0 },
		{ 0x1.8p-25, DTYPE_FP16, 0x1p-24 },
		{ 1 + 0x1p-11, DTYPE_FP16, 1 },
		{ 1 + 0x1p-11 + 0x1p-40, DTYPE_FP16, 1 + 0x1p-10 },
		{ 1 + 0x1p-8, DTYPE_BF16, 1 },
		{ 1 + 0x1p-8 + 0x1p-50, DTYPE_BF16, 1 + 0x1p-7 },
		{ -INFINITY, DTYPE_BF16, -INFINITY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		double result = 7;

		assert_true(convert_one(rows[i].value, rows[i].type, &result, &err));
		assert_true(result == rows[i].result);
	}
}

static void values_that_do_not_fit_are_named(void **state)
{
	static const struct {
		double value;
		enum dtype type;
		const char *text;
	} rows[] = {
		{ 256, DTYPE_UINT8, "'x' holds 256.0 at index 0, which UINT8 cannot hold" },
		{ -1, DTYPE_UINT64, "'x' holds -1.0 at index 0, which UINT64 cannot hold" },
		{ 0.5, DTYPE_INT32, "'x' holds 0.5 at index 0, which INT32 cannot hold" },
		{ 2, DTYPE_BOOL, "'x' holds 2.0 at index 0, which BOOL cannot hold" },
		{ 9223372036854775808.0, DTYPE_INT64,
		  "'x' holds 9.223372036854776e+18 at index 0, which INT64 cannot hold" },
		{ 18446744073709551616.0, DTYPE_UINT64,
		  "'x' holds 1.8446744073709552e+19 at index 0, which UINT64 cannot hold" },
		{ NAN, DTYPE_INT16, "'x' holds nan at index 0, which INT16 cannot hold" },
		{ 1, DTYPE_BYTES, "'x' is FP64, expected BYTES" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		double result = 7;

		assert_false(convert_one(rows[i].value, rows[i].type, &result, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.message, rows[i].text);
	}
}

static void integers_round_once_on_the_way_to_float(void **state)
{
	/* as a double first, this would become a tie and round down */
	int64_t value = (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1;
	struct tensor from = { .dtype = DTYPE_INT64, .rank = 1, .shape = { 1 }, .count = 1, .data = &value }, to;
	struct error err = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(tensor_convert(&from, DTYPE_FP32, &arena, &to, &err));
	assert_true(*(float *)to.data == 0x1.000002p+60f);
	value = (INT64_C(1) << 60) + (INT64_C(1) << 52) + 1;
	assert_true(tensor_convert(&from, DTYPE_BF16, &arena, &to, &err));
	assert_true(tensor_get(&to, 0) == 0x1.02p+60);
	value = -value;
	assert_true(tensor_convert(&from, DTYPE_BF16, &arena, &to, &err));
	assert_true(tensor_get(&to, 0) == -0x1.02p+60);
	value = 300;
	assert_false(tensor_convert(&from, DTYPE_INT8, &arena, &to, &err));
	value = INT64_MIN;
	assert_false(tensor_convert(&from, DTYPE_UINT64, &arena, &to, &err));
	arena_done(&arena);
}

static void every_half_reads_back_equal(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		float half = float_from_half((uint16_t)i), brain = float_from_bfloat((uint16_t)i);

		if (!isnan(half))
			assert_int_equal(half_from_float(half), i);
		if (!isnan(brain) && (fabsf(brain) >= 0x1p-126f || brain == 0))
			assert_int_equal(bfloat_from_float(brain), i);
		assert_int_equal(isnan(half), isnan(float_from_half(half_from_float(half))));
	}
}

static void long_tensors_convert_and_name_the_right_element(void **state)
{
	struct tensor from = {
		.name = SPAN_INIT("t"), .dtype = DTYPE_INT32, .rank = 2, .shape = { 100, 10 }, .count = 1000
	};
	struct error err = { 0 };
	struct arena arena;
	struct tensor to;
	int32_t values[1000];

	(void)state;
	arena_init(&arena, MIB(1));
	for (int i = 0; i < 1000; i++)
		values[i] = i % 200;
	from.data = values;
	assert_true(tensor_convert(&from, DTYPE_UINT8, &arena, &to, &err));
	assert_int_equal((uintptr_t)to.data % 64, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(((uint8_t *)to.data)[i], i % 200);
	values[777] = 256;
	assert_false(tensor_convert(&from, DTYPE_UINT8, &arena, &to, &err));
	assert_string_equal(err.message, "'t' holds 256 at index 777, which UINT8 cannot hold");
	arena_done(&arena);
}

static void unaligned_data_is_copied_and_aligned_data_is_not(void **state)
{
	_Alignas(8) char bytes[24] = { 0 };
	struct tensor t = { .dtype = DTYPE_FP64, .rank = 1, .shape = { 2 }, .count = 2, .data = bytes + 1 };
	struct error err = { 0 };
	struct arena arena;
	double value = 2.5;

	(void)state;
	arena_init(&arena, MIB(1));
	memcpy(bytes + 9, &value, sizeof(value));
	assert_true(tensor_get(&t, 1) == 2.5);
	assert_true(tensor_aligned(&t, &arena, &err));
	assert_ptr_not_equal(t.data, bytes + 1);
	assert_true(((double *)t.data)[1] == 2.5);
	t.data = bytes;
	assert_true(tensor_aligned(&t, &arena, &err));
	assert_ptr_equal(t.data, bytes);
	arena_done(&arena);
}

static void bad_shapes_are_refused(void **state)
{
	static const int64_t negative[] = { 2, -1 }, huge[] = { INT64_MAX, 4 }, empty[] = { INT64_MAX, INT64_MAX, 0 };
	char text[TENSOR_SHAPE_TEXT];
	struct error err = { 0 };
	size_t count = 7;

	(void)state;
	assert_false(tensor_count(2, negative, &count, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	assert_false(tensor_count(2, huge, &count, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_false(tensor_count(9, huge, &count, &err));
	assert_int_equal(count, 7);
	assert_true(tensor_count(3, empty, &count, &err));
	assert_int_equal(count, 0);
	assert_true(tensor_count(0, NULL, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(tensor_shape_text(2, negative, text), "[2,-1]");
	assert_string_equal(tensor_shape_text(0, NULL, text), "[]");
}

static void types_are_found_by_name(void **state)
{
	enum dtype type = DTYPE_BYTES;

	(void)state;
	for (int i = 0; i < DTYPE_COUNT; i++) {
		assert_true(dtype_find(span_of(dtype_name((enum dtype)i)), &type));
		assert_int_equal(type, i);
		assert_true(dtype_size(type) > 0);
	}
	assert_false(dtype_find(SPAN("FP8"), &type));
	assert_true(dtype_is_float(DTYPE_BF16) && !dtype_is_float(DTYPE_INT8));
	assert_true(dtype_is_integer(DTYPE_UINT64) && !dtype_is_integer(DTYPE_BOOL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_that_fit_convert_exactly),
		cmocka_unit_test(values_that_do_not_fit_are_named),
		cmocka_unit_test(integers_round_once_on_the_way_to_float),
		cmocka_unit_test(every_half_reads_back_equal),
		cmocka_unit_test(long_tensors_convert_and_name_the_right_element),
		cmocka_unit_test(unaligned_data_is_copied_and_aligned_data_is_not),
		cmocka_unit_test(bad_shapes_are_refused),
		cmocka_unit_test(types_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
