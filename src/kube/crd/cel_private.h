/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cel_private - the syntax tree of an expression and what its parser, checker, cost estimate and evaluator share. */
#include "kube/crd/cel.h"

/* ---- faults ---- */

enum { CEL_FAULTS_MAX = 100 };

struct cel_fault {
	size_t at; /* byte of the source; SIZE_MAX: nowhere */
	uint32_t order;
	struct span message;
};

struct cel_faults {
	struct span source;
	struct arena *arena;
	struct error *err;
	struct cel_fault *all; /* CEL_FAULTS_MAX */
	uint32_t count, dropped;
};

bool cel_faults_init(struct cel_faults *f, struct span source, struct arena *arena, struct error *err);
void cel_fault_add(struct cel_faults *f, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* All of them as the real server prints them. */
struct span cel_faults_print(struct cel_faults *f);

/* ---- the tree ---- */

enum cel_node_kind {
	NODE_LITERAL,
	NODE_IDENT,
	NODE_SELECT,
	NODE_CALL,
	NODE_LIST,
	NODE_MAP, /* args: key, value, key, value, ... */
	NODE_MESSAGE,
	NODE_FOLD,
};

struct cel_size { /* of a text, list or map: estimate */
	uint64_t min, max;
};

struct cel_path; /* where in the declared types a value stands */

struct cel_overload;

/* A comprehension (langdef.md, "Macros"): what macros over lists and maps become. */
struct cel_fold {
	struct cel_node *range, *init, *condition, *step, *result;
	struct span accu, iter, iter2; /* iter2 empty: one variable */
	uint32_t accu_slot, iter_slot;
	bool is_bind; /* no loop: the accumulator is a name for its value */
};

struct cel_node {
	enum cel_node_kind kind;
	uint32_t at; /* byte of the source where faults are shown */
	struct span name;
	struct cel_value literal;
	struct cel_node *target; /* select's operand, member call's target */
	struct cel_node **args;
	bool *is_optional; /* of lists' items, maps' entries; NULL: none */
	uint32_t count;
	bool is_member, is_test;
	bool appends; /* accumulator + [item] of a macro: nobody else sees the list */
	struct cel_fold *fold;

	/* set by the checker */
	const struct cel_type *type;
	uint32_t slot; /* of names */
	bool is_type_name;
	const struct cel_overload *const *overloads;
	uint32_t overload_count;
	struct cel_regex *regex; /* of a literal pattern */

	/* set by the cost estimate */
	bool has_size, has_item_size, is_costed, is_final;
	bool items_are_map;
	struct cel_size size, key_size, item_size;
	struct {
		uint64_t min, max;
	} cost;
	const struct cel_path *path;
};

struct cel_program {
	struct span source;
	struct cel_node *root;
	const struct cel_env *env;
	uint32_t slots;            /* variables and all names below */
	bool *uses;                /* of each variable */
	struct span pattern_fault; /* of a literal pattern of find or findAll; ptr NULL: none */
	uint64_t cost;
};

/* NULL when there are faults, or memory ended. */
struct cel_node *cel_parse(struct cel_faults *f);
void cel_check(struct cel_program *p, struct cel_faults *f);
/* Literals that can be seen to be wrong: patterns, times, lists of mixed types. */
void cel_check_literals(struct cel_program *p, struct cel_faults *f);
void cel_cost(struct cel_program *p, struct arena *arena, struct error *err);

/* ---- functions ---- */

enum { CEL_WORK_MAX = 20000000 };

struct cel_call { /* of one call while it is evaluated */
	struct arena *arena;
	struct error *err;
	const struct cel_node *node;
	uint64_t cost; /* what the function asks for itself, see cost_by in the table */
	uint64_t left; /* cost that is left: loops inside a function stop there */
	uint64_t work; /* values compared or hashed so far: one list may hold another twice, and so on */
};

typedef struct cel_value (*cel_function)(struct cel_call *c, const struct cel_value *args);

/*
 * One row for each overload. `takes` tells the arguments (a member's target first) and `gives` the result, a letter a type:
 *   n null b bool i int u uint d double s string y bytes t timestamp r duration D dyn q quantity U url P ip N cidr v semver F format
 *   A B any type, the same in one row; [X a list of X; {XY a map; ?X an optional; TX the type of X
 */
struct cel_overload {
	const char *name;
	const char *id;
	const char *takes, *gives;
	cel_function call; /* NULL: the evaluator's own (logic, conditional, optional's or) */
	bool is_member;
	bool is_newest; /* cel_env's has_newest */
};

#define CEL_ROW(n, i, t, g, f)                                                                                         \
	{                                                                                                              \
		.name = n, .id = i, .takes = t, .gives = g, .call = f                                                  \
	}
#define CEL_MEMBER(n, i, t, g, f)                                                                                      \
	{                                                                                                              \
		.name = n, .id = i, .takes = t, .gives = g, .call = f, .is_member = true                               \
	}
#define CEL_NEWEST(n, i, t, g, f)                                                                                      \
	{                                                                                                              \
		.name = n, .id = i, .takes = t, .gives = g, .call = f, .is_newest = true                               \
	}
#define CEL_NEWEST_MEMBER(n, i, t, g, f)                                                                               \
	{                                                                                                              \
		.name = n, .id = i, .takes = t, .gives = g, .call = f, .is_member = true, .is_newest = true            \
	}

/* All rows of one name; NULL when there is none. */
const struct cel_overload *const *cel_overloads_of(struct span name, size_t *ret_count);

/* The tables that cel_functions.c joins, each ends with a row of zeros. */
extern const struct cel_overload cel_standard_overloads[], cel_convert_overloads[], cel_time_overloads[],
    cel_string_overloads[], cel_list_overloads[], cel_net_overloads[], cel_kube_overloads[];

/* The type of a letter row, moving `letters` behind it. A and B are `params`. */
const struct cel_type *cel_type_letters(const char **letters, const struct cel_type *const params[2],
					struct arena *arena, struct error *err);

/* ---- types ---- */

extern const struct cel_type cel_error, cel_quantity, cel_url, cel_ip, cel_cidr, cel_semver, cel_format, cel_type_type;
bool cel_type_same(const struct cel_type *a, const struct cel_type *b);
const struct cel_type *cel_type_of(const struct cel_value *v); /* at run time: lists are list(dyn) */
const struct cel_field *cel_type_field(const struct cel_type *t, struct span name);

/* ---- values ---- */

struct cel_list {
	struct cel_value *items;
	size_t count, capacity;
};

struct cel_entry {
	struct cel_value key, value;
};

struct cel_map {
	struct cel_entry *entries;
	size_t count, capacity;
	uint32_t *slots; /* hashes of many entries, or NULL */
	uint32_t slot_count;
};

struct cel_net {
	uint8_t bytes[16];
	uint8_t len;  /* 4 or 16 */
	uint8_t bits; /* CIDR: prefix */
};

static inline struct cel_value cel_fail(struct span words)
{
	return (struct cel_value){ .kind = CEL_ERROR, .text = words };
}
struct cel_value cel_fail_print(struct cel_call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define CEL_NO_OVERLOAD cel_fail(SPAN("no such overload"))

static inline struct cel_value cel_of_bool(bool b)
{
	return (struct cel_value){ .kind = CEL_BOOL, .boolean = b };
}
static inline struct cel_value cel_of_int(int64_t i)
{
	return (struct cel_value){ .kind = CEL_INT, .integer = i };
}
static inline struct cel_value cel_of_double(double d)
{
	return (struct cel_value){ .kind = CEL_DOUBLE, .number = d };
}

/* True, false, or a CEL_ERROR. */
struct cel_value cel_equal(struct cel_call *c, const struct cel_value *a, const struct cel_value *b);
bool cel_is_equal(struct cel_call *c, const struct cel_value *a, const struct cel_value *b); /* an error is not equal */
/* -1, 0, 1 as an integer, or a CEL_ERROR. */
struct cel_value cel_compare(const struct cel_value *a, const struct cel_value *b);

uint64_t cel_list_count(const struct cel_value *list);
struct cel_value cel_list_item(struct cel_call *c, const struct cel_value *list, uint64_t index);
struct cel_value cel_list_new(struct cel_call *c, size_t count, struct cel_list **ret);
bool cel_list_append(struct cel_call *c, struct cel_list *list, struct cel_value item);
struct cel_value cel_list_add(struct cel_call *c, const struct cel_value *a, const struct cel_value *b);
struct cel_value cel_list_contains(struct cel_call *c, const struct cel_value *list, const struct cel_value *item);

uint64_t cel_map_count(const struct cel_value *map);
bool cel_map_find(struct cel_call *c, const struct cel_value *map, const struct cel_value *key, struct cel_value *ret);
struct cel_value cel_map_key(struct cel_call *c, const struct cel_value *map, uint64_t index, bool *ret_is_there);
/* False when the key is there. */
bool cel_map_insert(struct cel_call *c, struct cel_map *map, struct cel_value key, struct cel_value value);
/* What a.name gives: a value, or "no such key". */
struct cel_value cel_field_of(struct cel_call *c, const struct cel_value *v, struct span name);
struct cel_value cel_index(struct cel_call *c, const struct cel_value *v, const struct cel_value *at);

uint64_t cel_size_of(const struct cel_value *v); /* as cost counts: letters, items, entries; else 1 */
uint64_t cel_letters(struct span s);
bool cel_is_zero(const struct cel_value *v);

/* ---- texts, times, others ---- */

struct span cel_double_print(double d, struct arena *arena, struct error *err); /* as Go's strconv 'g', shortest */
struct span cel_duration_print(int64_t nanoseconds, struct arena *arena, struct error *err); /* "3600s" */
struct span cel_timestamp_print(int64_t seconds, int32_t nanoseconds, struct arena *arena, struct error *err);
bool cel_duration_parse(struct span s, int64_t *ret);
bool cel_timestamp_parse(struct span s, int64_t *ret_seconds, int32_t *ret_nanoseconds);
bool cel_date_parse(struct span s, int64_t *ret_seconds);
bool cel_quantity_equal(const struct cel_quantity *a, const struct cel_quantity *b);
int cel_semver_compare(const struct cel_semver *a, const struct cel_semver *b);
bool cel_url_equal(const struct cel_url *a, const struct cel_url *b);
struct span cel_quote(struct span s, struct arena *arena, struct error *err); /* as Go's strconv.Quote */
struct cel_value cel_format_text(struct cel_call *c, struct span format, const struct cel_value *list);

/* ---- regular expressions (cel_regex.c): RE2's syntax, in steps of pattern x text ---- */

struct cel_regex;
/* NULL with err INVALID when it is none. */
struct cel_regex *cel_regex_new(struct span pattern, struct arena *arena, struct error *err);
/* The first match at or after `from`, leftmost, preferring as Perl does; false: none. */
bool cel_regex_find(const struct cel_regex *re, struct span text, size_t from, size_t *ret_start, size_t *ret_end,
		    struct arena *arena, struct error *err);
bool cel_regex_matches(const struct cel_regex *re, struct span text, struct arena *arena, struct error *err);
