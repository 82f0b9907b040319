/* SPDX-License-Identifier: Apache-2.0 */
/* balance_test - the choice of endpoints, without a request: a worker with plans of its own. */
#include "gateway/balance.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "gateway/proxy.h"

enum { CHOSEN = 4000, ENDPOINTS_MOST = 10 };

struct fixture {
	struct metrics *metrics;
	struct gateway_config config;
	struct gateway_worker worker;
	uint64_t number;
	const struct plan_backend *plan;
};

static void begin(struct fixture *f)
{
	*f = (struct fixture){ .metrics = metrics_new() };
	f->config.metrics = f->metrics;
	f->config.limits = gateway_limits_default();
	f->config.limits.slow_start_ns = 0;
	f->worker.config = &f->config;
	f->worker.loop = loop_new();
	f->worker.use = use_new(f->metrics, 1);
	f->worker.balance = balance_new(&f->worker);
}

/* A plan with one service: so many endpoints at 127.97.0.1, 2, ... */
static struct backend *take_up(struct fixture *f, size_t count, int64_t affinity_ns, const char *pod)
{
	struct plan_builder *builder = plan_begin();
	struct arena *arena = plan_builder_arena(builder);
	struct error err = { 0 };
	struct plan_backend *b = plan_backend(builder, SPAN("default/web:80"));
	struct plan_endpoint *endpoints = arena_calloc(arena, count + 1, sizeof(*endpoints), &err);
	struct plan *before = f->worker.plan;

	b->name_space = SPAN("default");
	b->service = SPAN("web");
	b->affinity_ns = affinity_ns;
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_in *in = (struct sockaddr_in *)&endpoints[i].address;

		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(0x7f610001 + (uint32_t)i);
		endpoints[i].key = arena_print(arena, &err, "127.97.0.%zu:80", i + 1);
		endpoints[i].pod = span_of(pod);
		endpoints[i].is_ready = true;
	}
	b->endpoints = endpoints;
	b->endpoint_count = count;
	f->plan = b;
	f->worker.plan = plan_finish(builder, ++f->number, &err);
	assert_non_null(f->worker.plan);
	balance_take_up(f->worker.balance);
	plan_unref(before);
	return balance_backend(f->worker.balance, b);
}

static void end(struct fixture *f)
{
	balance_free(f->worker.balance);
	plan_unref(f->worker.plan);
	use_free(f->worker.use);
	loop_free(f->worker.loop);
	metrics_free(f->metrics);
}

static size_t place(const struct backend *b, const struct endpoint *e)
{
	size_t i = 0;

	while (b->endpoints[i] != e)
		i++;
	return i;
}

/* How often each is chosen when all are released at once. */
static void count(struct backend *b, unsigned times[ENDPOINTS_MOST])
{
	memset(times, 0, ENDPOINTS_MOST * sizeof(*times));
	for (int i = 0; i < CHOSEN; i++) {
		struct endpoint *e = backend_choose(b, NULL, (struct span){ 0 });

		assert_non_null(e);
		times[place(b, e)]++;
		endpoint_end(e, FATE_NONE);
	}
}

static void all_are_asked_alike(void **state)
{
	unsigned times[ENDPOINTS_MOST];
	struct fixture f;

	(void)state;
	begin(&f);
	for (size_t n = 1; n <= 5; n++) {
		count(take_up(&f, n, 0, "pod"), times);
		for (size_t i = 0; i < n; i++)
			assert_in_range(times[i], CHOSEN / n - 250, CHOSEN / n + 250);
	}
	end(&f);
}

static void load_is_spread_by_what_is_under_way(void **state)
{
	struct endpoint *held[100];
	struct fixture f;
	struct backend *b;

	(void)state;
	begin(&f);
	b = take_up(&f, 5, 0, "pod");
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		held[i] = backend_choose(b, NULL, (struct span){ 0 });
	for (size_t i = 0; i < 5; i++)
		assert_in_range(b->endpoints[i]->in_flight, 15, 25); /* at random alone it would be 20 +- 12 */
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		endpoint_end(held[i], FATE_GOOD);
	end(&f);
}

