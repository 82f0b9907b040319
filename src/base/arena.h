/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * arena - memory that dies all at once: one for each request, each parse, each reconcile.
 *
 * Ownership: whoever made it frees it; what is cut from it lives until arena_clear() or arena_free().
 * Threads:   one at a time; an arena may move between threads with the work it belongs to.
 * Errors:    TOO_LARGE when the limit given at birth would be passed; nothing is allocated then.
 * Units:     bytes. Blocks are aligned to 16; large ones (64 KiB and more) to 64.
 */
#include "base/error.h"

struct arena_chunk;

struct arena {
	char *ptr, *end;            /* what is left of the newest chunk */
	struct arena_chunk *chunks; /* newest first */
	size_t used, limit;         /* bytes handed out as chunks; most that may be */
	size_t keep;                /* arena_clear() keeps one chunk of at most this size for reuse */
};

/* An arena that may grow to `limit` bytes. */
void arena_init(struct arena *a, size_t limit);
void arena_done(struct arena *a);

/* Forgets everything cut so far; keeps one chunk so that the next use allocates nothing. */
void arena_clear(struct arena *a);

void *arena_alloc_slow(struct arena *a, size_t size, struct error *err);

/* `size` bytes, not cleared. NULL and TOO_LARGE past the limit. A size of 0 gives a valid pointer. */
static inline void *arena_alloc(struct arena *a, size_t size, struct error *err)
{
	size_t left = (size_t)(a->end - a->ptr);

	if (__builtin_expect(size <= left && ((size + 15) & ~(size_t)15) <= left, 1)) {
		void *block = a->ptr;

		a->ptr += (size + 15) & ~(size_t)15;
		return block;
	}
	return arena_alloc_slow(a, size, err);
}

/* `count` items of `size` bytes, cleared; checks the product. */
void *arena_calloc(struct arena *a, size_t count, size_t size, struct error *err);

/* `count` items of a type, not cleared; checks the product. */
void *arena_array_(struct arena *a, size_t count, size_t size, struct error *err);
#define ARENA_ARRAY(a, type, count, err) ((type *)arena_array_((a), (count), sizeof(type), (err)))
#define ARENA_NEW(a, type, err)          ((type *)arena_calloc((a), 1, sizeof(type), (err)))

/*
 * Takes a large block (64 KiB and more) out of the arena, so that it outlives it; arena_taken_free() frees it. NULL when
 * `block` is not the start of one.
 */
struct arena_chunk *arena_take(struct arena *a, const void *block);
void arena_taken_free(struct arena_chunk *taken); /* NULL is allowed */

/* A copy of `s`, NUL-terminated behind its end. ptr is NULL on failure. */
struct span arena_copy(struct arena *a, struct span s, struct error *err);

/* Formatted text in the arena, NUL-terminated. */
struct span arena_print(struct arena *a, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
