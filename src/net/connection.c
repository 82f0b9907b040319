/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/direct_private.h"
#include "net/transport.h"

#define LINGER_NS       (5 * NS_PER_S) /* how long a client may take to read our last answer and close */
#define READ_ROOM_LEAST KIB(2)
#define READ_MOST       MIB(1) /* at one readable event: others want to be served too */
#define GROW_LEAST      KIB(64)
#define PIECE_SIZE      KIB(4) /* small pieces behind a large one */
#define IOV_MOST        16
#define OFFER_LOOK      160               /* bytes that an offer shows */
#define FRESH_GRACE_NS  (500 * NS_PER_MS) /* at a drain, for a client that has connected and not yet asked */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 3.4 */

/* A piece behind `out`: taken over from the codec, or (is_open) gathering small writes. */
struct out_chunk {
	struct out_chunk *next;
	struct buffer bytes;
	size_t at;
	bool is_open;
};

static void connection_ready(struct watch *w, unsigned events);
static void connection_task(struct loop_task *t);

/* ---- buffers that busy connections borrow from their worker ---- */

static void buffer_borrow(struct worker *w, struct buffer *b)
{
	struct worker_private *more = w->more;

	b->ptr = more->buffer_count ? more->buffers[--more->buffer_count] : base_alloc(CONNECTION_READ_SIZE);
	b->len = 0;
	b->cap = CONNECTION_READ_SIZE;
}

static void buffer_return(struct worker *w, struct buffer *b)
{
	struct worker_private *more = w->more;

	if (b->cap == CONNECTION_READ_SIZE && more->buffer_count < WORKER_BUFFERS_KEPT)
		more->buffers[more->buffer_count++] = b->ptr;
	else
		free(b->ptr);
	b->ptr = NULL;
	b->len = b->cap = 0;
}

/* ---- timers ---- */

static void expired(struct timer *t);

/* The heap is touched only when the timer must come earlier than it is set: rarely. */
static void timer_need(struct connection *c, int64_t at_ns)
{
	if (at_ns && (!timer_is_set(&c->timer) || c->timer.at_ns > at_ns))
		loop_timer_set(c->worker->loop, &c->timer, at_ns, expired);
}

void connection_timeout(struct connection *c, int64_t at_ns)
{
	c->codec_timeout_ns = at_ns;
	if (!c->is_closed)
		timer_need(c, at_ns);
}

static void own_timeout(struct connection *c, int64_t at_ns)
{
	c->own_timeout_ns = at_ns;
	timer_need(c, at_ns);
}

static int64_t write_deadline(const struct connection *c)
{
	int64_t limit_ms = c->is_adopted ? 0 : worker_config(c->worker)->limits.write_timeout_ms;

	return c->wants_write && limit_ms > 0 ? c->last_progress_ns + limit_ms * NS_PER_MS : 0;
}

static bool is_due(int64_t at_ns, int64_t now_ns, int64_t *next_ns)
{
	if (at_ns == 0)
		return false;
	if (at_ns <= now_ns)
		return true;
	*next_ns = MIN(*next_ns, at_ns);
	return false;
}

static void expired(struct timer *t)
{
	struct connection *c = CONTAINER_OF(t, struct connection, timer);
	int64_t now = loop_now(c->worker->loop), next = INT64_MAX;

	if (c->is_closed)
		return;
	if (c->waits_turn) {
		timer_need(c, now + NS_PER_S); /* it is not the client who is slow */
		return;
	}
	if (is_due(c->own_timeout_ns, now, &next) || is_due(write_deadline(c), now, &next)) {
		connection_abort(c);
		return;
	}
	if (is_due(c->codec_timeout_ns, now, &next)) {
		c->codec_timeout_ns = 0;
		if (c->codec && !c->is_closing)
			c->codec->expired(c);
		loop_defer(c->worker->loop, &c->flush);
	}
	if (!c->is_closed && next != INT64_MAX)
		timer_need(c, next);
}

/* ---- closing ---- */

