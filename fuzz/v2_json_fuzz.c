/* SPDX-License-Identifier: Apache-2.0 */
/* A V2 infer request: JSON, and binary tensors behind it (the first byte says where, in 255ths of the length). */
#include "inference/v2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct buffer out;
	struct v2_infer infer = { 0 };
	struct served served = { .name = SPAN("m"), .version = SPAN("1"), .v2_head = SPAN("{\"model_name\":\"m\"") };
	struct error err = { 0 };
	struct arena arena;
	struct span json, binary;
	size_t json_len;

	if (len == 0)
		return 0;
	json_len = (len - 1) * data[0] / 255;
	json = span_from(data + 1, json_len);
	binary = span_from(data + 1 + json_len, len - 1 - json_len);
	arena_init(&arena, MIB(64));
	if (v2_json_read(json, binary, &arena, &infer, &err)) {
		/* What was read can be written: as the echo model would. */
		infer.call.served = &served;
		infer.call.results = infer.call.inputs;
		infer.call.result_count = infer.call.input_count;
		infer.call.wanted_count = 0;
		for (size_t i = 0; i < infer.call.input_count; i++)
			if (!tensor_aligned(&infer.call.results[i], &arena, &err))
				__builtin_trap();
		if (out.limit == 0)
			buffer_init(&out, MIB(64));
		buffer_clear(&out);
		if (!v2_json_write(&out, &infer, &json_len, &err) && err.code == ERROR_NONE)
			__builtin_trap(); /* a failure has a reason */
	} else if (err.code == ERROR_NONE || err.message[0] == '\0') {
		__builtin_trap();
	}
	arena_done(&arena);
	return 0;
}
