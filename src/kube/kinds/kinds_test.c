/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kinds/kinds.h"

#include "base/clock.h"
#include "kube/admission/plugins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ARENA_MOST MIB(64)

static const struct kind *kind_of(const char *group, const char *name)
{
	for (size_t i = 0; kinds_table[i]; i++) {
		if (strcmp(kinds_table[i]->group, group) == 0 && strcmp(kinds_table[i]->kind, name) == 0)
			return kinds_table[i];
	}
	return NULL;
}

static struct value parsed(const char *text, struct arena *arena)
{
	struct error err = { 0 };
	struct value v;

	if (!value_parse(span_of(text), NULL, arena, &v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

static const struct schema_report no_report;

/* The way of a write through a kind, without a server: no addresses and ports are given. */
static void run(struct change *c, const struct kind *kind, struct value *old, struct value *object,
		const char *subresource, struct arena *arena, struct error *err)
{
	struct value *metadata;

	assert_true(schema_decode(type_find(span_of(kind->type_name)), object, &no_report, arena, err));
	*c = (struct change){ .kind = kind,
			      .arena = arena,
			      .verb = old ? KUBE_UPDATE : KUBE_CREATE,
			      .subresource = span_of(subresource),
			      .old = old,
			      .object = object,
			      .err = err };
	if (kind->defaults)
		kind->defaults(c);
	metadata = value_ensure_object(object, SPAN("metadata"), arena, err);
	assert_non_null(metadata);
	if (!old) {
		set_text(c, metadata, "uid", SPAN("UID"));
		set_text(c, metadata, "creationTimestamp", SPAN("2026-01-01T00:00:00Z"));
	}
	assert_true(tolerations_admit(c, err)); /* the one of admission that needs no server */
	if (kind->prepare)
		kind->prepare(c);
	if (kind->validate)
		kind->validate(c);
	assert_int_equal(err->code, ERROR_NONE);
}

static struct value causes_of(const struct change *c)
{
	struct error err = { 0 };
	struct value list = value_array();

	for (const struct cause *cause = c->causes; cause; cause = cause->next) {
		struct value one = value_object();

		assert_non_null(value_set(&one, SPAN("reason"), value_string(span_of(cause->reason)), c->arena, &err));
		assert_non_null(value_set(&one, SPAN("message"), value_string(cause->message), c->arena, &err));
		assert_non_null(value_set(&one, SPAN("field"), value_string(cause->field), c->arena, &err));
		assert_non_null(value_append(&list, one, c->arena, &err));
	}
	return list;
}

/* Without what the server adds, and what admission adds to pods by the priority classes there are. */
static void strip(struct value *object)
{
	static const char *const members[] = { "uid", "creationTimestamp", "namespace", "generation" };
	struct value *metadata = get(object, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		drop(metadata, members[i]);
	if (is_text(get(object, "kind"), "Pod")) {
		drop(get(object, "spec"), "priority");
		drop(get(object, "spec"), "preemptionPolicy");
	}
}

static void expect_equal(const struct value *is, const struct value *should, const char *what, struct arena *arena)
{
	struct error err = { 0 };
	struct span a = value_print(is, arena, &err), b = value_print(should, arena, &err);

	if (!value_equal(is, should))
		fail_msg("%s\n is     %.*s\n should %.*s", what, (int)a.len, a.ptr, (int)b.len, b.ptr);
}

static const struct {
	const char *group, *kind, *in, *out;
} cases[] = {
#include "kube/kinds/kinds_cases.inc"
};

static void objects_become_what_the_real_server_makes_of_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct kind *kind = kind_of(cases[i].group, cases[i].kind);
		struct error err = { 0 };
		struct change c;
		struct arena arena;
		struct value in, out;

		arena_init(&arena, ARENA_MOST);
		in = parsed(cases[i].in, &arena);
		out = parsed(cases[i].out, &arena);
		assert_non_null(kind);
		run(&c, kind, NULL, &in, "", &arena, &err);
		if (get(&out, "causes")) {
			struct value causes = causes_of(&c);

			expect_equal(&causes, get(&out, "causes"), cases[i].in, &arena);
		} else {
			strip(&in);
			strip(get(&out, "object"));
			expect_equal(&in, get(&out, "object"), cases[i].in, &arena);
		}
		arena_done(&arena);
	}
}

/* ---- updates ---- */

static const struct {
	const char *group, *kind, *object;
	const char *member, *value;      /* what is changed, by its path */
	const char *subresource, *field; /* the field of the only cause; "" when it may be */
} updates[] = {
	{ "", "ConfigMap", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"a\":\"b\"},\"immutable\":true}", "data",
	  "{\"a\":\"c\"}", "", "data" },
	{ "", "ConfigMap", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"a\":\"b\"}}", "data", "{\"a\":\"c\"}", "", "" },
	{ "", "Secret", "{\"metadata\":{\"name\":\"a\"},\"type\":\"x\"}", "type", "\"y\"", "", "type" },
	{ "", "Namespace", "{\"metadata\":{\"name\":\"a\"}}", "status", "{\"phase\":\"Terminating\"}", "status",
	  "status.Phase" },
	{ "apps", "Deployment",
	  "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
	  "\"metadata\":{\"labels\":"
	  "{\"a\":\"b\",\"c\":\"d\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}}}",
	  "spec.selector", "{\"matchLabels\":{\"c\":\"d\"}}", "", "spec.selector" },
	{ "apps", "Deployment",
	  "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
	  "\"metadata\":{\"labels\":"
	  "{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}}}",
	  "spec.replicas", "3", "", "" },
	{ "", "Pod", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}",
	  "spec.hostname", "\"b\"", "", "spec" },
	{ "", "Pod", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}",
	  "spec.activeDeadlineSeconds", "5", "", "" },
	{ "scheduling.k8s.io", "PriorityClass", "{\"metadata\":{\"name\":\"a\"},\"value\":1}", "value", "2", "",
	  "value" },
	{ "storage.k8s.io", "StorageClass", "{\"metadata\":{\"name\":\"a\"},\"provisioner\":\"a/b\"}", "provisioner",
	  "\"c/d\"", "", "provisioner" },
};

