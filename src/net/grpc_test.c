/* SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "wire/base64.h"
#include "wire/protobuf.h"

static void frames_are_read_whole_or_not_at_all(void **state)
{
	static const struct {
		struct span in;
		enum grpc_result result;
		bool is_compressed;
		size_t len;
		enum error_code code;
	} rows[] = {
		{ SPAN_INIT(""), GRPC_MORE, false, 0, 0 },
		{ SPAN_INIT("\0\0\0\0"), GRPC_MORE, false, 0, 0 },
		{ SPAN_INIT("\0\0\0\0\0"), GRPC_DONE, false, 0, 0 },
		{ SPAN_INIT("\0\0\0\0\3ab"), GRPC_MORE, false, 0, 0 },
		{ SPAN_INIT("\0\0\0\0\3abc"), GRPC_DONE, false, 3, 0 },
		{ SPAN_INIT("\1\0\0\0\3abcd"), GRPC_DONE, true, 3, 0 },
		{ SPAN_INIT("\2"), GRPC_FAILED, false, 0, ERROR_INVALID },
		{ SPAN_INIT("\0\0\0\0\13"), GRPC_FAILED, false, 0, ERROR_TOO_LARGE },
		{ SPAN_INIT("\0\xff\xff\xff\xff"), GRPC_FAILED, false, 0, ERROR_TOO_LARGE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span message = { NULL, 99 };
		bool is_compressed = false;
		struct error err = { 0 };

		assert_int_equal(grpc_frame_read(rows[i].in, 10, &is_compressed, &message, &err), rows[i].result);
		assert_int_equal(err.code, rows[i].code);
		if (rows[i].result == GRPC_DONE) {
			assert_int_equal(message.len, rows[i].len);
			assert_int_equal(is_compressed, rows[i].is_compressed);
		} else {
			assert_int_equal(message.len, 99);
		}
	}
}

static void a_frame_head_reads_back(void **state)
{
	struct span message;
	char frame[5 + 300] = { 0 };
	struct error err = { 0 };
	bool is_compressed;

	(void)state;
	assert_true(grpc_frame_head(frame, true, 300));
	assert_int_equal(grpc_frame_read(span_from(frame, sizeof(frame)), 300, &is_compressed, &message, &err),
			 GRPC_DONE);
	assert_true(is_compressed);
	assert_int_equal(message.len, 300);
	assert_false(grpc_frame_head(frame, false, (size_t)1 << 32));
}

static void timeouts_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		int64_t ns; /* -1: refused */
	} rows[] = {
		{ "1H", 3600 * NS_PER_S },
		{ "2M", 120 * NS_PER_S },
		{ "3S", 3 * NS_PER_S },
		{ "100m", 100 * NS_PER_MS },
		{ "5u", 5 * NS_PER_US },
		{ "7n", 7 },
		{ "0n", 0 },
		{ "99999999H", INT64_MAX },
		{ "99999999S", INT64_C(99999999) * NS_PER_S },
		{ "100000000S", -1 },
		{ "", -1 },
		{ "S", -1 },
		{ "1", -1 },
		{ "1s", -1 },
		{ "-1S", -1 },
		{ "1.5S", -1 },
		{ "1 S", -1 },
		{ "1SS", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ns = -1;

		assert_int_equal(grpc_timeout_parse(span_of(rows[i].text), &ns), rows[i].ns >= 0);
		if (rows[i].ns >= 0)
			assert_int_equal(ns, rows[i].ns);
	}
}

static void content_types_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		bool is_grpc, is_other;
	} rows[] = {
		{ "application/grpc", true, false },
		{ "application/grpc+proto", true, false },
		{ "application/grpc;charset=utf-8", true, false },
		{ "Application/GRPC", true, false },
		{ "application/grpc+json", false, true },
		{ "application/grpc-web", false, true },
		{ "application/grpc-web+proto", false, true },
		{ "application/grpcx", false, false },
		{ "application/json", false, false },
		{ "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool is_other = true;

		assert_int_equal(grpc_content_type(span_of(rows[i].text), &is_other), rows[i].is_grpc);
		assert_int_equal(is_other, rows[i].is_other);
	}
}

static void a_message_travels_as_ascii(void **state)
{
	struct error err = { ERROR_INVALID, "100% of \xc3\xa9t\xc3\xa9\n~" };
	struct arena arena;

	(void)state;
	arena_init(&arena, KIB(64));
	assert_true(span_equal(grpc_message(&err, &arena), SPAN("100%25 of %C3%A9t%C3%A9%0A~")));
	arena_done(&arena);
}

static bool field(struct span message, uint32_t number, struct span *ret)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct error err = { 0 };

	while (protobuf_next(&p, &f, &err)) {
		if (f.number == number && f.type == PROTOBUF_BYTES) {
			*ret = f.bytes;
			return true;
		}
	}
	return false;
}

static void details_tell_the_reason(void **state)
{
	struct error err = { ERROR_EXHAUSTED, "queue full" }, failure = { 0 };
	struct span status = { 0 }, any = { 0 }, info = { 0 }, text;
	struct arena arena;

	(void)state;
	arena_init(&arena, KIB(64));
	assert_true(base64_read(grpc_details(&err, &arena), &arena, &status, &failure));
	assert_int_equal(status.ptr[1], 8); /* field 1: the code */
	assert_true(field(status, 2, &text) && span_equal(text, SPAN("queue full")));
	assert_true(field(status, 3, &any));
	assert_true(field(any, 1, &text) && span_equal(text, SPAN("type.googleapis.com/google.rpc.ErrorInfo")));
	assert_true(field(any, 2, &info));
	assert_true(field(info, 1, &text) && span_equal(text, SPAN("EXHAUSTED")));
	assert_true(field(info, 2, &text) && span_equal(text, SPAN("hythe")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_read_whole_or_not_at_all),
		cmocka_unit_test(a_frame_head_reads_back),
		cmocka_unit_test(timeouts_have_a_unit),
		cmocka_unit_test(content_types_are_told_apart),
		cmocka_unit_test(a_message_travels_as_ascii),
		cmocka_unit_test(details_tell_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
