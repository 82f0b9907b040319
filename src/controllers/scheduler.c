/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler - pods that have no node get one: of the nodes that take it, the one with the most room left.
 *
 * The pod with the highest priority goes first. A pod that no node takes is told so in its condition PodScheduled, and looked at again when a node, a
 * claim or another pod has changed. Where pods of lower priority are in the way, they are deleted (preemption).
 */
#include "controllers/scheduler.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kube/kinds/kinds.h"

#define TURN_NS (1 * NS_PER_MS) /* behind a pod of higher priority */
enum { NODES_TOLD = 16, VICTIMS_MOST = 64 };

struct memory {
	struct book book;
};

static struct book *book_of(struct manager *m, const struct controller *c)
{
	return &((struct memory *)manager_memory(m, c))->book;
}

/* ---- what is told ---- */

struct told {
	struct span reason;
	int count;
};

static int told_compare(const void *a, const void *b)
{
	const struct told *x = a, *y = b;
	char one[300], two[300];

	snprintf(one, sizeof(one), "%d " SPAN_FMT, x->count, SPAN_ARG(x->reason));
	snprintf(two, sizeof(two), "%d " SPAN_FMT, y->count, SPAN_ARG(y->reason));
	return strcmp(one, two);
}

static struct span reasons_print(struct placing *p, const struct fit *fits, uint32_t count)
{
	struct told told[NODES_TOLD];
	size_t kinds = 0;
	struct buffer b;
	struct span text;

	for (uint32_t i = 0; i < count; i++) {
		for (size_t j = 0; j < fits[i].count; j++) {
			size_t at = 0;

			while (at < kinds && !span_equal(told[at].reason, fits[i].reasons[j]))
				at++;
			if (at == NODES_TOLD)
				continue;
			if (at == kinds)
				told[kinds++] = (struct told){ fits[i].reasons[j], 0 };
			told[at].count++;
		}
	}
	qsort(told, kinds, sizeof(told[0]), told_compare);
	buffer_init(&b, KIB(16));
	for (size_t i = 0; i < kinds; i++)
		buffer_print(&b, "%s%d %.*s", i ? ", " : "", told[i].count, (int)told[i].reason.len,
			     told[i].reason.ptr);
	text = arena_copy(p->r->arena, buffer_span(&b), p->r->err);
	buffer_done(&b);
	return text;
}

static void condition_put(struct reconcile *r, const char *reason, struct span message, struct span nominated)
{
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");
	const struct value *old = condition_find(status, "PodScheduled");
	struct value v = value_object();
	bool is_same = is_text(member(old, "status"), "False");

	put(r, &v, "type", value_string(SPAN("PodScheduled")));
	put(r, &v, "status", value_string(SPAN("False")));
	put(r, &v, "lastProbeTime", value_null());
	put(r, &v, "lastTransitionTime", is_same ? *member(old, "lastTransitionTime") : time_text(r, r->now_ns));
	put(r, &v, "reason", value_string(span_of(reason)));
	put(r, &v, "message", value_string(message));
	if (nominated.len)
		put(r, status, "nominatedNodeName", value_string(nominated));
	if (old && is_same && span_equal(get_text(old, "message"), message) && !nominated.len)
		return;
	condition_drop(status, "PodScheduled");
	put_item(r, put_array(r, status, "conditions"), v);
	reconcile_status(r, &resource_pods, member(r->object, "status"), object);
}

static void unschedulable(struct placing *p, struct span message, struct span nominated)
{
	struct reconcile *r = p->r;
	const struct value *old = condition_find(member(r->object, "status"), "PodScheduled");

	if (!span_equal(get_text(old, "message"), message))
		reconcile_event(r, "Warning", "FailedScheduling", "%.*s", (int)message.len, message.ptr);
	condition_put(r, "Unschedulable", message, nominated);
}

/* ---- claims ---- */

/* True: all are bound. Else the message. */
static bool claims_are_bound(struct placing *p, struct span *ret_why)
{
	const struct value *volumes = member(p->spec, "volumes");

	for (uint32_t i = 0; i < value_count(volumes); i++) {
		struct span name = value_find_string(value_item(volumes, i), "persistentVolumeClaim.claimName");
		const struct value *claim;

		if (member(value_item(volumes, i), "ephemeral"))
			name = arena_print(p->r->arena, p->r->err, SPAN_FMT "-" SPAN_FMT, SPAN_WHOLE(p->r->name),
					   SPAN_ARG(get_text(value_item(volumes, i), "name")));
		if (!name.len)
			continue;
		claim = reconcile_get(p->r, &resource_persistent_volume_claims, p->r->name_space, name);
		if (!claim)
			*ret_why = arena_print(p->r->arena, p->r->err,
					       "persistentvolumeclaim \"" SPAN_FMT "\" not found", SPAN_ARG(name));
		else if (object_is_ending(claim))
			*ret_why =
			    arena_print(p->r->arena, p->r->err,
					"persistentvolumeclaim \"" SPAN_FMT "\" is being deleted", SPAN_ARG(name));
		else if (!is_text(value_find(claim, "status.phase"), "Bound"))
			*ret_why = SPAN("pod has unbound immediate PersistentVolumeClaims");
		else
			continue;
		return false;
	}
	return true;
}

