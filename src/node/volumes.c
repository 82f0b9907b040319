/* SPDX-License-Identifier: Apache-2.0 */
/* volumes - the life of a pod's volumes: which kind each is of, how they come to be there, what of them a container sees. */
#include "node/volumes_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/kind.h"
#include "loop/aside.h"

#define PREPARE_MEMORY MIB(256) /* the objects that one pod's volumes are made of, twice */

/* ---- kinds ---- */

bool volume_kind_of(const struct value *volume, enum volume_kind *ret, const char **ret_member,
		    const struct value **ret_source, struct error *err)
{
	static const struct {
		const char *member;
		enum volume_kind kind;
	} rows[] = {
		{ "emptyDir", VOLUME_EMPTY },
		{ "hostPath", VOLUME_HOST_PATH },
		{ "configMap", VOLUME_CONTENT },
		{ "secret", VOLUME_CONTENT },
		{ "downwardAPI", VOLUME_CONTENT },
		{ "projected", VOLUME_CONTENT },
		{ "persistentVolumeClaim", VOLUME_CLAIM },
		{ "ephemeral", VOLUME_CLAIM },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct value *source = value_get(volume, span_of(rows[i].member));

		if (!source || source->type == VALUE_NULL)
			continue;
		*ret = rows[i].kind;
		*ret_member = rows[i].member;
		*ret_source = source;
		return true;
	}
	for (uint32_t i = 0; value_is(volume, VALUE_OBJECT) && i < volume->object.count; i++)
		if (!span_equal(volume->object.members[i].key, SPAN("name")))
			return error_set(err, ERROR_INVALID, "volumes of type " SPAN_FMT " can't be had on this node",
					 SPAN_ARG(volume->object.members[i].key));
	return error_set(err, ERROR_INVALID, "the volume has no type");
}

struct span volume_folder(const struct volumes *v, const struct value *volume, struct arena *arena, struct error *err)
{
	struct span name = value_find_string(volume, "name");

	return arena_print(arena, err, "%s/volumes/%.*s", v->folder, (int)name.len, name.ptr);
}

bool pod_fs_group(const struct value *pod, int64_t *ret)
{
	const struct value *v = value_find(pod, "spec.securityContext.fsGroup");

	if (!value_is(v, VALUE_INT))
		return false;
	*ret = v->integer;
	return true;
}

bool folder_ensure(const char *path, mode_t mode, struct error *err)
{
	AUTO_FREE char *copy = span_to_text(span_of(path));
	bool is_new = false;
	struct stat s;

	for (char *at = copy + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST && stat(copy, &s) != 0)
			return error_errno(err, errno, "cannot make '%s'", copy);
		*at = '/';
	}
	if (mkdir(path, 0700) == 0)
		is_new = true;
	else if (errno != EEXIST)
		return error_errno(err, errno, "cannot make '%s'", path);
	if (is_new && chmod(path, mode) != 0) /* whatever the umask is */
		return error_errno(err, errno, "cannot make '%s'", path);
	return true;
}

/* ---- life ---- */

static void step(struct loop_task *task);

struct volumes *volumes_new(const struct volumes_config *config, struct error *err)
{
	struct volumes *v = base_calloc(1, sizeof(*v));
	AUTO_FREE char *folder = span_to_text(config->folder);
	AUTO_FREE char *below = NULL;

	v->config = *config;
	v->task.run = step;
	v->hidden = config->hidden.len ? span_to_text(config->hidden) : NULL;
	if (asprintf(&below, "%s/volumes", folder) < 0)
		below = NULL;
	if (below && folder_ensure(below, 0750, err)) {
		v->folder = realpath(folder, NULL); /* what is mounted has no links in its path */
		if (!v->folder)
			error_errno(err, errno, "cannot open '%s'", folder);
	}
	if (!v->folder) {
		volumes_free(v, true);
		return NULL;
	}
	v->config.folder = span_of(v->folder);
	return v;
}

/* Trees that are given to fsGroup on a thread of their own, for they may be large. */
struct giving {
	struct aside aside;
	struct volumes *v;
	int64_t group;
	char **paths;
	size_t count;
};

