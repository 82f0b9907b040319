/* SPDX-License-Identifier: Apache-2.0 */
/* status - answers: objects, and failures as the Status that clients parse, in the real server's words. */
#include "kube/kube_private.h"

#include "wire/yaml.h"

#include <stdarg.h>
#include <stdio.h>

enum { WARNINGS_MOST = 8, WARNING_BYTES_MOST = 2048 };

#define JSON_TYPE        SPAN("application/json")
#define YAML_TYPE        SPAN("application/yaml")
#define ANSWER_YAML_MOST MIB(64)

/* ---- sending ---- */

static struct span content_type_of(const struct call *call)
{
	return call->is_yaml ? YAML_TYPE : JSON_TYPE;
}

/* `299 - "text"` (RFC 9111 5.5): quotes and backslashes escaped. */
static struct span warning_text(struct call *call, struct span text)
{
	struct error ignored = { 0 };
	char *to = arena_alloc(&call->base.req->arena, 2 * text.len + 8, &ignored);
	size_t len = 0;

	if (!to)
		return SPAN("299 - \"\"");
	memcpy(to, "299 - \"", 7);
	len = 7;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			to[len++] = '\\';
		to[len++] = (unsigned char)text.ptr[i] < ' ' ? ' ' : text.ptr[i];
	}
	to[len++] = '"';
	return span_from(to, len);
}

static void warnings_send(struct call *call)
{
	const struct value *list = call->change.warnings;

	for (uint32_t i = 0; list && i < list->array.count && i < WARNINGS_MOST; i++)
		if (value_is(value_item(list, i), VALUE_STRING))
			request_set_header(
			    call->base.req, SPAN("warning"),
			    warning_text(call, span_first(value_item(list, i)->string, WARNING_BYTES_MOST)));
}

static bool answer_begin(struct call *call)
{
	ASSERT(!call->is_answered);
	call->is_answered = true;
	if (!call->base.req)
		return false;
	request_set_header(call->base.req, SPAN("cache-control"), SPAN("no-cache, private"));
	warnings_send(call);
	return true;
}

/* What the server's own writes and the parts of a collection get in place of an answer. */
static bool answer_inside(struct call *call, const struct error *err)
{
	if (!call->finished)
		return false;
	ASSERT(!call->is_answered);
	call->is_answered = true;
	call->finished(call, err);
	call_free(call);
	return true;
}

/* The answer that was written as JSON, as YAML. */
static void out_to_yaml(struct call *call)
{
	struct buffer *out = &call->base.req->out;
	struct error err = { 0 };
	struct buffer text;
	struct value v;

	buffer_init(&text, ANSWER_YAML_MOST);
	if (value_parse(buffer_span(out), NULL, &call->arena, &v, &err) && yaml_write(&v, &call->arena, &text, &err)) {
		buffer_clear(out);
		buffer_append(out, buffer_span(&text));
	} else {
		call->is_yaml = false; /* too large for a tree: JSON is YAML too, and its type says what it is */
	}
	buffer_done(&text);
}

void answer_out(struct call *call, int status)
{
	if (call->is_yaml && call->base.req)
		out_to_yaml(call);
	if (answer_begin(call))
		request_send(call->base.req, status, content_type_of(call));
	call_free(call);
}

void answer_plain(struct call *call, int status, struct span text)
{
	if (answer_begin(call)) {
		request_set_header(call->base.req, SPAN("x-content-type-options"), SPAN("nosniff"));
		buffer_append(&call->base.req->out, text);
		request_send(call->base.req, status, SPAN("text/plain; charset=utf-8"));
	}
	call_free(call);
}

void answer_text(struct call *call, int status, struct span text)
{
	struct error err = { 0 };

	if (answer_inside(call, NULL))
		return;
	if (!call->base.req) {
		answer_out(call, status);
		return;
	}
	if (call->form == FORM_OBJECT || !call->base.kind) {
		buffer_append(&call->base.req->out, text);
		buffer_byte(&call->base.req->out, '\n');
	} else if (!form_write(call, call->base.kind, text, &call->base.req->out, &err)) {
		buffer_clear(&call->base.req->out);
		answer_error(call, &err);
		return;
	}
	answer_out(call, status);
}

void answer_value(struct call *call, int status, const struct value *v)
{
	struct error err = { 0 };
	struct span text;

	if (answer_inside(call, NULL))
		return;
	text = value_print(v, &call->arena, &err);
	if (text.ptr)
		answer_text(call, status, text);
	else
		answer_error(call, &err);
}

