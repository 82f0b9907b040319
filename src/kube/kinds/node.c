/* SPDX-License-Identifier: Apache-2.0 */
/* node - Node of core/v1. */
#include "kube/kinds/kinds.h"

#include "kube/kinds/node_services.h"
#include "kube/subresource.h"

#include <stdlib.h>

/* podCIDR is the first of podCIDRs: who writes only one of them means both. */
static void match_pod_cidrs(struct change *c, struct value *spec)
{
	struct span one = get_text(spec, "podCIDR");
	struct value list = value_array();
	const struct value *all = get(spec, "podCIDRs");

	if (one.len && (!count_of(all) || !span_equal(text_of(value_item(all, 0)), one))) {
		(void)value_append(&list, value_string(one), c->arena, c->err);
		set_value(c, spec, "podCIDRs", list);
	} else if (!one.len && count_of(all)) {
		set_text(c, spec, "podCIDR", text_of(value_item(all, 0)));
	}
}

static void node_defaults(struct change *c)
{
	struct value *status;

	shape(c);
	match_pod_cidrs(c, ensure(c, c->object, "spec"));
	status = get(c->object, "status");
	if (get(status, "capacity") && !get(status, "allocatable"))
		set_value(c, status, "allocatable", copy_of(c, get(status, "capacity")));
}

/* A node may come with a status: who registers it knows it. */
static void node_prepare(struct change *c)
{
	if (c->old)
		prepare_status(c);
	else
		shape(c);
}

static void check_taints(struct change *c, const struct at *at, const struct value *list)
{
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *taint = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);

		check_name(c, AT(here, "key"), get(taint, "key"), name_check_qualified);
		check_name(c, AT(here, "value"), get(taint, "value"), name_check_label_value);
		check_one_of(c, AT(here, "effect"), get(taint, "effect"), effects);
		for (uint32_t k = 0; k < i; k++) {
			if (is_same(get(value_item(list, k), "key"), get(taint, "key")) &&
			    is_same(get(value_item(list, k), "effect"), get(taint, "effect"))) {
				struct span key = get_text(taint, "key"), value = get_text(taint, "value");
				struct span effect = get_text(taint, "effect");

				fault_duplicate_printed(
				    c, here,
				    path_print(c,
					       "core.Taint{Key:\"" SPAN_FMT "\", Value:\"" SPAN_FMT
					       "\", Effect:\"" SPAN_FMT
					       "\", TimeAdded:<nil>}: taints must be unique by key and effect pair",
					       SPAN_ARG(key), SPAN_ARG(value), SPAN_ARG(effect)));
				break;
			}
		}
	}
}

static void check_pod_cidrs(struct change *c, const struct at *at, const struct value *list)
{
	bool is_pair;

	for (uint32_t i = 0; i < count_of(list); i++)
		check_cidr(c, AT_INDEX(at, i), text_of(value_item(list, i)));
	if (count_of(list) < 2)
		return;
	is_pair = count_of(list) == 2 &&
		  cidr_family(text_of(value_item(list, 0))) != cidr_family(text_of(value_item(list, 1)));
	if (!is_pair)
		fault_invalid(c, at, list, "may specify no more than one CIDR for each IP family");
}

static void check_amounts(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value_member *m = &list->object.members[i];

		check_quantity(c, AT(at, detail_print(c, SPAN_FMT, SPAN_ARG(m->key))), &m->value);
	}
}

static void check_addresses(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		for (uint32_t k = 0; k < i; k++) {
			struct span type, address;

			if (!value_equal(value_item(list, i), value_item(list, k)))
				continue;
			type = get_text(value_item(list, i), "type");
			address = get_text(value_item(list, i), "address");
			fault_duplicate_printed(
			    c, AT_INDEX(at, i),
			    path_print(c, "core.NodeAddress{Type:\"" SPAN_FMT "\", Address:\"" SPAN_FMT "\"}",
				       SPAN_ARG(type), SPAN_ARG(address)));
			break;
		}
	}
}

static void node_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec"), *old = get(c->old, "spec");

	check_metadata(c, name_check_subdomain);
	/* The real server tells faults of taints at metadata. */
	check_taints(c, AT(AT(NULL, "metadata"), "taints"), get(spec, "taints"));
	check_amounts(c, AT(AT(NULL, "status"), "capacity"), get(get(c->object, "status"), "capacity"));
	check_amounts(c, AT(AT(NULL, "status"), "allocatable"), get(get(c->object, "status"), "allocatable"));
	check_pod_cidrs(c, AT(AT(NULL, "spec"), "podCIDRs"), get(spec, "podCIDRs"));
	if (!c->old)
		return;
	/* The real server looks twice at what is changed, and tells faults twice. */
	check_taints(c, AT(AT(NULL, "metadata"), "taints"), get(spec, "taints"));
	check_addresses(c, AT(AT(NULL, "status"), "addresses"), get(get(c->object, "status"), "addresses"));
	if (count_of(get(old, "podCIDRs")) && !is_same(get(old, "podCIDRs"), get(spec, "podCIDRs")))
		fault_forbidden(c, AT(AT(NULL, "spec"), "podCIDRs"),
				"node updates may not change podCIDR except from \"\" to valid");
	if (get_text(old, "providerID").len && !is_same(get(old, "providerID"), get(spec, "providerID")))
		fault_forbidden(c, AT(AT(NULL, "spec"), "providerID"),
				"node updates may not change providerID except from \"\" to valid");
}

