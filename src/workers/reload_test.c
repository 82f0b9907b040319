/* SPDX-License-Identifier: Apache-2.0 */
/* Start, reload and end of workers, preloaded ones too; and what is answered without them. */
#include "workers/workers_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- start, reload, end ---- */

static void start_fails_with(const char *plan, const char *words)
{
	struct front *f = front_new(2);

	if (plan && strncmp(plan, "silent", 6) == 0)
		f->config.start_timeout_ms = 2000;
	if (plan)
		plan_write(f, plan);
	else
		f->argv[0] = "/no/such/program";
	front_try(f);
	assert_false(f->has_come_up);
	if (!strstr(f->failure.message, words))
		fail_msg("'%s' lacks '%s'", f->failure.message, words);
	expect(f, "POST /echo", 503, words);
	front_stop(f);
}

static void a_start_that_fails_says_why(void **state)
{
	(void)state;
	start_fails_with("fail 1 component v1", "TestError: plan");
	start_fails_with("die 1 component v1", "exited with status 4");
	start_fails_with("silent 1 component v1", "was not ready within 2000 ms");
	start_fails_with(NULL, "cannot run '/no/such/program': No such file or directory");
}

static void a_failure_is_told_though_the_process_stays(void **state)
{
	(void)state;
	for (int is_preloaded = 0; is_preloaded < 2; is_preloaded++) {
		struct front *f = front_new(1);
		int64_t until_ns = clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS;

		f->config.is_preloaded = is_preloaded;
		f->config.start_timeout_ms = 2 * DEADLINE_MS;
		plan_write(f, "stay 1 component v1");
		front_try(f);
		assert_false(f->has_come_up);
		assert_non_null(strstr(f->failure.message, is_preloaded ? "TestError: nursery" : "TestError: plan"));
		assert_true(clock_monotonic_ns() < until_ns);
		front_stop(f);
	}
}

static void reloads_under_load_lose_nothing(void **state)
{
	struct front *f = front_new(2);
	struct load load;

	(void)state;
	front_start(f);
	load_start(&load, f, "POST /echo");
	for (int i = 2; i < 12; i++) {
		char plan[64], version[16];

		snprintf(plan, sizeof(plan), "ok 1 component v%d", i);
		snprintf(version, sizeof(version), " v%d", i);
		plan_write(f, plan);
		workers_reload(f->workers);
		for (bool is_new = false; !is_new;) {
			struct reply r;

			ask(f, "GET /about", SPAN(""), &r);
			assert_int_equal(r.status, 200);
			is_new = body_has(&r, version);
			reply_done(&r);
		}
	}
	load_stop(&load);
	assert_true(load.good > 0);
	assert_int_equal(load.bad_gateway + load.other, 0);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	front_stop(f);
}

static void a_reload_that_fails_leaves_the_old_code_in_service(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	front_start(f);
	pid = worker_pid(f);
	plan_write(f, "fail 1 component v2");
	workers_reload(f->workers);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"start\"}") >= 1);
	assert_int_equal(worker_pid(f), pid);
	plan_write(f, "ok 1 component v3");
	workers_reload(f->workers);
	UNTIL(worker_pid(f) != pid);
	expect(f, "GET /about", 200, "v3");
	front_stop(f);
}

static void preloaded_workers_are_forked_and_their_ends_told(void **state)
{
	struct front *f = front_new(2);
	pid_t pid;

	(void)state;
	f->config.is_preloaded = true;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	expect(f, "POST /echo", 200, "hello");
	expect(f, "GET /crash", 502, "was killed by signal 11 (Segmentation fault)");
	expect(f, "GET /exit", 502, "exited with status 3");
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	pid = worker_pid(f);
	plan_write(f, "ok 1 component v2");
	workers_reload(f->workers);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"reload\"}") == 2 && metric(f, "hythe_workers_ready") == 2);
	assert_int_not_equal(worker_pid(f), pid);
	expect(f, "GET /about", 200, "v2");
	front_stop(f);
}

static void a_nursery_that_fails_says_why(void **state)
{
	struct front *f = front_new(2);

	(void)state;
	f->config.is_preloaded = true;
	plan_write(f, "fail 1 component v1");
	front_try(f);
	assert_false(f->has_come_up);
	assert_non_null(strstr(f->failure.message, "TestError: nursery"));
	front_stop(f);
	f = front_new(1);
	f->config.is_preloaded = true;
	f->argv[0] = "/no/such/program";
	front_try(f);
	assert_false(f->has_come_up);
	assert_non_null(strstr(f->failure.message, "cannot run '/no/such/program': No such file or directory"));
	front_stop(f);
}

/* The parent of a process, by proc(5). */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[256];
	const char *at;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	at = strrchr(text, ')');
	return at ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

static void a_nursery_that_dies_is_made_anew(void **state)
{
	struct front *f = front_new(1);
	pid_t pid, nursery;

	(void)state;
	f->config.is_preloaded = true;
	front_start(f);
	pid = worker_pid(f);
	nursery = parent_of(pid);
	assert_int_not_equal(nursery, getpid());
	assert_int_equal(kill(nursery, SIGKILL), 0);
	expect(f, "POST /echo", 200, "hello");
	UNTIL(kill(nursery, 0) != 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"exit\"}") == 1);
	assert_int_not_equal(worker_pid(f), pid);
	front_stop(f);
}

