/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question - an errand is what stands between a question and the stream it became: it outlives the question when that is given up.
 *
 * A line is a connection. Over HTTP/1.1 it has one errand at a time, and lies in the list of idle ones in between, the one that was used last in front:
 * those that are not needed end by the component's own time limit.
 */
#include "engine/question.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIES_MAX = 3, FREE_ERRANDS_MAX = 256 };

struct errand {
	struct question *ask; /* NULL: given up, or over */
	struct line *line;
	struct client_stream *stream;
	struct errand *next; /* in the line's list of those that wait for it, or in the list of free ones */
	struct buffer early; /* of a body in parts, before there is a stream */
	bool is_ended;       /* and its end */
};

struct line {
	struct asker *asker;
	struct client *client; /* NULL: still being connected */
	struct line *next, *previous;
	struct line *idle_next, *idle_previous;
	struct watch watch;
	struct timer timer;
	struct errand *waiting, **waiting_tail;
	int fd;
	bool is_idle, is_watched;
	void (*tried)(void *context, const struct error *why); /* of asker_try() */
	void *context;
};

struct asker {
	struct loop *loop;
	struct sockaddr_in address;
	char text[INET_ADDRSTRLEN + 8];
	bool is_http2, is_freeing;
	struct line *lines, *idle;
	size_t line_count;
	struct errand *free_errands;
	size_t free_count;
	/* Those that could not even be begun are told at the end of the turn. */
	struct errand *refused, **refused_tail;
	struct loop_task task;
};

static const struct client_stream_ops stream_ops;
static const struct client_ops client_ops;

/* ---- errands ---- */

static struct errand *errand_new(struct asker *a, struct question *k)
{
	struct errand *e = a->free_errands;

	if (e) {
		a->free_errands = e->next;
		a->free_count--;
	} else {
		e = base_alloc(sizeof(*e));
	}
	*e = (struct errand){ .ask = k };
	k->errand = e;
	return e;
}

static void errand_free(struct asker *a, struct errand *e)
{
	buffer_done(&e->early);
	if (a->free_count >= FREE_ERRANDS_MAX) {
		free(e);
		return;
	}
	e->next = a->free_errands;
	a->free_errands = e;
	a->free_count++;
}

/* The question is over for its owner. */
static struct question *errand_part(struct errand *e)
{
	struct question *k = e->ask;

	e->ask = NULL;
	if (k)
		k->errand = NULL;
	return k;
}

static void errand_fail(struct asker *a, struct errand *e, const struct error *why)
{
	struct question *k = errand_part(e);

	errand_free(a, e);
	if (k)
		k->ops->failed(k, why);
}

/* ---- lines ---- */

static void idle_unlink(struct line *x)
{
	struct asker *a = x->asker;

	if (!x->is_idle)
		return;
	*(x->idle_previous ? &x->idle_previous->idle_next : &a->idle) = x->idle_next;
	if (x->idle_next)
		x->idle_next->idle_previous = x->idle_previous;
	x->idle_next = x->idle_previous = NULL;
	x->is_idle = false;
}

static void idle_link(struct line *x)
{
	struct asker *a = x->asker;

	ASSERT(!x->is_idle);
	x->is_idle = true;
	x->idle_next = a->idle;
	if (a->idle)
		a->idle->idle_previous = x;
	a->idle = x;
}

static void line_free(struct line *x)
{
	struct asker *a = x->asker;

	ASSERT(!x->waiting);
	idle_unlink(x);
	*(x->previous ? &x->previous->next : &a->lines) = x->next;
	if (x->next)
		x->next->previous = x->previous;
	a->line_count--;
	loop_timer_clear(a->loop, &x->timer);
	if (x->is_watched)
		loop_unwatch(a->loop, &x->watch);
	client_free(x->client);
	if (x->fd >= 0)
		close(x->fd);
	free(x);
}

