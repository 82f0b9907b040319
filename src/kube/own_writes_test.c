/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that the server makes by itself, on a disk that has no room at the wrong moment: they are made when there is some again. */
#include "kube/kube_kit.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/kube_private.h"
#include "store/store_private.h"

/* ---- a disk that gets full ---- */

static bool is_full;
static useconds_t full_after_us; /* it takes so long to find out */

static ssize_t limited_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
	if (!is_full)
		return pwrite(fd, bytes, count, at);
	(void)usleep(full_after_us);
	errno = ENOSPC;
	return -1;
}

/* Room comes back: what asks for it, and who looks again, need not wait for their seconds. */
static bool has_resumed(void *context)
{
	struct kube_kit *k = context;
	struct kube *kube = k->kube;

	if (timer_is_set(&k->store->room))
		loop_timer_set(k->loop, &k->store->room, clock_monotonic_ns(), k->store->room.fire);
	else if (!k->store->is_failed && timer_is_set(&kube->resume))
		loop_timer_set(k->loop, &kube->resume, clock_monotonic_ns(), kube->resume.fire);
	return !k->store->is_failed && !timer_is_set(&kube->resume);
}

static void room_again(struct kube_kit *k)
{
	is_full = false;
	kube_kit_settle(k, has_resumed, k);
}

/* It is full as soon as a key is deleted, or written for the first time. */
struct filling {
	struct store_watcher watcher;
	struct span key;
	bool is_deleted, is_over;
};

static void fill(struct store_watcher *w, const struct store_event *e)
{
	struct filling *f = CONTAINER_OF(w, struct filling, watcher);

	if (f->is_over || e->record->is_deletion != f->is_deleted || !span_equal(e->record->key, f->key))
		return;
	is_full = f->is_over = true;
}

static void full_when(struct kube_kit *k, struct filling *f)
{
	struct error err = { 0 };

	f->watcher.event = fill;
	assert_non_null(store_watch(k->store, f->key, store_revision(k->store), &f->watcher, &err));
}

/* ---- a server on it ---- */

static void begin(struct kube_kit *k)
{
	sqlite3_vfs *vfs;

	(void)sqlite3_initialize();
	vfs = sqlite3_vfs_find(NULL);
	is_full = false;
	full_after_us = 0;
	(void)vfs->xSetSystemCall(vfs, "pwrite64",
				  (sqlite3_syscall_ptr)limited_pwrite); /* one of the two is not there */
	(void)vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)limited_pwrite);
	kube_kit_begin(k, false, 0);
	kube_kit_settle(k, NULL, NULL);
}

static void end(struct kube_kit *k)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	kube_kit_stop(k);
	kube_kit_done(k);
	(void)vfs->xSetSystemCall(vfs, NULL, NULL);
}

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)object;
	if (err)
		*(struct error *)context = *err;
}

static const struct resource definitions = { "apiextensions.k8s.io", "v1", "customresourcedefinitions",
					     "CustomResourceDefinition" };
static const char things[] =
    "{\"metadata\":{\"name\":\"things.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\","
    "\"names\":{"
    "\"plural\":\"things\",\"singular\":\"thing\",\"kind\":\"Thing\",\"listKind\":\"ThingList\"},\"versions\":[{"
    "\"name\":"
    "\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}]}}";

static struct error failure; /* of the last write that was begun */

static void write_begin(struct kube_kit *k, const struct resource *r, enum kube_verb verb, const char *name,
			const char *text)
{
	bool is_namespaced = r != &resource_namespaces && r != &definitions;
	struct error err = { 0 };
	struct value v;
	struct cluster_write w = { .resource = r,
				   .verb = verb,
				   .name_space = is_namespaced ? SPAN("default") : (struct span){ 0 },
				   .name = span_of(name),
				   .object = text ? &v : NULL,
				   .grace = -1,
				   .done = written,
				   .context = &failure };

	failure = (struct error){ 0 };
	if (text && !value_parse(span_of(text), NULL, &k->arena, &v, &err))
		fail_msg("%s", err.message);
	cluster_write(k->cluster, &w);
}

static void write_object(struct kube_kit *k, const struct resource *r, enum kube_verb verb, const char *name,
			 const char *text)
{
	write_begin(k, r, verb, name, text);
	kube_kit_settle(k, NULL, NULL);
	if (failure.code)
		fail_msg("%s", failure.message);
}

static bool is_there(struct kube_kit *k, const char *key)
{
	return store_get(k->store, span_of(key)) != NULL;
}

#define OWNER     "/core/configmaps/default/owner"
#define DEPENDENT "/core/configmaps/default/dependent"

