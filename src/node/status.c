/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status - the status of a pod. Phases, reasons and messages are kubelet's (k8s.io/kubernetes 1.33 pkg/kubelet/kubelet_pods.go and
 * status/generate.go); so is the order of the conditions.
 */
#include "node/status.h"

#include "kube/kinds/kinds.h"
#include "node/environment.h"
#include "node/pod.h"

#define ID_SCHEME "process://"

struct telling {
	const struct pod_view *view;
	const struct status_extra *extra;
	struct pod_parts parts;
	const struct value *before; /* the status that was */
	struct value *status;
	struct span phase;
	struct arena *arena;
	struct error *err;
};

/* ---- making ---- */

static void put(struct telling *t, struct value *object, const char *name, struct value v)
{
	if (!t->err->code)
		(void)value_set(object, span_of(name), v, t->arena, t->err);
}

static void put_text(struct telling *t, struct value *object, const char *name, struct span text)
{
	if (text.len)
		put(t, object, name, value_string(text));
}

static void put_item(struct telling *t, struct value *array, struct value v)
{
	if (!t->err->code)
		(void)value_append(array, v, t->arena, t->err);
}

static struct value time_value(struct telling *t, int64_t ns)
{
	return value_string(kube_now_text(ns, t->arena)); /* 0, of what never began: 1970, as kubelet tells it */
}

static struct value shared(const struct value *v)
{
	return v ? *v : value_null(); /* nobody changes it */
}

static struct value inside(struct telling *t, const char *name, struct value v)
{
	struct value o = value_object();

	put(t, &o, name, v);
	return o;
}

/* ---- states ---- */

static struct span id_of(struct telling *t, const struct container_status *c)
{
	return arena_print(t->arena, t->err, ID_SCHEME "%.*s", WHOLE(c->id));
}

/* What was told once about an end is not found out again: the message may have been in a file. */
static const struct value *told_end(const struct pod_part *p, struct span id)
{
	static const char *const paths[] = { "state.terminated", "lastState.terminated" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const struct value *v = value_find(p->told, paths[i]);

		if (v && span_equal(get_text(v, "containerID"), id))
			return v;
	}
	return NULL;
}

static struct value terminated(struct telling *t, const struct pod_part *p, const struct container_status *c)
{
	struct span id = id_of(t, c), message = c->message;
	const struct value *told = told_end(p, id);
	struct value v = value_object();

	if (told)
		return *told;
	if (!message.len && t->extra->termination_message)
		message = t->extra->termination_message(t->extra->context, c);
	put(t, &v, "exitCode", value_int(c->exit_code));
	put_text(t, &v, "reason", c->reason);
	put_text(t, &v, "message", message);
	put(t, &v, "startedAt", time_value(t, c->started_ns));
	put(t, &v, "finishedAt", time_value(t, c->finished_ns));
	put(t, &v, "containerID", value_string(id));
	return v;
}

static struct value lost(struct telling *t, const char *message)
{
	struct value v = value_object();

	put(t, &v, "exitCode", value_int(137));
	put(t, &v, "reason", value_string(SPAN("ContainerStatusUnknown")));
	put(t, &v, "message", value_string(span_of(message)));
	put(t, &v, "startedAt", value_null());
	put(t, &v, "finishedAt", value_null());
	return v;
}

static struct value waiting(struct telling *t, struct span reason, struct span message)
{
	struct value v = value_object();

	put_text(t, &v, "reason", reason);
	put_text(t, &v, "message", message);
	return inside(t, "waiting", v);
}

static const struct status_wait *wait_of(const struct telling *t, const struct pod_part *p)
{
	for (size_t i = 0; i < t->extra->wait_count; i++)
		if (span_equal(t->extra->waits[i].container, p->name))
			return &t->extra->waits[i];
	return NULL;
}

static bool has_init(const struct telling *t)
{
	return t->parts.count && t->parts.items[0].kind <= PART_SIDECAR;
}

static struct value waiting_first(struct telling *t)
{
	return waiting(t, has_init(t) ? SPAN("PodInitializing") : SPAN("ContainerCreating"), (struct span){ 0 });
}

static struct span seconds_print(struct telling *t, int64_t ns)
{
	int64_t s = ns / BACKOFF_FIRST_NS * 10;

	if (s < 60)
		return arena_print(t->arena, t->err, "%llds", (long long)s);
	return arena_print(t->arena, t->err, "%lldm%llds", (long long)(s / 60), (long long)(s % 60));
}

