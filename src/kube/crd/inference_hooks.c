/* SPDX-License-Identifier: Apache-2.0 */
/* inference_hooks - InferenceServices: what is refused, as KServe's webhook refuses it, and what is not there yet. */
#include "kube/crd/inference_service.h"
#include "kube/crd/shipped.h"
#include "kube/kinds/kinds.h"

/* Members of a predictor that are models, in the form before "model" came. */
static const char *const frameworks[] = { "sklearn", "xgboost",     "lightgbm", "onnx",   "tensorflow", "pytorch",
					  "triton",  "huggingface", "pmml",     "paddle", NULL };
static const char *const there[] = { "sklearn", "xgboost", "lightgbm", "onnx", "mlflow", "linear", "hythe", NULL };

const struct value *inference_model(const struct value *predictor, struct span *ret_format)
{
	const struct value *model = get(predictor, "model");

	if (model) {
		*ret_format = get_text(get(model, "modelFormat"), "name");
		return model;
	}
	for (size_t i = 0; frameworks[i]; i++) {
		model = get(predictor, frameworks[i]);
		if (!model)
			continue;
		*ret_format = span_of(frameworks[i]);
		return model;
	}
	return NULL;
}

bool inference_format_is_there(struct span format)
{
	return text_is_one_of(format, there);
}

static uint32_t models_count(const struct value *predictor)
{
	uint32_t count = (get(predictor, "model") != NULL) + (count_of(get(predictor, "containers")) > 0);

	for (size_t i = 0; frameworks[i]; i++)
		count += get(predictor, frameworks[i]) != NULL;
	return count;
}

static void check_model(struct change *c, const struct at *at, const struct value *predictor)
{
	struct span format = { 0 };
	const struct value *model = inference_model(predictor, &format), text = value_string(format);
	const struct at *here = AT(at, get(predictor, "model") ? "model" : "");

	if (!model)
		return;
	if (!inference_format_is_there(format))
		fault_not_supported(c, get(predictor, "model") ? AT(AT(here, "modelFormat"), "name") : at, &text,
				    there);
	if (!get_text(model, "storageUri").len)
		fault_required(c, AT(here, "storageUri"), "where the files of the model are");
}

static void check_replicas(struct change *c, const struct at *at, const struct value *predictor)
{
	int64_t least = get_int(predictor, "minReplicas", 1), most = get_int(predictor, "maxReplicas", 0);

	check_not_negative(c, AT(at, "minReplicas"), get(predictor, "minReplicas"));
	check_not_negative(c, AT(at, "maxReplicas"), get(predictor, "maxReplicas"));
	if (most > 0 && least > most)
		fault_invalid(c, AT(at, "minReplicas"), get(predictor, "minReplicas"),
			      "'MinReplicas' cannot be greater than MaxReplicas");
}

static bool is_of_requests(const struct value *predictor)
{
	const struct value *metric = get(predictor, "scaleMetric");

	return is_text(metric, "rps") || is_text(metric, "concurrency") ||
	       (!metric && get_int(predictor, "minReplicas", 1) == 0);
}

static void check_target(struct change *c, const struct at *at, const struct value *predictor)
{
	const struct value *target = get(predictor, "scaleTarget");
	bool is_share = !is_of_requests(predictor);

	if (!value_is(target, VALUE_INT))
		return;
	if (is_share && (target->integer < 1 || target->integer > 100))
		fault_invalid(c, AT(at, "scaleTarget"), target,
			      "the target utilization percentage should be a [1-100] integer");
	if (!is_share && target->integer < 1)
		fault_invalid(c, AT(at, "scaleTarget"), target, "must be at least 1");
}

/* Utilization is of what a pod asks for; requests have nothing of the kind. */
static void check_target_type(struct change *c, const struct at *at, const struct value *predictor)
{
	struct span type = get_text(predictor, "scaleMetricType");
	bool is_share = !is_of_requests(predictor);

	if (!type.len)
		return;
	if (is_share && !span_equal(type, SPAN("Utilization")))
		fault_forbidden(c, AT(at, "scaleMetricType"),
				"of cpu and memory only Utilization is there: name the value in autoScaling.metrics");
	if (!is_share && span_equal(type, SPAN("Utilization")))
		fault_forbidden(c, AT(at, "scaleMetricType"),
				"requests have no utilization: AverageValue is of each replica, Value of all");
}

/* Of type Resource they are an autoscaler's own. */
static void check_own_metrics(struct change *c, const struct at *at, const struct value *predictor)
{
	const struct value *metrics = get(get(predictor, "autoScaling"), "metrics");
	const struct at *here = AT(AT(at, "autoScaling"), "metrics");

	for (uint32_t i = 0; i < count_of(metrics); i++)
		if (!is_text(get(value_item(metrics, i), "type"), "Resource"))
			fault_forbidden(c, AT(AT_INDEX(here, i), "type"),
					"only Resource is there: scaleMetric rps and concurrency count requests");
}

static void check_scaling(struct change *c, const struct at *at, const struct value *predictor)
{
	bool has_own = count_of(get(get(predictor, "autoScaling"), "metrics")) > 0;

	check_own_metrics(c, at, predictor);
	if (get_int(predictor, "minReplicas", 1) == 0 && (has_own || !is_of_requests(predictor)))
		fault_forbidden(c, AT(at, "minReplicas"),
				"0 needs scaleMetric rps or concurrency: what sleeps uses no cpu and no memory");
	if (has_own)
		return; /* the rest does not count */
	check_target(c, at, predictor);
	check_target_type(c, at, predictor);
}

static void inference_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec"), *predictor = get(spec, "predictor");
	const struct value *percent = get(predictor, "canaryTrafficPercent");
	const struct at *at = AT(AT(NULL, "spec"), "predictor");
	const char *words = name_check_1035(value_find_string(c->object, "metadata.name"));

	if (words)
		fault_invalid(c, AT(AT(NULL, "metadata"), "name"), value_find(c->object, "metadata.name"), words);
	if (models_count(predictor) != 1)
		fault_omitted(c, at, "exactly one of model, containers and the formats of before must be there");
	check_model(c, at, predictor);
	check_replicas(c, at, predictor);
	check_scaling(c, at, predictor);
	if (percent && (percent->type != VALUE_INT || percent->integer < 0 || percent->integer > 100))
		fault_invalid(c, AT(at, "canaryTrafficPercent"), percent, "must be between 0 and 100");
	if (get(predictor, "logger"))
		fault_forbidden(c, AT(at, "logger"), "requests are not sent to loggers yet");
	if (get(predictor, "batcher"))
		fault_forbidden(c, AT(at, "batcher"), "requests are not put together to batches yet");
	if (get(spec, "transformer"))
		fault_forbidden(c, AT(AT(NULL, "spec"), "transformer"), "transformers are not there yet");
	if (get(spec, "explainer"))
		fault_forbidden(c, AT(AT(NULL, "spec"), "explainer"), "explainers are not there yet");
}

const struct custom_hooks inference_service_hooks = {
	.group = INFERENCE_GROUP,
	.kind = INFERENCE_KIND,
	.validate = inference_validate,
};
