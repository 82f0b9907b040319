/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * exposition - texts of metrics from several processes made one: the lines of a family stand together, its help and type
 * are said once, and each sample tells by a label whose it is (Prometheus text format 0.0.4, OpenMetrics 1.0).
 *
 * Ownership: spans given must live until exposition_done().
 * Errors:    none: a line that is no sample is left out, and so are families over EXPOSITION_FAMILIES_MAX.
 */
#include "base/base.h"

#define EXPOSITION_FAMILIES_MAX 4096

struct exposition_family;

struct exposition {
	struct exposition_family *families;
	size_t count, cap;
	bool is_openmetrics; /* the end is marked */
};

void exposition_init(struct exposition *e, bool is_openmetrics);
void exposition_done(struct exposition *e);

/* Adds a text; its samples get the label worker="value", unless they have one of that name or `worker` is empty.
 * Families named in `without` are left out. */
void exposition_add(struct exposition *e, struct span text, struct span worker, const struct span *without,
		    size_t without_count);
void exposition_write(const struct exposition *e, struct buffer *out);
