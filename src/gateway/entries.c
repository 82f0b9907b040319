/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entries - the sockets behind the plans' entries. A set is what one key has: a socket for each worker, which the kernel spreads connections over.
 *
 * Life of a set: bound by whoever publishes → opened by each worker that takes the plan up → gone, when a plan does not have its key → closed by
 * each worker → freed by the last. One that cannot be bound stays as it is, and is tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/entries_private.h"

#define RETRY_NS     (5 * NS_PER_S)  /* of addresses that another program has */
#define INHERITED_NS (30 * NS_PER_S) /* after the first plan, for entries that come later */

/* ---- sets ---- */

static struct entry_set *set_new(struct entries *e, struct span key)
{
	struct entry_set *s = base_calloc(1, sizeof(*s));

	s->key = (struct span){ span_to_text(key), key.len };
	s->parts = base_calloc(e->worker_count, sizeof(*s->parts));
	s->is_closed = base_calloc(e->worker_count, sizeof(*s->is_closed));
	s->next = e->sets;
	e->sets = s;
	return s;
}

/* The descriptors' owners have closed them. */
static void set_free(struct entry_set *s)
{
	free((char *)s->key.ptr);
	free(s->fds);
	free(s->parts);
	free(s->is_closed);
	free(s);
}

static void set_remove(struct entries *e, struct entry_set *s)
{
	struct entry_set **at = &e->sets;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	set_free(s);
}

/* Those of the worker's own: every worker-count-th, so that inherited ones that are more than workers have somebody too. */
static size_t set_fds_of(const struct entries *e, const struct entry_set *s, unsigned worker, int *ret)
{
	size_t count = 0;

	for (size_t i = worker; i < s->fd_count; i += e->worker_count)
		ret[count++] = s->fds[i];
	return count;
}

/* ---- telling, trying again: on config.loop ---- */

static void message_run(struct loop_message *m);

static void message_send(struct entries *e)
{
	if (e->is_message_sent || e->is_closed)
		return;
	e->is_message_sent = true;
	e->message.run = message_run;
	loop_send(e->config->loop, &e->message);
}

static void open_again(struct loop_message *m)
{
	struct entries_worker *ew = CONTAINER_OF(m, struct entries_worker, message);
	struct entries *e = ew->entries;

	pthread_mutex_lock(&e->lock);
	ew->is_sent = false;
	pthread_mutex_unlock(&e->lock);
	if (ew->worker->plan)
		entries_take_up(e, ew->worker);
}

/* What could not be bound. True: something was. */
static void retry(struct entries *e)
{
	bool has_new = false;

	for (struct entry_set *s = e->sets; s && e->plan && !e->is_closed; s = s->next) {
		const struct plan_entry *entry;

		if (s->state != SET_FAILED && s->state != SET_WAITS)
			continue;
		entry = plan_entry_find(e->plan, s->key);
		if (!entry)
			continue;
		set_bind(e, s, entry);
		has_new = has_new || s->state == SET_BOUND;
	}
	for (unsigned i = 0; has_new && i < e->worker_count; i++) {
		struct entries_worker *ew = &e->workers[i];

		if (!ew->worker || ew->is_sent || ew->is_closed)
			continue;
		ew->is_sent = true;
		ew->message.run = open_again;
		loop_send(ew->worker->loop, &ew->message);
	}
}

/* Copies of what is to be told: the callee may publish. */
struct telling {
	char *key;
	struct gateway_bound bound;
};

static size_t take_tellings(struct entries *e, struct telling **ret)
{
	size_t count = 0;

	*ret = NULL;
	for (struct entry_set *s = e->sets; s; s = s->next) {
		struct telling *t;

		if (s->is_told || (s->state != SET_BOUND && s->state != SET_FAILED))
			continue;
		s->is_told = true;
		*ret = base_realloc(*ret, (count + 1) * sizeof(**ret));
		t = &(*ret)[count++];
		*t = (struct telling){ .key = span_to_text(s->key) };
		t->bound.key = (struct span){ t->key, s->key.len };
		if (s->state == SET_BOUND)
			t->bound.port = place_port(&s->place);
		else
			t->bound.error = s->error;
	}
	return count;
}

static bool may_succeed_later(const struct entries *e)
{
	for (const struct entry_set *s = e->sets; s; s = s->next)
		if (s->state == SET_FAILED && s->error.code != ERROR_INVALID)
			return true;
	return false;
}

static void retry_fired(struct timer *t)
{
	struct entries *e = CONTAINER_OF(t, struct entries, retry);

	pthread_mutex_lock(&e->lock);
	message_send(e);
	pthread_mutex_unlock(&e->lock);
}

static void inherited_drop(struct entries *e)
{
	while (e->inherited_count) {
		struct gateway_inherited *in = &e->inherited[--e->inherited_count];

		log_info("gateway", "an address of the process before is not needed any more",
			 LOG_SPAN("entry", in->key));
		close(in->fd);
		free((char *)in->key.ptr);
	}
}

