/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "wire/value.h"

static struct arena arena;
static struct error err;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	err = (struct error){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct value parse(const char *text)
{
	struct value v = value_null();

	assert_true(value_parse(span_of(text), NULL, &arena, &v, &err));
	return v;
}

static void assert_text(const struct value *v, const char *expected)
{
	struct span text = value_print(v, &arena, &err);

	assert_non_null(text.ptr);
	assert_string_equal(text.ptr, expected);
}

static void a_text_comes_back_as_it_was(void **state)
{
	static const char *const rows[] = {
		"{\"b\":1,\"a\":[true,null,\"x\",1.5,{}],\"\":{\"c\":[]}}",
		"[]",
		"{}",
		"null",
		"\"\\n\"",
		"-7",
		"9223372036854775807",
		"1.0",
		"[[[]]]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct value v = parse(rows[i]), copy;

		assert_text(&v, rows[i]);
		assert_true(value_copy(&v, &arena, &copy, &err));
		assert_text(&copy, rows[i]);
		assert_true(value_equal(&v, &copy));
	}
}

static void members_are_found_in_small_and_large_objects(void **state)
{
	struct value v = value_object();

	(void)state;
	for (int64_t i = 0; i < 1000; i++) {
		struct span key = arena_print(&arena, &err, "key%d", (int)i);

		assert_non_null(value_set(&v, key, value_int(i), &arena, &err));
		for (int64_t back = 0; back <= i && back < 40; back += 13) {
			char text[32];

			snprintf(text, sizeof(text), "key%d", (int)(i - back));
			assert_int_equal(value_get(&v, span_of(text))->integer, i - back);
		}
		assert_null(value_get(&v, SPAN("absent")));
	}
	assert_true(value_remove(&v, SPAN("key500")));
	assert_false(value_remove(&v, SPAN("key500")));
	assert_null(value_get(&v, SPAN("key500")));
	assert_int_equal(value_get(&v, SPAN("key999"))->integer, 999);
	assert_int_equal(v.object.count, 999);
}

static void paths_are_walked(void **state)
{
	struct value v = parse("{\"spec\":{\"template\":{\"name\":\"x\",\"n\":3,\"on\":true}}}");

	(void)state;
	assert_true(span_equal(value_find_string(&v, "spec.template.name"), SPAN("x")));
	assert_int_equal(value_find_int(&v, "spec.template.n", 7), 3);
	assert_int_equal(value_find_int(&v, "spec.template.m", 7), 7);
	assert_true(value_find_bool(&v, "spec.template.on"));
	assert_null(value_find(&v, "spec.nothing.name"));
	assert_null(value_find(&v, "spec.template.name.deeper"));
	assert_int_equal(value_find_string(&v, "spec.template").len, 0);
}

static void items_go_in_and_out(void **state)
{
	struct value v = value_array();

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_non_null(value_append(&v, value_int(i), &arena, &err));
	assert_non_null(value_insert(&v, 0, value_int(-1), &arena, &err));
	assert_non_null(value_insert(&v, 5, value_int(77), &arena, &err));
	value_remove_item(&v, 1);
	value_remove_item(&v, v.array.count - 1);
	assert_text(&v, "[-1,1,2,3,77,4,5,6,7]");
}

static void equality_knows_no_order_of_members_but_types(void **state)
{
	struct value a = parse("{\"x\":[1,2],\"y\":{\"a\":1,\"b\":2}}"),
		     b = parse("{\"y\":{\"b\":2,\"a\":1},\"x\":[1,2]}");
	struct value one = value_int(1), real = value_double(1);

	(void)state;
	assert_true(value_equal(&a, &b));
	assert_non_null(value_set(value_find(&b, "y"), SPAN("a"), value_int(3), &arena, &err));
	assert_false(value_equal(&a, &b));
	assert_false(value_equal(&one, &real));
}

static char told[200];

static void tell(void *context, struct span path)
{
	snprintf((char *)context + strlen(context), sizeof(told) - strlen(context), SPAN_FMT " ", SPAN_ARG(path));
}

static void keys_that_come_twice_are_told_with_their_path(void **state)
{
	struct value_reading reading = { .duplicate = tell, .context = told };
	struct value v;

	(void)state;
	told[0] = '\0';
	assert_true(value_parse(SPAN("{\"a\":1,\"b\":[{\"c\":1,\"c\":{\"d\":1,\"d\":2}}],\"a\":2}"), &reading, &arena,
				&v, &err));
	assert_string_equal(told, "b[0].c.d b[0].c a ");
	assert_text(&v, "{\"a\":2,\"b\":[{\"c\":{\"d\":2}}]}");
}

static void bad_texts_are_errors_with_their_place(void **state)
{
	static const char *const rows[] = { "",    "{",    "[1,",        "{\"a\":}",   "{\"a\" 1}",
					    "nul", "[1]]", "{\"a\":1,}", "\"\\ud800\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct value v = value_int(5);

		err = (struct error){ 0 };
		assert_false(value_parse(span_of(rows[i]), NULL, &arena, &v, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_int_equal(v.integer, 5);
	}
}

static void members_are_made_where_they_are_missing(void **state)
{
	struct value v = parse("{\"a\":null,\"s\":\"x\"}");

	(void)state;
	assert_non_null(value_ensure_object(&v, SPAN("a"), &arena, &err));
	assert_non_null(value_ensure_array(&v, SPAN("b"), &arena, &err));
	assert_text(&v, "{\"a\":{},\"s\":\"x\",\"b\":[]}");
	assert_null(value_ensure_object(&v, SPAN("s"), &arena, &err));
	assert_string_equal(err.message, "'s' is string, expected object");
}

static void objects_under_one_key_become_one_where_that_is_asked_for(void **state)
{
	struct value_reading reading = { .merges_duplicates = true };
	struct value v;

	(void)state;
	assert_true(value_parse(
	    SPAN("{\"d\":{\"a\":1,\"e\":{\"x\":1}},\"d\":{\"b\":2,\"a\":3,\"e\":{\"y\":2}},\"l\":[1],\"l\":[2]}"),
	    &reading, &arena, &v, &err));
	assert_string_equal(value_print(&v, &arena, &err).ptr,
			    "{\"d\":{\"a\":3,\"e\":{\"x\":1,\"y\":2},\"b\":2},\"l\":[2]}");
}

static void members_of_large_objects_are_found_while_others_go(void **state)
{
	enum { MEMBERS = 500 };
	struct value v = value_object();
	uint32_t left = MEMBERS;

	(void)state;
	for (int i = 0; i < MEMBERS; i++)
		assert_non_null(value_set(&v, arena_print(&arena, &err, "k%d", i), value_int(i), &arena, &err));
	for (int i = 0; i < MEMBERS; i++) {
		int gone = i * 7919 % MEMBERS;

		assert_true(value_remove(&v, arena_print(&arena, &err, "k%d", gone)));
		assert_int_equal(v.object.count, --left);
		for (int j = 0; j < MEMBERS; j += 17) {
			char name[16];
			int len = snprintf(name, sizeof(name), "k%d", i * 31 % MEMBERS + j);
			struct value *found = value_get(&v, span_from(name, (size_t)len));
			bool is_there = false;

			for (uint32_t m = 0; m < v.object.count; m++)
				is_there |= span_equal(v.object.members[m].key, span_from(name, (size_t)len));
			assert_int_equal(found != NULL, is_there);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_text_comes_back_as_it_was, begin, end),
		cmocka_unit_test_setup_teardown(members_are_found_in_small_and_large_objects, begin, end),
		cmocka_unit_test_setup_teardown(paths_are_walked, begin, end),
		cmocka_unit_test_setup_teardown(items_go_in_and_out, begin, end),
		cmocka_unit_test_setup_teardown(equality_knows_no_order_of_members_but_types, begin, end),
		cmocka_unit_test_setup_teardown(keys_that_come_twice_are_told_with_their_path, begin, end),
		cmocka_unit_test_setup_teardown(members_of_large_objects_are_found_while_others_go, begin, end),
		cmocka_unit_test_setup_teardown(objects_under_one_key_become_one_where_that_is_asked_for, begin, end),
		cmocka_unit_test_setup_teardown(bad_texts_are_errors_with_their_place, begin, end),
		cmocka_unit_test_setup_teardown(members_are_made_where_they_are_missing, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
