/* SPDX-License-Identifier: Apache-2.0 */
/* worker - when a pod is looked at, and what is done of its plan. */
#include "node/worker_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kube/kinds/kinds.h"
#include "node/drains.h"
#include "node/sandbox_status.h"

int64_t worker_now(const struct pod_worker *w)
{
	return w->host.wall_ns ? w->host.wall_ns(w->host.context) : clock_wall_ns();
}

void text_set(char **text, struct span to)
{
	free(*text);
	*text = to.len ? span_to_text(to) : NULL;
}

/* ---- life ---- */

static void look_task(struct loop_task *t);

static void keeper_free(struct keeper *k)
{
	health_drop(k);
	free(k->name);
	free(k->wait_reason);
	free(k->wait_message);
	free(k);
}

static void op_free(struct op *o)
{
	handler_cancel(o->hook);
	free(o->name);
	free(o);
}

static void worker_forget(struct pod_worker *w)
{
	char *const texts[] = { w->uid,         w->name_space, w->name,    w->address, w->folder, w->log_directory,
				w->mount_error, w->reason,     w->message, w->told,    w->written };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	record_unref(w->record);
	free(w->sandbox_kept);
	free(w);
}

void worker_call_begin(struct pod_worker *w)
{
	w->calls++;
}

bool worker_call_end(struct pod_worker *w)
{
	w->calls--;
	if (!w->is_freed)
		return !w->is_stopped;
	if (!w->calls)
		worker_forget(w);
	return false;
}

struct pod_worker *pod_worker_new(const struct worker_host *host, struct span uid, struct span name_space,
				  struct span name, struct span address)
{
	struct pod_worker *w = base_calloc(1, sizeof(*w));
	char path[4096];

	w->host = *host;
	w->uid = span_to_text(uid);
	w->name_space = span_to_text(name_space);
	w->name = span_to_text(name);
	w->address = span_to_text(address);
	snprintf(path, sizeof(path), "%.*s/pods/%s", WHOLE(host->folder), w->uid);
	w->folder = span_to_text(span_of(path));
	snprintf(path, sizeof(path), "%.*s/logs/%s_%s_%s", WHOLE(host->folder), w->name_space, w->name, w->uid);
	w->log_directory = span_to_text(span_of(path));
	w->place = host->place;
	w->place.pod_address = span_of(w->address);
	w->task.run = look_task;
	return w;
}

void pod_worker_stop(struct pod_worker *w)
{
	w->is_stopped = true;
	loop_undefer(w->host.loop, &w->task);
	loop_timer_clear(w->host.loop, &w->timer);
	for (struct keeper *k = w->keepers; k; k = k->next)
		health_drop(k);
	for (struct op *o = w->ops; o; o = o->next) {
		handler_cancel(o->hook);
		o->hook = NULL;
	}
}

void pod_worker_discard(struct pod_worker *w)
{
	struct volumes_config config = { .place = &w->place, .loop = w->host.loop, .folder = span_of(w->folder) };
	struct error ignored = { 0 };

	w->is_finished = true;
	if (!w->volumes)
		w->volumes = volumes_new(&config, &ignored);
	worker_folders_remove(w);
}

void pod_worker_free(struct pod_worker *w)
{
	if (!w)
		return;
	pod_worker_stop(w);
	while (w->keepers) {
		struct keeper *k = w->keepers;

		w->keepers = k->next;
		keeper_free(k);
	}
	for (struct op **at = &w->ops; *at;) { /* those that are still answered go with the answer */
		struct op *o = *at;

		*at = o->next;
		if (!o->is_calling)
			op_free(o);
	}
	drain_forget(w->drain);
	w->drain = NULL;
	volumes_free(w->volumes, !w->is_finished);
	if (w->is_finished)
		(void)rmdir(w->folder); /* else when the node begins anew: a large tree is removed beside */
	w->volumes = NULL;
	w->calls -= w->is_preparing; /* volumes that are freed answer no more */
	w->is_freed = true;
	if (!w->calls)
		worker_forget(w);
}

void pod_worker_wake(struct pod_worker *w)
{
	if (!w->is_stopped && !w->is_finished)
		loop_defer(w->host.loop, &w->task);
}

