/* SPDX-License-Identifier: Apache-2.0 */
#include "node/volume_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/aside.h"
#include "node/volumes_private.h"

#define PROTECTION "kubernetes.io/pv-protection" /* stays while a claim is bound to the volume */

enum { OBJECT_BYTES_MOST = 8 << 20 };

struct waiting {
	struct waiting *next;
	char *name;
};

/* A folder that a thread removes. */
struct removal {
	struct aside aside;
	struct volume_keeper *keeper;
	char *folder, *name;
	bool is_removed;
};

struct volume_keeper {
	struct cluster *cluster;
	struct loop *loop;
	char *folder;
	struct waiting *waiting, **tail;
	struct removal *removal; /* under way, or NULL */
	char *writing;           /* the volume whose finalizer is being taken off, or NULL */
	struct loop_task task;
	struct timer retry;
	bool is_stopped;
};

static void step(struct loop_task *t);

/* ---- those that end ---- */

static void add(struct volume_keeper *k, struct span name)
{
	struct waiting *w = k->waiting;

	while (w && !span_equal(span_of(w->name), name))
		w = w->next;
	if (!w) {
		w = base_calloc(1, sizeof(*w));
		w->name = span_to_text(name);
		*k->tail = w;
		k->tail = &w->next;
	}
	if (!k->is_stopped)
		loop_defer(k->loop, &k->task);
}

static bool may_be_ours(const struct record *r)
{
	return r && record_is_ending(r) && record_mentions(r, SPAN(LOCAL_VOLUME_FINALIZER));
}

static void seen(void *context, const struct sighting *s)
{
	struct volume_keeper *k = context;

	if (!k->is_stopped && may_be_ours(s->now))
		add(k, s->name);
}

static bool add_again(void *context, struct record *r)
{
	const char *slash = memrchr(r->key.ptr, '/', r->key.len);

	if (may_be_ours(r) && slash)
		add(context, span_skip(r->key, (size_t)(slash + 1 - r->key.ptr)));
	return true;
}

static void retry(struct timer *t)
{
	struct volume_keeper *k = CONTAINER_OF(t, struct volume_keeper, retry);

	cluster_each(k->cluster, &resource_persistent_volumes, (struct span){ 0 }, add_again, k);
}

static void retry_later(struct volume_keeper *k)
{
	if (!k->is_stopped)
		loop_timer_set(k->loop, &k->retry, loop_now(k->loop) + VOLUME_KEEPER_RETRY_NS, retry);
}

/* ---- what is to be done with one ---- */

