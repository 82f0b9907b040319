/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * multipart - the parts of a multipart/form-data body (RFC 7578, RFC 2046 5.1), in place.
 *
 *	struct multipart m;
 *	struct multipart_part part;
 *	if (!multipart_init(&m, req->content_type, req->body, &err))
 *		return false;
 *	while (multipart_next(&m, &part, &err))
 *		...
 *	return !m.failed;
 *
 * Limits: MULTIPART_PARTS_MAX parts.
 * Threads: one.
 */
#include "base/base.h"

#define MULTIPART_PARTS_MAX    1000
#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 5.1.1 */

struct multipart {
	struct span rest;                           /* behind the last delimiter */
	char delimiter[MULTIPART_BOUNDARY_MAX + 4]; /* CR LF -- boundary */
	size_t delimiter_len;
	unsigned count;
	bool is_first, failed;
};

struct multipart_part {
	struct span name;
	bool is_file; /* it has a filename */
	struct span content;
};

bool multipart_init(struct multipart *m, struct span content_type, struct span body, struct error *err) MUST_CHECK;

/* True with the next part; false at the closing delimiter, or (failed set, err set) when damaged. */
bool multipart_next(struct multipart *m, struct multipart_part *ret, struct error *err);
