/* SPDX-License-Identifier: Apache-2.0 */
#include "net/routes.h"

#include <stdlib.h>

enum { NODE_NONE = 0, NODES_MAX = 60000, SURFACES_MAX = 64 };

/* A row of a table, compiled. */
struct entry {
	const struct route *route;
	struct span names[ROUTE_PARAMS_MAX];
	unsigned surface_index;
	uint16_t next; /* further rows of the same path; 0 ends */
};

/* A place in the tree of segments; 0 is "none" in every link, the root is 1. */
struct node {
	struct span text;              /* the literal, or the tail behind a parameter */
	uint16_t literals, tails, any; /* children: first literal, first {x}tail by falling length, {x} */
	uint16_t sibling;
	uint16_t entries;       /* rows that end here; 0: none */
	uint16_t rests;         /* rows that end with a star here: they take all that follows */
	uint16_t surface_index; /* of the first row that came by: whose errors unknown paths below here are */
};

struct literal {
	uint64_t hash;
	struct span path;
	uint16_t entries; /* 0: free */
};

struct routes {
	struct entry *entries;
	struct node *nodes;
	struct literal *literals;
	size_t entry_count, node_count, literal_mask;
	const struct surface *surfaces[SURFACES_MAX];
	size_t surface_count;
	const struct route *star; /* takes what no other row takes; NULL without */
	unsigned star_surface;
};

/* ---- compiling ---- */

static bool surface_find(struct routes *r, const struct surface *surface, unsigned *ret, struct error *err)
{
	for (size_t i = 0; i < r->surface_count; i++) {
		if (r->surfaces[i] == surface) {
			*ret = (unsigned)i;
			return true;
		}
	}
	if (r->surface_count == SURFACES_MAX)
		return error_set(err, ERROR_INVALID, "more than %d surfaces in the route tables", SURFACES_MAX);
	*ret = (unsigned)r->surface_count;
	r->surfaces[r->surface_count++] = surface;
	return true;
}

/* Splits "{name}tail"; an empty name is a literal segment. */
static bool segment_parse(struct span segment, struct span *ret_name, struct span *ret_text, struct error *err)
{
	size_t close;

	*ret_name = (struct span){ NULL, 0 };
	*ret_text = segment;
	if (segment.len == 0 || segment.ptr[0] != '{') {
		if (span_index(segment, '{') < segment.len || span_index(segment, '}') < segment.len)
			return error_set(err, ERROR_INVALID, "segment '" SPAN_FMT "': a parameter stands at its start",
					 SPAN_ARG(segment));
		return true;
	}
	close = span_index(segment, '}');
	if (close == segment.len || close == 1)
		return error_set(err, ERROR_INVALID, "segment '" SPAN_FMT "' has no name between braces",
				 SPAN_ARG(segment));
	*ret_name = (struct span){ segment.ptr + 1, close - 1 };
	*ret_text = span_skip(segment, close + 1);
	if (span_index(*ret_text, '{') < ret_text->len)
		return error_set(err, ERROR_INVALID, "segment '" SPAN_FMT "' has two parameters", SPAN_ARG(segment));
	return true;
}

/* The child of `parent` for this segment, made when it is new. */
static uint16_t child_ensure(struct routes *r, uint16_t parent, bool is_param, struct span text, unsigned surface_index)
{
	struct node *p = &r->nodes[parent];
	uint16_t *at = is_param ? (text.len ? &p->tails : &p->any) : &p->literals;
	uint16_t made;

	while (*at != NODE_NONE) {
		struct node *n = &r->nodes[*at];

		if (span_equal(n->text, text))
			return *at;
		if (is_param && n->text.len < text.len)
			break;
		at = &n->sibling;
	}
	ASSERT(r->node_count < NODES_MAX); /* routes_new() made room for every segment */
	made = (uint16_t)r->node_count++;
	r->nodes[made] = (struct node){ .text = text, .sibling = *at, .surface_index = (uint16_t)surface_index };
	*at = made;
	return made;
}

static bool star_add(struct routes *r, const struct route *row, struct error *err)
{
	if (!route_is_stream(row) && row->kind != ROUTE_HTTP)
		return error_set(err, ERROR_INVALID, "only a ROUTE_STREAM or ROUTE_HTTP row takes every path");
	if (r->star)
		return error_set(err, ERROR_INVALID, "two rows take every path");
	r->star = row;
	return surface_find(r, row->surface, &r->star_surface, err);
}

