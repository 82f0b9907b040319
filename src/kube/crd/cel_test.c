/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/crd/cel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena arena;

/* What an expression gives, or its faults. */
static struct span result(const char *text)
{
	static const char data[] = "{\"n\":1,\"s\":\"abc\",\"l\":[1,2],\"m\":{\"k\":\"v\"},\"none\":null}";
	struct error err = { 0 };
	struct span faults = { 0 };
	struct value json;
	struct cel_variable names[] = { { SPAN("self"), &cel_dyn } };
	struct cel_env env = { .variables = names, .count = 1 };
	struct cel_value self, v;
	struct cel_program *p;

	arena_clear(&arena);
	assert_true(value_parse(SPAN(data), NULL, &arena, &json, &err));
	self = cel_from_json(&json, &cel_dyn, &arena, &err);
	p = cel_compile(span_of(text), &env, &arena, &faults, &err);
	if (!p)
		return faults;
	v = cel_eval(p, &self, CEL_COST_CALL, NULL, &arena, &err);
	return cel_print(&v, &arena, &err);
}

static void gives(const char *text, const char *wanted)
{
	struct span found = result(text);

	if (!span_equal(found, span_of(wanted)))
		fail_msg("%s gives %.*s, not %s", text, (int)found.len, found.ptr, wanted);
}

static void expressions_give_what_the_language_says(void **state)
{
	static const char *const rows[][2] = {
		{ "1 + 2 * 3 - 4 / 2", "5" },
		{ "-7 % 3", "-1" },
		{ "self.l.map(x, x * 2)", "[2, 4]" },
		{ "self.l.exists_one(x, x == 2)", "true" },
		{ "has(self.m.k) && !has(self.m.z)", "true" },
		{ "'k' in self.m && 2 in self.l", "true" },
		{ "self.none == null", "true" },
		{ "self.?m.?z.orValue('w')", "\"w\"" },
		{ "true || self.nothing", "true" },
		{ "self.nothing || true", "true" },
		{ "{'a': 1}.transformMap(k, v, v + 1)", "{\"a\": 2}" },
		{ "[3, 1, 2].isSorted() || [3, 1, 2].sum() == 6", "true" },
		{ "'a,b'.split(',').join('-').upperAscii()", "\"A-B\"" },
		{ "'%d of %s'.format([dyn(1), dyn('x')])", "\"1 of x\"" },
		{ "'foo123bar45'.findAll('[0-9]+')", "[\"123\", \"45\"]" },
		{ "quantity('1Gi').compareTo(quantity('1024Mi'))", "0" },
		{ "url('https://h:8443/p?a=b').getPort()", "\"8443\"" },
		{ "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true" },
		{ "timestamp('2024-02-29T00:00:00Z').getDayOfYear()", "59" },
		{ "duration('90s') > duration('1m')", "true" },
		{ "dyn(1) == 1.0 && 1u < 2", "true" },
		{ "[{'a': 1}] == [{'a': 1}]", "true" },
		{ "string(bytes('\\u00e9')).size()", "1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		gives(rows[i][0], rows[i][1]);
}

static void errors_are_values_in_the_real_server_s_words(void **state)
{
	static const char *const rows[][2] = {
		{ "1 / 0", "division by zero" },
		{ "9223372036854775807 + 1", "integer overflow" },
		{ "self.z", "no such key: z" },
		{ "self.l[5]", "index out of bounds: 5" },
		{ "self.n.startsWith('a')", "no such overload" },
		{ "optional.none().value()", "optional.none() dereference" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		gives(rows[i][0], rows[i][1]);
}

static void faults_point_at_their_place(void **state)
{
	(void)state;
	gives("self.l.size() >",
	      "ERROR: <input>:1:16: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', "
	      "'!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n"
	      " | self.l.size() >\n | ...............^");
	gives("1 == 'a'", "ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, string)'\n | 1 "
			  "== 'a'\n | ..^");
	gives("1 &&\nx", "ERROR: <input>:1:1: expected type 'bool' but found 'int'\n | 1 &&\n | ^\n"
			 "ERROR: <input>:2:1: undeclared reference to 'x' (in container '')\n | x\n | ^");
	gives("duration('1x') > duration('1s')", "ERROR: <input>:1:10: invalid duration argument\n"
						 " | duration('1x') > duration('1s')\n | .........^");
	gives("semver('1.0.0')", "ERROR: <input>:1:7: undeclared reference to 'semver' (in container '')\n"
				 " | semver('1.0.0')\n | ......^");
}

static void hostile_expressions_end_at_the_limit(void **state)
{
	static const char stopped[] = "operation cancelled: actual cost limit exceeded";
	static const char more[] = ".map(x, [1,2,3,4,5,6,7,8,9,0].map(x, [1,2,3,4,5,6,7,8,9,0]";
	struct buffer text;

	(void)state;
	buffer_init(&text, KIB(64));
	buffer_append(&text, SPAN("[1,2,3,4,5,6,7,8,9,0]"));
	for (int i = 0; i < 20; i++)
		buffer_append(&text, span_of(more));
	for (int i = 0; i < 40; i++)
		buffer_byte(&text, ')');
	buffer_byte(&text, '\0');
	gives(text.ptr, stopped);
	buffer_clear(&text);
	buffer_append(&text, SPAN("[1]"));
	for (int i = 0; i < 100; i++)
		buffer_append(&text, SPAN(".map(x, [x, x])"));
	buffer_append(&text, SPAN(" == [[2]]"));
	buffer_byte(&text, '\0');
	(void)result(text.ptr);
	buffer_done(&text);
}

static void names_of_properties_are_escaped(void **state)
{
	static const char *const rows[][2] = { { "a-b", "a__dash__b" },
					       { "namespace", "__namespace__" },
					       { "a__b.c/d", "a__underscores__b__dot__c__slash__d" } };
	struct error err = { 0 };
	struct span s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(cel_escape(span_of(rows[i][0]), &arena, &s, &err));
		assert_true(span_equal(s, span_of(rows[i][1])));
	}
	assert_false(cel_escape(SPAN("1a"), &arena, &s, &err));
	assert_false(cel_escape(SPAN("a b"), &arena, &s, &err));
}

static void what_a_variable_holds_bounds_the_estimate(void **state)
{
	struct cel_type text = cel_string, *list;
	struct error err = { 0 };
	struct span faults = { 0 };
	struct cel_variable names[1] = { { SPAN("self"), NULL } };
	struct cel_env env = { .variables = names, .count = 1 };
	struct cel_program *p;

	(void)state;
	text.max_size = 10;
	list = cel_type_list(&text, &arena, &err);
	list->max_size = 100;
	names[0].type = list;
	p = cel_compile(SPAN("self.all(x, x.startsWith('abc'))"), &env, &arena, &faults, &err);
	assert_non_null(p);
	assert_in_range(cel_program_cost(p), 100, 1000);
	list->max_size = UINT64_MAX;
	p = cel_compile(SPAN("self.all(x, self.all(y, x == y))"), &env, &arena, &faults, &err);
	assert_non_null(p);
	assert_true(cel_program_cost(p) > CEL_COST_TOTAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_give_what_the_language_says),
		cmocka_unit_test(errors_are_values_in_the_real_server_s_words),
		cmocka_unit_test(faults_point_at_their_place),
		cmocka_unit_test(hostile_expressions_end_at_the_limit),
		cmocka_unit_test(names_of_properties_are_escaped),
		cmocka_unit_test(what_a_variable_holds_bounds_the_estimate),
	};
	int failed;

	arena_init(&arena, MIB(64));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
