/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* autoscaler - what both versions of HorizontalPodAutoscaler share. */
#include "kube/kind.h"

extern const struct kind kind_autoscaler; /* v2, the form that is stored */
extern const struct column autoscaler_columns[];
extern const char *const autoscaler_short_names[], *const autoscaler_categories[];

void autoscaler_validate(struct change *c); /* of v2 */
void autoscaler_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena);
