/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json.h"

#include <math.h>
#include <stdio.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* state[] of a container that was entered. */
enum { IN_ARRAY = 1, IN_OBJECT = 2, HAS_ITEM = 4 };

/* ---- errors -------------------------------------------------------------------------------------------------------
 */

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
static __attribute__((cold, noinline)) bool fail_expected(struct json *j, const char *expected, struct error *err)
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
static __attribute__((cold, noinline)) bool fail_with(struct json *j, const char *what, struct error *err)
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
		return fail_expected(j, "a number", err);
	if (j->failed)
		return false;
	j->failed = true;
	while (text.ptr + text.len < j->end && text.len < 32 && memchr("+-.0123456789eE", text.ptr[text.len], 15))
		text.len++;
	return error_set(err, ERROR_INVALID, "line %zu, column %zu: '" SPAN_FMT "' is no number in JSON's form",
			 place.line, place.column, SPAN_ARG(text));
}

/* The arena's limit was passed: err is set, the reader stops. */
static bool fail_as_set(struct json *j)
{
	j->failed = true;
	return false;
}

/* ---- walking ------------------------------------------------------------------------------------------------------
 */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
	return (unsigned char)(c - '0') < 10;
}

ALWAYS_INLINE const char *skip_space(const char *p, const char *end)
{
	while (p < end && UNLIKELY((unsigned char)*p <= ' ') && is_space(*p))
		p++;
	return p;
}

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
		return fail_expected(j, expected, err);
	if (j->depth == JSON_DEPTH_MAX) {
		snprintf(message, sizeof(message), "nested deeper than %d levels", JSON_DEPTH_MAX);
		return fail_with(j, message, err);
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

/* ---- strings ------------------------------------------------------------------------------------------------------
 */

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

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits behind "\u", or -1. */
static int32_t hex_unit(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(p[i]);

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
		fail_with(j, "'\\u' is not followed by four hexadecimal digits", err);
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
		fail_with(j, "half of a surrogate pair stands alone", err);
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
		fail_expected(j, "one of \"\\/bfnrtu after a backslash", err);
		return NULL;
	}
	*ret = (unsigned char)meanings[name - names];
	return p + 2;
}

/* A string with escapes: `p` stands on the first one. With `decode` unset it is only checked. */
static bool read_escaped(struct json *j, const char *p, bool decode, struct span *ret, struct error *err)
{
	const char *text = j->at + 1;
	char *out = NULL, *to;

	if (decode) {
		/* An escape is never shorter than what it stands for: the text's own length is room enough. */
		const char *q = p;

		while (q < j->end && *q != '"')
			q += *q == '\\' ? 2 : 1;
		out = arena_alloc(j->arena, (size_t)(MIN(q, j->end) - text) + 4, err);
		if (!out)
			return fail_as_set(j);
		memcpy(out, text, (size_t)(p - text));
	}
	to = out + (p - text);
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
		return fail_expected(j, "no bare control character in a string", err);
	}
	if (p == j->end) {
		j->at = p;
		return fail_expected(j, "'\"' at the end of a string", err);
	}
	/* A torn sequence cannot be completed by an escape, so checking the result checks the text. */
	if (!span_is_utf8(decode ? span_from(out, (size_t)(to - out)) : span_from(text, (size_t)(p - text))))
		return fail_with(j, "the string is not UTF-8", err);
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
			return fail_with(j, "the string is not UTF-8", err);
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
		return fail_expected(j, "a string", err);
	return read_string(j, true, ret, err);
}

/* ---- members and elements -----------------------------------------------------------------------------------------
 */

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
			return fail_expected(j, "',' or '}'", err);
		p = j->at = skip_space(p + 1, j->end);
		if (p == j->end || *p != '"')
			return fail_expected(j, "a member's name", err);
	} else if (p == j->end || *p != '"') {
		return fail_expected(j, "a member's name or '}'", err);
	}
	*state |= HAS_ITEM;
	if (!read_string(j, decode, ret_key, err))
		return false;
	p = j->at = skip_space(j->at, j->end);
	if (p == j->end || *p != ':')
		return fail_expected(j, "':'", err);
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
		return fail_expected(j, *state & HAS_ITEM ? "',' or ']'" : "a value or ']'", err);
	if (*j->at == ']') {
		j->at++;
		j->depth--;
		return false;
	}
	if (*state & HAS_ITEM) {
		if (*j->at != ',')
			return fail_expected(j, "',' or ']'", err);
		j->at = skip_space(j->at + 1, j->end);
		if (j->at < j->end && *j->at == ']')
			return fail_expected(j, "a value", err);
	}
	*state |= HAS_ITEM;
	return true;
}

