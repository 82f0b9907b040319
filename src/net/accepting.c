/* SPDX-License-Identifier: Apache-2.0 */
#include "net/accepting.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { BATCH = 64 };               /* at one event */
#define PAUSE_NS (100 * NS_PER_MS) /* when the process is out of descriptors */

static void ready(struct watch *w, unsigned events)
{
	struct accepting *a = CONTAINER_OF(w, struct accepting, watch);

	(void)events;
	for (int i = 0; i < BATCH && accepting_one(a); i++)
		;
}

void accepting_begin(struct accepting *a)
{
	a->is_watched = true;
	loop_watch(a->loop, &a->watch, a->fd, LOOP_READ | (a->is_shared ? (unsigned)LOOP_SHARED : 0u), ready);
}

static void unwatch(struct accepting *a)
{
	if (a->is_watched)
		loop_unwatch(a->loop, &a->watch);
	a->is_watched = false;
}

void accepting_end(struct accepting *a)
{
	loop_timer_clear(a->loop, &a->pause);
	unwatch(a);
}

static void pause_over(struct timer *t)
{
	accepting_begin(CONTAINER_OF(t, struct accepting, pause));
}

/* Or the event would come again and again. */
static void pause_begin(struct accepting *a, int errnum)
{
	log_warn(a->room, "cannot accept connections for now", LOG_TEXT("reason", strerror(errnum)),
		 LOG_TEXT("listener", a->name ? a->name : ""));
	if (!a->is_watched)
		return;
	unwatch(a);
	loop_timer_set(a->loop, &a->pause, loop_now(a->loop) + PAUSE_NS, pause_over);
}

bool accepting_one(struct accepting *a)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(peer);
	int fd = accept4(a->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		a->accepted(a, fd, &peer);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		pause_begin(a, errno);
		return false;
	default: /* this client is gone already (accept(2)); the next may not be */
		return true;
	}
}
