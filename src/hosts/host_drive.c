/* SPDX-License-Identifier: Apache-2.0 */
/* host_drive - a host whose loop the caller's thread runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "hosts/host_private.h"

#define LOOK_NS (500 * NS_PER_MS)

static struct loop *loop_of(const struct hythe_host *h)
{
	return server_worker_loop(h->server, 0);
}

/* ---- signals ---- */

static void signal_came(struct watch *w, unsigned events)
{
	struct hythe_host *h = CONTAINER_OF(w, struct hythe_host, signals);
	unsigned char numbers[64];
	ssize_t n;

	(void)events;
	while ((n = read(w->fd, numbers, sizeof(numbers))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (numbers[i] == SIGTERM || numbers[i] == SIGINT)
				hythe_host_stop(h);
	h->has_signal = true;
}

/* ---- life ---- */

bool drive_start(struct hythe_host *h, struct error *err)
{
	if (pipe2(h->signal_fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return error_errno(err, errno, "cannot make a pipe");
	return true;
}

/* This thread drives from here on. */
static void drive_enter(struct hythe_host *h)
{
	h->driver = pthread_self();
	if (h->is_entered)
		return;
	h->is_entered = true;
	server_enter(h->server);
	loop_watch(loop_of(h), &h->signals, h->signal_fds[0], LOOP_READ, signal_came);
}

static void drive_over(struct hythe_host *h)
{
	uint64_t one = 1;

	loop_run(loop_of(h)); /* which is stopping: what was sent to it before that */
	loop_unwatch(loop_of(h), &h->signals);
	loop_timer_clear(loop_of(h), &h->look);
	server_leave(h->server);
	if (h->app_host)
		app_join(h);
	h->is_over = true;
	(void)!write(h->ended_fd, &one, sizeof(one)); /* an eventfd at 0 takes it */
}

void drive_end(struct hythe_host *h)
{
	hythe_host_stop(h);
	while (!hythe_host_run(h))
		;
}

/* ---- run ---- */

static void before_wait(void *context)
{
	struct hythe_host *h = context;

	h->waits(h->wait_context);
}

static void after_wait(void *context)
{
	struct hythe_host *h = context;

	if (h->resumes(h->wait_context))
		h->is_interrupted = true;
}

/* One that came while the loop did not sleep has its handler run before it does. */
static void signal_tell(struct hythe_host *h)
{
	h->has_signal = false;
	if (h->waits) {
		before_wait(h);
		after_wait(h);
	}
}

static void look(struct timer *t)
{
	struct hythe_host *h = CONTAINER_OF(t, struct hythe_host, look);

	if (!h->is_woken_by_signals)
		loop_timer_set(loop_of(h), t, loop_now(loop_of(h)) + LOOK_NS, look);
}

int hythe_host_run(hythe_host *h)
{
	const struct loop_waits waits = { before_wait, after_wait, h };
	struct loop *l = loop_of(h);

	if (h->is_over)
		return 1;
	drive_enter(h);
	if (h->waits && h->resumes) {
		loop_on_wait(l, &waits);
		look(&h->look);
	}
	h->is_interrupted = false;
	while (!loop_is_stopping(l) && !h->is_interrupted) {
		loop_turn(l, true);
		if (h->has_signal)
			signal_tell(h);
	}
	if (!loop_is_stopping(l))
		return 0;
	drive_over(h);
	return 1;
}

int hythe_host_fd(hythe_host *h)
{
	if (!h->is_driven || !h->is_started || h->is_over)
		return -1;
	drive_enter(h);
	return loop_fd(loop_of(h));
}

int hythe_host_turn(hythe_host *h)
{
	if (h->is_over)
		return 0;
	drive_enter(h);
	loop_turn(loop_of(h), false);
	if (!loop_is_stopping(loop_of(h)))
		return 1;
	drive_over(h);
	return 0;
}

int hythe_host_signal_fd(hythe_host *h)
{
	h->is_woken_by_signals = true;
	return h->signal_fds[1];
}
