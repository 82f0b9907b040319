/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* up - what both forms of `hythe up` share: an API server with its controllers (up.c), and controllers of another one (up_remote.c). */
#include "cli/cli.h"

/* --controllers, ending with NULL. */
const char *const *up_controllers(const struct cli_call *call, struct error *err);

/* --kubeconfig. EXIT_x. */
int up_remote(const struct cli_call *call);
