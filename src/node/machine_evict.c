/* SPDX-License-Identifier: Apache-2.0 */
/* machine_evict - which pod must go when memory or disk run out, or when it takes more disk than it may. Order and words are kubelet's. */
#include "node/machine_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "kube/kinds/quantity.h"
#include "kube/placement.h"
#include "node/environment.h"

#define CRITICAL_LEAST   INT64_C(2000000000) /* priority of system-cluster-critical */
#define EVICTION_MOST_NS (30 * NS_PER_S)     /* then another one may be chosen, whatever became of the last */
#define PROCESSES_LEAST  20                  /* one in so many must be free */
#define MESSAGE_MOST     KIB(32)

/* ---- thresholds ---- */

bool pressure_is(const struct machine *m, enum pressure p, int64_t *ret_threshold, int64_t *ret_available)
{
	switch (p) {
	case PRESSURE_MEMORY:
		*ret_threshold = m->config.eviction_memory;
		*ret_available = m->use.memory_available;
		break;
	case PRESSURE_DISK:
		*ret_threshold = m->facts.disk / 1000 * m->config.eviction_disk;
		*ret_available = m->use.disk_available;
		/* Files may be used up before bytes are. Some file systems do not count them. */
		if (m->config.eviction_disk > 0 && m->facts.inodes > 0 && *ret_available >= *ret_threshold &&
		    m->use.inodes_available < m->facts.inodes / 20)
			return true;
		break;
	case PRESSURE_PROCESSES:
		*ret_threshold = m->use.processes_most / PROCESSES_LEAST;
		*ret_available = m->use.processes_most - m->use.processes;
		break;
	case PRESSURE_COUNT:
		return false;
	}
	return *ret_threshold > 0 && *ret_available < *ret_threshold;
}

/* ---- the order ---- */

/* Is `a` to go before `b`? */
static bool goes_before(const struct eviction_candidate *a, const struct eviction_candidate *b)
{
	bool a_exceeds = a->use > a->request, b_exceeds = b->use > b->request;

	if (a_exceeds != b_exceeds)
		return a_exceeds;
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->use - a->request > b->use - b->request;
}

int eviction_choose(const struct eviction_candidate *candidates, size_t count)
{
	int chosen = -1;

	for (size_t i = 0; i < count; i++)
		if (!candidates[i].is_critical && (chosen < 0 || goes_before(&candidates[i], &candidates[chosen])))
			chosen = (int)i;
	return chosen;
}

/* ---- words ---- */

static struct span bytes_text(int64_t bytes, struct arena *arena)
{
	struct quantity q = quantity_of(bytes);
	struct span text = SPAN("0");

	q.form = FORM_BINARY;
	(void)quantity_print(&q, arena, &text);
	return text;
}

static struct span canonical(struct span quantity, struct arena *arena)
{
	struct span text = quantity;

	(void)quantity_canonical(quantity, arena, &text);
	return text;
}

static const struct value *container_spec(const struct value *pod, const char *name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		const struct value *list = value_find(pod, lists[k]);

		for (uint32_t i = 0; i < value_count(list); i++)
			if (span_equal(value_find_string(value_item(list, i), "name"), span_of(name)))
				return value_item(list, i);
	}
	return NULL;
}

static struct span resource_text(const struct value *container, const char *list, const char *resource)
{
	const struct value *v =
	    value_get(value_get(value_get(container, SPAN("resources")), span_of(list)), span_of(resource));

	return value_is(v, VALUE_STRING) ? v->string : (struct span){ 0 };
}

static int64_t bytes_of(struct span quantity)
{
	int64_t milli = 0;

	(void)quantity_parse(quantity, &milli);
	return milli / 1000;
}

static struct span pressure_message(const struct machine *m, const struct machine_pod *p, const struct value *pod,
				    enum pressure what, struct arena *arena)
{
	const char *resource = what == PRESSURE_MEMORY ? "memory" : "ephemeral-storage";
	int64_t threshold = 0, available = 0;
	struct error ignored = { 0 };
	struct span text, request;
	struct buffer out;

