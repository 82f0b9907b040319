/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * app_private - what the files of the application half share.
 *
 * app.c            exchanges, and their side on the loop
 * app_blocking.c   threads that serve, read and write
 * app_events.c     the queue of events
 * app_websocket.c  messages of a WebSocket, on the loop
 *
 * An exchange has two holders, the loop and the user, and a third while a message to the loop is under way. What the user
 * wants is gathered in it under `lock`, and one message takes all of it to the loop. Where the user's thread drives the host it does
 * that itself, at once: app_is_here().
 */
#include "hosts/host_private.h"
#include "net/websocket.h"

#define APP_WINDOW        KIB(64) /* of a body, read ahead or unsent */
#define APP_MESSAGE_LIMIT MIB(16)
#define APP_REASON_MOST   123 /* RFC 6455 5.5: what a close frame can hold */

struct app_websocket {
	struct websocket frames;
	struct buffer raw; /* bytes from raw_at on are not yet read as frames */
	size_t raw_at;
	size_t due;         /* bytes that came, and for which no others were asked yet */
	struct buffer held; /* a whole message nobody has asked for */
	struct timer patience;
	size_t wanted; /* messages */
	int held_kind; /* enum hythe_event_kind; 0: none */
	hythe_exchange *exchange;
	bool is_closing, is_at_end; /* the client sends no more */
};

struct hythe_exchange {
	struct app_host *app;
	hythe_exchange *next, *previous; /* of all, under the application's lock */
	hythe_exchange *next_waiting;    /* of those that wait for a thread */
	_Atomic int holders;

	/* The question; its bytes are in `text`. */
	struct hythe_bytes method, path, query, authority, scheme, version, peer, id;
	struct hythe_header *headers;
	size_t header_count;
	int64_t length;
	bool is_websocket;
	char *text;

	/* On the loop. */
	struct request *req; /* NULL once the answer has ended or the client is gone: the loop has let go */
	struct app_websocket *socket;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct loop_message message;
	bool is_posted;
	struct buffer in; /* B: of the body, not yet read */
	size_t in_at;
	bool has_all, is_gone, is_over;
	size_t want;
	struct buffer out;
	size_t unsent;      /* as the loop saw it last, and what it has taken since */
	bool owes_writable; /* E: was told of a window's worth or more */
	int status;         /* of the head, until the loop has it; 0: none */
	char *reason;
	struct header *out_headers;
	size_t out_count;
	bool has_head, is_ended, is_cut;
	bool is_accepted; /* a WebSocket: the answer is 101 */
	bool is_closed;   /* a WebSocket: close_code was given; nothing is sent after that */
	int64_t left;     /* of the answer's Content-Length; -1: not told */
	size_t messages_wanted;
	int close_code; /* until the loop has it; 0: none */
	char close_reason[APP_REASON_MOST + 1];

	/* Of the events' thread alone. */
	void *owner;
	bool is_released;
};

struct event_node {
	struct event_node *next;
	hythe_exchange *exchange;
	int kind, code;
	bool is_last;
	size_t size;
	char bytes[];
};

struct app_host {
	struct hythe_host *host;
	struct loop *loop;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t filled;
	hythe_exchange *all;
	hythe_exchange *first, **last; /* that wait for a thread */
	pthread_t *threads;
	unsigned thread_count;
	bool is_over;
	struct loop_task turn; /* driven: serves the next */
	struct event_node *events, **events_last;
	struct event_node *taken; /* by hythe_events_next(), until the next one */
	int events_fd;
};

/* This thread drives the host: what is asked is done at once. */
static inline bool app_is_here(const struct app_host *a)
{
	return host_is_here(a->host);
}

void exchange_drop(hythe_exchange *x);
void exchange_post(hythe_exchange *x); /* with its lock held, which it gives back */
/* On the thread that drives, and unlocked: a whole answer without a copy of it. */
void exchange_answer_here(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers,
			  size_t count, const void *bytes, size_t size);
void exchange_done(hythe_exchange *x, bool is_cut); /* on the loop: ends the answer, and lets go */
bool exchange_head(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers, size_t count);
void exchange_accept(hythe_exchange *x, const struct hythe_header *headers,
		     size_t count);                                   /* of a WebSocket, and posts it */
void exchange_add(hythe_exchange *x, const void *bytes, size_t size); /* with its lock held */

void blocking_open(hythe_exchange *x);
void blocking_gone(hythe_exchange *x);
void blocking_receive(hythe_exchange *x, struct span bytes, bool is_last);
bool blocking_start(struct app_host *a, struct error *err) MUST_CHECK;
void blocking_join(struct app_host *a);
void blocking_turn(struct loop_task *t); /* driven: serves one exchange, on the loop */

void event_push(struct app_host *a, hythe_exchange *x, int kind, struct span bytes, bool is_last, int code);

void socket_new(hythe_exchange *x);
void socket_free(hythe_exchange *x);
void socket_opened(hythe_exchange *x);
void socket_receive(hythe_exchange *x, struct span bytes, bool is_last);
void socket_want(hythe_exchange *x, size_t messages);
void socket_close(hythe_exchange *x, int code, struct span reason);
