/* SPDX-License-Identifier: Apache-2.0 */
/* autoscaler_v1 - HorizontalPodAutoscaler of autoscaling/v1: the objects of v2 in the older form, which knows one metric; the others, the
 * behavior and what is told of them are texts in annotations. */
#include "kube/kinds/autoscaler.h"
#include "kube/kinds/kinds.h"

#define SPECS      "autoscaling.alpha.kubernetes.io/metrics"
#define STATUSES   "autoscaling.alpha.kubernetes.io/current-metrics"
#define BEHAVIOR   "autoscaling.alpha.kubernetes.io/behavior"
#define CONDITIONS "autoscaling.alpha.kubernetes.io/conditions"

#define CPU_DEFAULT 80

struct work {
	struct arena *arena;
	struct error *err;
};

static bool put(const struct work *w, struct value *object, const char *member, struct value v)
{
	return value_set(object, span_of(member), v, w->arena, w->err) != NULL;
}

static struct value *reach(const struct work *w, struct value *object, const char *member)
{
	return value_ensure_object(object, span_of(member), w->arena, w->err);
}

/* ---- members that have moved ---- */

struct pair {
	const char *v2; /* "target.averageValue" */
	const char *v1;
};

static const struct pair resource_spec[] = { { "name", "name" },
					     { "target.averageUtilization", "targetAverageUtilization" },
					     { "target.averageValue", "targetAverageValue" },
					     { "container", "container" },
					     { 0 } },
			 pods_spec[] = { { "metric.name", "metricName" },
					 { "target.averageValue", "targetAverageValue" },
					 { "metric.selector", "selector" },
					 { 0 } },
			 object_spec[] = { { "describedObject", "target" },           { "metric.name", "metricName" },
					   { "target.value", "targetValue" },         { "metric.selector", "selector" },
					   { "target.averageValue", "averageValue" }, { 0 } },
			 external_spec[] = { { "metric.name", "metricName" },
					     { "metric.selector", "metricSelector" },
					     { "target.value", "targetValue" },
					     { "target.averageValue", "targetAverageValue" },
					     { 0 } },
			 resource_status[] = { { "name", "name" },
					       { "current.averageUtilization", "currentAverageUtilization" },
					       { "current.averageValue", "currentAverageValue" },
					       { "container", "container" },
					       { 0 } },
			 pods_status[] = { { "metric.name", "metricName" },
					   { "current.averageValue", "currentAverageValue" },
					   { "metric.selector", "selector" },
					   { 0 } },
			 object_status[] = { { "describedObject", "target" },
					     { "metric.name", "metricName" },
					     { "current.value", "currentValue" },
					     { "metric.selector", "selector" },
					     { "current.averageValue", "averageValue" },
					     { 0 } },
			 external_status[] = { { "metric.name", "metricName" },
					       { "metric.selector", "metricSelector" },
					       { "current.value", "currentValue" },
					       { "current.averageValue", "currentAverageValue" },
					       { 0 } };

static const struct {
	const char *member;
	const struct pair *spec, *status;
	const char *filled_spec, *filled_status; /* members that v1 always has */
} sources[] = {
	{ "object", object_spec, object_status, "targetValue", "currentValue" },
	{ "pods", pods_spec, pods_status, "targetAverageValue", "currentAverageValue" },
	{ "resource", resource_spec, resource_status, NULL, "currentAverageValue" },
	{ "containerResource", resource_spec, resource_status, NULL, "currentAverageValue" },
	{ "external", external_spec, external_status, NULL, "currentValue" },
};

/* "a.b" or "a" */
static bool put_at(const struct work *w, struct value *object, const char *path, struct value v)
{
	struct span rest = span_of(path), first = span_cut(&rest, '.');
	struct value *inner;

	if (!rest.len)
		return value_set(object, first, v, w->arena, w->err) != NULL;
	inner = value_ensure_object(object, first, w->arena, w->err);
	return inner && value_set(inner, rest, v, w->arena, w->err);
}

