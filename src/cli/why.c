/* SPDX-License-Identifier: Apache-2.0 */
/* why - the chain from an object down to its processes: conditions, events, exit codes, the last lines of logs, and one likely cause. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cause.h"
#include "cli/options.h"
#include "cli/view.h"

enum { LOG_LINES = 10, PODS_SHOWN = 5, EVENTS_SHOWN = 6 };

struct chain {
	struct view view;
	struct buffer *out;
	unsigned pods, pods_wrong;
	struct cause_found likely; /* the best so far */
	struct span pod;           /* whose it is */
};

static void line(struct chain *c, int depth, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct chain *c, int depth, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buffer_print(c->out, "%*s%s\n", 2 * depth, "", text);
}

/* ---- conditions and events ---- */

/* Conditions that say "well": told only by their absence. */
static bool is_good(struct span type, struct span status)
{
	bool is_bad_thing = memmem(type.ptr, type.len, "Pressure", 8) || span_equal(type, SPAN("ReplicaFailure")) ||
			    span_equal(type, SPAN("Failed")) || span_equal(type, SPAN("Suspended")) ||
			    span_equal(type, SPAN("FailureTarget")) || span_equal(type, SPAN("ScalingLimited"));

	return span_equal(status, is_bad_thing ? SPAN("False") : SPAN("True"));
}

static void conditions_of(struct chain *c, int depth, const struct value *list)
{
	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *one = value_item(list, i);
		struct span type = value_find_string(one, "type"), status = value_find_string(one, "status");

		if (!is_good(type, status))
			line(c, depth,
			     "condition " SPAN_FMT " is " SPAN_FMT " since " SPAN_FMT ": " SPAN_FMT " " SPAN_FMT,
			     SPAN_WHOLE(type), SPAN_WHOLE(status),
			     SPAN_WHOLE(view_age(&c->view, value_find_string(one, "lastTransitionTime"))),
			     SPAN_WHOLE(value_find_string(one, "reason")),
			     SPAN_WHOLE(value_find_string(one, "message")));
	}
}

static void conditions_print(struct chain *c, int depth, const struct value *object)
{
	conditions_of(c, depth, value_find(object, "status.conditions"));
}

static void events_print(struct chain *c, int depth, const struct value *events)
{
	uint32_t count = value_count(events);

	for (uint32_t i = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0; i < count; i++) {
		const struct value *e = value_item(events, i);
		struct span time = value_find_string(e, "lastTimestamp");
		long long times = (long long)value_find_int(e, "count", 1);
		char often[32] = "";

		if (!time.len)
			time = value_find_string(e, "eventTime");
		if (times > 1)
			(void)snprintf(often, sizeof(often), " (%lld times)", times);
		line(c, depth, "event " SPAN_FMT " " SPAN_FMT " ago%s: " SPAN_FMT,
		     SPAN_WHOLE(value_find_string(e, "reason")), SPAN_WHOLE(view_age(&c->view, time)), often,
		     SPAN_WHOLE(value_find_string(e, "message")));
	}
}

/* ---- pods ---- */

static void ended_print(struct chain *c, int depth, const char *when, const struct value *ended)
{
	struct span message = value_find_string(ended, "message");

	line(c, depth, "%s: " SPAN_FMT ", exit code %lld, " SPAN_FMT " ago%s" SPAN_FMT, when,
	     SPAN_WHOLE(value_find_string(ended, "reason")), (long long)value_find_int(ended, "exitCode", 0),
	     SPAN_WHOLE(view_age(&c->view, value_find_string(ended, "finishedAt"))), message.len ? ": " : "",
	     SPAN_WHOLE(message));
}

static void container_print(struct chain *c, int depth, const struct value *status)
{
	const struct value *waiting = value_find(status, "state.waiting"),
			   *ended = value_find(status, "state.terminated"),
			   *running = value_find(status, "state.running"),
			   *last = value_find(status, "lastState.terminated"),
			   *ready = value_get(status, SPAN("ready"));

	line(c, depth, "container " SPAN_FMT ": %s%s, %lld restarts", SPAN_WHOLE(value_find_string(status, "name")),
	     waiting   ? "waits"
	     : ended   ? "has ended"
	     : running ? "runs"
		       : "is not there yet",
	     running && value_is(ready, VALUE_BOOL) && !ready->boolean ? ", but is not ready" : "",
	     (long long)value_find_int(status, "restartCount", 0));
	if (waiting)
		line(c, depth + 1, SPAN_FMT " " SPAN_FMT, SPAN_WHOLE(value_find_string(waiting, "reason")),
		     SPAN_WHOLE(value_find_string(waiting, "message")));
	if (ended)
		ended_print(c, depth + 1, "it ended", ended);
	if (last)
		ended_print(c, depth + 1, "the time before", last);
}

