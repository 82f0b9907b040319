/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namespaces - what each namespace has (the service account "default", the ConfigMap kube-root-ca.crt), and its end: everything in it
 * is deleted, then its finalizer "kubernetes" is taken away.
 */
#include "kube/kube_private.h"

#include "base/clock.h"
#include "kube/auth/pki.h"

#include <stdio.h>
#include <stdlib.h>

enum { DELETES_OF_A_TURN = 500 };
#define AGAIN_LEAST_NS (20 * NS_PER_MS)
#define AGAIN_MOST_NS  (2 * NS_PER_S)

#define NAMESPACES      "/core/namespaces/-/"
#define SERVICE_ADDRESS "127.96.0.1" /* the first of the cluster's addresses; also in the certificate */

/* A namespace on its way out, or in want of what each one gets. */
struct work {
	struct work *next;
	struct namespaces *set;
	struct timer timer;
	int64_t again_ns;
	size_t under_way, found, told, deletes;
	bool is_over;
	uint32_t len;
	char name[];
};

struct namespaces {
	struct kube *kube;
	struct store_watcher watchers[3];
	struct store_watch *watches[3];
	struct work *first;
	bool is_closing;
};

static struct span name_of(const struct work *w)
{
	return span_from(w->name, w->len);
}

/* ---- what each one gets ---- */

static void made(void *context, const struct value *object, const struct error *err)
{
	struct namespaces *s = context;

	(void)object;
	kube_write_ended(s->kube, err);
}

static bool exists(struct namespaces *s, const char *plural, struct span name_space, const char *name,
		   struct arena *arena)
{
	const struct kind *kind = kube_kind(s->kube, SPAN(""), SPAN("v1"), span_of(plural));
	struct span key = kind ? kube_key(kind, name_space, span_of(name), arena) : (struct span){ 0 };

	return !key.ptr || store_latest(s->kube->config.store, key);
}

static struct value *object_new(const char *kind, struct span name_space, struct span name, struct arena *arena)
{
	struct error ignored = { 0 };
	struct value *v = ARENA_NEW(arena, struct value, &ignored), *metadata;

	if (!v)
		return NULL;
	*v = value_object();
	(void)value_set(v, SPAN("kind"), value_string(span_of(kind)), arena, &ignored);
	(void)value_set(v, SPAN("apiVersion"), value_string(SPAN("v1")), arena, &ignored);
	metadata = value_ensure_object(v, SPAN("metadata"), arena, &ignored);
	if (!metadata)
		return NULL;
	(void)value_set(metadata, SPAN("name"), value_string(name), arena, &ignored);
	if (name_space.len)
		(void)value_set(metadata, SPAN("namespace"), value_string(name_space), arena, &ignored);
	return ignored.code ? NULL : v;
}

static void create(struct namespaces *s, const char *plural, struct span name_space, struct value *object,
		   struct arena *arena)
{
	struct kube_write w = { .kind = kube_kind(s->kube, SPAN(""), SPAN("v1"), span_of(plural)),
				.verb = KUBE_CREATE,
				.name_space = name_space,
				.object = object,
				.manager = SPAN("kube-controller-manager"),
				.done = made,
				.context = s };

	if (w.kind && object)
		kube_write(s->kube, &w, arena);
}

static void give_root(struct namespaces *s, struct span name_space, struct arena *arena)
{
	static const char about[] =
	    "The certificates that hythe's API server can be checked with, for clients inside the cluster.";
	struct value *object = object_new("ConfigMap", name_space, SPAN("kube-root-ca.crt"), arena), *part;
	struct error ignored = { 0 };

	part = object ? value_ensure_object(object, SPAN("data"), arena, &ignored) : NULL;
	if (!part || !value_set(part, SPAN("ca.crt"), value_string(pki_ca_pem(s->kube->config.pki)), arena, &ignored))
		return;
	part = value_ensure_object(value_get(object, SPAN("metadata")), SPAN("annotations"), arena, &ignored);
	if (part)
		(void)value_set(part, SPAN("kubernetes.io/description"), value_string(span_of(about)), arena, &ignored);
	create(s, "configmaps", name_space, object, arena);
}

