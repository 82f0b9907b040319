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
