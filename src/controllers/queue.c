/* SPDX-License-Identifier: Apache-2.0 */
/* queue - objects that wait for their call in a list, those that are due at a time in a heap; both in a table by controller and name. */
#include "controllers/manager_private.h"

#include <stdlib.h>

#include "base/clock.h"

#define SLEEP_MOST_NS (60 * NS_PER_S) /* so that a clock that was set is noticed */

/* ---- time ---- */

static void due_place(struct manager *m, struct work *w, size_t at)
{
	m->due[at] = w;
	w->due_at = at + 1;
}

static void due_up(struct manager *m, struct work *w, size_t at)
{
	while (at && m->due[(at - 1) / 2]->due_ns > w->due_ns) {
		due_place(m, m->due[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	due_place(m, w, at);
}

static void due_down(struct manager *m, struct work *w, size_t at)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < m->due_count && m->due[child + 1]->due_ns < m->due[child]->due_ns)
			child++;
		if (child >= m->due_count || m->due[child]->due_ns >= w->due_ns)
			break;
		due_place(m, m->due[child], at);
		at = child;
	}
	due_place(m, w, at);
}

void due_remove(struct manager *m, struct work *w)
{
	size_t at = w->due_at - 1;
	struct work *last;

	if (!w->due_at)
		return;
	w->due_at = 0;
	last = m->due[--m->due_count];
	if (last == w)
		return;
	if (at && m->due[(at - 1) / 2]->due_ns > last->due_ns)
		due_up(m, last, at);
	else
		due_down(m, last, at);
}

void due_set(struct manager *m, struct work *w, int64_t at_ns)
{
	if (w->due_at && w->due_ns <= at_ns)
		return;
	due_remove(m, w);
	if (m->due_count == m->due_cap) {
		m->due_cap = MAX(m->due_cap * 2, (size_t)64);
		m->due = base_realloc(m->due, m->due_cap * sizeof(struct work *));
	}
	w->due_ns = at_ns;
	due_up(m, w, m->due_count++);
}

int64_t manager_next_ns(const struct manager *m)
{
	return m->due_count ? m->due[0]->due_ns : INT64_MAX;
}

static void timer_fired(struct timer *t)
{
	manager_run(CONTAINER_OF(t, struct manager, timer));
}

void timer_arm(struct manager *m)
{
	int64_t wait = manager_next_ns(m);

	if (m->first)
		wait = 0;
	else if (wait != INT64_MAX)
		wait = MAX(wait - manager_now(m), (int64_t)0);
	if (wait == INT64_MAX || (m->config.wall_ns && wait)) /* a clock of its own: manager_tick() */
		loop_timer_clear(m->config.loop, &m->timer);
	else
		loop_timer_set(m->config.loop, &m->timer, clock_monotonic_ns() + MIN(wait, SLEEP_MOST_NS), timer_fired);
}

/* ---- work: an object and its controller ---- */

struct span work_name_space(const struct work *w)
{
	return span_from(w->text, w->name_space_len);
}

struct span work_name(const struct work *w)
{
	return span_from(w->text + w->name_space_len, w->name_len);
}

static uint64_t hash_of(const struct controller *c, struct span name_space, struct span name)
{
	return (span_hash(name_space) * 31 + span_hash(name)) * 31 + (uintptr_t)c / 16;
}

static struct work **work_slot(struct manager *m, const struct controller *c, struct span name_space, struct span name)
{
	struct work **at = &m->buckets[hash_of(c, name_space, name) & (m->bucket_count - 1)];

	while (*at && !((*at)->controller == c && span_equal(work_name(*at), name) &&
			span_equal(work_name_space(*at), name_space)))
		at = &(*at)->in_bucket;
	return at;
}

static void buckets_grow(struct manager *m)
{
	size_t count = m->bucket_count * 2;
	struct work **larger = base_calloc(count, sizeof(struct work *));

	for (size_t i = 0; i < m->bucket_count; i++) {
		while (m->buckets[i]) {
			struct work *w = m->buckets[i];
			uint64_t hash = hash_of(w->controller, work_name_space(w), work_name(w));

			m->buckets[i] = w->in_bucket;
			w->in_bucket = larger[hash & (count - 1)];
			larger[hash & (count - 1)] = w;
		}
	}
	free(m->buckets);
	m->buckets = larger;
	m->bucket_count = count;
}

struct work *work_ensure(struct manager *m, const struct controller *c, struct span name_space, struct span name)
{
	struct work **at = work_slot(m, c, name_space, name);
	struct work *w = *at;

	if (w)
		return w;
	w = base_calloc(1, sizeof(*w) + name_space.len + name.len);
	w->manager = m;
	w->controller = c;
	w->name_space_len = (uint32_t)name_space.len;
	w->name_len = (uint32_t)name.len;
	if (name_space.len)
		memcpy(w->text, name_space.ptr, name_space.len);
	memcpy(w->text + name_space.len, name.ptr, name.len);
	*at = w;
	if (++m->work_count > m->bucket_count)
		buckets_grow(m);
	return w;
}

void work_drop(struct work *w)
{
	struct manager *m = w->manager;
	struct work **at;

	if (w->is_queued || w->is_busy || w->due_at || w->failures)
		return;
	at = work_slot(m, w->controller, work_name_space(w), work_name(w));
	*at = w->in_bucket;
	m->work_count--;
	free(w);
}

void work_enqueue(struct work *w)
{
	struct manager *m = w->manager;

	if (w->is_busy) {
		w->is_dirty = true;
		return;
	}
	if (w->is_queued)
		return;
	w->is_queued = true;
	w->next = NULL;
	*(m->first ? &m->last->next : &m->first) = w;
	m->last = w;
	timer_arm(m);
}

void manager_wake(struct manager *m, const struct controller *c, struct span name_space, struct span name)
{
	work_enqueue(work_ensure(m, c, name_space, name));
}

struct work *work_next(struct manager *m)
{
	struct work *w = m->first;

	if (!w)
		return NULL;
	m->first = w->next;
	if (!m->first)
		m->last = NULL;
	w->is_queued = false;
	return w;
}
