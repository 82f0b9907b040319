/* SPDX-License-Identifier: Apache-2.0 */
/* endpoints - Endpoints of core/v1 and EndpointSlice of discovery.k8s.io/v1. */
#include "kube/kinds/kinds.h"

static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

#define SHOWN_MOST 3 /* addresses and ports of a row */

static void add_more(struct text *t, unsigned count)
{
	if (count > SHOWN_MOST)
		text_addf(t, " + %u more...", count - SHOWN_MOST);
}

/* ---- Endpoints ---- */

static void endpoints_defaults(struct change *c)
{
	struct value *subsets;

	shape(c);
	subsets = get(c->object, "subsets");
	for (uint32_t i = 0; i < count_of(subsets); i++) {
		struct value *ports = get(value_item(subsets, i), "ports");

		for (uint32_t k = 0; k < count_of(ports); k++)
			default_text(c, value_item(ports, k), "protocol", "TCP");
	}
}

static void check_addresses(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *address = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);

		check_ip(c, AT(here, "ip"), get(address, "ip"));
		if (get_text(address, "hostname").len)
			check_name(c, AT(here, "hostname"), get(address, "hostname"), name_check_label);
		if (get(address, "nodeName"))
			check_name(c, AT(here, "nodeName"), get(address, "nodeName"), name_check_subdomain);
		check_far_ip(c, AT(here, "ip"), get(address, "ip"));
	}
}

static void endpoints_validate(struct change *c)
{
	const struct value *subsets = get(c->object, "subsets");

	check_metadata(c, name_check_subdomain);
	if (c->old && is_same(get(c->old, "subsets"), subsets))
		return;
	for (uint32_t i = 0; i < count_of(subsets); i++) {
		const struct value *subset = value_item(subsets, i), *ports = get(subset, "ports");
		const struct at *at = AT_INDEX(AT(NULL, "subsets"), i);

		if (!count_of(get(subset, "addresses")) && !count_of(get(subset, "notReadyAddresses")))
			fault_required(c, at, "must specify `addresses` or `notReadyAddresses`");
		check_addresses(c, AT(at, "addresses"), get(subset, "addresses"));
		check_addresses(c, AT(at, "notReadyAddresses"), get(subset, "notReadyAddresses"));
		for (uint32_t k = 0; k < count_of(ports); k++) {
			const struct value *port = value_item(ports, k);
			const struct at *here = AT_INDEX(AT(at, "ports"), k);

			if (get_text(port, "name").len)
				check_name(c, AT(here, "name"), get(port, "name"), name_check_label);
			else if (count_of(ports) > 1)
				fault_required(c, AT(here, "name"), "");
			check_port(c, AT(here, "port"), get(port, "port"));
			check_one_of(c, AT(here, "protocol"), get(port, "protocol"), protocols);
		}
	}
}

static struct value cell_endpoints(const struct value *subsets, struct arena *arena)
{
	struct text t = { .arena = arena };
	unsigned count = 0;

	for (uint32_t i = 0; i < count_of(subsets); i++) {
		const struct value *addresses = get(value_item(subsets, i), "addresses"),
				   *ports = get(value_item(subsets, i), "ports");

		for (uint32_t p = 0; p < count_of(ports) || (p == 0 && !count_of(ports)); p++) {
			for (uint32_t k = 0; k < count_of(addresses); k++) {
				if (count++ >= SHOWN_MOST)
					continue;
				text_add(&t, t.len ? SPAN(",") : SPAN(""));
				text_add(&t, get_text(value_item(addresses, k), "ip"));
				if (count_of(ports))
					text_addf(&t, ":%lld", (long long)get_int(value_item(ports, p), "port", 0));
			}
		}
	}
	if (!count)
		return cell_text(SPAN("<none>"));
	add_more(&t, count);
	return cell_text(text_span(&t));
}

static void endpoints_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_endpoints(get(o, "subsets"), arena);
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column endpoints_columns[] = {
	COLUMN_NAME,
	COLUMN("Endpoints", "string", "Addresses and ports that are ready."),
	COLUMN_AGE,
	{ 0 },
};
static const char *const endpoints_short[] = { "ep", NULL };

const struct kind kind_endpoints = {
	.group = "",
	.version = "v1",
	.plural = "endpoints",
	.singular = "endpoints",
	.kind = "Endpoints",
	.list_kind = "EndpointsList",
	.short_names = endpoints_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.Endpoints",
	.deprecated = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
	.columns = endpoints_columns,
	.defaults = endpoints_defaults,
	.prepare = shape,
	.validate = endpoints_validate,
	.row = endpoints_row,
};

/* ---- EndpointSlice ---- */

#define ENDPOINTS_MOST 1000
#define PORTS_MOST     20000
#define ADDRESSES_MOST 100

static void slice_defaults(struct change *c)
{
	struct value *ports;

	shape(c);
	ports = get(c->object, "ports");
	for (uint32_t i = 0; i < count_of(ports); i++) {
		struct value *port = value_item(ports, i);

		if (!get(port, "name"))
			set_text(c, port, "name", SPAN(""));
		default_text(c, port, "protocol", "TCP");
	}
}

static void check_endpoint_address(struct change *c, const struct at *at, uint32_t index, const struct value *type,
				   const struct value *v)
{
	bool is_four = is_ipv4(text_of(v)), is_six = is_ipv6(text_of(v));

	if (is_text(type, "FQDN")) {
		check_name(c, AT_INDEX(at, index), v, name_check_subdomain);
		return;
	}
	if (!is_text(type, "IPv4") && !is_text(type, "IPv6"))
		return;
	if (!is_four && !is_six) {
		check_ip(c, AT_INDEX(at, index), v);
	} else {
		/* The family is told at the list. */
		if (is_text(type, "IPv4") && !is_four)
			fault_invalid(c, at, v, "must be an IPv4 address");
		else if (is_text(type, "IPv6") && !is_six)
			fault_invalid(c, at, v, "must be an IPv6 address");
	}
	if (is_four || is_six)
		check_far_ip(c, AT_INDEX(at, index), v);
}