void pod_worker_source(struct pod_worker *w)
{
	for (struct keeper *k = w->keepers; k; k = k->next)
		k->again_ns = 0;
	w->mount_again_ns = 0;
	w->is_refresh_due = true;
	pod_worker_wake(w);
}

static void wake_timer(struct timer *t)
{
	pod_worker_wake(CONTAINER_OF(t, struct pod_worker, timer));
}

/* ---- keepers ---- */

struct keeper *keeper_find(struct pod_worker *w, struct span name)
{
	struct keeper *k = w->keepers;

	while (k && !span_equal(span_of(k->name), name))
		k = k->next;
	return k;
}

struct keeper *keeper_get(struct pod_worker *w, struct span name)
{
	struct keeper *k = keeper_find(w, name);

	if (k)
		return k;
	k = base_calloc(1, sizeof(*k));
	k->worker = w;
	k->name = span_to_text(name);
	k->next = w->keepers;
	w->keepers = k;
	return k;
}

void keeper_refuse(struct keeper *k, uint32_t attempt, const char *reason, const struct error *why, int64_t again_ns)
{
	text_set(&k->wait_reason, span_of(reason));
	text_set(&k->wait_message, error_span(why));
	k->refused_attempt = attempt;
	k->again_ns = again_ns;
}

static void keeper_accept(struct keeper *k)
{
	text_set(&k->wait_reason, (struct span){ 0 });
	text_set(&k->wait_message, (struct span){ 0 });
	k->again_ns = 0;
}

/* ---- what is under way ---- */

struct op *op_find(struct pod_worker *w, enum pod_action_kind kind, struct span name, uint32_t attempt)
{
	struct op *o = w->ops;

	while (o && !(o->kind == kind && o->attempt == attempt && span_equal(span_of(o->name), name)))
		o = o->next;
	return o;
}

static struct op *op_new(struct pod_worker *w, const struct pod_action *a)
{
	struct op *o = base_calloc(1, sizeof(*o));

	o->worker = w;
	o->kind = a->kind;
	o->name = a->name.len ? span_to_text(a->name) : NULL;
	o->attempt = a->attempt;
	o->next = w->ops;
	w->ops = o;
	return o;
}

static void op_drop(struct op *o)
{
	struct op **at = &o->worker->ops;

	while (*at && *at != o)
		at = &(*at)->next;
	if (*at)
		*at = o->next;
	op_free(o);
}

static void op_call(struct op *o)
{
	o->is_calling = true;
	worker_call_begin(o->worker);
}

/* False: nobody is interested any more. */
static bool op_answered(struct op *o)
{
	struct pod_worker *w = o->worker;

	o->is_calling = false;
	if (w->is_freed || w->is_stopped) {
		op_drop(o);
		(void)worker_call_end(w);
		return false;
	}
	(void)worker_call_end(w);
	return true;
}

static const struct container_status *container_of_op(const struct op *o)
{
	const struct sandbox_status *s = &o->worker->sandbox;

	for (size_t i = 0; o->worker->has_sandbox && i < s->container_count; i++)
		if (s->containers[i].attempt == o->attempt && span_equal(s->containers[i].name, span_of(o->name)))
			return &s->containers[i];
	return NULL;
}

/* What it did is seen. */
static bool op_is_seen(const struct op *o)
{
	const struct pod_worker *w = o->worker;
	const struct container_status *c = container_of_op(o);

	switch (o->kind) {
	case POD_SANDBOX_RUN:
		return w->has_sandbox;
	case POD_SANDBOX_STOP:
		return !w->has_sandbox || !w->sandbox.is_ready;
	case POD_CONTAINER_START:
		return c || !w->has_sandbox || !w->sandbox.is_ready;
	case POD_CONTAINER_STOP:
		return !c || c->state == CONTAINER_EXITED || !w->sandbox.is_ready;
	case POD_CONTAINER_REMOVE:
		return !c;
	case POD_DRAIN:
	case POD_GONE:
		break;
	}
	return !w->has_sandbox;
}

