/* SPDX-License-Identifier: Apache-2.0 */
/* node_lifecycle_test - nodes that are heard of no more, pods that leave them, and pods that nobody ends. */
#include "controllers/kit.h"

#include <stdio.h>

#include "base/clock.h"

static const char *const nodes_only[] = { "node-lifecycle-controller", NULL };
static const char *const with_eviction[] = { "node-lifecycle-controller", "taint-eviction-controller", NULL };
static const char *const collector[] = { "pod-garbage-collector-controller", NULL };

static void time_print(char out[32], int64_t wall_ns)
{
	char text[64];

	clock_print_rfc3339(wall_ns, text);
	snprintf(out, 32, "%.19sZ", text);
}

static void state_set(struct kit *k, const char *name, const char *ready)
{
	char status[512], now[32];

	time_print(now, k->now_ns);
	snprintf(status, sizeof(status),
		 "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\",\"reason\":\"KubeletReady\",\"message\":\"x\","
		 "\"lastHeartbeatTime\":\"%s\",\"lastTransitionTime\":\"%s\"}]}",
		 ready, now, now);
	kit_status(k, &resource_nodes, name, status);
}

static void node(struct kit *k, const char *name, const char *ready)
{
	kit_apply(k, &resource_nodes, "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'}}", name);
	if (ready)
		state_set(k, name, ready);
}

static void renew(struct kit *k, const char *name)
{
	char now[32];

	time_print(now, k->now_ns);
	kit_apply(k, &resource_leases,
		  "{'apiVersion':'coordination.k8s.io/"
		  "v1','kind':'Lease','metadata':{'name':'%s','namespace':'kube-node-lease'},"
		  "'spec':{'holderIdentity':'%s','leaseDurationSeconds':40,'renewTime':'%.19s.000000Z'}}",
		  name, name, now);
}

static void pod(struct kit *k, const char *name, const char *on, const char *more)
{
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default'},'spec':{'nodeName':'%s',%s"
	    "'containers':[{'name':'main','image':'x'}]}}",
	    name, on, more);
}

/* "Unknown NodeStatusUnknown not-ready:NoSchedule ..." */
static const char *told(struct kit *k, const char *name)
{
	static char text[512];
	const struct value *n = kit_get(k, &resource_nodes, name), *taints = value_find(n, "spec.taints");
	const struct value *ready = condition_find(value_find(n, "status"), "Ready");
	size_t len;

	len = (size_t)snprintf(text, sizeof(text), SPAN_FMT " " SPAN_FMT, SPAN_ARG(value_find_string(ready, "status")),
			       SPAN_ARG(value_find_string(ready, "reason")));
	for (uint32_t i = 0; i < value_count(taints); i++) {
		struct span key = value_find_string(value_item(taints, i), "key");

		(void)span_cut(&key, '/');
		len += (size_t)snprintf(text + len, sizeof(text) - len, " " SPAN_FMT ":" SPAN_FMT, SPAN_ARG(key),
					SPAN_ARG(value_find_string(value_item(taints, i), "effect")));
	}
	return text;
}

static bool has_event(struct kit *k, const char *reason)
{
	const struct value *events = kit_list(k, &resource_events);

	for (uint32_t i = 0; i < value_count(events); i++)
		if (span_equal(value_find_string(value_item(events, i), "reason"), span_of(reason)))
			return true;
	return false;
}

static void a_node_that_renews_its_lease_is_well(void **state)
{
	struct kit *k = kit_new(nodes_only);

	(void)state;
	node(k, "n1", "True");
	assert_string_equal(told(k, "n1"), "True KubeletReady");
	for (int i = 0; i < 12; i++) {
		kit_advance(k, 10);
		renew(k, "n1");
	}
	assert_string_equal(told(k, "n1"), "True KubeletReady");
	kit_advance(k, 39);
	assert_string_equal(told(k, "n1"), "True KubeletReady");
	kit_advance(k, 1);
	assert_string_equal(told(k, "n1"), "Unknown NodeStatusUnknown unreachable:NoSchedule");
	state_set(k, "n1", "True");
	assert_string_equal(told(k, "n1"), "True KubeletReady");
	kit_done(k);
}

static void a_node_that_never_told_anything_gets_a_minute(void **state)
{
	struct kit *k = kit_new(nodes_only);

	(void)state;
	node(k, "n1", NULL);
	kit_advance(k, 59);
	assert_null(condition_find(value_find(kit_get(k, &resource_nodes, "n1"), "status"), "Ready"));
	kit_advance(k, 1);
	assert_string_equal(told(k, "n1"), "Unknown NodeStatusNeverUpdated unreachable:NoSchedule");
	assert_true(condition_is(value_find(kit_get(k, &resource_nodes, "n1"), "status"), "DiskPressure", "Unknown"));
	kit_done(k);
}

static void taints_follow_from_conditions(void **state)
{
	struct kit *k = kit_new(nodes_only);

	(void)state;
	node(k, "n1", "False");
	assert_string_equal(strstr(told(k, "n1"), "not-ready"), "not-ready:NoSchedule"); /* nobody else is well */
	node(k, "n2", "True");
	assert_string_equal(strstr(told(k, "n1"), "not-ready"), "not-ready:NoSchedule not-ready:NoExecute");
	state_set(k, "n1", "Unknown");
	assert_string_equal(strstr(told(k, "n1"), "unreachable"), "unreachable:NoSchedule unreachable:NoExecute");
	state_set(k, "n2", "False");
	assert_null(strstr(told(k, "n1"), "NoExecute"));
	state_set(k, "n1", "True");
	assert_string_equal(told(k, "n1"), "True KubeletReady");
	kit_apply(k, &resource_nodes,
		  "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'},'spec':{'unschedulable':true}}");
	assert_string_equal(told(k, "n1"), "True KubeletReady unschedulable:NoSchedule");
	kit_done(k);
}

