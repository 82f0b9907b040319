/* SPDX-License-Identifier: Apache-2.0 */
/* job_test - Jobs against an API server, with the clock and the nodes played. */
#include "controllers/job.h"
#include "controllers/kit.h"

#include <stdio.h>

#include "base/clock.h"

/* more of the spec, more of the template's spec */
#define JOB                                                                                                            \
	"{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'work','namespace':'default'},'spec':{%s"            \
	"'template':{'metadata':{'labels':{'app':'work'}},'spec':{%s'restartPolicy':'%s','containers':[{'name':"       \
	"'main','image':'x'}]}}}}"
/* Their pods are of a node: they take a while to end. */
#define APPLY(k, more)       kit_apply(k, &resource_jobs, JOB, more, "'nodeName':'one',", "Never")
#define SET(k, member, json) kit_spec(k, &resource_jobs, "work", member, json)

static const char *const jobs_only[] = { "job-controller", "ttl-after-finished-controller", NULL };

static struct kit *started(void)
{
	return kit_new(jobs_only);
}

static const struct value *status_of(struct kit *k)
{
	const struct value *job = kit_get(k, &resource_jobs, "work");

	assert_non_null(job);
	return value_find(job, "status");
}

static int64_t count_of(struct kit *k, const char *member)
{
	return value_find_int(status_of(k), member, 0);
}

/* "Suspended=False/JobResumed Complete=True/CompletionsReached " */
static void assert_conditions(struct kit *k, const char *expected)
{
	const struct value *list = value_find(status_of(k), "conditions");
	char got[1024] = "";

	for (uint32_t i = 0; i < value_count(list); i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), SPAN_FMT "=" SPAN_FMT "/" SPAN_FMT " ",
			 SPAN_ARG(value_find_string(value_item(list, i), "type")),
			 SPAN_ARG(value_find_string(value_item(list, i), "status")),
			 SPAN_ARG(value_find_string(value_item(list, i), "reason")));
	assert_string_equal(got, expected);
}

static bool is_tracked(const struct value *pod)
{
	return value_count(value_find(pod, "metadata.finalizers")) > 0;
}

static bool is_over(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

static int pods_count(struct kit *k, bool (*which)(const struct value *pod))
{
	const struct value *pods = kit_list(k, &resource_pods);
	int count = 0;

	for (uint32_t i = 0; i < value_count(pods); i++)
		count += which(value_item(pods, i));
	return count;
}

static bool is_any(const struct value *pod)
{
	(void)pod;
	return true;
}

/* The pod ends with this exit code. */
static void pod_end(struct kit *k, const struct value *pod, int code)
{
	char status[512], name[300], now[64];

	snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(object_name(pod)));
	now[clock_print_rfc3339(k->now_ns / NS_PER_S * NS_PER_S, now)] = '\0';
	snprintf(
	    status, sizeof(status),
	    "{\"phase\":\"%s\",\"containerStatuses\":[{\"name\":\"main\",\"image\":\"x\",\"imageID\":\"\","
	    "\"ready\":false,\"restartCount\":0,\"state\":{\"terminated\":{\"exitCode\":%d,\"finishedAt\":\"%s\"}}}]}",
	    code ? "Failed" : "Succeeded", code, now);
	kit_status(k, &resource_pods, name, status);
}

/* So many of those that run, in the order of their names; -1: all. Returns how many there were. */
static int pods_end(struct kit *k, int count, int code)
{
	const struct value *pods = kit_list(k, &resource_pods);
	int done = 0;

	for (uint32_t i = 0; i < value_count(pods) && done != count; i++) {
		if (!pod_is_active(value_item(pods, i)))
			continue;
		pod_end(k, value_item(pods, i), code);
		done++;
	}
	return done;
}

/* The one of an index that has not ended. */
static const struct value *pod_of(struct kit *k, int index)
{
	const struct value *pods = kit_list(k, &resource_pods);
	char text[16];

	snprintf(text, sizeof(text), "%d", index);
	for (uint32_t i = 0; i < value_count(pods); i++)
		if (pod_is_active(value_item(pods, i)) &&
		    span_equal(object_label(value_item(pods, i), "batch.kubernetes.io/job-completion-index"),
			       span_of(text)))
			return value_item(pods, i);
	return NULL;
}

