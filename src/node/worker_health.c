/* SPDX-License-Identifier: Apache-2.0 */
/* worker_health - probes and lifecycle hooks of the containers that run. */
#include "node/worker_private.h"

#include <stdlib.h>

#include "kube/kinds/kinds.h"

#define HOOK_AGENT "kube-lifecycle/1.33"

static void probes_changed(void *context)
{
	pod_worker_wake(((struct keeper *)context)->worker);
}

static void probes_tell(void *context, const char *reason, struct span text)
{
	struct keeper *k = context;

	worker_event(k->worker, span_of(k->name), "Warning", reason, "%.*s", (int)text.len, text.ptr);
}

void health_drop(struct keeper *k)
{
	probes_free(k->probes);
	handler_cancel(k->hook);
	k->probes = NULL;
	k->hook = NULL;
	k->is_watched = k->is_hook_running = k->is_hook_failed = false;
}

/* ---- hooks ---- */

static struct handler *hook_run(struct look *l, struct span name, uint32_t attempt, const char *which,
				int64_t timeout_ns, handler_done done, void *context)
{
	struct pod_worker *w = l->w;
	const struct value *spec = pod_container(l->pod, name, NULL), *action = get(get(spec, "lifecycle"), which);
	struct handler_wanted wanted = { .loop = w->host.loop,
					 .runtime = w->host.runtime,
					 .uid = span_of(w->uid),
					 .address = w->sandbox.address,
					 .container = name,
					 .attempt = attempt,
					 .spec = spec,
					 .action = action,
					 .agent = HOOK_AGENT,
					 .timeout_ns = timeout_ns,
					 .is_status_ignored = true };

	return action ? handler_run(&wanted, done, context) : NULL;
}

static void start_hook_done(void *context, enum handler_verdict verdict, struct span text)
{
	struct keeper *k = context;

	(void)text;
	k->hook = NULL;
	k->is_hook_running = false;
	if (verdict != HANDLER_GOOD && verdict != HANDLER_WARNING) {
		k->is_hook_failed = true;
		worker_event(k->worker, span_of(k->name), "Warning", "FailedPostStartHook", "PostStartHook failed");
	}
	pod_worker_wake(k->worker);
}

bool hook_stop_begin(struct look *l, struct op *o, int64_t grace_ns, handler_done done)
{
	o->hook = hook_run(l, span_of(o->name), o->attempt, "preStop", grace_ns, done, o);
	return o->hook != NULL;
}

/* ---- probes ---- */

static const struct container_status *status_of(const struct pod_worker *w, struct span name, uint32_t attempt)
{
	for (size_t i = 0; w->has_sandbox && i < w->sandbox.container_count; i++)
		if (w->sandbox.containers[i].attempt == attempt && span_equal(w->sandbox.containers[i].name, name))
			return &w->sandbox.containers[i];
	return NULL;
}

static const struct value *told_of(const struct look *l, struct span name)
{
	static const char *const lists[] = { "initContainerStatuses", "containerStatuses" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = get(l->api_status, lists[i]);

		for (uint32_t j = 0; j < count_of(list); j++)
			if (span_equal(get_text(value_item(list, j), "name"), name))
				return value_item(list, j);
	}
	return NULL;
}

static void watch(struct look *l, struct keeper *k, const struct container_status *c, bool is_adopted)
{
	struct pod_worker *w = l->w;
	const struct value *told = told_of(l, c->name);
	bool is_same = c->id.len && span_ends(get_text(told, "containerID"), c->id);
	struct probes_config config = { .loop = w->host.loop,
					.runtime = w->host.runtime,
					.uid = span_of(w->uid),
					.address = w->sandbox.address,
					.container = pod_container(l->pod, c->name, NULL),
					.attempt = c->attempt,
					.age_ns = MAX(l->now_ns - c->started_ns, (int64_t)0),
					.is_adopted = is_adopted && is_same,
					.was_ready = get_bool(told, "ready"),
					.was_started = get_bool(told, "started"),
					.changed = probes_changed,
					.tell = probes_tell,
					.context = k };

	health_drop(k);
	k->is_watched = true;
	k->attempt = c->attempt;
	if (!config.container)
		return;
	k->probes = probes_new(&config);
	if (is_adopted)
		return;
	k->hook = hook_run(l, c->name, c->attempt, "postStart", 0, start_hook_done, k);
	k->is_hook_running = k->hook != NULL;
}

/* Those found running are watched from now on; those that have ended no more. */
bool health_look(struct look *l)
{
	struct pod_worker *w = l->w;
	struct container_health *items =
	    ARENA_ARRAY(l->arena, struct container_health, w->sandbox.container_count + 1, &l->err);
	bool is_ending = pod_is_deleted(l->pod) || w->is_evicted || w->is_ending;

	for (struct keeper *k = w->keepers; k && items; k = k->next) {
		const struct container_status *c = status_of(w, span_of(k->name), k->attempt);

		if (k->is_watched && (!c || c->state != CONTAINER_RUNNING))
			health_drop(k);
	}
	l->view.health = items;
	for (size_t i = 0; w->has_sandbox && items && i < w->sandbox.container_count; i++) {
		const struct container_status *c = &w->sandbox.containers[i];
		struct container_health *h = &items[l->view.health_count];
		struct keeper *k;

		if (c->state != CONTAINER_RUNNING)
			continue;
		k = keeper_get(w, c->name);
		if (!k->is_watched || k->attempt != c->attempt)
			watch(l, k, c, !op_find(w, POD_CONTAINER_START, c->name, c->attempt));
		if (is_ending && k->probes)
			probes_quieten(k->probes);
		*h = (struct container_health){ .name = c->name, .attempt = c->attempt };
		if (k->probes)
			probes_fill(k->probes, h);
		else
			h->startup = h->liveness = h->readiness = VERDICT_GOOD;
		h->is_hook_running = k->is_hook_running;
		h->is_hook_failed = k->is_hook_failed;
		l->view.health_count++;
	}
	return items != NULL;
}
