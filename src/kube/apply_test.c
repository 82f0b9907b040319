/* SPDX-License-Identifier: Apache-2.0 */
/* What the real server answered to the same steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kube/fields.h"

static struct arena arena;
static struct error err;
static struct value live;
static bool has_live;
static struct place place;
static const char *api_version;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	err = (struct error){ 0 };
	has_live = false;
	place = place_of_type(type_find(SPAN("io.k8s.api.core.v1.ConfigMap")));
	api_version = "v1";
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

static struct apply_manager by(const char *name, const char *time)
{
	return (
	    struct apply_manager){ .name = span_of(name), .api_version = span_of(api_version), .time = span_of(time) };
}

static void set(const char *manager, const char *object)
{
	struct apply_manager m = by(manager, "2026-01-01T00:00:00Z");
	struct value now = parse(object);

	assert_true(fields_track(has_live ? &live : NULL, &now, place, &m, &arena, &err));
	live = now;
	has_live = true;
}

/* NULL, or the message of the conflict. */
static const char *apply(const char *manager, bool force, const char *config)
{
	struct apply_manager m = by(manager, "2026-01-02T00:00:00Z");
	struct value c = parse(config), made;
	struct apply_conflict *conflicts;

	if (!apply_merge(has_live ? &live : NULL, &c, place, &m, force, &arena, &made, &conflicts, &err))
		return err.message;
	if (conflicts)
		return apply_conflicts_print(conflicts, &arena, &err).ptr;
	live = made;
	has_live = true;
	return NULL;
}

static void assert_at(const char *path, const char *expected)
{
	const struct value *at = value_find(&live, path);
	struct value want = parse(expected);

	if (!at || !value_equal(at, &want))
		fail_msg("%s is %s, not %s", path, at ? value_print(at, &arena, &err).ptr : "absent", expected);
}

static void assert_owned(const char *manager, const char *operation, const char *expected)
{
	const struct value *entries = value_find(&live, "metadata.managedFields");

	for (uint32_t i = 0; entries && i < entries->array.count; i++) {
		const struct value *e = value_item(entries, i);

		if (span_equal(value_find_string(e, "manager"), span_of(manager)) &&
		    span_equal(value_find_string(e, "operation"), span_of(operation))) {
			assert_string_equal(value_print(value_get(e, SPAN("fieldsV1")), &arena, &err).ptr, expected);
			return;
		}
	}
	if (expected)
		fail_msg("%s owns nothing by %s", manager, operation);
}

#define CONFIG_MAP(rest) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"s\"" rest "}"

static void a_create_owns_what_came_with_it(void **state)
{
	(void)state;
	set("c", CONFIG_MAP(",\"labels\":{\"l\":\"1\"}},\"data\":{\"a\":\"1\"}"));
	assert_owned("c", "Update",
		     "{\"f:data\":{\".\":{},\"f:a\":{}},\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}}}");
}

