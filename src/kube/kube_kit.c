/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kube_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kube/auth/pki.h"
#include "kube/kube_private.h"

enum { QUIET_TURNS = 5 };
#define TURN_NS (2 * NS_PER_MS)

static struct {
	char folder[64];
	struct pki *pki;
} keys;

static void folder_remove(const char *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
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
	snprintf(keys.folder, sizeof(keys.folder), "/tmp/hythe-test-keys-XXXXXX");
	assert_non_null(mkdtemp(keys.folder));
	keys.pki = pki_open(keys.folder, (const char *const[]){ NULL }, err);
	assert_int_equal(atexit(keys_free), 0);
	return keys.pki;
}

void kube_kit_begin(struct kube_kit *k, bool ships_definitions, int64_t wall_ns)
{
	struct store_config store = store_config_default();
	struct kube_config kube = kube_config_default();
	struct error err = { 0 };
	char path[80];

	*k = (struct kube_kit){ .folder = "/tmp/hythe-test-XXXXXX", .loop = loop_new() };
	assert_non_null(mkdtemp(k->folder));
	arena_init(&k->arena, MIB(512));
	snprintf(path, sizeof(path), "%s/store", k->folder);
	store.folder = path;
	store.loop = k->loop;
	store.durability = STORE_BUFFERED;
	kube_prepare_store(&store);
	k->store = store_open(&store, &err);
	kube.loop = k->loop;
	kube.store = k->store;
	kube.folder = k->folder;
	kube.pki = k->store ? keys_open(&err) : NULL;
	kube.server_address = "127.0.0.1:6443";
	kube.ships_definitions = ships_definitions;
	k->kube = kube.pki ? kube_new(&kube, &err) : NULL;
	if (!k->kube)
		fail_msg("%s", err.message);
	if (wall_ns)
		kube_kit_wall(k, wall_ns);
	k->cluster = cluster_local_new(k->kube);
}

void kube_kit_wall(struct kube_kit *k, int64_t wall_ns)
{
	kube_set_wall_ns(k->kube, wall_ns);
}

static void look(struct timer *t)
{
	struct kube_kit *k = CONTAINER_OF(t, struct kube_kit, timer);
	bool is_quiet =
	    store_next_revision(k->store) == store_revision(k->store) + 1 && (!k->is_idle || k->is_idle(k->context));

	k->quiet = is_quiet ? k->quiet + 1 : 0;
	if (k->quiet == QUIET_TURNS)
		loop_stop(k->loop);
	else
		loop_timer_set(k->loop, t, clock_monotonic_ns() + TURN_NS, look);
}

void kube_kit_settle(struct kube_kit *k, bool (*is_idle)(void *context), void *context)
{
	k->is_idle = is_idle;
	k->context = context;
	k->quiet = 0;
	loop_timer_set(k->loop, &k->timer, clock_monotonic_ns(), look);
	loop_run(k->loop);
}

void kube_kit_stop(struct kube_kit *k)
{
	cluster_free(k->cluster);
	kube_stop(k->kube);
	store_close(k->store);
}

void kube_kit_done(struct kube_kit *k)
{
	kube_free(k->kube);
	loop_free(k->loop);
	folder_remove(k->folder);
	arena_done(&k->arena);
}
