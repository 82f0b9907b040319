/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"
#include "base/ascii.h"

#include "base/base.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "number_tables.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "eight digits at once are read and written low byte first");
static_assert(FLT_EVAL_METHOD == 0, "the short path of rounding counts on plain double and float operations");

__extension__ typedef unsigned __int128 uint128;

enum {
	DIGITS_SURE = 19,      /* decimal digits that always fit uint64_t */
	DIGITS_DECIDING = 800, /* more than 767 never change the rounding of a double, but for being zero or not */
	EXPONENT_FAR = 100000, /* beyond any float, yet with room for sums */
};

static const uint64_t tens[20] = {
	UINT64_C(1),
	UINT64_C(10),
	UINT64_C(100),
	UINT64_C(1000),
	UINT64_C(10000),
	UINT64_C(100000),
	UINT64_C(1000000),
	UINT64_C(10000000),
	UINT64_C(100000000),
	UINT64_C(1000000000),
	UINT64_C(10000000000),
	UINT64_C(100000000000),
	UINT64_C(1000000000000),
	UINT64_C(10000000000000),
	UINT64_C(100000000000000),
	UINT64_C(1000000000000000),
	UINT64_C(10000000000000000),
	UINT64_C(100000000000000000),
	UINT64_C(1000000000000000000),
	UINT64_C(10000000000000000000),
};

/* ---- scanning ---- */

enum grammar { GRAMMAR_JSON, GRAMMAR_LENIENT };

/*
 * A number as written: (-) mantissa * 10^exponent. Its address goes to no function that is not inlined, so that its
 * parts live in registers: that halves the time of a short number.
 */
struct decimal {
	uint64_t mantissa;        /* of all digits, modulo 2^64: not to be used when is_long */
	int64_t exponent;         /* of the last digit */
	const char *first, *last; /* the significand's text, with its point */
	bool is_negative, is_integer;
	bool is_long; /* perhaps more than 19 digits that count */
};

