/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemonset_update - a new template reaches the nodes: without a surge old pods are deleted, as many as may be
 * unavailable, and new ones follow; with one a new pod starts beside the old one, on so many nodes at a time.
 *
 * It is asked only when every node has what it should have: nothing was made or deleted before in the same call.
 */
#include "controllers/daemonset.h"

int64_t daemon_surge(const struct daemons *d, int64_t nodes)
{
	return d->is_rolling ? scaled(value_find(d->spec, "updateStrategy.rollingUpdate.maxSurge"), nodes, true) : 0;
}

static int64_t unavailable_of(const struct daemons *d)
{
	return scaled(value_find(d->spec, "updateStrategy.rollingUpdate.maxUnavailable"), d->desired, true);
}

struct both {
	const struct value *fresh, *old;
};

/* False: there are several of a kind, which are sorted out elsewhere. */
static bool both_find(const struct daemons *d, const struct daemon_place *place, struct both *ret)
{
	*ret = (struct both){ 0 };
	for (uint32_t i = 0; i < place->count; i++) {
		const struct value **slot = daemon_is_current(d, place->pods[i]) ? &ret->fresh : &ret->old;

		if (object_is_ending(place->pods[i]))
			continue;
		if (*slot)
			return false;
		*slot = place->pods[i];
	}
	return true;
}

static bool counts(const struct daemon_place *place)
{
	return place->count || place->should_run;
}

/* ---- without a surge ---- */

static void replace(struct daemons *d, int64_t most)
{
	const struct value **candidates = ARENA_ARRAY(d->r->arena, const struct value *, d->place_count + 1, d->r->err);
	int64_t unavailable = 0;
	uint32_t count = 0;
	struct both b;

	for (uint32_t i = 0; candidates && i < d->place_count; i++) {
		if (!counts(&d->places[i]))
			continue;
		if (!both_find(d, &d->places[i], &b) || !b.fresh == !b.old) {
			unavailable++;
		} else if (b.fresh) {
			unavailable += !daemon_is_available(d, b.fresh);
		} else if (!daemon_is_available(d, b.old)) { /* nothing is lost with it */
			unavailable++;
			daemon_drop(d, b.old);
		} else {
			candidates[count++] = b.old;
		}
	}
	for (uint32_t i = 0; i < count && unavailable < most; i++, unavailable++)
		daemon_drop(d, candidates[i]);
}

/* ---- with a surge ---- */

struct surge {
	const struct daemon_place **candidates;
	const struct value *
	    *misplaced; /* on nodes that should have none any more: they go when others can do without */
	uint32_t candidate_count, misplaced_count;
	int64_t under_way, available;
};

static void surge_look(struct daemons *d, const struct daemon_place *place, struct surge *s)
{
	struct both b;

	if (!both_find(d, place, &b)) {
		s->under_way++;
		return;
	}
	if (b.old || b.fresh)
		s->available += daemon_is_available(d, b.old ? b.old : b.fresh);
	if (!b.old)
		return;
	if (b.fresh) {
		if (daemon_is_available(d, b.fresh))
			daemon_drop(d, b.old);
		else
			s->under_way++;
	} else if (!daemon_is_available(d, b.old)) {
		if (place->should_run)
			daemon_make(d, place, 0);
		else
			daemon_drop(d, b.old);
	} else if (place->should_run) {
		s->candidates[s->candidate_count++] = place;
	} else {
		s->misplaced[s->misplaced_count++] = b.old;
	}
}

static void surge(struct daemons *d, int64_t most)
{
	struct surge s = { .candidates =
			       ARENA_ARRAY(d->r->arena, const struct daemon_place *, d->place_count + 1, d->r->err),
			   .misplaced = ARENA_ARRAY(d->r->arena, const struct value *, d->place_count + 1, d->r->err) };

	if (!s.candidates || !s.misplaced)
		return;
	for (uint32_t i = 0; i < d->place_count; i++)
		if (counts(&d->places[i]))
			surge_look(d, &d->places[i], &s);
	for (uint32_t i = 0; i < s.misplaced_count && (int64_t)i < s.available - d->desired; i++)
		daemon_drop(d, s.misplaced[i]);
	for (uint32_t i = 0; i < s.candidate_count && (int64_t)i < most - s.under_way; i++)
		daemon_make(d, s.candidates[i], 0);
}

void daemon_places_update(struct daemons *d)
{
	int64_t beside = daemon_surge(d, d->desired), fewer = unavailable_of(d);

	if (beside)
		surge(d, beside);
	else
		replace(d, d->desired && !fewer ? 1 : fewer);
}
