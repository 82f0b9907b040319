/* SPDX-License-Identifier: Apache-2.0 */
/* manager - calls, which changes wake whom, and which controllers run. */
#include "controllers/manager_private.h"

#include <stdlib.h>

#include "base/clock.h"

enum { CALLS_OF_A_TURN = 32 };

int64_t manager_now(const struct manager *m)
{
	return m->config.wall_ns ? m->config.wall_ns(m->config.context) : clock_wall_ns();
}

/* ---- calls ---- */

static void call(struct work *w)
{
	struct manager *m = w->manager;
	struct error err = { 0 }, refused;
	struct record *found;
	struct reconcile r = { .manager = m,
			       .controller = w->controller,
			       .cluster = m->config.cluster,
			       .arena = &m->arena,
			       .err = &err,
			       .name_space = work_name_space(w),
			       .name = work_name(w),
			       .now_ns = manager_now(m),
			       .started_ns = m->started_ns,
			       .is_due = w->is_due,
			       .config = &m->config,
			       .work = w };

	due_remove(m, w);
	w->is_due = false;
	w->is_busy = true;
	refused = w->refused;
	r.refused = span_of(refused.message);
	w->refused = w->error = (struct error){ 0 };
	w->parts = 1;
	m->busy++;
	found = cluster_get(r.cluster, w->controller->resource, r.name_space, r.name);
	if (found)
		r.object = cluster_object(r.cluster, w->controller->resource, found, r.arena, &err);
	if (!err.code)
		w->controller->reconcile(&r);
	if (err.code)
		w->error = err;
	writes_start(w, !err.code);
	arena_clear(&m->arena);
	work_part_done(w);
}

void manager_run(struct manager *m)
{
	int64_t now = manager_now(m);
	struct work *w;

	if (m->is_stopped)
		return;
	while (m->due_count && m->due[0]->due_ns <= now) {
		w = m->due[0];
		due_remove(m, w);
		w->is_due = true;
		work_enqueue(w);
	}
	for (int i = 0; i < CALLS_OF_A_TURN && (w = work_next(m)); i++)
		call(w);
	timer_arm(m);
}

void manager_tick(struct manager *m)
{
	manager_run(m);
}

struct cluster *manager_cluster(const struct manager *m)
{
	return m->config.cluster;
}

bool manager_is_idle(const struct manager *m)
{
	return !m->first && !m->busy;
}

/* ---- memory of controllers ---- */

struct memory {
	struct memory *next;
	const struct controller *controller;
	max_align_t bytes[];
};

void *manager_memory(struct manager *m, const struct controller *c)
{
	struct memory *own = m->memories;

	while (own && own->controller != c)
		own = own->next;
	if (own)
		return own->bytes;
	own = base_calloc(1, sizeof(*own) + c->memory_size);
	own->controller = c;
	own->next = m->memories;
	m->memories = own;
	return own->bytes;
}

static void memories_free(struct manager *m)
{
	while (m->memories) {
		struct memory *own = m->memories;

		m->memories = own->next;
		if (own->controller->drop)
			own->controller->drop(own->bytes);
		free(own);
	}
}

/* ---- what wakes whom ---- */

struct following {
	struct following *next;
	struct manager *manager;
	const struct controller *controller;
	const struct resource *resource;
	bool is_read; /* by wakes() */
	bool is_quiet;
};

static bool wake_one(void *context, struct record *r)
{
	const struct following *f = context;
	struct span key = r->key, parts[4];

	key = span_skip(key, 1);
	for (size_t i = 0; i < ARRAY_LEN(parts) - 1; i++)
		parts[i] = span_cut(&key, '/');
	manager_wake(f->manager, f->controller, parts[2], key);
	return true;
}

static const struct value *controller_reference(const struct value *object)
{
	const struct value *owners = value_find(object, "metadata.ownerReferences");

	for (uint32_t i = 0; i < value_count(owners); i++)
		if (value_find_bool(value_item(owners, i), "controller"))
			return value_item(owners, i);
	return NULL;
}

/* Whoever controls it, by its kind and name. True: somebody does. */
static bool wake_owner(struct manager *m, const struct controller *c, const struct value *object)
{
	const struct value *o = controller_reference(object);

	if (o && span_equal(value_find_string(o, "kind"), span_of(c->resource->kind)))
		manager_wake(m, c, value_find_string(object, "metadata.namespace"), value_find_string(o, "name"));
	return o != NULL;
}

void manager_wake_grandparent(struct manager *m, const struct controller *c, const struct resource *parent,
			      const struct value *object)
{
	const struct value *o = controller_reference(object), *found;
	struct error ignored = { 0 };
	struct record *record;
	struct arena arena;

	if (!o || !span_equal(value_find_string(o, "kind"), span_of(parent->kind)))
		return;
	record = cluster_get(m->config.cluster, parent, value_find_string(object, "metadata.namespace"),
			     value_find_string(o, "name"));
	if (!record)
		return;
	arena_init(&arena, RECONCILE_MEMORY);
	found = cluster_object(m->config.cluster, parent, record, &arena, &ignored);
	if (found)
		(void)wake_owner(m, c, found);
	arena_done(&arena);
}

struct matching {
	struct manager *manager;
	const struct controller *controller;
	const struct value *other;
	struct arena *arena;
};

static bool wake_if_taken(void *context, struct record *r)
{
	const struct matching *w = context;
	struct error ignored = { 0 };
	const struct value *object =
	    cluster_object(w->manager->config.cluster, w->controller->resource, r, w->arena, &ignored);

	if (object && w->controller->takes(object, w->other))
		manager_wake(w->manager, w->controller, value_find_string(object, "metadata.namespace"),
			     value_find_string(object, "metadata.name"));
	return true;
}

