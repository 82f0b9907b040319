/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * egress - connections that leave a pod. Its network namespace has a loopback interface alone; a filter of its containers (filter.h: seccomp
 * with user notification) asks the supervisor at each connect(2), and sendto(2) with an address:
 *
 *	the pod's own (127.0.0.0/8 but the two below)	→ the kernel goes on
 *	a cluster IP (127.96.0.0/16)			→ one of those behind it, by service_table.h
 *	another pod's (127.97.0.0/16)			→ a socket made in that pod's namespace, asked for at its door
 *	anything else					→ mode "host": a socket of the machine's; "none": ENETUNREACH
 *
 * In mode "cni" the pod's network has an interface (cni.h): what is no cluster IP goes on in the kernel, to other pods too.
 *
 * Where the kernel does not go on, a socket made elsewhere is connected here and takes the descriptor's place, with the options of the one it
 * replaces. Epoll sets that knew the old one are told of the new one (Go registers sockets before it connects them). Names are
 * answered inside the pod, at 127.96.0.10:53: see dns.h.
 *
 * A process that means harm can change what it asked for between the look and the kernel's going on. So this keeps pods apart that are
 * not out to break it; code that is not trusted gets mode "none", and services of the machine's loopback a password.
 *
 * Doors: folder/sandbox/door of each pod is a Unix socket; who may open it (this user) sends {family, type} and gets a socket of the pod's.
 *
 * Threads: the supervisor's loop. Nothing blocks.
 * Limits:  EGRESS_CONNECTING_MOST blocking connects under way; more fail with EAGAIN.
 */
#include "base/base.h"

struct egress;
struct loop;

enum { EGRESS_CONNECTING_MOST = 1024 };

struct egress_config {
	struct loop *loop;
	struct span mode;    /* "host", "none", "cni" */
	struct span node;    /* the node's folder: network/, addresses/ */
	struct span sandbox; /* this pod's folder/sandbox, for its door */
	struct span address; /* this pod's */
	/* A socket of this pod's network namespace, -1 with err: enclosure_socket(). */
	int (*socket)(void *context, int family, int type, struct error *err);
	void *context;
};

struct egress *egress_new(const struct egress_config *config, struct error *err);
/* One question of a filter's descriptor, which is readable. False: its processes have all ended. */
bool egress_answer(struct egress *e, int notify);
void egress_free(struct egress *e); /* NULL is allowed */
