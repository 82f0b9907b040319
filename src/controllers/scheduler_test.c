/* SPDX-License-Identifier: Apache-2.0 */
/* scheduler_test - which node a pod gets, and what is told when none takes it. */
#include "controllers/kit.h"

#include <stdio.h>

static const char *const only[] = { "scheduler", NULL };

static void node(struct kit *k, const char *name, const char *cpu, const char *more)
{
	char status[512], text[1024];

	snprintf(
	    text, sizeof(text),
	    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s','labels':{'kubernetes.io/hostname':'%s'%s}}}",
	    name, name, more);
	snprintf(status, sizeof(status),
		 "{\"allocatable\":{\"cpu\":\"%s\",\"memory\":\"1Gi\",\"pods\":\"3\",\"ephemeral-storage\":\"1Gi\"}}",
		 cpu);
	kit_apply(k, &resource_nodes, "%s", text);
	kit_status(k, &resource_nodes, name, status);
	kit_apply(k, &resource_nodes, "%s", text); /* admission gave it the taint of nodes that are new: it goes */
}

static void pod(struct kit *k, const char *name, const char *spec, const char *cpu)
{
	kit_apply(k, &resource_pods,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{'app':'a'}},"
		  "'spec':{%s"
		  "'containers':[{'name':'main','image':'x','resources':{'requests':{%s}}}]}}",
		  name, spec, cpu);
}

static const char *where(struct kit *k, const char *name)
{
	struct error err = { 0 };
	struct span s = value_find_string(kit_get(k, &resource_pods, name), "spec.nodeName");

	return s.len ? arena_copy(&k->api.arena, s, &err).ptr : "";
}

static const char *why(struct kit *k, const char *name)
{
	struct error err = { 0 };
	const struct value *c = condition_find(member(kit_get(k, &resource_pods, name), "status"), "PodScheduled");

	return arena_copy(&k->api.arena, value_find_string(c, "message"), &err).ptr;
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

static void a_pod_gets_the_node_with_the_most_room(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	node(k, "one", "2", "");
	node(k, "two", "4", "");
	pod(k, "a", "", "'cpu':'1500m'");
	assert_string_equal(where(k, "a"), "two");
	assert_true(has_event(k, "Scheduled", "Successfully assigned default/a to two"));
	pod(k, "b", "", "'cpu':'1500m'");
	assert_string_equal(where(k, "b"), "one");
	pod(k, "c", "", "'cpu':'1500m'");
	assert_string_equal(where(k, "c"), "two");
	kit_done(k);
}

static void a_pod_that_does_not_fit_waits_until_there_is_room(void **state)
{
	static const char words[] = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
				    "1 No preemption victims found "
				    "for incoming pod.";
	struct kit *k = kit_new(only);

	(void)state;
	pod(k, "a", "", "'cpu':'1500m'");
	assert_string_equal(why(k, "a"), "no nodes available to schedule pods");
	node(k, "one", "2", "");
	assert_string_equal(where(k, "a"), "one");
	pod(k, "b", "", "'cpu':'1'");
	assert_string_equal(where(k, "b"), "");
	assert_string_equal(why(k, "b"), words);
	assert_true(has_event(k, "FailedScheduling", words));
	kit_delete(k, &resource_pods, "a");
	kit_settle(k);
	assert_string_equal(where(k, "b"), "one");
	kit_done(k);
}

static void many_pods_are_not_put_where_there_is_room_for_some(void **state)
{
	struct kit *k = kit_new(only);
	int placed = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		char name[8];

		snprintf(name, sizeof(name), "p%d", i);
		pod(k, name, "", "'cpu':'100m'");
	}
	node(k, "one", "2", "");
	for (int i = 0; i < 5; i++) {
		char name[8];

		snprintf(name, sizeof(name), "p%d", i);
		placed += *where(k, name) != '\0';
		if (!*where(k, name))
			assert_non_null(strstr(why(k, name), "1 Too many pods"));
	}
	assert_int_equal(placed, 3);
	kit_done(k);
}

static void nodes_that_a_pod_may_not_be_on_are_told_in_words(void **state)
{
	static const char help[] = " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
	static const char *const rows[][2] = {
		{ "'nodeSelector':{'disk':'fast'},",
		  "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." },
		{ "'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'labelSelector':{'"
		  "matchLabels':{"
		  "'app':'b'}},'topologyKey':'kubernetes.io/hostname'}]}},",
		  "0/1 nodes are available: 1 node(s) didn't match pod affinity rules." },
		{ "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'c'}}],",
		  "0/1 nodes are available: persistentvolumeclaim \"c\" not found." },
		{ "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':'DoNotSchedule',"
		  "'labelSelector':{'matchLabels':{'app':'a'}}}],",
		  "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required "
		  "label)." },
	};
	struct kit *k = kit_new(only);

	(void)state;
	node(k, "one", "2", "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[8];

		snprintf(name, sizeof(name), "p%zu", i);
		pod(k, name, rows[i][0], "'cpu':'1m'");
		if (!span_starts(span_of(why(k, name)), span_of(rows[i][1])))
			fail_msg("row %zu: %s", i, why(k, name));
		if (i == 0)
			assert_true(span_ends(span_of(why(k, name)), span_of(help)));
	}
	kit_done(k);
}

