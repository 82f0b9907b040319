/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* service - what the files about services share. */
#include "kube/kind.h"

void service_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena);
