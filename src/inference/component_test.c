/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inference/component.h"
#include "inference/fake_server.h"
#include "inference/seldon_value.h"
#include "wire/protobuf.h"

/* ---- components ---- */

/* What the last call saw. */
static struct {
	enum component_method method;
	bool is_grpc, was_offloaded, has_request, has_response, has_truth, has_routing;
	size_t count, name_count;
	enum seldon_kind kind;
	enum dtype dtype;
	int64_t shape[TENSOR_RANK_MAX];
	int rank, routing;
	double reward;
	char nested[128], bytes[128], meta[256], raw[512], name[16], truth[32];
} seen;
static int released;

static void note(char *to, size_t size, struct span s)
{
	(void)snprintf(to, size, SPAN_FMT, SPAN_ARG(s));
}

static void see(const struct component_call *call)
{
	const struct seldon_message *m = call->messages;

	memset(&seen, 0, sizeof(seen));
	seen.method = call->method;
	seen.is_grpc = call->is_grpc;
	seen.was_offloaded = answer.is_offloaded;
	seen.has_request = call->has_request;
	seen.has_response = call->has_response;
	seen.has_truth = call->has_truth;
	seen.has_routing = call->routing != NULL;
	seen.routing = call->routing ? *call->routing : 0;
	seen.reward = call->reward;
	seen.count = call->message_count;
	note(seen.raw, sizeof(seen.raw), call->raw);
	if (call->message_count == 0)
		return;
	seen.kind = m->kind;
	seen.dtype = m->tensor.dtype;
	seen.rank = m->tensor.rank;
	memcpy(seen.shape, m->tensor.shape, sizeof(seen.shape));
	seen.name_count = m->name_count;
	if (m->name_count)
		note(seen.name, sizeof(seen.name), m->names[0]);
	note(seen.nested, sizeof(seen.nested), m->nested);
	note(seen.bytes, sizeof(seen.bytes), m->bytes);
	note(seen.meta, sizeof(seen.meta), m->meta);
	if (call->has_truth)
		note(seen.truth, sizeof(seen.truth), call->messages[2].bytes);
}

static void text_answer(struct component_call *call, enum seldon_kind kind, struct span text)
{
	call->answer = (struct seldon_message){ .kind = kind, .bytes = text };
}

static bool tensor_double(struct component_call *call, struct arena *arena, struct error *err)
{
	const struct tensor *from = &call->messages[0].tensor;
	struct tensor to;

	if (from->dtype != DTYPE_INT64 && from->dtype != DTYPE_FP64 && from->dtype != DTYPE_FP32)
		return error_set(err, ERROR_INTERNAL, "cannot double %s", dtype_name(from->dtype));
	if (!tensor_new(&to, from->name, from->dtype, from->rank, from->shape, arena, err))
		return false;
	for (size_t i = 0; i < from->count; i++) {
		if (from->dtype == DTYPE_INT64)
			((int64_t *)to.data)[i] = 2 * ((const int64_t *)from->data)[i];
		else if (from->dtype == DTYPE_FP64)
			((double *)to.data)[i] = 2 * ((const double *)from->data)[i];
		else
			((float *)to.data)[i] = 2 * ((const float *)from->data)[i];
	}
	if (!seldon_answer(&call->answer, &call->messages[0], &to, NULL, 0, arena, err))
		return false;
	call->answer.meta = call->answer.puid = call->answer.tags = (struct span){ 0 };
	call->answer.metrics = call->answer.request_path = (struct span){ 0 };
	return true;
}

/* Numbers are doubled; anything else goes back as it came. */
static bool predict(struct component_call *call, struct arena *arena, struct error *err)
{
	struct seldon_message *m = &call->messages[0];

	if (m->kind == SELDON_NOTHING)
		return error_set(err, ERROR_INVALID, "Unknown data");
	if (m->kind <= SELDON_TFTENSOR && m->kind >= SELDON_TENSOR && !m->nested.ptr)
		return tensor_double(call, arena, err);
	call->answer = *m;
	return true;
}

static bool numbers_answer(struct component_call *call, int64_t number, struct arena *arena, struct error *err)
{
	struct seldon_message *a = &call->answer;

	a->kind = SELDON_NDARRAY;
	if (!tensor_new(&a->tensor, (struct span){ 0 }, DTYPE_INT64, 2, (int64_t[2]){ 1, 1 }, arena, err))
		return false;
	((int64_t *)a->tensor.data)[0] = number;
	return true;
}

static bool sum_answer(struct component_call *call, struct arena *arena, struct error *err)
{
	double sum = 0;

	for (size_t i = 0; i < call->message_count; i++)
		sum += tensor_get(&call->messages[i].tensor, 0);
	return numbers_answer(call, (int64_t)sum, arena, err);
}

