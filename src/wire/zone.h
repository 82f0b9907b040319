/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * zone - the time zones of the machine: TZif files under /usr/share/zoneinfo (RFC 8536, versions 1 to 4).
 *
 * The years after a file's last change follow the rule in its footer, as POSIX writes TZ. Leap seconds are not counted.
 *
 * Ownership: a zone lives in the arena given.
 * Threads:   any; a zone never changes.
 * Errors:    NOT_FOUND for a name that no zone has, INVALID for a file that is damaged, naming the fault.
 * Units:     seconds since 1970-01-01T00:00:00Z; offsets in seconds east of UTC.
 * Limits:    a file of 64 KiB.
 */
#include "base/base.h"

#define ZONE_FILE_MAX KIB(64)

struct zone;

/* The time around a moment in which the offset is the same: from <= moment < to. */
struct zone_period {
	int64_t from, to; /* INT64_MIN, INT64_MAX: without end */
	int64_t offset;
	bool is_summer;
};

/* "Europe/Paris": parts of letters, digits and . - _ +, 14 each at most; none begins with "-" or is "." or "..".
 * (https://data.iana.org/time-zones/theory.html#naming) */
bool zone_name_is_fine(struct span name);
bool zone_database_is_there(void);

/* A zone by its name; "" and "UTC" are UTC, with or without files. NULL on failure. */
const struct zone *zone_load(struct span name, struct arena *arena, struct error *err);
const struct zone *zone_parse(struct span file, struct arena *arena, struct error *err);

struct zone_period zone_at(const struct zone *z, int64_t seconds);
/* The moment at which clocks show `local` (seconds, as if they were UTC's). Where they show it twice, or skip it, it is one of the two
 * that the offsets around it give: the one that Go's time.Date() takes. */
int64_t zone_moment(const struct zone *z, int64_t local);
