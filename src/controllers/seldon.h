/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * seldon - what the files of SeldonDeployments' controller share.
 *
 *	seldon.c           one call: what is wanted is made, what is no longer wanted goes when what is wanted is available
 *	seldon_defaults.c  predictors with all that they leave out: ports, hosts, types, containers of servers
 *	seldon_pods.c      Deployments: the pods of predictors, the orchestrator in them
 *	seldon_objects.c   Services, autoscalers, disruption budgets
 *	seldon_routes.c    the HTTPRoute and the GRPCRoute
 *	seldon_status.c    the state, and why it is so
 *	serving.h          what InferenceServices have too: servers that come ready, routes, why pods are not ready
 *	wanted.c           objects that are wanted, compared with those that are there
 *
 * Names, labels, ports and variables are those of Seldon's operator 1.18. What differs, and why: docs/reference/seldon-differences.md.
 */
#include "controllers/serving.h"
#include "kube/crd/seldon.h"

#define SELDON_LABEL_ID      "seldon-deployment-id"
#define SELDON_LABEL_APP     "seldon-app"
#define SELDON_LABEL_SERVICE "seldon-app-svc-" /* and the container's name */
#define SELDON_LABEL_ENGINE  "seldon-deployment-contains-svcorch"
#define SELDON_ENGINE        "seldon-container-engine"
#define SELDON_ENGINE_HTTP   8000
#define SELDON_ENGINE_GRPC   5001

struct seldon_predictor {
	const struct value *written; /* as its author wrote it */
	struct value *spec;          /* with all that he left out */
	struct span name;
	struct span service;          /* the entry's */
	int64_t http_port, grpc_port; /* of the entry */
	int64_t traffic;
	bool is_shadow;
	bool has_no_engine, has_own_engine; /* none; in a Deployment of its own */
	bool is_ready;                      /* its Deployments are available */
	size_t deployment_count;            /* so many are wanted */
};

struct seldon {
	struct reconcile *r;
	const struct value *object, *spec;
	struct span id; /* the label's value */
	enum seldon_protocol protocol;
	bool is_grpc;
	struct seldon_predictor *predictors;
	uint32_t count;
	struct span *containers; /* names of those in graphs: the place of each is that of its ports */
	uint32_t container_count;
	struct wanted wanted;
	struct span fault; /* why it cannot be; empty: it can */
};

/* seldon_defaults.c */
bool seldon_defaults(struct seldon *s); /* false: s->fault says why, or memory ended */
struct span seldon_container_service(struct seldon *s, const struct seldon_predictor *p, struct span container);
/* The node that a container belongs to; NULL: none. */
const struct value *seldon_node_of(const struct seldon_predictor *p, struct span container);

/* seldon_pods.c: one Deployment for each componentSpec, and perhaps the orchestrator's */
void seldon_deployments(struct seldon *s, struct seldon_predictor *p);

/* seldon_objects.c */
void seldon_services(struct seldon *s, struct seldon_predictor *p);
void seldon_scaler(struct seldon *s, const struct value *component, const struct value *deployment);
void seldon_budget(struct seldon *s, const struct value *component, const struct value *deployment);
struct value seldon_labels(struct seldon *s, const struct seldon_predictor *p); /* of all that it makes */
struct span seldon_service_label(struct seldon *s, struct span container);      /* the key */

/* seldon_routes.c. True: the routes are as they are wanted, and nothing had to be written. Predictors know by now whether they are ready:
 * one that is not gets no requests that others answer. */
bool seldon_make_routes(struct seldon *s);

/* seldon_status.c */
void seldon_status(struct seldon *s);
