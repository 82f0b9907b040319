/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was decided by some bytes stays so with more of them, and the end of waiting decides. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum sniff before = SNIFF_MORE;

	for (size_t i = 0; i <= len && i <= SNIFF_MOST; i++) {
		enum sniff now = sniff(span_from(data, i), false);

		if ((before != SNIFF_MORE && now != before) || sniff(span_from(data, i), true) == SNIFF_MORE)
			__builtin_trap();
		before = now;
	}
	return 0;
}
