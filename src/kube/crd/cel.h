/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cel - the Common Expression Language (github.com/google/cel-spec, langdef) as Kubernetes uses it in validation rules: operators, macros
 * (has, all, exists, exists_one, map, filter), strings, lists, maps, regular expressions, quantities, urls, times and durations.
 *
 * A program is parsed and checked once (an unknown function or field is refused there), and run with a budget of steps.
 * Errors:  INVALID with line and column ("ERROR: <input>:1:5: undeclared reference to 'foo' (in container '')"); at run time INVALID
 *          ("no such key: x", "division by zero"), EXHAUSTED when the budget is used up.
 * Limits:  expression CEL_BYTES_MAX, depth CEL_DEPTH_MAX, steps CEL_STEPS_MAX.
 * Threads: one; a compiled program is immutable.
 */
#include "wire/value.h"

#define CEL_BYTES_MAX KIB(16)
#define CEL_DEPTH_MAX 64
#define CEL_STEPS_MAX 1000000

struct cel;
struct openapi_schema;

/* `self` is the schema of the variable self (NULL: dyn); oldSelf has the same when has_old. */
struct cel *cel_compile(struct span expression, const struct openapi_schema *self, bool has_old, struct error *err);
void cel_free(struct cel *c);
bool cel_uses_old(const struct cel *c);

/* *ret_result is the boolean; or, for messageExpression, cel_run_string(). `now` is not a variable: CEL has no clock. */
bool cel_run(const struct cel *c, const struct value *self, const struct value *old, struct arena *arena,
	     bool *ret_result, struct error *err);
bool cel_run_string(const struct cel *c, const struct value *self, const struct value *old, struct arena *arena,
		    struct span *ret, struct error *err);
