/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* auth_private - what auth.c calls in the files beside it. */
#include "kube/auth/auth.h"
#include "loop/loop.h"

struct bootstrap;
/* Begins to write what is absent, the cluster's objects first; goes on by itself. */
struct bootstrap *bootstrap_start(struct kube *k);
void bootstrap_free(struct bootstrap *b); /* writes under way end on their own */

/* For tests: how many rows there are, and one as an object; false for a number that is none. */
size_t bootstrap_count(void);
bool bootstrap_object(size_t index, struct arena *arena, struct value *ret, struct error *err);