void connection_abort(struct connection *c)
{
	if (c->is_closed)
		return;
	c->is_closed = true;
	loop_defer(c->worker->loop, &c->flush); /* the codec may be on the stack: freed there */
}

/* Everything is sent and nothing more comes from us. */
static void connection_end(struct connection *c)
{
	if (UNLIKELY(c->direct != NULL))
		direct_ends(c);
	if (c->tls)
		tls_session_close_notify(c->tls);
	if (c->is_settled || c->is_eof) {
		connection_abort(c);
		return;
	}
	/* RFC 9112 9.6: closing with bytes unread would send a reset, which may overtake the answer. */
	(void)shutdown(c->watch.fd, SHUT_WR);
	c->is_lingering = true; /* the input stays: a request that was answered late may still be read from it */
	loop_watch_change(c->worker->loop, &c->watch, LOOP_READ);
	c->codec_timeout_ns = 0;
	own_timeout(c, loop_now(c->worker->loop) + LINGER_NS);
}

void connection_close(struct connection *c)
{
	if (c->is_closing || c->is_closed)
		return;
	c->is_closing = true;
	loop_defer(c->worker->loop, &c->flush);
}

static void linger(struct connection *c)
{
	char sink[KIB(16)];
	ssize_t n = recv(c->watch.fd, sink, sizeof(sink), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		connection_abort(c);
}

void connection_cut(struct connection *c)
{
	connection_flush(c);
	c->is_cut = true;
	connection_abort(c);
}

void connection_turn(struct connection *c)
{
	c->is_turn_due = true;
	loop_defer(c->worker->loop, &c->flush);
}

static void chunks_free(struct connection *c)
{
	while (c->chunks) {
		struct out_chunk *chunk = c->chunks;

		c->chunks = chunk->next;
		buffer_done(&chunk->bytes);
		free(chunk);
	}
}

static void connection_unlink(struct connection *c)
{
	struct worker *w = c->worker;

	if (c->previous)
		c->previous->next = c->next;
	else
		w->connections = c->next;
	if (c->next)
		c->next->previous = c->previous;
	w->connection_count--;
}

/* A client that does not read would keep the kernel holding its answer: a reset lets go of it. */
static void close_hard(int fd)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

static void descriptor_close(struct connection *c)
{
	bool is_cut = c->out_waiting || c->is_cut;

	loop_unwatch(c->worker->loop, &c->watch);
	if (c->direct && !c->is_leaving)
		direct_shut(c->watch.fd, is_cut); /* its giver holds it open */
	if (is_cut)
		close_hard(c->watch.fd);
	else
		close(c->watch.fd);
}

static void connection_free(struct connection *c)
{
	struct worker *w = c->worker;
	struct worker_private *more = w->more;
	struct server_entry *entry = c->entry;
	bool is_adopted = c->is_adopted, is_lent = c->is_lent;

	if (c->codec)
		c->codec->closed(c); /* may take over c->in */
	if (c->direct)
		direct_forget(c);
	loop_timer_clear(w->loop, &c->timer);
	tls_session_free(c->tls);
	if (!c->is_lent)
		descriptor_close(c);
	if (c->in.ptr)
		buffer_return(w, &c->in);
	if (c->out.ptr)
		buffer_return(w, &c->out);
	chunks_free(c);
	connection_unlink(c);
	if (more->free_connection_count < WORKER_CONNECTIONS_KEPT) {
		c->next = more->free_connections;
		more->free_connections = c;
		more->free_connection_count++;
	} else {
		free(c);
	}
	if (is_adopted && worker_config(w)->adopted_closed)
		worker_config(w)->adopted_closed(worker_config(w)->context);
	if (entry && entry->closed)
		entry->closed(entry);
	if (!is_lent)
		worker_connection_remove(w);
}

/* ---- sending ---- */

static void watch_update(struct connection *c)
{
	unsigned read = c->watch.events & (LOOP_READ | LOOP_END);

	loop_watch_change(c->worker->loop, &c->watch, read | (c->wants_write ? (unsigned)LOOP_WRITE : 0u));
}

static ssize_t send_some(struct connection *c, struct span bytes)
{
	size_t n = 0;

	if (!c->tls)
		return send(c->watch.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
	switch (tls_write(c->tls, bytes, &n)) {
	case TLS_OK:
		return (ssize_t)n;
	case TLS_WANT_READ: /* a message of the handshake must come first; the next readable event tries again */
	case TLS_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case TLS_EOF:
	case TLS_FAILED:
		break;
	}
	errno = EPIPE;
	return -1;
}

static ssize_t send_gathered(struct connection *c)
{
	struct iovec iov[IOV_MOST];
	struct msghdr message = { .msg_iov = iov };

	if (c->out.len > c->out_at)
		iov[message.msg_iovlen++] = (struct iovec){ c->out.ptr + c->out_at, c->out.len - c->out_at };
	for (struct out_chunk *chunk = c->chunks; chunk && message.msg_iovlen < IOV_MOST; chunk = chunk->next)
		iov[message.msg_iovlen++] =
		    (struct iovec){ chunk->bytes.ptr + chunk->at, chunk->bytes.len - chunk->at };
	return sendmsg(c->watch.fd, &message, MSG_NOSIGNAL);
}

static ssize_t send_next(struct connection *c)
{
	if (c->out.len > c->out_at) {
		if (c->chunks && !c->tls)
			return send_gathered(c);
		return send_some(c, (struct span){ c->out.ptr + c->out_at, c->out.len - c->out_at });
	}
	if (!c->tls && c->chunks->next)
		return send_gathered(c);
	return send_some(c, span_from(c->chunks->bytes.ptr + c->chunks->at, c->chunks->bytes.len - c->chunks->at));
}

static void sent(struct connection *c, size_t n)
{
	size_t head = MIN(n, c->out.len - c->out_at);

	c->out_waiting -= n;
	c->out_at += head;
	n -= head;
	if (c->out_at == c->out.len && c->out.ptr) {
		c->out_at = 0;
		buffer_return(c->worker, &c->out);
	}
	while (n > 0) {
		struct out_chunk *chunk = c->chunks;
		size_t piece = MIN(n, chunk->bytes.len - chunk->at);

		chunk->at += piece;
		n -= piece;
		if (chunk->at < chunk->bytes.len)
			return;
		c->chunks = chunk->next;
		buffer_done(&chunk->bytes);
		free(chunk);
	}
}

static void sent_count(struct connection *c, size_t total)
{
	metric_add(c->worker->more->sent, total);
	if (c->direct)
		direct_moved(c, 0, total);
	c->last_progress_ns = loop_now(c->worker->loop);
}

void connection_flush(struct connection *c)
{
	size_t total = 0;

	if (c->is_closed)
		return;
	while (c->out_waiting) {
		ssize_t n = send_next(c);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			connection_abort(c); /* the client is gone */
			return;
		}
		if (n < 0) {
			/* Whatever sends the rest, an event or the next flush: the codec may have stopped for it. */
			c->tells_writable = c->codec != NULL;
			break;
		}
		total += (size_t)n;
		sent(c, (size_t)n);
	}
	if (total)
		sent_count(c, total);
	if (UNLIKELY((c->out_waiting != 0 || c->tls_waits_write) != c->wants_write)) {
		c->wants_write = !c->wants_write;
		if (!total)
			c->last_progress_ns = loop_now(c->worker->loop);
		watch_update(c);
		timer_need(c, write_deadline(c));
	}
	if (UNLIKELY(c->is_closing && !c->is_lingering && !c->out_waiting))
		connection_end(c);
}

/* A connection that waits for its client holds no buffer. */
static void in_release(struct connection *c)
{
	if (c->in.ptr && c->in_at == c->in.len) {
		c->in_at = 0;
		buffer_return(c->worker, &c->in);
	}
}

/* What the kernel refused, or the codec found to be much, may have gone out without an event. */
static void tell_writable(struct connection *c)
{
	if (LIKELY(!c->tells_writable) || c->out_waiting >= CONNECTION_LOW_WATER || c->is_closed || c->is_closing)
		return;
	c->tells_writable = false;
	c->codec->writable(c);
}

static void connection_task(struct loop_task *t)
{
	struct connection *c = CONTAINER_OF(t, struct connection, flush);

	if (c->is_closed) {
		connection_free(c);
		return;
	}
	if (UNLIKELY(c->is_turn_due)) {
		c->is_turn_due = false;
		if (c->codec && !c->is_closing)
			c->codec->turn(c);
	}
	if (UNLIKELY(c->tls_reads_on)) {
		c->tls_reads_on = false;
		if (!c->is_read_paused)
			connection_ready(&c->watch, LOOP_READ);
	}
	/* This may close it, which queues the task once more: only then is it freed, and queued nowhere. */
	connection_flush(c);
	tell_writable(c);
	in_release(c);
	if (c->direct)
		direct_settle(c);
}

/* What is written outside the connection's own event goes out at the end of the turn. */
static void written(struct connection *c, size_t n)
{
	if (c->out_waiting == 0)
		loop_defer(c->worker->loop, &c->flush);
	c->out_waiting += n;
}

static struct out_chunk *chunk_add(struct connection *c, size_t limit)
{
	struct out_chunk *chunk = base_calloc(1, sizeof(*chunk)), **last = &c->chunks;

	while (*last)
		last = &(*last)->next;
	*last = chunk;
	buffer_init(&chunk->bytes, limit);
	return chunk;
}

/* The buffer that small pieces go to: `out`, or behind a large piece one of its own. */
static struct buffer *tail(struct connection *c)
{
	struct out_chunk *chunk = c->chunks;

	if (LIKELY(!chunk)) {
		if (!c->out.ptr)
			buffer_borrow(c->worker, &c->out);
		return &c->out;
	}
	while (chunk->next)
		chunk = chunk->next;
	if (!chunk->is_open) {
		chunk = chunk_add(c, SIZE_MAX);
		chunk->is_open = true;
		(void)buffer_grow(&chunk->bytes, PIECE_SIZE);
	}
	return &chunk->bytes;
}

char *connection_write_reserve(struct connection *c, size_t n)
{
	char *to = buffer_reserve(tail(c), n);

	ASSERT(to); /* no limit but memory: codecs stop reading when out_waiting is high */
	return to;
}

void connection_write_commit(struct connection *c, size_t n)
{
	if (n == 0)
		return;
	buffer_commit(tail(c), n);
	written(c, n);
}

void connection_write(struct connection *c, struct span bytes)
{
	if (bytes.len == 0)
		return;
	memcpy(connection_write_reserve(c, bytes.len), bytes.ptr, bytes.len);
	connection_write_commit(c, bytes.len);
}

void connection_write_now(struct connection *c, struct span bytes)
{
	struct iovec iov[2];
	struct msghdr message = { .msg_iov = iov };
	size_t before = c->out_waiting;
	ssize_t n;

	if (c->tls || c->wants_write || c->chunks || c->is_closed) {
		connection_write(c, bytes);
		return;
	}
	if (before)
		iov[message.msg_iovlen++] = (struct iovec){ c->out.ptr + c->out_at, before };
	iov[message.msg_iovlen++] = (struct iovec){ (char *)bytes.ptr, bytes.len };
	do {
		n = sendmsg(c->watch.fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		connection_abort(c); /* the client is gone */
		return;
	}
	if (n > 0) {
		sent_count(c, (size_t)n);
		sent(c, MIN((size_t)n, before));
		if ((size_t)n > before)
			bytes = span_skip(bytes, (size_t)n - before);
	}
	if (bytes.len)
		connection_write(c, bytes);
}

void connection_write_buffer(struct connection *c, struct buffer *b)
{
	struct out_chunk *chunk;

	if (b->len == 0)
		return;
	chunk = chunk_add(c, b->limit);
	chunk->bytes = *b;
	buffer_init(b, b->limit);
	written(c, chunk->bytes.len);
}

/* ---- reading ---- */

void connection_consume(struct connection *c, size_t n)
{
	ASSERT(n <= c->in.len - c->in_at);
	c->in_at += n;
}

void connection_expect(struct connection *c, size_t n)
{
	c->expected = n;
}

void connection_pause_read(struct connection *c)
{
	c->is_read_paused = true; /* the descriptor is looked at until something comes: most pauses end before */
}

void connection_resume_read(struct connection *c)
{
	if (!c->is_read_paused)
		return;
	c->is_read_paused = false;
	if (c->is_closed || c->is_closing)
		return;
	if (!c->is_eof && !(c->watch.events & LOOP_READ))
		loop_watch_change(c->worker->loop, &c->watch, (c->watch.events & ~(unsigned)LOOP_END) | LOOP_READ);
	if (c->codec && (c->in.len > c->in_at || c->is_eof))
		c->codec->receive(c);
	/* Bytes inside the TLS session make no event of their own. */
	if (c->tls && !c->is_read_paused && !c->is_closed && tls_session_has_pending(c->tls))
		connection_ready(&c->watch, LOOP_READ);
	loop_defer(c->worker->loop, &c->flush);
}

/* Room to read into: more for a body that is known to be long. */
static size_t read_room(struct connection *c)
{
	size_t unread = c->in.len - c->in_at, want;

	if (!c->in.ptr) {
		buffer_borrow(c->worker, &c->in);
		c->in_at = 0;
	}
	if (c->in_at && (unread == 0 || c->in.cap - c->in.len < READ_ROOM_LEAST)) {
		memmove(c->in.ptr, c->in.ptr + c->in_at, unread);
		c->in.len = unread;
		c->in_at = 0;
	}
	want = READ_ROOM_LEAST;
	if (c->expected > unread)
		want = MIN(c->expected - unread, MAX(GROW_LEAST, c->in.cap));
	if (c->in.cap - c->in.len < want)
		(void)buffer_grow(&c->in, MAX(want, c->in.cap)); /* doubles: a long body is moved a few times only */
	return MIN(c->in.cap - c->in.len, READ_MOST);
}

enum read_result { READ_NOTHING, READ_SOME, READ_EOF, READ_FAILED };

static enum read_result read_clear(struct connection *c, size_t *ret_len)
{
	size_t room = read_room(c);
	ssize_t n;

	do {
		n = recv(c->watch.fd, c->in.ptr + c->in.len, room, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		*ret_len = (size_t)n;
		return READ_SOME;
	}
	if (n == 0)
		return READ_EOF;
	return errno == EAGAIN ? READ_NOTHING : READ_FAILED;
}

/* A record at a time, until the session has nothing more: what it holds makes no event, and is read in the next turn of the loop
 * when it is much. */
static enum read_result read_tls(struct connection *c, size_t *ret_len)
{
	size_t total = 0;

	while (total < READ_MOST) {
		size_t room = read_room(c), n = 0;

		switch (tls_read(c->tls, c->in.ptr + c->in.len, room, &n)) {
		case TLS_OK:
			c->in.len += n;
			total += n;
			continue;
		case TLS_WANT_WRITE:
			c->tls_waits_write = true;
			if (!c->wants_write) {
				c->wants_write = true;
				watch_update(c);
			}
			break;
		case TLS_WANT_READ:
			break;
		case TLS_EOF:
			if (!total)
				return READ_EOF;
			c->is_eof = true;
			break;
		case TLS_FAILED:
			return READ_FAILED;
		}
		break;
	}
	if (total >= READ_MOST) {
		c->tls_reads_on = true;
		loop_defer(c->worker->loop, &c->flush);
	}
	c->in.len -= total; /* counted again by the caller, as for clear text */
	*ret_len = total;
	return total ? READ_SOME : READ_NOTHING;
}

/* By ALPN, else by the first bytes: the preface of HTTP/2, or anything else. */
static const struct codec *codec_detect(const struct connection *c)
{
	struct span unread = connection_unread(c);
	size_t n = MIN(unread.len, sizeof(preface) - 1);

	if (c->tls && tls_session_is_h2(c->tls))
		return &codec_http2;
	if (n == 0)
		return NULL;
	if (memcmp(unread.ptr, preface, n) != 0)
		return &codec_http1;
	return n == sizeof(preface) - 1 ? &codec_http2 : NULL;
}

static void start_codec(struct connection *c)
{
	const struct codec *codec = codec_detect(c);
	int64_t limit_ms = c->is_adopted ? 0 : worker_config(c->worker)->limits.read_timeout_ms;

	if (!codec) {
		if (c->is_eof)
			connection_abort(c);
		else if (!c->has_started && limit_ms > 0)
			own_timeout(c, loop_now(c->worker->loop) + limit_ms * NS_PER_MS);
		c->has_started = true;
		return;
	}
	c->has_started = true;
	c->own_timeout_ns = 0;
	c->codec = codec;
	codec->open(c);
	codec->receive(c);
	if (UNLIKELY(c->worker->is_draining) && !c->direct && !c->is_closing && !c->is_closed)
		codec->drain(c); /* connection_drain() has found none */
}

static void read_stop(struct connection *c)
{
	unsigned events = c->watch.events & ~(unsigned)(LOOP_READ | LOOP_END);

	/* The end can be heard without reading what stands before it. */
	loop_watch_change(c->worker->loop, &c->watch, events | (c->hears_end && !c->is_eof ? (unsigned)LOOP_END : 0u));
}

static void read_once(struct connection *c)
{
	size_t n = 0;

	if (c->direct && !direct_reads(c))
		return;
	switch (c->tls ? read_tls(c, &n) : read_clear(c, &n)) {
	case READ_NOTHING:
		if (!c->tls || c->codec || !tls_session_is_h2(c->tls))
			return;
		break; /* the handshake's end: HTTP/2 speaks first */
	case READ_SOME:
		c->in.len += n;
		metric_add(c->worker->more->received, n);
		if (c->direct)
			direct_moved(c, n, 0);
		break;
	case READ_EOF:
		c->is_eof = true;
		break;
	case READ_FAILED:
		connection_abort(c);
		return;
	}
	if (c->is_eof)
		read_stop(c); /* level-triggered: the end would be told again and again */
	if (LIKELY(c->codec != NULL))
		c->codec->receive(c);
	else
		start_codec(c);
}

/* ---- connections that change hands ---- */

bool connection_is_idle(const struct connection *c)
{
	return (!c->codec || (c->codec->is_idle && c->codec->is_idle(c))) && c->in_at == c->in.len && !c->out_waiting &&
	       !c->is_closing && !c->is_closed && !c->is_eof;
}

static bool is_for_offer(const struct connection *c)
{
	const struct worker *w = c->worker;

	return worker_config(w)->offer && !c->tls && !c->is_adopted && !w->is_draining && connection_is_idle(c);
}

/* True: somebody else serves it from now on. It may be watched or not. */
static bool offer(struct connection *c, bool is_watched)
{
	const struct server_config *config = worker_config(c->worker);
	char first[OFFER_LOOK];
	ssize_t n = recv(c->watch.fd, first, sizeof(first), MSG_PEEK);

	if (n <= 0 || memcmp(first, preface, MIN((size_t)n, 4)) == 0)
		return false;
	if (is_watched)
		loop_unwatch(c->worker->loop, &c->watch); /* the other may watch it on this very loop */
	if (config->offer(config->context, c->worker, c->watch.fd, c->peer, span_from(first, (size_t)n))) {
		c->is_lent = true;
		c->worker->lent_count++;
		connection_abort(c);
		return true;
	}
	if (is_watched)
		loop_watch(c->worker->loop, &c->watch, c->watch.fd, LOOP_READ, connection_ready);
	return false;
}

void connection_leave(struct connection *c)
{
	c->is_leaving = true;
	connection_abort(c);
}

void connection_look(struct connection *c)
{
	connection_ready(&c->watch, LOOP_READ);
}

static void readable(struct connection *c, unsigned events)
{
	if (UNLIKELY(is_for_offer(c)) && offer(c, true))
		return;
	if (c->tls)
		tls_session_readable(c->tls);
	if (c->is_read_paused || c->is_closing || c->is_eof) {
		if (events & LOOP_HANGUP || (events & LOOP_END && c->hears_end))
			connection_abort(c); /* both directions are gone: nobody reads our answer */
		else
			read_stop(c);
		return;
	}
	read_once(c);
}

static void connection_ready(struct watch *watch, unsigned events)
{
	struct connection *c = CONTAINER_OF(watch, struct connection, watch);

	if (UNLIKELY(c->is_closed))
		return;
	if (UNLIKELY(c->is_lingering)) {
		linger(c);
		return;
	}
	if (UNLIKELY(c->waits_turn)) {
		if (events & (LOOP_HANGUP | LOOP_END))
			connection_abort(c); /* whoever asked does not wait for the answer */
		else
			/* Not at the first event: most turns come before the second. */
			loop_watch_change(c->worker->loop, &c->watch, LOOP_END);
		return;
	}
	if (UNLIKELY(events & LOOP_WRITE)) {
		if (c->tls_waits_write)
			events |= LOOP_READ; /* the handshake goes on, or what else wanted to write before it reads */
		c->tls_waits_write = false;
		connection_flush(c);
		tell_writable(c);
	}
	if (!c->is_closed && (events & (LOOP_READ | LOOP_HANGUP | LOOP_END)))
		readable(c, events);
	if (c->out_waiting || c->is_closing)
		connection_flush(c);
	tell_writable(c);
	in_release(c);
	if (c->direct)
		direct_settle(c);
}

/* ---- life ---- */

static void peer_print(struct connection *c, const struct sockaddr_storage *peer)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)peer;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(c->peer, sizeof(c->peer), "%s:%u", host, ntohs(in->sin_port));
	} else if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)peer;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(c->peer, sizeof(c->peer), "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		memcpy(c->peer, "unix", 5);
	}
}

