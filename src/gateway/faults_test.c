/* SPDX-License-Identifier: Apache-2.0 */
/* faults_test - endpoints that do as they should not, and what the gateway makes of it: tries, ejection, queues, drains. */
#include "gateway/gateway_kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static struct origin a, b;
static struct origin *const one[] = { &a }, *const two[] = { &a, &b };
static struct kit k;

static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

enum { EJECTED_MS = 1500 };

/* Times that pass in a test; else nothing takes so long, however busy the machine is. */
static bool waits_short, is_ejected_long;
static int64_t stall_ms; /* 0: as long as anything takes */

static void short_limits(struct gateway_limits *limits)
{
	limits->stall_ns = (stall_ms ? stall_ms : DEADLINE_MS) * NS_PER_MS;
	limits->queue_ns = waits_short ? 600 * NS_PER_MS : DEADLINE_MS * NS_PER_MS;
	limits->ejected_ns = (is_ejected_long ? 60 * DEADLINE_MS : EJECTED_MS) * NS_PER_MS;
	limits->failures_to_eject = 3;
}

static void begin(enum way first, enum way second)
{
	origin_init(&a, "a", first);
	origin_init(&b, "b", second);
	kit_init(&k, 1, short_limits);
}

static void end(void)
{
	waits_short = is_ejected_long = false;
	stall_ms = 0;
	kit_done(&k);
	origin_done(&a);
	origin_done(&b);
}

static int status_of(const char *request)
{
	struct answer answer;
	int status;

	ask(&k, request, &answer);
	status = answer.status;
	answer_done(&answer);
	return status;
}

/* ---- before a byte of the answer ---- */

static void get_is_tried_at_another_endpoint_and_post_is_not(enum way way)
{
	struct answer answer;
	unsigned failed = 0;

	begin(way, WAY_NAMES);
	kit_simple(&k, two, 2);
	for (int i = 0; i < 12 || (!a.requests && i < 1000); i++) /* it is drawn at random */
		expect(&k, "/", 200, "b");
	assert_true(a.requests > 0);
	end();

	begin(way, WAY_NAMES);
	kit_simple(&k, one, 1);
	ask(&k, post, &answer);
	assert_int_equal(answer.status, 502);
	assert_true(has(&answer, "{\"error\":\"service default/web: "));
	failed += answer.status == 502;
	answer_done(&answer);
	assert_int_equal(a.requests, 1); /* once: nobody knows what it has done */
	assert_int_equal(failed, 1);
	end();
}

static void an_endpoint_that_closes_is_passed_over_for_what_may_be_sent_again(void **state)
{
	(void)state;
	get_is_tried_at_another_endpoint_and_post_is_not(WAY_CLOSES);
}

static void an_endpoint_that_resets_is_passed_over_for_what_may_be_sent_again(void **state)
{
	(void)state;
	get_is_tried_at_another_endpoint_and_post_is_not(WAY_RESETS);
}

static void an_answer_that_is_no_http_is_a_bad_gateway(void **state)
{
	static const enum way ways[] = { WAY_GARBAGE, WAY_SMUGGLES };
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		begin(ways[i], WAY_NAMES);
		kit_simple(&k, one, 1);
		ask(&k, post, &answer);
		assert_int_equal(answer.status, 502);
		assert_true(has(&answer, "service default/web: "));
		assert_false(has(&answer, "hello"));
		answer_done(&answer);
		UNTIL(a.open == 0); /* its connection is of no more use */
		end();
	}
}

static void bytes_behind_an_answer_are_nobody_s(void **state)
{
	struct answer answer;
	int fd;

	(void)state;
	begin(WAY_MORE, WAY_NAMES);
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	for (int i = 0; i < 4; i++) {
		say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		hear(fd, &answer);
		assert_int_equal(answer.status, 200);
		assert_string_equal(answer.body, "hello");
		answer_done(&answer);
	}
	close(fd);
	end();
}

