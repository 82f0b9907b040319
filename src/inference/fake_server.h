/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fake_server - for unit tests: handlers are called without sockets. Defines, in the one file that includes it, what
 * net's request.c would: routes are matched, the handler runs, offloaded work runs at once, and the answer is kept in
 * `answer`. Also stands in for the loading of models: paths name the test models below.
 */
#include <stdio.h>
#include <stdlib.h>

#include "inference/inference.h"
#include "models/table.h"

/* ---- the answer ---- */

static struct {
	bool is_sent, was_offloaded, is_offloaded;
	int status;
	struct error error; /* of a failure */
	char content_type[64];
	char json_length[24]; /* Inference-Header-Content-Length */
	struct buffer body, parts;
	size_t part_count;
} answer;

static struct {
	const char *names[ROUTE_PARAMS_MAX];
	size_t name_lens[ROUTE_PARAMS_MAX];
	size_t count;
} asked;

static _Thread_local void (*next_step)(struct request *req);

const struct surface surface_plain = { "plain", fail_as_json_error };

struct span request_header(const struct request *req, struct span name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (span_equal(req->headers[i].name, name))
			return req->headers[i].value;
	return (struct span){ 0 };
}

struct span request_param(const struct request *req, const char *name)
{
	for (size_t i = 0; i < asked.count; i++)
		if (asked.name_lens[i] == strlen(name) && memcmp(asked.names[i], name, asked.name_lens[i]) == 0)
			return req->params[i];
	return (struct span){ 0 };
}

/* Escapes are net's own business: these tests send none but '+'. */
bool form_next(struct span *rest, struct arena *arena, struct span *ret_name, struct span *ret_value)
{
	(void)arena;
	while (rest->len) {
		struct span value = span_cut(rest, '&');

		if (value.len == 0)
			continue;
		*ret_name = span_cut(&value, '=');
		*ret_value = value;
		return true;
	}
	return false;
}

