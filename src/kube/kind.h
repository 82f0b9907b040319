/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kind - one row for each kind of object, built-in or custom: what the API server needs to serve it.
 *
 * A built-in kind is one file in kinds/ with one `const struct kind`, and a row in kinds/table.c. A custom resource definition makes
 * one struct kind for each of its served versions at run time.
 *
 * Threads: the API server's loop. Built-in rows are immutable; custom ones are reference-counted by the registry.
 */
#include "kube/schema/schema.h"

struct kube;
struct user;

enum kube_verb {
	KUBE_GET = 1,
	KUBE_LIST = 2,
	KUBE_WATCH = 4,
	KUBE_CREATE = 8,
	KUBE_UPDATE = 16,
	KUBE_PATCH = 32,
	KUBE_DELETE = 64,
	KUBE_DELETE_COLLECTION = 128,
};
#define KUBE_ALL_VERBS 255

/* A fault of an object: one cause of a 422 Status. `reason` is FieldValueRequired, FieldValueInvalid, FieldValueNotSupported,
 * FieldValueDuplicate, FieldValueForbidden, FieldValueTooLong, FieldValueTooMany, FieldValueTypeInvalid, FieldValueNotFound or InternalError. */
struct cause {
	const char *reason;
	struct span message; /* "Invalid value: \"x\": must be ..." */
	struct span field;   /* "spec.replicas" */
	struct cause *next;
};

/* One write on its way through defaults, admission and validation. */
struct change {
	struct kube *kube;
	const struct kind *kind;
	struct arena *arena;
	enum kube_verb verb;     /* KUBE_CREATE, KUBE_UPDATE (patches too) or KUBE_DELETE */
	struct span subresource; /* "status", "scale", ...; empty for the object itself */
	struct value *old;       /* what is stored, NULL at create */
	struct value *object;    /* what is wanted; changed in place */
	struct span name_space, name;
	const struct user *user;
	bool is_dry_run;
	struct cause *causes, **causes_end;
	size_t cause_count;
	struct value *warnings;      /* array of strings, for Warning headers */
	struct error *err;           /* set when memory ended: then the change is given up */
	struct admission *admission; /* private to admission/ */
};

#define CAUSES_MAX 100 /* more faults of one object are counted, not told */

/* ---- adding causes; `path` is printed as given ("spec.containers[0].name") ---- */
void cause_required(struct change *c, struct span path, const char *detail); /* "Required value: detail", or without */
void cause_invalid(struct change *c, struct span path, const struct value *v,
		   const char *detail); /* value as Go prints it */
void cause_not_supported(struct change *c, struct span path, const struct value *v,
			 const char *const *values); /* NULL-terminated, sorted here */
