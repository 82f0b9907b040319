/* SPDX-License-Identifier: Apache-2.0 */
/* statefulset_test - StatefulSets against an API server, with a clock that tests turn. */
#include "controllers/kit.h"

#include <stdio.h>

/* replicas, more of the spec, a word in the template, more of the pod's spec */
#define SET                                                                                                            \
	"{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{'name':'web','namespace':'default'},'spec':{"        \
	"'replicas':%d,'serviceName':'inside',%s'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{"     \
	"'labels':{'app':'web'}},'spec':{%s'containers':[{'name':'main','image':'%s'}]}}}}"
#define APPLY(k, replicas, more, image) kit_apply(k, &resource_stateful_sets, SET, replicas, more, "", image)
/* On a node pods end when it says so: kit_bury(). */
#define APPLY_ON_NODE(k, replicas, more, image)                                                                        \
	kit_apply(k, &resource_stateful_sets, SET, replicas, more,                                                     \
		  "'nodeName':'n1','terminationGracePeriodSeconds':30,", image)

#define CLAIMS                                                                                                         \
	"'volumeClaimTemplates':[{'metadata':{'name':'data','labels':{'of':'us'}},'spec':{'accessModes':["             \
	"'ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}],"

static struct kit *started(void)
{
	return kit_new((const char *const[]){ "statefulset-controller", NULL });
}

static const struct value *set_status(struct kit *k)
{
	return value_find(kit_get(k, &resource_stateful_sets, "web"), "status");
}

static int64_t count_of(struct kit *k, const char *name)
{
	return value_find_int(set_status(k), name, 0);
}

static bool is_there(struct kit *k, const char *pod)
{
	return kit_get(k, &resource_pods, pod) != NULL;
}

static struct span image_of(struct kit *k, const char *pod)
{
	return value_find_string(value_item(value_find(kit_get(k, &resource_pods, pod), "spec.containers"), 0),
				 "image");
}

static void assert_image(struct kit *k, const char *pod, const char *image)
{
	if (!span_equal(image_of(k, pod), span_of(image)))
		fail_msg("%s is " SPAN_FMT ", not %s", pod, SPAN_ARG(image_of(k, pod)), image);
}

/* The names of all pods, "web-0 web-1". */
static void assert_pods(struct kit *k, const char *names)
{
	const struct value *pods = kit_list(k, &resource_pods);
	char text[400] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < value_count(pods); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s" SPAN_FMT, i ? " " : "",
					SPAN_ARG(object_name(value_item(pods, i))));
	assert_string_equal(text, names);
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

static void ready_all(struct kit *k)
{
	for (int i = 0; i < 8; i++)
		kit_ready(k, -1);
}

static void phase_set(struct kit *k, const char *pod, const char *phase)
{
	char status[64];

	snprintf(status, sizeof(status), "{\"phase\":\"%s\"}", phase);
	kit_status(k, &resource_pods, pod, status);
}

/* ---- making and taking away ---- */

