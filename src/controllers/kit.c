/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/kube.h"
#include "loop/loop.h"

#define PATIENCE_NS (60 * NS_PER_S)

static int64_t kit_now(void *context)
{
	return ((struct kit *)context)->now_ns;
}

static size_t set_index(struct kit *k, struct span name)
{
	size_t i = 0;

	while (i < k->name_count && !span_equal(span_of(k->names[i]), name))
		i++;
	if (i == k->name_count) {
		assert_true(i < ARRAY_LEN(k->names));
		snprintf(k->names[k->name_count++], sizeof(k->names[0]), SPAN_FMT, SPAN_ARG(name));
	}
	return i + 1;
}

static int64_t size_of(struct kit *k, struct record *r)
{
	struct error err = { 0 };
	const struct value *v =
	    r ? cluster_object(k->api.cluster, &resource_replica_sets, r, &k->api.arena, &err) : NULL;

	return v ? value_find_int(v, "spec.replicas", -1) : -1;
}

static void tell(void *context, const struct sighting *s)
{
	struct kit *k = context;
	int64_t size = size_of(k, s->now);
	size_t len = strlen(k->story);

	if (s->now && size != size_of(k, s->before))
		snprintf(k->story + len, sizeof(k->story) - len, "%zu:%lld ", set_index(k, s->name), (long long)size);
}

/* Nothing is on its way, at this time. */
static bool is_idle(void *context)
{
	struct kit *k = context;

	return !k->manager || manager_is_idle(k->manager);
}

struct kit *kit_new(const char *const *controllers)
{
	struct kit *k = base_calloc(1, sizeof(*k));
	struct manager_config manager = { .names = controllers, .wall_ns = kit_now, .context = k };
	struct error err = { 0 };

	k->now_ns = 1800000000 * NS_PER_S;
	kube_kit_begin(&k->api, true, k->now_ns);
	assert_true(cluster_follow(k->api.cluster, &resource_replica_sets, tell, k, &err));
	snprintf(k->volumes, sizeof(k->volumes), "%s/volumes", k->api.folder);
	manager.volumes = k->volumes;
	manager.ended_pods_most = 3;
	manager.cluster = k->api.cluster;
	manager.loop = k->api.loop;
	kit_settle(k);
	k->manager = manager_new(&manager, &err);
	if (!k->manager)
		fail_msg("%s", err.message);
	kit_settle(k);
	return k;
}

void kit_done(struct kit *k)
{
	manager_stop(k->manager);
	kube_kit_stop(&k->api);
	manager_free(k->manager);
	kube_kit_done(&k->api);
	free(k);
}

void kit_settle(struct kit *k)
{
	if (k->manager)
		manager_tick(k->manager);
	kube_kit_settle(&k->api, is_idle, k);
}

void kit_advance(struct kit *k, int64_t seconds)
{
	k->now_ns += seconds * NS_PER_S;
	kube_kit_wall(&k->api, k->now_ns);
	kit_settle(k);
}

/* ---- writing and reading ---- */

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err)
		fail_msg("%s", err->message);
}

static struct value parsed(struct kit *k, const char *text)
{
	struct error err = { 0 };
	struct value v = value_null();
	struct span copy = arena_copy(&k->api.arena, span_of(text), &err);

