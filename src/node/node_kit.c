/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"

/* ---- the runtime ---- */

struct fake_answer {
	struct fake_answer *next;
	struct node_kit *kit;
	struct loop_task task;
	runtime_done done;
	void (*streamed)(void *context, const struct stream *s, const struct error *err);
	void (*socketed)(void *context, int fd, const struct error *err);
	void *context;
	struct error err;
	char uid[64];
	bool has_changed; /* the sandbox is told first */
	bool is_held;     /* until the container ends */
	int fd;
};

static struct node_kit *kit_of(struct runtime *r)
{
	return CONTAINER_OF(r, struct node_kit, runtime);
}

static void note(struct node_kit *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct node_kit *k, const char *format, ...)
{
	size_t len = strlen(k->calls);
	va_list args;

	if (len)
		len += (size_t)snprintf(k->calls + len, sizeof(k->calls) - len, "; ");
	va_start(args, format);
	vsnprintf(k->calls + len, sizeof(k->calls) - len, format, args);
	va_end(args);
}

static struct fake_sandbox *sandbox_find(struct node_kit *k, struct span uid)
{
	for (size_t i = 0; i < FAKE_SANDBOXES; i++)
		if (k->sandboxes[i].is_there && span_equal(k->sandboxes[i].status.uid, uid))
			return &k->sandboxes[i];
	return NULL;
}

static struct fake_sandbox *sandbox_named(struct node_kit *k, const char *name)
{
	for (size_t i = 0; i < FAKE_SANDBOXES; i++)
		if (k->sandboxes[i].is_there && span_equal(k->sandboxes[i].status.name, span_of(name)))
			return &k->sandboxes[i];
	return NULL;
}

static void answer_give(struct fake_answer *a)
{
	struct node_kit *k = a->kit;
	struct fake_answer **at = &k->answers;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	k->pending -= !a->is_held;
	if (a->has_changed && sandbox_find(k, span_of(a->uid)) && k->node)
		k->events.changed(k->events.context, &sandbox_find(k, span_of(a->uid))->status);
	if (a->done)
		a->done(a->context, a->err.code ? &a->err : NULL);
	if (a->streamed) {
		struct stream s = { SPAN("1"), -1, -1, -1 };

		a->streamed(a->context, &s, NULL);
		if (k->node)
			k->events.ended(k->events.context, span_of(a->uid), SPAN("1"), k->fails_exec);
	}
	if (a->socketed)
		a->socketed(a->context, a->fd, a->err.code ? &a->err : NULL);
	free(a);
}

static void answer_task(struct loop_task *t)
{
	answer_give(CONTAINER_OF(t, struct fake_answer, task));
}

static struct fake_answer *answer_hold(struct node_kit *k, struct span uid, runtime_done done, void *context,
				       bool has_changed)
{
	struct fake_answer *a = base_calloc(1, sizeof(*a));

	a->kit = k;
	a->done = done;
	a->context = context;
	a->has_changed = has_changed;
	snprintf(a->uid, sizeof(a->uid), SPAN_FMT, SPAN_ARG(uid));
	a->next = k->answers;
	k->answers = a;
	k->pending++;
	a->task.run = answer_task;
	return a;
}

static struct fake_answer *answer(struct node_kit *k, struct span uid, runtime_done done, void *context,
				  bool has_changed)
{
	struct fake_answer *a = answer_hold(k, uid, done, context, has_changed);

	loop_defer(k->api.loop, &a->task);
	return a;
}

static void changed(struct node_kit *k, struct fake_sandbox *s)
{
	(void)answer(k, s->status.uid, NULL, NULL, true);
}

static void fake_run(struct runtime *r, const struct sandbox_config *c, runtime_done done, void *context)
{
	struct node_kit *k = kit_of(r);
	struct fake_sandbox *s = k->sandboxes;
	struct error err = { 0 };

	note(k, "run " SPAN_FMT, SPAN_ARG(c->name));
	assert_null(sandbox_find(k, c->uid));
	while (s->is_there)
		s++;
	memset(s, 0, sizeof(*s));
	arena_init(&s->arena, MIB(1));
	s->is_there = true;
	s->status = (struct sandbox_status){ .uid = arena_copy(&s->arena, c->uid, &err),
					     .name_space = arena_copy(&s->arena, c->name_space, &err),
					     .name = arena_copy(&s->arena, c->name, &err),
					     .address = arena_copy(&s->arena, c->address, &err),
					     .folder = arena_copy(&s->arena, c->folder, &err),
					     .is_ready = true,
					     .created_ns = k->now_ns,
					     .containers = s->containers };
	(void)answer(k, c->uid, done, context, true);
}

