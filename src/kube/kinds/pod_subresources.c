/* SPDX-License-Identifier: Apache-2.0 */
/* pod_subresources - binding (a scheduler says where a pod runs) and eviction (a delete that heeds disruption budgets). */
#include "kube/kinds/kinds.h"

#include "kube/kinds/node_services.h"
#include "kube/kube.h"
#include "kube/subresource.h"
#include "store/store.h"

/* {"kind":"Status",...,"status":"Success","code":201} */
static void answer_success(struct kube_call *call)
{
	struct error err = { 0 };
	struct value status = value_object();

	(void)value_set(&status, SPAN("kind"), value_string(SPAN("Status")), call->arena, &err);
	(void)value_set(&status, SPAN("apiVersion"), value_string(SPAN("v1")), call->arena, &err);
	(void)value_set(&status, SPAN("metadata"), value_object(), call->arena, &err);
	(void)value_set(&status, SPAN("status"), value_string(SPAN("Success")), call->arena, &err);
	(void)value_set(&status, SPAN("code"), value_int(201), call->arena, &err);
	if (err.code)
		kube_fail(call, &err);
	else
		kube_answer(call, 201, &status);
}

static void write_done(void *context, const struct value *object, const struct error *err)
{
	(void)object;
	if (err)
		kube_fail(context, err);
	else
		answer_success(context);
}

static struct value *pod_of(struct kube_call *call, struct error *err)
{
	struct value *pod = kube_object(call->kube, call->kind, call->name_space, call->name, true, call->arena, err);

	if (!pod && err->code == ERROR_NONE)
		error_set(err, ERROR_NOT_FOUND, "pods \"" SPAN_FMT "\" not found", SPAN_ARG(call->name));
	return pod;
}

/* ---- binding ---- */

/* A condition of a pod becomes True. `reason` NULL: it has neither reason nor message. */
static bool set_condition(struct kube_call *call, struct value *pod, const char *type, const char *reason,
			  const char *message, struct error *err)
{
	struct value *status = value_ensure_object(pod, SPAN("status"), call->arena, err);
	struct value *list = status ? value_ensure_array(status, SPAN("conditions"), call->arena, err) : NULL;
	struct value one = value_object();
	struct span now = kube_now_text(kube_wall_ns(call->kube), call->arena);

	if (!list)
		return false;
	for (uint32_t i = list->array.count; i-- > 0;) {
		if (is_text(get(value_item(list, i), "type"), type))
			value_remove_item(list, i);
	}
	if (!value_set(&one, SPAN("type"), value_string(span_of(type)), call->arena, err) ||
	    !value_set(&one, SPAN("status"), value_string(SPAN("True")), call->arena, err) ||
	    !value_set(&one, SPAN("lastProbeTime"), value_null(), call->arena, err) ||
	    !value_set(&one, SPAN("lastTransitionTime"), value_string(now), call->arena, err))
		return false;
	if (reason && (!value_set(&one, SPAN("reason"), value_string(span_of(reason)), call->arena, err) ||
		       !value_set(&one, SPAN("message"), value_string(span_of(message)), call->arena, err)))
		return false;
	return value_append(list, one, call->arena, err) != NULL;
}

/* Labels and annotations of the binding go to the pod. */
static bool take_members(struct kube_call *call, struct value *pod, const char *member, struct error *err)
{
	const struct value *from = get(get(call->body, "metadata"), member);
	struct value *metadata = value_ensure_object(pod, SPAN("metadata"), call->arena, err), *to;

	if (!count_of(from))
		return metadata != NULL;
	to = metadata ? value_ensure_object(metadata, span_of(member), call->arena, err) : NULL;
	for (uint32_t i = 0; to && i < count_of(from); i++) {
		if (!value_set(to, from->object.members[i].key, from->object.members[i].value, call->arena, err))
			return false;
	}
	return to != NULL;
}

