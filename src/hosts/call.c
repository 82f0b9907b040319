/* SPDX-License-Identifier: Apache-2.0 */
/* call - a component call as the caller's function sees it, and its reply. */
#include <assert.h>

#include "hosts/host_private.h"
#include "inference/component.h"
#include "wire/json.h"

struct host_component {
	struct component component; /* first */
	struct hythe_host *host;
	struct span name;
	void (*call)(void *context, hythe_call *c);
	void *context;
};

struct hythe_call {
	const struct host_component *owner;
	struct component_call *call;
	struct arena *arena;
	struct error *err;
	bool is_replied, is_ok;
	bool is_taken; /* an array is the caller's now: nothing that is encoded later may point at it */
};

/* What callers see are our own types under other names. */
static_assert(sizeof(struct hythe_bytes) == sizeof(struct span) &&
		  offsetof(struct hythe_bytes, data) == offsetof(struct span, ptr) &&
		  offsetof(struct hythe_bytes, size) == offsetof(struct span, len),
	      "names and strings are handed out without a copy");
static_assert((int)HYTHE_BOOL == (int)DTYPE_BOOL && (int)HYTHE_INT8 == (int)DTYPE_INT8 &&
		  (int)HYTHE_INT64 == (int)DTYPE_INT64 && (int)HYTHE_FP16 == (int)DTYPE_FP16 &&
		  (int)HYTHE_BF16 == (int)DTYPE_BF16 && (int)HYTHE_FP64 == (int)DTYPE_FP64 &&
		  (int)HYTHE_STRINGS == (int)DTYPE_BYTES,
	      "types have the same numbers");
static_assert((int)HYTHE_TENSOR == (int)SELDON_TENSOR && (int)HYTHE_TFTENSOR == (int)SELDON_TFTENSOR &&
		  (int)HYTHE_BINARY == (int)SELDON_BINARY && (int)HYTHE_CUSTOM == (int)SELDON_CUSTOM,
	      "kinds have the same numbers");
static_assert((int)HYTHE_PREDICT == (int)COMPONENT_PREDICT + 1 && (int)HYTHE_METRICS == (int)COMPONENT_METRICS + 1,
	      "methods have the same order");
static_assert(HYTHE_RANK_MAX == TENSOR_RANK_MAX, "shapes are as long");

static struct hythe_bytes bytes_of(struct span s)
{
	return (struct hythe_bytes){ s.ptr, s.len };
}

static struct span span_of_bytes(struct hythe_bytes b)
{
	return (struct span){ b.data, b.size };
}

/* ---- the question ---- */

int hythe_call_method(const hythe_call *c)
{
	return (int)c->call->method + 1;
}

int hythe_call_is_grpc(const hythe_call *c)
{
	return c->call->is_grpc;
}

int hythe_call_is_seldon(const hythe_call *c)
{
	return c->call->method != COMPONENT_PREDICT || c->call->raw.len > 0;
}

struct hythe_bytes hythe_call_model(const hythe_call *c)
{
	return bytes_of(c->owner->name);
}

struct hythe_bytes hythe_call_id(const hythe_call *c)
{
	return bytes_of(c->call->request_id);
}

struct hythe_bytes hythe_call_raw(const hythe_call *c)
{
	return bytes_of(c->call->raw);
}

size_t hythe_call_payloads(const hythe_call *c)
{
	return c->call->message_count;
}

double hythe_call_reward(const hythe_call *c)
{
	return c->call->reward;
}

int hythe_call_routing(const hythe_call *c, int32_t *ret)
{
	if (!c->call->routing)
		return 0;
	*ret = *c->call->routing;
	return 1;
}

static bool is_data(int kind)
{
	return kind == HYTHE_TENSOR || kind == HYTHE_NDARRAY || kind == HYTHE_TFTENSOR;
}

static void array_of(const hythe_call *c, const struct seldon_message *m, struct hythe_array *ret)
{
	struct tensor t = m->tensor;
	struct error ignored = { 0 };

	/* Past the arena's limit the data stays where it was: unaligned, which no machine here minds. */
	(void)tensor_aligned(&t, c->arena, &ignored);
	ret->type = (int)t.dtype;
	ret->rank = t.rank;
	memcpy(ret->shape, t.shape, sizeof(t.shape));
	ret->data = t.data;
	ret->size = t.count * dtype_size(t.dtype);
}

