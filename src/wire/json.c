/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json.h"

#include <math.h>
#include <stdio.h>

#include "base/ascii.h"
#include "wire/json_private.h"

/* state[] of a container that was entered. */
enum { IN_ARRAY = 1, IN_OBJECT = 2, HAS_ITEM = 4 };

/* ---- errors ---- */

struct place {
	size_t line, column;
};

static struct place find_place(const struct json *j)
{
	struct place place = { 1, 1 };

	for (const char *p = j->start; p < j->at; p++) {
		place.column++;
		if (*p == '\n')
			place = (struct place){ place.line + 1, 1 };
	}
	return place;
}

/* "line 1, column 14: expected ',' or '}', found 'x'": what stands at j->at is not what was expected. */
bool json_fail_expected(struct json *j, const char *expected, struct error *err)
{
	struct place place = find_place(j);
	char found[32] = "the end of the text";

	if (j->failed)
		return false;
	j->failed = true;
	if (j->at < j->end) {
		unsigned char c = (unsigned char)*j->at;

		if (c == '\'')
			snprintf(found, sizeof(found), "\"'\"");
		else
			snprintf(found, sizeof(found), c > ' ' && c < 0x7F ? "'%c'" : "byte 0x%02x", c);
	}
	return error_set(err, ERROR_INVALID, "line %zu, column %zu: expected %s, found %s", place.line, place.column,
			 expected, found);
}

/* The same with a statement of its own. */
bool json_fail_with(struct json *j, const char *what, struct error *err)
{
	struct place place = find_place(j);

	if (j->failed)
		return false;
	j->failed = true;
	return error_set(err, ERROR_INVALID, "line %zu, column %zu: %s", place.line, place.column, what);
}

static __attribute__((cold, noinline)) bool fail_number(struct json *j, struct error *err)
{
	struct place place = find_place(j);
	struct span text = { j->at, 0 };

	if (j->at == j->end || !memchr("-0123456789", *j->at, 11))
		return json_fail_expected(j, "a number", err);
	if (j->failed)
		return false;
	j->failed = true;
	while (text.ptr + text.len < j->end && text.len < 32 && memchr("+-.0123456789eE", text.ptr[text.len], 15))
		text.len++;
	return error_set(err, ERROR_INVALID, "line %zu, column %zu: '" SPAN_FMT "' is no number in JSON's form",
			 place.line, place.column, SPAN_ARG(text));
}

/* ---- walking ---- */

void json_init(struct json *j, struct span text, struct arena *arena)
{
	j->start = j->at = text.len ? text.ptr : "";
	j->end = j->at + text.len;
	j->arena = arena;
	j->depth = 0;
	j->failed = false;
	j->allow_nonfinite = false;
}

enum json_type json_peek(struct json *j)
{
	if (j->failed)
		return JSON_INVALID;
	j->at = skip_space(j->at, j->end);
	if (j->at == j->end)
		return JSON_INVALID;
	switch (*j->at) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	case '-':
	case '0' ... '9':
		return JSON_NUMBER;
	case 'N':
	case 'I':
		return j->allow_nonfinite ? JSON_NUMBER : JSON_INVALID;
	default:
		return JSON_INVALID;
	}
}

static bool enter(struct json *j, char open, uint8_t state, const char *expected, struct error *err)
{
	char message[64];

	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	if (j->at == j->end || *j->at != open)
		return json_fail_expected(j, expected, err);
	if (j->depth == JSON_DEPTH_MAX) {
		snprintf(message, sizeof(message), "nested deeper than %d levels", JSON_DEPTH_MAX);
		return json_fail_with(j, message, err);
	}
	j->at++;
	j->state[j->depth++] = state;
	return true;
}

bool json_enter_object(struct json *j, struct error *err)
{
	return enter(j, '{', IN_OBJECT, "an object '{'", err);
}

bool json_enter_array(struct json *j, struct error *err)
{
	return enter(j, '[', IN_ARRAY, "an array '['", err);
}

/* ---- strings ---- */

/* Four hexadecimal digits behind "\u", or -1. */
static int32_t hex_unit(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = ascii_hex_value(p[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xC0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		*out++ = (char)(0xE0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3F));
		*out++ = (char)(0x80 | (c & 0x3F));
	} else {
		*out++ = (char)(0xF0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3F));
		*out++ = (char)(0x80 | (c >> 6 & 0x3F));
		*out++ = (char)(0x80 | (c & 0x3F));
	}
	return out;
}

