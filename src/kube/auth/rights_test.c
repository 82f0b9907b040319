/* SPDX-License-Identifier: Apache-2.0 */
/* rights_test - rules against questions and against one another; the token file; the roles that every cluster has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube/auth/auth_private.h"

static struct arena arena;

static int arena_make(void **state)
{
	(void)state;
	arena_init(&arena, MIB(16));
	return 0;
}

static int arena_free(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct rule *rules_of(const char *json, size_t *ret_count)
{
	struct error err = { 0 };
	struct rule *rules = NULL;
	struct value v;

	if (!value_parse(span_of(json), NULL, &arena, &v, &err) || !rules_read(&v, &arena, &rules, ret_count, &err))
		fail_msg("%s: %s", json, err.message);
	return rules;
}

#define RULE(verbs, groups, resources)                                                                                 \
	"[{\"verbs\":[" verbs "],\"apiGroups\":[" groups "],\"resources\":[" resources "]}]"

static void a_rule_allows_what_it_names(void **state)
{
	static const struct {
		const char *rule, *verb, *group, *resource, *subresource, *name;
		bool is_allowed;
	} rows[] = {
		{ RULE("\"get\"", "\"\"", "\"pods\""), "get", "", "pods", "", "x", true },
		{ RULE("\"get\"", "\"\"", "\"pods\""), "list", "", "pods", "", "", false },
		{ RULE("\"get\"", "\"\"", "\"pods\""), "get", "apps", "pods", "", "x", false },
		{ RULE("\"get\"", "\"\"", "\"pods\""), "get", "", "pods", "log", "x", false },
		{ RULE("\"get\"", "\"\"", "\"pods/log\""), "get", "", "pods", "log", "x", true },
		{ RULE("\"get\"", "\"\"", "\"pods/log\""), "get", "", "pods", "", "x", false },
		{ RULE("\"*\"", "\"*\"", "\"*\""), "patch", "apps", "deployments", "scale", "x", true },
		{ RULE("\"*\"", "\"*\"", "\"*/scale\""), "patch", "apps", "deployments", "scale", "x", true },
		{ RULE("\"*\"", "\"*\"", "\"*/scale\""), "patch", "apps", "deployments", "", "x", false },
		{ RULE("\"*\"", "\"*\"", "\"pods/*\""), "get", "", "pods", "log", "x", false },
		{ RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""), "get", "", "secrets", "", "one",
		  true },
		{ RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""), "get", "", "secrets", "", "two",
		  false },
		{ RULE("\"list\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""), "list", "", "secrets", "", "",
		  false },
		{ "[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]", "get", "", "pods", "", "x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct access a = { .is_resource = true,
				    .verb = span_of(rows[i].verb),
				    .group = span_of(rows[i].group),
				    .resource = span_of(rows[i].resource),
				    .subresource = span_of(rows[i].subresource),
				    .name = span_of(rows[i].name) };
		size_t count;

		if (rule_allows(rules_of(rows[i].rule, &count), &a) != rows[i].is_allowed)
			fail_msg("row %zu", i);
	}
}

