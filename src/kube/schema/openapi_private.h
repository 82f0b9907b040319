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
	struct span part;                /* v3: no group version, but "api", "apis", "apis/apps", "version" */
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

/* ---- openapi_parts.c ---- */

/* x-kubernetes-group-version-kind of what every group version has: DeleteOptions, WatchEvent. */
void openapi_everywhere(struct openapi *o, struct span kind);
/* A reference of this field stands by itself. */
bool openapi_is_bare(const struct type *t, const struct field *f);
/* What a type (f NULL) or field has that the table does not tell. */
void openapi_own_members(struct openapi *o, const struct type *t, const struct field *f);
/* A path with a GET that answers with the type named. */
void openapi_telling_path(struct openapi *o, struct span path, const char *tag, const char *id, const char *description,
			  const char *answer);
/* "a,b": the required fields in another order than that of their numbers; or NULL. */
const char *openapi_required_order(const struct type *t);
bool openapi_part_path(struct openapi *o, struct span part); /* false: no such part */

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
