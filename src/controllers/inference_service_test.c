/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/kit.h"

#include "kube/kinds/kinds.h"

extern const struct resource resource_inference_services;

static const char *const controllers[] = { "inferenceservice-controller", "deployment-controller",
					   "replicaset-controller", NULL };

static int start(void **state)
{
	*state = kit_new(controllers);
	return 0;
}

static int stop(void **state)
{
	kit_done(*state);
	return 0;
}

/* `model` is the last part of where it is; `more` follows in the predictor. */
static void apply(struct kit *k, const char *model, const char *more)
{
	kit_apply(
	    k, &resource_inference_services,
	    "{'apiVersion':'serving.kserve.io/v1beta1','kind':'InferenceService','metadata':{'name':'iris','namespace':"
	    "'default'},'spec':{'predictor':{'model':{'modelFormat':{'name':'xgboost'},'storageUri':'gs://models/"
	    "%s'}%s}}}",
	    model, more);
}

static struct value *predictor(struct kit *k)
{
	return value_find(kit_get(k, &resource_inference_services, "iris"), "status.components.predictor");
}

static int64_t weight(struct kit *k, const char *service)
{
	const struct value *rules = value_find(kit_get(k, &resource_http_routes, "iris"), "spec.rules");
	const struct value *backends = get(value_item(rules, 0), "backendRefs");

	for (uint32_t i = 0; i < count_of(backends); i++)
		if (is_text(get(value_item(backends, i), "name"), service))
			return get_int(value_item(backends, i), "weight", -1);
	return -1;
}

static const char *ready(struct kit *k)
{
	const struct value *status = value_find(kit_get(k, &resource_inference_services, "iris"), "status");

	return condition_is(status, "Ready", "True") ? "True" : "False";
}

static void a_model_is_served_by_its_host_and_by_its_path(void **state)
{
	struct kit *k = *state;
	const struct value *pod, *route;

	apply(k, "a", "");
	pod = value_find(kit_get(k, &resource_deployments, "iris-predictor-00001"), "spec.template.spec");
	assert_non_null(pod);
	assert_true(is_text(get(value_item(get(pod, "initContainers"), 0), "name"), "storage-initializer"));
	assert_true(is_text(get(value_item(get(pod, "containers"), 0), "name"), "kserve-container"));
	assert_true(is_text(value_item(get(value_item(get(pod, "containers"), 0), "command"), 4), "iris"));
	assert_string_equal(ready(k), "False");
	kit_ready(k, -1);
	assert_string_equal(ready(k), "True");
	route = kit_get(k, &resource_http_routes, "iris");
	assert_true(is_text(value_item(value_find(route, "spec.hostnames"), 0), "iris-default.example.com"));
	assert_int_equal(weight(k, "iris-predictor-00001"), 100);
	assert_non_null(kit_get(k, &resource_http_routes, "iris-path"));
	assert_non_null(kit_get(k, &resource_services, "iris-predictor"));
	assert_true(is_text(get(predictor(k), "latestRolledoutRevision"), "iris-predictor-00001"));
}

static void a_canary_gets_its_part_when_it_is_ready_and_the_rest_when_it_is_promoted(void **state)
{
	struct kit *k = *state;

	apply(k, "a", "");
	kit_ready(k, -1);
	apply(k, "b", ",'canaryTrafficPercent':10");
	assert_non_null(kit_get(k, &resource_deployments, "iris-predictor-00002"));
	assert_int_equal(weight(k, "iris-predictor-00001"), 100);
	kit_ready(k, -1);
	assert_int_equal(weight(k, "iris-predictor-00002"), 10);
	assert_int_equal(weight(k, "iris-predictor-00001"), 90);
	assert_true(is_text(get(predictor(k), "latestRolledoutRevision"), "iris-predictor-00001"));
	apply(k, "b", "");
	kit_settle(k);
	assert_int_equal(weight(k, "iris-predictor-00002"), 100);
	assert_null(kit_get(k, &resource_deployments, "iris-predictor-00001"));
	assert_null(kit_get(k, &resource_deployments, "iris-predictor-00003"));
	assert_true(is_text(get(predictor(k), "latestRolledoutRevision"), "iris-predictor-00002"));
	assert_true(is_text(get(predictor(k), "previousRolledoutRevision"), "iris-predictor-00001"));
}

