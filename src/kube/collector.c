/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector - dependents of what is deleted.
 *
 * It watches every object and knows, for each uid that is named as an owner, the keys of those that name it. What is to be looked
 * at waits in a queue; looking at an object twice does no harm.
 *
 * An object whose owners are all gone is deleted. One that waits with the finalizer foregroundDeletion is freed when none that blocks
 * it is left; one with the finalizer orphan when no dependent names it any more.
 */
#include "kube/kube_private.h"

#include "base/clock.h"
#include "kube/crd/crd.h"

#include <stdlib.h>

enum { STEPS_OF_A_TURN = 64, UNDER_WAY_MOST = 256, BUCKETS_LEAST = 256 };

struct edge {
	struct edge *next;
	bool blocks;
	uint32_t len;
	char key[]; /* of the dependent */
};

struct owner {
	struct owner *next;
	uint64_t hash;
	struct edge *edges;
	bool is_left; /* a dependent could not be written */
	bool is_gone; /* it was deleted: nobody need serve its kind any more */
	uint32_t len;
	char uid[];
};

struct step {
	struct step *next;
	uint32_t len;
	char key[];
};

struct collector {
	struct kube *kube;
	struct store_watcher watcher;
	struct store_watch *watch;
	struct owner **buckets;
	size_t bucket_count, owner_count;
	struct step *first, **end;
	size_t under_way;
	struct loop_task task;
	struct timer timer;
	bool is_closing;
};

/* ---- who names whom ---- */

static struct owner *owner_find(struct collector *c, struct span uid)
{
	uint64_t hash = span_hash(uid);

	for (struct owner *o = c->buckets[hash & (c->bucket_count - 1)]; o; o = o->next)
		if (o->hash == hash && span_equal(uid, span_from(o->uid, o->len)))
			return o;
	return NULL;
}

static void buckets_grow(struct collector *c)
{
	size_t count = c->bucket_count * 2;
	struct owner **larger = base_calloc(count, sizeof(struct owner *));

	for (size_t i = 0; i < c->bucket_count; i++) {
		while (c->buckets[i]) {
			struct owner *o = c->buckets[i];

			c->buckets[i] = o->next;
			o->next = larger[o->hash & (count - 1)];
			larger[o->hash & (count - 1)] = o;
		}
	}
	free(c->buckets);
	c->buckets = larger;
	c->bucket_count = count;
}

static struct owner *owner_ensure(struct collector *c, struct span uid)
{
	struct owner *o = owner_find(c, uid);

	if (o)
		return o;
	if (c->owner_count > c->bucket_count)
		buckets_grow(c);
	o = base_calloc(1, sizeof(*o) + uid.len);
	o->hash = span_hash(uid);
	o->len = (uint32_t)uid.len;
	memcpy(o->uid, uid.ptr, uid.len);
	o->next = c->buckets[o->hash & (c->bucket_count - 1)];
	c->buckets[o->hash & (c->bucket_count - 1)] = o;
	c->owner_count++;
	return o;
}

static void owner_drop(struct collector *c, struct owner *gone)
{
	for (struct owner **at = &c->buckets[gone->hash & (c->bucket_count - 1)]; *at; at = &(*at)->next) {
		if (*at != gone)
			continue;
		*at = gone->next;
		free(gone);
		c->owner_count--;
		return;
	}
}

static void edge_add(struct collector *c, const struct owner_note *note, struct span key)
{
	struct owner *o = owner_ensure(c, note->uid);
	struct edge *e = base_calloc(1, sizeof(*e) + key.len);

	e->blocks = note->blocks;
	e->len = (uint32_t)key.len;
	memcpy(e->key, key.ptr, key.len);
	e->next = o->edges;
	o->edges = e;
}

static void edge_remove(struct collector *c, struct span uid, struct span key)
{
	struct owner *o = owner_find(c, uid);

	for (struct edge **at = o ? &o->edges : NULL; at && *at; at = &(*at)->next) {
		struct edge *e = *at;

		if (!span_equal(key, span_from(e->key, e->len)))
			continue;
		*at = e->next;
		free(e);
		break;
	}
}

/* Behind all changes of edges: what is known of an owner stays while a dependent is changed. */
static void owner_tidy(struct collector *c, struct span uid)
{
	struct owner *o = owner_find(c, uid);

	if (o && !o->edges)
		owner_drop(c, o);
}

