/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoints - core/v1 Endpoints of Services with a selector, for those who do not read EndpointSlices.
 *
 * Addresses that have the same ports stand in one subset; over a thousand some are left out, and an annotation says so. The time of the
 * change that made it different is that of the pods which came, or changed, since what stands there was written.
 */
#include "controllers/endpointslice.h"

#include <math.h>
#include <stdlib.h>

enum { CAPACITY = 1000 };

#define LABEL_MANAGED_BY "endpoints.kubernetes.io/managed-by"
#define MANAGED_BY       "endpoint-controller"
#define TRIGGER_TIME     "endpoints.kubernetes.io/last-change-trigger-time"
#define OVER_CAPACITY    "endpoints.kubernetes.io/over-capacity"
#define LEADER           "control-plane.alpha.kubernetes.io/leader"

struct address {
	struct span ip, uid;
	const struct value *pod;
	bool is_ready;
};

/* A port, and a bit for each address that has it. */
struct port {
	struct value port; /* EndpointPort; null: of headless services without ports */
	uint64_t *has;
	bool is_used;
};

struct plan {
	struct reconcile *r;
	const struct value *spec;
	struct address *addresses;
	uint32_t count;
	struct port *ports;
	size_t port_count, port_cap, words;
};

/* ---- addresses ---- */

static int compare_addresses(const void *a, const void *b)
{
	const struct address *x = a, *y = b;
	int d = span_order(x->ip, y->ip);

	return d ? d : span_order(x->uid, y->uid);
}

static void addresses_find(struct plan *p)
{
	struct reconcile *r = p->r;
	const struct value *pods = reconcile_list(r, &resource_pods, r->name_space);
	bool tells_unready = value_find_bool(p->spec, "publishNotReadyAddresses");

	p->addresses = ARENA_ARRAY(r->arena, struct address, value_count(pods) + 1, r->err);
	for (uint32_t i = 0; p->addresses && i < value_count(pods); i++) {
		const struct value *pod = value_item(pods, i);

		if (!selector_map_matches(member(p->spec, "selector"), value_find(pod, "metadata.labels")) ||
		    !endpoint_has_address(pod) || (object_is_ending(pod) && !tells_unready))
			continue;
		p->addresses[p->count++] = (struct address){ .ip = value_find_string(pod, "status.podIP"),
							     .uid = value_find_string(pod, "metadata.uid"),
							     .pod = pod,
							     .is_ready = tells_unready || pod_is_ready(pod) };
	}
	if (p->addresses)
		qsort(p->addresses, p->count, sizeof(*p->addresses), compare_addresses);
	p->words = (p->count + 63) / 64 + 1;
}

static struct value address_value(struct plan *p, const struct address *a)
{
	struct reconcile *r = p->r;
	struct span host = value_find_string(a->pod, "spec.hostname"),
		    node = value_find_string(a->pod, "spec.nodeName");
	struct value address = value_object(), target = value_object();

	put(r, &address, "ip", value_string(a->ip));
	if (host.len && span_equal(value_find_string(a->pod, "spec.subdomain"), r->name))
		put(r, &address, "hostname", value_string(host));
	if (node.len)
		put(r, &address, "nodeName", value_string(node));
	put(r, &target, "kind", value_string(SPAN("Pod")));
	put(r, &target, "namespace", value_string(r->name_space));
	put(r, &target, "name", value_string(object_name(a->pod)));
	put(r, &target, "uid", value_string(a->uid));
	put(r, &address, "targetRef", target);
	return address;
}

/* ---- ports, and who has them ---- */

static struct port *port_ensure(struct plan *p, const struct value *port)
{
	struct reconcile *r = p->r;

	for (size_t i = 0; i < p->port_count; i++)
		if (value_equal(&p->ports[i].port, port))
			return &p->ports[i];
	if (p->port_count == p->port_cap) {
		size_t cap = p->port_cap ? p->port_cap * 2 : 16;
		struct port *larger = ARENA_ARRAY(r->arena, struct port, cap, r->err);

		if (!larger)
			return NULL;
		if (p->port_count)
			memcpy(larger, p->ports, p->port_count * sizeof(*larger));
		p->ports = larger;
		p->port_cap = cap;
	}
	p->ports[p->port_count] =
	    (struct port){ .port = *port, .has = arena_calloc(r->arena, p->words, sizeof(uint64_t), r->err) };
	return p->ports[p->port_count].has ? &p->ports[p->port_count++] : NULL;
}

static void port_add(struct plan *p, const struct value *port, uint32_t address)
{
	struct port *at = p->r->err->code ? NULL : port_ensure(p, port);

	if (at)
		at->has[address / 64] |= UINT64_C(1) << (address % 64);
}

