/* SPDX-License-Identifier: Apache-2.0 */
/* table - every protocol surface: to add one, write its file and put its row here. */
#include "inference/inference.h"
#include "inference/surfaces.h"

const struct route *const inference_routes[] = {
	v2_routes,          v2_grpc_routes, v1_routes,      seldon_routes,
	seldon_grpc_routes, records_routes, openapi_routes, reflection_routes,
	health_routes,      ops_routes,     NULL,
};