/* ---- the queue ---- */

static void run(struct collector *c);

static void run_deferred(struct loop_task *t)
{
	run(CONTAINER_OF(t, struct collector, task));
}

static void run_timed(struct timer *t)
{
	run(CONTAINER_OF(t, struct collector, timer));
}

static void enqueue(struct collector *c, struct span key)
{
	struct step *s;

	if (c->is_closing)
		return;
	s = base_alloc(sizeof(*s) + key.len);
	s->next = NULL;
	s->len = (uint32_t)key.len;
	memcpy(s->key, key.ptr, key.len);
	*c->end = s;
	c->end = &s->next;
	loop_defer(c->kube->config.loop, &c->task);
}

static void enqueue_dependents(struct collector *c, struct span uid)
{
	struct owner *o = owner_find(c, uid);

	for (struct edge *e = o ? o->edges : NULL; e; e = e->next)
		enqueue(c, span_from(e->key, e->len));
}

static void owner_gone(struct collector *c, struct span uid)
{
	struct owner *o = owner_find(c, uid);

	if (o)
		o->is_gone = true;
	enqueue_dependents(c, uid);
}

/* ---- objects by their references ---- */

static struct span part_of(struct span *rest)
{
	return span_cut(rest, '/');
}

struct place_of_key {
	const struct kind *kind;
	struct span name_space, name;
};

static bool key_read(struct collector *c, struct span key, struct place_of_key *ret)
{
	struct span rest = span_skip(key, 1), group = part_of(&rest), plural = part_of(&rest);

	ret->name_space = part_of(&rest);
	ret->name = rest;
	if (span_equal(group, SPAN("core")))
		group = SPAN("");
	if (span_equal(ret->name_space, SPAN("-")))
		ret->name_space = SPAN("");
	ret->kind = kube_kind(c->kube, group, (struct span){ 0 }, plural);
	return ret->kind != NULL;
}

/* The version that it is stored in: no webhook has to be asked to read it. */
static const struct kind *kind_of_record(const struct kind *kind, const struct record *r)
{
	const struct custom_version *v = custom_of(kind);

	for (size_t i = 0; v && i < v->form->count; i++) {
		const struct custom_version *other = &v->form->versions[i];

		if (other->is_served && record_is_of_version(&other->kind, r))
			return &other->kind;
	}
	return kind;
}

/* The key of what an owner reference of an object in this namespace names; ptr NULL when nobody serves the kind. */
static struct span reference_key(struct collector *c, const struct value *reference, struct span name_space,
				 struct arena *arena)
{
	struct span version = get_string(reference, "apiVersion"), group = { "", 0 };
	const struct kind *kind;

	if (span_index(version, '/') < version.len)
		group = span_cut(&version, '/');
	kind = kube_kind_named(c->kube, group, version, get_string(reference, "kind"));
	if (!kind) /* another version of it will do */
		kind = kube_kind_named(c->kube, group, (struct span){ 0 }, get_string(reference, "kind"));
	if (!kind || (kind->is_namespaced && !name_space.len))
		return (struct span){ 0 };
	return kube_key(kind, kind->is_namespaced ? name_space : (struct span){ 0 }, get_string(reference, "name"),
			arena);
}

/* ---- writes ---- */

/* What is refused for another reason waits for collector_resume(). */
static void leave(struct collector *c, struct span key, const struct error *err)
{
	const struct record *r = store_latest(c->kube->config.store, key);
	const struct notes *n = r ? notes_of(r) : NULL;

	for (uint32_t i = 0; n && i < n->owner_count; i++) {
		struct owner *o = owner_find(c, n->owners[i].uid);

		if (o)
			o->is_left = true;
	}
	kube_write_ended(c->kube, err);
}

static void written(void *context, const struct value *object, const struct error *err)
{
	struct step *s = context;
	struct collector *c;

	(void)object;
	memcpy(&c, s->key + s->len, sizeof(c)); /* behind the key: see step_keep() */
	c->under_way--;
	/* A conflict is somebody else's write, which is looked at anew; so is the object after our own. */
	if (!err || err->code == ERROR_CONFLICT)
		enqueue(c, span_from(s->key, s->len));
	else
		leave(c, span_from(s->key, s->len), err);
	free(s);
}

