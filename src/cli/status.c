/* SPDX-License-Identifier: Apache-2.0 */
/* status - what runs, what is wrong with it, since when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cause.h"
#include "cli/options.h"
#include "cli/view.h"
#include "wire/json.h"

enum { EVENTS_READ_MOST = 32 }; /* of so many pods that only begin; a question each */
enum state { STATE_FAILS, STATE_STARTS, STATE_RUNS, STATE_DONE, STATE_PAUSED };

static const char *const state_names[] = { "fails", "starts", "runs", "done", "paused" };

struct row {
	struct span name_space, name, ready, since, wrong;
	enum state state;
};

/* A Service that others than pods reach: where. */
struct address {
	struct span name_space, name, at;
};

struct report {
	struct view view;
	struct row *rows;
	size_t count, capacity, events_read;
	struct address *addresses; /* in the view's arena */
	size_t address_count;
	size_t states[STATE_PAUSED + 1];
};

/* The worst pod of a workload speaks for it: one with a cause that is known, before one that only begins. */
struct worst {
	struct report *report;
	struct cause_found cause;
	const struct value *pod;
	bool is_known;
};

static void worst_take(void *context, const struct value *pod)
{
	struct worst *w = context;
	struct report *r = w->report;
	struct cause_found c;

	if (!cause_find(pod, NULL, (struct span){ 0 }, r->view.arena, &c))
		return;
	if (!c.likely.len && !w->is_known && r->events_read < EVENTS_READ_MOST) {
		r->events_read++; /* a volume that is not there is told by events alone */
		(void)cause_find(pod, view_events(&r->view, pod), (struct span){ 0 }, r->view.arena, &c);
	}
	if (w->pod && (w->is_known || !c.likely.len))
		return;
	w->cause = c;
	w->pod = pod;
	w->is_known = c.likely.len > 0;
}

static const struct value *condition(const struct value *object, const char *type)
{
	const struct value *list = value_find(object, "status.conditions");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "type"), span_of(type)))
			return value_item(list, i);
	return NULL;
}

static bool is_condition(const struct value *object, const char *type, const char *status)
{
	return span_equal(value_find_string(condition(object, type), "status"), span_of(status));
}

#define SAY(r, ...) arena_print((r)->view.arena, &(r)->view.err, __VA_ARGS__)

static struct row *row_add(struct report *r, const struct view_kind *kind, const struct value *object)
{
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? r->capacity * 2 : 64;
		r->rows = base_realloc(r->rows, r->capacity * sizeof(*r->rows));
	}
	r->rows[r->count] = (struct row){ .name_space = name_space_of(object),
					  .name = SAY(r, "%s/" SPAN_FMT, kind->name, SPAN_WHOLE(name_of(object))),
					  .state = STATE_RUNS,
					  .since = value_find_string(object, "metadata.creationTimestamp") };
	return &r->rows[r->count++];
}

static void worst_tell(struct report *r, struct row *row, const struct value *object)
{
	struct worst w = { .report = r };

	view_pods(&r->view, object, worst_take, &w);
	if (!w.pod)
		return;
	row->wrong = w.cause.what;
	if (w.is_known)
		row->state = STATE_FAILS;
	if (w.cause.since.len)
		row->since = w.cause.since;
}

static bool is_seen(const struct value *object)
{
	return value_find_int(object, "status.observedGeneration", 0) >=
	       value_find_int(object, "metadata.generation", 0);
}

/* Deployments, StatefulSets, DaemonSets, ReplicaSets: so many are wanted, so many are there. */
static void keeper_tell(struct report *r, struct row *row, const struct value *object, int64_t wanted, int64_t there,
			int64_t updated)
{
	const struct value *failure = condition(object, "ReplicaFailure"), *progress = condition(object, "Progressing");
	struct span ready_since = value_find_string(condition(object, "Available"), "lastTransitionTime");

	row->ready = SAY(r, "%lld/%lld", (long long)there, (long long)wanted);
	if (is_seen(object) && there >= wanted && updated >= wanted) {
		if (ready_since.len)
			row->since = ready_since;
		return;
	}
	row->state = STATE_STARTS;
	worst_tell(r, row, object);
	if (is_condition(object, "ReplicaFailure", "True")) {
		row->state = STATE_FAILS;
		row->wrong = value_find_string(failure, "message");
	} else if (is_condition(object, "Progressing", "False") && !row->wrong.len) {
		row->state = STATE_FAILS;
		row->wrong = value_find_string(progress, "message");
	}
}