void manager_wake_matching(struct manager *m, const struct controller *c, const struct value *other)
{
	struct arena arena;
	struct matching w = { m, c, other, &arena };

	arena_init(&arena, RECONCILE_MEMORY);
	cluster_each(m->config.cluster, c->resource, value_find_string(other, "metadata.namespace"), wake_if_taken, &w);
	arena_done(&arena);
}

static void version_seen(const struct following *f, const struct sighting *s, struct record *r, bool may_be_taken)
{
	struct manager *m = f->manager;
	struct error err = { 0 };
	const struct value *object;
	struct arena arena; /* the manager's own is in use when a write is done inside a call */

	if (!r || (f->resource != f->controller->resource && !f->is_read && !record_has_owner(r) && !may_be_taken))
		return;
	arena_init(&arena, RECONCILE_MEMORY);
	object = cluster_object(m->config.cluster, f->resource, r, &arena, &err);
	if (object && f->is_read)
		f->controller->wakes(m, f->controller, f->resource, object);
	else if (object && !wake_owner(m, f->controller, object) && may_be_taken) {
		cluster_each(m->config.cluster, f->controller->resource, s->name_space, wake_one, (void *)f);
		if (f->controller->unowned)
			f->controller->unowned(m, f->controller, object);
	}
	arena_done(&arena);
}

/* When the object is to be looked at; 0: at once. */
static int64_t change_when(const struct following *f, const struct sighting *s)
{
	const struct controller *c = f->controller;
	struct error ignored = { 0 };
	const struct value *before, *now;
	struct arena arena;
	int64_t at = 0;

	if (!c->when || !s->before || !s->now)
		return 0;
	arena_init(&arena, RECONCILE_MEMORY);
	before = cluster_object(f->manager->config.cluster, f->resource, s->before, &arena, &ignored);
	now = cluster_object(f->manager->config.cluster, f->resource, s->now, &arena, &ignored);
	if (before && now)
		at = c->when(before, now, manager_now(f->manager));
	arena_done(&arena);
	return at;
}

static void seen(void *context, const struct sighting *s)
{
	const struct following *f = context;

	if (f->manager->is_stopped || f->is_quiet)
		return;
	if (f->resource == f->controller->resource && !f->is_read) {
		int64_t at = change_when(f, s);

		if (at) {
			due_set(f->manager, work_ensure(f->manager, f->controller, s->name_space, s->name), at);
			timer_arm(f->manager);
		} else {
			manager_wake(f->manager, f->controller, s->name_space, s->name);
		}
		return;
	}
	version_seen(f, s, s->before, false);
	version_seen(f, s, s->now, true);
}

enum attention { FOLLOW_QUIET, FOLLOW_READ, FOLLOW_OWNED };

static bool follow(struct manager *m, const struct controller *c, const struct resource *r, enum attention attention,
		   struct error *err)
{
	struct following *f = base_calloc(1, sizeof(*f));

	*f = (struct following){ .manager = m,
				 .controller = c,
				 .resource = r,
				 .is_read = attention == FOLLOW_READ,
				 .is_quiet = attention == FOLLOW_QUIET,
				 .next = m->followings };
	m->followings = f;
	return cluster_follow(m->config.cluster, r, seen, f, err);
}

/* What belongs to objects is followed before the objects, so that the first call sees all of it. */
static bool controller_start(struct manager *m, const struct controller *c, struct error *err)
{
	for (size_t i = 0; c->quiet && c->quiet[i]; i++)
		if (!follow(m, c, c->quiet[i], FOLLOW_QUIET, err))
			return false;
	for (size_t i = 0; c->read && c->read[i]; i++)
		if (!follow(m, c, c->read[i], FOLLOW_READ, err))
			return false;
	for (size_t i = 0; c->owned && c->owned[i]; i++)
		if (!follow(m, c, c->owned[i], FOLLOW_OWNED, err))
			return false;
	return follow(m, c, c->resource, FOLLOW_OWNED, err);
}

/* ---- life ---- */

struct manager *manager_new(const struct manager_config *config, struct error *err)
{
	struct manager *m;

	if (!choice_check(config->names, err))
		return NULL;
	m = base_calloc(1, sizeof(*m));
	m->config = *config;
	m->started_ns = manager_now(m);
	m->bucket_count = BUCKETS_LEAST;
	m->buckets = base_calloc(m->bucket_count, sizeof(struct work *));
	arena_init(&m->arena, RECONCILE_MEMORY);
	for (size_t i = 0; controllers_table[i]; i++) {
		if (choice_has(config->names, controllers_table[i]) &&
		    !controller_start(m, controllers_table[i], err)) {
			manager_stop(m);
			manager_free(m);
			return NULL;
		}
	}
	return m;
}

void manager_stop(struct manager *m)
{
	if (!m)
		return;
	m->is_stopped = true;
	loop_timer_clear(m->config.loop, &m->timer);
}

void manager_free(struct manager *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->bucket_count; i++) {
		while (m->buckets[i]) {
			struct work *w = m->buckets[i];

			m->buckets[i] = w->in_bucket;
			free(w);
		}
	}
	while (m->followings) {
		struct following *f = m->followings;

		m->followings = f->next;
		free(f);
	}
	memories_free(m);
	arena_done(&m->arena);
	free(m->buckets);
	free(m->due);
	free(m);
}