static void index_end(struct kit *k, int index, int code)
{
	const struct value *pod = pod_of(k, index);

	assert_non_null(pod);
	pod_end(k, pod, code);
}

static bool has_event_from(struct kit *k, const char *reason, const char *start)
{
	const struct value *events = kit_list(k, &resource_events);

	for (uint32_t i = 0; i < value_count(events); i++)
		if (span_equal(value_find_string(value_item(events, i), "reason"), span_of(reason)) &&
		    span_starts(value_find_string(value_item(events, i), "message"), span_of(start)))
			return true;
	return false;
}

static bool has_event(struct kit *k, const char *reason, const char *message)
{
	return has_event_from(k, reason, message);
}

#define assert_status_text(k, member, text)                                                                            \
	assert_true(span_equal(value_find_string(status_of(k), member), span_of(text)))

/* ---- to the end ---- */

static void a_job_runs_its_pods_to_completion(void **state)
{
	struct kit *k = started();
	const struct value *pod;

	(void)state;
	APPLY(k, "'completions':3,'parallelism':2,");
	assert_int_equal(pods_count(k, is_any), 2);
	assert_int_equal(count_of(k, "active"), 2);
	assert_int_equal(count_of(k, "ready"), 0);
	assert_non_null(value_find(status_of(k), "startTime"));
	assert_non_null(value_find(status_of(k), "uncountedTerminatedPods"));
	pod = value_item(kit_list(k, &resource_pods), 0);
	assert_true(span_starts(object_name(pod), SPAN("work-")));
	assert_true(is_tracked(pod));
	kit_ready(k, 1);
	assert_int_equal(count_of(k, "ready"), 1);
	kit_advance(k, 5);
	assert_int_equal(pods_end(k, -1, 0), 2);
	assert_int_equal(count_of(k, "succeeded"), 2);
	assert_int_equal(count_of(k, "active"), 1);
	assert_conditions(k, "");
	assert_int_equal(pods_end(k, -1, 0), 1);
	assert_conditions(k, "SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ");
	assert_int_equal(count_of(k, "succeeded"), 3);
	assert_int_equal(count_of(k, "active"), 0);
	assert_int_equal(pods_count(k, is_tracked), 0);
	assert_int_equal(pods_count(k, is_any), 3);
	assert_int_equal(object_time(status_of(k), "completionTime"), k->now_ns);
	assert_true(has_event(k, "Completed", "Job completed"));
	kit_done(k);
}

/* Neither deleted pods nor calls without end change what was counted. */
static void ends_are_counted_once(void **state)
{
	struct kit *k = started();
	const struct value *pods;

	(void)state;
	APPLY(k, "'completions':4,'parallelism':2,");
	pods_end(k, 2, 0);
	assert_int_equal(count_of(k, "succeeded"), 2);
	pods = kit_list(k, &resource_pods);
	for (uint32_t i = 0; i < value_count(pods); i++) {
		char name[300];

		snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(object_name(value_item(pods, i))));
		if (is_over(value_item(pods, i)))
			kit_delete(k, &resource_pods, name);
	}
	for (int i = 0; i < 5; i++)
		kit_advance(k, 60);
	assert_int_equal(count_of(k, "succeeded"), 2);
	assert_int_equal(count_of(k, "active"), 2);
	assert_true(value_is_empty(value_find(status_of(k), "uncountedTerminatedPods")));
	kit_done(k);
}

static void a_queue_of_work_ends_with_its_first_success(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'parallelism':3,");
	assert_int_equal(pods_count(k, is_any), 3);
	pods_end(k, 1, 0);
	assert_int_equal(pods_count(k, is_any), 3);
	assert_conditions(k, "");
	pods_end(k, 2, 0);
	assert_conditions(k, "SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ");
	kit_done(k);
}

/* ---- failures ---- */

static void failures_are_retried_later_each_time(void **state)
{
	static const int waits[] = { 10, 20, 40, 80, 160, 320, 600, 600 };
	struct kit *k = started();

	(void)state;
	APPLY(k, "'backoffLimit':20,");
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_int_equal(pods_end(k, -1, 1), 1);
		assert_int_equal(count_of(k, "failed"), i + 1);
		kit_advance(k, waits[i] - 1);
		assert_int_equal(count_of(k, "active"), 0);
		kit_advance(k, 1);
		assert_int_equal(count_of(k, "active"), 1);
	}
	kit_done(k);
}

