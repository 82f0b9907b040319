/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * manager_private - what the files that run controllers share.
 *
 *	manager.c  its life, calls, and which changes wake whom
 *	choice.c   which controllers run
 *	queue.c    objects that wait, and those that are due at a time
 *	writes.c   what calls ask for, and what comes of it
 */
#include "controllers/controller.h"
#include "loop/loop.h"

struct op;
struct following;

/* An object and its controller, while there is something to do. */
struct work {
	struct work *in_bucket, *next; /* in the queue */
	struct manager *manager;
	const struct controller *controller;
	int64_t due_ns;
	size_t due_at; /* place in the heap + 1; 0: not due */
	unsigned failures, parts;
	bool is_queued, is_busy, is_dirty, is_due;
	struct error error;   /* of the call, or its first write that failed */
	struct error refused; /* the last create that failed */
	struct op *first_op, *last_op;
	uint32_t name_space_len, name_len;
	char text[];
};

struct manager {
	struct manager_config config;
	struct work **buckets;
	size_t bucket_count, work_count;
	struct work *first, *last;
	struct work **due;
	size_t due_count, due_cap, busy;
	int64_t started_ns;
	struct following *followings;
	struct memory *memories;
	struct timer timer;
	struct arena arena; /* of the call */
	bool is_stopped;
};

int64_t manager_now(const struct manager *m);
void manager_run(struct manager *m); /* calls what is due and what waits, for a turn of the loop */

/* ---- choice.c ---- */

bool choice_check(const char *const *names, struct error *err);
bool choice_has(const char *const *names, const struct controller *c);

/* ---- queue.c ---- */

#define BUCKETS_LEAST 256

struct work *work_ensure(struct manager *m, const struct controller *c, struct span name_space, struct span name);
struct span work_name_space(const struct work *w);
struct span work_name(const struct work *w);
/* What neither waits nor is due is forgotten: nothing is remembered of an object between two calls. */
void work_drop(struct work *w);
void work_enqueue(struct work *w);
struct work *work_next(struct manager *m);                      /* taken out of the queue; NULL: nothing waits */
void due_set(struct manager *m, struct work *w, int64_t at_ns); /* the earlier of two times counts */
void due_remove(struct manager *m, struct work *w);
/* Wakes for what is due; at once when something waits still. */
void timer_arm(struct manager *m);

/* ---- writes.c ---- */

/* Begins the writes that a call has asked for, or forgets them. */
void writes_start(struct work *w, bool are_wanted);
/* One less of what the call waits for; the call itself is one. */
void work_part_done(struct work *w);
