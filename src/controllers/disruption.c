/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disruption - how many of the pods that a PodDisruptionBudget takes may be evicted now; evictions spend what stands in its status.
 *
 * A percentage is of the pods that those who control them want, not of those that are there. An eviction notes its pod in the budget
 * before it deletes it: until the pod is ending, or for two minutes, it counts as gone. A pod that was told that it goes, and is there still
 * after two minutes, is told that it does not.
 */
#include "controllers/objects.h"

#include "base/clock.h"
#include "kube/kinds/kinds.h"

#define DELETION_TIMEOUT_NS (120 * NS_PER_S) /* of a pod whose eviction was allowed */

struct budget {
	struct reconcile *r;
	const struct value *spec;
	struct value *pods;
	int64_t expected, desired, healthy;
	bool has_unmanaged;
	struct value disrupted; /* pod name -> time, of those that are to be gone soon */
	struct error error;     /* why it cannot be said */
};

/* ---- how many pods are wanted ---- */

/* Those that control pods, each once. */
struct owner_set {
	struct span *uids;
	uint32_t count;
};

static bool owner_is_new(struct owner_set *seen, struct span uid)
{
	for (uint32_t i = 0; i < seen->count; i++)
		if (span_equal(seen->uids[i], uid))
			return false;
	seen->uids[seen->count++] = uid;
	return true;
}

static const struct value *controller_of(const struct value *object)
{
	const struct value *owners = value_find(object, "metadata.ownerReferences");

	for (uint32_t i = 0; i < value_count(owners); i++)
		if (value_find_bool(value_item(owners, i), "controller"))
			return value_item(owners, i);
	return NULL;
}

static struct span group_of(const struct value *owner)
{
	struct span version = value_find_string(owner, "apiVersion"), group = span_cut(&version, '/');

	return version.len ? group : SPAN("");
}

/* What an owner reference names; NULL: it is not there, or another one of that name. */
static const struct value *owner_get(struct reconcile *r, const struct resource *kind, const struct value *owner)
{
	const struct value *object;

	if (!span_equal(value_find_string(owner, "kind"), span_of(kind->kind)) ||
	    !span_equal(group_of(owner), span_of(kind->group)))
		return NULL;
	object = reconcile_get(r, kind, r->name_space, value_find_string(owner, "name"));
	return object && span_equal(value_find_string(object, "metadata.uid"), value_find_string(owner, "uid")) ? object
														: NULL;
}

/* The one whose scale counts: of a ReplicaSet the Deployment that controls it. */
static const struct value *scaled_by(struct reconcile *r, const struct value *owner)
{
	const struct value *set = owner_get(r, &resource_replica_sets, owner), *above = set ? controller_of(set) : NULL;

	return above && span_equal(value_find_string(above, "kind"), SPAN("Deployment")) ? above : owner;
}

/* Adds what the controller of a pod wants, once. */
static bool owner_add(struct budget *b, struct owner_set *seen, const struct value *pod, const struct value *owner)
{
	struct cluster_scale scale;

	owner = scaled_by(b->r, owner);
	if (!owner_is_new(seen, value_find_string(owner, "uid")))
		return true;
	if (!cluster_scale(b->r->cluster, group_of(owner), value_find_string(owner, "kind"), b->r->name_space,
			   value_find_string(owner, "name"), &scale, b->r->arena, &b->error)) {
		if (b->error.code == ERROR_UNIMPLEMENTED) {
			struct error why = { 0 };

			(void)error_set(&why, ERROR_UNIMPLEMENTED, "%s%s%s does not implement the scale subresource",
					scale.resource.plural, *scale.resource.group ? "." : "", scale.resource.group);
			b->error = why;
			return false;
		}
		if (b->error.code != ERROR_NOT_FOUND || span_starts(error_span(&b->error), SPAN("no matches")))
			return false;
	} else if (span_equal(scale.uid, value_find_string(owner, "uid"))) {
		b->expected += scale.replicas;
		return true;
	}
	b->error = (struct error){ 0 };
	return error_set(&b->error, ERROR_NOT_FOUND, "found no controllers for pod \"" SPAN_FMT "\"",
			 SPAN_ARG(object_name(pod)));
}

