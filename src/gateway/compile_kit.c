/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/compile_kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kube/kube.h"
#include "net/request.h"

/* ---- the gateway's part ---- */

static struct kit *the_kit;

void gateway_publish(struct gateway *g, struct plan *p)
{
	(void)g;
	plan_unref(the_kit->plan);
	plan_ref(p);
	the_kit->plan = p;
	the_kit->published++;
	(void)poll(NULL, 0, the_kit->publish_ms);
}

static int port_of(struct span address)
{
	struct span rest = address;

	(void)span_cut(&rest, ':');
	return atoi(rest.ptr);
}

void kit_bind_all(struct kit *k)
{
	int next = 8000;

	for (size_t i = 0; i < k->plan->entry_count; i++) {
		const struct plan_entry *e = &k->plan->entries[i];
		struct gateway_bound b = { .key = e->key };

		if (span_equal(e->key, SPAN(PLAN_MAIN)))
			continue;
		b.port = e->wanted_port ? e->wanted_port : port_of(e->address);
		if (b.port < k->bind_refused && e->wanted_port)
			b.port = next++;
		if (b.port < k->bind_refused) {
			b.port = 0;
			error_set(&b.error, ERROR_FORBIDDEN, "Permission denied");
		}
		compile_bound(k->compile, &b);
	}
	kit_settle(k);
}

/* ---- life ---- */

static struct span sandbox_of(void *context, struct span uid, struct arena *arena)
{
	struct error err = { 0 };

	(void)context;
	return arena_print(arena, &err, "/pods/" SPAN_FMT "/sandbox", SPAN_ARG(uid));
}

static void compile_begin(struct kit *k)
{
	struct compile_config config = { .cluster = k->api.cluster,
					 .loop = k->api.loop,
					 .address = "127.0.0.1:8080",
					 .tls_address = "127.0.0.1:8443",
					 .api_address = "127.0.0.1:6443",
					 .sandbox = sandbox_of };
	struct error err = { 0 };

	k->compile = compile_new(&config, &err);
	if (!k->compile)
		fail_msg("%s", err.message);
	kit_settle(k);
}

struct kit *kit_new(void)
{
	struct kit *k = base_calloc(1, sizeof(*k));

	the_kit = k;
	kube_kit_begin(&k->api, true, 0);
	kit_settle(k);
	compile_begin(k);
	return k;
}

void kit_restart(struct kit *k)
{
	compile_stop(k->compile);
	cluster_free(k->api.cluster);
	compile_free(k->compile);
	k->compile = NULL;
	k->api.cluster = cluster_local_new(k->api.kube);
	compile_begin(k);
}

void kit_done(struct kit *k)
{
	compile_stop(k->compile);
	kube_kit_stop(&k->api);
	compile_free(k->compile);
	plan_unref(k->plan);
	kube_kit_done(&k->api);
	free(k);
}

static bool is_idle(void *context)
{
	struct kit *k = context;
	bool is_same = k->seen == store_revision(k->api.store);

	k->seen = store_revision(k->api.store);
	return is_same && (!k->compile || !timer_is_set(&k->compile->timer));
}

void kit_settle(struct kit *k)
{
	kube_kit_settle(&k->api, is_idle, k);
}

/* ---- objects ---- */

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err)
		fail_msg("%s", err->message);
}

