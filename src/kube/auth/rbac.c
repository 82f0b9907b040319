/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbac - roles and bindings, kept in the form in which questions are asked.
 *
 * Every role and binding is one entry, made again when its object changes: one block of memory with its strings in it. Bindings are
 * found by namespace, roles by key.
 */
#include <stdlib.h>

#include "kube/auth/auth.h"

#define GROUP_PREFIX      SPAN("/rbac.authorization.k8s.io/")
#define ENTRY_ARENA_BYTES MIB(64)

enum { BUCKETS = 1024 };

struct subject {
	struct span kind, name, name_space;
};

struct entry {
	struct entry *next;       /* of the bucket by key */
	struct entry *next_bound; /* bindings: of the bucket by namespace */
	struct span key, name_space, name;
	bool is_binding, is_cluster;
	struct span role_kind, role_name; /* bindings */
	struct subject *subjects;
	size_t subject_count;
	struct rule *rules; /* roles */
	size_t rule_count;
};

struct rbac {
	struct kube *kube;
	struct store_watcher watcher;
	struct arena scratch;
	struct entry *entries[BUCKETS];
	struct entry *bindings[BUCKETS];
	void (*changed)(void *context);
	void *context;
};

static size_t bucket_of(struct span s)
{
	return (size_t)(span_hash(s) % BUCKETS);
}

/* ---- entries ---- */

/* Strings and lists are laid into one block behind the struct; the first pass (to NULL) only measures. */
struct packer {
	char *at;
	size_t size;
};

static void *pack(struct packer *p, const void *bytes, size_t size)
{
	size_t padded = (size + 7) & ~(size_t)7;
	char *place = p->at;

	p->size += padded;
	if (!place)
		return NULL;
	if (size > 0)
		memcpy(place, bytes, size);
	p->at += padded;
	return place;
}

static struct span pack_span(struct packer *p, struct span s)
{
	return span_from(pack(p, s.ptr, s.len), s.len);
}

static const struct span *pack_list(struct packer *p, const struct span *list, uint32_t count)
{
	struct span *to = pack(p, list, count * sizeof(*list));

	for (uint32_t i = 0; i < count; i++) {
		struct span s = pack_span(p, list[i]);

		if (to)
			to[i] = s;
	}
	return to;
}

static void pack_rules(struct packer *p, const struct entry *from, struct entry *to)
{
	to->rules = pack(p, from->rules, from->rule_count * sizeof(*from->rules));
	for (size_t i = 0; i < from->rule_count; i++) {
		const struct rule *r = &from->rules[i];
		struct rule packed = *r;

		packed.verbs = pack_list(p, r->verbs, r->verb_count);
		packed.groups = pack_list(p, r->groups, r->group_count);
		packed.resources = pack_list(p, r->resources, r->resource_count);
		packed.names = pack_list(p, r->names, r->name_count);
		packed.paths = pack_list(p, r->paths, r->path_count);
		if (to->rules)
			to->rules[i] = packed;
	}
}

static void pack_subjects(struct packer *p, const struct entry *from, struct entry *to)
{
	to->subjects = pack(p, from->subjects, from->subject_count * sizeof(*from->subjects));
	for (size_t i = 0; i < from->subject_count; i++) {
		const struct subject *s = &from->subjects[i];
		struct subject packed = { pack_span(p, s->kind), pack_span(p, s->name), pack_span(p, s->name_space) };

		if (to->subjects)
			to->subjects[i] = packed;
	}
}

static void pack_entry(struct packer *p, const struct entry *from, struct entry *to)
{
	to->key = pack_span(p, from->key);
	to->name_space = pack_span(p, from->name_space);
	to->name = pack_span(p, from->name);
	to->role_kind = pack_span(p, from->role_kind);
	to->role_name = pack_span(p, from->role_name);
	pack_rules(p, from, to);
	pack_subjects(p, from, to);
}

static struct entry *entry_pack(const struct entry *from)
{
	struct packer p = { 0 };
	struct entry measured = *from, *e;

	pack_entry(&p, from, &measured);
	e = base_alloc(sizeof(*e) + p.size);
	*e = *from;
	p = (struct packer){ .at = (char *)(e + 1) };
	pack_entry(&p, from, e);
	return e;
}

