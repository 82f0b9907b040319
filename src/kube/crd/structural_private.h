/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* structural_private - a compiled schema, as the files of this folder see it. */
#include "kube/crd/structural.h"

struct openapi_property {
	struct span name;
	struct openapi_schema *schema;
};

struct openapi_schema {
	struct arena *arena;        /* the root's: all of the tree is cut from it */
	const struct value *source; /* its JSON, in the arena */
	struct openapi_property *properties;
	size_t property_count;
	struct openapi_schema *items;
	struct openapi_schema *additional; /* of a map's values */
	struct openapi_schema *none_of;
	struct openapi_schema **all_of, **any_of, **one_of; /* end with NULL; NULL: none */
	const struct value *required, *enums;               /* arrays, or NULL */
	struct pcre2_real_code_8 *pattern;
	struct openapi_schema *next_pattern; /* with one too */
	struct openapi_schema *patterns;     /* the root: the first one, all are freed with it */
	const struct value *otherwise;       /* default, or NULL */
	enum list_kind list;
	struct span list_keys[LIST_KEYS_MAX];
	const char *list_defaults[LIST_KEYS_MAX];
	size_t list_key_count;
	bool is_atomic;
	bool keeps_unknown; /* x-kubernetes-preserve-unknown-fields */
	bool is_embedded;   /* x-kubernetes-embedded-resource: apiVersion, kind and metadata are its own */
	bool takes_any;     /* additionalProperties: true */
	bool is_nullable;
	bool is_int_or_string;
};
