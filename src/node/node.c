/* SPDX-License-Identifier: Apache-2.0 */
/* node - the pods that are bound to this node, each with its worker; their addresses; what the runtime tells, to whom it concerns. */
#include "node/node.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"
#include "kube/ranges.h"
#include "loop/loop.h"
#include "node/addresses.h"
#include "node/drains.h"
#include "node/machine.h"
#include "node/pod.h"
#include "node/runtime_process.h"
#include "node/services.h"
#include "node/streams.h"
#include "node/volume_keeper.h"
#include "node/volumes.h"
#include "node/worker.h"

enum { BUCKETS = 512 };

#define DOWN_LOOK_NS (10 * NS_PER_MS)
#define COMPONENT    "kubelet"

static const struct resource resource_runtime_classes = { "node.k8s.io", "v1", "runtimeclasses", "RuntimeClass" };

struct slot {
	struct slot *next;
	struct pod_worker *worker;
	bool has_object;
};

struct node {
	struct node_config config;
	char *name, *folder;
	struct worker_host host;
	struct addresses *addresses;
	struct runtime *runtime;
	struct machine *machine;
	struct services *services;
	struct drains *drains;        /* NULL: nobody asks pods by way of this program */
	struct volume_keeper *keeper; /* NULL: no volumes are made here */
	struct streams *streams;      /* NULL: no API server asks here */
	struct slot *buckets[BUCKETS];
	size_t count;
	bool has_begun, is_stopped;
	bool is_short; /* of addresses: a pod waits for one */
	struct loop_task waiting;

	struct timer down_timer;
	int64_t down_at_ns;
	void (*down)(void *context);
	void *down_context;
};

struct node_config node_config_default(void)
{
	return (struct node_config){ .egress = "host",
				     .pod_addresses = POD_IP_RANGE,
				     .dns_address = DNS_IP,
				     .cluster_domain = "cluster.local",
				     .is_host_path_allowed = true,
				     .pods_most = 500,
				     .eviction_memory = INT64_C(100) << 20, /* kubelet's */
				     .eviction_disk = 100 };
}

static int64_t node_now(void *context)
{
	struct node *n = context;

	return n->config.wall_ns ? n->config.wall_ns(n->config.context) : clock_wall_ns();
}

/* ---- workers ---- */

static struct slot **place_of(struct node *n, struct span uid)
{
	struct slot **at = &n->buckets[span_hash(uid) % BUCKETS];

	while (*at && !span_equal(pod_worker_uid((*at)->worker), uid))
		at = &(*at)->next;
	return at;
}

static struct slot *slot_find(struct node *n, struct span uid)
{
	return uid.len ? *place_of(n, uid) : NULL;
}

static struct slot *slot_new(struct node *n, struct span uid, struct span name_space, struct span name,
			     struct span address)
{
	struct slot *s = base_calloc(1, sizeof(*s));

	s->worker = pod_worker_new(&n->host, uid, name_space, name, address);
	*place_of(n, uid) = s;
	n->count++;
	return s;
}

static void slot_drop(struct node *n, struct slot *s)
{
	struct slot **at = place_of(n, pod_worker_uid(s->worker));

	ASSERT(*at == s);
	*at = s->next;
	n->count--;
	pod_worker_free(s->worker);
	free(s);
}

static void each_slot(struct node *n, void (*take)(struct node *n, struct slot *s, void *context), void *context)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct slot *s = n->buckets[i], *next; s; s = next) {
			next = s->next;
			take(n, s, context);
		}
	}
}

/* An address is free again: for pods that found none. */
static void address_free(struct node *n, struct span address)
{
	addresses_free_one(n->addresses, address);
	if (n->is_short && !n->is_stopped)
		loop_defer(n->config.loop, &n->waiting);
}

static void finished(void *context, struct pod_worker *w)
{
	struct node *n = context;
	struct slot *s = slot_find(n, pod_worker_uid(w));

	address_free(n, pod_worker_address(w));
	if (s)
		slot_drop(n, s);
}

/* ---- what the runtime tells ---- */

