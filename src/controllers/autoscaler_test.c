/* SPDX-License-Identifier: Apache-2.0 */
/* autoscaler_test - how many replicas an autoscaler wants, when it says so, and in which words. */
#include "controllers/kit.h"

#include <stdio.h>

#include "base/clock.h"
#include "kube/gauges.h"
#include "kube/usage.h"

static const char *const only[] = { "horizontal-pod-autoscaler-controller", NULL };

#define RULES "'behavior':{'scaleUp':{}},"

static void time_print(char out[32], int64_t wall_ns)
{
	char text[64];

	clock_print_rfc3339(wall_ns, text);
	snprintf(out, 32, "%.19sZ", text);
}

static void target(struct kit *k, int replicas)
{
	kit_apply(
	    k, &resource_deployments,
	    "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'default'},'spec':{"
	    "'replicas':%d,'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}},"
	    "'spec':{'containers':[{'name':'main','image':'x'}]}}}}",
	    replicas);
}

static void autoscaler(struct kit *k, int least, int most, const char *rules, const char *metric)
{
	kit_apply(
	    k, &resource_autoscalers,
	    "{'apiVersion':'autoscaling/v2','kind':'HorizontalPodAutoscaler','metadata':{'name':'web','namespace':"
	    "'default'},'spec':{'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'web'},"
	    "'minReplicas':%d,'maxReplicas':%d,%s'metrics':[%s]}}",
	    least, most, rules, metric);
}

#define CPU "{'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization','averageUtilization':80}}}"

/* A pod that asks for one processor and has been ready for an hour. */
static void pod(struct kit *k, const char *name)
{
	char status[512], since[32];

	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{'app':'web'}},"
	    "'spec':{'containers':[{'name':'main','image':'x','resources':{'requests':{'cpu':'1'}}}]}}",
	    name);
	time_print(since, k->now_ns - 3600 * NS_PER_S);
	snprintf(status, sizeof(status),
		 "{\"phase\":\"Running\",\"startTime\":\"%s\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
		 "\"lastTransitionTime\":\"%s\"}]}",
		 since, since);
	kit_status(k, &resource_pods, name, status);
}

static void uses(struct kit *k, const char *name, int milli)
{
	char text[512], now[32];
	struct error err = { 0 };
	struct value v;
	struct span copy;

	time_print(now, k->now_ns);
	snprintf(
	    text, sizeof(text),
	    "{\"kind\":\"PodMetrics\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"labels\":{\"app\":"
	    "\"web\"}},\"timestamp\":\"%s\",\"window\":\"15s\",\"containers\":[{\"name\":\"main\",\"usage\":{\"cpu\":"
	    "\"%dm\",\"memory\":\"10Mi\"}}]}",
	    name, now, milli);
	copy = arena_copy(&k->api.arena, span_of(text), &err);
	assert_true(value_parse(copy, NULL, &k->api.arena, &v, &err));
	assert_true(usage_put(k->api.kube, &v, &k->api.arena, &err));
}

/* So many pods, each of which uses so much. */
static void pods(struct kit *k, int count, int milli)
{
	for (int i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%d", i);
		if (!kit_get(k, &resource_pods, name))
			pod(k, name);
		uses(k, name, milli);
	}
	kit_settle(k);
}

static int replicas(struct kit *k)
{
	return (int)value_find_int(kit_get(k, &resource_deployments, "web"), "spec.replicas", 0);
}

/* "True SucceededRescale" */
static const char *told(struct kit *k, const char *type)
{
	static char text[128];
	const struct value *c = condition_find(value_find(kit_get(k, &resource_autoscalers, "web"), "status"), type);

	snprintf(text, sizeof(text), SPAN_FMT " " SPAN_FMT, SPAN_ARG(value_find_string(c, "status")),
		 SPAN_ARG(value_find_string(c, "reason")));
	return text;
}

static struct span message(struct kit *k, const char *type)
{
	return value_find_string(condition_find(value_find(kit_get(k, &resource_autoscalers, "web"), "status"), type),
				 "message");
}

static bool has_event(struct kit *k, const char *reason, const char *text)
{
	const struct value *events = kit_list(k, &resource_events);

	for (uint32_t i = 0; i < value_count(events); i++)
		if (span_equal(value_find_string(value_item(events, i), "reason"), span_of(reason)) &&
		    span_equal(value_find_string(value_item(events, i), "message"), span_of(text)))
			return true;
	return false;
}

