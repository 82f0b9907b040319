/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/schema/schema.h"
#include "wire/protobuf.h"

static struct arena arena;
static struct error err;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	err = (struct error){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct span from_hex(const char *hex)
{
	size_t len = strlen(hex) / 2;
	char *out = arena_alloc(&arena, len + 1, &err);

	assert_non_null(out);
	for (size_t i = 0; i < len; i++) {
		int high = hex[2 * i] <= '9' ? hex[2 * i] - '0' : hex[2 * i] - 'a' + 10;
		int low = hex[2 * i + 1] <= '9' ? hex[2 * i + 1] - '0' : hex[2 * i + 1] - 'a' + 10;

		out[i] = (char)(high * 16 + low);
	}
	return span_from(out, len);
}

/* Bodies that the Go module k8s.io/api v0.33 wrote, and its JSON of the same objects. */
static const struct {
	const char *type, *body, *json;
} bodies[] = {
	{ "io.k8s.api.core.v1.ConfigMap",
	  "6b3873000a0f0a0276311209436f6e6669674d617012370a190a016d12001a0022002a0032003800420808c0e381af061000"
	  "12050a0161120012060a01621201781a090a01631204000102ff20011a002200",
	  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"m\",\"creationTimestamp\":\"2"
	  "024-02-29T12:00:00Z\"},\"immutable\":true,\"data\":{\"a\":\"\",\"b\":\"x\"},\"binaryData\":{\"c\":\""
	  "AAEC/w==\"}}" },
	{ "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	  "6b3873000a330a17617069657874656e73696f6e732e6b38732e696f2f76311218437573746f6d5265736f75726365446566"
	  "696e6974696f6e12a7030a150a05612e622e6312001a0022002a003200380042001281030a03622e631a0a0a016112002201"
	  "412a00220a4e616d657370616365643adf020a0276311001180122d2020acf020a00120022002a066f626a65637432003a00"
	  "500060007a00900100ea0180010a0173127b0a00120022002a05617272617932003a0042100a0e5b312c7b2261223a6e756c"
	  "6c7d5d49000000000000f83f50005900000000000008c060007a00900100a201050a03226122a20100c201260a240a001200"
	  "22002a06737472696e6732003a00500060007a00900100a80200b80200c00200a80200b80200c00200ea018f010a01741289"
	  "010a00120022002a0032003a00500060007a00900100f20129080112250a00120022002a07696e746567657232003a005000"
	  "60007a00900100a80200b80200c0020082022e0a047472756512260a240a00120022002a06737472696e6732003a00500060"
	  "007a00900100a80200b80200c0020082020b0a01781206120161120162a80200b80200c00200f201020800a80200b80200c0"
	  "0200e2020c0a047472756512001a002a00380050001a0a12080a00120022002a001a002200",
	  "{\"kind\":\"CustomResourceDefinition\",\"apiVersion\":\"apiextensions.k8s.io/v1\",\"metadata\":{\"na"
	  "me\":\"a.b.c\",\"creationTimestamp\":null},\"spec\":{\"group\":\"b.c\",\"names\":{\"plural\":\"a\",\""
	  "kind\":\"A\"},\"scope\":\"Namespaced\",\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":tr"
	  "ue,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"array\",\""
	  "default\":[1,{\"a\":null}],\"maximum\":1.5,\"minimum\":-3,\"enum\":[\"a\",null],\"items\":{\"type\":"
	  "\"string\"}},\"t\":{\"additionalProperties\":{\"type\":\"integer\"},\"dependencies\":{\"true\":{\"ty"
	  "pe\":\"string\"},\"x\":[\"a\",\"b\"]}}},\"additionalProperties\":false,\"x-kubernetes-validations\":"
	  "[{\"rule\":\"true\"}]}}}]},\"status\":{\"conditions\":null,\"acceptedNames\":{\"plural\":\"\",\"kind"
	  "\":\"\"},\"storedVersions\":null}}" },
	{ "io.k8s.api.apps.v1.Deployment",
	  "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412e9020a200a0377656212001a016122002a0032003800"
	  "42005a0a0a03617070120377656212b6020800120c0a0a0a0361707012037765621af9010a1c0a0012001a0022002a003200"
	  "380042005a0a0a03617070120377656212d8010a100a0176120b9a01080a030a016d18a4030a090a0165120412020a00129a"
	  "010a016312056e67696e782a00320e0a04687474701000185022002a003a110a014112001a0a22080a030a017312016b3a05"
	  "0a0142120042210a0e0a0363707512070a05313530306d0a0f0a066d656d6f727912050a033147695a210a1512130a012f12"
	  "0a080110001a04687474701a002200100018002003280030006a0072008001008801009001009a010b0a0012070a030a016d"
	  "1000a201001a002000320042004a0052005800600068008201008a01009a0100c2010022240a0d526f6c6c696e6755706461"
	  "746512130a06080010001a001209080110001a03323525280038001a0c0800100018002000280038001a002200",
	  "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"metadata\":{\"name\":\"web\",\"namespace\":\"a"
	  "\",\"creationTimestamp\":null,\"labels\":{\"app\":\"web\"}},\"spec\":{\"replicas\":0,\"selector\":{\""
	  "matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"creationTimestamp\":null,\"labels\":{"
	  "\"app\":\"web\"}},\"spec\":{\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"m\",\"defaultMode"
	  "\":420}},{\"name\":\"e\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"por"
	  "ts\":[{\"name\":\"http\",\"containerPort\":80}],\"envFrom\":[{\"configMapRef\":{\"name\":\"m\",\"opt"
	  "ional\":false}}],\"env\":[{\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\""
	  "k\"}}},{\"name\":\"B\"}],\"resources\":{\"limits\":{\"cpu\":\"1500m\",\"memory\":\"1Gi\"}},\"readine"
	  "ssProbe\":{\"httpGet\":{\"path\":\"/\",\"port\":\"http\"},\"periodSeconds\":3}}],\"terminationGraceP"
	  "eriodSeconds\":0}},\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":0,"
	  "\"maxSurge\":\"25%\"}}},\"status\":{}}" },
	{ "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	  "6b3873000a290a0e6175746f7363616c696e672f76321217486f72697a6f6e74616c506f644175746f7363616c6572125f0a"
	  "110a016812001a0022002a0032003800420012440a1a0a0a4465706c6f796d656e7412037765621a07617070732f76311000"
	  "180522220a085265736f7572636522160a03637075120f0a0b5574696c697a6174696f6e20501a04180020001a002200",
	  "{\"kind\":\"HorizontalPodAutoscaler\",\"apiVersion\":\"autoscaling/v2\",\"metadata\":{\"name\":\"h\""
	  ",\"creationTimestamp\":null},\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"web\","
	  "\"apiVersion\":\"apps/v1\"},\"minReplicas\":0,\"maxReplicas\":5,\"metrics\":[{\"type\":\"Resource\","
	  "\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":80}}}]},\""
	  "status\":{\"desiredReplicas\":0,\"currentMetrics\":null}}" },
	{ "io.k8s.api.coordination.v1.Lease",
	  "6b3873000a1f0a16636f6f7264696e6174696f6e2e6b38732e696f2f763112054c6561736512280a110a016c12001a002200"
	  "2a0032003800420012130a026d65100f220b088081c8ac06108094ef3a1a002200",
	  "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{\"name\":\"l\",\"creatio"
	  "nTimestamp\":null},\"spec\":{\"holderIdentity\":\"me\",\"leaseDurationSeconds\":15,\"renewTime\":\"2"
	  "024-01-01T00:00:00.123456Z\"}}" },
	{ "io.k8s.api.authorization.v1.SubjectAccessReview",
	  "6b3873000a2e0a17617574686f72697a6174696f6e2e6b38732e696f2f763112135375626a65637441636365737352657669"
	  "657712560a100a0012001a0022002a0032003800420012380a150a0012036765741a0022002a04706f647332003a001a0175"
	  "2201612201622a050a016512002a0d0a016b12080a0278310a02783232001a08080012001a0020001a002200",
	  "{\"kind\":\"SubjectAccessReview\",\"apiVersion\":\"authorization.k8s.io/v1\",\"metadata\":{\"creatio"
	  "nTimestamp\":null},\"spec\":{\"resourceAttributes\":{\"verb\":\"get\",\"resource\":\"pods\"},\"user\""
	  ":\"u\",\"groups\":[\"a\",\"b\"],\"extra\":{\"e\":[],\"k\":[\"x1\",\"x2\"]}},\"status\":{\"allowed\":"
	  "false}}" },
	{ "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
	  "6b3873000a3c0a1f61646d697373696f6e726567697374726174696f6e2e6b38732e696f2f7631121956616c69646174696e"
	  "6741646d697373696f6e506f6c69637912470a110a017012001a0022002a00320038004200122e12201a1e0a017812190a06"
	  "435245415445120f0a00120276311a04706f647322012a1a0a0a0474727565120022001a0208001a002200",
	  "{\"kind\":\"ValidatingAdmissionPolicy\",\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"metadat"
	  "a\":{\"name\":\"p\",\"creationTimestamp\":null},\"spec\":{\"matchConstraints\":{\"resourceRules\":[{"
	  "\"resourceNames\":[\"x\"],\"operations\":[\"CREATE\"],\"apiGroups\":[\"\"],\"apiVersions\":[\"v1\"],"
	  "\"resources\":[\"pods\"],\"scope\":\"*\"}]},\"validations\":[{\"expression\":\"true\"}]},\"status\":"
	  "{}}" },
};

