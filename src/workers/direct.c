/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct - client connections that the only worker serves itself: lent to it, looked after, and taken back (net/direct.h).
 *
 * The worker is told nothing but what to take; what it does is seen in the table it shares with us. A timer looks there for requests
 * over --timeout while connections are lent. When the worker has died each of its connections is served from here again: an idle
 * one as if nothing had been (the next worker gets it with its next request), one that has asked with an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/direct.h"
#include "workers/workers_private.h"

enum {
	TICK_LEAST_MS = 10,
	TICK_MOST_MS = 1000,
	MESSAGES_AT_ONCE = 256,
	MESSAGE_MAX = sizeof(struct direct_message) + DIRECT_BYTES_MAX,
};

struct loan {
	struct watch watch; /* for its end: both directions shut down */
	struct giver *giver;
	struct loan *next, *previous; /* of those lent, or (next) of those free */
	struct worker *home;
	unsigned slot;
	bool is_lent; /* it is in use */
	bool is_deaf; /* its end was reported before the worker was done with it: the timer looks after it */
	bool is_late; /* over --timeout */
	char peer[DIRECT_PEER_MAX];
};

struct giver {
	struct process *process;
	struct watch watch;
	int fd; /* -1: closed */
	struct direct_table *table;
	struct loan *lent, *free;
	struct loan **all; /* by slot; those that were ever used */
	size_t all_count, lent_count;
	size_t most;       /* fewer than DIRECT_SLOTS when the worker is out of descriptors */
	uint64_t given;    /* connections, as table->taken */
	bool is_listening; /* it has said that it takes */
	bool is_over;      /* nothing is lent to it any more */
	bool is_stuffed;   /* its socket held no DIRECT_RELEASE: to be tried again */
	struct timer tick;
	/* Of the table's counters: what stands in the metrics already. */
	uint64_t codes[DIRECT_CODES], seconds[METRICS_BUCKETS], seconds_sum_ns, received, sent;
};

