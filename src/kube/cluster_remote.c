/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cluster_remote.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "kube/cluster_remote_private.h"
#include "kube/gauges.h"
#include "kube/kube_private.h"

#define PAGE         250
#define WRITES_MOST  32
#define LINE_MOST    MIB(8)
#define OBJECTS_MOST 1000000
#define ANSWER_MOST  MIB(256)
#define WATCHES_MOST 64
#define ASK_NS       (60 * NS_PER_S)
#define TOKEN_NS     (60 * NS_PER_S)
#define WRITE_MEMORY MIB(64)

static struct remote *remote_of(struct cluster *c)
{
	return CONTAINER_OF(c, struct remote, cluster);
}

/* ---- requests ---- */

struct ask {
	struct ask *next, **at; /* at: when it is under way */
	struct remote *remote;
	struct ask_request request;
	char text[];
};

static void path_part(struct buffer *out, struct span text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
				c == '-' || c == '.' || c == '_' || c == '~';

		if (!is_plain)
			buffer_byte(out, '%');
		buffer_byte(out, is_plain ? (char)c : hex[c >> 4]);
		if (!is_plain)
			buffer_byte(out, hex[c & 15]);
	}
}

void remote_path(struct buffer *out, const struct resource *resource, struct span name_space, struct span name,
		 struct span subresource)
{
	struct span parts[] = { name, subresource };

	if (*resource->group)
		buffer_print(out, "/apis/%s/%s", resource->group, resource->version);
	else
		buffer_print(out, "/api/%s", resource->version);
	if (name_space.len) {
		buffer_print(out, "/namespaces/");
		path_part(out, name_space);
	}
	buffer_print(out, "/%s", resource->plural);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i].len)
			continue;
		buffer_byte(out, '/');
		path_part(out, parts[i]);
	}
}

void remote_query(struct buffer *out, const char *name, struct span value)
{
	buffer_byte(out, out->len && memchr(out->ptr, '?', out->len) ? '&' : '?');
	buffer_print(out, "%s=", name);
	path_part(out, value);
}

static bool token_read(struct remote *r, struct error *err)
{
	const struct kubeconfig *s = r->config.server;
	int64_t now = clock_monotonic_ns();

	if (!r->token_read_ns)
		r->token = s->token;
	if (!s->token_file || (r->token_read_ns && now - r->token_read_ns < TOKEN_NS))
		return true;
	arena_clear(&r->token_arena);
	r->token = kubeconfig_token(s->token_file, &r->token_arena, err);
	r->token_read_ns = r->token.len ? now : 0;
	return r->token.len > 0;
}

/* The host and port of "https://host:port/path": where to connect when the certificate is another name's. */
static bool connect_split(const struct kubeconfig *s, struct https_request *ret, struct buffer *url, struct error *err)
{
	struct span rest = span_skip(s->server, strlen("https://")), path = { 0 }, port = { 0 };
	size_t at = span_index(rest, '/');
	uint64_t number = 443;

	if (at < rest.len)
		path = span_skip(rest, at);
	rest = span_first(rest, at);
	at = rest.len;
	while (at && rest.ptr[at - 1] != ':' && rest.ptr[at - 1] != ']')
		at--;
	if (at && rest.ptr[at - 1] == ':') {
		port = span_skip(rest, at);
		rest = span_first(rest, at - 1);
	}
	if (port.len && (!number_parse_uint64(port, &number) || !number || number > UINT16_MAX))
		return error_set(err, ERROR_INVALID, "server has no good port: '" SPAN_FMT "'", SPAN_ARG(port));
	if (rest.len > 2 && rest.ptr[0] == '[')
		rest = span_first(span_skip(rest, 1), rest.len - 2);
	ret->connect_address = rest;
	ret->connect_port = (uint16_t)number;
	buffer_print(url, "https://");
	buffer_append(url, s->server_name);
	buffer_print(url, ":%u", ret->connect_port);
	buffer_append(url, path);
	return true;
}

bool remote_request(struct remote *r, struct span path, struct https_request *ret, struct buffer *url,
		    struct error *err)
{
	const struct kubeconfig *s = r->config.server;