static void release(void *held)
{
	assert_ptr_equal(held, &released);
	released++;
}

static bool whole_call(struct component *c, struct component_call *call, struct arena *arena, struct error *err)
{
	(void)c;
	see(call);
	call->release = release;
	call->held = &released;
	switch (call->method) {
	case COMPONENT_PREDICT:
		return predict(call, arena, err);
	case COMPONENT_TRANSFORM_INPUT:
	case COMPONENT_TRANSFORM_OUTPUT:
		call->answer = call->messages[0];
		return true;
	case COMPONENT_ROUTE:
		return numbers_answer(call, 1, arena, err);
	case COMPONENT_AGGREGATE:
		call->answer.meta = SPAN("{\"tags\":{\"b\":[1,\"x\",null],\"a\":true},\"metrics\":[{\"key\":\"k\","
					 "\"type\":\"GAUGE\",\"value\":2}],\"puid\":\"p\"}");
		return sum_answer(call, arena, err);
	case COMPONENT_FEEDBACK:
		call->answer = (struct seldon_message){ .kind = SELDON_NDARRAY, .nested = SPAN("[]") };
		return true;
	case COMPONENT_HEALTH:
		text_answer(call, SELDON_TEXT, SPAN("fine"));
		return true;
	case COMPONENT_METADATA:
		text_answer(call, SELDON_JSON,
			    SPAN("{\"versions\":[\"v1\"],\"name\":\"m\",\"platform\":\"p\",\"inputs\":[{\"name\":\"x\","
				 "\"datatype\":\"BYTES\",\"shape\":[-1,2],\"messagetype\":\"tensor\"}],"
				 "\"outputs\":[],\"custom\":{\"a\":\"b\"}}"));
		return true;
	case COMPONENT_METRICS:
		text_answer(call, SELDON_TEXT, SPAN("my_counter_total 3"));
		return true;
	}
	return false;
}

static bool failing_call(struct component *c, struct component_call *call, struct arena *arena, struct error *err)
{
	(void)c;
	(void)arena;
	if (call->method != COMPONENT_PREDICT)
		return error_set(err, ERROR_INTERNAL, "kaput");
	call->error_status = 418;
	call->error_code = 7;
	call->error_reason = SPAN("TEAPOT");
	return error_set(err, ERROR_INVALID, "no coffee");
}

static bool raw_call(struct component *c, struct component_call *call, struct arena *arena, struct error *err)
{
	(void)c;
	(void)arena;
	(void)err;
	call->answer_is_raw = true;
	call->raw_answer =
	    call->is_grpc ? call->raw : SPAN("{\"status\":{\"code\":418},\"data\":{\"ndarray\":[[4,5]]}}");
	call->status = call->method == COMPONENT_ROUTE ? 418 : 200;
	return true;
}

static bool broken_call(struct component *c, struct component_call *call, struct arena *arena, struct error *err)
{
	(void)c;
	(void)arena;
	(void)err;
	call->answer = (struct seldon_message){ .kind = SELDON_JSON, .bytes = SPAN("{broken") };
	call->release = release;
	call->held = &released;
	return true;
}

struct fixture {
	struct inference *inf;
	struct metrics *metrics;
	struct component component;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->metrics = metrics_new();
	f->inf = inference_new(&(struct inference_config){ .metrics = f->metrics });
	*state = f;
	released = 0;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	inference_free(f->inf);
	metrics_free(f->metrics);
	buffer_done(&answer.body);
	buffer_done(&answer.parts);
	free(f);
	return 0;
}

static void serve(struct fixture *f,
		  bool (*call)(struct component *, struct component_call *, struct arena *, struct error *))
{
	struct error err = { 0 };

	f->component = (struct component){ .call = call, .kind = SPAN("code for a test"), .platform = SPAN("c") };
	assert_true(inference_add_component(f->inf, "model", &f->component, &err));
}

/* ---- asking ---- */

static struct span body(void)
{
	return buffer_span(&answer.body);
}

static void post(struct fixture *f, const char *path, const char *text)
{
	if (!ask(f->inf, &(struct question){ .method = METHOD_POST, .path = path, .body = span_of(text) }))
		fail_msg("no answer from %s", path);
}

static void get(struct fixture *f, const char *path)
{
	if (!ask(f->inf, &(struct question){ .method = METHOD_GET, .path = path }))
		fail_msg("no answer from %s", path);
}

static void grpc(struct fixture *f, const char *path, const struct buffer *message)
{
	if (!ask(f->inf, &(struct question){ .method = METHOD_POST, .path = path, .body = buffer_span(message) }))
		fail_msg("no answer from %s", path);
}

static void assert_body(int status, const char *text)
{
	if (answer.status != status || !span_equal(body(), span_of(text)))
		fail_msg("%d %.*s\nexpected %d %s", answer.status, (int)body().len, body().ptr, status, text);
}

