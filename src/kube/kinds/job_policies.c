/* SPDX-License-Identifier: Apache-2.0 */
/* job_policies - when a job counts as failed and when as done: podFailurePolicy and successPolicy. */
#include "kube/kinds/job.h"

#include "base/number.h"

#define RULES_MOST      20
#define CODES_MOST      255
#define CONDITIONS_MOST 20
#define INDEXES_MOST    KIB(64)

/* ---- podFailurePolicy ---- */

static bool has_container(const struct value *spec, struct span name)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = get(spec, lists[i]);

		for (uint32_t k = 0; k < count_of(list); k++) {
			if (span_equal(get_text(value_item(list, k), "name"), name))
				return true;
		}
	}
	return false;
}

static void check_codes(struct change *c, const struct at *at, const struct value *list, bool is_in)
{
	bool is_ordered = true;

	if (!count_of(list))
		fault_invalid(c, at, list, "at least one value is required");
	else if (count_of(list) > CODES_MOST)
		fault_too_many(c, at, count_of(list), CODES_MOST);
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *code = value_item(list, i);

		if (is_in && value_is(code, VALUE_INT) && code->integer == 0)
			fault_invalid(c, AT_INDEX(at, i), code, "must not be 0 for the In operator");
		for (uint32_t k = 0; k < i; k++) {
			if (value_equal(value_item(list, k), code)) {
				fault_duplicate(c, AT_INDEX(at, i), code);
				break;
			}
		}
		if (i && value_is(code, VALUE_INT) && value_item(list, i - 1)->integer > code->integer)
			is_ordered = false;
	}
	if (!is_ordered)
		fault_invalid(c, at, list, "must be ordered");
}

static void check_exit_codes(struct change *c, const struct at *at, const struct value *wanted,
			     const struct value *pod_spec)
{
	static const char *const operators[] = { "In", "NotIn", NULL };
	const struct value *operator= get(wanted, "operator"), *name = get(wanted, "containerName");

	if (text_of(operator).len == 0)
		fault_required(c, AT(at, "operator"), "valid values: [\"In\" \"NotIn\"]");
	else
		check_one_of(c, AT(at, "operator"), operator, operators);
	if (name && !has_container(pod_spec, text_of(name)))
		fault_invalid(c, AT(at, "containerName"), name,
			      "must be one of the container or initContainer names in the pod template");
	check_codes(c, AT(at, "values"), get(wanted, "values"), is_text(operator, "In"));
}

static void check_conditions(struct change *c, const struct at *at, const struct value *list)
{
	static const char *const statuses[] = { "False", "True", "Unknown", NULL };

	if (count_of(list) > CONDITIONS_MOST)
		fault_too_many(c, at, count_of(list), CONDITIONS_MOST);
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *one = value_item(list, i), *type = get(one, "type");
		const struct at *here = AT_INDEX(at, i);
		struct value empty = value_string(SPAN(""));

		check_name(c, AT(here, "type"), type ? type : &empty, name_check_qualified);
		if (get_text(one, "status").len == 0)
			fault_required(c, AT(here, "status"), "valid values: [\"False\" \"True\" \"Unknown\"]");
		else
			check_one_of(c, AT(here, "status"), get(one, "status"), statuses);
	}
}

