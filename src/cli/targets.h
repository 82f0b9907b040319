/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * targets - what can stand where a command expects a model: a file, NAME=PATH, a Python file or class.
 *
 * One kind of target is one row of the table in targets.c: how it is recognized, and what loads it.
 */
#include "cli/options.h"
#include "inference/inference.h"

/* "NAME=PATH" in its parts; name is empty without one. */
struct target {
	struct span name;
	const char *path;
};

struct target target_split(const char *argument);

/* True for what an interpreter of its own must run: a Python file, class or application, a pickled model. */
bool target_is_code(const char *argument);

/* Puts a model file into service under its name (or `name`, which may be NULL). */
bool target_serve(struct inference *inf, const char *argument, const char *name, struct arena *arena,
		  struct error *err);

/* Loads it for a command that is no server. */
struct model *target_load(const char *argument, const struct model_options *options, struct error *err);

struct model_options model_options_of(const struct model_flags *flags);

/* The names of --features, with those of @FILE in their place. */
bool features_read(const struct model_flags *flags, struct arena *arena, struct text_list *ret, struct error *err);