static bool row_add(struct routes *r, const struct route *row, struct error *err)
{
	uint16_t index = (uint16_t)r->entry_count;
	struct entry *e = &r->entries[index];
	struct span rest = span_of(row->pattern);
	size_t param_count = 0, depth = 0;
	bool takes_rest;
	uint16_t at = 1, *list;

	if (span_equal(rest, SPAN("*")))
		return star_add(r, row, err);
	*e = (struct entry){ .route = row };
	if (!surface_find(r, row->surface, &e->surface_index, err))
		return false;
	if (rest.len == 0 || rest.ptr[0] != '/')
		return error_set(err, ERROR_INVALID, "a pattern starts with '/'");
	rest = span_skip(rest, 1);
	takes_rest = span_ends(rest, SPAN("/*"));
	if (takes_rest)
		rest.len -= 2;
	if (takes_rest && !route_is_stream(row))
		return error_set(err, ERROR_INVALID, "only a ROUTE_STREAM row takes what follows");
	for (bool more = true; more;) {
		struct span name, text, segment;

		more = span_index(rest, '/') < rest.len;
		segment = span_cut(&rest, '/');
		if (!segment_parse(segment, &name, &text, err))
			return false;
		if (name.len && param_count == ROUTE_PARAMS_MAX)
			return error_set(err, ERROR_INVALID, "more than %d parameters", ROUTE_PARAMS_MAX);
		if (++depth > ROUTE_SEGMENTS_MAX)
			return error_set(err, ERROR_INVALID, "more than %d segments", ROUTE_SEGMENTS_MAX);
		if (name.len)
			e->names[param_count++] = name;
		at = child_ensure(r, at, name.len > 0, text, e->surface_index);
	}
	list = takes_rest ? &r->nodes[at].rests : &r->nodes[at].entries;
	for (uint16_t i = *list; i; i = r->entries[i].next)
		if (r->entries[i].route->methods & row->methods)
			return error_set(err, ERROR_INVALID, "the same method and path as '%s'",
					 r->entries[i].route->pattern);
	e->next = *list;
	*list = index;
	r->entry_count++;
	return true;
}

static void literals_fill(struct routes *r)
{
	size_t size = 16;

	while (size < 4 * r->entry_count)
		size *= 2;
	r->literals = base_calloc(size, sizeof(*r->literals));
	r->literal_mask = size - 1;
	for (size_t i = 1; i < r->entry_count; i++) {
		struct span path = span_of(r->entries[i].route->pattern);
		uint64_t hash = span_hash(path);
		size_t slot = (size_t)hash & r->literal_mask;

		if (span_index(path, '{') < path.len || route_takes_rest(r->entries[i].route))
			continue;
		while (r->literals[slot].entries && !span_equal(r->literals[slot].path, path))
			slot = (slot + 1) & r->literal_mask;
		/* Later rows of a path are put before earlier ones, so the last one seen heads the list. */
		r->literals[slot] = (struct literal){ hash, path, (uint16_t)i };
	}
}

struct routes *routes_new(const struct route *const *tables, struct error *err)
{
	struct routes *r = base_calloc(1, sizeof(*r));
	size_t rows = 1, segments = 2;

	for (size_t t = 0; tables && tables[t]; t++) {
		for (const struct route *row = tables[t]; row->pattern; row++, rows++)
			for (const char *c = row->pattern; *c; c++)
				segments += *c == '/';
	}
	r->surfaces[r->surface_count++] = &surface_plain;
	r->entries = base_calloc(rows, sizeof(*r->entries));
	r->nodes = base_calloc(segments, sizeof(*r->nodes));
	r->entry_count = 1;
	r->node_count = 2;
	if (segments > NODES_MAX) {
		error_set(err, ERROR_INVALID, "the route tables have more than %d segments", NODES_MAX);
		goto failed;
	}
	for (size_t t = 0; tables && tables[t]; t++) {
		for (const struct route *row = tables[t]; row->pattern; row++) {
			if (!row_add(r, row, err)) {
				error_wrap(err, "route '%s'", row->pattern);
				goto failed;
			}
		}
	}
	literals_fill(r);
	return r;
failed:
	routes_free(r);
	return NULL;
}

void routes_free(struct routes *r)
{
	if (!r)
		return;
	free(r->entries);
	free(r->nodes);
	free(r->literals);
	free(r);
}

bool routes_star(const struct routes *r, struct route_match *ret)
{
	if (!r->star)
		return false;
	*ret = (struct route_match){ .route = r->star, .surface_index = r->star_surface };
	return true;
}

