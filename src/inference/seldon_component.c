/* SPDX-License-Identifier: Apache-2.0 */
/* seldon_component - Seldon's methods of somebody's code: a request's messages in, its answer out, REST and gRPC. */
#include "inference/component.h"

#include <math.h>

#include "base/clock.h"
#include "base/log.h"
#include "inference/seldon.h"
#include "inference/seldon_value.h"
#include "wire/protobuf.h"

enum { FEEDBACK_PARTS = 3 }; /* request, response, truth */
#define MESSAGES_MAX 4096    /* of a list to aggregate */

/* What a compute thread is given. */
struct component_job {
	struct span name; /* served under: found again there */
	enum component_method method;
	struct component_call call;
	int32_t routing;
};

static bool is_grpc(const struct request *req)
{
	return req->route && req->route->kind == ROUTE_GRPC;
}

/* ---- one message ---- */

/* A form has no text of its own: what it would have been as JSON. */
static bool multipart_take(struct request *req, struct component_job *job, struct error *err)
{
	struct seldon_message *m = job->call.messages;
	struct buffer text;
	bool ok;

	m->is_whole = true;
	if (!seldon_read_multipart(req, m, err))
		return false;
	buffer_init(&text, req->arena.limit);
	ok = seldon_write_json(&text, m, NULL, &req->arena, err) && buffer_ok(&text, "the form", err);
	if (ok)
		job->call.raw = arena_copy(&req->arena, buffer_span(&text), err);
	buffer_done(&text);
	return ok && job->call.raw.ptr;
}

static bool message_take(struct request *req, struct component_job *job, struct error *err)
{
	struct component_call *call = &job->call;

	call->messages = ARENA_NEW(&req->arena, struct seldon_message, err);
	call->message_count = 1;
	if (!call->messages)
		return false;
	if (call->is_grpc) {
		call->raw = req->body;
		return seldon_read_protobuf_whole(call->messages, req->body, &req->arena, err);
	}
	if (request_is_multipart(req))
		return multipart_take(req, job, err);
	return seldon_find_text(req, &call->raw, err) &&
	       seldon_read_json_whole(call->messages, call->raw, &req->arena, err);
}

/* ---- a list of messages ---- */

static bool list_grow(struct request *req, struct component_call *call, size_t *cap, struct error *err)
{
	struct seldon_message *more;
	size_t want = MAX(2 * *cap, (size_t)4);

	if (call->message_count == MESSAGES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d messages to aggregate", MESSAGES_MAX);
	if (call->message_count < *cap)
		return true;
	more = ARENA_ARRAY(&req->arena, struct seldon_message, want, err);
	if (!more)
		return false;
	if (call->message_count)
		memcpy(more, call->messages, call->message_count * sizeof(*more));
	call->messages = more;
	*cap = want;
	return true;
}

static bool list_take_protobuf(struct request *req, struct component_call *call, struct error *err)
{
	struct protobuf p = protobuf(req->body);
	struct protobuf_field f;
	struct span bytes;
	size_t cap = 0;

	call->raw = req->body;
	while (protobuf_next(&p, &f, err)) {
		if (f.number != 1)
			continue;
		if (!protobuf_bytes(&f, &bytes, err) || !list_grow(req, call, &cap, err) ||
		    !seldon_read_protobuf_whole(&call->messages[call->message_count], bytes, &req->arena, err))
			return false;
		call->message_count++;
	}
	return !p.failed;
}

static bool elements_take(struct request *req, struct component_call *call, struct json *j, struct error *err)
{
	struct span text;
	size_t cap = 0;

	if (json_peek(j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "seldonMessages must be a list");
	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		if (!json_read_raw(j, &text, err) || !list_grow(req, call, &cap, err) ||
		    !seldon_read_json_whole(&call->messages[call->message_count], text, &req->arena, err))
			return false;
		call->message_count++;
	}
	return !j->failed;
}

/* A bare list, or {"seldonMessages": [...]}. */
static bool list_take_json(struct request *req, struct component_call *call, struct error *err)
{
	bool is_found = false;
	struct span key;
	struct json j;

	if (!seldon_find_text(req, &call->raw, err))
		return false;
	json_init(&j, call->raw, &req->arena);
	j.allow_nonfinite = true;
	if (json_peek(&j) == JSON_ARRAY)
		return elements_take(req, call, &j, err) && json_finish(&j, err);
	if (json_peek(&j) != JSON_OBJECT || !json_enter_object(&j, err))
		return error_set(err, ERROR_INVALID, "Can't find JSON in data");
	while (json_next_key(&j, &key, err)) {
		bool is_list = span_equal(key, SPAN("seldonMessages")) && !is_found;

		if (!(is_list ? elements_take(req, call, &j, err) : json_skip(&j, err)))
			return false;
		is_found = is_found || is_list;
	}
	if (!json_finish(&j, err))
		return error_wrap(err, "Can't find JSON in data");
	return is_found || error_set(err, ERROR_INVALID,
				     "Invalid request data type: expected a list, or an object with seldonMessages");
}

/* ---- feedback ---- */

/* response.meta.routing of this unit. */
static bool routing_read(struct component_job *job, struct span meta, struct arena *arena, struct error *err)
{
	struct span unit = seldon_unit()->name, key;
	struct json j;

	if (!meta.ptr || unit.len == 0)
		return true;
	json_init(&j, meta, arena);
	j.allow_nonfinite = true;
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		int64_t branch;

		if (!span_equal(key, SPAN("routing")) || json_peek(&j) != JSON_OBJECT) {
			if (!json_skip(&j, err))
				return false;
			continue;
		}
		if (!json_enter_object(&j, err))
			return false;
		while (json_next_key(&j, &key, err)) {
			if (!span_equal(key, unit)) {
				if (!json_skip(&j, err))
					return false;
				continue;
			}
			if (!json_read_int64(&j, &branch, err) || branch < INT32_MIN || branch > INT32_MAX)
				return error_set(err, ERROR_INVALID,
						 "response.meta.routing." SPAN_FMT " is no whole number",
						 SPAN_ARG(unit));
			job->routing = (int32_t)branch;
			job->call.routing = &job->routing;
		}
	}
	return !j.failed;
}

