/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor_message_fuzz - what comes over a supervisor's connection, whole and in two pieces; what was read is written, and read again the same. */
#include <stdint.h>

#include "node/supervisor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(struct span text)
{
	struct supervisor_request request;
	struct error err = { 0 };
	struct buffer first, second;
	struct arena arena;

	buffer_init(&first, SUPERVISOR_MESSAGE_MOST);
	buffer_init(&second, SUPERVISOR_MESSAGE_MOST);
	arena_init(&arena, MIB(64));
	if (request_read(text, &arena, &request, &err)) {
		supervisor_request_write(&request, &first);
		if (!request_read(buffer_span(&first), &arena, &request, &err))
			__builtin_trap();
		supervisor_request_write(&request, &second);
		if (!span_equal(buffer_span(&first), buffer_span(&second)))
			__builtin_trap();
	}
	arena_done(&arena);
	buffer_done(&first);
	buffer_done(&second);
}

static void read_all(struct span text)
{
	struct container_status status;
	struct sandbox_record record;
	struct supervisor_reply reply;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(64));
	if (reply_read(text, &arena, &reply, &err))
		(void)reply_error(&reply, &err);
	(void)sandbox_record_read(text, &arena, &record, &err);
	(void)container_record_read(text, &arena, &status, &err);
	arena_done(&arena);
	again(text);
}

static void feed(struct channel *c, struct span bytes)
{
	int fds[SUPERVISOR_FDS_MOST];
	struct error err = { 0 };
	struct span text;
	size_t count;

	if (!channel_put(c, bytes, NULL, 0, &err))
		return;
	while (channel_next(c, &text, fds, &count, &err) == CHANNEL_MESSAGE)
		read_all(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span bytes = span_from(data, len);
	struct channel c;

	channel_init(&c, -1);
	feed(&c, bytes);
	channel_done(&c);
	channel_init(&c, -1);
	feed(&c, span_first(bytes, len / 2));
	feed(&c, span_skip(bytes, len / 2));
	channel_done(&c);
	read_all(bytes);
	return 0;
}
