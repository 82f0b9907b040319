/* SPDX-License-Identifier: Apache-2.0 */
/* doc - reading JSON into a tree of values, and looking around in one. */
#include "models/doc.h"

#include <math.h>

#include "wire/json.h"

static const char *const type_names[] = {
	[DOC_NULL] = "null",
	[DOC_BOOL] = "a boolean",
	[DOC_NUMBER] = "a number",
	[DOC_STRING] = "a string",
	[DOC_NUMBERS] = "an array of numbers",
	[DOC_ARRAY] = "an array",
	[DOC_OBJECT] = "an object",
};

bool doc_is_ignored(const char *const *ignored, struct span key)
{
	for (; *ignored; ignored++) {
		if (span_equal(key, span_of(*ignored)))
			return true;
	}
	return false;
}

static bool read_value(struct json *j, const char *const *ignored, struct doc *to, int depth, struct error *err);

static struct doc *new_child(struct json *j, struct doc *parent, struct doc ***tail, struct error *err)
{
	struct doc *child = ARENA_NEW(j->arena, struct doc, err);

	if (!child)
		return NULL;
	if (!parent->first)
		*tail = &parent->first;
	**tail = child;
	*tail = &child->next;
	parent->count++;
	return child;
}

static bool read_object(struct json *j, const char *const *ignored, struct doc *to, int depth, struct error *err)
{
	struct doc **tail = &to->first;
	struct span key;

	to->type = DOC_OBJECT;
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		struct doc *child;

		if (doc_is_ignored(ignored, key)) {
			if (!json_skip(j, err))
				return false;
			continue;
		}
		child = new_child(j, to, &tail, err);
		if (!child || !read_value(j, ignored, child, depth + 1, err))
			return false;
		child->key = key;
	}
	return !j->failed;
}

/* Elements of the array of scalars ahead, so that the reader does not guess from the length of the whole text. */
static size_t count_elements(const struct json *j)
{
	size_t count = 1;

	for (const char *p = j->at; p < j->end && *p != ']'; p++)
		count += *p == ',';
	return count;
}

static bool read_numbers(struct json *j, struct doc *to, struct error *err)
{
	struct json_array array;
	double *wide;

	to->type = DOC_NUMBERS;
	if (!json_read_array(j, count_elements(j), &array, err))
		return false;
	to->count = array.count;
	to->data = array.data;
	to->is_integer = array.kind == JSON_ARRAY_INT64;
	if (array.rank != 1)
		return error_set(err, ERROR_INVALID, "an array of numbers is nested");
	if (array.kind == JSON_ARRAY_INT64 || array.kind == JSON_ARRAY_DOUBLE)
		return true;
	if (array.kind != JSON_ARRAY_UINT64 && array.kind != JSON_ARRAY_BOOL)
		return error_set(err, ERROR_INVALID, "an array that starts with a number holds something else as well");
	wide = ARENA_ARRAY(j->arena, double, array.count, err);
	for (size_t i = 0; wide && i < array.count; i++)
		wide[i] = array.kind == JSON_ARRAY_BOOL ? ((const uint8_t *)array.data)[i]
							: (double)((const uint64_t *)array.data)[i];
	to->data = wide;
	return wide;
}

/* A number in front decides for the typed form; the reader goes back for it. XGBoost 1.x wrote 0 and 1 as booleans. */
static bool read_array(struct json *j, const char *const *ignored, struct doc *to, int depth, struct error *err)
{
	struct json before = *j;
	struct doc **tail = &to->first;

	if (!json_enter_array(j, err))
		return false;
	if (!json_next_element(j, err)) {
		to->type = DOC_NUMBERS;
		to->is_integer = true;
		return !j->failed;
	}
	if (json_peek(j) == JSON_NUMBER || json_peek(j) == JSON_BOOL) {
		*j = before;
		return read_numbers(j, to, err);
	}
	to->type = DOC_ARRAY;
	do {
		struct doc *child = new_child(j, to, &tail, err);

		if (!child || !read_value(j, ignored, child, depth + 1, err))
			return false;
	} while (json_next_element(j, err));
	return !j->failed;
}

