/* SPDX-License-Identifier: Apache-2.0 */
/* deployment_history - the ReplicaSets of a Deployment, by their templates and revisions. */
#include "controllers/deployment.h"

#include <stdlib.h>

/* ---- which is which ---- */

static int compare_age(const void *a, const void *b)
{
	const struct value *first = *(struct value *const *)a, *second = *(struct value *const *)b;
	int64_t x = object_time(first, "metadata.creationTimestamp"),
		y = object_time(second, "metadata.creationTimestamp");

	return x != y ? (x < y ? -1 : 1) : span_order(object_name(first), object_name(second));
}

static int64_t revision_of(const struct value *set)
{
	int64_t revision = 0;

	return number_parse_int64(object_annotation(set, ANNOTATION_REVISION), &revision) ? revision : 0;
}

static int compare_revision(const void *a, const void *b)
{
	int64_t x = revision_of(*(struct value *const *)a), y = revision_of(*(struct value *const *)b);

	return x != y ? (x < y ? -1 : 1) : compare_age(a, b);
}

/* The same but for the label by which a set's pods are told apart. */
static bool is_same_template(struct reconcile *r, const struct value *of_set, const struct value *wanted)
{
	struct value *copy = object_copy(r, of_set);
	struct value *labels = value_find(copy, "metadata.labels");

	if (value_is(labels, VALUE_OBJECT))
		(void)value_remove(labels, SPAN(LABEL_HASH));
	return !r->err->code && value_equal(copy, wanted);
}

void history_read(struct rollout *d)
{
	struct reconcile *r = d->r;
	struct value *list = reconcile_claim(r, &resource_replica_sets, member(d->spec, "selector"));
	uint32_t count = value_count(list);

	d->sets = ARENA_ARRAY(r->arena, struct value *, count + 1, r->err);
	d->old = ARENA_ARRAY(r->arena, struct value *, count + 1, r->err);
	if (!d->sets || !d->old)
		return;
	for (uint32_t i = 0; i < count; i++)
		d->sets[d->set_count++] = value_item(list, i);
	qsort(d->sets, d->set_count, sizeof(struct value *), compare_age);
	for (uint32_t i = 0; i < d->set_count; i++) {
		if (!d->fresh &&
		    is_same_template(r, value_find(d->sets[i], "spec.template"), member(d->spec, "template")))
			d->fresh = d->sets[i];
		else
			d->old[d->old_count++] = d->sets[i];
	}
	d->revision = object_annotation(r->object, ANNOTATION_REVISION);
}

/* ---- annotations ---- */

static bool is_copied(struct span name)
{
	static const char *const kept[] = { "kubectl.kubernetes.io/last-applied-configuration",
					    ANNOTATION_REVISION,
					    ANNOTATION_HISTORY,
					    ANNOTATION_DESIRED,
					    ANNOTATION_MOST,
					    "deprecated.deployment.rollback.to" };

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (span_equal(name, span_of(kept[i])))
			return false;
	return true;
}

static bool annotate(struct rollout *d, struct value *annotations, struct span name, struct span text)
{
	const struct value *before = value_get(annotations, name);

	if (value_is(before, VALUE_STRING) && span_equal(before->string, text))
		return false;
	if (!d->r->err->code)
		(void)value_set(annotations, name, value_string(text), d->r->arena, d->r->err);
	return true;
}

/* Those of the Deployment, and the revision. True: something changed. */
static bool annotations_set(struct rollout *d, struct value *set, int64_t revision)
{
	struct value *annotations = put_object(d->r, put_object(d->r, set, "metadata"), "annotations");
	const struct value *from = value_find(d->r->object, "metadata.annotations");
	int64_t before = revision_of(set);
	bool has_changed = false;

	for (uint32_t i = 0; value_is(from, VALUE_OBJECT) && i < from->object.count; i++) {
		const struct value_member *m = &from->object.members[i];

		if (is_copied(m->key) && value_is(&m->value, VALUE_STRING))
			has_changed |= annotate(d, annotations, m->key, m->value.string);
	}
	if (before >= revision)
		return has_changed;
	if (before) {
		struct span past = object_annotation(set, ANNOTATION_HISTORY);

		(void)annotate(d, annotations, SPAN(ANNOTATION_HISTORY),
			       past.len ? text_print(d->r, SPAN_FMT ",%lld", SPAN_WHOLE(past), (long long)before).string
					: text_print(d->r, "%lld", (long long)before).string);
	}
	return annotate(d, annotations, SPAN(ANNOTATION_REVISION),
			text_print(d->r, "%lld", (long long)revision).string);
}

/* ---- the one of the wanted template ---- */

