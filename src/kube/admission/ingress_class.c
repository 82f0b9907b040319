/* SPDX-License-Identifier: Apache-2.0 */
/* ingress_class - DefaultIngressClass: an Ingress that names no class has the cluster's. */
#include "kube/admission/defaults.h"
#include "kube/admission/plugins.h"
#include "kube/kinds/kinds.h"

bool newest_pick(void *context, struct value *object)
{
	struct newest *n = context;
	const struct value *annotations = value_find(object, "metadata.annotations");
	bool is_marked = false;
	int order;

	for (size_t i = 0; n->marks[i]; i++)
		is_marked |= is_text(value_get(annotations, span_of(n->marks[i])), "true");
	if (!is_marked)
		return true;
	if (n->found) {
		/* RFC 3339 in UTC is ordered as text. */
		order = span_order(value_find_string(object, "metadata.creationTimestamp"),
				   value_find_string(n->found, "metadata.creationTimestamp"));
		if (order < 0 || (order == 0 && span_order(value_find_string(object, "metadata.name"),
							   value_find_string(n->found, "metadata.name")) > 0))
			return true;
	}
	n->found = object;
	return true;
}

bool ingress_class_admit(struct change *c, struct error *err)
{
	static const char *const marks[] = { "ingressclass.kubernetes.io/is-default-class", NULL };
	struct newest newest = { .marks = marks };
	struct value *spec;

	if (!is_new(c, "networking.k8s.io", "ingresses"))
		return true;
	spec = admission_spec(c, err);
	if (!spec)
		return false;
	if (get(spec, "ingressClassName") ||
	    value_get(value_find(c->object, "metadata.annotations"), SPAN("kubernetes.io/ingress.class")))
		return true;
	return admission_list(c, "networking.k8s.io", "ingressclasses", (struct span){ 0 }, newest_pick, &newest,
			      err) &&
	       (!newest.found ||
		value_set(spec, SPAN("ingressClassName"),
			  value_string(value_find_string(newest.found, "metadata.name")), c->arena, err));
}
