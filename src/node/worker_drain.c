/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_drain - a pod that is to end is first no longer asked.
 *
 * Order: no slice of endpoints has it as ready any more → who asks it (the gateway) has been told, and has its answers → preStop, SIGTERM.
 *
 * Why this loses no request while pods are replaced: a Deployment takes an old pod away only after it has seen a new one Ready. The slices
 * that no longer have the old pod were made after its deletion, from what was known then, so they have the new pod. They are what the
 * gateway and the supervisors of pods route by. Should slices be late, the gateway is told all the same, and keeps
 * the requests that no endpoint can take until there is one.
 */
#include "node/worker_private.h"

#include <stdio.h>

#include "base/clock.h"
#include "kube/kinds/kinds.h"
#include "node/addresses.h"
#include "node/drains.h"

#define SLICES_MOST_NS (2 * NS_PER_S) /* slices that nobody keeps true are not waited for */

struct seeking {
	struct pod_worker *w;
	char quoted[ADDRESS_TEXT_MAX + 2];
	bool is_found;
};

static struct span first_address(const struct value *endpoint)
{
	const struct value *list = get(endpoint, "addresses");

	return count_of(list) && value_is(value_item(list, 0), VALUE_STRING) ? value_item(list, 0)->string
									     : (struct span){ 0 };
}

static bool is_asked(const struct value *endpoint, struct span address)
{
	const struct value *conditions = get(endpoint, "conditions"), *ready = get(conditions, "ready");

	return span_equal(first_address(endpoint), address) && !get_bool(conditions, "terminating") &&
	       (!value_is(ready, VALUE_BOOL) || ready->boolean);
}

static bool slice_take(void *context, struct record *r)
{
	struct seeking *s = context;
	struct error ignored = { 0 };
	const struct value *endpoints;
	struct arena arena;

	if (!record_mentions(r, span_of(s->quoted)))
		return true;
	arena_init(&arena, LOOK_MEMORY);
	endpoints =
	    get(cluster_object(s->w->host.cluster, &resource_endpoint_slices, r, &arena, &ignored), "endpoints");
	for (uint32_t i = 0; i < count_of(endpoints) && !s->is_found; i++)
		s->is_found = is_asked(value_item(endpoints, i), span_of(s->w->address));
	arena_done(&arena);
	return !s->is_found;
}

static bool is_in_slices(struct pod_worker *w)
{
	struct seeking s = { .w = w };

	snprintf(s.quoted, sizeof(s.quoted), "\"%s\"", w->address);
	cluster_each(w->host.cluster, &resource_endpoint_slices, span_of(w->name_space), slice_take, &s);
	return s.is_found;
}

static void drained(void *context)
{
	struct pod_worker *w = context;

	w->drain_ended_ns = MAX(worker_now(w), w->drain_begun_ns);
	pod_worker_wake(w);
}

/* Those with the host's address cannot be told from the host, nor from each other. */
void drain_fill(struct look *l)
{
	const struct pod_worker *w = l->w;

	l->view.is_drained_first = w->host.drains && *w->address && !get_bool(get(l->pod, "spec"), "hostNetwork");
	l->view.drain_begun_ns = w->drain_begun_ns;
	l->view.drain_ended_ns = w->drain_ended_ns;
}

static void drain_look(struct look *l)
{
	struct pod_worker *w = l->w;
	int64_t slices_end = w->drain_begun_ns + MIN(SLICES_MOST_NS, w->drain_most_ns / 2);

	/* A pod that is evicted and not deleted stays in the slices until it has ended. */
	if (!w->is_ending && !w->is_evicted && l->now_ns < slices_end && is_in_slices(w)) {
		look_again(l, slices_end);
		return;
	}
	w->drain = drain_begin(w->host.drains, span_of(w->address),
			       MAX(w->drain_begun_ns + w->drain_most_ns - l->now_ns, (int64_t)0), drained, w);
}

void drain_start(struct look *l, int64_t most_ns)
{
	l->w->drain_begun_ns = l->now_ns;
	l->w->drain_most_ns = most_ns;
	drain_look(l);
}

void drain_go_on(struct look *l)
{
	if (l->w->drain_begun_ns && !l->w->drain)
		drain_look(l);
}

void pod_worker_slice_seen(struct pod_worker *w)
{
	if (w->drain_begun_ns && !w->drain)
		pod_worker_wake(w);
}
