/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/kube_private.h"

#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io"

static void the_best_that_can_be_given_is_chosen(void **state)
{
	static const struct {
		const char *header;
		struct accepting want;
	} rows[] = {
		{ "*/*", { .is_known = true } },
		{ "application/json", { .is_known = true } },
		{ "application/yaml", { .is_yaml = true, .is_known = true } },
		{ "text/html, application/*;q=0.1", { .is_known = true } },
		{ "application/vnd.kubernetes.protobuf,application/json", { .is_known = true } },
		{ "application/yaml;q=0.5,application/json;q=0.9", { .is_known = true } },
		{ "application/json;q=0.5,application/yaml", { .is_yaml = true, .is_known = true } },
		{ TABLE ",application/json", { .form = FORM_TABLE, .is_known = true } },
		{ "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
		  { .form = FORM_TABLE, .is_beta_form = true, .is_known = true } },
		{ "application/json;as=Table;v=v9;g=meta.k8s.io, application/json", { .is_known = true } },
		{ "application/json ; as = PartialObjectMetadata ; g = meta.k8s.io ; v = v1",
		  { .form = FORM_PARTIAL, .is_known = true } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct accepting got;

		assert_true(accept_choose(span_of(rows[i].header), &got));
		assert_int_equal(got.form, rows[i].want.form);
		assert_int_equal(got.is_yaml, rows[i].want.is_yaml);
		assert_int_equal(got.is_beta_form, rows[i].want.is_beta_form);
		assert_int_equal(got.is_known, rows[i].want.is_known);
	}
}

static void what_cannot_be_given_is_told_apart(void **state)
{
	static const struct {
		const char *header;
		bool is_known;
	} rows[] = {
		{ "text/html", false },
		{ ";;,", false },
		{ "application/json;q=0", true },
		{ "application/vnd.kubernetes.protobuf", true },
		{ "application/json;as=Table;v=v1;g=other.io", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct accepting got;

		assert_false(accept_choose(span_of(rows[i].header), &got));
		assert_int_equal(got.is_known, rows[i].is_known);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_that_can_be_given_is_chosen),
		cmocka_unit_test(what_cannot_be_given_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
