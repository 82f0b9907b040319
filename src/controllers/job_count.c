/* SPDX-License-Identifier: Apache-2.0 */
/* job_count - ends of pods are written down, their finalizers removed, the counters raised; then the job itself ends. */
#include "controllers/job.h"

#include <stdlib.h>

static bool has_uid(const struct value *list, struct span uid)
{
	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_is(value_item(list, i), VALUE_STRING) && span_equal(value_item(list, i)->string, uid))
			return true;
	return false;
}

static bool is_tracked(const struct job *j, struct span uid)
{
	for (uint32_t i = 0; i < j->pod_count; i++)
		if (j->pods[i].has_finalizer && span_equal(j->pods[i].uid, uid))
			return true;
	return false;
}

/* ---- counting: those whose finalizer is gone ---- */

static void list_count(struct job *j, struct value *uncounted, const char *name)
{
	struct value *list = value_get(uncounted, span_of(name));
	int64_t count = value_find_int(j->status, name, 0);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < value_count(list); i++) {
		struct value *uid = value_item(list, i);

		if (value_is(uid, VALUE_STRING) && is_tracked(j, uid->string))
			*value_item(list, kept++) = *uid;
		else
			count++;
	}
	if (!list)
		return;
	list->array.count = kept;
	if (!kept)
		(void)value_remove(uncounted, span_of(name));
	put_count(j->r, j->status, name, count);
}

/* ---- writing down ---- */

struct counting {
	struct job *j;
	struct value *uncounted;                        /* to be written */
	const struct value *was_succeeded, *was_failed; /* as they are stored */
	bool is_success, is_success_written;
	uint32_t noted, left; /* left: pods that have to lose their finalizer still */
};

static void note(struct counting *c, const char *list, struct span uid)
{
	put_item(c->j->r, put_array(c->j->r, c->uncounted, list), value_string(uid));
	c->noted++;
}

static bool is_over(const struct counting *c, const struct job_pod *p)
{
	const struct job_pod *kept;

	if (c->j->is_ending || c->j->end.type || p->is_succeeded)
		return true;
	if (!p->is_failed)
		return false;
	kept = p->index >= 0 ? job_kept_pod(c->j, p->index) : NULL;
	return !kept || kept != p;
}

/* True: what is to be known of it is stored. Else it is put where it will be. */
static bool pod_note(struct counting *c, const struct job_pod *p)
{
	const struct job *j = c->j;
	bool counts = job_pod_counts(j, p);

	if (has_uid(c->was_failed, p->uid))
		return true;
	if (p->is_succeeded && j->is_indexed) {
		if (!counts || indexes_have(j->done_before, p->index))
			return true;
		c->noted++; /* job_indexes_read() has it */
		return false;
	}
	if (p->is_succeeded) {
		if (has_uid(c->was_succeeded, p->uid))
			return true;
		note(c, "succeeded", p->uid);
		return false;
	}
	/* When the job has failed, so have those that run still; when it has succeeded they are neither. */
	if ((!p->is_failed || (c->is_success && p->is_terminating)) && (!j->end.type || c->is_success))
		return !j->end.type || c->is_success_written;
	if (!counts || job_policy_action(j, p->pod, NULL) == ACTION_IGNORE)
		return true;
	note(c, "failed", p->uid);
	return false;
}

static int compare_index(const void *first, const void *second)
{
	const struct job_pod *a = first, *b = second;

	return (a->index > b->index) - (a->index < b->index);
}

/* False: there are more than may be written down at once. */
static bool pods_note(struct counting *c)
{
	struct job *j = c->j;

	c->noted = value_count(value_get(c->uncounted, SPAN("succeeded"))) +
		   value_count(value_get(c->uncounted, SPAN("failed")));
	for (uint32_t i = 0; i < j->pod_count; i++) {
		const struct job_pod *p = &j->pods[i];

		if (!p->has_finalizer || !is_over(c, p))
			continue;
		if (pod_note(c, p))
			job_pod_untrack(j->r, p->pod);
		c->left++;
		if (c->noted >= JOB_UNCOUNTED_MOST)
			return false;
	}
	return true;
}

static void indexes_put(struct job *j)
{
	struct value text = indexes_text(j->r, j->done);

	put_count(j->r, j->status, "succeeded", indexes_total(j->done));
	if (text.string.len)
		put(j->r, j->status, "completedIndexes", text);
	else
		(void)value_remove(j->status, SPAN("completedIndexes"));
	if (j->has_limit_per_index)
		put(j->r, j->status, "failedIndexes", indexes_text(j->r, j->failed_indexes));
	else
		(void)value_remove(j->status, SPAN("failedIndexes"));
}

/* ---- the end ---- */

static void finish(struct job *j, bool is_success)
{
	struct reconcile *r = j->r;
	struct span reason;

	(void)job_condition(j, is_success ? "Complete" : "Failed", "True", j->end.reason, j->end.message);
	if (!is_success) {
		reason = arena_copy(r->arena, j->end.reason, r->err);
		reconcile_event(r, "Warning", reason.ptr, "%.*s", (int)j->end.message.len, j->end.message.ptr);
		return;
	}
	put(r, j->status, "completionTime", time_text(r, r->now_ns));
	if (j->completions >= 0 && value_find_int(j->status, "succeeded", 0) > j->completions)
		reconcile_event(r, "Warning", "TooManySucceededPods",
				"Too many succeeded pods running after completion count reached");
	reconcile_event(r, "Normal", "Completed", "Job completed");
}

void job_count(struct job *j)
{
	static const char *const lists[] = { "succeeded", "failed" };
	bool is_success = j->end.type && strcmp(j->end.type, "SuccessCriteriaMet") == 0;
	struct value *uncounted = put_object(j->r, j->status, "uncountedTerminatedPods");
	struct counting c = { .j = j,
			      .uncounted = uncounted,
			      .was_succeeded = value_find(j->before, "uncountedTerminatedPods.succeeded"),
			      .was_failed = value_find(j->before, "uncountedTerminatedPods.failed"),
			      .is_success = is_success,
			      .is_success_written = condition_is(j->before, "SuccessCriteriaMet", "True") };
	bool is_written = is_success ? c.is_success_written : condition_is(j->before, "FailureTarget", "True");

	if (j->is_indexed && j->pod_count)
		qsort(j->pods, j->pod_count, sizeof(*j->pods), compare_index);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_count(j, uncounted, lists[i]);
	(void)pods_note(&c);
	if (j->is_indexed)
		indexes_put(j);
	if (!j->end.type)
		return;
	if (!is_written)
		(void)job_condition(j, is_success ? "SuccessCriteriaMet" : "FailureTarget", "True", j->end.reason,
				    j->end.message);
	else if (!c.left && !c.noted && !j->terminating)
		finish(j, is_success);
}
