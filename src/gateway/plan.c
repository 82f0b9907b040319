/* SPDX-License-Identifier: Apache-2.0 */
/* plan - its life: begun, filled, finished, shared. */
#include "gateway/plan_table.h"

#include <stdatomic.h>
#include <stdlib.h>

#define PLAN_BYTES_MOST MIB(1024)

/* Things by their names. */
struct names {
	struct names_slot {
		uint64_t hash;
		struct span name;
		void *thing; /* NULL: free */
	} * slots;
	uint32_t mask, count;
};

struct keep {
	struct keep *next;
	void *thing;
	void (*release)(void *thing);
};

struct inside {
	struct plan plan; /* first */
	struct arena arena;
	_Atomic unsigned references;
	struct keep *keeps;
	struct names entries;
};

struct table_item {
	struct table_item *next;
	struct plan_table table;
};

struct plan_builder {
	struct inside *inside;
	struct error err; /* memory */
	struct names backends, entries;
	struct table_item *tables;
	size_t routes;
	/* Given where memory ended: the plan is not finished then. */
	struct plan_backend spare_backend;
	struct plan_entry spare_entry;
	struct plan_table spare_table;
};

/* ---- names ---- */

static struct names_slot *names_slot(const struct names *n, uint64_t hash, struct span name)
{
	uint32_t i = (uint32_t)hash & n->mask;

	while (n->slots[i].thing && (n->slots[i].hash != hash || !span_equal(n->slots[i].name, name)))
		i = (i + 1) & n->mask;
	return &n->slots[i];
}

static void *names_find(const struct names *n, struct span name)
{
	return n->slots ? names_slot(n, span_hash(name), name)->thing : NULL;
}

static bool names_grow(struct names *n, struct arena *arena, struct error *err)
{
	uint32_t size = n->slots ? (n->mask + 1) * 2 : 64;
	struct names larger = { arena_calloc(arena, size, sizeof(*n->slots), err), size - 1, n->count };

	if (!larger.slots)
		return false;
	for (uint32_t i = 0; n->slots && i <= n->mask; i++)
		if (n->slots[i].thing)
			*names_slot(&larger, n->slots[i].hash, n->slots[i].name) = n->slots[i];
	*n = larger;
	return true;
}

static bool names_add(struct names *n, struct span name, void *thing, struct arena *arena, struct error *err)
{
	uint64_t hash = span_hash(name);

	if ((!n->slots || n->count * 2 > n->mask) && !names_grow(n, arena, err))
		return false;
	*names_slot(n, hash, name) = (struct names_slot){ hash, name, thing };
	n->count++;
	return true;
}

/* ---- making one ---- */

struct plan_builder *plan_begin(void)
{
	struct plan_builder *b = base_calloc(1, sizeof(*b));

	b->inside = base_calloc(1, sizeof(*b->inside));
	arena_init(&b->inside->arena, PLAN_BYTES_MOST);
	b->inside->plan.arena = &b->inside->arena;
	atomic_init(&b->inside->references, 1);
	return b;
}

struct arena *plan_builder_arena(struct plan_builder *b)
{
	return &b->inside->arena;
}

struct plan_backend *plan_backend(struct plan_builder *b, struct span name)
{
	struct plan_backend *found = names_find(&b->backends, name);

	if (found)
		return found;
	found = ARENA_NEW(&b->inside->arena, struct plan_backend, &b->err);
	if (!found)
		return &b->spare_backend;
	found->name = arena_copy(&b->inside->arena, name, &b->err);
	return names_add(&b->backends, found->name, found, &b->inside->arena, &b->err) ? found : &b->spare_backend;
}

struct plan_entry *plan_entry_add(struct plan_builder *b, struct span key)
{
	struct plan_entry *e;

	if (names_find(&b->entries, key))
		return NULL;
	e = ARENA_NEW(&b->inside->arena, struct plan_entry, &b->err);
	if (!e)
		return &b->spare_entry;
	e->key = arena_copy(&b->inside->arena, key, &b->err);
	return names_add(&b->entries, e->key, e, &b->inside->arena, &b->err) ? e : &b->spare_entry;
}

