/* SPDX-License-Identifier: Apache-2.0 */
/* service - Service of core/v1: its addresses and ports are given by the server (cluster_ip.h) when all else is fine. */
#include "kube/kinds/service.h"
#include "kube/kinds/cluster_ip.h"
#include "kube/kinds/kinds.h"
#include "kube/kinds/node_services.h"
#include "kube/subresource.h"

#define RANGES_ANNOTATION "service.beta.kubernetes.io/load-balancer-source-ranges"

static bool has_type(const struct value *spec, const char *type)
{
	return is_text(get(spec, "type"), type);
}

static bool is_headless(const struct value *spec)
{
	return is_text(get(spec, "clusterIP"), "None");
}

static bool needs_address(const struct value *spec)
{
	return has_type(spec, "ClusterIP") || has_type(spec, "NodePort") || has_type(spec, "LoadBalancer");
}

static bool needs_node_ports(const struct value *spec)
{
	const struct value *allocates = get(spec, "allocateLoadBalancerNodePorts");

	return has_type(spec, "NodePort") || (has_type(spec, "LoadBalancer") && (!allocates || allocates->boolean));
}

static bool is_reached_from_outside(const struct value *spec)
{
	return has_type(spec, "LoadBalancer") || has_type(spec, "NodePort") ||
	       (has_type(spec, "ClusterIP") && count_of(get(spec, "externalIPs")));
}

static bool needs_health_port(const struct value *spec)
{
	return has_type(spec, "LoadBalancer") && is_text(get(spec, "externalTrafficPolicy"), "Local");
}

/* ---- defaults ---- */

static void ports_defaults(struct change *c, struct value *ports)
{
	for (uint32_t i = 0; i < count_of(ports); i++) {
		struct value *port = value_item(ports, i), *target;

		default_text(c, port, "protocol", "TCP");
		target = get(port, "targetPort");
		if (value_is_empty(target) || (value_is(target, VALUE_INT) && target->integer == 0))
			set_value(c, port, "targetPort", value_int(get_int(port, "port", 0)));
	}
}

