/* SPDX-License-Identifier: Apache-2.0 */
/* decode - bodies in JSON, YAML and protobuf as objects of the kind, with what the field validation asks for. */
#include "kube/kube_private.h"

#include "kube/go_words.h"
#include "wire/yaml.h"

#include <stdio.h>
#include <stdlib.h>

enum { FAULTS_MOST = 64, SUMMARY_MOST = 128, SUGGESTIONS_MOST = 8 };

/* Messages of the strict decoder. */
struct faults {
	struct call *call;
	struct value unknown, duplicate;
	struct buffer lines; /* what yaml says of keys that come twice; empty: it was no YAML, or none does */
};

static void add(struct faults *f, struct value *list, const char *what, struct span path)
{
	struct error ignored = { 0 };

	if (list->array.count < FAULTS_MOST)
		(void)value_append(list,
				   value_string(arena_print(&f->call->arena, &ignored, "%s field \"%.*s\"", what,
							    (int)MIN(path.len, 512), path.ptr)),
				   &f->call->arena, &ignored);
}

static void tell_unknown(void *context, struct span path)
{
	struct faults *f = context;

	add(f, &f->unknown, "unknown", path);
	if (f->call->options.validation != VALIDATE_IGNORE && f->unknown.array.count <= SUGGESTIONS_MOST)
		suggest_field(f->call, kind_place(f->call->base.kind), path);
}

static void tell_duplicate(void *context, struct span path)
{
	struct faults *f = context;

	add(f, &f->duplicate, "duplicate", path);
}

static void tell_duplicate_line(void *context, struct span key, size_t line)
{
	struct faults *f = context;

	if (f->lines.len < KIB(16))
		buffer_print(&f->lines, "%s\n  line %zu: key \"%.*s\" already set in map",
			     f->lines.len ? "" : "yaml: unmarshal errors:", line, (int)MIN(key.len, 512), key.ptr);
}

static struct faults faults_none(struct call *call)
{
	struct faults f = { .call = call, .unknown = value_array(), .duplicate = value_array() };

	buffer_init(&f.lines, KIB(32));
	return f;
}

static bool faults_are_none(const struct faults *f)
{
	return !f->unknown.array.count && !f->duplicate.array.count && !f->lines.len;
}

/* `unknown field "a", duplicate field "b"`; empty: none. */
static struct span faults_text(struct faults *f)
{
	struct value *lists[] = { &f->unknown, &f->duplicate };
	struct error ignored = { 0 };
	struct buffer text;
	struct span kept;

	buffer_init(&text, MIB(1));
	buffer_append(&text, buffer_span(&f->lines));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (uint32_t j = 0; j < lists[i]->array.count; j++) {
			buffer_append(&text, text.len ? SPAN(", ") : SPAN(""));
			buffer_append(&text, value_item(lists[i], j)->string);
		}
	}
	kept = arena_copy(&f->call->arena, buffer_span(&text), &ignored);
	buffer_done(&text);
	return kept;
}

static void faults_warn(struct faults *f)
{
	struct value *lists[] = { &f->unknown, &f->duplicate };

	if (f->lines.len)
		warn(f->call, "%.*s", (int)f->lines.len, f->lines.ptr);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (uint32_t j = 0; j < lists[i]->array.count; j++)
			warn(f->call, "%.*s", (int)value_item(lists[i], j)->string.len,
			     value_item(lists[i], j)->string.ptr);
}

/* ---- what is expected ---- */

struct expected {
	struct span group, version, kind;
	const struct type *type;
	const struct openapi_schema *openapi;
};

const struct type *kind_type(const struct kind *kind)
{
	if (kind->type)
		return kind->type();
	return kind->type_name ? type_find(span_of(kind->type_name)) : NULL;
}

struct place kind_place(const struct kind *kind)
{
	const struct type *type = kind_type(kind);

	return type ? place_of_type(type) : place_of_openapi(kind->openapi);
}

static struct expected expected_of(const struct call *call)
{
	const struct kind *kind = call->base.kind;
	struct expected e = { .group = span_of(kind->group),
			      .version = span_of(kind->version),
			      .kind = span_of(kind->kind),
			      .type = kind_type(kind),
			      .openapi = kind->openapi };

