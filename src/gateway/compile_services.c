/* SPDX-License-Identifier: Apache-2.0 */
/* compile_services - Services and their EndpointSlices: backends with endpoints, and the addresses that services have. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/number.h"
#include "gateway/compile_private.h"

/* ---- how a port is spoken to ---- */

static enum plan_speech speech_of(const struct value *port)
{
	static const struct {
		struct span text;
		enum plan_speech speech;
	} protocols[] = {
		{ SPAN_INIT("http"), SPEECH_HTTP1 },		 { SPAN_INIT("http1"), SPEECH_HTTP1 },
		{ SPAN_INIT("http/1.1"), SPEECH_HTTP1 },	 { SPAN_INIT("kubernetes.io/h2c"), SPEECH_HTTP2 },
		{ SPAN_INIT("h2c"), SPEECH_HTTP2 },		 { SPAN_INIT("http2"), SPEECH_HTTP2 },
		{ SPAN_INIT("grpc"), SPEECH_HTTP2 },		 { SPAN_INIT("kubernetes.io/ws"), SPEECH_WS },
	}, names[] = {
		{ SPAN_INIT("http"), SPEECH_HTTP1 }, { SPAN_INIT("http2"), SPEECH_HTTP2 }, { SPAN_INIT("h2c"), SPEECH_HTTP2 },
		{ SPAN_INIT("grpc"), SPEECH_HTTP2 }, { SPAN_INIT("ws"), SPEECH_WS },	   { SPAN_INIT("tcp"), SPEECH_BYTES },
		{ SPAN_INIT("tls"), SPEECH_BYTES },  { SPAN_INIT("https"), SPEECH_BYTES }, { SPAN_INIT("wss"), SPEECH_BYTES },
	};
	struct span protocol = value_find_string(port, "appProtocol"), name = value_find_string(port, "name");

	if (protocol.len) {
		for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
			if (span_equal_ignore_case(protocol, protocols[i].text))
				return protocols[i].speech;
		return SPEECH_BYTES;
	}
	name = span_first(name, span_index(name, '-')); /* "http", "http-metrics" */
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_equal(name, names[i].text))
			return names[i].speech;
	return SPEECH_AUTO;
}

/* ---- a service ---- */

#define PRINT(...) arena_print(&i->arena, err, __VA_ARGS__)

static void port_read(struct compile *c, struct item *i, const struct value *from, struct span address,
		      struct service_port *to, struct error *err)
{
	const char *protocol;

	to->name = value_find_string(from, "name");
	to->protocol = value_find_string(from, "protocol");
	to->port = (int)value_find_int(from, "port", 0);
	to->node_port = (int)value_find_int(from, "nodePort", 0);
	to->is_udp = span_equal(to->protocol, SPAN("UDP"));
	to->speech = speech_of(from);
	protocol = to->is_udp ? "udp" : "tcp";
	to->backend_name = PRINT(SPAN_FMT ":%d%s", SPAN_WHOLE(i->key), to->port, to->is_udp ? "/udp" : "");
	if (span_equal(to->protocol, SPAN("SCTP")))
		return;
	if (address.len) {
		to->cluster_address = PRINT(SPAN_FMT ":%d", SPAN_WHOLE(address), to->port);
		to->cluster_key = PRINT("%s " SPAN_FMT, protocol, SPAN_WHOLE(to->cluster_address));
	}
	if (to->node_port) {
		to->node_address = PRINT(SPAN_FMT ":%d", SPAN_WHOLE(c->services_address), to->node_port);
		to->node_key = PRINT("%s " SPAN_FMT, protocol, SPAN_WHOLE(to->node_address));
	}
	if (i->service->is_balancer)
		to->balancer_key = PRINT("balancer %s " SPAN_FMT " " SPAN_FMT, protocol, SPAN_WHOLE(i->uid),
					 SPAN_WHOLE(to->backend_name));
}