static struct value parsed(struct kit *k, char *text)
{
	struct error err = { 0 };
	struct value v = value_null();

	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	if (!value_parse(arena_copy(&k->api.arena, span_of(text), &err), NULL, &k->api.arena, &v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

static struct span space_of(struct kit *k, const struct resource *r, const struct value *v)
{
	const struct kind *kind = kube_kind(k->api.kube, span_of(r->group), span_of(r->version), span_of(r->plural));
	struct span own = value_find_string(v, "metadata.namespace");

	assert_non_null(kind);
	return !kind->is_namespaced ? (struct span){ 0 } : own.len ? own : SPAN("default");
}

static void apply(struct kit *k, const struct resource *r, char *text)
{
	struct value v = parsed(k, text);
	struct cluster_write w = { .resource = r,
				   .verb = KUBE_CREATE,
				   .name_space = space_of(k, r, &v),
				   .name = value_find_string(&v, "metadata.name"),
				   .manager = SPAN("test"),
				   .object = &v,
				   .grace = -1,
				   .done = written };
	struct record *there = cluster_get(k->api.cluster, r, w.name_space, w.name);
	struct error err = { 0 };

	if (there) {
		const struct value *old = cluster_object(k->api.cluster, r, there, &k->api.arena, &err);

		w.verb = KUBE_UPDATE;
		if (value_find(old, "status") && !value_find(&v, "status"))
			(void)value_set(&v, SPAN("status"), *value_find(old, "status"), &k->api.arena, &err);
	}
	cluster_write(k->api.cluster, &w);
}

#define TEXT_MOST 8192
#define FORMATTED(text)                                                                                                \
	va_list args_;                                                                                                 \
	va_start(args_, format);                                                                                       \
	vsnprintf(text, sizeof(text), format, args_);                                                                  \
	va_end(args_)

void kit_apply(struct kit *k, const struct resource *r, const char *format, ...)
{
	char text[TEXT_MOST];

	FORMATTED(text);
	apply(k, r, text);
	kit_settle(k);
}

void kit_apply_quietly(struct kit *k, const struct resource *r, const char *format, ...)
{
	char text[TEXT_MOST];

	FORMATTED(text);
	apply(k, r, text);
}

void kit_delete(struct kit *k, const struct resource *r, const char *name_space, const char *name)
{
	struct cluster_write w = { .resource = r,
				   .verb = KUBE_DELETE,
				   .name_space = span_of(name_space),
				   .name = span_of(name),
				   .manager = SPAN("test"),
				   .done = written };

	cluster_write(k->api.cluster, &w);
	kit_settle(k);
}

struct value *kit_get(struct kit *k, const struct resource *r, const char *name_space, const char *name)
{
	struct record *found = cluster_get(k->api.cluster, r, span_of(name_space), span_of(name));
	struct error err = { 0 };

	return found ? cluster_object(k->api.cluster, r, found, &k->api.arena, &err) : NULL;
}

/* ---- plans ---- */

const struct plan_entry *kit_entry(struct kit *k, const char *key)
{
	return plan_entry_find(k->plan, span_of(key));
}

const struct plan_backend *kit_backend(struct kit *k, const char *name)
{
	for (size_t i = 0; i < k->plan->backend_count; i++)
		if (span_equal(k->plan->backends[i]->name, span_of(name)))
			return k->plan->backends[i];
	return NULL;
}

static const struct plan_route *route_find(struct kit *k, const char *entry, const char *method, const char *host,
					   const char *path, const char *header, const char *value)
{
	const struct plan_entry *e = kit_entry(k, entry);
	struct header headers[] = { { span_of(header), span_of(value) } };
	bool is_grpc = strcmp(method, "GRPC") == 0;
	struct request req = { .method_text = span_of(is_grpc ? "POST" : method),
			       .authority = span_of(host),
			       .path = span_of(path),
			       .headers = headers,
			       .header_count = header != NULL,
			       .content_type = is_grpc ? SPAN("application/grpc") : (struct span){ 0 } };
	const struct plan_route *found;
	size_t prefix;

	assert_non_null(e);
	assert_non_null(e->table);
	arena_init(&req.arena, MIB(1));
	found = plan_find(e->table, &req, &prefix);
	arena_done(&req.arena);
	return found;
}

const struct plan_route *kit_route(struct kit *k, const char *entry, const char *method, const char *host,
				   const char *path)
{
	return route_find(k, entry, method, host, path, NULL, NULL);
}

const char *kit_ask(struct kit *k, const char *entry, const char *method, const char *host, const char *path,
		    const char *header, const char *value)
{
	const struct plan_route *r = route_find(k, entry, method, host, path, header, value);
	struct error err = { 0 };
	struct span text;

	if (!r)
		return "none";
	text = arena_print(&k->api.arena, &err, SPAN_FMT " →", SPAN_ARG(r->name));
	for (size_t i = 0; i < r->target_count; i++)
		text = arena_print(&k->api.arena, &err, SPAN_FMT " " SPAN_FMT ":%u", SPAN_ARG(text),
				   SPAN_ARG(r->targets[i].backend ? r->targets[i].backend->service : SPAN("-")),
				   r->targets[i].weight);
	return text.ptr;
}

const char *kit_condition(struct kit *k, const struct value *object, const char *path, const char *type)
{
	const struct value *list = value_find(object, path);
	struct error err = { 0 };

	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *c = value_item(list, i);

		if (span_equal(value_find_string(c, "type"), span_of(type)))
			return arena_print(&k->api.arena, &err, SPAN_FMT " " SPAN_FMT,
					   SPAN_ARG(value_find_string(c, "status")),
					   SPAN_ARG(value_find_string(c, "reason")))
			    .ptr;
	}
	return "absent";
}

struct looking {
	struct kit *kit;
	const char *reason, *words;
	bool is_found;
};

static bool event_look(void *context, struct record *r)
{
	struct looking *l = context;
	struct error err = { 0 };
	const struct value *e = cluster_object(l->kit->api.cluster, &resource_events, r, &l->kit->api.arena, &err);
	struct span text = value_find_string(e, "message");

	if (span_equal(value_find_string(e, "reason"), span_of(l->reason)) &&
	    memmem(text.ptr, text.len, l->words, strlen(l->words)))
		l->is_found = true;
	return true;
}

bool kit_has_event(struct kit *k, const char *reason, const char *words)
{
	struct looking l = { k, reason, words, false };

	cluster_each(k->api.cluster, &resource_events, (struct span){ 0 }, event_look, &l);
	return l.is_found;
}