static bool body_has(const char *part)
{
	return body().len && memmem(body().ptr, body().len, part, strlen(part));
}

/* The body as a message of protobuf, printed as JSON. */
static void assert_message(const char *text)
{
	struct seldon_message m;
	struct error err = { 0 };
	struct arena arena;
	struct buffer out;

	arena_init(&arena, MIB(1));
	buffer_init(&out, MIB(1));
	assert_int_equal(answer.status, 200);
	assert_true(seldon_read_protobuf_whole(&m, body(), &arena, &err));
	assert_true(seldon_write_json(&out, &m, NULL, &arena, &err));
	if (!span_equal(buffer_span(&out), span_of(text)))
		fail_msg("%.*s\nexpected %s", (int)out.len, out.ptr, text);
	buffer_done(&out);
	arena_done(&arena);
}

/* JSON as the SeldonMessage of gRPC. */
static void message_put(struct buffer *out, const char *text)
{
	struct seldon_message m;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(1));
	assert_true(seldon_read_json_whole(&m, span_of(text), &arena, &err));
	assert_true(seldon_write_protobuf_whole(out, &m, NULL, &arena, &err));
	arena_done(&arena);
}

/* ---- REST ---- */

#define PATH "\"requestPath\":{\"node\":\"img:1\"}"

static void each_method_answers_on_rest(void **state)
{
	static const struct {
		const char *path, *question, *answer;
		enum component_method method;
	} rows[] = {
		{ "/predict", "{\"data\":{\"ndarray\":[[1,2]]}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"ndarray\":[[2,4]]},\"meta\":{" PATH "}}",
		  COMPONENT_PREDICT },
		{ "/api/v0.1/predictions", "{\"data\":{\"tensor\":{\"shape\":[1,2],\"values\":[1.5,2]}}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"tensor\":{\"shape\":[1,2],\"values\":[3.0,4.0]}},\"meta\":"
		  "{" PATH "}}",
		  COMPONENT_PREDICT },
		{ "/api/v1.0/predictions", "{\"strData\":\"s\"}", "{\"meta\":{" PATH "},\"strData\":\"s\"}",
		  COMPONENT_PREDICT },
		{ "/models/model/predict", "{\"binData\":\"aGk=\"}", "{\"binData\":\"aGk=\",\"meta\":{" PATH "}}",
		  COMPONENT_PREDICT },
		{ "/seldon/ns/model/api/v1.0/predictions", "{\"jsonData\":{\"b\":1,\"a\":[1,{\"z\":null}]}}",
		  "{\"jsonData\":{\"a\":[1,{\"z\":null}],\"b\":1},\"meta\":{" PATH "}}", COMPONENT_PREDICT },
		/* data wins, then jsonData, strData, binData */
		{ "/predict", "{\"binData\":\"aGk=\",\"strData\":\"s\",\"data\":{\"ndarray\":[3]},\"jsonData\":1}",
		  "{\"data\":{\"names\":[],\"ndarray\":[6]},\"meta\":{" PATH "}}", COMPONENT_PREDICT },
		/* what is no box of numbers is the component's to read */
		{ "/predict", "{\"data\":{\"ndarray\":[[1,\"a\"],[null,{\"b\":2}]]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[[1,\"a\"],[null,{\"b\":2}]]},\"meta\":{" PATH "}}",
		  COMPONENT_PREDICT },
		{ "/predict", "{\"data\":{\"ndarray\":[[1,2],[3]]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[[1,2],[3]]},\"meta\":{" PATH "}}", COMPONENT_PREDICT },
		/* meta of the request goes on where the answer has none; routing ends here */
		{ "/predict",
		  "{\"meta\":{\"puid\":\"P\",\"tags\":{\"in\":1},\"routing\":{\"r\":0},\"requestPath\":{\"a\":\"b\"}},"
		  "\"data\":{\"ndarray\":[1]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[2]},\"meta\":{\"puid\":\"P\",\"requestPath\":{\"a\":\"b\","
		  "\"node\":\"img:1\"},\"tags\":{\"in\":1}}}",
		  COMPONENT_PREDICT },
		{ "/transform-input", "{\"meta\":{\"routing\":{\"r\":0}},\"strData\":\"s\"}",
		  "{\"meta\":{" PATH "},\"strData\":\"s\"}", COMPONENT_TRANSFORM_INPUT },
		{ "/transform-output", "{\"strData\":\"s\"}", "{\"meta\":{" PATH "},\"strData\":\"s\"}",
		  COMPONENT_TRANSFORM_OUTPUT },
		{ "/route", "{\"meta\":{\"tags\":{\"in\":1}},\"data\":{\"ndarray\":[[5]]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[[1]]},\"meta\":{}}", COMPONENT_ROUTE },
		{ "/aggregate", "[{\"data\":{\"ndarray\":[[1]]}},{\"data\":{\"ndarray\":[[2]]}}]",
		  "{\"data\":{\"names\":[],\"ndarray\":[[3]]},\"meta\":{\"metrics\":[{\"key\":\"k\",\"type\":\"GAUGE\","
		  "\"value\":2}],\"puid\":\"p\",\"tags\":{\"a\":true,\"b\":[1,\"x\",null]}}}",
		  COMPONENT_AGGREGATE },
		{ "/send-feedback", "{\"reward\":0.5}", "{\"data\":{\"names\":[],\"ndarray\":[]},\"meta\":{}}",
		  COMPONENT_FEEDBACK },
		{ "/api/v1.0/feedback", "{}", "{\"data\":{\"names\":[],\"ndarray\":[]},\"meta\":{}}",
		  COMPONENT_FEEDBACK },
	};

	serve(*state, whole_call);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		post(*state, rows[i].path, rows[i].question);
		assert_body(200, rows[i].answer);
		assert_int_equal(seen.method, rows[i].method);
		assert_true(seen.was_offloaded);
		assert_false(seen.is_grpc);
		assert_string_equal(seen.raw, rows[i].question);
		assert_int_equal(released, i + 1);
	}
}

