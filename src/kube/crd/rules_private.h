/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* rules_private - rules compiled, as the files about them see them. */
#include "kube/crd/cel.h"
#include "kube/crd/rules.h"
#include "kube/crd/structural_private.h"

struct rule {
	const struct value *source;
	struct cel_program *program, *message; /* NULL: none, or a fault */
	struct span fault, message_fault;      /* ptr NULL: none */
	struct span field_path;                /* of "fieldPath", as causes print it; empty: none */
	bool uses_old, takes_absent;           /* oldSelf; optionalOldSelf: true */
};

/* A node of the schema with rules, or with rules below. */
struct rule_node {
	const struct openapi_schema *schema;
	const struct cel_type *type; /* NULL: no type can be told */
	struct cel_env *env, *optional_env;
	struct rule *rules;
	uint32_t count;
	struct rule_member *members;
	size_t member_count;
	struct rule_node *items, *additional;
};

struct rule_member {
	struct span name;
	struct rule_node *node;
};

/* NULL: neither rules nor an error. `type` is the node's, made by the parent. */
struct rule_node *rule_node_new(const struct openapi_schema *s, const struct cel_type *type, bool is_newest,
				struct arena *arena, struct error *err);

/* The type of a schema's values (k8s.io/apiserver pkg/cel/common/schemas.go); NULL: it has none. */
const struct cel_type *rule_type(const struct openapi_schema *s, bool is_root, struct arena *arena, struct error *err);

/* A fieldPath as a path of causes. False: it leads to nothing. */
bool rule_field_path(const struct openapi_schema *s, struct span path, struct arena *arena, struct span *ret,
		     struct error *err);
