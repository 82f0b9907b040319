/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* pod - what the files about pods share. */
#include "kube/kind.h"

/* "Guaranteed", "Burstable" or "BestEffort". */
const char *pod_quality(const struct value *spec);

/* Writes by pods/ephemeralcontainers and pods/resize, which change their part of a pod only. False: it is no such write. */
bool pod_part_prepare(struct change *c);
void pod_part_validate(struct change *c);