struct plan_table *plan_table_add(struct plan_builder *b)
{
	struct table_item *t = ARENA_NEW(&b->inside->arena, struct table_item, &b->err);

	if (!t)
		return &b->spare_table;
	t->next = b->tables;
	b->tables = t;
	return &t->table;
}

void plan_keep(struct plan_builder *b, void *thing, void (*release)(void *thing))
{
	struct keep *k = base_alloc(sizeof(*k));

	*k = (struct keep){ b->inside->keeps, thing, release };
	b->inside->keeps = k;
}

static struct row *row_add(struct plan_builder *b, struct plan_table *t, struct span host, struct error *err)
{
	struct arena *arena = &b->inside->arena;
	struct row *row;

	if (t->added_count == t->added_capacity) {
		uint32_t capacity = t->added_capacity ? t->added_capacity * 2 : 64;
		struct row **larger = ARENA_ARRAY(arena, struct row *, capacity, err);

		if (!larger)
			return NULL;
		if (t->added_count)
			memcpy(larger, t->added, t->added_count * sizeof(*larger));
		t->added = larger;
		t->added_capacity = capacity;
	}
	row = ARENA_NEW(arena, struct row, err);
	if (!row)
		return NULL;
	row->host_kind = !host.len                       ? CELL_HOST_ANY
			 : span_starts(host, SPAN("*.")) ? CELL_HOST_TAIL
			 : span_starts(host, SPAN("?.")) ? CELL_HOST_LABEL
							 : CELL_HOST;
	row->host = row->host_kind == CELL_HOST_TAIL || row->host_kind == CELL_HOST_LABEL ? span_skip(host, 2) : host;
	row->host_hash = text_hash(row->host);
	row->order = t->added_count;
	t->added[t->added_count++] = row;
	return row;
}

void plan_host_end(struct plan_builder *b, struct plan_table *t, struct span host)
{
	struct row *row = row_add(b, t, host, &b->err);

	if (row)
		row->is_end = true;
}

bool plan_match_check(const struct plan_match *m, struct error *err)
{
	size_t segments = 0;

	if (m->path.len > PLAN_PATH_MOST)
		return error_set(err, ERROR_INVALID, "a path has %zu bytes: %d are allowed", m->path.len,
				 PLAN_PATH_MOST);
	for (size_t i = 0; m->how == PATH_PREFIX && i < m->path.len; i++)
		segments += m->path.ptr[i] == '/';
	if (segments > PLAN_SEGMENTS_MOST)
		return error_set(err, ERROR_INVALID, "a prefix of a path has %zu segments: %d are allowed", segments,
				 PLAN_SEGMENTS_MOST);
	if (m->header_count > PLAN_MATCHES_MOST || m->query_count > PLAN_MATCHES_MOST)
		return error_set(err, ERROR_INVALID,
				 "a match has %zu headers and %zu query parameters: %d of each are allowed",
				 m->header_count, m->query_count, PLAN_MATCHES_MOST);
	return true;
}

static bool regex_make(struct plan_builder *b, struct span text, const void **ret, struct error *err)
{
	void *regex = plan_regex_new(text, err);

	if (!regex)
		return false;
	plan_keep(b, regex, plan_regex_free);
	*ret = regex;
	return true;
}

static bool texts_make(struct plan_builder *b, struct plan_text_match *list, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].how == TEXT_REGEX && !list[i].regex && !regex_make(b, list[i].value, &list[i].regex, err))
			return false;
	return true;
}