static bool source_to_v1(const struct work *w, const struct value *source, const struct pair *pairs, const char *filled,
			 struct value *ret)
{
	*ret = value_object();
	for (; pairs->v2; pairs++) {
		const struct value *v = value_find(source, pairs->v2);

		if (v && v->type != VALUE_NULL) {
			if (!put(w, ret, pairs->v1, *v))
				return false;
		} else if (filled && strcmp(filled, pairs->v1) == 0 &&
			   !put(w, ret, pairs->v1, value_string(SPAN("0")))) {
			return false;
		}
	}
	return true;
}

static bool source_to_v2(const struct work *w, const struct value *source, const struct pair *pairs, bool is_status,
			 const char *member, struct value *ret)
{
	const char *type = "AverageValue";

	*ret = value_object();
	for (; pairs->v2; pairs++) {
		const struct value *v = get(source, pairs->v1);

		if (v && !put_at(w, ret, pairs->v2, *v))
			return false;
	}
	if (is_status)
		return true;
	if (get(source, "targetAverageUtilization"))
		type = "Utilization";
	else if ((strcmp(member, "object") == 0 && !get(source, "averageValue")) ||
		 (strcmp(member, "external") == 0 && get(source, "targetValue")))
		type = "Value";
	return put_at(w, ret, "target.type", value_string(span_of(type)));
}

/* One metric with its sources in the other form. */
static bool metric_convert(const struct work *w, const struct value *metric, bool to_v1, bool is_status,
			   struct value *ret)
{
	*ret = value_object();
	if (get(metric, "type") && !put(w, ret, "type", *get(metric, "type")))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct value *source = get(metric, sources[i].member);
		const struct pair *pairs = is_status ? sources[i].status : sources[i].spec;
		struct value other;

		if (!source)
			continue;
		if (!(to_v1 ? source_to_v1(w, source, pairs,
					   is_status ? sources[i].filled_status : sources[i].filled_spec, &other)
			    : source_to_v2(w, source, pairs, is_status, sources[i].member, &other)) ||
		    !put(w, ret, sources[i].member, other))
			return false;
	}
	return true;
}

static bool metrics_convert(const struct work *w, const struct value *list, bool to_v1, bool is_status,
			    struct value *to)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct value metric;

		if (!metric_convert(w, value_item(list, i), to_v1, is_status, &metric) ||
		    !value_append(to, metric, w->arena, w->err))
			return false;
	}
	return true;
}

/* ---- the behavior, in JSON of a Go struct without names of its own: "ScaleUp" ---- */

/* Members in the order of the Go struct, with null for what is not there. */
static bool rules_write(const struct work *w, const struct value *rules, struct value *ret)
{
	static const char *const members[][2] = { { "StabilizationWindowSeconds", "stabilizationWindowSeconds" },
						  { "SelectPolicy", "selectPolicy" } };
	static const char *const parts[][2] = { { "Type", "type" },
						{ "Value", "value" },
						{ "PeriodSeconds", "periodSeconds" } };
	const struct value *policies = get(rules, "policies");
	struct value list = value_array();

	*ret = value_null();
	if (!rules)
		return true;
	*ret = value_object();
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct value *v = get(rules, members[i][1]);

		if (!put(w, ret, members[i][0], v ? *v : value_null()))
			return false;
	}
	for (uint32_t i = 0; i < count_of(policies); i++) {
		struct value policy = value_object();

		for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
			const struct value *v = get(value_item(policies, i), parts[k][1]);

			if (v && !put(w, &policy, parts[k][0], *v))
				return false;
		}
		if (!value_append(&list, policy, w->arena, w->err))
			return false;
	}
	return put(w, ret, "Policies", policies ? list : value_null()) && put(w, ret, "Tolerance", value_null());
}