static bool bind(struct kube_call *call, struct value *pod, struct error *err)
{
	struct span node = get_text(get(call->body, "target"), "name"), now = get_text(get(pod, "spec"), "nodeName");
	struct value *spec = value_ensure_object(pod, SPAN("spec"), call->arena, err);

	if (get(get(pod, "metadata"), "deletionTimestamp"))
		return error_set(err, ERROR_CONFLICT,
				 "Operation cannot be fulfilled on pods/binding \"" SPAN_FMT "\": pod " SPAN_FMT
				 " is being deleted, cannot be assigned to a host",
				 SPAN_ARG(call->name), SPAN_ARG(call->name));
	if (now.len)
		return error_set(err, ERROR_CONFLICT,
				 "Operation cannot be fulfilled on pods/binding \"" SPAN_FMT "\": pod " SPAN_FMT
				 " is already assigned to node \"" SPAN_FMT "\"",
				 SPAN_ARG(call->name), SPAN_ARG(call->name), SPAN_ARG(now));
	if (count_of(get(get(pod, "spec"), "schedulingGates")))
		return error_set(err, ERROR_CONFLICT,
				 "Operation cannot be fulfilled on pods/binding \"" SPAN_FMT "\": pod " SPAN_FMT
				 " has non-empty .spec.schedulingGates",
				 SPAN_ARG(call->name), SPAN_ARG(call->name));
	return spec && value_set(spec, SPAN("nodeName"), value_string(node), call->arena, err) &&
	       take_members(call, pod, "annotations", err) && take_members(call, pod, "labels", err) &&
	       set_condition(call, pod, "PodScheduled", NULL, NULL, err);
}

/* What is wrong with the binding itself, or NULL. */
static const struct cause *binding_faults(struct kube_call *call)
{
	static const char *const kinds[] = { "Node", "<empty>", NULL };
	struct error err = { 0 };
	struct change c = { .kube = call->kube, .kind = call->kind, .arena = call->arena, .err = &err };
	const struct value *target = get(call->body, "target");

	if (get_text(target, "kind").len && !is_text(get(target, "kind"), "Node"))
		fault_not_supported(&c, AT(AT(NULL, "target"), "kind"), get(target, "kind"), kinds);
	if (get_text(target, "name").len == 0)
		fault_required(&c, AT(AT(NULL, "target"), "name"), "");
	return c.causes;
}

/* The real server does not tell these as faults of an object. */
static void refuse_binding(struct kube_call *call, const struct cause *faults)
{
	struct text t = { .arena = call->arena };

	for (const struct cause *f = faults; f; f = f->next)
		text_addf(&t, "%s" SPAN_FMT ": " SPAN_FMT "%s",
			  f != faults    ? ", "
			  : faults->next ? "["
					 : "",
			  SPAN_ARG(f->field), SPAN_ARG(f->message), f != faults && !f->next ? "]" : "");
	kube_refuse(call, &(struct kube_refusal){ .code = 500, .message = text_span(&t) });
}

static void pod_bind(struct kube_call *call)
{
	const struct cause *faults = binding_faults(call);
	struct kube_write w = { .kind = call->kind,
				.verb = KUBE_UPDATE,
				.subresource = SPAN("binding"),
				.name_space = call->name_space,
				.name = call->name,
				.user = call->user,
				.done = write_done,
				.context = call };
	struct error err = { 0 }, ignored = { 0 };
	struct value *pod;

	if (faults) {
		refuse_binding(call, faults);
		return;
	}
	pod = pod_of(call, &err);
	if (!pod || !bind(call, pod, &err)) {
		if (err.code == ERROR_CONFLICT)
			kube_refuse(call, &(struct kube_refusal){
					      .code = 409,
					      .reason = "Conflict",
					      .message = arena_copy(call->arena, error_span(&err), &ignored),
					      .kind = SPAN("pods/binding"),
					      .name = call->name });
		else
			kube_fail(call, &err);
		return;
	}
	if (call->is_dry_run) {
		answer_success(call);
		return;
	}
	w.object = pod;
	kube_write(call->kube, &w, call->arena);
}

/* ---- eviction ---- */

struct budget_search {
	struct kube_call *call;
	const struct value *labels; /* of the pod */
	struct value found;
	unsigned count;
	struct error err;
};

static bool look_at_budget(void *context, struct record *r)
{
	struct budget_search *s = context;
	const struct value *selector;
	struct value budget;

	if (!value_parse(r->text, NULL, s->call->arena, &budget, &s->err))
		return false;
	selector = get(get(&budget, "spec"), "selector");
	if (selector && selector_matches(selector, s->labels)) {
		/* The record may go when the loop turns: the tree must stand by itself. */
		if (!value_copy(&budget, s->call->arena, &s->found, &s->err))
			return false;
		s->count++;
	}
	return true;
}

/* Without a budget, and for pods that are over or not yet there, an eviction is a delete. */
static bool find_budget(struct budget_search *s, const struct value *pod)
{
	const struct kind *kind = kube_kind(s->call->kube, SPAN("policy"), SPAN("v1"), SPAN("poddisruptionbudgets"));
	struct span phase = get_text(get(pod, "status"), "phase"), prefix;
	static const char *const free_phases[] = { "Succeeded", "Failed", "Pending", NULL };

	if (!kind || text_is_one_of(phase, free_phases) || get(get(pod, "metadata"), "deletionTimestamp"))
		return true;
	s->labels = get(get(pod, "metadata"), "labels");
	prefix = kube_key(kind, s->call->name_space, SPAN(""), s->call->arena);
	return store_list(kube_store(s->call->kube), prefix, SPAN(""), 0, look_at_budget, s, &s->err) && !s->err.code;
}