static void inherited_fired(struct timer *t)
{
	struct entries *e = CONTAINER_OF(t, struct entries, inherited_over);

	pthread_mutex_lock(&e->lock);
	inherited_drop(e);
	pthread_mutex_unlock(&e->lock);
}

static void message_run(struct loop_message *m)
{
	struct entries *e = CONTAINER_OF(m, struct entries, message);
	struct loop *loop = e->config->loop;
	struct telling *tellings;
	bool is_closed, is_due, has_inherited;
	size_t count;

	pthread_mutex_lock(&e->lock);
	e->is_message_sent = false;
	retry(e);
	count = take_tellings(e, &tellings);
	is_closed = e->is_closed;
	is_due = may_succeed_later(e);
	has_inherited = e->inherited_count > 0;
	pthread_mutex_unlock(&e->lock);

	for (size_t i = 0; i < count; i++) {
		if (!is_closed && e->config->bound)
			e->config->bound(e->config->context, &tellings[i].bound);
		free(tellings[i].key);
	}
	free(tellings);
	if (is_closed)
		return;
	if (is_due && !timer_is_set(&e->retry))
		loop_timer_set(loop, &e->retry, loop_now(loop) + RETRY_NS, retry_fired);
	if (has_inherited && !e->has_inherited_timer)
		loop_timer_set(loop, &e->inherited_over, loop_now(loop) + INHERITED_NS, inherited_fired);
	e->has_inherited_timer = true;
}

/* ---- plans ---- */

static struct entry_set *set_of(struct entry_set **table, size_t mask, struct span key)
{
	struct entry_set *s = table[span_hash(key) & mask];

	while (s && !span_equal(s->key, key))
		s = s->next_of_hash;
	return s;
}

/* By key; those that are gone are not in it. The caller frees. */
static struct entry_set **set_table(struct entries *e, size_t *ret_mask)
{
	struct entry_set **table;
	size_t count = 0, size = 16;

	for (struct entry_set *s = e->sets; s; s = s->next)
		count++;
	while (size < count * 2)
		size *= 2;
	table = base_calloc(size, sizeof(struct entry_set *));
	for (struct entry_set *s = e->sets; s; s = s->next) {
		size_t at = span_hash(s->key) & (size - 1);

		if (s->state == SET_GONE)
			continue;
		s->next_of_hash = table[at];
		table[at] = s;
	}
	*ret_mask = size - 1;
	return table;
}

static void sets_leave(struct entries *e, const struct plan *p)
{
	for (struct entry_set *s = e->sets, *next; s; s = next) {
		next = s->next;
		if (s->state == SET_GONE || plan_entry_find(p, s->key))
			continue;
		if (s->state == SET_BOUND)
			s->state = SET_GONE;
		else
			set_remove(e, s);
	}
}

void entries_publish(struct entries *e, struct plan *p)
{
	AUTO_FREE struct entry_set **table = NULL;
	size_t mask;

	pthread_mutex_lock(&e->lock);
	if (e->is_closed) {
		pthread_mutex_unlock(&e->lock);
		return;
	}
	plan_ref(p);
	plan_unref(e->plan);
	e->plan = p;
	sets_leave(e, p);
	table = set_table(e, &mask);
	for (size_t i = 0; i < p->entry_count; i++) {
		const struct plan_entry *entry = &p->entries[i];

		if (!span_equal(entry->key, SPAN(PLAN_MAIN)) && !set_of(table, mask, entry->key))
			set_bind(e, set_new(e, entry->key), entry);
	}
	message_send(e);
	pthread_mutex_unlock(&e->lock);
}

/* ---- workers ---- */

/* One more worker has closed its part. */
static void set_closed(struct entries *e, struct entry_set *s, unsigned worker)
{
	s->parts[worker] = NULL;
	s->is_closed[worker] = true;
	if (++s->closed_count < e->worker_count)
		return;
	set_remove(e, s);
	message_send(e); /* somebody may wait for its address */
}

static void part_leave(struct entries *e, struct entry_set *s, unsigned worker)
{
	AUTO_FREE int *fds = base_calloc(s->fd_count + 1, sizeof(*fds));
	size_t count;

	if (s->parts[worker]) {
		s->parts[worker]->is_leaving = true; /* and counted when it is shut */
		return;
	}
	count = set_fds_of(e, s, worker, fds);
	while (count)
		close(fds[--count]);
	set_closed(e, s, worker);
}

static void part_follow(struct entries *e, struct entry_set *s, struct gateway_worker *w)
{
	AUTO_FREE int *fds = base_calloc(s->fd_count + 1, sizeof(*fds));
	const struct plan_entry *now = plan_entry_find(w->plan, s->key);
	struct entry *part = s->parts[w->index];
	size_t count;

	if (part)
		entry_follow(part, now);
	if (part || !now)
		return;
	count = set_fds_of(e, s, w->index, fds);
	s->parts[w->index] = entry_open(w, now, fds, count);
}

