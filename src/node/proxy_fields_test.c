/* SPDX-License-Identifier: Apache-2.0 */
#include "node/proxy_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PREFIX "/api/v1/namespaces/default/services/web/proxy"

static const struct proxy_place place = { SPAN_INIT("127.0.0.1:8001"), SPAN_INIT("127.97.0.5:80"), SPAN_INIT(PREFIX) };

static void assert_span(struct span s, const char *expected)
{
	assert_int_equal(s.len, strlen(expected));
	assert_memory_equal(s.ptr, expected, s.len);
}

static void a_location_of_the_pods_own_is_moved_behind_the_proxy(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "/", PREFIX "/" },
		{ "/login?next=/a#b", PREFIX "/login?next=/a#b" },
		{ PREFIX "/login", PREFIX "/login" },
		{ "http://127.97.0.5:80/login", PREFIX "/login" },
		{ "//127.97.0.5:80/login", PREFIX "/login" },
		{ "http://me:word@127.97.0.5:80/login", PREFIX "/login" },
		{ "http://127.0.0.1:8001/login", "http://127.0.0.1:8001" PREFIX "/login" },
		{ "http://127.0.0.1:8001" PREFIX "/login", "http://127.0.0.1:8001" PREFIX "/login" },
		{ "login", "login" },
		{ "../login", "../login" },
		{ "?a=b", "?a=b" },
		{ "", "" },
		{ ":", ":" },
		{ "//", "//" },
		{ "http://", "http://" },
		{ "http://127.97.0.5:80", "http://127.97.0.5:80" },
		{ "http://127.97.0.5:81/login", "http://127.97.0.5:81/login" },
		{ "https://elsewhere.example/login", "https://elsewhere.example/login" },
		{ "https://127.97.0.5:80@elsewhere.example/login", "https://127.97.0.5:80@elsewhere.example/login" },
		{ "mailto:a@b", "mailto:a@b" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, KIB(64));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_span(proxy_location(&place, span_of(rows[i].from), &arena), rows[i].to);
	arena_done(&arena);
}

static struct span find(const struct header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(headers[i].name, span_of(name)))
			return headers[i].value;
	return (struct span){ 0 };
}

static void credentials_stay_here_and_the_rest_goes_on(void **state)
{
	static const struct header from[] = {
		{ SPAN_INIT("host"), SPAN_INIT("a") },
		{ SPAN_INIT("authorization"), SPAN_INIT("Bearer secret") },
		{ SPAN_INIT("impersonate-user"), SPAN_INIT("me") },
		{ SPAN_INIT("x-remote-group"), SPAN_INIT("system:masters") },
		{ SPAN_INIT("x-hythe-peer"), SPAN_INIT("9.9.9.9:1") },
		{ SPAN_INIT("cookie"), SPAN_INIT("a=b") },
		{ SPAN_INIT("cookie"), SPAN_INIT("c=d") },
		{ SPAN_INIT("x-forwarded-for"), SPAN_INIT("10.0.0.1") },
		{ SPAN_INIT("x-forwarded-uri"), SPAN_INIT("/a-lie") },
		{ SPAN_INIT("sec-websocket-protocol"),
		  SPAN_INIT("base64url.bearer.authorization.k8s.io.c2VjcmV0, chat , v2") },
		{ SPAN_INIT("accept"), SPAN_INIT("text/html") },
	};
	struct header to[PROXY_FIELDS_MOST];
	struct error err = { 0 };
	struct arena arena;
	size_t count = 0;

	(void)state;
	arena_init(&arena, KIB(64));
	assert_true(proxy_fields_ask(from, ARRAY_LEN(from), SPAN("[::1]:4711"), SPAN("/x"), &arena, to, &count, &err));
	assert_int_equal(count, 5);
	assert_span(find(to, count, "accept"), "text/html");
	assert_span(find(to, count, "cookie"), "a=b; c=d");
	assert_span(find(to, count, "sec-websocket-protocol"), "chat, v2");
	assert_span(find(to, count, "x-forwarded-for"), "10.0.0.1, ::1");
	assert_span(find(to, count, "x-forwarded-uri"), "/x");
	arena_done(&arena);
}

static void more_fields_than_there_is_room_for_are_refused(void **state)
{
	struct header from[PROXY_FIELDS_MOST], to[PROXY_FIELDS_MOST];
	struct error err = { 0 };
	struct arena arena;
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		from[i] = (struct header){ SPAN("accept"), SPAN("*/*") };
	arena_init(&arena, KIB(64));
	assert_false(
	    proxy_fields_ask(from, ARRAY_LEN(from), SPAN("127.0.0.1:1"), SPAN("/x"), &arena, to, &count, &err));
	assert_int_equal(err.code, ERROR_HEADERS_TOO_LARGE);
	assert_true(
	    proxy_fields_ask(from, HTTP1_HEADERS_MAX, SPAN("127.0.0.1:1"), SPAN("/x"), &arena, to, &count, &err));
	assert_int_equal(count, HTTP1_HEADERS_MAX + 2);
	arena_done(&arena);
}

static void an_answer_says_nothing_of_other_origins(void **state)
{
	static const struct header from[] = {
		{ SPAN_INIT("access-control-allow-origin"), SPAN_INIT("*") },
		{ SPAN_INIT("sec-websocket-accept"), SPAN_INIT("x") },
		{ SPAN_INIT("location"), SPAN_INIT("/a") },
		{ SPAN_INIT("content-type"), SPAN_INIT("text/html") },
	};
	struct header to[ARRAY_LEN(from)];
	struct arena arena;

	(void)state;
	arena_init(&arena, KIB(64));
	assert_int_equal(proxy_fields_answer(&place, from, ARRAY_LEN(from), &arena, to), 2);
	assert_span(find(to, 2, "location"), PREFIX "/a");
	assert_span(find(to, 2, "content-type"), "text/html");
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_location_of_the_pods_own_is_moved_behind_the_proxy),
		cmocka_unit_test(credentials_stay_here_and_the_rest_goes_on),
		cmocka_unit_test(more_fields_than_there_is_room_for_are_refused),
		cmocka_unit_test(an_answer_says_nothing_of_other_origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