static bool expected_scale(struct budget *b)
{
	uint32_t count = value_count(b->pods);
	struct owner_set seen = { ARENA_ARRAY(b->r->arena, struct span, count + 1, b->r->err), 0 };

	for (uint32_t i = 0; i < count && !b->r->err->code; i++) {
		const struct value *pod = value_item(b->pods, i), *owner = controller_of(pod);

		if (!owner)
			b->has_unmanaged = true;
		else if (!owner_add(b, &seen, pod, owner))
			return false;
	}
	return !b->r->err->code;
}

static bool expect(struct budget *b)
{
	const struct value *most = member(b->spec, "maxUnavailable"), *least = member(b->spec, "minAvailable");

	if (most) {
		if (!expected_scale(b))
			return false;
		b->desired = MAX(b->expected - scaled(most, b->expected, true), (int64_t)0);
	} else if (value_is(least, VALUE_INT)) {
		b->desired = least->integer;
		b->expected = value_count(b->pods);
	} else if (least) {
		if (!expected_scale(b))
			return false;
		b->desired = scaled(least, b->expected, true);
	}
	return true;
}

/* ---- how many there are ---- */

static void count(struct budget *b)
{
	const struct value *noted = value_find(b->r->object, "status.disruptedPods");

	b->disrupted = value_object();
	for (uint32_t i = 0; i < value_count(b->pods); i++) {
		const struct value *pod = value_item(b->pods, i), *since = value_get(noted, object_name(pod));
		int64_t seconds, until = 0;

		if (object_is_ending(pod))
			continue;
		if (since && clock_parse_rfc3339(text_of(since), &seconds))
			until = seconds * NS_PER_S + DELETION_TIMEOUT_NS;
		if (since && until > b->r->now_ns) {
			(void)value_set(&b->disrupted, object_name(pod), *since, b->r->arena, b->r->err);
			reconcile_again(b->r, until);
			continue;
		}
		if (since) {
			struct value text = text_print(
			    b->r, "Pod was expected by PDB " SPAN_FMT "/" SPAN_FMT " to be deleted but it wasn't",
			    SPAN_ARG(b->r->name_space), SPAN_ARG(b->r->name_space));

			if (text.string.ptr)
				cluster_event(b->r->cluster, pod, "Warning", "NotDeleted", b->r->controller->component,
					      text.string.ptr);
		}
		b->healthy += pod_is_ready(pod);
	}
}

/* ---- telling ---- */

/* Budgets have conditions of metav1: with the generation, and with a message always. */
static void allowed_set(struct reconcile *r, struct value *status, bool is_allowed, const char *reason,
			struct span message)
{
	static const char type[] = "DisruptionAllowed";
	const char *state = is_allowed ? "True" : "False";
	const struct value *old = condition_find(status, type);
	struct value since = time_text(r, r->now_ns), fresh = value_object();

	if (old && span_equal(value_find_string(old, "status"), span_of(state)))
		since = copied(r, member(old, "lastTransitionTime"));
	put(r, &fresh, "type", value_string(span_of(type)));
	put(r, &fresh, "status", value_string(span_of(state)));
	put(r, &fresh, "observedGeneration", value_int(value_find_int(status, "observedGeneration", 0)));
	put(r, &fresh, "lastTransitionTime", since);
	put(r, &fresh, "reason", value_string(span_of(reason)));
	put(r, &fresh, "message", value_string(message));
	if (old && value_equal(old, &fresh))
		return;
	condition_drop(status, type);
	put_item(r, put_array(r, status, "conditions"), fresh);
}

static void status_write(struct budget *b)
{
	struct reconcile *r = b->r;
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");
	int64_t allowed = b->expected > 0 ? MAX(b->healthy - b->desired, (int64_t)0) : 0;

	put(r, status, "currentHealthy", value_int(b->healthy));
	put(r, status, "desiredHealthy", value_int(b->desired));
	put(r, status, "expectedPods", value_int(b->expected));
	put(r, status, "disruptionsAllowed", value_int(allowed));
	put(r, status, "observedGeneration", value_int(value_find_int(object, "metadata.generation", 0)));
	if (b->disrupted.object.count)
		put(r, status, "disruptedPods", b->disrupted);
	else
		(void)value_remove(status, SPAN("disruptedPods"));
	allowed_set(r, status, allowed > 0, allowed > 0 ? "SufficientPods" : "InsufficientPods", SPAN(""));
	reconcile_status(r, r->controller->resource, value_find(r->object, "status"), object);
}

