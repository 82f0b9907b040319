/* SPDX-License-Identifier: Apache-2.0 */
/* report - the lines of JSON by which a worker and a nursery tell how they are. */
#include "base/log.h"
#include "wire/json.h"
#include "workers/workers_private.h"

/* Cut to fit, at a whole character. */
static void text_put(char *to, size_t size, struct span text)
{
	size_t len = MIN(text.len, size - 1);

	while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
		len--;
	if (len)
		memcpy(to, text.ptr, len);
	to[len] = 0;
}

static bool read_count(struct json *j, int64_t *ret, struct error *err)
{
	int64_t value;

	if (!json_read_int64(j, &value, err))
		return false;
	if (value < 0 || value > INT32_MAX)
		return error_set(err, ERROR_INVALID, "%lld is no number of a process", (long long)value);
	*ret = value;
	return true;
}

static bool read_member(struct json *j, struct span key, struct worker_report *r, struct error *err)
{
	struct span text = { 0 };
	int64_t slots = 1;

	if (span_equal(key, SPAN("pid")))
		return read_count(j, &r->pid, err);
	if (span_equal(key, SPAN("ended")))
		return read_count(j, &r->ended, err);
	if (span_equal(key, SPAN("status")))
		return read_count(j, &r->status, err);
	if (span_equal(key, SPAN("slots"))) {
		if (!read_count(j, &slots, err))
			return false;
		r->slots = (uint64_t)slots;
		return true;
	}
	if (json_peek(j) != JSON_STRING)
		return json_skip(j, err);
	if (!json_read_string(j, &text, err))
		return false;
	if (span_equal(key, SPAN("state")))
		text_put(r->state, sizeof(r->state), text);
	else if (span_equal(key, SPAN("kind")))
		text_put(r->kind, sizeof(r->kind), text);
	else if (span_equal(key, SPAN("text")))
		text_put(r->text, sizeof(r->text), text);
	else if (span_equal(key, SPAN("error")))
		r->error = text;
	else if (span_equal(key, SPAN("traceback")))
		r->traceback = text;
	return true;
}

bool worker_report_read(struct span line, struct worker_report *ret, struct arena *arena, struct error *err)
{
	struct worker_report r = { .slots = 1, .pid = -1, .ended = -1, .status = -1 };
	struct json j;
	struct span key;

	json_init(&j, line, arena);
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err))
		if (!read_member(&j, key, &r, err))
			return false;
	if (!json_finish(&j, err))
		return false;
	*ret = r;
	return true;
}

void worker_report_failure(const struct worker_report *report, bool is_exposed, struct error *ret)
{
	struct span why = report->error.len ? report->error : SPAN("the code could not be loaded");

	log_error("workers", "the code could not be loaded", LOG_SPAN("error", why),
		  LOG_SPAN("traceback", report->traceback));
	error_set(ret, ERROR_UNAVAILABLE, "%.*s", (int)MIN(why.len, sizeof(ret->message)), why.ptr);
	if (is_exposed && report->traceback.len)
		error_set(ret, ERROR_UNAVAILABLE, "%.*s\n%.*s", (int)MIN(why.len, 200), why.ptr,
			  (int)MIN(report->traceback.len, sizeof(ret->message)), report->traceback.ptr);
}
