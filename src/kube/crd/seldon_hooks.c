/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seldon_hooks - SeldonDeployments: what is refused, as the webhook of Seldon's operator refuses it, and what is not there yet, so that it
 * is told at once and not by a pod that never becomes ready.
 *
 * Nothing is filled in: what the operator's defaults add to the object, the controller adds to what it makes.
 */
#include "kube/crd/seldon.h"
#include "kube/crd/shipped.h"
#include "kube/kinds/kinds.h"

enum { NODES_MOST = 1000 };

static const char *const node_types[] = { "UNKNOWN_TYPE",       "ROUTER", "COMBINER", "MODEL", "TRANSFORMER",
					  "OUTPUT_TRANSFORMER", NULL };
static const char *const method_names[] = { "TRANSFORM_INPUT", "TRANSFORM_OUTPUT", "ROUTE",
					    "AGGREGATE",       "SEND_FEEDBACK",    NULL };
static const char *const parameter_types[] = { "INT", "FLOAT", "DOUBLE", "STRING", "BOOL", NULL };
static const char *const endpoint_types[] = { "REST", "GRPC", NULL };
static const char *const logger_modes[] = { "all", "request", "response", NULL };

/* One object, and what its nodes have said so far. */
struct checking {
	struct change *c;
	const struct value *spec, *predictor;
	enum seldon_protocol protocol;
	struct span endpoint; /* the type that all nodes must have; empty: none has said */
	bool is_grpc;         /* spec.transport */
	bool has_transport;
	uint32_t nodes;
};

/* ---- nodes ---- */

static void check_endpoint(struct checking *x, const struct at *at, const struct value *node)
{
	const struct value *type = get(get(node, "endpoint"), "type");
	struct span text = text_of(type);
	const struct at *here = AT(AT(at, "endpoint"), "type");

	if (!text.len)
		return;
	check_one_of(x->c, here, type, endpoint_types);
	if (x->endpoint.len && !span_equal(text, x->endpoint))
		fault_invalid(x->c, here, type, "all nodes must have the same endpoint type");
	if (x->has_transport && x->is_grpc != span_equal(text, SPAN("GRPC")))
		fault_invalid(x->c, here, type, "it is not what spec.transport says");
	x->endpoint = text;
}

static void check_server(struct checking *x, const struct at *at, const struct value *node)
{
	const struct value *implementation = get(node, "implementation");
	const struct seldon_server *server = seldon_server_find(text_of(implementation));
	const struct at *here = AT(at, "implementation");

	if (!server)
		fault_invalid(x->c, here, implementation,
			      "there is no such server: HYTHE_SERVER, SKLEARN_SERVER, XGBOOST_SERVER and MLFLOW_SERVER "
			      "are there");
	else if (!server->is_there)
		fault_invalid(x->c, here, implementation,
			      "this server is not there yet: HYTHE_SERVER, SKLEARN_SERVER, XGBOOST_SERVER and "
			      "MLFLOW_SERVER are, and containers of your own");
	else if (x->protocol == SELDON_TENSORFLOW && !server->takes_tensorflow)
		fault_invalid(x->c, here, implementation, "it does not speak the protocol tensorflow");
	if (server && server->needs_uri && !get_text(node, "modelUri").len)
		fault_required(x->c, AT(at, "modelUri"), "a server that comes ready serves the model that it names");
}

static void check_parameters(struct checking *x, const struct at *at, const struct value *parameters)
{
	for (uint32_t i = 0; i < count_of(parameters); i++)
		check_one_of(x->c, AT(AT_INDEX(at, i), "type"), get(value_item(parameters, i), "type"),
			     parameter_types);
}

static void check_logger(struct checking *x, const struct at *at, const struct value *logger)
{
	if (!logger)
		return;
	if (!get_text(logger, "mode").len)
		fault_required(x->c, AT(at, "mode"), "what is logged: all, request or response");
	else
		check_one_of(x->c, AT(at, "mode"), get(logger, "mode"), logger_modes);
	fault_forbidden(x->c, at, "requests are not sent to loggers yet");
}

static void check_form(struct checking *x, const struct at *at, const struct value *node)
{
	struct span type = get_text(node, "type");
	const struct value *methods = get(node, "methods");

	check_one_of_or_absent(x->c, AT(at, "type"), get(node, "type"), node_types);
	for (uint32_t i = 0; i < count_of(methods); i++)
		check_one_of(x->c, AT_INDEX(AT(at, "methods"), i), value_item(methods, i), method_names);
	if (span_equal(type, SPAN("UNKNOWN_TYPE")) && !count_of(methods) && !get_text(node, "implementation").len)
		fault_required(x->c, AT(at, "methods"), "a node of unknown type says with them what it does");
}