void cause_duplicate(struct change *c, struct span path, const struct value *v);
void cause_forbidden(struct change *c, struct span path, const char *detail);
void cause_too_long(struct change *c, struct span path, size_t most);
void cause_too_many(struct change *c, struct span path, size_t given, size_t most);
void change_warn(struct change *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct span path_print(struct change *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct column {
	const char *name;   /* "Ready" */
	const char *type;   /* "string", "integer", "date", ... */
	const char *format; /* "name" or "" */
	const char *description;
	int priority; /* 1: only kubectl get -o wide shows it */
};

#define COLUMNS_MAX 32

/* A place where selection by field is allowed. */
struct selectable {
	const char *name;      /* "status.phase", as the query has it */
	const char *path;      /* as value_find() takes it; NULL: the same */
	const char *otherwise; /* when it is absent; NULL: "" */
};

enum { SUB_STATUS = 1, SUB_SCALE = 2 };

struct scale_paths {
	const char *spec_replicas, *status_replicas,
	    *selector; /* dots; selector: NULL none. A label selector object or a string */
};

struct subresource; /* of other kinds than status and scale: pods/log, pods/binding, ...: subresource.h */

struct kind {
	const char *group; /* "" for core */
	const char *version;
	const char *plural, *singular, *kind, *list_kind; /* list_kind NULL: kind + "List" */
	const char *const *short_names;                   /* NULL-terminated or NULL */
	const char *const *categories;
	bool is_namespaced;
	bool is_custom;
	bool orphans;                    /* dependents stay when a delete does not say what becomes of them */
	bool has_generation;             /* metadata.generation is kept */
	unsigned verbs;                  /* enum kube_verb bits */
	unsigned subresources;           /* SUB_x */
	const char *const *status_keeps; /* paths that a write of the status cannot change; NULL: { "spec", NULL } */
	struct scale_paths scale;
	const struct subresource *others;     /* ends with a row of zeros; NULL: none */
	const struct type *(*type)(void);     /* built-in: the root type, "io.k8s.api.apps.v1.Deployment" */
	const char *type_name;                /* the same by name; looked up once */
	const char *deprecated;               /* a warning for every answer; or NULL */
	const struct openapi_schema *openapi; /* custom */
	void *custom;                         /* custom: the definition, crd/crd.h */
	const struct selectable
	    *selectable;              /* besides metadata.name and metadata.namespace; ends with zeros; NULL: none */
	const struct column *columns; /* ends with a row of zeros; NULL: Name, Age (with the value from metadata) */

	/* The same objects in the form of another kind (events.k8s.io's are core's events): stored under its key, in its form. These
	 * change a tree of this kind into the stored form and back, in place. NULL: stored as it is. */
	const struct kind *stored_as;
	bool (*to_stored)(struct value *object, struct arena *arena, struct error *err);
	bool (*from_stored)(struct value *object, struct arena *arena, struct error *err);

	/* All may be NULL. They run in this order; each sees what those before made of c->object. */
	void (*defaults)(struct change *c); /* also on read, for custom ones */
	void (*prepare)(
	    struct change *c); /* what the server keeps to itself: fields reset, carried over from old, allocated */
	void (*validate)(struct change *c); /* adds causes; c->old set at update: immutable fields too */
	/* Did the part that raises metadata.generation change? NULL: spec did. */
	bool (*raises_generation)(const struct value *old, const struct value *object);
	/* At delete, before anything is marked: true when the object stays for now, as it has made c->object. */
	bool (*begin_delete)(struct change *c);
	/* After it is durable: allocations to keep, ... */
	void (*changed)(struct kube *kube, const struct kind *kind, const struct value *old,
			const struct value *object);
	/* Cells of its Table row, as many as columns; `now_ns` is wall time for ages. */
	void (*row)(const struct value *object, int64_t now_ns, struct value *cells, struct arena *arena);
};

extern const struct kind *const kinds_table[]; /* ends with NULL; kinds/table.c */

/* ---- what rows share: kinds/common.c ---- */

/* "5d3h", as kubectl prints ages (k8s.io/apimachinery duration.HumanDuration); "<unknown>" without a time. */
struct span kube_age(struct span rfc3339, int64_t now_ns, struct arena *arena);
struct span kube_now_text(int64_t wall_ns, struct arena *arena); /* RFC 3339 in seconds, UTC */

/* "a=b,c in (d,e)": a LabelSelector, or a map of labels, as tables print it; "<none>" when empty. */
struct span selector_print(const struct value *selector, struct arena *arena);

/* RFC 1123/1035 names, label keys and values, qualified names: NULL when fine, else the real server's words for what is wrong. */
const char *name_check_label(struct span s);     /* DNS-1123 label */
const char *name_check_subdomain(struct span s); /* DNS-1123 subdomain */
const char *name_check_1035(struct span s);      /* DNS-1035 label: services */
const char *name_check_path_segment(struct span s);
const char *name_check_qualified(struct span s); /* label keys */
const char *name_check_label_value(struct span s);
const char *name_check_port(struct span s); /* IANA_SVC_NAME */

/* Quantities (k8s.io/apimachinery resource.Quantity): value in thousandths, saturating; false when it is none. */
bool quantity_parse(struct span s, int64_t *ret_milli);
/* The canonical form that the real server stores ("1000m" -> "1", "1024Mi" -> "1Gi"). */
bool quantity_canonical(struct span s, struct arena *arena, struct span *ret);