static struct connection *connection_new(struct worker *w)
{
	struct worker_private *more = w->more;
	struct connection *c = more->free_connections;

	if (c) {
		more->free_connections = c->next;
		more->free_connection_count--;
	} else {
		c = base_alloc(sizeof(*c));
	}
	memset(c, 0, sizeof(*c));
	c->worker = w;
	c->flush.run = connection_task;
	c->last_progress_ns = loop_now(w->loop);
	buffer_init(&c->in, SIZE_MAX);
	buffer_init(&c->out, SIZE_MAX);
	c->next = w->connections;
	if (c->next)
		c->next->previous = c;
	w->connections = c;
	w->connection_count++;
	return c;
}

static void reject(struct connection *c)
{
	static const char body[] = "{\"error\":\"the server has as many connections as it may (--max-connections)\"}";

	connection_write(c, SPAN("HTTP/1.1 503 Service Unavailable\r\n"));
	connection_write(c, worker_date(c->worker));
	connection_write(
	    c, SPAN("Content-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: "));
	buffer_print(&c->out, "%zu\r\n\r\n", sizeof(body) - 1);
	c->out_waiting = c->out.len;
	connection_write(c, SPAN(body));
	connection_close(c);
}

void connection_open(struct worker *w, int fd, const struct sockaddr_storage *peer, bool is_rejected)
{
	const struct server_limits *limits = &worker_config(w)->limits;
	struct connection *c = connection_new(w);
	bool is_tls = w->more->tls && peer->ss_family != AF_UNIX;
	int64_t limit_ms = is_tls ? limits->read_timeout_ms : limits->idle_timeout_ms;

	peer_print(c, peer);
	c->watch.fd = fd;
	/* Most clients ask as soon as they are connected. */
	if (!is_rejected && !is_tls && is_for_offer(c) && offer(c, false))
		return;
	loop_watch(w->loop, &c->watch, fd, LOOP_READ, connection_ready);
	if (is_rejected) {
		reject(c);
		return;
	}
	if (is_tls)
		c->tls = tls_accept(w->more->tls, fd);
	if (limit_ms > 0)
		own_timeout(c, loop_now(w->loop) + limit_ms * NS_PER_MS);
}

