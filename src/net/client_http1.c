/* SPDX-License-Identifier: Apache-2.0 */
/* client_http1 - the connection of the HTTP/1.1 client: its socket, and its end. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/client_http1_private.h"

enum { READS_PER_TURN = 8, IOV_MOST = 4, OUT_KEEP = 16 * 1024 };

/* ---- memory to read into, of a thread ---- */

struct scratch {
	struct http1_head head;
	char bytes[CLIENT_HTTP1_READ];
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_setup(void)
{
	ASSERT(pthread_key_create(&scratch_key, free) == 0);
}

/* It is the caller's until scratch_return(): a second one, from inside a callback, gets another. */
static struct scratch *scratch_borrow(void)
{
	struct scratch *s = pthread_getspecific(scratch_key);

	if (!s)
		return base_alloc(sizeof(*s));
	(void)pthread_setspecific(scratch_key, NULL);
	return s;
}

static void scratch_return(struct scratch *s)
{
	if (pthread_getspecific(scratch_key) || pthread_setspecific(scratch_key, s) != 0)
		free(s);
}

/* ---- the end ---- */

static void destroy(struct client_http1 *c)
{
	loop_undefer(c->loop, &c->turn);
	buffer_done(&c->out);
	buffer_done(&c->held);
	buffer_done(&c->in);
	free(c->spare);
	free(c);
}

static void enter(struct client_http1 *c)
{
	c->depth++;
}

static void leave(struct client_http1 *c)
{
	if (--c->depth == 0 && c->is_freed)
		destroy(c);
}

static bool is_over(const struct client_http1 *c)
{
	return c->is_lost || c->is_freed;
}

static void disconnect(struct client_http1 *c)
{
	if (c->is_watched)
		loop_unwatch(c->loop, &c->watch);
	c->is_watched = false;
	close(c->watch.fd);
	c->is_lost = c->is_refusing = true;
}

void client_http1_lose(struct client_http1 *c, enum error_code code, const char *format, ...)
{
	char text[320];
	va_list args;

	if (is_over(c))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->why = (struct error){ 0 };
	error_set(&c->why, code, "%s", text);
	disconnect(c);
	client_http1_fail(c, &c->why);
	if (!c->is_freed)
		c->ops->lost(&c->base, &c->why);
}

void client_http1_refuse(struct client_http1 *c, const char *why)
{
	if (c->is_refusing)
		return;
	c->why = (struct error){ 0 };
	error_set(&c->why, ERROR_UNAVAILABLE, "%s", why);
	c->is_refusing = true;
}

/*
 * The server closed an idle connection while a request was on its way to it: what its kernel has not acknowledged by then, nobody has read. Only
 * for an orderly end, which tells what came before it; a reset does not. The beginning of the connection counts as one byte.
 */
static bool is_unseen(const struct client_http1 *c)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return !c->stream->has_heard && c->stream->sent_before && !c->receive_errno &&
	       getsockopt(c->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       len >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked) &&
	       info.tcpi_bytes_acked <= c->stream->sent_before + 1;
}

static void lose_read(struct client_http1 *c)
{
	if (c->stream)
		c->stream->is_unseen = is_unseen(c);
	if (!c->receive_errno && c->stream)
		client_http1_answer_eof(c);
	if (c->receive_errno)
		client_http1_lose(c, ERROR_UNAVAILABLE, "the connection to the server broke: %s",
				  strerror(c->receive_errno));
	else if (c->stream && c->stream->has_heard)
		client_http1_lose(c, ERROR_UNAVAILABLE, "the server closed the connection in the middle of its answer");
	else
		client_http1_lose(c, ERROR_UNAVAILABLE, "the server closed the connection");
}

/* ---- the socket ---- */

static void ready(struct watch *w, unsigned events);

void client_http1_watch(struct client_http1 *c)
{
	unsigned events = (c->is_paused ? 0u : (unsigned)LOOP_READ) | (c->is_blocked ? (unsigned)LOOP_WRITE : 0u);

	if (is_over(c))
		return;
	if (!c->is_watched)
		loop_watch(c->loop, &c->watch, c->watch.fd, events, ready);
	else if (events != c->watch.events)
		loop_watch_change(c->loop, &c->watch, events);
	c->is_watched = true;
}

