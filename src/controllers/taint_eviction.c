/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taint_eviction - pods leave a node that has a taint with NoExecute which they do not bear, at once or when their time is over.
 *
 * The time runs from when the taint came, or the pod when that was later.
 */
#include "controllers/node_lifecycle.h"

#include "base/clock.h"

#define FOREVER INT64_MAX

static bool tolerates(const struct value *toleration, const struct value *taint)
{
	struct span effect = value_find_string(toleration, "effect"), key = value_find_string(toleration, "key");

	if (effect.len && !span_equal(effect, SPAN("NoExecute")))
		return false;
	if (key.len && !span_equal(key, value_find_string(taint, "key")))
		return false;
	return span_equal(value_find_string(toleration, "operator"), SPAN("Exists")) ||
	       span_equal(value_find_string(toleration, "value"), value_find_string(taint, "value"));
}

/* How long the pod stays with the taint, in seconds. */
static int64_t patience(const struct value *pod, const struct value *taint)
{
	const struct value *tolerations = value_find(pod, "spec.tolerations");

	for (uint32_t i = 0; i < value_count(tolerations); i++) {
		const struct value *t = value_item(tolerations, i);

		if (tolerates(t, taint))
			return MAX(value_find_int(t, "tolerationSeconds", FOREVER), (int64_t)0);
	}
	return 0;
}

/* When the pod is to go; FOREVER: it may stay. */
static int64_t leaves_at(const struct value *pod, const struct value *node)
{
	const struct value *taints = value_find(node, "spec.taints");
	int64_t came = object_time(pod, "metadata.creationTimestamp"), leaves = FOREVER;

	for (uint32_t i = 0; i < value_count(taints); i++) {
		const struct value *t = value_item(taints, i);
		int64_t seconds;

		if (!span_equal(value_find_string(t, "effect"), SPAN("NoExecute")))
			continue;
		seconds = patience(pod, t);
		if (seconds == 0)
			return 0;
		/* Without a time it is about to get one: node_lifecycle.c. */
		if (seconds < FOREVER / NS_PER_S / 4 && member(t, "timeAdded"))
			leaves = MIN(leaves, MAX(object_time(t, "timeAdded"), came) + seconds * NS_PER_S);
	}
	return leaves;
}

static void reconcile(struct reconcile *r)
{
	struct span name = value_find_string(r->object, "spec.nodeName");
	const struct value *node;
	struct value *copy;
	int64_t at;

	if (!r->object || object_is_ending(r->object) || !name.len)
		return;
	node = reconcile_get(r, &resource_nodes, (struct span){ 0 }, name);
	at = node ? leaves_at(r->object, node) : FOREVER;
	if (at == FOREVER)
		return;
	if (at > r->now_ns) {
		reconcile_again(r, at);
		return;
	}
	copy = object_copy(r, r->object);
	if (pod_condition_set(r, copy, "DisruptionTarget", "True", "DeletionByTaintManager",
			      "Taint manager: deleting due to NoExecute taint")) {
		reconcile_status(r, r->controller->resource, NULL, copy); /* then it goes */
		return;
	}
	reconcile_event(r, "Normal", "TaintManagerEviction", "Marking for deletion Pod " SPAN_FMT "/" SPAN_FMT,
			SPAN_ARG(r->name_space), SPAN_ARG(r->name));
	reconcile_delete(r, r->controller->resource, r->object);
}

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *node)
{
	const struct value *taints = value_find(node, "spec.taints");

	(void)resource;
	for (uint32_t i = 0; i < value_count(taints); i++) {
		if (span_equal(value_find_string(value_item(taints, i), "effect"), SPAN("NoExecute"))) {
			manager_wake_matching(m, c, node);
			return;
		}
	}
}

static bool takes(const struct value *pod, const struct value *node)
{
	return span_equal(value_find_string(pod, "spec.nodeName"), object_name(node));
}

static const struct resource *const read[] = { &resource_nodes, NULL };

const struct controller controller_taint_eviction = {
	.name = "taint-eviction-controller",
	.component = "taint-eviction-controller",
	.resource = &resource_pods,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
