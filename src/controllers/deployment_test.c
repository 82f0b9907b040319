/* SPDX-License-Identifier: Apache-2.0 */
/* deployment_test - Deployments and ReplicaSets against an API server; the sizes that come are those seen with Kubernetes' own. */
#include "controllers/kit.h"

#include <stdio.h>

/* replicas, more of the spec, a word in the template */
#define DEPLOYMENT                                                                                                     \
	"{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'default'},'spec':{"         \
	"'replicas':%d,%s'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}},"    \
	"'spec':{'containers':[{'name':'main','image':'%s'}]}}}}"
#define APPLY(k, replicas, more, image) kit_apply(k, &resource_deployments, DEPLOYMENT, replicas, more, image)

static struct kit *started(void)
{
	return kit_new(NULL);
}

static int64_t status_of(struct kit *k, const char *member)
{
	struct value *web = kit_get(k, &resource_deployments, "web");

	assert_non_null(web);
	return value_find_int(value_find(web, "status"), member, 0);
}

static void assert_condition(struct kit *k, const char *type, const char *status, const char *reason)
{
	const struct value *web = kit_get(k, &resource_deployments, "web");
	const struct value *c = condition_find(value_find(web, "status"), type);
	char got[200];

	snprintf(got, sizeof(got), SPAN_FMT " " SPAN_FMT, SPAN_ARG(value_find_string(c, "status")),
		 SPAN_ARG(value_find_string(c, "reason")));
	if (!span_equal(value_find_string(c, "status"), span_of(status)) ||
	    !span_equal(value_find_string(c, "reason"), span_of(reason)))
		fail_msg("%s is %s, not %s %s", type, got, status, reason);
}

static void a_deployment_becomes_a_set_and_pods(void **state)
{
	struct kit *k = started();
	const struct value *pods, *set, *pod;

	(void)state;
	APPLY(k, 3, "", "one");
	assert_string_equal(k->story, "1:3 ");
	pods = kit_list(k, &resource_pods);
	assert_int_equal(value_count(pods), 3);
	set = value_item(kit_list(k, &resource_replica_sets), 0);
	pod = value_item(pods, 0);
	assert_true(span_starts(object_name(set), SPAN("web-")));
	assert_true(span_starts(object_name(pod), object_name(set)));
	assert_true(span_equal(object_label(pod, "pod-template-hash"), span_skip(object_name(set), 4)));
	assert_true(span_equal(object_controller(pod), value_find_string(set, "metadata.uid")));
	assert_true(span_equal(object_annotation(set, "deployment.kubernetes.io/desired-replicas"), SPAN("3")));
	assert_true(span_equal(object_annotation(set, "deployment.kubernetes.io/max-replicas"), SPAN("4")));
	assert_true(
	    span_equal(object_annotation(kit_get(k, &resource_deployments, "web"), "deployment.kubernetes.io/revision"),
		       SPAN("1")));
	assert_condition(k, "Available", "False", "MinimumReplicasUnavailable");
	assert_condition(k, "Progressing", "True", "ReplicaSetUpdated");
	assert_int_equal(status_of(k, "unavailableReplicas"), 3);
	kit_ready(k, -1);
	assert_condition(k, "Available", "True", "MinimumReplicasAvailable");
	assert_condition(k, "Progressing", "True", "NewReplicaSetAvailable");
	assert_int_equal(status_of(k, "availableReplicas"), 3);
	assert_int_equal(status_of(k, "unavailableReplicas"), 0);
	kit_done(k);
}

/* The sizes of 10 replicas with a quarter of surge and unavailability, as pods get ready. */
static void a_rolling_update_takes_the_known_steps(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 10, "", "one");
	kit_ready(k, -1);
	k->story[0] = '\0';
	APPLY(k, 10, "", "two");
	assert_string_equal(k->story, "2:3 1:8 2:5 ");
	kit_bury(k);
	kit_ready(k, 3);
	kit_bury(k);
	kit_ready(k, 1);
	kit_bury(k);
	kit_ready(k, -1);
	assert_string_equal(k->story, "2:3 1:8 2:5 1:7 2:6 1:6 2:7 1:5 2:8 1:4 2:9 1:3 2:10 1:2 1:1 1:0 ");
	kit_bury(k);
	kit_ready(k, -1);
	assert_condition(k, "Progressing", "True", "NewReplicaSetAvailable");
	assert_int_equal(status_of(k, "updatedReplicas"), 10);
	assert_int_equal(value_count(kit_list(k, &resource_pods)), 10);
	kit_done(k);
}

