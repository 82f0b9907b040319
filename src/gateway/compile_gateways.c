/* SPDX-License-Identifier: Apache-2.0 */
/* compile_gateways - Gateways of our classes: their listeners become tables and entries; which routes belong to which listener. */
#include <stdlib.h>

#include "gateway/compile_private.h"

#define SAY(...) arena_print(&p->scratch, p->err, __VA_ARGS__)

bool gateway_is_shared(const struct item *i)
{
	return span_equal(i->key, SPAN("kube-system/" COMPILE_GATEWAY));
}

bool class_is_ours(const struct item *class)
{
	return span_equal(value_find_string(class->object, "spec.controllerName"), SPAN(COMPILE_CONTROLLER));
}

static bool gateway_is_ours(struct pass *p, const struct item *i)
{
	struct span class = value_find_string(i->object, "spec.gatewayClassName");
	const struct item *found =
	    item_find(p->compile, GATEWAY_CLASSES, key_of((struct span){ 0 }, class, &p->scratch, p->err));

	return found && class_is_ours(found);
}

/* ---- listeners ---- */

static void refuse(struct listener *l, const char *reason, struct span text)
{
	l->refused = reason;
	l->refused_text = text;
}

static struct listener_port *port_add(struct pass *p, struct gateway_state *g, const struct listener *l, bool is_tls)
{
	struct compile *c = p->compile;
	struct listener_port *port = ARENA_NEW(&p->scratch, struct listener_port, p->err);

	if (!port)
		return NULL;
	port->next = p->ports;
	p->ports = port;
	port->owner = g->item;
	port->port = l->port;
	port->is_tls = is_tls;
	port->is_shared = g->is_shared && (is_tls ? p->tls_table != NULL : c->address.len != 0);
	port->table = !port->is_shared ? plan_table_add(p->builder) : is_tls ? p->tls_table : p->main_table;
	port->address = arena_print(p->arena, p->err, SPAN_FMT ":%d", SPAN_WHOLE(c->services_address), l->port);
	if (port->is_shared)
		port->address = is_tls ? c->tls_address : c->address;
	port->key = arena_print(p->arena, p->err, "tcp " SPAN_FMT, SPAN_WHOLE(port->address));
	return port;
}

/* The port's, new or as a listener before it had it. NULL: refused. */
static struct listener_port *port_of(struct pass *p, struct gateway_state *g, struct listener *l, bool is_tls)
{
	for (struct listener_port *port = p->ports; port; port = port->next) {
		/* The shared Gateway's ports are those of the program's flags, whatever numbers it has. */
		if (port->is_shared ? !(g->is_shared && port->is_tls == is_tls) : port->port != l->port)
			continue;
		if (port->owner == g->item && port->is_tls == is_tls)
			return port;
		refuse(l, port->owner == g->item ? "ProtocolConflict" : "PortUnavailable",
		       SAY("port %d has listeners of %s already", l->port,
			   port->owner == g->item ? "another protocol" : "another Gateway"));
		return NULL;
	}
	return port_add(p, g, l, is_tls);
}

static void secrets_of(struct pass *p, const struct gateway_state *g, struct listener *l)
{
	const struct value *refs = value_find(l->from, "tls.certificateRefs");
	struct listener_port *port = l->on;

	for (uint32_t n = 0; n < value_count(refs); n++) {
		const struct value *ref = value_item(refs, n);
		struct span space = value_find_string(ref, "namespace"), name = value_find_string(ref, "name"), key;
		const char *fault;

		space = space.len ? space : g->item->name_space;
		key = key_of(space, name, p->arena, p->err);
		fault = value_find_string(ref, "group").len ||
				(value_find(ref, "kind") && !span_equal(value_find_string(ref, "kind"), SPAN("Secret")))
			    ? "is not a Secret"
			    : secret_fault(p->compile, key);
		if (!grant_is_given(p->compile, g->item->resource, g->item->name_space, "", "Secret", space, name)) {
			l->unresolved = "RefNotPermitted";
			l->unresolved_text = SAY("no ReferenceGrant allows Secret \"" SPAN_FMT "\"", SPAN_ARG(key));
		} else if (fault) {
			l->unresolved = "InvalidCertificateRef";
			l->unresolved_text = SAY("Secret \"" SPAN_FMT "\" %s", SPAN_ARG(key), fault);
		} else {
			if (port->use_count == port->use_most) {
				size_t most = port->use_most ? port->use_most * 2 : 8;
				struct secret_use *larger = ARENA_ARRAY(p->arena, struct secret_use, most, p->err);

				if (!larger)
					return;
				if (port->use_count)
					memcpy(larger, port->uses, port->use_count * sizeof(*larger));
				port->uses = larger;
				port->use_most = most;
			}
			port->uses[port->use_count++] = (struct secret_use){ key, l->host };
		}
	}
}

