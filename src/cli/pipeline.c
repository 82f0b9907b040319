/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 30 };

struct slot {
	struct buffer in, out;
	struct score_counts counts;
	struct error err; /* of scoring it */
	bool is_ready;    /* under `lock` */
};

struct pipeline {
	const struct pipeline_config *config;
	struct slot *slots;
	uint64_t slot_count;

	pthread_mutex_t reading; /* guards the reader and `taken`; taken before `lock` */
	uint64_t taken;          /* blocks read */

	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t freed; /* `written` grew, or the run is over */
	uint64_t written;     /* blocks */
	bool is_writing;      /* a thread is at it; others leave their blocks to it */
	bool is_over;         /* failed: take no more */
	struct score_counts totals;
	uint64_t bytes; /* of the blocks written */
	struct error err;
};

static void fail(struct pipeline *p, const struct error *err)
{
	pthread_mutex_lock(&p->lock);
	if (!p->is_over)
		p->err = *err;
	p->is_over = true;
	pthread_cond_broadcast(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

/* The next block in its slot, or NULL at the end. */
static struct slot *take(struct pipeline *p)
{
	struct slot *slot = NULL;
	struct error err = { 0 };
	bool is_any = false, is_over;

	pthread_mutex_lock(&p->reading);
	pthread_mutex_lock(&p->lock);
	while (!p->is_over && p->taken - p->written >= p->slot_count)
		pthread_cond_wait(&p->freed, &p->lock);
	is_over = p->is_over;
	pthread_mutex_unlock(&p->lock);
	if (!is_over) {
		slot = &p->slots[p->taken % p->slot_count];
		if (!block_read(p->config->reader, &slot->in, &is_any, &err))
			fail(p, &err);
		p->taken += is_any;
	}
	pthread_mutex_unlock(&p->reading);
	return is_any ? slot : NULL;
}

static bool write_all(int fd, struct span bytes, struct error *err)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "writing the output");
		bytes = span_skip(bytes, (size_t)n);
	}
	return true;
}

/*
 * Writes the oldest block. One that failed is scored again, now that it is known on which line it begins, for the rows
 * before the bad one and for a message with the right line.
 */
static bool write_slot(struct pipeline *p, struct scorer *scorer, struct slot *slot, struct error *err)
{
	struct score_counts totals = p->totals; /* changed by the writing thread only */
	bool ok = true;

	if (slot->err.code != ERROR_NONE) {
		buffer_clear(&slot->out);
		ok = scorer_run(scorer, buffer_span(&slot->in), p->config->first_line + totals.lines, &slot->out,
				&slot->counts, err);
	}
	if (!write_all(p->config->out, buffer_span(&slot->out), err))
		return false;
	pthread_mutex_lock(&p->lock);
	p->totals.rows += slot->counts.rows;
	p->totals.bad += slot->counts.bad;
	p->totals.lines += slot->counts.lines;
	p->bytes += slot->in.len;
	pthread_mutex_unlock(&p->lock);
	return ok;
}

/* Hands a scored block over, and writes what is next in order unless another thread does. */
static void give(struct pipeline *p, struct scorer *scorer, struct slot *slot)
{
	pthread_mutex_lock(&p->lock);
	slot->is_ready = true;
	while (!p->is_writing && !p->is_over && p->slots[p->written % p->slot_count].is_ready) {
		struct slot *oldest = &p->slots[p->written % p->slot_count];
		struct error err = { 0 };
		bool ok;

		p->is_writing = true;
		pthread_mutex_unlock(&p->lock);
		ok = write_slot(p, scorer, oldest, &err);
		if (!ok)
			fail(p, &err);
		pthread_mutex_lock(&p->lock);
		if (ok)
			progress_show(p->config->progress, p->bytes, p->totals.rows);
		oldest->is_ready = false;
		p->is_writing = false;
		p->written++;
		pthread_cond_broadcast(&p->freed);
	}
	pthread_mutex_unlock(&p->lock);
}

static void *work(void *context)
{
	struct pipeline *p = context;
	struct scorer *scorer = scorer_new(p->config->plan);
	struct slot *slot;

	while ((slot = take(p))) {
		slot->err = (struct error){ 0 };
		buffer_clear(&slot->out);
		(void)scorer_run(scorer, buffer_span(&slot->in), 1, &slot->out, &slot->counts, &slot->err);
		give(p, scorer, slot);
	}
	scorer_free(scorer);
	return NULL;
}

bool pipeline_run(const struct pipeline_config *config, struct score_counts *ret, struct error *err)
{
	struct pipeline p = { .config = config, .slot_count = config->threads == 1 ? 1 : config->threads * 2 + 1 };
	pthread_t *threads = base_calloc(config->threads, sizeof(*threads));
	unsigned started = 0;

	p.slots = base_calloc(p.slot_count, sizeof(*p.slots));
	for (uint64_t i = 0; i < p.slot_count; i++) {
		buffer_init(&p.slots[i].in, SIZE_MAX / 4);
		buffer_init(&p.slots[i].out, OUT_MAX);
	}
	pthread_mutex_init(&p.reading, NULL);
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.freed, NULL);

	/* This thread is one of them; that no more can be started is no reason to fail. */
	while (started + 1 < config->threads && pthread_create(&threads[started], NULL, work, &p) == 0)
		started++;
	work(&p);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);

	*ret = p.totals;
	if (p.is_over)
		*err = p.err;
	for (uint64_t i = 0; i < p.slot_count; i++) {
		buffer_done(&p.slots[i].in);
		buffer_done(&p.slots[i].out);
	}
	pthread_cond_destroy(&p.freed);
	pthread_mutex_destroy(&p.lock);
	pthread_mutex_destroy(&p.reading);
	free(p.slots);
	free(threads);
	return !p.is_over;
}