static void ports_find(struct plan *p)
{
	const struct value *wanted = member(p->spec, "ports");
	struct value none = value_null();

	for (uint32_t a = 0; a < p->count; a++) {
		for (uint32_t i = 0; i < value_count(wanted); i++) {
			const struct value *w = value_item(wanted, i), *number = endpoint_port(p->addresses[a].pod, w);
			struct value port = value_object();

			if (!number)
				continue;
			if (value_find_string(w, "name").len)
				put(p->r, &port, "name", value_string(value_find_string(w, "name")));
			put(p->r, &port, "port", *number);
			put(p->r, &port, "protocol", value_string(value_find_string(w, "protocol")));
			if (member(w, "appProtocol"))
				put(p->r, &port, "appProtocol", *member(w, "appProtocol"));
			port_add(p, &port, a);
		}
		if (!value_count(wanted) && span_equal(value_find_string(p->spec, "clusterIP"), SPAN("None")))
			port_add(p, &none, a);
	}
}

static int compare_ports(const void *a, const void *b)
{
	const struct port *x = a, *y = b;
	int64_t m = value_find_int(&x->port, "port", 0), n = value_find_int(&y->port, "port", 0);
	int d = (m > n) - (m < n);

	d = d ? d : span_order(value_find_string(&x->port, "name"), value_find_string(&y->port, "name"));
	return d ? d : span_order(value_find_string(&x->port, "protocol"), value_find_string(&y->port, "protocol"));
}

/* ---- subsets ---- */

static struct value subset_of(struct plan *p, struct port *first)
{
	struct value subset = value_object(), ready = value_array(), waiting = value_array(), ports = value_array();

	for (uint32_t a = 0; a < p->count; a++)
		if (first->has[a / 64] >> (a % 64) & 1)
			put_item(p->r, p->addresses[a].is_ready ? &ready : &waiting,
				 address_value(p, &p->addresses[a]));
	for (struct port *q = first; q < p->ports + p->port_count; q++) {
		if (memcmp(q->has, first->has, p->words * sizeof(uint64_t)) != 0)
			continue;
		q->is_used = true;
		if (q->port.type == VALUE_OBJECT)
			put_item(p->r, &ports, q->port);
	}
	if (ready.array.count)
		put(p->r, &subset, "addresses", ready);
	if (waiting.array.count)
		put(p->r, &subset, "notReadyAddresses", waiting);
	if (ports.array.count)
		put(p->r, &subset, "ports", ports);
	return subset;
}

static struct value subsets_of(struct plan *p)
{
	struct value subsets = value_array();

	if (p->port_count)
		qsort(p->ports, p->port_count, sizeof(*p->ports), compare_ports);
	for (size_t i = 0; i < p->port_count; i++)
		if (!p->ports[i].is_used)
			put_item(p->r, &subsets, subset_of(p, &p->ports[i]));
	return subsets;
}

static uint32_t addresses_count(const struct value *subsets, const char *list)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < value_count(subsets); i++)
		count += value_count(member(value_item(subsets, i), list));
	return count;
}

/* So many of a list stay, of each subset its share. */
static void share_out(struct value *subsets, const char *list, uint32_t total, uint32_t most)
{
	uint32_t left = most;

	for (uint32_t i = 0; i < value_count(subsets); i++) {
		struct value *subset = value_item(subsets, i), *addresses = value_get(subset, span_of(list));
		uint32_t share;

		if (!addresses)
			continue;
		share = (uint32_t)ceil((double)addresses->array.count / total * most);
		addresses->array.count = MIN(MIN(share, left), addresses->array.count);
		left -= addresses->array.count;
		if (!addresses->array.count)
			(void)value_remove(subset, span_of(list));
	}
}

/* Those that are ready stay before those that are not. */
static bool truncate_subsets(struct value *subsets)
{
	uint32_t ready = addresses_count(subsets, "addresses"), waiting = addresses_count(subsets, "notReadyAddresses");

	if (ready + waiting <= CAPACITY)
		return false;
	if (ready > CAPACITY)
		share_out(subsets, "addresses", ready, CAPACITY);
	if (waiting)
		share_out(subsets, "notReadyAddresses", waiting, CAPACITY - MIN(ready, (uint32_t)CAPACITY));
	return true;
}

/* ---- when it changed ---- */

static bool is_listed(const struct value *subsets, const char *list, struct span uid)
{
	for (uint32_t i = 0; i < value_count(subsets); i++) {
		const struct value *addresses = member(value_item(subsets, i), list);

		for (uint32_t j = 0; j < value_count(addresses); j++)
			if (span_equal(value_find_string(value_item(addresses, j), "targetRef.uid"), uid))
				return true;
	}
	return false;
}

