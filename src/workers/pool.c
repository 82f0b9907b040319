/* SPDX-License-Identifier: Apache-2.0 */
/* pool - the workers together: how many there should be, who takes the next request, start and end of all. */
#include <stdlib.h>

#include "workers/workers_private.h"

void backoff_died(struct backoff *b, int64_t now_ns, int64_t lived_ns)
{
	if (lived_ns >= YOUNG_MS * NS_PER_MS)
		b->delay_ms = 0;
	else
		b->delay_ms = MIN(MAX(2 * b->delay_ms, (int64_t)BACKOFF_LEAST_MS), (int64_t)BACKOFF_MOST_MS);
	b->at_ns = now_ns + b->delay_ms * NS_PER_MS;
}

/* ---- the queue ---- */

void queue_push(struct workers *w, struct proxy *x)
{
	x->next = NULL;
	x->previous = w->queue_last;
	*(w->queue_last ? &w->queue_last->next : &w->queue_first) = x;
	w->queue_last = x;
	x->is_queued = true;
	w->queue_len++;
	pool_settle(w);
}

void queue_push_front(struct workers *w, struct proxy *x)
{
	x->previous = NULL;
	x->next = w->queue_first;
	*(w->queue_first ? &w->queue_first->previous : &w->queue_last) = x;
	w->queue_first = x;
	x->is_queued = true;
	w->queue_len++;
	pool_settle(w);
}

void queue_remove(struct workers *w, struct proxy *x)
{
	ASSERT(x->is_queued);
	*(x->previous ? &x->previous->next : &w->queue_first) = x->next;
	*(x->next ? &x->next->previous : &w->queue_last) = x->previous;
	x->next = x->previous = NULL;
	x->is_queued = false;
	w->queue_len--;
}

static struct process *pool_choose_to_wait(struct workers *w)
{
	struct process *p = w->processes;

	while (p && !process_can_queue(p))
		p = p->next;
	return p;
}

/* The least busy; of those the one that was busy last, whose caches are warm. */
struct process *pool_choose(struct workers *w, bool may_wait)
{
	struct process *best = NULL;

	for (struct process *p = w->processes; p; p = p->next)
		if (process_can_take(p) && (!best || p->in_flight < best->in_flight ||
					    (p->in_flight == best->in_flight && p->used > best->used)))
			best = p;
	if (!best)
		return may_wait ? pool_choose_to_wait(w) : NULL;
	best->used = ++w->clock;
	return best;
}

void pool_dispatch(struct workers *w)
{
	while (w->queue_first) {
		struct proxy *x = w->queue_first;
		struct process *p = pool_choose(w, x->is_kept && x->passing.is_whole);

		if (!p)
			return;
		queue_remove(w, x);
		proxy_give(x, p);
		pool_settle(w);
	}
}

size_t pool_ready_count(const struct workers *w)
{
	size_t count = 0;

	for (const struct process *p = w->processes; p; p = p->next)
		count += p->state == PROCESS_READY;
	return count;
}

bool pool_is_down(const struct workers *w, struct error *ret)
{
	if (w->is_stopping)
		error_set(ret, ERROR_UNAVAILABLE, "the server is stopping");
	else if (w->start_failure.code && pool_ready_count(w) == 0)
		error_set(ret, ERROR_UNAVAILABLE, "no worker is up: %s", w->start_failure.message);
	else
		return false;
	return true;
}

/* ---- what there should be ---- */

static void restart_due(struct timer *t)
{
	pool_settle(CONTAINER_OF(t, struct workers, restart_timer));
}

static bool is_wanted(const struct process *p)
{
	return (p->state == PROCESS_STARTING || p->state == PROCESS_READY) && !p->is_due;
}

/* The lowest place that nobody has; `count` when all are taken. */
static unsigned free_index(const struct workers *w)
{
	for (unsigned i = 0; i < w->config.count; i++) {
		const struct process *p = w->processes;

		while (p && !(p->generation == w->current && p->index == i && is_wanted(p)))
			p = p->next;
		if (!p)
			return i;
	}
	return w->config.count;
}

