/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim_volume - PersistentVolume: its phase, and what becomes of it when its claim is gone.
 *
 * A volume that we made and that is to be deleted is deleted as an object; its finalizer is the node's, who removes the folder first.
 */
#include "controllers/claim.h"

#include "kube/kinds/kinds.h"

static bool is_phase(const struct value *volume, const char *phase)
{
	return span_equal(value_find_string(volume, "status.phase"), span_of(phase));
}

static void reclaim(struct reconcile *r)
{
	struct span policy = value_find_string(r->object, "spec.persistentVolumeReclaimPolicy");
	struct span by = object_annotation(r->object, ANNOTATION_PROVISIONED);

	if (span_equal(policy, SPAN("Recycle"))) {
		phase_set(r, "Failed", "VolumeFailedRecycle", "No recycler plugin found for the volume!");
	} else if (span_equal(policy, SPAN("Delete"))) {
		if (span_equal(by, SPAN(LOCAL_PROVISIONER))) {
			if (!object_is_ending(r->object))
				reconcile_delete(r, r->controller->resource, r->object);
		} else if (!by.len) {
			struct span text = arena_print(r->arena, r->err,
						       "error getting deleter volume plugin for volume \"" SPAN_FMT
						       "\": no deletable volume plugin matched",
						       SPAN_ARG(r->name));

			phase_set(r, "Failed", "VolumeFailedDelete", text.ptr ? text.ptr : "");
		} /* else who made it deletes it */
	}
}

static void release(struct reconcile *r)
{
	if (!is_phase(r->object, "Released") && !is_phase(r->object, "Failed"))
		phase_set(r, "Released", NULL, ""); /* the rest follows when that is seen */
	else
		reclaim(r);
}

/* Its claim took another volume. One that a user keeps for the claim is kept still. */
static void unbind(struct reconcile *r)
{
	struct value *object = object_copy(r, r->object), *spec = put_object(r, object, "spec");
	struct value *annotations = value_find(object, "metadata.annotations");

	if (value_get(annotations, SPAN(ANNOTATION_BY_US))) {
		(void)value_remove(annotations, SPAN(ANNOTATION_BY_US));
		(void)value_remove(spec, SPAN("claimRef"));
	} else {
		(void)value_remove(put_object(r, spec, "claimRef"), SPAN("uid"));
	}
	reconcile_update(r, r->controller->resource, object);
}

static void reconcile(struct reconcile *r)
{
	const struct value *ref, *claim;
	struct span uid, named;

	if (!r->object)
		return;
	ref = value_find(r->object, "spec.claimRef");
	uid = value_find_string(ref, "uid");
	if (!uid.len) {
		phase_set(r, "Available", NULL, "");
		return;
	}
	claim = reconcile_get(r, &resource_persistent_volume_claims, value_find_string(ref, "namespace"),
			      value_find_string(ref, "name"));
	if (!claim || !span_equal(value_find_string(claim, "metadata.uid"), uid)) {
		release(r);
		return;
	}
	named = value_find_string(claim, "spec.volumeName");
	if (span_equal(named, r->name)) {
		phase_set(r, "Bound", NULL, "");
	} else if (!named.len) {
		/* The claim takes the next step. */
		if (!span_equal(volume_mode(r->object), volume_mode(claim)))
			reconcile_event(r, "Warning", "VolumeMismatch",
					"Cannot bind PersistentVolume to requested PersistentVolumeClaim \"" SPAN_FMT
					"\" due to incompatible volumeMode.",
					SPAN_ARG(object_name(claim)));
	} else if (object_annotation(r->object, ANNOTATION_PROVISIONED).len &&
		   span_equal(value_find_string(r->object, "spec.persistentVolumeReclaimPolicy"), SPAN("Delete"))) {
		release(r);
	} else {
		unbind(r);
	}
}

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *claim)
{
	(void)resource;
	manager_wake_matching(m, c, claim);
}

static bool takes(const struct value *volume, const struct value *claim)
{
	return volume_is_for(volume, claim) ||
	       span_equal(value_find_string(claim, "spec.volumeName"), object_name(volume));
}

static const struct resource *const read[] = { &resource_persistent_volume_claims, NULL };

const struct controller controller_claim_volume = {
	.name = BINDER_NAME,
	.component = BINDER_COMPONENT,
	.resource = &resource_persistent_volumes,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