static void a_path_is_allowed_whole_or_by_a_star_at_its_end(void **state)
{
	static const struct {
		const char *rule, *path;
		bool is_allowed;
	} rows[] = { { "/healthz", "/healthz", true }, { "/healthz", "/healthz/ping", false },
		     { "/api/*", "/api/v1", true },    { "/api/*", "/api", false },
		     { "*", "/metrics", true },        { "", "/metrics", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span verb = SPAN("get"), path = span_of(rows[i].rule);
		struct rule r = { .verbs = &verb, .verb_count = 1, .paths = &path, .path_count = 1 };
		struct access a = { .verb = SPAN("get"), .path = span_of(rows[i].path) };

		assert_int_equal(rule_allows(&r, &a), rows[i].is_allowed);
	}
}

static void rules_cover_others_piece_by_piece(void **state)
{
	static const struct {
		const char *have, *want;
		bool is_covered;
	} rows[] = {
		{ RULE("\"*\"", "\"*\"", "\"*\""), RULE("\"get\",\"list\"", "\"apps\"", "\"deployments/scale\""),
		  true },
		{ RULE("\"get\"", "\"\"", "\"pods\""), RULE("\"get\",\"list\"", "\"\"", "\"pods\""), false },
		{ RULE("\"get\"", "\"\"", "\"pods\""), RULE("\"get\"", "\"*\"", "\"pods\""), false },
		{ "[{\"verbs\":[\"get\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]},"
		  "{\"verbs\":[\"list\"],\"apiGroups\":[\"\"],\"resources\":[\"pods\"]}]",
		  RULE("\"get\",\"list\"", "\"\"", "\"pods\""), true },
		{ RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""),
		  RULE("\"get\"", "\"\"", "\"secrets\""), false },
		{ RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""),
		  RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""), true },
		{ RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\""),
		  RULE("\"get\"", "\"\"", "\"secrets\"],\"resourceNames\":[\"one\",\"two\""), false },
		{ RULE("\"*\"", "\"*\"", "\"*\""), "[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/x\"]}]", false },
		{ "[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"/x/*\"]}]",
		  "[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/x/y\"]}]", true },
		{ RULE("\"get\"", "\"\"", "\"*/log\""), RULE("\"get\"", "\"\"", "\"pods/log\""), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t have_count, want_count;
		struct rule *have = rules_of(rows[i].have, &have_count), *want = rules_of(rows[i].want, &want_count);

		if (rules_cover(have, have_count, want) != rows[i].is_covered)
			fail_msg("row %zu", i);
	}
}

static void a_rule_is_printed_as_the_real_server_prints_it(void **state)
{
	struct buffer out;
	size_t count;

	(void)state;
	buffer_init(&out, KIB(4));
	rule_print(rules_of(RULE("\"*\"", "\"*\"", "\"*\""), &count), &out);
	assert_true(span_equal(buffer_span(&out), SPAN("{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}")));
	buffer_done(&out);
}

static void refusals_have_the_real_servers_words(void **state)
{
	struct user u = { .name = SPAN("jane") };
	struct access a = { .verb = SPAN("patch"),
			    .is_resource = true,
			    .group = SPAN("apps"),
			    .resource = SPAN("deployments"),
			    .subresource = SPAN("scale"),
			    .name = SPAN("d"),
			    .name_space = SPAN("ns") };
	struct error err = { 0 };

	(void)state;
	assert_false(access_error(&u, &a, &err));
	assert_int_equal(err.code, ERROR_FORBIDDEN);
	assert_string_equal(err.message, "deployments.apps \"d\" is forbidden: User \"jane\" cannot patch resource "
					 "\"deployments/scale\" in API group \"apps\" in the namespace \"ns\"");
	a = (struct access){ .verb = SPAN("list"), .is_resource = true, .resource = SPAN("nodes") };
	assert_false(access_error(&u, &a, &err));
	assert_string_equal(err.message,
			    "nodes is forbidden: User \"jane\" cannot list resource \"nodes\" in API group "
			    "\"\" at the cluster scope");
	a = (struct access){ .verb = SPAN("get"), .path = SPAN("/metrics") };
	assert_false(access_error(&u, &a, &err));
	assert_string_equal(err.message, "forbidden: User \"jane\" cannot get path \"/metrics\"");
}

/* ---- the token file ---- */