static void containers_print(struct chain *c, int depth, const struct value *pod)
{
	static const char *const lists[] = { "status.initContainerStatuses", "status.containerStatuses" };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		const struct value *list = value_find(pod, lists[l]);

		for (uint32_t i = 0; i < value_count(list); i++)
			container_print(c, depth, value_item(list, i));
	}
}

static void log_print(struct chain *c, int depth, const struct cause_found *found, struct span log)
{
	line(c, depth, "last lines of " SPAN_FMT "%s:", SPAN_WHOLE(found->container),
	     found->is_previous ? " before it was started again" : "");
	while (log.len) {
		struct span one = span_cut(&log, '\n');

		line(c, depth, "| " SPAN_FMT, SPAN_WHOLE(span_first(one, 400)));
	}
}

static void pod_print(struct chain *c, int depth, const struct value *pod)
{
	struct cause_found found;
	const struct value *events;
	struct span log = { 0 };
	bool is_wrong = cause_find(pod, NULL, log, c->view.arena, &found);

	c->pods++;
	c->pods_wrong += is_wrong;
	if (is_wrong ? c->pods_wrong > PODS_SHOWN : c->pods > PODS_SHOWN)
		return;
	line(c, depth, "pod/" SPAN_FMT ": " SPAN_FMT ", on node " SPAN_FMT ", " SPAN_FMT " old",
	     SPAN_WHOLE(name_of(pod)), SPAN_WHOLE(value_find_string(pod, "status.phase")),
	     SPAN_WHOLE(value_find_string(pod, "spec.nodeName").len ? value_find_string(pod, "spec.nodeName")
								    : SPAN("none")),
	     SPAN_WHOLE(view_age(&c->view, value_find_string(pod, "metadata.creationTimestamp"))));
	if (!is_wrong)
		return;
	events = view_events(&c->view, pod);
	if (found.container.len)
		log = view_log(&c->view, pod, found.container, found.is_previous, LOG_LINES);
	(void)cause_find(pod, events, log, c->view.arena, &found);
	conditions_print(c, depth + 1, pod);
	containers_print(c, depth + 1, pod);
	events_print(c, depth + 1, events);
	if (log.len)
		log_print(c, depth + 1, &found, log);
	if (!c->pod.len || (found.likely.len && !c->likely.likely.len)) {
		c->likely = found;
		c->pod = name_of(pod);
	}
}

/* ---- what stands above pods ---- */

/* What each Gateway says of a route. */
static void parents_print(struct chain *c, int depth, const struct value *object)
{
	const struct value *parents = value_find(object, "status.parents");

	for (uint32_t i = 0; i < value_count(parents); i++) {
		const struct value *parent = value_item(parents, i);

		line(c, depth, "gateway/" SPAN_FMT, SPAN_WHOLE(value_find_string(parent, "parentRef.name")));
		conditions_of(c, depth + 1, value_get(parent, SPAN("conditions")));
	}
}

static void head_print(struct chain *c, int depth, const struct view_kind *kind, const struct value *object)
{
	char ready[96] = "";

	if (value_find(object, "spec.replicas"))
		(void)snprintf(ready, sizeof(ready), ": %lld of %lld ready",
			       (long long)value_find_int(object, "status.readyReplicas", 0),
			       (long long)value_find_int(object, "spec.replicas", 0));
	line(c, depth, "%s/" SPAN_FMT "%s, " SPAN_FMT " old", kind->name, SPAN_WHOLE(name_of(object)), ready,
	     SPAN_WHOLE(view_age(&c->view, value_find_string(object, "metadata.creationTimestamp"))));
	if (value_find_string(object, "status.state").len)
		line(c, depth + 1, "it is " SPAN_FMT " " SPAN_FMT,
		     SPAN_WHOLE(value_find_string(object, "status.state")),
		     SPAN_WHOLE(value_find_string(object, "status.description")));
	conditions_print(c, depth + 1, object);
	parents_print(c, depth + 1, object);
	events_print(c, depth + 1, view_events(&c->view, object));
}

/* What the object controls, kind by kind; ReplicaSets of old versions that want no pods are left out. */
static void children_print(struct chain *c, int depth, const struct value *object)
{
	static const char *const kinds[] = { "deployment", "replicaset", "job", "pod" };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		const struct view_kind *kind = view_kind_named(kinds[k]);
		const struct value *list = view_list(&c->view, kind);

		for (uint32_t i = 0; i < value_count(list); i++) {
			const struct value *child = value_item(list, i);

			if (!is_owned_by(child, uid_of(object)))
				continue;
			if (strcmp(kind->name, "pod") == 0) {
				pod_print(c, depth, child);
			} else if (value_find_int(child, "spec.replicas", 1) ||
				   value_find_int(child, "status.replicas", 0)) {
				head_print(c, depth, kind, child);
				children_print(c, depth + 1, child);
			}
		}
	}
}

