/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/gateway_private.h"

static enum sniff of(const char *text)
{
	return sniff(span_of(text), false);
}

static void a_request_line_is_http(void **state)
{
	(void)state;
	assert_int_equal(of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), SNIFF_HTTP);
	assert_int_equal(of("POST /a/b?c=d HTTP/1.0\n"), SNIFF_HTTP);
	assert_int_equal(of("OPTIONS * HTTP/1.1\r"), SNIFF_HTTP);
	assert_int_equal(of("GET http://a/b HTTP/1.1\r\n"), SNIFF_HTTP);
	assert_int_equal(of("M-SEARCH * HTTP/1.1\r\n"), SNIFF_HTTP);
}

static void the_preface_of_http2_is_http(void **state)
{
	const struct span preface = SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

	(void)state;
	for (size_t i = 0; i < preface.len; i++)
		assert_int_equal(sniff(span_first(preface, i), false), SNIFF_MORE);
	assert_int_equal(sniff(preface, false), SNIFF_HTTP);
	assert_int_equal(of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes"), SNIFF_HTTP);
	assert_int_equal(of("PRI * HTTP/2.0\r\n\r\nXX"), SNIFF_BYTES);
	assert_int_equal(sniff(span_first(preface, 14), true), SNIFF_HTTP);
}

static void other_protocols_are_bytes(void **state)
{
	(void)state;
	assert_int_equal(of("*1\r\n$4\r\nPING\r\n"), SNIFF_BYTES); /* Redis */
	assert_int_equal(of("GET key\r\n"), SNIFF_BYTES);          /* memcached */
	assert_int_equal(of("SET a HTTP/9\r\n"), SNIFF_BYTES);
	assert_int_equal(of("OPTIONS rtsp://a RTSP/1.0\r\n"), SNIFF_BYTES);
	assert_int_equal(of("EHLO a.example.com\r\n"), SNIFF_BYTES); /* SMTP */
	assert_int_equal(of("SSH-2.0-OpenSSH\r\n"), SNIFF_BYTES);
	assert_int_equal(of("\x16\x03\x01\x02"), SNIFF_BYTES);                           /* TLS */
	assert_int_equal(sniff(SPAN("\0\0\0\x08\x04\xd2\x16\x2f"), false), SNIFF_BYTES); /* PostgreSQL */
	assert_int_equal(of("GET / HTTP/1.x\r\n"), SNIFF_BYTES);
	assert_int_equal(of("GET / HTTP/1.12\r\n"), SNIFF_BYTES);
	assert_int_equal(of("GET  / HTTP/1.1\r\n"), SNIFF_BYTES);
	assert_int_equal(of(" GET / HTTP/1.1\r\n"), SNIFF_BYTES);
	assert_int_equal(of("AMETHODTHATISLONGERTHANANYTHATTHEREIS / HTTP/1.1\r\n"), SNIFF_BYTES);
}

static void a_beginning_waits_for_more_until_no_more_comes(void **state)
{
	const struct span line = SPAN("DELETE /path HTTP/1.1\r\n");

	(void)state;
	for (size_t i = 0; i <= strlen("DELETE /path HTTP/1.1"); i++)
		assert_int_equal(sniff(span_first(line, i), false), SNIFF_MORE);
	assert_int_equal(sniff(span_first(line, 0), true), SNIFF_BYTES);
	assert_int_equal(sniff(SPAN("DELETE"), true), SNIFF_BYTES);
	assert_int_equal(sniff(SPAN("DELETE /"), true), SNIFF_HTTP);
	assert_int_equal(sniff(SPAN("DELETE key"), true), SNIFF_BYTES);
}

static void a_long_beginning_is_not_waited_for(void **state)
{
	static char path[SNIFF_MOST] = "GET /", word[SNIFF_MOST] = "GET a";

	(void)state;
	memset(path + 5, 'a', sizeof(path) - 5);
	memset(word + 5, 'a', sizeof(word) - 5);
	assert_int_equal(sniff((struct span){ path, sizeof(path) - 1 }, false), SNIFF_MORE);
	assert_int_equal(sniff((struct span){ path, sizeof(path) }, false), SNIFF_HTTP);
	assert_int_equal(sniff((struct span){ word, sizeof(word) }, false), SNIFF_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_line_is_http),
		cmocka_unit_test(the_preface_of_http2_is_http),
		cmocka_unit_test(other_protocols_are_bytes),
		cmocka_unit_test(a_beginning_waits_for_more_until_no_more_comes),
		cmocka_unit_test(a_long_beginning_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
