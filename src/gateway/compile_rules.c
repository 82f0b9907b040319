/* SPDX-License-Identifier: Apache-2.0 */
/* compile_rules - rules of routes: read once, and tied to the services they name in each pass. */
#include "gateway/compile_private.h"

/* ---- reading ---- */

static struct span or_else(struct span text, const char *otherwise)
{
	return text.len ? text : span_of(otherwise);
}

bool ref_read(struct item *i, const struct value *from, struct ref *to, struct error *err)
{
	struct span name_space = value_find_string(from, "namespace");

	to->group = value_find_string(from, "group");
	to->kind = or_else(value_find_string(from, "kind"), "Service");
	to->name_space = name_space.len ? name_space : i->name_space;
	to->name = value_find_string(from, "name");
	to->key = key_of(to->name_space, to->name, &i->arena, err);
	to->port = (int)value_find_int(from, "port", 0);
	to->weight = (uint32_t)value_find_int(from, "weight", 1);
	return !err->code;
}

bool regex_read(struct item *i, struct span text, const void **ret, struct error *err)
{
	struct held_regex *held = ARENA_NEW(&i->arena, struct held_regex, err);
	void *regex = held ? plan_regex_new(text, err) : NULL;

	if (!regex)
		return false;
	*held = (struct held_regex){ i->regexes, regex };
	i->regexes = held;
	*ret = regex;
	return true;
}

bool text_matches_read(struct item *i, const struct value *list, bool is_lower, struct plan_text_match **ret,
		       size_t *ret_count, struct error *err)
{
	struct plan_text_match *to = arena_calloc(&i->arena, value_count(list), sizeof(*to), err);
	size_t count = 0;

	if (!to)
		return false;
	for (uint32_t n = 0; n < value_count(list); n++) {
		const struct value *from = value_item(list, n);
		struct span name = value_find_string(from, "name");
		struct plan_text_match m = { .name = is_lower ? lowered(name, &i->arena, err) : name,
					     .value = value_find_string(from, "value") };
		bool is_known = false;

		for (size_t k = 0; k < count; k++) /* the first of a name counts */
			is_known = is_known || span_equal(to[k].name, m.name);
		if (is_known)
			continue;
		if (span_equal(value_find_string(from, "type"), SPAN("RegularExpression"))) {
			m.how = TEXT_REGEX;
			if (!regex_read(i, m.value, &m.regex, err))
				return false;
		}
		to[count++] = m;
	}
	*ret = to;
	*ret_count = count;
	return !err->code;
}

static bool refs_read(struct item *i, const struct value *list, struct rule *rule, struct error *err)
{
	if (value_count(list) > PLAN_TARGETS_MOST)
		return error_set(err, ERROR_INVALID, "there are %u backendRefs: %d are allowed", value_count(list),
				 PLAN_TARGETS_MOST);
	rule->refs = arena_calloc(&i->arena, value_count(list), sizeof(*rule->refs), err);
	for (uint32_t n = 0; rule->refs && n < value_count(list); n++) {
		struct ref *to = &rule->refs[rule->ref_count++];

		if (!ref_read(i, value_item(list, n), to, err) ||
		    !filters_read(i, value_find(value_item(list, n), "filters"), true, rule, &to->filters, err))
			return false;
	}
	return rule->refs != NULL;
}

typedef bool match_reader(struct item *i, const struct value *from, struct plan_match *to, struct error *err);

static bool matches_read(struct item *i, const struct value *list, bool is_grpc, match_reader *match, struct rule *rule,
			 struct error *err)
{
	static const struct value none = { .type = VALUE_OBJECT };
	uint32_t count = MAX(value_count(list), 1);

	rule->matches = arena_calloc(&i->arena, count, sizeof(*rule->matches), err);
	rule->match_count = count;
	for (uint32_t n = 0; rule->matches && n < count; n++) {
		rule->matches[n].is_grpc = is_grpc;
		if (!match(i, value_count(list) ? value_item(list, n) : &none, &rule->matches[n], err) ||
		    !plan_match_check(&rule->matches[n], err))
			return false;
	}
	return rule->matches != NULL;
}

static bool rule_read(struct item *i, bool is_grpc, const char *kind, uint32_t number, match_reader *match,
		      struct rule *to, struct error *err)
{
	const struct value *from = value_item(value_find(i->object, "spec.rules"), number);

