/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openapi_gnostic - a document of version 2 in the protobuf form that kubectl up to 1.27 asks for. Numbers: OpenAPIv2.proto of
 * github.com/google/gnostic-models. What a document of ours has is known; other members are left out.
 */
#include "kube/schema/openapi_private.h"
#include "wire/protobuf.h"

struct gnostic {
	struct buffer *out;
	struct arena *arena;
	struct error *err;
};

struct row {
	const char *name; /* in JSON; "x-": all extensions */
	uint32_t number;
	void (*put)(struct gnostic *g, uint32_t number, const struct value *v);
};

/* One field in one message: { number: v }. */
static void put_string(struct gnostic *g, uint32_t number, const struct value *v)
{
	protobuf_write_bytes(g->out, number, v->type == VALUE_STRING ? v->string : SPAN(""));
}

static void put_strings(struct gnostic *g, uint32_t number, const struct value *v)
{
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		put_string(g, number, value_item(v, i));
}

static void put_bool(struct gnostic *g, uint32_t number, const struct value *v)
{
	protobuf_write_uint64(g->out, number, v->type == VALUE_BOOL && v->boolean);
}

static void put_integer(struct gnostic *g, uint32_t number, const struct value *v)
{
	protobuf_write_uint64(g->out, number, v->type == VALUE_INT ? (uint64_t)v->integer : 0);
}

static void put_number(struct gnostic *g, uint32_t number, const struct value *v)
{
	protobuf_write_double(g->out, number,
			      v->type == VALUE_INT      ? (double)v->integer
			      : v->type == VALUE_DOUBLE ? v->number
							: 0);
}

/* Any {2 yaml}: JSON is YAML. */
static void put_any(struct gnostic *g, uint32_t number, const struct value *v)
{
	size_t mark = protobuf_open(g->out, number);

	protobuf_write_bytes(g->out, 2, value_print(v, g->arena, g->err));
	protobuf_close(g->out, mark);
}

static void put_anys(struct gnostic *g, uint32_t number, const struct value *v)
{
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		put_any(g, number, value_item(v, i));
}

/* NamedAny {1 name, 2 value}. */
static void put_extension(struct gnostic *g, uint32_t number, struct span name, const struct value *v)
{
	size_t mark = protobuf_open(g->out, number);

	protobuf_write_bytes(g->out, 1, name);
	put_any(g, 2, v);
	protobuf_close(g->out, mark);
}

/* The members of an object as fields of the message that is open. */
static void put_members(struct gnostic *g, const struct row *rows, size_t count, const struct value *v)
{
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];

		for (size_t r = 0; r < count; r++) {
			if (rows[r].put && span_equal(m->key, span_of(rows[r].name))) {
				rows[r].put(g, rows[r].number, &m->value);
				break;
			}
			if (!rows[r].put && span_starts(m->key, span_of(rows[r].name)))
				put_extension(g, rows[r].number, m->key, &m->value);
		}
	}
}

static void put_message(struct gnostic *g, uint32_t number, const struct row *rows, size_t count, const struct value *v)
{
	size_t mark = protobuf_open(g->out, number);

	put_members(g, rows, count, v);
	protobuf_close(g->out, mark);
}

/* A map: repeated Named... {1 name, 2 value}, each value by `put`. */
static void put_named(struct gnostic *g, uint32_t number, const struct value *v,
		      void (*put)(struct gnostic *g, uint32_t number, const struct value *v))
{
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		size_t mark = protobuf_open(g->out, number);

		protobuf_write_bytes(g->out, 1, v->object.members[i].key);
		put(g, 2, &v->object.members[i].value);
		protobuf_close(g->out, mark);
	}
}

/* A message of one field only, as the forms of gnostic have many. */
static void put_wrapped(struct gnostic *g, uint32_t number, uint32_t inner, const struct value *v,
			void (*put)(struct gnostic *g, uint32_t number, const struct value *v))
{
	size_t mark = protobuf_open(g->out, number);

	put(g, inner, v);
	protobuf_close(g->out, mark);
}

/* ---- schemas ---- */

static void put_schema(struct gnostic *g, uint32_t number, const struct value *v);

static void put_schemas(struct gnostic *g, uint32_t number, const struct value *v)
{
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		put_schema(g, number, value_item(v, i));
}

static void put_type(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, v->type == VALUE_ARRAY ? put_strings : put_string);
}

static void put_items(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, v->type == VALUE_ARRAY ? put_schemas : put_schema);
}

static void put_additional(struct gnostic *g, uint32_t number, const struct value *v)
{
	if (v->type == VALUE_BOOL)
		put_wrapped(g, number, 2, v, put_bool);
	else
		put_wrapped(g, number, 1, v, put_schema);
}

static void put_named_schemas(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_named(g, number, v, put_schema);
}

static void put_properties(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, put_named_schemas);
}

static const struct row schema_rows[] = {
	{ "$ref", 1, put_string },
	{ "format", 2, put_string },
	{ "title", 3, put_string },
	{ "description", 4, put_string },
	{ "default", 5, put_any },
	{ "multipleOf", 6, put_number },
	{ "maximum", 7, put_number },
	{ "exclusiveMaximum", 8, put_bool },
	{ "minimum", 9, put_number },
	{ "exclusiveMinimum", 10, put_bool },
	{ "maxLength", 11, put_integer },
	{ "minLength", 12, put_integer },
	{ "pattern", 13, put_string },
	{ "maxItems", 14, put_integer },
	{ "minItems", 15, put_integer },
	{ "uniqueItems", 16, put_bool },
	{ "maxProperties", 17, put_integer },
	{ "minProperties", 18, put_integer },
	{ "required", 19, put_strings },
	{ "enum", 20, put_anys },
	{ "additionalProperties", 21, put_additional },
	{ "type", 22, put_type },
	{ "items", 23, put_items },
	{ "properties", 25, put_properties },
	{ "x-", 31, NULL },
};

