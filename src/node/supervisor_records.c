/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor_records - the small files in <pod folder>/sandbox: what was run, what came of it; the lock and the control socket beside them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/supervisor.h"

enum { RECORD_BYTES_MOST = 1 << 20, RECORDS_MOST = 4096, CONTROL_BACKLOG = 8, ERASE_DEPTH_MOST = 16 };

int sandbox_open(struct span folder, bool makes, struct error *err)
{
	AUTO_FREE char *path = base_alloc(folder.len + sizeof("/sandbox"));
	int fd;

	if (folder.len)
		memcpy(path, folder.ptr, folder.len);
	memcpy(path + folder.len, "/sandbox", sizeof("/sandbox"));
	if (makes && mkdir(path, 0700) < 0 && errno != EEXIST) {
		error_errno(err, errno, "cannot make the folder '%s'", path);
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		error_errno(err, errno, "cannot open the folder '%s'", path);
	return fd;
}

/* ---- writing ---- */

/* Whole, or as it was: a process that is killed here leaves the old one. No fsync: after a crash of the machine nothing of it runs anyway. */
static bool file_replace(int folder_fd, const char *name, struct span text, struct error *err)
{
	char temporary[NAME_MAX + 8];
	AUTO_CLOSE int fd = -1;

	snprintf(temporary, sizeof(temporary), ".%s", name);
	fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, errno, "cannot write '%s'", name);
	for (size_t at = 0; at < text.len;) {
		ssize_t n = write(fd, text.ptr + at, text.len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			error_errno(err, n < 0 ? errno : ENOSPC, "cannot write '%s'", name);
			(void)unlinkat(folder_fd, temporary, 0);
			return false;
		}
		at += (size_t)n;
	}
	if (renameat(folder_fd, temporary, folder_fd, name) < 0)
		return error_errno(err, errno, "cannot write '%s'", name);
	return true;
}

bool sandbox_save(int sandbox_fd, const struct sandbox_record *r, struct error *err)
{
	struct buffer text;
	bool ok;

	buffer_init(&text, RECORD_BYTES_MOST);
	sandbox_record_write(r, &text);
	ok = buffer_ok(&text, "the sandbox's record", err) &&
	     file_replace(sandbox_fd, "sandbox.json", buffer_span(&text), err);
	buffer_done(&text);
	return ok;
}

static void record_name(struct span name, uint32_t attempt, char *out, size_t size)
{
	snprintf(out, size, "%.*s.%u.json", (int)name.len, name.ptr, attempt);
}

bool container_save(int sandbox_fd, const struct container_status *s, struct error *err)
{
	AUTO_CLOSE int folder_fd = -1;
	char name[NAME_MAX + 32];
	struct buffer text;
	bool ok;

	folder_fd = openat(sandbox_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder_fd < 0 && errno == ENOENT && mkdirat(sandbox_fd, "containers", 0700) == 0)
		folder_fd = openat(sandbox_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder_fd < 0)
		return error_errno(err, errno, "cannot open the folder of containers' records");
	record_name(s->name, s->attempt, name, sizeof(name));
	buffer_init(&text, RECORD_BYTES_MOST);
	container_record_write(s, &text);
	ok = buffer_ok(&text, "a container's record", err) && file_replace(folder_fd, name, buffer_span(&text), err);
	buffer_done(&text);
	return ok;
}

void container_forget(int sandbox_fd, struct span name, uint32_t attempt)
{
	char path[NAME_MAX + 64], file[NAME_MAX + 32];

	record_name(name, attempt, file, sizeof(file));
	snprintf(path, sizeof(path), "containers/%s", file);
	(void)unlinkat(sandbox_fd, path, 0); /* one that is not there is forgotten */
}

/* ---- reading ---- */

static bool file_read(int folder_fd, const char *name, struct arena *arena, struct span *ret, struct error *err)
{
	AUTO_CLOSE int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t got;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot read '%s'", name);
	if (!S_ISREG(st.st_mode) || st.st_size > RECORD_BYTES_MOST)
		return error_set(err, ERROR_INVALID, "'%s' is no record", name);
	text = arena_alloc(arena, (size_t)st.st_size + 1, err);
	if (!text)
		return false;
	got = pread(fd, text, (size_t)st.st_size, 0);
	if (got < 0)
		return error_errno(err, errno, "cannot read '%s'", name);
	*ret = span_from(text, (size_t)got);
	return true;
}

static int by_creation(const void *a, const void *b)
{
	const struct container_status *x = a, *y = b;

	return x->created_ns < y->created_ns ? -1 : x->created_ns > y->created_ns;
}

/* One that was begun, and not seen to end. */
static void end_unseen(int sandbox_fd, struct container_status *s, int64_t now_ns)
{
	struct error ignored = { 0 };

	s->state = CONTAINER_EXITED;
	s->pid = 0;
	s->finished_ns = MAX(now_ns, s->started_ns);
	s->exit_code = 128 + SIGKILL;
	s->signal = SIGKILL;
	s->reason = SPAN("Error");
	(void)container_save(sandbox_fd, s, &ignored); /* told anew next time, with another time */
}

