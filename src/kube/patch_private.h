/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* patch_private - what the files of patch.h share. */
#include "kube/patch.h"

/* Sets INVALID with the text of a 422 whose cause the real server keeps to itself. */
bool patch_refuse(struct error *err, bool *ret_is_unprocessable);

/* How deep the containers of a value go: 0 for a scalar. */
unsigned patch_depth(const struct value *v);
