/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoscaler_metrics - how many replicas the metrics of an autoscaler ask for.
 *
 * replicas = ceil(pods that count * what they use / the target), when that is a tenth or more away from what there is. Pods that start, or
 * of which nothing is told, never make it grow more or shrink more: they count as using nothing when it would grow; when it would shrink, as
 * using all that they asked for.
 */
#include "controllers/autoscaler.h"

#include <math.h>

#include "base/units.h"
#include "kube/kinds/kinds.h"

#define CPU_INITIAL_NS     (300 * NS_PER_S) /* while a pod's processor use may be that of its start */
#define READINESS_DELAY_NS (30 * NS_PER_S)
#define WINDOW_NS          (60 * NS_PER_S) /* of a sample that does not say it */

/* ---- what is told ---- */

static const struct value *usage_of(const struct value *container, struct span resource)
{
	return value_get(member(container, "usage"), resource);
}

/* The sum over the containers; false: something is not told. */
static bool sample_sum(const struct measure *m, const struct value *sample, int64_t *ret)
{
	const struct value *containers = member(sample, "containers");
	int64_t sum = 0, milli;
	bool is_told = false;

	for (uint32_t i = 0; i < value_count(containers); i++) {
		const struct value *c = value_item(containers, i);

		if (m->container.len && !span_equal(value_find_string(c, "name"), m->container))
			continue;
		if (!quantity_parse(text_of(usage_of(c, m->resource)), &milli) ||
		    __builtin_add_overflow(sum, milli, &sum))
			return false;
		is_told = true;
	}
	*ret = sum;
	return is_told;
}

static void sample_take(const struct measure *m, const struct value *sample, struct reading *x)
{
	struct error ignored = { 0 };
	int64_t ms;

	x->is_told = sample_sum(m, sample, &x->used);
	x->at_ns = object_time(sample, "timestamp");
	x->window_ns = duration_parse(value_find_string(sample, "window"), &ms, &ignored) ? ms * NS_PER_MS : WINDOW_NS;
}

static bool samples_read(struct measure *m)
{
	struct reconcile *r = m->a->r;
	bool is_any = false;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct value *sample =
		    reconcile_get(r, &resource_pod_usage, r->name_space, object_name(m->readings[i].pod));

		if (!sample)
			continue;
		is_any = true;
		sample_take(m, sample, &m->readings[i]);
	}
	return is_any || error_set(m->err, ERROR_NOT_FOUND,
				   "unable to get metrics for resource " SPAN_FMT
				   ": no metrics returned from resource metrics API",
				   SPAN_ARG(m->resource));
}

/* ---- which pods count ---- */

static bool is_starting(const struct reading *x, int64_t now_ns)
{
	const struct value *ready = condition_find(member(x->pod, "status"), "Ready");
	int64_t started = object_time(x->pod, "status.startTime"), since = object_time(ready, "lastTransitionTime");
	bool is_unready = span_equal(value_find_string(ready, "status"), SPAN("False"));

	if (!ready || !started)
		return true;
	if (started + CPU_INITIAL_NS > now_ns)
		return is_unready || x->at_ns < since + x->window_ns;
	return is_unready && started + READINESS_DELAY_NS > since;
}

static enum pod_standing standing_of(const struct measure *m, const struct reading *x)
{
	struct span phase = value_find_string(x->pod, "status.phase");

	if (object_is_ending(x->pod) || span_equal(phase, SPAN("Failed")))
		return POD_IGNORED;
	if (span_equal(phase, SPAN("Pending")))
		return POD_UNREADY;
	if (!x->is_told)
		return POD_MISSING;
	return span_equal(m->resource, SPAN("cpu")) && is_starting(x, m->a->r->now_ns) ? POD_UNREADY : POD_READY;
}

