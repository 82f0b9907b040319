/* SPDX-License-Identifier: Apache-2.0 */
/* hook_conditions - matchConditions of webhooks, in the Common Expression Language. Facts: k8s.io/apiserver admission/plugin/webhook/matchconditions. */
#include "kube/admission/hooks.h"
#include "kube/admission/plugins.h"
#include "kube/crd/cel.h"
#include "kube/kinds/kinds.h"

#define COST_CONDITIONS UINT64_C(2500000) /* RuntimeCELCostBudgetMatchConditions */

static const struct cel_variable variables[] = {
	{ SPAN_INIT("object"), &cel_dyn },
	{ SPAN_INIT("oldObject"), &cel_dyn },
	{ SPAN_INIT("request"), &cel_dyn },
};
static const struct cel_env environment = { .variables = variables, .count = ARRAY_LEN(variables) };

bool hook_conditions_compile(struct hook *hook, struct arena *arena, struct error *err)
{
	const struct value *list = get(hook->spec, "matchConditions");
	struct hook_condition *conditions = ARENA_ARRAY(arena, struct hook_condition, count_of(list), err);

	if (!conditions)
		return false;
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct hook_condition *one = &conditions[i];

		*one = (struct hook_condition){ .name = get_text(value_item(list, i), "name") };
		one->program =
		    cel_compile(get_text(value_item(list, i), "expression"), &environment, arena, &one->fault, err);
		if (err->code)
			return false;
	}
	hook->conditions = conditions;
	hook->condition_count = count_of(list);
	return true;
}

static struct cel_value value_or_null(const struct value *v, struct arena *arena, struct error *err)
{
	return v ? cel_from_json(v, &cel_dyn, arena, err) : (struct cel_value){ .kind = CEL_NULL };
}

enum hook_match hook_conditions_hold(const struct hook *hook, struct change *c, const struct value *object,
				     const struct value *old, const struct value *request, struct error *err)
{
	const struct cel_value values[] = { value_or_null(object, c->arena, err), value_or_null(old, c->arena, err),
					    value_or_null(request, c->arena, err) };
	struct text faults = { .arena = c->arena };
	uint64_t left = COST_CONDITIONS;
	size_t count = 0;

	for (size_t i = 0; i < hook->condition_count && !err->code; i++) {
		const struct hook_condition *one = &hook->conditions[i];
		struct cel_value result = { .kind = CEL_ERROR, .text = one->fault };
		uint64_t cost = 0;

		if (one->program)
			result = cel_eval(one->program, values, left, &cost, c->arena, err);
		left -= MIN(cost, left);
		if (result.kind == CEL_BOOL && !result.boolean)
			return HOOK_PASSES;
		if (result.kind == CEL_BOOL)
			continue;
		text_add(&faults, count++ ? SPAN(", ") : SPAN(""));
		text_addf(
		    &faults, "expression '" SPAN_FMT "' resulted in error: ",
		    SPAN_ARG(get_text(value_item(get(hook->spec, "matchConditions"), (uint32_t)i), "expression")));
		text_add(&faults, result.kind == CEL_ERROR ? result.text : SPAN("it is no boolean"));
	}
	if (err->code)
		return HOOK_REFUSES;
	if (!count)
		return HOOK_CALLS;
	if (is_text(get(hook->spec, "failurePolicy"), "Ignore"))
		return HOOK_PASSES;
	(void)refuse_text(
	    c, err, count > 1 ? arena_print(c->arena, err, "[%.*s]", (int)faults.len, faults.ptr) : text_span(&faults));
	return HOOK_REFUSES;
}
