/* SPDX-License-Identifier: Apache-2.0 */
/* entry - a worker's side of an address that is listened on: connections are accepted, looked at, and given to who speaks with them. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/gateway_private.h"
#include "net/accepting.h"
#include "net/certificates.h"
#include "net/place.h"

struct entry_socket {
	struct accepting accepting;
	struct entry *entry;
	struct relay_udp *datagrams; /* of an entry of UDP: it accepts nobody */
	int fd;
};

/* A connection whose first bytes are awaited. Net counts it as lent. */
struct sniffing {
	struct watch watch;
	struct timer timer;
	struct entry *entry;
	struct sniffing *next, *previous;
	struct sockaddr_storage peer;
	int fd;
};

/* ---- life ---- */

void entry_hold(struct entry *e)
{
	e->holds++;
}

static void entry_done(struct entry *e)
{
	if (e->next)
		e->next->previous = e->previous;
	if (e->previous)
		e->previous->next = e->next;
	else
		e->worker->entries = e->next;
	certificates_unref(e->server.certificates);
	free(e->sockets);
	free(e);
}

void entry_release(struct entry *e)
{
	if (--e->holds == 0)
		entry_done(e);
}

static void connection_closed(struct server_entry *server)
{
	entry_release(CONTAINER_OF(server, struct entry, server));
}

void entry_follow(struct entry *e, const struct plan_entry *now)
{
	struct certificates *before = e->server.certificates;

	e->now = now;
	if (!now || now->certificates == before)
		return; /* one that is gone keeps them: a connection in its queue must not be served in clear */
	if (now->certificates)
		certificates_ref(now->certificates);
	e->server.certificates = now->certificates;
	certificates_unref(before);
}

const struct plan_entry *entry_of(const struct gateway_worker *w, const struct request *req)
{
	struct server_entry *server = request_entry(req);

	return server ? CONTAINER_OF(server, struct entry, server)->now : w->main_entry;
}

/* ---- what a connection is ---- */

/* Net takes it: HTTP, or TLS before that. */
static void serve(struct entry *e, int fd, const struct sockaddr_storage *peer)
{
	entry_hold(e);
	server_take(e->worker->net, fd, peer, &e->server);
}

static void sniffing_free(struct sniffing *s)
{
	struct entry *e = s->entry;

	if (s->next)
		s->next->previous = s->previous;
	if (s->previous)
		s->previous->next = s->next;
	else
		e->sniffing = s->next;
	free(s);
	entry_release(e);
}

/* The answer is known: whoever takes the connection counts it before this count is given back. */
static void sniffed(struct sniffing *s, enum sniff what)
{
	struct entry *e = s->entry;
	struct loop *loop = e->worker->loop;
	int one = 1;

	loop_unwatch(loop, &s->watch);
	loop_timer_clear(loop, &s->timer);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	if (what == SNIFF_HTTP)
		serve(e, s->fd, &s->peer);
	else
		relay_begin(e->worker->relays, e, s->fd, &s->peer);
	server_loan_end(e->worker->net);
	sniffing_free(s);
}

/* What stands in the socket, unread. `is_all`: no more is waited for. */
static enum sniff look(int fd, bool is_all, size_t *ret_len)
{
	char first[SNIFF_MOST];
	ssize_t len = recv(fd, first, sizeof(first), MSG_PEEK | MSG_DONTWAIT);

	*ret_len = len > 0 ? (size_t)len : 0;
	/* Nothing, and nothing more will come; or an error, which the relay finds too. */
	if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
		return SNIFF_BYTES;
	return sniff((struct span){ first, *ret_len }, is_all);
}

static void sniff_silent(struct timer *t)
{
	struct sniffing *s = CONTAINER_OF(t, struct sniffing, timer);
	size_t len;

	sniffed(s, look(s->fd, true, &len));
}

static void sniff_ready(struct watch *w, unsigned events)
{
	struct sniffing *s = CONTAINER_OF(w, struct sniffing, watch);
	size_t len;
	enum sniff what = look(s->fd, (events & (LOOP_END | LOOP_HANGUP)) != 0, &len);
	int more = (int)len + 1;

	if (what != SNIFF_MORE) {
		sniffed(s, what);
		return;
	}
	/* What was looked at stays there: the socket is readable again when there is more. */
	setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof(more));
}

