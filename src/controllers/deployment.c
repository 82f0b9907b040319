/* SPDX-License-Identifier: Apache-2.0 */
/* deployment - one call: reads what there is, takes the next step of the roll-out, and tells how far it is. */
#include "controllers/deployment.h"

static void read_spec(struct rollout *d)
{
	const struct value *rolling;

	d->spec = member(d->r->object, "spec");
	d->replicas = value_find_int(d->spec, "replicas", 1);
	d->is_paused = value_find_bool(d->spec, "paused");
	d->is_recreate = span_equal(value_find_string(d->spec, "strategy.type"), SPAN("Recreate"));
	d->collisions = value_find_int(d->r->object, "status.collisionCount", -1);
	if (d->is_recreate)
		return;
	rolling = value_find(d->spec, "strategy.rollingUpdate");
	d->surge = scaled(member(rolling, "maxSurge"), d->replicas, true);
	d->unavailable = scaled(member(rolling, "maxUnavailable"), d->replicas, false);
	if (!d->surge && !d->unavailable)
		d->unavailable = 1; /* a percentage of few is none: it must go on nevertheless */
	d->unavailable = MIN(d->unavailable, d->replicas);
}

static void roll(struct rollout *d)
{
	if (!history_make_fresh(d, true) && !fresh_scale(d) && !old_scale(d) && is_complete(d))
		history_trim(d);
	status_sync(d, true);
}

/* Pods of the old sets that still run, or end. */
static bool has_old_pods(struct rollout *d)
{
	const struct value *pods = reconcile_list(d->r, &resource_pods, d->r->name_space);

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *pod = value_item(pods, i);
		struct span phase = value_find_string(pod, "status.phase"), owner = object_controller(pod);

		if (span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed")))
			continue;
		for (uint32_t j = 0; owner.len && j < d->old_count; j++)
			if (span_equal(value_find_string(d->old[j], "metadata.uid"), owner))
				return true;
	}
	return false;
}

static void recreate(struct rollout *d)
{
	if (!old_scale_to_none(d) && !has_old_pods(d) && !history_make_fresh(d, true) && !fresh_scale(d) &&
	    is_complete(d))
		history_trim(d);
	status_sync(d, true);
}

static void reconcile(struct reconcile *r)
{
	struct rollout d = { .r = r };

	if (!r->object)
		return;
	read_spec(&d);
	history_read(&d);
	if (object_is_ending(r->object)) {
		status_sync(&d, false);
		return;
	}
	if (d.is_paused || is_scaling(&d)) {
		if (!history_make_fresh(&d, false))
			scale_in_proportion(&d);
		if (d.is_paused)
			history_trim(&d);
		status_sync(&d, false);
	} else if (d.is_recreate) {
		recreate(&d);
	} else {
		roll(&d);
	}
}

/* A pod that ended may be what Recreate waits for. */
static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *pod)
{
	(void)resource;
	if (!pod_is_active(pod))
		manager_wake_grandparent(m, c, &resource_replica_sets, pod);
}

static const struct resource *const owned[] = { &resource_replica_sets, NULL };
static const struct resource *const read[] = { &resource_pods, NULL };

const struct controller controller_deployment = {
	.name = "deployment-controller",
	.component = "deployment-controller",
	.resource = &resource_deployments,
	.owned = owned,
	.read = read,
	.wakes = wakes,
	.reconcile = reconcile,
};