/* SeldonDeployments, InferenceServices: what their Deployments have, and what the whole says of itself. */
static void model_tell(struct report *r, struct row *row, const struct value *object, bool is_available,
		       bool has_failed, struct span why)
{
	const struct value *list = view_list(&r->view, view_kind_named("deployment"));
	int64_t wanted = 0, there = 0;

	for (uint32_t i = 0; i < list->array.count; i++) {
		const struct value *one = value_item(list, i);

		if (!is_owned_by(one, uid_of(object)))
			continue;
		wanted += value_find_int(one, "spec.replicas", 1);
		there += value_find_int(one, "status.availableReplicas", 0);
	}
	row->ready = SAY(r, "%lld/%lld", (long long)there, (long long)wanted);
	if (is_available && is_seen(object)) {
		struct span since = value_find_string(condition(object, "Ready"), "lastTransitionTime");

		if (since.len)
			row->since = since;
		return;
	}
	row->state = STATE_STARTS;
	worst_tell(r, row, object);
	if (has_failed)
		row->state = STATE_FAILS;
	if (!row->wrong.len)
		row->wrong = why;
}

static void seldon_tell(struct report *r, struct row *row, const struct value *object)
{
	struct span state = value_find_string(object, "status.state");

	model_tell(r, row, object, span_equal(state, SPAN("Available")), span_equal(state, SPAN("Failed")),
		   value_find_string(object, "status.description"));
}

static void inference_tell(struct report *r, struct row *row, const struct value *object)
{
	struct span transition = value_find_string(object, "status.modelStatus.transitionStatus");

	model_tell(r, row, object, is_condition(object, "Ready", "True"),
		   span_equal(transition, SPAN("BlockedByFailedLoad")),
		   value_find_string(condition(object, "Ready"), "message"));
}

static void job_tell(struct report *r, struct row *row, const struct value *job)
{
	row->ready = SAY(r, "%lld/%lld", (long long)value_find_int(job, "status.succeeded", 0),
			 (long long)value_find_int(job, "spec.completions", 1));
	if (is_condition(job, "Complete", "True")) {
		row->state = STATE_DONE;
		row->since = value_find_string(job, "status.completionTime");
	} else if (is_condition(job, "Failed", "True")) {
		row->state = STATE_FAILS;
		row->wrong = value_find_string(condition(job, "Failed"), "message");
		row->since = value_find_string(condition(job, "Failed"), "lastTransitionTime");
		worst_tell(r, row, job);
	} else if (is_condition(job, "Suspended", "True")) {
		row->state = STATE_PAUSED;
	} else {
		worst_tell(r, row, job);
	}
}

static void pod_tell(struct report *r, struct row *row, const struct value *pod)
{
	const struct value *list = value_find(pod, "status.containerStatuses"),
			   *wanted = value_find(pod, "spec.containers");
	unsigned ready = 0;

	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *is = value_get(value_item(list, i), SPAN("ready"));

		ready += value_is(is, VALUE_BOOL) && is->boolean;
	}
	row->ready = SAY(r, "%u/%u", ready, value_count(wanted));
	if (span_equal(value_find_string(pod, "status.phase"), SPAN("Succeeded"))) {
		row->state = STATE_DONE;
		return;
	}
	worst_tell(r, row, pod);
	if (row->wrong.len && row->state != STATE_FAILS)
		row->state =
		    span_equal(value_find_string(pod, "status.phase"), SPAN("Failed")) ? STATE_FAILS : STATE_STARTS;
}

static bool flag_is(const struct value *object, const char *path)
{
	const struct value *v = value_find(object, path);

	return value_is(v, VALUE_BOOL) && v->boolean;
}

static void deployment_tell(struct report *r, struct row *row, const struct value *object)
{
	keeper_tell(r, row, object, value_find_int(object, "spec.replicas", 1),
		    value_find_int(object, "status.availableReplicas", 0),
		    value_find_int(object, "status.updatedReplicas", 0));
	if (flag_is(object, "spec.paused") && row->state == STATE_STARTS)
		row->state = STATE_PAUSED;
}

/* StatefulSets, ReplicaSets */
static void set_tell(struct report *r, struct row *row, const struct value *object)
{
	keeper_tell(r, row, object, value_find_int(object, "spec.replicas", 1),
		    value_find_int(object, "status.availableReplicas", 0), INT64_MAX);
}

