/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in protobuf, as Go clients send them: an envelope, or (first byte below 16) bytes of one of the larger types. What is taken is
 * JSON that reads back. */
#include "kube/schema/schema.h"

static const char *const types[] = {
	"io.k8s.api.apps.v1.Deployment",
	"io.k8s.api.core.v1.Pod",
	"io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	"io.k8s.api.coordination.v1.Lease",
	"io.k8s.api.authorization.v1.SubjectAccessReview",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	"io.k8s.api.core.v1.Service",
};

static void read_as(const struct type *t, struct span raw)
{
	struct error err = { 0 };
	struct arena arena;
	struct value v, again;
	struct span text;

	arena_init(&arena, MIB(16));
	if (schema_from_protobuf(t, raw, &arena, &v, &err) && schema_complete(t, &v, &arena, &err)) {
		text = value_print(&v, &arena, &err);
		if (text.ptr && !value_parse(text, NULL, &arena, &again, &err) && err.code != ERROR_TOO_LARGE)
			__builtin_trap();
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span body = span_from(data, len), api_version, kind, raw;
	struct error err = { 0 };

	if (kube_protobuf_open(body, &api_version, &kind, &raw, &err)) {
		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			if (span_ends(span_of(types[i]), kind))
				read_as(type_find(span_of(types[i])), raw);
		}
	} else if (len && data[0] < 16) {
		read_as(type_find(span_of(types[data[0] % ARRAY_LEN(types)])), span_skip(body, 1));
	}
	return 0;
}
