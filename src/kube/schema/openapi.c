/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "kube/schema/openapi_private.h"

#define TITLE   "Kubernetes"
#define VERSION "v1.33.0"
#define META    "io.k8s.apimachinery.pkg.apis.meta.v1."

bool openapi_has(const struct openapi *o, const struct kind *k)
{
	if (o->part.len)
		return false;
	return o->is_v2 || (span_equal(o->group, span_of(k->group)) && span_equal(o->version, span_of(k->version)));
}

/* The first row of a group version stands for it. */
static bool is_first(const struct kind *const *kinds, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (strcmp(kinds[i]->group, kinds[index]->group) == 0 &&
		    strcmp(kinds[i]->version, kinds[index]->version) == 0)
			return false;
	}
	return true;
}

static bool begin(struct openapi *o, struct arena *arena, struct buffer *out, struct error *err)
{
	o->w = json_writer(out);
	o->arena = arena;
	o->err = err;
	o->reached = arena_calloc(arena, type_count(), sizeof(*o->reached), err);
	return o->reached != NULL;
}

static void write_info(struct openapi *o)
{
	member_object(&o->w, SPAN("info"));
	member_string(&o->w, SPAN("title"), SPAN(TITLE));
	member_string(&o->w, SPAN("version"), SPAN(VERSION));
	json_close_object(&o->w);
}

static void write_security(struct openapi *o)
{
	member_object(&o->w, SPAN("BearerToken"));
	member_string(&o->w, SPAN("type"), SPAN("apiKey"));
	member_string(&o->w, SPAN("description"), SPAN("A token behind the word Bearer."));
	member_string(&o->w, SPAN("name"), SPAN("authorization"));
	member_string(&o->w, SPAN("in"), SPAN("header"));
	json_close_object(&o->w);
}

/* Custom kinds reach these through the documents' own words. */
static void reach_meta(struct openapi *o)
{
	for (size_t i = 0; o->kinds[i]; i++) {
		if (o->kinds[i]->is_custom && openapi_has(o, o->kinds[i])) {
			openapi_reach_named(o, META "ObjectMeta");
			openapi_reach_named(o, META "ListMeta");
		}
	}
}

static void write_v3(struct openapi *o)
{
	struct json_writer *w = &o->w;

	json_open_object(w);
	member_string(w, SPAN("openapi"), SPAN("3.0.0"));
	write_info(o);
	openapi_paths(o);
	reach_meta(o);
	member_object(w, SPAN("components"));
	member_object(w, SPAN("schemas"));
	openapi_schemas(o);
	json_close_object(w);
	member_object(w, SPAN("securitySchemes"));
	write_security(o);
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
}

static void write_v2(struct openapi *o)
{
	struct json_writer *w = &o->w;

	json_open_object(w);
	member_string(w, SPAN("swagger"), SPAN("2.0"));
	write_info(o);
	member_object(w, SPAN("parameters"));
	json_close_object(w);
	openapi_paths(o);
	reach_meta(o);
	member_object(w, SPAN("definitions"));
	openapi_schemas(o);
	json_close_object(w);
	member_object(w, SPAN("securityDefinitions"));
	write_security(o);
	json_close_object(w);
	json_key(w, SPAN("security"));
	json_raw(w, SPAN("[{\"BearerToken\":[]}]"));
	json_close_object(w);
}

static bool document_write(struct openapi o, struct buffer *out, struct error *err)
{
	struct error inner = { 0 };
	struct arena arena;
	bool ok;

	arena_init(&arena, OPENAPI_ARENA_BYTES);
	ok = begin(&o, &arena, out, &inner);
	if (ok)
		write_v3(&o);
	arena_done(&arena);
	if (inner.code != ERROR_NONE) {
		*err = inner;
		return false;
	}
	return ok && buffer_ok(out, "an OpenAPI document", err);
}

static bool is_served(const struct kind *const *kinds, struct span group, const struct span *version)
{
	for (size_t i = 0; kinds[i]; i++) {
		if (span_equal(group, span_of(kinds[i]->group)) &&
		    (!version || span_equal(*version, span_of(kinds[i]->version))))
			return true;
	}
	return false;
}

