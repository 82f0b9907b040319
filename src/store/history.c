/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/store_private.h"

enum {
	TRIM_AT_ONCE = 512, /* rows deleted from disk in one transaction */
	HARD_FACTOR = 4,    /* times history_bytes, over which age does not count */
};

void history_done(struct history *h)
{
	free(h->ring);
	free(h->marks);
	free(h->trimmed);
	*h = (struct history){ 0 };
}

static void ring_grow(struct history *h, int64_t first, int64_t last)
{
	size_t capacity = h->capacity ? h->capacity : 1024;
	struct record **ring;

	while (capacity < (size_t)(last - h->floor))
		capacity *= 2;
	ring = base_alloc(capacity * sizeof(struct record *));
	for (int64_t at = first; at < last; at++)
		ring[(size_t)at & (capacity - 1)] = h->ring[(size_t)at & (h->capacity - 1)];
	free(h->ring);
	h->ring = ring;
	h->capacity = capacity;
}

void history_put(struct store *s, struct record *r)
{
	struct history *h = &s->history;

	ASSERT(r->revision > h->floor);
	if ((size_t)(r->revision - h->floor) > h->capacity)
		ring_grow(h, h->floor + 1, r->revision);
	h->ring[(size_t)r->revision & (h->capacity - 1)] = r;
}

struct record *history_get(const struct store *s, int64_t revision)
{
	const struct history *h = &s->history;

	ASSERT(revision > h->floor && revision < s->next);
	return h->ring[(size_t)revision & (h->capacity - 1)];
}

void history_account(struct store *s, const struct record *r)
{
	if (r->older && !r->older->is_deletion) /* a deletion was counted when it was made */
		s->history.bytes += record_bytes(r->older);
	if (r->is_deletion)
		s->history.bytes += record_bytes(r);
}

void history_forget(struct store *s, int64_t revision)
{
	struct history *h = &s->history;

	if (h->trimmed_count == h->trimmed_capacity) {
		h->trimmed_capacity = MAX(h->trimmed_capacity * 2, (size_t)TRIM_AT_ONCE);
		h->trimmed = base_realloc(h->trimmed, h->trimmed_capacity * sizeof(int64_t));
	}
	h->trimmed[h->trimmed_count++] = revision;
}

void history_flush(struct store *s)
{
	struct history *h = &s->history;

	if (h->trimmed_count)
		writer_trim(s->writer, TAKE(h->trimmed), h->trimmed_count, h->floor);
	h->trimmed_count = h->trimmed_capacity = 0;
}

static void drop(struct store *s, struct record *r)
{
	ASSERT(!r->older);
	s->history.bytes -= record_bytes(r);
	history_forget(s, r->revision);
	record_unref(r);
}

/* The floor rises by one: what the version of that revision superseded is not needed any more, nor is itself if it is
 * the end. */
static void rise(struct store *s)
{
	struct record *r = history_get(s, s->history.floor + 1);
	struct record *older = r->older;

	s->history.floor++;
	r->older = NULL;
	if (older)
		drop(s, older);
	if (r->is_deletion) {
		struct entry *e = index_find(&s->index, r->key);

		ASSERT(e);
		if (e->latest != r)
			return; /* the next version supersedes it, and drops it then */
		index_remove(&s->index, r->key);
		drop(s, r);
	}
}

void history_taken_back(struct store *s, struct entry *e)
{
	struct record *r = e->durable;

	if (!r->is_deletion || r->revision > s->history.floor)
		return;
	index_remove(&s->index, r->key);
	drop(s, r);
}

/* Notes the time, at most once a second, and forgets times that are older than the window. */
static void tick(struct store *s)
{
	struct history *h = &s->history;
	int64_t now = loop_now(s->config.loop);
	size_t old = 0;

	if (h->marks_count == h->marks_capacity) {
		h->marks_capacity = MAX(h->marks_capacity * 2, (size_t)64);
		h->marks = base_realloc(h->marks, h->marks_capacity * sizeof(*h->marks));
	}
	if (!h->marks_count || now - h->marks[h->marks_count - 1].at_ns >= NS_PER_S)
		h->marks[h->marks_count++] = (struct mark){ s->durable, now };
	while (old < h->marks_count && now - h->marks[old].at_ns >= s->config.history_ns)
		h->aged = h->marks[old++].revision;
	if (old) { /* at most once a second as well */
		h->marks_count -= old;
		memmove(h->marks, h->marks + old, h->marks_count * sizeof(*h->marks));
	}
	if (s->config.history_ns <= 0)
		h->aged = s->durable;
}

void history_compact(struct store *s)
{
	struct history *h = &s->history;
	size_t limit = s->config.history_bytes;

	if (s->is_closing)
		return; /* the thread that would delete them has ended */
	tick(s);
	while (h->bytes > limit && h->floor < s->durable && (h->floor < h->aged || h->bytes / HARD_FACTOR > limit))
		rise(s);
	if (h->trimmed_count >= TRIM_AT_ONCE)
		history_flush(s);
}
