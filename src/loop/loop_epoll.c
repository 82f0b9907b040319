/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS_PER_TURN 256
#define SLEEP_MAX_MS    INT64_C(3600000)
#define SOON_NS         (20 * NS_PER_MS) /* of longer sleeps the length of a turn is no matter */

/* The key beside the pointer: sifting touches no timer but those it moves. */
struct heap_entry {
	int64_t at_ns;
	struct timer *timer;
};

struct signal_source {
	struct watch watch;
	void (*caught)(int signal, void *context);
	void *context;
	struct signal_source *next;
};

struct loop {
	int epoll_fd, wake_fd;
	int64_t now_ns;
	/* Set by any thread (release), read by the loop each turn (acquire). */
	_Atomic bool is_stopping;
	/* Messages from other threads, newest first: pushed by compare-and-swap (release), taken whole (acquire). */
	_Atomic(struct loop_message *) inbox;
	struct watch wake;
	struct heap_entry *heap; /* heap[1..timer_count]: a binary heap, earliest first */
	size_t timer_count, timer_cap;
	struct loop_task *tasks, **tasks_tail;
	struct loop_task *running; /* of this turn, still to run */
	struct loop_task *jobs, **jobs_tail;
	bool is_in_job;
	struct loop_waits waits;
	/* loop_fd(): a timerfd, and what it is set to; INT64_MAX: not set. */
	struct watch clock;
	int clock_fd;
	int64_t clock_ns;
	struct signal_source *signals;
	int event_count, event_next; /* of `events`, while a turn delivers them */
	struct epoll_event events[EVENTS_PER_TURN];
};

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
	return current;
}

int64_t loop_now(const struct loop *l)
{
	return l->now_ns;
}

void loop_now_update(struct loop *l)
{
	l->now_ns = clock_monotonic_ns();
}

/* ---- descriptors ---- */

static uint32_t epoll_bits(unsigned events)
{
	return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0) |
	       (events & LOOP_SHARED ? (uint32_t)EPOLLEXCLUSIVE : 0) | (events & LOOP_END ? (uint32_t)EPOLLRDHUP : 0);
}

static unsigned loop_bits(uint32_t bits)
{
	return (bits & EPOLLIN ? LOOP_READ : 0u) | (bits & EPOLLOUT ? LOOP_WRITE : 0u) |
	       (bits & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0u) | (bits & EPOLLRDHUP ? LOOP_END : 0u);
}

static void control(struct loop *l, int operation, struct watch *w, uint32_t bits)
{
	struct epoll_event event = { .events = bits, .data.ptr = w };

	ASSERT(epoll_ctl(l->epoll_fd, operation, w->fd, &event) == 0);
}

void loop_watch(struct loop *l, struct watch *w, int fd, unsigned events, void (*ready)(struct watch *, unsigned))
{
	LOOP_ASSERT(l);
	*w = (struct watch){ .ready = ready, .fd = fd, .events = events };
	control(l, EPOLL_CTL_ADD, w, epoll_bits(events));
}

void loop_watch_change(struct loop *l, struct watch *w, unsigned events)
{
	if (w->events == events)
		return;
	w->events = events;
	control(l, EPOLL_CTL_MOD, w, epoll_bits(events));
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	LOOP_ASSERT(l);
	control(l, EPOLL_CTL_DEL, w, 0);
	/* Events of this turn that still wait must not reach memory the caller is about to free. */
	for (int i = l->event_next; i < l->event_count; i++) {
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
	}
}

static void deliver(struct loop *l, int count)
{
	l->event_count = count;
	l->event_next = 0;
	while (l->event_next < l->event_count) {
		struct epoll_event *event = &l->events[l->event_next++];
		struct watch *w = event->data.ptr;

		if (LIKELY(w != NULL))
			w->ready(w, loop_bits(event->events));
	}
	l->event_count = l->event_next = 0;
}

/* ---- timers ---- */

static void heap_put(struct loop *l, size_t i, struct heap_entry entry)
{
	l->heap[i] = entry;
	entry.timer->position = i;
}