static void sandbox_changed(void *context, const struct sandbox_status *s)
{
	struct node *n = context;
	struct slot *slot = slot_find(n, s->uid);

	if (!slot && !n->has_begun) { /* found: its object comes later, or never */
		slot = slot_new(n, s->uid, s->name_space, s->name, s->address);
		addresses_hold(n->addresses, s->address, s->uid);
	}
	if (slot && s->is_ready) /* where there was no room for the link to it */
		addresses_hold(n->addresses, pod_worker_address(slot->worker), s->uid);
	if (n->streams)
		streams_changed(n->streams, s->uid);
	if (slot)
		pod_worker_sandbox(slot->worker, s);
}

static void stream_ended(void *context, struct span sandbox, struct span stream, int exit_code)
{
	struct node *n = context;
	struct slot *slot = slot_find(n, sandbox);

	if (slot)
		pod_worker_ended(slot->worker, stream, exit_code);
	if (n->streams)
		streams_ended(n->streams, sandbox, stream, exit_code);
}

/* ---- what the cluster tells ---- */

/* The name may stand anywhere in the text: that it is the pod's node is found out by reading it. */
static bool may_be_mine(const struct node *n, const struct record *r)
{
	char text[300];
	int len = snprintf(text, sizeof(text), "\"nodeName\":\"%s\"", n->name);

	return r && memmem(r->text.ptr, r->text.len, text, (size_t)len) != NULL;
}

static void pod_begin(struct node *n, struct record *r)
{
	struct arena arena;
	struct error err = { 0 };
	const struct value *pod;
	struct span name_space, name;
	char address[ADDRESS_TEXT_MAX];
	bool is_mine = false;

	arena_init(&arena, MIB(16));
	pod = cluster_object(n->config.cluster, &resource_pods, r, &arena, &err);
	name_space = value_find_string(pod, "metadata.namespace");
	name = value_find_string(pod, "metadata.name");
	if (pod)
		is_mine = span_equal(value_find_string(pod, "spec.nodeName"), span_of(n->name));
	if (is_mine && value_find_bool(pod, "spec.hostNetwork"))
		snprintf(address, sizeof(address), SPAN_FMT, SPAN_ARG(n->host.place.host_address));
	else if (is_mine && span_equal(span_of(n->config.egress), SPAN("cni")))
		address[0] = '\0'; /* the sandbox tells it */
	else if (is_mine)
		is_mine = addresses_take(n->addresses, record_uid(r), address, &err);
	if (is_mine) {
		struct slot *slot = slot_new(n, record_uid(r), name_space, name, span_of(address));

		slot->has_object = true;
		pod_worker_object(slot->worker, r);
	}
	if (err.code == ERROR_EXHAUSTED)
		n->is_short = true;
	if (err.code)
		log_error("node", "a pod could not be begun", LOG_SPAN("namespace", name_space), LOG_SPAN("pod", name),
			  LOG_TEXT("error", err.message));
	arena_done(&arena);
}

static bool waiting_begin(void *context, struct record *r)
{
	struct node *n = context;

	if (!n->is_short && !slot_find(n, record_uid(r)) && may_be_mine(n, r))
		pod_begin(n, r);
	return !n->is_short;
}

static void waiting_task(struct loop_task *t)
{
	struct node *n = CONTAINER_OF(t, struct node, waiting);

	n->is_short = false;
	cluster_each(n->config.cluster, &resource_pods, (struct span){ 0 }, waiting_begin, n);
}

static void pod_seen(void *context, const struct sighting *s)
{
	struct node *n = context;
	struct slot *slot;

	if (n->is_stopped)
		return;
	if (s->before && (!s->now || !span_equal(record_uid(s->now), record_uid(s->before)))) {
		slot = slot_find(n, record_uid(s->before));
		if (slot)
			pod_worker_object(slot->worker, NULL);
	}
	if (!s->now)
		return;
	slot = slot_find(n, record_uid(s->now));
	if (slot) {
		slot->has_object = true;
		pod_worker_object(slot->worker, s->now);
	} else if (may_be_mine(n, s->now)) {
		pod_begin(n, s->now);
	}
}

static void source_changed(struct node *n, struct slot *slot, void *context)
{
	const struct sighting *s = context;
	struct span name_space;

	(void)n;
	(void)pod_worker_name(slot->worker, &name_space);
	if (!s->name_space.len || span_equal(name_space, s->name_space))
		pod_worker_source(slot->worker);
}

static void source_seen(void *context, const struct sighting *s)
{
	struct node *n = context;

	if (!n->is_stopped && n->count)
		each_slot(n, source_changed, (void *)s);
}

