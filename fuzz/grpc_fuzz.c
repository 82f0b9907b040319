/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_fuzz - frames of messages, and the texts of gRPC's headers. */
#include "net/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span in = span_from(data, len), rest = in, message;
	struct error err = { 0 };
	struct arena arena;
	struct span text;
	bool flag;
	int64_t ns;

	while (grpc_frame_read(rest, 1000, &flag, &message, &err) == GRPC_DONE) {
		char head[GRPC_FRAME_HEAD];

		if (message.len > 1000 || message.ptr + message.len > in.ptr + in.len)
			__builtin_trap();
		if (!grpc_frame_head(head, flag, message.len) ||
		    !span_equal(span_from(head, sizeof(head)), span_first(rest, GRPC_FRAME_HEAD)))
			__builtin_trap(); /* a head that was read is the one that would be written */
		rest = span_skip(rest, GRPC_FRAME_HEAD + message.len);
	}
	if (grpc_timeout_parse(in, &ns) && ns < 0)
		__builtin_trap();
	(void)grpc_content_type(in, &flag);

	arena_init(&arena, KIB(64));
	error_set(&err, ERROR_INVALID, "%.*s", (int)(len < 400 ? len : 400), (const char *)data);
	text = grpc_message(&err, &arena);
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < ' ' || text.ptr[i] > '~')
			__builtin_trap();
	(void)grpc_details(&err, &arena);
	arena_done(&arena);
	return 0;
}