static void equal_values_are_shared_and_left_out_ones_go(void **state)
{
	(void)state;
	set("c", CONFIG_MAP("},\"data\":{\"a\":\"1\",\"b\":\"2\"}"));
	assert_null(apply("m1", false, CONFIG_MAP("},\"data\":{\"a\":\"1\",\"c\":\"3\"}")));
	assert_at("data", "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
	assert_owned("m1", "Apply", "{\"f:data\":{\"f:a\":{},\"f:c\":{}}}");
	assert_null(apply("m1", false, CONFIG_MAP("},\"data\":{}")));
	assert_at("data", "{\"a\":\"1\",\"b\":\"2\"}"); /* a is owned by c, too */
}

static void conflicts_name_managers_and_paths(void **state)
{
	(void)state;
	set("c", CONFIG_MAP("},\"data\":{\"a\":\"1\",\"b\":\"2\"}"));
	assert_null(apply("m1", false, CONFIG_MAP("},\"data\":{\"a\":\"1\",\"c\":\"3\"}")));
	assert_string_equal(apply("m2", false, CONFIG_MAP("},\"data\":{\"a\":\"9\",\"b\":\"9\",\"c\":\"9\"}")),
			    "Apply failed with 4 conflicts: conflicts with \"c\" using v1:\n- .data.a\n- .data.b\n"
			    "conflicts with \"m1\":\n- .data.a\n- .data.c");
	assert_at("data", "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
	assert_null(apply("m2", true, CONFIG_MAP("},\"data\":{\"a\":\"9\"}")));
	assert_owned("m1", "Apply", "{\"f:data\":{\"f:c\":{}}}");
	assert_owned("c", "Update", "{\"f:data\":{\".\":{},\"f:b\":{}}}");
	assert_string_equal(apply("m1", false, CONFIG_MAP("},\"data\":{\"a\":\"1\"}")),
			    "Apply failed with 1 conflict: conflict with \"m2\": .data.a");
}

static const char deployment[] =
    "{\"apiVersion\":\"apps/"
    "v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d1\"},\"spec\":{\"replicas\":2,\"selector\":{"
    "\"matchLabels\":{\"app\":\"x\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"x\"}},\"spec\":{\"containers\":"
    "[{"
    "\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":80}]}]}}}}";

static void use_deployments(void)
{
	place = place_of_type(type_find(SPAN("io.k8s.api.apps.v1.Deployment")));
	api_version = "apps/v1";
}

static void lists_by_keys_know_their_defaults(void **state)
{
	(void)state;
	use_deployments();
	assert_null(apply("m1", false, deployment));
	assert_owned(
	    "m1", "Apply",
	    "{\"f:spec\":{\"f:replicas\":{},\"f:selector\":{},\"f:template\":{\"f:metadata\":{\"f:labels\":{\"f:app\":{"
	    "}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:image\":{},\"f:name\":{},"
	    "\"f:ports\":{\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},"
	    "\"f:containerPort\":{}}}}}}}}}");
}

static void a_created_deployment_does_not_own_what_its_type_always_has(void **state)
{
	(void)state;
	use_deployments();
	set("c", deployment);
	assert_owned(
	    "c", "Update",
	    "{\"f:spec\":{\"f:replicas\":{},\"f:selector\":{},\"f:template\":{\"f:metadata\":{\"f:labels\":{\".\":{},"
	    "\"f:app\":{}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:image\":{},"
	    "\"f:name\":{},\"f:ports\":{\".\":{},\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{"
	    "\".\":{},\"f:containerPort\":{}}}}}}}}}");
}

static void faults_of_a_configuration_are_told_in_the_real_words(void **state)
{
	(void)state;
	assert_string_equal(apply("m", false, CONFIG_MAP(",\"foo\":1}")),
			    "failed to create typed patch object (/s; /v1, Kind=ConfigMap): .metadata.foo: field not "
			    "declared in schema");
	assert_string_equal(apply("m", false, CONFIG_MAP(",\"finalizers\":[\"a/b\",\"a/b\"]}")),
			    "failed to create typed patch object (/s; /v1, Kind=ConfigMap): .metadata.finalizers: "
			    "duplicate entries for key [=\"a/b\"]");
	assert_string_equal(apply("m", false, CONFIG_MAP("},\"data\":{\"a\":1,\"b\":true}")),
			    "failed to create typed patch object (/s; /v1, Kind=ConfigMap): errors:\n"
			    "  .data.a: expected string, got &value.valueUnstructured{Value:1}\n"
			    "  .data.b: expected string, got &value.valueUnstructured{Value:true}");
	assert_string_equal(apply("m", false, CONFIG_MAP(",\"managedFields\":[]}")),
			    "metadata.managedFields must be nil");
	assert_false(has_live);
}

static void an_apply_that_changes_nothing_keeps_its_time(void **state)
{
	(void)state;
	assert_null(apply("m1", false, CONFIG_MAP("},\"data\":{\"a\":\"1\"}")));
	assert_null(apply("m2", false, CONFIG_MAP("},\"data\":{\"a\":\"1\"}")));
	assert_int_equal(value_find(&live, "metadata.managedFields")->array.count, 2);
	/* The second one changed nothing: no time, as there. */
	assert_null(value_get(value_item(value_find(&live, "metadata.managedFields"), 0), SPAN("time")));
}