static int64_t affinity_of(const struct value *spec)
{
	if (!span_equal(value_find_string(spec, "sessionAffinity"), SPAN("ClientIP")))
		return 0;
	return value_find_int(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", 10800) * NS_PER_S;
}

bool service_read(struct compile *c, struct item *i, struct error *err)
{
	const struct value *spec = value_find(i->object, "spec"), *ports = value_find(spec, "ports");
	struct span type = value_find_string(spec, "type"), class = value_find_string(spec, "loadBalancerClass");
	struct span address = value_find_string(spec, "clusterIP");
	struct service *s = ARENA_NEW(&i->arena, struct service, err);
	struct sockaddr_storage ignored;

	i->service = s;
	if (!s)
		return false;
	s->is_external = span_equal(type, SPAN("ExternalName"));
	s->is_balancer =
	    span_equal(type, SPAN("LoadBalancer")) && (!class.len || span_equal(class, SPAN(COMPILE_CONTROLLER)));
	s->is_foreign = span_equal(type, SPAN("LoadBalancer")) && !s->is_balancer;
	s->is_api = span_equal(i->key, SPAN("default/kubernetes"));
	s->is_native = value_get(value_find(i->object, "metadata.annotations"), SPAN("hythe.dev/native-model")) != NULL;
	s->affinity_ns = affinity_of(spec);
	if (s->is_external)
		return true;
	if (!address_read(address, 0, &ignored)) /* "None" of headless ones */
		address = (struct span){ 0 };
	s->ports = arena_calloc(&i->arena, value_count(ports), sizeof(*s->ports), err);
	for (uint32_t n = 0; s->ports && n < value_count(ports); n++)
		port_read(c, i, value_item(ports, n), address, &s->ports[s->port_count++], err);
	return !err->code;
}

/* ---- a slice ---- */

static bool condition_is(const struct value *endpoint, const char *path, bool absent)
{
	const struct value *v = value_find(endpoint, path);

	return value_is(v, VALUE_BOOL) ? v->boolean : absent;
}

/* False: no address that can be asked. */
static bool endpoint_read(struct compile *c, struct item *i, const struct value *from, int64_t port,
			  struct plan_endpoint *to, struct error *err)
{
	const struct value *addresses = value_find(from, "addresses");
	struct span address = value_count(addresses) ? value_item(addresses, 0)->string : (struct span){ 0 };

	if (!address_read(address, (int)port, &to->address))
		return false;
	to->key = PRINT(SPAN_FMT ":%d", SPAN_WHOLE(address), (int)port);
	/* Absent: unknown, to be taken as ready. */
	to->is_ready = condition_is(from, "conditions.ready", true);
	to->is_serving = condition_is(from, "conditions.serving", to->is_ready) &&
			 condition_is(from, "conditions.terminating", false);
	if (span_equal(value_find_string(from, "targetRef.kind"), SPAN("Pod"))) {
		to->pod = value_find_string(from, "targetRef.name");
		if (c->config.sandbox)
			to->sandbox =
			    c->config.sandbox(c->config.context, value_find_string(from, "targetRef.uid"), &i->arena);
	}
	return true;
}

bool slice_read(struct compile *c, struct item *i, struct error *err)
{
	const struct value *labels = value_find(i->object, "metadata.labels"), *ports = value_find(i->object, "ports"),
			   *endpoints = value_find(i->object, "endpoints");
	const struct value *service = value_get(labels, SPAN("kubernetes.io/service-name"));
	struct slice *s = ARENA_NEW(&i->arena, struct slice, err);

	i->slice = s;
	if (!s || !value_is(service, VALUE_STRING) ||
	    !span_equal(value_find_string(i->object, "addressType"), SPAN("IPv4")))
		return s != NULL;
	s->service = key_of(i->name_space, service->string, &i->arena, err);
	s->ports = arena_calloc(&i->arena, value_count(ports), sizeof(*s->ports), err);
	for (uint32_t n = 0; s->ports && n < value_count(ports); n++) {
		struct slice_port *port = &s->ports[s->port_count];
		int64_t number = value_find_int(value_item(ports, n), "port", 0);
		size_t count = 0;

		port->name = value_find_string(value_item(ports, n), "name");
		port->is_udp = span_equal(value_find_string(value_item(ports, n), "protocol"), SPAN("UDP"));
		port->endpoints = arena_calloc(&i->arena, value_count(endpoints), sizeof(*port->endpoints), err);
		if (!port->endpoints || number <= 0 || number > UINT16_MAX)
			continue;
		for (uint32_t e = 0; e < value_count(endpoints); e++)
			count += endpoint_read(c, i, value_item(endpoints, e), number, &port->endpoints[count], err);
		s->endpoint_count = count; /* the same for each port */
		s->port_count++;
	}
	return !err->code;
}

/* ---- backends ---- */

static const struct slice_port *slice_port_find(const struct slice *s, const struct service_port *port)
{
	for (size_t i = 0; i < s->port_count; i++)
		if (s->ports[i].is_udp == port->is_udp && span_equal(s->ports[i].name, port->name))
			return &s->ports[i];
	return NULL;
}

/* The same address twice: as while its pod moves from one slice to another. The ready one is first. */
static int endpoint_order(const void *x, const void *y)
{
	const struct plan_endpoint *a = x, *b = y;
	int d = span_order(a->key, b->key);

	return d ? d : b->is_ready - a->is_ready;
}

static void endpoints_join(struct pass *p, const struct service *s, const struct service_port *port,
			   struct plan_backend *to)
{
	struct plan_endpoint *list;
	size_t total = 0, count = 0, kept = 0;

	for (const struct item *i = s->slices; i; i = i->slice->next)
		total += i->slice->endpoint_count;
	list = ARENA_ARRAY(p->arena, struct plan_endpoint, total, p->err);
	if (!list)
		return;
	for (const struct item *i = s->slices; i; i = i->slice->next) {
		const struct slice_port *from = slice_port_find(i->slice, port);

		for (size_t n = 0; from && n < i->slice->endpoint_count; n++)
			list[count++] = from->endpoints[n];
	}
	if (count)
		qsort(list, count, sizeof(*list), endpoint_order);
	for (size_t n = 0; n < count; n++)
		if (!kept || !span_equal(list[kept - 1].key, list[n].key))
			list[kept++] = list[n];
	to->endpoints = list;
	to->endpoint_count = kept;
}

static void endpoints_add(struct pass *p, const struct service *s, const struct service_port *port,
			  struct plan_backend *to)
{
	const struct slice_port *from;

	if (s->slice_count > 1) {
		endpoints_join(p, s, port, to);
		return;
	}
	from = s->slices ? slice_port_find(s->slices->slice, port) : NULL;
	if (from) {
		to->endpoints = from->endpoints;
		to->endpoint_count = s->slices->slice->endpoint_count;
	}
}

/* Behind the service kubernetes is this process, when nobody says otherwise. */
static void api_add(struct pass *p, struct plan_backend *to)
{
	struct plan_endpoint *e = ARENA_NEW(p->arena, struct plan_endpoint, p->err);
	struct span address = span_of(p->compile->config.api_address), rest = address, host = span_cut(&rest, ':');
	struct sockaddr_storage ignored;
	int64_t port;

	if (!e || !address.len)
		return;
	if (!address_read(host, 0, &ignored) || span_equal(host, SPAN("0.0.0.0")))
		host = SPAN("127.0.0.1");
	if (!number_parse_int64(rest, &port) || port <= 0 || port > UINT16_MAX)
		return;
	(void)address_read(host, (int)port, &e->address);
	e->key = arena_print(p->arena, p->err, SPAN_FMT ":%d", SPAN_WHOLE(host), (int)port);
	e->is_ready = true;
	to->endpoints = e;
	to->endpoint_count = 1;
	to->speech = SPEECH_BYTES;
}

static struct plan_backend *backend_add(struct pass *p, struct item *i, struct service_port *port)
{
	struct plan_backend *to = plan_backend(p->builder, port->backend_name);

	to->name_space = i->name_space;
	to->service = i->name;
	to->speech = port->speech;
	to->affinity_ns = i->service->affinity_ns;
	endpoints_add(p, i->service, port, to);
	if (i->service->is_native && !to->native) {
		to->native = native_of(p->compile->native, i->object);
		if (to->native)
			plan_keep(p->builder, to->native, native_release);
	}
	if (i->service->is_api && !i->service->slices)
		api_add(p, to);
	return to;
}

/* ---- entries ---- */

static void entry_add(struct pass *p, const struct item *i, const struct service_port *port, struct span key,
		      struct span address, int wanted_port)
{
	struct plan_entry *e = key.len ? plan_entry_add(p->builder, key) : NULL;

	if (!e)
		return;
	e->address = address;
	e->wanted_port = wanted_port;
	e->is_udp = port->is_udp;
	e->backend = port->backend;
	e->owner_kind = SPAN("Service");
	e->owner_namespace = i->name_space;
	e->owner_name = i->name;
	e->owner_uid = i->uid;
	e->port_name = port->name;
}

/* The port to ask for first. At the start that is what the status tells, whatever hythe wrote it; from then on what was found, or its own. */
static int balancer_port(const struct compile *c, const struct item *i, const struct service_port *port, size_t index)
{
	const struct value *list = value_find(i->object, "status.loadBalancer.ingress");
	const struct value *ports = value_count(list) ? value_find(value_item(list, 0), "ports") : NULL;
	const struct bound *b = bound_find(c, port->balancer_key);
	int64_t number = b ? b->port : 0;

	if (!c->passes && ports && value_count(ports) == i->service->port_count)
		number = value_find_int(value_item(ports, (uint32_t)index), "port", 0);
	return number > 0 && number <= UINT16_MAX ? (int)number : port->port;
}

static void service_add(struct pass *p, struct item *i)
{
	struct service *s = i->service;

	if (!s->port_count)
		return;
	item_ref(i);
	plan_keep(p->builder, i, item_unref);
	for (size_t n = 0; n < s->port_count; n++) {
		struct service_port *port = &s->ports[n];

		port->backend = backend_add(p, i, port);
		entry_add(p, i, port, port->cluster_key, port->cluster_address, 0);
		entry_add(p, i, port, port->node_key, port->node_address, 0);
		if (port->balancer_key.len)
			entry_add(
			    p, i, port, port->balancer_key,
			    arena_print(p->arena, p->err, SPAN_FMT ":0", SPAN_WHOLE(p->compile->services_address)),
			    balancer_port(p->compile, i, port, n));
	}
}

void services_add(struct pass *p)
{
	ITEMS_EACH(p->compile, SERVICES, i)
	{
		i->service->slices = NULL;
		i->service->slice_count = 0;
	}
	ITEMS_EACH(p->compile, SLICES, i)
	{
		struct item *service =
		    i->slice->service.len ? item_find(p->compile, SERVICES, i->slice->service) : NULL;

		if (!service)
			continue;
		item_ref(i);
		plan_keep(p->builder, i, item_unref);
		i->slice->next = service->service->slices;
		service->service->slices = i;
		service->service->slice_count++;
	}
	ITEMS_EACH(p->compile, SERVICES, i)
	{
		service_add(p, i);
	}
}
