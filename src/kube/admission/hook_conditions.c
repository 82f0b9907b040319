/* SPDX-License-Identifier: Apache-2.0 */
/* hook_conditions - matchConditions of webhooks. Facts: k8s.io/apiserver admission/plugin/webhook/matchconditions. */
#include "kube/admission/hooks.h"
#include "kube/admission/plugins.h"
#include "kube/kinds/kinds.h"

bool hook_conditions_compile(struct hook *hook, struct arena *arena, struct error *err)
{
	const struct value *list = get(hook->spec, "matchConditions");
	struct hook_condition *conditions = ARENA_ARRAY(arena, struct hook_condition, count_of(list), err);

	if (!conditions)
		return false;
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct hook_condition *one = &conditions[i];

		*one = (struct hook_condition){ .name = get_text(value_item(list, i), "name") };
		one->fault = SPAN("expressions are not evaluated by this server");
	}
	hook->conditions = conditions;
	hook->condition_count = count_of(list);
	return true;
}

/* None of them can be said to hold: the failure policy decides. */
enum hook_match hook_conditions_hold(const struct hook *hook, struct change *c, const struct value *object,
				     const struct value *old, const struct value *request, struct error *err)
{
	(void)object;
	(void)old;
	(void)request;
	if (is_text(get(hook->spec, "failurePolicy"), "Ignore"))
		return HOOK_PASSES;
	(void)refuse_text(c, err, hook->conditions[0].fault);
	return HOOK_REFUSES;
}
