/* SPDX-License-Identifier: Apache-2.0 */
/* local - copies on this machine. Links are followed: folders of models are often made of them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/fetch_private.h"

enum { DEPTH_MOST = 32 };

static bool file_copy(struct fetching *f, int from, struct span to, struct error *err)
{
	AUTO_FREE char *block = base_alloc(KIB(256));
	struct placing p;
	ssize_t n = 0;
	bool ok;

	if (!place_begin(f, to, &p, err))
		return false;
	do {
		n = read(from, block, KIB(256));
		ok = n >= 0 || errno == EINTR ? n <= 0 || place_write(&p, span_from(block, (size_t)n), err)
					      : error_errno(err, errno, "cannot read '" SPAN_FMT "'", SPAN_ARG(to));
	} while (ok && n != 0);
	ok = ok && place_end(&p, err);
	place_drop(&p);
	return ok;
}

static bool entry_copy(struct fetching *f, int folder, const char *name, struct span to, int depth, struct error *err);

static bool folder_copy(struct fetching *f, int fd, struct span to, int depth, struct error *err)
{
	DIR *folder = fdopendir(fd);
	bool ok = true;

	if (!folder) {
		close(fd);
		return error_errno(err, errno, "cannot read a folder");
	}
	for (struct dirent *d = readdir(folder); ok && d; d = readdir(folder)) {
		struct span path;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		path = to.len ? arena_print(f->arena, err, "%.*s/%s", SPAN_WHOLE(to), d->d_name)
			      : arena_copy(f->arena, span_of(d->d_name), err);
		ok = path.ptr && entry_copy(f, dirfd(folder), d->d_name, path, depth + 1, err);
	}
	closedir(folder);
	return ok;
}

/* `to` empty: the content of a folder goes to the top. */
static bool entry_copy(struct fetching *f, int folder, const char *name, struct span to, int depth, struct error *err)
{
	int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	bool ok;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(err, errno, "cannot open '%s'", name);
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		if (depth < DEPTH_MOST)
			return folder_copy(f, fd, to, depth, err);
		close(fd);
		return error_set(err, ERROR_INVALID, "'%s': folders are nested over %d deep, or in a circle", name,
				 DEPTH_MOST);
	}
	ok = S_ISREG(st.st_mode) ? file_copy(f, fd, to.len ? to : uri_basename(span_of(name)), err)
				 : error_set(err, ERROR_INVALID, "'%s' is neither a file nor a folder", name);
	close(fd);
	return ok;
}

bool local_copy(struct fetching *f, struct span path, struct error *err)
{
	AUTO_FREE char *text = span_to_text(path);

	return entry_copy(f, AT_FDCWD, text, SPAN(""), 0, err);
}

bool local_is_filled(const char *path)
{
	DIR *folder = opendir(path);
	bool is_filled = false;

	for (struct dirent *d = folder ? readdir(folder) : NULL; d && !is_filled; d = readdir(folder))
		is_filled = strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	if (folder)
		closedir(folder);
	return is_filled;
}
