/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* defaults - which of several classes is the cluster's own: of those that are marked by an annotation the newest, then by name. */
#include "wire/value.h"

struct newest {
	const char *const *marks; /* annotations of which one is "true"; ends with NULL */
	struct value *found;
};

/* For admission_list(). */
bool newest_pick(void *context, struct value *object);
