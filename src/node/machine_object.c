/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_object - the Node as kubelet tells it, and its Lease. What somebody else has put there stays: labels, annotations, taints,
 * capacity of other names (devices), conditions of other types.
 */
#include "node/machine_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "kube/kind.h"

#define NODE_MEMORY     MIB(16)
#define KUBELET_VERSION "v1.33.13+hythe" /* that of the API server: clients compare the two */
#define LEASE_SPACE     "kube-node-lease"
#define LEASE_LIFE_S    40
#define MANAGER         "kubelet"
#define KUBERNETES_OS   "linux"

/* What is being built; errors gather in err. */
struct drafting {
	struct machine *m;
	struct arena *arena;
	struct error *err;
	int64_t now;
};

static void put(struct drafting *d, struct value *object, const char *name, struct value v)
{
	(void)value_set(object, span_of(name), v, d->arena, d->err);
}

static void put_text(struct drafting *d, struct value *object, const char *name, const char *text)
{
	put(d, object, name, value_string(span_of(text)));
}

static struct value *part(struct drafting *d, struct value *object, const char *name)
{
	static _Thread_local struct value lost; /* memory has ended: err says so */
	struct value *v = value_ensure_object(object, span_of(name), d->arena, d->err);

	lost = value_object();
	return v ? v : &lost;
}

static struct value now_text(const struct drafting *d)
{
	return value_string(kube_now_text(d->now, d->arena));
}

/* ---- amounts ---- */

/* As the API server stores it: else it would differ each time it is looked at. */
static void put_amount(struct drafting *d, struct value *list, const char *name, int64_t amount, const char *suffix)
{
	struct span text = arena_print(d->arena, d->err, "%lld%s", (long long)amount, suffix), canonical;

	if (text.ptr && quantity_canonical(text, d->arena, &canonical))
		put(d, list, name, value_string(canonical));
}

static void amounts_put(struct drafting *d, struct value *status)
{
	struct value *capacity = part(d, status, "capacity"), *allocatable;
	const struct machine *m = d->m;
	int64_t cpu, memory;

	machine_allocatable(m, &cpu, &memory);
	put_amount(d, capacity, "cpu", m->facts.cpu, "m");
	put_amount(d, capacity, "memory", m->facts.memory / 1024, "Ki");
	put_amount(d, capacity, "ephemeral-storage", m->facts.disk / 1024, "Ki");
	put_amount(d, capacity, "pods", m->config.pods_most, "");
	allocatable = part(d, status, "allocatable");
	put_amount(d, allocatable, "cpu", cpu, "m");
	put_amount(d, allocatable, "memory", memory / 1024, "Ki");
	put_amount(d, allocatable, "ephemeral-storage", m->facts.disk / 1000 * (1000 - m->config.eviction_disk), "");
	put_amount(d, allocatable, "pods", m->config.pods_most, "");
}

/* ---- conditions ---- */

bool machine_has(const struct machine *m, enum pressure p)
{
	return m->pressure_seen_ns[p] && machine_now(m) - m->pressure_seen_ns[p] < MACHINE_PRESSURE_NS;
}

static const struct value *condition_of(const struct value *status, const char *type)
{
	const struct value *list = value_get(status, SPAN("conditions"));

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "type"), span_of(type)))
			return value_item(list, i);
	return NULL;
}

static void condition_put(struct drafting *d, struct value *list, const struct value *old, const char *type, bool is,
			  const char *reason, const char *message)
{
	const struct value *before = condition_of(old, type);
	const char *status = is ? "True" : "False";
	struct value one = value_object();
	struct span since = value_find_string(before, "lastTransitionTime");
	bool stays = since.len && span_equal(value_find_string(before, "status"), span_of(status));

	put_text(d, &one, "type", type);
	put_text(d, &one, "status", status);
	put(d, &one, "lastHeartbeatTime", now_text(d));
	put(d, &one, "lastTransitionTime", stays ? value_string(since) : now_text(d));
	put_text(d, &one, "reason", reason);
	put_text(d, &one, "message", message);
	(void)value_append(list, one, d->arena, d->err);
}