/* Starts are swept when their containers are watched: until then they tell that it was not found running. */
static void ops_sweep(struct pod_worker *w, bool are_starts)
{
	for (struct op *o = w->ops, *next; o; o = next) {
		next = o->next;
		if ((o->kind == POD_CONTAINER_START) != are_starts || !op_is_seen(o))
			continue;
		if (o->is_done || o->hook) /* a hook: it has ended while that ran */
			op_drop(o);
	}
}

/* ---- sandboxes ---- */

static void sandbox_failed(struct pod_worker *w, const struct error *err)
{
	worker_event(w, (struct span){ 0 }, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s",
		     err->message);
	w->sandbox_wait_ns = w->sandbox_wait_ns ? MIN(w->sandbox_wait_ns * 2, SANDBOX_MOST_NS) : SANDBOX_FIRST_NS;
	w->sandbox_again_ns = worker_now(w) + w->sandbox_wait_ns;
}

static void sandbox_done(void *context, const struct error *err)
{
	struct op *o = context;
	struct pod_worker *w = o->worker;

	if (!op_answered(o))
		return;
	o->is_done = true;
	if (err) {
		sandbox_failed(w, err);
		op_drop(o);
	} else {
		w->sandbox_wait_ns = w->sandbox_again_ns = 0;
	}
	pod_worker_wake(w);
}

static void old_sandbox_removed(void *context, const struct error *err)
{
	struct op *o = context;
	struct pod_worker *w = o->worker;

	if (!op_answered(o))
		return;
	if (err)
		sandbox_failed(w, err);
	else
		w->has_sandbox = false;
	op_drop(o);
	pod_worker_wake(w);
}

/* The gateway opens them. Without one it is said once for each sandbox: the pod runs without them. */
static void host_ports_tell(struct look *l)
{
	const struct value *list = value_find(l->pod, "spec.containers");

	if (l->w->host.drains || get_bool(get(l->pod, "spec"), "hostNetwork"))
		return;
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *ports = get(value_item(list, i), "ports");
		struct span name = get_text(value_item(list, i), "name");

		for (uint32_t k = 0; k < count_of(ports); k++) {
			int64_t port = value_find_int(value_item(ports, k), "hostPort", 0);

			if (port)
				worker_event(l->w, name, "Warning", "HostPortNotSupported",
					     "hostPort %lld is not opened: this hythe has no gateway (--gateway=on)",
					     (long long)port);
		}
	}
}

static void sandbox_run(struct look *l, const struct pod_action *a)
{
	struct pod_worker *w = l->w;
	struct sandbox_config config;
	struct error err = { 0 };
	struct op *o;

	if (w->sandbox_again_ns > l->now_ns) {
		look_again(l, w->sandbox_again_ns);
		return;
	}
	if (w->has_sandbox) { /* it has died */
		worker_event(w, (struct span){ 0 }, "Normal", "SandboxChanged",
			     "Pod sandbox changed, it will be killed and re-created.");
		o = op_new(w, a);
		op_call(o);
		runtime_sandbox_remove(w->host.runtime, span_of(w->uid), old_sandbox_removed, o);
		return;
	}
	if (!sandbox_make(l, &config, &err)) {
		sandbox_failed(w, &err);
		look_again(l, w->sandbox_again_ns);
		return;
	}
	host_ports_tell(l);
	o = op_new(w, a);
	op_call(o);
	runtime_sandbox_run(w->host.runtime, &config, sandbox_done, o);
}

static void plain_done(void *context, const struct error *err)
{
	struct op *o = context;
	struct pod_worker *w = o->worker;

	if (!op_answered(o))
		return;
	o->is_done = true;
	if (err && !(err->code == ERROR_NOT_FOUND && op_is_seen(o))) {
		log_warn("node", "a pod's sandbox or container could not be ended",
			 LOG_TEXT("namespace", w->name_space), LOG_TEXT("pod", w->name),
			 LOG_TEXT("error", err->message));
		w->sandbox_again_ns = worker_now(w) + SANDBOX_FIRST_NS;
		op_drop(o);
	}
	pod_worker_wake(w);
}

static void sandbox_stop(struct look *l, const struct pod_action *a)
{
	struct op *o;

	if (l->w->sandbox_again_ns > l->now_ns) {
		look_again(l, l->w->sandbox_again_ns);
		return;
	}
	o = op_new(l->w, a);
	op_call(o);
	runtime_sandbox_stop(l->w->host.runtime, span_of(l->w->uid), plain_done, o);
}

