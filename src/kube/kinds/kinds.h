/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kinds - what the files of this folder share: places in an object, faults at them, defaults, and the checks that several kinds make.
 *
 * A place is a chain of small structs on the stack; it is printed only when a fault is found there.
 * When memory ends c->err is set, and the functions do nothing from then on.
 *
 * Threads: the API server's loop.
 */
#include "kube/kind.h"

/* ---- places ---- */

struct at {
	const struct at *up;
	const char *name; /* a member; NULL: a key or an index */
	struct span key;  /* [key] */
	uint32_t index;   /* [index], when key.ptr is NULL */
};
#define AT(parent, member)  (&(const struct at){ .up = (parent), .name = (member) })
#define AT_KEY(parent, k)   (&(const struct at){ .up = (parent), .key = (k) })
#define AT_INDEX(parent, i) (&(const struct at){ .up = (parent), .index = (i) })
struct span at_print(struct change *c, const struct at *at);

/* ---- faults: cause_x() of kind.h at a place ---- */

void fault_required(struct change *c, const struct at *at, const char *detail);
void fault_invalid(struct change *c, const struct at *at, const struct value *v, const char *detail);
/* `printed` is the value as Go prints it, where that is no JSON. */
void fault_invalid_go(struct change *c, const struct at *at, struct span printed, const char *detail);
void fault_invalid_text(struct change *c, const struct at *at, struct span text, const char *detail);
/* The values are told in the order given: the real server sorts some and not others. */
void fault_not_supported(struct change *c, const struct at *at, const struct value *v, const char *const *values);
void fault_duplicate(struct change *c, const struct at *at, const struct value *v);
void fault_forbidden(struct change *c, const struct at *at, const char *detail);
void fault_too_long(struct change *c, const struct at *at, size_t most);
void fault_too_many(struct change *c, const struct at *at, size_t given, size_t most);
void fault_not_found(struct change *c, const struct at *at, const struct value *v);
void fault_omitted(struct change *c, const struct at *at, const char *detail); /* invalid, without the value */
/* The value as it is printed already (Go's %#v of a struct). */
void fault_printed(struct change *c, const struct at *at, struct span printed, const char *detail);
void fault_duplicate_printed(struct change *c, const struct at *at, struct span printed);
void fault_int_or_string(struct change *c, const struct at *at, const struct value *v, const char *detail);
void fault_labels(struct change *c, const struct at *at, const struct value *labels, const char *detail);
void fault_not_supported_printed(struct change *c, const struct at *at, struct span printed, const char *const *values);
/* A list of strings of a type of its own: "[]core.ResourceQuotaScope". */
void fault_typed_strings(struct change *c, const struct at *at, const char *type, const struct value *list,
			 const char *detail);
/* An update strategy as Go prints the struct. */
struct span strategy_print(struct change *c, const char *name, const struct value *strategy, const char *rolling);
void fault_not_supported_struct(struct change *c, const struct at *at, const char *name, const struct value *strategy,
				const char *rolling, const char *const *values);
