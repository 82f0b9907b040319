/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/admission/hooks.h"
#include "kube/admission/quota.h"
#include "kube/admission/review.h"
#include "kube/crd/convert.h"

static struct value *parse(struct arena *arena, const char *text)
{
	struct error err = { 0 };
	struct value *v = ARENA_NEW(arena, struct value, &err);

	assert_true(value_parse(span_of(text), NULL, arena, v, &err));
	return v;
}

static const struct kind *kind_of(const char *plural)
{
	for (size_t i = 0; kinds_table[i]; i++)
		if (strcmp(kinds_table[i]->plural, plural) == 0)
			return kinds_table[i];
	return NULL;
}

static void assert_printed(const struct resources *list, const char *text, struct arena *arena)
{
	struct span s = resources_print(list, NULL, arena);

	assert_true(s.len < 400);
	assert_string_equal(arena_print(arena, &(struct error){ 0 }, "%.*s", (int)s.len, s.ptr).ptr, text);
}

/* ---- resources ---- */

static void sums_keep_the_form_of_their_first_part(void **state)
{
	static const struct {
		const char *a, *b, *sum;
	} rows[] = { { "100m", "200m", "x=300m" },   { "0", "512Mi", "x=512Mi" }, { "512Mi", "512Mi", "x=1Gi" },
		     { "1", "1Gi", "x=1073741825" }, { "900m", "100m", "x=1" },   { "1Gi", "1", "x=1073741825" } };
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resources list = resources_new(&arena);
		struct quantity a, b;

		assert_true(quantity_read(span_of(rows[i].a), &a));
		assert_true(quantity_read(span_of(rows[i].b), &b));
		resources_add(&list, SPAN("x"), a);
		resources_add(&list, SPAN("x"), b);
		assert_printed(&list, rows[i].sum, &arena);
	}
	arena_done(&arena);
}

static void a_pod_asks_for_its_containers_or_for_its_largest_init_container(void **state)
{
	static const struct {
		const char *spec, *sum;
	} rows[] = {
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}},{\"resources\":{\"requests\":{"
		  "\"cpu\":\"2\"}}}]}",
		  "cpu=3" },
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"initContainers\":[{\"resources\":"
		  "{\"requests\":"
		  "{\"cpu\":\"5\"}}},{\"resources\":{\"requests\":{\"cpu\":\"4\"}}}]}",
		  "cpu=5" },
		/* One that stays counts beside the containers and beside what comes after it. */
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"initContainers\":[{"
		  "\"restartPolicy\":\"Always\","
		  "\"resources\":{\"requests\":{\"cpu\":\"2\"}}},{\"resources\":{\"requests\":{\"cpu\":\"4\"}}}]}",
		  "cpu=6" },
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}],\"overhead\":{\"cpu\":\"100m\"}}",
		  "cpu=1100m" },
		{ "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\",\"x/"
		  "y\":\"1\"}}}],\"resources\":{\"requests\":{"
		  "\"cpu\":\"9\"}}}",
		  "cpu=9,x/y=1" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resources sum = pod_resources(parse(&arena, rows[i].spec), POD_REQUESTS, true, &arena);

		assert_printed(&sum, rows[i].sum, &arena);
	}
	arena_done(&arena);
}

/* ---- quotas ---- */