bool request_query(struct request *req, struct span name, struct span *ret)
{
	struct span rest = req->query, key, value;

	while (form_next(&rest, &req->arena, &key, &value)) {
		if (span_equal(key, name)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

void request_set_header(struct request *req, struct span name, struct span value)
{
	(void)req;
	if (span_equal(name, SPAN("inference-header-content-length")))
		(void)snprintf(answer.json_length, sizeof(answer.json_length), SPAN_FMT, SPAN_ARG(value));
}

void request_send(struct request *req, int status, struct span content_type)
{
	ASSERT(!answer.is_sent);
	answer.is_sent = true;
	answer.status = status;
	(void)snprintf(answer.content_type, sizeof(answer.content_type), SPAN_FMT, SPAN_ARG(content_type));
	buffer_append(&answer.body, buffer_span(&req->out));
}

void request_send_part(struct request *req)
{
	answer.part_count++;
	buffer_append(&answer.parts, buffer_span(&req->out));
	buffer_clear(&req->out);
}

void fail_as_json_error(struct request *req, const struct error *err)
{
	buffer_clear(&req->out);
	buffer_print(&req->out, "{\"error\":\"%s\"}", err->message);
	request_send(req, error_http(err->code), SPAN("application/json"));
}

void request_fail(struct request *req, const struct error *err)
{
	ASSERT(err->code != ERROR_NONE && err->message[0] != '\0');
	answer.error = *err;
	fail_as_json_error(req, err);
}

void request_offload(struct request *req, void (*fn)(struct request *req))
{
	(void)req;
	next_step = fn;
}

bool request_is_offloaded(const struct request *req)
{
	(void)req;
	return answer.is_offloaded;
}

void request_at_end(struct request *req, struct request_end *end, void (*run)(struct request_end *end))
{
	end->run = run;
	end->next = req->ends;
	req->ends = end;
}

/* ---- asking ---- */

/* "{x}" takes what is up to the literal behind it, or the next '/'. */
static bool pattern_matches(const char *p, struct span path, struct request *req)
{
	asked.count = 0;
	while (*p) {
		if (*p == '{') {
			const char *end = strchr(p, '}');
			size_t n = 0;

			while (n < path.len && path.ptr[n] != '/' && !(end[1] && path.ptr[n] == end[1]))
				n++;
			if (n == 0)
				return false;
			asked.names[asked.count] = p + 1;
			asked.name_lens[asked.count] = (size_t)(end - p - 1);
			req->params[asked.count++] = span_first(path, n);
			path = span_skip(path, n);
			p = end + 1;
		} else if (path.len && path.ptr[0] == *p) {
			path = span_skip(path, 1);
			p++;
		} else {
			return false;
		}
	}
	return path.len == 0;
}

/* Literal rows win, as in the server. */
static const struct route *find_route(enum method method, struct span path, struct request *req)
{
	const struct route *found = NULL;

	for (int literal = 1; literal >= 0 && !found; literal--)
		for (size_t t = 0; inference_routes[t]; t++)
			for (const struct route *r = inference_routes[t]; r->pattern && !found; r++)
				if ((r->methods & method) && (strchr(r->pattern, '{') == NULL) == literal &&
				    pattern_matches(r->pattern, path, req))
					found = r;
	return found;
}

struct question {
	enum method method;
	const char *path;
	struct span body;
	const char *json_length; /* Inference-Header-Content-Length, or NULL */
	const char *content_type;
	bool is_end;
};

/* The answer is in `answer`; false: no such route. */
__attribute__((unused)) static bool ask(struct inference *inf, const struct question *q)
{
	struct header header = { SPAN("inference-header-content-length"), span_of(q->json_length) };
	struct request *req = calloc(1, sizeof(*req));
	AUTO_FREE char *body = malloc(q->body.len + 1);

	buffer_done(&answer.body);
	buffer_done(&answer.parts);
	memset(&answer, 0, sizeof(answer));
	buffer_init(&answer.body, MIB(512));
	buffer_init(&answer.parts, MIB(512));
	next_step = NULL;
	arena_init(&req->arena, MIB(512));
	buffer_init(&req->out, MIB(512));
	if (q->body.len)
		memcpy(body, q->body.ptr, q->body.len);
	req->method = q->method;
	req->context = inf;
	req->body = (struct span){ body, q->body.len }; /* on the heap: a sanitizer sees reads behind its end */
	req->content_type = span_of(q->content_type);
	req->headers = &header;
	req->header_count = q->json_length != NULL;
	req->is_end = q->is_end;
	req->route = find_route(q->method, span_of(q->path), req);
	if (req->route) {
		req->route->handle(req);
		while (next_step) {
			void (*step)(struct request *) = next_step;

			next_step = NULL;
			answer.is_offloaded = answer.was_offloaded = true;
			step(req);
		}
		answer.is_offloaded = false;
		while (req->ends) {
			struct request_end *end = req->ends;

			req->ends = end->next;
			end->run(end);
		}
	}
	arena_done(&req->arena);
	buffer_done(&req->out);
	free(req);
	return answer.is_sent || answer.part_count;
}

/* ---- test models ---- */

/*
 * test:lr       x FP32 [-1,3] -> label INT64 [-1], probabilities FP32 [-1,2]: p = a/10 for the first number a
 * test:reg      x FP64 [-1,2] -> y FP64 [-1]: the sum
 * test:columns  age FP32 [-1,1], town BYTES [-1,1] -> town BYTES [-1,1]
 * test:slow     as test:reg, but says that it takes a second
 * a file        as test:reg; its text must begin with "good"
 */
static struct tensor_spec lr_inputs[] = { { SPAN_INIT("x"), DTYPE_FP32, 2, { -1, 3 } } };
static struct tensor_spec lr_outputs[] = { { SPAN_INIT("label"), DTYPE_INT64, 1, { -1 } },
					   { SPAN_INIT("probabilities"), DTYPE_FP32, 2, { -1, 2 } } };
static struct tensor_spec reg_inputs[] = { { SPAN_INIT("x"), DTYPE_FP64, 2, { -1, 2 } } };
static struct tensor_spec reg_outputs[] = { { SPAN_INIT("y"), DTYPE_FP64, 1, { -1 } } };
static struct tensor_spec column_inputs[] = { { SPAN_INIT("age"), DTYPE_FP32, 2, { -1, 1 } },
					      { SPAN_INIT("town"), DTYPE_BYTES, 2, { -1, 1 } } };
static struct tensor_spec column_outputs[] = { { SPAN_INIT("town"), DTYPE_BYTES, 2, { -1, 1 } } };
static struct span lr_names[] = { SPAN_INIT("age"), SPAN_INIT("income"), SPAN_INIT("score") };
static struct span lr_classes[] = { SPAN_INIT("no"), SPAN_INIT("yes") };
static _Atomic size_t models_alive;

static bool lr_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		   struct arena *arena, struct error *err)
{
	int64_t rows = inputs[0].shape[0];

	if ((wanted & 1) && !tensor_new(&results[0], lr_outputs[0].name, DTYPE_INT64, 1, &rows, arena, err))
		return false;
	if ((wanted & 2) &&
	    !tensor_new(&results[1], lr_outputs[1].name, DTYPE_FP32, 2, (int64_t[2]){ rows, 2 }, arena, err))
		return false;
	(void)m;
	for (int64_t r = 0; r < rows; r++) {
		float p = ((const float *)inputs[0].data)[r * 3] / 10;

		if (wanted & 1)
			((int64_t *)results[0].data)[r] = p > 0.5f;
		if (wanted & 2) {
			((float *)results[1].data)[r * 2] = 1 - p;
			((float *)results[1].data)[r * 2 + 1] = p;
		}
	}
	return true;
}

static bool reg_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		    struct arena *arena, struct error *err)
{
	(void)m;
	(void)wanted;
	if (!tensor_new(&results[0], reg_outputs[0].name, DTYPE_FP64, 1, inputs[0].shape, arena, err))
		return false;
	for (int64_t r = 0; r < inputs[0].shape[0]; r++)
		((double *)results[0].data)[r] =
		    ((const double *)inputs[0].data)[r * 2] + ((const double *)inputs[0].data)[r * 2 + 1];
	return true;
}

static bool columns_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
			struct arena *arena, struct error *err)
{
	(void)m;
	(void)wanted;
	(void)arena;
	(void)err;
	results[0] = inputs[1];
	return true;
}

