/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cel - the Common Expression Language, as a Kubernetes 1.33 API server has it.
 *
 * An expression is compiled against an environment (the variables it may name, with their types) and evaluated with one value for
 * each variable. Users: rules of custom resources (crd/rules.h), match conditions of admission webhooks.
 *
 *   language    cel-spec doc/langdef.md: "Syntax", "Values", "Gradual Type Checking", "Evaluation", "Macros"
 *   libraries   standard definitions (langdef.md), cel-go ext strings (version 2), sets, two-variable comprehensions, optional types;
 *               Kubernetes' own (kubernetes.io/docs/reference/using-api/cel): lists, regex, URL, quantity, IP, CIDR, format, semver
 *   aggregates  literals are homogeneous (list and map literals of one type), numbers of different types compare
 *   time zone   UTC where none is named
 *   cost        cel-go's units: static estimate at compile time (checker/cost.go), counted again while evaluating
 *
 * Not there: the authorizer library, messages (protocol buffers) as literals.
 *
 * Ownership: programs and types live in the arena given; a program keeps pointers to the environment's types and to the source.
 *            A program is immutable: several evaluations may share it.
 * Errors:    faults of an expression are text (what the real server prints); a value that cannot be computed is a value of kind
 *            CEL_ERROR, as the language has it. `err` is set when memory ended.
 * Limits:    CEL_SOURCE_MAX code points, CEL_DEPTH_MAX nesting, cost, the arena.
 * Threads:   one at a time for one arena.
 */
#include "base/arena.h"
#include "wire/value.h"

enum {
	CEL_SOURCE_MAX = 100000, /* code points of one expression (cel-go's limit) */
	CEL_DEPTH_MAX = 250,     /* nesting of one expression (cel-go's limit) */
};
#define CEL_COST_CALL  1000000  /* one evaluation may cost this (PerCallLimit) */
#define CEL_COST_TOTAL 10000000 /* all rules over one object (RuntimeCELCostBudget) */

/* Of types and of values; CEL_DYN, CEL_PARAM and CEL_OBJECT are no value's, CEL_ERROR is the type of what did not compile. */
enum cel_kind {
	CEL_ERROR,
	CEL_DYN,
	CEL_NULL,
	CEL_BOOL,
	CEL_INT,
	CEL_UINT,
	CEL_DOUBLE,
	CEL_STRING,
	CEL_BYTES,
	CEL_TIMESTAMP,
	CEL_DURATION,
	CEL_LIST,
	CEL_MAP,
	CEL_TYPE,
	CEL_OPTIONAL,
	CEL_QUANTITY,
	CEL_URL,
	CEL_IP,
	CEL_CIDR,
	CEL_SEMVER,
	CEL_FORMAT,
	CEL_OBJECT,  /* with named fields; its values are of kind CEL_MAP */
	CEL_UNKNOWN, /* data without a declared type (x-kubernetes-preserve-unknown-fields): compares, nothing else */
	CEL_PARAM,   /* a type to be found */
	CEL_KIND_COUNT
};

/* ---- types ---- */

struct cel_field {
	struct span name; /* as expressions write it: cel_escape(key); empty when they cannot */
	struct span key;  /* as data has it */
	const struct cel_type *type;
};

struct cel_type {
	enum cel_kind kind;
	struct span name;                 /* of objects */
	const struct cel_type *params[2]; /* list and optional: [0]; map: key [0], value [1]; type: [0] or NULL */

	/* What follows is known of declared types only. */
	const struct cel_field *fields; /* of objects */
	size_t field_count;
	uint64_t max_size; /* of strings, bytes, lists, maps (and texts of times): for cost; UINT64_MAX: not known */
	int64_t min_serialized; /* bytes as JSON */
	uint8_t list; /* 0 atomic, 1 set, 2 map: how lists compare and add (Kubernetes' x-kubernetes-list-type) */
	const struct span *list_keys;
	size_t list_key_count;
	bool is_nullable;      /* data may be null */
	bool is_int_or_string; /* kind CEL_DYN */
	bool is_date;          /* timestamps: data is a date, not a date-time */
	bool is_hidden;        /* data without a declared type below: see CEL_UNKNOWN */
	uint32_t param;        /* CEL_PARAM: which */
};

