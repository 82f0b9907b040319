/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * nearest - "did you mean": which of some names a misspelt one is most like.
 *
 * Damerau-Levenshtein distance with adjacent swaps (optimal string alignment), letters of either case alike, of words of up to
 * NEAREST_WORD_MAX bytes. Near is at most a third of the given word's letters, one at least; so is a name that begins with it.
 *
 * Threads: any.
 */
#include "base/span.h"

#define NEAREST_WORD_MAX 48

struct nearest {
	struct span given;
	struct span found; /* points to the name tried; empty: none is near */
	size_t least;      /* private */
};

struct nearest nearest_to(struct span given);
void nearest_try(struct nearest *n, struct span name); /* the first of those that are as near is kept */
size_t nearest_distance(struct span a, struct span b); /* SIZE_MAX: one of them is too long */
