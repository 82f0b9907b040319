/* SPDX-License-Identifier: Apache-2.0 */
/* place - files below the folder: names come from somebody else's bucket, so that each step is opened without following links. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/random.h"
#include "fetch/fetch_private.h"

enum { DEPTH_MOST = 64, NAME_MOST = 255 };

static bool path_check(struct span path, struct error *err)
{
	struct span rest = path;
	size_t depth = 0;

	while (rest.len || !depth) {
		struct span part = span_cut(&rest, '/');

		if (!part.len || span_equal(part, SPAN(".")) || span_equal(part, SPAN("..")) || part.len > NAME_MOST ||
		    memchr(part.ptr, '\0', part.len))
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no path that a file can have here",
					 SPAN_ARG(path));
		if (++depth > DEPTH_MOST)
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' has over %d folders", SPAN_ARG(path),
					 DEPTH_MOST);
	}
	return path.ptr[path.len - 1] != '/' ||
	       error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no file", SPAN_ARG(path));
}

static int beneath_open(int folder, const char *name, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
}

/* The folder that the file will be in, made where it is missing; -1. */
static int parent_open(int folder, struct span path, struct error *err)
{
	int at = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	size_t slash;

	while (at >= 0 && (slash = span_index(path, '/')) < path.len) {
		AUTO_FREE char *name = span_to_text(span_first(path, slash));
		int next;

		path = span_skip(path, slash + 1);
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST) {
			error_errno(err, errno, "cannot make the folder '%s'", name);
			close(at);
			return -1;
		}
		next = beneath_open(at, name, O_PATH | O_DIRECTORY);
		if (next < 0)
			error_errno(err, errno, "cannot open the folder '%s'", name);
		close(at);
		at = next;
	}
	return at;
}

bool place_begin(struct fetching *f, struct span path, struct placing *ret, struct error *err)
{
	struct placing p = { .f = f, .path = path, .parent = -1, .fd = -1 };
	char mark[17];

	if (!path_check(path, err))
		return false;
	if (f->done.files >= f->config->files_most)
		return error_set(err, ERROR_TOO_LARGE, "over %zu files (--max-files)", f->config->files_most);
	p.parent = parent_open(f->folder, path, err);
	if (p.parent < 0)
		return err->code ? false : error_errno(err, errno, "cannot open the folder");
	random_hex(mark, 8);
	(void)snprintf(p.temporary, sizeof(p.temporary), ".hythe-fetch-%s", mark);
	p.fd = openat(p.parent, p.temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (p.fd < 0) {
		error_errno(err, errno, "cannot write to the folder of '" SPAN_FMT "'", SPAN_ARG(path));
		close(p.parent);
		return false;
	}
	*ret = p;
	return true;
}

bool place_write(struct placing *p, struct span bytes, struct error *err)
{
	struct fetching *f = p->f;

	if (bytes.len > f->config->bytes_most || f->done.bytes + p->bytes > f->config->bytes_most - bytes.len)
		return error_set(err, ERROR_TOO_LARGE, "over %llu bytes (--max-bytes)",
				 (unsigned long long)f->config->bytes_most);
	while (bytes.len) {
		ssize_t n = write(p->fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot write '" SPAN_FMT "'", SPAN_ARG(p->path));
		bytes = span_skip(bytes, (size_t)n);
		p->bytes += (uint64_t)n;
	}
	return true;
}

bool place_again(struct placing *p, struct error *err)
{
	p->bytes = 0;
	return (ftruncate(p->fd, 0) == 0 && lseek(p->fd, 0, SEEK_SET) == 0) ||
	       error_errno(err, errno, "cannot write '" SPAN_FMT "'", SPAN_ARG(p->path));
}

bool place_end(struct placing *p, struct error *err)
{
	AUTO_FREE char *name = span_to_text(uri_basename(p->path));
	struct fetching *f = p->f;
	int fd = p->fd;

	p->fd = -1;
	if (close(fd) < 0 || renameat(p->parent, p->temporary, p->parent, name) < 0) {
		error_errno(err, errno, "cannot write '" SPAN_FMT "'", SPAN_ARG(p->path));
		(void)unlinkat(p->parent, p->temporary, 0);
		close(p->parent);
		p->parent = -1;
		return false;
	}
	close(p->parent);
	p->parent = -1;
	f->done.files++;
	f->done.bytes += p->bytes;
	if (f->config->told)
		f->config->told(f->config->context, p->path, p->bytes);
	return true;
}

void place_drop(struct placing *p)
{
	if (p->parent < 0)
		return;
	(void)unlinkat(p->parent, p->temporary, 0); /* what stays has a name that tells whose it was */
	if (p->fd >= 0)
		close(p->fd);
	close(p->parent);
	p->fd = p->parent = -1;
}
