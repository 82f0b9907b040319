/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * buffer - growing bytes with a limit at birth.
 *
 * Writing past the limit sets `overflow` and drops the bytes (and all later ones), so that writers of many small
 * pieces check once, at the end, with buffer_ok(). Reading side: ptr and len are public.
 *
 * Ownership: buffer_done() frees; buffer_clear() keeps the memory for reuse.
 */
#include "base/error.h"

struct buffer {
	char *ptr;
	size_t len, cap, limit;
	bool overflow;
};

void buffer_init(struct buffer *b, size_t limit);
void buffer_done(struct buffer *b);

static inline void buffer_clear(struct buffer *b)
{
	b->len = 0;
	b->overflow = false;
}

static inline struct span buffer_span(const struct buffer *b)
{
	return (struct span){ b->ptr, b->len };
}

/* Grows so that `n` more bytes fit; false (and overflow set) past the limit. */
bool buffer_grow(struct buffer *b, size_t n);

/* Room for `n` more bytes at the tail, or NULL past the limit. buffer_commit() says how many were written. */
static inline char *buffer_reserve(struct buffer *b, size_t n)
{
	if (__builtin_expect(b->cap - b->len < n, 0) && !buffer_grow(b, n))
		return NULL;
	return b->ptr + b->len;
}

static inline void buffer_commit(struct buffer *b, size_t n)
{
	b->len += n;
}

static inline void buffer_append(struct buffer *b, struct span s)
{
	char *to = s.len ? buffer_reserve(b, s.len) : NULL;

	if (to) {
		memcpy(to, s.ptr, s.len);
		b->len += s.len;
	}
}

static inline void buffer_byte(struct buffer *b, char c)
{
	char *to = buffer_reserve(b, 1);

	if (to) {
		*to = c;
		b->len++;
	}
}

void buffer_print(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `n` bytes, moving the rest down; n is at most len. */
void buffer_drop(struct buffer *b, size_t n);

/* Gives memory over `keep` bytes back; the content must be empty. */
void buffer_shrink(struct buffer *b, size_t keep);

/* False and TOO_LARGE, naming `what` and the limit, if anything was dropped. */
bool buffer_ok(const struct buffer *b, const char *what, struct error *err);

/* Reads a whole file, at most b->limit bytes. */
bool buffer_read_file(struct buffer *b, const char *path, struct error *err);
