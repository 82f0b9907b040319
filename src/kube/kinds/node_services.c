/* SPDX-License-Identifier: Apache-2.0 */
/* node_services - what only the node of a pod can answer: logs, exec, attach, forwarded ports, proxies. Here the question is checked, and
 * refused where there is no node; a node that this server runs takes it over (kube_serve_nodes()). */
#include "kube/kinds/kinds.h"

#include "base/number.h"
#include "base/random.h"

#include "kube/kinds/node_services.h"
#include "kube/kube.h"
#include "kube/subresource.h"
#include "net/request.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- refusals ---- */

static struct span say(struct kube_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
static struct span say(struct kube_call *call, const char *format, ...)
{
	char text[1024];
	struct error err = { 0 };
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return arena_copy(call->arena, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)), &err);
}

static void refuse_bad(struct kube_call *call, struct span message)
{
	kube_refuse(call, &(struct kube_refusal){ .code = 400, .reason = "BadRequest", .message = message });
}

static void refuse_absent(struct kube_call *call, struct span kind, struct span name)
{
	kube_refuse(call, &(struct kube_refusal){ .code = 404,
						  .reason = "NotFound",
						  .message = say(call, SPAN_FMT " \"" SPAN_FMT "\" not found",
								 SPAN_ARG(kind), SPAN_ARG(name)),
						  .kind = kind,
						  .name = name });
}

/* "name", "name:port" or "scheme:name:port", of which scheme and port may be empty. */
struct address {
	struct span scheme, name, port;
};

static bool address_read(struct span s, struct address *ret)
{
	struct span parts[3];
	size_t count = 0, at = 0;

	for (size_t i = 0; i <= s.len; i++) {
		if (i < s.len && s.ptr[i] != ':')
			continue;
		if (count == 3)
			return false;
		parts[count++] = span_from(s.ptr + at, i - at);
		at = i + 1;
	}
	*ret = (struct address){ .name = parts[0] };
	if (count == 2) {
		ret->port = parts[1];
	} else if (count == 3) {
		*ret = (struct address){ parts[0], parts[1], parts[2] };
		if (ret->scheme.len && !span_equal(ret->scheme, SPAN("http")) &&
		    !span_equal(ret->scheme, SPAN("https")))
			return false;
	}
	return ret->name.len > 0;
}

/* NULL: refused. */
static const struct value *object_of(struct kube_call *call, const struct kind *kind, struct span name)
{
	struct error err = { 0 };
	const struct value *object = kube_object(call->kube, kind, call->name_space, name, false, call->arena, &err);

	if (object)
		return object;
	if (err.code)
		kube_fail(call, &err);
	else
		refuse_absent(call, span_of(call->kind->plural), name);
	return NULL;
}

/* ---- the node ---- */

/* Gives the question to the node, or says why nobody can answer. */
static void ask_node(struct kube_call *call, const struct node_question *q)
{
	const struct kind *nodes = kube_kind(call->kube, SPAN(""), SPAN("v1"), SPAN("nodes"));
	struct error err = { 0 };
	const struct value *node;

	if (kube_ask_node(call->kube, call, q))
		return;
	node = kube_object(call->kube, nodes, SPAN(""), q->node, false, call->arena, &err);
	if (err.code) {
		kube_fail(call, &err);
	} else if (!node) {
		/* The real server tells it in the words of the kind that was asked for. */
		refuse_absent(call, span_of(call->kind->plural), q->node);
	} else if (!count_of(get(get(node, "status"), "addresses"))) {
		kube_refuse(call,
			    &(struct kube_refusal){
				.code = 500, .message = SPAN("no preferred addresses found; known addresses: []") });
	} else {
		kube_refuse(call, &(struct kube_refusal){
				      .code = 503,
				      .reason = "ServiceUnavailable",
				      .message = say(call, "node \"" SPAN_FMT "\" is not run by this server",
						     SPAN_ARG(q->node)) });
	}
}

/* ---- containers ---- */

static bool list_names(const struct value *list, struct span name)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (span_equal(get_text(value_item(list, i), "name"), name))
			return true;
	}
	return false;
}

static void add_names(struct text *t, const struct value *list, bool is_first)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		text_add(t, i || !is_first ? SPAN(" ") : SPAN(""));
		text_add(t, get_text(value_item(list, i), "name"));
	}
}