static void without_a_canary_the_old_revision_answers_until_the_new_one_is_ready(void **state)
{
	struct kit *k = *state;

	apply(k, "a", "");
	kit_ready(k, -1);
	apply(k, "b", "");
	assert_int_equal(weight(k, "iris-predictor-00001"), 100);
	assert_non_null(kit_get(k, &resource_deployments, "iris-predictor-00001"));
	kit_ready(k, -1);
	assert_int_equal(weight(k, "iris-predictor-00002"), 100);
	assert_null(kit_get(k, &resource_deployments, "iris-predictor-00001"));
}

static void replicas_are_a_range_for_an_autoscaler(void **state)
{
	struct kit *k = *state;
	const struct value *scaler;

	apply(k, "a", ",'minReplicas':2,'maxReplicas':4,'scaleMetric':'cpu','scaleTarget':60");
	scaler = kit_get(k, &resource_autoscalers, "iris-predictor-00001");
	assert_non_null(scaler);
	assert_int_equal(value_find_int(scaler, "spec.minReplicas", 0), 2);
	assert_int_equal(value_find_int(scaler, "spec.maxReplicas", 0), 4);
}

static struct span native(struct kit *k, const char *service, const char *part)
{
	const struct value *object = kit_get(k, &resource_services, service);

	assert_non_null(object);
	return object_annotation(object, part);
}

static void apply_model(struct kit *k, const char *model)
{
	kit_apply(k, &resource_inference_services,
		  "{'apiVersion':'serving.kserve.io/v1beta1','kind':'InferenceService','metadata':{'name':'iris',"
		  "'namespace':'default'},'spec':{'predictor':{%s}}}",
		  model);
}

static void a_file_of_this_machine_that_hythe_reads_is_told_to_the_gateway(void **state)
{
	static const char *const others[] = {
		"'model':{'modelFormat':{'name':'xgboost'},'storageUri':'gs://models/m.json'}",
		"'model':{'modelFormat':{'name':'sklearn'},'storageUri':'/models/m.json'}",
		"'model':{'modelFormat':{'name':'xgboost'},'storageUri':'/models/m.pkl'}",
		"'model':{'modelFormat':{'name':'xgboost'},'storageUri':'/models/m.json','image':'mine'}",
		"'model':{'modelFormat':{'name':'xgboost'},'storageUri':'/models/m.json','args':['--features','a']}",
	};
	struct kit *k = *state;
	char service[] = "iris-predictor-00001";

	apply_model(k, "'model':{'modelFormat':{'name':'onnx'},'storageUri':'file:///models/m.onnx'}");
	assert_true(span_equal(native(k, service, "hythe.dev/native-model"), SPAN("/models/m.onnx")));
	assert_true(span_equal(native(k, service, "hythe.dev/native-name"), SPAN("iris")));
	assert_true(span_equal(native(k, service, "hythe.dev/native-meta"), SPAN("{\"protocol\":\"kserve\"}")));
	/* Routes lead to revisions: this one only follows. */
	assert_int_equal(native(k, "iris-predictor", "hythe.dev/native-model").len, 0);
	kit_ready(k, -1);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		apply_model(k, others[i]);
		service[strlen(service) - 1] = (char)('2' + (char)i);
		assert_int_equal(native(k, service, "hythe.dev/native-model").len, 0);
	}
}

static void a_revision_that_was_rolled_out_keeps_its_own_model(void **state)
{
	struct kit *k = *state;

	apply_model(k, "'xgboost':{'storageUri':'/models/a.json'}");
	kit_ready(k, -1);
	apply_model(k, "'xgboost':{'storageUri':'/models/b.json'},'canaryTrafficPercent':10");
	kit_ready(k, -1);
	assert_true(span_equal(native(k, "iris-predictor-00001", "hythe.dev/native-model"), SPAN("/models/a.json")));
	assert_true(span_equal(native(k, "iris-predictor-00002", "hythe.dev/native-model"), SPAN("/models/b.json")));
}

static void grpc_is_asked_by_the_same_host_and_with_the_same_weights(void **state)
{
	struct kit *k = *state;
	const struct value *route, *backends;

	apply(k, "a", "");
	kit_ready(k, -1);
	apply(k, "b", ",'canaryTrafficPercent':30");
	kit_ready(k, -1);
	route = kit_get(k, &resource_grpc_routes, "iris");
	assert_non_null(route);
	assert_true(is_text(value_item(value_find(route, "spec.hostnames"), 0), "iris-default.example.com"));
	assert_null(get(value_item(value_find(route, "spec.rules"), 0), "matches"));
	backends = get(value_item(value_find(route, "spec.rules"), 0), "backendRefs");
	assert_int_equal(count_of(backends), 2);
	assert_true(is_text(get(value_item(backends, 0), "name"), "iris-predictor-00002"));
	assert_int_equal(get_int(value_item(backends, 0), "port", 0), 8081);
	assert_int_equal(get_int(value_item(backends, 0), "weight", 0), 30);
	assert_int_equal(get_int(value_item(backends, 1), "weight", 0), 70);
}

