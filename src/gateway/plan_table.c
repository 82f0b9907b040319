/* SPDX-License-Identifier: Apache-2.0 */
/* plan_table - the rows of a table of routes, put in order and into cells. */
#include "gateway/plan_table.h"

#include <stdlib.h>

enum { INDEX_LEAST = 8 }; /* rows of one path that are parted by a header */

/* ---- order ---- */

/* "httproute/default/web/10": without the rule, rules are in their order. */
static struct span object_of(struct span name)
{
	size_t len = name.len;

	while (len && name.ptr[len - 1] != '/')
		len--;
	return span_first(name, len);
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

/* What decides between rows of the same path, or of regexes of the same length. */
static int precedence(const struct row *a, const struct row *b)
{
	bool a_method = a->match.method.len || a->match.is_grpc, b_method = b->match.method.len || b->match.is_grpc;
	int d = ORDER(b_method, a_method);

	d = d ? d : ORDER(b->match.header_count, a->match.header_count);
	d = d ? d : ORDER(b->match.query_count, a->match.query_count);
	if (d || !a->route || !b->route)
		return d ? d : ORDER(a->order, b->order);
	d = ORDER(a->route->made_ns, b->route->made_ns);
	d = d ? d : span_order(object_of(a->route->name), object_of(b->route->name));
	return d ? d : ORDER(a->order, b->order);
}

static int host_order(const struct row *a, const struct row *b)
{
	int d = ORDER(a->host_hash, b->host_hash);

	d = d ? d : ORDER(a->host_kind, b->host_kind);
	return d ? d : span_order(a->host, b->host);
}

static int path_order(const struct row *a, const struct row *b)
{
	int d = ORDER(a->match.how, b->match.how);

	if (d || a->match.how == PATH_REGEX)
		return d ? d : ORDER(b->match.path.len, a->match.path.len);
	d = ORDER(a->path_hash, b->path_hash);
	return d ? d : span_order(a->match.path, b->match.path);
}

static int row_order(const void *x, const void *y)
{
	const struct row *a = *(struct row *const *)x, *b = *(struct row *const *)y;
	int d = host_order(a, b);

	d = d ? d : path_order(a, b);
	return d ? d : precedence(a, b);
}

/* ---- cells ---- */

const struct cell *cell_find(const struct plan_table *t, uint64_t text, uint32_t owner, enum cell_kind kind,
			     struct span name)
{
	uint64_t hash = cell_hash(text, owner, kind);

	for (uint32_t i = (uint32_t)hash & t->mask; t->slots[i]; i = (i + 1) & t->mask) {
		const struct cell *c = t->slots[i];

		if (c->hash == hash && c->owner == owner && c->kind == kind && span_equal(c->text, name))
			return c;
	}
	return NULL;
}

static bool slots_grow(struct plan_table *t, struct arena *arena, struct error *err)
{
	uint32_t count = t->slots ? (t->mask + 1) * 2 : 16;
	struct cell **slots = arena_calloc(arena, count, sizeof(struct cell *), err);

	if (!slots)
		return false;
	for (uint32_t i = 0; t->slots && i <= t->mask; i++) {
		uint32_t to = t->slots[i] ? (uint32_t)t->slots[i]->hash & (count - 1) : 0;

		if (!t->slots[i])
			continue;
		while (slots[to])
			to = (to + 1) & (count - 1);
		slots[to] = t->slots[i];
	}
	t->slots = slots;
	t->mask = count - 1;
	return true;
}

/* NULL: memory. */
static struct cell *cell_add(struct plan_table *t, uint64_t text, uint32_t owner, enum cell_kind kind, struct span name,
			     struct arena *arena, struct error *err)
{
	struct cell *c = ARENA_NEW(arena, struct cell, err);
	uint32_t i;

	if (!c || (t->cell_count * 2 > t->mask && !slots_grow(t, arena, err)))
		return NULL;
	c->hash = cell_hash(text, owner, kind);
	c->owner = owner;
	c->id = ++t->cell_count;
	c->kind = kind;
	c->text = name;
	for (i = (uint32_t)c->hash & t->mask; t->slots[i];)
		i = (i + 1) & t->mask;
	t->slots[i] = c;
	return c;
}

/* ---- rows of one path that are many: by the header that most of them name ---- */

struct value_row {
	struct row *row;
	struct span value;
};

static const struct plan_text_match *header_of(const struct row *row, struct span name)
{
	for (size_t i = 0; i < row->match.header_count; i++)
		if (row->match.headers[i].how == TEXT_EXACT && span_equal(row->match.headers[i].name, name))
			return &row->match.headers[i];
	return NULL;
}

static int name_order(const void *a, const void *b)
{
	return span_order(*(const struct span *)a, *(const struct span *)b);
}

static int value_order(const void *x, const void *y)
{
	const struct value_row *a = x, *b = y;
	int d = span_order(a->value, b->value);

	return d ? d : ORDER(a->row->rank, b->row->rank);
}

/* Empty: none is named by half of them. */
static struct span name_most(struct row **rows, uint32_t count, struct arena *arena, struct error *err)
{
	size_t total = 0, n = 0, best = 0;
	struct span *names, found = { 0 };

