/* SPDX-License-Identifier: Apache-2.0 */
/* small - kinds of few members: Lease, PodDisruptionBudget, PriorityClass, RuntimeClass. */
#include "kube/kinds/kinds.h"

/* ---- Lease of coordination.k8s.io/v1 ---- */

/* Elections by strategy are off: what is written of them is dropped. */
static void lease_prepare(struct change *c)
{
	drop(get(c->object, "spec"), "strategy");
	drop(get(c->object, "spec"), "preferredHolder");
	shape(c);
}

static void lease_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	check_positive(c, AT(at, "leaseDurationSeconds"), get(spec, "leaseDurationSeconds"));
	check_not_negative(c, AT(at, "leaseTransitions"), get(spec, "leaseTransitions"));
}

static void lease_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_text(value_find_string(o, "spec.holderIdentity"));
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column lease_columns[] = {
	COLUMN_NAME,
	COLUMN("Holder", "string", "Who has it now."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_lease = {
	.group = "coordination.k8s.io",
	.version = "v1",
	.plural = "leases",
	.singular = "lease",
	.kind = "Lease",
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.coordination.v1.Lease",
	.columns = lease_columns,
	.defaults = shape,
	.prepare = lease_prepare,
	.validate = lease_validate,
	.row = lease_row,
};

/* ---- PodDisruptionBudget of policy/v1 ---- */

static void budget_validate(struct change *c)
{
	static const char *const members[] = { "minAvailable", "maxUnavailable" };
	static const char *const counts[] = { "disruptionsAllowed", "currentHealthy", "desiredHealthy",
					      "expectedPods" };
	static const char *const policies[] = { "AlwaysAllow", "IfHealthyBudget", NULL };
	const struct value *spec = get(c->object, "spec"), *status = get(c->object, "status");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	for (size_t i = 0; change_is_status(c) && i < ARRAY_LEN(counts); i++)
		check_not_negative(c, AT(AT(NULL, "status"), counts[i]), get(status, counts[i]));
	if (change_is_status(c))
		return;
	if (get(spec, "minAvailable") && get(spec, "maxUnavailable"))
		fault_invalid(c, at, spec, "minAvailable and maxUnavailable cannot be both set");
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		check_percent_or_int(c, AT(at, members[i]), get(spec, members[i]));
		check_not_over_100_percent(c, AT(at, members[i]), get(spec, members[i]));
	}
	check_selector(c, AT(at, "selector"), get(spec, "selector"));
	check_one_of_or_absent(c, AT(at, "unhealthyPodEvictionPolicy"), get(spec, "unhealthyPodEvictionPolicy"),
			       policies);
}

static struct value cell_amount(const struct value *v, struct arena *arena)
{
	if (value_is(v, VALUE_INT))
		return cell_format(arena, "%lld", (long long)v->integer);
	return cell_or(text_of(v), "N/A");
}

static void budget_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec");

	cells[0] = cell_name(o);
	cells[1] = cell_amount(get(spec, "minAvailable"), arena);
	cells[2] = cell_amount(get(spec, "maxUnavailable"), arena);
	cells[3] = value_int(get_int(get(o, "status"), "disruptionsAllowed", 0));
	cells[4] = cell_age(o, now_ns, arena);
}

static const struct column budget_columns[] = {
	COLUMN_NAME,
	COLUMN("Min Available", "string", "How many pods must stay."),
	COLUMN("Max Unavailable", "string", "How many pods may be gone."),
	COLUMN("Allowed Disruptions", "integer", "How many pods may be evicted now."),
	COLUMN_AGE,
	{ 0 },
};
static const char *const budget_short[] = { "pdb", NULL }, *const priority_short[] = { "pc", NULL };

const struct kind kind_disruption_budget = {
	.group = "policy",
	.version = "v1",
	.plural = "poddisruptionbudgets",
	.singular = "poddisruptionbudget",
	.kind = "PodDisruptionBudget",
	.short_names = budget_short,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.policy.v1.PodDisruptionBudget",
	.columns = budget_columns,
	.defaults = shape,
	.prepare = prepare_status,
	.validate = budget_validate,
	.row = budget_row,
};

/* ---- PriorityClass of scheduling.k8s.io/v1 ---- */

