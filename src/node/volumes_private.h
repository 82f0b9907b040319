/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * volumes_private - what the files of volumes share.
 *
 *	volumes.c         life, preparation, which kind a volume is of
 *	volumes_mounts.c  what a container sees of them
 *	volumes_content.c what configMap, secret, downwardAPI and projected volumes hold
 *	volumes_files.c   such files, replaced at once
 *	volumes_tokens.c  tokens of service accounts
 *	volumes_claims.c  claims, and what they are bound to; folders of this machine
 *	volumes_etc.c     /etc/hosts, /etc/resolv.conf, /etc/hostname, termination messages
 *	volumes_tree.c    whole trees: removed, measured, given to a group
 */
#include "loop/loop.h"
#include "node/volumes.h"

#define VOLUME_FILES_MOST        10000   /* of a volume of contents */
#define VOLUME_CONTENT_MOST      MIB(64) /* bytes of all of them */
#define VOLUME_PATH_MOST         4096
#define VOLUME_NAME_MOST         255
#define VOLUME_DEPTH_MOST        128 /* folders in folders that are walked with a descriptor for each */
#define TERMINATION_MESSAGE_MOST 4096

enum volume_kind {
	VOLUME_EMPTY,
	VOLUME_HOST_PATH,
	VOLUME_CONTENT, /* configMap, secret, downwardAPI, projected */
	VOLUME_CLAIM,   /* persistentVolumeClaim, ephemeral */
};

struct token {
	struct token *next;
	struct span volume, text; /* text: empty: not yet */
	uint32_t source;          /* of the volume's sources */
	int64_t asked_ns, renew_ns;
	struct asking *asking; /* under way, or NULL */
	struct error err;      /* of the last try */
};

struct volumes {
	struct volumes_config config;
	char *folder, *hidden;
	struct token *tokens;

	/* A preparation that waits for tokens, or to be told as done. */
	struct arena arena;
	const struct value *pod;
	runtime_done done;
	void *done_context;
	struct loop_task task;
	struct giving *giving; /* trees that a thread gives to fsGroup, or NULL */
	bool is_preparing;
};

/* ---- volumes.c ---- */

/* INVALID for a kind that can't be had here. *ret_source: what stands below its name. */
bool volume_kind_of(const struct value *volume, enum volume_kind *ret, const char **ret_member,
		    const struct value **ret_source, struct error *err) MUST_CHECK;
struct span volume_folder(const struct volumes *v, const struct value *volume, struct arena *arena, struct error *err);
bool pod_fs_group(const struct value *pod, int64_t *ret); /* false: none */
bool folder_ensure(const char *path, mode_t mode,
		   struct error *err) MUST_CHECK; /* and those above it; true: it is there */

/* ---- volumes_files.c ---- */

struct content_file {
	struct span path, data;
	int mode;
	int64_t user; /* -1: ours */
};

struct content {
	struct content_file *items;
	size_t count, capacity, bytes;
	int64_t group; /* fsGroup, or -1 */
};

/* A later file of the same path replaces an earlier one. */
bool content_add(struct content *c, const struct content_file *file, struct arena *arena, struct error *err) MUST_CHECK;
/* *ret_changed: what stood there was another. */
bool content_write(const char *folder, const struct content *c, bool *ret_changed, struct error *err) MUST_CHECK;

/* ---- volumes_content.c ---- */

bool content_make(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
		  struct content *ret, struct error *err) MUST_CHECK;

/* ---- volumes_tokens.c ---- */

/* Asks for those that the pod's volumes need and that are not there, or old. True: all are there; false with err NONE: they are on their way. */
bool tokens_ready(struct volumes *v, const struct value *pod, int64_t now_ns, struct error *err) MUST_CHECK;
const struct token *token_find(const struct volumes *v, struct span volume, uint32_t source);
int64_t tokens_next_ns(const struct volumes *v);
void tokens_free(struct volumes *v);
void volumes_go_on(struct volumes *v); /* a token has come, or has been refused */

/* ---- volumes_claims.c ---- */

/* A folder or file of this machine, without links. *ret_takes_group: fsGroup is for it. */
bool claim_path(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
		struct span *ret, bool *ret_is_read_only, bool *ret_takes_group, struct error *err) MUST_CHECK;
bool host_path(struct volumes *v, const struct value *source, struct arena *arena, struct span *ret,
	       struct error *err) MUST_CHECK;

/* ---- volumes_etc.c ---- */

bool etc_write(struct volumes *v, const struct value *pod, struct error *err) MUST_CHECK;

/* ---- volumes_tree.c ---- */

/* All that is below, and itself; on a thread of its own. `path` is moved away first, so that the name is free at once. */
void tree_remove(const char *path);
bool tree_remove_now(int at, const char *name); /* blocks */
/* What it takes on disk. False: it cannot be read, or is deeper than VOLUME_DEPTH_MOST. */
bool tree_bytes(const char *path, int64_t *ret);
/* As kubelet gives a volume to fsGroup: group, and rights for it. */
void tree_give(const char *path, int64_t group, bool is_read_only);
bool tree_is_given(const char *path, int64_t group,
		   bool is_read_only); /* its root is: fsGroupChangePolicy OnRootMismatch */