/* ---- containers ---- */

static void start_done(void *context, const struct error *err)
{
	struct op *o = context;
	struct pod_worker *w = o->worker;
	struct keeper *k;

	if (!op_answered(o))
		return;
	k = keeper_get(w, span_of(o->name));
	o->is_done = true;
	worker_event(w, span_of(o->name), "Normal", "Created", "Created container: %s", o->name);
	if (err) {
		worker_event(w, span_of(o->name), "Warning", "Failed", "Error: %s", err->message);
		keeper_refuse(k, o->attempt, "RunContainerError", err, worker_now(w) + CONFIG_AGAIN_NS);
		op_drop(o);
	} else {
		keeper_accept(k);
		worker_event(w, span_of(o->name), "Normal", "Started", "Started container %s", o->name);
	}
	pod_worker_wake(w);
}

static void container_start(struct look *l, const struct pod_action *a)
{
	struct pod_worker *w = l->w;
	struct keeper *k = keeper_get(w, a->name);
	struct container_config config;
	struct error err = { 0 };
	const char *reason;
	struct op *o;

	if (k->again_ns > l->now_ns && k->refused_attempt == a->attempt) {
		look_again(l, k->again_ns);
		return;
	}
	if (!container_make(l, a->name, a->attempt, &config, &reason, &err)) {
		if (!k->wait_message || strcmp(k->wait_message, err.message) != 0)
			worker_event(w, a->name, "Warning", "Failed", "Error: %s", err.message);
		keeper_refuse(k, a->attempt, reason, &err, l->now_ns + CONFIG_AGAIN_NS);
		look_again(l, k->again_ns);
		return;
	}
	o = op_new(w, a);
	op_call(o);
	runtime_container_start(w->host.runtime, span_of(w->uid), &config, start_done, o);
}

static void container_remove(struct look *l, const struct pod_action *a)
{
	struct op *o = op_new(l->w, a);

	op_call(o);
	runtime_container_remove(l->w->host.runtime, span_of(l->w->uid), a->name, a->attempt, plain_done, o);
}

/* ---- stopping: preStop, then the signal with what is left of the grace ---- */

static void stop_signal(struct op *o)
{
	struct pod_worker *w = o->worker;
	int64_t left = MAX(o->ends_ns - worker_now(w), GRACE_LEAST_NS);

	op_call(o);
	runtime_container_stop(w->host.runtime, span_of(w->uid), span_of(o->name), o->attempt, left, plain_done, o);
}

static void stop_hook_done(void *context, enum handler_verdict verdict, struct span text)
{
	struct op *o = context;

	(void)text;
	o->hook = NULL;
	if (verdict != HANDLER_GOOD && verdict != HANDLER_WARNING)
		worker_event(o->worker, span_of(o->name), "Warning", "FailedPreStopHook", "PreStopHook failed");
	stop_signal(o);
}

static void shortened(void *context, const struct error *err)
{
	(void)err; /* the first call tells */
	(void)worker_call_end(context);
}

/* A deletion that was asked for again with less grace. */
static void stop_shorten(struct look *l, struct op *o, int64_t grace_ns)
{
	struct pod_worker *w = l->w;

	if (l->now_ns + grace_ns + NS_PER_S * 3 / 2 >= o->ends_ns)
		return;
	o->ends_ns = l->now_ns + grace_ns;
	if (o->hook) {
		handler_cancel(o->hook);
		o->hook = NULL;
		stop_signal(o);
	} else if (o->is_calling) {
		worker_call_begin(w);
		runtime_container_stop(w->host.runtime, span_of(w->uid), span_of(o->name), o->attempt,
				       MAX(grace_ns, GRACE_LEAST_NS), shortened, w);
	}
}

