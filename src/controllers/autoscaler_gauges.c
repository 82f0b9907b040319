/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoscaler_gauges - how many replicas metrics of type Pods, Object and External ask for: what is counted of requests (kube/gauges.h).
 *
 * At zero nothing is answered, so a rate stays 0: then a request that waits is enough for one replica.
 *
 * A metric of pods is one as of a resource: an average of each pod. One of an object, or outside the cluster, is one number: as many times the pods that are ready as it
 * is the target's (Value), or that number by the target (AverageValue). From no replicas it is that number by the target.
 */
#include "controllers/autoscaler.h"

#include <math.h>

#include "kube/gauges.h"
#include "kube/kinds/kinds.h"

/* As Go prints a pointer to it. */
static struct span selector_words(struct reconcile *r, const struct value *selector)
{
	const struct value *labels = member(selector, "matchLabels"), *rules = member(selector, "matchExpressions");
	struct text t = { .arena = r->arena };

	if (!selector)
		return SPAN("nil");
	text_addf(&t, "&LabelSelector{MatchLabels:map[string]string{");
	for (uint32_t i = 0; value_is(labels, VALUE_OBJECT) && i < labels->object.count; i++)
		text_addf(&t, SPAN_FMT ": " SPAN_FMT ",", SPAN_ARG(labels->object.members[i].key),
			  SPAN_ARG(text_of(&labels->object.members[i].value)));
	text_addf(&t, "},MatchExpressions:[]LabelSelectorRequirement{");
	for (uint32_t i = 0; i < value_count(rules); i++) {
		const struct value *rule = value_item(rules, i), *values = member(rule, "values");

		text_addf(&t, "LabelSelectorRequirement{Key:" SPAN_FMT ",Operator:" SPAN_FMT ",Values:[",
			  SPAN_ARG(value_find_string(rule, "key")), SPAN_ARG(value_find_string(rule, "operator")));
		for (uint32_t j = 0; j < value_count(values); j++)
			text_addf(&t, "%s" SPAN_FMT, j ? " " : "", SPAN_ARG(text_of(value_item(values, j))));
		text_addf(&t, "],},");
	}
	text_addf(&t, "},}");
	return text_span(&t);
}

/* A LabelSelector; NULL: any. */
static bool labels_read(struct autoscaling *a, const struct value *source, struct gauge_question *q, struct error *err)
{
	const struct value *selector = value_find(source, "metric.selector");

	if (!value_count(member(selector, "matchExpressions")) && !count_of(member(selector, "matchLabels")))
		return true;
	q->labels_text = selector_print(selector, a->r->arena);
	q->labels = selector_read(q->labels_text, a->r->arena, err);
	return q->labels != NULL;
}

/* ---- Pods ---- */

static bool pods_tell(struct measure *m)
{
	struct autoscaling *a = m->a;
	struct gauge_question q = { .metric = value_find_string(m->source, "metric.name"),
				    .name_space = a->r->name_space,
				    .kind = SPAN("Pod") };
	struct gauges found;
	bool is_any = false;

	if (!labels_read(a, m->source, &q, m->err))
		return false;
	if (!cluster_gauges(a->r->cluster, &q, &found, a->r->arena, m->err))
		return error_wrap(m->err, "unable to fetch metrics from custom metrics API");
	for (uint32_t i = 0; i < m->count; i++) {
		struct reading *x = &m->readings[i];

		for (size_t j = 0; j < found.count && !x->is_told; j++) {
			if (!span_equal(found.items[j].name, object_name(x->pod)))
				continue;
			x->is_told = is_any = true;
			x->used = found.items[j].milli;
			x->at_ns = found.at_ns;
			x->window_ns = found.window_s * NS_PER_S;
		}
	}
	return is_any || error_set(m->err, ERROR_NOT_FOUND, "no metrics returned from custom metrics API");
}

static int64_t measure_pods(struct autoscaling *a, const struct value *source, struct value *current,
			    struct span *ret_words, struct error *err)
{
	struct span name = value_find_string(source, "metric.name");
	struct measure m = { .a = a, .tell = pods_tell, .source = source, .err = err };
	int64_t replicas;

