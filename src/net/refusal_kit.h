/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * refusal_kit - for tests: a kernel that takes the beginning of a large piece, refuses once, and then takes all that is left, so that no event says
 * that there is room again. send() and sendmsg() of a program with this kit are its own.
 *
 * Threads: any; what the arming thread itself sends goes as ever.
 */
#include "base/base.h"

/* From now on the first piece of REFUSAL_LEAST bytes or more meets this. */
#define REFUSAL_LEAST KIB(128)
void refusal_arm(void);
bool refusal_is_over(void); /* it has been met: there was a refusal, and all that came after it was taken */