static void pods_are_made_one_after_the_other(void **state)
{
	struct kit *k = started();
	const struct value *pod;

	(void)state;
	APPLY(k, 3, "", "one");
	assert_pods(k, "web-0");
	pod = kit_get(k, &resource_pods, "web-0");
	assert_true(span_equal(value_find_string(pod, "spec.hostname"), SPAN("web-0")));
	assert_true(span_equal(value_find_string(pod, "spec.subdomain"), SPAN("inside")));
	assert_true(span_equal(value_find_string(pod, "metadata.generateName"), SPAN("web-")));
	assert_true(span_equal(object_label(pod, "statefulset.kubernetes.io/pod-name"), SPAN("web-0")));
	assert_true(span_equal(object_label(pod, "apps.kubernetes.io/pod-index"), SPAN("0")));
	assert_true(span_equal(object_label(pod, "controller-revision-hash"),
			       value_find_string(set_status(k), "updateRevision")));
	assert_true(span_equal(object_controller(pod),
			       value_find_string(kit_get(k, &resource_stateful_sets, "web"), "metadata.uid")));
	assert_true(has_event(k, "SuccessfulCreate", "create Pod web-0 in StatefulSet web successful"));
	assert_int_equal(count_of(k, "replicas"), 1);
	assert_int_equal(count_of(k, "readyReplicas"), 0);
	kit_ready(k, -1);
	assert_pods(k, "web-0 web-1");
	assert_int_equal(count_of(k, "readyReplicas"), 1);
	kit_ready(k, -1);
	assert_pods(k, "web-0 web-1 web-2");
	kit_ready(k, -1);
	assert_int_equal(count_of(k, "replicas"), 3);
	assert_int_equal(count_of(k, "readyReplicas"), 3);
	assert_int_equal(count_of(k, "availableReplicas"), 3);
	assert_int_equal(count_of(k, "currentReplicas"), 3);
	assert_int_equal(count_of(k, "updatedReplicas"), 3);
	assert_int_equal(count_of(k, "collisionCount"), 0);
	assert_int_equal(count_of(k, "observedGeneration"), 1);
	assert_true(span_equal(value_find_string(set_status(k), "currentRevision"),
			       value_find_string(set_status(k), "updateRevision")));
	kit_done(k);
}

static void parallel_pods_wait_for_nobody(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 3, "'podManagementPolicy':'Parallel',", "one");
	assert_pods(k, "web-0 web-1 web-2");
	APPLY(k, 1, "'podManagementPolicy':'Parallel',", "one");
	assert_pods(k, "web-0");
	assert_true(has_event(k, "SuccessfulDelete", "delete Pod web-2 in StatefulSet web successful"));
	kit_done(k);
}

static void the_last_pod_goes_first_and_the_next_waits_for_it(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY_ON_NODE(k, 3, "", "one");
	ready_all(k);
	assert_pods(k, "web-0 web-1 web-2");
	APPLY_ON_NODE(k, 1, "", "one");
	assert_true(object_is_ending(kit_get(k, &resource_pods, "web-2")));
	assert_false(object_is_ending(kit_get(k, &resource_pods, "web-1")));
	assert_int_equal(count_of(k, "replicas"), 3);
	assert_int_equal(count_of(k, "currentReplicas"), 2);
	kit_bury(k);
	assert_true(object_is_ending(kit_get(k, &resource_pods, "web-1")));
	assert_pods(k, "web-0 web-1");
	kit_bury(k);
	assert_pods(k, "web-0");
	assert_false(object_is_ending(kit_get(k, &resource_pods, "web-0")));
	kit_done(k);
}

static void a_pod_that_is_not_ready_holds_back_those_behind_it(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 4, "", "one");
	ready_all(k);
	phase_set(k, "web-2", "Running"); /* and ready no more */
	APPLY(k, 2, "", "one");
	assert_pods(k, "web-0 web-1"); /* the only one that is not healthy may go in its turn */
	APPLY(k, 4, "", "one");
	ready_all(k);
	phase_set(k, "web-0", "Running");
	APPLY(k, 2, "", "one");
	assert_pods(k, "web-0 web-1 web-2 web-3"); /* one that is to stay comes first */
	kit_ready(k, -1);
	assert_pods(k, "web-0 web-1");
	APPLY(k, 4, "", "one");
	ready_all(k);
	phase_set(k, "web-2", "Running");
	phase_set(k, "web-3", "Running");
	APPLY(k, 2, "", "one");
	assert_pods(k, "web-0 web-1 web-2 web-3"); /* of two that are not, the last waits for the first */
	kit_ready(k, 1);
	assert_pods(k, "web-0 web-1");
	kit_done(k);
}

static void numbers_may_start_anywhere(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 2, "'ordinals':{'start':5},", "one");
	ready_all(k);
	assert_pods(k, "web-5 web-6");
	assert_true(
	    span_equal(object_label(kit_get(k, &resource_pods, "web-6"), "apps.kubernetes.io/pod-index"), SPAN("6")));
	APPLY(k, 2, "'ordinals':{'start':4},", "one");
	ready_all(k);
	assert_pods(k, "web-4 web-5");
	kit_done(k);
}

