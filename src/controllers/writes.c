/* SPDX-License-Identifier: Apache-2.0 */
/* writes - what a call asks for is gathered, begun when it returns, and told of when it is done. */
#include "controllers/manager_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "controllers/objects.h"

#define BACKOFF_LEAST_NS (5 * NS_PER_MS) /* as Kubernetes' controllers: doubles with each failure */
#define BACKOFF_MOST_NS  (1000 * NS_PER_S)

/* ---- writes ---- */

struct op {
	struct op *next;
	struct work *work;
	struct cluster_write write;
	char *verb, *text, *about; /* of a report; about: the object of the call, JSON of what events name it by */
	char *failure;             /* what the report says when it fails; NULL: the usual */
	struct op *then;           /* of the same object: its deletion, which waits for this change of it */
	char *names;               /* of a deletion that waits: what the spans of its write are of; NULL: it does not */
	bool is_plain;             /* the reason is the verb itself; a failure is not told */
	bool names_created;        /* the name is told that the new object got */
};

static void op_free(struct op *o)
{
	free(o->verb);
	free(o->text);
	free(o->about);
	free(o->failure);
	free(o->names);
	free(o);
}

static void op_report(const struct op *o, const struct value *object, const struct error *err)
{
	struct span name = o->names_created && !err ? value_find_string(object, "metadata.name") : (struct span){ 0 };
	struct manager *m = o->work->manager;
	char reason[64], text[1024];
	struct error ignored = { 0 };
	struct arena arena;
	struct value about;

	if (err && o->is_plain)
		return;
	snprintf(reason, sizeof(reason), "%s%s", o->is_plain ? "" : err ? "Failed" : "Successful", o->verb);
	if (err && o->failure)
		snprintf(text, sizeof(text), "%s: %s", o->failure, err->message);
	else if (err)
		snprintf(text, sizeof(text), "Error %s: %s", o->write.verb == KUBE_CREATE ? "creating" : "deleting",
			 err->message);
	else
		snprintf(text, sizeof(text), "%s" SPAN_FMT, o->text, SPAN_ARG(name));
	arena_init(&arena, MIB(1));
	if (value_parse(span_of(o->about), NULL, &arena, &about, &ignored))
		cluster_event(m->config.cluster, &about, err ? "Warning" : "Normal", reason,
			      o->work->controller->component, text);
	arena_done(&arena);
}

static void work_finished(struct work *w)
{
	struct manager *m = w->manager;

	w->is_busy = false;
	m->busy--;
	if (w->error.code) {
		int64_t wait = BACKOFF_LEAST_NS << MIN(w->failures, 17u);

		w->failures++;
		due_set(m, w, manager_now(m) + MIN(wait, BACKOFF_MOST_NS));
	} else {
		w->failures = 0;
	}
	if (w->is_dirty) {
		w->is_dirty = false;
		work_enqueue(w);
	}
	timer_arm(m);
	work_drop(w);
}

void work_part_done(struct work *w)
{
	if (--w->parts == 0 && !w->manager->is_stopped)
		work_finished(w);
}

/* What is not as it was seen when the call decided is not deleted: the next call decides anew. */
static void op_then(struct op *o, bool is_wanted)
{
	struct work *w = o->work;

	if (is_wanted && !w->manager->is_stopped) {
		cluster_write(w->manager->config.cluster, &o->write);
		return;
	}
	op_free(o);
	work_part_done(w);
}

static void op_done(void *context, const struct value *object, const struct error *err)
{
	struct op *o = context, *then = o->then;
	struct work *w = o->work;

	/* What is to be gone is gone. */
	if (err && o->write.verb == KUBE_DELETE && err->code == ERROR_NOT_FOUND)
		err = NULL;
	if (err && !w->error.code)
		w->error = *err;
	if (err && (o->write.verb == KUBE_CREATE || span_equal(o->write.subresource, SPAN("scale"))))
		w->refused = *err;
	if (o->verb && !w->manager->is_stopped)
		op_report(o, object, err);
	op_free(o);
	if (then)
		op_then(then, !err);
	work_part_done(w);
}

