/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoints_mirror - EndpointSlices for Endpoints that somebody writes by hand, of Services without a selector: whoever routes reads slices.
 *
 * Each set of ports has one slice for each family of addresses, with a thousand addresses at most.
 */
#include "controllers/endpointslice.h"

#include "kube/kinds/kinds.h"

enum { ADDRESSES_MOST = 1000, GROUPS_MOST = 64 };

#define MANAGED_BY   "endpointslicemirroring-controller.k8s.io"
#define SKIP         "endpointslice.kubernetes.io/skip-mirror"
#define LEADER       "control-plane.alpha.kubernetes.io/leader"
#define TRIGGER_TIME "endpoints.kubernetes.io/last-change-trigger-time"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

struct group {
	struct value ports, endpoints;
	bool is_ipv6;
};

struct plan {
	struct reconcile *r;
	struct group groups[GROUPS_MOST];
	size_t count;
	uint32_t skipped, invalid;
};

static struct value ports_of(struct plan *p, const struct value *subset)
{
	const struct value *from = member(subset, "ports");
	struct value ports = value_array();

	for (uint32_t i = 0; i < value_count(from); i++) {
		const struct value *f = value_item(from, i);
		struct value port = value_object();

		put(p->r, &port, "name", value_string(value_find_string(f, "name")));
		put(p->r, &port, "protocol", value_string(value_find_string(f, "protocol")));
		put(p->r, &port, "port", value_int(value_find_int(f, "port", 0)));
		if (member(f, "appProtocol"))
			put(p->r, &port, "appProtocol", *member(f, "appProtocol"));
		put_item(p->r, &ports, port);
	}
	return ports;
}

static struct group *group_ensure(struct plan *p, const struct value *ports, bool is_ipv6)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->groups[i].is_ipv6 == is_ipv6 && value_equal(&p->groups[i].ports, ports))
			return &p->groups[i];
	if (p->count == GROUPS_MOST)
		return NULL;
	p->groups[p->count] = (struct group){ *ports, value_array(), is_ipv6 };
	return &p->groups[p->count++];
}

/* One that is there already; not being ready counts for more. */
static bool is_there(struct plan *p, struct group *g, struct span ip, bool is_ready)
{
	for (uint32_t i = 0; i < g->endpoints.array.count; i++) {
		struct value *e = value_item(&g->endpoints, i);

		if (!span_equal(value_item(value_find(e, "addresses"), 0)->string, ip))
			continue;
		if (!is_ready)
			put(p->r, put_object(p->r, e, "conditions"), "ready", value_bool(false));
		return true;
	}
	return false;
}

static void address_add(struct plan *p, const struct value *ports, const struct value *address, bool is_ready)
{
	static const char *const kept[] = { "hostname", "targetRef", "nodeName" };
	struct reconcile *r = p->r;
	struct span ip = value_find_string(address, "ip");
	struct value endpoint = value_object(), addresses = value_array(), conditions = value_object();
	struct group *g;

	if (!is_ipv4(ip) && !is_ipv6(ip)) {
		p->invalid++;
		return;
	}
	g = group_ensure(p, ports, is_ipv6(ip));
	if (!g || g->endpoints.array.count >= ADDRESSES_MOST) {
		p->skipped++;
		return;
	}
	if (is_there(p, g, ip, is_ready))
		return;
	put_item(r, &addresses, value_string(ip));
	put(r, &conditions, "ready", value_bool(is_ready));
	put(r, &endpoint, "addresses", addresses);
	put(r, &endpoint, "conditions", conditions);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (member(address, kept[i]))
			put(r, &endpoint, kept[i], copied(r, member(address, kept[i])));
	put_item(r, &g->endpoints, endpoint);
}

static void subsets_read(struct plan *p)
{
	static const char *const lists[] = { "addresses", "notReadyAddresses" };
	const struct value *subsets = member(p->r->object, "subsets");

	for (uint32_t i = 0; i < value_count(subsets); i++) {
		const struct value *s = value_item(subsets, i);
		struct value ports = ports_of(p, s);

		for (size_t l = 0; l < ARRAY_LEN(lists); l++)
			for (uint32_t j = 0; j < value_count(member(s, lists[l])); j++)
				address_add(p, &ports, value_item(member(s, lists[l]), j), l == 0);
	}
	if (p->invalid)
		reconcile_event(p->r, "Warning", "InvalidIPAddress",
				"Skipped %u invalid IP addresses when mirroring to EndpointSlices", p->invalid);
	if (p->skipped)
		reconcile_event(
		    p->r, "Warning", "TooManyAddressesToMirror",
		    "A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %u addresses "
		    "were skipped",
		    ADDRESSES_MOST, p->skipped);
}

/* ---- slices ---- */

