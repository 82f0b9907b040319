/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * python - which interpreter runs a user's code, and how it finds the package `hythe`.
 */
#include "base/base.h"

/* `given` (--python), else $VIRTUAL_ENV/bin/python, else the python beside this program (where pip put both), else python3
 * or python of $PATH. A path, or a name to be looked for in $PATH. NOT_FOUND when there is none. */
const char *python_find(const char *given, struct arena *arena, struct error *err);

/* "PYTHONPATH=...", with the folder of the package that belongs to this program in front of what is set; NULL when there
 * is none, and the interpreter must have it installed. */
const char *python_path_variable(struct arena *arena, struct error *err);
