/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * span - a read-only run of bytes, passed by value. Our string: not NUL-terminated, never owns.
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })
#define SPAN_INIT(literal)                                                                                             \
	{                                                                                                              \
		(literal), sizeof(literal) - 1                                                                         \
	} /* for static tables */
#define SPAN_FMT    "%.*s"
#define SPAN_ARG(s) (int)((s).len > 120 ? 120 : (s).len), ((s).ptr ? (s).ptr : "") /* cut: messages quote, not copy */
/* Not cut, for names and paths that are made of others. */
#define SPAN_WHOLE(s) (int)((s).len > INT_MAX ? INT_MAX : (s).len), ((s).ptr ? (s).ptr : "")

static inline struct span span_of(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline struct span span_from(const void *ptr, size_t len)
{
	return (struct span){ (const char *)ptr, len };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool span_ends(struct span s, struct span suffix)
{
	return s.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/*
 * -1, 0, 1: by bytes, and what the other one begins with before it. So UTF-8 is in the order of code points, and times of RFC 3339 in UTC
 * are in that of time.
 */
static inline int span_order(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

	return order ? (order > 0) - (order < 0) : (a.len > b.len) - (a.len < b.len);
}

/* The rest after the first `n` bytes; n is at most s.len. */
static inline struct span span_skip(struct span s, size_t n)
{
	return (struct span){ n ? s.ptr + n : s.ptr, s.len - n }; /* nothing, not even 0, may be added to NULL */
}

static inline struct span span_first(struct span s, size_t n)
{
	return (struct span){ s.ptr, s.len < n ? s.len : n };
}

/* ASCII only. */
bool span_equal_ignore_case(struct span a, struct span b);

/* Without the spaces, tabs, CRs and LFs at both ends. */
struct span span_trim(struct span s);

/* Splits at the first `separator`: returns what is before it and moves `rest` behind it; without one, all of it. */
struct span span_cut(struct span *rest, char separator);

/* Index of the first `c`, or s.len. */
size_t span_index(struct span s, char c);

/* A NUL-terminated copy; the caller frees. For the edge to libc only. */
char *span_to_text(struct span s);

/* True for valid UTF-8 (RFC 3629: no surrogates, nothing over U+10FFFF, shortest forms). */
bool span_is_utf8(struct span s);

/* A 64-bit hash for tables in memory (XXH3). Not stable between versions: never stored. */
uint64_t span_hash(struct span s);
