/* SPDX-License-Identifier: Apache-2.0 */
/* status_test - what a pod's status tells, as tables: an example of each phase, state and condition. */
#include "node/plan_kit.h"

#include "node/status.h"

#define ONE       "'containers':[{'name':'main','image':'i'}]"
#define TWO       "'containers':[{'name':'main'},{'name':'side'}]"
#define INIT      "'initContainers':[{'name':'a'}]," ONE
#define CAR       "'initContainers':[{'name':'car','restartPolicy':'Always'}]," ONE
#define POD(spec) "{'metadata':{'name':'p','namespace':'n','uid':'u'},'spec':{" spec "}}"
#define GOING(spec)                                                                                                    \
	"{'metadata':{'name':'p','deletionTimestamp':'2027-01-15T08:00:30Z','deletionGracePeriodSeconds':30},"         \
	"'spec':{" spec "}}"
#define WAS(spec, status) "{'metadata':{'name':'p','namespace':'n','uid':'u'},'spec':{" spec "},'status':{" status "}}"

static struct span message(void *context, const struct container_status *c)
{
	(void)context;
	return c->exit_code == 9 ? SPAN("it is nine") : (struct span){ 0 };
}

/* The status as text; `waits`: why main waits, as a reason, or "". */
static const char *told(struct plan_kit *k, const char *why)
{
	struct status_wait wait = { SPAN("main"), span_of(why), SPAN("because") };
	struct status_extra extra = { .node_name = SPAN("here"),
				      .host_address = SPAN("10.0.0.1"),
				      .waits = &wait,
				      .wait_count = *why != '\0',
				      .termination_message = message };
	struct error err = { 0 };
	struct value *v = pod_status(&k->view, &extra, &k->arena, &err);
	struct span text = v ? value_print(v, &k->arena, &err) : (struct span){ 0 };
	char *copy;

	if (!text.ptr)
		fail_msg("%s", err.message);
	copy = (char *)arena_copy(&k->arena, text, &err).ptr;
	for (char *at = copy; (at = strchr(at, '"')); at++)
		*at = '\'';
	return copy;
}

struct row {
	const char *pod, *sandbox, *health, *why;
	const char *has[4];
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct plan_kit k;
		const char *text;

		plan_kit_make(&k, rows[i].pod, rows[i].sandbox, rows[i].health);
		text = told(&k, rows[i].why ? rows[i].why : "");
		for (size_t j = 0; j < ARRAY_LEN(rows[i].has) && rows[i].has[j]; j++)
			if (!strstr(text, rows[i].has[j]))
				fail_msg("row %zu: no %s in %s", i, rows[i].has[j], text);
		plan_kit_done(&k);
	}
}

