/* SPDX-License-Identifier: Apache-2.0 */
/* daemonset_test - DaemonSets against an API server, with nodes that are objects only and a clock that tests turn. */
#include "controllers/kit.h"

#include <stdio.h>

/* more of the spec, more of the pod's spec, a word in the template */
#define SET                                                                                                            \
	"{'apiVersion':'apps/v1','kind':'DaemonSet','metadata':{'name':'log','namespace':'default'},'spec':{"          \
	"%s'selector':{'matchLabels':{'app':'log'}},'template':{'metadata':{'labels':{'app':'log'}},'spec':{"          \
	"%s'containers':[{'name':'main','image':'%s'}]}}}}"
#define APPLY(k, more, pod, image) kit_apply(k, &resource_daemon_sets, SET, more, pod, image)
#define ROLLING(unavailable, surge)                                                                                    \
	"'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':" unavailable ",'maxSurge':" surge \
	"}},"

static void node_apply(struct kit *k, const char *name, const char *labels, const char *taints)
{
	/* The first time the server adds that it is not ready yet. */
	for (int i = 0; i < 2; i++)
		kit_apply(
		    k, &resource_nodes,
		    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s','labels':{%s}},'spec':{'taints':[%s]}}",
		    name, labels, taints);
}

static struct kit *started(int nodes)
{
	struct kit *k = kit_new((const char *const[]){ "daemonset-controller", NULL });
	char name[8];

	for (int i = 1; i <= nodes; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		node_apply(k, name, "", "");
	}
	return k;
}

static const struct value *set_status(struct kit *k)
{
	return value_find(kit_get(k, &resource_daemon_sets, "log"), "status");
}

static int64_t count_of(struct kit *k, const char *name)
{
	return value_find_int(set_status(k), name, 0);
}

static struct span node_of(const struct value *pod)
{
	const struct value *terms = value_find(
	    pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
	const struct value *field = value_item(value_find(value_item(terms, 0), "matchFields"), 0);

	assert_int_equal(value_count(terms), 1);
	assert_true(span_equal(value_find_string(field, "key"), SPAN("metadata.name")));
	assert_true(span_equal(value_find_string(field, "operator"), SPAN("In")));
	return value_item(value_find(field, "values"), 0)->string;
}

/* Pods that are not ending, by node: "n1:one n1:two n2:one". */
static void pods_print(struct kit *k, char *text, size_t size)
{
	const struct value *pods = kit_list(k, &resource_pods);
	size_t len = 0;
	char name[8];

	text[0] = '\0';
	for (int n = 1; n < 10; n++) {
		snprintf(name, sizeof(name), "n%d", n);
		for (int pass = 0; pass < 2; pass++) { /* of "one" first */
			for (uint32_t i = 0; i < value_count(pods); i++) {
				const struct value *pod = value_item(pods, i);
				struct span image =
				    value_find_string(value_item(value_find(pod, "spec.containers"), 0), "image");

				if (!object_is_ending(pod) && span_equal(node_of(pod), span_of(name)) &&
				    span_equal(image, SPAN("one")) == (pass == 0))
					len += (size_t)snprintf(text + len, size - len, "%s%s:" SPAN_FMT,
								len ? " " : "", name, SPAN_ARG(image));
			}
		}
	}
}

#define assert_pods(k, wanted)                                                                                         \
	do {                                                                                                           \
		char pods_[600];                                                                                       \
		pods_print(k, pods_, sizeof(pods_));                                                                   \
		assert_string_equal(pods_, wanted);                                                                    \
	} while (0)

static const struct value *pod_on(struct kit *k, const char *node)
{
	const struct value *pods = kit_list(k, &resource_pods);

	for (uint32_t i = 0; i < value_count(pods); i++)
		if (span_equal(node_of(value_item(pods, i)), span_of(node)))
			return value_item(pods, i);
	return NULL;
}

/* A name of its own, for what takes texts; the arena of the kit keeps it. */
static const char *name_on(struct kit *k, const char *node)
{
	struct error err = { 0 };

	assert_non_null(pod_on(k, node));
	return arena_copy(&k->api.arena, object_name(pod_on(k, node)), &err).ptr;
}

static bool tolerates(const struct value *pod, const char *key, const char *effect)
{
	const struct value *list = value_find(pod, "spec.tolerations");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "key"), span_of(key)) &&
		    span_equal(value_find_string(value_item(list, i), "effect"), span_of(effect)) &&
		    !value_find(value_item(list, i), "tolerationSeconds"))
			return true;
	return false;
}

