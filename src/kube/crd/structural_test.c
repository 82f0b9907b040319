/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/crd/structural.h"

struct row {
	const char *schema, *object, *field, *reason, *message; /* field NULL: no fault */
};

static const struct row rows[] = {
	{ "{'type':'object','properties':{'a':{'type':'integer'}}}", "{'a':1,'b':2}", NULL, NULL, NULL },
	{ "{'type':'object','properties':{'a':{'type':'integer'}}}", "{'a':'x'}", "a", "FieldValueTypeInvalid",
	  "Invalid value: 'string': a in body must be of type integer: 'string'" },
	{ "{'type':'object','required':['a']}", "{}", "a", "FieldValueRequired", "Required value" },
	{ "{'type':'object','properties':{'s':{'type':'object','properties':{'n':{'type':'integer','minimum':1}}}}}",
	  "{'s':{'n':0}}", "s.n", "FieldValueInvalid",
	  "Invalid value: 0: s.n in body should be greater than or equal to 1" },
	{ "{'properties':{'a':{'type':'string','enum':['x','b']}}}", "{'a':'c'}", "a", "FieldValueNotSupported",
	  "Unsupported value: 'c': supported values: 'x', 'b'" },
	{ "{'properties':{'a':{'type':'string','pattern':'^a+$'}}}", "{'a':'b'}", "a", "FieldValueInvalid",
	  "Invalid value: 'b': a in body should match '^a+$'" },
	{ "{'properties':{'a':{'type':'string','pattern':'^(a+)+$'}}}",
	  "{'a':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'}", "a", "FieldValueInvalid",
	  "Invalid value: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab': a in body should match '^(a+)+$'" },
	{ "{'properties':{'l':{'type':'array','x-kubernetes-list-type':'set'}}}", "{'l':['a','b','a']}", "l[2]",
	  "FieldValueDuplicate", "Duplicate value: 'a'" },
	{ "{'properties':{'a':{'x-kubernetes-int-or-string':true}}}", "{'a':'50%'}", NULL, NULL, NULL },
	{ "{'properties':{'a':{'type':'string','nullable':true}}}", "{'a':null}", NULL, NULL, NULL },
	{ "{'properties':{'a':{'oneOf':[{'minimum':1},{'maximum':5}]}}}", "{'a':9}", NULL, NULL, NULL },
	{ "{'properties':{'a':{'oneOf':[{'minimum':1},{'maximum':5}]}}}", "{'a':3}", "<nil>", "FieldValueInvalid",
	  "Invalid value: '': 'a' must validate one and only one schema (oneOf). Found 2 valid alternatives" },
	{ "{'properties':{'a':{'not':{'enum':[9]}}}}", "{'a':9}", "<nil>", "FieldValueInvalid",
	  "Invalid value: '': 'a' must not validate the schema (not)" },
	{ "{'properties':{'a':{'x-kubernetes-int-or-string':true}}}", "{'a':true}", "a", "FieldValueTypeInvalid",
	  "Invalid value: 'boolean': a in body must be of type integer,string: 'boolean'" },
	{ "{'properties':{'a':{'maxLength':2}}}", "{'a':'abc'}", "a", "FieldValueTooLong",
	  "Too long: may not be more than 2 bytes" },
	{ "{'properties':{'a':{'minLength':2}}}", "{'a':'a'}", "a", "FieldValueInvalid",
	  "Invalid value: 'a': a in body should be at least 2 chars long" },
	{ "{'properties':{'a':{'maxItems':1}}}", "{'a':[1,2]}", "a", "FieldValueTooMany",
	  "Too many: 2: must have at most 1 items" },
	{ "{'properties':{'a':{'multipleOf':2}}}", "{'a':3}", "a", "FieldValueInvalid",
	  "Invalid value: 3: a in body should be a multiple of 2" },
	{ "{'properties':{'l':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k']}}}",
	  "{'l':[{'k':'a'},{'k':'a','b':1}]}", "l[1]", "FieldValueDuplicate",
	  "Duplicate value: map[string]interface {}{'k':'a'}" },
	{ "{'properties':{'a':{'type':'string'}}}", "{'a':null}", NULL, NULL,
	  NULL }, /* the null goes with the defaults */
};

