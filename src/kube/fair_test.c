/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is, by the order in which calls run. No request stands behind them: answers go nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kube/kube_private.h"

enum { RAN_MOST = 4096, SHARE = 16, SEATS_OF_ONE = 512 };

static struct kube kube;
static struct call *ran[RAN_MOST];
static size_t ran_count;
static struct timer last;

static void ran_note(struct call *call)
{
	assert_true(ran_count < RAN_MOST);
	ran[ran_count++] = call;
}

/* Runs at once, as a read does. */
static void run_read(struct call *call)
{
	ran_note(call);
	fair_done(kube.fair, call);
}

/* Keeps its seat, as a write does that waits for the disk. */
static void run_write(struct call *call)
{
	ran_note(call);
}

static struct call *submit(struct span user, void (*run)(struct call *))
{
	struct call *call = call_new(&kube);

	call->user.name = user;
	call->run = run;
	fair_submit(kube.fair, call);
	return call;
}

static void stopped(struct timer *t)
{
	(void)t;
	loop_stop(kube.config.loop);
}

/* Until what is deferred has run, however many turns it takes. */
static void turn(size_t wanted)
{
	do {
		loop_timer_set(kube.config.loop, &last, loop_now(kube.config.loop), stopped);
		loop_run(kube.config.loop);
	} while (ran_count < wanted);
	assert_int_equal(ran_count, wanted);
}

static int setup(void **state)
{
	(void)state;
	kube = (struct kube){ .config = kube_config_default() };
	kube.config.loop = loop_new();
	kube.fair = fair_new(&kube);
	ran_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ran_count; i++) {
		if (ran[i]->has_seat)
			fair_done(kube.fair, ran[i]);
		call_free(ran[i]);
	}
	fair_free(kube.fair);
	while (kube.free_calls) {
		struct call *call = kube.free_calls;

		kube.free_calls = call->next;
		arena_done(&call->arena);
		free(call);
	}
	loop_free(kube.config.loop);
	return 0;
}

static size_t place_of(const struct call *call)
{
	size_t i = 0;

	while (i < ran_count && ran[i] != call)
		i++;
	return i;
}

static void a_client_that_asks_little_is_served_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < SHARE; i++)
		submit(SPAN("one"), run_read);
	assert_int_equal(ran_count, SHARE);
}

static void a_quiet_client_runs_before_what_waits_of_a_noisy_one(void **state)
{
	struct call *quiet;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		submit(SPAN("noisy"), run_read);
	assert_int_equal(ran_count, SHARE);
	quiet = submit(SPAN("quiet"), run_read);
	assert_int_equal(place_of(quiet), SHARE);
	turn(301);
}

static void clients_with_much_take_turns(void **state)
{
	struct call *calls[2][100];

	(void)state;
	for (size_t i = 0; i < 100; i++)
		calls[0][i] = submit(SPAN("first"), run_read);
	for (size_t i = 0; i < 100; i++)
		calls[1][i] = submit(SPAN("second"), run_read);
	turn(200);
	for (size_t i = SHARE; i < 100; i++) {
		size_t first = place_of(calls[0][i]), second = place_of(calls[1][i]);

		assert_int_equal(first > second ? first - second : second - first, 1);
		assert_true(i == SHARE || first > place_of(calls[0][i - 1])); /* of one client: in order */
	}
}

static void writes_of_one_client_leave_seats_for_others(void **state)
{
	struct call *quiet;

	(void)state;
	kube.config.requests_waiting_most = SEATS_OF_ONE;
	for (size_t i = 0; i < SEATS_OF_ONE + 100; i++)
		submit(SPAN("noisy"), run_write);
	turn(SEATS_OF_ONE);
	quiet = submit(SPAN("quiet"), run_write);
	assert_int_equal(place_of(quiet), SEATS_OF_ONE);
	for (size_t i = 0; i < 10; i++)
		fair_done(kube.fair, ran[i]);
	turn(SEATS_OF_ONE + 11); /* as many as seats were given back */
	for (size_t i = 10; i < SHARE; i++)
		fair_done(kube.fair, ran[i]);
	turn(SEATS_OF_ONE + SHARE + 1); /* all that ran at once or could wait: the others were refused */
}

static void a_client_with_too_many_waiting_is_refused(void **state)
{
	size_t given;

	(void)state;
	for (size_t i = 0; i < SHARE + kube.config.requests_waiting_most; i++)
		submit(SPAN("noisy"), run_read);
	given = kube.free_count;
	submit(SPAN("noisy"), run_read); /* answered with 429: it is over */
	assert_int_equal(kube.free_count, given + 1);
	submit(SPAN("quiet"), run_read);
	turn(SHARE + kube.config.requests_waiting_most + 1);
}

static void a_waiting_call_whose_client_goes_never_runs(void **state)
{
	struct call *gone = NULL;

	(void)state;
	for (size_t i = 0; i < SHARE + 3; i++) {
		struct call *call = submit(SPAN("noisy"), run_read);

		if (i == SHARE + 1)
			gone = call;
	}
	fair_forget(kube.fair, gone);
	turn(SHARE + 2);
	assert_int_equal(place_of(gone), ran_count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_client_that_asks_little_is_served_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_quiet_client_runs_before_what_waits_of_a_noisy_one, setup, teardown),
		cmocka_unit_test_setup_teardown(clients_with_much_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(writes_of_one_client_leave_seats_for_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_with_too_many_waiting_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_waiting_call_whose_client_goes_never_runs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