static void objects_use_what_the_real_server_counts(void **state)
{
	static const struct {
		const char *plural, *object, *used;
	} rows[] = {
		{ "configmaps", "{}", "configmaps=1,count/configmaps=1" },
		{ "deployments", "{}", "count/deployments.apps=1" },
		{ "services", "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{},{}]}}",
		  "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2" },
		{ "services",
		  "{\"spec\":{\"type\":\"LoadBalancer\",\"allocateLoadBalancerNodePorts\":false,\"ports\":[{"
		  "\"nodePort\":30000},{}]}}",
		  "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1" },
		{ "persistentvolumeclaims",
		  "{\"spec\":{\"storageClassName\":\"gold\",\"resources\":{\"requests\":{\"storage\":\"1500m\"}}}}",
		  "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,"
		  "gold.storageclass.storage.k8s.io/requests.storage=2,persistentvolumeclaims=1,requests.storage=2" },
		{ "pods",
		  "{\"spec\":{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\",\"a.test/"
		  "gpu\":\"2\"},\"limits\":{\"memory\":"
		  "\"1Gi\"}}}]}}",
		  "count/pods=1,cpu=1,limits.memory=1Gi,pods=1,requests.a.test/gpu=2,requests.cpu=1" },
		{ "pods", "{\"spec\":{\"containers\":[]},\"status\":{\"phase\":\"Succeeded\"}}", "count/pods=1" },
		{ "pods",
		  "{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"deletionGracePeriodSeconds\":30}}",
		  "count/pods=1" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resources used = usage_of(kind_of(rows[i].plural), parse(&arena, rows[i].object),
						 INT64_C(1800000000) * NS_PER_S, &arena);

		assert_printed(&used, rows[i].used, &arena);
		for (size_t k = 0; k < used.count; k++)
			assert_true(usage_counts(kind_of(rows[i].plural), used.items[k].name));
	}
	assert_false(usage_counts(kind_of("configmaps"), SPAN("pods")));
	assert_false(usage_counts(kind_of("deployments"), SPAN("deployments")));
	assert_false(usage_counts(kind_of("pods"), SPAN("requests.storage")));
	arena_done(&arena);
}

static void scopes_hold_for_the_pods_they_name(void **state)
{
	static const struct {
		const char *quota, *pod;
		bool is_in;
	} rows[] = {
		{ "{\"spec\":{}}", "{\"spec\":{}}", true },
		{ "{\"spec\":{\"scopes\":[\"Terminating\"]}}", "{\"spec\":{}}", false },
		{ "{\"spec\":{\"scopes\":[\"Terminating\"]}}", "{\"spec\":{\"activeDeadlineSeconds\":0}}", true },
		{ "{\"spec\":{\"scopes\":[\"BestEffort\",\"NotTerminating\"]}}", "{\"spec\":{\"containers\":[{}]}}",
		  true },
		{ "{\"spec\":{\"scopes\":[\"BestEffort\"]}}",
		  "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]}}", false },
		{ "{\"spec\":{\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"PriorityClass\",\"operator\":"
		  "\"In\",\"values\":"
		  "[\"high\"]}]}}}",
		  "{\"spec\":{\"priorityClassName\":\"high\"}}", true },
		{ "{\"spec\":{\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"PriorityClass\",\"operator\":"
		  "\"NotIn\","
		  "\"values\":[\"high\"]}]}}}",
		  "{\"spec\":{\"priorityClassName\":\"high\"}}", false },
		{ "{\"spec\":{\"scopes\":[\"CrossNamespacePodAffinity\"]}}",
		  "{\"spec\":{\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{"
		  "\"namespaces\":[\"x\"]}]"
		  "}}}}",
		  true },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    usage_is_in_scope(kind_of("pods"), parse(&arena, rows[i].quota), parse(&arena, rows[i].pod)),
		    rows[i].is_in);
	arena_done(&arena);
}

/* ---- webhooks ---- */

static void rules_match_groups_versions_operations_resources_and_scope(void **state)
{
#define RULE(groups, versions, operations, resources, scope)                                                           \
	"{\"apiGroups\":[" groups "],\"apiVersions\":[" versions "],\"operations\":[" operations                       \
	"],\"resources\":[" resources "],\"scope\":\"" scope "\"}"
	static const struct {
		const char *rule, *plural, *subresource, *operation;
		bool has_namespace, matches;
	} rows[] = {
		{ RULE("\"*\"", "\"*\"", "\"*\"", "\"*/*\"", "*"), "pods", "status", "UPDATE", true, true },
		{ RULE("\"\"", "\"v1\"", "\"CREATE\"", "\"pods\"", "*"), "pods", "", "CREATE", true, true },
		{ RULE("\"\"", "\"v1\"", "\"CREATE\"", "\"pods\"", "*"), "pods", "status", "CREATE", true, false },
		{ RULE("\"\"", "\"v1\"", "\"CREATE\"", "\"pods/*\"", "*"), "pods", "binding", "CREATE", true, true },
		{ RULE("\"\"", "\"v1\"", "\"CREATE\"", "\"*\"", "*"), "pods", "binding", "CREATE", true, false },
		{ RULE("\"\"", "\"v1\"", "\"DELETE\"", "\"*\"", "*"), "pods", "", "CREATE", true, false },
		{ RULE("\"apps\"", "\"v1\"", "\"*\"", "\"*\"", "*"), "pods", "", "CREATE", true, false },
		{ RULE("\"apps\"", "\"v1\",\"v2\"", "\"*\"", "\"*\"", "*"), "deployments", "", "UPDATE", true, true },
		{ RULE("\"apps\"", "\"v2\"", "\"*\"", "\"*\"", "*"), "deployments", "", "UPDATE", true, false },
		{ RULE("\"*\"", "\"*\"", "\"*\"", "\"*\"", "Cluster"), "pods", "", "CREATE", true, false },
		{ RULE("\"*\"", "\"*\"", "\"*\"", "\"*\"", "Cluster"), "nodes", "", "CREATE", false, true },
		{ RULE("\"*\"", "\"*\"", "\"*\"", "\"*\"", "Namespaced"), "nodes", "", "CREATE", false, false },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(hook_rule_matches(parse(&arena, rows[i].rule), kind_of(rows[i].plural),
						   span_of(rows[i].subresource), span_of(rows[i].operation),
						   rows[i].has_namespace),
				 rows[i].matches);
	arena_done(&arena);
}

static void selectors_match_labels(void **state)
{
	static const struct {
		const char *selector, *labels;
		bool matches;
	} rows[] = {
		{ "{}", "{}", true },
		{ "{\"matchLabels\":{\"a\":\"b\"}}", "{\"a\":\"b\"}", true },
		{ "{\"matchLabels\":{\"a\":\"b\"}}", "{\"a\":\"c\"}", false },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"x\",\"y\"]}]}",
		  "{\"a\":\"y\"}", true },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"x\"]}]}", "{}", true },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"x\"]}]}", "{\"a\":\"x\"}",
		  false },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}]}", "{}", false },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"DoesNotExist\"}]}", "{}", true },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(label_selector_matches(parse(&arena, rows[i].selector), parse(&arena, rows[i].labels)),
				 rows[i].matches);
	arena_done(&arena);
}

