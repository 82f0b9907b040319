/* SPDX-License-Identifier: Apache-2.0 */
/* machine - its life, its clock, and the pods that are on it. */
#include "node/machine_private.h"

#include <stdlib.h>

#include "node/environment.h"

#define POD_MEMORY     MIB(16)
#define QUICK_NS       NS_PER_S        /* between the first two samples of a pod */
#define WATCHFUL_NS    NS_PER_S        /* between looks while memory is short */
#define WATCHFUL_TIMES 2               /* of the threshold: below it memory counts as short */
#define SETTLE_NS      (10 * NS_PER_S) /* after the end of a pod that was evicted */
#define WINDOW_NS      (15 * NS_PER_S)

int64_t machine_now(const struct machine *m)
{
	return m->config.wall_ns ? m->config.wall_ns(m->config.context) : clock_wall_ns();
}

/* ---- pods ---- */

struct machine_pod *machine_pod_find(const struct machine *m, struct span uid)
{
	struct machine_pod *p = m->pods;

	while (p && !span_equal(p->uid, uid))
		p = p->next;
	return p;
}

const struct value *machine_pod_object(struct machine *m, const struct machine_pod *p, struct arena *arena)
{
	struct record *record = cluster_get(m->config.cluster, &resource_pods, p->name_space, p->name);
	struct error ignored = { 0 };
	const struct value *pod =
	    record ? cluster_object(m->config.cluster, &resource_pods, record, arena, &ignored) : NULL;

	return pod && span_equal(value_find_string(pod, "metadata.uid"), p->uid) ? pod : NULL;
}

static struct machine_pod *pod_add(struct machine *m, struct span uid, struct span name_space, struct span name)
{
	struct machine_pod *p = base_calloc(1, sizeof(*p) + uid.len + name_space.len + name.len);
	char *text = (char *)(p + 1);

	memcpy(text, uid.ptr, uid.len);
	memcpy(text + uid.len, name_space.ptr, name_space.len);
	memcpy(text + uid.len + name_space.len, name.ptr, name.len);
	p->uid = span_from(text, uid.len);
	p->name_space = span_from(text + uid.len, name_space.len);
	p->name = span_from(text + uid.len + name_space.len, name.len);
	p->next = m->pods;
	m->pods = p;
	return p;
}

static void pod_free(struct machine_pod *p)
{
	free(p->containers);
	free(p->over);
	free(p);
}

static void pod_drop(struct machine *m, struct span uid)
{
	struct machine_pod **at = &m->pods, *p;

	while (*at && !span_equal((*at)->uid, uid))
		at = &(*at)->next;
	p = *at;
	if (!p)
		return;
	*at = p->next;
	if (m->evicting && span_equal(span_of(m->evicting), uid)) {
		free(TAKE(m->evicting));
		m->evicting_settles_ns = machine_now(m) + SETTLE_NS;
		m->look_due_ns = 0; /* is it enough? */
	}
	pod_free(p);
}

