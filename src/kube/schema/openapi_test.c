/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/schema/openapi.h"
#include "wire/protobuf.h"

static struct arena arena;
static struct error err;
static struct buffer out;

static const struct kind deployment = {
	.group = "apps",
	.version = "v1",
	.plural = "deployments",
	.singular = "deployment",
	.kind = "Deployment",
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS | SUB_SCALE,
	.type_name = "io.k8s.api.apps.v1.Deployment",
};
static const struct kind node = {
	.group = "",
	.version = "v1",
	.plural = "nodes",
	.singular = "node",
	.kind = "Node",
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.Node",
};
static const struct kind widget = {
	.group = "shop.example.com",
	.version = "v1beta1",
	.plural = "widgets",
	.singular = "widget",
	.kind = "Widget",
	.is_namespaced = true,
	.is_custom = true,
	.verbs = KUBE_ALL_VERBS,
};
static const struct kind *const kinds[] = { &node, &deployment, &widget, NULL };

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	buffer_init(&out, MIB(16));
	err = (struct error){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	buffer_done(&out);
	arena_done(&arena);
	return 0;
}

static struct value parse(void)
{
	struct value v = value_null();

	assert_true(value_parse(buffer_span(&out), NULL, &arena, &v, &err));
	return v;
}

static struct value *member(struct value *v, const char *name)
{
	struct value *m = value_get(v, span_of(name));

	assert_non_null(m);
	return m;
}

/* Every "$ref" names a schema that the document has. */
static void check_refs(const struct value *v, struct value *schemas, const char *prefix)
{
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		check_refs(value_item(v, i), schemas, prefix);
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];

		if (span_equal(m->key, SPAN("$ref")) && m->value.type == VALUE_STRING) {
			assert_true(span_starts(m->value.string, span_of(prefix)));
			assert_non_null(value_get(schemas, span_skip(m->value.string, strlen(prefix))));
		} else {
			check_refs(&m->value, schemas, prefix);
		}
	}
}

static void the_index_names_a_document_for_each_group_version(void **state)
{
	struct value v, *paths;

	(void)state;
	assert_true(openapi_v3_index(kinds, &out, &err));
	v = parse();
	paths = member(&v, "paths");
	assert_int_equal(paths->object.count, 7); /* with api, apis, version and the group apps */
	assert_true(span_starts(value_find_string(member(paths, "api/v1"), "serverRelativeURL"),
				SPAN("/openapi/v3/api/v1?hash=")));
	assert_true(span_starts(value_find_string(member(paths, "apis/apps/v1"), "serverRelativeURL"),
				SPAN("/openapi/v3/apis/apps/v1?hash=")));
	assert_non_null(member(paths, "apis/shop.example.com/v1beta1"));
}

static void a_document_has_the_paths_and_all_schemas_they_reach(void **state)
{
	struct value v, *schemas, *spec, *paths, *patch;

	(void)state;
	assert_true(openapi_v3_document(kinds, SPAN("apis/apps/v1"), &out, &err));
	v = parse();
	schemas = member(member(&v, "components"), "schemas");
	check_refs(&v, schemas, "#/components/schemas/");
	assert_null(value_get(schemas, SPAN("io.k8s.api.core.v1.Node")));
	spec = member(schemas, "io.k8s.api.core.v1.Container");
	spec = member(member(spec, "properties"), "ports");
	assert_string_equal(value_print(member(spec, "x-kubernetes-list-map-keys"), &arena, &err).ptr,
			    "[\"containerPort\",\"protocol\"]");
	assert_true(span_equal(value_find_string(spec, "x-kubernetes-patch-merge-key"), SPAN("containerPort")));
	spec = member(schemas, "io.k8s.api.apps.v1.Deployment");
	assert_string_equal(value_print(member(spec, "x-kubernetes-group-version-kind"), &arena, &err).ptr,
			    "[{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"}]");
	paths = member(&v, "paths");
	assert_int_equal(paths->object.count, 9); /* the resources, five of the kind, three to watch it */
	patch = member(member(paths, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"), "patch");
	assert_true(span_equal(value_find_string(patch, "operationId"), SPAN("patchAppsV1NamespacedDeployment")));
	assert_true(span_equal(value_find_string(patch, "x-kubernetes-group-version-kind.kind"), SPAN("Deployment")));
	assert_int_equal(member(patch, "parameters")->array.count, 4);
}

static void a_custom_kind_is_named_by_its_group_backwards(void **state)
{
	struct value v, *schemas;

	(void)state;
	assert_true(openapi_v3_document(kinds, SPAN("apis/shop.example.com/v1beta1"), &out, &err));
	v = parse();
	schemas = member(member(&v, "components"), "schemas");
	check_refs(&v, schemas, "#/components/schemas/");
	assert_non_null(member(member(member(schemas, "com.example.shop.v1beta1.Widget"), "properties"), "metadata"));
	assert_non_null(member(schemas, "com.example.shop.v1beta1.WidgetList"));
}

static void a_group_version_that_nobody_serves_is_not_found(void **state)
{
	(void)state;
	assert_false(openapi_v3_document(kinds, SPAN("apis/apps/v2"), &out, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

/* The fields of one message, counted by number. */
static size_t count_fields(struct span message, uint32_t number, struct span *ret_last)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	size_t count = 0;

	while (protobuf_next(&p, &f, &err)) {
		if (f.number == number) {
			count++;
			*ret_last = f.bytes;
		}
	}
	assert_false(p.failed);
	return count;
}

static void version_2_is_the_same_document_in_json_and_protobuf(void **state)
{
	struct value v, *definitions;
	size_t paths, types;
	struct span inner, swagger;

	(void)state;
	assert_true(openapi_v2_document(kinds, false, &out, &err));
	v = parse();
	definitions = member(&v, "definitions");
	check_refs(&v, definitions, "#/definitions/");
	paths = member(&v, "paths")->object.count;
	types = definitions->object.count;

	buffer_clear(&out);
	assert_true(openapi_v2_document(kinds, true, &out, &err));
	assert_int_equal(count_fields(buffer_span(&out), 1, &swagger), 1);
	assert_true(span_equal(swagger, SPAN("2.0")));
	assert_int_equal(count_fields(buffer_span(&out), 8, &inner), 1);
	assert_int_equal(count_fields(inner, 2, &inner), paths);
	assert_int_equal(count_fields(buffer_span(&out), 9, &inner), 1);
	assert_int_equal(count_fields(inner, 1, &inner), types);
}

static void a_document_over_the_limit_is_refused(void **state)
{
	struct buffer small;

	(void)state;
	buffer_init(&small, 1000);
	assert_false(openapi_v3_document(kinds, SPAN("apis/apps/v1"), &small, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buffer_done(&small);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(the_index_names_a_document_for_each_group_version),
		TEST(a_document_has_the_paths_and_all_schemas_they_reach),
		TEST(a_custom_kind_is_named_by_its_group_backwards),
		TEST(a_group_version_that_nobody_serves_is_not_found),
		TEST(version_2_is_the_same_document_in_json_and_protobuf),
		TEST(a_document_over_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