/* The container that is meant. False: refused. */
static bool container_find(struct kube_call *call, const struct value *pod, struct span *ret)
{
	static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };
	const struct value *spec = get(pod, "spec"), *containers = get(spec, "containers");
	struct text t = { .arena = call->arena };
	bool is_there = false;

	*ret = (struct span){ 0 };
	(void)request_query(call->req, SPAN("container"), ret);
	if (ret->len == 0 && count_of(containers) == 1) {
		*ret = get_text(value_item(containers, 0), "name");
		return true;
	}
	if (ret->len == 0) {
		text_addf(&t, "a container name must be specified for pod " SPAN_FMT, SPAN_ARG(call->name));
		text_add(&t, SPAN(", choose one of: ["));
		add_names(&t, get(spec, "initContainers"), true);
		add_names(&t, containers, count_of(get(spec, "initContainers")) == 0);
		add_names(&t, get(spec, "ephemeralContainers"), false);
		text_add(&t, SPAN("]"));
		refuse_bad(call, text_span(&t));
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		is_there = is_there || list_names(get(spec, lists[i]), *ret);
	if (!is_there)
		refuse_bad(call, say(call, "container " SPAN_FMT " is not valid for pod " SPAN_FMT, SPAN_ARG(*ret),
				     SPAN_ARG(call->name)));
	return is_there;
}

static void ask_about_pod(struct kube_call *call, enum node_service service, bool has_container)
{
	struct node_question q = { .service = service };

	q.object = object_of(call, call->kind, call->name);
	if (!q.object || (has_container && !container_find(call, q.object, &q.container)))
		return;
	q.node = get_text(get(q.object, "spec"), "nodeName");
	if (q.node.len)
		ask_node(call, &q);
	else if (service == NODE_LOG)
		kube_answer_empty(call, 204); /* nothing has run yet */
	else
		refuse_bad(call, say(call, "pod " SPAN_FMT " does not have a host assigned", SPAN_ARG(call->name)));
}

/* ---- logs ---- */

/* A number of the query; false: absent, or none (which the real server takes as absent). */
static bool number_of(struct kube_call *call, const char *name, int64_t *ret)
{
	struct span text = { 0 };

	return request_query(call->req, span_of(name), &text) && number_parse_int64(text, ret);
}

static void check_log_options(struct kube_call *call, struct change *c)
{
	struct span time = { 0 };
	struct value v = value_int(0);
	bool has_seconds;

	if (number_of(call, "tailLines", &v.integer) && v.integer < 0)
		fault_invalid(c, AT(NULL, "tailLines"), &v, "must be greater than or equal to 0");
	if (number_of(call, "limitBytes", &v.integer) && v.integer < 1)
		fault_invalid(c, AT(NULL, "limitBytes"), &v, "must be greater than 0");
	has_seconds = number_of(call, "sinceSeconds", &v.integer);
	if (has_seconds && request_query(call->req, SPAN("sinceTime"), &time))
		fault_forbidden(c, AT(NULL, "[]"), "at most one of `sinceTime` or `sinceSeconds` may be specified");
	else if (has_seconds && v.integer < 1)
		fault_invalid(c, AT(NULL, "sinceSeconds"), &v, "must be greater than 0");
}

void pod_log(struct kube_call *call)
{
	struct error err = { 0 };
	struct change c = { .kube = call->kube, .kind = call->kind, .arena = call->arena, .err = &err };

	check_log_options(call, &c);
	if (c.causes)
		kube_refuse(call, &(struct kube_refusal){ .code = 422,
							  .reason = "Invalid",
							  .kind = SPAN("PodLogOptions"),
							  .name = call->name,
							  .causes = c.causes });
	else
		ask_about_pod(call, NODE_LOG, true);
}

/* ---- streams ---- */

void pod_exec(struct kube_call *call)
{
	ask_about_pod(call, NODE_EXEC, true);
}

void pod_attach(struct kube_call *call)
{
	ask_about_pod(call, NODE_ATTACH, true);
}

void pod_forward(struct kube_call *call)
{
	ask_about_pod(call, NODE_FORWARD, false);
}

/* ---- proxies ---- */

static void refuse_unavailable(struct kube_call *call, struct span message)
{
	kube_refuse(call, &(struct kube_refusal){ .code = 503, .reason = "ServiceUnavailable", .message = message });
}

/* A port of a pod by its number or its name. Empty: the first one that its containers have, else the scheme's. 0: none. */
static uint16_t pod_port(const struct value *pod, struct span scheme, struct span port)
{
	const struct value *containers = get(get(pod, "spec"), "containers");
	int64_t number = 0;

	if (port.len && number_parse_int64(port, &number))
		return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
	for (uint32_t i = 0; i < count_of(containers); i++) {
		const struct value *ports = get(value_item(containers, i), "ports");

		for (uint32_t j = 0; j < count_of(ports); j++)
			if (!port.len || span_equal(get_text(value_item(ports, j), "name"), port))
				return (uint16_t)get_int(value_item(ports, j), "containerPort", 0);
	}
	return port.len ? 0 : span_equal(scheme, SPAN("https")) ? 443 : 80;
}

