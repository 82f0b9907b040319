/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * node - this machine as a node of the cluster: runs the pods that are bound to it, and tells how they are. What kubelet is elsewhere.
 *
 * It knows the cluster by the interface that controllers have (kube/cluster.h) and the containers by runtime.h, so it can stand beside an API server
 * that is somewhere else.
 *
 * Way of a pod: bound to this node (seen by cluster_follow) → a worker (worker.c) → volumes (volumes.h) → sandbox → init containers →
 * containers (environment.h makes what they are given) → probes (probe.h) → status (status.h) written when it has changed. What is to be done next is decided by a
 * function of what is wanted and what is (plan.h); the worker does it.
 *
 * Threads:   one loop.
 * Nothing is remembered outside the pod's object and what the runtime tells: begun anew, it goes on with the containers it finds.
 * Files:     folder/pods/<uid>/{volumes,etc,sandbox}, folder/logs/<namespace>_<pod>_<uid>/<container>/<attempt>.log.
 */
#include "kube/cluster.h"
#include "node/runtime.h"

struct node;
struct metrics;

struct node_config {
	struct cluster *cluster;
	struct kube *kube; /* for `kubectl logs`, exec, top ...: the API server of this process, or NULL */
	struct loop *loop;
	const char *folder;         /* "<data>/node"; made when it is not there */
	const char *hidden;         /* the data folder */
	const char *volumes;        /* where LOCAL_PROVISIONER has its folders; NULL: they are not removed here */
	const char *name;           /* of the node; NULL: the machine's host name, as a DNS name */
	const char *egress;         /* "host" (default), "none", "cni" */
	const char *pod_addresses;  /* "127.97.0.0/16" */
	const char *dns_address;    /* of the cluster's names: "127.96.0.10" */
	const char *cluster_domain; /* "cluster.local" */
	bool is_host_path_allowed;  /* true */
	int64_t pods_most;          /* 500 */
	struct metrics *metrics;
	/* What is kept for the system out of the machine's memory and CPU before pods are let in. */
	int64_t reserved_memory, reserved_cpu;
	/* Below these a node has pressure and evicts: free memory; free space of the data folder, in thousandths of all. */
	int64_t eviction_memory, eviction_disk;
	struct runtime *(*runtime_new)(const struct node_config *config, const struct runtime_events *events,
				       struct error *err); /* NULL: processes; tests give their own */
	/*
	 * Before a pod whose containers run is told to end (a deletion, an eviction, the end of the node), when slices of endpoints no longer have it:
	 * it is to be asked nothing more, and `done` is called once when what it was asked is answered, or after most_ns. It may be called at once; not
	 * after node_free(). See DRAIN_PART in plan.h for the time. NULL: nobody asks pods by way of this program, and nobody opens their host ports.
	 */
	void (*drain)(void *drain_context, const char *pod_address, int64_t most_ns, void (*done)(void *context),
		      void *context);
	void (*drained_forget)(void *drain_context,
			       const char *pod_address); /* the pod has gone; not after node_stop() */
	void *drain_context;
	int64_t (*wall_ns)(void *context); /* NULL: the clock */
	void *context;
};
struct node_config node_config_default(void);

/* Registers the node, finds what runs, and begins. */
struct node *node_new(const struct node_config *config, struct error *err);
/* Nothing is begun any more; pods go on. Then the cluster's writes end, then it may be freed. NULL is allowed. */
void node_stop(struct node *n);
/* Ends all pods of this node by their grace, at most so long; `done` when none runs. For Ctrl-C. */
void node_end_pods(struct node *n, int64_t most_ns, void (*done)(void *context), void *context);
void node_free(struct node *n);
struct span node_name(const struct node *n);
void node_tick(struct node *n); /* every pod is looked at now; for clocks of tests */

/* The containers of a pod as the runtime knows them; NULL: it has none. Valid until the loop turns. */
const struct sandbox_status *node_sandbox(struct node *n, struct span uid);
struct runtime *node_runtime(struct node *n);
/* The log of a container: "main", attempt -1: the newest that has begun; -2: the one before. NOT_FOUND: none. */
bool node_log_path(struct node *n, const struct value *pod, struct span container, int attempt, char *ret,
		   size_t capacity, struct error *err);
