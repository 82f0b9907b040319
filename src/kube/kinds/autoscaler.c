/* SPDX-License-Identifier: Apache-2.0 */
/* autoscaler - HorizontalPodAutoscaler of autoscaling/v2. */
#include "kube/kinds/autoscaler.h"
#include "kube/kinds/kinds.h"

#define WINDOW_MOST_S 3600
#define PERIOD_MOST_S 1800

/* ---- defaults ---- */

static void add_policy(struct change *c, struct value *rules, const char *type, int64_t value)
{
	struct value *list = value_ensure_array(rules, SPAN("policies"), c->arena, c->err), one = value_object();

	set_text(c, &one, "type", span_of(type));
	set_value(c, &one, "value", value_int(value));
	set_value(c, &one, "periodSeconds", value_int(15));
	if (list)
		(void)value_append(list, one, c->arena, c->err);
}

static void behavior_defaults(struct change *c, struct value *behavior)
{
	struct value *up = ensure(c, behavior, "scaleUp"), *down;

	default_int(c, up, "stabilizationWindowSeconds", 0);
	default_text(c, up, "selectPolicy", "Max");
	if (up && !get(up, "policies")) {
		add_policy(c, up, "Pods", 4);
		add_policy(c, up, "Percent", 100);
	}
	down = ensure(c, behavior, "scaleDown");
	default_text(c, down, "selectPolicy", "Max");
	if (down && !get(down, "policies"))
		add_policy(c, down, "Percent", 100);
}

static void autoscaler_defaults(struct change *c)
{
	struct value *spec;

	/* Before empty lists are dropped: policies that are there and empty are a fault. */
	if (get(get(c->object, "spec"), "behavior"))
		behavior_defaults(c, get(get(c->object, "spec"), "behavior"));
	shape(c);
	spec = ensure(c, c->object, "spec");
	default_int(c, spec, "minReplicas", 1);
	if (spec && !count_of(get(spec, "metrics"))) {
		struct value metric = value_object(), resource = value_object(), target = value_object(), *list;

		set_text(c, &target, "type", SPAN("Utilization"));
		set_value(c, &target, "averageUtilization", value_int(80));
		set_text(c, &resource, "name", SPAN("cpu"));
		set_value(c, &resource, "target", target);
		set_text(c, &metric, "type", SPAN("Resource"));
		set_value(c, &metric, "resource", resource);
		list = value_ensure_array(spec, SPAN("metrics"), c->arena, c->err);
		if (list)
			(void)value_append(list, metric, c->arena, c->err);
	}
}

/* ---- checks ---- */

static void check_segment(struct change *c, const struct at *at, const struct value *o, const char *member)
{
	if (get_text(o, member).len == 0)
		fault_required(c, AT(at, member), "");
	else
		check_name(c, AT(at, member), get(o, member), name_check_path_segment);
}

static void check_metric_name(struct change *c, const struct at *at, const struct value *metric)
{
	if (get_text(metric, "name").len == 0)
		fault_required(c, AT(at, "name"), "must specify a metric name");
	else
		check_name(c, AT(at, "name"), get(metric, "name"), name_check_path_segment);
}

static void check_more_than_zero(struct change *c, const struct at *at, const struct value *v)
{
	int64_t milli;

	if (quantity_parse(text_of(v), &milli) && milli <= 0)
		fault_quantity(c, at, text_of(v), "must be positive");
}

static void check_target(struct change *c, const struct at *at, const struct value *target)
{
	static const char *const types[] = { "AverageValue", "Utilization", "Value", NULL };
	const struct value *utilization = get(target, "averageUtilization");

	if (get_text(target, "type").len == 0)
		fault_required(c, AT(at, "type"), "must specify a metric target type");
	if (!text_is_one_of(get_text(target, "type"), types))
		fault_invalid_text(c, AT(at, "type"), get_text(target, "type"),
				   "must be either Utilization, Value, or AverageValue");
	check_more_than_zero(c, AT(at, "value"), get(target, "value"));
	check_more_than_zero(c, AT(at, "averageValue"), get(target, "averageValue"));
	if (value_is(utilization, VALUE_INT) && utilization->integer < 1)
		fault_invalid(c, AT(at, "averageUtilization"), utilization, "must be greater than 0");
}

