/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * coding - private to net: content codings (RFC 9110 8.4) of request and answer bodies, and gRPC's message compression.
 *
 * Whole bodies in memory, in one call: gzip and deflate by libdeflate, zstd by its own library. Contexts are kept for
 * each thread, so that the warm path allocates nothing.
 *
 * Threads: any.
 * Errors:  INVALID for damaged input; TOO_LARGE when more than out->limit bytes would come out (nothing is kept then);
 *          UNSUPPORTED_MEDIA for a coding that is not known.
 */
#include "base/base.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_ZSTD };

#define CODING_LIST_MAX 3                     /* codings applied one on another */
#define CODING_ACCEPTED "gzip, deflate, zstd" /* for Accept-Encoding beside a 415 */

/* "gzip", "x-gzip", "deflate", "zstd", "identity", in any case. */
bool coding_parse(struct span name, enum coding *ret);
const char *coding_name(enum coding c);

/* The value of Content-Encoding: codings in the order applied; identity is left out. */
bool coding_list_parse(struct span value, enum coding ret[CODING_LIST_MAX], size_t *ret_count, struct error *err);

/* What to answer in, by the value of Accept-Encoding: ZSTD, GZIP or IDENTITY. Equal weights: zstd, it costs least. */
enum coding coding_choose(struct span accept);

/* True when a list of gRPC's (grpc-accept-encoding) has `c`. */
bool coding_list_has(struct span list, enum coding c);

/* Appends to out. `limit_flag` names the setting behind out->limit in the message. */
bool coding_decode(enum coding c, struct span in, struct buffer *out, const char *limit_flag, struct error *err);

/* Appends to out; false, and out as it was, when the result would not be smaller (then send it as it is). */
bool coding_encode(enum coding c, struct span in, struct buffer *out);
