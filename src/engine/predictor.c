/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/predictor.h"

#include "base/clock.h"
#include "base/number.h"
#include "wire/value.h"

#define ENGINE_CONTAINER "seldon-container-engine"

bool predictor_protocol_read(struct span text, enum predictor_protocol *ret, struct error *err)
{
	static const struct {
		struct span name;
		enum predictor_protocol protocol;
	} rows[] = {
		{ SPAN_INIT(""), PREDICTOR_SELDON },
		{ SPAN_INIT("seldon"), PREDICTOR_SELDON },
		{ SPAN_INIT("v2"), PREDICTOR_V2 },
		{ SPAN_INIT("kfserving"), PREDICTOR_V2 },
		{ SPAN_INIT("tensorflow"), PREDICTOR_TENSORFLOW },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (span_equal(text, rows[i].name)) {
			*ret = rows[i].protocol;
			return true;
		}
	}
	return error_set(err, ERROR_INVALID, "protocol '" SPAN_FMT "' is none of seldon, v2, kfserving and tensorflow",
			 SPAN_ARG(text));
}

/* ---- annotations ---- */

bool predictor_annotate(struct predictor *p, struct span key, struct span value, struct error *err)
{
	bool is_rest = span_equal(key, SPAN("seldon.io/rest-timeout"));
	bool is_grpc = span_equal(key, SPAN("seldon.io/grpc-timeout"));
	bool is_size = span_equal(key, SPAN("seldon.io/grpc-max-message-size"));
	int64_t number;

	if (!is_rest && !is_grpc && !is_size)
		return true;
	if (!number_parse_int64(span_trim(value), &number) || number < 0 || number > INT32_MAX)
		return error_set(err, ERROR_INVALID,
				 "annotation " SPAN_FMT ": '" SPAN_FMT "' is no number from 0 to %d", SPAN_ARG(key),
				 SPAN_ARG(value), INT32_MAX);
	if (is_rest)
		p->rest_timeout_ns = number * NS_PER_MS;
	else if (is_grpc)
		p->grpc_timeout_ns = number * NS_PER_MS;
	else
		p->grpc_message_most = (size_t)number;
	return true;
}

bool predictor_annotations_read(struct predictor *p, struct span text, struct error *err)
{
	while (text.len > 0) {
		struct span line = span_trim(span_cut(&text, '\n'));
		struct span key = span_cut(&line, '=');

		if (line.len >= 2 && line.ptr[0] == '"' && line.ptr[line.len - 1] == '"')
			line = span_from(line.ptr + 1, line.len - 2);
		if (!predictor_annotate(p, span_trim(key), line, err))
			return false;
	}
	return true;
}

static bool annotations_take(struct predictor *p, const struct value *annotations, struct error *err)
{
	if (!value_is(annotations, VALUE_OBJECT))
		return true;
	for (uint32_t i = 0; i < annotations->object.count; i++) {
		const struct value_member *m = &annotations->object.members[i];

		if (value_is(&m->value, VALUE_STRING) && !predictor_annotate(p, m->key, m->value.string, err))
			return false;
	}
	p->version = value_is(value_get(annotations, SPAN("version")), VALUE_STRING)
			 ? value_get(annotations, SPAN("version"))->string
			 : SPAN("");
	return true;
}

/* ---- the node ---- */

static bool refuse(struct span node, const char *what, struct span given, struct error *err)
{
	return error_set(err, ERROR_UNIMPLEMENTED,
			 "graph node '" SPAN_FMT "' %s" SPAN_FMT ": a graph of one MODEL node is what runs so far",
			 SPAN_ARG(node), what, SPAN_ARG(given));
}

