/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/number.h"

static uint64_t random_state = UINT64_C(88172645463325252);

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static bool same_bits(double a, double b)
{
	uint64_t bits_a, bits_b;

	memcpy(&bits_a, &a, sizeof(a));
	memcpy(&bits_b, &b, sizeof(b));
	return bits_a == bits_b;
}

static void doubles_print_as_python_does(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {
		{ 0.0, "0.0" },
		{ -0.0, "-0.0" },
		{ 1.0, "1.0" },
		{ -1.0, "-1.0" },
		{ 12.0, "12.0" },
		{ 255.0, "255.0" },
		{ 999.0, "999.0" },
		{ 1000.0, "1000.0" },
		{ 0.1, "0.1" },
		{ 0.3, "0.3" },
		{ 0.1 + 0.2, "0.30000000000000004" },
		{ 0.06730000000000001, "0.06730000000000001" },
		{ 1.5, "1.5" },
		{ 123.456, "123.456" },
		{ 1234567.891, "1234567.891" },
		{ 123456789.125, "123456789.125" },
		{ 1234567890123.5, "1234567890123.5" },
		{ 0.001, "0.001" },
		{ 0.0001, "0.0001" },
		{ 0.00012345, "0.00012345" },
		{ 0.00001, "1e-05" },
		{ 0.000012345, "1.2345e-05" },
		{ 1e-7, "1e-07" },
		{ 1e15, "1000000000000000.0" },
		{ 9999999999999998.0, "9999999999999998.0" },
		{ 9007199254740991.0, "9007199254740991.0" },
		{ 9007199254740992.0, "9007199254740992.0" },
		{ 1e16, "1e+16" },
		{ 12345678901234567.0, "1.2345678901234568e+16" },
		{ 1e22, "1e+22" },
		{ 1e23, "1e+23" },
		{ 1.5e300, "1.5e+300" },
		{ 5e-324, "5e-324" },
		{ 2.2250738585072014e-308, "2.2250738585072014e-308" },
		{ 2.225073858507201e-308, "2.225073858507201e-308" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ 9.5367431640625e-07, "9.5367431640625e-07" },
		{ 0x1p-44, "5.684341886080802e-14" },
		{ 123456.0, "123456.0" },
		{ 4503599627370495.5, "4503599627370495.5" },
		{ 2.0 / 3, "0.6666666666666666" },
		{ INFINITY, "inf" },
		{ -INFINITY, "-inf" },
		{ NAN, "nan" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[NUMBER_TEXT_MAX + 1];

		*number_print_double(text, rows[i].value) = 0;
		assert_string_equal(text, rows[i].text);
	}
}

static void floats_print_their_own_shortest_text(void **state)
{
	static const struct {
		float value;
		const char *text;
	} rows[] = {
		{ 0.0F, "0.0" },
		{ -0.0F, "-0.0" },
		{ 1.0F, "1.0" },
		{ 0.1F, "0.1" },
		{ 0.3F, "0.3" },
		{ 1.0F / 3, "0.33333334" },
		{ 16777216.0F, "16777216.0" },
		{ 3.4028235e38F, "3.4028235e+38" },
		{ 1e-45F, "1e-45" },
		{ 1.1754944e-38F, "1.1754944e-38" },
		{ 1e10F, "10000000000.0" },
		{ 0.0673F, "0.0673" },
		{ 5e-05F, "5e-05" },
		{ -INFINITY, "-inf" },
		{ NAN, "nan" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[NUMBER_TEXT_MAX + 1];

		*number_print_float(text, rows[i].value) = 0;
		assert_string_equal(text, rows[i].text);
	}
}

static void any_double_reads_back_equal_and_as_libc_reads_it(void **state)
{
	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint64_t bits = next_random();
		char text[64];
		double value, back;
		char *end;
		int len;

		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		end = number_print_double(text, value);
		*end = 0;
		assert_true(end - text <= NUMBER_TEXT_MAX);
		assert_ptr_equal(number_scan_double(text, end, &back), end);
		assert_true(same_bits(back, value));
		assert_true(same_bits(strtod(text, NULL), value));
		len = snprintf(text, sizeof(text), "%.17g", value);
		assert_ptr_equal(number_scan_double(text, text + len, &back), text + len);
		assert_true(same_bits(back, value));
		/* One digit less must not read back equal, or ours was not the shortest: checked by length. */
		len = snprintf(text, sizeof(text), "%.15g", value);
		if (strtod(text, NULL) == value)
			assert_true(end - text <= len + 3);
	}
}

static void any_float_reads_back_equal_and_as_libc_reads_it(void **state)
{
	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint32_t bits = (uint32_t)next_random();
		char text[64];
		float value, back;
		char *end;
		int len;

		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		end = number_print_float(text, value);
		*end = 0;
		assert_ptr_equal(number_scan_float(text, end, &back), end);
		assert_memory_equal(&back, &value, sizeof(value));
		assert_true(strtof(text, NULL) == value);
		len = snprintf(text, sizeof(text), "%.17g", (double)value * 1.000000001);
		number_scan_float(text, text + len, &back);
		value = strtof(text, NULL);
		assert_memory_equal(&back, &value, sizeof(value));
	}
}

