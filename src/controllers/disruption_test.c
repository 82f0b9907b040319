/* SPDX-License-Identifier: Apache-2.0 */
/* disruption_test - how many pods a budget lets go. */
#include "controllers/kit.h"

#include <stdio.h>

#include "base/clock.h"

static const char *const only[] = { "disruption-controller", NULL };
static const char *const with_sets[] = { "disruption-controller", "deployment-controller", "replicaset-controller",
					 NULL };

static void budget(struct kit *k, const char *spec)
{
	kit_apply(
	    k, &resource_disruption_budgets,
	    "{'apiVersion':'policy/v1','kind':'PodDisruptionBudget','metadata':{'name':'b','namespace':'default'},"
	    "'spec':{%s,'selector':{'matchLabels':{'app':'web'}}}}",
	    spec);
}

static void pod(struct kit *k, const char *name)
{
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{'app':'web'}},"
	    "'spec':{'containers':[{'name':'main','image':'x'}]}}",
	    name);
}

static void deployment(struct kit *k, int replicas)
{
	kit_apply(
	    k, &resource_deployments,
	    "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'default'},'spec':{"
	    "'replicas':%d,'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}},"
	    "'spec':{'containers':[{'name':'main','image':'x'}]}}}}",
	    replicas);
}

/* "expected desired healthy allowed reason" */
static const char *told(struct kit *k)
{
	static char text[256];
	const struct value *b = kit_get(k, &resource_disruption_budgets, "b"), *status = value_find(b, "status");
	const struct value *allowed = condition_find(status, "DisruptionAllowed");

	snprintf(text, sizeof(text), "%lld %lld %lld %lld " SPAN_FMT " " SPAN_FMT,
		 (long long)value_find_int(status, "expectedPods", -1),
		 (long long)value_find_int(status, "desiredHealthy", -1),
		 (long long)value_find_int(status, "currentHealthy", -1),
		 (long long)value_find_int(status, "disruptionsAllowed", -1),
		 SPAN_ARG(value_find_string(allowed, "status")), SPAN_ARG(value_find_string(allowed, "reason")));
	return text;
}

static void a_number_of_pods_must_stay(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *b;

	(void)state;
	budget(k, "'minAvailable':1");
	assert_string_equal(told(k), "0 1 0 0 False InsufficientPods");
	pod(k, "one");
	pod(k, "two");
	assert_string_equal(told(k), "2 1 0 0 False InsufficientPods");
	kit_ready(k, -1);
	assert_string_equal(told(k), "2 1 2 1 True SufficientPods");
	b = kit_get(k, &resource_disruption_budgets, "b");
	assert_int_equal(value_find_int(b, "status.observedGeneration", 0), 1);
	assert_int_equal(
	    value_find_int(condition_find(value_find(b, "status"), "DisruptionAllowed"), "observedGeneration", 0), 1);
	kit_delete(k, &resource_pods, "one");
	assert_string_equal(told(k), "1 1 1 0 False InsufficientPods");
	kit_done(k);
}

static void shares_are_of_what_a_deployment_wants(void **state)
{
	struct kit *k = kit_new(with_sets);

	(void)state;
	budget(k, "'maxUnavailable':'25%'");
	deployment(k, 10);
	kit_ready(k, -1);
	assert_string_equal(told(k), "10 7 10 3 True SufficientPods"); /* 2.5 is rounded up */
	budget(k, "'minAvailable':'25%'");
	assert_string_equal(told(k), "10 3 10 7 True SufficientPods");
	budget(k, "'maxUnavailable':1");
	assert_string_equal(told(k), "10 9 10 1 True SufficientPods");
	deployment(k, 11);
	assert_string_equal(told(k), "11 10 10 0 False InsufficientPods");
	kit_ready(k, -1);
	assert_string_equal(told(k), "11 10 11 1 True SufficientPods");
	kit_done(k);
}