static void phases_are_kubelets(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE), "", "", "", { "'phase':'Pending'" } },
		{ POD(ONE), "main#0 made", "", "", { "'phase':'Pending'" } },
		{ POD(ONE), "main#0 run", "main#0", "", { "'phase':'Running'" } },
		{ POD(TWO), "main#0 run", "main#0", "", { "'phase':'Pending'" } },
		{ POD(ONE), "main#0 exit 1", "", "", { "'phase':'Running'" } },
		{ POD(ONE ",'restartPolicy':'Never'"), "main#0 exit 1", "", "", { "'phase':'Failed'" } },
		{ POD(ONE ",'restartPolicy':'OnFailure'"), "main#0 exit 1", "", "", { "'phase':'Running'" } },
		{ POD(ONE ",'restartPolicy':'OnFailure'"), "main#0 exit 0", "", "", { "'phase':'Succeeded'" } },
		{ POD(TWO ",'restartPolicy':'Never'"), "main#0 exit 1; side#0 run", "", "", { "'phase':'Running'" } },
		{ POD(INIT), "a#0 run", "a#0", "", { "'phase':'Pending'" } },
		{ POD(INIT), "a#0 exit 1", "", "", { "'phase':'Pending'" } },
		{ POD(INIT ",'restartPolicy':'Never'"), "a#0 exit 1", "", "", { "'phase':'Failed'" } },
		{ POD(CAR), "car#0 run; main#0 run", "car#0;main#0", "", { "'phase':'Running'" } },
		{ POD(CAR ",'restartPolicy':'Never'"),
		  "car#0 run; main#0 exit 0",
		  "car#0",
		  "",
		  { "'phase':'Running'" } },
		{ POD(CAR ",'restartPolicy':'Never'"),
		  "car#0 exit 1; main#0 exit 0",
		  "",
		  "",
		  { "'phase':'Succeeded'" } },
		{ WAS(ONE, "'phase':'Succeeded'"), "main#0 run", "main#0", "", { "'phase':'Succeeded'" } },
		{ GOING(ONE), "main#0 run", "main#0", "", { "'phase':'Running'" } },
		{ GOING(ONE), "main#0 exit 143", "", "", { "'phase':'Failed'" } },
		{ GOING(ONE), "main#0 exit 0", "", "", { "'phase':'Succeeded'" } },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void states_of_containers_are_kubelets(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE), "", "", "", { "'state':{'waiting':{'reason':'ContainerCreating'}},'lastState':{}" } },
		{ POD(INIT), "a#0 run", "", "", { "'name':'main','state':{'waiting':{'reason':'PodInitializing'}}" } },
		{ POD(ONE),
		  ";",
		  "",
		  "CreateContainerConfigError",
		  { "'state':{'waiting':{'reason':'CreateContainerConfigError','message':'because'}}" } },
		{ POD(ONE),
		  "main#0 run for 5",
		  "main#0",
		  "",
		  { "'state':{'running':{'startedAt':'2027-01-15T07:59:55Z'}}", "'ready':true",
		    "'image':'i','imageID':'','containerID':'process://main0','started':true" } },
		{ POD(ONE),
		  "main#1 exit 3 for 5 ago 4",
		  "",
		  "",
		  { "'state':{'waiting':{'reason':'CrashLoopBackOff','message':'back-off 10s restarting failed "
		    "container=main pod=p_n(u)'}}",
		    "'lastState':{'terminated':{'exitCode':3,'reason':'Error','startedAt':'2027-01-15T07:59:51Z',"
		    "'finishedAt':'2027-01-15T07:59:56Z','containerID':'process://main1'}}",
		    "'restartCount':1", "'ready':false" } },
		{ POD(ONE), "main#6 exit 3 ago 4", "", "", { "'message':'back-off 5m0s restarting failed" } },
		{ POD(ONE),
		  "main#0 exit 9",
		  "",
		  "",
		  { "'state':{'terminated':{'exitCode':9,'reason':'Error','message':'it is nine'" } },
		{ POD(ONE),
		  "main#0 exit 9; main#1 run",
		  "main#1",
		  "",
		  { "'state':{'running'",
		    "'lastState':{'terminated':{'exitCode':9,'reason':'Error','message':'it is nine'" } },
		{ WAS(ONE, "'containerStatuses':[{'name':'main','restartCount':2,'containerID':'process://x','state':"
			   "{'running':{}},'lastState':{}}]"),
		  "",
		  "",
		  "",
		  { "'state':{'waiting':{'reason':'ContainerCreating'}},'lastState':{'terminated':{'exitCode':137,'"
		    "reason':"
		    "'ContainerStatusUnknown'",
		    "'phase':'Running'" } },
		{ WAS(ONE ",'restartPolicy':'Never'", "'containerStatuses':[{'name':'main','restartCount':0,'state':"
						      "{'running':{}},'lastState':{}}]"),
		  "",
		  "",
		  "",
		  { "'state':{'terminated':{'exitCode':137,'reason':'ContainerStatusUnknown'", "'phase':'Failed'" } },
		{ WAS(ONE ",'restartPolicy':'Never'",
		      "'containerStatuses':[{'name':'main','state':{'terminated':{'exitCode':0,'reason':'Completed',"
		      "'containerID':'process://main0','message':'old'}}}]"),
		  "main#0 exit 0",
		  "",
		  "",
		  { "'reason':'Completed','containerID':'process://main0','message':'old'" } },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void readiness_is_what_probes_say(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE),
		  "main#0 run",
		  "main#0 readiness?",
		  "",
		  { "'ready':false", "'started':true", "'type':'Ready','status':'False'",
		    "'reason':'ContainersNotReady','message':'containers with unready status: [main]'" } },
		{ POD(ONE), "main#0 run", "main#0 startup?", "", { "'ready':false", "'started':false" } },
		{ POD(ONE), "main#0 run", "main#0 hook", "", { "'ready':false", "'started':false" } },
		{ POD(TWO), "main#0 run", "main#0", "", { "containers with unready status: [side]'" } },
		{ POD(ONE),
		  "main#0 run",
		  "main#0",
		  "",
		  { "'type':'PodReadyToStartContainers','status':'True','lastProbeTime':null",
		    "'type':'Ready','status':'True'", "'type':'ContainersReady','status':'True'",
		    "'type':'PodScheduled','status':'True'" } },
		/* found running: what was told counts */
		{ WAS(ONE, "'containerStatuses':[{'name':'main','ready':true,'started':true,'containerID':'process://"
			   "main0'}]"),
		  "main#0 run",
		  "",
		  "",
		  { "'ready':true", "'started':true" } },
		{ WAS(ONE,
		      "'containerStatuses':[{'name':'main','ready':true,'started':true,'containerID':'process://x'}]"),
		  "main#0 run",
		  "",
		  "",
		  { "'ready':false", "'started':false" } },
		{ POD(ONE ",'readinessGates':[{'conditionType':'a/b'}]"),
		  "main#0 run",
		  "main#0",
		  "",
		  { "'type':'Ready','status':'False'", "'reason':'ReadinessGatesNotReady','message':'corresponding "
						       "condition of pod readiness gate \\'a/b\\' does "
						       "not exist.'" } },
		{ WAS(ONE ",'readinessGates':[{'conditionType':'a/b'}]",
		      "'conditions':[{'type':'a/b','status':'True'}]"),
		  "main#0 run",
		  "main#0",
		  "",
		  { "'type':'Ready','status':'True'", "{'type':'a/b','status':'True'}," } },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void conditions_keep_their_times(void **state)
{
	static const struct row rows[] = {
		{ WAS(ONE, "'startTime':'2020-01-01T00:00:00Z','conditions':[{'type':'Ready','status':'True',"
			   "'lastTransitionTime':'2020-01-01T00:00:09Z'},{'type':'Initialized','status':'False',"
			   "'lastTransitionTime':'2020-01-01T00:00:08Z'}]"),
		  "main#0 run",
		  "main#0",
		  "",
		  { "'type':'Ready','status':'True','lastProbeTime':null,'lastTransitionTime':'2020-01-01T00:00:09Z'",
		    "'type':'Initialized','status':'True','lastProbeTime':null,'lastTransitionTime':"
		    "'2027-01-15T08:00:00Z'",
		    "'startTime':'2020-01-01T00:00:00Z'" } },
		{ POD(INIT),
		  "a#0 run",
		  "",
		  "",
		  { "'type':'Initialized','status':'False','lastProbeTime':null,'lastTransitionTime':"
		    "'2027-01-15T08:00:00Z','reason':'ContainersNotInitialized','message':'containers with incomplete "
		    "status: [a]'" } },
		{ POD(ONE ",'restartPolicy':'Never'"),
		  "main#0 exit 0",
		  "",
		  "",
		  { "'type':'Initialized','status':'True'", "'reason':'PodCompleted'" } },
		{ POD(ONE ",'restartPolicy':'Never'"), "main#0 exit 1", "", "", { "'reason':'PodFailed'" } },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void addresses_and_mounts_are_told(void **state)
{
	static const struct row rows[] = {
		{ POD(ONE),
		  ";",
		  "",
		  "",
		  { "'hostIP':'10.0.0.1','hostIPs':[{'ip':'10.0.0.1'}],'podIP':'127.97.0.5','podIPs':[{'ip':'127.97.0."
		    "5'}]",
		    "'qosClass':'BestEffort'" } },
		{ POD(ONE ",'hostNetwork':true"), ";", "", "", { "'podIP':'10.0.0.1'" } },
		{ POD("'containers':[{'name':'main','volumeMounts':[{'name':'v','mountPath':'/v','readOnly':true}],"
		      "'resources':{'requests':{'cpu':'1'}}}]"),
		  "main#0 run",
		  "main#0",
		  "",
		  { "'volumeMounts':[{'name':'v','mountPath':'/v','readOnly':true,'recursiveReadOnly':'Disabled'}]",
		    "'allocatedResources':{'cpu':'1'}" } },
	};

	(void)state;
	check(rows, ARRAY_LEN(rows));
}

static void an_eviction_is_told_with_its_reason(void **state)
{
	struct status_extra extra = { .reason = SPAN("Evicted"), .message = SPAN("The node was low") };
	struct error err = { 0 };
	struct value *v;
	struct plan_kit k;

	(void)state;
	plan_kit_make(&k, POD(ONE), "main#0 run", "main#0");
	k.view.is_evicted = true;
	v = pod_status(&k.view, &extra, &k.arena, &err);
	assert_non_null(v);
	assert_true(span_equal(value_find_string(v, "phase"), SPAN("Failed")));
	assert_true(span_equal(value_find_string(v, "reason"), SPAN("Evicted")));
	assert_true(span_equal(value_find_string(v, "message"), SPAN("The node was low")));
	plan_kit_done(&k);
}

static void what_cannot_be_enforced_is_told(void **state)
{
	struct plan_kit k;

	(void)state;
	plan_kit_make(&k, POD(ONE), "main#0 run", "main#0");
	assert_null(strstr(told(&k, ""), "hythe.dev/Enforced")); /* nothing is missing */
	k.sandbox.shortcomings = SPAN("limits of memory are not enforced");
	assert_non_null(strstr(told(&k, ""), "'type':'hythe.dev/Enforced','status':'False'"));
	assert_non_null(strstr(told(&k, ""), "'message':'limits of memory are not enforced'"));
	plan_kit_done(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_enforced_is_told),     cmocka_unit_test(phases_are_kubelets),
		cmocka_unit_test(states_of_containers_are_kubelets),   cmocka_unit_test(readiness_is_what_probes_say),
		cmocka_unit_test(conditions_keep_their_times),         cmocka_unit_test(addresses_and_mounts_are_told),
		cmocka_unit_test(an_eviction_is_told_with_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
