/* SPDX-License-Identifier: Apache-2.0 */
/* pod_resize - the parts of a running pod that have paths of their own: ephemeral containers, and resources of its containers. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

static bool is_part(const struct change *c, const char *name)
{
	return span_equal(c->subresource, span_of(name));
}

/* ---- what stays ---- */

static struct value *named(struct value *list, struct span name)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (span_equal(get_text(value_item(list, i), "name"), name))
			return value_item(list, i);
	}
	return NULL;
}

/* Resources and how they may change, of the containers that were there. */
static void take_resources(struct change *c, struct value *to, struct value *from)
{
	for (uint32_t i = 0; i < count_of(to); i++) {
		struct value *container = value_item(to, i), *now = named(from, get_text(container, "name"));

		if (!now)
			continue;
		carry(c, container, now, "resources");
		carry(c, container, now, "resizePolicy");
	}
}

bool pod_part_prepare(struct change *c)
{
	struct value *wanted = get(c->object, "spec"), *spec, *metadata, *old = get(c->old, "metadata");
	struct value now, owners;

	if (!c->old || (!is_part(c, "ephemeralcontainers") && !is_part(c, "resize")))
		return false;
	now = copy_of(c, get(c->old, "spec"));
	if (is_part(c, "ephemeralcontainers")) {
		carry(c, &now, wanted, "ephemeralContainers");
	} else if (count_of(get(&now, "containers")) != count_of(get(wanted, "containers"))) {
		carry(c, &now, wanted, "containers"); /* to be refused */
	} else {
		take_resources(c, get(&now, "containers"), get(wanted, "containers"));
		take_resources(c, get(&now, "initContainers"), get(wanted, "initContainers"));
	}
	owners = copy_of(c, get(get(c->object, "metadata"), "managedFields"));
	set_value(c, c->object, "metadata", copy_of(c, old));
	metadata = get(c->object, "metadata");
	if (owners.type == VALUE_ARRAY)
		set_value(c, metadata, "managedFields", owners);
	set_value(c, c->object, "spec", now);
	carry(c, c->object, c->old, "status");
	spec = get(c->object, "spec");
	pod_spec_defaults(c, spec);
	return true;
}

/* ---- ephemeral containers ---- */

static void check_ephemeral(struct change *c, const struct at *at)
{
	const struct value *old = get(get(c->old, "spec"), "ephemeralContainers");
	struct value *now = get(get(c->object, "spec"), "ephemeralContainers");

	for (uint32_t i = 0; i < count_of(old); i++) {
		struct span name = get_text(value_item(old, i), "name");
		const struct value *same = named(now, name);

		if (!same)
			fault_forbidden(
			    c, AT(at, "ephemeralContainers"),
			    detail_print(c, "existing ephemeral containers \"" SPAN_FMT "\" may not be removed\n",
					 SPAN_ARG(name)));
		else if (!value_equal(value_item(old, i), same))
			fault_forbidden(
			    c, AT(at, "ephemeralContainers"),
			    detail_print(c, "existing ephemeral containers \"" SPAN_FMT "\" may not be changed",
					 SPAN_ARG(name)));
	}
}

/* ---- resources ---- */

static bool is_removed(const struct value *old, const struct value *now)
{
	for (uint32_t i = 0; i < count_of(old); i++) {
		if (!value_get(now, old->object.members[i].key))
			return true;
	}
	return false;
}

static bool restarts_for_memory(const struct value *container)
{
	const struct value *policies = get(container, "resizePolicy");

	for (uint32_t i = 0; i < count_of(policies); i++) {
		if (is_text(get(value_item(policies, i), "resourceName"), "memory"))
			return is_text(get(value_item(policies, i), "restartPolicy"), "RestartContainer");
	}
	return false;
}

static void check_memory(struct change *c, const struct at *at, const struct value *old, const struct value *now,
			 const struct value *container)
{
	const struct value *had = get(get(old, "limits"), "memory"), *has = get(get(now, "limits"), "memory");
	const struct at *here = AT_KEY(AT(at, "limits"), SPAN("memory"));
	int order = 0;

	if (!has || restarts_for_memory(container))
		return;
	if (!had)
		fault_forbidden(c, here, "memory limits cannot be added unless resizePolicy is RestartContainer");
	else if (quantity_compare(text_of(has), text_of(had), &order) && order < 0)
		fault_forbidden(c, here, "memory limits cannot be decreased unless resizePolicy is RestartContainer");
}

/* Others than these two stay as they are. */
static bool changes_other(const struct value *old, const struct value *now)
{
	static const char *const lists[] = { "requests", "limits" };
	static const char *const free_names[] = { "cpu", "memory", NULL };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = get(now, lists[i]);

		for (uint32_t k = 0; k < count_of(list); k++) {
			const struct value_member *m = &list->object.members[k];

			if (!text_is_one_of(m->key, free_names) &&
			    !is_same(value_get(get(old, lists[i]), m->key), &m->value))
				return true;
		}
	}
	return false;
}

static void check_container(struct change *c, const struct at *at, const struct value *was, const struct value *is)
{
	const struct value *old = get(was, "resources"), *now = get(is, "resources");
	const struct at *here = AT(at, "resources");

	if (is_removed(get(old, "requests"), get(now, "requests")))
		fault_forbidden(c, AT(here, "requests"), "resource requests cannot be removed");
	if (is_removed(get(old, "limits"), get(now, "limits")))
		fault_forbidden(c, AT(here, "limits"), "resource limits cannot be removed");
	check_memory(c, here, old, now, is);
	if (changes_other(old, now) || !is_same(get(was, "resizePolicy"), get(is, "resizePolicy")))
		fault_forbidden(c, AT(NULL, "spec"), "only cpu and memory resources are mutable");
}

static void check_resize(struct change *c, const struct at *at)
{
	const struct value *old = get(c->old, "spec"), *now = get(c->object, "spec"), *was, *is;
	struct span quality = value_find_string(c->old, "status.qosClass");

	if (!span_equal(quality, span_of(pod_quality(now))))
		fault_invalid_text(c, at, quality, "Pod QOS Class may not change as a result of resizing");
	was = get(old, "containers");
	is = get(now, "containers");
	if (count_of(was) != count_of(is)) {
		fault_forbidden(c, AT(at, "containers"), "containers may not be added or removed on resize");
		return;
	}
	for (uint32_t i = 0; i < count_of(was); i++)
		check_container(c, AT_INDEX(AT(at, "containers"), i), value_item(was, i), value_item(is, i));
	was = get(old, "initContainers");
	is = get(now, "initContainers");
	for (uint32_t i = 0; i < count_of(was); i++) {
		if (is_text(get(value_item(was, i), "restartPolicy"), "Always"))
			check_container(c, AT_INDEX(AT(at, "initContainers"), i), value_item(was, i),
					value_item(is, i));
		else if (!value_equal(value_item(was, i), value_item(is, i)))
			fault_forbidden(c, at, "resources for non-sidecar init containers are immutable");
	}
}

void pod_part_validate(struct change *c)
{
	const struct at *at = AT(NULL, "spec");

	if (!is_part(c, "ephemeralcontainers") && !is_part(c, "resize"))
		return;
	pod_spec_check(c, at, get(c->object, "spec"));
	if (is_part(c, "resize"))
		check_resize(c, at);
	else
		check_ephemeral(c, at);
}
