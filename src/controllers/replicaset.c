/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replicaset - as many pods as are wanted: adopts, releases, makes and deletes them.
 *
 * Whose turn it is to go when there are too many, first to last: not assigned to a node, pending, not ready, a lower
 * controller.kubernetes.io/pod-deletion-cost, on nodes with more of them, ready for less long (by powers of two: so that the choice
 * among old ones is by chance), more restarts, newer.
 */
#include "controllers/objects.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"

enum { BURST = 500 }; /* pods made or deleted by one call */

struct rank {
	const struct value *pod;
	int64_t cost, ready_since, created, restarts;
	uint32_t neighbours;
	bool is_assigned, is_ready;
	int phase; /* Pending 0, Unknown 1, Running 2 */
	uint64_t chance;
};

static int order(bool first, bool second) /* what is false goes first */
{
	return (int)first - (int)second;
}

static int order_numbers(int64_t first, int64_t second)
{
	return first < second ? -1 : first > second;
}

/* Ages that are within a power of two of one another count as the same. */
static int age_class(int64_t since, int64_t now_ns)
{
	int64_t seconds = (now_ns - since) / NS_PER_S;

	return seconds < 1 ? 0 : 64 - __builtin_clzll((uint64_t)seconds);
}

static int rank_compare(const void *first, const void *second, void *now)
{
	const struct rank *a = first, *b = second;
	int64_t now_ns = *(const int64_t *)now;
	int d = order(a->is_assigned, b->is_assigned);

	d = d ? d : a->phase - b->phase;
	d = d ? d : order(a->is_ready, b->is_ready);
	d = d ? d : order_numbers(a->cost, b->cost);
	d = d ? d : order_numbers(b->neighbours, a->neighbours);
	if (!d && a->is_ready)
		d = age_class(a->ready_since, now_ns) - age_class(b->ready_since, now_ns);
	d = d ? d : order_numbers(b->restarts, a->restarts);
	d = d ? d : age_class(a->created, now_ns) - age_class(b->created, now_ns);
	return d ? d : (a->chance > b->chance) - (a->chance < b->chance);
}

static struct rank rank_of(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");
	const struct value *ready = condition_find(member(pod, "status"), "Ready");
	struct rank rank = { .pod = pod,
			     .is_assigned = value_find_string(pod, "spec.nodeName").len > 0,
			     .is_ready = pod_is_ready(pod),
			     .ready_since = object_time(ready, "lastTransitionTime"),
			     .created = object_time(pod, "metadata.creationTimestamp"),
			     .restarts = pod_restarts(pod),
			     .chance = random_fast() };

	(void)number_parse_int64(object_annotation(pod, "controller.kubernetes.io/pod-deletion-cost"), &rank.cost);
	rank.phase = span_equal(phase, SPAN("Running")) ? 2 : span_equal(phase, SPAN("Pending")) || !phase.len ? 0 : 1;
	return rank;
}

static void neighbours_count(struct rank *ranks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; ranks[i].is_assigned && j < count; j++)
			ranks[i].neighbours += span_equal(value_find_string(ranks[i].pod, "spec.nodeName"),
							  value_find_string(ranks[j].pod, "spec.nodeName"));
}

static void pods_delete(struct reconcile *r, const struct value *pods, int64_t count)
{
	struct rank *ranks = ARENA_ARRAY(r->arena, struct rank, pods->array.count, r->err);
	uint32_t active = 0;

	for (uint32_t i = 0; ranks && i < pods->array.count; i++)
		if (pod_is_active(value_item(pods, i)))
			ranks[active++] = rank_of(value_item(pods, i));
	if (!ranks)
		return;
	if ((int64_t)active > count)
		neighbours_count(ranks, active);
	qsort_r(ranks, active, sizeof(*ranks), rank_compare, &r->now_ns);
	for (int64_t i = 0; i < MIN(count, (int64_t)BURST) && i < active; i++) {
		reconcile_delete(r, &resource_pods, ranks[i].pod);
		reconcile_report(r, "Delete", "Deleted pod: " SPAN_FMT, SPAN_ARG(object_name(ranks[i].pod)));
	}
}

/* While the last one could not be made, one is tried at a time: a quota that is used up is asked once, not five hundred times. */
static void pods_create(struct reconcile *r, int64_t count, bool did_fail)
{
	count = did_fail ? 1 : MIN(count, (int64_t)BURST);
	for (int64_t i = 0; i < count; i++) {
		struct value *pod =
		    pod_from_template(r, value_find(r->object, "spec.template"), object_name(r->object));

		if (!pod)
			return;
		reconcile_create(r, &resource_pods, pod);
		reconcile_report_created(r, "pod");
	}
}

static bool has_labels_of_template(const struct value *pod, const struct value *template)
{
	const struct value *labels = value_find(template, "metadata.labels");

	for (uint32_t i = 0; value_is(labels, VALUE_OBJECT) && i < labels->object.count; i++) {
		const struct value *mine = value_get(value_find(pod, "metadata.labels"), labels->object.members[i].key);

		if (!mine || !value_equal(mine, &labels->object.members[i].value))
			return false;
	}
	return true;
}

static void status_write(struct reconcile *r, const struct value *pods)
{
	const struct value *before = value_find(r->object, "status");
	int64_t min_ready = value_find_int(r->object, "spec.minReadySeconds", 0);
	int64_t again = INT64_MAX, count = 0, labelled = 0, ready = 0, available = 0;
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *pod = value_item(pods, i);

		if (!pod_is_active(pod))
			continue;
		count++;
		labelled += has_labels_of_template(pod, value_find(r->object, "spec.template"));
		ready += pod_is_ready(pod);
		available += pod_is_available(pod, min_ready, r->now_ns, &again);
	}
	put(r, status, "replicas", value_int(count));
	put_count(r, status, "fullyLabeledReplicas", labelled);
	put_count(r, status, "readyReplicas", ready);
	put_count(r, status, "availableReplicas", available);
	put(r, status, "observedGeneration", value_int(value_find_int(r->object, "metadata.generation", 0)));
	if (r->refused.len)
		condition_set(
		    r, status,
		    &(struct condition){
			.type = "ReplicaFailure", .status = "True", .reason = "FailedCreate", .message = r->refused });
	else
		condition_drop(status, "ReplicaFailure");
	if (status->object.count && !value_count(value_get(status, SPAN("conditions"))))
		(void)value_remove(status, SPAN("conditions"));
	reconcile_status(r, r->controller->resource, before, object);
	if (again != INT64_MAX)
		reconcile_again(r, again);
}

static void reconcile(struct reconcile *r)
{
	struct value *pods;
	int64_t wanted, active = 0;

	if (!r->object)
		return;
	pods = reconcile_claim(r, &resource_pods, value_find(r->object, "spec.selector"));
	for (uint32_t i = 0; i < value_count(pods); i++)
		active += pod_is_active(value_item(pods, i));
	wanted = value_find_int(r->object, "spec.replicas", 1);
	if (!object_is_ending(r->object)) {
		if (active < wanted)
			pods_create(r, wanted - active, r->refused.len > 0);
		else if (active > wanted)
			pods_delete(r, pods, active - wanted);
	}
	status_write(r, pods);
}

static const struct resource *const owned[] = { &resource_pods, NULL };

const struct controller controller_replicaset = {
	.name = "replicaset-controller",
	.component = "replicaset-controller",
	.resource = &resource_replica_sets,
	.owned = owned,
	.reconcile = reconcile,
};