static void a_token_file_names_users_and_groups(void **state)
{
	struct token_file *f = NULL;
	struct error err = { 0 };
	struct user u;

	(void)state;
	assert_true(token_file_parse(SPAN("# comment\n\nt1,jane,7\r\n\"t,2\",\"j \"\"q\"\"\",8,\"a, b\"\nt3,x,9,one\n"),
				     "f", &f, &err));
	assert_true(token_file_find(f, SPAN("t1"), &u));
	assert_true(span_equal(u.name, SPAN("jane")));
	assert_true(span_equal(u.uid, SPAN("7")));
	assert_int_equal(u.group_count, 0);
	assert_true(token_file_find(f, SPAN("t,2"), &u));
	assert_true(span_equal(u.name, SPAN("j \"q\"")));
	assert_true(user_has_group(&u, SPAN("a")));
	assert_true(user_has_group(&u, SPAN("b")));
	assert_true(token_file_find(f, SPAN("t3"), &u));
	assert_true(user_has_group(&u, SPAN("one")));
	assert_false(token_file_find(f, SPAN("t"), &u));
	assert_false(token_file_find(f, SPAN(""), &u));
	assert_false(token_file_find(NULL, SPAN("t1"), &u));
	token_file_free(f);
}

static void a_bad_line_is_named(void **state)
{
	static const char *const rows[] = { "a,b", "a", ",b,c", "a,,c", "a,b,c,\"d", "a,b,c,\"d\"e" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error print_err = { 0 };
		struct span text = arena_print(&arena, &print_err, "t,u,1\n%s\n", rows[i]);
		struct token_file *f = NULL;
		struct error err = { 0 };

		if (token_file_parse(text, "users.csv", &f, &err))
			fail_msg("'%s' is taken", rows[i]);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.message, "users.csv: line 2"));
	}
}

/* ---- bootstrap.def ---- */

static void every_first_role_is_an_object_with_rules_or_subjects(void **state)
{
	(void)state;
	assert_true(bootstrap_count() > 40);
	for (size_t i = 0; i < bootstrap_count(); i++) {
		struct error err = { 0 };
		struct value object;
		const struct value *rules;

		if (!bootstrap_object(i, &arena, &object, &err))
			fail_msg("row %zu: %s", i, err.message);
		assert_true(value_find_string(&object, "metadata.name").len > 0);
		rules = value_get(&object, SPAN("rules"));
		if (value_get(&object, SPAN("roleRef")) || value_get(&object, SPAN("aggregationRule")))
			continue;
		assert_true(value_is(rules, VALUE_ARRAY) && rules->array.count > 0);
		for (uint32_t n = 0; n < rules->array.count; n++) {
			const struct value *rule = value_item(rules, n);

			assert_false(value_is_empty(value_get(rule, SPAN("verbs"))));
			assert_true(value_is_empty(value_get(rule, SPAN("nonResourceURLs"))) !=
				    value_is_empty(value_get(rule, SPAN("resources"))));
		}
	}
	{
		struct error err = { 0 };
		struct value object;

		assert_false(bootstrap_object(bootstrap_count(), &arena, &object, &err));
	}
}

static void the_roles_of_first_bindings_are_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < bootstrap_count(); i++) {
		struct error err = { 0 };
		struct value binding, role;
		bool is_found = false;

		assert_true(bootstrap_object(i, &arena, &binding, &err));
		if (!value_get(&binding, SPAN("roleRef")))
			continue;
		for (size_t n = 0; n < bootstrap_count() && !is_found; n++) {
			assert_true(bootstrap_object(n, &arena, &role, &err));
			is_found =
			    span_equal(value_find_string(&role, "kind"), value_find_string(&binding, "roleRef.kind")) &&
			    span_equal(value_find_string(&role, "metadata.name"),
				       value_find_string(&binding, "roleRef.name"));
		}
		if (!is_found)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_make, arena_free)
	const struct CMUnitTest tests[] = {
		TEST(a_rule_allows_what_it_names),
		TEST(a_path_is_allowed_whole_or_by_a_star_at_its_end),
		TEST(rules_cover_others_piece_by_piece),
		TEST(a_rule_is_printed_as_the_real_server_prints_it),
		TEST(refusals_have_the_real_servers_words),
		TEST(a_token_file_names_users_and_groups),
		TEST(a_bad_line_is_named),
		TEST(every_first_role_is_an_object_with_rules_or_subjects),
		TEST(the_roles_of_first_bindings_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