/* ---- scalars ------------------------------------------------------------------------------------------------------
 */

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
	return take_word(j, SPAN("null")) || fail_expected(j, "null", err);
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
		return fail_expected(j, "true or false", err);
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

static bool read_number_slow(struct json *j, struct number *ret, struct error *err)
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

ALWAYS_INLINE bool is_delimiter(char c)
{
	return c == ',' || c == '}' || c == ']';
}

ALWAYS_INLINE bool read_number(struct json *j, struct number *ret, struct error *err)
{
	const char *p = j->at;

	/* A single digit is the most frequent number of all. */
	if (j->end - p >= 2 && is_digit(p[0]) && is_delimiter(p[1])) {
		ret->kind = NUMBER_INT;
		ret->i = p[0] - '0';
		j->at = p + 1;
		return true;
	}
	return read_number_slow(j, ret, err);
}

bool json_read_number(struct json *j, struct number *ret, struct error *err)
{
	if (j->failed)
		return false;
	j->at = skip_space(j->at, j->end);
	return read_number(j, ret, err);
}

static double as_double(const struct number *n)
{
	return n->kind == NUMBER_INT ? (double)n->i : n->kind == NUMBER_UINT ? (double)n->u : n->d;
}

bool json_read_double(struct json *j, double *ret, struct error *err)
{
	struct number n;

	if (!json_read_number(j, &n, err))
		return false;
	*ret = as_double(&n);
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
	return fail_with(j,
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
	while (p < end && is_digit(*p))
		p++;
	if (p == digits)
		return read_nonfinite(j, &ignored) || fail_number(j, err);
	if (*digits == '0' && p - digits > 1)
		return fail_number(j, err);
	if (p < end && *p == '.') {
		digits = ++p;
		while (p < end && is_digit(*p))
			p++;
		if (p == digits)
			return fail_number(j, err);
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		digits = p;
		while (p < end && is_digit(*p))
			p++;
		if (p == digits)
			return fail_number(j, err);
	}
	j->at = p;
	return true;
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
	return fail_expected(j, "a value", err);
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
		return fail_expected(j, j->state[j->depth - 1] & IN_OBJECT ? "',' or '}'" : "',' or ']'", err);
	if (skip_space(j->start, j->end) == j->end)
		return fail_expected(j, "a value", err);
	if (j->at != j->end)
		return fail_expected(j, "the end of the text", err);
	return true;
}

/* ---- arrays -------------------------------------------------------------------------------------------------------
 */

enum {
	COUNT_COMMAS_FROM = 4096, /* bytes of text; shorter ones are sized by their length alone */
	BLOCK = 64,               /* bytes of text whose digits one mask tells */
	BLOCK_NUMBERS = 32,       /* most numbers in a block: a digit and a comma each */
	BLOCK_SLACK = 8,          /* bytes read behind a block */
};

struct array_reader {
	struct json *j;
	size_t count, capacity, bound; /* of elements; bound: no text of this length holds more */
	enum json_array_kind kind;
	bool as_scalars, has_null;
	int level, rank;                /* lists open now; where the scalars are, -1 until known */
	int64_t lengths[JSON_RANK_MAX]; /* elements of the open lists so far */
	int64_t shape[JSON_RANK_MAX];   /* -1 until the first list of a level has ended */
	union {
		void *data;
		int64_t *integers;
		uint64_t *naturals;
		double *doubles;
		uint8_t *booleans;
		struct span *strings;
		struct json_scalar *scalars;
	};
};

static size_t element_size(enum json_array_kind kind)
{
	switch (kind) {
	case JSON_ARRAY_BOOL:
		return sizeof(uint8_t);
	case JSON_ARRAY_STRING:
		return sizeof(struct span);
	case JSON_ARRAY_SCALARS:
		return sizeof(struct json_scalar);
	default:
		return sizeof(double);
	}
}

static bool is_numeric(enum json_array_kind kind)
{
	return kind == JSON_ARRAY_INT64 || kind == JSON_ARRAY_UINT64 || kind == JSON_ARRAY_DOUBLE;
}

static size_t count_commas(const char *p, const char *end)
{
	size_t count = 0;

#ifdef __SSE2__
	const __m128i comma = _mm_set1_epi8(',');

	/* Matches are -1: 255 rounds fit a byte each, then the bytes are summed. */
	while (end - p >= 16) {
		__m128i sums = _mm_setzero_si128();
		size_t rounds = MIN((size_t)(end - p) / 16, (size_t)255);

		for (; rounds; rounds--, p += 16)
			sums = _mm_sub_epi8(sums,
					    _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), comma));
		sums = _mm_sad_epu8(sums, _mm_setzero_si128());
		count += (size_t)_mm_cvtsi128_si32(sums) + (size_t)_mm_extract_epi16(sums, 4);
	}