static bool has_event(struct kit *k, const char *reason, const char *start)
{
	const struct value *events = kit_list(k, &resource_events);

	for (uint32_t i = 0; i < value_count(events); i++)
		if (span_equal(value_find_string(value_item(events, i), "reason"), span_of(reason)) &&
		    span_starts(value_find_string(value_item(events, i), "message"), span_of(start)))
			return true;
	return false;
}

static void phase_set(struct kit *k, const char *pod, const char *phase)
{
	char status[64];

	snprintf(status, sizeof(status), "{\"phase\":\"%s\"}", phase);
	kit_status(k, &resource_pods, pod, status);
}

/* ---- where pods are ---- */

static void every_node_gets_a_pod(void **state)
{
	struct kit *k = started(2);
	const struct value *pod;

	(void)state;
	APPLY(k, "",
	      "'tolerations':[{'key':'node.kubernetes.io/not-ready','operator':'Exists','effect':'NoExecute',"
	      "'tolerationSeconds':5}],",
	      "one");
	assert_pods(k, "n1:one n2:one");
	pod = pod_on(k, "n1");
	assert_true(span_starts(object_name(pod), SPAN("log-")));
	assert_true(tolerates(pod, "node.kubernetes.io/not-ready", "NoExecute"));
	assert_true(tolerates(pod, "node.kubernetes.io/unreachable", "NoExecute"));
	assert_true(tolerates(pod, "node.kubernetes.io/disk-pressure", "NoSchedule"));
	assert_true(tolerates(pod, "node.kubernetes.io/memory-pressure", "NoSchedule"));
	assert_true(tolerates(pod, "node.kubernetes.io/pid-pressure", "NoSchedule"));
	assert_true(tolerates(pod, "node.kubernetes.io/unschedulable", "NoSchedule"));
	assert_false(tolerates(pod, "node.kubernetes.io/network-unavailable", "NoSchedule"));
	assert_int_equal(value_count(value_find(pod, "spec.tolerations")), 6);
	assert_true(span_equal(object_label(pod, "pod-template-generation"), SPAN("1")));
	assert_true(object_label(pod, "controller-revision-hash").len > 0);
	assert_true(has_event(k, "SuccessfulCreate", "Created pod: log-"));
	assert_int_equal(count_of(k, "desiredNumberScheduled"), 2);
	assert_int_equal(count_of(k, "currentNumberScheduled"), 2);
	assert_int_equal(count_of(k, "updatedNumberScheduled"), 2);
	assert_int_equal(count_of(k, "numberUnavailable"), 2);
	assert_int_equal(count_of(k, "numberReady"), 0);
	assert_int_equal(count_of(k, "observedGeneration"), 1);
	kit_ready(k, -1);
	assert_int_equal(count_of(k, "numberReady"), 2);
	assert_int_equal(count_of(k, "numberAvailable"), 2);
	assert_int_equal(count_of(k, "numberUnavailable"), 0);
	kit_done(k);
}

static void a_pod_on_the_hosts_network_bears_a_node_without_one(void **state)
{
	struct kit *k = started(1);

	(void)state;
	APPLY(k, "", "'hostNetwork':true,", "one");
	assert_true(tolerates(pod_on(k, "n1"), "node.kubernetes.io/network-unavailable", "NoSchedule"));
	kit_done(k);
}