static void contain_end(struct node_kit *k, struct container_status *c, int code)
{
	c->state = CONTAINER_EXITED;
	c->exit_code = code;
	c->finished_ns = k->now_ns;
	c->reason = code ? SPAN("Error") : SPAN("Completed");
}

static void sandbox_kill(struct node_kit *k, struct fake_sandbox *s)
{
	for (size_t i = 0; i < s->status.container_count; i++)
		if (s->containers[i].state != CONTAINER_EXITED)
			contain_end(k, &s->containers[i], 137);
	s->status.is_ready = false;
}

static void fake_stop(struct runtime *r, struct span uid, runtime_done done, void *context)
{
	struct node_kit *k = kit_of(r);
	struct fake_sandbox *s = sandbox_find(k, uid);

	if (s) {
		note(k, "end " SPAN_FMT, SPAN_ARG(s->status.name));
		sandbox_kill(k, s);
	}
	(void)answer(k, uid, done, context, true);
}

static void fake_remove(struct runtime *r, struct span uid, runtime_done done, void *context)
{
	struct node_kit *k = kit_of(r);
	struct fake_sandbox *s = sandbox_find(k, uid);

	if (s) {
		note(k, "remove " SPAN_FMT, SPAN_ARG(s->status.name));
		s->is_there = false;
		arena_done(&s->arena);
	}
	(void)answer(k, uid, done, context, false);
}

static struct container_status *container_find(struct fake_sandbox *s, struct span name, uint32_t attempt)
{
	for (size_t i = 0; s && i < s->status.container_count; i++)
		if (s->containers[i].attempt == attempt && span_equal(s->containers[i].name, name))
			return &s->containers[i];
	return NULL;
}

static void fake_start(struct runtime *r, struct span uid, const struct container_config *c, runtime_done done,
		       void *context)
{
	struct node_kit *k = kit_of(r);
	struct fake_sandbox *s = sandbox_find(k, uid);
	struct container_status *to;
	struct error err = { 0 };
	struct fake_answer *a;

	assert_non_null(s);
	assert_null(container_find(s, c->name, c->attempt));
	note(k, "start " SPAN_FMT "/" SPAN_FMT "#%u", SPAN_ARG(s->status.name), SPAN_ARG(c->name), c->attempt);
	to = &s->containers[s->status.container_count++];
	*to = (struct container_status){
		.name = arena_copy(&s->arena, c->name, &err),
		.attempt = c->attempt,
		.id = arena_print(&s->arena, &err, SPAN_FMT "-" SPAN_FMT "-%u", SPAN_ARG(uid), SPAN_ARG(c->name),
				  c->attempt),
		.state = CONTAINER_RUNNING,
		.created_ns = k->now_ns,
		.started_ns = k->now_ns,
	};
	if (k->fails_start) {
		contain_end(k, to, 128);
		to->reason = SPAN("StartError");
		to->message = span_of(k->fails_start);
		to->started_ns = 0;
	}
	a = answer(k, uid, done, context, true);
	if (k->fails_start)
		error_set(&a->err, ERROR_INVALID, "%s", k->fails_start);
}

static void fake_container_stop(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				int64_t grace_ns, runtime_done done, void *context)
{
	struct node_kit *k = kit_of(r);
	struct fake_sandbox *s = sandbox_find(k, uid);
	struct container_status *c = container_find(s, name, attempt);

	note(k, "stop " SPAN_FMT "#%u %lld", SPAN_ARG(name), attempt, (long long)(grace_ns / NS_PER_S));
	if (c && c->state == CONTAINER_RUNNING && k->holds_stops) {
		answer_hold(k, uid, done, context, true)->is_held = true;
		k->pending--; /* nothing comes before fake_exit() */
		return;
	}
	if (c && c->state == CONTAINER_RUNNING)
		contain_end(k, c, 143);
	(void)answer(k, uid, done, context, true);
}

