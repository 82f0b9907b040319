/* SPDX-License-Identifier: Apache-2.0 */
/* fields_place - what field ownership asks of a place in an object, and the elements of lists' items. */
#include <stdlib.h>

#include "kube/crd/structural.h"
#include "kube/fields.h"

static enum fields_shape shape_of_kind(enum field_kind kind)
{
	switch (kind) {
	case FIELD_STRING:
	case FIELD_BYTES:
	case FIELD_TIME:
	case FIELD_MICRO_TIME:
	case FIELD_DURATION:
		return SHAPE_STRING;
	case FIELD_BOOL:
		return SHAPE_BOOL;
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
		return SHAPE_NUMBER;
	case FIELD_QUANTITY:
	case FIELD_INT_OR_STRING:
		return SHAPE_SCALAR;
	case FIELD_OBJECT:
		return SHAPE_MAP;
	case FIELD_STRINGS:
		return SHAPE_LIST;
	case FIELD_ANY:
	case FIELD_SCHEMA_OR_ARRAY:
	case FIELD_SCHEMA_OR_BOOL:
	case FIELD_SCHEMA_OR_STRINGS:
		break;
	}
	return SHAPE_ANY;
}

static enum fields_shape shape_of_schema(const struct openapi_schema *s)
{
	static const struct {
		const char *type;
		enum fields_shape shape;
	} rows[] = {
		{ "object", SHAPE_MAP },     { "array", SHAPE_LIST },    { "string", SHAPE_STRING },
		{ "integer", SHAPE_NUMBER }, { "number", SHAPE_NUMBER }, { "boolean", SHAPE_BOOL },
	};
	const struct value *source = openapi_schema_source(s);
	struct span type = value_find_string(source, "type");
	const struct value *both = value_get(source, SPAN("x-kubernetes-int-or-string"));

	if (value_is(both, VALUE_BOOL) && both->boolean)
		return SHAPE_SCALAR;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(type, span_of(rows[i].type)))
			return rows[i].shape;
	return SHAPE_ANY;
}

enum fields_shape fields_shape(struct place p)
{
	if (p.openapi)
		return shape_of_schema(p.openapi);
	if (p.field && !p.is_item && p.field->shape != FIELD_ONE)
		return p.field->shape == FIELD_LIST ? SHAPE_LIST : SHAPE_MAP;
	if (p.field)
		return shape_of_kind((enum field_kind)p.field->kind);
	return p.type ? SHAPE_MAP : SHAPE_ANY;
}

enum fields_shape fields_shape_of(const struct value *v, struct place p)
{
	enum fields_shape wanted;

	if (v->type == VALUE_OBJECT)
		return SHAPE_MAP;
	if (v->type == VALUE_ARRAY)
		return SHAPE_LIST;
	if (v->type != VALUE_NULL)
		return SHAPE_SCALAR;
	wanted = fields_shape(p);
	return wanted == SHAPE_ANY ? SHAPE_MAP : wanted > SHAPE_LIST ? SHAPE_SCALAR : wanted;
}

bool fields_is_atomic(struct place p, enum fields_shape shape)
{
	/* RawExtension and its like: any JSON, owned as one */
	if (!p.openapi && p.field && fields_shape(p) == SHAPE_ANY)
		return true;
	return shape == SHAPE_LIST ? place_list(p) == LIST_ATOMIC : shape != SHAPE_MAP || place_is_atomic(p);
}

bool fields_is_declared(struct place p, struct span key)
{
	struct place m;

	if (p.openapi)
		return value_get(value_get(openapi_schema_source(p.openapi), SPAN("properties")), key);
	m = place_member(p, key);
	return m.field && !m.is_item;
}

struct place fields_member(struct place p, struct span key)
{
	return place_member(p, key);
}

bool fields_keeps_unknown(struct place p)
{
	const struct value *source = p.openapi ? openapi_schema_source(p.openapi) : NULL;
	const struct value *keeps = value_get(source, SPAN("x-kubernetes-preserve-unknown-fields"));
	const struct value *more = value_get(source, SPAN("additionalProperties"));

	return (value_is(keeps, VALUE_BOOL) && keeps->boolean) || (value_is(more, VALUE_BOOL) && more->boolean);
}

