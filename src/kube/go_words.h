/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * go_words - what the real server says through the libraries it is made with: clients and their tests know these sentences.
 *
 * Threads: any.
 * Errors:  texts are cut to the arena's limit; ptr is NULL when memory ended.
 */
#include "wire/value.h"

/* A tree as fmt prints it with %v: `map[a:1 b:[x y] c:map[]]`, members by name. */
struct span go_print(const struct value *v, struct arena *arena, struct error *err);

/* What encoding/json says of a text that is no JSON: "invalid character 'x' looking for beginning of value", "unexpected end of JSON
 * input". Into `ret`; false: it is JSON. */
#define GO_WORDS_SIZE 128
bool go_json_fault(struct span text, char ret[GO_WORDS_SIZE]);

/* The type that encoding/json makes of a value, as fmt prints it with %T: "<nil>", "int64", "map[string]interface {}". */
const char *go_type_name(const struct value *v);
/* How encoding/json calls what stands in a text: "object", "number", "bool". */
const char *go_json_type(const struct value *v);