static void sniff_begin(struct entry *e, int fd, const struct sockaddr_storage *peer)
{
	struct gateway_worker *w = e->worker;
	struct sniffing *s;
	size_t len;
	enum sniff what = look(fd, false, &len);

	if (what == SNIFF_HTTP) {
		serve(e, fd, peer);
		return;
	}
	if (what == SNIFF_BYTES) {
		relay_begin(w->relays, e, fd, peer);
		return;
	}
	if (!server_lend(w->net)) {
		serve(e, fd, peer); /* which says that there are too many */
		server_loan_end(w->net);
		return;
	}
	entry_hold(e);
	s = base_calloc(1, sizeof(*s));
	s->entry = e;
	s->fd = fd;
	s->peer = *peer;
	s->next = e->sniffing;
	if (s->next)
		s->next->previous = s;
	e->sniffing = s;
	loop_watch(w->loop, &s->watch, fd, LOOP_READ | LOOP_END, sniff_ready);
	loop_timer_set(w->loop, &s->timer, loop_now(w->loop) + w->config->limits.sniff_ns, sniff_silent);
}

static bool is_http(const struct plan_entry *now)
{
	return !now || !now->backend || now->certificates || now->backend->speech == SPEECH_HTTP1 ||
	       now->backend->speech == SPEECH_HTTP2 || now->backend->speech == SPEECH_WS;
}

static void accepted(struct accepting *a, int fd, const struct sockaddr_storage *peer)
{
	struct entry *e = CONTAINER_OF(a, struct entry_socket, accepting)->entry;

	if (is_http(e->now))
		serve(e, fd, peer);
	else if (e->now->backend->speech == SPEECH_BYTES)
		relay_begin(e->worker->relays, e, fd, peer);
	else
		sniff_begin(e, fd, peer);
}

/* ---- opening and closing ---- */

struct entry *entry_open(struct gateway_worker *w, const struct plan_entry *now, const int *fds, size_t count)
{
	struct entry *e = base_calloc(1, sizeof(*e));

	e->worker = w;
	e->server.closed = connection_closed;
	e->holds = 1;
	e->next = w->entries;
	if (e->next)
		e->next->previous = e;
	w->entries = e;
	entry_follow(e, now);
	e->sockets = base_calloc(count + 1, sizeof(*e->sockets));
	for (; e->socket_count < count; e->socket_count++) {
		struct entry_socket *s = &e->sockets[e->socket_count];

		s->entry = e;
		s->fd = fds[e->socket_count];
		s->accepting =
		    (struct accepting){ .loop = w->loop, .fd = s->fd, .room = "gateway", .accepted = accepted };
		if (now->is_udp)
			s->datagrams = relay_udp_new(w->relays, e, s->fd);
		else
			accepting_begin(&s->accepting);
	}
	return e;
}

static void socket_shut(struct entry_socket *s, bool takes_queue)
{
	if (s->datagrams) {
		relay_udp_free(s->datagrams);
	} else {
		accepting_end(&s->accepting);
		/* Clients in the kernel's queue have been told that they are connected. */
		for (int i = 0; i < PLACE_BACKLOG && takes_queue && accepting_one(&s->accepting); i++)
			;
	}
	close(s->fd);
}

void entry_shut(struct entry *e, bool takes_queue)
{
	for (size_t i = 0; i < e->socket_count; i++)
		socket_shut(&e->sockets[i], takes_queue);
	e->socket_count = 0;
	entry_release(e);
}

void entry_free(struct entry *e)
{
	for (size_t i = 0; i < e->socket_count; i++) {
		relay_udp_free(e->sockets[i].datagrams);
		close(e->sockets[i].fd);
	}
	for (struct sniffing *s = e->sniffing, *next; s; s = next) {
		next = s->next;
		close(s->fd);
		free(s);
	}
	entry_done(e);
}