	if (!value_parse(copy, NULL, &k->api.arena, &v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

/* Where its objects are: some kinds are of no namespace. */
static struct span space_of(struct kit *k, const struct resource *r)
{
	const struct kind *kind = kube_kind(k->api.kube, span_of(r->group), span_of(r->version), span_of(r->plural));

	if (r == &resource_leases)
		return SPAN("kube-node-lease");
	return kind && !kind->is_namespaced ? (struct span){ 0 } : SPAN("default");
}

static void submit(struct kit *k, const struct resource *r, enum kube_verb verb, const char *subresource,
		   struct span name, struct value *object)
{
	struct cluster_write w = { .resource = r,
				   .verb = verb,
				   .subresource = span_of(subresource),
				   .name_space = space_of(k, r),
				   .name = name,
				   .manager = SPAN("test"),
				   .object = object,
				   .grace = verb == KUBE_DELETE ? 0 : -1,
				   .done = written };

	cluster_write(k->api.cluster, &w);
	if (!k->is_hasty)
		kit_settle(k);
}

void kit_apply(struct kit *k, const struct resource *r, const char *format, ...)
{
	struct value *status;
	struct error err = { 0 };
	char text[8192];
	struct value v;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	v = parsed(k, text);
	status = kit_get(k, r, value_find_string(&v, "metadata.name").ptr);
	if (value_find(status, "status"))
		(void)value_set(&v, SPAN("status"), *value_find(status, "status"), &k->api.arena, &err);
	submit(k, r, status ? KUBE_UPDATE : KUBE_CREATE, "", value_find_string(&v, "metadata.name"), &v);
}

void kit_bind(struct kit *k, const char *pod, const char *node)
{
	char text[300];
	struct value v;

	snprintf(text, sizeof(text),
		 "{\"apiVersion\":\"v1\",\"kind\":\"Binding\",\"metadata\":{\"name\":\"%s\"},"
		 "\"target\":{\"kind\":\"Node\",\"name\":\"%s\"}}",
		 pod, node);
	v = parsed(k, text);
	submit(k, &resource_pods, KUBE_CREATE, "binding", span_of(pod), &v);
}

void kit_delete(struct kit *k, const struct resource *r, const char *name)
{
	submit(k, r, KUBE_DELETE, "", span_of(name), NULL);
}

static struct value *get_named(struct kit *k, const struct resource *r, struct span name)
{
	struct record *found = cluster_get(k->api.cluster, r, space_of(k, r), name);
	struct error err = { 0 };

	return found ? cluster_object(k->api.cluster, r, found, &k->api.arena, &err) : NULL;
}

struct value *kit_get(struct kit *k, const struct resource *r, const char *name)
{
	size_t len = 0;

	while (name[len] && name[len] != '"') /* a span of a text that was parsed ends with its quote */
		len++;
	return get_named(k, r, span_from(name, len));
}

void kit_label(struct kit *k, const struct resource *r, const char *name, const char *label, const char *value)
{
	struct value *object = kit_get(k, r, name);
	struct error err = { 0 };

	assert_non_null(object);
	assert_non_null(value_set(value_find(object, "metadata.labels"), span_of(label), value_string(span_of(value)),
				  &k->api.arena, &err));
	submit(k, r, KUBE_UPDATE, "", span_of(name), object);
}

void kit_spec(struct kit *k, const struct resource *r, const char *name, const char *member, const char *json)
{
	struct value *object = kit_get(k, r, name);
	struct error err = { 0 };

	assert_non_null(object);
	assert_non_null(value_set(value_find(object, "spec"), span_of(member), parsed(k, json), &k->api.arena, &err));
	submit(k, r, KUBE_UPDATE, "", span_of(name), object);
}

struct listing {
	struct kit *kit;
	const struct resource *resource;
	struct value *list;
};

static bool add(void *context, struct record *r)
{
	struct listing *l = context;
	struct error err = { 0 };
	struct value *v = cluster_object(l->kit->api.cluster, l->resource, r, &l->kit->api.arena, &err);

	assert_non_null(v);
	assert_non_null(value_append(l->list, *v, &l->kit->api.arena, &err));
	return true;
}

struct value *kit_list(struct kit *k, const struct resource *r)
{
	struct error err = { 0 };
	struct listing l = { k, r, ARENA_NEW(&k->api.arena, struct value, &err) };

	*l.list = value_array();
	cluster_each(k->api.cluster, r, space_of(k, r), add, &l);
	return l.list;
}

static void status_set(struct kit *k, const struct resource *r, struct span name, const char *status)
{
	struct value *object = get_named(k, r, name);
	struct error err = { 0 };

	assert_non_null(object);
	(void)value_set(object, SPAN("status"), parsed(k, status), &k->api.arena, &err);
	submit(k, r, KUBE_UPDATE, "status", name, object);
}

void kit_status(struct kit *k, const struct resource *r, const char *name, const char *status)
{
	status_set(k, r, span_of(name), status);
}

void kit_ready(struct kit *k, int count)
{
	struct value *pods = kit_list(k, &resource_pods);
	char status[512], now[64];

	now[clock_print_rfc3339(k->now_ns / NS_PER_S * NS_PER_S, now)] = '\0';
	snprintf(status, sizeof(status),
		 "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
		 "\"lastTransitionTime\":\"%s\"}]}",
		 now);
	for (uint32_t i = 0; i < value_count(pods) && count; i++) {
		const struct value *pod = value_item(pods, i);

		if (pod_is_ready(pod) || !pod_is_active(pod))
			continue;
		status_set(k, &resource_pods, object_name(pod), status);
		count--;
	}
}

void kit_bury(struct kit *k)
{
	struct value *pods = kit_list(k, &resource_pods);

	for (uint32_t i = 0; i < value_count(pods); i++)
		if (object_is_ending(value_item(pods, i)))
			submit(k, &resource_pods, KUBE_DELETE, "", object_name(value_item(pods, i)), NULL);
}