static const struct {
	const char *type, *reason_bad, *message_bad, *reason_good, *message_good;
} conditions[PRESSURE_COUNT] = {
	[PRESSURE_MEMORY] = { "MemoryPressure", "KubeletHasInsufficientMemory",
			      "kubelet has insufficient memory available", "KubeletHasSufficientMemory",
			      "kubelet has sufficient memory available" },
	[PRESSURE_DISK] = { "DiskPressure", "KubeletHasDiskPressure", "kubelet has disk pressure",
			    "KubeletHasNoDiskPressure", "kubelet has no disk pressure" },
	[PRESSURE_PROCESSES] = { "PIDPressure", "KubeletHasInsufficientPID", "kubelet has insufficient PID available",
				 "KubeletHasSufficientPID", "kubelet has sufficient PID available" },
};

static bool is_ours(struct span type)
{
	for (size_t p = 0; p < PRESSURE_COUNT; p++)
		if (span_equal(type, span_of(conditions[p].type)))
			return true;
	return span_equal(type, SPAN("Ready"));
}

static void conditions_put(struct drafting *d, const struct value *old, struct value *status)
{
	const struct value *before = value_get(old, SPAN("conditions"));
	struct value list = value_array();

	for (uint32_t i = 0; i < value_count(before); i++)
		if (!is_ours(value_find_string(value_item(before, i), "type")))
			(void)value_append(&list, *value_item(before, i), d->arena, d->err);
	for (size_t p = 0; p < PRESSURE_COUNT; p++) {
		bool is = machine_has(d->m, (enum pressure)p);

		condition_put(d, &list, old, conditions[p].type, is,
			      is ? conditions[p].reason_bad : conditions[p].reason_good,
			      is ? conditions[p].message_bad : conditions[p].message_good);
	}
	condition_put(d, &list, old, "Ready", true, "KubeletReady", "kubelet is posting ready status");
	put(d, status, "conditions", list);
}

/* ---- the rest of the status ---- */

static void address_add(struct drafting *d, struct value *list, const char *type, const char *address)
{
	struct value one = value_object();

	put_text(d, &one, "type", type);
	put_text(d, &one, "address", address);
	(void)value_append(list, one, d->arena, d->err);
}

static void info_put(struct drafting *d, struct value *status)
{
	const struct machine_facts *f = &d->m->facts;
	struct value *info = part(d, status, "nodeInfo");

	put_text(d, info, "machineID", f->machine_id);
	put_text(d, info, "systemUUID", f->system_id);
	put_text(d, info, "bootID", f->boot_id);
	put_text(d, info, "kernelVersion", f->kernel);
	put_text(d, info, "osImage", f->os);
	put_text(d, info, "containerRuntimeVersion", "process://" HYTHE_VERSION);
	put_text(d, info, "kubeletVersion", KUBELET_VERSION);
	put_text(d, info, "kubeProxyVersion", "");
	put_text(d, info, "operatingSystem", KUBERNETES_OS);
	put_text(d, info, "architecture", f->architecture);
}

/* `status` begins as a copy of `old`. */
static void status_fill(struct drafting *d, const struct value *old, struct value *status)
{
	struct value addresses = value_array();

	amounts_put(d, status);
	conditions_put(d, old, status);
	if (*d->m->address)
		address_add(d, &addresses, "InternalIP", d->m->address);
	address_add(d, &addresses, "Hostname", d->m->name);
	put(d, status, "addresses", addresses);
	info_put(d, status);
}

/* ---- what kubelet keeps of the rest ---- */

static bool text_ensure(struct drafting *d, struct value *object, const char *name, const char *text)
{
	const struct value *v = value_get(object, span_of(name));

	if (value_is(v, VALUE_STRING) && span_equal(v->string, span_of(text)))
		return false;
	put_text(d, object, name, text);
	return true;
}

