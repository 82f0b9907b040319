/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/zone.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A zone that was read has an offset at every time, of a period around it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int64_t times[] = { INT64_MIN / 2, -5000000000, 0, 1, 1800000000, 4000000000, INT64_MAX / 2 };
	struct error err = { 0 };
	const struct zone *z;
	struct arena arena;

	arena_init(&arena, MIB(2));
	z = zone_parse(span_from(data, len), &arena, &err);
	for (size_t i = 0; z && i < ARRAY_LEN(times); i++) {
		struct zone_period p = zone_at(z, times[i]);

		if (p.from > times[i] || p.to <= times[i])
			abort();
		(void)zone_moment(z, times[i]);
	}
	arena_done(&arena);
	return 0;
}
