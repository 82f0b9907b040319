/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * runtime_process - containers as processes of this machine: no images, no engine.
 *
 * Each sandbox has a supervisor, a process of this same program (supervisor.h). It outlives this one: it holds the sandbox's namespaces,
 * starts and reaps the containers' processes, writes their logs, holds their terminals, and keeps their exit codes. This side talks to it over
 * folder/sandbox/control. Supervisors are forked by a spawner, which is this program begun anew with nothing opened: so a supervisor shares its memory
 * with the others, and knows nothing of ours.
 *
 * As root, or as an ordinary user with user namespaces: see confine.h.
 */
#include "node/runtime.h"

struct runtime_process_config {
	struct loop *loop;
	struct runtime_events events;
	struct span folder;  /* where pods' folders are: those with a sandbox/control in them are found again */
	struct span hidden;  /* the data folder: no container sees it */
	const char *program; /* of the spawner; NULL: /proc/self/exe */
	struct span egress;  /* "host", "none", "cni" */
	bool is_group_root_given;
	struct span group_root; /* control groups are made below it; else confine_group_root() */
};

/* Looks for sandboxes that are there; events.began comes when all have answered, or have been found dead. */
struct runtime *runtime_process_new(const struct runtime_process_config *config, struct error *err);

/* The spawner's main(), and in its children the supervisor's: never returns to what called it but with an exit code. argv as it was begun. */
int supervisor_main(int argc, char **argv);
#define SUPERVISOR_COMMAND "pod-supervisor" /* argv[1] */
