/* SPDX-License-Identifier: Apache-2.0 */
/* table - every protocol surface: to add one, write its file and put its row here. */
#include "inference/inference.h"
#include "inference/surfaces.h"

const struct route *const inference_routes[] = {
	v2_routes, v2_grpc_routes, v1_routes, health_routes, ops_routes, NULL,
};
