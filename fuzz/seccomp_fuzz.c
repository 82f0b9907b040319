/* SPDX-License-Identifier: Apache-2.0 */
#include "node/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A profile is read, or refused with words. The first byte says which capabilities the container has. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct filter *filter = NULL;
	struct error err = { 0 };

	if (len == 0)
		return 0;
	if (filter_of_profile(span_from(data + 1, len - 1), (uint64_t)data[0] << 16, data[0] & 1, &filter, &err)) {
		if (!filter)
			__builtin_trap();
		filter_free(filter);
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	return 0;
}