#endif
	for (; p < end; p++)
		count += *p == ',';
	return count;
}

/* Makes room for the first elements of a kind. */
static bool start_kind(struct array_reader *r, enum json_array_kind kind, size_t hint, struct error *err)
{
	size_t size = element_size(kind);
	size_t left = (size_t)(r->j->end - r->j->at);
	size_t capacity = MIN(r->bound, (size_t)64);

	if (is_numeric(kind)) {
		if (hint > 0)
			capacity = MIN(hint, r->bound);
		else if (left >= COUNT_COMMAS_FROM)
			capacity = MIN(count_commas(r->j->at, r->j->end) + 1 + BLOCK_NUMBERS, r->bound);
		else
			capacity = r->bound;
	}
	r->data = arena_array_(r->j->arena, capacity, size, err);
	if (!r->data)
		return fail_as_set(r->j);
	r->capacity = capacity;
	r->kind = kind;
	return true;
}

static __attribute__((noinline)) bool grow(struct array_reader *r, struct error *err)
{
	size_t size = element_size(r->kind);
	size_t capacity = MIN(MAX(r->capacity * 2, (size_t)64), r->bound);
	void *data;

	ASSERT(capacity > r->count);
	data = arena_array_(r->j->arena, capacity, size, err);
	if (!data)
		return fail_as_set(r->j);
	memcpy(data, r->data, r->count * size);
	r->data = data;
	r->capacity = capacity;
	return true;
}

/* Integers read so far become doubles, in the same place: both have eight bytes. */
static void turn_to_doubles(struct array_reader *r)
{
	for (size_t i = 0; i < r->count; i++) {
		double value = r->kind == JSON_ARRAY_INT64 ? (double)r->integers[i] : (double)r->naturals[i];

		r->doubles[i] = value;
	}
	r->kind = JSON_ARRAY_DOUBLE;
}

static bool any_negative(const struct array_reader *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->integers[i] < 0)
			return true;
	return false;
}

/* The kind that holds what was read and `n` as well. */
static void widen(struct array_reader *r, const struct number *n)
{
	if (r->kind == JSON_ARRAY_DOUBLE || (r->kind == JSON_ARRAY_INT64 && n->kind == NUMBER_INT) ||
	    (r->kind == JSON_ARRAY_UINT64 && (n->kind == NUMBER_UINT || (n->kind == NUMBER_INT && n->i >= 0))))
		return;
	if (r->kind == JSON_ARRAY_INT64 && n->kind == NUMBER_UINT && !any_negative(r))
		r->kind = JSON_ARRAY_UINT64; /* the bits of what is there stay */
	else
		turn_to_doubles(r);
}

static bool append_number(struct array_reader *r, const struct number *n, size_t hint, struct error *err)
{
	static const enum json_array_kind kinds[] = {
		[NUMBER_INT] = JSON_ARRAY_INT64,
		[NUMBER_UINT] = JSON_ARRAY_UINT64,
		[NUMBER_DOUBLE] = JSON_ARRAY_DOUBLE,
	};

	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, kinds[n->kind], hint, err))
		return false;
	if (r->count == r->capacity && !grow(r, err))
		return false;
	widen(r, n);
	if (r->kind == JSON_ARRAY_DOUBLE)
		r->doubles[r->count++] = as_double(n);
	else
		r->naturals[r->count++] = n->u;
	return true;
}

/* "[3][0]": the list that is being read, by the indices of those around it. */
static void print_path(const struct array_reader *r, char *out, size_t size)
{
	size_t len = 0;

	out[0] = 0;
	for (int i = 0; i + 1 < r->level && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "[%lld]", (long long)r->lengths[i]);
}

static __attribute__((cold)) bool fail_ragged(struct array_reader *r, const char *what, struct error *err)
{
	char path[128], message[256];

	print_path(r, path, sizeof(path));
	snprintf(message, sizeof(message), "the lists are ragged: %s in list %s", what, path[0] ? path : "at the top");
	return fail_with(r->j, message, err);
}

