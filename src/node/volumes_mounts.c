/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_mounts - what of a pod's volumes one container sees, and where. */
#include "node/volumes_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT_ATTEMPTS 3 /* of which messages are kept: the one that runs, the last, and one that is just being told */

struct mounting {
	struct volumes *v;
	const struct value *pod, *container;
	const struct name_value *environment;
	size_t environment_count;
	struct arena *arena;
	struct error *err;
	struct mount_wanted *items;
	size_t count;
};

/* ---- subPath ---- */

/* No link and no ".." leads out of the folder. */
static int open_beneath(int folder, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_PATH | O_CLOEXEC),
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

/* With the mode of the volume, whatever the umask is: the container's user writes there as it does in the volume. */
static bool folder_make_at(int above, const char *name, mode_t mode)
{
	AUTO_CLOSE int fd = -1;

	if (mkdirat(above, name, mode) != 0)
		return errno == EEXIST;
	fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fchmod(fd, mode) == 0;
}

/* Folders that are not there, each made in the one above as it was found. */
static bool folders_make_beneath(int folder, struct span path, mode_t mode)
{
	AUTO_FREE char *text = span_to_text(path);

	for (char *at = text;; at++) {
		char *slash = *at && *at != '/' ? NULL : at, *name, kept;
		int fd, above;

		if (!slash)
			continue;
		kept = *slash;
		*slash = '\0';
		fd = slash > text ? open_beneath(folder, text, O_DIRECTORY) : -1;
		if (fd >= 0) {
			close(fd);
		} else if (slash > text) {
			if (errno != ENOENT)
				return false;
			name = strrchr(text, '/');
			if (name)
				*name = '\0';
			above = open_beneath(folder, name ? text : ".", O_DIRECTORY);
			if (name)
				*name = '/';
			if (above < 0)
				return false;
			if (!folder_make_at(above, name ? name + 1 : text, mode)) {
				close(above);
				return false;
			}
			close(above);
		}
		*slash = kept;
		if (!kept)
			return true;
	}
}

/* The path that a descriptor leads to now. */
static bool path_of(int fd, struct arena *arena, struct span *ret, struct error *err)
{
	char link[64], path[PATH_MAX];
	struct stat a, b;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return error_errno(err, errno, "cannot read '%s'", link);
	path[n] = '\0';
	if (fstat(fd, &a) != 0 || lstat(path, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return error_set(err, ERROR_UNAVAILABLE, "a file moved while it was mounted");
	*ret = arena_copy(arena, span_from(path, (size_t)n), err);
	return ret->ptr != NULL;
}

static bool sub_path(struct mounting *m, struct span base, struct span sub, bool may_make, struct span *ret)
{
	AUTO_FREE char *folder_path = span_to_text(base);
	AUTO_FREE char *text = span_to_text(sub);
	AUTO_CLOSE int folder = open(folder_path, O_PATH | O_CLOEXEC);
	AUTO_CLOSE int fd = -1;
	struct stat s = { 0 };

	if (folder < 0 || fstat(folder, &s) != 0)
		return error_errno(m->err, errno, "cannot open '%s'", folder_path);
	fd = open_beneath(folder, text, 0);
	if (fd < 0 && errno == ENOENT && may_make && folders_make_beneath(folder, sub, s.st_mode & 07777))
		fd = open_beneath(folder, text, 0);
	if (fd >= 0)
		return path_of(fd, m->arena, ret, m->err);
	if (errno == EXDEV || errno == ELOOP)
		return error_set(m->err, ERROR_INVALID, "subPath \"%s\" leads out of its volume", text);
	return error_errno(m->err, errno, "failed to create subPath directory for volumeMount \"%s\"", text);
}

static bool has_dots(struct span path)
{
	while (path.len)
		if (span_equal(span_cut(&path, '/'), SPAN("..")))
			return true;
	return false;
}

static bool sub_wanted(struct mounting *m, const struct value *mount, struct span *ret)
{
	struct span sub = value_find_string(mount, "subPath"), expression = value_find_string(mount, "subPathExpr");

	if (expression.len &&
	    !references_replace(expression, m->environment, m->environment_count, m->arena, &sub, m->err))
		return false;
	if (sub.len && sub.ptr[0] == '/')
		return error_set(m->err, ERROR_INVALID, "error SubPath `" SPAN_FMT "` must not be an absolute path",
				 SPAN_ARG(sub));
	if (has_dots(sub))
		return error_set(m->err, ERROR_INVALID,
				 "unable to provision SubPath `" SPAN_FMT "`: must not contain '..'", SPAN_ARG(sub));
	*ret = sub;
	return true;
}

/* ---- volumes ---- */

static const struct value *volume_find(const struct value *pod, struct span name)
{
	const struct value *list = value_find(pod, "spec.volumes");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "name"), name))
			return value_item(list, i);
	return NULL;
}

static bool volume_base(struct mounting *m, const struct value *volume, enum volume_kind *ret_kind, struct span *ret,
			bool *ret_is_read_only)
{
	const struct value *source;
	bool takes_group = false;
	const char *member;

	if (!volume_kind_of(volume, ret_kind, &member, &source, m->err))
		return false;
	switch (*ret_kind) {
	case VOLUME_EMPTY:
	case VOLUME_CONTENT:
		*ret_is_read_only = *ret_kind == VOLUME_CONTENT;
		*ret = volume_folder(m->v, volume, m->arena, m->err);
		return ret->ptr != NULL;
	case VOLUME_HOST_PATH:
		return host_path(m->v, source, m->arena, ret, m->err);
	case VOLUME_CLAIM:
		return claim_path(m->v, m->pod, volume, m->arena, ret, ret_is_read_only, &takes_group, m->err);
	}
	return false;
}