void pod_proxy(struct kube_call *call)
{
	struct node_question q = { .service = NODE_POD_PROXY };
	struct address a;

	if (!address_read(call->name, &a)) {
		refuse_bad(call, say(call, "invalid pod request \"" SPAN_FMT "\"", SPAN_ARG(call->name)));
		return;
	}
	q.object = object_of(call, call->kind, a.name);
	if (!q.object)
		return;
	if (get_text(get(q.object, "status"), "podIP").len == 0) {
		refuse_bad(call, SPAN("address not allowed"));
		return;
	}
	q.node = get_text(get(q.object, "spec"), "nodeName");
	q.scheme = a.scheme;
	q.port = pod_port(q.object, a.scheme, a.port);
	if (q.port)
		ask_node(call, &q);
	else
		refuse_unavailable(
		    call, say(call, "error trying to reach service: dial tcp: lookup tcp/" SPAN_FMT ": unknown port",
			      SPAN_ARG(a.port)));
}

/* A port that is given by its number has a name in the service's endpoints. False: the service has no such port. */
static bool port_name(const struct value *service, struct span *port)
{
	const struct value *ports = get(get(service, "spec"), "ports");
	int64_t number;

	if (!port->len || !number_parse_int64(*port, &number))
		return true;
	for (uint32_t i = 0; i < count_of(ports); i++) {
		if (get_int(value_item(ports, i), "port", 0) == number) {
			*port = get_text(value_item(ports, i), "name");
			return true;
		}
	}
	return false;
}

/* The pod of an address of endpoints; NULL: it is none's, or another's by now. */
static const struct value *pod_behind(struct kube_call *call, const struct value *address)
{
	const struct kind *pods = kube_kind(call->kube, SPAN(""), SPAN("v1"), SPAN("pods"));
	const struct value *target = get(address, "targetRef"), *pod;
	struct error ignored = { 0 };

	if (!is_text(get(target, "kind"), "Pod"))
		return NULL;
	pod = kube_object(call->kube, pods, get_text(target, "namespace"), get_text(target, "name"), false, call->arena,
			  &ignored);
	return pod && span_equal(get_text(get(pod, "status"), "podIP"), get_text(address, "ip")) ? pod : NULL;
}

/* One of the pods that are ready, and its port. False: there is none. */
static bool endpoint_choose(struct kube_call *call, const struct value *endpoints, struct span port,
			    struct node_question *q)
{
	const struct value *subsets = get(endpoints, "subsets");
	uint64_t first = random_fast();

	for (uint32_t i = 0; i < count_of(subsets); i++) {
		const struct value *subset = value_item(subsets, (uint32_t)((first + i) % count_of(subsets)));
		const struct value *ports = get(subset, "ports"), *addresses = get(subset, "addresses");

		for (uint32_t j = 0; j < count_of(ports); j++) {
			if (!span_equal(get_text(value_item(ports, j), "name"), port))
				continue;
			for (uint32_t n = 0; n < count_of(addresses); n++) {
				q->object = pod_behind(
				    call, value_item(addresses, (uint32_t)((first + n) % count_of(addresses))));
				q->port = (uint16_t)get_int(value_item(ports, j), "port", 0);
				if (q->object && q->port)
					return true;
			}
		}
	}
	return false;
}

void service_proxy(struct kube_call *call)
{
	const struct kind *endpoints = kube_kind(call->kube, SPAN(""), SPAN("v1"), SPAN("endpoints"));
	struct node_question q = { .service = NODE_POD_PROXY };
	const struct value *service, *ready;
	struct address a;

	if (!address_read(call->name, &a)) {
		refuse_bad(call, say(call, "invalid service request \"" SPAN_FMT "\"", SPAN_ARG(call->name)));
		return;
	}
	service = object_of(call, call->kind, a.name);
	if (!service)
		return;
	if (!port_name(service, &a.port)) {
		refuse_unavailable(call, say(call, "no service port " SPAN_FMT " found for service \"" SPAN_FMT "\"",
					     SPAN_ARG(a.port), SPAN_ARG(a.name)));
		return;
	}
	ready = object_of(call, endpoints, a.name);
	if (!ready)
		return;
	if (!endpoint_choose(call, ready, a.port, &q)) {
		refuse_unavailable(call, say(call, "no endpoints available for service \"" SPAN_FMT "\"",
					     SPAN_ARG(count_of(get(ready, "subsets")) ? call->name : a.name)));
		return;
	}
	q.node = get_text(get(q.object, "spec"), "nodeName");
	q.scheme = a.scheme;
	ask_node(call, &q);
}

void node_proxy(struct kube_call *call)
{
	struct node_question q = { .service = NODE_PROXY };
	struct address a;

	if (!address_read(call->name, &a)) {
		refuse_bad(call, say(call, "invalid node request \"" SPAN_FMT "\"", SPAN_ARG(call->name)));
		return;
	}
	q.object = object_of(call, call->kind, a.name);
	if (!q.object)
		return;
	q.node = a.name;
	q.scheme = a.scheme;
	ask_node(call, &q);
}