static void check_endpoints(struct change *c, const struct at *at, const struct value *type, const struct value *list)
{
	if (count_of(list) > ENDPOINTS_MOST) {
		fault_too_many(c, at, count_of(list), ENDPOINTS_MOST);
		return;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *endpoint = value_item(list, i), *addresses = get(endpoint, "addresses");
		const struct at *here = AT_INDEX(at, i);

		if (!count_of(addresses))
			fault_required(c, AT(here, "addresses"), "must contain at least 1 address");
		else if (count_of(addresses) > ADDRESSES_MOST)
			fault_too_many(c, AT(here, "addresses"), count_of(addresses), ADDRESSES_MOST);
		for (uint32_t k = 0; k < count_of(addresses) && k < ADDRESSES_MOST; k++)
			check_endpoint_address(c, AT(here, "addresses"), k, type, value_item(addresses, k));
		if (get(endpoint, "nodeName"))
			check_name(c, AT(here, "nodeName"), get(endpoint, "nodeName"), name_check_subdomain);
		if (get(endpoint, "hostname"))
			check_name(c, AT(here, "hostname"), get(endpoint, "hostname"), name_check_label);
	}
}

static void check_slice_ports(struct change *c, const struct at *at, const struct value *list)
{
	if (count_of(list) > PORTS_MOST) {
		fault_too_many(c, at, count_of(list), PORTS_MOST);
		return;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *port = value_item(list, i), *name = get(port, "name");
		const struct at *here = AT_INDEX(at, i);

		if (text_of(name).len)
			check_name(c, AT(here, "name"), name, name_check_label);
		for (uint32_t k = 0; k < i; k++) {
			if (is_same(get(value_item(list, k), "name"), name)) {
				fault_duplicate(c, AT(here, "name"), name);
				break;
			}
		}
		check_one_of(c, AT(here, "protocol"), get(port, "protocol"), protocols);
		if (get(port, "appProtocol"))
			check_name(c, AT(here, "appProtocol"), get(port, "appProtocol"), name_check_qualified);
	}
}

static void slice_validate(struct change *c)
{
	static const char *const types[] = { "FQDN", "IPv4", "IPv6", NULL };
	const struct value *type = get(c->object, "addressType");

	check_metadata(c, name_check_subdomain);
	check_one_of(c, AT(NULL, "addressType"), type, types);
	check_slice_ports(c, AT(NULL, "ports"), get(c->object, "ports"));
	/* Endpoints that were taken once may stay. */
	if (!c->old || !is_same(get(c->old, "endpoints"), get(c->object, "endpoints")))
		check_endpoints(c, AT(NULL, "endpoints"), type, get(c->object, "endpoints"));
	if (c->old)
		check_same(c, AT(NULL, "addressType"), get(c->old, "addressType"), type);
}

static bool slice_raises(const struct value *old, const struct value *object)
{
	return !is_same(get(old, "endpoints"), get(object, "endpoints")) ||
	       !is_same(get(old, "ports"), get(object, "ports")) ||
	       !is_same(get(old, "addressType"), get(object, "addressType")) ||
	       !is_same(get(get(old, "metadata"), "labels"), get(get(object, "metadata"), "labels"));
}

static struct value cell_slice_ports(const struct value *list, struct arena *arena)
{
	struct text t = { .arena = arena };

	for (uint32_t i = 0; i < count_of(list) && i < SHOWN_MOST; i++) {
		const struct value *port = value_item(list, i);

		text_add(&t, i ? SPAN(",") : SPAN(""));
		if (get(port, "port"))
			text_addf(&t, "%lld", (long long)get_int(port, "port", 0));
		else
			text_add(&t, get(port, "name") ? get_text(port, "name") : SPAN("*"));
	}
	add_more(&t, count_of(list));
	return cell_or(text_span(&t), "<unset>");
}

static struct value cell_slice_addresses(const struct value *list, struct arena *arena)
{
	struct text t = { .arena = arena };
	unsigned count = 0;

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *addresses = get(value_item(list, i), "addresses");

		for (uint32_t k = 0; k < count_of(addresses); k++) {
			if (count++ >= SHOWN_MOST)
				continue;
			text_add(&t, t.len ? SPAN(",") : SPAN(""));
			text_add(&t, text_of(value_item(addresses, k)));
		}
	}
	add_more(&t, count);
	return cell_or(text_span(&t), "<unset>");
}

static void slice_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_text(get_text(o, "addressType"));
	cells[2] = cell_slice_ports(get(o, "ports"), arena);
	cells[3] = cell_slice_addresses(get(o, "endpoints"), arena);
	cells[4] = cell_age(o, now_ns, arena);
}

static const struct column slice_columns[] = {
	COLUMN_NAME,
	COLUMN("AddressType", "string", "IPv4, IPv6 or FQDN."),
	COLUMN("Ports", "string", "Ports of each endpoint."),
	COLUMN("Endpoints", "string", "Addresses of the endpoints."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_endpoint_slice = {
	.group = "discovery.k8s.io",
	.version = "v1",
	.plural = "endpointslices",
	.singular = "endpointslice",
	.kind = "EndpointSlice",
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.discovery.v1.EndpointSlice",
	.columns = slice_columns,
	.defaults = slice_defaults,
	.prepare = shape,
	.validate = slice_validate,
	.raises_generation = slice_raises,
	.row = slice_row,
};
