/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct probe {
	struct watch watch;
	struct timer timer;
	struct loop_task task;
	struct loop_message message;
	struct loop *loop;
	struct probe *victim;
	unsigned events;
	int calls, order;
};

static int order; /* counts callbacks of all probes */

static void stop_when_fired(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, timer);

	p->calls++;
	p->order = ++order;
	loop_stop(p->loop);
}

static void count_fired(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, timer);

	p->calls++;
	p->order = ++order;
}

static void timers_fire_in_order_of_time(void **state)
{
	enum { COUNT = 200 };
	static struct probe probes[COUNT];
	struct probe last = { .loop = loop_new() };
	int64_t now = loop_now(last.loop);
	unsigned seed = 7;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		seed = seed * 1103515245 + 12345;
		loop_timer_set(last.loop, &probes[i].timer, now + (seed >> 16) % 1000, count_fired);
	}
	for (int i = 0; i < COUNT; i += 3) { /* moved both ways */
		seed = seed * 1103515245 + 12345;
		loop_timer_set(last.loop, &probes[i].timer, now + (seed >> 16) % 1000, count_fired);
	}
	for (int i = 1; i < COUNT; i += 3)
		loop_timer_clear(last.loop, &probes[i].timer);
	loop_timer_set(last.loop, &last.timer, now + 1000, stop_when_fired);
	loop_run(last.loop);

	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(probes[i].calls, i % 3 != 1);
		assert_false(timer_is_set(&probes[i].timer));
		for (int j = 0; j < i; j++) {
			if (probes[i].calls && probes[j].calls && probes[i].timer.at_ns != probes[j].timer.at_ns)
				assert_int_equal(probes[i].timer.at_ns < probes[j].timer.at_ns,
						 probes[i].order < probes[j].order);
		}
	}
	loop_free(last.loop);
}

static void a_timer_never_fires_early(void **state)
{
	struct probe p = { .loop = loop_new() };
	int64_t start = clock_monotonic_ns();

	(void)state;
	loop_timer_set(p.loop, &p.timer, start + 3 * NS_PER_MS + 1, stop_when_fired);
	loop_run(p.loop);
	assert_true(clock_monotonic_ns() - start > 3 * NS_PER_MS);
	loop_free(p.loop);
}

static void again(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, timer);

	if (++p->calls == 3)
		loop_stop(p->loop);
	else
		loop_timer_set(p->loop, t, loop_now(p->loop), again);
}

static void a_timer_may_set_itself_again(void **state)
{
	struct probe p = { .loop = loop_new() };

	(void)state;
	loop_timer_set(p.loop, &p.timer, 0, again);
	loop_run(p.loop);
	assert_int_equal(p.calls, 3);
	loop_free(p.loop);
}

/* For a time that the turn's clock has not seen, but that has come. */
static void again_by_the_clock(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, timer);

	if (++p->calls == 3)
		loop_stop(p->loop);
	else
		loop_timer_set(p->loop, t, clock_monotonic_ns(), again_by_the_clock);
}

static void count_wait(void *context)
{
	++*(int *)context;
}

static void what_is_due_when_a_turn_ends_is_not_waited_for(void **state)
{
	struct probe p = { .loop = loop_new() };
	int waits = 0;

	(void)state;
	loop_on_wait(p.loop, &(struct loop_waits){ .before = count_wait, .after = count_wait, .context = &waits });
	loop_timer_set(p.loop, &p.timer, 0, again_by_the_clock);
	loop_run(p.loop);
	assert_int_equal(p.calls, 3);
	assert_int_equal(waits, 0);
	loop_free(p.loop);
}

static struct probe *survivor;

static void remove_victim(struct watch *w, unsigned events)
{
	struct probe *p = CONTAINER_OF(w, struct probe, watch);

	(void)events;
	survivor = p;
	p->calls++;
	loop_unwatch(p->loop, &p->watch);
	loop_unwatch(p->loop, &p->victim->watch);
	close(p->watch.fd);
	close(p->victim->watch.fd);
	free(p->victim); /* sanitizers see any later touch */
	loop_stop(p->loop);
}

static void fetched_events_of_a_removed_watch_are_not_delivered(void **state)
{
	struct loop *loop = loop_new();
	struct probe *a = base_calloc(1, sizeof(*a)), *b = base_calloc(1, sizeof(*b));

	(void)state;
	*a = (struct probe){ .loop = loop, .victim = b };
	*b = (struct probe){ .loop = loop, .victim = a };
	loop_watch(loop, &a->watch, eventfd(1, 0), LOOP_READ, remove_victim);
	loop_watch(loop, &b->watch, eventfd(1, 0), LOOP_READ, remove_victim);
	loop_run(loop); /* whichever comes first removes and frees the other */
	assert_int_equal(survivor->calls, 1);
	free(survivor);
	loop_free(loop);
}

