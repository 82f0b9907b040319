/* SPDX-License-Identifier: Apache-2.0 */
/* machine_use - what pods and the machine use: rates between two samples, told as metrics; and, on a thread, what pods take on disk. */
#include "node/machine_private.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube/kind.h"
#include "kube/usage.h"
#include "loop/aside.h"
#include "node/environment.h"
#include "node/volumes_private.h"

#define USE_MEMORY     MIB(16)
#define MEASURE_NS     (9 * NS_PER_S) /* between two rounds over the disk, at least: each look of the machine begins one */
#define MEASURE_REST   10             /* and so many times as long as the last one took */
#define MEASURE_MEMORY MIB(256)

/* ---- telling ---- */

struct telling {
	struct arena arena;
	struct error err;
	struct value object;
};

static void put(struct telling *t, struct value *object, const char *name, struct value v)
{
	(void)value_set(object, span_of(name), v, &t->arena, &t->err);
}

static struct value text(struct telling *t, const char *format, long long n)
{
	char out[32];

	snprintf(out, sizeof(out), format, n);
	return value_string(arena_copy(&t->arena, span_of(out), &t->err));
}

/* `cpu_ns` in `window_ns`; kubectl and autoscalers round it. */
static struct value usage_of(struct telling *t, int64_t cpu_ns, int64_t window_ns, int64_t memory)
{
	struct value usage = value_object();
	int64_t rate = (int64_t)((__int128)MAX(cpu_ns, 0) * NS_PER_S / window_ns);

	put(t, &usage, "cpu", rate ? text(t, "%lldn", rate) : value_string(SPAN("0")));
	put(t, &usage, "memory", text(t, "%lldKi", MAX(memory, 0) / 1024));
	return usage;
}

static void telling_begin(struct telling *t, const char *kind, struct span name_space, struct span name,
			  const struct value *labels, int64_t now, int64_t window_ns)
{
	struct value metadata = value_object();

	*t = (struct telling){ .object = value_object() };
	arena_init(&t->arena, USE_MEMORY);
	put(t, &t->object, "kind", value_string(span_of(kind)));
	put(t, &metadata, "name", value_string(name));
	if (name_space.len)
		put(t, &metadata, "namespace", value_string(name_space));
	if (labels)
		put(t, &metadata, "labels", *labels);
	put(t, &metadata, "creationTimestamp", value_string(kube_now_text(now, &t->arena)));
	put(t, &t->object, "metadata", metadata);
	put(t, &t->object, "timestamp", value_string(kube_now_text(now, &t->arena)));
	put(t, &t->object, "window", text(t, "%llds", MAX((window_ns + NS_PER_S / 2) / NS_PER_S, 1)));
}

static void telling_end(struct machine *m, struct telling *t)
{
	if (t->err.code == ERROR_NONE && m->config.kube) /* what is lost is told again at the next sample */
		(void)!usage_put(m->config.kube, &t->object, &t->arena, &t->err);
	arena_done(&t->arena);
}

/* ---- pods ---- */

struct sampling {
	struct sampling *next;
	struct machine *m; /* NULL: it has gone */
	char uid[64];
};

static const struct container_sample *sample_find(const struct machine_pod *p, const struct container_usage *u)
{
	for (size_t i = 0; i < p->container_count; i++)
		if (span_equal(u->name, span_of(p->containers[i].name)) && p->containers[i].attempt == u->attempt)
			return &p->containers[i];
	return NULL;
}

static void pod_tell(struct machine *m, const struct machine_pod *p, const struct sandbox_usage *u, int64_t now)
{
	int64_t window = now - p->sampled_ns;
	struct value containers = value_array();
	const struct value *pod;
	struct telling t;

	telling_begin(&t, "PodMetrics", p->name_space, p->name, NULL, now, window);
	pod = machine_pod_object(m, p, &t.arena);
	if (pod && value_find(pod, "metadata.labels"))
		put(&t, value_get(&t.object, SPAN("metadata")), "labels", *value_find(pod, "metadata.labels"));
	for (size_t i = 0; i < u->container_count; i++) {
		const struct container_usage *c = &u->containers[i];
		const struct container_sample *before = sample_find(p, c);
		struct value one = value_object();

		if (!before) /* it has just begun: next time */
			continue;
		put(&t, &one, "name", value_string(c->name));
		put(&t, &one, "usage", usage_of(&t, c->cpu_ns - before->cpu_ns, window, c->memory_bytes));
		(void)value_append(&containers, one, &t.arena, &t.err);
	}
	put(&t, &t.object, "containers", containers);
	if (!containers.array.count)
		error_set(&t.err, ERROR_NOT_FOUND, "nothing to tell yet");
	telling_end(m, &t);
}

