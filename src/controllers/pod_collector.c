/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod_collector - pods that no node will ever end are ended here; of those that have ended only so many are kept.
 *
 * A node that is not there may come back: for forty seconds it is waited for.
 */
#include "controllers/node_lifecycle.h"

#include <stdlib.h>

#include "base/clock.h"

#define QUARANTINE_NS (40 * NS_PER_S)
#define PERIOD_NS     (20 * NS_PER_S) /* of counting those that have ended */

enum { KEPT_MOST = 12500 };

static bool has_ended(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

/* ---- one pod ---- */

/* It has failed, and is gone at once. `reason` NULL: nothing more is told. */
static void end(struct reconcile *r, const char *reason, const char *message)
{
	struct value *copy = object_copy(r, r->object);

	if (!has_ended(r->object)) {
		put(r, put_object(r, copy, "status"), "phase", value_string(SPAN("Failed")));
		if (reason)
			(void)pod_condition_set(r, copy, "DisruptionTarget", "True", reason, message);
		reconcile_status(r, r->controller->resource, NULL, copy); /* then it goes */
		return;
	}
	reconcile_delete_now(r, r->controller->resource, r->object);
}

static bool is_out_of_service(const struct value *node)
{
	const struct value *taints = value_find(node, "spec.taints");

	for (uint32_t i = 0; i < value_count(taints); i++)
		if (span_equal(value_find_string(value_item(taints, i), "key"),
			       SPAN("node.kubernetes.io/out-of-service")))
			return !span_equal(node_ready(node), SPAN("True"));
	return false;
}

static void reconcile(struct reconcile *r)
{
	struct span name = value_find_string(r->object, "spec.nodeName");
	const struct value *node;

	if (!r->object)
		return;
	if (!name.len) {
		if (object_is_ending(r->object))
			end(r, NULL, NULL);
		return;
	}
	node = reconcile_get(r, &resource_nodes, (struct span){ 0 }, name);
	if (node) {
		if (object_is_ending(r->object) && is_out_of_service(node))
			end(r, NULL, NULL);
		return;
	}
	/* The second step of what was decided needs no waiting. */
	if (r->is_due || condition_is(member(r->object, "status"), "DisruptionTarget", "True"))
		end(r, "DeletionByPodGC", "PodGC: node no longer exists");
	else
		reconcile_again(r, r->now_ns + QUARANTINE_NS);
}

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *node)
{
	(void)resource;
	if (!cluster_get(manager_cluster(m), &resource_nodes, (struct span){ 0 }, object_name(node)) ||
	    is_out_of_service(node))
		manager_wake_matching(m, c, node);
}

static bool takes(const struct value *pod, const struct value *node)
{
	return span_equal(value_find_string(pod, "spec.nodeName"), object_name(node));
}

/* ---- all that have ended ---- */

struct ended {
	const struct value *pod;
	bool is_evicted;
	int64_t created;
};

static int compare_ended(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	if (x->is_evicted != y->is_evicted)
		return x->is_evicted ? -1 : 1;
	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return span_order(object_name(x->pod), object_name(y->pod));
}

static bool count_one(void *context, struct record *record)
{
	(void)record;
	++*(uint32_t *)context;
	return true;
}

static void keep_some(struct reconcile *r)
{
	uint32_t most = r->config->ended_pods_most ? r->config->ended_pods_most : KEPT_MOST, count = 0;
	const struct value *pods;
	struct ended *ended;

	if (!r->object || !span_equal(r->name, SPAN("kube-system")))
		return; /* once for all namespaces */
	reconcile_again(r, r->now_ns + PERIOD_NS);
	cluster_each(r->cluster, &resource_pods, (struct span){ 0 }, count_one, &count);
	if (count <= most)
		return;
	pods = reconcile_list(r, &resource_pods, (struct span){ 0 });
	ended = ARENA_ARRAY(r->arena, struct ended, value_count(pods) + 1, r->err);
	count = 0;
	for (uint32_t i = 0; ended && i < value_count(pods); i++) {
		const struct value *pod = value_item(pods, i);

		if (has_ended(pod))
			ended[count++] = (struct ended){
				.pod = pod,
				.is_evicted = span_equal(value_find_string(pod, "status.reason"), SPAN("Evicted")),
				.created = object_time(pod, "metadata.creationTimestamp"),
			};
	}
	if (!ended || count <= most)
		return;
	qsort(ended, count, sizeof(*ended), compare_ended);
	for (uint32_t i = 0; i < count - most; i++)
		reconcile_delete_now(r, &resource_pods, ended[i].pod);
}

#define NAME      "pod-garbage-collector-controller"
#define COMPONENT "pod-garbage-collector"

static const struct resource *const read_nodes[] = { &resource_nodes, NULL };
static const struct resource *const quiet_pods[] = { &resource_pods, NULL };

const struct controller controller_pod_collector = {
	.name = NAME,
	.component = COMPONENT,
	.resource = &resource_pods,
	.read = read_nodes,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};

const struct controller controller_ended_pods = {
	.name = NAME,
	.component = COMPONENT,
	.resource = &resource_namespaces,
	.quiet = quiet_pods,
	.reconcile = keep_some,
};
