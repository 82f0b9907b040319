/* SPDX-License-Identifier: Apache-2.0 */
/* compile_status - what became of Services and Ingresses, in their status; and how any status is written. */
#include "base/clock.h"
#include "base/log.h"
#include "gateway/compile_private.h"

#define STATUS_MOST    MIB(64)
#define AGAIN_FIRST_NS NS_PER_S /* after a write that failed; doubled each time */
#define AGAIN_MOST_NS  (64 * NS_PER_S)

/* ---- values ---- */

void member_set(struct value *object, const char *name, struct value v, struct arena *arena, struct error *err)
{
	if (object && !err->code)
		(void)value_set(object, span_of(name), v, arena, err);
}

struct value *member_object(struct value *object, const char *name, struct arena *arena, struct error *err)
{
	return object && !err->code ? value_ensure_object(object, span_of(name), arena, err) : NULL;
}

static struct value *condition_of(struct value *list, const char *type)
{
	for (uint32_t n = 0; n < value_count(list); n++)
		if (span_equal(value_find_string(value_item(list, n), "type"), span_of(type)))
			return value_item(list, n);
	return NULL;
}

void conditions_set(struct value *holder, const struct telling *tellings, size_t count, int64_t generation,
		    struct arena *arena, struct error *err)
{
	struct value *list = err->code ? NULL : value_ensure_array(holder, SPAN("conditions"), arena, err);

	for (size_t n = 0; list && n < count && !err->code; n++) {
		const struct telling *t = &tellings[n];
		struct span status = t->is_true ? SPAN("True") : SPAN("False");
		struct value *one = condition_of(list, t->type);
		struct span before = value_find_string(one, "status");
		char now[CLOCK_TEXT_SIZE];

		if (!one)
			one = value_append(list, value_object(), arena, err);
		member_set(one, "type", value_string(span_of(t->type)), arena, err);
		member_set(one, "status", value_string(status), arena, err);
		member_set(one, "observedGeneration", value_int(generation), arena, err);
		if (!span_equal(before, status)) {
			/* Conditions have whole seconds. */
			struct span time =
			    span_from(now, clock_print_rfc3339(clock_wall_ns() / NS_PER_S * NS_PER_S, now));

			member_set(one, "lastTransitionTime", value_string(arena_copy(arena, time, err)), arena, err);
		}
		member_set(one, "reason", value_string(span_of(t->reason)), arena, err);
		member_set(one, "message", value_string(arena_copy(arena, t->message, err)), arena, err);
	}
}

void conditions_drop(struct value *list, const char *type)
{
	for (uint32_t n = value_count(list); n-- > 0;)
		if (span_equal(value_find_string(value_item(list, n), "type"), span_of(type)))
			value_remove_item(list, n);
}

/* ---- writing ---- */

struct value *object_now(struct compile *c, const struct item *i, struct arena *arena)
{
	struct record *record = cluster_get(c->config.cluster, i->resource, i->name_space, i->name);
	struct error ignored = { 0 };

	return record ? cluster_object(c->config.cluster, i->resource, record, arena, &ignored) : NULL;
}

/* All is told anew where it differs from what is there. */
static void again(struct timer *t)
{
	static const enum kinds told[] = { SERVICES, INGRESSES, GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES, GRPC_ROUTES };
	struct compile *c = CONTAINER_OF(t, struct compile, again_timer);

	for (size_t n = 0; n < ARRAY_LEN(told); n++)
		ITEMS_EACH(c, told[n], i)
		{
			i->told = 0;
		}
	compile_wake(c);
}

static void written(void *context, const struct value *object, const struct error *err)
{
	struct following *f = context;
	struct compile *c = f->compile;

	(void)object;
	if (!err || !err->code)
		c->failures = 0;
	/* Another version comes, and is looked at anew; or it is gone. */
	if (!err || !err->code || err->code == ERROR_CONFLICT || err->code == ERROR_NOT_FOUND ||
	    err->code == ERROR_ALREADY_EXISTS)
		return;
	log_warn("gateway", "an object cannot be written", LOG_TEXT("kind", f->resource->kind),
		 LOG_TEXT("error", err->message));
	if (c->is_stopped || timer_is_set(&c->again_timer))
		return;
	loop_timer_set(c->config.loop, &c->again_timer,
		       loop_now(c->config.loop) + MIN(AGAIN_FIRST_NS << MIN(c->failures, 6U), AGAIN_MOST_NS), again);
	c->failures++;
}