static void too_many_failures_fail_the_job(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'backoffLimit':1,'parallelism':2,'completions':5,");
	pods_end(k, 1, 3);
	assert_conditions(k, "");
	kit_advance(k, 10);
	assert_int_equal(pods_end(k, 1, 3), 1);
	assert_conditions(k, "FailureTarget=True/BackoffLimitExceeded ");
	assert_int_equal(count_of(k, "terminating"), 1);
	assert_int_equal(count_of(k, "failed"), 3);
	kit_bury(k);
	assert_conditions(k, "FailureTarget=True/BackoffLimitExceeded Failed=True/BackoffLimitExceeded ");
	assert_int_equal(count_of(k, "terminating"), 0);
	assert_null(value_find(status_of(k), "completionTime"));
	assert_true(has_event(k, "BackoffLimitExceeded", "Job has reached the specified backoff limit"));
	kit_done(k);
}

static void a_deadline_ends_what_runs(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'activeDeadlineSeconds':30,");
	kit_advance(k, 29);
	assert_conditions(k, "");
	kit_advance(k, 1);
	kit_bury(k);
	assert_conditions(k, "FailureTarget=True/DeadlineExceeded Failed=True/DeadlineExceeded ");
	assert_int_equal(count_of(k, "failed"), 1);
	assert_int_equal(pods_count(k, is_any), 0);
	kit_done(k);
}

static void a_deleted_pod_is_replaced_after_a_while(void **state)
{
	struct kit *k = started();
	char name[300];

	(void)state;
	APPLY(k, "");
	kit_ready(k, -1);
	snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(object_name(value_item(kit_list(k, &resource_pods), 0))));
	kit_advance(k, 5);
	kit_delete(k, &resource_pods, name);
	assert_int_equal(count_of(k, "failed"), 1);
	kit_advance(k, 10);
	assert_int_equal(count_of(k, "active"), 1);
	assert_null(kit_get(k, &resource_pods, name));
	kit_done(k);
}

#define POLICY                                                                                                         \
	"'podFailurePolicy':{'rules':[{'action':'FailJob','onExitCodes':{'operator':'In','values':[42]}},"             \
	"{'action':'Ignore','onPodConditions':[{'type':'DisruptionTarget'}]},"                                         \
	"{'action':'Ignore','onExitCodes':{'operator':'In','values':[7]}}]},"

static void a_policy_says_what_a_failure_means(void **state)
{
	struct kit *k = started();
	char text[400];

	(void)state;
	APPLY(k, "'backoffLimit':0," POLICY);
	pods_end(k, -1, 7);
	assert_conditions(k, "");
	assert_int_equal(count_of(k, "failed"), 0);
	assert_int_equal(pods_count(k, is_tracked), 0);
	kit_advance(k, 10);
	assert_int_equal(count_of(k, "active"), 1);
	for (uint32_t i = 0; i < value_count(kit_list(k, &resource_pods)); i++)
		if (pod_is_active(value_item(kit_list(k, &resource_pods), i)))
			snprintf(text, sizeof(text),
				 "Container main for pod default/" SPAN_FMT
				 " failed with exit code 42 matching FailJob rule at index 0",
				 SPAN_ARG(object_name(value_item(kit_list(k, &resource_pods), i))));
	pods_end(k, -1, 42);
	assert_conditions(k, "FailureTarget=True/PodFailurePolicy Failed=True/PodFailurePolicy ");
	assert_true(has_event(k, "PodFailurePolicy", text));
	kit_done(k);
}

static void pods_that_end_are_waited_for_where_only_failed_ones_are_replaced(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'podReplacementPolicy':'Failed','suspend':false,");
	kit_ready(k, -1);
	SET(k, "suspend", "true");
	assert_int_equal(count_of(k, "terminating"), 1);
	SET(k, "suspend", "false");
	assert_int_equal(count_of(k, "active"), 0);
	kit_bury(k);
	assert_int_equal(count_of(k, "active"), 1);
	kit_done(k);
}

/* ---- suspended ---- */