/* What the orchestrator cannot do so far. */
static void check_is_there(struct checking *x, const struct at *at, const struct value *node)
{
	struct span type = get_text(node, "type");

	if (count_of(get(node, "children")))
		fault_forbidden(x->c, AT(at, "children"), "graphs of more than one node are not there yet");
	if (seldon_is_built_in(get_text(node, "implementation")))
		fault_forbidden(x->c, AT(at, "implementation"),
				"nodes that the orchestrator is itself are not there yet");
	else if (type.len && !span_equal(type, SPAN("MODEL")) && text_is_one_of(type, node_types) &&
		 !seldon_is_server(get_text(node, "implementation")))
		fault_forbidden(x->c, AT(at, "type"), "nodes of other types than MODEL are not there yet");
	else if (count_of(get(node, "methods")))
		fault_forbidden(x->c, AT(at, "methods"), "nodes with a list of methods are not there yet");
}

static void check_node(struct checking *x, const struct at *at, const struct value *node)
{
	struct span implementation = get_text(node, "implementation");
	const struct value *children = get(node, "children");
	uint32_t spec;

	if (++x->nodes > NODES_MOST)
		return;
	check_form(x, at, node);
	check_endpoint(x, at, node);
	check_parameters(x, AT(at, "parameters"), get(node, "parameters"));
	check_logger(x, AT(at, "logger"), get(node, "logger"));
	if (seldon_is_server(implementation))
		check_server(x, at, node);
	else if (!seldon_is_built_in(implementation) && !seldon_container_find(x->predictor, node, &spec))
		fault_invalid(x->c, AT(at, "name"), get(node, "name"),
			      "no container of componentSpecs has the node's name");
	check_is_there(x, at, node);
	for (uint32_t i = 0; i < count_of(children); i++)
		check_node(x, AT_INDEX(AT(at, "children"), i), value_item(children, i));
}

/* ---- pods ---- */

struct naming {
	struct change *c;
	const struct at *at;
};

static void unknown_tell(void *context, struct span path)
{
	const struct naming *n = context;

	change_warn(n->c, "unknown field \"" SPAN_FMT "." SPAN_FMT "\"", SPAN_ARG(at_print(n->c, n->at)),
		    SPAN_ARG(path));
}

/* A container that a server comes ready in may say no more than its resources. */
static void servers_complete(struct checking *x, struct value *spec)
{
	const struct value *node = get(x->predictor, "graph");
	struct value *containers = get(spec, "containers");

	for (uint32_t i = 0; seldon_is_server(get_text(node, "implementation")) && i < count_of(containers); i++)
		if (span_equal(get_text(value_item(containers, i), "name"), get_text(node, "name")))
			default_text(x->c, value_item(containers, i), "image", "hythe");
}

static void check_pod(struct checking *x, const struct at *at, const struct value *spec)
{
	struct naming naming = { x->c, at };
	struct schema_report report = { .unknown = unknown_tell, .context = &naming };
	const struct type *type = type_find(SPAN("io.k8s.api.core.v1.PodSpec"));
	struct value copy;
	struct error err = { 0 };

	if (!spec)
		return;
	copy = copy_of(x->c, spec);
	if (!schema_decode(type, &copy, &report, x->c->arena, &err)) {
		fault_omitted(x->c, at, detail_print(x->c, "%s", err.message));
		return;
	}
	servers_complete(x, &copy);
	if (!count_of(get(&copy, "containers")) &&
	    seldon_is_server(get_text(get(x->predictor, "graph"), "implementation")))
		return; /* the server's container is added */
	pod_spec_defaults(x->c, &copy);
	pod_spec_check(x->c, at, &copy);
}

static void check_component(struct checking *x, const struct at *at, const struct value *component)
{
	check_pod(x, AT(at, "spec"), get(component, "spec"));
	if (get(component, "kedaSpec"))
		fault_forbidden(x->c, AT(at, "kedaSpec"), "there is no KEDA here: hpaSpec scales by metrics");
}

/* ---- predictors ---- */

static void check_predictor(struct checking *x, const struct at *at, const struct value *predictor)
{
	const struct value *components = get(predictor, "componentSpecs");

	x->predictor = predictor;
	x->nodes = 0;
	check_name(x->c, AT(at, "name"), get(predictor, "name"), name_check_subdomain);
	check_node(x, AT(at, "graph"), get(predictor, "graph"));
	for (uint32_t i = 0; i < count_of(components); i++)
		check_component(x, AT_INDEX(AT(at, "componentSpecs"), i), value_item(components, i));
	if (seldon_is_true(seldon_annotation(predictor, "seldon.io/no-engine")) && x->nodes > 1)
		fault_forbidden(x->c, AT(at, "annotations"), "seldon.io/no-engine is for graphs of one node");
	if (get(predictor, "explainer") && get_text(get(predictor, "explainer"), "type").len)
		fault_forbidden(x->c, AT(at, "explainer"), "explainers are not there yet");
	if (get_text(get(predictor, "ssl"), "certSecretName").len)
		fault_forbidden(x->c, AT(at, "ssl"), "the orchestrator does not speak TLS yet: the gateway does");
}

