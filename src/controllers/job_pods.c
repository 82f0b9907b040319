/* SPDX-License-Identifier: Apache-2.0 */
/* job_pods - a job's pods as they are seen, and making and removing them. */
#include "controllers/job.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/number.h"

#define BACKOFF_LEAST_NS (10 * NS_PER_S) /* doubles with each failure */
#define BACKOFF_MOST_NS  (600 * NS_PER_S)
#define PREFIX_MOST      58 /* of a generated name */
#define INDEX_ENV        "JOB_COMPLETION_INDEX"

/* ---- seeing ---- */

static int64_t count_of_annotation(const struct value *pod, const char *name)
{
	int64_t n;

	return number_parse_int64(object_annotation(pod, name), &n) && n >= 0 && n <= INT32_MAX ? n : 0;
}

static bool list_has(const struct value *list, struct span text)
{
	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_is(value_item(list, i), VALUE_STRING) && span_equal(value_item(list, i)->string, text))
			return true;
	return false;
}

static bool is_phase(const struct value *pod, const char *phase)
{
	return span_equal(value_find_string(pod, "status.phase"), span_of(phase));
}

/* An init container that runs as long as the others do. */
static bool is_sidecar(const struct value *pod, struct span name)
{
	const struct value *list = value_find(pod, "spec.initContainers");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "name"), name))
			return span_equal(value_find_string(value_item(list, i), "restartPolicy"), SPAN("Always"));
	return false;
}

/* When the last of the containers ended; 0: not all of them have. */
static int64_t containers_finished(const struct value *pod)
{
	static const char *const lists[] = { "status.containerStatuses", "status.initContainerStatuses" };
	int64_t latest = 0;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		const struct value *list = value_find(pod, lists[k]);

		for (uint32_t i = 0; i < value_count(list); i++) {
			const struct value *s = value_item(list, i);
			int64_t at = object_time(s, "state.terminated.finishedAt");

			if (k && !is_sidecar(pod, value_find_string(s, "name")))
				continue;
			if (!at)
				return 0;
			latest = MAX(latest, at);
		}
	}
	return latest;
}

static int64_t finished_at(const struct value *pod)
{
	const struct value *ready = condition_find(member(pod, "status"), "Ready");
	int64_t at = containers_finished(pod);

	if (!at && span_equal(value_find_string(ready, "status"), SPAN("False")))
		at = object_time(ready, "lastTransitionTime");
	if (!at && object_is_ending(pod))
		at = object_time(pod, "metadata.deletionTimestamp") -
		     value_find_int(pod, "metadata.deletionGracePeriodSeconds", 0) * NS_PER_S;
	return at ? at : object_time(pod, "metadata.creationTimestamp");
}

static struct job_pod pod_read(const struct job *j, const struct value *pod)
{
	bool is_over = is_phase(pod, "Succeeded") || is_phase(pod, "Failed");
	struct job_pod p = { .pod = pod,
			     .uid = value_find_string(pod, "metadata.uid"),
			     .index = -1,
			     .failures = count_of_annotation(pod, JOB_FAILURES),
			     .ignored = count_of_annotation(pod, JOB_IGNORED),
			     .finished_ns = finished_at(pod),
			     .has_finalizer = list_has(value_find(pod, "metadata.finalizers"), SPAN(JOB_FINALIZER)),
			     .is_active = pod_is_active(pod),
			     .is_ready = pod_is_ready(pod),
			     .is_succeeded = is_phase(pod, "Succeeded"),
			     .is_terminating = object_is_ending(pod) && !is_over };
	int64_t index;

	if (number_parse_int64(object_annotation(pod, JOB_INDEX), &index) && index >= 0)
		p.index = index;
	p.is_failed = is_phase(pod, "Failed") || (p.is_terminating && !j->replaces_failed_only);
	if (p.is_failed)
		p.action = job_policy_action(j, pod, NULL);
	return p;
}

bool job_pods_read(struct job *j)
{
	const struct value *list = reconcile_claim(j->r, &resource_pods, value_find(j->spec, "selector"));

	j->pod_count = value_count(list);
	j->pods = ARENA_ARRAY(j->r->arena, struct job_pod, j->pod_count, j->r->err);
	for (uint32_t i = 0; j->pods && i < j->pod_count; i++) {
		struct job_pod *p = &j->pods[i];

		*p = pod_read(j, value_item(list, i));
		j->active += p->is_active;
		j->ready += p->is_active && p->is_ready;
		j->terminating += p->is_terminating;
	}
	return j->pods && !j->r->err->code;
}

