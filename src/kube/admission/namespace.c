/* SPDX-License-Identifier: Apache-2.0 */
/* namespace - NamespaceLifecycle: a new object needs a namespace that is there and stays; some may not be deleted. */
#include "kube/admission/plugins.h"

/* As the real server has them: `kube-public` and `kube-system` hold what a cluster cannot do without. */
static bool is_kept(struct span name)
{
	return span_equal(name, SPAN("default")) || span_equal(name, SPAN("kube-system")) ||
	       span_equal(name, SPAN("kube-public"));
}

bool namespace_admit(struct change *c, struct error *err)
{
	const struct value *found;

	if (c->verb == KUBE_DELETE)
		return !change_is_of(c, "", "namespaces") || !is_kept(c->name) ||
		       refuse(c, err, "this namespace may not be deleted");
	if (c->verb != KUBE_CREATE || !c->kind->is_namespaced)
		return true;
	found = admission_object(c, "", "namespaces", (struct span){ 0 }, c->name_space, err);
	if (!found)
		return err->code ? false
				 : error_set(err, ERROR_NOT_FOUND, "namespaces \"" SPAN_FMT "\" not found",
					     SPAN_ARG(c->name_space));
	if (!value_find(found, "metadata.deletionTimestamp"))
		return true;
	return refuse(c, err, "unable to create new content in namespace " SPAN_FMT " because it is being terminated",
		      SPAN_ARG(c->name_space));
}
