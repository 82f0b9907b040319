/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * head - what of a request's head goes on to an endpoint, and of its answer's to the client: filters of routes, fields of the hop, who asked.
 *
 * Threads:   any; no state.
 * Ownership: what is made is cut from the request's arena.
 */
#include "gateway/plan.h"
#include "net/client.h"

enum { HEAD_FIELDS_MOST = HTTP1_HEADERS_MAX + 48 };

struct head {
	struct client_head head; /* its headers are `fields` */
	struct header fields[HEAD_FIELDS_MOST];
};

struct head_from {
	struct request *req;
	const struct plan_filters *filters[2]; /* of the route, then of the target; NULL: none */
	size_t prefix;                         /* how much of the path the match took */
	bool is_http2;                         /* to the endpoint */
	int64_t now_ns;
};

/* INVALID: the fields are too many. */
bool head_make(struct head *h, const struct head_from *from, struct error *err);
/* The answer's fields, HEAD_FIELDS_MOST of them at most; returns how many. `is_final`: not an interim one. */
size_t head_answer(struct request *req, const struct plan_filters *const filters[2], const struct header *fields,
		   size_t count, bool is_final, struct header *to);
/* Where a redirect goes to. */
struct span head_location(struct request *req, const struct plan_redirect *redirect, size_t prefix);
/* The path by the rewrite, without the query. */
struct span head_path(struct arena *arena, struct span path, const struct plan_rewrite *rewrite, size_t prefix);
bool head_is_grpc(const struct request *req);