static void an_endpoint_that_says_nothing_is_given_up(void **state)
{
	struct answer answer;
	int64_t from = now_ms();

	(void)state;
	stall_ms = 400;
	begin(WAY_SILENT, WAY_NAMES);
	kit_simple(&k, one, 1);
	ask(&k, post, &answer);
	assert_int_equal(answer.status, 504);
	assert_true(has(&answer, "its endpoint did not go on within 400 ms"));
	assert_in_range(now_ms() - from, 390, DEADLINE_MS);
	answer_done(&answer);
	UNTIL(a.open == 0);
	end();
}

static void a_try_s_time_limit_sends_what_is_safe_to_another_endpoint(void **state)
{
	struct plan_route *r;

	(void)state;
	begin(WAY_SILENT, WAY_NAMES);
	kit_begin(&k);
	r = kit_route(&k, "/", kit_backend(&k, "web", two, 2));
	r->try_timeout_ns = 5 * NS_PER_S;
	kit_publish(&k);
	for (int i = 0; !a.requests && i < 1000; i++) /* it is drawn at random */
		expect(&k, "/", 200, "b");
	assert_true(a.requests > 0);
	end();
}

/* ---- in the middle ---- */

static void an_answer_that_breaks_off_is_seen_to(void **state)
{
	static const enum way ways[] = { WAY_BREAKS, WAY_STALLS };
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		stall_ms = ways[i] == WAY_STALLS ? 3000 : 0; /* it has to have begun by then */
		begin(ways[i], WAY_NAMES);
		kit_simple(&k, one, 1);
		ask(&k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
		assert_int_equal(answer.status, 200);
		assert_true(answer.is_cut);
		assert_string_equal(answer.body, "hello");
		answer_done(&answer);
		assert_int_equal(a.requests, 1);
		end();
	}
}

/* ---- clients that lie ---- */

/* Where one reader sees one request and another two: whoever is in front of hythe, or behind it, may be the other reader. */
static void requests_that_two_readers_could_read_differently_are_refused(void **state)
{
	static const char *const rows[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello!",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
		"chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\nX: y\r\n\r\n",
		"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
	};
	struct answer answer;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, one, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask(&k, rows[i], &answer);
		if (answer.status != 400 && answer.status != 501 && answer.status != 505)
			fail_msg("row %zu: %d", i, answer.status);
		answer_done(&answer);
	}
	assert_int_equal(a.requests, 0);
	/* A body's chunks that are none, and one that ends early, break off what had begun. */
	ask(&k, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", &answer);
	assert_int_equal(answer.status, 400);
	answer_done(&answer);
	assert_int_equal(a.requests, 0);
	expect(&k, "/", 200, "a");
	end();
}

/* ---- connections that were kept ---- */

static void a_connection_that_its_server_closed_costs_no_request(void **state)
{
	struct answer answer;

	(void)state;
	begin(WAY_ONCE, WAY_NAMES);
	kit_simple(&k, one, 1);
	for (int i = 0; i < 20; i++) {
		ask(&k, post, &answer);
		assert_int_equal(answer.status, 200);
		answer_done(&answer);
		UNTIL(a.open == 0);
	}
	assert_int_equal(a.requests, 20);
	end();
}

/* ---- nobody there ---- */

static void one_that_refuses_is_passed_over_for_everything(void **state)
{
	struct answer answer;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, two, 2);
	origin_down(&a);
	for (int i = 0; i < 20; i++) {
		ask(&k, post, &answer);
		assert_int_equal(answer.status, 200);
		assert_string_equal(answer.body, "b");
		answer_done(&answer);
	}
	end();
}

