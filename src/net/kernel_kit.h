/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kernel_kit - for tests: a kernel that does at a known moment what the real one does by chance. send(), sendmsg() and recv() of a program with this kit
 * are its own.
 *
 * Threads: any; what the arming thread itself sends and receives goes as ever.
 */
#include "base/base.h"

/* It takes the beginning of a large piece, refuses once, and then takes all that is left, so that no event says that there is room again. From now on the
 * first piece of KERNEL_REFUSES_LEAST bytes or more meets this. */
#define KERNEL_REFUSES_LEAST KIB(128)
void kernel_refuses(void);
bool kernel_has_refused(void); /* it has been met: there was a refusal, and all that came after it was taken */

/* It has the next bytes always in time: who reads gets as many as it asked for, until this is over. */
void kernel_hastens(void);
void kernel_hastens_no_more(void); /* all that is to be read has been sent */
