/* SPDX-License-Identifier: Apache-2.0 */
/* open - requests that are answered after their handler has returned, or in parts, or while their body still comes. */
#include "net/forwarded.h"
#include "net/request_private.h"

static struct open_request *open_of(struct request *req)
{
	return &slot_of(req)->open;
}

/* Its end: nothing of the owner's is called any more. */
void open_finish(struct request *req)
{
	struct slot *s = slot_of(req);

	if (timer_is_set(&s->timer))
		loop_timer_clear(req->worker->loop, &s->timer);
	s->open.flow = NULL;
	request_finish(req);
}

/* What the access log and the counters get. */
static int code_of(struct request *req)
{
	return req->is_grpc ? open_of(req)->grpc_status : open_of(req)->status;
}

/* The answer is over, one way or another: at once, or when the handler that is still on the stack returns. */
static void answer_over(struct request *req, int code)
{
	req->answer.is_answered = true;
	request_count(req, code, open_of(req)->sent);
	if (req->phase == PHASE_WAITING)
		open_finish(req);
}

/* ---- the codec's side ---- */

bool request_is_open(const struct request *req)
{
	return req->phase == PHASE_WAITING;
}

void request_receive(struct request *req, struct span bytes, bool is_last)
{
	const struct request_flow *flow = open_of(req)->flow;

	ASSERT(flow && flow->receive);
	flow->receive(req, bytes, is_last);
}

void request_drained(struct request *req)
{
	struct open_request *o = open_of(req);

	if (!o->is_over_low || !o->flow || req->stream->ops->unsent(req) >= REQUEST_UNSENT_LOW)
		return;
	o->is_over_low = false;
	if (o->flow->writable)
		o->flow->writable(req);
}

void request_break(struct request *req, const struct error *err)
{
	const struct request_flow *flow = open_of(req)->flow;

	ASSERT(req->phase == PHASE_WAITING);
	open_of(req)->flow = NULL;
	req->phase = PHASE_RUNNING;
	if (open_of(req)->has_head)
		request_cut(req);
	else
		request_fail(req, err);
	flow->gone(req, err);
	open_finish(req);
}

void open_abandon(struct request *req)
{
	const struct request_flow *flow = open_of(req)->flow;
	struct error err = { 0 };

	open_of(req)->flow = NULL;
	error_set(&err, ERROR_CANCELLED, "the client went away");
	flow->gone(req, &err);
	request_count(req, req->is_grpc ? error_grpc(err.code) : error_http(err.code), open_of(req)->sent);
	open_finish(req);
}

static void open_late(struct timer *t)
{
	struct request *req = &CONTAINER_OF(t, struct slot, timer)->request;
	struct error err = { 0 };

	deadline_error(req, &err);
	request_break(req, &err);
}

void open_wait(struct request *req)
{
	struct slot *s = slot_of(req);

	req->phase = PHASE_WAITING;
	if (req->is_abandoned)
		open_abandon(req);
	else if (!s->open.has_head && req->deadline_ns != INT64_MAX)
		loop_timer_set(req->worker->loop, &s->timer, req->deadline_ns, open_late);
}

/* ---- the question ---- */

void request_open(struct request *req, const struct request_flow *flow, void *owner)
{
	struct open_request *o = open_of(req);

	LOOP_ASSERT(req->worker->loop);
	ASSERT(req->phase == PHASE_RUNNING && !req->answer.is_answered && !o->flow);
	ASSERT(req->route->kind != ROUTE_GRPC_STREAM);
	*o = (struct open_request){ .flow = flow, .owner = owner, .left = UINT64_MAX };
}

void *request_owner(const struct request *req)
{
	return ((const struct slot *)req)->open.owner;
}

void request_want(struct request *req, size_t bytes)
{
	ASSERT(open_of(req)->flow && route_is_stream(req->route));
	if (!req->is_abandoned)
		req->stream->ops->want(req, bytes);
}

/* ---- heads ---- */

static bool is_token(struct span s)
{
	static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c && strchr(others, c))))
			return false;
	}
	return s.len > 0;
}

/* Those the codec makes itself (RFC 9110 7.6.1), and what is between a hythe in front and one behind. */
static bool is_for_hop(struct span name)
{
	static const struct span names[] = {
		SPAN_INIT("connection"),       SPAN_INIT("keep-alive"), SPAN_INIT("transfer-encoding"),
		SPAN_INIT("proxy-connection"), SPAN_INIT("upgrade"),
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (name.len == names[i].len && span_equal_ignore_case(name, names[i]))
			return true;
	return span_equal_ignore_case(span_first(name, FORWARDED_PREFIX.len), FORWARDED_PREFIX);
}

/* A line break in a value would let whoever chose the value write headers of their own. */
static bool value_clean(struct arena *arena, struct span *value)
{
	struct error ignored = { 0 };
	struct span copy;
	size_t i = 0;

	while (i < value->len && ((unsigned char)value->ptr[i] >= ' ' || value->ptr[i] == '\t'))
		i++;
	if (LIKELY(i == value->len))
		return true;
	copy = arena_copy(arena, *value, &ignored);
	if (!copy.ptr)
		return false;
	for (char *at = (char *)copy.ptr + i; at < copy.ptr + copy.len; at++)
		if ((unsigned char)*at < ' ' && *at != '\t')
			*at = ' ';
	*value = copy;
	return true;
}

static bool length_parse(struct span text, uint64_t *ret)
{
	uint64_t length = 0;

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || __builtin_mul_overflow(length, 10, &length) ||
		    __builtin_add_overflow(length, (uint64_t)(text.ptr[i] - '0'), &length))
			return false;
	*ret = length;
	return text.len > 0;
}