static void samples_keep(struct machine_pod *p, const struct sandbox_usage *u, int64_t now)
{
	struct container_sample *list = base_calloc(MAX(u->container_count, (size_t)1), sizeof(*list));

	for (size_t i = 0; i < u->container_count; i++) {
		const struct container_usage *c = &u->containers[i];
		const struct container_sample *before = sample_find(p, c);

		snprintf(list[i].name, sizeof(list[i].name), SPAN_FMT, SPAN_ARG(c->name));
		list[i].attempt = c->attempt;
		list[i].cpu_ns = c->cpu_ns;
		list[i].memory = c->memory_bytes;
		list[i].log_bytes = before ? before->log_bytes : 0;
	}
	free(p->containers);
	p->containers = list;
	p->container_count = u->container_count;
	p->memory = u->memory_bytes;
	p->samples++;
	p->sampled_ns = now;
}

static void sampled(void *context, const struct sandbox_usage *u, const struct error *err)
{
	struct sampling *s = context, **at;
	struct machine *m = s->m;
	struct machine_pod *p;
	int64_t now;

	if (m) {
		for (at = &m->samplings; *at != s; at = &(*at)->next)
			;
		*at = s->next;
		now = machine_now(m);
		p = machine_pod_find(m, span_of(s->uid));
		if (p && !err && now > p->sampled_ns) {
			if (p->samples)
				pod_tell(m, p, u, now);
			samples_keep(p, u, now);
		}
	}
	free(s);
}

static void pod_ask(struct machine *m, struct machine_pod *p)
{
	struct sampling *s = base_calloc(1, sizeof(*s));

	s->m = m;
	snprintf(s->uid, sizeof(s->uid), SPAN_FMT, SPAN_ARG(p->uid));
	s->next = m->samplings;
	m->samplings = s;
	p->tries++;
	runtime_usage(m->config.runtime, p->uid, sampled, s);
}

/* ---- the machine ---- */

static void node_tell(struct machine *m, int64_t now)
{
	struct record *record = cluster_get(m->config.cluster, &resource_nodes, (struct span){ 0 }, span_of(m->name));
	struct error err = { 0 };
	int64_t window = now - m->node_sampled_ns;
	const struct value *node;
	struct telling t;

	if (!machine_use_read(m->root, m->folder, &m->use, &err))
		return;
	if (m->node_sampled_ns && window > 0) {
		telling_begin(&t, "NodeMetrics", (struct span){ 0 }, span_of(m->name), NULL, now, window);
		node = record ? cluster_object(m->config.cluster, &resource_nodes, record, &t.arena, &t.err) : NULL;
		if (node && value_find(node, "metadata.labels"))
			put(&t, value_get(&t.object, SPAN("metadata")), "labels", *value_find(node, "metadata.labels"));
		put(&t, &t.object, "usage",
		    usage_of(&t, m->use.cpu_ns - m->node_cpu_ns, window, m->facts.memory - m->use.memory_available));
		telling_end(m, &t);
	}
	m->node_cpu_ns = m->use.cpu_ns;
	m->node_sampled_ns = now;
}

void use_sample(struct machine *m, bool is_quick)
{
	if (!is_quick)
		node_tell(m, machine_now(m));
	for (struct machine_pod *p = m->pods; m->config.runtime && p; p = p->next)
		if (p->is_running && (!is_quick || p->samples < 2))
			pod_ask(m, p);
}

/* ---- the disk ---- */

struct measured {
	struct span uid, folder, logs;
	struct value pod;
	int64_t bytes;
	struct span over;
	struct container_sample *containers; /* names, log_bytes */
	size_t container_count;
};

struct measuring {
	struct aside aside;
	struct machine *m;
	struct arena arena;
	struct measured *items;
	size_t count;
	int64_t took_ns;
};

/* Pods that may be over a limit of their own, and all when the disk is short. */
static bool is_of_interest(const struct value *pod)
{
	const struct value *list = value_find(pod, "spec.volumes");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (!value_is_empty(value_find(value_item(list, i), "emptyDir.sizeLimit")))
			return true;
	return pod_limit(pod, "ephemeral-storage") > 0;
}

static bool measured_fill(struct machine *m, struct measuring *g, const struct machine_pod *p, const struct value *pod,
			  struct measured *ret)
{
	const struct value *list = value_find(pod, "spec.containers");
	struct error err = { 0 };
	struct span uid = arena_copy(&g->arena, p->uid, &err);

