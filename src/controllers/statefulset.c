/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statefulset - pods with numbers: made one after the other as each gets ready, taken away and replaced from the last.
 *
 * With podManagementPolicy Parallel nobody waits for anybody while pods are made and taken away; a roll-out still goes
 * one by one.
 * Places are walked, not kept in a table: a set may ask for more pods than there is memory.
 */
#include "controllers/statefulset.h"

#include <stdlib.h>

enum { BURST = 500 }; /* pods made by one call */

/* ---- what there is ---- */

static bool is_text(const struct value *v, const char *path, const char *text)
{
	return span_equal(value_find_string(v, path), span_of(text));
}

static void spec_read(struct stateful *s)
{
	s->spec = member(s->r->object, "spec");
	s->claims = member(s->spec, "volumeClaimTemplates");
	s->start = value_find_int(s->spec, "ordinals.start", 0);
	s->replicas = value_find_int(s->spec, "replicas", 1);
	s->partition = value_find_int(s->spec, "updateStrategy.rollingUpdate.partition", 0);
	s->min_ready = value_find_int(s->spec, "minReadySeconds", 0);
	s->is_parallel = is_text(s->spec, "podManagementPolicy", "Parallel");
	s->is_rolling = !is_text(s->spec, "updateStrategy.type", "OnDelete");
	s->drops_claims_on_delete = is_text(s->spec, "persistentVolumeClaimRetentionPolicy.whenDeleted", "Delete");
	s->drops_claims_on_scale = is_text(s->spec, "persistentVolumeClaimRetentionPolicy.whenScaled", "Delete");
	s->again_ns = INT64_MAX;
}

static bool is_member(const struct value *set, const struct value *pod)
{
	return stateful_ordinal(object_name(set), object_name(pod)) >= 0;
}

static int compare_ordinals(const void *a, const void *b)
{
	const struct numbered *first = a, *second = b;

	return (first->ordinal > second->ordinal) - (first->ordinal < second->ordinal);
}

static bool pods_read(struct stateful *s)
{
	struct value *list = reconcile_claim_if(s->r, &resource_pods, member(s->spec, "selector"), is_member);

	s->pods = ARENA_ARRAY(s->r->arena, struct numbered, value_count(list) + 1, s->r->err);
	if (!s->pods)
		return false;
	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *pod = value_item(list, i);

		s->pods[s->pod_count++] = (struct numbered){ pod, stateful_ordinal(s->r->name, object_name(pod)) };
	}
	qsort(s->pods, s->pod_count, sizeof(*s->pods), compare_ordinals);
	return !s->r->err->code;
}

static bool revisions_settle(struct stateful *s)
{
	const struct value *status = member(s->r->object, "status");

	s->revisions.collisions = MAX(s->revisions.collisions, (int64_t)0);
	if (object_is_ending(s->r->object)) /* its history goes too: none is made any more */
		s->update = revisions_find(&s->revisions, value_find_string(status, "updateRevision"));
	else
		s->update = revisions_ensure(s->r, &s->revisions, "controller.kubernetes.io/hash");
	s->current = revisions_find(&s->revisions, value_find_string(status, "currentRevision"));
	if (!s->current)
		s->current = s->update;
	return s->update != NULL;
}

static const struct numbered *pod_at(const struct stateful *s, int64_t ordinal)
{
	struct numbered key = { NULL, ordinal };

	return s->pod_count ? bsearch(&key, s->pods, s->pod_count, sizeof(key), compare_ordinals) : NULL;
}

static bool is_available(struct stateful *s, const struct value *pod)
{
	return pod_is_available(pod, s->min_ready, s->r->now_ns, &s->again_ns);
}

/* ---- places that are to have a pod ---- */

/* Functions of a step answer whether the next one is to wait. */

static bool place_fill(struct stateful *s, int64_t ordinal)
{
	if (stateful_claims_make(s, ordinal, false))
		stateful_pod_make(s, ordinal);
	return !s->is_parallel;
}

static bool place_keep(struct stateful *s, const struct numbered *n)
{
	bool is_right;

	if (stateful_pod_has_ended(n->pod)) { /* its successor is made when it is gone */
		if (!object_is_ending(n->pod))
			stateful_pod_drop(s, n->pod);
		return !s->is_parallel;
	}
	if (stateful_pod_is_pending(n->pod)) {
		(void)stateful_claims_make(s, n->ordinal, true);
		(void)stateful_claims_settle(s, n);
	}
	if (!s->is_parallel &&
	    (object_is_ending(n->pod) || !stateful_pod_is_running_and_ready(n->pod) || !is_available(s, n->pod)))
		return true;
	is_right = stateful_pod_is_pending(n->pod) || stateful_claims_settle(s, n);
	if (is_right && !object_is_ending(n->pod))
		stateful_pod_settle(s, n);
	return false;
}

/* While the last pod could not be made, one is tried at a time. */
static bool places_settle(struct stateful *s)
{
	int64_t most = s->r->refused.len ? 1 : BURST;

	for (int64_t i = 0; i < s->replicas && most > 0 && !s->r->err->code; i++) {
		const struct numbered *n = pod_at(s, s->start + i);

		most -= !n;
		if (n ? place_keep(s, n) : place_fill(s, s->start + i))
			return true;
	}
	return !most;
}

/* ---- those that are too many ---- */

/* The owners of claims are set before a pod goes: with it goes what it owns. */
static bool condemned_claims_settle(struct stateful *s)
{
	bool were_right = true;

	for (uint32_t i = s->pod_count; i-- > 0;)
		if (!in_range(s, s->pods[i].ordinal))
			were_right &= stateful_claims_settle(s, &s->pods[i]);
	return !were_right;
}

