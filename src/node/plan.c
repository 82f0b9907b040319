/* SPDX-License-Identifier: Apache-2.0 */
/* plan - what a pod needs next. The order and the words are kubelet's (k8s.io/kubernetes 1.33 pkg/kubelet/kuberuntime). */
#include "node/pod.h"

#include "base/clock.h"
#include "kube/kinds/kinds.h"

struct planning {
	const struct pod_view *view;
	struct pod_parts parts;
	struct pod_plan *plan;
	struct arena *arena;
	struct error *err;
};

static struct pod_action *add(struct planning *p, enum pod_action_kind kind)
{
	struct pod_action *a = &p->plan->actions[p->plan->count++];

	*a = (struct pod_action){ .kind = kind };
	return a;
}

static void again(struct planning *p, int64_t at_ns)
{
	p->plan->again_ns = MIN(p->plan->again_ns, at_ns);
}

static void stop(struct planning *p, const struct pod_part *part, int64_t grace_ns, struct span why)
{
	struct pod_action *a = add(p, POD_CONTAINER_STOP);

	a->name = part->name;
	a->attempt = part->now->attempt;
	a->grace_ns = MAX(grace_ns, GRACE_LEAST_NS);
	a->why = why;
}

static struct span stopping(struct planning *p, const struct pod_part *part)
{
	return arena_print(p->arena, p->err, "Stopping container %.*s", WHOLE(part->name));
}

/* ---- the end of a pod ---- */

static int64_t grace_of(const struct planning *p)
{
	const struct value *pod = p->view->pod;
	int64_t grace = pod_grace_ns(pod);

	if (pod_is_deleted(pod))
		grace = value_find_int(pod, "metadata.deletionGracePeriodSeconds", grace / NS_PER_S) * NS_PER_S;
	if (p->view->is_evicted && p->view->eviction_grace_ns)
		grace = MIN(grace, p->view->eviction_grace_ns);
	return grace;
}

/* Sidecars go when the others have ended, the last one first. When the grace has passed nothing is waited for. */
static void sidecars_end(struct planning *p, int64_t grace, bool others_run)
{
	const struct value *pod = p->view->pod;
	/* The timestamp is cut to seconds. */
	int64_t end = pod_is_deleted(pod) ? pod_time_ns(pod, "metadata.deletionTimestamp") + NS_PER_S : INT64_MAX;
	int64_t left = end == INT64_MAX ? grace : MIN(grace, end - p->view->now_ns);

	for (size_t i = p->parts.count; i > 0; i--) {
		const struct pod_part *part = &p->parts.items[i - 1];

		if (part->kind != PART_SIDECAR || !part_runs(part))
			continue;
		if (others_run && left > 0) {
			again(p, end);
			return;
		}
		stop(p, part, left, stopping(p, part));
		others_run = true;
	}
}

static bool is_asked(const struct planning *p)
{
	for (size_t i = 0; i < p->parts.count; i++)
		if (p->parts.items[i].kind == PART_MAIN && part_runs(&p->parts.items[i]))
			return true;
	return false;
}

/* False: its containers go on as they are, for what it was asked is not answered yet. */
static bool is_drained(struct planning *p, int64_t grace, int64_t *ret_left)
{
	const struct pod_view *v = p->view;
	int64_t most = grace / DRAIN_PART, begun = v->drain_begun_ns;

	*ret_left = grace;
	if (!v->is_drained_first || !v->sandbox || !v->sandbox->is_ready || (!begun && !is_asked(p)))
		return true;
	if (!begun)
		add(p, POD_DRAIN)->grace_ns = most;
	else
		*ret_left = grace - MIN(v->drain_ended_ns ? v->drain_ended_ns - begun : most, most);
	if ((begun && v->drain_ended_ns) || v->now_ns >= (begun ? begun : v->now_ns) + most || !is_asked(p))
		return true;
	again(p, (begun ? begun : v->now_ns) + most);
	return false;
}

static void end(struct planning *p)
{
	const struct sandbox_status *s = p->view->sandbox;
	int64_t grace = grace_of(p);
	bool others_run = false, some_run = false;

	if (!is_drained(p, grace, &grace))
		return;
	for (size_t i = 0; i < p->parts.count; i++) {
		const struct pod_part *part = &p->parts.items[i];

		if (!part_runs(part) || !s->is_ready)
			continue;
		some_run = true;
		if (part->kind == PART_SIDECAR)
			continue;
		others_run = true;
		stop(p, part, grace, stopping(p, part));
	}
	if (some_run)
		sidecars_end(p, grace, others_run);
	else if (s && s->is_ready)
		add(p, POD_SANDBOX_STOP);
	else if (pod_is_deleted(p->view->pod))
		add(p, POD_GONE);
}

/* ---- containers ---- */

static void start(struct planning *p, const struct pod_part *part)
{
	int64_t length, at = part_backoff(part, &length);
	struct pod_action *a;

	if (at > p->view->now_ns) {
		again(p, at);
		return;
	}
	a = add(p, POD_CONTAINER_START);
	a->name = part->name;
	a->attempt = part_attempt(part);
}