	*ret = (struct https_request){ .may_be_plain = true,
				       .ca_pem = s->ca_pem,
				       .certificate_pem = s->certificate_pem,
				       .key_pem = s->key_pem,
				       .is_insecure = s->is_insecure };
	if (!token_read(r, err))
		return false;
	ret->bearer = r->token;
	if (!s->server_name.len || span_starts(s->server, SPAN("http://")))
		buffer_append(url, s->server);
	else if (!connect_split(s, ret, url, err))
		return false;
	buffer_append(url, path);
	ret->url = buffer_span(url);
	return buffer_ok(url, "the URL", err);
}

void remote_heard(struct remote *r, const struct error *err)
{
	if (err && !r->is_cut)
		log_warn("cluster", "the API server does not answer", LOG_SPAN("server", r->config.server->server),
			 LOG_TEXT("error", err->message));
	else if (!err && r->is_cut)
		log_info("cluster", "the API server answers again", LOG_SPAN("server", r->config.server->server));
	r->is_cut = err != NULL;
}

static void asks_begin(struct remote *r);

static void ask_drop(struct ask *a)
{
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	a->remote->asks_under_way--;
}

static void ask_done(void *context, const struct https_answer *answer, const struct error *failure)
{
	struct ask *a = context;
	struct remote *r = a->remote;
	struct ask_answer told = { .err = failure };
	struct error err = { 0 };

	ask_drop(a);
	remote_heard(r, failure);
	if (answer) {
		told.status = answer->status;
		told.body = answer->body;
		if (answer->status >= 300) {
			remote_status(answer->status, answer->body, &err);
			told.err = &err;
		}
		if (answer->status == 401)
			r->token_read_ns = 0; /* it may have been renewed */
	}
	asks_begin(r);
	a->request.done(a->request.context, &told);
	free(a);
}

static void ask_begin(struct ask *a)
{
	struct remote *r = a->remote;
	struct https_request request;
	struct error err = { 0 };
	struct https_call *call = NULL;
	struct buffer url;

	a->next = r->under_way;
	a->at = &r->under_way;
	if (a->next)
		a->next->at = &a->next;
	r->under_way = a;
	r->asks_under_way++;
	buffer_init(&url, KIB(64));
	if (remote_request(r, a->request.path, &request, &url, &err)) {
		request.method = span_of(a->request.method);
		request.content_type = span_of(a->request.content_type);
		request.body = a->request.body;
		request.timeout_ns = ASK_NS;
		request.done = ask_done;
		request.context = a;
		call = https_call(r->calls, &request, &err);
	}
	buffer_done(&url);
	if (call)
		return;
	ask_drop(a);
	a->request.done(a->request.context, &(struct ask_answer){ .err = &err });
	free(a);
}

static void asks_begin(struct remote *r)
{
	while (r->first_ask && r->asks_under_way < r->config.writes_most) {
		struct ask *a = r->first_ask;

		r->first_ask = a->next;
		if (!r->first_ask)
			r->last_ask = NULL;
		ask_begin(a);
	}
}

void remote_ask(struct remote *r, const struct ask_request *request)
{
	struct ask *a = base_calloc(1, sizeof(*a) + request->path.len + request->body.len);

	a->remote = r;
	a->request = *request;
	memcpy(a->text, request->path.ptr, request->path.len);
	a->request.path = span_from(a->text, request->path.len);
	if (request->body.len)
		memcpy(a->text + request->path.len, request->body.ptr, request->body.len);
	a->request.body = request->body.ptr ? span_from(a->text + request->path.len, request->body.len) : request->body;
	*(r->last_ask ? &r->last_ask->next : &r->first_ask) = a;
	r->last_ask = a;
	asks_begin(r);
}

/* ---- seeing ---- */

static bool remote_follow(struct cluster *c, const struct resource *resource,
			  void (*seen)(void *context, const struct sighting *s), void *context, struct error *err)
{
	struct mirror *m = mirror_find(remote_of(c), resource);

	if (!m)
		return error_set(err, ERROR_UNAVAILABLE, "%s are not looked at", resource->plural);
	return mirror_follow(m, resource, seen, context, err);
}