/* The FEEDBACK's message `index` is there. */
static bool is_present(const struct component_call *call, size_t index)
{
	if (call->method != COMPONENT_FEEDBACK)
		return true;
	return index == 0 ? call->has_request : index == 1 ? call->has_response : call->has_truth;
}

void hythe_call_payload(const hythe_call *c, size_t index, struct hythe_payload *ret)
{
	struct hythe_payload p = { 0 };

	if (index < c->call->message_count && is_present(c->call, index)) {
		const struct seldon_message *m = &c->call->messages[index];

		p.kind = (int)m->kind;
		if (is_data(p.kind) && m->nested.ptr) {
			p.nested = bytes_of(m->nested);
		} else if (is_data(p.kind)) {
			p.has_array = 1;
			array_of(c, m, &p.array);
		}
		p.bytes = bytes_of(m->bytes);
		p.names = (const struct hythe_bytes *)m->names;
		p.name_count = m->name_count;
		p.meta = bytes_of(m->meta);
	}
	/* An older caller's struct is shorter. */
	p.size = ret->size;
	memcpy(ret, &p, MIN(ret->size, sizeof(p)));
}

/* A taken block under the name that callers know. */
hythe_taken *hythe_call_take(hythe_call *c, size_t index)
{
	const struct seldon_message *m = index < c->call->message_count ? &c->call->messages[index] : NULL;
	struct arena_chunk *taken;

	if (!m || !is_data((int)m->kind) || m->nested.ptr || m->tensor.dtype == DTYPE_BYTES)
		return NULL;
	taken = arena_take(c->arena, m->tensor.data);
	c->is_taken |= taken != NULL;
	return (hythe_taken *)taken;
}

void hythe_taken_free(hythe_taken *taken)
{
	arena_taken_free((struct arena_chunk *)taken);
}

/* ---- the reply ---- */

static void reply_failed(hythe_call *c)
{
	c->is_replied = true;
	c->is_ok = false;
}

static bool copy(hythe_call *c, struct span *s)
{
	if (!s->ptr)
		return true;
	*s = arena_copy(c->arena, *s, c->err);
	return s->ptr != NULL;
}

static bool copy_texts(hythe_call *c, struct span *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!texts[i].ptr)
			texts[i] = SPAN("");
		else if (!copy(c, &texts[i]))
			return false;
	}
	return true;
}

static bool names_take(hythe_call *c, const struct hythe_payload *p, bool is_kept, struct seldon_message *m)
{
	m->names = ARENA_ARRAY(c->arena, struct span, p->name_count, c->err);
	if (!m->names)
		return false;
	if (p->name_count)
		memcpy(m->names, p->names, p->name_count * sizeof(*m->names));
	m->name_count = p->name_count;
	return is_kept || copy_texts(c, m->names, m->name_count);
}

static bool array_check(const struct hythe_array *a, struct tensor *t, struct error *err)
{
	size_t bytes;

	if (a->type < 0 || a->type >= DTYPE_COUNT)
		return error_set(err, ERROR_INTERNAL, "the reply's array has the unknown type %d", a->type);
	if (a->rank < 0 || a->rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INTERNAL, "the reply's array has %d dimensions, the limit is %d", a->rank,
				 TENSOR_RANK_MAX);
	t->dtype = (enum dtype)a->type;
	t->rank = a->rank;
	memcpy(t->shape, a->shape, sizeof(t->shape[0]) * (size_t)a->rank);
	if (!tensor_count(t->rank, t->shape, &t->count, err))
		return error_wrap(err, "the reply's array");
	if (__builtin_mul_overflow(t->count, dtype_size(t->dtype), &bytes) || bytes != a->size)
		return error_set(err, ERROR_INTERNAL, "the reply's array has %zu bytes; its shape and type need %zu",
				 a->size, t->count * dtype_size(t->dtype));
	t->data = (void *)(uintptr_t)a->data;
	return true;
}

/*
 * Seldon's wrapper turns arrays to Python's lists before it prints them, so that a float is printed as the double it
 * becomes: 0.1f as 0.10000000149011612.
 */
static bool array_widen(hythe_call *c, struct tensor *t)
{
	struct tensor wide;

	if (t->dtype != DTYPE_FP32 && t->dtype != DTYPE_FP16)
		return true;
	if (!tensor_convert(t, DTYPE_FP64, c->arena, &wide, c->err))
		return false;
	*t = wide;
	return true;
}

