/* SPDX-License-Identifier: Apache-2.0 */
#include "node/root_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/*
 * The container's root is a tmpfs with the machine's top folders bound into it, read-only; those in top_own are made anew, or are nobody's
 * business. It is built below the scratch of the agent (the machine's tree is still "/" then, and volumes are taken from there), and becomes "/" at the end.
 */

static const char *const top_own[] = {
	".", "..", "dev", "proc", "sys", "run", "tmp", "boot", "lost+found", ".dockerenv"
};

static const char *const hidden_paths[] = {
#define HIDDEN_ROW(path, reason) path,
#include "node/confine_hidden.def"
#undef HIDDEN_ROW
};

/* Of /proc and /sys, as containerd has them: what tells about the machine or changes it. */
static const char *const masked_paths[] = {
	"proc/acpi",
	"proc/asound",
	"proc/kcore",
	"proc/keys",
	"proc/latency_stats",
	"proc/timer_list",
	"proc/timer_stats",
	"proc/sched_debug",
	"proc/scsi",
	"sys/firmware",
	"sys/devices/virtual/powercap",
};
static const char *const read_only_paths[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };

static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };

static const struct {
	const char *name, *target;
} device_links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },         { "core", "/proc/kcore" },
};

/* Homes below /home that are looked at for keys. */
#define HOMES_MOST 1024

/* ---- the machine's files ---- */

