/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pipeline - blocks of a file through scorers on every core, and out in order.
 *
 * Each thread reads the next block (one at a time), scores it (all at once), and whoever finishes the oldest one writes
 * it and those ready behind it. A ring of blocks bounds the memory: who is too far ahead waits.
 */
#include "cli/blocks.h"
#include "cli/progress.h"
#include "cli/score.h"

struct pipeline_config {
	const struct score_plan *plan;
	struct block_reader *reader;
	int out;
	unsigned threads;
	uint64_t first_line; /* where the data begin */
	struct progress *progress;
};

/* Returns when all is written, or at the first failure; what stands before it has been written then. */
bool pipeline_run(const struct pipeline_config *config, struct score_counts *ret, struct error *err);
