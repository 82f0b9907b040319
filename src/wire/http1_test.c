/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http1.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

/* Parses a copy that ends where its memory ends, so that sanitizers see every byte read too far. */
static enum http1_result parse_copy(struct span text, char **ret_copy, struct http1_head *head, size_t *ret_len,
				    struct error *err)
{
	size_t seen = 0;

	*ret_copy = malloc(text.len ? text.len : 1);
	memcpy(*ret_copy, text.ptr, text.len);
	return http1_parse_head(*ret_copy, text.len, &seen, head, ret_len, err);
}

#define H "Host: a\r\n"

static const struct {
	const char *name;
	struct span text;
	enum error_code code;
} hostile[] = {
	/* clang-format off */
	/* request line */
	{ "no version", SPAN_INIT("GET /\r\n" H "\r\n"), ERROR_INVALID },
	{ "no target", SPAN_INIT("GET HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "empty target", SPAN_INIT("GET  HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "two spaces before the target", SPAN_INIT("GET  / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "two spaces behind the target", SPAN_INIT("GET /  HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "space before the method", SPAN_INIT(" GET / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "space behind the version", SPAN_INIT("GET / HTTP/1.1 \r\n" H "\r\n"), ERROR_INVALID },
	{ "tab for a space", SPAN_INIT("GET\t/ HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "tab behind the target", SPAN_INIT("GET /\tHTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "vertical tab in the target", SPAN_INIT("GET /\vb HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "NUL in the target", SPAN_INIT("GET /a\0b HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "DEL in the target", SPAN_INIT("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "space in the target", SPAN_INIT("GET /a b HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "bare CR in the request line", SPAN_INIT("GET /a\rb HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "bare CR behind the version", SPAN_INIT("GET / HTTP/1.1\rX: y\r\n" H "\r\n"), ERROR_INVALID },
	{ "method with a colon", SPAN_INIT("GE:T / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "method with a slash", SPAN_INIT("GE/T / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "method with NUL", SPAN_INIT("GE\0T / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "method over ASCII", SPAN_INIT("G\xc3\x89T / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "method in brackets", SPAN_INIT("[GET] / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "no method", SPAN_INIT("/ HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "version in lower case", SPAN_INIT("GET / http/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "version of another protocol", SPAN_INIT("GET / RTSP/1.0\r\n" H "\r\n"), ERROR_INVALID },
	{ "version without a dot", SPAN_INIT("GET / HTTP/11\r\n" H "\r\n"), ERROR_INVALID },
	{ "version without a minor", SPAN_INIT("GET / HTTP/1.\r\n" H "\r\n"), ERROR_INVALID },
	{ "version with a comma", SPAN_INIT("GET / HTTP/1,1\r\n" H "\r\n"), ERROR_INVALID },
	{ "version with two digits", SPAN_INIT("GET / HTTP/1.10\r\n" H "\r\n"), ERROR_INVALID },
	{ "version with a sign", SPAN_INIT("GET / HTTP/+1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "version with letters", SPAN_INIT("GET / HTTP/x.y\r\n" H "\r\n"), ERROR_INVALID },
	{ "version 2.0", SPAN_INIT("GET / HTTP/2.0\r\n" H "\r\n"), ERROR_HTTP_VERSION },
	{ "version 0.9", SPAN_INIT("GET / HTTP/0.9\r\n" H "\r\n"), ERROR_HTTP_VERSION },
	{ "version 9.9", SPAN_INIT("GET / HTTP/9.9\r\n" H "\r\n"), ERROR_HTTP_VERSION },
	{ "three empty lines first", SPAN_INIT("\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "CR without LF first", SPAN_INIT("\rGET / HTTP/1.1\r\n" H "\r\n"), ERROR_INVALID },
	{ "a TLS hello", SPAN_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), ERROR_INVALID },
	{ "NUL only", SPAN_INIT("\0\0\0\0"), ERROR_INVALID },
	{ "JSON without a head", SPAN_INIT("{\"data\": 1}\r\n\r\n"), ERROR_INVALID },
	/* field names */
	{ "space before the colon", SPAN_INIT("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), ERROR_INVALID },
	{ "tab before the colon", SPAN_INIT("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"), ERROR_INVALID },
	{ "space in a name", SPAN_INIT("GET / HTTP/1.1\r\n" H "A B: c\r\n\r\n"), ERROR_INVALID },
	{ "no colon", SPAN_INIT("GET / HTTP/1.1\r\n" H "Abc\r\n\r\n"), ERROR_INVALID },
	{ "no name", SPAN_INIT("GET / HTTP/1.1\r\n" H ": c\r\n\r\n"), ERROR_INVALID },
	{ "NUL in a name", SPAN_INIT("GET / HTTP/1.1\r\n" H "A\0: c\r\n\r\n"), ERROR_INVALID },
	{ "CR in a name", SPAN_INIT("GET / HTTP/1.1\r\n" H "A\rB: c\r\n\r\n"), ERROR_INVALID },
	{ "name over ASCII", SPAN_INIT("GET / HTTP/1.1\r\n" H "\xc3\xa9: c\r\n\r\n"), ERROR_INVALID },
	{ "name in brackets", SPAN_INIT("GET / HTTP/1.1\r\n" H "(a): c\r\n\r\n"), ERROR_INVALID },
	{ "name with a quote", SPAN_INIT("GET / HTTP/1.1\r\n" H "\"a\": c\r\n\r\n"), ERROR_INVALID },
	{ "name with a comma", SPAN_INIT("GET / HTTP/1.1\r\n" H "a,b: c\r\n\r\n"), ERROR_INVALID },
	{ "name with an at sign", SPAN_INIT("GET / HTTP/1.1\r\n" H "a@b: c\r\n\r\n"), ERROR_INVALID },
	{ "name with DEL", SPAN_INIT("GET / HTTP/1.1\r\n" H "a\x7f: c\r\n\r\n"), ERROR_INVALID },
	{ "folded line", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n"), ERROR_INVALID },
	{ "line folded with a tab", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n"), ERROR_INVALID },
	{ "first line folded", SPAN_INIT("GET / HTTP/1.1\r\n " H "\r\n"), ERROR_INVALID },
	{ "folded Content-Length", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length:\r\n 5\r\n\r\n"), ERROR_INVALID },
	/* field values */
	{ "NUL in a value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n"), ERROR_INVALID },
	{ "bare CR in a value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n"), ERROR_INVALID },
	{ "two CR at the end", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n"), ERROR_INVALID },
	{ "DEL in a value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n"), ERROR_INVALID },
	{ "bell in a value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: \a\r\n\r\n"), ERROR_INVALID },
	{ "escape in a long value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: 0123456789abcdef0123456789abc\x1b[31m\r\n\r\n"), ERROR_INVALID },
	{ "vertical tab in a value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\vc\r\n\r\n"), ERROR_INVALID },
	{ "form feed in a value", SPAN_INIT("GET / HTTP/1.1\r\n" H "A: b\fc\r\n\r\n"), ERROR_INVALID },
	{ "CR before the last LF is alone", SPAN_INIT("GET / HTTP/1.1\r\n" H "\rX"), ERROR_INVALID },
	/* Host */
	{ "no Host", SPAN_INIT("GET / HTTP/1.1\r\nA: b\r\n\r\n"), ERROR_INVALID },
	{ "no field at all", SPAN_INIT("GET / HTTP/1.1\r\n\r\n"), ERROR_INVALID },
	{ "two Hosts", SPAN_INIT("GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n"), ERROR_INVALID },
	{ "two equal Hosts", SPAN_INIT("GET / HTTP/1.1\r\n" H H "\r\n"), ERROR_INVALID },
	{ "two Hosts in 1.0", SPAN_INIT("GET / HTTP/1.0\r\n" H "Host: b\r\n\r\n"), ERROR_INVALID },
	{ "second Host empty", SPAN_INIT("GET / HTTP/1.1\r\n" H "Host:\r\n\r\n"), ERROR_INVALID },
	{ "Host with a space", SPAN_INIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), ERROR_INVALID },
	{ "Host with a path", SPAN_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), ERROR_INVALID },
	{ "Host with a user", SPAN_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), ERROR_INVALID },
	{ "Host with a query", SPAN_INIT("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"), ERROR_INVALID },
	{ "Host over ASCII", SPAN_INIT("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"), ERROR_INVALID },
	{ "Host with a tab", SPAN_INIT("GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n"), ERROR_INVALID },
	/* Content-Length */
	{ "negative length", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"), ERROR_INVALID },
	{ "length with a plus", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"), ERROR_INVALID },
	{ "empty length", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), ERROR_INVALID },
	{ "blank length", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length:  \t \r\n\r\n"), ERROR_INVALID },
	{ "hexadecimal length", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"), ERROR_INVALID },
	{ "length with a fraction", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5.0\r\n\r\n"), ERROR_INVALID },
	{ "length with an exponent", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 1e1\r\n\r\n"), ERROR_INVALID },
	{ "length with a space inside", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n"), ERROR_INVALID },
	{ "list of lengths", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"), ERROR_INVALID },
	{ "list of differing lengths", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5, 6\r\n\r\n"), ERROR_INVALID },
	{ "two lengths", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), ERROR_INVALID },
	{ "length over 64 bits", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n"), ERROR_INVALID },
	{ "length far over 64 bits", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999999\r\n\r\n"), ERROR_INVALID },
	{ "length in words", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: five\r\n\r\n"), ERROR_INVALID },
	{ "length with a semicolon", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5;\r\n\r\n"), ERROR_INVALID },
	{ "length over ASCII", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: \xd9\xa5\r\n\r\n"), ERROR_INVALID },
	/* Transfer-Encoding */
	{ "length and chunked", SPAN_INIT("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), ERROR_INVALID },
	{ "chunked and length", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), ERROR_INVALID },
	{ "chunked not last", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n"), ERROR_INVALID },
	{ "chunked twice", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), ERROR_INVALID },
	{ "chunked in two fields", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), ERROR_INVALID },
	{ "identity behind chunked", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), ERROR_INVALID },
	{ "chunked in 1.0", SPAN_INIT("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), ERROR_INVALID },
	{ "gzip before chunked", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "gzip alone", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "identity", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "an unknown coding", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "an empty coding", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "chunked in quotes", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "chunked with a parameter", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"), ERROR_UNIMPLEMENTED },
	{ "chunked behind a vertical tab", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\vchunked\r\n\r\n"), ERROR_INVALID },
	{ "space before the coding's colon", SPAN_INIT("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"), ERROR_INVALID },
	/* clang-format on */
};

static void hostile_heads_are_refused_with_a_reason(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(hostile) >= 80);
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		AUTO_FREE char *copy = NULL;
		struct http1_head head;
		struct error err = { 0 };
		size_t len = 12345;

		if (parse_copy(hostile[i].text, &copy, &head, &len, &err) != HTTP1_FAILED ||
		    err.code != hostile[i].code)
			fail_msg("%s: code %s, '%s'", hostile[i].name, error_name(err.code), err.message);
		assert_int_equal(len, 12345);
		assert_true(strlen(err.message) > 10);
	}
}

/* A hostile head must be refused (or wait for more) however it is cut, never be taken for a good one. */
static void hostile_heads_are_refused_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		AUTO_FREE char *copy = span_to_text(hostile[i].text);
		struct http1_head head;
		struct error err = { 0 };
		size_t seen = 0, len;

		memcpy(copy, hostile[i].text.ptr, hostile[i].text.len);
		for (size_t n = 1; n <= hostile[i].text.len; n++) {
			enum http1_result result = http1_parse_head(copy, n, &seen, &head, &len, &err);

			if (result == HTTP1_FAILED)
				break;
			if (result == HTTP1_DONE)
				fail_msg("%s: accepted at byte %zu", hostile[i].name, n);
		}
	}
}

static const struct {
	struct span text;
	const char *method, *target;
	int minor;
	size_t headers;
	uint64_t length;
	bool has_length, is_chunked, keep_alive, expects_continue;
	const char *host;
} good[] = {
	/* clang-format off */
	{ SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("GET / HTTP/1.1\nHost: a\n\n"), "GET", "/", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("GET / HTTP/1.1\nHost: a\r\n\n"), "GET", "/", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("GET / HTTP/1.0\r\n\r\n"), "GET", "/", 0, 0, 0, false, false, false, false, NULL },
	{ SPAN_INIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "GET", "/", 0, 1, 0, false, false, true, false, NULL },
	{ SPAN_INIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), "GET", "/", 0, 1, 0, false, false, false, false, NULL },
	{ SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "GET", "/", 1, 2, 0, false, false, false, false, "a" },
	{ SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: te\r\nConnection: x , CLOSE\r\n\r\n"), "GET", "/", 1, 3, 0, false, false, false, false, "a" },
	{ SPAN_INIT("GET / HTTP/1.2\r\nHost:\r\n\r\n"), "GET", "/", 1, 1, 0, false, false, true, false, "" },
	{ SPAN_INIT("OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), "OPTIONS", "*", 1, 1, 0, false, false, true, false, "[::1]:8080" },
	{ SPAN_INIT("GET http://a/b?c=%20 HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "http://a/b?c=%20", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), "GET", "/\xc3\xa9", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n"), "M-SEARCH", "/x", 1, 1, 0, false, false, true, false, "a" },
	{ SPAN_INIT("POST / HTTP/1.1\r\nhOsT:\t a \t\r\nCONTENT-LENGTH: 5\r\n\r\n"), "POST", "/", 1, 2, 5, true, false, true, false, "a" },
	{ SPAN_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\n"), "POST", "/", 1, 3, 5, true, false, true, false, "a" },
	{ SPAN_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n"), "POST", "/", 1, 2, UINT64_MAX, true, false, true, false, "a" },
	{ SPAN_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), "POST", "/", 1, 2, 0, false, true, true, false, "a" },
	{ SPAN_INIT("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 0\r\n\r\n"), "POST", "/", 1, 3, 0, true, false, true, true, "a" },
	{ SPAN_INIT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"), "POST", "/", 0, 2, 1, true, false, false, false, NULL },
	{ SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab: a\tb\r\nX-High: \x80\xff\r\nX-Long: 0123456789abcdef0123456789abcdef!\r\n\r\n"), "GET", "/", 1, 5, 0, false, false, true, false, "a" },
	/* clang-format on */
};

static void good_heads_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO_FREE char *copy = NULL;
		struct http1_head head;
		struct error err = { 0 };
		size_t len = 0;

		assert_int_equal(parse_copy(good[i].text, &copy, &head, &len, &err), HTTP1_DONE);
		assert_int_equal(len, good[i].text.len);
		assert_true(span_equal(head.method, span_of(good[i].method)));
		assert_true(span_equal(head.target, span_of(good[i].target)));
		assert_int_equal(head.minor, good[i].minor);
		assert_int_equal(head.header_count, good[i].headers);
		assert_int_equal(head.content_length, good[i].length);
		assert_int_equal(head.has_length, good[i].has_length);
		assert_int_equal(head.is_chunked, good[i].is_chunked);
		assert_int_equal(head.keep_alive, good[i].keep_alive);
		assert_int_equal(head.expects_continue, good[i].expects_continue);
		assert_int_equal(head.host.ptr == NULL, good[i].host == NULL);
		assert_true(span_equal(head.host, span_of(good[i].host)));
	}
}

static void a_head_in_pieces_is_done_at_its_last_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO_FREE char *copy = span_to_text(good[i].text);
		struct http1_head head;
		struct error err = { 0 };
		size_t seen = 0, len = 0;

		for (size_t n = 0; n < good[i].text.len; n++)
			assert_int_equal(http1_parse_head(copy, n, &seen, &head, &len, &err), HTTP1_MORE);
		assert_int_equal(http1_parse_head(copy, good[i].text.len, &seen, &head, &len, &err), HTTP1_DONE);
		assert_int_equal(len, good[i].text.len);
		assert_int_equal(head.header_count, good[i].headers);
	}
}

static void names_are_lowered_and_values_trimmed(void **state)
{
	char text[] = "POST /a HTTP/1.1\r\nHost: a\r\nX-Some_Name|~: \t v w \t \r\nContent-Type: text/csv\r\n"
		      "Content-Encoding: gzip\r\nContent-Type: other\r\nUpgrade: h2c\r\n\r\nBODY";
	struct http1_head head;
	struct error err = { 0 };
	size_t seen = 0, len;

	(void)state;
	assert_int_equal(http1_parse_head(text, sizeof(text) - 1, &seen, &head, &len, &err), HTTP1_DONE);
	assert_string_equal(text + len, "BODY");
	assert_true(span_equal(head.headers[1].name, SPAN("x-some_name|~")));
	assert_true(span_equal(head.headers[1].value, SPAN("v w")));
	assert_true(span_equal(head.content_type, SPAN("text/csv")));
	assert_true(span_equal(head.content_encoding, SPAN("gzip")));
	assert_true(head.has_upgrade);
}

static void too_many_fields_are_refused(void **state)
{
	struct http1_head head;
	struct error err = { 0 };
	struct buffer text;
	size_t seen = 0, len;

	(void)state;
	buffer_init(&text, KIB(64));
	buffer_append(&text, SPAN("GET / HTTP/1.1\r\nHost: a\r\n"));
	for (int i = 1; i < HTTP1_HEADERS_MAX; i++)
		buffer_append(&text, SPAN("A: b\r\n"));
	buffer_append(&text, SPAN("\r\n"));
	assert_int_equal(http1_parse_head(text.ptr, text.len, &seen, &head, &len, &err), HTTP1_DONE);
	assert_int_equal(head.header_count, HTTP1_HEADERS_MAX);

	text.len -= 2;
	buffer_append(&text, SPAN("A: b\r\n\r\n"));
	assert_int_equal(http1_parse_head(text.ptr, text.len, &seen, &head, &len, &err), HTTP1_FAILED);
	assert_int_equal(err.code, ERROR_HEADERS_TOO_LARGE);
	buffer_done(&text);
}

/* ---- chunked ---- */

static enum http1_result feed_in_pieces(struct span in, size_t piece, struct buffer *out, size_t *ret_used,
					struct error *err)
{
	AUTO_FREE char *copy = span_to_text(in);
	struct http1_chunked c = { 0 };
	size_t at = 0, end = 0;

	memcpy(copy, in.ptr, in.len);
	while (at < in.len) {
		size_t used, data, n = MIN(piece, in.len - at);
		enum http1_result result = http1_chunked_feed(&c, copy + at, n, copy + end, &used, &data, err);

		if (result == HTTP1_FAILED)
			return result;
		at += used;
		end += data;
		if (result == HTTP1_DONE) {
			*ret_used = at;
			buffer_clear(out);
			buffer_append(out, span_from(copy, end));
			return result;
		}
		assert_int_equal(used, n);
	}
	return HTTP1_MORE;
}

static void chunked_bodies_are_decoded_however_they_are_cut(void **state)
{
	static const struct {
		struct span in, out;
		size_t behind;
	} rows[] = {
		{ SPAN_INIT("0\r\n\r\n"), SPAN_INIT(""), 0 },
		{ SPAN_INIT("5\r\nhello\r\n0\r\n\r\n"), SPAN_INIT("hello"), 0 },
		{ SPAN_INIT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /"), SPAN_INIT("hello world"), 5 },
		{ SPAN_INIT("0000A;name=\"va;lue\"\r\n0123456789\r\n000\r\n\r\n"), SPAN_INIT("0123456789"), 0 },
		{ SPAN_INIT("a\r\n0123456789\r\n0\r\nExpires: never\r\nX: y\r\n\r\n"), SPAN_INIT("0123456789"), 0 },
		{ SPAN_INIT("2\r\n\r\n\r\n0;x\r\n\r\n"), SPAN_INIT("\r\n"), 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t piece = 1; piece <= rows[i].in.len; piece++) {
			struct error err = { 0 };
			struct buffer out;
			size_t used = 0;

			buffer_init(&out, 100);
			assert_int_equal(feed_in_pieces(rows[i].in, piece, &out, &used, &err), HTTP1_DONE);
			assert_int_equal(used, rows[i].in.len - rows[i].behind);
			assert_true(span_equal(buffer_span(&out), rows[i].out));
			buffer_done(&out);
		}
	}
}

static void hostile_chunks_are_refused(void **state)
{
	static const struct span rows[] = {
		SPAN_INIT("\r\n"),
		SPAN_INIT("g\r\n"),
		SPAN_INIT("-1\r\n"),
		SPAN_INIT("+1\r\na\r\n"),
		SPAN_INIT(" 1\r\na\r\n"),
		SPAN_INIT("1 \r\na\r\n"),
		SPAN_INIT("1\t;x\r\na\r\n"),
		SPAN_INIT("0x1\r\na\r\n"),
		SPAN_INIT("1\na\r\n0\r\n\r\n"),
		SPAN_INIT("1\ra\r\n0\r\n\r\n"),
		SPAN_INIT("1;x\na\r\n0\r\n\r\n"),
		SPAN_INIT("1;x\0\r\na\r\n"),
		SPAN_INIT("1;x\r\r\na\r\n"),
		SPAN_INIT("1\r\nab\r\n"),
		SPAN_INIT("1\r\na\n0\r\n\r\n"),
		SPAN_INIT("1\r\na0\r\n\r\n"),
		SPAN_INIT("1\r\na\r0\r\n\r\n"),
		SPAN_INIT("10000000000000000\r\n"),
		SPAN_INIT("ffffffffffffffff0\r\n"),
		SPAN_INIT("0\r\n\n"),
		SPAN_INIT("0\n\n"),
		SPAN_INIT("0\r\nA: b\n\r\n"),
		SPAN_INIT("0\r\n: b\r\n\r\n"),
		SPAN_INIT("0\r\n A: b\r\n\r\n"),
		SPAN_INIT("0\r\nA: \0\r\n\r\n"),
		SPAN_INIT("0\r\n\rX"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t piece = 1; piece <= rows[i].len; piece++) {
			struct error err = { 0 };
			struct buffer out;
			size_t used;

			buffer_init(&out, 100);
			if (feed_in_pieces(rows[i], piece, &out, &used, &err) != HTTP1_FAILED)
				fail_msg("row %zu is accepted in pieces of %zu", i, piece);
			assert_int_equal(err.code, ERROR_INVALID);
		}
	}
}

static void endless_size_lines_and_trailers_are_refused(void **state)
{
	static const struct span starts[] = { SPAN_INIT("5;"), SPAN_INIT("0\r\nA: "), SPAN_INIT("0000000000") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct http1_chunked c = { 0 };
		struct error err = { 0 };
		char fill[1000], out[8];
		size_t used, data;
		enum http1_result result;

		memset(fill, '0', sizeof(fill));
		result = http1_chunked_feed(&c, starts[i].ptr, starts[i].len, out, &used, &data, &err);
		for (int n = 0; n < 6 && result == HTTP1_MORE; n++)
			result = http1_chunked_feed(&c, fill, sizeof(fill), out, &used, &data, &err);
		assert_int_equal(result, HTTP1_FAILED);
	}
}

/* ---- answers ---- */

typedef enum http1_result parse_function(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
					 struct error *err);

/* However it is cut, the end is found at the same byte, in memory that ends with what has come. */
static enum http1_result parse_in_pieces(parse_function *parse, struct span text, struct http1_head *ret,
					 size_t *ret_len, struct error *err)
{
	enum http1_result result = HTTP1_MORE;
	size_t seen = 0;

	for (size_t n = 0; n <= text.len && result == HTTP1_MORE; n++) {
		char *copy = malloc(n ? n : 1);

		memcpy(copy, text.ptr, n);
		result = parse(copy, n, &seen, ret, ret_len, err);
		free(copy);
	}
	return result;
}

static void heads_of_answers_are_read_however_they_are_cut(void **state)
{
	static const struct {
		struct span text;
		int status, minor;
		size_t headers;
		bool keep_alive, is_chunked, has_length;
	} rows[] = {
		{ SPAN_INIT("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), 200, 1, 1, true, false, false },
		{ SPAN_INIT("HTTP/1.1 200\r\n\r\n"), 200, 1, 0, true, false, false },
		{ SPAN_INIT("HTTP/1.1 404 \n\n"), 404, 1, 0, true, false, false },
		{ SPAN_INIT("HTTP/1.0 301 Moved\r\nContent-Length: 7\r\n\r\n"), 301, 0, 1, false, false, true },
		{ SPAN_INIT("HTTP/1.9 999 x y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"), 999, 1, 2,
		  false, true, false },
		{ SPAN_INIT(
		      "HTTP/1.1 200 OK\r\nContent-Length: 07\r\nContent-Length: 7\r\nHost: a b\r\nHost: c\r\n\r\n"),
		  200, 1, 3, true, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http1_head head;
		struct error err = { 0 };
		size_t len = 0;

		if (parse_in_pieces(http1_parse_answer, rows[i].text, &head, &len, &err) != HTTP1_DONE)
			fail_msg("row %zu: %s", i, err.message);
		assert_int_equal(len, rows[i].text.len);
		assert_int_equal(head.status, rows[i].status);
		assert_int_equal(head.minor, rows[i].minor);
		assert_int_equal(head.header_count, rows[i].headers);
		assert_int_equal(head.keep_alive, rows[i].keep_alive);
		assert_int_equal(head.is_chunked, rows[i].is_chunked);
		assert_int_equal(head.has_length, rows[i].has_length);
		assert_true(!head.has_length || head.content_length == 7);
	}
}

static void trailers_are_read_without_what_is_settled_by_then(void **state)
{
	static const struct span fine =
	    SPAN_INIT("X-Sum: 7\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nB:\tc \r\n\r\n");
	static const struct span bad[] = {
		SPAN_INIT("A: b\n\r\n"),     SPAN_INIT("\n"), SPAN_INIT(" a: b\r\n\r\n"), SPAN_INIT("a : b\r\n\r\n"),
		SPAN_INIT("a: b\r\r\n\r\n"),
	};
	struct http1_head head;
	struct error err = { 0 };
	char text[128];
	size_t len = 0, seen = 0;

	(void)state;
	assert_int_equal(parse_in_pieces(http1_parse_trailers, SPAN("\r\n"), &head, &len, &err), HTTP1_DONE);
	assert_int_equal(len, 2);
	assert_int_equal(head.header_count, 0);
	memcpy(text, fine.ptr, fine.len);
	assert_int_equal(http1_parse_trailers(text, fine.len, &seen, &head, &len, &err), HTTP1_DONE);
	assert_int_equal(len, fine.len);
	assert_int_equal(head.header_count, 2);
	assert_true(span_equal(head.headers[0].name, SPAN("x-sum")) && span_equal(head.headers[1].value, SPAN("c")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (parse_in_pieces(http1_parse_trailers, bad[i], &head, &len, &err) == HTTP1_DONE)
			fail_msg("row %zu was taken", i);
}

static void runs_of_chunks_are_given_where_they_stand(void **state)
{
	static const struct span body = SPAN_INIT("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n");
	struct http1_chunked c = { .leaves_trailers = true };
	enum http1_result result = HTTP1_MORE;
	struct error err = { 0 };
	size_t at = 0;
	char data[8];
	size_t count = 0;

	(void)state;
	while (result == HTTP1_MORE && at < body.len) {
		size_t used = 0;
		struct span run;

		result = http1_chunked_next(&c, body.ptr + at, MIN(body.len - at, 4), &used, &run, &err);
		assert_true(run.ptr >= body.ptr + at && run.ptr + run.len <= body.ptr + body.len);
		memcpy(data + count, run.ptr, run.len);
		count += run.len;
		at += used;
	}
	assert_int_equal(result, HTTP1_DONE);
	assert_true(span_equal(span_from(data, count), SPAN("abcde")));
	assert_true(span_equal(span_skip(body, at), SPAN("X: y\r\n\r\n")));
}

static void what_may_stand_in_a_head_is_known(void **state)
{
	(void)state;
	assert_true(http1_is_value(SPAN("")) && http1_is_value(SPAN("a\tb \xff")) && http1_is_token(SPAN("x-A_1")));
	assert_true(http1_is_target(SPAN("/a?b=%20\xc3\xa9")));
	assert_false(http1_is_value(SPAN("a long enough value to be looked at in runs\r\nevil: 1")));
	assert_false(http1_is_value(SPAN("\x7f")) || http1_is_value(SPAN("a\0b")));
	assert_false(http1_is_token(SPAN("")) || http1_is_token(SPAN("a b")) || http1_is_token(SPAN("a:")));
	assert_false(http1_is_target(SPAN("")) || http1_is_target(SPAN("/a b")) || http1_is_target(SPAN("/\r\n")));
}

static void every_status_has_one_reason(void **state)
{
	(void)state;
	assert_string_equal(http1_reason(200), "OK");
	assert_string_equal(http1_reason(413), "Content Too Large");
	assert_string_equal(http1_reason(299), "");
	for (int code = ERROR_NONE; code < ERROR_COUNT; code++)
		assert_true(http1_reason(error_http((enum error_code)code))[0] != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_heads_are_refused_with_a_reason),
		cmocka_unit_test(hostile_heads_are_refused_byte_by_byte),
		cmocka_unit_test(good_heads_are_read),
		cmocka_unit_test(a_head_in_pieces_is_done_at_its_last_byte),
		cmocka_unit_test(names_are_lowered_and_values_trimmed),
		cmocka_unit_test(too_many_fields_are_refused),
		cmocka_unit_test(chunked_bodies_are_decoded_however_they_are_cut),
		cmocka_unit_test(hostile_chunks_are_refused),
		cmocka_unit_test(endless_size_lines_and_trailers_are_refused),
		cmocka_unit_test(heads_of_answers_are_read_however_they_are_cut),
		cmocka_unit_test(trailers_are_read_without_what_is_settled_by_then),
		cmocka_unit_test(runs_of_chunks_are_given_where_they_stand),
		cmocka_unit_test(what_may_stand_in_a_head_is_known),
		cmocka_unit_test(every_status_has_one_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
