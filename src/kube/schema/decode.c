/* SPDX-License-Identifier: Apache-2.0 */
/* decode - a parsed object is held against its type: what Go's decoder of the real server takes, and what it says when it does not. */
#include "kube/schema/schema_private.h"

/* The way from the root to a value. */
struct step {
	const struct step *up;
	const struct type *owner;  /* the type whose field this is; NULL: an item or a value of a map */
	const struct field *field; /* with owner */
	struct span key;           /* of a map */
	uint32_t index;            /* of a list, without owner and key */
	bool is_key;
};

struct decoding {
	const struct schema_report *report;
	struct arena *arena;
	struct error *err;
};

static bool decode_object(struct decoding *d, const struct type *t, struct value *v, const struct step *at);

/* ---- telling ---- */

#define PATH_MAX_BYTES (64 << 10)

static void path_write(const struct step *at, struct buffer *out, bool with_items)
{
	if (!at)
		return;
	path_write(at->up, out, with_items);
	if (at->owner || (at->is_key && with_items)) {
		if (out->len)
			buffer_byte(out, '.');
		buffer_append(out, at->owner ? at->field->name : at->key);
	} else if (with_items) {
		buffer_print(out, "[%u]", at->index);
	}
}

static void tell_unknown(const struct decoding *d, const struct step *up, struct span key)
{
	struct step last = { .up = up, .key = key, .is_key = true };
	struct buffer path;

	if (!d->report || !d->report->unknown)
		return;
	buffer_init(&path, PATH_MAX_BYTES);
	buffer_append(&path, d->report->prefix);
	path_write(&last, &path, true);
	d->report->unknown(d->report->context, buffer_span(&path));
	buffer_done(&path);
}

/* The type's own name: "PodSpec" of "io.k8s.api.core.v1.PodSpec". */
static const char *short_name(const struct type *t)
{
	const char *dot = strrchr(t->name, '.');

	return dot ? dot + 1 : t->name;
}

static const char *json_word(const struct value *v)
{
	switch (v->type) {
	case VALUE_BOOL:
		return "bool";
	case VALUE_STRING:
		return "string";
	case VALUE_ARRAY:
		return "array";
	case VALUE_OBJECT:
		return "object";
	default:
		return "number";
	}
}

/* "json: cannot unmarshal string into Go struct field PodSpec.spec.nodeName of type ..."; numbers are quoted where one was wanted. */
static bool wrong(const struct decoding *d, const struct value *v, const struct step *at, const char *go_type,
		  bool wants_number)
{
	const struct step *owner = at;
	struct buffer path;
	char number[NUMBER_TEXT_MAX + 2] = " ";

	if (wants_number && v->type == VALUE_INT)
		*number_print_int64(number + 1, v->integer) = '\0';
	else if (wants_number && v->type == VALUE_DOUBLE)
		*number_print_double(number + 1, v->number) = '\0';
	else
		number[0] = '\0';
	while (owner && !owner->owner)
		owner = owner->up;
	buffer_init(&path, PATH_MAX_BYTES);
	path_write(at, &path, false);
	if (owner)
		error_set(d->err, ERROR_INVALID,
			  "json: cannot unmarshal %s%s into Go struct field %s." SPAN_FMT " of type %s", json_word(v),
			  number, short_name(owner->owner), SPAN_ARG(buffer_span(&path)), go_type);
	else
		error_set(d->err, ERROR_INVALID, "json: cannot unmarshal %s%s into Go value of type %s", json_word(v),
			  number, go_type);
	buffer_done(&path);
	return false;
}

/* ---- one value ---- */

/* What Go calls one item of the field: "v1.Container" of "[]v1.Container". */
static const char *item_type(const struct field *f)
{
	const char *close = f->shape == FIELD_ONE ? NULL : strchr(f->go_type, ']');

	return close ? close + 1 : f->go_type;
}

