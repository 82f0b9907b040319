/* SPDX-License-Identifier: Apache-2.0 */
/* seldon - protocols, servers and containers of SeldonDeployments. */
#include "kube/crd/seldon.h"

#include "kube/kinds/kinds.h"

static const struct seldon_server servers[] = {
	{ "HYTHE_SERVER", true, true, true },          { "SKLEARN_SERVER", true, true, false },
	{ "XGBOOST_SERVER", true, true, false },       { "MLFLOW_SERVER", true, true, false },
	{ "TENSORFLOW_SERVER", false, true, true },    { "TRITON_SERVER", false, true, true },
	{ "HUGGINGFACE_SERVER", false, false, false }, { "TEMPO_SERVER", false, true, true },
};

static const char *const built_in[] = { "SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER", NULL };

bool seldon_protocol_read(struct span text, enum seldon_protocol *ret)
{
	static const struct {
		const char *name;
		enum seldon_protocol protocol;
	} rows[] = { { "", SELDON_SELDON },
		     { "seldon", SELDON_SELDON },
		     { "tensorflow", SELDON_TENSORFLOW },
		     { "v2", SELDON_V2 },
		     { "kfserving", SELDON_V2 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (span_equal(text, span_of(rows[i].name))) {
			*ret = rows[i].protocol;
			return true;
		}
	}
	return false;
}

const struct seldon_server *seldon_server_find(struct span implementation)
{
	for (size_t i = 0; i < ARRAY_LEN(servers); i++)
		if (span_equal(implementation, span_of(servers[i].implementation)))
			return &servers[i];
	return NULL;
}

bool seldon_is_built_in(struct span implementation)
{
	return text_is_one_of(implementation, built_in);
}

bool seldon_is_server(struct span implementation)
{
	return implementation.len && !span_equal(implementation, SPAN("UNKNOWN_IMPLEMENTATION")) &&
	       !seldon_is_built_in(implementation);
}

const struct value *seldon_container_find(const struct value *predictor, const struct value *node, uint32_t *ret_spec)
{
	const struct value *specs = get(predictor, "componentSpecs"), *only = NULL;
	struct span name = get_text(node, "name");
	uint32_t count = 0, at = 0;

	for (uint32_t i = 0; i < count_of(specs); i++) {
		const struct value *containers = get(get(value_item(specs, i), "spec"), "containers");

		for (uint32_t j = 0; j < count_of(containers); j++) {
			only = value_item(containers, j);
			at = i;
			count++;
			if (span_equal(get_text(only, "name"), name)) {
				*ret_spec = i;
				return only;
			}
		}
	}
	if (count != 1 || count_of(get(get(predictor, "graph"), "children")))
		return NULL;
	*ret_spec = at;
	return only;
}

bool seldon_is_true(struct span annotation)
{
	return span_equal_ignore_case(annotation, SPAN("true"));
}

struct span seldon_annotation(const struct value *predictor, const char *name)
{
	return get_text(get(predictor, "annotations"), name);
}

struct span seldon_annotation_of_all(const struct value *object, const char *name)
{
	struct span text = get_text(get(get(object, "spec"), "annotations"), name);

	return text.len ? text : get_text(get(get(object, "metadata"), "annotations"), name);
}