static struct value crash_loop(struct telling *t, const struct pod_part *p, int64_t length)
{
	const struct value *metadata = get(t->view->pod, "metadata");
	struct span message =
	    arena_print(t->arena, t->err, "back-off %.*s restarting failed container=%.*s pod=%.*s_%.*s(%.*s)",
			WHOLE(seconds_print(t, length)), WHOLE(p->name), WHOLE(get_text(metadata, "name")),
			WHOLE(get_text(metadata, "namespace")), WHOLE(get_text(metadata, "uid")));

	return waiting(t, SPAN("CrashLoopBackOff"), message);
}

/* ---- a container ---- */

struct state {
	struct value state, last; /* last: null when there is none */
	int64_t restarts;
	struct span id;
};

static bool may_begin(const struct telling *t)
{
	return !pod_is_deleted(t->view->pod) && !t->view->is_evicted && !pod_has_final_phase(t->view->pod) &&
	       !pod_is_over(&t->parts);
}

/* Of which the runtime knows nothing: it has not begun, or all is lost (the machine was switched off). */
static void state_without(struct telling *t, const struct pod_part *p, struct state *s)
{
	const struct status_wait *w = may_begin(t) ? wait_of(t, p) : NULL;
	const struct value *ended = value_find(p->told, "state.terminated");
	bool did_run = value_find(p->told, "state.running") != NULL;

	s->restarts = get_int(p->told, "restartCount", 0);
	s->last = shared(get(p->told, "lastState"));
	s->id = get_text(p->told, "containerID");
	if (ended && !part_is_wanted(&t->parts, p)) {
		s->state = *get(p->told, "state");
		return;
	}
	if (ended)
		s->last = *get(p->told, "state");
	if (did_run && !may_begin(t)) {
		s->state =
		    inside(t, "terminated", lost(t, "The container could not be located when the pod was terminated"));
		return;
	}
	if (did_run)
		s->last = inside(t, "terminated",
				 lost(t, "The container could not be located when the pod was deleted.  The container "
					 "used to be Running"));
	s->state = w ? waiting(t, w->reason, w->message) : waiting_first(t);
}

static void state_of(struct telling *t, const struct pod_part *p, struct state *s)
{
	const struct container_status *c = p->now;
	const struct status_wait *w = wait_of(t, p);
	int64_t length;

	*s = (struct state){ .last = value_null() };
	if (!c) {
		state_without(t, p, s);
		return;
	}
	s->restarts = c->attempt;
	s->id = id_of(t, c);
	if (p->before && p->before->state == CONTAINER_EXITED)
		s->last = inside(t, "terminated", terminated(t, p, p->before));
	else if (c->attempt)
		s->last = shared(get(p->told, "lastState"));
	if (c->state == CONTAINER_RUNNING) {
		s->state = inside(t, "running", inside(t, "startedAt", time_value(t, c->started_ns)));
	} else if (c->state == CONTAINER_CREATED) {
		s->state = c->attempt ? waiting(t, SPAN("ContainerCreating"), (struct span){ 0 }) : waiting_first(t);
	} else {
		s->state = inside(t, "terminated", terminated(t, p, c));
		if (!may_begin(t) || !part_is_wanted(&t->parts, p))
			return;
		if (part_backoff(p, &length) > t->view->now_ns) {
			s->last = s->state;
			s->state = crash_loop(t, p, length);
		} else if (w) {
			s->last = s->state;
			s->state = waiting(t, w->reason, w->message);
		}
	}
}

/* As they were asked for, and (InPlacePodVerticalScaling) given. */
static void resources_put(struct telling *t, const struct pod_part *p, struct value *v)
{
	const struct value *resources = get(p->spec, "resources");

	if (p->kind == PART_DEBUG || !p->now || !resources)
		return;
	if (!value_is_empty(get(resources, "requests")))
		put(t, v, "allocatedResources", *get(resources, "requests"));
	put(t, v, "resources", *resources);
}

static void mounts_put(struct telling *t, const struct pod_part *p, struct value *v)
{
	const struct value *mounts = get(p->spec, "volumeMounts");
	struct value list = value_array();

	for (uint32_t i = 0; i < count_of(mounts); i++) {
		const struct value *m = value_item(mounts, i);
		struct value to = value_object();

		put_text(t, &to, "name", get_text(m, "name"));
		put_text(t, &to, "mountPath", get_text(m, "mountPath"));
		if (get_bool(m, "readOnly")) {
			put(t, &to, "readOnly", value_bool(true));
			put(t, &to, "recursiveReadOnly", value_string(SPAN("Disabled")));
		}
		put_item(t, &list, to);
	}
	if (list.array.count)
		put(t, v, "volumeMounts", list);
}

