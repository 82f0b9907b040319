/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: /predict, for people who have rows of named columns.
 *
 *	POST /predict {"G1":1,"G2":0}            → {"success":true,"response":0.067}
 *	POST /predict [{"G1":1,"G2":0}, ...]     → {"success":true,"response":[0.067, ...]}
 *	POST /predict text/csv                   → text/csv, one line a row
 *	GET  /predict?G1=1&G2=0                  → {"success":true,"response":0.067}
 *
 * Also with the model's name: /models/{model}/predict. `?output=NAME` answers with another output of the model.
 *
 * The same path is Seldon's. What is asked decides: a JSON object with data, jsonData, strData or binData (unless the
 * model has a column of that name), multipart/form-data, and a form field or query parameter `json` with such an object
 * are Seldon's.
 */
#include "inference/records.h"

#include "inference/seldon.h"
#include "inference/surfaces.h"
#include "wire/json.h"

/* A prediction under way; the call comes first, so that the struct call of this surface is one of these. */
struct records_work {
	struct call call;
	struct records records;
	struct span output; /* asked for by name; ptr NULL: the score */
	bool is_list, is_csv;
};

static void records_fail(struct request *req, const struct error *err)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("success"));
	json_bool(&w, false);
	json_key(&w, SPAN("error"));
	json_string(&w, error_span(err));
	json_close_object(&w);
	request_send(req, error_http(err->code), SPAN("application/json"));
}

static const struct surface surface_records = { "records", records_fail };

/* ---- the call ---- */

static void work_run(struct request *req, struct call *call)
{
	struct records_work *work = CONTAINER_OF(call, struct records_work, call);
	const struct served *served = call->served;
	struct error err = { 0 };
	size_t output = (size_t)served->info->score_output;
	struct span name;
	bool ok;

	if (work->output.ptr && !output_find(served, work->output, &output, &err)) {
		request_fail(req, &err);
		return;
	}
	name = served->info->outputs[output].name;
	call->wanted = &name;
	call->wanted_count = 1;
	ok = call_run(req, call, &err);
	if (ok) {
		bool is_score = output == (size_t)served->info->score_output;
		const struct tensor *result = &call->results[0];

		ok = work->is_csv
			 ? records_write_csv(&req->out, served, result, is_score, &req->arena, &err)
			 : records_write_json(&req->out, served, result, is_score, work->is_list, &req->arena, &err);
	}
	if (UNLIKELY(!ok)) {
		request_fail(req, &err);
		return;
	}
	request_send(req, 200, work->is_csv ? SPAN("text/csv; charset=utf-8") : SPAN("application/json"));
}

enum source { SOURCE_JSON, SOURCE_CSV, SOURCE_FORM };

/* Reads the rows, and asks the model here or, when that takes long, on a compute thread. */
static void work_start(struct request *req, enum source source, struct span text)
{
	struct error err = { 0 };
	const struct served *served = served_find(req, &err);
	struct records_work *work = served ? ARENA_NEW(&req->arena, struct records_work, &err) : NULL;
	bool ok = work && records_init(&work->records, served, &req->arena, &err);

	if (ok && source == SOURCE_JSON)
		ok = records_read_json(&work->records, text, &work->is_list, &err);
	else if (ok && source == SOURCE_CSV)
		ok = records_read_csv(&work->records, text, &err);
	else if (ok)
		ok = records_read_form(&work->records, text, &err);
	if (UNLIKELY(!ok)) {
		request_fail(req, &err);
		return;
	}
	work->is_csv = source == SOURCE_CSV;
	work->call.served = served;
	work->call.inputs = work->records.inputs;
	work->call.input_count = work->records.input_count;
	if (req->query.len > 0)
		(void)request_query(req, SPAN("output"), &work->output);
	if (call_is_long(req, &work->call))
		call_offload(req, &work->call, work_run);
	else
		work_run(req, &work->call);
}

