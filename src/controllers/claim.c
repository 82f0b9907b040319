/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim - PersistentVolumeClaim: the volume that fits best is bound to it, or one is made in a folder of this machine.
 *
 * The best is one that was kept for the claim; else of those with the fewest access modes the smallest. Volumes of classes whose provisioner
 * is LOCAL_PROVISIONER are made here: an object with a path, which the node makes when a pod uses it, and removes with LOCAL_VOLUME_FINALIZER.
 * A class that waits for the first consumer waits until a pod names the claim: there is one machine, so nobody needs to choose.
 */
#include "controllers/claim.h"

#include <stdio.h>

#include "kube/kinds/kinds.h"

struct binding {
	struct reconcile *r;
	const struct value *claim, *spec;
};

/* ---- what claims and volumes say ---- */

struct span class_of(const struct value *object)
{
	struct span old = object_annotation(object, "volume.beta.kubernetes.io/storage-class");

	return old.len ? old : value_find_string(object, "spec.storageClassName");
}

struct span volume_mode(const struct value *object)
{
	struct span mode = value_find_string(object, "spec.volumeMode");

	return mode.len ? mode : SPAN("Filesystem");
}

bool volume_is_for(const struct value *volume, const struct value *claim)
{
	const struct value *ref = value_find(volume, "spec.claimRef");
	struct span uid = value_find_string(ref, "uid");

	return value_is(ref, VALUE_OBJECT) && span_equal(value_find_string(ref, "name"), object_name(claim)) &&
	       span_equal(value_find_string(ref, "namespace"), value_find_string(claim, "metadata.namespace")) &&
	       (!uid.len || span_equal(uid, value_find_string(claim, "metadata.uid")));
}

void phase_set(struct reconcile *r, const char *phase, const char *reason, const char *message)
{
	struct value *object, *status;

	if (span_equal(value_find_string(r->object, "status.phase"), span_of(phase)))
		return;
	object = object_copy(r, r->object);
	status = put_object(r, object, "status");
	put(r, status, "phase", value_string(span_of(phase)));
	if (r->controller->resource == &resource_persistent_volumes) {
		if (*message)
			put(r, status, "message", value_string(arena_copy(r->arena, span_of(message), r->err)));
		else
			(void)value_remove(status, SPAN("message"));
	} else {
		(void)value_remove(status, SPAN("accessModes"));
		(void)value_remove(status, SPAN("capacity"));
	}
	reconcile_status(r, r->controller->resource, NULL, object);
	if (reason)
		reconcile_event(r, "Warning", reason, "%s", message);
}

static struct span size_of(const struct value *claim)
{
	return value_find_string(value_find(claim, "spec.resources"), "requests.storage");
}

static bool has_modes(const struct value *volume, const struct value *claim)
{
	const struct value *wanted = value_find(claim, "spec.accessModes"),
			   *has = value_find(volume, "spec.accessModes");

	for (uint32_t i = 0; i < value_count(wanted); i++) {
		bool found = false;

		for (uint32_t j = 0; j < value_count(has); j++)
			found |= value_equal(value_item(wanted, i), value_item(has, j));
		if (!found)
			return false;
	}
	return true;
}

static bool is_large_enough(const struct value *volume, const struct value *claim)
{
	int order;

	return !size_of(claim).len ||
	       (quantity_compare(value_find_string(value_find(volume, "spec.capacity"), "storage"), size_of(claim),
				 &order) &&
		order >= 0);
}

/* Why a volume that the claim names cannot be its own; NULL: it can. */
static const char *mismatch(const struct value *volume, const struct value *claim)
{
	if (!is_large_enough(volume, claim))
		return "requested PV is too small";
	if (!span_equal(class_of(volume), class_of(claim)))
		return "storageClassName does not match";
	if (!span_equal(value_find_string(volume, "spec.volumeAttributesClassName"),
			value_find_string(claim, "spec.volumeAttributesClassName")))
		return "volumeAttributesClassName is not supported when the feature-gate VolumeAttributesClass is "
		       "disabled";
	if (!span_equal(volume_mode(volume), volume_mode(claim)))
		return "incompatible volumeMode";
	return has_modes(volume, claim) ? NULL : "incompatible accessMode";
}

