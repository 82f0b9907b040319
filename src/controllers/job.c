/* SPDX-License-Identifier: Apache-2.0 */
/* job - pods that run until so many of them have succeeded, or too many failed. */
#include "controllers/job.h"

#include "base/clock.h"

#define MANAGED_BY "kubernetes.io/job-controller"

/* ---- conditions ---- */

bool job_condition(struct job *j, const char *type, const char *status, struct span reason, struct span message)
{
	struct value *list = put_array(j->r, j->status, "conditions"), fresh = value_object();
	struct value now = time_text(j->r, j->r->now_ns);
	uint32_t i = 0;

	while (i < list->array.count && !span_equal(value_find_string(value_item(list, i), "type"), span_of(type)))
		i++;
	if (i == list->array.count && strcmp(status, "False") == 0)
		return false;
	if (i < list->array.count && condition_is(j->status, type, status) &&
	    span_equal(value_find_string(value_item(list, i), "reason"), reason) &&
	    span_equal(value_find_string(value_item(list, i), "message"), message))
		return false;
	put(j->r, &fresh, "type", value_string(span_of(type)));
	put(j->r, &fresh, "status", value_string(span_of(status)));
	put(j->r, &fresh, "lastProbeTime", now);
	put(j->r, &fresh, "lastTransitionTime", now);
	put(j->r, &fresh, "reason", value_string(reason));
	put(j->r, &fresh, "message", value_string(message));
	if (i < list->array.count)
		*value_item(list, i) = fresh;
	else
		put_item(j->r, list, fresh);
	return true;
}

static bool is_finished(const struct value *object)
{
	const struct value *status = member(object, "status");

	return condition_is(status, "Complete", "True") || condition_is(status, "Failed", "True");
}

/* ---- pods that lost their job ---- */

struct sweep {
	struct reconcile *r;
	struct span uid;    /* of the job there is; empty: none */
	struct span quoted; /* its name, as JSON has it */
	struct value *pods;
};

static bool is_left_over(const struct sweep *s, const struct value *pod)
{
	const struct value *owners = value_find(pod, "metadata.ownerReferences");
	struct span owner = object_controller(pod), name = object_label(pod, "batch.kubernetes.io/job-name");

	if (!owner.len)
		return span_equal(name, s->r->name);
	if (s->uid.len && span_equal(owner, s->uid))
		return false;
	for (uint32_t i = 0; i < value_count(owners); i++) {
		const struct value *o = value_item(owners, i);

		if (span_equal(value_find_string(o, "uid"), owner))
			return span_equal(value_find_string(o, "kind"), SPAN("Job")) &&
			       span_equal(value_find_string(o, "name"), s->r->name);
	}
	return false;
}

static bool sweep_one(void *context, struct record *record)
{
	struct sweep *s = context;
	const struct value *pod;

	/* Most are told by what costs little. */
	if ((s->uid.len && record_is_owned(record, s->uid)) || !record_mentions(record, SPAN(JOB_FINALIZER)) ||
	    !record_mentions(record, s->quoted))
		return true;
	pod = cluster_object(s->r->cluster, &resource_pods, record, s->r->arena, s->r->err);
	if (pod && is_left_over(s, pod))
		put_item(s->r, s->pods, *pod);
	return pod != NULL;
}

/* Their finalizers would hold them for ever. */
static void left_over_untrack(struct reconcile *r)
{
	struct value found = value_array();
	struct sweep s = { .r = r, .pods = &found };

	s.quoted = text_print(r, "\"%.*s\"", (int)r->name.len, r->name.ptr).string;
	if (r->object)
		s.uid = value_find_string(r->object, "metadata.uid");
	cluster_each(r->cluster, &resource_pods, r->name_space, sweep_one, &s);
	for (uint32_t i = 0; i < value_count(&found); i++)
		job_pod_untrack(r, value_item(&found, i));
}

static void finished_untrack(struct reconcile *r)
{
	const struct value *pods = reconcile_owned(r, &resource_pods);

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *list = value_find(value_item(pods, i), "metadata.finalizers");

		for (uint32_t k = 0; k < value_count(list); k++)
			if (span_equal(value_item(list, k)->string, SPAN(JOB_FINALIZER)))
				job_pod_untrack(r, value_item(pods, i));
	}
}

