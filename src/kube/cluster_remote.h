/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cluster_remote - an API server that is somewhere else, as controllers see it (cluster.h): each kind is listed in pages and then watched;
 * what was seen is kept in memory.
 *
 * Life:      cluster_remote_new() → `ready`, when all kinds have been seen whole → followers → cluster_free(), which tells whoever waits
 *            for a write that it was CANCELLED.
 * Following: a kind that was not given is UNAVAILABLE. One that the server does not serve counts as empty until it does. One that it does
 *            not watch is listed every 15 seconds.
 * Failures:  what cannot be reached is asked again, up to 30 seconds later each time. A watch that has lost its place (410) is made good
 *            by a list: what differs is told as changes. Failures and the end of them are told in the log, once.
 * Writes:    a few at once, the rest waits. Errors are those of the server's Status. One whose connection is lost may have been done.
 * Scales:    of Deployments, ReplicaSets, StatefulSets and ReplicationControllers when they are followed; of other kinds UNIMPLEMENTED.
 * Threads:   one loop. A token's file is read on it, once a minute.
 */
#include "kube/cluster.h"
#include "kube/kubeconfig.h"

struct loop;

struct remote_config {
	struct loop *loop;
	const struct kubeconfig *server;         /* lives as long as the cluster */
	const struct resource *const *resources; /* that will be followed; ends with NULL */
	void (*ready)(void *context);            /* from the loop, once */
	void *context;
	size_t page;         /* objects that are listed at once (default 250) */
	size_t writes_most;  /* at once (default 32) */
	size_t line_most;    /* bytes of one change (default 8 MiB) */
	size_t objects_most; /* of a kind (default 1,000,000): over it, it is not shown */
};

struct cluster *cluster_remote_new(const struct remote_config *config);

/* What an API server's answer with an HTTP status of 300 and more says: its Status, else (a proxy in between) the body's first words, else the number. */
void remote_status(int status, struct span body, struct error *err);
