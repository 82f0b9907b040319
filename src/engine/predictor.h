/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * predictor - what an orchestrator is told to run: one predictor of a SeldonDeployment, read from its JSON.
 *
 * A graph of one MODEL node is taken; others are refused with words that name the node (UNIMPLEMENTED).
 *
 * Ownership: everything is cut from the arena given. Threads: any; nothing changes once it is read.
 */
#include "base/base.h"

enum predictor_protocol { PREDICTOR_SELDON, PREDICTOR_V2, PREDICTOR_TENSORFLOW };

/* A node of the graph, and where its component listens. */
struct predictor_node {
	struct span name;
	struct span image;               /* of its container, as meta.requestPath tells it */
	struct span image_name, version; /* the parts of it before and behind the first colon, as labels of metrics */
	struct span host;                /* "localhost" */
	uint16_t http_port, grpc_port;
	uint16_t ready_port; /* a connection to it is what readiness means */
};

struct predictor {
	struct span name, deployment, name_space;
	struct span version; /* its annotation "version", a label of metrics */
	enum predictor_protocol protocol;
	struct predictor_node root;
	int64_t rest_timeout_ns, grpc_timeout_ns; /* of one question to a node; 0: none */
	size_t grpc_message_most;                 /* bytes; 0: not given */
};

#define PREDICTOR_HTTP_PORT 9000
#define PREDICTOR_GRPC_PORT 9500

/* "seldon", "v2", "kfserving", "tensorflow"; empty is seldon. INVALID for others. */
bool predictor_protocol_read(struct span text, enum predictor_protocol *ret, struct error *err) MUST_CHECK;

/* `is_grpc`: spec.transport, which says the port of readiness where the node's endpoint does not. Deployment, namespace and protocol are
 * left for the caller. */
bool predictor_read(struct span json, bool is_grpc, struct arena *arena, struct predictor *ret,
		    struct error *err) MUST_CHECK;

/* An annotation of the pod or the predictor that changes how components are asked; others are passed over. INVALID for a value that is no number. */
bool predictor_annotate(struct predictor *p, struct span key, struct span value, struct error *err) MUST_CHECK;

/* The file /etc/podinfo/annotations: lines of key="value". */
bool predictor_annotations_read(struct predictor *p, struct span text, struct error *err) MUST_CHECK;