static bool read_value(struct json *j, const char *const *ignored, struct doc *to, int depth, struct error *err)
{
	if (depth > DOC_DEPTH_MAX)
		return error_set(err, ERROR_INVALID, "the text is nested deeper than %d", DOC_DEPTH_MAX);
	switch (json_peek(j)) {
	case JSON_OBJECT:
		return read_object(j, ignored, to, depth, err);
	case JSON_ARRAY:
		return read_array(j, ignored, to, depth, err);
	case JSON_NUMBER:
		to->type = DOC_NUMBER;
		return json_read_number(j, &to->number, err);
	case JSON_STRING:
		to->type = DOC_STRING;
		return json_read_string(j, &to->text, err);
	case JSON_BOOL:
		to->type = DOC_BOOL;
		return json_read_bool(j, &to->boolean, err);
	case JSON_NULL:
	case JSON_INVALID:
		break;
	}
	to->type = DOC_NULL;
	return json_read_null(j, err); /* says what is wrong with anything else */
}

struct doc *doc_read_json(struct span text, const char *const *ignored, struct arena *arena, struct error *err)
{
	struct doc *root = ARENA_NEW(arena, struct doc, err);
	struct json j;

	if (!root)
		return NULL;
	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	if (!read_value(&j, ignored, root, 0, err) || !json_finish(&j, err))
		return NULL;
	return root;
}

/* ---- looking around ---- */

const struct doc *doc_get(const struct doc *d, const char *key)
{
	if (!d || d->type != DOC_OBJECT)
		return NULL;
	for (const struct doc *child = d->first; child; child = child->next) {
		if (span_equal(child->key, span_of(key)))
			return child;
	}
	return NULL;
}

const struct doc *doc_need(const struct doc *d, const char *key, enum doc_type type, struct error *err)
{
	const struct doc *member = doc_get(d, key);

	if (!member) {
		error_set(err, ERROR_INVALID, "'%s' is missing", key);
		return NULL;
	}
	if (member->type == type || (type == DOC_ARRAY && member->type == DOC_NUMBERS && member->count == 0))
		return member;
	error_set(err, ERROR_INVALID, "'%s' is %s, expected %s", key, type_names[member->type], type_names[type]);
	return NULL;
}

static double number_double(struct number n)
{
	switch (n.kind) {
	case NUMBER_INT:
		return (double)n.i;
	case NUMBER_UINT:
		return (double)n.u;
	case NUMBER_DOUBLE:
		break;
	}
	return n.d;
}

bool doc_double(const struct doc *d, const char *key, double *ret, struct error *err)
{
	const struct doc *member = doc_get(d, key);

	if (!member)
		return error_set(err, ERROR_INVALID, "'%s' is missing", key);
	if (member->type == DOC_NUMBER) {
		*ret = number_double(member->number);
		return true;
	}
	if (member->type == DOC_STRING && number_parse_double(member->text, ret))
		return true;
	if (member->type == DOC_STRING)
		return error_set(err, ERROR_INVALID, "'%s' is '" SPAN_FMT "', expected a number", key,
				 SPAN_ARG(member->text));
	return error_set(err, ERROR_INVALID, "'%s' is %s, expected a number", key, type_names[member->type]);
}

static bool whole(double d, int64_t *ret)
{
	if (!(d >= -0x1p63 && d < 0x1p63) || d != trunc(d))
		return false;
	*ret = (int64_t)d;
	return true;
}

bool doc_int64(const struct doc *d, const char *key, int64_t *ret, struct error *err)
{
	const struct doc *member = doc_get(d, key);

	if (!member)
		return error_set(err, ERROR_INVALID, "'%s' is missing", key);
	if (member->type == DOC_NUMBER && member->number.kind == NUMBER_INT) {
		*ret = member->number.i;
		return true;
	}
	if (member->type == DOC_NUMBER && whole(number_double(member->number), ret))
		return true;
	if (member->type == DOC_STRING && number_parse_int64(member->text, ret))
		return true;
	if (member->type == DOC_STRING)
		return error_set(err, ERROR_INVALID, "'%s' is '" SPAN_FMT "', expected a whole number", key,
				 SPAN_ARG(member->text));
	return error_set(err, ERROR_INVALID, "'%s' is %s, expected a whole number", key, type_names[member->type]);
}

double doc_number_at(const struct doc *d, size_t i)
{
	return d->is_integer ? (double)((const int64_t *)d->data)[i] : ((const double *)d->data)[i];
}

bool doc_int64_at(const struct doc *d, size_t i, int64_t *ret)
{
	if (d->is_integer) {
		*ret = ((const int64_t *)d->data)[i];
		return true;
	}
	return whole(((const double *)d->data)[i], ret);
}
