/* SPDX-License-Identifier: Apache-2.0 */
/* websocket_test - RFC 6455 by tables: each row is read at once, byte by byte and in halves, which must make no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/websocket.h"

enum { LIMIT = 100000, MESSAGES = 16 };

/* ---- a client's frames ---- */

enum { MORE_COMES = 0x100, NOT_MASKED = 0x200, RSV1 = 0x400, RSV3 = 0x800, LONGER = 0x1000, LONGEST = 0x2000 };

struct frame {
	int bits; /* opcode and the above */
	struct span payload;
};

#define F(bits, text)                                                                                                  \
	{                                                                                                              \
		(bits), SPAN_INIT(text)                                                                                \
	}

static void frame_write(struct buffer *out, int bits, struct span payload)
{
	static const unsigned char key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint64_t len = payload.len;
	int size = bits & LONGEST ? 8 : bits & LONGER ? 2 : len < 126 ? 0 : len < 65536 ? 2 : 8;
	int mask = bits & NOT_MASKED ? 0 : 0x80;

	buffer_byte(out, (char)((bits & 15) | (bits & MORE_COMES ? 0 : 0x80) | (bits & RSV1 ? 0x40 : 0) |
				(bits & RSV3 ? 0x10 : 0)));
	buffer_byte(out, (char)(mask | (size == 0 ? (int)len : size == 2 ? 126 : 127)));
	for (int i = size - 1; i >= 0; i--)
		buffer_byte(out, (char)(len >> 8 * i));
	if (mask)
		buffer_append(out, span_from(key, 4));
	for (size_t i = 0; i < payload.len; i++)
		buffer_byte(out, mask ? (char)(payload.ptr[i] ^ (char)key[i & 3]) : payload.ptr[i]);
}

/* ---- what is read ---- */

static void note(struct buffer *to, enum websocket_event event, struct span message, int code)
{
	static const char *const names[] = { "more", "text", "binary", "ping", "pong", "close", "failed" };

	buffer_print(to, "%s:", names[event]);
	if (event >= WEBSOCKET_CLOSE)
		buffer_print(to, "%d", code);
	if (event == WEBSOCKET_CLOSE && message.len)
		buffer_byte(to, ' ');
	if (event != WEBSOCKET_FAILED)
		buffer_append(to, message);
	buffer_byte(to, ';');
}

static void read_all(struct span in, size_t piece, size_t limit, struct buffer *to)
{
	struct websocket w;

	buffer_clear(to);
	websocket_init(&w, limit);
	while (in.len) {
		/* A copy of exactly these bytes: sanitizers see what is read beyond. */
		size_t len = MIN(piece, in.len), at = 0;
		char *copy = malloc(len);
		enum websocket_event event;

		memcpy(copy, in.ptr, len);
		in = span_skip(in, len);
		do {
			struct span message = { NULL, 0 };
			size_t used = SIZE_MAX;
			int code = 0;

			event = websocket_read(&w, (struct span){ copy + at, len - at }, &used, &message, &code);
			assert_true(used <= len - at);
			at += used;
			if (event != WEBSOCKET_MORE)
				note(to, event, message, code);
		} while (event != WEBSOCKET_MORE && event != WEBSOCKET_FAILED);
		free(copy);
		if (event == WEBSOCKET_FAILED)
			break;
		assert_int_equal(at, len);
	}
	websocket_done(&w);
}

static void assert_reads(struct span in, size_t limit, const char *expected)
{
	size_t pieces[] = { in.len, 1, 3, in.len / 2 + 1 };
	struct buffer told;

	buffer_init(&told, MIB(4));
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		read_all(in, pieces[i], limit, &told);
		buffer_byte(&told, '\0');
		assert_string_equal(told.ptr, expected);
	}
	buffer_done(&told);
}

struct row {
	struct frame frames[MESSAGES];
	const char *expected;
};

static void assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct buffer in;

		buffer_init(&in, MIB(1));
		for (const struct frame *f = rows[i].frames; f->payload.ptr; f++)
			frame_write(&in, f->bits, f->payload);
		assert_reads(buffer_span(&in), LIMIT, rows[i].expected);
		buffer_done(&in);
	}
}

/* ---- tests ---- */

