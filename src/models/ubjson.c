/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ubjson - UBJSON (draft 12) into a tree of values. Numbers are big-endian; containers may say their length (#) and the
 * type of all their elements ($) in front. XGBoost writes strings' lengths, keys and counts as 64-bit integers (L).
 */
#include <string.h>

#include "models/doc.h"

struct ubj {
	const uint8_t *start, *at, *end;
	const char *const *ignored;
	struct arena *arena;
};

static bool fail(const struct ubj *u, struct error *err, const char *what)
{
	error_set(err, ERROR_INVALID, "byte %zu: %s", (size_t)(u->at - u->start), what);
	return false;
}

/* Bytes of a number's type; 0 for what is no number. */
static size_t number_size(int marker)
{
	switch (marker) {
	case 'i':
	case 'U':
		return 1;
	case 'I':
		return 2;
	case 'l':
	case 'd':
		return 4;
	case 'L':
	case 'D':
		return 8;
	default:
		return 0;
	}
}

static bool is_real(int marker)
{
	return marker == 'd' || marker == 'D';
}

static uint64_t big_endian(const uint8_t *p, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | p[i];
	return value;
}

static int64_t integer_at(const uint8_t *p, int marker)
{
	uint64_t bits = big_endian(p, number_size(marker));

	switch (marker) {
	case 'i':
		return (int8_t)bits;
	case 'U':
		return (int64_t)bits;
	case 'I':
		return (int16_t)bits;
	case 'l':
		return (int32_t)bits;
	default:
		return (int64_t)bits;
	}
}

static double real_at(const uint8_t *p, int marker)
{
	if (marker == 'd') {
		uint32_t bits = (uint32_t)big_endian(p, 4);
		float value;

		memcpy(&value, &bits, sizeof(value));
		return (double)value;
	}
	uint64_t bits = big_endian(p, 8);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool take_marker(struct ubj *u, int *ret, struct error *err)
{
	while (u->at < u->end && *u->at == 'N') /* no-op */
		u->at++;
	if (u->at == u->end)
		return fail(u, err, "the data ends in the middle of a value");
	*ret = *u->at++;
	return true;
}

static bool take_bytes(struct ubj *u, size_t size, const uint8_t **ret, struct error *err)
{
	if ((size_t)(u->end - u->at) < size)
		return fail(u, err, "the data ends in the middle of a value");
	*ret = u->at;
	u->at += size;
	return true;
}

/* A length: an integer of any type, not negative. */
static bool take_length(struct ubj *u, size_t *ret, struct error *err)
{
	const uint8_t *p = NULL;
	int64_t value;
	int marker = 0;

	if (!take_marker(u, &marker, err))
		return false;
	if (number_size(marker) == 0 || is_real(marker)) {
		u->at--;
		return fail(u, err, "expected the integer type of a length");
	}
	if (!take_bytes(u, number_size(marker), &p, err))
		return false;
	value = integer_at(p, marker);
	if (value < 0)
		return fail(u, err, "a length is negative");
	*ret = (size_t)value;
	return true;
}

static bool take_text(struct ubj *u, struct span *ret, struct error *err)
{
	const uint8_t *p = NULL;
	size_t size = 0;

	if (!take_length(u, &size, err) || !take_bytes(u, size, &p, err))
		return false;
	*ret = span_from(p, size);
	return true;
}

/* What stands behind '[' or '{'. */
struct shape {
	int type; /* of all elements, or 0 */
	bool counted;
	size_t count;
};

static bool take_shape(struct ubj *u, struct shape *ret, struct error *err)
{
	*ret = (struct shape){ 0 };
	if (u->at < u->end && *u->at == '$') {
		u->at++;
		if (!take_marker(u, &ret->type, err))
			return false;
		if (u->at == u->end || *u->at != '#')
			return fail(u, err, "a typed container needs a count (#)");
	}
	if (u->at < u->end && *u->at == '#') {
		u->at++;
		ret->counted = true;
		if (!take_length(u, &ret->count, err))
			return false;
		/* Types without bytes of their own (null, true, false) would make a count free; no writer of models
		 * uses them. */
		if (ret->type == 'Z' || ret->type == 'T' || ret->type == 'F')
			return fail(u, err, "a container of constants is not supported");
		if (ret->count > (size_t)(u->end - u->at))
			return fail(u, err, "a count is larger than what is left of the data");
	}
	return true;
}

/* True at the end of the container, which is then passed. */
static bool container_ends(struct ubj *u, const struct shape *shape, size_t done, int closing, bool *ret_failed,
			   struct error *err)
{
	if (shape->counted)
		return done == shape->count;
	while (u->at < u->end && *u->at == 'N')
		u->at++;
	if (u->at == u->end) {
		*ret_failed = true;
		return !fail(u, err, "the data ends in the middle of a container");
	}
	if (*u->at != closing)
		return false;
	u->at++;
	return true;
}

/* `to` NULL: checks and passes over. */
static bool take_value(struct ubj *u, int marker, struct doc *to, int depth, struct error *err);

static bool take_numbers(struct ubj *u, const struct shape *shape, struct doc *to, struct error *err)
{
	size_t size = number_size(shape->type), bytes;
	const uint8_t *p = NULL;
	int64_t *integers;
	double *reals;

	if (!checked_mul(size, shape->count, &bytes))
		return fail(u, err, "a count is too large");
	if (!take_bytes(u, bytes, &p, err))
		return false;
	if (!to)
		return true;
	to->type = DOC_NUMBERS;
	to->count = shape->count;
	to->is_integer = !is_real(shape->type);
	if (to->is_integer) {
		to->data = integers = ARENA_ARRAY(u->arena, int64_t, shape->count, err);
		for (size_t i = 0; integers && i < shape->count; i++)
			integers[i] = integer_at(p + i * size, shape->type);
	} else {
		to->data = reals = ARENA_ARRAY(u->arena, double, shape->count, err);
		for (size_t i = 0; reals && i < shape->count; i++)
			reals[i] = real_at(p + i * size, shape->type);
	}
	return to->data;
}

static struct doc *new_child(struct ubj *u, struct doc *parent, struct doc ***tail, struct error *err)
{
	struct doc *child = ARENA_NEW(u->arena, struct doc, err);

	if (!child)
		return NULL;
	if (!parent->first)
		*tail = &parent->first;
	**tail = child;
	*tail = &child->next;
	parent->count++;
	return child;
}

/* An array whose elements name their types each, and turn out to be numbers, is an array of numbers too. */
static bool gather_numbers(struct ubj *u, struct doc *to, struct error *err)
{
	double *reals;
	size_t i = 0;

	for (const struct doc *d = to->first; d; d = d->next) {
		if (d->type != DOC_NUMBER)
			return true;
	}
	reals = ARENA_ARRAY(u->arena, double, to->count, err);
	if (!reals)
		return false;
	for (const struct doc *d = to->first; d; d = d->next)
		reals[i++] = d->number.kind == NUMBER_INT ? (double)d->number.i : d->number.d;
	to->type = DOC_NUMBERS;
	to->data = reals;
	return true;
}

static bool take_array(struct ubj *u, struct doc *to, int depth, struct error *err)
{
	struct doc **tail = to ? &to->first : NULL;
	struct shape shape;
	bool failed = false;

	if (!take_shape(u, &shape, err))
		return false;
	if (shape.counted && number_size(shape.type))
		return take_numbers(u, &shape, to, err);
	if (to)
		to->type = DOC_ARRAY;
	for (size_t i = 0; !container_ends(u, &shape, i, ']', &failed, err); i++) {
		struct doc *child = to ? new_child(u, to, &tail, err) : NULL;
		int marker = shape.type;

		if ((to && !child) || (!marker && !take_marker(u, &marker, err)))
			return false;
		if (!take_value(u, marker, child, depth + 1, err))
			return false;
	}
	return !failed && (!to || gather_numbers(u, to, err));
}

static bool take_object(struct ubj *u, struct doc *to, int depth, struct error *err)
{
	struct doc **tail = to ? &to->first : NULL;
	struct shape shape;
	bool failed = false;

	if (!take_shape(u, &shape, err))
		return false;
	if (to)
		to->type = DOC_OBJECT;
	for (size_t i = 0; !container_ends(u, &shape, i, '}', &failed, err); i++) {
		struct doc *child = NULL;
		int marker = shape.type;
		struct span key;

		if (!take_text(u, &key, err))
			return false;
		if (to && !doc_is_ignored(u->ignored, key)) {
			child = new_child(u, to, &tail, err);
			if (!child)
				return false;
			child->key = key;
		}
		if ((!marker && !take_marker(u, &marker, err)) || !take_value(u, marker, child, depth + 1, err))
			return false;
	}
	return !failed;
}

static bool take_number(struct ubj *u, int marker, struct doc *to, struct error *err)
{
	const uint8_t *p = NULL;

	if (!take_bytes(u, number_size(marker), &p, err))
		return false;
	if (!to)
		return true;
	to->type = DOC_NUMBER;
	if (is_real(marker))
		to->number = (struct number){ .kind = NUMBER_DOUBLE, .d = real_at(p, marker) };
	else
		to->number = (struct number){ .kind = NUMBER_INT, .i = integer_at(p, marker) };
	return true;
}

static bool take_value(struct ubj *u, int marker, struct doc *to, int depth, struct error *err)
{
	struct doc ignored;

	if (depth > DOC_DEPTH_MAX)
		return fail(u, err, "the data is nested too deep");
	if (number_size(marker))
		return take_number(u, marker, to, err);
	switch (marker) {
	case '{':
		return take_object(u, to, depth, err);
	case '[':
		return take_array(u, to, depth, err);
	case 'S':
		if (!to)
			to = &ignored;
		to->type = DOC_STRING;
		return take_text(u, &to->text, err);
	case 'Z':
		return true; /* DOC_NULL is 0 */
	case 'T':
	case 'F':
		if (to) {
			to->type = DOC_BOOL;
			to->boolean = marker == 'T';
		}
		return true;
	default:
		u->at--;
		return fail(u, err, "unknown type of value");
	}
}

struct doc *doc_read_ubj(struct span bytes, const char *const *ignored, struct arena *arena, struct error *err)
{
	const uint8_t *start = (const uint8_t *)bytes.ptr;
	struct ubj u = { .start = start, .at = start, .end = start + bytes.len, .ignored = ignored, .arena = arena };
	struct doc *root = ARENA_NEW(arena, struct doc, err);
	int marker = 0;

	if (!root || !take_marker(&u, &marker, err) || !take_value(&u, marker, root, 0, err))
		return NULL;
	while (u.at < u.end && *u.at == 'N')
		u.at++;
	if (u.at != u.end) {
		fail(&u, err, "there is more behind the end of the value");
		return NULL;
	}
	return root;
}
