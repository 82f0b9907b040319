/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pipes - one end of a pipe, socket or terminal on the loop: a source that is read as far as its owner wants, a sink that takes what it is given
 * and tells when it holds little.
 *
 * Threads:   one loop.
 * Ownership: a source or sink owns its descriptor from its init on, and closes it. Both directions of one descriptor: dup() it first.
 *            They are embedded; a callback may call pipe_*_done() on its own, but must not free what holds it before it returns.
 */
#include "loop/loop.h"

enum { PIPE_READ_BYTES = 32 * 1024, SINK_LOW_BYTES = 64 * 1024 };

struct source {
	struct loop *loop;
	struct watch watch;
	int fd; /* -1: over */
	bool is_paused;
	/* Bytes as they come; the last call has is_end and none. Errors are ends: a terminal whose other side is closed, a reset. */
	void (*take)(struct source *s, struct span bytes, bool is_end);
};

void source_init(struct source *s, struct loop *loop, int fd,
		 void (*take)(struct source *s, struct span bytes, bool is_end));
void source_pause(struct source *s, bool is_paused);
size_t source_unread(const struct source *s); /* what has been written to it and not been read yet */
void source_done(struct source *s);           /* again is allowed, and where fd is -1 */

struct sink {
	struct loop *loop;
	struct watch watch;
	int fd; /* -1: over */
	bool is_socket, is_ending, is_watched;
	struct buffer waiting;
	size_t sent; /* of waiting */
	/* What waits has fallen under SINK_LOW_BYTES after it had been over, or all is written and closed, or the other side takes nothing
	 * more. May be NULL. */
	void (*drained)(struct sink *s);
};

void sink_init(struct sink *s, struct loop *loop, int fd, bool is_socket, void (*drained)(struct sink *s));
/* All of it, now or later. False: more than SINK_LOW_BYTES wait; be so kind and stop until `drained`. */
bool sink_write(struct sink *s, struct span bytes);
/* When all is written the descriptor is closed (a socket: its writing half is). */
void sink_end(struct sink *s);
void sink_done(struct sink *s);