static void a_share_over_the_target_takes_two_to_three(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *a;

	(void)state;
	target(k, 2);
	pods(k, 2, 900);
	autoscaler(k, 1, 20, "", CPU);
	assert_int_equal(replicas(k), 3);
	assert_string_equal(told(k, "AbleToScale"), "True SucceededRescale");
	assert_true(
	    span_equal(message(k, "AbleToScale"), SPAN("the HPA controller was able to update the target scale to 3")));
	assert_string_equal(told(k, "ScalingActive"), "True ValidMetricFound");
	assert_string_equal(told(k, "ScalingLimited"), "False DesiredWithinRange");
	assert_true(has_event(k, "SuccessfulRescale",
			      "New size: 3; reason: cpu resource utilization (percentage of request) above target"));
	a = kit_get(k, &resource_autoscalers, "web");
	assert_int_equal(value_find_int(a, "status.desiredReplicas", 0), 3);
	assert_int_equal(value_find_int(a, "status.currentReplicas", 0), 2);
	a = value_item(value_find(a, "status.currentMetrics"), 0);
	assert_int_equal(value_find_int(a, "resource.current.averageUtilization", 0), 90);
	assert_true(span_equal(value_find_string(a, "resource.current.averageValue"), SPAN("900m")));
	assert_string_equal(told(k, "AbleToScale"), "True SucceededRescale");
	kit_advance(k, 15);
	pods(k, 3, 850); /* within a tenth */
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 3);
	assert_string_equal(told(k, "AbleToScale"), "True ReadyForNewScale");
	kit_done(k);
}

static void rules_limit_how_fast_it_grows(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 3);
	pods(k, 3, 4000);
	autoscaler(k, 1, 20, RULES, CPU);
	assert_int_equal(replicas(k), 7);
	assert_string_equal(told(k, "ScalingLimited"), "True ScaleUpLimit");
	kit_advance(k, 14);
	assert_int_equal(replicas(k), 7);
	pods(k, 7, 4000);
	kit_advance(k, 1);
	assert_int_equal(replicas(k), 14);
	pods(k, 14, 4000);
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 20);
	assert_string_equal(told(k, "ScalingLimited"), "True TooManyReplicas");
	kit_done(k);
}

static void ten_grow_to_twenty(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 10);
	pods(k, 10, 4000);
	autoscaler(k, 1, 20, RULES, CPU);
	assert_int_equal(replicas(k), 20);
	kit_done(k);
}

static void without_rules_it_doubles(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 3);
	pods(k, 3, 4000);
	autoscaler(k, 1, 20, "", CPU);
	assert_int_equal(replicas(k), 6);
	assert_string_equal(told(k, "ScalingLimited"), "True ScaleUpLimit");
	kit_advance(k, 14);
	assert_int_equal(replicas(k), 6);
	kit_done(k);
}

static void it_shrinks_when_nothing_more_was_wanted_for_five_minutes(void **state)
{
	struct kit *k = kit_new(only);
	int looks = 0;

	(void)state;
	target(k, 20);
	pods(k, 20, 800);
	autoscaler(k, 2, 20, "", CPU);
	assert_int_equal(replicas(k), 20);
	kit_advance(k, 15);
	pods(k, 20, 100);
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 20);
	assert_string_equal(told(k, "AbleToScale"), "True ScaleDownStabilized");
	while (replicas(k) == 20 && looks++ < 40)
		kit_advance(k, 15);
	assert_int_equal(replicas(k), 3);
	assert_in_range(looks, 18, 20); /* of fifteen seconds */
	assert_true(has_event(k, "SuccessfulRescale", "New size: 3; reason: All metrics below target"));
	assert_in_range(
	    object_annotation(kit_get(k, &resource_autoscalers, "web"), "autoscaling.hythe.dev/recommendations").len, 1,
	    64);
	kit_done(k);
}

static void rules_say_how_long_and_how_fast(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 20);
	pods(k, 20, 100);
	autoscaler(k, 1, 20,
		   "'behavior':{'scaleDown':{'stabilizationWindowSeconds':0,'policies':[{'type':'Pods','value':4,"
		   "'periodSeconds':60},{'type':'Percent','value':10,'periodSeconds':60}]}},",
		   CPU);
	assert_int_equal(replicas(k), 16);
	assert_string_equal(told(k, "ScalingLimited"), "True ScaleDownLimit");
	for (int i = 0; i < 3; i++)
		kit_advance(k, 15);
	assert_int_equal(replicas(k), 16); /* the minute is not over */
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 12);
	autoscaler(k, 1, 20, "'behavior':{'scaleDown':{'selectPolicy':'Disabled'}},", CPU);
	kit_advance(k, 600);
	assert_int_equal(replicas(k), 12);
	kit_done(k);
}