#define USER_PRIORITY_MOST 1000000000

static void priority_defaults(struct change *c)
{
	shape(c);
	default_text(c, c->object, "preemptionPolicy", "PreemptLowerPriority");
}

static bool is_system_class(struct span name, int64_t value)
{
	return (span_equal(name, SPAN("system-node-critical")) && value == 2000001000) ||
	       (span_equal(name, SPAN("system-cluster-critical")) && value == 2000000000);
}

static void priority_validate(struct change *c)
{
	static const char *const policies[] = { "PreemptLowerPriority", "Never", NULL };
	const struct value *value = get(c->object, "value"), *policy = get(c->object, "preemptionPolicy");
	struct span name = get_text(get(c->object, "metadata"), "name");

	check_metadata(c, name_check_subdomain);
	if (c->old) {
		if (get_int(c->old, "value", 0) != get_int(c->object, "value", 0))
			fault_forbidden(c, AT(NULL, "value"), "may not be changed in an update.");
		check_same(c, AT(NULL, "preemptionPolicy"), get(c->old, "preemptionPolicy"), policy);
		return;
	}
	if (span_starts(name, SPAN("system-")) && !is_system_class(name, get_int(c->object, "value", 0)))
		fault_forbidden(
		    c, AT(AT(NULL, "metadata"), "name"),
		    detail_print(
			c,
			"priority class names with 'system-' prefix are reserved for system use only. error: " SPAN_FMT
			" is not a known system priority class",
			SPAN_ARG(name)));
	else if (!span_starts(name, SPAN("system-")) && value_is(value, VALUE_INT) &&
		 value->integer > USER_PRIORITY_MOST)
		fault_forbidden(c, AT(NULL, "value"), "maximum allowed value of a user defined priority is 1000000000");
	check_one_of_or_absent(c, AT(NULL, "preemptionPolicy"), policy, policies);
}

static void priority_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = value_int(get_int(o, "value", 0));
	cells[2] = value_bool(get_bool(o, "globalDefault"));
	cells[3] = cell_age(o, now_ns, arena);
	cells[4] = cell_text(get_text(o, "preemptionPolicy"));
}

static const struct column priority_columns[] = {
	COLUMN_NAME,
	COLUMN("Value", "integer", "Higher ones are placed first."),
	COLUMN("Global-Default", "boolean", "Whether pods without a class have this one."),
	COLUMN_AGE,
	COLUMN("PreemptionPolicy", "string", "Whether its pods push others out."),
	{ 0 },
};

const struct kind kind_priority_class = {
	.group = "scheduling.k8s.io",
	.version = "v1",
	.plural = "priorityclasses",
	.singular = "priorityclass",
	.kind = "PriorityClass",
	.short_names = priority_short,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.scheduling.v1.PriorityClass",
	.columns = priority_columns,
	.defaults = priority_defaults,
	.prepare = shape,
	.validate = priority_validate,
	.row = priority_row,
};

/* ---- RuntimeClass of node.k8s.io/v1 ---- */

static void runtime_class_validate(struct change *c)
{
	const struct value *handler = get(c->object, "handler"), *scheduling = get(c->object, "scheduling");
	const struct at *at = AT(NULL, "scheduling");

	check_metadata(c, name_check_subdomain);
	if (c->old) {
		check_same(c, AT(NULL, "handler"), get(c->old, "handler"), handler);
		return;
	}
	check_name(c, AT(NULL, "handler"), handler, name_check_label);
	check_labels(c, AT(at, "nodeSelector"), get(scheduling, "nodeSelector"));
	check_tolerations(c, AT(AT(at, "tolerations"), "tolerations"), get(scheduling, "tolerations"));
}

static void runtime_class_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_text(get_text(o, "handler"));
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column runtime_class_columns[] = {
	COLUMN_NAME,
	COLUMN("Handler", "string", "Which runtime its pods have."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_runtime_class = {
	.group = "node.k8s.io",
	.version = "v1",
	.plural = "runtimeclasses",
	.singular = "runtimeclass",
	.kind = "RuntimeClass",
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.node.v1.RuntimeClass",
	.columns = runtime_class_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = runtime_class_validate,
	.row = runtime_class_row,
};
