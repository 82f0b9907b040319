/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* checks - the parts of checking a definition's schema, for the files of this folder. */
#include "kube/crd/crd.h"
#include "kube/crd/structural.h"

struct at;

/* Is it free of what cannot be read as a structural schema at all ($ref, definitions, a list of items, ...)? */
bool schema_is_supported(const struct value *schema);
/* What is wrong with a regular expression; NULL: nothing. */
const char *pattern_fault(struct span pattern, struct arena *arena);
void check_structural(struct change *c, const struct at *at, const struct value *schema); /* structural_checks.c */
void check_default_values(struct change *c, const struct at *at,
			  const struct value *schema); /* structural_defaults.c */
