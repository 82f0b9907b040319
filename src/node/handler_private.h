/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * handler_private - what the ways of asking share.
 *
 *	handler.c         begin, end, time; connections into a pod; exec, tcpSocket, sleep
 *	handler_http.c    httpGet
 *	handler_answer.c  the head of an HTTP answer
 *	handler_grpc.c    grpc
 */
#include <openssl/ssl.h>

#include "loop/loop.h"
#include "net/client.h"
#include "node/handler.h"

#define HANDLER_TEXT_MOST KIB(10)
#define HANDLER_HEAD_MOST KIB(64)
enum { HANDLER_REDIRECTS_MOST = 10 };

struct handler {
	struct loop *loop;
	struct runtime *runtime;
	char *uid, *container;
	uint32_t attempt;
	const char *agent;
	int64_t timeout_ns, begun_ns;
	bool is_status_ignored;
	handler_done done;
	void *context;

	struct arena arena; /* the action, copied, and what is made of it */
	struct value action, spec;
	struct timer timer;
	struct loop_task task; /* calls `done` */
	struct buffer text;
	enum handler_verdict verdict;
	bool is_finished, is_cancelled;
	unsigned calls;                  /* of the runtime, which will be answered */
	void (*late)(struct handler *h); /* the time is up */

	/* a connection */
	int fd;
	struct watch watch;
	bool is_watched;
	char host[256], peer[300]; /* "127.97.0.5", "127.97.0.5:80" */
	int port;
	void (*connected)(struct handler *h);
	void (*unconnected)(struct handler *h, const char *why); /* "connect: connection refused" */

	/* exec */
	char *stream;
	struct watch outputs[2];
	bool has_output[2], has_ended;
	int exit_code;

	/* httpGet */
	SSL *ssl;
	struct span url, path; /* as told, and asked for */
	bool is_https;
	int redirects;
	struct buffer bytes; /* to be sent, then received */
	size_t sent;
	bool is_receiving;

	/* grpc */
	struct client *client;
	bool has_answered;
};

void handler_finish(struct handler *h, enum handler_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* To h->host, h->port, in the pod's network; then h->connected() or h->unconnected(). */
void handler_connect(struct handler *h);
void handler_disconnect(struct handler *h);
void handler_watch(struct handler *h, unsigned events, void (*ready)(struct watch *, unsigned));
const char *handler_errno(int errnum); /* as Go tells it */
/* h->host and h->peer: of the action, or the pod's. */
void handler_host(struct handler *h, struct span host, struct span address, int port);

void handler_http(struct handler *h, const struct value *get, struct span address);
void handler_grpc(struct handler *h, const struct value *grpc, struct span address);
void handler_grpc_end(struct handler *h);

/* ---- handler_answer.c ---- */

struct http_head {
	int status;
	struct span location; /* of the header; empty: none */
	size_t len;           /* of the head, interim ones before it included */
};
enum http_head_result { HTTP_HEAD_GOOD, HTTP_HEAD_PART, HTTP_HEAD_BAD };
enum http_head_result http_head_read(struct span bytes, struct http_head *ret);