static void growth_waits_for_its_window(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 2);
	pods(k, 2, 800);
	autoscaler(k, 1, 20, "'behavior':{'scaleUp':{'stabilizationWindowSeconds':60}},", CPU);
	kit_advance(k, 15);
	pods(k, 2, 1600);
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 2);
	assert_string_equal(told(k, "AbleToScale"), "True ScaleUpStabilized");
	for (int i = 0; i < 4; i++)
		kit_advance(k, 15);
	assert_int_equal(replicas(k), 4);
	kit_done(k);
}

static void pods_of_which_nothing_is_told_count_against_the_way_it_goes(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 4);
	pods(k, 3, 1000);
	pod(k, "quiet");
	autoscaler(k, 1, 20, RULES, CPU); /* 3 * 1000 + 0 of 4000: 75 %, so it stays */
	assert_int_equal(replicas(k), 4);
	kit_advance(k, 15);
	pods(k, 3, 1600); /* 120 % of 80 % */
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 6);
	kit_done(k);
}

static void a_pod_that_starts_counts_for_nothing(void **state)
{
	struct kit *k = kit_new(only);
	char status[512], now[32];

	(void)state;
	target(k, 2);
	pods(k, 1, 1000);
	pod(k, "young");
	time_print(now, k->now_ns - 60 * NS_PER_S);
	snprintf(status, sizeof(status),
		 "{\"phase\":\"Running\",\"startTime\":\"%s\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\","
		 "\"lastTransitionTime\":\"%s\"}]}",
		 now, now);
	kit_status(k, &resource_pods, "young", status);
	uses(k, "young", 5000);
	autoscaler(k, 1, 20, "", CPU); /* 1000 of 2000 would be less: it would turn round */
	assert_int_equal(replicas(k), 2);
	assert_string_equal(told(k, "ScalingActive"), "True ValidMetricFound");
	kit_done(k);
}

static void memory_has_an_average_for_each_pod(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 2);
	pods(k, 2, 1);
	autoscaler(
	    k, 1, 20, "",
	    "{'type':'Resource','resource':{'name':'memory','target':{'type':'AverageValue','averageValue':'4Mi'}}}");
	assert_int_equal(replicas(k), 4); /* five are wanted, four may be */
	assert_true(has_event(k, "SuccessfulRescale", "New size: 4; reason: memory resource above target"));
	assert_true(
	    span_equal(value_find_string(
			   value_item(value_find(kit_get(k, &resource_autoscalers, "web"), "status.currentMetrics"), 0),
			   "resource.current.averageValue"),
		       SPAN("10485760")));
	kit_done(k);
}

static void the_most_of_a_container_counts(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 2);
	pods(k, 2, 900);
	autoscaler(k, 1, 20, "",
		   "{'type':'ContainerResource','containerResource':{'name':'cpu','container':'main','target':{'type':"
		   "'Utilization','averageUtilization':60}}}");
	assert_int_equal(replicas(k), 3);
	assert_true(
	    has_event(k, "SuccessfulRescale",
		      "New size: 3; reason: cpu container resource utilization (percentage of request) above target"));
	kit_done(k);
}