static void a_new_one_begins_with_little_and_grows(void **state)
{
	unsigned times[ENDPOINTS_MOST];
	struct fixture f;
	struct backend *b;
	int64_t now;

	(void)state;
	begin(&f);
	f.config.limits.slow_start_ns = 10 * NS_PER_S;
	b = take_up(&f, 2, 0, "pod");
	now = loop_now(f.worker.loop);
	b->endpoints[0]->made_ns = now - 20 * NS_PER_S;
	b->endpoints[1]->made_ns = now;
	count(b, times);
	assert_in_range(times[1], 0, CHOSEN * 20 / 100);
	b->endpoints[1]->made_ns = now - 5 * NS_PER_S;
	count(b, times);
	assert_in_range(times[1], CHOSEN * 20 / 100, CHOSEN * 48 / 100);
	b->endpoints[1]->made_ns = now - 10 * NS_PER_S;
	count(b, times);
	assert_in_range(times[1], CHOSEN * 44 / 100, CHOSEN * 56 / 100);
	end(&f);
}

static void one_that_was_tried_is_not_tried_again_if_there_is_another(void **state)
{
	struct fixture f;
	struct backend *b;

	(void)state;
	begin(&f);
	b = take_up(&f, 3, 0, "pod");
	for (int i = 0; i < 300; i++) {
		struct endpoint *e = backend_choose(b, b->endpoints[i % 3], (struct span){ 0 });

		assert_ptr_not_equal(e, b->endpoints[i % 3]);
		endpoint_end(e, FATE_GOOD);
	}
	b = take_up(&f, 1, 0, "pod");
	for (int i = 0; i < 3; i++)
		endpoint_end(backend_choose(b, b->endpoints[0], (struct span){ 0 }), FATE_GOOD);
	end(&f);
}

static void full_ones_are_not_chosen(void **state)
{
	struct endpoint *held[6];
	struct fixture f;
	struct backend *b;

	(void)state;
	begin(&f);
	f.config.limits.endpoint_most = 2;
	b = take_up(&f, 3, 0, "pod");
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		assert_non_null(held[i] = backend_choose(b, NULL, (struct span){ 0 }));
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	endpoint_end(held[0], FATE_GOOD);
	assert_ptr_equal(backend_choose(b, NULL, (struct span){ 0 }), held[0]);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		endpoint_end(held[i], FATE_GOOD);
	end(&f);
}

static void a_tunnel_takes_no_request_s_room(void **state)
{
	struct endpoint *held[100], *e;
	struct fixture f;
	struct backend *b;

	(void)state;
	begin(&f);
	f.config.limits.endpoint_most = 1;
	b = take_up(&f, 1, 0, "pod");
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		assert_non_null(held[i] = backend_choose(b, NULL, (struct span){ 0 }));
		assert_null(backend_choose(b, NULL, (struct span){ 0 }));
		endpoint_tunnel(held[i]);
	}
	assert_non_null(e = backend_choose(b, NULL, (struct span){ 0 }));
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	endpoint_end(e, FATE_GOOD);
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		endpoint_tunnel_end(held[i]);
		endpoint_end(held[i], FATE_GOOD);
	}
	end(&f);
}

static void one_that_refuses_rests_and_is_then_asked_for_one_connection_at_a_time(void **state)
{
	struct endpoint *e, *kept;
	struct fixture f;
	struct backend *b;

	(void)state;
	begin(&f);
	b = take_up(&f, 1, 0, "pod");
	endpoint_end(backend_choose(b, NULL, (struct span){ 0 }), FATE_REFUSED);
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	while (b->endpoints[0]->is_resting)
		loop_turn(f.worker.loop, true);
	assert_non_null(kept = backend_choose(b, NULL, (struct span){ 0 })); /* there is a connection from before */
	assert_non_null(e = backend_choose(b, NULL, (struct span){ 0 }));
	endpoint_dials(e);
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	endpoint_dials_no_more(e);
	endpoint_connected(e);
	endpoint_dials(e);
	endpoint_end(backend_choose(b, NULL, (struct span){ 0 }), FATE_GOOD);
	endpoint_dials_no_more(e);
	endpoint_end(e, FATE_GOOD);
	endpoint_end(kept, FATE_GOOD);
	end(&f);
}