static void only_what_may_change_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(updates); i++) {
		const struct kind *kind = kind_of(updates[i].group, updates[i].kind);
		struct error err = { 0 };
		struct value old, now, copy, *parent;
		const char *dot = strrchr(updates[i].member, '.');
		char path[64];
		struct arena arena;
		struct change c;

		arena_init(&arena, ARENA_MOST);
		old = parsed(updates[i].object, &arena);
		if (kind->is_namespaced)
			assert_non_null(value_set(get(&old, "metadata"), SPAN("namespace"),
						  value_string(SPAN("default")), &arena, &err));
		run(&c, kind, NULL, &old, "", &arena, &err);
		assert_null(c.causes);
		assert_true(value_copy(&old, &arena, &now, &err));
		(void)snprintf(path, sizeof(path), "%.*s", dot ? (int)(dot - updates[i].member) : 0, updates[i].member);
		parent = dot ? value_find(&now, path) : &now;
		copy = parsed(updates[i].value, &arena);
		assert_non_null(value_set(parent, span_of(dot ? dot + 1 : updates[i].member), copy, &arena, &err));
		run(&c, kind, &old, &now, updates[i].subresource, &arena, &err);
		if (!*updates[i].field) {
			assert_null(c.causes);
		} else {
			struct value causes = causes_of(&c);

			assert_int_equal(causes.array.count, 1);
			assert_true(is_text(get(value_item(&causes, 0), "field"), updates[i].field));
		}
		arena_done(&arena);
	}
}