/* ---- the best of all volumes ---- */

static bool is_smaller(const struct value *a, const struct value *b)
{
	uint32_t modes_a = value_count(value_find(a, "spec.accessModes")),
		 modes_b = value_count(value_find(b, "spec.accessModes"));
	int order;

	if (modes_a != modes_b)
		return modes_a < modes_b;
	return quantity_compare(value_find_string(value_find(a, "spec.capacity"), "storage"),
				value_find_string(value_find(b, "spec.capacity"), "storage"), &order) &&
	       order < 0;
}

/* `takes_free`: those that nobody has kept, too. */
static const struct value *best_find(struct binding *b, bool takes_free)
{
	const struct value *all = reconcile_list(b->r, &resource_persistent_volumes, (struct span){ 0 }), *best = NULL;
	const struct value *selector = member(b->spec, "selector");

	for (uint32_t i = 0; i < value_count(all); i++) {
		const struct value *v = value_item(all, i);
		bool is_kept = value_is(value_find(v, "spec.claimRef"), VALUE_OBJECT);

		if ((is_kept && !volume_is_for(v, b->claim)) || object_is_ending(v) || !is_large_enough(v, b->claim) ||
		    !span_equal(volume_mode(v), volume_mode(b->claim)) || !has_modes(v, b->claim))
			continue;
		if (is_kept)
			return v;
		if (!takes_free || !span_equal(value_find_string(v, "status.phase"), SPAN("Available")) ||
		    !span_equal(class_of(v), class_of(b->claim)) ||
		    (selector && !selector_matches(selector, value_find(v, "metadata.labels"))))
			continue;
		if (!best || is_smaller(v, best))
			best = v;
	}
	return best;
}

/* ---- binding ---- */

static struct value reference_to(struct reconcile *r, const struct value *claim)
{
	struct value ref = value_object();

	put(r, &ref, "kind", value_string(SPAN("PersistentVolumeClaim")));
	put(r, &ref, "namespace", value_string(value_find_string(claim, "metadata.namespace")));
	put(r, &ref, "name", value_string(object_name(claim)));
	put(r, &ref, "uid", value_string(value_find_string(claim, "metadata.uid")));
	put(r, &ref, "apiVersion", value_string(SPAN("v1")));
	put(r, &ref, "resourceVersion", value_string(value_find_string(claim, "metadata.resourceVersion")));
	return ref;
}

static void annotate(struct reconcile *r, struct value *object, const char *name)
{
	put(r, put_object(r, put_object(r, object, "metadata"), "annotations"), name, value_string(SPAN("yes")));
}

static bool has_annotation(const struct value *object, const char *name)
{
	return value_get(value_find(object, "metadata.annotations"), span_of(name)) != NULL;
}

static void bind_volume(struct binding *b, const struct value *volume)
{
	struct value *object = object_copy(b->r, volume), *spec = put_object(b->r, object, "spec");

	if (!value_is(value_get(spec, SPAN("claimRef")), VALUE_OBJECT))
		annotate(b->r, object, ANNOTATION_BY_US);
	put(b->r, spec, "claimRef", reference_to(b->r, b->claim));
	reconcile_update(b->r, &resource_persistent_volumes, object);
}

static void bind_claim(struct binding *b, const struct value *volume)
{
	struct value *object = object_copy(b->r, b->claim), *spec = put_object(b->r, object, "spec");
	struct span by = object_annotation(volume, ANNOTATION_PROVISIONED);

	if (!value_find_string(b->spec, "volumeName").len) {
		annotate(b->r, object, ANNOTATION_BY_US);
		put(b->r, spec, "volumeName", value_string(object_name(volume)));
	}
	annotate(b->r, object, ANNOTATION_BOUND);
	reconcile_update(b->r, b->r->controller->resource, object);
	if (span_equal(by, SPAN(LOCAL_PROVISIONER)))
		reconcile_event(b->r, "Normal", "ProvisioningSucceeded",
				"Successfully provisioned volume " SPAN_FMT " using " SPAN_FMT,
				SPAN_ARG(object_name(volume)), SPAN_ARG(by));
}

