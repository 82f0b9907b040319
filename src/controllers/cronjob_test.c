/* SPDX-License-Identifier: Apache-2.0 */
/* cronjob_test - CronJobs against an API server, with the clock played; it begins at 2027-01-15T08:00:00Z. */
#include "controllers/kit.h"

#include <stdio.h>

#include "base/clock.h"

/* name, schedule, more of the spec */
#define CRON                                                                                                           \
	"{'apiVersion':'batch/v1','kind':'CronJob','metadata':{'name':'tick','namespace':'default'},'spec':{"          \
	"'schedule':'%s',%s'jobTemplate':{'metadata':{'labels':{'a':'b'},'annotations':{'c':'d'}},'spec':{"            \
	"'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'main','image':'x'}]}}}}}}"
#define APPLY(k, schedule, more) kit_apply(k, &resource_cron_jobs, CRON, schedule, more)
#define SET(k, member, json)     kit_spec(k, &resource_cron_jobs, "tick", member, json)
#define START_MINUTE             INT64_C(30000000)

static const char *const cron_only[] = { "cronjob-controller", NULL };

static struct kit *started(void)
{
	return kit_new(cron_only);
}

static const struct value *status_of(struct kit *k)
{
	const struct value *cron = kit_get(k, &resource_cron_jobs, "tick");

	assert_non_null(cron);
	return value_find(cron, "status");
}

static uint32_t active_count(struct kit *k)
{
	return value_count(member(status_of(k), "active"));
}

static uint32_t jobs_count(struct kit *k)
{
	return value_count(kit_list(k, &resource_jobs));
}

/* The job for so many minutes after the beginning; NULL: it is not there. */
static const struct value *job_at(struct kit *k, int64_t minute, char *ret_name)
{
	snprintf(ret_name, 64, "tick-%lld", (long long)(START_MINUTE + minute));
	return kit_get(k, &resource_jobs, ret_name);
}

static void assert_job(struct kit *k, int64_t minute, bool is_there)
{
	char name[64];

	if ((job_at(k, minute, name) != NULL) != is_there)
		fail_msg("%s is %s", name, is_there ? "not there" : "there");
}

static void job_end(struct kit *k, int64_t minute, const char *type)
{
	char status[1200], now[64], name[64];
	bool is_good = strcmp(type, "Complete") == 0;

	assert_non_null(job_at(k, minute, name));
	now[clock_print_rfc3339(k->now_ns / NS_PER_S * NS_PER_S, now)] = '\0';
	snprintf(status, sizeof(status),
		 "{\"startTime\":\"%s\",%s%s%s\"conditions\":[{\"type\":\"%s\",\"status\":\"True\"},"
		 "{\"type\":\"%s\",\"status\":\"True\"}]}",
		 now, is_good ? "\"completionTime\":\"" : "", is_good ? now : "", is_good ? "\"," : "",
		 is_good ? "SuccessCriteriaMet" : "FailureTarget", type);
	kit_status(k, &resource_jobs, name, status);
}

static int events_count(struct kit *k, const char *reason, const char *start)
{
	const struct value *events = kit_list(k, &resource_events);
	int count = 0;

	for (uint32_t i = 0; i < value_count(events); i++)
		count += span_equal(value_find_string(value_item(events, i), "reason"), span_of(reason)) &&
			 span_starts(value_find_string(value_item(events, i), "message"), span_of(start));
	return count;
}

/* ---- */