static void a_write_to_status_changes_nothing_else(void **state)
{
	static const char object[] =
	    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"replicas\":1,\"selector\":{"
	    "\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
	    "\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}},\"status\":{\"replicas\":7}}";
	const struct kind *kind = kind_of("apps", "Deployment");
	struct error err = { 0 };
	struct arena arena;
	struct change c;
	struct value old, now;

	(void)state;
	arena_init(&arena, ARENA_MOST);
	old = parsed(object, &arena);
	run(&c, kind, NULL, &old, "", &arena, &err);
	assert_int_equal(count_of(get(&old, "status")), 0); /* nobody starts with a status */
	assert_true(value_copy(&old, &arena, &now, &err));
	set_value(&c, get(&now, "spec"), "replicas", value_int(5));
	set_value(&c, get(&now, "status"), "replicas", value_int(2));
	run(&c, kind, &old, &now, "status", &arena, &err);
	assert_int_equal(value_find_int(&now, "spec.replicas", 0), 1);
	assert_int_equal(value_find_int(&now, "status.replicas", 0), 2);
	arena_done(&arena);
}

/* ---- names, quantities, ages, selectors ---- */

static void names_are_told_what_is_wrong(void **state)
{
	static const struct {
		const char *(*check)(struct span s);
		const char *text;
		bool is_fine;
	} rows[] = {
		{ name_check_label, "a-b", true },         { name_check_label, "a.b", false },
		{ name_check_label, "-a", false },         { name_check_subdomain, "a.b-c", true },
		{ name_check_subdomain, "a..b", false },   { name_check_subdomain, "", false },
		{ name_check_subdomain, "a.", false },     { name_check_1035, "1a", false },
		{ name_check_1035, "a1", true },           { name_check_qualified, "a/b", true },
		{ name_check_qualified, "/b", false },     { name_check_qualified, "a/", false },
		{ name_check_qualified, "a/b/c", false },  { name_check_qualified, "A_b.c", true },
		{ name_check_label_value, "", true },      { name_check_label_value, "-", false },
		{ name_check_port, "http", true },         { name_check_port, "123", false },
		{ name_check_port, "a--b", false },        { name_check_port, "", false },
		{ name_check_path_segment, "a:b", true },  { name_check_path_segment, "..", false },
		{ name_check_path_segment, "a/b", false }, { name_check_config_key, "..a", false },
		{ name_check_config_key, ".a", true },     { name_check_wildcard, "*.a", true },
		{ name_check_wildcard, "*", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((rows[i].check(span_of(rows[i].text)) == NULL) != rows[i].is_fine)
			fail_msg("%s", rows[i].text);
	}
}

static void quantities_have_one_form(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: none */
		int64_t milli;
	} rows[] = {
		{ "1000m", "1", 1000 },
		{ "1024Mi", "1Gi", INT64_C(1073741824000) },
		{ "0.1", "100m", 100 },
		{ "1e3", "1e3", 1000000 },
		{ "1000", "1k", 1000000 },
		{ "1.5Gi", "1536Mi", INT64_C(1610612736000) },
		{ "0", "0", 0 },
		{ "-0", "0", 0 },
		{ "0.5Ki", "512", 512000 },
		{ "1023", "1023", 1023000 },
		{ "12e6", "12e6", INT64_C(12000000000) },
		{ "1n", "1n", 1 },
		{ "8Ei", "9223372036854775807", INT64_MAX },
		{ "", NULL, 0 },
		{ "x", NULL, 0 },
		{ "1Mi1", NULL, 0 },
		{ "1.2.3", NULL, 0 },
		{ "-5", "-5", -5000 },
		{ "99999999999999999999999999999999999999999999999999", "9223372036854775807", INT64_MAX },
		{ "0.00000000000000000000000000000000000000000001", "1n", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena arena;
		struct span out;
		int64_t milli = 7;

		arena_init(&arena, KIB(64));
		assert_int_equal(quantity_canonical(span_of(rows[i].in), &arena, &out), rows[i].out != NULL);
		assert_int_equal(quantity_parse(span_of(rows[i].in), &milli), rows[i].out != NULL);
		if (rows[i].out && !span_equal(out, span_of(rows[i].out)))
			fail_msg("%s is %.*s, not %s", rows[i].in, (int)out.len, out.ptr, rows[i].out);
		if (rows[i].out)
			assert_int_equal(milli, rows[i].milli);
		else
			assert_int_equal(milli, 7);
		arena_done(&arena);
	}
}

static void ages_have_two_parts_at_most(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = { { 0, "0s" },           { 119, "119s" },    { 120, "2m" },       { 125, "2m5s" },
		     { 660, "11m" },        { 10800, "3h" },    { 11100, "3h5m" },   { 28800, "8h" },
		     { 172800, "2d" },      { 176400, "2d1h" }, { 691200, "8d" },    { 63072000, "2y" },
		     { 64022400, "2y11d" }, { -1, "0s" },       { -5, "<invalid>" }, { 252288000, "8y" } };
	struct arena arena;

	(void)state;
	arena_init(&arena, KIB(64));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span s = kube_age(SPAN("2026-01-01T02:00:00+02:00"),
					 (INT64_C(1767225600) + rows[i].seconds) * NS_PER_S, &arena);

		if (!span_equal(s, span_of(rows[i].text)))
			fail_msg("%lld: %.*s, not %s", (long long)rows[i].seconds, (int)s.len, s.ptr, rows[i].text);
	}
	assert_true(span_equal(kube_age(SPAN(""), 0, &arena), SPAN("<unknown>")));
	assert_true(span_equal(kube_age(SPAN("2026-13-01T00:00:00Z"), 0, &arena), SPAN("<unknown>")));
	arena_done(&arena);
}

