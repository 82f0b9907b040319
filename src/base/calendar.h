/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * calendar - days since 1970-01-01 and dates of the Gregorian calendar, which goes back before its time.
 *
 * Threads: any; no state.
 * Units:   days; years may be negative, and are good to some hundred millions.
 */
#include "base/base.h"

/* `month` 1 to 12; `day` may lie outside of the month, and counts from its first day then. */
int64_t calendar_days(int64_t year, unsigned month, int64_t day);
void calendar_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
unsigned calendar_weekday(int64_t days); /* Sunday is 0 */
bool calendar_is_leap(int64_t year);
unsigned calendar_month_days(int64_t year, unsigned month);
