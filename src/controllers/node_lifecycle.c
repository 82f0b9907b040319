/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_lifecycle - Node: one that has not renewed its lease is unknown; its pods are not ready then, and taints say so.
 *
 * A node is heard of by its lease, by the heartbeat of its status, and when these controllers began: what was not watched was not missed.
 * Pods are sent away from a node that is gone (taints with NoExecute) only while another node is well: when none is, the fault is likely
 * ours.
 */
#include "controllers/node_lifecycle.h"

#include "base/clock.h"
#include "kube/kinds/kinds.h"

#define GRACE_NS         (40 * NS_PER_S)
#define STARTUP_GRACE_NS (60 * NS_PER_S) /* of a node that never told anything */

#define NOT_READY     "node.kubernetes.io/not-ready"
#define UNREACHABLE   "node.kubernetes.io/unreachable"
#define UNSCHEDULABLE "node.kubernetes.io/unschedulable"

static const struct {
	const char *type, *status, *key;
} condition_taints[] = {
	{ "Ready", "False", NOT_READY },
	{ "Ready", "Unknown", UNREACHABLE },
	{ "MemoryPressure", "True", "node.kubernetes.io/memory-pressure" },
	{ "DiskPressure", "True", "node.kubernetes.io/disk-pressure" },
	{ "NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable" },
	{ "PIDPressure", "True", "node.kubernetes.io/pid-pressure" },
};

struct span node_ready(const struct value *node)
{
	return value_find_string(condition_find(member(node, "status"), "Ready"), "status");
}

/* ---- when it was heard of ---- */

static int64_t heard_ns(struct reconcile *r)
{
	const struct value *lease = reconcile_get(r, &resource_leases, SPAN("kube-node-lease"), r->name);
	const struct value *ready = condition_find(member(r->object, "status"), "Ready");
	int64_t heard = ready ? MAX(object_time(ready, "lastHeartbeatTime"), r->started_ns)
			      : object_time(r->object, "metadata.creationTimestamp");

	return MAX(heard, object_time(lease, "spec.renewTime"));
}

static void condition_forget(struct reconcile *r, struct value *status, const char *type)
{
	struct value *conditions = put_array(r, status, "conditions"), *at = NULL, fresh = value_object();

	for (uint32_t i = 0; i < value_count(conditions) && !at; i++)
		if (span_equal(value_find_string(value_item(conditions, i), "type"), span_of(type)))
			at = value_item(conditions, i);
	if (at && span_equal(value_find_string(at, "status"), SPAN("Unknown")))
		return;
	if (at) {
		put(r, at, "status", value_string(SPAN("Unknown")));
		put(r, at, "lastTransitionTime", time_text(r, r->now_ns));
		put(r, at, "reason", value_string(SPAN("NodeStatusUnknown")));
		put(r, at, "message", value_string(SPAN("Kubelet stopped posting node status.")));
		return;
	}
	put(r, &fresh, "type", value_string(span_of(type)));
	put(r, &fresh, "status", value_string(SPAN("Unknown")));
	put(r, &fresh, "lastHeartbeatTime", copied(r, value_find(r->object, "metadata.creationTimestamp")));
	put(r, &fresh, "lastTransitionTime", time_text(r, r->now_ns));
	put(r, &fresh, "reason", value_string(SPAN("NodeStatusNeverUpdated")));
	put(r, &fresh, "message", value_string(SPAN("Kubelet never posted node status.")));
	put_item(r, conditions, fresh);
}

/* True: the status is written, and the rest follows when that is seen. */
static bool forget(struct reconcile *r)
{
	static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		condition_forget(r, status, types[i]);
	if (r->err->code || value_equal(r->object, object))
		return false;
	if (span_equal(node_ready(r->object), SPAN("True")))
		reconcile_event(r, "Normal", "NodeNotReady", "Node " SPAN_FMT " status is now: NodeNotReady",
				SPAN_ARG(r->name));
	reconcile_status(r, r->controller->resource, NULL, object);
	return true;
}

/* ---- its pods ---- */

static void pods_are_not_ready(struct reconcile *r)
{
	const struct value *pods = reconcile_list(r, &resource_pods, (struct span){ 0 });

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *pod = value_item(pods, i);
		struct value *copy;

		if (!span_equal(value_find_string(pod, "spec.nodeName"), r->name) || !pod_is_ready(pod))
			continue;
		copy = object_copy(r, pod);
		(void)pod_condition_set(r, copy, "Ready", "False", NULL, NULL);
		reconcile_status(r, &resource_pods, NULL, copy);
		cluster_event(r->cluster, pod, "Warning", "NodeNotReady", r->controller->component,
			      "Node is not ready");
	}
}

