/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kube_kit - for tests of what stands on an API server: one in this process, with a folder, a loop and a store of its own.
 *
 * Threads: one; the loop turns in kube_kit_settle() alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube/cluster.h"
#include "loop/loop.h"

struct kube_kit {
	char folder[64];    /* of all; gone with kube_kit_done() */
	struct arena arena; /* of what tests read; until kube_kit_done() */
	struct loop *loop;
	struct store *store; /* in folder/store */
	struct kube *kube;
	struct cluster *cluster; /* a test may free it and set another one */

	/* private */
	struct timer timer;
	bool (*is_idle)(void *context);
	void *context;
	unsigned quiet;
};

/* `wall_ns`: the time of day that the server takes it for; 0: the clock's. Its keys are the same in all kits of a program: they take long to find. */
void kube_kit_begin(struct kube_kit *k, bool ships_definitions, int64_t wall_ns);
void kube_kit_wall(struct kube_kit *k, int64_t wall_ns); /* another time of day */
/* Until nothing waits to be written, `is_idle` (may be NULL) agrees, and so it stays for some turns: collectors and the like have had theirs. */
void kube_kit_settle(struct kube_kit *k, bool (*is_idle)(void *context), void *context);
/* Nothing is told any more: who followed the cluster may be freed, and then kube_kit_done(). */
void kube_kit_stop(struct kube_kit *k);
void kube_kit_done(struct kube_kit *k);