/* What a write carries until it is done: the key to look at again, and the collector behind it. */
static struct step *step_keep(struct collector *c, struct span key)
{
	struct step *s = base_alloc(sizeof(*s) + key.len + sizeof(c));

	s->len = (uint32_t)key.len;
	memcpy(s->key, key.ptr, key.len);
	memcpy(s->key + key.len, &c, sizeof(c));
	return s;
}

static struct kube_write write_of(struct collector *c, const struct place_of_key *p, enum kube_verb verb,
				  struct value *object, struct span again)
{
	return (struct kube_write){ .kind = p->kind,
				    .verb = verb,
				    .name_space = p->name_space,
				    .name = p->name,
				    .object = object,
				    .manager = SPAN("hythe-collector"),
				    .done = written,
				    .context = step_keep(c, again) };
}

static void update(struct collector *c, const struct place_of_key *p, struct value *object, struct span again)
{
	struct kube_write w = write_of(c, p, KUBE_UPDATE, object, again);

	c->under_way++;
	kube_write(c->kube, &w, NULL);
}

static void delete (struct collector *c, const struct place_of_key *p, struct span uid, enum propagation propagation,
		    struct span again)
{
	struct kube_write w = write_of(c, p, KUBE_DELETE, NULL, again);
	struct error ignored = { 0 };
	struct call *call;

	c->under_way++;
	call = kube_write_prepare(c->kube, &w);
	call->options.propagation = propagation;
	call->options.precondition_uid = arena_copy(&call->arena, uid, &ignored);
	call->options.has_precondition_uid = true;
	call->run(call);
}

/* ---- steps ---- */

static bool list_drop(struct value *list, struct span text)
{
	for (uint32_t i = 0; i < value_count(list); i++) {
		if (value_is(value_item(list, i), VALUE_STRING) && span_equal(value_item(list, i)->string, text)) {
			value_remove_item(list, i);
			return true;
		}
	}
	return false;
}

static void finalizer_remove(struct collector *c, const struct place_of_key *p, struct value *object, struct span name,
			     struct span key)
{
	struct value *list = value_find(object, "metadata.finalizers");

	if (list_drop(list, name))
		update(c, p, object, key);
}

/* Takes the reference to a uid out of each dependent; once none is left the owner may go. */
static void orphan_step(struct collector *c, const struct place_of_key *p, struct value *object, struct span key,
			struct arena *arena)
{
	struct span uid = value_find_string(object, "metadata.uid");
	struct owner *o = owner_find(c, uid);

	if (!o) {
		finalizer_remove(c, p, object, SPAN("orphan"), key);
		return;
	}
	for (struct edge *e = o->edges; e; e = e->next) {
		struct place_of_key of;
		struct error err = { 0 };
		struct value *dependent, *list;
		const struct record *r;

		r = store_latest(c->kube->config.store, span_from(e->key, e->len));
		if (!r || !key_read(c, span_from(e->key, e->len), &of))
			continue;
		of.kind = kind_of_record(of.kind, r);
		dependent = record_object(of.kind, r, arena, &err);
		list = value_find(dependent, "metadata.ownerReferences");
		for (uint32_t i = value_count(list); i-- > 0;)
			if (span_equal(get_string(value_item(list, i), "uid"), uid))
				value_remove_item(list, i);
		if (!list)
			continue;
		if (!list->array.count)
			(void)value_remove(value_get(dependent, SPAN("metadata")), SPAN("ownerReferences"));
		update(c, &of, dependent, key);
		if (c->under_way >= UNDER_WAY_MOST)
			return; /* each that is done brings us back */
	}
}

static void foreground_step(struct collector *c, const struct place_of_key *p, struct value *object, struct span key)
{
	struct span uid = value_find_string(object, "metadata.uid");
	struct owner *o = owner_find(c, uid);

	for (struct edge *e = o ? o->edges : NULL; e; e = e->next)
		if (e->blocks)
			return; /* its end brings us back */
	finalizer_remove(c, p, object, SPAN("foregroundDeletion"), key);
}

struct owners_seen {
	uint32_t solid, waiting, gone, unknown;
};

