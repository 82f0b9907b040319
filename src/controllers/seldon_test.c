/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/kit.h"

#include "kube/kinds/kinds.h"

#include <stdio.h>
#include <string.h>

extern const struct resource resource_seldon_deployments;

static const char *const controllers[] = { "seldon-controller", "deployment-controller", "replicaset-controller",
					   NULL };

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

/* The file of the article about the image class. */
#define ARTICLE                                                                                                        \
	"{'apiVersion':'machinelearning.seldon.io/v1','kind':'SeldonDeployment','metadata':{'name':'my-model',"        \
	"'namespace':'default'},'spec':{'name':'my-deployment','predictors':[{'name':'my-graph','replicas':1,"         \
	"'annotations':{'predictor_version':'0.1','seldon.io/svc-name':'my-model-svc'},'componentSpecs':[{'spec':{"    \
	"'containers':[{'name':'my-model-graph','image':'registry/my-model:0.1'}]}}],'graph':{'name':'classifier',"    \
	"'type':'MODEL','endpoint':{'type':'REST'},'children':[]}}]}}"

static struct value *status(struct kit *k, const char *name)
{
	return value_find(kit_get(k, &resource_seldon_deployments, name), "status");
}

static void says(const struct value *v, const char *path, const char *text)
{
	struct span found = value_find_string(v, path);

	if (!span_equal(found, span_of(text)))
		fail_msg("%s is '" SPAN_FMT "', not '%s'", path, SPAN_ARG(found), text);
}

static void the_articles_file_becomes_a_deployment_services_and_routes(void **state)
{
	struct kit *k = *state;
	const struct value *d, *pod, *labels;

	kit_apply(k, &resource_seldon_deployments, ARTICLE);
	d = kit_get(k, &resource_deployments, "my-model-my-graph-0-my-model-graph");
	assert_non_null(d);
	says(status(k, "my-model"), "state", "Creating");
	assert_int_equal(value_find_int(d, "spec.replicas", -1), 1);
	pod = value_find(d, "spec.template.spec");
	assert_int_equal(count_of(get(pod, "containers")), 2);
	says(value_item(get(pod, "containers"), 0), "name", "my-model-graph");
	says(value_item(get(pod, "containers"), 1), "name", "seldon-container-engine");
	labels = value_find(d, "spec.template.metadata.labels");
	assert_true(is_text(get(labels, "seldon-app"), "my-model-svc"));
	assert_true(is_text(get(labels, "seldon-app-svc-my-model-graph"), "my-model-my-graph-my-model-graph"));
	assert_true(is_text(get(labels, "seldon.io/model"), "true"));
	assert_non_null(kit_get(k, &resource_services, "my-model-svc"));
	assert_non_null(kit_get(k, &resource_services, "my-model-my-graph-my-model-graph"));
	kit_ready(k, -1);
	says(status(k, "my-model"), "state", "Available");
	assert_null(get(status(k, "my-model"), "description"));
	assert_int_equal(value_find_int(status(k, "my-model"), "replicas", 0), 1);
	says(status(k, "my-model"), "address.url",
	     "http://my-model-svc.default.svc.cluster.local:8000/api/v1.0/predictions");
}

/* Predictors are JSON, as members of spec. */
static void apply(struct kit *k, const char *spec)
{
	kit_apply(k, &resource_seldon_deployments,
		  "{'apiVersion':'machinelearning.seldon.io/v1','kind':'SeldonDeployment','metadata':{'name':'iris',"
		  "'namespace':'default'},'spec':{%s}}",
		  spec);
}

#define PREDICTOR(name, more)                                                                                          \
	"{'name':'" name "'," more "'componentSpecs':[{'spec':{'containers':[{'name':'clf','image':'i:1'}]}}],"        \
	"'graph':{'name':'clf','type':'MODEL'}}"

static int64_t weight(struct kit *k, const struct resource *route, const char *service)
{
	const struct value *rules = value_find(kit_get(k, route, "iris"), "spec.rules");

	for (uint32_t r = 0; r < count_of(rules); r++) {
		const struct value *backends = get(value_item(rules, r), "backendRefs");

		for (uint32_t i = 0; i < count_of(backends); i++)
			if (is_text(get(value_item(backends, i), "name"), service))
				return get_int(value_item(backends, i), "weight", -1);
	}
	return -1;
}

static const struct value *variable(const struct value *container, const char *name)
{
	const struct value *env = get(container, "env");

	for (uint32_t i = 0; i < count_of(env); i++)
		if (is_text(get(value_item(env, i), "name"), name))
			return get(value_item(env, i), "value");
	return NULL;
}

