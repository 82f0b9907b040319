/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clock - time in nanoseconds. Code on a loop asks loop_now() instead, so that tests can turn the clock. */
#include "base/base.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

int64_t clock_monotonic_ns(void);
int64_t clock_wall_ns(void);   /* since 1970-01-01T00:00:00Z */
int64_t clock_thread_ns(void); /* that this thread has been at work */

/* "2026-11-21T03:04:05.678901Z" (RFC 3339, UTC); `out` holds CLOCK_TEXT_SIZE bytes. Returns the length. */
#define CLOCK_TEXT_SIZE 28
size_t clock_print_rfc3339(int64_t wall_ns, char *out);

/* The same, and "2026-11-21T05:04:05+02:00", in seconds since 1970-01-01T00:00:00Z; parts of a second are passed over. False: it is none. */
bool clock_parse_rfc3339(struct span text, int64_t *ret_seconds);

/* "Sat, 21 Nov 2026 03:04:05 GMT" (RFC 9110 5.6.7), 29 bytes and a NUL. Returns the length. */
#define CLOCK_HTTP_SIZE 30
size_t clock_print_http(int64_t wall_ns, char *out);