/* Eight digits, the first in the low byte, already less '0': the value in three multiplications. */
ALWAYS_INLINE uint64_t eight_digits(uint64_t word)
{
	word = word * 10 + (word >> 8);
	return ((word & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
		((word >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >>
	       32;
}

/*
 * Adds the run of digits at `p` to the mantissa (modulo 2^64) and returns its end. Eight at once without a branch on
 * their count: lengths of numbers are what a branch predictor cannot know.
 */
ALWAYS_INLINE const char *scan_digits(const char *p, const char *end, uint64_t *mantissa)
{
	uint64_t sum = *mantissa;

	while (end - p >= 8) {
		uint64_t word, others;
		unsigned count;

		memcpy(&word, p, 8);
		word ^= UINT64_C(0x3030303030303030);
		/* The top bit of each byte over 9. A carry out of a byte only spoils bytes behind a marked one. */
		others = ((word + UINT64_C(0x7676767676767676)) | word) & UINT64_C(0x8080808080808080);
		if (!others) {
			sum = sum * 100000000 + eight_digits(word);
			p += 8;
			continue;
		}
		count = (unsigned)__builtin_ctzll(others) / 8;
		/* Two shifts: a single one by 64 would be undefined when there is no digit. */
		word = word << 8 << (56 - 8 * count);
		*mantissa = sum * tens[count] + eight_digits(word);
		return p + count;
	}
	for (; p < end && ascii_is_digit(*p); p++)
		sum = sum * 10 + (uint64_t)(*p - '0');
	*mantissa = sum;
	return p;
}

/* What stands behind 'e'; adds it to *exponent. */
static const char *scan_exponent_slow(const char *p, const char *end, int64_t *ret)
{
	bool is_negative = p < end && *p == '-';
	int64_t exponent = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end || !ascii_is_digit(*p))
		return NULL;
	/* The clamp lies far above what the length of a text could take back ("0.00…01e1000000"). */
	for (; p < end && ascii_is_digit(*p); p++)
		if (exponent < INT64_C(1000000000000000))
			exponent = exponent * 10 + (*p - '0');
	*ret = is_negative ? -exponent : exponent;
	return p;
}

ALWAYS_INLINE const char *scan_exponent(const char *p, const char *end, int64_t *exponent)
{
	int64_t written = 0;

	p = scan_exponent_slow(p, end, &written);
	*exponent += written;
	return p;
}

ALWAYS_INLINE const char *scan_decimal(const char *p, const char *end, enum grammar grammar, struct decimal *ret)
{
	struct decimal d = { .is_integer = true };
	const char *whole;
	size_t digits; /* but for a zero in front of the point */

	if (p < end && (*p == '-' || (grammar == GRAMMAR_LENIENT && *p == '+'))) {
		d.is_negative = *p == '-';
		p++;
	}
	d.first = p;
	whole = p;
	if (end - p >= 2 && ascii_is_digit(p[0]) && p[1] == '.') {
		/* What scores and probabilities look like. */
		d.mantissa = (uint64_t)(p[0] - '0');
		digits = p[0] != '0';
		p++;
	} else {
		p = scan_digits(p, end, &d.mantissa);
		digits = (size_t)(p - whole);
		if (grammar == GRAMMAR_JSON && (p == whole || (*whole == '0' && p - whole > 1)))
			return NULL;
	}
	if (p < end && *p == '.') {
		const char *fraction = ++p;

		p = scan_digits(p, end, &d.mantissa);
		if (grammar == GRAMMAR_JSON && p == fraction)
			return NULL;
		d.is_integer = false;
		d.exponent = fraction - p;
		digits += (size_t)(p - fraction);
	}
	if (grammar == GRAMMAR_LENIENT && UNLIKELY(p - whole <= 1) && !(p > whole && ascii_is_digit(*whole)))
		return NULL; /* "", "." */
	d.last = p;
	d.is_long = digits > DIGITS_SURE;
	if (p < end && UNLIKELY((*p | 0x20) == 'e')) {
		p = scan_exponent(p + 1, end, &d.exponent);
		if (!p)
			return NULL;
		d.is_integer = false;
	}
	*ret = d;
	return p;
}

/* ---- decimal to binary ---- */

/* What differs between float and double in Eisel-Lemire (names and bounds: Lemire 2021, sections 5 to 9). */
struct binary_format {
	int mantissa_bits; /* without the hidden one */
	int least_exponent, infinite_exponent;
	int least_ten, most_ten;           /* below: zero; above: infinity, for any 64-bit mantissa */
	int least_half_ten, most_half_ten; /* exponents for which an exact half can come up */
};

static const struct binary_format binary64 = { 52, -1023, 0x7FF, -342, 308, -4, 23 };
static const struct binary_format binary32 = { 23, -127, 0xFF, -65, 38, -17, 10 };

/* mantissa * 10^exponent rounded to nearest, ties to even; the bits without sign. */
ALWAYS_INLINE uint64_t eisel_lemire(uint64_t mantissa, int64_t exponent, struct binary_format f)
{
	const uint64_t infinity = (uint64_t)f.infinite_exponent << f.mantissa_bits;
	uint64_t high, low, bits;
	const uint64_t *power;
	int leading, upper, power2, shift;
	uint128 product;

	if (mantissa == 0 || exponent < f.least_ten)
		return 0;
	if (exponent > f.most_ten)
		return infinity;
	leading = __builtin_clzll(mantissa);
	mantissa <<= leading;
	power = powers_of_five[exponent - POWER_LEAST];
	product = (uint128)mantissa * power[0];
	high = (uint64_t)(product >> 64);
	low = (uint64_t)product;
	if (UNLIKELY((high & (~UINT64_C(0) >> (f.mantissa_bits + 3))) == ~UINT64_C(0) >> (f.mantissa_bits + 3))) {
		/* The bits below those kept are all ones: the second half of the power may carry into them. */
		uint64_t more = (uint64_t)((uint128)mantissa * power[1] >> 64);

		low += more;
		high += low < more;
	}
	upper = (int)(high >> 63);
	shift = upper + 64 - f.mantissa_bits - 3;
	bits = high >> shift;
	/* floor(log2(10^exponent)) + 63, by a fixed-point log2(10) that is exact over the table's range. */
	power2 = (int)(((152170 + 65536) * exponent) >> 16) + 63 + upper - leading - f.least_exponent;
	if (UNLIKELY(power2 <= 0)) {
		/* Subnormal. */
		if (1 - power2 >= 64)
			return 0;
		bits >>= 1 - power2;
		bits += bits & 1;
		return bits >> 1; /* a carry into the hidden bit makes the least normal number by itself */
	}
	/* Exactly half way: to even. */
	if (UNLIKELY(low <= 1) && exponent >= f.least_half_ten && exponent <= f.most_half_ten && (bits & 3) == 1 &&
	    bits << shift == high)
		bits &= ~UINT64_C(1);
	bits += bits & 1;
	bits >>= 1;
	if (bits >= UINT64_C(2) << f.mantissa_bits) {
		bits = UINT64_C(1) << f.mantissa_bits;
		power2++;
	}
	if (power2 >= f.infinite_exponent)
		return infinity;
	return (bits & ~(UINT64_C(1) << f.mantissa_bits)) | (uint64_t)power2 << f.mantissa_bits;
}

/* A significand with many digits: the first 19 that count, and the exponent of the last of them. */
struct long_decimal {
	uint64_t mantissa;
	int64_t exponent;
	bool has_more; /* digits behind those */
};

static struct long_decimal shorten(const char *first, const char *last, int64_t exponent)
{
	struct long_decimal d = { .exponent = exponent };
	const char *p = first;
	int count = 0;

	while (p < last && (*p == '0' || *p == '.'))
		p++;
	for (; p < last; p++) {
		if (*p == '.')
			continue;
		if (count == DIGITS_SURE) {
			d.has_more = true;
			d.exponent++;
			continue;
		}
		d.mantissa = d.mantissa * 10 + (uint64_t)(*p - '0');
		count++;
	}
	return d;
}

/*
 * A text without point for strtod, so that the locale has no say: at most DIGITS_DECIDING digits, a last '1' for
 * those left out, and the exponent.
 */
static void long_text(const char *first, const char *last, int64_t exponent, char *out)
{
	const char *p = first;
	bool rest = false;
	size_t count = 0;

	while (p < last && (*p == '0' || *p == '.'))
		p++;
	for (; p < last; p++) {
		if (*p == '.')
			continue;
		if (count < DIGITS_DECIDING) {
			out[count++] = *p;
			continue;
		}
		rest |= *p != '0';
		exponent++;
	}
	if (rest) {
		out[count++] = '1';
		exponent--;
	}
	exponent = MAX(MIN(exponent, EXPONENT_FAR), -EXPONENT_FAR);
	out[count++] = 'e';
	*number_print_int64(out + count, exponent) = 0;
}

#define LONG_TEXT_SIZE (DIGITS_DECIDING + 1 + NUMBER_TEXT_MAX + 2)

/* The bits without sign. When the value for 19 digits and the next above agree, no further digit matters. */
static __attribute__((noinline)) uint64_t long_to_binary64(const char *first, const char *last, int64_t exponent)
{
	struct long_decimal d = shorten(first, last, exponent);
	uint64_t bits = eisel_lemire(d.mantissa, d.exponent, binary64);
	char text[LONG_TEXT_SIZE];
	double value;

	if (d.has_more && bits != eisel_lemire(d.mantissa + 1, d.exponent, binary64)) {
		long_text(first, last, exponent, text);
		value = strtod(text, NULL);
		memcpy(&bits, &value, sizeof(bits));
	}
	return bits;
}

static __attribute__((noinline)) uint32_t long_to_binary32(const char *first, const char *last, int64_t exponent)
{
	struct long_decimal d = shorten(first, last, exponent);
	uint32_t bits = (uint32_t)eisel_lemire(d.mantissa, d.exponent, binary32);
	char text[LONG_TEXT_SIZE];
	float value;

	if (d.has_more && bits != eisel_lemire(d.mantissa + 1, d.exponent, binary32)) {
		long_text(first, last, exponent, text);
		value = strtof(text, NULL);
		memcpy(&bits, &value, sizeof(bits));
	}
	return bits;
}

ALWAYS_INLINE double to_double(const struct decimal *d)
{
	static const double exact_tens[23] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
					       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	double value;
	uint64_t bits;

	/* Both sides exact in a double, so one operation rounds once (Clinger 1990). */
	if (d->mantissa <= UINT64_C(1) << 53 && d->exponent >= -22 && d->exponent <= 22 && !d->is_long) {
		value = (double)(int64_t)d->mantissa;
		value = d->exponent < 0 ? value / exact_tens[-d->exponent] : value * exact_tens[d->exponent];
	} else {
		bits = UNLIKELY(d->is_long) ? long_to_binary64(d->first, d->last, d->exponent)
					    : eisel_lemire(d->mantissa, d->exponent, binary64);
		memcpy(&value, &bits, sizeof(value));
	}
	return d->is_negative ? -value : value;
}

ALWAYS_INLINE float to_float(const struct decimal *d)
{
	static const float exact_tens[11] = { 1e0F, 1e1F, 1e2F, 1e3F, 1e4F, 1e5F, 1e6F, 1e7F, 1e8F, 1e9F, 1e10F };
	float value;
	uint32_t bits;

	if (d->mantissa <= UINT64_C(1) << 24 && d->exponent >= -10 && d->exponent <= 10 && !d->is_long) {
		value = (float)(int32_t)d->mantissa;
		value = d->exponent < 0 ? value / exact_tens[-d->exponent] : value * exact_tens[d->exponent];
	} else {
		bits = UNLIKELY(d->is_long) ? long_to_binary32(d->first, d->last, d->exponent)
					    : (uint32_t)eisel_lemire(d->mantissa, d->exponent, binary32);
		memcpy(&value, &bits, sizeof(value));
	}
	return d->is_negative ? -value : value;
}

/* ---- entries ---- */

/* An integer of 20 digits may still fit uint64_t. */
static bool read_uint64(const char *p, const char *end, uint64_t *ret)
{
	uint64_t value = 0;

	for (; p < end; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	*ret = value;
	return true;
}

/* The integer `value`, with its sign; false when only a double holds it, as for "-0". */
ALWAYS_INLINE bool set_integer(uint64_t value, bool is_negative, struct number *ret)
{
	if (is_negative) {
		if (value == 0 || value > (uint64_t)INT64_MAX + 1)
			return false;
		value = 0 - value;
	}
	ret->kind = is_negative || value <= INT64_MAX ? NUMBER_INT : NUMBER_UINT;
	ret->u = value;
	return true;
}

static __attribute__((noinline)) bool read_long_integer(const char *first, const char *last, bool is_negative,
							struct number *ret)
{
	uint64_t value;

	return read_uint64(first, last, &value) && set_integer(value, is_negative, ret);
}

const char *number_scan(const char *p, const char *end, struct number *ret)
{
	struct decimal d;

	p = scan_decimal(p, end, GRAMMAR_JSON, &d);
	if (!p)
		return NULL;
	if (d.is_integer && (UNLIKELY(d.is_long) ? read_long_integer(d.first, d.last, d.is_negative, ret)
						 : set_integer(d.mantissa, d.is_negative, ret)))
		return p;
	ret->kind = NUMBER_DOUBLE;
	ret->d = to_double(&d);
	return p;
}

const char *number_scan_double(const char *p, const char *end, double *ret)
{
	struct decimal d;

	p = scan_decimal(p, end, GRAMMAR_JSON, &d);
	if (p)
		*ret = to_double(&d);
	return p;
}

static bool has_word(const char *p, const char *end, struct span word)
{
	return (size_t)(end - p) >= word.len && span_equal_ignore_case(span_from(p, word.len), word);
}

/* "nan", "inf" and "infinity" with sign, in any case. */
static const char *scan_special(const char *p, const char *end, double *ret)
{
	bool is_negative = p < end && *p == '-';
	double value;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (has_word(p, end, SPAN("nan"))) {
		value = NAN;
		p += 3;
	} else if (has_word(p, end, SPAN("inf"))) {
		value = INFINITY;
		p += has_word(p, end, SPAN("infinity")) ? 8 : 3;
	} else {
		return NULL;
	}
	*ret = is_negative ? -value : value;
	return p;
}

const char *number_scan_lenient(const char *p, const char *end, double *ret)
{
	struct decimal d;
	const char *after = scan_decimal(p, end, GRAMMAR_LENIENT, &d);

	if (!after)
		return scan_special(p, end, ret);
	*ret = to_double(&d);
	return after;
}

const char *number_scan_float(const char *p, const char *end, float *ret)
{
	struct decimal d;
	const char *after = scan_decimal(p, end, GRAMMAR_LENIENT, &d);
	double special;

	if (LIKELY(after != NULL)) {
		*ret = to_float(&d);
		return after;
	}
	after = scan_special(p, end, &special);
	if (after)
		*ret = (float)special;
	return after;
}

bool number_parse_double(struct span s, double *ret)
{
	const char *end = s.ptr + s.len;
	double value;

	if (s.len == 0 || number_scan_lenient(s.ptr, end, &value) != end)
		return false;
	*ret = value;
	return true;
}

bool number_parse_uint64(struct span s, uint64_t *ret)
{
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]))
			return false;
	return read_uint64(s.ptr, s.ptr + s.len, ret);
}

bool number_parse_int64(struct span s, int64_t *ret)
{
	bool is_negative = s.len > 0 && s.ptr[0] == '-';
	uint64_t value;

	if (!number_parse_uint64(is_negative ? span_skip(s, 1) : s, &value) ||
	    value > (uint64_t)INT64_MAX + is_negative)
		return false;
	*ret = is_negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

/* ---- integers to text ---- */

/* Eight digits of a value below 10^8, the first in the low byte, less '0'. */
ALWAYS_INLINE uint64_t split_eight(uint32_t value)
{
	uint64_t parts = value / 10000 | (uint64_t)(value % 10000) << 32;
	uint64_t tops;

	/* Multiplying by 10486 / 2^20 and 103 / 2^10 divides by 100 and by 10 exactly in these ranges. */
	tops = (parts * 10486 >> 20) & UINT64_C(0x0000007F0000007F);
	parts = tops | (parts - tops * 100) << 16;
	tops = (parts * 103 >> 10) & UINT64_C(0x000F000F000F000F);
	return tops | (parts - tops * 10) << 8;
}

#define ASCII_ZEROS UINT64_C(0x3030303030303030)

/* At most eight digits, without leading zeros. Writes 8 bytes. */
ALWAYS_INLINE char *print_up_to_eight(char *out, uint32_t value)
{
	uint64_t digits = split_eight(value);
	unsigned skip = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;

	digits = (digits | ASCII_ZEROS) >> 8 * skip;
	memcpy(out, &digits, 8);
	return out + 8 - skip;
}

ALWAYS_INLINE char *print_eight(char *out, uint32_t value)
{
	uint64_t digits = split_eight(value) | ASCII_ZEROS;

	memcpy(out, &digits, 8);
	return out + 8;
}

char *number_print_uint64(char *out, uint64_t value)
{
	if (value < 1000) {
		memcpy(out, number_small_text[value], 4);
		return out + number_small_text[value][3];
	}
	if (value < 100000000)
		return print_up_to_eight(out, (uint32_t)value);
	if (value < UINT64_C(10000000000000000)) {
		out = print_up_to_eight(out, (uint32_t)(value / 100000000));
		return print_eight(out, (uint32_t)(value % 100000000));
	}
	out = print_up_to_eight(out, (uint32_t)(value / UINT64_C(10000000000000000)));
	value %= UINT64_C(10000000000000000);
	out = print_eight(out, (uint32_t)(value / 100000000));
	return print_eight(out, (uint32_t)(value % 100000000));
}

char *number_print_int64(char *out, int64_t value)
{
	if (value < 0) {
		*out++ = '-';
		return number_print_uint64(out, 0 - (uint64_t)value);
	}
	return number_print_uint64(out, (uint64_t)value);
}

/* ---- binary to shortest decimal ---- */

/* floor(log10(2^e)), or of 3/4 * 2^e; floor(log2(10^e)). Fixed point, exact in the ranges used (Giulietti 2020, 8). */
static int floor_log10_pow2(int e, bool three_quarters)
{
	return (e * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

static int floor_log2_pow10(int e)
{
	return (e * 1741647) >> 19;
}

/* The product's top 64 bits, with the lowest set when any bit below is: enough to compare with halves and quarters. */
ALWAYS_INLINE uint64_t round_to_odd(uint64_t high, uint64_t low, uint64_t factor)
{
	uint128 product = (uint128)high * factor + (uint64_t)((uint128)low * factor >> 64);

	return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

/* The same with a 64-bit power, for floats. */
ALWAYS_INLINE uint32_t round_to_odd_32(uint64_t power, uint32_t factor)
{
	uint128 product = (uint128)power * factor;

	return (uint32_t)(product >> 64) | ((uint32_t)((uint64_t)product >> 32) > 1);
}

struct digits {
	uint64_t value;
	int exponent;
};

/*
 * Schubfach's choice. The number is `middle` quarters, the numbers that round to it lie between `lower` and `upper`
 * quarters of 10^k. One multiple of 10^(k+1) in between wins; else the multiple of 10^k nearest to the number.
 */
ALWAYS_INLINE struct digits choose(uint64_t lower, uint64_t middle, uint64_t upper, int k)
{
	uint64_t s = middle / 4;
	uint64_t shorter = s / 10;
	bool below, above;

	below = lower <= 40 * shorter;
	above = 40 * shorter + 40 <= upper;
	if (s >= 10 && below != above)
		return (struct digits){ shorter + above, k + 1 };
	below = lower <= 4 * s;
	above = 4 * s + 4 <= upper;
	if (below != above)
		return (struct digits){ s + above, k };
	return (struct digits){ s + (middle + (s & 1) > 4 * s + 2), k };
}

/* The power 10^e in 128 bits, rounded up unless exact, as Schubfach wants it. */
ALWAYS_INLINE void ceiling_power(int e, uint64_t *high, uint64_t *low)
{
	const uint64_t *power = powers_of_five[e - POWER_LEAST];

	*high = power[0];
	*low = power[1] + (e < -27 || e > 55);
}

ALWAYS_INLINE struct digits shortest_double(uint64_t fraction, int biased)
{
	uint64_t c = biased ? fraction | UINT64_C(1) << 52 : fraction;
	int q = (biased ? biased : 1) - 1075;
	uint64_t odd = c & 1;
	bool is_power = fraction == 0 && biased > 1; /* the gap below is half the gap above */
	int k = floor_log10_pow2(q, is_power);
	int h = q + floor_log2_pow10(-k) + 1;
	uint64_t high, low;

	ceiling_power(-k, &high, &low);
	return choose(round_to_odd(high, low, (4 * c - 2 + is_power) << h) + odd, round_to_odd(high, low, 4 * c << h),
		      round_to_odd(high, low, (4 * c + 2) << h) - odd, k);
}

ALWAYS_INLINE struct digits shortest_float(uint32_t fraction, int biased)
{
	uint32_t c = biased ? fraction | UINT32_C(1) << 23 : fraction;
	int q = (biased ? biased : 1) - 150;
	uint32_t odd = c & 1;
	bool is_power = fraction == 0 && biased > 1;
	int k = floor_log10_pow2(q, is_power);
	int h = q + floor_log2_pow10(-k) + 1;
	const uint64_t *power = powers_of_five[-k - POWER_LEAST];
	/* Rounded up to 64 bits unless exact: the 128-bit entry's low half says which. */
	uint64_t high = power[0] + (power[1] != 0);

	return choose(round_to_odd_32(high, (4 * c - 2 + is_power) << h) + odd, round_to_odd_32(high, 4 * c << h),
		      round_to_odd_32(high, (4 * c + 2) << h) - odd, k);
}

/* Of a value that is not 0. Most doubles have 15 to 17 digits, most floats 7 to 9. */
ALWAYS_INLINE int digit_count(uint64_t value)
{
	int length;

	if (LIKELY(value >= UINT64_C(100000000000000)))
		return 15 + (value >= UINT64_C(1000000000000000)) + (value >= UINT64_C(10000000000000000));
	if (LIKELY(value >= 1000000 && value < UINT64_C(10000000000)))
		return 7 + (value >= 10000000) + (value >= 100000000) + (value >= 1000000000);
	length = (64 - __builtin_clzll(value)) * 1233 >> 12; /* log10(2) in 12 bits: at most one too small */
	return length + (value >= tens[length]);
}

/* How many of eight split digits, not all 0, are zeros at the end. (Counting from below is the faster instruction.) */
ALWAYS_INLINE int last_zeros(uint64_t digits)
{
	return __builtin_ctzll(__builtin_bswap64(digits)) / 8;
}

/*
 * Lays out `d` as Python's repr does: fixed for 1e-4 <= value < 1e16, else with an exponent of at least two digits.
 * All 17 digits are written each time, as three words; the count of significant ones only moves the end.
 */
static char *lay_out(char *out, struct digits d)
{
	int length = digit_count(d.value);
	int point = length + d.exponent;
	uint64_t value = d.value * tens[17 - length];
	uint32_t upper = (uint32_t)(value / 100000000); /* nine digits */
	uint32_t first = upper / 100000000;
	uint64_t low = split_eight((uint32_t)(value % 100000000));
	uint64_t high = split_eight(upper - first * 100000000);
	int count = low ? 17 - last_zeros(low) : high ? 9 - last_zeros(high) : 1;
	char top = (char)('0' + first);

	high |= ASCII_ZEROS;
	low |= ASCII_ZEROS;

	if (point > -4 && point <= 0) {
		memcpy(out, "0.000000", 8);
		out += 2 - point;
		*out = top;
		memcpy(out + 1, &high, 8);
		memcpy(out + 9, &low, 8);
		return out + count;
	}
	if (point > 1 && point <= 16) {
		char text[24];

		text[0] = top;
		memcpy(text + 1, &high, 8);
		memcpy(text + 9, &low, 8);
		memcpy(text + 17, "0000000", 7);
		memcpy(out, text, 16);
		out[point] = '.';
		memcpy(out + point + 1, text + point, 8);
		if (point <= 8)
			memcpy(out + point + 9, text + point + 8, 8);
		return out + 1 + (count > point ? count : point + 1);
	}
	out[0] = top;
	out[1] = '.';
	memcpy(out + 2, &high, 8);
	memcpy(out + 10, &low, 8);
	if (point == 1)
		return out + 1 + (count > 1 ? count : 2);
	out += count > 1 ? count + 1 : 1;
	point--;
	*out++ = 'e';
	*out++ = point < 0 ? '-' : '+';
	point = point < 0 ? -point : point;
	if (point < 10)
		*out++ = '0';
	return number_print_uint64(out, (uint64_t)point);
}

static char *print_special(char *out, bool is_nan)
{
	memcpy(out, is_nan ? "nan" : "inf", 3);
	return out + 3;
}

ALWAYS_INLINE char *print_whole(char *out, uint64_t value)
{
	out = number_print_uint64(out, value);
	memcpy(out, ".0", 2);
	return out + 2;
}

char *number_print_double(char *out, double value)
{
	uint64_t bits;
	int64_t whole;
	int biased;

	memcpy(&bits, &value, sizeof(bits));
	biased = (int)(bits >> 52 & 0x7FF);
	if (UNLIKELY(biased == 0x7FF && bits << 12))
		return print_special(out, true);
	*out = '-';
	out += bits >> 63;
	bits = bits << 1 >> 1;
	if (biased < 1023 + 53 && bits) {
		memcpy(&value, &bits, sizeof(value));
		whole = (int64_t)value;
		if ((double)whole == value)
			return print_whole(out, (uint64_t)whole);
	} else if (biased == 0x7FF) {
		return print_special(out, false);
	} else if (bits == 0) {
		return print_whole(out, 0);
	}
	return lay_out(out, shortest_double(bits << 12 >> 12, biased));
}

char *number_print_float(char *out, float value)
{
	uint32_t bits;
	int32_t whole;
	int biased;

	memcpy(&bits, &value, sizeof(bits));
	biased = (int)(bits >> 23 & 0xFF);
	if (UNLIKELY(biased == 0xFF && bits << 9))
		return print_special(out, true);
	*out = '-';
	out += bits >> 31;
	bits = bits << 1 >> 1;
	if (biased < 127 + 24 && bits) {
		memcpy(&value, &bits, sizeof(value));
		whole = (int32_t)value;
		if ((float)whole == value)
			return print_whole(out, (uint64_t)whole);
	} else if (biased == 0xFF) {
		return print_special(out, false);
	} else if (bits == 0) {
		return print_whole(out, 0);
	}
	return lay_out(out, shortest_float(bits << 9 >> 9, biased));
}
