/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_private.h"

char *folder_path(const char *folder, const char *name)
{
	size_t size = strlen(folder) + strlen(name) + 2;
	char *path = base_alloc(size);

	snprintf(path, size, "%s/%s", folder, name);
	return path;
}

char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return span_to_text(SPAN("."));
	return span_to_text(span_from(path, slash == path ? 1 : (size_t)(slash - path)));
}

bool folder_has(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A folder that may not be written to is told as such whatever the reason is. */
static bool fail(struct error *err, int errnum, const char *what, const char *path)
{
	if (errnum == EROFS || errnum == EACCES || errnum == EPERM)
		return error_set(err, ERROR_FORBIDDEN, "cannot %s '%s': %s", what, path, strerror(errnum));
	return error_errno(err, errnum, "cannot %s '%s'", what, path);
}

bool folder_make(const char *folder, struct error *err)
{
	AUTO_FREE char *path = span_to_text(span_of(folder));
	struct stat st;

	if (!*folder)
		return error_set(err, ERROR_INVALID, "the data folder has no name");
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = 0;
		if (mkdir(path, 0700) != 0 && errno != EEXIST) {
			int errnum = errno;

			/* A parent on a read-only disk says so even when it is there. */
			if (stat(path, &st) != 0)
				return fail(err, errnum, "make the folder", path);
		}
		if (!slash)
			break;
		*slash = '/';
	}
	if (stat(folder, &st) != 0)
		return fail(err, errno, "open the folder", folder);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ERROR_INVALID, "'%s' is no folder", folder);
	return true;
}

int folder_lock(const char *folder, struct error *err)
{
	AUTO_FREE char *path = folder_path(folder, "lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char holder[16] = "";

	if (fd < 0) {
		fail(err, errno, "write", path);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		ssize_t len = errno == EWOULDBLOCK ? pread(fd, holder, sizeof(holder) - 1, 0) : -1;

		if (len < 0)
			error_errno(err, errno, "cannot lock '%s'", path);
		else
			error_set(err, ERROR_UNAVAILABLE, "'%s' is in use by another process%s%.*s", folder,
				  len ? ", number " : "", (int)strcspn(holder, "\n"), holder);
		close(fd);
		return -1;
	}
	/* Who holds it, for the message above; without it the lock holds as well. */
	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, holder, (size_t)snprintf(holder, sizeof(holder), "%d\n", (int)getpid()), 0);
	return fd;
}

bool folder_sync(const char *folder, struct error *err)
{
	AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		return error_errno(err, errno, "cannot sync '%s'", folder);
	return true;
}

static bool copy_bytes(int from, int to)
{
	char bytes[65536];
	ssize_t got;

	while ((got = read(from, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < got;) {
			ssize_t put = write(to, bytes + at, (size_t)(got - at));

			if (put < 0 && errno != EINTR)
				return false;
			at += MAX(put, 0);
		}
	}
	return got == 0 && fsync(to) == 0;
}

bool folder_copy(const char *from, const char *to, struct error *err)
{
	AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int out = -1;

	if (in < 0)
		return error_errno(err, errno, "cannot open '%s'", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return fail(err, errno, "make", to);
	if (copy_bytes(in, out))
		return true;
	fail(err, errno, "write", to);
	(void)unlink(to);
	return false;
}

char *folder_disk(const char *folder)
{
	char *path = realpath(folder, NULL);
	struct stat st, above;

	if (!path || stat(path, &st) != 0) {
		free(path);
		return span_to_text(span_of(folder));
	}
	while (path[1]) {
		char *parent = folder_of(path);

		if (stat(parent, &above) != 0 || above.st_dev != st.st_dev) {
			free(parent);
			break;
		}
		free(path);
		path = parent;
	}
	return path;
}