static bool behavior_write(const struct work *w, const struct value *behavior, struct value *ret)
{
	struct value up, down;

	*ret = value_object();
	return rules_write(w, get(behavior, "scaleUp"), &up) && rules_write(w, get(behavior, "scaleDown"), &down) &&
	       put(w, ret, "ScaleUp", up) && put(w, ret, "ScaleDown", down);
}

/* The other way names lose their capitals. */
static bool capitals_drop(const struct work *w, const struct value *v, struct value *ret)
{
	if (v->type == VALUE_ARRAY) {
		*ret = value_array();
		for (uint32_t i = 0; i < v->array.count; i++) {
			struct value item;

			if (!capitals_drop(w, value_item(v, i), &item) || !value_append(ret, item, w->arena, w->err))
				return false;
		}
		return true;
	}
	if (v->type != VALUE_OBJECT) {
		*ret = *v;
		return true;
	}
	*ret = value_object();
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		struct span key = arena_copy(w->arena, m->key, w->err);
		struct value item;

		if (!key.ptr || !capitals_drop(w, &m->value, &item))
			return false;
		if (key.len)
			((char *)(uintptr_t)key.ptr)[0] = (char)(key.ptr[0] | 0x20);
		if (item.type != VALUE_NULL && !value_set(ret, key, item, w->arena, w->err))
			return false;
	}
	return true;
}

/* ---- annotations ---- */

static const char *const kept_in[] = { SPECS, STATUSES, BEHAVIOR, CONDITIONS };

/* The text of an annotation as a tree; false: it is none, or no JSON of the kind that is wanted. */
static bool note_read(const struct work *w, const struct value *annotations, const char *key, enum value_type type,
		      struct value *ret)
{
	struct span text = get_text(annotations, key);
	struct error ignored = { 0 };

	return text.len && value_parse(text, NULL, w->arena, ret, &ignored) && ret->type == type;
}

static bool note_write(const struct work *w, struct value *object, const char *key, const struct value *v)
{
	struct value *metadata = reach(w, object, "metadata");
	struct value *annotations = metadata ? reach(w, metadata, "annotations") : NULL;
	struct span text = value_print(v, w->arena, w->err);

	return annotations && text.ptr && put(w, annotations, key, value_string(text));
}

static void notes_drop(struct value *object)
{
	struct value *metadata = get(object, "metadata"), *annotations = get(metadata, "annotations");

	for (size_t i = 0; i < ARRAY_LEN(kept_in); i++)
		drop(annotations, kept_in[i]);
	if (annotations && !count_of(annotations))
		drop(metadata, "annotations");
}

extern const struct kind kind_old_autoscaler;

/* The zeros that one form has and the other leaves out. */
static bool complete(const struct work *w, const struct kind *kind, struct value *object)
{
	struct value *metadata;

	if (!schema_complete(type_find(span_of(kind->type_name)), object, w->arena, w->err))
		return false;
	metadata = get(object, "metadata");
	if (value_is(value_get(metadata, SPAN("creationTimestamp")), VALUE_NULL))
		(void)value_remove(metadata, SPAN("creationTimestamp"));
	return true;
}

/* ---- v1 to v2 ---- */

static bool cpu_make(const struct work *w, int64_t percent, bool is_status, struct value *ret)
{
	*ret = value_object();
	return put(w, ret, "type", value_string(SPAN("Resource"))) &&
	       put_at(w, ret, "resource.name", value_string(SPAN("cpu"))) &&
	       put_at(w, get(ret, "resource"), is_status ? "current.averageUtilization" : "target.type",
		      is_status ? value_int(percent) : value_string(SPAN("Utilization"))) &&
	       (is_status || put_at(w, get(ret, "resource"), "target.averageUtilization", value_int(percent)));
}

