/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tunnel - an upgraded request: bytes both ways (SPDY/3.1), or the messages of a WebSocket.
 *
 * Life:    tunnel_accept() answers 101 → events → tunnel_end(), or `ended`: the client has gone. Nothing is told after either. Embedded; what holds it
 *          must live until the turn of the loop in which it ended is over (loop_defer()).
 * Threads: the loop of the request.
 * Limits:  TUNNEL_MESSAGE_MOST, else the WebSocket is closed with 1009.
 */
#include "net/request.h"
#include "net/websocket.h"

enum { TUNNEL_MESSAGE_MOST = 4 << 20, TUNNEL_WINDOW = 256 * 1024, TUNNEL_UNSENT_HIGH = 1 << 20 };

struct tunnel {
	struct request *req; /* NULL: over */
	bool is_websocket, is_paused;
	struct websocket websocket;
	size_t owed; /* bytes read while paused: wanted anew when it goes on */
	/* A message of a WebSocket, or bytes as they came. */
	void (*receive)(struct tunnel *t, struct span bytes);
	void (*writable)(struct tunnel *t); /* tunnel_is_full() has become false */
	void (*ended)(struct tunnel *t);
};

/* The functions are set by the caller. `protocol`: header and value of the answer ("sec-websocket-protocol"); the value may be empty: none. */
void tunnel_accept(struct tunnel *t, struct request *req, struct span protocol_header, struct span protocol);
void tunnel_pause(struct tunnel *t, bool is_paused); /* no more is read than is under way */
/* One binary message of both parts, or their bytes. */
void tunnel_write(struct tunnel *t, struct span first, struct span second);
bool tunnel_is_full(const struct tunnel *t); /* the client reads slowly: write no more until `writable` */
void tunnel_end(struct tunnel *t);           /* with a close frame where it is a WebSocket */
