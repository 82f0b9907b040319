/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * openapi - the documents that kubectl and other clients check and explain objects with: OpenAPI v3 (an index, and one document a
 * group version) and v2 (JSON and gnostic's protobuf form, which kubectl up to 1.27 asks for), from the kinds and their types.
 *
 * Threads: the API server's loop; documents are made when first asked for and kept until the kinds change.
 * Errors:  NOT_FOUND for a group version that nobody serves.
 */
#include "base/buffer.h"
#include "kube/kind.h"

/* {"paths":{"apis/apps/v1":{"serverRelativeURL":"/openapi/v3/apis/apps/v1?hash=H"}, ...}}; H is a hash of the document. `kinds` ends
 * with NULL. */
bool openapi_v3_index(const struct kind *const *kinds, struct buffer *out, struct error *err);
/* `path` is a row of the index: "api/v1", "apis/apps/v1", "apis/apps", "apis", "version". With paths for every verb of every kind, and components.schemas of all types they reach
 * (x-kubernetes-group-version-kind, x-kubernetes-list-type, x-kubernetes-patch-strategy, ... included). */
bool openapi_v3_document(const struct kind *const *kinds, struct span path, struct buffer *out, struct error *err);
uint64_t openapi_hash(struct span document); /* as addresses and ETags have it */
bool openapi_v2_document(const struct kind *const *kinds, bool as_protobuf, struct buffer *out, struct error *err);