static bool tensor_copy(hythe_call *c, struct tensor *t)
{
	struct tensor fresh;

	if (!tensor_new(&fresh, t->name, t->dtype, t->rank, t->shape, c->arena, c->err))
		return false;
	if (t->count)
		memcpy(fresh.data, t->data, t->count * dtype_size(t->dtype));
	*t = fresh;
	return true;
}

static bool array_take(hythe_call *c, const struct hythe_payload *p, bool is_kept, struct seldon_message *m)
{
	struct tensor *t = &m->tensor;

	if (!array_check(&p->array, t, c->err))
		return false;
	if (hythe_call_is_seldon(c) && p->kind != HYTHE_TFTENSOR && (t->dtype == DTYPE_FP32 || t->dtype == DTYPE_FP16))
		return array_widen(c, t);
	if (is_kept)
		return true;
	if (!tensor_copy(c, t))
		return false;
	return t->dtype != DTYPE_BYTES || copy_texts(c, t->data, t->count);
}

static bool payload_take(hythe_call *c, const struct hythe_payload *p, bool is_kept)
{
	struct seldon_message m = { .kind = (enum seldon_kind)p->kind, .bytes = span_of_bytes(p->bytes) };

	if (p->kind < HYTHE_NOTHING || p->kind > HYTHE_CUSTOM)
		return error_set(c->err, ERROR_INTERNAL, "the reply has the unknown kind %d", p->kind);
	m.meta = span_of_bytes(p->meta);
	if (p->meta.size == 0)
		m.meta = (struct span){ 0 };
	if (!m.bytes.ptr)
		m.bytes = SPAN("");
	if (is_data(p->kind)) {
		if (!names_take(c, p, is_kept, &m))
			return false;
		m.nested = span_of_bytes(p->nested);
		if (p->has_array) {
			m.nested = (struct span){ 0 };
			if (!array_take(c, p, is_kept, &m))
				return false;
		} else if (!m.nested.ptr) {
			m.nested = SPAN("[]");
		}
	}
	if (!is_kept && !(copy(c, &m.bytes) && copy(c, &m.nested) && copy(c, &m.meta)))
		return false;
	c->call->answer = m;
	return true;
}

void hythe_reply(hythe_call *c, const struct hythe_payload *payload, void (*release)(void *held), void *held)
{
	struct hythe_payload p = { 0 };

	ASSERT(!c->is_replied);
	memcpy(&p, payload, MIN(payload->size, sizeof(p)));
	c->is_replied = true;
	c->is_ok = payload_take(c, &p, release != NULL);
	if (c->is_ok) {
		c->call->release = release;
		c->call->held = held;
	} else if (release) {
		release(held);
	}
}

void hythe_reply_raw(hythe_call *c, struct hythe_bytes message, int status)
{
	struct span text = span_of_bytes(message);

	ASSERT(!c->is_replied);
	if (!text.ptr)
		text = SPAN("");
	if (!copy(c, &text)) {
		reply_failed(c);
		return;
	}
	c->call->answer_is_raw = true;
	c->call->raw_answer = text;
	c->call->status = status ? status : 200;
	c->is_replied = c->is_ok = true;
}

static enum error_code code_of_status(int status)
{
	static const enum error_code codes[] = {
		ERROR_INVALID,       ERROR_UNAUTHENTICATED, ERROR_FORBIDDEN, ERROR_NOT_FOUND,   ERROR_CONFLICT,
		ERROR_GONE,          ERROR_TOO_LARGE,       ERROR_EXHAUSTED, ERROR_UNAVAILABLE, ERROR_TIMEOUT,
		ERROR_UNIMPLEMENTED,
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (error_http(codes[i]) == status)
			return codes[i];
	}
	return status >= 400 && status < 500 ? ERROR_INVALID : ERROR_INTERNAL;
}

void hythe_reply_error(hythe_call *c, int status, const char *reason, int code, const char *message)
{
	struct error ignored = { 0 };

	ASSERT(!c->is_replied);
	if (status < 200 || status > 599)
		status = 500;
	error_set(c->err, code_of_status(status), "%s", message ? message : "");
	c->call->error_status = status;
	c->call->error_code = code;
	if (reason)
		c->call->error_reason = arena_copy(c->arena, span_of(reason), &ignored);
	reply_failed(c);
}

/* ---- what a component without the method answers ---- */

static void reply_bytes(hythe_call *c, int kind, const char *text)
{
	struct hythe_payload p = { .size = sizeof(p), .kind = kind, .bytes = { text, strlen(text) } };

	hythe_reply(c, &p, NULL, NULL);
}