	if (span_equal(call->base.subresource, SPAN("scale")) && kind->subresources & SUB_SCALE) {
		e = (struct expected){ .group = SPAN("autoscaling"), .version = SPAN("v1"), .kind = SPAN("Scale") };
		e.type = type_find(SPAN("io.k8s.api.autoscaling.v1.Scale"));
		return e;
	}
	for (const struct subresource *s = kind->others; s && s->name; s++) {
		if (!span_equal(call->base.subresource, span_of(s->name)) || !s->type_name)
			continue;
		e.type = type_find(span_of(s->type_name));
		if (s->kind && s->kind[0]) {
			e.group = span_of(s->group);
			e.version = span_of(s->version);
			e.kind = span_of(s->kind);
		}
	}
	return e;
}

static struct span api_version(struct call *call, const struct expected *e)
{
	struct error ignored = { 0 };

	if (!e->group.len)
		return e->version;
	return arena_print(&call->arena, &ignored, SPAN_FMT "/" SPAN_FMT, SPAN_ARG(e->group), SPAN_ARG(e->version));
}

/* ---- refusals ---- */

/* As the real server quotes a body: JSON as it is, other bytes in hexadecimal. */
static struct span summary(struct call *call)
{
	struct error ignored = { 0 };
	struct span body = span_first(call->body, SUMMARY_MOST), text;
	const char *more = call->body.len > SUMMARY_MOST ? " ..." : "";

	if (!body.len)
		return SPAN("<empty>");
	if (body.ptr[0] == '{')
		return arena_print(&call->arena, &ignored, "%.*s%s", (int)body.len, body.ptr, more);
	text = (struct span){ arena_alloc(&call->arena, 2 * body.len + 1, &ignored), 2 * body.len };
	if (!text.ptr)
		return SPAN("");
	for (size_t i = 0; i < body.len; i++) {
		static const char digits[] = "0123456789abcdef";

		((char *)text.ptr)[2 * i] = digits[(unsigned char)body.ptr[i] >> 4];
		((char *)text.ptr)[2 * i + 1] = digits[(unsigned char)body.ptr[i] & 15];
	}
	return arena_print(&call->arena, &ignored, "%.*s%s", (int)text.len, text.ptr, more);
}

static void refuse_unreadable(struct call *call, const struct expected *e, const char *why)
{
	struct span quoted = summary(call);

	answer_message(call, 400, "BadRequest",
		       "the object provided is unrecognized (must be of type " SPAN_FMT "): %s (%.*s)",
		       SPAN_ARG(e->kind), why, (int)quoted.len, quoted.ptr);
}

static struct span version_of(struct span api)
{
	size_t slash = span_index(api, '/');

	return slash < api.len ? span_skip(api, slash + 1) : api;
}

static struct span group_of(struct span api)
{
	size_t slash = span_index(api, '/');

	return slash < api.len ? span_first(api, slash) : (struct span){ 0 };
}

static void refuse_kind(struct call *call, const struct expected *e, struct span api, struct span kind)
{
	bool is_known = kube_kind_named(call->base.kube, group_of(api), version_of(api), kind) != NULL;

	if (call->base.kind->is_custom)
		answer_message(call, 400, "BadRequest",
			       "the API version in the data (" SPAN_FMT ", Kind=" SPAN_FMT
			       ") does not match the expected API version (" SPAN_FMT ", Kind=" SPAN_FMT ")",
			       SPAN_ARG(api), SPAN_ARG(kind), SPAN_ARG(api_version(call, e)), SPAN_ARG(e->kind));
	else if (is_known)
		answer_message(call, 400, "BadRequest",
			       SPAN_FMT " in version \"" SPAN_FMT "\" cannot be handled as a " SPAN_FMT
					": converting (" SPAN_FMT "." SPAN_FMT ") to (" SPAN_FMT "." SPAN_FMT
					"): unknown conversion",
			       SPAN_ARG(kind), SPAN_ARG(version_of(api)), SPAN_ARG(e->kind), SPAN_ARG(version_of(api)),
			       SPAN_ARG(kind),
			       SPAN_ARG(e->group.len ? span_first(e->group, span_index(e->group, '.')) : SPAN("core")),
			       SPAN_ARG(e->kind));
	else
		answer_message(
		    call, 400, "BadRequest",
		    SPAN_FMT " in version \"" SPAN_FMT "\" cannot be handled as a " SPAN_FMT ": no kind \"" SPAN_FMT
			     "\" is registered for version \"" SPAN_FMT "\" in scheme \"pkg/runtime/scheme.go:110\"",
		    SPAN_ARG(kind), SPAN_ARG(version_of(api)), SPAN_ARG(e->kind), SPAN_ARG(kind), SPAN_ARG(api));
}