static void messages_and_control_frames_are_read(void **state)
{
	static const struct row rows[] = {
		{ { F(1, "Hello") }, "text:Hello;" },
		{ { F(1, "") }, "text:;" },
		{ { F(2, "\1\2") }, "binary:\1\2;" },
		{ { F(1, "a"), F(2, "b"), F(1, "c") }, "text:a;binary:b;text:c;" },
		{ { F(9, ""), F(9, "are you"), F(10, "yes") }, "ping:;ping:are you;pong:yes;" },
		{ { F(1 | MORE_COMES, "Hel"), F(0, "lo") }, "text:Hello;" },
		{ { F(1 | MORE_COMES, ""), F(0 | MORE_COMES, ""), F(0, "") }, "text:;" },
		{ { F(2 | MORE_COMES, "a"), F(9, "p"), F(0 | MORE_COMES, "b"), F(10, "q"), F(9, ""), F(0, "c"),
		    F(1, "d") },
		  "ping:p;pong:q;ping:;binary:abc;text:d;" },
		{ { F(1 | MORE_COMES, "a"), F(8, "\3\350") }, "close:1000;" },
		{ { F(1, "not whole") }, "text:not whole;" },
	};

	(void)state;
	assert_rows(rows, ARRAY_LEN(rows));
}

static void the_examples_of_the_rfc_are_read(void **state)
{
	/* RFC 6455 5.7. */
	static const struct {
		struct span in;
		const char *expected;
	} rows[] = {
		{ SPAN_INIT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text:Hello;" },
		{ SPAN_INIT("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong:Hello;" },
		{ SPAN_INIT("\x81\x05\x48\x65\x6c\x6c\x6f"), "failed:1002;" }, /* a server's: not masked */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_reads(rows[i].in, LIMIT, rows[i].expected);
}

static void frames_against_the_rules_fail_with_1002(void **state)
{
	static const struct row rows[] = {
		{ { F(1 | NOT_MASKED, "a") }, "failed:1002;" },
		{ { F(9 | NOT_MASKED, "") }, "failed:1002;" },
		{ { F(1 | RSV1, "a") }, "failed:1002;" },
		{ { F(1 | RSV3, "a") }, "failed:1002;" },
		{ { F(9 | RSV1, "a") }, "failed:1002;" },
		{ { F(1, "before"), F(3, "") }, "text:before;failed:1002;" },
		{ { F(7, "") }, "failed:1002;" },
		{ { F(11, "") }, "failed:1002;" },
		{ { F(15, "") }, "failed:1002;" },
		{ { F(0, "nothing to continue") }, "failed:1002;" },
		{ { F(1 | MORE_COMES, "a"), F(1, "b") }, "failed:1002;" },
		{ { F(1 | MORE_COMES, "a"), F(2 | MORE_COMES, "b") }, "failed:1002;" },
		{ { F(1 | MORE_COMES, "a"), F(0, "b"), F(0, "c") }, "text:ab;failed:1002;" },
		{ { F(9 | MORE_COMES, "") }, "failed:1002;" },
		{ { F(8 | MORE_COMES, "") }, "failed:1002;" },
		{ { F(9 | LONGER, "short") }, "failed:1002;" },
		{ { F(10 | LONGEST, "") }, "failed:1002;" },
		{ { F(1 | LONGER, "not the shortest form") }, "failed:1002;" },
		{ { F(2 | LONGEST, "not the shortest form") }, "failed:1002;" },
	};

	(void)state;
	assert_rows(rows, ARRAY_LEN(rows));
}

static void text_is_checked_over_fragments(void **state)
{
	static const struct row rows[] = {
		{ { F(1, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") }, "text:\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80;" },
		{ { F(1 | MORE_COMES, "\xf0\x9f"), F(9, "\xff"), F(0 | MORE_COMES, "\x98"), F(0, "\x80") },
		  "ping:\xff;text:\xf0\x9f\x98\x80;" },
		{ { F(1 | MORE_COMES, "\xe2"), F(0 | MORE_COMES, ""), F(0, "\x82\xac!") }, "text:\xe2\x82\xac!;" },
		{ { F(2, "\xff\xfe") }, "binary:\xff\xfe;" },
		{ { F(2 | MORE_COMES, "\xff"), F(0, "\xfe") }, "binary:\xff\xfe;" },
		{ { F(1, "\xff") }, "failed:1007;" },
		{ { F(1, "abc\x80") }, "failed:1007;" },
		{ { F(1, "\xc0\xaf") }, "failed:1007;" }, /* not the shortest form */
		{ { F(1, "\xe0\x80\xaf") }, "failed:1007;" },
		{ { F(1, "\xed\xa0\x80") }, "failed:1007;" },     /* half of a surrogate pair */
		{ { F(1, "\xf4\x90\x80\x80") }, "failed:1007;" }, /* over U+10FFFF */
		{ { F(1, "cut \xe2\x82") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "cut \xe2\x82"), F(0, "") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "cut \xe2\x82"), F(0, "a") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "\xf0\x9f"), F(0 | MORE_COMES, "\x98"), F(0, "\xc3") }, "failed:1007;" },
		/* What no byte more could mend is refused before the message ends. */
		{ { F(1 | MORE_COMES, "\xf4\x90"), F(9, "never seen") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "\xed\xa0"), F(9, "never seen") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "\xe0\x9f"), F(9, "never seen") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "\xf8"), F(9, "never seen") }, "failed:1007;" },
		{ { F(1 | MORE_COMES, "\xf4\x8f\xbf"), F(9, ""), F(0, "\xbf") }, "ping:;text:\xf4\x8f\xbf\xbf;" },
		{ { F(1, "fine"), F(1, "\xfe") }, "text:fine;failed:1007;" },
	};

	(void)state;
	assert_rows(rows, ARRAY_LEN(rows));
}

