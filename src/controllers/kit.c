/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/auth/pki.h"
#include "kube/kube.h"
#include "loop/loop.h"

enum { QUIET_TURNS = 3 };
#define PATIENCE_NS (60 * NS_PER_S)

void kube_set_wall_ns(struct kube *k, int64_t wall_ns); /* kube_private.h: for tests */

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
	const struct value *v = r ? cluster_object(k->cluster, &resource_replica_sets, r, &k->arena, &err) : NULL;

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

/* Keys take long to find: all kits of a program have the same ones. */
static struct {
	char folder[64];
	struct pki *pki;
} keys;

static void folder_remove(const char *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void keys_free(void)
{
	pki_free(keys.pki);
	folder_remove(keys.folder);
}

static struct pki *keys_open(struct error *err)
{
	if (keys.pki)
		return keys.pki;
	snprintf(keys.folder, sizeof(keys.folder), "/tmp/hythe-controllers-keys-XXXXXX");
	assert_non_null(mkdtemp(keys.folder));
	keys.pki = pki_open(keys.folder, (const char *const[]){ NULL }, err);
	assert_int_equal(atexit(keys_free), 0);
	return keys.pki;
}

struct kit *kit_new(const char *const *controllers)
{
	struct kit *k = base_calloc(1, sizeof(*k));
	struct store_config store = store_config_default();
	struct kube_config kube = kube_config_default();
	struct manager_config manager = { .names = controllers, .wall_ns = kit_now, .context = k };
	struct error err = { 0 };
	char path[128];

	snprintf(k->folder, sizeof(k->folder), "/tmp/hythe-controllers-XXXXXX");
	assert_non_null(mkdtemp(k->folder));
	arena_init(&k->arena, MIB(512));
	k->now_ns = 1800000000 * NS_PER_S;
	k->loop = loop_new();
	snprintf(path, sizeof(path), "%s/store", k->folder);
	store.folder = path;
	store.loop = k->loop;
	store.durability = STORE_BUFFERED;
	kube_prepare_store(&store);
	k->store = store_open(&store, &err);
	k->pki = k->store ? keys_open(&err) : NULL;
	kube.loop = k->loop;
	kube.store = k->store;
	kube.folder = k->folder;
	kube.pki = k->pki;
	kube.server_address = "127.0.0.1:6443";
	kube.ships_definitions = true;
	k->kube = k->pki ? kube_new(&kube, &err) : NULL;
	if (!k->kube)
		fail_msg("%s", err.message);
	kube_set_wall_ns(k->kube, k->now_ns);
	k->cluster = cluster_local_new(k->kube);
	assert_true(cluster_follow(k->cluster, &resource_replica_sets, tell, k, &err));
	snprintf(k->volumes, sizeof(k->volumes), "%s/volumes", k->folder);
	manager.volumes = k->volumes;
	manager.ended_pods_most = 3;
	manager.cluster = k->cluster;
	manager.loop = k->loop;
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
	cluster_free(k->cluster);
	kube_stop(k->kube);
	store_close(k->store);
	manager_free(k->manager);
	kube_free(k->kube);
	loop_free(k->loop);
	folder_remove(k->folder);
	arena_done(&k->arena);
	free(k);
}

/* Nothing waits, and nothing has for some turns: the collector and the like have had theirs. */
static void look(struct timer *t)
{
	struct kit *k = CONTAINER_OF(t, struct kit, timer);
	bool is_quiet = (!k->manager || manager_is_idle(k->manager)) &&
			store_next_revision(k->store) == store_revision(k->store) + 1;

	k->quiet = is_quiet ? k->quiet + 1 : 0;
	if (k->quiet == QUIET_TURNS)
		loop_stop(k->loop);
	else
		loop_timer_set(k->loop, t, clock_monotonic_ns() + NS_PER_MS, look);
}

void kit_settle(struct kit *k)
{
	if (k->manager)
		manager_tick(k->manager);
	k->quiet = 0;
	loop_timer_set(k->loop, &k->timer, clock_monotonic_ns(), look);
	loop_run(k->loop);
}

void kit_advance(struct kit *k, int64_t seconds)
{
	k->now_ns += seconds * NS_PER_S;
	kube_set_wall_ns(k->kube, k->now_ns);
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
	struct span copy = arena_copy(&k->arena, span_of(text), &err);

	if (!value_parse(copy, NULL, &k->arena, &v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

/* Where its objects are: some kinds are of no namespace. */
static struct span space_of(struct kit *k, const struct resource *r)
{
	const struct kind *kind = kube_kind(k->kube, span_of(r->group), span_of(r->version), span_of(r->plural));

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

	cluster_write(k->cluster, &w);
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
		(void)value_set(&v, SPAN("status"), *value_find(status, "status"), &k->arena, &err);
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
	struct record *found = cluster_get(k->cluster, r, space_of(k, r), name);
	struct error err = { 0 };

	return found ? cluster_object(k->cluster, r, found, &k->arena, &err) : NULL;
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
				  &k->arena, &err));
	submit(k, r, KUBE_UPDATE, "", span_of(name), object);
}

void kit_spec(struct kit *k, const struct resource *r, const char *name, const char *member, const char *json)
{
	struct value *object = kit_get(k, r, name);
	struct error err = { 0 };

	assert_non_null(object);
	assert_non_null(value_set(value_find(object, "spec"), span_of(member), parsed(k, json), &k->arena, &err));
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
	struct value *v = cluster_object(l->kit->cluster, l->resource, r, &l->kit->arena, &err);

	assert_non_null(v);
	assert_non_null(value_append(l->list, *v, &l->kit->arena, &err));
	return true;
}

struct value *kit_list(struct kit *k, const struct resource *r)
{
	struct error err = { 0 };
	struct listing l = { k, r, ARENA_NEW(&k->arena, struct value, &err) };

	*l.list = value_array();
	cluster_each(k->cluster, r, space_of(k, r), add, &l);
	return l.list;
}

static void status_set(struct kit *k, const struct resource *r, struct span name, const char *status)
{
	struct value *object = get_named(k, r, name);
	struct error err = { 0 };

	assert_non_null(object);
	(void)value_set(object, SPAN("status"), parsed(k, status), &k->arena, &err);
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
	for (uint32_t i = 0; i < array_count(pods) && count; i++) {
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

	for (uint32_t i = 0; i < array_count(pods); i++)
		if (object_is_ending(value_item(pods, i)))
			submit(k, &resource_pods, KUBE_DELETE, "", object_name(value_item(pods, i)), NULL);
}
