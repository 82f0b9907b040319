/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v1 - REST of TensorFlow Serving, which is KServe's V1 too.
 *
 * What a prediction is: of a classifier its scores (the probabilities of all classes), of a regression its numbers, of
 * any other model all outputs. signature_name chooses another: an output's name, "predict" (the label) or
 * "predict_proba".
 */
#include "inference/v1.h"
#include "inference/surfaces.h"

static const struct surface surface_v1 = { "v1", fail_as_json_error };

/* ---- which output ---- */

static bool is_classifier(const struct model_info *info)
{
	return info->task == MODEL_TASK_BINARY || info->task == MODEL_TASK_MULTICLASS;
}

static bool choose_output(struct v1_call *c, struct arena *arena, struct error *err)
{
	const struct model_info *info = c->call.served->info;
	bool is_named_output = c->signature.len && !span_equal(c->signature, SPAN("serving_default"));
	size_t index;

	if (c->verb == V1_CLASSIFY && !is_classifier(info))
		return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' is not a classifier (use :predict%s)",
				 SPAN_ARG(c->call.served->name),
				 info->task == MODEL_TASK_REGRESSION ? " or :regress" : "");
	if (c->verb == V1_REGRESS && info->task != MODEL_TASK_REGRESSION)
		return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' is not a regression (use :predict%s)",
				 SPAN_ARG(c->call.served->name), is_classifier(info) ? " or :classify" : "");
	if (c->verb == V1_PREDICT && !is_named_output && info->task == MODEL_TASK_OTHER)
		return true; /* all of them */
	c->call.wanted = ARENA_NEW(arena, struct span, err);
	if (!c->call.wanted)
		return false;
	c->call.wanted_count = 1;
	if (c->verb == V1_PREDICT && is_named_output) {
		c->call.wanted[0] = c->signature;
		return output_find(c->call.served, c->signature, &index, err) || error_wrap(err, "signature_name");
	}
	c->call.wanted[0] = info->outputs[info->score_output].name;
	return true;
}

/* ---- handlers ---- */

static void call_finish(struct request *req, struct call *call)
{
	struct error err = { 0 };

	if (call_run(req, call, &err) && v1_write(req, CONTAINER_OF(call, struct v1_call, call), &err)) {
		request_send(req, 200, SPAN("application/json"));
		return;
	}
	buffer_clear(&req->out);
	request_fail(req, &err);
}

static bool call_read(struct request *req, struct v1_call *c, struct error *err)
{
	c->call.served = served_find(req, err);
	if (!c->call.served)
		return false;
	if (!v1_read(c, req->body, &req->arena, err))
		return false;
	return choose_output(c, &req->arena, err);
}

static void call_start(struct request *req, enum v1_verb verb)
{
	struct error err = { 0 };
	struct v1_call *c = ARENA_NEW(&req->arena, struct v1_call, &err);

	if (c)
		c->verb = verb;
	if (!c || !call_read(req, c, &err))
		request_fail(req, &err);
	else if (UNLIKELY(call_is_long(req, &c->call)))
		call_offload(req, &c->call, call_finish);
	else
		call_finish(req, &c->call);
}

static void call_start_offloaded(struct request *req, void *arg)
{
	call_start(req, *(const enum v1_verb *)arg);
}

static void handle_verb(struct request *req, const enum v1_verb *verb)
{
	if (UNLIKELY(req->body.len > REQUEST_INLINE_BYTES))
		inference_offload(req, call_start_offloaded, (void *)(uintptr_t)verb);
	else
		call_start(req, *verb);
}

static void predict(struct request *req)
{
	static const enum v1_verb verb = V1_PREDICT;

	handle_verb(req, &verb);
}

static void classify(struct request *req)
{
	static const enum v1_verb verb = V1_CLASSIFY;

	handle_verb(req, &verb);
}

static void regress(struct request *req)
{
	static const enum v1_verb verb = V1_REGRESS;

	handle_verb(req, &verb);
}

#define MODEL         "/v1/models/{model}"
#define MODEL_VERSION "/v1/models/{model}/versions/{version}"

const struct route v1_routes[] = {
	{ METHOD_GET, "/v1/models", v1_models, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL, v1_status, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION, v1_status, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL "/metadata", v1_metadata, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION "/metadata", v1_metadata, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL ":predict", predict, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION ":predict", predict, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL ":classify", classify, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION ":classify", classify, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL ":regress", regress, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION ":regress", regress, &surface_v1, ROUTE_HTTP },
	{ 0 },
};
