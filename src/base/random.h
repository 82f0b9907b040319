/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * random - identifiers and choices. random_fast() is a per-thread generator seeded from the kernel (not for secrets).
 * Threads: any.
 */
#include "base/span.h"

uint64_t random_fast(void);
double random_unit(void); /* in [0, 1) */

/* A random UUID version 4 (RFC 9562 5.4): 36 characters and a NUL. */
#define RANDOM_UUID_SIZE 37
void random_uuid(char *out);

/* `bytes` random bytes as lower-case hex: 2 * bytes characters and a NUL. */
void random_hex(char *out, size_t bytes);