static void what_cannot_be_said_is_told(void **state)
{
	static const char words[] =
	    "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned "
	    "from resource metrics API";
	struct kit *k = kit_new(only);

	(void)state;
	autoscaler(k, 1, 20, "", CPU);
	assert_string_equal(told(k, "AbleToScale"), "False FailedGetScale");
	assert_true(has_event(k, "FailedGetScale", "deployments.apps \"web\" not found"));
	target(k, 2);
	pod(k, "p0");
	kit_advance(k, 15);
	assert_string_equal(told(k, "AbleToScale"), "True SucceededGetScale");
	assert_string_equal(told(k, "ScalingActive"), "False FailedGetResourceMetric");
	assert_true(has_event(k, "FailedGetResourceMetric", words));
	autoscaler(
	    k, 1, 20, "",
	    "{'type':'Pods','pods':{'metric':{'name':'hits'},'target':{'type':'AverageValue','averageValue':'1'}}}");
	assert_string_equal(told(k, "ScalingActive"), "False FailedGetPodsMetric");
	assert_true(
	    has_event(k, "FailedGetPodsMetric",
		      "unable to get metric hits: unable to fetch metrics from custom metrics API: no known available "
		      "metric versions found"));
	autoscaler(
	    k, 1, 20, "",
	    "{'type':'External','external':{'metric':{'name':'queue','selector':{'matchLabels':{'a':'b'}}},'target':{"
	    "'type':'AverageValue','averageValue':'1'}}}");
	assert_string_equal(told(k, "ScalingActive"), "False FailedGetExternalMetric");
	assert_true(
	    has_event(k, "FailedGetExternalMetric",
		      "failed to get queue external metric: unable to get external metric "
		      "default/queue/&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:"
		      "[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: the server "
		      "could not find the requested resource (get queue.external.metrics.k8s.io)"));
	assert_int_equal(replicas(k), 2);
	kit_done(k);
}

static void limits_count_before_metrics(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 9);
	autoscaler(k, 2, 5, "", CPU);
	assert_int_equal(replicas(k), 5);
	assert_true(has_event(k, "SuccessfulRescale",
			      "New size: 5; reason: Current number of replicas above Spec.MaxReplicas"));
	target(k, 1);
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 2);
	target(k, 0);
	kit_advance(k, 15);
	assert_int_equal(replicas(k), 0);
	assert_string_equal(told(k, "ScalingActive"), "False ScalingDisabled");
	kit_done(k);
}

static void two_for_the_same_pods_do_nothing(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 2);
	pods(k, 2, 900);
	kit_apply(
	    k, &resource_autoscalers,
	    "{'apiVersion':'autoscaling/v2','kind':'HorizontalPodAutoscaler','metadata':{'name':'other','namespace':"
	    "'default'},'spec':{'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'none'},"
	    "'maxReplicas':3}}");
	kit_apply(
	    k, &resource_autoscalers,
	    "{'apiVersion':'autoscaling/v2','kind':'HorizontalPodAutoscaler','metadata':{'name':'third','namespace':"
	    "'default'},'spec':{'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'web'},"
	    "'maxReplicas':2}}");
	autoscaler(k, 1, 20, "", CPU);
	assert_int_equal(replicas(k), 2);
	assert_string_equal(told(k, "ScalingActive"), "False AmbiguousSelector");
	assert_true(span_equal(message(k, "ScalingActive"),
			       SPAN("pods by selector app=web are controlled by multiple HPAs: [{third default} {web "
				    "default}]")));
	kit_done(k);
}

/* ---- what is counted of requests ---- */

struct counted {
	const char *service, *pod; /* pod "": of the service */
	struct gauge_use use;
};

static struct counted counts[8];

static bool counted_use(void *context, struct span name_space, struct span service, struct span pod,
			struct gauge_use *ret)
{
	(void)context;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		if (!counts[i].service || !span_equal(service, span_of(counts[i].service)) ||
		    !span_equal(pod, span_of(counts[i].pod)) || !span_equal(name_space, SPAN("default")))
			continue;
		*ret = counts[i].use;
		return true;
	}
	return false;
}

static void counted_serve(struct kit *k)
{
	kube_serve_gauges(k->api.kube, &(struct gauge_provider){ .use_of = counted_use });
}

static void service(struct kit *k)
{
	kit_apply(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default'},'spec':{'selector':{"
	    "'app':'web'},'ports':[{'port':80}]}}");
}

/* A slice of the service with the pods p0, p1, ... */
static void slice(struct kit *k, int count)
{
	char endpoints[1024] = "";
	size_t len = 0;

	for (int i = 0; i < count; i++)
		len += (size_t)snprintf(endpoints + len, sizeof(endpoints) - len,
					"%s{'addresses':['127.97.0.%d'],'targetRef':{'kind':'Pod','name':'p%d'}}",
					i ? "," : "", i + 2, i);
	kit_apply(k, &resource_endpoint_slices,
		  "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'web-1','namespace':"
		  "'default','labels':{'kubernetes.io/service-name':'web'}},'addressType':'IPv4','endpoints':[%s]}",
		  endpoints);
}

#define OBJECT(metric, target)                                                                                         \
	"{'type':'Object','object':{'metric':{'name':'" metric "'},'describedObject':{'apiVersion':'v1','kind':"       \
	"'Service','name':'web'},'target':" target "}}"
