/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * reflection - private to inference: look-up in the descriptors of the services served.
 *
 * The build compiles protos/ into a google.protobuf.FileDescriptorSet, which is part of the program (protos_set). It is
 * small, so that look-ups walk it. Threads: any; nothing changes.
 */
#include "base/base.h"

extern const struct span protos_set; /* written by the build: tools/embed.py */

/* The encoded FileDescriptorProto of that name; false when there is none. */
bool reflection_file(struct span set, struct span filename, struct span *ret);

/* The file that defines a message, field, enum, enum value, service or method by its full name, without a leading dot.
 */
bool reflection_symbol(struct span set, struct span symbol, struct span *ret);

/* The file and its imports in the set, and theirs, each once; the file first. */
#define REFLECTION_FILES_MAX 64
size_t reflection_with_imports(struct span set, struct span file, struct span *files);

/* Writes the answer to one ServerReflectionRequest: a ServerReflectionResponse. INVALID when it is damaged. */
bool reflection_answer(struct span set, const struct span *services, size_t service_count, struct span request,
		       struct buffer *out, struct error *err) MUST_CHECK;
