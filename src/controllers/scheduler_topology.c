/* SPDX-License-Identifier: Apache-2.0 */
/* scheduler_topology - beside which pods a pod may be: affinity, anti-affinity (of both sides), and spread. */
#include "controllers/scheduler.h"

#include "kube/kinds/kinds.h"

struct neighbours {
	struct placing *p;
	const struct value *node;
};

const struct value *placing_pods(struct placing *p)
{
	if (!p->pods)
		p->pods = reconcile_list(p->r, &resource_pods, (struct span){ 0 });
	return p->pods;
}

static struct span place_of(const struct value *node, struct span key)
{
	return text_of(value_get(value_find(node, "metadata.labels"), key));
}

static bool has_ended(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

/* The node it is on, or will be. NULL: none. */
static const struct value *node_of(struct placing *p, const struct value *pod)
{
	struct span name = value_find_string(pod, "spec.nodeName");
	const struct booking *e = name.len ? NULL : book_find(p->book, value_find_string(pod, "metadata.uid"));

	if (e)
		name = span_of(e->node);
	for (uint32_t i = 0; name.len && i < value_count(p->nodes); i++)
		if (span_equal(object_name(value_item(p->nodes, i)), name))
			return value_item(p->nodes, i);
	return NULL;
}

static bool is_self(const struct placing *p, const struct value *other)
{
	return span_equal(value_find_string(other, "metadata.uid"), value_find_string(p->pod, "metadata.uid"));
}

/* ---- affinity ---- */

static bool names_namespace(struct placing *p, const struct value *term, struct span own, struct span other)
{
	const struct value *names = member(term, "namespaces"), *selector = member(term, "namespaceSelector"), *ns;

	for (uint32_t i = 0; i < value_count(names); i++)
		if (span_equal(text_of(value_item(names, i)), other))
			return true;
	if (!selector)
		return !value_count(names) && span_equal(own, other);
	if (!count_of(selector))
		return true;
	ns = reconcile_get(p->r, &resource_namespaces, (struct span){ 0 }, other);
	return ns && selector_matches(selector, value_find(ns, "metadata.labels"));
}

/* A term of `owner` that means `other`. */
static bool term_takes(struct placing *p, const struct value *term, const struct value *owner,
		       const struct value *other)
{
	return names_namespace(p, term, value_find_string(owner, "metadata.namespace"),
			       value_find_string(other, "metadata.namespace")) &&
	       member(term, "labelSelector") &&
	       selector_matches(member(term, "labelSelector"), value_find(other, "metadata.labels"));
}

static bool is_beside(struct placing *p, const struct value *term, const struct value *node, bool *ret_anywhere)
{
	struct span key = get_text(term, "topologyKey"), here = place_of(node, key);
	const struct value *pods = placing_pods(p);

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *other = value_item(pods, i), *at;

		if (is_self(p, other) || has_ended(other) || !term_takes(p, term, p->pod, other))
			continue;
		at = node_of(p, other);
		if (!at)
			continue;
		*ret_anywhere = true;
		if (here.len && span_equal(place_of(at, key), here))
			return true;
	}
	return false;
}

static const char required[] = "requiredDuringSchedulingIgnoredDuringExecution";

static bool affinity_takes(struct placing *p, const struct value *node, struct span *ret_reason)
{
	const struct value *near = value_find(p->spec, "affinity.podAffinity"),
			   *away = value_find(p->spec, "affinity.podAntiAffinity");
	const struct value *terms = member(near, required);
	bool is_anywhere;

	for (uint32_t i = 0; i < value_count(terms); i++) {
		const struct value *term = value_item(terms, i);

		is_anywhere = false;
		if (is_beside(p, term, node, &is_anywhere))
			continue;
		/* The first of a group that wants to be together begins it. */
		if (!is_anywhere && term_takes(p, term, p->pod, p->pod) &&
		    place_of(node, get_text(term, "topologyKey")).len)
			continue;
		*ret_reason = SPAN("node(s) didn't match pod affinity rules");
		return false;
	}
	terms = member(away, required);
	for (uint32_t i = 0; i < value_count(terms); i++) {
		if (!is_beside(p, value_item(terms, i), node, &is_anywhere))
			continue;
		*ret_reason = SPAN("node(s) didn't match pod anti-affinity rules");
		return false;
	}
	return true;
}

