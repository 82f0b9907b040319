/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread owns the journal. What gathers while it commits goes with the next commit: the more writers wait, the
 * more of them share one fdatasync.
 *
 * Lock order: `lock` is the only one; it is held for moves of pointers, never during I/O. It guards all fields under
 * it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store_private.h"

struct trim {
	struct trim *next;
	int64_t *revisions;
	size_t count;
	int64_t floor;
};

struct writer {
	pthread_t thread;
	struct journal *journal;
	const struct secret *secret;
	int event_fd;
	struct buffer sealed; /* the thread's */
	bool is_failed;       /* the thread's: the disk let a write down, none is tried after it but by writer_try() */
	bool may_pass;        /* the thread's: for want of room */
	struct error failure; /* the thread's: the first cause, or the last one of writer_try() */
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct write *queue, **queue_tail;
	struct trim *trims, **trims_tail;
	struct batch *finished, **finished_tail;
	bool is_asked; /* writer_try() */
	int64_t newest;
	bool is_ending;
};

/* ---- the thread ---- */

static bool add(struct writer *w, const struct write *write, struct error *err)
{
	const struct record *r = write->record;
	struct journal_row row = { .revision = r->revision,
				   .created = r->created,
				   .version = r->version,
				   .expires_ns = r->expires_ns,
				   .flags = r->is_deletion ? JOURNAL_DELETION : 0,
				   .key = r->key,
				   .text = r->text };

	if (write->is_secret && row.text.len) {
		buffer_clear(&w->sealed);
		if (!secret_seal(w->secret, &row, &w->sealed, err))
			return false;
		row.flags |= JOURNAL_SEALED;
		row.text = buffer_span(&w->sealed);
	}
	return journal_add(w->journal, &row, err);
}

static bool commit(struct writer *w, const struct write *first, struct error *err)
{
	bool ok = journal_begin(w->journal, err);

	for (const struct write *write = first; ok && write; write = write->next)
		ok = add(w, write, err);
	if (ok)
		ok = journal_commit(w->journal, err);
	if (!ok)
		journal_rollback(w->journal);
	buffer_clear(&w->sealed);
	buffer_shrink(&w->sealed, KIB(64));
	return ok;
}

static void fail(struct writer *w, const struct error *err)
{
	w->is_failed = true;
	w->may_pass = journal_is_full(w->journal);
	w->failure = *err;
	w->failure.code = ERROR_INTERNAL; /* whatever the journal calls it: the client cannot help it */
	if (w->may_pass)
		error_set(&w->failure, ERROR_INTERNAL, "%s: writes are refused until there is room again, reads go on",
			  err->message);
}

static void deliver(struct writer *w, struct batch *b)
{
	uint64_t one = 1;

	b->is_failed = w->is_failed;
	b->may_pass = w->may_pass;
	pthread_mutex_lock(&w->lock);
	*w->finished_tail = b;
	w->finished_tail = &b->next;
	pthread_mutex_unlock(&w->lock);
	(void)!write(w->event_fd, &one, sizeof(one)); /* an eventfd takes 2^64 - 2 of them */
}

static void finish(struct writer *w, struct write *first)
{
	struct batch *b = base_calloc(1, sizeof(*b));
	bool was_failed = w->is_failed;
	struct error err = { 0 };

	b->first = first;
	if (!was_failed && !commit(w, first, &err)) {
		fail(w, &err);
		if (w->may_pass)
			journal_bury(w->journal);
	}
	if (was_failed && !w->may_pass)
		error_set(&b->error, ERROR_UNAVAILABLE, "the store does not write any more: %s", w->failure.message);
	else if (w->is_failed)
		b->error = w->failure;
	deliver(w, b);
}

static void try(struct writer *w, int64_t newest)
{
	struct batch *b = base_calloc(1, sizeof(*b));
	struct error err = { 0 };

	b->is_trial = true;
	if (w->is_failed && w->may_pass) {
		w->is_failed = false;
		if (!journal_try(w->journal, newest, &err))
			fail(w, &err);
	}
	if (w->is_failed)
		b->error = w->failure;
	deliver(w, b);
}

static void trim_free(struct trim *t)
{
	free(t->revisions);
	free(t);
}

/* One that finds no room is not given up: a later one might drop the deletion of a key, and leave a version of it that
 * this one was to drop. */