static bool containers_load(int sandbox_fd, bool is_dead, int64_t now_ns, struct arena *arena,
			    struct sandbox_status *status, struct error *err)
{
	int fd = openat(sandbox_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct container_status *kept;
	AUTO_FREE struct container_status *list = NULL;
	struct dirent *entry;
	size_t count = 0, capacity = 0;

	if (!dir)
		return true; /* none was ever begun */
	while (count < RECORDS_MOST && (entry = readdir(dir))) {
		struct error odd = { 0 };
		struct span text;

		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 8;
			list = base_realloc(list, capacity * sizeof(*list));
		}
		if (entry->d_name[0] == '.' || !span_ends(span_of(entry->d_name), SPAN(".json")))
			continue;
		if (!file_read(dirfd(dir), entry->d_name, arena, &text, &odd) ||
		    !container_record_read(text, arena, &list[count], &odd))
			continue; /* torn by a crash of the machine: as if it had never begun */
		count++;
	}
	closedir(dir);
	if (count == 0)
		return true;
	qsort(list, count, sizeof(*list), by_creation);
	for (size_t i = 0; is_dead && i < count; i++) {
		if (list[i].state != CONTAINER_EXITED)
			end_unseen(sandbox_fd, &list[i], now_ns);
	}
	kept = ARENA_ARRAY(arena, struct container_status, count, err);
	if (!kept)
		return false;
	memcpy(kept, list, count * sizeof(*list));
	status->containers = kept;
	status->container_count = count;
	return true;
}

bool sandbox_recorded(int sandbox_fd, struct arena *arena, struct sandbox_record *ret, struct error *err)
{
	struct span text;

	return file_read(sandbox_fd, "sandbox.json", arena, &text, err) && sandbox_record_read(text, arena, ret, err);
}

bool sandbox_load(int sandbox_fd, bool is_dead, int64_t now_ns, struct arena *arena, struct sandbox_status *ret,
		  struct error *err)
{
	struct sandbox_status status = { 0 };
	struct sandbox_record record;

	if (!sandbox_recorded(sandbox_fd, arena, &record, err))
		return false;
	status.uid = record.config.uid;
	status.name_space = record.config.name_space;
	status.name = record.config.name;
	status.address = record.config.address;
	status.folder = record.config.folder;
	status.created_ns = record.created_ns;
	status.shortcomings = record.shortcomings;
	status.is_ready = !is_dead && !record.is_ended;
	if (!containers_load(sandbox_fd, is_dead, now_ns, arena, &status, err))
		return false;
	*ret = status;
	return true;
}

/* ---- removing ---- */

/* Below `folder_fd` and on its mount: what is mounted there (by whatever went wrong) is somebody else's. */
static int open_below(int folder_fd, const char *name)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, folder_fd, name, &how, sizeof(how));
}

static bool erase_content(int folder_fd, int depth, struct error *err) /* takes the descriptor */
{
	DIR *dir = fdopendir(folder_fd);
	struct dirent *entry;
	bool ok = true;

	if (!dir) {
		close(folder_fd);
		return error_errno(err, errno, "cannot read a folder of the sandbox");
	}
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		int below;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(dirfd(dir), name, 0) == 0)
			continue;
		below = depth < ERASE_DEPTH_MOST ? open_below(dirfd(dir), name) : -1;
		if (below >= 0 && !erase_content(below, depth + 1, err))
			ok = false;
		if (unlinkat(dirfd(dir), name, AT_REMOVEDIR) < 0 && errno != ENOENT && ok)
			ok = error_errno(err, errno, "cannot remove '%s' of the sandbox", name);
	}
	closedir(dir);
	return ok;
}

bool sandbox_erase(struct span folder, struct error *err)
{
	AUTO_FREE char *path = base_alloc(folder.len + sizeof("/sandbox"));
	struct error none = { 0 };
	int fd = sandbox_open(folder, false, &none);

	if (fd < 0)
		return none.code == ERROR_NOT_FOUND || error_set(err, none.code, "%s", none.message);
	if (!erase_content(fd, 0, err))
		return false;
	if (folder.len)
		memcpy(path, folder.ptr, folder.len);
	memcpy(path + folder.len, "/sandbox", sizeof("/sandbox"));
	if (rmdir(path) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove '%s'", path);
	return true;
}

/* ---- control socket and lock ---- */

static struct sockaddr_un control_address(int sandbox_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", sandbox_fd);
	return address;
}

int control_connect(int sandbox_fd)
{
	struct sockaddr_un address = control_address(sandbox_fd);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int control_listen(int sandbox_fd)
{
	struct sockaddr_un address = control_address(sandbox_fd);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)unlinkat(sandbox_fd, "control", 0); /* of one that died: we have the lock */
	if (fd >= 0 && (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
			fchmodat(sandbox_fd, "control", 0600, 0) < 0 || listen(fd, CONTROL_BACKLOG) < 0)) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int sandbox_lock(int sandbox_fd, bool *ret_is_taken)
{
	int fd = openat(sandbox_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	*ret_is_taken = false;
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		*ret_is_taken = errno == EWOULDBLOCK;
		close(fd);
		return -1;
	}
	return fd;
}