static void a_nursery_that_cannot_be_made_anew_says_why(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	f->config.is_preloaded = true;
	front_start(f);
	pid = worker_pid(f);
	plan_write(f, "fail 1 component v2");
	assert_int_equal(kill(parent_of(pid), SIGKILL), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	UNTIL(metric(f, "hythe_workers_ready") == 0);
	expect(f, "POST /echo", 503, "TestError: nursery");
	plan_write(f, "ok 1 component v3");
	UNTIL(metric(f, "hythe_workers_ready") == 1);
	expect(f, "GET /about", 200, "v3");
	front_stop(f);
}

static void a_nursery_that_stands_still_does_not_hold_up_the_end(void **state)
{
	(void)state;
	for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
		struct front *f = front_new(1);
		pid_t pid;

		f->config.is_preloaded = true;
		f->config.graceful_timeout_ms = 500;
		front_start(f);
		pid = worker_pid(f);
		assert_int_equal(kill(parent_of(pid), SIGSTOP), 0);
		if (is_replaced) {
			assert_int_equal(kill(pid, SIGKILL), 0);
			UNTIL(metric(f, "hythe_workers_ready") == 0); /* the next one is asked for */
		}
		front_stop(f);
	}
}

static bool is_gone(pid_t pid)
{
	char path[32], text[256];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return true;
	text[n] = 0;
	return strstr(text, ") Z ") != NULL; /* for whoever adopted it to reap */
}

static void workers_end_with_the_one_in_front(void **state)
{
	int told[2];
	pid_t front, worker;

	(void)state;
	for (int is_preloaded = 0; is_preloaded < 2; is_preloaded++) {
		assert_int_equal(pipe(told), 0);
		front = fork();
		if (front == 0) {
			struct front *f = front_new(1);

			f->config.is_preloaded = is_preloaded;
			front_start(f);
			worker = worker_pid(f);
			(void)unlink(f->plan); /* read, and nobody will be here to do it later */
			assert_int_equal(write(told[1], &worker, sizeof(worker)), sizeof(worker));
			for (;;)
				pause();
		}
		assert_int_equal(read(told[0], &worker, sizeof(worker)), sizeof(worker));
		assert_int_equal(kill(front, SIGKILL), 0);
		assert_int_equal(waitpid(front, NULL, 0), front);
		UNTIL(is_gone(worker));
		close(told[0]);
		close(told[1]);
	}
}

static void what_was_accepted_is_answered_before_the_end(void **state)
{
	struct front *f = front_new(1);
	int first, second;

	(void)state;
	front_start(f);
	first = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	second = ask_start(f, "GET /hold", SPAN(""));
	UNTIL(metric(f, "hythe_workers_queue") == 1);
	server_drain(f->server);
	gate_open(f);
	gate_open(f);
	expect_reply(first, 200, "v1");
	expect_reply(second, 200, "v1");
	front_stop(f);
}

/* ---- what is answered here ---- */

static void metrics_are_those_of_all(void **state)
{
	struct front *f = front_new(2);

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	assert_int_equal(metric(f, "test_gauge{version=\"v1\",worker=\"0\"}"), 1);
	assert_int_equal(metric(f, "test_gauge{version=\"v1\",worker=\"1\"}"), 1);
	assert_int_equal(metric(f, "hythe_connections{worker=\"0\"}"), -1);
	front_stop(f);
}

static void health_is_answered_here_unless_all_paths_are_the_applications(void **state)
{
	struct front *f = front_new(1);

	(void)state;
	front_start(f);
	expect(f, "GET /health/ping", 200, "pong");
	expect(f, "GET /live", 200, "alive");
	expect(f, "GET /v2/health/live", 200, "true");
	expect(f, "GET /ready", 200, "ready");
	expect(f, "GET /v2/health/ready", 200, "true");
	front_stop(f);
	f = front_new(1);
	plan_write(f, "ok 1 wsgi v1");
	f->config.metrics_path = "/measures";
	front_start(f);
	expect(f, "GET /live", 404, "live");
	expect(f, "GET /metrics", 200, "# TYPE test_gauge gauge\ntest_gauge{version=\"v1\"} 1\n"); /* its own */
	expect(f, "GET /measures", 200, "\nhythe_workers_ready 1\n");
	front_stop(f);
	f = front_new(1);
	plan_write(f, "die 1 component v1");
	front_try(f);
	expect(f, "GET /live", 200, "alive");
	expect(f, "GET /ready", 503, "not ready");
	expect(f, "GET /v2/health/ready", 503, "false");
	front_stop(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_end_with_the_one_in_front), /* first: it forks */
		cmocka_unit_test(a_start_that_fails_says_why),
		cmocka_unit_test(a_failure_is_told_though_the_process_stays),
		cmocka_unit_test(reloads_under_load_lose_nothing),
		cmocka_unit_test(a_reload_that_fails_leaves_the_old_code_in_service),
		cmocka_unit_test(preloaded_workers_are_forked_and_their_ends_told),
		cmocka_unit_test(a_nursery_that_fails_says_why),
		cmocka_unit_test(a_nursery_that_dies_is_made_anew),
		cmocka_unit_test(a_nursery_that_cannot_be_made_anew_says_why),
		cmocka_unit_test(a_nursery_that_stands_still_does_not_hold_up_the_end),
		cmocka_unit_test(what_was_accepted_is_answered_before_the_end),
		cmocka_unit_test(metrics_are_those_of_all),
		cmocka_unit_test(health_is_answered_here_unless_all_paths_are_the_applications),
	};

	return KIT_RUN(argc, argv, tests);
}