static struct following *following_of(struct compile *c, const struct resource *r)
{
	struct following *f = c->followings;

	while (f->resource != r)
		f++;
	return f;
}

void object_status_write(struct compile *c, const struct item *i, struct value *object)
{
	struct cluster_write w = { .resource = i->resource,
				   .verb = KUBE_UPDATE,
				   .subresource = SPAN("status"),
				   .name_space = i->name_space,
				   .name = i->name,
				   .manager = SPAN(COMPILE_COMPONENT),
				   .object = object,
				   .grace = -1,
				   .done = written,
				   .context = following_of(c, i->resource) };

	cluster_write(c->config.cluster, &w);
}

void object_replace(struct compile *c, const struct item *i, struct value *object)
{
	struct cluster_write w = { .resource = i->resource,
				   .verb = KUBE_UPDATE,
				   .name_space = i->name_space,
				   .name = i->name,
				   .manager = SPAN(COMPILE_COMPONENT),
				   .object = object,
				   .grace = -1,
				   .done = written,
				   .context = following_of(c, i->resource) };

	cluster_write(c->config.cluster, &w);
}

void object_create(struct compile *c, const struct resource *r, struct span name_space, struct span name,
		   struct value *object)
{
	struct cluster_write w = { .resource = r,
				   .verb = KUBE_CREATE,
				   .name_space = name_space,
				   .name = name,
				   .manager = SPAN(COMPILE_COMPONENT),
				   .object = object,
				   .grace = -1,
				   .done = written,
				   .context = following_of(c, r) };

	cluster_write(c->config.cluster, &w);
}

/* ---- load balancers ---- */

/* A number for what is to be told; 0: nothing is known yet. */
static uint64_t balancer_hash(struct compile *c, const struct item *i, bool *ret_any)
{
	uint64_t hash = 1;

	*ret_any = false;
	for (size_t n = 0; n < i->service->port_count; n++) {
		const struct service_port *port = &i->service->ports[n];
		const struct bound *b = port->balancer_key.len ? bound_find(c, port->balancer_key) : NULL;

		if (port->balancer_key.len && !b)
			return 0;
		*ret_any = *ret_any || (b && b->port);
		hash = (hash ^ (uint64_t)(b ? b->port : 0)) * UINT64_C(0x100000001b3);
	}
	return hash ? hash : 1;
}

static struct value balancer_make(struct compile *c, const struct item *i, struct arena *arena, struct error *err)
{
	struct value list = value_array(), ingress = value_object(), balancer = value_object(), ports = value_array();

	for (size_t n = 0; n < i->service->port_count; n++) {
		const struct service_port *port = &i->service->ports[n];
		const struct bound *b = port->balancer_key.len ? bound_find(c, port->balancer_key) : NULL;
		bool is_open = b && b->port;
		struct value one = value_object();

		member_set(&one, "port", value_int(is_open ? b->port : port->port), arena, err);
		member_set(&one, "protocol", value_string(port->protocol), arena, err);
		if (!is_open)
			member_set(&one, "error", value_string(SPAN("hythe.dev/NotListening")), arena, err);
		(void)value_append(&ports, one, arena, err);
	}
	member_set(&ingress, "ip", value_string(c->shown_address), arena, err);
	member_set(&ingress, "ipMode", value_string(SPAN("Proxy")), arena, err);
	member_set(&ingress, "ports", ports, arena, err);
	(void)value_append(&list, ingress, arena, err);
	member_set(&balancer, "ingress", list, arena, err);
	return balancer;
}