static void service_defaults(struct change *c)
{
	struct value *spec;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_text(c, spec, "sessionAffinity", "None");
	if (is_text(get(spec, "sessionAffinity"), "None"))
		drop(spec, "sessionAffinityConfig");
	else if (is_text(get(spec, "sessionAffinity"), "ClientIP"))
		default_int(c, ensure(c, ensure(c, spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds",
			    10800);
	default_text(c, spec, "type", "ClusterIP");
	ports_defaults(c, get(spec, "ports"));
	if (is_reached_from_outside(spec))
		default_text(c, spec, "externalTrafficPolicy", "Cluster");
	if (needs_address(spec))
		default_text(c, spec, "internalTrafficPolicy", "Cluster");
	if (has_type(spec, "LoadBalancer"))
		default_bool(c, spec, "allocateLoadBalancerNodePorts", true);
}

/* ---- what the server keeps ---- */

static void set_addresses(struct change *c, struct value *spec, struct span address)
{
	struct value list = value_array();

	(void)value_append(&list, value_string(address), c->arena, c->err);
	set_value(c, spec, "clusterIPs", list);
}

/* clusterIP is the first of clusterIPs: who writes one of them means both. */
static void match_addresses(struct change *c, struct value *spec, const struct value *old)
{
	const struct value *now = get(spec, "clusterIPs");
	struct span one = get_text(spec, "clusterIP"), was = get_text(old, "clusterIP");

	if (!old) {
		if (one.len && !count_of(now))
			set_addresses(c, spec, one);
		return;
	}
	if (span_equal(one, was) || !is_same(now, get(old, "clusterIPs")))
		return;
	if (one.len == 0)
		drop(spec, "clusterIPs");
	else
		set_addresses(c, spec, one);
}

/* The node port of the same protocol and port stays. */
static void keep_node_ports(struct change *c, struct value *ports, const struct value *old)
{
	for (uint32_t i = 0; i < count_of(ports); i++) {
		struct value *port = value_item(ports, i);

		for (uint32_t k = 0; k < count_of(old) && !get_int(port, "nodePort", 0); k++) {
			const struct value *was = value_item(old, k);

			if (get_int(was, "nodePort", 0) && is_same(get(port, "protocol"), get(was, "protocol")) &&
			    get_int(port, "port", 0) == get_int(was, "port", 0))
				set_value(c, port, "nodePort", value_int(get_int(was, "nodePort", 0)));
		}
	}
}

static void keep_allocated(struct change *c, struct value *spec, const struct value *old)
{
	if (needs_address(old) && needs_address(spec)) {
		if (get_text(spec, "clusterIP").len == 0)
			carry(c, spec, old, "clusterIP");
		if (!count_of(get(spec, "clusterIPs")) &&
		    span_equal(get_text(spec, "clusterIP"), get_text(old, "clusterIP")))
			carry(c, spec, old, "clusterIPs");
	}
	if (needs_node_ports(old) && needs_node_ports(spec))
		keep_node_ports(c, get(spec, "ports"), get(old, "ports"));
	if (needs_health_port(old) && needs_health_port(spec) && !get_int(spec, "healthCheckNodePort", 0))
		carry(c, spec, old, "healthCheckNodePort");
}

static void drop_same(struct value *spec, const struct value *old, const char *member)
{
	if (is_same(get(spec, member), get(old, member)))
		drop(spec, member);
}

/* A new type drops what belonged to the old one, unless it was written anew. */
static void drop_dependent(struct value *spec, const struct value *old)
{
	if (needs_address(old) && !needs_address(spec)) {
		drop_same(spec, old, "clusterIPs");
		drop_same(spec, old, "clusterIP");
		drop_same(spec, old, "ipFamilies");
		drop_same(spec, old, "ipFamilyPolicy");
		drop_same(spec, old, "internalTrafficPolicy");
	}
	for (uint32_t i = 0; needs_node_ports(old) && !needs_node_ports(spec) && i < count_of(get(spec, "ports"));
	     i++) {
		if (i < count_of(get(old, "ports")))
			drop_same(value_item(get(spec, "ports"), i), value_item(get(old, "ports"), i), "nodePort");
	}
	if (needs_health_port(old) && !needs_health_port(spec))
		drop_same(spec, old, "healthCheckNodePort");
	if (has_type(old, "LoadBalancer") && !has_type(spec, "LoadBalancer")) {
		drop_same(spec, old, "allocateLoadBalancerNodePorts");
		drop_same(spec, old, "loadBalancerClass");
	}
	if (is_reached_from_outside(old) && !is_reached_from_outside(spec))
		drop_same(spec, old, "externalTrafficPolicy");
}

/* There is IPv4 only; a headless service without a selector may have any. */
static void set_families(struct change *c, struct value *spec)
{
	bool is_any = is_headless(spec) && !count_of(get(spec, "selector"));
	struct value list = value_array();

	if (!needs_address(spec))
		return;
	default_text(c, spec, "ipFamilyPolicy", is_any ? "RequireDualStack" : "SingleStack");
	if (count_of(get(spec, "ipFamilies")))
		return;
	(void)value_append(&list, value_string(SPAN("IPv4")), c->arena, c->err);
	if (is_any && !has_type(spec, "ExternalName") && !is_text(get(spec, "ipFamilyPolicy"), "SingleStack"))
		(void)value_append(&list, value_string(SPAN("IPv6")), c->arena, c->err);
	set_value(c, spec, "ipFamilies", list);
}

static void service_prepare(struct change *c)
{
	const struct value *old = get(c->old, "spec");
	struct value *spec;

	if (!change_is_status(c)) {
		spec = ensure(c, c->object, "spec");
		match_addresses(c, spec, old);
		if (old) {
			drop_dependent(spec, old);
			keep_allocated(c, spec, old);
		}
		set_families(c, spec);
	}
	prepare_status(c);
}

/* ---- checks ---- */

static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

static void check_service_port(struct change *c, const struct at *at, const struct value *ports, uint32_t index)
{
	const struct value *port = value_item(ports, index), *name = get(port, "name");

	if (text_of(name).len == 0 && count_of(ports) > 1)
		fault_required(c, AT(at, "name"), "");
	if (text_of(name).len)
		check_name(c, AT(at, "name"), name, name_check_label);
	for (uint32_t i = 0; text_of(name).len && i < index; i++) {
		if (is_same(get(value_item(ports, i), "name"), name)) {
			fault_duplicate(c, AT(at, "name"), name);
			break;
		}
	}
	check_port(c, AT(at, "port"), get(port, "port"));
	check_one_of(c, AT(at, "protocol"), get(port, "protocol"), protocols);
	check_port_or_name(c, AT(at, "targetPort"), get(port, "targetPort"));
	if (get(port, "appProtocol"))
		check_name(c, AT(at, "appProtocol"), get(port, "appProtocol"), name_check_qualified);
}

/* Two ports with the same protocol and number (`member`: port or nodePort). */
static bool port_repeats(const struct value *ports, uint32_t index, const char *member)
{
	const struct value *mine = value_item(ports, index);

	for (uint32_t i = 0; get_int(mine, member, 0) && i < index; i++) {
		const struct value *other = value_item(ports, i);

		if (get_int(other, member, 0) == get_int(mine, member, 0) &&
		    is_same(get(other, "protocol"), get(mine, "protocol")))
			return true;
	}
	return false;
}

static void check_repeats(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *ports = get(spec, "ports");

	for (uint32_t i = 0; has_type(spec, "ClusterIP") && i < count_of(ports); i++) {
		if (get_int(value_item(ports, i), "nodePort", 0))
			fault_forbidden(c, AT(AT_INDEX(at, i), "nodePort"),
					"may not be used when `type` is 'ClusterIP'");
	}
	for (uint32_t i = 0; i < count_of(ports); i++) {
		if (port_repeats(ports, i, "nodePort"))
			fault_duplicate(c, AT(AT_INDEX(at, i), "nodePort"), get(value_item(ports, i), "nodePort"));
	}
	for (uint32_t i = 0; i < count_of(ports); i++) {
		struct span protocol = get_text(value_item(ports, i), "protocol"), text;

		if (!port_repeats(ports, i, "port"))
			continue;
		text = path_print(
		    c,
		    "core.ServicePort{Name:\"\", Protocol:\"" SPAN_FMT
		    "\", AppProtocol:(*string)(nil), Port:%lld, TargetPort:intstr.IntOrString{Type:0, IntVal:0, "
		    "StrVal:\"\"}, NodePort:0}",
		    SPAN_ARG(protocol), (long long)get_int(value_item(ports, i), "port", 0));
		fault_duplicate_printed(c, AT_INDEX(at, i), text);
	}
}

static void check_type(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *ips = get(spec, "clusterIPs"), *first = count_of(ips) ? value_item(ips, 0) : NULL;
	struct span name = get_text(spec, "externalName");

	if (!count_of(get(spec, "ports")) && !is_headless(spec) && !has_type(spec, "ExternalName"))
		fault_required(c, AT(at, "ports"), "");
	if (has_type(spec, "LoadBalancer") && is_headless(spec))
		fault_invalid(c, AT_INDEX(AT(at, "clusterIPs"), 0), first,
			      "may not be set to 'None' for LoadBalancer services");
	if (has_type(spec, "NodePort") && is_headless(spec))
		fault_invalid(c, AT_INDEX(AT(at, "clusterIPs"), 0), first,
			      "may not be set to 'None' for NodePort services");
	if (!has_type(spec, "ExternalName"))
		return;
	if (count_of(ips))
		fault_forbidden(c, AT(at, "clusterIPs"), "may not be set for ExternalName services");
	if (count_of(get(spec, "ipFamilies")))
		fault_forbidden(c, AT(at, "ipFamilies"), "may not be set for ExternalName services");
	if (get(spec, "ipFamilyPolicy"))
		fault_forbidden(c, AT(at, "ipFamilyPolicy"), "may not be set for ExternalName services");
	if (span_ends(name, SPAN(".")))
		name.len--;
	if (name.len == 0) {
		fault_required(c, AT(at, "externalName"), "");
	} else if (name_check_subdomain(name)) {
		fault_invalid_text(c, AT(at, "externalName"), name, name_check_subdomain(name));
	}
}

static void check_family(struct change *c, const struct at *at, const struct value *families, uint32_t index,
			 const struct value *ip)
{
	struct span text = text_of(ip);
	bool is_four = is_ipv4(text), is_six = is_ipv6(text);

	if (index >= count_of(families))
		return;
	if (is_text(value_item(families, index), "IPv6") && is_four)
		fault_invalid(c, at, ip,
			      detail_print(c, "expected an IPv6 value as indicated by `ipFamilies[%u]`", index));
	else if (is_text(value_item(families, index), "IPv4") && is_six)
		fault_invalid(c, at, ip,
			      detail_print(c, "expected an IPv4 value as indicated by `ipFamilies[%u]`", index));
}

static void check_addresses(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const families[] = { "IPv4", "IPv6", NULL }, *const policies[] = { "PreferDualStack",
											      "RequireDualStack",
											      "SingleStack", NULL };
	const struct value *ips = get(spec, "clusterIPs"), *list = get(spec, "ipFamilies");
	struct span one = get_text(spec, "clusterIP");

	if (has_type(spec, "ExternalName"))
		return;
	if (one.len && !count_of(ips))
		fault_required(c, AT(at, "clusterIPs"), "");
	else if (one.len && !span_equal(text_of(value_item(ips, 0)), one))
		fault_invalid(c, AT(at, "clusterIPs"), ips, "first value must match `clusterIP`");
	else if (!one.len && count_of(ips))
		fault_invalid(c, AT(at, "clusterIPs"), ips, "must be empty when `clusterIP` is not specified");
	for (uint32_t i = 0; i < count_of(list); i++) {
		check_one_of(c, AT_INDEX(AT(at, "ipFamilies"), i), value_item(list, i), families);
		for (uint32_t k = 0; k < i; k++) {
			if (value_equal(value_item(list, k), value_item(list, i)))
				fault_duplicate(c, AT_INDEX(AT(at, "ipFamilies"), i), value_item(list, i));
		}
	}
	check_one_of_or_absent(c, AT(at, "ipFamilyPolicy"), get(spec, "ipFamilyPolicy"), policies);
	for (uint32_t i = 0; i < count_of(ips); i++) {
		if (i == 0 && is_text(value_item(ips, 0), "None")) {
			if (count_of(ips) > 1)
				fault_invalid(c, AT(at, "clusterIPs"), ips, "'None' must be the first and only value");
			continue;
		}
		check_ip(c, AT_INDEX(AT(at, "clusterIPs"), i), value_item(ips, i));
		check_family(c, AT_INDEX(AT(at, "clusterIPs"), i), list, i, value_item(ips, i));
	}
	if (count_of(ips) > 2)
		fault_invalid(c, AT(at, "clusterIPs"), ips, "may only hold up to 2 values");
}

static void check_affinity(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const kinds[] = { "ClientIP", "None", NULL };
	const struct value *seconds = value_find(spec, "sessionAffinityConfig.clientIP.timeoutSeconds");

	check_one_of(c, AT(at, "sessionAffinity"), get(spec, "sessionAffinity"), kinds);
	if (is_text(get(spec, "sessionAffinity"), "ClientIP") && value_is(seconds, VALUE_INT) &&
	    (seconds->integer <= 0 || seconds->integer > 86400))
		fault_invalid(c, AT(AT(AT(at, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds"), seconds,
			      "must be greater than 0 and less than 86400");
}

static void check_traffic(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const policies[] = { "Cluster", "Local", NULL };
	const struct value *external = get(spec, "externalTrafficPolicy");

	if (is_reached_from_outside(spec))
		check_one_of(c, AT(at, "externalTrafficPolicy"), external, policies);
	else if (text_of(external).len)
		fault_invalid(c, AT(at, "externalTrafficPolicy"), external,
			      "may only be set for externally-accessible services");
	if (!needs_health_port(spec) && get_int(spec, "healthCheckNodePort", 0))
		fault_invalid(c, AT(at, "healthCheckNodePort"), get(spec, "healthCheckNodePort"),
			      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
	check_one_of_or_absent(c, AT(at, "internalTrafficPolicy"), get(spec, "internalTrafficPolicy"), policies);
}

static void check_source_ranges(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *list = get(spec, "loadBalancerSourceRanges"),
			   *annotation = get(get(get(c->object, "metadata"), "annotations"), RANGES_ANNOTATION);
	const struct at *here = AT(at, "LoadBalancerSourceRanges"); /* as the real server spells it */
	struct span rest = span_trim(text_of(annotation));

	if (!count_of(list) && annotation)
		here = AT_KEY(AT(AT(NULL, "metadata"), "annotations"), SPAN(RANGES_ANNOTATION));
	if ((count_of(list) || annotation) && !has_type(spec, "LoadBalancer"))
		fault_forbidden(c, here, "may only be used when `type` is 'LoadBalancer'");
	for (uint32_t i = 0; i < count_of(list); i++)
		check_cidr(c, AT_INDEX(here, i), span_trim(text_of(value_item(list, i))));
	while (!count_of(list) && rest.len)
		check_cidr(c, here, span_trim(span_cut(&rest, ',')));
}

static void check_class(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *class = get(spec, "loadBalancerClass"), *old = get(c->old, "spec");

	if (!class)
		return;
	if (!has_type(spec, "LoadBalancer"))
		fault_forbidden(c, AT(at, "loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'");
	else if (has_type(old, "LoadBalancer") && !is_same(get(old, "loadBalancerClass"), class))
		fault_invalid(c, AT(at, "loadBalancerClass"), class, "may not change once set");
	else
		check_name(c, AT(at, "loadBalancerClass"), class, name_check_qualified);
}

static void check_distribution(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const names[] = { "PreferClose", NULL };

	check_one_of_or_absent(c, AT(at, "trafficDistribution"), get(spec, "trafficDistribution"), names);
}

static void warn_of_ignored(struct change *c, const struct value *spec)
{
	const struct value *annotations = get(get(c->object, "metadata"), "annotations");

	if (get(annotations, "service.kubernetes.io/topology-aware-hints"))
		change_warn(c, "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
			       "service.kubernetes.io/topology-mode instead");
	if (has_type(spec, "ExternalName") && count_of(get(spec, "externalIPs")))
		change_warn(c, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
	if (!has_type(spec, "ExternalName") && get_text(spec, "externalName").len)
		change_warn(c, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
}

static void check_service_update(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *old = get(c->old, "spec"), *was = get(old, "clusterIPs"), *is = get(spec, "clusterIPs");

	if (has_type(old, "ExternalName") || has_type(spec, "ExternalName") || !count_of(was))
		return;
	if (!count_of(is) || !value_equal(value_item(was, 0), value_item(is, 0)))
		fault_invalid(c, AT_INDEX(AT(at, "clusterIPs"), 0), is, "may not change once set");
}

/* ---- allocation ---- */

static void take_address(struct change *c, const struct at *at, struct value *spec)
{
	struct span one = get_text(spec, "clusterIP");
	const char *wrong;

	if (!needs_address(spec) || is_headless(spec) ||
	    (c->old && one.len && span_equal(one, get_text(get(c->old, "spec"), "clusterIP"))))
		return;
	if (one.len == 0) {
		one = cluster_ip_next(c);
		if (one.len == 0) {
			fault_printed(c, AT(at, "clusterIPs"), SPAN("[]string(nil)"),
				      "failed to allocate a serviceIP: range is full");
			return;
		}
		set_text(c, spec, "clusterIP", one);
		set_addresses(c, spec, one);
		return;
	}
	wrong = cluster_ip_take(c, one);
	if (wrong)
		fault_invalid(c, AT(at, "clusterIPs"), get(spec, "clusterIPs"),
			      detail_print(c, "failed to allocate IP " SPAN_FMT ": %s", SPAN_ARG(one), wrong));
}

/* Did the service have this node port already? The same number for another protocol counts too. */
static bool has_node_port(const struct value *ports, uint32_t end, int64_t number)
{
	for (uint32_t i = 0; i < end; i++) {
		if (get_int(value_item(ports, i), "nodePort", 0) == number)
			return true;
	}
	return false;
}

static void take_node_ports(struct change *c, const struct at *at, struct value *spec)
{
	const struct value *old = get(get(c->old, "spec"), "ports");
	struct value *ports = get(spec, "ports");

	for (uint32_t i = 0; needs_node_ports(spec) && i < count_of(ports); i++) {
		struct value *port = value_item(ports, i);
		int64_t number = get_int(port, "nodePort", 0);
		const char *wrong;

		if (number == 0) {
			set_value(c, port, "nodePort", value_int(node_port_next(c)));
			continue;
		}
		if (has_node_port(old, count_of(old), number) || has_node_port(ports, i, number))
			continue;
		wrong = node_port_take(c, number);
		if (wrong)
			fault_invalid(c, AT(AT_INDEX(AT(at, "ports"), i), "nodePort"), get(port, "nodePort"), wrong);
	}
	if (!needs_health_port(spec) || get_int(spec, "healthCheckNodePort", 0))
		return;
	set_value(c, spec, "healthCheckNodePort", value_int(node_port_next(c)));
}

static void check_families(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *list = get(spec, "ipFamilies"), *policy = get(spec, "ipFamilyPolicy");

	if (!needs_address(spec) || is_headless(spec))
		return;
	if (is_text(policy, "RequireDualStack"))
		fault_invalid(c, AT(at, "ipFamilyPolicy"), policy,
			      "this cluster is not configured for dual-stack services");
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(value_item(list, i), "IPv6"))
			fault_invalid(c, AT_INDEX(AT(at, "ipFamilies"), i), value_item(list, i),
				      "not configured on this cluster");
	}
}

static void service_validate(struct change *c)
{
	static const char *const types[] = { "ClusterIP", "ExternalName", "LoadBalancer", "NodePort", NULL };
	struct value *spec = get(c->object, "spec");
	const struct value *ports = get(spec, "ports"), *external = get(spec, "externalIPs");
	const struct at *at = AT(NULL, "spec");
	size_t before;

	check_metadata(c, name_check_1035);
	if (change_is_status(c)) {
		if (count_of(value_find(c->object, "status.loadBalancer.ingress")) && !has_type(spec, "LoadBalancer"))
			fault_forbidden(c, AT(AT(AT(NULL, "status"), "loadBalancer"), "ingress"),
					"may only be used when `spec.type` is 'LoadBalancer'");
		return;
	}
	check_type(c, at, spec);
	for (uint32_t i = 0; i < count_of(ports); i++)
		check_service_port(c, AT_INDEX(AT(at, "ports"), i), ports, i);
	check_labels(c, AT(at, "selector"), get(spec, "selector"));
	check_affinity(c, at, spec);
	before = c->cause_count;
	check_addresses(c, at, spec);
	if (c->old && c->cause_count == before)
		check_service_update(c, at, spec);
	for (uint32_t i = 0; i < count_of(external); i++) {
		size_t faults = c->cause_count;

		check_ip(c, AT_INDEX(AT(at, "externalIPs"), i), value_item(external, i));
		if (faults == c->cause_count)
			check_far_ip(c, AT_INDEX(AT(at, "externalIPs"), i), value_item(external, i));
	}
	check_one_of(c, AT(at, "type"), get(spec, "type"), types);
	check_repeats(c, AT(at, "ports"), spec);
	check_source_ranges(c, at, spec);
	check_class(c, at, spec);
	if (get(spec, "allocateLoadBalancerNodePorts") && !has_type(spec, "LoadBalancer"))
		fault_forbidden(c, AT(at, "allocateLoadBalancerNodePorts"),
				"may only be used when `type` is 'LoadBalancer'");
	check_traffic(c, at, spec);
	check_distribution(c, at, spec);
	if (c->cause_count == 0)
		check_families(c, at, spec);
	if (c->cause_count == 0)
		warn_of_ignored(c, spec);
	/* Nothing is taken for a service that will not be. */
	if (c->cause_count == 0 && c->kube) {
		take_address(c, at, spec);
		take_node_ports(c, at, spec);
	}
}

static const struct column service_columns[] = {
	COLUMN_NAME,
	COLUMN("Type", "string", "How it is reached: ClusterIP, NodePort, LoadBalancer or ExternalName."),
	COLUMN("Cluster-IP", "string", "Its address inside."),
	COLUMN("External-IP", "string", "Its addresses from outside."),
	COLUMN("Port(s)", "string", "Its ports, with the node's port where there is one."),
	COLUMN_AGE,
	COLUMN_SELECTOR,
	{ 0 },
};
static const char *const service_short[] = { "svc", NULL }, *const all[] = { "all", NULL };
static const struct selectable service_fields[] = { { "spec.clusterIP", NULL, NULL },
						    { "spec.type", NULL, NULL },
						    { 0 } };

static const struct subresource service_others[] = {
	{ "proxy", KUBE_CREATE | KUBE_DELETE | KUBE_GET | KUBE_PATCH | KUBE_UPDATE | KUBE_PASSAGE, "", "v1",
	  "ServiceProxyOptions", NULL, service_proxy },
	{ 0 },
};

const struct kind kind_service = {
	.group = "",
	.version = "v1",
	.plural = "services",
	.singular = "service",
	.kind = "Service",
	.short_names = service_short,
	.categories = all,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.others = service_others,
	.type_name = "io.k8s.api.core.v1.Service",
	.selectable = service_fields,
	.columns = service_columns,
	.defaults = service_defaults,
	.prepare = service_prepare,
	.validate = service_validate,
	.changed = cluster_ip_changed,
	.row = service_row,
};
