/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * json - a pull reader and a writer for RFC 8259 texts.
 *
 * The reader walks the caller's bytes in place: strings without escapes come back as spans into the input, others are
 * decoded into the arena. Arrays of numbers are read straight into typed arrays (json_read_array). Integers and doubles
 * are kept apart and exact. Accepted beyond the RFC, because Seldon's and TensorFlow's clients send them: the bare
 * tokens NaN, Infinity and -Infinity, as doubles, when `allow_nonfinite` is set.
 *
 *	struct json j;
 *	json_init(&j, body, arena);
 *	if (!json_enter_object(&j, err))
 *		return false;
 *	while (json_next_key(&j, &key, err)) {
 *		if (span_equal(key, SPAN("id")))
 *			ok = json_read_string(&j, &id, err);
 *		else
 *			ok = json_skip(&j, err);
 *		if (!ok)
 *			return false;
 *	}
 *	return json_finish(&j, err);    // false as well when the loop above ended by an error
 *
 * Errors are sticky: after the first one every call returns false and leaves `err` as it was set. Messages name the
 * line and column ("line 1, column 14: expected ',' or '}', found 'x'").
 *
 * Limits: depth JSON_DEPTH_MAX (128); the input's length bounds everything else.
 * Threads: one.
 */
#include "base/base.h"
#include "base/number.h"

#define JSON_DEPTH_MAX 128

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_INVALID };

struct json {
	const char *start, *at, *end;
	struct arena *arena; /* for decoded strings and arrays */
	int depth;
	bool failed;
	bool allow_nonfinite;
	uint8_t state[JSON_DEPTH_MAX]; /* private: container kind, and whether an item was read */
};

void json_init(struct json *j, struct span text, struct arena *arena);

/* The type of the next value, without reading it. JSON_INVALID at the end of the text or at a stray character. */
enum json_type json_peek(struct json *j);

bool json_enter_object(struct json *j, struct error *err);
bool json_enter_array(struct json *j, struct error *err);

/* Moves to the next member: true with its key; false at '}' (which leaves the object) or on an error. A value must be
 * read or skipped after each key. */
bool json_next_key(struct json *j, struct span *ret_key, struct error *err);

/* Moves to the next element: true when one follows; false at ']' (which leaves the array) or on an error. */
bool json_next_element(struct json *j, struct error *err);

bool json_read_null(struct json *j, struct error *err);
bool json_read_bool(struct json *j, bool *ret, struct error *err);
bool json_read_number(struct json *j, struct number *ret, struct error *err);
bool json_read_double(struct json *j, double *ret, struct error *err); /* any number; null is an error */
bool json_read_int64(struct json *j, int64_t *ret,
		     struct error *err); /* a number with no fraction; 3.0 and 1e2 count */
bool json_read_string(struct json *j, struct span *ret, struct error *err); /* decoded; lone surrogates are an error */

/* Any value, checked and passed over; the second form gives its text, without space around it. */
bool json_skip(struct json *j, struct error *err);
bool json_read_raw(struct json *j, struct span *ret, struct error *err);

/* True when the text held one whole value, all containers left, and only space remains, and no error came before. */
bool json_finish(struct json *j, struct error *err);

/* ---- arrays ---- */

enum json_array_kind {
	JSON_ARRAY_EMPTY,  /* no scalar at all: [] or [[],[]] */
	JSON_ARRAY_INT64,  /* every element an integer that fits: int64_t[] */
	JSON_ARRAY_UINT64, /* integers, none negative, some over INT64_MAX: uint64_t[] */
	JSON_ARRAY_DOUBLE, /* numbers, some not integers; null and non-finite tokens count as NaN and so on: double[] */
	JSON_ARRAY_BOOL,   /* uint8_t[] of 0 and 1 */
	JSON_ARRAY_STRING, /* struct span[] */
	JSON_ARRAY_SCALARS, /* mixed: struct json_scalar[] */
};

struct json_scalar {
	enum json_type type; /* NULL, BOOL, NUMBER, STRING, OBJECT (raw text in .text) */
	union {
		bool boolean;
		struct number number;
		struct span text;
	};
};

#define JSON_RANK_MAX 16

struct json_array {
	enum json_array_kind kind;
	bool has_null;
	int rank; /* of nesting: [1,2] has 1 */
	int64_t shape[JSON_RANK_MAX];
	size_t count; /* scalars in all */
	void *data;   /* in the arena, row-major, 64-byte aligned when large */
};

/*
 * Reads a nested array of scalars (or, at the top level only, a bare scalar: rank 0). Ragged nesting is an error that
 * names where the lengths part. The hot path: runs of numbers, 0 to 9 as cheap as can be. An integer too large for a
 * double's 53 bits in an array with fractions is rounded to the nearest double. `count_hint` > 0 sizes the first
 * allocation (the product of a known shape); 0 guesses from the text's length.
 */
bool json_read_array(struct json *j, size_t count_hint, struct json_array *ret, struct error *err);

/* ---- writer ---- */

/*
 * Writes into a buffer; commas come by themselves. The buffer's sticky overflow is the only error.
 *
 *	struct json_writer w = json_writer(out);
 *	json_open_object(&w);
 *	json_key(&w, SPAN("success"));
 *	json_bool(&w, true);
 *	json_close_object(&w);
 */
enum json_nonfinite {
	JSON_NONFINITE_NULL,  /* V2: null */
	JSON_NONFINITE_TOKEN, /* Seldon, TensorFlow: NaN, Infinity, -Infinity */
};

struct json_writer {
	struct buffer *out;
	bool comma; /* the next item needs one in front */
	enum json_nonfinite nonfinite;
};

static inline struct json_writer json_writer(struct buffer *out)
{
	return (struct json_writer){ .out = out };
}

void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);
void json_key(struct json_writer *w, struct span key);
void json_string(struct json_writer *w, struct span s); /* invalid UTF-8 bytes become U+FFFD */
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_int64(struct json_writer *w, int64_t value);
void json_uint64(struct json_writer *w, uint64_t value);
void json_double(struct json_writer *w, double value);
void json_float(struct json_writer *w, float value);    /* shortest text that reads back equal as a float */
void json_raw(struct json_writer *w, struct span text); /* one value, already JSON */

/* A row-major array as nested lists of `rank` levels (flat when rank is 1). The hot path of every answer. */
enum json_number_type {
	JSON_I8,
	JSON_U8,
	JSON_I16,
	JSON_U16,
	JSON_I32,
	JSON_U32,
	JSON_I64,
	JSON_U64,
	JSON_F32,
	JSON_F64
};
void json_numbers(struct json_writer *w, enum json_number_type type, const void *data, int rank, const int64_t *shape);
