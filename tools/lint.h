/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * lint - what clang-tidy is told before each file (./dev lint). Its analyzer looks into one file at a time: so it learns
 * that the functions which set an error return false, and follows the paths that exist.
 */
#include "base/error.h"

static inline bool lint_false(bool result)
{
	(void)result;
	return false;
}

#define error_set(...)   lint_false((error_set)(__VA_ARGS__))
#define error_wrap(...)  lint_false((error_wrap)(__VA_ARGS__))
#define error_errno(...) lint_false((error_errno)(__VA_ARGS__))

/*
 * An empty span may have no address, and a text may be absent. The question whether they are there would be taken for a
 * hint that each may not be.
 */
#undef SPAN_ARG
#define SPAN_ARG(s) (int)((s).len > 120 ? 120 : (s).len), (s).ptr

size_t lint_length(const char *text);

static inline struct span lint_span_of(const char *text)
{
	return (struct span){ text, lint_length(text) };
}

#define span_of(...) lint_span_of(__VA_ARGS__)

bool lint_span_equal(struct span a, struct span b);
#define span_equal(...) lint_span_equal(__VA_ARGS__)