static void errand_open(struct errand *e)
{
	struct question *k = e->ask;
	bool has_body = k->body.len > 0 || e->early.len > 0;

	k->tries++;
	e->stream = client_open(e->line->client, &k->head, !has_body && (k->is_last || e->is_ended), &stream_ops, e);
	if (k->body.len)
		client_write(e->stream, k->body);
	if (e->early.len)
		client_write(e->stream, buffer_span(&e->early));
	if (has_body && (k->is_last || e->is_ended))
		client_end(e->stream);
	buffer_done(&e->early);
	buffer_init(&e->early, 0);
}

/* The first of those that wait; NULL: none does. */
static struct errand *waiting_take(struct line *x)
{
	struct errand *e = x->waiting;

	if (!e)
		return NULL;
	x->waiting = e->next;
	if (!x->waiting)
		x->waiting_tail = &x->waiting;
	e->next = NULL;
	return e;
}

static void line_connected(struct line *x)
{
	struct asker *a = x->asker;
	struct errand *e;

	loop_timer_clear(a->loop, &x->timer);
	if (x->tried) {
		x->tried(x->context, NULL);
		line_free(x);
		return;
	}
	x->client = (a->is_http2 ? client_new : client_new_http1)(a->loop, x->fd, &client_ops, x);
	x->fd = -1;
	while ((e = waiting_take(x)) != NULL) {
		if (e->ask)
			errand_open(e);
		else
			errand_free(a, e);
	}
	if (!a->is_http2 && client_streams(x->client) == 0)
		idle_link(x); /* its question was given up meanwhile */
}

static void line_failed(struct line *x, const struct error *why)
{
	struct asker *a = x->asker;
	struct errand *list = x->waiting, *next;

	if (x->tried)
		x->tried(x->context, why);
	x->waiting = NULL;
	line_free(x);
	for (; list; list = next) {
		next = list->next;
		errand_fail(a, list, why);
	}
}

static void dial_error(const struct asker *a, int errnum, struct error *err)
{
	/* Go's words for what is common; the others are the system's in small letters there too. */
	const char *text = errnum == ECONNREFUSED   ? "connection refused"
			   : errnum == ETIMEDOUT    ? "connection timed out"
			   : errnum == EHOSTUNREACH ? "no route to host"
			   : errnum == ENETUNREACH  ? "network is unreachable"
						    : strerror(errnum);

	error_set(err, ERROR_UNAVAILABLE, "dial tcp %s: connect: %s", a->text, text);
}

static void line_ready(struct watch *w, unsigned events)
{
	struct line *x = CONTAINER_OF(w, struct line, watch);
	struct error err = { 0 };
	socklen_t len = sizeof(int);
	int errnum = 0;

	(void)events;
	loop_unwatch(x->asker->loop, &x->watch);
	x->is_watched = false;
	if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (!errnum) {
		line_connected(x);
		return;
	}
	dial_error(x->asker, errnum, &err);
	line_failed(x, &err);
}

static void line_late(struct timer *t)
{
	struct line *x = CONTAINER_OF(t, struct line, timer);
	struct error err = { 0 };

	error_set(&err, ERROR_UNAVAILABLE, "dial tcp %s: i/o timeout", x->asker->text);
	line_failed(x, &err);
}

static void line_link(struct asker *a, struct line *x)
{
	x->next = a->lines;
	if (a->lines)
		a->lines->previous = x;
	a->lines = x;
	a->line_count++;
}

/* NULL: it is refused at once. A connection on the same machine is mostly there at once too. */
static struct line *line_new(struct asker *a, bool *ret_is_connected, struct error *err)
{
	struct line *x;
	int fd, one = 1;

