/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json.h"

#include <math.h>

#include "wire/json_private.h"

/* Room for `n` bytes and a comma, which is put if due. */
ALWAYS_INLINE char *begin(struct json_writer *w, size_t n)
{
	char *to = buffer_reserve(w->out, n + 1);

	if (LIKELY(to != NULL)) {
		*to = ',';
		to += w->comma;
	}
	w->comma = true;
	return to;
}

ALWAYS_INLINE void commit(struct json_writer *w, const char *to)
{
	w->out->len = (size_t)(to - w->out->ptr);
}

static void open_container(struct json_writer *w, char c)
{
	char *to = begin(w, 1);

	w->comma = false;
	if (to) {
		*to++ = c;
		commit(w, to);
	}
}

static void close_container(struct json_writer *w, char c)
{
	w->comma = true;
	buffer_byte(w->out, c);
}

void json_open_object(struct json_writer *w)
{
	open_container(w, '{');
}

void json_close_object(struct json_writer *w)
{
	close_container(w, '}');
}

void json_open_array(struct json_writer *w)
{
	open_container(w, '[');
}

void json_close_array(struct json_writer *w)
{
	close_container(w, ']');
}

/* A quote, backslash or control character. `out` has room for six bytes. */
static char *put_escaped(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char names[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };

	*out++ = '\\';
	if (c >= 0x20) {
		*out++ = (char)c;
	} else if (names[c]) {
		*out++ = names[c];
	} else {
		memcpy(out, "u00", 3);
		out[3] = hex[c >> 4];
		out[4] = hex[c & 15];
		out += 5;
	}
	return out;
}

/* The length of the UTF-8 character at `p`, or 0 when none stands there. */
static size_t character_length(const char *p, const char *end)
{
	unsigned char c = (unsigned char)*p;
	size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

	return (size_t)(end - p) >= len && span_is_utf8(span_from(p, len)) ? len : 0;
}

static void put_special_string(struct buffer *out, const char *p, const char *end)
{
	while (p < end) {
		const char *run = p;
		size_t len;
		char *to;

		p = find_special(p, end);
		buffer_append(out, span_from(run, (size_t)(p - run)));
		if (p == end)
			break;
		if ((unsigned char)*p < 0x80) {
			to = buffer_reserve(out, 6);
			if (!to)
				return;
			buffer_commit(out, (size_t)(put_escaped(to, (unsigned char)*p++) - to));
			continue;
		}
		len = character_length(p, end);
		buffer_append(out, len ? span_from(p, len) : SPAN("\xEF\xBF\xBD"));
		p += len ? len : 1;
	}
}

/* The string in quotes, and `tail` behind it. */
ALWAYS_INLINE void put_string(struct json_writer *w, struct span s, struct span tail)
{
	const char *end = s.len ? s.ptr + s.len : s.ptr; /* which may be NULL */
	char *to;

	if (LIKELY(s.len == 0 || find_special(s.ptr, end) == end)) {
		size_t size;

		to = checked_add(s.len, 2 + tail.len, &size) ? begin(w, size) : NULL;
		if (!to) {
			w->out->overflow = true;
			return;
		}
		*to++ = '"';
		if (s.len)
			memcpy(to, s.ptr, s.len);
		to += s.len;
		*to++ = '"';
		memcpy(to, tail.ptr, tail.len);
		commit(w, to + tail.len);
		return;
	}
	to = begin(w, 1);
	if (!to)
		return;
	*to++ = '"';
	commit(w, to);
	put_special_string(w->out, s.ptr, end);
	buffer_byte(w->out, '"');
	buffer_append(w->out, tail);
}

void json_key(struct json_writer *w, struct span key)
{
	put_string(w, key, SPAN(":"));
	w->comma = false;
}

void json_string(struct json_writer *w, struct span s)
{
	put_string(w, s, SPAN(""));
}

void json_raw(struct json_writer *w, struct span text)
{
	char *to = begin(w, text.len);

	if (!to)
		return;
	if (text.len)
		memcpy(to, text.ptr, text.len);
	commit(w, to + text.len);
}

void json_bool(struct json_writer *w, bool value)
{
	json_raw(w, value ? SPAN("true") : SPAN("false"));
}

