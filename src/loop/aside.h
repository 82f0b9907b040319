/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * aside - one piece of work on a thread of its own, for what may take seconds (large trees of files), whose end is told on the loop.
 *
 * Embedded in what the work is about. Threads: aside_begin(), aside_leave() and `done`: the loop's, or where no loop runs any more. `work`: its
 * own. `drop`: either.
 */
#include <pthread.h>

#include "loop/loop.h"

struct aside {
	void (*work)(struct aside *a); /* touches nothing of the loop's */
	void (*done)(struct aside *a); /* it is the owner's again */
	void (*drop)(struct aside *a); /* nobody wants it: frees it */
	/* private: */
	struct loop_message message;
	pthread_mutex_t lock;
	struct loop *loop; /* NULL: left */
};

/* False: there is no thread to be had, and nothing is called. */
bool aside_begin(struct aside *a, struct loop *l) MUST_CHECK;
/*
 * `drop` instead of `done`, once the work has ended. The loop may be freed; one that had been told before, and does not run again, leaves the
 * memory to the end of the process. NULL is allowed.
 */
void aside_leave(struct aside *a);
