/* SPDX-License-Identifier: Apache-2.0 */
/* compile_gateway_status - what became of GatewayClasses, Gateways and their routes, in their status. */
#include "gateway/compile_private.h"

#define STATUS_MOST MIB(64)

/* ---- classes ---- */

static void class_tell(struct compile *c, struct item *i)
{
	static const struct telling accepted = {
		"Accepted", true, "Accepted", { "hythe listens for Gateways of this class", 40 }
	};
	struct error err = { 0 };
	struct arena arena;
	struct value *object, *status, before = value_null();

	if (i->told || !class_is_ours(i))
		return;
	i->told = 1;
	arena_init(&arena, STATUS_MOST);
	object = object_now(c, i, &arena);
	status = object ? value_ensure_object(object, SPAN("status"), &arena, &err) : NULL;
	if (status && value_copy(status, &arena, &before, &err)) {
		conditions_set(status, &accepted, 1, i->generation, &arena, &err);
		if (!err.code && !value_equal(status, &before))
			object_status_write(c, i, object);
	}
	arena_done(&arena);
}

/* ---- gateways ---- */

static uint64_t hash_text(uint64_t hash, const char *reason, struct span text)
{
	return (hash ^ span_hash(span_of(reason ? reason : "")) ^ (span_hash(text) << 1)) *
	       UINT64_C(0x9e3779b97f4a7c15);
}

/* Why the listener's socket does not listen; NULL: it does. *ret_reason too: of a condition. */
static const char *listener_fault(struct compile *c, const struct listener *l, const char **ret_reason)
{
	const struct bound *b = l->on ? bound_find(c, l->on->key) : NULL;

	*ret_reason = "Invalid";
	if (!l->on)
		return "the listener is not accepted";
	if (l->on->is_refused)
		return "another entry has the port";
	if (l->unresolved && l->on->is_tls && !l->on->use_count)
		return "there is no certificate to show";
	if (l->on->is_shared && !l->on->is_tls) /* the program does not start without it */
		return NULL;
	*ret_reason = "Pending";
	if (!b)
		return plan_entry_find(c->plan, l->on->key) ? "it is about to listen"
							    : "there is no certificate to show";
	*ret_reason = "Invalid";
	return b->port ? NULL : b->error.message;
}

static bool is_programmed(struct compile *c, const struct listener *l)
{
	const char *reason;

	return listener_fault(c, l, &reason) == NULL;
}

static void listener_conditions(struct compile *c, const struct listener *l, int64_t generation, struct value *to,
				struct arena *arena, struct error *err)
{
	const char *reason, *fault = listener_fault(c, l, &reason);
	bool is_conflict =
	    l->refused && (strcmp(l->refused, "ProtocolConflict") == 0 || strcmp(l->refused, "HostnameConflict") == 0);
	const struct telling list[] = {
		{ "Accepted", !l->refused, l->refused ? l->refused : "Accepted", l->refused_text },
		{ "Conflicted", is_conflict, is_conflict ? l->refused : "NoConflicts",
		  is_conflict ? l->refused_text : (struct span){ 0 } },
		{ "ResolvedRefs", !l->unresolved, l->unresolved ? l->unresolved : "ResolvedRefs", l->unresolved_text },
		{ "Programmed", !fault, fault ? reason : "Programmed", span_of(fault ? fault : "") },
	};

	conditions_set(to, list, ARRAY_LEN(list), generation, arena, err);
}

static const struct value *listener_before(const struct value *status, struct span name)
{
	const struct value *list = value_find(status, "listeners");

	for (uint32_t n = 0; n < value_count(list); n++)
		if (span_equal(value_find_string(value_item(list, n), "name"), name))
			return value_item(list, n);
	return NULL;
}

static void kind_append(struct value *list, const char *kind, struct arena *arena, struct error *err)
{
	struct value one = value_object();

	member_set(&one, "group", value_string(SPAN("gateway.networking.k8s.io")), arena, err);
	member_set(&one, "kind", value_string(span_of(kind)), arena, err);
	(void)value_append(list, one, arena, err);
}