static void a_job_is_made_each_time(void **state)
{
	struct kit *k = started();
	const struct value *job;
	char name[64];

	(void)state;
	APPLY(k, "*/5 * * * *", "'timeZone':'Asia/Kolkata',");
	assert_int_equal(jobs_count(k), 0);
	kit_advance(k, 300);
	assert_int_equal(jobs_count(k), 0); /* a tenth of a second later */
	kit_advance(k, 1);
	job = job_at(k, 5, name);
	assert_non_null(job);
	assert_true(span_equal(object_controller(job),
			       value_find_string(kit_get(k, &resource_cron_jobs, "tick"), "metadata.uid")));
	assert_true(span_equal(object_annotation(job, "batch.kubernetes.io/cronjob-scheduled-timestamp"),
			       SPAN("2027-01-15T13:35:00+05:30")));
	assert_true(span_equal(object_annotation(job, "c"), SPAN("d")));
	assert_true(span_equal(object_label(job, "a"), SPAN("b")));
	assert_int_equal(active_count(k), 1);
	assert_true(
	    span_equal(value_find_string(value_item(member(status_of(k), "active"), 0), "name"), span_of(name)));
	assert_true(span_equal(value_find_string(status_of(k), "lastScheduleTime"), SPAN("2027-01-15T08:05:00Z")));
	assert_int_equal(events_count(k, "SuccessfulCreate", "Created job tick-30000005"), 1);
	assert_int_equal(events_count(k, "UnexpectedJob", ""), 0);
	kit_advance(k, 300);
	assert_int_equal(jobs_count(k), 2);
	assert_int_equal(active_count(k), 2); /* Allow */
	kit_done(k);
}

static void what_has_ended_is_noted_and_kept_for_a_while(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "*/5 * * * *", "'successfulJobsHistoryLimit':2,'failedJobsHistoryLimit':1,");
	for (int i = 1; i <= 6; i++) {
		kit_advance(k, 300 + (i == 1));
		job_end(k, 5 * i, i % 3 ? "Complete" : "Failed");
		assert_int_equal(active_count(k), 0);
	}
	assert_int_equal(events_count(k, "SawCompletedJob", "Saw completed job: tick-30000005, condition: Complete"),
			 1);
	assert_int_equal(events_count(k, "SawCompletedJob", "Saw completed job: tick-30000015, condition: Failed"), 1);
	assert_int_equal(object_time(status_of(k), "lastSuccessfulTime"),
			 k->now_ns / NS_PER_S * NS_PER_S - 300 * NS_PER_S);
	assert_int_equal(jobs_count(k), 3);
	assert_job(k, 20, true);
	assert_job(k, 25, true);
	assert_job(k, 30, true);
	assert_int_equal(events_count(k, "SuccessfulDelete", "Deleted job tick-"), 3);
	kit_done(k);
}

static void forbid_waits_for_the_job_that_runs(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "* * * * *", "'concurrencyPolicy':'Forbid',");
	kit_advance(k, 61);
	assert_job(k, 1, true);
	kit_advance(k, 60);
	kit_advance(k, 60);
	assert_int_equal(jobs_count(k), 1);
	assert_true(events_count(k, "JobAlreadyActive", "Not starting job because prior execution is running") > 0);
	kit_advance(k, 10);
	job_end(k, 1, "Complete"); /* the last time that was missed is made up for */
	assert_job(k, 3, true);
	assert_job(k, 2, false);
	kit_done(k);
}

static void replace_deletes_the_job_that_runs(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "* * * * *", "'concurrencyPolicy':'Replace',");
	kit_advance(k, 61);
	assert_job(k, 1, true);
	kit_advance(k, 60);
	assert_job(k, 1, false);
	assert_job(k, 2, true);
	assert_int_equal(active_count(k), 1);
	assert_int_equal(events_count(k, "SuccessfulDelete", "Deleted job tick-30000001"), 1);
	assert_int_equal(events_count(k, "MissingJob", ""), 0);
	kit_done(k);
}

static void a_suspended_one_makes_none_and_makes_up_for_the_last(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "0 * * * *", "'suspend':true,");
	kit_advance(k, 5 * 3600 + 60);
	assert_int_equal(jobs_count(k), 0);
	SET(k, "suspend", "false");
	assert_int_equal(jobs_count(k), 1);
	assert_job(k, 300, true);
	assert_int_equal(events_count(k, "TooManyMissedTimes", ""), 0);
	kit_done(k);
}

static void after_its_deadline_a_job_is_not_started(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "0 * * * *", "'suspend':true,'startingDeadlineSeconds':30,");
	kit_advance(k, 3600 + 31);
	SET(k, "suspend", "false");
	assert_int_equal(jobs_count(k), 0);
	SET(k, "suspend", "true");
	kit_advance(k, 3600 - 31 + 29);
	SET(k, "suspend", "false");
	assert_job(k, 120, true);
	assert_int_equal(jobs_count(k), 1);
	kit_done(k);
}

