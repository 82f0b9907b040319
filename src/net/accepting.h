/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * accepting - the clients of a listening socket, as they come: some at one event, so that a storm of new ones does not starve the others,
 * and none for a moment when the process is out of descriptors or memory; they wait in the kernel's queue then.
 *
 * Ownership: the socket is the caller's, and stays so.
 * Threads:   that of the loop.
 */
#include <sys/socket.h>

#include "loop/loop.h"

struct accepting {
	struct loop *loop;
	int fd;
	bool is_shared;          /* loops of other threads accept from it too */
	const char *room, *name; /* for the log: who accepts, and where; name may be NULL */
	/* Owns `fd` from now on. It is not blocking, and closed by exec. `peer` of a client without an address is AF_UNIX alone. */
	void (*accepted)(struct accepting *a, int fd, const struct sockaddr_storage *peer);

	/* private */
	struct watch watch;
	struct timer pause;
	bool is_watched;
};
void accepting_begin(struct accepting *a);
/* Not, or no more. It may be begun again. */
void accepting_end(struct accepting *a);
/*
 * One that waits; false: nobody does. For the end: clients in the kernel's queue have been told that they are connected, and closing the
 * socket would reset them.
 */
bool accepting_one(struct accepting *a);
