/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* structural_private - a compiled schema, as the files of this folder see it. */
#include "kube/crd/structural.h"

enum format {
	FORMAT_NONE,
	FORMAT_ANY, /* password */
	FORMAT_OBJECT_ID,
	FORMAT_URI,
	FORMAT_EMAIL,
	FORMAT_HOSTNAME,
	FORMAT_IPV4,
	FORMAT_IPV6,
	FORMAT_CIDR,
	FORMAT_MAC,
	FORMAT_UUID,
	FORMAT_UUID3,
	FORMAT_UUID4,
	FORMAT_UUID5,
	FORMAT_ISBN,
	FORMAT_ISBN10,
	FORMAT_ISBN13,
	FORMAT_CREDIT_CARD,
	FORMAT_SSN,
	FORMAT_HEX_COLOR,
	FORMAT_RGB_COLOR,
	FORMAT_BYTE,
	FORMAT_DATE,
	FORMAT_DURATION,
	FORMAT_DATE_TIME,
};

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
	struct cel_regex *pattern;
	const struct value *otherwise; /* default, or NULL */
	enum list_kind list;
	struct span list_keys[LIST_KEYS_MAX];
	const char *list_defaults[LIST_KEYS_MAX];
	size_t list_key_count;
	bool is_atomic;
	bool keeps_unknown; /* x-kubernetes-preserve-unknown-fields */
	bool is_embedded;   /* x-kubernetes-embedded-resource: apiVersion, kind and metadata are its own */
	bool takes_any;     /* additionalProperties: true, or false: no member is dropped */
	bool forbids_more;  /* additionalProperties: false */
	bool is_nullable;
	bool is_int_or_string;
	bool is_root;
	bool has_lists;          /* sets or maps, here or below */
	bool has_embedded;       /* embedded resources, here or below */
	bool has_rules;          /* x-kubernetes-validations, here or below */
	bool has_defaults;       /* here or below */
	struct rule_book *rules; /* the root: its rules, or NULL */
	struct span type;        /* "" when it is not said */
	enum format format;      /* 0: none that is checked */
};

/* formats.c */
enum format format_find(struct span name); /* 0: unknown, not checked */
bool format_fits(enum format format, struct span text);

/* structural_lists.c: items by their keys */
struct span map_print_go(struct change *c, const struct value *object); /* map[string]interface {}{"a":1} */
struct list_index;
struct list_index *list_index_new(const struct openapi_schema *s, const struct value *list, struct arena *arena,
				  struct error *err);
const struct value *list_index_find(const struct list_index *x, const struct value *item);