/* What clients inside the cluster reach the API server by. */
static void give_service(struct namespaces *s, struct span name_space, struct arena *arena)
{
	static const char spec[] =
	    "{\"clusterIP\":\"" SERVICE_ADDRESS "\",\"ports\":[{\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\","
	    "\"targetPort\":%lld}],\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\"}";
	static const char labels[] = "{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}";
	struct value *object = object_new("Service", name_space, SPAN("kubernetes"), arena), v;
	struct span address = span_of(s->kube->config.server_address);
	struct error ignored = { 0 };
	int64_t port = 0;
	size_t at = address.len;

	while (at && address.ptr[at - 1] != ':')
		at--;
	if (!object || !number_parse_int64(span_skip(address, at), &port) ||
	    !value_parse(arena_print(arena, &ignored, spec, (long long)port), NULL, arena, &v, &ignored) ||
	    !value_set(object, SPAN("spec"), v, arena, &ignored) ||
	    !value_parse(SPAN(labels), NULL, arena, &v, &ignored) ||
	    !value_set(value_get(object, SPAN("metadata")), SPAN("labels"), v, arena, &ignored))
		return;
	create(s, "services", name_space, object, arena);
}

static void give(struct namespaces *s, struct span name_space)
{
	struct arena arena;

	if (s->is_closing)
		return;
	arena_init(&arena, MIB(1));
	if (!exists(s, "serviceaccounts", name_space, "default", &arena))
		create(s, "serviceaccounts", name_space,
		       object_new("ServiceAccount", name_space, SPAN("default"), &arena), &arena);
	if (s->kube->config.pki && !exists(s, "configmaps", name_space, "kube-root-ca.crt", &arena))
		give_root(s, name_space, &arena);
	if (span_equal(name_space, SPAN("default")) && s->kube->config.server_address &&
	    !exists(s, "services", name_space, "kubernetes", &arena))
		give_service(s, name_space, &arena);
	arena_done(&arena);
}

/* ---- the end ---- */

static void end_step(struct work *w);

static void again(struct timer *t)
{
	end_step(CONTAINER_OF(t, struct work, timer));
}

static void work_free(struct work *gone)
{
	for (struct work **at = &gone->set->first; *at; at = &(*at)->next) {
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	}
	if (timer_is_set(&gone->timer))
		loop_timer_clear(gone->set->kube->config.loop, &gone->timer);
	free(gone);
}

static void deleted(void *context, const struct value *object, const struct error *err)
{
	struct work *w = context;

	(void)object;
	(void)err; /* what is left is found again */
	w->under_way--;
	if (w->under_way || w->set->is_closing)
		return;
	if (w->is_over)
		work_free(w);
	else if (!timer_is_set(&w->timer))
		loop_timer_set(w->set->kube->config.loop, &w->timer, loop_now(w->set->kube->config.loop), again);
}

/* What is left, for the conditions of the namespace's status. */
enum { NAMES_MOST = 32, NAME_BYTES = 256 };
struct left {
	struct {
		char name[NAME_BYTES];
		size_t count;
	} kinds[NAMES_MOST], finalizers[NAMES_MOST];
	size_t kind_count, finalizer_count;
};

struct sweep {
	struct work *work;
	const struct kind *kind;
	struct record *records[DELETES_OF_A_TURN];
	size_t count, all;
};

static bool sweep_each(void *context, struct record *r)
{
	struct sweep *s = context;
	const struct notes *n = notes_of(r);

	s->all++;
	if (n && n->is_ending)
		return true;
	if (s->count == DELETES_OF_A_TURN)
		return false;
	s->records[s->count++] = record_ref(r);
	return true;
}