	if (!quantity_parse(value_find_string(source, "target.averageValue"), &m.target) || m.target <= 0) {
		(void)error_set(err, ERROR_INVALID, "invalid pods metric source: no average value target was set");
		return -1;
	}
	replicas = autoscaler_replicas(&m);
	if (replicas < 0 && (span_starts(error_span(err), SPAN("unable to fetch")) ||
			     span_starts(error_span(err), SPAN("no metrics returned from custom"))))
		(void)error_wrap(err, "unable to get metric " SPAN_FMT, SPAN_ARG(name));
	if (replicas < 0)
		return -1;
	put(a->r, current, "averageValue", autoscaler_milli_text(a->r, m.average));
	*ret_words = text_print(a->r, "pods metric " SPAN_FMT, SPAN_ARG(name)).string;
	return replicas;
}

/* ---- one number ---- */

/* The question that a metric of the spec asks. */
static bool question_read(struct autoscaling *a, const struct value *source, bool is_object, struct gauge_question *q,
			  struct error *err)
{
	const struct value *object = member(source, "describedObject");
	struct span version = value_find_string(object, "apiVersion"), group = span_cut(&version, '/');

	*q = (struct gauge_question){ .metric = value_find_string(source, "metric.name"),
				      .name_space = a->r->name_space,
				      .is_external = !is_object };
	if (is_object) {
		q->group = version.len ? group : SPAN("");
		q->kind = value_find_string(object, "kind");
		q->name = value_find_string(object, "name");
	}
	return labels_read(a, source, q, err);
}

static int64_t sum_of(const struct gauges *found)
{
	__int128 sum = 0;

	for (size_t i = 0; i < found->count; i++)
		sum += found->items[i].milli;
	return (int64_t)MIN(sum, (__int128)INT64_MAX);
}

static bool object_value(struct autoscaling *a, const struct value *source, int64_t *ret_milli, struct error *err)
{
	struct gauge_question q;
	struct gauges found = { 0 };

	if (question_read(a, source, true, &q, err) && cluster_gauges(a->r->cluster, &q, &found, a->r->arena, err)) {
		*ret_milli = sum_of(&found);
		return true;
	}
	return error_set(err, err->code,
			 "unable to get metric " SPAN_FMT
			 ": unable to fetch metrics from custom metrics API: %s on " SPAN_FMT " " SPAN_FMT "/" SPAN_FMT,
			 SPAN_ARG(q.metric), arena_print(a->r->arena, a->r->err, "%s", err->message).ptr,
			 SPAN_ARG(q.kind), SPAN_ARG(q.name_space), SPAN_ARG(q.name));
}

static bool external_value(struct autoscaling *a, const struct value *source, int64_t *ret_milli, struct error *err)
{
	struct span words = selector_words(a->r, value_find(source, "metric.selector"));
	struct gauge_question q;
	struct gauges found = { 0 };
	bool is_good = question_read(a, source, false, &q, err);

	if (is_good && !cluster_gauges(a->r->cluster, &q, &found, a->r->arena, err))
		is_good = error_set(err, err->code,
				    "unable to fetch metrics from external metrics API: %s (get " SPAN_FMT
				    ".external.metrics.k8s.io)",
				    arena_print(a->r->arena, a->r->err, "%s", err->message).ptr, SPAN_ARG(q.metric));
	else if (is_good && !found.count)
		is_good = error_set(err, ERROR_NOT_FOUND, "no metrics returned from external metrics API");
	*ret_milli = sum_of(&found);
	return is_good || error_wrap(err, "unable to get external metric " SPAN_FMT "/" SPAN_FMT "/%.*s",
				     SPAN_ARG(q.name_space), SPAN_ARG(q.metric), (int)words.len, words.ptr);
}

/* Does a request wait, or is one answered? */
static bool is_wanted(struct autoscaling *a, const struct value *source, bool is_object)
{
	struct error ignored = { 0 };
	struct gauge_question q;
	struct gauges found = { 0 };

	if (!question_read(a, source, is_object, &q, &ignored))
		return false;
	q.metric = SPAN("requests_in_flight");
	return cluster_gauges(a->r->cluster, &q, &found, a->r->arena, &ignored) && sum_of(&found) > 0;
}

static int64_t ready_count(const struct autoscaling *a, struct error *err)
{
	int64_t count = 0;

	if (!value_count(a->pods)) {
		(void)error_set(err, ERROR_NOT_FOUND,
				"unable to calculate ready pods: no pods returned by selector while calculating "
				"replica count");
		return -1;
	}
	for (uint32_t i = 0; i < value_count(a->pods); i++) {
		const struct value *pod = value_item(a->pods, i);

		count += span_equal(value_find_string(pod, "status.phase"), SPAN("Running")) && pod_is_ready(pod);
	}
	return count;
}

