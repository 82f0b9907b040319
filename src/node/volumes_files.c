/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_files - files of which all change at once. They stand in a folder named by the time; "..data" is a link to it, and what a container sees
 * by name are links through that one: renaming another link over "..data" replaces them all. Names as kubelet's AtomicWriter has them, for
 * programs watch "..data".
 */
#include "node/volumes_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"

#define DATA     "..data"
#define DATA_TMP "..data_tmp"

/* ---- a list of files ---- */

/* Relative, no "..", not beginning with ".."; "a//b/./c" becomes "a/b/c". */
static bool path_clean(struct span path, struct arena *arena, struct span *ret, struct error *err)
{
	struct span rest = path, part;
	char *out = arena_alloc(arena, path.len + 1, err);
	size_t len = 0;

	if (!out)
		return false;
	if (!path.len)
		return error_set(err, ERROR_INVALID, "invalid path: must not be empty: \"\"");
	if (path.ptr[0] == '/')
		return error_set(err, ERROR_INVALID, "invalid path: must be relative path: " SPAN_FMT, SPAN_ARG(path));
	if (path.len > VOLUME_PATH_MOST)
		return error_set(err, ERROR_INVALID, "invalid path: must be less than or equal to %d characters",
				 VOLUME_PATH_MOST);
	if (memchr(path.ptr, '\0', path.len))
		return error_set(err, ERROR_INVALID, "invalid path: must not hold a zero byte");
	while (rest.len) {
		part = span_cut(&rest, '/');
		if (!part.len || span_equal(part, SPAN(".")))
			continue;
		if (span_equal(part, SPAN("..")))
			return error_set(err, ERROR_INVALID, "invalid path: must not contain '..': " SPAN_FMT,
					 SPAN_ARG(path));
		if (part.len > VOLUME_NAME_MOST)
			return error_set(err, ERROR_INVALID,
					 "invalid path: filenames must be less than or equal to %d characters",
					 VOLUME_NAME_MOST);
		if (len)
			out[len++] = '/';
		else if (span_starts(part, SPAN("..")))
			return error_set(err, ERROR_INVALID, "invalid path: must not start with '..': " SPAN_FMT,
					 SPAN_ARG(path));
		memcpy(out + len, part.ptr, part.len);
		len += part.len;
	}
	out[len] = '\0';
	*ret = span_from(out, len);
	return len || error_set(err, ERROR_INVALID, "invalid path: must not be empty: " SPAN_FMT, SPAN_ARG(path));
}

bool content_add(struct content *c, const struct content_file *file, struct arena *arena, struct error *err)
{
	struct content_file *items;
	struct span path;
	size_t at = 0;

	if (!path_clean(file->path, arena, &path, err))
		return false;
	while (at < c->count && !span_equal(c->items[at].path, path))
		at++;
	if (at == VOLUME_FILES_MOST)
		return error_set(err, ERROR_INVALID, "a volume may have at most %d files", VOLUME_FILES_MOST);
	if (at == c->capacity) {
		c->capacity = c->capacity ? c->capacity * 2 : 16;
		items = ARENA_ARRAY(arena, struct content_file, c->capacity, err);
		if (!items)
			return false;
		if (c->count)
			memcpy(items, c->items, c->count * sizeof(*items));
		c->items = items;
	}
	if (at == c->count)
		c->count++;
	else
		c->bytes -= c->items[at].data.len;
	c->items[at] = *file;
	c->items[at].path = path;
	c->bytes += file->data.len;
	return c->bytes <= VOLUME_CONTENT_MOST ||
	       error_set(err, ERROR_INVALID, "a volume of this kind may hold at most %zu MiB",
			 VOLUME_CONTENT_MOST >> 20);
}

/* ---- what stands there ---- */

