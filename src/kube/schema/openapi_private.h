/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * openapi_private - one OpenAPI document being written: which types it needs, and its two halves, paths and schemas.
 */
#include "kube/schema/openapi.h"

#define OPENAPI_ARENA_BYTES MIB(256)

struct openapi {
	struct json_writer w;
	bool is_v2;
	const struct kind *const *kinds; /* all that are served; ends with NULL */
	struct span group, version;      /* v3: only of these */
	bool *reached;                   /* by type_at()'s index */
	unsigned specials;               /* bits of special[] that are reached */
	struct arena *arena;
	struct error *err;
};

bool openapi_has(const struct openapi *o, const struct kind *k);

/* The name of a kind's schema: a type's, or made of a custom kind's group. */
struct span openapi_kind_name(struct openapi *o, const struct kind *k, bool is_list);

/* {"$ref": ...} as members of an open object. */
void openapi_ref(struct openapi *o, struct span name);
void openapi_reach(struct openapi *o, const struct type *t);
void openapi_reach_named(struct openapi *o, const char *name);

/* "paths" and its value. Notes all types that bodies have. */
void openapi_paths(struct openapi *o);
/* The members of "definitions" or "components.schemas": all types reached, and the custom kinds. */
void openapi_schemas(struct openapi *o);

/* A document of version 2 as gnostic's protobuf (openapi.v2.Document). */
bool openapi_gnostic(struct span json, struct arena *arena, struct buffer *out, struct error *err);

/* ---- writing members of an open object ---- */
static inline void member_string(struct json_writer *w, struct span key, struct span text)
{
	json_key(w, key);
	json_string(w, text);
}
static inline void member_bool(struct json_writer *w, struct span key, bool value)
{
	json_key(w, key);
	json_bool(w, value);
}
static inline void member_object(struct json_writer *w, struct span key)
{
	json_key(w, key);
	json_open_object(w);
}
static inline void member_array(struct json_writer *w, struct span key)
{
	json_key(w, key);
	json_open_array(w);
}
