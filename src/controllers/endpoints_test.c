/* SPDX-License-Identifier: Apache-2.0 */
/* endpoints_test - the addresses behind a Service as Endpoints tell them, and slices for those written by hand. */
#include "controllers/kit.h"

#include <stdio.h>

static const char *const only[] = { "endpoints-controller", NULL };
static const char *const mirror[] = { "endpointslice-mirroring-controller", NULL };

static void state_set(struct kit *k, const char *name, const char *address, const char *since, bool is_ready)
{
	char status[512];

	snprintf(
	    status, sizeof(status),
	    "{\"phase\":\"Running\",\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}],\"conditions\":[{\"type\":\"Ready\","
	    "\"status\":\"%s\",\"lastTransitionTime\":\"%s\"}]}",
	    address, address, is_ready ? "True" : "False", since);
	kit_status(k, &resource_pods, name, status);
}

static void pod_make(struct kit *k, const char *name, const char *ports)
{
	kit_apply(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{'app':'web'}},"
	    "'spec':{'nodeName':'n1','containers':[{'name':'main','image':'x','ports':[%s]}]}}",
	    name, ports);
}

static void pod(struct kit *k, const char *name, const char *address, const char *since, bool is_ready,
		const char *ports)
{
	pod_make(k, name, ports);
	state_set(k, name, address, since, is_ready);
}

static void service(struct kit *k, const char *spec)
{
	kit_apply(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default','labels':{'a':'b'}},"
	    "'spec':{%s}}",
	    spec);
}

#define SELECTOR "'selector':{'app':'web'}"

static size_t list_print(char *text, size_t size, const struct value *list, const char *mark)
{
	size_t len = 0;

	for (uint32_t i = 0; i < value_count(list); i++)
		len += (size_t)snprintf(text + len, size - len, "%s" SPAN_FMT " ", mark,
					SPAN_ARG(value_find_string(value_item(list, i), "ip")));
	return len;
}

/* "[10.0.0.1 -10.0.0.2 :80 :81]": not ready ones with a dash. */
static const char *told(struct kit *k)
{
	static char text[8192];
	const struct value *e = kit_get(k, &resource_endpoints, "web"), *subsets = value_find(e, "subsets");
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < value_count(subsets); i++) {
		const struct value *s = value_item(subsets, i), *ports = value_find(s, "ports");

		len += (size_t)snprintf(text + len, sizeof(text) - len, "[");
		len += list_print(text + len, sizeof(text) - len, value_find(s, "addresses"), "");
		len += list_print(text + len, sizeof(text) - len, value_find(s, "notReadyAddresses"), "-");
		for (uint32_t j = 0; j < value_count(ports); j++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ":%lld",
						(long long)value_find_int(value_item(ports, j), "port", 0));
		len += (size_t)snprintf(text + len, sizeof(text) - len, "]");
	}
	return e ? text : "none";
}

#define EARLY "2027-01-01T00:00:00Z"
#define LATE  "2027-01-02T00:00:00Z"
#define NEW   "2027-01-03T00:00:00Z"

static void addresses_that_share_their_ports_share_a_subset(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *e, *a;

	(void)state;
	service(k, SELECTOR ",'ports':[{'name':'b','port':81},{'name':'a','port':80,'targetPort':'http'}]");
	assert_string_equal(told(k), "");
	e = kit_get(k, &resource_endpoints, "web");
	assert_true(span_equal(object_label(e, "endpoints.kubernetes.io/managed-by"), SPAN("endpoint-controller")));
	assert_true(span_equal(object_label(e, "a"), SPAN("b")));
	pod(k, "two", "10.0.0.2", EARLY, true, "{'name':'http','containerPort':8000}");
	pod(k, "one", "10.0.0.1", EARLY, true, "{'name':'http','containerPort':8000}");
	pod(k, "three", "10.0.0.3", EARLY, false, "{'name':'http','containerPort':8000}");
	assert_string_equal(told(k), "[10.0.0.1 10.0.0.2 -10.0.0.3 :81:8000]");
	a = value_item(
	    value_find(value_item(value_find(kit_get(k, &resource_endpoints, "web"), "subsets"), 0), "addresses"), 0);
	assert_true(span_equal(value_find_string(a, "nodeName"), SPAN("n1")));
	assert_true(span_equal(value_find_string(a, "targetRef.name"), SPAN("one")));
	pod(k, "four", "10.0.0.4", EARLY, true, "{'name':'http','containerPort':9000}");
	assert_string_equal(told(k), "[10.0.0.1 10.0.0.2 10.0.0.4 -10.0.0.3 :81][10.0.0.1 10.0.0.2 -10.0.0.3 :8000]"
				     "[10.0.0.4 :9000]");
	kit_delete(k, &resource_services, "web");
	assert_string_equal(told(k), "none");
	kit_done(k);
}

static void the_time_of_the_change_is_that_of_what_changed(void **state)
{
	static const char name[] = "endpoints.kubernetes.io/last-change-trigger-time";
	struct kit *k = kit_new(only);

	(void)state;
	service(k, SELECTOR ",'ports':[{'port':80}]");
	assert_true(span_equal(object_annotation(kit_get(k, &resource_endpoints, "web"), name),
			       value_find_string(kit_get(k, &resource_services, "web"), "metadata.creationTimestamp")));
	pod(k, "one", "10.0.0.1", EARLY, true, "");
	assert_true(span_equal(object_annotation(kit_get(k, &resource_endpoints, "web"), name), SPAN(EARLY)));
	pod(k, "two", "10.0.0.2", LATE, true, "");
	assert_true(span_equal(object_annotation(kit_get(k, &resource_endpoints, "web"), name), SPAN(LATE)));
	state_set(k, "one", "10.0.0.1", NEW, false);
	assert_true(span_equal(object_annotation(kit_get(k, &resource_endpoints, "web"), name), SPAN(NEW)));
	kit_delete(k, &resource_pods, "two");
	assert_string_equal(told(k), "[-10.0.0.1 :80]");
	assert_int_equal(object_annotation(kit_get(k, &resource_endpoints, "web"), name).len, 0);
	kit_done(k);
}

