/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/protobuf.h"

static void varints_of_every_length_come_back(void **state)
{
	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		uint64_t value = UINT64_C(1) << bit, back;
		struct buffer out;
		const uint8_t *at;

		buffer_init(&out, 64);
		protobuf_write_varint(&out, value);
		assert_int_equal(out.len, protobuf_varint_size(value));
		assert_int_equal(out.len, (size_t)bit / 7 + 1);
		at = (const uint8_t *)out.ptr;
		assert_true(protobuf_varint(&at, at + out.len, &back));
		assert_true(back == value);
		at = (const uint8_t *)out.ptr;
		assert_false(protobuf_varint(&at, at + out.len - 1, &back));
		assert_ptr_equal(at, out.ptr);
		buffer_done(&out);
	}
}

static void fields_of_all_types_come_back(void **state)
{
	static const int64_t numbers[] = { 0, -1, 127, 128, INT64_MIN, INT64_MAX };
	struct error err = { 0 };
	struct protobuf_field f;
	int64_t copied[ARRAY_LEN(numbers)];
	struct protobuf p;
	struct buffer out;
	struct span text = { 0 };
	size_t count = 0;
	int64_t i = 0;
	double d = 0;
	float s = 0;
	bool b = false;

	(void)state;
	buffer_init(&out, KIB(4));
	protobuf_write_uint64(&out, 1, (uint64_t)-5);
	protobuf_write_bytes(&out, 2, SPAN("h\xc3\xbf"));
	protobuf_write_double(&out, 3, 0.1);
	protobuf_write_float(&out, 4, 0.5F);
	protobuf_write_packed_int64(&out, 5, numbers, ARRAY_LEN(numbers));
	protobuf_write_uint64(&out, 536870911, 1);

	p = protobuf(buffer_span(&out));
	assert_true(protobuf_next(&p, &f, &err) && f.number == 1 && protobuf_int64(&f, &i, &err));
	assert_int_equal(i, -5);
	assert_true(protobuf_next(&p, &f, &err) && f.number == 2 && protobuf_string(&f, &text, &err));
	assert_true(span_equal(text, SPAN("h\xc3\xbf")));
	assert_true(protobuf_next(&p, &f, &err) && protobuf_double(&f, &d, &err) && d == 0.1);
	assert_true(protobuf_next(&p, &f, &err) && protobuf_float(&f, &s, &err) && s == 0.5F);
	assert_true(protobuf_next(&p, &f, &err) && protobuf_count(&f, PROTOBUF_INT64, &count, &err));
	assert_int_equal(count, ARRAY_LEN(numbers));
	protobuf_copy(&f, PROTOBUF_INT64, copied);
	assert_memory_equal(copied, numbers, sizeof(numbers));
	assert_true(protobuf_next(&p, &f, &err) && f.number == 536870911 && protobuf_bool(&f, &b, &err) && b);
	assert_false(protobuf_next(&p, &f, &err));
	assert_false(p.failed);
	buffer_done(&out);
}

static void a_nested_message_gets_its_length_in_front(void **state)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 16383, 16384, 70000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct error err = { 0 };
		struct protobuf_field outer, inner;
		struct protobuf p, q;
		struct buffer out;
		size_t mark, deeper;
		char *bytes = base_calloc(1, sizes[i]);

		buffer_init(&out, KIB(100));
		protobuf_write_uint64(&out, 7, 7);
		mark = protobuf_open(&out, 3);
		deeper = protobuf_open(&out, 4);
		protobuf_write_bytes(&out, 5, span_from(bytes, sizes[i]));
		protobuf_close(&out, deeper);
		protobuf_close(&out, mark);
		protobuf_write_uint64(&out, 8, 8);

		p = protobuf(buffer_span(&out));
		assert_true(protobuf_next(&p, &outer, &err) && outer.number == 7);
		assert_true(protobuf_next(&p, &outer, &err) && outer.number == 3);
		q = protobuf(outer.bytes);
		assert_true(protobuf_next(&q, &inner, &err) && inner.number == 4 && q.at == q.end);
		q = protobuf(inner.bytes);
		assert_true(protobuf_next(&q, &inner, &err) && inner.number == 5 && inner.bytes.len == sizes[i]);
		assert_true(protobuf_next(&p, &outer, &err) && outer.number == 8 && outer.value == 8);
		assert_false(protobuf_next(&p, &outer, &err));
		assert_false(p.failed);
		buffer_done(&out);
		base_free_pointer(&bytes);
	}
}

