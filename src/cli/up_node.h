/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * up_node - this machine as a node of the cluster that `hythe up` serves.
 *
 * Threads: what is not marked is called before the loop runs, or after it has ended.
 */
#include "cli/options.h"

struct cluster;
struct gateway;
struct kube;
struct loop;
struct metrics;
struct node;
struct up_node;

struct up_node_config {
	const struct up_options *options;
	struct cluster *cluster;
	struct kube *kube;
	struct loop *loop;
	struct metrics *metrics;
	const char *folder;      /* the data folder */
	struct gateway *gateway; /* asks pods, and stops before they end; NULL: there is none */
};

struct up_node *up_node_new(const struct up_node_config *config, struct error *err);
const char *up_node_name(const struct up_node *u);
/* Ends the pods by their grace, and waits for that; in any thread but the loop's, which runs. */
void up_node_end_pods(struct up_node *u);
void up_node_stop(struct up_node *u); /* NULL is allowed, in up_node_free() too: after the store was closed */
void up_node_free(struct up_node *u);
