/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inference_service_scale - the autoscaler of a revision, and when one whose replicas come and go is ready.
 *
 * Requests are counted of the revision's Service, by which routes ask it, and of the predictor's, while that leads to it: what is more
 * counts. A window of a minute is Knative's; five, as autoscalers have it, are for what costs more to begin anew.
 */
#include "controllers/inference_service.h"

#define CONCURRENCY_TARGET 100 /* as Knative's */
#define RATE_TARGET        200
#define SHARE_TARGET       80

static bool has_own_metrics(const struct inference *x)
{
	return count_of(get(get(x->predictor, "autoScaling"), "metrics")) > 0;
}

/* What sleeps uses nothing: only requests wake it. */
static struct span metric_of(const struct inference *x)
{
	struct span metric = get_text(x->predictor, "scaleMetric");

	if (metric.len)
		return metric;
	return get_int(x->predictor, "minReplicas", 1) ? SPAN("cpu") : SPAN("concurrency");
}

static bool is_of_requests(const struct inference *x)
{
	struct span metric = metric_of(x);

	return !has_own_metrics(x) && (span_equal(metric, SPAN("rps")) || span_equal(metric, SPAN("concurrency")));
}

bool inference_has_scaler(const struct inference *x)
{
	int64_t least = get_int(x->predictor, "minReplicas", 1);

	return least == 0 || get_int(x->predictor, "maxReplicas", 0) > least;
}

/* ---- metrics ---- */

static void resource_put(struct inference *x, struct value *metrics)
{
	put_item(x->r, metrics,
		 serving_made(x->r,
			      "{'type':'Resource','resource':{'name':'%.*s','target':{'type':'Utilization',"
			      "'averageUtilization':%lld}}}",
			      SPAN_WHOLE(metric_of(x)), (long long)get_int(x->predictor, "scaleTarget", SHARE_TARGET)));
}

static void requests_put(struct inference *x, struct value *metrics, struct span service)
{
	bool is_rate = span_equal(metric_of(x), SPAN("rps"));
	bool is_whole = is_text(get(x->predictor, "scaleMetricType"), "Value");
	int64_t limit = get_int(x->predictor, "containerConcurrency", 0);
	int64_t target = is_rate ? RATE_TARGET : limit > 0 ? limit : CONCURRENCY_TARGET;

	put_item(x->r, metrics,
		 serving_made(x->r,
			      "{'type':'Object','object':{'metric':{'name':'%s'},'describedObject':{'apiVersion':'v1',"
			      "'kind':'Service','name':'%.*s'},'target':{'type':'%s','%s':'%lld'}}}",
			      is_rate ? "requests_per_second" : "requests_in_flight", SPAN_WHOLE(service),
			      is_whole ? "Value" : "AverageValue", is_whole ? "value" : "averageValue",
			      (long long)get_int(x->predictor, "scaleTarget", target)));
}

static struct value metrics_make(struct inference *x, struct span revision)
{
	const struct value *own = get(get(x->predictor, "autoScaling"), "metrics");
	struct value metrics = value_array();

	if (has_own_metrics(x))
		return copied(x->r, own);
	if (!is_of_requests(x)) {
		resource_put(x, &metrics);
		return metrics;
	}
	requests_put(x, &metrics, revision);
	if (!x->stable.len || span_equal(x->stable, revision))
		requests_put(x, &metrics, x->base);
	return metrics;
}

void inference_scaler(struct inference *x, struct span name)
{
	struct reconcile *r = x->r;
	const struct value *behavior = get(get(x->predictor, "autoScaling"), "behavior");
	int64_t least = get_int(x->predictor, "minReplicas", 1);
	struct value *object, spec;

	/* What was never ready is not put to sleep: it would never be. */
	if (!inference_has_scaler(x) || (least == 0 && !x->is_newest_ready))
		return;
	object = object_new(r, &resource_autoscalers, name);
	if (!object)
		return;
	spec = serving_made(r,
			    "{'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'%.*s'},"
			    "'minReplicas':%lld,'maxReplicas':%lld}",
			    SPAN_WHOLE(name), (long long)least,
			    (long long)MAX(get_int(x->predictor, "maxReplicas", 0), MAX(least, 1)));
	put(r, &spec, "metrics", metrics_make(x, name));
	if (behavior)
		put(r, &spec, "behavior", copied(r, behavior));
	else if (is_of_requests(x))
		put(r, &spec, "behavior", serving_made(r, "{'scaleDown':{'stabilizationWindowSeconds':60}}"));
	put(r, object, "spec", spec);
	(void)wanted_add(&x->wanted, &resource_autoscalers, object);
}

/* ---- readiness ---- */

/* One that scales up is as ready as it was; one that was ready and sleeps, or wakes, answers those who wait. */
bool inference_is_ready(const struct inference *x, const struct value *deployment)
{
	const struct value *status = get(deployment, "status");
	struct span was_ready = value_find_string(x->r->object, "status.components.predictor.latestReadyRevision");
	int64_t least = get_int(x->predictor, "minReplicas", 1), replicas;
	bool has_answered = deployment && span_equal(was_ready, object_name(deployment));

	if (!inference_has_scaler(x))
		return serving_is_ready(deployment);
	replicas = least == 0 && has_answered ? 0 : MAX(least, 1);
	if (least > 0)
		replicas = MIN(replicas, value_find_int(deployment, "spec.replicas", 1));
	return deployment &&
	       get_int(status, "observedGeneration", 0) >= value_find_int(deployment, "metadata.generation", 0) &&
	       get_int(status, "availableReplicas", 0) >= replicas &&
	       get_int(status, "replicas", 0) == get_int(status, "updatedReplicas", 0) &&
	       !condition_is(status, "Progressing", "False");
}