static void check_failure_rule(struct change *c, const struct at *at, const struct value *spec,
			       const struct value *rule)
{
	static const char *const actions[] = { "Count", "FailIndex", "FailJob", "Ignore", NULL };
	const struct value *action = get(rule, "action"), *codes = get(rule, "onExitCodes"),
			   *conditions = get(rule, "onPodConditions");

	if (text_of(action).len == 0)
		fault_required(c, AT(at, "action"), "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
	else if (is_text(action, "FailIndex") && !get(spec, "backoffLimitPerIndex"))
		fault_invalid(c, AT(at, "action"), action, "requires the backoffLimitPerIndex to be set");
	else
		check_one_of(c, AT(at, "action"), action, actions);
	if (codes)
		check_exit_codes(c, AT(at, "onExitCodes"), codes, get(get(spec, "template"), "spec"));
	check_conditions(c, AT(at, "onPodConditions"), conditions);
	if (codes && count_of(conditions))
		fault_omitted(c, at, "specifying both OnExitCodes and OnPodConditions is not supported");
	if (!codes && !count_of(conditions))
		fault_omitted(c, at, "specifying one of OnExitCodes and OnPodConditions is required");
}

/* ---- successPolicy ---- */

static bool index_read(struct span s, int64_t *ret)
{
	return s.len && s.ptr[0] >= '0' && s.ptr[0] <= '9' && number_parse_int64(s, ret) && *ret <= INT32_MAX;
}

/* How many indexes "1,3-5" names; or what is wrong with it. */
static const char *indexes_read(struct change *c, struct span s, int64_t completions, int64_t *ret_count)
{
	int64_t last = -1;

	*ret_count = 0;
	while (s.len) {
		struct span part = span_cut(&s, ','), high = part, low = span_cut(&high, '-');
		int64_t first, end;

		if (!index_read(low, &first))
			return detail_print(c, "cannot convert string to integer for index: \"" SPAN_FMT "\"",
					    SPAN_ARG(low));
		if (first >= completions)
			return detail_print(c, "too large index: \"" SPAN_FMT "\"", SPAN_ARG(low));
		if (last >= 0 && first <= last)
			return detail_print(c, "non-increasing order, previous: %lld, current: %lld", (long long)last,
					    (long long)first);
		end = first;
		if (low.len < part.len) {
			if (!index_read(high, &end))
				return detail_print(c, "cannot convert string to integer for index: \"" SPAN_FMT "\"",
						    SPAN_ARG(high));
			if (end >= completions)
				return detail_print(c, "too large index: \"" SPAN_FMT "\"", SPAN_ARG(high));
			if (end <= first)
				return detail_print(c, "non-increasing order, previous: %lld, current: %lld",
						    (long long)first, (long long)end);
		}
		*ret_count += end - first + 1;
		last = end;
	}
	return NULL;
}

static void check_success_rule(struct change *c, const struct at *at, const struct value *spec,
			       const struct value *rule)
{
	const struct value *count = get(rule, "succeededCount"), *indexes = get(rule, "succeededIndexes");
	int64_t completions = get_int(spec, "completions", 0), named = 0;
	const char *wrong;

	if (!count && !indexes)
		fault_required(c, at, "at least one of succeededCount or succeededIndexes must be specified");
	if (indexes && text_of(indexes).len > INDEXES_MOST)
		fault_too_long(c, AT(at, "succeededIndexes"), INDEXES_MOST);
	wrong = indexes ? indexes_read(c, text_of(indexes), completions, &named) : NULL;
	if (wrong)
		fault_invalid(c, AT(at, "succeededIndexes"), indexes,
			      detail_print(c, "error parsing succeededIndexes: %s", wrong));
	if (!value_is(count, VALUE_INT))
		return;
	check_not_negative(c, AT(at, "succeededCount"), count);
	if (count->integer > completions)
		fault_invalid(c, AT(at, "succeededCount"), count,
			      detail_print(c,
					   "must be less than or equal to %lld (the number of specified completions)",
					   (long long)completions));
	if (indexes && count->integer > named)
		fault_invalid(c, AT(at, "succeededCount"), count,
			      detail_print(c,
					   "must be less than or equal to %lld (the number of indexes in the specified "
					   "succeededIndexes field)",
					   (long long)named));
}

static void check_success(struct change *c, const struct at *at, const struct value *spec, const struct value *policy)
{
	const struct value *rules = get(policy, "rules");

	if (!is_text(get(spec, "completionMode"), "Indexed")) {
		fault_invalid(c, at, policy, "requires indexed completion mode");
		return;
	}
	if (!count_of(rules))
		fault_required(c, AT(at, "rules"),
			       "at least one rules must be specified when the successPolicy is specified");
	else if (count_of(rules) > RULES_MOST)
		fault_too_many(c, AT(at, "rules"), count_of(rules), RULES_MOST);
	/* Indexes are counted against completions. */
	for (uint32_t i = 0; get(spec, "completions") && i < count_of(rules); i++)
		check_success_rule(c, AT_INDEX(AT(at, "rules"), i), spec, value_item(rules, i));
}

void check_job_policies(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *failure = get(spec, "podFailurePolicy"), *rules = get(failure, "rules");
	const struct at *here = AT(AT(at, "podFailurePolicy"), "rules");

	if (count_of(rules) > RULES_MOST)
		fault_too_many(c, here, count_of(rules), RULES_MOST);
	for (uint32_t i = 0; i < count_of(rules); i++)
		check_failure_rule(c, AT_INDEX(here, i), spec, value_item(rules, i));
	if (get(spec, "successPolicy"))
		check_success(c, AT(at, "successPolicy"), spec, get(spec, "successPolicy"));
}