static void nodes_come_and_go(void **state)
{
	struct kit *k = started(1);

	(void)state;
	APPLY(k, "", "", "one");
	assert_pods(k, "n1:one");
	node_apply(k, "n2", "", "");
	assert_pods(k, "n1:one n2:one");
	kit_bind(k, name_on(k, "n1"), "n1");
	kit_delete(k, &resource_nodes, "n2"); /* its pod was never assigned: nobody else would remove it */
	assert_pods(k, "n1:one");
	kit_delete(k, &resource_nodes, "n1");
	assert_pods(k, "n1:one");
	assert_int_equal(count_of(k, "desiredNumberScheduled"), 0);
	kit_done(k);
}

static void selectors_and_affinity_choose_nodes(void **state)
{
	struct kit *k = started(0);

	(void)state;
	node_apply(k, "n1", "'disk':'ssd'", "");
	node_apply(k, "n2", "'disk':'hdd'", "");
	APPLY(k, "", "'nodeSelector':{'disk':'ssd'},", "one");
	assert_pods(k, "n1:one");
	assert_int_equal(count_of(k, "desiredNumberScheduled"), 1);
	node_apply(k, "n2", "'disk':'ssd'", "");
	assert_pods(k, "n1:one n2:one");
	node_apply(k, "n1", "'disk':'hdd'", "");
	assert_pods(k, "n2:one");
	kit_delete(k, &resource_daemon_sets, "log");
	APPLY(k, "",
	      "'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[{"
	      "'matchExpressions':[{'key':'disk','operator':'NotIn','values':['ssd']}]}]}}},",
	      "one");
	assert_pods(k, "n1:one");
	kit_done(k);
}

static void taints_keep_pods_away_or_drive_them_out(void **state)
{
	struct kit *k = started(2);

	(void)state;
	node_apply(k, "n3", "", "{'key':'gpu','effect':'NoSchedule'}");
	APPLY(k, "", "", "one");
	assert_pods(k, "n1:one n2:one");
	node_apply(k, "n1", "", "{'key':'gpu','effect':'NoSchedule'}"); /* what is there may stay */
	node_apply(k, "n2", "", "{'key':'gpu','effect':'NoExecute'}");
	assert_pods(k, "n1:one");
	assert_int_equal(count_of(k, "desiredNumberScheduled"), 0);
	assert_int_equal(count_of(k, "numberMisscheduled"), 1);
	node_apply(k, "n2", "", "{'key':'node.kubernetes.io/unschedulable','effect':'NoSchedule'}");
	assert_pods(k, "n1:one n2:one");
	kit_delete(k, &resource_daemon_sets, "log");
	APPLY(k, "", "'tolerations':[{'key':'gpu','operator':'Exists'}],", "one");
	assert_pods(k, "n1:one n2:one n3:one");
	kit_done(k);
}

static void of_two_pods_on_a_node_the_older_one_stays(void **state)
{
	struct kit *k = started(1);
	const char *name;

	(void)state;
	APPLY(k, "", "", "one");
	name = name_on(k, "n1");
	kit_advance(k, 5);
	kit_apply(k, &resource_pods,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a-stray','namespace':'default','labels':{'app':'"
		  "log'}},"
		  "'spec':{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{"
		  "'nodeSelectorTerms':[{'matchFields':[{'key':'metadata.name','operator':'In','values':['n1']}]}]}}},"
		  "'containers':[{'name':'main','image':'one'}]}}");
	assert_pods(k, "n1:one");
	assert_string_equal(name_on(k, "n1"), name);
	assert_true(has_event(k, "SuccessfulDelete", "Deleted pod: a-stray"));
	kit_done(k);
}

/* ---- roll-out ---- */

