/* SPDX-License-Identifier: Apache-2.0 */
/* protection - claims stay while a pod uses them, volumes while a claim is bound to them: admission gives them a finalizer, and here it is
 * taken away when they are being deleted and nobody has them. */
#include "kube/kinds/protection.h"

#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"
#include "store/store.h"

#include <stdlib.h>

#define ARENA_MOST MIB(64)

#define CLAIM_FINALIZER  "kubernetes.io/pvc-protection"
#define VOLUME_FINALIZER "kubernetes.io/pv-protection"

static bool has_finalizer(const struct value *o, const char *finalizer)
{
	const struct value *list = value_find(o, "metadata.finalizers");

	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(value_item(list, i), finalizer))
			return true;
	}
	return false;
}

static bool is_waiting(const struct value *o, const char *finalizer)
{
	return o && value_find(o, "metadata.deletionTimestamp") && has_finalizer(o, finalizer);
}

/* ---- who uses a claim ---- */

static bool is_over(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

static bool names_claim(const struct value *pod, struct span claim)
{
	const struct value *volumes = value_find(pod, "spec.volumes");
	struct span name = value_find_string(pod, "metadata.name");

	for (uint32_t i = 0; i < count_of(volumes); i++) {
		const struct value *volume = value_item(volumes, i);
		struct span own = get_text(volume, "name");

		if (span_equal(get_text(get(volume, "persistentVolumeClaim"), "claimName"), claim))
			return true;
		/* The claim of an ephemeral volume is "<pod>-<volume>". */
		if (get(volume, "ephemeral") && claim.len == name.len + 1 + own.len && span_starts(claim, name) &&
		    claim.ptr[name.len] == '-' && span_ends(claim, own))
			return true;
	}
	return false;
}

struct search {
	struct arena *arena;
	struct span claim;
	bool is_used;
};

static bool look_at_pod(void *context, struct record *r)
{
	struct search *s = context;
	struct error err = { 0 };
	struct value pod;

	arena_clear(s->arena);
	/* What cannot be read may use it. */
	s->is_used =
	    !value_parse(r->text, NULL, s->arena, &pod, &err) || (!is_over(&pod) && names_claim(&pod, s->claim));
	return !s->is_used;
}

static bool is_used(struct kube *k, struct span name_space, struct span name)
{
	const struct kind *pods = kube_kind(k, SPAN(""), SPAN("v1"), SPAN("pods"));
	struct search s = { .claim = name };
	struct error err = { 0 };
	struct arena arena, look;
	struct span prefix;
	bool is_listed;

	arena_init(&arena, ARENA_MOST);
	arena_init(&look, ARENA_MOST);
	s.arena = &look;
	prefix = kube_key(pods, name_space, SPAN(""), &arena);
	is_listed = store_list(kube_store(k), prefix, SPAN(""), 0, look_at_pod, &s, &err);
	arena_done(&look);
	arena_done(&arena);
	return s.is_used || !is_listed;
}

/* ---- letting go ---- */

static void released(void *context, const struct value *object, const struct error *err)
{
	(void)object;
	kube_write_ended(context, err);
}

static void release(struct kube *k, const struct kind *kind, const struct value *o, const char *finalizer)
{
	struct kube_write w = { .kind = kind,
				.verb = KUBE_UPDATE,
				.name_space = value_find_string(o, "metadata.namespace"),
				.name = value_find_string(o, "metadata.name"),
				.done = released,
				.context = k };
	struct error err = { 0 };
	struct arena arena;
	struct value copy, *list;

	arena_init(&arena, ARENA_MOST);
	if (value_copy(o, &arena, &copy, &err)) {
		list = value_find(&copy, "metadata.finalizers");
		for (uint32_t i = count_of(list); i-- > 0;) {
			if (is_text(value_item(list, i), finalizer))
				value_remove_item(list, i);
		}
		w.object = &copy;
		kube_write(k, &w, &arena);
	}
	arena_done(&arena);
}

static void claim_review(struct kube *k, const struct kind *kind, const struct value *claim)
{
	if (is_waiting(claim, CLAIM_FINALIZER) &&
	    !is_used(k, value_find_string(claim, "metadata.namespace"), value_find_string(claim, "metadata.name")))
		release(k, kind, claim, CLAIM_FINALIZER);
}

static void volume_review(struct kube *k, const struct kind *kind, const struct value *volume)
{
	if (is_waiting(volume, VOLUME_FINALIZER) &&
	    !span_equal(value_find_string(volume, "status.phase"), SPAN("Bound")))
		release(k, kind, volume, VOLUME_FINALIZER);
}

/* ---- what has changed ---- */

void claim_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object)
{
	(void)old;
	claim_review(k, kind, object);
}

