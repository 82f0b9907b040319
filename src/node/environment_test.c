/* SPDX-License-Identifier: Apache-2.0 */
#include "node/place_kit.h"

#include <stdio.h>

static int setup(void **state)
{
	*state = place_kit_new();
	return 0;
}

static int teardown(void **state)
{
	place_kit_done(*state);
	return 0;
}

#define POD_HEAD                                                                                                       \
	"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web-1','namespace':'default','uid':'u-1',"                \
	"'labels':{'b':'2','app':'we\\\\b'},'annotations':{'note':'two\\nlines'}},"

struct made {
	struct name_value *items;
	size_t count;
};

static struct made make(struct place_kit *k, const struct value *pod)
{
	struct made m = { 0 };

	k->err = (struct error){ 0 };
	if (!environment_make(&k->place, pod, value_item(value_find(pod, "spec.containers"), 0), NULL, &k->api.arena,
			      &m.items, &m.count, &k->err))
		m.count = 0;
	return m;
}

/* NULL: it is not there. */
static const char *get(struct place_kit *k, struct made m, const char *name)
{
	for (size_t i = 0; i < m.count; i++)
		if (span_equal(m.items[i].name, span_of(name)))
			return arena_copy(&k->api.arena, m.items[i].value, &k->err).ptr;
	return NULL;
}

static void assert_value(struct place_kit *k, struct made m, const char *name, const char *value)
{
	const char *found = get(k, m, name);

	if (!found)
		fail_msg("%s is not set", name);
	assert_string_equal(found, value);
}

static void references_see_what_stands_before_them(void **state)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{ "plain", "plain" },       { "$(A)", "1" },          { "x$(A)y$(A)", "x1y1" },
		{ "$$(A)", "$(A)" },        { "$$$(A)", "$1" },       { "$(NONE)", "$(NONE)" },
		{ "$(A", "$(A" },           { "$A", "$A" },           { "end$", "end$" },
		{ "$(LATER)", "$(LATER)" }, { "a$$b", "a$b" },        { "$(WEB_SERVICE_HOST)", "127.96.3.4" },
		{ "$()", "$()" },           { "$($(A))", "$($(A))" },
	};
	struct place_kit *k = *state;

	place_kit_apply(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web'},'spec':{'clusterIP':'127.96.3.4',"
	    "'ports':[{'port':80}]}}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct value *pod = place_kit_parse(
		    k,
		    POD_HEAD
		    "'spec':{'containers':[{'name':'c','env':[{'name':'A','value':'1'},{'name':'X','value':'%s'},"
		    "{'name':'LATER','value':'z'}]}]}}",
		    rows[i].text);

		assert_value(k, make(k, pod), "X", rows[i].value);
	}
}

static void later_sources_replace_earlier_ones(void **state)
{
	struct place_kit *k = *state;
	struct made m;

	place_kit_apply(k, &resource_config_maps,
			"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'one'},'data':{'A':'one','B':'one',"
			"'with-dash':'d'}}");
	place_kit_apply(k, &resource_secrets,
			"{'apiVersion':'v1','kind':'Secret','metadata':{'name':'two'},'data':{'B':'dHdv','C':'dHdv'}}");
	m = make(k,
		 place_kit_parse(k, POD_HEAD
				 "'spec':{'containers':[{'name':'c','envFrom':[{'configMapRef':{'name':'one'}},"
				 "{'secretRef':{'name':'two'}},{'prefix':'P_','configMapRef':{'name':'one'}},"
				 "{'configMapRef':{'name':'absent','optional':true}}],"
				 "'env':[{'name':'C','value':'$(B)!'},"
				 "{'name':'D','valueFrom':{'configMapKeyRef':{'name':'one','key':'A'}}},"
				 "{'name':'E','valueFrom':{'secretKeyRef':{'name':'two','key':'B'}}},"
				 "{'name':'F','valueFrom':{'secretKeyRef':{'name':'two','key':'Z','optional':true}}},"
				 "{'name':'C','value':'$(C)!'}]}]}}"));
	assert_value(k, m, "A", "one");
	assert_value(k, m, "B", "two");
	assert_value(k, m, "C", "two!!");
	assert_value(k, m, "D", "one");
	assert_value(k, m, "E", "two");
	assert_null(get(k, m, "F"));
	assert_value(k, m, "P_A", "one");
	assert_value(k, m, "with-dash", "d");
}

