/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * progress - one line on a terminal's stderr that tells how far a long job is; nothing elsewhere.
 * Threads: one at a time.
 */
#include "base/base.h"

struct progress {
	bool is_on;
	uint64_t total;     /* bytes of input, 0 when unknown */
	int64_t started_ns; /* monotonic */
	int64_t shown_ns;
};

void progress_start(struct progress *p, uint64_t total, bool is_wanted);
void progress_show(struct progress *p, uint64_t bytes, uint64_t rows); /* a few times a second at most */
void progress_end(struct progress *p);                                 /* clears the line */
