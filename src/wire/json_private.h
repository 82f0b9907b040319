/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* json_private - what the files of the JSON reader and writer share. */
#include "wire/json.h"

#include "base/ascii.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* "line 1, column 14: expected ',' or '}', found 'x'": what stands at j->at is not what was expected. False. */
bool json_fail_expected(struct json *j, const char *expected, struct error *err) __attribute__((cold));

/* "line 1, column 14: " and a statement. False. */
bool json_fail_with(struct json *j, const char *what, struct error *err) __attribute__((cold));

/* err is set (the arena's limit was passed): the reader stops. False. */
static inline bool json_fail_as_set(struct json *j)
{
	j->failed = true;
	return false;
}

ALWAYS_INLINE const char *skip_space(const char *p, const char *end)
{
	while (p < end && UNLIKELY((unsigned char)*p <= ' ') && ascii_is_space(*p))
		p++;
	return p;
}

/* The first byte at or behind `p` that a string cannot pass over blindly: quote, backslash, control or not ASCII. */
ALWAYS_INLINE const char *find_special(const char *p, const char *end)
{
#ifdef __SSE2__
	/* As signed bytes, all beyond ASCII are negative and so below the space, as the controls are. */
	const __m128i space = _mm_set1_epi8(' '), quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');

	for (; end - p >= 16; p += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i special =
		    _mm_or_si128(_mm_cmplt_epi8(bytes, space),
				 _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, escape)));
		unsigned mask = (unsigned)_mm_movemask_epi8(special);

		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	for (; p < end; p++)
		if (*p == '"' || *p == '\\' || (signed char)*p < ' ')
			break;
	return p;
}

enum {
	JSON_BLOCK = 64,      /* bytes of text whose digits one mask tells */
	JSON_BLOCK_SLACK = 8, /* bytes that may be read behind a block */
};

/* One bit for each of the 64 bytes at `p`, set where no digit stands, and where a '0' stands. */
struct json_masks {
	uint64_t others, zeros;
};

ALWAYS_INLINE struct json_masks json_find_others(const char *p)
{
	struct json_masks masks = { 0, 0 };

#ifdef __SSE2__
	const __m128i ascii = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9), zero = _mm_setzero_si128();

	for (size_t i = 0; i < 4; i++) {
		__m128i bytes = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), ascii);
		__m128i small = _mm_cmpeq_epi8(_mm_min_epu8(bytes, nine), bytes);

		masks.others |= (uint64_t)(unsigned)_mm_movemask_epi8(small) << 16 * i;
		masks.zeros |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, zero)) << 16 * i;
	}
	masks.others = ~masks.others;
#else
	for (int i = 0; i < 8; i++) {
		const uint64_t low_bits = UINT64_C(0x7F7F7F7F7F7F7F7F), top_bits = ~low_bits;
		const uint64_t gather = UINT64_C(0x0102040810204080); /* eight top bits into the top byte */
		uint64_t word;

		memcpy(&word, p + 8 * i, 8);
		word ^= UINT64_C(0x3030303030303030);
		masks.others |=
		    (((((word & low_bits) + UINT64_C(0x7676767676767676)) | word) & top_bits) >> 7) * gather >>
		    56 << 8 * i;
		masks.zeros |= ((~(((word & low_bits) + low_bits) | word) & top_bits) >> 7) * gather >> 56 << 8 * i;
	}
#endif
	return masks;
}

/* Set where a run of digits starts with a zero and goes on: no number in JSON. The byte before `p` is no digit. */
ALWAYS_INLINE uint64_t json_leading_zeros(struct json_masks masks)
{
	return masks.zeros & (masks.others << 1 | 1) & ~masks.others >> 1;
}

/* Any number at j->at, also NaN and the infinities where they are allowed. */
bool json_read_number_slow(struct json *j, struct number *ret, struct error *err);

ALWAYS_INLINE bool is_delimiter(char c)
{
	return c == ',' || c == '}' || c == ']';
}

/* The same, with a short way for a single digit, the most frequent number of all. */
ALWAYS_INLINE bool json_read_number_here(struct json *j, struct number *ret, struct error *err)
{
	const char *p = j->at;

	if (j->end - p >= 2 && ascii_is_digit(p[0]) && is_delimiter(p[1])) {
		ret->kind = NUMBER_INT;
		ret->i = p[0] - '0';
		j->at = p + 1;
		return true;
	}
	return json_read_number_slow(j, ret, err);
}

static inline double json_as_double(const struct number *n)
{
	return n->kind == NUMBER_INT ? (double)n->i : n->kind == NUMBER_UINT ? (double)n->u : n->d;
}
