/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoscaler - HorizontalPodAutoscaler: sets the scale of its target, of any kind that has one, by what its pods use.
 *
 * It looks every fifteen seconds, and when the object changes; what it sees twice it decides in the same way, and after it has set the scale
 * it waits for fifteen seconds.
 */
#include "controllers/autoscaler.h"

#include "controllers/manager_private.h"
#include "kube/kinds/kinds.h"

extern const struct controller controller_autoscaler;

enum { OTHERS_MOST = 100 }; /* autoscalers of a namespace whose targets are compared with this one's by their pods */

void autoscaler_tell(struct autoscaling *a, const char *type, bool is_true, const char *reason, struct span message)
{
	struct reconcile *r = a->r;
	struct value *at = put_condition(r, a->status, type);
	struct span status = is_true ? SPAN("True") : SPAN("False");

	if (!at)
		return;
	if (!span_equal(value_find_string(at, "status"), status)) {
		put(r, at, "status", value_string(status));
		put(r, at, "lastTransitionTime", time_text(r, r->now_ns));
	}
	put(r, at, "reason", value_string(span_of(reason)));
	put(r, at, "message", value_string(message));
}

/* Does a condition say this already? Then it is no news, and no event. */
static bool is_told(const struct autoscaling *a, const char *type, struct span message)
{
	const struct value *old = condition_find(member(a->r->object, "status"), type);

	return span_equal(value_find_string(old, "message"), message);
}

/* ---- the target ---- */

static struct span group_of(struct span version)
{
	struct span group = span_cut(&version, '/');

	return version.len ? group : SPAN("");
}

static bool scale_get(struct autoscaling *a, const struct value *autoscaler, struct cluster_scale *ret,
		      struct error *err)
{
	const struct value *target = value_find(autoscaler, "spec.scaleTargetRef");

	return cluster_scale(a->r->cluster, group_of(value_find_string(target, "apiVersion")),
			     value_find_string(target, "kind"), a->r->name_space, value_find_string(target, "name"),
			     ret, a->r->arena, err);
}

static bool target_find(struct autoscaling *a)
{
	struct error err = { 0 };
	struct span message;

	if (scale_get(a, a->r->object, &a->scale, &err)) {
		autoscaler_tell(a, "AbleToScale", true, "SucceededGetScale",
				SPAN("the HPA controller was able to get the target's current scale"));
		return true;
	}
	message = arena_print(a->r->arena, a->r->err,
			      "the HPA controller was unable to get the target's current scale: %s", err.message);
	if (!is_told(a, "AbleToScale", message))
		reconcile_event(a->r, "Warning", "FailedGetScale", "%s", err.message);
	autoscaler_tell(a, "AbleToScale", false, "FailedGetScale", message);
	return false;
}

/* ---- its pods ---- */

static bool selector_fails(struct autoscaling *a, const char *reason, const char *event, struct span message,
			   struct span told)
{
	if (!is_told(a, "ScalingActive", message))
		reconcile_event(a->r, "Warning", event, "%.*s", (int)told.len, told.ptr);
	autoscaler_tell(a, "ScalingActive", false, reason, message);
	return false;
}

static bool takes_any(const struct autoscaling *a, const struct selector *s)
{
	for (uint32_t i = 0; i < value_count(a->pods); i++)
		if (selector_takes(s, value_find(value_item(a->pods, i), "metadata.labels")))
			return true;
	return false;
}

static bool is_same_target(const struct value *a, const struct value *b)
{
	const struct value *x = value_find(a, "spec.scaleTargetRef"), *y = value_find(b, "spec.scaleTargetRef");

	return x && y && value_equal(x, y);
}