static struct value part_status(struct telling *t, const struct pod_part *p)
{
	struct value v = value_object();
	struct state s;

	state_of(t, p, &s);
	put(t, &v, "name", value_string(p->name));
	put(t, &v, "state", s.state);
	put(t, &v, "lastState", value_is(&s.last, VALUE_OBJECT) ? s.last : value_object());
	put(t, &v, "ready", value_bool(part_is_ready(p)));
	put(t, &v, "restartCount", value_int(s.restarts));
	put(t, &v, "image", value_string(get_text(p->spec, "image")));
	put(t, &v, "imageID", value_string((struct span){ "", 0 }));
	put_text(t, &v, "containerID", s.id);
	put(t, &v, "started", value_bool(part_is_started(p)));
	resources_put(t, p, &v);
	mounts_put(t, p, &v);
	return v;
}

static struct value statuses(struct telling *t, enum part_kind from, enum part_kind to)
{
	struct value list = value_array();

	for (size_t i = 0; i < t->parts.count; i++)
		if (t->parts.items[i].kind >= from && t->parts.items[i].kind <= to)
			put_item(t, &list, part_status(t, &t->parts.items[i]));
	return list;
}

/* ---- phase ---- */

struct counts {
	int init_pending, init_failed, sidecar_pending;
	int running, waiting, stopped, succeeded;
};

static void init_count(const struct value *v, struct counts *c)
{
	const struct value *ended = value_find(v, "state.terminated");

	if (!ended && value_find(v, "state.waiting"))
		ended = value_find(v, "lastState.terminated");
	if (!ended)
		c->init_pending++;
	else
		c->init_failed += get_int(ended, "exitCode", 0) != 0;
}

static void sidecar_count(const struct value *v, struct counts *c)
{
	if (value_find(v, "state.running")) {
		c->sidecar_pending += !get_bool(v, "started");
		c->running++;
	} else if (value_find(v, "state.waiting") && !value_find(v, "lastState.terminated")) {
		c->sidecar_pending++;
		c->waiting++;
	}
}

static void main_count(const struct value *v, struct counts *c)
{
	const struct value *ended = value_find(v, "state.terminated");

	if (value_find(v, "state.running")) {
		c->running++;
	} else if (ended) {
		c->stopped++;
		c->succeeded += get_int(ended, "exitCode", 1) == 0;
	} else if (value_find(v, "lastState.terminated")) {
		c->stopped++;
	} else {
		c->waiting++;
	}
}

/* Nothing of it will run any more, and nothing does. */
static bool is_terminal(const struct telling *t)
{
	for (size_t i = 0; i < t->parts.count; i++)
		if (part_runs(&t->parts.items[i]) && t->view->sandbox->is_ready)
			return false;
	return !may_begin(t);
}

static bool has_begun_mains(const struct telling *t)
{
	for (size_t i = 0; i < t->parts.count; i++)
		if (t->parts.items[i].kind == PART_MAIN && t->parts.items[i].now)
			return true;
	return false;
}

static struct span phase_of(struct telling *t, const struct value *inits, const struct value *mains)
{
	enum restart_policy policy = t->parts.policy;
	struct counts c = { 0 };
	uint32_t init = 0;

	if (pod_has_final_phase(t->view->pod))
		return value_find_string(t->view->pod, "status.phase");
	if (t->view->is_evicted)
		return SPAN("Failed");
	for (size_t i = 0; i < t->parts.count; i++) {
		if (t->parts.items[i].kind == PART_INIT)
			init_count(value_item(inits, init++), &c);
		else if (t->parts.items[i].kind == PART_SIDECAR)
			sidecar_count(value_item(inits, init++), &c);
	}
	for (uint32_t i = 0; i < count_of(mains); i++)
		main_count(value_item(mains, i), &c);
	if (c.init_failed && policy == RESTART_NEVER)
		return SPAN("Failed");
	if (c.init_pending || (c.sidecar_pending && !has_begun_mains(t)) || c.waiting)
		return SPAN("Pending");
	if (c.running)
		return SPAN("Running");
	if (!c.stopped)
		return SPAN("Pending");
	if (is_terminal(t))
		return c.stopped == c.succeeded ? SPAN("Succeeded") : SPAN("Failed");
	if (policy == RESTART_ALWAYS)
		return SPAN("Running");
	if (c.stopped == c.succeeded)
		return SPAN("Succeeded");
	return policy == RESTART_NEVER ? SPAN("Failed") : SPAN("Running");
}