static struct record *remote_get(struct cluster *c, const struct resource *resource, struct span name_space,
				 struct span name)
{
	const struct mirror *m = mirror_find(remote_of(c), resource);
	struct error ignored = { 0 };
	struct record *found;
	struct arena arena;
	struct span key;

	if (!m)
		return NULL;
	arena_init(&arena, KIB(64));
	key = remote_key(resource, name_space, name, &arena, &ignored);
	found = key.ptr ? mirror_get(m, key) : NULL;
	arena_done(&arena);
	return found;
}

static void remote_each(struct cluster *c, const struct resource *resource, struct span name_space,
			bool (*take)(void *context, struct record *record), void *context)
{
	const struct mirror *m = mirror_find(remote_of(c), resource);
	struct error ignored = { 0 };
	struct arena arena;
	struct span prefix;

	if (!m)
		return;
	arena_init(&arena, KIB(64));
	prefix = remote_key(resource, name_space, (struct span){ 0 }, &arena, &ignored);
	if (prefix.ptr)
		mirror_each(m, prefix, take, context);
	arena_done(&arena);
}

static struct value *remote_object(struct cluster *c, const struct resource *resource, const struct record *record,
				   struct arena *arena, struct error *err)
{
	struct value *v = ARENA_NEW(arena, struct value, err);

	(void)c;
	(void)resource;
	return v && value_parse(record->text, NULL, arena, v, err) ? v : NULL;
}

static bool remote_gauges(struct cluster *c, const struct gauge_question *q, struct gauges *ret, struct arena *arena,
			  struct error *err)
{
	(void)c;
	(void)ret;
	(void)arena;
	return error_set(err, ERROR_NOT_FOUND,
			 q->is_external ? "the server could not find the requested resource"
					: "no known available metric versions found");
}

static bool remote_scale(struct cluster *c, struct span group, struct span kind, struct span name_space,
			 struct span name, struct cluster_scale *ret, struct arena *arena, struct error *err)
{
	static const struct {
		const struct resource *resource;
		const char *selector;
	} rows[] = { { &resource_deployments, "spec.selector" },
		     { &resource_replica_sets, "spec.selector" },
		     { &resource_stateful_sets, "spec.selector" },
		     { &resource_replication_controllers, "spec.selector" } };
	const struct resource *resource;
	const struct value *object;
	struct record *found;
	size_t i = 0;

	while (i < ARRAY_LEN(rows) && !(span_equal(span_of(rows[i].resource->kind), kind) &&
					span_equal(span_of(rows[i].resource->group), group)))
		i++;
	if (i == ARRAY_LEN(rows) || !mirror_find(remote_of(c), rows[i].resource))
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "the scale of " SPAN_FMT " in group \"" SPAN_FMT "\" cannot be told", SPAN_ARG(kind),
				 SPAN_ARG(group));
	resource = rows[i].resource;
	ret->resource = *resource;
	found = remote_get(c, resource, name_space, name);
	if (!found)
		return error_set(err, ERROR_NOT_FOUND, "%s%s%s \"" SPAN_FMT "\" not found", resource->plural,
				 *resource->group ? "." : "", resource->group, SPAN_ARG(name));
	object = remote_object(c, resource, found, arena, err);
	if (!object)
		return false;
	*ret = (struct cluster_scale){ .resource = *resource,
				       .name = value_find_string(object, "metadata.name"),
				       .replicas = value_find_int(object, "spec.replicas", 0),
				       .current = value_find_int(object, "status.replicas", 0),
				       .selector = scale_selector(object, rows[i].selector, arena),
				       .uid = value_find_string(object, "metadata.uid"),
				       .version = value_find_string(object, "metadata.resourceVersion") };
	return true;
}

/* ---- writing ---- */

/* A write that was sent; and then waits until it is seen. */
struct sent {
	struct wait wait;
	struct mirror *mirror; /* NULL: of a kind that is not looked at */
	enum kube_verb verb;
	void (*done)(void *context, const struct value *object, const struct error *err);
	void *context;
	char *answer, *key, *uid;
	size_t answer_len;
};

