/* SPDX-License-Identifier: Apache-2.0 */
/* priority - Priority: what a pod's priority class stands for; and only one class is everybody's. */
#include "kube/admission/plugins.h"

#include "kube/kinds/kinds.h"

#define CLASSES "scheduling.k8s.io", "priorityclasses"

static bool pick_default(void *context, struct value *object)
{
	struct value **found = context;

	if (get_bool(object, "globalDefault") && (!*found || get_int(*found, "value", 0) > get_int(object, "value", 0)))
		*found = object;
	return true;
}

/* NULL without err: there is none. */
static struct value *class_default(struct change *c, struct error *err)
{
	struct value *found = NULL;

	return admission_list(c, CLASSES, (struct span){ 0 }, pick_default, &found, err) ? found : NULL;
}

/* System classes are there without an object: PreemptLowerPriority is their policy, as it is in the objects that the real server keeps. */
static bool system_class(struct span name, int64_t *ret_value)
{
	if (span_equal(name, SPAN("system-node-critical")))
		*ret_value = 2000001000;
	else if (span_equal(name, SPAN("system-cluster-critical")))
		*ret_value = 2000000000;
	else
		return false;
	return true;
}

static bool class_of(struct change *c, const struct value *spec, struct span *ret_name, int64_t *ret_value,
		     struct span *ret_policy, struct error *err)
{
	struct span name = get_text(spec, "priorityClassName");
	const struct value *class =
	    name.len ? admission_object(c, CLASSES, (struct span){ 0 }, name, err) : class_default(c, err);

	if (err->code)
		return false;
	*ret_name = name;
	*ret_value = 0;
	*ret_policy = SPAN("PreemptLowerPriority");
	if (class) {
		*ret_name = value_find_string(class, "metadata.name");
		*ret_value = get_int(class, "value", 0);
		*ret_policy = get_text(class, "preemptionPolicy");
		return true;
	}
	return !name.len || system_class(name, ret_value) ||
	       refuse(c, err, "no PriorityClass with name " SPAN_FMT " was found", SPAN_ARG(name));
}

static bool keep(struct change *c, struct value *spec, const char *member, struct error *err)
{
	const struct value *old = get(get(c->old, "spec"), member);

	return !old || get(spec, member) || value_set(spec, span_of(member), *old, c->arena, err);
}

bool priority_admit(struct change *c, struct error *err)
{
	struct value *spec;
	struct span name, policy;
	int64_t value;

	if (!change_is_of(c, "", "pods") || c->subresource.len || c->verb == KUBE_DELETE)
		return true;
	spec = admission_spec(c, err);
	if (!spec)
		return false;
	if (c->verb == KUBE_UPDATE)
		return keep(c, spec, "priority", err) && keep(c, spec, "preemptionPolicy", err);
	if (!class_of(c, spec, &name, &value, &policy, err))
		return false;
	if (get(spec, "priority") && get_int(spec, "priority", 0) != value)
		return refuse(c, err,
			      "the integer value of priority (%lld) must not be provided in pod spec; priority "
			      "admission controller computed %lld from the given PriorityClass name",
			      (long long)get_int(spec, "priority", 0), (long long)value);
	if (policy.len && get(spec, "preemptionPolicy") && !span_equal(get_text(spec, "preemptionPolicy"), policy))
		return refuse(c, err,
			      "the string value of PreemptionPolicy (" SPAN_FMT
			      ") must not be provided in pod spec; priority admission controller computed " SPAN_FMT
			      " from the given PriorityClass name",
			      SPAN_ARG(get_text(spec, "preemptionPolicy")), SPAN_ARG(policy));
	if (name.len && !value_set(spec, SPAN("priorityClassName"), value_string(name), c->arena, err))
		return false;
	return value_set(spec, SPAN("priority"), value_int(value), c->arena, err) &&
	       (!policy.len || value_set(spec, SPAN("preemptionPolicy"), value_string(policy), c->arena, err));
}

bool priority_validate(struct change *c, struct error *err)
{
	const struct value *is;

	if (!change_is_of(c, CLASSES) || c->subresource.len || c->verb == KUBE_DELETE ||
	    !get_bool(c->object, "globalDefault"))
		return true;
	is = class_default(c, err);
	if (err->code)
		return false;
	return !is || (c->verb == KUBE_UPDATE && span_equal(value_find_string(is, "metadata.name"), c->name)) ||
	       refuse(c, err, "PriorityClass " SPAN_FMT " is already marked as default. Only one default can exist",
		      SPAN_ARG(value_find_string(is, "metadata.name")));
}
