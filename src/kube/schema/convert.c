/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert - what the real server says when a tree does not fit its types: strategic merge patches are put into Go's structs by another
 * way than bodies, which has words of its own.
 */
#include "kube/schema/schema.h"

#include <stdio.h>
#include <string.h>

/* The kind of Go value that JSON becomes. */
static const char *go_kind(const struct value *v)
{
	switch (v->type) {
	case VALUE_BOOL:
		return "bool";
	case VALUE_INT:
		return "int64";
	case VALUE_DOUBLE:
		return "float64";
	case VALUE_STRING:
		return "string";
	case VALUE_ARRAY:
		return "slice";
	default:
		return "map";
	}
}

static bool say(char *ret, const char *words, const char *what)
{
	(void)snprintf(ret, SCHEMA_WORDS_SIZE, "%s%s", words, what);
	return true;
}

static bool scalar_fault(const struct field *f, const struct value *v, char *ret)
{
	const char *type = f->go_type ? f->go_type : "string", *base;
	bool is_whole = v->type == VALUE_DOUBLE && v->number == __builtin_trunc(v->number);

	if (type[0] == '*')
		type++;
	switch ((enum field_kind)f->kind) {
	case FIELD_STRING:
		if (v->type == VALUE_STRING)
			return false;
		if (v->type == VALUE_INT) { /* Go could make a letter of it, and does not */
			(void)snprintf(ret, SCHEMA_WORDS_SIZE, "cannot convert int64 to %s", type);
			return true;
		}
		return say(ret, "unrecognized type: ", "string");
	case FIELD_BOOL:
		return v->type != VALUE_BOOL && say(ret, "unrecognized type: ", "bool");
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
		base = f->kind == FIELD_INT32 ? "int32" : f->kind == FIELD_INT64 ? "int64" : "float64";
		if (v->type == VALUE_INT || is_whole || (v->type == VALUE_DOUBLE && f->kind == FIELD_DOUBLE))
			return false;
		if (v->type == VALUE_DOUBLE) {
			(void)snprintf(ret, SCHEMA_WORDS_SIZE, "cannot convert float64 to %s", type);
			return true;
		}
		return say(ret, "unrecognized type: ", base);
	default:
		return false; /* types that read themselves say it in their own words */
	}
}

static bool item_fault(const struct field *f, const struct value *v, char *ret)
{
	if (v->type == VALUE_NULL)
		return false;
	if (f->kind == FIELD_OBJECT)
		return f->type && schema_convert_fault(f->type, v, ret);
	return scalar_fault(f, v, ret);
}

static bool field_fault(const struct field *f, const struct value *v, char *ret)
{
	if (v->type == VALUE_NULL)
		return false;
	if (f->shape == FIELD_ONE)
		return item_fault(f, v, ret);
	if (f->shape == FIELD_LIST) {
		if (v->type != VALUE_ARRAY)
			return say(ret, "cannot restore slice from ", go_kind(v));
		for (uint32_t i = 0; i < v->array.count; i++)
			if (item_fault(f, value_item(v, i), ret))
				return true;
		return false;
	}
	if (v->type != VALUE_OBJECT)
		return say(ret, "cannot restore map from ", go_kind(v));
	for (uint32_t i = 0; i < v->object.count; i++)
		if (item_fault(f, &v->object.members[i].value, ret))
			return true;
	return false;
}

bool schema_convert_fault(const struct type *t, const struct value *v, char ret[SCHEMA_WORDS_SIZE])
{
	if (v->type != VALUE_OBJECT)
		return say(ret, "cannot restore struct from: ", go_kind(v));
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct field *f = type_field(t, v->object.members[i].key);

		if (f && field_fault(f, &v->object.members[i].value, ret))
			return true;
	}
	return false;
}