void json_null(struct json_writer *w)
{
	json_raw(w, SPAN("null"));
}

void json_int64(struct json_writer *w, int64_t value)
{
	char *to = begin(w, NUMBER_TEXT_MAX);

	if (to)
		commit(w, number_print_int64(to, value));
}

void json_uint64(struct json_writer *w, uint64_t value)
{
	char *to = begin(w, NUMBER_TEXT_MAX);

	if (to)
		commit(w, number_print_uint64(to, value));
}

static __attribute__((cold)) char *put_nonfinite(char *to, double value, enum json_nonfinite how)
{
	struct span text = how == JSON_NONFINITE_NULL ? SPAN("null")
			   : isnan(value)             ? SPAN("NaN")
			   : value < 0                ? SPAN("-Infinity")
						      : SPAN("Infinity");

	memcpy(to, text.ptr, text.len);
	return to + text.len;
}

ALWAYS_INLINE char *put_double(char *to, double value, enum json_nonfinite how)
{
	return LIKELY(isfinite(value)) ? number_print_double(to, value) : put_nonfinite(to, value, how);
}

ALWAYS_INLINE char *put_float(char *to, float value, enum json_nonfinite how)
{
	return LIKELY(isfinite(value)) ? number_print_float(to, value) : put_nonfinite(to, (double)value, how);
}

void json_double(struct json_writer *w, double value)
{
	char *to = begin(w, NUMBER_TEXT_MAX);

	if (to)
		commit(w, put_double(to, value, w->nonfinite));
}

void json_float(struct json_writer *w, float value)
{
	char *to = begin(w, NUMBER_TEXT_MAX);

	if (to)
		commit(w, put_float(to, value, w->nonfinite));
}

/* ---- arrays of numbers ---- */

enum { CHUNK_NUMBERS = 256 }; /* printed between two looks at the buffer's room */

ALWAYS_INLINE char *put_uint64(char *to, uint64_t value)
{
	if (LIKELY(value < 1000)) {
		memcpy(to, number_small_text[value], 4);
		return to + number_small_text[value][3];
	}
	return number_print_uint64(to, value);
}

ALWAYS_INLINE char *put_int64(char *to, int64_t value)
{
	if (UNLIKELY(value < 0))
		return number_print_int64(to, value);
	return put_uint64(to, (uint64_t)value);
}

/* Whole numbers below 1000, in both widths: pixels, classes, counts. The bits are compared so that -0.0 keeps its sign.
 */
ALWAYS_INLINE char *put_small_whole(char *to, int32_t whole)
{
	memcpy(to, number_small_text[whole], 4);
	to += number_small_text[whole][3];
	memcpy(to, ".0", 2);
	return to + 2;
}

/* Bits are compared, so that -0 is not taken for 0. */
ALWAYS_INLINE uint64_t f64_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

ALWAYS_INLINE uint32_t f32_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

ALWAYS_INLINE char *put_f64(char *to, double value, enum json_nonfinite how)
{
	if (value >= 0 && value < 1000) {
		int32_t whole = (int32_t)value;
		double back = whole;

		if (f64_bits(back) == f64_bits(value))
			return put_small_whole(to, whole);
	}
	return put_double(to, value, how);
}

ALWAYS_INLINE char *put_f32(char *to, float value, enum json_nonfinite how)
{
	if (value >= 0 && value < 1000) {
		int32_t whole = (int32_t)value;
		float back = (float)whole;

		if (f32_bits(back) == f32_bits(value))
			return put_small_whole(to, whole);
	}
	return put_float(to, value, how);
}

ALWAYS_INLINE char *put_number(char *to, enum json_number_type type, const void *data, size_t i,
			       enum json_nonfinite how)
{
	switch (type) {
	case JSON_I8:
		return put_int64(to, ((const int8_t *)data)[i]);
	case JSON_U8:
		return put_uint64(to, ((const uint8_t *)data)[i]);
	case JSON_I16:
		return put_int64(to, ((const int16_t *)data)[i]);
	case JSON_U16:
		return put_uint64(to, ((const uint16_t *)data)[i]);
	case JSON_I32:
		return put_int64(to, ((const int32_t *)data)[i]);
	case JSON_U32:
		return put_uint64(to, ((const uint32_t *)data)[i]);
	case JSON_I64:
		return put_int64(to, ((const int64_t *)data)[i]);
	case JSON_U64:
		return put_uint64(to, ((const uint64_t *)data)[i]);
	case JSON_F32:
		return put_f32(to, ((const float *)data)[i], how);
	case JSON_F64:
		return put_f64(to, ((const double *)data)[i], how);
	}
	return to;
}

