/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * seldon_value - private to inference: JSON text to the messages of struct.proto and prediction.proto that hold any
 * value, and back: google.protobuf.Value, ListValue, Meta, SeldonModelMetadata.
 *
 * Numbers of protobuf are doubles, and print as such: 1.0. NaN and infinities are the bare tokens of Python's json.
 * Ownership: texts are cut from the arena. Errors: INVALID, and TOO_LARGE. Limits: depth VALUE_DEPTH_MAX.
 * Threads:   any; no state.
 */
#include "wire/json.h"

#define VALUE_DEPTH_MAX 100

/* An encoded Value, the content of a ListValue, or of a Meta, as JSON text. */
bool seldon_value_text(struct span value, struct arena *arena, struct span *ret, struct error *err) MUST_CHECK;
bool seldon_list_text(struct span list, struct arena *arena, struct span *ret, struct error *err) MUST_CHECK;
bool seldon_meta_text(struct span meta, struct arena *arena, struct span *ret, struct error *err) MUST_CHECK;

/* The other way: appends the fields of a Value, of a ListValue, of a Meta, of a SeldonModelMetadata. */
bool seldon_value_write(struct buffer *out, struct span text, struct arena *arena, struct error *err) MUST_CHECK;
bool seldon_list_write(struct buffer *out, struct span text, struct arena *arena, struct error *err) MUST_CHECK;
bool seldon_meta_write(struct buffer *out, struct span text, struct arena *arena, struct error *err) MUST_CHECK;
bool seldon_metadata_write(struct buffer *out, struct span text, struct arena *arena, struct error *err) MUST_CHECK;
