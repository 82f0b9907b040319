/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * root_private - how a container's root is put together: mounts by descriptors (mounts.c), the root itself (root.c), its volumes
 * (root_volumes.c). All of it runs inside: see confine_private.h.
 *
 * A tree is a descriptor of mounts that stand nowhere yet; closed without being put anywhere they go. `attributes`: MOUNT_ATTR_...
 */
#include <linux/mount.h>

#include "node/confine_private.h"

#define TREE_READ_ONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)
#define TREE_PRIVATE   (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define TREE_CLONE     (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)

/* Entries of a machine's folder that are bound one by one, where a mount point is missing in it. */
#define MIMIC_ENTRIES_MOST 4096

/* ---- mounts.c ---- */

/* A tree is put at a name in a folder, or (name empty) over what the descriptor is of. */
bool tree_attach(int tree, int folder, const char *name, struct error *err);
bool tree_set(int tree, uint64_t attributes, bool is_recursive, struct error *err);
/* What stands at a path of the machine, with what is mounted below it, as a tree of its own; -1. */
int tree_copy(int folder, const char *name, uint64_t attributes, struct error *err);
/* A new file system; options: name, value, ..., NULL. -1 with err. */
int tree_new(const char *type, uint64_t attributes, const char *const *options, struct error *err);
int tmpfs_new(int mode, int64_t bytes, uint64_t attributes, struct error *err);
/* A tree (taken over; -1: it could not be made) at a folder that is made. */
bool tree_mount(int root, const char *name, int tree, struct error *err);
/* What stands at a path as the container will see it: links are followed inside the root. -1 with errno. */
int root_open(int root, const char *path);
bool root_is_folder(int fd);
/* An empty file, where there is none. */
bool root_file_make(int folder, const char *name, struct error *err);

/* ---- root.c ---- */

/* All entries of the folder `from`, but some, are shown in `to`: links as they are, others bound. What can't be taken is not shown. */
bool entries_show(int from, int to, const char *const *without, size_t without_count, uint64_t attributes,
		  struct error *err);
/* What stands at a path of the root is seen empty; nothing there: nothing is done. */
bool root_mask(int root, const char *path, struct error *err);

/* ---- root_volumes.c ---- */

bool volumes_mount(const struct enclosure *e, int root, const struct container_config *c, struct error *err);
