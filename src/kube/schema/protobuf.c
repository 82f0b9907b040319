/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protobuf - objects as kubectl 1.32 and Go clients send them. The messages are those of the generated.proto files of Kubernetes' Go
 * modules; the types' table has their numbers. What Go writes though it is zero (it writes every field that is no pointer) and JSON
 * leaves out is left out here.
 */
#include "wire/protobuf.h"

#include "kube/schema/schema_private.h"
#include "wire/base64.h"

bool kube_protobuf_open(struct span body, struct span *ret_api_version, struct span *ret_kind, struct span *ret_raw,
			struct error *err)
{
	struct span type_meta = { NULL, 0 }, api_version = SPAN(""), kind = SPAN(""), raw = SPAN("");
	struct protobuf p, inner;
	struct protobuf_field f;

	if (body.len < 4 || memcmp(body.ptr, KUBE_PROTOBUF_MAGIC, 4) != 0)
		return error_set(
		    err, ERROR_INVALID,
		    "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
	p = protobuf(span_skip(body, 4));
	while (protobuf_next(&p, &f, err)) {
		if ((f.number == 1 && !protobuf_bytes(&f, &type_meta, err)) ||
		    (f.number == 2 && !protobuf_bytes(&f, &raw, err)))
			return false;
	}
	if (p.failed)
		return false;
	inner = protobuf(type_meta);
	while (protobuf_next(&inner, &f, err)) {
		if ((f.number == 1 && !protobuf_string(&f, &api_version, err)) ||
		    (f.number == 2 && !protobuf_string(&f, &kind, err)))
			return false;
	}
	if (inner.failed)
		return false;
	*ret_api_version = api_version;
	*ret_kind = kind;
	*ret_raw = raw;
	return true;
}

static bool read_message(const struct type *t, struct span bytes, int depth, struct arena *arena, struct value *object,
			 struct error *err);

/* ---- messages that are one value in JSON ---- */

/* Time {1 seconds, 2 nanos}; nothing in it is Go's zero time, which JSON has as null. */
static bool read_time(struct span bytes, bool is_micro, struct arena *arena, struct value *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	int64_t seconds = 0;
	int32_t nanoseconds = 0;
	struct span text;

	*ret = value_null();
	if (!bytes.len)
		return true;
	while (protobuf_next(&p, &f, err)) {
		if ((f.number == 1 && !protobuf_int64(&f, &seconds, err)) ||
		    (f.number == 2 && !protobuf_int32(&f, &nanoseconds, err)))
			return false;
	}
	if (p.failed)
		return false;
	text = scalar_time(seconds, nanoseconds, is_micro, arena, err);
	*ret = value_string(text);
	return text.ptr != NULL;
}

static bool read_duration(struct span bytes, struct arena *arena, struct value *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	int64_t nanoseconds = 0;
	struct span text;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_int64(&f, &nanoseconds, err))
			return false;
	}
	if (p.failed)
		return false;
	text = scalar_duration(nanoseconds, arena, err);
	*ret = value_string(text);
	return text.ptr != NULL;
}

static bool read_quantity(struct span bytes, struct arena *arena, struct value *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct span text = SPAN("0");

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_string(&f, &text, err))
			return false;
	}
	if (p.failed || !scalar_canonical(FIELD_QUANTITY, text, arena, &text, err))
		return false;
	*ret = value_string(text);
	return true;
}

/* IntOrString {1 type: 0 integer, 1 string; 2 the integer; 3 the string}. */
static bool read_int_or_string(struct span bytes, struct value *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	int64_t type = 0;
	int32_t number = 0;
	struct span text = SPAN("");

	while (protobuf_next(&p, &f, err)) {
		if ((f.number == 1 && !protobuf_int64(&f, &type, err)) ||
		    (f.number == 2 && !protobuf_int32(&f, &number, err)) ||
		    (f.number == 3 && !protobuf_string(&f, &text, err)))
			return false;
	}
	if (p.failed)
		return false;
	if (type != 0 && type != 1)
		return error_set(err, ERROR_INVALID, "impossible IntOrString.Type %lld", (long long)type);
	*ret = type ? value_string(text) : value_int(number);
	return true;
}

static bool read_any(struct span bytes, struct arena *arena, struct value *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct span raw = SPAN("");

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_bytes(&f, &raw, err))
			return false;
	}
	if (p.failed)
		return false;
	*ret = value_null();
	if (!raw.len)
		return true;
	if (span_starts(raw, span_from(KUBE_PROTOBUF_MAGIC, 4)))
		return error_set(err, ERROR_INVALID,
				 "an object in protobuf inside of another is not supported; send it as JSON");
	return value_parse(raw, NULL, arena, ret, err);
}

/* A message of nothing but {1 repeated string}. */
static bool read_strings(struct span bytes, uint32_t number, struct arena *arena, struct value *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct span text;

	*ret = value_array();
	while (protobuf_next(&p, &f, err)) {
		if (f.number == number &&
		    (!protobuf_string(&f, &text, err) || !value_append(ret, value_string(text), arena, err)))
			return false;
	}
	return !p.failed;
}

