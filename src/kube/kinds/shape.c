/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape - gives objects the form that the real server's types give them when they go through it: members that are empty and need not be
 * told are left out, those that are always told are put in, quantities and times are written in one way. With it the same object has the
 * same text whoever wrote it, and answers look as clients know them.
 */
#include "kube/kinds/kinds.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

/* ---- one way to write a value ---- */

static void canonical_time(struct change *c, struct value *v, bool is_micro)
{
	struct span s = text_of(v), micro = SPAN("000000"), text;
	int64_t seconds;
	time_t when;
	struct tm tm;
	char digits[8] = "000000";

	if (!time_parse(s, &seconds))
		return;
	if (is_micro && s.len > 20 && s.ptr[19] == '.') {
		for (size_t i = 0; i < 6 && 20 + i < s.len && s.ptr[20 + i] >= '0' && s.ptr[20 + i] <= '9'; i++)
			digits[i] = s.ptr[20 + i];
		micro = span_from(digits, 6);
	}
	when = (time_t)seconds;
	if (!gmtime_r(&when, &tm))
		return;
	text =
	    path_print(c, "%04d-%02d-%02dT%02d:%02d:%02d%s%.*sZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		       tm.tm_hour, tm.tm_min, tm.tm_sec, is_micro ? "." : "", is_micro ? (int)micro.len : 0, micro.ptr);
	*v = value_string(text);
}

static void canonical_quantity(struct change *c, struct value *v)
{
	struct span text;

	if (value_is(v, VALUE_INT))
		*v = value_string(path_print(c, "%lld", (long long)v->integer));
	else if (value_is(v, VALUE_DOUBLE))
		*v = value_string(path_print(c, "%.9g", v->number));
	if (quantity_canonical(text_of(v), c->arena, &text))
		v->string = text;
	else if (c->err && c->err->code == ERROR_NONE)
		error_set(
		    c->err, ERROR_INVALID,
		    "%s in version \"%s\" cannot be handled as a %s: quantities must match the regular expression "
		    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
		    c->kind->kind, c->kind->version, c->kind->kind);
}

/* ---- trimming ---- */

static void trim_object(struct change *c, const struct type *t, struct value *object);

static void trim_one(struct change *c, const struct field *f, struct value *v)
{
	if (f->kind == FIELD_OBJECT)
		trim_object(c, f->type, v);
	else if (f->kind == FIELD_QUANTITY)
		canonical_quantity(c, v);
	else if (f->kind == FIELD_TIME || f->kind == FIELD_MICRO_TIME)
		canonical_time(c, v, f->kind == FIELD_MICRO_TIME);
}

static void trim_field(struct change *c, const struct field *f, struct value *v)
{
	if (f->shape == FIELD_ONE) {
		trim_one(c, f, v);
	} else if (f->shape == FIELD_LIST && v->type == VALUE_ARRAY) {
		for (uint32_t i = 0; i < v->array.count; i++)
			trim_one(c, f, value_item(v, i));
	} else if (f->shape == FIELD_MAP && v->type == VALUE_OBJECT) {
		for (uint32_t i = 0; i < v->object.count; i++)
			trim_one(c, f, &v->object.members[i].value);
	}
}

static bool is_zero(const struct value *v)
{
	switch (v->type) {
	case VALUE_BOOL:
		return !v->boolean;
	case VALUE_INT:
		return v->integer == 0;
	case VALUE_DOUBLE:
		return v->number == 0;
	default:
		return value_is_empty(v);
	}
}

/* What Go would not tell. Structs are always told, also when they are empty. */
static bool is_left_out(const struct field *f, const struct value *v)
{
	if (v->type == VALUE_NULL)
		return true;
	if (!(f->flags & FIELD_OMIT_EMPTY) || (f->flags & FIELD_POINTER))
		return false;
	if (f->shape != FIELD_ONE)
		return value_is_empty(v);
	switch (f->kind) {
	case FIELD_STRING:
	case FIELD_BOOL:
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
	case FIELD_BYTES:
		return is_zero(v);
	default:
		return false;
	}
}

static void trim_object(struct change *c, const struct type *t, struct value *object)
{
	if (!t || object->type != VALUE_OBJECT)
		return;
	for (uint32_t i = object->object.count; i-- > 0;) {
		struct value_member *m = &object->object.members[i];
		const struct field *f = type_field(t, m->key);

		if (!f)
			continue;
		trim_field(c, f, &m->value);
		if (is_left_out(f, &m->value))
			(void)value_remove(object, m->key);
	}
}

static const struct type *type_of(const struct change *c)
{
	if (c->kind->type)
		return c->kind->type();
	return c->kind->type_name ? type_find(span_of(c->kind->type_name)) : NULL;
}

void shape_trim(struct change *c)
{
	const struct type *t = type_of(c);

	if (t)
		trim_object(c, t, c->object);
}

/* ---- filling ---- */

static void fill_object(struct change *c, const struct type *t, struct value *object, bool is_root);

/* The zero that is told for a member that is absent, or nothing (VALUE_NULL and false). */
static bool zero_of(const struct field *f, struct value *ret)
{
	bool is_omitted = f->flags & FIELD_OMIT_EMPTY;

	*ret = value_null();
	if (f->flags & FIELD_POINTER)
		return !is_omitted;
	if (f->shape != FIELD_ONE)
		return !is_omitted;
	switch (f->kind) {
	case FIELD_OBJECT:
		*ret = value_object();
		return true;
	case FIELD_TIME:
	case FIELD_MICRO_TIME:
		return true;
	case FIELD_QUANTITY:
		*ret = value_string(SPAN("0"));
		return true;
	case FIELD_INT_OR_STRING:
		*ret = value_int(0);
		return true;
	case FIELD_DURATION:
		*ret = value_string(SPAN("0s"));
		return true;
	case FIELD_STRING:
		*ret = value_string(SPAN(""));
		return !is_omitted;
	case FIELD_BOOL:
		*ret = value_bool(false);
		return !is_omitted;
	case FIELD_INT32:
	case FIELD_INT64:
		*ret = value_int(0);
		return !is_omitted;
	case FIELD_DOUBLE:
		*ret = value_double(0);
		return !is_omitted;
	default:
		return !is_omitted;
	}
}

static void fill_field(struct change *c, const struct field *f, struct value *v)
{
	if (f->kind != FIELD_OBJECT)
		return;
	if (f->shape == FIELD_ONE) {
		fill_object(c, f->type, v, false);
	} else if (f->shape == FIELD_LIST && v->type == VALUE_ARRAY) {
		for (uint32_t i = 0; i < v->array.count; i++)
			fill_object(c, f->type, value_item(v, i), false);
	} else if (f->shape == FIELD_MAP && v->type == VALUE_OBJECT) {
		for (uint32_t i = 0; i < v->object.count; i++)
			fill_object(c, f->type, &v->object.members[i].value, false);
	}
}

static void fill_object(struct change *c, const struct type *t, struct value *object, bool is_root)
{
	if (!t || object->type != VALUE_OBJECT)
		return;
	for (uint16_t i = 0; i < t->count; i++) {
		const struct field *f = &t->fields[i];
		struct value *v, zero;

		/* The server keeps metadata itself. */
		if (is_root && span_equal(f->name, SPAN("metadata")))
			continue;
		v = value_get(object, f->name);
		if (!v && zero_of(f, &zero))
			v = value_set(object, f->name, zero, c->arena, c->err);
		if (v)
			fill_field(c, f, v);
	}
}

void shape_fill(struct change *c)
{
	const struct type *t = type_of(c);

	if (t)
		fill_object(c, t, c->object, true);
}