extern const struct cel_type cel_dyn, cel_null, cel_bool, cel_int, cel_uint, cel_double, cel_string, cel_bytes,
    cel_timestamp, cel_duration;

/* NULL when memory ended. */
struct cel_type *cel_type_list(const struct cel_type *item, struct arena *arena, struct error *err);
struct cel_type *cel_type_map(const struct cel_type *key, const struct cel_type *item, struct arena *arena,
			      struct error *err);
struct cel_type *cel_type_optional(const struct cel_type *of, struct arena *arena, struct error *err);
struct cel_type *cel_type_object(struct span name, const struct cel_field *fields, size_t count, struct arena *arena,
				 struct error *err);
struct span cel_type_print(const struct cel_type *t, struct arena *arena, struct error *err); /* "list(string)" */

/* A property's name as expressions write it: "a-b" is a__dash__b. False when it cannot be written. */
bool cel_escape(struct span key, struct arena *arena, struct span *ret, struct error *err);

/* ---- values ---- */

struct cel_list;
struct cel_map;
struct cel_net;
struct cel_url;
struct cel_quantity;
struct cel_semver;

struct cel_value {
	enum cel_kind kind;
	bool is_data; /* lists and maps: `data`, seen through `type` */
	union {
		bool boolean;
		int64_t integer; /* durations: nanoseconds */
		uint64_t natural;
		double number;
		struct span text; /* strings, bytes, formats' names; CEL_ERROR: what went wrong */
		struct {
			int64_t seconds;
			int32_t nanoseconds;
		} time;
		struct {
			const struct value *data;
			const struct cel_type *type;
		} data;
		const struct cel_list *list;
		const struct cel_map *map;
		const struct cel_value *optional; /* NULL: none */
		const struct cel_type *type;
		const struct cel_net *net; /* IP, CIDR */
		const struct cel_url *url;
		const struct cel_quantity *quantity;
		const struct cel_semver *semver;
	};
};

/* JSON as a value of a type; cel_dyn: as it comes. What does not fit its type is a CEL_ERROR when it is used. `data` must outlive it. */
struct cel_value cel_from_json(const struct value *data, const struct cel_type *type, struct arena *arena,
			       struct error *err);
static inline struct cel_value cel_text(struct span s)
{
	return (struct cel_value){ .kind = CEL_STRING, .text = s };
}
static inline struct cel_value cel_optional(const struct cel_value *of) /* NULL: none */
{
	return (struct cel_value){ .kind = CEL_OPTIONAL, .optional = of };
}
/* A value as text for people and tests: strings quoted, lists and maps as they are written. */
struct span cel_print(const struct cel_value *v, struct arena *arena, struct error *err);

/* ---- compiling ---- */

struct cel_variable {
	struct span name;
	const struct cel_type *type;
};

struct cel_env {
	const struct cel_variable *variables; /* may name nothing that begins with @ */
	size_t count;
	bool is_mixed;   /* list and map literals may mix types (plain CEL; Kubernetes refuses) */
	bool has_newest; /* semver too: the real server takes it only where an expression was stored before */
};

struct cel_program;

/*
 * NULL with `ret_faults` when the expression has faults: "ERROR: <input>:1:6: undeclared reference to 'x' (in container '')\n | ...",
 * one after the other (only a literal pattern of find or findAll that cannot be read is told bare). NULL with `err` set and `ret_faults` untouched when memory ended. `source` is not copied.
 */
struct cel_program *cel_compile(struct span source, const struct cel_env *env, struct arena *arena,
				struct span *ret_faults, struct error *err);
const struct cel_type *cel_program_type(const struct cel_program *p);
bool cel_program_uses(const struct cel_program *p, struct span variable);
uint64_t cel_program_cost(const struct cel_program *p); /* most that an evaluation can cost; UINT64_MAX: no bound */

/* ---- evaluating ---- */

/*
 * `values` are those of the environment's variables, in its order; a value of kind CEL_ERROR without text stands for a variable that
 * is not there. The result lives in `arena`. Past `cost_limit` the result is CEL_ERROR "operation cancelled: actual cost limit exceeded".
 */
struct cel_value cel_eval(const struct cel_program *p, const struct cel_value *values, uint64_t cost_limit,
			  uint64_t *ret_cost, struct arena *arena, struct error *err);