static struct value listener_make(struct compile *c, const struct listener *l, const struct value *status,
				  int64_t generation, struct arena *arena, struct error *err)
{
	const struct value *before = listener_before(status, l->name);
	struct value one = value_object(), kinds = value_array(), conditions = value_array();

	member_set(&one, "name", value_string(l->name), arena, err);
	if (l->takes_http)
		kind_append(&kinds, "HTTPRoute", arena, err);
	if (l->takes_grpc)
		kind_append(&kinds, "GRPCRoute", arena, err);
	member_set(&one, "supportedKinds", kinds, arena, err);
	member_set(&one, "attachedRoutes", value_int(l->attached), arena, err);
	if (value_find(before, "conditions") && !value_copy(value_find(before, "conditions"), arena, &conditions, err))
		return one;
	member_set(&one, "conditions", conditions, arena, err);
	listener_conditions(c, l, generation, &one, arena, err);
	return one;
}

static uint64_t gateway_hash(struct compile *c, const struct gateway_state *g)
{
	uint64_t hash = 7;

	for (size_t n = 0; n < g->count; n++) {
		const struct listener *l = &g->listeners[n];
		const char *reason, *fault = listener_fault(c, l, &reason);

		hash = hash_text(hash, l->refused, l->refused_text) + (uint64_t)l->attached;
		hash = hash_text(hash, l->unresolved, l->unresolved_text);
		hash = hash_text(hash, reason, span_of(fault ? fault : ""));
	}
	return hash ? hash : 1;
}

static void gateway_conditions(struct compile *c, const struct gateway_state *g, struct value *status,
			       struct arena *arena, struct error *err)
{
	size_t accepted = 0, programmed = 0;
	struct telling list[2];

	for (size_t n = 0; n < g->count; n++) {
		accepted += !g->listeners[n].refused;
		programmed += is_programmed(c, &g->listeners[n]);
	}
	list[0] = (struct telling){ "Accepted", accepted > 0, accepted == g->count ? "Accepted" : "ListenersNotValid",
				    span_of(accepted == g->count ? "" : "not all listeners are accepted") };
	list[1] = (struct telling){ "Programmed", programmed > 0, programmed ? "Programmed" : "Pending",
				    span_of(programmed ? "" : "no listener listens") };
	conditions_set(status, list, ARRAY_LEN(list), g->item->generation, arena, err);
}

static void gateway_tell(struct compile *c, const struct gateway_state *g)
{
	struct value *object, *status, before = value_null(), listeners = value_array(), addresses = value_array(),
				       address = value_object();
	uint64_t hash = gateway_hash(c, g);
	struct error err = { 0 };
	struct arena arena;

	if (g->item->told == hash)
		return;
	g->item->told = hash;
	arena_init(&arena, STATUS_MOST);
	object = object_now(c, g->item, &arena);
	status = object ? value_ensure_object(object, SPAN("status"), &arena, &err) : NULL;
	if (status && value_copy(status, &arena, &before, &err)) {
		member_set(&address, "type", value_string(SPAN("IPAddress")), &arena, &err);
		member_set(&address, "value", value_string(g->is_shared ? c->address_shown : c->shown_address), &arena,
			   &err);
		(void)value_append(&addresses, address, &arena, &err);
		member_set(status, "addresses", addresses, &arena, &err);
		gateway_conditions(c, g, status, &arena, &err);
		for (size_t n = 0; n < g->count; n++)
			(void)value_append(
			    &listeners, listener_make(c, &g->listeners[n], &before, g->item->generation, &arena, &err),
			    &arena, &err);
		member_set(status, "listeners", listeners, &arena, &err);
		if (!err.code && !value_equal(status, &before))
			object_status_write(c, g->item, object);
	}
	arena_done(&arena);
}

/* ---- routes ---- */

static uint64_t route_hash(const struct route_state *s)
{
	uint64_t hash = hash_text(11 + s->parent_count, s->resolved.reason, s->resolved.message);

	for (size_t n = 0; n < s->parent_count; n++)
		hash = hash_text(hash, s->parents[n].refused, s->parents[n].text);
	return hash ? hash : 1;
}