/* ---- Status ---- */

static void put_text(struct json_writer *w, struct span key, struct span text)
{
	if (text.len) {
		json_key(w, key);
		json_string(w, text);
	}
}

static void causes_write(const struct cause *causes, struct json_writer *w)
{
	json_key(w, SPAN("causes"));
	json_open_array(w);
	for (; causes; causes = causes->next) {
		json_open_object(w);
		put_text(w, SPAN("reason"), span_of(causes->reason));
		put_text(w, SPAN("message"), causes->message);
		put_text(w, SPAN("field"), causes->field);
		json_close_object(w);
	}
	json_close_array(w);
}

void status_write(const struct status *s, struct json_writer *w)
{
	json_open_object(w);
	put_text(w, SPAN("kind"), SPAN("Status"));
	put_text(w, SPAN("apiVersion"), SPAN("v1"));
	json_key(w, SPAN("metadata"));
	json_raw(w, SPAN("{}"));
	put_text(w, SPAN("status"), s->is_success ? SPAN("Success") : SPAN("Failure"));
	put_text(w, SPAN("message"), s->message);
	put_text(w, SPAN("reason"), span_of(s->reason));
	if (s->has_details) {
		json_key(w, SPAN("details"));
		json_open_object(w);
		put_text(w, SPAN("name"), s->name);
		put_text(w, SPAN("group"), s->group);
		put_text(w, SPAN("kind"), s->kind);
		put_text(w, SPAN("uid"), s->uid);
		if (s->causes)
			causes_write(s->causes, w);
		if (s->retry_seconds) {
			json_key(w, SPAN("retryAfterSeconds"));
			json_int64(w, s->retry_seconds);
		}
		json_close_object(w);
	}
	if (s->code && !s->is_success) {
		json_key(w, SPAN("code"));
		json_int64(w, s->code);
	}
	json_close_object(w);
}

static enum error_code code_of_status(const struct status *s)
{
	if (s->code == 409) /* two have that number */
		return s->reason && strcmp(s->reason, "AlreadyExists") == 0 ? ERROR_ALREADY_EXISTS : ERROR_CONFLICT;
	for (int i = 1; i < ERROR_COUNT; i++)
		if (error_http((enum error_code)i) == s->code)
			return (enum error_code)i;
	return s->code == 422 ? ERROR_INVALID : ERROR_INTERNAL;
}

void answer_status(struct call *call, const struct status *s)
{
	struct error err = { 0 };
	struct json_writer w;

	if (call->finished) {
		if (!s->is_success)
			error_set(&err, code_of_status(s), "%.*s", (int)MIN(s->message.len, sizeof(err.message) - 1),
				  s->message.ptr);
		if (answer_inside(call, s->is_success ? NULL : &err))
			return;
	}
	if (!call->base.req) {
		answer_out(call, s->code);
		return;
	}
	if (s->retry_seconds)
		request_set_header(call->base.req, SPAN("retry-after"),
				   arena_print(&call->base.req->arena, &err, "%d", s->retry_seconds));
	w = json_writer(&call->base.req->out);
	status_write(s, &w);
	buffer_byte(&call->base.req->out, '\n');
	answer_out(call, s->code);
}

struct span resource_text(struct call *call)
{
	const struct kind *kind = call->base.kind;
	struct error ignored = { 0 };
	struct span plural = kind ? span_of(kind->plural) : call->plural;
	struct span group = kind ? span_of(kind->group) : call->group;

	if (!group.len)
		return plural;
	return arena_print(&call->arena, &ignored, SPAN_FMT "." SPAN_FMT, SPAN_ARG(plural), SPAN_ARG(group));
}

static void details_of_object(struct call *call, struct status *s)
{
	s->has_details = true;
	s->name = call->base.name;
	s->group = call->base.kind ? span_of(call->base.kind->group) : call->group;
	s->kind = call->base.kind ? span_of(call->base.kind->plural) : call->plural;
}

/* `namespaces "x" not found` may be about another object than the one asked for. */
static void details_of_message(struct status *s)
{
	struct span rest = s->message, resource = span_cut(&rest, ' ');

	if (!span_starts(rest, SPAN("\"")) || !span_ends(rest, SPAN("\" not found")))
		return;
	s->name = span_first(span_skip(rest, 1), rest.len - strlen("\"\" not found"));
	s->kind = span_cut(&resource, '.');
	s->group = resource;
}

