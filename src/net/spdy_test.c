/* SPDX-License-Identifier: Apache-2.0 */
/* spdy_test - frames as a Go client (moby/spdystream 0.5) wrote them, and what is written for it. */
#include "net/spdy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Streams 1 and 3 with three fields each, "hello" on 3, a ping, the end of 3, a reset of 1, a goaway. */
static const unsigned char frames[] = {
	0x80, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x3e, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2, 0x02, 0x25, 0x3a, 0x70, 0x3a, 0x2b, 0x29, 0x4a, 0x4d, 0xcc,
	0x85, 0x16, 0x25, 0xac, 0xa9, 0xa0, 0x80, 0x86, 0x14, 0xcb, 0x45, 0xe0, 0x1c, 0x60, 0x61, 0x60, 0x60,
	0xc0, 0xc0, 0xc0, 0xc0, 0x59, 0x04, 0x89, 0xc6, 0x4c, 0x50, 0xf2, 0x66, 0x34, 0x07, 0x00, 0x00, 0x00,
	0xff, 0xff, 0x80, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0xc2, 0xaa, 0x19, 0x54, 0x0e, 0x25, 0x12, 0xd6, 0x0b, 0x00, 0x00, 0x00, 0xff, 0xff,
	0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x80, 0x03, 0x00, 0x06,
	0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00, 0x80,
	0x03, 0x00, 0x03, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x05, 0x80, 0x03,
	0x00, 0x07, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static void frames_of_a_go_client_are_read(void **state)
{
	struct span in = span_from(frames, sizeof(frames));
	struct buffer out;
	struct spdy s;
	size_t used;

	(void)state;
	buffer_init(&out, KIB(4));
	spdy_init(&s);
	for (uint32_t id = 1; id <= 3; id += 2) {
		assert_int_equal(spdy_read(&s, in, &used), SPDY_STREAM);
		in = span_skip(in, used);
		assert_int_equal(s.id, id);
		assert_false(s.is_end);
		assert_true(span_equal(spdy_field(&s, SPAN("streamtype")), id == 1 ? SPAN("error") : SPAN("data")));
		assert_true(span_equal(spdy_field(&s, SPAN("port")), SPAN("8000")));
		assert_true(span_equal(spdy_field(&s, SPAN("requestid")), SPAN("7")));
		assert_int_equal(spdy_field(&s, SPAN("other")).len, 0);
		spdy_write_reply(&s, &out, id);
	}
	assert_int_equal(spdy_read(&s, in, &used), SPDY_DATA);
	in = span_skip(in, used);
	assert_int_equal(s.id, 3);
	assert_true(span_equal(s.data, SPAN("hello")));
	assert_false(s.is_end);
	assert_int_equal(spdy_read(&s, in, &used), SPDY_PING);
	in = span_skip(in, used);
	assert_int_equal(s.id, 9);
	assert_int_equal(spdy_read(&s, in, &used), SPDY_DATA);
	in = span_skip(in, used);
	assert_int_equal(s.data.len, 0);
	assert_true(s.is_end);
	assert_int_equal(spdy_read(&s, in, &used), SPDY_RESET);
	in = span_skip(in, used);
	assert_int_equal(s.id, 1);
	assert_int_equal(spdy_read(&s, in, &used), SPDY_GOAWAY);
	in = span_skip(in, used);
	assert_int_equal(in.len, 0);
	assert_int_equal(spdy_read(&s, in, &used), SPDY_MORE);
	spdy_done(&s);
	buffer_done(&out);
}

static void what_is_not_spdy_is_refused(void **state)
{
	static const struct {
		struct span bytes;
		const char *failure;
	} cases[] = {
		{ SPAN_INIT("\x80\x02\0\x06\0\0\0\x04"), "a frame is not of SPDY/3.1" },
		{ SPAN_INIT("\x80\x03\0\x01\0\xff\0\0"), "a control frame is over 64 KiB" },
		{ SPAN_INIT("\x80\x03\0\x06\0\0\0\x02\0\0"), "a frame has a wrong length" },
		{ SPAN_INIT("\x80\x03\0\x01\0\0\0\x02\0\0"), "a SYN_STREAM is too short" },
		{ SPAN_INIT("\x80\x03\0\x01\0\0\0\x0a\0\0\0\x02\0\0\0\0\0\0"),
		  "a SYN_STREAM has an id that is not the client's next" },
		{ SPAN_INIT("\x80\x03\0\x01\0\0\0\x0c\0\0\0\x01\0\0\0\0\0\0xx"),
		  "the fields of a SYN_STREAM are damaged, or too many" },
	};
	struct spdy s;
	size_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		spdy_init(&s);
		assert_int_equal(spdy_read(&s, cases[i].bytes, &used), SPDY_FAILED);
		assert_string_equal(s.failure, cases[i].failure);
		assert_int_equal(spdy_read(&s, cases[i].bytes, &used), SPDY_FAILED);
		spdy_done(&s);
	}
}

static void frames_are_written_as_the_draft_has_them(void **state)
{
	struct buffer out;
	struct spdy s;

	(void)state;
	buffer_init(&out, KIB(4));
	spdy_init(&s);
	spdy_write_data(&out, 3, SPAN("ab"), false);
	spdy_write_data(&out, 3, SPAN(""), true);
	spdy_write_reset(&out, 5, SPDY_CANCEL);
	spdy_write_ping(&out, 9);
	spdy_write_goaway(&s, &out);
	assert_true(span_equal(buffer_span(&out), SPAN("\0\0\0\x03\0\0\0\x02"
						       "ab"
						       "\0\0\0\x03\x01\0\0\0"
						       "\x80\x03\0\x03\0\0\0\x08\0\0\0\x05\0\0\0\x05"
						       "\x80\x03\0\x06\0\0\0\x04\0\0\0\x09"
						       "\x80\x03\0\x07\0\0\0\x08\0\0\0\0\0\0\0\0")));
	spdy_done(&s);
	buffer_done(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_a_go_client_are_read),
		cmocka_unit_test(what_is_not_spdy_is_refused),
		cmocka_unit_test(frames_are_written_as_the_draft_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
