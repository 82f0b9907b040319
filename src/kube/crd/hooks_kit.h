/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* hooks_kit - what tests of the hooks of shipped definitions share. */
#include "base/base.h"

/*
 * What the kind's hook says when an object is created, as text: "field reason; field reason", "" when it is taken. `json` has ' for ". Valid until
 * hooks_kit_stop().
 */
const char *hooks_kit_refusals(struct span group, struct span kind, const char *json);

/* Of cmocka's set-up and tear-down. */
int hooks_kit_start(void **state);
int hooks_kit_stop(void **state);
