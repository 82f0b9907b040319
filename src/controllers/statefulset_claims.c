/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statefulset_claims - a claim for each volumeClaimTemplate and pod, TEMPLATE-SET-ORDINAL, made before the pod.
 *
 * persistentVolumeClaimRetentionPolicy is kept by owner references: a claim that the set owns goes with the set, one
 * that a pod owns goes with the pod. A pod owns its claim only from when it is one too many.
 */
#include "controllers/statefulset.h"

struct span stateful_claim_name(struct stateful *s, const struct value *template, int64_t ordinal)
{
	struct span name = object_name(template);

	return arena_print(s->r->arena, s->r->err, "%.*s-%.*s-%lld", (int)name.len, name.ptr, (int)s->r->name.len,
			   s->r->name.ptr, (long long)ordinal);
}

void stateful_claim_wakes(struct manager *m, const struct controller *c, const struct resource *resource,
			  const struct value *claim)
{
	struct span name = object_name(claim), name_space = value_find_string(claim, "metadata.namespace"), rest = name;
	size_t end = name.len;

	(void)resource;
	while (end && name.ptr[end - 1] != '-')
		end--;
	/* Either name may have dashes in it: whatever could be the set's is woken, and finds nothing to do if it is not. */
	while (span_index(rest, '-') < rest.len) {
		(void)span_cut(&rest, '-');
		if ((size_t)(rest.ptr - name.ptr) < end && end - (size_t)(rest.ptr - name.ptr) > 1)
			manager_wake(m, c, name_space, span_first(rest, end - 1 - (size_t)(rest.ptr - name.ptr)));
	}
}

/* ---- owners ---- */

/* Does a reference name an object of this kind and name, whatever its uid? */
static bool is_about(const struct value *owner, const char *api_version, const char *kind, struct span name)
{
	return span_equal(value_find_string(owner, "apiVersion"), span_of(api_version)) &&
	       span_equal(value_find_string(owner, "kind"), span_of(kind)) &&
	       span_equal(value_find_string(owner, "name"), name);
}

static bool is_about_set(const struct stateful *s, const struct value *owner)
{
	return is_about(owner, "apps/v1", "StatefulSet", s->r->name);
}

static bool is_about_pod(const struct value *owner, struct span pod)
{
	return is_about(owner, "v1", "Pod", pod);
}

struct ownership {
	bool is_of_set, is_of_pod;
	bool is_stale;      /* of a set or a pod of this name that is no more */
	bool is_anothers;   /* somebody else controls it */
	bool is_incomplete; /* it is ours, but not controlled by us */
};

static struct ownership ownership_of(const struct stateful *s, const struct value *claim, const struct value *pod)
{
	const struct value *owners = value_find(claim, "metadata.ownerReferences");
	struct span set_uid = value_find_string(s->r->object, "metadata.uid");
	struct span pod_uid = value_find_string(pod, "metadata.uid");
	struct ownership o = { 0 };

	for (uint32_t i = 0; i < value_count(owners); i++) {
		const struct value *owner = value_item(owners, i);
		struct span uid = value_find_string(owner, "uid");
		bool controls = value_find_bool(owner, "controller");

		o.is_of_set |= span_equal(uid, set_uid);
		o.is_of_pod |= pod_uid.len && span_equal(uid, pod_uid);
		if (span_equal(uid, set_uid) || (pod_uid.len && span_equal(uid, pod_uid)))
			o.is_incomplete |= !controls;
		else if (is_about_set(s, owner) || is_about_pod(owner, object_name(pod)))
			o.is_stale = true;
		else
			o.is_anothers |= controls;
	}
	return o;
}

struct owners_wanted {
	bool set, pod;
};

static struct owners_wanted wanted(const struct stateful *s, int64_t ordinal)
{
	bool is_condemned = s->drops_claims_on_scale && !in_range(s, ordinal);

	return (struct owners_wanted){ .set = s->drops_claims_on_delete && !is_condemned, .pod = is_condemned };
}

static void owner_put(struct stateful *s, struct value *claim, const char *api_version, const char *kind,
		      const struct value *object)
{
	struct value owner = value_object();

	put(s->r, &owner, "apiVersion", value_string(span_of(api_version)));
	put(s->r, &owner, "kind", value_string(span_of(kind)));
	put(s->r, &owner, "name", value_string(object_name(object)));
	put(s->r, &owner, "uid", value_string(value_find_string(object, "metadata.uid")));
	put(s->r, &owner, "controller", value_bool(true));
	put(s->r, &owner, "blockOwnerDeletion", value_bool(true));
	put_item(s->r, put_array(s->r, put_object(s->r, claim, "metadata"), "ownerReferences"), owner);
}

static void owners_set(struct stateful *s, struct value *claim, const struct numbered *n, bool is_anothers)
{
	struct value *metadata = put_object(s->r, claim, "metadata");
	struct value *owners = value_get(metadata, SPAN("ownerReferences"));
	struct owners_wanted w = wanted(s, n->ordinal);

	for (uint32_t i = 0; i < value_count(owners);)
		if (is_about_set(s, value_item(owners, i)) || is_about_pod(value_item(owners, i), object_name(n->pod)))
			value_remove_item(owners, i);
		else
			i++;
	if (w.set && !is_anothers)
		owner_put(s, claim, "apps/v1", "StatefulSet", s->r->object);
	if (w.pod && !is_anothers)
		owner_put(s, claim, "v1", "Pod", n->pod);
}