bool plan_route_add(struct plan_builder *b, struct plan_table *t, struct span host, const struct plan_match *match,
		    const struct plan_route *route, struct error *err)
{
	struct row *row;

	if (route->target_count > PLAN_TARGETS_MOST || route->mirror_count > PLAN_MIRRORS_MOST)
		return error_set(err, ERROR_INVALID, "a route has %zu targets and %zu mirrors: %d and %d are allowed",
				 route->target_count, route->mirror_count, PLAN_TARGETS_MOST, PLAN_MIRRORS_MOST);
	if (b->routes == PLAN_ROUTES_MOST)
		return error_set(err, ERROR_INVALID, "there are more than %d routes", PLAN_ROUTES_MOST);
	if (!plan_match_check(match, err))
		return false;
	if (!texts_make(b, match->headers, match->header_count, err) ||
	    !texts_make(b, match->queries, match->query_count, err))
		return false;
	row = row_add(b, t, host, err);
	if (!row)
		return false;
	row->match = *match;
	if (match->how == PATH_PREFIX && span_ends(match->path, SPAN("/")))
		row->match.path.len--;
	if (match->how == PATH_REGEX && !match->regex && !regex_make(b, match->path, &row->match.regex, err)) {
		t->added_count--;
		return false;
	}
	row->path_hash = text_hash(row->match.path);
	row->route = route;
	b->routes++;
	return true;
}

/* ---- finished ---- */

static void inside_free(struct inside *inside)
{
	while (inside->keeps) {
		struct keep *k = inside->keeps;

		inside->keeps = k->next;
		k->release(k->thing);
		free(k);
	}
	arena_done(&inside->arena);
	free(inside);
}

static int backend_order(const void *x, const void *y)
{
	struct span a = (*(const struct plan_backend *const *)x)->name,
		    b = (*(const struct plan_backend *const *)y)->name;

	return span_order(a, b);
}

static bool backends_list(struct plan_builder *b, struct plan *p, struct error *err)
{
	const struct plan_backend **list = arena_calloc(p->arena, b->backends.count, sizeof(*list), err);

	if (!list)
		return false;
	for (uint32_t i = 0; b->backends.slots && i <= b->backends.mask; i++) {
		struct plan_backend *one = b->backends.slots[i].thing;

		if (one && one->endpoint_count > PLAN_ENDPOINTS_MOST)
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' has %zu endpoints: %d are allowed",
					 SPAN_ARG(one->name), one->endpoint_count, PLAN_ENDPOINTS_MOST);
		if (one)
			list[p->backend_count++] = one;
	}
	if (p->backend_count)
		qsort(list, p->backend_count, sizeof(*list), backend_order);
	p->backends = list;
	return true;
}

static bool entries_list(struct plan_builder *b, struct inside *inside, struct error *err)
{
	struct plan *p = &inside->plan;
	struct plan_entry *list = arena_calloc(p->arena, b->entries.count, sizeof(*list), err);

	if (!list)
		return false;
	inside->entries = b->entries;
	for (uint32_t i = 0; b->entries.slots && i <= b->entries.mask; i++) {
		struct names_slot *slot = &inside->entries.slots[i];

		if (!slot->thing)
			continue;
		list[p->entry_count] = *(struct plan_entry *)slot->thing;
		slot->thing = &list[p->entry_count++];
	}
	p->entries = list;
	return true;
}

struct plan *plan_finish(struct plan_builder *b, uint64_t number, struct error *err)
{
	struct inside *inside = b->inside;
	bool good = true;

	if (b->err.code) {
		*err = b->err;
		good = false;
	}
	for (struct table_item *t = b->tables; good && t; t = t->next)
		good = plan_table_finish(&t->table, &inside->arena, err);
	good = good && backends_list(b, &inside->plan, err) && entries_list(b, inside, err);
	inside->plan.number = number;
	if (!good)
		inside_free(inside);
	free(b);
	return good ? &inside->plan : NULL;
}

void plan_discard(struct plan_builder *b)
{
	inside_free(b->inside);
	free(b);
}

void plan_ref(struct plan *p)
{
	struct inside *inside = (struct inside *)p;

	atomic_fetch_add_explicit(&inside->references, 1, memory_order_relaxed);
}

void plan_unref(struct plan *p)
{
	struct inside *inside = (struct inside *)p;

	/* What others did with it comes before it is freed. */
	if (p && atomic_fetch_sub_explicit(&inside->references, 1, memory_order_acq_rel) == 1)
		inside_free(inside);
}

const struct plan_entry *plan_entry_find(const struct plan *p, struct span key)
{
	return names_find(&((const struct inside *)p)->entries, key);
}