static void fake_container_remove(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				  runtime_done done, void *context)
{
	struct node_kit *k = kit_of(r);
	struct fake_sandbox *s = sandbox_find(k, uid);
	struct container_status *c = container_find(s, name, attempt);

	note(k, "drop " SPAN_FMT "#%u", SPAN_ARG(name), attempt);
	if (c) {
		size_t at = (size_t)(c - s->containers);

		memmove(c, c + 1, (s->status.container_count - at - 1) * sizeof(*c));
		s->status.container_count--;
	}
	(void)answer(k, uid, done, context, true);
}

static void fake_update(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
			const struct resources *to, runtime_done done, void *context)
{
	(void)name;
	(void)attempt;
	(void)to;
	(void)answer(kit_of(r), uid, done, context, false);
}

static void fake_exec(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
		      const struct stream_wanted *w,
		      void (*done)(void *context, const struct stream *s, const struct error *err), void *context)
{
	struct fake_answer *a = answer(kit_of(r), uid, NULL, context, false);

	note(kit_of(r), "exec " SPAN_FMT "#%u " SPAN_FMT, SPAN_ARG(name), attempt, SPAN_ARG(w->command[0]));
	a->streamed = done;
}

static void fake_resize(struct runtime *r, struct span uid, struct span name, uint32_t attempt, struct span stream,
			int columns, int rows)
{
	(void)r;
	(void)uid;
	(void)name;
	(void)attempt;
	(void)stream;
	(void)columns;
	(void)rows;
}