static void what_is_missing_is_told_as_kubelet_tells_it(void **state)
{
	static const struct {
		const char *env, *message;
		enum error_code code;
	} rows[] = {
		{ "'envFrom':[{'configMapRef':{'name':'a'}}]", "configmap \"a\" not found", ERROR_NOT_FOUND },
		{ "'envFrom':[{'secretRef':{'name':'a'}}]", "secret \"a\" not found", ERROR_NOT_FOUND },
		{ "'env':[{'name':'X','valueFrom':{'configMapKeyRef':{'name':'there','key':'q'}}}]",
		  "couldn't find key q in ConfigMap default/there", ERROR_NOT_FOUND },
		{ "'env':[{'name':'X','valueFrom':{'fieldRef':{'fieldPath':'spec.q'}}}]",
		  "unsupported fieldPath: spec.q", ERROR_INVALID },
		{ "'env':[{'name':'X','valueFrom':{'resourceFieldRef':{'resource':'limits.q'}}}]",
		  "unsupported container resource : limits.q", ERROR_INVALID },
		{ "'env':[{'name':'X','valueFrom':{'resourceFieldRef':{'containerName':'z','resource':'limits.cpu'}}}]",
		  "container z not found", ERROR_INVALID },
		{ "'env':[{'name':'X','valueFrom':{'secretKeyRef':{'name':'bytes','key':'zero'}}}]",
		  "the value of the environment variable \"X\" holds a zero byte", ERROR_INVALID },
	};
	struct place_kit *k = *state;

	place_kit_apply(k, &resource_config_maps,
			"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'there'},'data':{'A':'one'}}");
	place_kit_apply(k, &resource_secrets,
			"{'apiVersion':'v1','kind':'Secret','metadata':{'name':'bytes'},'data':{'zero':'AGEA'}}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make(k, place_kit_parse(k, POD_HEAD "'spec':{'containers':[{'name':'c',%s}]}}", rows[i].env));
		assert_string_equal(k->err.message, rows[i].message);
		assert_int_equal(k->err.code, rows[i].code);
	}
}

static void services_are_variables_of_their_namespace(void **state)
{
	static const char pod[] = POD_HEAD "'spec':{%s'containers':[{'name':'c'}]}}";
	struct place_kit *k = *state;
	struct made m;

	place_kit_apply(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'my-db'},'spec':{'clusterIP':'127.96.3.4',"
	    "'ports':[{'name':'sql','port':5432},{'name':'dns-x','port':53,'protocol':'UDP'}]}}");
	place_kit_apply(k, &resource_services,
			"{'apiVersion':'v1','kind':'Service','metadata':{'name':'headless'},'spec':{'clusterIP':'None',"
			"'ports':[{'port':80}]}}");
	m = make(k, place_kit_parse(k, pod, ""));
	assert_value(k, m, "MY_DB_SERVICE_HOST", "127.96.3.4");
	assert_value(k, m, "MY_DB_SERVICE_PORT", "5432");
	assert_value(k, m, "MY_DB_SERVICE_PORT_SQL", "5432");
	assert_value(k, m, "MY_DB_SERVICE_PORT_DNS_X", "53");
	assert_value(k, m, "MY_DB_PORT", "tcp://127.96.3.4:5432");
	assert_value(k, m, "MY_DB_PORT_5432_TCP", "tcp://127.96.3.4:5432");
	assert_value(k, m, "MY_DB_PORT_53_UDP_PROTO", "udp");
	assert_value(k, m, "MY_DB_PORT_53_UDP_PORT", "53");
	assert_value(k, m, "MY_DB_PORT_53_UDP_ADDR", "127.96.3.4");
	assert_null(get(k, m, "HEADLESS_SERVICE_HOST"));
	assert_value(k, m, "KUBERNETES_SERVICE_HOST", "127.96.0.1");
	assert_value(k, m, "KUBERNETES_SERVICE_PORT", "443");

	m = make(k, place_kit_parse(k, pod, "'enableServiceLinks':false,"));
	assert_null(get(k, m, "MY_DB_SERVICE_HOST"));
	assert_value(k, m, "KUBERNETES_SERVICE_HOST", "127.96.0.1");
}