static void check_resource_source(struct change *c, const struct at *at, const struct value *source)
{
	const struct value *target = get(source, "target");

	if (get_text(source, "name").len == 0)
		fault_required(c, AT(at, "name"), "must specify a resource name");
	check_target(c, AT(at, "target"), target);
	if (!get(target, "averageUtilization") && !get(target, "averageValue"))
		fault_required(c, AT(AT(at, "target"), "averageUtilization"),
			       "must set either a target raw value or a target utilization");
	if (get(target, "averageUtilization") && get(target, "averageValue"))
		fault_forbidden(c, AT(AT(at, "target"), "averageValue"),
				"may not set both a target raw value and a target utilization");
}

static void check_source(struct change *c, const struct at *at, const struct value *source, const char *name)
{
	const struct value *target = get(source, "target");

	if (strcmp(name, "resource") == 0) {
		check_resource_source(c, at, source);
		return;
	}
	if (strcmp(name, "containerResource") == 0) {
		if (get_text(source, "container").len == 0)
			fault_required(c, AT(at, "container"), "must specify a container");
		check_resource_source(c, at, source);
		return;
	}
	if (strcmp(name, "object") == 0) {
		check_segment(c, AT(at, "describedObject"), get(source, "describedObject"), "kind");
		check_segment(c, AT(at, "describedObject"), get(source, "describedObject"), "name");
	}
	check_metric_name(c, AT(at, "metric"), get(source, "metric"));
	check_target(c, AT(at, "target"), target);
	if (strcmp(name, "pods") == 0) {
		if (!get(target, "averageValue"))
			fault_required(c, AT(AT(at, "target"), "averageValue"),
				       "must specify a positive target averageValue");
	} else if (!get(target, "averageValue") && !get(target, "value")) {
		fault_required(c, AT(AT(at, "target"), "averageValue"),
			       strcmp(name, "object") == 0
				   ? "must set either a target value or averageValue"
				   : "must set either a target value for metric or a per-pod target");
	}
}

static void check_metric(struct change *c, const struct at *at, const struct value *metric)
{
	static const char *const types[] = { "ContainerResource", "External", "Object", "Pods", "Resource", NULL };
	static const char *const members[] = { "containerResource", "external", "object", "pods", "resource" };
	static const char *const order[] = { "object", "external", "pods", "resource", "containerResource" };
	struct span type = get_text(metric, "type");
	const char *expected = "";
	unsigned count = 0;

	if (type.len == 0)
		fault_required(c, AT(at, "type"), "must specify a metric source type");
	if (!text_is_one_of(type, types))
		fault_not_supported(c, AT(at, "type"), get(metric, "type"), types);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (span_equal(type, span_of(types[i])))
			expected = members[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (!get(metric, order[i]))
			continue;
		if (count++ == 0)
			check_source(c, AT(at, order[i]), get(metric, order[i]), order[i]);
	}
	if (*expected && !get(metric, expected))
		fault_required(c, AT(at, expected), "must populate information for the given metric source");
	if (!*expected)
		fault_not_supported(c, AT(at, "type"), get(metric, "type"), types);
	for (size_t i = 0; count > 1 && i < ARRAY_LEN(order); i++) {
		if (get(metric, order[i]) && strcmp(order[i], expected) != 0)
			fault_forbidden(c, AT(at, order[i]), "must populate the given metric source only");
	}
}