static void fake_socket(struct runtime *r, struct span uid, int family, int type,
			void (*done)(void *context, int fd, const struct error *err), void *context)
{
	struct fake_answer *a = answer(kit_of(r), uid, NULL, context, false);

	a->socketed = done;
	a->fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void fake_usage(struct runtime *r, struct span uid,
		       void (*done)(void *context, const struct sandbox_usage *u, const struct error *err),
		       void *context)
{
	static const struct error err = { .code = ERROR_UNIMPLEMENTED, .message = "nobody counts here" };

	(void)r;
	(void)uid;
	done(context, NULL, &err);
}

static void fake_free(struct runtime *r)
{
	struct node_kit *k = kit_of(r);

	while (k->answers) {
		struct fake_answer *a = k->answers;

		loop_undefer(k->api.loop, &a->task);
		a->has_changed = false;
		error_set(&a->err, ERROR_CANCELLED, "the runtime ends");
		if (a->streamed)
			a->streamed(a->context, NULL, &a->err);
		a->streamed = NULL;
		answer_give(a);
	}
}

static const struct runtime_ops fake_ops = {
	.name = "fake",
	.sandbox_run = fake_run,
	.sandbox_stop = fake_stop,
	.sandbox_remove = fake_remove,
	.container_start = fake_start,
	.container_stop = fake_container_stop,
	.container_remove = fake_container_remove,
	.container_update = fake_update,
	.exec = fake_exec,
	.attach = fake_exec,
	.resize = fake_resize,
	.socket = fake_socket,
	.usage = fake_usage,
	.free = fake_free,
};

static void began(struct loop_task *t)
{
	struct fake_answer *a = CONTAINER_OF(t, struct fake_answer, task);
	struct node_kit *k = a->kit;

	for (size_t i = 0; i < FAKE_SANDBOXES; i++)
		if (k->sandboxes[i].is_there)
			k->events.changed(k->events.context, &k->sandboxes[i].status);
	k->events.began(k->events.context);
	answer_give(a);
}

static struct runtime *fake_new(const struct node_config *config, const struct runtime_events *events,
				struct error *err)
{
	struct node_kit *k = config->context;

	(void)err;
	k->runtime.ops = &fake_ops;
	k->events = *events;
	answer(k, SPAN("-"), NULL, NULL, false)->task.run = began;
	return &k->runtime;
}

void fake_exit(struct node_kit *k, const char *pod, const char *container, int code)
{
	struct fake_sandbox *s = sandbox_named(k, pod);
	bool is_found = false;

	assert_non_null(s);
	for (size_t i = 0; i < s->status.container_count; i++) {
		if (!span_equal(s->containers[i].name, span_of(container)) ||
		    s->containers[i].state != CONTAINER_RUNNING)
			continue;
		contain_end(k, &s->containers[i], code);
		is_found = true;
	}
	assert_true(is_found);
	for (struct fake_answer *a = k->answers; a; a = a->next) {
		if (!a->is_held)
			continue;
		a->is_held = false;
		k->pending++;
		loop_defer(k->api.loop, &a->task);
	}
	changed(k, s);
	node_kit_settle(k);
}

void fake_die(struct node_kit *k, const char *pod)
{
	struct fake_sandbox *s = sandbox_named(k, pod);

	assert_non_null(s);
	sandbox_kill(k, s);
	changed(k, s);
	node_kit_settle(k);
}

/* ---- who asks pods ---- */

static void fake_drain(void *drain_context, const char *pod_address, int64_t most_ns, void (*done)(void *context),
		       void *context)
{
	struct node_kit *k = drain_context;

	note(k, "drain %s %lld", pod_address, (long long)(most_ns / NS_PER_S));
	assert_null(k->drained);
	if (!k->holds_drains) {
		done(context);
		return;
	}
	k->drained = done;
	k->drained_context = context;
}

static void fake_drained_forget(void *drain_context, const char *pod_address)
{
	note(drain_context, "forget %s", pod_address);
}

void fake_drained(struct node_kit *k)
{
	void (*drained)(void *context) = k->drained;

	assert_non_null(drained);
	k->drained = NULL;
	drained(k->drained_context);
	node_kit_settle(k);
}

bool fake_has(struct node_kit *k, const char *pod)
{
	return sandbox_named(k, pod) != NULL;
}

/* ---- the kit ---- */

static int64_t kit_now(void *context)
{
	return ((struct node_kit *)context)->now_ns;
}

void node_kit_begin(struct node_kit *k)
{
	struct node_config config = node_config_default();
	struct error err = { 0 };
	char folder[128];

	snprintf(folder, sizeof(folder), "%s/node", k->api.folder);
	config.cluster = k->api.cluster;
	config.loop = k->api.loop;
	config.folder = folder;
	config.hidden = k->api.folder;
	config.name = "here";
	if (k->pod_addresses)
		config.pod_addresses = k->pod_addresses;
	config.eviction_memory = config.eviction_disk = 0; /* whatever this machine has */
	config.runtime_new = fake_new;
	if (k->drains) {
		config.drain = fake_drain;
		config.drained_forget = fake_drained_forget;
		config.drain_context = k;
	}
	config.wall_ns = kit_now;
	config.context = k;
	k->node = node_new(&config, &err);
	if (!k->node)
		fail_msg("%s", err.message);
	node_kit_settle(k);
}

void node_kit_down(struct node_kit *k)
{
	/* What the cluster would still tell the old node is cut off with its cluster. */
	node_stop(k->node);
	cluster_free(k->api.cluster);
	node_kit_settle(k);
	node_free(k->node);
	k->node = NULL;
	k->api.cluster = cluster_local_new(k->api.kube);
}

void node_kit_again(struct node_kit *k)
{
	node_kit_down(k);
	k->calls[0] = '\0';
	node_kit_begin(k);
}

struct node_kit *node_kit_new(void)
{
	struct node_kit *k = base_calloc(1, sizeof(*k));

	k->now_ns = 1800000000 * NS_PER_S;
	kube_kit_begin(&k->api, false, k->now_ns);
	node_kit_settle(k);
	node_kit_begin(k);
	return k;
}

void node_kit_done(struct node_kit *k)
{
	node_stop(k->node);
	kube_kit_stop(&k->api);
	node_free(k->node);
	k->node = NULL;
	for (size_t i = 0; i < FAKE_SANDBOXES; i++)
		if (k->sandboxes[i].is_there)
			arena_done(&k->sandboxes[i].arena);
	kube_kit_done(&k->api);
	free(k);
}

static bool is_idle(void *context)
{
	return !((struct node_kit *)context)->pending;
}

void node_kit_settle(struct node_kit *k)
{
	kube_kit_settle(&k->api, is_idle, k);
}

void node_kit_advance(struct node_kit *k, int64_t seconds)
{
	k->now_ns += seconds * NS_PER_S;
	kube_kit_wall(&k->api, k->now_ns);
	if (k->node)
		node_tick(k->node);
	node_kit_settle(k);
}

/* ---- objects ---- */

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err)
		fail_msg("%s", err->message);
}

