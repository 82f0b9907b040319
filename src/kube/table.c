/* SPDX-License-Identifier: Apache-2.0 */
/* table - objects as rows of a meta.k8s.io Table, and as partial metadata. */
#include "kube/crd/crd.h"
#include "kube/kube_private.h"

static const struct column columns_of_any[] = {
	{ "Name", "string", "name", "The name of the object, unique among those of its kind in its namespace.", 0 },
	{ "Created At", "date", "", "When the server made the object, in RFC 3339, UTC.", 0 },
	{ 0 },
};

static void row_of_any(const struct value *object, int64_t now_ns, struct value *cells, struct arena *arena)
{
	(void)now_ns;
	(void)arena;
	cells[0] = value_string(value_find_string(object, "metadata.name"));
	cells[1] = value_string(value_find_string(object, "metadata.creationTimestamp"));
}

static const struct column *columns_of(const struct kind *kind)
{
	return kind->columns && (kind->row || kind->is_custom) ? kind->columns : columns_of_any;
}

static void put(struct json_writer *w, struct span key, const char *text)
{
	json_key(w, key);
	json_string(w, span_of(text ? text : ""));
}

/* "columnDefinitions":[...] */
void table_columns(const struct kind *kind, struct json_writer *w)
{
	json_key(w, SPAN("columnDefinitions"));
	json_open_array(w);
	for (const struct column *c = columns_of(kind); c->name; c++) {
		json_open_object(w);
		put(w, SPAN("name"), c->name);
		put(w, SPAN("type"), c->type);
		put(w, SPAN("format"), c->format);
		put(w, SPAN("description"), c->description);
		json_key(w, SPAN("priority"));
		json_int64(w, c->priority);
		json_close_object(w);
	}
	json_close_array(w);
}

bool partial_write(const struct value *object, struct json_writer *w)
{
	const struct value *metadata = value_get(object, SPAN("metadata"));

	json_open_object(w);
	put(w, SPAN("kind"), "PartialObjectMetadata");
	put(w, SPAN("apiVersion"), "meta.k8s.io/v1");
	json_key(w, SPAN("metadata"));
	if (metadata)
		value_write(metadata, w);
	else
		json_raw(w, SPAN("{}"));
	json_close_object(w);
	return true;
}

bool table_row(struct call *call, const struct kind *kind, const struct value *object, struct json_writer *w,
	       struct arena *arena, struct error *err)
{
	void (*row)(const struct value *, int64_t, struct value *, struct arena *) =
	    kind->columns && kind->row ? kind->row : row_of_any;
	struct span include = call->options.include_object;
	struct value cells[COLUMNS_MAX];
	size_t count = 0;

	(void)err;
	for (const struct column *c = columns_of(kind); c->name && count < COLUMNS_MAX; c++)
		cells[count++] = value_null();
	if (kind->is_custom && kind->columns)
		custom_row(kind, object, kube_wall_ns(call->base.kube), cells, arena);
	else
		row(object, kube_wall_ns(call->base.kube), cells, arena);
	json_open_object(w);
	json_key(w, SPAN("cells"));
	json_open_array(w);
	for (size_t i = 0; i < count; i++)
		value_write(&cells[i], w);
	json_close_array(w);
	if (!span_equal(include, SPAN("None"))) {
		json_key(w, SPAN("object"));
		if (span_equal(include, SPAN("Object")))
			value_write(object, w);
		else
			(void)partial_write(object, w);
	} else {
		json_key(w, SPAN("object"));
		json_null(w);
	}
	json_close_object(w);
	return true;
}

/* One object as a Table of one row; the columns are told unless they were before (watches). */
static bool table_of_one(struct call *call, const struct kind *kind, const struct value *v, struct buffer *out,
			 bool has_columns, struct error *err)
{
	struct json_writer w;
	struct span version = value_find_string(v, "metadata.resourceVersion");

	buffer_print(out, "{\"kind\":\"Table\",\"apiVersion\":\"%s\",\"metadata\":{", form_api_version(call));
	if (version.len)
		buffer_print(out, "\"resourceVersion\":\"" SPAN_FMT "\"", SPAN_ARG(version));
	buffer_append(out, SPAN("},"));
	w = json_writer(out);
	if (has_columns)
		table_columns(kind, &w);
	else
		buffer_append(out, SPAN("\"columnDefinitions\":null"));
	buffer_append(out, SPAN(",\"rows\":["));
	w.comma = false;
	if (!table_row(call, kind, v, &w, &call->arena, err))
		return false;
	buffer_append(out, SPAN("]}"));
	return true;
}

bool form_write_columns(struct call *call, const struct kind *kind, struct span text, struct buffer *out,
			bool has_columns, struct error *err)
{
	struct value v;
	struct json_writer w;

	if (!value_parse(text, NULL, &call->arena, &v, err))
		return false;
	if (call->form == FORM_TABLE)
		return table_of_one(call, kind, &v, out, has_columns, err);
	w = json_writer(out);
	return partial_write(&v, &w);
}

/* False: answered. */
bool include_check(struct call *call)
{
	struct span include = call->options.include_object;

	if (call->form != FORM_TABLE || !include.len || span_equal(include, SPAN("Metadata")) ||
	    span_equal(include, SPAN("Object")) || span_equal(include, SPAN("None")))
		return true;
	answer_message(call, 400, "BadRequest",
		       "Unable to convert to Table as requested: includeObject: Invalid value: \"" SPAN_FMT
		       "\": must be 'Metadata', 'Object', 'None', or empty",
		       SPAN_ARG(include));
	return false;
}

bool form_write(struct call *call, const struct kind *kind, struct span text, struct buffer *out, struct error *err)
{
	return form_write_columns(call, kind, text, out, true, err);
}
