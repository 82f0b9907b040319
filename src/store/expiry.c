/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "store/store_private.h"

enum { AT_ONCE = 1000 }; /* deletions proposed in one turn of the loop */

static const int64_t longest_wait_ns = 30 * NS_PER_S; /* the wall clock may be set meanwhile */
static const int64_t next_wait_ns = 10 * NS_PER_MS;

static int64_t time_of(const struct entry *e)
{
	return e->durable->expires_ns;
}

static void place(struct expiry *x, struct entry *e, size_t at)
{
	x->heap[at] = e;
	e->expiry_slot = at;
}

static void settle(struct expiry *x, struct entry *e, size_t at)
{
	for (; at > 1 && time_of(x->heap[at / 2]) > time_of(e); at /= 2)
		place(x, x->heap[at / 2], at);
	for (;;) {
		size_t child = at * 2;

		if (child + 1 <= x->count && time_of(x->heap[child + 1]) < time_of(x->heap[child]))
			child++;
		if (child > x->count || time_of(x->heap[child]) >= time_of(e))
			break;
		place(x, x->heap[child], at);
		at = child;
	}
	place(x, e, at);
}

static void take_out(struct expiry *x, struct entry *e)
{
	size_t at = e->expiry_slot;
	struct entry *last = x->heap[x->count--];

	e->expiry_slot = 0;
	if (last != e)
		settle(x, last, at);
}

static void fire(struct timer *t);

static void arm(struct store *s, int64_t wait_ns)
{
	loop_timer_set(s->config.loop, &s->expiry.timer, clock_monotonic_ns() + wait_ns, fire);
}

static void arm_for_first(struct store *s)
{
	int64_t wait;

	if (!s->expiry.count || s->is_failed) {
		loop_timer_clear(s->config.loop, &s->expiry.timer);
		return;
	}
	wait = time_of(s->expiry.heap[1]) - clock_wall_ns();
	arm(s, wait < 0 ? 0 : MIN(wait, longest_wait_ns));
}

static bool end(struct store *s, struct entry *e)
{
	struct record *r = e->durable;
	struct store_write w = { .key = r->key, .text = r->text, .is_deletion = true, .expected = r->revision };
	struct error err = { 0 };
	struct buffer text;
	bool ok;

	buffer_init(&text, s->config.text_most);
	if (s->config.renew && s->config.renew(s->config.context, r->key, r->text, s->next, &text, &err) &&
	    !text.overflow)
		w.text = buffer_span(&text);
	ok = store_propose(s, &w, &err);
	buffer_done(&text);
	return ok;
}

static void fire(struct timer *t)
{
	struct store *s = CONTAINER_OF(t, struct store, expiry.timer);
	int64_t now = clock_wall_ns();

	for (int i = 0; s->expiry.count && time_of(s->expiry.heap[1]) <= now; i++) {
		struct entry *e = s->expiry.heap[1];

		if (i == AT_ONCE || s->pending > s->config.queue_most / 2) {
			arm(s, next_wait_ns);
			return;
		}
		take_out(&s->expiry, e);
		/* With another write under way it comes back here when that one is durable. */
		if (e->latest == e->durable && !end(s, e))
			return; /* writes are refused: expiry_resume() */
	}
	arm_for_first(s);
}

void expiry_note(struct store *s, struct entry *e)
{
	struct expiry *x = &s->expiry;
	const struct entry *first = x->count ? x->heap[1] : NULL;
	bool is_due = !e->durable->is_deletion && e->durable->expires_ns > 0;

	if (!is_due && !e->expiry_slot)
		return;
	if (!is_due) {
		take_out(x, e);
	} else if (e->expiry_slot) {
		settle(x, e, e->expiry_slot);
	} else {
		if (x->count + 1 >= x->capacity) {
			x->capacity = MAX(x->capacity * 2, (size_t)64);
			x->heap = base_realloc(x->heap, x->capacity * sizeof(struct entry *));
		}
		settle(x, e, ++x->count);
	}
	if (x->count && (x->heap[1] != first || x->heap[1] == e))
		arm_for_first(s);
}

void expiry_resume(struct store *s)
{
	for (struct entry *e = s->index.first[0]; e; e = e->next[0])
		expiry_note(s, e);
	arm_for_first(s);
}

void expiry_done(struct store *s)
{
	loop_timer_clear(s->config.loop, &s->expiry.timer);
	free(s->expiry.heap);
	s->expiry.heap = NULL;
	s->expiry.count = s->expiry.capacity = 0;
}
