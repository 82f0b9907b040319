/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay - bytes of TCP both ways between a client and an endpoint, as they come. What one side does not take is kept, a piece at most, and the other side
 * is not read until it is gone. An end of one direction is passed on as that; a failure of either side ends both with a reset.
 */
#include "gateway/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/balance.h"
#include "gateway/dial.h"

enum { PIECES_AT_ONCE = 16 };     /* of one connection, so that the others have their turn */
#define AGAIN_NS (50 * NS_PER_MS) /* how often a relay without an endpoint looks for one */

/* A socket; what is written to it waits here when it is full. */
struct side {
	struct watch watch;
	struct relay *relay;
	struct side *other;
	int fd;
	unsigned events;
	bool is_watched;
	bool is_ended; /* it sends nothing more */
	bool is_shut;  /* it was told that nothing more comes */
	bool is_hung;  /* the kernel says that both are so; what it sent may stand there unread */
	char *kept;    /* for it, unsent */
	size_t kept_at, kept_len;
	struct metric_series *bytes; /* read from it */
};

struct relay {
	struct relays *relays;
	struct relay *next, *previous;
	struct entry *entry;
	struct endpoint *endpoint; /* chosen; NULL: none is */
	struct dial *dial;
	struct timer timer; /* looks for an endpoint again */
	struct side client, server;
	int64_t until_ns; /* how long an endpoint is waited for */
	unsigned tries;
	bool ends_with_endpoint;
	struct relay_counts *counts;
	struct sockaddr_storage address; /* the client's */
};

static struct loop *loop_of(const struct relay *r)
{
	return r->relays->worker->loop;
}

/* ---- counts ---- */

struct relay_counts *relay_counts_of(struct relays *r, const struct plan_backend *b)
{
	static const char *const results[RELAY_RESULTS] = { "done", "broken", "no_endpoint", "limit" };
	struct metrics *m = r->worker->config->metrics;
	struct span labels[3] = { b->name_space, b->service, { 0 } };
	struct relay_counts *c = r->counts;
	char *text;

	while (c && (!span_equal(c->service, b->service) || !span_equal(c->name_space, b->name_space)))
		c = c->next;
	if (c)
		return c;
	c = base_calloc(1, sizeof(*c) + b->name_space.len + b->service.len + 1);
	text = (char *)(c + 1);
	c->name_space = (struct span){ text, b->name_space.len };
	c->service = (struct span){ text + b->name_space.len, b->service.len };
	if (b->name_space.len)
		memcpy(text, b->name_space.ptr, b->name_space.len);
	if (b->service.len)
		memcpy(text + b->name_space.len, b->service.ptr, b->service.len);
	c->open = metrics_series(m, METRIC_GATEWAY_RELAYS, labels, 2);
	labels[2] = SPAN("in");
	c->in = metrics_series(m, METRIC_GATEWAY_RELAYED_BYTES, labels, 3);
	labels[2] = SPAN("out");
	c->out = metrics_series(m, METRIC_GATEWAY_RELAYED_BYTES, labels, 3);
	for (size_t i = 0; i < RELAY_RESULTS; i++) {
		labels[2] = span_of(results[i]);
		c->ended[i] = metrics_series(m, METRIC_GATEWAY_RELAYS_TOTAL, labels, 3);
	}
	c->next = r->counts;
	r->counts = c;
	return c;
}

static void relay_counts_free(struct relays *r)
{
	struct metrics *m = r->worker->config->metrics;

	for (struct relay_counts *c = r->counts, *next; c; c = next) {
		next = c->next;
		metrics_series_drop(m, c->open);
		metrics_series_drop(m, c->in);
		metrics_series_drop(m, c->out);
		for (size_t i = 0; i < RELAY_RESULTS; i++)
			metrics_series_drop(m, c->ended[i]);
		free(c);
	}
}

bool relay_may_begin(struct relays *r, struct relay_counts *c)
{
	if (r->count < r->worker->config->limits.relays_most)
		return true;
	metric_add(c->ended[RELAY_LIMIT], 1);
	return false;
}

/* ---- the end ---- */

static void side_unwatch(struct side *s)
{
	if (s->is_watched)
		loop_unwatch(loop_of(s->relay), &s->watch);
	s->is_watched = false;
}

/* What came last must not be taken for the whole. */
static void side_close(struct side *s, bool is_reset)
{
	struct linger at_once = { .l_onoff = 1 };

	side_unwatch(s);
	if (s->fd >= 0 && is_reset)
		(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->kept);
	s->kept = NULL;
}