static bool subjects_read(const struct value *list, struct arena *arena, struct entry *e, struct error *err)
{
	uint32_t count = value_count(list);

	e->subjects = arena_calloc(arena, count, sizeof(*e->subjects), err);
	for (uint32_t i = 0; e->subjects && i < count; i++) {
		const struct value *item = value_item(list, i);

		e->subjects[i] = (struct subject){ value_find_string(item, "kind"), value_find_string(item, "name"),
						   value_find_string(item, "namespace") };
	}
	e->subject_count = count;
	return e->subjects != NULL;
}

/* "/rbac.authorization.k8s.io/<plural>/<namespace or ->/<name>" */
static bool key_read(struct span key, struct entry *e, struct span *ret_plural)
{
	struct span rest;

	if (!span_starts(key, GROUP_PREFIX))
		return false;
	rest = span_skip(key, GROUP_PREFIX.len);
	*ret_plural = span_cut(&rest, '/');
	e->key = key;
	e->name_space = span_cut(&rest, '/');
	e->name = rest;
	e->is_cluster = span_starts(*ret_plural, SPAN("cluster"));
	e->is_binding = span_ends(*ret_plural, SPAN("bindings"));
	if (e->is_cluster)
		e->name_space = (struct span){ 0 };
	return true;
}

static struct entry *entry_make(struct rbac *r, const struct record *record)
{
	struct error err = { 0 };
	struct entry e = { 0 };
	struct span plural;
	struct value object;

	arena_clear(&r->scratch);
	if (!key_read(record->key, &e, &plural) || !value_parse(record->text, NULL, &r->scratch, &object, &err))
		return NULL;
	if (e.is_binding) {
		e.role_kind = value_find_string(&object, "roleRef.kind");
		e.role_name = value_find_string(&object, "roleRef.name");
		if (!subjects_read(value_get(&object, SPAN("subjects")), &r->scratch, &e, &err))
			return NULL;
	} else if (!rules_read(value_get(&object, SPAN("rules")), &r->scratch, &e.rules, &e.rule_count, &err)) {
		return NULL;
	}
	return entry_pack(&e);
}

/* ---- the tables ---- */

static void entry_remove(struct rbac *r, struct span key)
{
	struct entry **at = &r->entries[bucket_of(key)], *e;

	while (*at && !span_equal((*at)->key, key))
		at = &(*at)->next;
	e = *at;
	if (!e)
		return;
	*at = e->next;
	if (e->is_binding) {
		at = &r->bindings[bucket_of(e->name_space)];
		while (*at != e)
			at = &(*at)->next_bound;
		*at = e->next_bound;
	}
	free(e);
}

static void entry_insert(struct rbac *r, struct entry *e)
{
	struct entry **bucket = &r->entries[bucket_of(e->key)];

	e->next = *bucket;
	*bucket = e;
	if (!e->is_binding)
		return;
	/* Behind those that are there, so that the oldest is asked, and told, first. */
	bucket = &r->bindings[bucket_of(e->name_space)];
	while (*bucket)
		bucket = &(*bucket)->next_bound;
	e->next_bound = NULL;
	*bucket = e;
}

static const struct entry *role_find(const struct rbac *r, const struct entry *binding)
{
	bool is_cluster = span_equal(binding->role_kind, SPAN("ClusterRole"));

	struct span parts[] = { GROUP_PREFIX, is_cluster ? SPAN("clusterroles/-") : SPAN("roles/"),
				is_cluster ? (struct span){ 0 } : binding->name_space, SPAN("/"), binding->role_name };
	char key[1024];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i].len > sizeof(key) - len)
			return NULL; /* no object has a name so long */
		if (parts[i].len > 0)
			memcpy(key + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	for (const struct entry *e = r->entries[bucket_of(span_from(key, len))]; e; e = e->next) {
		if (span_equal(e->key, span_from(key, len)))
			return e;
	}
	return NULL;
}

/* ---- following the store ---- */

static void record_take(struct rbac *r, const struct record *record)
{
	struct entry *e;

	entry_remove(r, record->key);
	e = record->is_deletion ? NULL : entry_make(r, record);
	if (e)
		entry_insert(r, e);
}

static void rbac_event(struct store_watcher *w, const struct store_event *event)
{
	struct rbac *r = CONTAINER_OF(w, struct rbac, watcher);

	record_take(r, event->record);
	if (r->changed)
		r->changed(r->context);
}

