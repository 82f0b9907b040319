/* SPDX-License-Identifier: Apache-2.0 */
/* v2_grpc - inference.GRPCInferenceService: the Open Inference Protocol (V2) over gRPC. */
#include "inference/surfaces.h"
#include "inference/v2.h"
#include "wire/protobuf.h"

static const struct surface surface_grpc = { "grpc", fail_as_json_error };

static void send_message(struct request *req)
{
	request_send(req, 200, (struct span){ 0 });
}

/* ---- small requests ---- */

/* Most have a name in field 1 and a version in field 2. */
static const struct served *find_named(struct request *req, bool any_state, struct error *err)
{
	struct protobuf p = protobuf(req->body);
	struct protobuf_field f;
	struct span name = { 0 }, version = { 0 };

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_bytes(&f, &name, err))
			return NULL;
		if (f.number == 2 && !protobuf_bytes(&f, &version, err))
			return NULL;
	}
	if (p.failed)
		return NULL;
	return any_state ? served_look(req, name, version, err) : served_find_named(req, name, version, err);
}

static void server_live(struct request *req)
{
	protobuf_write_uint64(&req->out, 1, 1);
	send_message(req);
}

static void model_ready(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = find_named(req, true, &err);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	if (s->state == SERVED_READY)
		protobuf_write_uint64(&req->out, 1, 1);
	send_message(req);
}

static void server_metadata(struct request *req)
{
	protobuf_write_bytes(&req->out, 1, SPAN(V2_SERVER_NAME));
	protobuf_write_bytes(&req->out, 2, SPAN(HYTHE_VERSION));
	for (size_t i = 0; i < v2_extension_count; i++)
		protobuf_write_bytes(&req->out, 3, v2_extensions[i]);
	send_message(req);
}

static void write_specs(struct buffer *out, uint32_t number, const struct tensor_spec *specs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t mark = protobuf_open(out, number);

		protobuf_write_bytes(out, 1, specs[i].name);
		protobuf_write_bytes(out, 2, span_of(dtype_name(specs[i].dtype)));
		protobuf_write_packed_int64(out, 3, specs[i].shape, (size_t)MAX(specs[i].rank, 0));
		protobuf_close(out, mark);
	}
}

static void model_metadata(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = find_named(req, false, &err);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	protobuf_write_bytes(&req->out, 1, s->name);
	protobuf_write_bytes(&req->out, 2, s->version);
	protobuf_write_bytes(&req->out, 3, s->info->platform);
	write_specs(&req->out, 4, s->info->inputs, s->info->input_count);
	write_specs(&req->out, 5, s->info->outputs, s->info->output_count);
	send_message(req);
}

/* model_config.proto numbers its types in an order of its own. */
static const uint8_t config_types[DTYPE_COUNT] = {
	[DTYPE_BOOL] = 1,  [DTYPE_UINT8] = 2, [DTYPE_UINT16] = 3, [DTYPE_UINT32] = 4, [DTYPE_UINT64] = 5,
	[DTYPE_INT8] = 6,  [DTYPE_INT16] = 7, [DTYPE_INT32] = 8,  [DTYPE_INT64] = 9,  [DTYPE_FP16] = 10,
	[DTYPE_FP32] = 11, [DTYPE_FP64] = 12, [DTYPE_BYTES] = 13, [DTYPE_BF16] = 14,
};

static void write_config_specs(struct buffer *out, uint32_t number, uint32_t dims, const struct tensor_spec *specs,
			       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t mark = protobuf_open(out, number);

		protobuf_write_bytes(out, 1, specs[i].name);
		protobuf_write_uint64(out, 2, config_types[specs[i].dtype]);
		protobuf_write_packed_int64(out, dims, specs[i].shape, (size_t)MAX(specs[i].rank, 0));
		protobuf_close(out, mark);
	}
}

static void model_config(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = find_named(req, false, &err);
	struct buffer *out = &req->out;
	size_t config, policy, latest;

	if (!s) {
		request_fail(req, &err);
		return;
	}
	config = protobuf_open(out, 1);
	protobuf_write_bytes(out, 1, s->name);
	protobuf_write_bytes(out, 2, s->info->platform);
	policy = protobuf_open(out, 3);
	latest = protobuf_open(out, 1);
	protobuf_write_uint64(out, 1, 1);
	protobuf_close(out, latest);
	protobuf_close(out, policy);
	write_config_specs(out, 5, 4, s->info->inputs, s->info->input_count);
	write_config_specs(out, 6, 3, s->info->outputs, s->info->output_count);
	protobuf_write_bytes(out, 17, SPAN(V2_SERVER_NAME));
	protobuf_close(out, config);
	send_message(req);
}

