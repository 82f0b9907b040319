/* SPDX-License-Identifier: Apache-2.0 */
/* call - one request: who asks, what for, may they, and which verb runs. */
#include "kube/kube_private.h"

#include "kube/auth/auth.h"
#include "kube/crd/crd.h"

#include <ctype.h>
#include <stdlib.h>

enum { CALLS_KEPT_MOST = 128 };

/* ---- life ---- */

struct call *call_new(struct kube *k)
{
	struct call *call = k->free_calls;

	if (call) {
		struct arena arena = call->arena;

		k->free_calls = call->next;
		k->free_count--;
		*call = (struct call){ .arena = arena };
	} else {
		call = base_calloc(1, sizeof(*call));
		arena_init(&call->arena, CALL_ARENA_MOST);
	}
	call->base.kube = k;
	call->base.arena = &call->arena;
	call->base.user = &call->user;
	return call;
}

void call_free(struct call *call)
{
	struct kube *k = call->base.kube;

	if (call->was_freed)
		*call->was_freed = true;
	if (call->has_seat)
		fair_done(k->fair, call);
	admission_end(&call->change, false);
	record_unref(call->base_record);
	call->base_record = NULL;
	kind_release(k, call->base.kind);
	if (k->free_count >= CALLS_KEPT_MOST || k->is_closing) {
		arena_done(&call->arena);
		free(call);
		return;
	}
	arena_clear(&call->arena);
	call->next = k->free_calls;
	k->free_calls = call;
	k->free_count++;
}

static void call_gone(struct request *req, const struct error *why)
{
	struct call *call = request_owner(req);

	(void)why;
	call->base.req = NULL;
	if (call->client && !call->has_seat)
		fair_forget(call->base.kube->fair, call);
}

static const struct request_flow call_flow = { .gone = call_gone };

void call_open(struct call *call)
{
	if (call->is_opened || !call->base.req)
		return;
	call->is_opened = true;
	request_open(call->base.req, &call_flow, call);
}

static bool span_keep(struct span *s, struct arena *arena, struct error *err)
{
	if (s->len)
		*s = arena_copy(arena, *s, err);
	return !s->len || s->ptr;
}

bool user_copy(const struct user *from, struct arena *arena, struct user *ret, struct error *err)
{
	*ret = *from;
	if (!span_keep(&ret->name, arena, err) || !span_keep(&ret->uid, arena, err) ||
	    !span_keep(&ret->service_account_namespace, arena, err) ||
	    !span_keep(&ret->service_account_name, arena, err))
		return false;
	for (size_t i = 0; i < ret->group_count; i++)
		if (!span_keep(&ret->groups[i], arena, err))
			return false;
	for (size_t i = 0; i < ret->extra_count; i++) {
		ret->extra[i].key = arena_print(arena, err, "%s", from->extra[i].key).ptr;
		if (!ret->extra[i].key || !span_keep(&ret->extra[i].value, arena, err))
			return false;
	}
	return true;
}

/* ---- the form of the answer ---- */

/* False: answered with 406. */
static bool accept_read(struct call *call)
{
	struct span header = request_header(call->base.req, SPAN("accept"));
	struct accepting choice;

	if (!span_trim(header).len)
		return true;
	if (accept_choose(header, &choice)) {
		call->form = choice.form;
		call->is_yaml = choice.is_yaml;
		call->is_beta_form = choice.is_beta_form;
		return true;
	}
	if (!call->is_resource)
		return true;
	if (choice.is_known)
		answer_message(call, 406, "NotAcceptable",
			       "only the following media types are accepted: application/json, application/yaml, "
			       "application/vnd.kubernetes.protobuf");
	else
		answer_generic(call, 406, "NotAcceptable",
			       "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
			       "application/vnd.kubernetes.protobuf");
	return false;
}

/* ---- rights ---- */

static struct access access_of(struct call *call)
{
	const struct kube_call *b = &call->base;
	struct access a = { .verb = span_of(call->verb_text), .is_resource = call->is_resource, .path = call->path };