static void refuse(struct kube_call *call, const struct value *budget)
{
	const struct value *status = get(budget, "status");
	struct span name = value_find_string(budget, "metadata.name");
	struct error err = { 0 };
	struct cause cause = { .reason = "DisruptionBudget" };

	cause.message = arena_print(call->arena, &err,
				    "The disruption budget " SPAN_FMT " needs %lld healthy pods and has %lld currently",
				    SPAN_ARG(name), (long long)get_int(status, "desiredHealthy", 0),
				    (long long)get_int(status, "currentHealthy", 0));
	error_set(&err, ERROR_EXHAUSTED, "Cannot evict pod as it would violate the pod's disruption budget.");
	kube_fail_causes(call, &err, &cause);
}

static void told_of_eviction(void *context, const struct value *object, const struct error *err)
{
	struct kube_call *call = context;
	struct kube_write w = { .kind = call->kind,
				.verb = KUBE_DELETE,
				.name_space = call->name_space,
				.name = call->name,
				.user = call->user,
				.done = write_done,
				.context = call };

	(void)object;
	if (err)
		kube_fail(call, err);
	else
		kube_write(call->kube, &w, call->arena);
}

/* The condition DisruptionTarget tells the pod, and whoever made it, why it goes. */
static void evict(struct kube_call *call)
{
	struct kube_write w = { .kind = call->kind,
				.verb = KUBE_UPDATE,
				.subresource = SPAN("status"),
				.name_space = call->name_space,
				.name = call->name,
				.done = told_of_eviction,
				.context = call };
	struct error err = { 0 };

	if (call->is_dry_run) {
		answer_success(call);
		return;
	}
	w.object = pod_of(call, &err);
	if (w.object)
		(void)value_remove(get(w.object, "metadata"), SPAN("resourceVersion")); /* whatever it is by then */
	if (!w.object ||
	    !set_condition(call, w.object, "DisruptionTarget", "EvictionByEvictionAPI", "Eviction API: evicting", &err))
		kube_fail(call, &err);
	else
		kube_write(call->kube, &w, call->arena);
}

static void budget_done(void *context, const struct value *object, const struct error *err)
{
	(void)object;
	if (err)
		kube_fail(context, err);
	else
		evict(context);
}

/* The budget counts the pod as gone before it is deleted, so that two evictions do not use one allowance. */
static void spend(struct kube_call *call, struct value *budget)
{
	struct kube_write w = { .kind = kube_kind(call->kube, SPAN("policy"), SPAN("v1"), SPAN("poddisruptionbudgets")),
				.verb = KUBE_UPDATE,
				.subresource = SPAN("status"),
				.name_space = call->name_space,
				.name = value_find_string(budget, "metadata.name"),
				.object = budget,
				.done = budget_done,
				.context = call };
	struct error err = { 0 };
	struct value *status = value_ensure_object(budget, SPAN("status"), call->arena, &err), *gone;
	struct span now = kube_now_text(kube_wall_ns(call->kube), call->arena);
	int64_t allowed = get_int(status, "disruptionsAllowed", 0);

	if (!status || !value_set(status, SPAN("disruptionsAllowed"), value_int(allowed - 1), call->arena, &err) ||
	    !(gone = value_ensure_object(status, SPAN("disruptedPods"), call->arena, &err)) ||
	    !value_set(gone, call->name, value_string(now), call->arena, &err))
		kube_fail(call, &err);
	else
		kube_write(call->kube, &w, call->arena);
}

/* A budget that nobody has counted since it was written allows nothing yet. */
static bool is_behind(const struct value *budget)
{
	return get_int(get(budget, "status"), "observedGeneration", 0) <
	       get_int(get(budget, "metadata"), "generation", 0);
}

/* A pod that is not ready counts for nothing: it may go when the budget says so, or when enough others are healthy. */
static bool goes_freely(const struct value *pod, const struct value *budget)
{
	const struct value *conditions = get(get(pod, "status"), "conditions"), *status = get(budget, "status");
	int64_t wanted = get_int(status, "desiredHealthy", 0);

	for (uint32_t i = 0; i < count_of(conditions); i++)
		if (is_text(get(value_item(conditions, i), "type"), "Ready") &&
		    is_text(get(value_item(conditions, i), "status"), "True"))
			return false;
	if (is_text(get(get(budget, "spec"), "unhealthyPodEvictionPolicy"), "AlwaysAllow"))
		return true;
	return wanted > 0 && get_int(status, "currentHealthy", 0) >= wanted;
}

