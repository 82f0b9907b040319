/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that die, hang and grow, and who waits for them. */
#include "workers/workers_kit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "workers/workers_private.h"

/* ---- workers that die ---- */

static void a_crash_costs_the_request_and_is_told(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	front_start(f);
	pid = worker_pid(f);
	expect(f, "GET /crash", 502, "was killed by signal 11 (Segmentation fault)");
	assert_int_not_equal(worker_pid(f), pid); /* it waited for the next one */
	expect(f, "GET /exit", 502, "exited with status 3");
	expect(f, "POST /echo", 200, "hello");
	assert_int_equal(metric(f, "hythe_workers_ended_total{cause=\"signal\"}"), 1);
	assert_int_equal(metric(f, "hythe_workers_ended_total{cause=\"exit\"}"), 1);
	front_stop(f);
}

static void workers_killed_under_load_cost_only_what_they_had(void **state)
{
	struct front *f = front_new(2);
	struct load load;
	enum { KILLS = 5 };

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	load_start(&load, f, "POST /echo");
	for (int i = 0; i < KILLS; i++) {
		size_t before = load.good;

		assert_int_equal(kill(worker_pid(f), SIGKILL), 0);
		UNTIL(load.good > before + 20 && metric(f, "hythe_workers_ended_total{cause=\"signal\"}") == i + 1 &&
		      metric(f, "hythe_workers_ready") == 2);
	}
	load_stop(&load);
	assert_int_equal(load.other, 0);
	assert_true(load.bad_gateway <= KILLS); /* each had one at most */
	assert_int_equal(metric(f, "hythe_workers_ended_total{cause=\"signal\"}"), KILLS);
	front_stop(f);
}

static void a_hung_request_is_told_and_its_worker_replaced(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	f->config.timeout_ms = 4000;
	front_start(f);
	pid = worker_pid(f);
	expect(f, "GET /hang", 504, "did not answer within 4000 ms");
	assert_int_not_equal(worker_pid(f), pid);
	UNTIL(kill(pid, 0) != 0);
	expect(f, "POST /predict", 504, "{\"status\":{\"code\":-1,\"info\":\"worker ");
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"timeout\"}") == 2);
	front_stop(f);
}

static void the_others_of_a_hung_worker_are_answered(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	pid_t pid;
	int holding, hanging;

	(void)state;
	f->config.timeout_ms = 9000;
	plan_write(f, "ok 3 wsgi v1");
	front_start(f);
	pid = worker_pid(f);
	hanging = ask_start(f, "GET /hang", SPAN(""));
	pause_ms(7000); /* so that the one outlives the other, by what the next worker needs to begin */
	holding = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	expect_reply(hanging, 504, "did not answer within 9000 ms");
	assert_int_not_equal(worker_pid(f), pid); /* it takes no more */
	gate_open(f);
	reply_read(holding, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal((int)strtol(r.body.ptr, NULL, 10), pid);
	reply_done(&r);
	close(holding);
	UNTIL(kill(pid, 0) != 0);
	front_stop(f);
}

static void an_answer_that_stops_midway_is_cut(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	pid_t pid;

	(void)state;
	f->config.timeout_ms = 4000;
	plan_write(f, "ok 2 wsgi v1");
	front_start(f);
	pid = worker_pid(f);
	ask(f, "GET /quiet?n=1000", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	assert_false(r.is_whole);
	assert_int_equal(r.body.len, 1000);
	reply_done(&r);
	assert_int_not_equal(worker_pid(f), pid);
	front_stop(f);
}

static void a_worker_that_leaves_in_order_loses_nothing(void **state)
{
	struct front *f = front_new(2);
	struct load load;

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	load_start(&load, f, "POST /echo");
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(kill(worker_pid(f), SIGTERM), 0);
		UNTIL(metric(f, "hythe_workers_ended_total{cause=\"exit\"}") == i &&
		      metric(f, "hythe_workers_ready") == 2);
	}
	load_stop(&load);
	assert_true(load.good > 0);
	assert_int_equal(load.bad_gateway + load.other, 0);
	front_stop(f);
}

static void workers_that_die_young_wait_longer_each_time(void **state)
{
	static const int64_t delays[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct backoff b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		backoff_died(&b, 1000, NS_PER_S);
		assert_int_equal(b.at_ns, 1000 + delays[i] * NS_PER_MS);
	}
	backoff_died(&b, 2000, 10 * NS_PER_S); /* one that has lived is replaced at once */
	assert_int_equal(b.at_ns, 2000);
	backoff_died(&b, 3000, 0);
	assert_int_equal(b.at_ns, 3000 + 100 * NS_PER_MS);
}

/* ---- limits ---- */

static void a_worker_that_grew_is_replaced_and_nobody_notices(void **state)
{
	struct front *f = front_new(1);
	struct load load;
	pid_t pid;

	(void)state;
	f->config.rss_limit = MIB(48);
	front_start(f);
	pid = worker_pid(f);
	load_start(&load, f, "POST /echo");
	expect(f, "GET /grow", 200, "v1");
	UNTIL(worker_pid(f) != pid);
	load_stop(&load);
	assert_true(load.good > 0);
	assert_int_equal(load.bad_gateway + load.other, 0);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"memory\"}") >= 1); /* under sanitizers others grow, too */
	front_stop(f);
}

static void workers_are_replaced_after_their_requests_and_nobody_notices(void **state)
{
	struct front *f = front_new(2);
	struct load load;

	(void)state;
	f->config.max_requests = 20;
	f->config.max_requests_jitter = 10;
	front_start(f);
	load_start(&load, f, "POST /echo");
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"requests\"}") >= 5);
	load_stop(&load);
	assert_int_equal(load.bad_gateway + load.other, 0);
	front_stop(f);
}

