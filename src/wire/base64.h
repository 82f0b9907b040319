/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* base64 - RFC 4648 section 4 (standard) and 5 (URL-safe). Decoding accepts both alphabets, padded or not; no white
 * space. */
#include "base/base.h"

void base64_write(struct buffer *out, struct span bytes); /* standard, padded */
/* Decodes into the arena. INVALID names the offset of the first bad character; non-zero trailing bits are refused. */
bool base64_read(struct span text, struct arena *arena, struct span *ret, struct error *err);
