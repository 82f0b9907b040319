/* SPDX-License-Identifier: Apache-2.0 */
/* pod_placement - where a pod may run: affinity, spreading, tolerations. */
#include "kube/kinds/kinds.h"

static void check_node_requirement(struct change *c, const struct at *at, const struct value *r, bool checks_values)
{
	static const char *const sets[] = { "In", "NotIn", NULL }, *const exists[] = { "Exists", "DoesNotExist", NULL },
				 *const orders[] = { "Gt", "Lt", NULL };
	struct span operator= get_text(r, "operator");
	const struct value *values = get(r, "values");

	if (text_is_one_of(operator, sets)) {
		if (!count_of(values))
			fault_required(c, AT(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
	} else if (text_is_one_of(operator, exists)) {
		if (count_of(values))
			fault_forbidden(c, AT(at, "values"),
					"may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	} else if (text_is_one_of(operator, orders)) {
		if (count_of(values) != 1)
			fault_required(c, AT(at, "values"),
				       "must be specified single value when `operator` is 'Lt' or 'Gt'");
	} else {
		fault_invalid_text(c, AT(at, "operator"), operator, "not a valid selector operator");
	}
	check_name(c, AT(at, "key"), get(r, "key"), name_check_qualified);
	for (uint32_t i = 0; checks_values && i < count_of(values); i++)
		check_name(c, AT_INDEX(AT(at, "values"), i), value_item(values, i), name_check_label_value);
}

/* matchFields knows one field, with one value. */
static void check_field_requirement(struct change *c, const struct at *at, const struct value *r)
{
	const struct value *values = get(r, "values"), *operator= get(r, "operator");

	if (!is_text(operator, "In") && !is_text(operator, "NotIn"))
		fault_invalid_text(c, AT(at, "operator"), text_of(operator), "not a valid selector operator");
	else if (count_of(values) != 1)
		fault_required(c, AT(at, "values"),
			       "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
	if (!is_text(get(r, "key"), "metadata.name")) {
		fault_invalid_text(c, AT(at, "key"), get_text(r, "key"), "not a valid field selector key");
		return;
	}
	for (uint32_t i = 0; i < count_of(values); i++)
		check_name(c, AT_INDEX(AT(at, "values"), i), value_item(values, i), name_check_subdomain);
}

static void check_node_term(struct change *c, const struct at *at, const struct value *term, bool checks_values)
{
	const struct value *labels = get(term, "matchExpressions"), *fields = get(term, "matchFields");

	for (uint32_t i = 0; i < count_of(labels); i++)
		check_node_requirement(c, AT_INDEX(AT(at, "matchExpressions"), i), value_item(labels, i),
				       checks_values);
	for (uint32_t i = 0; i < count_of(fields); i++)
		check_field_requirement(c, AT_INDEX(AT(at, "matchFields"), i), value_item(fields, i));
}

void check_node_selector(struct change *c, const struct at *at, const struct value *selector)
{
	const struct value *terms = get(selector, "nodeSelectorTerms");

	if (!count_of(terms))
		fault_required(c, AT(at, "nodeSelectorTerms"), "must have at least one node selector term");
	for (uint32_t i = 0; i < count_of(terms); i++)
		check_node_term(c, AT_INDEX(AT(at, "nodeSelectorTerms"), i), value_item(terms, i), true);
}

static void check_weight(struct change *c, const struct at *at, const struct value *term)
{
	struct value zero = value_int(0);
	const struct value *weight = get(term, "weight");
	int64_t n = get_int(term, "weight", 0);

	if (n <= 0 || n > 100)
		fault_invalid(c, AT(at, "weight"), weight ? weight : &zero, "must be in the range 1-100");
}

static void check_pod_term(struct change *c, const struct at *at, const struct value *term)
{
	const struct value *spaces = get(term, "namespaces"), *topology = get(term, "topologyKey");

	check_selector(c, AT(at, "labelSelector"), get(term, "labelSelector"));
	check_selector(c, AT(at, "namespaceSelector"), get(term, "namespaceSelector"));
	for (uint32_t i = 0; i < count_of(spaces); i++)
		check_name(c, AT(at, "namespace"), value_item(spaces, i), name_check_label);
	if (text_of(topology).len == 0)
		fault_required(c, AT(at, "topologyKey"), "can not be empty");
	check_name(c, AT(at, "topologyKey"), topology, name_check_qualified);
}

#define REQUIRED  "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"

static void check_pod_affinity(struct change *c, const struct at *at, const struct value *v)
{
	const struct value *required = get(v, REQUIRED), *preferred = get(v, PREFERRED);

	for (uint32_t i = 0; i < count_of(required); i++)
		check_pod_term(c, AT_INDEX(AT(at, REQUIRED), i), value_item(required, i));
	for (uint32_t i = 0; i < count_of(preferred); i++) {
		const struct at *here = AT_INDEX(AT(at, PREFERRED), i);

		check_weight(c, here, value_item(preferred, i));
		check_pod_term(c, AT(here, "podAffinityTerm"), get(value_item(preferred, i), "podAffinityTerm"));
	}
}

void pod_affinity_check(struct change *c, const struct at *at, const struct value *affinity)
{
	const struct value *node = get(affinity, "nodeAffinity"), *preferred = get(node, PREFERRED);
	const struct at *here = AT(at, "nodeAffinity");

	if (get(node, REQUIRED))
		check_node_selector(c, AT(here, REQUIRED), get(node, REQUIRED));
	for (uint32_t i = 0; i < count_of(preferred); i++) {
		const struct at *term = AT_INDEX(AT(here, PREFERRED), i);

		check_weight(c, term, value_item(preferred, i));
		check_node_term(c, AT(term, "preference"), get(value_item(preferred, i), "preference"), false);
	}
	check_pod_affinity(c, AT(at, "podAffinity"), get(affinity, "podAffinity"));
	check_pod_affinity(c, AT(at, "podAntiAffinity"), get(affinity, "podAntiAffinity"));
}

/* Two constraints must not have the same key and action. */
static bool spread_repeats(const struct value *list, uint32_t index)
{
	const struct value *mine = value_item(list, index);

	for (uint32_t i = index + 1; i < count_of(list); i++) {
		const struct value *other = value_item(list, i);

		if (is_same(get(mine, "topologyKey"), get(other, "topologyKey")) &&
		    is_same(get(mine, "whenUnsatisfiable"), get(other, "whenUnsatisfiable")))
			return true;
	}
	return false;
}

static void check_label_keys(struct change *c, const struct at *at, const struct value *keys,
			     const struct value *selector)
{
	if (!count_of(keys))
		return;
	if (!selector)
		fault_forbidden(c, at, "must not be specified when labelSelector is not set");
	for (uint32_t i = 0; i < count_of(keys); i++)
		check_name(c, AT_INDEX(at, i), value_item(keys, i), name_check_qualified);
}

void pod_spread_check(struct change *c, const struct at *at, const struct value *list)
{
	static const char *const actions[] = { "DoNotSchedule", "ScheduleAnyway", NULL }, *const honors[] = { "Honor",
													      "Ignore",
													      NULL };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *one = value_item(list, i), *skew = get(one, "maxSkew"),
				   *domains = get(one, "minDomains");
		const struct at *here = AT_INDEX(at, i);
		struct span key = get_text(one, "topologyKey"), action = get_text(one, "whenUnsatisfiable");
		struct value zero = value_int(0);

		if (get_int(one, "maxSkew", 0) <= 0)
			fault_invalid(c, AT(here, "maxSkew"), skew ? skew : &zero, "must be greater than zero");
		if (key.len == 0)
			fault_required(c, AT(here, "topologyKey"), "can not be empty");
		if (!text_is_one_of(action, actions))
			fault_not_supported(c, AT(here, "whenUnsatisfiable"), get(one, "whenUnsatisfiable"), actions);
		if (spread_repeats(list, i)) {
			struct value both = value_string(
			    path_print(c, "{" SPAN_FMT ", " SPAN_FMT "}", SPAN_ARG(key), SPAN_ARG(action)));

			fault_duplicate(c, AT(here, "{topologyKey, whenUnsatisfiable}"), &both);
		}
		if (value_is(domains, VALUE_INT) && domains->integer <= 0)
			fault_invalid(c, AT(here, "minDomains"), domains, "must be greater than zero");
		if (domains && !span_equal(action, SPAN("DoNotSchedule")))
			fault_invalid(
			    c, AT(here, "minDomains"), domains,
			    detail_print(c, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " SPAN_FMT,
					 SPAN_ARG(action)));
		check_one_of_or_absent(c, AT(here, "nodeAffinityPolicy"), get(one, "nodeAffinityPolicy"), honors);
		check_one_of_or_absent(c, AT(here, "nodeTaintsPolicy"), get(one, "nodeTaintsPolicy"), honors);
		check_label_keys(c, AT(here, "matchLabelKeys"), get(one, "matchLabelKeys"), get(one, "labelSelector"));
		check_selector(c, AT(here, "labelSelector"), get(one, "labelSelector"));
	}
}

void check_tolerations(struct change *c, const struct at *at, const struct value *list)
{
	static const char *const operators[] = { "Equal", "Exists", NULL }, *const effects[] = { "NoSchedule",
												 "PreferNoSchedule",
												 "NoExecute", NULL };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *one = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);
		struct span operator= get_text(one, "operator"), value = get_text(one, "value");
		const char *wrong;

		if (get_text(one, "key").len)
			check_name(c, AT(here, "key"), get(one, "key"), name_check_qualified);
		else if (!span_equal(operator, SPAN("Exists")))
			fault_invalid_text(
			    c, AT(here, "operator"), operator,
			    "operator must be Exists when `key` is empty, which means \"match all values and all "
			    "keys\"");
		if (get(one, "tolerationSeconds") && !is_text(get(one, "effect"), "NoExecute"))
			fault_invalid_text(c, AT(here, "effect"), get_text(one, "effect"),
					   "effect must be 'NoExecute' when `tolerationSeconds` is set");
		wrong = name_check_label_value(value);
		if (operator.len && !text_is_one_of(operator, operators))
			fault_not_supported(c, AT(here, "operator"), get(one, "operator"), operators);
		else if (span_equal(operator, SPAN("Exists")) && value.len)
			fault_invalid_text(c, AT(here, "operator"), value,
					   "value must be empty when `operator` is 'Exists'");
		else if (!span_equal(operator, SPAN("Exists")) && wrong)
			fault_invalid_text(c, AT(here, "operator"), value, wrong);
		if (get_text(one, "effect").len)
			check_one_of(c, AT(here, "effect"), get(one, "effect"), effects);
	}
}