void connection_enter(struct worker *w, int fd, const struct sockaddr_storage *peer, struct server_entry *entry,
		      bool is_rejected)
{
	const struct server_limits *limits = &worker_config(w)->limits;
	struct connection *c = connection_new(w);
	bool is_tls = entry && entry->certificates;
	int64_t limit_ms = is_tls ? limits->read_timeout_ms : limits->idle_timeout_ms;

	peer_print(c, peer);
	c->entry = entry;
	loop_watch(w->loop, &c->watch, fd, LOOP_READ, connection_ready);
	if (is_rejected) {
		if (is_tls)
			connection_abort(c); /* nobody would read it without a handshake */
		else
			reject(c);
		return;
	}
	if (is_tls)
		c->tls = tls_session_new(entry->certificates, fd);
	if (limit_ms > 0)
		own_timeout(c, loop_now(w->loop) + limit_ms * NS_PER_MS);
	connection_look(c); /* whoever accepted it has seen its first bytes, as a rule */
}

void connection_adopt(struct worker *w, int fd)
{
	struct connection *c = connection_new(w);

	memcpy(c->peer, "unix", 5);
	c->is_adopted = true;
	loop_watch(w->loop, &c->watch, fd, LOOP_READ, connection_ready);
}

struct connection *connection_take(struct worker *w, int fd, const char *peer)
{
	int64_t limit_ms = worker_config(w)->limits.idle_timeout_ms;
	struct connection *c = connection_new(w);

	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	loop_watch(w->loop, &c->watch, fd, LOOP_READ, connection_ready);
	if (limit_ms > 0)
		own_timeout(c, loop_now(w->loop) + limit_ms * NS_PER_MS);
	return c;
}

