/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * loop - one thread's event loop: descriptors, timers, messages from other threads.
 *
 * The interface names no kernel facility, so that io_uring can stand where epoll does today (loop_epoll.c).
 *
 * Threads: everything but loop_send() and loop_stop() belongs to the thread that runs the loop (LOOP_ASSERT in debug
 *          builds). loop_send() is for any thread; its argument changes owner.
 * Ownership: watches and timers are embedded in the caller's structs; they must be removed before those are freed. A
 *          callback may remove or free any watch or timer, its own too: events already fetched for a removed watch are
 *          not delivered.
 * Units:   nanoseconds.
 */
#include "base/base.h"

struct loop;

enum {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
	LOOP_HANGUP = 4, /* delivered, never asked for: both directions are closed, or an error */
	LOOP_SHARED =
	    8,         /* asked for with loop_watch(): of several loops that watch this descriptor, few wake, not all */
	LOOP_END = 16, /* the peer has closed its half; bytes may stand before that end */
};

struct watch {
	void (*ready)(struct watch *w, unsigned events);
	int fd;
	unsigned events; /* asked for */
	unsigned slot;   /* private */
};

struct timer {
	void (*fire)(struct timer *t);
	int64_t at_ns;   /* monotonic */
	size_t position; /* private: place in the heap, 0 when not armed */
};

struct loop *loop_new(void);
void loop_free(struct loop *l); /* after loop_run() returned */

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/*
 * For who drives a loop turn by turn. loop_turn() delivers what is there; `may_wait`: else it sleeps until something comes or the next
 * timer is due. Inside a job it runs everything but other jobs. loop_settle() runs what is deferred now and not at the end of a turn:
 * for one that has touched watches' owners between turns, or inside a job.
 */
void loop_turn(struct loop *l, bool may_wait);
void loop_settle(struct loop *l);
bool loop_is_stopping(const struct loop *l); /* loop_stop() was called, and loop_run() has not yet returned */
/*
 * A descriptor that is readable when loop_turn() has something to do, timers too: for an event loop of somebody else's. From the
 * first call on the loop keeps a clock of the kernel's for that.
 */
int loop_fd(struct loop *l);
void loop_nudge(struct loop *l); /* makes it readable, or ends the loop's sleep. Any thread */

/* Called by loop_run() before it sleeps and after, on its thread, in no job; both or none. A lock that is held for the loop. */
struct loop_waits {
	void (*before)(void *context);
	void (*after)(void *context);
	void *context;
};
void loop_on_wait(struct loop *l, const struct loop_waits *waits); /* copied */

/* Time as of the last wake-up: cheap, and the same for everything done in one turn. */
int64_t loop_now(const struct loop *l);
void loop_now_update(struct loop *l); /* after something that took long, or between turns */

/* The loop the calling thread runs, or NULL. */
struct loop *loop_current(void);
#define LOOP_ASSERT(l) ASSERT(loop_current() == (l) || loop_current() == NULL)

/* Level-triggered. The descriptor stays the caller's. */
void loop_watch(struct loop *l, struct watch *w, int fd, unsigned events, void (*ready)(struct watch *, unsigned));
void loop_watch_change(struct loop *l, struct watch *w, unsigned events);
void loop_unwatch(struct loop *l, struct watch *w);

/* Arms (or moves) a timer; fires once. */
void loop_timer_set(struct loop *l, struct timer *t, int64_t at_ns, void (*fire)(struct timer *));
void loop_timer_clear(struct loop *l, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
	return t->position != 0;
}

/* Runs fn(arg) on the loop's thread, in the order sent. Any thread. */
struct loop_message {
	struct loop_message *next;
	void (*run)(struct loop_message *m);
};
void loop_send(struct loop *l, struct loop_message *m);

/* Runs fn once at the end of this turn of the loop, before it sleeps: for writing what was gathered. Embedded too. */
struct loop_task {
	struct loop_task *next;
	void (*run)(struct loop_task *t);
	bool is_queued;
};
void loop_defer(struct loop *l, struct loop_task *t);
void loop_undefer(struct loop *l, struct loop_task *t); /* takes it back; one that is not queued is left alone */

/*
 * The same for what may take long, or sleeps by loop_turn(): jobs run behind the tasks of a turn, one after the other, with nothing of
 * the loop's on the stack. What a job defers is run before the next one. After LOOP_JOBS_NS the loop looks at its descriptors before it
 * goes on with them.
 */
void loop_job(struct loop *l, struct loop_task *t);
#define LOOP_JOBS_NS INT64_C(1000000)

/* Signals, taken through a signalfd on this loop; the caller has blocked them in every thread (loop_signals_block). */
void loop_signals_block(const int *signals, size_t count);
void loop_on_signal(struct loop *l, const int *signals, size_t count, void (*caught)(int signal, void *context),
		    void *context);
