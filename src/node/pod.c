/* SPDX-License-Identifier: Apache-2.0 */
/* pod - the containers of a pod: what is wanted, what is, what was told. */
#include "node/pod.h"

#include "base/clock.h"
#include "kube/kinds/kinds.h"

enum { CODE_UNKNOWN = 137 };

/* ---- the pod ---- */

bool pod_is_deleted(const struct value *pod)
{
	return get(get(pod, "metadata"), "deletionTimestamp") != NULL;
}

bool pod_has_final_phase(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

int64_t pod_time_ns(const struct value *object, const char *path)
{
	int64_t seconds;

	return clock_parse_rfc3339(value_find_string(object, path), &seconds) ? seconds * NS_PER_S : 0;
}

int64_t pod_deadline_ns(const struct value *pod)
{
	int64_t seconds = value_find_int(pod, "spec.activeDeadlineSeconds", -1);
	int64_t since = pod_time_ns(pod, "status.startTime");

	return seconds < 0 || !since || seconds > INT32_MAX ? INT64_MAX : since + seconds * NS_PER_S;
}

int64_t pod_grace_ns(const struct value *pod)
{
	int64_t seconds = value_find_int(pod, "spec.terminationGracePeriodSeconds", 30);

	return MIN(MAX(seconds, (int64_t)0), (int64_t)INT32_MAX) * NS_PER_S;
}

static const char *const spec_lists[] = { "initContainers", "containers", "ephemeralContainers" };
static const char *const status_lists[] = { "initContainerStatuses", "containerStatuses",
					    "ephemeralContainerStatuses" };

static const struct value *named(const struct value *list, struct span name)
{
	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(get_text(value_item(list, i), "name"), name))
			return value_item(list, i);
	return NULL;
}

const struct value *pod_container(const struct value *pod, struct span name, const char **ret_list)
{
	const struct value *found = NULL;

	for (size_t l = 0; l < ARRAY_LEN(spec_lists) && !found; l++) {
		found = named(get(get(pod, "spec"), spec_lists[l]), name);
		if (found && ret_list)
			*ret_list = spec_lists[l];
	}
	return found;
}

/* ---- its parts ---- */

static enum restart_policy policy_of(const struct value *pod)
{
	struct span s = value_find_string(pod, "spec.restartPolicy");

	if (span_equal(s, SPAN("Never")))
		return RESTART_NEVER;
	return span_equal(s, SPAN("OnFailure")) ? RESTART_ON_FAILURE : RESTART_ALWAYS;
}

static void attempts_find(const struct sandbox_status *s, struct pod_part *p)
{
	for (size_t i = 0; s && i < s->container_count; i++) {
		const struct container_status *c = &s->containers[i];

		if (!span_equal(c->name, p->name))
			continue;
		if (!p->now || c->attempt > p->now->attempt) {
			p->before = p->now;
			p->now = c;
		} else if (!p->before || c->attempt > p->before->attempt) {
			p->before = c;
		}
	}
}

static void health_find(const struct pod_view *view, struct pod_part *p)
{
	for (size_t i = 0; p->now && i < view->health_count; i++)
		if (span_equal(view->health[i].name, p->name) && view->health[i].attempt == p->now->attempt)
			p->health = &view->health[i];
}

bool pod_parts_read(const struct pod_view *view, struct arena *arena, struct pod_parts *ret, struct error *err)
{
	const struct value *spec = get(view->pod, "spec"), *status = get(view->pod, "status"), *lists[3];
	size_t count = 0;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		lists[l] = get(spec, spec_lists[l]);
		count += value_count(lists[l]);
	}
	*ret = (struct pod_parts){ .policy = policy_of(view->pod),
				   .is_sandbox_ready = view->sandbox && view->sandbox->is_ready };
	ret->items = arena_calloc(arena, count + 1, sizeof(*ret->items), err);
	if (!ret->items)
		return false;
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (uint32_t i = 0; value_is(lists[l], VALUE_ARRAY) && i < lists[l]->array.count; i++) {
			struct pod_part *p = &ret->items[ret->count++];

			p->spec = value_item(lists[l], i);
			p->name = get_text(p->spec, "name");
			p->kind = l == 2 ? PART_DEBUG : l == 1 ? PART_MAIN : PART_INIT;
			if (l == 0 && span_equal(get_text(p->spec, "restartPolicy"), SPAN("Always")))
				p->kind = PART_SIDECAR;
			p->told = named(get(status, status_lists[l]), p->name);
			attempts_find(view->sandbox, p);
			health_find(view, p);
		}
	}
	return true;
}

bool part_runs(const struct pod_part *p)
{
	return p->now && p->now->state != CONTAINER_EXITED;
}

