/* SPDX-License-Identifier: Apache-2.0 */
/* placement_test - node selectors, node affinity, taints and tolerations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube/placement.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, MIB(8));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

/* ' stands for ". */
static const struct value *parsed(const char *text)
{
	struct error err = { 0 };
	struct span copy = arena_copy(&arena, span_of(text), &err);
	struct value *v = ARENA_NEW(&arena, struct value, &err);

	for (char *at = (char *)(uintptr_t)copy.ptr; (at = strchr(at, '\'')); at++)
		*at = '"';
	if (!value_parse(copy, NULL, &arena, v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

static const struct value *node(void)
{
	return parsed("{'metadata':{'name':'n1','labels':{'disk':'ssd','cores':'8'}},'spec':{'taints':["
		      "{'key':'gpu','value':'a100','effect':'NoSchedule'},{'key':'old','effect':'NoExecute'},"
		      "{'key':'slow','effect':'PreferNoSchedule'}]}}");
}

static bool takes(const char *spec)
{
	return placement_takes_node(parsed(spec), node());
}

#define AFFINITY(terms)                                                                                                \
	"{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[" terms   \
	"]}}}}"
#define EXPRESSION(key, operator, values)                                                                              \
	AFFINITY("{'matchExpressions':[{'key':'" key "','operator':'" operator"','values':[" values "]}]}")

static void every_label_of_a_node_selector_must_be_there(void **state)
{
	(void)state;
	assert_true(takes("{}"));
	assert_true(takes("{'nodeSelector':{'disk':'ssd','cores':'8'}}"));
	assert_false(takes("{'nodeSelector':{'disk':'ssd','cores':'16'}}"));
	assert_false(takes("{'nodeSelector':{'zone':'a'}}"));
}

static void an_expression_holds_by_its_operator(void **state)
{
	(void)state;
	assert_true(takes(EXPRESSION("disk", "In", "'hdd','ssd'")));
	assert_false(takes(EXPRESSION("disk", "In", "'hdd'")));
	assert_false(takes(EXPRESSION("zone", "In", "''")));
	assert_false(takes(EXPRESSION("disk", "NotIn", "'ssd'")));
	assert_true(takes(EXPRESSION("zone", "NotIn", "'a'")));
	assert_true(takes(EXPRESSION("disk", "Exists", "")));
	assert_false(takes(EXPRESSION("zone", "Exists", "")));
	assert_true(takes(EXPRESSION("zone", "DoesNotExist", "")));
	assert_false(takes(EXPRESSION("disk", "DoesNotExist", "")));
	assert_true(takes(EXPRESSION("cores", "Gt", "'7'")));
	assert_false(takes(EXPRESSION("cores", "Gt", "'8'")));
	assert_true(takes(EXPRESSION("cores", "Lt", "'9'")));
	assert_false(takes(EXPRESSION("cores", "Lt", "'8'")));
	assert_false(takes(EXPRESSION("disk", "Gt", "'7'")));
	assert_false(takes(EXPRESSION("disk", "Near", "'ssd'")));
}

static void one_term_is_enough_and_an_empty_one_is_none(void **state)
{
	(void)state;
	assert_true(takes(AFFINITY("{'matchExpressions':[{'key':'zone','operator':'Exists'}]},"
				   "{'matchFields':[{'key':'metadata.name','operator':'In','values':['n1']}]}")));
	assert_false(takes(AFFINITY("{'matchExpressions':[{'key':'zone','operator':'Exists'}],"
				    "'matchFields':[{'key':'metadata.name','operator':'In','values':['n1']}]}")));
	assert_false(takes(AFFINITY("{'matchFields':[{'key':'metadata.name','operator':'NotIn','values':['n1']}]}")));
	assert_false(takes(AFFINITY("{'matchFields':[{'key':'metadata.uid','operator':'In','values':['n1']}]}")));
	assert_false(takes(AFFINITY("{}")));
	assert_false(takes(AFFINITY("")));
}

static struct span taint(const char *tolerations, enum placement_taints asked)
{
	return value_find_string(placement_taint(parsed(tolerations), node(), asked), "key");
}

static void a_taint_that_nothing_tolerates_is_named(void **state)
{
	(void)state;
	assert_true(span_equal(taint("[]", PLACEMENT_TO_START), SPAN("gpu")));
	assert_true(span_equal(taint("[]", PLACEMENT_TO_STAY), SPAN("old")));
	assert_true(span_equal(taint("[{'key':'gpu','operator':'Exists'}]", PLACEMENT_TO_START), SPAN("old")));
	assert_true(span_equal(taint("[{'key':'gpu','value':'t4'}]", PLACEMENT_TO_START), SPAN("gpu")));
	assert_true(
	    span_equal(taint("[{'key':'gpu','operator':'Equal','value':'a100'}]", PLACEMENT_TO_START), SPAN("old")));
	assert_true(span_equal(taint("[{'key':'gpu','operator':'Exists','effect':'NoExecute'}]", PLACEMENT_TO_START),
			       SPAN("gpu")));
	assert_int_equal(taint("[{'operator':'Exists'}]", PLACEMENT_TO_START).len, 0);
	assert_int_equal(taint("[{'operator':'Exists','effect':'NoExecute'}]", PLACEMENT_TO_STAY).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_label_of_a_node_selector_must_be_there, setup, teardown),
		cmocka_unit_test_setup_teardown(an_expression_holds_by_its_operator, setup, teardown),
		cmocka_unit_test_setup_teardown(one_term_is_enough_and_an_empty_one_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(a_taint_that_nothing_tolerates_is_named, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