static void refuse_for_now(struct kube_call *call, const struct value *budget)
{
	struct span name = value_find_string(budget, "metadata.name");
	struct cause cause = { .reason = "DisruptionBudget" };
	struct error err = { 0 };

	cause.message =
	    arena_print(call->arena, &err, "The disruption budget " SPAN_FMT " is still being processed by the server.",
			SPAN_ARG(name));
	kube_refuse(call, &(struct kube_refusal){
			      .code = 429,
			      .reason = "TooManyRequests",
			      .message = SPAN("Cannot evict pod as it would violate the pod's disruption budget."),
			      .causes = &cause,
			      .retry_seconds = 10 });
}

static void pod_evict(struct kube_call *call)
{
	struct budget_search s = { .call = call };
	struct error err = { 0 };
	struct span told = value_find_string(call->body, "metadata.name");
	const struct value *pod = NULL;

	if (told.len && !span_equal(told, call->name)) {
		kube_refuse(call, &(struct kube_refusal){
				      .code = 400,
				      .reason = "BadRequest",
				      .message = SPAN("name in URL does not match name in Eviction object") });
		return;
	}
	pod = pod_of(call, &err);
	if (!pod) {
		kube_fail(call, &err);
		return;
	}
	if (!find_budget(&s, pod)) {
		kube_fail(call, &s.err);
		return;
	}
	if (s.count > 1) {
		error_set(&err, ERROR_INTERNAL,
			  "This pod has more than one PodDisruptionBudget, which the eviction subresource "
			  "does not support.");
		kube_fail(call, &err);
	} else if (s.count == 0) {
		evict(call);
	} else if (goes_freely(pod, &s.found)) {
		evict(call);
	} else if (is_behind(&s.found)) {
		refuse_for_now(call, &s.found);
	} else if (get_int(get(&s.found, "status"), "disruptionsAllowed", 0) <= 0) {
		refuse(call, &s.found);
	} else if (call->is_dry_run) {
		answer_success(call);
	} else {
		spend(call, &s.found);
	}
}

#define PROXY_VERBS (KUBE_CREATE | KUBE_DELETE | KUBE_GET | KUBE_PATCH | KUBE_UPDATE)

extern const struct subresource pod_others[];
const struct subresource pod_others[] = {
	{ "attach", KUBE_CREATE | KUBE_GET, "", "v1", "PodAttachOptions", NULL, pod_attach },
	{ "binding", KUBE_CREATE, "", "v1", "Binding", "io.k8s.api.core.v1.Binding", pod_bind },
	{ "ephemeralcontainers", KUBE_GET | KUBE_PATCH | KUBE_UPDATE, "", "v1", "Pod", NULL, NULL },
	{ "eviction", KUBE_CREATE, "policy", "v1", "Eviction", "io.k8s.api.policy.v1.Eviction", pod_evict },
	{ "exec", KUBE_CREATE | KUBE_GET, "", "v1", "PodExecOptions", NULL, pod_exec },
	{ "log", KUBE_GET, "", "v1", "Pod", NULL, pod_log },
	{ "portforward", KUBE_CREATE | KUBE_GET, "", "v1", "PodPortForwardOptions", NULL, pod_forward },
	{ "proxy", PROXY_VERBS | KUBE_PASSAGE, "", "v1", "PodProxyOptions", NULL, pod_proxy },
	{ "resize", KUBE_GET | KUBE_PATCH | KUBE_UPDATE, "", "v1", "Pod", NULL, NULL },
	{ 0 },
};

/* The older path for bindings: the pod is named in the body. */
static void old_bind(struct kube_call *call)
{
	call->name = value_find_string(call->body, "metadata.name");
	call->kind = kube_kind(call->kube, SPAN(""), SPAN("v1"), SPAN("pods"));
	pod_bind(call);
}

static const struct subresource binding_others[] = {
	{ "", KUBE_CREATE, "", "", "", "io.k8s.api.core.v1.Binding", old_bind },
	{ 0 },
};

const struct kind kind_binding = {
	.group = "",
	.version = "v1",
	.plural = "bindings",
	.singular = "binding",
	.kind = "Binding",
	.is_namespaced = true,
	.verbs = KUBE_CREATE,
	.others = binding_others,
	.type_name = "io.k8s.api.core.v1.Binding",
};
