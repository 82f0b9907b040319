/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_udp - datagrams both ways between clients and endpoints. What one client sends goes to one endpoint, from a socket of its own, as long as
 * neither is silent for longer than limits.relay_idle_ns: a session. Datagrams that come before that socket is there are kept, a few.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/balance.h"
#include "gateway/dial.h"
#include "gateway/relay.h"

enum {
	TABLE_LEAST = 64,
	KEPT_MOST = 16,        /* datagrams of a session without a socket; more are dropped, as a full socket's are */
	DATAGRAMS_AT_ONCE = 64 /* of one socket, so that the others have their turn */
};

struct datagram {
	struct datagram *next;
	size_t len;
	char bytes[];
};

struct session {
	struct watch watch;
	struct relay_udp *relay;
	struct session *next_of_hash;
	struct session *older, *newer; /* by when they last had something */
	struct endpoint *endpoint;
	struct dial *dial; /* while there is no socket */
	struct relay_counts *counts;
	struct datagram *kept, **kept_end;
	size_t kept_count;
	struct sockaddr_storage client;
	socklen_t client_len;
	uint64_t hash;
	int64_t last_ns;
	int fd; /* connected to the endpoint; -1: not yet */
};

struct relay_udp {
	struct watch watch;
	struct timer idle; /* of the oldest session */
	struct relays *relays;
	struct entry *entry;
	struct session **table;
	size_t size, count;
	struct session *oldest, *newest;
	int fd;
};

static struct loop *loop_of(const struct relay_udp *u)
{
	return u->relays->worker->loop;
}

/* ---- sessions by client ---- */

static uint64_t client_hash(const struct sockaddr_storage *client, socklen_t len)
{
	return span_hash(span_from(client, len));
}

static struct session *session_find(const struct relay_udp *u, const struct sockaddr_storage *client, socklen_t len)
{
	uint64_t hash = client_hash(client, len);
	struct session *s = u->table[hash & (u->size - 1)];

	while (s && (s->hash != hash || s->client_len != len || memcmp(&s->client, client, len) != 0))
		s = s->next_of_hash;
	return s;
}

static void table_add(struct relay_udp *u, struct session *s)
{
	size_t at = s->hash & (u->size - 1);

	s->next_of_hash = u->table[at];
	u->table[at] = s;
}

static void table_grow(struct relay_udp *u)
{
	free(u->table);
	u->size *= 2;
	u->table = base_calloc(u->size, sizeof(struct session *));
	for (struct session *s = u->oldest; s; s = s->newer)
		table_add(u, s);
}

static void age_unlink(struct session *s)
{
	struct relay_udp *u = s->relay;

	*(s->older ? &s->older->newer : &u->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &u->newest) = s->older;
}

static void age_link(struct session *s)
{
	struct relay_udp *u = s->relay;

	s->newer = NULL;
	s->older = u->newest;
	*(u->newest ? &u->newest->newer : &u->oldest) = s;
	u->newest = s;
}

static void session_used(struct session *s)
{
	s->last_ns = loop_now(loop_of(s->relay));
	if (!s->newer)
		return;
	age_unlink(s);
	age_link(s);
}

static void kept_free(struct session *s)
{
	while (s->kept) {
		struct datagram *d = s->kept;

		s->kept = d->next;
		free(d);
	}
}

static void session_end(struct session *s, enum relay_result result)
{
	struct relay_udp *u = s->relay;
	struct session **at = &u->table[s->hash & (u->size - 1)];

	while (*at != s)
		at = &(*at)->next_of_hash;
	*at = s->next_of_hash;
	age_unlink(s);
	u->count--;
	u->relays->count--;
	if (s->dial) {
		dial_cancel(s->dial);
		endpoint_dials_no_more(s->endpoint);
	}
	if (s->fd >= 0) {
		loop_unwatch(loop_of(u), &s->watch);
		close(s->fd);
		endpoint_tunnel_end(s->endpoint);
	}
	if (s->endpoint)
		endpoint_end(s->endpoint, result == RELAY_BROKEN ? FATE_REFUSED : FATE_NONE);
	kept_free(s);
	metric_add(s->counts->ended[result], 1);
	metric_move(s->counts->open, -1);
	free(s);
}

static void idle_over(struct timer *t)
{
	struct relay_udp *u = CONTAINER_OF(t, struct relay_udp, idle);
	int64_t limit = u->relays->worker->config->limits.relay_idle_ns, now = loop_now(loop_of(u));

	while (u->oldest && now - u->oldest->last_ns >= limit)
		session_end(u->oldest, RELAY_DONE);
	if (u->oldest)
		loop_timer_set(loop_of(u), t, u->oldest->last_ns + limit, idle_over);
}

/* ---- from the endpoint ---- */

static void answer_ready(struct watch *w, unsigned events)
{
	struct session *s = CONTAINER_OF(w, struct session, watch);
	struct relay_udp *u = s->relay;

	(void)events;
	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t n = recv(s->fd, u->relays->piece, RELAY_PIECE, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* ICMP: nobody listens there. The client's next datagram finds another */
			session_end(s, RELAY_BROKEN);
			return;
		}
		/* From the address that the client sent to. A full socket drops, as networks do. */
		(void)sendto(u->fd, u->relays->piece, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (const struct sockaddr *)&s->client, s->client_len);
		metric_add(s->counts->out, (uint64_t)n);
		session_used(s);
	}
}

