/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dial - a connected TCP socket to an endpoint, in the host's network or in a pod's: there the socket is asked for at the pod's door
 * (node/egress.h), so that it works for ordinary users too and needs neither routes nor rights; connect(2) is then made here.
 *
 * Threads: one loop. Nothing blocks. `done` never comes from inside dial_begin(), and always unless dial_cancel().
 * Errors:  UNAVAILABLE: nobody listens, no such door, reset; TIMEOUT.
 */
#include <sys/socket.h>

#include "base/base.h"

struct dial;
struct loop;

struct dial_config {
	struct loop *loop;
	const struct sockaddr_storage *address;
	struct span sandbox; /* plan_endpoint's; copied */
	int type;            /* SOCK_STREAM, SOCK_DGRAM */
	int64_t until_ns;    /* loop's clock */
	/* fd: the callee's, non-blocking; -1 with err. */
	void (*done)(void *owner, int fd, const struct error *err);
	void *owner;
};
struct dial *dial_begin(const struct dial_config *config);
void dial_cancel(struct dial *d); /* before `done` */