static void giving_free(struct giving *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->paths[i]);
	free(g->paths);
	free(g);
}

static void folder_remove(const struct volumes *v, const char *name)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", v->folder, name) >= 0)
		tree_remove(path);
}

void volumes_empty(struct volumes *v)
{
	folder_remove(v, "volumes");
}

void volumes_free(struct volumes *v, bool keeps_files)
{

	if (!v)
		return;
	loop_undefer(v->config.loop, &v->task);
	tokens_free(v);
	if (v->giving)
		aside_leave(&v->giving->aside);
	if (v->is_preparing)
		arena_done(&v->arena);
	if (v->folder && !keeps_files) {
		folder_remove(v, "volumes");
		folder_remove(v, "etc");
	}
	free(v->folder);
	free(v->hidden);
	free(v);
}

/* ---- preparing ---- */

static bool empty_prepare(struct volumes *v, const struct value *pod, const struct value *volume,
			  const struct value *source, struct arena *arena, struct error *err)
{
	struct span path = volume_folder(v, volume, arena, err), medium = value_find_string(source, "medium");
	int64_t group;
	struct stat s;

	if (!path.ptr)
		return false;
	if (medium.len && !span_equal(medium, SPAN("Memory")))
		return error_set(err, ERROR_INVALID, "emptyDir of medium " SPAN_FMT " can't be had on this node",
				 SPAN_ARG(medium));
	if (lstat(path.ptr, &s) == 0 && S_ISDIR(s.st_mode))
		return true;
	if (!folder_ensure(path.ptr, 0777, err))
		return false;
	if (pod_fs_group(pod, &group))
		tree_give(path.ptr, group, false); /* it is empty */
	return true;
}

/* Folders of a volume that others are mounted in: they can't be made once it is mounted, for it is read-only. */
static void nested_make(const char *folder, const struct value *mounts, struct span own)
{
	for (uint32_t i = 0; i < value_count(mounts); i++) {
		const struct value *outer = value_item(mounts, i);
		struct span at = value_find_string(outer, "mountPath");

		if (!span_equal(value_find_string(outer, "name"), own) || value_find_string(outer, "subPath").len ||
		    value_find_string(outer, "subPathExpr").len)
			continue;
		for (uint32_t k = 0; k < mounts->array.count; k++) {
			struct span below = value_find_string(value_item(mounts, k), "mountPath");
			AUTO_FREE char *path = NULL;
			struct error ignored = { 0 };

			if (k == i || !span_starts(below, at) || below.len <= at.len + 1 ||
			    (below.ptr[at.len] != '/' && !span_ends(at, SPAN("/"))) ||
			    memmem(below.ptr, below.len, "..", 2))
				continue;
			below = span_skip(below, at.len);
			if (asprintf(&path, "%s/%.*s", folder, (int)below.len, below.ptr) >= 0)
				(void)!folder_ensure(path, 0755,
						     &ignored); /* where a file stands, the mount will tell */
		}
	}
}

static bool content_prepare(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
			    struct error *err)
{
	static const char *const lists[] = { "spec.initContainers", "spec.containers" };
	struct span path = volume_folder(v, volume, arena, err);
	struct content content;
	bool changed;

	if (!path.ptr || !content_make(v, pod, volume, arena, &content, err) || !folder_ensure(path.ptr, 0755, err) ||
	    !content_write(path.ptr, &content, &changed, err))
		return false;
	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		const struct value *list = value_find(pod, lists[k]);

		for (uint32_t i = 0; i < value_count(list); i++)
			nested_make(path.ptr, value_get(value_item(list, i), SPAN("volumeMounts")),
				    value_find_string(volume, "name"));
	}
	return true;
}

static void give_add(struct volumes *v, struct span path, int64_t group)
{
	struct giving *g = v->giving;

	if (!g) {
		g = v->giving = base_calloc(1, sizeof(*g));
		g->v = v;
		g->group = group;
	}
	g->paths = base_realloc(g->paths, (g->count + 1) * sizeof(*g->paths));
	g->paths[g->count++] = span_to_text(path);
}