/* ---- the row ---- */

static struct value cell_status(const struct value *o, struct arena *arena)
{
	const struct value *list = get(get(o, "status"), "conditions");
	const char *ready = "Unknown";

	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(get(value_item(list, i), "type"), "Ready"))
			ready = is_text(get(value_item(list, i), "status"), "True") ? "Ready" : "NotReady";
	}
	return cell_format(arena, "%s%s", ready,
			   get_bool(get(o, "spec"), "unschedulable") ? ",SchedulingDisabled" : "");
}

#define ROLE_PREFIX SPAN("node-role.kubernetes.io/")
#define ROLES_MOST  32

static int role_order(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_order(*x, *y);
}

static struct value cell_roles(const struct value *labels, struct arena *arena)
{
	struct text t = { .arena = arena };
	struct span roles[ROLES_MOST];
	size_t count = 0;

	for (uint32_t i = 0; i < count_of(labels) && count < ROLES_MOST; i++) {
		const struct value_member *m = &labels->object.members[i];

		if (span_starts(m->key, ROLE_PREFIX) && m->key.len > ROLE_PREFIX.len)
			roles[count++] = span_skip(m->key, ROLE_PREFIX.len);
		else if (span_equal(m->key, SPAN("kubernetes.io/role")) && text_of(&m->value).len)
			roles[count++] = text_of(&m->value);
	}
	qsort(roles, count, sizeof(*roles), role_order);
	for (size_t i = 0; i < count; i++) {
		if (i && span_equal(roles[i], roles[i - 1]))
			continue;
		text_add(&t, i ? SPAN(",") : SPAN(""));
		text_add(&t, roles[i]);
	}
	return cell_or(text_span(&t), "<none>");
}

static struct span address_of(const struct value *o, const char *type)
{
	const struct value *list = get(get(o, "status"), "addresses");

	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(get(value_item(list, i), "type"), type))
			return get_text(value_item(list, i), "address");
	}
	return SPAN("");
}

static void node_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *info = get(get(o, "status"), "nodeInfo");

	cells[0] = cell_name(o);
	cells[1] = cell_status(o, arena);
	cells[2] = cell_roles(get(get(o, "metadata"), "labels"), arena);
	cells[3] = cell_age(o, now_ns, arena);
	cells[4] = cell_text(get_text(info, "kubeletVersion"));
	cells[5] = cell_or(address_of(o, "InternalIP"), "<none>");
	cells[6] = cell_or(address_of(o, "ExternalIP"), "<none>");
	cells[7] = cell_or(get_text(info, "osImage"), "<unknown>");
	cells[8] = cell_or(get_text(info, "kernelVersion"), "<unknown>");
	cells[9] = cell_or(get_text(info, "containerRuntimeVersion"), "<unknown>");
}

static const struct column node_columns[] = {
	COLUMN_NAME,
	COLUMN("Status", "string", "Ready, NotReady or Unknown, and whether pods may come."),
	COLUMN("Roles", "string", "What it is for."),
	COLUMN_AGE,
	COLUMN("Version", "string", "Version of what runs the pods."),
	WIDE("Internal-IP", "string", "Its address inside."),
	WIDE("External-IP", "string", "Its address from outside."),
	WIDE("OS-Image", "string", "Its operating system."),
	WIDE("Kernel-Version", "string", "Its kernel."),
	WIDE("Container-Runtime", "string", "What runs its containers."),
	{ 0 },
};
static const char *const node_short[] = { "no", NULL };
static const struct selectable node_fields[] = { { "spec.unschedulable", NULL, "false" }, { 0 } };

static const struct subresource node_others[] = {
	{ "proxy", KUBE_CREATE | KUBE_DELETE | KUBE_GET | KUBE_PATCH | KUBE_UPDATE | KUBE_PASSAGE, "", "v1",
	  "NodeProxyOptions", NULL, node_proxy },
	{ 0 },
};

const struct kind kind_node = {
	.group = "",
	.version = "v1",
	.plural = "nodes",
	.singular = "node",
	.kind = "Node",
	.short_names = node_short,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.others = node_others,
	.type_name = "io.k8s.api.core.v1.Node",
	.selectable = node_fields,
	.columns = node_columns,
	.defaults = node_defaults,
	.prepare = node_prepare,
	.validate = node_validate,
	.row = node_row,
};