static void relay_end(struct relay *r, bool is_reset, enum relay_result result)
{
	struct gateway_worker *w = r->relays->worker;

	if (r->dial) {
		dial_cancel(r->dial);
		endpoint_dials_no_more(r->endpoint);
	}
	loop_timer_clear(w->loop, &r->timer);
	if (r->server.fd >= 0)
		endpoint_tunnel_end(r->endpoint);
	side_close(&r->client, is_reset);
	side_close(&r->server, is_reset);
	if (r->endpoint)
		endpoint_end(r->endpoint, FATE_NONE);
	metric_add(r->counts->ended[result], 1);
	metric_move(r->counts->open, -1);
	if (r->next)
		r->next->previous = r->previous;
	if (r->previous)
		r->previous->next = r->next;
	else
		r->relays->first = r->next;
	r->relays->count--;
	server_loan_end(w->net);
	entry_release(r->entry);
	free(r);
}

static void relay_broken(struct relay *r)
{
	relay_end(r, true, RELAY_BROKEN);
}

/* ---- bytes ---- */

static void side_ready(struct watch *w, unsigned events);

/* A side whose two directions are over is not watched unless it is read: it would say so for ever. */
static void side_await(struct side *s)
{
	unsigned events =
	    (s->is_ended || s->other->kept_len ? 0u : (unsigned)LOOP_READ) | (s->kept_len ? (unsigned)LOOP_WRITE : 0u);

	if ((s->is_ended && s->is_shut) || (s->is_hung && !events)) {
		side_unwatch(s);
	} else if (!s->is_watched) {
		s->is_watched = true;
		s->events = events;
		loop_watch(loop_of(s->relay), &s->watch, s->fd, events, side_ready);
	} else if (s->events != events) {
		s->events = events;
		loop_watch_change(loop_of(s->relay), &s->watch, events);
	}
}

/* Sends as much as it takes. False: it is broken. */
static bool side_send(struct side *s, struct span bytes, size_t *ret_sent)
{
	ssize_t n;

	*ret_sent = 0;
	while (*ret_sent < bytes.len) {
		n = send(s->fd, bytes.ptr + *ret_sent, bytes.len - *ret_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		*ret_sent += (size_t)n;
	}
	return true;
}

static bool side_flush(struct side *s)
{
	size_t sent;

	if (!s->kept_len)
		return true;
	if (!side_send(s, (struct span){ s->kept + s->kept_at, s->kept_len }, &sent))
		return false;
	s->kept_at += sent;
	s->kept_len -= sent;
	if (s->kept_len)
		return true;
	free(s->kept);
	s->kept = NULL;
	s->kept_at = 0;
	return true;
}

static void side_keep(struct side *s, struct span bytes)
{
	s->kept = base_alloc(bytes.len);
	memcpy(s->kept, bytes.ptr, bytes.len);
	s->kept_at = 0;
	s->kept_len = bytes.len;
}

/* Moves what `from` has to the other side. False: one of them is broken. */
static bool move(struct side *from)
{
	char *piece = from->relay->relays->piece;
	struct side *to = from->other;

	for (int i = 0; i < PIECES_AT_ONCE && !from->is_ended && !to->kept_len; i++) {
		ssize_t n = recv(from->fd, piece, RELAY_PIECE, MSG_DONTWAIT);
		size_t sent;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		from->is_ended = n == 0;
		metric_add(from->bytes, (uint64_t)n);
		if (!side_send(to, (struct span){ piece, (size_t)n }, &sent))
			return false;
		if (sent < (size_t)n)
			side_keep(to, (struct span){ piece + sent, (size_t)n - sent });
		if (n < RELAY_PIECE)
			break; /* that was all, as a rule */
	}
	if (from->is_ended && !to->kept_len && !to->is_shut) {
		to->is_shut = true;
		if (shutdown(to->fd, SHUT_WR) != 0)
			return false;
	}
	return true;
}

static void relay_go_on(struct relay *r)
{
	if (!side_flush(&r->client) || !side_flush(&r->server) || !move(&r->client) || !move(&r->server)) {
		relay_broken(r);
	} else if (r->client.is_shut && (r->server.is_shut || r->ends_with_endpoint || r->relays->end_with_endpoints)) {
		relay_end(r, false, RELAY_DONE);
	} else {
		side_await(&r->client);
		side_await(&r->server);
	}
}

static void side_ready(struct watch *w, unsigned events)
{
	struct side *s = CONTAINER_OF(w, struct side, watch);
	int failure = 0;
	socklen_t len = sizeof(failure);

	if ((events & LOOP_HANGUP) && (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0 || failure != 0)) {
		relay_broken(s->relay);
		return;
	}
	s->is_hung = s->is_hung || events & LOOP_HANGUP;
	relay_go_on(s->relay);
}

/* ---- an endpoint ---- */

static void choose(struct relay *r);

static void dialed(void *owner, int fd, const struct error *err)
{
	struct relay *r = owner;
	int on = 1;

	r->dial = NULL;
	endpoint_dials_no_more(r->endpoint);
	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		r->server.fd = fd;
		endpoint_connected(r->endpoint);
		endpoint_tunnel(r->endpoint);
		relay_go_on(r);
		return;
	}
	log_debug("gateway", "an endpoint cannot be connected to", LOG_SPAN("endpoint", r->endpoint->key),
		  LOG_TEXT("error", err->message));
	endpoint_end(TAKE(r->endpoint), FATE_REFUSED);
	choose(r);
}

