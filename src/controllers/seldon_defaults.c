/* SPDX-License-Identifier: Apache-2.0 */
/* seldon_defaults - predictors with all that their authors left out, as the operator's defaults have it. */
#include "controllers/seldon.h"

enum { HTTP_FIRST = 9000, GRPC_FIRST = 9500, METRICS_FIRST = 6000 };

struct span seldon_container_service(struct seldon *s, const struct seldon_predictor *p, struct span container)
{
	return serving_name(s->r, text_print(s->r, SPAN_FMT "-" SPAN_FMT "-" SPAN_FMT, SPAN_WHOLE(s->r->name),
					     SPAN_WHOLE(p->name), SPAN_WHOLE(container))
				      .string);
}

/* ---- nodes ---- */

static const struct value *node_find(const struct value *predictor, const struct value *node, struct span container)
{
	const struct value *children = member(node, "children"), *own, *found;
	uint32_t spec;

	own = seldon_container_find(predictor, node, &spec);
	if (own && span_equal(get_text(own, "name"), container))
		return node;
	for (uint32_t i = 0; i < value_count(children); i++) {
		found = node_find(predictor, value_item(children, i), container);
		if (found)
			return found;
	}
	return NULL;
}

const struct value *seldon_node_of(const struct seldon_predictor *p, struct span container)
{
	return node_find(p->spec, member(p->spec, "graph"), container);
}

static void text_default(struct seldon *s, struct value *object, const char *name, const char *text)
{
	if (!get_text(object, name).len)
		put(s->r, object, name, value_string(span_of(text)));
}

static bool int_is_absent(const struct value *object, const char *name)
{
	const struct value *v = member(object, name);

	return !value_is(v, VALUE_INT) || !v->integer;
}

static void int_default(struct seldon *s, struct value *object, const char *name, int64_t i)
{
	if (int_is_absent(object, name))
		put(s->r, object, name, value_int(i));
}

/* One container of the same name in several predictors has the same ports. */
static uint32_t container_index(struct seldon *s, struct span name)
{
	uint32_t i = 0;

	while (i < s->container_count && !span_equal(s->containers[i], name))
		i++;
	if (i == s->container_count)
		s->containers[s->container_count++] = name;
	return i;
}

/* A port that the container has under this name, or a new one. */
static int64_t port_ensure(struct seldon *s, struct value *container, const char *name, int64_t number)
{
	struct value *ports = put_array(s->r, container, "ports");
	struct value port;

	for (uint32_t i = 0; i < value_count(ports); i++)
		if (span_equal(get_text(value_item(ports, i), "name"), span_of(name)))
			return value_find_int(value_item(ports, i), "containerPort", number);
	port = serving_made(s->r, "{'name':'%s','containerPort':%lld,'protocol':'TCP'}", name, (long long)number);
	put_item(s->r, ports, port);
	return number;
}

static void endpoint_default(struct seldon *s, struct seldon_predictor *p, struct value *node, struct value *container,
			     uint32_t component)
{
	uint32_t index = container_index(s, get_text(container, "name"));
	int64_t http = port_ensure(s, container, "http", HTTP_FIRST + index);
	int64_t grpc = port_ensure(s, container, "grpc", GRPC_FIRST + index);
	struct value *endpoint = put_object(s->r, node, "endpoint");
	struct span host = SPAN("localhost");

	(void)port_ensure(s, container, "metrics", METRICS_FIRST + index);
	if (component || p->has_own_engine)
		host = text_print(s->r, SPAN_FMT "." SPAN_FMT ".svc.cluster.local",
				  SPAN_WHOLE(seldon_container_service(s, p, get_text(container, "name"))),
				  SPAN_WHOLE(s->r->name_space))
			   .string;
	text_default(s, endpoint, "type", s->is_grpc ? "GRPC" : "REST");
	if (!get_text(endpoint, "service_host").len)
		put(s->r, endpoint, "service_host", value_string(host));
	int_default(s, endpoint, "httpPort", http);
	int_default(s, endpoint, "grpcPort", grpc);
	int_default(s, endpoint, "service_port", span_equal(get_text(endpoint, "type"), SPAN("GRPC")) ? grpc : http);
}

/* The pod that the node's container is in, or is put into. */
static struct value *component_ensure(struct seldon *s, struct seldon_predictor *p, uint32_t index)
{
	struct value *components = put_array(s->r, p->spec, "componentSpecs");

	if (!value_count(components))
		put_item(s->r, components, value_object());
	return s->r->err->code ? NULL : value_item(components, index);
}

static struct value *container_named(struct value *containers, struct span name)
{
	for (uint32_t i = 0; i < value_count(containers); i++)
		if (span_equal(get_text(value_item(containers, i), "name"), name))
			return value_item(containers, i);
	return NULL;
}