/* Two that scale the same pods would never agree. */
static bool is_alone(struct autoscaling *a, struct span text)
{
	struct reconcile *r = a->r;
	const struct value *all = reconcile_list(r, &resource_autoscalers, r->name_space);
	bool looks_close = value_count(all) <= OTHERS_MOST;
	struct text names = { .arena = r->arena };
	uint32_t count = 0;
	struct span message;

	for (uint32_t i = 0; value_count(a->pods) && i < value_count(all); i++) {
		const struct value *other = value_item(all, i);
		bool is_me = span_equal(object_name(other), r->name);
		struct cluster_scale scale;
		struct error ignored = { 0 };
		const struct selector *s;

		if (!is_me && !is_same_target(other, r->object)) {
			if (!looks_close || !scale_get(a, other, &scale, &ignored) || !scale.selector.len)
				continue;
			s = selector_read(scale.selector, r->arena, &ignored);
			if (!s || !takes_any(a, s))
				continue;
		}
		text_addf(&names, "%s{", names.len ? " " : "");
		text_add(&names, object_name(other));
		text_addf(&names, " ");
		text_add(&names, r->name_space);
		text_addf(&names, "}");
		count++;
	}
	if (count < 2)
		return true;
	message = arena_print(r->arena, r->err, "pods by selector %.*s are controlled by multiple HPAs: [%.*s]",
			      (int)text.len, text.ptr, (int)text_span(&names).len, text_span(&names).ptr);
	return selector_fails(a, "AmbiguousSelector", "AmbiguousSelector", message, message);
}

static bool pods_find(struct autoscaling *a)
{
	struct reconcile *r = a->r;
	struct error err = { 0 };
	const struct selector *s;
	struct span message;

	if (!a->scale.selector.len)
		return selector_fails(a, "InvalidSelector", "SelectorRequired",
				      SPAN("the HPA target's scale is missing a selector"),
				      SPAN("selector is required"));
	s = selector_read(a->scale.selector, r->arena, &err);
	if (!s) {
		message = arena_print(r->arena, r->err,
				      "couldn't convert selector into a corresponding internal selector object: %s",
				      err.message);
		return selector_fails(a, "InvalidSelector", "InvalidSelector", message, message);
	}
	a->pods = reconcile_list(r, &resource_pods, r->name_space);
	for (uint32_t i = 0; i < value_count(a->pods);)
		if (selector_takes(s, value_find(value_item(a->pods, i), "metadata.labels")))
			i++;
		else
			value_remove_item(a->pods, i);
	return is_alone(a, a->scale.selector);
}

/* ---- from zero ---- */

/* Nothing runs, and nothing has to: a request that waits is not kept waiting for the period. */
static bool may_begin(const struct autoscaling *a)
{
	return a->least == 0 && value_find_int(a->r->object, "status.desiredReplicas", -1) == 0;
}

static bool wake_take(void *context, struct record *r)
{
	struct manager *m = context;
	struct arena arena;
	struct error ignored = { 0 };
	const struct value *object;

	arena_init(&arena, RECONCILE_MEMORY);
	object = cluster_object(manager_cluster(m), &resource_autoscalers, r, &arena, &ignored);
	if (value_find_int(object, "spec.minReplicas", 1) == 0)
		manager_wake(m, &controller_autoscaler, value_find_string(object, "metadata.namespace"),
			     object_name(object));
	arena_done(&arena);
	return true;
}

void controllers_wanted(struct manager *m, struct span name_space)
{
	if (!m->is_stopped && choice_has(m->config.names, &controller_autoscaler))
		cluster_each(manager_cluster(m), &resource_autoscalers, name_space, wake_take, m);
}

/* ---- deciding ---- */

struct decision {
	int64_t replicas;
	struct span reason;
	struct value statuses; /* of metrics; null: none were read */
	bool is_failed;        /* nothing can be said */
};

static struct decision decide_by_metrics(struct autoscaling *a)
{
	struct decision d = { .is_failed = true };
	struct proposal p;

	if (!pods_find(a))
		return d;
	autoscaler_measure(a, &p);
	d.statuses = p.statuses;
	if (p.replicas < 0) {
		const struct value *active = condition_find(a->status, "ScalingActive");

		if (!is_told(a, "ScalingActive", value_find_string(active, "message")))
			reconcile_event(a->r, "Warning", "FailedComputeMetricsReplicas", "%s", p.error.message);
		return d;
	}
	d.is_failed = false;
	if (p.replicas > a->scale.replicas)
		d.reason = text_print(a->r, SPAN_FMT " above target", SPAN_WHOLE(p.metric)).string;
	else if (p.replicas < a->scale.replicas)
		d.reason = SPAN("All metrics below target");
	d.replicas = autoscaler_limit(a, p.replicas);
	return d;
}

static struct decision decide(struct autoscaling *a)
{
	int64_t current = a->scale.replicas;
	struct decision d = { .replicas = current };