static void when_all_are_gone_it_says_so_in_time_and_recovers_by_itself(void **state)
{
	struct answer answer;
	int64_t from;

	(void)state;
	waits_short = true;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, two, 2);
	expect(&k, "/", 200, NULL);
	origin_down(&a);
	origin_down(&b);
	from = now_ms();
	ask(&k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
	assert_int_equal(answer.status, 503);
	assert_in_range(now_ms() - from, 550, DEADLINE_MS);
	assert_true(has(&answer, "Retry-After: "));
	assert_true(
	    has(&answer,
		"{\"error\":\"service default/web: it cannot be connected to: Connection refused (waited 600 ms)\"}"));
	answer_done(&answer);
	origin_up(&b);
	UNTIL(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
	expect(&k, "/", 200, "b");
	origin_up(&a);
	UNTIL((expect(&k, "/", 200, NULL), a.requests > 1));
	end();
}

struct asking {
	struct kit *k;
	const char *request;
	struct answer answer;
	pthread_t thread;
};

static void *asking_run(void *argument)
{
	struct asking *one_asking = argument;

	ask(one_asking->k, one_asking->request, &one_asking->answer);
	return NULL;
}

static void asking_begin(struct asking *c, const char *request)
{
	*c = (struct asking){ .k = &k, .request = request };
	assert_int_equal(pthread_create(&c->thread, NULL, asking_run, c), 0);
}

static int64_t waiting(void)
{
	struct gateway_use use;

	return gateway_use_of(k.gateway, SPAN("default"), SPAN("web"), (struct span){ 0 }, &use) ? use.waiting : 0;
}

static int64_t in_flight(const char *pod)
{
	struct gateway_use use;

	return gateway_use_of(k.gateway, SPAN("default"), SPAN("web"), span_of(pod), &use) ? use.in_flight : -1;
}

static void a_request_that_waits_goes_on_when_an_endpoint_is_ready(void **state)
{
	struct asking c;
	int64_t from;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, NULL, 0);
	asking_begin(&c, post);
	UNTIL(waiting() == 1);
	from = now_ms();
	kit_simple(&k, one, 1);
	pthread_join(c.thread, NULL);
	assert_int_equal(c.answer.status, 200);
	assert_true(now_ms() - from < DEADLINE_MS / 2); /* long before the queue's time */
	answer_done(&c.answer);
	assert_int_equal(waiting(), 0);
	end();
}

/* As when its queue was full for a moment, while an answer goes on for days. */
static void one_that_has_refused_is_asked_again_whatever_is_under_way_there(void **state)
{
	struct asking c[2];

	(void)state;
	begin(WAY_HOLDS, WAY_NAMES);
	kit_simple(&k, one, 1);
	asking_begin(&c[0], post);
	UNTIL(a.requests == 1);
	a.way = WAY_NAMES;
	origin_refuses(&a);
	asking_begin(&c[1], post);
	UNTIL(kit_count(&k, METRIC_GATEWAY_FAILURES, "web", "refused") > 0);
	origin_up(&a);
	pthread_join(c[1].thread, NULL);
	assert_int_equal(c[1].answer.status, 200);
	origin_release(&a, 1);
	pthread_join(c[0].thread, NULL);
	assert_int_equal(c[0].answer.status, 200);
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		answer_done(&c[i].answer);
	end();
}

static void without_an_endpoint_the_reason_is_told(void **state)
{
	struct answer answer;

	(void)state;
	waits_short = true;
	begin(WAY_NAMES, WAY_NAMES);
	kit_begin(&k);
	k.main->backend = kit_backend(&k, "web", NULL, 0);
	((struct plan_backend *)k.main->backend)->why = SPAN("no pod matches its selector");
	kit_publish(&k);
	ask(&k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
	assert_int_equal(answer.status, 503);
	assert_true(has(&answer, "service default/web: no pod matches its selector (waited 600 ms)"));
	answer_done(&answer);
	end();
}

static void a_service_that_goes_answers_those_who_wait(void **state)
{
	struct asking c;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, NULL, 0);
	asking_begin(&c, post);
	UNTIL(waiting() == 1);
	kit_begin(&k);
	kit_publish(&k);
	pthread_join(c.thread, NULL);
	assert_int_equal(c.answer.status, 503);
	assert_true(has(&c.answer, "service default/web is gone"));
	answer_done(&c.answer);
	end();
}

static void small_queue(struct gateway_limits *limits)
{
	short_limits(limits);
	limits->queue_most = 2;
	limits->endpoint_most = 1;
}

static void over_the_queue_s_limit_it_is_429_and_what_waits_is_answered_in_turn(void **state)
{
	struct asking c[3];
	struct answer answer;

	(void)state;
	origin_init(&a, "a", WAY_HOLDS);
	origin_init(&b, "b", WAY_NAMES);
	kit_init(&k, 1, small_queue);
	kit_simple(&k, one, 1);
	asking_begin(&c[0], post);
	UNTIL(a.requests == 1);
	asking_begin(&c[1], post);
	asking_begin(&c[2], post);
	UNTIL(waiting() == 2);
	ask(&k, post, &answer);
	assert_int_equal(answer.status, 429);
	assert_true(has(&answer, "Retry-After: "));
	assert_true(has(&answer, "service default/web: 2 requests wait for an endpoint already"));
	answer_done(&answer);
	origin_release(&a, 3);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		pthread_join(c[i].thread, NULL);
		assert_int_equal(c[i].answer.status, 200);
		answer_done(&c[i].answer);
	}
	end();
}