static void many_missed_times_are_told(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "* * * * *", "'suspend':true,");
	kit_advance(k, 60 * 102);
	SET(k, "suspend", "false");
	assert_job(k, 102, true);
	assert_int_equal(jobs_count(k), 1);
	assert_true(events_count(k, "TooManyMissedTimes", "too many missed start times.") > 0);
	kit_done(k);
}

static void a_new_schedule_is_for_the_time_to_come(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "0 * * * *", "");
	kit_advance(k, 10 * 60);
	SET(k, "schedule", "\"5 * * * *\""); /* was five minutes ago */
	assert_int_equal(jobs_count(k), 0);
	SET(k, "schedule", "\"15 * * * *\"");
	kit_advance(k, 5 * 60 + 1);
	assert_job(k, 15, true);
	assert_int_equal(jobs_count(k), 1);
	kit_done(k);
}

static void a_job_that_is_gone_is_not_active(void **state)
{
	struct kit *k = started();
	char name[64];

	(void)state;
	APPLY(k, "*/5 * * * *", "");
	kit_advance(k, 301);
	assert_non_null(job_at(k, 5, name));
	kit_delete(k, &resource_jobs, name);
	assert_int_equal(active_count(k), 0);
	assert_int_equal(events_count(k, "MissingJob", "Active job went missing: tick-30000005"), 1);
	assert_int_equal(jobs_count(k), 0); /* it is not made again */
	kit_done(k);
}

static void jobs_of_others_are_left_alone(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_apply(
	    k, &resource_jobs,
	    "{'apiVersion':'batch/v1','kind':'Job','metadata':{'name':'tick-30000001','namespace':'default'},'spec':{"
	    "'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'main','image':'x'}]}}}}");
	APPLY(k, "* * * * *", "");
	kit_advance(k, 61);
	assert_int_equal(active_count(k), 0);
	assert_int_equal(jobs_count(k), 1);
	kit_advance(k, 60);
	assert_job(k, 2, true);
	assert_int_equal(active_count(k), 1);
	kit_done(k);
}

static void every_so_often_counts_from_the_last_job(void **state)
{
	struct kit *k = started();

	(void)state;
	kit_advance(k, 20);
	APPLY(k, "@every 90s", "");
	kit_advance(k, 91);
	assert_int_equal(object_time(status_of(k), "lastScheduleTime") / NS_PER_S, START_MINUTE * 60 + 110);
	kit_advance(k, 90);
	assert_int_equal(object_time(status_of(k), "lastScheduleTime") / NS_PER_S, START_MINUTE * 60 + 200);
	assert_int_equal(jobs_count(k), 2);
	kit_done(k);
}

static void a_schedule_without_times_is_told(void **state)
{
	struct kit *k = started();

	(void)state;
	APPLY(k, "0 0 31 2 *", "");
	assert_int_equal(events_count(k, "InvalidSchedule", "invalid schedule: 0 0 31 2 * : "), 1);
	kit_advance(k, 86400);
	assert_int_equal(jobs_count(k), 0);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_is_made_each_time),
		cmocka_unit_test(what_has_ended_is_noted_and_kept_for_a_while),
		cmocka_unit_test(forbid_waits_for_the_job_that_runs),
		cmocka_unit_test(replace_deletes_the_job_that_runs),
		cmocka_unit_test(a_suspended_one_makes_none_and_makes_up_for_the_last),
		cmocka_unit_test(after_its_deadline_a_job_is_not_started),
		cmocka_unit_test(many_missed_times_are_told),
		cmocka_unit_test(a_new_schedule_is_for_the_time_to_come),
		cmocka_unit_test(a_job_that_is_gone_is_not_active),
		cmocka_unit_test(jobs_of_others_are_left_alone),
		cmocka_unit_test(every_so_often_counts_from_the_last_job),
		cmocka_unit_test(a_schedule_without_times_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