static void health_and_metadata_are_the_components_own(void **state)
{
	serve(*state, whole_call);
	get(*state, "/health/status");
	assert_body(200, "{\"meta\":{},\"strData\":\"fine\"}");
	get(*state, "/api/v1.0/health/status");
	assert_body(200, "{\"meta\":{},\"strData\":\"fine\"}");
	get(*state, "/api/v1.0/status/model");
	assert_body(200, "{\"meta\":{},\"strData\":\"fine\"}");
	get(*state, "/health/ping");
	assert_body(200, "pong");
	get(*state, "/seldon.json");
	assert_int_equal(answer.status, 200);
	get(*state, "/metadata");
	assert_body(200, "{\"custom\":{\"a\":\"b\"},\"inputs\":[{\"datatype\":\"BYTES\",\"messagetype\":\"tensor\","
			 "\"name\":\"x\",\"shape\":[-1,2]}],\"name\":\"m\",\"outputs\":[],\"platform\":\"p\","
			 "\"versions\":[\"v1\"]}");
}

static void its_metrics_join_the_servers(void **state)
{
	serve(*state, whole_call);
	post(*state, "/predict", "{\"data\":{\"ndarray\":[[1],[2],[3]]}}");
	get(*state, "/metrics");
	assert_int_equal(answer.status, 200);
	assert_true(answer.was_offloaded);
	assert_true(body_has("\nmy_counter_total 3\n"));
	assert_true(body_has("hythe_model_rows_total{model=\"model\",version=\"1\"} 3\n"));
}

static void whole_numbers_stay_whole(void **state)
{
	serve(*state, whole_call);
	post(*state, "/predict", "{\"data\":{\"names\":[\"a\"],\"ndarray\":[[1],[2]]}}");
	assert_int_equal(seen.kind, SELDON_NDARRAY);
	assert_int_equal(seen.dtype, DTYPE_INT64);
	assert_int_equal(seen.rank, 2);
	assert_int_equal(seen.shape[0], 2);
	assert_string_equal(seen.name, "a");
	post(*state, "/predict", "{\"data\":{\"tensor\":{\"shape\":[2],\"values\":[1,2]}}}");
	assert_int_equal(seen.kind, SELDON_TENSOR);
	assert_int_equal(seen.dtype, DTYPE_INT64);
	post(*state, "/predict", "{\"data\":{\"ndarray\":[1,2.5]}}");
	assert_int_equal(seen.dtype, DTYPE_FP64);
	post(*state, "/predict", "{\"data\":{\"names\":[\"a\"]}}");
	assert_int_equal(seen.kind, SELDON_NDARRAY);
	assert_int_equal(seen.shape[0], 0);
}

static void messages_come_in_forms_and_queries_too(void **state)
{
	static const char form[] =
	    "--x\r\nContent-Disposition: form-data; name=\"strData\"\r\n\r\nhello\r\n"
	    "--x\r\nContent-Disposition: form-data; name=\"meta\"\r\n\r\n{\"puid\":\"P\"}\r\n--x--\r\n";
	struct fixture *f = *state;

	serve(f, whole_call);
	assert_true(ask(f->inf, &(struct question){ .method = METHOD_POST,
						    .path = "/transform-input",
						    .body = SPAN("json={\"strData\":\"s\"}"),
						    .content_type = "application/x-www-form-urlencoded" }));
	assert_body(200, "{\"meta\":{" PATH "},\"strData\":\"s\"}");
	assert_true(ask(f->inf, &(struct question){ .method = METHOD_POST,
						    .path = "/predict",
						    .body = span_of(form),
						    .content_type = "multipart/form-data; boundary=x" }));
	assert_body(200, "{\"meta\":{\"puid\":\"P\"," PATH "},\"strData\":\"hello\"}");
	assert_string_equal(seen.raw, "{\"meta\":{\"puid\":\"P\"},\"strData\":\"hello\"}");
	assert_string_equal(seen.meta, "{\"puid\":\"P\"}");
}

