/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * schedule - when something happens, as cron writes it and robfig/cron's standard parser (version 3) reads it.
 *
 * Five fields: minute, hour, day of the month, month, day of the week (Sunday is 0, and 7 is not). Each is a list of "*", "?", "5", "1-5",
 * with a step ("*" "/15", "1-30/2", "5/10": from 5 on); months and days of the week have names (jan, SUN). When both days are given, one of
 * them is enough. Or one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, "@every 1h30m".
 *
 * Summer time: a time that clocks skip does not happen that day; one that they show twice happens twice.
 *
 * Threads: any; no state.
 * Errors:  INVALID, in the words of that parser; nothing is given back then.
 * Units:   seconds since 1970-01-01T00:00:00Z.
 */
#include "wire/zone.h"

struct schedule {
	struct span
	    zone; /* of "TZ=Europe/Paris 5 4 * * *" and CRON_TZ=, which nobody should write; points into the text */
	int64_t every; /* seconds; 0: by the fields */
	/* Bit n: at n. The highest bit: written as "*" or "?". */
	uint64_t minutes, hours, days, months, weekdays;
};

bool schedule_parse(struct span text, struct schedule *ret, struct error *err) MUST_CHECK;
/* The first time after `seconds`. False: none within five years. */
bool schedule_next(const struct schedule *s, const struct zone *z, int64_t seconds, int64_t *ret);
/* The last time that is after `from` and not after `to`; with @every counted from `from` on. False: there is none. */
bool schedule_last(const struct schedule *s, const struct zone *z, int64_t from, int64_t to, int64_t *ret);
