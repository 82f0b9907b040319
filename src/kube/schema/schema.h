/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * schema - what the built-in types of Kubernetes are made of: one static table (types.def, made by tools/kube_types.py from the
 * field tables of the Go modules k8s.io/api and k8s.io/apimachinery; descriptions in our own words in descriptions.txt) that serves
 * strict decoding, protobuf, strategic merge, server-side apply, OpenAPI and `kubectl explain`.
 *
 * Threads: any; the tables are immutable.
 */
#include "wire/value.h"

struct openapi_schema; /* a compiled schema of a custom resource: crd/structural.h */

enum field_kind {
	FIELD_STRING,
	FIELD_BOOL,
	FIELD_INT32,
	FIELD_INT64,
	FIELD_DOUBLE,
	FIELD_BYTES,    /* base64 in JSON */
	FIELD_QUANTITY, /* "100m", "1Gi"; numbers are taken and become strings */
	FIELD_INT_OR_STRING,
	FIELD_TIME, /* RFC 3339, seconds, UTC; null allowed */
	FIELD_MICRO_TIME,
	FIELD_DURATION, /* "1h0m0s" */
	FIELD_OBJECT,   /* of `type` */
	FIELD_ANY,      /* any JSON: RawExtension, JSON, FieldsV1 */
	FIELD_STRINGS,  /* a list of strings, as the values of a map: ExtraValue */
	/* Of JSONSchemaProps (`type`): that, or a list of them, a boolean, a list of strings. */
	FIELD_SCHEMA_OR_ARRAY,
	FIELD_SCHEMA_OR_BOOL,
	FIELD_SCHEMA_OR_STRINGS,
};

enum field_shape { FIELD_ONE, FIELD_LIST, FIELD_MAP }; /* of what `kind` says; map keys are strings */
enum list_kind { LIST_ATOMIC, LIST_SET, LIST_MAP };    /* server-side apply */
enum {
	FIELD_REQUIRED = 1,
	FIELD_MERGE = 2,
	FIELD_RETAIN_KEYS = 4,
	FIELD_MAP_ATOMIC = 8,
	FIELD_INLINE_PROTO = 16, /* a message of its own in protobuf, whose members are the outer object's in JSON */
	FIELD_POINTER = 32,      /* a pointer in Go: absent and zero differ */
	FIELD_OMIT_EMPTY = 64,   /* Go leaves the zero out of JSON */
};

struct type;

struct field {
	struct span name;         /* in JSON */
	const char *description;  /* NULL: none */
	const struct type *type;  /* FIELD_OBJECT */
	const char *merge_key;    /* strategic merge of lists (with FIELD_MERGE); NULL: of scalars */
	const char *list_keys;    /* LIST_MAP: "containerPort,protocol" */
	const char *default_json; /* declared by the type (+default=), as server-side apply's keys use it; or NULL */
	const char *go_type;      /* "int32", "[]v1.Container": what messages call it */
	const char *enums;        /* "Always,Never": the values declared, or NULL */
	uint16_t number;          /* in protobuf; 0: in an inlined message, or none (apiVersion and kind of a root) */
	uint8_t kind, shape, list, flags;
};

struct type {
	const char *name; /* "io.k8s.api.core.v1.PodSpec", as OpenAPI names it */
	const char *description;
	const struct field *fields; /* sorted by name; behind them FIELD_INLINE_PROTO ones, which have no name */
	uint16_t count, inline_count;
	bool is_atomic; /* server-side apply takes it as one */
};

/* By its OpenAPI name, or NULL; binary search. */
const struct type *type_find(struct span name);
const struct field *type_field(const struct type *t, struct span name);
size_t type_count(void);
const struct type *type_at(size_t index);

/* ---- checking what came ---- */

/*
 * Makes `v`, as it was parsed, what the type says, in place: explicit nulls of built-in types are dropped (in lists and maps they become
 * zeros), unknown members are dropped and told, quantities and times get their canonical form. A value of a wrong JSON type is INVALID,
 * in the words of the real server's decoder ("json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type
 * int32"); the caller puts `Deployment in version "v1" cannot be handled as a Deployment: ` in front.
 */
struct schema_report {
	void (*unknown)(void *context, struct span path); /* "spec.template.foo" */
	void *context;
	struct span
	    prefix; /* of the paths told, when the value decoded is a member ("metadata" of a custom object); or empty */
};
bool schema_decode(const struct type *t, struct value *v, const struct schema_report *report, struct arena *arena,
		   struct error *err);

/*
 * Gives a decoded object the form that the real server answers with and stores, as if it had gone through Go's structs: "resources": {},
 * "status": {}, "creationTimestamp": null and the like are there, empty lists, empty strings and zeros that JSON leaves out are gone. For
 * objects that are about to be stored (so that managed fields see them too); not for patches and apply configurations.
 */
bool schema_complete(const struct type *t, struct value *v, struct arena *arena, struct error *err);

/* What the real server says of the first member that does not fit, where it comes from a strategic merge patch; false: all fit, or the
 * member's type has words of its own (those of schema_decode()). */
#define SCHEMA_WORDS_SIZE 160
bool schema_convert_fault(const struct type *t, const struct value *v, char ret[SCHEMA_WORDS_SIZE]);

/* ---- protobuf (facts: section 9) ---- */

#define KUBE_PROTOBUF_MAGIC "k8s\0" /* 4 bytes */

/* The envelope: apiVersion, kind and the object's bytes. */
bool kube_protobuf_open(struct span body, struct span *ret_api_version, struct span *ret_kind, struct span *ret_raw,
			struct error *err);

/* An object from its bytes as the JSON tree that the same object has; empty strings and zero numbers that JSON leaves out are left out.
 * With unknown fields passed over, as protobuf does. apiVersion and kind of the root are not in these bytes: the caller sets them. */
bool schema_from_protobuf(const struct type *t, struct span bytes, struct arena *arena, struct value *ret,
			  struct error *err);

/* ---- a place in an object, built-in or custom: what merges need to know of it ---- */

struct place {
	const struct type *type;   /* built-in: of the value here, when it is an object of a type */
	const struct field *field; /* built-in: by which it was reached */
	bool is_item;              /* here is an item of the field's list, or a value of its map */
	const struct openapi_schema
	    *openapi; /* custom: its schema; all NULL: nothing is known (deduced: lists are atomic) */
};

struct place place_of_type(const struct type *t);
struct place place_of_openapi(const struct openapi_schema *s);
struct place place_member(struct place p, struct span key); /* of an object or map */
struct place place_item(struct place p);                    /* of a list */

enum list_kind place_list(struct place p); /* for a list here */
bool place_is_atomic(struct place p);      /* an object or map here is owned as a whole */
/* Keys of a LIST_MAP list here, at most LIST_KEYS_MAX, and the default of each or NULL. */
#define LIST_KEYS_MAX 4
size_t place_list_keys(struct place p, struct span ret[LIST_KEYS_MAX], const char *ret_defaults[LIST_KEYS_MAX]);
/* Strategic merge. `ret_key` empty for a list of scalars that merges. False: replaced whole. */
bool place_merges(struct place p, struct span *ret_key);
bool place_retains_keys(struct place p);