static void min_ready_seconds_hold_the_next_one(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 2, "'minReadySeconds':10,", "one");
	kit_ready(k, -1);
	assert_pods(k, "web-0");
	assert_int_equal(count_of(k, "readyReplicas"), 1);
	assert_int_equal(count_of(k, "availableReplicas"), 0);
	kit_advance(k, 9);
	assert_pods(k, "web-0");
	kit_advance(k, 1);
	assert_pods(k, "web-0 web-1");
	assert_int_equal(count_of(k, "availableReplicas"), 1);
	kit_done(k);
}

static void a_pod_that_ended_is_deleted_and_made_again(void **state)
{
	static const char *const phases[] = { "Failed", "Succeeded" };
	struct kit *k = started();

	(void)state;
	APPLY(k, 2, "", "one");
	ready_all(k);
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		struct span before = value_find_string(kit_get(k, &resource_pods, "web-1"), "metadata.uid");
		const struct value *pod;

		phase_set(k, "web-1", phases[i]);
		pod = kit_get(k, &resource_pods, "web-1");
		assert_non_null(pod);
		assert_false(span_equal(value_find_string(pod, "metadata.uid"), before));
		assert_true(span_equal(value_find_string(pod, "status.phase"), SPAN("Pending")));
		kit_ready(k, -1);
	}
	kit_delete(k, &resource_pods, "web-0");
	assert_true(is_there(k, "web-0"));
	kit_done(k);
}

static void a_set_that_is_deleted_makes_nothing(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(
	    k, &resource_stateful_sets,
	    "{'apiVersion':'apps/v1','kind':'StatefulSet','metadata':{'name':'web','namespace':'default',"
	    "'finalizers':['test/hold']},'spec':{'replicas':2,'selector':{'matchLabels':{'app':'web'}},'template':{"
	    "'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':'main','image':'x'}]}}}}");
	ready_all(k);
	kit_delete(k, &resource_stateful_sets, "web");
	kit_delete(k, &resource_pods, "web-1");
	assert_pods(k, "web-0");
	assert_int_equal(count_of(k, "replicas"), 1);
	kit_done(k);
}

/* ---- roll-out ---- */

static void a_new_template_replaces_pods_from_the_last(void **state)
{
	struct kit *k = started();
	struct span before, update;

	(void)state;
	APPLY_ON_NODE(k, 3, "", "one");
	ready_all(k);
	before = value_find_string(set_status(k), "currentRevision");
	APPLY_ON_NODE(k, 3, "", "two");
	update = value_find_string(set_status(k), "updateRevision");
	assert_false(span_equal(before, update));
	assert_true(object_is_ending(kit_get(k, &resource_pods, "web-2")));
	kit_bury(k);
	assert_image(k, "web-2", "two");
	assert_false(object_is_ending(kit_get(k, &resource_pods, "web-1"))); /* not before web-2 is ready */
	assert_int_equal(count_of(k, "updatedReplicas"), 1);
	assert_int_equal(count_of(k, "currentReplicas"), 2);
	kit_ready(k, -1);
	kit_bury(k);
	assert_image(k, "web-1", "two");
	assert_image(k, "web-0", "one");
	assert_true(span_equal(value_find_string(set_status(k), "currentRevision"), before));
	kit_ready(k, -1);
	kit_bury(k);
	assert_image(k, "web-0", "two");
	kit_ready(k, -1);
	assert_true(span_equal(value_find_string(set_status(k), "currentRevision"), update));
	assert_int_equal(count_of(k, "currentReplicas"), 3);
	assert_int_equal(count_of(k, "updatedReplicas"), 3);
	kit_done(k);
}

