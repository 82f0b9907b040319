/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an answer to a probe: what is found stands in the bytes given, and more bytes behind a whole head change nothing. */
#include "node/handler_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO_FREE char *copy = base_alloc(len ? len : 1);
	struct http_head head, again;

	memcpy(copy, data, len);
	if (http_head_read(span_from(copy, len), &head) != HTTP_HEAD_GOOD)
		return 0;
	ASSERT(head.status >= 100 && head.status <= 999 && head.len <= len);
	ASSERT(!head.location.len ||
	       (head.location.ptr >= copy && head.location.ptr + head.location.len <= copy + head.len));
	ASSERT(http_head_read(span_from(copy, head.len), &again) == HTTP_HEAD_GOOD);
	ASSERT(again.status == head.status && again.len == head.len);
	ASSERT(head.len == 0 || http_head_read(span_from(copy, head.len - 1), &again) != HTTP_HEAD_GOOD);
	return 0;
}
