/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * doc - a JSON or UBJSON text as a tree of values, for model files that come in both forms. Private to the room.
 *
 * Arrays of numbers become one typed array. Members whose names are in a list are checked and left out: model files
 * carry much that only training needs.
 *
 * Ownership: everything lives in the arena given, or in the text.
 * Errors:    INVALID with the place in the text; TOO_LARGE past the arena's limit.
 */
#include "base/base.h"
#include "base/number.h"

enum doc_type {
	DOC_NULL,
	DOC_BOOL,
	DOC_NUMBER,
	DOC_STRING,
	DOC_NUMBERS, /* an array of numbers; the empty array too */
	DOC_ARRAY,   /* any other array */
	DOC_OBJECT,
};

struct doc {
	enum doc_type type;
	bool boolean;
	bool is_integer;  /* NUMBERS: int64_t, else double */
	struct span key;  /* of a member of an object */
	struct span text; /* STRING */
	struct number number;
	const void *data;  /* NUMBERS */
	size_t count;      /* NUMBERS: of numbers; ARRAY, OBJECT: of children */
	struct doc *first; /* ARRAY, OBJECT: children, linked by next */
	struct doc *next;
};

#define DOC_DEPTH_MAX 64

/* Both give NULL on failure. `ignored` ends with NULL. */
struct doc *doc_read_json(struct span text, const char *const *ignored, struct arena *arena, struct error *err);
struct doc *doc_read_ubj(struct span bytes, const char *const *ignored, struct arena *arena,
			 struct error *err); /* ubjson.c */

bool doc_is_ignored(const char *const *ignored, struct span key);

/* The member, or NULL; also when `d` is NULL or no object. A key given twice: the first. */
const struct doc *doc_get(const struct doc *d, const char *key);

/* The member, of this type, or an error that names it. An empty array passes as DOC_ARRAY as well. */
const struct doc *doc_need(const struct doc *d, const char *key, enum doc_type type, struct error *err);

/* A number, or a string that is all one number (XGBoost writes its parameters so). */
bool doc_double(const struct doc *d, const char *key, double *ret, struct error *err);
bool doc_int64(const struct doc *d, const char *key, int64_t *ret, struct error *err);

/* Element i of DOC_NUMBERS; whole numbers only for the second (false otherwise). */
double doc_number_at(const struct doc *d, size_t i);
bool doc_int64_at(const struct doc *d, size_t i, int64_t *ret);