static bool file_is_same(int data, const struct content_file *f)
{
	AUTO_CLOSE int fd = openat(data, f->path.ptr, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char chunk[16384];
	size_t at = 0;
	struct stat s;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || (size_t)s.st_size != f->data.len)
		return false;
	while (at < f->data.len && n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0 || (size_t)n > f->data.len - at || memcmp(chunk, f->data.ptr + at, (size_t)n) != 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Files below, of any depth that content_add() lets through. */
static size_t files_count(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	size_t count = 0;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		count += e->d_type == DT_DIR ? files_count(dirfd(d), e->d_name) : 1;
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	return count;
}

static bool is_same(int target, const struct content *c)
{
	AUTO_CLOSE int data = openat(target, DATA, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (data < 0 || files_count(target, DATA) != c->count)
		return false;
	for (size_t i = 0; i < c->count; i++)
		if (!file_is_same(data, &c->items[i]))
			return false;
	return true;
}

/* ---- writing ---- */

static mode_t mode_of(const struct content *c, mode_t mode, bool is_folder)
{
	if (c->group >= 0)
		mode |= is_folder ? S_ISGID | 0550 : 0440;
	return mode;
}

static bool folder_finish(int fd, const struct content *c)
{
	if (c->group >= 0 && fchown(fd, (uid_t)-1, (gid_t)c->group) != 0 && geteuid() == 0)
		return false;
	return fchmod(fd, mode_of(c, 0755, true)) == 0;
}

/* The folders above a file; the descriptor of the last. */
static int folders_make(int stamp, const struct content *c, struct span path, struct span *ret_name)
{
	int at = dup(stamp), next;
	size_t slash;

	while (at >= 0 && (slash = span_index(path, '/')) < path.len) {
		char name[VOLUME_NAME_MOST + 1];

		memcpy(name, path.ptr, slash);
		name[slash] = '\0';
		if (mkdirat(at, name, 0755) != 0 && errno != EEXIST)
			next = -1;
		else
			next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(at);
		at = next;
		if (at >= 0 && !folder_finish(at, c)) {
			close(at);
			return -1;
		}
		path = span_skip(path, slash + 1);
	}
	*ret_name = path;
	return at;
}

static bool data_write(int fd, struct span data)
{
	while (data.len) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data = span_skip(data, (size_t)n);
	}
	return true;
}

static bool file_write(int stamp, const struct content *c, const struct content_file *f, struct error *err)
{
	struct span name = { 0 };
	AUTO_CLOSE int at = folders_make(stamp, c, f->path, &name);
	AUTO_CLOSE int fd =
	    at >= 0 ? openat(at, name.ptr, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
	uid_t user = f->user >= 0 ? (uid_t)f->user : (uid_t)-1;
	gid_t group = c->group >= 0 ? (gid_t)c->group : (gid_t)-1;
	bool good = fd >= 0 && data_write(fd, f->data);

	/* An ordinary user gives nothing away; inside it is the one that asks. */
	if (good && (f->user >= 0 || c->group >= 0) && fchown(fd, user, group) != 0)
		good = geteuid() != 0;
	if (good && fchmod(fd, mode_of(c, (mode_t)f->mode & 07777, false)) == 0)
		return true;
	return error_errno(err, errno, "cannot write '" SPAN_FMT "'", SPAN_ARG(f->path));
}

static bool stamp_make(int target, const struct content *c, char *ret, size_t capacity, struct error *err)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "..%Y_%m_%d_%H_%M_%S", &tm);
	for (int i = 0; i < 8; i++) {
		AUTO_CLOSE int fd = -1;

		snprintf(ret, capacity, "%s.%llu", text, (unsigned long long)(random_fast() % 10000000000ull));
		if (mkdirat(target, ret, 0755) != 0 && errno == EEXIST)
			continue;
		fd = openat(target, ret, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && folder_finish(fd, c))
			return true;
		break;
	}
	return error_errno(err, errno, "cannot make a folder for a volume's files");
}

static bool data_replace(int target, const struct content *c, struct error *err)
{
	char stamp[64], old[VOLUME_NAME_MOST + 1];
	ssize_t len = readlinkat(target, DATA, old, sizeof(old) - 1);
	bool good;
	int fd;

	if (!stamp_make(target, c, stamp, sizeof(stamp), err))
		return false;
	fd = openat(target, stamp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	good = fd >= 0 || error_errno(err, errno, "cannot open a volume's folder");
	for (size_t i = 0; good && i < c->count; i++)
		good = file_write(fd, c, &c->items[i], err);
	if (fd >= 0)
		close(fd);
	(void)unlinkat(target, DATA_TMP, 0); /* of one that was cut off */
	if (good && (symlinkat(stamp, target, DATA_TMP) != 0 || renameat(target, DATA_TMP, target, DATA) != 0))
		good = error_errno(err, errno, "cannot replace a volume's files");
	if (!good) {
		(void)tree_remove_now(target, stamp);
		return false;
	}
	if (len > 2 && memcmp(old, "..", 2) == 0) {
		old[len] = '\0';
		(void)tree_remove_now(target, old);
	}
	return true;
}

/* ---- the names that a container sees ---- */

static bool has_top(const struct content *c, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < c->count; i++)
		if (span_equal(span_first(c->items[i].path, span_index(c->items[i].path, '/')), span_from(name, len)))
			return true;
	return false;
}

static bool links_make(int target, const struct content *c, struct error *err)
{
	char name[VOLUME_NAME_MOST + 1], to[VOLUME_NAME_MOST + sizeof(DATA) + 2];

	for (size_t i = 0; i < c->count; i++) {
		size_t len = span_index(c->items[i].path, '/');

		memcpy(name, c->items[i].path.ptr, len);
		name[len] = '\0';
		snprintf(to, sizeof(to), DATA "/%s", name);
		if (symlinkat(to, target, name) != 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot write '%s'", name);
	}
	return true;
}

/* Links to what is no longer there, and folders of times that were left behind by a process that ended half way. */
static void rest_remove(int target, const struct content *c)
{
	char now[VOLUME_NAME_MOST + 1] = "";
	ssize_t len = readlinkat(target, DATA, now, sizeof(now) - 1);
	int fd = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (len >= 0)
		now[len] = '\0';
	while (d && (e = readdir(d))) {
		bool is_ours = strncmp(e->d_name, "..", 2) == 0;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, DATA) == 0)
			continue;
		if (is_ours && strcmp(e->d_name, now) != 0)
			(void)tree_remove_now(target, e->d_name);
		else if (!is_ours && e->d_type == DT_LNK && !has_top(c, e->d_name))
			(void)unlinkat(target, e->d_name, 0);
	}
	if (d)
		closedir(d);
}

bool content_write(const char *folder, const struct content *c, bool *ret_changed, struct error *err)
{
	AUTO_CLOSE int target = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	*ret_changed = false;
	if (target < 0)
		return error_errno(err, errno, "cannot open '%s'", folder);
	if (!folder_finish(target, c))
		return error_errno(err, errno, "cannot give '%s' to its group", folder);
	if (!is_same(target, c)) {
		if (!data_replace(target, c, err))
			return false;
		*ret_changed = true;
	}
	if (!links_make(target, c, err))
		return false;
	rest_remove(target, c);
	return true;
}