static void what_every_container_has_yields_to_what_is_given(void **state)
{
	struct place_kit *k = *state;
	struct made m = make(k, place_kit_parse(k, POD_HEAD "'spec':{'containers':[{'name':'c','securityContext':"
							    "{'runAsUser':0}}]}}"));

	assert_value(k, m, "HOSTNAME", "web-1");
	assert_value(k, m, "HOME", "/root");
	assert_memory_equal(get(k, m, "PATH"), "/run/hythe/bin:", 15);
	m = make(k, place_kit_parse(k, POD_HEAD "'spec':{'hostname':'h','containers':[{'name':'c','securityContext':"
						"{'runAsUser':54321},'env':[{'name':'PATH','value':'/x'}]}]}}"));
	assert_value(k, m, "HOSTNAME", "h");
	assert_value(k, m, "HOME", "/");
	assert_value(k, m, "PATH", "/x");
}

static void fields_of_the_pod_are_told(void **state)
{
	static const struct {
		const char *path, *value;
	} rows[] = {
		{ "metadata.name", "web-1" },
		{ "metadata.uid", "u-1" },
		{ "metadata.labels['b']", "2" },
		{ "metadata.labels['none']", "" },
		{ "metadata.labels", "app=\"we\\\\b\"\nb=\"2\"" },
		{ "metadata.annotations", "note=\"two\\nlines\"" },
		{ "metadata.annotations['note']", "two\nlines" },
		{ "spec.nodeName", "host-1" },
		{ "spec.serviceAccountName", "robot" },
		{ "status.hostIP", "192.168.0.7" },
		{ "status.podIP", "127.97.0.5" },
		{ "status.podIPs", "127.97.0.5" },
	};
	struct place_kit *k = *state;
	const struct value *pod =
	    place_kit_parse(k, POD_HEAD "'spec':{'nodeName':'host-1','serviceAccountName':'robot'}}");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span found = { 0 }, path;

		/* As it stands in a text: something follows. */
		path = arena_print(&k->api.arena, &k->err, "%s\"}", rows[i].path);
		if (!field_value(&k->place, pod, span_first(path, path.len - 2), &k->api.arena, &found, &k->err))
			fail_msg("%s: %s", rows[i].path, k->err.message);
		assert_string_equal(arena_copy(&k->api.arena, found, &k->err).ptr, rows[i].value);
	}
}

