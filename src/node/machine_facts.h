/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * machine_facts - what this machine has and uses, as /proc, /sys and its disk tell it. Control groups that hold this program take part: who is given
 * two of eight gigabytes has two.
 *
 * Threads: any. A few small files are read each time.
 * Errors:  what is needed and can't be read.
 */
#include "base/base.h"

enum { FACT_SIZE = 128 };

struct machine_facts { /* does not change while it runs */
	int64_t cpu;   /* thousandths */
	int64_t memory, disk, inodes;
	char kernel[FACT_SIZE], os[FACT_SIZE], machine_id[FACT_SIZE], boot_id[FACT_SIZE], system_id[FACT_SIZE];
	const char *architecture; /* "amd64" */
};

struct machine_use {
	int64_t memory_available, disk_available, inodes_available, processes, processes_most;
	int64_t cpu_ns; /* of all processes, since it was begun */
};

/* `root` stands before /proc, /sys and /etc: "" but for tests. `folder` is on the disk that counts. */
bool machine_facts_read(const char *root, const char *folder, struct machine_facts *ret, struct error *err) MUST_CHECK;
bool machine_use_read(const char *root, const char *folder, struct machine_use *ret, struct error *err) MUST_CHECK;
