/* SPDX-License-Identifier: Apache-2.0 */
/* node_test - the node with a runtime that only remembers: what it asks for, and what it tells. */
#include "node/node_kit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ONE   "'containers':[{'name':'main','image':'x','command':['run']}]"
#define STATE "status.containerStatuses.0."

static const char *at(struct node_kit *k, const char *path)
{
	return node_kit_at(k, "web", path);
}

static void a_pod_that_is_bound_runs_and_is_ready(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *text;
	char link[128], to[128];

	(void)state;
	node_kit_pod(k, "web", ONE);
	assert_string_equal(k->calls, "run web; start web/main#0");
	assert_string_equal(at(k, "status.phase"), "Running");
	assert_string_equal(at(k, STATE "ready"), "true");
	assert_string_equal(at(k, "status.podIP"), "127.97.0.2");
	assert_string_equal(at(k, "status.startTime"), "2027-01-15T08:00:00Z");
	assert_int_equal(node_kit_events(k, "web", "Created", &text), 1);
	assert_string_equal(text, "Created container: main");
	assert_int_equal(node_kit_events(k, "web", "Started", &text), 1);
	assert_string_equal(text, "Started container main");
	snprintf(link, sizeof(link), "%s/node/addresses/127.97.0.2", k->api.folder);
	assert_true(readlink(link, to, sizeof(to)) > 0);
	node_kit_done(k);
}

static bool event_take(void *context, struct record *r)
{
	bool *is_found = context;

	*is_found |= memmem(r->text.ptr, r->text.len, "\"fieldPath\":\"spec.containers{main}\"", 35) &&
		     memmem(r->text.ptr, r->text.len, "\"source\":{\"component\":\"kubelet\",\"host\":\"here\"}", 45);
	return true;
}

static void events_name_the_container_and_the_node(void **state)
{
	struct node_kit *k = node_kit_new();
	bool is_found = false;

	(void)state;
	node_kit_pod(k, "web", ONE);
	cluster_each(k->api.cluster, &resource_events, SPAN("default"), event_take, &is_found);
	assert_true(is_found);
	node_kit_done(k);
}

static void pods_of_other_nodes_are_left_alone(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_create(
	    k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','annotations':{'a':"
	    "'\\'nodeName\\':\\'here\\''}},'spec':{'nodeName':'there'," ONE "}}");
	assert_string_equal(k->calls, "");
	assert_string_equal(at(k, "status.phase"), "Pending");
	node_kit_done(k);
}

static void a_status_is_written_only_when_it_changes(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *before, *after;

	(void)state;
	node_kit_pod(k, "web", ONE);
	before = at(k, "metadata.resourceVersion");
	node_kit_advance(k, 100);
	node_kit_advance(k, 100);
	after = at(k, "metadata.resourceVersion");
	assert_string_equal(before, after);
	node_kit_done(k);
}

static void a_container_that_fails_again_and_again_waits(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *text;
	char wanted[200];

	(void)state;
	node_kit_pod(k, "web", ONE);
	fake_exit(k, "web", "main", 3);
	assert_string_equal(k->calls, "run web; start web/main#0; start web/main#1");
	assert_string_equal(at(k, STATE "restartCount"), "1");
	assert_string_equal(at(k, STATE "lastState.terminated.exitCode"), "3");
	fake_exit(k, "web", "main", 4);
	assert_string_equal(at(k, STATE "state.waiting.reason"), "CrashLoopBackOff");
	assert_string_equal(at(k, "status.phase"), "Running");
	assert_string_equal(at(k, STATE "ready"), "false");
	assert_int_equal(node_kit_events(k, "web", "BackOff", &text), 1);
	snprintf(wanted, sizeof(wanted), "Back-off restarting failed container main in pod web_default(%s)",
		 at(k, "metadata.uid"));
	assert_string_equal(text, wanted);
	node_kit_advance(k, 9);
	assert_string_equal(at(k, STATE "restartCount"), "1");
	node_kit_advance(k, 1);
	assert_string_equal(at(k, STATE "restartCount"), "2");
	assert_string_equal(at(k, STATE "ready"), "true");
	node_kit_done(k);
}

static bool one_more(void *context, struct record *r)
{
	(void)r;
	++*(int *)context;
	return true;
}

static long memory_pages(void)
{
	long all, resident;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &all, &resident), 2);
	fclose(f);
	return resident;
}