static bool claim_prepare(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
			  struct error *err)
{
	bool is_read_only = false, takes_group = false;
	struct span path, policy = value_find_string(pod, "spec.securityContext.fsGroupChangePolicy");
	int64_t group;

	if (!claim_path(v, pod, volume, arena, &path, &is_read_only, &takes_group, err))
		return false;
	if (!takes_group || is_read_only || !pod_fs_group(pod, &group))
		return true;
	if (!span_equal(policy, SPAN("OnRootMismatch")) || !tree_is_given(path.ptr, group, false))
		give_add(v, path, group);
	return true;
}

static bool volume_prepare(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
			   struct error *err)
{
	const struct value *source;
	const char *member;
	enum volume_kind kind;
	struct span path;

	if (!volume_kind_of(volume, &kind, &member, &source, err))
		return false;
	switch (kind) {
	case VOLUME_EMPTY:
		return empty_prepare(v, pod, volume, source, arena, err);
	case VOLUME_HOST_PATH:
		return host_path(v, source, arena, &path, err);
	case VOLUME_CONTENT:
		return content_prepare(v, pod, volume, arena, err);
	case VOLUME_CLAIM:
		return claim_prepare(v, pod, volume, arena, err);
	}
	return false;
}

static bool all_prepare(struct volumes *v, const struct value *pod, struct arena *arena, struct error *err)
{
	const struct value *list = value_find(pod, "spec.volumes");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (!volume_prepare(v, pod, value_item(list, i), arena, err))
			return error_wrap(err, "MountVolume.SetUp failed for volume \"" SPAN_FMT "\" ",
					  SPAN_ARG(value_find_string(value_item(list, i), "name")));
	return etc_write(v, pod, err);
}

static void finish(struct volumes *v, const struct error *err)
{
	runtime_done done = v->done;

	v->is_preparing = false;
	v->pod = NULL;
	arena_done(&v->arena);
	done(v->done_context, err);
}

static void given(struct aside *a)
{
	struct giving *g = CONTAINER_OF(a, struct giving, aside);
	struct volumes *v = g->v;

	giving_free(g);
	v->giving = NULL;
	finish(v, NULL);
}

static void giving_drop(struct aside *a)
{
	giving_free(CONTAINER_OF(a, struct giving, aside));
}

static void give(struct aside *a)
{
	struct giving *g = CONTAINER_OF(a, struct giving, aside);

	for (size_t i = 0; i < g->count; i++)
		tree_give(g->paths[i], g->group, false);
}

static void give_begin(struct giving *g)
{
	g->aside = (struct aside){ .work = give, .done = given, .drop = giving_drop };
	if (aside_begin(&g->aside, g->v->config.loop))
		return;
	give(&g->aside);
	given(&g->aside);
}

static void step(struct loop_task *task)
{
	struct volumes *v = CONTAINER_OF(task, struct volumes, task);
	struct error err = { 0 };

	if (!v->is_preparing) {
		if (v->config.changed)
			v->config.changed(v->config.context);
		return;
	}
	if (v->giving)
		return; /* all else is done */
	if (!v->pod)
		error_set(&err, ERROR_TOO_LARGE, "the pod is larger than the memory for its volumes");
	else if (!tokens_ready(v, v->pod, clock_wall_ns(), &err)) {
		if (err.code == ERROR_NONE)
			return;
	} else if (!all_prepare(v, v->pod, &v->arena, &err) && v->giving) {
		giving_free(v->giving);
		v->giving = NULL;
	}
	if (err.code == ERROR_NONE && v->giving)
		give_begin(v->giving);
	else
		finish(v, err.code == ERROR_NONE ? NULL : &err);
}

void volumes_go_on(struct volumes *v)
{
	loop_defer(v->config.loop, &v->task);
}

void volumes_prepare(struct volumes *v, const struct value *pod, runtime_done done, void *context)
{
	struct error ignored = { 0 };
	struct value *copy;

	ASSERT(!v->is_preparing);
	v->is_preparing = true;
	v->done = done;
	v->done_context = context;
	arena_init(&v->arena, PREPARE_MEMORY);
	copy = ARENA_NEW(&v->arena, struct value, &ignored);
	v->pod = copy && value_copy(pod, &v->arena, copy, &ignored) ? copy : NULL;
	loop_defer(v->config.loop, &v->task);
}

