/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * webhook - one call of a webhook as the API server makes it: a JSON document is posted to what a clientConfig names (url, or a service:
 * the address comes from its Endpoints, EndpointSlices or clusterIP), and the answer's document comes back.
 *
 * `done` is called once, from the loop, never from inside webhook_call(); also, with CANCELLED, when the server ends.
 *
 * Errors: INVALID, UNAVAILABLE, TIMEOUT, ...: in the real server's words, `Post "https://...": context deadline exceeded`, without
 *         what it is about ("failed to call webhook").
 * Limits: 64 calls at once, answers of 8 MiB.
 */
#include "kube/kind.h"

struct webhooks;

struct webhooks *webhooks_new(struct kube *k); /* never NULL */
void webhooks_free(struct webhooks *w);        /* calls under way end; NULL is allowed */

struct webhook_request {
	const struct value *client_config; /* url or service, caBundle */
	struct span body;
	int64_t timeout_ns;
	bool has_timeout; /* the query says timeout=Ns, as calls of admission webhooks do */
	void (*done)(void *context, struct span answer, const struct error *err);
	void *context;
};
/* All of it is copied. */
void webhook_call(struct kube *k, const struct webhook_request *r);
