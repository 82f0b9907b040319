/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * machine_private - what the files of the machine share.
 *
 *	machine.c         life, time, which pods there are
 *	machine_facts.c   what /proc and /sys tell
 *	machine_object.c  the Node object and its Lease
 *	machine_use.c     what pods use, told as metrics; what they take on disk
 *	machine_evict.c   which pod must go
 */
#include "base/clock.h"
#include "loop/loop.h"
#include "node/machine.h"
#include "node/machine_facts.h"

enum pressure { PRESSURE_MEMORY, PRESSURE_DISK, PRESSURE_PROCESSES, PRESSURE_COUNT };

struct container_sample {
	char name[64]; /* DNS label: 63 at most */
	uint32_t attempt;
	int64_t cpu_ns, memory;
	int64_t log_bytes; /* measured with the disk */
};

struct machine_pod {
	struct machine_pod *next;
	struct span uid, name_space, name; /* in one piece of memory with this */
	bool is_running;
	unsigned tries; /* of its first two samples */

	unsigned samples;
	int64_t sampled_ns; /* the last time */
	int64_t memory;
	struct container_sample *containers;
	size_t container_count;

	bool is_measured;
	int64_t disk_bytes; /* emptyDirs and logs */
	char *over;         /* the emptyDir that is over its limit, or NULL */
};

struct machine {
	struct machine_config config;
	char *name, *address, *pod_cidr, *folder, *root;
	struct machine_facts facts;
	struct machine_use use;
	int64_t pressure_seen_ns[PRESSURE_COUNT]; /* when it was last so; 0: never */
	struct machine_pod *pods;
	struct sampling *samplings;  /* under way */
	struct measuring *measuring; /* the disk, on a thread; NULL: none */
	struct timer timer;
	bool is_stopped;

	/* Wall clock. */
	int64_t look_due_ns, lease_due_ns, usage_due_ns, quick_due_ns, measure_due_ns, told_ns;
	int64_t node_sampled_ns, node_cpu_ns;

	bool is_node_writing, is_lease_writing, is_node_due;
	struct loop_task task;

	char *evicting; /* uid, or NULL */
	int64_t evicting_until_ns;
	int64_t evicting_settles_ns; /* of the last one that has ended: what it used is given back until then */
};

/* ---- machine.c ---- */

int64_t machine_now(const struct machine *m);
void machine_arm(struct machine *m);
struct machine_pod *machine_pod_find(const struct machine *m, struct span uid);
/* The object of a pod, or NULL. */
const struct value *machine_pod_object(struct machine *m, const struct machine_pod *p, struct arena *arena);

/* ---- machine_object.c ---- */

bool node_follow(struct machine *m, struct error *err);
void node_sync(struct machine *m); /* brings the Node one step nearer to what it should say */
void lease_write(struct machine *m);
bool machine_has(const struct machine *m, enum pressure p); /* told: by hysteresis */

/* ---- machine_use.c ---- */

void use_sample(struct machine *m, bool is_quick);
void use_measure(struct machine *m);
void use_end(struct machine *m); /* what is under way no longer comes back here */

/* ---- machine_evict.c ---- */

/* Now, by the thresholds. *ret_threshold, *ret_available: bytes. */
bool pressure_is(const struct machine *m, enum pressure p, int64_t *ret_threshold, int64_t *ret_available);
bool evict_is_wanted(struct machine *m);