static void reply_nothing(hythe_call *c)
{
	struct hythe_payload p = { .size = sizeof(p), .kind = HYTHE_NDARRAY };

	hythe_reply(c, &p, NULL, NULL);
}

/* The payload as it came, its columns named anew, with the tags and metrics of the question. */
static void reply_identity(hythe_call *c)
{
	struct component_call *call = c->call;
	struct seldon_message *m = &call->messages[0];

	c->is_replied = true;
	if (c->is_taken && !tensor_copy(c, &m->tensor))
		return;
	call->answer = *m;
	if (call->message_count == 0 || !is_data((int)m->kind) || m->nested.ptr) {
		call->answer.names = NULL;
		call->answer.name_count = 0;
		c->is_ok = true;
		return;
	}
	c->is_ok = seldon_answer(&call->answer, m, &m->tensor, c->owner->component.class_names,
				 c->owner->component.class_count, c->arena, c->err);
}

void hythe_reply_undefined(hythe_call *c)
{
	switch (c->call->method) {
	case COMPONENT_PREDICT:
	case COMPONENT_FEEDBACK:
		reply_nothing(c);
		break;
	case COMPONENT_TRANSFORM_INPUT:
	case COMPONENT_TRANSFORM_OUTPUT:
		reply_identity(c);
		break;
	case COMPONENT_ROUTE:
		hythe_reply_error(c, 400, "MICROSERVICE_BAD_DATA", -1, "Route not defined");
		break;
	case COMPONENT_AGGREGATE:
		hythe_reply_error(c, 400, "MICROSERVICE_BAD_DATA", -1, "Aggregate not defined");
		break;
	case COMPONENT_HEALTH:
		reply_bytes(c, HYTHE_TEXT, "healthy");
		break;
	case COMPONENT_METADATA:
		reply_bytes(c, HYTHE_JSON,
			    "{\"custom\":{},\"inputs\":[],\"name\":\"\",\"outputs\":[],\"platform\":\"\","
			    "\"versions\":[\"\"]}");
		break;
	case COMPONENT_METRICS:
		reply_bytes(c, HYTHE_TEXT, "");
		break;
	}
}

/* ---- the component ---- */

static bool component_call_run(struct component *component, struct component_call *call, struct arena *arena,
			       struct error *err)
{
	const struct host_component *owner = (const struct host_component *)component;
	struct hythe_call c = { .owner = owner, .call = call, .arena = arena, .err = err };

	call->status = 200;
	call->error_code = -1;
	owner->call(owner->context, &c);
	if (!c.is_replied)
		return error_set(err, ERROR_INTERNAL, "the host's function returned without a reply");
	return c.is_ok;
}

static bool names_copy(struct hythe_host *h, const char *const *names, size_t count, struct span **ret,
		       size_t *ret_count, struct error *err)
{
	struct span *copies;

	if (count == 0)
		return true;
	copies = ARENA_ARRAY(&h->arena, struct span, count, err);
	for (size_t i = 0; copies && i < count; i++) {
		copies[i] = arena_copy(&h->arena, span_of(names[i]), err);
		if (!copies[i].ptr)
			return false;
	}
	*ret = copies;
	*ret_count = count;
	return copies != NULL;
}

bool host_component_new(struct hythe_host *h, const struct hythe_host_config *config, struct error *err)
{
	struct host_component *owner = ARENA_NEW(&h->arena, struct host_component, err);
	struct component *c = &owner->component;

	if (!owner)
		return false;
	owner->host = h;
	owner->call = config->call;
	owner->context = config->context;
	owner->name = arena_copy(&h->arena, span_of(config->name ? config->name : "model"), err);
	c->call = component_call_run;
	c->kind = arena_copy(&h->arena, span_of(config->kind ? config->kind : "component"), err);
	c->platform = arena_copy(&h->arena, span_of(config->platform ? config->platform : "python"), err);
	h->component = owner;
	return owner->name.ptr && c->kind.ptr && c->platform.ptr &&
	       names_copy(h, config->feature_names, config->feature_count, &c->feature_names, &c->feature_count, err) &&
	       names_copy(h, config->class_names, config->class_count, &c->class_names, &c->class_count, err);
}

bool host_component_add(struct hythe_host *h, struct error *err)
{
	return inference_add_component(h->inference, h->component->name.ptr, &h->component->component, err);
}
