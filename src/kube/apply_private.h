/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* apply_private - the steps of a server-side apply. */
#include "kube/fields.h"

/* INVALID when the configuration does not fit its type, all faults in one message. */
bool apply_check(const struct value *config, struct place place, struct arena *arena, struct error *err);

/* `config` over `live`; nothing goes away. Items of lists by keys come in the order of the configuration. */
bool apply_overlay(const struct value *live, const struct value *config, struct place place, struct arena *arena,
		   struct value *ret, struct error *err);