static void owner_and_dependent(struct kube_kit *k)
{
	char text[512];

	write_object(k, &resource_config_maps, KUBE_CREATE, "owner",
		     "{\"metadata\":{\"name\":\"owner\",\"namespace\":\"default\"}}");
	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"dependent\",\"namespace\":\"default\",\"ownerReferences\":[{\"apiVersion\":"
		 "\"v1\","
		 "\"kind\":\"ConfigMap\",\"name\":\"owner\",\"uid\":\"" SPAN_FMT "\"}]}}",
		 SPAN_ARG(notes_of(store_get(k->store, SPAN(OWNER)))->uid));
	write_object(k, &resource_config_maps, KUBE_CREATE, "dependent", text);
}

/* ---- */

static void a_dependent_goes_when_there_is_room(void **state)
{
	struct filling f = { .key = SPAN(OWNER), .is_deleted = true };
	struct kube_kit k;

	(void)state;
	begin(&k);
	owner_and_dependent(&k);
	full_when(&k, &f);
	write_object(&k, &resource_config_maps, KUBE_DELETE, "owner", NULL);
	assert_false(is_there(&k, OWNER));
	assert_true(is_there(&k, DEPENDENT));
	room_again(&k);
	assert_false(is_there(&k, DEPENDENT));
	end(&k);
}

static void an_owner_that_waits_for_the_collector_goes_when_there_is_room(void **state)
{
	struct error err = { 0 };
	struct filling f = { .key = SPAN(OWNER) };
	struct kube_write w = { .verb = KUBE_DELETE,
				.name_space = SPAN("default"),
				.name = SPAN("owner"),
				.done = written,
				.context = &err };
	struct call *call;
	struct kube_kit k;

	(void)state;
	begin(&k);
	owner_and_dependent(&k);
	full_when(&k, &f);
	w.kind = kube_kind(k.kube, SPAN(""), SPAN("v1"), SPAN("configmaps"));
	call = kube_write_prepare(k.kube, &w);
	call->options.propagation = PROPAGATE_ORPHAN;
	call->run(call);
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(err.code, ERROR_NONE);
	assert_true(is_there(&k, OWNER));
	room_again(&k);
	assert_false(is_there(&k, OWNER));
	assert_true(is_there(&k, DEPENDENT));
	end(&k);
}

static void a_namespace_gets_its_account_when_there_is_room(void **state)
{
	struct filling f = { .key = SPAN("/core/namespaces/-/new") };
	struct kube_kit k;

	(void)state;
	begin(&k);
	full_when(&k, &f);
	write_object(&k, &resource_namespaces, KUBE_CREATE, "new", "{\"metadata\":{\"name\":\"new\"}}");
	assert_true(is_there(&k, "/core/namespaces/-/new"));
	assert_false(is_there(&k, "/core/serviceaccounts/new/default"));
	room_again(&k);
	assert_true(is_there(&k, "/core/serviceaccounts/new/default"));
	assert_true(is_there(&k, "/core/configmaps/new/kube-root-ca.crt"));
	end(&k);
}

/* It is looked at every 20 ms: also while the write that ends it is under way, and may fail yet. */
static void a_namespace_ends_when_there_is_room(void **state)
{
	struct filling f = { .key = SPAN("/core/serviceaccounts/old/default"), .is_deleted = true };
	struct kube_kit k;

	(void)state;
	begin(&k);
	write_object(&k, &resource_namespaces, KUBE_CREATE, "old", "{\"metadata\":{\"name\":\"old\"}}");
	full_when(&k, &f);
	full_after_us = 100000;
	write_object(&k, &resource_namespaces, KUBE_DELETE, "old", NULL);
	while (!k.store->is_failed)
		kube_kit_settle(&k, NULL, NULL);
	assert_true(is_there(&k, "/core/namespaces/-/old"));
	full_after_us = 0;
	room_again(&k);
	for (int turns = 0; is_there(&k, "/core/namespaces/-/old") && turns < 100; turns++)
		kube_kit_settle(&k, NULL, NULL);
	assert_false(is_there(&k, "/core/namespaces/-/old"));
	end(&k);
}

/* A service that was refused has not taken its address. */
static void an_address_is_free_when_its_service_was_refused(void **state)
{
	struct error err = { 0 };
	struct cluster_write w = { .resource = &resource_services,
				   .verb = KUBE_CREATE,
				   .name_space = SPAN("default"),
				   .name = SPAN("s"),
				   .done = written,
				   .context = &err };
	struct kube_kit k;
	struct value v;

	(void)state;
	begin(&k);
	assert_true(
	    value_parse(SPAN("{\"metadata\":{\"name\":\"s\",\"namespace\":\"default\"},\"spec\":{\"clusterIP\":"
			     "\"127.96.7.7\",\"type\":\"NodePort\",\"ports\":[{\"port\":80,\"nodePort\":30777}]}}"),
			NULL, &k.arena, &v, &err));
	w.object = &v;
	is_full = true;
	cluster_write(k.cluster, &w);
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(err.code, ERROR_INTERNAL);
	err = (struct error){ 0 };
	room_again(&k);
	cluster_write(k.cluster, &w);
	kube_kit_settle(&k, NULL, NULL);
	assert_string_equal(err.message, "");
	assert_true(is_there(&k, "/core/services/default/s"));
	end(&k);
}