static void a_close_ends_all(void **state)
{
	static const struct row rows[] = {
		{ { F(8, "") }, "close:1005;" },
		{ { F(8, "\3\350"), F(1, "late"), F(3, "") }, "close:1000;" },
		{ { F(8, "\3\351going") }, "close:1001 going;" },
		{ { F(8, "\13\270\xc3\xa9") }, "close:3000 \xc3\xa9;" },
		{ { F(8, "\3") }, "failed:1002;" },
		{ { F(8, "\3\350\xff") }, "failed:1007;" },
		{ { F(8, "\3\350\xe2\x82") }, "failed:1007;" },
	};

	(void)state;
	assert_rows(rows, ARRAY_LEN(rows));
}

static void close_codes_are_checked(void **state)
{
	static const struct {
		int from, to;
		bool is_valid;
	} rows[] = {
		{ 0, 999, false },     { 1000, 1003, true }, { 1004, 1006, false },  { 1007, 1014, true },
		{ 1015, 2999, false }, { 3000, 4999, true }, { 5000, 65535, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int code = rows[i].from; code <= rows[i].to; code++) {
			char payload[2] = { (char)(code >> 8), (char)code };
			struct websocket w;
			struct buffer in;
			struct span message;
			size_t used;
			int told = 0;

			buffer_init(&in, KIB(1));
			frame_write(&in, 8, (struct span){ payload, 2 });
			websocket_init(&w, LIMIT);
			assert_int_equal(websocket_read(&w, buffer_span(&in), &used, &message, &told),
					 rows[i].is_valid ? WEBSOCKET_CLOSE : WEBSOCKET_FAILED);
			assert_int_equal(told, rows[i].is_valid ? code : 1002);
			websocket_done(&w);
			buffer_done(&in);
		}
}

static void all_forms_of_length_are_read(void **state)
{
	static const size_t lengths[] = { 0, 1, 7, 8, 9, 125, 126, 127, 255, 256, 65535, 65536, LIMIT };
	char *payload = malloc(LIMIT);

	(void)state;
	for (size_t i = 0; i < LIMIT; i++)
		payload[i] = (char)('a' + i % 23);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct buffer in, expected;

		buffer_init(&in, MIB(1));
		buffer_init(&expected, MIB(1));
		frame_write(&in, 1, (struct span){ payload, lengths[i] });
		frame_write(&in, 2, (struct span){ payload, 3 });
		buffer_print(&expected, "text:%.*s;binary:abc;", (int)lengths[i], payload);
		buffer_byte(&expected, '\0');
		assert_reads(buffer_span(&in), LIMIT, expected.ptr);
		buffer_done(&expected);
		buffer_done(&in);
	}
	free(payload);
}

