/* SPDX-License-Identifier: Apache-2.0 */
/* networking - Ingress, IngressClass and NetworkPolicy of networking.k8s.io/v1. */
#include "kube/kinds/kinds.h"

#define GROUP "networking.k8s.io"

/* ---- Ingress ---- */

static bool contains(struct span s, const char *part)
{
	return s.len && memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

static void check_object_ref(struct change *c, const struct at *at, const struct value *ref)
{
	if (get(ref, "apiGroup"))
		check_name(c, AT(at, "apiGroup"), get(ref, "apiGroup"), name_check_subdomain);
	if (get_text(ref, "kind").len == 0)
		fault_required(c, AT(at, "kind"), "kind is required");
	else
		check_name(c, AT(at, "kind"), get(ref, "kind"), name_check_path_segment);
	if (get_text(ref, "name").len == 0)
		fault_required(c, AT(at, "name"), "name is required");
	else
		check_name(c, AT(at, "name"), get(ref, "name"), name_check_path_segment);
}

static void check_backend(struct change *c, const struct at *at, const struct value *backend)
{
	const struct value *service = get(backend, "service"), *resource = get(backend, "resource"),
			   *port = get(service, "port");
	const struct at *here = AT(at, "service");
	bool has_name = get_text(port, "name").len > 0, has_number = get_int(port, "number", 0) != 0;

	if (resource && service) {
		fault_invalid_text(c, at, SPAN(""), "cannot set both resource and service backends");
		return;
	}
	if (resource) {
		check_object_ref(c, AT(at, "resource"), resource);
		return;
	}
	if (!service) {
		fault_invalid_text(c, at, SPAN(""), "resource or service backend is required");
		return;
	}
	if (get_text(service, "name").len == 0)
		fault_required(c, AT(here, "name"), "");
	else
		check_name(c, AT(here, "name"), get(service, "name"), name_check_1035);
	if (has_name && has_number)
		fault_invalid_text(c, at, SPAN(""), "cannot set both port name & port number");
	else if (has_name)
		check_name(c, AT(AT(here, "port"), "name"), get(port, "name"), name_check_port);
	else if (has_number)
		check_port(c, AT(AT(here, "port"), "number"), get(port, "number"));
	else
		fault_required(c, at, "port name or number is required");
}

static void check_http_path(struct change *c, const struct at *at, const struct value *path)
{
	static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
	static const char *const parts[] = { "//", "/./", "/../", "%2f", "%2F" }, *const ends[] = { "/..", "/." };
	const struct value *type = get(path, "pathType");
	struct span s = get_text(path, "path");

	if (!type) {
		fault_required(c, AT(at, "pathType"), "pathType must be specified");
		return;
	}
	if (is_text(type, "Exact") || is_text(type, "Prefix")) {
		if (!span_starts(s, SPAN("/")))
			fault_invalid_text(c, AT(at, "path"), s, "must be an absolute path");
		for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
			if (contains(s, parts[i]))
				fault_invalid_text(c, AT(at, "path"), s,
						   detail_print(c, "must not contain '%s'", parts[i]));
		}
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			if (span_ends(s, span_of(ends[i])))
				fault_invalid_text(c, AT(at, "path"), s,
						   detail_print(c, "cannot end with '%s'", ends[i]));
		}
	} else if (is_text(type, "ImplementationSpecific")) {
		if (s.len && s.ptr[0] != '/')
			fault_invalid_text(c, AT(at, "path"), s, "must be an absolute path");
	} else {
		fault_not_supported(c, AT(at, "pathType"), type, types);
	}
	check_backend(c, AT(at, "backend"), get(path, "backend"));
}

static void check_host(struct change *c, const struct at *at, const struct value *host)
{
	check_name(c, at, host, contains(text_of(host), "*") ? name_check_wildcard : name_check_subdomain);
}

static void check_ingress_rule(struct change *c, const struct at *at, const struct value *rule)
{
	const struct value *host = get(rule, "host"), *http = get(rule, "http"), *paths = get(http, "paths");

	if (text_of(host).len) {
		if (is_ipv4(text_of(host)) || is_ipv6(text_of(host)))
			fault_invalid(c, AT(at, "host"), host, "must be a DNS name, not an IP address");
		check_host(c, AT(at, "host"), host);
	}
	if (http && !count_of(paths))
		fault_required(c, AT(AT(at, "http"), "paths"), "");
	for (uint32_t i = 0; i < count_of(paths); i++)
		check_http_path(c, AT_INDEX(AT(AT(at, "http"), "paths"), i), value_item(paths, i));
}

