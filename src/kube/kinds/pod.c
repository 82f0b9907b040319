/* SPDX-License-Identifier: Apache-2.0 */
/* pod - Pod of core/v1: what may change in one that exists, its quality of service, its table row. Binding and eviction are in
 * pod_subresources.c. */
#include "kube/kinds/kinds.h"

#include "base/clock.h"

#include "kube/kinds/pod.h"
#include "kube/kinds/protection.h"
#include "kube/kube.h"
#include "kube/subresource.h"

extern const struct subresource pod_others[];

/* ---- defaults ---- */

/* A limit without a request is the request too. */
static void request_limits(struct change *c, struct value *containers)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		struct value *resources = get(value_item(containers, i), "resources"), *requests;

		if (!count_of(get(resources, "limits")))
			continue;
		requests = ensure(c, resources, "requests");
		for (uint32_t k = 0; requests && k < count_of(get(resources, "limits")); k++) {
			const struct value_member *m = &get(resources, "limits")->object.members[k];

			if (!value_get(requests, m->key))
				(void)value_set(requests, m->key, m->value, c->arena, c->err);
		}
	}
}

static void host_ports(struct change *c, struct value *containers)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		struct value *ports = get(value_item(containers, i), "ports");

		for (uint32_t k = 0; k < count_of(ports); k++)
			default_nonzero(c, value_item(ports, k), "hostPort",
					get_int(value_item(ports, k), "containerPort", 0));
	}
}

static void pod_defaults(struct change *c)
{
	struct value *spec;

	shape(c);
	spec = ensure(c, c->object, "spec");
	pod_spec_defaults(c, spec);
	default_bool(c, spec, "enableServiceLinks", true);
	if (!c->old && get_int(spec, "terminationGracePeriodSeconds", 0) < 0)
		set_value(c, spec, "terminationGracePeriodSeconds", value_int(1));
	request_limits(c, get(spec, "containers"));
	request_limits(c, get(spec, "initContainers"));
	if (get_bool(spec, "hostNetwork")) {
		host_ports(c, get(spec, "containers"));
		host_ports(c, get(spec, "initContainers"));
	}
}

/* ---- what the server decides ---- */

/* Guaranteed: every container has limits of cpu and memory, and asks for as much; BestEffort: none asks for anything. */
static void add_quality(const struct value *containers, bool *has_any, bool *is_guaranteed)
{
	static const char *const names[] = { "cpu", "memory" };

	for (uint32_t i = 0; i < count_of(containers); i++) {
		const struct value *resources = get(value_item(containers, i), "resources");

		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			const struct value *limit = get(get(resources, "limits"), names[k]);
			const struct value *request = get(get(resources, "requests"), names[k]);
			int64_t most = 0, least = 0;

			(void)quantity_parse(text_of(limit), &most);
			(void)quantity_parse(text_of(request), &least);
			*has_any = *has_any || most > 0 || least > 0;
			if (most <= 0 || (request && least != most))
				*is_guaranteed = false;
		}
	}
}

const char *pod_quality(const struct value *spec)
{
	bool has_any = false, is_guaranteed = true;

	add_quality(get(spec, "containers"), &has_any, &is_guaranteed);
	add_quality(get(spec, "initContainers"), &has_any, &is_guaranteed);
	if (!has_any)
		return "BestEffort";
	return is_guaranteed ? "Guaranteed" : "Burstable";
}

/* podIP is the first of podIPs. */
static void set_ips(struct change *c, struct value *status)
{
	struct span one = get_text(status, "podIP");
	const struct value *list = get(status, "podIPs");

	if (one.len && (!count_of(list) || !span_equal(get_text(value_item(list, 0), "ip"), one))) {
		struct value ips = value_array(), ip = value_object();

		set_text(c, &ip, "ip", one);
		(void)value_append(&ips, ip, c->arena, c->err);
		set_value(c, status, "podIPs", ips);
	} else if (!one.len && count_of(list)) {
		set_text(c, status, "podIP", get_text(value_item(list, 0), "ip"));
	}
}

