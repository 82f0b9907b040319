/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * agent - the first process of an enclosure: it sets the pod's namespaces up, holds them, and makes sockets in its network. Private to confine.h's files.
 */
#include "base/base.h"

struct enclosure;
struct sandbox_config;

/* Safe ones only: INVALID names the first that is not. */
bool sysctls_check(const struct sandbox_config *c, struct error *err) MUST_CHECK;
/* Begins it: its namespaces take a while, in which something else can be done. */
bool agent_start(struct enclosure *e, const struct sandbox_config *c, struct error *err) MUST_CHECK;
/* It is ready, and its namespaces are held. */
bool agent_hold(struct enclosure *e, struct error *err) MUST_CHECK;
/* It is told what was not known when it began; enclosure_settle() hears what became of it. */
bool agent_finish(struct enclosure *e, const struct sandbox_config *c, struct error *err) MUST_CHECK;
