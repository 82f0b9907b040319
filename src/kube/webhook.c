/* SPDX-License-Identifier: Apache-2.0 */
/* webhook - where a webhook is, the call, and what its answer's status means. Facts: k8s.io/apiserver util/webhook, k8s.io/client-go rest. */
#include "kube/webhook.h"

#include "base/clock.h"
#include "base/random.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"
#include "net/https.h"
#include "wire/base64.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_PORT = 443, CALLS_MOST = 64, WORDS_MOST = 1024, ADDRESSES_MOST = 256 };
#define ANSWER_MOST MIB(8)
#define URL_MOST    KIB(8)

struct webhooks {
	struct kube *kube;
	struct https *https;
	struct hook_call *calls;
	bool is_closing;
};

struct hook_call {
	struct hook_call *next, **at;
	struct webhooks *set;
	void (*done)(void *context, struct span answer, const struct error *err);
	void *context;
	char *url;
	struct error failure; /* before it was even sent: told in the next turn */
	struct loop_task task;
};

/* ---- where ---- */

struct target {
	struct span url, connect_address;
	uint16_t connect_port;
};

static bool is_named(const struct value *port, struct span name)
{
	return span_equal(get_text(port, "name"), name);
}

struct addresses {
	struct span list[ADDRESSES_MOST];
	int64_t ports[ADDRESSES_MOST];
	size_t count;
};

static void address_add(struct addresses *a, struct span address, int64_t port)
{
	if (a->count == ADDRESSES_MOST || !address.len || port < 1 || port > UINT16_MAX)
		return;
	a->list[a->count] = address;
	a->ports[a->count++] = port;
}

static void endpoints_add(struct addresses *a, const struct value *endpoints, struct span port_name)
{
	const struct value *subsets = get(endpoints, "subsets");

	for (uint32_t i = 0; i < count_of(subsets); i++) {
		const struct value *ports = get(value_item(subsets, i), "ports"),
				   *list = get(value_item(subsets, i), "addresses");

		for (uint32_t p = 0; p < count_of(ports); p++)
			for (uint32_t k = 0; is_named(value_item(ports, p), port_name) && k < count_of(list); k++)
				address_add(a, get_text(value_item(list, k), "ip"),
					    get_int(value_item(ports, p), "port", 0));
	}
}

struct slices {
	struct kube *kube;
	const struct kind *kind;
	struct span service, port_name;
	struct addresses *addresses;
	struct arena *arena;
};

static bool slice_each(void *context, struct record *r)
{
	struct slices *s = context;
	struct error ignored = { 0 };
	const struct value *slice = record_object(s->kind, r, s->arena, &ignored), *ports, *list;

	if (!slice ||
	    !span_equal(text_of(value_get(value_find(slice, "metadata.labels"), SPAN("kubernetes.io/service-name"))),
			s->service))
		return true;
	ports = get(slice, "ports");
	list = get(slice, "endpoints");
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *ready = value_find(value_item(list, i), "conditions.ready"),
				   *each = get(value_item(list, i), "addresses");

		for (uint32_t p = 0; (!ready || ready->boolean) && count_of(each) && p < count_of(ports); p++)
			if (is_named(value_item(ports, p), s->port_name))
				address_add(s->addresses, text_of(value_item(each, 0)),
					    get_int(value_item(ports, p), "port", 0));
	}
	return true;
}

static void service_addresses(struct kube *k, struct span name_space, struct span name, struct span port_name,
			      struct addresses *ret, struct arena *arena)
{
	const struct kind *kind = kube_kind(k, SPAN(""), SPAN("v1"), SPAN("endpoints"));
	struct slices s = { .kube = k, .service = name, .port_name = port_name, .addresses = ret, .arena = arena };
	struct error ignored = { 0 };

	if (kind)
		endpoints_add(ret, kube_object(k, kind, name_space, name, false, arena, &ignored), port_name);
	s.kind = kube_kind(k, SPAN("discovery.k8s.io"), SPAN("v1"), SPAN("endpointslices"));
	if (!ret->count && s.kind)
		(void)store_list(k->config.store, kube_key(s.kind, name_space, (struct span){ 0 }, arena),
				 (struct span){ 0 }, 0, slice_each, &s, &ignored);
}

static bool service_resolve(struct kube *k, struct span name_space, struct span name, int64_t port, struct target *ret,
			    struct arena *arena, struct error *err)
{
	const struct kind *kind = kube_kind(k, SPAN(""), SPAN("v1"), SPAN("services"));
	const struct value *service = kind ? kube_object(k, kind, name_space, name, false, arena, err) : NULL, *ports;
	struct addresses *found;
	struct span cluster_ip, port_name = { 0 };
	bool has_port = false;