static void feedback_brings_all_its_parts(void **state)
{
	serve(*state, whole_call);
	post(*state, "/send-feedback",
	     "{\"request\":{\"data\":{\"names\":[\"a\"],\"ndarray\":[[1]]}},\"response\":{\"meta\":{\"routing\":{"
	     "\"other\":4,"
	     "\"node\":2}}},\"truth\":{\"strData\":\"yes\"},\"reward\":0.5}");
	assert_int_equal(answer.status, 200);
	assert_true(seen.has_request && seen.has_response && seen.has_truth && seen.has_routing);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.routing, 2);
	assert_true(seen.reward == 0.5);
	assert_string_equal(seen.name, "a");
	assert_string_equal(seen.truth, "yes");
	post(*state, "/send-feedback",
	     "{\"request\":{\"strData\":\"q\"},\"response\":{\"meta\":{\"routing\":{\"other\":4}}},"
	     "\"truth\":null}");
	assert_true(seen.has_request && seen.has_response && !seen.has_truth && !seen.has_routing);
	assert_string_equal(seen.bytes, "q");
	post(*state, "/send-feedback", "{\"reward\":[1]}");
	assert_int_equal(answer.status, 400);
	assert_true(body_has("Failed to parse reward field"));
}

static void lists_to_aggregate_have_two_forms(void **state)
{
	serve(*state, whole_call);
	post(*state, "/aggregate",
	     "{\"seldonMessages\":[{\"data\":{\"ndarray\":[[4]]}},{\"data\":{\"ndarray\":[[5]]}},"
	     "{\"data\":{\"ndarray\":[[6]]}},{\"data\":{\"ndarray\":[[7]]}},{\"data\":{\"ndarray\":[[8]]}}]}");
	assert_int_equal(seen.count, 5);
	assert_true(body_has("\"ndarray\":[[30]]"));
	post(*state, "/aggregate", "{\"strData\":\"s\"}");
	assert_int_equal(answer.status, 400);
	post(*state, "/aggregate", "[1]");
	assert_int_equal(answer.status, 400);
	post(*state, "/aggregate", "[]");
	assert_int_equal(answer.status, 200);
	assert_int_equal(seen.count, 0);
}

static void questions_without_sense_are_refused(void **state)
{
	static const char *const rows[][2] = {
		{ "/api/v1.0/predictions", "" },
		{ "/api/v1.0/predictions", "nothing" },
		{ "/api/v1.0/predictions", "[1]" },
		{ "/api/v1.0/predictions", "{\"data\":3}" },
		{ "/api/v1.0/predictions", "{\"data\":{\"ndarray\":[[1,2}}" },
		{ "/api/v1.0/predictions", "{\"data\":{\"tensor\":{\"shape\":[3],\"values\":[1]}}}" },
		{ "/predict", "hello" },
		{ "/route", "" },
		{ "/aggregate", "" },
		{ "/send-feedback", "" },
		{ "/send-feedback", "{\"request\":{\"data\":1}}" },
		{ "/send-feedback", "{\"response\":{\"meta\":{\"routing\":{\"node\":\"x\"}}}}" },
	};

	serve(*state, whole_call);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		post(*state, rows[i][0], rows[i][1]);
		if (answer.status != 400)
			fail_msg("%s %s: %d", rows[i][0], rows[i][1], answer.status);
	}
}

static void errors_are_as_the_component_says(void **state)
{
	serve(*state, failing_call);
	post(*state, "/predict", "{\"strData\":\"s\"}");
	assert_body(418, "{\"status\":{\"code\":7,\"info\":\"no coffee\",\"reason\":\"TEAPOT\",\"status\":1}}");
	post(*state, "/route", "{\"strData\":\"s\"}");
	assert_body(500, "{\"status\":{\"code\":-1,\"info\":\"kaput\",\"reason\":\"MICROSERVICE_INTERNAL_ERROR\","
			 "\"status\":1}}");
	get(*state, "/health/status");
	assert_int_equal(answer.status, 500);
	get(*state, "/metrics"); /* without the component's */
	assert_int_equal(answer.status, 200);
}

static void raw_answers_pass_as_they_are(void **state)
{
	serve(*state, raw_call);
	post(*state, "/predict", "{\"anything\":1}");
	assert_body(200, "{\"status\":{\"code\":418},\"data\":{\"ndarray\":[[4,5]]}}");
	post(*state, "/route", "{}");
	assert_int_equal(answer.status, 418);
}

