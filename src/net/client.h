/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * client - HTTP/2 in clear (RFC 9113, prior knowledge) from the asking side, over a connected stream socket: many streams
 * on one connection, bytes both ways with flow control, trailers, resets. gRPC is such a stream with its own headers. Or
 * HTTP/1.1 (RFC 9112) by the same functions: one stream after the other.
 *
 * Life:      client_new() with a connected descriptor → client_open() as often as wanted → client_free(). A stream lives
 *            from client_open() until its `closed`, which is called once, last, and always (in client_free() too).
 * Threads:   one loop; every callback runs on it, never from inside client_open(), client_write(), client_end() or
 *            client_reset().
 * Ownership: the client owns streams and the descriptor. Spans in callbacks live until they return; what is given is
 *            copied.
 * Errors:    `closed` has UNAVAILABLE when the connection was lost, refused or refuses new streams and *the server has
 *            done nothing for the stream* (RFC 9113 8.7: REFUSED_STREAM, or an id over GOAWAY's), so that it may be sent
 *            again; INTERNAL otherwise; CANCELLED after client_reset().
 *            UNIMPLEMENTED when `protocol` is given and the server does not take it. Nothing is sent before the server has
 *            shown itself by its SETTINGS; streams over its limit wait here.
 * Limits:    64 KiB and 100 fields of headers of an answer; bytes unsent are the caller's to watch.
 */
#include "loop/loop.h"
#include "wire/http1.h"

struct client;
struct client_stream;

struct client_ops {
	/* The connection is gone; all streams have had their `closed`. The owner calls client_free(), here or later. */
	void (*lost)(struct client *c, const struct error *why);
};

struct client_stream_ops {
	/* The answer's head; interim ones (1xx) are passed over except 103. */
	void (*head)(struct client_stream *s, int status, const struct header *headers, size_t count);
	/* Body bytes. The window is given back by client_taken(), so that a slow reader stops the sender. */
	void (*receive)(struct client_stream *s, struct span bytes);
	/* The answer has ended as it should; trailers, or none. */
	void (*end)(struct client_stream *s, const struct header *trailers, size_t count);
	/* client_unsent() has fallen under CLIENT_UNSENT_LOW after it had been over. May be NULL. */
	void (*writable)(struct client_stream *s);
	/* Nothing more will come, nothing may be sent; `why` is NULL after `end`. The stream is freed when this returns. */
	void (*closed)(struct client_stream *s, const struct error *why);
};
#define CLIENT_UNSENT_LOW KIB(64)

struct client *client_new(struct loop *l, int fd, const struct client_ops *ops, void *owner);
/*
 * The same over HTTP/1.1. One stream at a time: client_is_refusing() while there is one, and for good once the server has said, or shown, that
 * the connection will end. A server that closes the connection before it has sent a byte of an answer has perhaps read the request, perhaps not:
 * INTERNAL, and UNAVAILABLE only where it is known that it has not: the kernel took no byte of the request, or (of a TCP connection's later
 * requests) the server closed before a byte of it had come there. client_reset() ends the connection. A body without content-length among its headers is sent in chunks; `protocol` "websocket"
 * asks by Upgrade, and an answer 101 is told as 200, as HTTP/2 has it (RFC 8441), then bytes go both ways.
 */
struct client *client_new_http1(struct loop *l, int fd, const struct client_ops *ops, void *owner);
bool client_has_heard(const struct client_stream *s); /* a byte of the answer has come */
void client_free(struct client *c); /* NULL is allowed; in callbacks too. No stream may be opened on it any more */
void *client_owner(const struct client *c);
size_t client_streams(const struct client *c);   /* how many are open, those that wait for a place too */
bool client_is_refusing(const struct client *c); /* the server, or HTTP/2, lets no more streams be opened */
bool client_is_full(const struct client *c); /* one more would wait until another has ended: as the server has said */

struct client_head {
	struct span method, scheme, authority, path;
	struct span protocol;         /* RFC 8441: "websocket", with method CONNECT; else empty */
	const struct header *headers; /* lower case; those of the connection (RFC 9113 8.2.2) are left out */
	size_t header_count;
};

/* A request; is_last: it has no body. */
struct client_stream *client_open(struct client *c, const struct client_head *head, bool is_last,
				  const struct client_stream_ops *ops, void *owner);
void *client_stream_owner(const struct client_stream *s);
void client_write(struct client_stream *s, struct span bytes); /* copied */
void client_end(struct client_stream *s);                      /* the request's body ends */
size_t client_unsent(const struct client_stream *s);
void client_taken(struct client_stream *s, size_t bytes);
void client_reset(struct client_stream *s); /* CANCEL; `closed` comes in the next turn */