	if (current == 0 && a->least != 0) {
		autoscaler_tell(a, "ScalingActive", false, "ScalingDisabled",
				SPAN("scaling is disabled since the replica count of the target is zero"));
		autoscaler_note_gap(a);
	} else if (current > a->most) {
		d.reason = SPAN("Current number of replicas above Spec.MaxReplicas");
		d.replicas = a->most;
	} else if (current < a->least) {
		d.reason = SPAN("Current number of replicas below Spec.MinReplicas");
		d.replicas = a->least;
	} else {
		d = decide_by_metrics(a);
	}
	return d;
}

/* ---- telling ---- */

static void status_fill(struct autoscaling *a, const struct decision *d, int64_t desired)
{
	put_count(a->r, a->status, "currentReplicas", a->scale.replicas);
	put(a->r, a->status, "desiredReplicas", value_int(desired));
	if (d->statuses.type == VALUE_ARRAY)
		put(a->r, a->status, "currentMetrics", d->statuses);
	else
		(void)value_remove(a->status, SPAN("currentMetrics"));
}

static void rescale(struct autoscaling *a, const struct decision *d)
{
	struct reconcile *r = a->r;

	reconcile_scale(r, &a->scale, d->replicas);
	reconcile_report(r, "Rescale", "New size: %lld; reason: " SPAN_FMT, (long long)d->replicas,
			 SPAN_WHOLE(d->reason));
	reconcile_report_failure(r, "New size: %lld; reason: " SPAN_FMT "; error", (long long)d->replicas,
				 SPAN_WHOLE(d->reason));
	autoscaler_tell(a, "AbleToScale", true, "SucceededRescale",
			arena_print(r->arena, r->err, "the HPA controller was able to update the target scale to %lld",
				    (long long)d->replicas));
	autoscaler_note_rescale(a, a->scale.replicas, d->replicas);
	put(r, a->status, "lastScaleTime", time_text(r, r->now_ns));
}

/* The scale could not be set: what was told of it in advance is not so. */
static void rescale_failed(struct autoscaling *a)
{
	autoscaler_tell(a, "AbleToScale", false, "FailedUpdateScale",
			arena_print(a->r->arena, a->r->err,
				    "the HPA controller was unable to update the target scale: %.*s",
				    (int)a->r->refused.len, a->r->refused.ptr));
	put(a->r, a->status, "desiredReplicas", value_int(value_find_int(a->status, "currentReplicas", 0)));
}

static void look(struct autoscaling *a)
{
	struct decision d;

	if (!target_find(a))
		return;
	d = decide(a);
	if (d.is_failed) {
		autoscaler_note_gap(a);
		status_fill(a, &d, value_find_int(a->status, "desiredReplicas", 0));
	} else if (d.replicas != a->scale.replicas) {
		status_fill(a, &d, d.replicas);
		rescale(a, &d);
	} else {
		status_fill(a, &d, a->scale.replicas);
	}
}

static void reconcile(struct reconcile *r)
{
	struct autoscaling a = { .r = r };
	int64_t next;

	if (!r->object || object_is_ending(r->object))
		return;
	a.spec = member(r->object, "spec");
	a.object = object_copy(r, r->object);
	a.status = put_object(r, a.object, "status");
	a.least = value_find_int(a.spec, "minReplicas", 1);
	a.most = value_find_int(a.spec, "maxReplicas", 1);
	next = object_time(r->object, "status.lastScaleTime") + AUTOSCALER_PERIOD_NS;
	if (r->refused.len)
		rescale_failed(&a);
	else if (next <= r->now_ns || may_begin(&a) ||
		 next > r->now_ns + AUTOSCALER_PERIOD_NS) /* a clock that was set back */
		look(&a);
	/* The annotations are written with the status, in one write: it may change metadata too. */
	if (!r->err->code && !value_equal(r->object, a.object))
		reconcile_status(r, r->controller->resource, NULL, a.object);
	reconcile_again(
	    r, next > r->now_ns && next <= r->now_ns + AUTOSCALER_PERIOD_NS ? next : r->now_ns + AUTOSCALER_PERIOD_NS);
}

static const struct resource *const quiet[] = { &resource_pods, &resource_pod_usage, NULL };

const struct controller controller_autoscaler = {
	.name = "horizontal-pod-autoscaler-controller",
	.component = "horizontal-pod-autoscaler",
	.resource = &resource_autoscalers,
	.quiet = quiet,
	.reconcile = reconcile,
};
