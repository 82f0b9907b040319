/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* ---- sources ---- */

static void source_ready(struct watch *w, unsigned events)
{
	struct source *s = CONTAINER_OF(w, struct source, watch);
	char bytes[PIPE_READ_BYTES];
	ssize_t n = read(s->fd, bytes, sizeof(bytes));

	(void)events;
	if (n > 0) {
		s->take(s, span_from(bytes, (size_t)n), false);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	source_done(s);
	s->take(s, (struct span){ 0 }, true);
}

void source_init(struct source *s, struct loop *loop, int fd,
		 void (*take)(struct source *s, struct span bytes, bool is_end))
{
	*s = (struct source){ .loop = loop, .fd = fd, .take = take };
	unblock(fd);
	loop_watch(loop, &s->watch, fd, LOOP_READ, source_ready);
}

/* A paused one is not watched at all: the other side's end would wake the loop again and again. */
void source_pause(struct source *s, bool is_paused)
{
	if (s->fd < 0 || s->is_paused == is_paused)
		return;
	s->is_paused = is_paused;
	if (is_paused)
		loop_unwatch(s->loop, &s->watch);
	else
		loop_watch(s->loop, &s->watch, s->fd, LOOP_READ, source_ready);
}

size_t source_unread(const struct source *s)
{
	int count = 0;

	return s->fd >= 0 && ioctl(s->fd, FIONREAD, &count) == 0 ? (size_t)count : 0;
}

void source_done(struct source *s)
{
	if (!s->loop || s->fd < 0)
		return;
	if (!s->is_paused)
		loop_unwatch(s->loop, &s->watch);
	close(s->fd);
	s->fd = -1;
}

/* ---- sinks ---- */

static size_t sink_waiting(const struct sink *s)
{
	return s->waiting.len - s->sent;
}

static void sink_unwatch(struct sink *s)
{
	if (s->is_watched)
		loop_unwatch(s->loop, &s->watch);
	s->is_watched = false;
}

static void sink_close(struct sink *s)
{
	if (s->is_socket)
		(void)shutdown(s->fd, SHUT_WR); /* the source may still read */
	sink_done(s);
}

/* As much as goes. False: the other side takes nothing more. */
static bool sink_send(struct sink *s)
{
	while (sink_waiting(s)) {
		struct span rest = span_skip(buffer_span(&s->waiting), s->sent);
		ssize_t n =
		    s->is_socket ? send(s->fd, rest.ptr, rest.len, MSG_NOSIGNAL) : write(s->fd, rest.ptr, rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		s->sent += (size_t)n;
	}
	buffer_clear(&s->waiting);
	buffer_shrink(&s->waiting, SINK_LOW_BYTES);
	s->sent = 0;
	return true;
}

static void sink_ready(struct watch *w, unsigned events)
{
	struct sink *s = CONTAINER_OF(w, struct sink, watch);
	bool was_high = sink_waiting(s) > SINK_LOW_BYTES;
	bool is_good = sink_send(s);

	(void)events;
	if (!is_good || (s->is_ending && !sink_waiting(s)))
		sink_close(s);
	else if (!sink_waiting(s))
		sink_unwatch(s);
	if (s->drained && (s->fd < 0 || (was_high && sink_waiting(s) <= SINK_LOW_BYTES)))
		s->drained(s);
}

void sink_init(struct sink *s, struct loop *loop, int fd, bool is_socket, void (*drained)(struct sink *s))
{
	*s = (struct sink){ .loop = loop, .fd = fd, .is_socket = is_socket, .drained = drained };
	buffer_init(&s->waiting, SIZE_MAX / 2); /* bounded by who heeds sink_write()'s answer */
	unblock(fd);
}

bool sink_write(struct sink *s, struct span bytes)
{
	bool was_waiting;

	if (s->fd < 0 || s->is_ending)
		return true; /* nobody reads it: it is as good as written */
	was_waiting = sink_waiting(s) > 0;
	buffer_append(&s->waiting, bytes);
	if (was_waiting)
		return sink_waiting(s) <= SINK_LOW_BYTES;
	if (!sink_send(s)) {
		sink_close(s);
	} else if (sink_waiting(s)) {
		s->is_watched = true;
		loop_watch(s->loop, &s->watch, s->fd, LOOP_WRITE, sink_ready);
	}
	return s->fd < 0 || sink_waiting(s) <= SINK_LOW_BYTES;
}

void sink_end(struct sink *s)
{
	if (!s->loop || s->fd < 0 || s->is_ending)
		return;
	s->is_ending = true;
	if (!sink_waiting(s))
		sink_close(s);
}

void sink_done(struct sink *s)
{
	if (!s->loop)
		return;
	if (s->fd >= 0) {
		sink_unwatch(s);
		close(s->fd);
	}
	s->fd = -1;
	s->sent = 0;
	buffer_done(&s->waiting);
}