static void sweep_kind(struct work *w, const struct kind *kind, struct arena *arena)
{
	struct sweep s = { .work = w, .kind = kind };
	struct span prefix = kube_key(kind, name_of(w), (struct span){ 0 }, arena);
	struct error ignored = { 0 };

	(void)store_list(w->set->kube->config.store, prefix, (struct span){ 0 }, 0, sweep_each, &s, &ignored);
	w->found += s.all;
	for (size_t i = 0; i < s.count; i++) {
		struct kube_write write = { .kind = kind,
					    .verb = KUBE_DELETE,
					    .name_space = name_of(w),
					    .name = span_skip(s.records[i]->key, prefix.len),
					    .done = deleted,
					    .context = w };

		w->under_way++;
		w->deletes++;
		kube_write(w->set->kube, &write, arena);
		record_unref(s.records[i]);
	}
}

/* ---- conditions ---- */

static void finalizer_count(struct left *left, struct span name)
{
	for (size_t i = 0; i < left->finalizer_count; i++) {
		if (span_equal(name, span_of(left->finalizers[i].name))) {
			left->finalizers[i].count++;
			return;
		}
	}
	if (left->finalizer_count == NAMES_MOST || name.len >= NAME_BYTES)
		return;
	memcpy(left->finalizers[left->finalizer_count].name, name.ptr, name.len);
	left->finalizers[left->finalizer_count++].count = 1;
}

struct counting {
	struct left *left;
	struct arena *arena;
	size_t count;
};

static bool count_each(void *context, struct record *r)
{
	struct counting *c = context;
	const struct value *list;
	struct value v;
	struct error ignored = { 0 };

	c->count++;
	list = value_parse(r->text, NULL, c->arena, &v, &ignored) ? value_find(&v, "metadata.finalizers") : NULL;
	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_is(value_item(list, i), VALUE_STRING))
			finalizer_count(c->left, value_item(list, i)->string);
	return true;
}

static void left_look(struct work *w, struct left *left, struct arena *arena)
{
	for (const struct kind *const *kind = kube_kinds(w->set->kube); *kind; kind++) {
		struct counting c = { .left = left, .arena = arena };
		struct error ignored = { 0 };

		if (!(*kind)->is_namespaced || !((*kind)->verbs & KUBE_DELETE) || (*kind)->stored_as ||
		    left->kind_count == NAMES_MOST)
			continue;
		(void)store_list(w->set->kube->config.store, kube_key(*kind, name_of(w), (struct span){ 0 }, arena),
				 (struct span){ 0 }, 0, count_each, &c, &ignored);
		if (!c.count)
			continue;
		(void)snprintf(left->kinds[left->kind_count].name, NAME_BYTES, "%s.%s", (*kind)->plural,
			       (*kind)->group);
		left->kinds[left->kind_count++].count = c.count;
	}
}

static bool condition_add(struct value *list, const char *type, bool is_true, const char *reason, struct span message,
			  struct span now, struct arena *arena, struct error *err)
{
	struct value *c = value_append(list, value_object(), arena, err);

	return c && value_set(c, SPAN("type"), value_string(span_of(type)), arena, err) &&
	       value_set(c, SPAN("status"), value_string(is_true ? SPAN("True") : SPAN("False")), arena, err) &&
	       value_set(c, SPAN("lastTransitionTime"), value_string(now), arena, err) &&
	       value_set(c, SPAN("reason"), value_string(span_of(reason)), arena, err) &&
	       value_set(c, SPAN("message"), value_string(message), arena, err);
}

static struct span left_text(const struct left *left, struct arena *arena, struct error *err, bool of_finalizers)
{
	struct buffer text;
	struct span kept;

