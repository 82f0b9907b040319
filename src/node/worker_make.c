/* SPDX-License-Identifier: Apache-2.0 */
/* worker_make - what a sandbox and a container are made with, and the pod's folders. */
#include "node/worker_private.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/kinds/kinds.h"
#include "node/images.h"

enum { TREE_FDS = 8, OOM_GUARANTEED = -997, OOM_BEST_EFFORT = 1000 };

/* ---- folders ---- */

static bool folder_make(const char *path, mode_t mode, struct error *err)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return true;
	return error_errno(err, errno, "cannot make the folder '%s'", path);
}

bool worker_folders_make(struct pod_worker *w, struct error *err)
{
	return folder_make(w->folder, 0755, err) && folder_make(w->log_directory, 0755, err);
}

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	(void)remove(path); /* what stays is told by what is left */
	return 0;
}

void worker_folders_remove(struct pod_worker *w)
{
	(void)nftw(w->log_directory, entry_remove, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- the sandbox ---- */

static bool sysctls_read(struct look *l, struct sandbox_config *ret, struct error *err)
{
	const struct value *list = value_find(l->pod, "spec.securityContext.sysctls");
	uint32_t count = count_of(list);
	struct name_value *items = ARENA_ARRAY(l->arena, struct name_value, count + 1, err);

	for (uint32_t i = 0; items && i < count; i++)
		items[i] = (struct name_value){ get_text(value_item(list, i), "name"),
						get_text(value_item(list, i), "value") };
	ret->sysctls = items;
	ret->sysctl_count = count;
	return items != NULL;
}

bool sandbox_make(struct look *l, struct sandbox_config *ret, struct error *err)
{
	struct pod_worker *w = l->w;
	const struct value *spec = get(l->pod, "spec");
	struct span class = get_text(spec, "runtimeClassName");
	struct sandbox_tmpfs *tmpfs = NULL;

	if (class.len && !w->host.runtime_class(w->host.context, class, err))
		return false;
	*ret = (struct sandbox_config){
		.uid = span_of(w->uid),
		.name_space = span_of(w->name_space),
		.name = span_of(w->name),
		.hostname = pod_hostname(&w->place, l->pod),
		.folder = span_of(w->folder),
		.log_directory = span_of(w->log_directory),
		.address = span_of(w->address),
		.resources = pod_resources_sum(l->pod),
		.is_network_host = get_bool(spec, "hostNetwork"),
		.is_pid_host = get_bool(spec, "hostPID"),
		.is_ipc_host = get_bool(spec, "hostIPC"),
		.shares_processes = get_bool(spec, "shareProcessNamespace"),
		.quality = pod_quality_class(l->pod),
	};
	if (!sysctls_read(l, ret, err) || !worker_folders_make(w, err) ||
	    !volumes_tmpfs(w->volumes, l->pod, l->arena, &tmpfs, &ret->tmpfs_count, err))
		return false;
	ret->tmpfs = tmpfs;
	return true;
}

/* ---- a container ---- */

/* kubelet's: who asked for much of the memory is killed later. */
static int oom_score(const struct look *l, const struct value *spec)
{
	struct span quality = pod_quality_class(l->pod);
	int64_t memory = l->w->host.memory, request = 0, score;

	if (span_equal(quality, SPAN("Guaranteed")))
		return OOM_GUARANTEED;
	if (span_equal(quality, SPAN("BestEffort")) || memory <= 0)
		return OOM_BEST_EFFORT;
	(void)quantity_parse(text_of(value_find(spec, "resources.requests.memory")), &request);
	score = 1000 - (int64_t)((double)request / 1000.0 / (double)memory * 1000.0);
	return (int)MIN(MAX(score, (int64_t)1000 + OOM_GUARANTEED), (int64_t)OOM_BEST_EFFORT - 1);
}

/* The folder of the container's image comes first: a volume of the pod's may stand in the same place. */
static bool image_mount(const struct image *image, struct arena *arena, struct container_config *ret, struct error *err)
{
	struct mount_wanted *mounts = ARENA_ARRAY(arena, struct mount_wanted, ret->mount_count + 1, err);

	if (!mounts)
		return false;
	mounts[0] = (struct mount_wanted){ image->folder, image->place, true };
	if (ret->mount_count)
		memcpy(mounts + 1, ret->mounts, ret->mount_count * sizeof(*mounts));
	ret->mounts = mounts;
	ret->mount_count++;
	if (!ret->working_directory.len)
		ret->working_directory = image->working_directory;
	return true;
}

bool container_make(struct look *l, struct span name, uint32_t attempt, struct container_config *ret,
		    const char **ret_reason, struct error *err)
{
	struct pod_worker *w = l->w;
	const struct value *spec = pod_container(l->pod, name, NULL);
	struct name_value *environment = NULL;
	struct mount_wanted *mounts = NULL;
	struct span *command = NULL, log;
	struct image image = { 0 };
	bool has_image = false;

	*ret_reason = "CreateContainerConfigError";
	memset(ret, 0, sizeof(*ret));
	ret->name = name;
	ret->attempt = attempt;
	ret->image = get_text(spec, "image");
	ret->working_directory = get_text(spec, "workingDir");
	ret->has_stdin = get_bool(spec, "stdin");
	ret->has_stdin_once = get_bool(spec, "stdinOnce");
	ret->has_terminal = get_bool(spec, "tty");
	ret->oom_score = oom_score(l, spec);
	if (!images_find(w->place.cluster, ret->image, l->arena, &image, &has_image, err) ||
	    !environment_make(&w->place, l->pod, spec, has_image ? &image : NULL, l->arena, &environment,
			      &ret->environment_count, err))
		return false;
	ret->environment = environment;
	if (!volumes_mounts(w->volumes, l->pod, spec, attempt, environment, ret->environment_count, l->arena, &mounts,
			    &ret->mount_count, err))
		return false;
	ret->mounts = mounts;
	if (has_image && !image_mount(&image, l->arena, ret, err))
		return false;
	*ret_reason = "CreateContainerError";
	if (!container_security(l->pod, spec, l->arena, ret, err))
		return false;
	*ret_reason = "RunContainerError";
	if (!command_make(spec, environment, ret->environment_count, has_image ? &image : NULL, l->arena, &command,
			  &ret->command_count, err))
		return false;
	ret->command = command;
	log = arena_print(l->arena, err, "%s/%.*s", w->log_directory, WHOLE(name));
	if (!log.ptr || !folder_make(log.ptr, 0755, err))
		return false;
	ret->log_path = arena_print(l->arena, err, "%.*s/%u.log", WHOLE(name), attempt);
	return ret->log_path.ptr != NULL;
}