static void as_many_pods_are_replaced_at_once_as_may_be_unavailable(void **state)
{
	struct kit *k = started(4);

	(void)state;
	APPLY(k, ROLLING("'50%'", "0"), "", "one");
	kit_ready(k, -1);
	APPLY(k, ROLLING("'50%'", "0"), "", "two");
	assert_pods(k, "n1:two n2:two n3:one n4:one");
	assert_int_equal(count_of(k, "updatedNumberScheduled"), 2);
	assert_int_equal(count_of(k, "numberUnavailable"), 2);
	kit_ready(k, 1);
	assert_pods(k, "n1:two n2:two n3:two n4:one");
	kit_ready(k, -1);
	kit_ready(k, -1);
	assert_pods(k, "n1:two n2:two n3:two n4:two");
	assert_int_equal(count_of(k, "numberAvailable"), 4);
	kit_done(k);
}

static void old_pods_that_are_not_available_cost_nothing(void **state)
{
	struct kit *k = started(3);

	(void)state;
	APPLY(k, "", "", "bad");
	assert_pods(k, "n1:bad n2:bad n3:bad");
	APPLY(k, "", "", "two");
	assert_pods(k, "n1:two n2:two n3:two");
	kit_done(k);
}

static void a_node_waits_until_the_old_pod_is_gone(void **state)
{
	struct kit *k = started(2);
	const char *name;

	(void)state;
	APPLY(k, "", "", "one");
	name = name_on(k, "n1");
	kit_bind(k, name, "n1");
	kit_bind(k, name_on(k, "n2"), "n2");
	kit_ready(k, -1);
	APPLY(k, "", "", "two");
	assert_pods(k, "n2:one");
	assert_true(object_is_ending(kit_get(k, &resource_pods, name)));
	kit_bury(k);
	assert_pods(k, "n1:two n2:one");
	kit_done(k);
}

static void with_a_surge_the_new_pod_starts_beside_the_old_one(void **state)
{
	struct kit *k = started(3);

	(void)state;
	APPLY(k, ROLLING("0", "1") "'minReadySeconds':5,", "", "one");
	kit_ready(k, -1);
	kit_advance(k, 5);
	APPLY(k, ROLLING("0", "1") "'minReadySeconds':5,", "", "two");
	assert_pods(k, "n1:one n1:two n2:one n3:one");
	kit_ready(k, -1);
	assert_pods(k, "n1:one n1:two n2:one n3:one"); /* ready, and not long enough */
	kit_advance(k, 5);
	assert_pods(k, "n1:two n2:one n2:two n3:one");
	assert_int_equal(count_of(k, "currentNumberScheduled"), 3);
	phase_set(k, name_on(k, "n3"), "Running"); /* an old one that is ready no more: the new one may come at once */
	assert_pods(k, "n1:two n2:one n2:two n3:two");
	kit_ready(k, -1);
	kit_advance(k, 5);
	assert_pods(k, "n1:two n2:two n3:two");
	kit_done(k);
}

static void on_delete_waits_for_somebody_to_delete(void **state)
{
	struct kit *k = started(2);

	(void)state;
	APPLY(k, "'updateStrategy':{'type':'OnDelete'},", "", "one");
	kit_ready(k, -1);
	APPLY(k, "'updateStrategy':{'type':'OnDelete'},", "", "two");
	assert_pods(k, "n1:one n2:one");
	assert_int_equal(count_of(k, "updatedNumberScheduled"), 0);
	kit_delete(k, &resource_pods, name_on(k, "n1"));
	assert_pods(k, "n1:two n2:one");
	kit_done(k);
}

static void min_ready_seconds_count_by_the_clock(void **state)
{
	struct kit *k = started(1);

	(void)state;
	APPLY(k, "'minReadySeconds':10,", "", "one");
	kit_ready(k, -1);
	assert_int_equal(count_of(k, "numberReady"), 1);
	assert_int_equal(count_of(k, "numberAvailable"), 0);
	kit_advance(k, 9);
	assert_int_equal(count_of(k, "numberAvailable"), 0);
	kit_advance(k, 1);
	assert_int_equal(count_of(k, "numberAvailable"), 1);
	kit_done(k);
}