static void choose_again(struct timer *t)
{
	choose(CONTAINER_OF(t, struct relay, timer));
}

/* Nothing was sent to the one that was tried: another may have it. */
static void choose(struct relay *r)
{
	struct gateway_worker *w = r->relays->worker;
	const struct gateway_limits *limits = &w->config->limits;
	const struct plan_entry *now = r->entry->now;
	int64_t time = loop_now(w->loop);

	if (now && now->backend && r->tries < limits->tries_most)
		r->endpoint = balance_choose(w, now->backend, &r->address);
	if (r->endpoint) {
		struct dial_config config = { .loop = w->loop,
					      .address = &r->endpoint->address,
					      .sandbox = r->endpoint->sandbox,
					      .type = SOCK_STREAM,
					      .until_ns = time + limits->connect_ns,
					      .done = dialed,
					      .owner = r };

		r->tries++;
		endpoint_dials(r->endpoint);
		r->dial = dial_begin(&config);
	} else if (!now || r->tries >= limits->tries_most || time >= r->until_ns) {
		relay_end(r, true, RELAY_NO_ENDPOINT);
	} else {
		loop_timer_set(w->loop, &r->timer, time + AGAIN_NS, choose_again);
	}
}

/* ---- life ---- */

static void refuse(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static struct relay *relay_new(struct relays *relays, struct entry *e, int fd, struct relay_counts *counts)
{
	struct relay *r = base_calloc(1, sizeof(*r));

	r->relays = relays;
	r->entry = e;
	entry_hold(e);
	r->counts = counts;
	metric_move(counts->open, 1);
	r->client = (struct side){ .relay = r, .other = &r->server, .fd = fd, .bytes = counts->in };
	r->server = (struct side){ .relay = r, .other = &r->client, .fd = -1, .bytes = counts->out };
	r->next = relays->first;
	if (r->next)
		r->next->previous = r;
	relays->first = r;
	relays->count++;
	return r;
}

void relay_begin(struct relays *relays, struct entry *e, int fd, const struct sockaddr_storage *client)
{
	struct gateway_worker *w = relays->worker;
	struct relay_counts *counts;
	struct relay *r;
	int on = 1;

	if (!e->now || !e->now->backend) {
		refuse(fd);
		return;
	}
	counts = relay_counts_of(relays, e->now->backend);
	if (!relay_may_begin(relays, counts)) {
		refuse(fd);
		return;
	}
	if (!server_lend(w->net)) {
		metric_add(counts->ended[RELAY_LIMIT], 1);
		refuse(fd);
		server_loan_end(w->net);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r = relay_new(relays, e, fd, counts);
	r->address = *client;
	r->until_ns = loop_now(w->loop) + w->config->limits.queue_ns;
	choose(r);
}

struct relays *relays_new(struct gateway_worker *w)
{
	struct relays *r = base_calloc(1, sizeof(*r));

	r->worker = w;
	r->piece = base_alloc(RELAY_PIECE);
	return r;
}

/* A client that stays would hold both sockets, and with the endpoint's the network namespace of a pod that is gone. */
void relays_end_with_endpoints(struct relays *relays, const struct in_addr *pod)
{
	if (relays && !pod)
		relays->end_with_endpoints = true; /* those that have none yet, too */
	for (struct relay *r = relays ? relays->first : NULL, *next; r; r = next) {
		next = r->next;
		if (r->server.fd < 0 || (pod && !endpoint_has_address(r->endpoint, *pod)))
			continue;
		r->ends_with_endpoint = true;
		relay_go_on(r);
	}
}

void relays_cut(struct relays *r)
{
	while (r && r->first)
		relay_broken(r->first);
}

void relays_free(struct relays *r)
{
	if (!r)
		return;
	relays_cut(r);
	relay_counts_free(r);
	free(r->piece);
	free(r);
}