static void who_goes_while_it_waits_waits_no_more(void **state)
{
	int fd;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, NULL, 0);
	fd = client_new_fd(&k);
	say(fd, post);
	UNTIL(waiting() == 1);
	close(fd);
	UNTIL(waiting() == 0);
	end();
}

struct wanted {
	_Atomic unsigned times;
};

static void wanted(void *context, struct span name_space, struct span service)
{
	struct wanted *w = context;

	assert_true(span_equal(name_space, SPAN("default")));
	assert_true(span_equal(service, SPAN("web")));
	w->times++;
}

static void a_service_without_endpoints_is_wanted_once_a_second(void **state)
{
	struct wanted w = { 0 };
	struct asking c[4];
	int64_t from = now_ms();

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_simple(&k, NULL, 0);
	gateway_on_wanted(k.gateway, wanted, &w);
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		asking_begin(&c[i], post);
	UNTIL(waiting() == 4);
	UNTIL(w.times >= 1);
	kit_simple(&k, one, 1);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		pthread_join(c[i].thread, NULL);
		assert_int_equal(c[i].answer.status, 200);
		answer_done(&c[i].answer);
	}
	assert_in_range(w.times, 1, 1 + (now_ms() - from) / 1000);
	end();
}

/* ---- ejection ---- */

static void one_that_fails_in_a_row_is_left_alone_and_comes_back(void **state)
{
	unsigned before;
	int64_t from;

	(void)state;
	begin(WAY_UNAVAILABLE, WAY_NAMES);
	kit_simple(&k, two, 2);
	UNTIL((status_of(post), kit_count(&k, METRIC_GATEWAY_EJECTIONS, "web", NULL) == 1));
	from = now_ms();
	before = a.requests;
	assert_int_equal(before, 3);
	for (int i = 0; i < 20; i++) {
		int status = status_of(post);

		if (now_ms() - from > EJECTED_MS / 2)
			break; /* the machine is busy: it may be back */
		assert_int_equal(status, 200);
		assert_int_equal(a.requests, before);
	}
	a.way = WAY_NAMES;
	UNTIL((status_of(post), a.requests > before));
	assert_int_equal(status_of(post), 200);
	end();
}

static void never_more_than_half_are_left_alone(void **state)
{
	(void)state;
	is_ejected_long = true;
	begin(WAY_UNAVAILABLE, WAY_UNAVAILABLE);
	kit_simple(&k, two, 2);
	for (int i = 0; i < 30; i++)
		assert_int_equal(status_of(post), 503);
	assert_int_equal(kit_count(&k, METRIC_GATEWAY_EJECTIONS, "web", NULL), 1);
	assert_int_equal(a.requests + b.requests, 30);
	end();
}

static void tries_have_a_budget(void **state)
{
	(void)state;
	begin(WAY_CLOSES, WAY_CLOSES);
	kit_simple(&k, two, 2);
	for (int i = 0; i < 60; i++)
		assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 502);
	/* Ten a second, or a fifth, whichever is more; the test may take some seconds. */
	assert_in_range(kit_count(&k, METRIC_GATEWAY_RETRIES, "web", NULL), 10, 100);
	assert_int_equal(a.requests + b.requests, 60 + kit_count(&k, METRIC_GATEWAY_RETRIES, "web", NULL));
	end();
}

/* ---- who is chosen ---- */

static void of_two_the_less_loaded_one_is_asked(void **state)
{
	struct asking c[8];

	(void)state;
	begin(WAY_HOLDS, WAY_HOLDS);
	kit_simple(&k, two, 2);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		asking_begin(&c[i], "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
		UNTIL(a.requests + b.requests == i + 1);
	}
	assert_int_equal(a.requests, 4);
	assert_int_equal(b.requests, 4);
	origin_release(&a, 4);
	origin_release(&b, 4);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		pthread_join(c[i].thread, NULL);
		answer_done(&c[i].answer);
	}
	end();
}

