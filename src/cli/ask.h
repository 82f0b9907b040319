/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ask - one request to the API server of a data folder, as its administrator: with the address in its kubeconfig and the keys in pki/.
 * Blocks. For commands that talk to a running `hythe up`.
 */
#include "base/base.h"

/* POSTs JSON. False with UNAVAILABLE when nobody runs there, else with what the server said: the code by its status. */
bool ask_post(const char *folder, const char *path, struct span body, struct arena *arena, struct error *err);
