/* SPDX-License-Identifier: Apache-2.0 */
/* quota_usage - what one object uses of a quota. Facts: k8s.io/kubernetes pkg/quota/v1/evaluator/core. */
#include "base/clock.h"
#include "kube/admission/quota.h"
#include "kube/kinds/kinds.h"

#include <stdio.h>

#define CLASS_SUFFIX ".storageclass.storage.k8s.io/"

static bool is_core(const struct kind *kind, const char *plural)
{
	return !kind->group[0] && strcmp(kind->plural, plural) == 0;
}

bool usage_is_of_content(const struct kind *kind)
{
	return is_core(kind, "pods") || is_core(kind, "services") || is_core(kind, "persistentvolumeclaims");
}

/* ---- which names ---- */

static bool is_count_of(const struct kind *kind, struct span name)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "count/%s%s%s", kind->plural, kind->group[0] ? "." : "", kind->group);

	return len > 0 && (size_t)len < sizeof(text) && span_equal(name, span_from(text, (size_t)len));
}

/* "requests.example.com/gpu" */
static bool is_extended(struct span name)
{
	struct span rest;

	if (!span_starts(name, SPAN("requests.")))
		return false;
	rest = span_skip(name, sizeof("requests.") - 1);
	return span_index(rest, '/') < rest.len && !span_starts(rest, SPAN("kubernetes.io/"));
}

static bool counts_pods(struct span name)
{
	static const char *const names[] = { "cpu",
					     "memory",
					     "ephemeral-storage",
					     "requests.cpu",
					     "requests.memory",
					     "requests.ephemeral-storage",
					     "limits.cpu",
					     "limits.memory",
					     "limits.ephemeral-storage",
					     "pods",
					     NULL };

	return text_is_one_of(name, names) || span_starts(name, SPAN("hugepages-")) ||
	       span_starts(name, SPAN("requests.hugepages-")) || is_extended(name);
}

bool usage_counts(const struct kind *kind, struct span name)
{
	static const char *const of_services[] = { "services", "services.nodeports", "services.loadbalancers", NULL },
				 *const of_claims[] = { "persistentvolumeclaims", "requests.storage", NULL },
				 *const alone[] = { "configmaps", "resourcequotas", "replicationcontrollers", "secrets",
						    NULL };

	if (is_count_of(kind, name))
		return true;
	if (kind->group[0])
		return false;
	if (is_core(kind, "pods"))
		return counts_pods(name);
	if (is_core(kind, "services"))
		return text_is_one_of(name, of_services);
	if (is_core(kind, "persistentvolumeclaims"))
		return text_is_one_of(name, of_claims) ||
		       span_ends(name, SPAN(CLASS_SUFFIX "persistentvolumeclaims")) ||
		       span_ends(name, SPAN(CLASS_SUFFIX "requests.storage"));
	return span_equal(name, span_of(kind->plural)) && text_is_one_of(name, alone);
}

/* ---- pods ---- */

/* Pods that have ended, or should have long ago, hold nothing. */
static bool holds_resources(const struct value *pod, int64_t now_ns)
{
	const struct value *status = get(pod, "status");
	int64_t grace = value_find_int(pod, "metadata.deletionGracePeriodSeconds", -1), end = 0;

	if (is_text(get(status, "phase"), "Failed") || is_text(get(status, "phase"), "Succeeded"))
		return false;
	return grace < 0 || !clock_parse_rfc3339(value_find_string(pod, "metadata.deletionTimestamp"), &end) ||
	       now_ns / NS_PER_S <= end + grace;
}

static void put(struct resources *to, const struct resources *from, const char *name, const char *prefix,
		struct arena *arena)
{
	const struct quantity *q = resources_find(from, span_of(name));
	struct error ignored = { 0 };
	struct span long_name;

	if (!q)
		return;
	if (strcmp(prefix, "requests.") == 0)
		resources_set(to, span_of(name), *q);
	long_name = arena_print(arena, &ignored, "%s%s", prefix, name);
	if (long_name.ptr)
		resources_set(to, long_name, *q);
}

static bool is_native(struct span name)
{
	return span_index(name, '/') == name.len || span_starts(name, SPAN("kubernetes.io/"));
}

