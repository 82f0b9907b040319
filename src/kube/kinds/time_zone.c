/* SPDX-License-Identifier: Apache-2.0 */
/* time_zone - names of time zones. Facts: https://data.iana.org/time-zones/theory.html#naming. */
#include "kube/kinds/job.h"

#include <unistd.h>

#define ZONES     "/usr/share/zoneinfo"
#define PART_MOST 14

static bool is_part(struct span s)
{
	if (s.len == 0 || s.len > PART_MOST || s.ptr[0] == '-' || span_equal(s, SPAN(".")) || span_equal(s, SPAN("..")))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (!((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' ||
		      ch == '-' || ch == '_' || ch == '+'))
			return false;
	}
	return true;
}

static bool is_zone(struct change *c, struct span name)
{
	struct span rest = name;
	const char *path;

	if (span_ends(name, SPAN("/")))
		return false;
	while (rest.len) {
		if (!is_part(span_cut(&rest, '/')))
			return false;
	}
	if (span_equal(name, SPAN("UTC")) || access(ZONES, R_OK) != 0)
		return true;
	path = detail_print(c, ZONES "/" SPAN_FMT, SPAN_ARG(name));
	return access(path, R_OK) == 0;
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
	else if (!is_zone(c, name))
		fault_invalid_text(c, at, name, detail_print(c, "unknown time zone " SPAN_FMT, SPAN_ARG(name)));
}