/* Where another port than the service's own was found, in words. */
static void balancer_event(struct compile *c, const struct item *i)
{
	struct buffer text;

	buffer_init(&text, KIB(4));
	for (size_t n = 0; n < i->service->port_count; n++) {
		const struct service_port *port = &i->service->ports[n];
		const struct bound *b = port->balancer_key.len ? bound_find(c, port->balancer_key) : NULL;

		if (b && b->port && b->port != port->port)
			buffer_print(&text, "%sport %d is taken or not allowed: listens on " SPAN_FMT ":%d",
				     text.len ? "; " : "", port->port, SPAN_ARG(c->shown_address), b->port);
	}
	buffer_byte(&text, '\0');
	if (text.len > 1 && !text.overflow)
		cluster_event(c->config.cluster, i->object, "Normal", "OtherPort", COMPILE_COMPONENT, text.ptr);
	else
		cluster_event(c->config.cluster, i->object, "Normal", "EnsuredLoadBalancer", COMPILE_COMPONENT,
			      "Ensured load balancer");
	buffer_done(&text);
}

static void balancer_write(struct compile *c, struct item *i, const struct value *balancer, struct arena *arena)
{
	struct value *object = object_now(c, i, arena);
	struct error err = { 0 };
	struct value *status = object ? value_ensure_object(object, SPAN("status"), arena, &err) : NULL;

	member_set(status, "loadBalancer", *balancer, arena, &err);
	if (status && !err.code)
		object_status_write(c, i, object);
}

static void service_tell(struct compile *c, struct item *i)
{
	const struct value *before = value_find(i->object, "status.loadBalancer");
	struct error err = { 0 };
	bool any, is_balancer = i->service->is_balancer;
	uint64_t hash = is_balancer ? balancer_hash(c, i, &any) : 1;
	struct arena arena;
	struct value now;

	if (!hash || hash == i->told)
		return;
	i->told = hash;
	arena_init(&arena, STATUS_MOST);
	now = is_balancer && any ? balancer_make(c, i, &arena, &err) : value_object();
	if (!err.code && !(value_is_empty(before) && value_is_empty(&now)) && !(before && value_equal(before, &now))) {
		balancer_write(c, i, &now, &arena);
		if (is_balancer && any)
			balancer_event(c, i);
	}
	arena_done(&arena);
}

void services_tell(struct compile *c)
{
	ITEMS_EACH(c, SERVICES, i)
	{
		if (!i->service->is_foreign)
			service_tell(c, i);
	}
}

/* ---- Ingresses ---- */

/* The address of the shared entries, with their ports. */
static struct value ingress_balancer(struct compile *c, const struct item *i, struct arena *arena, struct error *err)
{
	struct value list = value_array(), ingress = value_object(), balancer = value_object(), ports = value_array();
	const int numbers[] = { c->port, i->ingress->secret_count ? c->tls_port : 0 };

	for (size_t n = 0; n < ARRAY_LEN(numbers); n++) {
		struct value one = value_object();

		if (!numbers[n])
			continue;
		member_set(&one, "port", value_int(numbers[n]), arena, err);
		member_set(&one, "protocol", value_string(SPAN("TCP")), arena, err);
		(void)value_append(&ports, one, arena, err);
	}
	member_set(&ingress, "ip", value_string(c->address_shown), arena, err);
	member_set(&ingress, "ports", ports, arena, err);
	(void)value_append(&list, ingress, arena, err);
	member_set(&balancer, "ingress", list, arena, err);
	return balancer;
}

static void ingress_tell(struct compile *c, struct item *i)
{
	const struct value *before = value_find(i->object, "status.loadBalancer");
	struct error err = { 0 };
	struct arena arena;
	struct value now;

	if (i->told || !c->port)
		return;
	i->told = 1;
	arena_init(&arena, STATUS_MOST);
	now = ingress_balancer(c, i, &arena, &err);
	if (!err.code && !(before && value_equal(before, &now)))
		balancer_write(c, i, &now, &arena);
	arena_done(&arena);
}

void ingresses_tell(struct compile *c)
{
	ITEMS_EACH(c, INGRESSES, i)
	{
		if (ingress_is_ours(c, i))
			ingress_tell(c, i);
	}
}
