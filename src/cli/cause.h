/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cause - what is wrong with a pod, in words: from its object, the events about it and the last lines of its log, by a table of rules. Pure.
 *
 * Threads: any. Spans are cut from the arena, or point into what was given.
 */
#include "wire/value.h"

struct cause_found {
	struct span what;      /* "container main: exit code 1, restarted 5 times; waits for its next start" */
	struct span likely;    /* one likely cause, with what to do about it; empty: none is known */
	struct span container; /* whose log is worth a look; empty: none */
	bool is_previous;      /* the log of the attempt before */
	struct span since;     /* RFC 3339; may be empty */
};

/* False: nothing is wrong with it. `events` (an array) and `log` may be NULL, empty. */
bool cause_find(const struct value *pod, const struct value *events, struct span log, struct arena *arena,
		struct cause_found *ret);
/* What the last lines of a log tell ("the port is taken ..."); empty: nothing that is known. */
struct span cause_in_log(struct span log, struct arena *arena);