static void resources_are_rounded_up_by_their_divisor(void **state)
{
	static const struct {
		const char *resource, *divisor, *value;
	} rows[] = {
		{ "limits.cpu", "0", "2" },
		{ "limits.cpu", "1m", "1500" },
		{ "requests.cpu", "1m", "250" },
		{ "limits.memory", "1Mi", "64" },
		{ "limits.memory", "", "67108864" },
		{ "requests.memory", "1Mi", "0" },
		{ "limits.ephemeral-storage", "1Gi", "0" },
		{ "requests.ephemeral-storage", "1M", "3" },
	};
	struct place_kit *k = *state;
	const struct value *pod = place_kit_parse(
	    k, POD_HEAD "'spec':{'containers':[{'name':'c','resources':{'limits':{'cpu':'1500m','memory':"
			"'64Mi'},'requests':{'cpu':'250m','ephemeral-storage':'2500k'}}},{'name':'d'}]}}");
	struct span found = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(resource_value(&k->place, pod, SPAN("c"), span_of(rows[i].resource),
					   span_of(rows[i].divisor), &k->api.arena, &found, &k->err));
		assert_string_equal(found.ptr, rows[i].value);
	}
	/* One without limits may use what the node has. */
	assert_true(
	    resource_value(&k->place, pod, SPAN("d"), SPAN("limits.cpu"), SPAN("1m"), &k->api.arena, &found, &k->err));
	assert_string_equal(found.ptr, "4000");
	assert_true(resource_value(&k->place, pod, SPAN("d"), SPAN("limits.memory"), SPAN("1Gi"), &k->api.arena, &found,
				   &k->err));
	assert_string_equal(found.ptr, "8");
}

static void commands_are_words_with_references_replaced(void **state)
{
	static const struct name_value environment[] = { { SPAN_INIT("A"), SPAN_INIT("1") } };
	struct place_kit *k = *state;
	struct span *words = NULL;
	size_t count = 0;

	assert_true(
	    command_make(place_kit_parse(k, "{'image':'i','command':['sh','-c'],'args':['echo $(A) $$(A) $B']}"),
			 environment, 1, NULL, &k->api.arena, &words, &count, &k->err));
	assert_int_equal(count, 3);
	assert_true(span_equal(words[2], SPAN("echo 1 $(A) $B")));
	assert_false(command_make(place_kit_parse(k, "{'image':'nginx:1.27','args':['x']}"), environment, 1, NULL,
				  &k->api.arena, &words, &count, &k->err));
	assert_int_equal(k->err.code, ERROR_INVALID);
	assert_non_null(strstr(k->err.message, "no command specified"));
	assert_non_null(strstr(k->err.message, "nginx:1.27"));
}

/* ---- resources.c ---- */

static void containers_run_as_they_are_told(void **state)
{
	struct place_kit *k = *state;
	struct container_config c = { 0 };
	const struct value *pod = place_kit_parse(
	    k, POD_HEAD "'spec':{'securityContext':{'runAsUser':7,'runAsGroup':8,'fsGroup':9,'supplementalGroups':[10],"
			"'seccompProfile':{'type':'Localhost','localhostProfile':'p/q.json'}},"
			"'containers':[{'name':'c','resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':"
			"{'cpu':'100m'}},'securityContext':{'runAsUser':5,'readOnlyRootFilesystem':false,"
			"'capabilities':{'add':['CAP_NET_ADMIN'],'drop':['ALL']}}}]}}");

	assert_true(
	    container_security(pod, value_item(value_find(pod, "spec.containers"), 0), &k->api.arena, &c, &k->err));
	assert_int_equal(c.security.user, 5);
	assert_int_equal(c.security.group, 8);
	assert_int_equal(c.security.group_count, 2);
	assert_int_equal(c.security.groups[0], 10);
	assert_int_equal(c.security.groups[1], 9);
	assert_true(c.security.is_root_writable);
	assert_false(c.security.may_gain_privileges);
	assert_int_equal(c.security.seccomp, SECCOMP_FILE);
	assert_true(span_equal(c.security.seccomp_file, SPAN("/var/lib/kubelet/seccomp/p/q.json")));
	assert_true(span_equal(c.security.capabilities_added[0], SPAN("NET_ADMIN")));
	assert_true(span_equal(c.security.capabilities_dropped[0], SPAN("ALL")));
	assert_int_equal(c.resources.cpu_request, 100);
	assert_int_equal(c.resources.cpu_limit, 1000);
	assert_int_equal(c.resources.memory_limit, 1 << 30);
}