/* ---- what decides the end ---- */

static void end_set(struct job *j, const char *type, struct span reason, struct span message)
{
	j->end = (struct job_end){ type, reason, message };
}

/* What was decided before, and stands. */
static bool end_stored(struct job *j)
{
	static const char *const types[] = { "SuccessCriteriaMet", "FailureTarget" };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct value *c = condition_find(j->before, types[i]);

		if (condition_is(j->before, types[i], "True")) {
			end_set(j, types[i], value_find_string(c, "reason"), value_find_string(c, "message"));
			return true;
		}
	}
	return false;
}

static bool fails_by_policy(struct job *j)
{
	struct span message = { 0 };

	for (uint32_t i = 0; i < j->pod_count; i++) {
		const struct job_pod *p = &j->pods[i];

		if (p->is_failed && job_policy_action(j, p->pod, &message) == ACTION_FAIL_JOB) {
			end_set(j, "FailureTarget", SPAN("PodFailurePolicy"), message);
			return true;
		}
	}
	return false;
}

static bool has_restarted_too_often(const struct job *j, int64_t limit)
{
	int64_t restarts;

	if (!span_equal(value_find_string(j->spec, "template.spec.restartPolicy"), SPAN("OnFailure")))
		return false;
	restarts = job_restarts(j);
	return limit ? restarts >= limit : restarts > 0;
}

static bool fails_by_limit(struct job *j)
{
	int64_t limit = value_find_int(j->spec, "backoffLimit", 6);

	if (j->failed <= limit && !has_restarted_too_often(j, limit))
		return false;
	end_set(j, "FailureTarget", SPAN("BackoffLimitExceeded"), SPAN("Job has reached the specified backoff limit"));
	return true;
}

static bool fails_by_deadline(struct job *j)
{
	int64_t seconds = value_find_int(j->spec, "activeDeadlineSeconds", -1), at;

	if (seconds < 0 || j->is_suspended)
		return false;
	at = object_time(j->status, "startTime") + seconds * NS_PER_S;
	if (at > j->r->now_ns) {
		reconcile_again(j->r, at);
		return false;
	}
	end_set(j, "FailureTarget", SPAN("DeadlineExceeded"), SPAN("Job was active longer than specified deadline"));
	return true;
}

static bool fails_by_indexes(struct job *j)
{
	const struct value *most = member(j->spec, "maxFailedIndexes");
	int64_t failed = indexes_total(j->failed_indexes);

	if (!j->has_limit_per_index)
		return false;
	if (most && failed > value_find_int(j->spec, "maxFailedIndexes", 0))
		end_set(j, "FailureTarget", SPAN("MaxFailedIndexesExceeded"),
			SPAN("Job has exceeded the specified maximal number of failed indexes"));
	else if (failed && failed + indexes_total(j->done) >= j->completions)
		end_set(j, "FailureTarget", SPAN("FailedIndexes"), SPAN("Job has failed indexes"));
	return j->end.type != NULL;
}

static void end_decide(struct job *j)
{
	struct span message = { 0 };

	if (end_stored(j) || fails_by_policy(j) || fails_by_limit(j) || fails_by_deadline(j) || fails_by_indexes(j))
		return;
	if (j->is_indexed && job_policy_success(j, &message))
		end_set(j, "SuccessCriteriaMet", SPAN("SuccessPolicy"), message);
}

/* ---- suspended and resumed ---- */

static void suspension_tell(struct job *j)
{
	struct reconcile *r = j->r;

	if (j->is_suspended) {
		if (job_condition(j, "Suspended", "True", SPAN("JobSuspended"), SPAN("Job suspended")))
			reconcile_event(r, "Normal", "Suspended", "Job suspended");
	} else if (job_condition(j, "Suspended", "False", SPAN("JobResumed"), SPAN("Job resumed"))) {
		reconcile_event(r, "Normal", "Resumed", "Job resumed");
		/* Deadlines count the time that it is active without a break. */
		put(r, j->status, "startTime", time_text(r, r->now_ns));
	}
}