	if (a->line_count >= QUESTION_CONNECTIONS_MAX) {
		error_set(err, ERROR_EXHAUSTED, "%d connections to %s are in use", QUESTION_CONNECTIONS_MAX, a->text);
		return NULL;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		error_errno(err, errno, "cannot make a socket");
		return NULL;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret_is_connected = connect(fd, (const struct sockaddr *)&a->address, sizeof(a->address)) == 0;
	if (!*ret_is_connected && errno != EINPROGRESS) {
		dial_error(a, errno, err);
		close(fd);
		return NULL;
	}
	x = base_calloc(1, sizeof(*x));
	x->asker = a;
	x->fd = fd;
	x->waiting_tail = &x->waiting;
	line_link(a, x);
	if (!*ret_is_connected) {
		loop_watch(a->loop, &x->watch, fd, LOOP_WRITE, line_ready);
		x->is_watched = true;
		loop_timer_set(a->loop, &x->timer, loop_now(a->loop) + QUESTION_CONNECT_NS, line_late);
	}
	return x;
}

static void client_lost(struct client *c, const struct error *why)
{
	struct line *x = client_owner(c);

	(void)why;
	line_free(x);
}

static const struct client_ops client_ops = { .lost = client_lost };

/* ---- finding one ---- */

/* A line that takes one more question, or NULL. */
static struct line *line_find(struct asker *a)
{
	if (a->is_http2) {
		for (struct line *x = a->lines; x; x = x->next)
			if (!x->tried && (!x->client || !client_is_refusing(x->client)))
				return x;
		return NULL;
	}
	while (a->idle) {
		struct line *x = a->idle;

		idle_unlink(x);
		if (!client_is_refusing(x->client))
			return x;
		line_free(x);
	}
	return NULL;
}

static void refuse_all(struct loop_task *task)
{
	struct asker *a = CONTAINER_OF(task, struct asker, task);
	struct errand *list = a->refused, *next;

	a->refused = NULL;
	a->refused_tail = &a->refused;
	for (; list; list = next) {
		struct error err = { 0 };
		struct line *x = NULL;
		bool is_connected = false;

		/* Tried once more: what is told is how it is now, and there may be a place by now. */
		next = list->next;
		list->next = NULL;
		if (list->ask)
			x = line_new(a, &is_connected, &err);
		if (!x) {
			errand_fail(a, list, &err);
			continue;
		}
		list->line = x;
		*x->waiting_tail = list;
		x->waiting_tail = &list->next;
		if (is_connected)
			line_connected(x);
	}
}

static void errand_start(struct asker *a, struct errand *e)
{
	struct line *x = line_find(a);
	struct error err = { 0 };
	bool is_connected = false;

	if (!x)
		x = line_new(a, &is_connected, &err);
	if (!x) {
		*a->refused_tail = e;
		a->refused_tail = &e->next;
		loop_defer(a->loop, &a->task);
		return;
	}
	e->line = x;
	if (x->client) {
		errand_open(e);
		return;
	}
	*x->waiting_tail = e;
	x->waiting_tail = &e->next;
	if (is_connected)
		line_connected(x);
}

/* ---- streams ---- */

static void stream_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct errand *e = client_stream_owner(s);

	if (e->ask && status >= 200)
		e->ask->ops->head(e->ask, status, headers, count);
}

static void stream_receive(struct client_stream *s, struct span bytes)
{
	struct errand *e = client_stream_owner(s);

	if (e->ask)
		e->ask->ops->receive(e->ask, bytes);
	else
		client_taken(s, bytes.len);
}

static void stream_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct question *k = errand_part(client_stream_owner(s));

	if (k)
		k->ops->end(k, trailers, count);
}

static void stream_writable(struct client_stream *s)
{
	struct errand *e = client_stream_owner(s);

	if (e->ask && e->ask->ops->writable)
		e->ask->ops->writable(e->ask);
}

