/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * admission - what looks at a write between defaults and storage: namespaces that are ending or absent, service accounts of pods,
 * LimitRange, ResourceQuota (plugins, on the loop), and webhooks (mutating, then validating; they may take time).
 *
 * Errors: FORBIDDEN in the real server's words; for webhooks what they answer ("admission webhook \"x\" denied the request: ...").
 */
#include "kube/kind.h"

/* Runs the plugins, then webhooks, on c->object. `next` is called on the loop, at once when no webhook matches: err is NULL when the write may
 * go on. c and its arena live until then. `is_validating` false: mutating ones; true: validating ones. */
void admission_run(struct change *c, bool is_validating, void (*next)(void *context, const struct error *err),
		   void *context);
