/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * zone_rule - when summer time begins and ends in every year, as POSIX writes it in TZ: "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * Threads: any; no state.
 * Errors:  INVALID, naming what is wrong; nothing is given back then.
 */
#include "wire/zone.h"

struct zone_day {
	enum { DAY_OF_MONTH_WEEK, DAY_WITHOUT_LEAP, DAY_OF_YEAR } form; /* Mm.w.d, Jn, n */
	int64_t month, week, day;
	int64_t seconds; /* after midnight, by the clocks of the time that ends; may be negative */
};

struct zone_rule {
	int64_t winter, summer; /* offsets */
	bool has_summer;
	struct zone_day begin, end; /* of summer */
};

bool zone_rule_parse(struct span text, struct zone_rule *ret, struct error *err) MUST_CHECK;
struct zone_period zone_rule_at(const struct zone_rule *rule, int64_t seconds);
