/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_tree - trees of files that containers have written: their names, depth and links are anybody's. Nothing is reached but by
 * descriptors of folders, links are never followed, and no depth costs more than VOLUME_DEPTH_MOST descriptors.
 */
#include "node/volumes_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A folder that its owner may not read is made readable: an ordinary user removes what it has made, too. */
static DIR *folder_open(int at, const char *name)
{
	int fd = openat(at, name, FOLDER_FLAGS);
	DIR *d;

	if (fd < 0 && errno == EACCES && fchmodat(at, name, S_IRWXU, 0) == 0)
		fd = openat(at, name, FOLDER_FLAGS);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d && fd >= 0)
		close(fd);
	return d;
}

/* ---- removal ---- */

static bool empty_out(DIR *d, int top, int depth);

static bool remove_one(int at, const char *name, int top, int depth)
{
	char moved[40] = "..";
	DIR *d;
	bool good;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return false;
	if (unlinkat(at, name, AT_REMOVEDIR) == 0)
		return true;
	if (depth == VOLUME_DEPTH_MOST) { /* up to the top, where it is found again */
		random_hex(moved + 2, 16);
		return renameat(at, name, top, moved) == 0;
	}
	d = folder_open(at, name);
	if (!d)
		return false;
	good = empty_out(d, top >= 0 ? top : dirfd(d), depth + 1);
	closedir(d);
	return unlinkat(at, name, AT_REMOVEDIR) == 0 && good;
}

/* Until nothing that can be removed is left: what came up from the depth is read again. */
static bool empty_out(DIR *d, int top, int depth)
{
	bool is_good = true, has_removed = true;
	const struct dirent *e;

	(void)fchmod(dirfd(d), S_IRWXU); /* names are taken out of it */
	while (has_removed) {
		has_removed = false;
		is_good = true;
		rewinddir(d);
		while ((e = readdir(d))) {
			if (is_dots(e->d_name))
				continue;
			if (remove_one(dirfd(d), e->d_name, top, depth))
				has_removed = true;
			else
				is_good = false;
		}
	}
	return is_good;
}

bool tree_remove_now(int at, const char *name)
{
	return remove_one(at, name, -1, 0);
}

static void *remove_on_thread(void *arg)
{
	AUTO_FREE char *path = arg;

	if (!tree_remove_now(AT_FDCWD, path))
		log_warn("node", "not all of a pod's files could be removed", LOG_TEXT("folder", path));
	return NULL;
}

void tree_remove(const char *path)
{
	const char *slash = strrchr(path, '/'), *above = slash;
	char random[17], *moved = NULL;
	pthread_t thread;
	int len;

	/* Beside the pod's folder: "pods/.removed-<random>". */
	while (above && above > path && above[-1] != '/')
		above--;
	random_hex(random, 8);
	len = above ? asprintf(&moved, "%.*s.removed-%s", (int)(above - path), path, random) : -1;
	if (len < 0)
		return;
	if (rename(path, moved) != 0) {
		if (errno != ENOENT)
			log_warn("node", "a pod's files could not be removed", LOG_TEXT("folder", path),
				 LOG_TEXT("error", strerror(errno)));
		free(moved);
	} else if (pthread_create(&thread, NULL, remove_on_thread, moved) == 0) {
		(void)pthread_detach(thread);
	} else {
		(void)remove_on_thread(moved);
	}
}

void volumes_sweep(struct span folder)
{
	AUTO_FREE char *path = span_to_text(folder);
	AUTO_FREE char *one = NULL;
	DIR *d = opendir(path);
	const struct dirent *e;
	pthread_t thread;

	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, ".removed-", strlen(".removed-")) != 0 ||
		    asprintf(&one, "%s/%s", path, e->d_name) < 0)
			continue;
		if (pthread_create(&thread, NULL, remove_on_thread, one) == 0) {
			(void)pthread_detach(thread);
			one = NULL;
		} else {
			free(TAKE(one));
		}
	}
	if (d)
		closedir(d);
}

/* ---- measure ---- */

static bool measure(DIR *d, int depth, int64_t *ret)
{
	const struct dirent *e;
	bool is_good = true;
	struct stat s;
	DIR *below;

	while ((e = readdir(d))) {
		if (is_dots(e->d_name) || fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0)
			continue; /* gone meanwhile */
		*ret += (int64_t)s.st_blocks * 512;
		if (!S_ISDIR(s.st_mode))
			continue;
		below = depth < VOLUME_DEPTH_MOST ? folder_open(dirfd(d), e->d_name) : NULL;
		if (!below || !measure(below, depth + 1, ret))
			is_good = false;
		if (below)
			closedir(below);
	}
	return is_good;
}

bool tree_bytes(const char *path, int64_t *ret)
{
	DIR *d = folder_open(AT_FDCWD, path);
	bool good;

	*ret = 0;
	if (!d)
		return errno == ENOENT;
	good = measure(d, 0, ret);
	closedir(d);
	return good;
}

/* ---- fsGroup ---- */

static mode_t mode_for_group(mode_t mode, bool is_read_only)
{
	mode |= is_read_only ? S_IRUSR | S_IRGRP : S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP;
	return S_ISDIR(mode) ? mode | S_ISGID | S_IXUSR | S_IXGRP : mode;
}

/* Failures are passed over, as kubelet does: an ordinary user may not give files away, and need not, for inside they are its own. */
static void give_one(int at, const char *name, const struct stat *s, int64_t group, bool is_read_only)
{
	int fd;

	(void)!fchownat(at, name, (uid_t)-1, (gid_t)group, AT_SYMLINK_NOFOLLOW);
	if (!S_ISDIR(s->st_mode) && !S_ISREG(s->st_mode))
		return;
	/* By descriptor, so that no link can come between. */
	fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fchmod(fd, mode_for_group(s->st_mode, is_read_only) & (mode_t)07777);
	close(fd);
}

static void give(DIR *d, int depth, int64_t group, bool is_read_only)
{
	const struct dirent *e;
	struct stat s;
	DIR *below;

	while ((e = readdir(d))) {
		if (is_dots(e->d_name) || fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		give_one(dirfd(d), e->d_name, &s, group, is_read_only);
		below = S_ISDIR(s.st_mode) && depth < VOLUME_DEPTH_MOST ? folder_open(dirfd(d), e->d_name) : NULL;
		if (below) {
			give(below, depth + 1, group, is_read_only);
			closedir(below);
		}
	}
}

void tree_give(const char *path, int64_t group, bool is_read_only)
{
	struct stat s;
	DIR *d;

	if (lstat(path, &s) != 0)
		return;
	give_one(AT_FDCWD, path, &s, group, is_read_only);
	d = S_ISDIR(s.st_mode) ? folder_open(AT_FDCWD, path) : NULL;
	if (!d)
		return;
	give(d, 0, group, is_read_only);
	closedir(d);
}

bool tree_is_given(const char *path, int64_t group, bool is_read_only)
{
	struct stat s;

	return lstat(path, &s) == 0 && S_ISDIR(s.st_mode) && (int64_t)s.st_gid == group &&
	       mode_for_group(s.st_mode, is_read_only) == s.st_mode;
}
