/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_test - requests through the gateway to endpoints that do as they should: heads, bodies, tunnels, filters. */
#include "gateway/gateway_kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static struct origin web, other;
static struct origin *const one[] = { &web };
static struct kit k;

static void begin(enum way way)
{
	origin_init(&web, "web", way);
	kit_init(&k, 1, NULL);
}

static void end(void)
{
	kit_done(&k);
	origin_done(&web);
}

/* ---- connections ---- */

static void a_request_is_answered_by_its_endpoint_on_any_worker(void **state)
{
	(void)state;
	origin_init(&web, "web", WAY_NAMES);
	kit_init(&k, 3, NULL);
	kit_simple(&k, one, 1);
	for (int i = 0; i < 12; i++)
		expect(&k, "/", 200, "web");
	assert_int_equal(web.requests, 12);
	end();
}

static void connections_are_kept_on_both_sides(void **state)
{
	struct answer a;
	int fd;

	(void)state;
	begin(WAY_NAMES);
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	for (int i = 0; i < 10; i++) {
		say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		hear(fd, &a);
		assert_int_equal(a.status, 200);
		assert_string_equal(a.body, "web");
		answer_done(&a);
	}
	close(fd);
	assert_int_equal(web.accepted, 1);
	end();
}

static void idle_short(struct gateway_limits *limits)
{
	limits->idle_ns = 300 * NS_PER_MS;
	limits->idle_most = 2;
}

