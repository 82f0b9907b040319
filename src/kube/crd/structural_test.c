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

struct change_row {
	const char *schema, *before, *after, *told; /* told: paths with commas */
};

static const struct change_row pruned[] = {
	{ "{'type':'object','properties':{'a':{'type':'string'}}}", "{'kind':'K','a':1,'b':2}", "{'kind':'K','a':1}",
	  "b" },
	{ "{'properties':{'m':{'additionalProperties':true}}}", "{'m':{'x':{'y':1}}}", "{'m':{'x':{}}}", "m.x.y" },
	{ "{'properties':{'m':{'additionalProperties':false}}}", "{'m':{'x':1}}", "{'m':{'x':1}}", "" },
	{ "{'properties':{'f':{'x-kubernetes-preserve-unknown-fields':true,'properties':{'k':{'properties':{}}}}}}",
	  "{'f':{'any':{'b':1},'k':{'c':1}}}", "{'f':{'any':{'b':1},'k':{}}}", "f.k.c" },
	{ "{'properties':{'l':{'items':{'properties':{'a':{}}}}}}", "{'l':[{'a':1,'b':2}]}", "{'l':[{'a':1}]}",
	  "l[0].b" },
	{ "{'properties':{'e':{'x-kubernetes-embedded-resource':true,'properties':{'spec':{}}}}}",
	  "{'e':{'kind':'K','metadata':{'name':'n'},'junk':1}}", "{'e':{'kind':'K','metadata':{'name':'n'}}}",
	  "e.junk" },
};

static const struct change_row defaulted[] = {
	{ "{'properties':{'a':{'default':'x'},'b':{'type':'string'}}}", "{'b':null}", "{'a':'x'}", NULL },
	{ "{'properties':{'a':{'default':'x'}}}", "{'a':null}", "{'a':'x'}", NULL },
	{ "{'properties':{'a':{'default':'x','nullable':true}}}", "{'a':null}", "{'a':null}", NULL },
	{ "{'properties':{'o':{'default':{},'properties':{'a':{'default':1}}}}}", "{}", "{'o':{'a':1}}", NULL },
	{ "{'properties':{'m':{'additionalProperties':{'properties':{'d':{'default':1}}}}}}", "{'m':{'k':{}}}",
	  "{'m':{'k':{'d':1}}}", NULL },
	{ "{'properties':{'l':{'items':{'properties':{'d':{'default':1}}}}}}", "{'l':[{},{'d':2}]}",
	  "{'l':[{'d':1},{'d':2}]}", NULL },
};

struct told {
	struct buffer text;
};

static void tell(void *context, struct span path)
{
	struct told *t = context;

	buffer_print(&t->text, "%s" SPAN_FMT, t->text.len ? "," : "", SPAN_ARG(path));
}

static void changes_to_follow(const struct change_row *row, bool prunes)
{
	struct arena arena;
	struct error err = { 0 };
	struct change c = { .arena = &arena, .err = &err };
	struct told told = { 0 };
	struct schema_report report = { .unknown = tell, .context = &told };
	struct openapi_schema *s;
	struct value schema, object, wanted;

	arena_init(&arena, MIB(4));
	buffer_init(&told.text, KIB(4));
	c.causes_end = &c.causes;
	schema = parse(row->schema, &arena);
	object = parse(row->before, &arena);
	wanted = parse(row->after, &arena);
	s = openapi_schema_new(&schema, SPAN("schema"), &c);
	assert_non_null(s);
	if (prunes)
		openapi_schema_prune(s, &object, &report);
	else
		assert_true(openapi_schema_default(s, &object, &arena, &err));
	if (!value_equal(&object, &wanted))
		fail_msg("%s becomes " SPAN_FMT, row->before, SPAN_ARG(value_print(&object, &arena, &err)));
	if (prunes)
		assert_true(span_equal(buffer_span(&told.text), span_of(row->told)));
	openapi_schema_free(s);
	buffer_done(&told.text);
	arena_done(&arena);
}

static void what_the_schema_does_not_name_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pruned); i++)
		changes_to_follow(&pruned[i], true);
}

static void what_is_absent_gets_its_default_and_stray_nulls_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(defaulted); i++)
		changes_to_follow(&defaulted[i], false);
}

/* Faults of `now` that were not faults of `old` already, where both can be told to be the same value. */
static const struct {
	const char *schema, *old, *now;
	size_t faults;
} ratcheted[] = {
	{ "{'properties':{'a':{'maxLength':1}}}", "{'a':'xx','b':1}", "{'a':'xx','b':2}", 0 },
	{ "{'properties':{'a':{'maxLength':1}}}", "{'a':'xx'}", "{'a':'xy'}", 1 },
	{ "{'properties':{'l':{'items':{'maxLength':1}}}}", "{'l':['xx']}", "{'l':['xx','y']}", 1 },
	{ "{'properties':{'l':{'x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],'items':{'properties':"
	  "{'v':"
	  "{'maxLength':1}}}}}}",
	  "{'l':[{'k':'a','v':'xx'}]}", "{'l':[{'k':'b','v':'y'},{'k':'a','v':'xx'}]}", 0 },
	{ "{'properties':{'l':{'x-kubernetes-list-type':'set'}}}", "{'l':['a','a']}", "{'l':['a','a','b','b']}", 0 },
	{ "{'required':['r'],'properties':{'a':{'type':'string'}}}", "{'a':'x'}", "{'a':'y'}", 1 },
};

static void faults_that_were_there_before_are_let_through(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ratcheted); i++) {
		struct arena arena;
		struct error err = { 0 };
		struct change c = { .arena = &arena, .err = &err };
		struct value schema, old, now;
		struct openapi_schema *s;

		arena_init(&arena, MIB(4));
		c.causes_end = &c.causes;
		schema = parse(ratcheted[i].schema, &arena);
		old = parse(ratcheted[i].old, &arena);
		now = parse(ratcheted[i].now, &arena);
		s = openapi_schema_new(&schema, SPAN("schema"), &c);
		assert_non_null(s);
		openapi_schema_validate(s, &now, &old, SPAN(""), &c);
		openapi_schema_check_lists(s, &now, &old, &c);
		if (c.cause_count != ratcheted[i].faults)
			fail_msg("row %zu: %zu faults", i, c.cause_count);
		openapi_schema_free(s);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_are_told_in_the_real_servers_words),
		cmocka_unit_test(a_value_that_fits_none_of_several_schemas_is_told_why),
		cmocka_unit_test(a_pattern_that_is_none_is_refused),
		cmocka_unit_test(what_the_schema_does_not_name_goes),
		cmocka_unit_test(what_is_absent_gets_its_default_and_stray_nulls_go),
		cmocka_unit_test(faults_that_were_there_before_are_let_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