static bool node_check(const struct value *graph, struct span name, struct error *err)
{
	static const struct span built_in[] = { SPAN_INIT("RANDOM_ABTEST"), SPAN_INIT("SIMPLE_MODEL"),
						SPAN_INIT("SIMPLE_ROUTER"), SPAN_INIT("AVERAGE_COMBINER") };
	struct span type = value_find_string(graph, "type");
	struct span implementation = value_find_string(graph, "implementation");

	if (!value_is_empty(value_get(graph, SPAN("children"))))
		return refuse(name, "has children", SPAN(""), err);
	if (type.len && !span_equal(type, SPAN("MODEL")) && !span_equal(type, SPAN("UNKNOWN_TYPE")))
		return refuse(name, "is of type ", type, err);
	if (!value_is_empty(value_get(graph, SPAN("methods"))))
		return refuse(name, "has a list of methods", SPAN(""), err);
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
		if (span_equal(implementation, built_in[i]))
			return refuse(name, "is built in, ", implementation, err);
	if (!value_is_empty(value_get(graph, SPAN("logger"))))
		return refuse(name, "has a logger, which is not there yet", SPAN(""), err);
	return true;
}

static bool port_read(const struct value *endpoint, const char *key, uint16_t *ret, struct error *err)
{
	int64_t port = value_find_int(endpoint, key, 0);

	if (port < 0 || port > UINT16_MAX)
		return error_set(err, ERROR_INVALID, "graph.endpoint.%s: %lld is no port", key, (long long)port);
	if (port)
		*ret = (uint16_t)port;
	return true;
}

static bool endpoint_read(const struct value *endpoint, bool is_grpc, struct predictor_node *ret, struct error *err)
{
	struct span host = value_find_string(endpoint, "service_host"), type = value_find_string(endpoint, "type");
	uint16_t port = 0;

	ret->host = host.len ? host : SPAN("localhost");
	ret->http_port = PREDICTOR_HTTP_PORT;
	ret->grpc_port = PREDICTOR_GRPC_PORT;
	if (span_equal(type, SPAN("GRPC")))
		is_grpc = true;
	if (!port_read(endpoint, "service_port", &port, err))
		return false;
	if (port)
		*(is_grpc ? &ret->grpc_port : &ret->http_port) = port;
	if (!port_read(endpoint, "httpPort", &ret->http_port, err) ||
	    !port_read(endpoint, "grpcPort", &ret->grpc_port, err))
		return false;
	ret->ready_port = port ? port : is_grpc ? ret->grpc_port : ret->http_port;
	return true;
}

/* The container of the node's name; where there is only one, and none of that name, that one. */
static struct span image_find(const struct value *predictor, struct span name)
{
	const struct value *specs = value_get(predictor, SPAN("componentSpecs"));
	struct span only = { 0 };
	size_t count = 0;

	for (uint32_t i = 0; i < value_count(specs); i++) {
		const struct value *containers = value_find(value_item(specs, i), "spec.containers");

		for (uint32_t c = 0; c < value_count(containers); c++) {
			const struct value *container = value_item(containers, c);
			struct span own = value_find_string(container, "name");

			if (span_equal(own, name))
				return value_find_string(container, "image");
			if (span_equal(own, SPAN(ENGINE_CONTAINER)))
				continue;
			only = value_find_string(container, "image");
			count++;
		}
	}
	return count == 1 ? only : SPAN("");
}

static void image_split(struct predictor_node *node)
{
	struct span rest = node->image;

	node->image_name = span_cut(&rest, ':');
	node->version = span_index(rest, ':') == rest.len && span_index(rest, '/') == rest.len ? rest : SPAN("");
}

bool predictor_read(struct span json, bool is_grpc, struct arena *arena, struct predictor *ret, struct error *err)
{
	struct predictor p = { 0 };
	const struct value *graph;
	struct value v;

	if (!value_parse(json, NULL, arena, &v, err))
		return error_wrap(err, "the predictor");
	graph = value_get(&v, SPAN("graph"));
	if (!value_is(graph, VALUE_OBJECT))
		return error_set(err, ERROR_INVALID, "the predictor has no graph");
	p.name = value_find_string(&v, "name");
	p.root.name = value_find_string(graph, "name");
	if (!p.root.name.len)
		return error_set(err, ERROR_INVALID, "the predictor's graph has a node without a name");
	if (!node_check(graph, p.root.name, err) ||
	    !endpoint_read(value_get(graph, SPAN("endpoint")), is_grpc, &p.root, err) ||
	    !annotations_take(&p, value_get(&v, SPAN("annotations")), err))
		return false;
	p.root.image = image_find(&v, p.root.name);
	image_split(&p.root);
	*ret = p;
	return true;
}