static void daemon_set_tell(struct report *r, struct row *row, const struct value *object)
{
	keeper_tell(r, row, object, value_find_int(object, "status.desiredNumberScheduled", 0),
		    value_find_int(object, "status.numberAvailable", 0),
		    value_find_int(object, "status.updatedNumberScheduled", 0));
}

/* The last of its Jobs that has ended, or fails by now, speaks for it. */
static void cron_job_tell(struct report *r, struct row *row, const struct value *object)
{
	const struct value *jobs = view_list(&r->view, view_kind_named("job"));
	struct span last = { 0 };

	row->ready = value_find_string(object, "spec.schedule");
	for (uint32_t i = 0; i < jobs->array.count; i++) {
		const struct value *job = value_item(jobs, i);
		struct span made = value_find_string(job, "metadata.creationTimestamp");
		struct row one = { .state = STATE_RUNS };

		if (!is_owned_by(job, uid_of(object)) || (last.len && span_order(made, last) < 0))
			continue;
		job_tell(r, &one, job);
		if (one.state != STATE_DONE && one.state != STATE_FAILS)
			continue;
		last = made;
		row->state = one.state == STATE_FAILS ? STATE_FAILS : STATE_RUNS;
		row->since = one.since.len ? one.since : made;
		row->wrong = !one.wrong.len ? one.wrong
					    : SAY(r, "job " SPAN_FMT ": " SPAN_FMT, SPAN_WHOLE(name_of(job)),
						  SPAN_WHOLE(one.wrong));
	}
	if (flag_is(object, "spec.suspend"))
		row->state = STATE_PAUSED;
}

static const struct told_kind {
	const char *name;
	void (*tell)(struct report *r, struct row *row, const struct value *object);
} told_kinds[] = {
	{ "seldondeployment", seldon_tell },
	{ "inferenceservice", inference_tell },
	{ "deployment", deployment_tell },
	{ "statefulset", set_tell },
	{ "daemonset", daemon_set_tell },
	{ "cronjob", cron_job_tell },
	{ "job", job_tell },
	{ "replicaset", set_tell },
	{ "pod", pod_tell },
};

/* What one of these keeps is told with it. */
static bool is_told_above(const struct value *object)
{
	struct span owner = owner_kind_of(object);

	for (size_t i = 0; i < ARRAY_LEN(told_kinds); i++)
		if (span_equal_ignore_case(owner, span_of(told_kinds[i].name)))
			return true;
	return false;
}

static int row_order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->state != y->state ? (int)x->state - (int)y->state : x < y ? -1 : 1;
}

static void survey(struct report *r)
{
	for (size_t k = 0; k < ARRAY_LEN(told_kinds); k++) {
		const struct view_kind *kind = view_kind_named(told_kinds[k].name);
		const struct value *list = view_list(&r->view, kind);

		for (uint32_t i = 0; i < list->array.count; i++)
			if (!is_told_above(value_item(list, i)))
				told_kinds[k].tell(r, row_add(r, kind, value_item(list, i)), value_item(list, i));
	}
	for (size_t i = 0; i < r->count; i++)
		r->states[r->rows[i].state]++;
	if (r->count)
		qsort(r->rows, r->count, sizeof(*r->rows), row_order);
}

/* ---- addresses ---- */

/* "127.0.0.1:8000, 127.0.0.1:5353/udp"; `holder` has the ports, each with its number in `member`. */
static void ports_print(struct buffer *out, struct span host, const struct value *holder, const char *member)
{
	const struct value *ports = value_get(holder, SPAN("ports"));

	for (uint32_t i = 0; i < value_count(ports); i++) {
		const struct value *port = value_item(ports, i);

		buffer_print(out, "%s" SPAN_FMT ":%lld%s%s", out->len ? ", " : "", SPAN_WHOLE(host),
			     (long long)value_find_int(port, member, 0),
			     span_equal(value_find_string(port, "protocol"), SPAN("UDP")) ? "/udp" : "",
			     value_find_string(port, "error").len ? " (not listened on)" : "");
	}
}