/* Over HTTP/1.1 the line is free again; over HTTP/2 it was never taken. A lost one goes with client_lost(). */
static void stream_closed(struct client_stream *s, const struct error *why)
{
	static const struct error broken = { ERROR_INTERNAL, "the answer ended before its end" };
	struct errand *e = client_stream_owner(s);
	struct line *x = e->line;
	struct asker *a = x->asker;
	struct question *k = e->ask;

	e->stream = NULL;
	if (!a->is_http2 && !why)
		idle_link(x);
	if (k && why && why->code == ERROR_UNAVAILABLE && k->is_last && k->tries < TRIES_MAX && !a->is_freeing) {
		e->line = NULL;
		errand_start(a, e);
		return;
	}
	errand_fail(a, e, why ? why : &broken);
}

static const struct client_stream_ops stream_ops = {
	.head = stream_head,
	.receive = stream_receive,
	.end = stream_end,
	.writable = stream_writable,
	.closed = stream_closed,
};

/* ---- questions ---- */

void question_begin(struct question *k, struct asker *to, const struct client_head *head, struct span body,
		    bool is_last, const struct question_ops *ops)
{
	struct errand *e;

	*k = (struct question){ .ops = ops, .asker = to, .head = *head, .body = body, .is_last = is_last };
	e = errand_new(to, k);
	buffer_init(&e->early, SIZE_MAX / 2);
	errand_start(to, e);
}

void question_write(struct question *k, struct span bytes)
{
	if (!k->errand || !bytes.len)
		return;
	if (k->errand->stream)
		client_write(k->errand->stream, bytes);
	else
		buffer_append(&k->errand->early, bytes); /* as much as its owner has asked for */
}

void question_end(struct question *k)
{
	if (!k->errand)
		return;
	k->errand->is_ended = true;
	if (k->errand->stream)
		client_end(k->errand->stream);
}

size_t question_unsent(const struct question *k)
{
	if (!k->errand)
		return 0;
	return k->errand->stream ? client_unsent(k->errand->stream) : k->errand->early.len;
}

void question_taken(struct question *k, size_t bytes)
{
	if (k->errand && k->errand->stream)
		client_taken(k->errand->stream, bytes);
}

bool question_is_open(const struct question *k)
{
	return k->errand != NULL;
}

void question_cancel(struct question *k)
{
	struct errand *e = k->errand;

	if (!e)
		return;
	(void)errand_part(e);
	if (e->stream)
		client_reset(e->stream); /* stream_closed() does the rest */
}

/* ---- the asker ---- */

struct asker *asker_new(struct loop *l, const struct sockaddr_in *address, bool is_http2)
{
	struct asker *a = base_calloc(1, sizeof(*a));
	char ip[INET_ADDRSTRLEN];

	a->loop = l;
	a->address = *address;
	a->is_http2 = is_http2;
	a->refused_tail = &a->refused;
	a->task.run = refuse_all;
	(void)inet_ntop(AF_INET, &address->sin_addr, ip, sizeof(ip));
	(void)snprintf(a->text, sizeof(a->text), "%s:%u", ip, (unsigned)ntohs(address->sin_port));
	return a;
}

void asker_free(struct asker *a)
{
	struct errand *e;

	if (!a)
		return;
	a->is_freeing = true;
	loop_undefer(a->loop, &a->task);
	for (struct line *x = a->lines, *next; x; x = next) {
		next = x->next;
		while ((e = waiting_take(x)) != NULL)
			errand_free(a, e);
		line_free(x);
	}
	while ((e = a->refused) != NULL) {
		a->refused = e->next;
		errand_free(a, e);
	}
	while ((e = a->free_errands) != NULL) {
		a->free_errands = e->next;
		free(e);
	}
	free(a);
}

const char *asker_address(const struct asker *a)
{
	return a->text;
}

void asker_try(struct asker *a, void (*done)(void *context, const struct error *why), void *context)
{
	struct error err = { 0 };
	bool is_connected = false;
	struct line *x = line_new(a, &is_connected, &err);

	if (!x) {
		done(context, &err);
		return;
	}
	x->tried = done;
	x->context = context;
	if (is_connected)
		line_connected(x);
}
