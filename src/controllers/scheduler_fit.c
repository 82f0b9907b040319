/* SPDX-License-Identifier: Apache-2.0 */
/* scheduler_fit - whether a node takes a pod. The words are those of kube-scheduler 1.33's plugins. */
#include "controllers/scheduler.h"

#include <stdlib.h>

#include "kube/kinds/kinds.h"
#include "kube/placement.h"

/* What pods that ask for nothing are counted with when nodes are compared. */
#define LEAST_CPU    INT64_C(100)
#define LEAST_MEMORY (INT64_C(200) * 1024 * 1024 * 1000)

static void refuse(struct fit *f, struct span reason, bool is_resolvable)
{
	if (f->count == REASONS_MOST)
		return;
	f->reasons[f->count++] = reason;
	f->is_resolvable |= is_resolvable;
}

/* ---- host ports ---- */

static void port_print(struct buffer *b, const struct value *port)
{
	struct span protocol = get_text(port, "protocol"), address = get_text(port, "hostIP");
	int64_t number = get_int(port, "hostPort", 0);

	if (number > 0)
		buffer_print(b, "%.*s/%.*s/%lld ", (int)(protocol.len ? protocol.len : 3),
			     protocol.len ? protocol.ptr : "TCP", (int)(address.len ? address.len : 7),
			     address.len ? address.ptr : "0.0.0.0", (long long)number);
}

char *pod_ports(const struct value *pod)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	struct buffer b;
	char *text;

	buffer_init(&b, KIB(64));
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		const struct value *list = value_find(pod, lists[l]);

		for (uint32_t i = 0; i < value_count(list); i++) {
			const struct value *ports = member(value_item(list, i), "ports");

			if (l == 1 && !is_text(member(value_item(list, i), "restartPolicy"), "Always"))
				continue;
			for (uint32_t j = 0; j < value_count(ports); j++)
				port_print(&b, value_item(ports, j));
		}
	}
	text = b.len ? span_to_text(buffer_span(&b)) : NULL;
	buffer_done(&b);
	return text;
}

static bool port_collides(struct span a, struct span b)
{
	struct span of_a = span_cut(&a, '/'), of_b = span_cut(&b, '/'), at_a = span_cut(&a, '/'),
		    at_b = span_cut(&b, '/');

	return span_equal(of_a, of_b) && span_equal(a, b) &&
	       (span_equal(at_a, at_b) || span_equal(at_a, SPAN("0.0.0.0")) || span_equal(at_b, SPAN("0.0.0.0")));
}

static bool ports_collide(const char *a, const char *b)
{
	struct span rest = span_of(a);

	while (rest.len) {
		struct span one = span_cut(&rest, ' '), others = span_of(b);

		while (others.len)
			if (port_collides(one, span_cut(&others, ' ')))
				return true;
	}
	return false;
}

/* ---- what is used on a node ---- */

struct use {
	struct placing *p;
	struct span node;
	struct amounts amounts;
	int64_t pods, cpu, memory; /* the last two with the least that is counted */
	bool has_port;
};

static void use_add(void *context, struct booking *e)
{
	struct use *u = context;

	if (!span_equal(span_of(e->node), u->node) ||
	    span_equal(span_of(e->uid), value_find_string(u->p->pod, "metadata.uid")))
		return;
	u->pods++;
	for (size_t i = 0; i < e->amounts.count; i++) {
		size_t at = 0;

		while (at < u->amounts.count && strcmp(u->amounts.items[at].name, e->amounts.items[i].name) != 0)
			at++;
		if (at == AMOUNTS_MOST)
			continue;
		if (at == u->amounts.count)
			u->amounts.items[u->amounts.count++] = e->amounts.items[i];
		else
			u->amounts.items[at].milli += e->amounts.items[i].milli;
	}
	u->cpu += MAX(amount_of(&e->amounts, "cpu"), LEAST_CPU);
	u->memory += MAX(amount_of(&e->amounts, "memory"), LEAST_MEMORY);
	if (u->p->ports && e->ports && ports_collide(u->p->ports, e->ports))
		u->has_port = true;
}

static int64_t share_left(int64_t all, int64_t used)
{
	return all > 0 && used < all ? (int64_t)((double)(all - used) * 100.0 / (double)all) : 0;
}