/* ---- pods that end ---- */

/* True: the pod that failed was replaced. */
static bool is_replaced(struct kit *k, const char *before)
{
	return strcmp(name_on(k, "n1"), before) != 0;
}

static void a_pod_that_fails_is_replaced_later_each_time(void **state)
{
	struct kit *k = started(1);
	const char *name;

	(void)state;
	APPLY(k, "", "", "one");
	name = name_on(k, "n1");
	phase_set(k, name, "Failed");
	assert_true(is_replaced(k, name)); /* the first one at once */
	assert_true(has_event(k, "FailedDaemonPod", "Found failed daemon pod default/log-"));
	for (int64_t wait = 1; wait < 64; wait *= 2) {
		name = name_on(k, "n1");
		phase_set(k, name, "Failed");
		if (wait > 1) {
			kit_advance(k, wait - 1);
			assert_false(is_replaced(k, name));
		}
		kit_advance(k, 1);
		assert_true(is_replaced(k, name));
		assert_int_equal(value_count(kit_list(k, &resource_pods)), 1);
	}
	kit_advance(k, 3600); /* one that ran for long begins anew */
	name = name_on(k, "n1");
	phase_set(k, name, "Failed");
	assert_true(is_replaced(k, name));
	name = name_on(k, "n1");
	phase_set(k, name, "Failed");
	assert_false(is_replaced(k, name));
	kit_advance(k, 1);
	assert_true(is_replaced(k, name));
	phase_set(k, name_on(k, "n1"), "Failed");
	APPLY(k, "", "", "two"); /* and so does a new template */
	kit_advance(k, 0);
	assert_pods(k, "n1:two");
	kit_done(k);
}

static void with_a_surge_a_failed_pod_is_waited_for_too(void **state)
{
	struct kit *k = started(1);

	(void)state;
	APPLY(k, ROLLING("0", "1"), "", "one");
	phase_set(k, name_on(k, "n1"), "Failed");
	phase_set(k, name_on(k, "n1"), "Failed");
	assert_int_equal(value_count(kit_list(k, &resource_pods)), 1);
	kit_advance(k, 1);
	assert_true(span_equal(value_find_string(pod_on(k, "n1"), "status.phase"), SPAN("Pending")));
	kit_done(k);
}

static void a_pod_that_succeeds_is_replaced(void **state)
{
	struct kit *k = started(1);
	const char *name;

	(void)state;
	APPLY(k, "", "", "one");
	name = name_on(k, "n1");
	phase_set(k, name, "Succeeded");
	assert_true(is_replaced(k, name));
	assert_true(has_event(k, "SucceededDaemonPod", "Found succeeded daemon pod default/log-"));
	kit_done(k);
}

static void what_cannot_be_made_is_told(void **state)
{
	struct kit *k = started(3);

	(void)state;
	APPLY(k, "", "'serviceAccountName':'missing',", "one");
	kit_advance(k, 1);
	assert_pods(k, "");
	assert_true(has_event(k, "FailedCreate", "Error creating: "));
	assert_int_equal(count_of(k, "desiredNumberScheduled"), 3);
	kit_done(k);
}

/* ---- history ---- */

static const struct value *revision_numbered(struct kit *k, int64_t number)
{
	const struct value *list = kit_list(k, &resource_controller_revisions);

	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_find_int(value_item(list, i), "revision", 0) == number)
			return value_item(list, i);
	return NULL;
}

