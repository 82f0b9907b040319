/* SPDX-License-Identifier: Apache-2.0 */
#include "node/place_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/kube.h"
#include "node/machine_private.h"
#include "store/store.h"

static const struct resource resource_node_usage = { "metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics" };

/* ---- a runtime that only tells what tests say ---- */

struct told {
	const char *uid;
	int64_t cpu_ns, memory;
};

struct fixture {
	struct place_kit *k;
	struct machine *m;
	struct machine_config config;
	struct runtime runtime;
	struct told told[8];
	size_t told_count;
	unsigned news;
	char root[96], folder[96];
};

static void usage(struct runtime *r, struct span uid,
		  void (*done)(void *context, const struct sandbox_usage *u, const struct error *err), void *context)
{
	struct fixture *f = CONTAINER_OF(r, struct fixture, runtime);
	struct error err = { 0 };

	for (size_t i = 0; i < f->told_count; i++) {
		const struct told *t = &f->told[i];
		const struct container_usage c = { SPAN("c"), 0, t->cpu_ns, t->memory, 1 };
		const struct sandbox_usage u = { t->cpu_ns, t->memory, 1, &c, 1 };

		if (span_equal(uid, span_of(t->uid))) {
			done(context, &u, NULL);
			return;
		}
	}
	error_set(&err, ERROR_NOT_FOUND, "there is no such sandbox");
	done(context, NULL, &err);
}

static int64_t now(void *context)
{
	return ((struct fixture *)context)->k->now_ns;
}

static void changed(void *context)
{
	((struct fixture *)context)->news++;
}

