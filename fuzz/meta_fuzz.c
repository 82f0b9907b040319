/* SPDX-License-Identifier: Apache-2.0 */
/* meta_fuzz - answers of components whose meta is completed: what was a message is one afterwards, with all that was missing, and a second time nothing is
 * added; what was none stays as it is. */
#include <stdint.h>

#include "engine/meta.h"
#include "wire/json.h"
#include "wire/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct meta_note note = { SPAN_INIT("a"), SPAN_INIT("i:1"), -1 };

static bool is_object(struct span text, struct arena *arena)
{
	struct error err = { 0 };
	struct json j;

	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	return json_peek(&j) == JSON_OBJECT && json_skip(&j, &err) && json_finish(&j, &err);
}

static void json(struct span text, struct arena *arena)
{
	struct buffer once, twice;

	buffer_init(&once, MIB(64));
	buffer_init(&twice, MIB(64));
	meta_complete(text, SPAN("P"), &note, arena, &once);
	meta_complete(buffer_span(&once), SPAN("P"), &note, arena, &twice);
	if (is_object(text, arena) && !is_object(buffer_span(&once), arena))
		__builtin_trap();
	if (!span_equal(buffer_span(&once), buffer_span(&twice)))
		__builtin_trap();
	(void)meta_puid(text, arena);
	buffer_done(&once);
	buffer_done(&twice);
}

static bool is_message(struct span text)
{
	struct protobuf p = protobuf(text);
	struct protobuf_field f;
	struct error err = { 0 };

	while (protobuf_next(&p, &f, &err))
		;
	return !p.failed;
}

static void message(struct span text)
{
	struct buffer once, twice;

	buffer_init(&once, MIB(64));
	buffer_init(&twice, MIB(64));
	meta_complete_protobuf(text, SPAN("P"), &note, &once);
	meta_complete_protobuf(buffer_span(&once), SPAN("P"), &note, &twice);
	if (!span_starts(buffer_span(&once), text) || !span_equal(buffer_span(&once), buffer_span(&twice)))
		__builtin_trap();
	if (is_message(text) && !is_message(buffer_span(&once)))
		__builtin_trap();
	buffer_done(&once);
	buffer_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena arena;

	arena_init(&arena, MIB(64));
	json(span_from(data, len), &arena);
	message(span_from(data, len));
	arena_done(&arena);
	return 0;
}
