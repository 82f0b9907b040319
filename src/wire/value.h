/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * value - a JSON text as a tree that can be changed: objects of the Kubernetes API, patches, schemas.
 *
 * Members keep the order in which they came; a key is there once. Integers and doubles are kept apart, as written. Look-up
 * in a small object walks it, in a large one goes by a table of hashes.
 *
 * Ownership: everything is cut from the arena given and dies with it; strings may point into the text parsed. A value may be
 *            put into another tree of the same arena by assigning the struct (then both share what is below it: change only
 *            one of them, or value_copy()).
 * Errors:    INVALID with line and column from parsers; TOO_LARGE past the arena's limit. Functions that may allocate take err.
 * Limits:    depth VALUE_DEPTH_MAX.
 * Threads:   one.
 */
#include "base/base.h"
#include "wire/json.h"

#define VALUE_DEPTH_MAX JSON_DEPTH_MAX

enum value_type { VALUE_NULL, VALUE_BOOL, VALUE_INT, VALUE_DOUBLE, VALUE_STRING, VALUE_ARRAY, VALUE_OBJECT };

struct value_member;

struct value {
	enum value_type type;
	union {
		bool boolean;
		int64_t integer; /* integers over INT64_MAX are doubles, as JSON readers of Kubernetes have them */
		double number;
		struct span string; /* decoded, UTF-8 */
		struct {
			struct value *items;
			uint32_t count, capacity;
		} array;
		struct {
			struct value_member *members;
			uint32_t count, capacity;
			uint32_t *slots; /* private: hash table of large objects, or NULL */
		} object;
	};
};

struct value_member {
	struct span key;
	struct value value;
};

/* ---- text ---- */

/* Reads one whole JSON text. A key that comes twice: the last one counts, and `duplicate` (may be NULL) is called with the path
 * of the member ("spec.template.labels.a", "items[0].b"), valid during the call. */
struct value_reading {
	void (*duplicate)(void *context, struct span path);
	void *context;
	void (*duplicate_line)(void *context, struct span key, size_t line); /* the same, of YAML; or NULL */
	bool merges_duplicates; /* objects under a key that comes twice become one, as where Go reads into a struct */
};
bool value_parse(struct span text, const struct value_reading *reading, struct arena *arena, struct value *ret,
		 struct error *err);

void value_write(const struct value *v, struct json_writer *w);
/* Compact JSON in the arena. ptr is NULL on failure. */
struct span value_print(const struct value *v, struct arena *arena, struct error *err);

/* False when it is NULL. */
static inline bool value_is(const struct value *v, enum value_type type)
{
	return v && v->type == type;
}

/* ---- making ---- */

static inline struct value value_null(void)
{
	return (struct value){ .type = VALUE_NULL };
}
static inline struct value value_bool(bool b)
{
	return (struct value){ .type = VALUE_BOOL, .boolean = b };
}
static inline struct value value_int(int64_t i)
{
	return (struct value){ .type = VALUE_INT, .integer = i };
}
static inline struct value value_double(double d)
{
	return (struct value){ .type = VALUE_DOUBLE, .number = d };
}
static inline struct value value_string(struct span s)
{
	return (struct value){ .type = VALUE_STRING, .string = s };
}
static inline struct value value_array(void)
{
	return (struct value){ .type = VALUE_ARRAY };
}
static inline struct value value_object(void)
{
	return (struct value){ .type = VALUE_OBJECT };
}

/* A deep copy; strings are copied too, so that it needs nothing but `arena`. */
bool value_copy(const struct value *v, struct arena *arena, struct value *ret, struct error *err);

/* ---- objects ---- */

/* The member's value, or NULL; also when `object` is NULL or no object. */
struct value *value_get(const struct value *object, struct span key);

/* Sets a member, at the end when it is new; the place of its value, NULL on failure. `key` is not copied. */
struct value *value_set(struct value *object, struct span key, struct value v, struct arena *arena, struct error *err);

/* True when it was there. The order of the rest stays. */
bool value_remove(struct value *object, struct span key);

/* The member as an object (array), made empty when it is absent or null; NULL with INVALID when it is of another type. */
struct value *value_ensure_object(struct value *object, struct span key, struct arena *arena, struct error *err);
struct value *value_ensure_array(struct value *object, struct span key, struct arena *arena, struct error *err);

/* For qsort() of `const struct value_member *`: by their keys. */
int value_member_order(const void *a, const void *b);

/* Walks member names parted by dots, as in "spec.template.metadata.labels"; NULL when one is absent. For paths that we write. */
struct value *value_find(const struct value *v, const char *path);

/* What stands at such a path, or the nothing of its type: for members whose type was checked, or does not matter. */
struct span value_find_string(const struct value *v, const char *path); /* empty */
int64_t value_find_int(const struct value *v, const char *path, int64_t otherwise);
bool value_find_bool(const struct value *v, const char *path);

/* ---- arrays ---- */

/* How many items it has; 0 for what is no array, or NULL. */
static inline uint32_t value_count(const struct value *array)
{
	return value_is(array, VALUE_ARRAY) ? array->array.count : 0;
}
static inline struct value *value_item(const struct value *array, uint32_t index)
{
	return &array->array.items[index];
}
struct value *value_append(struct value *array, struct value v, struct arena *arena, struct error *err);
struct value *value_insert(struct value *array, uint32_t index, struct value v, struct arena *arena, struct error *err);
void value_remove_item(struct value *array, uint32_t index);

/* ---- comparing ---- */

/* The same JSON: members in any order; 1 and 1.0 differ, as they do for Kubernetes' integers. */
bool value_equal(const struct value *a, const struct value *b);

static inline bool value_is_empty(const struct value *v) /* absent, null, {}, [] or "" */
{
	return !v || v->type == VALUE_NULL || (v->type == VALUE_STRING && v->string.len == 0) ||
	       (v->type == VALUE_ARRAY && v->array.count == 0) || (v->type == VALUE_OBJECT && v->object.count == 0);
}

const char *value_type_name(enum value_type type); /* "object", as JSON schema calls it; integers "integer" */