static void refuse_content(struct call *call, const struct expected *e, struct span why)
{
	struct error ignored = { 0 };
	struct status s = { .code = 400, .reason = "BadRequest" };

	s.message = arena_print(&call->arena, &ignored,
				SPAN_FMT " in version \"" SPAN_FMT "\" cannot be handled as a " SPAN_FMT ": %.*s",
				SPAN_ARG(e->kind), SPAN_ARG(e->version), SPAN_ARG(e->kind), (int)why.len, why.ptr);
	answer_status(call, &s);
}

/* ---- reading ---- */

static bool read_text(struct call *call, const struct expected *e, bool is_yaml, struct faults *f, struct value *ret)
{
	struct value_reading reading = { .context = f, .merges_duplicates = e->type };
	struct error err = { 0 };
	char why[600], fault[GO_WORDS_SIZE];

	if (is_yaml)
		reading.duplicate_line = tell_duplicate_line;
	else
		reading.duplicate = tell_duplicate;
	if (is_yaml ? yaml_parse(call->body, &reading, &call->arena, ret, &err)
		    : value_parse(call->body, &reading, &call->arena, ret, &err)) {
		if (value_is(ret, VALUE_OBJECT))
			return true;
		(void)snprintf(
		    why, sizeof(why),
		    "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value of type "
		    "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
		    "\"json:\\\"kind,omitempty\\\"\" }",
		    ret->type == VALUE_INT || ret->type == VALUE_DOUBLE ? "number"
		    : ret->type == VALUE_BOOL                           ? "bool"
									: value_type_name(ret->type));
		refuse_unreadable(call, e, why);
		return false;
	}
	if (err.code == ERROR_TOO_LARGE) {
		answer_error(call, &err);
		return false;
	}
	if (is_yaml)
		(void)snprintf(why, sizeof(why), "yaml: %s", err.message);
	else
		(void)snprintf(why, sizeof(why), "couldn't get version/kind; json parse error: %s",
			       go_json_fault(call->body, fault) ? fault : err.message);
	refuse_unreadable(call, e, why);
	return false;
}

static bool read_protobuf(struct call *call, const struct expected *e, struct value *ret)
{
	struct span api, kind, raw;
	struct error err = { 0 };

	if (!e->type) {
		answer_message(call, 415, "UnsupportedMediaType",
			       "the body of the request was in an unknown format - accepted media types include: "
			       "application/json, application/yaml");
		return false;
	}
	if (!kube_protobuf_open(call->body, &api, &kind, &raw, &err)) {
		refuse_unreadable(call, e,
				  !call->body.len                                  ? "empty data"
				  : span_starts(call->body, span_from("k8s\0", 4)) ? "unexpected EOF"
										   : err.message);
		return false;
	}
	if ((kind.len && !span_equal(kind, e->kind)) || (api.len && !span_equal(api, api_version(call, e)))) {
		refuse_kind(call, e, api, kind);
		return false;
	}
	if (schema_from_protobuf(e->type, raw, &call->arena, ret, &err) && value_is(ret, VALUE_OBJECT))
		return true;
	refuse_unreadable(call, e, err.message);
	return false;
}