static void parallel_pods_are_replaced_one_by_one_too(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 3, "'podManagementPolicy':'Parallel',", "one");
	kit_ready(k, -1);
	APPLY(k, 3, "'podManagementPolicy':'Parallel',", "two");
	assert_image(k, "web-2", "two");
	assert_image(k, "web-1", "one");
	kit_ready(k, -1);
	assert_image(k, "web-1", "two");
	assert_image(k, "web-0", "one");
	kit_done(k);
}

#define PARTITION(n) "'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'partition':" #n "}},"

static void a_partition_keeps_those_before_it_as_they_were(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 3, PARTITION(2), "one");
	ready_all(k);
	APPLY(k, 3, PARTITION(2), "two");
	ready_all(k);
	assert_image(k, "web-2", "two");
	assert_image(k, "web-1", "one");
	kit_delete(k, &resource_pods, "web-0"); /* made again as it was */
	ready_all(k);
	assert_image(k, "web-0", "one");
	assert_false(span_equal(value_find_string(set_status(k), "currentRevision"),
				value_find_string(set_status(k), "updateRevision")));
	assert_int_equal(count_of(k, "updatedReplicas"), 1);
	assert_int_equal(count_of(k, "currentReplicas"), 2);
	APPLY(k, 3, PARTITION(0), "two");
	ready_all(k);
	assert_image(k, "web-1", "two");
	assert_image(k, "web-0", "two");
	assert_true(span_equal(value_find_string(set_status(k), "currentRevision"),
			       value_find_string(set_status(k), "updateRevision")));
	kit_done(k);
}

static void on_delete_waits_for_somebody_to_delete(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 2, "'updateStrategy':{'type':'OnDelete'},", "one");
	ready_all(k);
	APPLY(k, 2, "'updateStrategy':{'type':'OnDelete'},", "two");
	ready_all(k);
	assert_image(k, "web-1", "one");
	kit_delete(k, &resource_pods, "web-0");
	ready_all(k);
	assert_image(k, "web-0", "two");
	assert_image(k, "web-1", "one");
	kit_done(k);
}

static const struct value *revision_numbered(struct kit *k, int64_t number)
{
	const struct value *list = kit_list(k, &resource_controller_revisions);

	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_find_int(value_item(list, i), "revision", 0) == number)
			return value_item(list, i);
	return NULL;
}

static struct span image_kept(const struct value *revision)
{
	return value_find_string(value_item(value_find(revision, "data.spec.template.spec.containers"), 0), "image");
}

static void what_the_template_was_is_kept(void **state)
{
	struct kit *k = started();
	const struct value *revision;
	struct span name;

	(void)state;
	APPLY(k, 1, "", "one");
	ready_all(k);
	revision = revision_numbered(k, 1);
	assert_non_null(revision);
	name = object_name(revision);
	assert_true(span_starts(name, SPAN("web-")));
	assert_true(
	    span_equal(value_find_string(value_find(revision, "data.spec.template"), "$patch"), SPAN("replace")));
	assert_true(span_equal(object_label(revision, "app"), SPAN("web")));
	assert_true(span_equal(object_label(revision, "controller.kubernetes.io/hash"), span_skip(name, 4)));
	APPLY(k, 1, "", "two");
	ready_all(k);
	assert_true(span_equal(image_kept(revision_numbered(k, 2)), SPAN("two")));
	APPLY(k, 1, "", "one"); /* back: the same one, with the highest number */
	ready_all(k);
	assert_int_equal(value_count(kit_list(k, &resource_controller_revisions)), 2);
	assert_null(revision_numbered(k, 1));
	assert_true(span_equal(object_name(revision_numbered(k, 3)), name));
	assert_image(k, "web-0", "one");
	kit_done(k);
}

