/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * rules - x-kubernetes-validations of custom kinds: expressions (cel.h) over the objects of a schema.
 *
 * Each node of a schema may have rules. `self` is the value that stands there, `oldSelf` what stood there before an update; a rule
 * that names oldSelf runs only where the old value can be told (members of objects, items of lists of maps by their keys), or with
 * optionalOldSelf. A fault of a value that did not change is let through with a warning (CRDValidationRatcheting).
 * Facts: apiextensions-apiserver pkg/apiserver/schema/cel, pkg/apis/apiextensions/validation; kubernetes.io "Validation rules".
 *
 * Programs are made when the first object is checked, and live as long as the book.
 *
 * Threads: one; a book belongs to its schema.
 * Limits:  a rule's estimate RULE_COST_MAX times how often it may run, all of a schema's RULES_COST_MAX; while running
 *          CEL_COST_CALL for one rule, CEL_COST_TOTAL for one object; memory RULES_BYTES_MAX for programs, the same for one rule's run.
 */
#include "kube/crd/structural.h"

#define RULE_COST_MAX   UINT64_C(10000000)
#define RULES_COST_MAX  UINT64_C(100000000)
#define RULES_BYTES_MAX MIB(64)

struct rule_book;

struct rule_book *rule_book_new(const struct openapi_schema *root); /* never NULL */
void rule_book_free(struct rule_book *b);                           /* NULL is allowed */

/* Adds a cause for each fault of the rules of a schema: what they are written as, then types, then cost. `path` is the schema's. */
void rules_check(const struct openapi_schema *root, struct span path, struct change *c);

/* Adds a cause for each rule that does not hold. `old` NULL: nothing stood there. `ratchets`: unchanged values are let through. */
void rules_run(struct rule_book *b, const struct value *object, const struct value *old, bool ratchets,
	       struct change *c);
