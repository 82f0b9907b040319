/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * landlock - a second wall round a container's files, where the kernel has it (landlock(7)).
 *
 * Mounts say what "/" is; landlock says that there is nothing else: a folder that is reached by another way (a descriptor that was left open, the
 * root of a process elsewhere) is refused, and so are mounts and looks into processes that are not the container's own. Within "/" nothing changes.
 * It is passed on to what the process begins, not to what exec brings in later: that is who looks into a container.
 */
#include "base/base.h"

/*
 * Inside: the calling process, which has one thread, gets its wall: "/" is what it is now. `has_machines_network`: unix sockets with abstract names that
 * others of the machine listen at are refused as well (kernels from 6.12). It takes no_new_privs or CAP_SYS_ADMIN. True without an effect where
 * the kernel has no landlock, or one before 5.19, which would refuse every rename between folders.
 */
bool landlock_enter(bool has_machines_network, struct error *err) MUST_CHECK;
