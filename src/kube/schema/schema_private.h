/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * schema_private - scalars that JSON has as strings but that mean more: times, durations, quantities, bytes.
 */
#include "kube/schema/schema.h"

/*
 * Checks the text of a scalar of `kind` (FIELD_TIME, FIELD_MICRO_TIME, FIELD_DURATION, FIELD_QUANTITY, FIELD_BYTES) and gives its
 * canonical form, as the real server stores it: times in UTC, quantities in their shortest form, base64 without line ends. INVALID
 * in the words of Go's parsers.
 */
bool scalar_canonical(enum field_kind kind, struct span text, struct arena *arena, struct span *ret, struct error *err);

/* RFC 3339 in UTC, in seconds or (is_micro) microseconds. */
struct span scalar_time(int64_t seconds, int64_t nanoseconds, bool is_micro, struct arena *arena, struct error *err);
/* "1h0m0s", as Go prints durations. */
struct span scalar_duration(int64_t nanoseconds, struct arena *arena, struct error *err);
