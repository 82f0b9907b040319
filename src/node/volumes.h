/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * volumes - the files that a pod is given: emptyDir, hostPath, configMap, secret, downwardAPI, projected (tokens of service accounts, the cluster's
 * certificate), persistentVolumeClaim on local folders; and /etc/hosts, /etc/resolv.conf, /etc/hostname, the file for the termination message.
 *
 * Contents of configMap, secret, downwardAPI and projected volumes are replaced at once by a link, as kubelet does it (..data), when
 * what they are made of changes; tokens are renewed after four fifths of their life.
 *
 * Files: folder/volumes/<name>, folder/etc/. Modes, owners (fsGroup) and defaultMode as Kubernetes has them.
 * Errors: what kubectl shows with FailedMount: NOT_FOUND `configmap "a" not found` (and it is tried again), INVALID: never will be.
 * Threads: the loop. Large trees are removed on a thread of their own.
 */
#include "node/environment.h"

struct volumes;

struct volumes_config {
	const struct pod_place *place;
	struct loop *loop;
	struct span folder; /* the pod's, absolute */
	struct span hidden; /* the data folder: a hostPath may not lead into it; empty: none */
	bool
	    is_host_path_allowed; /* --allow-host-path, default on: who may create pods may read this machine's files as their user */
	/* Something in it was replaced, or prepare() would now come further. */
	void (*changed)(void *context);
	void *context;
};

struct volumes *volumes_new(const struct volumes_config *config, struct error *err);
/* Files of pods that were being removed when this program ended, in the folder of all pods: removed, on threads of their own. */
void volumes_sweep(struct span folder);
/* All volumes of the pod; again after an error, when something changed, or later. `done` on the loop. */
void volumes_prepare(struct volumes *v, const struct value *pod, runtime_done done, void *context);
/* Folders in memory, for sandbox_config.tmpfs. */
bool volumes_tmpfs(struct volumes *v, const struct value *pod, struct arena *arena, struct sandbox_tmpfs **ret,
		   size_t *ret_count, struct error *err) MUST_CHECK;
/* What is mounted into one container: its volumeMounts (subPath, subPathExpr by its environment), and what every container has. */
bool volumes_mounts(struct volumes *v, const struct value *pod, const struct value *container, uint32_t attempt,
		    const struct name_value *environment, size_t environment_count, struct arena *arena,
		    struct mount_wanted **ret, size_t *ret_count, struct error *err) MUST_CHECK;
/* Contents anew where their sources have changed or a token grows old; INT64_MAX or the time of the next. */
int64_t volumes_refresh(struct volumes *v, const struct value *pod, int64_t now_ns);
/* The termination message, at most 4096 bytes; empty: none. */
struct span volumes_termination_message(struct volumes *v, struct span container, uint32_t attempt,
					struct arena *arena);
/* Bytes that the pod's emptyDirs hold on disk, by name; and the first that is over its sizeLimit, or empty. Blocks: any thread. */
bool volumes_usage(struct span folder, const struct value *pod, int64_t *ret_bytes, struct span *ret_over,
		   struct arena *arena, struct error *err) MUST_CHECK;
/* The pod has ended for good: what it wrote to emptyDirs takes no room any more. */
void volumes_empty(struct volumes *v);
/* Its folders are removed, or (keeps_files) only forgotten here. NULL is allowed. */
void volumes_free(struct volumes *v, bool keeps_files);