/* Five minutes lie between two of them: a day of a pod that cannot run. */
static void hundreds_of_restarts_leave_no_more_than_one(void **state)
{
	enum { FEW = 30, MANY = 300 };
	struct node_kit *k = node_kit_new();
	long pages = 0;
	int events = 0, few_events = 0;
	char count[16];

	(void)state;
	node_kit_pod(k, "web", ONE);
	for (int i = 1; i <= MANY; i++) {
		fake_exit(k, "web", "main", 1);
		node_kit_advance(k, 300);
		k->calls[0] = 0;
		if (i != FEW)
			continue;
		pages = memory_pages();
		cluster_each(k->api.cluster, &resource_events, SPAN("default"), one_more, &few_events);
	}
	snprintf(count, sizeof(count), "%d", MANY);
	assert_string_equal(at(k, STATE "restartCount"), count);
	assert_string_equal(at(k, STATE "ready"), "true");
	cluster_each(k->api.cluster, &resource_events, SPAN("default"), one_more, &events);
	assert_true(events <= few_events + 4); /* they are counted, not heaped up */
#ifndef __SANITIZE_ADDRESS__                   /* which keeps what was freed */
	assert_true(memory_pages() <
		    pages + (long)(MIB(32) >> 12)); /* the store keeps old versions for watches, up to a limit */
#else
	(void)pages;
#endif
	node_kit_done(k); /* which has room for FAKE_CONTAINERS: those before the last were removed */
}

static void a_port_of_the_host_is_told_as_not_opened(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *text;

	(void)state;
	node_kit_pod(
	    k, "web",
	    "'containers':[{'name':'main','image':'x','command':['run'],'ports':[{'containerPort':80,'hostPort':8080},"
	    "{'containerPort':81}]}]");
	assert_string_equal(at(k, "status.phase"), "Running");
	assert_int_equal(node_kit_events(k, "web", "HostPortNotSupported", &text), 1);
	assert_string_equal(text, "hostPort 8080 is not opened: this hythe has no gateway (--gateway=on)");
	node_kit_done(k);
}

static void a_job_pod_ends_for_good(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_pod(k, "web", ONE ",'restartPolicy':'Never'");
	fake_exit(k, "web", "main", 0);
	assert_string_equal(at(k, "status.phase"), "Succeeded");
	assert_string_equal(at(k, STATE "state.terminated.reason"), "Completed");
	assert_string_equal(k->calls, "run web; start web/main#0; end web");
	node_kit_again(k);
	assert_string_equal(k->calls, "");
	node_kit_done(k);
}

static void a_deleted_pod_is_ended_by_its_grace_and_gone(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *text;

	(void)state;
	node_kit_pod(k, "web", ONE);
	k->holds_stops = true;
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "run web; start web/main#0; stop main#0 30");
	assert_int_equal(node_kit_events(k, "web", "Killing", &text), 1);
	assert_string_equal(text, "Stopping container main");
	assert_non_null(node_kit_get(k, &resource_pods, "web"));
	node_kit_delete(k, "web", 5);
	assert_string_equal(k->calls, "run web; start web/main#0; stop main#0 30; stop main#0 5");
	fake_exit(k, "web", "main", 143);
	assert_null(node_kit_get(k, &resource_pods, "web"));
	assert_false(fake_has(k, "web"));
	node_kit_done(k);
}

static void hooks_are_run(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *text;

	(void)state;
	node_kit_pod(
	    k, "web",
	    "'containers':[{'name':'main','image':'x','command':['run'],'lifecycle':{'postStart':{'exec':{'command':"
	    "['hello']}},'preStop':{'exec':{'command':['bye']}}}}]");
	assert_string_equal(k->calls, "run web; start web/main#0; exec main#0 hello");
	assert_string_equal(at(k, STATE "ready"), "true");
	k->fails_exec = true;
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "run web; start web/main#0; exec main#0 hello; exec main#0 bye; stop main#0 30; "
				      "end web; remove web");
	assert_int_equal(node_kit_events(k, "web", "FailedPreStopHook", &text), 1);
	assert_string_equal(text, "PreStopHook failed");
	node_kit_done(k);
}

