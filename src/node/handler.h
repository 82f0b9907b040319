/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * handler - one question to a container: a command in it (exec), an HTTP or HTTPS request (httpGet), a connection (tcpSocket), a gRPC health
 * check (grpc), or a sleep. Probes ask again and again (probe.h), lifecycle hooks once (worker.c).
 *
 * Connections begin in the pod's own network (runtime_socket), so that they reach what listens on its loopback alone, as kubelet's reach a pod's
 * address. The words of a failure are Go's and kubelet's.
 *
 * Life:      handler_run() → `done` once, later, never before it has returned; or handler_cancel(), then never.
 * Threads:   the loop. What is given is copied.
 * Limits:    10 KiB of an answer or of a command's output; 10 redirects.
 */
#include "node/runtime.h"
#include "wire/value.h"

struct handler;

struct handler_wanted {
	struct loop *loop;
	struct runtime *runtime;
	struct span uid, address; /* of the pod */
	struct span container;
	uint32_t attempt;
	const struct value *spec;   /* of the container: ports by name */
	const struct value *action; /* a Probe, or a LifecycleHandler: exec, httpGet, tcpSocket, grpc or sleep */
	const char *agent;          /* "kube-probe/1.33" */
	int64_t timeout_ns;         /* 0: none */
	bool is_status_ignored;     /* of HTTP: any answer is good, as for hooks */
};

enum handler_verdict {
	HANDLER_GOOD,
	HANDLER_WARNING, /* good, but: a redirect to another host was not followed */
	HANDLER_BAD,
	HANDLER_ERROR, /* it could not even be asked */
};

typedef void (*handler_done)(void *context, enum handler_verdict verdict, struct span text);

struct handler *handler_run(const struct handler_wanted *w, handler_done done, void *context);
void handler_cancel(struct handler *h); /* NULL is allowed */
/* runtime_events.ended: true when it was this one's. */
bool handler_ended(struct handler *h, struct span stream, int exit_code);
/* A port by number, or by the name that the container's ports have; 0: there is none of that name. */
int handler_port(const struct value *port, const struct value *spec);