static void pod_prepare(struct change *c)
{
	if (!c->old) {
		struct value *status;
		set_value(c, c->object, "status", value_object());
		status = get(c->object, "status");
		set_text(c, status, "phase", SPAN("Pending"));
		set_text(c, status, "qosClass", span_of(pod_quality(get(c->object, "spec"))));
		if (count_of(get(get(c->object, "spec"), "schedulingGates"))) {
			struct value *list = value_ensure_array(status, SPAN("conditions"), c->arena, c->err),
				     gated = value_object();
			set_text(c, &gated, "type", SPAN("PodScheduled"));
			set_text(c, &gated, "status", SPAN("False"));
			set_text(c, &gated, "reason", SPAN("SchedulingGated"));
			set_text(c, &gated, "lastTransitionTime",
				 kube_now_text(c->kube ? kube_wall_ns(c->kube) : clock_wall_ns(), c->arena));
			set_text(c, &gated, "message", SPAN("Scheduling is blocked due to non-empty scheduling gates"));
			if (list)
				(void)value_append(list, gated, c->arena, c->err);
		}
		shape(c);
	} else if (pod_part_prepare(c)) {
		shape(c);
	} else if (span_equal(c->subresource, SPAN("binding"))) {
		shape(c); /* it tells the node, and that the pod is scheduled */
	} else {
		prepare_status(c);
		if (change_is_status(c)) {
			carry(c, get(c->object, "status"), get(c->old, "status"), "qosClass");
			set_ips(c, get(c->object, "status"));
		}
	}
}

/* ---- checks ---- */

#define UPDATE_WORDS                                                                                                   \
	"pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"      \
	"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"                    \
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

static void take_images(struct change *c, struct value *containers, const struct value *old)
{
	for (uint32_t i = 0; i < count_of(containers) && i < count_of(old); i++)
		carry(c, value_item(containers, i), value_item(old, i), "image");
}

static void check_images(struct change *c, const struct at *at, const struct value *containers)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		struct span image = get_text(value_item(containers, i), "image");

		if (image.len == 0)
			fault_required(c, AT(AT_INDEX(at, i), "image"), "");
		else if (span_trim(image).len != image.len)
			fault_invalid_text(c, AT(AT_INDEX(at, i), "image"), image,
					   "must not have leading or trailing whitespace");
	}
}

/* Tolerations may come and not go. */
static void check_added_tolerations(struct change *c, const struct at *at, const struct value *old,
				    const struct value *now)
{
	for (uint32_t i = 0; i < count_of(old); i++) {
		bool is_kept = false;

		for (uint32_t k = 0; k < count_of(now); k++)
			is_kept = is_kept || value_equal(value_item(old, i), value_item(now, k));
		if (!is_kept) {
			fault_forbidden(c, at, "existing toleration can not be modified except its tolerationSeconds");
			return;
		}
	}
}

static void check_deadline(struct change *c, const struct at *at, const struct value *old, const struct value *now)
{
	if (now && (now->integer < 0 || now->integer > INT32_MAX))
		fault_invalid(c, at, now, "must be between 0 and 2147483647, inclusive");
	else if (now && old && now->integer > old->integer)
		fault_invalid(c, at, now, "must be less than or equal to previous value");
	else if (old && !now)
		fault_invalid(c, at, now, "must not update from a positive integer to nil value");
}

