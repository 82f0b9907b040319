/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * proxy_fields - what a proxy of the API server changes in a request's head and in its answer's, as kube-apiserver does it: who the client
 * is to the API server is not for pods to know, and where a pod sends the client to is a path behind the proxy.
 *
 * Ownership: spans are the request's, or of the arena given.
 */
#include "net/request.h"

/* One proxied request, as addresses have it. */
struct proxy_place {
	struct span authority; /* as the client said it: "127.0.0.1:8001" */
	struct span endpoint;  /* "127.97.0.5:80" */
	struct span prefix;    /* "/api/v1/namespaces/default/services/web/proxy" */
};

#define PROXY_FIELDS_MOST (HTTP1_HEADERS_MAX + 4)

/* The fields for the pod; `to` has room for PROXY_FIELDS_MOST. `peer`: the client's address with its port. */
bool proxy_fields_ask(const struct header *from, size_t count, struct span peer, struct span path, struct arena *arena,
		      struct header *to, size_t *ret_count, struct error *err);
/* The fields for the client; `to` has room for `count`. How many there are then. */
size_t proxy_fields_answer(const struct proxy_place *place, const struct header *from, size_t count,
			   struct arena *arena, struct header *to);
/* What a pod means by a Location: the same when it leads elsewhere. */
struct span proxy_location(const struct proxy_place *place, struct span location, struct arena *arena);
