/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * crd - CustomResourceDefinitions (apiextensions.k8s.io/v1): the kind itself, and the kinds that definitions bring.
 *
 *	crd.c          the kind: defaults, what the server keeps to itself, its table row
 *	checks.c       what is refused in a definition; schema_checks.c in its schemas; default_checks.c in the defaults of these
 *	definitions.c  the life of definitions: names accepted, established, served; their end with all objects
 *	custom.c       one definition as kinds, one for each version; the way of their objects through a write and a read
 *	columns.c      printer columns and their JSONPath
 *	structural.c   schemas compiled: pruning, defaults; structural_validate.c objects against them
 *	shipped.c      definitions that come with hythe, and what it does for their objects instead of webhooks
 *
 * A definition's kinds are made anew when its spec or its accepted names change. Objects are stored in the storage version; records
 * that were written since the last change need no pruning and no defaults when they are read.
 *
 * Threads: the API server's loop.
 */
#include "kube/kind.h"
#include "store/store.h"

struct definitions;

/* Serves what the store has of definitions, and follows it. */
struct definitions *definitions_new(struct kube *k, struct error *err);
void definitions_stop(struct definitions *d);
void definitions_resume(struct definitions *d); /* kube_write_ended() */
void definitions_free(struct definitions *d);   /* NULL is allowed */
/* Serves a definition as it was just proposed, before it is durable: for those that hythe writes when it starts. */
void definitions_serve(struct definitions *d, struct span name);

#define CRD_GROUP     "apiextensions.k8s.io"
#define CRD_PLURAL    "customresourcedefinitions"
#define CRD_FINALIZER "customresourcecleanup.apiextensions.k8s.io"

/* Sets a condition (type, status, reason, message) in status.conditions; true when that changed anything. */
bool crd_condition_set(struct value *definition, const char *type, bool is_true, const char *reason,
		       struct span message, int64_t wall_ns, struct arena *arena, struct error *err);
const struct value *crd_condition(const struct value *definition, const char *type);
bool crd_condition_is_true(const struct value *definition, const char *type);

extern const struct kind kind_custom_resource_definition;

/* ---- groups of the Kubernetes community: checks.c ---- */

enum crd_approval { APPROVAL_GIVEN, APPROVAL_BYPASSED, APPROVAL_MISSING, APPROVAL_INVALID };

bool crd_group_is_protected(struct span group); /* *.k8s.io, *.kubernetes.io */
enum crd_approval crd_approval_of(const struct value *definition, struct arena *arena, struct span *ret_reason);

/* ---- custom kinds: custom.c ---- */

/* What all versions of one definition share: kind->custom. */
struct custom_form {
	unsigned references;
	struct arena arena;
	const struct value *definition;  /* as it was when the kinds were made */
	const char *storage;             /* the name of the storage version */
	int64_t since;                   /* records up to this revision may be of an older form */
	bool is_ending;                  /* nothing is created any more */
	struct conversions *conversions; /* convert.h */
	struct custom_version *versions;
	size_t count;
};

struct custom_version {
	struct kind kind; /* first: the registry's */
	struct custom_form *form;
	const struct custom_hooks *hooks; /* shipped.h; NULL: none */
	struct openapi_schema *schema;    /* NULL: none */
	const char *warning;              /* of a deprecated version, told with each answer; or NULL */
	bool is_served;
	struct column_path *paths; /* of the columns behind Name */
	size_t path_count;
};

static inline const struct custom_version *custom_of(const struct kind *kind)
{
	return kind->is_custom && kind->custom ? (const struct custom_version *)kind : NULL;
}

/* The kinds of a definition, with one reference held by the caller. NULL: its schemas cannot be compiled (err says why). */
struct custom_form *custom_form_new(const struct value *definition, int64_t since, struct error *err);
void custom_form_unref(struct custom_form *form);
void custom_kind_free(struct kind *kind); /* for kube_kind_add(): gives back one reference */

/* Was the record written in this kind's version under its definition as it is now? Then its text is what is answered. */
bool custom_is_current(const struct kind *kind, const struct record *r);
/*
 * The one place where a version is turned into another (strategy None: only apiVersion changes). From what is stored: pruned and with
 * defaults by the schema of the version that it is stored in, then of `kind`. To what is stored: of the storage version.
 */
bool custom_from_stored(const struct kind *kind, struct value *object, struct arena *arena, struct error *err);
bool custom_to_stored(const struct kind *kind, struct value *object, struct arena *arena, struct error *err);
bool custom_is_stored_as(const struct kind *kind); /* the kind is that of the storage version, or not custom */

/* ---- columns.c ---- */

struct column_path;
/* Parses ".spec.a[0].b", ".status.conditions[?(@.type=="Ready")].status"; NULL when it is none. */
struct column_path *column_path_parse(struct span text, struct arena *arena, struct error *err);
/* The first thing it finds, or NULL. */
const struct value *column_path_find(const struct column_path *path, const struct value *object);
void custom_row(const struct kind *kind, const struct value *object, int64_t now_ns, struct value *cells,
		struct arena *arena);
bool custom_columns_make(struct custom_version *v, const struct value *version, struct error *err);

/* ---- checks ---- */

void crd_check(struct change *c); /* checks.c: spec, status, annotations */
/* Of one schema: what is not allowed in it, whether it is structural, its defaults. `path` is where it stands. */
void crd_check_schema(struct change *c, const struct value *schema, bool has_status, struct span path);
