/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/aside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>

struct piece {
	struct aside aside;
	struct loop *loop;
	sem_t may_end, has_ended;
	pthread_t worked_on;
	int done, dropped;
};

static void wait_for(sem_t *s)
{
	while (sem_wait(s) != 0)
		;
}

static void work(struct aside *a)
{
	struct piece *p = CONTAINER_OF(a, struct piece, aside);

	p->worked_on = pthread_self();
	wait_for(&p->may_end);
}

static void done(struct aside *a)
{
	struct piece *p = CONTAINER_OF(a, struct piece, aside);

	p->done++;
	loop_stop(p->loop);
}

static void drop(struct aside *a)
{
	struct piece *p = CONTAINER_OF(a, struct piece, aside);

	p->dropped++;
	sem_post(&p->has_ended);
}

static void begin(struct piece *p)
{
	*p = (struct piece){ .aside = { .work = work, .done = done, .drop = drop }, .loop = loop_new() };
	sem_init(&p->may_end, 0, 0);
	sem_init(&p->has_ended, 0, 0);
	assert_true(aside_begin(&p->aside, p->loop));
}

static void its_end_is_told_on_the_loop(void **state)
{
	struct piece p;

	(void)state;
	begin(&p);
	sem_post(&p.may_end);
	loop_run(p.loop);
	assert_int_equal(p.done, 1);
	assert_int_equal(p.dropped, 0);
	assert_false(pthread_equal(p.worked_on, pthread_self()));
	loop_free(p.loop);
}

static void one_that_was_left_outlives_the_loop(void **state)
{
	struct piece p;

	(void)state;
	begin(&p);
	aside_leave(&p.aside);
	loop_free(p.loop);
	sem_post(&p.may_end);
	wait_for(&p.has_ended);
	assert_int_equal(p.done, 0);
	assert_int_equal(p.dropped, 1);
	aside_leave(NULL);
}

static void stop(struct timer *t)
{
	(void)t;
	loop_stop(loop_current());
}

/* The end is on its way to the loop, or not: either way it is dropped, and once. */
static void one_that_is_left_while_it_ends_is_dropped_once(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct piece p;
		struct timer t = { 0 };

		begin(&p);
		sem_post(&p.may_end);
		if (i % 2)
			sched_yield();
		aside_leave(&p.aside);
		loop_timer_set(p.loop, &t, 0, stop);
		while (sem_trywait(&p.has_ended) != 0) {
			loop_run(p.loop);
			loop_timer_set(p.loop, &t, 0, stop);
		}
		assert_int_equal(p.done, 0);
		assert_int_equal(p.dropped, 1);
		loop_timer_clear(p.loop, &t);
		loop_free(p.loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_end_is_told_on_the_loop),
		cmocka_unit_test(one_that_was_left_outlives_the_loop),
		cmocka_unit_test(one_that_is_left_while_it_ends_is_dropped_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