	if (!call->is_resource)
		return a;
	a.group = call->group;
	a.version = call->version;
	a.resource = call->plural;
	a.subresource = b->subresource;
	a.name = b->name;
	a.name_space = b->name_space;
	if (!call->group.len && span_equal(call->plural, SPAN("namespaces")))
		a.name_space = b->name;
	return a;
}

/* False: answered. */
static bool access_check(struct call *call)
{
	struct access a = access_of(call);
	struct error err = { 0 };
	struct span why = { 0 };
	struct status s;

	audit_request(call->base.kube, call->base.req, &call->user, &a);
	if (access_allowed(call->base.kube, &call->user, &a, &why, &call->arena))
		return true;
	(void)access_error(&call->user, &a, &err);
	s = status_of_error(call, &err);
	if (!call->is_resource)
		s.name = s.kind = s.group = (struct span){ 0 };
	answer_status(call, &s);
	return false;
}

/* ---- verbs ---- */

static const struct subresource *subresource_find(const struct kind *kind, struct span name)
{
	for (const struct subresource *s = kind->others; s && s->name; s++)
		if (span_equal(name, span_of(s->name)) || (name.len && strcmp(s->name, "*") == 0))
			return s;
	return NULL;
}

bool subresource_is_handled(const struct kind *kind, struct span name)
{
	const struct subresource *s = subresource_find(kind, name);

	return s && s->handle;
}

void subresource_run(struct call *call)
{
	const struct subresource *s = subresource_find(call->base.kind, call->base.subresource);
	struct value *body;
	struct error err = { 0 };
	bool was_freed = false;

	call->base.is_dry_run = call->options.is_dry_run;
	if (s->type_name && (call->base.verb == KUBE_CREATE || call->base.verb == KUBE_UPDATE)) {
		body = ARENA_NEW(&call->arena, struct value, &err);
		if (!body) {
			answer_error(call, &err);
			return;
		}
		if (call->is_internal && call->initial)
			*body = *call->initial;
		else if (!decode_body(call, body))
			return;
		call->base.body = body;
	}
	/* One that has not answered yet does so later, unless it has opened the request for itself. */
	call->was_freed = &was_freed;
	s->handle(&call->base);
	if (was_freed)
		return;
	call->was_freed = NULL;
	if (call->base.req && !request_owner(call->base.req))
		call_open(call);
}

static bool is_passage(const struct call *call)
{
	const struct subresource *s = subresource_find(call->base.kind, call->base.subresource);

	return s && s->verbs & KUBE_PASSAGE;
}

static void (*verb_run(enum kube_verb verb))(struct call *)
{
	switch (verb) {
	case KUBE_GET:
		return read_get;
	case KUBE_LIST:
		return read_list;
	case KUBE_WATCH:
		return watch_start;
	case KUBE_CREATE:
		return write_create;
	case KUBE_UPDATE:
	case KUBE_PATCH:
		return write_update;
	case KUBE_DELETE:
		return delete_object;
	case KUBE_DELETE_COLLECTION:
		return delete_collection;
	}
	return NULL;
}

/* Which verbs the path's shape allows: POST has no name; PUT and PATCH need one. */
static bool shape_fits(const struct call *call)
{
	const struct kube_call *b = &call->base;

	switch (b->verb) {
	case KUBE_CREATE:
		return b->kind->is_namespaced == (b->name_space.len > 0);
	case KUBE_UPDATE:
	case KUBE_PATCH:
	case KUBE_DELETE:
	case KUBE_GET:
		return b->name.len && b->kind->is_namespaced == (b->name_space.len > 0);
	case KUBE_DELETE_COLLECTION:
		return b->kind->is_namespaced == (b->name_space.len > 0);
	default:
		return true;
	}
}