static void check_update(struct change *c, const struct at *at)
{
	const struct value *old = get(c->old, "spec"), *now = get(c->object, "spec");
	struct value rest = copy_of(c, now);

	if (count_of(get(old, "containers")) != count_of(get(now, "containers"))) {
		fault_forbidden(c, AT(at, "containers"), "pod updates may not add or remove containers");
		return;
	}
	if (count_of(get(old, "initContainers")) != count_of(get(now, "initContainers"))) {
		fault_forbidden(c, AT(at, "initContainers"), "pod updates may not add or remove containers");
		return;
	}
	check_images(c, AT(at, "containers"), get(now, "containers"));
	check_images(c, AT(at, "initContainers"), get(now, "initContainers"));
	check_deadline(c, AT(at, "activeDeadlineSeconds"), get(old, "activeDeadlineSeconds"),
		       get(now, "activeDeadlineSeconds"));
	check_added_tolerations(c, AT(at, "tolerations"), get(old, "tolerations"), get(now, "tolerations"));
	check_tolerations(c, AT(at, "tolerations"), get(now, "tolerations"));
	take_images(c, get(&rest, "containers"), get(old, "containers"));
	take_images(c, get(&rest, "initContainers"), get(old, "initContainers"));
	carry(c, &rest, old, "activeDeadlineSeconds");
	carry(c, &rest, old, "tolerations");
	/* A gate may be opened, and while one is closed the node selection may be narrowed. */
	if (count_of(get(old, "schedulingGates")) &&
	    count_of(get(now, "schedulingGates")) <= count_of(get(old, "schedulingGates"))) {
		carry(c, &rest, old, "schedulingGates");
		carry(c, &rest, old, "nodeSelector");
		carry(c, &rest, old, "affinity");
	}
	if (get_int(old, "terminationGracePeriodSeconds", 0) < 0 &&
	    get_int(now, "terminationGracePeriodSeconds", 0) == 1)
		carry(c, &rest, old, "terminationGracePeriodSeconds");
	if (!is_same(&rest, old))
		fault_forbidden(c, at, UPDATE_WORDS);
}

static void pod_validate(struct change *c)
{
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (!c->old) {
		pod_spec_check(c, at, get(c->object, "spec"));
		if (count_of(get(get(c->object, "spec"), "ephemeralContainers")))
			fault_forbidden(c, AT(at, "ephemeralContainers"), "cannot be set on create");
	} else if (c->subresource.len == 0) {
		check_update(c, at);
	} else {
		pod_part_validate(c);
	}
	if (c->cause_count || c->subresource.len)
		return;
	if (!c->old)
		pod_name_warn(c, "the Pod's hostname");
	if (!c->old || !is_same(get(c->old, "spec"), get(c->object, "spec")))
		pod_spec_warn(c, at, get(c->object, "spec"));
}

/* ---- the row ---- */

struct pod_summary {
	struct span reason;
	int64_t restarts, restarts_of_sidecars, ready, total;
	struct span last, last_of_sidecars; /* when one ended last */
	struct arena *arena;
};

static const struct value *container_named(const struct value *list, struct span name)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (span_equal(get_text(value_item(list, i), "name"), name))
			return value_item(list, i);
	}
	return NULL;
}

static struct span later(struct span a, struct span b)
{
	int64_t x = INT64_MIN, y = INT64_MIN;

	(void)clock_parse_rfc3339(a, &x);
	(void)clock_parse_rfc3339(b, &y);
	return y > x ? b : a;
}

static struct span reason_of_end(const struct pod_summary *s, const char *prefix, const struct value *terminated)
{
	struct error err = { 0 };
	struct span reason = get_text(terminated, "reason");

	if (reason.len)
		return *prefix ? arena_print(s->arena, &err, "%s" SPAN_FMT, prefix, SPAN_ARG(reason)) : reason;
	if (get_int(terminated, "signal", 0))
		return arena_print(s->arena, &err, "%sSignal:%lld", prefix,
				   (long long)get_int(terminated, "signal", 0));
	return arena_print(s->arena, &err, "%sExitCode:%lld", prefix, (long long)get_int(terminated, "exitCode", 0));
}