static void a_client_keeps_its_endpoint_where_the_service_wants_that(void **state)
{
	struct plan_backend *backend;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_begin(&k);
	backend = kit_backend(&k, "web", two, 2);
	backend->affinity_ns = 60 * NS_PER_S;
	k.main->backend = backend;
	kit_publish(&k);
	for (int i = 0; i < 20; i++)
		assert_int_equal(status_of(post), 200);
	assert_true((a.requests == 20 && b.requests == 0) || (a.requests == 0 && b.requests == 20));
	/* Until that one is gone. */
	origin_down(a.requests ? &a : &b);
	assert_int_equal(status_of(post), 200);
	end();
}

static void only_those_that_are_ready_are_asked_and_then_those_that_still_serve(void **state)
{
	struct plan_backend *backend;

	(void)state;
	begin(WAY_NAMES, WAY_NAMES);
	kit_begin(&k);
	backend = kit_backend(&k, "web", two, 2);
	kit_endpoint(backend, 0)->is_ready = false;
	k.main->backend = backend;
	kit_publish(&k);
	for (int i = 0; i < 10; i++)
		expect(&k, "/", 200, "b");
	kit_begin(&k);
	backend = kit_backend(&k, "web", two, 2);
	kit_endpoint(backend, 0)->is_ready = kit_endpoint(backend, 1)->is_ready = false;
	kit_endpoint(backend, 1)->is_serving = false;
	k.main->backend = backend;
	kit_publish(&k);
	for (int i = 0; i < 10; i++)
		expect(&k, "/", 200, "a");
	end();
}

/* ---- drains ---- */

static void drained(void *context)
{
	_Atomic unsigned *times = context;

	(*times)++;
}

static struct in_addr loopback(void)
{
	return (struct in_addr){ .s_addr = htonl(INADDR_LOOPBACK) };
}

static void a_drain_waits_for_requests_under_way_and_lets_no_new_ones_in(void **state)
{
	_Atomic unsigned times = 0;
	struct asking first, second;

	(void)state;
	origin_init(&a, "a", WAY_HOLDS);
	origin_init(&b, "b", WAY_NAMES);
	kit_init(&k, 2, small_queue);
	kit_simple(&k, one, 1);
	asking_begin(&first, post);
	UNTIL(a.requests == 1);
	gateway_drain(k.gateway, loopback(), 20 * NS_PER_S, drained, (void *)&times);
	/* Both have the address of this machine: what is drained is the address, whatever the port. */
	asking_begin(&second, post);
	UNTIL(waiting() == 1);
	assert_int_equal(times, 0);
	origin_release(&a, 2);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.answer.status, 200);
	UNTIL(times == 1);
	assert_int_equal(a.requests, 1);
	UNTIL(a.open == 0); /* connections that idle are closed */
	assert_int_equal(waiting(), 1);
	gateway_drained_forget(k.gateway, loopback());
	pthread_join(second.thread, NULL);
	assert_int_equal(second.answer.status, 200);
	answer_done(&first.answer);
	answer_done(&second.answer);
	assert_int_equal(times, 1);
	end();
}

static void a_drain_lasts_no_longer_than_its_time(void **state)
{
	_Atomic unsigned times = 0;
	struct asking first;

	(void)state;
	origin_init(&a, "a", WAY_HOLDS);
	origin_init(&b, "b", WAY_NAMES);
	kit_init(&k, 2, small_queue);
	kit_simple(&k, one, 1);
	gateway_drain(k.gateway, (struct in_addr){ .s_addr = htonl(0x7f610009) }, 20 * NS_PER_S, drained,
		      (void *)&times);
	UNTIL(times == 1); /* nobody asks it */
	asking_begin(&first, post);
	UNTIL(a.requests == 1);
	gateway_drain(k.gateway, loopback(), 50 * NS_PER_MS, drained, (void *)&times);
	UNTIL(times == 2);
	origin_release(&a, 1);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.answer.status, 200); /* and it is answered all the same */
	answer_done(&first.answer);
	end();
}

