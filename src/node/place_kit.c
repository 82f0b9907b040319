/* SPDX-License-Identifier: Apache-2.0 */
#include "node/place_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "kube/kube.h"

static void changed(void *context, const struct sighting *s)
{
	struct place_kit *k = context;

	(void)s;
	k->changes++;
}

struct place_kit *place_kit_new(void)
{
	struct place_kit *k = base_calloc(1, sizeof(*k));
	struct error err = { 0 };
	char path[128];

	k->now_ns = clock_wall_ns() / NS_PER_S * NS_PER_S;
	kube_kit_begin(&k->api, false, k->now_ns);
	snprintf(path, sizeof(path), "%s/pod", k->api.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	k->place = (struct pod_place){ .cluster = k->api.cluster,
				       .node_name = SPAN("host-1"),
				       .host_address = SPAN("192.168.0.7"),
				       .pod_address = SPAN("127.97.0.5"),
				       .cluster_domain = SPAN("cluster.local"),
				       .dns_address = SPAN("127.96.0.10"),
				       .capacity_cpu = 4000,
				       .capacity_memory = INT64_C(8) << 30 };
	if (!pod_place_follow(&k->place, changed, k, &err))
		fail_msg("%s", err.message);
	place_kit_settle(k, NULL, NULL);
	return k;
}

void place_kit_done(struct place_kit *k)
{
	kube_kit_stop(&k->api);
	kube_kit_done(&k->api);
	free(k);
}

void place_kit_settle(struct place_kit *k, bool (*until)(void *context), void *context)
{
	kube_kit_settle(&k->api, until, context);
}

static struct value *parse(struct place_kit *k, char *text)
{
	struct error err = { 0 };
	struct value *v = ARENA_NEW(&k->api.arena, struct value, &err);
	struct span copy;

	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	copy = arena_copy(&k->api.arena, span_of(text), &err);
	if (!v || !value_parse(copy, NULL, &k->api.arena, v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

struct value *place_kit_parse(struct place_kit *k, const char *format, ...)
{
	char text[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return parse(k, text);
}

struct value *place_kit_get(struct place_kit *k, const struct resource *r, const char *name_space, const char *name)
{
	struct record *found = cluster_get(k->api.cluster, r, span_of(name_space), span_of(name));
	struct error err = { 0 };

	return found ? cluster_object(k->api.cluster, r, found, &k->api.arena, &err) : NULL;
}

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err)
		fail_msg("%s", err->message);
}

static void submit(struct place_kit *k, const struct resource *r, enum kube_verb verb, const char *subresource,
		   const char *name_space, struct span name, struct value *object)
{
	const struct cluster_write w = { .resource = r,
					 .verb = verb,
					 .subresource = span_of(subresource),
					 .name_space = span_of(name_space),
					 .name = name,
					 .manager = SPAN("test"),
					 .object = object,
					 .grace = verb == KUBE_DELETE ? 0 : -1,
					 .done = written };

	cluster_write(k->api.cluster, &w);
	place_kit_settle(k, NULL, NULL);
}

static const char *space_of(const struct resource *r)
{
	return r == &resource_persistent_volumes || r == &resource_nodes || r == &resource_namespaces ? "" : "default";
}

static void status_write(struct place_kit *k, const struct resource *r, struct span name, const struct value *status)
{
	struct value *now = place_kit_get(k, r, space_of(r), name.ptr);

	assert_non_null(now);
	assert_non_null(value_set(now, SPAN("status"), *status, &k->api.arena, &k->err));
	submit(k, r, KUBE_UPDATE, "status", space_of(r), name, now);
}

void place_kit_status(struct place_kit *k, const struct resource *r, const char *name, const char *status)
{
	status_write(k, r, span_of(name), place_kit_parse(k, "%s", status));
}

struct value *place_kit_apply(struct place_kit *k, const struct resource *r, const char *format, ...)
{
	char text[8192];
	const char *space = space_of(r);
	struct value *v, *status, *old;
	struct span name;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	v = parse(k, text);
	status = value_get(v, SPAN("status"));
	name = arena_copy(&k->api.arena, value_find_string(v, "metadata.name"), &k->err);
	old = place_kit_get(k, r, space, name.ptr);
	submit(k, r, old ? KUBE_UPDATE : KUBE_CREATE, "", space, name, v);
	if (status)
		status_write(k, r, name, status);
	return place_kit_get(k, r, space, name.ptr);
}

void place_kit_delete(struct place_kit *k, const struct resource *r, const char *name)
{
	submit(k, r, KUBE_DELETE, "", space_of(r), span_of(name), NULL);
}