/* Takes what is queued, without the lock: connections are given to others meanwhile. */
static void parts_shut(struct entries *e, struct gateway_worker *w)
{
	for (struct entry *part = w->entries, *next; part; part = next) {
		next = part->next;
		if (!part->is_leaving)
			continue;
		part->is_leaving = false;
		entry_hold(part);
		entry_shut(part, !atomic_load(&e->is_left));
		if (!e->workers[w->index].is_closed)
			entry_follow(part, NULL); /* at the end of all, connections go on by the last plan */
		pthread_mutex_lock(&e->lock);
		for (struct entry_set *s = e->sets; s; s = s->next) {
			if (s->parts[w->index] != part)
				continue;
			set_closed(e, s, w->index);
			break;
		}
		pthread_mutex_unlock(&e->lock);
		next = part->next; /* others that were held by a connection may have ended */
		entry_release(part);
	}
}

void entries_take_up(struct entries *e, struct gateway_worker *w)
{
	w->main_entry = plan_entry_find(w->plan, SPAN(PLAN_MAIN));
	pthread_mutex_lock(&e->lock);
	e->workers[w->index].worker = w;
	for (struct entry_set *s = e->sets, *next; s; s = next) {
		next = s->next;
		if (s->state == SET_GONE && !s->is_closed[w->index])
			part_leave(e, s, w->index);
		else if (s->state == SET_BOUND && !e->workers[w->index].is_closed)
			part_follow(e, s, w);
	}
	pthread_mutex_unlock(&e->lock);
	parts_shut(e, w);
}

void entries_close(struct entries *e, struct gateway_worker *w)
{
	pthread_mutex_lock(&e->lock);
	e->is_closed = true;
	e->workers[w->index].is_closed = true;
	for (struct entry_set *s = e->sets, *next; s; s = next) {
		next = s->next;
		if (s->state == SET_BOUND)
			s->state = SET_GONE;
		if (s->state == SET_GONE && !s->is_closed[w->index])
			part_leave(e, s, w->index);
	}
	pthread_mutex_unlock(&e->lock);
	parts_shut(e, w);
}

/* ---- sockets for another process ---- */

struct gateway_inherited *entries_sockets(struct entries *e, size_t *ret_count)
{
	struct gateway_inherited *list = NULL;
	size_t count = 0, bytes = 0;
	char *keys;

	pthread_mutex_lock(&e->lock);
	for (struct entry_set *s = e->sets; s; s = s->next) {
		count += s->state == SET_BOUND ? s->fd_count : 0;
		bytes += s->state == SET_BOUND ? s->key.len : 0;
	}
	/* The keys stand behind the list: one block. */
	list = base_calloc(1, count * sizeof(*list) + bytes + 1);
	keys = (char *)(list + count);
	count = 0;
	for (struct entry_set *s = e->sets; s; s = s->next) {
		struct span key = { keys, s->key.len };

		if (s->state != SET_BOUND)
			continue;
		memcpy(keys, s->key.ptr, s->key.len);
		keys += s->key.len;
		for (size_t i = 0; i < s->fd_count; i++) {
			int fd = fcntl(s->fds[i], F_DUPFD_CLOEXEC, 0);

			if (fd >= 0)
				list[count++] = (struct gateway_inherited){ .key = key, .fd = fd };
		}
	}
	pthread_mutex_unlock(&e->lock);
	*ret_count = count;
	return list;
}

void entries_leave_sockets(struct entries *e)
{
	atomic_store(&e->is_left, true);
}

static void inherit(struct entries *e, const struct gateway_inherited *list, size_t count)
{
	e->inherited = base_calloc(count + 1, sizeof(*e->inherited));
	for (size_t i = 0; i < count; i++) {
		int fd = list[i].fd;

		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		e->inherited[e->inherited_count++] =
		    (struct gateway_inherited){ .key = { span_to_text(list[i].key), list[i].key.len }, .fd = fd };
	}
}

/* ---- life ---- */

struct entries *entries_new(const struct gateway_config *config, unsigned workers)
{
	struct entries *e = base_calloc(1, sizeof(*e));

	e->config = config;
	e->worker_count = workers;
	e->workers = base_calloc(workers, sizeof(*e->workers));
	for (unsigned i = 0; i < workers; i++)
		e->workers[i].entries = e;
	pthread_mutex_init(&e->lock, NULL);
	inherit(e, config->inherited, config->inherited_count);
	return e;
}

void entries_worker_free(struct entries *e, struct gateway_worker *w)
{
	relays_cut(w->relays);
	while (w->entries) {
		struct entry *part = w->entries;

		for (struct entry_set *s = e->sets; s; s = s->next)
			if (s->parts[w->index] == part) {
				s->parts[w->index] = NULL;
				s->is_closed[w->index] = true;
			}
		entry_free(part);
	}
	relays_free(w->relays);
	w->relays = NULL;
}

void entries_free(struct entries *e)
{
	if (!e)
		return;
	while (e->sets) {
		struct entry_set *s = e->sets;

		for (unsigned i = 0; i < e->worker_count; i++)
			for (size_t at = i; !s->is_closed[i] && at < s->fd_count; at += e->worker_count)
				close(s->fds[at]);
		set_remove(e, s);
	}
	inherited_drop(e);
	free(e->inherited);
	plan_unref(e->plan);
	free(e->workers);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