	(void)pressure_is(m, what, &threshold, &available);
	buffer_init(&out, MESSAGE_MOST);
	buffer_print(&out, "The node was low on resource: %s. ", resource);
	buffer_print(&out, "Threshold quantity: %s, available: %s. ", bytes_text(threshold, arena).ptr,
		     bytes_text(available, arena).ptr);
	for (size_t i = 0; i < p->container_count; i++) {
		const struct container_sample *c = &p->containers[i];
		int64_t use = what == PRESSURE_MEMORY ? c->memory : c->log_bytes;

		request = resource_text(container_spec(pod, c->name), "requests", resource);
		if (use <= bytes_of(request))
			continue;
		text = request.len ? canonical(request, arena) : SPAN("0");
		buffer_print(&out, "Container %s was using %s, request is " SPAN_FMT ", has larger consumption of %s. ",
			     c->name, bytes_text(use, arena).ptr, SPAN_ARG(text), resource);
	}
	text = arena_copy(arena, buffer_span(&out), &ignored);
	buffer_done(&out);
	return text;
}

/* ---- choosing ---- */

static bool is_critical(const struct value *pod)
{
	return value_find_int(pod, "spec.priority", 0) >= CRITICAL_LEAST;
}

static void eviction_fill(struct machine *m, const struct machine_pod *p, struct span message, struct arena *arena,
			  struct eviction *ret)
{
	struct error ignored = { 0 };

	*ret = (struct eviction){ .name_space = arena_copy(arena, p->name_space, &ignored),
				  .name = arena_copy(arena, p->name, &ignored),
				  .uid = arena_copy(arena, p->uid, &ignored),
				  .message = message,
				  .grace_s = MACHINE_GRACE_S };
	free(m->evicting);
	m->evicting = span_to_text(p->uid);
	m->evicting_until_ns = machine_now(m) + EVICTION_MOST_NS;
}

/* Its own limits of disk; empty: it keeps to them. */
static struct span over_limit_message(const struct machine_pod *p, const struct value *pod, struct arena *arena)
{
	const struct value *volumes = value_find(pod, "spec.volumes"), *containers = value_find(pod, "spec.containers");
	int64_t limit = pod_limit(pod, "ephemeral-storage");
	struct error ignored = { 0 };
	struct span text;

	for (uint32_t i = 0; p->over && i < value_count(volumes); i++)
		if (span_equal(value_find_string(value_item(volumes, i), "name"), span_of(p->over))) {
			text = canonical(value_find_string(value_item(volumes, i), "emptyDir.sizeLimit"), arena);
			return arena_print(arena, &ignored,
					   "Usage of EmptyDir volume \"%s\" exceeds the limit \"" SPAN_FMT "\". ",
					   p->over, SPAN_ARG(text));
		}
	if (limit > 0 && p->disk_bytes > limit)
		return arena_print(arena, &ignored,
				   "Pod ephemeral local storage usage exceeds the total limit of containers %s. ",
				   bytes_text(limit, arena).ptr);
	for (uint32_t i = 0; i < value_count(containers); i++) {
		struct span name = value_find_string(value_item(containers, i), "name");

		text = resource_text(value_item(containers, i), "limits", "ephemeral-storage");
		for (size_t k = 0; text.len && k < p->container_count; k++)
			if (span_equal(name, span_of(p->containers[k].name)) &&
			    p->containers[k].log_bytes > bytes_of(text))
				return arena_print(arena, &ignored,
						   "Container " SPAN_FMT
						   " exceeded its local ephemeral storage limit \"" SPAN_FMT "\". ",
						   SPAN_ARG(name), SPAN_ARG(canonical(text, arena)));
	}
	return (struct span){ 0 };
}

static bool choose_over_limit(struct machine *m, struct arena *arena, struct eviction *ret)
{
	for (struct machine_pod *p = m->pods; p; p = p->next) {
		const struct value *pod = p->is_measured ? machine_pod_object(m, p, arena) : NULL;
		struct span message;

		if (!pod || is_critical(pod) || value_find(pod, "metadata.deletionTimestamp"))
			continue;
		message = over_limit_message(p, pod, arena);
		if (message.len) {
			eviction_fill(m, p, message, arena, ret);
			return true;
		}
	}
	return false;
}

/* One that runs; and one that has filled the disk before it could be told that it runs. */
static bool is_taking(const struct machine_pod *p, enum pressure what)
{
	return p->is_running || (what == PRESSURE_DISK && p->disk_bytes > 0);
}