static bool is_over(struct span phase)
{
	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

static void pod_look(struct machine *m, const struct value *pod)
{
	struct span uid = value_find_string(pod, "metadata.uid"), phase = value_find_string(pod, "status.phase");
	struct machine_pod *p;

	if (!span_equal(value_find_string(pod, "spec.nodeName"), span_of(m->name)))
		return;
	if (is_over(phase)) {
		pod_drop(m, uid);
		return;
	}
	p = machine_pod_find(m, uid);
	if (!p)
		p = pod_add(m, uid, value_find_string(pod, "metadata.namespace"),
			    value_find_string(pod, "metadata.name"));
	if (!p->is_running && span_equal(phase, SPAN("Running"))) {
		p->is_running = true;
		m->quick_due_ns = 0;
	}
}

static void pod_seen(void *context, const struct sighting *s)
{
	struct machine *m = context;
	struct error ignored = { 0 };
	const struct value *pod;
	struct arena arena;

	if (m->is_stopped)
		return;
	arena_init(&arena, POD_MEMORY);
	/* One of the same name may have come in its place. */
	pod = s->before ? cluster_object(m->config.cluster, &resource_pods, s->before, &arena, &ignored) : NULL;
	if (pod && (!s->now || !span_equal(record_uid(s->now), record_uid(s->before))))
		pod_drop(m, value_find_string(pod, "metadata.uid"));
	pod = s->now ? cluster_object(m->config.cluster, &resource_pods, s->now, &arena, &ignored) : NULL;
	if (pod)
		pod_look(m, pod);
	arena_done(&arena);
	machine_arm(m);
}

/* ---- time ---- */

static void look(struct machine *m, int64_t now)
{
	struct error err = { 0 };
	int64_t threshold = 0, available = 0;

	m->look_due_ns = now + MACHINE_LOOK_NS;
	if (!machine_use_read(m->root, m->folder, &m->use, &err))
		return; /* the Node keeps what it told last */
	for (int p = 0; p < PRESSURE_COUNT; p++)
		if (pressure_is(m, (enum pressure)p, &threshold, &available))
			m->pressure_seen_ns[p] = now;
	(void)pressure_is(m, PRESSURE_MEMORY, &threshold, &available);
	if (m->config.eviction_memory > 0 && available < m->config.eviction_memory * WATCHFUL_TIMES)
		m->look_due_ns = now + WATCHFUL_NS;
	node_sync(m);
	if (now >= m->measure_due_ns)
		use_measure(m);
	if (m->config.changed && evict_is_wanted(m))
		m->config.changed(m->config.context);
}

static bool has_new_pods(const struct machine *m)
{
	enum { TRIES_MOST = 10 };

	for (const struct machine_pod *p = m->pods; p; p = p->next)
		if (p->is_running && p->samples < 2 && p->tries < TRIES_MOST)
			return true;
	return false;
}

static void tick(struct machine *m)
{
	int64_t now = machine_now(m);

	if (m->is_stopped)
		return;
	if (now >= m->lease_due_ns) {
		m->lease_due_ns = now + MACHINE_LEASE_NS;
		lease_write(m);
	}
	if (now >= m->look_due_ns)
		look(m, now);
	if (now >= m->usage_due_ns) {
		/* The first two close together, so that there is a rate soon. */
		m->usage_due_ns = now + (m->node_sampled_ns ? WINDOW_NS : QUICK_NS);
		use_sample(m, false);
	} else if (now >= m->quick_due_ns) {
		use_sample(m, true);
	}
	if (now >= m->quick_due_ns)
		m->quick_due_ns = has_new_pods(m) ? now + QUICK_NS : INT64_MAX;
}

static void fire(struct timer *t)
{
	struct machine *m = CONTAINER_OF(t, struct machine, timer);

	tick(m);
	machine_arm(m);
}

void machine_arm(struct machine *m)
{
	int64_t due = MIN(MIN(m->look_due_ns, m->lease_due_ns), MIN(m->usage_due_ns, m->quick_due_ns));
	int64_t wait = MAX(due - machine_now(m), 0);

	if (!m->is_stopped)
		loop_timer_set(m->config.loop, &m->timer, clock_monotonic_ns() + wait, fire);
}

void machine_look(struct machine *m)
{
	m->look_due_ns = 0;
	tick(m);
	machine_arm(m);
}

/* ---- life ---- */

static void deferred(struct loop_task *task)
{
	struct machine *m = CONTAINER_OF(task, struct machine, task);

	if (!m->is_stopped)
		node_sync(m);
}

struct machine *machine_new(const struct machine_config *config, struct error *err)
{
	struct machine *m = base_calloc(1, sizeof(*m));

	m->config = *config;
	m->name = span_to_text(config->name);
	m->address = span_to_text(config->address);
	m->pod_cidr = span_to_text(config->pod_cidr);
	m->folder = span_to_text(config->folder);
	m->root = span_to_text(span_of(config->root ? config->root : ""));
	m->quick_due_ns = INT64_MAX;
	m->task.run = deferred;
	if (!machine_facts_read(m->root, m->folder, &m->facts, err) ||
	    !machine_use_read(m->root, m->folder, &m->use, err)) {
		machine_free(m);
		return NULL;
	}
	if (!node_follow(m, err) || !cluster_follow(config->cluster, &resource_pods, pod_seen, m, err)) {
		machine_stop(m); /* it is not freed: a kind that is followed may still be told about */
		return NULL;
	}
	tick(m);
	machine_arm(m);
	return m;
}

void machine_stop(struct machine *m)
{
	if (!m)
		return;
	m->is_stopped = true;
	loop_timer_clear(m->config.loop, &m->timer);
	loop_undefer(m->config.loop, &m->task);
	use_end(m);
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	machine_stop(m);
	while (m->pods) {
		struct machine_pod *p = m->pods;

		m->pods = p->next;
		pod_free(p);
	}
	free(m->evicting);
	free(m->name);
	free(m->address);
	free(m->pod_cidr);
	free(m->folder);
	free(m->root);
	free(m);
}

void machine_allocatable(const struct machine *m, int64_t *ret_cpu, int64_t *ret_memory)
{
	*ret_cpu = MAX(m->facts.cpu - m->config.reserved_cpu, 0);
	*ret_memory = MAX(m->facts.memory - m->config.reserved_memory - m->config.eviction_memory, 0);
}
