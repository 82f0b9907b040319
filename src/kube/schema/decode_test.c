/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kube/schema/schema.h"

static struct arena arena;
static struct error err;
static char unknown[512];

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	err = (struct error){ 0 };
	unknown[0] = '\0';
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void note(void *context, struct span path)
{
	size_t len = strlen(unknown);

	(void)context;
	(void)snprintf(unknown + len, sizeof(unknown) - len, "%s" SPAN_FMT, len ? " " : "", SPAN_ARG(path));
}

static bool decode(const char *type, const char *text, struct value *ret)
{
	static const struct schema_report report = { .unknown = note };
	const struct type *t = type_find(span_of(type));

	assert_non_null(t);
	assert_true(value_parse(span_of(text), NULL, &arena, ret, &err));
	return schema_decode(t, ret, &report, &arena, &err);
}

static void assert_text(const struct value *v, const char *expected)
{
	struct span text = value_print(v, &arena, &err);

	assert_non_null(text.ptr);
	assert_string_equal(text.ptr, expected);
}

#define DEPLOYMENT "io.k8s.api.apps.v1.Deployment"
#define POD        "io.k8s.api.core.v1.Pod"
#define CONFIG_MAP "io.k8s.api.core.v1.ConfigMap"
#define SECRET     "io.k8s.api.core.v1.Secret"
#define LEASE      "io.k8s.api.coordination.v1.Lease"

static void values_of_a_wrong_type_are_refused_in_the_real_servers_words(void **state)
{
	static const struct {
		const char *type, *text, *message;
	} rows[] = {
		{ DEPLOYMENT, "{\"spec\":{\"replicas\":\"3\"}}",
		  "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" },
		{ DEPLOYMENT, "{\"spec\":{\"replicas\":1.5}}",
		  "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32" },
		{ DEPLOYMENT, "{\"spec\":{\"replicas\":99999999999}}",
		  "json: cannot unmarshal number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type "
		  "int32" },
		{ DEPLOYMENT, "{\"spec\":{\"replicas\":{}}}",
		  "json: cannot unmarshal object into Go struct field DeploymentSpec.spec.replicas of type int32" },
		{ DEPLOYMENT,
		  "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"ports\":[{\"containerPort\":\"a\"}]}]}}}}",
		  "json: cannot unmarshal string into Go struct field "
		  "ContainerPort.spec.template.spec.containers.ports.containerPort of type int32" },
		{ DEPLOYMENT, "{\"spec\":{\"template\":{\"spec\":{\"containers\":{}}}}}",
		  "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type "
		  "[]v1.Container" },
		{ DEPLOYMENT, "{\"spec\":{\"template\":{\"spec\":[]}}}",
		  "json: cannot unmarshal array into Go struct field PodTemplateSpec.spec.template.spec of type "
		  "v1.PodSpec" },
		{ DEPLOYMENT, "{\"spec\":{\"template\":{\"spec\":{\"containers\":[\"x\"]}}}}",
		  "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.containers of type "
		  "v1.Container" },
		{ DEPLOYMENT, "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"imagePullPolicy\":3}]}}}}",
		  "json: cannot unmarshal number into Go struct field "
		  "Container.spec.template.spec.containers.imagePullPolicy of type v1.PullPolicy" },
		{ DEPLOYMENT, "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"a\":1}}}}}",
		  "json: cannot unmarshal number into Go struct field ObjectMeta.spec.template.metadata.labels of type "
		  "string" },
		{ DEPLOYMENT, "{\"spec\":{\"template\":{\"metadata\":{\"labels\":\"a\"}}}}",
		  "json: cannot unmarshal string into Go struct field ObjectMeta.spec.template.metadata.labels of type "
		  "map[string]string" },
		{ DEPLOYMENT, "{\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":true}}}}",
		  "json: cannot unmarshal bool into Go struct field "
		  "RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32" },
		{ POD, "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"abc\"}}}]}}",
		  "quantities must match the regular expression "
		  "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
		{ POD, "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1Kk\"}}}]}}",
		  "unable to parse quantity's suffix" },
		{ POD, "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":[]}}]}}",
		  "json: cannot unmarshal array into Go struct field "
		  "ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList" },
		{ CONFIG_MAP, "{\"data\":{\"a\":1}}",
		  "json: cannot unmarshal number into Go struct field ConfigMap.data of type string" },
		{ CONFIG_MAP, "{\"binaryData\":{\"a\":1}}",
		  "json: cannot unmarshal number into Go struct field ConfigMap.binaryData of type []uint8" },
		{ CONFIG_MAP, "{\"binaryData\":{\"a\":\"&&&\"}}", "illegal base64 data at input byte 0" },
		{ SECRET, "{\"data\":{\"a\":\"YQ\"}}", "illegal base64 data at input byte 0" },
		{ SECRET, "{\"data\":{\"a\":\"YWJjYQ=\"}}", "illegal base64 data at input byte 7" },
		{ CONFIG_MAP, "{\"metadata\":{\"creationTimestamp\":\"x\"}}",
		  "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"" },
		{ CONFIG_MAP, "{\"metadata\":{\"creationTimestamp\":\"2024-13-01T00:00:00Z\"}}",
		  "parsing time \"2024-13-01T00:00:00Z\": month out of range" },
		{ CONFIG_MAP, "{\"metadata\":{\"creationTimestamp\":\"2023-02-29T00:00:00Z\"}}",
		  "parsing time \"2023-02-29T00:00:00Z\": day out of range" },
		{ CONFIG_MAP, "{\"metadata\":{\"creationTimestamp\":5}}",
		  "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type "
		  "string" },
		{ CONFIG_MAP, "{\"metadata\":[]}",
		  "json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct value v;

		err = (struct error){ 0 };
		assert_false(decode(rows[i].type, rows[i].text, &v));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.message, rows[i].message);
	}
}