static void go_on(struct job *j)
{
	if (!j->is_ending)
		job_pods_manage(j);
	if (j->active == 0 && (j->completions < 0 ? j->succeeded > 0 : j->succeeded >= j->completions))
		end_set(j, "SuccessCriteriaMet", SPAN("CompletionsReached"),
			SPAN("Reached expected number of succeeded pods"));
	else if (!j->is_ending)
		suspension_tell(j);
}

/* ---- the call ---- */

/* Ends that are stored as counted, those that are stored to be counted, and those that are new. */
static void ends_total(struct job *j)
{
	const struct value *uncounted = member(j->before, "uncountedTerminatedPods");
	const struct value *succeeded = member(uncounted, "succeeded"), *failed = member(uncounted, "failed");

	j->succeeded = value_find_int(j->before, "succeeded", 0) + value_count(succeeded);
	j->failed = value_find_int(j->before, "failed", 0) + value_count(failed);
	for (uint32_t i = 0; i < j->pod_count; i++) {
		struct job_pod *p = &j->pods[i];

		for (uint32_t k = 0; k < value_count(succeeded); k++)
			p->is_noted |= span_equal(value_item(succeeded, k)->string, p->uid);
		for (uint32_t k = 0; k < value_count(failed); k++)
			p->is_noted |= span_equal(value_item(failed, k)->string, p->uid);
		if (p->is_noted || !job_pod_counts(j, p))
			continue;
		j->succeeded += p->is_succeeded;
		j->failed += p->is_failed && p->action != ACTION_IGNORE;
	}
}

static bool job_read(struct job *j, struct reconcile *r)
{
	const struct value *spec = member(r->object, "spec");

	*j = (struct job){ .r = r,
			   .spec = spec,
			   .before = member(r->object, "status"),
			   .object = object_copy(r, r->object),
			   .completions = value_find_int(spec, "completions", -1),
			   .parallelism = value_find_int(spec, "parallelism", 1),
			   .is_indexed = span_equal(value_find_string(spec, "completionMode"), SPAN("Indexed")),
			   .is_suspended = value_find_bool(spec, "suspend"),
			   .is_ending = object_is_ending(r->object) };
	j->has_limit_per_index = j->is_indexed && member(spec, "backoffLimitPerIndex");
	j->replaces_failed_only = member(spec, "podFailurePolicy") ||
				  span_equal(value_find_string(spec, "podReplacementPolicy"), SPAN("Failed"));
	j->status = put_object(r, j->object, "status");
	return job_pods_read(j);
}

static void status_write(struct job *j)
{
	struct value *status = j->status;

	put_count(j->r, status, "active", j->active);
	put(j->r, status, "ready", value_int(j->ready));
	put(j->r, status, "terminating", value_int(j->terminating));
	if (!value_count(value_get(status, SPAN("conditions"))))
		(void)value_remove(status, SPAN("conditions"));
	reconcile_status(j->r, &resource_jobs, j->before, j->object);
}

static void reconcile(struct reconcile *r)
{
	struct span by = value_find_string(r->object, "spec.managedBy");
	struct job j;

	left_over_untrack(r);
	if (!r->object || (by.len && !span_equal(by, SPAN(MANAGED_BY))))
		return;
	if (is_finished(r->object)) {
		finished_untrack(r);
		return;
	}
	if (!job_read(&j, r))
		return;
	ends_total(&j);
	if (j.is_indexed)
		job_indexes_read(&j);
	if (!member(j.status, "startTime") && !j.is_suspended)
		put(r, j.status, "startTime", time_text(r, r->now_ns));
	end_decide(&j);
	if (j.end.type)
		job_pods_end(&j);
	else
		go_on(&j);
	job_count(&j);
	status_write(&j);
}

/* Pods that a job had which is gone. */
static void unowned(struct manager *m, const struct controller *c, const struct value *pod)
{
	struct span name = object_label(pod, "batch.kubernetes.io/job-name");

	if (name.len)
		manager_wake(m, c, value_find_string(pod, "metadata.namespace"), name);
}

static const struct resource *const owned[] = { &resource_pods, NULL };

const struct controller controller_job = {
	.name = "job-controller",
	.component = "job-controller",
	.resource = &resource_jobs,
	.owned = owned,
	.unowned = unowned,
	.finalizer = JOB_FINALIZER,
	.reconcile = reconcile,
};