static void check_tls(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *hosts = get(value_item(list, i), "hosts"),
				   *secret = get(value_item(list, i), "secretName");

		for (uint32_t k = 0; k < count_of(hosts); k++)
			check_host(c, AT_INDEX(AT(AT_INDEX(at, i), "hosts"), k), value_item(hosts, k));
		if (text_of(secret).len)
			check_name(c, AT(AT_INDEX(at, i), "secretName"), secret, name_check_subdomain);
	}
}

#define CLASS_ANNOTATION "kubernetes.io/ingress.class"

static void ingress_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec"), *rules = get(spec, "rules"),
			   *class = get(spec, "ingressClassName");
	const struct value *annotations = get(get(c->object, "metadata"), "annotations");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	if (!count_of(rules) && !get(spec, "defaultBackend"))
		fault_printed(c, at, SPAN("[]networking.IngressRule(nil)"),
			      "either `defaultBackend` or `rules` must be specified");
	if (get(spec, "defaultBackend"))
		check_backend(c, AT(at, "defaultBackend"), get(spec, "defaultBackend"));
	for (uint32_t i = 0; i < count_of(rules); i++)
		check_ingress_rule(c, AT_INDEX(AT(at, "rules"), i), value_item(rules, i));
	check_tls(c, AT(at, "tls"), get(spec, "tls"));
	if (class)
		check_name(c, AT(at, "ingressClassName"), class, name_check_subdomain);
	if (!c->old && class && get(annotations, CLASS_ANNOTATION) &&
	    !is_same(class, get(annotations, CLASS_ANNOTATION)))
		fault_invalid(c, AT(AT(NULL, "annotations"), CLASS_ANNOTATION), get(annotations, CLASS_ANNOTATION),
			      "must match `ingressClassName` when both are specified");
}

static struct value cell_hosts(const struct value *rules, struct arena *arena)
{
	struct text t = { .arena = arena };
	unsigned count = 0;
	bool has_more = false;

	for (uint32_t i = 0; i < count_of(rules); i++) {
		struct span host = get_text(value_item(rules, i), "host");

		has_more = has_more || count == 3;
		if (has_more || !host.len)
			continue;
		text_add(&t, count++ ? SPAN(",") : SPAN(""));
		text_add(&t, host);
	}
	if (!count)
		return cell_text(SPAN("*"));
	if (has_more)
		text_addf(&t, " + %u more...", count_of(rules) - 3);
	return cell_text(text_span(&t));
}

static struct value cell_load_balancer(const struct value *o, struct arena *arena)
{
	const struct value *list = value_find(o, "status.loadBalancer.ingress");
	struct text t = { .arena = arena };

	for (uint32_t i = 0; i < count_of(list); i++) {
		struct span s = get_text(value_item(list, i), "ip");

		if (!s.len)
			s = get_text(value_item(list, i), "hostname");
		text_add(&t, t.len && s.len ? SPAN(",") : SPAN(""));
		text_add(&t, s);
	}
	return cell_text(text_span(&t));
}

static void ingress_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec");

	cells[0] = cell_name(o);
	cells[1] = cell_or(get_text(spec, "ingressClassName"), "<none>");
	cells[2] = cell_hosts(get(spec, "rules"), arena);
	cells[3] = cell_load_balancer(o, arena);
	cells[4] = cell_text(count_of(get(spec, "tls")) ? SPAN("80, 443") : SPAN("80"));
	cells[5] = cell_age(o, now_ns, arena);
}

static const struct column ingress_columns[] = {
	COLUMN_NAME,
	COLUMN("Class", "string", "Who serves it."),
	COLUMN("Hosts", "string", "Hosts that its rules are for."),
	COLUMN("Address", "string", "Where it is reached."),
	COLUMN("Ports", "string", "Ports that listen: 443 with TLS."),
	COLUMN_AGE,
	{ 0 },
};
static const char *const ingress_short[] = { "ing", NULL }, *const policy_short[] = { "netpol", NULL };

const struct kind kind_ingress = {
	.group = GROUP,
	.version = "v1",
	.plural = "ingresses",
	.singular = "ingress",
	.kind = "Ingress",
	.short_names = ingress_short,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.networking.v1.Ingress",
	.columns = ingress_columns,
	.defaults = shape,
	.prepare = prepare_status,
	.validate = ingress_validate,
	.row = ingress_row,
};

/* ---- IngressClass ---- */

