/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;   /* of data */
	bool is_block; /* one large block and nothing else */
	_Alignas(64) char data[];
};

enum {
	CHUNK_FIRST = 16 * 1024,
	CHUNK_MOST = 1024 * 1024,
	LARGE = 64 * 1024,
	HUGE_PAGE = 2 * 1024 * 1024,
	HUGE_FROM = 2 * HUGE_PAGE, /* blocks worth huge pages */
};

/* Where an arena without a chunk points: no room, yet a valid pointer for a block of size 0. */
static _Alignas(16) char nothing[1];

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .ptr = nothing, .end = nothing, .limit = limit, .keep = CHUNK_FIRST };
}

/*
 * Touching fresh memory costs more than filling it: 30 MB in pages of 4 KiB took 18 ms, in huge pages 3.5 ms. Where
 * there are none the advice does nothing.
 */
static struct arena_chunk *chunk_alloc(size_t size)
{
	size_t total = (sizeof(struct arena_chunk) + size + 63) & ~(size_t)63;
	struct arena_chunk *chunk;

	if (size < HUGE_FROM) {
		chunk = aligned_alloc(64, total);
	} else {
		total = (total + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
		chunk = aligned_alloc(HUGE_PAGE, total);
		if (chunk)
			(void)madvise(chunk, total, MADV_HUGEPAGE);
	}
	if (!chunk)
		abort();
	return chunk;
}

static void free_chunks(struct arena_chunk *chunk)
{
	while (chunk) {
		struct arena_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

void arena_done(struct arena *a)
{
	free_chunks(a->chunks);
	a->chunks = NULL;
	a->ptr = a->end = nothing;
	a->used = 0;
}

void arena_clear(struct arena *a)
{
	struct arena_chunk *kept = NULL;

	/* The chunks behind the newest are older; keep the largest that is small enough. */
	for (struct arena_chunk **at = &a->chunks; *at;) {
		struct arena_chunk *chunk = *at;

		*at = chunk->next;
		if (chunk->size <= a->keep && (!kept || chunk->size > kept->size)) {
			free(kept);
			kept = chunk;
		} else {
			free(chunk);
		}
	}
	a->chunks = kept;
	a->used = 0;
	a->ptr = a->end = nothing;
	if (kept) {
		kept->next = NULL;
		a->used = kept->size;
		a->ptr = kept->data;
		a->end = kept->data + kept->size;
	}
}

void *arena_alloc_slow(struct arena *a, size_t size, struct error *err)
{
	size_t need, total, data;
	struct arena_chunk *chunk;

	if (!checked_add(size, 63, &need) || !checked_add(a->used, need & ~(size_t)15, &total) || total > a->limit) {
		error_set(err, ERROR_TOO_LARGE, "more than %zu bytes of memory would be needed", a->limit);
		return NULL;
	}
	need = (size + 15) & ~(size_t)15;
	if (need >= LARGE) {
		/* A block of its own, put behind the newest so that what is left of that stays in use. */
		chunk = chunk_alloc(need);
		chunk->size = need;
		chunk->is_block = true;
		a->used += need;
		if (a->chunks) {
			chunk->next = a->chunks->next;
			a->chunks->next = chunk;
		} else {
			chunk->next = NULL;
			a->chunks = chunk;
			a->ptr = a->end = chunk->data + need;
		}
		return chunk->data;
	}
	data = a->used < CHUNK_FIRST ? CHUNK_FIRST : MIN((size_t)CHUNK_MOST, a->used);
	data = MAX(data, need);
	data = MIN(data, MAX(need, a->limit - a->used));
	data = (data + 63) & ~(size_t)63;
	chunk = chunk_alloc(data);
	chunk->size = data;
	chunk->is_block = false;
	chunk->next = a->chunks;
	a->chunks = chunk;
	a->used += data;
	a->ptr = chunk->data + need;
	a->end = chunk->data + data;
	return chunk->data;
}

struct arena_chunk *arena_take(struct arena *a, const void *block)
{
	for (struct arena_chunk **at = &a->chunks; *at; at = &(*at)->next) {
		struct arena_chunk *chunk = *at;

		if (chunk->data != block || !chunk->is_block)
			continue;
		if (a->end == chunk->data + chunk->size) /* the arena's first: there is no room in it */
			a->ptr = a->end = nothing;
		*at = chunk->next;
		a->used -= chunk->size;
		return chunk;
	}
	return NULL;
}

void arena_taken_free(struct arena_chunk *taken)
{
	free(taken);
}

void *arena_array_(struct arena *a, size_t count, size_t size, struct error *err)
{
	size_t total;

	if (!checked_mul(count, size, &total)) {
		error_set(err, ERROR_TOO_LARGE, "%zu items of %zu bytes are more than memory can hold", count, size);
		return NULL;
	}
	return arena_alloc(a, total, err);
}

void *arena_calloc(struct arena *a, size_t count, size_t size, struct error *err)
{
	void *block = arena_array_(a, count, size, err);

	if (block)
		memset(block, 0, count * size);
	return block;
}

struct span arena_copy(struct arena *a, struct span s, struct error *err)
{
	char *copy = arena_alloc(a, s.len + 1, err);

	if (!copy)
		return (struct span){ NULL, 0 };
	if (s.len)
		memcpy(copy, s.ptr, s.len);
	copy[s.len] = 0;
	return (struct span){ copy, s.len };
}

struct span arena_print(struct arena *a, struct error *err, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	ASSERT(len >= 0);
	text = arena_alloc(a, (size_t)len + 1, err);
	if (!text)
		return (struct span){ NULL, 0 };
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return (struct span){ text, (size_t)len };
}
