/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage_class - the class `standard`, marked as the default: made when the cluster has none, so that a claim without a class gets a volume.
 *
 * It looks once after a start, by the namespace kube-system, which is always there: a class that is deleted stays so until the next one.
 */
#include "controllers/claim.h"

static void reconcile(struct reconcile *r)
{
	const struct value *all;
	struct value *class, *metadata;

	if (!r->object || !r->config->volumes || !span_equal(r->name, SPAN("kube-system")))
		return;
	all = reconcile_list(r, &resource_storage_classes, (struct span){ 0 });
	if (value_count(all))
		return;
	class = object_new(r, &resource_storage_classes, SPAN("standard"));
	if (!class)
		return;
	metadata = put_object(r, class, "metadata");
	put(r, put_object(r, metadata, "annotations"), ANNOTATION_DEFAULT, value_string(SPAN("true")));
	put(r, class, "provisioner", value_string(SPAN(LOCAL_PROVISIONER)));
	put(r, class, "reclaimPolicy", value_string(SPAN("Delete")));
	put(r, class, "volumeBindingMode", value_string(SPAN("Immediate")));
	reconcile_create(r, &resource_storage_classes, class);
}

static const struct resource *const quiet[] = { &resource_storage_classes, NULL };

const struct controller controller_storage_class = {
	.name = BINDER_NAME,
	.component = BINDER_COMPONENT,
	.resource = &resource_namespaces,
	.quiet = quiet,
	.reconcile = reconcile,
};
