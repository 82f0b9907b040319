/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemonset_keep - every node that should have a pod of the set has one, and no other has.
 *
 * A pod that failed is deleted and one that knows how many failed before it takes its place. It may fail in turn at
 * once, and is then left for a while, by its age and that number: a second, two, four ... a quarter of an hour.
 */
#include "controllers/daemonset.h"

#include "base/clock.h"

#define FAILED_LEAST_NS ((int64_t)NS_PER_S)
#define FAILED_MOST_NS  (900 * (int64_t)NS_PER_S)

static bool is_in_phase(const struct value *pod, const char *phase)
{
	return span_equal(value_find_string(pod, "status.phase"), span_of(phase));
}

/* What failed before counts for the same template, and when the pod did not live for long. */
static int64_t failures_before(const struct daemons *d, const struct value *pod)
{
	int64_t age = d->r->now_ns - object_time(pod, "metadata.creationTimestamp");

	return daemon_is_current(d, pod) && age <= 2 * FAILED_MOST_NS ? daemon_failures(pod) : 0;
}

static int64_t failed_until(const struct daemons *d, const struct value *pod)
{
	int64_t failures = failures_before(d, pod);

	if (!failures)
		return 0;
	return object_time(pod, "metadata.creationTimestamp") +
	       MIN(FAILED_LEAST_NS << MIN(failures - 1, (int64_t)20), FAILED_MOST_NS);
}

/* What a node has, without pods that are ending. */
struct have {
	const struct value **running;
	uint32_t count;
	int64_t failures;        /* of the pods deleted, and before them; 0: none failed */
	bool has_failed_waiting; /* one is left for a while */
};

static void failed_handle(struct daemons *d, const struct daemon_place *place, const struct value *pod,
			  struct have *have)
{
	int64_t until = failed_until(d, pod);

	if (until > d->r->now_ns) {
		d->again_ns = MIN(d->again_ns, until);
		have->has_failed_waiting = true;
		return;
	}
	have->failures = MAX(have->failures, failures_before(d, pod) + 1);
	reconcile_event(d->r, "Warning", "FailedDaemonPod",
			"Found failed daemon pod " SPAN_FMT "/" SPAN_FMT " on node " SPAN_FMT ", will try to kill it",
			SPAN_ARG(d->r->name_space), SPAN_ARG(object_name(pod)), SPAN_ARG(place->node));
	daemon_drop(d, pod);
}

static void ended_handle(struct daemons *d, const struct daemon_place *place, struct have *have)
{
	for (uint32_t i = 0; i < place->count; i++) {
		const struct value *pod = place->pods[i];

		if (object_is_ending(pod))
			continue;
		if (is_in_phase(pod, "Failed")) {
			failed_handle(d, place, pod, have);
		} else if (is_in_phase(pod, "Succeeded")) {
			reconcile_event(d->r, "Normal", "SucceededDaemonPod",
					"Found succeeded daemon pod " SPAN_FMT "/" SPAN_FMT " on node " SPAN_FMT
					", will try to delete it",
					SPAN_ARG(d->r->name_space), SPAN_ARG(object_name(pod)), SPAN_ARG(place->node));
			daemon_drop(d, pod);
		} else {
			have->running[have->count++] = pod;
		}
	}
}

/* With a surge a node may have an old pod and a new one, until the new one is available or the old one not ready. */
static void surplus_drop(struct daemons *d, const struct have *have)
{
	const struct value *fresh = NULL, *old = NULL;

	for (uint32_t i = 0; i < have->count; i++) {
		const struct value **oldest = daemon_is_current(d, have->running[i]) ? &fresh : &old;

		if (*oldest)
			daemon_drop(d, have->running[i]);
		else
			*oldest = have->running[i];
	}
	if (fresh && old && (!pod_is_ready(old) || daemon_is_available(d, fresh)))
		daemon_drop(d, old);
}

static void place_keep(struct daemons *d, const struct daemon_place *place, bool has_surge)
{
	struct have have = { .running = ARENA_ARRAY(d->r->arena, const struct value *, place->count + 1, d->r->err) };

	if (!have.running)
		return;
	ended_handle(d, place, &have);
	if (!have.count && place->should_run && !have.has_failed_waiting && (have.failures || has_surge))
		daemon_make(d, place, have.failures);
	if (has_surge)
		surplus_drop(d, &have);
	else
		for (uint32_t i = 1; i < have.count; i++)
			daemon_drop(d, have.running[i]);
}

/* On a node that is gone, a pod that was never assigned waits for ever; others are somebody else's to remove. */
static void place_clear(struct daemons *d, const struct daemon_place *place)
{
	for (uint32_t i = 0; i < place->count; i++)
		if (!object_is_ending(place->pods[i]) &&
		    (place->is_there || !value_find_string(place->pods[i], "spec.nodeName").len))
			daemon_drop(d, place->pods[i]);
}

void daemon_places_keep(struct daemons *d)
{
	bool has_surge = daemon_surge(d, 1) > 0;

	for (uint32_t i = 0; i < d->place_count && !d->r->err->code; i++) {
		const struct daemon_place *place = &d->places[i];

		if (place->should_run && !place->count)
			daemon_make(d, place, 0);
		else if (place->may_stay)
			place_keep(d, place, has_surge);
		else
			place_clear(d, place);
	}
}
