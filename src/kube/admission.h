/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * admission - what looks at a write between defaults and storage: the plugins of a kube-apiserver that are on by default, in its order,
 * and the webhooks that are configured. One file of admission/ each, one row each in admission.c.
 *
 * Errors: in the real server's words. The answer may hold more than the error: admission_answer() gives it.
 */
#include "kube/kind.h"

struct call;

/* Runs the plugins on c->object. `next` is called on the loop, perhaps later: err is NULL when the write may go on. c and its arena live
 * until then. `is_validating` false: those that change the object; true: those that only look. */
void admission_run(struct change *c, bool is_validating, void (*next)(void *context, const struct error *err),
		   void *context);
/* Ends the call with what admission refused it for. */
void admission_answer(struct call *call, const struct error *err);
/* What a write that was let through has used of quotas: it stands when the write is durable, else it is given back. Twice does no harm. */
void admission_end(struct change *c, bool is_stored);
