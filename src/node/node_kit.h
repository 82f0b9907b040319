/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * node_kit - for tests: an API server in this process with a clock of its own, a node, and a runtime that only remembers: containers run as soon as they are
 * begun, and end when they are told to, or when the test says so.
 */
#include "kube/kube_kit.h"
#include "node/node.h"

enum { FAKE_SANDBOXES = 32, FAKE_CONTAINERS = 32 };

struct fake_sandbox {
	bool is_there;
	struct sandbox_status status;
	struct container_status containers[FAKE_CONTAINERS];
	struct arena arena;
};

struct node_kit {
	struct kube_kit api;
	struct node *node;
	int64_t now_ns;

	/* the runtime */
	struct runtime runtime;
	struct runtime_events events;
	struct fake_sandbox sandboxes[FAKE_SANDBOXES];
	unsigned pending;            /* answers that are on their way */
	struct fake_answer *answers; /* those that were not given when the runtime was freed */
	char calls[8192];            /* what it was asked, "run web; start web/main#0; ..." */
	bool holds_stops;            /* containers go on after SIGTERM; fake_exit() ends them */
	bool fails_exec;             /* commands end with 1 */
	const char *fails_start;     /* why containers can't be started, or NULL */

	const char *pod_addresses; /* a range, seen by the next node_kit_begin(); NULL: the usual one */

	bool drains;       /* who asks pods is told before they end: seen by the next node_kit_begin() */
	bool holds_drains; /* until fake_drained() */
	void (*drained)(void *context);
	void *drained_context;
};

struct node_kit *node_kit_new(void);
void node_kit_done(struct node_kit *k);
void node_kit_settle(struct node_kit *k);
void node_kit_advance(struct node_kit *k, int64_t seconds);
/* The node is begun anew, as after a crash: sandboxes are still there. */
void node_kit_again(struct node_kit *k);
/* Without a node; node_kit_begin() makes one again. */
void node_kit_down(struct node_kit *k);
void node_kit_begin(struct node_kit *k);

/* A pod on the node "here": its spec less nodeName, with ' for ". */
void node_kit_pod(struct node_kit *k, const char *name, const char *spec);
void node_kit_create(struct node_kit *k, const struct resource *r, const char *text);
void node_kit_replace(struct node_kit *k, const struct resource *r, const char *text);
void node_kit_delete(struct node_kit *k, const char *pod, int64_t grace); /* -1: by its own */
const struct value *node_kit_get(struct node_kit *k, const struct resource *r, const char *name);
/* At a path of the pod's object, as text: "Running", "3", "true"; "" when it is absent. Items by number: "status.containerStatuses.0.ready". */
const char *node_kit_at(struct node_kit *k, const char *pod, const char *path);
/* So many events with this reason about the pod, counts included; `text`: of the last one, or NULL. */
int node_kit_events(struct node_kit *k, const char *pod, const char *reason, const char **text);

void fake_exit(struct node_kit *k, const char *pod, const char *container, int code);
void fake_die(struct node_kit *k, const char *pod); /* the sandbox */
void fake_drained(struct node_kit *k);
bool fake_has(struct node_kit *k, const char *pod); /* a sandbox */