static void selectors_print_sorted_and_match(void **state)
{
	struct arena arena;
	struct value selector, labels, other;

	(void)state;
	arena_init(&arena, KIB(64));
	selector = parsed("{\"matchLabels\":{\"b\":\"1\"},\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"In\","
			  "\"values\":[\"y\",\"x\"]},"
			  "{\"key\":\"a\",\"operator\":\"DoesNotExist\"}]}",
			  &arena);
	labels = parsed("{\"b\":\"1\",\"c\":\"x\"}", &arena);
	other = parsed("{\"a\":\"\",\"b\":\"1\",\"c\":\"x\"}", &arena);
	assert_true(span_equal(selector_print(&selector, &arena), SPAN("!a,b=1,c in (x,y)")));
	assert_true(span_equal(selector_print(NULL, &arena), SPAN("<none>")));
	assert_true(span_equal(selector_print(&labels, &arena), SPAN("b=1,c=x")));
	assert_true(selector_matches(&selector, &labels));
	assert_false(selector_matches(&selector, &other));
	arena_done(&arena);
}

/* ---- rows ---- */

static const struct {
	const char *group, *kind, *object, *cells;
} tables[] = {
	{ "", "Pod",
	  "{\"metadata\":{\"name\":\"p\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"nodeName\":\"n\","
	  "\"containers\":[{\"name\":"
	  "\"a\"},{\"name\":\"b\"}]},\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"1.2.3.4\"}],"
	  "\"containerStatuses\":[{\"name\":\"a\","
	  "\"ready\":true,\"restartCount\":0,\"state\":{\"running\":{}}},{\"name\":\"b\",\"restartCount\":3,\"state\":{"
	  "\"waiting\":{\"reason\":"
	  "\"CrashLoopBackOff\"}},\"lastState\":{\"terminated\":{\"finishedAt\":\"2026-01-01T00:59:00Z\"}}}]}}",
	  "[\"p\",\"1/2\",\"CrashLoopBackOff\",\"3 (60s ago)\",\"60m\",\"1.2.3.4\",\"n\",\"<none>\",\"<none>\"]" },
	{ "", "Pod",
	  "{\"metadata\":{\"name\":\"p\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"deletionTimestamp\":\"2026-"
	  "01-01T00:00:00Z\"},\"spec\":{"
	  "\"containers\":[{\"name\":\"a\"}],\"initContainers\":[{\"name\":\"i\"}]},\"status\":{\"phase\":\"Pending\","
	  "\"initContainerStatuses\":[{"
	  "\"name\":\"i\",\"restartCount\":0,\"state\":{\"terminated\":{\"exitCode\":3}}}]}}",
	  "[\"p\",\"0/1\",\"Terminating\",\"0\",\"60m\",\"<none>\",\"<none>\",\"<none>\",\"<none>\"]" },
	{ "", "Service",
	  "{\"metadata\":{\"name\":\"s\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"type\":"
	  "\"LoadBalancer\",\"clusterIPs\":["
	  "\"127.96.0.9\"],\"ports\":[{\"port\":80,\"nodePort\":30080,\"protocol\":\"TCP\"},{\"port\":53,\"protocol\":"
	  "\"UDP\"}],\"selector\":{\"a\":"
	  "\"b\"}}}",
	  "[\"s\",\"LoadBalancer\",\"127.96.0.9\",\"<pending>\",\"80:30080/TCP,53/UDP\",\"60m\",\"a=b\"]" },
	{ "batch", "Job",
	  "{\"metadata\":{\"name\":\"j\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"completions\":2,"
	  "\"template\":{\"spec\":{"
	  "\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}}},\"status\":{\"succeeded\":2,\"startTime\":\"2026-01-"
	  "01T00:00:00Z\","
	  "\"completionTime\":\"2026-01-01T00:00:09Z\",\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}}",
	  "[\"j\",\"Complete\",\"2/2\",\"9s\",\"60m\",\"c\",\"x\",\"<none>\"]" },
	{ "", "Node",
	  "{\"metadata\":{\"name\":\"n\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{\"node-role."
	  "kubernetes.io/b\":\"\","
	  "\"node-role.kubernetes.io/"
	  "a\":\"\"}},\"spec\":{\"unschedulable\":true},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":"
	  "\"True\"}],\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"}]}}",
	  "[\"n\",\"Ready,SchedulingDisabled\",\"a,b\",\"60m\",\"\",\"10.0.0.1\",\"<none>\",\"<unknown>\",\"<unknown>"
	  "\",\"<unknown>\"]" },
};

