/* SPDX-License-Identifier: Apache-2.0 */
/* job_policy - what the end of a pod means for its job: podFailurePolicy and successPolicy. */
#include "controllers/job.h"

/* ---- failures ---- */

static bool is_code_meant(const struct value *wanted, int64_t code)
{
	const struct value *values = member(wanted, "values");
	bool is_listed = false;

	for (uint32_t i = 0; i < value_count(values); i++)
		is_listed |= value_is(value_item(values, i), VALUE_INT) && value_item(values, i)->integer == code;
	return is_listed == span_equal(value_find_string(wanted, "operator"), SPAN("In"));
}

/* The container whose exit code is meant; NULL: none. */
static const struct value *container_find(const struct value *statuses, const struct value *wanted)
{
	struct span name = value_find_string(wanted, "containerName");

	for (uint32_t i = 0; i < value_count(statuses); i++) {
		const struct value *s = value_item(statuses, i);
		int64_t code = value_find_int(s, "state.terminated.exitCode", 0);

		if (code && (!member(wanted, "containerName") || span_equal(name, value_find_string(s, "name"))) &&
		    is_code_meant(wanted, code))
			return s;
	}
	return NULL;
}

static const struct value *condition_meant(const struct value *pod, const struct value *patterns)
{
	const struct value *conditions = value_find(pod, "status.conditions");

	for (uint32_t i = 0; i < value_count(conditions); i++) {
		const struct value *c = value_item(conditions, i);

		for (uint32_t k = 0; k < value_count(patterns); k++) {
			const struct value *p = value_item(patterns, k);

			if (span_equal(value_find_string(c, "type"), value_find_string(p, "type")) &&
			    span_equal(value_find_string(c, "status"), value_find_string(p, "status")))
				return c;
		}
	}
	return NULL;
}

static struct span exit_told(const struct job *j, const struct value *pod, const struct value *container, uint32_t rule)
{
	return text_print(j->r,
			  "Container " SPAN_FMT " for pod " SPAN_FMT
			  "/%.*s failed with exit code %lld matching FailJob "
			  "rule at index %u",
			  SPAN_ARG(value_find_string(container, "name")), SPAN_ARG(j->r->name_space),
			  (int)object_name(pod).len, object_name(pod).ptr,
			  (long long)value_find_int(container, "state.terminated.exitCode", 0), rule)
	    .string;
}

static struct span condition_told(const struct job *j, const struct value *pod, const struct value *condition,
				  uint32_t rule)
{
	return text_print(j->r, "Pod " SPAN_FMT "/%.*s has condition " SPAN_FMT " matching FailJob rule at index %u",
			  SPAN_ARG(j->r->name_space), (int)object_name(pod).len, object_name(pod).ptr,
			  SPAN_ARG(value_find_string(condition, "type")), rule)
	    .string;
}

static enum job_action action_of(const struct value *rule)
{
	static const struct {
		const char *name;
		enum job_action action;
	} rows[] = { { "Ignore", ACTION_IGNORE }, { "FailIndex", ACTION_FAIL_INDEX }, { "FailJob", ACTION_FAIL_JOB } };
	struct span name = value_find_string(rule, "action");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(name, span_of(rows[i].name)))
			return rows[i].action;
	return ACTION_COUNT;
}

enum job_action job_policy_action(const struct job *j, const struct value *pod, struct span *ret_message)
{
	const struct value *rules = value_find(j->spec, "podFailurePolicy.rules");

	for (uint32_t i = 0; i < value_count(rules); i++) {
		const struct value *rule = value_item(rules, i), *codes = member(rule, "onExitCodes"), *found;

		if (codes) {
			found = container_find(value_find(pod, "status.containerStatuses"), codes);
			if (!found)
				found = container_find(value_find(pod, "status.initContainerStatuses"), codes);
		} else {
			found = condition_meant(pod, member(rule, "onPodConditions"));
		}
		if (!found)
			continue;
		if (action_of(rule) == ACTION_FAIL_JOB && ret_message)
			*ret_message = codes ? exit_told(j, pod, found, i) : condition_told(j, pod, found, i);
		return action_of(rule);
	}
	return ACTION_COUNT;
}

/* ---- success ---- */

static bool rule_is_met(const struct job *j, const struct value *rule)
{
	const struct value *count = member(rule, "succeededCount");
	struct indexes wanted;
	int64_t shared;

	if (!member(rule, "succeededIndexes"))
		return count && indexes_total(j->done) >= value_find_int(rule, "succeededCount", 0);
	wanted = indexes_read(j->r, value_find_string(rule, "succeededIndexes"), j->completions);
	if (!wanted.count)
		return false;
	shared = indexes_shared(wanted, j->done);
	return shared == indexes_total(wanted) || (count && shared >= value_find_int(rule, "succeededCount", 0));
}

bool job_policy_success(const struct job *j, struct span *ret_message)
{
	const struct value *rules = value_find(j->spec, "successPolicy.rules");

	for (uint32_t i = 0; j->done.count && i < value_count(rules); i++) {
		if (rule_is_met(j, value_item(rules, i))) {
			*ret_message = text_print(j->r, "Matched rules at index %u", i).string;
			return true;
		}
	}
	return false;
}