static void taints_keep_pods_away(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	kit_apply(k, &resource_nodes,
		  "{'apiVersion':'v1','kind':'Node','metadata':{'name':'one'},'spec':{'taints':[{'key':'a','value':'b',"
		  "'effect':"
		  "'NoSchedule'}]}}");
	kit_status(k, &resource_nodes, "one", "{\"allocatable\":{\"cpu\":\"1\",\"memory\":\"1Gi\",\"pods\":\"9\"}}");
	kit_apply(k, &resource_nodes,
		  "{'apiVersion':'v1','kind':'Node','metadata':{'name':'one'},'spec':{'taints':[{'key':'a','value':'b',"
		  "'effect':"
		  "'NoSchedule'}]}}");
	pod(k, "p", "", "");
	assert_non_null(strstr(why(k, "p"), "1 node(s) had untolerated taint {a: b}."));
	pod(k, "q", "'tolerations':[{'key':'a','operator':'Exists'}],", "");
	assert_string_equal(where(k, "q"), "one");
	kit_apply(k, &resource_nodes,
		  "{'apiVersion':'v1','kind':'Node','metadata':{'name':'one'},'spec':{'unschedulable':true}}");
	pod(k, "r", "'tolerations':[{'key':'a','operator':'Exists'}],", "");
	assert_non_null(strstr(why(k, "r"), "1 node(s) were unschedulable."));
	kit_done(k);
}

static void pods_that_want_to_be_apart_are(void **state)
{
	static const char apart[] = "'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{"
				    "'labelSelector':{'matchLabels':"
				    "{'app':'a'}},'topologyKey':'kubernetes.io/hostname'}]}},";
	struct kit *k = kit_new(only);

	(void)state;
	node(k, "one", "2", "");
	node(k, "two", "2", "");
	pod(k, "a", apart, "");
	pod(k, "b", apart, "");
	assert_string_not_equal(where(k, "a"), where(k, "b"));
	pod(k, "c", apart, "");
	assert_string_equal(where(k, "c"), "");
	assert_non_null(strstr(why(k, "c"), "2 node(s) didn't match pod anti-affinity rules"));
	pod(k, "d", "", "");
	assert_non_null(strstr(why(k, "d"), "2 node(s) didn't satisfy existing pods anti-affinity rules"));
	kit_done(k);
}

static void pods_are_spread_evenly(void **state)
{
	static const char spread[] =
	    "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'kubernetes.io/hostname','whenUnsatisfiable':"
	    "'DoNotSchedule','labelSelector':{'matchLabels':{'app':'a'}}}],";
	struct kit *k = kit_new(only);

	(void)state;
	node(k, "one", "2", "");
	node(k, "two", "100", "");
	pod(k, "a", spread, "'cpu':'1m'");
	pod(k, "b", spread, "'cpu':'1m'");
	assert_string_not_equal(where(k, "a"), where(k, "b"));
	kit_done(k);
}

static void host_ports_are_had_once(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	node(k, "one", "2", "");
	for (int i = 0; i < 2; i++)
		kit_apply(k, &resource_pods,
			  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p%d','namespace':'default'},'spec':{'"
			  "containers':[{"
			  "'name':'main','image':'x','ports':[{'containerPort':80,'hostPort':80}]}]}}",
			  i);
	assert_string_equal(where(k, "p0"), "one");
	assert_non_null(strstr(why(k, "p1"), "1 node(s) didn't have free ports for the requested pod ports"));
	kit_done(k);
}

static void gated_pods_and_those_of_other_schedulers_are_left_alone(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	node(k, "one", "2", "");
	pod(k, "a", "'schedulingGates':[{'name':'x/y'}],", "");
	pod(k, "b", "'schedulerName':'mine',", "");
	assert_string_equal(where(k, "a"), "");
	assert_string_equal(why(k, "a"), "Scheduling is blocked due to non-empty scheduling gates");
	assert_string_equal(where(k, "b"), "");
	assert_string_equal(why(k, "b"), "");
	kit_done(k);
}

static void pods_of_lower_priority_make_room(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	kit_apply(
	    k, &(const struct resource){ "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass" },
	    "{'apiVersion':'scheduling.k8s.io/v1','kind':'PriorityClass','metadata':{'name':'high'},'value':1000}");
	node(k, "one", "2", "");
	pod(k, "low", "", "'cpu':'1500m'");
	assert_string_equal(where(k, "low"), "one");
	pod(k, "urgent", "'priorityClassName':'high',", "'cpu':'1500m'");
	kit_settle(k);
	assert_true(object_is_ending(kit_get(k, &resource_pods, "low")));
	kit_bury(k);
	kit_settle(k);
	assert_string_equal(where(k, "urgent"), "one");
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_gets_the_node_with_the_most_room),
		cmocka_unit_test(a_pod_that_does_not_fit_waits_until_there_is_room),
		cmocka_unit_test(many_pods_are_not_put_where_there_is_room_for_some),
		cmocka_unit_test(nodes_that_a_pod_may_not_be_on_are_told_in_words),
		cmocka_unit_test(taints_keep_pods_away),
		cmocka_unit_test(pods_that_want_to_be_apart_are),
		cmocka_unit_test(pods_are_spread_evenly),
		cmocka_unit_test(host_ports_are_had_once),
		cmocka_unit_test(gated_pods_and_those_of_other_schedulers_are_left_alone),
		cmocka_unit_test(pods_of_lower_priority_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