static size_t column_count(const struct kind *kind)
{
	size_t count = 0;

	while (kind->columns[count].name)
		count++;
	return count;
}

static void rows_are_as_kubectl_shows_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		const struct kind *kind = kind_of(tables[i].group, tables[i].kind);
		struct value object, should, is = value_array(), cells[COLUMNS_MAX];
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena, ARENA_MOST);
		object = parsed(tables[i].object, &arena);
		should = parsed(tables[i].cells, &arena);
		kind->row(&object, INT64_C(1767229200) * NS_PER_S, cells, &arena);
		for (size_t k = 0; k < column_count(kind); k++)
			assert_non_null(value_append(&is, cells[k], &arena, &err));
		expect_equal(&is, &should, tables[i].object, &arena);
		arena_done(&arena);
	}
}

static void every_kind_takes_an_empty_object_without_harm(void **state)
{
	(void)state;
	for (size_t i = 0; kinds_table[i]; i++) {
		const struct kind *kind = kinds_table[i];
		struct value object = value_object(), cells[COLUMNS_MAX + 1];
		struct error err = { 0 };
		struct arena arena;
		struct change c;

		if (!kind->row || !kind->type_name)
			continue;
		arena_init(&arena, ARENA_MOST);
		assert_non_null(type_find(span_of(kind->type_name)));
		assert_in_range(column_count(kind), 1, COLUMNS_MAX);
		for (size_t k = 0; k <= COLUMNS_MAX; k++)
			cells[k] = value_int(-77);
		kind->row(&object, 0, cells, &arena);
		for (size_t k = 0; k <= COLUMNS_MAX; k++)
			assert_int_equal(cells[k].type == VALUE_INT && cells[k].integer == -77,
					 k >= column_count(kind));
		run(&c, kind, NULL, &object, "", &arena, &err);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_become_what_the_real_server_makes_of_them),
		cmocka_unit_test(only_what_may_change_changes),
		cmocka_unit_test(a_write_to_status_changes_nothing_else),
		cmocka_unit_test(names_are_told_what_is_wrong),
		cmocka_unit_test(quantities_have_one_form),
		cmocka_unit_test(ages_have_two_parts_at_most),
		cmocka_unit_test(selectors_print_sorted_and_match),
		cmocka_unit_test(rows_are_as_kubectl_shows_them),
		cmocka_unit_test(every_kind_takes_an_empty_object_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
