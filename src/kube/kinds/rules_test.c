/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kinds/autoscaler.h"
#include "kube/kinds/job.h"
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ARENA_MOST MIB(16)

struct bench {
	struct arena arena;
	struct error err;
	struct value warnings;
	struct change change;
};

static void bench_open(struct bench *b)
{
	*b = (struct bench){ .warnings = value_array() };
	arena_init(&b->arena, ARENA_MOST);
	b->change = (struct change){ .kind = &kind_autoscaler,
				     .arena = &b->arena,
				     .err = &b->err,
				     .warnings = &b->warnings,
				     .verb = KUBE_CREATE };
}

static struct value parsed(struct bench *b, const char *text)
{
	struct value v;

	if (!value_parse(span_of(text), NULL, &b->arena, &v, &b->err))
		fail_msg("%s: %s", b->err.message, text);
	return v;
}

static void blocks_of_addresses_are_read_and_compared(void **state)
{
	static const char *const fine[] = { "10.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "::/0", "2001:db8::1/64" };
	static const char *const bad[] = { "",       "x",        "10.0.0.0",  "10.0.0.0/", "10.0.0.0/33",
					   "::/129", "10.0.0/8", "1.2.3.4/-1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++)
		assert_true(cidr_is_fine(span_of(fine[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(cidr_is_fine(span_of(bad[i])));
	assert_int_equal(cidr_family(SPAN("10.0.0.0/8")), 4);
	assert_int_equal(cidr_family(SPAN("::/0")), 6);
	assert_int_equal(cidr_family(SPAN("x")), 0);
	assert_true(cidr_is_inside(SPAN("10.1.0.0/16"), SPAN("10.0.0.0/8")));
	assert_false(cidr_is_inside(SPAN("10.0.0.0/8"), SPAN("10.0.0.0/8")));
	assert_false(cidr_is_inside(SPAN("11.1.0.0/16"), SPAN("10.0.0.0/8")));
	assert_false(cidr_is_inside(SPAN("2001:db8::/64"), SPAN("0.0.0.0/0")));
	assert_true(cidr_is_inside(SPAN("2001:db8:1::/48"), SPAN("2001:db8::/32")));
}

static void time_zones_are_names_of_the_database(void **state)
{
	static const char *const bad[] = {
		"", "Local", "LOCAL", "../etc", "-x", "Europe/", "Europe//Paris", "a b", "Europe/Abcdefghijklmno"
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct value name = value_string(span_of(bad[i]));
		size_t before = b.change.cause_count;

		check_time_zone(&b.change, AT(NULL, "timeZone"), &name);
		if (b.change.cause_count != before + 1)
			fail_msg("'%s' is taken", bad[i]);
	}
	b.change.cause_count = 0;
	check_time_zone(&b.change, AT(NULL, "timeZone"),
			&(struct value){ .type = VALUE_STRING, .string = SPAN_INIT("UTC") });
	check_time_zone(&b.change, AT(NULL, "timeZone"), NULL);
	assert_int_equal(b.change.cause_count, 0);
	arena_done(&b.arena);
}

static void policies_of_jobs_are_told_all_their_faults(void **state)
{
	struct bench b;
	struct value spec;
	size_t count = 0;
	static const char *const fields[] = {
		"spec.podFailurePolicy.rules[0].onExitCodes.containerName",
		"spec.podFailurePolicy.rules[0].onExitCodes.values[0]",
		"spec.podFailurePolicy.rules[0].onExitCodes.values[2]",
		"spec.podFailurePolicy.rules[0].onExitCodes.values",
		"spec.podFailurePolicy.rules[1].action",
		"spec.podFailurePolicy.rules[1]",
		"spec.successPolicy.rules[0].succeededIndexes",
		"spec.successPolicy.rules[1]",
	};

	(void)state;
	bench_open(&b);
	spec =
	    parsed(&b, "{\"completionMode\":\"Indexed\",\"completions\":5,\"template\":{\"spec\":{\"containers\":[{"
		       "\"name\":\"a\"}]}},"
		       "\"podFailurePolicy\":{\"rules\":[{\"action\":\"Ignore\",\"onExitCodes\":{\"operator\":\"In\","
		       "\"containerName\":\"b\",\"values\":[0,7,7,3]}},{\"action\":\"FailIndex\"}]},"
		       "\"successPolicy\":{\"rules\":[{\"succeededIndexes\":\"1,3-9\"},{}]}}");
	check_job_policies(&b.change, AT(NULL, "spec"), &spec);
	for (const struct cause *c = b.change.causes; c; c = c->next) {
		assert_true(count < ARRAY_LEN(fields));
		if (!span_equal(c->field, span_of(fields[count])))
			fail_msg("fault %zu is at " SPAN_FMT, count, SPAN_ARG(c->field));
		count++;
	}
	assert_int_equal(count, ARRAY_LEN(fields));
	arena_done(&b.arena);
}

extern const struct kind kind_old_autoscaler;

static void an_autoscaler_in_the_old_form_and_back_is_the_same(void **state)
{
	struct bench b;
	struct value v, before;

	(void)state;
	bench_open(&b);
	v = parsed(
	    &b,
	    "{\"apiVersion\":\"autoscaling/v2\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"maxReplicas\":3,\"metrics\":["
	    "{\"type\":\"Pods\",\"pods\":{\"metric\":{\"name\":\"rps\"},\"target\":{\"averageValue\":\"5\",\"type\":"
	    "\"AverageValue\"}}},"
	    "{\"type\":\"Object\",\"object\":{\"describedObject\":{\"kind\":\"K\",\"name\":\"n\"},\"metric\":{\"name\":"
	    "\"m\"},\"target\":{\"value\":\"7\",\"type\":\"Value\"}}},"
	    "{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","
	    "\"averageUtilization\":60}}}],"
	    "\"behavior\":{\"scaleUp\":{\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Pods\",\"value\":4,"
	    "\"periodSeconds\":15}]}}},"
	    "\"status\":{\"currentReplicas\":1,\"conditions\":[{\"type\":\"AbleToScale\",\"status\":\"True\"}]}}");
	assert_true(schema_complete(type_find(span_of(kind_autoscaler.type_name)), &v, &b.arena, &b.err));
	drop(get(&v, "metadata"), "creationTimestamp");
	(void)value_remove(get(&v, "metadata"), SPAN("creationTimestamp"));
	assert_true(value_copy(&v, &b.arena, &before, &b.err));
	assert_true(kind_old_autoscaler.from_stored(&v, &b.arena, &b.err));
	assert_int_equal(value_find_int(&v, "spec.targetCPUUtilizationPercentage", 0), 60);
	assert_null(value_find(&v, "spec.metrics"));
	assert_int_equal(count_of(value_find(&v, "metadata.annotations")), 3);
	assert_true(kind_old_autoscaler.to_stored(&v, &b.arena, &b.err));
	if (!value_equal(&v, &before)) {
		struct span is = value_print(&v, &b.arena, &b.err);

		fail_msg(SPAN_FMT, SPAN_ARG(is));
	}
	arena_done(&b.arena);
}

static void what_is_most_likely_not_meant_is_warned_of(void **state)
{
	static const char *const words[] = {
		"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
		"spec.imagePullSecrets[0].name: invalid empty name \"\"",
		"spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, must be an "
		"integer",
		"spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
		"spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
		"spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as "
		"1",
	};
	struct bench b;
	struct value spec;

	(void)state;
	bench_open(&b);
	spec = parsed(
	    &b,
	    "{\"nodeSelector\":{\"beta.kubernetes.io/os\":\"linux\"},\"imagePullSecrets\":[{}],\"containers\":[{"
	    "\"name\":\"a\",\"resources\":{\"limits\":{\"memory\":\"1500m\"}},\"env\":[{\"name\":\"A\",\"value\":\"1\"}"
	    ","
	    "{\"name\":\"A\",\"value\":\"2\"},{\"name\":\"A\",\"value\":\"$(A)3\"}],\"ports\":[{\"containerPort\":80},{"
	    "\"containerPort\":80}]}],\"terminationGracePeriodSeconds\":-1}");
	pod_spec_warn(&b.change, AT(NULL, "spec"), &spec);
	assert_int_equal(count_of(&b.warnings), ARRAY_LEN(words));
	for (uint32_t i = 0; i < ARRAY_LEN(words); i++) {
		struct span is = text_of(value_item(&b.warnings, i));

		if (!span_equal(is, span_of(words[i])))
			fail_msg("%u: " SPAN_FMT, i, SPAN_ARG(is));
	}
	arena_done(&b.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_addresses_are_read_and_compared),
		cmocka_unit_test(time_zones_are_names_of_the_database),
		cmocka_unit_test(policies_of_jobs_are_told_all_their_faults),
		cmocka_unit_test(an_autoscaler_in_the_old_form_and_back_is_the_same),
		cmocka_unit_test(what_is_most_likely_not_meant_is_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
