/* SPDX-License-Identifier: Apache-2.0 */
/* compile_defaults - what is there from the start: the classes "hythe", and the Gateway "hythe" in kube-system. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "gateway/compile_private.h"

#define OURS "\"labels\":{\"app.kubernetes.io/managed-by\":\"hythe\"}"

static void text_create(struct compile *c, enum kinds kind, struct span name_space, struct span name, const char *text)
{
	const struct resource *r = c->followings[kind].resource;
	struct error err = { 0 };
	struct arena arena;
	struct value object;

	arena_init(&arena, MIB(1));
	if (value_parse(span_of(text), NULL, &arena, &object, &err))
		object_create(c, r, name_space, name, &object);
	else
		log_error("gateway", "an object cannot be made", LOG_TEXT("kind", r->kind),
			  LOG_TEXT("error", err.message));
	arena_done(&arena);
}

static bool is_missing(const struct compile *c, enum kinds kind, const char *key)
{
	return c->followings[kind].is_there && !item_find(c, kind, span_of(key));
}

/* The listener of HTTPS shows the certificates of Ingresses, which the option stands for. */
static void listeners_print(const struct compile *c, char *out, size_t size)
{
	int len = snprintf(out, size, "[");

	if (c->address.len)
		len += snprintf(out + len, size - (size_t)len,
				"{\"name\":\"http\",\"port\":%d,\"protocol\":\"HTTP\","
				"\"allowedRoutes\":{\"namespaces\":{\"from\":\"All\"}}}",
				c->port ? c->port : 80);
	if (c->tls_address.len)
		len += snprintf(out + len, size - (size_t)len,
				"%s{\"name\":\"https\",\"port\":%d,\"protocol\":\"HTTPS\","
				"\"tls\":{\"mode\":\"Terminate\",\"options\":{\"hythe.dev/certificates\":\"ingress\"}},"
				"\"allowedRoutes\":{\"namespaces\":{\"from\":\"All\"}}}",
				c->address.len ? "," : "", c->tls_port ? c->tls_port : 443);
	(void)snprintf(out + len, size - (size_t)len, "]");
}

static void gateway_make(struct compile *c)
{
	char listeners[700], text[1200];

	if (!c->address.len && !c->tls_address.len)
		return;
	listeners_print(c, listeners, sizeof(listeners));
	(void)snprintf(
	    text, sizeof(text),
	    "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"Gateway\",\"metadata\":{\"name\":\"%s\","
	    "\"namespace\":\"kube-system\"," OURS "},"
	    "\"spec\":{\"gatewayClassName\":\"%s\",\"listeners\":%s}}",
	    COMPILE_GATEWAY, COMPILE_CLASS, listeners);
	text_create(c, GATEWAYS, SPAN("kube-system"), SPAN(COMPILE_GATEWAY), text);
}

/* The program's flags have changed since it was made: its listeners say so, as long as they are hythe's. */
static void gateway_renew(struct compile *c, const struct item *i)
{
	const struct value *label =
	    value_get(value_find(i->object, "metadata.labels"), SPAN("app.kubernetes.io/managed-by"));
	const struct value *list = value_find(i->object, "spec.listeners");
	uint32_t wanted = (uint32_t)(c->address.len != 0) + (uint32_t)(c->tls_address.len != 0);
	bool is_same = value_count(list) == wanted;
	struct error err = { 0 };
	struct value *object, listeners;
	struct arena arena;
	char text[700];

	for (uint32_t n = 0; n < value_count(list); n++) {
		bool is_tls = span_equal(value_find_string(value_item(list, n), "protocol"), SPAN("HTTPS"));
		int port = is_tls ? c->tls_port : c->port;

		is_same = is_same && (!port || value_find_int(value_item(list, n), "port", 0) == port);
	}
	if (is_same || !wanted || !value_is(label, VALUE_STRING) || !span_equal(label->string, SPAN("hythe")))
		return;
	arena_init(&arena, MIB(16));
	object = object_now(c, i, &arena);
	listeners_print(c, text, sizeof(text));
	if (object && value_parse(span_of(text), NULL, &arena, &listeners, &err) && value_find(object, "spec")) {
		member_set(value_find(object, "spec"), "listeners", listeners, &arena, &err);
		object_replace(c, i, object);
	}
	arena_done(&arena);
}

void defaults_make(struct compile *c)
{
	const struct item *gateway = item_find(c, GATEWAYS, SPAN("kube-system/" COMPILE_GATEWAY));

	if (!c->has_ingress_class && is_missing(c, INGRESS_CLASSES, "/" COMPILE_CLASS))
		text_create(c, INGRESS_CLASSES, (struct span){ 0 }, SPAN(COMPILE_CLASS),
			    "{\"apiVersion\":\"networking.k8s.io/"
			    "v1\",\"kind\":\"IngressClass\",\"metadata\":{\"name\":\"" COMPILE_CLASS "\"," OURS
			    ",\"annotations\":{"
			    "\"ingressclass.kubernetes.io/is-default-class\":\"true\"}},"
			    "\"spec\":{\"controller\":\"" COMPILE_CONTROLLER "\"}}");
	c->has_ingress_class = true;
	if (!c->has_gateway_class && is_missing(c, GATEWAY_CLASSES, "/" COMPILE_CLASS))
		text_create(c, GATEWAY_CLASSES, (struct span){ 0 }, SPAN(COMPILE_CLASS),
			    "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\",\"metadata\":{"
			    "\"name\":\"" COMPILE_CLASS "\"," OURS "},"
			    "\"spec\":{\"controllerName\":\"" COMPILE_CONTROLLER "\"}}");
	c->has_gateway_class = c->has_gateway_class || c->followings[GATEWAY_CLASSES].is_there;
	if (c->has_gateway || !c->followings[GATEWAYS].is_there)
		return;
	c->has_gateway = true;
	if (gateway)
		gateway_renew(c, gateway);
	else
		gateway_make(c);
}