bool openapi_v3_document(const struct kind *const *kinds, struct span path, struct buffer *out, struct error *err)
{
	struct openapi o = { .kinds = kinds };
	struct span rest = path, first = span_cut(&rest, '/');
	bool is_core = span_equal(first, SPAN("api")), is_named = span_equal(first, SPAN("apis")), is_there = false;

	if (is_core && rest.len) {
		o.group = SPAN("");
		o.version = rest;
		is_there = is_served(kinds, o.group, &o.version);
	} else if (is_named && rest.len) {
		o.group = span_cut(&rest, '/');
		o.version = rest;
		o.part = rest.len ? (struct span){ 0 } : path;
		is_there = o.group.len && is_served(kinds, o.group, rest.len ? &o.version : NULL);
	} else {
		o.part = path;
		is_there = is_core || is_named || span_equal(path, SPAN("version"));
	}
	if (!is_there)
		return error_set(err, ERROR_NOT_FOUND, "there is no document '" SPAN_FMT "'", SPAN_ARG(path));
	return document_write(o, out, err);
}

static bool v2_json(const struct kind *const *kinds, struct arena *arena, struct buffer *out, struct error *err)
{
	struct openapi o = { .kinds = kinds, .is_v2 = true };
	struct error inner = { 0 };

	if (begin(&o, arena, out, &inner))
		write_v2(&o);
	if (inner.code != ERROR_NONE) {
		*err = inner;
		return false;
	}
	return buffer_ok(out, "an OpenAPI document", err);
}

bool openapi_v2_document(const struct kind *const *kinds, bool as_protobuf, struct buffer *out, struct error *err)
{
	struct arena arena;
	struct buffer json;
	bool ok;

	arena_init(&arena, OPENAPI_ARENA_BYTES);
	if (as_protobuf) {
		buffer_init(&json, out->limit);
		ok = v2_json(kinds, &arena, &json, err) && openapi_gnostic(buffer_span(&json), &arena, out, err);
		buffer_done(&json);
	} else {
		ok = v2_json(kinds, &arena, out, err);
	}
	arena_done(&arena);
	return ok;
}

/* The address changes with the document: clients keep it until then. */
static bool write_row(const struct kind *const *kinds, struct span path, struct json_writer *w, size_t limit,
		      struct error *err)
{
	struct buffer document;
	char address[512];
	uint64_t hash;

	buffer_init(&document, limit);
	if (!openapi_v3_document(kinds, path, &document, err)) {
		buffer_done(&document);
		return false;
	}
	hash = openapi_hash(buffer_span(&document));
	buffer_done(&document);
	(void)snprintf(address, sizeof(address), "/openapi/v3/%.*s?hash=%016llX", (int)MIN(path.len, 400), path.ptr,
		       (unsigned long long)hash);
	member_object(w, path);
	member_string(w, SPAN("serverRelativeURL"), span_of(address));
	json_close_object(w);
	return true;
}

static bool write_group_rows(const struct kind *const *kinds, size_t index, struct json_writer *w, size_t limit,
			     struct error *err)
{
	const struct kind *k = kinds[index];
	bool is_first_of_group = k->group[0] && !k->is_custom;
	char path[400];
	int len;

	for (size_t i = 0; i < index; i++)
		is_first_of_group = is_first_of_group && strcmp(kinds[i]->group, k->group) != 0;
	len = snprintf(path, sizeof(path), "apis/%s", k->group);
	if (len < (int)sizeof(path) && is_first_of_group &&
	    !write_row(kinds, span_from(path, (size_t)len), w, limit, err))
		return false;
	len = snprintf(path, sizeof(path), "%s%s/%s", k->group[0] ? "apis/" : "api", k->group, k->version);
	if (len >= (int)sizeof(path))
		return error_set(err, ERROR_INTERNAL, "group '%s' has too long a name", k->group);
	return write_row(kinds, span_from(path, (size_t)len), w, limit, err);
}

uint64_t openapi_hash(struct span document)
{
	return span_hash(document);
}

bool openapi_v3_index(const struct kind *const *kinds, struct buffer *out, struct error *err)
{
	static const struct span parts[] = { SPAN_INIT("api"), SPAN_INIT("apis"), SPAN_INIT("version") };
	struct json_writer w = json_writer(out);

	json_open_object(&w);
	member_object(&w, SPAN("paths"));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!write_row(kinds, parts[i], &w, out->limit, err))
			return false;
	}
	for (size_t i = 0; kinds[i]; i++) {
		if (is_first(kinds, i) && !write_group_rows(kinds, i, &w, out->limit, err))
			return false;
	}
	json_close_object(&w);
	json_close_object(&w);
	return buffer_ok(out, "the index of OpenAPI documents", err);
}
