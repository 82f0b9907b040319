/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/meta.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "wire/protobuf.h"

static const struct meta_note note = { SPAN_INIT("a"), SPAN_INIT("img:1"), -1 };

static void check(const char *json, const char *puid, const char *expected)
{
	struct arena arena;
	struct buffer out;

	arena_init(&arena, MIB(1));
	buffer_init(&out, MIB(1));
	meta_complete(span_of(json), span_of(puid), &note, &arena, &out);
	buffer_byte(&out, '\0');
	assert_string_equal(out.ptr, expected);
	buffer_done(&out);
	arena_done(&arena);
}

static void what_a_component_left_out_is_added(void **state)
{
	(void)state;
	check("{\"data\":{\"ndarray\":[[1.0,2]]},\"meta\":{}}\n", "P",
	      "{\"data\":{\"ndarray\":[[1.0,2]]},\"meta\":{\"puid\":\"P\",\"requestPath\":{\"a\":\"img:1\"},"
	      "\"routing\":{\"a\":-1}}}\n");
	check("{}", "P", "{\"meta\":{\"puid\":\"P\",\"requestPath\":{\"a\":\"img:1\"},\"routing\":{\"a\":-1}}}");
	check(
	    " {\"strData\":\"x\"}", "P",
	    " {\"meta\":{\"puid\":\"P\",\"requestPath\":{\"a\":\"img:1\"},\"routing\":{\"a\":-1}},\"strData\":\"x\"}");
	check(
	    "{\"meta\":null,\"jsonData\":[NaN]}", "P",
	    "{\"meta\":{\"puid\":\"P\",\"requestPath\":{\"a\":\"img:1\"},\"routing\":{\"a\":-1}},\"jsonData\":[NaN]}");
}

static void what_a_component_said_stays(void **state)
{
	(void)state;
	check("{\"meta\":{\"puid\":\"own\",\"requestPath\":{\"a\":\"x\"},\"routing\":{\"a\":0},\"tags\":{\"t\":1}}}",
	      "P",
	      "{\"meta\":{\"puid\":\"own\",\"requestPath\":{\"a\":\"x\"},\"routing\":{\"a\":0},\"tags\":{\"t\":1}}}");
	check("{\"meta\":{\"tags\":{\"in\":1,\"t2\":2},\"requestPath\":{\"b\":\"y\"}, \"routing\" : {} "
	      ",\"puid\":\"\"},\"data\":{}}",
	      "P",
	      "{\"meta\":{\"tags\":{\"in\":1,\"t2\":2},\"requestPath\":{\"a\":\"img:1\",\"b\":\"y\"}, \"routing\" : "
	      "{\"a\":-1} ,\"puid\":\"P\"},"
	      "\"data\":{}}");
}

static void what_is_no_message_is_passed_on(void **state)
{
	static const char *const rows[] = { "",           "[1,2]",    "{\"data\":",           "hello",
					    "{\"a\":1}x", "\"meta\"", "{\"meta\":{\"puid\"}}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i], "P", rows[i]);
}

static void names_are_quoted(void **state)
{
	struct meta_note odd = { SPAN_INIT("a\"b"), SPAN_INIT("i\\j"), 3 };
	struct arena arena;
	struct buffer out;

	(void)state;
	arena_init(&arena, MIB(1));
	buffer_init(&out, MIB(1));
	meta_complete(SPAN("{}"), SPAN("p\nq"), &odd, &arena, &out);
	buffer_byte(&out, '\0');
	assert_string_equal(
	    out.ptr,
	    "{\"meta\":{\"puid\":\"p\\nq\",\"requestPath\":{\"a\\\"b\":\"i\\\\j\"},\"routing\":{\"a\\\"b\":3}}}");
	buffer_done(&out);
	arena_done(&arena);
}

static void what_html_would_read_is_escaped(void **state)
{
	(void)state;
	check("{\"strData\":\"<a>&\xe2\x80\xa8\xe2\x80\xa9\xe2\x82\xac\",\"meta\":{\"puid\":\"1\",\"routing\":{\"a\":1}"
	      ",\"requestPath\":{\"a\":\"\"}}}",
	      "P",
	      "{\"strData\":\"\\u003ca\\u003e\\u0026\\u2028\\u2029\xe2\x82\xac\",\"meta\":{\"puid\":\"1\",\"routing\":{"
	      "\"a\":1},"
	      "\"requestPath\":{\"a\":\"\"}}}");
}

static void a_puid_is_found(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(span_equal(meta_puid(SPAN("{\"data\":{},\"meta\":{\"puid\":\"a\\u0041\"}}"), &arena), SPAN("aA")));
	assert_int_equal(meta_puid(SPAN("{\"meta\":{\"puid\":1}}"), &arena).len, 0);
	assert_int_equal(meta_puid(SPAN("{\"puid\":\"x\"}"), &arena).len, 0);
	arena_done(&arena);
}

/* prediction.proto: SeldonMessage.meta 2; Meta.puid 1, routing 3, requestPath 4. */
static void fields_of_protobuf_are_put_at_the_end(void **state)
{
	static const char has[] = "\x12\x05\x0a\x03own\x2a\x01x"; /* meta {puid "own"}, strData "x" */
	struct buffer out;
	struct protobuf p;
	struct protobuf_field f;
	struct error err = { 0 };
	int metas = 0;

	(void)state;
	buffer_init(&out, MIB(1));
	meta_complete_protobuf(span_from(has, sizeof(has) - 1), SPAN("P"), &note, &out);
	assert_memory_equal(out.ptr, has, sizeof(has) - 1);
	p = protobuf(buffer_span(&out));
	while (protobuf_next(&p, &f, &err))
		metas += f.number == 2;
	assert_false(p.failed);
	assert_int_equal(metas, 2);
	assert_null(memmem(out.ptr, out.len, "P\x1a", 2)); /* the puid was there */
	assert_non_null(memmem(out.ptr, out.len, "img:1", 5));
	assert_non_null(memmem(out.ptr, out.len, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10)); /* -1 */

	/* All that is there: nothing is added. */
	{
		struct buffer again;

		buffer_init(&again, MIB(1));
		meta_complete_protobuf(buffer_span(&out), SPAN("P"), &note, &again);
		assert_int_equal(again.len, out.len);
		buffer_done(&again);
	}
	buffer_clear(&out);
	meta_complete_protobuf(SPAN("\x12\xff"), SPAN("P"), &note, &out); /* damaged: as it is */
	assert_int_equal(out.len, 2);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_component_left_out_is_added),    cmocka_unit_test(what_a_component_said_stays),
		cmocka_unit_test(what_is_no_message_is_passed_on),       cmocka_unit_test(names_are_quoted),
		cmocka_unit_test(what_html_would_read_is_escaped),       cmocka_unit_test(a_puid_is_found),
		cmocka_unit_test(fields_of_protobuf_are_put_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