	buffer_init(&text, KIB(64));
	if (of_finalizers) {
		buffer_append(&text, SPAN("Some content in the namespace has finalizers remaining: "));
		for (size_t i = 0; i < left->finalizer_count; i++)
			buffer_print(&text, "%s%s in %zu resource instances", i ? ", " : "", left->finalizers[i].name,
				     left->finalizers[i].count);
	} else {
		buffer_append(&text, SPAN("Some resources are remaining: "));
		for (size_t i = 0; i < left->kind_count; i++)
			buffer_print(&text, "%s%s has %zu resource instances", i ? ", " : "", left->kinds[i].name,
				     left->kinds[i].count);
	}
	kept = arena_copy(arena, buffer_span(&text), err);
	buffer_done(&text);
	return kept;
}

static void told(void *context, const struct value *object, const struct error *err)
{
	struct work *w = context;

	(void)object;
	(void)err; /* the next look tells it again */
	w->under_way--;
	if (!w->under_way && w->is_over && !w->set->is_closing)
		work_free(w);
}

/* Says in status.conditions what keeps the namespace. */
static void tell(struct work *w, struct arena *arena)
{
	const struct kind *kind = kube_kind(w->set->kube, SPAN(""), SPAN("v1"), SPAN("namespaces"));
	struct left *left = base_calloc(1, sizeof(*left));
	struct span now = kube_now_text(kube_wall_ns(w->set->kube), arena);
	struct value list = value_array(), *object, *status;
	struct kube_write write = { .kind = kind,
				    .verb = KUBE_UPDATE,
				    .subresource = SPAN("status"),
				    .name = name_of(w),
				    .manager = SPAN("kube-controller-manager"),
				    .done = told,
				    .context = w };
	struct error err = { 0 };

	left_look(w, left, arena);
	object = write.object =
	    kind ? kube_object(w->set->kube, kind, (struct span){ 0 }, name_of(w), true, arena, &err) : NULL;
	status = object ? value_ensure_object(object, SPAN("status"), arena, &err) : NULL;
	if (status && left->kind_count &&
	    condition_add(&list, "NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered",
			  SPAN("All resources successfully discovered"), now, arena, &err) &&
	    condition_add(&list, "NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions",
			  SPAN("All legacy kube types successfully parsed"), now, arena, &err) &&
	    condition_add(&list, "NamespaceDeletionContentFailure", false, "ContentDeleted",
			  SPAN("All content successfully deleted, may be waiting on finalization"), now, arena, &err) &&
	    condition_add(&list, "NamespaceContentRemaining", true, "SomeResourcesRemain",
			  left_text(left, arena, &err, false), now, arena, &err) &&
	    (!left->finalizer_count ||
	     condition_add(&list, "NamespaceFinalizersRemaining", true, "SomeFinalizersRemain",
			   left_text(left, arena, &err, true), now, arena, &err)) &&
	    left->kind_count + left->finalizer_count != w->told &&
	    value_set(status, SPAN("conditions"), list, arena, &err)) {
		w->told = left->kind_count + left->finalizer_count;
		w->under_way++;
		kube_write(w->set->kube, &write, arena);
	}
	free(left);
}

static bool is_durable(const struct work *w, const struct kind *kind, struct arena *arena)
{
	struct span key = kube_key(kind, (struct span){ 0 }, name_of(w), arena);

	return key.ptr && store_get(w->set->kube->config.store, key);
}

/* Empty: the finalizer goes, and with it the namespace. */
static void finalize(struct work *w, struct arena *arena)
{
	const struct kind *kind = kube_kind(w->set->kube, SPAN(""), SPAN("v1"), SPAN("namespaces"));
	struct error err = { 0 };
	struct value *object =
	    kind ? kube_object(w->set->kube, kind, (struct span){ 0 }, name_of(w), true, arena, &err) : NULL;
	struct value *spec = object ? value_get(object, SPAN("spec")) : NULL;
	struct kube_write write = { .kind = kind,
				    .verb = KUBE_UPDATE,
				    .subresource = SPAN("finalize"),
				    .name = name_of(w),
				    .object = object,
				    .manager = SPAN("kube-controller-manager"),
				    .done = deleted,
				    .context = w };

	if (!object || !value_find(object, "metadata.deletionTimestamp")) {
		/* A deletion that is under way may fail yet. */
		w->is_over = object || !kind || !is_durable(w, kind, arena);
		return;
	}
	if (value_is(spec, VALUE_OBJECT))
		(void)value_remove(spec, SPAN("finalizers"));
	w->under_way++;
	kube_write(w->set->kube, &write, arena);
}