static void bodies_of_go_clients_become_the_json_of_the_same_objects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		const struct type *t = type_find(span_of(bodies[i].type));
		struct span api_version, kind, raw;
		struct value got, expected;

		assert_non_null(t);
		assert_true(kube_protobuf_open(from_hex(bodies[i].body), &api_version, &kind, &raw, &err));
		assert_true(schema_from_protobuf(t, raw, &arena, &got, &err));
		assert_non_null(value_set(&got, SPAN("apiVersion"), value_string(api_version), &arena, &err));
		assert_non_null(value_set(&got, SPAN("kind"), value_string(kind), &arena, &err));
		assert_true(schema_complete(t, &got, &arena, &err));
		assert_true(value_parse(span_of(bodies[i].json), NULL, &arena, &expected, &err));
		if (!value_equal(&got, &expected))
			assert_string_equal(value_print(&got, &arena, &err).ptr, bodies[i].json);
	}
}

/* A body cut short anywhere is refused, or is the body without its last fields; never read past its end (sanitizers look). */
static void bodies_cut_short_do_no_harm(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct span body = from_hex(bodies[i].body), api_version, kind, raw;
		const struct type *t = type_find(span_of(bodies[i].type));

		for (size_t len = 0; len < body.len; len++) {
			struct value v;

			err = (struct error){ 0 };
			if (!kube_protobuf_open(span_first(body, len), &api_version, &kind, &raw, &err) ||
			    !schema_from_protobuf(t, raw, &arena, &v, &err))
				assert_int_equal(err.code, ERROR_INVALID);
		}
	}
}