static bool form_find(struct call *call, enum body_form *ret)
{
	static const struct {
		struct span type;
		enum body_form form;
	} rows[] = { { SPAN_INIT("application/json"), BODY_JSON },
		     { SPAN_INIT("application/yaml"), BODY_YAML },
		     { SPAN_INIT("application/vnd.kubernetes.protobuf"), BODY_PROTOBUF } };
	struct span type = span_trim(span_first(call->content_type, span_index(call->content_type, ';')));

	*ret = BODY_JSON;
	if (!type.len || span_equal(type, SPAN("*/*")))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (span_equal_ignore_case(type, rows[i].type)) {
			*ret = rows[i].form;
			return true;
		}
	}
	answer_message(call, 415, "UnsupportedMediaType",
		       "the body of the request was in an unknown format - accepted media types include: "
		       "application/json, application/yaml%s",
		       call->base.kind->is_custom ? "" : ", application/vnd.kubernetes.protobuf");
	return false;
}

static bool builtin_kind_check(struct call *call, const struct expected *e, struct value *v)
{
	struct span api = get_string(v, "apiVersion"), kind = get_string(v, "kind");
	struct span wanted = api_version(call, e);
	struct error err = { 0 };

	if ((api.len && !span_equal(api, wanted)) || (kind.len && !span_equal(kind, e->kind))) {
		refuse_kind(call, e, api.len ? api : wanted, kind.len ? kind : e->kind);
		return false;
	}
	if (value_set(v, SPAN("kind"), value_string(e->kind), &call->arena, &err) &&
	    value_set(v, SPAN("apiVersion"), value_string(wanted), &call->arena, &err))
		return true;
	answer_error(call, &err);
	return false;
}

static bool is_custom(const struct call *call, const struct expected *e)
{
	return call->base.kind->is_custom && !e->type;
}

/* Of custom objects nothing is filled in. Another kind is refused with the other faults of the object. False: answered. */
static bool custom_kind_check(struct call *call, const struct expected *e, const struct value *v)
{
	struct span api = get_string(v, "apiVersion"), wanted = api_version(call, e), why;
	struct error ignored = { 0 };

	if (!get_string(v, "kind").len) {
		why = arena_print(&call->arena, &ignored, "Object 'Kind' is missing in '" SPAN_FMT "'",
				  SPAN_ARG(call->body));
		refuse_unreadable(call, e, why.ptr ? why.ptr : "");
		return false;
	}
	if (span_equal(api, wanted))
		return true;
	answer_message(call, 400, "BadRequest",
		       "the API version in the data (" SPAN_FMT ") does not match the expected API version (" SPAN_FMT
		       ")",
		       SPAN_ARG(api), SPAN_ARG(wanted));
	return false;
}

/* apiVersion and kind of what came, or what is expected when they are left out. False: answered. */
static bool kind_check(struct call *call, const struct expected *e, struct value *v)
{
	if (is_custom(call, e))
		return custom_kind_check(call, e, v);
	return builtin_kind_check(call, e, v);
}

static int text_order(const void *a, const void *b)
{
	const struct value *x = a, *y = b;

	return span_order(x->string, y->string);
}