static void kinds_read(struct listener *l)
{
	const struct value *kinds = value_find(l->from, "allowedRoutes.kinds");

	l->takes_http = l->takes_grpc = !value_count(kinds);
	for (uint32_t n = 0; n < value_count(kinds); n++) {
		const struct value *kind = value_item(kinds, n);
		struct span name = value_find_string(kind, "kind");
		bool is_group = !value_find(kind, "group") ||
				span_equal(value_find_string(kind, "group"), SPAN("gateway.networking.k8s.io"));

		if (is_group && span_equal(name, SPAN("HTTPRoute"))) {
			l->takes_http = true;
		} else if (is_group && span_equal(name, SPAN("GRPCRoute"))) {
			l->takes_grpc = true;
		} else {
			l->unresolved = "InvalidRouteKinds";
			l->unresolved_text = SPAN("listeners take HTTPRoute and GRPCRoute");
		}
	}
}

static void listener_read(struct pass *p, struct gateway_state *g, const struct value *from, struct listener *l)
{
	bool is_tls;

	l->from = from;
	l->name = value_find_string(from, "name");
	l->host = lowered(value_find_string(from, "hostname"), p->arena, p->err);
	l->protocol = value_find_string(from, "protocol");
	l->port = (int)value_find_int(from, "port", 0);
	is_tls = span_equal(l->protocol, SPAN("HTTPS"));
	kinds_read(l);
	if (!is_tls && !span_equal(l->protocol, SPAN("HTTP"))) {
		refuse(l, "UnsupportedProtocol",
		       SAY("protocol \"" SPAN_FMT "\" is not known here: HTTP and HTTPS are", SPAN_ARG(l->protocol)));
		return;
	}
	if (is_tls && span_equal(value_find_string(from, "tls.mode"), SPAN("Passthrough"))) {
		refuse(l, "UnsupportedProtocol", SPAN("TLS is ended here: mode Passthrough is not known"));
		return;
	}
	for (const struct listener *o = g->listeners; o < l; o++) {
		if (o->on && o->port == l->port && span_equal(o->host, l->host) &&
		    span_equal(o->protocol, l->protocol)) {
			refuse(l, "HostnameConflict",
			       SAY("listener \"" SPAN_FMT "\" has the same port and hostname", SPAN_ARG(o->name)));
			return;
		}
	}
	l->on = port_of(p, g, l, is_tls);
	if (l->on && is_tls)
		secrets_of(p, g, l);
}

static void gateway_add(struct pass *p, struct item *i)
{
	const struct value *list = value_find(i->object, "spec.listeners");
	struct gateway_state *g = ARENA_NEW(&p->scratch, struct gateway_state, p->err);

	if (!g)
		return;
	item_ref(i);
	plan_keep(p->builder, i, item_unref);
	g->item = i;
	g->is_shared = gateway_is_shared(i);
	g->listeners = arena_calloc(&p->scratch, value_count(list), sizeof(*g->listeners), p->err);
	for (uint32_t n = 0; g->listeners && n < value_count(list); n++)
		listener_read(p, g, value_item(list, n), &g->listeners[g->count++]);
	g->next = p->gateways;
	p->gateways = g;
}

