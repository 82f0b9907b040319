/* SPDX-License-Identifier: Apache-2.0 */
/* endpointslice_test - which pods stand behind a Service, and how they are told. */
#include "controllers/kit.h"

#include <stdio.h>

static const char *const only[] = { "endpointslice-controller", NULL };

static void pod(struct kit *k, const char *name, const char *labels, const char *ports)
{
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{%s}},'spec':{"
	    "'containers':[{'name':'main','image':'x','ports':[%s]}]}}",
	    name, labels, ports);
}

static void runs_at(struct kit *k, const char *name, const char *address, bool is_ready)
{
	char status[512];

	snprintf(
	    status, sizeof(status),
	    "{\"phase\":\"Running\",\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}],\"conditions\":[{\"type\":\"Ready\","
	    "\"status\":\"%s\"}]}",
	    address, address, is_ready ? "True" : "False");
	kit_status(k, &resource_pods, name, status);
}

static void service(struct kit *k, const char *more, const char *port)
{
	kit_apply(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default','labels':{'a':'b'}},"
	    "'spec':{%s'selector':{'app':'web'},'ports':[%s]}}",
	    more, port);
}

/* "10.0.0.1:80 ready, ..." of all slices, in their order. */
static const char *told(struct kit *k)
{
	static char text[8192];
	const struct value *slices = kit_list(k, &resource_endpoint_slices);
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < value_count(slices); i++) {
		const struct value *s = value_item(slices, i), *list = value_find(s, "endpoints"),
				   *ports = value_find(s, "ports");
		long long port = value_count(ports) ? (long long)value_find_int(value_item(ports, 0), "port", 0) : 0;

		len += (size_t)snprintf(text + len, sizeof(text) - len, "[");
		for (uint32_t j = 0; j < value_count(list); j++) {
			const struct value *e = value_item(list, j);

			len +=
			    (size_t)snprintf(text + len, sizeof(text) - len, "%s" SPAN_FMT ":%lld%s%s%s", j ? " " : "",
					     SPAN_ARG(value_item(value_find(e, "addresses"), 0)->string), port,
					     value_find_bool(e, "conditions.ready") ? "R" : "",
					     value_find_bool(e, "conditions.serving") ? "S" : "",
					     value_find_bool(e, "conditions.terminating") ? "T" : "");
		}
		len += (size_t)snprintf(text + len, sizeof(text) - len, "]");
	}
	return text;
}

static void a_service_without_pods_has_an_empty_slice(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *slice;

	(void)state;
	service(k, "", "{'port':80}");
	assert_string_equal(told(k), "[]");
	slice = value_item(kit_list(k, &resource_endpoint_slices), 0);
	assert_true(span_starts(object_name(slice), SPAN("web-")));
	assert_true(span_equal(object_label(slice, "kubernetes.io/service-name"), SPAN("web")));
	assert_true(span_equal(object_label(slice, "endpointslice.kubernetes.io/managed-by"),
			       SPAN("endpointslice-controller.k8s.io")));
	assert_true(span_equal(object_label(slice, "a"), SPAN("b")));
	assert_true(object_controller(slice).len > 0);
	kit_done(k);
}

static void pods_come_and_go(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	service(k, "", "{'port':80,'targetPort':8000}");
	pod(k, "one", "'app':'web'", "");
	pod(k, "other", "'app':'db'", "");
	assert_string_equal(told(k), "[]");
	runs_at(k, "one", "10.0.0.1", false);
	runs_at(k, "other", "10.0.0.9", true);
	assert_string_equal(told(k), "[10.0.0.1:8000]");
	runs_at(k, "one", "10.0.0.1", true);
	assert_string_equal(told(k), "[10.0.0.1:8000RS]");
	kit_label(k, &resource_pods, "one", "app", "db");
	assert_string_equal(told(k), "[]");
	kit_label(k, &resource_pods, "one", "app", "web");
	assert_string_equal(told(k), "[10.0.0.1:8000RS]");
	kit_delete(k, &resource_pods, "one");
	assert_string_equal(told(k), "[]");
	kit_delete(k, &resource_services, "web");
	kit_settle(k);
	assert_string_equal(told(k), "");
	kit_done(k);
}

static void ports_by_name_may_differ_from_pod_to_pod(void **state)
{
	struct kit *k = kit_new(only);
	const char *first, *second;

	(void)state;
	service(k, "", "{'port':80,'targetPort':'http'}");
	pod(k, "one", "'app':'web'", "{'name':'http','containerPort':8000}");
	pod(k, "two", "'app':'web'", "{'name':'http','containerPort':9000}");
	pod(k, "three", "'app':'web'", "{'name':'http','containerPort':8000}");
	runs_at(k, "one", "10.0.0.1", true);
	runs_at(k, "two", "10.0.0.2", true);
	runs_at(k, "three", "10.0.0.3", true);
	first = "[10.0.0.1:8000RS 10.0.0.3:8000RS]";
	second = "[10.0.0.2:9000RS]";
	assert_non_null(strstr(told(k), first));
	assert_non_null(strstr(told(k), second));
	assert_int_equal(strlen(told(k)), strlen(first) + strlen(second));
	kit_done(k);
}

static void pods_that_are_not_ready_may_be_told_as_such(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	service(k, "'publishNotReadyAddresses':true,", "{'port':80}");
	pod(k, "one", "'app':'web'", "");
	runs_at(k, "one", "10.0.0.1", false);
	assert_string_equal(told(k), "[10.0.0.1:80R]");
	kit_done(k);
}

static void slices_hold_a_hundred(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *slices;
	uint32_t most = 0, sum = 0;

	(void)state;
	for (int i = 0; i < 150; i++) {
		char name[16], address[32];

		snprintf(name, sizeof(name), "p%d", i);
		snprintf(address, sizeof(address), "10.0.0.%d", i + 1);
		pod(k, name, "'app':'web'", "");
		runs_at(k, name, address, true);
	}
	service(k, "", "{'port':80}");
	slices = kit_list(k, &resource_endpoint_slices);
	assert_int_equal(value_count(slices), 2);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t count = value_count(value_find(value_item(slices, i), "endpoints"));

		most = MAX(most, count);
		sum += count;
	}
	assert_int_equal(most, 100);
	assert_int_equal(sum, 150);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_without_pods_has_an_empty_slice),
		cmocka_unit_test(pods_come_and_go),
		cmocka_unit_test(ports_by_name_may_differ_from_pod_to_pod),
		cmocka_unit_test(pods_that_are_not_ready_may_be_told_as_such),
		cmocka_unit_test(slices_hold_a_hundred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
