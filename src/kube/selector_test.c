/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kube/kube_private.h"

/* A record with the notes that the store would have. */
static struct record *record_new(const char *key, const char *text)
{
	struct record *r = base_calloc(1, sizeof(*r));
	size_t size;

	r->key = span_of(key);
	r->text = span_of(text);
	r->notes = notes_make(NULL, r, &size);
	return r;
}

static void record_drop(struct record *r)
{
	free((void *)r->notes);
	free(r);
}

#define TEXT                                                                                                           \
	"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"uid\":\"u-1\",\"labels\":{\"app\":"    \
	"\"web\",\"n\":\"5\","                                                                                         \
	"\"a\\/b\":\"\"},\"ownerReferences\":[{\"uid\":\"o-1\",\"blockOwnerDeletion\":true},{\"uid\":\"o-2\"}],"       \
	"\"finalizers\":[\"orphan\"],\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"nodeName\":\"n1\"}}"

static void notes_hold_labels_and_owners(void **state)
{
	struct record *r = record_new("/core/pods/default/a", TEXT);
	const struct notes *n = notes_of(r);

	(void)state;
	assert_int_equal(n->label_count, 3);
	assert_true(span_equal(n->labels[2].key, SPAN("a/b")));
	assert_int_equal(n->owner_count, 2);
	assert_true(n->owners[0].blocks && !n->owners[1].blocks);
	assert_true(span_equal(n->owners[1].uid, SPAN("o-2")));
	assert_true(span_equal(n->uid, SPAN("u-1")));
	assert_true(n->is_ending && n->is_orphan && !n->is_foreground);
	assert_true(span_starts(n->list_text, SPAN("\"metadata\":{\"name\"")));
	record_drop(r);
}

static void broken_texts_have_no_notes(void **state)
{
	static const char *const texts[] = { "", "{", "{\"metadata\":{\"labels\":{\"a\":", "[]", "{\"metadata\":5}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct record *r = record_new("/core/pods/default/a", texts[i]);

		assert_int_equal(notes_of(r)->label_count, 0);
		assert_int_equal(notes_of(r)->owner_count, 0);
		record_drop(r);
	}
}

static void label_selectors_match_as_they_say(void **state)
{
	static const struct {
		const char *selector;
		bool matches;
	} rows[] = {
		{ "", true },
		{ "app=web", true },
		{ "app==web", true },
		{ "app=other", false },
		{ "app!=web", false },
		{ "app!=other", true },
		{ "none!=x", true },
		{ "app", true },
		{ "!app", false },
		{ "!none", true },
		{ "app in (db,web)", true },
		{ "app notin (db, web)", false },
		{ "none notin (db)", true },
		{ "n>4", true },
		{ "n>5", false },
		{ "n<6", true },
		{ "app=web,n=5", true },
		{ "app=web,n=6", false },
		{ "a/b=", true },
		{ "a/b in ()", true },
		{ " app = web , n = 5 ", true },
	};
	struct record *r = record_new("/core/pods/default/a", TEXT);
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct selectors s = { 0 };
		struct error err = { 0 };

		assert_true(selector_parse_labels(span_of(rows[i].selector), &arena, &s.labels, &err));
		if (selectors_match(&s, NULL, r) != rows[i].matches)
			fail_msg("%s", rows[i].selector);
	}
	arena_done(&arena);
	record_drop(r);
}

static void bad_label_selectors_are_refused_in_the_real_servers_words(void **state)
{
	static const struct {
		const char *selector, *message;
	} rows[] = {
		{ "a,,b", "found ',', expected: identifier after ','" },
		{ "=x", "found '=', expected: !, identifier, or 'end of string'" },
		{ "app in web", "unable to parse requirement: found 'web' expected: '('" },
		{ "app=web)", "found ')', expected: ',' or 'end of string'" },
		{ "!", "unable to parse requirement: found '', expected: identifier" },
		{ "app===web", "unable to parse requirement: found '=', expected: identifier" },
		{ "app in (web", "unable to parse requirement: found '', expected: ',' or ')'" },
		{ "n>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the "
			 "value must be "
			 "an integer" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct selector s = { 0 };
		struct error err = { 0 };

		assert_false(selector_parse_labels(span_of(rows[i].selector), &arena, &s, &err));
		assert_string_equal(err.message, rows[i].message);
	}
	arena_done(&arena);
}

static void field_selectors_look_at_names_and_at_what_the_kind_offers(void **state)
{
	static const struct selectable fields[] = { { "spec.nodeName", NULL, NULL },
						    { "status.phase", NULL, "Pending" },
						    { 0 } };
	static const struct kind kind = { .group = "", .plural = "pods", .is_namespaced = true, .selectable = fields };
	static const struct {
		const char *selector;
		bool matches;
	} rows[] = {
		{ "metadata.name=a", true },
		{ "metadata.name!=a", false },
		{ "metadata.namespace=default", true },
		{ "metadata.namespace=other", false },
		{ "spec.nodeName=n1", true },
		{ "spec.nodeName=n1,metadata.name=b", false },
		{ "status.phase=Pending", true },
		{ "metadata.name=\\a", true },
	};
	struct record *r = record_new("/core/pods/default/a", TEXT);
	struct selectors s = { 0 };
	struct error err = { 0 };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(selector_parse_fields(span_of(rows[i].selector), &kind, &arena, &s.fields, &err));
		if (selectors_match(&s, &kind, r) != rows[i].matches)
			fail_msg("%s", rows[i].selector);
	}
	assert_false(selector_parse_fields(SPAN("spec.foo=x"), &kind, &arena, &s.fields, &err));
	assert_string_equal(err.message, "field label not supported: spec.foo");
	err = (struct error){ 0 };
	assert_false(selector_parse_fields(SPAN("metadata.name"), &kind, &arena, &s.fields, &err));
	assert_string_equal(err.message, "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
	arena_done(&arena);
	record_drop(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notes_hold_labels_and_owners),
		cmocka_unit_test(broken_texts_have_no_notes),
		cmocka_unit_test(label_selectors_match_as_they_say),
		cmocka_unit_test(bad_label_selectors_are_refused_in_the_real_servers_words),
		cmocka_unit_test(field_selectors_look_at_names_and_at_what_the_kind_offers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