static bool trim(struct writer *w, const struct trim *t)
{
	struct error err = { 0 };
	struct batch *b;
	bool ok = journal_begin(w->journal, &err);

	for (size_t i = 0; ok && i < t->count; i++)
		ok = journal_drop(w->journal, t->revisions[i], &err);
	ok = ok && journal_set_floor(w->journal, t->floor, &err) && journal_commit(w->journal, &err);
	if (ok)
		return true;
	journal_rollback(w->journal);
	fail(w, &err);
	b = base_calloc(1, sizeof(*b));
	b->error = w->failure;
	deliver(w, b);
	return false;
}

static void tidy(struct writer *w)
{
	struct error err = { 0 };
	bool is_idle;

	pthread_mutex_lock(&w->lock);
	is_idle = !w->queue;
	pthread_mutex_unlock(&w->lock);
	if (!w->is_failed && !journal_tidy(w->journal, is_idle, &err))
		fail(w, &err);
}

/* Takes the first one out; under the lock. */
static struct trim *trim_done(struct writer *w)
{
	struct trim *t = w->trims;

	w->trims = t->next;
	if (!w->trims)
		w->trims_tail = &w->trims;
	return t;
}

static void *work(void *context)
{
	struct writer *w = context;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct write *first = w->queue;
		const struct trim *t = w->is_failed ? NULL : w->trims; /* they wait until writes go well */
		bool is_asked = w->is_asked;
		int64_t newest = w->newest;

		if (!first && !t && !is_asked) {
			if (w->is_ending)
				break;
			pthread_cond_wait(&w->filled, &w->lock);
			continue;
		}
		w->queue = NULL;
		w->queue_tail = &w->queue;
		w->is_asked = false;
		pthread_mutex_unlock(&w->lock);
		if (first)
			finish(w, first);
		if (is_asked)
			try(w, newest);
		if (t && (w->is_failed || !trim(w, t)))
			t = NULL;
		tidy(w);
		pthread_mutex_lock(&w->lock);
		if (t)
			trim_free(trim_done(w));
	}
	while (w->trims)
		trim_free(trim_done(w)); /* the next start finds what they were to drop */
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the loop's side ---- */

struct writer *writer_new(struct journal *journal, const struct secret *secret, int event_fd)
{
	struct writer *w = base_calloc(1, sizeof(*w));

	w->journal = journal;
	w->secret = secret;
	w->event_fd = event_fd;
	buffer_init(&w->sealed, SIZE_MAX / 2);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->filled, NULL);
	w->queue_tail = &w->queue;
	w->trims_tail = &w->trims;
	w->finished_tail = &w->finished;
	ASSERT(pthread_create(&w->thread, NULL, work, w) == 0);
	(void)pthread_setname_np(w->thread, "hythe-store");
	return w;
}

void writer_submit(struct writer *w, struct write *first, struct write *last)
{
	pthread_mutex_lock(&w->lock);
	*w->queue_tail = first;
	w->queue_tail = &last->next;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->filled); /* not under the lock, which it takes first */
}

void writer_try(struct writer *w, int64_t newest)
{
	pthread_mutex_lock(&w->lock);
	w->is_asked = true;
	w->newest = newest;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->filled); /* not under the lock, which it takes first */
}

void writer_trim(struct writer *w, int64_t *revisions, size_t count, int64_t floor)
{
	struct trim *t = base_calloc(1, sizeof(*t));

	*t = (struct trim){ .revisions = revisions, .count = count, .floor = floor };
	pthread_mutex_lock(&w->lock);
	*w->trims_tail = t;
	w->trims_tail = &t->next;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->filled); /* not under the lock, which it takes first */
}

struct batch *writer_finished(struct writer *w)
{
	struct batch *b;

	pthread_mutex_lock(&w->lock);
	b = w->finished;
	w->finished = NULL;
	w->finished_tail = &w->finished;
	pthread_mutex_unlock(&w->lock);
	return b;
}

void writer_end(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->is_ending = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->filled); /* not under the lock, which it takes first */
	ASSERT(pthread_join(w->thread, NULL) == 0);
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	ASSERT(!w->queue && !w->trims && !w->finished);
	journal_close(w->journal);
	buffer_done(&w->sealed);
	pthread_cond_destroy(&w->filled);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