static void node_default(struct seldon *s, struct seldon_predictor *p, struct value *node)
{
	bool is_server = seldon_is_server(get_text(node, "implementation"));
	struct value *children, *component, *container, *pod;
	const struct value *found;
	struct span name;
	uint32_t index = 0;

	if (is_server || (!member(node, "type") && !member(node, "methods") && !member(node, "implementation")))
		put(s->r, node, "type", value_string(SPAN("MODEL")));
	found = seldon_container_find(p->spec, node, &index);
	/* A server's container has its name; others beside it are not its own. */
	if (is_server && found && !span_equal(get_text(found, "name"), get_text(node, "name")))
		found = NULL;
	name = get_text(found ? found : node, "name");
	if (found || is_server) {
		component = component_ensure(s, p, found ? index : 0);
		pod = component ? put_object(s->r, component, "spec") : NULL;
		if (pod && is_server)
			serving_model_add(s->r, pod, node);
		container = pod ? container_named(put_array(s->r, pod, "containers"), name) : NULL;
		if (container)
			endpoint_default(s, p, node, container, found ? index : 0);
		if (container && is_server)
			serving_model_command(s->r, container, node);
	}
	children = value_get(node, SPAN("children"));
	for (uint32_t i = 0; i < value_count(children); i++)
		node_default(s, p, value_item(children, i));
}

/* ---- predictors ---- */

static struct span entry_name(struct seldon *s, const struct seldon_predictor *p)
{
	struct span own = seldon_annotation(p->written, "seldon.io/svc-name");

	if (own.len)
		return own;
	return serving_name(
	    s->r, text_print(s->r, SPAN_FMT "-" SPAN_FMT, SPAN_WHOLE(s->r->name), SPAN_WHOLE(p->name)).string);
}

static bool has_containers(const struct value *predictor)
{
	const struct value *components = member(predictor, "componentSpecs");

	for (uint32_t i = 0; i < value_count(components); i++)
		if (value_count(value_find(value_item(components, i), "spec.containers")))
			return true;
	return false;
}

/* Without an orchestrator the entry leads to the container. */
static void entry_ports(struct seldon *s, struct seldon_predictor *p)
{
	const struct value *endpoint = value_find(p->spec, "graph.endpoint");

	(void)s;
	p->http_port = p->has_no_engine ? value_find_int(endpoint, "httpPort", HTTP_FIRST) : SELDON_ENGINE_HTTP;
	p->grpc_port = p->has_no_engine ? value_find_int(endpoint, "grpcPort", GRPC_FIRST) : SELDON_ENGINE_GRPC;
}

static void predictor_default(struct seldon *s, struct seldon_predictor *p, const struct value *written)
{
	struct reconcile *r = s->r;
	struct value *graph, *labels;

	p->written = written;
	p->name = get_text(written, "name");
	p->service = entry_name(s, p);
	p->is_shadow = value_find_bool(written, "shadow");
	p->traffic = value_find_int(written, "traffic", 0);
	p->has_no_engine = seldon_is_true(seldon_annotation(written, "seldon.io/no-engine"));
	p->spec = ARENA_NEW(r->arena, struct value, r->err);
	if (!p->spec)
		return;
	*p->spec = copied(r, written);
	/* Places in an object move when it gets another member: the graph's is taken when all are there. */
	labels = put_object(r, p->spec, "labels");
	if (!get_text(labels, "version").len)
		put(r, labels, "version", value_string(p->name));
	(void)put_array(r, p->spec, "componentSpecs");
	graph = put_object(r, p->spec, "graph");
	p->has_own_engine = !p->has_no_engine &&
			    (seldon_is_true(seldon_annotation_of_all(s->object, "seldon.io/engine-separate-pod")) ||
			     seldon_is_true(seldon_annotation(written, "seldon.io/engine-separate-pod")) ||
			     (!has_containers(written) && !seldon_is_server(get_text(graph, "implementation"))));
	node_default(s, p, graph);
	entry_ports(s, p);
}

static uint32_t nodes_count(const struct value *node)
{
	const struct value *children = member(node, "children");
	uint32_t count = 1;

	for (uint32_t i = 0; i < value_count(children); i++)
		count += nodes_count(value_item(children, i));
	return count;
}

bool seldon_defaults(struct seldon *s)
{
	const struct value *list = member(s->spec, "predictors");
	struct reconcile *r = s->r;
	uint32_t nodes = 0;

	(void)seldon_protocol_read(get_text(s->spec, "protocol"), &s->protocol);
	s->is_grpc = span_equal(get_text(s->spec, "transport"), SPAN("grpc"));
	s->id = serving_name(r, r->name);
	for (uint32_t i = 0; i < value_count(list); i++)
		nodes += nodes_count(member(value_item(list, i), "graph"));
	s->predictors = arena_calloc(r->arena, value_count(list) + 1, sizeof(*s->predictors), r->err);
	s->containers = arena_calloc(r->arena, nodes + 1, sizeof(*s->containers), r->err);
	for (uint32_t i = 0; !r->err->code && i < value_count(list); i++)
		predictor_default(s, &s->predictors[s->count++], value_item(list, i));
	return !r->err->code;
}