static bool claim_settle(struct stateful *s, struct value *claim, const struct numbered *n)
{
	struct ownership o = ownership_of(s, claim, n->pod);
	struct owners_wanted w = wanted(s, n->ordinal);
	bool has_policy = s->drops_claims_on_delete || s->drops_claims_on_scale;
	bool is_anothers = o.is_anothers && has_policy, is_right;

	if (o.is_stale) /* whoever removes what is gone will take it along */
		return true;
	if (is_anothers)
		is_right = !o.is_of_set && !o.is_of_pod;
	else
		is_right = !o.is_incomplete && o.is_of_set == w.set && o.is_of_pod == w.pod;
	if (is_anothers && (!is_right || stateful_pod_is_pending(n->pod)))
		reconcile_event(s->r, "Warning", "ConflictingController",
				"PersistentVolumeClaim " SPAN_FMT
				" has a conflicting OwnerReference that acts as a managing controller, the "
				"retention policy is ignored for this claim",
				SPAN_ARG(object_name(claim)));
	if (is_right)
		return true;
	owners_set(s, claim, n, is_anothers);
	reconcile_update(s->r, &resource_persistent_volume_claims, claim);
	if (!in_range(s, n->ordinal))
		return false; /* its deletion is told */
	reconcile_report(s->r, "Update", "update Pod " SPAN_FMT " in StatefulSet " SPAN_FMT " successful",
			 SPAN_ARG(object_name(n->pod)), SPAN_ARG(s->r->name));
	reconcile_report_failure(s->r,
				 "update Pod " SPAN_FMT " in StatefulSet " SPAN_FMT
				 " failed error: could not update claim " SPAN_FMT " for delete policy ownerRefs",
				 SPAN_ARG(object_name(n->pod)), SPAN_ARG(s->r->name), SPAN_ARG(object_name(claim)));
	return false;
}

bool stateful_claims_settle(struct stateful *s, const struct numbered *n)
{
	struct owners_wanted w = wanted(s, n->ordinal);
	bool were_right = true;

	for (uint32_t i = 0; i < value_count(s->claims); i++) {
		struct span name = stateful_claim_name(s, value_item(s->claims, i), n->ordinal);
		struct record *record =
		    cluster_get(s->r->cluster, &resource_persistent_volume_claims, s->r->name_space, name);
		struct value *claim;

		if (!record || (!record_has_owner(record) && !w.set && !w.pod))
			continue;
		claim =
		    cluster_object(s->r->cluster, &resource_persistent_volume_claims, record, s->r->arena, s->r->err);
		if (claim)
			were_right &= claim_settle(s, claim, n);
	}
	return were_right;
}

/* ---- making ---- */

static void claim_make(struct stateful *s, const struct value *template, struct span name, int64_t ordinal)
{
	struct reconcile *r = s->r;
	struct value *claim = object_new(r, &resource_persistent_volume_claims, name), *metadata;
	const struct value *labels = value_find(s->spec, "selector.matchLabels");

	if (!claim)
		return;
	metadata = object_copy(r, member(template, "metadata"));
	put(r, metadata, "name", value_string(name));
	put(r, metadata, "namespace", value_string(r->name_space));
	for (uint32_t i = 0; value_is(labels, VALUE_OBJECT) && i < labels->object.count && !r->err->code; i++)
		(void)value_set(put_object(r, metadata, "labels"), labels->object.members[i].key,
				labels->object.members[i].value, r->arena, r->err);
	put(r, claim, "metadata", *metadata);
	put(r, claim, "spec", copied(r, member(template, "spec")));
	if (wanted(s, ordinal).set)
		owner_put(s, claim, "apps/v1", "StatefulSet", r->object);
	reconcile_create(r, &resource_persistent_volume_claims, claim);
	reconcile_report(r, "Create", "create Claim " SPAN_FMT " Pod " SPAN_FMT " in StatefulSet " SPAN_FMT " success",
			 SPAN_ARG(name), SPAN_ARG(stateful_pod_name(s, ordinal)), SPAN_ARG(r->name));
	reconcile_report_failure(
	    r, "create Claim " SPAN_FMT " for Pod " SPAN_FMT " in StatefulSet " SPAN_FMT " failed error",
	    SPAN_ARG(name), SPAN_ARG(stateful_pod_name(s, ordinal)), SPAN_ARG(r->name));
}

/* With claims that go when the set shrinks, one that a pod of before still owns is about to go. */
static bool is_leftover(const struct stateful *s, const struct value *claim, struct span pod)
{
	const struct value *owners = value_find(claim, "metadata.ownerReferences");

	for (uint32_t i = 0; s->drops_claims_on_scale && i < value_count(owners); i++)
		if (is_about_pod(value_item(owners, i), pod))
			return true;
	return false;
}

bool stateful_claims_make(struct stateful *s, int64_t ordinal, bool has_pod)
{
	struct reconcile *r = s->r;
	struct span pod = stateful_pod_name(s, ordinal);
	bool are_there = true;

	for (uint32_t i = 0; i < value_count(s->claims) && !r->err->code; i++) {
		const struct value *template = value_item(s->claims, i), *claim;
		struct span name = stateful_claim_name(s, template, ordinal);

		claim = reconcile_get(r, &resource_persistent_volume_claims, r->name_space, name);
		if (!claim) {
			claim_make(s, template, name, ordinal);
		} else if (object_is_ending(claim) && !has_pod) {
			reconcile_event(r, "Warning", "FailedCreate",
					"create Pod " SPAN_FMT " in StatefulSet " SPAN_FMT
					" failed error: pvc " SPAN_FMT " is being deleted",
					SPAN_ARG(pod), SPAN_ARG(r->name), SPAN_ARG(name));
		} else if (!is_leftover(s, claim, pod)) {
			continue;
		}
		are_there = false;
	}
	return are_there && !r->err->code;
}
