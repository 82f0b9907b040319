/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * process - what the kernel tells about this process; private to metrics. What cannot be read is 0.
 * Threads: any.
 */
#include <stdint.h>

struct process_facts {
	uint64_t resident_bytes, virtual_bytes, open_fds, max_fds;
	double cpu_seconds, start_seconds; /* user and system; since 1970 */
};

struct process_facts process_facts_read(void);