static void a_definition_is_settled_when_there_is_room(void **state)
{
	struct filling f = { .key = SPAN("/apiextensions.k8s.io/customresourcedefinitions/-/things.example.com") };
	struct kube_kit k;

	(void)state;
	begin(&k);
	full_when(&k, &f);
	write_object(&k, &definitions, KUBE_CREATE, "things.example.com", things);
	assert_null(kube_kind(k.kube, SPAN("example.com"), SPAN("v1"), SPAN("things")));
	room_again(&k);
	assert_non_null(kube_kind(k.kube, SPAN("example.com"), SPAN("v1"), SPAN("things")));
	end(&k);
}

/* More than the collector has under way at once: its kind goes before the last of them is looked at. */
static void dependents_go_though_nobody_serves_their_owner_any_more(void **state)
{
	static const struct resource thing = { "example.com", "v1", "things", "Thing" };
	struct kube_kit k;
	char text[512], name[16];

	(void)state;
	begin(&k);
	write_object(&k, &definitions, KUBE_CREATE, "things.example.com", things);
	write_object(&k, &thing, KUBE_CREATE, "owner",
		     "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"owner\"}}");
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		snprintf(
		    text, sizeof(text),
		    "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"ownerReferences\":[{\"apiVersion\":"
		    "\"example.com/v1\",\"kind\":\"Thing\",\"name\":\"owner\",\"uid\":\"" SPAN_FMT "\"}]}}",
		    name, SPAN_ARG(notes_of(store_get(k.store, SPAN("/example.com/things/default/owner")))->uid));
		write_begin(&k, &resource_config_maps, KUBE_CREATE, name, text);
	}
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(store_count(k.store, SPAN("/core/configmaps/default/")), 601); /* the namespace's own too */
	write_object(&k, &definitions, KUBE_DELETE, "things.example.com", NULL);
	for (int turns = 0; kube_kind(k.kube, SPAN("example.com"), SPAN("v1"), SPAN("things")) && turns < 100; turns++)
		kube_kit_settle(&k, NULL, NULL);
	assert_null(kube_kind(k.kube, SPAN("example.com"), SPAN("v1"), SPAN("things")));
	assert_int_equal(store_count(k.store, SPAN("/core/configmaps/default/")), 1);
	end(&k);
}

/* Watchers take the version of what they are told for how far they have come: that of the deletion, also of what ends by itself. */
struct expiring {
	struct store_watcher watcher;
	struct kube_kit *kit;
	int64_t deleted, told; /* the deletion's revision, and what its text says */
};

static void expired(struct store_watcher *w, const struct store_event *e)
{
	struct expiring *x = CONTAINER_OF(w, struct expiring, watcher);
	struct error err = { 0 };
	struct value v;

	if (!e->record->is_deletion)
		return;
	x->deleted = e->record->revision;
	assert_true(value_parse(e->record->text, NULL, &x->kit->arena, &v, &err));
	assert_true(number_parse_int64(value_find_string(&v, "metadata.resourceVersion"), &x->told));
}

static void an_event_that_ends_has_the_version_of_its_end(void **state)
{
	struct expiring x = { .watcher.event = expired };
	struct error err = { 0 };
	struct kube_kit k;

	(void)state;
	begin(&k);
	x.kit = &k;
	assert_non_null(store_watch(k.store, SPAN("/core/events/"), store_revision(k.store), &x.watcher, &err));
	kube_kit_wall(&k, clock_wall_ns() - 3600 * NS_PER_S + 50 * NS_PER_MS);
	write_object(
	    &k, &resource_events, KUBE_CREATE, "e",
	    "{\"metadata\":{\"name\":\"e\",\"namespace\":\"default\"},\"involvedObject\":{\"kind\":\"Pod\",\"name\":"
	    "\"p\",\"namespace\":\"default\"},\"reason\":\"Test\",\"type\":\"Normal\"}");
	write_object(&k, &resource_config_maps, KUBE_CREATE, "m",
		     "{\"metadata\":{\"name\":\"m\",\"namespace\":\"default\"}}");
	for (int turns = 0; !x.deleted && turns < 1000; turns++)
		kube_kit_settle(&k, NULL, NULL);
	assert_true(x.deleted > 0);
	assert_int_equal(x.told, x.deleted);
	end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dependent_goes_when_there_is_room),
		cmocka_unit_test(an_owner_that_waits_for_the_collector_goes_when_there_is_room),
		cmocka_unit_test(a_namespace_gets_its_account_when_there_is_room),
		cmocka_unit_test(a_namespace_ends_when_there_is_room),
		cmocka_unit_test(an_address_is_free_when_its_service_was_refused),
		cmocka_unit_test(a_definition_is_settled_when_there_is_room),
		cmocka_unit_test(an_event_that_ends_has_the_version_of_its_end),
		cmocka_unit_test(dependents_go_though_nobody_serves_their_owner_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
