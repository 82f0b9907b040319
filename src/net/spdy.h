/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * spdy - SPDY/3.1 frames (draft-mbelshe-httpbis-spdy-00, and version 3.1 of it), server side, as far as Kubernetes clients speak it: streams that the client
 * opens, data both ways, resets, pings. No sockets: bytes in, bytes out.
 *
 * Flow control is left out, as those clients leave it out: who reads slowly stops reading the connection.
 *
 * Threads:   one at a time.
 * Errors:    SPDY_FAILED, with the words in `failure`: the connection is of no more use.
 * Limits:    a control frame SPDY_CONTROL_MOST bytes, its fields SPDY_FIELDS_MOST and SPDY_FIELD_BYTES_MOST decompressed. How many streams are open
 *            at a time is the caller's to count.
 */
#include <zlib.h>

#include "base/base.h"
#include "wire/http1.h"

enum {
	SPDY_CONTROL_MOST = 64 * 1024,
	SPDY_FIELD_BYTES_MOST = 64 * 1024,
	SPDY_FIELDS_MOST = 64,
};

enum spdy_event {
	SPDY_MORE,   /* all bytes are used up */
	SPDY_STREAM, /* the client opens one: id, fields, is_end */
	SPDY_DATA,   /* id, data (a piece, as it came; may be empty), is_end with the last of the stream */
	SPDY_RESET,  /* id: the client is done with the stream */
	SPDY_PING,   /* id: to be sent back */
	SPDY_GOAWAY, /* the client opens no more */
	SPDY_FAILED,
};

struct spdy {
	struct buffer control, fields_text; /* a control frame so far; its fields, decompressed */
	z_stream inflate, deflate;
	unsigned char head[8];
	unsigned head_len;
	uint32_t left; /* bytes of the frame still to come */
	uint32_t last; /* the newest stream */
	bool is_control;
	struct header fields[SPDY_FIELDS_MOST]; /* of SPDY_STREAM; names in lower case */
	/* Of the event told; the spans live until the next call. */
	uint32_t id;
	struct span data;
	size_t field_count;
	bool is_end;
	const char *failure; /* NULL: none */
};

void spdy_init(struct spdy *s);
void spdy_done(struct spdy *s);

/* Reads from `in` up to the next event; *ret_used bytes are done with. */
enum spdy_event spdy_read(struct spdy *s, struct span in, size_t *ret_used);
struct span spdy_field(const struct spdy *s, struct span name); /* empty: absent */

/* These append frames. */
void spdy_write_reply(struct spdy *s, struct buffer *out,
		      uint32_t id); /* SYN_REPLY without fields: the stream is taken */
void spdy_write_data(struct buffer *out, uint32_t id, struct span data, bool is_end);
enum { SPDY_REFUSED_STREAM = 3, SPDY_CANCEL = 5 };
void spdy_write_reset(struct buffer *out, uint32_t id, uint32_t status);
void spdy_write_ping(struct buffer *out, uint32_t id);
void spdy_write_goaway(struct spdy *s, struct buffer *out);