/* ---- from the client ---- */

static void pass_on(struct session *s, const char *bytes, size_t len)
{
	metric_add(s->counts->in, len);
	(void)send(s->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL); /* an error comes back when it is read */
}

static void keep(struct session *s, const char *bytes, size_t len)
{
	struct datagram *d;

	if (s->kept_count >= KEPT_MOST)
		return;
	d = base_alloc(sizeof(*d) + len);
	d->next = NULL;
	d->len = len;
	memcpy(d->bytes, bytes, len);
	*s->kept_end = d;
	s->kept_end = &d->next;
	s->kept_count++;
}

static void dialed(void *owner, int fd, const struct error *err)
{
	struct session *s = owner;

	s->dial = NULL;
	endpoint_dials_no_more(s->endpoint);
	if (fd < 0) {
		log_debug("gateway", "an endpoint cannot be reached", LOG_SPAN("endpoint", s->endpoint->key),
			  LOG_TEXT("error", err->message));
		endpoint_end(TAKE(s->endpoint), FATE_REFUSED);
		session_end(s, RELAY_BROKEN);
		return;
	}
	s->fd = fd;
	endpoint_connected(s->endpoint);
	endpoint_tunnel(s->endpoint);
	loop_watch(loop_of(s->relay), &s->watch, fd, LOOP_READ, answer_ready);
	for (struct datagram *d = s->kept; d; d = d->next)
		pass_on(s, d->bytes, d->len);
	kept_free(s);
}

static struct session *session_begin(struct relay_udp *u, const struct sockaddr_storage *client, socklen_t len)
{
	struct gateway_worker *w = u->relays->worker;
	const struct plan_backend *backend = u->entry->now ? u->entry->now->backend : NULL;
	struct relay_counts *counts = backend ? relay_counts_of(u->relays, backend) : NULL;
	struct endpoint *endpoint;
	struct session *s;

	if (!counts || !relay_may_begin(u->relays, counts))
		return NULL;
	endpoint = balance_choose(w, backend, client);
	if (!endpoint) {
		metric_add(counts->ended[RELAY_NO_ENDPOINT], 1);
		return NULL;
	}
	if (u->count >= u->size)
		table_grow(u);
	s = base_calloc(1, sizeof(*s));
	*s = (struct session){ .relay = u,
			       .endpoint = endpoint,
			       .counts = counts,
			       .kept_end = &s->kept,
			       .client = *client,
			       .client_len = len,
			       .hash = client_hash(client, len),
			       .last_ns = loop_now(w->loop),
			       .fd = -1 };
	metric_move(counts->open, 1);
	table_add(u, s);
	age_link(s);
	u->count++;
	u->relays->count++;
	if (!timer_is_set(&u->idle))
		loop_timer_set(w->loop, &u->idle, s->last_ns + w->config->limits.relay_idle_ns, idle_over);
	endpoint_dials(endpoint);
	s->dial = dial_begin(&(struct dial_config){ .loop = w->loop,
						    .address = &endpoint->address,
						    .sandbox = endpoint->sandbox,
						    .type = SOCK_DGRAM,
						    .until_ns = s->last_ns + w->config->limits.connect_ns,
						    .done = dialed,
						    .owner = s });
	return s;
}

/* Its endpoint is still one of those that are asked: a session that is used never ends of itself. */
static bool may_go_on(const struct session *s)
{
	const struct endpoint *e = s->endpoint;

	return !e->is_gone && !e->is_drained && (e->is_ready || e->is_serving);
}

static void client_ready(struct watch *w, unsigned events)
{
	struct relay_udp *u = CONTAINER_OF(w, struct relay_udp, watch);
	char *piece = u->relays->piece;

	(void)events;
	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		struct sockaddr_storage client = { .ss_family = AF_UNSPEC };
		socklen_t len = sizeof(client);
		ssize_t n = recvfrom(u->fd, piece, RELAY_PIECE, MSG_DONTWAIT, (struct sockaddr *)&client, &len);
		struct session *s;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* nothing more; or an answer that could not be delivered, told here and now over */
		s = session_find(u, &client, len);
		if (s && !may_go_on(s)) {
			session_end(s, RELAY_DONE);
			s = NULL;
		}
		if (!s)
			s = session_begin(u, &client, len);
		if (!s)
			continue;
		session_used(s);
		if (s->fd >= 0)
			pass_on(s, piece, (size_t)n);
		else
			keep(s, piece, (size_t)n);
	}
}

/* ---- life ---- */

struct relay_udp *relay_udp_new(struct relays *r, struct entry *e, int fd)
{
	struct relay_udp *u = base_calloc(1, sizeof(*u));

	u->relays = r;
	u->entry = e;
	u->fd = fd;
	u->size = TABLE_LEAST;
	u->table = base_calloc(u->size, sizeof(struct session *));
	loop_watch(r->worker->loop, &u->watch, fd, LOOP_READ, client_ready);
	return u;
}

void relay_udp_free(struct relay_udp *u)
{
	if (!u)
		return;
	while (u->oldest)
		session_end(u->oldest, RELAY_DONE);
	loop_timer_clear(loop_of(u), &u->idle);
	loop_unwatch(loop_of(u), &u->watch);
	free(u->table);
	free(u);
}