static void check_duplicates(struct checking *x, const struct at *at, const struct value *predictors, uint32_t i)
{
	const struct value *one = value_item(predictors, i);
	struct span service = seldon_annotation(one, "seldon.io/svc-name");

	for (uint32_t j = 0; j < i; j++) {
		const struct value *other = value_item(predictors, j);

		if (is_same(get(one, "name"), get(other, "name"))) {
			fault_duplicate(x->c, AT(AT_INDEX(at, i), "name"), get(one, "name"));
			return;
		}
		if (service.len && span_equal(service, seldon_annotation(other, "seldon.io/svc-name"))) {
			fault_duplicate(x->c, AT_KEY(AT(AT_INDEX(at, i), "annotations"), SPAN("seldon.io/svc-name")),
					get(get(one, "annotations"), "seldon.io/svc-name"));
			return;
		}
	}
}

static void check_traffic(struct checking *x, const struct at *at, const struct value *predictors)
{
	uint32_t shadows = 0, others = 0;
	int64_t sum = 0, only = 0;

	for (uint32_t i = 0; i < count_of(predictors); i++) {
		const struct value *one = value_item(predictors, i);
		int64_t traffic = get_int(one, "traffic", 0);

		if (get_bool(one, "shadow"))
			shadows++;
		else
			others++;
		if (traffic < 0 || traffic > 100)
			fault_invalid(x->c, AT(AT_INDEX(at, i), "traffic"), get(one, "traffic"),
				      "must be between 0 and 100");
		if (!get_bool(one, "shadow"))
			sum += only = traffic;
	}
	if (shadows > 1)
		fault_forbidden(x->c, at, "there can be one shadow predictor at most");
	if (shadows && !others)
		fault_forbidden(x->c, at, "a shadow predictor needs another one that answers");
	if (others > 1 && sum != 100)
		fault_omitted(
		    x->c, at,
		    detail_print(x->c, "the traffic of the predictors is %lld in sum and must be 100", (long long)sum));
	if (others == 1 && only > 0 && only < 100)
		fault_omitted(x->c, at, "the traffic of the only predictor must be 100, or not be said");
}

static void check_kinds(struct checking *x, const struct at *at)
{
	static const char *const protocols[] = { "seldon", "tensorflow", "v2", "kfserving", NULL };
	static const char *const transports[] = { "rest", "grpc", NULL };
	static const char *const server_types[] = { "rpc", "kafka", NULL };

	if (get_text(x->spec, "protocol").len)
		check_one_of(x->c, AT(at, "protocol"), get(x->spec, "protocol"), protocols);
	if (get_text(x->spec, "transport").len)
		check_one_of(x->c, AT(at, "transport"), get(x->spec, "transport"), transports);
	if (get_text(x->spec, "serverType").len)
		check_one_of(x->c, AT(at, "serverType"), get(x->spec, "serverType"), server_types);
	if (is_text(get(x->spec, "serverType"), "kafka"))
		fault_forbidden(x->c, AT(at, "serverType"), "requests are not read from Kafka yet");
}

static void seldon_validate(struct change *c)
{
	const struct at *at = AT(NULL, "spec"), *list = AT(at, "predictors");
	struct checking x = { .c = c, .spec = get(c->object, "spec") };
	const struct value *predictors = get(x.spec, "predictors");

	check_kinds(&x, at);
	(void)seldon_protocol_read(get_text(x.spec, "protocol"), &x.protocol);
	x.has_transport = get_text(x.spec, "transport").len > 0;
	x.is_grpc = is_text(get(x.spec, "transport"), "grpc");
	if (!count_of(predictors))
		fault_required(c, list, "at least one predictor is needed");
	for (uint32_t i = 0; i < count_of(predictors); i++) {
		check_duplicates(&x, list, predictors, i);
		check_predictor(&x, AT_INDEX(list, i), value_item(predictors, i));
	}
	check_traffic(&x, list, predictors);
}

const struct custom_hooks seldon_deployment_hooks = {
	.group = SELDON_GROUP,
	.kind = SELDON_KIND,
	.validate = seldon_validate,
};
