/* SPDX-License-Identifier: Apache-2.0 */
/* kube - the server's life, the keys of objects, and the ways in for other parts of this program. */
#include "kube/kube_private.h"

#include "base/clock.h"
#include "kube/admission/hooks.h"
#include "kube/admission/quota.h"
#include "kube/auth/auth.h"
#include "kube/crd/convert.h"
#include "kube/crd/crd.h"
#include "kube/crd/shipped.h"
#include "kube/kinds/cluster_ip.h"
#include "kube/kinds/protection.h"
#include "kube/webhook.h"

#include <stdlib.h>

#define RESUME_LEAST_NS NS_PER_S
#define RESUME_MOST_NS  (60 * NS_PER_S)

void kube_serve_nodes(struct kube *k, node_answer answer, void *context)
{
	k->nodes = answer;
	k->nodes_context = context;
}

bool kube_ask_node(struct kube *k, struct kube_call *call, const struct node_question *q)
{
	return k->nodes && k->nodes(k->nodes_context, call, q);
}

struct kube_config kube_config_default(void)
{
	return (struct kube_config){
		.object_bytes_most = OBJECT_BYTES_MOST,
		.watches_most = 10000,
		.watch_backlog_bytes = MIB(4),
		.requests_waiting_most = 500,
	};
}

static bool is_secret(struct span key)
{
	return span_starts(key, SPAN("/core/secrets/"));
}

bool object_renew(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
		  struct error *err)
{
	struct arena arena;
	struct value object;
	bool done;

	(void)context;
	arena_init(&arena, CALL_ARENA_MOST);
	done = value_parse(text, NULL, &arena, &object, err) && object_set_version(&object, revision, &arena, err);
	if (done) {
		struct json_writer w = json_writer(out);

		value_write(&object, &w);
		done = buffer_ok(out, "object", err);
	} else {
		error_wrap(err, SPAN_FMT, SPAN_ARG(key));
	}
	arena_done(&arena);
	return done;
}

void kube_prepare_store(struct store_config *config)
{
	config->note = notes_make;
	config->renew = object_renew;
	config->is_secret = is_secret;
}

struct kube *kube_new(const struct kube_config *config, struct error *err)
{
	struct kube *k = base_calloc(1, sizeof(*k));

	k->config = *config;
	k->registry = registry_new();
	k->fair = fair_new(k);
	k->events = events_new();
	k->watches = watch_set_new(k);
	k->discovery = discovery_new(k);
	k->documents = documents_new(k);
	k->meter = meter_new(config->metrics);
	/* What writes go through comes before what writes. */
	k->quotas = quotas_new(k, err);
	k->conversions = conversions_new(k);
	k->webhooks = k->quotas ? webhooks_new(k) : NULL;
	k->hooks = k->webhooks ? hooks_new(k, err) : NULL;
	k->definitions = k->hooks ? definitions_new(k, err) : NULL;
	k->collector = k->definitions ? collector_new(k, err) : NULL;
	k->namespaces = k->collector ? namespaces_new(k, err) : NULL;
	k->auth = k->namespaces ? auth_new(k, config, err) : NULL;
	if (k->auth) {
		auth_bootstrap(k->auth);
		if (config->ships_definitions)
			shipped_start(k);
		protection_resume(k);
		return k;
	}
	kube_free(k);
	return NULL;
}

void kube_stop(struct kube *k)
{
	if (!k || k->is_closing)
		return;
	k->is_closing = true;
	loop_timer_clear(k->config.loop, &k->resume);
	auth_free(k->auth);
	quotas_stop(k->quotas);
	hooks_stop(k->hooks);
	webhooks_free(k->webhooks);
	k->webhooks = NULL;
	namespaces_stop(k->namespaces);
	collector_stop(k->collector);
	definitions_stop(k->definitions);
	watch_set_free(k->watches);
	k->auth = NULL;
	k->watches = NULL;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	kube_stop(k);
	cluster_ip_forget(k);
	quotas_free(k->quotas);
	hooks_free(k->hooks);
	conversions_free(k->conversions);
	namespaces_free(k->namespaces);
	collector_free(k->collector);
	definitions_free(k->definitions);
	discovery_free(k->discovery);
	documents_free(k->documents);
	meter_free(k->meter);
	fair_free(k->fair);
	events_free(k->events);
	while (k->free_calls) {
		struct call *call = k->free_calls;

		k->free_calls = call->next;
		arena_done(&call->arena);
		free(call);
	}
	registry_free(k->registry);
	free(k);
}

static void drain_run(struct loop_message *m)
{
	struct kube *k = CONTAINER_OF(m, struct kube, drain);

	k->is_draining = true;
	watch_set_end(k->watches);
}

void kube_drain(struct kube *k)
{
	k->drain.run = drain_run;
	loop_send(k->config.loop, &k->drain);
}

struct store *kube_store(struct kube *k)
{
	return k->config.store;
}

const char *kube_server_address(struct kube *k)
{
	return k->config.server_address;
}

struct loop *kube_loop(struct kube *k)
{
	return k->config.loop;
}

struct pki *kube_pki(struct kube *k)
{
	return k->config.pki;
}

struct auth *kube_auth(struct kube *k)
{
	return k->auth;
}