static bool choose_under_pressure(struct machine *m, enum pressure what, struct arena *arena, struct eviction *ret)
{
	struct eviction_candidate *candidates;
	const struct machine_pod **pods;
	struct error ignored = { 0 };
	const struct value *pod;
	size_t count = 0, n = 0;
	int chosen;

	for (const struct machine_pod *p = m->pods; p; p = p->next)
		count++;
	candidates = ARENA_ARRAY(arena, struct eviction_candidate, count, &ignored);
	pods = ARENA_ARRAY(arena, const struct machine_pod *, count, &ignored);
	for (const struct machine_pod *p = m->pods; candidates && pods && p; p = p->next) {
		pod = machine_pod_object(m, p, arena);
		if (!pod || !is_taking(p, what) || value_find(pod, "metadata.deletionTimestamp"))
			continue;
		candidates[n] = (struct eviction_candidate){
			.use = what == PRESSURE_MEMORY ? p->memory : p->disk_bytes,
			.request = pod_request(pod, what == PRESSURE_MEMORY ? "memory" : "ephemeral-storage"),
			.priority = value_find_int(pod, "spec.priority", 0),
			.is_critical = is_critical(pod),
		};
		pods[n++] = p;
	}
	chosen = n ? eviction_choose(candidates, n) : -1;
	pod = chosen >= 0 ? machine_pod_object(m, pods[chosen], arena) : NULL;
	if (!pod)
		return false;
	eviction_fill(m, pods[chosen], pressure_message(m, pods[chosen], pod, what, arena), arena, ret);
	return true;
}

static bool is_evicting(const struct machine *m)
{
	return m->evicting && machine_now(m) < m->evicting_until_ns && machine_pod_find(m, span_of(m->evicting));
}

/* While the files of the last one are still being removed no other goes for the room that they take. Memory is free at once. */
static bool is_relevant(const struct machine *m, enum pressure p, int64_t *ret_threshold, int64_t *ret_available)
{
	return (p != PRESSURE_DISK || machine_now(m) >= m->evicting_settles_ns) &&
	       pressure_is(m, p, ret_threshold, ret_available);
}

bool evict_is_wanted(struct machine *m)
{
	int64_t threshold, available;

	if (is_evicting(m))
		return false;
	for (const struct machine_pod *p = m->pods; p; p = p->next)
		if (p->is_measured) /* the limits are looked at when one is chosen */
			return true;
	return m->pods && (is_relevant(m, PRESSURE_MEMORY, &threshold, &available) ||
			   is_relevant(m, PRESSURE_DISK, &threshold, &available));
}

bool machine_evict_next(struct machine *m, struct arena *arena, struct eviction *ret)
{
	static const enum pressure order[] = { PRESSURE_MEMORY, PRESSURE_DISK };
	struct error ignored = { 0 };
	int64_t threshold, available;

	if (m->is_stopped || is_evicting(m) || !machine_use_read(m->root, m->folder, &m->use, &ignored))
		return false;
	if (choose_over_limit(m, arena, ret))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (is_relevant(m, order[i], &threshold, &available) && choose_under_pressure(m, order[i], arena, ret))
			return true;
	return false;
}

/* ---- pods that come under pressure ---- */

static bool tolerates_memory_pressure(const struct value *pod, struct arena *arena)
{
	struct value taint = value_object();
	const struct value *list = value_find(pod, "spec.tolerations");
	struct error ignored = { 0 };

	(void)value_set(&taint, SPAN("key"), value_string(SPAN("node.kubernetes.io/memory-pressure")), arena, &ignored);
	(void)value_set(&taint, SPAN("effect"), value_string(SPAN("NoSchedule")), arena, &ignored);
	for (uint32_t i = 0; i < value_count(list); i++)
		if (placement_tolerates(value_item(list, i), &taint))
			return true;
	return false;
}

bool machine_admits(const struct machine *m, const struct value *pod, struct arena *arena, struct span *ret_message)
{
	static const char *const names[] = { "MemoryPressure", "DiskPressure", "PIDPressure" };
	bool has_other = machine_has(m, PRESSURE_DISK) || machine_has(m, PRESSURE_PROCESSES);
	struct error ignored = { 0 };
	char list[64] = "";

	if (is_critical(pod) || (!has_other && !machine_has(m, PRESSURE_MEMORY)))
		return true;
	if (!has_other &&
	    (!span_equal(pod_quality_class(pod), SPAN("BestEffort")) || tolerates_memory_pressure(pod, arena)))
		return true;
	for (int p = 0; p < PRESSURE_COUNT; p++)
		if (machine_has(m, (enum pressure)p))
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", *list ? " " : "", names[p]);
	*ret_message = arena_print(arena, &ignored, "The node had condition: [%s]. ", list);
	return false;
}
