/* SPDX-License-Identifier: Apache-2.0 */
/* listing_fuzz - lists of objects that buckets answer, and URIs. */
#include <stdint.h>

#include "fetch/fetch_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = span_from(data, len);
	struct listing list = { 0 };
	struct error err = { 0 };
	struct arena arena;
	struct uri uri;

	arena_init(&arena, MIB(256));
	if (listing_read_s3(text, &arena, &list, &err))
		for (size_t i = 0; i < list.count; i++)
			if (list.items[i].key.len > len)
				__builtin_trap();
	err = (struct error){ 0 };
	if (!listing_read_gs(text, &arena, &list, &err) && !err.code)
		__builtin_trap();
	err = (struct error){ 0 };
	if (uri_read(text, &uri, &err) ? uri.scheme != URI_FILE && !uri.host.len : !err.code)
		__builtin_trap();
	arena_done(&arena);
	return 0;
}
