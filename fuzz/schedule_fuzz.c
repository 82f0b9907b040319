/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/schedule.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is read has times that ascend, and the last one up to a time is not after it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const zones[] = { "UTC", "Europe/Paris", "America/Asuncion", "Pacific/Apia" };
	int64_t at = INT64_C(1300000000), from = at, next, last;
	struct error err = { 0 };
	const struct zone *z;
	struct schedule s;
	struct arena arena;

	if (!schedule_parse(span_from(data, len), &s, &err)) {
		if (err.code != ERROR_INVALID)
			abort();
		return 0;
	}
	arena_init(&arena, MIB(1));
	z = zone_load(span_of(zones[len % ARRAY_LEN(zones)]), &arena, &err);
	for (int i = 0; z && i < 8 && schedule_next(&s, z, at, &next); i++) {
		if (next <= at)
			abort();
		at = next;
	}
	if (z && schedule_last(&s, z, from, at, &last) && (last <= from || last > at))
		abort();
	arena_done(&arena);
	return 0;
}
