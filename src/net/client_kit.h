/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * client_kit - for tests of the clients of both protocols: one who asks, calls with all that came of them, and what a whole server serves to both.
 *
 * Threads: a bench, its client and its loop are the test's; the server has its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/client.h"
#include "net/server.h"

enum { CALLS_MOST = 400, BIG = 4 * 1024 * 1024 };

/* ---- what is served ---- */

extern const struct surface http_surface;

void echo(struct request *req);
void big(struct request *req); /* BIG bytes: byte i is i * 7 + i / 251 */
void headers_told(
    struct request *req); /* a line for the method and target, for each header "name=value", and for the authority */

/* These routes, at 127.0.0.1, with one worker. streams: its limit of each connection; 0: the default. */
struct server *serve(const struct route *const *routes, size_t streams);
void server_end(struct server *s);

/* ---- one who asks ---- */

struct call {
	struct client_stream *stream;
	struct bench *bench;
	struct buffer body;
	int status, heads, interim, ends, closes, writables;
	char trailers[256], headers[1024];
	struct error why;
	bool has_why, is_slow; /* does not say client_taken() */
	bool has_heard;        /* when it was closed */
	bool resets, frees_at_head, frees_at_body, frees_at_end, frees_at_close;
	const char *asks_next; /* when it is closed: by the next call */
};

struct bench {
	struct loop *loop;
	struct client *client;
	int own;   /* the client's end, which it closes */
	int other; /* the other end of the socket pair */
	uint8_t heard[64 * 1024];
	size_t heard_len;
	int lost, heads, ends, closes;
	size_t received;
	const int *counter; /* until() waits for this */
	int target;
	const size_t *amount;
	size_t amount_target;
	bool is_late, frees_at_lost;
	struct timer patience;
	struct loop_task stop;
	struct error why;
	struct call calls[CALLS_MOST];
};

/* client_new(), client_new_http1() or the like. */
typedef struct client *client_maker(struct loop *loop, int fd, const struct client_ops *ops, void *owner);

struct bench *bench_new(int fd, client_maker *make); /* takes the socket */
struct bench *bench_of(const struct server *s, client_maker *make);
struct bench *bench_scripted(client_maker *make); /* of a socket pair: the test has the other end */
void bench_free(struct bench *b);                 /* each call that was begun has been closed once */

void free_now(struct bench *b); /* the client alone */
void until(struct bench *b, const int *counter, int target);
void until_bytes(struct bench *b, const size_t *amount, size_t target);
void turns(struct bench *b); /* some of the loop: enough for all that is ready to happen */

/* Nothing comes of it before the loop runs again. */
struct call *ask(struct bench *b, size_t i, struct client_head head, bool is_last);
struct call *get(struct bench *b, size_t i, const char *path);
struct call *post(struct bench *b, size_t i, const char *path); /* its body follows */

void assert_answered(const struct call *call, int status, const char *body); /* body NULL: any */
void assert_failed(const struct call *call, enum error_code code, const char *words);
