/* SPDX-License-Identifier: Apache-2.0 */
/* daemonset - a pod on each node that takes it: one call. */
#include "controllers/daemonset.h"

#include "base/number.h"

/* ---- history ---- */

static bool is_text(const struct value *v, const char *path, const char *text)
{
	return span_equal(value_find_string(v, path), span_of(text));
}

/* Revisions of before that label came have none. */
static void labels_settle(struct daemons *d)
{
	for (uint32_t i = 0; i < d->revisions.count; i++) {
		struct value *revision = d->revisions.items[i];

		if (object_label(revision, LABEL_REVISION).len)
			continue;
		put(d->r, put_object(d->r, put_object(d->r, revision, "metadata"), "labels"), LABEL_REVISION,
		    value_string(object_name(revision)));
		reconcile_update(d->r, &resource_controller_revisions, revision);
	}
}

/* Pods of a revision that is kept twice become the other one's. True: there are some. */
static bool pods_relabel(struct daemons *d, struct span hash)
{
	bool has_some = false;

	for (uint32_t i = 0; i < value_count(d->pods); i++) {
		struct value *pod = value_item(d->pods, i);

		if (!span_equal(object_label(pod, LABEL_REVISION), hash))
			continue;
		put(d->r, put_object(d->r, put_object(d->r, pod, "metadata"), "labels"), LABEL_REVISION,
		    value_string(d->hash));
		reconcile_update(d->r, &resource_pods, pod);
		has_some = true;
	}
	return has_some;
}

/* True: the history is as it should be, but for its length. */
static bool duplicates_drop(struct daemons *d)
{
	bool had_none = true;

	for (uint32_t i = 0; i < d->revisions.count; i++) {
		struct value *revision = d->revisions.items[i];

		if (revision == d->current || !revision_is_of(d->r, revision, d->template))
			continue;
		had_none = false;
		if (!pods_relabel(d, object_label(revision, LABEL_REVISION)))
			reconcile_delete(d->r, &resource_controller_revisions, revision);
	}
	return had_none;
}

static void history_trim(struct daemons *d)
{
	const struct value *limit = member(d->spec, "revisionHistoryLimit");
	bool *is_live = ARENA_ARRAY(d->r->arena, bool, d->revisions.count + 1, d->r->err);
	int64_t past = 0;

	if (!is_live || !value_is(limit, VALUE_INT))
		return;
	for (uint32_t i = 0; i < d->revisions.count; i++) {
		struct span hash = object_label(d->revisions.items[i], LABEL_REVISION);

		is_live[i] = d->revisions.items[i] == d->current;
		past += !is_live[i];
		for (uint32_t j = 0; j < value_count(d->pods) && !is_live[i]; j++)
			is_live[i] = span_equal(object_label(value_item(d->pods, j), LABEL_REVISION), hash);
	}
	revisions_trim(d->r, &d->revisions, is_live, past - limit->integer);
}

/* ---- status ---- */

static void status_write(struct daemons *d)
{
	struct reconcile *r = d->r;
	const struct value *before = member(r->object, "status");
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");
	int64_t scheduled = 0, misscheduled = 0, ready = 0, available = 0, updated = 0;

	for (uint32_t i = 0; i < d->place_count; i++) {
		const struct daemon_place *place = &d->places[i];

		if (!place->is_there || !place->count)
			continue;
		if (!place->should_run) {
			misscheduled++;
			continue;
		}
		scheduled++;
		ready += pod_is_ready(place->pods[0]);
		available += daemon_is_available(d, place->pods[0]);
		updated += daemon_is_current(d, place->pods[0]);
	}
	put(r, status, "currentNumberScheduled", value_int(scheduled));
	put(r, status, "numberMisscheduled", value_int(misscheduled));
	put(r, status, "desiredNumberScheduled", value_int(d->desired));
	put(r, status, "numberReady", value_int(ready));
	put(r, status, "observedGeneration", value_int(value_find_int(r->object, "metadata.generation", 0)));
	put_count(r, status, "updatedNumberScheduled", updated);
	put_count(r, status, "numberAvailable", available);
	put_count(r, status, "numberUnavailable", d->desired - available);
	if (d->revisions.collisions >= 0)
		put(r, status, "collisionCount", value_int(d->revisions.collisions));
	reconcile_status(r, r->controller->resource, before, object);
	if (d->again_ns != INT64_MAX)
		reconcile_again(r, d->again_ns);
}

/* ---- a call ---- */

static void spec_read(struct daemons *d)
{
	int64_t generation;

	d->spec = member(d->r->object, "spec");
	d->template = member(d->spec, "template");
	d->min_ready = value_find_int(d->spec, "minReadySeconds", 0);
	d->is_rolling = is_text(d->spec, "updateStrategy.type", "RollingUpdate");
	d->generation = object_annotation(d->r->object, "deprecated.daemonset.template.generation");
	if (!number_parse_int64(d->generation, &generation))
		d->generation = (struct span){ 0 };
	d->again_ns = INT64_MAX;
}

static void reconcile(struct reconcile *r)
{
	struct daemons d = { .r = r };
	const struct value *selector;

	if (!r->object)
		return;
	spec_read(&d);
	selector = member(d.spec, "selector");
	if (value_is_empty(member(selector, "matchLabels")) && value_is_empty(member(selector, "matchExpressions"))) {
		reconcile_event(r, "Warning", "SelectingAll",
				"This daemon set is selecting all pods. A non-empty selector is required.");
		return;
	}
	if (object_is_ending(r->object) || !revisions_read(r, &d.revisions) || !daemon_places_read(&d))
		return;
	labels_settle(&d);
	d.current = revisions_ensure(r, &d.revisions, LABEL_REVISION);
	if (!d.current)
		return;
	d.hash = object_label(d.current, LABEL_REVISION);
	if (duplicates_drop(&d)) {
		daemon_places_keep(&d);
		if (d.is_rolling && !d.made && !d.taken)
			daemon_places_update(&d);
		history_trim(&d);
	}
	status_write(&d);
}

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *node)
{
	(void)resource;
	manager_wake_matching(m, c, node);
}

static bool takes(const struct value *set, const struct value *node)
{
	(void)set;
	(void)node;
	return true;
}

static const struct resource *const owned[] = { &resource_pods, &resource_controller_revisions, NULL };
static const struct resource *const read[] = { &resource_nodes, NULL };

const struct controller controller_daemonset = {
	.name = "daemonset-controller",
	.component = "daemonset-controller",
	.resource = &resource_daemon_sets,
	.owned = owned,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