static void a_failed_start_hook_ends_the_container(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	k->fails_exec = true;
	node_kit_pod(k, "web",
		     "'restartPolicy':'Never','containers':[{'name':'main','image':'x','command':['run'],'lifecycle':{"
		     "'postStart':{'exec':{'command':['hello']}}}}]");
	assert_string_equal(k->calls, "run web; start web/main#0; exec main#0 hello; stop main#0 30; end web");
	assert_int_equal(node_kit_events(k, "web", "FailedPostStartHook", NULL), 1);
	node_kit_done(k);
}

static void a_node_begun_anew_adopts_what_runs(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_pod(
	    k, "web",
	    "'containers':[{'name':'main','image':'x','command':['run'],'readinessProbe':{'exec':{'command':['ok']},"
	    "'initialDelaySeconds':0}}]");
	assert_string_equal(at(k, STATE "ready"), "true");
	fake_exit(k, "web", "main", 1);
	assert_string_equal(at(k, STATE "restartCount"), "1");
	k->fails_exec = true;
	node_kit_again(k);
	assert_null(strstr(k->calls, "start"));
	assert_string_equal(at(k, STATE "ready"), "true");
	assert_string_equal(at(k, STATE "restartCount"), "1");
	assert_string_equal(at(k, "status.podIP"), "127.97.0.2");
	node_kit_pod(k, "other", ONE);
	assert_string_equal(node_kit_at(k, "other", "status.podIP"), "127.97.0.3");
	node_kit_done(k);
}

static void what_was_deleted_meanwhile_is_removed(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_pod(k, "web", ONE);
	node_kit_down(k);
	node_kit_delete(k, "web", 0);
	node_kit_begin(k);
	assert_false(fake_has(k, "web"));
	node_kit_done(k);
}

static void a_pod_deleted_by_force_is_ended(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_pod(k, "web", ONE);
	node_kit_delete(k, "web", 0);
	assert_string_equal(k->calls, "run web; start web/main#0; stop main#0 2; end web; remove web");
	node_kit_done(k);
}

static void a_sandbox_that_dies_is_made_again(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_pod(k, "web", ONE);
	fake_die(k, "web");
	assert_string_equal(k->calls, "run web; start web/main#0; remove web; run web; start web/main#1");
	assert_int_equal(node_kit_events(k, "web", "SandboxChanged", NULL), 1);
	assert_string_equal(at(k, STATE "restartCount"), "1");
	assert_string_equal(at(k, STATE "lastState.terminated.exitCode"), "137");
	assert_string_equal(at(k, STATE "ready"), "true");
	node_kit_done(k);
}

static void what_is_missing_is_told_and_waited_for(void **state)
{
	static const struct resource configmaps = { "", "v1", "configmaps", "ConfigMap" };
	struct node_kit *k = node_kit_new();
	const char *text;

	(void)state;
	node_kit_pod(
	    k, "web",
	    "'containers':[{'name':'main','image':'x','command':['run'],'envFrom':[{'configMapRef':{'name':'c'}}]}]");
	assert_string_equal(at(k, STATE "state.waiting.reason"), "CreateContainerConfigError");
	assert_string_equal(at(k, STATE "state.waiting.message"), "configmap \"c\" not found");
	assert_int_equal(node_kit_events(k, "web", "Failed", &text), 1);
	assert_string_equal(text, "Error: configmap \"c\" not found");
	node_kit_create(
	    k, &configmaps,
	    "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','namespace':'default'},'data':{'a':'b'}}");
	assert_string_equal(at(k, STATE "ready"), "true");
	node_kit_done(k);
}

static void a_container_that_cannot_start_is_told_so(void **state)
{
	struct node_kit *k = node_kit_new();
	const char *text;

	(void)state;
	k->fails_start = "exec: \"run\": executable file not found in $PATH";
	node_kit_pod(k, "web", ONE ",'restartPolicy':'Never'");
	assert_string_equal(at(k, "status.phase"), "Failed");
	assert_string_equal(at(k, STATE "state.terminated.reason"), "StartError");
	assert_string_equal(at(k, STATE "state.terminated.exitCode"), "128");
	assert_int_equal(node_kit_events(k, "web", "Failed", &text), 1);
	assert_string_equal(text, "Error: exec: \"run\": executable file not found in $PATH");
	node_kit_done(k);
}

/* ---- drained before it ends ---- */