static void write_duration(struct buffer *out, uint32_t number, uint64_t count, uint64_t ns)
{
	size_t mark = protobuf_open(out, number);

	if (count)
		protobuf_write_uint64(out, 1, count);
	if (ns)
		protobuf_write_uint64(out, 2, ns);
	protobuf_close(out, mark);
}

static void write_stats(struct buffer *out, const struct served *s)
{
	struct served_totals t = served_totals(s);
	size_t mark = protobuf_open(out, 1), inner;

	protobuf_write_bytes(out, 1, s->name);
	protobuf_write_bytes(out, 2, s->version);
	protobuf_write_uint64(out, 3, (uint64_t)t.last_ns / 1000000);
	protobuf_write_uint64(out, 4, t.rows);
	protobuf_write_uint64(out, 5, t.successes);
	inner = protobuf_open(out, 6);
	write_duration(out, 1, t.successes, t.model_ns);
	write_duration(out, 2, t.failures, 0);
	write_duration(out, 3, t.successes, 0);
	write_duration(out, 4, t.successes, 0);
	write_duration(out, 5, t.successes, t.model_ns);
	write_duration(out, 6, t.successes, 0);
	write_duration(out, 7, 0, 0);
	write_duration(out, 8, 0, 0);
	protobuf_close(out, inner);
	if (s->info) {
		inner = protobuf_open(out, 8);
		protobuf_write_bytes(out, 1, SPAN("CPU"));
		protobuf_write_uint64(out, 3, s->info->bytes);
		protobuf_close(out, inner);
	}
	protobuf_close(out, mark);
}

static void model_statistics(struct request *req)
{
	struct error err = { 0 };
	const struct served *one, *const *all = &one;
	size_t count = 1;

	if (req->body.len == 0) {
		all = served_all(req, &count); /* no name: every model */
	} else if (!(one = find_named(req, true, &err))) {
		request_fail(req, &err);
		return;
	}
	for (size_t i = 0; i < count; i++)
		write_stats(&req->out, all[i]);
	send_message(req);
}

/* ---- the repository ---- */

static void repository_index(struct request *req)
{
	struct error err = { 0 };
	struct protobuf p = protobuf(req->body);
	struct protobuf_field f;
	bool ready_only = false;
	size_t count;
	const struct served *const *all = served_all(req, &count);

	while (protobuf_next(&p, &f, &err)) {
		if (f.number == 2 && !protobuf_bool(&f, &ready_only, &err)) {
			p.failed = true;
			break;
		}
	}
	if (p.failed) {
		request_fail(req, &err);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t mark;

		if (ready_only && all[i]->state != SERVED_READY)
			continue;
		mark = protobuf_open(&req->out, 1);
		protobuf_write_bytes(&req->out, 1, all[i]->name);
		protobuf_write_bytes(&req->out, 2, all[i]->version);
		protobuf_write_bytes(&req->out, 3, v2_state_name(all[i]->state));
		if (all[i]->reason.len)
			protobuf_write_bytes(&req->out, 4, all[i]->reason);
		protobuf_close(&req->out, mark);
	}
	send_message(req);
}

/* ModelRepositoryParameter: text in field 3 (string) or 4 (bytes). */
static bool read_parameter(struct span entry, struct arena *arena, struct error *err)
{
	struct protobuf p = protobuf(entry);
	struct protobuf_field f;
	struct span key = { 0 }, value = { 0 }, text = { 0 };

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_bytes(&f, &key, err))
			return false;
		if (f.number == 2 && !protobuf_bytes(&f, &value, err))
			return false;
	}
	if (p.failed)
		return false;
	if (span_starts(key, SPAN("file:")))
		return v2_refuse_file(key, err);
	if (!span_equal(key, SPAN("config")))
		return true;
	p = protobuf(value);
	while (protobuf_next(&p, &f, err))
		if ((f.number == 3 || f.number == 4) && !protobuf_bytes(&f, &text, err))
			return false;
	return !p.failed && v2_check_config(text, arena, err);
}

static bool read_change(struct request *req, struct span *ret_name, struct error *err)
{
	struct protobuf p = protobuf(req->body);
	struct protobuf_field f;
	struct span entry;

	*ret_name = (struct span){ 0 };
	while (protobuf_next(&p, &f, err)) {
		if (f.number == 2 && !protobuf_bytes(&f, ret_name, err))
			return false;
		if (f.number == 3 && (!protobuf_bytes(&f, &entry, err) || !read_parameter(entry, &req->arena, err)))
			return false;
	}
	return !p.failed;
}

static void load_run(struct request *req, void *arg)
{
	struct error err = { 0 };
	struct span name;

	(void)arg;
	if (read_change(req, &name, &err) && inference_load(req->context, name, &err))
		send_message(req);
	else
		request_fail(req, &err);
}

static void repository_load(struct request *req)
{
	inference_offload(req, load_run, NULL);
}