bool job_pod_counts(const struct job *j, const struct job_pod *p)
{
	return p->has_finalizer && (!j->is_indexed || (p->index >= 0 && p->index < j->completions));
}

int64_t job_restarts(const struct job *j)
{
	static const char *const lists[] = { "status.initContainerStatuses", "status.containerStatuses" };
	int64_t count = 0;

	for (uint32_t i = 0; i < j->pod_count; i++) {
		const struct value *pod = j->pods[i].pod;

		for (size_t k = 0; k < ARRAY_LEN(lists) && (is_phase(pod, "Running") || is_phase(pod, "Pending"));
		     k++) {
			const struct value *list = value_find(pod, lists[k]);

			for (uint32_t n = 0; n < value_count(list); n++)
				count += value_find_int(value_item(list, n), "restartCount", 0);
		}
	}
	return count;
}

/* ---- back-off ---- */

static int64_t backoff_end(int64_t failures, int64_t last_ns)
{
	int64_t wait = BACKOFF_LEAST_NS;

	for (int64_t i = 1; i < failures && wait < BACKOFF_MOST_NS; i++)
		wait *= 2;
	return last_ns + MIN(wait, BACKOFF_MOST_NS);
}

/* Pods that were deleted count until they are gone, if they were counted: those that the job itself had too many of were not. */
static bool is_deleted_failure(const struct job *j, const struct job_pod *p)
{
	return p->is_failed && p->is_terminating && !p->has_finalizer &&
	       p->finished_ns > object_time(j->before, "startTime");
}

/* When the next pod may be made: later with each failure since the last success. */
static int64_t backoff_of_job(const struct job *j)
{
	int64_t success = 0, last = 0, failures = 0, deleted = 0, deleted_last = 0;

	for (uint32_t i = 0; i < j->pod_count; i++)
		if (j->pods[i].is_succeeded)
			success = MAX(success, j->pods[i].finished_ns);
	for (uint32_t i = 0; i < j->pod_count; i++) {
		const struct job_pod *p = &j->pods[i];

		if (!p->is_failed || p->finished_ns <= success)
			continue;
		if (is_deleted_failure(j, p)) {
			deleted++;
			deleted_last = MAX(deleted_last, p->finished_ns);
		} else if (p->has_finalizer || !p->is_terminating) {
			failures++;
			last = MAX(last, p->finished_ns);
		}
	}
	deleted = MIN(deleted, MAX(j->failed - failures, (int64_t)0));
	if (deleted)
		last = MAX(last, deleted_last);
	return failures + deleted ? backoff_end(failures + deleted, last) : 0;
}

/* ---- removing ---- */

void job_pod_untrack(struct reconcile *r, const struct value *pod)
{
	struct value *copy = object_copy(r, pod);

	finalizer_drop(copy, JOB_FINALIZER);
	reconcile_update(r, &resource_pods, copy);
}

static void pod_delete(struct job *j, struct job_pod *p)
{
	reconcile_delete(j->r, &resource_pods, p->pod);
	reconcile_report(j->r, "Delete", "Deleted pod: %.*s", (int)object_name(p->pod).len, object_name(p->pod).ptr);
	p->is_active = false;
	j->active--;
	j->ready -= p->is_ready;
	j->terminating++;
}

void job_pods_end(struct job *j)
{
	for (uint32_t i = 0; i < j->pod_count; i++)
		if (j->pods[i].is_active)
			pod_delete(j, &j->pods[i]);
}

static int order(int64_t first, int64_t second)
{
	return (first > second) - (first < second);
}

static int phase_of(const struct value *pod)
{
	return is_phase(pod, "Running") ? 2 : is_phase(pod, "Pending") || !value_find(pod, "status.phase") ? 0 : 1;
}

/* Who goes first: of no node, in an earlier phase, not ready, ready for less long, with more restarts, newer. */
static int compare_worth(const void *first, const void *second)
{
	const struct job_pod *a = *(struct job_pod *const *)first, *b = *(struct job_pod *const *)second;
	int d = order(value_find_string(a->pod, "spec.nodeName").len > 0,
		      value_find_string(b->pod, "spec.nodeName").len > 0);

	d = d ? d : order(phase_of(a->pod), phase_of(b->pod));
	d = d ? d : order(a->is_ready, b->is_ready);
	if (!d && a->is_ready)
		d = order(object_time(condition_find(member(b->pod, "status"), "Ready"), "lastTransitionTime"),
			  object_time(condition_find(member(a->pod, "status"), "Ready"), "lastTransitionTime"));
	d = d ? d : order(pod_restarts(b->pod), pod_restarts(a->pod));
	return d ? d
		 : order(object_time(b->pod, "metadata.creationTimestamp"),
			 object_time(a->pod, "metadata.creationTimestamp"));
}