static void end_step(struct work *w)
{
	struct namespaces *set = w->set;
	struct arena arena;

	arena_init(&arena, MIB(64));
	w->found = w->deletes = 0;
	w->under_way++; /* so that deletes that end at once do not call us from inside */
	for (const struct kind *const *kind = kube_kinds(set->kube); *kind; kind++)
		if ((*kind)->is_namespaced && (*kind)->verbs & KUBE_DELETE && w->under_way < DELETES_OF_A_TURN)
			sweep_kind(w, *kind, &arena);
	if (!w->found)
		finalize(w, &arena);
	else if (!w->deletes)
		tell(w, &arena);
	w->under_way--;
	arena_done(&arena);
	if (w->is_over) {
		if (!w->under_way)
			work_free(w);
		return;
	}
	/* What finalizers keep is looked at again now and then. */
	w->again_ns = w->deletes ? AGAIN_LEAST_NS : MIN(2 * w->again_ns, AGAIN_MOST_NS);
	if (!timer_is_set(&w->timer))
		loop_timer_set(set->kube->config.loop, &w->timer, loop_now(set->kube->config.loop) + w->again_ns,
			       again);
}

static void end_begin(struct namespaces *s, struct span name)
{
	struct work *w;

	for (w = s->first; w; w = w->next)
		if (!w->is_over && span_equal(name, name_of(w)))
			return;
	w = base_calloc(1, sizeof(*w) + name.len);
	w->set = s;
	w->again_ns = AGAIN_LEAST_NS;
	w->len = (uint32_t)name.len;
	memcpy(w->name, name.ptr, name.len);
	w->next = s->first;
	s->first = w;
	loop_timer_set(s->kube->config.loop, &w->timer, loop_now(s->kube->config.loop), again);
}

static void end_over(struct namespaces *s, struct span name)
{
	for (struct work *w = s->first; w; w = w->next) {
		if (w->is_over || !span_equal(name, name_of(w)))
			continue;
		if (w->under_way)
			w->is_over = true;
		else
			work_free(w);
		return;
	}
}

/* ---- changes ---- */

static void namespace_seen(struct namespaces *s, const struct record *r)
{
	struct span name = span_skip(r->key, strlen(NAMESPACES));

	if (notes_of(r) && notes_of(r)->is_ending)
		end_begin(s, name);
	else
		give(s, name);
}

static void namespace_event(struct store_watcher *watcher, const struct store_event *e)
{
	struct namespaces *s = CONTAINER_OF(watcher, struct namespaces, watchers[0]);

	if (e->record->is_deletion)
		end_over(s, span_skip(e->record->key, strlen(NAMESPACES)));
	else
		namespace_seen(s, e->record);
}

/* One of the two was deleted: it comes back, unless its namespace is ending. */
static void given_event(struct namespaces *s, const struct store_event *e, struct span prefix, struct span name)
{
	struct span rest = span_skip(e->record->key, prefix.len), name_space;
	struct span key;
	const struct record *r;
	struct error ignored = { 0 };
	struct arena arena;

	if (!e->record->is_deletion)
		return;
	name_space = span_cut(&rest, '/');
	if (!span_equal(rest, name))
		return;
	arena_init(&arena, KIB(64));
	key = arena_print(&arena, &ignored, NAMESPACES SPAN_FMT, SPAN_ARG(name_space));
	r = key.ptr ? store_latest(s->kube->config.store, key) : NULL;
	if (r && !(notes_of(r) && notes_of(r)->is_ending))
		give(s, name_space);
	arena_done(&arena);
}

