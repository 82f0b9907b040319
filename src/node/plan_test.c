/* SPDX-License-Identifier: Apache-2.0 */
/* plan_test - what a pod needs next, as tables. */
#include "node/plan_kit.h"

#include <stdio.h>

#define ONE  "'containers':[{'name':'main'}]"
#define TWO  "'containers':[{'name':'main'},{'name':'side'}]"
#define INIT "'initContainers':[{'name':'a'},{'name':'b'}]," ONE
#define CAR  "'initContainers':[{'name':'a'},{'name':'car','restartPolicy':'Always'},{'name':'b'}]," ONE
#define POD(spec)                                                                                                      \
	"{'metadata':{'name':'p','namespace':'n','uid':'u'},'spec':{" spec                                             \
	"},'status':{'startTime':'2027-01-15T07:59:50Z'}}"
#define GOING(spec)                                                                                                    \
	"{'metadata':{'name':'p','deletionTimestamp':'2027-01-15T08:00:30Z','deletionGracePeriodSeconds':30},"         \
	"'spec':{" spec "}}"

static void name_print(char *text, size_t size, const struct pod_action *a)
{
	static const char *const words[] = { "run", "end", "start", "stop", "drain", "drop", "gone" };
	size_t len = strlen(text);

	len += (size_t)snprintf(text + len, size - len, "%s%s", len ? "; " : "", words[a->kind]);
	if (a->name.len)
		len += (size_t)snprintf(text + len, size - len, " " SPAN_FMT "#%u", SPAN_ARG(a->name), a->attempt);
	if (a->kind == POD_CONTAINER_STOP || a->kind == POD_DRAIN)
		snprintf(text + len, size - len, " %llds", (long long)(a->grace_ns / NS_PER_S));
}

/* "start main#1; again 7" */
static void plan_print(struct plan_kit *k, char *text, size_t size)
{
	struct error err = { 0 };
	struct pod_plan plan;
	size_t len;

	text[0] = '\0';
	if (!pod_plan(&k->view, &k->arena, &plan, &err))
		fail_msg("%s", err.message);
	for (size_t i = 0; i < plan.count; i++)
		name_print(text, size, &plan.actions[i]);
	len = strlen(text);
	if (plan.again_ns != INT64_MAX)
		snprintf(text + len, size - len, "%sagain %lld", len ? "; " : "",
			 (long long)((plan.again_ns - KIT_NOW_NS) / NS_PER_S));
}

struct row {
	const char *pod, *sandbox, *health, *plan;
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char text[1024];
		struct plan_kit k;

		plan_kit_make(&k, rows[i].pod, rows[i].sandbox, rows[i].health);
		plan_print(&k, text, sizeof(text));
		if (strcmp(text, rows[i].plan) != 0)
			fail_msg("row %zu: '%s', not '%s'", i, text, rows[i].plan);
		plan_kit_done(&k);
	}
}

