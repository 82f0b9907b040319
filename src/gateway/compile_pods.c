/* SPDX-License-Identifier: Apache-2.0 */
/* compile_pods - hostPort: an entry for each port of a pod that the machine is to have too, with that pod alone behind it. */
#include "gateway/compile_private.h"

#define PRINT(...) arena_print(&i->arena, err, __VA_ARGS__)

bool pod_has_host_port(const struct record *r)
{
	return record_mentions(r, SPAN("\"hostPort\""));
}

/* False: it is none, or not one of a machine's IPv4 addresses. */
static bool host_port_read(struct compile *c, struct item *i, const struct value *from, struct host_port *to,
			   struct error *err)
{
	int64_t port = value_find_int(from, "containerPort", 0), number = value_find_int(from, "hostPort", 0);
	struct span protocol = value_find_string(from, "protocol"), host = value_find_string(from, "hostIP");
	struct sockaddr_storage ignored;

	if (!host.len)
		host = c->services_address;
	if (number <= 0 || number > UINT16_MAX || span_equal(protocol, SPAN("SCTP")) ||
	    !address_read(host, (int)number, &ignored))
		return false;
	to->name = value_find_string(from, "name");
	to->is_udp = span_equal(protocol, SPAN("UDP"));
	to->address = PRINT(SPAN_FMT ":%d", SPAN_WHOLE(host), (int)number);
	/* In metrics; not the pod's name, for there would be a series of each pod that ever had the port. */
	to->label = PRINT("host:%d", (int)number);
	/* The pod's own, so that two with the same address are told which of them has it. */
	to->key = PRINT("host %s " SPAN_FMT " " SPAN_FMT, to->is_udp ? "udp" : "tcp", SPAN_WHOLE(i->uid),
			SPAN_WHOLE(to->address));
	to->endpoint =
	    (struct plan_endpoint){ .key = PRINT(SPAN_FMT ":%d", SPAN_WHOLE(i->pod->address), (int)port),
				    .sandbox = i->pod->sandbox,
				    .is_ready = true }; /* whatever its probes say: nobody else has the port */
	return address_read(i->pod->address, (int)port, &to->endpoint.address);
}

/* One that runs here, in a network of its own, has ports. */
bool pod_read(struct compile *c, struct item *i, struct error *err)
{
	const struct value *containers = value_find(i->object, "spec.containers");
	struct span phase = value_find_string(i->object, "status.phase");
	struct pod *pod = ARENA_NEW(&i->arena, struct pod, err);
	size_t most = 0;

	i->pod = pod;
	if (!pod)
		return false;
	pod->address = value_find_string(i->object, "status.podIP");
	if (c->config.sandbox)
		pod->sandbox = c->config.sandbox(c->config.context, i->uid, &i->arena);
	if (!pod->sandbox.len || value_find_bool(i->object, "spec.hostNetwork") ||
	    span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed")))
		return !err->code;
	for (uint32_t n = 0; n < value_count(containers); n++)
		most += value_count(value_find(value_item(containers, n), "ports"));
	pod->ports = arena_calloc(&i->arena, most, sizeof(*pod->ports), err);
	for (uint32_t n = 0; pod->ports && n < value_count(containers); n++) {
		const struct value *ports = value_find(value_item(containers, n), "ports");

		for (uint32_t k = 0; k < value_count(ports); k++)
			pod->port_count +=
			    host_port_read(c, i, value_item(ports, k), &pod->ports[pod->port_count], err);
	}
	return !err->code;
}

static void host_port_add(struct pass *p, const struct item *i, const struct host_port *port)
{
	struct plan_entry *e = plan_entry_add(p->builder, port->key);
	struct plan_backend *backend;

	if (!e) /* twice in one pod */
		return;
	backend = plan_backend(p->builder, port->key);
	backend->name_space = i->name_space;
	backend->service = port->label;
	backend->speech = SPEECH_BYTES;
	backend->endpoints = &port->endpoint;
	backend->endpoint_count = 1;
	e->address = port->address;
	e->is_udp = port->is_udp;
	e->backend = backend;
	e->owner_kind = SPAN("Pod");
	e->owner_namespace = i->name_space;
	e->owner_name = i->name;
	e->owner_uid = i->uid;
	e->port_name = port->name;
}

void pods_add(struct pass *p)
{
	ITEMS_EACH(p->compile, PODS, i)
	{
		if (!i->pod->port_count)
			continue;
		item_ref(i);
		plan_keep(p->builder, i, item_unref);
		for (size_t n = 0; n < i->pod->port_count; n++)
			host_port_add(p, i, &i->pod->ports[n]);
	}
}
