/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * yaml - the first YAML document of a text as the JSON tree that Kubernetes' tools make of it (libyaml's events; scalars by the rules
 * of sigs.k8s.io/yaml, which are YAML 1.1's: yes, no, on, off are booleans, 0o17 and 017 octal), and trees as YAML.
 *
 * Errors: INVALID with line and column: bad YAML, a key that is no scalar, an alias that would grow the tree
 *         over the arena's limit (each alias is a copy), depth over VALUE_DEPTH_MAX. A key that comes twice is told as by
 *         value_parse().
 * Threads: any.
 */
#include "wire/value.h"

/* Documents behind the first are not looked at. */
bool yaml_parse(struct span text, const struct value_reading *reading, struct arena *arena, struct value *ret,
		struct error *err);

/* Appends the tree as one document, as sigs.k8s.io/yaml writes it. The order of its members is lent from the arena. */
bool yaml_write(const struct value *v, struct arena *arena, struct buffer *out, struct error *err);

/* Does the text read back as a text without quotes? For yaml_write(). */
bool yaml_is_plain(struct span text);
