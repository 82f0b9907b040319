/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * host_private - what the two halves of libhythe-host share: models (host.c, call.c) and an HTTP application (app.c).
 *
 * Life: hythe_host_new() copies the config and binds; an application is made by app_new() there. hythe_host_start() starts
 * the server and then app_start(). hythe_host_stop() may come at any time and on any thread: on the loop it becomes
 * app_stop() and server_drain(). hythe_host_wait() returns after the loop has ended and app_join() is done;
 * hythe_host_free() frees the server and then calls app_free().
 *
 * The server has one loop. request.context is the host for an application's routes, and the inference for models'.
 */
#include <stdatomic.h>

#include "hosts/hythe_app.h"
#include "hosts/hythe_host.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/server.h"

struct app_host; /* app.c */
struct inference;

/* A host has models or an application, not both. */
struct hythe_host {
	struct arena arena; /* everything of the config that is kept */
	struct server_config config;
	struct metrics *metrics;
	struct server *server;
	unsigned threads; /* calls at once */

	/* Models. */
	struct inference *inference;
	struct host_component *component; /* call.c */

	/* An application; `size` 0: none. */
	struct hythe_app app;
	struct app_host *app_host;

	/* The connection with a hythe in front. The watch sees its end. */
	int adopt_fd, watched_fd;
	struct watch hangup;

	struct loop_message started, stop;
	_Atomic bool is_started, is_stopping;
	bool is_waited;
};

/* ---- app.c ---- */

extern const struct route app_routes[]; /* a catch-all; their request.context is the host */
struct app_host *app_new(struct hythe_host *h);
bool app_start(struct hythe_host *h, struct error *err) MUST_CHECK; /* the server runs */
void app_stop(struct hythe_host *h); /* on the loop, once, before the server drains; never blocks */
void app_join(struct hythe_host *h); /* the loop has ended, its memory and the pool's are still there: end all threads */
void app_free(struct app_host *a);   /* NULL is allowed */