/* Which of its owners are there; references to others are taken out of `list` when a solid one remains. */
static struct owners_seen owners_look(struct collector *c, struct value *list, struct span name_space, bool *is_solid,
				      struct arena *arena)
{
	struct owners_seen seen = { 0 };

	for (uint32_t i = 0; i < list->array.count; i++) {
		const struct value *reference = value_item(list, i);
		struct span key = reference_key(c, reference, name_space, arena);
		const struct record *r = key.ptr ? store_latest(c->kube->config.store, key) : NULL;
		const struct notes *n = r ? notes_of(r) : NULL;

		const struct owner *o = owner_find(c, get_string(reference, "uid"));

		is_solid[i] = true;
		if (!key.ptr && o && o->is_gone) {
			seen.gone++;
			is_solid[i] = false;
		} else if (!key.ptr) {
			seen.unknown++;
		} else if (!n || !span_equal(n->uid, get_string(reference, "uid"))) {
			seen.gone++;
			is_solid[i] = false;
		} else if (n->is_ending && n->is_foreground) {
			seen.waiting++;
			is_solid[i] = false;
		} else {
			seen.solid++;
		}
	}
	return seen;
}

static void dependent_step(struct collector *c, const struct place_of_key *p, struct value *object,
			   const struct notes *notes, struct span key, struct arena *arena)
{
	struct value *list = value_find(object, "metadata.ownerReferences");
	struct error err = { 0 };
	struct owners_seen seen;
	bool *is_solid, has_dependents;

	if (!value_is(list, VALUE_ARRAY) || !list->array.count)
		return;
	is_solid = ARENA_ARRAY(arena, bool, list->array.count, &err);
	if (!is_solid)
		return;
	seen = owners_look(c, list, p->name_space, is_solid, arena);
	if (seen.unknown || (!seen.gone && !seen.waiting))
		return;
	if (seen.solid) {
		for (uint32_t i = list->array.count; i-- > 0;)
			if (!is_solid[i])
				value_remove_item(list, i);
		update(c, p, object, key);
		return;
	}
	has_dependents = owner_find(c, notes->uid) != NULL;
	delete (c, p, notes->uid,
		notes->is_orphan                                           ? PROPAGATE_ORPHAN
		: notes->is_foreground || (seen.waiting && has_dependents) ? PROPAGATE_FOREGROUND
									   : PROPAGATE_BACKGROUND,
		key);
}

static void look(struct collector *c, struct span key)
{
	struct record *r = store_latest(c->kube->config.store, key);
	const struct notes *n = r ? notes_of(r) : NULL;
	struct place_of_key p;
	struct value *object;
	struct error err = { 0 };
	struct arena arena;

	if (!n || !(n->owner_count || n->is_foreground || n->is_orphan) || !key_read(c, key, &p))
		return;
	p.kind = kind_of_record(p.kind, r);
	arena_init(&arena, MIB(256));
	object = record_object(p.kind, r, &arena, &err);
	if (!object)
		(void)err; /* damaged: whoever reads it is told */
	else if (n->is_ending && n->is_orphan)
		orphan_step(c, &p, object, key, &arena);
	else if (n->is_ending && n->is_foreground)
		foreground_step(c, &p, object, key);
	else if (!n->is_ending && n->owner_count)
		dependent_step(c, &p, object, n, key, &arena);
	arena_done(&arena);
}

static void run(struct collector *c)
{
	for (int i = 0; i < STEPS_OF_A_TURN && c->first && c->under_way < UNDER_WAY_MOST; i++) {
		struct step *s = c->first;

		c->first = s->next;
		if (!c->first)
			c->end = &c->first;
		look(c, span_from(s->key, s->len));
		free(s);
	}
	if (c->first && !timer_is_set(&c->timer))
		loop_timer_set(c->kube->config.loop, &c->timer,
			       loop_now(c->kube->config.loop) + (c->under_way < UNDER_WAY_MOST ? 0 : NS_PER_MS),
			       run_timed);
}

/* ---- changes ---- */