static void tell_bound(struct binding *b, const struct value *volume)
{
	struct value *object = object_copy(b->r, b->claim), *status = put_object(b->r, object, "status");
	bool is_new = !span_equal(value_find_string(status, "phase"), SPAN("Bound"));

	put(b->r, status, "phase", value_string(SPAN("Bound")));
	put(b->r, status, "accessModes", copied(b->r, value_find(volume, "spec.accessModes")));
	if (is_new)
		put(b->r, status, "capacity", copied(b->r, value_find(volume, "spec.capacity")));
	reconcile_status(b->r, b->r->controller->resource, value_find(b->claim, "status"), object);
}

/* The next step of a binding. */
static void bind(struct binding *b, const struct value *volume)
{
	if (!volume_is_for(volume, b->claim) || !value_find_string(volume, "spec.claimRef.uid").len)
		bind_volume(b, volume);
	else if (!has_annotation(b->claim, ANNOTATION_BOUND) || !value_find_string(b->spec, "volumeName").len)
		bind_claim(b, volume);
	else
		tell_bound(b, volume);
}

/* ---- making a volume ---- */

static struct span volume_name(struct binding *b)
{
	return arena_print(b->r->arena, b->r->err, "pvc-" SPAN_FMT,
			   SPAN_ARG(value_find_string(b->claim, "metadata.uid")));
}

static void put_size(struct binding *b, struct value *spec)
{
	put(b->r, put_object(b->r, spec, "capacity"), "storage", value_string(size_of(b->claim)));
}

static void provision(struct binding *b, const struct value *class)
{
	struct reconcile *r = b->r;
	struct span name = volume_name(b), policy = value_find_string(class, "reclaimPolicy");
	struct value *volume, *metadata, *spec, *path;

	if (span_equal(volume_mode(b->claim), SPAN("Block")) || value_is(member(b->spec, "dataSource"), VALUE_OBJECT)) {
		reconcile_event(r, "Warning", "ProvisioningFailed",
				"Failed to provision volume with StorageClass \"" SPAN_FMT "\": " LOCAL_PROVISIONER
				" makes folders: neither block devices nor copies",
				SPAN_ARG(object_name(class)));
		return;
	}
	if (reconcile_get(r, &resource_persistent_volumes, (struct span){ 0 }, name))
		return; /* it is there, and is another's or ends */
	if (r->refused.len)
		reconcile_event(r, "Warning", "ProvisioningFailed",
				"Error creating provisioned PV object for claim " SPAN_FMT "/" SPAN_FMT ": %.*s",
				SPAN_ARG(r->name_space), SPAN_ARG(r->name), (int)r->refused.len, r->refused.ptr);
	volume = object_new(r, &resource_persistent_volumes, name);
	if (!volume)
		return;
	metadata = put_object(r, volume, "metadata");
	(void)value_remove(metadata, SPAN("namespace"));
	annotate(r, volume, ANNOTATION_BY_US);
	put(r, put_object(r, metadata, "annotations"), ANNOTATION_PROVISIONED, value_string(SPAN(LOCAL_PROVISIONER)));
	spec = put_object(r, volume, "spec");
	put_size(b, spec);
	put(r, spec, "accessModes", copied(r, member(b->spec, "accessModes")));
	put(r, spec, "persistentVolumeReclaimPolicy", value_string(policy.len ? policy : SPAN("Delete")));
	put(r, spec, "storageClassName", value_string(object_name(class)));
	put(r, spec, "volumeMode", value_string(SPAN("Filesystem")));
	put(r, spec, "claimRef", reference_to(r, b->claim));
	path = put_object(r, spec, "hostPath");
	put(r, path, "path", text_print(r, "%s/" SPAN_FMT, r->config->volumes, SPAN_WHOLE(name)));
	put(r, path, "type", value_string(SPAN("DirectoryOrCreate")));
	if (!policy.len || span_equal(policy, SPAN("Delete")))
		put_item(r, put_array(r, put_object(r, volume, "metadata"), "finalizers"),
			 value_string(SPAN(LOCAL_VOLUME_FINALIZER)));
	reconcile_create(r, &resource_persistent_volumes, volume);
}

