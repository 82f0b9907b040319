/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * units - sizes and times as people write them: "64k", "1.5g"; "500ms", "30s" (a bare number is seconds).
 *
 * Threads: any; no state.
 * Errors:  INVALID, with the text and examples; the output is untouched then.
 */
#include "base/error.h"

bool size_parse(struct span text, size_t *ret, struct error *err);
bool duration_parse(struct span text, int64_t *ret_ms, struct error *err); /* a century at most */
/* As Go writes a duration: "1h30m", "1.5s", "-300ms", "0". The faults are told in Go's words. */
bool go_duration_parse(struct span text, int64_t *ret_ns, struct error *err);
