/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * workers - processes that run a user's code, and the way of a request to one that is free.
 *
 * The server in front (server.h, with one loop) takes every request; workers_routes hand it on over HTTP/2 (client.h) to a
 * worker process on the other end of a socket pair. Each worker takes `slots` requests at once; the rest wait here in order, so
 * that none starves while another worker is free. The client's connection is never the worker's: a worker that dies
 * costs the requests it had, and no other.
 *
 * Where there is one worker only (is_direct), most requests do not come through here: a client's HTTP/1 connection in clear is
 * passed to it as soon as a request stands in it (server_config.offer = workers_offer), and served there (net/direct.h). It comes
 * back when the worker ends or dies, and for what only this process can answer.
 *
 * A worker is started by `argv` with two or three descriptors, whose numbers are in its environment:
 *	HYTHE_CHANNEL_FD   the socket on which it serves HTTP/2 (server_adopt()); its end ends the worker
 *	HYTHE_DIRECT_FD    a socket on which it is passed connections (direct_take_from()); with is_direct
 *	HYTHE_CONTROL_FD   a pipe on which it writes lines of JSON:
 *		{"state":"ready","kind":"component","slots":1,"text":"Python class MyModel"}
 *		{"state":"failed","error":"ModuleNotFoundError: ...","traceback":"..."}
 * With `is_preloaded`, one process is started with HYTHE_NURSERY_FD, a SEQPACKET socket, instead: it loads the code, writes
 * {"state":"loaded"} there, and for each byte sent to it with its descriptors (channel, control, direct; SCM_RIGHTS) it forks a
 * worker, and answers {"pid":1234}. It is a child subreaper's child: its workers' ends are seen by the nursery, which
 * writes {"ended":1234,"status":9} (status as of waitpid()).
 *
 * Life of a worker: starting → ready → (retiring) → ended. It is replaced when it dies, when one of its requests passes
 * timeout_ms (SIGABRT, so that Python prints where it stood, then SIGKILL), when it grows past rss_limit (after its requests), and
 * after max_requests (± jitter). Replacement backs off from 100 ms to 10 s when workers die young; workers_reload() starts a
 * new generation, and the old one ends when it has answered and the new one is ready. If the new one fails to start the
 * old one stays.
 *
 * What a client is told: 502 BAD_GATEWAY when the worker died with the request ("worker 1234 was killed by signal 11
 * (Segmentation fault)"), 504 when it passed the time limit, 503 with Retry-After when no worker is up (and why), 429 when the
 * queue is full. A request of which the worker has done nothing is sent to another one. In the form of the protocol asked:
 * gRPC status, Seldon's status object, {"error": ...}.
 *
 * Threads:   one loop: all of it, but workers_new(), workers_reload() and workers_free() by the program's main thread.
 * Errors:    workers_start(): the first worker's own words when none comes up.
 */
#include "metrics/metrics.h"
#include "net/request.h"
#include "net/server.h"

struct workers;
struct loop;

struct workers_config {
	const char *const *argv;        /* program and arguments, ends with NULL */
	const char *const *environment; /* "NAME=value" besides this process's own, ends with NULL; may be NULL */
	unsigned count;
	bool is_preloaded;
	int64_t timeout_ms;                       /* of one request in a worker; 0 none */
	int64_t start_timeout_ms;                 /* from start to ready */
	int64_t graceful_timeout_ms;              /* for a retiring worker's requests */
	size_t max_requests, max_requests_jitter; /* 0 none */
	size_t rss_limit;                         /* bytes; 0 none */
	size_t queue_limit;                       /* requests that wait */
	/* With one worker, HTTP/1 connections in clear are passed on to it and served there: see below. */
	bool is_direct;
	/* All paths are the application's: no health answers of our own. So it is too when the workers' kind is not
	 * "component". */
	bool is_app;
	bool expose_errors;
	struct metrics *metrics;
	const char *metrics_path; /* besides /metrics, and of applications too; may be NULL */
	const char *ready_path;   /* besides /ready and /readyz, and of applications too; may be NULL */
};

struct workers *workers_new(const struct workers_config *config);

/* For server_config.worker_started: the loop on which all of it lives. Its server must have workers = 1. */
void workers_loop_started(void *workers, unsigned index, struct loop *loop);

/* For server_config.offer and loans_due: with is_direct. */
bool workers_offer(void *workers, struct worker *home, int fd, const char *peer, struct span first);
void workers_loans_due(void *workers);

/* Starts them and waits until the first is ready, or has failed, or `is_enough` (NULL: never), which is asked now and then: CANCELLED. */
bool workers_start(struct workers *w, bool (*is_enough)(void), struct error *err) MUST_CHECK;
/* What the ready worker said of itself: "Python class MyModel", and its kind: "component", "wsgi", "asgi". */
const char *workers_text(const struct workers *w);
const char *workers_kind(const struct workers *w);

void workers_reload(struct workers *w); /* any thread */
/* After server_wait(), for it runs the loop on: tells them to end and waits, graceful_timeout_ms at most. */
void workers_stop(struct workers *w);
void workers_free(struct workers *w); /* NULL is allowed; after the loop has ended */

/* A catch-all, and what is answered here: liveness, readiness, metrics of all workers together. */
extern const struct route workers_routes[];