/* JSONSchemaPropsOrBool {1 allows, 2 schema}, ...OrArray {1 schema, 2 schemas}, ...OrStringArray {1 schema, 2 strings}. */
static bool read_schema_or(const struct field *field, struct span bytes, int depth, struct arena *arena,
			   struct value *ret, struct error *err)
{
	bool is_or_bool = field->kind == FIELD_SCHEMA_OR_BOOL, allows = false, has_schema = false;
	uint32_t schema_number = is_or_bool ? 2 : 1;
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct value schema = value_object(), items = value_array(), item;
	struct span inner;

	while (protobuf_next(&p, &f, err)) {
		if (is_or_bool && f.number == 1) {
			if (!protobuf_bool(&f, &allows, err))
				return false;
		} else if (f.number == schema_number) {
			has_schema = true;
			if (!protobuf_bytes(&f, &inner, err) ||
			    !read_message(field->type, inner, depth + 1, arena, &schema, err))
				return false;
		} else if (field->kind == FIELD_SCHEMA_OR_ARRAY && f.number == 2) {
			item = value_object();
			if (!protobuf_bytes(&f, &inner, err) ||
			    !read_message(field->type, inner, depth + 1, arena, &item, err) ||
			    !value_append(&items, item, arena, err))
				return false;
		}
	}
	if (p.failed)
		return false;
	if (has_schema)
		*ret = schema;
	else if (is_or_bool)
		*ret = value_bool(allows);
	else if (field->kind == FIELD_SCHEMA_OR_ARRAY)
		*ret = items;
	else
		return read_strings(bytes, 2, arena, ret, err);
	return true;
}

static bool read_bytes(struct span bytes, struct arena *arena, struct value *ret, struct error *err)
{
	struct buffer text;
	struct span copy;

	buffer_init(&text, bytes.len + bytes.len / 2 + 8);
	base64_write(&text, bytes);
	copy = arena_copy(arena, buffer_span(&text), err);
	buffer_done(&text);
	*ret = value_string(copy);
	return copy.ptr != NULL;
}

/* ---- fields ---- */

static bool read_scalar(const struct field *field, const struct protobuf_field *f, struct value *ret, struct error *err)
{
	struct span text;
	int64_t integer;
	int32_t small;
	bool is_true;
	double number;

	switch ((enum field_kind)field->kind) {
	case FIELD_STRING:
		if (!protobuf_string(f, &text, err))
			return false;
		*ret = value_string(text);
		return true;
	case FIELD_BOOL:
		if (!protobuf_bool(f, &is_true, err))
			return false;
		*ret = value_bool(is_true);
		return true;
	case FIELD_INT32:
		if (!protobuf_int32(f, &small, err))
			return false;
		*ret = value_int(small);
		return true;
	case FIELD_INT64:
		if (!protobuf_int64(f, &integer, err))
			return false;
		*ret = value_int(integer);
		return true;
	default:
		if (!protobuf_double(f, &number, err))
			return false;
		if (!(number - number == 0)) /* JSON has no word for it */
			return error_set(err, ERROR_INVALID, "json: unsupported value: a number that is not finite");
		/* Go prints whole numbers without a fraction. */
		*ret = number >= -1e15 && number <= 1e15 && number == (double)(int64_t)number
			   ? value_int((int64_t)number)
			   : value_double(number);
		return true;
	}
}

static bool read_value(const struct field *field, const struct protobuf_field *f, int depth, struct arena *arena,
		       struct value *ret, struct error *err)
{
	struct span bytes;

	if (field->kind <= FIELD_DOUBLE)
		return read_scalar(field, f, ret, err);
	if (!protobuf_bytes(f, &bytes, err))
		return false;
	switch ((enum field_kind)field->kind) {
	case FIELD_BYTES:
		return read_bytes(bytes, arena, ret, err);
	case FIELD_QUANTITY:
		return read_quantity(bytes, arena, ret, err);
	case FIELD_INT_OR_STRING:
		return read_int_or_string(bytes, ret, err);
	case FIELD_TIME:
	case FIELD_MICRO_TIME:
		return read_time(bytes, field->kind == FIELD_MICRO_TIME, arena, ret, err);
	case FIELD_DURATION:
		return read_duration(bytes, arena, ret, err);
	case FIELD_ANY:
		return read_any(bytes, arena, ret, err);
	case FIELD_STRINGS:
		return read_strings(bytes, 1, arena, ret, err);
	case FIELD_SCHEMA_OR_ARRAY:
	case FIELD_SCHEMA_OR_BOOL:
	case FIELD_SCHEMA_OR_STRINGS:
		return read_schema_or(field, bytes, depth, arena, ret, err);
	default:
		*ret = value_object();
		return read_message(field->type, bytes, depth + 1, arena, ret, err);
	}
}

