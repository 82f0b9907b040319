/* SPDX-License-Identifier: Apache-2.0 */
/* What the real server made of the same patches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/patch.h"

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

	if (!value_parse(span_of(text), NULL, &arena, &v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

struct row {
	const char *object, *patch, *expected; /* expected NULL: refused */
	const char *message;                   /* NULL: any */
};

enum way { WAY_JSON, WAY_MERGE, WAY_STRATEGIC };

static bool run(enum way way, const char *type, const struct value *object, const struct value *patch,
		struct value *ret)
{
	bool is_unprocessable = false;

	if (way == WAY_JSON)
		return patch_json(object, patch, &arena, ret, &is_unprocessable, &err);
	if (way == WAY_MERGE)
		return patch_merge(object, patch, &arena, ret, &err);
	return patch_strategic(object, patch, place_of_type(type_find(span_of(type))), &arena, ret, &err);
}

static void check(enum way way, const char *type, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct value object = parse(rows[i].object), patch = parse(rows[i].patch), made = value_null();
		const char *before = value_print(&object, &arena, &err).ptr;
		bool ok = run(way, type, &object, &patch, &made);

		if (ok != (rows[i].expected != NULL))
			fail_msg("row %zu: %s", i, ok ? value_print(&made, &arena, &err).ptr : err.message);
		if (ok)
			assert_string_equal(value_print(&made, &arena, &err).ptr, rows[i].expected);
		if (!ok && rows[i].message)
			assert_string_equal(err.message, rows[i].message);
		assert_string_equal(value_print(&object, &arena, &err).ptr, before);
		err = (struct error){ 0 };
	}
}

static void json_patches_do_as_the_real_server(void **state)
{
	static const char refused[] = "the server rejected our request due to an error in our request";
	static const char o[] = "{\"d\":{\"a\":\"1\",\"b\":\"2\"},\"l\":[1,2]}";
	static const struct row rows[] = {
		{ o, "[]", "{\"d\":{\"a\":\"1\",\"b\":\"2\"},\"l\":[1,2]}", NULL },
		{ o, "null", "{\"d\":{\"a\":\"1\",\"b\":\"2\"},\"l\":[1,2]}", NULL },
		{ o, "[{\"op\":\"test\",\"path\":\"/d/a\",\"value\":\"x\"}]", NULL, refused },
		{ o, "[{\"op\":\"test\",\"path\":\"/d/z\",\"value\":null},{\"op\":\"remove\",\"path\":\"/d\"}]",
		  "{\"l\":[1,2]}", NULL },
		{ o, "[{\"op\":\"replace\",\"path\":\"/d/q/r\",\"value\":1}]", NULL, refused },
		{ o, "[{\"op\":\"replace\",\"path\":\"/d/q\",\"value\":1},{\"op\":\"remove\",\"path\":\"/d/a\"}]",
		  "{\"d\":{\"b\":\"2\",\"q\":1},\"l\":[1,2]}", NULL },
		{ o, "[{\"op\":\"remove\",\"path\":\"/d/q\"}]", NULL, refused },
		{ o, "[{\"op\":\"add\",\"path\":\"/l/-\",\"value\":3},{\"op\":\"add\",\"path\":\"/l/0\",\"value\":0}]",
		  "{\"d\":{\"a\":\"1\",\"b\":\"2\"},\"l\":[0,1,2,3]}", NULL },
		{ o, "[{\"op\":\"add\",\"path\":\"/l/3\",\"value\":3}]", NULL, refused },
		{ o, "[{\"op\":\"remove\",\"path\":\"/l/-1\"}]", "{\"d\":{\"a\":\"1\",\"b\":\"2\"},\"l\":[1]}", NULL },
		{ o, "[{\"op\":\"move\",\"path\":\"/d/z\",\"from\":\"/d/a\"}]",
		  "{\"d\":{\"b\":\"2\",\"z\":\"1\"},\"l\":[1,2]}", NULL },
		{ o, "[{\"op\":\"copy\",\"path\":\"/d/z\",\"from\":\"/d/x\"}]",
		  "{\"d\":{\"a\":\"1\",\"b\":\"2\",\"z\":null},\"l\":[1,2]}", NULL },
		{ o, "[{\"op\":\"add\",\"path\":\"/d/x~1y~01\",\"value\":1},{\"op\":\"remove\",\"path\":\"/l\"}]",
		  "{\"d\":{\"a\":\"1\",\"b\":\"2\",\"x/y~1\":1}}", NULL },
		{ o, "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]", "{}", NULL },
		{ o, "[{\"op\":\"add\",\"path\":\"\",\"value\":{}}]", NULL, refused },
		{ o, "[{\"op\":\"foo\",\"path\":\"/d\"}]", NULL, refused },
		{ o, "{}", NULL,
		  "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp" },
		{ o, "[1]", NULL,
		  "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp" },
		{ o, "[{\"op\":1}]", NULL,
		  "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type "
		  "string" },
	};

	(void)state;
	check(WAY_JSON, NULL, rows, ARRAY_LEN(rows));
}

