/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpointslice - the addresses behind a Service: pods that its selector takes, in slices of at most a hundred.
 *
 * Pods whose ports have other numbers (a target port by name) stand in slices of their own. A pod that is ending is told as such at once,
 * so that whoever routes can drain it. Slices are filled in the order of the pods' names; one that is as it should be is not written.
 */
#include "controllers/endpointslice.h"

#include <stdlib.h>

#include "kube/kinds/kinds.h"

enum { SLICE_MOST = 100, GROUPS_MOST = 64 };

#define MANAGED_BY "endpointslice-controller.k8s.io"

/* Pods with the same ports. */
struct group {
	struct value ports;     /* array of EndpointPort */
	struct value endpoints; /* array */
};

struct plan {
	struct reconcile *r;
	const struct value *spec;
	struct group groups[GROUPS_MOST];
	size_t count;
	struct value *there; /* slices that we made, as an array */
	uint32_t used;       /* so many of them are filled */
};

/* ---- what a pod is to a service ---- */

static const struct value *port_named(const struct value *pod, struct span name, struct span protocol)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		const struct value *containers = value_find(pod, lists[l]);

		for (uint32_t i = 0; i < value_count(containers); i++) {
			const struct value *ports = member(value_item(containers, i), "ports");

			for (uint32_t j = 0; j < value_count(ports); j++) {
				const struct value *p = value_item(ports, j);

				if (span_equal(value_find_string(p, "name"), name) &&
				    span_equal(value_find_string(p, "protocol"), protocol))
					return member(p, "containerPort");
			}
		}
	}
	return NULL;
}

const struct value *endpoint_port(const struct value *pod, const struct value *service_port)
{
	const struct value *target = member(service_port, "targetPort");

	if (value_is(target, VALUE_STRING))
		return port_named(pod, target->string, value_find_string(service_port, "protocol"));
	return target ? target : member(service_port, "port");
}

/* A port whose name the pod does not have is left out, as Kubernetes does. */
static struct value ports_of(struct plan *p, const struct value *pod)
{
	const struct value *wanted = member(p->spec, "ports");
	struct value ports = value_array();

	for (uint32_t i = 0; i < value_count(wanted); i++) {
		const struct value *w = value_item(wanted, i), *number = endpoint_port(pod, w);
		struct value port = value_object();

		if (!number)
			continue;
		put(p->r, &port, "name", value_string(value_find_string(w, "name")));
		put(p->r, &port, "port", *number);
		put(p->r, &port, "protocol", value_string(value_find_string(w, "protocol")));
		if (member(w, "appProtocol"))
			put(p->r, &port, "appProtocol", *member(w, "appProtocol"));
		put_item(p->r, &ports, port);
	}
	return ports;
}

static struct value endpoint_of(struct plan *p, const struct value *pod)
{
	struct reconcile *r = p->r;
	struct value endpoint = value_object(), conditions = value_object(), target = value_object();
	struct value addresses = value_array();
	bool is_serving = pod_is_ready(pod), is_ending = object_is_ending(pod);
	bool is_ready = value_find_bool(p->spec, "publishNotReadyAddresses") || (is_serving && !is_ending);
	struct span host = value_find_string(pod, "spec.hostname"), node = value_find_string(pod, "spec.nodeName");

	put_item(r, &addresses, value_string(value_find_string(pod, "status.podIP")));
	put(r, &endpoint, "addresses", addresses);
	put(r, &conditions, "ready", value_bool(is_ready));
	put(r, &conditions, "serving", value_bool(is_serving));
	put(r, &conditions, "terminating", value_bool(is_ending));
	put(r, &endpoint, "conditions", conditions);
	if (host.len && span_equal(value_find_string(pod, "spec.subdomain"), r->name))
		put(r, &endpoint, "hostname", value_string(host));
	put(r, &target, "kind", value_string(SPAN("Pod")));
	put(r, &target, "namespace", value_string(r->name_space));
	put(r, &target, "name", value_string(object_name(pod)));
	put(r, &target, "uid", value_string(value_find_string(pod, "metadata.uid")));
	put(r, &endpoint, "targetRef", target);
	if (node.len)
		put(r, &endpoint, "nodeName", value_string(node));
	return endpoint;
}

struct value *endpoint_slice_new(struct reconcile *r)
{
	struct value *slice = object_new(r, &resource_endpoint_slices, (struct span){ 0 });

	if (!slice)
		return NULL;
	put(r, put_object(r, slice, "metadata"), "generateName", text_print(r, SPAN_FMT "-", SPAN_WHOLE(r->name)));
	put_owner(r, slice);
	return slice;
}

bool endpoint_has_address(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return value_find_string(pod, "status.podIP").len && !span_equal(phase, SPAN("Succeeded")) &&
	       !span_equal(phase, SPAN("Failed"));
}

static bool is_endpoint(const struct plan *p, const struct value *pod)
{
	return selector_map_matches(member(p->spec, "selector"), value_find(pod, "metadata.labels")) &&
	       endpoint_has_address(pod);
}

static void pod_add(struct plan *p, const struct value *pod)
{
	struct value ports = ports_of(p, pod);
	struct group *g = p->groups;

	while (g < p->groups + p->count && !value_equal(&g->ports, &ports))
		g++;
	if (g == p->groups + GROUPS_MOST)
		g--; /* sixty-four ways to number the same ports: the rest is told with the last */
	else if (g == p->groups + p->count)
		*(p->count++, g) = (struct group){ ports, value_array() };
	put_item(p->r, &g->endpoints, endpoint_of(p, pod));
}