static void op_add(struct reconcile *r, const struct cluster_write *write)
{
	struct op *o;

	if (r->err->code)
		return;
	o = base_calloc(1, sizeof(*o));
	o->work = r->work;
	o->write = *write;
	o->write.manager = span_of(r->controller->component);
	o->write.done = op_done;
	o->write.context = o;
	*(r->work->last_op ? &r->work->last_op->next : &r->work->first_op) = o;
	r->work->last_op = o;
}

static struct cluster_write write_of(const struct resource *resource, enum kube_verb verb, struct value *object)
{
	return (struct cluster_write){ .resource = resource,
				       .verb = verb,
				       .name_space = value_find_string(object, "metadata.namespace"),
				       .name = value_find_string(object, "metadata.name"),
				       .object = object,
				       .grace = -1 };
}

void reconcile_create(struct reconcile *r, const struct resource *resource, struct value *object)
{
	struct cluster_write w = write_of(resource, KUBE_CREATE, object);

	op_add(r, &w);
}

void reconcile_update(struct reconcile *r, const struct resource *resource, struct value *object)
{
	struct cluster_write w = write_of(resource, KUBE_UPDATE, object);

	op_add(r, &w);
}

void reconcile_status(struct reconcile *r, const struct resource *resource, const struct value *before,
		      struct value *object)
{
	struct cluster_write w = write_of(resource, KUBE_UPDATE, object);

	w.subresource = SPAN("status");
	if (!before || !value_equal(before, value_get(object, SPAN("status"))))
		op_add(r, &w);
}

void reconcile_scale(struct reconcile *r, const struct cluster_scale *scale, int64_t replicas)
{
	static const struct resource kind = { "autoscaling", "v1", "scales", "Scale" };
	struct resource *target = ARENA_NEW(r->arena, struct resource, r->err);
	struct value *object = object_new(r, &kind, scale->name);
	struct cluster_write w;

	if (!target || !object)
		return;
	*target = scale->resource; /* until the write begins */
	put(r, put_object(r, object, "spec"), "replicas", value_int(replicas));
	w = write_of(target, KUBE_UPDATE, object);
	w.subresource = SPAN("scale");
	op_add(r, &w);
}

static bool is_change_before(const struct op *change, const struct op *deletion)
{
	const struct cluster_write *a = &change->write, *b = &deletion->write;

	return a->verb == KUBE_UPDATE && a->resource == b->resource && span_equal(a->name_space, b->name_space) &&
	       span_equal(a->name, b->name) && !change->then;
}

/* Over several connections a deletion could be there before the change that was asked for before it. */
static void op_wait(struct work *w)
{
	struct op *o = w->last_op, *first = w->first_op;
	struct span *names[] = { &o->write.name_space, &o->write.name, &o->write.uid };
	size_t len = 0;

	while (first != o && !is_change_before(first, o))
		first = first->next;
	if (first == o)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		len += names[i]->len;
	o->names = base_calloc(1, len + 1);
	len = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i]->len)
			memcpy(o->names + len, names[i]->ptr, names[i]->len);
		*names[i] = span_from(o->names + len, names[i]->len);
		len += names[i]->len;
	}
	first->then = o;
}

static void delete_add(struct reconcile *r, const struct resource *resource, const struct value *object, int64_t grace)
{
	struct cluster_write w = write_of(resource, KUBE_DELETE, NULL);

	if (r->err->code)
		return;
	w.name_space = value_find_string(object, "metadata.namespace");
	w.name = value_find_string(object, "metadata.name");
	w.uid = value_find_string(object, "metadata.uid");
	w.grace = grace;
	op_add(r, &w);
	op_wait(r->work);
}

void reconcile_delete(struct reconcile *r, const struct resource *resource, const struct value *object)
{
	delete_add(r, resource, object, -1);
}

void reconcile_delete_now(struct reconcile *r, const struct resource *resource, const struct value *object)
{
	delete_add(r, resource, object, 0);
}

static char *message_print(const char *format, va_list args)
{
	char text[1024];
	int len = vsnprintf(text, sizeof(text), format, args);

	return span_to_text(span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)));
}