static void a_suspended_job_has_no_pods(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'suspend':true,'parallelism':2,'completions':2,");
	assert_int_equal(pods_count(k, is_any), 0);
	assert_null(value_find(status_of(k), "startTime"));
	assert_conditions(k, "Suspended=True/JobSuspended ");
	assert_true(has_event(k, "Suspended", "Job suspended"));
	kit_advance(k, 100);
	SET(k, "suspend", "false");
	assert_conditions(k, "Suspended=False/JobResumed ");
	assert_true(has_event(k, "Resumed", "Job resumed"));
	assert_int_equal(count_of(k, "active"), 2);
	assert_int_equal(object_time(status_of(k), "startTime"), k->now_ns);
	kit_ready(k, -1);
	kit_advance(k, 100);
	SET(k, "suspend", "true");
	kit_bury(k);
	assert_int_equal(pods_count(k, is_any), 0);
	assert_int_equal(count_of(k, "failed"), 0);
	assert_conditions(k, "Suspended=True/JobSuspended ");
	SET(k, "suspend", "false");
	assert_int_equal(count_of(k, "active"), 2);
	pods_end(k, -1, 0);
	assert_conditions(k, "Suspended=False/JobResumed SuccessCriteriaMet=True/CompletionsReached "
			     "Complete=True/CompletionsReached ");
	kit_done(k);
}

/* Changes of pods that come late, as those of another connection do, or are refused. */
static struct {
	struct cluster_ops ops;
	const struct cluster_ops *before;
	struct cluster_write kept[4];
	size_t count, begun, refusals;
	struct kit *k;
	struct timer timer;
} late;

static void late_fire(struct timer *t)
{
	(void)t;
	while (late.begun < late.count)
		late.before->write(late.k->api.cluster, &late.kept[late.begun++]);
}

static void late_keep(const struct cluster_write *w)
{
	struct arena *arena = &late.k->api.arena;
	struct cluster_write *kept = &late.kept[late.count++];
	struct error err = { 0 };

	assert_true(late.count <= ARRAY_LEN(late.kept));
	*kept = *w;
	kept->object = ARENA_NEW(arena, struct value, &err);
	assert_true(value_copy(w->object, arena, kept->object, &err));
	kept->name_space = arena_copy(arena, w->name_space, &err);
	kept->name = arena_copy(arena, w->name, &err);
	loop_timer_set(late.k->api.loop, &late.timer, clock_monotonic_ns() + NS_PER_MS, late_fire);
}

static void late_write(struct cluster *c, const struct cluster_write *w)
{
	struct error err = { 0 };

	if (w->verb != KUBE_UPDATE || w->resource != &resource_pods) {
		late.before->write(c, w);
		return;
	}
	if (late.count < late.refusals) {
		late.count = ++late.begun;
		error_set(&err, ERROR_CONFLICT, "it has been changed");
		w->done(w->context, NULL, &err);
		return;
	}
	late_keep(w);
}

static void late_begin(struct kit *k, size_t refusals)
{
	memset(&late, 0, sizeof(late));
	late.k = k;
	late.refusals = refusals;
	late.before = k->api.cluster->ops;
	late.ops = *late.before;
	late.ops.write = late_write;
	k->api.cluster->ops = &late.ops;
}

static void a_pod_is_deleted_after_its_finalizer_is_gone(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'parallelism':2,'completions':2,");
	kit_ready(k, -1);
	late_begin(k, 0);
	SET(k, "suspend", "true");
	assert_int_equal(late.begun, 2);
	kit_bury(k);
	assert_int_equal(pods_count(k, is_any), 0);
	assert_int_equal(count_of(k, "failed"), 0);
	kit_done(k);
}

static void a_pod_that_keeps_its_finalizer_is_not_deleted(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'parallelism':2,'completions':2,");
	kit_ready(k, -1);
	late_begin(k, 1);
	SET(k, "suspend", "true");
	kit_advance(k, 1);
	assert_int_equal(late.begun, 3);
	kit_bury(k);
	assert_int_equal(pods_count(k, is_any), 0);
	assert_int_equal(count_of(k, "failed"), 0);
	kit_done(k);
}

static void parallelism_may_change(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'parallelism':4,'completions':8,");
	kit_ready(k, 2);
	SET(k, "parallelism", "2");
	kit_bury(k);
	assert_int_equal(count_of(k, "active"), 2);
	assert_int_equal(count_of(k, "ready"), 2); /* those that are not ready go first */
	assert_int_equal(count_of(k, "failed"), 0);
	SET(k, "parallelism", "0");
	kit_bury(k);
	assert_int_equal(count_of(k, "active"), 0);
	SET(k, "parallelism", "9");
	assert_int_equal(count_of(k, "active"), 8);
	kit_done(k);
}