static void ingress_class_defaults(struct change *c)
{
	shape(c);
	default_text(c, get(get(c->object, "spec"), "parameters"), "scope", "Cluster");
}

/* "acme.io/foo" */
void check_domain_path(struct change *c, const struct at *at, struct span s)
{
	size_t slash = span_index(s, '/');
	struct span host = span_first(s, slash);

	if (s.len == 0)
		fault_required(c, at, "");
	else if (slash == 0 || slash + 1 >= s.len)
		fault_invalid_text(c, at, s, "must be a domain-prefixed path (such as \"acme.io/foo\")");
	else if (name_check_subdomain(host))
		fault_invalid_text(c, at, host, name_check_subdomain(host));
}

static void ingress_class_validate(struct change *c)
{
	static const char *const scopes[] = { "Cluster", "Namespace", NULL };
	const struct value *spec = get(c->object, "spec"), *parameters = get(spec, "parameters");
	const struct at *at = AT(NULL, "spec"), *here = AT(at, "parameters");

	check_metadata(c, name_check_subdomain);
	if (c->old)
		check_same(c, AT(at, "controller"), get(get(c->old, "spec"), "controller"), get(spec, "controller"));
	check_domain_path(c, AT(at, "controller"), get_text(spec, "controller"));
	if (!parameters)
		return;
	check_object_ref(c, here, parameters);
	check_one_of(c, AT(here, "scope"), get(parameters, "scope"), scopes);
	if (is_text(get(parameters, "scope"), "Namespace") && get_text(parameters, "namespace").len == 0)
		fault_required(c, AT(here, "namespace"), "`parameters.scope` is set to 'Namespace'");
	if (is_text(get(parameters, "scope"), "Cluster") && get(parameters, "namespace"))
		fault_forbidden(c, AT(here, "namespace"), "`parameters.scope` is set to 'Cluster'");
}

static void ingress_class_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *parameters = get(spec, "parameters");
	struct text t = { .arena = arena };

	text_add(&t, get_text(parameters, "kind"));
	text_add(&t, get(parameters, "apiGroup") ? SPAN(".") : SPAN(""));
	text_add(&t, get_text(parameters, "apiGroup"));
	text_add(&t, SPAN("/"));
	text_add(&t, get_text(parameters, "name"));
	cells[0] = cell_name(o);
	cells[1] = cell_text(get_text(spec, "controller"));
	cells[2] = cell_text(parameters ? text_span(&t) : SPAN("<none>"));
	cells[3] = cell_age(o, now_ns, arena);
}