/* True when the pod is still at this init container. */
static bool summarize_init(struct pod_summary *s, const struct value *spec, const struct value *one, uint32_t index)
{
	const struct value *state = get(one, "state"), *ended = get(state, "terminated"),
			   *waiting = get(state, "waiting");
	const struct value *container = container_named(get(spec, "initContainers"), get_text(one, "name"));
	bool is_sidecar = is_text(get(container, "restartPolicy"), "Always");
	struct span end = text_of(get(get(get(one, "lastState"), "terminated"), "finishedAt")), reason;
	struct error err = { 0 };

	s->restarts += get_int(one, "restartCount", 0);
	s->last = later(s->last, end);
	if (is_sidecar) {
		s->restarts_of_sidecars += get_int(one, "restartCount", 0);
		s->last_of_sidecars = later(s->last_of_sidecars, end);
	}
	if (ended && get_int(ended, "exitCode", 0) == 0)
		return false;
	if (is_sidecar && get_bool(one, "started")) {
		s->ready += get_bool(one, "ready") ? 1 : 0;
		return false;
	}
	reason = get_text(waiting, "reason");
	if (ended)
		s->reason = reason_of_end(s, "Init:", ended);
	else if (reason.len && !span_equal(reason, SPAN("PodInitializing")))
		s->reason = arena_print(s->arena, &err, "Init:" SPAN_FMT, SPAN_ARG(reason));
	else
		s->reason = arena_print(s->arena, &err, "Init:%u/%u", index, count_of(get(spec, "initContainers")));
	return true;
}

static bool condition_is_true(const struct value *status, const char *type)
{
	const struct value *list = get(status, "conditions");

	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(get(value_item(list, i), "type"), type))
			return is_text(get(value_item(list, i), "status"), "True");
	}
	return false;
}

static void summarize_containers(struct pod_summary *s, const struct value *status)
{
	const struct value *list = get(status, "containerStatuses");
	bool is_running = false;

	s->restarts = s->restarts_of_sidecars;
	s->last = s->last_of_sidecars;
	for (uint32_t i = count_of(list); i-- > 0;) {
		const struct value *one = value_item(list, i), *state = get(one, "state");
		struct span waiting = get_text(get(state, "waiting"), "reason");

		s->restarts += get_int(one, "restartCount", 0);
		s->last = later(s->last, text_of(get(get(get(one, "lastState"), "terminated"), "finishedAt")));
		if (waiting.len) {
			s->reason = waiting;
		} else if (get(state, "terminated")) {
			s->reason = reason_of_end(s, "", get(state, "terminated"));
		} else if (get_bool(one, "ready") && get(state, "running")) {
			is_running = true;
			s->ready++;
		}
	}
	if (is_running && span_equal(s->reason, SPAN("Completed")))
		s->reason = condition_is_true(status, "Ready") ? SPAN("Running") : SPAN("NotReady");
}

static void summarize(struct pod_summary *s, const struct value *o)
{
	const struct value *spec = get(o, "spec"), *status = get(o, "status"), *conditions = get(status, "conditions");
	const struct value *inits = get(status, "initContainerStatuses");
	struct span phase = get_text(status, "phase");
	bool is_initializing = false,
	     is_over = span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));

	s->reason = get_text(status, "reason").len ? get_text(status, "reason") : phase;
	s->total = count_of(get(spec, "containers"));
	for (uint32_t i = 0; i < count_of(conditions); i++) {
		const struct value *one = value_item(conditions, i);

		if (is_text(get(one, "type"), "PodScheduled") && is_text(get(one, "reason"), "SchedulingGated"))
			s->reason = SPAN("SchedulingGated");
	}
	for (uint32_t i = 0; i < count_of(get(spec, "initContainers")); i++) {
		if (is_text(get(value_item(get(spec, "initContainers"), i), "restartPolicy"), "Always"))
			s->total++;
	}
	for (uint32_t i = 0; i < count_of(inits) && !is_initializing; i++)
		is_initializing = summarize_init(s, spec, value_item(inits, i), i);
	if (!is_initializing || condition_is_true(status, "Initialized"))
		summarize_containers(s, status);
	if (value_find(o, "metadata.deletionTimestamp")) {
		if (is_text(get(status, "reason"), "NodeLost"))
			s->reason = SPAN("Unknown");
		else if (!is_over)
			s->reason = SPAN("Terminating");
	}
}