static ssize_t send_once(const struct client_http1 *c, const struct iovec *iov, size_t count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = count };
	ssize_t n;

	do {
		n = count == 1 ? send(c->watch.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
			       : sendmsg(c->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n;
}

static void out_sent(struct client_http1 *c, size_t n)
{
	c->out_at += n;
	if (c->out_at == c->out.len) {
		c->out_at = 0;
		buffer_clear(&c->out);
		if (UNLIKELY(c->out.cap > OUT_KEEP))
			buffer_shrink(&c->out, 0);
	}
}

size_t client_http1_send(struct client_http1 *c, const struct span *more, size_t count)
{
	struct iovec iov[IOV_MOST];
	size_t pending = c->out.len - c->out_at, used = 0, taken;
	ssize_t n;

	if (pending)
		iov[used++] = (struct iovec){ c->out.ptr + c->out_at, pending };
	for (size_t i = 0; i < count; i++)
		if (more[i].len)
			iov[used++] = (struct iovec){ (char *)more[i].ptr, more[i].len };
	ASSERT(used && used <= IOV_MOST);
	n = send_once(c, iov, used);
	if (n < 0) {
		/* What the server has said before it went is still to be read. */
		c->is_broken = errno != EAGAIN;
		c->is_blocked = !c->is_broken;
		return 0;
	}
	taken = (size_t)n;
	if (c->stream)
		c->stream->sent += taken;
	c->sent += taken;
	out_sent(c, MIN(taken, pending));
	return taken > pending ? taken - pending : 0;
}

static void flush(struct client_http1 *c)
{
	if (c->is_broken) {
		c->out_at = 0;
		buffer_clear(&c->out);
		buffer_clear(&c->held);
		c->is_blocked = false;
	} else if (c->out.len > c->out_at && !c->is_blocked) {
		(void)client_http1_send(c, NULL, 0);
		c->is_blocked = !c->is_broken && c->out.len > c->out_at;
	}
	client_http1_drained(c);
}

/* Where bytes go, and how many fit. */
static char *read_place(struct client_http1 *c, struct scratch *scratch, size_t *ret_room)
{
	if (LIKELY(c->in.len == 0)) {
		*ret_room = sizeof(scratch->bytes);
		return scratch->bytes;
	}
	*ret_room = CLIENT_HTTP1_READ_MORE;
	return buffer_reserve(&c->in, CLIENT_HTTP1_READ_MORE); /* no more stands in it than a head's limit */
}

/* An answer to nothing, or before anything was asked: whose would it be? */
static bool is_unasked(const struct client_http1 *c)
{
	return !c->stream || c->stream->sent == 0 || c->stream->is_ending;
}

static void feed(struct client_http1 *c, struct scratch *scratch, size_t n)
{
	bool is_kept = c->in.len > 0;
	char *bytes = is_kept ? c->in.ptr : scratch->bytes;
	size_t len = is_kept ? c->in.len + n : n, at = 0;

	if (is_kept)
		buffer_commit(&c->in, n);
	while (at < len && !is_over(c)) {
		size_t used;

		if (is_unasked(c)) {
			client_http1_lose(c, ERROR_UNAVAILABLE, "the server sent what was not asked for");
			break;
		}
		used = client_http1_answer(c, bytes + at, len - at, &scratch->head);
		at += used;
		if (used == 0)
			break;
	}
	if (is_over(c))
		return;
	if (is_kept)
		buffer_drop(&c->in, at);
	else if (at < len)
		buffer_append(&c->in, span_from(bytes + at, len - at));
	if (is_kept && c->in.len == 0)
		buffer_shrink(&c->in, 0);
}

static void receive(struct client_http1 *c)
{
	struct scratch *scratch = scratch_borrow();

	for (int i = 0; i < READS_PER_TURN && !is_over(c) && !c->is_paused && !c->is_eof; i++) {
		size_t room;
		char *to = read_place(c, scratch, &room);
		ssize_t n;

		ASSERT(to);
		n = recv(c->watch.fd, to, room, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			c->is_eof = true;
			c->receive_errno = n < 0 ? errno : 0;
			break;
		}
		feed(c, scratch, (size_t)n);
		if ((size_t)n < room)
			break;
	}
	scratch_return(scratch);
}

/* What is left to say of a connection that has no request. */
static void end_check(struct client_http1 *c)
{
	if (!is_over(c) && c->is_refusing && !c->stream)
		client_http1_lose(c, c->why.code, "%s", c->why.message);
	if (!is_over(c))
		client_http1_watch(c);
}

static void turn(struct loop_task *task)
{
	struct client_http1 *c = CONTAINER_OF(task, struct client_http1, turn);

	enter(c);
	client_http1_tell(c);
	if (!is_over(c))
		flush(c);
	end_check(c);
	leave(c);
}

static void ready(struct watch *w, unsigned events)
{
	struct client_http1 *c = CONTAINER_OF(w, struct client_http1, watch);

	enter(c);
	if (events & LOOP_WRITE)
		c->is_blocked = false;
	if (!c->is_paused && events & (LOOP_READ | LOOP_HANGUP)) {
		receive(c);
	} else if (events & LOOP_HANGUP) {
		/* It is read when there is room again. The loop would tell it again and again. */
		loop_unwatch(c->loop, &c->watch);
		c->is_watched = false;
	}
	if (c->is_eof && !is_over(c))
		lose_read(c);
	if (events & LOOP_WRITE && !is_over(c))
		flush(c);
	if (!is_over(c) && (c->is_watched || !c->is_paused))
		end_check(c);
	leave(c);
}

void client_http1_wake(struct client_http1 *c)
{
	if (!c->is_freed)
		loop_defer(c->loop, &c->turn);
}

/* ---- life ---- */

struct client *client_new_http1(struct loop *l, int fd, const struct client_ops *ops, void *owner)
{
	struct client_http1 *c = base_calloc(1, sizeof(*c));

	pthread_once(&scratch_once, scratch_setup);
	c->base = (struct client){ &client_kind_http1, owner };
	c->loop = l;
	c->ops = ops;
	c->turn.run = turn;
	buffer_init(&c->out, SIZE_MAX / 2); /* the caller watches client_unsent() */
	buffer_init(&c->held, SIZE_MAX / 2);
	buffer_init(&c->in, CLIENT_HTTP1_READ + CLIENT_HTTP1_HEAD_MOST + CLIENT_HTTP1_READ_MORE);
	c->watch.fd = fd;
	client_http1_watch(c);
	return &c->base;
}

static struct client_http1 *http1_of(const struct client *base)
{
	return (struct client_http1 *)base;
}

static void http1_free(struct client *base)
{
	struct client_http1 *c = http1_of(base);

	ASSERT(!c->is_freeing);
	c->is_freeing = true;
	enter(c);
	if (!c->is_lost)
		disconnect(c);
	client_http1_fail(c, NULL);
	c->is_freed = true;
	leave(c);
}

static size_t http1_streams(const struct client *base)
{
	const struct client_http1 *c = http1_of(base);
	size_t count = c->stream != NULL;

	for (const struct client_http1_stream *s = c->doomed; s; s = s->next)
		count++;
	return count;
}

static bool http1_is_refusing(const struct client *base)
{
	return http1_of(base)->is_refusing || http1_of(base)->stream;
}

const struct client_kind client_kind_http1 = {
	.free = http1_free,
	.streams = http1_streams,
	.is_refusing = http1_is_refusing,
	.is_full = http1_is_refusing,
	.open = client_http1_open,
	.has_heard = client_http1_has_heard,
	.write = client_http1_write,
	.end = client_http1_end,
	.unsent = client_http1_unsent,
	.taken = client_http1_taken,
	.reset = client_http1_reset,
};