static void add_pod(struct resources *to, const struct value *pod, struct arena *arena)
{
	static const char *const names[] = { "cpu", "memory", "ephemeral-storage" };
	const struct value *spec = get(pod, "spec");
	struct resources requests = pod_resources(spec, POD_REQUESTS, true, arena),
			 limits = pod_resources(spec, POD_LIMITS, true, arena);
	struct error ignored = { 0 };

	resources_set(to, SPAN("pods"), quantity_of(1));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		put(to, &requests, names[i], "requests.", arena);
		put(to, &limits, names[i], "limits.", arena);
	}
	for (size_t i = 0; i < requests.count; i++) {
		const struct resource *r = &requests.items[i];
		bool is_huge = span_starts(r->name, SPAN("hugepages-"));
		struct span name;

		if (!is_huge && is_native(r->name))
			continue;
		if (is_huge)
			resources_set(to, r->name, r->amount);
		name = arena_print(arena, &ignored, "requests.%.*s", (int)r->name.len, r->name.ptr);
		if (name.ptr)
			resources_set(to, name, r->amount);
	}
}

/* ---- services, claims ---- */

static void add_service(struct resources *to, const struct value *service)
{
	const struct value *spec = get(service, "spec"), *ports = get(spec, "ports");
	bool is_balanced = is_text(get(spec, "type"), "LoadBalancer");
	const struct value *allocates = get(spec, "allocateLoadBalancerNodePorts");
	int64_t count = 0;

	for (uint32_t i = 0; i < count_of(ports); i++)
		count += get_int(value_item(ports, i), "nodePort", 0) != 0;
	if (is_text(get(spec, "type"), "NodePort") || (is_balanced && (!allocates || allocates->boolean)))
		count = count_of(ports);
	else if (!is_balanced)
		count = 0;
	resources_set(to, SPAN("services"), quantity_of(1));
	resources_set(to, SPAN("services.nodeports"), quantity_of(count));
	resources_set(to, SPAN("services.loadbalancers"), quantity_of(is_balanced));
}

static struct quantity round_up(struct quantity q)
{
	quantity_amount rest = q.nano % QUANTITY_NANO;

	if (rest > 0)
		q.nano += QUANTITY_NANO - rest;
	return q;
}

static void add_claim(struct resources *to, const struct value *claim, struct arena *arena)
{
	struct span class = text_of(
	    value_get(value_find(claim, "metadata.annotations"), SPAN("volume.beta.kubernetes.io/storage-class")));
	struct quantity storage = { 0 }, allocated = { 0 };
	bool has_storage = quantity_read(value_find_string(claim, "spec.resources.requests.storage"), &storage);
	struct error ignored = { 0 };

	if (!class.len)
		class = value_find_string(claim, "spec.storageClassName");
	if (has_storage && quantity_read(value_find_string(claim, "status.allocatedResources.storage"), &allocated) &&
	    allocated.nano > storage.nano)
		storage = allocated;
	storage = round_up(storage);
	resources_set(to, SPAN("persistentvolumeclaims"), quantity_of(1));
	if (has_storage)
		resources_set(to, SPAN("requests.storage"), storage);
	if (!class.len)
		return;
	resources_set(
	    to, arena_print(arena, &ignored, "%.*s" CLASS_SUFFIX "persistentvolumeclaims", (int)class.len, class.ptr),
	    quantity_of(1));
	if (has_storage)
		resources_set(
		    to, arena_print(arena, &ignored, "%.*s" CLASS_SUFFIX "requests.storage", (int)class.len, class.ptr),
		    storage);
}

struct resources usage_of(const struct kind *kind, const struct value *object, int64_t now_ns, struct arena *arena)
{
	struct resources used = resources_new(arena);
	struct error ignored = { 0 };

	resources_set(
	    &used, arena_print(arena, &ignored, "count/%s%s%s", kind->plural, kind->group[0] ? "." : "", kind->group),
	    quantity_of(1));
	if (is_core(kind, "pods")) {
		if (holds_resources(object, now_ns))
			add_pod(&used, object, arena);
	} else if (is_core(kind, "services")) {
		add_service(&used, object);
	} else if (is_core(kind, "persistentvolumeclaims")) {
		add_claim(&used, object, arena);
	} else if (usage_counts(kind, span_of(kind->plural))) {
		resources_set(&used, span_of(kind->plural), quantity_of(1));
	}
	return used;
}

/* ---- scopes ---- */

static bool has_amounts(const struct value *list, const char *member)
{
	const struct value *amounts = get(get(list, "resources"), member);

	for (uint32_t i = 0; i < count_of(amounts); i++) {
		const struct value_member *m = &amounts->object.members[i];
		struct quantity q;

		if ((span_equal(m->key, SPAN("cpu")) || span_equal(m->key, SPAN("memory"))) &&
		    quantity_read(text_of(&m->value), &q) && q.nano > 0)
			return true;
	}
	return false;
}