/* Formatted details, NUL-terminated, in the change's arena; "" when memory ended. */
const char *detail_print(struct change *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- reading ---- */

/* NULL for null too: the types tell some lists so that are not there. */
static inline struct value *get(const struct value *object, const char *member)
{
	struct value *v = value_get(object, span_of(member));

	return v && v->type != VALUE_NULL ? v : NULL;
}
static inline struct span text_of(const struct value *v)
{
	return value_is(v, VALUE_STRING) ? v->string : (struct span){ 0 };
}
static inline struct span get_text(const struct value *object, const char *member)
{
	return text_of(get(object, member));
}
static inline int64_t get_int(const struct value *object, const char *member, int64_t otherwise)
{
	const struct value *v = get(object, member);

	return value_is(v, VALUE_INT) ? v->integer : otherwise;
}
static inline bool get_bool(const struct value *object, const char *member)
{
	const struct value *v = get(object, member);

	return value_is(v, VALUE_BOOL) && v->boolean;
}
static inline uint32_t count_of(const struct value *v) /* items or members */
{
	if (!v)
		return 0;
	return v->type == VALUE_ARRAY ? v->array.count : v->type == VALUE_OBJECT ? v->object.count : 0;
}
static inline bool is_text(const struct value *v, const char *text)
{
	return span_equal(text_of(v), span_of(text));
}
bool text_is_one_of(struct span s, const char *const *values);
bool is_same(const struct value *a, const struct value *b); /* both absent or empty count as the same */

/* ---- changing ----
 * A place in an object moves when its parent gets another member: take the places of members again after that. */

void set_value(struct change *c, struct value *object, const char *member, struct value v);
void set_text(struct change *c, struct value *object, const char *member, struct span text);
/* When it is absent, null or (text) empty. */
void default_text(struct change *c, struct value *object, const char *member, const char *text);
void default_int(struct change *c, struct value *object, const char *member, int64_t i);     /* absent */
void default_nonzero(struct change *c, struct value *object, const char *member, int64_t i); /* absent or 0 */
void default_bool(struct change *c, struct value *object, const char *member, bool b);
/* The member as an object, made when it is absent; NULL when memory ended or it is something else. */
struct value *ensure(struct change *c, struct value *object, const char *member);
void drop(struct value *object, const char *member);
/* A deep copy in the change's arena. */
struct value copy_of(struct change *c, const struct value *v);
/* object's member is what `from` has, or absent. */
void carry(struct change *c, struct value *object, const struct value *from, const char *member);

/* What most kinds do in prepare: status is empty at create and kept at update; a write to the status subresource changes nothing else but
 * metadata. */
void prepare_status(struct change *c);
bool change_is_status(const struct change *c);

/* What defaults start with (or are), and what prepare ends with (or is): the form of the real server's types. */
void shape(struct change *c);

/* ---- shared checks ---- */

typedef const char *(*name_check)(struct span s);

/* All that is wrong with a name, of those checks that tell more than one thing. */
#define NAME_FAULTS_MOST 5
size_t name_faults(struct span s, name_check check, const char *words[NAME_FAULTS_MOST]);
void check_metadata(struct change *c, name_check check); /* at create and at update */
void check_labels(struct change *c, const struct at *at, const struct value *labels);
void check_annotations(struct change *c, const struct at *at, const struct value *annotations);
void check_name(struct change *c, const struct at *at, const struct value *v, name_check check);
/* An item of `values`, which is NULL-terminated; absent: required. */
void check_one_of(struct change *c, const struct at *at, const struct value *v, const char *const *values);
void check_one_of_or_absent(struct change *c, const struct at *at, const struct value *v, const char *const *values);
void check_not_negative(struct change *c, const struct at *at, const struct value *v);
void check_positive(struct change *c, const struct at *at, const struct value *v);
void check_same(struct change *c, const struct at *at, const struct value *old,
		const struct value *now);                                      /* immutable */
void check_port(struct change *c, const struct at *at, const struct value *v); /* a number, 1 to 65535 */
void check_port_or_name(struct change *c, const struct at *at, const struct value *v);
/* A LabelSelector. */
void check_selector(struct change *c, const struct at *at, const struct value *selector);
/* Does a LabelSelector take these labels? An empty one takes all. */
bool selector_matches(const struct value *selector, const struct value *labels);
/* As Go's %#v prints a v1.LabelSelector. */
struct span selector_print_go(struct change *c, const struct value *selector);
/* v1.LabelSelector that must not change. */
void check_selector_same(struct change *c, const struct at *at, const struct value *old, const struct value *now);
/* A percentage ("25%") or a number that is not negative. */
void check_percent_or_int(struct change *c, const struct at *at, const struct value *v);
void check_not_over_100_percent(struct change *c, const struct at *at, const struct value *v);
bool percent_of(const struct value *v, int64_t *ret); /* "25%" */
void check_ip(struct change *c, const struct at *at, const struct value *v);
bool is_ipv4(struct span s);
bool is_ipv6(struct span s);
bool cidr_is_fine(struct span s);
int cidr_family(struct span s); /* 4 or 6; 0: it is none */
/* Is it a part of the other and smaller? */
bool cidr_is_inside(struct span inner, struct span outer);
void check_domain_path(struct change *c, const struct at *at, struct span s); /* "acme.io/foo" */
void check_cidr(struct change *c, const struct at *at, struct span s);
const char *name_check_config_key(struct span s);
const char *name_check_env(struct span s);
const char *name_check_wildcard(struct span s);
const char *name_check_any(struct span s); /* no check: what another kind's rule lets through */

/* webhooks.c: where a webhook is. */
void check_hook_url(struct change *c, const struct at *at, struct span url);
void check_hook_service(struct change *c, const struct at *at, const struct value *service);

bool quantity_compare(struct span a, struct span b, int *ret); /* -1, 0, 1 */

/* ---- pod templates: pod_template.c (defaults), pod_checks.c ---- */

void pod_spec_defaults(struct change *c, struct value *spec);
void pod_template_defaults(struct change *c, struct value *template);
void pod_spec_check(struct change *c, const struct at *at, const struct value *spec);
void pod_template_check(struct change *c, const struct at *at, const struct value *template);
void pod_volumes_defaults(struct change *c, struct value *volumes);
/* `ret_fine` has a bool for each volume: those with faults are not there for mounts. */
void pod_volumes_check(struct change *c, const struct at *at, const struct value *volumes, bool *ret_fine);
void pod_affinity_check(struct change *c, const struct at *at, const struct value *affinity);
void pod_spread_check(struct change *c, const struct at *at, const struct value *list);
void check_descending_path(struct change *c, const struct at *at, struct span path); /* relative, no ".." */
void check_tolerations(struct change *c, const struct at *at, const struct value *list);
/* Of kinds that make pods which always run: restart policy and deadline; `kind` is for the message. */
void pod_template_check_always(struct change *c, const struct at *at, const struct value *template, const char *kind);
/* A selector that is there, is not empty and takes the template's labels; `kind` in small letters, for the message. */
void check_workload_selector(struct change *c, const struct at *at, const struct value *spec, const char *kind);
void check_claim_spec(struct change *c, const struct at *at, const struct value *spec);
void claim_spec_defaults(struct change *c, struct value *spec);
void check_resources(struct change *c, const struct at *at, const struct value *resources);
void check_quantity(struct change *c, const struct at *at, const struct value *v); /* not negative */
/* A quantity that is told as Go prints the struct. */
void fault_quantity(struct change *c, const struct at *at, struct span quantity, const char *detail);
/* Of a list of resources nothing is smaller than a thousandth. */
void round_resources(struct change *c, struct value *list);
/* Endpoints and external addresses are none of the machine itself or of its link. */
void check_far_ip(struct change *c, const struct at *at, const struct value *v);
void check_resource_name(struct change *c, const struct at *at, struct span name);
void check_node_selector(struct change *c, const struct at *at, const struct value *selector);

/* ---- cells ---- */

struct value cell_age(const struct value *object, int64_t now_ns,
		      struct arena *arena); /* of metadata.creationTimestamp */
struct value cell_since(struct span rfc3339, int64_t now_ns,
			struct arena *arena);                                     /* "<none>"-free: <unknown> without */
struct value cell_between(struct span from, struct span to, struct arena *arena); /* how long it took */
struct value cell_text(struct span s);                                            /* as it is */
struct value cell_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct value cell_or(struct span s, const char *otherwise); /* when it is empty */
struct value cell_name(const struct value *object);
/* Names and images of a pod spec's containers, with commas. */
struct value cell_containers(const struct value *pod_spec, struct arena *arena);
struct value cell_images(const struct value *pod_spec, struct arena *arena);
struct value cell_selector(const struct value *selector, struct arena *arena);
struct value cell_labels(const struct value *labels, struct arena *arena);

/* Text that grows in an arena, for cells. */
struct text {
	struct arena *arena;
	char *ptr;
	size_t len, capacity;
	bool failed;
};
void text_add(struct text *t, struct span s);
void text_addf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct span text_span(const struct text *t)
{
	return t->failed ? SPAN("") : (struct span){ t->ptr, t->len };
}

/* Rows of column tables: shown always, or with kubectl get -o wide only. */
#define COLUMN(name, type, description)                                                                                \
	{                                                                                                              \
		name, type, "", description, 0                                                                         \
	}
#define WIDE(name, type, description)                                                                                  \
	{                                                                                                              \
		name, type, "", description, 1                                                                         \
	}
#define COLUMN_NAME                                                                                                    \
	{                                                                                                              \
		"Name", "string", "name", "The name, unique among the objects of its kind in a namespace.", 0          \
	}
#define COLUMN_AGE                                                                                                     \
	{                                                                                                              \
		"Age", "string", "", "How long ago the object was created.", 0                                         \
	}
#define COLUMNS_OF_PODS                                                                                                \
	WIDE("Containers", "string", "Names of the containers of a pod."),                                             \
	    WIDE("Images", "string", "Images of these containers.")
/* The last two of most rows that end so. */
#define COLUMN_SELECTOR WIDE("Selector", "string", "Which pods it takes as its own, by their labels.")

/* Kinds that the real server has no columns for: Name and Created At. */
extern const struct column plain_columns[];
void plain_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena);
