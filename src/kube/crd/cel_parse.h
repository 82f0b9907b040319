/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cel_parse - making nodes of the tree, for the parser and its macros. A call with a NULL argument gives NULL. */
#include "kube/crd/cel_private.h"

struct cel_maker {
	struct cel_faults *faults;
	size_t nodes, last;
};

struct cel_node *cel_make(struct cel_maker *m, enum cel_node_kind kind, uint32_t at);
struct cel_node *cel_make_name(struct cel_maker *m, uint32_t at, struct span name);
struct cel_node *cel_make_literal(struct cel_maker *m, uint32_t at, struct cel_value v);
bool cel_make_args(struct cel_maker *m, struct cel_node *n, uint32_t count);
struct cel_node *cel_make_call(struct cel_maker *m, uint32_t at, const char *function, struct cel_node *a,
			       struct cel_node *b, struct cel_node *c);

/* The call itself, or what a macro of its name makes of it; NULL after a fault. */
struct cel_node *cel_macro(struct cel_maker *m, struct cel_node *call, bool *ret_is_macro);
