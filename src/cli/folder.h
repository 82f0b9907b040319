/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* folder - where `hythe up` keeps its data, for all commands that look there. */
#include "base/base.h"

/* `given`, else the user's folder for data (XDG Base Directory Specification): $XDG_DATA_HOME/hythe, ~/.local/share/hythe. NULL and INVALID
 * when there is none. */
const char *data_folder(const char *given, struct arena *arena, struct error *err);
const char *data_path(const char *folder, const char *name, struct arena *arena, struct error *err); /* "folder/name" */