static void pods_of_a_lost_node_leave_when_their_time_is_over(void **state)
{
	struct kit *k = kit_new(with_eviction);
	const struct value *p;

	(void)state;
	node(k, "n1", "True");
	node(k, "n2", "True");
	pod(k, "p", "n1", "");
	pod(k, "stays", "n1", "'tolerations':[{'operator':'Exists'}],");
	pod(k, "other", "n2", "");
	kit_ready(k, -1);
	for (int i = 0; i < 4; i++) {
		kit_advance(k, 10);
		renew(k, "n2");
	}
	assert_string_equal(told(k, "n1"), "Unknown NodeStatusUnknown unreachable:NoSchedule unreachable:NoExecute");
	assert_true(has_event(k, "NodeNotReady"));
	assert_false(pod_is_ready(kit_get(k, &resource_pods, "p")));
	assert_true(pod_is_ready(kit_get(k, &resource_pods, "other")));
	for (int i = 0; i < 29; i++) {
		kit_advance(k, 10);
		renew(k, "n2");
	}
	assert_false(object_is_ending(kit_get(k, &resource_pods, "p")));
	kit_advance(k, 10);
	p = kit_get(k, &resource_pods, "p");
	assert_true(object_is_ending(p));
	assert_true(span_equal(value_find_string(condition_find(value_find(p, "status"), "DisruptionTarget"), "reason"),
			       SPAN("DeletionByTaintManager")));
	assert_true(has_event(k, "TaintManagerEviction"));
	assert_false(object_is_ending(kit_get(k, &resource_pods, "stays")));
	assert_false(object_is_ending(kit_get(k, &resource_pods, "other")));
	kit_done(k);
}

static void a_taint_that_is_not_borne_sends_pods_away_at_once(void **state)
{
	struct kit *k = kit_new(with_eviction);

	(void)state;
	node(k, "n1", "True");
	pod(k, "p", "n1", "");
	pod(k, "patient", "n1",
	    "'tolerations':[{'key':'a','operator':'Equal','value':'b','effect':'NoExecute','tolerationSeconds':20}],");
	pod(k, "other-value", "n1", "'tolerations':[{'key':'a','value':'c','effect':'NoExecute'}],");
	kit_apply(k, &resource_nodes,
		  "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1'},'spec':{'taints':[{'key':'a','value':'b','"
		  "effect':"
		  "'NoExecute'}]}}");
	assert_true(object_is_ending(kit_get(k, &resource_pods, "p")));
	assert_true(object_is_ending(kit_get(k, &resource_pods, "other-value")));
	kit_advance(k, 19);
	assert_false(object_is_ending(kit_get(k, &resource_pods, "patient")));
	kit_advance(k, 1);
	assert_true(object_is_ending(kit_get(k, &resource_pods, "patient")));
	kit_done(k);
}

static void pods_of_a_node_that_is_gone_are_ended(void **state)
{
	struct kit *k = kit_new(collector);

	(void)state;
	node(k, "n1", "True");
	pod(k, "p", "n1", "");
	kit_ready(k, -1);
	kit_advance(k, 100);
	assert_non_null(kit_get(k, &resource_pods, "p"));
	kit_delete(k, &resource_nodes, "n1");
	kit_advance(k, 30);
	assert_non_null(kit_get(k, &resource_pods, "p"));
	node(k, "n1", "True"); /* it comes back */
	kit_advance(k, 100);
	assert_non_null(kit_get(k, &resource_pods, "p"));
	kit_delete(k, &resource_nodes, "n1");
	kit_advance(k, 40);
	assert_null(kit_get(k, &resource_pods, "p"));
	kit_done(k);
}

static void of_pods_that_have_ended_the_newest_are_kept(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct kit *k = kit_new(collector);

	(void)state;
	node(k, "n1", "True");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		pod(k, names[i], "n1", "");
		kit_status(k, &resource_pods, names[i],
			   i == 4 ? "{\"phase\":\"Failed\",\"reason\":\"Evicted\"}" : "{\"phase\":\"Succeeded\"}");
		kit_advance(k, 1);
	}
	pod(k, "runs", "n1", "");
	kit_advance(k, 20);
	assert_null(kit_get(k, &resource_pods, "e")); /* evicted ones go first, */
	assert_null(kit_get(k, &resource_pods, "a")); /* then the oldest */
	assert_int_equal(value_count(kit_list(k, &resource_pods)), 4);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_that_renews_its_lease_is_well),
		cmocka_unit_test(a_node_that_never_told_anything_gets_a_minute),
		cmocka_unit_test(taints_follow_from_conditions),
		cmocka_unit_test(pods_of_a_lost_node_leave_when_their_time_is_over),
		cmocka_unit_test(a_taint_that_is_not_borne_sends_pods_away_at_once),
		cmocka_unit_test(pods_of_a_node_that_is_gone_are_ended),
		cmocka_unit_test(of_pods_that_have_ended_the_newest_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
