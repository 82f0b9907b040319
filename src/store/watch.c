/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/store_private.h"

enum { COUNTED_MOST = 4096 }; /* prefixes whose count is kept; over it they are counted each time */

struct prefix {
	struct prefix *next; /* in its slot of the table */
	struct store_watch *watches;
	uint64_t hash;
	size_t keys; /* durable ones, kept with is_counted */
	bool is_counted;
	size_t len;
	char text[];
};

struct length {
	size_t len, users;
};

struct store_watch {
	struct store *store;
	struct store_watcher *watcher; /* NULL when it is dead */
	struct prefix *prefix;
	struct store_watch *next, **link;                   /* of the same prefix */
	struct store_watch *next_progress, **link_progress; /* link is NULL for one that asked for none */
	struct store_watch *next_dead;
	int64_t told; /* revision of the newest event it had, or was past when it came */
};

/* ---- prefixes ---- */

static void length_use(struct watches *w, size_t len)
{
	for (size_t i = 0; i < w->lengths_count; i++) {
		if (w->lengths[i].len == len) {
			w->lengths[i].users++;
			return;
		}
	}
	if (w->lengths_count == w->lengths_capacity) {
		w->lengths_capacity = MAX(w->lengths_capacity * 2, (size_t)16);
		w->lengths = base_realloc(w->lengths, w->lengths_capacity * sizeof(struct length));
	}
	w->lengths[w->lengths_count++] = (struct length){ len, 1 }; /* at the end: who walks them is not disturbed */
}

static void length_unuse(struct watches *w, size_t len)
{
	size_t i = 0;

	while (w->lengths[i].len != len)
		i++;
	if (--w->lengths[i].users == 0)
		w->lengths[i] = w->lengths[--w->lengths_count];
}

static void table_grow(struct watches *w)
{
	size_t capacity = MAX(w->capacity * 2, (size_t)64);
	struct prefix **table = base_calloc(capacity, sizeof(struct prefix *));

	for (size_t i = 0; i < w->capacity; i++) {
		struct prefix *p = w->table[i];

		while (p) {
			struct prefix *next = p->next;
			struct prefix **slot = &table[p->hash & (capacity - 1)];

			p->next = *slot;
			*slot = p;
			p = next;
		}
	}
	free(w->table);
	w->table = table;
	w->capacity = capacity;
}

static struct prefix *prefix_find(const struct watches *w, struct span text)
{
	uint64_t hash = span_hash(text);

	if (!w->count)
		return NULL;
	for (struct prefix *p = w->table[hash & (w->capacity - 1)]; p; p = p->next) {
		if (p->hash == hash && span_equal(span_from(p->text, p->len), text))
			return p;
	}
	return NULL;
}

static struct prefix *prefix_add(struct watches *w, struct span text)
{
	struct prefix *p = prefix_find(w, text);
	struct prefix **slot;

	if (p)
		return p;
	if (w->count >= w->capacity)
		table_grow(w);
	p = base_calloc(1, sizeof(*p) + text.len);
	p->hash = span_hash(text);
	p->len = text.len;
	if (text.len)
		memcpy(p->text, text.ptr, text.len);
	slot = &w->table[p->hash & (w->capacity - 1)];
	p->next = *slot;
	*slot = p;
	w->count++;
	length_use(w, p->len);
	return p;
}

static void prefix_drop_if_unused(struct watches *w, struct prefix *p)
{
	struct prefix **slot = &w->table[p->hash & (w->capacity - 1)];

	if (p->watches || p->is_counted)
		return;
	while (*slot != p)
		slot = &(*slot)->next;
	*slot = p->next;
	w->count--;
	length_unuse(w, p->len);
	free(p);
}

/* ---- telling ---- */

static struct record *before(const struct record *r)
{
	return r->older && !r->older->is_deletion ? r->older : NULL;
}

static void tell(struct store_watch *watch, struct record *r)
{
	struct store_event event = { .record = r, .previous = before(r) };

	if (!watch->watcher || watch->told >= r->revision)
		return;
	watch->told = r->revision;
	watch->watcher->event(watch->watcher, &event);
}

static void enter(struct watches *w)
{
	w->depth++;
}

static void leave(struct watches *w)
{
	if (--w->depth)
		return;
	while (w->dead) {
		struct store_watch *watch = w->dead;

		w->dead = watch->next_dead;
		*watch->link = watch->next;
		if (watch->next)
			watch->next->link = watch->link;
		if (watch->link_progress) {
			*watch->link_progress = watch->next_progress;
			if (watch->next_progress)
				watch->next_progress->link_progress = watch->link_progress;
		}
		prefix_drop_if_unused(w, watch->prefix);
		free(watch);
	}
}