	*ret = (struct measured){
		.uid = uid,
		.folder = arena_print(&g->arena, &err, "%s/pods/%.*s", m->folder, (int)p->uid.len, p->uid.ptr),
		.logs = arena_print(&g->arena, &err, "%s/logs/%.*s_%.*s_%.*s", m->folder, (int)p->name_space.len,
				    p->name_space.ptr, (int)p->name.len, p->name.ptr, (int)p->uid.len, p->uid.ptr),
		.container_count = value_count(list),
	};
	ret->containers = arena_calloc(&g->arena, ret->container_count + 1, sizeof(*ret->containers), &err);
	if (err.code != ERROR_NONE || !value_copy(pod, &g->arena, &ret->pod, &err))
		return false;
	for (size_t i = 0; i < ret->container_count; i++)
		snprintf(ret->containers[i].name, sizeof(ret->containers[i].name), SPAN_FMT,
			 SPAN_ARG(value_find_string(value_item(list, (uint32_t)i), "name")));
	return true;
}

static void measuring_free(struct measuring *g)
{
	arena_done(&g->arena);
	free(g);
}

static void pod_measured(struct machine *m, const struct measured *d)
{
	struct machine_pod *p = machine_pod_find(m, d->uid);

	if (!p)
		return;
	p->is_measured = true;
	p->disk_bytes = d->bytes;
	free(TAKE(p->over));
	if (d->over.len)
		p->over = span_to_text(d->over);
	for (size_t i = 0; i < d->container_count; i++)
		for (size_t k = 0; k < p->container_count; k++)
			if (strcmp(d->containers[i].name, p->containers[k].name) == 0)
				p->containers[k].log_bytes = d->containers[i].log_bytes;
}

static void round_done(struct aside *a)
{
	struct measuring *g = CONTAINER_OF(a, struct measuring, aside);
	struct machine *m = g->m;

	m->measuring = NULL;
	m->measure_due_ns = machine_now(m) + MAX(MEASURE_NS, g->took_ns * MEASURE_REST);
	for (size_t i = 0; i < g->count; i++)
		pod_measured(m, &g->items[i]);
	if (m->config.changed && evict_is_wanted(m))
		m->config.changed(m->config.context);
	measuring_free(g);
}

static void round_drop(struct aside *a)
{
	measuring_free(CONTAINER_OF(a, struct measuring, aside));
}

static void round_run(struct aside *a)
{
	struct measuring *g = CONTAINER_OF(a, struct measuring, aside);
	int64_t begin = clock_monotonic_ns();

	for (size_t i = 0; i < g->count; i++) {
		struct measured *d = &g->items[i];
		struct error ignored = { 0 };

		if (!volumes_usage(d->folder, &d->pod, &d->bytes, &d->over, &g->arena, &ignored))
			continue;
		for (size_t k = 0; k < d->container_count; k++) {
			struct span logs =
			    arena_print(&g->arena, &ignored, "%s/%s", d->logs.ptr, d->containers[k].name);

			if (logs.ptr)
				(void)!tree_bytes(logs.ptr, &d->containers[k].log_bytes);
			d->bytes += d->containers[k].log_bytes;
		}
	}
	g->took_ns = clock_monotonic_ns() - begin;
}

void use_measure(struct machine *m)
{
	int64_t threshold, available;
	bool takes_all = pressure_is(m, PRESSURE_DISK, &threshold, &available);
	struct measuring *g;
	size_t count = 0;

	if (m->measuring)
		return;
	for (const struct machine_pod *p = m->pods; p; p = p->next)
		count++;
	g = base_calloc(1, sizeof(*g));
	g->m = m;
	g->aside = (struct aside){ .work = round_run, .done = round_done, .drop = round_drop };
	arena_init(&g->arena, MEASURE_MEMORY);
	g->items = arena_calloc(&g->arena, count + 1, sizeof(*g->items), &(struct error){ 0 });
	for (const struct machine_pod *p = m->pods; g->items && p; p = p->next) {
		const struct value *pod = machine_pod_object(m, p, &g->arena);

		if (pod && (takes_all || is_of_interest(pod)) && measured_fill(m, g, p, pod, &g->items[g->count]))
			g->count++;
	}
	m->measure_due_ns = machine_now(m) + MEASURE_NS;
	if (!g->count || !aside_begin(&g->aside, m->config.loop)) {
		measuring_free(g);
		return;
	}
	m->measuring = g;
}

void use_end(struct machine *m)
{
	for (struct sampling *s = m->samplings; s; s = s->next)
		s->m = NULL;
	m->samplings = NULL;
	if (m->measuring)
		aside_leave(&m->measuring->aside);
	m->measuring = NULL;
}