static void sent_finish(struct sent *s, const struct error *failure)
{
	struct error err = { 0 };
	struct arena arena;
	struct value v;

	arena_init(&arena, WRITE_MEMORY);
	if (!failure && !value_parse(span_from(s->answer, s->answer_len), NULL, &arena, &v, &err))
		failure = &err;
	s->done(s->context, failure ? NULL : &v, failure);
	arena_done(&arena);
	free(s->answer);
	free(s->key);
	free(s->uid);
	free(s);
}

static void sent_seen(struct wait *w, const struct error *err)
{
	sent_finish(CONTAINER_OF(w, struct sent, wait), err);
}

/* A deletion that is done at once is answered with a Status that knows the uid, and no revision. */
static void sent_answered(void *context, const struct ask_answer *answer)
{
	struct sent *s = context;
	struct error err = { 0 };
	struct arena arena;
	struct value v;

	if (answer->err) {
		sent_finish(s, answer->err);
		return;
	}
	s->answer = span_to_text(answer->body);
	s->answer_len = answer->body.len;
	arena_init(&arena, WRITE_MEMORY);
	if (!value_parse(answer->body, NULL, &arena, &v, &err)) {
		arena_done(&arena);
		sent_finish(s, &err);
		return;
	}
	s->wait = (struct wait){ .revision = remote_revision(&v), .key = span_of(s->key), .done = sent_seen };
	if (s->verb == KUBE_DELETE && span_equal(value_find_string(&v, "kind"), SPAN("Status"))) {
		if (!s->uid)
			s->uid = span_to_text(value_find_string(&v, "details.uid"));
		s->wait.uid = span_of(s->uid);
	}
	arena_done(&arena);
	if (s->mirror && (s->wait.revision || s->wait.uid.len))
		mirror_wait(s->mirror, &s->wait);
	else
		sent_finish(s, NULL);
}

static struct span delete_body(const struct cluster_write *w, struct arena *arena, struct error *err)
{
	struct value v = value_object(), *part;
	bool good;

	good = value_set(&v, SPAN("apiVersion"), value_string(SPAN("v1")), arena, err) &&
	       value_set(&v, SPAN("kind"), value_string(SPAN("DeleteOptions")), arena, err) &&
	       value_set(&v, SPAN("propagationPolicy"), value_string(SPAN("Background")), arena, err);
	if (good && w->grace >= 0)
		good = value_set(&v, SPAN("gracePeriodSeconds"), value_int(w->grace), arena, err);
	if (good && w->uid.len) {
		part = value_ensure_object(&v, SPAN("preconditions"), arena, err);
		good = part && value_set(part, SPAN("uid"), value_string(w->uid), arena, err);
	}
	return good ? value_print(&v, arena, err) : (struct span){ 0 };
}

/* apiVersion and kind are needed; who writes here may leave them out. */
static struct span object_body(const struct cluster_write *w, struct arena *arena, struct error *err)
{
	struct span version = resource_api_version(w->resource, arena, err);
	struct value v = *w->object;

	if (!version.ptr)
		return version;
	if (!w->subresource.len || span_equal(w->subresource, SPAN("status"))) {
		if (!value_copy(w->object, arena, &v, err) ||
		    !value_set(&v, SPAN("apiVersion"), value_string(version), arena, err) ||
		    !value_set(&v, SPAN("kind"), value_string(span_of(w->resource->kind)), arena, err))
			return (struct span){ 0 };
	}
	return value_print(&v, arena, err);
}

static bool write_send(struct remote *r, const struct cluster_write *w, struct sent *s, struct arena *arena,
		       struct error *err)
{
	struct ask_request request = { .method = w->verb == KUBE_CREATE   ? "POST"
						 : w->verb == KUBE_DELETE ? "DELETE"
									  : "PUT",
				       .content_type = "application/json",
				       .done = sent_answered,
				       .context = s };
	struct span key = remote_key(w->resource, w->name_space, w->name, arena, err);
	bool has_name = w->verb != KUBE_CREATE || w->subresource.len;
	struct buffer path;

