/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * inference_service - what the files of InferenceServices' controller share.
 *
 *	inference_service.c         one call: the newest revision is made, and gets its part of the requests when it is ready
 *	inference_service_pods.c    the Deployment of a revision
 *	inference_service_scale.c   its autoscaler
 *	inference_service_status.c  what is told
 *
 * Each form of the predictor is a revision with a Deployment and a Service of its own, named and counted as Knative does:
 * "iris-predictor-00001". One revision is rolled out; a newer one gets its requests when it is ready, or so many of a hundred as
 * canaryTrafficPercent says, until that member is taken away. Which one is rolled out stands in the status.
 */
#include "controllers/serving.h"
#include "kube/crd/inference_service.h"

#define INFERENCE_LABEL        "serving.kserve.io/inferenceservice"
#define INFERENCE_REVISION     "serving.kserve.io/revision"
#define INFERENCE_SERVICE_HTTP 80 /* a service's; that of gRPC is the container's own */
#define INFERENCE_HTTP         8080
#define INFERENCE_GRPC         8081
#define INFERENCE_METRICS      8082

struct inference {
	struct reconcile *r;
	const struct value *spec, *predictor;
	struct span base;      /* "iris-predictor" */
	struct span host, url; /* "iris-default.example.com" */
	struct wanted wanted;
	struct span newest, stable; /* names of revisions; stable empty: none was ever ready */
	struct span previous;       /* that was rolled out before */
	int64_t newest_weight;
	const struct value *newest_deployment, *stable_deployment; /* as they are there */
	bool is_newest_ready;
};

/* The spec of the newest revision's Deployment, without what depends on its name. */
struct value inference_template(struct inference *x);
struct value *inference_deployment(struct inference *x, struct span name, const struct value *template);
/* Annotations of a revision's Service by which the gateway answers itself; false: it cannot. */
bool inference_native_annotate(struct inference *x, struct value *annotations);

bool inference_has_scaler(const struct inference *x);
void inference_scaler(struct inference *x, struct span name);
bool inference_is_ready(const struct inference *x, const struct value *deployment);

void inference_status(struct inference *x);
