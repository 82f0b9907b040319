/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket_fuzz - bytes of a client to messages. The first byte is the limit and the size of the pieces: fed in pieces
 * or at once, the events must be the same. What is read is written back as frames, masked by hand, and read again.
 */
#include <stdlib.h>

#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MOST = 64 * 1024 };

/* Event, code, length, bytes. Returns the last event. */
static enum websocket_event note(struct buffer *to, enum websocket_event event, int code, struct span message)
{
	int head[2] = { (int)event, event >= WEBSOCKET_CLOSE ? code : 0 };

	if (event == WEBSOCKET_MORE)
		return event;
	if (event == WEBSOCKET_FAILED)
		message.len = 0;
	buffer_append(to, span_from(head, sizeof(head)));
	buffer_append(to, span_from(&message.len, sizeof(message.len)));
	buffer_append(to, message);
	return event;
}

/* What was read, as a client would send it, with a mask of zeros. */
static void send_back(struct buffer *to, enum websocket_event event, int code, struct span message)
{
	static const int opcodes[] = { [WEBSOCKET_TEXT] = WEBSOCKET_OP_TEXT,
				       [WEBSOCKET_BINARY] = WEBSOCKET_OP_BINARY,
				       [WEBSOCKET_PING] = WEBSOCKET_OP_PING,
				       [WEBSOCKET_PONG] = WEBSOCKET_OP_PONG };
	struct buffer frame;
	size_t head;

	if (event == WEBSOCKET_MORE || event == WEBSOCKET_FAILED)
		return;
	buffer_init(&frame, SIZE_MAX / 2);
	if (event == WEBSOCKET_CLOSE)
		websocket_write_close(&frame, code, message);
	else
		websocket_write(&frame, opcodes[event], message);
	ASSERT(frame.len >= message.len + 2);
	head = frame.len - message.len - (event == WEBSOCKET_CLOSE && code != 1005 ? 2 : 0);
	frame.ptr[1] = (char)((unsigned char)frame.ptr[1] | 0x80);
	buffer_append(to, span_first(buffer_span(&frame), head));
	buffer_append(to, SPAN("\0\0\0\0"));
	buffer_append(to, span_skip(buffer_span(&frame), head));
	buffer_done(&frame);
}

static enum websocket_event read_all(struct span in, size_t piece, size_t limit, struct buffer *told,
				     struct buffer *again)
{
	enum websocket_event event = WEBSOCKET_MORE;
	struct websocket w;

	buffer_init(told, SIZE_MAX / 2);
	websocket_init(&w, limit);
	while (in.len && event != WEBSOCKET_FAILED) {
		struct span now = span_first(in, piece);

		in = span_skip(in, now.len);
		do {
			struct span message = { NULL, 0 };
			size_t used = SIZE_MAX;
			int code = 0;

			event = websocket_read(&w, now, &used, &message, &code);
			ASSERT(used <= now.len);
			ASSERT(event == WEBSOCKET_FAILED || event == WEBSOCKET_CLOSE || message.len <= MAX(limit, 125));
			now = span_skip(now, used);
			if (again)
				send_back(again, event, code, message);
			note(told, event, code, message);
		} while (event != WEBSOCKET_MORE && event != WEBSOCKET_FAILED);
		ASSERT(event == WEBSOCKET_FAILED || now.len == 0);
	}
	websocket_done(&w);
	return event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buffer at_once, in_pieces, again, second;
	struct span in = span_from(data, len < INPUT_MOST ? len : INPUT_MOST);
	size_t limit, piece;

	if (!in.len)
		return 0;
	limit = (size_t)1 << (data[0] >> 4);
	piece = 1 + (data[0] & 15);
	in = span_skip(in, 1);
	buffer_init(&again, SIZE_MAX / 2);
	ASSERT(read_all(in, in.len, limit, &at_once, &again) == read_all(in, piece, limit, &in_pieces, NULL));
	ASSERT(span_equal(buffer_span(&at_once), buffer_span(&in_pieces)));
	read_all(buffer_span(&again), again.len, limit, &second, NULL);
	ASSERT(span_starts(buffer_span(&at_once), buffer_span(&second))); /* all but a failure at its end */
	ASSERT(at_once.len - second.len == 0 || at_once.len - second.len == 2 * sizeof(int) + sizeof(size_t));
	buffer_done(&at_once);
	buffer_done(&in_pieces);
	buffer_done(&again);
	buffer_done(&second);
	return 0;
}