static int64_t target_port(struct kit *k, uint32_t index)
{
	const struct value *service = kit_get(k, &resource_services, "iris-predictor-00001");

	return get_int(value_item(value_find(service, "spec.ports"), index), "targetPort", 0);
}

static void a_container_says_by_the_name_of_a_port_where_it_speaks_grpc(void **state)
{
	struct kit *k = *state;

	apply_model(k, "'containers':[{'name':'kserve-container','image':'mine','ports':[{'containerPort':9000},"
		       "{'name':'h2c','containerPort':9001}]}]");
	assert_int_equal(target_port(k, 0), 9000);
	assert_int_equal(target_port(k, 1), 9001);
}

/* ---- autoscalers ---- */

static const struct value *metric(struct kit *k, uint32_t index)
{
	const struct value *metrics =
	    value_find(kit_get(k, &resource_autoscalers, "iris-predictor-00001"), "spec.metrics");

	return index < count_of(metrics) ? value_item(metrics, index) : NULL;
}

static void assert_counts(const struct value *metric, const char *name, const char *service, const char *target,
			  const char *number)
{
	assert_true(is_text(value_find(metric, "object.metric.name"), name));
	assert_true(is_text(value_find(metric, "object.describedObject.kind"), "Service"));
	assert_true(is_text(value_find(metric, "object.describedObject.name"), service));
	assert_true(is_text(value_find(metric, target), number));
}

static void requests_of_the_revision_and_of_the_predictor_scale_it(void **state)
{
	struct kit *k = *state;
	const struct value *scaler;

	apply(k, "a", ",'minReplicas':1,'maxReplicas':4,'scaleMetric':'rps','scaleTarget':30");
	assert_counts(metric(k, 0), "requests_per_second", "iris-predictor-00001", "object.target.averageValue", "30");
	assert_counts(metric(k, 1), "requests_per_second", "iris-predictor", "object.target.averageValue", "30");
	scaler = kit_get(k, &resource_autoscalers, "iris-predictor-00001");
	assert_int_equal(value_find_int(scaler, "spec.behavior.scaleDown.stabilizationWindowSeconds", 0), 60);
	apply(k, "a",
	      ",'maxReplicas':4,'scaleMetric':'concurrency','scaleMetricType':'Value','containerConcurrency':8");
	assert_counts(metric(k, 0), "requests_in_flight", "iris-predictor-00001", "object.target.value", "8");
	apply(k, "a", ",'maxReplicas':4,'scaleMetric':'rps'");
	assert_counts(metric(k, 0), "requests_per_second", "iris-predictor-00001", "object.target.averageValue", "200");
	apply(k, "a",
	      ",'maxReplicas':4,'autoScaling':{'metrics':[{'type':'Resource','resource':{'name':'memory','target':{"
	      "'type':'AverageValue','averageValue':'64Mi'}}}],'behavior':{'scaleDown':{"
	      "'stabilizationWindowSeconds':7}}}");
	assert_true(is_text(value_find(metric(k, 0), "resource.target.averageValue"), "64Mi"));
	assert_null(metric(k, 1));
	scaler = kit_get(k, &resource_autoscalers, "iris-predictor-00001");
	assert_int_equal(value_find_int(scaler, "spec.behavior.scaleDown.stabilizationWindowSeconds", 0), 7);
}

static void the_predictors_service_scales_only_the_revision_that_it_leads_to(void **state)
{
	struct kit *k = *state;
	const struct value *metrics;

	apply(k, "a", ",'maxReplicas':4,'scaleMetric':'rps'");
	kit_ready(k, -1);
	apply(k, "b", ",'maxReplicas':4,'scaleMetric':'rps','canaryTrafficPercent':10");
	kit_ready(k, -1);
	metrics = value_find(kit_get(k, &resource_autoscalers, "iris-predictor-00002"), "spec.metrics");
	assert_int_equal(count_of(metrics), 1);
	assert_int_equal(
	    count_of(value_find(kit_get(k, &resource_autoscalers, "iris-predictor-00001"), "spec.metrics")), 2);
	apply(k, "b", ",'maxReplicas':4,'scaleMetric':'rps'");
	kit_settle(k);
	metrics = value_find(kit_get(k, &resource_autoscalers, "iris-predictor-00002"), "spec.metrics");
	assert_int_equal(count_of(metrics), 2);
	assert_null(kit_get(k, &resource_autoscalers, "iris-predictor-00001"));
}