static const struct model_format lr_format = { .name = "lr", .run = lr_run };
static const struct model_format reg_format = { .name = "reg", .run = reg_run };
static const struct model_format columns_format = { .name = "columns", .run = columns_run };

/* What models/model.c would. */
struct model *model_new(const struct model_format *format, size_t size)
{
	struct model *m = base_calloc(1, size);

	m->format = format;
	arena_init(&m->arena, MIB(1));
	m->refs = 1;
	models_alive++;
	return m;
}

void model_unref(struct model *m)
{
	if (!m || --m->refs)
		return;
	models_alive--;
	arena_done(&m->arena);
	free(m);
}

const struct model_info *model_info(const struct model *m)
{
	return &m->info;
}

bool model_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
	       struct arena *arena, struct error *err)
{
	return m->format->run(m, inputs, wanted, results, arena, err);
}

static struct model *file_model(const char *path, struct error *err)
{
	struct buffer text;
	struct model *m = NULL;

	buffer_init(&text, KIB(1));
	if (buffer_read_file(&text, path, err)) {
		if (span_starts(buffer_span(&text), SPAN("good")))
			m = model_new(&reg_format, sizeof(*m));
		else
			error_set(err, ERROR_INVALID, "line 1: it is not good");
	}
	buffer_done(&text);
	return m;
}

struct model *model_load(const char *path, const struct model_options *options, struct error *err)
{
	struct model *m;

	(void)options;
	if (strcmp(path, "builtin:echo") == 0)
		return format_echo.load((struct span){ 0 }, options, err);
	if (strcmp(path, "test:lr") == 0) {
		m = model_new(&lr_format, sizeof(*m));
		m->info = (struct model_info){ .kind = SPAN("test"),
					       .platform = SPAN("test"),
					       .task = MODEL_TASK_BINARY,
					       .inputs = lr_inputs,
					       .outputs = lr_outputs,
					       .input_count = 1,
					       .output_count = 2,
					       .feature_names = lr_names,
					       .feature_count = 3,
					       .score_output = 1,
					       .class_names = lr_classes,
					       .class_count = 2,
					       .cost_ns_call = 100 };
		return m;
	}
	if (strcmp(path, "test:columns") == 0) {
		m = model_new(&columns_format, sizeof(*m));
		m->info = (struct model_info){ .kind = SPAN("test"),
					       .platform = SPAN("test"),
					       .inputs = column_inputs,
					       .outputs = column_outputs,
					       .input_count = 2,
					       .output_count = 1,
					       .label_output = -1 };
		return m;
	}
	m = strncmp(path, "test:", 5) == 0 ? model_new(&reg_format, sizeof(*m)) : file_model(path, err);
	if (m)
		m->info = (struct model_info){ .kind = SPAN("test"),
					       .platform = SPAN("test"),
					       .task = MODEL_TASK_REGRESSION,
					       .inputs = reg_inputs,
					       .outputs = reg_outputs,
					       .input_count = 1,
					       .output_count = 1,
					       .feature_count = 2,
					       .label_output = -1,
					       .cost_ns_call = strcmp(path, "test:slow") == 0 ? 1e9 : 100 };
	return m;
}