/* The first of the changes that what stands there does not know; 0: a pod that went away tells no time. */
static int64_t trigger_time(struct plan *p, const struct value *before)
{
	const struct value *subsets = member(before, "subsets");
	int64_t first = 0;

	if (!before)
		return object_time(p->r->object, "metadata.creationTimestamp");
	for (uint32_t a = 0; a < p->count; a++) {
		const struct address *at = &p->addresses[a];
		int64_t since = object_time(condition_find(member(at->pod, "status"), "Ready"), "lastTransitionTime");

		if (!since || is_listed(subsets, at->is_ready ? "addresses" : "notReadyAddresses", at->uid))
			continue;
		first = first ? MIN(first, since) : since;
	}
	return first;
}

/* ---- writing ---- */

static struct value labels_of(struct plan *p)
{
	struct span address = value_find_string(p->spec, "clusterIP");
	struct value labels = copied(p->r, value_find(p->r->object, "metadata.labels"));

	if (!value_is(&labels, VALUE_OBJECT))
		labels = value_object();
	if (!address.len || span_equal(address, SPAN("None")))
		put(p->r, &labels, LABEL_HEADLESS, value_string(SPAN("")));
	else
		(void)value_remove(&labels, SPAN(LABEL_HEADLESS));
	put(p->r, &labels, LABEL_MANAGED_BY, value_string(SPAN(MANAGED_BY)));
	return labels;
}

static bool is_as_it_should_be(const struct value *before, const struct value *subsets, const struct value *labels,
			       bool is_truncated)
{
	const struct value *there = member(before, "subsets"), *had = value_find(before, "metadata.labels");
	struct span mark = object_annotation(before, OVER_CAPACITY);

	return (there ? value_equal(there, subsets) : !value_count(subsets)) && had && value_equal(had, labels) &&
	       span_equal(mark, is_truncated ? SPAN("truncated") : SPAN(""));
}

static void annotate(struct plan *p, struct value *metadata, int64_t changed_ns, bool is_truncated)
{
	struct value *annotations = put_object(p->r, metadata, "annotations");

	(void)value_remove(annotations, SPAN(TRIGGER_TIME));
	(void)value_remove(annotations, SPAN(OVER_CAPACITY));
	if (changed_ns)
		put(p->r, annotations, TRIGGER_TIME, time_text(p->r, changed_ns));
	if (is_truncated)
		put(p->r, annotations, OVER_CAPACITY, value_string(SPAN("truncated")));
	if (!annotations->object.count)
		(void)value_remove(metadata, SPAN("annotations"));
}

static void endpoints_write(struct plan *p, struct value subsets)
{
	struct reconcile *r = p->r;
	const struct value *before = reconcile_get(r, &resource_endpoints, r->name_space, r->name);
	bool is_truncated = truncate_subsets(&subsets);
	struct value labels = labels_of(p), *object, *metadata;

	if (r->err->code || (before && is_as_it_should_be(before, &subsets, &labels, is_truncated)))
		return;
	object = before ? object_copy(r, before) : object_new(r, &resource_endpoints, r->name);
	if (!object)
		return;
	metadata = put_object(r, object, "metadata");
	put(r, metadata, "labels", labels);
	annotate(p, metadata, trigger_time(p, before), is_truncated);
	if (subsets.array.count)
		put(r, object, "subsets", subsets);
	else
		(void)value_remove(object, SPAN("subsets"));
	if (before)
		reconcile_update(r, &resource_endpoints, object);
	else
		reconcile_create(r, &resource_endpoints, object);
}

static void reconcile(struct reconcile *r)
{
	struct plan p = { .r = r, .spec = member(r->object, "spec") };
	const struct value *left;

	if (!r->object) {
		left = reconcile_get(r, &resource_endpoints, r->name_space, r->name);
		if (left && !object_annotation(left, LEADER).len)
			reconcile_delete(r, &resource_endpoints, left);
		return;
	}
	if (object_is_ending(r->object) || !member(p.spec, "selector") ||
	    span_equal(value_find_string(p.spec, "type"), SPAN("ExternalName")))
		return; /* somebody else makes them */
	addresses_find(&p);
	if (!r->err->code)
		ports_find(&p);
	if (!r->err->code)
		endpoints_write(&p, subsets_of(&p));
}

/* Pods; and what we wrote, when somebody else changes or removes it, or nobody removed it with its service. */
static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *object)
{
	if (resource == &resource_pods)
		manager_wake_matching(m, c, object);
	else if (span_equal(object_label(object, LABEL_MANAGED_BY), SPAN(MANAGED_BY)))
		manager_wake(m, c, value_find_string(object, "metadata.namespace"), object_name(object));
}

static bool takes(const struct value *service, const struct value *pod)
{
	return selector_map_matches(value_find(service, "spec.selector"), value_find(pod, "metadata.labels"));
}

static const struct resource *const read[] = { &resource_pods, &resource_endpoints, NULL };

const struct controller controller_endpoints = {
	.name = "endpoints-controller",
	.component = MANAGED_BY,
	.resource = &resource_services,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