#define EXTERNAL(metric, target)                                                                                       \
	"{'type':'External','external':{'metric':{'name':'" metric                                                     \
	"','selector':{'matchLabels':{'service':'web'}}},'target':" target "}}"

static struct span current_of(struct kit *k, const char *path)
{
	return value_find_string(
	    value_item(value_find(kit_get(k, &resource_autoscalers, "web"), "status.currentMetrics"), 0), path);
}

static void requests_of_pods_have_an_average(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	memset(counts, 0, sizeof(counts));
	counts[0] = (struct counted){ "web", "p0", { .rate = 30 } };
	counts[1] = (struct counted){ "web", "p1", { .rate = 15.5 } };
	counted_serve(k);
	target(k, 2);
	pods(k, 3, 1);
	slice(k, 2); /* nothing is told of the third */
	autoscaler(k, 1, 20, "",
		   "{'type':'Pods','pods':{'metric':{'name':'requests_per_second'},'target':{'type':'AverageValue',"
		   "'averageValue':'10'}}}");
	/* 22.75 is more than 10; the third counts as nothing: 45.5 / 10 */
	assert_int_equal(replicas(k), 4); /* no more than twice as many */
	assert_true(
	    has_event(k, "SuccessfulRescale", "New size: 4; reason: pods metric requests_per_second above target"));
	assert_true(span_equal(current_of(k, "pods.current.averageValue"), SPAN("22750m")));
	assert_true(span_equal(current_of(k, "pods.metric.name"), SPAN("requests_per_second")));
	assert_string_equal(told(k, "ScalingActive"), "True ValidMetricFound");
	assert_true(span_equal(
	    message(k, "ScalingActive"),
	    SPAN("the HPA was able to successfully calculate a replica count from pods metric requests_per_second")));
	kit_done(k);
}

static void requests_of_an_object_are_one_number(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	memset(counts, 0, sizeof(counts));
	counts[0] = (struct counted){ "web", "", { .rate = 30, .in_flight = 7 } };
	counted_serve(k);
	service(k);
	target(k, 2);
	kit_status(k, &resource_deployments, "web", "{\"replicas\":2}");
	pods(k, 2, 1);
	autoscaler(k, 1, 20, "", OBJECT("requests_per_second", "{'type':'Value','value':'20'}"));
	assert_int_equal(replicas(k), 3); /* half as many again as the two that are ready */
	assert_true(
	    has_event(k, "SuccessfulRescale", "New size: 3; reason: Service metric requests_per_second above target"));
	assert_true(span_equal(current_of(k, "object.current.value"), SPAN("30")));
	assert_true(span_equal(current_of(k, "object.describedObject.name"), SPAN("web")));
	kit_advance(k, 15);
	autoscaler(k, 1, 20, "", OBJECT("requests_in_flight", "{'type':'AverageValue','averageValue':'1500m'}"));
	assert_int_equal(replicas(k), 5);
	assert_true(has_event(k, "SuccessfulRescale",
			      "New size: 5; reason: external metric requests_in_flight(nil) above target"));
	assert_true(span_equal(current_of(k, "object.current.averageValue"), SPAN("3500m")));
	kit_done(k);
}

