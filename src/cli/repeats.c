/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/repeats.h"

#include <stdlib.h>

enum { SLOTS = 4096 }; /* 512 KiB: inside a core's second cache, with room for every row of a dozen flags */

/* Two cache lines. */
struct slot {
	uint8_t line_len, text_len; /* line_len 0: empty */
	char line[REPEATS_LINE_MAX];
	char text[REPEATS_TEXT_MAX];
	uint16_t unused;
};
_Static_assert(sizeof(struct slot) == 128, "slots share no cache lines");

struct repeats {
	struct slot *slots;
};

struct repeats *repeats_new(void)
{
	struct repeats *r = base_calloc(1, sizeof(*r));

	r->slots = base_calloc(SLOTS, sizeof(*r->slots));
	return r;
}

void repeats_free(struct repeats *r)
{
	if (!r)
		return;
	free(r->slots);
	free(r);
}

static struct slot *slot_of(const struct repeats *r, struct span line)
{
	return &r->slots[span_hash(line) % SLOTS];
}

bool repeats_find(const struct repeats *r, struct span line, struct span *ret)
{
	const struct slot *s;

	if (line.len == 0 || line.len > REPEATS_LINE_MAX)
		return false;
	s = slot_of(r, line);
	if (s->line_len != line.len || memcmp(s->line, line.ptr, line.len) != 0)
		return false;
	*ret = (struct span){ s->text, s->text_len };
	return true;
}

void repeats_put(struct repeats *r, struct span line, struct span text)
{
	struct slot *s;

	if (line.len == 0 || line.len > REPEATS_LINE_MAX || text.len > REPEATS_TEXT_MAX)
		return;
	s = slot_of(r, line);
	s->line_len = (uint8_t)line.len;
	s->text_len = (uint8_t)text.len;
	memcpy(s->line, line.ptr, line.len);
	memcpy(s->text, text.ptr, text.len);
}
