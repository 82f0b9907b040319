/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * base - what every other room stands on: spans, errors, arenas, buffers, checked arithmetic.
 *
 * One include brings the small vocabulary below. Larger tools of this room have a header of their own:
 *   base/number.h   numbers to and from text, exact and locale-free
 *   base/log.h      structured log lines
 *   base/clock.h    monotonic and wall time, in nanoseconds
 *   base/random.h   random bytes, request ids, UUIDs
 *
 * Threads: nothing here is shared between threads unless its header says so.
 * Memory:  running out of it aborts (base_alloc); passing a limit is an ordinary error.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, v) __attribute__((format(printf, f, v)))
#define LIKELY(x)         __builtin_expect(!!(x), 1)
#define UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define MIN(a, b)         ((a) < (b) ? (a) : (b))
#define MAX(a, b)         ((a) > (b) ? (a) : (b))
#define KIB(n)            ((size_t)(n) << 10)
#define MIB(n)            ((size_t)(n) << 20)

/* The struct that holds `member` at address `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Says what must be true if our own code is right. Stays on in release: prints and aborts. */
#define ASSERT(x) ((void)(LIKELY(x) || (base_assert_failed(#x, __FILE__, __LINE__), 0)))
_Noreturn void base_assert_failed(const char *expression, const char *file, int line);

/* malloc, calloc and realloc that never return NULL: they abort with a line on stderr. */
void *base_alloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *base_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2), returns_nonnull));
void *base_realloc(void *ptr, size_t size) __attribute__((alloc_size(2), returns_nonnull));

/* Clean-up by scope. `AUTO_FREE char *text = NULL;` frees on every return; TAKE(text) moves it out. */
void base_free_pointer(void *pointer_to_pointer);
void base_close_fd(const int *fd);
#define AUTO_FREE  __attribute__((cleanup(base_free_pointer)))
#define AUTO_CLOSE __attribute__((cleanup(base_close_fd)))
#define TAKE(p)                                                                                                        \
	({                                                                                                             \
		__typeof__(p) *take_from_ = &(p);                                                                      \
		__typeof__(p) take_value_ = *take_from_;                                                               \
		*take_from_ = NULL;                                                                                    \
		take_value_;                                                                                           \
	})

#include "base/span.h"

#include "base/error.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/checked.h"