#define SLICE(conditions)                                                                                              \
	"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'web-a','namespace':'default'," \
	"'labels':{'kubernetes.io/service-name':'web'}},'addressType':'IPv4','ports':[{'port':80}],'endpoints':["      \
	"{'addresses':['127.97.0.9'],'conditions':{'ready':true}},"                                                    \
	"{'addresses':['127.97.0.2'],'conditions':{" conditions "}}]}"

/* Nothing was called before. */
static struct node_kit *draining_kit(void)
{
	struct node_kit *k = node_kit_new();

	k->drains = true;
	node_kit_again(k);
	node_kit_pod(k, "web", ONE);
	assert_string_equal(k->calls, "run web; start web/main#0");
	k->calls[0] = '\0';
	return k;
}

static void a_pod_is_drained_before_it_is_told_to_end(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	k->holds_drains = true;
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "drain 127.97.0.2 15");
	assert_string_equal(at(k, STATE "ready"), "true");
	assert_int_equal(node_kit_events(k, "web", "Killing", NULL), 0);
	node_kit_advance(k, 4);
	assert_string_equal(k->calls, "drain 127.97.0.2 15");
	fake_drained(k);
	assert_string_equal(k->calls, "drain 127.97.0.2 15; stop main#0 26; end web; remove web; forget 127.97.0.2");
	assert_null(node_kit_get(k, &resource_pods, "web"));
	node_kit_done(k);
}

static void a_drain_has_half_of_the_grace(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	k->holds_drains = true;
	node_kit_delete(k, "web", -1);
	node_kit_advance(k, 14);
	assert_string_equal(k->calls, "drain 127.97.0.2 15");
	node_kit_advance(k, 1);
	assert_string_equal(k->calls, "drain 127.97.0.2 15; stop main#0 15; end web; remove web; forget 127.97.0.2");
	fake_drained(k); /* too late: nobody waits for it */
	node_kit_done(k);
}

static void a_drain_is_shortened_with_the_grace(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	k->holds_drains = true;
	node_kit_delete(k, "web", -1);
	node_kit_advance(k, 3);
	node_kit_delete(k, "web", 6);
	assert_string_equal(k->calls, "drain 127.97.0.2 15; stop main#0 3; end web; remove web; forget 127.97.0.2");
	fake_drained(k);
	node_kit_done(k);
}

static void slices_lose_a_pod_before_it_is_drained(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	node_kit_create(k, &resource_endpoint_slices, SLICE("'ready':true"));
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "");
	node_kit_replace(k, &resource_endpoint_slices, SLICE("'ready':false,'serving':true,'terminating':true"));
	assert_string_equal(k->calls, "drain 127.97.0.2 15; stop main#0 30; end web; remove web; forget 127.97.0.2");
	node_kit_done(k);
}

static void slices_that_nobody_keeps_true_are_not_waited_for(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	node_kit_create(k, &resource_endpoint_slices, SLICE("'ready':true"));
	node_kit_delete(k, "web", -1);
	node_kit_advance(k, 1);
	assert_string_equal(k->calls, "");
	node_kit_advance(k, 1);
	assert_string_equal(k->calls, "drain 127.97.0.2 13; stop main#0 28; end web; remove web; forget 127.97.0.2");
	node_kit_done(k);
}

static void a_pod_that_is_evicted_is_drained_too(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	k->drains = k->holds_drains = true;
	node_kit_again(k);
	node_kit_create(k, &resource_endpoint_slices, SLICE("'ready':true"));
	node_kit_pod(k, "web", ONE ",'activeDeadlineSeconds':20,'restartPolicy':'Never'");
	k->calls[0] = '\0';
	node_kit_advance(k, 20);
	assert_string_equal(k->calls, "drain 127.97.0.2 15"); /* its slices change when it has ended */
	fake_drained(k);
	assert_string_equal(k->calls, "drain 127.97.0.2 15; stop main#0 30; end web");
	assert_string_equal(at(k, "status.reason"), "DeadlineExceeded");
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "drain 127.97.0.2 15; stop main#0 30; end web; remove web; forget 127.97.0.2");
	node_kit_done(k);
}

static void what_does_not_run_is_not_drained(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	fake_exit(k, "web", "main", 1);
	fake_exit(k, "web", "main", 1); /* it waits for its restart */
	k->calls[0] = '\0';
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "end web; remove web");
	node_kit_pod(k, "web", ONE ",'restartPolicy':'Never'");
	fake_exit(k, "web", "main", 0);
	k->calls[0] = '\0';
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "remove web");
	node_kit_done(k);
}

