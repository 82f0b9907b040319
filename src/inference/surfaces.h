/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * surfaces - the routes of each protocol, as table.c lists them. Each is defined at the end of the file named.
 */
#include "net/request.h"

extern const struct route ops_routes[];         /* ops.c */
extern const struct route v2_routes[];          /* v2.c */
extern const struct route v2_grpc_routes[];     /* v2_grpc.c */
extern const struct route v1_routes[];          /* v1.c */
extern const struct route health_routes[];      /* health.c */
extern const struct route seldon_routes[];      /* seldon.c */
extern const struct route seldon_grpc_routes[]; /* seldon_grpc.c */
extern const struct route records_routes[];     /* records.c */
extern const struct route openapi_routes[];     /* openapi.c */
extern const struct route reflection_routes[];  /* reflection.c */
