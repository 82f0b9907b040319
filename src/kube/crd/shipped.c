/* SPDX-License-Identifier: Apache-2.0 */
/* shipped - definitions that come with hythe: made at the start, brought up to date unless somebody has made them his own. */
#include "kube/crd/shipped.h"

#include "base/log.h"
#include "kube/crd/crd.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"
#include "wire/yaml.h"

#define ANNOTATION "hythe.dev/shipped"
enum { SCRATCH_MAX = 64 * 1024 * 1024 };

extern const struct custom_hooks inference_service_hooks, seldon_deployment_hooks;

static const struct custom_hooks *const hooks_table[] = {
	&inference_service_hooks,
	&seldon_deployment_hooks,
};

/* Made by tools/embed.py of shipped/<name>.yaml. */
extern const struct span shipped_gateway_classes, shipped_gateways, shipped_grpc_routes, shipped_http_routes,
    shipped_inference_services, shipped_reference_grants, shipped_seldon_deployments;

static const struct shipped {
	const char *name;
	const struct span *text;
} definitions_table[] = {
	{ "gatewayclasses.gateway.networking.k8s.io", &shipped_gateway_classes },
	{ "gateways.gateway.networking.k8s.io", &shipped_gateways },
	{ "grpcroutes.gateway.networking.k8s.io", &shipped_grpc_routes },
	{ "httproutes.gateway.networking.k8s.io", &shipped_http_routes },
	{ "referencegrants.gateway.networking.k8s.io", &shipped_reference_grants },
	{ "inferenceservices.serving.kserve.io", &shipped_inference_services },
	{ "seldondeployments.machinelearning.seldon.io", &shipped_seldon_deployments },
};

const struct custom_hooks *custom_hooks_find(struct span group, struct span kind)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks_table); i++)
		if (span_equal(group, span_of(hooks_table[i]->group)) &&
		    span_equal(kind, span_of(hooks_table[i]->kind)))
			return hooks_table[i];
	return NULL;
}

/* ---- one definition ---- */

/* Of a spec with its defaults, as it is stored. */
static struct span number_of(const struct value *definition, struct arena *arena, struct error *err)
{
	const struct value *spec = get(definition, "spec");
	struct span text = spec ? value_print(spec, arena, err) : SPAN("");

	return arena_print(arena, err, "%016llx", (unsigned long long)span_hash(text));
}

/* As it is to be stored: with defaults, the label, the number. */
static bool definition_read(struct kube *k, const struct shipped *s, struct arena *arena, struct value *ret,
			    struct error *err)
{
	struct change c = { .kube = k,
			    .kind = &kind_custom_resource_definition,
			    .arena = arena,
			    .verb = KUBE_CREATE,
			    .object = ret,
			    .err = err };
	struct value *metadata;

	c.causes_end = &c.causes;
	if (!yaml_parse(*s->text, NULL, arena, ret, err))
		return false;
	c.kind->defaults(&c);
	drop(ret, "status");
	metadata = ensure(&c, ret, "metadata");
	if (!metadata)
		return false;
	set_text(&c, ensure(&c, metadata, "labels"), "app.kubernetes.io/managed-by", SPAN("hythe"));
	set_text(&c, ensure(&c, metadata, "annotations"), ANNOTATION, number_of(ret, arena, err));
	return !err->code;
}

static bool is_ours(const struct value *there, struct arena *arena)
{
	struct error err = { 0 };
	struct span number = get_text(value_find(there, "metadata.annotations"), ANNOTATION);

	return number.len && span_equal(number, number_of(there, arena, &err)) && !err.code;
}

static void written(void *context, const struct value *object, const struct error *err)
{
	const struct shipped *s = context;

	(void)object;
	if (err && err->code)
		log_warn("kube", "a definition that hythe ships could not be written", LOG_TEXT("definition", s->name),
			 LOG_TEXT("error", err->message));
}

/* What is there becomes what hythe ships. False: nothing is to be done. */
static bool update_make(const struct shipped *s, struct value *there, const struct value *ours, struct arena *arena,
			struct error *err)
{
	const struct value *metadata = get(ours, "metadata");
	struct value *labels, *annotations;

	if (value_find(there, "metadata.deletionTimestamp"))
		return false;
	if (!is_ours(there, arena)) {
		log_info("kube", "a definition is not hythe's own: it stays as it is", LOG_TEXT("definition", s->name));
		return false;
	}
	if (is_same(get(there, "spec"), get(ours, "spec")))
		return false;
	labels = value_ensure_object(get(there, "metadata"), SPAN("labels"), arena, err);
	annotations = value_ensure_object(get(there, "metadata"), SPAN("annotations"), arena, err);
	if (!labels || !annotations)
		return false;
	for (uint32_t i = 0; i < count_of(get(metadata, "labels")); i++) {
		const struct value_member *m = &get(metadata, "labels")->object.members[i];

		(void)value_set(labels, m->key, m->value, arena, err);
	}
	for (uint32_t i = 0; i < count_of(get(metadata, "annotations")); i++) {
		const struct value_member *m = &get(metadata, "annotations")->object.members[i];

		(void)value_set(annotations, m->key, m->value, arena, err);
	}
	(void)value_set(there, SPAN("spec"), *get(ours, "spec"), arena, err);
	return !err->code;
}

static bool definition_start(struct kube *k, const struct shipped *s, struct arena *arena, struct error *err)
{
	struct value ours, *there;
	struct kube_write w = { .kind = &kind_custom_resource_definition,
				.verb = KUBE_CREATE,
				.name = span_of(s->name),
				.object = &ours,
				.manager = SPAN("hythe"),
				.done = written,
				.context = (void *)(uintptr_t)s };

	if (!definition_read(k, s, arena, &ours, err))
		return false;
	there = kube_object(k, w.kind, (struct span){ 0 }, w.name, true, arena, err);
	if (err->code)
		return false;
	if (there) {
		if (!update_make(s, there, &ours, arena, err))
			return !err->code;
		w.verb = KUBE_UPDATE;
		w.object = there;
	}
	kube_write(k, &w, arena);
	definitions_serve(k->definitions, w.name);
	return true;
}

void shipped_start(struct kube *k)
{
	struct arena arena;

	arena_init(&arena, SCRATCH_MAX);
	for (size_t i = 0; i < ARRAY_LEN(definitions_table); i++) {
		struct error err = { 0 };

		if (!definition_start(k, &definitions_table[i], &arena, &err))
			log_warn("kube", "a definition that hythe ships could not be made",
				 LOG_TEXT("definition", definitions_table[i].name), LOG_TEXT("error", err.message));
		arena_clear(&arena);
	}
	arena_done(&arena);
}