/* The shared one, then the older first: it keeps a port that two want. */
static int gateway_order(const void *x, const void *y)
{
	const struct item *a = *(struct item *const *)x, *b = *(struct item *const *)y;

	if (gateway_is_shared(a) != gateway_is_shared(b))
		return gateway_is_shared(b) - gateway_is_shared(a);
	if (a->made_ns != b->made_ns)
		return (a->made_ns > b->made_ns) - (a->made_ns < b->made_ns);
	return strcmp(a->key.ptr, b->key.ptr);
}

void tables_add(struct pass *p)
{
	const struct items *all = &p->compile->followings[GATEWAYS].items;
	struct item **list = ARENA_ARRAY(&p->scratch, struct item *, all->count, p->err);
	size_t count = 0;

	p->main_table = plan_table_add(p->builder);
	p->tls_table = p->compile->tls_address.len ? plan_table_add(p->builder) : NULL;
	if (!list)
		return;
	ITEMS_EACH(p->compile, GATEWAYS, i)
	{
		if (gateway_is_ours(p, i))
			list[count++] = i;
	}
	if (count)
		qsort(list, count, sizeof(*list), gateway_order);
	for (size_t n = 0; n < count; n++)
		gateway_add(p, list[n]);
}

/* ---- which routes a listener takes ---- */

static bool expression_takes(const struct value *e, const struct value *labels)
{
	struct span key = value_find_string(e, "key"), operator= value_find_string(e, "operator");
	const struct value *value = value_get(labels, key), *values = value_find(e, "values");
	bool is_in = false;

	for (uint32_t n = 0; value_is(value, VALUE_STRING) && n < value_count(values); n++)
		is_in = is_in || span_equal(value_item(values, n)->string, value->string);
	if (span_equal(operator, SPAN("In")))
		return is_in;
	if (span_equal(operator, SPAN("NotIn")))
		return !is_in;
	return span_equal(operator, SPAN("Exists")) == (value != NULL);
}

static bool selector_object_takes(const struct value *selector, const struct value *labels)
{
	const struct value *map = value_find(selector, "matchLabels"), *list = value_find(selector, "matchExpressions");

	for (uint32_t n = 0; value_is(map, VALUE_OBJECT) && n < map->object.count; n++) {
		const struct value *value = value_get(labels, map->object.members[n].key);

		if (!value_is(value, VALUE_STRING) || !value_equal(value, &map->object.members[n].value))
			return false;
	}
	for (uint32_t n = 0; n < value_count(list); n++)
		if (!expression_takes(value_item(list, n), labels))
			return false;
	return true;
}

static bool namespace_is_allowed(struct pass *p, const struct gateway_state *g, const struct listener *l,
				 struct span name_space)
{
	struct span from = value_find_string(l->from, "allowedRoutes.namespaces.from");
	const struct item *space;

	if (span_equal(from, SPAN("All")))
		return true;
	if (!span_equal(from, SPAN("Selector")))
		return span_equal(name_space, g->item->name_space);
	space = item_find(p->compile, NAMESPACES, key_of((struct span){ 0 }, name_space, &p->scratch, p->err));
	return space && selector_object_takes(value_find(l->from, "allowedRoutes.namespaces.selector"),
					      value_find(space->object, "metadata.labels"));
}

/* Does the name (which may be a wildcard) take all that the other one takes? */
static bool host_covers(struct span name, struct span other)
{
	if (!name.len || span_equal(name, other))
		return true;
	return span_starts(name, SPAN("*.")) && other.len > name.len - 1 && span_ends(other, span_skip(name, 1));
}

/* What both take; false: nothing. */
static bool hosts_meet(struct span a, struct span b, struct span *ret)
{
	if (!host_covers(a, b) && !host_covers(b, a))
		return false;
	*ret = host_covers(a, b) ? b : a;
	return true;
}

/* Another listener of the port says more about this host: what comes for it is that one's. */
static bool is_of_another(const struct gateway_state *g, const struct listener *l, struct span host)
{
	for (size_t n = 0; n < g->count; n++) {
		const struct listener *o = &g->listeners[n];

		if (o != l && o->on == l->on && o->host.len > l->host.len && host_covers(o->host, host))
			return true;
	}
	return false;
}