static void note_events(struct watch *w, unsigned events)
{
	struct probe *p = CONTAINER_OF(w, struct probe, watch);

	p->events = events;
	p->calls++;
	loop_stop(p->loop);
}

static void readable_writable_and_hang_up_are_told_apart(void **state)
{
	struct probe p = { .loop = loop_new() };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	loop_watch(p.loop, &p.watch, pair[0], LOOP_READ | LOOP_WRITE, note_events);
	loop_run(p.loop);
	assert_int_equal(p.events, LOOP_WRITE);

	assert_int_equal(write(pair[1], "x", 1), 1);
	loop_watch_change(p.loop, &p.watch, LOOP_READ);
	loop_run(p.loop);
	assert_int_equal(p.events, LOOP_READ);

	close(pair[1]);
	loop_watch_change(p.loop, &p.watch, 0);
	loop_run(p.loop);
	assert_int_equal(p.events & LOOP_HANGUP, LOOP_HANGUP);
	loop_unwatch(p.loop, &p.watch);
	close(pair[0]);
	loop_free(p.loop);
}

static void task_note(struct loop_task *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, task);

	p->calls++;
	p->order = ++order;
	if (p->victim)
		loop_defer(p->loop, &p->victim->task);
	else
		loop_stop(p->loop);
}

static void tasks_run_once_in_order_and_may_queue_others(void **state)
{
	struct loop *loop = loop_new();
	struct probe last = { .loop = loop, .task.run = task_note };
	struct probe first = { .loop = loop, .task.run = task_note, .victim = &last };

	(void)state;
	loop_defer(loop, &first.task);
	loop_defer(loop, &first.task);
	loop_run(loop);
	assert_int_equal(first.calls, 1);
	assert_int_equal(last.calls, 1);
	assert_true(first.order < last.order);
	loop_free(loop);
}

#define SENDERS  4
#define MESSAGES 2000

struct letter {
	struct loop_message message;
	int sender, number;
};

struct sender {
	struct loop *loop;
	struct letter letters[MESSAGES];
};

static int received[SENDERS], received_in_all;
static struct loop *reader;

static void letter_read(struct loop_message *m)
{
	struct letter *letter = CONTAINER_OF(m, struct letter, message);

	assert_ptr_equal(loop_current(), reader);
	assert_int_equal(received[letter->sender]++, letter->number);
	if (++received_in_all == SENDERS * MESSAGES)
		loop_stop(reader);
}

static void *send_letters(void *argument)
{
	struct sender *s = argument;

	for (int i = 0; i < MESSAGES; i++)
		loop_send(s->loop, &s->letters[i].message);
	return NULL;
}

static void messages_arrive_once_and_in_order(void **state)
{
	static struct sender senders[SENDERS];
	pthread_t threads[SENDERS];

	(void)state;
	reader = loop_new();
	for (int i = 0; i < SENDERS; i++) {
		senders[i].loop = reader;
		for (int k = 0; k < MESSAGES; k++)
			senders[i].letters[k] = (struct letter){ .message.run = letter_read, .sender = i, .number = k };
		assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
	}
	loop_run(reader);
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(received[i], MESSAGES);
	}
	loop_free(reader);
}

static void message_note(struct loop_message *m)
{
	CONTAINER_OF(m, struct probe, message)->calls++;
}

static void messages_sent_before_a_stop_are_run(void **state)
{
	struct probe p = { .loop = loop_new(), .message.run = message_note };

	(void)state;
	loop_send(p.loop, &p.message);
	loop_stop(p.loop);
	loop_run(p.loop);
	assert_int_equal(p.calls, 1);
	assert_null(loop_current());
	loop_free(p.loop);
}

/* ---- jobs, and turns by hand ---- */

static void count_task(struct loop_task *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, task);

	p->calls++;
	p->order = ++order;
}

/* Defers what must run before the next job, and then waits for a timer inside itself. */
static void wait_in_job(struct loop_task *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, task);
	struct probe *timed = p->victim;

	p->order = ++order;
	loop_timer_set(p->loop, &timed->timer, loop_now(p->loop) + NS_PER_MS, count_fired);
	while (!timed->calls)
		loop_turn(p->loop, true);
	assert_int_equal(p->calls++, 0);
	loop_defer(p->loop, &timed->task);
}

static void stop_in_job(struct loop_task *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, task);

	p->order = ++order;
	loop_stop(p->loop);
}