/* Go's zero value where JSON has null in a list or map. */
static struct value zero_of(const struct field *f)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_STRING:
	case FIELD_BYTES:
		return value_string(SPAN(""));
	case FIELD_BOOL:
		return value_bool(false);
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
	case FIELD_INT_OR_STRING:
		return value_int(0);
	case FIELD_QUANTITY:
		return value_string(SPAN("0"));
	case FIELD_DURATION:
		return value_string(SPAN("0s"));
	case FIELD_OBJECT:
	case FIELD_SCHEMA_OR_ARRAY:
	case FIELD_SCHEMA_OR_BOOL:
	case FIELD_SCHEMA_OR_STRINGS:
		return value_object();
	case FIELD_STRINGS:
		return value_array();
	default:
		return value_null();
	}
}

static bool decode_text(struct decoding *d, const struct field *f, struct value *v, const struct step *at)
{
	struct span text;

	if (v->type != VALUE_STRING)
		return wrong(d, v, at, f->kind == FIELD_BYTES ? "[]uint8" : "string", false);
	if (!scalar_canonical(f->kind, v->string, d->arena, &text, d->err))
		return false;
	v->string = text;
	return true;
}

static bool decode_quantity(struct decoding *d, struct value *v)
{
	struct span text = v->string, canonical;
	char number[NUMBER_TEXT_MAX];

	if (v->type == VALUE_INT)
		text = span_from(number, (size_t)(number_print_int64(number, v->integer) - number));
	else if (v->type == VALUE_DOUBLE)
		text = span_from(number, (size_t)(number_print_double(number, v->number) - number));
	else if (v->type != VALUE_STRING)
		text = SPAN("");
	if (!scalar_canonical(FIELD_QUANTITY, text, d->arena, &canonical, d->err))
		return false;
	*v = value_string(canonical);
	return true;
}

static bool decode_strings(struct decoding *d, struct value *v, const struct step *at, const char *go_type)
{
	if (v->type != VALUE_ARRAY)
		return wrong(d, v, at, go_type, false);
	for (uint32_t i = 0; i < v->array.count; i++) {
		if (value_item(v, i)->type == VALUE_NULL)
			*value_item(v, i) = value_string(SPAN(""));
		if (value_item(v, i)->type != VALUE_STRING)
			return wrong(d, value_item(v, i), at, "string", false);
	}
	return true;
}

/* A schema, or what may stand in its place. The real server reads these without looking for unknown members. */
static bool decode_schema_or(struct decoding *d, const struct field *f, struct value *v, const struct step *at)
{
	struct decoding quiet = { NULL, d->arena, d->err };

	if (v->type == VALUE_OBJECT)
		return decode_object(&quiet, f->type, v, at);
	if (f->kind == FIELD_SCHEMA_OR_BOOL)
		return v->type == VALUE_BOOL || error_set(d->err, ERROR_INVALID, "boolean or JSON schema expected");
	if (v->type != VALUE_ARRAY)
		return wrong(d, v, at, item_type(f), false);
	if (f->kind == FIELD_SCHEMA_OR_STRINGS)
		return decode_strings(d, v, at, "[]string");
	for (uint32_t i = 0; i < v->array.count; i++) {
		if (value_item(v, i)->type != VALUE_OBJECT)
			return wrong(d, value_item(v, i), at, "v1.JSONSchemaProps", false);
		if (!decode_object(&quiet, f->type, value_item(v, i), at))
			return false;
	}
	return true;
}