static bool rbac_each(void *context, struct record *record)
{
	record_take(context, record);
	return true;
}

struct rbac *rbac_new(struct kube *k, void (*changed)(void *context), void *context, struct error *err)
{
	struct rbac *r = base_calloc(1, sizeof(*r));

	r->kube = k;
	r->changed = changed;
	r->context = context;
	r->watcher.event = rbac_event;
	arena_init(&r->scratch, ENTRY_ARENA_BYTES);
	if (store_list(kube_store(k), GROUP_PREFIX, (struct span){ 0 }, 0, rbac_each, r, err) &&
	    store_watch(kube_store(k), GROUP_PREFIX, store_revision(kube_store(k)), &r->watcher, err))
		return r;
	rbac_free(r);
	return NULL;
}

void rbac_free(struct rbac *r)
{
	if (!r)
		return;
	if (r->watcher.watch)
		store_unwatch(r->watcher.watch);
	for (size_t i = 0; i < BUCKETS; i++) {
		while (r->entries[i]) {
			struct entry *e = r->entries[i];

			r->entries[i] = e->next;
			free(e);
		}
	}
	arena_done(&r->scratch);
	free(r);
}

/* ---- asking ---- */

static bool is_account(const struct user *u, struct span name_space, struct span name)
{
	struct span rest = u->name, prefix = SPAN("system:serviceaccount:");

	if (!span_starts(rest, prefix))
		return false;
	rest = span_skip(rest, prefix.len);
	return span_starts(rest, name_space) && rest.len == name_space.len + 1 + name.len &&
	       rest.ptr[name_space.len] == ':' && span_ends(rest, name) && name_space.len > 0;
}

static bool subject_is(const struct subject *s, const struct entry *binding, const struct user *u)
{
	if (span_equal(s->kind, SPAN("User")))
		return span_equal(s->name, u->name);
	if (span_equal(s->kind, SPAN("Group")))
		return user_has_group(u, s->name);
	return span_equal(s->kind, SPAN("ServiceAccount")) &&
	       is_account(u, s->name_space.len ? s->name_space : binding->name_space, s->name);
}

static const struct subject *subject_find(const struct entry *binding, const struct user *u)
{
	for (size_t i = 0; i < binding->subject_count; i++) {
		if (subject_is(&binding->subjects[i], binding, u))
			return &binding->subjects[i];
	}
	return NULL;
}

static bool walk_scope(struct rbac *r, const struct user *u, struct span name_space, bool is_cluster,
		       bool (*each)(void *, const struct rule *, const struct binding_text *), void *context)
{
	for (const struct entry *b = r->bindings[bucket_of(name_space)]; b; b = b->next_bound) {
		const struct subject *s;
		const struct entry *role;
		struct binding_text text;

		if (b->is_cluster != is_cluster || !span_equal(b->name_space, name_space))
			continue;
		s = subject_find(b, u);
		role = s ? role_find(r, b) : NULL;
		if (!role)
			continue;
		text = (struct binding_text){ b->is_cluster, b->name,
					      b->name_space, b->role_kind,
					      b->role_name,  s->kind,
					      s->name,       s->name_space.len ? s->name_space : b->name_space };
		for (size_t i = 0; i < role->rule_count; i++) {
			if (!each(context, &role->rules[i], &text))
				return false;
		}
	}
	return true;
}

bool rbac_walk(struct rbac *r, const struct user *u, struct span name_space,
	       bool (*each)(void *context, const struct rule *rule, const struct binding_text *binding), void *context)
{
	return walk_scope(r, u, (struct span){ 0 }, true, each, context) &&
	       (!name_space.len || walk_scope(r, u, name_space, false, each, context));
}

struct question {
	const struct access *access;
	struct arena *arena;
	struct span why;
	bool wants_why, is_allowed;
};

/* RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "u" */
static struct span why_print(const struct binding_text *b, struct arena *arena)
{
	bool is_account = span_equal(b->subject_kind, SPAN("ServiceAccount"));
	struct error ignored = { 0 };