static void an_answer_that_cannot_be_written_is_the_components_failure(void **state)
{
	serve(*state, broken_call);
	post(*state, "/predict", "{\"strData\":\"s\"}");
	assert_int_equal(answer.status, 500);
	assert_int_equal(released, 1);
	assert_true(body_has("MICROSERVICE_INTERNAL_ERROR"));
	get(*state, "/metadata");
	assert_int_equal(answer.status, 500);
}

/* ---- gRPC ---- */

static void each_method_answers_on_grpc(void **state)
{
	static const struct {
		const char *path, *question, *answer;
		enum component_method method;
	} rows[] = {
		{ "/seldon.protos.Model/Predict", "{\"data\":{\"tensor\":{\"shape\":[1,2],\"values\":[1,2]}}}",
		  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"tensor\":{\"shape\":[1,2],\"values\":[2.0,4.0]}},\"meta\":"
		  "{" PATH "}}",
		  COMPONENT_PREDICT },
		{ "/seldon.protos.Seldon/Predict",
		  "{\"meta\":{\"puid\":\"P\",\"tags\":{\"in\":[1,\"a\",null,{\"b\":true}]},\"routing\":{\"r\":1},"
		  "\"metrics\":[{\"key\":\"k\",\"type\":\"TIMER\",\"value\":1.5,\"tags\":{\"a\":\"b\"}}]},"
		  "\"jsonData\":{\"x\":[1,2.5,\"s\"]}}",
		  "{\"jsonData\":{\"x\":[1.0,2.5,\"s\"]},\"meta\":{\"metrics\":[{\"key\":\"k\",\"tags\":{\"a\":\"b\"},"
		  "\"type\":\"TIMER\",\"value\":1.5}],\"puid\":\"P\"," PATH ",\"tags\":{\"in\":[1.0,\"a\",null,"
		  "{\"b\":true}]}}}",
		  COMPONENT_PREDICT },
		{ "/seldon.protos.Model/Predict", "{\"data\":{\"ndarray\":[[1,\"a\"],[2]]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[[1.0,\"a\"],[2.0]]},\"meta\":{" PATH "}}", COMPONENT_PREDICT },
		{ "/seldon.protos.Generic/TransformInput", "{\"strData\":\"s\"}",
		  "{\"meta\":{" PATH "},\"strData\":\"s\"}", COMPONENT_TRANSFORM_INPUT },
		{ "/seldon.protos.Transformer/TransformInput", "{\"binData\":\"aGk=\"}",
		  "{\"binData\":\"aGk=\",\"meta\":{" PATH "}}", COMPONENT_TRANSFORM_INPUT },
		{ "/seldon.protos.OutputTransformer/TransformOutput", "{\"strData\":\"s\"}",
		  "{\"meta\":{" PATH "},\"strData\":\"s\"}", COMPONENT_TRANSFORM_OUTPUT },
		{ "/seldon.protos.Router/Route", "{\"data\":{\"ndarray\":[[1]]}}",
		  "{\"data\":{\"names\":[],\"ndarray\":[[1.0]]},\"meta\":{}}", COMPONENT_ROUTE },
	};

	serve(*state, whole_call);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buffer message;

		buffer_init(&message, MIB(1));
		message_put(&message, rows[i].question);
		grpc(*state, rows[i].path, &message);
		assert_message(rows[i].answer);
		assert_int_equal(seen.method, rows[i].method);
		assert_true(seen.is_grpc && seen.was_offloaded);
		buffer_done(&message);
	}
}

static void lists_and_feedback_come_over_grpc(void **state)
{
	struct buffer message;
	size_t mark;

	serve(*state, whole_call);
	buffer_init(&message, MIB(1));
	for (int i = 0; i < 2; i++) {
		mark = protobuf_open(&message, 1);
		message_put(&message, i ? "{\"data\":{\"ndarray\":[[2]]}}" : "{\"data\":{\"ndarray\":[[1]]}}");
		protobuf_close(&message, mark);
	}
	grpc(*state, "/seldon.protos.Combiner/Aggregate", &message);
	assert_int_equal(seen.count, 2);
	assert_message(
	    "{\"data\":{\"names\":[],\"ndarray\":[[3.0]]},\"meta\":{\"metrics\":[{\"key\":\"k\",\"type\":\"GAUGE\","
	    "\"value\":2.0}],\"puid\":\"p\",\"tags\":{\"a\":true,\"b\":[1.0,\"x\",null]}}}");

	buffer_clear(&message);
	mark = protobuf_open(&message, 2);
	message_put(&message, "{\"meta\":{\"routing\":{\"node\":-1}}}");
	protobuf_close(&message, mark);
	protobuf_write_float(&message, 3, 0.5f);
	mark = protobuf_open(&message, 4);
	message_put(&message, "{\"strData\":\"yes\"}");
	protobuf_close(&message, mark);
	grpc(*state, "/seldon.protos.Router/SendFeedback", &message);
	assert_message("{\"data\":{\"names\":[],\"ndarray\":[]},\"meta\":{}}");
	assert_int_equal(seen.method, COMPONENT_FEEDBACK);
	assert_true(!seen.has_request && seen.has_response && seen.has_truth && seen.has_routing);
	assert_int_equal(seen.routing, -1);
	assert_true(seen.reward == 0.5);
	buffer_done(&message);
}