static void slice_changed(struct node *n, struct slot *slot, void *context)
{
	(void)n;
	(void)context;
	pod_worker_slice_seen(slot->worker);
}

static void slice_seen(void *context, const struct sighting *s)
{
	struct node *n = context;

	(void)s;
	if (!n->is_stopped)
		each_slot(n, slice_changed, NULL);
}

static void class_seen(void *context, const struct sighting *s)
{
	source_seen(context, s);
}

/* ---- sandboxes that nobody wants any more ---- */

static void orphan_removed(void *context, const struct error *err)
{
	(void)context;
	if (err && err->code != ERROR_NOT_FOUND && err->code != ERROR_CANCELLED)
		log_warn("node", "a sandbox without a pod could not be removed", LOG_TEXT("error", err->message));
}

static void orphan_remove(struct node *n, struct slot *s, void *context)
{
	struct span uid = pod_worker_uid(s->worker);

	(void)context;
	if (s->has_object)
		return;
	log_info("node", "a sandbox is removed, for its pod is gone", LOG_SPAN("uid", uid));
	runtime_sandbox_remove(n->runtime, uid, orphan_removed, n);
	address_free(n, pod_worker_address(s->worker));
	pod_worker_discard(s->worker);
	slot_drop(n, s);
}

/* Folders of pods that are gone, whose sandboxes are too. */
static void folders_sweep(struct node *n)
{
	char path[4096];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/pods", n->folder);
	dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.' || slot_find(n, span_of(e->d_name)))
			continue;
		snprintf(path, sizeof(path), "%s/pods/%s", n->folder, e->d_name);
		if (rmdir(path) != 0) { /* it is not empty */
			struct volumes_config config = { .place = &n->host.place,
							 .loop = n->config.loop,
							 .folder = span_of(path) };
			struct error ignored = { 0 };

			volumes_free(volumes_new(&config, &ignored), false);
		}
	}
	if (dir)
		closedir(dir);
}

/* All that runs is known: pods are followed, and what is left belongs to none. */
static void runtime_began(void *context)
{
	struct node *n = context;
	struct error err = { 0 };

	n->has_begun = true;
	if (n->is_stopped)
		return;
	if (!cluster_follow(n->config.cluster, &resource_pods, pod_seen, n, &err)) {
		log_error("node", "pods cannot be followed", LOG_TEXT("error", err.message));
		return;
	}
	each_slot(n, orphan_remove, NULL);
	folders_sweep(n);
}

/* ---- runtime classes ---- */

static bool class_check(void *context, struct span name, struct error *err)
{
	struct node *n = context;
	struct record *r = cluster_get(n->config.cluster, &resource_runtime_classes, (struct span){ 0 }, name);
	const struct value *v;
	struct arena arena;
	bool good = false;

	if (!r)
		return error_set(err, ERROR_NOT_FOUND, "RuntimeClass \"" SPAN_FMT "\" not found", SPAN_ARG(name));
	arena_init(&arena, MIB(1));
	v = cluster_object(n->config.cluster, &resource_runtime_classes, r, &arena, err);
	if (v) {
		struct span handler = value_find_string(v, "handler");

		good = span_equal(handler, SPAN("process")) ||
		       error_set(err, ERROR_INVALID,
				 "failed to get sandbox runtime: no runtime for \"" SPAN_FMT
				 "\" is configured; this node runs pods with runtimeClassName: process, or none",
				 SPAN_ARG(handler));
	}
	arena_done(&arena);
	return good;
}

static void class_made(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err && err->code != ERROR_ALREADY_EXISTS)
		log_warn("node", "the RuntimeClass 'process' could not be made", LOG_TEXT("error", err->message));
}

static bool classes_begin(struct node *n, struct error *err)
{
	static const char text[] =
	    "{\"apiVersion\":\"node.k8s.io/v1\",\"kind\":\"RuntimeClass\",\"metadata\":{\"name\":"
	    "\"process\"},\"handler\":\"process\"}";
	struct value object;
	struct arena arena;
	bool good;

	if (!cluster_follow(n->config.cluster, &resource_runtime_classes, class_seen, n, err))
		return false;
	if (cluster_get(n->config.cluster, &resource_runtime_classes, (struct span){ 0 }, SPAN("process")))
		return true;
	arena_init(&arena, MIB(1));
	good = value_parse(span_of(text), NULL, &arena, &object, err);
	if (good) {
		struct cluster_write write = { .resource = &resource_runtime_classes,
					       .verb = KUBE_CREATE,
					       .name = SPAN("process"),
					       .manager = SPAN(COMPONENT),
					       .object = &object,
					       .grace = -1,
					       .done = class_made };

		cluster_write(n->config.cluster, &write);
	}
	arena_done(&arena);
	return good;
}