	if (!service)
		return !err->code &&
		       error_set(err, ERROR_UNAVAILABLE, "service \"" SPAN_FMT "\" not found", SPAN_ARG(name));
	if (is_text(value_find(service, "spec.type"), "ExternalName")) {
		ret->connect_address = value_find_string(service, "spec.externalName");
		ret->connect_port = (uint16_t)port;
		return true;
	}
	ports = value_find(service, "spec.ports");
	for (uint32_t i = 0; i < count_of(ports) && !has_port; i++) {
		has_port = get_int(value_item(ports, i), "port", 0) == port;
		if (has_port)
			port_name = get_text(value_item(ports, i), "name");
	}
	if (!has_port)
		return error_set(err, ERROR_UNAVAILABLE, "no service port %lld found for service \"" SPAN_FMT "\"",
				 (long long)port, SPAN_ARG(name));
	found = ARENA_NEW(arena, struct addresses, err);
	if (!found)
		return false;
	service_addresses(k, name_space, name, port_name, found, arena);
	if (found->count) {
		size_t i = random_fast() % found->count;

		ret->connect_address = found->list[i];
		ret->connect_port = (uint16_t)found->ports[i];
		return true;
	}
	cluster_ip = value_find_string(service, "spec.clusterIP");
	if (!cluster_ip.len || span_equal(cluster_ip, SPAN("None")) || value_find(service, "spec.selector"))
		return error_set(err, ERROR_UNAVAILABLE, "no endpoints available for service \"" SPAN_FMT "\"",
				 SPAN_ARG(name));
	ret->connect_address = cluster_ip;
	ret->connect_port = (uint16_t)port;
	return true;
}

static bool target_find(const struct webhook_request *r, struct target *ret, struct arena *arena, struct error *err)
{
	const struct value *service = get(r->client_config, "service");
	struct span name = get_text(service, "name"), name_space = get_text(service, "namespace"),
		    path = get_text(service, "path"), url = get_text(r->client_config, "url");
	int64_t port = get_int(service, "port", DEFAULT_PORT), seconds = (r->timeout_ns + NS_PER_S - 1) / NS_PER_S;
	char query[32] = "";

	if (!url.len && !service)
		return error_set(err, ERROR_INVALID, "webhook configuration must have either service or URL");
	if (r->has_timeout)
		(void)snprintf(query, sizeof(query), "?timeout=%llds", (long long)seconds);
	if (!service) {
		ret->url = arena_print(arena, err, "%.*s%s", (int)MIN(span_index(url, '?'), URL_MOST), url.ptr, query);
		return ret->url.ptr != NULL;
	}
	ret->url = arena_print(arena, err, "https://" SPAN_FMT "." SPAN_FMT ".svc:%lld%s%.*s%s", SPAN_ARG(name),
			       SPAN_ARG(name_space), (long long)port, path.len && path.ptr[0] == '/' ? "" : "/",
			       (int)MIN(path.len, URL_MOST), path.ptr ? path.ptr : "", query);
	return ret->url.ptr != NULL;
}

/* ---- the answer ---- */

/* What a status over 299 means to a Kubernetes client. */
static void status_words(const struct https_answer *a, struct error *err)
{
	static const struct {
		int status;
		const char *words;
	} rows[] = {
		{ 400, "the server rejected our request for an unknown reason" },
		{ 401, "the server has asked for the client to provide credentials" },
		{ 404, "the server could not find the requested resource" },
		{ 405, "the server does not allow this method on the requested resource" },
		{ 406, "the server was unable to respond with a content type that the client supports" },
		{ 409, "the server reported a conflict" },
		{ 413, "Request entity too large: limit is unknown" },
		{ 415, "the server was unable to process the content type of the request" },
		{ 422, "the server rejected our request due to an error in our request" },
		{ 429, "the server has received too many requests and has asked us to try again later" },
		{ 503, "the server is currently unable to handle the request" },
		{ 504,
		  "the server was unable to return a response in the time allotted, but may still be processing the "
		  "request" },
	};
	struct span text = span_first(span_trim(a->body), 300);
	bool is_text = span_starts(a->content_type, SPAN("text/"));

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].status == a->status) {
			(void)error_set(err, ERROR_UNAVAILABLE, "%s", rows[i].words);
			return;
		}
	}
	if (!is_text)
		text = SPAN("unknown");
	if (a->status == 403)
		(void)error_set(err, ERROR_UNAVAILABLE, "%.*s", (int)text.len, text.ptr);
	else if (a->status >= 500)
		(void)error_set(err, ERROR_UNAVAILABLE,
				"an error on the server (\"%.*s\") has prevented the request from succeeding",
				(int)text.len, text.ptr);
	else
		(void)error_set(err, ERROR_UNAVAILABLE,
				"the server responded with the status code %d but did not return more information",
				a->status);
}

