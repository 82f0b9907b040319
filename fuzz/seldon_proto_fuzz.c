/* SPDX-License-Identifier: Apache-2.0 */
/* A SeldonMessage as protobuf: what is read can be written, and what was written reads as the same again. */
#include "inference/reflection.h"
#include "inference/seldon_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct seldon_unit unit = { SPAN_INIT("node"), SPAN_INIT("image:1"), true, { 0 } };

static bool answer_write(const struct seldon_message *m, struct arena *arena, struct buffer *out)
{
	struct seldon_message answer = *m;
	struct error err = { 0 };

	if (m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR &&
	    !seldon_answer(&answer, m, &m->tensor, NULL, 0, arena, &err))
		return false;
	return seldon_write(out, &answer, &unit, arena, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct span services[] = { SPAN_INIT("a.B") };
	struct span bytes = span_from(data, len);
	struct seldon_message m, again;
	struct seldon_feedback feedback;
	struct error err = { 0 };
	struct buffer out;
	struct arena arena;

	arena_init(&arena, MIB(64));
	buffer_init(&out, MIB(16));
	if (seldon_read_protobuf(&m, bytes, &arena, &err)) {
		struct seldon_message rows = m;

		if (answer_write(&m, &arena, &out) && !seldon_read_protobuf(&again, buffer_span(&out), &arena, &err) &&
		    err.code != ERROR_TOO_LARGE)
			__builtin_trap(); /* our own bytes are refused */
		err = (struct error){ 0 };
		if (m.kind == SELDON_JSON)
			(void)!seldon_protobuf_tensor(&rows, &arena, &err);
	} else if (err.code == ERROR_NONE) {
		__builtin_trap(); /* refused without a reason */
	}
	err = (struct error){ 0 };
	(void)!seldon_read_feedback_protobuf(&feedback, bytes, &err);
	err = (struct error){ 0 };
	buffer_clear(&out);
	(void)!reflection_answer(protos_set, services, ARRAY_LEN(services), bytes, &out, &err);
	buffer_done(&out);
	arena_done(&arena);
	return 0;
}