static uint64_t number_of(_Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

static uint64_t word_of(const struct loan *l)
{
	return atomic_load_explicit(&l->giver->table->slot[l->slot].word, memory_order_acquire);
}

/* ---- the loans ---- */

static struct loan *loan_new(struct giver *g)
{
	struct loan *l = g->free;

	if (l) {
		g->free = l->next;
	} else {
		l = base_calloc(1, sizeof(*l));
		l->slot = (unsigned)g->all_count;
		g->all =
		    base_realloc(g->all, (g->all_count + 1) * sizeof(*g->all)); /* a few times: slots are used again */
		g->all[g->all_count++] = l;
	}
	l->giver = g;
	l->is_lent = true;
	l->is_deaf = l->is_late = false;
	l->previous = NULL;
	l->next = g->lent;
	if (l->next)
		l->next->previous = l;
	g->lent = l;
	g->lent_count++;
	return l;
}

/* Its slot is free again; the descriptor is the caller's. */
static int loan_take(struct loan *l)
{
	struct giver *g = l->giver;
	int fd = l->watch.fd;

	if (!l->is_deaf)
		loop_unwatch(g->process->workers->loop, &l->watch);
	*(l->previous ? &l->previous->next : &g->lent) = l->next;
	if (l->next)
		l->next->previous = l->previous;
	l->is_lent = false;
	l->next = g->free;
	g->free = l;
	g->lent_count--;
	pool_settle(g->process->workers);
	return fd;
}

static void loan_end(struct loan *l)
{
	struct worker *home = l->home;

	close(loan_take(l));
	server_loan_end(home);
}

static void loan_return(struct loan *l, struct span bytes, bool is_last)
{
	struct worker *home = l->home;
	char peer[DIRECT_PEER_MAX];
	int fd;

	if (l->giver->process->workers->is_stopping) {
		loan_end(l); /* there is nobody to serve it */
		return;
	}
	memcpy(peer, l->peer, sizeof(peer));
	fd = loan_take(l);
	server_loan_return(home, fd, peer, bytes, is_last);
}

static void loan_ready(struct watch *watch, unsigned events)
{
	struct loan *l = CONTAINER_OF(watch, struct loan, watch);

	(void)events;
	if (DIRECT_STATE(word_of(l)) == DIRECT_CLOSED) {
		loan_end(l);
		return;
	}
	/* The client is gone for good, and the worker may have its request yet. */
	loop_unwatch(l->giver->process->workers->loop, watch);
	l->is_deaf = true;
}

/* ---- to the worker ---- */

static bool tell(const struct giver *g, enum direct_kind kind, unsigned slot, const char *peer, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct direct_message m = { .kind = (uint32_t)kind, .slot = slot };
	struct iovec piece = { &m, sizeof(m) };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (g->fd < 0)
		return false;
	if (peer)
		(void)snprintf(m.peer, sizeof(m.peer), "%s", peer);
	if (fd >= 0) {
		struct cmsghdr *c = &control.align;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(g->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* ---- time ---- */

/* Not the worker's fault, or nobody's. As waits_for_client() and may_be_quiet() have it for those that go through here. */
static bool may_last(const struct giver *g, uint64_t word)
{
	bool is_asgi = strcmp(g->process->kind, "asgi") == 0;

	return word & DIRECT_WAITS || (DIRECT_STATE(word) == DIRECT_ANSWERING && (word & DIRECT_TUNNEL || is_asgi));
}

static bool is_at_work(uint64_t word)
{
	return DIRECT_STATE(word) == DIRECT_ANSWERING || (DIRECT_STATE(word) == DIRECT_ASKED && word & DIRECT_BEGUN);
}

static void tick_set(struct giver *g);

static void tick(struct timer *t)
{
	struct giver *g = CONTAINER_OF(t, struct giver, tick);
	struct process *p = g->process;
	int64_t now_us = loop_now(p->workers->loop) / NS_PER_US, limit_us = p->workers->config.timeout_ms * 1000;
	bool is_hung = false;
	struct loan *next;

	for (struct loan *l = g->lent; l; l = next) {
		uint64_t word = word_of(l);

		next = l->next;
		if (l->is_deaf && DIRECT_STATE(word) == DIRECT_CLOSED) {
			loan_end(l);
		} else if (limit_us && !l->is_late && is_at_work(word) && !may_last(g, word) &&
			   now_us - DIRECT_TIME_US(word) >= limit_us) {
			l->is_late = is_hung = true;
			(void)tell(g, DIRECT_LATE, l->slot, NULL, -1); /* if it still hears: else its end answers */
		}
	}
	tick_set(g);
	if (p->state > PROCESS_RETIRING)
		return;
	if (is_hung || p->is_hung)
		pool_settle(p->workers); /* what has ended since is only seen here */
	if (is_hung && !p->is_hung) {
		p->is_hung = true;
		proxies_take_back(p);
		process_retire(p, CAUSE_TIMEOUT);
	}
}

static void tick_set(struct giver *g)
{
	struct workers *w = g->process->workers;
	int64_t ms =
	    w->config.timeout_ms ? MIN(MAX(w->config.timeout_ms / 8, TICK_LEAST_MS), TICK_MOST_MS) : TICK_MOST_MS;

	if (g->lent)
		loop_timer_set(w->loop, &g->tick, after_ms(w, ms), tick);
}

/* ---- giving ---- */

/* Requests that wait where we cannot see them: for their turn, or in connections that the worker has not looked at yet. */
static size_t waiting_of(const struct giver *g)
{
	return (size_t)(number_of(&g->table->waiting) + (g->given - MIN(number_of(&g->table->taken), g->given)));
}

static bool may_give(const struct giver *g)
{
	return g && g->is_listening && !g->is_over && g->fd >= 0 && g->lent_count < g->most &&
	       waiting_of(g) < g->process->workers->config.queue_limit;
}

static bool give(struct giver *g, struct worker *home, int fd, const char *peer)
{
	struct workers *w = g->process->workers;
	struct loan *l = loan_new(g);

	l->home = home;
	(void)snprintf(l->peer, sizeof(l->peer), "%s", peer);
	atomic_store_explicit(&g->table->slot[l->slot].word, (uint64_t)DIRECT_IDLE, memory_order_relaxed);
	loop_watch(w->loop, &l->watch, fd, 0, loan_ready);
	if (!tell(g, DIRECT_TAKE, l->slot, l->peer, fd)) {
		(void)loan_take(l); /* it has as many as its socket holds: this one is served from here */
		return false;
	}
	g->given++;
	if (!timer_is_set(&g->tick))
		tick_set(g);
	return true;
}

bool workers_offer(void *workers, struct worker *home, int fd, const char *peer, struct span first)
{
	struct workers *w = workers;
	struct process *p = w->processes;

	while (p && !(p->state == PROCESS_READY && may_give(p->giver)))
		p = p->next;
	return p && !w->is_stopping && !ops_is_asked(w, first) && give(p->giver, home, fd, peer);
}

void workers_loans_due(void *workers)
{
	struct workers *w = workers;

	for (struct process *p = w->processes; p; p = p->next)
		if (p->giver && !p->giver->is_over)
			(void)tell(p->giver, DIRECT_END, 0, NULL, -1); /* if not, the end of the socket tells it */
}

/* The request of a slot, as it might have come: so that it is answered, counted and logged as any other. */
static struct span question_of(const struct loan *l, char *to, size_t size)
{
	const struct direct_slot *s = &l->giver->table->slot[l->slot];
	struct span line = { s->line, MIN(s->line_len, sizeof(s->line)) },
		    id = { s->id, MIN(s->id_len, sizeof(s->id)) };
	int len;

	if (line.len == 0)
		line = SPAN("GET /");
	len = snprintf(to, size, SPAN_FMT " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", SPAN_ARG(line));
	if (id.len)
		len += snprintf(to + len, size - (size_t)len, "X-Request-Id: " SPAN_FMT "\r\n", SPAN_ARG(id));
	len += snprintf(to + len, size - (size_t)len, "\r\n");
	return span_from(to, (size_t)len);
}

static void loan_fail(struct loan *l, const struct error *why)
{
	struct process *p = l->giver->process;
	struct workers *w = p->workers;
	struct error late = { 0 };
	char text[512];

	if (l->is_late)
		error_set(&late, ERROR_TIMEOUT, "worker %d did not answer within %lld ms (--timeout)", (int)p->pid,
			  (long long)w->config.timeout_ms);
	w->doom = l->is_late ? &late : why;
	loan_return(l, question_of(l, text, sizeof(text)), true);
	w->doom = NULL;
}

/* ---- from the worker ---- */

static struct loan *loan_of(const struct giver *g, uint32_t slot)
{
	return slot < g->all_count && g->all[slot]->is_lent ? g->all[slot] : NULL;
}

static void idles_take(struct giver *g, struct span bytes)
{
	for (; bytes.len >= sizeof(uint32_t); bytes = span_skip(bytes, sizeof(uint32_t))) {
		struct loan *l;
		uint32_t slot;

		memcpy(&slot, bytes.ptr, sizeof(slot));
		l = loan_of(g, slot);
		if (l)
			loan_return(l, SPAN(""), false);
	}
}

static void message_take(struct giver *g, const struct direct_message *m, struct span bytes)
{
	struct loan *l;

	switch ((enum direct_kind)m->kind) {
	case DIRECT_HELLO:
		g->is_listening = true;
		process_is_ready(g->process);
		break;
	case DIRECT_FULL:
		g->most = g->lent_count - (g->lent_count > 0);
		__attribute__((fallthrough));
	case DIRECT_BACK:
		l = loan_of(g, m->slot);
		if (l && l->is_late)
			loan_fail(l, NULL);
		else if (l)
			loan_return(l, bytes, false);
		break;
	case DIRECT_IDLES:
		idles_take(g, bytes);
		break;
	case DIRECT_DUE:
		process_note_served(g->process);
		break;
	default:
		break;
	}
}

static void socket_close(struct giver *g)
{
	if (g->fd < 0)
		return;
	loop_unwatch(g->process->workers->loop, &g->watch);
	close(g->fd);
	g->fd = -1;
}

/* Returns how many there were: fewer than asked for when there are no more. */
static int messages_read(struct giver *g, int most)
{
	static char text[MESSAGE_MAX]; /* of the one loop */
	int count = 0;

	while (count < most && g->fd >= 0) {
		ssize_t n = recv(g->fd, text, sizeof(text), MSG_DONTWAIT);
		struct direct_message m;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			socket_close(g);
			break;
		}
		count++;
		if ((size_t)n < sizeof(m))
			continue;
		memcpy(&m, text, sizeof(m));
		message_take(g, &m, span_skip(span_from(text, (size_t)n), sizeof(m)));
	}
	return count;
}

static void socket_ready(struct watch *watch, unsigned events)
{
	struct giver *g = CONTAINER_OF(watch, struct giver, watch);

	(void)messages_read(g, MESSAGES_AT_ONCE);
	if (events & LOOP_WRITE && g->is_stuffed)
		giver_release(g);
}

/* ---- figures ---- */

size_t giver_waiting(const struct giver *g)
{
	return g && !g->is_over ? waiting_of(g) : 0;
}

size_t giver_served(const struct giver *g)
{
	return g && g->table ? (size_t)number_of(&g->table->served) : 0;
}

bool giver_is_expected(const struct giver *g)
{
	return g && !g->is_over && !g->is_listening;
}

/* How much of a request that is not whole is in the table: 0 when it is not known to be all of what was read. */
static size_t kept_of(const struct loan *l)
{
	uint32_t len = atomic_load_explicit(&l->giver->table->slot[l->slot].kept_len, memory_order_relaxed);

	return len <= DIRECT_BYTES_MAX ? len : 0;
}

/* What giver_mourn() could not serve from here as if nothing had been. */
static bool needs_worker(const struct loan *l)
{
	uint64_t word = word_of(l);
	enum direct_state state = DIRECT_STATE(word);

	return state == DIRECT_ANSWERING || (state == DIRECT_ASKED && (word & DIRECT_BEGUN || !kept_of(l)));
}

/* A worker that hangs gives nothing back, also what idles. */
bool giver_is_done(const struct giver *g)
{
	if (!g || g->is_over)
		return true;
	for (const struct loan *l = g->lent; l; l = l->next)
		if (!l->is_late && (g->process->is_hung ? needs_worker(l) : DIRECT_STATE(word_of(l)) != DIRECT_CLOSED))
			return false;
	return true;
}

static uint64_t grown(_Atomic uint64_t *counter, uint64_t *known)
{
	uint64_t now = number_of(counter), by = now - *known;

	*known = now;
	return by;
}

static void count_codes(struct giver *g)
{
	struct metrics *metrics = g->process->workers->config.metrics;

	for (unsigned i = 0; i < DIRECT_CODES; i++) {
		uint64_t by = grown(&g->table->codes[i], &g->codes[i]);
		char text[16];
		struct span labels[2] = { span_of(surface_workers.name), { text, 0 } };

		if (!by)
			continue;
		labels[1].len = (size_t)snprintf(text, sizeof(text), "%u", 100 + i);
		metric_add(metrics_series(metrics, METRIC_REQUESTS_TOTAL, labels, 2), by);
	}
}

void giver_count(struct giver *g)
{
	struct metrics *metrics;
	uint64_t by[METRICS_BUCKETS], sum_ns;
	struct span surface = span_of(surface_workers.name);

	if (!g || !g->table)
		return;
	metrics = g->process->workers->config.metrics;
	count_codes(g);
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		by[i] = grown(&g->table->seconds[i], &g->seconds[i]);
	sum_ns = grown(&g->table->seconds_sum_ns, &g->seconds_sum_ns);
	if (sum_ns)
		metric_observe_many(metrics_series(metrics, METRIC_REQUEST_SECONDS, &surface, 1), by, sum_ns);
	metric_add(metrics_series(metrics, METRIC_RECEIVED_BYTES_TOTAL, NULL, 0),
		   grown(&g->table->received, &g->received));
	metric_add(metrics_series(metrics, METRIC_SENT_BYTES_TOTAL, NULL, 0), grown(&g->table->sent, &g->sent));
}

/* ---- the end ---- */

void giver_release(struct giver *g)
{
	if (!g || g->fd < 0)
		return;
	g->is_stuffed = !tell(g, DIRECT_RELEASE, 0, NULL, -1);
	loop_watch_change(g->process->workers->loop, &g->watch, LOOP_READ | (g->is_stuffed ? LOOP_WRITE : 0u));
}

void giver_end(struct giver *g)
{
	if (g)
		socket_close(g); /* which tells the worker to end what it has */
}

/* What was answered in part only must not look whole. */
static void loan_cut(struct loan *l, uint64_t word)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (!(word & DIRECT_RESETS)) {
		loan_return(l, SPAN(""), true);
		return;
	}
	(void)connect(l->watch.fd, &nowhere, sizeof(nowhere)); /* a reset; a Unix socket has none */
	loan_end(l);
}

/* One that was not whole goes on from here, and to the next worker when it is. */
static void loan_asked(struct loan *l, uint64_t word, const struct error *why)
{
	size_t len = kept_of(l);

	if (len && !(word & DIRECT_BEGUN))
		loan_return(l, span_from(l->giver->table->kept[l->slot], len), false);
	else
		loan_fail(l, why);
}

void giver_mourn(struct giver *g)
{
	struct error why = { 0 };

	if (!g || g->is_over)
		return;
	while (messages_read(g, MESSAGES_AT_ONCE) == MESSAGES_AT_ONCE)
		;
	g->is_over = true;
	giver_count(g);
	socket_close(g);
	loop_timer_clear(g->process->workers->loop, &g->tick);
	process_obituary(g->process, &why);
	while (g->lent) {
		struct loan *l = g->lent;
		uint64_t word = word_of(l);

		switch (DIRECT_STATE(word)) {
		case DIRECT_IDLE:
			loan_return(l, SPAN(""), false);
			break;
		case DIRECT_ASKED:
			loan_asked(l, word, &why);
			break;
		case DIRECT_ANSWERING:
			loan_cut(l, word);
			break;
		case DIRECT_CLOSED:
			loan_end(l);
			break;
		}
	}
}

void giver_free(struct giver *g)
{
	if (!g)
		return;
	ASSERT(!g->lent);
	socket_close(g);
	loop_timer_clear(g->process->workers->loop, &g->tick);
	for (size_t i = 0; i < g->all_count; i++)
		free(g->all[i]);
	free(g->all);
	if (g->table)
		(void)munmap(g->table, sizeof(*g->table));
	free(g);
}

/* ---- the beginning ---- */

/* Memory that the worker cannot take away: it is not to be cut short under us. */
static int table_new(struct giver *g, struct error *err)
{
	int fd = memfd_create("hythe-direct", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *at = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(*g->table)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		at = mmap(NULL, sizeof(*g->table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED) {
		g->table = at;
		return fd;
	}
	error_errno(err, errno, "memory shared with a worker");
	if (fd >= 0)
		close(fd);
	return -1;
}

bool giver_new(struct process *p, struct error *err)
{
	struct workers *w = p->workers;
	struct giver *g;
	AUTO_CLOSE int table = -1;
	int pair[2];

	if (!w->config.is_direct || w->config.count > 1)
		return true;
	g = base_calloc(1, sizeof(*g));
	g->process = p;
	g->fd = -1;
	g->is_over = true; /* until all is there */
	g->most = DIRECT_SLOTS;
	p->giver = g;
	table = table_new(g, err);
	if (table < 0)
		return false;
	atomic_store(&g->table->most, w->config.queue_limit);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_errno(err, errno, "a socket pair for a worker");
	g->fd = pair[0];
	p->child_fds[2] = pair[1];
	loop_watch(w->loop, &g->watch, g->fd, LOOP_READ, socket_ready);
	if (!tell(g, DIRECT_TABLE, 0, NULL, table))
		return error_errno(err, errno, "a message to a worker");
	g->is_over = false;
	return true;
}

void giver_ready(struct giver *g)
{
	if (!g)
		return;
	atomic_store(&g->table->paths_len, ops_paths(g->process->workers, g->table->paths, sizeof(g->table->paths)));
	atomic_store(&g->table->served_at, g->process->served_most);
	atomic_store(&g->table->slots, g->process->slots);
}