static const struct value *first_unhealthy_condemned(const struct stateful *s)
{
	for (uint32_t i = 0; i < s->pod_count; i++)
		if (!in_range(s, s->pods[i].ordinal) && !stateful_pod_is_healthy(s->pods[i].pod))
			return s->pods[i].pod;
	return NULL;
}

static bool condemned_drop(struct stateful *s)
{
	const struct value *unhealthy = first_unhealthy_condemned(s);

	for (uint32_t i = s->pod_count; i-- > 0;) {
		const struct value *pod = s->pods[i].pod;

		if (in_range(s, s->pods[i].ordinal))
			continue;
		if (s->is_parallel) {
			if (!object_is_ending(pod))
				stateful_pod_drop(s, pod);
			continue;
		}
		if (!object_is_ending(pod) &&
		    (pod == unhealthy || (stateful_pod_is_running_and_ready(pod) && is_available(s, pod))))
			stateful_pod_drop(s, pod);
		return true;
	}
	return false;
}

/* ---- roll-out ---- */

/* Replaces the last pod that is of another revision, when all behind it are healthy. True: one is deleted. */
static bool roll(struct stateful *s)
{
	for (int64_t i = s->replicas - 1; s->is_rolling && i >= s->partition; i--) {
		const struct numbered *n = pod_at(s, s->start + i);

		if (!n || stateful_pod_has_ended(n->pod)) /* it is on its way already */
			return false;
		if (!span_equal(stateful_pod_revision(n->pod), object_name(s->update)) && !object_is_ending(n->pod)) {
			stateful_pod_drop(s, n->pod);
			return span_equal(stateful_pod_revision(n->pod), object_name(s->current));
		}
		if (!stateful_pod_is_healthy(n->pod))
			return false;
	}
	return false;
}

/* ---- history and status ---- */

static void history_trim(struct stateful *s)
{
	const struct value *limit = member(s->spec, "revisionHistoryLimit");
	bool *is_live = ARENA_ARRAY(s->r->arena, bool, s->revisions.count + 1, s->r->err);
	int64_t past = 0;

	if (!is_live || !value_is(limit, VALUE_INT))
		return;
	for (uint32_t i = 0; i < s->revisions.count; i++) {
		const struct value *revision = s->revisions.items[i];

		is_live[i] = revision == s->current || revision == s->update;
		for (uint32_t j = 0; j < s->pod_count && !is_live[i]; j++)
			is_live[i] = span_equal(stateful_pod_revision(s->pods[j].pod), object_name(revision));
		past += !is_live[i];
	}
	revisions_trim(s->r, &s->revisions, is_live, past - limit->integer);
}

struct counts {
	int64_t all, ready, available, current, updated;
};

static struct counts pods_count(struct stateful *s)
{
	struct counts c = { .all = s->pod_count };

	for (uint32_t i = 0; i < s->pod_count; i++) {
		const struct value *pod = s->pods[i].pod;

		if (stateful_pod_is_running_and_ready(pod)) {
			c.ready++;
			c.available += is_available(s, pod);
		}
		if (object_is_ending(pod))
			continue;
		c.current += span_equal(stateful_pod_revision(pod), object_name(s->current));
		c.updated += span_equal(stateful_pod_revision(pod), object_name(s->update));
	}
	return c;
}

static void status_write(struct stateful *s, bool takes_one_away)
{
	struct reconcile *r = s->r;
	const struct value *before = member(r->object, "status");
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");
	struct span revision = object_name(s->current);
	struct counts c = pods_count(s);

	c.current -= takes_one_away;
	if (s->is_rolling && c.updated == s->replicas && c.ready == s->replicas && c.all == s->replicas) {
		c.current = c.updated;
		revision = object_name(s->update);
	}
	put(r, status, "observedGeneration", value_int(value_find_int(r->object, "metadata.generation", 0)));
	put(r, status, "replicas", value_int(c.all));
	put_count(r, status, "readyReplicas", c.ready);
	put_count(r, status, "currentReplicas", c.current);
	put_count(r, status, "updatedReplicas", c.updated);
	put(r, status, "currentRevision", value_string(revision));
	put(r, status, "updateRevision", value_string(object_name(s->update)));
	put(r, status, "collisionCount", value_int(s->revisions.collisions));
	put(r, status, "availableReplicas", value_int(c.available));
	reconcile_status(r, r->controller->resource, before, object);
	if (s->again_ns != INT64_MAX)
		reconcile_again(r, s->again_ns);
}

/* ---- a call ---- */

static void reconcile(struct reconcile *r)
{
	struct stateful s = { .r = r };
	bool takes_one_away = false;

	if (!r->object)
		return;
	spec_read(&s);
	if (!revisions_read(r, &s.revisions) || !pods_read(&s) || !revisions_settle(&s))
		return;
	if (!object_is_ending(r->object) && !places_settle(&s) && !condemned_claims_settle(&s) && !condemned_drop(&s))
		takes_one_away = roll(&s);
	status_write(&s, takes_one_away);
	history_trim(&s);
}

static const struct resource *const owned[] = { &resource_pods, &resource_controller_revisions, NULL };
static const struct resource *const read[] = { &resource_persistent_volume_claims, NULL };

const struct controller controller_statefulset = {
	.name = "statefulset-controller",
	.component = "statefulset-controller",
	.resource = &resource_stateful_sets,
	.owned = owned,
	.read = read,
	.wakes = stateful_claim_wakes,
	.reconcile = reconcile,
};