static void going_back_uses_the_revision_that_is_there(void **state)
{
	struct kit *k = started(1);
	const struct value *revision;
	struct span name;

	(void)state;
	APPLY(k, "", "", "one");
	revision = revision_numbered(k, 1);
	assert_non_null(revision);
	name = object_name(revision);
	assert_true(span_equal(object_label(revision, "controller-revision-hash"), span_skip(name, 4)));
	assert_true(span_equal(object_label(pod_on(k, "n1"), "controller-revision-hash"), span_skip(name, 4)));
	assert_true(
	    span_equal(value_find_string(value_find(revision, "data.spec.template"), "$patch"), SPAN("replace")));
	APPLY(k, "", "", "two");
	assert_non_null(revision_numbered(k, 2));
	APPLY(k, "", "", "one");
	assert_int_equal(value_count(kit_list(k, &resource_controller_revisions)), 2);
	assert_true(span_equal(object_name(revision_numbered(k, 3)), name));
	assert_pods(k, "n1:one");
	kit_done(k);
}

static void only_as_many_revisions_are_kept_as_wanted(void **state)
{
	static const char *const images[] = { "one", "two", "three", "four" };
	struct kit *k = started(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		APPLY(k, "'revisionHistoryLimit':1,", "", images[i]);
		kit_ready(k, -1);
	}
	assert_int_equal(value_count(kit_list(k, &resource_controller_revisions)), 2);
	assert_non_null(revision_numbered(k, 3));
	assert_non_null(revision_numbered(k, 4));
	kit_done(k);
}

static void a_revision_that_is_kept_twice_becomes_one(void **state)
{
	struct kit *k = started(1);
	struct error err = { 0 };
	const struct value *revision;
	struct span data, uid, hash;

	(void)state;
	APPLY(k, "", "", "one");
	uid = value_find_string(pod_on(k, "n1"), "metadata.uid");
	revision = revision_numbered(k, 1);
	hash = object_label(revision, "controller-revision-hash");
	data = value_print(value_find(revision, "data"), &k->api.arena, &err);
	kit_apply(
	    k, &resource_controller_revisions,
	    "{'apiVersion':'apps/v1','kind':'ControllerRevision','metadata':{'name':'log-again','namespace':'default',"
	    "'labels':{'app':'log'}},'revision':5,'data':%.*s}",
	    (int)data.len, data.ptr);
	assert_int_equal(value_count(kit_list(k, &resource_controller_revisions)), 1);
	assert_true(span_equal(object_name(revision_numbered(k, 5)), SPAN("log-again")));
	assert_true(span_equal(value_find_string(pod_on(k, "n1"), "metadata.uid"), uid));
	assert_true(span_equal(object_label(pod_on(k, "n1"), "controller-revision-hash"), SPAN("log-again")));
	assert_false(span_equal(hash, SPAN("log-again")));
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_node_gets_a_pod),
		cmocka_unit_test(a_pod_on_the_hosts_network_bears_a_node_without_one),
		cmocka_unit_test(nodes_come_and_go),
		cmocka_unit_test(selectors_and_affinity_choose_nodes),
		cmocka_unit_test(taints_keep_pods_away_or_drive_them_out),
		cmocka_unit_test(of_two_pods_on_a_node_the_older_one_stays),
		cmocka_unit_test(as_many_pods_are_replaced_at_once_as_may_be_unavailable),
		cmocka_unit_test(old_pods_that_are_not_available_cost_nothing),
		cmocka_unit_test(a_node_waits_until_the_old_pod_is_gone),
		cmocka_unit_test(with_a_surge_the_new_pod_starts_beside_the_old_one),
		cmocka_unit_test(on_delete_waits_for_somebody_to_delete),
		cmocka_unit_test(min_ready_seconds_count_by_the_clock),
		cmocka_unit_test(a_pod_that_fails_is_replaced_later_each_time),
		cmocka_unit_test(with_a_surge_a_failed_pod_is_waited_for_too),
		cmocka_unit_test(a_pod_that_succeeds_is_replaced),
		cmocka_unit_test(what_cannot_be_made_is_told),
		cmocka_unit_test(going_back_uses_the_revision_that_is_there),
		cmocka_unit_test(only_as_many_revisions_are_kept_as_wanted),
		cmocka_unit_test(a_revision_that_is_kept_twice_becomes_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