static void nothing_is_waited_for_without_grace(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	k->holds_drains = true;
	node_kit_delete(k, "web", 0);
	assert_string_equal(k->calls, "drain 127.97.0.2 0; stop main#0 2; end web; remove web; forget 127.97.0.2");
	fake_drained(k);
	node_kit_done(k);
}

static void the_hosts_own_address_is_not_drained(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	node_kit_pod(k, "host", ONE ",'hostNetwork':true");
	k->calls[0] = '\0';
	node_kit_delete(k, "host", -1);
	assert_string_equal(k->calls, "stop main#0 30; end host; remove host");
	node_kit_done(k);
}

static void a_node_begun_anew_drains_again(void **state)
{
	struct node_kit *k = draining_kit();

	(void)state;
	k->holds_drains = true;
	node_kit_delete(k, "web", -1);
	assert_string_equal(k->calls, "drain 127.97.0.2 15");
	k->drained = NULL;
	node_kit_again(k); /* begun anew it drains again */
	assert_string_equal(k->calls, "drain 127.97.0.2 15");
	fake_drained(k);
	assert_null(node_kit_get(k, &resource_pods, "web"));
	node_kit_done(k);
}

static void a_deadline_ends_a_pod(void **state)
{
	struct node_kit *k = node_kit_new();

	(void)state;
	node_kit_pod(k, "web", ONE ",'activeDeadlineSeconds':20,'restartPolicy':'Never'");
	node_kit_advance(k, 19);
	assert_string_equal(at(k, "status.phase"), "Running");
	node_kit_advance(k, 1);
	assert_string_equal(at(k, "status.phase"), "Failed");
	assert_string_equal(at(k, "status.reason"), "DeadlineExceeded");
	assert_string_equal(at(k, "status.message"), "Pod was active on the node longer than the specified deadline");
	node_kit_done(k);
}

/* As many as there are addresses; the next one begins when one of them has gone. */
static void a_pod_waits_for_an_address(void **state)
{
	enum { ADDRESSES = 5 }; /* of a range of 8 */
	struct node_kit *k = node_kit_new();
	char name[8] = "pod0";

	(void)state;
	node_kit_down(k);
	k->pod_addresses = "127.97.0.0/29";
	node_kit_begin(k);
	for (int i = 0; i < ADDRESSES; i++) {
		name[3] = (char)('0' + i);
		node_kit_pod(k, name, ONE);
		assert_string_equal(node_kit_at(k, name, "status.phase"), "Running");
	}
	node_kit_pod(k, "web", ONE);
	node_kit_pod(k, "more", ONE);
	assert_string_equal(at(k, "status.phase"), "Pending");
	node_kit_delete(k, "pod3", 0);
	node_kit_delete(k, "pod1", 0);
	assert_string_equal(at(k, "status.phase"), "Running");
	assert_string_equal(node_kit_at(k, "more", "status.phase"), "Running");
	node_kit_done(k);
}

/* The way to a pod that could not be made at once (the disk was full) is made when its sandbox is told of again. */
static void a_way_to_a_pod_is_made_later(void **state)
{
	struct node_kit *k = node_kit_new();
	char link[128], below[136], to[128];

	(void)state;
	snprintf(link, sizeof(link), "%s/node/addresses/127.97.0.2", k->api.folder);
	snprintf(below, sizeof(below), "%s/x", link);
	assert_int_equal(mkdir(link, 0700), 0);
	assert_int_equal(mkdir(below, 0700), 0);
	node_kit_pod(k, "web", ONE ",'restartPolicy':'Never'");
	assert_string_equal(at(k, "status.podIP"), "127.97.0.2");
	assert_int_equal(rmdir(below), 0);
	assert_int_equal(rmdir(link), 0);
	fake_exit(k, "web", "main", 0);
	assert_true(readlink(link, to, sizeof(to)) > 0);
	node_kit_done(k);
}