	to->name = arena_print(&i->arena, err, "%s/" SPAN_FMT "/%u", kind, SPAN_WHOLE(i->key), number);
	to->timeout_ns = duration_of(value_find_string(from, "timeouts.request"));
	to->try_timeout_ns = duration_of(value_find_string(from, "timeouts.backendRequest"));
	return filters_read(i, value_find(from, "filters"), false, to, &to->filters, err) &&
	       refs_read(i, value_find(from, "backendRefs"), to, err) &&
	       matches_read(i, value_find(from, "matches"), is_grpc, match, to, err);
}

static bool parents_read(struct item *i, struct route_rules *r, struct error *err)
{
	const struct value *list = value_find(i->object, "spec.parentRefs");

	r->parents = arena_calloc(&i->arena, value_count(list), sizeof(*r->parents), err);
	for (uint32_t n = 0; r->parents && n < value_count(list); n++) {
		const struct value *from = value_item(list, n);
		struct span name_space = value_find_string(from, "namespace");

		r->parents[r->parent_count++] = (struct parent){
			.group = value_get(from, SPAN("group")) ? value_find_string(from, "group")
								: SPAN("gateway.networking.k8s.io"),
			.kind = or_else(value_find_string(from, "kind"), "Gateway"),
			.name_space = name_space.len ? name_space : i->name_space,
			.name = value_find_string(from, "name"),
			.section = value_find_string(from, "sectionName"),
			.port = (int)value_find_int(from, "port", 0),
			.object = from,
		};
	}
	return r->parents != NULL;
}

static bool hosts_read(struct item *i, struct route_rules *r, struct error *err)
{
	const struct value *list = value_find(i->object, "spec.hostnames");

	r->hosts = arena_calloc(&i->arena, value_count(list), sizeof(*r->hosts), err);
	for (uint32_t n = 0; r->hosts && n < value_count(list); n++)
		if (value_is(value_item(list, n), VALUE_STRING))
			r->hosts[r->host_count++] = lowered(value_item(list, n)->string, &i->arena, err);
	return r->hosts && !err->code;
}

bool route_read(struct item *i, bool is_grpc, const char *kind, match_reader *match, struct error *err)
{
	uint32_t count = value_count(value_find(i->object, "spec.rules"));
	struct route_rules *r = ARENA_NEW(&i->arena, struct route_rules, err);

	i->route = r;
	if (!r || !parents_read(i, r, err) || !hosts_read(i, r, err))
		return false;
	r->is_grpc = is_grpc;
	r->rules = arena_calloc(&i->arena, count, sizeof(*r->rules), err);
	for (uint32_t n = 0; r->rules && n < count; n++) {
		struct error fault = { 0 };

		if (rule_read(i, is_grpc, kind, n, match, &r->rules[r->rule_count], &fault)) {
			r->rule_count++;
		} else if (fault.code == ERROR_INVALID) {
			r->unsupported = arena_print(&i->arena, err, "spec.rules[%u]: %s", n, fault.message);
		} else {
			*err = fault;
			return false;
		}
	}
	return r->rules && !err->code;
}

/* ---- references ---- */

static bool grant_names(const struct value *list, struct span group, struct span kind, const char *other,
			struct span value)
{
	for (uint32_t n = 0; n < value_count(list); n++) {
		const struct value *one = value_item(list, n);
		struct span text = value_find_string(one, other);

		if (span_equal(value_find_string(one, "group"), group) &&
		    span_equal(value_find_string(one, "kind"), kind) &&
		    (span_equal(text, value) || (!text.len && strcmp(other, "name") == 0)))
			return true;
	}
	return false;
}

bool grant_is_given(struct compile *c, const struct resource *from, struct span from_space, const char *to_group,
		    const char *to_kind, struct span to_space, struct span to_name)
{
	if (span_equal(from_space, to_space))
		return true;
	ITEMS_EACH(c, GRANTS, i)
	{
		if (span_equal(i->name_space, to_space) &&
		    grant_names(value_find(i->object, "spec.from"), span_of(from->group), span_of(from->kind),
				"namespace", from_space) &&
		    grant_names(value_find(i->object, "spec.to"), span_of(to_group), span_of(to_kind), "name", to_name))
			return true;
	}
	return false;
}

static void unresolved(struct pass *p, struct resolved *r, const char *reason, struct span message)
{
	(void)p;
	if (r->reason) /* the first is told */
		return;
	r->reason = reason;
	r->message = message;
}

#define SAY(...) arena_print(&p->scratch, p->err, __VA_ARGS__)