/* Pods that are there and want this one to be elsewhere. */
static bool others_take(struct placing *p, const struct value *node)
{
	const struct value *pods = p->book->anti_affinities ? placing_pods(p) : NULL;

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *other = value_item(pods, i),
				   *terms = member(value_find(other, "spec.affinity.podAntiAffinity"), required), *at;

		if (!value_count(terms) || is_self(p, other) || has_ended(other))
			continue;
		at = node_of(p, other);
		for (uint32_t j = 0; at && j < value_count(terms); j++) {
			struct span key = get_text(value_item(terms, j), "topologyKey"), here = place_of(node, key);

			if (here.len && span_equal(place_of(at, key), here) &&
			    term_takes(p, value_item(terms, j), other, p->pod))
				return false;
		}
	}
	return true;
}

/* ---- spread ---- */

/* Pods that count, in the same place as `node`. */
static int64_t count_in(struct placing *p, const struct value *constraint, struct span place)
{
	struct span key = get_text(constraint, "topologyKey");
	const struct value *pods = placing_pods(p);
	int64_t count = 0;

	for (uint32_t i = 0; i < value_count(pods); i++) {
		const struct value *other = value_item(pods, i), *at;

		if (is_self(p, other) || has_ended(other) || object_is_ending(other) ||
		    !span_equal(value_find_string(other, "metadata.namespace"), p->r->name_space) ||
		    !selector_matches(member(constraint, "labelSelector"), value_find(other, "metadata.labels")))
			continue;
		at = node_of(p, other);
		count += at && span_equal(place_of(at, key), place);
	}
	return count;
}

static bool spread_takes(struct placing *p, const struct value *constraint, const struct value *node,
			 struct span *ret_reason)
{
	struct span key = get_text(constraint, "topologyKey"), here = place_of(node, key);
	int64_t least = INT64_MAX, places = 0,
		mine = selector_matches(member(constraint, "labelSelector"), value_find(p->pod, "metadata.labels"));

	if (!here.len) {
		*ret_reason = SPAN("node(s) didn't match pod topology spread constraints (missing required label)");
		return false;
	}
	for (uint32_t i = 0; i < value_count(p->nodes); i++) {
		struct span place = place_of(value_item(p->nodes, i), key);
		bool is_new = place.len > 0;

		for (uint32_t j = 0; j < i && is_new; j++)
			is_new = !span_equal(place_of(value_item(p->nodes, j), key), place);
		if (!is_new)
			continue;
		places++;
		least = MIN(least, count_in(p, constraint, place));
	}
	if (places < get_int(constraint, "minDomains", 1))
		least = 0;
	*ret_reason = SPAN("node(s) didn't match pod topology spread constraints");
	return count_in(p, constraint, here) + mine - least <= get_int(constraint, "maxSkew", 1);
}

bool topology_takes(struct placing *p, const struct value *node, struct span *ret_reason, bool *ret_is_resolvable)
{
	const struct value *spread = member(p->spec, "topologySpreadConstraints");

	*ret_is_resolvable = true;
	for (uint32_t i = 0; i < value_count(spread); i++)
		if (!is_text(member(value_item(spread, i), "whenUnsatisfiable"), "ScheduleAnyway") &&
		    !spread_takes(p, value_item(spread, i), node, ret_reason))
			return false;
	if (!affinity_takes(p, node, ret_reason))
		return false;
	*ret_reason = SPAN("node(s) didn't satisfy existing pods anti-affinity rules");
	return others_take(p, node);
}