static bool takes(const struct value *selector, const struct value *pod)
{
	const struct value *labels = value_find(pod, "metadata.labels");

	for (uint32_t i = 0; i < selector->object.count; i++) {
		const struct value *label = value_get(labels, selector->object.members[i].key);

		if (!label || !value_equal(label, &selector->object.members[i].value))
			return false;
	}
	return selector->object.count > 0;
}

static void service_print(struct chain *c, const struct value *service)
{
	const struct value *selector = value_find(service, "spec.selector"),
			   *pods = view_list(&c->view, view_kind_named("pod"));

	if (!value_is(selector, VALUE_OBJECT)) {
		line(c, 1, "it has no selector: its endpoints are somebody's to write");
		return;
	}
	for (uint32_t i = 0; i < value_count(pods); i++) {
		if (takes(selector, value_item(pods, i)))
			pod_print(c, 1, value_item(pods, i));
	}
	if (!c->pods) {
		c->likely.what = SPAN("no pod has the labels of its selector");
		c->likely.likely =
		    SPAN("compare spec.selector with the labels of the pods (kubectl get pods --show-labels)");
		c->pod = SPAN("-");
	}
}

static void backend_print(struct chain *c, struct span name)
{
	const struct view_kind *kind = view_kind_named("service");
	struct error err = { 0 };
	const struct value *service = view_get(&c->view, kind, span_of(c->view.name_space), name, &err);

	if (!service) {
		line(c, 1, "service/" SPAN_FMT " is not there", SPAN_WHOLE(name));
		return;
	}
	head_print(c, 1, kind, service);
	service_print(c, service);
}

/* The services that an Ingress or a route names, wherever they stand in it. */
static void backends_print(struct chain *c, const struct value *v)
{
	for (uint32_t i = 0; i < value_count(v); i++)
		backends_print(c, value_item(v, i));
	for (uint32_t i = 0; value_is(v, VALUE_OBJECT) && i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];

		if (span_equal(m->key, SPAN("backendRefs"))) {
			for (uint32_t k = 0; k < value_count(&m->value); k++)
				backend_print(c, value_find_string(value_item(&m->value, k), "name"));
		} else if (span_equal(m->key, SPAN("service"))) {
			backend_print(c, value_find_string(&m->value, "name"));
		} else {
			backends_print(c, &m->value);
		}
	}
}

static void chain_print(struct chain *c, const struct view_kind *kind, const struct value *object)
{
	if (strcmp(kind->name, "pod") == 0) {
		pod_print(c, 0, object);
	} else {
		head_print(c, 0, kind, object);
		if (strcmp(kind->name, "service") == 0)
			service_print(c, object);
		else
			children_print(c, 1, object);
		if (strcmp(kind->name, "ingress") == 0 || strstr(kind->name, "route"))
			backends_print(c, value_get(object, SPAN("spec")));
	}
	if (c->pods > PODS_SHOWN)
		line(c, 1, "... %u pods in all, something is wrong with %u", c->pods, c->pods_wrong);
	if (!c->pod.len) {
		line(c, 0, "Nothing is wrong with %s.", c->pods ? "its pods" : "it that pods would show");
		return;
	}
	line(c, 0, "What is wrong: %s" SPAN_FMT "%s" SPAN_FMT, c->pods ? "pod/" : "",
	     SPAN_WHOLE(c->pods ? c->pod : SPAN("")), c->pods ? ": " : "", SPAN_WHOLE(c->likely.what));
	if (c->likely.likely.len)
		line(c, 0, "Likely cause: " SPAN_FMT, SPAN_WHOLE(c->likely.likely));
}

static bool explain(const struct cli_call *call, struct chain *c, struct error *err)
{
	const struct cluster_options *o = call->options;
	struct span name = span_of(call->arguments[0]), kind_name = span_cut(&name, '/');
	const struct view_kind *kind;
	const struct value *object;

	if (!name.len && call->argument_count == 2)
		name = span_of(call->arguments[1]);
	if (!name.len) { /* a bare name is a pod's */
		name = kind_name;
		kind_name = SPAN("pod");
	}
	kind = view_kind_find(kind_name, err);
	if (!kind)
		return false;
	c->view.name_space = o->name_space ? o->name_space : "default";
	object = view_get(&c->view, kind, span_of(c->view.name_space), name, err);
	if (!object)
		return false;
	chain_print(c, kind, object);
	*err = c->view.err;
	return !err->code;
}

int why_run(const struct cli_call *call)
{
	const struct cluster_options *o = call->options;
	struct error err = { 0 };
	struct buffer out;
	struct chain c = { .view = { .arena = call->arena }, .out = &out };
	bool is_good_call;

	buffer_init(&out, MIB(16));
	c.view.api = api_open(&o->where, call->arena, &err);
	is_good_call = c.view.api && explain(call, &c, &err);
	if (is_good_call)
		(void)fwrite(out.ptr, 1, out.len, stdout);
	else
		cli_complain(call->command, &err);
	buffer_done(&out);
	api_close(c.view.api);
	return is_good_call ? EXIT_OK : EXIT_FAILED;
}
