/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * machine - this machine as the Node object tells it: what it has, what of it pods may have, how it is doing, that it is alive; what its pods use,
 * for `kubectl top`; and which pod must go when memory or disk run out.
 *
 * The Node is made when it is not there. Labels, annotations, taints and spec of one that is there stay as they are but for what kubelet keeps
 * itself (kubernetes.io/hostname, os, arch). Its status is written when it changes, else every five minutes; the Lease of its name in
 * kube-node-lease every ten seconds. Pressure that has ended is told as such five minutes later.
 *
 * Threads: the loop; what blocks (disk usage of pods) runs on a thread of its own.
 * Errors:  of machine_new(): what could not be read.
 * Units:   bytes, thousandths of a CPU, wall clock in nanoseconds.
 */
#include "kube/cluster.h"
#include "node/runtime.h"

struct kube;
struct machine;

#define MACHINE_LEASE_NS    INT64_C(10000000000)
#define MACHINE_STATUS_NS   INT64_C(300000000000) /* at the latest */
#define MACHINE_LOOK_NS     INT64_C(10000000000)  /* between two looks at memory and disk, as kubelet has it */
#define MACHINE_PRESSURE_NS INT64_C(300000000000) /* how long a condition stays after its cause has gone */
#define MACHINE_GRACE_S     1                     /* of evictions */

struct machine_config {
	struct cluster *cluster;
	struct kube *kube; /* for usage_put(); NULL: usage is not told */
	struct loop *loop;
	struct runtime *runtime; /* whose pods are measured */
	struct span name;        /* of the node */
	struct span address;     /* InternalIP: "127.0.0.1" */
	struct span pod_cidr;    /* "127.97.0.0/16" */
	struct span folder;      /* the node's: its disk is nodefs; pods/<uid>, logs/ below it */
	int64_t pods_most;
	int64_t reserved_memory, reserved_cpu;
	int64_t eviction_memory; /* bytes; 0: none */
	int64_t eviction_disk;   /* thousandths; 0: none */
	/* The status was changed, or machine_evict_next() may have a pod. */
	void (*changed)(void *context);
	int64_t (*wall_ns)(void *context); /* NULL: the clock */
	void *context;
	const char *root; /* "" but for tests: where /proc, /sys and /etc are */
};

/* Begins: the Node and its Lease are written, pods of this node are measured. resource_nodes, _leases and _pods are followed. */
struct machine *machine_new(const struct machine_config *config, struct error *err);
void machine_stop(struct machine *m); /* nothing is begun any more; NULL is allowed */
void machine_free(struct machine *m); /* after the cluster's writes have ended; NULL is allowed */
/* Looks at memory, disk and the time now; for tests, and when memory is short. */
void machine_look(struct machine *m);

/* What pods may have: thousandths of a CPU, bytes. */
void machine_allocatable(const struct machine *m, int64_t *ret_cpu, int64_t *ret_memory);

/* False: kubelet would not take this pod now; `ret_message` is "The node had condition: [MemoryPressure]. ", the reason "Evicted". */
bool machine_admits(const struct machine *m, const struct value *pod, struct arena *arena, struct span *ret_message);

struct eviction {
	struct span name_space, name, uid;
	struct span
	    message; /* of the pod's status: "The node was low on resource: memory. ..."; the reason is "Evicted" */
	int64_t grace_s;
};
/*
 * The pod that must go next, if any: one over its own limits of disk, else, under pressure, the first by kubelet's order. It is given once; while it
 * ends no other is. Spans are cut from the arena.
 */
bool machine_evict_next(struct machine *m, struct arena *arena, struct eviction *ret);

/* ---- the order, for itself ---- */

struct eviction_candidate {
	int64_t use, request; /* of what is short */
	int64_t priority;
	bool is_critical; /* never */
};
/* Index of the one to evict: over its request first, then the lowest priority, then the most over its request. -1: none. */
int eviction_choose(const struct eviction_candidate *candidates, size_t count);