static int compare_index(const void *first, const void *second)
{
	const struct job_pod *a = *(struct job_pod *const *)first, *b = *(struct job_pod *const *)second;
	int d = order(a->index, b->index);

	return d ? d : compare_worth(first, second);
}

/* Of an indexed job those go first that have no index, or one that is too large, or the one of a better pod. Returns how many. */
static uint32_t superfluous_first(const struct job *j, struct job_pod **list, uint32_t count)
{
	struct job_pod **kept = ARENA_ARRAY(j->r->arena, struct job_pod *, count, j->r->err);
	uint32_t gone = 0, kept_count = 0;

	if (!kept)
		return 0;
	qsort(list, count, sizeof(struct job_pod *), compare_index);
	for (uint32_t i = 0; i < count; i++) {
		struct job_pod *p = list[i];
		bool is_last = i + 1 == count || list[i + 1]->index != p->index;

		if (p->index < 0 || p->index >= j->completions || !is_last)
			list[gone++] = p;
		else
			kept[kept_count++] = p;
	}
	for (uint32_t i = 0; i < kept_count; i++)
		list[gone + i] = kept[i];
	return gone;
}

/* At least so many of those that run are removed, and do not count as failed. True: some were. */
static bool pods_remove(struct job *j, int64_t least)
{
	struct job_pod **list = ARENA_ARRAY(j->r->arena, struct job_pod *, j->pod_count, j->r->err);
	uint32_t count = 0, gone = 0;

	if (!list)
		return true;
	for (uint32_t i = 0; i < j->pod_count; i++)
		if (j->pods[i].is_active)
			list[count++] = &j->pods[i];
	if (j->is_indexed)
		gone = superfluous_first(j, list, count);
	if (least > gone) {
		qsort(list + gone, count - gone, sizeof(struct job_pod *), compare_worth);
		gone = (uint32_t)MIN(least, (int64_t)count);
	}
	gone = MIN(gone, (uint32_t)JOB_PODS_A_CALL);
	for (uint32_t i = 0; i < gone; i++) {
		if (list[i]->has_finalizer)
			job_pod_untrack(j->r, list[i]->pod);
		list[i]->has_finalizer = false;
		pod_delete(j, list[i]);
	}
	return gone > 0;
}

/* ---- making ---- */

static void env_add(struct reconcile *r, struct value *containers)
{
	for (uint32_t i = 0; i < value_count(containers); i++) {
		struct value *env = put_array(r, value_item(containers, i), "env"), variable = value_object();
		bool is_there = false;

		for (uint32_t k = 0; k < value_count(env); k++)
			is_there |= span_equal(value_find_string(value_item(env, k), "name"), SPAN(INDEX_ENV));
		if (is_there)
			continue;
		put(r, &variable, "name", value_string(SPAN(INDEX_ENV)));
		put(r, put_object(r, put_object(r, &variable, "valueFrom"), "fieldRef"), "fieldPath",
		    value_string(SPAN("metadata.labels['" JOB_INDEX "']")));
		put_item(r, env, variable);
	}
}

/* The failures of its index go from pod to pod. */
static void failures_put(const struct job *j, struct value *annotations, const struct job_pod *before)
{
	bool is_ignored = before && before->action == ACTION_IGNORE;
	int64_t failures = before ? before->failures + !is_ignored : 0,
		ignored = before ? before->ignored + is_ignored : 0;

	put(j->r, annotations, JOB_FAILURES, text_print(j->r, "%lld", (long long)failures));
	if (ignored)
		put(j->r, annotations, JOB_IGNORED, text_print(j->r, "%lld", (long long)ignored));
}

static void index_put(const struct job *j, struct value *pod, int64_t index)
{
	struct reconcile *r = j->r;
	struct value *metadata = put_object(r, pod, "metadata"), *spec = put_object(r, pod, "spec");
	struct value text = text_print(r, "%lld", (long long)index);
	struct span name = object_name(r->object);
	struct span end = text_print(r, "-%lld-", (long long)index).string;
	struct span start = name.len + end.len > PREFIX_MOST ? span_first(name, PREFIX_MOST - end.len) : name;

	put(r, put_object(r, metadata, "labels"), JOB_INDEX, text);
	put(r, put_object(r, metadata, "annotations"), JOB_INDEX, text);
	put(r, metadata, "generateName", text_print(r, "%.*s%.*s", (int)start.len, start.ptr, (int)end.len, end.ptr));
	put(r, spec, "hostname", text_print(r, "%.*s-%lld", (int)name.len, name.ptr, (long long)index));
	env_add(r, value_get(spec, SPAN("initContainers")));
	env_add(r, value_get(spec, SPAN("containers")));
	if (j->has_limit_per_index)
		failures_put(j, put_object(r, metadata, "annotations"), job_kept_pod(j, index));
}

