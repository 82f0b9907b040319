/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"

#define DOOR_AGAIN_NS                                                                                                  \
	(2 * NS_PER_MS) /* a door whose queue is full (node/egress.c listens with 128) is knocked at again */

struct dial {
	struct loop *loop;
	struct sockaddr_storage address;
	int type;
	int64_t until_ns;
	void (*done)(void *owner, int fd, const struct error *err);
	void *owner;
	char *sandbox; /* NULL: the host's network */
	struct watch watch;
	struct timer timer;
	struct loop_task task; /* tells of an end that was there at once */
	int door, fd;          /* -1: not there */
	bool is_watching;
	struct error why;
};

static void unwatch(struct dial *d)
{
	if (d->is_watching)
		loop_unwatch(d->loop, &d->watch);
	d->is_watching = false;
}

static void watch(struct dial *d, int fd, unsigned events, void (*ready)(struct watch *, unsigned))
{
	unwatch(d);
	loop_watch(d->loop, &d->watch, fd, events, ready);
	d->is_watching = true;
}

static void door_close(struct dial *d)
{
	unwatch(d);
	if (d->door >= 0)
		close(d->door);
	d->door = -1;
}

static void dial_free(struct dial *d)
{
	door_close(d);
	if (timer_is_set(&d->timer))
		loop_timer_clear(d->loop, &d->timer);
	loop_undefer(d->loop, &d->task);
	if (d->fd >= 0)
		close(d->fd);
	free(d->sandbox);
	free(d);
}

static void end(struct dial *d)
{
	int fd = d->why.code ? -1 : d->fd;
	struct error why = d->why;
	void (*done)(void *owner, int fd, const struct error *err) = d->done;
	void *owner = d->owner;

	if (fd >= 0)
		d->fd = -1;
	dial_free(d);
	done(owner, fd, fd < 0 ? &why : NULL);
}

static void end_task(struct loop_task *t)
{
	end(CONTAINER_OF(t, struct dial, task));
}

/* In the next turn, so that it is never inside dial_begin(). */
static void end_later(struct dial *d)
{
	unwatch(d);
	loop_defer(d->loop, &d->task);
}

static void fail(struct dial *d, int number, const char *what)
{
	error_set(&d->why, ERROR_UNAVAILABLE, "%s: %s", what, strerror(number));
	end_later(d);
}

static void late(struct timer *t)
{
	struct dial *d = CONTAINER_OF(t, struct dial, timer);

	error_set(&d->why, ERROR_TIMEOUT, "the connection was not made in time");
	end(d);
}

/* ---- the connection ---- */

static void connected(struct watch *w, unsigned events)
{
	struct dial *d = CONTAINER_OF(w, struct dial, watch);
	int number = 0;
	socklen_t len = sizeof(number);

	(void)events;
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
		number = errno;
	if (number)
		error_set(&d->why, ERROR_UNAVAILABLE, "it cannot be connected to: %s", strerror(number));
	end(d);
}

static socklen_t address_length(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6  ? sizeof(struct sockaddr_in6)
	       : a->ss_family == AF_UNIX ? sizeof(struct sockaddr_un)
					 : sizeof(struct sockaddr_in);
}

static void connect_begin(struct dial *d)
{
	int on = 1, flags = fcntl(d->fd, F_GETFL);

	if (flags < 0 || fcntl(d->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		fail(d, errno, "a socket");
		return;
	}
	if (d->type == SOCK_STREAM && d->address.ss_family != AF_UNIX)
		(void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(d->fd, (const struct sockaddr *)&d->address, address_length(&d->address)) == 0)
		end_later(d);
	else if (errno == EINPROGRESS)
		watch(d, d->fd, LOOP_WRITE, connected);
	else
		fail(d, errno, "it cannot be connected to");
}

/* ---- the door ---- */

static void door_answered(struct watch *w, unsigned events)
{
	struct dial *d = CONTAINER_OF(w, struct dial, watch);
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char status;
	struct iovec iov = { &status, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(d->door, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *head = n == 1 ? CMSG_FIRSTHDR(&m) : NULL;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
	    head->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&d->fd, CMSG_DATA(head), sizeof(d->fd));
	door_close(d);
	if (d->fd < 0)
		fail(d, n < 0 ? errno : EHOSTUNREACH, "its pod gives no socket");
	else
		connect_begin(d);
}

static void door_knock(struct dial *d);

static void knock_again(struct timer *t)
{
	struct dial *d = CONTAINER_OF(t, struct dial, timer);

	loop_timer_set(d->loop, t, d->until_ns, late);
	if (loop_now(d->loop) >= d->until_ns)
		late(t);
	else
		door_knock(d);
}

/* Paths of Unix sockets are short: by a descriptor of the folder. */
static int door_connect(struct dial *d)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	AUTO_CLOSE int folder = open(d->sandbox, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return errno;
	d->door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->door < 0)
		return errno;
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/door", folder);
	return connect(d->door, (const struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
}

static void door_knock(struct dial *d)
{
	int wanted[2] = { d->address.ss_family, d->type };
	int number = door_connect(d);

	if (number == EAGAIN) {
		door_close(d);
		loop_timer_set(d->loop, &d->timer, MIN(loop_now(d->loop) + DOOR_AGAIN_NS, d->until_ns), knock_again);
	} else if (number) {
		fail(d, number, "its pod is not there");
	} else if (send(d->door, wanted, sizeof(wanted), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(wanted)) {
		fail(d, errno, "its pod gives no socket");
	} else {
		watch(d, d->door, LOOP_READ, door_answered);
	}
}

/* ---- life ---- */

struct dial *dial_begin(const struct dial_config *config)
{
	struct dial *d = base_calloc(1, sizeof(*d));

	*d = (struct dial){ .loop = config->loop,
			    .address = *config->address,
			    .type = config->type,
			    .until_ns = config->until_ns,
			    .done = config->done,
			    .owner = config->owner,
			    .sandbox = config->sandbox.len ? span_to_text(config->sandbox) : NULL,
			    .task.run = end_task,
			    .door = -1,
			    .fd = -1 };
	loop_timer_set(d->loop, &d->timer, d->until_ns, late);
	if (d->sandbox) {
		door_knock(d);
		return d;
	}
	d->fd = socket(d->address.ss_family, d->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0)
		fail(d, errno, "a socket");
	else
		connect_begin(d);
	return d;
}

void dial_cancel(struct dial *d)
{
	dial_free(d);
}