/* ---- slices ---- */

static struct value labels_of(struct plan *p)
{
	struct value labels = copied(p->r, value_find(p->r->object, "metadata.labels"));

	if (!value_is(&labels, VALUE_OBJECT))
		labels = value_object();
	if (span_equal(value_find_string(p->spec, "clusterIP"), SPAN("None")))
		put(p->r, &labels, LABEL_HEADLESS, value_string(SPAN("")));
	put(p->r, &labels, LABEL_SERVICE, value_string(p->r->name));
	put(p->r, &labels, LABEL_SLICE_MANAGED_BY, value_string(SPAN(MANAGED_BY)));
	return labels;
}

static void slice_fill(struct plan *p, struct value *slice, const struct group *g, uint32_t from)
{
	struct value endpoints = value_array(), labels = labels_of(p);

	for (uint32_t i = from; i < value_count(&g->endpoints) && i < from + SLICE_MOST; i++)
		put_item(p->r, &endpoints, *value_item(&g->endpoints, i));
	put(p->r, put_object(p->r, slice, "metadata"), "labels", labels);
	put(p->r, slice, "addressType", value_string(SPAN("IPv4")));
	put(p->r, slice, "endpoints", endpoints);
	put(p->r, slice, "ports", g->ports);
}

static void slice_write(struct plan *p, const struct group *g, uint32_t from)
{
	struct reconcile *r = p->r;
	struct value *slice, *before;

	if (p->used < value_count(p->there)) {
		before = value_item(p->there, p->used++);
		slice = object_copy(r, before);
		slice_fill(p, slice, g, from);
		if (!value_equal(before, slice))
			reconcile_update(r, &resource_endpoint_slices, slice);
		return;
	}
	slice = endpoint_slice_new(r);
	if (!slice)
		return;
	slice_fill(p, slice, g, from);
	reconcile_create(r, &resource_endpoint_slices, slice);
}

/* Slices of one port first keep theirs: those with the same ports are filled again. */
static void slices_sort(struct plan *p)
{
	uint32_t sorted = 0;

	for (size_t i = 0; i < p->count; i++)
		for (uint32_t j = sorted; j < value_count(p->there); j++)
			if (value_equal(value_get(value_item(p->there, j), SPAN("ports")), &p->groups[i].ports)) {
				struct value swapped = *value_item(p->there, j);

				*value_item(p->there, j) = *value_item(p->there, sorted);
				*value_item(p->there, sorted++) = swapped;
			}
}

static struct value *slices_there(struct reconcile *r)
{
	struct value *all = reconcile_owned(r, &resource_endpoint_slices);

	for (uint32_t i = 0; i < value_count(all);)
		if (span_equal(object_label(value_item(all, i), LABEL_SLICE_MANAGED_BY), SPAN(MANAGED_BY)) &&
		    !object_is_ending(value_item(all, i)))
			i++;
		else
			value_remove_item(all, i);
	return all;
}

static void reconcile(struct reconcile *r)
{
	struct plan *p = ARENA_NEW(r->arena, struct plan, r->err);
	const struct value *pods;

	if (!r->object || !p || object_is_ending(r->object))
		return; /* the collector takes the slices */
	p->r = r;
	p->spec = member(r->object, "spec");
	if (!member(p->spec, "selector") || span_equal(value_find_string(p->spec, "type"), SPAN("ExternalName")))
		return; /* somebody else makes them */
	pods = reconcile_list(r, &resource_pods, r->name_space);
	for (uint32_t i = 0; i < value_count(pods); i++)
		if (is_endpoint(p, value_item(pods, i)))
			pod_add(p, value_item(pods, i));
	p->there = slices_there(r);
	slices_sort(p);
	if (!p->count) { /* one that is empty says that there are none */
		struct value none = value_object();

		*(p->count++, p->groups) = (struct group){ ports_of(p, &none), value_array() };
	}
	for (size_t i = 0; i < p->count; i++)
		for (uint32_t from = 0; from == 0 || from < value_count(&p->groups[i].endpoints); from += SLICE_MOST)
			slice_write(p, &p->groups[i], from);
	for (uint32_t i = p->used; i < value_count(p->there); i++)
		reconcile_delete(r, &resource_endpoint_slices, value_item(p->there, i));
}

/* ---- what wakes it ---- */

static void wakes(struct manager *m, const struct controller *c, const struct resource *resource,
		  const struct value *pod)
{
	(void)resource;
	manager_wake_matching(m, c, pod);
}

static bool takes(const struct value *service, const struct value *pod)
{
	return selector_map_matches(value_find(service, "spec.selector"), value_find(pod, "metadata.labels"));
}

static const struct resource *const owned[] = { &resource_endpoint_slices, NULL };
static const struct resource *const read[] = { &resource_pods, NULL };

const struct controller controller_endpointslice = {
	.name = "endpointslice-controller",
	.component = "endpointslice-controller",
	.resource = &resource_services,
	.owned = owned,
	.read = read,
	.wakes = wakes,
	.takes = takes,
	.reconcile = reconcile,
};
