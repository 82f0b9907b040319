/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* schedule - "*" "/5 * * * *": the five fields of cron, and @daily and its like. */
#include "base/base.h"

/* What is wrong with it, in the words that the real server's parser uses; NULL when it is fine. */
const char *schedule_check(struct span s, struct arena *arena);