static void json_step(struct request *req, void *arg)
{
	const struct span *text = arg;

	work_start(req, SOURCE_JSON, text ? *text : req->body);
}

static void csv_step(struct request *req, void *arg)
{
	(void)arg;
	work_start(req, SOURCE_CSV, req->body);
}

static void form_step(struct request *req, void *arg)
{
	(void)arg;
	work_start(req, SOURCE_FORM, req->body);
}

static bool is_large(const struct request *req)
{
	return req->body.len > REQUEST_INLINE_BYTES;
}

/* ---- whose is it ---- */

/* The usual case, told at a glance: an object whose first key is the model's first column. */
static bool starts_with_column(struct span text, const struct served *served)
{
	size_t i = 0, len;

	if (served->column_count == 0)
		return false;
	len = served->columns[0].len;
	while (i < text.len && (text.ptr[i] == '{' || text.ptr[i] == ' ' || text.ptr[i] == '\n'))
		i++;
	return text.len - i > len + 1 && text.ptr[i] == '"' && text.ptr[i + 1 + len] == '"' &&
	       memcmp(text.ptr + i + 1, served->columns[0].ptr, len) == 0;
}

static bool is_seldon(struct request *req, struct span text)
{
	struct error ignored = { 0 };
	const struct served *served = served_find(req, &ignored);

	/* Code without columns of its own takes no rows: what comes is a message, or what raw methods know. */
	if (served && served->component && served->column_count == 0)
		return true;
	if (LIKELY(served && starts_with_column(text, served)))
		return false;
	return seldon_is_message(text, served ? served->columns : NULL, served ? served->column_count : 0, &req->arena);
}

static bool media_is(const struct request *req, struct span type)
{
	return span_equal_ignore_case(span_trim(span_first(req->content_type, span_index(req->content_type, ';'))),
				      type);
}

/* Text that came in a form or query: a Seldon message, or rows. */
static void json_field(struct request *req, struct span text)
{
	if (is_seldon(req, text))
		seldon_predict_request(req);
	else
		json_step(req, &text);
}

static void form_start(struct request *req)
{
	struct span text;

	if (seldon_form_json(req, &text))
		json_field(req, text);
	else if (is_seldon(req, (struct span){ 0 }))
		seldon_predict_request(req);
	else if (is_large(req))
		inference_offload(req, form_step, NULL);
	else
		form_step(req, NULL);
}

/* POST /predict */
static void predict_post(struct request *req)
{
	if (UNLIKELY(!span_equal(req->content_type, SPAN("application/json")))) {
		if (media_is(req, SPAN("text/csv"))) {
			if (is_large(req))
				inference_offload(req, csv_step, NULL);
			else
				csv_step(req, NULL);
			return;
		}
		if (request_is_multipart(req)) {
			seldon_predict_request(req);
			return;
		}
		if (request_is_form(req) && !seldon_is_json(req->body)) { /* curl -d calls JSON a form */
			form_start(req);
			return;
		}
	}
	if (UNLIKELY(is_seldon(req, req->body)))
		seldon_predict_request(req);
	else if (UNLIKELY(is_large(req)))
		inference_offload(req, json_step, NULL);
	else
		json_step(req, NULL);
}

/* GET /predict */
static void predict_get(struct request *req)
{
	struct span text;

	if (request_query(req, SPAN("json"), &text))
		json_field(req, text);
	else if (is_seldon(req, (struct span){ 0 }))
		seldon_predict_request(req);
	else
		work_start(req, SOURCE_FORM, req->query);
}

const struct route records_routes[] = {
	{ METHOD_POST, "/predict", predict_post, &surface_records, ROUTE_HTTP },
	{ METHOD_GET, "/predict", predict_get, &surface_records, ROUTE_HTTP },
	{ METHOD_POST, "/models/{model}/predict", predict_post, &surface_records, ROUTE_HTTP },
	{ METHOD_GET, "/models/{model}/predict", predict_get, &surface_records, ROUTE_HTTP },
	{ 0 },
};
