/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * streams - what clients ask of pods that run here: logs, exec, attach, forwarded ports, proxies.
 *
 *	logs.c      pods/log: a file as text, followed while it grows
 *	remote.c    pods/exec and pods/attach: channels of a WebSocket (v5.channel.k8s.io, v4, the first form), or streams of SPDY (v1 to v4)
 *	forward.c   pods/portforward: pairs of SPDY streams, raw or inside a WebSocket, and channels of a WebSocket (v4)
 *	proxy.c     pods/proxy, services/proxy: a request of the client's goes to a port of the pod
 *	tunnel.c    the upgraded request below them; pipes.c the descriptors on the other side
 *
 * Threads: the loop of node and API server.
 * Limits:  STREAMS_MOST sessions at a time (429); FORWARD_CONNECTIONS_MOST of one forwarding.
 */
#include "kube/subresource.h"
#include "node/node.h"

struct streams;

enum { STREAMS_MOST = 1000, FORWARD_CONNECTIONS_MOST = 1000 };

/* Serves the API server's questions about this node's pods from now on. */
struct streams *streams_new(struct node *n, struct kube *k, struct loop *loop);
/* What runtime_events.ended tells. */
void streams_ended(struct streams *s, struct span sandbox, struct span stream, int exit_code);
/* What runtime_events.changed tells: logs that are followed end with their container. */
void streams_changed(struct streams *s, struct span sandbox);
/* All sessions end; clients are told where the protocol can say it. NULL is allowed. */
void streams_free(struct streams *s);