static void unload_run(struct request *req, void *arg)
{
	struct error err = { 0 };
	struct span name;

	(void)arg;
	if (read_change(req, &name, &err) && inference_unload(req->context, name, &err))
		send_message(req);
	else
		request_fail(req, &err);
}

static void repository_unload(struct request *req)
{
	inference_offload(req, unload_run, NULL);
}

/* ---- ModelInfer ---- */

static struct v2_message *message_of(struct call *call)
{
	return CONTAINER_OF(call, struct v2_message, infer.call);
}

/* Decodes, and finds the model. */
static struct v2_message *infer_read(struct request *req, struct error *err)
{
	struct v2_message *m = ARENA_NEW(&req->arena, struct v2_message, err);

	if (!m || !v2_message_read(req->body, &req->arena, m, err))
		return NULL;
	m->infer.call.served = served_find_named(req, m->model_name, m->model_version, err);
	return m->infer.call.served ? m : NULL;
}

static bool infer_write(struct request *req, struct v2_message *m, struct error *err)
{
	return call_run(req, &m->infer.call, err) && v2_classify_results(&m->infer, &req->arena, err) &&
	       v2_message_write(&req->out, m, err);
}

static void infer_finish(struct request *req, struct call *call)
{
	struct error err = { 0 };

	if (LIKELY(infer_write(req, message_of(call), &err))) {
		send_message(req);
		return;
	}
	buffer_clear(&req->out);
	request_fail(req, &err);
}

static void infer_start(struct request *req, void *arg)
{
	struct error err = { 0 };
	struct v2_message *m = infer_read(req, &err);

	(void)arg;
	if (UNLIKELY(!m))
		request_fail(req, &err);
	else if (UNLIKELY(call_is_long(req, &m->infer.call)))
		call_offload(req, &m->infer.call, infer_finish);
	else
		infer_finish(req, &m->infer.call);
}

static void model_infer(struct request *req)
{
	if (UNLIKELY(req->body.len > REQUEST_INLINE_BYTES))
		inference_offload(req, infer_start, NULL);
	else
		infer_start(req, NULL);
}

/* ---- ModelStreamInfer: each message is answered by one, errors too, and the stream goes on ---- */

static void stream_fail(struct request *req, const struct v2_message *m, const struct error *err)
{
	size_t mark;

	buffer_clear(&req->out);
	protobuf_write_bytes(&req->out, 1, error_span(err));
	if (m) {
		/* So that the client can tell which of its requests failed. */
		mark = protobuf_open(&req->out, 2);
		protobuf_write_bytes(&req->out, 1, m->model_name);
		if (m->infer.call.id.len)
			protobuf_write_bytes(&req->out, 3, m->infer.call.id);
		protobuf_close(&req->out, mark);
	}
	request_send_part(req);
}

static void stream_finish(struct request *req, struct v2_message *m)
{
	struct error err = { 0 };
	size_t mark = protobuf_open(&req->out, 2);

	if (!infer_write(req, m, &err)) {
		stream_fail(req, m, &err);
		return;
	}
	protobuf_close(&req->out, mark);
	request_send_part(req);
}

static void stream_start(struct request *req, void *arg)
{
	struct error err = { 0 };
	struct v2_message *m = ARENA_NEW(&req->arena, struct v2_message, &err);

	(void)arg;
	if (!m || !v2_message_read(req->body, &req->arena, m, &err)) {
		stream_fail(req, m, &err);
		return;
	}
	m->infer.call.served = served_find_named(req, m->model_name, m->model_version, &err);
	if (!m->infer.call.served)
		stream_fail(req, m, &err);
	else if (UNLIKELY(call_is_long(req, &m->infer.call)))
		inference_offload(req, stream_start, NULL); /* decoded again there: long calls are few */
	else
		stream_finish(req, m);
}

static void model_stream_infer(struct request *req)
{
	if (req->is_end)
		send_message(req);
	else if (req->body.len > REQUEST_INLINE_BYTES)
		inference_offload(req, stream_start, NULL);
	else
		stream_start(req, NULL);
}

#define SERVICE "/inference.GRPCInferenceService/"

const struct route v2_grpc_routes[] = {
	{ METHOD_POST, SERVICE "ServerLive", server_live, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ServerReady", server_live, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ModelReady", model_ready, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ServerMetadata", server_metadata, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ModelMetadata", model_metadata, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ModelInfer", model_infer, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ModelStreamInfer", model_stream_infer, &surface_grpc, ROUTE_GRPC_STREAM },
	{ METHOD_POST, SERVICE "ModelConfig", model_config, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "ModelStatistics", model_statistics, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "RepositoryIndex", repository_index, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "RepositoryModelLoad", repository_load, &surface_grpc, ROUTE_GRPC },
	{ METHOD_POST, SERVICE "RepositoryModelUnload", repository_unload, &surface_grpc, ROUTE_GRPC },
	{ 0 },
};
