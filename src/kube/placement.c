/* SPDX-License-Identifier: Apache-2.0 */
/* placement - see the header. */
#include "kube/placement.h"

#include "base/number.h"

static bool is_text(const struct value *v, const char *path, const char *text)
{
	return span_equal(value_find_string(v, path), span_of(text));
}

/* ---- labels ---- */

static bool has_value(const struct value *values, struct span text)
{
	for (uint32_t i = 0; i < value_count(values); i++)
		if (value_is(value_item(values, i), VALUE_STRING) && span_equal(value_item(values, i)->string, text))
			return true;
	return false;
}

/* -1, 0, 1 as `text` is less than, equal to, greater than the only value; 2: one of them is no number. */
static int compare_numbers(struct span text, const struct value *values)
{
	int64_t a, b;

	if (value_count(values) != 1 || !value_is(value_item(values, 0), VALUE_STRING) ||
	    !number_parse_int64(text, &a) || !number_parse_int64(value_item(values, 0)->string, &b))
		return 2;
	return (a > b) - (a < b);
}

static bool requirement_holds(const struct value *requirement, bool is_there, struct span text)
{
	const struct value *values = value_find(requirement, "values");

	if (is_text(requirement, "operator", "In"))
		return is_there && has_value(values, text);
	if (is_text(requirement, "operator", "NotIn"))
		return !is_there || !has_value(values, text);
	if (is_text(requirement, "operator", "Exists"))
		return is_there;
	if (is_text(requirement, "operator", "DoesNotExist"))
		return !is_there;
	if (is_text(requirement, "operator", "Gt"))
		return is_there && compare_numbers(text, values) == 1;
	if (is_text(requirement, "operator", "Lt"))
		return is_there && compare_numbers(text, values) == -1;
	return false;
}

static bool term_matches(const struct value *term, const struct value *node)
{
	const struct value *expressions = value_find(term, "matchExpressions"),
			   *fields = value_find(term, "matchFields");
	const struct value *labels = value_find(node, "metadata.labels");

	if (!value_count(expressions) && !value_count(fields))
		return false;
	for (uint32_t i = 0; i < value_count(expressions); i++) {
		const struct value *e = value_item(expressions, i);
		const struct value *label = value_get(labels, value_find_string(e, "key"));

		if (!requirement_holds(e, label != NULL,
				       value_is(label, VALUE_STRING) ? label->string : (struct span){ 0 }))
			return false;
	}
	for (uint32_t i = 0; i < value_count(fields); i++) {
		const struct value *f = value_item(fields, i);

		if (!is_text(f, "key", "metadata.name") ||
		    !requirement_holds(f, true, value_find_string(node, "metadata.name")))
			return false;
	}
	return true;
}

bool placement_takes_node(const struct value *pod_spec, const struct value *node)
{
	const struct value *selector = value_find(pod_spec, "nodeSelector"), *required, *terms;
	const struct value *labels = value_find(node, "metadata.labels");

	for (uint32_t i = 0; value_is(selector, VALUE_OBJECT) && i < selector->object.count; i++) {
		const struct value *label = value_get(labels, selector->object.members[i].key);

		if (!label || !value_equal(label, &selector->object.members[i].value))
			return false;
	}
	required = value_find(pod_spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
	if (!value_is(required, VALUE_OBJECT))
		return true;
	terms = value_find(required, "nodeSelectorTerms");
	for (uint32_t i = 0; i < value_count(terms); i++)
		if (term_matches(value_item(terms, i), node))
			return true;
	return false;
}

/* ---- taints ---- */

bool placement_tolerates(const struct value *toleration, const struct value *taint)
{
	struct span effect = value_find_string(toleration, "effect"), key = value_find_string(toleration, "key");
	struct span operator= value_find_string(toleration, "operator");

	if (effect.len && !span_equal(effect, value_find_string(taint, "effect")))
		return false;
	if (key.len && !span_equal(key, value_find_string(taint, "key")))
		return false;
	if (span_equal(operator, SPAN("Exists")))
		return true;
	return (!operator.len || span_equal(operator, SPAN("Equal"))) &&
	       span_equal(value_find_string(toleration, "value"), value_find_string(taint, "value"));
}

const struct value *placement_taint(const struct value *tolerations, const struct value *node,
				    enum placement_taints asked)
{
	const struct value *taints = value_find(node, "spec.taints");

	for (uint32_t i = 0; i < value_count(taints); i++) {
		const struct value *taint = value_item(taints, i);
		bool counts = is_text(taint, "effect", "NoExecute") ||
			      (asked == PLACEMENT_TO_START && is_text(taint, "effect", "NoSchedule"));

		for (uint32_t j = 0; counts && j < value_count(tolerations); j++)
			counts = !placement_tolerates(value_item(tolerations, j), taint);
		if (counts)
			return taint;
	}
	return NULL;
}