static bool part_take(struct request *req, struct component_job *job, size_t part, struct span bytes, struct error *err)
{
	static const char *const names[FEEDBACK_PARTS] = { "request", "response", "truth" };
	struct component_call *call = &job->call;
	struct seldon_message *m = &call->messages[part];
	bool *has[FEEDBACK_PARTS] = { &call->has_request, &call->has_response, &call->has_truth };

	if (!(call->is_grpc ? seldon_read_protobuf_whole(m, bytes, &req->arena, err)
			    : seldon_read_json_whole(m, bytes, &req->arena, err)))
		return error_wrap(err, "%s", names[part]);
	*has[part] = true;
	return part != 1 || routing_read(job, m->meta, &req->arena, err);
}

static bool feedback_take_protobuf(struct request *req, struct component_job *job, struct error *err)
{
	static const int parts[] = { -1, 0, 1, -1, 2 }; /* by field: request 1, response 2, reward 3, truth 4 */
	struct protobuf p = protobuf(req->body);
	struct protobuf_field f;
	struct span bytes;
	float reward;

	job->call.raw = req->body;
	while (protobuf_next(&p, &f, err)) {
		if (f.number == 3) {
			if (!protobuf_float(&f, &reward, err))
				return error_wrap(err, "reward");
			job->call.reward = (double)reward;
		} else if (f.number < ARRAY_LEN(parts)) {
			if (!protobuf_bytes(&f, &bytes, err) ||
			    !part_take(req, job, (size_t)parts[f.number], bytes, err))
				return false;
		}
	}
	return !p.failed;
}

static bool feedback_take_json(struct request *req, struct component_job *job, struct error *err)
{
	static const struct span keys[FEEDBACK_PARTS] = { SPAN_INIT("request"), SPAN_INIT("response"),
							  SPAN_INIT("truth") };
	struct seldon_feedback f;
	struct span key, text;
	struct json j;

	/* Types and the reward first; then the messages. */
	if (!seldon_find_text(req, &job->call.raw, err) ||
	    !seldon_read_feedback_json(&f, job->call.raw, &req->arena, err))
		return false;
	job->call.reward = f.reward;
	json_init(&j, job->call.raw, &req->arena);
	j.allow_nonfinite = true;
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		size_t part = 0;

		while (part < FEEDBACK_PARTS && !span_equal(key, keys[part]))
			part++;
		if (part == FEEDBACK_PARTS || json_peek(&j) == JSON_NULL) {
			if (!json_skip(&j, err))
				return false;
			continue;
		}
		if (!json_read_raw(&j, &text, err) || !part_take(req, job, part, text, err))
			return false;
	}
	return json_finish(&j, err);
}

static bool feedback_take(struct request *req, struct component_job *job, const struct served *served,
			  struct error *err)
{
	struct component_call *call = &job->call;
	struct seldon_feedback f = { 0 };