static void external_requests_are_found_by_labels(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	memset(counts, 0, sizeof(counts));
	counts[0] = (struct counted){ "web", "", { .rate = 30 } };
	counts[1] = (struct counted){ "other", "", { .rate = 1000 } };
	counted_serve(k);
	service(k);
	kit_apply(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'other','namespace':'default'},'spec':{'ports':[{"
	    "'port':80}]}}");
	target(k, 2);
	kit_status(k, &resource_deployments, "web", "{\"replicas\":2}");
	pods(k, 2, 1);
	autoscaler(k, 1, 20, "", EXTERNAL("requests_per_second", "{'type':'AverageValue','averageValue':'10'}"));
	assert_int_equal(replicas(k), 3);
	assert_true(has_event(k, "SuccessfulRescale",
			      "New size: 3; reason: external metric "
			      "requests_per_second(&LabelSelector{MatchLabels:map[string]string{service: web,},"
			      "MatchExpressions:[]LabelSelectorRequirement{},}) above target"));
	assert_true(span_equal(current_of(k, "external.current.averageValue"), SPAN("15")));
	kit_advance(k, 15);
	autoscaler(k, 1, 20, "", EXTERNAL("requests_per_second", "{'type':'Value','value':'6'}"));
	assert_int_equal(replicas(k), 6); /* it would be ten; twice as many as there are is the most */
	kit_done(k);
}

static void what_nobody_counts_is_told_as_adapters_do(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	memset(counts, 0, sizeof(counts));
	counted_serve(k);
	target(k, 2);
	pods(k, 2, 1);
	autoscaler(
	    k, 1, 20, "",
	    "{'type':'Pods','pods':{'metric':{'name':'hits'},'target':{'type':'AverageValue','averageValue':'1'}}}");
	assert_true(has_event(k, "FailedGetPodsMetric",
			      "unable to get metric hits: unable to fetch metrics from custom metrics API: the server "
			      "could not find the metric hits for pods"));
	autoscaler(k, 1, 20, "",
		   "{'type':'Pods','pods':{'metric':{'name':'requests_in_flight'},'target':{'type':'AverageValue',"
		   "'averageValue':'1'}}}");
	assert_true(has_event(
	    k, "FailedGetPodsMetric",
	    "unable to get metric requests_in_flight: no metrics returned from custom metrics API")); /* no service */
	autoscaler(k, 1, 20, "", OBJECT("requests_per_second", "{'type':'Value','value':'20'}"));
	assert_string_equal(told(k, "ScalingActive"), "False FailedGetObjectMetric");
	assert_true(
	    has_event(k, "FailedGetObjectMetric",
		      "unable to get metric requests_per_second: unable to fetch metrics from custom metrics API: "
		      "the server could not find the metric requests_per_second for services web on Service "
		      "default/web"));
	autoscaler(k, 1, 20, "", EXTERNAL("requests_per_second", "{'type':'Value','value':'20'}"));
	assert_string_equal(told(k, "ScalingActive"), "False FailedGetExternalMetric");
	assert_int_equal(replicas(k), 2);
	kit_done(k);
}

static void what_is_idle_goes_to_zero_and_comes_back_at_once(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	memset(counts, 0, sizeof(counts));
	counts[0] = (struct counted){ "web", "", { .rate = 5 } };
	counted_serve(k);
	service(k);
	target(k, 1);
	pods(k, 1, 1);
	autoscaler(k, 0, 20, "", OBJECT("requests_per_second", "{'type':'Value','value':'5'}"));
	assert_int_equal(replicas(k), 1);
	counts[0].use.rate = 0;
	for (int i = 0; i < 20; i++) {
		kit_advance(k, 15);
		if (i < 18) /* five minutes since one was wanted */
			assert_int_equal(replicas(k), 1);
	}
	assert_int_equal(replicas(k), 0);
	assert_true(has_event(k, "SuccessfulRescale", "New size: 0; reason: All metrics below target"));
	kit_delete(k, &resource_pods, "p0");
	kit_bury(k);
	kit_advance(k, 1);
	assert_int_equal(replicas(k), 0);
	counts[0].use.in_flight = 1; /* one waits: a rate is not counted before it is answered */
	controllers_wanted(k->manager, SPAN("other"));
	kit_settle(k);
	assert_int_equal(replicas(k), 0);
	controllers_wanted(k->manager, SPAN("default"));
	kit_settle(k);
	assert_int_equal(replicas(k), 1);
	assert_true(
	    has_event(k, "SuccessfulRescale", "New size: 1; reason: Service metric requests_per_second above target"));
	kit_done(k);
}

static const struct resource definitions = { "apiextensions.k8s.io", "v1", "customresourcedefinitions",
					     "CustomResourceDefinition" };
static const struct resource things = { "example.com", "v1", "things", "Thing" };

/* A kind of a user's own, of which no more than four may be wanted. */
static void things_define(struct kit *k)
{
	kit_apply(
	    k, &definitions,
	    "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{'name':"
	    "'things.example.com'},'spec':{'group':'example.com','scope':'Namespaced','names':{'plural':'things','"
	    "singular':"
	    "'thing','kind':'Thing','listKind':'ThingList'},'versions':[{'name':'v1','served':true,'storage':true,"
	    "'subresources':{'status':{},'scale':{'specReplicasPath':'.spec.size','statusReplicasPath':'.status.size',"
	    "'labelSelectorPath':'.status.selector'}},'schema':{'openAPIV3Schema':{'type':'object','properties':{'spec'"
	    ":{"
	    "'type':'object','properties':{'size':{'type':'integer','maximum':4}}},'status':{'type':'object','"
	    "properties':{"
	    "'size':{'type':'integer'},'selector':{'type':'string'}}}}}}}]}}");
	kit_apply(k, &things,
		  "{'apiVersion':'example.com/"
		  "v1','kind':'Thing','metadata':{'name':'one','namespace':'default'},'spec':{'size':2}}");
	kit_status(k, &things, "one", "{\"size\":2,\"selector\":\"app in (web)\"}");
	kit_apply(
	    k, &resource_autoscalers,
	    "{'apiVersion':'autoscaling/v2','kind':'HorizontalPodAutoscaler','metadata':{'name':'web','namespace':"
	    "'default'},'spec':{'scaleTargetRef':{'apiVersion':'example.com/v1','kind':'Thing','name':'one'},"
	    "'maxReplicas':20}}");
}

static void kinds_of_users_are_scaled_too(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	pods(k, 2, 900);
	things_define(k);
	assert_int_equal(value_find_int(kit_get(k, &things, "one"), "spec.size", 0), 3);
	assert_string_equal(told(k, "AbleToScale"), "True SucceededRescale");
	kit_done(k);
}

static void a_scale_that_is_refused_is_told(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	pods(k, 2, 4000);
	pod(k, "p2");
	things_define(k); /* four may be: for those two there are, twice as many */
	assert_int_equal(value_find_int(kit_get(k, &things, "one"), "spec.size", 0), 4);
	kit_advance(k, 15);
	pods(k, 2, 4000);
	kit_advance(k, 15);
	assert_int_equal(value_find_int(kit_get(k, &things, "one"), "spec.size", 0), 4);
	assert_string_equal(told(k, "AbleToScale"), "False FailedUpdateScale");
	assert_true(
	    span_starts(message(k, "AbleToScale"), SPAN("the HPA controller was unable to update the target scale: ")));
	kit_advance(k, 15);
	assert_string_equal(told(k, "AbleToScale"), "False FailedUpdateScale");
	kit_done(k);
}

static void what_stands_in_the_annotation_is_read_with_care(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	target(k, 2);
	pods(k, 2, 900);
	kit_apply(
	    k, &resource_autoscalers,
	    "{'apiVersion':'autoscaling/v2','kind':'HorizontalPodAutoscaler','metadata':{'name':'web','namespace':"
	    "'default','annotations':{'autoscaling.hythe.dev/recommendations':'x 5 =3 9=9999999999999 7=a 1=-5  =',"
	    "'autoscaling.hythe.dev/rescales':'1=99999999999999999999 -3=1 2='}},'spec':{'scaleTargetRef':{"
	    "'apiVersion':'apps/v1','kind':'Deployment','name':'web'},'maxReplicas':20,'behavior':{'scaleUp':{}}}}");
	assert_int_equal(replicas(k), 3);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_over_the_target_takes_two_to_three),
		cmocka_unit_test(rules_limit_how_fast_it_grows),
		cmocka_unit_test(ten_grow_to_twenty),
		cmocka_unit_test(without_rules_it_doubles),
		cmocka_unit_test(it_shrinks_when_nothing_more_was_wanted_for_five_minutes),
		cmocka_unit_test(rules_say_how_long_and_how_fast),
		cmocka_unit_test(growth_waits_for_its_window),
		cmocka_unit_test(pods_of_which_nothing_is_told_count_against_the_way_it_goes),
		cmocka_unit_test(a_pod_that_starts_counts_for_nothing),
		cmocka_unit_test(memory_has_an_average_for_each_pod),
		cmocka_unit_test(the_most_of_a_container_counts),
		cmocka_unit_test(what_cannot_be_said_is_told),
		cmocka_unit_test(requests_of_pods_have_an_average),
		cmocka_unit_test(requests_of_an_object_are_one_number),
		cmocka_unit_test(external_requests_are_found_by_labels),
		cmocka_unit_test(what_nobody_counts_is_told_as_adapters_do),
		cmocka_unit_test(what_is_idle_goes_to_zero_and_comes_back_at_once),
		cmocka_unit_test(limits_count_before_metrics),
		cmocka_unit_test(two_for_the_same_pods_do_nothing),
		cmocka_unit_test(kinds_of_users_are_scaled_too),
		cmocka_unit_test(a_scale_that_is_refused_is_told),
		cmocka_unit_test(what_stands_in_the_annotation_is_read_with_care),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