static void put_file(struct fixture *f, const char *path, const char *text)
{
	char whole[256], *slash;
	FILE *file;

	snprintf(whole, sizeof(whole), "%s%s", f->root, path);
	for (slash = whole + strlen(f->root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(whole, 0700);
		*slash = '/';
	}
	file = fopen(whole, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void memory_is(struct fixture *f, int64_t mib)
{
	char text[128];

	snprintf(text, sizeof(text), "MemTotal:        4194304 kB\nMemFree: 5 kB\nMemAvailable:    %lld kB\n",
		 (long long)mib * 1024);
	put_file(f, "/proc/meminfo", text);
}

static int setup(void **state)
{
	static const struct runtime_ops ops = { .name = "told", .usage = usage };
	struct fixture *f = base_calloc(1, sizeof(*f));

	f->k = place_kit_new();
	snprintf(f->root, sizeof(f->root), "%s/root", f->k->api.folder);
	snprintf(f->folder, sizeof(f->folder), "%s/node", f->k->api.folder);
	assert_int_equal(mkdir(f->root, 0700) | mkdir(f->folder, 0700), 0);
	memory_is(f, 3000);
	put_file(f, "/proc/self/status", "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-2,5\nMems_allowed:\t1\n");
	put_file(f, "/proc/self/cgroup", "4:memory:/\n1:cpu,cpuacct:/\n0::/\n");
	put_file(f, "/proc/sys/kernel/osrelease", "6.1.0-test\n");
	put_file(f, "/proc/sys/kernel/pid_max", "32768\n");
	put_file(f, "/proc/loadavg", "0.10 0.20 0.30 1/100 4242\n");
	put_file(f, "/proc/stat", "cpu  100 0 100 5000 50 0 0 0 0 0\ncpu0 1 2 3\n");
	put_file(f, "/etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
	put_file(f, "/etc/machine-id", "abc\n");
	f->runtime.ops = &ops;
	f->config = (struct machine_config){ .cluster = f->k->api.cluster,
					     .kube = f->k->api.kube,
					     .loop = f->k->api.loop,
					     .runtime = &f->runtime,
					     .name = SPAN("host-1"),
					     .address = SPAN("127.0.0.1"),
					     .pod_cidr = SPAN("127.97.0.0/16"),
					     .folder = span_of(f->folder),
					     .pods_most = 500,
					     .reserved_memory = (int64_t)MIB(96),
					     .reserved_cpu = 100,
					     .eviction_memory = (int64_t)MIB(100),
					     .changed = changed,
					     .wall_ns = now,
					     .context = f,
					     .root = f->root };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct machine *m = f->m;

	machine_stop(m);
	place_kit_settle(f->k, NULL, NULL);
	place_kit_done(f->k);
	machine_free(m);
	free(f);
	return 0;
}

static void begin(struct fixture *f)
{
	f->m = machine_new(&f->config, &f->k->err);
	if (!f->m)
		fail_msg("%s", f->k->err.message);
	place_kit_settle(f->k, NULL, NULL);
}

static void advance(struct fixture *f, int64_t seconds)
{
	f->k->now_ns += seconds * NS_PER_S;
	kube_kit_wall(&f->k->api, f->k->now_ns);
	machine_look(f->m);
	place_kit_settle(f->k, NULL, NULL);
}

static struct value *node(struct fixture *f)
{
	struct value *v = place_kit_get(f->k, &resource_nodes, "", "host-1");

	assert_non_null(v);
	return v;
}

static void assert_text(const struct value *object, const char *path, const char *text)
{
	struct span found = value_find_string(object, path);

	if (!span_equal(found, span_of(text)))
		fail_msg("%s is '" SPAN_FMT "', not '%s'", path, SPAN_ARG(found), text);
}

static const struct value *condition(struct fixture *f, const char *type)
{
	const struct value *list = value_find(node(f), "status.conditions");

	for (uint32_t i = 0; i < list->array.count; i++)
		if (span_equal(value_find_string(value_item(list, i), "type"), span_of(type)))
			return value_item(list, i);
	fail_msg("there is no condition %s", type);
	return NULL;
}

static const char *text_of(struct fixture *f, struct span s)
{
	return arena_copy(&f->k->api.arena, s, &f->k->err).ptr;
}

/* A pod that runs here and uses so much; its uid. */
static const char *pod_run(struct fixture *f, const char *name, const char *spec, const char *container, int64_t memory)
{
	struct value *pod = place_kit_apply(f->k, &resource_pods,
					    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','labels':{'app':'"
					    "x'}},'spec':{'nodeName':'host-1',%s"
					    "'containers':[{'name':'c','image':'i'%s}]},'status':{'phase':'Running'}}",
					    name, spec, container);
	const char *uid = text_of(f, value_find_string(pod, "metadata.uid"));

	f->told[f->told_count++] = (struct told){ uid, 0, memory };
	return uid;
}

/* ---- facts ---- */

static void control_groups_that_hold_this_program_take_part(void **state)
{
	static const struct {
		const char *path[4], *text[4];
		int64_t cpu, memory, available;
	} rows[] = {
		{ { 0 }, { 0 }, 4000, INT64_C(4) << 30, (int64_t)MIB(3000) },
		{ { "/proc/self/cgroup", "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
		    "/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "/sys/fs/cgroup/memory/a/b/memory.stat" },
		  { "4:memory:/a/b\n1:cpu:/\n", "1073741824\n", "536870912\n",
		    "inactive_file 5\ntotal_inactive_file 268435456\n" },
		  4000,
		  INT64_C(1) << 30,
		  (int64_t)MIB(768) },
		{ { "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/a/memory.usage_in_bytes",
		    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us" },
		  { "536870912\n", "436207616\n", "150000\n", "100000\n" },
		  1500,
		  (int64_t)MIB(512),
		  (int64_t)MIB(96) },
		{ { "/sys/fs/cgroup/cgroup.controllers", "/proc/self/cgroup", "/sys/fs/cgroup/x/memory.max",
		    "/sys/fs/cgroup/x/cpu.max" },
		  { "cpu memory pids\n", "0::/x\n", "max\n", "max 100000\n" },
		  4000,
		  INT64_C(4) << 30,
		  (int64_t)MIB(3000) },
		{ { "/sys/fs/cgroup/x/memory.max", "/sys/fs/cgroup/x/memory.current", "/sys/fs/cgroup/x/memory.stat",
		    "/sys/fs/cgroup/x/cpu.max" },
		  { "2147483648\n", "1073741824\n", "anon 5\ninactive_file 1048576\n", "25000 50000\n" },
		  500,
		  INT64_C(2) << 30,
		  (int64_t)MIB(1025) },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct machine_facts facts;
		struct machine_use use;

		for (size_t k = 0; k < 4 && rows[i].path[k]; k++)
			put_file(f, rows[i].path[k], rows[i].text[k]);
		assert_true(machine_facts_read(f->root, f->folder, &facts, &f->k->err));
		assert_true(machine_use_read(f->root, f->folder, &use, &f->k->err));
		assert_int_equal(facts.cpu, rows[i].cpu);
		assert_int_equal(facts.memory, rows[i].memory);
		assert_int_equal(use.memory_available, rows[i].available);
	}
}

static void this_very_machine_can_be_read(void **state)
{
	struct fixture *f = *state;
	struct machine_facts facts;
	struct machine_use use;

	assert_true(machine_facts_read("", f->folder, &facts, &f->k->err));
	assert_true(machine_use_read("", f->folder, &use, &f->k->err));
	assert_true(facts.cpu > 0 && facts.memory > (int64_t)MIB(64) && facts.disk > 0);
	assert_true(use.memory_available > 0 && use.memory_available <= facts.memory);
	assert_true(use.cpu_ns > 0 && use.processes > 0 && use.processes < use.processes_most);
	assert_true(strlen(facts.kernel) > 2 && strlen(facts.os) > 2 && strlen(facts.boot_id) > 8);
}

static void a_machine_that_cannot_be_read_is_told(void **state)
{
	struct fixture *f = *state;

	put_file(f, "/proc/meminfo", "nothing\n");
	assert_null(machine_new(&f->config, &f->k->err));
	assert_non_null(strstr(f->k->err.message, "cannot read how much memory there is"));
}

/* ---- the Node ---- */

static void the_node_tells_what_it_has_and_how_it_is(void **state)
{
	struct fixture *f = *state;
	int64_t revision, cpu, memory;
	struct value *v;

	begin(f);
	v = node(f);
	assert_text(v, "status.capacity.cpu", "4");
	assert_text(v, "status.capacity.memory", "4Gi");
	assert_text(v, "status.capacity.pods", "500");
	assert_text(v, "status.allocatable.cpu", "3900m");
	assert_text(v, "status.allocatable.memory", "3900Mi");
	assert_text(v, "status.nodeInfo.osImage", "Debian GNU/Linux 12 (bookworm)");
	assert_text(v, "status.nodeInfo.kernelVersion", "6.1.0-test");
	assert_text(v, "status.nodeInfo.kubeletVersion", "v1.33.13+hythe");
	assert_text(v, "status.nodeInfo.containerRuntimeVersion", "process://" HYTHE_VERSION);
	assert_text(v, "spec.podCIDR", "127.97.0.0/16");
	assert_text(value_item(value_find(v, "status.addresses"), 0), "address", "127.0.0.1");
	assert_text(value_item(value_find(v, "status.addresses"), 1), "type", "Hostname");
	assert_true(span_equal(value_get(value_find(v, "metadata.labels"), SPAN("kubernetes.io/hostname"))->string,
			       SPAN("host-1")));
	assert_true(
	    span_equal(value_get(value_find(v, "metadata.labels"), SPAN("kubernetes.io/os"))->string, SPAN("linux")));
	assert_text(condition(f, "Ready"), "reason", "KubeletReady");
	assert_text(condition(f, "MemoryPressure"), "status", "False");
	assert_text(condition(f, "MemoryPressure"), "reason", "KubeletHasSufficientMemory");
	assert_text(condition(f, "DiskPressure"), "reason", "KubeletHasNoDiskPressure");
	assert_text(condition(f, "PIDPressure"), "message", "kubelet has sufficient PID available");
	machine_allocatable(f->m, &cpu, &memory);
	assert_int_equal(cpu, 3900);
	assert_int_equal(memory, (int64_t)MIB(3900));
	/* What is as it was is not written again but every five minutes. */
	revision = store_revision(f->k->api.store);
	machine_look(f->m);
	place_kit_settle(f->k, NULL, NULL);
	assert_int_equal(store_revision(f->k->api.store), revision);
	advance(f, 301);
	assert_text(condition(f, "Ready"), "lastHeartbeatTime",
		    text_of(f, kube_now_text(f->k->now_ns, &f->k->api.arena)));
	assert_text(condition(f, "Ready"), "lastTransitionTime",
		    text_of(f, kube_now_text(f->k->now_ns - 301 * NS_PER_S, &f->k->api.arena)));
}

static void what_others_have_put_on_the_node_stays(void **state)
{
	struct fixture *f = *state;
	struct value *v;

	place_kit_apply(f->k, &resource_nodes,
			"{'apiVersion':'v1','kind':'Node','metadata':{'name':'host-1','labels':{'zone':'a',"
			"'kubernetes.io/os':'plan9'}},'spec':{'taints':[{'key':'k','effect':'NoSchedule'}]},"
			"'status':{'capacity':{'acme.io/gpu':'2'},'conditions':[{'type':'Frozen','status':'True',"
			"'reason':'r','message':'m','lastHeartbeatTime':'2026-01-01T00:00:00Z','lastTransitionTime':"
			"'2026-01-01T00:00:00Z'}]}}");
	begin(f);
	v = node(f);
	assert_text(v, "metadata.labels.zone", "a");
	assert_true(
	    span_equal(value_get(value_find(v, "metadata.labels"), SPAN("kubernetes.io/os"))->string, SPAN("linux")));
	assert_text(value_item(value_find(v, "spec.taints"), 0), "key", "k");
	assert_true(span_equal(value_get(value_find(v, "status.capacity"), SPAN("acme.io/gpu"))->string, SPAN("2")));
	assert_text(condition(f, "Frozen"), "status", "True");
	assert_text(condition(f, "Ready"), "status", "True");
}

static void a_node_that_was_deleted_comes_back(void **state)
{
	struct fixture *f = *state;

	begin(f);
	place_kit_delete(f->k, &resource_nodes, "host-1");
	place_kit_settle(f->k, NULL, NULL);
	assert_text(condition(f, "Ready"), "status", "True");
}

static void the_lease_is_renewed_every_ten_seconds(void **state)
{
	struct fixture *f = *state;
	struct value *lease;
	char text[CLOCK_TEXT_SIZE];

	begin(f);
	for (int i = 0; i < 3; i++) {
		lease = place_kit_get(f->k, &resource_leases, "kube-node-lease", "host-1");
		assert_non_null(lease);
		assert_text(lease, "spec.holderIdentity", "host-1");
		assert_int_equal(value_find_int(lease, "spec.leaseDurationSeconds", 0), 40);
		text[clock_print_rfc3339(f->k->now_ns, text)] = '\0';
		assert_text(lease, "spec.renewTime", text);
		advance(f, 10);
	}
	assert_text(value_item(value_find(lease, "metadata.ownerReferences"), 0), "kind", "Node");
}

static void pressure_is_told_for_five_minutes_after_it_has_gone(void **state)
{
	struct fixture *f = *state;
	struct value *best, *burst;
	struct span message = { 0 };

	begin(f);
	best = place_kit_parse(f->k, "{'spec':{'containers':[{'name':'c'}]}}");
	burst = place_kit_parse(f->k, "{'spec':{'containers':[{'name':'c','resources':{'requests':{'cpu':'1'}}}]}}");
	assert_true(machine_admits(f->m, best, &f->k->api.arena, &message));
	memory_is(f, 50);
	advance(f, 10);
	assert_text(condition(f, "MemoryPressure"), "status", "True");
	assert_text(condition(f, "MemoryPressure"), "reason", "KubeletHasInsufficientMemory");
	assert_text(condition(f, "MemoryPressure"), "message", "kubelet has insufficient memory available");
	assert_false(machine_admits(f->m, best, &f->k->api.arena, &message));
	assert_true(span_equal(message, SPAN("The node had condition: [MemoryPressure]. ")));
	assert_true(machine_admits(f->m, burst, &f->k->api.arena, &message));
	memory_is(f, 3000);
	advance(f, 290);
	assert_text(condition(f, "MemoryPressure"), "status", "True");
	advance(f, 20);
	assert_text(condition(f, "MemoryPressure"), "status", "False");
	/* Processes. */
	put_file(f, "/proc/loadavg", "0.10 0.20 0.30 1/32000 4242\n");
	advance(f, 10);
	assert_text(condition(f, "PIDPressure"), "reason", "KubeletHasInsufficientPID");
	assert_false(machine_admits(f->m, burst, &f->k->api.arena, &message));
	assert_true(span_equal(message, SPAN("The node had condition: [PIDPressure]. ")));
}

/* ---- eviction ---- */

static void pods_over_their_request_go_first_then_those_of_low_priority(void **state)
{
	static const struct {
		struct eviction_candidate list[4];
		size_t count;
		int chosen;
	} rows[] = {
		{ { { 0 } }, 0, -1 },
		{ { { 9, 0, 0, true } }, 1, -1 },
		{ { { 5, 10, 0, false }, { 2, 1, 9, false } }, 2, 1 },                      /* over its request */
		{ { { 5, 1, 3, false }, { 2, 1, 2, false } }, 2, 1 },                       /* lower priority */
		{ { { 5, 1, 2, false }, { 9, 1, 2, false }, { 9, 4, 2, false } }, 3, 1 },   /* more over */
		{ { { 1, 10, 2, false }, { 8, 10, 2, false } }, 2, 1 },                     /* less under */
		{ { { 99, 0, 0, true }, { 5, 10, 5, false }, { 5, 10, 4, false } }, 3, 2 }, /* never a critical one */
		{ { { 0, 0, 0, false }, { 1, 0, 100, false }, { 1, 0, 50, false } }, 3, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(eviction_choose(rows[i].list, rows[i].count), rows[i].chosen);
}

static void when_memory_runs_out_one_pod_goes_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct eviction e;

	begin(f);
	pod_run(f, "small", "", ",'resources':{'requests':{'memory':'64Mi'}}", (int64_t)MIB(20));
	pod_run(f, "large", "", "", (int64_t)MIB(80));
	pod_run(f, "medium", "", "", (int64_t)MIB(40));
	advance(f, 15);
	assert_false(machine_evict_next(f->m, &f->k->api.arena, &e));
	memory_is(f, 50);
	f->news = 0;
	advance(f, 10);
	assert_true(f->news > 0);
	assert_true(machine_evict_next(f->m, &f->k->api.arena, &e));
	assert_string_equal(text_of(f, e.name), "large");
	assert_string_equal(text_of(f, e.message),
			    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
			    "Container c was using 80Mi, request is 0, has larger consumption of memory. ");
	assert_int_equal(e.grace_s, 1);
	assert_false(machine_evict_next(f->m, &f->k->api.arena, &e)); /* while it ends */
	place_kit_status(f->k, &resource_pods, "large", "{'phase':'Failed'}");
	assert_true(machine_evict_next(f->m, &f->k->api.arena, &e));
	assert_string_equal(text_of(f, e.name), "medium");
	place_kit_delete(f->k, &resource_pods, "medium");
	assert_true(machine_evict_next(f->m, &f->k->api.arena, &e));
	assert_string_equal(text_of(f, e.name), "small");
	memory_is(f, 3000);
	place_kit_delete(f->k, &resource_pods, "small");
	assert_false(machine_evict_next(f->m, &f->k->api.arena, &e));
}

static bool was_measured(void *context)
{
	struct fixture *f = context;

	return f->m->pods && f->m->pods->is_measured && !f->m->measuring;
}

static void fill(struct fixture *f, const char *below, size_t bytes)
{
	char whole[512], *block = base_alloc(bytes);
	FILE *file;

	memset(block, 'x', bytes);
	snprintf(whole, sizeof(whole), "mkdir -p $(dirname %s/%s)", f->folder, below);
	assert_int_equal(system(whole), 0);
	snprintf(whole, sizeof(whole), "%s/%s", f->folder, below);
	file = fopen(whole, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(block, 1, bytes, file), bytes);
	fclose(file);
	free(block);
}

static void a_pod_that_fills_its_folder_goes(void **state)
{
	struct fixture *f = *state;
	const char *uid;
	struct eviction e;
	char path[256];

	begin(f);
	uid = pod_run(f, "web", "'volumes':[{'name':'x','emptyDir':{'sizeLimit':'1024Ki'}}],", "", (int64_t)MIB(20));
	snprintf(path, sizeof(path), "pods/%s/volumes/x/large", uid);
	fill(f, path, MIB(2));
	f->news = 0;
	advance(f, 15);
	place_kit_settle(f->k, was_measured, f);
	assert_true(f->news > 0);
	assert_true(machine_evict_next(f->m, &f->k->api.arena, &e));
	assert_string_equal(text_of(f, e.uid), uid);
	assert_string_equal(text_of(f, e.message), "Usage of EmptyDir volume \"x\" exceeds the limit \"1Mi\". ");
}

/* That it runs could not be written any more. */
static void a_pod_that_fills_the_disk_goes_though_nobody_was_told_that_it_runs(void **state)
{
	struct fixture *f = *state;
	const char *uid;
	struct eviction e;
	char path[256];

	f->config.eviction_disk = 1000; /* any use of the disk is too much */
	begin(f);
	uid = text_of(
	    f, value_find_string(place_kit_apply(f->k, &resource_pods,
						 "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web'},"
						 "'spec':{'nodeName':'host-1','volumes':[{'name':'x','emptyDir':{}}],"
						 "'containers':[{'name':'c','image':'i'}]}}"),
				 "metadata.uid"));
	snprintf(path, sizeof(path), "pods/%s/volumes/x/large", uid);
	assert_false(machine_evict_next(f->m, &f->k->api.arena, &e));
	fill(f, path, MIB(2));
	advance(f, 15);
	place_kit_settle(f->k, was_measured, f);
	assert_true(machine_evict_next(f->m, &f->k->api.arena, &e));
	assert_string_equal(text_of(f, e.uid), uid);
}

static void a_container_that_logs_too_much_goes(void **state)
{
	struct fixture *f = *state;
	const char *uid;
	struct eviction e;
	char path[256];

	begin(f);
	uid = pod_run(f, "web", "", ",'resources':{'limits':{'ephemeral-storage':'1Mi'}}", (int64_t)MIB(20));
	snprintf(path, sizeof(path), "logs/default_web_%s/c/0.log", uid);
	fill(f, path, MIB(2));
	advance(f, 15);
	place_kit_settle(f->k, was_measured, f);
	assert_true(machine_evict_next(f->m, &f->k->api.arena, &e));
	assert_string_equal(text_of(f, e.message),
			    "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ");
}

/* ---- use ---- */

static void rates_are_told_a_second_after_a_pod_runs(void **state)
{
	struct fixture *f = *state;
	struct value *metrics;

	begin(f);
	pod_run(f, "web", "", "", (int64_t)MIB(20));
	advance(f, 1);
	f->told[0].cpu_ns += 250 * NS_PER_MS;
	put_file(f, "/proc/stat", "cpu  150 0 100 5000 50 0 0 0 0 0\n");
	assert_null(place_kit_get(f->k, &resource_pod_usage, "default", "web"));
	advance(f, 1);
	metrics = place_kit_get(f->k, &resource_pod_usage, "default", "web");
	assert_non_null(metrics);
	assert_text(metrics, "window", "1s");
	assert_text(metrics, "metadata.labels.app", "x");
	assert_text(value_item(value_find(metrics, "containers"), 0), "name", "c");
	assert_text(value_item(value_find(metrics, "containers"), 0), "usage.cpu", "250000000n");
	assert_text(value_item(value_find(metrics, "containers"), 0), "usage.memory", "20480Ki");

	f->told[0].cpu_ns += 30 * NS_PER_S;
	advance(f, 15);
	metrics = place_kit_get(f->k, &resource_pod_usage, "default", "web");
	assert_text(metrics, "window", "15s");
	assert_text(value_item(value_find(metrics, "containers"), 0), "usage.cpu", "2000000000n");
	metrics = place_kit_get(f->k, &resource_node_usage, "", "host-1");
	assert_non_null(metrics);
	assert_text(metrics, "usage.memory", "1122304Ki"); /* 4096 - 3000 MiB */
}

static void a_container_that_began_again_is_told_the_next_time(void **state)
{
	struct fixture *f = *state;
	struct machine_pod *p;

	begin(f);
	pod_run(f, "web", "", "", (int64_t)MIB(20));
	advance(f, 1);
	p = f->m->pods;
	assert_int_equal(p->container_count, 1);
	p->containers[0].attempt = 7; /* as if the one that was sampled were another */
	advance(f, 1);
	assert_null(place_kit_get(f->k, &resource_pod_usage, "default", "web"));
	advance(f, 15);
	assert_non_null(place_kit_get(f->k, &resource_pod_usage, "default", "web"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(control_groups_that_hold_this_program_take_part),
		TEST(this_very_machine_can_be_read),
		TEST(a_machine_that_cannot_be_read_is_told),
		TEST(the_node_tells_what_it_has_and_how_it_is),
		TEST(what_others_have_put_on_the_node_stays),
		TEST(a_node_that_was_deleted_comes_back),
		TEST(the_lease_is_renewed_every_ten_seconds),
		TEST(pressure_is_told_for_five_minutes_after_it_has_gone),
		TEST(pods_over_their_request_go_first_then_those_of_low_priority),
		TEST(when_memory_runs_out_one_pod_goes_after_the_other),
		TEST(a_pod_that_fills_its_folder_goes),
		TEST(a_pod_that_fills_the_disk_goes_though_nobody_was_told_that_it_runs),
		TEST(a_container_that_logs_too_much_goes),
		TEST(rates_are_told_a_second_after_a_pod_runs),
		TEST(a_container_that_began_again_is_told_the_next_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