static bool told_end(const struct pod_part *p, int64_t *ret_code)
{
	const struct value *ended = value_find(p->told, "state.terminated");

	if (!ended && !value_find(p->told, "state.running"))
		ended = value_find(p->told, "lastState.terminated");
	if (ended)
		*ret_code = value_find_int(ended, "exitCode", CODE_UNKNOWN);
	else if (value_find(p->told, "state.running"))
		*ret_code = CODE_UNKNOWN;
	else
		return false;
	return true;
}

bool part_has_ended(const struct pod_part *p, int64_t *ret_code)
{
	if (!p->now)
		return told_end(p, ret_code);
	if (p->now->state != CONTAINER_EXITED)
		return false;
	*ret_code = p->now->exit_code;
	return true;
}

bool part_is_wanted(const struct pod_parts *all, const struct pod_part *p)
{
	int64_t code;

	if (part_runs(p))
		return false;
	if (!part_has_ended(p, &code))
		return true;
	switch (p->kind) {
	case PART_SIDECAR:
		return true;
	case PART_DEBUG:
		return false;
	case PART_INIT: /* in a new sandbox all are run again, but where a failure was for good */
		if (!p->now)
			return code == 0 || all->policy != RESTART_NEVER;
		return code != 0 && all->policy != RESTART_NEVER;
	case PART_MAIN:
		break;
	}
	return all->policy == RESTART_ALWAYS || (all->policy == RESTART_ON_FAILURE && code != 0);
}

uint32_t part_attempt(const struct pod_part *p)
{
	int64_t count = value_find_int(p->told, "restartCount", 0), code;

	if (p->now)
		return p->now->attempt + 1;
	return (uint32_t)MIN(MAX(count, (int64_t)0) + told_end(p, &code), (int64_t)INT32_MAX);
}

/* ---- back-off ---- */

static int64_t step_of_attempt(uint32_t attempt)
{
	int64_t step = attempt ? BACKOFF_FIRST_NS : 0;

	for (uint32_t i = 1; i < attempt && step < BACKOFF_MOST_NS; i++)
		step *= 2;
	return MIN(step, BACKOFF_MOST_NS);
}

int64_t backoff_end_ns(uint32_t attempt, int64_t started_ns, int64_t finished_ns)
{
	if (started_ns && finished_ns - started_ns >= BACKOFF_FORGET_NS)
		return finished_ns;
	return finished_ns + step_of_attempt(attempt);
}

/* What the wait before this attempt tells of the next one: it doubles. So a back-off that was forgotten begins again with the first step. */
static int64_t step_after(const struct container_status *before, const struct container_status *now)
{
	int64_t waited = now->created_ns - before->finished_ns, step = BACKOFF_FIRST_NS;

	while (step <= waited && step < BACKOFF_MOST_NS)
		step *= 2;
	return MIN(step, BACKOFF_MOST_NS);
}

int64_t part_backoff(const struct pod_part *p, int64_t *ret_length_ns)
{
	const struct container_status *c = p->now;
	int64_t length;

	*ret_length_ns = 0;
	if (!c || c->state != CONTAINER_EXITED)
		return INT64_MIN;
	length = backoff_end_ns(c->attempt, c->started_ns, c->finished_ns) - c->finished_ns;
	if (length && p->before && p->before->attempt + 1 == c->attempt)
		length = MIN(length, step_after(p->before, c));
	*ret_length_ns = length;
	return c->finished_ns + length;
}

/* ---- health ---- */

static bool told_is_same(const struct pod_part *p)
{
	struct span id = get_text(p->told, "containerID");

	return p->now->id.len && span_ends(id, p->now->id);
}

bool part_is_started(const struct pod_part *p)
{
	if (!p->now || p->now->state != CONTAINER_RUNNING)
		return false;
	if (!p->health) /* found running: what was told counts until a probe says otherwise */
		return told_is_same(p) && get_bool(p->told, "started");
	return p->health->startup == VERDICT_GOOD && !p->health->is_hook_running && !p->health->is_hook_failed;
}

bool part_is_ready(const struct pod_part *p)
{
	int64_t code;

	if (p->kind == PART_INIT) /* what a sandbox before this one ran does not count: it is run again */
		return p->now ? part_has_ended(p, &code) && code == 0 : get_bool(p->told, "ready");
	if (p->kind == PART_DEBUG)
		return false;
	if (!part_is_started(p))
		return false;
	return p->health ? p->health->readiness == VERDICT_GOOD : get_bool(p->told, "ready");
}

/* ---- the end ---- */

bool pod_is_over(const struct pod_parts *all)
{
	size_t mains = 0;
	int64_t code;

	for (size_t i = 0; i < all->count; i++) {
		const struct pod_part *p = &all->items[i];

		if (p->kind == PART_INIT && all->policy == RESTART_NEVER && part_has_ended(p, &code) && code != 0)
			return true;
	}
	for (size_t i = 0; i < all->count; i++) {
		const struct pod_part *p = &all->items[i];

		if (p->kind != PART_MAIN)
			continue;
		mains++;
		if (part_runs(p) || part_is_wanted(all, p))
			return false;
	}
	return mains > 0;
}
