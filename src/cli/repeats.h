/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * repeats - what was written for a line of text, for when the same line comes again.
 *
 * Tables of flags and small counts have few different rows: copying a row's scores costs a tenth of making them again.
 * A table of fixed size, each line in the one place its hash gives; a newer line takes an older one's place.
 *
 * Ownership: the table copies both texts. Spans it gives live until the next repeats_put().
 * Threads:   one.
 */
#include "base/base.h"

enum {
	REPEATS_LINE_MAX = 70, /* a longer line is never kept */
	REPEATS_TEXT_MAX = 54,
};

struct repeats;

struct repeats *repeats_new(void);
void repeats_free(struct repeats *r); /* NULL is allowed */

/* The text kept for the line; false when there is none. */
bool repeats_find(const struct repeats *r, struct span line, struct span *ret);

/* Keeps the text, unless one of the two is too long. */
void repeats_put(struct repeats *r, struct span line, struct span text);