static int64_t probe_grace(const struct planning *p, const struct pod_part *part, const char *probe)
{
	int64_t seconds = get_int(get(part->spec, probe), "terminationGracePeriodSeconds", -1);

	return seconds < 0 ? pod_grace_ns(p->view->pod) : MIN(seconds, (int64_t)INT32_MAX) * NS_PER_S;
}

/* A container whose probe or hook has failed is ended; what comes after that is decided when it has. */
static bool stop_if_bad(struct planning *p, const struct pod_part *part)
{
	const struct container_health *h = part->health;
	const char *probe, *what;

	if (!h || part->now->state != CONTAINER_RUNNING)
		return false;
	if (h->is_hook_failed) {
		stop(p, part, pod_grace_ns(p->view->pod), SPAN("FailedPostStartHook"));
		return true;
	}
	if (h->startup != VERDICT_BAD && h->liveness != VERDICT_BAD)
		return false;
	probe = h->startup == VERDICT_BAD ? "startupProbe" : "livenessProbe";
	what = h->startup == VERDICT_BAD ? "startup" : "liveness";
	stop(p, part, probe_grace(p, part, probe),
	     arena_print(p->arena, p->err, "%s %.*s failed %s probe%s",
			 part->kind == PART_SIDECAR ? "Init container" : "Container", WHOLE(part->name), what,
			 part->kind == PART_MAIN && p->parts.policy != RESTART_NEVER ? ", will be restarted" : ""));
	return true;
}

static void keep(struct planning *p, const struct pod_part *part)
{
	if (part_runs(part))
		(void)stop_if_bad(p, part);
	else if (part_is_wanted(&p->parts, part))
		start(p, part);
}

static bool has_later(const struct planning *p, size_t from)
{
	for (size_t i = from + 1; i < p->parts.count; i++)
		if (p->parts.items[i].now && p->parts.items[i].kind != PART_DEBUG)
			return true;
	return false;
}

/* True: the next one may begin. */
static bool init_step(struct planning *p, size_t index)
{
	const struct pod_part *part = &p->parts.items[index];
	int64_t code;

	if (part->kind == PART_SIDECAR) {
		keep(p, part);
		return part_is_started(part) || has_later(p, index);
	}
	if (part->now && part_has_ended(part, &code) && code == 0)
		return true;
	keep(p, part);
	return false;
}

static bool is_initialized(const struct planning *p)
{
	for (size_t i = 0; i < p->parts.count; i++)
		if (p->parts.items[i].kind == PART_MAIN && p->parts.items[i].now)
			return true;
	return false;
}

static void containers(struct planning *p)
{
	bool is_done = is_initialized(p);

	for (size_t i = 0; i < p->parts.count; i++)
		if (p->parts.items[i].kind == PART_DEBUG)
			keep(p, &p->parts.items[i]);
	for (size_t i = 0; i < p->parts.count; i++) {
		const struct pod_part *part = &p->parts.items[i];

		if (part->kind == PART_DEBUG || (part->kind == PART_INIT && is_done))
			continue;
		if (part->kind == PART_MAIN || is_done)
			keep(p, part);
		else if (!init_step(p, i))
			return;
	}
}

/* The last two attempts of each are kept: for the state before, and for `kubectl logs --previous`. */
static void tidy(struct planning *p)
{
	const struct sandbox_status *s = p->view->sandbox;

	for (size_t i = 0; i < s->container_count; i++) {
		const struct container_status *c = &s->containers[i];
		struct pod_action *a;

		for (size_t j = 0; j < p->parts.count; j++) {
			const struct pod_part *part = &p->parts.items[j];

			if (c->state != CONTAINER_EXITED || !part->before || !span_equal(part->name, c->name) ||
			    c->attempt >= part->before->attempt)
				continue;
			a = add(p, POD_CONTAINER_REMOVE);
			a->name = c->name;
			a->attempt = c->attempt;
		}
	}
}

bool pod_plan(const struct pod_view *view, struct arena *arena, struct pod_plan *ret, struct error *err)
{
	struct planning p = { .view = view, .plan = ret, .arena = arena, .err = err };
	const struct sandbox_status *s = view->sandbox;
	int64_t deadline = pod_deadline_ns(view->pod);
	struct error failed = { 0 };
	size_t most;

	p.err = &failed;
	*ret = (struct pod_plan){ .again_ns = INT64_MAX };
	if (!pod_parts_read(view, arena, &p.parts, err))
		return false;
	most = p.parts.count * 2 + 2 + (s ? s->container_count : 0);
	ret->actions = arena_calloc(arena, most, sizeof(*ret->actions), err);
	if (!ret->actions)
		return false;
	if (s && s->is_ready)
		tidy(&p);
	if (pod_is_deleted(view->pod) || view->is_evicted || view->now_ns >= deadline ||
	    pod_has_final_phase(view->pod) || pod_is_over(&p.parts)) {
		end(&p);
	} else {
		again(&p, deadline);
		/* A sandbox may have told an address that the first container is to find in /etc/hosts. */
		if (s && s->is_ready && (view->are_volumes_ready || s->container_count))
			containers(&p);
		else if (view->are_volumes_ready)
			add(&p, POD_SANDBOX_RUN);
	}
	ASSERT(ret->count <= most);
	if (failed.code)
		*err = failed;
	return !failed.code;
}
