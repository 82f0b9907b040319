/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * services - tells the supervisors of pods where cluster IPs and names lead: writes the files of service_table.h whenever a Service or
 * an EndpointSlice has changed.
 *
 * Threads: the loop. Errors: files that cannot be written are logged, and tried again at the next change.
 */
#include "kube/cluster.h"

struct services;
struct loop;

/* Follows resource_services and resource_endpoint_slices. `api`: where the API server listens ("127.0.0.1:6443"), which is behind the service
 * kubernetes when no slice says so; may be empty. */
struct services *services_new(struct cluster *cluster, struct loop *loop, struct span folder, struct span api,
			      struct error *err);
void services_free(struct services *s); /* NULL is allowed */
