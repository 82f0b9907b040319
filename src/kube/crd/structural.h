/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * structural - schemas of custom resources (apiextensions.k8s.io/v1 structural schemas), compiled from a CustomResourceDefinition.
 *
 * Threads: one; a compiled schema is immutable.
 * Errors:  causes at their path below spec.versions[i].schema.openAPIV3Schema; limits: nodes SCHEMA_NODES_MAX,
 *          depth VALUE_DEPTH_MAX.
 */
#include "kube/kind.h"

#define SCHEMA_NODES_MAX 20000

struct openapi_schema;

/* NULL with causes added to `c`. `path` is where the schema stands in the definition. The schema lives in its own memory. */
struct openapi_schema *openapi_schema_new(const struct value *schema, struct span path, struct change *c);
void openapi_schema_free(struct openapi_schema *s);

/* What merges ask (schema.h): a member's or item's schema, NULL when nothing is known. */
const struct openapi_schema *openapi_schema_member(const struct openapi_schema *s, struct span key);
const struct openapi_schema *openapi_schema_item(const struct openapi_schema *s);
enum list_kind openapi_schema_list(const struct openapi_schema *s);
size_t openapi_schema_list_keys(const struct openapi_schema *s, struct span ret[LIST_KEYS_MAX],
				const char *ret_defaults[LIST_KEYS_MAX]);
bool openapi_schema_is_object(const struct openapi_schema *s); /* a whole object: the root, or an embedded one */
bool openapi_schema_is_atomic(const struct openapi_schema *s); /* x-kubernetes-map-type: atomic */

/* Drops what the schema does not name (but apiVersion, kind, metadata at the root), telling each path. */
void openapi_schema_prune(const struct openapi_schema *s, struct value *v, const struct schema_report *report);
/* The same of a value inside an object, by the schema that stands there. */
void openapi_schema_prune_below(const struct openapi_schema *s, struct value *v, const struct schema_report *report);
bool openapi_schema_default(const struct openapi_schema *s, struct value *v, struct arena *arena, struct error *err);
/* Adds a cause for each fault of `v`; `path` is where it stands, empty for a whole object. `old` (or NULL) is what stands there now: what
 * is faulty in it already, and does not change, is let through. */
void openapi_schema_validate(const struct openapi_schema *s, const struct value *v, const struct value *old,
			     struct span path, struct change *c);
/* Of whole objects: items that are twice in sets and maps (when `old` has none); apiVersion, kind and metadata of embedded objects. */
void openapi_schema_check_lists(const struct openapi_schema *s, const struct value *v, const struct value *old,
				struct change *c);
void openapi_schema_check_embedded(const struct openapi_schema *s, const struct value *v, struct change *c);
/* Metadata of embedded objects gets the form of metadata; unknown members are told. INVALID: it is none. */
bool openapi_schema_coerce(const struct openapi_schema *s, struct value *v, const struct schema_report *report,
			   struct arena *arena, struct error *err);
bool openapi_schema_has_rules(const struct openapi_schema *s);          /* x-kubernetes-validations, here or below */
struct rule_book *openapi_schema_rules(const struct openapi_schema *s); /* of a root: rules.h; NULL: none */
/* The schema as JSON, for OpenAPI documents. */
const struct value *openapi_schema_source(const struct openapi_schema *s);
