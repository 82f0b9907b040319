/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * yaml - one YAML document as the JSON tree that Kubernetes' tools make of it (libyaml's events; scalars by the rules of
 * sigs.k8s.io/yaml, which are YAML 1.1's: yes, no, on, off are booleans, 0o17 and 017 octal).
 *
 * Errors: INVALID with line and column: bad YAML, a key that is no scalar, several documents, an alias that would grow the tree
 *         over the arena's limit (each alias is a copy), depth over VALUE_DEPTH_MAX. A key that comes twice is told as by
 *         value_parse().
 * Threads: any.
 */
#include "wire/value.h"

bool yaml_parse(struct span text, const struct value_reading *reading, struct arena *arena, struct value *ret,
		struct error *err);
