/* SPDX-License-Identifier: Apache-2.0 */
/* inference_service_pods - the Deployment of a revision: the model served by hythe itself, or containers of its author. */
#include "controllers/inference_service.h"

/* Members of a predictor that are no members of a PodSpec. */
static const char *const own_members[] = { "minReplicas",
					   "maxReplicas",
					   "scaleTarget",
					   "scaleMetric",
					   "scaleMetricType",
					   "autoScaling",
					   "containerConcurrency",
					   "timeout",
					   "canaryTrafficPercent",
					   "logger",
					   "batcher",
					   "labels",
					   "annotations",
					   "deploymentStrategy",
					   "workerSpec",
					   "model",
					   "sklearn",
					   "xgboost",
					   "lightgbm",
					   "onnx",
					   "tensorflow",
					   "pytorch",
					   "triton",
					   "huggingface",
					   "pmml",
					   "paddle",
					   "storageUris" };
/* Members of a model that are no members of a container. */
static const char *const model_members[] = { "modelFormat", "runtime",         "storageUri",    "storage",
					     "storageUris", "protocolVersion", "runtimeVersion" };

static void members_drop(struct value *object, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)value_remove(object, span_of(names[i]));
}

/* "iris" is the model's name, whatever its container is called. */
static struct value node_named(struct inference *x, const struct value *model, struct span name)
{
	struct value node = value_object();

	put(x->r, &node, "name", value_string(name));
	put(x->r, &node, "modelUri", value_string(get_text(model, "storageUri")));
	return node;
}

static void model_put(struct inference *x, struct value *pod, const struct value *model)
{
	struct reconcile *r = x->r;
	struct value container = copied(r, model), node = node_named(x, model, SPAN(INFERENCE_CONTAINER)), *list, *init;

	members_drop(&container, model_members, ARRAY_LEN(model_members));
	put(r, &container, "name", value_string(SPAN(INFERENCE_CONTAINER)));
	put(r, &container, "terminationMessagePolicy", value_string(SPAN("FallbackToLogsOnError")));
	put(r, &container, "ports",
	    serving_made(r,
			 "[{'name':'http','containerPort':%d,'protocol':'TCP'},{'name':'grpc','containerPort':%d,"
			 "'protocol':'TCP'},{'name':'metrics','containerPort':%d,'protocol':'TCP'}]",
			 INFERENCE_HTTP, INFERENCE_GRPC, INFERENCE_METRICS));
	if (!get(&container, "readinessProbe"))
		put(r, &container, "readinessProbe",
		    serving_made(
			r,
			"{'httpGet':{'path':'/v2/models/%.*s/ready','port':%d,'scheme':'HTTP'},'periodSeconds':1,"
			"'failureThreshold':3,'timeoutSeconds':5,'successThreshold':1}",
			SPAN_WHOLE(r->name), INFERENCE_HTTP));
	put_item(r, put_array(r, pod, "containers"), container);
	serving_model_add(r, pod, &node);
	if (r->err->code)
		return;
	node = node_named(x, model, r->name);
	list = put_array(r, pod, "containers");
	serving_model_command(r, value_item(list, count_of(list) - 1), &node);
	init = put_array(r, pod, "initContainers");
	if (count_of(init))
		put(r, value_item(init, count_of(init) - 1), "name", value_string(SPAN("storage-initializer")));
}

/* A container without probes is ready when it can be connected to. */
static void containers_complete(struct inference *x, struct value *pod)
{
	struct value *first = count_of(get(pod, "containers")) ? value_item(get(pod, "containers"), 0) : NULL;
	int64_t port = INFERENCE_HTTP;

	if (!first)
		return;
	if (count_of(get(first, "ports")))
		port = get_int(value_item(get(first, "ports"), 0), "containerPort", port);
	if (!get_text(first, "name").len)
		put(x->r, first, "name", value_string(SPAN(INFERENCE_CONTAINER)));
	serving_words_keep(x->r, first);
	serving_probe_put(x->r, first, port);
}

struct value inference_template(struct inference *x)
{
	struct reconcile *r = x->r;
	struct span format;
	const struct value *model = inference_model(x->predictor, &format);
	struct value template = value_object(), metadata = value_object(), labels = value_object(), pod;

	pod = copied(r, x->predictor);
	members_drop(&pod, own_members, ARRAY_LEN(own_members));
	if (model)
		model_put(x, &pod, model);
	else
		containers_complete(x, &pod);
	if (get(x->predictor, "labels"))
		labels = copied(r, get(x->predictor, "labels"));
	put(r, &labels, INFERENCE_LABEL, value_string(r->name));
	put(r, &labels, "component", value_string(SPAN("predictor")));
	put(r, &metadata, "labels", labels);
	if (get(x->predictor, "annotations"))
		put(r, &metadata, "annotations", copied(r, get(x->predictor, "annotations")));
	put(r, &template, "metadata", metadata);
	put(r, &template, "spec", pod);
	return template;
}

/* The others are of Python. Of those that hythe reads it finds out the format by what is in the file. */
static bool is_native_format(struct span format)
{
	static const char *const formats[] = { "xgboost", "lightgbm", "onnx", "linear", "hythe" };

	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (span_equal(format, span_of(formats[i])))
			return true;
	return false;
}

bool inference_native_annotate(struct inference *x, struct value *annotations)
{
	struct span format, image;
	const struct value *model = inference_model(x->predictor, &format);
	struct value meta = value_object();

	if (!model || !is_native_format(format))
		return false;
	/* What its author has changed is answered by what he wrote. */
	image = get_text(model, "image");
	if ((image.len && !span_equal(image, SPAN(SERVING_PROGRAM))) || get(model, "command") || get(model, "args"))
		return false;
	put(x->r, &meta, "protocol", value_string(SPAN("kserve")));
	return serving_native_put(x->r, get_text(model, "storageUri"), x->r->name, &meta, annotations);
}

struct value *inference_deployment(struct inference *x, struct span name, const struct value *template)
{
	struct reconcile *r = x->r;
	struct value *object = object_new(r, &resource_deployments, name);
	struct value labels, spec, whole = copied(r, template);

	if (!object)
		return NULL;
	labels =
	    serving_made(r, "{'" INFERENCE_LABEL "':'%.*s','" INFERENCE_REVISION "':'%.*s','component':'predictor'}",
			 SPAN_WHOLE(r->name), SPAN_WHOLE(name));
	put(r, put_object(r, object, "metadata"), "labels", labels);
	put(r, put_object(r, put_object(r, &whole, "metadata"), "labels"), INFERENCE_REVISION, value_string(name));
	put(r, put_object(r, put_object(r, &whole, "metadata"), "labels"), "app", value_string(name));
	spec = serving_made(r, "{'selector':{'matchLabels':{'app':'%.*s'}}}", SPAN_WHOLE(name));
	if (!inference_has_scaler(x))
		put(r, &spec, "replicas", value_int(get_int(x->predictor, "minReplicas", 1)));
	put(r, &spec, "template", whole);
	put(r, object, "spec", spec);
	return object;
}
