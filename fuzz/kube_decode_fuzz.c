/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON, held against types: the first byte picks one. A decoded object passes again and stays as it is. */
#include "kube/schema/schema.h"

static const char *const types[] = {
	"io.k8s.api.apps.v1.Deployment",
	"io.k8s.api.core.v1.Pod",
	"io.k8s.api.core.v1.Secret",
	"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	"io.k8s.api.coordination.v1.Lease",
	"io.k8s.api.authorization.v1.SubjectAccessReview",
	"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
};

static void ignore(void *context, struct span path)
{
	size_t *count = context;

	*count += path.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct type *t = len ? type_find(span_of(types[data[0] % ARRAY_LEN(types)])) : NULL;
	size_t unknown = 0;
	struct schema_report report = { .unknown = ignore, .context = &unknown };
	struct error err = { 0 };
	struct arena arena;
	struct value v, copy;

	if (!t)
		return 0;
	arena_init(&arena, MIB(16));
	if (value_parse(span_from(data + 1, len - 1), NULL, &arena, &v, &err) &&
	    schema_decode(t, &v, &report, &arena, &err) && value_copy(&v, &arena, &copy, &err)) {
		unknown = 0;
		if (!schema_decode(t, &copy, &report, &arena, &err)) {
			if (err.code != ERROR_TOO_LARGE)
				__builtin_trap();
		} else if (unknown || !value_equal(&v, &copy)) {
			__builtin_trap();
		}
		(void)schema_complete(t, &v, &arena, &err);
	}
	arena_done(&arena);
	return 0;
}