static void container_stop(struct look *l, const struct pod_action *a)
{
	struct op *o = op_find(l->w, a->kind, a->name, a->attempt);
	struct keeper *k = keeper_find(l->w, a->name);

	if (o) {
		stop_shorten(l, o, a->grace_ns);
		return;
	}
	if (l->w->sandbox_again_ns > l->now_ns) {
		look_again(l, l->w->sandbox_again_ns);
		return;
	}
	o = op_new(l->w, a);
	o->begun_ns = l->now_ns;
	o->ends_ns = l->now_ns + a->grace_ns;
	worker_event(l->w, a->name, "Normal", "Killing", "%.*s", (int)a->why.len, a->why.ptr);
	if (k && k->hook) { /* postStart: the container it ran for is on its way out */
		handler_cancel(k->hook);
		k->hook = NULL;
	}
	if (!hook_stop_begin(l, o, a->grace_ns, stop_hook_done))
		stop_signal(o);
}

/* ---- volumes ---- */

static void volumes_changed(void *context)
{
	struct pod_worker *w = context;

	w->is_refresh_due = true;
	w->mount_again_ns = 0;
	pod_worker_wake(w);
}

static void volumes_done(void *context, const struct error *err)
{
	struct pod_worker *w = context;

	w->is_preparing = false;
	if (!worker_call_end(w))
		return;
	w->are_volumes_ready = !err && !w->is_address_new;
	w->is_address_new = false;
	if (err) {
		if (!w->mount_error || strcmp(w->mount_error, err->message) != 0)
			worker_event(w, (struct span){ 0 }, "Warning", "FailedMount", "%s", err->message);
		text_set(&w->mount_error, error_span(err));
		w->mount_wait_ns = w->mount_wait_ns ? MIN(w->mount_wait_ns * 2, MOUNT_MOST_NS) : MOUNT_FIRST_NS;
		w->mount_again_ns = worker_now(w) + w->mount_wait_ns;
	}
	pod_worker_wake(w);
}

/* The object may stay for long: what the pod filled the disk with does not stay with it. */
static void volumes_end(struct look *l)
{
	struct pod_worker *w = l->w;

	if (w->are_volumes_emptied || w->ops || w->is_preparing || (w->has_sandbox && w->sandbox.is_ready) ||
	    !(w->is_evicted || pod_has_final_phase(l->pod)))
		return;
	w->are_volumes_emptied = true;
	volumes_empty(w->volumes);
}

static void volumes_look(struct look *l, bool is_ending)
{
	struct pod_worker *w = l->w;
	struct volumes_config config = { .place = &w->place,
					 .loop = w->host.loop,
					 .folder = span_of(w->folder),
					 .hidden = w->host.hidden,
					 .is_host_path_allowed = w->host.is_host_path_allowed,
					 .changed = volumes_changed,
					 .context = w };
	struct error err = { 0 };

	if (!w->volumes && (!worker_folders_make(w, &err) || !(w->volumes = volumes_new(&config, &err)))) {
		if (!w->mount_error)
			worker_event(w, (struct span){ 0 }, "Warning", "FailedMount", "%s", err.message);
		text_set(&w->mount_error, error_span(&err));
		look_again(l, l->now_ns + MOUNT_MOST_NS);
		return;
	}
	if (is_ending) {
		volumes_end(l);
		return;
	}
	if (w->are_volumes_ready) {
		if (w->is_refresh_due || w->refresh_ns <= l->now_ns)
			w->refresh_ns = volumes_refresh(w->volumes, l->pod, l->now_ns);
		w->is_refresh_due = false;
		look_again(l, w->refresh_ns);
	} else if (w->mount_again_ns > l->now_ns) {
		look_again(l, w->mount_again_ns);
	} else if (!w->is_preparing) {
		w->is_preparing = true;
		worker_call_begin(w);
		volumes_prepare(w->volumes, l->pod, volumes_done, w);
	}
}

/* ---- a look ---- */