static void a_headless_service_needs_no_ports(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *labels;

	(void)state;
	service(k, SELECTOR ",'clusterIP':'None'");
	pod(k, "one", "10.0.0.1", EARLY, true, "");
	assert_string_equal(told(k), "[10.0.0.1 ]");
	labels = value_find(kit_get(k, &resource_endpoints, "web"), "metadata.labels");
	assert_non_null(value_get(labels, SPAN("service.kubernetes.io/headless")));
	kit_done(k);
}

static void over_a_thousand_some_are_left_out(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *e, *s;

	(void)state;
	k->is_hasty = true;
	for (int i = 0; i < 2 * 1010; i++) {
		int n = i % 1010;
		char name[16], address[32];

		snprintf(name, sizeof(name), "p%d", n);
		snprintf(address, sizeof(address), "10.0.%d.%d", n / 250, n % 250 + 1);
		if (i == n)
			pod_make(k, name, "");
		else
			state_set(k, name, address, EARLY, n >= 20);
		if (i % 101 == 100)
			kit_settle(k);
	}
	k->is_hasty = false;
	service(k, SELECTOR ",'ports':[{'port':80}]");
	e = kit_get(k, &resource_endpoints, "web");
	s = value_item(value_find(e, "subsets"), 0);
	assert_int_equal(value_count(value_find(s, "addresses")), 990);
	assert_int_equal(value_count(value_find(s, "notReadyAddresses")), 10);
	assert_true(span_equal(object_annotation(e, "endpoints.kubernetes.io/over-capacity"), SPAN("truncated")));
	kit_done(k);
}

static void what_others_wrote_stays(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	kit_apply(k, &resource_endpoints,
		  "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'web','namespace':'default'},'subsets':[{"
		  "'addresses':[{'ip':'192.0.2.1'}],'ports':[{'port':80}]}]}");
	assert_string_equal(told(k), "[192.0.2.1 :80]"); /* before its service */
	service(k, "'ports':[{'port':80}]");
	assert_string_equal(told(k), "[192.0.2.1 :80]");
	kit_done(k);
}

static void what_is_written_by_hand_is_mirrored(void **state)
{
	struct kit *k = kit_new(mirror);
	const struct value *slices, *s;

	(void)state;
	kit_apply(
	    k, &resource_endpoints,
	    "{'apiVersion':'v1','kind':'Endpoints','metadata':{'name':'web','namespace':'default','labels':{'x':'y'},"
	    "'annotations':{'note':'n'}},'subsets':[{'addresses':[{'ip':'192.0.2.1','hostname':'h'},{'ip':'2001:db8::1'"
	    "}],"
	    "'notReadyAddresses':[{'ip':'192.0.2.2'}],'ports':[{'name':'p','port':80}]}]}");
	assert_int_equal(value_count(kit_list(k, &resource_endpoint_slices)), 0); /* no service yet */
	service(k, "'ports':[{'port':80}]");
	slices = kit_list(k, &resource_endpoint_slices);
	assert_int_equal(value_count(slices), 2);
	s = value_item(slices, 0);
	if (span_equal(value_find_string(s, "addressType"), SPAN("IPv6")))
		s = value_item(slices, 1);
	assert_true(span_equal(object_label(s, "endpointslice.kubernetes.io/managed-by"),
			       SPAN("endpointslicemirroring-controller.k8s.io")));
	assert_true(span_equal(object_label(s, "kubernetes.io/service-name"), SPAN("web")));
	assert_true(span_equal(object_label(s, "x"), SPAN("y")));
	assert_true(span_equal(object_annotation(s, "note"), SPAN("n")));
	assert_int_equal(value_count(value_find(s, "endpoints")), 2);
	assert_true(span_equal(value_find_string(value_item(value_find(s, "endpoints"), 0), "hostname"), SPAN("h")));
	assert_false(value_find_bool(value_item(value_find(s, "endpoints"), 1), "conditions.ready"));
	assert_int_equal(value_find_int(value_item(value_find(s, "ports"), 0), "port", 0), 80);
	kit_label(k, &resource_endpoints, "web", "endpointslice.kubernetes.io/skip-mirror", "true");
	assert_int_equal(value_count(kit_list(k, &resource_endpoint_slices)), 0);
	kit_label(k, &resource_endpoints, "web", "endpointslice.kubernetes.io/skip-mirror", "false");
	assert_int_equal(value_count(kit_list(k, &resource_endpoint_slices)), 2);
	service(k, SELECTOR ",'ports':[{'port':80}]");
	assert_int_equal(value_count(kit_list(k, &resource_endpoint_slices)), 0);
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_that_share_their_ports_share_a_subset),
		cmocka_unit_test(the_time_of_the_change_is_that_of_what_changed),
		cmocka_unit_test(a_headless_service_needs_no_ports),
		cmocka_unit_test(over_a_thousand_some_are_left_out),
		cmocka_unit_test(what_others_wrote_stays),
		cmocka_unit_test(what_is_written_by_hand_is_mirrored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