static void resources_check(struct placing *p, struct fit *f, struct use *u)
{
	struct amounts has = { .count = 0 };
	int64_t most;

	amounts_read(&has, value_find(f->node, "status.allocatable"));
	most = amount_of(&has, "pods") / 1000;
	if (u->pods + 1 > most)
		refuse(f, SPAN("Too many pods"), true);
	for (size_t i = 0; i < p->asked.count; i++) {
		const char *name = p->asked.items[i].name;
		int64_t asked = p->asked.items[i].milli;

		if (asked <= 0 || asked <= amount_of(&has, name) - amount_of(&u->amounts, name))
			continue;
		refuse(f, arena_print(p->r->arena, p->r->err, "Insufficient %s", name), asked <= amount_of(&has, name));
	}
	f->score =
	    (share_left(amount_of(&has, "cpu"), u->cpu + MAX(amount_of(&p->asked, "cpu"), LEAST_CPU)) +
	     share_left(amount_of(&has, "memory"), u->memory + MAX(amount_of(&p->asked, "memory"), LEAST_MEMORY))) /
	    2;
}

/* ---- the others ---- */

static bool bears_unschedulable(const struct placing *p)
{
	const struct value *list = member(p->spec, "tolerations");
	struct value taint = value_object();

	put(p->r, &taint, "key", value_string(SPAN("node.kubernetes.io/unschedulable")));
	put(p->r, &taint, "effect", value_string(SPAN("NoSchedule")));
	for (uint32_t i = 0; i < value_count(list); i++)
		if (placement_tolerates(value_item(list, i), &taint))
			return true;
	return false;
}

static bool node_checks(struct placing *p, struct fit *f)
{
	const struct value *taint;

	if (value_find_bool(f->node, "spec.unschedulable") && !bears_unschedulable(p)) {
		refuse(f, SPAN("node(s) were unschedulable"), false);
		return false;
	}
	taint = placement_taint(member(p->spec, "tolerations"), f->node, PLACEMENT_TO_START);
	if (taint) {
		struct span key = get_text(taint, "key"), value = get_text(taint, "value");

		refuse(f,
		       arena_print(p->r->arena, p->r->err, "node(s) had untolerated taint {" SPAN_FMT ": " SPAN_FMT "}",
				   SPAN_ARG(key), SPAN_ARG(value)),
		       false);
		return false;
	}
	if (!placement_takes_node(p->spec, f->node)) {
		refuse(f, SPAN("node(s) didn't match Pod's node affinity/selector"), false);
		return false;
	}
	return true;
}

/* Volumes that are on other nodes: those of claims that are bound. */
static bool volumes_are_here(struct placing *p, const struct value *node)
{
	const struct value *volumes = member(p->spec, "volumes");

	for (uint32_t i = 0; i < value_count(volumes); i++) {
		struct span claim = value_find_string(value_item(volumes, i), "persistentVolumeClaim.claimName");
		const struct value *c, *v, *required;
		struct value spec = value_object(), affinity = value_object(), wanted = value_object();

		if (!claim.len)
			continue;
		c = reconcile_get(p->r, &resource_persistent_volume_claims, p->r->name_space, claim);
		v = c ? reconcile_get(p->r, &resource_persistent_volumes, (struct span){ 0 },
				      value_find_string(c, "spec.volumeName"))
		      : NULL;
		required = value_find(v, "spec.nodeAffinity.required");
		if (!required)
			continue;
		put(p->r, &wanted, "requiredDuringSchedulingIgnoredDuringExecution", *required);
		put(p->r, &affinity, "nodeAffinity", wanted);
		put(p->r, &spec, "affinity", affinity);
		if (!placement_takes_node(&spec, node))
			return false;
	}
	return true;
}

/* Taints that are better avoided, and affinities that are preferred: smaller than what resources tell apart. */
static int64_t wish(const struct placing *p, const struct value *node)
{
	const struct value *taints = value_find(node, "spec.taints"), *tolerations = member(p->spec, "tolerations");
	int64_t score = 0;

	for (uint32_t i = 0; i < value_count(taints); i++) {
		bool is_borne = !is_text(member(value_item(taints, i), "effect"), "PreferNoSchedule");

		for (uint32_t j = 0; j < value_count(tolerations); j++)
			is_borne |= placement_tolerates(value_item(tolerations, j), value_item(taints, i));
		score -= is_borne ? 0 : 300;
	}
	return score;
}

void fit_check(struct placing *p, struct fit *f)
{
	struct use use = { .p = p, .node = object_name(f->node) };
	struct span reason;
	bool is_resolvable;

	if (!node_checks(p, f))
		return;
	book_each(p->book, use_add, &use);
	if (use.has_port) {
		refuse(f, SPAN("node(s) didn't have free ports for the requested pod ports"), true);
		return;
	}
	resources_check(p, f, &use);
	if (f->count)
		return;
	if (!volumes_are_here(p, f->node))
		refuse(f, SPAN("node(s) had volume node affinity conflict"), false);
	else if (!topology_takes(p, f->node, &reason, &is_resolvable))
		refuse(f, reason, is_resolvable);
	f->score += wish(p, f->node);
}
