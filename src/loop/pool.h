/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pool - compute threads: work too long for a loop. As many run at once as there are threads; the rest wait in order.
 *
 * A pool of no threads runs its jobs on the loop they come from (loop_job()): what a job has written goes out before the next begins,
 * and nothing else is done on that loop meanwhile. For a process that has no more to do than this work.
 *
 * Threads: pool_submit() from any (with no threads: from one loop); `run` is called on a compute thread, then `done` on the loop it came from.
 * Ownership: the job is embedded in the caller's struct and must live until `done`.
 * Errors:  EXHAUSTED when `queue_limit` jobs wait already.
 */
#include "base/base.h"
#include "loop/loop.h"

struct pool;

struct pool_job {
	struct loop_message message; /* private */
	struct pool_job *next;       /* private */
	struct loop *loop;           /* where `done` runs; NULL: `done` runs on the compute thread itself */
	void (*run)(struct pool_job *job);
	void (*done)(struct pool_job *job);
};

struct pool *pool_new(unsigned threads, size_t queue_limit); /* threads start at the first job */
void pool_free(struct pool *p);                              /* waits for what runs; the queue must be empty */
bool pool_submit(struct pool *p, struct pool_job *job, struct error *err);
size_t pool_waiting(const struct pool *p);