	call->messages = ARENA_ARRAY(&req->arena, struct seldon_message, FEEDBACK_PARTS, err);
	if (!call->messages)
		return false;
	memset(call->messages, 0, FEEDBACK_PARTS * sizeof(*call->messages));
	call->message_count = FEEDBACK_PARTS;
	if (!(call->is_grpc ? feedback_take_protobuf(req, job, err) : feedback_take_json(req, job, err)))
		return false;
	f.reward = call->reward;
	return seldon_reward(served, &f, err);
}

static bool question_take(struct request *req, struct component_job *job, const struct served *served,
			  struct error *err)
{
	switch (job->method) {
	case COMPONENT_PREDICT:
	case COMPONENT_TRANSFORM_INPUT:
	case COMPONENT_TRANSFORM_OUTPUT:
	case COMPONENT_ROUTE:
		return message_take(req, job, err);
	case COMPONENT_AGGREGATE:
		return job->call.is_grpc ? list_take_protobuf(req, &job->call, err)
					 : list_take_json(req, &job->call, err);
	case COMPONENT_FEEDBACK:
		return feedback_take(req, job, served, err);
	case COMPONENT_HEALTH:
	case COMPONENT_METADATA:
	case COMPONENT_METRICS:
		return true;
	}
	return true;
}

/* ---- the answer ---- */

static bool is_data(const struct seldon_message *m)
{
	return m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR;
}

static bool is_along(enum component_method method)
{
	return method == COMPONENT_PREDICT || method == COMPONENT_TRANSFORM_INPUT ||
	       method == COMPONENT_TRANSFORM_OUTPUT;
}

/* What of the request's meta goes on where the answer says nothing of its own. */
static void meta_settle(const struct component_call *call, struct seldon_message *a)
{
	const struct seldon_message *m = call->messages;

	if (!is_along(call->method) || call->message_count == 0)
		return;
	if (a->meta.ptr && a->meta.ptr == m->meta.ptr)
		a->meta = (struct span){ 0 }; /* the question given back: its parts count, and routing ends here */
	if (a->meta.ptr || a->puid.ptr || a->tags.ptr || a->metrics.ptr || a->request_path.ptr)
		return;
	a->puid = m->puid;
	a->tags = m->tags;
	a->metrics = m->metrics;
	a->request_path = m->request_path;
}

/* Only what can be written goes to the writers: text and booleans as ndarray, half floats as floats. */
static bool payload_settle(struct seldon_message *a, bool for_grpc, struct arena *arena, struct error *err)
{
	a->is_protobuf = false;
	a->scalars = NULL;
	if (a->kind == SELDON_CUSTOM && !for_grpc)
		return error_set(err, ERROR_INTERNAL, "customData can only be answered over gRPC");
	if (!is_data(a))
		return true;
	if (a->nested.ptr) {
		a->kind = SELDON_NDARRAY;
		return true;
	}
	if (a->kind == SELDON_TFTENSOR)
		return tensor_aligned(&a->tensor, arena, err);
	if (a->tensor.dtype == DTYPE_BYTES || a->tensor.dtype == DTYPE_BOOL)
		a->kind = SELDON_NDARRAY;
	return seldon_plain(&a->tensor, arena, err);
}

static bool message_encode(struct request *req, struct component_call *call, struct error *err)
{
	bool has_path = is_along(call->method) || call->method == COMPONENT_AGGREGATE;
	const struct seldon_unit *unit = has_path ? seldon_unit() : NULL;
	struct seldon_message *a = &call->answer;

	meta_settle(call, a);
	if (!payload_settle(a, call->is_grpc, &req->arena, err))
		return false;
	if (call->is_grpc)
		return seldon_write_protobuf_whole(&req->out, a, unit, &req->arena, err);
	return seldon_write_json(&req->out, a, unit, &req->arena, err);
}

/* Metadata is JSON on REST, and a message of its own on gRPC. */
static bool metadata_encode(struct request *req, const struct component_call *call, struct error *err)
{
	struct json_writer w = json_writer(&req->out);

	if (call->answer.kind != SELDON_JSON)
		return error_set(err, ERROR_INTERNAL, "metadata is not JSON");
	if (call->is_grpc)
		return seldon_metadata_write(&req->out, call->answer.bytes, &req->arena, err);
	return json_write_sorted(&w, call->answer.bytes, &req->arena, err);
}