void reconcile_event(struct reconcile *r, const char *type, const char *reason, const char *format, ...)
{
	va_list args;
	char *text;

	if (r->err->code || !r->object)
		return;
	va_start(args, format);
	text = message_print(format, args);
	va_end(args);
	cluster_event(r->cluster, r->object, type, reason, r->controller->component, text);
	free(text);
}

/* What events name an object by. */
static char *about_print(const struct value *object, struct arena *arena, struct error *err)
{
	static const char *const members[] = { "name", "namespace", "uid", "resourceVersion" };
	struct value about = value_object(), metadata = value_object();
	const struct value *from = value_get(object, SPAN("metadata")), *v;

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if ((v = value_get(from, span_of(members[i]))))
			(void)value_set(&metadata, span_of(members[i]), *v, arena, err);
	for (size_t i = 0; i < 2; i++)
		if ((v = value_get(object, i ? SPAN("kind") : SPAN("apiVersion"))))
			(void)value_set(&about, i ? SPAN("kind") : SPAN("apiVersion"), *v, arena, err);
	(void)value_set(&about, SPAN("metadata"), metadata, arena, err);
	return err->code ? NULL : span_to_text(value_print(&about, arena, err));
}

void reconcile_report(struct reconcile *r, const char *verb, const char *format, ...)
{
	struct op *o = r->work->last_op;
	va_list args;

	if (r->err->code || !r->object || !o)
		return;
	o->about = about_print(r->object, r->arena, r->err);
	if (!o->about)
		return;
	va_start(args, format);
	o->text = message_print(format, args);
	va_end(args);
	o->verb = span_to_text(span_of(verb));
}

void reconcile_report_failure(struct reconcile *r, const char *format, ...)
{
	struct op *o = r->work->last_op;
	va_list args;

	if (r->err->code || !o)
		return;
	va_start(args, format);
	free(o->failure);
	o->failure = message_print(format, args);
	va_end(args);
}

void reconcile_report_created(struct reconcile *r, const char *what)
{
	reconcile_report(r, "Create", "Created %s: ", what);
	if (!r->err->code && r->work->last_op)
		r->work->last_op->names_created = true;
}

void reconcile_bind(struct reconcile *r, const struct value *pod, struct span node)
{
	struct value *binding = ARENA_NEW(r->arena, struct value, r->err), target = value_object(), metadata;
	struct cluster_write w;

	if (!binding)
		return;
	*binding = metadata = value_object();
	put(r, &target, "apiVersion", value_string(SPAN("v1")));
	put(r, &target, "kind", value_string(SPAN("Node")));
	put(r, &target, "name", value_string(node));
	put(r, &metadata, "name", value_string(object_name(pod)));
	put(r, &metadata, "namespace", value_string(value_find_string(pod, "metadata.namespace")));
	put(r, &metadata, "uid", value_string(value_find_string(pod, "metadata.uid")));
	put(r, binding, "apiVersion", value_string(SPAN("v1")));
	put(r, binding, "kind", value_string(SPAN("Binding")));
	put(r, binding, "metadata", metadata);
	put(r, binding, "target", target);
	w = write_of(&resource_pods, KUBE_CREATE, binding);
	w.subresource = SPAN("binding");
	op_add(r, &w);
	reconcile_report(r, "Scheduled", "Successfully assigned %.*s/%.*s to %.*s", (int)r->name_space.len,
			 r->name_space.ptr, (int)r->name.len, r->name.ptr, (int)node.len, node.ptr);
	if (!r->err->code)
		r->work->last_op->is_plain = true;
}

void reconcile_again(struct reconcile *r, int64_t at_ns)
{
	due_set(r->manager, r->work, at_ns);
}

void writes_start(struct work *w, bool are_wanted)
{
	struct op *o = w->first_op, *next, *ready = NULL, **end = &ready;

	w->first_op = w->last_op = NULL;
	for (; o; o = next) {
		next = o->next;
		if (!are_wanted) {
			op_free(o);
			continue;
		}
		w->parts++;
		if (o->names)
			continue;
		*end = o;
		end = &o->next;
	}
	for (*end = NULL; ready; ready = next) { /* one that is done at once is gone */
		next = ready->next;
		cluster_write(w->manager->config.cluster, &ready->write);
	}
}
