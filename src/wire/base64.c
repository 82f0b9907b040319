/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/base64.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Marks a digit's value, so that other bytes can be left out of the table. */
#define IS_DIGIT 0x40
#define D(value) (IS_DIGIT | (value))

/* The values of the digits of both alphabets. */
static const uint8_t values[256] = {
	['A'] = D(0),  ['B'] = D(1),  ['C'] = D(2),  ['D'] = D(3),  ['E'] = D(4),  ['F'] = D(5),  ['G'] = D(6),
	['H'] = D(7),  ['I'] = D(8),  ['J'] = D(9),  ['K'] = D(10), ['L'] = D(11), ['M'] = D(12), ['N'] = D(13),
	['O'] = D(14), ['P'] = D(15), ['Q'] = D(16), ['R'] = D(17), ['S'] = D(18), ['T'] = D(19), ['U'] = D(20),
	['V'] = D(21), ['W'] = D(22), ['X'] = D(23), ['Y'] = D(24), ['Z'] = D(25), ['a'] = D(26), ['b'] = D(27),
	['c'] = D(28), ['d'] = D(29), ['e'] = D(30), ['f'] = D(31), ['g'] = D(32), ['h'] = D(33), ['i'] = D(34),
	['j'] = D(35), ['k'] = D(36), ['l'] = D(37), ['m'] = D(38), ['n'] = D(39), ['o'] = D(40), ['p'] = D(41),
	['q'] = D(42), ['r'] = D(43), ['s'] = D(44), ['t'] = D(45), ['u'] = D(46), ['v'] = D(47), ['w'] = D(48),
	['x'] = D(49), ['y'] = D(50), ['z'] = D(51), ['0'] = D(52), ['1'] = D(53), ['2'] = D(54), ['3'] = D(55),
	['4'] = D(56), ['5'] = D(57), ['6'] = D(58), ['7'] = D(59), ['8'] = D(60), ['9'] = D(61), ['+'] = D(62),
	['-'] = D(62), ['/'] = D(63), ['_'] = D(63)
};

#undef D

#define MARKS ((uint32_t)IS_DIGIT << 18 | IS_DIGIT << 12 | IS_DIGIT << 6 | IS_DIGIT) /* of a group of four */

void base64_write(struct buffer *out, struct span bytes)
{
	const uint8_t *p = (const uint8_t *)bytes.ptr;
	size_t size, left = bytes.len;
	char *to;

	if (!checked_mul(left / 3 + (left % 3 != 0), 4, &size)) {
		out->overflow = true;
		return;
	}
	to = size ? buffer_reserve(out, size) : NULL;
	if (!to)
		return;
	for (; left >= 3; left -= 3, p += 3, to += 4) {
		uint32_t group = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

		to[0] = alphabet[group >> 18];
		to[1] = alphabet[group >> 12 & 63];
		to[2] = alphabet[group >> 6 & 63];
		to[3] = alphabet[group & 63];
	}
	if (left) {
		uint32_t group = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);

		to[0] = alphabet[group >> 18];
		to[1] = alphabet[group >> 12 & 63];
		to[2] = left == 2 ? alphabet[group >> 6 & 63] : '=';
		to[3] = '=';
	}
	buffer_commit(out, size);
}

static __attribute__((cold)) bool bad_digit(struct span text, size_t from, struct error *err)
{
	size_t i = from;

	while (i < text.len && values[(uint8_t)text.ptr[i]])
		i++;
	if (i < text.len && text.ptr[i] == '=')
		return error_set(err, ERROR_INVALID,
				 "base64: padding '=' at offset %zu, where more data or the end was expected", i);
	return error_set(err, ERROR_INVALID, "base64: byte 0x%02x at offset %zu is no base64 digit",
			 i < text.len ? (unsigned)(uint8_t)text.ptr[i] : 0U, i);
}

/* The last one to three bytes: two or three digits, whose spare bits must be zero (RFC 4648 3.5). */
static bool read_tail(struct span text, size_t at, uint8_t *out, struct error *err)
{
	size_t left = text.len - at;
	uint32_t group = 0;

	for (size_t i = 0; i < left; i++) {
		uint8_t value = values[(uint8_t)text.ptr[at + i]];

		if (!value)
			return bad_digit(text, at, err);
		group |= (uint32_t)(value ^ IS_DIGIT) << (18 - 6 * i);
	}
	if (left == 2 ? group & 0xFFFF : group & 0xFF)
		return error_set(err, ERROR_INVALID, "base64: spare bits of the last digit at offset %zu are not zero",
				 text.len - 1);
	out[0] = (uint8_t)(group >> 16);
	if (left == 3)
		out[1] = (uint8_t)(group >> 8);
	return true;
}

bool base64_read(struct span text, struct arena *arena, struct span *ret, struct error *err)
{
	size_t given = text.len;
	size_t at = 0, left, size;
	uint8_t *out, *to;

	/* Padding counts only where it completes a group of four. */
	if (given % 4 == 0 && given && text.ptr[given - 1] == '=')
		text.len -= text.ptr[given - 2] == '=' ? 2 : 1;
	left = text.len % 4;
	size = text.len / 4 * 3 + (left ? left - 1 : 0);
	out = arena_alloc(arena, size, err);
	if (!out)
		return false;
	for (to = out; text.len - at >= 4; at += 4, to += 3) {
		uint32_t a = values[(uint8_t)text.ptr[at]], b = values[(uint8_t)text.ptr[at + 1]];
		uint32_t c = values[(uint8_t)text.ptr[at + 2]], d = values[(uint8_t)text.ptr[at + 3]];
		uint32_t group = (a << 18) + (b << 12) + (c << 6) + d - MARKS;

		if (UNLIKELY(!(a & b & c & d)))
			return bad_digit(text, at, err);
		to[0] = (uint8_t)(group >> 16);
		to[1] = (uint8_t)(group >> 8);
		to[2] = (uint8_t)group;
	}
	if (left == 1 && values[(uint8_t)text.ptr[at]])
		return error_set(err, ERROR_INVALID, "base64: the digit at offset %zu stands alone and holds no byte",
				 at);
	if (left == 1)
		return bad_digit(text, at, err);
	if (left && !read_tail(text, at, to, err))
		return false;
	*ret = span_from(out, size);
	return true;
}
