/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cronjob - a Job each time that a schedule says.
 *
 * A job's name is made of the minute it is for, so that none is made twice: it is made in one call, and put into the status in the next
 * one, which sees it. Without a time zone the schedule is UTC's.
 */
#include "controllers/objects.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "wire/schedule.h"

#define TIMESTAMP      "batch.kubernetes.io/cronjob-scheduled-timestamp"
#define MANY_MISSED    100
#define CLOCK_SLACK_NS (100 * NS_PER_MS) /* after the time: clocks differ */

struct cron {
	struct reconcile *r;
	const struct value *spec, *before; /* `before`: the status as it is stored */
	struct value *object, *status;     /* to be written */
	struct value *jobs;
	struct schedule schedule;
	const struct zone *zone;
	int64_t now; /* seconds, as all times here */
};

/* ---- jobs ---- */

/* "Complete", "Failed"; NULL: it has not ended. */
static const char *end_of(const struct value *job)
{
	static const char *const types[] = { "Complete", "Failed" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (condition_is(member(job, "status"), types[i], "True"))
			return types[i];
	return NULL;
}

static uint32_t active_index(const struct cron *c, struct span uid)
{
	const struct value *list = member(c->status, "active");
	uint32_t i = 0;

	while (i < value_count(list) && !span_equal(value_find_string(value_item(list, i), "uid"), uid))
		i++;
	return i;
}

static bool active_has(const struct cron *c, struct span uid)
{
	return active_index(c, uid) < value_count(member(c->status, "active"));
}

static void active_drop(struct cron *c, struct span uid)
{
	struct value *list = value_get(c->status, SPAN("active"));
	uint32_t i = active_index(c, uid);

	if (i < value_count(list))
		value_remove_item(list, i);
}

static void active_add(struct cron *c, const struct value *job)
{
	static const char *const members[] = { "namespace", "name", "uid", "resourceVersion" };
	const struct value *metadata = member(job, "metadata");
	struct value entry = value_object();

	put(c->r, &entry, "kind", value_string(SPAN("Job")));
	put(c->r, &entry, "apiVersion", value_string(SPAN("batch/v1")));
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		put(c->r, &entry, members[i], copied(c->r, member(metadata, members[i])));
	put_item(c->r, put_array(c->r, c->status, "active"), entry);
}

static void job_delete(struct cron *c, const struct value *job)
{
	struct span name = object_name(job);

	reconcile_delete(c->r, &resource_jobs, job);
	reconcile_report(c->r, "Delete", "Deleted job %.*s", (int)name.len, name.ptr);
	active_drop(c, value_find_string(job, "metadata.uid"));
}

/* ---- how the jobs there are stand ---- */

static void success_note(struct cron *c, const struct value *job)
{
	int64_t at = object_time(job, "status.completionTime");

	if (at > object_time(c->status, "lastSuccessfulTime"))
		put(c->r, c->status, "lastSuccessfulTime", copied(c->r, value_find(job, "status.completionTime")));
}

static void job_note(struct cron *c, const struct value *job)
{
	struct span uid = value_find_string(job, "metadata.uid"), name = object_name(job);
	const char *end = end_of(job);

	if (end && active_has(c, uid)) {
		active_drop(c, uid);
		reconcile_event(c->r, "Normal", "SawCompletedJob", "Saw completed job: %.*s, condition: %s",
				(int)name.len, name.ptr, end);
	} else if (!end && !active_has(c, uid) && !object_is_ending(job) && !object_annotation(job, TIMESTAMP).len) {
		reconcile_event(c->r, "Warning", "UnexpectedJob",
				"Saw a job that the controller did not create or forgot: %.*s", (int)name.len,
				name.ptr);
	}
	if (end && strcmp(end, "Complete") == 0)
		success_note(c, job);
}

static bool has_job(const struct cron *c, struct span uid)
{
	for (uint32_t i = 0; i < value_count(c->jobs); i++)
		if (span_equal(value_find_string(value_item(c->jobs, i), "metadata.uid"), uid))
			return true;
	return false;
}

static void jobs_note(struct cron *c)
{
	struct value *list = value_get(c->status, SPAN("active"));

	for (uint32_t i = 0; i < value_count(c->jobs); i++)
		job_note(c, value_item(c->jobs, i));
	for (uint32_t i = 0; i < value_count(list);) {
		struct span name = value_find_string(value_item(list, i), "name");

		if (has_job(c, value_find_string(value_item(list, i), "uid"))) {
			i++;
			continue;
		}
		reconcile_event(c->r, "Normal", "MissingJob", "Active job went missing: %.*s", (int)name.len, name.ptr);
		value_remove_item(list, i);
	}
}

static int compare_start(const void *first, const void *second)
{
	const struct value *a = *(const struct value *const *)first, *b = *(const struct value *const *)second;
	int64_t start_a = object_time(a, "status.startTime"), start_b = object_time(b, "status.startTime");
	struct span name_a = object_name(a), name_b = object_name(b);

	if (!start_a != !start_b)
		return start_a ? -1 : 1;
	if (start_a != start_b)
		return start_a < start_b ? -1 : 1;
	return strncmp(name_a.ptr, name_b.ptr, MIN(name_a.len, name_b.len));
}

/* Of those that ended so the oldest go, when there are more than are kept. */
static void history_trim(struct cron *c, const char *end, const char *limit)
{
	const struct value **list = ARENA_ARRAY(c->r->arena, const struct value *, value_count(c->jobs), c->r->err);
	int64_t most = value_find_int(c->spec, limit, -1);
	uint32_t count = 0;

	if (!list || most < 0)
		return;
	for (uint32_t i = 0; i < value_count(c->jobs); i++) {
		const struct value *job = value_item(c->jobs, i);

		if (end_of(job) && strcmp(end_of(job), end) == 0 && !object_is_ending(job))
			list[count++] = job;
	}
	if (count <= most)
		return;
	qsort(list, count, sizeof(*list), compare_start);
	for (uint32_t i = 0; i < count - most; i++)
		job_delete(c, list[i]);
}

/* ---- times ---- */

enum missed { MISSED_NONE, MISSED_FEW, MISSED_MANY };

/* Where the search for times begins: the last job's, or the object's own. */
static int64_t earliest_of(const struct cron *c, bool has_deadline)
{
	int64_t last = object_time(c->status, "lastScheduleTime"), deadline;
	int64_t at = (last ? last : object_time(c->object, "metadata.creationTimestamp")) / NS_PER_S;

	deadline = value_find_int(c->spec, "startingDeadlineSeconds", -1);
	return has_deadline && deadline >= 0 ? MAX(at, c->now - deadline) : at;
}

/* The last time that has come since `earliest`; *ret_at is 0 when there is none. False: the schedule has no times. */
static bool last_time(const struct cron *c, int64_t earliest, int64_t *ret_at, enum missed *ret_missed)
{
	int64_t first, second, gap, missed;

	*ret_at = 0;
	*ret_missed = MISSED_NONE;
	if (!schedule_next(&c->schedule, c->zone, earliest, &first))
		return false;
	if (c->now < first)
		return true;
	if (!schedule_next(&c->schedule, c->zone, first, &second) || c->now < second) {
		*ret_at = first;
		return true;
	}
	/* About so many, if all were as far apart as the first two. */
	gap = second - first;
	missed = (c->now - first) / gap + 1;
	*ret_missed = missed > MANY_MISSED ? MISSED_MANY : MISSED_FEW;
	if (!schedule_last(&c->schedule, c->zone, first + (missed - 2) * gap, c->now, ret_at))
		*ret_at = 0;
	return true;
}

static void again(struct cron *c)
{
	int64_t earliest = earliest_of(c, false), at, next;
	enum missed missed;

	if (!last_time(c, earliest, &at, &missed))
		at = c->now;
	else if (!at)
		at = missed == MISSED_NONE ? earliest : c->now;
	if (schedule_next(&c->schedule, c->zone, at, &next))
		reconcile_again(c->r, next * NS_PER_S + CLOCK_SLACK_NS);
}

/* "2026-11-21T04:00:00+01:00" */
static struct value zone_time_text(struct cron *c, int64_t at)
{
	int64_t offset = zone_at(c->zone, at).offset, local = at + offset, of_day = ((local % 86400) + 86400) % 86400;
	int64_t year, east = offset < 0 ? -offset : offset;
	unsigned month, day;
	char end[16] = "Z";

	calendar_date((local - of_day) / 86400, &year, &month, &day);
	if (offset)
		snprintf(end, sizeof(end), "%c%02d:%02d", offset < 0 ? '-' : '+', (int)(east / 3600),
			 (int)(east / 60 % 60));
	return text_print(c->r, "%04lld-%02u-%02uT%02d:%02d:%02d%s", (long long)year, month, day, (int)(of_day / 3600),
			  (int)(of_day / 60 % 60), (int)(of_day % 60), end);
}

/* ---- a job for a time ---- */

static struct span job_name(struct cron *c, int64_t at)
{
	struct span name = object_name(c->object);

	return text_print(c->r, "%.*s-%lld", (int)name.len, name.ptr, (long long)(at / 60)).string;
}

static void job_create(struct cron *c, int64_t at)
{
	static const char *const kept[] = { "labels", "annotations" };
	const struct value *template = member(c->spec, "jobTemplate");
	struct span name = job_name(c, at);
	struct value *job = object_new(c->r, &resource_jobs, name), *metadata;

	if (!job)
		return;
	metadata = put_object(c->r, job, "metadata");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (member(member(template, "metadata"), kept[i]))
			put(c->r, metadata, kept[i], copied(c->r, member(member(template, "metadata"), kept[i])));
	put(c->r, put_object(c->r, metadata, "annotations"), TIMESTAMP, zone_time_text(c, at));
	put_owner(c->r, job);
	put(c->r, job, "spec", copied(c->r, member(template, "spec")));
	reconcile_create(c->r, &resource_jobs, job);
	reconcile_report(c->r, "Create", "Created job %.*s", (int)name.len, name.ptr);
}

static void active_replace(struct cron *c)
{
	struct value *list = value_get(c->status, SPAN("active"));

	while (value_count(list)) {
		struct span uid = value_find_string(value_item(list, 0), "uid");

		for (uint32_t i = 0; i < value_count(c->jobs); i++)
			if (span_equal(value_find_string(value_item(c->jobs, i), "metadata.uid"), uid))
				job_delete(c, value_item(c->jobs, i));
		active_drop(c, uid);
	}
}

static bool is_policy(const struct cron *c, const char *policy)
{
	return span_equal(value_find_string(c->spec, "concurrencyPolicy"), span_of(policy));
}

static void miss_tell(struct cron *c, int64_t at)
{
	char text[CLOCK_HTTP_SIZE];

	(void)clock_print_http(at * NS_PER_S, text);
	reconcile_event(c->r, "Warning", "MissSchedule", "Missed scheduled time to start a job: %.25s +0000", text);
}

/* True: a job was made, or one that was made is put into the status. */
static bool job_start(struct cron *c, int64_t at)
{
	int64_t deadline = value_find_int(c->spec, "startingDeadlineSeconds", -1);
	struct span name = job_name(c, at), uid = value_find_string(c->object, "metadata.uid");
	const struct value *job;

	if (deadline >= 0 && at + deadline < c->now) {
		miss_tell(c, at);
		return false;
	}
	if (object_time(c->status, "lastScheduleTime") == at * NS_PER_S)
		return false;
	job = reconcile_get(c->r, &resource_jobs, c->r->name_space, name);
	if (job) {
		if (!span_equal(object_controller(job), uid) || active_has(c, value_find_string(job, "metadata.uid")))
			return false;
		active_add(c, job);
		put(c->r, c->status, "lastScheduleTime", time_text(c->r, at * NS_PER_S));
		return true;
	}
	if (is_policy(c, "Forbid") && value_count(member(c->status, "active"))) {
		reconcile_event(c->r, "Normal", "JobAlreadyActive",
				"Not starting job because prior execution is running and concurrency policy is Forbid");
		return false;
	}
	if (is_policy(c, "Replace"))
		active_replace(c);
	job_create(c, at);
	return true;
}

/* ---- the call ---- */

static bool schedule_read(struct cron *c)
{
	struct span text = value_find_string(c->spec, "schedule"), zone = value_find_string(c->spec, "timeZone");
	struct error err = { 0 };

	c->zone = zone_load(zone, c->r->arena, &err);
	if (!c->zone) {
		reconcile_event(c->r, "Warning", "UnknownTimeZone", "invalid timeZone: \"%.*s\": %s", (int)zone.len,
				zone.ptr, err.message);
		return false;
	}
	if (value_find_bool(c->spec, "suspend"))
		return false;
	if (memmem(text.ptr, text.len, "TZ", 2))
		reconcile_event(c->r, "Warning", "UnsupportedSchedule",
				"CRON_TZ or TZ used in schedule \"%.*s\" is not officially supported, see "
				"https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
				(int)text.len, text.ptr);
	if (schedule_parse(text, &c->schedule, &err) && c->schedule.zone.len)
		c->zone = zone_load(c->schedule.zone, c->r->arena, &err);
	if (!err.code)
		return true;
	reconcile_event(c->r, "Warning", "UnparseableSchedule", "unparseable schedule: \"%.*s\" : %s", (int)text.len,
			text.ptr, err.message);
	return false;
}

/* True: something was started. */
static bool schedule_follow(struct cron *c)
{
	struct span text = value_find_string(c->spec, "schedule");
	enum missed missed;
	bool has_started;
	int64_t at;

	if (!last_time(c, earliest_of(c, true), &at, &missed)) {
		reconcile_event(c->r, "Warning", "InvalidSchedule",
				"invalid schedule: %.*s : time difference between two schedules is less than 1 second",
				(int)text.len, text.ptr);
		return false;
	}
	if (at && missed == MISSED_MANY)
		reconcile_event(c->r, "Warning", "TooManyMissedTimes",
				"too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
				"clock skew");
	has_started = at && job_start(c, at);
	again(c);
	return has_started;
}

static void reconcile(struct reconcile *r)
{
	struct cron c = { .r = r,
			  .spec = member(r->object, "spec"),
			  .before = member(r->object, "status"),
			  .now = r->now_ns / NS_PER_S };

	if (!r->object)
		return;
	c.object = object_copy(r, r->object);
	c.status = put_object(r, c.object, "status");
	c.jobs = reconcile_owned(r, &resource_jobs);
	jobs_note(&c);
	/* What has just been started is in the status by the next call; none of it is tidied up before. */
	if (object_is_ending(r->object) || !schedule_read(&c) || !schedule_follow(&c)) {
		history_trim(&c, "Complete", "successfulJobsHistoryLimit");
		history_trim(&c, "Failed", "failedJobsHistoryLimit");
	}
	if (!value_count(value_get(c.status, SPAN("active"))))
		(void)value_remove(c.status, SPAN("active"));
	reconcile_status(r, &resource_cron_jobs, c.before, c.object);
}

/* A new schedule is for the time to come: what it would have said before is not made up for. */
static int64_t when(const struct value *before, const struct value *now, int64_t now_ns)
{
	static const char *const members[] = { "spec.schedule", "spec.timeZone" };
	struct cron c = { .spec = member(now, "spec"), .now = now_ns / NS_PER_S };
	struct error err = { 0 };
	struct arena arena;
	bool is_same = true;
	int64_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		is_same &= span_equal(value_find_string(before, members[i]), value_find_string(now, members[i]));
	if (is_same)
		return 0;
	arena_init(&arena, MIB(1));
	c.zone = zone_load(value_find_string(now, "spec.timeZone"), &arena, &err);
	if (c.zone && schedule_parse(value_find_string(now, "spec.schedule"), &c.schedule, &err) &&
	    schedule_next(&c.schedule, c.zone, c.now, &at))
		at = at * NS_PER_S + CLOCK_SLACK_NS;
	arena_done(&arena);
	return at;
}

static const struct resource *const owned[] = { &resource_jobs, NULL };

const struct controller controller_cronjob = {
	.name = "cronjob-controller",
	.component = "cronjob-controller",
	.resource = &resource_cron_jobs,
	.owned = owned,
	.when = when,
	.reconcile = reconcile,
};