static void rules_place(struct pass *p, const struct listener *l, const struct route_rules *r, struct span host,
			const struct plan_route *const *made)
{
	for (size_t n = 0; n < r->rule_count; n++)
		for (size_t m = 0; made[n] && m < r->rules[n].match_count && !p->err->code; m++)
			(void)plan_route_add(p->builder, l->on->table, host, &r->rules[n].matches[m], made[n], p->err);
}

/* False: none of its hosts is the listener's. */
static bool listener_attach(struct pass *p, const struct gateway_state *g, struct listener *l,
			    const struct route_rules *r, const struct plan_route *const *made)
{
	bool any = false;

	for (size_t n = 0; n < MAX(r->host_count, 1); n++) {
		struct span host, wanted = r->host_count ? r->hosts[n] : (struct span){ 0 };

		if (!hosts_meet(l->host, wanted, &host))
			continue;
		any = true;
		if (!is_of_another(g, l, host))
			rules_place(p, l, r, host, made);
	}
	l->attached += any;
	return any;
}

enum attached { NO_LISTENER, NOT_ALLOWED, NO_HOST, ATTACHED };

static enum attached gateway_attach(struct pass *p, const struct gateway_state *g, const struct parent *parent,
				    const struct item *i, const struct plan_route *const *made)
{
	enum attached best = NO_LISTENER, one;

	for (size_t n = 0; n < g->count; n++) {
		struct listener *l = &g->listeners[n];

		if (!l->on || (parent->section.len && !span_equal(parent->section, l->name)) ||
		    (parent->port && parent->port != l->port))
			continue;
		if (!(i->route->is_grpc ? l->takes_grpc : l->takes_http) ||
		    !namespace_is_allowed(p, g, l, i->name_space))
			one = NOT_ALLOWED;
		else
			one = listener_attach(p, g, l, i->route, made) ? ATTACHED : NO_HOST;
		best = MAX(best, one);
	}
	return best;
}

static const struct gateway_state *gateway_of(const struct pass *p, const struct parent *parent)
{
	const struct gateway_state *g = p->gateways;

	if (!span_equal(parent->group, SPAN("gateway.networking.k8s.io")) || !span_equal(parent->kind, SPAN("Gateway")))
		return NULL;
	while (g && !(span_equal(g->item->name, parent->name) && span_equal(g->item->name_space, parent->name_space)))
		g = g->next;
	return g;
}

static void parent_tell(struct pass *p, const struct parent *parent, enum attached how, const struct item *i,
			struct parent_state *to)
{
	static const struct {
		const char *reason, *text;
	} reasons[] = {
		[NO_LISTENER] = { "NoMatchingParent", "the Gateway has no such listener" },
		[NOT_ALLOWED] = { "NotAllowedByListeners",
				  "the Gateway's listeners do not take this route's kind or namespace" },
		[NO_HOST] = { "NoMatchingListenerHostname", "none of the hostnames is a listener's" },
		[ATTACHED] = { NULL, "" },
	};

	to->parent = parent;
	to->refused = reasons[how].reason;
	to->text = span_of(reasons[how].text);
	if (!to->refused && i->route->unsupported.len && !i->route->rule_count) {
		to->refused = "UnsupportedValue";
		to->text = i->route->unsupported;
	}
	(void)p;
}

static void route_add(struct pass *p, struct item *i)
{
	struct route_rules *r = i->route;
	struct route_state *s = ARENA_NEW(&p->scratch, struct route_state, p->err);
	const struct plan_route **made = arena_calloc(&p->scratch, r->rule_count, sizeof(*made), p->err);
	bool is_made = false;

	if (!s || !made)
		return;
	s->item = i;
	s->parents = arena_calloc(&p->scratch, r->parent_count, sizeof(*s->parents), p->err);
	for (size_t n = 0; s->parents && n < r->parent_count; n++) {
		const struct gateway_state *g = gateway_of(p, &r->parents[n]);

		if (!g)
			continue;
		for (size_t k = 0; !is_made && k < r->rule_count; k++)
			made[k] = rule_make(p, i, &r->rules[k], i->made_ns, &s->resolved);
		is_made = true;
		parent_tell(p, &r->parents[n], gateway_attach(p, g, &r->parents[n], i, made), i,
			    &s->parents[s->parent_count++]);
	}
	if (is_made) {
		item_ref(i);
		plan_keep(p->builder, i, item_unref);
	}
	s->next = p->routes;
	p->routes = s;
}

