/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_fuzz - what comes out, added alone, comes out again as it is. */
#include "workers/exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void merge(struct span text, struct span worker, struct buffer *out)
{
	struct exposition e;

	exposition_init(&e, false);
	exposition_add(&e, text, worker, NULL, 0);
	exposition_write(&e, out);
	exposition_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buffer once, twice;

	buffer_init(&once, MIB(64));
	buffer_init(&twice, MIB(64));
	merge(span_from(data, len), SPAN("0"), &once);
	merge(buffer_span(&once), SPAN("1"), &twice);
	if (!span_equal(buffer_span(&once), buffer_span(&twice)))
		__builtin_trap();
	buffer_done(&once);
	buffer_done(&twice);
	return 0;
}