static void check_policy(struct change *c, const struct at *at, const struct value *policy)
{
	static const char *const types[] = { "Percent", "Pods", NULL };
	int64_t period = get_int(policy, "periodSeconds", 0);

	if (!text_is_one_of(get_text(policy, "type"), types))
		fault_not_supported(c, AT(at, "type"), get(policy, "type"), types);
	if (get_int(policy, "value", 0) <= 0)
		fault_invalid(c, AT(at, "value"), get(policy, "value"), "must be greater than zero");
	if (period <= 0)
		fault_invalid(c, AT(at, "periodSeconds"), get(policy, "periodSeconds"), "must be greater than zero");
	else if (period > PERIOD_MOST_S)
		fault_invalid(c, AT(at, "periodSeconds"), get(policy, "periodSeconds"),
			      "must be less than or equal to 1800");
}

static void check_rules(struct change *c, const struct at *at, const struct value *rules)
{
	static const char *const selects[] = { "Disabled", "Max", "Min", NULL };
	const struct value *window = get(rules, "stabilizationWindowSeconds"), *policies = get(rules, "policies");

	if (!rules)
		return;
	if (value_is(window, VALUE_INT) && window->integer < 0)
		fault_invalid(c, AT(at, "stabilizationWindowSeconds"), window, "must be greater than or equal to zero");
	if (value_is(window, VALUE_INT) && window->integer > WINDOW_MOST_S)
		fault_invalid(c, AT(at, "stabilizationWindowSeconds"), window, "must be less than or equal to 3600");
	check_one_of_or_absent(c, AT(at, "selectPolicy"), get(rules, "selectPolicy"), selects);
	if (!count_of(policies))
		fault_required(c, AT(at, "policies"), "must specify at least one Policy");
	for (uint32_t i = 0; i < count_of(policies); i++)
		check_policy(c, AT_INDEX(AT(at, "policies"), i), value_item(policies, i));
}

static bool has_outside_metric(const struct value *metrics)
{
	for (uint32_t i = 0; i < count_of(metrics); i++) {
		if (is_text(get(value_item(metrics, i), "type"), "Object") ||
		    is_text(get(value_item(metrics, i), "type"), "External"))
			return true;
	}
	return false;
}

void autoscaler_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec"), *metrics = get(spec, "metrics"),
			   *least = get(spec, "minReplicas");
	const struct value *most = get(spec, "maxReplicas"), *target = get(spec, "scaleTargetRef");
	struct value zero = value_int(0);
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	/* Zero is as with the feature gate HPAScaleToZero. */
	if (value_is(least, VALUE_INT) && least->integer < 1 && !(least->integer == 0 && has_outside_metric(metrics)))
		fault_invalid(c, AT(at, "minReplicas"), least, "must be greater than or equal to 1");
	if (get_int(spec, "maxReplicas", 0) < 1)
		fault_invalid(c, AT(at, "maxReplicas"), most ? most : &zero, "must be greater than 0");
	if (get_int(spec, "maxReplicas", 0) < get_int(spec, "minReplicas", 0))
		fault_invalid(c, AT(at, "maxReplicas"), most ? most : &zero,
			      "must be greater than or equal to `minReplicas`");
	check_segment(c, AT(at, "scaleTargetRef"), target, "kind");
	check_segment(c, AT(at, "scaleTargetRef"), target, "name");
	for (uint32_t i = 0; i < count_of(metrics); i++)
		check_metric(c, AT_INDEX(AT(at, "metrics"), i), value_item(metrics, i));
	if (value_is(least, VALUE_INT) && least->integer == 0 && !has_outside_metric(metrics))
		fault_forbidden(
		    c, AT(at, "metrics"),
		    "must specify at least one Object or External metric to support scaling to zero replicas");
	check_rules(c, AT(AT(at, "behavior"), "scaleUp"), get(get(spec, "behavior"), "scaleUp"));
	check_rules(c, AT(AT(at, "behavior"), "scaleDown"), get(get(spec, "behavior"), "scaleDown"));
}

/* ---- the row ---- */

static void text_or(struct text *t, struct span s, const char *otherwise)
{
	text_add(t, s.len ? s : span_of(otherwise));
}