static void grpc_note(struct request *req, const struct header *h)
{
	uint64_t status;

	if (req->is_grpc && h->name.len == 11 && span_equal_ignore_case(h->name, SPAN("grpc-status")) &&
	    length_parse(h->value, &status))
		open_of(req)->grpc_status = (int)MIN(status, 16);
}

/* False: the field is left out. */
static bool head_note(struct request *req, struct answer_head *head, const struct header *h)
{
	uint64_t length;

	switch (h->name.len) {
	case 4:
		head->has_date |= span_equal_ignore_case(h->name, SPAN("date"));
		break;
	case 6:
		head->has_server |= span_equal_ignore_case(h->name, SPAN("server"));
		break;
	case 11:
		grpc_note(req, h);
		break;
	case 14:
		if (!span_equal_ignore_case(h->name, SPAN("content-length")))
			break;
		/* RFC 9110 8.6: never with 1xx and 204. A tunnel has no length. */
		if (head->status < 200 || head->status == 204 || head->is_tunnel || head->has_length ||
		    !length_parse(h->value, &length))
			return false;
		head->has_length = true;
		head->length = length;
		break;
	}
	return true;
}

/* The fields that go out, in the request's arena; the spans are the owner's or the arena's. */
static struct header *fields_filter(struct request *req, const struct header *from, size_t *count,
				    struct answer_head *head)
{
	struct error ignored = { 0 };
	struct header *to = ARENA_ARRAY(&req->arena, struct header, *count + 1, &ignored);
	size_t kept = 0;

	for (size_t i = 0; to && i < *count; i++) {
		struct header h = from[i];

		if (!is_token(h.name) || is_for_hop(h.name) || !value_clean(&req->arena, &h.value))
			continue;
		if (head ? head_note(req, head, &h) : (grpc_note(req, &h), true))
			to[kept++] = h;
	}
	*count = to ? kept : 0;
	return to;
}

void request_head(struct request *req, int status, struct span reason, const struct header *headers, size_t count)
{
	struct open_request *o = open_of(req);
	struct answer_head head = { .status = status, .reason = reason };

	ASSERT(o->flow && !o->has_head);
	if (req->is_abandoned) {
		o->has_head = true;
		return;
	}
	if (status < 100 || status > 999 || status == 101)
		head.status = status = error_http(ERROR_INTERNAL); /* no codec could say it */
	head.is_tunnel = req->upgrade.len > 0 && status == 200;
	(void)value_clean(&req->arena, &head.reason);
	if (req->is_grpc)
		o->grpc_status = 2; /* UNKNOWN, if nobody says more */
	head.headers = fields_filter(req, headers, &count, &head);
	head.count = count;
	if (status >= 200) {
		o->has_head = true;
		o->status = status;
		o->has_no_body = req->method == METHOD_HEAD || status == 204 || status == 304;
		if (head.has_length && !o->has_no_body)
			o->left = head.length;
		head.has_no_body = o->has_no_body;
		req->deadline_ns = INT64_MAX;
		if (timer_is_set(&slot_of(req)->timer))
			loop_timer_clear(req->worker->loop, &slot_of(req)->timer);
	}
	req->stream->ops->head(req, &head);
}

/* ---- bodies ---- */

void request_write(struct request *req, struct span bytes)
{
	struct open_request *o = open_of(req);

	ASSERT(o->has_head && !req->answer.is_answered);
	bytes = span_first(bytes, (size_t)MIN(o->left, SIZE_MAX));
	if (bytes.len == 0 || o->has_no_body || req->is_abandoned)
		return;
	if (o->left != UINT64_MAX)
		o->left -= bytes.len;
	o->sent += bytes.len;
	req->stream->ops->write(req, bytes);
	if (req->stream->ops->unsent(req) >= REQUEST_UNSENT_LOW)
		o->is_over_low = true;
}

size_t request_unsent(const struct request *req)
{
	return req->stream->ops->unsent(req);
}

void request_end(struct request *req, const struct header *trailers, size_t count)
{
	struct open_request *o = open_of(req);

	ASSERT(o->has_head && !req->answer.is_answered);
	if (o->left != UINT64_MAX && o->left > 0) {
		request_cut(req);
		return;
	}
	if (!req->is_abandoned) {
		struct header *fields = count ? fields_filter(req, trailers, &count, NULL) : NULL;

		req->stream->ops->end(req, fields, fields ? count : 0);
	}
	answer_over(req, code_of(req));
}

void request_cut(struct request *req)
{
	struct open_request *o = open_of(req);
	int code = req->is_grpc ? error_grpc(ERROR_INTERNAL) : error_http(ERROR_INTERNAL);

	ASSERT(!req->answer.is_answered);
	if (!req->is_abandoned)
		req->stream->ops->cut(req);
	answer_over(req, o->has_head && !req->is_grpc ? o->status : code);
}

/* ---- who asked ---- */

struct forwarded request_forwarded(const struct request *req)
{
	static const struct span versions[] = { SPAN_INIT("HTTP/1.0"), SPAN_INIT("HTTP/1.1"), SPAN_INIT("HTTP/2") };
	const struct request_stream *s = req->stream;
	const struct connection *c = s->connection;
	struct forwarded f = { s->forwarded.peer, s->forwarded.scheme, s->forwarded.version };

	if (!f.peer.ptr)
		f.peer = c ? span_of(c->peer) : SPAN("");
	if (!f.scheme.ptr)
		f.scheme = c && c->tls ? SPAN("https") : SPAN("http");
	if (!f.version.ptr)
		f.version = versions[req->http_major == 2 ? 2 : req->http_minor == 0 ? 0 : 1];
	return f;
}

int request_status(const struct request *req)
{
	const struct open_request *o = &((const struct slot *)req)->open;

	return o->has_head ? o->status : req->answer.status;
}