/* ---- indexed ---- */

static void indexes_are_told_to_pods(void **state)
{
	struct kit *k = started();
	const struct value *pod, *env;

	(void)state;
	APPLY(k, "'completionMode':'Indexed','completions':5,'parallelism':3,");
	pod = pod_of(k, 2);
	assert_non_null(pod);
	assert_true(span_starts(object_name(pod), SPAN("work-2-")));
	assert_true(span_equal(value_find_string(pod, "spec.hostname"), SPAN("work-2")));
	assert_true(span_equal(object_annotation(pod, "batch.kubernetes.io/job-completion-index"), SPAN("2")));
	env = value_find(value_item(value_find(pod, "spec.containers"), 0), "env");
	assert_true(span_equal(value_find_string(value_item(env, 0), "name"), SPAN("JOB_COMPLETION_INDEX")));
	assert_true(span_equal(value_find_string(value_item(env, 0), "valueFrom.fieldRef.fieldPath"),
			       SPAN("metadata.labels['batch.kubernetes.io/job-completion-index']")));
	index_end(k, 1, 0);
	assert_status_text(k, "completedIndexes", "1");
	index_end(k, 0, 0);
	index_end(k, 3, 0);
	assert_status_text(k, "completedIndexes", "0,1,3");
	index_end(k, 2, 1); /* comes again */
	assert_int_equal(count_of(k, "failed"), 1);
	kit_advance(k, 10);
	index_end(k, 2, 0);
	assert_status_text(k, "completedIndexes", "0-3");
	index_end(k, 4, 0);
	assert_status_text(k, "completedIndexes", "0-4");
	assert_int_equal(count_of(k, "succeeded"), 5);
	assert_conditions(k, "SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ");
	kit_done(k);
}

static void each_index_has_its_own_limit(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'completionMode':'Indexed','completions':3,'parallelism':3,'backoffLimitPerIndex':1,");
	assert_true(
	    span_equal(object_annotation(pod_of(k, 0), "batch.kubernetes.io/job-index-failure-count"), SPAN("0")));
	index_end(k, 0, 1);
	assert_null(pod_of(k, 0));
	assert_int_equal(pods_count(k, is_tracked), 3); /* the one that failed is kept until another has its count */
	kit_advance(k, 10);
	assert_true(
	    span_equal(object_annotation(pod_of(k, 0), "batch.kubernetes.io/job-index-failure-count"), SPAN("1")));
	assert_int_equal(count_of(k, "failed"), 1);
	index_end(k, 0, 1);
	assert_status_text(k, "failedIndexes", "0");
	assert_conditions(k, "");
	kit_advance(k, 100);
	assert_null(pod_of(k, 0));
	index_end(k, 1, 0);
	index_end(k, 2, 0);
	assert_conditions(k, "FailureTarget=True/FailedIndexes Failed=True/FailedIndexes ");
	assert_status_text(k, "completedIndexes", "1,2");
	assert_int_equal(count_of(k, "failed"), 2);
	kit_done(k);
}

static void too_many_failed_indexes_fail_the_job(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'completionMode':'Indexed','completions':5,'parallelism':5,'backoffLimitPerIndex':0,"
		 "'maxFailedIndexes':1,");
	index_end(k, 4, 1);
	assert_conditions(k, "");
	index_end(k, 1, 1);
	kit_bury(k);
	assert_conditions(k, "FailureTarget=True/MaxFailedIndexesExceeded Failed=True/MaxFailedIndexesExceeded ");
	assert_status_text(k, "failedIndexes", "1,4");
	assert_int_equal(count_of(k, "failed"), 5);
	kit_done(k);
}

static void a_leader_may_decide_the_success(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k,
	      "'completionMode':'Indexed','completions':4,'parallelism':4,"
	      "'successPolicy':{'rules':[{'succeededIndexes':'0,2-3','succeededCount':2},{'succeededIndexes':'1'}]},");
	kit_ready(k, -1);
	index_end(k, 0, 0);
	assert_conditions(k, "");
	index_end(k, 3, 0);
	assert_conditions(k, "SuccessCriteriaMet=True/SuccessPolicy ");
	assert_int_equal(count_of(k, "terminating"), 2);
	kit_bury(k);
	assert_conditions(k, "SuccessCriteriaMet=True/SuccessPolicy Complete=True/SuccessPolicy ");
	assert_int_equal(count_of(k, "failed"), 0);
	assert_int_equal(count_of(k, "succeeded"), 2);
	kit_done(k);
}

