/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cluster_ip - which addresses of 127.96.0.0/16 and which node ports of 30000 to 32767 services have.
 *
 * The stored services are the truth: the table is made from them at first use, and kept by what becomes durable. What is given to a
 * service that is not stored yet is held until its write has ended, and for a minute at the most.
 *
 * Threads: the API server's loop.
 */
#include "kube/kind.h"
#include "kube/ranges.h"

#define NODE_PORT_FIRST 30000
#define NODE_PORT_LAST  32767

/* One that is free, "127.96.3.4"; empty when none is. Held for the change, unless that is a dry run. */
struct span cluster_ip_next(struct change *c);
/* Why `s` cannot be had, in the real server's words; NULL when it can. Held then. */
const char *cluster_ip_take(struct change *c, struct span s);
/* The same for ports; 0 when none is free. */
int64_t node_port_next(struct change *c);
const char *node_port_take(struct change *c, int64_t port);

/* What was held for a change that is not stored. NULL is allowed. */
struct held;
void cluster_ip_give(const struct held *first);

/* The server ends: the next one may be at the same place in memory. */
void cluster_ip_forget(const struct kube *k);

/* A service that is durable now: `old` or `object` may be NULL. */
void cluster_ip_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object);