static void only_as_many_revisions_are_kept_as_wanted(void **state)
{
	static const char *const images[] = { "one", "two", "three", "four" };
	struct kit *k = started();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		APPLY(k, 1, "'revisionHistoryLimit':1,", images[i]);
		ready_all(k);
	}
	assert_int_equal(value_count(kit_list(k, &resource_controller_revisions)), 2);
	assert_non_null(revision_numbered(k, 4));
	assert_true(span_equal(image_kept(revision_numbered(k, 3)), SPAN("three")));
	kit_done(k);
}

static void a_name_that_is_taken_is_passed_over(void **state)
{
	struct kit *k = started();
	struct span name;
	char text[64];

	(void)state;
	APPLY(k, 0, "", "one");
	name = object_name(revision_numbered(k, 1));
	snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(name));
	kit_delete(k, &resource_stateful_sets, "web");
	kit_settle(k);
	assert_null(kit_get(k, &resource_controller_revisions, text));
	kit_apply(k, &resource_controller_revisions,
		  "{'apiVersion':'apps/v1','kind':'ControllerRevision','metadata':{'name':'%s','namespace':'default'},"
		  "'revision':7,'data':{}}",
		  text);
	APPLY(k, 0, "", "one");
	assert_int_equal(count_of(k, "collisionCount"), 1);
	assert_false(span_equal(value_find_string(set_status(k), "updateRevision"), span_of(text)));
	assert_int_equal(value_count(kit_list(k, &resource_controller_revisions)), 2);
	kit_done(k);
}

/* ---- claims ---- */

static const struct value *claim(struct kit *k, const char *name)
{
	return kit_get(k, &resource_persistent_volume_claims, name);
}

static void a_claim_is_made_before_its_pod_and_stays(void **state)
{
	struct kit *k = started();
	const struct value *pod, *volume;

	(void)state;
	APPLY(k, 2, CLAIMS, "one");
	assert_non_null(claim(k, "data-web-0"));
	assert_null(claim(k, "data-web-1"));
	assert_true(span_equal(object_label(claim(k, "data-web-0"), "app"), SPAN("web")));
	assert_true(span_equal(object_label(claim(k, "data-web-0"), "of"), SPAN("us")));
	assert_int_equal(value_count(value_find(claim(k, "data-web-0"), "metadata.ownerReferences")), 0);
	assert_true(has_event(k, "SuccessfulCreate", "create Claim data-web-0 Pod web-0 in StatefulSet web success"));
	pod = kit_get(k, &resource_pods, "web-0");
	volume = value_item(value_find(pod, "spec.volumes"), 0);
	assert_true(span_equal(value_find_string(volume, "name"), SPAN("data")));
	assert_true(span_equal(value_find_string(volume, "persistentVolumeClaim.claimName"), SPAN("data-web-0")));
	ready_all(k);
	assert_non_null(claim(k, "data-web-1"));
	APPLY(k, 1, CLAIMS, "one");
	assert_pods(k, "web-0");
	assert_non_null(claim(k, "data-web-1"));
	kit_done(k);
}

static void a_claim_that_cannot_be_made_holds_the_pod_back(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(
	    k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'data-web-0','namespace':'default',"
	    "'finalizers':['test/hold']},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':"
	    "'1Gi'}}}}");
	kit_delete(k, &resource_persistent_volume_claims, "data-web-0");
	APPLY(k, 1, CLAIMS, "one");
	assert_pods(k, "");
	assert_true(has_event(k, "FailedCreate",
			      "create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted"));
	kit_apply(
	    k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'data-web-0','namespace':'default'},"
	    "'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}");
	assert_pods(k, "web-0");
	assert_non_null(claim(k, "data-web-0"));
	assert_false(object_is_ending(claim(k, "data-web-0")));
	kit_done(k);
}

#define RETENTION(deleted, scaled)                                                                                     \
	"'persistentVolumeClaimRetentionPolicy':{'whenDeleted':'" deleted "','whenScaled':'" scaled "'},"