/* What runs for the kind itself and its two stored subresources; NULL: no such method. */
static void (*runner_find(struct call *call, bool *ret_exists))(struct call *)
{
	const struct kube_call *b = &call->base;
	const struct subresource *other = subresource_find(b->kind, b->subresource);
	unsigned verbs = KUBE_GET | KUBE_UPDATE | KUBE_PATCH;

	*ret_exists = true;
	if (other && !other->handle)
		return other->verbs & b->verb && shape_fits(call) ? verb_run(b->verb) : NULL;
	if (other && other->verbs & KUBE_PASSAGE && call->method == METHOD_OPTIONS)
		return subresource_run;
	if (other)
		return other->verbs & b->verb ? subresource_run : NULL;
	if (!b->subresource.len) {
		if (b->verb == KUBE_CREATE && b->name.len)
			return NULL;
		return b->kind->verbs & b->verb && shape_fits(call) ? verb_run(b->verb) : NULL;
	}
	*ret_exists = !b->rest.len;
	if (span_equal(b->subresource, SPAN("status")) && b->kind->subresources & SUB_STATUS)
		return verbs & b->verb && shape_fits(call) ? verb_run(b->verb) : NULL;
	if (span_equal(b->subresource, SPAN("scale")) && b->kind->subresources & SUB_SCALE) {
		if (!(verbs & b->verb) || !shape_fits(call))
			return NULL;
		return b->verb == KUBE_GET ? scale_get : scale_write;
	}
	*ret_exists = false;
	return NULL;
}

static void no_resource(struct call *call)
{
	if (registry_has_group(call->base.kube->registry, call->group, true))
		answer_no_resource(call);
	else
		answer_plain(call, 404, SPAN("404 page not found\n"));
}

/* False: answered. */
static bool kind_find(struct call *call)
{
	struct kube_call *b = &call->base;
	const struct kind *kind =
	    call->version.len ? kube_kind(b->kube, call->group, call->version, call->plural) : NULL;
	bool exists;

	if (!kind || (!kind->is_namespaced && b->name_space.len)) {
		if (!kind)
			suggest_kind(call);
		no_resource(call);
		return false;
	}
	kind_hold(b->kube, kind);
	b->kind = kind;
	call->run = runner_find(call, &exists);
	if (custom_of(kind) && custom_of(kind)->warning)
		warn(call, "%s", custom_of(kind)->warning);
	if (!exists) {
		if (kind->is_custom)
			answer_not_found(call);
		else
			answer_no_resource(call);
		return false;
	}
	if (b->verb == KUBE_CREATE && custom_of(kind) && custom_of(kind)->form->is_ending) {
		answer_message(call, 405, "MethodNotAllowed",
			       "create not allowed while custom resource definition is terminating");
		return false;
	}
	if (kind->deprecated)
		warn(call, "%s", kind->deprecated);
	if (is_passage(call) && !route_is_stream(b->req->route)) {
		no_resource(call); /* a path written in a way that no route knows */
		return false;
	}
	if (!call->run || (call->method == METHOD_HEAD && !is_passage(call))) {
		answer_no_method(call);
		return false;
	}
	return true;
}

/* ---- beginning ---- */

static bool question_copy(struct call *call, struct request *req, struct error *err)
{
	call->path = req->path;
	call->query = req->query;
	call->method = req->method;
	if (!span_keep(&call->path, &call->arena, err) || !span_keep(&call->query, &call->arena, err))
		return false;
	if (req->method == METHOD_GET || req->method == METHOD_HEAD)
		return true;
	/* The client may go while the write is under way. */
	call->content_type = req->content_type;
	call->body = req->body;
	return span_keep(&call->content_type, &call->arena, err) && span_keep(&call->body, &call->arena, err) &&
	       user_copy(&call->user, &call->arena, &call->user, err);
}

static bool is_apply_type(struct span type)
{
	type = span_trim(span_first(type, span_index(type, ';')));
	return span_equal(type, SPAN("application/apply-patch+yaml"));
}

static const char *method_in_small(struct request *req, struct arena *arena)
{
	struct error ignored = { 0 };
	struct span text = arena_copy(arena, req->method_text, &ignored);

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
			((char *)text.ptr)[i] = (char)(text.ptr[i] - 'A' + 'a');
	return text.ptr ? text.ptr : "";
}

