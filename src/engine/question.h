/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * question - questions to a component, over connections that are kept: HTTP/1.1 with one question on each at a time, or HTTP/2 (gRPC) with many on
 * one.
 *
 * Life:      asker_new() for an address → question_begin() as often as wanted → asker_free(), when no question is under way. A question is over
 *            with `end`, with `failed`, or with question_cancel(): after that nothing is called.
 * Threads:   one loop; callbacks come from it, never from inside question_begin().
 * Ownership: struct question is the caller's. What the head and the body point to must live until the question is over: a question that the component
 *            has not seen (a connection that had ended) is sent again.
 * Errors:    `failed` has UNAVAILABLE with Go's words ("dial tcp 127.0.0.1:9000: connect: connection refused") when no connection could be
 *            made; INTERNAL when one was lost; EXHAUSTED with QUESTION_CONNECTIONS_MAX in use.
 */
#include "net/client.h"

struct sockaddr_in;
struct asker;
struct question;

struct question_ops {
	void (*head)(struct question *k, int status, const struct header *headers, size_t count);
	void (*receive)(struct question *k, struct span bytes); /* give back by question_taken() */
	void (*writable)(struct question *k);                   /* see client.h; may be NULL */
	void (*end)(struct question *k, const struct header *trailers, size_t count);
	void (*failed)(struct question *k, const struct error *why);
};

#define QUESTION_CONNECTIONS_MAX 4096
#define QUESTION_CONNECT_NS      INT64_C(30000000000) /* for a connection to be made, as Go's dialer has it */

struct asker *asker_new(struct loop *l, const struct sockaddr_in *address, bool is_http2);
void asker_free(struct asker *a); /* NULL is allowed */
/* "127.0.0.1:9000" */
const char *asker_address(const struct asker *a);

/* Members are private. */
struct question {
	const struct question_ops *ops;
	struct asker *asker;
	struct errand *errand;
	struct client_head head;
	struct span body;
	bool is_last;
	unsigned tries;
};

/* `is_last`: the body is whole; else more comes by question_write(), and the question is not sent again. */
void question_begin(struct question *k, struct asker *to, const struct client_head *head, struct span body,
		    bool is_last, const struct question_ops *ops);
void question_write(struct question *k, struct span bytes);
void question_end(struct question *k);
size_t question_unsent(const struct question *k);
void question_taken(struct question *k, size_t bytes);
bool question_is_open(const struct question *k);
void question_cancel(struct question *k); /* one that is over is left alone */

/* Whether a connection can be made: `done` with NULL, or with why not; also from inside this call. A try ends with asker_free() without a word. */
void asker_try(struct asker *a, void (*done)(void *context, const struct error *why), void *context);
