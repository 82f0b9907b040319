/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gauges - what is counted of requests, as custom.metrics.k8s.io (v1beta2, v1beta1) and external.metrics.k8s.io (v1beta1) tell it to
 * `kubectl get --raw` and to autoscalers.
 *
 *	requests_per_second   answered, over the last GAUGE_WINDOW_S seconds
 *	requests_in_flight    now, with those that wait for an endpoint
 *
 * of Pods (by all services whose slices of endpoints have them), Services, Ingresses, HTTPRoutes and GRPCRoutes. Of these last three it is the sum of the services
 * that they lead to, each once, whichever way its requests come. External ones have the labels namespace and service.
 *
 * A part of this program that answers requests for services counts them, and registers by kube_serve_gauges(). Before that nobody serves the two
 * groups.
 *
 * Threads: the API server's loop.
 */
#include "base/base.h"
#include "wire/value.h"

struct kube;
struct selector;

enum { GAUGE_WINDOW_S = 30 };

struct gauge_use {
	double rate; /* requests a second */
	int64_t in_flight;
};

struct gauge_provider {
	/* pod empty: of all its endpoints. False: nothing was ever asked of it. */
	bool (*use_of)(void *context, struct span name_space, struct span service, struct span pod,
		       struct gauge_use *ret);
	void *context;
};

/* The groups are served from now on. Kept by value. */
void kube_serve_gauges(struct kube *k, const struct gauge_provider *p);

/* ---- what autoscalers ask: cluster_gauges() ---- */

struct gauge_question {
	struct span metric, name_space;
	struct span group, kind;        /* of objects: "", "Pod" */
	struct span name;               /* of one; empty: of all that `objects` takes */
	bool is_external;               /* of services, by labels: the four above do not count */
	const struct selector *objects; /* NULL: all */
	const struct selector *labels;  /* of the metric; NULL: any */
	struct span labels_text;        /* the same, for errors */
};

struct gauge {
	struct span name;        /* of the object; of external ones the service */
	const char *api_version; /* of the object */
	const char *kind;
	int64_t milli;
};

struct gauges {
	const struct gauge *items;
	size_t count;
	int64_t at_ns;    /* wall clock */
	int64_t window_s; /* 0: a value of a moment */
};

/* NOT_FOUND in the words of adapters: nobody counts that, or not of this object. Of all objects: those of which it is counted. */
bool gauges_find(struct kube *k, const struct gauge_question *q, struct gauges *ret, struct arena *arena,
		 struct error *err) MUST_CHECK;
