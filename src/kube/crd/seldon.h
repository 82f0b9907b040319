/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * seldon - what the checks of SeldonDeployments and their controller both know of them.
 *
 * Threads: any; nothing is kept.
 */
#include "wire/value.h"

#define SELDON_GROUP "machinelearning.seldon.io"
#define SELDON_KIND  "SeldonDeployment"

enum seldon_protocol { SELDON_SELDON, SELDON_TENSORFLOW, SELDON_V2 };
/* "", "seldon", "tensorflow", "v2" and its other name "kfserving"; false for others. */
bool seldon_protocol_read(struct span text, enum seldon_protocol *ret);

/* A server that comes ready: which models it takes is found out when it starts. */
struct seldon_server {
	const char *implementation; /* "SKLEARN_SERVER" */
	bool is_there;              /* else it is refused */
	bool needs_uri;
	bool takes_tensorflow; /* the protocol */
};
/* NULL: no such server. */
const struct seldon_server *seldon_server_find(struct span implementation);
/* A server, known or not: neither empty, UNKNOWN_IMPLEMENTATION nor one of the nodes that an orchestrator is itself. */
bool seldon_is_server(struct span implementation);
bool seldon_is_built_in(struct span implementation);

/* The container of a node: the one with its name; where the predictor has one container in all, and the graph one node, that one.
 * *ret_spec is its componentSpec's index. NULL: it has none. */
const struct value *seldon_container_find(const struct value *predictor, const struct value *node, uint32_t *ret_spec);

/* "true", in any letters. */
bool seldon_is_true(struct span annotation);
/* An annotation of the predictor. */
struct span seldon_annotation(const struct value *predictor, const char *name);
/* One of spec.annotations, or else of the object itself. */
struct span seldon_annotation_of_all(const struct value *object, const char *name);
