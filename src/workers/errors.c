/* SPDX-License-Identifier: Apache-2.0 */
/* errors - what clients are told when no worker answers, in the form of the protocol they speak. gRPC's is net's. */
#include "wire/json.h"
#include "workers/workers_private.h"

static bool is_last_segment(struct span path, struct span word)
{
	return span_ends(path, word) && path.len > word.len && path.ptr[path.len - word.len - 1] == '/';
}

/* The paths of Seldon's orchestrator and of its components. */
static bool is_seldon(struct span path)
{
	static const struct span words[] = { SPAN_INIT("predict"),          SPAN_INIT("transform-input"),
					     SPAN_INIT("transform-output"), SPAN_INIT("route"),
					     SPAN_INIT("aggregate"),        SPAN_INIT("send-feedback") };

	if (memmem(path.ptr, path.len, "/api/v0.1/", 10) || memmem(path.ptr, path.len, "/api/v1.0/", 10) ||
	    span_equal(path, SPAN("/health/status")))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (is_last_segment(path, words[i]) &&
		    (path.len == words[i].len + 1 || span_starts(path, SPAN("/models/"))))
			return true;
	return false;
}

static void fail_as_seldon(struct request *req, const struct error *err)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("status"));
	json_open_object(&w);
	json_key(&w, SPAN("code"));
	json_int64(&w, -1);
	json_key(&w, SPAN("info"));
	json_string(&w, error_span(err));
	json_key(&w, SPAN("reason"));
	json_string(&w,
		    error_http(err->code) < 429 ? SPAN("MICROSERVICE_BAD_DATA") : SPAN("MICROSERVICE_INTERNAL_ERROR"));
	json_key(&w, SPAN("status"));
	json_int64(&w, 1);
	json_close_object(&w);
	json_close_object(&w);
	request_send(req, error_http(err->code), SPAN("application/json"));
}

static void workers_fail(struct request *req, const struct error *err)
{
	if (!workers_is_app(workers_of(req)) && is_seldon(req->path))
		fail_as_seldon(req, err);
	else
		fail_as_json_error(req, err);
}

const struct surface surface_workers = { "workers", workers_fail };