/* ---- conditions ---- */

struct verdict_told {
	bool is_true;
	struct span reason, message;
};

static const struct value *condition_of(const struct value *status, struct span type)
{
	const struct value *list = get(status, "conditions");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(get_text(value_item(list, i), "type"), type))
			return value_item(list, i);
	return NULL;
}

static void condition_put(struct telling *t, struct value *list, const char *type, const struct verdict_told *told)
{
	const struct value *old = condition_of(t->before, span_of(type));
	struct span is = told->is_true ? SPAN("True") : SPAN("False");
	bool is_same = old && span_equal(get_text(old, "status"), is) && get(old, "lastTransitionTime");
	struct value v = value_object();

	put(t, &v, "type", value_string(span_of(type)));
	put(t, &v, "status", value_string(is));
	put(t, &v, "lastProbeTime", value_null());
	put(t, &v, "lastTransitionTime", is_same ? *get(old, "lastTransitionTime") : time_value(t, t->view->now_ns));
	put_text(t, &v, "reason", told->reason);
	put_text(t, &v, "message", told->message);
	put_item(t, list, v);
}

bool status_condition_is_ours(struct span type)
{
	static const char *const ours[] = { "PodReadyToStartContainers", "Initialized",  "Ready",
					    "ContainersReady",           "PodScheduled", STATUS_ENFORCED };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (span_equal(type, span_of(ours[i])))
			return true;
	return false;
}

/* "containers with unready status: [a b]"; empty when there is none. `takes`: of which. */
static struct span list_print(struct telling *t, const char *what, bool (*takes)(const struct pod_part *p))
{
	struct span text = { 0 };

	for (size_t i = 0; i < t->parts.count; i++) {
		const struct pod_part *p = &t->parts.items[i];

		if (p->kind == PART_DEBUG || !takes(p))
			continue;
		text = text.len
			   ? arena_print(t->arena, t->err, "%.*s %.*s", (int)text.len, text.ptr, WHOLE(p->name))
			   : arena_print(t->arena, t->err, "containers with %s status: [%.*s", what, WHOLE(p->name));
	}
	return text.len ? arena_print(t->arena, t->err, "%.*s]", (int)text.len, text.ptr) : text;
}

static bool is_unready(const struct pod_part *p)
{
	return p->kind != PART_INIT && !part_is_ready(p);
}

static bool is_incomplete(const struct pod_part *p)
{
	if (p->kind == PART_SIDECAR)
		return !part_is_started(p);
	return p->kind == PART_INIT && !part_is_ready(p);
}

static struct verdict_told initialized(struct telling *t)
{
	struct span text;

	if (span_equal(t->phase, SPAN("Succeeded")))
		return (struct verdict_told){ .is_true = true, .reason = SPAN("PodCompleted") };
	for (size_t i = 0; i < t->parts.count; i++)
		if (t->parts.items[i].kind == PART_MAIN && t->parts.items[i].now && t->parts.items[i].now->started_ns)
			return (struct verdict_told){ .is_true = true };
	text = list_print(t, "incomplete", is_incomplete);
	if (text.len)
		return (struct verdict_told){ false, SPAN("ContainersNotInitialized"), text };
	return (struct verdict_told){ .is_true = true };
}

static struct verdict_told containers_ready(struct telling *t)
{
	struct span text;

	if (span_equal(t->phase, SPAN("Succeeded")))
		return (struct verdict_told){ .reason = SPAN("PodCompleted") };
	if (span_equal(t->phase, SPAN("Failed")))
		return (struct verdict_told){ .reason = SPAN("PodFailed") };
	text = list_print(t, "unready", is_unready);
	if (text.len)
		return (struct verdict_told){ false, SPAN("ContainersNotReady"), text };
	return (struct verdict_told){ .is_true = true };
}

static struct verdict_told ready(struct telling *t, const struct verdict_told *of_containers)
{
	const struct value *gates = value_find(t->view->pod, "spec.readinessGates");
	struct span text = { 0 };