/* ---- preemption ---- */

struct victims {
	struct placing *p;
	struct span node;
	int64_t priority;
	struct booking *items[VICTIMS_MOST];
	size_t count;
};

static void victim_add(void *context, struct booking *e)
{
	struct victims *v = context;

	if (span_equal(span_of(e->node), v->node) && e->priority < v->priority && v->count < VICTIMS_MOST)
		v->items[v->count++] = e;
}

/* The lowest priority first, the youngest of these first. */
static int victim_compare(const void *a, const void *b)
{
	const struct booking *x = *(struct booking *const *)a, *y = *(struct booking *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return (x->created_ns < y->created_ns) - (x->created_ns > y->created_ns);
}

/* So many of them, from the first, make room. 0: not even all. */
static size_t victims_choose(struct victims *v, struct fit *f)
{
	char *nodes[VICTIMS_MOST];
	static char nowhere[] = "";
	size_t needed = 0;

	for (size_t i = 0; i < v->count && !needed; i++) {
		struct fit again = { .node = f->node };

		nodes[i] = v->items[i]->node;
		v->items[i]->node = nowhere;
		fit_check(v->p, &again);
		if (!again.count)
			needed = i + 1;
		else if (i + 1 == v->count)
			break;
	}
	for (size_t i = 0; i < (needed ? needed : v->count); i++)
		v->items[i]->node = nodes[i];
	return needed;
}

static void victim_end(struct placing *p, const struct booking *e, struct span node)
{
	const struct value *pod = reconcile_get(p->r, &resource_pods, span_of(e->name_space), span_of(e->name));

	if (!pod || object_is_ending(pod))
		return;
	cluster_event(p->r->cluster, pod, "Normal", "Preempted", p->r->controller->component,
		      arena_print(p->r->arena, p->r->err, "Preempted by pod " SPAN_FMT " on node " SPAN_FMT,
				  SPAN_ARG(value_find_string(p->pod, "metadata.uid")), SPAN_ARG(node))
			  .ptr);
	reconcile_delete(p->r, &resource_pods, pod);
}

/* True: pods are on their way out to make room; the node is then the one to wait for. */
static bool preempt(struct placing *p, struct fit *fits, uint32_t count, struct span *ret_node)
{
	int64_t priority = value_find_int(p->spec, "priority", 0);

	if (is_text(member(p->spec, "preemptionPolicy"), "Never"))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct victims v = { .p = p, .node = object_name(fits[i].node), .priority = priority };
		size_t needed;

		if (!fits[i].is_resolvable)
			continue;
		book_each(p->book, victim_add, &v);
		qsort(v.items, v.count, sizeof(v.items[0]), victim_compare);
		needed = victims_choose(&v, &fits[i]);
		for (size_t j = 0; j < needed; j++)
			victim_end(p, v.items[j], v.node);
		if (needed) {
			*ret_node = v.node;
			return true;
		}
	}
	return false;
}

/* ---- one pod ---- */

static void no_node(struct placing *p, struct fit *fits, uint32_t count)
{
	struct span nominated = { 0 }, message;
	uint32_t resolvable = 0;
	char preemption[200] = "";

	for (uint32_t i = 0; i < count; i++)
		resolvable += fits[i].is_resolvable;
	if (!preempt(p, fits, count, &nominated)) {
		int len = snprintf(preemption, sizeof(preemption), " preemption: 0/%u nodes are available: ", count);

		if (count > resolvable)
			len += snprintf(preemption + len, sizeof(preemption) - (size_t)len,
					"%u Preemption is not helpful for scheduling%s", count - resolvable,
					resolvable ? ", " : ".");
		if (resolvable)
			snprintf(preemption + len, sizeof(preemption) - (size_t)len,
				 "%u No preemption victims found for incoming pod.", resolvable);
	}
	message = arena_print(p->r->arena, p->r->err, "0/%u nodes are available: %.*s.%s", count,
			      (int)reasons_print(p, fits, count).len, reasons_print(p, fits, count).ptr, preemption);
	unschedulable(p, message, nominated);
}

