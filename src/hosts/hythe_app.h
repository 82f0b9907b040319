/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYTHE_APP_H
#define HYTHE_APP_H
/*
 * hythe_app - an HTTP application inside your program, the second half of libhythe-host (hythe_host.h): every request for
 * any path goes to it, head first, bodies as they come and go. Two ways to take them:
 *
 * Blocking (WSGI): `serve` runs on one of config.threads threads for each request, and may read, write and block. Functions
 * hythe_exchange_xxx marked B.
 *
 * Events (ASGI): `serve` is NULL; your own event loop watches hythe_events_fd() and takes events by hythe_events_next().
 * Functions marked E never block. All of them, and hythe_events_next(), from one thread.
 *
 * Driven hosts (hythe_host_config.is_driven): `serve` runs on the thread that drives, and B functions that wait run the host meanwhile.
 * hythe_events_fd() is hythe_host_fd(): hythe_host_turn() first, then hythe_events_next() until there is none.
 *
 * Back-pressure: nothing is read ahead of what was asked for (or, B, a window of 64 KiB); B writes wait while more than
 * that is unsent, E writers wait for HYTHE_EVENT_WRITABLE.
 * Ownership: accessors' bytes live until the exchange has ended: B, `serve` returned; E, hythe_exchange_release().
 */
#include "hythe_host.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hythe_exchange hythe_exchange;

struct hythe_header {
	struct hythe_bytes name, value; /* requests: names in lower case */
};

struct hythe_app {
	size_t size;
	void *context;
	void (*serve)(void *context, hythe_exchange *x); /* B; NULL: E */
	size_t message_limit;                            /* bytes of one WebSocket message; 0: 16 MiB */
};

/* ---- the question (B and E) ---- */

struct hythe_bytes hythe_exchange_method(const hythe_exchange *x);
struct hythe_bytes hythe_exchange_path(const hythe_exchange *x);      /* as sent, escapes and all, without the query */
struct hythe_bytes hythe_exchange_query(const hythe_exchange *x);     /* without '?' */
struct hythe_bytes hythe_exchange_authority(const hythe_exchange *x); /* Host */
struct hythe_bytes hythe_exchange_scheme(const hythe_exchange *x);    /* http, https, ws, wss: as the client used */
struct hythe_bytes hythe_exchange_version(const hythe_exchange *x);   /* "HTTP/1.1" */
struct hythe_bytes hythe_exchange_peer(const hythe_exchange *x);      /* "127.0.0.1:41234", "unix" */
struct hythe_bytes hythe_exchange_id(const hythe_exchange *x);        /* X-Request-Id, the client's or made here */
size_t hythe_exchange_headers(const hythe_exchange *x, const struct hythe_header **ret);
int64_t hythe_exchange_length(const hythe_exchange *x); /* Content-Length; -1: not told; 0: no body */
int hythe_exchange_is_websocket(const hythe_exchange *x);

/* ---- B ---- */

/* Up to `size` bytes of the body as soon as there are any; 0 at its end; -1: the client is gone. */
int64_t hythe_exchange_read(hythe_exchange *x, void *to, size_t size);
/* The head of the answer. 0: one was sent already. reason may be NULL. */
int hythe_exchange_head(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers,
			size_t count);
int hythe_exchange_has_head(const hythe_exchange *x);
int hythe_exchange_write(hythe_exchange *x, const void *bytes, size_t size); /* 0: the client is gone */
/* size -1: to its end. 0: the client is gone, or the file cannot be read at an offset. */
int hythe_exchange_send_file(hythe_exchange *x, int fd, int64_t offset, int64_t size);
/* A whole answer at once: head, body and end, in one hand-over (B and E). Nothing, when a head was sent already. */
void hythe_exchange_answer(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers,
			   size_t count, const void *bytes, size_t size);
/* Ends the answer. Without it, when `serve` returns, the client is told 500, or the answer is cut off. */
void hythe_exchange_end(hythe_exchange *x);

/* ---- E ---- */

enum hythe_event_kind {
	HYTHE_EVENT_REQUEST = 1,  /* a new exchange; websocket: asks for one */
	HYTHE_EVENT_BODY = 2,     /* bytes; is_last */
	HYTHE_EVENT_WRITABLE = 3, /* less than 64 KiB is unsent again */
	HYTHE_EVENT_GONE = 4,     /* the client went away, or a limit was passed */
	HYTHE_EVENT_TEXT = 5,     /* a WebSocket message */
	HYTHE_EVENT_BYTES = 6,
	HYTHE_EVENT_CLOSED = 7, /* a WebSocket is over; the client's code (1006: none came) and its reason in bytes */
	HYTHE_EVENT_STOP = 8,   /* no exchange: hythe_host_stop() was called */
};
struct hythe_event {
	size_t size; /* of this struct */
	int kind;
	hythe_exchange *exchange;
	void *owner;              /* as set by hythe_exchange_own() */
	struct hythe_bytes bytes; /* until the next hythe_events_next() */
	int is_last;
	int code;
};

int hythe_events_fd(hythe_host *h);                            /* readable while events wait */
int hythe_events_next(hythe_host *h, struct hythe_event *ret); /* 0: none now */
void hythe_exchange_own(hythe_exchange *x, void *owner);
void hythe_exchange_want(hythe_exchange *x, size_t bytes); /* E: lets more of the body, or one message, come */
void hythe_exchange_start(hythe_exchange *x, int status, const struct hythe_header *headers, size_t count);
/*
 * Returns bytes unsent now: at 64 KiB or more wait for HYTHE_EVENT_WRITABLE, _GONE or _CLOSED, one of which comes, or has come.
 * 0 once the answer is complete. So does hythe_exchange_message().
 */
size_t hythe_exchange_put(hythe_exchange *x, const void *bytes, size_t size);
void hythe_exchange_finish(hythe_exchange *x);
void hythe_exchange_accept(hythe_exchange *x, const char *subprotocol, const struct hythe_header *headers,
			   size_t count);
size_t hythe_exchange_message(hythe_exchange *x, int is_text, const void *bytes, size_t size);
void hythe_exchange_close(hythe_exchange *x, int code, const char *reason); /* before accept: refuses with 403 */
void hythe_exchange_release(hythe_exchange *x); /* after this the exchange may not be named; unfinished: cut off */

#ifdef __cplusplus
}
#endif
#endif