/* One entry of a machine's folder is shown in another folder: links as they are, others bound. What can't be taken is not shown. */
static bool entry_show(int from, int to, const struct dirent *entry, uint64_t attributes, struct error *err)
{
	char target[4096];
	struct stat st;
	AUTO_CLOSE int tree = -1;
	ssize_t n;

	if (fstatat(from, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(from, entry->d_name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = 0;
			if (symlinkat(target, to, entry->d_name) < 0 && errno != EEXIST)
				return error_errno(err, errno, "cannot make the link '%s'", entry->d_name);
		}
		return true;
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return true;
	tree = open_tree(from, entry->d_name, TREE_CLONE | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
	if (tree < 0)
		return true;
	if (S_ISDIR(st.st_mode) ? mkdirat(to, entry->d_name, 0755) < 0 && errno != EEXIST
				: !root_file_make(to, entry->d_name, err))
		return error_errno(err, errno, "cannot make '%s'", entry->d_name);
	return tree_set(tree, attributes, true, err) && tree_attach(tree, to, entry->d_name, err);
}

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

/* All entries of the folder `from` (a path in it is opened anew), but some, are shown in `to`. */
bool entries_show(int from, int to, const char *const *without, size_t without_count, uint64_t attributes,
		  struct error *err)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	size_t count = 0;
	bool is_good = folder != NULL;

	if (!folder)
		return error_errno(err, errno, "cannot read a folder of the machine's");
	for (struct dirent *entry = readdir(folder); is_good && entry; entry = readdir(folder)) {
		if (is_one_of(entry->d_name, without, without_count))
			continue;
		if (++count > MIMIC_ENTRIES_MOST)
			is_good =
			    error_set(err, ERROR_TOO_LARGE, "a mount point is missing in a folder with over %d entries",
				      MIMIC_ENTRIES_MOST);
		else
			is_good = entry_show(fd, to, entry, attributes, err);
	}
	closedir(folder);
	return is_good;
}

/* ---- the container's own folders ---- */

static bool device_show(int folder, const char *name, struct error *err)
{
	AUTO_FREE char *path = text_format("/dev/%s", name);
	int tree;

	if (!root_file_make(folder, name, err))
		return false;
	/* Read-only: the node may be written to, but its mode and owner may not be changed. */
	tree = open_tree(AT_FDCWD, path, TREE_CLONE);
	if (tree < 0)
		return errno == ENOENT ? true : error_errno(err, errno, "cannot take %s", path);
	if (!tree_set(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false, err) ||
	    !tree_attach(tree, folder, name, err)) {
		close(tree);
		return false;
	}
	close(tree);
	return true;
}

static bool terminals_make(const struct enclosure *e, int dev, struct error *err)
{
	/* The group "tty" is 5 everywhere; an ordinary user has no such group to give. */
	const char *options[] = { "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL };

	if (e->has_users)
		options[4] = NULL;
	return tree_mount(dev, "pts", tree_new("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, options, err), err);
}

static bool dev_make(const struct enclosure *e, int root, struct error *err)
{
	AUTO_FREE char *shm = text_format("%s/" SCRATCH_SHM, e->is_ipc_host ? "/dev" : e->scratch);
	static const char *const none[] = { NULL };
	struct error ignored = { 0 };
	AUTO_CLOSE int dev = -1;
	int queues;

	if (!tree_mount(root, "dev", tmpfs_new(0755, 64 << 10, MOUNT_ATTR_NOSUID, err), err))
		return false;
	dev = openat(root, "dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		if (!device_show(dev, devices[i], err))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(device_links); i++) {
		if (symlinkat(device_links[i].target, dev, device_links[i].name) < 0)
			return error_errno(err, errno, "cannot make /dev/%s", device_links[i].name);
	}
	if (!terminals_make(e, dev, err) || !tree_mount(dev, "shm", tree_copy(AT_FDCWD, shm, TREE_PRIVATE, err), err))
		return false;
	queues = tree_new("mqueue", TREE_PRIVATE | MOUNT_ATTR_NOEXEC, none, &ignored);
	return queues < 0 || tree_mount(dev, "mqueue", queues, err); /* a kernel may be built without */
}

bool root_mask(int root, const char *path, struct error *err)
{
	AUTO_CLOSE int at = root_open(root, path), tree = -1;

	if (at < 0)
		return true; /* it is not there */
	if (root_is_folder(at))
		tree = tmpfs_new(0755, 4096, TREE_READ_ONLY | MOUNT_ATTR_NOSUID, err);
	else
		tree = open_tree(AT_FDCWD, "/dev/null", TREE_CLONE);
	if (tree < 0)
		return error_errno(err, errno, "cannot hide /%s", path);
	if (!root_is_folder(at) &&
	    !tree_set(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false, err))
		return false;
	return tree_attach(tree, at, "", err) || error_wrap(err, "cannot hide /%s", path);
}

static bool freeze(int root, const char *path, struct error *err)
{
	AUTO_CLOSE int at = root_open(root, path), tree = -1;

	if (at < 0)
		return true;
	tree = tree_copy(at, "", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	return (tree >= 0 && tree_attach(tree, at, "", err)) || error_wrap(err, "/%s", path);
}

static bool kernel_folders_make(const struct enclosure *e, bool is_privileged, int root, struct error *err)
{
	static const char *const none[] = { NULL };
	uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	struct error why = { 0 };
	int proc, sys;

	proc = e->is_pid_host ? tree_copy(AT_FDCWD, "/proc", attributes, err) : tree_new("proc", attributes, none, err);
	if (!tree_mount(root, "proc", proc, err))
		return false;
	if (!is_privileged)
		attributes |= MOUNT_ATTR_RDONLY;
	/* The network's devices in it are those of the namespace; an ordinary user may mount it only with a network of its own. */
	sys = tree_new("sysfs", attributes, none, &why);
	if (sys < 0)
		sys = tree_copy(AT_FDCWD, "/sys", attributes, err);
	if (!tree_mount(root, "sys", sys, err))
		return false;
	for (size_t i = 0; !is_privileged && i < ARRAY_LEN(masked_paths); i++) {
		if (!root_mask(root, masked_paths[i], err))
			return false;
	}
	for (size_t i = 0; !is_privileged && i < ARRAY_LEN(read_only_paths); i++) {
		if (!freeze(root, read_only_paths[i], err))
			return false;
	}
	return true;
}

/* A file or folder of the machine's at a place in our own /run. */
static bool program_show(int root, const char *path, const char *place, struct error *err)
{
	AUTO_CLOSE int tree = tree_copy(AT_FDCWD, path, TREE_READ_ONLY | MOUNT_ATTR_NOSUID, err);

	return tree >= 0 &&
	       (root_is_folder(tree) ? mkdirat(root, place, 0755) == 0 : root_file_make(root, place, err)) &&
	       tree_attach(tree, root, place, err);
}

/* The commands that an installation of the Python package would bring. */
static bool commands_make(int root, struct error *err)
{
	static const char script[] = "#!/bin/sh\nexec \"${HYTHE_PYTHON:-python3}\" -m hythe.microservice \"$@\"\n";
	AUTO_CLOSE int fd =
	    openat(root, "run/hythe/bin/seldon-core-microservice", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, script, sizeof(script) - 1) != sizeof(script) - 1 || fchmod(fd, 0755) < 0)
		return error_errno(err, errno, "cannot make /run/hythe/bin/seldon-core-microservice");
	return true;
}

/* The folders stand to each other as in an installation, so that the program finds its Python package as ever. */
static bool run_make(const struct enclosure *e, int root, struct error *err)
{
	static const char *const folders[] = { "run/lock", "run/hythe", "run/hythe/bin", "run/hythe/lib",
					       "run/hythe/lib/hythe" };

	if (!tree_mount(root, "run", tmpfs_new(0755, 0, TREE_PRIVATE, err), err))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (mkdirat(root, folders[i], i == 0 ? 01777 : 0755) < 0)
			return error_errno(err, errno, "cannot make /%s", folders[i]);
	}
	if (symlinkat("/dev/shm", root, "run/shm") < 0)
		return error_errno(err, errno, "cannot make /run/shm");
	return program_show(root, e->program, "run/hythe/bin/hythe", err) &&
	       (!e->python ||
		(program_show(root, e->python, "run/hythe/lib/hythe/python", err) && commands_make(root, err)));
}

/* ---- what is hidden ---- */

static bool home_hide(int root, const char *home, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(hidden_paths); i++) {
		AUTO_FREE char *path = NULL;

		if (hidden_paths[i][0] != '~')
			continue;
		path = text_format("%s%s", home, hidden_paths[i] + 1);
		if (!root_mask(root, path, err))
			return false;
	}
	return true;
}

static bool homes_hide(const struct enclosure *e, int root, struct error *err)
{
	const char *own = e->home;
	DIR *folder = opendir("/home");
	bool is_good = home_hide(root, "/root", err);
	size_t count = 0;

	for (struct dirent *d = folder ? readdir(folder) : NULL; is_good && d && count < HOMES_MOST;
	     d = readdir(folder)) {
		AUTO_FREE char *home = text_format("/home/%s", d->d_name);

		if (d->d_name[0] == '.')
			continue;
		count++;
		is_good = home_hide(root, home, err);
	}
	if (folder)
		closedir(folder);
	if (is_good && own && own[0] == '/' && own[1] && strcmp(own, "/root") != 0 && strncmp(own, "/home/", 6) != 0)
		is_good = home_hide(root, own, err);
	return is_good;
}

static bool secrets_hide(const struct enclosure *e, int root, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(hidden_paths); i++) {
		if (hidden_paths[i][0] == '/' && !root_mask(root, hidden_paths[i], err))
			return false;
	}
	if (e->hidden[0] && !root_mask(root, e->hidden, err))
		return false;
	/* The pod's folder may stand elsewhere in tests. */
	return root_mask(root, e->folder, err) && root_mask(root, e->scratch, err) && homes_hide(e, root, err);
}

/* ---- the container's control group ---- */

/* Programs read their limits there. Of version 1 a folder for each controller. */
static bool group_show(const struct control_group *group, int root, struct error *err)
{
	AUTO_CLOSE int at = root_open(root, "/sys/fs/cgroup"), folder = -1;
	const char *name;
	char *path = NULL;

	if (at < 0 || !group_folder(group, 0, &path, &name))
		return true;
	if (*name) {
		folder = tmpfs_new(0755, 4096, TREE_PRIVATE | MOUNT_ATTR_NOEXEC, err);
		if (folder < 0 || !tree_attach(folder, at, "", err))
			return false;
	}
	for (size_t i = 0; path || group_folder(group, i, &path, &name); i++) {
		AUTO_CLOSE int tree =
		    tree_copy(AT_FDCWD, path, TREE_READ_ONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);

		free(path);
		path = NULL;
		if (tree < 0)
			return error_wrap(err, "the control group");
		if (!*name)
			return tree_attach(tree, at, "", err);
		if ((mkdirat(folder, name, 0755) < 0 && errno != EEXIST) || !tree_attach(tree, folder, name, err))
			return false;
	}
	return tree_set(folder, MOUNT_ATTR_RDONLY, false, err);
}

/* ---- all of it ---- */

/* What both kinds of root have made anew. */
static bool root_fill(const struct enclosure *e, const struct container_config *c, const struct control_group *group,
		      int root, struct error *err)
{
	bool is_privileged = c->security.is_privileged;

	return secrets_hide(e, root, err) && tree_mount(root, "tmp", tmpfs_new(01777, 0, TREE_PRIVATE, err), err) &&
	       run_make(e, root, err) && dev_make(e, root, err) && kernel_folders_make(e, is_privileged, root, err) &&
	       group_show(group, root, err) && volumes_mount(e, root, c, err);
}

/* The machine's top folders, bound into a tmpfs; -1. */
static int root_bound(const char *place, int64_t bytes, struct error *err)
{
	AUTO_CLOSE int machine = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int tree = tmpfs_new(0755, bytes, TREE_PRIVATE, err);

	if (tree >= 0 && tree_attach(tree, AT_FDCWD, place, err) &&
	    entries_show(machine, tree, top_own, ARRAY_LEN(top_own), TREE_READ_ONLY, err))
		return tree;
	if (tree >= 0)
		close(tree);
	return -1;
}

/* A line of mountinfo(5): id, parent, device, root, mount point, ... */
static bool mount_line_show(const struct enclosure *e, int root, struct span line, struct error *err)
{
	AUTO_CLOSE int tree = -1, at = -1;
	AUTO_FREE char *path = NULL, *top = NULL;
	struct span fields[5];

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		fields[i] = span_cut(&line, ' ');
	path = span_to_text(fields[4]);
	top = text_format("%.*s", (int)strcspn(path + 1, "/"), path + 1);
	/* Names with a space are written with a backslash; such mounts are not shown. */
	if (!path[1] || is_one_of(top, top_own, ARRAY_LEN(top_own)) || strchr(path, '\\') ||
	    strncmp(path, e->folder, strlen(e->folder)) == 0 || strncmp(path, e->scratch, strlen(e->scratch)) == 0)
		return true;
	at = root_open(root, path);
	tree = open_tree(AT_FDCWD, path, TREE_CLONE);
	if (at < 0 || tree < 0 || root_is_folder(at) != root_is_folder(tree))
		return true;
	return tree_set(tree, TREE_READ_ONLY, false, err) && tree_attach(tree, at, "", err);
}

/* What is mounted on the machine's root comes into an overlay of it one by one, read-only. */
static bool mounts_show(const struct enclosure *e, int root, struct error *err)
{
	struct buffer text;
	struct span rest;
	bool is_good;

	buffer_init(&text, MIB(4));
	is_good = buffer_read_file(&text, "/proc/self/mountinfo", err);
	rest = buffer_span(&text);
	while (is_good && rest.len > 0)
		is_good = mount_line_show(e, root, span_cut(&rest, '\n'), err);
	buffer_done(&text);
	return is_good;
}

/* The machine's root below a layer of memory, which takes what is written and goes with the container; -1. */
static int root_layered(const struct enclosure *e, const char *place, struct error *err)
{
	AUTO_CLOSE int layers = tmpfs_new(0755, 0, TREE_PRIVATE, err);
	AUTO_FREE char *upper = text_format("%s/upper", place), *work = text_format("%s/work", place);
	const char *options[] = { "lowerdir", "/", "upperdir", upper, "workdir", work, NULL };
	int tree;

	if (layers < 0 || !tree_attach(layers, AT_FDCWD, place, err))
		return -1;
	if (mkdir(upper, 0755) < 0 || mkdir(work, 0755) < 0) {
		error_errno(err, errno, "cannot make %s", upper);
		return -1;
	}
	tree = tree_new("overlay", TREE_PRIVATE, options, err);
	if (tree < 0) {
		error_wrap(err, "a writable root (readOnlyRootFilesystem: false)");
		return -1;
	}
	if (tree_attach(tree, AT_FDCWD, place, err) && mounts_show(e, tree, err))
		return tree;
	close(tree);
	return -1;
}

bool root_change(int folder, struct error *err)
{
	/* pivot_root(2): "." twice puts the old root over the new one, from where it is taken away. */
	if (fchdir(folder) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		return error_errno(err, errno, "cannot change the root");
	return true;
}

bool root_enter(const struct enclosure *e, const struct container_config *c, const struct control_group *group,
		struct error *err)
{
	AUTO_FREE char *place = text_format("%s/" SCRATCH_ROOT, e->scratch);
	AUTO_CLOSE int tree = -1, root = -1;

	/* An ordinary user may not lay anything over the machine's root (mounts below it are locked), nor write to what is others': see the
	 * shortcomings. Its own top folder it may write to. */
	tree = c->security.is_root_writable && !e->has_users
		   ? root_layered(e, place, err)
		   : root_bound(place, c->security.is_root_writable ? 0 : 1 << 20, err);
	if (tree < 0)
		return false;
	root = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(err, errno, "cannot open %s", place);
	if (!root_fill(e, c, group, root, err) ||
	    (!c->security.is_root_writable && !tree_set(tree, MOUNT_ATTR_RDONLY, false, err)))
		return false;
	return root_change(root, err);
}