static void pod_create(struct job *j, int64_t index)
{
	struct value *pod = pod_from_template(j->r, member(j->spec, "template"), object_name(j->r->object)), *list;

	if (!pod)
		return;
	list = put_array(j->r, put_object(j->r, pod, "metadata"), "finalizers");
	if (!list_has(list, SPAN(JOB_FINALIZER)))
		put_item(j->r, list, value_string(SPAN(JOB_FINALIZER)));
	if (index >= 0)
		index_put(j, pod, index);
	reconcile_create(j->r, &resource_pods, pod);
	reconcile_report_created(j->r, "pod");
	j->active += !j->r->refused.len; /* as if it were there, unless the last one could not be made */
}

/* Indexes that have no pod and need one, the lowest first. Returns how many. */
static uint32_t indexes_missing(struct job *j, int64_t *ret, uint32_t room)
{
	int64_t *taken = ARENA_ARRAY(j->r->arena, int64_t, j->pod_count, j->r->err), index = 0;
	struct indexes set;
	uint32_t count = 0;

	if (!taken)
		return 0;
	for (uint32_t i = 0; i < j->pod_count; i++) {
		const struct job_pod *p = &j->pods[i];

		if (p->index >= 0 && (p->is_active || (j->replaces_failed_only && p->is_terminating)))
			taken[count++] = p->index;
	}
	set = indexes_join(j->r, indexes_join(j->r, j->done, indexes_of(j->r, taken, count)), j->failed_indexes);
	count = 0;
	for (uint32_t i = 0; i <= set.count; i++) {
		int64_t end = i < set.count ? MIN(set.items[i].first, j->completions) : j->completions;

		for (; index < end && count < room; index++)
			ret[count++] = index;
		if (i < set.count)
			index = MAX(index, set.items[i].last + 1);
	}
	return count;
}

/* When the index may have its next pod. */
static int64_t backoff_of_index(const struct job *j, int64_t index)
{
	const struct job_pod *before = job_kept_pod(j, index);

	return before ? backoff_end(before->failures + before->ignored + 1, before->finished_ns) : 0;
}

static void indexes_create(struct job *j, int64_t count)
{
	int64_t *missing = ARENA_ARRAY(j->r->arena, int64_t, count, j->r->err), next = INT64_MAX;
	uint32_t n = missing ? indexes_missing(j, missing, (uint32_t)count) : 0;

	for (uint32_t i = 0; i < n; i++) {
		int64_t at = j->has_limit_per_index ? backoff_of_index(j, missing[i]) : 0;

		if (at <= j->r->now_ns)
			pod_create(j, missing[i]);
		else
			next = MIN(next, at);
	}
	if (next != INT64_MAX)
		reconcile_again(j->r, next);
}

static void pods_create(struct job *j, int64_t count)
{
	int64_t at = j->has_limit_per_index ? 0 : backoff_of_job(j);

	if (at > j->r->now_ns) {
		reconcile_again(j->r, at);
		return;
	}
	/* While the last one could not be made, one is tried at a time. */
	count = j->r->refused.len ? 1 : MIN(count, (int64_t)JOB_PODS_A_CALL);
	if (j->is_indexed) {
		indexes_create(j, count);
		return;
	}
	for (int64_t i = 0; i < count; i++)
		pod_create(j, -1);
}

static int64_t wanted_of(const struct job *j)
{
	/* Any number: the first success means that the work is done, and the rest goes on to its end. */
	if (j->completions < 0)
		return j->succeeded > 0 ? j->active : j->parallelism;
	return MAX(MIN(j->completions - j->succeeded, j->parallelism), (int64_t)0);
}

void job_pods_manage(struct job *j)
{
	int64_t wanted = j->is_suspended ? 0 : wanted_of(j), missing;

	if (pods_remove(j, MAX(j->active - wanted, (int64_t)0)) || j->is_suspended)
		return;
	missing = wanted - j->active - (j->replaces_failed_only ? j->terminating : 0);
	if (missing > 0)
		pods_create(j, missing);
}