static const struct value *container(struct kit *k, const char *deployment, uint32_t index)
{
	const struct value *list =
	    value_find(kit_get(k, &resource_deployments, deployment), "spec.template.spec.containers");

	assert_true(index < count_of(list));
	return value_item(list, index);
}

static void containers_are_told_who_they_are(void **state)
{
	struct kit *k = *state;
	const struct value *c;

	apply(k, "'predictors':[" PREDICTOR("default", "") "]");
	c = container(k, "iris-default-0-clf", 0);
	assert_true(is_text(variable(c, "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"), "9000"));
	assert_true(is_text(variable(c, "PREDICTIVE_UNIT_GRPC_SERVICE_PORT"), "9500"));
	assert_true(is_text(variable(c, "PREDICTIVE_UNIT_METRICS_SERVICE_PORT"), "6000"));
	assert_true(is_text(variable(c, "PREDICTIVE_UNIT_ID"), "clf"));
	assert_true(is_text(variable(c, "PREDICTIVE_UNIT_IMAGE"), "i:1"));
	assert_true(is_text(variable(c, "PREDICTOR_ID"), "default"));
	assert_true(is_text(variable(c, "PREDICTOR_LABELS"), "{\"version\":\"default\"}"));
	assert_true(is_text(variable(c, "SELDON_DEPLOYMENT_ID"), "iris"));
	assert_true(variable(container(k, "iris-default-0-clf", 1), "ENGINE_PREDICTOR") != NULL);
}

static void what_is_wanted_is_not_written_twice_and_weights_roll_no_pod(void **state)
{
	struct kit *k = *state;
	int64_t generation;

	apply(k, "'predictors':[" PREDICTOR("a", "'traffic':90,") "," PREDICTOR("b", "'traffic':10,") "]");
	kit_ready(k, -1);
	assert_int_equal(weight(k, &resource_http_routes, "iris-a"), 90);
	assert_int_equal(weight(k, &resource_grpc_routes, "iris-b"), 10);
	generation = value_find_int(kit_get(k, &resource_deployments, "iris-a-0-clf"), "metadata.generation", 0);
	apply(k, "'predictors':[" PREDICTOR("a", "'traffic':50,") "," PREDICTOR("b", "'traffic':50,") "]");
	assert_int_equal(weight(k, &resource_http_routes, "iris-a"), 50);
	assert_int_equal(value_find_int(kit_get(k, &resource_deployments, "iris-a-0-clf"), "metadata.generation", 0),
			 generation);
	says(status(k, "iris"), "state", "Available");
}

static void a_canary_gets_no_request_before_it_is_ready(void **state)
{
	struct kit *k = *state;

	apply(k, "'predictors':[" PREDICTOR("a", "") "]");
	kit_ready(k, -1);
	apply(k, "'predictors':[" PREDICTOR("a", "'traffic':90,") "," PREDICTOR("b", "'traffic':10,") "]");
	assert_int_equal(weight(k, &resource_http_routes, "iris-a"), 100);
	assert_int_equal(weight(k, &resource_http_routes, "iris-b"), -1);
	says(status(k, "iris"), "state", "Creating");
	kit_ready(k, -1);
	assert_int_equal(weight(k, &resource_http_routes, "iris-a"), 90);
	assert_int_equal(weight(k, &resource_http_routes, "iris-b"), 10);
	says(status(k, "iris"), "state", "Available");
}

static void a_predictor_that_is_gone_answers_until_the_new_one_is_available(void **state)
{
	struct kit *k = *state;

	apply(k, "'predictors':[" PREDICTOR("old", "") "]");
	kit_ready(k, -1);
	apply(k, "'predictors':[" PREDICTOR("new", "") "]");
	assert_non_null(kit_get(k, &resource_deployments, "iris-old-0-clf"));
	assert_non_null(kit_get(k, &resource_services, "iris-old"));
	assert_int_equal(weight(k, &resource_http_routes, "iris-old"), 100);
	kit_ready(k, -1);
	assert_int_equal(weight(k, &resource_http_routes, "iris-new"), 100);
	assert_null(kit_get(k, &resource_deployments, "iris-old-0-clf"));
	assert_null(kit_get(k, &resource_services, "iris-old"));
}