int64_t kube_wall_ns(struct kube *k)
{
	return k && k->wall_ns ? k->wall_ns : clock_wall_ns();
}

void kube_set_wall_ns(struct kube *k, int64_t wall_ns)
{
	k->wall_ns = wall_ns;
}

/* ---- keys ---- */

/* Without a name: the prefix of a namespace, or of all of them. */
struct span kube_key(const struct kind *kind, struct span name_space, struct span name, struct arena *arena)
{
	const struct kind *stored = kind->stored_as ? kind->stored_as : kind;
	struct span parts[] = { SPAN("/"), stored->group[0] ? span_of(stored->group) : SPAN("core"),
				SPAN("/"), span_of(stored->plural),
				SPAN("/"), kind->is_namespaced ? name_space : SPAN("-"),
				SPAN("/"), name };
	size_t count = kind->is_namespaced && !name_space.len ? 5 : ARRAY_LEN(parts), len = 0;
	struct error ignored = { 0 };
	char *key;

	for (size_t i = 0; i < count; i++)
		len += parts[i].len;
	key = arena_alloc(arena, len + 1, &ignored);
	if (!key)
		return (struct span){ 0 };
	len = 0;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len)
			memcpy(key + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	key[len] = '\0';
	return span_from(key, len);
}

struct value *kube_object(struct kube *k, const struct kind *kind, struct span name_space, struct span name,
			  bool is_latest, struct arena *arena, struct error *err)
{
	struct span key = kube_key(kind, name_space, name, arena);
	struct record *r = !key.ptr    ? NULL
			   : is_latest ? store_latest(k->config.store, key)
				       : store_get(k->config.store, key);

	return r ? record_object(kind, r, arena, err) : NULL;
}

/* ---- writes by the server itself ---- */

static void write_finished(struct call *call, const struct error *err)
{
	const struct kube_write *w = &call->write;

	if (w->done)
		w->done(w->context, err ? NULL : call->change.object, err);
}

static void write_give_up(struct call *call)
{
	struct error err = { 0 };

	error_set(&err, ERROR_TOO_LARGE, "the object is larger than the memory of one request");
	answer_error(call, &err);
}

struct call *kube_write_prepare(struct kube *k, const struct kube_write *w)
{
	struct call *call = call_new(k);
	struct error err = { 0 };
	struct value *initial = NULL;

	call->write = *w;
	call->is_internal = true;
	call->finished = write_finished;
	kind_hold(k, w->kind);
	call->base.kind = w->kind;
	call->base.verb = w->verb;
	call->base.name = arena_copy(&call->arena, w->name, &err);
	call->base.name_space = arena_copy(&call->arena, w->name_space, &err);
	call->base.subresource = arena_copy(&call->arena, w->subresource, &err);
	call->options.field_manager = arena_copy(&call->arena, w->manager, &err);
	call->options.grace_seconds = -1;
	call->options.propagation = w->verb == KUBE_DELETE ? PROPAGATE_BACKGROUND : PROPAGATE_UNSAID;
	if (w->user)
		(void)user_copy(w->user, &call->arena, &call->user, &err);
	else
		call->user = (struct user){ .name = SPAN("system:apiserver"),
					    .groups = { SPAN("system:masters"), SPAN("system:authenticated") },
					    .group_count = 2 };
	if (w->object) {
		initial = ARENA_NEW(&call->arena, struct value, &err);
		if (initial)
			(void)value_copy(w->object, &call->arena, initial, &err);
	}
	call->initial = initial;
	call->run = w->verb == KUBE_CREATE ? write_create : w->verb == KUBE_UPDATE ? write_update : delete_object;
	if (w->verb == KUBE_UPDATE && span_equal(w->subresource, SPAN("scale")))
		call->run = scale_write;
	if (w->verb == KUBE_CREATE && subresource_is_handled(w->kind, w->subresource))
		call->run = subresource_run;
	if (err.code)
		call->run = write_give_up;
	return call;
}

static void resume(struct timer *t)
{
	struct kube *k = CONTAINER_OF(t, struct kube, resume);

	collector_resume(k->collector);
	namespaces_resume(k->namespaces);
	definitions_resume(k->definitions);
	quotas_resume(k->quotas);
	protection_resume(k);
	aggregate_run(k);
}

void kube_write_ended(struct kube *k, const struct error *err)
{
	int64_t now = loop_now(k->config.loop);

	if (!err || err->code == ERROR_CONFLICT || err->code == ERROR_NOT_FOUND || err->code == ERROR_ALREADY_EXISTS ||
	    k->is_closing || timer_is_set(&k->resume))
		return;
	if (k->resume_ns && now - k->resume.at_ns < RESUME_MOST_NS)
		k->resume_ns = MIN(2 * k->resume_ns, RESUME_MOST_NS);
	else
		k->resume_ns = RESUME_LEAST_NS; /* the last one helped */
	loop_timer_set(k->config.loop, &k->resume, now + k->resume_ns, resume);
}

void kube_write(struct kube *k, const struct kube_write *w, struct arena *arena)
{
	struct call *call = kube_write_prepare(k, w);

	(void)arena; /* what is written was copied */
	call->run(call);
}
