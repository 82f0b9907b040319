/* SPDX-License-Identifier: Apache-2.0 */
/* deployment_scale - how many pods each ReplicaSet of a Deployment may have, and the writes that say so. */
#include "controllers/deployment.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

int64_t sets_sum(const struct rollout *d, const char *path)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < d->set_count; i++)
		sum += value_find_int(d->sets[i], path, 0);
	return sum;
}

static bool annotate_count(struct rollout *d, struct value *annotations, const char *name, int64_t count)
{
	struct value text = text_print(d->r, "%lld", (long long)count);
	const struct value *before = value_get(annotations, span_of(name));

	if (value_is(before, VALUE_STRING) && span_equal(before->string, text.string))
		return false;
	put(d->r, annotations, name, text);
	return true;
}

bool replicas_annotate(struct rollout *d, struct value *set)
{
	struct value *annotations = put_object(d->r, put_object(d->r, set, "metadata"), "annotations");
	bool has_changed = annotate_count(d, annotations, ANNOTATION_DESIRED, d->replicas);

	return annotate_count(d, annotations, ANNOTATION_MOST, d->replicas + d->surge) || has_changed;
}

bool set_scale(struct rollout *d, struct value *set, int64_t size)
{
	int64_t before = set_size(set);
	bool has_changed = replicas_annotate(d, set);

	if (before == size && !has_changed)
		return false;
	put(d->r, put_object(d->r, set, "spec"), "replicas", value_int(size));
	reconcile_update(d->r, &resource_replica_sets, set);
	if (before == size)
		return false;
	reconcile_event(d->r, "Normal", "ScalingReplicaSet", "Scaled %s replica set " SPAN_FMT " from %lld to %lld",
			size > before ? "up" : "down", SPAN_ARG(object_name(set)), (long long)before, (long long)size);
	return true;
}

/* ---- the next step ---- */

int64_t fresh_size(const struct rollout *d)
{
	int64_t size = set_size(d->fresh), room = d->replicas + d->surge - sets_sum(d, "spec.replicas");

	if (d->is_recreate)
		return d->replicas;
	return room <= 0 ? size : size + MIN(room, d->replicas - size);
}

bool fresh_scale(struct rollout *d)
{
	int64_t size = set_size(d->fresh);

	if (size == d->replicas)
		return false;
	return set_scale(d, d->fresh, size > d->replicas ? d->replicas : fresh_size(d));
}

bool old_scale_to_none(struct rollout *d)
{
	bool has_scaled = false;

	for (uint32_t i = 0; i < d->old_count; i++)
		if (set_size(d->old[i]))
			has_scaled |= set_scale(d, d->old[i], 0);
	return has_scaled;
}

/* Pods that are not available cost nothing. */
static int64_t unhealthy_drop(struct rollout *d, int64_t most)
{
	int64_t dropped = 0;

	for (uint32_t i = 0; i < d->old_count && dropped < most; i++) {
		int64_t size = set_size(d->old[i]);
		int64_t available = value_find_int(d->old[i], "status.availableReplicas", 0);
		int64_t count = MIN(most - dropped, size - available);

		if (!size || count <= 0)
			continue;
		(void)set_scale(d, d->old[i], size - count);
		dropped += count;
	}
	return dropped;
}

static int64_t healthy_drop(struct rollout *d)
{
	int64_t most = sets_sum(d, "status.availableReplicas") - (d->replicas - d->unavailable), dropped = 0;

	for (uint32_t i = 0; i < d->old_count && dropped < most; i++) {
		int64_t size = set_size(d->old[i]), count = MIN(size, most - dropped);

		if (!size)
			continue;
		(void)set_scale(d, d->old[i], size - count);
		dropped += count;
	}
	return dropped;
}

bool old_scale(struct rollout *d)
{
	int64_t of_old = 0, spare, dropped;

	for (uint32_t i = 0; i < d->old_count; i++)
		of_old += set_size(d->old[i]);
	if (!of_old)
		return false;
	spare = sets_sum(d, "spec.replicas") - (d->replicas - d->unavailable) -
		(set_size(d->fresh) - value_find_int(d->fresh, "status.availableReplicas", 0));
	if (spare <= 0)
		return false;
	dropped = unhealthy_drop(d, spare);
	return healthy_drop(d) + dropped > 0;
}