/* True: something was changed. */
static bool rest_fill(struct drafting *d, struct value *node)
{
	struct value *labels = part(d, part(d, node, "metadata"), "labels"), *spec = part(d, node, "spec");
	const char *architecture = d->m->facts.architecture;
	bool changed = false;

	changed |= text_ensure(d, labels, "beta.kubernetes.io/arch", architecture);
	changed |= text_ensure(d, labels, "beta.kubernetes.io/os", KUBERNETES_OS);
	changed |= text_ensure(d, labels, "kubernetes.io/arch", architecture);
	changed |= text_ensure(d, labels, "kubernetes.io/hostname", d->m->name);
	changed |= text_ensure(d, labels, "kubernetes.io/os", KUBERNETES_OS);
	if (*d->m->pod_cidr && !value_get(spec, SPAN("podCIDR"))) { /* one that is there stays: it may not be changed */
		struct value list = value_array();

		put_text(d, spec, "podCIDR", d->m->pod_cidr);
		(void)value_append(&list, value_string(span_of(d->m->pod_cidr)), d->arena, d->err);
		put(d, spec, "podCIDRs", list);
		changed = true;
	}
	return changed;
}

/* ---- writing ---- */

static void node_written(void *context, const struct value *object, const struct error *err)
{
	struct machine *m = context;

	(void)object;
	m->is_node_writing = false;
	/* CONFLICT and the like: it was changed meanwhile, and is looked at when that is seen. */
	if (err && err->code != ERROR_CONFLICT && err->code != ERROR_ALREADY_EXISTS)
		log_warn("node", "the Node could not be written", LOG_TEXT("error", err->message));
	if (err)
		m->told_ns = 0;
	if (m->is_node_due && !m->is_stopped)
		loop_defer(m->config.loop, &m->task);
}

static void node_submit(struct machine *m, enum kube_verb verb, const char *subresource, struct value *node)
{
	const struct cluster_write w = { .resource = &resource_nodes,
					 .verb = verb,
					 .subresource = span_of(subresource),
					 .name = span_of(m->name),
					 .manager = SPAN(MANAGER),
					 .object = node,
					 .grace = -1,
					 .done = node_written,
					 .context = m };

	m->is_node_writing = true;
	cluster_write(m->config.cluster, &w);
}

static void node_create(struct drafting *d)
{
	struct value node = value_object(), *metadata;

	put_text(d, &node, "apiVersion", "v1");
	put_text(d, &node, "kind", "Node");
	metadata = part(d, &node, "metadata");
	put_text(d, metadata, "name", d->m->name);
	(void)rest_fill(d, &node);
	status_fill(d, NULL, part(d, &node, "status"));
	if (d->err->code == ERROR_NONE)
		node_submit(d->m, KUBE_CREATE, "", &node);
	d->m->told_ns = d->now;
}

static void heartbeats_drop(struct value *status)
{
	struct value *list = value_get(status, SPAN("conditions"));

	for (uint32_t i = 0; i < value_count(list); i++)
		(void)value_remove(value_item(list, i), SPAN("lastHeartbeatTime"));
}

/* The same but for the times at which it was told. */
static bool is_same_status(struct drafting *d, const struct value *a, const struct value *b)
{
	struct value x, y;

	if (!value_copy(a, d->arena, &x, d->err) || !value_copy(b, d->arena, &y, d->err))
		return false;
	heartbeats_drop(&x);
	heartbeats_drop(&y);
	return value_equal(&x, &y);
}

static void node_update(struct drafting *d, struct value *node)
{
	struct value *status = part(d, node, "status"), *copy = ARENA_NEW(d->arena, struct value, d->err);

	if (!copy)
		return;
	if (rest_fill(d, node)) {
		if (d->err->code == ERROR_NONE)
			node_submit(d->m, KUBE_UPDATE, "", node);
		return;
	}
	if (!value_copy(status, d->arena, copy, d->err))
		return;
	status_fill(d, status, copy);
	if (is_same_status(d, status, copy) && d->now - d->m->told_ns < MACHINE_STATUS_NS)
		return;
	put(d, node, "status", *copy);
	if (d->err->code != ERROR_NONE)
		return;
	d->m->told_ns = d->now;
	node_submit(d->m, KUBE_UPDATE, "status", node);
}