/* ---- anew ---- */

int64_t volumes_refresh(struct volumes *v, const struct value *pod, int64_t now_ns)
{
	const struct value *list = value_find(pod, "spec.volumes"), *source;
	struct error ignored = { 0 };
	enum volume_kind kind;
	struct arena arena;
	const char *member;

	if (v->is_preparing)
		return INT64_MAX; /* it makes all of them */
	(void)!tokens_ready(v, pod, now_ns, &ignored);
	arena_init(&arena, PREPARE_MEMORY);
	for (uint32_t i = 0; i < value_count(list); i++) {
		struct error err = { 0 };
		struct content content;
		struct span path;
		bool changed;

		if (!volume_kind_of(value_item(list, i), &kind, &member, &source, &err) || kind != VOLUME_CONTENT)
			continue;
		/* What it was made of may have gone: then what was there stays. */
		path = volume_folder(v, value_item(list, i), &arena, &err);
		if (path.ptr && access(path.ptr, F_OK) == 0 &&
		    content_make(v, pod, value_item(list, i), &arena, &content, &err))
			(void)!content_write(path.ptr, &content, &changed, &err);
		arena_clear(&arena);
	}
	arena_done(&arena);
	return tokens_next_ns(v);
}

/* ---- memory, use ---- */

static bool is_in_memory(const struct value *volume)
{
	return span_equal(value_find_string(volume, "emptyDir.medium"), SPAN("Memory"));
}

static int64_t size_limit(const struct value *volume)
{
	int64_t milli = 0;

	(void)quantity_parse(value_find_string(volume, "emptyDir.sizeLimit"), &milli);
	return MAX(milli, 0) / 1000;
}

/* As kubelet: no larger than what the pod may use. */
static int64_t memory_size(const struct volumes *v, const struct value *pod, const struct value *volume)
{
	const int64_t limits[] = { size_limit(volume), pod_resources_sum(pod).memory_limit,
				   v->config.place->capacity_memory };
	int64_t least = 0;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (limits[i] > 0 && (!least || limits[i] < least))
			least = limits[i];
	return least;
}

bool volumes_tmpfs(struct volumes *v, const struct value *pod, struct arena *arena, struct sandbox_tmpfs **ret,
		   size_t *ret_count, struct error *err)
{
	const struct value *list = value_find(pod, "spec.volumes");
	uint32_t count = value_count(list);
	struct sandbox_tmpfs *items = ARENA_ARRAY(arena, struct sandbox_tmpfs, count, err);
	size_t n = 0;

	if (!items)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct span path;

		if (!is_in_memory(value_item(list, i)))
			continue;
		path = volume_folder(v, value_item(list, i), arena, err);
		if (!path.ptr)
			return false;
		items[n++] = (struct sandbox_tmpfs){ .host_path = path,
						     .bytes = memory_size(v, pod, value_item(list, i)),
						     .mode = 0777 };
	}
	*ret = items;
	*ret_count = n;
	return true;
}

bool volumes_usage(struct span folder, const struct value *pod, int64_t *ret_bytes, struct span *ret_over,
		   struct arena *arena, struct error *err)
{
	const struct value *list = value_find(pod, "spec.volumes");

	*ret_bytes = 0;
	*ret_over = (struct span){ 0 };
	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *volume = value_item(list, i);
		struct span name = value_find_string(volume, "name"), path;
		int64_t bytes = 0, limit = size_limit(volume);
		bool was_read;

		if (!value_get(volume, SPAN("emptyDir")) || is_in_memory(volume))
			continue;
		path =
		    arena_print(arena, err, "%.*s/volumes/%.*s", (int)folder.len, folder.ptr, (int)name.len, name.ptr);
		if (!path.ptr)
			return false;
		was_read = tree_bytes(path.ptr, &bytes);
		*ret_bytes += bytes;
		/* What cannot be measured to its end counts as too much: nobody makes it so by chance. */
		if (limit > 0 && (bytes > limit || !was_read) && !ret_over->len)
			*ret_over = name;
	}
	return true;
}