static void text_percent(struct text *t, const struct value *v, const char *otherwise)
{
	if (value_is(v, VALUE_INT))
		text_addf(t, "%lld%%", (long long)v->integer);
	else
		text_add(t, span_of(otherwise));
}

/* "cpu: 400%/80%", "<unknown>/10 (avg)" */
static void text_metric(struct text *t, const struct value *spec, const struct value *status)
{
	static const char *const members[] = { "resource", "containerResource", "pods", "object", "external" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct value *source = get(spec, members[i]), *target = get(source, "target");
		const struct value *current = get(get(status, members[i]), "current");
		struct span average = get_text(target, "averageValue");

		if (!source)
			continue;
		if (i < 2) {
			text_add(t, get_text(source, "name"));
			text_add(t, SPAN(": "));
		}
		if (i < 2 && !average.len) {
			text_percent(t, get(current, "averageUtilization"), "<unknown>");
			text_add(t, SPAN("/"));
			text_percent(t, get(target, "averageUtilization"), "<auto>");
			return;
		}
		text_or(t, get_text(current, average.len ? "averageValue" : "value"), "<unknown>");
		text_add(t, SPAN("/"));
		text_add(t, average.len ? average : get_text(target, "value"));
		if (i > 2 && average.len)
			text_add(t, SPAN(" (avg)"));
		return;
	}
	text_add(t, SPAN("<unknown type>"));
}

static struct value cell_metrics(const struct value *o, struct arena *arena)
{
	const struct value *specs = get(get(o, "spec"), "metrics"), *statuses = get(get(o, "status"), "currentMetrics");
	struct text t = { .arena = arena };

	if (!count_of(specs))
		return cell_text(SPAN("<none>"));
	for (uint32_t i = 0; i < count_of(specs) && i < 2; i++) {
		text_add(&t, i ? SPAN(", ") : SPAN(""));
		text_metric(&t, value_item(specs, i), i < count_of(statuses) ? value_item(statuses, i) : NULL);
	}
	if (count_of(specs) > 2)
		text_addf(&t, " + %u more...", count_of(specs) - 2);
	return cell_text(text_span(&t));
}

void autoscaler_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *target = get(spec, "scaleTargetRef");
	struct span kind = get_text(target, "kind"), name = get_text(target, "name");

	cells[0] = cell_name(o);
	cells[1] = cell_format(arena, SPAN_FMT "/" SPAN_FMT, SPAN_ARG(kind), SPAN_ARG(name));
	cells[2] = cell_metrics(o, arena);
	cells[3] = get(spec, "minReplicas") ? cell_format(arena, "%lld", (long long)get_int(spec, "minReplicas", 0))
					    : cell_text(SPAN("<unset>"));
	cells[4] = value_int(get_int(spec, "maxReplicas", 0));
	cells[5] = value_int(get_int(get(o, "status"), "currentReplicas", 0));
	cells[6] = cell_age(o, now_ns, arena);
}

const struct column autoscaler_columns[] = {
	COLUMN_NAME,
	COLUMN("Reference", "string", "What it scales."),
	COLUMN("Targets", "string", "Each metric: as it is, and as it should be."),
	COLUMN("MinPods", "string", "The fewest pods."),
	COLUMN("MaxPods", "string", "The most pods."),
	COLUMN("Replicas", "string", "How many pods there are."),
	COLUMN_AGE,
	{ 0 },
};
const char *const autoscaler_short_names[] = { "hpa", NULL }, *const autoscaler_categories[] = { "all", NULL };

const struct kind kind_autoscaler = {
	.group = "autoscaling",
	.version = "v2",
	.plural = "horizontalpodautoscalers",
	.singular = "horizontalpodautoscaler",
	.kind = "HorizontalPodAutoscaler",
	.short_names = autoscaler_short_names,
	.categories = autoscaler_categories,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	.columns = autoscaler_columns,
	.defaults = autoscaler_defaults,
	.prepare = prepare_status,
	.validate = autoscaler_validate,
	.row = autoscaler_row,
};
