/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * admission - what looks at a write between defaults and storage: namespaces that are ending or absent, service accounts of pods.
 *
 * Errors: FORBIDDEN and NOT_FOUND in the real server's words.
 */
#include "kube/kind.h"

/* Runs the plugins on c->object. `next` is called on the loop, perhaps later: err is NULL when the write may go on. c and its arena live
 * until then. `is_validating` false: those that change the object; true: those that only look. */
void admission_run(struct change *c, bool is_validating, void (*next)(void *context, const struct error *err),
		   void *context);
