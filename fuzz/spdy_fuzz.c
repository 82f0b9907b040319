/* SPDX-License-Identifier: Apache-2.0 */
/* spdy_fuzz - bytes of a client to events: fed at once or in pieces (of the size that the first byte says) they must be the same. */
#include "net/spdy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MOST = 64 * 1024 };

static void text_note(struct buffer *to, struct span text)
{
	buffer_append(to, span_from(&text.len, sizeof(text.len)));
	buffer_append(to, text);
}

/* Data of one frame may be told in pieces: what is noted of it is its bytes, and its end. */
static void note(struct buffer *to, const struct spdy *s, enum spdy_event event)
{
	if (event == SPDY_DATA) {
		buffer_append(to, s->data);
		if (s->is_end)
			buffer_print(to, "[end of %u]", s->id);
		return;
	}
	buffer_print(to, "[%d %u %d]", (int)event, event == SPDY_GOAWAY ? 0 : s->id, s->is_end);
	for (size_t i = 0; event == SPDY_STREAM && i < s->field_count; i++) {
		text_note(to, s->fields[i].name);
		text_note(to, s->fields[i].value);
	}
}

static void read_all(struct span in, size_t piece, struct buffer *told)
{
	enum spdy_event event = SPDY_MORE;
	struct spdy s;

	buffer_init(told, SIZE_MAX / 2);
	spdy_init(&s);
	while (in.len && event != SPDY_FAILED) {
		struct span now = span_first(in, piece);

		in = span_skip(in, now.len);
		do {
			size_t used = SIZE_MAX;

			event = spdy_read(&s, now, &used);
			ASSERT(used <= now.len);
			now = span_skip(now, used);
			if (event != SPDY_MORE && event != SPDY_FAILED)
				note(told, &s, event);
			if (event == SPDY_STREAM)
				spdy_write_reply(&s, told, s.id);
		} while (event != SPDY_MORE && event != SPDY_FAILED);
	}
	buffer_print(told, "%s", s.failure ? s.failure : "");
	spdy_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span in = span_from(data, len < INPUT_MOST ? len : INPUT_MOST);
	struct buffer at_once, in_pieces;

	if (!in.len)
		return 0;
	read_all(in, in.len, &at_once);
	read_all(in, 1 + data[0] % 16, &in_pieces);
	ASSERT(span_equal(buffer_span(&at_once), buffer_span(&in_pieces)));
	buffer_done(&at_once);
	buffer_done(&in_pieces);
	return 0;
}
