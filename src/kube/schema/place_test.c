/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/schema/schema.h"

/* Walks "spec.template.spec.containers[]": members, and items of lists. */
static struct place walk(const char *type, const char *path)
{
	struct place p = place_of_type(type_find(span_of(type)));
	struct span rest = span_of(path);

	assert_non_null(p.type);
	while (rest.len) {
		struct span part = span_cut(&rest, '.');
		bool is_item = span_ends(part, SPAN("[]"));

		p = place_member(p, is_item ? span_first(part, part.len - 2) : part);
		if (is_item)
			p = place_item(p);
	}
	return p;
}

#define POD        "io.k8s.api.core.v1.Pod"
#define DEPLOYMENT "io.k8s.api.apps.v1.Deployment"
#define SERVICE    "io.k8s.api.core.v1.Service"

static void every_type_is_found_by_its_name_and_every_field_in_its_type(void **state)
{
	(void)state;
	assert_true(type_count() > 500);
	for (size_t i = 0; i < type_count(); i++) {
		const struct type *t = type_at(i);

		assert_ptr_equal(type_find(span_of(t->name)), t);
		for (size_t f = 0; f < t->count; f++) {
			assert_ptr_equal(type_field(t, t->fields[f].name), &t->fields[f]);
			assert_int_equal(!!t->fields[f].type, t->fields[f].kind == FIELD_OBJECT ||
								  t->fields[f].kind >= FIELD_SCHEMA_OR_ARRAY);
			if (t->fields[f].list == LIST_MAP)
				assert_non_null(t->fields[f].list_keys);
		}
		assert_null(type_field(t, SPAN("")));
	}
	assert_null(type_find(SPAN("io.k8s.api.core.v1.Po")));
	assert_null(type_at(type_count()));
}

static void lists_are_merged_as_kubernetes_says(void **state)
{
	static const struct {
		const char *type, *path;
		enum list_kind list;
		const char *keys;
		bool merges;
		const char *merge_key;
	} rows[] = {
		{ POD, "spec.containers", LIST_MAP, "name", true, "name" },
		{ POD, "spec.containers[].ports", LIST_MAP, "containerPort,protocol", true, "containerPort" },
		{ POD, "spec.containers[].env", LIST_MAP, "name", true, "name" },
		{ POD, "spec.containers[].command", LIST_ATOMIC, "", false, NULL },
		{ POD, "spec.tolerations", LIST_ATOMIC, "", false, NULL },
		{ POD, "spec.hostAliases", LIST_MAP, "ip", true, "ip" },
		{ POD, "metadata.finalizers", LIST_SET, "", true, "" },
		{ POD, "metadata.ownerReferences", LIST_MAP, "uid", true, "uid" },
		{ SERVICE, "spec.ports", LIST_MAP, "port,protocol", true, "port" },
		{ DEPLOYMENT, "spec.template.spec.volumes", LIST_MAP, "name", true, "name" },
		{ DEPLOYMENT, "spec.unknown", LIST_ATOMIC, "", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct place p = walk(rows[i].type, rows[i].path);
		struct span keys[LIST_KEYS_MAX], rest = span_of(rows[i].keys), merge_key = SPAN("unset");
		const char *defaults[LIST_KEYS_MAX];
		size_t count = place_list_keys(p, keys, defaults);

		assert_int_equal(place_list(p), rows[i].list);
		for (size_t k = 0; k < count; k++)
			assert_true(span_equal(keys[k], span_cut(&rest, ',')));
		assert_int_equal(rest.len, 0);
		assert_int_equal(place_merges(p, &merge_key), rows[i].merges);
		if (rows[i].merges)
			assert_true(span_equal(merge_key, span_of(rows[i].merge_key)));
	}
}

static void a_key_may_have_a_default(void **state)
{
	struct span keys[LIST_KEYS_MAX];
	const char *defaults[LIST_KEYS_MAX];

	(void)state;
	assert_int_equal(place_list_keys(walk(POD, "spec.containers[].ports"), keys, defaults), 2);
	assert_null(defaults[0]);
	assert_string_equal(defaults[1], "\"TCP\"");
}

static void some_objects_are_owned_as_a_whole(void **state)
{
	(void)state;
	assert_true(place_is_atomic(walk(SERVICE, "spec.selector")));
	assert_true(place_is_atomic(walk(DEPLOYMENT, "spec.selector")));
	assert_true(place_is_atomic(walk(POD, "spec.nodeSelector")));
	assert_false(place_is_atomic(walk(POD, "metadata.labels")));
	assert_false(place_is_atomic(walk(POD, "spec")));
	assert_true(place_retains_keys(walk(DEPLOYMENT, "spec.strategy")));
	assert_true(place_retains_keys(walk(POD, "spec.volumes")));
	assert_false(place_retains_keys(walk(POD, "spec.containers")));
}

static void values_of_maps_have_the_maps_type(void **state)
{
	struct place p =
	    walk("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps", "properties.a");

	(void)state;
	assert_non_null(p.type);
	assert_ptr_equal(p.type,
			 type_find(SPAN("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")));
	/* A schema that may be a list is walked as a schema. */
	assert_ptr_equal(place_member(place_member(p, SPAN("items")), SPAN("not")).type, p.type);
	assert_null(walk(POD, "metadata.labels.a").type);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_found_by_its_name_and_every_field_in_its_type),
		cmocka_unit_test(lists_are_merged_as_kubernetes_says),
		cmocka_unit_test(a_key_may_have_a_default),
		cmocka_unit_test(some_objects_are_owned_as_a_whole),
		cmocka_unit_test(values_of_maps_have_the_maps_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
