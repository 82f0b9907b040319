/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage - DefaultStorageClass: a claim that names no class has the cluster's; StorageObjectInUseProtection: claims and volumes are
 * kept while they are in use; PersistentVolumeClaimResize: which claims may grow.
 */
#include "kube/admission/plugins.h"

#include "kube/admission/defaults.h"
#include "kube/kinds/kinds.h"

#define CLASSES "storage.k8s.io", "storageclasses"

static bool is_claim(const struct change *c)
{
	return change_is_of(c, "", "persistentvolumeclaims") && !c->subresource.len;
}

/* ---- DefaultStorageClass ---- */

bool storage_class_admit(struct change *c, struct error *err)
{
	static const char *const marks[] = { "storageclass.kubernetes.io/is-default-class",
					     "storageclass.beta.kubernetes.io/is-default-class", NULL };
	struct newest newest = { .marks = marks };
	struct value *spec;

	if (c->verb != KUBE_CREATE || !is_claim(c))
		return true;
	spec = admission_spec(c, err);
	if (!spec)
		return false;
	if (get(spec, "storageClassName") ||
	    value_get(value_find(c->object, "metadata.annotations"), SPAN("volume.beta.kubernetes.io/storage-class")))
		return true;
	return admission_list(c, CLASSES, (struct span){ 0 }, newest_pick, &newest, err) &&
	       (!newest.found ||
		value_set(spec, SPAN("storageClassName"),
			  value_string(value_find_string(newest.found, "metadata.name")), c->arena, err));
}

/* ---- StorageObjectInUseProtection ---- */

bool storage_protection_admit(struct change *c, struct error *err)
{
	struct span finalizer = { 0 };
	struct value *metadata, *list;

	if (c->verb != KUBE_CREATE || c->subresource.len)
		return true;
	if (change_is_of(c, "", "persistentvolumes"))
		finalizer = SPAN("kubernetes.io/pv-protection");
	else if (change_is_of(c, "", "persistentvolumeclaims"))
		finalizer = SPAN("kubernetes.io/pvc-protection");
	else
		return true;
	metadata = value_ensure_object(c->object, SPAN("metadata"), c->arena, err);
	list = metadata ? value_ensure_array(metadata, SPAN("finalizers"), c->arena, err) : NULL;
	for (uint32_t i = 0; i < count_of(list); i++)
		if (span_equal(text_of(value_item(list, i)), finalizer))
			return true;
	return list && value_append(list, value_string(finalizer), c->arena, err);
}

/* ---- PersistentVolumeClaimResize ---- */

static struct span class_of(const struct value *claim)
{
	struct span old = text_of(
	    value_get(value_find(claim, "metadata.annotations"), SPAN("volume.beta.kubernetes.io/storage-class")));

	return old.len ? old : value_find_string(claim, "spec.storageClassName");
}

bool claim_resize_validate(struct change *c, struct error *err)
{
	struct span old = value_find_string(c->old, "spec.resources.requests.storage"),
		    now = value_find_string(c->object, "spec.resources.requests.storage");
	struct span class = class_of(c->object);
	const struct value *found;
	int order = 0;

	if (c->verb != KUBE_UPDATE || !is_claim(c) || !quantity_compare(now, old, &order) || order <= 0)
		return true;
	if (!span_equal(value_find_string(c->old, "status.phase"), SPAN("Bound")))
		return refuse(c, err, "Only bound persistent volume claims can be expanded");
	found = class.len && span_equal(class, class_of(c->old))
		    ? admission_object(c, CLASSES, (struct span){ 0 }, class, err)
		    : NULL;
	if (err->code)
		return false;
	return get_bool(found, "allowVolumeExpansion") ||
	       refuse(
		   c, err,
		   "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
		   "support resize");
}