static bool is_best_effort(const struct value *spec)
{
	static const char *const lists[] = { "containers", "initContainers" };

	if (has_amounts(spec, "requests") || has_amounts(spec, "limits"))
		return false;
	for (size_t part = 0; part < ARRAY_LEN(lists); part++) {
		const struct value *list = get(spec, lists[part]);

		for (uint32_t i = 0; i < count_of(list); i++)
			if (has_amounts(value_item(list, i), "requests") || has_amounts(value_item(list, i), "limits"))
				return false;
	}
	return true;
}

static bool crosses(const struct value *terms, const char *inner)
{
	for (uint32_t i = 0; i < count_of(terms); i++) {
		const struct value *term = inner ? get(value_item(terms, i), inner) : value_item(terms, i);

		if (count_of(get(term, "namespaces")) || get(term, "namespaceSelector"))
			return true;
	}
	return false;
}

static bool crosses_namespaces(const struct value *spec)
{
	static const char *const kinds[] = { "podAffinity", "podAntiAffinity" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct value *a = get(get(spec, "affinity"), kinds[i]);

		if (crosses(get(a, "requiredDuringSchedulingIgnoredDuringExecution"), NULL) ||
		    crosses(get(a, "preferredDuringSchedulingIgnoredDuringExecution"), "podAffinityTerm"))
			return true;
	}
	return false;
}

static bool lists(const struct value *values, struct span text)
{
	for (uint32_t i = 0; values && i < count_of(values); i++)
		if (span_equal(text_of(value_item(values, i)), text))
			return true;
	return false;
}

static bool operator_holds(struct span op, const struct value *values, struct span text)
{
	if (span_equal(op, SPAN("DoesNotExist")))
		return !text.len;
	if (span_equal(op, SPAN("NotIn")))
		return !text.len || !lists(values, text);
	if (span_equal(op, SPAN("In")))
		return text.len && lists(values, text);
	return text.len > 0; /* Exists */
}

static bool is_in_pod_scope(struct span scope, struct span op, const struct value *values, const struct value *spec)
{
	const struct value *deadline = get(spec, "activeDeadlineSeconds");
	bool ends = value_is(deadline, VALUE_INT) && deadline->integer >= 0;

	if (span_equal(scope, SPAN("Terminating")))
		return ends;
	if (span_equal(scope, SPAN("NotTerminating")))
		return !ends;
	if (span_equal(scope, SPAN("BestEffort")))
		return is_best_effort(spec);
	if (span_equal(scope, SPAN("NotBestEffort")))
		return !is_best_effort(spec);
	if (span_equal(scope, SPAN("PriorityClass")))
		return operator_holds(op, values, get_text(spec, "priorityClassName"));
	return span_equal(scope, SPAN("CrossNamespacePodAffinity")) && crosses_namespaces(spec);
}

static bool is_in_one_scope(const struct kind *kind, struct span scope, struct span op, const struct value *values,
			    const struct value *object)
{
	if (is_core(kind, "pods"))
		return is_in_pod_scope(scope, op, values, get(object, "spec"));
	if (is_core(kind, "persistentvolumeclaims") && span_equal(scope, SPAN("VolumeAttributesClass")))
		return operator_holds(op, values, value_find_string(object, "spec.volumeAttributesClassName"));
	return false;
}

bool usage_scopes_are_empty(const struct value *quota)
{
	return !count_of(value_find(quota, "spec.scopes")) &&
	       !count_of(value_find(quota, "spec.scopeSelector.matchExpressions"));
}

bool usage_is_in_scope(const struct kind *kind, const struct value *quota, const struct value *object)
{
	const struct value *scopes = value_find(quota, "spec.scopes"),
			   *more = value_find(quota, "spec.scopeSelector.matchExpressions");

	for (uint32_t i = 0; i < count_of(scopes); i++)
		if (!is_in_one_scope(kind, text_of(value_item(scopes, i)), SPAN("Exists"), NULL, object))
			return false;
	for (uint32_t i = 0; i < count_of(more); i++) {
		const struct value *one = value_item(more, i);

		if (!is_in_one_scope(kind, get_text(one, "scopeName"), get_text(one, "operator"), get(one, "values"),
				     object))
			return false;
	}
	return true;
}