static void without_surge_old_pods_go_first(void **state)
{
	struct kit *k = started();
	const char *strategy = "'strategy':{'rollingUpdate':{'maxSurge':0,'maxUnavailable':'50%'}},";

	(void)state;
	APPLY(k, 4, strategy, "one");
	kit_ready(k, -1);
	k->story[0] = '\0';
	APPLY(k, 4, strategy, "two");
	kit_bury(k);
	kit_ready(k, 1);
	kit_bury(k);
	kit_ready(k, -1);
	kit_bury(k);
	kit_ready(k, -1);
	assert_string_equal(k->story, "2:0 1:2 2:2 1:1 2:3 1:0 2:4 ");
	kit_done(k);
}

static void recreate_waits_until_the_old_pods_are_gone(void **state)
{
	struct kit *k = started();
	const char *strategy = "'strategy':{'type':'Recreate'},";

	(void)state;
	APPLY(k, 2, strategy, "one");
	kit_ready(k, -1);
	k->story[0] = '\0';
	APPLY(k, 2, strategy, "two");
	kit_bury(k);
	kit_settle(k);
	assert_string_equal(k->story, "1:0 2:2 ");
	kit_ready(k, -1);
	assert_condition(k, "Progressing", "True", "NewReplicaSetAvailable");
	kit_done(k);
}

static void going_back_uses_the_set_that_is_there(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 1, "", "one");
	kit_ready(k, -1);
	APPLY(k, 1, "", "two");
	kit_ready(k, -1);
	APPLY(k, 1, "", "one");
	kit_ready(k, -1);
	assert_int_equal(value_count(kit_list(k, &resource_replica_sets)), 2);
	assert_true(
	    span_equal(object_annotation(kit_get(k, &resource_deployments, "web"), "deployment.kubernetes.io/revision"),
		       SPAN("3")));
	assert_true(span_equal(object_annotation(kit_get(k, &resource_replica_sets, k->names[0]),
						 "deployment.kubernetes.io/revision-history"),
			       SPAN("1")));
	kit_done(k);
}

static void only_as_many_old_sets_are_kept_as_wanted(void **state)
{
	struct kit *k = started();
	static const char *const images[] = { "one", "two", "three", "four" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		APPLY(k, 1, "'revisionHistoryLimit':1,", images[i]);
		kit_ready(k, -1);
		kit_bury(k);
	}
	assert_int_equal(value_count(kit_list(k, &resource_replica_sets)), 2);
	assert_null(kit_get(k, &resource_replica_sets, k->names[0]));
	kit_done(k);
}

static void a_pause_holds_the_template_and_not_the_size(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 2, "", "one");
	kit_ready(k, -1);
	k->story[0] = '\0';
	APPLY(k, 2, "'paused':true,", "two");
	assert_string_equal(k->story, "");
	assert_condition(k, "Progressing", "Unknown", "DeploymentPaused");
	APPLY(k, 3, "'paused':true,", "two");
	assert_string_equal(k->story, "1:3 ");
	APPLY(k, 3, "", "two");
	assert_string_equal(k->story, "1:3 2:1 ");
	kit_done(k);
}

static void a_roll_out_that_stands_still_is_told(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 1, "'progressDeadlineSeconds':60,", "one");
	assert_condition(k, "Progressing", "True", "ReplicaSetUpdated");
	kit_advance(k, 30);
	assert_condition(k, "Progressing", "True", "ReplicaSetUpdated");
	kit_advance(k, 32);
	assert_condition(k, "Progressing", "False", "ProgressDeadlineExceeded");
	kit_ready(k, -1);
	assert_condition(k, "Progressing", "True", "NewReplicaSetAvailable");
	kit_done(k);
}

static void a_new_size_in_the_middle_is_shared_out(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 10, "", "one");
	kit_ready(k, -1);
	APPLY(k, 10, "", "two");
	assert_string_equal(k->story, "1:10 2:3 1:8 2:5 ");
	k->story[0] = '\0';
	APPLY(k, 20, "", "two");
	/* 25 with the surge, 13 were: 8 and 5 grow in proportion. */
	assert_true(span_starts(span_of(k->story), SPAN("1:15 2:10 ")));
	kit_done(k);
}