static bool is_told(struct node_kit *k, const char *words)
{
	char path[128], text[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/node/network/names", k->api.folder);
	f = fopen(path, "re");
	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = 0;
	if (f)
		fclose(f);
	return strstr(text, words) != NULL;
}

/* What could not be written (the disk was full) is written when it can, though nothing changes any more. */
static void where_services_lead_is_told_again(void **state)
{
	struct node_kit *k = node_kit_new();
	char blocked[128];

	(void)state;
	node_kit_settle(k);
	snprintf(blocked, sizeof(blocked), "%s/node/network/names.new", k->api.folder);
	assert_int_equal(mkdir(blocked, 0700), 0);
	node_kit_create(
	    k, &resource_services,
	    "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web'},'spec':{'ports':[{'port':80}]}}");
	for (int i = 0; i < 20; i++) {
		usleep(10000);
		node_kit_settle(k);
	}
	assert_false(is_told(k, "web.default"));
	assert_int_equal(rmdir(blocked), 0);
	for (int i = 0; i < 3000 && !is_told(k, "web.default"); i++) {
		usleep(10000);
		node_kit_settle(k);
	}
	assert_true(is_told(k, "web.default"));
	node_kit_done(k);
}

static void other_runtimes_are_not_had(void **state)
{
	static const struct resource classes = { "node.k8s.io", "v1", "runtimeclasses", "RuntimeClass" };
	struct node_kit *k = node_kit_new();
	const char *text;

	(void)state;
	assert_non_null(cluster_get(k->api.cluster, &classes, (struct span){ 0 }, SPAN("process")));
	node_kit_create(
	    k, &classes,
	    "{'apiVersion':'node.k8s.io/v1','kind':'RuntimeClass','metadata':{'name':'gvisor'},'handler':'runsc'}");
	node_kit_pod(k, "web", ONE ",'runtimeClassName':'process'");
	assert_string_equal(at(k, "status.phase"), "Running");
	node_kit_pod(k, "other", ONE ",'runtimeClassName':'gvisor'");
	assert_string_equal(node_kit_at(k, "other", "status.phase"), "Pending");
	assert_true(node_kit_events(k, "other", "FailedCreatePodSandBox", &text) > 0);
	assert_non_null(strstr(text, "no runtime for \"runsc\" is configured"));
	node_kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_that_is_bound_runs_and_is_ready),
		cmocka_unit_test(events_name_the_container_and_the_node),
		cmocka_unit_test(pods_of_other_nodes_are_left_alone),
		cmocka_unit_test(a_status_is_written_only_when_it_changes),
		cmocka_unit_test(a_container_that_fails_again_and_again_waits),
		cmocka_unit_test(hundreds_of_restarts_leave_no_more_than_one),
		cmocka_unit_test(a_port_of_the_host_is_told_as_not_opened),
		cmocka_unit_test(a_job_pod_ends_for_good),
		cmocka_unit_test(a_deleted_pod_is_ended_by_its_grace_and_gone),
		cmocka_unit_test(hooks_are_run),
		cmocka_unit_test(a_failed_start_hook_ends_the_container),
		cmocka_unit_test(a_node_begun_anew_adopts_what_runs),
		cmocka_unit_test(what_was_deleted_meanwhile_is_removed),
		cmocka_unit_test(a_pod_deleted_by_force_is_ended),
		cmocka_unit_test(a_sandbox_that_dies_is_made_again),
		cmocka_unit_test(what_is_missing_is_told_and_waited_for),
		cmocka_unit_test(a_container_that_cannot_start_is_told_so),
		cmocka_unit_test(a_pod_is_drained_before_it_is_told_to_end),
		cmocka_unit_test(a_drain_has_half_of_the_grace),
		cmocka_unit_test(a_drain_is_shortened_with_the_grace),
		cmocka_unit_test(slices_lose_a_pod_before_it_is_drained),
		cmocka_unit_test(slices_that_nobody_keeps_true_are_not_waited_for),
		cmocka_unit_test(a_pod_that_is_evicted_is_drained_too),
		cmocka_unit_test(what_does_not_run_is_not_drained),
		cmocka_unit_test(nothing_is_waited_for_without_grace),
		cmocka_unit_test(the_hosts_own_address_is_not_drained),
		cmocka_unit_test(a_node_begun_anew_drains_again),
		cmocka_unit_test(a_deadline_ends_a_pod),
		cmocka_unit_test(a_pod_waits_for_an_address),
		cmocka_unit_test(a_way_to_a_pod_is_made_later),
		cmocka_unit_test(where_services_lead_is_told_again),
		cmocka_unit_test(other_runtimes_are_not_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