static bool spec_to_v2(const struct work *w, struct value *object, const struct value *annotations)
{
	struct value *spec = reach(w, object, "spec"), metrics = value_array(), others, behavior, cpu;
	const struct value *percent = get(spec, "targetCPUUtilizationPercentage");

	if (!spec)
		return false;
	if (note_read(w, annotations, SPECS, VALUE_ARRAY, &others) &&
	    !metrics_convert(w, &others, false, false, &metrics))
		return false;
	if (value_is(percent, VALUE_INT) || !count_of(&metrics)) {
		if (!cpu_make(w, value_is(percent, VALUE_INT) ? percent->integer : CPU_DEFAULT, false, &cpu) ||
		    !value_append(&metrics, cpu, w->arena, w->err))
			return false;
	}
	drop(spec, "targetCPUUtilizationPercentage");
	if (!put(w, spec, "metrics", metrics))
		return false;
	return !note_read(w, annotations, BEHAVIOR, VALUE_OBJECT, &others) ||
	       (capitals_drop(w, &others, &behavior) && put(w, spec, "behavior", behavior));
}

static bool status_to_v2(const struct work *w, struct value *object, const struct value *annotations)
{
	struct value *status = reach(w, object, "status"), metrics = value_array(), others, cpu;
	const struct value *percent = get(status, "currentCPUUtilizationPercentage");

	if (!status)
		return false;
	if (note_read(w, annotations, STATUSES, VALUE_ARRAY, &others)) {
		if (!metrics_convert(w, &others, false, true, &metrics))
			return false;
	} else if (value_is(percent, VALUE_INT)) {
		if (!cpu_make(w, percent->integer, true, &cpu) || !value_append(&metrics, cpu, w->arena, w->err))
			return false;
	}
	drop(status, "currentCPUUtilizationPercentage");
	if (count_of(&metrics) && !put(w, status, "currentMetrics", metrics))
		return false;
	return !note_read(w, annotations, CONDITIONS, VALUE_ARRAY, &others) || put(w, status, "conditions", others);
}

static bool to_v2(struct value *object, struct arena *arena, struct error *err)
{
	const struct work w = { arena, err };
	const struct value *annotations = get(get(object, "metadata"), "annotations");
	struct value copy = value_object();

	/* The texts are read after the object has changed. */
	if (annotations && !value_copy(annotations, arena, &copy, err))
		return false;
	if (!spec_to_v2(&w, object, &copy) || !status_to_v2(&w, object, &copy))
		return false;
	notes_drop(object);
	return put(&w, object, "apiVersion", value_string(SPAN("autoscaling/v2"))) &&
	       complete(&w, &kind_autoscaler, object);
}

/* ---- v2 to v1 ---- */

static bool is_cpu(const struct value *metric)
{
	const struct value *resource = get(metric, "resource");

	return is_text(get(metric, "type"), "Resource") && is_text(get(resource, "name"), "cpu");
}

static bool spec_to_v1(const struct work *w, struct value *object)
{
	struct value *spec = reach(w, object, "spec"), others = value_array(), metric, behavior;
	const struct value *metrics = get(spec, "metrics"), *percent = NULL;

	if (!spec)
		return false;
	for (uint32_t i = 0; i < count_of(metrics); i++) {
		const struct value *one = value_item(metrics, i),
				   *wanted = value_find(one, "resource.target.averageUtilization");

		if (is_cpu(one) && value_is(wanted, VALUE_INT)) {
			percent = percent ? percent : wanted;
			continue;
		}
		if (!metric_convert(w, one, true, false, &metric) || !value_append(&others, metric, w->arena, w->err))
			return false;
	}
	if (percent && !put(w, spec, "targetCPUUtilizationPercentage", *percent))
		return false;
	if (count_of(&others) && !note_write(w, object, SPECS, &others))
		return false;
	spec = get(object, "spec");
	if (get(spec, "behavior") &&
	    (!behavior_write(w, get(spec, "behavior"), &behavior) || !note_write(w, object, BEHAVIOR, &behavior)))
		return false;
	spec = get(object, "spec");
	drop(spec, "metrics");
	drop(spec, "behavior");
	return true;
}

