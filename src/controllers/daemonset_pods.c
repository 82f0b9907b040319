/* SPDX-License-Identifier: Apache-2.0 */
/* daemonset_pods - the pods of a DaemonSet: each is for one node, by its name, and bears what befalls nodes. */
#include "controllers/daemonset.h"

#include <stdlib.h>

#include "base/number.h"
#include "kube/placement.h"

enum { BURST = 250 }; /* pods made, and pods deleted, by one call */

#define LABEL_GENERATION    "pod-template-generation"
#define ANNOTATION_FAILURES "hythe/failed-before"

/* ---- what pods bear ---- */

static bool is_same_toleration(const struct value *t, const char *key, const char *effect)
{
	return span_equal(value_find_string(t, "key"), span_of(key)) &&
	       span_equal(value_find_string(t, "effect"), span_of(effect)) &&
	       span_equal(value_find_string(t, "operator"), SPAN("Exists")) && !value_find_string(t, "value").len;
}

/* Instead of one that differs in its seconds only. */
static void toleration_put(struct daemons *d, const char *key, const char *effect)
{
	struct value toleration = value_object();

	put(d->r, &toleration, "key", value_string(span_of(key)));
	put(d->r, &toleration, "operator", value_string(SPAN("Exists")));
	put(d->r, &toleration, "effect", value_string(span_of(effect)));
	for (uint32_t i = 0; i < value_count(&d->tolerations); i++) {
		if (is_same_toleration(value_item(&d->tolerations, i), key, effect)) {
			*value_item(&d->tolerations, i) = toleration;
			return;
		}
	}
	put_item(d->r, &d->tolerations, toleration);
}

static void tolerations_read(struct daemons *d)
{
	const struct value *own = value_find(d->template, "spec.tolerations");

	d->tolerations = value_array();
	for (uint32_t i = 0; i < value_count(own); i++)
		put_item(d->r, &d->tolerations, *value_item(own, i));
	toleration_put(d, "node.kubernetes.io/not-ready", "NoExecute");
	toleration_put(d, "node.kubernetes.io/unreachable", "NoExecute");
	toleration_put(d, "node.kubernetes.io/disk-pressure", "NoSchedule");
	toleration_put(d, "node.kubernetes.io/memory-pressure", "NoSchedule");
	toleration_put(d, "node.kubernetes.io/pid-pressure", "NoSchedule");
	toleration_put(d, "node.kubernetes.io/unschedulable", "NoSchedule");
	if (value_find_bool(d->template, "spec.hostNetwork"))
		toleration_put(d, "node.kubernetes.io/network-unavailable", "NoSchedule");
}

/* ---- nodes ---- */

static void place_judge(const struct daemons *d, struct daemon_place *place, const struct value *node)
{
	struct span only = value_find_string(d->template, "spec.nodeName");

	if ((only.len && !span_equal(only, place->node)) || !placement_takes_node(member(d->template, "spec"), node))
		return;
	place->should_run = !placement_taint(&d->tolerations, node, PLACEMENT_TO_START);
	place->may_stay = !placement_taint(&d->tolerations, node, PLACEMENT_TO_STAY);
}

/* Nodes are large (their images, their conditions), and there may be thousands: each is read and forgotten. */
struct survey {
	struct daemons *d;
	struct arena arena;
	uint32_t capacity;
};

static bool node_count(void *context, struct record *record)
{
	(void)record;
	((struct survey *)context)->capacity++;
	return true;
}

static bool node_judge(void *context, struct record *record)
{
	struct survey *s = context;
	struct reconcile *r = s->d->r;
	const struct value *node = cluster_object(r->cluster, &resource_nodes, record, &s->arena, r->err);
	struct daemon_place *place;

	if (!node || s->d->place_count == s->capacity)
		return false;
	place = &s->d->places[s->d->place_count++];
	*place = (struct daemon_place){ .node = arena_copy(r->arena, object_name(node), r->err), .is_there = true };
	place_judge(s->d, place, node);
	s->d->desired += place->should_run;
	arena_clear(&s->arena);
	return !r->err->code;
}

/* Room for `more` places behind those of nodes. */
static bool nodes_read(struct daemons *d, uint32_t more)
{
	struct survey s = { .d = d };

	cluster_each(d->r->cluster, &resource_nodes, (struct span){ 0 }, node_count, &s);
	d->places = ARENA_ARRAY(d->r->arena, struct daemon_place, s.capacity + more + 1, d->r->err);
	if (!d->places)
		return false;
	arena_init(&s.arena, RECONCILE_MEMORY);
	cluster_each(d->r->cluster, &resource_nodes, (struct span){ 0 }, node_judge, &s);
	arena_done(&s.arena);
	return !d->r->err->code;
}