void routes_add(struct pass *p)
{
	ITEMS_EACH(p->compile, HTTP_ROUTES, i)
	{
		route_add(p, i);
	}
	ITEMS_EACH(p->compile, GRPC_ROUTES, i)
	{
		route_add(p, i);
	}
}

/* ---- entries ---- */

static bool entry_make(struct pass *p, struct span key, struct span address, const struct plan_table *table,
		       struct certificates *certificates, struct span name_space, struct span name)
{
	struct plan_entry *e = plan_entry_add(p->builder, key);

	if (!e)
		return false;
	e->address = address;
	e->table = table;
	e->certificates = certificates;
	e->owner_kind = SPAN("Gateway");
	e->owner_namespace = name_space;
	e->owner_name = name;
	return true;
}

/* Certificates of Ingresses, and of the shared Gateway's listeners. */
static struct certificates *shared_certificates(struct pass *p, struct span key, const struct listener_port *port)
{
	size_t count = port ? port->use_count : 0;
	struct secret_use *uses;

	ITEMS_EACH(p->compile, INGRESSES, i)
	{
		count += i->ingress->secret_count;
	}
	uses = ARENA_ARRAY(&p->scratch, struct secret_use, count, p->err);
	if (!uses)
		return NULL;
	count = 0;
	for (; port && count < port->use_count; count++)
		uses[count] = port->uses[count];
	ITEMS_EACH(p->compile, INGRESSES, i)
	{
		for (size_t n = 0; n < i->ingress->secret_count && ingress_is_ours(p->compile, i); n++)
			uses[count++] = i->ingress->secrets[n];
	}
	return count ? secrets_certificates(p, key, uses, count) : NULL;
}

static void shared_entries(struct pass *p)
{
	struct compile *c = p->compile;
	const struct listener_port *tls = p->ports;
	struct certificates *certificates;
	struct span key;

	if (c->address.len)
		(void)entry_make(p, SPAN(PLAN_MAIN), c->address, p->main_table, NULL, SPAN("kube-system"),
				 SPAN(COMPILE_GATEWAY));
	if (!c->tls_address.len)
		return;
	while (tls && !(tls->is_shared && tls->is_tls))
		tls = tls->next;
	key = arena_print(p->arena, p->err, "tcp " SPAN_FMT, SPAN_WHOLE(c->tls_address));
	certificates = shared_certificates(p, key, tls);
	if (certificates)
		(void)entry_make(p, key, c->tls_address, p->tls_table, certificates, SPAN("kube-system"),
				 SPAN(COMPILE_GATEWAY));
}

static void port_end(struct pass *p, struct listener_port *port)
{
	struct certificates *certificates = NULL;

	if (port->is_shared)
		return;
	if (port->is_tls) {
		certificates = port->use_count ? secrets_certificates(p, port->key, port->uses, port->use_count) : NULL;
		if (!certificates)
			return;
	}
	port->is_refused = !entry_make(p, port->key, port->address, port->table, certificates, port->owner->name_space,
				       port->owner->name);
}

void tables_end(struct pass *p)
{
	shared_entries(p);
	for (struct listener_port *port = p->ports; port; port = port->next)
		port_end(p, port);
	for (struct gateway_state *g = p->gateways; g; g = g->next)
		for (size_t n = 0; n < g->count; n++)
			if (g->listeners[n].on && g->listeners[n].host.len)
				plan_host_end(p->builder, g->listeners[n].on->table, g->listeners[n].host);
}