static void connections_that_are_idle_are_closed_after_their_time_and_over_their_number(void **state)
{
	int fds[6];
	struct answer a;

	(void)state;
	origin_init(&web, "web", WAY_HOLDS);
	kit_init(&k, 1, idle_short);
	kit_simple(&k, one, 1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = client_new_fd(&k);
		say(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	UNTIL(web.requests == 6);
	assert_int_equal(web.accepted, 6);
	origin_release(&web, 6);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		hear(fds[i], &a);
		assert_int_equal(a.status, 200);
		answer_done(&a);
		close(fds[i]);
	}
	UNTIL(web.open <= 2);
	UNTIL(web.open == 0);
	end();
}

/* ---- heads ---- */

static void the_endpoint_hears_who_asked_and_nothing_that_was_for_the_hop(void **state)
{
	struct answer a;

	(void)state;
	begin(WAY_ANSWERS);
	kit_simple(&k, one, 1);
	ask(&k,
	    "GET /a%20b?x=1&y HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: keep-alive, x-secret, x-request-id, "
	    "X-Forwarded-For\r\n"
	    "X-Secret: 1\r\nX-Request-Id: abc\r\nX-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: gopher\r\nForwarded: "
	    "for=evil\r\n"
	    "Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nExpect: 100-continue\r\nX-Kept: yes\r\n"
	    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
	    &a);
	assert_int_equal(a.status, 200);
	assert_true(has(&a, "GET /a%20b?x=1&y HTTP/1.1\r\n"));
	assert_true(has(&a, "host: shop.example:8080\r\n"));
	assert_true(has(&a, "x-request-id: abc\r\n"));
	assert_true(has(&a, "x-forwarded-for: 10.1.2.3, 127.0.0.1\r\n"));
	assert_true(has(&a, "x-forwarded-proto: http\r\n"));
	assert_true(has(&a, "x-forwarded-host: shop.example:8080\r\n"));
	assert_true(has(&a, "x-kept: yes\r\n"));
	assert_true(has(&a, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
	assert_false(has(&a, "b7ad6b7169203331"));
	assert_false(has(&a, "x-secret"));
	assert_false(has(&a, "gopher"));
	assert_false(has(&a, "evil"));
	assert_false(has(&a, "keep-alive: 5"));
	assert_false(has(&a, "proxy-connection"));
	assert_false(has(&a, "te: gzip"));
	assert_false(has(&a, "expect"));
	answer_done(&a);
	end();
}

static void a_request_without_an_id_gets_one_and_the_answer_tells_it(void **state)
{
	struct answer a;

	(void)state;
	begin(WAY_ANSWERS);
	kit_simple(&k, one, 1);
	ask(&k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &a);
	assert_non_null(strstr(a.body, "x-request-id: "));
	assert_non_null(strstr(a.head, "x-request-id: "));
	assert_memory_equal(strstr(a.body, "x-request-id: "), strstr(a.head, "x-request-id: "), 30);
	answer_done(&a);
	end();
}

static void filters_set_add_and_remove_fields_and_rewrite_paths(void **state)
{
	static const struct header set[] = { { SPAN_INIT("x-set"), SPAN_INIT("new") } },
				   add[] = { { SPAN_INIT("x-add"), SPAN_INIT("two") } },
				   answer[] = { { SPAN_INIT("x-answer"), SPAN_INIT("yes") } };
	static const struct span gone[] = { SPAN_INIT("x-gone") }, type[] = { SPAN_INIT("content-type") };
	struct plan_route *r;
	struct answer a;

	(void)state;
	begin(WAY_ANSWERS);
	kit_begin(&k);
	r = kit_route(&k, "/seldon/ns/name", kit_backend(&k, "web", one, 1));
	r->filters.request = (struct plan_headers){
		.set = set, .set_count = 1, .add = add, .add_count = 1, .remove = gone, .remove_count = 1
	};
	r->filters.answer = (struct plan_headers){ .set = answer, .set_count = 1, .remove = type, .remove_count = 1 };
	r->filters.rewrite =
	    (struct plan_rewrite){ .host = SPAN("inner"), .path = SPAN("/"), .has_path = true, .is_prefix = true };
	kit_publish(&k);
	ask(&k,
	    "GET /seldon/ns/name/api/v1.0/predictions?q=1 HTTP/1.1\r\nHost: a\r\nX-Set: old\r\nX-Add: one\r\nX-Gone: "
	    "1\r\n\r\n",
	    &a);
	assert_true(has(&a, "GET /api/v1.0/predictions?q=1 HTTP/1.1\r\n"));
	assert_true(has(&a, "host: inner\r\n"));
	assert_true(has(&a, "x-set: new\r\n"));
	assert_false(has(&a, "old"));
	assert_true(has(&a, "x-add: one\r\n"));
	assert_true(has(&a, "x-add: two\r\n"));
	assert_false(has(&a, "x-gone"));
	assert_non_null(strstr(a.head, "x-answer: yes\r\n"));
	assert_null(strstr(a.head, "text/plain"));
	answer_done(&a);
	ask(&k, "GET /seldon/ns/name HTTP/1.1\r\nHost: a\r\n\r\n", &a);
	assert_true(has(&a, "GET / HTTP/1.1\r\n"));
	answer_done(&a);
	expect(&k, "/seldon/ns/namesake", 404, NULL);
	end();
}

static void redirects_are_answered_here(void **state)
{
	struct plan_route *r;
	struct answer a;

	(void)state;
	begin(WAY_ANSWERS);
	kit_begin(&k);
	r = kit_route(&k, "/old", NULL);
	r->filters.redirect =
	    (struct plan_redirect){ .status = 301,
				    .scheme = SPAN("https"),
				    .rewrite = { .path = SPAN("/new"), .has_path = true, .is_prefix = true } };
	kit_publish(&k);
	ask(&k, "GET /old/a?b HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n", &a);
	assert_int_equal(a.status, 301);
	assert_true(has(&a, "location: https://shop.example/new/a?b\r\n"));
	answer_done(&a);
	assert_int_equal(web.requests, 0);
	end();
}

static void what_no_route_takes_is_404_and_a_route_without_a_backend_500(void **state)
{
	struct answer a;

	(void)state;
	begin(WAY_NAMES);
	kit_begin(&k);
	(void)kit_route(&k, "/here", NULL);
	kit_publish(&k);
	ask(&k, "GET /there HTTP/1.1\r\nHost: a\r\n\r\n", &a);
	assert_int_equal(a.status, 404);
	assert_string_equal(a.body, "{\"error\":\"no route for host 'a' and path '/there'\"}");
	answer_done(&a);
	expect(&k, "/here", 500, "{\"error\":\"route httproute/default/r/here/0 has no backend\"}");
	end();
}

/* ---- bodies ---- */

static void bodies_of_both_kinds_reach_the_endpoint(void **state)
{
	struct answer a;

	(void)state;
	begin(WAY_ANSWERS);
	kit_simple(&k, one, 1);
	ask(&k, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", &a);
	assert_true(has(&a, "content-length: 5\r\n"));
	assert_string_equal(a.body + a.len - 5, "hello");
	answer_done(&a);
	ask(&k, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", &a);
	assert_true(has(&a, "transfer-encoding: chunked\r\n"));
	assert_true(has(&a, "llo\r\n0\r\n\r\n"));
	answer_done(&a);
	end();
}

struct pushing {
	int fd;
	size_t len;
	_Atomic size_t pushed;
};

static void *push(void *argument)
{
	struct pushing *p = argument;
	char *piece = base_calloc(1, 65536);

	while (p->pushed < p->len) {
		ssize_t n = send(p->fd, piece, MIN(p->len - p->pushed, 65536), MSG_NOSIGNAL);

		if (n <= 0)
			break;
		p->pushed += (size_t)n;
	}
	free(piece);
	return NULL;
}

enum { LONG = 64 * 1024 * 1024, HELD = 24 * 1024 * 1024 };

static void a_client_waits_for_an_endpoint_that_reads_slowly(void **state)
{
	struct pushing p = { .len = LONG };
	struct answer a;
	char head[128];
	pthread_t thread;
	size_t before;

	(void)state;
	begin(WAY_SLOW_READS);
	kit_simple(&k, one, 1);
	p.fd = client_new_fd(&k);
	(void)snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", LONG);
	say(p.fd, head);
	assert_int_equal(pthread_create(&thread, NULL, push, &p), 0);
	UNTIL(p.pushed > 0);
	do { /* until nothing moves any more */
		before = p.pushed;
		for (int i = 0; i < 100; i++)
			kit_pause();
	} while (p.pushed != before);
	assert_true(p.pushed < HELD); /* the kernel's buffers, and the gateway's */
	origin_release(&web, 1);
	hear(p.fd, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "web");
	answer_done(&a);
	pthread_join(thread, NULL);
	assert_int_equal(p.pushed, LONG);
	close(p.fd);
	end();
}

static void an_endpoint_waits_for_a_client_that_reads_slowly(void **state)
{
	struct answer a;
	size_t before;
	int fd;

	(void)state;
	begin(WAY_BIG);
	web.big = LONG;
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	UNTIL(web.sent > 0);
	do { /* until nothing moves any more */
		before = web.sent;
		for (int i = 0; i < 100; i++)
			kit_pause();
	} while (web.sent != before);
	assert_true(before < HELD);
	hear(fd, &a);
	assert_int_equal(a.len, LONG);
	for (size_t i = 0; i < a.len; i++)
		if (a.body[i] != (char)('a' + i % 26))
			fail_msg("byte %zu is wrong", i);
	answer_done(&a);
	close(fd);
	end();
}

static void an_endpoint_hears_that_the_client_has_gone(void **state)
{
	int fd;

	(void)state;
	begin(WAY_SILENT);
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	UNTIL(web.open == 1 && web.requests == 1);
	close(fd);
	UNTIL(web.open == 0);
	end();
}

static void head_requests_and_their_answers_have_no_body(void **state)
{
	struct answer a;
	char text[4096];
	ssize_t n;
	int fd;

	(void)state;
	begin(WAY_NAMES);
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	/* The origin sends a body all the same, which belongs to nothing: its connection ends, and no client sees it. */
	say(fd, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, "200 OK"));
	assert_non_null(strcasestr(text, "content-length: 3\r\n"));
	assert_string_equal(text + n - 4, "\r\n\r\n");
	say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	hear(fd, &a);
	assert_string_equal(a.body, "web");
	answer_done(&a);
	close(fd);
	end();
}

/* ---- tunnels ---- */

static void a_websocket_passes_bytes_both_ways(void **state)
{
	char text[4096], got[6];
	struct answer a;
	int fd;

	(void)state;
	begin(WAY_TUNNEL);
	kit_simple(&k, one, 1);
	fd = client_new_fd(&k);
	say(fd, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		"13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	UNTIL(recv(fd, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT) > 0);
	memset(&a, 0, sizeof(a));
	memset(text, 0, sizeof(text));
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "HTTP/1.1 101 "));
	/* The client's own key's, RFC 6455 1.3. */
	assert_non_null(strstr(text, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_true(origin_last_has(&web, "sec-websocket-version: 13"));
	for (int i = 0; i < 3; i++) {
		say(fd, "hello!");
		assert_int_equal(recv(fd, got, 6, MSG_WAITALL), 6);
		assert_memory_equal(got, "hello!", 6);
	}
	close(fd);
	UNTIL(web.open == 0);
	end();
}

/* ---- routes ---- */

static void targets_are_asked_by_their_weights(void **state)
{
	enum { ASKED = 4000 };
	struct origin *const two[] = { &other };
	struct plan_target *t;
	struct plan_route *r;
	struct answer a;
	int fd;

	(void)state;
	begin(WAY_NAMES);
	origin_init(&other, "canary", WAY_NAMES);
	kit_begin(&k);
	r = kit_route(&k, "/", kit_backend(&k, "main", one, 1));
	t = (struct plan_target *)r->targets;
	t[0].weight = 75;
	t[1] = (struct plan_target){ .backend = kit_backend(&k, "canary", two, 1), .weight = 25 };
	r->target_count = 2;
	r->weight_sum = 100;
	kit_publish(&k);
	fd = client_new_fd(&k);
	for (int i = 0; i < ASKED; i++) {
		say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		hear(fd, &a);
		assert_int_equal(a.status, 200);
		answer_done(&a);
	}
	close(fd);
	/* Not by chance: that would be some twenty off. */
	assert_in_range(other.requests, ASKED / 4 - 4, ASKED / 4 + 4);
	assert_int_equal(web.requests + other.requests, ASKED);
	end();
	origin_done(&other);
}

static void a_mirror_gets_a_copy_and_its_answer_is_dropped(void **state)
{
	struct origin *const shadow[] = { &other };
	static struct plan_mirror mirror;
	struct plan_route *r;
	struct answer a;

	(void)state;
	begin(WAY_NAMES);
	origin_init(&other, "shadow", WAY_GARBAGE);
	kit_begin(&k);
	r = kit_route(&k, "/", kit_backend(&k, "main", one, 1));
	mirror =
	    (struct plan_mirror){ .backend = kit_backend(&k, "shadow", shadow, 1), .numerator = 1, .denominator = 1 };
	r->mirrors = &mirror;
	r->mirror_count = 1;
	kit_publish(&k);
	for (unsigned i = 1; i <= 3; i++) {
		ask(&k, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", &a);
		assert_int_equal(a.status, 200);
		assert_string_equal(a.body, "web");
		answer_done(&a);
		UNTIL(other.requests == i);
		assert_true(origin_last_has(&other, "POST /x HTTP/1.1"));
		assert_true(origin_last_has(&other, "content-length: 5"));
	}
	other.way = WAY_SILENT; /* who says nothing holds nobody up */
	expect(&k, "/", 200, "web");
	origin_down(&other); /* nor one who is not there */
	expect(&k, "/", 200, "web");
	end();
	origin_done(&other);
}

static void a_route_s_time_limit_is_the_request_s(void **state)
{
	struct plan_route *r;
	struct answer a;
	int64_t from;

	(void)state;
	begin(WAY_SILENT);
	kit_begin(&k);
	r = kit_route(&k, "/", kit_backend(&k, "web", one, 1));
	r->timeout_ns = 100 * NS_PER_MS;
	kit_publish(&k);
	from = now_ms();
	ask(&k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &a);
	assert_int_equal(a.status, 504);
	assert_in_range(now_ms() - from, 90, DEADLINE_MS);
	answer_done(&a);
	UNTIL(web.open == 0); /* and the endpoint is told */
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered_by_its_endpoint_on_any_worker),
		cmocka_unit_test(connections_are_kept_on_both_sides),
		cmocka_unit_test(connections_that_are_idle_are_closed_after_their_time_and_over_their_number),
		cmocka_unit_test(the_endpoint_hears_who_asked_and_nothing_that_was_for_the_hop),
		cmocka_unit_test(a_request_without_an_id_gets_one_and_the_answer_tells_it),
		cmocka_unit_test(filters_set_add_and_remove_fields_and_rewrite_paths),
		cmocka_unit_test(redirects_are_answered_here),
		cmocka_unit_test(what_no_route_takes_is_404_and_a_route_without_a_backend_500),
		cmocka_unit_test(bodies_of_both_kinds_reach_the_endpoint),
		cmocka_unit_test(a_client_waits_for_an_endpoint_that_reads_slowly),
		cmocka_unit_test(an_endpoint_waits_for_a_client_that_reads_slowly),
		cmocka_unit_test(an_endpoint_hears_that_the_client_has_gone),
		cmocka_unit_test(head_requests_and_their_answers_have_no_body),
		cmocka_unit_test(a_websocket_passes_bytes_both_ways),
		cmocka_unit_test(targets_are_asked_by_their_weights),
		cmocka_unit_test(a_mirror_gets_a_copy_and_its_answer_is_dropped),
		cmocka_unit_test(a_route_s_time_limit_is_the_request_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
