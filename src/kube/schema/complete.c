/* SPDX-License-Identifier: Apache-2.0 */
/* complete - what an object has after it went through Go's structs: structs that are no pointers are always there, zeros that JSON
 * leaves out are gone. The stored objects of the real server have this form. */
#include "kube/schema/schema.h"

static bool complete_object(const struct type *t, struct value *v, struct arena *arena, struct error *err);

/* Objects below lists and maps as well. */
static bool complete_below(const struct field *f, struct value *v, struct arena *arena, struct error *err)
{
	if (f->kind != FIELD_OBJECT)
		return true;
	if (f->shape == FIELD_ONE)
		return v->type != VALUE_OBJECT || complete_object(f->type, v, arena, err);
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++) {
		if (value_item(v, i)->type == VALUE_OBJECT && !complete_object(f->type, value_item(v, i), arena, err))
			return false;
	}
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		struct value *item = &v->object.members[i].value;

		if (item->type == VALUE_OBJECT && !complete_object(f->type, item, arena, err))
			return false;
	}
	return true;
}

static bool is_zero(const struct value *v)
{
	return value_is_empty(v) || (v->type == VALUE_BOOL && !v->boolean) ||
	       (v->type == VALUE_INT && v->integer == 0) || (v->type == VALUE_DOUBLE && v->number == 0);
}

/* Whether Go leaves this value of the field out of JSON: structs never are, behind a pointer nothing but nil is. */
static bool is_left_out(const struct field *f, const struct value *v)
{
	if (!(f->flags & FIELD_OMIT_EMPTY))
		return false;
	if (f->shape == FIELD_ONE && (f->flags & FIELD_POINTER))
		return v->type == VALUE_NULL;
	if (f->shape == FIELD_ONE && f->kind != FIELD_BYTES && f->kind > FIELD_DOUBLE)
		return false;
	return is_zero(v);
}

/* What Go writes for a field that nobody has set; false when it writes nothing. */
static bool unset_value(const struct field *f, struct value *ret)
{
	bool is_omitted = f->flags & FIELD_OMIT_EMPTY;

	*ret = value_null();
	if (f->shape != FIELD_ONE || (f->flags & FIELD_POINTER))
		return !is_omitted;
	switch ((enum field_kind)f->kind) {
	case FIELD_STRING:
		*ret = value_string(SPAN(""));
		return !is_omitted;
	case FIELD_BOOL:
		*ret = value_bool(false);
		return !is_omitted;
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
		*ret = value_int(0);
		return !is_omitted;
	case FIELD_BYTES:
		return !is_omitted;
	case FIELD_OBJECT:
		*ret = value_object();
		return true;
	case FIELD_QUANTITY:
		*ret = value_string(SPAN("0"));
		return true;
	case FIELD_DURATION:
		*ret = value_string(SPAN("0s"));
		return true;
	case FIELD_INT_OR_STRING:
		*ret = value_int(0);
		return true;
	default: /* times, and JSON of any kind: null */
		return true;
	}
}

static bool complete_object(const struct type *t, struct value *v, struct arena *arena, struct error *err)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct field *f = &t->fields[i];
		struct value *member = value_get(v, f->name), unset;

		if (!member) {
			if (!unset_value(f, &unset))
				continue;
			member = value_set(v, f->name, unset, arena, err);
			if (!member)
				return false;
		} else if (is_left_out(f, member)) {
			value_remove(v, f->name);
			continue;
		}
		if (!complete_below(f, member, arena, err))
			return false;
	}
	return true;
}

bool schema_complete(const struct type *t, struct value *v, struct arena *arena, struct error *err)
{
	return complete_object(t, v, arena, err);
}