static void random_decimal_texts_read_as_libc_reads_them(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t digits = 1 + next_random() % (i % 100 ? 24 : 900);
		size_t point = next_random() % (digits + 1);
		char text[1024];
		double value, expected;
		size_t len = 0;

		text[len++] = '1';
		for (size_t k = 0; k < digits; k++) {
			if (k == point)
				text[len++] = '.';
			text[len++] = (char)('0' + next_random() % 10);
		}
		len += (size_t)snprintf(text + len, sizeof(text) - len, "e%d", (int)(next_random() % 700) - 350);
		expected = strtod(text, NULL);
		assert_ptr_equal(number_scan_double(text, text + len, &value), text + len);
		assert_true(same_bits(value, expected));
	}
}

static void hard_decimals_round_correctly(void **state)
{
	static const struct {
		const char *text;
		double value;
	} rows[] = {
		{ "9007199254740993", 9007199254740992.0 },
		{ "9007199254740993.0000000000000000000000000000000000000001", 9007199254740994.0 },
		{ "9007199254740995", 9007199254740996.0 },
		{ "2.2250738585072011e-308", 0x0.fffffffffffffp-1022 },
		{ "2.2250738585072012e-308", 0x1p-1022 },
		{ "2.4703282292062327208e-324", 0.0 },
		{ "2.4703282292062328e-324", 0x1p-1074 },
		{ "4.9406564584124654e-324", 0x1p-1074 },
		{ "1.7976931348623157e308", 0x1.fffffffffffffp1023 },
		{ "1.7976931348623158e308", 0x1.fffffffffffffp1023 },
		{ "1.7976931348623159e308", INFINITY },
		{ "1e309", INFINITY },
		{ "-1e999", -INFINITY },
		{ "1e-400", 0.0 },
		{ "-1e-400", -0.0 },
		{ "1e99999999999999999999", INFINITY },
		{ "1e-99999999999999999999", 0.0 },
		{ "0e99999999999999999999", 0.0 },
		{ "0.000000000000000000000000000001e30", 1.0 },
		{ "1000000000000000000000000000000e-30", 1.0 },
		{ "123456789012345678901234567890", 123456789012345678901234567890.0 },
		{ "0.1000000000000000055511151231257827021181583404541015625", 0.1 },
		{ "0.100000000000000012490009027033011079765856266021728515625000", 0.1 },
		{ "0.1000000000000000124900090270330110797658562660217285156250001", 0x1.999999999999bp-4 },
		{ "8.988465674311582e307", 8.988465674311582e307 },
		{ "1e23", 1e23 },
		{ "8.5e-5", 8.5e-5 },
		{ "3.0e0", 3.0 },
		{ "1E+2", 100.0 },
		{ "-0", -0.0 },
		{ "-0.0", -0.0 },
		{ "0e0", 0.0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *end = rows[i].text + strlen(rows[i].text);
		double value = 7;

		assert_ptr_equal(number_scan_double(rows[i].text, end, &value), end);
		if (!same_bits(value, rows[i].value))
			fail_msg("%s: %a, expected %a (libc: %a)", rows[i].text, value, rows[i].value,
				 strtod(rows[i].text, NULL));
		assert_true(same_bits(strtod(rows[i].text, NULL), rows[i].value));
	}
}

static void scanning_tells_integers_from_doubles(void **state)
{
	static const struct {
		const char *text;
		enum number_kind kind;
		uint64_t bits;
		double d;
	} rows[] = {
		{ "0", NUMBER_INT, 0, 0 },
		{ "7", NUMBER_INT, 7, 0 },
		{ "-7", NUMBER_INT, (uint64_t)-7, 0 },
		{ "12345678", NUMBER_INT, 12345678, 0 },
		{ "1234567890123456789", NUMBER_INT, 1234567890123456789, 0 },
		{ "9223372036854775807", NUMBER_INT, INT64_MAX, 0 },
		{ "-9223372036854775808", NUMBER_INT, (uint64_t)INT64_MIN, 0 },
		{ "9223372036854775808", NUMBER_UINT, UINT64_C(9223372036854775808), 0 },
		{ "18446744073709551615", NUMBER_UINT, UINT64_MAX, 0 },
		{ "18446744073709551616", NUMBER_DOUBLE, 0, 18446744073709551616.0 },
		{ "-9223372036854775809", NUMBER_DOUBLE, 0, -9223372036854775808.0 },
		{ "99999999999999999999", NUMBER_DOUBLE, 0, 1e20 },
		{ "1.0", NUMBER_DOUBLE, 0, 1 },
		{ "1e0", NUMBER_DOUBLE, 0, 1 },
		{ "-0", NUMBER_DOUBLE, 0, -0.0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *end = rows[i].text + strlen(rows[i].text);
		struct number n = { 0 };

		assert_ptr_equal(number_scan(rows[i].text, end, &n), end);
		assert_int_equal(n.kind, rows[i].kind);
		if (n.kind == NUMBER_DOUBLE)
			assert_true(same_bits(n.d, rows[i].d));
		else
			assert_true(n.u == rows[i].bits);
	}
}

static void what_is_no_json_number_is_refused_and_leaves_the_output(void **state)
{
	static const char *const rows[] = {
		"",    "-",  "+1",  ".5",  "1.",  "1.e5", "1e", "1e+",           "01", "-01", "00",
		"abc", "e5", "--1", "-.5", "NaN", "inf",  "-",  "0123456789012", "1.e"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *end = rows[i] + strlen(rows[i]);
		struct number n = { .kind = NUMBER_UINT, .u = 99 };
		double d = 99;

		assert_null(number_scan(rows[i], end, &n));
		assert_null(number_scan_double(rows[i], end, &d));
		assert_true(n.kind == NUMBER_UINT && n.u == 99 && d == 99);
	}
}

static void lenient_numbers_may_lack_a_side_of_the_point(void **state)
{
	static const struct {
		const char *text;
		double value;
	} rows[] = { { ".5", 0.5 },       { "5.", 5 },     { "+1", 1 },         { "-.25", -0.25 },
		     { "007", 7 },        { "+.5e1", 5 },  { "inf", INFINITY }, { "-Infinity", -INFINITY },
		     { "INF", INFINITY }, { "00.5", 0.5 }, { "1.e2", 100 } };
	static const char *const refused[] = { "",   ".",       "+",  "-",  "+-1",  ".e5",  "1e",
					       "in", "infinit", "1 ", " 1", "0x10", "1.5.2" };
	double value = 3;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(number_parse_double(span_of(rows[i].text), &value));
		assert_true(same_bits(value, rows[i].value));
	}
	assert_true(number_parse_double(SPAN("NaN"), &value) && isnan(value));
	value = 3;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_false(number_parse_double(span_of(refused[i]), &value));
		assert_true(value == 3);
	}
}

