/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sandbox_status - what is known of a sandbox, kept: in one block of memory with its texts, as there is one for each pod as long as it lives.
 */
#include "node/runtime.h"

/* The caller frees it. */
struct sandbox_status *sandbox_status_copy(const struct sandbox_status *s);