size_t routes_surface_count(const struct routes *r)
{
	return r->surface_count;
}

const struct surface *routes_surface(const struct routes *r, size_t index)
{
	ASSERT(index < r->surface_count);
	return r->surfaces[index];
}

/* ---- look-up ---- */

static bool entries_match(const struct routes *r, uint16_t first, enum method method, struct route_match *m)
{
	unsigned wanted = method == METHOD_HEAD ? METHOD_HEAD | METHOD_GET : (unsigned)method;

	for (uint16_t i = first; i; i = r->entries[i].next) {
		const struct entry *e = &r->entries[i];

		m->allowed |= e->route->methods;
		m->surface_index = e->surface_index;
		if (e->route->methods & wanted) {
			m->route = e->route;
			m->param_names = e->names;
			return true;
		}
	}
	return false;
}

struct walk {
	const struct routes *routes;
	enum method method;
	const struct span *segments;
	size_t count;
	bool is_cut; /* the path has more segments than these */
	struct route_match *match;
	size_t nearest; /* segments matched by the surface in match->surface_index */
};

static bool walk_from(struct walk *w, uint16_t at, size_t depth, size_t param);

static bool walk_param(struct walk *w, uint16_t child, size_t depth, size_t param)
{
	struct span segment = w->segments[depth];
	size_t tail = w->routes->nodes[child].text.len;

	/* An empty segment names nothing. */
	if (segment.len <= tail || param >= ROUTE_PARAMS_MAX)
		return false;
	w->match->params[param] = span_first(segment, segment.len - tail);
	return walk_from(w, child, depth + 1, param + 1);
}

static bool rests_match(struct walk *w, const struct node *n)
{
	return n->rests && entries_match(w->routes, n->rests, w->method, w->match);
}

/* Depth is at most ROUTE_SEGMENTS_MAX. */
static bool walk_from(struct walk *w, uint16_t at, size_t depth, size_t param)
{
	const struct node *nodes = w->routes->nodes;
	const struct node *n = &nodes[at];

	if (depth > w->nearest && n->text.len && !w->match->allowed) {
		w->nearest = depth;
		w->match->surface_index = n->surface_index;
	}
	if (depth == w->count)
		return w->is_cut ? rests_match(w, n) : entries_match(w->routes, n->entries, w->method, w->match);
	for (uint16_t i = n->literals; i; i = nodes[i].sibling)
		if (span_equal(nodes[i].text, w->segments[depth])) {
			if (walk_from(w, i, depth + 1, param))
				return true;
			break;
		}
	for (uint16_t i = n->tails; i; i = nodes[i].sibling)
		if (span_ends(w->segments[depth], nodes[i].text) && walk_param(w, i, depth, param))
			return true;
	return (n->any && walk_param(w, n->any, depth, param)) || rests_match(w, n);
}

void routes_find_segments(const struct routes *r, enum method method, const struct span *segments, size_t count,
			  struct route_match *ret)
{
	struct walk w = { .routes = r,
			  .method = method,
			  .segments = segments,
			  .count = MIN(count, ROUTE_SEGMENTS_MAX),
			  .is_cut = count > ROUTE_SEGMENTS_MAX,
			  .match = ret };

	*ret = (struct route_match){ .route = NULL };
	(void)walk_from(&w, 1, 0, 0); /* what it found is in *ret */
}

void routes_find(const struct routes *r, enum method method, struct span path, struct route_match *ret)
{
	struct span segments[ROUTE_SEGMENTS_MAX];
	uint64_t hash = span_hash(path);
	size_t count = 0;

	*ret = (struct route_match){ .route = NULL };
	for (size_t slot = (size_t)hash & r->literal_mask; r->literals[slot].entries;
	     slot = (slot + 1) & r->literal_mask) {
		const struct literal *l = &r->literals[slot];

		if (l->hash == hash && span_equal(l->path, path)) {
			if (entries_match(r, l->entries, method, ret))
				return;
			break; /* a pattern with parameters may have the method */
		}
	}
	if (path.len == 0 || path.ptr[0] != '/') {
		return;
	}
	for (struct span rest = span_skip(path, 1);;) {
		bool more = span_index(rest, '/') < rest.len;

		if (count == ROUTE_SEGMENTS_MAX) {
			count++;
			break;
		}
		segments[count++] = span_cut(&rest, '/');
		if (!more)
			break;
	}
	routes_find_segments(r, method, segments, count, ret);
}
