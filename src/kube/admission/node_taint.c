/* SPDX-License-Identifier: Apache-2.0 */
/* node_taint - TaintNodesByCondition: a new node takes no pods until it is ready. */
#include "kube/admission/plugins.h"

#include "kube/kinds/kinds.h"

bool node_taint_admit(struct change *c, struct error *err)
{
	struct value *spec, *taints, *taint;

	if (!is_new(c, "", "nodes"))
		return true;
	spec = admission_spec(c, err);
	taints = spec ? value_ensure_array(spec, SPAN("taints"), c->arena, err) : NULL;
	for (uint32_t i = 0; i < count_of(taints); i++)
		if (is_text(get(value_item(taints, i), "key"), "node.kubernetes.io/not-ready") &&
		    is_text(get(value_item(taints, i), "effect"), "NoSchedule"))
			return true;
	taint = taints ? value_append(taints, value_object(), c->arena, err) : NULL;
	return taint &&
	       value_set(taint, SPAN("key"), value_string(SPAN("node.kubernetes.io/not-ready")), c->arena, err) &&
	       value_set(taint, SPAN("effect"), value_string(SPAN("NoSchedule")), c->arena, err);
}
