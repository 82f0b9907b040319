/* SPDX-License-Identifier: Apache-2.0 */
/* compile_ingress - Ingresses of the class: rules of the shared tables, certificates of the shared TLS entry. */
#include "base/log.h"
#include "gateway/compile_private.h"

/* ---- reading ---- */

/* A wildcard of an Ingress stands for one label. */
static struct span host_read(struct item *i, struct span host, struct error *err)
{
	host = lowered(host, &i->arena, err);
	if (host.ptr && span_starts(host, SPAN("*.")))
		*(char *)(uintptr_t)host.ptr = '?';
	return host;
}

static bool backend_read(struct item *i, const struct value *from, struct rule *rule, struct error *err)
{
	const struct value *service = value_find(from, "service");
	struct ref *ref = ARENA_NEW(&i->arena, struct ref, err);

	if (!ref)
		return false;
	rule->refs = ref;
	rule->ref_count = 1;
	ref->kind = service ? SPAN("Service") : value_find_string(from, "resource.kind");
	ref->group = service ? (struct span){ 0 } : value_find_string(from, "resource.apiGroup");
	ref->name_space = i->name_space;
	ref->name = value_find_string(service ? service : value_find(from, "resource"), "name");
	ref->key = key_of(ref->name_space, ref->name, &i->arena, err);
	ref->port = (int)value_find_int(service, "port.number", 0);
	ref->port_name = value_find_string(service, "port.name");
	ref->weight = 1;
	return !err->code;
}

static bool path_add(struct item *i, struct span host, const struct value *path, const struct value *backend,
		     struct error *err)
{
	struct ingress_path *to = &i->ingress->paths[i->ingress->path_count];
	struct plan_match *m = ARENA_NEW(&i->arena, struct plan_match, err);
	struct error fault = { 0 };

	if (!m)
		return false;
	*to = (struct ingress_path){ 0 };
	to->host = host;
	to->is_default = !path;
	to->rule.name =
	    arena_print(&i->arena, err, "ingress/" SPAN_FMT "/%zu", SPAN_WHOLE(i->key), i->ingress->path_count);
	m->how = span_equal(value_find_string(path, "pathType"), SPAN("Exact")) ? PATH_EXACT : PATH_PREFIX;
	m->path = value_find_string(path, "path");
	if (!m->path.len)
		m->path = SPAN("/");
	to->rule.matches = m;
	to->rule.match_count = 1;
	if (!plan_match_check(m, &fault)) {
		log_warn("gateway", "a path of an Ingress is left out", LOG_SPAN("ingress", i->key),
			 LOG_TEXT("error", fault.message));
		return true;
	}
	i->ingress->path_count++;
	return backend_read(i, backend, &to->rule, err);
}

/* For the hosts that it is said to be for; where none are, for the names that it has itself. */
static bool secret_read(struct item *i, const struct value *tls, struct error *err)
{
	const struct value *hosts = value_find(tls, "hosts");
	struct span name = value_find_string(tls, "secretName"), key = key_of(i->name_space, name, &i->arena, err);
	struct secret_use *to = &i->ingress->secrets[i->ingress->secret_count];

	if (!name.len)
		return true;
	for (uint32_t n = 0; n < value_count(hosts); n++, to++)
		*to = (struct secret_use){ key, lowered(value_item(hosts, n)->string, &i->arena, err) };
	if (!value_count(hosts))
		*to++ = (struct secret_use){ key, { 0 } };
	i->ingress->secret_count = (size_t)(to - i->ingress->secrets);
	return !err->code;
}

static bool secrets_read(struct item *i, struct error *err)
{
	const struct value *tls = value_find(i->object, "spec.tls");
	size_t most = 0;

	for (uint32_t n = 0; n < value_count(tls); n++)
		most += MAX(value_count(value_find(value_item(tls, n), "hosts")), 1);
	i->ingress->secrets = arena_calloc(&i->arena, most, sizeof(*i->ingress->secrets), err);
	for (uint32_t n = 0; i->ingress->secrets && n < value_count(tls); n++)
		if (!secret_read(i, value_item(tls, n), err))
			return false;
	return !err->code;
}

bool ingress_read(struct compile *c, struct item *i, struct error *err)
{
	const struct value *rules = value_find(i->object, "spec.rules"),
			   *otherwise = value_find(i->object, "spec.defaultBackend");
	struct ingress *in = ARENA_NEW(&i->arena, struct ingress, err);
	size_t most = 1;

	(void)c;
	i->ingress = in;
	if (!in)
		return false;
	in->class_name = value_find_string(i->object, "spec.ingressClassName");
	if (!in->class_name.len) {
		const struct value *old =
		    value_get(value_find(i->object, "metadata.annotations"), SPAN("kubernetes.io/ingress.class"));

		in->class_name = value_is(old, VALUE_STRING) ? old->string : (struct span){ 0 };
	}
	for (uint32_t n = 0; n < value_count(rules); n++)
		most += value_count(value_find(value_item(rules, n), "http.paths"));
	in->paths = arena_calloc(&i->arena, most, sizeof(*in->paths), err);
	if (!in->paths || (otherwise && !path_add(i, (struct span){ 0 }, NULL, otherwise, err)))
		return false;
	for (uint32_t n = 0; n < value_count(rules); n++) {
		const struct value *paths = value_find(value_item(rules, n), "http.paths");
		struct span host = host_read(i, value_find_string(value_item(rules, n), "host"), err);

		for (uint32_t k = 0; k < value_count(paths); k++)
			if (!path_add(i, host, value_item(paths, k), value_find(value_item(paths, k), "backend"), err))
				return false;
	}
	return secrets_read(i, err);
}

/* ---- a pass ---- */

static bool ingress_class_is_ours(const struct item *class)
{
	return span_equal(value_find_string(class->object, "spec.controller"), SPAN(COMPILE_CONTROLLER));
}

bool ingress_is_ours(const struct compile *c, const struct item *i)
{
	const struct item *class;
	struct error ignored = { 0 };
	struct arena arena;
	bool is_ours;

	if (!i->ingress->class_name.len) /* there was no default class when it was made */
		return true;
	arena_init(&arena, KIB(64));
	class = item_find(c, INGRESS_CLASSES, key_of((struct span){ 0 }, i->ingress->class_name, &arena, &ignored));
	is_ours = class && ingress_class_is_ours(class);
	arena_done(&arena);
	return is_ours;
}

static void path_make(struct pass *p, const struct item *i, const struct ingress_path *path)
{
	struct resolved ignored = { 0 };
	/* What nobody else takes: the youngest of all. */
	const struct plan_route *route =
	    rule_make(p, i, &path->rule, path->is_default ? INT64_MAX : i->made_ns, &ignored);

	for (size_t n = 0; route && n < path->rule.match_count; n++) {
		const struct plan_match *m = &path->rule.matches[n];

		if (!plan_route_add(p->builder, p->main_table, path->host, m, route, p->err) ||
		    (p->tls_table && !plan_route_add(p->builder, p->tls_table, path->host, m, route, p->err)))
			return;
	}
}

void ingresses_add(struct pass *p)
{
	ITEMS_EACH(p->compile, INGRESSES, i)
	{
		if (!ingress_is_ours(p->compile, i))
			continue;
		item_ref(i);
		plan_keep(p->builder, i, item_unref);
		for (size_t n = 0; n < i->ingress->path_count && !p->err->code; n++)
			path_make(p, i, &i->ingress->paths[n]);
	}
}