static void metadata_is_a_message_of_its_own_on_grpc(void **state)
{
	static const char expected[] = "\x12\x02v1\x0a\x01m\x1a\x01p";
	struct buffer none;

	serve(*state, whole_call);
	buffer_init(&none, KIB(1));
	grpc(*state, "/seldon.protos.Model/Metadata", &none);
	assert_int_equal(answer.status, 200);
	assert_true(span_starts(body(), span_from(expected, sizeof(expected) - 1)));
	assert_true(body_has("\x32\x06\x0a\x01"
			     "a\x12\x01"
			     "b"));
	grpc(*state, "/seldon.protos.Seldon/ModelMetadata", &none);
	assert_true(span_starts(body(), span_from(expected, sizeof(expected) - 1)));
	grpc(*state, "/seldon.protos.Seldon/GraphMetadata", &none);
	assert_int_equal(answer.status, 200);
	buffer_done(&none);
}

static void failures_are_statuses_on_grpc(void **state)
{
	struct buffer message;

	serve(*state, failing_call);
	buffer_init(&message, KIB(1));
	message_put(&message, "{\"strData\":\"s\"}");
	grpc(*state, "/seldon.protos.Model/Predict", &message);
	assert_int_equal(answer.error.code, ERROR_INVALID);
	assert_string_equal(answer.error.message, "no coffee");
	grpc(*state, "/seldon.protos.Router/Route", &message);
	assert_int_equal(answer.error.code, ERROR_INTERNAL);
	assert_string_equal(answer.error.message, "kaput");
	buffer_clear(&message);
	buffer_byte(&message, '\x1a'); /* a tag without its field */
	grpc(*state, "/seldon.protos.Model/Predict", &message);
	assert_int_equal(answer.error.code, ERROR_INVALID);
	buffer_done(&message);
}

/* ---- the other protocols ---- */

static void v2_v1_and_rows_reach_predict(void **state)
{
	struct fixture *f = *state;

	serve(f, whole_call);
	post(f, "/v2/models/model/infer",
	     "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1.5,2]}]}");
	assert_int_equal(answer.status, 200);
	assert_true(body_has("\"name\":\"output\""));
	assert_true(body_has("\"datatype\":\"FP32\"") && body_has("\"data\":[3.0,4.0]"));
	assert_true(seen.was_offloaded);
	assert_string_equal(seen.raw, "");
	assert_int_equal(released, 1);
	post(f, "/v1/models/model:predict", "{\"instances\":[[1,2],[3,4]]}");
	assert_int_equal(answer.status, 200);
	assert_true(body_has("[[2.0,4.0],[6.0,8.0]]") || body_has("[[2,4],[6,8]]"));
	get(f, "/v2/models/model");
	assert_true(body_has("\"platform\":\"c\"") && body_has("\"name\":\"output\""));
}

static void inputs_of_equal_rows_stand_side_by_side(void **state)
{
	struct fixture *f = *state;

	serve(f, whole_call);
	post(f, "/v2/models/model/infer",
	     "{\"inputs\":[{\"name\":\"a\",\"shape\":[2],\"datatype\":\"INT64\",\"data\":[1,2]},"
	     "{\"name\":\"b\",\"shape\":[2,1],\"datatype\":\"FP32\",\"data\":[0.5,3]}]}");
	assert_int_equal(answer.status, 200);
	assert_true(body_has("\"shape\":[2,2]") && body_has("\"data\":[2.0,1.0,4.0,6.0]"));
	assert_int_equal(seen.name_count, 2);
	assert_string_equal(seen.name, "a");
	post(f, "/v2/models/model/infer",
	     "{\"inputs\":[{\"name\":\"a\",\"shape\":[2],\"datatype\":\"INT64\",\"data\":[1,2]},"
	     "{\"name\":\"b\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[0.5]}]}");
	assert_int_equal(answer.status, 400);
	assert_true(body_has("input 'b' has 1 rows, 'a' has 2"));
	post(f, "/v2/models/model/infer",
	     "{\"inputs\":[{\"name\":\"a\",\"shape\":[2],\"datatype\":\"INT64\",\"data\":[1,2]},"
	     "{\"name\":\"b\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"x\",\"y\"]}]}");
	assert_int_equal(answer.status, 400);
}