static bool status_to_v1(const struct work *w, struct value *object)
{
	struct value *status = reach(w, object, "status"), others = value_array();
	const struct value *metrics = get(status, "currentMetrics"), *percent = NULL;

	if (!status)
		return false;
	for (uint32_t i = 0; i < count_of(metrics); i++) {
		const struct value *is = value_find(value_item(metrics, i), "resource.current.averageUtilization");

		if (is_cpu(value_item(metrics, i)) && value_is(is, VALUE_INT))
			percent = is;
	}
	if (!metrics_convert(w, metrics, true, true, &others) ||
	    (percent && !put(w, status, "currentCPUUtilizationPercentage", *percent)) ||
	    (count_of(&others) && !note_write(w, object, STATUSES, &others)))
		return false;
	status = get(object, "status");
	if (count_of(get(status, "conditions")) && !note_write(w, object, CONDITIONS, get(status, "conditions")))
		return false;
	status = get(object, "status");
	drop(status, "currentMetrics");
	drop(status, "conditions");
	return true;
}

static bool to_v1(struct value *object, struct arena *arena, struct error *err)
{
	const struct work w = { arena, err };

	notes_drop(object);
	return spec_to_v1(&w, object) && status_to_v1(&w, object) &&
	       put(&w, object, "apiVersion", value_string(SPAN("autoscaling/v1"))) &&
	       complete(&w, &kind_old_autoscaler, object);
}

/* ---- the kind ---- */

static void old_autoscaler_defaults(struct change *c)
{
	struct value *spec;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_int(c, spec, "minReplicas", 1);
	if (!get(spec, "targetCPUUtilizationPercentage") && !get(get(get(c->object, "metadata"), "annotations"), SPECS))
		set_value(c, spec, "targetCPUUtilizationPercentage", value_int(CPU_DEFAULT));
}

static void old_autoscaler_prepare(struct change *c)
{
	static const char *const of_status[] = { STATUSES, CONDITIONS };
	const struct value *old = get(get(c->old, "metadata"), "annotations");

	prepare_status(c);
	for (size_t i = 0; i < ARRAY_LEN(of_status) && !change_is_status(c); i++) {
		if (get(old, of_status[i]))
			carry(c, ensure(c, get(c->object, "metadata"), "annotations"), old, of_status[i]);
	}
}

static const struct value *as_v2(struct change *c, const struct value *object)
{
	struct value *copy = object ? ARENA_NEW(c->arena, struct value, c->err) : NULL;

	if (!copy || !value_copy(object, c->arena, copy, c->err) || !to_v2(copy, c->arena, c->err))
		return NULL;
	return copy;
}

static void old_autoscaler_validate(struct change *c)
{
	struct value *object = c->object, *old = c->old;

	c->object = (struct value *)as_v2(c, object);
	c->old = (struct value *)as_v2(c, old);
	if (c->object && (c->old || !old))
		autoscaler_validate(c);
	c->object = object;
	c->old = old;
}

static void old_autoscaler_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	struct error err = { 0 };
	struct value copy;

	if (value_copy(o, arena, &copy, &err) && to_v2(&copy, arena, &err))
		autoscaler_row(&copy, now_ns, cells, arena);
}

const struct kind kind_old_autoscaler = {
	.group = "autoscaling",
	.version = "v1",
	.plural = "horizontalpodautoscalers",
	.singular = "horizontalpodautoscaler",
	.kind = "HorizontalPodAutoscaler",
	.short_names = autoscaler_short_names,
	.categories = autoscaler_categories,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
	.columns = autoscaler_columns,
	.stored_as = &kind_autoscaler,
	.to_stored = to_v2,
	.from_stored = to_v1,
	.defaults = old_autoscaler_defaults,
	.prepare = old_autoscaler_prepare,
	.validate = old_autoscaler_validate,
	.row = old_autoscaler_row,
};