static struct value cell_gates(const struct value *o, struct arena *arena)
{
	const struct value *gates = get(get(o, "spec"), "readinessGates");
	unsigned ready = 0;

	if (!count_of(gates))
		return cell_text(SPAN("<none>"));
	for (uint32_t i = 0; i < count_of(gates); i++) {
		struct span type = get_text(value_item(gates, i), "conditionType");
		const struct value *list = get(get(o, "status"), "conditions");

		for (uint32_t k = 0; k < count_of(list); k++) {
			if (span_equal(get_text(value_item(list, k), "type"), type) &&
			    is_text(get(value_item(list, k), "status"), "True"))
				ready++;
		}
	}
	return cell_format(arena, "%u/%u", ready, count_of(gates));
}

static void pod_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *ips = get(get(o, "status"), "podIPs");
	struct pod_summary s = { .arena = arena };

	summarize(&s, o);
	cells[0] = cell_name(o);
	cells[1] = cell_format(arena, "%lld/%lld", (long long)s.ready, (long long)s.total);
	cells[2] = cell_text(s.reason);
	if (s.restarts && s.last.len) {
		struct span ago = kube_age(s.last, now_ns, arena);

		cells[3] = cell_format(arena, "%lld (" SPAN_FMT " ago)", (long long)s.restarts, SPAN_ARG(ago));
	} else {
		cells[3] = cell_format(arena, "%lld", (long long)s.restarts);
	}
	cells[4] = cell_age(o, now_ns, arena);
	cells[5] = cell_or(count_of(ips) ? get_text(value_item(ips, 0), "ip") : SPAN(""), "<none>");
	cells[6] = cell_or(value_find_string(o, "spec.nodeName"), "<none>");
	cells[7] = cell_or(value_find_string(o, "status.nominatedNodeName"), "<none>");
	cells[8] = cell_gates(o, arena);
}

/* Binding is no new generation. */
static bool pod_raises(const struct value *old, const struct value *object)
{
	const struct value *was = get(old, "spec"), *is = get(object, "spec");

	if (get_text(was, "nodeName").len == 0 && get_text(is, "nodeName").len)
		return false;
	return !is_same(was, is);
}

static const struct column pod_columns[] = {
	COLUMN_NAME,
	COLUMN("Ready", "string", "Containers that are ready, of all."),
	COLUMN("Status", "string", "The phase, or why it is not running."),
	COLUMN("Restarts", "string", "How often its containers were started again, and when last."),
	COLUMN_AGE,
	WIDE("IP", "string", "Its address."),
	WIDE("Node", "string", "Where it runs."),
	WIDE("Nominated Node", "string", "Where room is being made for it."),
	WIDE("Readiness Gates", "string", "Conditions met, of those it waits for besides its containers."),
	{ 0 },
};
static const char *const pod_short[] = { "po", NULL }, *const all[] = { "all", NULL };
static const struct selectable pod_fields[] = {
	{ "spec.nodeName", NULL, NULL },
	{ "spec.restartPolicy", NULL, NULL },
	{ "spec.schedulerName", NULL, NULL },
	{ "spec.serviceAccountName", NULL, NULL },
	{ "spec.hostNetwork", NULL, "false" },
	{ "status.phase", NULL, NULL },
	{ "status.podIP", NULL, NULL },
	{ "status.podIPs", "status.podIP", NULL },
	{ "status.nominatedNodeName", NULL, NULL },
	{ 0 },
};

const struct kind kind_pod = {
	.group = "",
	.version = "v1",
	.plural = "pods",
	.singular = "pod",
	.kind = "Pod",
	.short_names = pod_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.others = pod_others,
	.type_name = "io.k8s.api.core.v1.Pod",
	.selectable = pod_fields,
	.columns = pod_columns,
	.defaults = pod_defaults,
	.prepare = pod_prepare,
	.validate = pod_validate,
	.changed = pod_changed,
	.raises_generation = pod_raises,
	.row = pod_row,
};
