/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * engine - the orchestrator of a predictor: takes requests as Seldon's executor does, asks the component, and completes its answer's meta.
 *
 * HTTP and gRPC come on every listener of its server. Over HTTP a request and its answer are held whole; over gRPC a prediction's answer is, and
 * all other calls flow through. What a component answers with an error goes to the caller as it is.
 *
 *	engine_new() → a server with engine_routes(), the engine as its context, engine_loop_started and one worker → engine_free() after
 *	server_wait() and before server_free()
 *
 * Threads: engine_new(), engine_free() and engine_routes() by the thread that makes the server; the rest on its loop.
 * Errors:  NOT_FOUND for a component's host that has no address.
 * Limits:  those of the server (limits.def): bodies, answers.
 */
#include "engine/predictor.h"
#include "net/server.h"

struct engine;

struct engine_config {
	struct predictor predictor;  /* its texts live as long as the engine */
	const char *prometheus_path; /* "/prometheus" */
	bool is_full_check;          /* readiness asks for the component's health, not only for a connection */
	const char *cors_origin, *cors_headers; /* of answers; NULL: "*", and none */
	size_t answer_most;                     /* bytes of a component's answer */
	struct metrics *metrics;
};

struct engine *engine_new(const struct engine_config *config, struct error *err);
void engine_free(struct engine *e); /* NULL is allowed */
const struct route *const *engine_routes(struct engine *e);
void engine_loop_started(void *engine, unsigned index, struct loop *loop);