static struct value empty_of(const struct field *field)
{
	switch ((enum field_kind)field->kind) {
	case FIELD_STRING:
	case FIELD_BYTES:
		return value_string(SPAN(""));
	case FIELD_BOOL:
		return value_bool(false);
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
		return value_int(0);
	case FIELD_QUANTITY:
		return value_string(SPAN("0"));
	case FIELD_INT_OR_STRING:
		return value_int(0);
	case FIELD_OBJECT:
		return value_object();
	default:
		return value_null();
	}
}

/* A pair of a map: {1 key, 2 value}; what is absent is empty. */
static bool read_pair(const struct field *field, struct span bytes, int depth, struct arena *arena, struct value *map,
		      struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct span key = SPAN("");
	struct value v = empty_of(field);

	while (protobuf_next(&p, &f, err)) {
		if ((f.number == 1 && !protobuf_string(&f, &key, err)) ||
		    (f.number == 2 && !read_value(field, &f, depth, arena, &v, err)))
			return false;
	}
	return !p.failed && value_set(map, key, v, arena, err);
}

/* Go's zero value where JSON leaves it out. */
static bool is_left_out(const struct field *field, const struct value *v)
{
	if (v->type == VALUE_NULL)
		return true;
	if (!(field->flags & FIELD_OMIT_EMPTY) || (field->flags & FIELD_POINTER) || field->shape != FIELD_ONE)
		return false;
	switch (v->type) {
	case VALUE_BOOL:
		return !v->boolean;
	case VALUE_INT:
		return v->integer == 0 && field->kind != FIELD_INT_OR_STRING;
	case VALUE_STRING:
		return v->string.len == 0 && field->kind != FIELD_INT_OR_STRING;
	default:
		return false;
	}
}

/* A list of numbers comes packed from other writers than Go's. */
static bool read_packed(struct span bytes, struct value *list, struct arena *arena, struct error *err)
{
	const uint8_t *at = (const uint8_t *)bytes.ptr, *end = bytes.len ? at + bytes.len : at;
	uint64_t number;

	while (at < end) {
		if (!protobuf_varint(&at, end, &number))
			return error_set(err, ERROR_INVALID, "protobuf: a packed number is cut short");
		if (!value_append(list, value_int((int64_t)number), arena, err))
			return false;
	}
	return true;
}

static bool read_field(const struct field *field, const struct protobuf_field *f, int depth, struct arena *arena,
		       struct value *object, struct error *err)
{
	struct value v = value_null(), *into;
	struct span bytes;

	if (field->shape == FIELD_MAP) {
		into = value_ensure_object(object, field->name, arena, err);
		return into && protobuf_bytes(f, &bytes, err) && read_pair(field, bytes, depth, arena, into, err);
	}
	if (field->shape == FIELD_LIST) {
		into = value_ensure_array(object, field->name, arena, err);
		if (!into)
			return false;
		if (f->type == PROTOBUF_BYTES && (field->kind == FIELD_INT32 || field->kind == FIELD_INT64))
			return read_packed(f->bytes, into, arena, err);
		return read_value(field, f, depth, arena, &v, err) && value_append(into, v, arena, err);
	}
	/* A message that comes in parts is one: fields of the later parts join those of the first. */
	into = field->kind == FIELD_OBJECT ? value_get(object, field->name) : NULL;
	if (into)
		return protobuf_bytes(f, &bytes, err) && read_message(field->type, bytes, depth + 1, arena, into, err);
	if (!read_value(field, f, depth, arena, &v, err))
		return false;
	if (is_left_out(field, &v)) {
		value_remove(object, field->name);
		return true;
	}
	return value_set(object, field->name, v, arena, err);
}

static const struct field *field_numbered(const struct type *t, uint32_t number)
{
	for (size_t i = 0; i < (size_t)t->count + t->inline_count; i++) {
		if (t->fields[i].number == number)
			return &t->fields[i];
	}
	return NULL;
}

static bool read_message(const struct type *t, struct span bytes, int depth, struct arena *arena, struct value *object,
			 struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct span inner;

	if (depth >= VALUE_DEPTH_MAX)
		return error_set(err, ERROR_INVALID, "protobuf: more than %d messages in each other", VALUE_DEPTH_MAX);
	while (protobuf_next(&p, &f, err)) {
		const struct field *field = f.number ? field_numbered(t, f.number) : NULL;

		if (!field)
			continue;
		if (field->flags & FIELD_INLINE_PROTO) {
			if (!protobuf_bytes(&f, &inner, err) ||
			    !read_message(field->type, inner, depth + 1, arena, object, err))
				return false;
		} else if (!read_field(field, &f, depth, arena, object, err)) {
			return false;
		}
	}
	return !p.failed;
}

bool schema_from_protobuf(const struct type *t, struct span bytes, struct arena *arena, struct value *ret,
			  struct error *err)
{
	struct value object = value_object();

	if (!read_message(t, bytes, 0, arena, &object, err))
		return false;
	*ret = object;
	return true;
}