static void place(struct placing *p)
{
	uint32_t count = value_count(p->nodes);
	struct fit *fits = arena_calloc(p->r->arena, count + 1, sizeof(*fits), p->r->err), *best = NULL;
	struct booking *e = book_find(p->book, value_find_string(p->pod, "metadata.uid"));
	struct span why;

	if (!fits)
		return;
	if (!count) {
		unschedulable(p, SPAN("no nodes available to schedule pods"), (struct span){ 0 });
		return;
	}
	if (!claims_are_bound(p, &why)) {
		unschedulable(
		    p,
		    arena_print(
			p->r->arena, p->r->err,
			"0/%u nodes are available: %.*s. preemption: 0/%u nodes are available: %u Preemption is "
			"not helpful for scheduling.",
			count, (int)why.len, why.ptr, count, count),
		    (struct span){ 0 });
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		fits[i].node = value_item(p->nodes, i);
		fit_check(p, &fits[i]);
		if (!fits[i].count && (!best || fits[i].score > best->score))
			best = &fits[i];
	}
	if (!best) {
		no_node(p, fits, count);
		return;
	}
	if (e) { /* from now on it counts, though nobody has seen it yet */
		free(e->node);
		e->node = span_to_text(object_name(best->node));
		e->is_assumed = true;
	}
	reconcile_bind(p->r, p->pod, object_name(best->node));
}

struct first {
	const struct booking *own;
	bool is_behind;
};

static void behind(void *context, struct booking *e)
{
	struct first *f = context;

	if (e->is_waiting && !e->is_assumed && !e->is_tried && e->priority > f->own->priority)
		f->is_behind = true;
}

/* Behind those of higher priority that were not looked at yet. */
static bool is_first(struct placing *p)
{
	struct first f = { book_find(p->book, value_find_string(p->pod, "metadata.uid")), false };

	if (f.own)
		book_each(p->book, behind, &f);
	return !f.is_behind;
}

bool scheduler_takes(const struct value *pod)
{
	struct span scheduler = value_find_string(pod, "spec.schedulerName");

	return !value_find_string(pod, "spec.nodeName").len && !object_is_ending(pod) &&
	       (!scheduler.len || span_equal(scheduler, SPAN("default-scheduler"))) &&
	       !is_text(value_find(pod, "status.phase"), "Failed") &&
	       !is_text(value_find(pod, "status.phase"), "Succeeded");
}

static void reconcile(struct reconcile *r)
{
	struct placing p = { .r = r, .pod = r->object, .spec = member(r->object, "spec") };
	struct booking *e;

	if (!r->object || !scheduler_takes(r->object))
		return;
	if (value_count(member(p.spec, "schedulingGates"))) {
		condition_put(r, "SchedulingGated", SPAN("Scheduling is blocked due to non-empty scheduling gates"),
			      (struct span){ 0 });
		return;
	}
	p.book = book_of(r->manager, r->controller);
	book_seen(p.book, r->object);
	e = book_find(p.book, value_find_string(r->object, "metadata.uid"));
	if (e && e->is_assumed) { /* the bind has failed, or this would have been seen */
		e->is_assumed = false;
		e->node[0] = '\0';
	}
	if (!is_first(&p)) {
		reconcile_again(r, r->now_ns + TURN_NS);
		return;
	}
	p.nodes = reconcile_list(r, &resource_nodes, (struct span){ 0 });
	if (e)
		e->is_tried = true;
	pod_amounts(r->object, &p.asked);
	p.ports = pod_ports(r->object);
	place(&p);
	free(p.ports);
}

/* ---- what wakes it ---- */

struct waking {
	struct manager *manager;
	const struct controller *controller;
};

static void wake_waiting(void *context, struct booking *e)
{
	const struct waking *w = context;

	e->is_tried = false;
	if (e->is_waiting && !e->is_assumed)
		manager_wake(w->manager, w->controller, span_of(e->name_space), span_of(e->name));
}

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *object)
{
	struct waking w = { m, c };
	struct book *book = book_of(m, c);
	bool was_there;

	if (resource == &resource_pods) {
		struct cluster *cluster = manager_cluster(m);
		struct span uid = value_find_string(object, "metadata.uid");
		struct record *now = cluster_get(cluster, resource, value_find_string(object, "metadata.namespace"),
						 object_name(object));
		struct booking *e = book_find(book, uid);

		was_there = e && *e->node;
		if (!now || !span_equal(record_uid(now), uid))
			book_drop(book, uid);
		else
			book_seen(book, object);
		/* Room comes of pods that go. */
		if (!was_there || book_find(book, uid))
			return;
	}
	book_each(book, wake_waiting, &w);
}

static void memory_drop(void *memory)
{
	book_clear(&((struct memory *)memory)->book);
}

static const struct resource *const read[] = { &resource_pods,
					       &resource_nodes,
					       &resource_persistent_volume_claims,
					       &resource_persistent_volumes,
					       &resource_namespaces,
					       NULL };

const struct controller controller_scheduler = {
	.name = "scheduler",
	.component = "default-scheduler",
	.resource = &resource_pods,
	.read = read,
	.wakes = wakes,
	.reconcile = reconcile,
	.memory_size = sizeof(struct memory),
	.drop = memory_drop,
};