static void clients_are_spread_and_few_move_when_one_is_added(void **state)
{
	struct endpoint *before[1000];
	unsigned moved = 0, times[ENDPOINTS_MOST] = { 0 };
	struct fixture f;
	struct backend *b;

	(void)state;
	begin(&f);
	b = take_up(&f, 4, NS_PER_S, "pod");
	for (uint32_t i = 0; i < ARRAY_LEN(before); i++) {
		before[i] = backend_choose(b, NULL, span_from(&i, sizeof(i)));
		times[place(b, before[i])]++;
		endpoint_end(before[i], FATE_GOOD);
	}
	for (size_t i = 0; i < 4; i++)
		assert_in_range(times[i], 180, 320);
	b = take_up(&f, 5, NS_PER_S, "pod");
	for (uint32_t i = 0; i < ARRAY_LEN(before); i++) {
		struct endpoint *e = backend_choose(b, NULL, span_from(&i, sizeof(i)));

		moved += e != before[i];
		assert_true(e == before[i] || place(b, e) == 4);
		endpoint_end(e, FATE_GOOD);
	}
	assert_in_range(moved, 140, 270);
	end(&f);
}

static void what_is_known_of_an_endpoint_outlives_plans_but_not_its_pod(void **state)
{
	struct fixture f;
	struct backend *b;
	struct endpoint *e, *gone;

	(void)state;
	begin(&f);
	b = take_up(&f, 2, 0, "first");
	e = backend_choose(b, NULL, (struct span){ 0 });
	b = take_up(&f, 2, 0, "first");
	assert_true(b->endpoints[0] == e || b->endpoints[1] == e);
	assert_int_equal(e->in_flight, 1);
	gone = e;
	b = take_up(&f, 2, 0, "second");
	assert_true(b->endpoints[0] != gone && b->endpoints[1] != gone);
	assert_true(gone->is_gone); /* it lives as long as its request */
	assert_int_equal(f.worker.balance->endpoint_count, 2);
	endpoint_end(gone, FATE_GOOD);
	b = take_up(&f, 0, 0, "second");
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	assert_int_equal(f.worker.balance->endpoint_count, 0);
	end(&f);
}

static void drained_ones_stay_so_over_plans_until_it_is_forgotten(void **state)
{
	struct in_addr pod = { .s_addr = htonl(0x7f610001) };
	struct fixture f;
	struct backend *b;
	struct endpoint *e;

	(void)state;
	begin(&f);
	b = take_up(&f, 1, 0, "pod");
	e = backend_choose(b, NULL, (struct span){ 0 });
	assert_int_equal(balance_drain(f.worker.balance, pod), 1);
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	endpoint_end(e, FATE_GOOD);
	assert_int_equal(balance_in_flight(f.worker.balance, pod), 0);
	b = take_up(&f, 1, 0, "next");
	assert_null(backend_choose(b, NULL, (struct span){ 0 }));
	balance_drained_forget(f.worker.balance, pod);
	endpoint_end(backend_choose(b, NULL, (struct span){ 0 }), FATE_GOOD);
	end(&f);
}

static void the_budget_is_a_fifth_and_ten_a_second_at_least(void **state)
{
	struct fixture f;
	struct backend *b;
	unsigned allowed = 0;

	(void)state;
	begin(&f);
	b = take_up(&f, 1, 0, "pod");
	for (int i = 0; i < 30; i++)
		allowed += backend_may_try(b);
	assert_int_equal(allowed, 10);
	for (int i = 0; i < 1000; i++)
		backend_asked(b);
	for (int i = 0; i < 1000; i++)
		allowed += backend_may_try(b);
	assert_int_equal(allowed, 200);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_asked_alike),
		cmocka_unit_test(load_is_spread_by_what_is_under_way),
		cmocka_unit_test(a_new_one_begins_with_little_and_grows),
		cmocka_unit_test(one_that_was_tried_is_not_tried_again_if_there_is_another),
		cmocka_unit_test(full_ones_are_not_chosen),
		cmocka_unit_test(a_tunnel_takes_no_request_s_room),
		cmocka_unit_test(one_that_refuses_rests_and_is_then_asked_for_one_connection_at_a_time),
		cmocka_unit_test(clients_are_spread_and_few_move_when_one_is_added),
		cmocka_unit_test(what_is_known_of_an_endpoint_outlives_plans_but_not_its_pod),
		cmocka_unit_test(drained_ones_stay_so_over_plans_until_it_is_forgotten),
		cmocka_unit_test(the_budget_is_a_fifth_and_ten_a_second_at_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