static void a_body_without_the_magic_is_refused(void **state)
{
	struct span api_version, kind, raw;

	(void)state;
	assert_false(kube_protobuf_open(SPAN("{\"a\":1}"), &api_version, &kind, &raw, &err));
	assert_int_equal(err.code, ERROR_INVALID);
}

/* A schema in a schema in a schema: {29 properties: {1 key, 2 value}} again and again. */
static void messages_too_deep_in_each_other_are_refused(void **state)
{
	const struct type *t =
	    type_find(SPAN("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"));
	const struct field *not = type_field(t, SPAN("not"));
	struct buffer message, outer;
	struct value v;

	(void)state;
	assert_non_null(not );
	buffer_init(&message, MIB(1));
	for (int i = 0; i < 1000; i++) {
		buffer_init(&outer, MIB(1));
		protobuf_write_bytes(&outer, not ->number, buffer_span(&message));
		buffer_done(&message);
		message = outer;
	}
	assert_false(schema_from_protobuf(t, buffer_span(&message), &arena, &v, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	buffer_done(&message);
}

static void unknown_fields_are_passed_over_and_parts_of_a_message_joined(void **state)
{
	const struct type *t = type_find(SPAN("io.k8s.api.core.v1.ConfigMap"));
	struct value v;

	(void)state;
	/* 100: "x"; metadata {name "a"}; metadata {namespace "b"}; data {"k": absent} */
	assert_true(schema_from_protobuf(t,
					 from_hex("a2060178"
						  "0a030a0161"
						  "0a031a0162"
						  "12030a016b"),
					 &arena, &v, &err));
	assert_string_equal(value_print(&v, &arena, &err).ptr,
			    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"},\"data\":{\"k\":\"\"}}");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(bodies_of_go_clients_become_the_json_of_the_same_objects),
		TEST(bodies_cut_short_do_no_harm),
		TEST(a_body_without_the_magic_is_refused),
		TEST(messages_too_deep_in_each_other_are_refused),
		TEST(unknown_fields_are_passed_over_and_parts_of_a_message_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
