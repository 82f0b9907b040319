/* SPDX-License-Identifier: Apache-2.0 */
/* A ModelInferRequest; what was read is written as its answer, and must be read as sound fields again. */
#include "inference/v2.h"
#include "wire/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct buffer out;
	struct v2_message m = { 0 };
	struct served served = { .name = SPAN("m"), .version = SPAN("1") };
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(64));
	if (v2_message_read(span_from(data, len), &arena, &m, &err)) {
		struct call *call = &m.infer.call;
		struct protobuf_field f;
		struct protobuf p;

		call->served = &served;
		call->results = call->inputs;
		call->result_count = call->input_count;
		for (size_t i = 0; i < call->input_count; i++)
			if (!tensor_aligned(&call->results[i], &arena, &err))
				__builtin_trap();
		if (out.limit == 0)
			buffer_init(&out, MIB(64));
		buffer_clear(&out);
		if (!v2_message_write(&out, &m, &err))
			__builtin_trap();
		p = protobuf(buffer_span(&out));
		while (protobuf_next(&p, &f, &err)) {
		}
		if (p.failed)
			__builtin_trap();
	} else if (err.code == ERROR_NONE || err.message[0] == '\0') {
		__builtin_trap();
	}
	arena_done(&arena);
	return 0;
}