	return arena_print(arena, &ignored,
			   "RBAC: allowed by %sRoleBinding \"" SPAN_FMT "%s" SPAN_FMT "\" of " SPAN_FMT " \"" SPAN_FMT
			   "\" to " SPAN_FMT " \"" SPAN_FMT "%s" SPAN_FMT "\"",
			   b->is_cluster ? "Cluster" : "", SPAN_ARG(b->name), b->is_cluster ? "" : "/",
			   SPAN_ARG(b->name_space), SPAN_ARG(b->role_kind), SPAN_ARG(b->role_name),
			   SPAN_ARG(b->subject_kind), SPAN_ARG(b->subject_name), is_account ? "/" : "",
			   SPAN_ARG(is_account ? b->subject_namespace : ((struct span){ 0 })));
}

static bool question_ask(void *context, const struct rule *rule, const struct binding_text *binding)
{
	struct question *q = context;

	if (!rule_allows(rule, q->access))
		return true;
	q->is_allowed = true;
	if (q->wants_why)
		q->why = why_print(binding, q->arena);
	return false;
}

/* What everybody may ask, when there are no rules: as system:public-info-viewer. */
static bool is_public(const struct access *a)
{
	static const char *const paths[] = { "/healthz", "/livez", "/readyz", "/version", "/version/" };

	if (a->is_resource || !span_equal(a->verb, SPAN("get")))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (span_equal(a->path, span_of(paths[i])))
			return true;
	}
	return false;
}

bool access_allowed(struct kube *k, const struct user *u, const struct access *a, struct span *ret_why,
		    struct arena *arena)
{
	struct auth *auth = kube_auth(k);
	struct question q = { .access = a, .arena = arena, .wants_why = ret_why && arena };

	if (ret_why)
		*ret_why = (struct span){ 0 };
	if (user_has_group(u, SPAN("system:masters")))
		return true;
	if (!auth || auth_is_rbac_off(auth))
		return user_has_group(u, SPAN("system:authenticated")) || is_public(a);
	(void)rbac_walk(auth_rbac(auth), u, a->name_space, question_ask, &q);
	if (ret_why)
		*ret_why = q.why;
	return q.is_allowed;
}

static void put_resource(const struct access *a, char *out, size_t size)
{
	struct buffer b;

	buffer_init(&b, size - 1);
	buffer_print(&b, SPAN_FMT, SPAN_ARG(a->resource));
	if (a->group.len)
		buffer_print(&b, "." SPAN_FMT, SPAN_ARG(a->group));
	if (a->name.len)
		buffer_print(&b, " \"" SPAN_FMT "\"", SPAN_ARG(a->name));
	if (b.len)
		memcpy(out, b.ptr, b.len);
	out[b.len] = '\0';
	buffer_done(&b);
}

bool access_error(const struct user *u, const struct access *a, struct error *err)
{
	char resource[400];

	if (!a->is_resource)
		return error_set(err, ERROR_FORBIDDEN,
				 "forbidden: User \"" SPAN_FMT "\" cannot " SPAN_FMT " path \"" SPAN_FMT "\"",
				 SPAN_ARG(u->name), SPAN_ARG(a->verb), SPAN_ARG(a->path));
	put_resource(a, resource, sizeof(resource));
	if (a->name_space.len)
		return error_set(err, ERROR_FORBIDDEN,
				 "%s is forbidden: User \"" SPAN_FMT "\" cannot " SPAN_FMT " resource \"" SPAN_FMT
				 "%s" SPAN_FMT "\" in API group \"" SPAN_FMT "\" in the namespace \"" SPAN_FMT "\"",
				 resource, SPAN_ARG(u->name), SPAN_ARG(a->verb), SPAN_ARG(a->resource),
				 a->subresource.len ? "/" : "", SPAN_ARG(a->subresource), SPAN_ARG(a->group),
				 SPAN_ARG(a->name_space));
	return error_set(err, ERROR_FORBIDDEN,
			 "%s is forbidden: User \"" SPAN_FMT "\" cannot " SPAN_FMT " resource \"" SPAN_FMT "%s" SPAN_FMT
			 "\" in API group \"" SPAN_FMT "\" at the cluster scope",
			 resource, SPAN_ARG(u->name), SPAN_ARG(a->verb), SPAN_ARG(a->resource),
			 a->subresource.len ? "/" : "", SPAN_ARG(a->subresource), SPAN_ARG(a->group));
}