static int64_t whole(double replicas)
{
	return (int64_t)MIN(ceil(replicas), (double)INT32_MAX);
}

/* -1: err says why. */
static int64_t by_value(struct autoscaling *a, int64_t milli, int64_t target, struct error *err)
{
	double ratio = (double)milli / (double)target;
	int64_t ready;

	if (a->scale.replicas == 0)
		return whole(ratio);
	if (autoscaler_is_near(ratio))
		return a->scale.replicas;
	ready = ready_count(a, err);
	return ready < 0 ? -1 : whole(ratio * (double)ready);
}

/* By what its pods are now, which is not always what is wanted. Without any, all of it is each one's. */
static int64_t by_average(struct autoscaling *a, int64_t *milli, int64_t target)
{
	int64_t replicas = a->scale.current;

	if (!replicas || !autoscaler_is_near((double)*milli / ((double)target * (double)replicas)))
		replicas = whole((double)*milli / (double)target);
	if (a->scale.current)
		*milli = (int64_t)ceil((double)*milli / (double)a->scale.current);
	return replicas;
}

static bool target_read(const struct value *source, bool is_object, bool *ret_is_average, int64_t *ret_milli,
			struct error *err)
{
	struct span type = value_find_string(source, "target.type");
	const struct value *value = value_find(source, "target.value"),
			   *average = value_find(source, "target.averageValue");

	*ret_is_average = is_object ? !(span_equal(type, SPAN("Value")) && value) : average != NULL;
	return (quantity_parse(text_of(*ret_is_average ? average : value), ret_milli) && *ret_milli > 0) ||
	       error_set(err, ERROR_INVALID,
			 "invalid %s metric source: neither a value target nor an average value target was set",
			 is_object ? "object" : "external");
}

static int64_t measure_number(struct autoscaling *a, const struct value *source, bool is_object, struct value *current,
			      struct span *ret_words, struct error *err)
{
	struct span name = value_find_string(source, "metric.name"), selector;
	int64_t target, milli, replicas = -1;
	bool is_average;

	if (!target_read(source, is_object, &is_average, &target, err))
		return -1;
	if (is_object ? object_value(a, source, &milli, err) : external_value(a, source, &milli, err))
		replicas = is_average ? by_average(a, &milli, target) : by_value(a, milli, target, err);
	if (replicas == 0 && a->scale.replicas == 0 && is_wanted(a, source, is_object))
		replicas = 1;
	if (replicas < 0) {
		if (is_average)
			(void)error_wrap(err, "failed to get " SPAN_FMT " %s metric", SPAN_ARG(name),
					 is_object ? "object" : "external");
		else if (!is_object)
			(void)error_wrap(err, "failed to get external metric " SPAN_FMT, SPAN_ARG(name));
		return -1;
	}
	put(a->r, current, is_average ? "averageValue" : "value", autoscaler_milli_text(a->r, milli));
	selector = selector_words(a->r, value_find(source, "metric.selector"));
	if (is_object && !is_average)
		*ret_words = text_print(a->r, SPAN_FMT " metric " SPAN_FMT,
					SPAN_ARG(value_find_string(source, "describedObject.kind")), SPAN_ARG(name))
				 .string;
	else
		*ret_words = text_print(a->r, "external metric " SPAN_FMT "(%.*s)", SPAN_ARG(name), (int)selector.len,
					selector.ptr)
				 .string;
	return replicas;
}

int64_t autoscaler_measure_gauge(struct autoscaling *a, const struct value *source, const char *type,
				 struct value *status, struct span *ret_words, struct error *err)
{
	const struct value *metric = member(source, "metric"), *object = member(source, "describedObject");
	struct value current = value_object();
	int64_t replicas = strcmp(type, "Pods") == 0
			       ? measure_pods(a, source, &current, ret_words, err)
			       : measure_number(a, source, strcmp(type, "Object") == 0, &current, ret_words, err);

	if (replicas < 0)
		return -1;
	put(a->r, status, "metric", metric ? *metric : value_object());
	put(a->r, status, "current", current);
	if (object)
		put(a->r, status, "describedObject", *object);
	return replicas;
}