static void the_nearest_word_on_replicas_counts(void **state)
{
	struct kit *k = *state;

	apply(k, "'replicas':3,'predictors':[" PREDICTOR("a", "'traffic':50,'replicas':2,") "," PREDICTOR(
		     "b", "'traffic':50,") "]");
	assert_int_equal(value_find_int(kit_get(k, &resource_deployments, "iris-a-0-clf"), "spec.replicas", 0), 2);
	assert_int_equal(value_find_int(kit_get(k, &resource_deployments, "iris-b-0-clf"), "spec.replicas", 0), 3);
	/* Nobody says a number: what was set by hand stays. */
	apply(k, "'predictors':[" PREDICTOR("a", "") "]");
	kit_spec(k, &resource_deployments, "iris-a-0-clf", "replicas", "5");
	apply(k, "'predictors':[" PREDICTOR("a", "'labels':{'x':'y'},") "]");
	assert_int_equal(value_find_int(kit_get(k, &resource_deployments, "iris-a-0-clf"), "spec.replicas", 0), 5);
}

static void a_shadow_is_told_and_a_header_chooses(void **state)
{
	struct kit *k = *state;
	const struct value *rules, *filters, *headers;

	apply(k, "'predictors':[" PREDICTOR("a", "'traffic':100,") "," PREDICTOR(
		     "c", "'traffic':0,'annotations':{'seldon.io/ambassador-header':'group: "
			  "beta'},") "," PREDICTOR("s", "'shadow':true,'traffic':20,") "]");
	rules = value_find(kit_get(k, &resource_http_routes, "iris"), "spec.rules");
	assert_int_equal(count_of(rules), 2);
	headers = get(value_item(get(value_item(rules, 0), "matches"), 0), "headers");
	assert_true(is_text(get(value_item(headers, 0), "name"), "group"));
	assert_true(is_text(get(value_item(headers, 0), "value"), "beta"));
	filters = get(value_item(rules, 1), "filters");
	assert_int_equal(count_of(filters), 2);
	assert_int_equal(value_find_int(value_item(filters, 1), "requestMirror.percent", 0), 20);
	assert_true(
	    span_equal(value_find_string(value_item(filters, 1), "requestMirror.backendRef.name"), SPAN("iris-s")));
	assert_int_equal(weight(k, &resource_http_routes, "iris-a"), 100);
}

static void an_orchestrator_may_stand_alone_or_not_at_all(void **state)
{
	struct kit *k = *state;
	const struct value *ports;

	apply(k,
	      "'predictors':[" PREDICTOR(
		  "a",
		  "'traffic':50,'annotations':{'seldon.io/engine-separate-pod':'true'},") "," PREDICTOR("b",
													"'traffic':50,'"
													"annotations':{"
													"'seldon.io/"
													"no-engine':'"
													"true'},") "]");
	assert_non_null(kit_get(k, &resource_deployments, "iris-a-svc-orch"));
	assert_int_equal(
	    count_of(value_find(kit_get(k, &resource_deployments, "iris-a-0-clf"), "spec.template.spec.containers")),
	    1);
	assert_int_equal(
	    count_of(value_find(kit_get(k, &resource_deployments, "iris-b-0-clf"), "spec.template.spec.containers")),
	    1);
	ports = value_find(kit_get(k, &resource_services, "iris-b"), "spec.ports");
	assert_int_equal(get_int(value_item(ports, 0), "port", 0), 9000);
}

static void a_server_that_comes_ready_is_fetched_and_told_to_the_gateway(void **state)
{
	struct kit *k = *state;
	const struct value *pod, *service;

	apply(k, "'predictors':[{'name':'default','graph':{'name':'m','implementation':'HYTHE_SERVER','modelUri':"
		 "'file:///models/model.json'}}]");
	pod = value_find(kit_get(k, &resource_deployments, "iris-default-0-m"), "spec.template.spec");
	assert_non_null(pod);
	assert_true(is_text(get(value_item(get(pod, "initContainers"), 0), "name"), "m-model-initializer"));
	assert_true(is_text(value_item(get(value_item(get(pod, "initContainers"), 0), "command"), 1), "fetch"));
	assert_true(
	    is_text(value_item(get(container(k, "iris-default-0-m", 0), "command"), 2), "/mnt/models/model.json"));
	service = kit_get(k, &resource_services, "iris-default");
	assert_true(span_equal(object_annotation(service, "hythe.dev/native-model"), SPAN("/models/model.json")));
	assert_true(span_equal(object_annotation(service, "hythe.dev/native-name"), SPAN("m")));
	/* A model from elsewhere is not the gateway's; what it was told is taken away. */
	apply(k, "'predictors':[{'name':'default','graph':{'name':'m','implementation':'SKLEARN_SERVER','modelUri':"
		 "'gs://b/m'}}]");
	assert_int_equal(
	    object_annotation(kit_get(k, &resource_services, "iris-default"), "hythe.dev/native-model").len, 0);
}