	if (!of_containers->is_true)
		return *of_containers;
	for (uint32_t i = 0; i < count_of(gates); i++) {
		struct span type = get_text(value_item(gates, i), "conditionType");
		const struct value *c = condition_of(t->before, type);
		struct span fault;

		if (c && is_text(get(c, "status"), "True"))
			continue;
		if (!c)
			fault = arena_print(t->arena, t->err,
					    "corresponding condition of pod readiness gate \"%.*s\" does not exist.",
					    WHOLE(type));
		else
			fault = arena_print(t->arena, t->err,
					    "the status of pod readiness gate \"%.*s\" is not \"True\", but %.*s",
					    WHOLE(type), WHOLE(get_text(c, "status")));
		text = text.len ? arena_print(t->arena, t->err, "%.*s, %.*s", (int)text.len, text.ptr, (int)fault.len,
					      fault.ptr)
				: fault;
	}
	if (text.len)
		return (struct verdict_told){ false, SPAN("ReadinessGatesNotReady"), text };
	return (struct verdict_told){ .is_true = true };
}

static struct value conditions(struct telling *t)
{
	const struct value *old = get(t->before, "conditions");
	struct verdict_told can_start = { .is_true = t->parts.is_sandbox_ready }, scheduled = { .is_true = true };
	struct verdict_told first = initialized(t), all = containers_ready(t), whole = ready(t, &all);
	struct span missing = t->view->sandbox ? t->view->sandbox->shortcomings : (struct span){ 0 };
	struct value list = value_array();

	for (uint32_t i = 0; i < count_of(old); i++)
		if (!status_condition_is_ours(get_text(value_item(old, i), "type")))
			put_item(t, &list, *value_item(old, i));
	condition_put(t, &list, "PodReadyToStartContainers", &can_start);
	condition_put(t, &list, "Initialized", &first);
	condition_put(t, &list, "Ready", &whole);
	condition_put(t, &list, "ContainersReady", &all);
	condition_put(t, &list, "PodScheduled", &scheduled);
	/* Only where something is missing: elsewhere it would be one more line of every pod. */
	if (missing.len) {
		struct verdict_told enforced = { false, SPAN("NotOnThisMachine"), missing };

		condition_put(t, &list, STATUS_ENFORCED, &enforced);
	}
	return list;
}

/* ---- the whole ---- */

static void address_put(struct telling *t, const char *one, const char *many, struct span address)
{
	struct value list = value_array();

	if (!address.len)
		return;
	put(t, t->status, one, value_string(address));
	put_item(t, &list, inside(t, "ip", value_string(address)));
	put(t, t->status, many, list);
}

static void addresses_put(struct telling *t)
{
	bool is_host = value_find_bool(t->view->pod, "spec.hostNetwork");
	struct span own = t->view->sandbox ? t->view->sandbox->address : value_find_string(t->before, "podIP");

	address_put(t, "hostIP", "hostIPs", t->extra->host_address);
	address_put(t, "podIP", "podIPs", is_host ? t->extra->host_address : own);
}

static void reasons_put(struct telling *t)
{
	bool is_same = span_equal(t->phase, get_text(t->before, "phase"));

	if (t->extra->reason.len || t->extra->message.len) {
		put_text(t, t->status, "message", t->extra->message);
		put_text(t, t->status, "reason", t->extra->reason);
	} else if (is_same) {
		put_text(t, t->status, "message", get_text(t->before, "message"));
		put_text(t, t->status, "reason", get_text(t->before, "reason"));
	}
}

struct value *pod_status(const struct pod_view *view, const struct status_extra *extra, struct arena *arena,
			 struct error *err)
{
	struct error failed = { 0 };
	struct telling t = {
		.view = view, .extra = extra, .before = get(view->pod, "status"), .arena = arena, .err = &failed
	};
	struct value inits, mains, debug;
	int64_t since;

	t.status = ARENA_NEW(arena, struct value, err);
	if (!t.status || !pod_parts_read(view, arena, &t.parts, err))
		return NULL;
	*t.status = value_object();
	inits = statuses(&t, PART_INIT, PART_SIDECAR);
	mains = statuses(&t, PART_MAIN, PART_MAIN);
	debug = statuses(&t, PART_DEBUG, PART_DEBUG);
	t.phase = phase_of(&t, &inits, &mains);
	put(&t, t.status, "phase", value_string(t.phase));
	put(&t, t.status, "conditions", conditions(&t));
	reasons_put(&t);
	addresses_put(&t);
	since = pod_time_ns(view->pod, "status.startTime");
	put(&t, t.status, "startTime", time_value(&t, since ? since : view->now_ns));
	if (inits.array.count)
		put(&t, t.status, "initContainerStatuses", inits);
	put(&t, t.status, "containerStatuses", mains);
	if (debug.array.count)
		put(&t, t.status, "ephemeralContainerStatuses", debug);
	put(&t, t.status, "qosClass", value_string(pod_quality_class(view->pod)));
	if (failed.code)
		*err = failed;
	return failed.code ? NULL : t.status;
}