static const struct column ingress_class_columns[] = {
	COLUMN_NAME,
	COLUMN("Controller", "string", "Who serves ingresses of this class."),
	COLUMN("Parameters", "string", "An object with settings for it."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_ingress_class = {
	.group = GROUP,
	.version = "v1",
	.plural = "ingressclasses",
	.singular = "ingressclass",
	.kind = "IngressClass",
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.networking.v1.IngressClass",
	.columns = ingress_class_columns,
	.defaults = ingress_class_defaults,
	.prepare = shape,
	.validate = ingress_class_validate,
	.row = ingress_class_row,
};

/* ---- NetworkPolicy ---- */

static const struct {
	const char *rules, *peers;
} directions[] = { { "ingress", "from" }, { "egress", "to" } };

static void network_policy_defaults(struct change *c)
{
	struct value *spec, *types;

	shape(c);
	spec = ensure(c, c->object, "spec");
	if (spec && !count_of(get(spec, "policyTypes"))) {
		types = value_ensure_array(spec, SPAN("policyTypes"), c->arena, c->err);
		if (types)
			(void)value_append(types, value_string(SPAN("Ingress")), c->arena, c->err);
		if (types && count_of(get(spec, "egress")))
			(void)value_append(types, value_string(SPAN("Egress")), c->arena, c->err);
	}
	for (size_t d = 0; d < ARRAY_LEN(directions); d++) {
		struct value *rules = get(spec, directions[d].rules);

		for (uint32_t i = 0; i < count_of(rules); i++) {
			struct value *ports = get(value_item(rules, i), "ports");

			for (uint32_t k = 0; k < count_of(ports); k++)
				default_text(c, value_item(ports, k), "protocol", "TCP");
		}
	}
}

static void check_policy_port(struct change *c, const struct at *at, const struct value *port)
{
	static const char *const protocols[] = { "TCP", "UDP", "SCTP", NULL };
	const struct value *number = get(port, "port"), *end = get(port, "endPort");

	check_one_of_or_absent(c, AT(at, "protocol"), get(port, "protocol"), protocols);
	if (value_is(number, VALUE_INT)) {
		check_port(c, AT(at, "port"), number);
		if (end && end->integer < number->integer)
			fault_invalid(c, AT(at, "endPort"), number, "must be greater than or equal to `port`");
		if (end)
			check_port(c, AT(at, "endPort"), end);
	} else if (number) {
		if (end)
			fault_invalid(c, AT(at, "endPort"), end, "may not be specified when `port` is non-numeric");
		check_name(c, AT(at, "port"), number, name_check_port);
	} else if (end) {
		fault_invalid(c, AT(at, "endPort"), end, "may not be specified when `port` is not specified");
	}
}

static void check_block(struct change *c, const struct at *at, const struct value *block)
{
	const struct value *except = get(block, "except");
	struct span cidr = get_text(block, "cidr");

	if (cidr.len == 0) {
		fault_required(c, AT(at, "cidr"), "");
		return;
	}
	check_cidr(c, AT(at, "cidr"), cidr);
	for (uint32_t i = 0; i < count_of(except); i++) {
		struct span part = text_of(value_item(except, i));

		check_cidr(c, AT_INDEX(AT(at, "except"), i), part);
		if (cidr_is_fine(cidr) && cidr_is_fine(part) && !cidr_is_inside(part, cidr))
			fault_invalid_text(c, AT_INDEX(AT(at, "except"), i), part, "must be a strict subset of `cidr`");
	}
}

static void check_peer(struct change *c, const struct at *at, const struct value *peer)
{
	const struct value *block = get(peer, "ipBlock"), *pods = get(peer, "podSelector"),
			   *spaces = get(peer, "namespaceSelector");

	check_selector(c, AT(at, "podSelector"), pods);
	check_selector(c, AT(at, "namespaceSelector"), spaces);
	if (block)
		check_block(c, AT(at, "ipBlock"), block);
	if (!block && !pods && !spaces)
		fault_required(c, at, "must specify a peer");
	else if (block && (pods || spaces))
		fault_forbidden(c, at, "may not specify both ipBlock and another peer");
}

static void check_policy(struct change *c)
{
	static const char *const types[] = { "Ingress", "Egress", NULL };
	const struct value *spec = get(c->object, "spec"), *list = get(spec, "policyTypes");
	const struct at *at = AT(NULL, "spec");

	check_selector(c, AT(at, "podSelector"), get(spec, "podSelector"));
	for (size_t d = 0; d < ARRAY_LEN(directions); d++) {
		const struct value *rules = get(spec, directions[d].rules);

		for (uint32_t i = 0; i < count_of(rules); i++) {
			const struct value *ports = get(value_item(rules, i), "ports");
			const struct value *peers = get(value_item(rules, i), directions[d].peers);
			const struct at *here = AT_INDEX(AT(at, directions[d].rules), i);

			for (uint32_t k = 0; k < count_of(ports); k++)
				check_policy_port(c, AT_INDEX(AT(here, "ports"), k), value_item(ports, k));
			for (uint32_t k = 0; k < count_of(peers); k++)
				check_peer(c, AT_INDEX(AT(here, directions[d].peers), k), value_item(peers, k));
		}
	}
	if (count_of(list) > 2) {
		fault_typed_strings(c, AT(at, "policyTypes"), "networking.PolicyType", list,
				    "may not specify more than two policyTypes");
		return;
	}
	for (uint32_t i = 0; i < count_of(list); i++)
		check_one_of_or_absent(c, AT_INDEX(AT(at, "policyTypes"), i), value_item(list, i), types);
}

static void network_policy_validate(struct change *c)
{
	check_metadata(c, name_check_subdomain);
	/* The real server looks twice at what is changed, and tells faults twice. */
	for (int i = 0; i < (c->old ? 2 : 1); i++)
		check_policy(c);
}

static void network_policy_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_selector(get(get(o, "spec"), "podSelector"), arena);
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column network_policy_columns[] = {
	COLUMN_NAME,
	COLUMN("Pod-Selector", "string", "Which pods it is for."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_network_policy = {
	.group = GROUP,
	.version = "v1",
	.plural = "networkpolicies",
	.singular = "networkpolicy",
	.kind = "NetworkPolicy",
	.short_names = policy_short,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.networking.v1.NetworkPolicy",
	.columns = network_policy_columns,
	.defaults = network_policy_defaults,
	.prepare = shape,
	.validate = network_policy_validate,
	.row = network_policy_row,
};
