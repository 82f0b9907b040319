/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * client_private - what the protocols of the client share: client.c hands what is asked to one of them.
 *
 *	client_http2.c, client_http2_stream.c   HTTP/2
 *	client_http1.c, client_http1_stream.c   HTTP/1.1
 *
 * Threads: the loop's.
 */
#include "net/client.h"

/* Embedded first in a protocol's own structs. */
struct client {
	const struct client_kind *kind;
	void *owner;
};

struct client_stream {
	const struct client_kind *kind;
	void *owner;
};

/* See client.h. */
struct client_kind {
	void (*free)(struct client *c);
	size_t (*streams)(const struct client *c);
	bool (*is_refusing)(const struct client *c);
	bool (*is_full)(const struct client *c);
	struct client_stream *(*open)(struct client *c, const struct client_head *head, bool is_last,
				      const struct client_stream_ops *ops, void *owner);
	bool (*has_heard)(const struct client_stream *s);
	void (*write)(struct client_stream *s, struct span bytes);
	void (*end)(struct client_stream *s);
	size_t (*unsent)(const struct client_stream *s);
	void (*taken)(struct client_stream *s, size_t bytes);
	void (*reset)(struct client_stream *s);
};

/*
 * Is it for this connection alone, by its name (RFC 9113 8.2.2, RFC 9110 7.6.1)? Names are in lower case. Host is too where
 * the authority says it; "te" is not where it says "trailers".
 */
bool client_is_of_connection(const struct header *h, bool has_authority);
/* Is there a field `connection`? Does one of them name this one? */
bool client_has_options(const struct header *headers, size_t count);
bool client_is_option(const struct header *headers, size_t count, struct span name);
