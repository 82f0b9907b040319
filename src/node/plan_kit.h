/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * plan_kit - for tests: a pod's view from short texts. The clock stands at KIT_NOW_NS.
 *
 *	pod      JSON with ' for "
 *	sandbox  "" (none), or containers parted by ';': "main#0 exit 1 for 5 ago 3", "main#1 run for 2", "main#0 made"; "dead: ..." when it has died.
 *	         ran `for` so many seconds, ended so many `ago`
 *	health   "main#0 startup+ liveness- readiness? hook hook-": good, bad, none yet; a hook that runs, or has failed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "node/pod.h"

#define KIT_NOW_NS (INT64_C(1800000000) * NS_PER_S)

struct plan_kit {
	struct arena arena;
	struct sandbox_status sandbox;
	struct container_status containers[32];
	struct container_health health[16];
	struct pod_view view;
};

void plan_kit_make(struct plan_kit *k, const char *pod, const char *sandbox, const char *health);
void plan_kit_done(struct plan_kit *k);