/* Credentials that do not hold, or a name that they may not take. */
static void answer_unknown(struct call *call, const struct access *refused, const struct error *err)
{
	struct error ignored = { 0 };
	struct status s;

	if (err->code == ERROR_INTERNAL) {
		answer_plain(call, 500,
			     arena_print(&call->arena, &ignored, "Internal Server Error: \"" SPAN_FMT "\": %s\n",
					 SPAN_ARG(span_first(call->base.req->target, 1024)), err->message));
		return;
	}
	s = status_of_error(call, err);
	s.name = refused->name;
	s.group = refused->group;
	s.kind = refused->resource;
	answer_status(call, &s);
}

/* An escape that is none is refused before all else, as a server of Go's does it. */
static bool has_bad_escape(struct span path)
{
	for (size_t i = 0; i < path.len; i++) {
		if (path.ptr[i] != '%')
			continue;
		if (i + 2 >= path.len || !isxdigit((unsigned char)path.ptr[i + 1]) ||
		    !isxdigit((unsigned char)path.ptr[i + 2]))
			return true;
	}
	return false;
}

static void answer_bad_escape(struct request *req)
{
	buffer_append(&req->out, SPAN("400 Bad Request"));
	request_send(req, 400, SPAN("text/plain; charset=utf-8"));
}

void call_handle(struct request *req)
{
	struct call *call;
	struct error err = { 0 };
	struct access refused = { 0 };
	struct span watch = { 0 };

	if (has_bad_escape(req->path)) {
		answer_bad_escape(req);
		return;
	}
	call = call_new(req->context);
	call->base.req = req;
	if (!user_identify(call->base.kube, req, &call->user, &refused, &err)) {
		answer_unknown(call, &refused, &err);
		return;
	}
	if (!question_copy(call, req, &err)) {
		answer_error(call, &err);
		return;
	}
	if (request_query(req, SPAN("watch"), &watch))
		call->options.is_watch =
		    !span_equal(watch, SPAN("false")) && !span_equal(watch, SPAN("0")) && watch.len;
	call->is_resource = path_parse(call);
	call->is_apply = is_apply_type(call->content_type);
	if (!call->is_resource) {
		call->verb_text = method_in_small(req, &call->arena);
		call->path = req->path; /* the copy was taken apart */
		if (access_check(call) && accept_read(call))
			path_serve(call);
		return;
	}
	meter_begin(call);
	if (!access_check(call) || !kind_find(call))
		return;
	if (!is_passage(call) && (!accept_read(call) || !options_read(call) || !include_check(call)))
		return;
	call->warnings = value_count(call->change.warnings);
	if (call->base.verb == KUBE_WATCH || route_is_stream(req->route))
		call->run(call); /* what lasts takes no turn: watches have a limit of their own, nodes' streams too */
	else
		fair_submit(call->base.kube->fair, call);
}

#define POD_PATH     "/api/v1/namespaces/{namespace}/pods/{name}/"
#define SERVICE_PATH "/api/v1/namespaces/{namespace}/services/{name}/"
#define NODE_PATH    "/api/v1/nodes/{name}/"

const struct route kube_routes[] = {
	{ ~0u, POD_PATH "log", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, POD_PATH "exec", call_handle, &surface_kube, ROUTE_SPDY },
	{ ~0u, POD_PATH "attach", call_handle, &surface_kube, ROUTE_SPDY },
	{ ~0u, POD_PATH "portforward", call_handle, &surface_kube, ROUTE_SPDY },
	{ ~0u, POD_PATH "proxy", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, POD_PATH "proxy/*", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, SERVICE_PATH "proxy", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, SERVICE_PATH "proxy/*", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, NODE_PATH "proxy", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, NODE_PATH "proxy/*", call_handle, &surface_kube, ROUTE_STREAM },
	{ ~0u, "*", call_handle, &surface_kube, ROUTE_HTTP },
	{ 0 },
};
