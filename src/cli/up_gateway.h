/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * up_gateway - the gateway of `hythe up`: its server, with a worker for each core, and what it is told by the cluster's objects.
 *
 * Threads: what is not marked is called before the loops run, or after they have ended.
 */
#include "cli/options.h"

struct cluster;
struct gateway;
struct kube;
struct manager;
struct loop;
struct metrics;
struct up_gateway;
struct upgrade;
struct upgrade_sockets;

struct up_gateway_config {
	const struct up_options *options;
	struct loop *loop; /* the API server's */
	struct metrics *metrics;
	const char *folder;      /* the data folder */
	const char *api_address; /* "127.0.0.1:6443" */
	struct upgrade *upgrade; /* whose sockets are taken; NULL: nobody's */
};

/* Listens, and does nothing yet. */
struct up_gateway *up_gateway_new(const struct up_gateway_config *config, struct error *err);
/* What it follows, tells of what it counts, and asks for more replicas. */
struct up_gateway_cluster {
	struct cluster *cluster;
	struct kube *kube;
	struct manager *manager;
};
/* Its threads run. */
bool up_gateway_start(struct up_gateway *u, const struct up_gateway_cluster *c, struct error *err);
const char *up_gateway_address(const struct up_gateway *u); /* "127.0.0.1:8080" */
struct gateway *up_gateway_gateway(struct up_gateway *u);
void up_gateway_drain(struct up_gateway *u); /* takes no more; any thread, NULL is allowed in all of these */
void up_gateway_wait(struct up_gateway *u);  /* until what came is answered */
/* For a process that takes over: our sockets; then that it has them, once the loop has ended. */
void up_gateway_sockets(const struct up_gateway *u, struct upgrade_sockets *to);
void up_gateway_leave(struct up_gateway *u);
void up_gateway_wait_ready(struct up_gateway *u); /* until its workers know what to answer; not for ever */
void up_gateway_stop(struct up_gateway *u);
void up_gateway_free(struct up_gateway *u);