bool fields_is_always(struct place p, struct span key, struct value *ret)
{
	struct place m = p.openapi ? (struct place){ 0 } : place_member(p, key);

	if (!m.field || m.is_item)
		return false;
	if (m.field->shape == FIELD_ONE && m.field->kind == FIELD_OBJECT && !(m.field->flags & FIELD_POINTER)) {
		*ret = value_object();
		return true;
	}
	*ret = value_null();
	return fields_shape(m) <= SHAPE_LIST && !(m.field->flags & FIELD_OMIT_EMPTY);
}

/* ---- items ---- */

/* What an absent key counts as: its default; in a built-in type, whose keys are always written, else "" or 0. */
static bool key_default(struct place list, struct span key, const char *declared, struct arena *arena,
			struct value *ret, struct error *err)
{
	struct place m;

	if (declared)
		return value_parse(span_of(declared), NULL, arena, ret, err);
	m = list.openapi ? (struct place){ 0 } : place_member(place_item(list), key);
	if (!m.field || m.field->shape != FIELD_ONE)
		return error_set(err, ERROR_INVALID,
				 "associative list with keys has an element that omits key field \"%.*s\" (and "
				 "doesn't have default value)",
				 (int)key.len, key.ptr);
	*ret = fields_shape(m) == SHAPE_NUMBER ? value_int(0) : value_string(SPAN(""));
	return true;
}

static bool keyed_element(const struct value *item, struct place list, struct arena *arena, struct path_element *ret,
			  struct error *err)
{
	struct span keys[LIST_KEYS_MAX];
	const char *defaults[LIST_KEYS_MAX] = { NULL };
	size_t count = place_list_keys(list, keys, defaults);
	struct value made = value_object();

	if (item->type == VALUE_NULL)
		return error_set(err, ERROR_INVALID, "associative list with keys may not have a null element");
	if (item->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "associative list with keys may not have non-map elements");
	for (size_t i = 0; i < count; i++) {
		const struct value *at = value_get(item, keys[i]);
		struct value v = at ? *at : value_null();

		if (!at && !key_default(list, keys[i], defaults[i], arena, &v, err))
			return false;
		if (!value_set(&made, keys[i], v, arena, err))
			return false;
	}
	*ret = (struct path_element){ .kind = PATH_KEY, .value = made };
	fields_sort_keys(&ret->value);
	return true;
}

bool fields_item_element(const struct value *item, struct place list, struct arena *arena, struct path_element *ret,
			 struct error *err)
{
	if (place_list(list) == LIST_MAP)
		return keyed_element(item, list, arena, ret, err);
	if (item->type == VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "associative list without keys has an element that's a map type");
	if (item->type == VALUE_ARRAY)
		return error_set(err, ERROR_INVALID, "not supported: associative list with lists as elements");
	if (item->type == VALUE_NULL)
		return error_set(err, ERROR_INVALID,
				 "associative list without keys has an element that's an explicit null");
	*ret = (struct path_element){ .kind = PATH_VALUE, .value = *item };
	return true;
}

static int items_compare(const void *a, const void *b)
{
	const struct fields_item *left = a, *right = b;
	int c = path_element_compare(&left->element, &right->element);

	return c ? c : left->at < right->at ? -1 : left->at > right->at;
}

bool fields_index(const struct value *list, struct place place, struct arena *arena, struct fields_index *ret,
		  struct error *err)
{
	struct fields_index x = { 0 };
	uint32_t count = value_count(list);

	x.items = ARENA_ARRAY(arena, struct fields_item, count, err);
	if (!x.items)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct fields_item item = { .value = value_item(list, i), .at = i, .many = 1 };
		struct error why = { 0 };

		if (fields_item_element(item.value, place, arena, &item.element, &why))
			x.items[x.count++] = item;
		else if (why.code == ERROR_TOO_LARGE)
			return error_set(err, why.code, "%s", why.message);
	}
	if (x.count)
		qsort(x.items, x.count, sizeof(*x.items), items_compare);
	for (uint32_t i = x.count; i-- > 1;)
		if (path_element_compare(&x.items[i].element, &x.items[i - 1].element) == 0)
			x.items[i - 1].many = x.items[i].many + 1;
	*ret = x;
	return true;
}

const struct fields_item *fields_index_find(const struct fields_index *x, const struct path_element *e)
{
	uint32_t low = 0, high = x->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (path_element_compare(&x->items[middle].element, e) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < x->count && path_element_compare(&x->items[low].element, e) == 0 ? &x->items[low] : NULL;
}
