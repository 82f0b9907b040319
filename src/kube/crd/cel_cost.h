/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cel_cost - what an expression may cost, and what a call did cost. Units and formulas: cel-go checker/cost.go and
 * interpreter/runtimecost.go, and for Kubernetes' libraries k8s.io/apiserver pkg/cel/library/cost.go.
 */
#include "kube/crd/cel_private.h"

enum { COST_LIST = 10, COST_MAP = 30 }; /* making one */
#define COST_LETTER  0.1                /* of a text that is walked */
#define COST_PATTERN 0.25               /* of a pattern's letter */

/* Which formula a function's cost follows. */
enum cel_cost_rule {
	COST_STANDARD, /* by the overload */
	COST_NOMINAL,
	COST_WALK_LIST,   /* lists' isSorted, sum, min, max, indexOf */
	COST_WALK_TARGET, /* lowerAscii, trim, ... */
	COST_WALK_ARG,    /* url("...") */
	COST_REPLACE,
	COST_SPLIT,
	COST_JOIN,
	COST_FIND,
	COST_PARSE, /* ip("..."), quantity("...") */
	COST_PARSE_TWICE,
	COST_CONTAINS_IP,
	COST_CONTAINS_CIDR,
	COST_VALIDATE,
	COST_SETS,
};
enum cel_cost_rule cel_cost_rule(struct span function);

uint64_t cel_call_cost(const struct cel_node *call, const struct cel_overload *o, const struct cel_value *args,
		       uint32_t count, const struct cel_value *result, struct cel_call *c);
uint64_t cel_times(uint64_t n, double factor); /* rounded up, at most UINT64_MAX */