static void put_schema(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_message(g, number, schema_rows, ARRAY_LEN(schema_rows), v);
}

/* ---- paths ---- */

static const struct row body_rows[] = {
	{ "description", 1, put_string }, { "name", 2, put_string },   { "in", 3, put_string },
	{ "required", 4, put_bool },      { "schema", 5, put_schema },
};
static const struct row query_rows[] = {
	{ "required", 1, put_bool }, { "in", 2, put_string },   { "description", 3, put_string },
	{ "name", 4, put_string },   { "type", 6, put_string }, { "uniqueItems", 20, put_bool },
};
static const struct row path_rows[] = {
	{ "required", 1, put_bool }, { "in", 2, put_string },   { "description", 3, put_string },
	{ "name", 4, put_string },   { "type", 5, put_string }, { "uniqueItems", 19, put_bool },
};

/* ParametersItem {1 Parameter {1 BodyParameter | 2 NonBodyParameter {3 query | 4 path}}} */
static void put_parameter(struct gnostic *g, uint32_t number, const struct value *v)
{
	struct span in = value_find_string(v, "in");
	size_t item = protobuf_open(g->out, number), parameter = protobuf_open(g->out, 1), non_body;

	if (span_equal(in, SPAN("body"))) {
		put_message(g, 1, body_rows, ARRAY_LEN(body_rows), v);
	} else {
		non_body = protobuf_open(g->out, 2);
		if (span_equal(in, SPAN("path")))
			put_message(g, 4, path_rows, ARRAY_LEN(path_rows), v);
		else
			put_message(g, 3, query_rows, ARRAY_LEN(query_rows), v);
		protobuf_close(g->out, non_body);
	}
	protobuf_close(g->out, parameter);
	protobuf_close(g->out, item);
}

static void put_parameters(struct gnostic *g, uint32_t number, const struct value *v)
{
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		put_parameter(g, number, value_item(v, i));
}

static void put_schema_item(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, put_schema);
}

static const struct row response_rows[] = { { "description", 1, put_string }, { "schema", 2, put_schema_item } };

static void put_response(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_message(g, number, response_rows, ARRAY_LEN(response_rows), v);
}

static void put_response_value(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, put_response);
}

static void put_named_responses(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_named(g, number, v, put_response_value);
}

static void put_responses(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, put_named_responses);
}

static const struct row operation_rows[] = {
	{ "tags", 1, put_strings },        { "description", 3, put_string },
	{ "operationId", 5, put_string },  { "produces", 6, put_strings },
	{ "consumes", 7, put_strings },    { "parameters", 8, put_parameters },
	{ "responses", 9, put_responses }, { "x-", 13, NULL },
};

static void put_operation(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_message(g, number, operation_rows, ARRAY_LEN(operation_rows), v);
}

static const struct row item_rows[] = {
	{ "get", 2, put_operation },    { "put", 3, put_operation },   { "post", 4, put_operation },
	{ "delete", 5, put_operation }, { "patch", 8, put_operation }, { "parameters", 9, put_parameters },
};

static void put_item(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_message(g, number, item_rows, ARRAY_LEN(item_rows), v);
}

/* ---- the document ---- */

static void put_named_items(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_named(g, number, v, put_item);
}

static void put_paths(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 2, v, put_named_items);
}

static const struct row key_rows[] = {
	{ "type", 1, put_string },
	{ "name", 2, put_string },
	{ "in", 3, put_string },
	{ "description", 4, put_string },
};

static void put_key(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_message(g, number, key_rows, ARRAY_LEN(key_rows), v);
}

static void put_definition(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 2, v, put_key);
}

static void put_named_definitions(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_named(g, number, v, put_definition);
}

static void put_definitions(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, put_named_definitions);
}

static void put_string_array(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_wrapped(g, number, 1, v, put_strings);
}

static void put_named_arrays(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_named(g, number, v, put_string_array);
}

static void put_security(struct gnostic *g, uint32_t number, const struct value *v)
{
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		put_wrapped(g, number, 1, value_item(v, i), put_named_arrays);
}

static const struct row info_rows[] = { { "title", 1, put_string }, { "version", 2, put_string } };

static void put_info(struct gnostic *g, uint32_t number, const struct value *v)
{
	put_message(g, number, info_rows, ARRAY_LEN(info_rows), v);
}

static const struct row document_rows[] = {
	{ "swagger", 1, put_string },     { "info", 2, put_info },
	{ "paths", 8, put_paths },        { "definitions", 9, put_properties },
	{ "security", 12, put_security }, { "securityDefinitions", 13, put_definitions },
};

bool openapi_gnostic(struct span json, struct arena *arena, struct buffer *out, struct error *err)
{
	struct error inner = { 0 };
	struct gnostic g = { out, arena, &inner };
	struct value document;

	if (!value_parse(json, NULL, arena, &document, err))
		return false;
	put_members(&g, document_rows, ARRAY_LEN(document_rows), &document);
	if (inner.code != ERROR_NONE) {
		*err = inner;
		return false;
	}
	return buffer_ok(out, "an OpenAPI document", err);
}
