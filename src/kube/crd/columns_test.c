/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/crd/crd.h"

static const char object_text[] =
    "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a.b/"
    "c\":\"dotted\"}},\"spec\":{\"size\":4,\"tags\":[\"x\",\"y\",\"z\"],"
    "\"none\":null,\"on\":true},\"status\":{\"conditions\":[{\"type\":\"Other\",\"status\":\"False\",\"n\":1},"
    "{\"type\":\"Ready\",\"status\":\"True\",\"n\":7}]}}";

static const struct {
	const char *path, *found; /* as JSON; NULL: nothing */
} rows[] = {
	{ ".metadata.name", "\"n\"" },
	{ ".spec.size", "4" },
	{ ".spec.tags[*]", "\"x\"" },
	{ ".spec.tags[1]", "\"y\"" },
	{ ".spec.tags[-1]", "\"z\"" },
	{ ".spec.tags[1:]", "\"y\"" },
	{ ".spec.tags[5]", NULL },
	{ ".spec.none", "null" },
	{ ".spec.absent.deeper", NULL },
	{ ".metadata.labels.a\\.b/c", "\"dotted\"" },
	{ ".metadata.labels['a.b/c']", "\"dotted\"" },
	{ ".status.conditions[?(@.type==\"Ready\")].status", "\"True\"" },
	{ ".status.conditions[?(@.type == 'Ready')].status", "\"True\"" },
	{ ".status.conditions[?(@.n>3)].type", "\"Ready\"" },
	{ ".status.conditions[?(@.type!=\"Other\")].n", "7" },
	{ ".status.conditions[?(@.absent)].n", NULL },
	{ "..status", "{\"conditions\":[{\"type\":\"Other\",\"status\":\"False\",\"n\":1},{\"type\":\"Ready\","
		      "\"status\":\"True\",\"n\":7}]}" },
	{ "..type", "\"Other\"" },
};

static void paths_find_the_first_thing_that_they_lead_to(void **state)
{
	struct arena arena;
	struct error err = { 0 };
	struct value object;

	(void)state;
	arena_init(&arena, MIB(4));
	assert_true(value_parse(SPAN(object_text), NULL, &arena, &object, &err));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct column_path *path = column_path_parse(span_of(rows[i].path), &arena, &err);
		const struct value *found = path ? column_path_find(path, &object) : NULL;
		struct span text = found ? value_print(found, &arena, &err) : (struct span){ 0 };

		if (!path)
			fail_msg("%s: %s", rows[i].path, err.message);
		if (rows[i].found ? !span_equal(text, span_of(rows[i].found)) : found != NULL)
			fail_msg("%s finds " SPAN_FMT, rows[i].path, SPAN_ARG(text));
	}
	arena_done(&arena);
}

static void what_is_no_path_is_refused(void **state)
{
	static const char *const bad[] = { "a", ".a[", ".a[x]", ".a[?(@.b==]", ".a[?(b)]", ".a b", ".a['b]", "{.a}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena arena;
		struct error err = { 0 };

		arena_init(&arena, MIB(1));
		if (column_path_parse(span_of(bad[i]), &arena, &err))
			fail_msg("%s is a path", bad[i]);
		assert_int_equal(err.code, ERROR_INVALID);
		arena_done(&arena);
	}
}

static void a_path_through_a_deep_object_ends(void **state)
{
	struct arena arena;
	struct error err = { 0 };
	struct value v = value_int(1);
	struct column_path *path;

	(void)state;
	arena_init(&arena, MIB(4));
	for (int i = 0; i < 190; i++) {
		struct value outer = value_object();

		assert_non_null(value_set(&outer, SPAN("a"), v, &arena, &err));
		v = outer;
	}
	path = column_path_parse(SPAN("..b..b..b..b..b"), &arena, &err);
	assert_non_null(path);
	assert_null(column_path_find(path, &v));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_the_first_thing_that_they_lead_to),
		cmocka_unit_test(what_is_no_path_is_refused),
		cmocka_unit_test(a_path_through_a_deep_object_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