/* When it cannot be said how many are wanted, none may go. */
static void failure_write(struct budget *b)
{
	struct reconcile *r = b->r;
	struct value *object = object_copy(r, r->object), *status = put_object(r, object, "status");

	reconcile_event(r, "Warning", "CalculateExpectedPodCountFailed",
			"Failed to calculate the number of expected pods: %s", b->error.message);
	put(r, status, "disruptionsAllowed", value_int(0));
	allowed_set(r, status, false, "SyncFailed", arena_copy(r->arena, error_span(&b->error), r->err));
	reconcile_status(r, r->controller->resource, value_find(r->object, "status"), object);
}

static void events_send(struct budget *b)
{
	struct reconcile *r = b->r;

	if (!value_count(b->pods))
		reconcile_event(r, "Normal", "NoPods", "No matching pods found");
	if (b->has_unmanaged)
		reconcile_event(
		    r, "Warning", "UnmanagedPods",
		    "Pods selected by this PodDisruptionBudget (selector: " SPAN_FMT
		    ") were found to be unmanaged. As a "
		    "result, the status of the PDB cannot be calculated correctly, which may result in undefined "
		    "behavior. "
		    "To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
		    SPAN_ARG(selector_print(member(b->spec, "selector"), r->arena)));
}

static void reconcile(struct reconcile *r)
{
	struct budget b = { .r = r };
	bool is_known;

	if (!r->object || object_is_ending(r->object))
		return;
	b.spec = member(r->object, "spec");
	b.pods = reconcile_list(r, &resource_pods, r->name_space);
	for (uint32_t i = 0; i < value_count(b.pods);)
		if (member(b.spec, "selector") &&
		    selector_matches(member(b.spec, "selector"), value_find(value_item(b.pods, i), "metadata.labels")))
			i++;
		else
			value_remove_item(b.pods, i);
	is_known = expect(&b);
	if (r->err->code)
		return;
	/* Once for each state of the budget, not for each look at it. */
	if (value_find_int(r->object, "status.observedGeneration", 0) !=
	    value_find_int(r->object, "metadata.generation", 0))
		events_send(&b);
	if (!is_known) {
		failure_write(&b);
		return;
	}
	count(&b);
	status_write(&b);
}

/* ---- what wakes it ---- */

/* Pods, and those that make them: by the labels that their pods have. */
static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *object)
{
	(void)resource;
	manager_wake_matching(m, c, object);
}

static bool takes(const struct value *budget, const struct value *other)
{
	const struct value *selector = value_find(budget, "spec.selector"),
			   *template = value_find(other, "spec.template");

	return selector && selector_matches(selector, value_find(template ? template : other, "metadata.labels"));
}

static const struct resource *const read[] = { &resource_pods,
					       &resource_replica_sets,
					       &resource_deployments,
					       &resource_stateful_sets,
					       &resource_replication_controllers,
					       NULL };

const struct controller controller_disruption = {
	.name = "disruption-controller",
	.component = "controllermanager",
	.resource = &resource_disruption_budgets,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};

/* ---- pods that were to go ---- */

static void look_at_pod(struct reconcile *r)
{
	const struct value *told = condition_find(member(r->object, "status"), "DisruptionTarget");
	struct span phase = value_find_string(r->object, "status.phase");
	struct value *copy;
	int64_t until;

	/* What the node says of itself stays: it may take any time. */
	if (!told || !span_equal(value_find_string(told, "status"), SPAN("True")) ||
	    span_equal(value_find_string(told, "reason"), SPAN("TerminationByKubelet")) ||
	    object_is_ending(r->object) || span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed")))
		return;
	until = object_time(told, "lastTransitionTime") + DELETION_TIMEOUT_NS;
	if (until > r->now_ns) {
		reconcile_again(r, until);
		return;
	}
	copy = object_copy(r, r->object);
	if (pod_condition_set(r, copy, "DisruptionTarget", "False", "", ""))
		reconcile_status(r, r->controller->resource, NULL, copy);
}

const struct controller controller_disruption_pods = {
	.name = "disruption-controller",
	.component = "controllermanager",
	.resource = &resource_pods,
	.reconcile = look_at_pod,
};
