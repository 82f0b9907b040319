/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/yaml.h"

static struct arena arena;
static struct error err;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, MIB(4));
	err = (struct error){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void texts_become_the_trees_of_their_json(void **state)
{
	static const char *const rows[][2] = {
		{ "", "null" },
		{ "a: 1\nb:\n- x\n- k: z\n", "{\"a\":1,\"b\":[\"x\",{\"k\":\"z\"}]}" },
		{ "{\"a\": [1, \"b\", null, true, 1.5]}", "{\"a\":[1,\"b\",null,true,1.5]}" },
		{ "a: yes\nb: off\nc: 'yes'\nd: ~\ne:\n",
		  "{\"a\":true,\"b\":false,\"c\":\"yes\",\"d\":null,\"e\":null}" },
		{ "[0x1f, 017, 0o17, 0b11, 1_000, -5, +7]", "[31,15,15,3,1000,-5,7]" },
		{ "[12e03, 1.5, .5, 1e400x, 2001-01-01, 1.2.3, -", NULL },
		{ "[12e03, .5, 2001-01-01, 1.2.3, 1Gi, 100m]",
		  "[12000,0.5,\"2001-01-01\",\"1.2.3\",\"1Gi\",\"100m\"]" },
		{ "y: 1\n2: b\n1.5: c\n", "{\"true\":1,\"2\":\"b\",\"1.5\":\"c\"}" },
		{ "a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
		{ "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n", "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"c\":3,\"b\":1}}" },
		{ "a: |\n  l1\n  l2\nb: >\n  x\n  y\n", "{\"a\":\"l1\\nl2\\n\",\"b\":\"x y\\n\"}" },
		{ "a: !!str 1\nb: !!int '2'\n", "{\"a\":\"1\",\"b\":2}" },
		{ "18446744073709551615", "18446744073709552000.0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct value v = value_null(), want;
		bool ok = yaml_parse(span_of(rows[i][0]), NULL, &arena, &v, &err);

		if (!rows[i][1]) {
			assert_false(ok);
			continue;
		}
		if (!ok)
			fail_msg("%s: %s", rows[i][0], err.message);
		assert_true(value_parse(span_of(rows[i][1]), NULL, &arena, &want, &err));
		if (!value_equal(&v, &want))
			fail_msg("%s became %s", rows[i][0], value_print(&v, &arena, &err).ptr);
	}
}

static void faults_leave_the_output_alone_and_say_where(void **state)
{
	static const char *const rows[][2] = {
		{ "a: b: c", "mapping values are not allowed in this context" },
		{ "x: 1\na: b: c", "line 2: mapping values are not allowed in this context" },
		{ "a: *x", "unknown anchor 'x' referenced" },
		{ "a: &x [*x]", "anchor 'x' value contains itself" },
		{ "[a]: b", "line 1, column 1: a key is no text" },
		{ "a: .nan", "line 1, column 4: a number that JSON has not" },
		{ "a: !foo b", "line 1, column 4: a tag that is not known, or does not fit its value" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct value v = value_int(7);

		err = (struct error){ 0 };
		assert_false(yaml_parse(span_of(rows[i][0]), NULL, &arena, &v, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.message, rows[i][1]);
		assert_int_equal(v.integer, 7);
	}
}

static void aliases_that_multiply_end_at_the_limit(void **state)
{
	struct buffer text;
	struct value v;

	(void)state;
	buffer_init(&text, MIB(1));
	buffer_append(&text, SPAN("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"));
	for (int i = 1; i < 10; i++)
		buffer_print(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
			     i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_false(yaml_parse(buffer_span(&text), NULL, &arena, &v, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buffer_done(&text);
}

static void count_duplicates(void *context, struct span path)
{
	assert_true(span_equal(path, SPAN("a[1].b")));
	++*(int *)context;
}

static void duplicate_keys_are_told(void **state)
{
	int count = 0;
	struct value_reading reading = { .duplicate = count_duplicates, .context = &count };
	struct value v;

	(void)state;
	assert_true(yaml_parse(SPAN("a:\n- 1\n- b: 1\n  b: 2\n"), &reading, &arena, &v, &err));
	assert_int_equal(count, 1);
}

static void documents_behind_the_first_are_not_looked_at(void **state)
{
	struct value v;

	(void)state;
	assert_true(yaml_parse(SPAN("a: 1\n---\nb: [\n"), NULL, &arena, &v, &err));
	assert_int_equal(value_find_int(&v, "a", 0), 1);
	assert_null(value_get(&v, SPAN("b")));
}

static void tell_line(void *context, struct span key, size_t line)
{
	assert_true(span_equal(key, SPAN("b")));
	*(size_t *)context = line;
}

static void the_line_of_a_duplicate_key_is_told(void **state)
{
	size_t line = 0;
	struct value_reading reading = { .duplicate_line = tell_line, .context = &line };
	struct value v;

	(void)state;
	assert_true(yaml_parse(SPAN("a:\n- 1\n- b: 1\n  b: 2\n"), &reading, &arena, &v, &err));
	assert_int_equal(line, 4);
}

static void trees_are_written_as_kubernetes_writes_them(void **state)
{
	static const char json[] =
	    "{\"b\":{\"a10\":1,\"a9\":\"1\"},\"a\":[{\"x\":\"y\",\"w\":[]},\"yes\",\"\",\"a: b\"],"
	    "\"c\":null,\"f:x\":{},\"t\":\"2020-01-01T00:00:00Z\",\"m\":\"1\\n2\\n\"}";
	static const char yaml[] =
	    "a:\n- w: []\n  x: \"y\"\n- \"yes\"\n- \"\"\n- 'a: b'\nb:\n  a9: \"1\"\n  a10: 1\nc: null\n"
	    "f:x: {}\nm: |\n  1\n  2\nt: \"2020-01-01T00:00:00Z\"\n";
	struct buffer text;
	struct value v, again;

	(void)state;
	buffer_init(&text, MIB(1));
	assert_true(value_parse(SPAN(json), NULL, &arena, &v, &err));
	assert_true(yaml_write(&v, &arena, &text, &err));
	buffer_byte(&text, '\0');
	assert_string_equal(text.ptr, yaml);
	assert_true(yaml_parse(span_from(text.ptr, text.len - 1), NULL, &arena, &again, &err));
	assert_true(value_equal(&v, &again));
	buffer_done(&text);
}

static void depth_has_a_limit(void **state)
{
	char text[VALUE_DEPTH_MAX + 1];
	struct value v;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_false(yaml_parse(span_from(text, sizeof(text)), NULL, &arena, &v, &err));
	assert_int_equal(err.code, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(texts_become_the_trees_of_their_json, begin, end),
		cmocka_unit_test_setup_teardown(faults_leave_the_output_alone_and_say_where, begin, end),
		cmocka_unit_test_setup_teardown(aliases_that_multiply_end_at_the_limit, begin, end),
		cmocka_unit_test_setup_teardown(duplicate_keys_are_told, begin, end),
		cmocka_unit_test_setup_teardown(depth_has_a_limit, begin, end),
		cmocka_unit_test_setup_teardown(documents_behind_the_first_are_not_looked_at, begin, end),
		cmocka_unit_test_setup_teardown(the_line_of_a_duplicate_key_is_told, begin, end),
		cmocka_unit_test_setup_teardown(trees_are_written_as_kubernetes_writes_them, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