static void long_names_are_numbers(void **state)
{
	struct kit *k = *state;
	const struct value *list;

	apply(k, "'predictors':[" PREDICTOR("a-name-that-is-just-short-enough-to-be-the-value-of-a-label", "") "]");
	list = kit_list(k, &resource_deployments);
	assert_int_equal(count_of(list), 1);
	assert_true(span_starts(object_name(value_item(list, 0)), SPAN("seldon-")));
	assert_int_equal(object_name(value_item(list, 0)).len, strlen("seldon-") + 32);
	kit_ready(k, -1);
	says(status(k, "iris"), "state", "Available");
}

static void an_autoscaler_and_a_budget_come_and_go_with_their_words(void **state)
{
	struct kit *k = *state;
	const struct value *scaler;

	apply(k, "'predictors':[{'name':'a','componentSpecs':[{'hpaSpec':{'minReplicas':1,'maxReplicas':3,'metrics':[{'"
		 "type':"
		 "'Resource','resource':{'name':'cpu','targetAverageUtilization':70}}]},'pdbSpec':{'minAvailable':1},"
		 "'spec':{'containers':[{'name':'clf','image':'i:1'}]}}],'graph':{'name':'clf'}}]");
	scaler = kit_get(k, &resource_autoscalers, "iris-a-0-clf");
	assert_non_null(scaler);
	assert_int_equal(
	    value_find_int(value_item(value_find(scaler, "spec.metrics"), 0), "resource.target.averageUtilization", 0),
	    70);
	assert_non_null(kit_get(k, &resource_disruption_budgets, "iris-a-0-clf"));
	apply(k, "'predictors':[" PREDICTOR("a", "") "]");
	assert_null(kit_get(k, &resource_autoscalers, "iris-a-0-clf"));
	assert_null(kit_get(k, &resource_disruption_budgets, "iris-a-0-clf"));
}

static void the_state_tells_what_its_pods_wait_for(void **state)
{
	struct kit *k = *state;
	const struct value *pods;
	char name[128];

	apply(k, "'predictors':[" PREDICTOR("a", "") "]");
	pods = kit_list(k, &resource_pods);
	assert_int_equal(count_of(pods), 1);
	snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(object_name(value_item(pods, 0))));
	kit_status(
	    k, &resource_pods, name,
	    "{\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"clf\",\"image\":\"i:1\",\"imageID\":\"\","
	    "\"ready\":false,\"restartCount\":2,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}},"
	    "\"lastState\":{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\",\"message\":\"no such model\"}}}]}");
	kit_settle(k);
	says(status(k, "iris"), "state", "Creating");
	assert_non_null(strstr(value_find_string(status(k, "iris"), "description").ptr, "CrashLoopBackOff"));
	assert_non_null(strstr(value_find_string(status(k, "iris"), "description").ptr, "ended with 1: no such model"));
}

static void what_is_somebody_elses_is_left_alone_and_told(void **state)
{
	struct kit *k = *state;

	kit_apply(k, &resource_services,
		  "{'apiVersion':'v1','kind':'Service','metadata':{'name':'iris-a'},'spec':{'selector':{'app':'mine'},'"
		  "ports':[{"
		  "'port':80}]}}");
	apply(k, "'predictors':[" PREDICTOR("a", "") "]");
	says(status(k, "iris"), "state", "Failed");
	assert_non_null(strstr(value_find_string(status(k, "iris"), "description").ptr, "somebody else's"));
	says(kit_get(k, &resource_services, "iris-a"), "spec.selector.app", "mine");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(the_articles_file_becomes_a_deployment_services_and_routes),
		TEST(containers_are_told_who_they_are),
		TEST(what_is_wanted_is_not_written_twice_and_weights_roll_no_pod),
		TEST(a_canary_gets_no_request_before_it_is_ready),
		TEST(a_predictor_that_is_gone_answers_until_the_new_one_is_available),
		TEST(the_nearest_word_on_replicas_counts),
		TEST(a_shadow_is_told_and_a_header_chooses),
		TEST(an_orchestrator_may_stand_alone_or_not_at_all),
		TEST(a_server_that_comes_ready_is_fetched_and_told_to_the_gateway),
		TEST(long_names_are_numbers),
		TEST(an_autoscaler_and_a_budget_come_and_go_with_their_words),
		TEST(the_state_tells_what_its_pods_wait_for),
		TEST(what_is_somebody_elses_is_left_alone_and_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
