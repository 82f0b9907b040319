/* SPDX-License-Identifier: Apache-2.0 */
#include "node/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool tree_attach(int tree, int folder, const char *name, struct error *err)
{
	if (move_mount(tree, "", folder, name, MOVE_MOUNT_F_EMPTY_PATH | (*name ? 0 : MOVE_MOUNT_T_EMPTY_PATH)) < 0)
		return error_errno(err, errno, "cannot mount %s", *name ? name : "a folder");
	return true;
}

bool tree_set(int tree, uint64_t attributes, bool is_recursive, struct error *err)
{
	struct mount_attr a = { .attr_set = attributes, .propagation = MS_PRIVATE };

	if (mount_setattr(tree, "", AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0)
		return error_errno(err, errno, "cannot set the attributes of a mount");
	return true;
}

/* What stands at a path of the machine, with what is mounted below it, as a tree of its own; -1. */
int tree_copy(int folder, const char *name, uint64_t attributes, struct error *err)
{
	int tree = open_tree(folder, name, TREE_CLONE | AT_RECURSIVE | (*name ? 0 : AT_EMPTY_PATH));

	if (tree < 0) {
		error_errno(err, errno, "cannot take '%s'", name);
		return -1;
	}
	if (tree_set(tree, attributes, true, err))
		return tree;
	close(tree);
	return -1;
}

/* The kernel says in words what it did not like: "e overlay: ...". */
static void context_complain(int fs, const char *type, struct error *err)
{
	int why = errno;
	char words[200];
	ssize_t n = read(fs, words, sizeof(words));
	struct span said = span_trim(span_from(words, n > 2 ? (size_t)n : 0));

	error_errno(err, why,
		    said.len > 0 ? "cannot mount the file system %s (" SPAN_FMT ")" : "cannot mount the file system %s",
		    type, SPAN_ARG(said));
}

/* A new file system; options: name, value, ..., NULL. */
int tree_new(const char *type, uint64_t attributes, const char *const *options, struct error *err)
{
	AUTO_CLOSE int fs = fsopen(type, FSOPEN_CLOEXEC);
	int tree = -1;

	if (fs < 0) {
		error_errno(err, errno, "cannot make a %s", type);
		return -1;
	}
	for (; *options; options += 2) {
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0) < 0) {
			error_errno(err, errno, "cannot set %s=%s of a %s", options[0], options[1], type);
			return -1;
		}
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		tree = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attributes);
	if (tree < 0)
		context_complain(fs, type, err);
	return tree;
}

int tmpfs_new(int mode, int64_t bytes, uint64_t attributes, struct error *err)
{
	char mode_text[16], size_text[32];
	const char *options[] = { "mode", mode_text, "size", size_text, NULL };

	snprintf(mode_text, sizeof(mode_text), "%o", (unsigned)mode & 07777);
	snprintf(size_text, sizeof(size_text), "%lld", (long long)bytes);
	if (bytes <= 0)
		options[2] = NULL;
	return tree_new("tmpfs", attributes, options, err);
}

bool root_tmpfs(const char *path, int mode, int64_t bytes, struct error *err)
{
	AUTO_CLOSE int tree = tmpfs_new(mode, bytes, TREE_PRIVATE, err);

	return tree >= 0 && tree_attach(tree, AT_FDCWD, path, err);
}

/* A new file system of a type at a folder that is made. */
bool tree_mount(int root, const char *name, int tree, struct error *err)
{
	bool is_good;

	if (tree < 0)
		return error_wrap(err, "/%s", name);
	is_good = (mkdirat(root, name, 0755) == 0 || errno == EEXIST) && tree_attach(tree, root, name, err);
	close(tree);
	return is_good;
}

/* Opens what stands at a path as the container will see it: links are followed inside the root. -1 with errno. */
int root_open(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

bool root_is_folder(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

bool root_file_make(int folder, const char *name, struct error *err)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 && errno != EEXIST)
		return error_errno(err, errno, "cannot make '%s'", name);
	if (fd >= 0)
		close(fd);
	return true;
}