/* What the current generation lacks is started, when the time has come. */
static void grow(struct workers *w)
{
	struct generation *g = w->current;
	unsigned index;

	while (g && (index = free_index(w)) < w->config.count) {
		if (loop_now(w->loop) < w->backoff.at_ns) {
			loop_timer_set(w->loop, &w->restart_timer, w->backoff.at_ns, restart_due);
			return;
		}
		if (w->config.is_preloaded && !g->nursery)
			g->nursery = nursery_start(g);
		if (w->config.is_preloaded && !nursery_is_loaded(g->nursery))
			return;
		(void)process_start(w, g, index);
	}
	g = w->coming;
	if (g && g->process_count == 0 && g->nursery && nursery_is_loaded(g->nursery))
		(void)process_start(w, g, 0);
}

static void show(struct metric_series *gauge, int64_t *shown, int64_t now)
{
	if (now != *shown)
		metric_move(gauge, now - *shown);
	*shown = now;
}

size_t pool_queue_len(const struct workers *w)
{
	size_t count = w->queue_len + w->ahead_len;

	for (const struct process *p = w->processes; p; p = p->next)
		count += giver_waiting(p->giver);
	return count;
}

void pool_show(struct workers *w)
{
	show(w->ready_gauge, &w->ready_shown, (int64_t)pool_ready_count(w));
	show(w->queue_gauge, &w->queue_shown, (int64_t)pool_queue_len(w));
}

static void settle(struct loop_task *t)
{
	struct workers *w = CONTAINER_OF(t, struct workers, settle);
	struct process *next;
	struct error why = { 0 };

	for (struct process *p = w->processes; p; p = next) {
		next = p->next;
		if (p->mourners && p->client && !p->has_ended)
			proxies_mourn(p); /* the channel lives: it was the request alone that was given up */
		if (p->client && client_is_refusing(p->client))
			process_retire(p, CAUSE_EXIT);
		if (p->state == PROCESS_RETIRING && p->in_flight == 0 && giver_is_done(p->giver))
			process_retired(p);
	}
	pool_dispatch(w);
	if (!w->is_stopping)
		grow(w);
	while (w->queue_first && pool_is_down(w, &why)) {
		struct proxy *x = w->queue_first;

		queue_remove(w, x);
		proxy_fail(x, &why);
	}
	pool_show(w);
	if (w->is_stopping && !w->processes && !w->generations)
		loop_stop(w->loop);
}

void pool_settle(struct workers *w)
{
	loop_defer(w->loop, &w->settle);
}

static void check_memory(struct timer *t)
{
	struct workers *w = CONTAINER_OF(t, struct workers, check_timer);
	struct process *next;

	for (struct process *p = w->processes; p; p = next) {
		next = p->next;
		process_check_memory(p);
	}
	loop_timer_set(w->loop, t, after_ms(w, RSS_CHECK_MS), check_memory);
}

/* ---- start ---- */