static void min_ready_seconds_count_by_the_clock(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 1, "'minReadySeconds':10,", "one");
	kit_ready(k, -1);
	assert_int_equal(status_of(k, "readyReplicas"), 1);
	assert_int_equal(status_of(k, "availableReplicas"), 0);
	kit_advance(k, 9);
	assert_int_equal(status_of(k, "availableReplicas"), 0);
	kit_advance(k, 1);
	assert_int_equal(status_of(k, "availableReplicas"), 1);
	kit_done(k);
}

static void a_pod_that_dies_is_replaced(void **state)
{
	struct kit *k = started();
	AUTO_FREE char *name = NULL;

	(void)state;
	APPLY(k, 2, "", "one");
	kit_ready(k, -1);
	name = span_to_text(object_name(value_item(kit_list(k, &resource_pods), 0)));
	kit_delete(k, &resource_pods, name);
	assert_int_equal(value_count(kit_list(k, &resource_pods)), 2);
	kit_done(k);
}

static void pods_are_adopted_and_released(void **state)
{
	struct kit *k = started();
	const struct value *pods;
	int owned = 0;

	(void)state;
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'old','namespace':'default','labels':{'app':'set'}},"
	    "'spec':{'containers':[{'name':'a','image':'b'}]}}");
	kit_apply(
	    k, &resource_replica_sets,
	    "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'set','namespace':'default'},'spec':{"
	    "'replicas':2,'selector':{'matchLabels':{'app':'set'}},'template':{'metadata':{'labels':{'app':'set'}},"
	    "'spec':{'containers':[{'name':'main','image':'x'}]}}}}");
	pods = kit_list(k, &resource_pods);
	assert_int_equal(value_count(pods), 2);
	for (uint32_t i = 0; i < 2; i++)
		owned += object_controller(value_item(pods, i)).len > 0;
	assert_int_equal(owned, 2);
	kit_label(k, &resource_pods, "old", "app", "other");
	assert_int_equal(object_controller(kit_get(k, &resource_pods, "old")).len, 0);
	assert_int_equal(value_count(kit_list(k, &resource_pods)), 3);
	kit_done(k);
}

static void pods_that_are_not_ready_go_first(void **state)
{
	struct kit *k = started();
	const struct value *pods;

	(void)state;
	APPLY(k, 4, "", "one");
	kit_ready(k, 2);
	APPLY(k, 2, "", "one");
	kit_bury(k);
	pods = kit_list(k, &resource_pods);
	assert_int_equal(value_count(pods), 2);
	assert_true(pod_is_ready(value_item(pods, 0)) && pod_is_ready(value_item(pods, 1)));
	kit_done(k);
}

static void what_cannot_be_made_is_told_and_tried_again(void **state)
{
	struct kit *k = started();
	const struct value *set;

	(void)state;
	kit_apply(
	    k, &resource_replica_sets,
	    "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'set','namespace':'default'},'spec':{"
	    "'replicas':2,'selector':{'matchLabels':{'app':'set'}},'template':{'metadata':{'labels':{'app':'set'}},"
	    "'spec':{'serviceAccountName':'missing','containers':[{'name':'main','image':'x'}]}}}}");
	kit_advance(k, 1);
	set = kit_get(k, &resource_replica_sets, "set");
	assert_true(condition_is(value_find(set, "status"), "ReplicaFailure", "True"));
	assert_int_equal(value_count(kit_list(k, &resource_pods)), 0);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deployment_becomes_a_set_and_pods),
		cmocka_unit_test(a_rolling_update_takes_the_known_steps),
		cmocka_unit_test(without_surge_old_pods_go_first),
		cmocka_unit_test(recreate_waits_until_the_old_pods_are_gone),
		cmocka_unit_test(going_back_uses_the_set_that_is_there),
		cmocka_unit_test(only_as_many_old_sets_are_kept_as_wanted),
		cmocka_unit_test(a_pause_holds_the_template_and_not_the_size),
		cmocka_unit_test(a_roll_out_that_stands_still_is_told),
		cmocka_unit_test(a_new_size_in_the_middle_is_shared_out),
		cmocka_unit_test(min_ready_seconds_count_by_the_clock),
		cmocka_unit_test(a_pod_that_dies_is_replaced),
		cmocka_unit_test(pods_are_adopted_and_released),
		cmocka_unit_test(pods_that_are_not_ready_go_first),
		cmocka_unit_test(what_cannot_be_made_is_told_and_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