static bool request_add(struct measure *m, struct reading *x, const struct value *container)
{
	int64_t milli;

	if (m->container.len && !span_equal(value_find_string(container, "name"), m->container))
		return true;
	if (!quantity_parse(text_of(value_get(value_find(container, "resources.requests"), m->resource)), &milli))
		return error_set(m->err, ERROR_INVALID,
				 "missing request for " SPAN_FMT " in container " SPAN_FMT " of Pod " SPAN_FMT,
				 SPAN_ARG(m->resource), SPAN_ARG(value_find_string(container, "name")),
				 SPAN_ARG(object_name(x->pod)));
	x->requested = __builtin_add_overflow(x->requested, milli, &milli) ? INT64_MAX : milli;
	return true;
}

static bool requests_read(struct measure *m, struct reading *x)
{
	const struct value *containers = value_find(x->pod, "spec.containers"),
			   *before = value_find(x->pod, "spec.initContainers");

	for (uint32_t i = 0; i < value_count(containers); i++)
		if (!request_add(m, x, value_item(containers, i)))
			return false;
	for (uint32_t i = 0; i < value_count(before); i++)
		if (span_equal(value_find_string(value_item(before, i), "restartPolicy"), SPAN("Always")) &&
		    !request_add(m, x, value_item(before, i)))
			return false;
	return true;
}

static uint32_t counted(const struct measure *m)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->count; i++)
		count += m->readings[i].is_counted;
	return count;
}

static bool readings_make(struct measure *m)
{
	const struct value *pods = m->a->pods;

	m->count = value_count(pods);
	m->readings = arena_calloc(m->a->r->arena, m->count + 1, sizeof(*m->readings), m->err);
	for (uint32_t i = 0; m->readings && i < m->count; i++)
		m->readings[i].pod = value_item(pods, i);
	if (!m->readings || !(m->tell ? m->tell(m) : samples_read(m)))
		return false;
	if (!m->count)
		return error_set(m->err, ERROR_NOT_FOUND,
				 "no pods returned by selector while calculating replica count");
	for (uint32_t i = 0; i < m->count; i++) {
		m->readings[i].standing = standing_of(m, &m->readings[i]);
		m->readings[i].is_counted = m->readings[i].standing == POD_READY;
	}
	if (!counted(m))
		return error_set(m->err, ERROR_NOT_FOUND,
				 "did not receive metrics for targeted pods (pods might be unready)");
	for (uint32_t i = 0; m->is_share && i < m->count; i++)
		if (!requests_read(m, &m->readings[i]))
			return false;
	return true;
}

/* ---- how many ---- */

/* What the pods that count use, as a part of the target. */
static bool ratio_find(struct measure *m, double *ret, int64_t *ret_share, int64_t *ret_average)
{
	__int128 used = 0, requested = 0;
	uint32_t count = counted(m);

	for (uint32_t i = 0; i < m->count; i++) {
		if (m->readings[i].is_counted) {
			used += m->readings[i].used;
			requested += m->readings[i].requested;
		}
	}
	*ret_average = (int64_t)(used / count);
	if (!m->is_share) {
		*ret = (double)*ret_average / (double)m->target;
		return true;
	}
	if (!requested)
		return error_set(m->err, ERROR_NOT_FOUND, "no metrics returned matched known pods");
	*ret_share = (int64_t)MIN(used * 100 / requested, (__int128)INT32_MAX);
	*ret = (double)*ret_share / (double)m->target;
	return true;
}

static uint32_t standing_count(const struct measure *m, enum pod_standing s)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->count; i++)
		count += m->readings[i].standing == s;
	return count;
}

/* What nothing is told of counts against the way that it goes. */
static void fill(struct measure *m, double ratio)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct reading *x = &m->readings[i];

		if (x->standing == POD_MISSING && ratio < 1.0) {
			x->used = m->is_share ? (int64_t)((__int128)x->requested * MAX((int64_t)100, m->target) / 100)
					      : m->target;
			x->is_counted = true;
		} else if ((x->standing == POD_MISSING || x->standing == POD_UNREADY) && ratio > 1.0) {
			x->used = 0;
			x->is_counted = true;
		}
	}
}