/* Somebody else makes it: he looks for the annotation. */
static void ask_other(struct binding *b, struct span provisioner)
{
	static const char *const names[] = { "volume.beta.kubernetes.io/storage-provisioner",
					     "volume.kubernetes.io/storage-provisioner" };
	struct value *object = object_copy(b->r, b->claim);
	struct value *annotations = put_object(b->r, put_object(b->r, object, "metadata"), "annotations");

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		put(b->r, annotations, names[i], value_string(provisioner));
	if (!value_equal(b->claim, object)) {
		reconcile_update(b->r, b->r->controller->resource, object);
		return;
	}
	reconcile_event(
	    b->r, "Normal", "ExternalProvisioning",
	    "Waiting for a volume to be created either by the external provisioner '" SPAN_FMT
	    "' or manually by the system administrator. If volume creation is delayed, please verify that the "
	    "provisioner is running and correctly registered.",
	    SPAN_ARG(provisioner));
}

static void provision_by(struct binding *b, const struct value *class)
{
	struct span provisioner = value_find_string(class, "provisioner");

	if (span_equal(provisioner, SPAN(LOCAL_PROVISIONER)) && b->r->config->volumes)
		provision(b, class);
	else if (span_starts(provisioner, SPAN("kubernetes.io/")))
		reconcile_event(b->r, "Warning", "ProvisioningFailed", "no volume plugin matched name: " SPAN_FMT,
				SPAN_ARG(provisioner));
	else
		ask_other(b, provisioner);
}

/* ---- a claim that is not bound ---- */

static bool names_claim(const struct value *pod, struct span claim)
{
	const struct value *volumes = value_find(pod, "spec.volumes");

	for (uint32_t i = 0; i < value_count(volumes); i++)
		if (span_equal(value_find_string(value_item(volumes, i), "persistentVolumeClaim.claimName"), claim))
			return true;
	return false;
}

static bool is_used(struct binding *b)
{
	const struct value *pods = reconcile_list(b->r, &resource_pods, b->r->name_space);

	for (uint32_t i = 0; i < value_count(pods); i++)
		if (pod_is_active(value_item(pods, i)) && names_claim(value_item(pods, i), b->r->name))
			return true;
	return false;
}

/* The newest of those that are marked. */
static const struct value *default_class(struct reconcile *r)
{
	const struct value *all = reconcile_list(r, &resource_storage_classes, (struct span){ 0 }), *found = NULL;

	for (uint32_t i = 0; i < value_count(all); i++) {
		const struct value *c = value_item(all, i);

		if (span_equal(object_annotation(c, ANNOTATION_DEFAULT), SPAN("true")) &&
		    (!found ||
		     object_time(c, "metadata.creationTimestamp") > object_time(found, "metadata.creationTimestamp")))
			found = c;
	}
	return found;
}

static bool take_default_class(struct binding *b)
{
	const struct value *class;
	struct value *object;

	if (member(b->spec, "storageClassName") || has_annotation(b->claim, "volume.beta.kubernetes.io/storage-class"))
		return false;
	class = default_class(b->r);
	if (!class)
		return false;
	object = object_copy(b->r, b->claim);
	put(b->r, put_object(b->r, object, "spec"), "storageClassName", value_string(object_name(class)));
	reconcile_update(b->r, b->r->controller->resource, object);
	return true;
}

static void find_volume(struct binding *b)
{
	struct span name = class_of(b->claim);
	const struct value *class =
	    name.len ? reconcile_get(b->r, &resource_storage_classes, (struct span){ 0 }, name) : NULL;
	bool waits =
	    span_equal(value_find_string(class, "volumeBindingMode"), SPAN("WaitForFirstConsumer")) && !is_used(b);
	const struct value *best = best_find(b, !waits);

	if (best) {
		bind(b, best);
	} else if (take_default_class(b)) {
		return;
	} else if (waits) {
		reconcile_event(b->r, "Normal", "WaitForFirstConsumer",
				"waiting for first consumer to be created before binding");
		phase_set(b->r, "Pending", NULL, "");
	} else if (class) {
		provision_by(b, class);
	} else if (name.len) {
		reconcile_event(b->r, "Warning", "ProvisioningFailed",
				"storageclass.storage.k8s.io \"" SPAN_FMT "\" not found", SPAN_ARG(name));
	} else {
		reconcile_event(b->r, "Normal", "FailedBinding",
				"no persistent volumes available for this claim and no storage class is set");
		phase_set(b->r, "Pending", NULL, "");
	}
}

