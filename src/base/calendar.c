/* SPDX-License-Identifier: Apache-2.0 */
/* calendar - Howard Hinnant, "chrono-compatible low-level date algorithms". */
#include "base/calendar.h"

#define DAYS_OF_ERA  146097 /* 400 years, from March 1st on */
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

int64_t calendar_days(int64_t year, unsigned month, int64_t day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;

	return era * DAYS_OF_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year + day - 1 -
	       DAYS_TO_1970;
}

void calendar_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t z = days + DAYS_TO_1970, era = (z >= 0 ? z : z - (DAYS_OF_ERA - 1)) / DAYS_OF_ERA;
	unsigned day_of_era = (unsigned)(z - era * DAYS_OF_ERA);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month = (5 * day_of_year + 2) / 153;

	*ret_day = day_of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = (int64_t)year_of_era + era * 400 + (*ret_month <= 2);
}

unsigned calendar_weekday(int64_t days)
{
	return (unsigned)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

bool calendar_is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

unsigned calendar_month_days(int64_t year, unsigned month)
{
	static const unsigned lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return lengths[month - 1] + (month == 2 && calendar_is_leap(year));
}