/* ---- a new number of replicas, in the middle of a roll-out or of none ---- */

static int64_t annotation_count(const struct value *set, const char *name, int64_t otherwise)
{
	int64_t count;

	return number_parse_int64(object_annotation(set, name), &count) ? count : otherwise;
}

bool is_scaling(const struct rollout *d)
{
	for (uint32_t i = 0; i < d->set_count; i++)
		if (set_size(d->sets[i]) &&
		    annotation_count(d->sets[i], ANNOTATION_DESIRED, d->replicas) != d->replicas)
			return true;
	return false;
}

/* The only one that has pods; where none has any, the newest. */
static struct value *only_one(const struct rollout *d)
{
	struct value *found = NULL;

	for (uint32_t i = 0; i < d->set_count; i++) {
		if (!set_size(d->sets[i]))
			continue;
		if (found)
			return NULL;
		found = d->sets[i];
	}
	if (found)
		return found;
	return d->fresh ? d->fresh : d->old_count ? d->old[d->old_count - 1] : NULL;
}

static bool is_saturated(const struct rollout *d)
{
	return d->fresh && annotation_count(d->fresh, ANNOTATION_DESIRED, -1) == d->replicas &&
	       set_size(d->fresh) == d->replicas &&
	       value_find_int(d->fresh, "status.availableReplicas", 0) == d->replicas;
}

/* Larger first; of the same size newer first when there is more to give, older first when less. */
static int compare_size(const void *a, const void *b, void *adds)
{
	const struct value *first = *(struct value *const *)a, *second = *(struct value *const *)b;
	int64_t x = set_size(first), y = set_size(second);
	int age;

	if (x != y)
		return x > y ? -1 : 1;
	x = object_time(first, "metadata.creationTimestamp");
	y = object_time(second, "metadata.creationTimestamp");
	age = (x > y) - (x < y);
	return *(bool *)adds ? -age : age;
}

/* A set's part of what is to be given or taken. */
static int64_t part_of(const struct rollout *d, const struct value *set, int64_t change, int64_t given)
{
	int64_t size = set_size(set), before, part;

	if (!size)
		return 0;
	before = annotation_count(set, ANNOTATION_MOST, value_find_int(d->r->object, "status.replicas", 0));
	if (!d->replicas || before <= 0)
		part = -size;
	else
		part = (int64_t)round((double)(size * (d->replicas + d->surge)) / (double)before) - size;
	return change > 0 ? MIN(part, change - given) : MAX(part, change - given);
}

static void share_out(struct rollout *d)
{
	struct value **active = ARENA_ARRAY(d->r->arena, struct value *, d->set_count + 1, d->r->err);
	int64_t *sizes = ARENA_ARRAY(d->r->arena, int64_t, d->set_count + 1, d->r->err);
	int64_t change = d->replicas ? d->replicas + d->surge : 0, given = 0;
	uint32_t count = 0;
	bool adds;

	if (!active || !sizes)
		return;
	for (uint32_t i = 0; i < d->set_count; i++) {
		if (!set_size(d->sets[i]))
			continue;
		active[count++] = d->sets[i];
		change -= set_size(d->sets[i]);
	}
	adds = change > 0;
	qsort_r(active, count, sizeof(*active), compare_size, &adds);
	for (uint32_t i = 0; i < count; i++) {
		int64_t part = change ? part_of(d, active[i], change, given) : 0;

		sizes[i] = set_size(active[i]) + part;
		given += part;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0) /* what rounding has left goes to the largest */
			sizes[i] = MAX(sizes[i] + change - given, (int64_t)0);
		(void)set_scale(d, active[i], sizes[i]);
	}
}

void scale_in_proportion(struct rollout *d)
{
	struct value *only = only_one(d);

	if (only) {
		if (set_size(only) != d->replicas)
			(void)set_scale(d, only, d->replicas);
	} else if (is_saturated(d)) {
		(void)old_scale_to_none(d);
	} else if (!d->is_recreate) {
		share_out(d);
	}
}