/*
 * `rows` lists of `length` numbers (at least one) with commas between: "1,2],[3,4" without the outer brackets. Looks at
 * the buffer's room once for many numbers. False when the limit was passed.
 */
ALWAYS_INLINE bool put_rows(struct json_writer *w, enum json_number_type type, const void *data, size_t rows,
			    size_t length)
{
	const enum json_nonfinite how = w->nonfinite;
	size_t column = 0, row = 0, i = 0;

	for (;;) {
		size_t left = MIN((size_t)CHUNK_NUMBERS, rows * length - i);
		char *to = buffer_reserve(w->out, left * (NUMBER_TEXT_MAX + 3));

		if (!to)
			return false;
		while (left) {
			size_t end = MIN(length, column + left);

			left -= end - column;
			for (; column < end; column++) {
				to = put_number(to, type, data, i++, how);
				*to++ = ',';
			}
			if (column < length)
				break;
			column = 0;
			if (++row == rows) {
				commit(w, to - 1);
				return true;
			}
			memcpy(to - 1, "],[", 4);
			to += 2;
		}
		commit(w, to);
	}
}

/* One copy of the loop for each type. */
static bool put_rows_of(struct json_writer *w, enum json_number_type type, const void *data, size_t rows, size_t length)
{
	switch (type) {
#define ROWS_CASE(t)                                                                                                   \
	case t:                                                                                                        \
		return put_rows(w, t, data, rows, length)
		ROWS_CASE(JSON_I8);
		ROWS_CASE(JSON_U8);
		ROWS_CASE(JSON_I16);
		ROWS_CASE(JSON_U16);
		ROWS_CASE(JSON_I32);
		ROWS_CASE(JSON_U32);
		ROWS_CASE(JSON_I64);
		ROWS_CASE(JSON_U64);
		ROWS_CASE(JSON_F32);
		ROWS_CASE(JSON_F64);
#undef ROWS_CASE
	}
	return false;
}

static size_t number_size(enum json_number_type type)
{
	switch (type) {
	case JSON_I8:
	case JSON_U8:
		return 1;
	case JSON_I16:
	case JSON_U16:
		return 2;
	case JSON_I32:
	case JSON_U32:
	case JSON_F32:
		return 4;
	case JSON_I64:
	case JSON_U64:
	case JSON_F64:
		return 8;
	}
	return 0;
}

/* Lists in lists; returns where the data of the next list stands. */
static const char *put_lists(struct json_writer *w, enum json_number_type type, const char *data, int rank,
			     const int64_t *shape)
{
	size_t length = (size_t)shape[0];
	size_t rows = rank == 2 ? length : 1;

	buffer_byte(w->out, '[');
	if (rank <= 2 && length && shape[rank - 1]) {
		length = (size_t)shape[rank - 1];
		if (rank == 2)
			buffer_byte(w->out, '[');
		if (!put_rows_of(w, type, data, rows, length))
			return data;
		data += rows * length * number_size(type);
		if (rank == 2)
			buffer_byte(w->out, ']');
	} else if (rank > 1) {
		for (size_t i = 0; i < length && !w->out->overflow; i++) {
			if (i)
				buffer_byte(w->out, ',');
			data = put_lists(w, type, data, rank - 1, shape + 1);
		}
	}
	buffer_byte(w->out, ']');
	return data;
}

void json_numbers(struct json_writer *w, enum json_number_type type, const void *data, int rank, const int64_t *shape)
{
	char *to = begin(w, NUMBER_TEXT_MAX);

	if (!to)
		return;
	ASSERT(rank >= 0 && rank <= JSON_RANK_MAX);
	if (rank == 0)
		to = put_number(to, type, data, 0, w->nonfinite);
	commit(w, to);
	if (rank > 0)
		put_lists(w, type, data, rank, shape);
}