/* What this worker told last is what it goes on with; conditions of others are as the API has them. */
static bool status_merge(struct look *l)
{
	struct value *status = value_get(l->pod, SPAN("status")), mine;
	const struct value *conditions;
	struct span text;

	l->api_status = NULL;
	if (status) {
		struct value *copy = ARENA_NEW(l->arena, struct value, &l->err);

		if (!copy)
			return false;
		*copy = *status;
		l->api_status = copy;
	}
	if (!l->w->told)
		return true;
	text = arena_copy(l->arena, span_of(l->w->told), &l->err);
	if (!text.ptr || !value_parse(text, NULL, l->arena, &mine, &l->err))
		return false;
	conditions = get(l->api_status, "conditions");
	for (uint32_t i = 0; i < count_of(conditions); i++) {
		const struct value *theirs = value_item(conditions, i);
		struct value *list = value_ensure_array(&mine, SPAN("conditions"), l->arena, &l->err);
		uint32_t at = 0;

		while (list && at < list->array.count &&
		       !span_equal(get_text(value_item(list, at), "type"), get_text(theirs, "type")))
			at++;
		if (list && at == list->array.count)
			(void)value_append(list, *theirs, l->arena, &l->err);
		else if (list && !status_condition_is_ours(get_text(theirs, "type")))
			*value_item(list, at) = *theirs;
	}
	return !l->err.code && value_set(l->pod, SPAN("status"), mine, l->arena, &l->err);
}

/* A pod that is gone from the API, or whose node goes, is ended as if it were being deleted. */
static bool deletion_put(struct look *l)
{
	struct pod_worker *w = l->w;
	struct value *metadata = value_get(l->pod, SPAN("metadata"));
	int64_t grace = w->is_gone ? 0 : pod_grace_ns(l->pod);

	if (!metadata || (!w->is_gone && !w->is_ending))
		return true;
	if (w->is_ending && w->eviction_grace_ns)
		grace = MIN(grace, w->eviction_grace_ns);
	if (pod_is_deleted(l->pod))
		grace = MIN(grace, value_find_int(l->pod, "metadata.deletionGracePeriodSeconds", 30) * NS_PER_S);
	else if (!value_set(metadata, SPAN("deletionTimestamp"),
			    value_string(kube_now_text(l->now_ns + grace, l->arena)), l->arena, &l->err))
		return false;
	metadata = value_get(l->pod, SPAN("metadata"));
	return value_set(metadata, SPAN("deletionGracePeriodSeconds"), value_int(grace / NS_PER_S), l->arena, &l->err);
}

static bool object_read(struct look *l)
{
	struct pod_worker *w = l->w;

	l->pod = cluster_object(w->host.cluster, &resource_pods, w->record, l->arena, &l->err);
	l->version = value_find_string(l->pod, "metadata.resourceVersion");
	return l->pod && status_merge(l) && deletion_put(l);
}

static void deadline_look(struct look *l)
{
	struct pod_worker *w = l->w;

	if (w->is_evicted || pod_has_final_phase(l->pod) || pod_is_deleted(l->pod) ||
	    pod_deadline_ns(l->pod) > l->now_ns)
		return;
	w->is_evicted = true;
	text_set(&w->reason, SPAN("DeadlineExceeded"));
	text_set(&w->message, SPAN("Pod was active on the node longer than the specified deadline"));
	worker_event(w, (struct span){ 0 }, "Normal", "DeadlineExceeded", "%s", w->message);
}

/* As kubelet: what cannot run here is not begun, and is told as Failed. */
static void admission_look(struct look *l)
{
	struct pod_worker *w = l->w;
	struct span reason = { 0 }, message = { 0 };

	if (w->is_admitted || w->has_sandbox)
		return;
	w->is_admitted = true;
	if (!w->host.admits || pod_is_deleted(l->pod) || pod_has_final_phase(l->pod) ||
	    value_find(l->pod, "status.startTime") ||
	    w->host.admits(w->host.context, l->pod, l->arena, &reason, &message))
		return;
	w->is_evicted = true;
	text_set(&w->reason, reason);
	text_set(&w->message, message);
	worker_event(w, (struct span){ 0 }, "Warning", w->reason, "%s", w->message);
}