/* "StatefulSet/web" */
static void assert_owner(struct kit *k, const char *name, const char *owner)
{
	const struct value *owners = value_find(claim(k, name), "metadata.ownerReferences");
	char text[100] = "";

	assert_non_null(claim(k, name));
	if (value_count(owners))
		snprintf(text, sizeof(text), SPAN_FMT "/" SPAN_FMT "%s",
			 SPAN_ARG(value_find_string(value_item(owners, 0), "kind")),
			 SPAN_ARG(value_find_string(value_item(owners, 0), "name")),
			 value_count(owners) > 1 ? "+" : "");
	assert_string_equal(text, owner);
}

static void the_retention_policy_is_kept_by_owners(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY_ON_NODE(k, 2, CLAIMS RETENTION("Delete", "Retain"), "one");
	ready_all(k);
	assert_owner(k, "data-web-0", "StatefulSet/web");
	assert_owner(k, "data-web-1", "StatefulSet/web");
	assert_false(has_event(k, "SuccessfulUpdate", ""));
	APPLY_ON_NODE(k, 2, CLAIMS RETENTION("Retain", "Retain"), "one");
	assert_owner(k, "data-web-0", "");
	assert_true(has_event(k, "SuccessfulUpdate", "update Pod web-0 in StatefulSet web successful"));
	APPLY_ON_NODE(k, 2, CLAIMS RETENTION("Delete", "Delete"), "one");
	assert_owner(k, "data-web-0", "StatefulSet/web");
	assert_owner(k, "data-web-1", "StatefulSet/web");
	APPLY_ON_NODE(k, 1, CLAIMS RETENTION("Delete", "Delete"), "one");
	assert_owner(k, "data-web-0", "StatefulSet/web");
	assert_owner(k, "data-web-1", "Pod/web-1");
	assert_true(object_is_ending(kit_get(k, &resource_pods, "web-1")));
	kit_bury(k);
	kit_settle(k);
	assert_true(!claim(k, "data-web-1") || object_is_ending(claim(k, "data-web-1")));
	assert_false(object_is_ending(claim(k, "data-web-0")));
	kit_done(k);
}

static void a_pod_waits_until_the_claim_of_the_one_before_is_gone(void **state)
{
#define HELD_CLAIMS                                                                                                    \
	"'volumeClaimTemplates':[{'metadata':{'name':'data','finalizers':['test/hold']},'spec':{'accessModes':["       \
	"'ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}]," RETENTION("Retain", "Delete")
	struct kit *k = started();
	struct span uid;

	(void)state;
	APPLY(k, 1, HELD_CLAIMS, "one");
	ready_all(k);
	uid = value_find_string(claim(k, "data-web-0"), "metadata.uid");
	APPLY(k, 0, HELD_CLAIMS, "one");
	kit_settle(k);
	assert_owner(k, "data-web-0", "Pod/web-0");
	assert_false(has_event(k, "SuccessfulUpdate", ""));
	APPLY(k, 1, HELD_CLAIMS, "one");
	assert_pods(k, "");
	kit_apply(
	    k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'data-web-0','namespace':'default'},"
	    "'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}");
	assert_pods(k, "web-0");
	assert_false(span_equal(value_find_string(claim(k, "data-web-0"), "metadata.uid"), uid));
	kit_done(k);
}

static void a_claim_that_somebody_else_controls_is_left_alone(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(k, &resource_pods,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'keeper','namespace':'default'},'spec':{"
		  "'containers':[{'name':'a','image':'b'}]}}");
	kit_apply(
	    k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'data-web-0','namespace':'default',"
	    "'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'keeper','uid':'" SPAN_FMT
	    "','controller':true}]},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':"
	    "'1Gi'}}}}",
	    SPAN_ARG(value_find_string(kit_get(k, &resource_pods, "keeper"), "metadata.uid")));
	APPLY(k, 1, CLAIMS RETENTION("Delete", "Retain"), "one");
	ready_all(k);
	assert_pods(k, "keeper web-0");
	assert_owner(k, "data-web-0", "Pod/keeper");
	assert_true(has_event(k, "ConflictingController", "PersistentVolumeClaim data-web-0 has a conflicting"));
	kit_done(k);
}