static void heap_up(struct loop *l, size_t i, struct heap_entry entry)
{
	for (; i > 1 && l->heap[i / 2].at_ns > entry.at_ns; i /= 2)
		heap_put(l, i, l->heap[i / 2]);
	heap_put(l, i, entry);
}

static void heap_down(struct loop *l, size_t i, struct heap_entry entry)
{
	for (;;) {
		size_t child = 2 * i;

		if (child < l->timer_count && l->heap[child + 1].at_ns < l->heap[child].at_ns)
			child++;
		if (child > l->timer_count || l->heap[child].at_ns >= entry.at_ns)
			break;
		heap_put(l, i, l->heap[child]);
		i = child;
	}
	heap_put(l, i, entry);
}

void loop_timer_set(struct loop *l, struct timer *t, int64_t at_ns, void (*fire)(struct timer *))
{
	struct heap_entry entry = { at_ns, t };
	int64_t before = t->at_ns;

	LOOP_ASSERT(l);
	t->fire = fire;
	t->at_ns = at_ns;
	if (t->position) {
		if (at_ns < before)
			heap_up(l, t->position, entry);
		else
			heap_down(l, t->position, entry);
		return;
	}
	if (l->timer_count + 1 >= l->timer_cap) {
		l->timer_cap = l->timer_cap ? 2 * l->timer_cap : 32;
		l->heap = base_realloc(l->heap, l->timer_cap * sizeof(*l->heap));
	}
	heap_up(l, ++l->timer_count, entry);
}

void loop_timer_clear(struct loop *l, struct timer *t)
{
	size_t i = t->position;
	struct heap_entry last;

	LOOP_ASSERT(l);
	if (i == 0)
		return;
	ASSERT(i <= l->timer_count && l->heap[i].timer == t);
	t->position = 0;
	last = l->heap[l->timer_count--];
	if (last.timer == t)
		return;
	if (i > 1 && l->heap[i / 2].at_ns > last.at_ns)
		heap_up(l, i, last);
	else
		heap_down(l, i, last);
}

static void fire_timers(struct loop *l)
{
	/* Bounded: a timer that sets itself again for now waits for the next turn. */
	for (size_t n = l->timer_count; n > 0 && l->timer_count && l->heap[1].at_ns <= l->now_ns; n--) {
		struct timer *t = l->heap[1].timer;

		loop_timer_clear(l, t);
		t->fire(t);
	}
}

static int sleep_ms(const struct loop *l)
{
	int64_t left;

	if (l->tasks || (l->jobs && !l->is_in_job))
		return 0;
	if (!l->timer_count)
		return -1;
	left = l->heap[1].at_ns - l->now_ns;
	if (left < SOON_NS) /* as of now: what became due in this turn must not be waited for, a millisecond */
		left = l->heap[1].at_ns - clock_monotonic_ns();
	if (left <= 0)
		return 0;
	left = (left + NS_PER_MS - 1) / NS_PER_MS; /* up: waking early would only mean one more turn */
	return (int)MIN(left, SLEEP_MAX_MS);
}

/* ---- the clock of loop_fd() ---- */

static void clock_rang(struct watch *w, unsigned events)
{
	struct loop *l = CONTAINER_OF(w, struct loop, clock);

	(void)events; /* edge-triggered, as the eventfd is */
	l->clock_ns = INT64_MAX;
}