static void a_message_over_the_limit_fails_with_1009_by_its_head(void **state)
{
	static const struct row rows[] = {
		{ { F(1, "12345678") }, "text:12345678;" },
		{ { F(1, "123456789") }, "failed:1009;" },
		{ { F(2 | MORE_COMES, "12345"), F(0 | MORE_COMES, "678"), F(0, "") }, "binary:12345678;" },
		{ { F(2 | MORE_COMES, "12345"), F(9, "long pings are no part of it"), F(0, "6789") },
		  "ping:long pings are no part of it;failed:1009;" },
		{ { F(2, "12345678"), F(1, "12345678"), F(1, "1") }, "binary:12345678;text:12345678;text:1;" },
	};
	static const char endless[] = "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
	static const char too_long[] = "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"; /* 5.2: the highest bit is 0 */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buffer in;

		buffer_init(&in, KIB(1));
		for (const struct frame *f = rows[i].frames; f->payload.ptr; f++)
			frame_write(&in, f->bits, f->payload);
		assert_reads(buffer_span(&in), 8, rows[i].expected);
		buffer_done(&in);
	}
	assert_reads(span_from(endless, sizeof(endless) - 1), LIMIT, "failed:1009;");
	assert_reads(span_from(too_long, sizeof(too_long) - 1), LIMIT, "failed:1002;");
}

static void after_a_failure_it_stays_failed(void **state)
{
	struct websocket w;
	struct span message;
	size_t used;
	int code = 0;

	(void)state;
	websocket_init(&w, LIMIT);
	assert_int_equal(websocket_read(&w, SPAN("\x81\1a"), &used, &message, &code), WEBSOCKET_FAILED);
	for (int i = 0; i < 2; i++) {
		code = 0;
		assert_int_equal(websocket_read(&w, SPAN("\x81\x80\0\0\0\0"), &used, &message, &code),
				 WEBSOCKET_FAILED);
		assert_int_equal(code, 1002);
	}
	websocket_done(&w);
}

static void frames_are_written(void **state)
{
	static const struct {
		size_t len;
		struct span head;
	} rows[] = {
		{ 0, SPAN_INIT("\x82\0") },
		{ 125, SPAN_INIT("\x82\x7d") },
		{ 126, SPAN_INIT("\x82\x7e\0\x7e") },
		{ 65535, SPAN_INIT("\x82\x7e\xff\xff") },
		{ 65536, SPAN_INIT("\x82\x7f\0\0\0\0\0\1\0\0") },
	};
	char *payload = calloc(1, 65536);
	struct buffer out;

	(void)state;
	buffer_init(&out, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buffer_clear(&out);
		websocket_write(&out, WEBSOCKET_OP_BINARY, (struct span){ payload, rows[i].len });
		assert_int_equal(out.len, rows[i].head.len + rows[i].len);
		assert_memory_equal(out.ptr, rows[i].head.ptr, rows[i].head.len);
	}
	buffer_clear(&out);
	websocket_write(&out, WEBSOCKET_OP_TEXT, SPAN("Hello")); /* RFC 6455 5.7 */
	websocket_write(&out, WEBSOCKET_OP_PING, SPAN("Hello"));
	assert_true(span_equal(buffer_span(&out), SPAN("\x81\5Hello\x89\5Hello")));
	buffer_done(&out);
	free(payload);
}

static void a_close_is_written_with_as_much_of_the_reason_as_fits(void **state)
{
	char reason[200];
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB(1));
	websocket_write_close(&out, 1005, SPAN("not said"));
	websocket_write_close(&out, 1000, SPAN(""));
	websocket_write_close(&out, 3001, SPAN("bye"));
	assert_true(span_equal(buffer_span(&out), SPAN("\x88\0\x88\2\3\350\x88\5\13\271"
						       "bye")));
	memset(reason, 'a', sizeof(reason));
	memcpy(reason + 121, "\xe2\x82\xac", 3);
	buffer_clear(&out);
	websocket_write_close(&out, 1011, (struct span){ reason, sizeof(reason) });
	assert_int_equal(out.len, 2 + 2 + 121);
	buffer_clear(&out);
	websocket_write_close(&out, 1011, (struct span){ reason + 1, sizeof(reason) - 1 });
	assert_int_equal(out.len, 2 + 2 + 123);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_and_control_frames_are_read),
		cmocka_unit_test(the_examples_of_the_rfc_are_read),
		cmocka_unit_test(frames_against_the_rules_fail_with_1002),
		cmocka_unit_test(text_is_checked_over_fragments),
		cmocka_unit_test(a_close_ends_all),
		cmocka_unit_test(close_codes_are_checked),
		cmocka_unit_test(all_forms_of_length_are_read),
		cmocka_unit_test(a_message_over_the_limit_fails_with_1009_by_its_head),
		cmocka_unit_test(after_a_failure_it_stays_failed),
		cmocka_unit_test(frames_are_written),
		cmocka_unit_test(a_close_is_written_with_as_much_of_the_reason_as_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