static void jobs_run_one_after_the_other_also_while_one_waits(void **state)
{
	struct loop *l = loop_new();
	struct probe timed = { .task.run = count_task };
	struct probe first = { .loop = l, .victim = &timed, .task.run = wait_in_job };
	struct probe second = { .loop = l, .task.run = stop_in_job };

	(void)state;
	order = 0;
	loop_job(l, &first.task);
	loop_job(l, &second.task);
	loop_run(l);
	assert_int_equal(first.order, 1);
	assert_int_equal(timed.calls, 2); /* fired inside the job, deferred at its end */
	assert_int_equal(timed.order, 3);
	assert_int_equal(second.order, 4);
	loop_free(l);
}

static int is_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms);
}

static void stop_when_told(struct loop_message *m)
{
	loop_stop(CONTAINER_OF(m, struct probe, message)->loop);
}

static void the_descriptor_tells_of_timers_messages_and_nudges(void **state)
{
	struct probe p = { .loop = loop_new(), .task.run = count_task, .message.run = stop_when_told };
	int fd = loop_fd(p.loop);

	(void)state;
	loop_turn(p.loop, false);
	assert_int_equal(is_readable(fd, 0), 0);
	loop_timer_set(p.loop, &p.timer, clock_monotonic_ns() + 3600 * NS_PER_S, count_fired);
	loop_turn(p.loop, false);
	assert_int_equal(p.calls, 0);
	assert_int_equal(is_readable(fd, 0), 0);
	loop_timer_set(p.loop, &p.timer, clock_monotonic_ns() + 5 * NS_PER_MS, count_fired);
	loop_turn(p.loop, false);
	while (!p.calls) {
		assert_int_equal(is_readable(fd, 10000), 1);
		loop_turn(p.loop, false);
	}
	assert_int_equal(is_readable(fd, 0), 0);

	loop_nudge(p.loop);
	assert_int_equal(is_readable(fd, 0), 1);
	loop_turn(p.loop, false);
	assert_int_equal(is_readable(fd, 0), 0);

	loop_defer(p.loop, &p.task);
	loop_settle(p.loop);
	assert_int_equal(p.calls, 2);

	loop_send(p.loop, &p.message);
	assert_int_equal(is_readable(fd, 0), 1);
	assert_false(loop_is_stopping(p.loop));
	loop_turn(p.loop, false);
	assert_true(loop_is_stopping(p.loop));
	loop_run(p.loop);
	assert_false(loop_is_stopping(p.loop));
	loop_free(p.loop);
}

static void note_wait(void *context)
{
	++*(int *)context;
}

static void what_is_held_for_the_loop_is_let_go_where_it_sleeps(void **state)
{
	int calls = 0;
	const struct loop_waits waits = { note_wait, note_wait, &calls };
	struct probe p = { .loop = loop_new() };
	struct probe quick = { .loop = p.loop, .task.run = stop_in_job };

	(void)state;
	loop_on_wait(p.loop, &waits);
	loop_job(p.loop, &quick.task);
	loop_run(p.loop);
	assert_int_equal(calls, 0);
	/* Once it sleeps: a short time may be over before it does. */
	for (int64_t ns = NS_PER_MS; calls == 0 && ns < 30 * NS_PER_S; ns *= 2) {
		loop_timer_set(p.loop, &p.timer, clock_monotonic_ns() + ns, stop_when_fired);
		loop_run(p.loop);
	}
	assert_true(calls >= 2 && calls % 2 == 0);
	loop_free(p.loop);
}

static void caught_signal(int signal, void *context)
{
	struct probe *p = context;

	p->calls = signal;
	loop_stop(p->loop);
}

static void signals_arrive_on_the_loop(void **state)
{
	static const int signals[] = { SIGUSR1, SIGUSR2 };
	struct probe p = { .loop = loop_new() };

	(void)state;
	loop_signals_block(signals, ARRAY_LEN(signals));
	loop_on_signal(p.loop, signals, ARRAY_LEN(signals), caught_signal, &p);
	raise(SIGUSR2);
	loop_run(p.loop);
	assert_int_equal(p.calls, SIGUSR2);
	loop_free(p.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_of_time),
		cmocka_unit_test(a_timer_never_fires_early),
		cmocka_unit_test(a_timer_may_set_itself_again),
		cmocka_unit_test(what_is_due_when_a_turn_ends_is_not_waited_for),
		cmocka_unit_test(fetched_events_of_a_removed_watch_are_not_delivered),
		cmocka_unit_test(readable_writable_and_hang_up_are_told_apart),
		cmocka_unit_test(tasks_run_once_in_order_and_may_queue_others),
		cmocka_unit_test(messages_arrive_once_and_in_order),
		cmocka_unit_test(messages_sent_before_a_stop_are_run),
		cmocka_unit_test(jobs_run_one_after_the_other_also_while_one_waits),
		cmocka_unit_test(the_descriptor_tells_of_timers_messages_and_nudges),
		cmocka_unit_test(what_is_held_for_the_loop_is_let_go_where_it_sleeps),
		cmocka_unit_test(signals_arrive_on_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