static void root_is_refused_where_it_may_not_be(void **state)
{
	static const struct {
		const char *security, *message;
	} rows[] = {
		{ "{'runAsNonRoot':true,'runAsUser':5}", NULL },
		{ "{'runAsNonRoot':true,'runAsUser':0}", "container's runAsUser breaks non-root policy (pod: "
							 "\"web-1_default(u-1)\", container: c)" },
		{ "{'runAsNonRoot':true}", "container has runAsNonRoot and image will run as root (pod: "
					   "\"web-1_default(u-1)\", container: c)" },
		{ "{'procMount':'Unmasked'}", "procMount" },
		{ "{'appArmorProfile':{'type':'Localhost','localhostProfile':'x'}}", "AppArmor" },
	};
	struct place_kit *k = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct value *pod = place_kit_parse(
		    k, POD_HEAD "'spec':{'containers':[{'name':'c','securityContext':%s}]}}", rows[i].security);
		struct container_config c = { 0 };
		struct error err = { 0 };
		bool good =
		    container_security(pod, value_item(value_find(pod, "spec.containers"), 0), &k->api.arena, &c, &err);

		assert_int_equal(good, rows[i].message == NULL);
		if (rows[i].message)
			assert_non_null(strstr(err.message, rows[i].message));
	}
}

static void pods_are_sums_of_what_runs_at_once(void **state)
{
#define CPU(q) "'resources':{'requests':{'cpu':'" q "'},'limits':{'cpu':'" q "','memory':'1Mi'}}"
	static const struct {
		const char *spec;
		int64_t request, limit, memory;
		const char *quality;
	} rows[] = {
		{ "'containers':[{'name':'a'}]", 0, 0, 0, "BestEffort" },
		{ "'containers':[{'name':'a'," CPU("1") "},{'name':'b'," CPU("2") "}]", 3000, 3000, 2 << 20,
		  "Guaranteed" }, /* a limit is asked for, too, where nothing else is */
		{ "'initContainers':[{'name':'i'," CPU("5") "}],'containers':[{'name':'a'," CPU("1") "}]", 5000, 5000,
		  1 << 20, NULL },
		{ "'initContainers':[{'name':'s','restartPolicy':'Always'," CPU("2") "},{'name':'i'," CPU(
		      "2") "}],"
			   "'containers':[{'name':'a'," CPU("1") "}]",
		  4000, 4000, 2 << 20, NULL },
		{ "'containers':[{'name':'a'," CPU("1") "},{'name':'b'}]", 1000, 0, 0, "Burstable" },
		{ "'overhead':{'cpu':'500m'},'containers':[{'name':'a'," CPU("1") "}]", 1500, 1500, 1 << 20, NULL },
	};
	struct place_kit *k = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct value *pod = place_kit_parse(k, POD_HEAD "'spec':{%s}}", rows[i].spec);
		struct resources r = pod_resources_sum(pod);

		assert_int_equal(r.cpu_request, rows[i].request);
		assert_int_equal(r.cpu_limit, rows[i].limit);
		assert_int_equal(r.memory_limit, rows[i].memory);
		if (rows[i].quality)
			assert_true(span_equal(pod_quality_class(pod), span_of(rows[i].quality)));
	}
#undef CPU
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(references_see_what_stands_before_them, setup, teardown),
		cmocka_unit_test_setup_teardown(later_sources_replace_earlier_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_missing_is_told_as_kubelet_tells_it, setup, teardown),
		cmocka_unit_test_setup_teardown(services_are_variables_of_their_namespace, setup, teardown),
		cmocka_unit_test_setup_teardown(what_every_container_has_yields_to_what_is_given, setup, teardown),
		cmocka_unit_test_setup_teardown(fields_of_the_pod_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(resources_are_rounded_up_by_their_divisor, setup, teardown),
		cmocka_unit_test_setup_teardown(commands_are_words_with_references_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(containers_run_as_they_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(root_is_refused_where_it_may_not_be, setup, teardown),
		cmocka_unit_test_setup_teardown(pods_are_sums_of_what_runs_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
