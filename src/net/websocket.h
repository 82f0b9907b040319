/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * websocket - RFC 6455 frames to messages and back, server side: masking, fragments, control frames, UTF-8, close codes.
 * No sockets: bytes in, bytes out. Extensions are none (permessage-deflate is not offered).
 *
 * Threads:   one at a time.
 * Errors:    the close code to answer with: 1002 protocol, 1007 not UTF-8, 1009 over the limit.
 * Limits:    a message's bytes, given at birth.
 */
#include "base/base.h"

enum websocket_event {
	WEBSOCKET_MORE, /* all bytes are used up */
	WEBSOCKET_TEXT, /* a whole message, valid UTF-8 */
	WEBSOCKET_BINARY,
	WEBSOCKET_PING, /* to be answered with a pong of the same bytes */
	WEBSOCKET_PONG,
	WEBSOCKET_CLOSE, /* ret_code (1005 without one) and the reason in the message; what comes after it is passed over */
	WEBSOCKET_FAILED, /* ret_code is what to close with; so it is for all that is fed later */
};

struct websocket {
	struct buffer message; /* fragments so far */
	size_t limit;
	size_t checked; /* bytes of message known to be whole, valid characters */
	uint64_t left;  /* payload bytes of the frame still to come */
	unsigned char head[14];
	unsigned head_len;
	unsigned mask_at;
	int opcode; /* of the message under way; 0: none */
	int frame_opcode;
	int failure; /* the code of WEBSOCKET_FAILED; 0: none */
	bool in_payload, is_final, has_closed;
	unsigned char control[125];
	size_t control_len;
};

void websocket_init(struct websocket *w, size_t limit);
void websocket_done(struct websocket *w);

/* Reads from `in` up to the next event; *ret_used bytes are done with. *ret_message lives until the next call. */
enum websocket_event websocket_read(struct websocket *w, struct span in, size_t *ret_used, struct span *ret_message,
				    int *ret_code);

enum {
	WEBSOCKET_OP_TEXT = 1,
	WEBSOCKET_OP_BINARY = 2,
	WEBSOCKET_OP_CLOSE = 8,
	WEBSOCKET_OP_PING = 9,
	WEBSOCKET_OP_PONG = 10
};
/* Appends an unmasked, final frame. Control frames are at most 125 bytes. */
void websocket_write(struct buffer *out, int opcode, struct span payload);
void websocket_write_close(struct buffer *out, int code,
			   struct span reason); /* the reason is cut at 123 bytes, whole characters */