/* The same for members in any order; FNV-1a (Fowler, Noll, Vo) within. */
static uint64_t hash_value(const struct value *v)
{
	uint64_t hash = 14695981039346656037u ^ (uint64_t)v->type * 1099511628211u;

	if (v->type == VALUE_OBJECT) {
		for (uint32_t i = 0; i < v->object.count; i++) {
			struct value key = value_string(v->object.members[i].key);

			hash +=
			    (hash_value(&key) ^ 0x9e3779b97f4a7c15u) * (hash_value(&v->object.members[i].value) | 1);
		}
		return hash;
	}
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		hash = (hash ^ hash_value(value_item(v, i))) * 1099511628211u;
	for (size_t i = 0; v->type == VALUE_STRING && i < v->string.len; i++)
		hash = (hash ^ (uint8_t)v->string.ptr[i]) * 1099511628211u;
	if (v->type == VALUE_INT)
		hash = (hash ^ (uint64_t)v->integer) * 1099511628211u;
	if (v->type == VALUE_BOOL)
		hash = (hash ^ v->boolean) * 1099511628211u;
	return hash;
}

/* Letters and digits that make no words. */
static struct span hash_text(struct rollout *d)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint64_t hash = hash_value(member(d->spec, "template")) + (uint64_t)(d->collisions + 1) * 0x9e3779b97f4a7c15u;
	char text[10];

	hash ^= hash >> 32;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = letters[hash % (sizeof(letters) - 1)];
		hash /= sizeof(letters) - 1;
	}
	return arena_copy(d->r->arena, span_from(text, sizeof(text)), d->r->err);
}

static void fresh_create(struct rollout *d, int64_t revision)
{
	struct reconcile *r = d->r;
	struct span hash = hash_text(d);
	struct span name = text_print(r, SPAN_FMT "-" SPAN_FMT, SPAN_WHOLE(r->name), SPAN_WHOLE(hash)).string;
	struct value *set, *spec, *template, *there = reconcile_get(r, &resource_replica_sets, r->name_space, name);
	int64_t size;

	if (there) { /* of another template, or another's: the next hash will do */
		d->collisions = MAX(d->collisions, (int64_t)0) + 1;
		d->has_collided = true;
		return;
	}
	set = object_new(r, &resource_replica_sets, name);
	if (!set)
		return;
	spec = put_object(r, set, "spec");
	put(r, spec, "replicas", value_int(0));
	put(r, spec, "minReadySeconds", value_int(value_find_int(d->spec, "minReadySeconds", 0)));
	put(r, spec, "selector", copied(r, member(d->spec, "selector")));
	put(r, put_object(r, put_object(r, spec, "selector"), "matchLabels"), LABEL_HASH, value_string(hash));
	put(r, spec, "template", copied(r, member(d->spec, "template")));
	template = put_object(r, spec, "template");
	put(r, put_object(r, put_object(r, template, "metadata"), "labels"), LABEL_HASH, value_string(hash));
	put(r, put_object(r, set, "metadata"), "labels", copied(r, value_find(template, "metadata.labels")));
	put_owner(r, set);
	(void)annotations_set(d, set, revision);
	d->fresh = set;
	d->sets[d->set_count++] = set;
	size = fresh_size(d);
	put(r, put_object(r, set, "spec"), "replicas", value_int(size));
	replicas_annotate(d, set);
	d->is_made = true;
	reconcile_create(r, &resource_replica_sets, set);
	if (size)
		reconcile_event(r, "Normal", "ScalingReplicaSet", "Scaled up replica set " SPAN_FMT " from 0 to %lld",
				SPAN_ARG(name), (long long)size);
}

bool history_make_fresh(struct rollout *d, bool may_create)
{
	struct reconcile *r = d->r;
	int64_t last = 0, min_ready = value_find_int(d->spec, "minReadySeconds", 0);
	bool has_changed;

	for (uint32_t i = 0; i < d->old_count; i++)
		last = MAX(last, revision_of(d->old[i]));
	if (!d->fresh) {
		if (!may_create)
			return false;
		fresh_create(d, last + 1);
		if (d->fresh)
			d->revision = object_annotation(d->fresh, ANNOTATION_REVISION);
		return true;
	}
	has_changed = annotations_set(d, d->fresh, last + 1);
	if (value_find_int(d->fresh, "spec.minReadySeconds", 0) != min_ready) {
		put(r, put_object(r, d->fresh, "spec"), "minReadySeconds", value_int(min_ready));
		has_changed = true;
	}
	d->revision = object_annotation(d->fresh, ANNOTATION_REVISION);
	if (has_changed)
		reconcile_update(r, &resource_replica_sets, d->fresh);
	return has_changed;
}

/* ---- those that may go ---- */

void history_trim(struct rollout *d)
{
	const struct value *limit = member(d->spec, "revisionHistoryLimit");
	struct value **kept = ARENA_ARRAY(d->r->arena, struct value *, d->old_count + 1, d->r->err);
	uint32_t count = 0;

	if (!kept || !value_is(limit, VALUE_INT))
		return;
	for (uint32_t i = 0; i < d->old_count; i++)
		if (!object_is_ending(d->old[i]))
			kept[count++] = d->old[i];
	qsort(kept, count, sizeof(struct value *), compare_revision);
	for (int64_t i = 0; i < (int64_t)count - limit->integer; i++) {
		const struct value *set = kept[i];

		if (set_size(set) || value_find_int(set, "status.replicas", 0) ||
		    value_find_int(set, "metadata.generation", 0) > value_find_int(set, "status.observedGeneration", 0))
			continue;
		reconcile_delete(d->r, &resource_replica_sets, set);
	}
}