static void merge_patches_remove_by_null(void **state)
{
	static const struct row rows[] = {
		{ "{\"a\":1,\"b\":{\"c\":2}}", "{\"a\":null,\"b\":{\"d\":3}}", "{\"b\":{\"c\":2,\"d\":3}}", NULL },
		{ "{\"a\":1}", "{\"b\":{\"c\":null,\"d\":[{\"e\":null}]}}", "{\"a\":1,\"b\":{\"d\":[{}]}}", NULL },
		{ "{\"a\":[1]}", "{\"a\":[2,3]}", "{\"a\":[2,3]}", NULL },
		{ "{}", "[]", NULL,
		  "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}" },
		{ "{}", "null", NULL, "Invalid JSON Patch" },
	};

	(void)state;
	check(WAY_MERGE, NULL, rows, ARRAY_LEN(rows));
}

#define POD(spec) "{\"spec\":{\"containers\":[" spec "]}}"

static void strategic_patches_merge_lists_by_their_keys(void **state)
{
	static const struct row rows[] = {
		{ POD("{\"name\":\"a\",\"image\":\"1\"}"), POD("{\"name\":\"b\",\"image\":\"2\"}"),
		  POD("{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"a\",\"image\":\"1\"}"), NULL },
		{ POD("{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}"), POD("{\"name\":\"a\",\"image\":\"3\"}"),
		  POD("{\"name\":\"a\",\"image\":\"3\"},{\"name\":\"b\"}"), NULL },
		{ POD("{\"name\":\"a\"},{\"name\":\"b\"}"), POD("{\"name\":\"a\",\"$patch\":\"delete\"}"),
		  POD("{\"name\":\"b\"}"), NULL },
		{ POD("{\"name\":\"a\"},{\"name\":\"b\"}"), POD("{\"name\":\"c\"},{\"$patch\":\"replace\"}"),
		  POD("{\"name\":\"c\"}"), NULL },
		{ POD("{\"name\":\"a\"},{\"name\":\"b\"}"),
		  "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}}",
		  POD("{\"name\":\"b\"},{\"name\":\"a\"}"), NULL },
		{ POD("{\"name\":\"a\",\"command\":[\"x\"]}"), POD("{\"name\":\"a\",\"command\":[\"y\"]}"),
		  POD("{\"name\":\"a\",\"command\":[\"y\"]}"), NULL },
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}",
		  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"b\"]}}", NULL },
		{ "{\"metadata\":{\"finalizers\":[\"a\"]}}", "{\"metadata\":{\"finalizers\":[\"b\",\"a\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"b\",\"a\"]}}", NULL },
		{ "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
		  "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"c\":\"d\"}}}",
		  "{\"metadata\":{\"labels\":{\"c\":\"d\"}}}", NULL },
		{ "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}", "{\"metadata\":{\"labels\":{\"a\":null}}}",
		  "{\"metadata\":{\"labels\":{}}}", NULL },
		{ "{\"metadata\":{}}", "{\"metadata\":{\"labels\":{\"$patch\":\"delete\"}}}", "{\"metadata\":{}}",
		  NULL },
		{ "{}", "{\"$retainKeys\":\"x\"}", NULL, "invalid patch format of retainKeys" },
		{ "{}", "{\"$deleteFromPrimitiveList\":[\"x\"]}", NULL, "invalid patch format of primitive list" },
		{ "{}", "[]", NULL, "json: cannot unmarshal array into Go value of type map[string]interface {}" },
	};

	(void)state;
	check(WAY_STRATEGIC, "io.k8s.api.core.v1.Pod", rows, ARRAY_LEN(rows));
}

static void only_retained_keys_stay(void **state)
{
	static const struct row rows[] = {
		{ "{\"spec\":{\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":1}}}}",
		  "{\"spec\":{\"strategy\":{\"$retainKeys\":[\"type\"],\"type\":\"Recreate\"}}}",
		  "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}", NULL },
	};

	(void)state;
	check(WAY_STRATEGIC, "io.k8s.api.apps.v1.Deployment", rows, ARRAY_LEN(rows));
}

static void too_many_operations_are_refused(void **state)
{
	struct value object = value_object(), operations = value_array(), made;
	bool is_unprocessable;

	(void)state;
	for (int i = 0; i <= PATCH_OPERATIONS_MAX; i++)
		assert_non_null(value_append(&operations, value_object(), &arena, &err));
	assert_false(patch_json(&object, &operations, &arena, &made, &is_unprocessable, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_string_equal(err.message, "The allowed maximum operations in a JSON patch is 10000, got 10001");
}

static void a_patch_cannot_make_an_object_deeper_than_the_limit(void **state)
{
	struct value object = parse("{\"a\":{}}"), operations = value_array(), made;
	bool is_unprocessable;

	(void)state;
	for (int i = 0; i < VALUE_DEPTH_MAX; i++) {
		static const char nest[] = "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/"
					   "b\"},{\"op\":\"replace\",\"path\":\"/a\",\"value\":{}},"
					   "{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a/x\"}]";
		struct value three = parse(nest);

		for (uint32_t j = 0; j < three.array.count; j++)
			assert_non_null(value_append(&operations, *value_item(&three, j), &arena, &err));
	}
	assert_false(patch_json(&object, &operations, &arena, &made, &is_unprocessable, &err));
	assert_true(is_unprocessable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(json_patches_do_as_the_real_server, begin, end),
		cmocka_unit_test_setup_teardown(merge_patches_remove_by_null, begin, end),
		cmocka_unit_test_setup_teardown(strategic_patches_merge_lists_by_their_keys, begin, end),
		cmocka_unit_test_setup_teardown(only_retained_keys_stay, begin, end),
		cmocka_unit_test_setup_teardown(too_many_operations_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_patch_cannot_make_an_object_deeper_than_the_limit, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
