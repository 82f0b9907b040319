/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * spares - supervisors made ahead, each with the namespaces of a pod that is not known yet: a pod that comes then need not wait for them.
 *
 * Used by the spawner alone. A spare is a process that waits on a socket for a pod's folder and its connection; it ends when the socket does, so
 * none outlives the spawner. Those made before the machine's mounts changed are let go: they would not show what was mounted since.
 *
 * Threads: one. Errors: none: where a spare can't be had, a supervisor is made as ever.
 */
#include <sys/types.h>

#include "base/base.h"

enum { SPARES_MOST = 4 };

struct spares {
	char *scratch; /* an empty folder, over which each spare mounts its own; NULL: there are to be none */
	int mounts;    /* polled: the machine's mounts have changed; -1 */
	int wait_ms;   /* before the next is made */
	struct {
		int fd;
		pid_t pid;
	} items[SPARES_MOST];
	size_t count;
};

/* From now on there are to be some; `folder` is of the pods. */
void spares_begin(struct spares *s, struct span folder);
/* Gives a pod to a spare. False: there is none. */
bool spares_take(struct spares *s, struct span folder, int connection_fd, pid_t *ret_pid);
/* How long to wait for requests before spares_fill(): -1: for ever. */
int spares_wait_ms(const struct spares *s);
/* Makes one more. `others`: a descriptor that is not for it. */
void spares_fill(struct spares *s, int others);
/* The machine's mounts have changed. */
void spares_drop(struct spares *s);
/* In a child of the spawner's: what is the spawner's is closed. */
void spares_leave(struct spares *s);