static void unknown_members_are_told_with_their_paths_and_dropped(void **state)
{
	struct value v;

	(void)state;
	assert_true(
	    decode(POD,
		   "{\"x\":1,\"spec\":{\"containers\":[{\"name\":\"a\"},{\"y\":{\"z\":1},\"ports\":[{\"q\":1}]}],"
		   "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"w\":2}}]},\"Spec\":{}}",
		   &v));
	assert_string_equal(unknown,
			    "x spec.containers[1].y spec.containers[1].ports[0].q spec.volumes[0].emptyDir.w Spec");
	assert_text(&v, "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"ports\":[{}]}],"
			"\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}");
}

static void a_member_decoded_alone_is_told_with_its_place(void **state)
{
	static const struct schema_report report = { .unknown = note, .prefix = SPAN_INIT("metadata") };
	struct value v;

	(void)state;
	assert_true(value_parse(SPAN("{\"a\":1,\"ownerReferences\":[{\"b\":1}]}"), NULL, &arena, &v, &err));
	assert_true(schema_decode(type_find(SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")), &v, &report,
				  &arena, &err));
	assert_string_equal(unknown, "metadata.a metadata.ownerReferences[0].b");
}

static void nulls_are_dropped_and_become_zeros_in_lists_and_maps(void **state)
{
	struct value v;

	(void)state;
	assert_true(
	    decode(POD,
		   "{\"metadata\":{\"creationTimestamp\":null,\"labels\":{\"a\":null}},\"spec\":{\"nodeName\":null,"
		   "\"containers\":[null,{\"command\":[null]}]}}",
		   &v));
	assert_text(&v, "{\"metadata\":{\"labels\":{\"a\":\"\"}},\"spec\":{\"containers\":[{},{\"command\":[\"\"]}]}}");
	assert_string_equal(unknown, "");
}

static void scalars_get_their_canonical_form(void **state)
{
	struct value v;

	(void)state;
	assert_true(decode(POD,
			   "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":1.5,\"memory\":\"1024Mi\","
			   "\"pods\":3,\"a\":\"1000m\"}}}]}}",
			   &v));
	assert_text(&v, "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1500m\",\"memory\":\"1Gi\","
			"\"pods\":\"3\",\"a\":\"1\"}}}]}}");
	assert_true(decode(SECRET,
			   "{\"metadata\":{\"creationTimestamp\":\"2024-01-01T00:00:00.5+02:00\"},"
			   "\"data\":{\"a\":\"YW\\nJj\"}}",
			   &v));
	assert_text(&v, "{\"metadata\":{\"creationTimestamp\":\"2023-12-31T22:00:00Z\"},\"data\":{\"a\":\"YWJj\"}}");
	assert_true(decode(LEASE, "{\"spec\":{\"renewTime\":\"2024-02-29T23:59:59.000001-00:30\"}}", &v));
	assert_text(&v, "{\"spec\":{\"renewTime\":\"2024-03-01T00:29:59.000001Z\"}}");
}

static void schemas_stand_where_lists_and_booleans_may(void **state)
{
	struct value v;

	(void)state;
	assert_true(decode(
	    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
	    "{\"type\":\"object\",\"additionalProperties\":false,\"items\":[{\"type\":\"string\"}],\"enum\":[null,1],"
	    "\"properties\":{\"a\":{\"additionalProperties\":{\"type\":\"string\"},\"u\":1}}}",
	    &v));
	assert_string_equal(unknown, "properties.a.u");
	assert_text(
	    &v,
	    "{\"type\":\"object\",\"additionalProperties\":false,\"items\":[{\"type\":\"string\"}],\"enum\":[null,1],"
	    "\"properties\":{\"a\":{\"additionalProperties\":{\"type\":\"string\"}}}}");
	assert_false(decode("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
			    "{\"additionalProperties\":1}", &v));
	assert_string_equal(err.message, "boolean or JSON schema expected");
}

/* As the real server answers them but for what it sets itself. */
static void a_completed_object_has_what_gos_structs_have(void **state)
{
	struct value v;

	(void)state;
	assert_true(decode(DEPLOYMENT,
			   "{\"metadata\":{\"name\":\"a\",\"labels\":{},\"namespace\":\"\"},\"spec\":{\"replicas\":0,"
			   "\"paused\":false,\"template\":{\"spec\":{\"containers\":[{\"command\":[]}]}}}}",
			   &v));
	assert_true(schema_complete(type_find(SPAN(DEPLOYMENT)), &v, &arena, &err));
	assert_text(&v, "{\"metadata\":{\"name\":\"a\",\"creationTimestamp\":null},\"spec\":{\"replicas\":0,"
			"\"template\":{\"spec\":{\"containers\":[{\"name\":\"\",\"resources\":{}}]},"
			"\"metadata\":{\"creationTimestamp\":null}},\"selector\":null,\"strategy\":{}},\"status\":{}}");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(values_of_a_wrong_type_are_refused_in_the_real_servers_words),
		TEST(unknown_members_are_told_with_their_paths_and_dropped),
		TEST(a_member_decoded_alone_is_told_with_its_place),
		TEST(nulls_are_dropped_and_become_zeros_in_lists_and_maps),
		TEST(scalars_get_their_canonical_form),
		TEST(schemas_stand_where_lists_and_booleans_may),
		TEST(a_completed_object_has_what_gos_structs_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
