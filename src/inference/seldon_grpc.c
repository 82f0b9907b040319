/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gRPC services of package seldon.protos: what an orchestrator calls on a component (Model, Generic, Transformer,
 * OutputTransformer, Router, Combiner) and what a client calls (Seldon).
 *
 * The metadata key `seldon` names the model, as it names the deployment behind Seldon's gateways. Without it, or when a
 * single model is served and its name is another, the first model answers.
 */
#include "inference/component.h"
#include "inference/seldon.h"
#include "inference/surfaces.h"
#include "wire/protobuf.h"

/* prediction.proto */
enum {
	METADATA_NAME = 1,
	METADATA_VERSIONS = 2,
	METADATA_PLATFORM = 3,
	METADATA_INPUTS = 4,
	METADATA_OUTPUTS = 5,
	METADATA_CUSTOM = 6
};
enum { TENSOR_MESSAGETYPE = 1, TENSOR_SCHEMA = 2, TENSOR_NAME = 3, TENSOR_DATATYPE = 4, TENSOR_SHAPE = 5 };
enum { GRAPH_NAME = 1, GRAPH_MODELS = 2, GRAPH_INPUTS = 3, GRAPH_OUTPUTS = 4 };
enum { REQUEST_NAME = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
/* google/protobuf/struct.proto */
enum { STRUCT_FIELDS = 1, VALUE_NUMBER = 2, VALUE_STRING = 3, VALUE_STRUCT = 5, VALUE_LIST = 6, LIST_VALUES = 1 };

const struct served *seldon_grpc_model(struct request *req, struct error *err)
{
	struct span name = request_header(req, SPAN("seldon"));
	const struct served *s;
	size_t count;

	if (name.len == 0)
		return served_find(req, err);
	s = served_find_named(req, name, (struct span){ 0 }, err);
	if (s || err->code != ERROR_NOT_FOUND)
		return s;
	(void)served_all(req, &count);
	if (count != 1)
		return NULL;
	*err = (struct error){ 0 };
	return served_find(req, err);
}

static void answer_message(struct request *req)
{
	request_send(req, 200, (struct span){ 0 });
}

static struct seldon_work *work_read(struct request *req, struct error *err)
{
	struct seldon_work *work = ARENA_NEW(&req->arena, struct seldon_work, err);