static void take_named(struct binding *b, const struct value *volume)
{
	const char *wrong = object_is_ending(volume) ? "" : mismatch(volume, b->claim);
	struct span name = object_name(volume);

	if (value_is(value_find(volume, "spec.claimRef"), VALUE_OBJECT)) {
		if (volume_is_for(volume, b->claim)) {
			bind(b, volume);
			return;
		}
		reconcile_event(b->r, "Warning", "FailedBinding",
				"volume \"" SPAN_FMT "\" already bound to a different claim.", SPAN_ARG(name));
	} else if (!wrong) {
		bind(b, volume);
		return;
	} else if (*wrong) {
		reconcile_event(b->r, "Warning", "VolumeMismatch",
				"Cannot bind to requested volume \"" SPAN_FMT "\": %s", SPAN_ARG(name), wrong);
	} else {
		reconcile_event(b->r, "Warning", "VolumeMismatch",
				"Cannot bind to requested volume \"" SPAN_FMT
				"\": the volume is marked for deletion \"" SPAN_FMT "\"",
				SPAN_ARG(name), SPAN_ARG(name));
	}
	phase_set(b->r, "Pending", NULL, "");
}

/* ---- one that was bound ---- */

static void keep_bound(struct binding *b, const struct value *volume)
{
	if (!value_find_string(b->spec, "volumeName").len)
		phase_set(b->r, "Lost", "ClaimLost",
			  "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
	else if (!volume)
		phase_set(b->r, "Lost", "ClaimLost",
			  "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
	else if (!value_is(value_find(volume, "spec.claimRef"), VALUE_OBJECT) || volume_is_for(volume, b->claim))
		bind(b, volume);
	else
		phase_set(b->r, "Lost", "ClaimMisbound",
			  "Two claims are bound to the same volume, this one is bound incorrectly");
}

static void reconcile(struct reconcile *r)
{
	struct binding b = { .r = r, .claim = r->object };
	const struct value *volume = NULL;
	struct span name;

	if (!r->object)
		return;
	b.spec = member(r->object, "spec");
	name = value_find_string(b.spec, "volumeName");
	if (name.len)
		volume = reconcile_get(r, &resource_persistent_volumes, (struct span){ 0 }, name);
	if (has_annotation(b.claim, ANNOTATION_BOUND))
		keep_bound(&b, volume);
	else if (object_is_ending(r->object))
		return;
	else if (!name.len)
		find_volume(&b);
	else if (volume)
		take_named(&b, volume);
	else
		phase_set(r, "Pending", NULL, "");
}

/* ---- what wakes it ---- */

/* The pods that use it matter to a claim that waits for them. */
static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *object)
{
	const struct value *volumes = value_find(object, "spec.volumes");

	if (resource != &resource_pods) {
		manager_wake_matching(m, c, object);
		return;
	}
	for (uint32_t i = 0; i < value_count(volumes); i++) {
		struct span name = value_find_string(value_item(volumes, i), "persistentVolumeClaim.claimName");

		if (name.len)
			manager_wake(m, c, value_find_string(object, "metadata.namespace"), name);
	}
}

/* A volume, or a class. */
static bool takes(const struct value *claim, const struct value *other)
{
	bool is_bound = span_equal(value_find_string(claim, "status.phase"), SPAN("Bound"));
	struct span volume = value_find_string(claim, "spec.volumeName"), class = class_of(claim);

	if (span_equal(value_find_string(other, "kind"), SPAN("StorageClass")))
		return !is_bound && !volume.len && (!class.len || span_equal(class, object_name(other)));
	return volume_is_for(other, claim) || span_equal(volume, object_name(other)) ||
	       (!is_bound && !value_is(value_find(other, "spec.claimRef"), VALUE_OBJECT));
}

static const struct resource *const read[] = { &resource_persistent_volumes, &resource_storage_classes, &resource_pods,
					       NULL };

const struct controller controller_claim = {
	.name = BINDER_NAME,
	.component = BINDER_COMPONENT,
	.resource = &resource_persistent_volume_claims,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