static void account_event(struct store_watcher *watcher, const struct store_event *e)
{
	given_event(CONTAINER_OF(watcher, struct namespaces, watchers[1]), e, SPAN("/core/serviceaccounts/"),
		    SPAN("default"));
}

static void root_event(struct store_watcher *watcher, const struct store_event *e)
{
	given_event(CONTAINER_OF(watcher, struct namespaces, watchers[2]), e, SPAN("/core/configmaps/"),
		    SPAN("kube-root-ca.crt"));
}

static bool first_each(void *context, struct record *r)
{
	struct sweep *s = context;

	if (s->count < DELETES_OF_A_TURN)
		s->records[s->count++] = record_ref(r);
	return true;
}

/* Namespaces of the last run: what they lack is given, what was ending goes on. No write may be proposed inside store_list(). */
static bool first_look(struct namespaces *n, struct error *err)
{
	struct span start = { 0 };
	struct arena arena;
	bool good = true;

	arena_init(&arena, MIB(1));
	for (bool more = true; more && good;) {
		struct sweep s = { 0 };

		good = store_list(n->kube->config.store, SPAN(NAMESPACES), start, 0, first_each, &s, err);
		more = s.count == DELETES_OF_A_TURN;
		for (size_t i = 0; i < s.count; i++) {
			namespace_seen(n, s.records[i]);
			if (more && i + 1 == s.count)
				start = arena_print(&arena, err, SPAN_FMT "\x01", SPAN_ARG(s.records[i]->key));
			record_unref(s.records[i]);
		}
	}
	arena_done(&arena);
	return good;
}

static void make_first_ones(struct namespaces *s)
{
	static const char *const names[] = { "default", "kube-system", "kube-public", "kube-node-lease" };
	struct arena arena;

	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!exists(s, "namespaces", (struct span){ 0 }, names[i], &arena))
			create(s, "namespaces", (struct span){ 0 },
			       object_new("Namespace", (struct span){ 0 }, span_of(names[i]), &arena), &arena);
	arena_done(&arena);
}

void namespaces_resume(struct namespaces *n)
{
	struct error ignored = { 0 };

	make_first_ones(n);
	(void)first_look(n, &ignored);
}

struct namespaces *namespaces_new(struct kube *k, struct error *err)
{
	static const struct span prefixes[] = { SPAN_INIT(NAMESPACES), SPAN_INIT("/core/serviceaccounts/"),
						SPAN_INIT("/core/configmaps/") };
	struct namespaces *s = base_calloc(1, sizeof(*s));

	s->kube = k;
	s->watchers[0].event = namespace_event;
	s->watchers[1].event = account_event;
	s->watchers[2].event = root_event;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		s->watches[i] =
		    store_watch(k->config.store, prefixes[i], store_revision(k->config.store), &s->watchers[i], err);
		if (!s->watches[i]) {
			namespaces_free(s);
			return NULL;
		}
	}
	if (!first_look(s, err)) {
		namespaces_free(s);
		return NULL;
	}
	make_first_ones(s);
	return s;
}

void namespaces_stop(struct namespaces *s)
{
	if (!s || s->is_closing)
		return;
	s->is_closing = true;
	for (size_t i = 0; i < ARRAY_LEN(s->watches); i++)
		if (s->watches[i])
			store_unwatch(s->watches[i]);
	for (struct work *w = s->first; w; w = w->next)
		if (timer_is_set(&w->timer))
			loop_timer_clear(s->kube->config.loop, &w->timer);
}

void namespaces_free(struct namespaces *s)
{
	if (!s)
		return;
	namespaces_stop(s);
	while (s->first)
		work_free(s->first);
	free(s);
}