/* Set too early it costs a turn, which sets it again: it is only ever moved when a timer comes before it. */
static void clock_update(struct loop *l)
{
	int64_t at_ns = l->timer_count ? MAX(l->heap[1].at_ns, 1) : INT64_MAX;
	struct itimerspec when = { .it_value = { at_ns / NS_PER_S, at_ns % NS_PER_S } };

	if (l->clock_fd < 0 || at_ns >= l->clock_ns)
		return;
	l->clock_ns = at_ns;
	ASSERT(timerfd_settime(l->clock_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
}

int loop_fd(struct loop *l)
{
	LOOP_ASSERT(l);
	if (l->clock_fd < 0) {
		l->clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		ASSERT(l->clock_fd >= 0);
		l->clock = (struct watch){ .ready = clock_rang, .fd = l->clock_fd };
		control(l, EPOLL_CTL_ADD, &l->clock, (uint32_t)EPOLLIN | (uint32_t)EPOLLET);
		clock_update(l);
	}
	return l->epoll_fd;
}

/* ---- tasks and messages ---- */

void loop_defer(struct loop *l, struct loop_task *t)
{
	LOOP_ASSERT(l);
	if (t->is_queued)
		return;
	t->is_queued = true;
	t->next = NULL;
	*l->tasks_tail = t;
	l->tasks_tail = &t->next;
}

void loop_undefer(struct loop *l, struct loop_task *t)
{
	struct loop_task **at = &l->running;

	LOOP_ASSERT(l);
	if (!t->is_queued)
		return;
	while (*at && *at != t)
		at = &(*at)->next;
	if (!*at)
		for (at = &l->tasks; *at != t; at = &(*at)->next)
			ASSERT(*at);
	*at = t->next;
	if (l->tasks_tail == &t->next)
		l->tasks_tail = at;
	t->is_queued = false;
}

static void run_tasks(struct loop *l)
{
	/* What these queue in turn runs after the next look at the descriptors. */
	l->running = l->tasks;
	l->tasks = NULL;
	l->tasks_tail = &l->tasks;
	while (l->running) {
		struct loop_task *t = l->running;

		l->running = t->next;
		t->is_queued = false;
		t->run(t);
	}
}

void loop_settle(struct loop *l)
{
	LOOP_ASSERT(l);
	ASSERT(!l->running && l->event_next == l->event_count);
	if (l->tasks)
		run_tasks(l);
	if (current != l)
		clock_update(l);
	if (l->tasks && current != l)
		loop_nudge(l);
}

void loop_job(struct loop *l, struct loop_task *t)
{
	LOOP_ASSERT(l);
	ASSERT(!t->is_queued);
	t->is_queued = true;
	t->next = NULL;
	*l->jobs_tail = t;
	l->jobs_tail = &t->next;
}

static void run_jobs(struct loop *l)
{
	int64_t began_ns = l->now_ns;

	while (l->jobs) {
		struct loop_task *t = l->jobs;

		l->jobs = t->next;
		if (!l->jobs)
			l->jobs_tail = &l->jobs;
		t->is_queued = false;
		l->is_in_job = true;
		t->run(t);
		l->is_in_job = false;
		loop_now_update(l);
		run_tasks(l);
		if (l->now_ns - began_ns >= LOOP_JOBS_NS)
			break;
	}
}

static void wake(struct loop *l)
{
	uint64_t one = 1;

	(void)!write(l->wake_fd, &one, sizeof(one)); /* fails only when the counter is full: then it is awake */
}

void loop_nudge(struct loop *l)
{
	wake(l);
}

void loop_send(struct loop *l, struct loop_message *m)
{
	struct loop_message *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);

	do {
		m->next = head;
	} while (
	    !atomic_compare_exchange_weak_explicit(&l->inbox, &head, m, memory_order_release, memory_order_relaxed));
	if (!head)
		wake(l); /* who finds it filled knows that the one before has called */
}

static void run_messages(struct loop *l)
{
	struct loop_message *m, *ordered = NULL;

	if (LIKELY(!atomic_load_explicit(&l->inbox, memory_order_relaxed)))
		return;
	m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire);
	while (m) {
		struct loop_message *next = m->next;

		m->next = ordered;
		ordered = m;
		m = next;
	}
	while (ordered) {
		struct loop_message *next = ordered->next; /* run() may free it */

		ordered->run(ordered);
		ordered = next;
	}
}

static void woken(struct watch *w, unsigned events)
{
	/* Edge-triggered: each write is one event, so that the counter need not be read back. */
	(void)w;
	(void)events;
}