void watches_count(struct store *s, const struct record *r)
{
	struct watches *w = &s->watches;
	bool was = before(r) != NULL, is = !r->is_deletion;

	for (size_t i = 0; was != is && w->counted && i < w->lengths_count; i++) {
		size_t len = w->lengths[i].len;
		struct prefix *p = len <= r->key.len ? prefix_find(w, span_first(r->key, len)) : NULL;

		if (p && p->is_counted)
			p->keys += (size_t)is - (size_t)was;
	}
}

void watches_tell(struct store *s, struct record *r)
{
	struct watches *w = &s->watches;

	enter(w);
	for (size_t i = 0; i < w->lengths_count; i++) { /* callbacks may add to the end */
		size_t len = w->lengths[i].len;
		struct prefix *p = len <= r->key.len ? prefix_find(w, span_first(r->key, len)) : NULL;

		if (!p)
			continue;
		for (struct store_watch *watch = p->watches; watch; watch = watch->next)
			tell(watch, r);
	}
	leave(w);
}

void watches_progress(struct store *s)
{
	struct watches *w = &s->watches;

	enter(w);
	for (struct store_watch *watch = w->progress; watch; watch = watch->next_progress) {
		if (watch->watcher)
			watch->watcher->progress(watch->watcher, s->durable);
	}
	leave(w);
}

/* ---- watching ---- */

static struct store_watch *watch_new(struct store *s, struct span prefix, int64_t from, struct store_watcher *watcher)
{
	struct watches *w = &s->watches;
	struct store_watch *watch = base_calloc(1, sizeof(*watch));
	struct prefix *p = prefix_add(w, prefix);

	*watch = (struct store_watch){ .store = s, .watcher = watcher, .prefix = p, .told = from };
	watch->next = p->watches;
	watch->link = &p->watches;
	if (watch->next)
		watch->next->link = &watch->next;
	p->watches = watch;
	if (watcher->progress) {
		watch->next_progress = w->progress;
		watch->link_progress = &w->progress;
		if (watch->next_progress)
			watch->next_progress->link_progress = &watch->next_progress;
		w->progress = watch;
	}
	watcher->watch = watch;
	return watch;
}

struct store_watch *store_watch(struct store *s, struct span prefix, int64_t from, struct store_watcher *w,
				struct error *err)
{
	struct store_watch *watch;

	LOOP_ASSERT(s->config.loop);
	if (from < s->history.floor) {
		error_set(err, ERROR_GONE, "too old resource version: %lld (%lld)", (long long)from,
			  (long long)s->history.floor);
		return NULL;
	}
	if (from > s->durable) {
		error_set(err, ERROR_TIMEOUT, "Too large resource version: %lld, current: %lld", (long long)from,
			  (long long)s->durable);
		return NULL;
	}
	watch = watch_new(s, prefix, from, w);
	enter(&s->watches);
	for (int64_t at = from + 1; at <= s->durable && watch->watcher; at++) {
		struct record *r = history_get(s, at);

		if (span_starts(r->key, span_from(watch->prefix->text, watch->prefix->len)))
			tell(watch, r);
	}
	watch->told = s->durable;
	if (!watch->watcher) {
		error_set(err, ERROR_CANCELLED, "the watcher went away");
		watch = NULL;
	}
	leave(&s->watches);
	return watch;
}

void store_unwatch(struct store_watch *w)
{
	struct watches *all;

	if (!w || !w->watcher)
		return;
	all = &w->store->watches;
	w->watcher = NULL;
	w->next_dead = all->dead;
	all->dead = w;
	enter(all);
	leave(all);
}

/* ---- counting ---- */

static size_t count_keys(const struct store *s, struct span prefix)
{
	size_t count = 0;

	for (struct entry *e = index_at_or_behind(&s->index, prefix); e && span_starts(entry_key(e), prefix);
	     e = e->next[0])
		count += e->durable && !e->durable->is_deletion;
	return count;
}

size_t store_count(struct store *s, struct span prefix)
{
	struct watches *w = &s->watches;
	struct prefix *p = prefix_find(w, prefix);

	LOOP_ASSERT(s->config.loop);
	if (p && p->is_counted)
		return p->keys;
	if (!span_ends(prefix, SPAN("/")) || w->counted == COUNTED_MOST)
		return count_keys(s, prefix);
	p = prefix_add(w, prefix);
	p->is_counted = true;
	p->keys = count_keys(s, prefix);
	w->counted++;
	return p->keys;
}

void watches_done(struct store *s)
{
	struct watches *w = &s->watches;

	for (size_t i = 0; i < w->capacity; i++) {
		struct prefix *p = w->table[i];

		while (p) {
			struct prefix *next = p->next;

			while (p->watches) {
				struct store_watch *watch = p->watches;

				p->watches = watch->next;
				free(watch);
			}
			free(p);
			p = next;
		}
	}
	free(w->table);
	free(w->lengths);
	*w = (struct watches){ 0 };
}