bool autoscaler_is_near(double ratio)
{
	return 1.0 - AUTOSCALER_TOLERANCE <= ratio && ratio <= 1.0 + AUTOSCALER_TOLERANCE;
}

static int64_t times(double ratio, uint32_t count)
{
	return (int64_t)MIN(ceil(ratio * count), (double)INT32_MAX);
}

int64_t autoscaler_replicas(struct measure *m)
{
	int64_t current = m->a->scale.replicas, replicas, unused;
	double ratio, filled;

	if (!readings_make(m) || !ratio_find(m, &ratio, &m->share, &m->average))
		return -1;
	if (!standing_count(m, POD_MISSING) && !(standing_count(m, POD_UNREADY) && ratio > 1.0))
		return autoscaler_is_near(ratio) ? current : times(ratio, counted(m));
	fill(m, ratio);
	if (!ratio_find(m, &filled, &unused, &unused))
		return -1;
	if (autoscaler_is_near(filled) || (ratio < 1.0 && filled > 1.0) || (ratio > 1.0 && filled < 1.0))
		return current;
	replicas = times(filled, counted(m));
	return (filled < 1.0 && replicas > current) || (filled > 1.0 && replicas < current) ? current : replicas;
}

/* ---- metrics of the spec ---- */

struct value autoscaler_milli_text(struct reconcile *r, int64_t milli)
{
	struct value text = text_print(r, "%lldm", (long long)milli);
	struct span canonical;

	return quantity_canonical(text.string, r->arena, &canonical) ? value_string(canonical) : text;
}

/* Resource and ContainerResource. */
static int64_t measure_resource(struct autoscaling *a, const struct value *source, bool is_container,
				struct value *status, struct span *ret_words, struct error *err)
{
	struct reconcile *r = a->r;
	const struct value *target = member(source, "target");
	struct measure m = { .a = a, .resource = value_find_string(source, "name"), .err = err };
	struct value current = value_object();
	int64_t replicas;

	m.container = is_container ? value_find_string(source, "container") : (struct span){ 0 };
	m.is_share = !member(target, "averageValue");
	m.target = value_find_int(target, "averageUtilization", 0);
	if (!m.is_share && !quantity_parse(value_find_string(target, "averageValue"), &m.target))
		m.target = 0;
	if (m.target <= 0) {
		(void)error_set(err, ERROR_INVALID,
				"invalid resource metric source: neither an average utilization target nor an average "
				"value (usage) target was set");
		return -1;
	}
	replicas = autoscaler_replicas(&m);
	if (replicas < 0) {
		(void)error_wrap(err, "failed to get " SPAN_FMT " %s", SPAN_ARG(m.resource),
				 m.is_share ? "utilization" : "usage");
		return -1;
	}
	if (m.is_share)
		put(r, &current, "averageUtilization", value_int(m.share));
	put(r, &current, "averageValue", autoscaler_milli_text(r, m.average));
	put(r, status, "name", value_string(m.resource));
	if (is_container)
		put(r, status, "container", value_string(m.container));
	put(r, status, "current", current);
	*ret_words = text_print(r, SPAN_FMT "%s resource%s", SPAN_ARG(m.resource),
				m.is_share && is_container ? " container" : "",
				m.is_share ? " utilization (percentage of request)" : "")
			 .string;
	return replicas;
}

struct metric_type {
	const char *type, *member, *reason;
	const char *before, *behind; /* of the name, in the words for the event about all of them */
};

static const struct metric_type metric_types[] = {
	{ "Resource", "resource", "FailedGetResourceMetric", "failed to get ", " resource metric value" },
	{ "ContainerResource", "containerResource", "FailedGetContainerResourceMetric", "failed to get ",
	  " container metric value" },
	{ "Pods", "pods", "FailedGetPodsMetric", "failed to get pods metric value", NULL },
	{ "Object", "object", "FailedGetObjectMetric", "failed to get object metric value", NULL },
	{ "External", "external", "FailedGetExternalMetric", "failed to get ", " external metric value" },
};