/* ---- pods of others, and what is left ---- */

static void pods_of_a_job_that_is_gone_lose_their_finalizer(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'parallelism':2,'completions':2,");
	assert_int_equal(pods_count(k, is_tracked), 2);
	kit_delete(k, &resource_jobs, "work");
	assert_null(kit_get(k, &resource_jobs, "work"));
	kit_bury(k);
	assert_int_equal(pods_count(k, is_any), 0);
	kit_done(k);
}

static void pods_that_are_left_behind_lose_their_finalizer(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(k, &resource_pods,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'own','namespace':'default',"
		  "'finalizers':['batch.kubernetes.io/job-tracking','example.com/mine'],"
		  "'labels':{'batch.kubernetes.io/job-name':'gone'}},"
		  "'spec':{'restartPolicy':'Never','containers':[{'name':'main','image':'x'}]}}");
	assert_int_equal(value_count(value_find(kit_get(k, &resource_pods, "own"), "metadata.finalizers")), 1);
	kit_done(k);
}

static void a_job_made_anew_does_not_keep_the_pods_of_the_first(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'parallelism':2,'completions':2,");
	kit_delete(k, &resource_jobs, "work");
	APPLY(k, "'parallelism':1,'completions':1,");
	kit_bury(k);
	assert_int_equal(pods_count(k, is_any), 1);
	pods_end(k, -1, 0);
	assert_int_equal(count_of(k, "succeeded"), 1);
	kit_done(k);
}

static void a_pod_is_tracked_while_it_is_the_job_s(void **state)
{
	struct kit *k = started();
	const struct value *pod;

	(void)state;
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'own','namespace':'default','labels':{'app':'work'}},"
	    "'spec':{'restartPolicy':'Never','containers':[{'name':'main','image':'x'}]}}");
	APPLY(k, "'manualSelector':true,'selector':{'matchLabels':{'app':'work'}},");
	pod = kit_get(k, &resource_pods, "own");
	assert_true(is_tracked(pod));
	assert_true(
	    span_equal(object_controller(pod), value_find_string(kit_get(k, &resource_jobs, "work"), "metadata.uid")));
	assert_int_equal(pods_count(k, is_any), 1);
	kit_label(k, &resource_pods, "own", "app", "other");
	pod = kit_get(k, &resource_pods, "own");
	assert_false(is_tracked(pod));
	assert_int_equal(object_controller(pod).len, 0);
	assert_int_equal(pods_count(k, is_any), 2);
	kit_done(k);
}

static void pods_that_may_not_be_made_are_tried_one_at_a_time(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(k, &resource_jobs, JOB, "'parallelism':5,'completions':5,", "'serviceAccountName':'nobody',",
		  "Never");
	for (int i = 0; i < 5; i++)
		kit_advance(k, 1);
	assert_int_equal(pods_count(k, is_any), 0);
	assert_int_equal(count_of(k, "active"), 0);
	assert_true(has_event_from(k, "FailedCreate", "Error creating: "));
	kit_done(k);
}

static void a_finished_job_goes_after_its_time(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'ttlSecondsAfterFinished':60,");
	kit_advance(k, 600);
	pods_end(k, -1, 0);
	assert_conditions(k, "SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ");
	kit_advance(k, 59);
	assert_non_null(kit_get(k, &resource_jobs, "work"));
	kit_advance(k, 1);
	assert_null(kit_get(k, &resource_jobs, "work"));
	kit_bury(k);
	assert_int_equal(pods_count(k, is_any), 0);
	kit_done(k);
}

static void a_job_of_another_controller_is_left_alone(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "'managedBy':'example.com/other',");
	assert_int_equal(pods_count(k, is_any), 0);
	kit_done(k);
}

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	assert_null(err);
}