static void loops_tell(struct look *l)
{
	const struct value *metadata = get(l->pod, "metadata");
	struct pod_parts parts;

	if (!l->view.sandbox || !l->view.sandbox->is_ready || pod_is_deleted(l->pod) || l->view.is_evicted ||
	    !pod_parts_read(&l->view, l->arena, &parts, &l->err))
		return;
	for (size_t i = 0; i < parts.count; i++) {
		const struct pod_part *p = &parts.items[i];
		struct keeper *k;
		int64_t length;

		if (!part_is_wanted(&parts, p) || part_backoff(p, &length) <= l->now_ns)
			continue;
		k = keeper_get(l->w, p->name);
		if (k->looped_attempt == p->now->attempt + 1)
			continue;
		k->looped_attempt = p->now->attempt + 1;
		worker_event(l->w, p->name, "Warning", "BackOff",
			     "Back-off restarting failed container %.*s in pod %.*s_%.*s(%.*s)", WHOLE(p->name),
			     WHOLE(get_text(metadata, "name")), WHOLE(get_text(metadata, "namespace")),
			     WHOLE(get_text(metadata, "uid")));
	}
}

static void action_do(struct look *l, const struct pod_action *a)
{
	if (a->kind != POD_CONTAINER_STOP && op_find(l->w, a->kind, a->name, a->attempt))
		return;
	switch (a->kind) {
	case POD_SANDBOX_RUN:
		sandbox_run(l, a);
		break;
	case POD_SANDBOX_STOP:
		sandbox_stop(l, a);
		break;
	case POD_CONTAINER_START:
		container_start(l, a);
		break;
	case POD_CONTAINER_STOP:
		container_stop(l, a);
		break;
	case POD_DRAIN:
		drain_start(l, a->grace_ns);
		break;
	case POD_CONTAINER_REMOVE:
		container_remove(l, a);
		break;
	case POD_GONE: /* after the status */
		break;
	}
}

/* ---- when all has gone ---- */

static void finish_done(void *context, const struct error *err)
{
	struct op *o = context;
	struct pod_worker *w = o->worker;

	if (!op_answered(o))
		return;
	op_drop(o);
	if (err && err->code != ERROR_NOT_FOUND) {
		log_warn("node", "a pod's sandbox could not be removed", LOG_TEXT("namespace", w->name_space),
			 LOG_TEXT("pod", w->name), LOG_TEXT("error", err->message));
		w->sandbox_again_ns = worker_now(w) + SANDBOX_FIRST_NS;
		pod_worker_wake(w);
		return;
	}
	w->has_sandbox = false;
	if (w->is_ending && !w->is_gone)
		return;
	w->is_finished = true;
	worker_folders_remove(w);
	w->host.finished(w->host.context, w);
}

static void finish(struct look *l, const struct pod_action *a)
{
	struct op *o;

	if (op_find(l->w, a->kind, a->name, a->attempt))
		return;
	if (l->w->sandbox_again_ns > l->now_ns) {
		look_again(l, l->w->sandbox_again_ns);
		return;
	}
	o = op_new(l->w, a);
	op_call(o);
	runtime_sandbox_remove(l->w->host.runtime, span_of(l->w->uid), finish_done, o);
}

static void timer_arm(struct look *l)
{
	struct pod_worker *w = l->w;

	if (l->again_ns == INT64_MAX)
		loop_timer_clear(w->host.loop, &w->timer);
	else
		loop_timer_set(w->host.loop, &w->timer,
			       loop_now(w->host.loop) + MAX(l->again_ns - l->now_ns, (int64_t)0), wake_timer);
}

static void plan_do(struct look *l)
{
	struct pod_action *last = NULL;
	struct pod_plan plan;

	if (!pod_plan(&l->view, l->arena, &plan, &l->err))
		return;
	look_again(l, plan.again_ns);
	for (size_t i = 0; i < plan.count; i++) {
		if (plan.actions[i].kind == POD_GONE)
			last = &plan.actions[i];
		else
			action_do(l, &plan.actions[i]);
	}
	loops_tell(l);
	status_look(l);
	if (last && (l->w->is_gone || (l->w->is_ending && l->w->has_sandbox)))
		finish(l, last);
	else if (last && !l->w->is_ending)
		object_end(l);
}