/* Creating something in a namespace that ends has a cause that controllers look for. */
static void cause_of_ending(struct call *call, struct status *s)
{
	static const char why[] = "because it is being terminated";
	struct cause *causes = NULL, **end = &causes;

	if (!span_ends(s->message, SPAN(why)))
		return;
	cause_add(call, &end, "NamespaceTerminating", SPAN("metadata.namespace"),
		  "namespace " SPAN_FMT " is being terminated", SPAN_ARG(call->base.name_space));
	s->causes = causes;
}

struct status status_of_error(struct call *call, const struct error *err)
{
	struct error ignored = { 0 };
	struct status s = { .code = error_http(err->code),
			    .reason = error_reason(err->code),
			    .message = arena_copy(&call->arena, error_span(err), &ignored) };

	switch (err->code) {
	case ERROR_UNAUTHENTICATED:
		s.message = SPAN("Unauthorized");
		break;
	case ERROR_FORBIDDEN:
	case ERROR_NOT_FOUND:
	case ERROR_ALREADY_EXISTS:
	case ERROR_CONFLICT:
		details_of_object(call, &s);
		if (err->code == ERROR_NOT_FOUND)
			details_of_message(&s);
		else if (err->code == ERROR_FORBIDDEN)
			cause_of_ending(call, &s);
		break;
	case ERROR_EXHAUSTED:
		s.has_details = true;
		s.retry_seconds = 1;
		break;
	case ERROR_INTERNAL:
		s.has_details = true;
		break;
	default:
		break;
	}
	return s;
}

void answer_error(struct call *call, const struct error *err)
{
	struct status s;

	if (answer_inside(call, err))
		return;
	s = status_of_error(call, err);
	answer_status(call, &s);
}

void answer_message(struct call *call, int code, const char *reason, const char *format, ...)
{
	struct error ignored = { 0 };
	struct status s = { .code = code, .reason = reason };
	char text[4096];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s.message = arena_copy(&call->arena, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)), &ignored);
	answer_status(call, &s);
}

void answer_generic(struct call *call, int code, const char *reason, const char *message)
{
	struct status s = { .code = code, .reason = reason, .has_details = true, .message = span_of(message) };

	answer_status(call, &s);
}

void answer_not_found(struct call *call)
{
	struct error ignored = { 0 };
	struct status s = { .code = 404, .reason = "NotFound" };

	details_of_object(call, &s);
	s.message = arena_print(&call->arena, &ignored, SPAN_FMT " \"%.*s\" not found", SPAN_ARG(resource_text(call)),
				(int)MIN(call->base.name.len, 1024), call->base.name.ptr ? call->base.name.ptr : "");
	answer_status(call, &s);
}

void answer_no_resource(struct call *call)
{
	struct status s = { .code = 404,
			    .reason = "NotFound",
			    .has_details = true,
			    .message = SPAN("the server could not find the requested resource") };

	answer_status(call, &s);
}

void answer_no_method(struct call *call)
{
	struct status s = { .code = 405,
			    .reason = "MethodNotAllowed",
			    .has_details = true,
			    .message = SPAN("the server does not allow this method on the requested resource") };

	answer_status(call, &s);
}

/* ---- causes ---- */

static bool is_same_cause(const struct cause *a, const struct cause *b)
{
	return span_equal(a->field, b->field) && span_equal(a->message, b->message);
}

static bool is_repeated(const struct cause *causes, const struct cause *c)
{
	for (; causes != c; causes = causes->next) {
		if (is_same_cause(causes, c))
			return true;
	}
	return false;
}

/* `KIND "name" is invalid: one` or `...: [one, two]`, each once. */
static struct span causes_message(struct call *call, struct span kind, struct span group, struct span name,
				  const struct cause *causes)
{
	struct error ignored = { 0 };
	struct buffer text;
	struct span message;
	bool is_list = false;

	for (const struct cause *c = causes; c; c = c->next)
		is_list = is_list || !is_same_cause(c, causes);
	buffer_init(&text, MIB(8));
	buffer_append(&text, kind);
	if (group.len) {
		buffer_byte(&text, '.');
		buffer_append(&text, group);
	}
	buffer_append(&text, SPAN(" \""));
	buffer_append(&text, name);
	buffer_append(&text, SPAN("\" is invalid"));
	for (const struct cause *c = causes; c; c = c->next) {
		if (is_repeated(causes, c))
			continue;
		buffer_append(&text, c != causes ? SPAN(", ") : is_list ? SPAN(": [") : SPAN(": "));
		if (c->field.len) {
			buffer_append(&text, c->field);
			buffer_append(&text, SPAN(": "));
		}
		buffer_append(&text, c->message);
	}
	if (is_list)
		buffer_byte(&text, ']');
	message = arena_copy(&call->arena, buffer_span(&text), &ignored);
	buffer_done(&text);
	return message;
}