static bool finalizer_find(const struct value *volume, struct span name, uint32_t *ret)
{
	const struct value *list = value_find(volume, "metadata.finalizers");

	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *one = value_item(list, i);

		if (!value_is(one, VALUE_STRING) || !span_equal(one->string, name))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

/* Its folder stands where we make them, and under its own name: so no volume takes another's folder with it. */
static bool is_in_folder(const struct volume_keeper *k, const struct value *volume)
{
	struct span path = value_find_string(volume, "spec.hostPath.path"), folder = span_of(k->folder);
	struct span name = value_find_string(volume, "metadata.name");

	return path.len > folder.len + 1 && span_starts(path, folder) && path.ptr[folder.len] == '/' && name.len &&
	       span_equal(span_skip(path, folder.len + 1), name) && !memchr(name.ptr, '/', name.len) &&
	       name.ptr[0] != '.';
}

static void tell_failed(struct volume_keeper *k, const struct value *volume, const char *why)
{
	log_warn("node", "the folder of a volume was not removed",
		 LOG_SPAN("volume", value_find_string(volume, "metadata.name")), LOG_TEXT("error", why));
	cluster_event(k->cluster, volume, "Warning", "VolumeFailedDelete", LOCAL_PROVISIONER, why);
}

static struct value *volume_get(struct volume_keeper *k, struct span name, struct arena *arena)
{
	struct record *r = cluster_get(k->cluster, &resource_persistent_volumes, (struct span){ 0 }, name);
	struct error ignored = { 0 };

	return may_be_ours(r) ? cluster_object(k->cluster, &resource_persistent_volumes, r, arena, &ignored) : NULL;
}

/* ---- the finalizer ---- */

static void written(void *context, const struct value *object, const struct error *err)
{
	struct volume_keeper *k = context;
	char *name = TAKE(k->writing);

	(void)object;
	if (err && err->code == ERROR_CONFLICT) {
		add(k, span_of(name));
	} else if (err && err->code != ERROR_NOT_FOUND && err->code != ERROR_CANCELLED) {
		log_warn("node", "the finalizer of a volume could not be taken off", LOG_TEXT("volume", name),
			 LOG_TEXT("error", err->message));
		retry_later(k);
	}
	free(name);
	if (!k->is_stopped)
		loop_defer(k->loop, &k->task);
}

static void finalizer_remove(struct volume_keeper *k, struct value *volume, uint32_t index)
{
	const struct cluster_write write = { .resource = &resource_persistent_volumes,
					     .verb = KUBE_UPDATE,
					     .name = value_find_string(volume, "metadata.name"),
					     .manager = SPAN("kubelet"),
					     .object = volume,
					     .grace = -1,
					     .done = written,
					     .context = k };

	value_remove_item(value_find(volume, "metadata.finalizers"), index);
	k->writing = span_to_text(write.name);
	cluster_write(k->cluster, &write);
}

/* ---- removal ---- */

static void removal_free(struct removal *r)
{
	free(r->folder);
	free(r->name);
	free(r);
}

static void removed(struct aside *a)
{
	struct removal *r = CONTAINER_OF(a, struct removal, aside);
	struct volume_keeper *k = r->keeper;
	struct value *volume;
	struct arena arena;
	uint32_t index;

	arena_init(&arena, OBJECT_BYTES_MOST);
	k->removal = NULL;
	volume = k->is_stopped ? NULL : volume_get(k, span_of(r->name), &arena);
	if (volume && r->is_removed && finalizer_find(volume, SPAN(LOCAL_VOLUME_FINALIZER), &index)) {
		finalizer_remove(k, volume, index);
	} else if (volume && !r->is_removed) {
		tell_failed(k, volume, "not all files of the volume's folder could be removed");
		retry_later(k);
	}
	if (!k->is_stopped)
		loop_defer(k->loop, &k->task);
	arena_done(&arena);
	removal_free(r);
}

static void removal_drop(struct aside *a)
{
	removal_free(CONTAINER_OF(a, struct removal, aside));
}

static bool folder_remove(const char *folder, const char *name)
{
	AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 ? tree_remove_now(fd, name) : errno == ENOENT;
}

static void folder_remove_aside(struct aside *a)
{
	struct removal *r = CONTAINER_OF(a, struct removal, aside);

	r->is_removed = folder_remove(r->folder, r->name);
}

static void removal_begin(struct volume_keeper *k, struct span name)
{
	struct removal *r = base_calloc(1, sizeof(*r));

	r->aside = (struct aside){ .work = folder_remove_aside, .done = removed, .drop = removal_drop };
	r->keeper = k;
	r->folder = span_to_text(span_of(k->folder));
	r->name = span_to_text(name);
	if (aside_begin(&r->aside, k->loop)) {
		k->removal = r;
	} else {
		removal_free(r);
		retry_later(k);
	}
}

/* ---- one after the other ---- */

static void begin(struct volume_keeper *k, struct value *volume)
{
	uint32_t index, other;

	if (!volume || !finalizer_find(volume, SPAN(LOCAL_VOLUME_FINALIZER), &index))
		return;
	/* A claim has it still; its next change is seen. */
	if (finalizer_find(volume, SPAN(PROTECTION), &other) ||
	    span_equal(value_find_string(volume, "status.phase"), SPAN("Bound")))
		return;
	if (span_equal(value_find_string(volume, "spec.persistentVolumeReclaimPolicy"), SPAN("Retain")))
		finalizer_remove(k, volume, index);
	else if (is_in_folder(k, volume))
		removal_begin(k, value_find_string(volume, "metadata.name"));
	else
		tell_failed(k, volume,
			    "its folder is none that this node has made: remove the folder, and the "
			    "finalizer " LOCAL_VOLUME_FINALIZER);
}

static struct waiting *take(struct volume_keeper *k)
{
	struct waiting *w = k->waiting;

	k->waiting = w->next;
	if (!k->waiting)
		k->tail = &k->waiting;
	return w;
}

static void waiting_free(struct waiting *w)
{
	free(w->name);
	free(w);
}

static void step(struct loop_task *t)
{
	struct volume_keeper *k = CONTAINER_OF(t, struct volume_keeper, task);

	while (k->waiting && !k->removal && !k->writing && !k->is_stopped) {
		struct waiting *w = take(k);
		struct arena arena;

		arena_init(&arena, OBJECT_BYTES_MOST);
		begin(k, volume_get(k, span_of(w->name), &arena));
		arena_done(&arena);
		waiting_free(w);
	}
}

/* ---- life ---- */

struct volume_keeper *volume_keeper_new(struct cluster *cluster, struct loop *loop, struct span folder,
					struct error *err)
{
	struct volume_keeper *k = base_calloc(1, sizeof(*k));

	k->cluster = cluster;
	k->loop = loop;
	k->folder = span_to_text(folder);
	k->tail = &k->waiting;
	k->task.run = step;
	if (cluster_follow(cluster, &resource_persistent_volumes, seen, k, err))
		return k;
	volume_keeper_stop(k);
	volume_keeper_free(k);
	return NULL;
}

void volume_keeper_stop(struct volume_keeper *k)
{
	if (!k)
		return;
	k->is_stopped = true;
	loop_undefer(k->loop, &k->task);
	loop_timer_clear(k->loop, &k->retry);
}

void volume_keeper_free(struct volume_keeper *k)
{
	if (!k)
		return;
	volume_keeper_stop(k);
	if (k->removal)
		aside_leave(&k->removal->aside);
	while (k->waiting)
		waiting_free(take(k));
	free(k->writing);
	free(k->folder);
	free(k);
}