static void requests_wait_in_order_and_too_many_are_refused(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	int fds[4];

	(void)state;
	f->config.queue_limit = 3;
	front_start(f);
	fds[0] = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	for (int i = 1; i < 4; i++) {
		fds[i] = ask_start(f, "GET /hold", SPAN(""));
		UNTIL(metric(f, "hythe_workers_queue") == i);
	}
	ask(f, "GET /about", SPAN(""), &r);
	assert_int_equal(r.status, 429);
	assert_non_null(strcasestr(r.head, "\r\nretry-after: 1\r\n"));
	assert_true(body_has(&r, "3 requests wait for a worker already"));
	reply_done(&r);
	for (int i = 0; i < 4; i++) {
		struct pollfd later = { i < 3 ? fds[i + 1] : -1, POLLIN, 0 };

		gate_open(f);
		expect_reply(fds[i], 200, "v1");
		assert_int_equal(poll(&later, 1, 0), 0); /* the one behind it is not answered yet */
		if (i < 3)
			held_wait(f);
	}
	front_stop(f);
}

static void what_waits_at_a_worker_survives_it(void **state)
{
	static const char *const deaths[] = { "GET /hold", "POST /hold" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
		struct front *f = front_new(1);
		int first, rest[5];
		pid_t pid;

		front_start(f);
		pid = worker_pid(f);
		first = ask_start(f, deaths[i], SPAN(""));
		held_wait(f);
		for (size_t j = 0; j < ARRAY_LEN(rest); j++)
			rest[j] = ask_start(f, j % 2 ? "POST /hold" : "GET /hold", j % 2 ? SPAN("hello") : SPAN(""));
		UNTIL(metric(f, "hythe_workers_queue") == ARRAY_LEN(rest));
		kill(pid, SIGKILL);
		expect_reply(first, 502, "was killed by signal 9");
		for (size_t j = 0; j < ARRAY_LEN(rest); j++) {
			held_wait(f);
			gate_open(f);
		}
		for (size_t j = 0; j < ARRAY_LEN(rest); j++)
			expect_reply(rest[j], 200, "v1");
		assert_int_not_equal(worker_pid(f), pid);
		front_stop(f);
	}
}

static void what_waits_behind_a_hung_request_is_answered(void **state)
{
	struct front *f = front_new(1);
	int first, rest[3];

	(void)state;
	f->config.timeout_ms = 5000;
	front_start(f);
	first = ask_start(f, "GET /hang", SPAN(""));
	for (size_t j = 0; j < ARRAY_LEN(rest); j++)
		rest[j] = ask_start(f, "POST /hold", SPAN("hello"));
	expect_reply(first, 504, "--timeout");
	for (size_t j = 0; j < ARRAY_LEN(rest); j++) {
		held_wait(f);
		gate_open(f);
	}
	for (size_t j = 0; j < ARRAY_LEN(rest); j++)
		expect_reply(rest[j], 200, "v1");
	front_stop(f);
}

static void a_free_worker_takes_the_next_request(void **state)
{
	struct front *f = front_new(2);
	int fd;

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	fd = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	for (int i = 0; i < 20; i++)
		expect(f, "POST /echo", 200, "hello");
	gate_open(f);
	expect_reply(fd, 200, "v1");
	front_stop(f);
}

static void who_goes_away_while_waiting_is_forgotten(void **state)
{
	struct front *f = front_new(1);
	int first, waiting;

	(void)state;
	front_start(f);
	first = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	waiting = ask_start(f, "GET /hold", SPAN(""));
	UNTIL(metric(f, "hythe_workers_queue") == 1);
	close(waiting);
	UNTIL(metric(f, "hythe_workers_queue") == 0);
	gate_open(f);
	expect_reply(first, 200, "v1");
	expect(f, "POST /echo", 200, "hello");
	front_stop(f);
}

static void a_worker_whose_client_left_is_busy_until_it_is_done(void **state)
{
	struct front *f = front_new(1);
	int first, second;

	(void)state;
	front_start(f);
	first = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	close(first);
	second = ask_start(f, "GET /hold", SPAN(""));
	UNTIL(metric(f, "hythe_workers_queue") == 1);
	gate_open(f);
	held_wait(f);
	gate_open(f);
	expect_reply(second, 200, "v1");
	front_stop(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_costs_the_request_and_is_told),
		cmocka_unit_test(workers_killed_under_load_cost_only_what_they_had),
		cmocka_unit_test(a_hung_request_is_told_and_its_worker_replaced),
		cmocka_unit_test(the_others_of_a_hung_worker_are_answered),
		cmocka_unit_test(an_answer_that_stops_midway_is_cut),
		cmocka_unit_test(a_worker_that_leaves_in_order_loses_nothing),
		cmocka_unit_test(workers_that_die_young_wait_longer_each_time),
		cmocka_unit_test(a_worker_that_grew_is_replaced_and_nobody_notices),
		cmocka_unit_test(workers_are_replaced_after_their_requests_and_nobody_notices),
		cmocka_unit_test(requests_wait_in_order_and_too_many_are_refused),
		cmocka_unit_test(what_waits_at_a_worker_survives_it),
		cmocka_unit_test(what_waits_behind_a_hung_request_is_answered),
		cmocka_unit_test(a_free_worker_takes_the_next_request),
		cmocka_unit_test(who_goes_away_while_waiting_is_forgotten),
		cmocka_unit_test(a_worker_whose_client_left_is_busy_until_it_is_done),
	};

	return KIT_RUN(argc, argv, tests);
}