	if (!work || !seldon_read_protobuf(&work->message, req->body, &req->arena, err))
		return NULL;
	work->send = answer_message;
	return work;
}

static void predict_step(struct request *req, void *arg)
{
	struct error err = { 0 };
	const struct served *served = seldon_grpc_model(req, &err);
	struct seldon_work *work = served ? work_read(req, &err) : NULL;

	(void)arg;
	if (work)
		seldon_predict(req, served, work);
	else
		request_fail(req, &err);
}

static void transform_step(struct request *req, void *arg)
{
	struct error err = { 0 };
	const struct served *served = seldon_grpc_model(req, &err);
	struct seldon_work *work = served ? work_read(req, &err) : NULL;

	(void)arg;
	if (work)
		seldon_identity(req, work);
	else
		request_fail(req, &err);
}

/* Somebody's code is asked with the whole message. */
static bool is_component(struct request *req, enum component_method method)
{
	struct error ignored = { 0 };
	const struct served *served = seldon_grpc_model(req, &ignored);

	return served && seldon_component(req, served, method);
}

static void step(struct request *req, void (*run)(struct request *req, void *arg))
{
	if (req->body.len > REQUEST_INLINE_BYTES && !request_is_offloaded(req))
		inference_offload(req, run, NULL);
	else
		run(req, NULL);
}

/* Model.Predict, Seldon.Predict */
static void predict(struct request *req)
{
	if (!is_component(req, COMPONENT_PREDICT))
		step(req, predict_step);
}

/* Transformer.TransformInput, and Generic's */
static void transform_input(struct request *req)
{
	if (!is_component(req, COMPONENT_TRANSFORM_INPUT))
		step(req, transform_step);
}

/* OutputTransformer.TransformOutput, and Generic's */
static void transform_output(struct request *req)
{
	if (!is_component(req, COMPONENT_TRANSFORM_OUTPUT))
		step(req, transform_step);
}

/* Router.Route, and Generic's */
static void route(struct request *req)
{
	if (!is_component(req, COMPONENT_ROUTE))
		seldon_route_undefined(req);
}

/* Combiner.Aggregate, and Generic's */
static void aggregate(struct request *req)
{
	if (!is_component(req, COMPONENT_AGGREGATE))
		seldon_aggregate_undefined(req);
}

/* SendFeedback of each service that has it. The answer is data with an empty ndarray, and an empty meta. */
static void feedback(struct request *req)
{
	static const char answer[] = { 0x12, 0x00, 0x1a, 0x02, 0x1a, 0x00 };
	struct error err = { 0 };
	const struct served *served = seldon_grpc_model(req, &err);
	struct seldon_feedback f;

	if (served && seldon_component(req, served, COMPONENT_FEEDBACK))
		return;
	if (!served || !seldon_read_feedback_protobuf(&f, req->body, &err) || !seldon_reward(served, &f, &err)) {
		request_fail(req, &err);
		return;
	}
	seldon_set_puid(req, f.puid);
	buffer_append(&req->out, span_from(answer, sizeof(answer)));
	answer_message(req);
}

/* ---- metadata ---- */

/* {"names": [columns], "shape": [count]} as google.protobuf.Value. */
static void schema_write(struct buffer *out, const struct served *s)
{
	size_t schema = protobuf_open(out, TENSOR_SCHEMA), object = protobuf_open(out, VALUE_STRUCT);
	size_t entry, value, list, item;

	entry = protobuf_open(out, STRUCT_FIELDS);
	protobuf_write_bytes(out, ENTRY_KEY, SPAN("names"));
	value = protobuf_open(out, ENTRY_VALUE);
	list = protobuf_open(out, VALUE_LIST);
	for (size_t i = 0; i < s->column_count; i++) {
		item = protobuf_open(out, LIST_VALUES);
		protobuf_write_bytes(out, VALUE_STRING, s->columns[i]);
		protobuf_close(out, item);
	}
	protobuf_close(out, list);
	protobuf_close(out, value);
	protobuf_close(out, entry);

	entry = protobuf_open(out, STRUCT_FIELDS);
	protobuf_write_bytes(out, ENTRY_KEY, SPAN("shape"));
	value = protobuf_open(out, ENTRY_VALUE);
	list = protobuf_open(out, VALUE_LIST);
	item = protobuf_open(out, LIST_VALUES);
	protobuf_write_double(out, VALUE_NUMBER, (double)s->column_count);
	protobuf_close(out, item);
	protobuf_close(out, list);
	protobuf_close(out, value);
	protobuf_close(out, entry);

	protobuf_close(out, object);
	protobuf_close(out, schema);
}

static void specs_write(struct buffer *out, uint32_t number, const struct tensor_spec *specs, size_t count,
			const struct served *columns)
{
	for (size_t i = 0; i < count; i++) {
		size_t mark = protobuf_open(out, number);

		protobuf_write_bytes(out, TENSOR_MESSAGETYPE, SPAN("tensor"));
		if (columns && columns->columns && count == 1)
			schema_write(out, columns);
		protobuf_write_bytes(out, TENSOR_NAME, specs[i].name);
		protobuf_write_bytes(out, TENSOR_DATATYPE, span_of(dtype_name(specs[i].dtype)));
		protobuf_write_packed_int64(out, TENSOR_SHAPE, specs[i].shape, (size_t)specs[i].rank);
		protobuf_close(out, mark);
	}
}

static void model_write(struct buffer *out, const struct served *s)
{
	const struct model_info *info = s->info;
	size_t entry;

	protobuf_write_bytes(out, METADATA_NAME, s->name);
	protobuf_write_bytes(out, METADATA_VERSIONS, s->version);
	if (!info)
		return;
	protobuf_write_bytes(out, METADATA_PLATFORM, info->platform);
	specs_write(out, METADATA_INPUTS, info->inputs, info->input_count, s);
	specs_write(out, METADATA_OUTPUTS, info->outputs, info->output_count, NULL);
	entry = protobuf_open(out, METADATA_CUSTOM);
	protobuf_write_bytes(out, ENTRY_KEY, SPAN("kind"));
	protobuf_write_bytes(out, ENTRY_VALUE, info->kind);
	protobuf_close(out, entry);
}

static void metadata_send(struct request *req, const struct served *s)
{
	if (seldon_component(req, s, COMPONENT_METADATA))
		return;
	model_write(&req->out, s);
	answer_message(req);
}

/* Model.Metadata */
static void metadata(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = seldon_grpc_model(req, &err);

	if (s)
		metadata_send(req, s);
	else
		request_fail(req, &err);
}

/* Seldon.ModelMetadata: the node by its name. */
static void model_metadata(struct request *req)
{
	struct protobuf p = protobuf(req->body);
	struct protobuf_field f;
	struct span name = { 0 };
	struct error err = { 0 };
	const struct served *s = NULL;
	bool ok = true;

	while (ok && protobuf_next(&p, &f, &err))
		ok = f.number != REQUEST_NAME || protobuf_string(&f, &name, &err);
	if (ok && !p.failed)
		s = name.len ? served_find_named(req, name, (struct span){ 0 }, &err) : seldon_grpc_model(req, &err);
	if (s)
		metadata_send(req, s);
	else
		request_fail(req, &err);
}

/* Seldon.GraphMetadata: a graph of one node for the model asked for; `models` has all that are served. */
static void graph_metadata(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = seldon_grpc_model(req, &err);
	const struct served *const *all;
	size_t count;

	if (!s) {
		request_fail(req, &err);
		return;
	}
	protobuf_write_bytes(&req->out, GRAPH_NAME, s->name);
	all = served_all(req, &count);
	for (size_t i = 0; i < count; i++) {
		size_t entry = protobuf_open(&req->out, GRAPH_MODELS), value;

		protobuf_write_bytes(&req->out, ENTRY_KEY, all[i]->name);
		value = protobuf_open(&req->out, ENTRY_VALUE);
		model_write(&req->out, all[i]);
		protobuf_close(&req->out, value);
		protobuf_close(&req->out, entry);
	}
	specs_write(&req->out, GRAPH_INPUTS, s->info->inputs, s->info->input_count, s);
	specs_write(&req->out, GRAPH_OUTPUTS, s->info->outputs, s->info->output_count, NULL);
	answer_message(req);
}

/* ---- routes ---- */

#define ROW(method, handler)                                                                                           \
	{                                                                                                              \
		METHOD_POST, "/seldon.protos." method, handler, &surface_seldon, ROUTE_GRPC                            \
	}

const struct route seldon_grpc_routes[] = {
	ROW("Seldon/Predict", predict),
	ROW("Seldon/SendFeedback", feedback),
	ROW("Seldon/ModelMetadata", model_metadata),
	ROW("Seldon/GraphMetadata", graph_metadata),
	ROW("Model/Predict", predict),
	ROW("Model/SendFeedback", feedback),
	ROW("Model/Metadata", metadata),
	ROW("Generic/TransformInput", transform_input),
	ROW("Generic/TransformOutput", transform_output),
	ROW("Generic/Route", route),
	ROW("Generic/Aggregate", aggregate),
	ROW("Generic/SendFeedback", feedback),
	ROW("Transformer/TransformInput", transform_input),
	ROW("OutputTransformer/TransformOutput", transform_output),
	ROW("Router/Route", route),
	ROW("Router/SendFeedback", feedback),
	ROW("Combiner/Aggregate", aggregate),
	{ 0 },
};