static bool answer_encode(struct request *req, struct component_call *call, struct error *err)
{
	bool ok = true;

	if (call->answer_is_raw)
		buffer_append(&req->out, call->raw_answer);
	else if (call->method == COMPONENT_METADATA)
		ok = metadata_encode(req, call, err);
	else
		ok = message_encode(req, call, err);
	if (ok && buffer_ok(&req->out, "the answer", err))
		return true;
	buffer_clear(&req->out);
	/* What the component answered is not the client's fault. */
	if (err->code == ERROR_INVALID)
		err->code = ERROR_INTERNAL;
	return false;
}

static void job_fail(struct request *req, const struct component_call *call, const struct error *err)
{
	int status = call->error_status ? call->error_status : error_http(err->code);

	if (call->is_grpc)
		request_fail(req, err);
	else
		seldon_send_failure(req, status, call->error_code,
				    call->error_reason.len ? call->error_reason : seldon_reason(status),
				    error_span(err));
}

/* ---- asking ---- */

static void count(const struct served *s, const struct component_call *call, bool is_ok, int64_t ns)
{
	const struct seldon_message *m = call->messages;

	if (call->method != COMPONENT_PREDICT)
		return;
	metric_add(is_ok ? s->inferences : s->failures, 1);
	if (!is_ok)
		return;
	metric_add(s->rows, is_data(m) && !m->nested.ptr && m->tensor.rank > 0 ? (uint64_t)m->tensor.shape[0] : 1);
	metric_observe(s->seconds, ns);
}

static bool job_ask(struct request *req, struct component_job *job, const struct served *served, struct error *err)
{
	struct component *c = served->component;
	int64_t start_ns = clock_monotonic_ns();
	bool ok = c->call(c, &job->call, &req->arena, err);

	count(served, &job->call, ok, clock_monotonic_ns() - start_ns);
	if (!ok)
		return false;
	ok = answer_encode(req, &job->call, err);
	if (!ok)
		log_error("inference", "an answer of code cannot be sent", LOG_SPAN("model", served->name),
			  LOG_SPAN("request", job->call.request_id), LOG_TEXT("reason", err->message));
	if (job->call.release)
		job->call.release(job->call.held);
	return ok;
}

static void job_run(struct request *req, void *arg)
{
	struct component_job *job = arg;
	struct component_call *call = &job->call;
	struct error err = { 0 };
	const struct served *served = served_find_named(req, job->name, (struct span){ 0 }, &err);

	*call = (struct component_call){ .method = job->method,
					 .is_grpc = is_grpc(req),
					 .request_id = span_from(req->id, req->id_len),
					 .status = 200,
					 .error_code = -1 };
	if (!served || !question_take(req, job, served, &err)) {
		request_fail(req, &err);
		return;
	}
	if (!job_ask(req, job, served, &err)) {
		job_fail(req, call, &err);
		return;
	}
	if (call->message_count)
		seldon_set_puid(req, call->messages[0].puid);
	request_send(req, call->status, call->is_grpc ? (struct span){ 0 } : SPAN("application/json"));
}

bool seldon_component(struct request *req, const struct served *s, enum component_method method)
{
	struct error err = { 0 };
	struct component_job *job;

	if (!s->component)
		return false;
	job = ARENA_NEW(&req->arena, struct component_job, &err);
	if (!job) {
		request_fail(req, &err);
		return true;
	}
	job->name = s->name; /* names live as long as the inference */
	job->method = method;
	inference_offload(req, job_run, job);
	return true;
}

/* ---- metrics ---- */

bool component_is_served(struct request *req)
{
	size_t n;
	const struct served *const *all = served_all(req, &n);

	for (size_t i = 0; i < n; i++) {
		if (all[i]->component)
			return true;
	}
	return false;
}

static void one_metrics(struct request *req, struct component *c, struct buffer *out)
{
	struct component_call call = { .method = COMPONENT_METRICS,
				       .request_id = span_from(req->id, req->id_len),
				       .status = 200,
				       .error_code = -1 };
	struct error ignored = { 0 };
	struct span text;

	if (!c->call(c, &call, &req->arena, &ignored))
		return; /* the server's own are told all the same */
	text = call.answer_is_raw ? call.raw_answer : call.answer.kind == SELDON_TEXT ? call.answer.bytes : SPAN("");
	buffer_append(out, text);
	if (text.len > 0 && !span_ends(text, SPAN("\n")))
		buffer_byte(out, '\n');
	if (call.release)
		call.release(call.held);
}

void component_metrics(struct request *req, struct buffer *out)
{
	size_t n;
	const struct served *const *all = served_all(req, &n);

	for (size_t i = 0; i < n; i++) {
		if (all[i]->component)
			one_metrics(req, all[i]->component, out);
	}
}