static bool open_list(struct array_reader *r, struct error *err)
{
	char message[64];

	if (r->rank >= 0 && r->level == r->rank)
		return fail_ragged(r, "a list stands where others have a scalar", err);
	if (r->level == JSON_RANK_MAX) {
		snprintf(message, sizeof(message), "lists are nested deeper than %d levels", JSON_RANK_MAX);
		return fail_with(r->j, message, err);
	}
	r->j->at++;
	r->lengths[r->level++] = 0;
	return true;
}

static bool close_list(struct array_reader *r, struct error *err)
{
	int64_t length = r->lengths[r->level - 1];
	int64_t *expected = &r->shape[r->level - 1];
	char message[96];

	if (length == 0 && r->rank < 0)
		r->rank = r->level;
	if (*expected < 0) {
		*expected = length;
	} else if (*expected != length) {
		snprintf(message, sizeof(message), "%lld elements, where others have %lld,", (long long)length,
			 (long long)*expected);
		return fail_ragged(r, message, err);
	}
	r->j->at++;
	r->level--;
	return true;
}

/* One bit for each of 64 bytes, set where no digit stands. */
ALWAYS_INLINE uint64_t find_others(const char *p)
{
	uint64_t digits = 0;

#ifdef __SSE2__
	const __m128i zero = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9);

	for (int i = 0; i < 4; i++) {
		__m128i bytes = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), zero);
		__m128i small = _mm_cmpeq_epi8(_mm_min_epu8(bytes, nine), bytes);

		digits |= (uint64_t)(unsigned)_mm_movemask_epi8(small) << 16 * i;
	}
	return ~digits;
#else
	for (int i = 0; i < 8; i++) {
		uint64_t word;

		memcpy(&word, p + 8 * i, 8);
		word ^= UINT64_C(0x3030303030303030);
		word = (((word & UINT64_C(0x7F7F7F7F7F7F7F7F)) + UINT64_C(0x7676767676767676)) | word) &
		       UINT64_C(0x8080808080808080);
		/* Gathers the eight top bits in the top byte. */
		digits |= ((word >> 7) * UINT64_C(0x0102040810204080) >> 56) << 8 * i;
	}
	return digits;
#endif
}

