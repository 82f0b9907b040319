/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * host_private - what the two halves of libhythe-host share: models (host.c, call.c) and an HTTP application (app.c).
 *
 * Life: hythe_host_new() copies the config and binds; an application is made by app_new() there. hythe_host_start() starts
 * the server and then app_start(). hythe_host_stop() may come at any time and on any thread: on the loop it becomes
 * app_stop() and server_drain(). When the loop has ended a thread of the host calls app_join(), and hythe_host_wait()
 * returns. hythe_host_free() frees the server and then calls app_free(). A driven host has no such thread: the one that drives it
 * does that.
 *
 * The server has one loop. request.context is the host for an application's routes, and the inference for models'.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "hosts/hythe_app.h"
#include "hosts/hythe_host.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/server.h"

struct app_host;       /* app.c */
struct host_component; /* call.c */
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
	struct host_component *component;

	/* An application; `size` 0: none. */
	struct hythe_app app;
	struct app_host *app_host;

	int adopt_fd; /* the connection with a hythe in front, until the server has it; its end ends the host */
	int direct_fd; /* the socket by which that one passes clients' connections on (net/direct.h), until it is in use */

	bool has_log; /* a setting changes the process's log */
	enum log_level log_level;
	enum log_format log_format;

	struct loop_message started, stop;
	/* A stop may come before the start, and from a signal handler: the message goes once both are true. */
	_Atomic bool is_started, is_stopping, is_stop_sent;
	pthread_t ender; /* waits for the loop's end, then tells it by ended_fd, an eventfd that stays readable */
	int ended_fd;
	bool has_ender;

	/* host_drive.c: no thread of the library runs the loop, but the one that calls hythe_host_run() or hythe_host_turn(). */
	bool is_driven, is_entered, is_over, is_interrupted, has_signal;
	bool is_woken_by_signals; /* somebody has signal_fds[1] */
	struct timer look;        /* else */
	pthread_t driver;         /* the last that did */
	void (*waits)(void *context);
	int (*resumes)(void *context);
	void *wait_context;
	int signal_fds[2];
	struct watch signals;
};

/* This thread runs the host's loop: it needs no message to it. */
static inline bool host_is_here(const struct hythe_host *h)
{
	return h->is_driven && pthread_equal(h->driver, pthread_self());
}

/* ---- call.c ---- */

/* The component that calls config->call; cut from the host's arena. */
bool host_component_new(struct hythe_host *h, const struct hythe_host_config *config, struct error *err) MUST_CHECK;
bool host_component_add(struct hythe_host *h, struct error *err) MUST_CHECK; /* to h->inference */

/* ---- host_drive.c ---- */

bool drive_start(struct hythe_host *h, struct error *err) MUST_CHECK;
void drive_end(struct hythe_host *h); /* it was started: stops it, and runs it to its end here */

/* ---- settings.c ---- */

/* One setting by its name, into h->config (and the log's own, which are the process's). */
bool host_setting(struct hythe_host *h, const char *name, const char *value, struct error *err) MUST_CHECK;

/* ---- app.c ---- */

extern const struct route app_routes[]; /* a catch-all; their request.context is the host */
struct app_host *app_new(struct hythe_host *h);
bool app_start(struct hythe_host *h, struct error *err) MUST_CHECK; /* the server runs */
void app_stop(struct hythe_host *h); /* on the loop, once, before the server drains; never blocks */
void app_join(struct hythe_host *h); /* the loop has ended, its memory and the pool's are still there: end all threads,
					* if there are any */
void app_free(struct app_host *a);   /* NULL is allowed */