/* ---- admission ---- */

static void live_count(struct node *n, struct slot *s, void *context)
{
	const struct sandbox_status *found = pod_worker_found(s->worker);

	(void)n;
	*(int64_t *)context += found && found->is_ready;
}

static bool admits(void *context, const struct value *pod, struct arena *arena, struct span *ret_reason,
		   struct span *ret_message)
{
	struct node *n = context;
	struct error err = { 0 };
	int64_t used = 0;

	if (!machine_admits(n->machine, pod, arena, ret_message)) {
		*ret_reason = SPAN("Evicted");
		*ret_message = arena_print(arena, &err, "Pod was rejected: %.*s", WHOLE(*ret_message));
		return false;
	}
	each_slot(n, live_count, &used);
	if (used < n->config.pods_most)
		return true;
	*ret_reason = SPAN("OutOfpods");
	*ret_message =
	    arena_print(arena, &err,
			"Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: %lld, "
			"capacity: %lld",
			(long long)used, (long long)n->config.pods_most);
	return false;
}

/* ---- the machine ---- */

static void machine_changed(void *context)
{
	struct node *n = context;
	struct eviction eviction;
	struct arena arena;

	if (n->is_stopped || !n->machine)
		return;
	machine_allocatable(n->machine, &n->host.place.capacity_cpu, &n->host.place.capacity_memory);
	arena_init(&arena, MIB(16));
	while (machine_evict_next(n->machine, &arena, &eviction)) {
		struct slot *s = slot_find(n, eviction.uid);

		if (s)
			pod_worker_evict(s->worker, SPAN("Evicted"), eviction.message, eviction.grace_s * NS_PER_S);
	}
	arena_done(&arena);
}

static bool machine_begin(struct node *n, struct error *err)
{
	struct machine_config config = { .cluster = n->config.cluster,
					 .kube = n->config.kube,
					 .loop = n->config.loop,
					 .runtime = n->runtime,
					 .name = span_of(n->name),
					 .address = n->host.place.host_address,
					 .pod_cidr = span_of(n->config.pod_addresses),
					 .folder = span_of(n->folder),
					 .pods_most = n->config.pods_most,
					 .reserved_memory = n->config.reserved_memory,
					 .reserved_cpu = n->config.reserved_cpu,
					 .eviction_memory = n->config.eviction_memory,
					 .eviction_disk = n->config.eviction_disk,
					 .changed = machine_changed,
					 .wall_ns = node_now,
					 .context = n,
					 .root = "" };

	n->machine = machine_new(&config, err);
	if (n->machine)
		machine_allocatable(n->machine, &n->host.place.capacity_cpu, &n->host.place.capacity_memory);
	return n->machine != NULL;
}

/* ---- life ---- */

/* The machine's name as a name of the cluster has it: lower case, without what may not stand in one. */
static char *host_name(void)
{
	char name[256] = "";
	size_t len = 0;

	if (gethostname(name, sizeof(name) - 1) != 0)
		name[0] = '\0';
	for (size_t i = 0; name[i]; i++) {
		char c = name[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (len && (c == '-' || c == '.')))
			name[len++] = c;
	}
	while (len && (name[len - 1] == '-' || name[len - 1] == '.'))
		len--;
	return span_to_text(len ? span_from(name, len) : SPAN("node"));
}

static bool folder_make(const char *folder, const char *below, struct error *err)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s%s", folder, below);
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	return error_errno(err, errno, "cannot make the folder '%s'", path);
}

static bool folders_make(struct node *n, struct error *err)
{
	AUTO_FREE char *pods = NULL;

	if (!folder_make(n->folder, "", err) || !folder_make(n->folder, "/pods", err) ||
	    !folder_make(n->folder, "/logs", err))
		return false;
	if (asprintf(&pods, "%s/pods", n->folder) >= 0)
		volumes_sweep(span_of(pods));
	return true;
}

