/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * engine_private - what the files of the orchestrator share.
 *
 *	engine.c  life, routes, readiness
 *	call.c    one question over HTTP and its answer
 *	rest.c    the paths of the three protocols
 *	grpc.c    gRPC
 *	about.c   metadata, documentation, metrics
 */
#include <netinet/in.h>

#include "engine/engine.h"
#include "engine/meta.h"
#include "engine/question.h"
#include "engine/tally.h"

#define PUID_MAX 128 /* bytes of a caller's own that is kept */

struct call;

struct engine {
	struct engine_config config;
	struct loop *loop;
	struct sockaddr_in host; /* the component's, without a port */
	struct asker *http, *grpc, *ready;
	struct tally *tally;
	struct call *free_calls;
	size_t free_call_count;
	struct route own[2];           /* of --prometheus_path */
	const struct route *tables[8]; /* ends with NULL */
};

static inline struct engine *engine_of(const struct request *req)
{
	return req->context;
}

extern const struct surface surface_engine;
extern const struct route engine_common_routes[], engine_seldon_routes[], engine_v2_routes[],
    engine_tensorflow_routes[];

/* Headers of each answer of the executor's: Seldon-Puid, CORS, nosniff, and those of CloudEvents when it was asked in their form. */
void answer_headers(struct request *req, struct span puid);
/* The caller's Seldon-Puid, or one made here; cut from the request's arena. */
struct span puid_of(struct request *req);
/* {"status":{"code":500,"info":"...","status":"FAILURE"}} */
void answer_failure(struct request *req, int status, struct span info);

/* ---- call.c ---- */

/* A request over HTTP while its component is asked. */
struct call {
	struct engine *engine;
	struct request *req; /* NULL: its client has gone */
	struct question ask;
	struct span service;            /* as metrics name it: "predictions" */
	struct span puid, method, path; /* of the question */
	struct buffer answer;
	int status;
	struct span content_type, header_length; /* of the answer; the second is V2's Inference-Header-Content-Length */
	bool is_check;                           /* no answer is 503 without words */
	void (*done)(struct call *c);            /* the component's answer is there, with any status */
	struct timer timer;
	int64_t asked_ns;
	struct call *next;
};

/* Asks the node, with the request's headers and, where `has_body`, its body. `done` answers by call_answer() or call_pass(). */
/* NULL: the request was failed. */
struct call *call_begin(struct request *req, struct span service, struct span method, struct span path, bool has_body,
			void (*done)(struct call *c));
void call_pass(struct call *c); /* the component's answer as it is */
/* What is in req->out is the answer; the call is over. */
void call_answer(struct call *c, int status, struct span content_type);
void calls_free(struct engine *e);

/* ---- rest.c, grpc.c, about.c ---- */

void grpc_request(struct request *req);
void grpc_health(struct request *req);
void about_metadata(struct request *req);
void about_page(struct request *req);
void about_document(struct request *req);
void about_metrics(struct request *req);

/* 200 or 503, without a body, once it is known whether the component answers. */
void engine_ready(struct request *req);
/* The same for others: `done` on the loop, also from inside. */
void engine_try(struct engine *e, void (*done)(void *context, const struct error *why), void *context);