static struct value *slices_there(struct reconcile *r)
{
	struct value *all = reconcile_list(r, &resource_endpoint_slices, r->name_space);

	for (uint32_t i = 0; i < value_count(all);)
		if (span_equal(object_label(value_item(all, i), LABEL_SLICE_MANAGED_BY), SPAN(MANAGED_BY)) &&
		    span_equal(object_label(value_item(all, i), LABEL_SERVICE), r->name) &&
		    !object_is_ending(value_item(all, i)))
			i++;
		else
			value_remove_item(all, i);
	return all;
}

static void slice_fill(struct plan *p, struct value *slice, const struct group *g)
{
	struct reconcile *r = p->r;
	struct value labels = copied(r, value_find(r->object, "metadata.labels"));
	struct value annotations = copied(r, value_find(r->object, "metadata.annotations"));
	struct value *metadata = put_object(r, slice, "metadata");

	if (!value_is(&labels, VALUE_OBJECT))
		labels = value_object();
	put(r, &labels, LABEL_SERVICE, value_string(r->name));
	put(r, &labels, LABEL_SLICE_MANAGED_BY, value_string(SPAN(MANAGED_BY)));
	put(r, metadata, "labels", labels);
	if (value_is(&annotations, VALUE_OBJECT)) {
		(void)value_remove(&annotations, SPAN(TRIGGER_TIME));
		(void)value_remove(&annotations, SPAN(LAST_APPLIED));
	}
	if (value_is(&annotations, VALUE_OBJECT) && annotations.object.count)
		put(r, metadata, "annotations", annotations);
	else
		(void)value_remove(metadata, SPAN("annotations"));
	put(r, slice, "addressType", value_string(g->is_ipv6 ? SPAN("IPv6") : SPAN("IPv4")));
	put(r, slice, "endpoints", g->endpoints);
	if (g->ports.array.count)
		put(r, slice, "ports", g->ports);
	else
		(void)value_remove(slice, SPAN("ports"));
}

/* The slice of a group: of the same ports and family. It leaves the list. */
static struct value *slice_take(struct reconcile *r, struct value *there, const struct group *g)
{
	struct span family = g->is_ipv6 ? SPAN("IPv6") : SPAN("IPv4");

	for (uint32_t i = 0; i < value_count(there); i++) {
		const struct value *ports = member(value_item(there, i), "ports");

		if (span_equal(value_find_string(value_item(there, i), "addressType"), family) &&
		    (ports ? value_equal(ports, &g->ports) : !g->ports.array.count)) {
			struct value *copy = object_copy(r, value_item(there, i));

			value_remove_item(there, i);
			return copy;
		}
	}
	return NULL;
}

static void slice_write(struct plan *p, struct value *there, const struct group *g)
{
	struct reconcile *r = p->r;
	struct value *before = slice_take(r, there, g), *slice;

	if (before) {
		slice = object_copy(r, before);
		slice_fill(p, slice, g);
		if (!value_equal(before, slice))
			reconcile_update(r, &resource_endpoint_slices, slice);
		return;
	}
	slice = endpoint_slice_new(r);
	if (!slice)
		return;
	slice_fill(p, slice, g);
	reconcile_create(r, &resource_endpoint_slices, slice);
}

static bool is_mirrored(struct reconcile *r)
{
	const struct value *service;

	if (!r->object || object_is_ending(r->object) || object_annotation(r->object, LEADER).len ||
	    span_equal(object_label(r->object, SKIP), SPAN("true")))
		return false;
	service = reconcile_get(r, &resource_services, r->name_space, r->name);
	return service && !member(member(service, "spec"), "selector");
}

static void reconcile(struct reconcile *r)
{
	struct plan *p = ARENA_NEW(r->arena, struct plan, r->err);
	struct value *there = slices_there(r);

	if (!p)
		return;
	p->r = r;
	if (is_mirrored(r)) {
		subsets_read(p);
		for (size_t i = 0; i < p->count; i++)
			slice_write(p, there, &p->groups[i]);
	}
	for (uint32_t i = 0; i < value_count(there); i++)
		reconcile_delete(r, &resource_endpoint_slices, value_item(there, i));
}

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *service)
{
	(void)resource;
	manager_wake(m, c, value_find_string(service, "metadata.namespace"), object_name(service));
}

static const struct resource *const owned[] = { &resource_endpoint_slices, NULL };
static const struct resource *const read[] = { &resource_services, NULL };

const struct controller controller_endpoints_mirror = {
	.name = "endpointslice-mirroring-controller",
	.component = "endpoint-slice-mirroring-controller",
	.resource = &resource_endpoints,
	.owned = owned,
	.read = read,
	.wakes = wakes,
	.reconcile = reconcile,
};
