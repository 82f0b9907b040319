/* SPDX-License-Identifier: Apache-2.0 */
/* usage - NodeMetrics and PodMetrics of metrics.k8s.io/v1beta1: written by who runs pods (kube/usage.h), read by clients. */
#include "kube/usage.h"

#include "base/clock.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"
#include "store/store.h"

#define GROUP   "metrics.k8s.io"
#define VERSION "v1beta1"

const struct kind kind_node_usage = {
	.group = GROUP,
	.version = VERSION,
	.plural = "nodes",
	.singular = "",
	.kind = "NodeMetrics",
	.verbs = KUBE_GET | KUBE_LIST,
	.type_name = "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics",
	.columns = plain_columns,
	.row = plain_row,
};

const struct kind kind_pod_usage = {
	.group = GROUP,
	.version = VERSION,
	.plural = "pods",
	.singular = "",
	.kind = "PodMetrics",
	.is_namespaced = true,
	.verbs = KUBE_GET | KUBE_LIST,
	.type_name = "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics",
	.columns = plain_columns,
	.row = plain_row,
};

/* In the order that stored texts have: kind, apiVersion, metadata, the rest. */
static bool arrange(const struct value *object, const struct kind *kind, struct arena *arena, struct value *ret,
		    struct error *err)
{
	const struct value *metadata = get(object, "metadata");

	*ret = value_object();
	if (!value_set(ret, SPAN("kind"), value_string(span_of(kind->kind)), arena, err) ||
	    !value_set(ret, SPAN("apiVersion"), value_string(SPAN(GROUP "/" VERSION)), arena, err) ||
	    !value_set(ret, SPAN("metadata"), metadata ? *metadata : value_object(), arena, err))
		return false;
	for (uint32_t i = 0; i < count_of(object); i++) {
		const struct value_member *m = &object->object.members[i];

		if (!value_get(ret, m->key) && !value_set(ret, m->key, m->value, arena, err))
			return false;
	}
	return true;
}

static void kept(void *context, struct record *r, const struct error *err)
{
	/* What is lost is told again in a quarter of a minute. */
	(void)context;
	(void)r;
	(void)err;
}

bool usage_put(struct kube *k, const struct value *object, struct arena *arena, struct error *err)
{
	bool is_node = is_text(get(object, "kind"), "NodeMetrics");
	const struct kind *kind = is_node ? &kind_node_usage : &kind_pod_usage;
	struct span name = value_find_string(object, "metadata.name"),
		    name_space = value_find_string(object, "metadata.namespace");
	struct store_write w = { .expected = -1,
				 .expires_ns = kube_wall_ns(k) + USAGE_LIFE_S * NS_PER_S,
				 .done = kept };
	struct value whole;

	if ((!is_node && !is_text(get(object, "kind"), "PodMetrics")) || name.len == 0 ||
	    (name_space.len == 0) != is_node)
		return error_set(err, ERROR_INVALID,
				 "usage is of NodeMetrics with a name, or PodMetrics with a namespace too");
	w.key = kube_key(kind, name_space, name, arena);
	if (!arrange(object, kind, arena, &whole, err))
		return false;
	w.text = value_print(&whole, arena, err);
	return w.key.ptr && w.text.ptr && store_write(kube_store(k), &w, err);
}