/* Owners that wait for this one to go. */
static void enqueue_owners(struct collector *c, const struct record *r)
{
	const struct notes *n = notes_of(r);
	struct place_of_key p;
	struct error err = { 0 };
	struct value object, *list;
	struct arena arena;

	if (!n || !n->owner_count || !key_read(c, r->key, &p))
		return;
	arena_init(&arena, MIB(256));
	list =
	    value_parse(r->text, NULL, &arena, &object, &err) ? value_find(&object, "metadata.ownerReferences") : NULL;
	for (uint32_t i = 0; i < value_count(list); i++) {
		struct span key = reference_key(c, value_item(list, i), p.name_space, &arena);

		if (key.ptr)
			enqueue(c, key);
	}
	arena_done(&arena);
}

static void note_record(struct collector *c, const struct record *r)
{
	const struct notes *n = notes_of(r);
	struct owner *own = n ? owner_find(c, n->uid) : NULL;

	if (!n)
		return;
	if (own)
		own->is_gone = false; /* a backup brings back what was deleted */
	for (uint32_t i = 0; i < n->owner_count; i++)
		edge_add(c, &n->owners[i], r->key);
	if (n->owner_count || (n->is_ending && (n->is_foreground || n->is_orphan)))
		enqueue(c, r->key);
	if (n->is_ending && n->is_foreground)
		enqueue_dependents(c, n->uid);
}

static void event(struct store_watcher *w, const struct store_event *e)
{
	struct collector *c = CONTAINER_OF(w, struct collector, watcher);
	const struct record *before = e->previous;
	const struct notes *n = before ? notes_of(before) : NULL;

	for (uint32_t i = 0; n && i < n->owner_count; i++)
		edge_remove(c, n->owners[i].uid, before->key);
	if (!e->record->is_deletion)
		note_record(c, e->record);
	for (uint32_t i = 0; n && i < n->owner_count; i++)
		owner_tidy(c, n->owners[i].uid);
	if (!before)
		return;
	enqueue_owners(c, before); /* it may have let one go */
	if (e->record->is_deletion && n)
		owner_gone(c, n->uid);
}

static bool first_each(void *context, struct record *r)
{
	note_record(context, r);
	return true;
}

/* Those that wait for the collector itself. */
static bool ending_each(void *context, struct record *r)
{
	struct collector *c = context;
	const struct notes *n = notes_of(r);

	if (n && n->is_ending && (n->is_foreground || n->is_orphan))
		enqueue(c, r->key);
	return true;
}

void collector_resume(struct collector *c)
{
	struct error ignored = { 0 };

	for (size_t i = 0; i < c->bucket_count; i++) {
		for (struct owner *o = c->buckets[i]; o; o = o->next) {
			if (o->is_left)
				enqueue_dependents(c, span_from(o->uid, o->len));
			o->is_left = false;
		}
	}
	(void)store_list(c->kube->config.store, SPAN("/"), (struct span){ 0 }, 0, ending_each, c, &ignored);
}

struct collector *collector_new(struct kube *k, struct error *err)
{
	struct collector *c = base_calloc(1, sizeof(*c));

	c->kube = k;
	c->bucket_count = BUCKETS_LEAST;
	c->buckets = base_calloc(c->bucket_count, sizeof(*c->buckets));
	c->end = &c->first;
	c->task.run = run_deferred;
	c->watcher.event = event;
	if (store_list(k->config.store, SPAN("/"), (struct span){ 0 }, 0, first_each, c, err))
		c->watch = store_watch(k->config.store, SPAN("/"), store_revision(k->config.store), &c->watcher, err);
	if (c->watch)
		return c;
	collector_free(c);
	return NULL;
}

void collector_stop(struct collector *c)
{
	if (!c || c->is_closing)
		return;
	c->is_closing = true;
	if (c->watch)
		store_unwatch(c->watch);
	loop_undefer(c->kube->config.loop, &c->task);
	if (timer_is_set(&c->timer))
		loop_timer_clear(c->kube->config.loop, &c->timer);
}

void collector_free(struct collector *c)
{
	if (!c)
		return;
	collector_stop(c);
	for (size_t i = 0; i < c->bucket_count; i++) {
		while (c->buckets[i]) {
			struct owner *o = c->buckets[i];

			c->buckets[i] = o->next;
			while (o->edges) {
				struct edge *e = o->edges;

				o->edges = e->next;
				free(e);
			}
			free(o);
		}
	}
	while (c->first) {
		struct step *s = c->first;

		c->first = s->next;
		free(s);
	}
	free(c->buckets);
	free(c);
}