/* False: only pods, and this machine, reach it. */
static bool address_find(struct report *r, const struct value *service, struct address *ret)
{
	const struct value *spec = value_get(service, SPAN("spec")),
			   *list = value_find(service, "status.loadBalancer.ingress");
	struct span type = value_find_string(spec, "type");
	struct buffer text;

	buffer_init(&text, KIB(64));
	if (span_equal(type, SPAN("NodePort"))) {
		ports_print(&text, SPAN("node"), spec, "nodePort");
	} else if (!span_equal(type, SPAN("LoadBalancer"))) {
		return false;
	}
	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *one = value_item(list, i);
		struct span ip = value_find_string(one, "ip");

		/* Not all clouds tell the ports: then they are the Service's own. */
		ports_print(&text, ip.len ? ip : value_find_string(one, "hostname"),
			    value_count(value_get(one, SPAN("ports"))) ? one : spec, "port");
	}
	*ret = (struct address){ name_space_of(service), name_of(service),
				 SAY(r, SPAN_FMT, SPAN_WHOLE(text.len ? buffer_span(&text) : SPAN("none yet"))) };
	buffer_done(&text);
	return true;
}

static void addresses_find(struct report *r)
{
	const struct value *list = view_list(&r->view, view_kind_named("service"));

	r->addresses = arena_calloc(r->view.arena, value_count(list) + 1, sizeof(*r->addresses), &r->view.err);
	for (uint32_t i = 0; r->addresses && i < value_count(list); i++)
		r->address_count += address_find(r, value_item(list, i), &r->addresses[r->address_count]);
}

/* ---- nodes ---- */

static struct span node_wrong(struct report *r, const struct value *node)
{
	static const char *const pressures[] = { "MemoryPressure", "DiskPressure", "PIDPressure" };

	if (!is_condition(node, "Ready", "True"))
		return SAY(r, "not ready: " SPAN_FMT,
			   SPAN_WHOLE(value_find_string(condition(node, "Ready"), "message")));
	for (size_t i = 0; i < ARRAY_LEN(pressures); i++)
		if (is_condition(node, pressures[i], "True"))
			return SAY(r, "%s: " SPAN_FMT, pressures[i],
				   SPAN_WHOLE(value_find_string(condition(node, pressures[i]), "message")));
	return flag_is(node, "spec.unschedulable") ? SPAN("takes no new pods (cordoned)") : SPAN("");
}

/* ---- printing ---- */

static void workloads_print(struct report *r, struct buffer *out)
{
	size_t widths[] = { strlen("NAMESPACE"), strlen("NAME"), strlen("READY") };

	if (!r->count)
		return;
	for (size_t i = 0; i < r->count; i++) {
		widths[0] = MAX(widths[0], r->rows[i].name_space.len);
		widths[1] = MAX(widths[1], r->rows[i].name.len);
		widths[2] = MAX(widths[2], r->rows[i].ready.len);
	}
	buffer_print(out, "\n%-*s  %-*s  %-*s  %-6s  %-6s  %s\n", (int)widths[0], "NAMESPACE", (int)widths[1], "NAME",
		     (int)widths[2], "READY", "STATE", "SINCE", "WHAT IS WRONG");
	for (size_t i = 0; i < r->count; i++) {
		const struct row *row = &r->rows[i];
		struct span age = view_age(&r->view, row->since);

		buffer_print(out, "%-*.*s  %-*.*s  %-*.*s  %-6s  %-6.*s  " SPAN_FMT, (int)widths[0],
			     SPAN_WHOLE(row->name_space), (int)widths[1], SPAN_WHOLE(row->name), (int)widths[2],
			     SPAN_WHOLE(row->ready), state_names[row->state], SPAN_WHOLE(age), SPAN_WHOLE(row->wrong));
		while (out->len && out->ptr[out->len - 1] == ' ')
			out->len--;
		buffer_byte(out, '\n');
	}
}

static void addresses_print(const struct report *r, struct buffer *out)
{
	size_t widths[] = { strlen("NAMESPACE"), strlen("SERVICE") };

	if (!r->address_count)
		return;
	for (size_t i = 0; i < r->address_count; i++) {
		widths[0] = MAX(widths[0], r->addresses[i].name_space.len);
		widths[1] = MAX(widths[1], r->addresses[i].name.len);
	}
	buffer_print(out, "\n%-*s  %-*s  %s\n", (int)widths[0], "NAMESPACE", (int)widths[1], "SERVICE", "ANSWERS AT");
	for (size_t i = 0; i < r->address_count; i++) {
		const struct address *a = &r->addresses[i];

		buffer_print(out, "%-*.*s  %-*.*s  " SPAN_FMT "\n", (int)widths[0], SPAN_WHOLE(a->name_space),
			     (int)widths[1], SPAN_WHOLE(a->name), SPAN_WHOLE(a->at));
	}
}