void volume_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object)
{
	(void)old;
	volume_review(k, kind, object);
}

/* A pod that is gone or over lets its claims go. */
void pod_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object)
{
	const struct kind *claims = kube_kind(k, SPAN(""), SPAN("v1"), SPAN("persistentvolumeclaims"));
	const struct value *pod = object ? object : old, *volumes = value_find(pod, "spec.volumes");
	struct span name_space = value_find_string(pod, "metadata.namespace"),
		    name = value_find_string(pod, "metadata.name");

	(void)kind;
	if (object && !is_over(object))
		return;
	for (uint32_t i = 0; i < count_of(volumes); i++) {
		const struct value *volume = value_item(volumes, i), *claim;
		struct span claim_name = get_text(get(volume, "persistentVolumeClaim"), "claimName"),
			    own = get_text(volume, "name");
		struct error err = { 0 };
		struct arena arena;

		if (!claim_name.len && !get(volume, "ephemeral"))
			continue;
		arena_init(&arena, ARENA_MOST);
		if (!claim_name.len)
			claim_name = arena_print(&arena, &err, SPAN_FMT "-" SPAN_FMT, SPAN_ARG(name), SPAN_ARG(own));
		claim = kube_object(k, claims, name_space, claim_name, true, &arena, &err);
		if (claim)
			claim_review(k, claims, claim);
		arena_done(&arena);
	}
}

/* ---- after a start ---- */

/* No write may begin while the store is walked: the records wait for its end. */
struct resuming {
	struct record **records;
	size_t count, capacity;
};

static bool resume_keep(void *context, struct record *r)
{
	struct resuming *s = context;

	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->records = base_realloc(s->records, s->capacity * sizeof(struct record *));
	}
	s->records[s->count++] = record_ref(r);
	return true;
}

static void resume_review(struct kube *k, const struct kind *kind, const struct record *r,
			  void (*review)(struct kube *k, const struct kind *kind, const struct value *o))
{
	struct error err = { 0 };
	struct arena arena;
	struct value o;

	arena_init(&arena, ARENA_MOST);
	if (value_parse(r->text, NULL, &arena, &o, &err))
		review(k, kind, &o);
	arena_done(&arena);
}

void protection_resume(struct kube *k)
{
	static const struct {
		const char *plural, *prefix;
		void (*review)(struct kube *k, const struct kind *kind, const struct value *o);
	} rows[] = { { "persistentvolumeclaims", "/core/persistentvolumeclaims/", claim_review },
		     { "persistentvolumes", "/core/persistentvolumes/", volume_review } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct kind *kind = kube_kind(k, SPAN(""), SPAN("v1"), span_of(rows[i].plural));
		struct resuming s = { 0 };
		struct error err = { 0 };

		/* What cannot be listed now is looked at when it changes. */
		(void)store_list(kube_store(k), span_of(rows[i].prefix), SPAN(""), 0, resume_keep, &s, &err);
		for (size_t r = 0; r < s.count; r++) {
			resume_review(k, kind, s.records[r], rows[i].review);
			record_unref(s.records[r]);
		}
		free(s.records);
	}
}