static void whole_integers_are_checked_for_overflow(void **state)
{
	uint64_t u = 5;
	int64_t i = 5;

	(void)state;
	assert_false(number_parse_int64(SPAN("9223372036854775808"), &i));
	assert_false(number_parse_int64(SPAN("-9223372036854775809"), &i));
	assert_false(number_parse_int64(SPAN("-"), &i));
	assert_false(number_parse_int64(SPAN(""), &i));
	assert_false(number_parse_int64(SPAN("1 "), &i));
	assert_false(number_parse_int64(SPAN("+1"), &i));
	assert_false(number_parse_uint64(SPAN("18446744073709551616"), &u));
	assert_false(number_parse_uint64(SPAN("-1"), &u));
	assert_false(number_parse_uint64(SPAN("1e3"), &u));
	assert_true(i == 5 && u == 5);
	assert_true(number_parse_int64(SPAN("-9223372036854775808"), &i) && i == INT64_MIN);
	assert_true(number_parse_int64(SPAN("0042"), &i) && i == 42);
	assert_true(number_parse_uint64(SPAN("18446744073709551615"), &u) && u == UINT64_MAX);
}

static void integers_of_every_length_print_and_parse(void **state)
{
	uint64_t power = 1;

	(void)state;
	for (int digits = 1; digits <= 20; digits++) {
		for (int near = -1; near <= 1; near++) {
			uint64_t value = power + (uint64_t)near, back;
			char text[NUMBER_TEXT_MAX + 1], expected[32];
			char *end = number_print_uint64(text, value);
			int64_t negative = -(int64_t)(value >> 1);

			*end = 0;
			snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
			assert_string_equal(text, expected);
			assert_true(number_parse_uint64(span_of(text), &back) && back == value);
			*number_print_int64(text, negative) = 0;
			snprintf(expected, sizeof(expected), "%lld", (long long)negative);
			assert_string_equal(text, expected);
		}
		power *= 10;
	}
}

static void scanning_reads_no_byte_behind_the_end(void **state)
{
	static const char text[] = "-12345.678901234e+12";

	(void)state;
	/* Each cut stands in memory of its own size, so that a sanitizer sees a read beyond it. */
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = base_alloc(len);
		struct number n;
		double d;
		float f;

		memcpy(copy, text, len);
		(void)number_scan(copy, copy + len, &n);
		(void)number_scan_lenient(copy, copy + len, &d);
		(void)number_scan_float(copy, copy + len, &f);
		free(copy);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_print_as_python_does),
		cmocka_unit_test(floats_print_their_own_shortest_text),
		cmocka_unit_test(any_double_reads_back_equal_and_as_libc_reads_it),
		cmocka_unit_test(any_float_reads_back_equal_and_as_libc_reads_it),
		cmocka_unit_test(random_decimal_texts_read_as_libc_reads_them),
		cmocka_unit_test(hard_decimals_round_correctly),
		cmocka_unit_test(scanning_tells_integers_from_doubles),
		cmocka_unit_test(what_is_no_json_number_is_refused_and_leaves_the_output),
		cmocka_unit_test(lenient_numbers_may_lack_a_side_of_the_point),
		cmocka_unit_test(whole_integers_are_checked_for_overflow),
		cmocka_unit_test(integers_of_every_length_print_and_parse),
		cmocka_unit_test(scanning_reads_no_byte_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
