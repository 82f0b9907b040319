/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_class - RuntimeClass: a pod that names a class needs it; a class of node.k8s.io that is there tells the pod's overhead. */
#include "kube/admission/plugins.h"

#include "kube/kinds/kinds.h"

bool runtime_class_admit(struct change *c, struct error *err)
{
	struct span name = value_find_string(c->object, "spec.runtimeClassName");
	const struct value *class, *overhead;
	struct value *spec;

	if (!is_new(c, "", "pods"))
		return true;
	if (!name.len && count_of(get(get(c->object, "spec"), "overhead")))
		return refuse(c, err,
			      "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
	if (!name.len)
		return true;
	class = admission_object(c, "node.k8s.io", "runtimeclasses", (struct span){ 0 }, name, err);
	if (err->code)
		return false;
	if (!class)
		return refuse(c, err, "pod rejected: RuntimeClass \"" SPAN_FMT "\" not found", SPAN_ARG(name));
	overhead = value_find(class, "overhead.podFixed");
	if (!overhead)
		return true;
	spec = admission_spec(c, err);
	if (count_of(get(spec, "overhead")) && !value_equal(get(spec, "overhead"), overhead))
		return refuse(c, err, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
	return spec && value_set(spec, SPAN("overhead"), *overhead, c->arena, err);
}
