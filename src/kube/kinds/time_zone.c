/* SPDX-License-Identifier: Apache-2.0 */
/* time_zone - names of time zones, as objects have them. */
#include "kube/kinds/job.h"

#include "wire/zone.h"

#define ZONE_MEMORY KIB(256)

static bool is_zone(struct span name)
{
	struct error ignored = { 0 };
	struct arena arena;
	bool is_there;

	if (!zone_name_is_fine(name))
		return false;
	if (!zone_database_is_there())
		return true;
	arena_init(&arena, ZONE_MEMORY);
	is_there = zone_load(name, &arena, &ignored) != NULL;
	arena_done(&arena);
	return is_there;
}

void check_time_zone(struct change *c, const struct at *at, const struct value *v)
{
	struct span name = text_of(v);

	if (!v)
		return;
	if (name.len == 0)
		fault_invalid_text(c, at, name, "timeZone must be nil or non-empty string");
	else if (span_equal_ignore_case(name, SPAN("Local")))
		fault_invalid_text(c, at, name,
				   "timeZone must be an explicit time zone as defined in "
				   "https://www.iana.org/time-zones");
	else if (!is_zone(name))
		fault_invalid_text(c, at, name, detail_print(c, "unknown time zone " SPAN_FMT, SPAN_ARG(name)));
}