void node_sync(struct machine *m)
{
	struct record *record;
	struct error err = { 0 };
	struct arena arena;
	struct drafting d = { m, &arena, &err, machine_now(m) };
	struct value *node;

	m->is_node_due = m->is_node_writing;
	if (m->is_node_writing)
		return;
	arena_init(&arena, NODE_MEMORY);
	record = cluster_get(m->config.cluster, &resource_nodes, (struct span){ 0 }, span_of(m->name));
	node = record ? cluster_object(m->config.cluster, &resource_nodes, record, &arena, &err) : NULL;
	if (node)
		node_update(&d, node);
	else if (!record)
		node_create(&d);
	if (err.code != ERROR_NONE)
		log_warn("node", "the Node could not be written", LOG_TEXT("error", err.message));
	arena_done(&arena);
}

static void node_seen(void *context, const struct sighting *s)
{
	struct machine *m = context;

	if (m->is_stopped || !span_equal(s->name, span_of(m->name)))
		return;
	m->is_node_due = true;
	loop_defer(m->config.loop, &m->task);
}

static void lease_seen(void *context, const struct sighting *s)
{
	(void)context; /* it is asked for when it is written */
	(void)s;
}

bool node_follow(struct machine *m, struct error *err)
{
	return cluster_follow(m->config.cluster, &resource_nodes, node_seen, m, err) &&
	       cluster_follow(m->config.cluster, &resource_leases, lease_seen, m, err);
}

/* ---- the Lease ---- */

static void lease_written(void *context, const struct value *object, const struct error *err)
{
	struct machine *m = context;

	(void)object;
	m->is_lease_writing = false;
	if (err && err->code != ERROR_CONFLICT && err->code != ERROR_ALREADY_EXISTS)
		log_warn("node", "the Lease could not be renewed", LOG_TEXT("error", err->message));
}

/* It goes with its Node. */
static void owner_put(struct drafting *d, struct value *metadata)
{
	struct record *node =
	    cluster_get(d->m->config.cluster, &resource_nodes, (struct span){ 0 }, span_of(d->m->name));
	struct value owner = value_object(), owners = value_array();

	if (!node || value_get(metadata, SPAN("ownerReferences")))
		return;
	put_text(d, &owner, "apiVersion", "v1");
	put_text(d, &owner, "kind", "Node");
	put_text(d, &owner, "name", d->m->name);
	put(d, &owner, "uid", value_string(record_uid(node)));
	(void)value_append(&owners, owner, d->arena, d->err);
	put(d, metadata, "ownerReferences", owners);
}

void lease_write(struct machine *m)
{
	struct record *record = cluster_get(m->config.cluster, &resource_leases, SPAN(LEASE_SPACE), span_of(m->name));
	struct error err = { 0 };
	struct arena arena;
	struct drafting d = { m, &arena, &err, machine_now(m) };
	char now[CLOCK_TEXT_SIZE];
	struct value fresh = value_object(), *lease = &fresh, *spec;
	struct cluster_write w = { .resource = &resource_leases,
				   .verb = record ? KUBE_UPDATE : KUBE_CREATE,
				   .name_space = SPAN(LEASE_SPACE),
				   .name = span_of(m->name),
				   .manager = SPAN(MANAGER),
				   .grace = -1,
				   .done = lease_written,
				   .context = m };

	if (m->is_lease_writing)
		return;
	arena_init(&arena, NODE_MEMORY);
	if (record)
		lease = cluster_object(m->config.cluster, &resource_leases, record, &arena, &err);
	if (lease) {
		put_text(&d, lease, "apiVersion", "coordination.k8s.io/v1");
		put_text(&d, lease, "kind", "Lease");
		put_text(&d, part(&d, lease, "metadata"), "name", m->name);
		put_text(&d, part(&d, lease, "metadata"), "namespace", LEASE_SPACE);
		owner_put(&d, part(&d, lease, "metadata"));
		spec = part(&d, lease, "spec");
		put_text(&d, spec, "holderIdentity", m->name);
		put(&d, spec, "leaseDurationSeconds", value_int(LEASE_LIFE_S));
		now[clock_print_rfc3339(d.now, now)] = '\0';
		put_text(&d, spec, "renewTime", now);
	}
	w.object = lease;
	if (lease && err.code == ERROR_NONE) {
		m->is_lease_writing = true;
		cluster_write(m->config.cluster, &w);
	}
	arena_done(&arena);
}