/* The value of 1 to 8 digits at `p`, of which 8 bytes can be read. */
ALWAYS_INLINE int64_t short_value(const char *p, unsigned length)
{
	if (LIKELY(length <= 4)) {
		uint32_t word;

		memcpy(&word, p, 4);
		word = (word & 0x0F0F0F0F) << (32 - 8 * length);
		word = word * 10 + (word >> 8);
		return ((word & 0x00FF00FF) * (100 << 16 | 1)) >> 16;
	} else {
		uint64_t word;

		memcpy(&word, p, 8);
		word = (word & UINT64_C(0x0F0F0F0F0F0F0F0F)) << (64 - 8 * length);
		word = word * 10 + (word >> 8);
		return (int64_t)(((word & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
				  ((word >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >>
				 32);
	}
}

/*
 * The separator at `p` between two scalars: "," or the "],[" of two innermost lists, each with a space at most behind
 * the comma. Returns where the next scalar stands, or NULL to leave it to the careful path. Reads four bytes.
 */
ALWAYS_INLINE const char *step(struct array_reader *r, const char *p, int64_t *length)
{
	if (LIKELY(*p == ',')) {
		++*length;
		return p + 1 + (p[1] == ' ');
	}
	if (*p != ']' || p[1] != ',' || r->level < 2 || *length + 1 != r->shape[r->level - 1])
		return NULL;
	p += 2 + (p[2] == ' ');
	if (*p != '[')
		return NULL;
	*length = 0;
	r->lengths[r->level - 2]++;
	return p + 1;
}

/*
 * Reads integers of up to eight digits while it is plain: j->at moves from the start of one scalar to that of a later
 * one. One mask tells where the numbers of 64 bytes end, so finding the next does not wait for the value of the last.
 */
static void read_integers(struct array_reader *r)
{
	const char *p = r->j->at;
	int64_t length = r->lengths[r->level - 1];
	int64_t *to = r->integers + r->count;

	while (r->j->end - p >= BLOCK + BLOCK_SLACK && r->integers + r->capacity - to >= BLOCK_NUMBERS) {
		uint64_t others = find_others(p);
		const char *block = p;

		while (p - block < BLOCK) {
			uint64_t ahead = others >> (p - block);
			unsigned digits;
			const char *next;

			if (UNLIKELY(ahead == 0)) {
				if (p == block)
					goto out;
				break;
			}
			digits = (unsigned)__builtin_ctzll(ahead);
			/* No digit, too many, or a leading zero: not for here. */
			if (UNLIKELY(digits - 1 >= 8 || (*p == '0' && digits > 1)))
				goto out;
			next = step(r, p + digits, &length);
			if (UNLIKELY(!next))
				goto out;
			*to++ = short_value(p, digits);
			p = next;
		}
	}
out:
	r->j->at = p;
	r->count = (size_t)(to - r->integers);
	r->lengths[r->level - 1] = length;
}

/* The same for any numbers, into doubles. True when j->at ends behind a number instead. */
static bool read_doubles(struct array_reader *r)
{
	const char *p = r->j->at, *end = r->j->end;
	int64_t length = r->lengths[r->level - 1];

	bool is_behind = false;

	while (r->count < r->capacity) {
		const char *after = number_scan_double(p, end, &r->doubles[r->count]);
		const char *next;

		if (!after)
			break;
		r->count++;
		next = end - after >= 4 ? step(r, after, &length) : NULL;
		p = next ? next : after;
		is_behind = !next;
		if (is_behind)
			break;
	}
	r->j->at = p;
	r->lengths[r->level - 1] = length;
	return is_behind;
}

/* Into json_scalar: what no narrower kind holds. */
static bool append_scalar(struct array_reader *r, enum json_type type, struct error *err)
{
	struct json_scalar scalar = { .type = type };
	bool ok;

	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, JSON_ARRAY_SCALARS, 0, err))
		return false;
	if (r->count == r->capacity && !grow(r, err))
		return false;
	switch (type) {
	case JSON_NULL:
		r->has_null = true;
		ok = json_read_null(r->j, err);
		break;
	case JSON_BOOL:
		ok = json_read_bool(r->j, &scalar.boolean, err);
		break;
	case JSON_NUMBER:
		ok = json_read_number(r->j, &scalar.number, err);
		break;
	case JSON_STRING:
		ok = json_read_string(r->j, &scalar.text, err);
		break;
	case JSON_OBJECT:
		ok = json_read_raw(r->j, &scalar.text, err);
		break;
	default:
		return fail_expected(r->j, "a value", err);
	}
	if (ok)
		r->scalars[r->count++] = scalar;
	return ok;
}

static bool append_null(struct array_reader *r, struct error *err)
{
	const struct number missing = { .kind = NUMBER_DOUBLE, .d = NAN };

	r->has_null = true;
	return json_read_null(r->j, err) && append_number(r, &missing, 0, err);
}

static bool append_bool(struct array_reader *r, struct error *err)
{
	bool value;

	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, JSON_ARRAY_BOOL, 0, err))
		return false;
	if ((r->count == r->capacity && !grow(r, err)) || !json_read_bool(r->j, &value, err))
		return false;
	r->booleans[r->count++] = value;
	return true;
}

static bool append_string(struct array_reader *r, struct error *err)
{
	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, JSON_ARRAY_STRING, 0, err))
		return false;
	if ((r->count == r->capacity && !grow(r, err)) || !json_read_string(r->j, &r->strings[r->count], err))
		return false;
	r->count++;
	return true;
}

enum outcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_MIXED };

/* One scalar at j->at. OUTCOME_MIXED: it does not go with those before, and nothing was read. */
static enum outcome read_one(struct array_reader *r, size_t hint, struct error *err)
{
	enum json_type type = json_peek(r->j);
	bool is_empty = r->kind == JSON_ARRAY_EMPTY;
	struct number n;
	bool ok;

