/* SPDX-License-Identifier: Apache-2.0 */
#include "node/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Folders of the machine's that may be taken the place of, for mount points that are missing in them. */
#define MIMICS_MOST 64

/* Folders that took the place of the machine's; read-only when all is mounted. */
struct mimics {
	int trees[MIMICS_MOST];
	size_t count;
};

/* A folder of the machine's that lacks an entry: a tmpfs takes its place, with the same entries in it, and can be added to. -1. */
static int mimic(struct mimics *all, int place, struct error *err)
{
	static const char *const itself[] = { ".", ".." };
	struct stat st;
	int tree;

	if (fstat(place, &st) < 0) {
		error_errno(err, errno, "cannot look at a folder");
		return -1;
	}
	if (all->count == MIMICS_MOST) {
		error_set(err, ERROR_TOO_LARGE, "mount points are missing in over %d folders", MIMICS_MOST);
		return -1;
	}
	tree = tmpfs_new((int)(st.st_mode & 07777), 1 << 20, TREE_PRIVATE, err);
	if (tree < 0)
		return -1;
	all->trees[all->count++] = tree;
	if (!tree_attach(tree, place, "", err))
		return -1;
	/* An ordinary user has no other owners to give. */
	if (fchownat(tree, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0 && errno != EPERM && errno != EINVAL) {
		error_errno(err, errno, "cannot give a folder its owner");
		return -1;
	}
	/* What is there is bound with the attributes it has: nothing is added. */
	if (!entries_show(place, tree, itself, ARRAY_LEN(itself), 0, err))
		return -1;
	return fcntl(tree, F_DUPFD_CLOEXEC, 0);
}

/* The deepest folder of `path` that is there; *ret_rest: what is missing, in `path`. */
static int deepest(int root, const char *path, const char **ret_rest)
{
	size_t len = strlen(path);

	while (len > 0) {
		AUTO_FREE char *part = NULL;
		int fd;

		while (len > 0 && path[len - 1] != '/')
			len--;
		while (len > 0 && path[len - 1] == '/')
			len--;
		part = text_format("/%.*s", (int)len, path);
		fd = root_open(root, part);
		if (fd >= 0) {
			*ret_rest = path + len;
			while (**ret_rest == '/')
				(*ret_rest)++;
			return fd;
		}
	}
	*ret_rest = path + strspn(path, "/");
	return root_open(root, "/");
}

static bool place_step(struct mimics *all, int *at, const char *name, bool wants_folder, bool *is_mimicked,
		       struct error *err)
{
	int next;

	if (wants_folder ? mkdirat(*at, name, 0755) < 0 && errno != EEXIST : !root_file_make(*at, name, err)) {
		if (*is_mimicked)
			return error_errno(err, errno, "cannot make the mount point '%s'", name);
		*is_mimicked = true;
		next = mimic(all, *at, err);
		if (next < 0)
			return error_wrap(err, "cannot make the mount point '%s'", name);
		close(*at);
		*at = next;
		return place_step(all, at, name, wants_folder, is_mimicked, err);
	}
	next = openat(*at, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (next < 0)
		return error_errno(err, errno, "cannot open the mount point '%s'", name);
	close(*at);
	*at = next;
	return true;
}

/* The mount point, made where it is missing; -1. */
static int place_open(struct mimics *all, int root, const char *path, bool wants_folder, struct error *err)
{
	int at = root_open(root, path);
	bool is_mimicked = false;
	const char *rest;

	if (at >= 0)
		return at;
	at = deepest(root, path, &rest);
	while (at >= 0 && *rest) {
		size_t len = strcspn(rest, "/");
		AUTO_FREE char *name = text_format("%.*s", (int)len, rest);

		rest += len;
		rest += strspn(rest, "/");
		if (strcmp(name, "..") == 0 || !place_step(all, &at, name, *rest || wants_folder, &is_mimicked, err)) {
			if (strcmp(name, "..") == 0)
				error_set(err, ERROR_INVALID, "'%s' has '..' in it", path);
			close(at);
			return -1;
		}
	}
	if (at < 0)
		error_errno(err, errno, "cannot open '%s'", path);
	return at;
}

/* A volume that is the machine's own folder may hold the hidden one. */
static bool hidden_mask(const struct enclosure *e, int root, const char *from, const char *to, struct error *err)
{
	AUTO_FREE char *real = realpath(from, NULL), *hidden = realpath(e->hidden, NULL), *inside = NULL;
	size_t len = real ? strlen(real) : 0;

	if (len == 1)
		len = 0; /* "/" */
	if (!real || !hidden || strncmp(hidden, real, len) != 0 || (hidden[len] && hidden[len] != '/'))
		return true;
	inside = text_format("%s%s", to, hidden + len);
	return root_mask(root, inside, err);
}

/* Pods that share a volume may put a link in the place of a folder at any time: then it is not what was chosen. */
static int source_open(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static bool volume_mount(const struct enclosure *e, struct mimics *all, int root, const struct mount_wanted *m,
			 struct error *err)
{
	AUTO_FREE char *from = span_to_text(m->host_path), *to = span_to_text(m->container_path);
	AUTO_CLOSE int source = -1, tree = -1, place = -1;

	if (from[0] != '/' || to[0] != '/')
		return error_set(err, ERROR_INVALID, "'%s' and '%s' must be absolute paths", from, to);
	source = source_open(from);
	if (source < 0)
		return error_errno(err, errno, "cannot open '%s'", from);
	tree = tree_copy(source, "", TREE_PRIVATE | (m->is_read_only ? MOUNT_ATTR_RDONLY : 0), err);
	if (tree < 0)
		return false;
	place = place_open(all, root, to, root_is_folder(tree), err);
	if (place < 0)
		return false;
	if (root_is_folder(place) != root_is_folder(tree))
		return error_set(err, ERROR_INVALID,
				 root_is_folder(tree) ? "a folder cannot be mounted over a file"
						      : "a file cannot be mounted over a folder");
	return tree_attach(tree, place, "", err) && hidden_mask(e, root, from, to, err);
}

static int by_depth(const void *a, const void *b)
{
	const struct mount_wanted *const *x = a, *const *y = b;
	size_t depth[2] = { 0 };

	for (size_t i = 0; i < (*x)->container_path.len; i++)
		depth[0] += (*x)->container_path.ptr[i] == '/';
	for (size_t i = 0; i < (*y)->container_path.len; i++)
		depth[1] += (*y)->container_path.ptr[i] == '/';
	return depth[0] != depth[1] ? (depth[0] < depth[1] ? -1 : 1) : (*x < *y ? -1 : *x > *y);
}

/* Outer ones first, as they would hide the inner ones. */
bool volumes_mount(const struct enclosure *e, int root, const struct container_config *c, struct error *err)
{
	AUTO_FREE const struct mount_wanted **order = base_calloc(c->mount_count + 1, sizeof(void *));
	struct mimics mimics = { .count = 0 };

	for (size_t i = 0; i < c->mount_count; i++)
		order[i] = &c->mounts[i];
	qsort(order, c->mount_count, sizeof(void *), by_depth);
	for (size_t i = 0; i < c->mount_count; i++) {
		if (!volume_mount(e, &mimics, root, order[i], err))
			return error_wrap(err, "cannot mount the volume '" SPAN_FMT "'",
					  SPAN_ARG(order[i]->container_path));
	}
	for (size_t i = 0; i < mimics.count && !c->security.is_root_writable; i++) {
		if (!tree_set(mimics.trees[i], MOUNT_ATTR_RDONLY, false, err))
			return false;
	}
	return true; /* the descriptors close with exec */
}