static void object_write(struct node_kit *k, const struct resource *r, enum kube_verb verb, const char *text)
{
	struct error err = { 0 };
	struct value v;
	char *copy = (char *)arena_copy(&k->api.arena, span_of(text), &err).ptr;
	struct cluster_write w = { .resource = r,
				   .verb = verb,
				   .name_space = SPAN("default"),
				   .manager = SPAN("test"),
				   .object = &v,
				   .grace = -1,
				   .done = written };

	for (char *at = copy; (at = strchr(at, '\'')); at++)
		*at = '"';
	if (!value_parse(span_of(copy), NULL, &k->api.arena, &v, &err))
		fail_msg("%s: %s", err.message, copy);
	w.name = value_find_string(&v, "metadata.name");
	cluster_write(k->api.cluster, &w);
	node_kit_settle(k);
}

void node_kit_create(struct node_kit *k, const struct resource *r, const char *text)
{
	object_write(k, r, KUBE_CREATE, text);
}

void node_kit_replace(struct node_kit *k, const struct resource *r, const char *text)
{
	object_write(k, r, KUBE_UPDATE, text);
}

void node_kit_pod(struct node_kit *k, const char *name, const char *spec)
{
	char text[8192];

	snprintf(text, sizeof(text),
		 "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default'},'spec':{'nodeName':"
		 "'here','automountServiceAccountToken':false,%s}}",
		 name, spec);
	node_kit_create(k, &resource_pods, text);
}

void node_kit_delete(struct node_kit *k, const char *pod, int64_t grace)
{
	struct cluster_write w = { .resource = &resource_pods,
				   .verb = KUBE_DELETE,
				   .name_space = SPAN("default"),
				   .name = span_of(pod),
				   .manager = SPAN("test"),
				   .grace = grace,
				   .done = written };

	cluster_write(k->api.cluster, &w);
	node_kit_settle(k);
}

const struct value *node_kit_get(struct node_kit *k, const struct resource *r, const char *name)
{
	struct record *found = cluster_get(k->api.cluster, r, SPAN("default"), span_of(name));
	struct error err = { 0 };

	return found ? cluster_object(k->api.cluster, r, found, &k->api.arena, &err) : NULL;
}

const char *node_kit_at(struct node_kit *k, const char *pod, const char *path)
{
	const struct value *v = node_kit_get(k, &resource_pods, pod);
	struct span rest = span_of(path);
	struct error err = { 0 };
	int64_t index;

	while (v && rest.len) {
		struct span part = span_cut(&rest, '.');

		if (value_is(v, VALUE_ARRAY) && number_parse_int64(part, &index))
			v = index >= 0 && index < v->array.count ? value_item(v, (uint32_t)index) : NULL;
		else
			v = value_get(v, part);
	}
	if (!v)
		return "";
	if (value_is(v, VALUE_STRING))
		return arena_copy(&k->api.arena, v->string, &err).ptr;
	return arena_copy(&k->api.arena, value_print(v, &k->api.arena, &err), &err).ptr;
}

struct counting {
	struct node_kit *kit;
	const char *pod, *reason;
	const char *text;
	int count;
};

static bool event_count(void *context, struct record *r)
{
	struct counting *c = context;
	struct error err = { 0 };
	const struct value *v = cluster_object(c->kit->api.cluster, &resource_events, r, &c->kit->api.arena, &err);

	if (span_equal(value_find_string(v, "involvedObject.name"), span_of(c->pod)) &&
	    span_equal(value_find_string(v, "reason"), span_of(c->reason))) {
		c->count += (int)value_find_int(v, "count", 1);
		c->text = arena_copy(&c->kit->api.arena, value_find_string(v, "message"), &err).ptr;
	}
	return true;
}

int node_kit_events(struct node_kit *k, const char *pod, const char *reason, const char **text)
{
	struct counting c = { .kit = k, .pod = pod, .reason = reason };

	cluster_each(k->api.cluster, &resource_events, SPAN("default"), event_count, &c);
	if (text)
		*text = c.text ? c.text : "";
	return c.count;
}