static void an_evicted_pod_counts_as_gone_for_two_minutes(void **state)
{
	struct kit *k = kit_new(only);
	char status[512], now[64];

	(void)state;
	budget(k, "'minAvailable':1");
	pod(k, "one");
	pod(k, "two");
	kit_ready(k, -1);
	now[clock_print_rfc3339(k->now_ns / NS_PER_S * NS_PER_S, now)] = '\0';
	snprintf(status, sizeof(status),
		 "{\"expectedPods\":2,\"desiredHealthy\":1,\"currentHealthy\":2,\"disruptionsAllowed\":0,"
		 "\"observedGeneration\":1,\"disruptedPods\":{\"one\":\"%.19sZ\",\"gone\":\"%.19sZ\"}}",
		 now, now);
	kit_status(k, &resource_disruption_budgets, "b", status);
	assert_string_equal(told(k), "2 1 1 0 False InsufficientPods");
	assert_non_null(value_find(kit_get(k, &resource_disruption_budgets, "b"), "status.disruptedPods.one"));
	assert_null(value_find(kit_get(k, &resource_disruption_budgets, "b"), "status.disruptedPods.gone"));
	kit_advance(k, 119);
	assert_string_equal(told(k), "2 1 1 0 False InsufficientPods");
	kit_advance(k, 1);
	assert_string_equal(told(k), "2 1 2 1 True SufficientPods");
	assert_null(value_find(kit_get(k, &resource_disruption_budgets, "b"), "status.disruptedPods"));
	kit_done(k);
}

static void nothing_may_go_while_it_is_not_known_what_is_wanted(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *c;

	(void)state;
	pod(k, "one");
	budget(k, "'minAvailable':'50%'");
	assert_string_equal(told(k), "0 0 0 0 False InsufficientPods"); /* nobody controls it */
	kit_apply(k, &resource_daemon_sets,
		  "{'apiVersion':'apps/v1','kind':'DaemonSet','metadata':{'name':'d','namespace':'default'},'spec':{"
		  "'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}},'spec':{"
		  "'containers':[{'name':'main','image':'x'}]}}}}");
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'two','namespace':'default','labels':{'app':'web'},"
	    "'ownerReferences':[{'apiVersion':'apps/v1','kind':'DaemonSet','name':'d','uid':'" SPAN_FMT
	    "','controller':true}]},'spec':{'containers':[{'name':'main','image':'x'}]}}",
	    SPAN_ARG(value_find_string(kit_get(k, &resource_daemon_sets, "d"), "metadata.uid")));
	c = condition_find(value_find(kit_get(k, &resource_disruption_budgets, "b"), "status"), "DisruptionAllowed");
	assert_true(span_equal(value_find_string(c, "reason"), SPAN("SyncFailed")));
	assert_true(span_equal(value_find_string(c, "message"),
			       SPAN("daemonsets.apps does not implement the scale subresource")));
	kit_done(k);
}

static void a_pod_that_did_not_go_is_told_that_it_stays(void **state)
{
	struct kit *k = kit_new(only);
	char status[512], now[64];
	const struct value *c;

	(void)state;
	pod(k, "one");
	now[clock_print_rfc3339(k->now_ns / NS_PER_S * NS_PER_S, now)] = '\0';
	snprintf(status, sizeof(status),
		 "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\",\"reason\":"
		 "\"EvictionByEvictionAPI\",\"message\":\"x\",\"lastTransitionTime\":\"%.19sZ\"}]}",
		 now);
	kit_status(k, &resource_pods, "one", status);
	kit_advance(k, 119);
	assert_true(condition_is(value_find(kit_get(k, &resource_pods, "one"), "status"), "DisruptionTarget", "True"));
	kit_advance(k, 1);
	c = condition_find(value_find(kit_get(k, &resource_pods, "one"), "status"), "DisruptionTarget");
	assert_true(span_equal(value_find_string(c, "status"), SPAN("False")));
	assert_int_equal(value_find_string(c, "reason").len, 0);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_of_pods_must_stay),
		cmocka_unit_test(shares_are_of_what_a_deployment_wants),
		cmocka_unit_test(an_evicted_pod_counts_as_gone_for_two_minutes),
		cmocka_unit_test(a_pod_that_did_not_go_is_told_that_it_stays),
		cmocka_unit_test(nothing_may_go_while_it_is_not_known_what_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
