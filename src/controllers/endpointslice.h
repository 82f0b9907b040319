/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* endpointslice - what Endpoints and EndpointSlices of a Service have in common. */
#include "controllers/objects.h"

#define LABEL_SERVICE          "kubernetes.io/service-name"
#define LABEL_SLICE_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define LABEL_HEADLESS         "service.kubernetes.io/headless"

/* The number that a port of a service has in a pod. NULL: the pod has none of that name. */
const struct value *endpoint_port(const struct value *pod, const struct value *service_port);
/* A slice of the call's service, without anything in it yet: the caller fills it and asks for it to be made. NULL: memory. */
struct value *endpoint_slice_new(struct reconcile *r);
/* May the pod stand behind a service? It has an address, and has not ended. */
bool endpoint_has_address(const struct value *pod);