/* The node a pod is on, or waits for. */
static struct span target_of(const struct value *pod)
{
	struct span name = value_find_string(pod, "spec.nodeName");
	const struct value *terms = value_find(
	    pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");

	for (uint32_t i = 0; !name.len && i < value_count(terms); i++) {
		const struct value *fields = member(value_item(terms, i), "matchFields");

		for (uint32_t j = 0; j < value_count(fields); j++) {
			const struct value *field = value_item(fields, j), *values = member(field, "values");

			if (span_equal(value_find_string(field, "key"), SPAN("metadata.name")) &&
			    span_equal(value_find_string(field, "operator"), SPAN("In")))
				return value_count(values) == 1 && value_is(value_item(values, 0), VALUE_STRING)
					   ? value_item(values, 0)->string
					   : (struct span){ 0 };
		}
	}
	return name;
}

struct aimed {
	struct span node;
	const struct value *pod;
};

static int compare_aimed(const void *first, const void *second)
{
	const struct aimed *a = first, *b = second;
	int d = span_order(a->node, b->node);
	int64_t x, y;

	if (d)
		return d;
	x = value_find_string(a->pod, "spec.nodeName").len == 0;
	y = value_find_string(b->pod, "spec.nodeName").len == 0;
	if (x == y) {
		x = object_time(a->pod, "metadata.creationTimestamp");
		y = object_time(b->pod, "metadata.creationTimestamp");
	}
	return x != y ? (x < y ? -1 : 1) : span_order(object_name(a->pod), object_name(b->pod));
}

static int compare_places(const void *a, const void *b)
{
	return span_order(((const struct daemon_place *)a)->node, ((const struct daemon_place *)b)->node);
}

static bool is_leaving(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return object_is_ending(pod) && (span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed")));
}

static struct aimed *pods_aimed(struct daemons *d, uint32_t *ret_count)
{
	uint32_t count = 0;
	struct aimed *list;

	d->pods = reconcile_claim(d->r, &resource_pods, member(d->spec, "selector"));
	list = ARENA_ARRAY(d->r->arena, struct aimed, value_count(d->pods) + 1, d->r->err);
	for (uint32_t i = 0; list && i < value_count(d->pods); i++) {
		struct aimed a = { target_of(value_item(d->pods, i)), value_item(d->pods, i) };

		if (a.node.len && !is_leaving(a.pod))
			list[count++] = a;
	}
	if (list)
		qsort(list, count, sizeof(*list), compare_aimed);
	*ret_count = count;
	return list;
}

/* Those of pods whose node is gone come behind those of nodes. */
static void places_fill(struct daemons *d, const struct aimed *pods, uint32_t count)
{
	uint32_t nodes = d->place_count, next;

	for (uint32_t i = 0; i < count; i = next) {
		struct daemon_place key = { .node = pods[i].node }, *place;

		for (next = i; next < count && span_equal(pods[next].node, pods[i].node);)
			next++;
		place = nodes ? bsearch(&key, d->places, nodes, sizeof(key), compare_places) : NULL;
		if (!place) {
			place = &d->places[d->place_count++];
			*place = key;
		}
		place->pods = ARENA_ARRAY(d->r->arena, const struct value *, next - i, d->r->err);
		for (uint32_t j = i; place->pods && j < next; j++)
			place->pods[place->count++] = pods[j].pod;
	}
}

bool daemon_places_read(struct daemons *d)
{
	uint32_t count = 0;
	struct aimed *pods = pods_aimed(d, &count);

	tolerations_read(d);
	if (!pods || !nodes_read(d, count))
		return false;
	qsort(d->places, d->place_count, sizeof(*d->places), compare_places);
	places_fill(d, pods, count);
	return !d->r->err->code;
}

/* ---- pods ---- */

bool daemon_is_current(const struct daemons *d, const struct value *pod)
{
	return (d->hash.len && span_equal(object_label(pod, LABEL_REVISION), d->hash)) ||
	       (d->generation.len && span_equal(object_label(pod, LABEL_GENERATION), d->generation));
}

bool daemon_is_available(struct daemons *d, const struct value *pod)
{
	return pod_is_available(pod, d->min_ready, d->r->now_ns, &d->again_ns);
}

int64_t daemon_failures(const struct value *pod)
{
	int64_t count = 0;

	return number_parse_int64(object_annotation(pod, ANNOTATION_FAILURES), &count) ? MAX(count, (int64_t)0) : 0;
}

static void affinity_put(struct reconcile *r, struct value *spec, struct span node)
{
	struct value field = value_object(), term = value_object(), terms = value_array(), *required;

	put(r, &field, "key", value_string(SPAN("metadata.name")));
	put(r, &field, "operator", value_string(SPAN("In")));
	put_item(r, put_array(r, &field, "values"), value_string(node));
	put_item(r, put_array(r, &term, "matchFields"), field);
	put_item(r, &terms, term);
	required = put_object(r, put_object(r, put_object(r, spec, "affinity"), "nodeAffinity"),
			      "requiredDuringSchedulingIgnoredDuringExecution");
	put(r, required, "nodeSelectorTerms", terms);
}

/* While the last pod could not be made, one is tried at a time. */
void daemon_make(struct daemons *d, const struct daemon_place *place, int64_t failures)
{
	struct reconcile *r = d->r;
	struct value *pod, *metadata, *spec;

	if (d->made++ >= (r->refused.len ? 1 : BURST))
		return;
	pod = pod_from_template(r, d->template, r->name);
	if (!pod)
		return;
	metadata = put_object(r, pod, "metadata");
	if (d->generation.len)
		put(r, put_object(r, metadata, "labels"), LABEL_GENERATION, value_string(d->generation));
	put(r, put_object(r, metadata, "labels"), LABEL_REVISION, value_string(d->hash));
	if (failures)
		put(r, put_object(r, metadata, "annotations"), ANNOTATION_FAILURES,
		    text_print(r, "%lld", (long long)failures));
	spec = put_object(r, pod, "spec");
	put(r, spec, "tolerations", copied(r, &d->tolerations));
	affinity_put(r, spec, place->node);
	reconcile_create(r, &resource_pods, pod);
	reconcile_report_created(r, "pod");
}

void daemon_drop(struct daemons *d, const struct value *pod)
{
	if (d->taken++ >= BURST)
		return;
	reconcile_delete(d->r, &resource_pods, pod);
	reconcile_report(d->r, "Delete", "Deleted pod: " SPAN_FMT, SPAN_ARG(object_name(pod)));
}