static void host_fill(struct node *n)
{
	n->host = (struct worker_host){
		.cluster = n->config.cluster,
		.loop = n->config.loop,
		.folder = span_of(n->folder),
		.place = { .cluster = n->config.cluster,
			   .node_name = span_of(n->name),
			   .host_address = SPAN("127.0.0.1"),
			   .cluster_domain = span_of(n->config.cluster_domain),
			   .dns_address = span_of(n->config.dns_address) },
		.hidden = span_of(n->config.hidden),
		.is_host_path_allowed = n->config.is_host_path_allowed,
		.memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE),
		.runtime_class = class_check,
		.admits = admits,
		.finished = finished,
		.wall_ns = node_now,
		.context = n,
	};
}

static struct runtime *processes_new(struct node *n, const struct runtime_events *events, struct error *err)
{
	char folder[4096];
	struct runtime_process_config config = { .loop = n->config.loop,
						 .events = *events,
						 .hidden = span_of(n->config.hidden),
						 .egress = span_of(n->config.egress) };

	snprintf(folder, sizeof(folder), "%s/pods", n->folder);
	config.folder = span_of(folder);
	return runtime_process_new(&config, err);
}

static bool runtime_begin(struct node *n, struct error *err)
{
	struct runtime_events events = {
		.changed = sandbox_changed, .began = runtime_began, .ended = stream_ended, .context = n
	};

	n->runtime =
	    n->config.runtime_new ? n->config.runtime_new(&n->config, &events, err) : processes_new(n, &events, err);
	n->host.runtime = n->runtime;
	return n->runtime != NULL;
}

static bool drains_begin(struct node *n, struct error *err)
{
	struct drains_config config = { .drain = n->config.drain,
					.forget = n->config.drained_forget,
					.context = n->config.drain_context };

	if (!config.drain)
		return true;
	n->drains = n->host.drains = drains_new(&config);
	return cluster_follow(n->config.cluster, &resource_endpoint_slices, slice_seen, n, err);
}

static bool keeper_begin(struct node *n, struct error *err)
{
	if (n->config.volumes)
		n->keeper = volume_keeper_new(n->config.cluster, n->config.loop, span_of(n->config.volumes), err);
	return !n->config.volumes || n->keeper;
}

static struct span api_address(const struct node *n)
{
	const char *address = n->config.kube ? kube_server_address(n->config.kube) : NULL;

	return span_of(address ? address : "");
}

struct node *node_new(const struct node_config *config, struct error *err)
{
	struct node *n = base_calloc(1, sizeof(*n));

	n->config = *config;
	n->name = config->name ? span_to_text(span_of(config->name)) : host_name();
	n->config.name = n->name;
	n->folder = span_to_text(span_of(config->folder));
	n->config.folder = n->folder;
	n->waiting.run = waiting_task;
	host_fill(n);
	if (!folders_make(n, err) || !(n->addresses = addresses_new(n->folder, span_of(config->pod_addresses), err)) ||
	    !classes_begin(n, err) || !pod_place_follow(&n->host.place, source_seen, n, err) ||
	    !(n->services = services_new(config->cluster, config->loop, span_of(n->folder), api_address(n), err)) ||
	    !keeper_begin(n, err) || !drains_begin(n, err) || !runtime_begin(n, err) || !machine_begin(n, err)) {
		node_stop(n);
		node_free(n);
		return NULL;
	}
	if (config->kube)
		n->streams = streams_new(n, config->kube, config->loop);
	return n;
}

static void slot_stop(struct node *n, struct slot *s, void *context)
{
	(void)n;
	(void)context;
	pod_worker_stop(s->worker);
}

void node_stop(struct node *n)
{
	if (!n)
		return;
	n->is_stopped = true;
	loop_timer_clear(n->config.loop, &n->down_timer);
	loop_undefer(n->config.loop, &n->waiting);
	machine_stop(n->machine);
	volume_keeper_stop(n->keeper);
	drains_stop(n->drains);
	each_slot(n, slot_stop, NULL);
}

static void slot_free(struct node *n, struct slot *s, void *context)
{
	(void)context;
	slot_drop(n, s);
}

void node_free(struct node *n)
{
	if (!n)
		return;
	runtime_free(n->runtime);
	machine_free(n->machine);
	streams_free(n->streams); /* after what the runtime still told them */
	each_slot(n, slot_free, NULL);
	drains_free(n->drains);
	services_free(n->services);
	volume_keeper_free(n->keeper);
	addresses_free(n->addresses);
	free(n->name);
	free(n->folder);
	free(n);
}

