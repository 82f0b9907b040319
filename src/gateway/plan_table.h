/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * plan_table - a table of routes inside: plan.c gathers its rows, plan_table.c puts them into one hash table of cells, plan_find.c looks them
 * up.
 */
#include "gateway/plan.h"

enum cell_kind {
	CELL_HOST,       /* a host's exact name */
	CELL_HOST_LABEL, /* what follows one label */
	CELL_HOST_TAIL,  /* what follows any number of them */
	CELL_HOST_ANY,
	CELL_EXACT,  /* of a host (owner): a path */
	CELL_PREFIX, /* of a host: a path without its last '/' */
	CELL_VALUE,  /* of a path's cell (owner): the value of the header that its rows are parted by */
};

struct row {
	struct plan_match match;
	const struct plan_route *route; /* NULL: tells of a host's end only */
	struct span host;
	enum cell_kind host_kind;
	bool is_end;
	uint64_t host_hash, path_hash;
	uint32_t order; /* in which it was added */
	uint32_t rank;  /* among the rows of its cell: the lowest that matches wins */
};

struct cell {
	uint64_t hash;
	uint32_t owner, id; /* ids from 1 */
	enum cell_kind kind;
	struct span text;
	struct row **rows; /* by rank; of a host: those with a regex, the longest first */
	uint32_t count;
	/* Of paths with many rows: those that want this header to have a value are found by it, and `rows` has the others only. */
	struct span index_name;
	/* Of hosts. */
	bool is_end;          /* names that say less are not looked at */
	uint32_t prefix_most; /* the longest prefix */
};

struct plan_table {
	/* While it is made. */
	struct row **added;
	uint32_t added_count, added_capacity;
	/* After. */
	struct cell **slots; /* a power of two, at most half full */
	uint32_t mask, cell_count;
	uint32_t host_most;              /* the longest name behind wildcards */
	uint32_t path_most, prefix_most; /* the longest of all */
	bool has_wildcards;
};

/* FNV-1a: it grows with the text, so that all prefixes of a path cost one walk. */
#define TEXT_HASH_BEGIN UINT64_C(0xcbf29ce484222325)
static inline uint64_t text_hash_byte(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}
static inline uint64_t text_hash(struct span s)
{
	uint64_t h = TEXT_HASH_BEGIN;

	for (size_t i = 0; i < s.len; i++)
		h = text_hash_byte(h, s.ptr[i]);
	return h;
}

/* Of a cell, from its text's. */
static inline uint64_t cell_hash(uint64_t text, uint32_t owner, enum cell_kind kind)
{
	uint64_t h = (text ^ ((uint64_t)owner << 8 | kind)) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

const struct cell *cell_find(const struct plan_table *t, uint64_t text_hash, uint32_t owner, enum cell_kind kind,
			     struct span text);
/* Puts what was added in order. */
bool plan_table_finish(struct plan_table *t, struct arena *arena, struct error *err);
/* Within PLAN_REGEX_STEPS. */
bool regex_takes(const void *regex, struct span text);
