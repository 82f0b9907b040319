/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload - generations of workers: all that were started for one reading of the code.
 *
 * A new one begins with one process. When that is ready it is the current generation, the rest of it is started, and
 * each that gets ready takes the place of an old one. When it fails, it is as if it had never been.
 */
#include <stdlib.h>

#include "base/log.h"
#include "workers/workers_private.h"

static void generation_start(struct workers *w)
{
	struct generation *g = base_calloc(1, sizeof(*g));

	g->workers = w;
	g->number = ++w->generation_count;
	g->next = w->generations;
	w->generations = g;
	w->coming = g;
	if (w->config.is_preloaded)
		g->nursery = nursery_start(g);
	else
		(void)process_start(w, g, 0);
}

void reload_start(struct workers *w)
{
	if (w->is_stopping)
		return;
	if (w->coming)
		w->reloads_again = true;
	else
		generation_start(w);
}

static void reload_next(struct workers *w)
{
	if (w->reloads_again) {
		w->reloads_again = false;
		reload_start(w);
	}
}

static size_t ready_count(const struct generation *g)
{
	size_t count = 0;

	for (const struct process *p = g->workers->processes; p; p = p->next)
		count += p->generation == g && p->state == PROCESS_READY && !p->is_due;
	return count;
}

/* One in service that should go: of its own generation and place first, then of an older one. */
static struct process *find_outgoing(const struct workers *w, const struct process *incoming)
{
	struct process *found = NULL;

	for (struct process *p = w->processes; p; p = p->next) {
		if (p == incoming || p->state != PROCESS_READY)
			continue;
		if (p->generation == w->current && p->is_due && p->index == incoming->index)
			return p;
		if (p->generation != w->current && (!found || p->index == incoming->index))
			found = p;
	}
	return found;
}

static void retire_older(struct workers *w)
{
	struct process *next;

	for (struct process *p = w->processes; p; p = next) {
		next = p->next;
		if (p->generation != w->current && p->generation != w->coming)
			process_retire(p, CAUSE_RELOAD);
	}
}

static void starting_kill(struct generation *g)
{
	for (struct process *p = g->workers->processes; p; p = p->next)
		if (p->generation == g && p->state == PROCESS_STARTING)
			process_kill(p, CAUSE_RELOAD);
}

static void generation_take_over(struct generation *g)
{
	struct workers *w = g->workers;
	struct generation *old = w->current;

	w->current = g;
	w->coming = NULL;
	w->backoff = (struct backoff){ 0 };
	if (old) {
		log_info("workers", "the code is reloaded", LOG_INT("generation", g->number));
		starting_kill(old);
		generation_drop(old);
	}
	pool_tell_start(w, NULL);
	reload_next(w);
}

void generation_ready(struct generation *g, struct process *p)
{
	struct workers *w = g->workers;
	struct process *outgoing;

	w->start_failure.code = ERROR_NONE;
	if (g == w->coming)
		generation_take_over(g);
	if (g != w->current) {
		process_retire(p, CAUSE_RELOAD);
		return;
	}
	outgoing = find_outgoing(w, p);
	if (outgoing)
		process_retire(outgoing, outgoing->is_due ? CAUSE_REQUESTS : CAUSE_RELOAD);
	if (ready_count(g) >= w->config.count)
		retire_older(w);
}

void generation_failed(struct generation *g, const struct error *why)
{
	struct workers *w = g->workers;

	if (g != w->coming)
		return;
	w->coming = NULL;
	starting_kill(g);
	if (w->current)
		log_error("workers", "the reload failed: the code as it was goes on", LOG_TEXT("error", why->message));
	pool_tell_start(w, why);
	if (g->nursery)
		nursery_end(g->nursery, true);
	generation_drop(g);
	pool_settle(w);
	reload_next(w);
}

void generation_nursery_gone(struct generation *g, const struct error *why, bool was_loaded)
{
	struct workers *w = g->workers;

	if (g == w->coming) {
		w->start_failure = *why;
		generation_failed(g, why);
		return;
	}
	if (g == w->current) {
		backoff_died(&w->backoff, loop_now(w->loop), 0);
		if (!was_loaded)
			w->start_failure = *why;
	}
	pool_settle(w);
	generation_drop(g);
}

void generation_drop(struct generation *g)
{
	struct workers *w = g->workers;
	struct generation **link = &w->generations;

	if (g == w->current || g == w->coming || g->process_count > 0)
		return;
	if (g->nursery) {
		nursery_end(g->nursery, false);
		return;
	}
	while (*link != g)
		link = &(*link)->next;
	*link = g->next;
	free(g);
	pool_settle(w);
}
