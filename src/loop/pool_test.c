/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/pool.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define JOBS 8

struct task {
	struct pool_job job;
	int number;
};

static sem_t gate, begun, ended;
static _Atomic int running, most_running;
static int order[JOBS], order_count;

static void run_gated(struct pool_job *job)
{
	int now = ++running, most = most_running;

	(void)job;
	while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
		;
	sem_post(&begun);
	sem_wait(&gate);
	running--;
}

static void done_here(struct pool_job *job)
{
	(void)job;
	sem_post(&ended);
}

static void setup(void)
{
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	sem_init(&ended, 0, 0);
	running = most_running = 0;
	order_count = 0;
}

static void as_many_run_as_there_are_threads_and_the_rest_waits(void **state)
{
	struct pool *p = pool_new(2, 3);
	struct task tasks[JOBS] = { 0 };
	struct error err = { 0 };

	(void)state;
	setup();
	for (int i = 0; i < 5; i++) {
		tasks[i].job = (struct pool_job){ .run = run_gated, .done = done_here };
		assert_true(pool_submit(p, &tasks[i].job, &err));
	}
	sem_wait(&begun);
	sem_wait(&begun);
	assert_int_equal(pool_waiting(p), 3);
	tasks[5].job = (struct pool_job){ .run = run_gated, .done = done_here };
	assert_false(pool_submit(p, &tasks[5].job, &err));
	assert_int_equal(err.code, ERROR_EXHAUSTED);
	for (int i = 0; i < 5; i++)
		sem_post(&gate);
	for (int i = 0; i < 5; i++)
		sem_wait(&ended);
	assert_int_equal(most_running, 2);
	assert_int_equal(pool_waiting(p), 0);
	pool_free(p);
}

static void run_noted(struct pool_job *job)
{
	order[order_count++] = CONTAINER_OF(job, struct task, job)->number;
}

static void done_on_loop(struct pool_job *job)
{
	struct task *t = CONTAINER_OF(job, struct task, job);

	assert_ptr_equal(loop_current(), job->loop);
	if (t->number == JOBS - 1)
		loop_stop(job->loop);
}

static void run_in_order(unsigned threads)
{
	struct pool *p = pool_new(threads, JOBS);
	struct loop *loop = loop_new();
	struct task tasks[JOBS];
	struct error err = { 0 };

	setup();
	for (int i = 0; i < JOBS; i++) {
		tasks[i] =
		    (struct task){ .job = { .loop = loop, .run = run_noted, .done = done_on_loop }, .number = i };
		assert_true(pool_submit(p, &tasks[i].job, &err));
	}
	loop_run(loop);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(order[i], i);
	assert_int_equal(pool_waiting(p), 0);
	pool_free(p);
	loop_free(loop);
}

static void jobs_run_in_order_and_report_to_their_loop(void **state)
{
	(void)state;
	run_in_order(1);
}

static void without_threads_jobs_run_on_their_loop(void **state)
{
	(void)state;
	run_in_order(0);
}

/* What the job before has deferred: its answer's way out, in a server. */
static struct loop_task between;
static int between_at;

static void note_between(struct loop_task *t)
{
	(void)t;
	between_at = order_count;
}

static void run_and_defer(struct pool_job *job)
{
	run_noted(job);
	if (order_count == 1)
		loop_defer(job->loop, &between);
}

static void without_threads_what_a_job_defers_runs_before_the_next(void **state)
{
	struct pool *p = pool_new(0, JOBS);
	struct loop *loop = loop_new();
	struct task tasks[JOBS];
	struct error err = { 0 };

	(void)state;
	setup();
	between.run = note_between;
	for (int i = 0; i < JOBS; i++) {
		tasks[i] =
		    (struct task){ .job = { .loop = loop, .run = run_and_defer, .done = done_on_loop }, .number = i };
		assert_true(pool_submit(p, &tasks[i].job, &err));
	}
	loop_run(loop);
	assert_int_equal(between_at, 1);
	pool_free(p);
	loop_free(loop);
}

static void a_pool_without_jobs_starts_no_thread(void **state)
{
	(void)state;
	pool_free(pool_new(64, 1));
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_run_as_there_are_threads_and_the_rest_waits),
		cmocka_unit_test(jobs_run_in_order_and_report_to_their_loop),
		cmocka_unit_test(without_threads_jobs_run_on_their_loop),
		cmocka_unit_test(without_threads_what_a_job_defers_runs_before_the_next),
		cmocka_unit_test(a_pool_without_jobs_starts_no_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