static bool is_ours(const struct value *parent)
{
	return span_equal(value_find_string(parent, "controllerName"), SPAN(COMPILE_CONTROLLER));
}

static const struct value *parent_before(const struct value *status, const struct value *ref)
{
	const struct value *list = value_find(status, "parents");

	for (uint32_t n = 0; n < value_count(list); n++) {
		const struct value *there = value_find(value_item(list, n), "parentRef");

		if (is_ours(value_item(list, n)) && there && value_equal(there, ref))
			return value_item(list, n);
	}
	return NULL;
}

static struct value parent_make(const struct route_state *s, const struct parent_state *parent,
				const struct value *status, struct arena *arena, struct error *err)
{
	const struct value *before = parent_before(status, parent->parent->object);
	const struct route_rules *r = s->item->route;
	struct value one = value_object(), ref = value_null(), conditions = value_array();
	const struct telling list[] = {
		{ "Accepted", !parent->refused, parent->refused ? parent->refused : "Accepted", parent->text },
		{ "ResolvedRefs", !s->resolved.reason, s->resolved.reason ? s->resolved.reason : "ResolvedRefs",
		  s->resolved.message },
		{ "PartiallyInvalid", true, "UnsupportedValue",
		  arena_print(arena, err, "Dropped Rule: " SPAN_FMT, SPAN_ARG(r->unsupported)) },
	};
	bool is_partial = r->unsupported.len && r->rule_count;

	if (value_copy(parent->parent->object, arena, &ref, err))
		member_set(&one, "parentRef", ref, arena, err);
	member_set(&one, "controllerName", value_string(SPAN(COMPILE_CONTROLLER)), arena, err);
	if (value_find(before, "conditions") && !value_copy(value_find(before, "conditions"), arena, &conditions, err))
		return one;
	member_set(&one, "conditions", conditions, arena, err);
	conditions_set(&one, list, is_partial ? 3 : 2, s->item->generation, arena, err);
	if (!is_partial)
		conditions_drop(value_get(&one, SPAN("conditions")), "PartiallyInvalid");
	return one;
}

static void parents_set(const struct route_state *s, struct value *status, const struct value *before,
			struct arena *arena, struct error *err)
{
	const struct value *old = value_find(before, "parents");
	struct value list = value_array();

	for (uint32_t n = 0; n < value_count(old); n++) /* other controllers' stay */
		if (!is_ours(value_item(old, n)))
			(void)value_append(&list, *value_item(old, n), arena, err);
	for (size_t n = 0; n < s->parent_count; n++)
		(void)value_append(&list, parent_make(s, &s->parents[n], before, arena, err), arena, err);
	member_set(status, "parents", list, arena, err);
}

static void route_tell(struct compile *c, const struct route_state *s)
{
	struct value *object, *status, before = value_null();
	uint64_t hash = route_hash(s);
	struct error err = { 0 };
	struct arena arena;

	if (s->item->told == hash)
		return;
	s->item->told = hash;
	if (!s->parent_count && !value_count(value_find(s->item->object, "status.parents")))
		return;
	arena_init(&arena, STATUS_MOST);
	object = object_now(c, s->item, &arena);
	status = object ? value_ensure_object(object, SPAN("status"), &arena, &err) : NULL;
	if (status && value_copy(status, &arena, &before, &err)) {
		parents_set(s, status, &before, &arena, &err);
		if (!err.code && !value_equal(status, &before))
			object_status_write(c, s->item, object);
	}
	arena_done(&arena);
}

/* ---- all ---- */

void gateways_tell(struct pass *p)
{
	ITEMS_EACH(p->compile, GATEWAY_CLASSES, i)
	{
		class_tell(p->compile, i);
	}
	for (const struct gateway_state *g = p->gateways; g; g = g->next)
		gateway_tell(p->compile, g);
	for (const struct route_state *s = p->routes; s; s = s->next)
		route_tell(p->compile, s);
}