static bool decode_one(struct decoding *d, const struct field *f, struct value *v, const struct step *at)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_STRING:
		return v->type == VALUE_STRING || wrong(d, v, at, item_type(f), false);
	case FIELD_BOOL:
		return v->type == VALUE_BOOL || wrong(d, v, at, item_type(f), false);
	case FIELD_INT32:
		return (v->type == VALUE_INT && v->integer >= INT32_MIN && v->integer <= INT32_MAX) ||
		       wrong(d, v, at, item_type(f), true);
	case FIELD_INT64:
		return v->type == VALUE_INT || wrong(d, v, at, item_type(f), true);
	case FIELD_DOUBLE:
		return v->type == VALUE_DOUBLE || v->type == VALUE_INT || wrong(d, v, at, item_type(f), true);
	case FIELD_INT_OR_STRING:
		return v->type == VALUE_STRING ||
		       (v->type == VALUE_INT && v->integer >= INT32_MIN && v->integer <= INT32_MAX) ||
		       wrong(d, v, at, "int32", true);
	case FIELD_QUANTITY:
		return decode_quantity(d, v);
	case FIELD_BYTES:
	case FIELD_TIME:
	case FIELD_MICRO_TIME:
	case FIELD_DURATION:
		return decode_text(d, f, v, at);
	case FIELD_OBJECT:
		if (v->type != VALUE_OBJECT)
			return wrong(d, v, at, item_type(f), false);
		return decode_object(d, f->type, v, at);
	case FIELD_STRINGS:
		return decode_strings(d, v, at, item_type(f));
	case FIELD_SCHEMA_OR_ARRAY:
	case FIELD_SCHEMA_OR_BOOL:
	case FIELD_SCHEMA_OR_STRINGS:
		return decode_schema_or(d, f, v, at);
	case FIELD_ANY:
		break;
	}
	return true;
}

static bool decode_list(struct decoding *d, const struct field *f, struct value *v, const struct step *at)
{
	if (v->type != VALUE_ARRAY)
		return wrong(d, v, at, f->go_type, false);
	for (uint32_t i = 0; i < v->array.count; i++) {
		struct step item = { .up = at, .index = i };

		if (value_item(v, i)->type == VALUE_NULL)
			*value_item(v, i) = zero_of(f);
		else if (!decode_one(d, f, value_item(v, i), &item))
			return false;
	}
	return true;
}

static bool decode_map(struct decoding *d, const struct field *f, struct value *v, const struct step *at)
{
	if (v->type != VALUE_OBJECT)
		return wrong(d, v, at, f->go_type, false);
	for (uint32_t i = 0; i < v->object.count; i++) {
		struct value_member *m = &v->object.members[i];
		struct step item = { .up = at, .key = m->key, .is_key = true };

		if (m->value.type == VALUE_NULL)
			m->value = zero_of(f);
		else if (!decode_one(d, f, &m->value, &item))
			return false;
	}
	return true;
}

static bool decode_field(struct decoding *d, const struct field *f, struct value *v, const struct step *at)
{
	if (f->shape == FIELD_LIST)
		return decode_list(d, f, v, at);
	return f->shape == FIELD_MAP ? decode_map(d, f, v, at) : decode_one(d, f, v, at);
}

/* Without the members that are null or unknown. */
static bool object_rebuild(struct decoding *d, const struct type *t, struct value *v)
{
	struct value kept = value_object();

	for (uint32_t i = 0; i < v->object.count; i++) {
		struct value_member *m = &v->object.members[i];

		if (m->value.type != VALUE_NULL && type_field(t, m->key) &&
		    !value_set(&kept, m->key, m->value, d->arena, d->err))
			return false;
	}
	*v = kept;
	return true;
}

static bool decode_object(struct decoding *d, const struct type *t, struct value *v, const struct step *at)
{
	bool has_more = false;

	for (uint32_t i = 0; i < v->object.count; i++) {
		struct value_member *m = &v->object.members[i];
		const struct field *f = type_field(t, m->key);
		struct step member = { .up = at, .owner = t, .field = f };

		if (!f)
			tell_unknown(d, at, m->key);
		if (!f || m->value.type == VALUE_NULL)
			has_more = true;
		else if (!decode_field(d, f, &m->value, &member))
			return false;
	}
	return !has_more || object_rebuild(d, t, v);
}

bool schema_decode(const struct type *t, struct value *v, const struct schema_report *report, struct arena *arena,
		   struct error *err)
{
	struct decoding d = { report, arena, err };

	if (v->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "json: cannot unmarshal %s into Go value of type v1.%s",
				 json_word(v), short_name(t));
	return decode_object(&d, t, v, NULL);
}