static void look(struct pod_worker *w)
{
	struct look l = { .w = w, .again_ns = INT64_MAX, .now_ns = worker_now(w) };
	struct arena arena;

	if (!w->record || w->is_stopped || w->is_finished)
		return;
	arena_init(&arena, LOOK_MEMORY);
	l.arena = &arena;
	ops_sweep(w, false);
	if (object_read(&l)) {
		admission_look(&l);
		deadline_look(&l);
		volumes_look(&l, pod_is_deleted(l.pod) || w->is_evicted || pod_has_final_phase(l.pod));
		l.view = (struct pod_view){ .pod = l.pod,
					    .sandbox = w->has_sandbox ? &w->sandbox : NULL,
					    .now_ns = l.now_ns,
					    .is_evicted = w->is_evicted,
					    .eviction_grace_ns = w->eviction_grace_ns,
					    .are_volumes_ready = w->are_volumes_ready };
		drain_go_on(&l);
		drain_fill(&l);
		if (health_look(&l)) {
			ops_sweep(w, true);
			plan_do(&l);
		}
	}
	if (l.err.code) {
		log_error("node", "a pod could not be looked at", LOG_TEXT("namespace", w->name_space),
			  LOG_TEXT("pod", w->name), LOG_TEXT("error", l.err.message));
		look_again(&l, l.now_ns + CONFIG_AGAIN_NS);
	}
	timer_arm(&l);
	arena_done(&arena);
}

static void look_task(struct loop_task *t)
{
	look(CONTAINER_OF(t, struct pod_worker, task));
}

void pod_worker_tick(struct pod_worker *w)
{
	look(w);
}

/* ---- what it is told ---- */

void pod_worker_object(struct pod_worker *w, struct record *record)
{
	if (record) {
		record_unref(w->record);
		w->record = record_ref(record);
	} else {
		w->is_gone = true;
	}
	w->is_refresh_due = true; /* labels and annotations are told in volumes */
	pod_worker_wake(w);
}

/* A pod whose sandbox has found an address for it: what its containers are given from now on has it. */
static void address_take(struct pod_worker *w)
{
	struct span found = w->sandbox.address;

	if (!found.len || span_equal(found, span_of(w->address)))
		return;
	free(w->address);
	w->address = span_to_text(found);
	w->place.pod_address = span_of(w->address);
	w->are_volumes_ready = false; /* /etc/hosts has it */
	w->is_address_new = w->is_preparing;
}

void pod_worker_sandbox(struct pod_worker *w, const struct sandbox_status *s)
{
	free(w->sandbox_kept);
	w->sandbox_kept = sandbox_status_copy(s);
	w->sandbox = *w->sandbox_kept;
	w->has_sandbox = true;
	address_take(w);
	pod_worker_wake(w);
}

void pod_worker_ended(struct pod_worker *w, struct span stream, int exit_code)
{
	for (struct keeper *k = w->keepers; k; k = k->next)
		if ((k->probes && probes_ended(k->probes, stream, exit_code)) ||
		    (k->hook && handler_ended(k->hook, stream, exit_code)))
			return;
	for (struct op *o = w->ops; o; o = o->next)
		if (o->hook && handler_ended(o->hook, stream, exit_code))
			return;
}

void pod_worker_evict(struct pod_worker *w, struct span reason, struct span message, int64_t grace_ns)
{
	if (w->is_evicted)
		return;
	w->is_evicted = true;
	w->eviction_grace_ns = grace_ns;
	text_set(&w->reason, reason);
	text_set(&w->message, message);
	worker_event(w, (struct span){ 0 }, "Warning", w->reason, "%s", w->message ? w->message : "");
	pod_worker_wake(w);
}

void pod_worker_end(struct pod_worker *w, int64_t grace_ns)
{
	w->is_ending = true;
	w->eviction_grace_ns = grace_ns;
	pod_worker_wake(w);
}

bool pod_worker_is_down(const struct pod_worker *w)
{
	return !w->ops && !w->has_sandbox;
}

struct span pod_worker_uid(const struct pod_worker *w)
{
	return span_of(w->uid);
}

struct span pod_worker_name(const struct pod_worker *w, struct span *ret_name_space)
{
	if (ret_name_space)
		*ret_name_space = span_of(w->name_space);
	return span_of(w->name);
}

struct span pod_worker_address(const struct pod_worker *w)
{
	return span_of(w->address);
}

const struct sandbox_status *pod_worker_found(const struct pod_worker *w)
{
	return w->has_sandbox ? &w->sandbox : NULL;
}
