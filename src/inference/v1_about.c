/* SPDX-License-Identifier: Apache-2.0 */
/* v1_about - which models there are, how they do, and what they take. */
#include "base/number.h"
#include "inference/v1.h"

void v1_models(struct request *req)
{
	struct json_writer w = json_writer(&req->out);
	size_t count;
	const struct served *const *all = served_all(req, &count);

	json_open_object(&w);
	json_key(&w, SPAN("models"));
	json_open_array(&w);
	for (size_t i = 0; i < count; i++)
		json_string(&w, all[i]->name);
	json_close_array(&w);
	json_close_object(&w);
	request_send(req, 200, SPAN("application/json"));
}

/* TensorFlow Serving's version status and KServe's readiness in one. */
void v1_status(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_look(req, request_param(req, "model"), request_param(req, "version"), &err);
	struct json_writer w = json_writer(&req->out);
	bool is_ready = s && s->state == SERVED_READY;

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("ready"));
	json_bool(&w, is_ready);
	json_key(&w, SPAN("model_version_status"));
	json_open_array(&w);
	json_open_object(&w);
	json_key(&w, SPAN("version"));
	json_string(&w, s->version);
	json_key(&w, SPAN("state"));
	json_string(&w, is_ready ? SPAN("AVAILABLE") : s->state == SERVED_LOADING ? SPAN("LOADING") : SPAN("END"));
	json_key(&w, SPAN("status"));
	json_open_object(&w);
	json_key(&w, SPAN("error_code"));
	json_string(&w, is_ready ? SPAN("OK") : SPAN("UNAVAILABLE"));
	json_key(&w, SPAN("error_message"));
	json_string(&w, s->reason);
	json_close_object(&w);
	json_close_object(&w);
	json_close_array(&w);
	json_close_object(&w);
	request_send(req, is_ready ? 200 : 503, SPAN("application/json"));
}

static void write_signature_tensors(struct json_writer *w, struct span key, const struct tensor_spec *specs,
				    size_t count)
{
	static const char *const types[DTYPE_COUNT] = {
		[DTYPE_BOOL] = "DT_BOOL",     [DTYPE_UINT8] = "DT_UINT8",   [DTYPE_UINT16] = "DT_UINT16",
		[DTYPE_UINT32] = "DT_UINT32", [DTYPE_UINT64] = "DT_UINT64", [DTYPE_INT8] = "DT_INT8",
		[DTYPE_INT16] = "DT_INT16",   [DTYPE_INT32] = "DT_INT32",   [DTYPE_INT64] = "DT_INT64",
		[DTYPE_FP16] = "DT_HALF",     [DTYPE_BF16] = "DT_BFLOAT16", [DTYPE_FP32] = "DT_FLOAT",
		[DTYPE_FP64] = "DT_DOUBLE",   [DTYPE_BYTES] = "DT_STRING",
	};
	char number[NUMBER_TEXT_MAX];

	json_key(w, key);
	json_open_object(w);
	for (size_t i = 0; i < count; i++) {
		json_key(w, specs[i].name);
		json_open_object(w);
		json_key(w, SPAN("dtype"));
		json_string(w, span_of(types[specs[i].dtype]));
		json_key(w, SPAN("tensor_shape"));
		json_open_object(w);
		json_key(w, SPAN("dim"));
		json_open_array(w);
		for (int d = 0; d < specs[i].rank; d++) {
			json_open_object(w);
			json_key(w, SPAN("size")); /* 64-bit integers are strings in protobuf's JSON */
			json_string(w, (struct span){
					   number, (size_t)(number_print_int64(number, specs[i].shape[d]) - number) });
			json_key(w, SPAN("name"));
			json_string(w, SPAN(""));
			json_close_object(w);
		}
		json_close_array(w);
		json_key(w, SPAN("unknown_rank"));
		json_bool(w, false);
		json_close_object(w);
		json_key(w, SPAN("name"));
		json_string(w, specs[i].name);
		json_close_object(w);
	}
	json_close_object(w);
}

void v1_metadata(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_find(req, &err);
	struct json_writer w = json_writer(&req->out);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("model_spec"));
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("signature_name"));
	json_string(&w, SPAN(""));
	json_key(&w, SPAN("version"));
	json_string(&w, s->version);
	json_close_object(&w);
	json_key(&w, SPAN("metadata"));
	json_open_object(&w);
	json_key(&w, SPAN("signature_def"));
	json_open_object(&w);
	json_key(&w, SPAN("signature_def"));
	json_open_object(&w);
	json_key(&w, SPAN("serving_default"));
	json_open_object(&w);
	write_signature_tensors(&w, SPAN("inputs"), s->info->inputs, s->info->input_count);
	write_signature_tensors(&w, SPAN("outputs"), s->info->outputs, s->info->output_count);
	json_key(&w, SPAN("method_name"));
	json_string(&w, SPAN("tensorflow/serving/predict"));
	for (int i = 0; i < 5; i++)
		json_close_object(&w);
	request_send(req, 200, SPAN("application/json"));
}