static void replicate(struct kit *k, const char *deployment, const char *count)
{
	kit_spec(k, &resource_deployments, deployment, "replicas", count);
	kit_settle(k);
	kit_bury(k);
	kit_settle(k);
}

static void what_may_sleep_is_ready_once_and_stays_so(void **state)
{
	struct kit *k = *state;
	const struct value *scaler;

	apply(k, "a", ",'minReplicas':0");
	assert_null(kit_get(k, &resource_autoscalers, "iris-predictor-00001"));
	assert_string_equal(ready(k), "False");
	kit_ready(k, -1);
	assert_string_equal(ready(k), "True");
	scaler = kit_get(k, &resource_autoscalers, "iris-predictor-00001");
	assert_non_null(scaler);
	assert_int_equal(value_find_int(scaler, "spec.minReplicas", -1), 0);
	assert_int_equal(value_find_int(scaler, "spec.maxReplicas", -1), 1);
	assert_counts(metric(k, 0), "requests_in_flight", "iris-predictor-00001", "object.target.averageValue", "100");
	replicate(k, "iris-predictor-00001", "0");
	assert_int_equal(count_of(kit_list(k, &resource_pods)), 0);
	assert_string_equal(ready(k), "True");
	replicate(k, "iris-predictor-00001", "1"); /* it wakes */
	assert_string_equal(ready(k), "True");
	assert_int_equal(weight(k, "iris-predictor-00001"), 100);
	kit_ready(k, -1);
	/* A new revision shows itself before it may sleep. */
	apply(k, "b", ",'minReplicas':0");
	assert_string_equal(ready(k), "False");
	assert_int_equal(weight(k, "iris-predictor-00001"), 100);
	assert_null(kit_get(k, &resource_autoscalers, "iris-predictor-00002"));
	kit_ready(k, -1);
	assert_string_equal(ready(k), "True");
	assert_int_equal(weight(k, "iris-predictor-00002"), 100);
	assert_non_null(kit_get(k, &resource_autoscalers, "iris-predictor-00002"));
	assert_null(kit_get(k, &resource_deployments, "iris-predictor-00001"));
}

static void a_canary_keeps_its_part_while_it_scales_up(void **state)
{
	struct kit *k = *state;

	apply(k, "a", ",'maxReplicas':4,'scaleMetric':'rps'");
	kit_ready(k, -1);
	apply(k, "b", ",'maxReplicas':4,'scaleMetric':'rps','canaryTrafficPercent':10");
	kit_ready(k, -1);
	assert_int_equal(weight(k, "iris-predictor-00002"), 10);
	replicate(k, "iris-predictor-00002", "3");
	assert_int_equal(weight(k, "iris-predictor-00002"), 10);
	assert_string_equal(ready(k), "True");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_model_is_served_by_its_host_and_by_its_path, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_canary_gets_its_part_when_it_is_ready_and_the_rest_when_it_is_promoted, start, stop),
		cmocka_unit_test_setup_teardown(without_a_canary_the_old_revision_answers_until_the_new_one_is_ready,
						start, stop),
		cmocka_unit_test_setup_teardown(replicas_are_a_range_for_an_autoscaler, start, stop),
		cmocka_unit_test_setup_teardown(a_file_of_this_machine_that_hythe_reads_is_told_to_the_gateway, start,
						stop),
		cmocka_unit_test_setup_teardown(a_revision_that_was_rolled_out_keeps_its_own_model, start, stop),
		cmocka_unit_test_setup_teardown(grpc_is_asked_by_the_same_host_and_with_the_same_weights, start, stop),
		cmocka_unit_test_setup_teardown(a_container_says_by_the_name_of_a_port_where_it_speaks_grpc, start,
						stop),
		cmocka_unit_test_setup_teardown(requests_of_the_revision_and_of_the_predictor_scale_it, start, stop),
		cmocka_unit_test_setup_teardown(the_predictors_service_scales_only_the_revision_that_it_leads_to, start,
						stop),
		cmocka_unit_test_setup_teardown(what_may_sleep_is_ready_once_and_stays_so, start, stop),
		cmocka_unit_test_setup_teardown(a_canary_keeps_its_part_while_it_scales_up, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