static void many_pods_are_counted_in_parts(void **state)
{
	struct value ended = value_object(), *pods;
	struct kit *k = started();
	struct error err = { 0 };

	(void)state;
	APPLY(k, "'parallelism':600,'completions':600,");
	assert_int_equal(count_of(k, "active"), 600);
	pods = kit_list(k, &resource_pods);
	(void)value_set(&ended, SPAN("phase"), value_string(SPAN("Succeeded")), &k->api.arena, &err);
	for (uint32_t i = 0; i < value_count(pods); i++) { /* all at once */
		struct value *pod = value_item(pods, i);
		struct cluster_write w = { .resource = &resource_pods,
					   .verb = KUBE_UPDATE,
					   .subresource = SPAN_INIT("status"),
					   .name_space = SPAN_INIT("default"),
					   .name = object_name(pod),
					   .manager = SPAN_INIT("test"),
					   .object = pod,
					   .done = written };

		(void)value_set(pod, SPAN("status"), ended, &k->api.arena, &err);
		cluster_write(k->api.cluster, &w);
	}
	kit_settle(k);
	assert_int_equal(count_of(k, "succeeded"), 600);
	assert_conditions(k, "SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ");
	kit_done(k);
}

/* ---- sets of indexes ---- */

static void sets_of_indexes_join_and_print(void **state)
{
	static const struct {
		const char *a, *b, *text;
	} rows[] = {
		{ "", "", "" },
		{ "1", "2", "1,2" },
		{ "1,3", "2", "1-3" },
		{ "0-4,9", "3-8", "0-9" },
		{ "7,x,9-8,12", "50", "7,12,50" },
		{ "98-200", "", "98,99" },
	};
	struct error err = { 0 };
	struct arena arena;
	struct reconcile r = { .arena = &arena, .err = &err };

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct indexes a = indexes_read(&r, span_of(rows[i].a), 100);
		struct indexes b = indexes_read(&r, span_of(rows[i].b), 100);
		struct span text = indexes_text(&r, indexes_join(&r, a, b)).string;

		if (!span_equal(text, span_of(rows[i].text)))
			fail_msg("%s and %s: " SPAN_FMT, rows[i].a, rows[i].b, SPAN_ARG(text));
	}
	assert_int_equal(indexes_shared(indexes_read(&r, SPAN("0-4,9"), 100), indexes_read(&r, SPAN("3-9"), 100)), 3);
	assert_true(indexes_have(indexes_read(&r, SPAN("0-4,9"), 100), 9));
	assert_false(indexes_have(indexes_read(&r, SPAN("0-4,9"), 100), 5));
	assert_int_equal(err.code, ERROR_NONE);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_runs_its_pods_to_completion),
		cmocka_unit_test(ends_are_counted_once),
		cmocka_unit_test(a_queue_of_work_ends_with_its_first_success),
		cmocka_unit_test(failures_are_retried_later_each_time),
		cmocka_unit_test(too_many_failures_fail_the_job),
		cmocka_unit_test(a_deadline_ends_what_runs),
		cmocka_unit_test(a_deleted_pod_is_replaced_after_a_while),
		cmocka_unit_test(a_policy_says_what_a_failure_means),
		cmocka_unit_test(pods_that_end_are_waited_for_where_only_failed_ones_are_replaced),
		cmocka_unit_test(a_suspended_job_has_no_pods),
		cmocka_unit_test(a_pod_is_deleted_after_its_finalizer_is_gone),
		cmocka_unit_test(a_pod_that_keeps_its_finalizer_is_not_deleted),
		cmocka_unit_test(parallelism_may_change),
		cmocka_unit_test(indexes_are_told_to_pods),
		cmocka_unit_test(each_index_has_its_own_limit),
		cmocka_unit_test(too_many_failed_indexes_fail_the_job),
		cmocka_unit_test(a_leader_may_decide_the_success),
		cmocka_unit_test(pods_of_a_job_that_is_gone_lose_their_finalizer),
		cmocka_unit_test(pods_that_are_left_behind_lose_their_finalizer),
		cmocka_unit_test(a_job_made_anew_does_not_keep_the_pods_of_the_first),
		cmocka_unit_test(a_pod_is_tracked_while_it_is_the_job_s),
		cmocka_unit_test(pods_that_may_not_be_made_are_tried_one_at_a_time),
		cmocka_unit_test(a_finished_job_goes_after_its_time),
		cmocka_unit_test(a_job_of_another_controller_is_left_alone),
		cmocka_unit_test(many_pods_are_counted_in_parts),
		cmocka_unit_test(sets_of_indexes_join_and_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