static void a_tunnel_is_not_waited_for(void **state)
{
	_Atomic unsigned times = 0;
	struct answer answer;
	int fd;

	(void)state;
	begin(WAY_TUNNEL, WAY_NAMES);
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	say(fd,
	    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	hear(fd, &answer);
	assert_int_equal(answer.status, 101);
	answer_done(&answer);
	assert_int_equal(in_flight("a"), 1);
	gateway_drain(k.gateway, loopback(), 3600 * NS_PER_S, drained, (void *)&times);
	UNTIL(times == 1);
	close(fd);
	UNTIL(in_flight("a") == 0);
	end();
}

/* ---- many ---- */

static void *many(void *argument)
{
	_Atomic unsigned *good = argument;
	struct answer answer;

	for (int i = 0; i < 150; i++) {
		ask(&k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
		*good += answer.status == 200;
		answer_done(&answer);
	}
	return NULL;
}

static void an_endpoint_that_comes_and_goes_costs_no_request_that_may_be_sent_again(void **state)
{
	pthread_t threads[4];
	_Atomic unsigned good[4] = { 0 };

	(void)state;
	origin_init(&a, "a", WAY_NAMES);
	origin_init(&b, "b", WAY_NAMES);
	kit_init(&k, 2, NULL);
	kit_simple(&k, two, 2);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many, (void *)&good[i]), 0);
	for (int i = 0; i < 5; i++) {
		unsigned before = b.requests;

		origin_down(&a);
		UNTIL(b.requests > before + 5 || good[0] + good[1] + good[2] + good[3] >= 590);
		origin_up(&a);
		kit_pause();
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(good[i], 150);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_that_closes_is_passed_over_for_what_may_be_sent_again),
		cmocka_unit_test(an_endpoint_that_resets_is_passed_over_for_what_may_be_sent_again),
		cmocka_unit_test(an_answer_that_is_no_http_is_a_bad_gateway),
		cmocka_unit_test(bytes_behind_an_answer_are_nobody_s),
		cmocka_unit_test(an_endpoint_that_says_nothing_is_given_up),
		cmocka_unit_test(a_try_s_time_limit_sends_what_is_safe_to_another_endpoint),
		cmocka_unit_test(an_answer_that_breaks_off_is_seen_to),
		cmocka_unit_test(requests_that_two_readers_could_read_differently_are_refused),
		cmocka_unit_test(a_connection_that_its_server_closed_costs_no_request),
		cmocka_unit_test(one_that_refuses_is_passed_over_for_everything),
		cmocka_unit_test(when_all_are_gone_it_says_so_in_time_and_recovers_by_itself),
		cmocka_unit_test(a_request_that_waits_goes_on_when_an_endpoint_is_ready),
		cmocka_unit_test(one_that_has_refused_is_asked_again_whatever_is_under_way_there),
		cmocka_unit_test(without_an_endpoint_the_reason_is_told),
		cmocka_unit_test(a_service_that_goes_answers_those_who_wait),
		cmocka_unit_test(over_the_queue_s_limit_it_is_429_and_what_waits_is_answered_in_turn),
		cmocka_unit_test(who_goes_while_it_waits_waits_no_more),
		cmocka_unit_test(a_service_without_endpoints_is_wanted_once_a_second),
		cmocka_unit_test(one_that_fails_in_a_row_is_left_alone_and_comes_back),
		cmocka_unit_test(never_more_than_half_are_left_alone),
		cmocka_unit_test(tries_have_a_budget),
		cmocka_unit_test(of_two_the_less_loaded_one_is_asked),
		cmocka_unit_test(a_client_keeps_its_endpoint_where_the_service_wants_that),
		cmocka_unit_test(only_those_that_are_ready_are_asked_and_then_those_that_still_serve),
		cmocka_unit_test(a_drain_waits_for_requests_under_way_and_lets_no_new_ones_in),
		cmocka_unit_test(a_drain_lasts_no_longer_than_its_time),
		cmocka_unit_test(a_tunnel_is_not_waited_for),
		cmocka_unit_test(an_endpoint_that_comes_and_goes_costs_no_request_that_may_be_sent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
