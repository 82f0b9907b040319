/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { DEPTH = 8 };

static void read_scalars(const struct protobuf_field *f)
{
	struct error err = { 0 };

	for (int type = PROTOBUF_INT64; type <= PROTOBUF_DOUBLE; type++) {
		size_t count;
		void *to;

		if (!protobuf_count(f, (enum protobuf_scalar)type, &count, &err))
			continue;
		/* Of exactly the size that is needed at most. */
		to = base_alloc(count * 8);
		protobuf_copy(f, (enum protobuf_scalar)type, to);
		base_free_pointer(&to);
	}
}

/* Walks a message as if every length-delimited field might be one, and writes its fields again. */
static void walk(struct span message, int depth, struct buffer *out)
{
	struct protobuf p = protobuf(message);
	struct error err = { 0 };
	struct protobuf_field f;

	while (protobuf_next(&p, &f, &err)) {
		struct span text;
		double d;
		float s;

		read_scalars(&f);
		(void)protobuf_string(&f, &text, &err);
		(void)protobuf_double(&f, &d, &err);
		(void)protobuf_float(&f, &s, &err);
		if (f.type == PROTOBUF_BYTES && depth < DEPTH) {
			size_t mark = protobuf_open(out, f.number);

			walk(f.bytes, depth + 1, out);
			protobuf_close(out, mark);
		} else if (f.type == PROTOBUF_VARINT) {
			protobuf_write_uint64(out, f.number, f.value);
		}
	}
	if (p.failed && err.code == ERROR_NONE)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = { 0 };
	struct protobuf_field f;
	struct buffer out;
	struct protobuf p;

	buffer_init(&out, MIB(4));
	walk(span_from(data, len), 0, &out);
	/* What was written is whole. */
	p = protobuf(buffer_span(&out));
	while (protobuf_next(&p, &f, &err))
		;
	if (p.failed && !out.overflow)
		__builtin_trap();
	buffer_done(&out);
	return 0;
}