/* ---- signals ---- */

static sigset_t signal_set(const int *signals, size_t count)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < count; i++)
		sigaddset(&set, signals[i]);
	return set;
}

void loop_signals_block(const int *signals, size_t count)
{
	sigset_t set = signal_set(signals, count);

	ASSERT(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

static void signal_ready(struct watch *w, unsigned events)
{
	struct signal_source *source = CONTAINER_OF(w, struct signal_source, watch);
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		source->caught((int)info.ssi_signo, source->context);
}

void loop_on_signal(struct loop *l, const int *signals, size_t count, void (*caught)(int signal, void *context),
		    void *context)
{
	struct signal_source *source = base_calloc(1, sizeof(*source));
	sigset_t set = signal_set(signals, count);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	ASSERT(fd >= 0);
	source->caught = caught;
	source->context = context;
	source->next = l->signals;
	l->signals = source;
	loop_watch(l, &source->watch, fd, LOOP_READ, signal_ready);
}

/* ---- life ---- */

struct loop *loop_new(void)
{
	struct loop *l = base_calloc(1, sizeof(*l));

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT(l->epoll_fd >= 0 && l->wake_fd >= 0);
	l->tasks_tail = &l->tasks;
	l->jobs_tail = &l->jobs;
	l->clock_fd = -1;
	l->clock_ns = INT64_MAX;
	l->now_ns = clock_monotonic_ns();
	l->wake = (struct watch){ .ready = woken, .fd = l->wake_fd };
	control(l, EPOLL_CTL_ADD, &l->wake, (uint32_t)EPOLLIN | (uint32_t)EPOLLET);
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->signals) {
		struct signal_source *source = l->signals;

		l->signals = source->next;
		close(source->watch.fd);
		free(source);
	}
	if (l->clock_fd >= 0)
		close(l->clock_fd);
	close(l->wake_fd);
	close(l->epoll_fd);
	free(l->heap);
	free(l);
}

void loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->is_stopping, true, memory_order_release);
	wake(l);
}

bool loop_is_stopping(const struct loop *l)
{
	return atomic_load_explicit(&l->is_stopping, memory_order_acquire);
}

void loop_on_wait(struct loop *l, const struct loop_waits *waits)
{
	l->waits = *waits;
}

static int look(struct loop *l, int timeout_ms)
{
	int count = epoll_wait(l->epoll_fd, l->events, EVENTS_PER_TURN, timeout_ms);

	ASSERT(count >= 0 || errno == EINTR);
	return MAX(count, 0);
}

static int look_and_wait(struct loop *l)
{
	int timeout_ms = sleep_ms(l), count;

	if (!l->waits.before || l->is_in_job || timeout_ms == 0)
		return look(l, timeout_ms);
	l->waits.before(l->waits.context);
	count = look(l, timeout_ms);
	l->waits.after(l->waits.context);
	return count;
}

static void turn(struct loop *l, bool may_wait)
{
	int count = may_wait ? look_and_wait(l) : look(l, 0);

	loop_now_update(l);
	deliver(l, count);
	run_messages(l);
	fire_timers(l);
	run_tasks(l);
	if (!l->is_in_job)
		run_jobs(l);
}

void loop_turn(struct loop *l, bool may_wait)
{
	struct loop *outer = current;

	LOOP_ASSERT(l);
	ASSERT(!l->running && l->event_next == l->event_count); /* called by nothing that a turn calls, but a job */
	current = l;
	turn(l, may_wait);
	if (!may_wait && !outer) {
		if (l->tasks)
			run_tasks(l);
		clock_update(l);
		if (l->tasks || l->jobs)
			wake(l);
	}
	current = outer;
}

void loop_run(struct loop *l)
{
	struct loop *outer = current;

	current = l;
	while (!loop_is_stopping(l))
		turn(l, true);
	run_messages(l); /* sent before the stop: answered, not lost */
	run_tasks(l);
	atomic_store_explicit(&l->is_stopping, false, memory_order_relaxed);
	current = outer;
}