static void repeated_scalars_are_read_packed_or_one_by_one(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum protobuf_scalar type;
		size_t count;
		const char *expected;
		size_t size;
	} rows[] = {
		{ "\x08\x05", 2, PROTOBUF_INT32, 1, "\5\0\0\0", 4 },
		{ "\x0a\x03\x05\x96\x01", 5, PROTOBUF_UINT32, 2, "\5\0\0\0\x96\0\0\0", 8 },
		{ "\x0a\x02\x00\x02", 4, PROTOBUF_BOOL, 2, "\0\1", 2 },
		{ "\x0a\x02\x01\x02", 4, PROTOBUF_SINT64, 2, "\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\0\0\0\0\0", 16 },
		{ "\x0d\x00\x00\x80\x3f", 5, PROTOBUF_FLOAT, 1, "\0\0\x80\x3f", 4 },
		{ "\x0a\x08\0\0\x80\x3f\0\0\0\x40", 10, PROTOBUF_FLOAT, 2, "\0\0\x80\x3f\0\0\0\x40", 8 },
		{ "\x09\0\0\0\0\0\0\xf0\x3f", 9, PROTOBUF_DOUBLE, 1, "\0\0\0\0\0\0\xf0\x3f", 8 },
		{ "\x0a\x00", 2, PROTOBUF_DOUBLE, 0, "", 0 },
		{ "\x0a\x00", 2, PROTOBUF_INT64, 0, "", 0 },
		/* int32 from a ten-byte negative: the low 32 bits */
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, PROTOBUF_INT32, 1, "\xff\xff\xff\xff", 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct protobuf p = protobuf(span_from(rows[i].bytes, rows[i].len));
		struct error err = { 0 };
		struct protobuf_field f;
		char to[32] = { 0 };
		size_t count;

		assert_true(protobuf_next(&p, &f, &err));
		assert_true(protobuf_count(&f, rows[i].type, &count, &err));
		assert_int_equal(count, rows[i].count);
		protobuf_copy(&f, rows[i].type, to);
		assert_memory_equal(to, rows[i].expected, rows[i].size);
		assert_false(protobuf_next(&p, &f, &err));
		assert_false(p.failed);
	}
}

static void damaged_messages_are_refused(void **state)
{
	static const struct span rows[] = {
		SPAN_INIT("\x08"),     /* varint missing */
		SPAN_INIT("\x08\x80"), /* varint cut */
		SPAN_INIT("\x80"),     /* tag cut */
		SPAN_INIT("\x00\x01"), /* field number 0 */
		SPAN_INIT("\x0a\x05"
			  "abc"),                                          /* longer than the message */
		SPAN_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* length 2^64 - 1 */
		SPAN_INIT("\x0b\x0c"),                                     /* groups */
		SPAN_INIT("\x0c"),
		SPAN_INIT("\x0e\x00"), /* wire type 6 */
		SPAN_INIT("\x0f\x00"),
		SPAN_INIT("\x09\x01\x02\x03"),                                 /* fixed64 cut */
		SPAN_INIT("\x0d\x01\x02"),                                     /* fixed32 cut */
		SPAN_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
		SPAN_INIT("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* 11 bytes */
		SPAN_INIT("\xf8\xff\xff\xff\x7f\x01"),                         /* field number over 2^29 - 1 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct protobuf p = protobuf(rows[i]);
		struct error err = { 0 };
		struct protobuf_field f;

		assert_false(protobuf_next(&p, &f, &err));
		assert_true(p.failed);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_false(protobuf_next(&p, &f, &err));
	}
}

static void a_wrong_wire_type_names_the_field(void **state)
{
	struct protobuf p = protobuf(SPAN("\x48\x01\x52\x01\xff"));
	struct error err = { 0 };
	struct protobuf_field f;
	struct span text = { 0 };
	size_t count;
	double d;

	(void)state;
	assert_true(protobuf_next(&p, &f, &err));
	assert_false(protobuf_bytes(&f, &text, &err));
	assert_non_null(strstr(err.message, "field 9"));
	assert_false(protobuf_double(&f, &d, &err));
	assert_false(protobuf_count(&f, PROTOBUF_FLOAT, &count, &err));
	assert_true(protobuf_next(&p, &f, &err));
	assert_false(protobuf_string(&f, &text, &err));
	assert_non_null(strstr(err.message, "field 10"));
	assert_non_null(strstr(err.message, "UTF-8"));
	assert_false(protobuf_count(&f, PROTOBUF_FLOAT, &count, &err));
	assert_false(protobuf_count(&f, PROTOBUF_INT64, &count, &err));
	assert_null(text.ptr);
}

static void an_overflowing_message_stays_overflown(void **state)
{
	struct buffer out;
	size_t mark;

	(void)state;
	buffer_init(&out, 40);
	mark = protobuf_open(&out, 1);
	for (int i = 0; i < 10; i++)
		protobuf_write_bytes(&out, 2, SPAN("0123456789"));
	protobuf_close(&out, mark);
	assert_true(out.overflow);
	buffer_done(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(varints_of_every_length_come_back),
		cmocka_unit_test(fields_of_all_types_come_back),
		cmocka_unit_test(a_nested_message_gets_its_length_in_front),
		cmocka_unit_test(repeated_scalars_are_read_packed_or_one_by_one),
		cmocka_unit_test(damaged_messages_are_refused),
		cmocka_unit_test(a_wrong_wire_type_names_the_field),
		cmocka_unit_test(an_overflowing_message_stays_overflown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