/* ---- taints ---- */

static bool is_taint(const struct value *taint, const char *key, const char *effect)
{
	return span_equal(value_find_string(taint, "key"), span_of(key)) &&
	       span_equal(value_find_string(taint, "effect"), span_of(effect));
}

static void taint_set(struct reconcile *r, struct value *taints, const char *key, const char *effect, bool is_wanted)
{
	struct value fresh = value_object();

	for (uint32_t i = 0; i < value_count(taints); i++) {
		if (!is_taint(value_item(taints, i), key, effect))
			continue;
		if (!is_wanted)
			value_remove_item(taints, i);
		return;
	}
	if (!is_wanted)
		return;
	put(r, &fresh, "key", value_string(span_of(key)));
	put(r, &fresh, "effect", value_string(span_of(effect)));
	put(r, &fresh, "timeAdded", time_text(r, r->now_ns));
	put_item(r, taints, fresh);
}

/* So that those who leave after a while know since when: kubectl does not say it. */
static void times_add(struct reconcile *r, struct value *taints)
{
	for (uint32_t i = 0; i < value_count(taints); i++) {
		struct value *t = value_item(taints, i);

		if (span_equal(value_find_string(t, "effect"), SPAN("NoExecute")) && !member(t, "timeAdded"))
			put(r, t, "timeAdded", time_text(r, r->now_ns));
	}
}

static bool is_any_well(struct reconcile *r)
{
	const struct value *nodes = reconcile_list(r, &resource_nodes, (struct span){ 0 });

	for (uint32_t i = 0; i < value_count(nodes); i++)
		if (span_equal(node_ready(value_item(nodes, i)), SPAN("True")))
			return true;
	return false;
}

static void taints_write(struct reconcile *r)
{
	struct value *object = object_copy(r, r->object), *spec = put_object(r, object, "spec");
	struct value *taints = put_array(r, spec, "taints");
	const struct value *status = member(r->object, "status");
	struct span ready = node_ready(r->object);
	bool sends_away = !span_equal(ready, SPAN("True")) && is_any_well(r);

	for (size_t i = 0; i < ARRAY_LEN(condition_taints); i++)
		taint_set(r, taints, condition_taints[i].key, "NoSchedule",
			  condition_is(status, condition_taints[i].type, condition_taints[i].status));
	taint_set(r, taints, UNSCHEDULABLE, "NoSchedule", value_find_bool(spec, "unschedulable"));
	taint_set(r, taints, NOT_READY, "NoExecute", sends_away && span_equal(ready, SPAN("False")));
	taint_set(r, taints, UNREACHABLE, "NoExecute", sends_away && span_equal(ready, SPAN("Unknown")));
	times_add(r, taints);
	if (!value_count(taints))
		(void)value_remove(spec, SPAN("taints"));
	if (!r->err->code && !value_equal(r->object, object))
		reconcile_update(r, r->controller->resource, object);
}

static void reconcile(struct reconcile *r)
{
	int64_t until;

	if (!r->object || object_is_ending(r->object))
		return;
	until = heard_ns(r) + (condition_find(member(r->object, "status"), "Ready") ? GRACE_NS : STARTUP_GRACE_NS);
	if (until > r->now_ns)
		reconcile_again(r, until);
	else if (forget(r))
		return;
	if (span_equal(node_ready(r->object), SPAN("Unknown")))
		pods_are_not_ready(r);
	taints_write(r);
}

/* A lease is looked at when it may have run out. A node that gets well, or ill, matters to those that are ill. */
static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *object)
{
	(void)resource;
	manager_wake_matching(m, c, object);
}

static bool takes(const struct value *node, const struct value *other)
{
	return !span_equal(node_ready(node), SPAN("True")) && !span_equal(object_name(node), object_name(other));
}

static const struct resource *const read[] = { &resource_nodes, NULL };
static const struct resource *const quiet[] = { &resource_leases, &resource_pods, NULL };

const struct controller controller_node_lifecycle = {
	.name = "node-lifecycle-controller",
	.component = "node-controller",
	.resource = &resource_nodes,
	.read = read,
	.quiet = quiet,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