/* Metadata has the form of all kinds'. */
static bool custom_metadata_check(struct call *call, struct value *v, struct faults *f, struct error *err)
{
	const struct type *type = type_find(SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
	struct schema_report report = { .unknown = tell_unknown, .context = f, .prefix = SPAN("metadata") };
	struct value *metadata = value_get(v, SPAN("metadata"));

	if (!metadata || metadata->type == VALUE_NULL || !type)
		return true;
	if (metadata->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "json: cannot unmarshal %s into Go value of type v1.ObjectMeta",
				 metadata->type == VALUE_INT || metadata->type == VALUE_DOUBLE ? "number"
				 : metadata->type == VALUE_BOOL                                ? "bool"
								: value_type_name(metadata->type));
	if (!schema_decode(type, metadata, &report, &call->arena, err) ||
	    !schema_complete(type, metadata, &call->arena, err))
		return false;
	if (value_is(value_get(metadata, SPAN("creationTimestamp")), VALUE_NULL))
		(void)value_remove(metadata, SPAN("creationTimestamp"));
	return true;
}

/* By its schema: unknown members go, and are told in order. */
static bool custom_content_check(struct call *call, const struct expected *e, struct value *v, struct faults *f,
				 struct error *err)
{
	struct schema_report report = { .unknown = tell_unknown, .context = f };
	uint32_t told;

	if (!custom_metadata_check(call, v, f, err))
		return false;
	if (!e->openapi)
		return true;
	told = f->unknown.array.count;
	openapi_schema_prune(e->openapi, v, &report);
	if (f->unknown.array.count > told + 1)
		qsort(f->unknown.array.items + told, f->unknown.array.count - told, sizeof(struct value), text_order);
	return openapi_schema_coerce(e->openapi, v, &report, &call->arena, err);
}

/* By the kind's own table or schema: unknown members go. */
static bool content_check(struct call *call, const struct expected *e, struct value *v, struct faults *f,
			  struct error *err)
{
	struct schema_report report = { .unknown = tell_unknown, .context = f };

	if (e->type)
		return schema_decode(e->type, v, &report, &call->arena, err);
	return !is_custom(call, e) || custom_content_check(call, e, v, f, err);
}

static bool body_decode(struct call *call, enum body_form form, const struct expected *e, struct faults *f,
			struct value *ret)
{
	struct error err = { 0 };

	if (!read_text(call, e, form == BODY_YAML, f, ret) || !kind_check(call, e, ret))
		return false;
	if (!content_check(call, e, ret, f, &err)) {
		if (err.code == ERROR_INVALID)
			refuse_content(call, e, error_span(&err));
		else
			answer_error(call, &err);
		return false;
	}
	if (faults_are_none(f))
		return true;
	if (call->options.validation == VALIDATE_STRICT) {
		struct span text = faults_text(f);

		refuse_content(call, e,
			       arena_print(&call->arena, &err, "strict decoding error: %.*s", (int)text.len, text.ptr));
		return false;
	}
	if (call->options.validation == VALIDATE_WARN)
		faults_warn(f);
	return true;
}

bool decode_body(struct call *call, struct value *ret)
{
	struct expected e = expected_of(call);
	struct faults f;
	enum body_form form;
	bool good;

	if (!form_find(call, &form))
		return false;
	if (form == BODY_PROTOBUF)
		return read_protobuf(call, &e, ret) && kind_check(call, &e, ret);
	f = faults_none(call);
	good = body_decode(call, form, &e, &f, ret);
	buffer_done(&f.lines);
	return good;
}

/* ---- patched objects ---- */

static int member_order(const void *a, const void *b)
{
	const struct value_member *x = a, *y = b;

	return span_order(x->key, y->key);
}

static bool members_order(struct value *v, bool is_deep, struct arena *arena, struct error *err)
{
	uint32_t count = v->object.count;
	struct value_member *members;

	for (uint32_t i = 0; is_deep && v->type == VALUE_ARRAY && i < v->array.count; i++)
		if (!members_order(value_item(v, i), true, arena, err))
			return false;
	if (v->type != VALUE_OBJECT)
		return true;
	members = ARENA_ARRAY(arena, struct value_member, count + 1, err);
	if (!members)
		return false;
	if (count) {
		memcpy(members, v->object.members, count * sizeof(*members));
		qsort(members, count, sizeof(*members), member_order);
	}
	v->object.slots = NULL;
	v->object.members = members;
	for (uint32_t i = 0; is_deep && i < count; i++)
		if (!members_order(&members[i].value, true, arena, err))
			return false;
	return true;
}

/* The patched object as it is quoted: its own members by name, what is below as it was, or (of custom objects) by name too. */
static struct span quoted_text(const struct value *v, bool is_custom, struct arena *arena, struct error *err)
{
	struct value sorted;

	if (!is_custom)
		sorted = *v;
	else if (!value_copy(v, arena, &sorted, err))
		return (struct span){ 0 };
	return members_order(&sorted, is_custom, arena, err) ? value_print(&sorted, arena, err) : (struct span){ 0 };
}

/* ` "" is invalid: patch: Invalid value: "...": why` */
static void refuse_patched(struct call *call, struct span text, struct span why)
{
	struct error err = { 0 };
	struct cause *cause = ARENA_NEW(&call->arena, struct cause, &err);
	struct span quoted;
	struct buffer out;
	struct json_writer w;

	if (!cause || !text.ptr) {
		answer_error(call, &err);
		return;
	}
	buffer_init(&out, MIB(16));
	buffer_append(&out, SPAN("Invalid value: "));
	w = json_writer(&out);
	json_string(&w, text);
	buffer_append(&out, SPAN(": "));
	buffer_append(&out, why);
	quoted = arena_copy(&call->arena, buffer_span(&out), &err);
	buffer_done(&out);
	*cause = (struct cause){ .reason = "FieldValueInvalid", .message = quoted, .field = SPAN("patch") };
	answer_causes(call, (struct span){ 0 }, (struct span){ 0 }, (struct span){ 0 }, cause);
}

/* What is quoted of a patch that cannot be: a strategic one itself, as Go prints it; of others the object that it made, as it was
 * before the decoder took out of it what is unknown. */
static struct span patched_text(struct call *call, const struct value *v, const struct patched *from)
{
	struct error err = { 0 };
	struct value again;

	if (from && from->strategic)
		return go_print(from->strategic, &call->arena, &err);
	if (from && from->again && from->again(call, from->context, &again))
		return quoted_text(&again, call->base.kind->is_custom, &call->arena, &err);
	return quoted_text(v, call->base.kind->is_custom, &call->arena, &err);
}

static struct span convert_words(struct call *call, const struct expected *e, const struct patched *from,
				 const struct error *err)
{
	char words[SCHEMA_WORDS_SIZE];
	struct error ignored = { 0 };

	if (!from || !from->strategic || !e->type || !schema_convert_fault(e->type, from->strategic, words))
		return error_span(err);
	return arena_copy(&call->arena, span_of(words), &ignored);
}

/* A patch made it another kind: it is read as that, and then cannot be made this one. ptr NULL: nobody knows that kind. */
static struct span other_kind_words(struct call *call, const struct expected *e, struct value *v, struct span api,
				    struct span kind)
{
	const struct kind *other = kube_kind_named(call->base.kube, group_of(api), version_of(api), kind);
	const struct type *type = other ? kind_type(other) : NULL;
	struct schema_report report = { 0 };
	struct error err = { 0 };
	struct value tried;

	if (!type || !value_copy(v, &call->arena, &tried, &err))
		return (struct span){ 0 };
	if (!schema_decode(type, &tried, &report, &call->arena, &err))
		return arena_copy(&call->arena, error_span(&err), &err);
	return arena_print(&call->arena, &err,
			   "converting (" SPAN_FMT "." SPAN_FMT ") to (" SPAN_FMT "." SPAN_FMT "): unknown conversion",
			   SPAN_ARG(version_of(api)), SPAN_ARG(kind),
			   SPAN_ARG(e->group.len ? span_first(e->group, span_index(e->group, '.')) : SPAN("core")),
			   SPAN_ARG(e->kind));
}

bool decode_patched(struct call *call, struct value *v, const struct patched *from)
{
	struct expected e = expected_of(call);
	struct faults f = { .call = call, .unknown = value_array(), .duplicate = value_array() };
	struct span wanted = api_version(call, &e), api = get_string(v, "apiVersion"), kind = get_string(v, "kind");
	struct error err = { 0 };

	if (!is_custom(call, &e) && (!span_equal(api, wanted) || !span_equal(kind, e.kind))) {
		struct span why = other_kind_words(call, &e, v, api, kind);

		if (!why.ptr)
			why = arena_print(&call->arena, &err,
					  "no kind \"" SPAN_FMT "\" is registered for version \"" SPAN_FMT
					  "\" in scheme \"pkg/runtime/scheme.go:110\"",
					  SPAN_ARG(kind), SPAN_ARG(api));

		refuse_patched(call, patched_text(call, v, from), why);
		return false;
	}
	if (!content_check(call, &e, v, &f, &err)) {
		if (err.code == ERROR_INVALID)
			refuse_patched(call, patched_text(call, v, from), convert_words(call, &e, from, &err));
		else
			answer_error(call, &err);
		return false;
	}
	if (!f.unknown.array.count)
		return true;
	if (call->options.validation == VALIDATE_STRICT) {
		struct span text = faults_text(&f);

		refuse_patched(call, patched_text(call, v, from),
			       arena_print(&call->arena, &err, "strict decoding error: %.*s", (int)text.len, text.ptr));
		return false;
	}
	if (call->options.validation == VALIDATE_WARN)
		faults_warn(&f);
	return true;
}