static const struct service_port *port_find(const struct service *s, const struct ref *ref)
{
	for (size_t n = 0; n < s->port_count; n++) {
		const struct service_port *port = &s->ports[n];

		if (!port->is_udp && port->backend &&
		    (ref->port ? port->port == ref->port : span_equal(port->name, ref->port_name)))
			return port;
	}
	return NULL;
}

/* NULL: it is not there; told. */
static const struct plan_backend *ref_find(struct pass *p, const struct item *i, const struct ref *ref,
					   struct resolved *r)
{
	const struct service_port *port;
	const struct item *service;

	if (ref->group.len || !span_equal(ref->kind, SPAN("Service"))) {
		unresolved(p, r, "InvalidKind",
			   SAY("a backend is a Service here, not " SPAN_FMT " \"" SPAN_FMT "\"", SPAN_ARG(ref->kind),
			       SPAN_ARG(ref->name)));
		return NULL;
	}
	if (!grant_is_given(p->compile, i->resource, i->name_space, "", "Service", ref->name_space, ref->name)) {
		unresolved(p, r, "RefNotPermitted",
			   SAY("no ReferenceGrant in namespace \"" SPAN_FMT
			       "\" lets this route refer to Service \"" SPAN_FMT "\"",
			       SPAN_ARG(ref->name_space), SPAN_ARG(ref->name)));
		return NULL;
	}
	service = item_find(p->compile, SERVICES, ref->key);
	if (!service || service->service->is_external) {
		unresolved(p, r, "BackendNotFound",
			   SAY("Service \"" SPAN_FMT "\" %s", SPAN_ARG(ref->key),
			       service ? "is an ExternalName: it has no endpoints" : "is not there"));
		return NULL;
	}
	port = port_find(service->service, ref);
	if (!port) {
		unresolved(p, r, "BackendNotFound",
			   ref->port ? SAY("Service \"" SPAN_FMT "\" has no TCP port %d", SPAN_ARG(ref->key), ref->port)
				     : SAY("Service \"" SPAN_FMT "\" has no TCP port \"" SPAN_FMT "\"",
					   SPAN_ARG(ref->key), SPAN_ARG(ref->port_name)));
		return NULL;
	}
	return port->backend;
}

/* ---- a rule ---- */

static void targets_make(struct pass *p, const struct item *i, const struct rule *rule, struct plan_route *route,
			 struct resolved *resolved)
{
	struct plan_target *list = arena_calloc(p->arena, rule->ref_count, sizeof(*list), p->err);

	for (size_t n = 0; list && n < rule->ref_count; n++) {
		const struct ref *ref = &rule->refs[n];

		list[n].backend = ref_find(p, i, ref, resolved);
		if (rule->unresolved.len)
			list[n].backend = NULL;
		list[n].weight = ref->weight;
		list[n].filters = ref->filters;
		list[n].name = ref->name;
		route->weight_sum += ref->weight;
	}
	route->targets = list;
	route->target_count = list ? rule->ref_count : 0;
}

static void mirrors_make(struct pass *p, const struct item *i, const struct rule *rule, struct plan_route *route,
			 struct resolved *resolved)
{
	struct plan_mirror *list;

	if (!rule->mirror_count)
		return;
	list = arena_calloc(p->arena, rule->mirror_count, sizeof(*list), p->err);
	for (size_t n = 0; list && n < rule->mirror_count; n++) {
		const struct mirror_ref *m = &rule->mirrors[n];
		struct plan_mirror *to = &list[route->mirror_count];

		to->backend = ref_find(p, i, &m->ref, resolved);
		to->numerator = m->numerator;
		to->denominator = m->denominator;
		route->mirror_count += to->backend != NULL;
	}
	route->mirrors = list;
}

const struct plan_route *rule_make(struct pass *p, const struct item *i, const struct rule *rule, int64_t made_ns,
				   struct resolved *resolved)
{
	struct plan_route *route = ARENA_NEW(p->arena, struct plan_route, p->err);

	if (!route)
		return NULL;
	route->name = rule->name;
	route->filters = rule->filters;
	route->timeout_ns = rule->timeout_ns;
	route->try_timeout_ns = rule->try_timeout_ns;
	route->made_ns = made_ns;
	if (rule->unresolved.len)
		unresolved(p, resolved, "InvalidKind", rule->unresolved);
	targets_make(p, i, rule, route, resolved);
	mirrors_make(p, i, rule, route, resolved);
	return p->err->code ? NULL : route;
}