void server_loan_return(struct worker *home, int fd, const char *peer, struct span bytes, bool is_last)
{
	struct connection *c = connection_take(home, fd, peer);

	home->lent_count--;
	if (bytes.len) {
		buffer_borrow(home, &c->in);
		buffer_append(&c->in, bytes);
		start_codec(c);
		connection_flush(c);
	}
	if (is_last) {
		c->is_settled = false; /* more may come of what the bytes stand for */
		if (!c->is_closed)
			connection_close(c);
	}
	if (home->is_draining)
		connection_drain(c);
}

void server_loan_end(struct worker *home)
{
	home->lent_count--;
	worker_connection_remove(home);
}

bool server_lend(struct worker *home)
{
	size_t count;

	home->lent_count++;
	return worker_connection_add(home, &count);
}

void connection_drain(struct connection *c)
{
	if (c->is_closed || c->is_closing)
		return;
	if (c->direct && direct_keeps(c))
		return;
	c->drains = true;
	/* What stands in the socket already was sent before we said stop: it is answered. */
	if (!c->is_read_paused && !c->is_eof)
		connection_ready(&c->watch, LOOP_READ);
	if (c->is_closed || c->is_closing)
		return;
	if (c->codec) {
		c->codec->drain(c);
		loop_defer(c->worker->loop, &c->flush);
	} else {
		own_timeout(c, loop_now(c->worker->loop) +
				   MAX(FRESH_GRACE_NS, worker_config(c->worker)->idle_grace_ms * NS_PER_MS));
	}
}

void connection_cut_all(struct worker *w)
{
	for (struct connection *c = w->connections; c; c = c->next)
		connection_abort(c);
}

void connection_pool_done(struct worker *w)
{
	struct worker_private *more = w->more;

	direct_done(w);
	while (more->free_connections) {
		struct connection *c = more->free_connections;

		more->free_connections = c->next;
		free(c);
	}
	while (more->buffer_count)
		free(more->buffers[--more->buffer_count]);
}