/* "\uXXXX" at `p`, or a pair of them for a character beyond the first plane (RFC 8259 7). j->at marks an error. */
static const char *read_unicode(struct json *j, const char *p, uint32_t *ret, struct error *err)
{
	int32_t unit = hex_unit(p + 2, j->end);
	int32_t low = -1;

	j->at = p;
	if (unit < 0) {
		json_fail_with(j, "'\\u' is not followed by four hexadecimal digits", err);
		return NULL;
	}
	p += 6;
	if (unit < 0xD800 || unit > 0xDFFF) {
		*ret = (uint32_t)unit;
		return p;
	}
	if (unit < 0xDC00 && j->end - p >= 6 && p[0] == '\\' && p[1] == 'u')
		low = hex_unit(p + 2, j->end);
	if (low < 0xDC00 || low > 0xDFFF) {
		json_fail_with(j, "half of a surrogate pair stands alone", err);
		return NULL;
	}
	*ret = 0x10000 + (((uint32_t)unit & 0x3FF) << 10) + ((uint32_t)low & 0x3FF);
	return p + 6;
}

/* One escape at `p` (a backslash): its character, and the end of it. */
static const char *read_escape(struct json *j, const char *p, uint32_t *ret, struct error *err)
{
	static const char names[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (j->end - p >= 2 && p[1] == 'u')
		return read_unicode(j, p, ret, err);
	name = j->end - p >= 2 ? memchr(names, p[1], sizeof(names) - 1) : NULL;
	if (!name) {
		j->at = MIN(p + 1, j->end);
		json_fail_expected(j, "one of \"\\/bfnrtu after a backslash", err);
		return NULL;
	}
	*ret = (unsigned char)meanings[name - names];
	return p + 2;
}

/* A string with escapes: `p` stands on the first one. With `decode` unset it is only checked. */
static bool read_escaped(struct json *j, const char *p, bool decode, struct span *ret, struct error *err)
{
	const char *text = j->at + 1;
	char *out = NULL, *to = NULL;

	if (decode) {
		/* An escape is never shorter than what it stands for: the text's own length is room enough. */
		const char *q = p;

		while (q < j->end && *q != '"')
			q += *q == '\\' && j->end - q >= 2 ? 2 : 1;
		out = arena_alloc(j->arena, (size_t)(q - text) + 4, err);
		if (!out)
			return json_fail_as_set(j);
		memcpy(out, text, (size_t)(p - text));
		to = out + (p - text);
	}
	for (;;) {
		const char *run = p;

		while ((p = find_special(p, j->end)) < j->end && (unsigned char)*p >= 0x80)
			p++;
		if (decode) {
			memcpy(to, run, (size_t)(p - run));
			to += p - run;
		}
		if (p == j->end || *p == '"')
			break;
		if (*p == '\\') {
			uint32_t c;

			p = read_escape(j, p, &c, err);
			if (!p)
				return false;
			if (decode)
				to = put_utf8(to, c);
			continue;
		}
		j->at = p;
		return json_fail_expected(j, "no bare control character in a string", err);
	}
	if (p == j->end) {
		j->at = p;
		return json_fail_expected(j, "'\"' at the end of a string", err);
	}
	/* A torn sequence cannot be completed by an escape, so checking the result checks the text. */
	if (!span_is_utf8(decode ? span_from(out, (size_t)(to - out)) : span_from(text, (size_t)(p - text))))
		return json_fail_with(j, "the string is not UTF-8", err);
	j->at = p + 1;
	if (decode)
		*ret = span_from(out, (size_t)(to - out));
	return true;
}

/* The string at j->at, which stands on its quote. */
ALWAYS_INLINE bool read_string(struct json *j, bool decode, struct span *ret, struct error *err)
{
	const char *text = j->at + 1;
	const char *p = find_special(text, j->end);
	bool is_ascii = true;

	while (p < j->end && (unsigned char)*p >= 0x80) {
		is_ascii = false;
		p = find_special(p + 1, j->end);
	}
	if (LIKELY(p < j->end && *p == '"')) {
		if (UNLIKELY(!is_ascii) && !span_is_utf8(span_from(text, (size_t)(p - text))))
			return json_fail_with(j, "the string is not UTF-8", err);
		*ret = span_from(text, (size_t)(p - text));
		j->at = p + 1;
		return true;
	}
	return read_escaped(j, p, decode, ret, err);
}

bool json_read_string(struct json *j, struct span *ret, struct error *err)
{
	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	if (j->at == j->end || *j->at != '"')
		return json_fail_expected(j, "a string", err);
	return read_string(j, true, ret, err);
}

/* ---- members and elements ---- */

ALWAYS_INLINE bool next_key(struct json *j, bool decode, struct span *ret_key, struct error *err)
{
	uint8_t *state;
	const char *p;

	if (j->failed)
		return false;
	ASSERT(j->depth > 0 && (j->state[j->depth - 1] & IN_OBJECT));
	state = &j->state[j->depth - 1];
	p = j->at = skip_space(j->at, j->end);
	if (p < j->end && *p == '}') {
		j->at++;
		j->depth--;
		return false;
	}
	if (*state & HAS_ITEM) {
		if (p == j->end || *p != ',')
			return json_fail_expected(j, "',' or '}'", err);
		p = j->at = skip_space(p + 1, j->end);
		if (p == j->end || *p != '"')
			return json_fail_expected(j, "a member's name", err);
	} else if (p == j->end || *p != '"') {
		return json_fail_expected(j, "a member's name or '}'", err);
	}
	*state |= HAS_ITEM;
	if (!read_string(j, decode, ret_key, err))
		return false;
	p = j->at = skip_space(j->at, j->end);
	if (p == j->end || *p != ':')
		return json_fail_expected(j, "':'", err);
	j->at = p + 1;
	return true;
}

bool json_next_key(struct json *j, struct span *ret_key, struct error *err)
{
	return next_key(j, true, ret_key, err);
}

bool json_next_element(struct json *j, struct error *err)
{
	uint8_t *state;

	if (j->failed)
		return false;
	ASSERT(j->depth > 0 && (j->state[j->depth - 1] & IN_ARRAY));
	state = &j->state[j->depth - 1];
	j->at = skip_space(j->at, j->end);
	if (j->at == j->end)
		return json_fail_expected(j, *state & HAS_ITEM ? "',' or ']'" : "a value or ']'", err);
	if (*j->at == ']') {
		j->at++;
		j->depth--;
		return false;
	}
	if (*state & HAS_ITEM) {
		if (*j->at != ',')
			return json_fail_expected(j, "',' or ']'", err);
		j->at = skip_space(j->at + 1, j->end);
		if (j->at < j->end && *j->at == ']')
			return json_fail_expected(j, "a value", err);
	}
	*state |= HAS_ITEM;
	return true;
}

/* ---- scalars ---- */

static bool take_word(struct json *j, struct span word)
{
	if ((size_t)(j->end - j->at) < word.len || memcmp(j->at, word.ptr, word.len) != 0)
		return false;
	j->at += word.len;
	return true;
}

bool json_read_null(struct json *j, struct error *err)
{
	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	return take_word(j, SPAN("null")) || json_fail_expected(j, "null", err);
}

bool json_read_bool(struct json *j, bool *ret, struct error *err)
{
	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	if (take_word(j, SPAN("true")))
		*ret = true;
	else if (take_word(j, SPAN("false")))
		*ret = false;
	else
		return json_fail_expected(j, "true or false", err);
	return true;
}

static bool read_nonfinite(struct json *j, double *ret)
{
	if (!j->allow_nonfinite)
		return false;
	if (take_word(j, SPAN("NaN")))
		*ret = NAN;
	else if (take_word(j, SPAN("Infinity")))
		*ret = INFINITY;
	else if (take_word(j, SPAN("-Infinity")))
		*ret = -INFINITY;
	else
		return false;
	return true;
}

bool json_read_number_slow(struct json *j, struct number *ret, struct error *err)
{
	const char *after = number_scan(j->at, j->end, ret);

	if (LIKELY(after != NULL)) {
		j->at = after;
		return true;
	}
	if (!read_nonfinite(j, &ret->d))
		return fail_number(j, err);
	ret->kind = NUMBER_DOUBLE;
	return true;
}

bool json_read_number(struct json *j, struct number *ret, struct error *err)
{
	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	return json_read_number_here(j, ret, err);
}

bool json_read_double(struct json *j, double *ret, struct error *err)
{
	struct number n;

	if (!json_read_number(j, &n, err))
		return false;
	*ret = json_as_double(&n);
	return true;
}

bool json_read_int64(struct json *j, int64_t *ret, struct error *err)
{
	const char *start;
	struct number n;

	if (json_peek(j) == JSON_INVALID && j->failed)
		return false;
	start = j->at;
	if (!json_read_number(j, &n, err))
		return false;
	if (n.kind == NUMBER_INT) {
		*ret = n.i;
		return true;
	}
	/* 2^63 is a double, INT64_MAX is not. */
	if (n.kind == NUMBER_DOUBLE && n.d >= -0x1p63 && n.d < 0x1p63 && n.d == trunc(n.d)) {
		*ret = (int64_t)n.d;
		return true;
	}
	j->at = start;
	return json_fail_with(j,
			      n.kind == NUMBER_DOUBLE && isfinite(n.d) && n.d != trunc(n.d)
				  ? "expected a whole number, found a fraction"
				  : "the number does not fit 64 bits with sign",
			      err);
}

/* Passes over a number without its value. */
static bool skip_number(struct json *j, struct error *err)
{
	const char *p = j->at, *end = j->end;
	const char *digits;
	double ignored;

	if (p < end && *p == '-')
		p++;
	digits = p;
	while (p < end && ascii_is_digit(*p))
		p++;
	if (p == digits)
		return read_nonfinite(j, &ignored) || fail_number(j, err);
	if (*digits == '0' && p - digits > 1)
		return fail_number(j, err);
	if (p < end && *p == '.') {
		digits = ++p;
		while (p < end && ascii_is_digit(*p))
			p++;
		if (p == digits)
			return fail_number(j, err);
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		digits = p;
		while (p < end && ascii_is_digit(*p))
			p++;
		if (p == digits)
			return fail_number(j, err);
	}
	j->at = p;
	return true;
}

/*
 * In an array, from the start of one number to that of a later one, as long as nothing but plain numbers and the
 * brackets of inner lists comes along. One mask tells where the runs of digits of 64 bytes end, so finding the next
 * waits for nothing to be loaded.
 */
static void skip_numbers(struct json *j)
{
	const bool may_leave = j->depth >= 2 && (j->state[j->depth - 2] & IN_ARRAY);
	const char *p = j->at;
	bool is_plain = true;

	while (is_plain && j->end - p >= JSON_BLOCK + JSON_BLOCK_SLACK) {
		uint64_t others = json_find_others(p).others;
		size_t at = 0, number = 0; /* where the run of digits starts, and the number it is of */
		bool is_fraction = false;

		while (others) {
			size_t end = (size_t)__builtin_ctzll(others);
			const char *q = p + end;

			others &= others - 1;
			if (UNLIKELY(end == at && *q == '-' && at == number)) {
				at++;
				continue;
			}
			is_plain = end > at && (is_fraction || p[at] != '0' || end - at == 1);
			if (UNLIKELY(!is_plain))
				break;
			at = end + 1;
			is_fraction = *q == '.' && !is_fraction;
			if (is_fraction)
				continue;
			if (UNLIKELY(*q != ',')) {
				/* Behind '[' a list may also be empty; that is for the careful way. */
				is_plain = may_leave && *q == ']' && q[1] == ',' && q[2] == '[' &&
					   (ascii_is_digit(q[3]) || q[3] == '-');
				if (!is_plain)
					break;
				others &= others - 1;
				others &= others - 1;
				at += 2;
				q += 2;
			}
			if (UNLIKELY(q[1] == ' ')) {
				others &= others - 1;
				at++;
			}
			number = at;
		}
		is_plain = is_plain && number > 0; /* else 64 digits */
		p += number;
	}
	j->at = p;
}

/* Anything but a container. */
static bool skip_scalar(struct json *j, enum json_type type, struct error *err)
{
	struct span text;
	bool boolean;

	switch (type) {
	case JSON_NULL:
		return json_read_null(j, err);
	case JSON_BOOL:
		return json_read_bool(j, &boolean, err);
	case JSON_NUMBER:
		return skip_number(j, err);
	case JSON_STRING:
		return read_string(j, false, &text, err);
	case JSON_ARRAY:
	case JSON_OBJECT:
	case JSON_INVALID:
		break;
	}
	return json_fail_expected(j, "a value", err);
}

/* Inside containers above `depth`: moves to the next value to skip, leaving those that end. False when all are left. */
static bool next_to_skip(struct json *j, int depth, struct error *err)
{
	struct span key;

	while (j->depth > depth && !j->failed) {
		if (j->state[j->depth - 1] & IN_OBJECT ? next_key(j, false, &key, err) : json_next_element(j, err))
			return true;
	}
	return false;
}

bool json_skip(struct json *j, struct error *err)
{
	int depth = j->depth;

	do {
		enum json_type type = json_peek(j);

		if (j->failed)
			return false;
		if (type == JSON_NUMBER && j->depth > 0 && (j->state[j->depth - 1] & IN_ARRAY)) {
			skip_numbers(j);
			type = json_peek(j); /* what stopped it may be anything */
		}
		if (type == JSON_OBJECT  ? !json_enter_object(j, err)
		    : type == JSON_ARRAY ? !json_enter_array(j, err)
					 : !skip_scalar(j, type, err))
			return false;
	} while (next_to_skip(j, depth, err));
	return !j->failed;
}

bool json_read_raw(struct json *j, struct span *ret, struct error *err)
{
	const char *start;

	if (j->failed)
		return false;
	start = j->at = skip_space(j->at, j->end);
	if (!json_skip(j, err))
		return false;
	*ret = span_from(start, (size_t)(j->at - start));
	return true;
}

bool json_finish(struct json *j, struct error *err)
{
	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	if (j->depth > 0)
		return json_fail_expected(j, j->state[j->depth - 1] & IN_OBJECT ? "',' or '}'" : "',' or ']'", err);
	if (skip_space(j->start, j->end) == j->end)
		return json_fail_expected(j, "a value", err);
	if (j->at != j->end)
		return json_fail_expected(j, "the end of the text", err);
	return true;
}