static struct value parse(const char *text, struct arena *arena)
{
	struct error err = { 0 };
	struct span s = arena_copy(arena, span_of(text), &err);
	struct value v;

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\'')
			((char *)(uintptr_t)s.ptr)[i] = '"';
	assert_true(value_parse(s, NULL, arena, &v, &err));
	return v;
}

static void faults_are_told_in_the_real_servers_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena;
		struct error err = { 0 };
		struct change c = { .arena = &arena, .err = &err };
		struct openapi_schema *s;
		struct value schema, object;
		struct span words;

		arena_init(&arena, MIB(4));
		c.causes_end = &c.causes;
		schema = parse(rows[i].schema, &arena);
		object = parse(rows[i].object, &arena);
		s = openapi_schema_new(&schema, SPAN("schema"), &c);
		assert_non_null(s);
		assert_true(openapi_schema_default(s, &object, &arena, &err));
		openapi_schema_validate(s, &object, NULL, SPAN(""), &c);
		openapi_schema_check_lists(s, &object, NULL, &c);
		assert_int_equal(err.code, 0);
		assert_int_equal(c.cause_count, rows[i].field != NULL);
		if (rows[i].field) {
			words = arena_copy(&arena, c.causes->message, &err);
			for (size_t n = 0; n < words.len; n++)
				if (words.ptr[n] == '"')
					((char *)(uintptr_t)words.ptr)[n] = '\'';
			assert_true(span_equal(c.causes->field, span_of(rows[i].field)));
			assert_string_equal(c.causes->reason, rows[i].reason);
			if (!span_equal(words, span_of(rows[i].message)))
				fail_msg("row %zu: " SPAN_FMT, i, SPAN_ARG(words));
		}
		openapi_schema_free(s);
		arena_done(&arena);
	}
}

static void a_value_that_fits_none_of_several_schemas_is_told_why(void **state)
{
	struct arena arena;
	struct error err = { 0 };
	struct change c = { .arena = &arena, .err = &err };
	struct openapi_schema *s;
	struct value schema, object;

	(void)state;
	arena_init(&arena, MIB(4));
	c.causes_end = &c.causes;
	schema = parse("{'properties':{'any':{'anyOf':[{'minimum':5},{'maximum':1}]}}}", &arena);
	object = parse("{'any':3}", &arena);
	s = openapi_schema_new(&schema, SPAN("schema"), &c);
	assert_non_null(s);
	openapi_schema_validate(s, &object, NULL, SPAN(""), &c);
	assert_int_equal(c.cause_count, 2);
	assert_true(span_equal(c.causes->message,
			       SPAN("Invalid value: \"\": \"any\" must validate at least one schema (anyOf)")));
	assert_true(span_equal(c.causes->next->message,
			       SPAN("Invalid value: 3: any in body should be greater than or equal to 5")));
	openapi_schema_free(s);
	arena_done(&arena);
}

static void a_pattern_that_is_none_is_refused(void **state)
{
	struct arena arena;
	struct error err = { 0 };
	struct change c = { .arena = &arena, .err = &err };
	struct value schema;

	(void)state;
	arena_init(&arena, MIB(4));
	c.causes_end = &c.causes;
	schema = parse("{'properties':{'a':{'pattern':'b'},'c':{'pattern':'('}}}", &arena);
	assert_null(openapi_schema_new(&schema, SPAN("schema"), &c));
	assert_int_equal(c.cause_count, 1);
	assert_true(span_equal(c.causes->field, SPAN("schema.properties[c].pattern")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_are_told_in_the_real_servers_words),
		cmocka_unit_test(a_value_that_fits_none_of_several_schemas_is_told_why),
		cmocka_unit_test(a_pattern_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
