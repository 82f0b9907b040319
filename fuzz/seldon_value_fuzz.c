/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for components, between protobuf and JSON: what is read can be written in both, and reads as the same again. */
#include "inference/seldon_message.h"
#include "inference/seldon_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct seldon_unit unit = { SPAN_INIT("node"), SPAN_INIT("image:1"), true, { 0 } };

/* Half floats and text in a tensor are settled before an answer is written: here, only plain messages are. */
static bool is_plain(const struct seldon_message *m)
{
	bool is_data = m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR;

	return !is_data || m->nested.ptr ||
	       (m->kind != SELDON_TFTENSOR && m->tensor.dtype != DTYPE_BYTES && m->tensor.dtype != DTYPE_BOOL);
}

/* Written as protobuf, it reads again, and prints as it did before. */
static void round_trip(const struct seldon_message *m, struct arena *arena)
{
	struct buffer bytes, more, first, second; /* what was read points into what it was read from */
	struct seldon_message again, third;
	struct error err = { 0 };

	buffer_init(&bytes, MIB(16));
	buffer_init(&more, MIB(16));
	buffer_init(&first, MIB(64));
	buffer_init(&second, MIB(64));
	if (seldon_write_protobuf_whole(&bytes, m, &unit, arena, &err) && !bytes.overflow &&
	    seldon_read_protobuf_whole(&again, buffer_span(&bytes), arena, &err) && is_plain(&again)) {
		if (again.kind != m->kind)
			__builtin_trap();
		if (!seldon_write_json(&first, &again, NULL, arena, &err) && err.code != ERROR_TOO_LARGE)
			__builtin_trap(); /* what came over gRPC cannot be printed */
		if (!first.overflow && err.code == ERROR_NONE &&
		    seldon_write_protobuf_whole(&more, &again, NULL, arena, &err) && !more.overflow &&
		    seldon_read_protobuf_whole(&third, buffer_span(&more), arena, &err) &&
		    seldon_write_json(&second, &third, NULL, arena, &err) &&
		    !span_equal(buffer_span(&first), buffer_span(&second)))
			__builtin_trap();
	}
	buffer_done(&bytes);
	buffer_done(&more);
	buffer_done(&first);
	buffer_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span bytes = span_from(data, len);
	struct seldon_message m;
	struct error err = { 0 };
	struct buffer out;
	struct arena arena;

	arena_init(&arena, MIB(64));
	buffer_init(&out, MIB(16));
	if (seldon_read_protobuf_whole(&m, bytes, &arena, &err)) {
		if (is_plain(&m))
			round_trip(&m, &arena);
	} else if (err.code == ERROR_NONE) {
		__builtin_trap(); /* refused without a reason */
	}
	err = (struct error){ 0 };
	if (seldon_read_json_whole(&m, bytes, &arena, &err)) {
		if (is_plain(&m))
			round_trip(&m, &arena);
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	err = (struct error){ 0 };
	if (!seldon_metadata_write(&out, bytes, &arena, &err) && err.code == ERROR_NONE)
		__builtin_trap();
	buffer_done(&out);
	arena_done(&arena);
	return 0;
}