void pool_tell_start(struct workers *w, const struct error *failure)
{
	const struct process *p = w->processes;

	while (p && p->state != PROCESS_READY)
		p = p->next;
	pthread_mutex_lock(&w->lock);
	if (!w->has_result) {
		w->has_result = true;
		if (failure)
			w->result = *failure;
		else
			w->has_come_up = true;
		if (!failure && p) {
			memcpy(w->kind, p->kind, sizeof(w->kind));
			memcpy(w->text, p->text, sizeof(w->text));
		}
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
}

static void start(struct loop_message *m)
{
	struct workers *w = CONTAINER_OF(m, struct workers, start);

	w->is_started = true;
	reload_start(w);
	if (w->config.rss_limit)
		loop_timer_set(w->loop, &w->check_timer, after_ms(w, RSS_CHECK_MS), check_memory);
}

void workers_loop_started(void *workers, unsigned index, struct loop *loop)
{
	struct workers *w = workers;

	ASSERT(index == 0); /* one loop has the queue and all workers */
	w->loop = loop;
	w->spawner = spawner_new(loop);
	pthread_mutex_lock(&w->lock);
	w->has_loop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* With the lock. */
static void wait_a_little(struct workers *w)
{
	int64_t until_ns = clock_monotonic_ns() + START_LOOK_MS * NS_PER_MS;
	struct timespec until = { until_ns / NS_PER_S, until_ns % NS_PER_S };

	(void)pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &until);
}

bool workers_start(struct workers *w, bool (*is_enough)(void), struct error *err)
{
	bool has_come_up;

	pthread_mutex_lock(&w->lock);
	while (!w->has_loop)
		pthread_cond_wait(&w->changed, &w->lock);
	loop_send(w->loop, &w->start);
	while (!w->has_result && !(is_enough && is_enough()))
		wait_a_little(w);
	has_come_up = w->has_come_up;
	if (!w->has_result)
		error_set(err, ERROR_CANCELLED, "it was ended before a worker was ready");
	else if (!has_come_up)
		*err = w->result;
	pthread_mutex_unlock(&w->lock);
	return has_come_up;
}

const char *workers_text(const struct workers *w)
{
	return w->text;
}

const char *workers_kind(const struct workers *w)
{
	return w->kind;
}

bool workers_is_app(const struct workers *w)
{
	return w->config.is_app || (w->kind[0] && strcmp(w->kind, "component") != 0);
}

static void reload(struct loop_message *m)
{
	struct workers *w = CONTAINER_OF(m, struct workers, reload);

	atomic_store(&w->reload_is_sent, false);
	if (w->is_started)
		reload_start(w);
}

void workers_reload(struct workers *w)
{
	if (!atomic_exchange(&w->reload_is_sent, true))
		loop_send(w->loop, &w->reload);
}

/* ---- end ---- */

static void stop(struct loop_message *m)
{
	struct workers *w = CONTAINER_OF(m, struct workers, stop);
	struct process *next_process;
	struct generation *next;

	w->is_stopping = true;
	w->reloads_again = false;
	w->current = w->coming = NULL;
	loop_timer_clear(w->loop, &w->restart_timer);
	loop_timer_clear(w->loop, &w->check_timer);
	for (struct process *p = w->processes; p; p = next_process) {
		next_process = p->next;
		if (p->state != PROCESS_ENDING)
			process_end(p, CAUSE_STOP);
	}
	for (struct generation *g = w->generations; g; g = next) {
		next = g->next;
		generation_drop(g);
	}
	pool_settle(w);
}

void workers_stop(struct workers *w)
{
	if (!w->loop)
		return;
	/* Its thread has ended: it runs on here, for the processes alone. */
	loop_send(w->loop, &w->stop);
	do
		loop_run(w->loop);
	while (w->processes || w->generations);
	spawner_free(TAKE(w->spawner));
	workers_proxies_free(w);
}

struct workers *workers_new(const struct workers_config *config)
{
	static const struct span causes[CAUSE_COUNT] = {
		[CAUSE_EXIT] = SPAN_INIT("exit"),     [CAUSE_SIGNAL] = SPAN_INIT("signal"),
		[CAUSE_START] = SPAN_INIT("start"),   [CAUSE_TIMEOUT] = SPAN_INIT("timeout"),
		[CAUSE_MEMORY] = SPAN_INIT("memory"), [CAUSE_REQUESTS] = SPAN_INIT("requests"),
		[CAUSE_RELOAD] = SPAN_INIT("reload"), [CAUSE_STOP] = SPAN_INIT("stop"),
	};
	struct workers *w = base_calloc(1, sizeof(*w));

	ASSERT(config->argv && config->argv[0] && config->count > 0 && config->metrics);
	w->config = *config;
	w->start.run = start;
	w->reload.run = reload;
	w->stop.run = stop;
	w->settle.run = settle;
	w->ready_gauge = metrics_series(config->metrics, METRIC_WORKERS_READY, NULL, 0);
	w->queue_gauge = metrics_series(config->metrics, METRIC_WORKERS_QUEUE, NULL, 0);
	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		w->restarts[i] = metrics_series(config->metrics, METRIC_WORKERS_ENDED_TOTAL, &causes[i], 1);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	return w;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	ASSERT(!w->processes && !w->queue_first && !w->spawner);
	metrics_series_drop(w->config.metrics, w->ready_gauge);
	metrics_series_drop(w->config.metrics, w->queue_gauge);
	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		metrics_series_drop(w->config.metrics, w->restarts[i]);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w);
}