static bool options_check(const struct value *mount, struct error *err)
{
	struct span propagation = value_find_string(mount, "mountPropagation");
	struct span recursive = value_find_string(mount, "recursiveReadOnly");

	if (propagation.len && !span_equal(propagation, SPAN("None")))
		return error_set(err, ERROR_INVALID,
				 "mountPropagation " SPAN_FMT " can't be had on this node, only None",
				 SPAN_ARG(propagation));
	if (span_equal(recursive, SPAN("Enabled")))
		return error_set(err, ERROR_INVALID, "recursiveReadOnly Enabled can't be had on this node");
	return true;
}

static bool mount_add(struct mounting *m, const struct value *mount)
{
	struct span name = value_find_string(mount, "name"), path = { 0 }, sub;
	const struct value *volume = volume_find(m->pod, name);
	bool is_read_only = false, is_memory;
	enum volume_kind kind;

	if (!volume)
		return error_set(m->err, ERROR_INVALID, "volume \"" SPAN_FMT "\" is not among the pod's",
				 SPAN_ARG(name));
	if (!options_check(mount, m->err) || !sub_wanted(m, mount, &sub) ||
	    !volume_base(m, volume, &kind, &path, &is_read_only))
		return false;
	is_memory = span_equal(value_find_string(volume, "emptyDir.medium"), SPAN("Memory"));
	if (sub.len && is_memory)
		return error_set(m->err, ERROR_INVALID,
				 "subPath of a volume in memory (\"" SPAN_FMT "\") can't be had on this node",
				 SPAN_ARG(name));
	if (sub.len && !sub_path(m, path, sub, kind != VOLUME_CONTENT && !is_read_only, &path))
		return false;
	m->items[m->count++] =
	    (struct mount_wanted){ .host_path = path,
				   .container_path = value_find_string(mount, "mountPath"),
				   .is_read_only = is_read_only || value_find_bool(mount, "readOnly") };
	return true;
}

/* ---- what every container has ---- */

static bool is_mounted(const struct mounting *m, struct span path)
{
	for (size_t i = 0; i < m->count; i++)
		if (span_equal(m->items[i].container_path, path))
			return true;
	return false;
}

static bool etc_add(struct mounting *m)
{
	static const char *const names[] = { "hosts", "resolv.conf", "hostname" };
	bool is_read_only = value_find_bool(m->container, "securityContext.readOnlyRootFilesystem");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span at = arena_print(m->arena, m->err, "/etc/%s", names[i]);
		struct span from = arena_print(m->arena, m->err, "%s/etc/%s", m->v->folder, names[i]);

		if (!at.ptr || !from.ptr)
			return false;
		if (!is_mounted(m, at))
			m->items[m->count++] = (struct mount_wanted){ from, at, is_read_only };
	}
	return true;
}

static bool termination_add(struct mounting *m, uint32_t attempt)
{
	struct span name = value_find_string(m->container, "name");
	struct span at = value_find_string(m->container, "terminationMessagePath");
	struct span from =
	    arena_print(m->arena, m->err, "%s/etc/termination/%.*s.%u", m->v->folder, (int)name.len, name.ptr, attempt);
	AUTO_FREE char *old = NULL;
	AUTO_CLOSE int fd = -1;

	if (!from.ptr)
		return false;
	if (!at.len)
		at = SPAN("/dev/termination-log");
	if (is_mounted(m, at))
		return true;
	if (attempt >= KEPT_ATTEMPTS && asprintf(&old, "%s/etc/termination/%.*s.%u", m->v->folder, (int)name.len,
						 name.ptr, attempt - KEPT_ATTEMPTS) >= 0)
		(void)unlink(old);
	fd = open(from.ptr, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) != 0)
		return error_errno(m->err, errno, "cannot make '%s'", from.ptr);
	m->items[m->count++] = (struct mount_wanted){ from, at, false };
	return true;
}

bool volumes_mounts(struct volumes *v, const struct value *pod, const struct value *container, uint32_t attempt,
		    const struct name_value *environment, size_t environment_count, struct arena *arena,
		    struct mount_wanted **ret, size_t *ret_count, struct error *err)
{
	const struct value *list = value_get(container, SPAN("volumeMounts"));
	uint32_t count = value_count(list);
	struct error problem = { 0 };
	struct mounting m = { .v = v,
			      .pod = pod,
			      .container = container,
			      .environment = environment,
			      .environment_count = environment_count,
			      .arena = arena,
			      .err = &problem };

	if (!value_is_empty(value_get(container, SPAN("volumeDevices"))))
		return error_set(err, ERROR_INVALID, "volumeDevices can't be had on this node");
	m.items = ARENA_ARRAY(arena, struct mount_wanted, (size_t)count + 4, err);
	if (!m.items)
		return false;
	for (uint32_t i = 0; i < count && problem.code == ERROR_NONE; i++)
		if (!mount_add(&m, value_item(list, i)))
			error_wrap(&problem, "volume mount \"" SPAN_FMT "\"",
				   SPAN_ARG(value_find_string(value_item(list, i), "name")));
	if (problem.code != ERROR_NONE || !etc_add(&m) || !termination_add(&m, attempt)) {
		*err = problem;
		return false;
	}
	*ret = m.items;
	*ret_count = m.count;
	return true;
}
