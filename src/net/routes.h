/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * routes - private to net: the route tables of all surfaces, compiled for look-up.
 *
 * A path of literal segments is found by one hash; one with parameters by walking a tree of segments: a literal one
 * first, then `{name}tail` with the longest tail, then `{name}`. Looking back is bounded by the tables, not by the
 * path.
 *
 * Threads: immutable once made; any thread may look up.
 * Errors:  INVALID from routes_new() for a malformed pattern, or two rows for the same method and path.
 */
#include "net/request.h"

#define ROUTE_SEGMENTS_MAX 16 /* a longer path is nobody's, but those' that take what follows */

struct routes;

/* Compiles the tables (the array ends with NULL, each table with a row of zeros). The tables stay the caller's. */
struct routes *routes_new(const struct route *const *tables, struct error *err);
void routes_free(struct routes *r);

/* The surfaces of the tables in order of appearance: an index for counters. The first is surface_plain. */
size_t routes_surface_count(const struct routes *r);
const struct surface *routes_surface(const struct routes *r, size_t index);

struct route_match {
	const struct route *route;            /* NULL: not found, or not with this method */
	const struct span *param_names;       /* as many as the pattern has */
	unsigned allowed;                     /* methods the path has; 0: the path is unknown */
	unsigned surface_index;               /* the route's, or that of the nearest route */
	struct span params[ROUTE_PARAMS_MAX]; /* in the pattern's order; into the segments given */
};

/* Looks up a path without escapes ('%'). */
void routes_find(const struct routes *r, enum method method, struct span path, struct route_match *ret);

/* The same for a path already split at '/' (without the empty piece before the first), each segment decoded. `count` may be greater than
 * ROUTE_SEGMENTS_MAX: the first ones are there then. */
void routes_find_segments(const struct routes *r, enum method method, const struct span *segments, size_t count,
			  struct route_match *ret);

/* The row with the pattern "*", for what none of the others takes. False: there is none. */
bool routes_star(const struct routes *r, struct route_match *ret);