static void answers_that_do_not_fit_are_refused_and_leave_the_output_alone(void **state)
{
#define REVIEW(response)                                                                                               \
	"{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":" response "}"
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "5", "couldn't get version/kind" },
		{ REVIEW("null"), "webhook response was absent" },
		{ REVIEW("{\"uid\":\"v\"}"), "expected response.uid=\"u\", got \"v\"" },
		{ REVIEW("{\"uid\":\"u\",\"allowed\":\"yes\"}"), "response.allowed" },
		{ REVIEW("{\"uid\":\"u\",\"allowed\":true,\"patch\":\"W10=\"}"), "not response.patchType" },
		{ REVIEW("{\"uid\":\"u\",\"allowed\":true,\"patchType\":\"JSONPatch\"}"), "not response.patch" },
		{ REVIEW("{\"uid\":\"u\",\"allowed\":true,\"patch\":\"e30=\",\"patchType\":\"JSONPatch\"}"),
		  "cannot unmarshal" },
		{ REVIEW("{\"uid\":\"u\",\"allowed\":true,\"patch\":\"W10=\",\"patchType\":\"Merge\"}"),
		  "unsupported patch type" },
		{ REVIEW("{\"uid\":\"u\",\"warnings\":[5]}"), "response.warnings" },
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct review_answer answer = { .is_allowed = true };
		struct error err = { 0 };

		assert_false(review_read(span_of(rows[i].text), "v1", SPAN("u"), true, &arena, &answer, &err));
		assert_non_null(strstr(err.message, rows[i].why));
		assert_true(answer.is_allowed && !answer.patch);
	}
	arena_done(&arena);
}

static void a_converted_object_keeps_the_metadata_that_is_not_the_webhooks(void **state)
{
	struct arena arena;
	struct error err = { 0 };
	const struct value *made;

	(void)state;
	arena_init(&arena, MIB(1));
	made = convert_take(
	    parse(&arena, "{\"apiVersion\":\"a.test/"
			  "v1\",\"kind\":\"K\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"labels\":{\"a\":\"b\"},"
			  "\"finalizers\":[\"x/y\"]}}"),
	    parse(&arena, "{\"apiVersion\":\"a.test/"
			  "v2\",\"kind\":\"K\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"annotations\":{"
			  "\"c\":\"d\"}},\"spec\":1}"),
	    SPAN("a.test/v2"), &arena, &err);
	assert_non_null(made);
	assert_true(value_equal(
	    made,
	    parse(&arena, "{\"apiVersion\":\"a.test/v2\",\"kind\":\"K\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\","
			  "\"finalizers\":[\"x/y\"],\"annotations\":{\"c\":\"d\"}},\"spec\":1}")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_keep_the_form_of_their_first_part),
		cmocka_unit_test(a_pod_asks_for_its_containers_or_for_its_largest_init_container),
		cmocka_unit_test(objects_use_what_the_real_server_counts),
		cmocka_unit_test(scopes_hold_for_the_pods_they_name),
		cmocka_unit_test(rules_match_groups_versions_operations_resources_and_scope),
		cmocka_unit_test(selectors_match_labels),
		cmocka_unit_test(answers_that_do_not_fit_are_refused_and_leave_the_output_alone),
		cmocka_unit_test(a_converted_object_keeps_the_metadata_that_is_not_the_webhooks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