static void an_empty_list_ends_the_tracking(void **state)
{
	(void)state;
	set("c", CONFIG_MAP(",\"uid\":\"u\"},\"data\":{\"a\":\"1\"}"));
	set("c", CONFIG_MAP(",\"uid\":\"u\",\"managedFields\":[]},\"data\":{\"a\":\"2\"}"));
	assert_null(value_find(&live, "metadata.managedFields"));
	assert_null(apply("m1", false, CONFIG_MAP("},\"data\":{\"b\":\"1\"}")));
	assert_owned("before-first-apply", "Update", "{\"f:data\":{\".\":{},\"f:a\":{}}}");
}

static void the_eleventh_updater_makes_a_bucket(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++) {
		const char *manager = arena_print(&arena, &err, "m%02d", i).ptr;
		const char *object = arena_print(&arena, &err, CONFIG_MAP("},\"data\":{\"k%d\":\"1\"}"), i).ptr;

		if (has_live) {
			struct apply_manager m = by(manager, "2026-01-01T00:00:00Z");
			struct value patch = parse(object), made;

			assert_true(patch_merge(&live, &patch, &arena, &made, &err));
			assert_true(fields_track(&live, &made, place, &m, &arena, &err));
			live = made;
		} else {
			set(manager, object);
		}
	}
	assert_int_equal(value_find(&live, "metadata.managedFields")->array.count, 10);
	assert_owned("ancient-changes", "Update", "{\"f:data\":{\".\":{},\"f:k0\":{},\"f:k1\":{},\"f:k2\":{}}}");
}

static void sets_are_read_and_written_again(void **state)
{
	static const char text[] = "{\"f:a\":{\".\":{},\"f:b\":{}},\"f:c\":{},\"k:{\\\"name\\\":\\\"x\\\"}\":{\".\":{},"
				   "\"f:v\":{}},\"v:\\\"s\\\"\":{},\"i:3\":{}}";
	struct value v = parse(text), out;
	struct fields *f = fields_parse(&v, &arena, &err), *g;

	(void)state;
	assert_non_null(f);
	assert_true(fields_print(f, &arena, &out, &err));
	assert_string_equal(value_print(&out, &arena, &err).ptr, text);
	g = fields_difference(fields_union(f, f, &arena, &err), f, &arena, &err);
	assert_true(fields_is_empty(g));
	v = parse("{\"x:y\":{},\"f:a\":{}}"); /* a kind that nobody knows is passed over */
	f = fields_parse(&v, &arena, &err);
	assert_int_equal(f->count, 1);
	v = parse("{\"f\":{}}");
	assert_null(fields_parse(&v, &arena, &err));
	assert_int_equal(err.code, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_create_owns_what_came_with_it, begin, end),
		cmocka_unit_test_setup_teardown(equal_values_are_shared_and_left_out_ones_go, begin, end),
		cmocka_unit_test_setup_teardown(conflicts_name_managers_and_paths, begin, end),
		cmocka_unit_test_setup_teardown(lists_by_keys_know_their_defaults, begin, end),
		cmocka_unit_test_setup_teardown(a_created_deployment_does_not_own_what_its_type_always_has, begin, end),
		cmocka_unit_test_setup_teardown(faults_of_a_configuration_are_told_in_the_real_words, begin, end),
		cmocka_unit_test_setup_teardown(an_apply_that_changes_nothing_keeps_its_time, begin, end),
		cmocka_unit_test_setup_teardown(an_empty_list_ends_the_tracking, begin, end),
		cmocka_unit_test_setup_teardown(the_eleventh_updater_makes_a_bucket, begin, end),
		cmocka_unit_test_setup_teardown(sets_are_read_and_written_again, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