void answer_causes(struct call *call, struct span kind, struct span group, struct span name, const struct cause *causes)
{
	struct status s = { .code = 422,
			    .reason = "Invalid",
			    .has_details = true,
			    .name = name,
			    .group = group,
			    .kind = kind,
			    .causes = causes };

	s.message = causes_message(call, kind, group, name, causes);
	answer_status(call, &s);
}

void cause_add(struct call *call, struct cause ***end, const char *reason, struct span field, const char *format, ...)
{
	struct error ignored = { 0 };
	struct cause *c = ARENA_NEW(&call->arena, struct cause, &ignored);
	va_list args;
	char text[2048];
	int len;

	if (!c)
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->reason = reason;
	c->field = field;
	c->message = arena_copy(&call->arena, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)), &ignored);
	**end = c;
	*end = &c->next;
}

void warn(struct call *call, const char *format, ...)
{
	struct error ignored = { 0 };
	char text[WARNING_BYTES_MOST];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!call->change.warnings) {
		call->change.warnings = ARENA_NEW(&call->arena, struct value, &ignored);
		if (!call->change.warnings)
			return;
		*call->change.warnings = value_array();
	}
	(void)value_append(call->change.warnings,
			   value_string(arena_copy(
			       &call->arena, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)), &ignored)),
			   &call->arena, &ignored);
}

/* ---- what handlers of subresources call ---- */

void kube_answer(struct kube_call *base, int status, const struct value *object)
{
	call_of(base)->form = FORM_OBJECT; /* what a subresource answers is of its own kind */
	if (call_of(base)->finished)
		call_of(base)->change.object = (struct value *)object; /* what the server's own write is given */
	answer_value(call_of(base), status, object);
}

void kube_fail(struct kube_call *base, const struct error *err)
{
	answer_error(call_of(base), err);
}

void kube_fail_causes(struct kube_call *base, const struct error *err, const struct cause *causes)
{
	struct call *call = call_of(base);
	const struct kind *kind = base->kind;
	struct status s;

	if (err->code == ERROR_INVALID) {
		answer_causes(call, span_of(kind->kind), span_of(kind->group), base->name, causes);
		return;
	}
	s = status_of_error(call, err);
	s.has_details = true;
	s.causes = causes;
	if (err->code == ERROR_EXHAUSTED)
		s.retry_seconds = 0; /* an eviction that may not be says so without a time */
	answer_status(call, &s);
}

/* ---- failures before there is a call: limits, malformed requests ---- */

void fail_as_status(struct request *req, const struct error *err)
{
	struct status s = { .code = error_http(err->code),
			    .reason = error_reason(err->code),
			    .message = error_span(err) };
	struct json_writer w = json_writer(&req->out);

	if (err->code == ERROR_TOO_LARGE) {
		s.message = SPAN("Request entity too large: limit is 3145728");
		s.has_details = true;
	}
	status_write(&s, &w);
	request_send(req, s.code, JSON_TYPE);
}

const struct surface surface_kube = { "kube", fail_as_status };

void kube_refuse(struct kube_call *base, const struct kube_refusal *r)
{
	struct call *call = call_of(base);
	struct status s = { .code = r->code,
			    .reason = r->reason,
			    .message = r->message,
			    .has_details = r->kind.len || r->name.len || r->causes || r->retry_seconds,
			    .kind = r->kind,
			    .name = r->name,
			    .causes = r->causes,
			    .retry_seconds = r->retry_seconds };

	if (!s.message.len)
		s.message = causes_message(call, r->kind, SPAN(""), r->name, r->causes);
	call->form = FORM_OBJECT;
	answer_status(call, &s);
}

void kube_answer_empty(struct kube_call *base, int status)
{
	struct call *call = call_of(base);

	if (answer_begin(call))
		request_send(call->base.req, status, SPAN(""));
	call_free(call);
}

void kube_leave(struct kube_call *base)
{
	call_free(call_of(base));
}