static void containers_begin_in_a_sandbox(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE), "", "", "run" },
		{ POD(ONE), ";", "", "start main#0" },
		{ POD(TWO), ";", "", "start main#0; start side#0" },
		{ POD(TWO), "main#0 run", "main#0", "start side#0" },
		{ POD(TWO), "main#0 made; side#0 made", "", "" },
		{ POD(ONE), "dead: main#0 exit 137", "", "run" },
		{ POD(ONE ",'restartPolicy':'Never'"), "dead: main#0 exit 137", "", "" },
		{ POD(ONE ",'ephemeralContainers':[{'name':'look'}]"), "main#0 run; look#0 exit 1", "main#0", "" },
		{ POD(ONE ",'ephemeralContainers':[{'name':'look'}]"), "main#0 run", "main#0", "start look#0" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void nothing_begins_before_volumes_are_there(void **state)
{
	struct plan_kit k;
	char text[256];

	(void)state;
	plan_kit_make(&k, POD(ONE), "", "");
	k.view.are_volumes_ready = false;
	plan_print(&k, text, sizeof(text));
	assert_string_equal(text, "");
	plan_kit_done(&k);
}

/* The address that the sandbox has told is to be in /etc/hosts, as for all that the volumes have. What runs is looked after. */
static void the_first_container_waits_for_what_the_address_has_changed(void **state)
{
	struct plan_kit k;
	char text[256];

	(void)state;
	plan_kit_make(&k, POD(TWO), "main#0 made", "");
	k.sandbox.container_count = 0;
	k.view.are_volumes_ready = false;
	plan_print(&k, text, sizeof(text));
	assert_string_equal(text, "");
	k.view.are_volumes_ready = true;
	plan_print(&k, text, sizeof(text));
	assert_string_equal(text, "start main#0; start side#0");
	plan_kit_done(&k);
	plan_kit_make(&k, POD(TWO), "main#0 exit 1; side#0 run", "side#0");
	k.view.are_volumes_ready = false;
	plan_print(&k, text, sizeof(text));
	assert_string_equal(text, "start main#1");
	plan_kit_done(&k);
}

static void restarts_follow_the_policy(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE), "main#0 exit 0", "", "start main#1" },
		{ POD(ONE ",'restartPolicy':'OnFailure'"), "main#0 exit 1", "", "start main#1" },
		{ POD(ONE ",'restartPolicy':'OnFailure'"), "main#0 exit 0", "", "end" },
		{ POD(ONE ",'restartPolicy':'Never'"), "main#0 exit 1", "", "end" },
		{ POD(TWO ",'restartPolicy':'Never'"), "main#0 exit 1; side#0 run", "side#0", "" },
		{ POD(TWO ",'restartPolicy':'OnFailure'"), "main#0 exit 0; side#0 exit 3", "", "start side#1" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void restarts_wait_longer_each_time(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE), "main#1 exit 1 ago 3", "", "again 7" },
		{ POD(ONE), "main#1 exit 1 ago 10", "", "start main#2" },
		{ POD(ONE), "main#2 exit 1 ago 3", "", "again 17" },
		{ POD(ONE), "main#9 exit 1 ago 100", "", "again 200" },
		{ POD(ONE), "main#4 exit 1 for 700", "", "start main#5" },
		/* begun 11 s after the one before, which had run long: the second step */
		{ POD(ONE), "main#7 exit 1 for 5 ago 22; main#8 exit 1 for 5 ago 6", "", "again 14" },
		{ POD(ONE), "main#7 exit 1 for 700 ago 10; main#8 exit 1 for 10", "", "again 10" },
		/* the oldest is of no use any more */
		{ POD(ONE), "main#0 exit 1 ago 50; main#1 exit 1 ago 40; main#2 run for 20", "main#2", "drop main#0" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void what_was_told_counts_when_the_runtime_has_forgotten(void **state)
{
	static const struct row rows[] = {
		{ "{'spec':{" ONE "},'status':{'containerStatuses':[{'name':'main','restartCount':2,"
		  "'containerID':'process://x','state':{'running':{}}}]}}",
		  ";", "", "start main#3" },
		{ "{'spec':{" ONE ",'restartPolicy':'Never'},'status':{'containerStatuses':[{'name':'main',"
		  "'state':{'running':{}}}]}}",
		  "", "", "" },
		{ "{'spec':{" ONE ",'restartPolicy':'OnFailure'},'status':{'containerStatuses':[{'name':'main',"
		  "'state':{'terminated':{'exitCode':0}}}]}}",
		  "", "", "" },
		{ "{'spec':{" ONE "},'status':{'phase':'Succeeded'}}", "", "", "" },
		{ "{'spec':{" ONE "},'status':{'phase':'Failed'}}", "main#0 run", "", "stop main#0 30s" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void init_containers_go_one_after_the_other(void **state)
{
	static const struct row rows[] = {
		{ POD(INIT), ";", "", "start a#0" },
		{ POD(INIT), "a#0 run", "a#0", "" },
		{ POD(INIT), "a#0 exit 0", "", "start b#0" },
		{ POD(INIT), "a#0 exit 0; b#0 exit 2", "", "start b#1" },
		{ POD(INIT), "a#0 exit 0; b#1 exit 2 ago 4", "", "again 6" },
		{ POD(INIT ",'restartPolicy':'Never'"), "a#0 exit 2", "", "end" },
		{ POD(INIT), "a#0 exit 0; b#0 exit 0", "", "start main#0" },
		{ POD(INIT), "main#0 exit 1", "", "start main#1" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void sidecars_hold_the_next_back_until_they_have_started(void **state)
{
	static const struct row rows[] = {
		{ POD(CAR), "a#0 exit 0", "", "start car#0" },
		{ POD(CAR), "a#0 exit 0; car#0 run", "car#0 startup?", "" },
		{ POD(CAR), "a#0 exit 0; car#0 run", "car#0 hook", "" },
		{ POD(CAR), "a#0 exit 0; car#0 run", "car#0", "start b#0" },
		{ POD(CAR), "a#0 exit 0; car#0 run", "car#0 startup-", "stop car#0 30s" },
		{ POD(CAR), "a#0 exit 0; car#0 exit 1; b#0 run", "b#0", "start car#1" },
		{ POD(CAR), "a#0 exit 0; car#0 run; b#0 exit 0", "car#0", "start main#0" },
		{ POD(CAR), "a#0 exit 0; car#0 exit 0; b#0 exit 0; main#0 run", "main#0", "start car#1" },
		{ POD(CAR ",'restartPolicy':'Never'"), "car#0 run; main#0 exit 0", "car#0", "stop car#0 30s" },
		{ POD(CAR ",'restartPolicy':'Never'"), "car#0 exit 1; main#0 exit 0", "", "end" },
		{ POD(CAR ",'restartPolicy':'Never'"), "car#0 exit 1; main#0 run", "main#0", "start car#1" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void bad_probes_and_hooks_end_a_container(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE), "main#0 run", "main#0 liveness-", "stop main#0 30s" },
		{ POD(ONE), "main#0 run", "main#0 startup-", "stop main#0 30s" },
		{ POD(ONE), "main#0 run", "main#0 readiness-", "" },
		{ POD(ONE), "main#0 run", "main#0 hook-", "stop main#0 30s" },
		{ POD("'containers':[{'name':'main','livenessProbe':{'terminationGracePeriodSeconds':5}}]"),
		  "main#0 run", "main#0 liveness-", "stop main#0 5s" },
		{ POD(ONE ",'terminationGracePeriodSeconds':0"), "main#0 run", "main#0 liveness-", "stop main#0 2s" },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void the_words_of_a_stop_are_kubelets(void **state)
{
	static const char *const rows[][4] = {
		{ POD(ONE), "main#0 run", "main#0 liveness-",
		  "Container main failed liveness probe, will be restarted" },
		{ POD(ONE ",'restartPolicy':'Never'"), "main#0 run", "main#0 startup-",
		  "Container main failed startup probe" },
		{ POD(CAR), "a#0 exit 0; car#0 run", "car#0 liveness-", "Init container car failed liveness probe" },
		{ POD(ONE), "main#0 run", "main#0 hook-", "FailedPostStartHook" },
		{ GOING(ONE), "main#0 run", "main#0", "Stopping container main" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct pod_plan plan;
		struct plan_kit k;
		bool is_found = false;

		plan_kit_make(&k, rows[i][0], rows[i][1], rows[i][2]);
		assert_true(pod_plan(&k.view, &k.arena, &plan, &err));
		for (size_t j = 0; j < plan.count; j++)
			is_found |= plan.actions[j].kind == POD_CONTAINER_STOP &&
				    span_equal(plan.actions[j].why, span_of(rows[i][3]));
		assert_true(is_found);
		plan_kit_done(&k);
	}
}

static void deleted_pods_end_sidecars_last(void **state)
{
	static const struct row rows[] = {
		{ GOING(TWO), "main#0 run; side#0 run", "", "stop main#0 30s; stop side#0 30s" },
		{ GOING(TWO), "main#0 run; side#0 exit 0", "", "stop main#0 30s" },
		{ GOING(TWO), "main#0 exit 0; side#0 exit 0", "", "end" },
		{ GOING(TWO), "dead: main#0 exit 0; side#0 exit 0", "", "gone" },
		{ GOING(TWO), "", "", "gone" },
		{ GOING(CAR), "car#0 run; main#0 run", "", "stop main#0 30s; again 31" },
		{ GOING(CAR), "car#0 run; main#0 exit 0", "", "stop car#0 30s" },
		{ GOING("'initContainers':[{'name':'a','restartPolicy':'Always'},{'name':'b','restartPolicy':'Always'}]"
			"," ONE),
		  "a#0 run; b#0 run; main#0 exit 0", "", "stop b#0 30s; again 31" },
	};
	struct plan_kit k;
	char text[256];

	(void)state;
	check(rows, ARRAY_LEN(rows));
	plan_kit_make(&k, GOING(CAR), "car#0 run; main#0 run", ""); /* the grace has passed */
	k.view.now_ns += 40 * NS_PER_S;
	plan_print(&k, text, sizeof(text));
	assert_string_equal(text, "stop main#0 30s; stop car#0 2s");
	plan_kit_done(&k);
}

static void deadlines_and_evictions_end_a_pod(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE ",'activeDeadlineSeconds':30"), "main#0 run", "main#0", "again 20" },
		{ POD(ONE ",'activeDeadlineSeconds':10"), "main#0 run", "main#0", "stop main#0 30s" },
		{ POD(ONE ",'activeDeadlineSeconds':10"), "main#0 exit 143", "", "end" },
		{ POD(ONE ",'activeDeadlineSeconds':10"), "", "", "" },
	};
	struct plan_kit k;
	char text[256];

	(void)state;
	check(rows, ARRAY_LEN(rows));
	plan_kit_make(&k, POD(ONE), "main#0 run", "main#0");
	k.view.is_evicted = true;
	k.view.eviction_grace_ns = NS_PER_S * 4;
	plan_print(&k, text, sizeof(text));
	assert_string_equal(text, "stop main#0 4s");
	plan_kit_done(&k);
}

static void pods_are_drained_before_they_end(void **state)
{
	static const struct {
		const char *pod, *sandbox;
		int64_t begun_s, ended_s; /* ago; -1: not yet */
		const char *plan;
	} rows[] = {
		{ GOING(ONE), "main#0 run", -1, -1, "drain 15s; again 15" },
		{ GOING(ONE), "main#0 run", 4, -1, "again 11" },
		{ GOING(ONE), "main#0 run", 4, 1, "stop main#0 27s" },
		{ GOING(ONE), "main#0 run", 15, -1, "stop main#0 15s" },
		{ GOING(ONE), "main#0 run", 25, 0,
		  "stop main#0 15s" }, /* an answer that comes too late changes nothing */
		{ GOING(ONE), "main#0 exit 0", -1, -1, "end" },
		{ GOING(ONE), "main#0 exit 0", 4, -1, "end" }, /* it has ended meanwhile */
		{ GOING(ONE), "dead: main#0 exit 0", -1, -1, "gone" },
		{ GOING(TWO), "main#0 exit 1; side#0 run", 4, -1, "again 11" },
		{ GOING(CAR), "car#0 run; main#0 run", 4, -1, "again 11" },
		{ GOING(CAR), "car#0 run; main#0 run", 4, 2, "stop main#0 28s; again 31" },
		{ GOING(CAR), "car#0 run; main#0 exit 0", 4, -1, "stop car#0 15s" },
		{ POD(ONE ",'restartPolicy':'Never'"), "main#0 exit 1", -1, -1, "end" },
		{ POD(ONE), "main#0 run", -1, -1, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan_kit k;
		char text[256];

		plan_kit_make(&k, rows[i].pod, rows[i].sandbox, "");
		k.view.is_drained_first = true;
		k.view.drain_begun_ns = rows[i].begun_s < 0 ? 0 : KIT_NOW_NS - rows[i].begun_s * NS_PER_S;
		k.view.drain_ended_ns = rows[i].ended_s < 0 ? 0 : KIT_NOW_NS - rows[i].ended_s * NS_PER_S;
		plan_print(&k, text, sizeof(text));
		if (strcmp(text, rows[i].plan) != 0)
			fail_msg("row %zu: '%s', not '%s'", i, text, rows[i].plan);
		plan_kit_done(&k);
	}
}

static void the_back_off_is_known_by_the_attempt(void **state)
{
	static const struct {
		uint32_t attempt;
		int64_t ran_s, wait_s;
	} rows[] = { { 0, 1, 0 },  { 1, 1, 10 }, { 2, 1, 20 }, { 5, 1, 160 }, { 6, 1, 300 }, { 4000000000u, 1, 300 },
		     { 6, 600, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    (backoff_end_ns(rows[i].attempt, KIT_NOW_NS, KIT_NOW_NS + rows[i].ran_s * NS_PER_S) - KIT_NOW_NS) /
			NS_PER_S,
		    rows[i].ran_s + rows[i].wait_s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_begin_in_a_sandbox),
		cmocka_unit_test(nothing_begins_before_volumes_are_there),
		cmocka_unit_test(the_first_container_waits_for_what_the_address_has_changed),
		cmocka_unit_test(restarts_follow_the_policy),
		cmocka_unit_test(restarts_wait_longer_each_time),
		cmocka_unit_test(what_was_told_counts_when_the_runtime_has_forgotten),
		cmocka_unit_test(init_containers_go_one_after_the_other),
		cmocka_unit_test(sidecars_hold_the_next_back_until_they_have_started),
		cmocka_unit_test(bad_probes_and_hooks_end_a_container),
		cmocka_unit_test(the_words_of_a_stop_are_kubelets),
		cmocka_unit_test(deleted_pods_end_sidecars_last),
		cmocka_unit_test(deadlines_and_evictions_end_a_pod),
		cmocka_unit_test(pods_are_drained_before_they_end),
		cmocka_unit_test(the_back_off_is_known_by_the_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