	if (r->as_scalars)
		ok = append_scalar(r, type, err);
	else if (type == JSON_NUMBER && (is_empty || is_numeric(r->kind)))
		ok = read_number(r->j, &n, err) && append_number(r, &n, hint, err);
	else if (type == JSON_NULL && (is_empty || is_numeric(r->kind)))
		ok = append_null(r, err);
	else if (type == JSON_BOOL && (is_empty || r->kind == JSON_ARRAY_BOOL))
		ok = append_bool(r, err);
	else if (type == JSON_STRING && (is_empty || r->kind == JSON_ARRAY_STRING))
		ok = append_string(r, err);
	else if (type == JSON_INVALID)
		ok = fail_expected(r->j, "a value", err);
	else
		return OUTCOME_MIXED;
	return ok ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* A scalar, after as many plain numbers as can be read at once. */
static enum outcome read_scalars(struct array_reader *r, size_t hint, struct error *err)
{
	if (r->rank < 0)
		r->rank = r->level;
	else if (r->level != r->rank)
		return fail_ragged(r, "a scalar stands where others have a list", err) ? OUTCOME_DONE : OUTCOME_FAILED;
	if (r->level > 0) {
		if (r->kind == JSON_ARRAY_INT64)
			read_integers(r);
		if (r->kind == JSON_ARRAY_DOUBLE && read_doubles(r))
			return OUTCOME_DONE;
	}
	return read_one(r, hint, err);
}

/* Behind a value: ends lists, until a comma leads to the next value (true) or the array ends (level 0) or breaks. */
static bool to_next_value(struct array_reader *r, struct error *err)
{
	struct json *j = r->j;

	while (r->level > 0) {
		r->lengths[r->level - 1]++;
		j->at = skip_space(j->at, j->end);
		if (j->at < j->end && *j->at == ',') {
			j->at++;
			return true;
		}
		if (j->at == j->end || *j->at != ']')
			return fail_expected(j, "',' or ']'", err);
		if (!close_list(r, err))
			return false;
	}
	return false;
}

/* `[` at j->at: enters it. True when a value follows; false when the lists that ended with it were left, or it broke.
 */
static bool enter_list(struct array_reader *r, struct error *err)
{
	if (!open_list(r, err))
		return false;
	r->j->at = skip_space(r->j->at, r->j->end);
	if (r->j->at == r->j->end || *r->j->at != ']')
		return true;
	return close_list(r, err) && to_next_value(r, err);
}

static enum outcome read_lists(struct array_reader *r, size_t hint, struct error *err)
{
	struct json *j = r->j;
	bool more = true;

	while (more) {
		enum outcome outcome;

		j->at = skip_space(j->at, j->end);
		if (j->at < j->end && *j->at == '[') {
			more = enter_list(r, err);
			continue;
		}
		outcome = read_scalars(r, hint, err);
		if (outcome != OUTCOME_DONE)
			return outcome;
		more = to_next_value(r, err);
	}
	return j->failed ? OUTCOME_FAILED : OUTCOME_DONE;
}

static void reader_init(struct array_reader *r, struct json *j, bool as_scalars)
{
	r->j = j;
	r->count = r->capacity = 0;
	r->bound = (size_t)(j->end - j->at) / 2 + 1;
	r->kind = JSON_ARRAY_EMPTY;
	r->as_scalars = as_scalars;
	r->has_null = false;
	r->level = 0;
	r->rank = -1;
	for (int i = 0; i < JSON_RANK_MAX; i++)
		r->shape[i] = -1;
	r->data = NULL;
}

bool json_read_array(struct json *j, size_t count_hint, struct json_array *ret, struct error *err)
{
	struct array_reader r;
	enum outcome outcome;
	const char *start;

	if (j->failed)
		return false;
	start = j->at = skip_space(j->at, j->end);
	reader_init(&r, j, false);
	outcome = read_lists(&r, count_hint, err);
	if (outcome == OUTCOME_MIXED) {
		/* Rare; reading again keeps each scalar as it was written. */
		j->at = start;
		reader_init(&r, j, true);
		outcome = read_lists(&r, 0, err);
	}
	if (outcome != OUTCOME_DONE)
		return false;
	ret->kind = r.kind;
	ret->has_null = r.has_null;
	ret->rank = r.rank;
	for (int i = 0; i < JSON_RANK_MAX; i++)
		ret->shape[i] = i < r.rank ? r.shape[i] : 0;
	ret->count = r.count;
	ret->data = r.data;
	return true;
}

/* ---- writer -------------------------------------------------------------------------------------------------------
 */

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
	const char *end = s.ptr + s.len;
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

/* ---- arrays of numbers --------------------------------------------------------------------------------------------
 */

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

ALWAYS_INLINE char *put_f64(char *to, double value, enum json_nonfinite how)
{
	if (value >= 0 && value < 1000) {
		int32_t whole = (int32_t)value;
		double back = whole;

		if (memcmp(&back, &value, sizeof(back)) == 0)
			return put_small_whole(to, whole);
	}
	return put_double(to, value, how);
}

ALWAYS_INLINE char *put_f32(char *to, float value, enum json_nonfinite how)
{
	if (value >= 0 && value < 1000) {
		int32_t whole = (int32_t)value;
		float back = (float)whole;

		if (memcmp(&back, &value, sizeof(back)) == 0)
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