static void code_with_columns_takes_records(void **state)
{
	static struct span names[] = { SPAN_INIT("age"), SPAN_INIT("income") };
	struct fixture *f = *state;
	struct error err = { 0 };

	f->component = (struct component){ .call = whole_call, .feature_names = names, .feature_count = 2 };
	assert_true(inference_add_component(f->inf, "model", &f->component, &err));
	post(f, "/predict", "{\"income\":2,\"age\":1}");
	assert_body(200, "{\"success\":true,\"response\":[2.0,4.0]}");
	assert_string_equal(seen.name, "age");
	post(f, "/predict", "{\"data\":{\"ndarray\":[[1,2]]}}");
	assert_true(body_has("\"ndarray\":[[2,4]]"));
}

static void raw_answers_of_json_serve_tensors_as_well(void **state)
{
	serve(*state, raw_call);
	post(*state, "/v2/models/model/infer",
	     "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}");
	assert_int_equal(answer.status, 200);
	assert_true(body_has("\"data\":[4,5]"));
}

static void code_is_not_loaded_and_unloaded(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };

	serve(f, whole_call);
	assert_false(inference_load(f->inf, SPAN("model"), &err));
	assert_int_equal(err.code, ERROR_UNIMPLEMENTED);
	err = (struct error){ 0 };
	assert_false(inference_unload(f->inf, SPAN("model"), &err));
	assert_int_equal(err.code, ERROR_UNIMPLEMENTED);
	err = (struct error){ 0 };
	assert_false(inference_add_component(f->inf, "model", &f->component, &err));
	assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
}

/* ---- values ---- */

static void values_go_to_protobuf_and_back(void **state)
{
	static const char *const rows[] = {
		"null",
		"true",
		"1.0",
		"-2.5e-300",
		"\"\\u0001\xc3\xa9\"",
		"[]",
		"{}",
		"[1.0,[\"a\",null],{\"b\":{\"c\":false}}]",
		"NaN",
	};
	struct error err = { 0 };
	struct buffer out;
	struct arena arena;
	struct span text;

	(void)state;
	arena_init(&arena, MIB(1));
	buffer_init(&out, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buffer_clear(&out);
		assert_true(seldon_value_write(&out, span_of(rows[i]), &arena, &err));
		assert_true(seldon_value_text(buffer_span(&out), &arena, &text, &err));
		if (!span_equal(text, span_of(rows[i])))
			fail_msg("%s became %.*s", rows[i], (int)text.len, text.ptr);
	}
	buffer_done(&out);
	arena_done(&arena);
}

static void values_too_deep_are_refused(void **state)
{
	struct error err = { 0 };
	struct buffer out;
	struct arena arena;
	struct span text;
	char deep[2 * (VALUE_DEPTH_MAX + 1)];

	(void)state;
	memset(deep, '[', VALUE_DEPTH_MAX + 1);
	memset(deep + VALUE_DEPTH_MAX + 1, ']', VALUE_DEPTH_MAX + 1);
	arena_init(&arena, MIB(1));
	buffer_init(&out, MIB(1));
	assert_true(seldon_value_write(&out, span_from(deep, sizeof(deep)), &arena, &err));
	assert_false(seldon_value_text(buffer_span(&out), &arena, &text, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	buffer_done(&out);
	arena_done(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_method_answers_on_rest),
		TEST(health_and_metadata_are_the_components_own),
		TEST(its_metrics_join_the_servers),
		TEST(whole_numbers_stay_whole),
		TEST(messages_come_in_forms_and_queries_too),
		TEST(feedback_brings_all_its_parts),
		TEST(lists_to_aggregate_have_two_forms),
		TEST(questions_without_sense_are_refused),
		TEST(errors_are_as_the_component_says),
		TEST(raw_answers_pass_as_they_are),
		TEST(an_answer_that_cannot_be_written_is_the_components_failure),
		TEST(each_method_answers_on_grpc),
		TEST(lists_and_feedback_come_over_grpc),
		TEST(metadata_is_a_message_of_its_own_on_grpc),
		TEST(failures_are_statuses_on_grpc),
		TEST(v2_v1_and_rows_reach_predict),
		TEST(inputs_of_equal_rows_stand_side_by_side),
		TEST(code_with_columns_takes_records),
		TEST(raw_answers_of_json_serve_tensors_as_well),
		TEST(code_is_not_loaded_and_unloaded),
		cmocka_unit_test(values_go_to_protobuf_and_back),
		cmocka_unit_test(values_too_deep_are_refused),
	};

	setenv("PREDICTIVE_UNIT_ID", "node", 1);
	setenv("PREDICTIVE_UNIT_IMAGE", "img:1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
