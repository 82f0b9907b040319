/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * request_private - what the five files that make up a request share.
 *
 *	request.c  its life: birth, decoding, the handler, compute threads, deadlines, death
 *	target.c   the question: target, route, parameters, forms
 *	answer.c   the answer: send, fail, compression, headers
 *	open.c     answers after the handler's return, and in parts
 *	account.c  who asked and what became of it: ids, trace context, access log, counters
 *
 * Threads: the worker's; what an offloaded step may touch is said there.
 */
#include <stdatomic.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "metrics/metrics.h"
#include "net/coding.h"
#include "net/connection.h"
#include "net/routes.h"
#include "net/server.h"

enum {
	GRPC_CODES = 17,
	HTTP_FIRST = 100,
	HTTP_LAST = 599,
	CODES = GRPC_CODES + HTTP_LAST - HTTP_FIRST + 1,
};

/* Where a request is. A handler has it in RUNNING (on the loop) and in OFFLOADED (on a compute thread), the owner of an
 * open request in WAITING. */
enum phase { PHASE_OPEN, PHASE_RUNNING, PHASE_OFFLOADED, PHASE_WAITING };

/* What request_open() adds; zeros when it was not called. */
struct open_request {
	const struct request_flow *flow;
	void *owner;
	uint64_t left; /* of the content-length given; UINT64_MAX without */
	uint64_t sent;
	int status, grpc_status;
	bool has_head, has_no_body;
	bool is_over_low; /* the owner waits for `writable` */
};

/* A request with what only this file knows. */
struct slot {
	struct request request; /* first: the two are cast to one another */
	struct pool_job job;
	_Atomic bool is_unwanted; /* set by the loop: a compute thread that has not begun the job leaves it */
	struct timer timer;       /* the deadline, while offloaded or waiting */
	struct open_request open;
	void (*next_step)(struct request *req); /* asked for by request_offload() */
	void (*step)(struct request *req);      /* runs on a compute thread */
	enum error_code failed;
	bool is_failing; /* inside the surface's fail() */
	bool is_late;    /* its deadline passed, and another request said so */
	struct error failure;
	struct error decode_error;    /* of decode_step() */
	struct buffer decoded, coded; /* body and answer without, and with, content coding */
	struct buffer parts; /* messages sent by a compute thread: struct part and its bytes, again and again */
	enum coding codings[CODING_LIST_MAX];
	size_t coding_count;
};

struct part {
	size_t len;
	bool is_coded;
};

struct surface_counters {
	struct metric_series *seconds;
	struct metric_series *codes[CODES];
};

struct worker_requests {
	char id_prefix[8];
	uint32_t id_counter;
	size_t free_count;
	struct surface_counters *counters; /* by surface index */
	struct metric_series *rejected[ERROR_COUNT];
	struct metric_series *compute_queue;
	struct worker *worker;
	struct buffer log;
	struct loop_task log_flush;
	int64_t log_second;
	char log_time[CLOCK_TEXT_SIZE];
};

static inline struct slot *slot_of(struct request *req)
{
	return (struct slot *)req;
}

static inline const struct server_limits *limits_of(const struct request *req)
{
	return &worker_config(req->worker)->limits;
}

/* ---- request.c ---- */

void request_finish(struct request *req);
void deadline_error(struct request *req, struct error *err);

/* ---- open.c ---- */

void open_wait(struct request *req);    /* the handler has returned and will be heard of later */
void open_finish(struct request *req);  /* answered: clears what was set, then request_finish() */
void open_abandon(struct request *req); /* the client is gone: the owner is told */

/* ---- account.c ---- */

void account_init(struct worker_requests *wr);
void account_done(struct worker_requests *wr); /* writes what is left of the log */
void request_identify(struct request *req);    /* takes or makes the id */
/* Once for each request, on the loop, when its last byte is known. */
void request_count(struct request *req, int code, size_t bytes);

/* ---- answer.c ---- */

void answer_clear(struct request *req);
void answer_deliver(struct request *req); /* to the codec */
/* Gives the codec what a compute thread sent as parts. False: they were over the limit. */
bool parts_deliver(struct request *req);
/* Empties it for reuse, and gives memory over `keep` bytes back. */
void buffer_recycle(struct buffer *b, size_t keep);

/* ---- target.c ---- */

/* Splits the target and finds the route. False: answered. */
bool request_route(struct request *req);