static void text_print(struct report *r, struct buffer *out)
{
	const struct value *nodes = view_list(&r->view, view_kind_named("node"));

	buffer_print(out, SPAN_FMT ": ", SPAN_WHOLE(api_server(r->view.api)));
	if (!r->count)
		buffer_append(out, SPAN("nothing runs\n"));
	for (size_t i = 0, said = 0; i < ARRAY_LEN(r->states); i++)
		if (r->states[i])
			buffer_print(out, "%s%zu %s", said++ ? ", " : "", r->states[i], state_names[i]);
	if (r->count)
		buffer_byte(out, '\n');
	for (uint32_t i = 0; i < value_count(nodes); i++) {
		const struct value *node = value_item(nodes, i);
		struct span wrong = node_wrong(r, node);

		buffer_print(out, "node " SPAN_FMT " %s" SPAN_FMT "\n", SPAN_WHOLE(name_of(node)),
			     wrong.len ? "" : "is ready", SPAN_WHOLE(wrong));
	}
	workloads_print(r, out);
	addresses_print(r, out);
	if (r->states[STATE_FAILS])
		buffer_print(out, "\nAsk why:\n  hythe why " SPAN_FMT " -n " SPAN_FMT "\n", SPAN_WHOLE(r->rows[0].name),
			     SPAN_WHOLE(r->rows[0].name_space));
}

static void json_member(struct json_writer *w, const char *name, struct span value)
{
	json_key(w, span_of(name));
	json_string(w, value);
}

static void json_print(struct report *r, struct buffer *out)
{
	const struct value *nodes = view_list(&r->view, view_kind_named("node"));
	struct json_writer w = json_writer(out);

	json_open_object(&w);
	json_member(&w, "api", api_server(r->view.api));
	json_key(&w, SPAN("nodes"));
	json_open_array(&w);
	for (uint32_t i = 0; i < nodes->array.count; i++) {
		json_open_object(&w);
		json_member(&w, "name", name_of(value_item(nodes, i)));
		json_member(&w, "wrong", node_wrong(r, value_item(nodes, i)));
		json_close_object(&w);
	}
	json_close_array(&w);
	json_key(&w, SPAN("workloads"));
	json_open_array(&w);
	for (size_t i = 0; i < r->count; i++) {
		const struct row *row = &r->rows[i];

		json_open_object(&w);
		json_member(&w, "namespace", row->name_space);
		json_member(&w, "name", row->name);
		json_member(&w, "ready", row->ready);
		json_member(&w, "state", span_of(state_names[row->state]));
		json_member(&w, "since", row->since);
		json_member(&w, "wrong", row->wrong);
		json_close_object(&w);
	}
	json_close_array(&w);
	json_key(&w, SPAN("services"));
	json_open_array(&w);
	for (size_t i = 0; i < r->address_count; i++) {
		json_open_object(&w);
		json_member(&w, "namespace", r->addresses[i].name_space);
		json_member(&w, "name", r->addresses[i].name);
		json_member(&w, "address", r->addresses[i].at);
		json_close_object(&w);
	}
	json_close_array(&w);
	json_close_object(&w);
	buffer_byte(out, '\n');
}

int status_run(const struct cli_call *call)
{
	const struct cluster_options *o = call->options;
	struct report r = { .view = { .arena = call->arena, .name_space = o->name_space } };
	struct error err = { 0 };
	struct buffer out;
	int code = EXIT_FAILED;

	r.view.api = api_open(&o->where, call->arena, &err);
	if (r.view.api) {
		survey(&r);
		addresses_find(&r);
		buffer_init(&out, MIB(64));
		if (o->as_json)
			json_print(&r, &out);
		else
			text_print(&r, &out);
		err = r.view.err;
		if (!err.code) {
			(void)fwrite(out.ptr, 1, out.len, stdout);
			code = r.states[STATE_FAILS] ? EXIT_FAILED : EXIT_OK;
		}
		buffer_done(&out);
	}
	if (err.code)
		cli_complain(call->command, &err);
	free(r.rows);
	api_close(r.view.api);
	return code;
}