/* ---- what comes from outside ---- */

static void a_pod_of_a_fitting_name_is_adopted(void **state)
{
	struct kit *k = started();
	static const char *const names[] = { "web-0", "web-01", "other" };
	const struct value *pod;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		kit_apply(k, &resource_pods,
			  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{"
			  "'app':'web'}},'spec':{'containers':[{'name':'a','image':'b'}]}}",
			  names[i]);
	APPLY(k, 1, "'updateStrategy':{'type':'OnDelete'},", "one");
	ready_all(k);
	assert_pods(k, "other web-0 web-01");
	pod = kit_get(k, &resource_pods, "web-0");
	assert_true(object_controller(pod).len > 0);
	assert_true(span_equal(object_label(pod, "statefulset.kubernetes.io/pod-name"), SPAN("web-0")));
	assert_true(span_equal(object_label(pod, "apps.kubernetes.io/pod-index"), SPAN("0")));
	assert_true(has_event(k, "SuccessfulUpdate", "update Pod web-0 in StatefulSet web successful"));
	assert_int_equal(object_controller(kit_get(k, &resource_pods, "web-01")).len, 0);
	assert_int_equal(object_controller(kit_get(k, &resource_pods, "other")).len, 0);
	kit_label(k, &resource_pods, "web-0", "app", "elsewhere");
	assert_int_equal(object_controller(kit_get(k, &resource_pods, "web-0")).len, 0);
	kit_done(k);
}

static void what_cannot_be_made_is_told(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(k, &resource_stateful_sets, SET, 2, "", "'serviceAccountName':'missing',", "one");
	kit_advance(k, 1);
	assert_pods(k, "");
	assert_true(has_event(k, "FailedCreate", "create Pod web-0 in StatefulSet web failed error: "));
	assert_int_equal(count_of(k, "observedGeneration"), 1);
	kit_done(k);
}

static void a_set_of_too_many_pods_goes_step_by_step(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, 2000000000, "", "one");
	assert_pods(k, "web-0");
	kit_ready(k, -1);
	assert_pods(k, "web-0 web-1");
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_are_made_one_after_the_other),
		cmocka_unit_test(parallel_pods_wait_for_nobody),
		cmocka_unit_test(the_last_pod_goes_first_and_the_next_waits_for_it),
		cmocka_unit_test(a_pod_that_is_not_ready_holds_back_those_behind_it),
		cmocka_unit_test(numbers_may_start_anywhere),
		cmocka_unit_test(min_ready_seconds_hold_the_next_one),
		cmocka_unit_test(a_pod_that_ended_is_deleted_and_made_again),
		cmocka_unit_test(a_set_that_is_deleted_makes_nothing),
		cmocka_unit_test(a_new_template_replaces_pods_from_the_last),
		cmocka_unit_test(parallel_pods_are_replaced_one_by_one_too),
		cmocka_unit_test(a_partition_keeps_those_before_it_as_they_were),
		cmocka_unit_test(on_delete_waits_for_somebody_to_delete),
		cmocka_unit_test(what_the_template_was_is_kept),
		cmocka_unit_test(only_as_many_revisions_are_kept_as_wanted),
		cmocka_unit_test(a_name_that_is_taken_is_passed_over),
		cmocka_unit_test(a_claim_is_made_before_its_pod_and_stays),
		cmocka_unit_test(a_claim_that_cannot_be_made_holds_the_pod_back),
		cmocka_unit_test(the_retention_policy_is_kept_by_owners),
		cmocka_unit_test(a_pod_waits_until_the_claim_of_the_one_before_is_gone),
		cmocka_unit_test(a_claim_that_somebody_else_controls_is_left_alone),
		cmocka_unit_test(a_pod_of_a_fitting_name_is_adopted),
		cmocka_unit_test(what_cannot_be_made_is_told),
		cmocka_unit_test(a_set_of_too_many_pods_goes_step_by_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
