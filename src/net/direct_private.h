/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * direct_private - what the rest of net tells direct.c of a connection that was taken from a giver (c->direct is not NULL).
 *
 * Threads: the connection's loop.
 */
#include "net/connection.h"
#include "net/direct.h"

/* Bytes are about to be read. False: not now; it waits until the requests before it are answered. */
bool direct_reads(struct connection *c);
/* A request's first byte is looked at, and no answer is unsent. */
void direct_asks(struct connection *c);
/* Its first bytes have been read with those before it. True: it waits until the requests before it are answered. */
bool direct_holds(struct connection *c);
/* It is begun when it is whole: nothing of it may be consumed until then. */
static inline bool direct_gathers(const struct connection *c, uint64_t request_len)
{
	return c->direct && request_len <= DIRECT_BYTES_MAX;
}
/* A head has come whole. True: the request is the giver's to answer, and the connection is on its way there. */
bool direct_hands_back(struct connection *c, struct span method, struct span target);
/* Its head is taken: what it asks for is noted. */
void direct_names(struct connection *c, const struct request *req);
/* The request is a handler's now, and no longer. */
void direct_begins(struct connection *c);
void direct_over(struct worker *w);
/* The head of its answer is written; `flags`: DIRECT_TUNNEL, DIRECT_RESETS. */
void direct_answers(struct connection *c, uint64_t flags);
/* Bytes went in or out. */
void direct_moved(struct connection *c, size_t received, size_t sent);
/* A turn with it is over: its word is made true. */
void direct_settle(struct connection *c);
/* Nothing more comes from us. */
void direct_ends(struct connection *c);
/* The connection is about to be freed. If a handler still has its request (direct_keeps_slot, set by the codec), the slot
 * stays until direct_orphan_over(). */
void direct_forget(struct connection *c);
void direct_orphan_over(struct worker *w, unsigned slot);
/* Ends a connection whose descriptor another process has as well. */
void direct_shut(int fd, bool is_cut);
/* The server drains: true when it goes back to its giver instead. */
bool direct_keeps(struct connection *c);
/* A request was counted: its status and how long it took. */
void direct_count(struct direct *d, int status, int64_t ns);
/* After the loop. */
void direct_done(struct worker *w);
