/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * compile - makes the gateway's plan of the cluster's objects, anew when one has changed, and tells in their status what became of them.
 *
 *	Service        cluster IP, node port, load balancer → entries; ports → backends; status.loadBalancer
 *	EndpointSlice  → endpoints; a pod's sandbox by its pod
 *	Pod            hostPort → entries, of those that run here
 *	Ingress        → the tables of the shared HTTP and HTTPS entries; status.loadBalancer
 *	GatewayClass "hythe", Gateway → entries with tables; HTTPRoute, GRPCRoute → routes; status of all (Accepted, Programmed, ResolvedRefs)
 *	Secret         kubernetes.io/tls → certificates
 *	annotations of Services "hythe.dev/native-model" → plan_backend.native (native.h)
 *
 * Threads: the API server's loop. Changes of one turn of the loop make one plan.
 */
#include "gateway/gateway.h"
#include "kube/cluster.h"

struct compile;

struct compile_config {
	struct cluster *cluster;
	struct gateway *gateway;
	struct loop *loop;
	struct metrics *metrics;
	/* The entry for routes without an address of their own, and Ingress: "127.0.0.1:8080"; TLS: "127.0.0.1:8443"; NULL: none. */
	const char *address, *tls_address;
	/* Where node ports, load balancers and the listeners of Gateways other than "hythe" are: an IPv4 address; NULL: "127.0.0.1". "0.0.0.0" is
	 * allowed. */
	const char *services_address;
	const char *api_address; /* "127.0.0.1:6443": behind the service kubernetes */
	/* The pod's folder/sandbox by its uid, where this process runs pods; empty: it is not here. */
	struct span (*sandbox)(void *context, struct span pod_uid, struct arena *arena);
	void *context;
};
struct compile *compile_new(const struct compile_config *config, struct error *err);
/* gateway_config.bound. */
void compile_bound(struct compile *c, const struct gateway_bound *b);
void compile_stop(struct compile *c); /* writes nothing any more; NULL is allowed */
void compile_free(struct compile *c);