static void call_end(struct hook_call *c, struct span answer, const struct error *err)
{
	void (*done)(void *context, struct span answer, const struct error *err) = c->done;
	void *context = c->context;

	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	loop_undefer(c->set->kube->config.loop, &c->task);
	done(context, answer, err);
	free(c->url);
	free(c);
}

static void answered(void *context, const struct https_answer *a, const struct error *failure)
{
	struct hook_call *c = context;
	struct error err = { 0 };

	if (failure) {
		(void)error_set(&err, failure->code, "Post \"%s\": %s", c->url, failure->message);
		call_end(c, (struct span){ 0 }, &err);
	} else if (a->status < 200 || a->status > 299) {
		status_words(a, &err);
		call_end(c, (struct span){ 0 }, &err);
	} else if (!a->body.len) {
		(void)error_set(&err, ERROR_UNAVAILABLE,
				"0-length response with status code: %d and content type: " SPAN_FMT, a->status,
				SPAN_ARG(a->content_type));
		call_end(c, (struct span){ 0 }, &err);
	} else {
		call_end(c, a->body, NULL);
	}
}

static void fail_later(struct loop_task *t)
{
	struct hook_call *c = CONTAINER_OF(t, struct hook_call, task);
	struct error err = c->failure;

	call_end(c, (struct span){ 0 }, &err);
}

/* ---- the call ---- */

static bool call_begin(struct hook_call *c, const struct webhook_request *r, struct arena *arena, struct error *err)
{
	struct kube *k = c->set->kube;
	struct target target = { 0 };
	const struct value *service = get(r->client_config, "service");
	struct https_request request = { .body = r->body,
					 .content_type = SPAN("application/json"),
					 .timeout_ns = r->timeout_ns,
					 .done = answered,
					 .context = c };

	if (c->set->is_closing)
		return error_set(err, ERROR_CANCELLED, "the server is ending");
	if (!target_find(r, &target, arena, err))
		return false;
	c->url = span_to_text(target.url);
	if (service && !service_resolve(k, get_text(service, "namespace"), get_text(service, "name"),
					get_int(service, "port", DEFAULT_PORT), &target, arena, err)) {
		struct error why = *err;

		return error_set(err, why.code, "Post \"%s\": %s", c->url, why.message);
	}
	request.url = target.url;
	request.connect_address = target.connect_address;
	request.connect_port = target.connect_port;
	if (get_text(r->client_config, "caBundle").len &&
	    !base64_read(get_text(r->client_config, "caBundle"), arena, &request.ca_pem, err))
		return false;
	return https_call(c->set->https, &request, err) != NULL;
}

void webhook_call(struct kube *k, const struct webhook_request *r)
{
	struct webhooks *set = k->webhooks;
	struct hook_call *c = base_calloc(1, sizeof(*c));
	struct arena arena;

	c->set = set;
	c->done = r->done;
	c->context = r->context;
	c->task.run = fail_later;
	c->next = set->calls;
	c->at = &set->calls;
	if (c->next)
		c->next->at = &c->next;
	set->calls = c;
	arena_init(&arena, MIB(32));
	if (!call_begin(c, r, &arena, &c->failure))
		loop_defer(k->config.loop, &c->task);
	arena_done(&arena);
}

struct webhooks *webhooks_new(struct kube *k)
{
	struct https_config config = { .loop = k->config.loop,
				       .calls_most = CALLS_MOST,
				       .answer_most = ANSWER_MOST,
				       .user_agent = "kube-apiserver-admission" };
	struct webhooks *w = base_calloc(1, sizeof(*w));

	w->kube = k;
	w->https = https_new(&config);
	return w;
}

void webhooks_free(struct webhooks *w)
{
	struct error err = { 0 };

	if (!w)
		return;
	w->is_closing = true;
	https_free(w->https);
	(void)error_set(&err, ERROR_CANCELLED, "the server is ending");
	while (w->calls)
		call_end(w->calls, (struct span){ 0 }, &err);
	free(w);
}
