/* SPDX-License-Identifier: Apache-2.0 */
/* service_row - a service in a table. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/service.h"

static bool has_type(const struct value *spec, const char *type)
{
	return is_text(get(spec, "type"), type);
}

static void add_texts(struct text *t, const struct value *list, const char *member)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *item = value_item(list, i);
		struct span s = member ? get_text(item, member) : text_of(item);

		if (!s.len && member)
			s = get_text(item, "hostname");
		text_add(t, t->len && s.len ? SPAN(",") : SPAN(""));
		text_add(t, s);
	}
}

static struct value cell_external(const struct value *o, struct arena *arena)
{
	const struct value *spec = get(o, "spec");
	struct text t = { .arena = arena };

	if (has_type(spec, "ExternalName"))
		return cell_text(get_text(spec, "externalName"));
	if (has_type(spec, "LoadBalancer"))
		add_texts(&t, value_find(o, "status.loadBalancer.ingress"), "ip");
	add_texts(&t, get(spec, "externalIPs"), NULL);
	if (t.len)
		return cell_text(text_span(&t));
	return cell_text(has_type(spec, "LoadBalancer") ? SPAN("<pending>") : SPAN("<none>"));
}

static struct value cell_ports(const struct value *ports, struct arena *arena)
{
	struct text t = { .arena = arena };

	for (uint32_t i = 0; i < count_of(ports); i++) {
		const struct value *port = value_item(ports, i);

		text_addf(&t, "%s%lld", i ? "," : "", (long long)get_int(port, "port", 0));
		if (get_int(port, "nodePort", 0))
			text_addf(&t, ":%lld", (long long)get_int(port, "nodePort", 0));
		text_add(&t, SPAN("/"));
		text_add(&t, get_text(port, "protocol"));
	}
	return cell_text(t.len ? text_span(&t) : SPAN("<none>"));
}

void service_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *ips = get(spec, "clusterIPs");

	cells[0] = cell_name(o);
	cells[1] = cell_text(get_text(spec, "type"));
	cells[2] = cell_text(count_of(ips) ? text_of(value_item(ips, 0)) : SPAN("<none>"));
	cells[3] = cell_external(o, arena);
	cells[4] = cell_ports(get(spec, "ports"), arena);
	cells[5] = cell_age(o, now_ns, arena);
	cells[6] = cell_labels(get(spec, "selector"), arena);
}