	request.body = w->verb == KUBE_DELETE ? delete_body(w, arena, err) : object_body(w, arena, err);
	if (!key.ptr || !request.body.ptr)
		return false;
	if (has_name && !w->name.len)
		return error_set(err, ERROR_INVALID, "what is written of %s has no name", w->resource->plural);
	s->key = span_to_text(key);
	s->uid = w->uid.len ? span_to_text(w->uid) : NULL;
	buffer_init(&path, KIB(16));
	remote_path(&path, w->resource, w->name_space, has_name ? w->name : (struct span){ 0 }, w->subresource);
	if (w->verb != KUBE_DELETE && w->manager.len)
		remote_query(&path, "fieldManager", w->manager);
	request.path = buffer_span(&path);
	if (buffer_ok(&path, "the path", err))
		remote_ask(r, &request);
	buffer_done(&path);
	return !err->code;
}

static void remote_write(struct cluster *c, const struct cluster_write *w)
{
	struct sent *s = base_calloc(1, sizeof(*s));
	struct error err = { 0 };
	struct arena arena;

	s->mirror = mirror_find(remote_of(c), w->resource);
	s->verb = w->verb;
	s->done = w->done;
	s->context = w->context;
	arena_init(&arena, WRITE_MEMORY);
	if (!write_send(remote_of(c), w, s, &arena, &err))
		sent_finish(s, &err);
	arena_done(&arena);
}

static void event_write(struct cluster *c, const struct value *object, const char *type, const char *reason,
			const char *component, const char *text)
{
	remote_event(remote_of(c), object, type, reason, component, text);
}

/* ---- life ---- */

static void ready_run(struct loop_task *t)
{
	struct remote *r = CONTAINER_OF(t, struct remote, ready_task);

	if (r->config.ready)
		r->config.ready(r->config.context);
}

void remote_mirror_known(struct remote *r)
{
	if (r->is_ready || !mirrors_are_known(r))
		return;
	r->is_ready = true;
	loop_defer(r->config.loop, &r->ready_task);
}

static void asks_cancel(struct ask *first)
{
	struct error err = { 0 };

	error_set(&err, ERROR_CANCELLED, "the cluster is no longer looked at");
	while (first) {
		struct ask *a = first;

		first = a->next;
		a->request.done(a->request.context, &(struct ask_answer){ .err = &err });
		free(a);
	}
}

static void remote_free(struct cluster *c)
{
	struct remote *r = remote_of(c);
	struct ask *waiting = r->first_ask, *under_way = r->under_way;

	r->first_ask = r->last_ask = r->under_way = NULL;
	r->config.writes_most = 0; /* what is asked for from here on waits, and is cancelled below */
	asks_cancel(under_way);
	asks_cancel(waiting);
	mirror_free(r->mirrors);
	r->mirrors = NULL;
	asks_cancel(r->first_ask);
	https_free(r->calls);
	https_free(r->watches);
	loop_undefer(r->config.loop, &r->ready_task);
	arena_done(&r->token_arena);
	free(r->told);
	free(r);
}

struct cluster *cluster_remote_new(const struct remote_config *config)
{
	static const struct cluster_ops ops = { remote_follow, remote_get,   remote_each, remote_object, remote_scale,
						remote_gauges, remote_write, event_write, remote_free };
	struct remote *r = base_calloc(1, sizeof(*r));
	struct https_config https = { .loop = config->loop, .answer_most = ANSWER_MOST, .user_agent = "hythe" };

	r->cluster.ops = &ops;
	r->config = *config;
	r->config.page = config->page ? config->page : PAGE;
	r->config.writes_most = config->writes_most ? config->writes_most : WRITES_MOST;
	r->config.line_most = config->line_most ? config->line_most : LINE_MOST;
	r->config.objects_most = config->objects_most ? config->objects_most : OBJECTS_MOST;
	r->ready_task.run = ready_run;
	arena_init(&r->token_arena, KUBECONFIG_MOST * 2);
	https.calls_most = r->config.writes_most + 8; /* and lists */
	r->calls = https_new(&https);
	https.calls_most = WATCHES_MOST;
	r->watches = https_new(&https);
	for (size_t i = 0; config->resources[i]; i++)
		if (!mirror_find(r, config->resources[i]))
			r->mirrors = mirror_new(r, config->resources[i], r->mirrors);
	if (!r->mirrors)
		remote_mirror_known(r);
	return &r->cluster;
}