	for (uint32_t i = 0; i < count; i++)
		total += rows[i]->match.header_count;
	names = ARENA_ARRAY(arena, struct span, total, err);
	if (!names || !total)
		return found;
	for (uint32_t i = 0; i < count; i++)
		for (size_t h = 0; h < rows[i]->match.header_count; h++)
			if (rows[i]->match.headers[h].how == TEXT_EXACT)
				names[n++] = rows[i]->match.headers[h].name;
	qsort(names, n, sizeof(*names), name_order);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && span_equal(names[i], names[end]);)
			end++;
		if (end - i > best) {
			best = end - i;
			found = names[i];
		}
	}
	return best * 2 >= count ? found : (struct span){ 0 };
}

static bool values_add(struct plan_table *t, struct cell *c, struct value_row *list, uint32_t count,
		       struct arena *arena, struct error *err)
{
	struct row **rows = ARENA_ARRAY(arena, struct row *, count, err);

	if (!rows)
		return false;
	qsort(list, count, sizeof(*list), value_order);
	for (uint32_t i = 0, end; i < count; i = end) {
		struct cell *v = cell_add(t, text_hash(list[i].value), c->id, CELL_VALUE, list[i].value, arena, err);

		if (!v)
			return false;
		v->rows = rows + i;
		for (end = i; end < count && span_equal(list[end].value, list[i].value); end++)
			rows[end] = list[end].row;
		v->count = end - i;
	}
	return true;
}

static bool cell_index(struct plan_table *t, struct cell *c, struct arena *arena, struct error *err)
{
	struct span name = name_most(c->rows, c->count, arena, err);
	struct row **rest = ARENA_ARRAY(arena, struct row *, c->count, err);
	struct value_row *list = ARENA_ARRAY(arena, struct value_row, c->count, err);
	uint32_t rest_count = 0, count = 0;

	if (!rest || !list || err->code)
		return false;
	if (!name.len)
		return true;
	for (uint32_t i = 0; i < c->count; i++) {
		const struct plan_text_match *m = header_of(c->rows[i], name);

		if (m)
			list[count++] = (struct value_row){ c->rows[i], m->value };
		else
			rest[rest_count++] = c->rows[i];
	}
	c->rows = rest;
	c->count = rest_count;
	c->index_name = name;
	return values_add(t, c, list, count, arena, err);
}

/* ---- all ---- */

static bool path_make(struct plan_table *t, struct cell *host, struct row **rows, uint32_t count, struct arena *arena,
		      struct error *err)
{
	const struct plan_match *m = &rows[0]->match;
	bool is_prefix = m->how == PATH_PREFIX;
	struct cell *c =
	    cell_add(t, rows[0]->path_hash, host->id, is_prefix ? CELL_PREFIX : CELL_EXACT, m->path, arena, err);

	if (!c)
		return false;
	c->rows = rows;
	c->count = count;
	t->path_most = MAX(t->path_most, (uint32_t)m->path.len);
	if (is_prefix) {
		host->prefix_most = MAX(host->prefix_most, (uint32_t)m->path.len);
		t->prefix_most = MAX(t->prefix_most, (uint32_t)m->path.len);
	}
	return count < INDEX_LEAST || cell_index(t, c, arena, err);
}

static bool host_make(struct plan_table *t, struct row **rows, uint32_t count, struct arena *arena, struct error *err)
{
	struct row **kept = ARENA_ARRAY(arena, struct row *, count, err);
	struct cell *host = cell_add(t, text_hash(rows[0]->host), 0, rows[0]->host_kind, rows[0]->host, arena, err);
	uint32_t n = 0;

	if (!kept || !host)
		return false;
	if (host->kind == CELL_HOST_LABEL || host->kind == CELL_HOST_TAIL) {
		t->has_wildcards = true;
		t->host_most = MAX(t->host_most, (uint32_t)host->text.len);
	}
	for (uint32_t i = 0; i < count; i++) {
		host->is_end |= rows[i]->is_end;
		if (rows[i]->route)
			kept[n++] = rows[i];
	}
	for (uint32_t i = 0, end; i < n; i = end) {
		bool is_regex = kept[i]->match.how == PATH_REGEX;

		for (end = i;
		     end < n && (is_regex ? kept[end]->match.how == PATH_REGEX : !path_order(kept[i], kept[end]));
		     end++)
			kept[end]->rank = end - i;
		if (is_regex) {
			host->rows = kept + i;
			host->count = end - i;
		} else if (!path_make(t, host, kept + i, end - i, arena, err)) {
			return false;
		}
	}
	return true;
}

bool plan_table_finish(struct plan_table *t, struct arena *arena, struct error *err)
{
	if (!slots_grow(t, arena, err))
		return false;
	if (t->added_count)
		qsort(t->added, t->added_count, sizeof(struct row *), row_order);
	for (uint32_t i = 0, end; i < t->added_count; i = end) {
		for (end = i + 1; end < t->added_count && !host_order(t->added[i], t->added[end]);)
			end++;
		if (!host_make(t, t->added + i, end - i, arena, err))
			return false;
	}
	t->added = NULL;
	return true;
}
