/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fair - whose turn it is.
 *
 * A client is a user. As long as it asks little its requests run when they come. One that has had its share of a turn of the loop, or
 * of the seats for requests under way, waits in a queue of its own; those queues are served one request each, round and round, until
 * the turn's time is over. So a client with a thousand connections delays others by a share of a turn, not by its thousand requests.
 */
#include "kube/kube_private.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
	CLIENTS_MOST = 1024, /* slots; a power of two */
	SHARE = 16,          /* requests of one client that run at once in a turn of the loop */
	SEATS = 1024,        /* requests under way: writes that wait for the disk */
	SEATS_OF_ONE = 512,  /* of these, one client's most */
};
#define TURN_NS (4 * NS_PER_MS)

struct fair_client {
	struct call *first, **end; /* waiting */
	size_t waiting, under_way;
	int64_t turn_ns; /* loop_now() of the turn that `ran` counts for */
	unsigned ran;
	bool is_listed;
	struct fair_client *next; /* in the round */
};

/* Clients share a slot when their hashes meet: they are then one client. */
struct fair {
	struct kube *kube;
	struct fair_client clients[CLIENTS_MOST];
	struct fair_client *round, **round_end;
	size_t under_way;
	struct timer timer;
	struct loop_task task;
};

static void drain(struct fair *f);

static void drain_later(struct loop_task *t)
{
	drain(CONTAINER_OF(t, struct fair, task));
}

static void drain_timed(struct timer *t)
{
	drain(CONTAINER_OF(t, struct fair, timer));
}

struct fair *fair_new(struct kube *k)
{
	struct fair *f = base_calloc(1, sizeof(*f));

	f->kube = k;
	f->round_end = &f->round;
	f->task.run = drain_later;
	for (size_t i = 0; i < CLIENTS_MOST; i++)
		f->clients[i].end = &f->clients[i].first;
	return f;
}

void fair_free(struct fair *f)
{
	if (!f)
		return;
	if (timer_is_set(&f->timer))
		loop_timer_clear(f->kube->config.loop, &f->timer);
	loop_undefer(f->kube->config.loop, &f->task);
	free(f);
}

/* ---- one client ---- */

static bool may_run(const struct fair *f, const struct fair_client *c)
{
	return f->under_way < SEATS && c->under_way < SEATS_OF_ONE;
}

static void run(struct fair *f, struct call *call)
{
	call->has_seat = true;
	call->client->under_way++;
	f->under_way++;
	call->run(call);
}

static void list(struct fair *f, struct fair_client *c)
{
	if (c->is_listed || !c->first)
		return;
	c->is_listed = true;
	c->next = NULL;
	*f->round_end = c;
	f->round_end = &c->next;
}

static struct call *take(struct fair_client *c)
{
	struct call *call = c->first;

	c->first = call->next;
	if (!c->first)
		c->end = &c->first;
	c->waiting--;
	call->next = NULL;
	return call;
}

static void enqueue(struct fair *f, struct call *call)
{
	struct fair_client *c = call->client;

	call_open(call);
	call->next = NULL;
	*c->end = call;
	c->end = &call->next;
	c->waiting++;
	list(f, c);
	loop_defer(f->kube->config.loop, &f->task);
}

/* ---- the round ---- */

static void drain(struct fair *f)
{
	int64_t until = clock_monotonic_ns() + TURN_NS;
	struct fair_client *c, *blocked = NULL;

	while ((c = f->round) != NULL && c != blocked) {
		f->round = c->next;
		if (!f->round)
			f->round_end = &f->round;
		c->is_listed = false;
		if (may_run(f, c)) {
			blocked = NULL;
			if (c->first)
				run(f, take(c));
		} else if (!blocked) {
			blocked = c; /* a whole round without one that may run ends it */
		}
		list(f, c);
		if (clock_monotonic_ns() >= until)
			break;
	}
	/* Those whose seats are taken are heard of again in fair_done(). */
	if (f->round && f->round != blocked && !timer_is_set(&f->timer))
		loop_timer_set(f->kube->config.loop, &f->timer, loop_now(f->kube->config.loop), drain_timed);
}

/* Watches are not counted here: they have a limit of their own, and no seat. */
void fair_submit(struct fair *f, struct call *call)
{
	struct fair_client *c = &f->clients[span_hash(call->user.name) & (CLIENTS_MOST - 1)];
	int64_t now = loop_now(f->kube->config.loop);

	call->client = c;
	if (c->turn_ns != now) {
		c->turn_ns = now;
		c->ran = 0;
	}
	if (!c->first && c->ran < SHARE && may_run(f, c)) {
		c->ran++;
		run(f, call);
		return;
	}
	if (c->waiting >= f->kube->config.requests_waiting_most) {
		struct status s = { .code = 429,
				    .reason = "TooManyRequests",
				    .has_details = true,
				    .retry_seconds = 1,
				    .message = SPAN("too many requests, please try again later") };

		call->client = NULL;
		answer_status(call, &s);
		return;
	}
	enqueue(f, call);
}

void fair_done(struct fair *f, struct call *call)
{
	struct fair_client *c = call->client;

	ASSERT(call->has_seat && c->under_way > 0 && f->under_way > 0);
	call->has_seat = false;
	c->under_way--;
	f->under_way--;
	if (f->round && !f->kube->is_closing)
		loop_defer(f->kube->config.loop, &f->task);
}

void fair_forget(struct fair *f, struct call *call)
{
	struct fair_client *c = call->client;

	(void)f;
	for (struct call **at = &c->first; *at; at = &(*at)->next) {
		if (*at != call)
			continue;
		*at = call->next;
		if (!*at && c->end == &call->next)
			c->end = at;
		c->waiting--;
		call->client = NULL;
		call_free(call);
		return;
	}
}