/* An event, when it is news: the condition that tells it stands until the next time. */
static void failure_tell(struct autoscaling *a, const struct metric_type *t, const struct error *why, bool is_first)
{
	struct span message =
	    arena_print(a->r->arena, a->r->err, "the HPA was unable to compute the replica count: %s", why->message);
	const struct value *old = condition_find(member(a->r->object, "status"), "ScalingActive");

	if (!span_equal(value_find_string(old, "message"), message))
		reconcile_event(a->r, "Warning", t->reason, "%s", why->message);
	if (is_first)
		autoscaler_tell(a, "ScalingActive", false, t->reason, message);
}

/* "failed to get cpu resource metric value: ..." */
static void failure_wrap(const struct metric_type *t, const struct value *source, struct error *err)
{
	struct span name = strcmp(t->type, "External") == 0            ? value_find_string(source, "metric.name")
			   : strcmp(t->type, "ContainerResource") == 0 ? value_find_string(source, "container")
								       : value_find_string(source, "name");

	if (t->behind)
		(void)error_wrap(err, "%s" SPAN_FMT "%s", t->before, SPAN_ARG(name), t->behind);
	else
		(void)error_wrap(err, "%s", t->before);
}

static int64_t measure_one(struct autoscaling *a, const struct value *metric, struct value *status,
			   struct span *ret_words, bool is_first, struct error *err)
{
	struct span type = value_find_string(metric, "type");
	const struct metric_type *t = metric_types;
	struct value inner = value_object();
	const struct value *source;
	int64_t replicas;

	while (t < metric_types + ARRAY_LEN(metric_types) && !span_equal(type, span_of(t->type)))
		t++;
	if (t == metric_types + ARRAY_LEN(metric_types)) {
		(void)error_set(err, ERROR_INVALID, "unknown metric source type \"" SPAN_FMT "\"", SPAN_ARG(type));
		return -1;
	}
	source = member(metric, t->member);
	if (t - metric_types < 2)
		replicas = measure_resource(a, source, t != metric_types, &inner, ret_words, err);
	else
		replicas = autoscaler_measure_gauge(a, source, t->type, &inner, ret_words, err);
	if (replicas < 0) {
		failure_tell(a, t, err, is_first);
		failure_wrap(t, source, err);
		return -1;
	}
	put(a->r, status, "type", value_string(type));
	put(a->r, status, t->member, inner);
	return replicas;
}

void autoscaler_measure(struct autoscaling *a, struct proposal *ret)
{
	const struct value *metrics = member(a->spec, "metrics");
	uint32_t failed = 0, count = value_count(metrics);

	*ret = (struct proposal){ .replicas = 0, .statuses = value_array() };
	for (uint32_t i = 0; i < count; i++) {
		struct value status = value_object();
		struct error err = { 0 };
		struct span words = { 0 };
		int64_t one = measure_one(a, value_item(metrics, i), &status, &words, failed == 0, &err);

		if (one < 0) {
			put(a->r, &status, "type", value_string(SPAN("")));
			if (failed++ == 0)
				ret->error = err;
		} else if (ret->replicas == 0 || one > ret->replicas) {
			ret->replicas = one;
			ret->metric = words;
		}
		put_item(a->r, &ret->statuses, status);
	}
	if (failed)
		(void)error_wrap(&ret->error, "invalid metrics (%u invalid out of %u), first error is", failed, count);
	/* What works may make it grow; it shrinks only when all of them say so. */
	if (failed == count || (failed && ret->replicas < a->scale.replicas)) {
		ret->replicas = -1;
		return;
	}
	autoscaler_tell(a, "ScalingActive", true, "ValidMetricFound",
			arena_print(a->r->arena, a->r->err,
				    "the HPA was able to successfully calculate a replica count from " SPAN_FMT,
				    SPAN_WHOLE(ret->metric)));
}