struct span node_name(const struct node *n)
{
	return span_of(n->name);
}

static void slot_tick(struct node *n, struct slot *s, void *context)
{
	(void)n;
	(void)context;
	pod_worker_tick(s->worker);
}

void node_tick(struct node *n)
{
	each_slot(n, slot_tick, NULL);
}

/* ---- the end of all pods ---- */

static void slot_end(struct node *n, struct slot *s, void *context)
{
	(void)n;
	pod_worker_end(s->worker, *(int64_t *)context);
}

static void up_count(struct node *n, struct slot *s, void *context)
{
	(void)n;
	*(size_t *)context += !pod_worker_is_down(s->worker);
}

static void down_look(struct timer *t)
{
	struct node *n = CONTAINER_OF(t, struct node, down_timer);
	size_t up = 0;

	each_slot(n, up_count, &up);
	if (up && clock_monotonic_ns() < n->down_at_ns)
		loop_timer_set(n->config.loop, t, loop_now(n->config.loop) + DOWN_LOOK_NS, down_look);
	else
		n->down(n->down_context);
}

void node_end_pods(struct node *n, int64_t most_ns, void (*done)(void *context), void *context)
{
	n->down = done;
	n->down_context = context;
	n->down_at_ns = clock_monotonic_ns() + most_ns + GRACE_LEAST_NS;
	each_slot(n, slot_end, &most_ns);
	loop_timer_set(n->config.loop, &n->down_timer, loop_now(n->config.loop) + DOWN_LOOK_NS, down_look);
}

/* ---- what others ask ---- */

const struct sandbox_status *node_sandbox(struct node *n, struct span uid)
{
	struct slot *s = slot_find(n, uid);

	return s ? pod_worker_found(s->worker) : NULL;
}

struct runtime *node_runtime(struct node *n)
{
	return n->runtime;
}

/* The newest attempt that has begun, and the one before it; -1: there is none. */
static void attempts_find(const struct sandbox_status *s, struct span name, int64_t ret[2])
{
	ret[0] = ret[1] = -1;
	for (size_t i = 0; s && i < s->container_count; i++) {
		const struct container_status *c = &s->containers[i];

		if (!span_equal(c->name, name) || c->state == CONTAINER_CREATED)
			continue;
		if ((int64_t)c->attempt > ret[0]) {
			ret[1] = ret[0];
			ret[0] = c->attempt;
		} else {
			ret[1] = MAX(ret[1], (int64_t)c->attempt);
		}
	}
}

bool node_log_path(struct node *n, const struct value *pod, struct span container, int attempt, char *ret,
		   size_t capacity, struct error *err)
{
	const struct value *metadata = get(pod, "metadata");
	struct span name = get_text(metadata, "name"), name_space = get_text(metadata, "namespace"),
		    uid = get_text(metadata, "uid");
	int64_t found[2], wanted = attempt;
	int len;

	attempts_find(node_sandbox(n, uid), container, found);
	if (attempt < 0)
		wanted = found[attempt == -2];
	/* After a restart of the machine the runtime has forgotten what ran before; the log is there. */
	if (wanted < 0 && attempt == -2 && found[0] > 0)
		wanted = found[0] - 1;
	if (wanted < 0 && attempt == -2)
		return error_set(err, ERROR_NOT_FOUND,
				 "previous terminated container \"" SPAN_FMT "\" in pod \"" SPAN_FMT "\" not found",
				 SPAN_ARG(container), SPAN_ARG(name));
	if (wanted < 0)
		return error_set(err, ERROR_NOT_FOUND,
				 "container \"" SPAN_FMT "\" in pod \"" SPAN_FMT
				 "\" is waiting to start: ContainerCreating",
				 SPAN_ARG(container), SPAN_ARG(name));
	len = snprintf(ret, capacity, "%s/logs/%.*s_%.*s_%.*s/%.*s/%lld.log", n->folder, WHOLE(name_space), WHOLE(name),
		       WHOLE(uid), WHOLE(container), (long long)wanted);
	if (len < 0 || (size_t)len >= capacity)
		return error_set(err, ERROR_TOO_LARGE, "the path of the log of container '" SPAN_FMT "' is too long",
				 SPAN_ARG(container));
	return true;
}
